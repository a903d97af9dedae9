/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/map_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the hash's top bits, as rk_route_partition() takes them: right for one partition, too. */
static uint64_t first_hash(const struct rk_map *map, uint32_t partition)
{
	return (uint64_t)(((unsigned __int128)partition << 64) / map->n_partitions);
}

static uint64_t last_hash(const struct rk_map *map, uint32_t partition)
{
	return partition + 1 == map->n_partitions ? UINT64_MAX : first_hash(map, partition + 1) - 1;
}

/* Whose slot a line may name. */
static bool is_somewhere(const struct rk_map *map, uint32_t slot)
{
	return slot < map->n_slots && map->endpoint[slot];
}

static bool is_same_line(const struct rk_map *map, uint32_t a, uint32_t b)
{
	return a == b || (!is_somewhere(map, a) && !is_somewhere(map, b));
}

static void line_print(const struct rk_map *map, uint32_t first, uint32_t last, FILE *to)
{
	uint32_t slot = map->owner[first];
	bool is_there = is_somewhere(map, slot);

	(void)fprintf(to, "%016" PRIx64 "-%016" PRIx64 " %s %s\n", first_hash(map, first), last_hash(map, last),
		      is_there ? map->endpoint[slot] : RK_MAP_NOWHERE, is_there ? map->state[slot] : "none");
}

static void map_print(const struct rk_map *map, FILE *to)
{
	uint32_t first = 0;

	(void)fprintf(to, "# rekindle map %u\n# fleet %s\n# hash xxh3-64\n# seed %016" PRIx64 "\n# partitions %u\n",
		      RK_MAP_VERSION, map->fleet, map->seed, map->n_partitions);
	for (uint32_t p = 1; p <= map->n_partitions; p++) {
		if (p < map->n_partitions && is_same_line(map, map->owner[p], map->owner[first]))
			continue;
		line_print(map, first, p - 1, to);
		first = p;
	}
}

char *rk_map_text(const struct rk_map *map, size_t *ret_len)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, ret_len);
	bool is_whole;

	if (!to)
		return NULL;
	map_print(map, to);
	is_whole = !ferror(to);
	if (fclose(to) == 0 && is_whole)
		return text;
	free(text);
	return NULL;
}
