/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field: a part of a line: a job's key, or the id by which its answer is known.
 *
 *	whole      the line itself
 *	N          its N-th field, from 1; blanks and tabs separate
 *	.a[0].b    of a JSON document: its member's member; a member's name that is no plain word
 *	           stands in brackets and quotes, as in .["a b"]
 *	NAME       of a line that begins with '{' the JSON member NAME, of any other the word NAME=VALUE
 *
 * A string of JSON is taken without its quotes and escapes, anything else as it is written. Of
 * members of one name the last counts. null is no key.
 *
 * Who       any thread. Pure. Lines are input: they may be anything.
 * Blocking  never; allocates only for a string of JSON with escapes.
 */
#ifndef RK_LIB_FIELD_H
#define RK_LIB_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define RK_FIELD_MAX 64u /* bytes; a longer key is its hash */
#define RK_FIELD_HASH 16u
#define RK_FIELD_STEPS_MAX 16u
#define RK_FIELD_SPEC_MAX 512u

enum rk_field_kind { RK_FIELD_WHOLE, RK_FIELD_FIELD, RK_FIELD_PATH, RK_FIELD_NAME };

/* One step into a JSON document. */
struct rk_field_step {
	const char *name; /* NULL: an element of an array */
	size_t len;
	uint32_t index;
};

struct rk_field {
	enum rk_field_kind kind;
	uint32_t field;
	uint32_t n_steps;
	struct rk_field_step steps[RK_FIELD_STEPS_MAX]; /* of PATH, and of NAME the one */
	char text[RK_FIELD_SPEC_MAX];                  /* what they point into */
};

/* A line's key. `at` points into the line or into room; it is never NULL. */
struct rk_field_text {
	const char *at;
	size_t len;
	char room[RK_FIELD_MAX];
};

/*
 * Reads what says which. It must not be moved behind that: its steps point into it. Returns 0;
 * -EINVAL with a sentence.
 */
RK_MUST_USE int rk_field_parse(struct rk_field *k, const char *spec, struct rk_err *err);

/*
 * The key of a line of len bytes. Returns whether it has one; else the whole line is in ret. One that is
 * longer than max bytes, or RK_FIELD_MAX, is the 16 hexadecimal digits of its XXH3.
 */
bool rk_field_of(const struct rk_field *k, const char *line, size_t len, size_t max,
		    struct rk_field_text *ret);

#endif
