/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part: who owns a partition. The supervisor assigns, after release or
 * confirmed death only (rule R2); the commit word carries the incarnation, so
 * that whoever lost the partition cannot commit.
 *
 * Who       the supervisor.
 * Crash     killed between the two words: the assignment is repeated, with one
 *           more incarnation.
 * Blocking  never. Units incarnations have 16 bits and wrap past zero.
 */
#ifndef RK_SHM_PART_H
#define RK_SHM_PART_H

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

#endif
