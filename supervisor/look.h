/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look: what one look at a worker's process tree told, compared with the look before: the plain
 * numbers that supervisor/observe.h gathers and supervisor/detect.h judges, so that a judgement
 * can be replayed.
 *
 * Who       anyone; pure data and pure functions.
 * Units     ns.
 */
#ifndef RK_SUPERVISOR_LOOK_H
#define RK_SUPERVISOR_LOOK_H

#include <stdbool.h>
#include <stdint.h>

/* One thread as /proc has it; where the kernel counts no schedstat, cpu is utime + stime. */
struct rk_look_thread {
	char state;        /* R S D T t Z X I; 0 = not seen */
	uint64_t cpu_ns;   /* on a CPU so far: schedstat's first */
	uint64_t delay_ns; /* runnable without one so far: its second, which is brought up to date
			    * only when the thread gets a CPU or sleeps */
};

struct rk_look {
	uint64_t at_ns;
	uint32_t n_processes;
	uint32_t n_threads;  /* those counted below */
	uint32_t n_running;  /* R, and has been on a CPU since the look before */
	uint32_t n_starved;  /* R, and has not; or R when seen for the first time */
	uint32_t n_asleep;   /* S, I */
	uint32_t n_disk;     /* D; what a cgroup-v1 freezer froze shows D too */
	uint32_t n_stopped;  /* T */
	uint32_t n_traced;   /* t */
	uint32_t n_dead;     /* Z, X */
	uint32_t n_unread;   /* there, but could not be read */
	uint32_t n_new;      /* seen for the first time, and R */
	uint64_t ran_ns;     /* what all threads spent on CPUs since the look before */
	uint64_t delayed_ns; /* what is known of their waiting for one since then */
	bool is_first;   /* there is no look before: ran and delayed are 0, nobody is n_running */
	bool is_listed;  /* the tree was listed in this look: nobody is missing */
	bool is_cut;     /* it has more threads or processes than are looked at */
	bool is_frozen;  /* by a cgroup freezer, v1 or v2 */
	bool is_stopped; /* every living thread of the worker's own process is T */
	bool is_traced;  /* one of them is t and none is R */
	bool is_gone;    /* the worker's own process has no living thread */
	int error;       /* -errno: the worker's own process cannot be seen; else 0 */
};

/* Adds one thread; before is NULL when it was not seen in the look before. */
void rk_look_add(struct rk_look *l, const struct rk_look_thread *before,
		 const struct rk_look_thread *now);

#endif
