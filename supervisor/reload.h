/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reload: what came of reading the configuration again, for whoever asked.
 *
 * Who       the loop makes it, the control socket or the log tells it.
 * Blocking  never; allocates. Lines that find no memory are lost.
 */
#ifndef RK_SUPERVISOR_RELOAD_H
#define RK_SUPERVISOR_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/wordlist.h"

#define RK_RELOAD_LATER 1 /* what came of it will be told */

/* What is asked for. Zero is the empty value. */
struct rk_reload_request {
	bool is_asked;             /* at the control socket; else by a signal */
	bool is_check;             /* only what would be done */
	struct rk_wordlist remove; /* fleets that may go, with all that they hold */
};

/* Zero is the empty value. */
struct rk_reloaded {
	bool is_applied;          /* else everything is as it was */
	bool is_checked;          /* nothing is wrong, and the lines are what would be done */
	struct rk_err err;        /* code 0, or: nothing is wrong with the configuration, but this kept it from being applied */
	struct rk_wordlist lines; /* what was done; or everything that is wrong */
	uint64_t group;           /* of the records in the flight recorder; 0 = none */
	uint32_t n_undone;        /* what could not be done, as lines say; the rest is */
	uint32_t n_pending;       /* what takes longer: so many records of the group will say
				     "state=done", or held */
};

/* Adds a line. */
RK_PRINTF(2, 3) void rk_reload_say(struct rk_reloaded *r, const char *fmt, ...);

/* By a signal: nobody waits for an answer but the log. */
void rk_reload_log(const struct rk_reloaded *r);

/* Frees it; also a cleanup. */
void rk_reload_free_p(struct rk_reloaded *r);

#endif
