/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step: scenes and duets, one instruction at a time (see step_calls.c).
 */
#ifndef RK_TESTS_FAULT_STEP_H
#define RK_TESTS_FAULT_STEP_H

#include "tests/fault/scene.h"

struct step_result {
	uint64_t began_ns;
	unsigned long n_steps, n_states, n_checks, n_bad, took_ms;
	char why[200]; /* the first finding and where */
};

/* Both end with the first finding. */
void step_scene(const struct scene *scene, bool wrap, struct step_result *ret);
void step_duet(const struct duet *duet, bool wrap, struct step_result *ret);

#endif
