/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Poison: jobs that demo sends to fail. The worker that takes one crashes, or hangs, and so does
 * its successor, until the fleet quarantines the job and answers RK_QUARANTINED. Two processes
 * send them, one job at a time each, and note intent and answer in the ledger. Nobody kills them.
 *
 * Who       start, is_busy, end: demo, one thread. main: a process of its own, started by demo.
 * Crash     demo's death ends them.
 * Blocking  main: until its jobs have their answers, RK_DEMO_POISON_MS each at most.
 */
#ifndef RK_CLI_DEMO_POISON_H
#define RK_CLI_DEMO_POISON_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/demo_child.h"

#define RK_DEMO_POISONERS 2u
#define RK_DEMO_POISON_MS 60000u
#define RK_DEMO_POISONS_MAX 1000u

/* The hidden first argument that makes `rekindle demo` a poisoner. */
#define RK_DEMO_POISON_ARGUMENT "--as-poisoner"

struct rk_demo_poisoners {
	struct rk_demo_child child[RK_DEMO_POISONERS];
	uint32_t n_failed; /* could not send, or got no answer */
};

struct rk_demo_poison_conf {
	const char *fleet;
	uint32_t every_ms; /* between two jobs */
	int ledger, output;
};

/* Starts them. Returns 0 or -errno. */
RK_MUST_USE int rk_demo_poison_start(struct rk_demo_poisoners *p, const struct rk_demo_poison_conf *conf,
				     struct rk_err *err);

/* Whether one of them is still at work; reaps those that are not. */
bool rk_demo_poison_is_busy(struct rk_demo_poisoners *p);

/* Kills those that are left. Accepts an empty one. */
void rk_demo_poison_end(struct rk_demo_poisoners *p);

/* Whether a job's body is poison. */
bool rk_demo_poison_is(const char *body, uint32_t len);

/* main() of a poisoner; argv[0] is RK_DEMO_POISON_ARGUMENT. Returns its exit status. */
int rk_demo_poison_main(int argc, char **argv);

#endif
