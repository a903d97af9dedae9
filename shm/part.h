/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part: who owns a partition. The supervisor assigns, after release or
 * confirmed death only (rule R2); the commit word carries the incarnation, so
 * that whoever lost the partition cannot commit.
 *
 *   nobody's --assign--> RUN --ask (H1)--> STOP --release (H2)--> RELEASED --assign--> RUN
 *                         +--------- confirmed death: assign ------------------------> RUN
 *
 * Who       release: the owner. The rest: the supervisor.
 * Crash     assign, killed between the two words: it is repeated, with one more
 *           incarnation.
 * Blocking  never. Units incarnations have 16 bits and wrap past zero.
 */
#ifndef RK_SHM_PART_H
#define RK_SHM_PART_H

#include <stdbool.h>

#include "shm/layout.h"

/* Creator: cursor, freed and gate at `first` (0 but in tests of the wrap), nobody's. */
void rk_part_init(const struct rk_shm *m, uint32_t partition, uint64_t first);

/*
 * Makes `worker` the owner of a partition whose previous owner released it or
 * is confirmed dead. Returns the new incarnation, > 0; -EBUSY if the commit
 * word changed meanwhile: the previous owner was alive after all.
 */
RK_MUST_USE int rk_part_assign(const struct rk_shm *m, uint32_t partition, uint32_t worker, uint32_t bank);

/* Publishes the route word of a partition after its owner word. */
void rk_part_route(const struct rk_shm *m, uint32_t partition, uint32_t worker, uint32_t flags);

/* ---- hand-over ---- */

/*
 * Asks the owner to release the partition, and rings it. Returns 0, also when
 * it was asked or has released already; -ESTALE: nobody runs it.
 */
RK_MUST_USE int rk_part_ask(const struct rk_shm *m, uint32_t partition);

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

#endif
