/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part: who owns a partition, and how often the job at its cursor has failed.
 * The supervisor assigns, after release or confirmed death only (rule R2; by
 * copy: shm/evict.h); the commit word carries the incarnation, so that whoever
 * lost the partition cannot commit.
 *
 *   nobody's --assign--> RUN --ask (H1)--> STOP --release (H2)--> RELEASED --assign--> RUN
 *                         +------- confirmed death: charge, assign -------------------> RUN
 *
 * Who       release: the owner. The rest: the supervisor.
 * Crash     assign, killed between the two words: it is repeated, with one more
 *           incarnation. charge, killed anywhere: it is repeated and counts once.
 * Blocking  never. Units incarnations have 16 bits and wrap past zero.
 *
 * Order after a confirmed death: sweep (deliver.h, dead.h), bury (evict.h),
 * blame and charge, assign, route, ring, and only then start the slot again:
 * its process takes the beat page that tells whom to blame.
 */
#ifndef RK_SHM_PART_H
#define RK_SHM_PART_H

#include <stdbool.h>

#include "shm/layout.h"

/* Creator: cursor, freed and gate at `first` (0 but in tests of the wrap), nobody's. */
void rk_part_init(const struct rk_shm *m, uint32_t partition, uint64_t first);

/*
 * Makes `worker` the owner of a partition whose previous owner released it or
 * is confirmed dead. The bank stays the one it has; a take-over by copy that
 * the previous owner had not finished begins again. Returns the new
 * incarnation, > 0; -EBUSY if the commit word changed meanwhile: the previous
 * owner was alive after all; -EPROTO if the owner word, which its worker may
 * have scribbled over, names a bank that does not exist.
 */
RK_MUST_USE int rk_part_assign(const struct rk_shm *m, uint32_t partition, uint32_t worker);

/* Publishes the route word of a partition after its owner word. */
void rk_part_route(const struct rk_shm *m, uint32_t partition, uint32_t worker, uint32_t flags);

/* ---- hand-over ---- */

/*
 * Asks the owner to release the partition, and rings it. Returns 0, also when
 * it was asked or has released already; -ESTALE: nobody runs it, or its owner
 * has still to copy it: ask again later.
 */
int rk_part_ask(const struct rk_shm *m, uint32_t partition);

/*
 * Takes the question back, as a successor of the supervisor that asked. Returns true if the owner
 * goes on; false if it was not asked, or has released the partition.
 */
bool rk_part_unask(const struct rk_shm *m, uint32_t partition);

/* Whether it was released: rk_part_assign() may follow. */
bool rk_part_is_released(const struct rk_shm *m, uint32_t partition);

/* Owner: whether this worker is asked to release it. */
bool rk_part_is_asked(const struct rk_shm *m, uint32_t partition, uint32_t worker);

/*
 * Owner, between two jobs: gives the partition back as it was asked to. From
 * here on it touches nothing of it. Replies behind a closed gate are left to
 * the next owner. Returns 0; -ESTALE if it was not asked, or has lost it.
 */
RK_MUST_USE int rk_part_release(const struct rk_shm *m, uint32_t partition, uint32_t worker);

/* ---- attempts ---- */

/*
 * Whom to blame for the end of this worker: the job it was in, by its own beat
 * page, which is believed only where it fits what the worker owns. Also for one
 * that is alive and will be evicted. Returns false if it was in no handler.
 */
bool rk_part_blame(const struct rk_shm *m, uint32_t worker, uint32_t *ret_partition, uint64_t *ret_job);

/*
 * Counts one attempt at this job against it; another job's count is forgotten.
 * Before the partition passes on. Called again for the same death, whoever was
 * killed in between, it counts once. Returns the count.
 */
uint32_t rk_part_charge(const struct rk_shm *m, uint32_t partition, uint64_t job);

/*
 * The same for a death whose cause became known only behind that: incarnation is the one under
 * which the job ran then. The caller has seen that the job is not committed.
 */
uint32_t rk_part_charge_late(const struct rk_shm *m, uint32_t partition, uint64_t job, uint32_t incarnation);

/*
 * Takes one attempt back: its death was not the job's doing after all. Nothing
 * if the job has none any more, or is committed, quarantined with it. Killed
 * before: the job has one attempt less to go.
 */
void rk_part_forgive(const struct rk_shm *m, uint32_t partition, uint64_t job);

/* How often the job at the cursor has failed so far. */
uint32_t rk_part_attempts(const struct rk_shm *m, uint32_t partition);

#endif
