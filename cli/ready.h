/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ready: waiting until a fleet is there, all its workers are ready and each partition has one.
 *
 * Who       rekindle, one thread.
 * Blocking  until then, or the deadline: asleep on the board, which wakes with each new view. What
 *           no view tells (that a fleet comes, that a worker is stopped by a signal) is looked at
 *           every RK_READY_LOOK_MS.
 * Units     CLOCK_MONOTONIC ns.
 */
#ifndef RK_CLI_READY_H
#define RK_CLI_READY_H

#include "cli/look.h"

#define RK_READY_LOOK_MS 100u

#define RK_READY_LATE 1

/*
 * Opens the look at the fleet of this name (NULL: whichever runs), which may not run yet, and
 * waits; also for a supervisor that answers. Returns 0 when all are ready; RK_READY_LATE when the time is up, and the look shows who
 * is not; -ENOENT when no fleet has come by then, or it ended; -errno as rk_look_open().
 * rk_look_close_p() in any case.
 */
RK_MUST_USE int rk_ready_wait(struct rk_look *l, const char *name, uint64_t deadline_ns,
			      struct rk_err *err);

#endif
