/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standby: a process that has attached to the fleet and waits, parked, to become the worker of a
 * slot whose own has died: without exec, dynamic linking and attaching in the way of its first job.
 *
 * It touches beforehand what a worker's first steps touch: code, its own memory, the pages of the
 * fleet that all workers share. It owns nothing and maps no state: a partition's memory is mapped
 * when it is taken up, as by any worker.
 *
 * Who       the worker's job thread, once, between attaching and taking the lease.
 * Crash     before the order it is nobody; from then on it is that slot's worker (shm/owner.h).
 * Blocking  as long as it is not needed.
 */
#ifndef RK_LIB_STANDBY_H
#define RK_LIB_STANDBY_H

#include "workers/lib/worker.h"

#define RK_STANDBY_UNWANTED 1 /* nobody will promote it: the process ends */

/*
 * Parks until the supervisor makes it a worker: w->number and w->incarnation are set then, and its
 * output is the slot's. Returns 0; RK_STANDBY_UNWANTED; -errno with a sentence.
 */
RK_MUST_USE int rk_standby_wait(struct worker *w, struct rk_err *err);

#endif
