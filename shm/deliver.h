/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliver: from a committed reply to the cell that waits for it, and the sweep
 * after a worker's death (DESIGN §6, steps 4 and 5).
 *
 *   cell word:  WANT(s) --D2--> WRITING(s, worker) --D4--> DONE(s) --client--> IDLE
 *                  ^                   |
 *                  +----- sweep D5 ----+   after the writer's confirmed death
 *
 * Order for each job: gate, deliver, recycle, raise `freed`. A successor first
 * delivers everything in [freed, cursor).
 *
 * Who       deliver: the partition's owner. sweep: the supervisor, after the
 *           worker's confirmed death and before its partitions pass on.
 * Crash     killed anywhere: at most one cell is left WRITING, and the dead
 *           worker's beat page names it.
 * Blocking  never, but for the futex call that wakes a waiting client.
 *
 * Against each other: deliver/time-out (the cell's CAS decides), deliver/sweep
 * (another worker's WRITING raises `skip` and is asked again), deliver/deliver
 * (owner and evicted owner: the CAS names the writer).
 */
#ifndef RK_SHM_DELIVER_H
#define RK_SHM_DELIVER_H

#include "shm/state.h"

/*
 * Delivers and recycles the committed job at this position; its gate must be
 * open. worker is the deliverer's own number.
 */
void rk_deliver(struct rk_bank *b, uint32_t partition, uint32_t worker, uint64_t position);

/*
 * Repairs the one cell that a dead worker may have been writing and wakes its
 * client. Idempotent; may be killed and repeated.
 */
void rk_deliver_sweep(const struct rk_shm *m, uint32_t worker);

/* Wakes whoever waits for this cell. */
void rk_deliver_wake(const struct rk_shm *m, uint32_t cell);

#endif
