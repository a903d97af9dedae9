/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evict: taking a partition from an owner that can neither release nor die
 * (stopped and not to be killed, or in an uninterruptible sleep), by giving its
 * successor a copy of the state (DESIGN §7).
 *
 *   supervisor  V1 commit word: next incarnation - the old owner's commits fail from here on
 *               V2 owner word: COPY, to this worker, from that bank into this one
 *               route, bells
 *   successor   state, V3 log word, the entries below it; then V4 owner word: RUN;
 *               rk_owner_open() rolls back in the copy
 *
 * The old owner may be running all the while, up to its next commit or look at
 * the commit word. That is why the copy takes the log after the state: for every
 * changed byte that was copied the log has the old one, and within one job
 * number the log only grows. The old bank stays reserved in the journal until
 * that worker's death is confirmed.
 *
 * Who       rk_evict, _wake, _bury: the supervisor. look, copy: the successor.
 * Crash     supervisor killed before V2: the old owner ends at its next commit
 *           and its death is an ordinary one; or it is evicted again. Successor
 *           killed before V4: the next one copies again, from the same bank,
 *           which rk_part_assign() sees to.
 * Blocking  never, but for waking. The copy takes as long as the state is
 *           large, in the successor; holes are not copied.
 */
#ifndef RK_SHM_EVICT_H
#define RK_SHM_EVICT_H

#include "shm/layout.h"

/* ---- supervisor ---- */

/*
 * Gives the partition to worker `to`, whose process is alive, by copy; rings
 * it, and the old owner, so that it finds out; wakes the client of the cell it
 * had declared. m->journal is mapped.
 * Returns the new incarnation, > 0 (also when the old owner released it at this
 * very moment: then nothing needs to be copied); -EBUSY: no bank is free, or
 * the commit word never stands still: nothing has changed, but that in the
 * latter case the old owner may have lost it; -ESTALE: nobody is to run it, or
 * `to` is its owner; -EPROTO: the owner word names a bank that does not exist.
 */
RK_MUST_USE int rk_evict(const struct rk_shm *m, uint32_t partition, uint32_t to);

/*
 * Wakes the client of the cell that this worker has declared: whatever it was
 * about to wake. Call it whenever a worker that was evicted is found stopped.
 */
void rk_evict_wake(const struct rk_shm *m, uint32_t worker);

/*
 * While there is no bank to copy a partition into: a worker whose confirmed death frees one;
 * RK_WORKER_NONE if there is none.
 */
uint32_t rk_evict_keeper(const struct rk_shm *m, uint32_t partition);

/* After a worker's confirmed death: the banks it was evicted from are free. Idempotent. */
void rk_evict_bury(const struct rk_shm *m, uint32_t worker);

/* ---- successor ---- */

/* The bank this worker is to copy to, and the one to copy from; -ESTALE if it is not to copy. */
RK_MUST_USE int rk_evict_look(const struct rk_shm *m, uint32_t partition, uint32_t worker,
			      uint32_t *ret_from);

/* The two banks, mapped; and the state segment, whose holes tell what need not be copied. */
struct rk_evict_banks {
	const void *from;
	void *to;
	int fd;                  /* -1: everything is copied */
	uint64_t from_at, to_at; /* where they lie in fd */
};

/*
 * Copies and takes the partition over; rk_owner_open() with the new bank comes
 * next. Returns 0; -ESTALE if it is not to copy (any more); -errno of the
 * kernel for fd.
 */
RK_MUST_USE int rk_evict_copy(const struct rk_shm *m, uint32_t partition, uint32_t worker,
			      const struct rk_evict_banks *banks);

#endif
