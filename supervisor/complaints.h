/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Complaints: everything that is wrong with a configuration, so that its author hears all of it
 * at once, each with its place.
 *
 * Who       the supervisor's configuration; whoever holds the struct owns what is in it.
 * Blocking  never; allocates.
 */
#ifndef RK_SUPERVISOR_COMPLAINTS_H
#define RK_SUPERVISOR_COMPLAINTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/macro.h"

#define RK_COMPLAINTS_MAX 1000u /* what is beyond is counted, and the count is printed */

struct rk_complaint {
	char *file;    /* NULL: the command line */
	uint32_t line; /* 0: the file as a whole */
	uint32_t order;
	char *text; /* one sentence, no newline */
};

/* Zero is the empty value. */
struct rk_complaints {
	struct rk_complaint *at;
	uint32_t n;
	uint32_t n_dropped; /* beyond the bound, or for want of memory */
};

/* Adds one. Control characters in the text become '?', since it may quote input. */
RK_PRINTF(4, 5)
void rk_complain(struct rk_complaints *c, const char *file, uint32_t line, const char *fmt, ...);

/* By file, line, and the order in which they came; the command line first. */
void rk_complaints_sort(struct rk_complaints *c);

/* Sorts and prints them, one to a line: "FILE:LINE: sentence"; prefix stands before all. */
void rk_complaints_print(struct rk_complaints *c, const char *prefix, FILE *to);

/* How many there are, dropped ones too. */
static inline uint32_t rk_complaints_count(const struct rk_complaints *c)
{
	return c->n + c->n_dropped;
}

/* Frees all; also a cleanup. */
void rk_complaints_free_p(struct rk_complaints *c);

#endif
