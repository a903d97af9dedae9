/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipe tell: what a pipeline says on standard error: lines without an answer, each by its number as
 * long as they are few, and the sum at the end.
 *
 * Who       rekindle run, one thread.
 * Units     lines are counted from 1; times in ns.
 */
#ifndef RK_CLI_PIPE_TELL_H
#define RK_CLI_PIPE_TELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"

struct rk_pipe_tally {
	uint64_t n_lines; /* taken in */
	uint64_t n_answers;
	uint64_t n_failed;      /* lines that have no answer, for whatever reason */
	uint64_t n_quarantined; /* of them, those that ended their workers too often */
	uint64_t n_again;       /* sent again, since their worker had no room for an answer */
	uint64_t n_keyless, first_keyless;
	uint64_t n_deaths; /* of workers */
	uint64_t ns;       /* from the first line to the last answer */
	uint64_t n_told;
};

/* A line has no answer. */
RK_PRINTF(3, 4) void rk_pipe_tell_failed(struct rk_pipe_tally *t, uint64_t line, const char *fmt, ...);

/* The sum. */
void rk_pipe_tell_sum(const struct rk_pipe_tally *t, const char *key);

#endif
