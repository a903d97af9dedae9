/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue: a partition's ring of references to cells (DESIGN §6, steps 2 to 4).
 *
 * A reference is one u64: lap | cell | state. One CAS FREE -> READY at the tail
 * publishes; there is no claim, so a publisher that dies or stops anywhere
 * holds up nobody. The place's lap is the only thing that says whether a
 * reference is still the one it was.
 *
 *   FREE(lap) --publish--> READY --take--> TAKEN --recycle--> FREE(lap+1)
 *                            \--tomb----> TOMB  --recycle------^
 *
 * Who       publish, tomb, outstanding: any client for its own cells.
 *           take, recycle: the partition's owner alone.
 * Crash     killed anywhere: the ring goes on; see the kill points QUEUE_*.
 * Blocking  never. Loops are bounded by private constants.
 * Units     positions and laps: jobs since creation, 48 bits, wrapping.
 *
 * Against each other: publish/publish, publish/take, publish/recycle, tomb/take,
 * tomb/recycle may run at once; take/take and recycle/recycle only when an
 * evicted owner meets its successor (both CASes carry the lap: one wins).
 *
 * Source of the help-the-tail step: Michael and Scott's queue (PODC 1996); the
 * lap in the place: Vyukov's bounded queue. Ours has no claim between them.
 */
#ifndef RK_SHM_QUEUE_H
#define RK_SHM_QUEUE_H

#include "shm/layout.h"

enum rk_queue_result {
	RK_QUEUE_OK,
	RK_QUEUE_FULL, /* the tail's place carries the previous lap: nothing was published */
	RK_QUEUE_HELD, /* both places for noting a reference are in use: nothing was published */
};

/* Creator: all places FREE at the lap of `first`, tail there. first is 0 but in tests of the wrap. */
void rk_queue_init(const struct rk_shm *m, uint32_t partition, uint64_t first);

/*
 * Publishes a reference to a cell that says WANT. Returns RK_QUEUE_OK, or
 * RK_QUEUE_FULL or RK_QUEUE_HELD, with nothing published. The caller then
 * rings the owner.
 */
RK_MUST_USE enum rk_queue_result rk_queue_publish(const struct rk_shm *m, uint32_t partition, uint32_t cell);

/*
 * What the ring holds of the reference noted in `where`: RK_REF_READY,
 * RK_REF_TAKEN, or RK_REF_FREE when it names this cell there no more.
 */
enum rk_ref_state rk_queue_outstanding(const struct rk_shm *m, uint32_t cell, uint64_t where);

/* Jobs published at a partition, neither committed nor withdrawn, as whoever looks from outside sees it. */
uint32_t rk_queue_depth(const struct rk_shm *m, uint32_t partition);

/* Whether any ring names this cell in READY or TAKEN. */
bool rk_queue_names(const struct rk_shm *m, uint32_t cell);

/* Withdraws this cell's READY references: how many became TOMB. */
unsigned int rk_queue_tomb(const struct rk_shm *m, uint32_t cell);

/* Owner: the reference at this position, or 0 when nothing is published there. */
uint64_t rk_queue_peek(const struct rk_shm *m, uint32_t partition, uint64_t position);

/* Owner: READY -> TAKEN. False when the client withdrew it at the same moment: peek again. */
bool rk_queue_take(const struct rk_shm *m, uint32_t partition, uint64_t position, uint64_t ref);

/* Owner: gives the place to the next lap; conditional on the reference's lap. */
void rk_queue_recycle(const struct rk_shm *m, uint32_t partition, uint64_t position, uint64_t ref);

/* Whether the tail's place still carries the previous lap: nothing can be published now. */
bool rk_queue_is_full(const struct rk_shm *m, uint32_t partition);

/* Whether something is published that is not committed yet. Any process that maps parts and queues. */
bool rk_queue_has_work(const struct rk_shm *m, uint32_t partition);

#endif
