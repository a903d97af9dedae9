/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real fleet for a bench: rekindled in a runtime directory of its own, and
 * what its processes do, seen from outside.
 *
 * Who       one process; the fleet ends with it.
 */
#ifndef RK_BENCH_FLEET_H
#define RK_BENCH_FLEET_H

#include "bench/bench.h"
#include "cli/look.h"
#include "workers/lib/rekindle.h"

#define BENCH_FLEET_NAME "bench"

struct bench_fleet {
	pid_t keeper;
	char dir[64]; /* REKINDLE_RUNTIME_DIR */
	bool is_silent; /* set before the start: what it logs is in the way */
	const char *const *command; /* set before the start: runs this, ended by NULL, instead of bench/echo_worker */
};

/*
 * Starts rekindled with these options (NULL ends them), running
 * bench/echo_worker with worker_options, and waits until it serves.
 */
void bench_fleet_start(struct bench_fleet *f, const char *const *options, const char *const *worker_options);

/* SIGTERM, waits until nothing is left, removes the directory. */
void bench_fleet_stop(struct bench_fleet *f);

/* Opens a client of the fleet. */
struct rk_client *bench_fleet_client(void);

/* As `rekindle status` looks at a fleet; rk_look_close_p() when done. */
void bench_look_open(struct rk_look *l);

/* Process id of the worker that owns the only partition; waits until there is one. */
pid_t bench_fleet_worker(struct rk_client *c);

#endif
