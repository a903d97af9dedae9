/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   A reference is published in at most 15 ns by one publisher, and in at
 *         most 60 ns each by two that meet in one ring from two processors.
 * Method  Each run publishes into an empty ring; a consumer takes and recycles
 *         everything between the runs, which is not measured. Two publishers
 *         are two processes that start each run together; a run is the mean of
 *         both. The floors: one CAS on one line, by one process or by both.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "shm/queue.h"

#define N_CELLS 2048u /* a run's publications of one publisher */

enum order { NOTHING, PUBLISH, CAS };

/* Lines of their own: the processes look at them while they wait. */
struct shared {
	_Atomic uint64_t go __attribute__((aligned(64)));   /* run number * 4 + order */
	_Atomic uint64_t done __attribute__((aligned(64))); /* run number the peer has finished */
	_Atomic uint64_t meet __attribute__((aligned(64))); /* both count themselves in */
	_Atomic uint64_t word __attribute__((aligned(64))); /* the floor's line */
	double took_ns __attribute__((aligned(64)));        /* the peer's, with done */
};

struct publish {
	struct bench_world w;
	struct shared *shared;
	uint64_t run, position;
};

static double publish_all(const struct rk_shm *m, uint32_t page)
{
	uint32_t first = page * m->g.n_cells;
	uint64_t start_ns = rk_clock_ns();

	for (uint32_t i = 0; i < N_CELLS; i++)
		bench_need(rk_queue_publish(m, 0, first + i) == RK_QUEUE_OK, "room in the ring");
	return (double)(rk_clock_ns() - start_ns) / N_CELLS;
}

static double cas_all(struct shared *s)
{
	uint64_t start_ns = rk_clock_ns();

	for (uint32_t i = 0; i < N_CELLS; i++) {
		uint64_t word = atomic_load_explicit(&s->word, memory_order_relaxed);

		while (!atomic_compare_exchange_weak_explicit(&s->word, &word, word + 1, memory_order_seq_cst,
							      memory_order_relaxed))
			;
	}
	return (double)(rk_clock_ns() - start_ns) / N_CELLS;
}

static void recycle_all(struct publish *p)
{
	uint64_t ref;

	while ((ref = rk_queue_peek(&p->w.m, 0, p->position)) != 0) {
		bench_need(rk_queue_take(&p->w.m, 0, p->position, ref), "a reference");
		rk_queue_recycle(&p->w.m, 0, p->position, (ref & ~3ull) | RK_REF_TAKEN);
		p->position++;
	}
}

static double run_alone(void *arg)
{
	struct publish *p = arg;
	double took = publish_all(&p->w.m, 0);

	recycle_all(p);
	return took;
}

static double cas_alone(void *arg)
{
	return cas_all(((struct publish *)arg)->shared);
}

/* Waits until both have come here for this run. */
static void meet(struct shared *s, uint64_t run)
{
	atomic_fetch_add_explicit(&s->meet, 1, memory_order_acq_rel);
	while (atomic_load_explicit(&s->meet, memory_order_acquire) < 2 * run)
		;
}

static double do_order(struct publish *p, enum order order, uint64_t run, uint32_t page)
{
	meet(p->shared, run);
	return order == PUBLISH ? publish_all(&p->w.m, page) : cas_all(p->shared);
}

static void peer(struct publish *p)
{
	bench_pin(1);
	for (uint64_t run = 1;; run++) {
		uint64_t go;

		while ((go = atomic_load_explicit(&p->shared->go, memory_order_acquire)) / 4 != run)
			rk_relax();
		p->shared->took_ns = do_order(p, (enum order)(go % 4), run, 1);
		atomic_store_explicit(&p->shared->done, run, memory_order_release);
	}
}

static double together(struct publish *p, enum order order)
{
	uint64_t run = ++p->run;
	double took;

	atomic_store_explicit(&p->shared->go, run * 4 + order, memory_order_release);
	took = do_order(p, order, run, 0);
	while (atomic_load_explicit(&p->shared->done, memory_order_acquire) != run)
		rk_relax();
	recycle_all(p);
	return (took + p->shared->took_ns) / 2;
}

static double run_together(void *arg)
{
	return together(arg, PUBLISH);
}

static double cas_together(void *arg)
{
	return together(arg, CAS);
}

int main(void)
{
	struct publish *p = calloc(1, sizeof(*p));
	struct rk_geometry g;
	pid_t child;

	bench_need(p != NULL, "memory");
	bench_world_geometry(&g);
	g.n_cells = N_CELLS;
	g.n_ring = 2 * N_CELLS;
	g.request_max = g.reply_max = 64;
	bench_world_make(&p->w, &g);
	p->shared = bench_shared(sizeof(*p->shared));
	bench_pin(0);
	bench_case(&(struct bench_case){ .bench = "publish", .name = "uncontended", .unit = "ns", .run = run_alone,
					 .floor = cas_alone, .floor_what = "one CAS, line uncontended", .arg = p,
					 .n_runs = bench_scale(2000), .aim = 15 });
	child = bench_fork();
	if (child == 0)
		peer(p);
	bench_case(&(struct bench_case){ .bench = "publish", .name = "two publishers on two CPUs", .unit = "ns",
					 .run = run_together, .floor = cas_together,
					 .floor_what = "one CAS, line contended by two CPUs", .arg = p,
					 .n_runs = bench_scale(2000), .aim = 60 });
	bench_kill(child);
	free(p);
	return 0;
}
