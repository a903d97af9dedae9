/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sim: a worker of up to three threads in virtual time, one millisecond a step, on a machine that
 * gives CPU freely, to 64 hogs first, or by quota; and its watcher, which ticks as the supervisor
 * does, looks when the detector asks, and asks policies that kill wherever they may.
 *
 * Who       tests/unit/test_detect.c.
 */
#ifndef RK_TESTS_UNIT_SIM_H
#define RK_TESTS_UNIT_SIM_H

#include "supervisor/detect.h"

#define SIM_THREADS 3u

enum machine {
	FREE,
	HOGS, /* 3 ms of every 200 */
	QUOTA /* 5 ms of every 100, and the kernel does not book the wait */
};

struct sim_thread {
	char wants; /* R, S, D, T, t; 0 = does not exist */
	bool has_cpu;
	uint32_t life;     /* another number is another thread */
	uint64_t delay_ns; /* not yet in the kernel's books */
	struct rk_look_thread books, seen;
	uint32_t seen_life;
};

struct sim {
	enum machine machine;
	uint64_t ms; /* since the start */
	uint64_t since_job_ms;
	struct sim_thread thread[SIM_THREADS];
	bool is_frozen, is_frozen_v1, is_blind, is_cut, is_never_listed;
	struct rk_detect_beat beat;
	uint64_t pending_since_ns, away_ns, lateness_ns;
	bool is_pressed;
	void (*live)(struct sim *s); /* one millisecond */
	/* the watcher */
	struct rk_detect_bounds bounds;
	struct rk_detect d;
	struct rk_finding finding;
	bool has_seen;
	uint64_t tick_ms; /* the next tick */
	uint32_t n_kills, n_cancels, n_suspect, n_looks, n_ticks, n_lists;
	uint64_t at_ms[RK_VERDICTS]; /* when each verdict was first given, + 1 */
};

/* A worker in the handler of its first job; all bounds are the defaults. */
void sim_init(struct sim *s, void (*live)(struct sim *), enum machine machine);

/* Lives and watches for so long. */
void sim_run(struct sim *s, uint64_t ms);

/* The watcher dies, and another one that begins after so long goes on from what it has left. */
void sim_replace(struct sim *s, uint64_t ms);

uint64_t sim_now_ns(const struct sim *s);

/* When the verdict was first given; UINT64_MAX = never. */
uint64_t sim_found_ms(const struct sim *s, enum rk_verdict verdict);

#endif
