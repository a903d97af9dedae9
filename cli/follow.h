/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follow: what an operation of the supervisor does, from the flight recorder, until it is over.
 * On a terminal the last line is written anew, into a pipe goes one line per step.
 *
 * Who       rekindle, one thread. Ctrl-C and the time-out end the following, not the operation.
 * Blocking  rk_follow() until the operation is over.
 * Units     ns.
 */
#ifndef RK_CLI_FOLLOW_H
#define RK_CLI_FOLLOW_H

#include "cli/recall.h"

struct rk_follow {
	const char *fleet;   /* as rk_recall_open() wants it */
	const char *what;    /* for a complaint: "the rolling restart" */
	uint64_t group;      /* of the operation's records */
	uint32_t n_ends;     /* records that say it is over, until it is */
	uint64_t timeout_ns; /* 0 = none */
	bool has_changes; /* its answer told what was changed: records of that are left out */
	bool is_keepers;  /* keeper alone knows of it: another keeper does not go on with it */
	bool is_json;
};

/* Prints its records. Returns the exit status: 0 done, 2 held or done in part, 1 failed, 4 the time
 * was up, 3 the fleet ended, 69 another keeper came that does not go on with it. */
int rk_follow(const struct rk_follow *f);

#endif
