/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guard: the one thread that watches over the workers of all fleets, each fleet a ward (ward.h).
 * It acts upon nothing: what it finds goes to the loop.
 *
 * Ticks are 40 ms apart, 10 ms while somebody is suspect. When two in a row have found every
 * worker of every fleet parked and without work the guard sleeps until somebody rings
 * (shm/vigil.h, rk_ward_follow()): then nothing wakes up (P11). It never parks at once after it
 * was rung, so that one who rings all the time costs 25 ticks a second and no more.
 *
 * Who       the supervisor's loop, one thread, between rk_watch_enter() and rk_watch_leave().
 * Crash     it dies with the supervisor; shared memory keeps a `parked` bit at most.
 * Blocking  close and leave wait for the tick under way; the rest never blocks.
 */
#ifndef RK_SUPERVISOR_GUARD_H
#define RK_SUPERVISOR_GUARD_H

#include "supervisor/ward.h"

#define RK_GUARD_WARDS_MAX 64u

struct rk_guard;

/*
 * Starts the thread; with is_realtime under SCHED_FIFO and with its memory locked, or with one
 * line in the log that says what is not permitted. The caller has blocked the signals it handles.
 * Returns 0; -errno.
 */
RK_MUST_USE int rk_guard_open(bool is_realtime, struct rk_guard **ret, struct rk_err *err);

/* Accepts NULL; every ward has left. */
void rk_guard_close(struct rk_guard *g);

/* Watches over the ward's workers from now on; no other ward has their memory. Returns 0; -ENOSPC
 * beyond RK_GUARD_WARDS_MAX. */
RK_MUST_USE int rk_guard_join(struct rk_guard *g, struct rk_ward *w);

/* The guard touches nothing of the ward any more. Nothing if it has not joined. */
void rk_guard_leave(struct rk_guard *g, struct rk_ward *w);

/* Ticks so far, and whether the thread sleeps until somebody rings: for tests. */
uint64_t rk_guard_n_ticks(const struct rk_guard *g);
bool rk_guard_is_parked(const struct rk_guard *g);

#endif
