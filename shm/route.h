/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Route: from a key to its partition (DESIGN §5). XXH3 with the fleet's seed,
 * top bits; partition to worker is the route word on the board.
 *
 * Who       anybody. Pure. Source: XXH3 by Collet, as libxxhash has it.
 */
#ifndef RK_SHM_ROUTE_H
#define RK_SHM_ROUTE_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "shm/layout.h"

/* Partition of a key of len bytes; n_partitions is a power of two. */
static inline uint32_t rk_route_partition(const struct rk_geometry *g, const void *key, size_t len)
{
	uint64_t hash = XXH3_64bits_withSeed(key, len, g->hash_seed);

	/* The top bits, by multiplication: right for one partition too, where a shift by 64 would not be. */
	return (uint32_t)(((unsigned __int128)hash * g->n_partitions) >> 64);
}

#endif
