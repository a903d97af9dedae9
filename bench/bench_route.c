/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   From a 16-byte key to the address of the ring that its job goes to -
 *         hash, partition, route word, ring - takes at most 3 ns.
 * Method  1024 random keys in turn, 256 partitions; each run does all keys 64
 *         times. The floor is the hash (XXH3, seeded) of the same keys alone.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "shm/route.h"
#include "shm/words.h"

#define N_KEYS 1024u
#define N_ROUNDS 64u

struct keys {
	struct bench_world w;
	struct {
		char text[16];
	} key[N_KEYS];
	size_t len; /* read at run time, as a client's is */
	uint64_t sum;
};

static double run(void *arg)
{
	struct keys *k = arg;
	const struct rk_shm *m = &k->w.m;
	uint64_t start_ns = rk_clock_ns(), sum = 0;

	for (uint32_t i = 0; i < N_KEYS * N_ROUNDS; i++) {
		uint32_t p = rk_route_partition(&m->g, k->key[i % N_KEYS].text, k->len);
		uint64_t route = atomic_load_explicit(&rk_shm_routes(m)[p], memory_order_acquire);

		sum += (uintptr_t)rk_shm_ring(m, p) + rk_route_worker(route);
	}
	k->sum += sum;
	return (double)(rk_clock_ns() - start_ns) / (N_KEYS * N_ROUNDS);
}

static double run_floor(void *arg)
{
	struct keys *k = arg;
	uint64_t start_ns = rk_clock_ns(), sum = 0;

	for (uint32_t i = 0; i < N_KEYS * N_ROUNDS; i++)
		sum += XXH3_64bits_withSeed(k->key[i % N_KEYS].text, k->len, k->w.m.g.hash_seed);
	k->sum += sum;
	return (double)(rk_clock_ns() - start_ns) / (N_KEYS * N_ROUNDS);
}

int main(void)
{
	struct keys *k = calloc(1, sizeof(*k));
	struct rk_geometry g;
	uint64_t seed = 1;

	bench_need(k != NULL, "memory");
	bench_world_geometry(&g);
	g.n_partitions = 256;
	bench_world_make(&k->w, &g);
	k->len = strtoul("16", NULL, 10); /* not a constant for the compiler */
	for (uint32_t i = 0; i < N_KEYS; i++)
		for (uint32_t b = 0; b < sizeof(k->key[i]); b += 8) {
			uint64_t word = bench_random(&seed);

			memcpy(&k->key[i].text[b], &word, 8);
		}
	bench_pin(0);
	bench_case(&(struct bench_case){ .bench = "route", .name = "16-byte key to ring", .unit = "ns", .run = run,
					 .floor = run_floor, .floor_what = "XXH3 of the key", .arg = k,
					 .n_runs = bench_scale(1000), .aim = 3 });
	bench_need(k->sum != 0, "sums"); /* used, so that nothing is optimized away */
	free(k);
	return 0;
}
