/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bench: what the programs of this folder share. A program measures one claim
 * beside a floor, which is the least that the machine must do for it, in turn
 * with it: on a busy machine the ratio of the two medians says more than
 * either. It prints one JSON object per line and asserts nothing about time.
 *
 * Who       one process, and children that end with it.
 * Units     ns inside; what is printed is in the unit the line names.
 */
#ifndef RK_BENCH_BENCH_H
#define RK_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/call.h"
#include "shm/owner.h"

/* ---- measuring and printing ---- */

/* One measurement: what one operation took, in the case's unit. */
typedef double (*bench_run)(void *arg);

struct bench_case {
	const char *bench, *name, *unit;
	bench_run run;
	bench_run floor; /* taken in turn with run */
	const char *floor_what;
	void *arg;
	uint32_t n_runs;  /* printed; as many again divided by 16 warm up */
	double aim;       /* in the unit; 0 = none, unless aim_zero */
	double aim_p99;   /* in the unit; 0 = none */
	double aim_ratio; /* to the floor; 0 = none */
	bool more;        /* more is better: a rate */
	bool aim_zero;    /* the aim is 0 itself */
};

/* Measures run and floor in turn and prints the line. */
void bench_case(const struct bench_case *c);

/* Prints the line of measurements taken elsewhere, which it sorts; floor may be NULL. */
void bench_print(const struct bench_case *c, double *took, double *floor);

/* Sorts them; the one in the middle. */
double bench_median(double *took, uint32_t n);

/* Prints the line of a case that cannot be measured here, and why. */
void bench_skip(const char *bench, const char *name, const char *why);

/* Ends the program, saying why, when the condition does not hold: a figure would mean nothing. */
void bench_need(bool condition, const char *what);

/* Times as many runs as usual: $BENCH_SCALE, 1 to 100; or "1/8" of them, four at least, to see that a bench runs. */
uint32_t bench_scale(uint32_t n);

/* The calling thread runs on this processor from now on. */
void bench_pin(int cpu);

/* Forks a child that is killed when the caller ends. 0 in the child. */
pid_t bench_fork(void);
void bench_kill(pid_t pid);

/* Sleeps this long, to let others fall asleep. */
void bench_nap(uint64_t ns);

/* Next of a series of pseudo-random numbers (xorshift). */
uint64_t bench_random(uint64_t *state);

/* len bytes that children share, touched. */
void *bench_shared(uint64_t len);

/* ---- a fleet's shared memory without a fleet ---- */

/* One partition's queue, bank and owner, and client pages, in anonymous shared memory. */
struct bench_world {
	struct rk_shm m;
	char *bank;
	struct rk_owner owner; /* of partition 0, worker 0 */
	struct rk_caller caller; /* of page 0 */
	char *room;
};

/* The default geometry with one partition, which may be changed before bench_world_make(). */
void bench_world_geometry(struct rk_geometry *g);
void bench_world_make(struct bench_world *w, const struct rk_geometry *g);

#endif
