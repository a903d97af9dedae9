/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   From a 16-byte key to the address of its worker and whether that one is ready takes at most
 *         5 ns (rk_addresses_find()).
 * Method  1024 random keys in turn, 256 partitions of 16 workers, a published view; each run looks all keys up 64
 *         times. The floor is the same without a fleet: hash, partition, and two private tables, of
 *         the partitions' workers and the workers' addresses. Then the first lookup behind a view
 *         that was published, which copies it; its floor is the copying alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "shm/board.h"
#include "shm/part.h"
#include "shm/route.h"
#include "shm/words.h"
#include "workers/lib/addresses.h"

#define N_KEYS 1024u
#define N_ROUNDS 64u
#define N_WORKERS 16u

struct lookups {
	struct bench_world w;
	struct rk_board_writer writer;
	struct rk_view *view;
	struct rk_addresses *addresses;
	struct {
		char text[16];
	} key[N_KEYS];
	size_t len; /* read at run time, as a client's is */
	uint16_t owner[256];
	const char *address[N_WORKERS];
	uint64_t sum;
};

static double run(void *arg)
{
	struct lookups *k = arg;
	uint64_t start_ns = rk_clock_ns(), sum = 0;

	for (uint32_t i = 0; i < N_KEYS * N_ROUNDS; i++) {
		struct rk_address a;

		(void)rk_addresses_find(k->addresses, k->key[i % N_KEYS].text, k->len, &a);
		sum += (uintptr_t)a.text + (uint64_t)a.state;
	}
	k->sum += sum;
	return (double)(rk_clock_ns() - start_ns) / (N_KEYS * N_ROUNDS);
}

static double run_floor(void *arg)
{
	struct lookups *k = arg;
	uint64_t start_ns = rk_clock_ns(), sum = 0;

	for (uint32_t i = 0; i < N_KEYS * N_ROUNDS; i++)
		sum += (uintptr_t)k->address[k->owner[rk_route_partition(&k->w.m.g, k->key[i % N_KEYS].text, k->len)]];
	k->sum += sum;
	return (double)(rk_clock_ns() - start_ns) / (N_KEYS * N_ROUNDS);
}

static double run_renewal(void *arg)
{
	struct lookups *k = arg;
	struct rk_address a;
	uint64_t start_ns;

	bench_need(rk_board_publish(&k->writer, k->view), "a view");
	start_ns = rk_clock_ns();
	(void)rk_addresses_find(k->addresses, k->key[0].text, k->len, &a);
	k->sum += (uint64_t)a.partition;
	return (double)(rk_clock_ns() - start_ns) / 1000;
}

static double run_copy(void *arg)
{
	struct lookups *k = arg;
	uint64_t start_ns = rk_clock_ns();

	bench_need(rk_board_copy(&k->w.m, k->view), "a copy");
	return (double)(rk_clock_ns() - start_ns) / 1000;
}

static bool is_dead(uint32_t reader, void *arg)
{
	(void)reader;
	(void)arg;
	return true;
}

/* All workers ready, the partitions spread over them. */
static void fleet_make(struct lookups *k)
{
	struct json_object *answer = json_tokener_parse(
		"{\"address\":{\"text\":\"127.0.0.1:%p\",\"port\":7000,\"fleet\":\"bench\"}}");
	struct rk_endpoints endpoints;
	const struct rk_shm *m = &k->w.m;

	bench_need(answer != NULL && rk_endpoints_read(&endpoints, answer, m->g.n_workers, NULL) == 0, "endpoints");
	json_object_put(answer);
	m->board->epoch_mode = RK_EPOCH_EXCHANGE; /* one process reads and writes it */
	rk_board_writer_init(&k->writer, m, is_dead, NULL);
	k->view = calloc(1, m->l.view_stride);
	bench_need(k->view != NULL, "memory");
	for (uint32_t i = 0; i < N_WORKERS; i++)
		rk_view_slots(k->view)[i].state = RK_SLOT_READY;
	bench_need(rk_board_publish(&k->writer, k->view), "a view");
	for (uint32_t p = 0; p < m->g.n_partitions; p++) {
		rk_part_route(m, p, p % N_WORKERS, RK_ROUTE_UP);
		k->owner[p] = (uint16_t)(p % N_WORKERS);
	}
	bench_need(rk_addresses_make(&k->addresses, m, &endpoints) == 0, "addresses");
	for (uint32_t i = 0; i < N_WORKERS; i++)
		k->address[i] = k->addresses->slots[i].text;
}

int main(void)
{
	struct lookups *k = calloc(1, sizeof(*k));
	struct rk_address a;
	struct rk_geometry g;
	uint64_t seed = 1;

	bench_need(k != NULL, "memory");
	bench_world_geometry(&g);
	g.n_workers = N_WORKERS;
	g.n_partitions = 256;
	bench_world_make(&k->w, &g);
	k->len = strtoul("16", NULL, 10); /* not a constant for the compiler */
	for (uint32_t i = 0; i < N_KEYS; i++)
		for (uint32_t b = 0; b < sizeof(k->key[i]); b += 8) {
			uint64_t word = bench_random(&seed);

			memcpy(&k->key[i].text[b], &word, 8);
		}
	k->w.m.readers = bench_shared(k->w.m.l.readers_len); /* that the writer looks at */
	fleet_make(k);
	bench_need(rk_addresses_find(k->addresses, k->key[0].text, k->len, &a) == 0 && a.state == RK_ADDRESS_READY,
		   "an address that is ready");
	bench_pin(0);
	bench_case(&(struct bench_case){ .bench = "address", .name = "16-byte key to address and state", .unit = "ns",
					 .run = run, .floor = run_floor, .floor_what = "hash and two private tables",
					 .arg = k, .n_runs = bench_scale(1000), .aim = 5 });
	bench_case(&(struct bench_case){ .bench = "address", .name = "the first behind a new view", .unit = "us",
					 .run = run_renewal, .floor = run_copy, .floor_what = "copying the view",
					 .arg = k, .n_runs = bench_scale(1000) });
	bench_need(k->sum != 0, "sums"); /* used, so that nothing is optimized away */
	rk_addresses_close(k->addresses);
	free(k->view);
	free(k);
	return 0;
}
