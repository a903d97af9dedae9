/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   A job that allocates and frees in its partition's arena pays at most
 *         120 ns for a pair of 64 bytes, undo entries included. How often what
 *         malloc() and free() take, which can undo nothing, says the ratio.
 * Method  One process, an arena of 64 MiB. The pair: 64 bytes, freed by the next
 *         commit. The mix: 1,000 live blocks of 16 to 1,024 bytes; each turn one
 *         of them, at random, is freed and another of random length allocated,
 *         one commit per turn. The floor does the same with calloc() and free(),
 *         which zeroes what it hands out, too. A turn begins and commits as an
 *         owner does, without the job around it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "shm/arena.h"
#include "shm/words.h"

#define ARENA_LEN (64u << 20)
#define N_PAIRS 1024u
#define N_LIVE 1000u

struct arena {
	struct bench_world w;
	struct rk_arena a;
	uint64_t seed, floor_seed, job;
	void *live[N_LIVE], *floor_live[N_LIVE];
};

/* As far as the log is concerned: the cursor has moved on. */
static void commit(struct arena *s)
{
	s->job = rk_pos_add(s->job, 1);
	rk_bank_begin(&s->w.owner.bank, s->job);
}

static void *get(struct arena *s, size_t len)
{
	void *p;

	bench_need(rk_arena_alloc(&s->a, len, &p) == 0, "room in the arena");
	return p;
}

static double run_pairs(void *arg)
{
	struct arena *s = arg;
	uint64_t start_ns = rk_clock_ns();

	for (uint32_t i = 0; i < N_PAIRS; i++) {
		void *p = get(s, 64);

		commit(s);
		bench_need(rk_arena_free(&s->a, p) == 0, "a block to free");
		commit(s);
	}
	return (double)(rk_clock_ns() - start_ns) / N_PAIRS;
}

static double run_pairs_floor(void *arg)
{
	uint64_t start_ns = rk_clock_ns();

	(void)arg;
	for (uint32_t i = 0; i < N_PAIRS; i++) {
		void *p = calloc(1, 64);

		__asm__ volatile("" : : "r"(p) : "memory"); /* or the compiler leaves both out */
		free(p);
	}
	return (double)(rk_clock_ns() - start_ns) / N_PAIRS;
}

static size_t a_length(uint64_t *seed)
{
	return 16 + bench_random(seed) % 1009;
}

static double run_mix(void *arg)
{
	struct arena *s = arg;
	uint64_t start_ns = rk_clock_ns();

	for (uint32_t i = 0; i < N_PAIRS; i++) {
		void **p = &s->live[bench_random(&s->seed) % N_LIVE];

		bench_need(rk_arena_free(&s->a, *p) == 0, "a block to free");
		commit(s);
		*p = get(s, a_length(&s->seed));
		commit(s);
	}
	return (double)(rk_clock_ns() - start_ns) / N_PAIRS;
}

static double run_mix_floor(void *arg)
{
	struct arena *s = arg;
	uint64_t start_ns = rk_clock_ns();

	for (uint32_t i = 0; i < N_PAIRS; i++) {
		void **p = &s->floor_live[bench_random(&s->floor_seed) % N_LIVE];

		free(*p);
		*p = calloc(1, a_length(&s->floor_seed));
	}
	return (double)(rk_clock_ns() - start_ns) / N_PAIRS;
}

static void fill(struct arena *s)
{
	for (uint32_t i = 0; i < N_LIVE; i++) {
		s->live[i] = get(s, a_length(&s->seed));
		s->floor_live[i] = calloc(1, a_length(&s->floor_seed));
		commit(s);
	}
}

int main(void)
{
	struct arena *s = calloc(1, sizeof(*s));
	struct rk_arena_figures figures;
	struct rk_geometry g;

	bench_need(s != NULL, "memory");
	bench_world_geometry(&g);
	g.state_max = ARENA_LEN + 64;
	bench_world_make(&s->w, &g);
	bench_need(rk_arena_view(&s->a, &s->w.owner.bank, 64, ARENA_LEN) == 0,
		   "an arena that fits");
	rk_arena_init(&s->a);
	s->seed = s->floor_seed = 1;
	commit(s);
	bench_pin(0);
	bench_case(&(struct bench_case){ .bench = "arena",
					 .name = "alloc and free of 64 bytes, two commits",
					 .unit = "ns",
					 .run = run_pairs,
					 .floor = run_pairs_floor,
					 .floor_what = "calloc and free",
					 .arg = s,
					 .n_runs = bench_scale(2000),
					 .aim = 120 });
	fill(s);
	bench_case(&(struct bench_case){ .bench = "arena",
					 .name = "the same, 16 to 1024 bytes, 1,000 live",
					 .unit = "ns",
					 .run = run_mix,
					 .floor = run_mix_floor,
					 .floor_what = "calloc and free",
					 .arg = s,
					 .n_runs = bench_scale(2000) });
	bench_need(rk_arena_check(&s->a, &figures) == 0 && figures.n_used == N_LIVE,
		   "an arena that fits together");
	free(s);
	return 0;
}
