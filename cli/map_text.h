/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Map text: where each key of a fleet lives, as lines that any language can look up (doc/address.md):
 *
 *     # rekindle map 1
 *     # fleet carts
 *     # hash xxh3-64
 *     # seed 00c0ffee00c0ffee
 *     # partitions 256
 *     0000000000000000-0cffffffffffffff 127.0.0.1:7002 ready
 *     0d00000000000000-1affffffffffffff 127.0.0.1:7000 wait
 *
 * FIRST-LAST ENDPOINT STATE: keys whose hash is in the range live there. The ranges are in their order
 * and leave nothing out, so the last FIRST that is not above the hash is the one. A line is a run of
 * partitions of one slot: what happens to a slot's process changes the STATE of its lines and
 * nothing else; only a partition that moves changes ranges.
 *
 * Who       rekindle, one thread; pure but for memory.
 */
#ifndef RK_CLI_MAP_TEXT_H
#define RK_CLI_MAP_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define RK_MAP_VERSION 1u
#define RK_MAP_NOWHERE "-" /* the ENDPOINT of partitions that nobody has */

struct rk_map {
	const char *fleet; /* as people name it */
	uint64_t seed;
	uint32_t n_partitions; /* a power of two */
	const uint32_t *owner; /* slot, by partition; n_slots or above: nobody's */
	uint32_t n_slots;
	const char *const *endpoint; /* by slot; NULL = it has none */
	const char *const *state;    /* by slot: one word */
};

/* The whole text, which the caller frees; NULL without memory. */
char *rk_map_text(const struct rk_map *map, size_t *ret_len);

#endif
