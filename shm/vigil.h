/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vigil: the bell that the supervisor's guard waits on while every worker of
 * the fleet is parked and there is nothing to watch (P11), so that no stop of
 * a worker with work goes unnoticed for ever.
 *
 * The guard parks when it has seen every worker PARKED without work. Whoever
 * ends that rings: a worker that wakes says so and rings before it takes
 * `parked` from its own bell, and whoever rings a parked worker rings here too
 * (rk_bell_ring_partition(), rk_bell_ring_stop()), since a stopped worker says
 * nothing.
 *
 *   guard   parks the bell V1, then looks at states and pending bits V2
 *   worker  state READY V3, then looks at the bell (P2 of bell.c), unparks its own
 *   ringer  pending bit P1, worker's bell P2, then this bell
 *
 * All of them are sequentially consistent. If V2 still reads PARKED, V1 came
 * before V3, and the worker rings. If V2 reads no work, V1 came before P1, and
 * the ringer rings, unless it finds the worker's bell unparked: then the worker
 * has rung before. Shown by doc/models/vigil.pml.
 *
 * Who       rouse: the worker's job thread. The others: the guard.
 * Crash     a ringer that dies in between is made good by whoever confirms its
 *           death (rk_bell_ring_pending()); the supervisor rings its guard then.
 *           One that stops holds up only the notice of its own work.
 * Blocking  never; rouse makes at most one futex call.
 */
#ifndef RK_SHM_VIGIL_H
#define RK_SHM_VIGIL_H

#include "shm/layout.h"

/* Worker, awake after it had declared PARKED, before rk_bell_unpark(): declares READY. */
void rk_vigil_rouse(const struct rk_shm *m, uint32_t worker);

/* Whether a partition is marked as having work for this worker; one that is told to pause has none. */
bool rk_vigil_has_work(const struct rk_shm *m, uint32_t worker);

/*
 * Guard: whether the worker's bell says that it is parked, and no partition is marked as having
 * work for it. Cheap, as the bells lie close together, but anybody who may ring may write there: the
 * beat page decides.
 */
bool rk_vigil_seems_asleep(const struct rk_shm *m, uint32_t worker);

/*
 * Guard, behind rk_bell_park(rk_shm_vigil(m)): whether this incarnation of the worker is parked and
 * has no work, so that somebody will ring before that changes.
 */
bool rk_vigil_is_needless(const struct rk_shm *m, uint32_t worker, uint64_t incarnation);

#endif
