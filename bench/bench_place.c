/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   When one of 64 slots leaves, 2^14 partitions are placed anew within
 *         0.2 ms, and none moves needlessly.
 * Method  Each run a different slot leaves the same balanced table. A move is
 *         needless if its owner was still present. The floor, taken in turn
 *         with the runs, copies the table and hashes as often as rendezvous
 *         has to: once per free partition and slot then still under its quota.
 * Output  one JSON object on one line; times are medians.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/place.h"

#define N_PARTITIONS (1u << 14)
#define N_MEMBERS 64u
#define N_WARMUP 64u
#define N_RUNS 1024u
#define SEED 1u

struct bench {
	struct rk_place_member members[N_MEMBERS];
	uint16_t full[N_PARTITIONS]; /* placed on all members */
	uint16_t table[N_PARTITIONS];
	uint32_t n_moves;    /* of the last run */
	uint64_t n_needless; /* of all runs */
	uint64_t n_hashes;   /* of the last run */
	uint64_t sum;        /* of the floor's hashes */
	uint64_t took_ns[N_RUNS];
	uint64_t floor_ns[N_RUNS];
	void *scratch;
};

static void place(struct bench *b, uint16_t *table, uint32_t n_members)
{
	struct rk_place_view view = { b->members, n_members, SEED };

	if (rk_place_rebalance(table, N_PARTITIONS, &view, b->scratch, &b->n_moves) < 0)
		abort();
}

static struct bench *bench_new(void)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (!b || !(b->scratch = malloc(rk_place_scratch_size(N_PARTITIONS, N_MEMBERS))))
		abort();
	for (uint16_t i = 0; i < N_MEMBERS; i++)
		b->members[i] = (struct rk_place_member){ .id = i, .weight = 1, .slot = i };
	memset(b->full, 0xff, sizeof(b->full));
	place(b, b->full, N_MEMBERS);
	return b;
}

/* Puts the member that leaves next at the end, where a view of one less omits it. */
static uint16_t choose_leaver(struct bench *b, uint32_t run)
{
	struct rk_place_member *at = &b->members[run % (N_MEMBERS - 1)];
	struct rk_place_member leaver = *at;

	*at = b->members[N_MEMBERS - 1];
	b->members[N_MEMBERS - 1] = leaver;
	return leaver.slot;
}

/* Needless moves, and how many slots were under quota at each needed one, from the tables alone. */
static void count(struct bench *b, uint16_t leaver)
{
	uint32_t left[N_MEMBERS] = { 0 }; /* that each slot has still to get */
	uint32_t n_open = 0;

	b->n_hashes = 0;
	for (uint32_t p = 0; p < N_PARTITIONS; p++) {
		if (b->full[p] != b->table[p] && b->full[p] != leaver)
			b->n_needless++;
		if (b->full[p] == leaver)
			n_open += left[b->table[p]]++ == 0;
	}
	for (uint32_t p = 0; p < N_PARTITIONS; p++) {
		if (b->full[p] != leaver)
			continue;
		b->n_hashes += n_open;
		n_open -= --left[b->table[p]] == 0;
	}
}

static uint64_t run_once(struct bench *b)
{
	uint64_t start_ns;

	memcpy(b->table, b->full, sizeof(b->table));
	start_ns = rk_clock_ns();
	place(b, b->table, N_MEMBERS - 1);
	return rk_clock_ns() - start_ns;
}

/* What nobody can save: the copy of the table and the hashes (splitmix64's finalizer). */
static uint64_t run_floor(struct bench *b)
{
	uint64_t start_ns = rk_clock_ns();

	memcpy(b->table, b->full, sizeof(b->table));
	for (uint64_t i = 0; i < b->n_hashes; i++) {
		uint64_t x = i ^ b->table[i % N_PARTITIONS];

		x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
		b->sum += x ^ (x >> 31);
	}
	return rk_clock_ns() - start_ns;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t percentile(uint64_t *sorted, uint32_t percent)
{
	return sorted[(uint64_t)(N_RUNS - 1) * percent / 100];
}

int main(void)
{
	struct bench *b = bench_new();
	uint64_t p50_ns, floor_ns;

	for (uint32_t i = 0; i < N_WARMUP + N_RUNS; i++) {
		uint32_t run = i < N_WARMUP ? 0 : i - N_WARMUP; /* warm-ups are overwritten */
		uint16_t leaver = choose_leaver(b, i);

		b->took_ns[run] = run_once(b);
		count(b, leaver);
		b->floor_ns[run] = run_floor(b);
	}
	if (b->sum == 0)
		abort(); /* used, so that the hashes are not optimized away */
	qsort(b->took_ns, N_RUNS, sizeof(b->took_ns[0]), compare_u64);
	qsort(b->floor_ns, N_RUNS, sizeof(b->floor_ns[0]), compare_u64);
	p50_ns = percentile(b->took_ns, 50);
	floor_ns = percentile(b->floor_ns, 50);
	printf("{\"bench\":\"place\",\"case\":\"one of %u leaves, %u partitions\",\"unit\":\"us\","
	       "\"p50\":%.5g,\"p99\":%.5g,\"runs\":%u,\"floor\":%.5g,"
	       "\"floor_what\":\"copy of the table, %llu hashes\",\"ratio\":%.2f,\"aim\":200,"
	       "\"moves\":%u,\"needless_moves\":%llu}\n",
	       N_MEMBERS, N_PARTITIONS, (double)p50_ns / 1e3,
	       (double)percentile(b->took_ns, 99) / 1e3, N_RUNS, (double)floor_ns / 1e3,
	       (unsigned long long)b->n_hashes, (double)p50_ns / (double)floor_ns, b->n_moves,
	       (unsigned long long)b->n_needless);
	free(b->scratch);
	free(b);
	return 0;
}
