/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP for programs that are no libcheck case: one line per claim, a plan at the end.
 *
 * Who       one process; its children print nothing.
 */
#ifndef RK_TESTS_FAULT_TAP_H
#define RK_TESTS_FAULT_TAP_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct tap {
	unsigned int n, n_failed;
};

/* Prints "ok N - claim" or "not ok N - claim". Returns ok. */
static inline bool tap_result(struct tap *t, bool ok, const char *claim)
{
	t->n++;
	t->n_failed += !ok;
	printf("%sok %u - %s\n", ok ? "" : "not ", t->n, claim);
	(void)fflush(stdout); /* children must not inherit a line half printed */
	return ok;
}

static inline void tap_skip(struct tap *t, const char *claim, const char *reason)
{
	t->n++;
	printf("ok %u - %s # SKIP %s\n", t->n, claim, reason);
	(void)fflush(stdout);
}

/* Prints the plan and returns main()'s exit status. */
static inline int tap_end(const struct tap *t)
{
	printf("1..%u\n", t->n);
	return t->n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
