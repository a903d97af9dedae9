/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mark: what every process that a slot's process has started carries, and each of theirs, whatever became of
 * parents and sessions, so that a dead worker's tree can be found. There are two of them, which are inherited in
 * different ways:
 *
 *   REKINDLE_TREE=FLEET.SLOT   in the environment. Lost where a program writes over it (setproctitle) or clears it
 *   RLIMIT_RTTIME              a number near 2^62 µs that means FLEET and SLOT, as bound of real-time CPU time no
 *                              bound at all. Nobody can write over it by accident, exec keeps it, and
 *                              /proc/PID/limits shows it of other users' processes too. Not given where there is a bound
 *
 * FLEET is the random number that the fleet's memory has, so it means this fleet, whoever supervises it.
 *
 * Who       rk_mark_give(): a child between clone and exec; the rest: the supervisor's loop.
 * Blocking  never (procfs); no allocation.
 */
#ifndef RK_SUPERVISOR_MARK_H
#define RK_SUPERVISOR_MARK_H

#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"

#define RK_MARK_VARIABLE "REKINDLE_TREE="
#define RK_MARK_TEXT 64u        /* bytes of the variable with its NUL */
#define RK_MARK_SLOTS 4095u     /* slots have smaller numbers; this one: of a process that has none yet */

/* A fleet's. */
struct rk_mark {
	uint64_t fleet[2];
	uint64_t limit; /* of slot 0 */
};

/* Whose a process is. */
enum rk_mark_whose {
	RK_MARK_NOBODY, /* it has no mark */
	RK_MARK_OURS,   /* a slot of this fleet */
	RK_MARK_OTHER   /* another fleet's, or a process without a slot */
};

/* fleet: as the segments have it. */
struct rk_mark rk_mark_of(const uint64_t fleet[2]);

/* "REKINDLE_TREE=…"; slot: RK_MARK_SLOTS or more for none. Returns text. */
const char *rk_mark_variable(const struct rk_mark *m, uint32_t slot, char text[static RK_MARK_TEXT]);

/* The limit that means a slot; never 0. */
uint64_t rk_mark_limit(const struct rk_mark *m, uint32_t slot);

/* In the child: takes the limit on, where there is none. Async-signal-safe. */
void rk_mark_give(uint64_t limit);

/* Whose it is, by a limit; by an environment of len bytes, of which the last line may be cut off. Pure. */
enum rk_mark_whose rk_mark_by_limit(const struct rk_mark *m, uint64_t limit, uint32_t *ret_slot);
enum rk_mark_whose rk_mark_by_environment(const struct rk_mark *m, const char *text, size_t len, uint32_t *ret_slot);

/* The limit in the text of /proc/PID/limits; RLIM_INFINITY if there is none. Pure. */
uint64_t rk_mark_parse_limits(const char *text);

/* Whose a process is that may be gone: then nobody's. *ret_slot: of OURS. */
enum rk_mark_whose rk_mark_look(const struct rk_mark *m, pid_t pid, uint32_t *ret_slot);

#endif
