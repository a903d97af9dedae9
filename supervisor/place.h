/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Place: which slot owns which partition, recomputed when a fleet is scaled
 * or a slot is given up. (A restart changes neither; it does not come here.)
 *
 * The old table is an input, because minimal moves and a balance within one
 * partition cannot both be had from the set of members alone.
 *
 *  1. Quotas by largest remainder of the weights. A tie goes to whoever holds
 *     more above the whole part of its share, then to the lower hash. (With
 *     equal weights that is whoever holds more; with unequal ones, plain
 *     "holds more" would move partitions although nothing had changed.)
 *  2. Partitions of absent slots are free; a slot over its quota sheds those
 *     with its lowest rendezvous scores.
 *  3. Free partitions, in index order, go to the slot with the highest score
 *     among those still under their quota.
 *
 * So every slot ends less than one partition from its exact share, and no
 * table with these quotas is fewer moves away.
 *
 * Who       the supervisor's loop, simulations and tests; pure: the result
 *           depends on the arguments alone, not on the order of the members.
 * Crash     works on the caller's private memory; publishing is the caller's.
 * Blocking  never; no allocation, no system call, integers only. Time grows
 *           with n_partitions + moves * slots under quota: 0.04 ms when one of
 *           64 leaves 2^14 partitions, 0.2 s for a first table of the maximum.
 * Units     weights are relative; moves and quotas count partitions.
 *
 * Hosts of one cluster must come to the same table: a change to the hash or to
 * a tie rule is a change of protocol, and the golden test says so.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

#define RK_PLACE_NONE 0xffffu              /* table entry: nobody owns the partition */
#define RK_PLACE_MEMBERS_MAX 4096u         /* members of one view */
#define RK_PLACE_PARTITIONS_MAX (1u << 16) /* entries of one table */

/* A slot that is present and may own partitions. */
struct rk_place_member {
	uint64_t id;     /* what is hashed; stable over restarts, unique in the view */
	uint32_t weight; /* share relative to the others, at least 1 */
	uint16_t slot;   /* what the table names; unique, any but RK_PLACE_NONE */
};

struct rk_place_view {
	const struct rk_place_member *members; /* in any order; borrowed */
	uint32_t n_members;                    /* 1..RK_PLACE_MEMBERS_MAX */
	uint64_t seed;                         /* of the fleet; never changes in its life */
};

/* Bytes of scratch: 128 KiB, and 16 per partition, and 48 per member. */
size_t rk_place_scratch_size(uint32_t n_partitions, uint32_t n_members);

/*
 * Rewrites table[0..n_partitions) in place so that the members of view share
 * it. An entry that names no member, whatever its value, counts as free.
 *
 * scratch has rk_place_scratch_size() bytes or more, aligned as by malloc(),
 * belongs to the caller and holds nothing between calls.
 *
 * Returns 0 and the number of entries that changed in *ret_n_moves; -EINVAL,
 * with table and *ret_n_moves untouched, if n_partitions is not a power of two
 * up to RK_PLACE_PARTITIONS_MAX, the view has no members or too many, a weight
 * is zero, a slot is RK_PLACE_NONE, or two members share a slot or an id.
 */
RK_MUST_USE int rk_place_rebalance(uint16_t *table, uint32_t n_partitions,
				   const struct rk_place_view *view, void *scratch,
				   uint32_t *ret_n_moves);
