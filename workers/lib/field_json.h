/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field JSON: one value of a JSON document, found without taking the document apart: lines come by the
 * hundred thousand in a second, and of each one value is wanted.
 *
 * It does not judge the document. What is no JSON has no such value, or one that is where it would be.
 *
 * Who       any thread. Pure; the document is input and may be anything.
 * Blocking  never; no allocation. Time goes with the document's length.
 */
#ifndef RK_LIB_FIELD_JSON_H
#define RK_LIB_FIELD_JSON_H

#include "workers/lib/field.h"

struct rk_field_json {
	const char *at; /* as it is written, a string with its quotes */
	size_t len;
};

/* Finds the value at the end of the steps. Returns whether there is one; of members of one name it is the last. */
bool rk_field_json_find(const char *text, size_t len, const struct rk_field_step *steps, uint32_t n_steps,
		       struct rk_field_json *ret);

#endif
