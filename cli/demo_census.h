/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Census: the processes of demo's fleet as the kernel lists them, held against what the board says.
 * It is how demo knows that supervisors which die start no worker twice and lose none of sight: the
 * kernel's list is keeper's children, since keeper is everybody's parent or inherits them.
 *
 *   duplicate  a living process of a slot that has another living one
 *   orphan     a living process of the fleet that the board does not name, at the end, when all is quiet
 *   changed    a worker that is another process than before, and nobody killed it
 *
 * A process that is on its way out is not counted as living.
 *
 * Who       demo, one thread. rk_demo_census_*_of() and _parse() are pure.
 * Blocking  rk_demo_census_end() for at most RK_DEMO_CENSUS_MS.
 */
#ifndef RK_CLI_DEMO_CENSUS_H
#define RK_CLI_DEMO_CENSUS_H

#include "cli/demo_fleet.h"

#define RK_DEMO_CENSUS_MS 3000u
#define RK_DEMO_NO_SLOT UINT32_MAX

/* One living process of the fleet. */
struct rk_demo_head {
	pid_t pid;
	uint32_t slot; /* RK_DEMO_NO_SLOT: a standby, or not known */
	bool is_listed; /* on the board */
};

struct rk_demo_census {
	pid_t first[RK_DEMO_WORKERS_MAX]; /* by slot, at the beginning */
	uint64_t first_restarts;
	uint64_t n_duplicates; /* the most that were seen at once */
	uint64_t n_orphans;
	uint64_t n_changed;
	uint32_t n_same; /* slots with the same process before and after */
};

/* At the beginning, with all workers ready. */
void rk_demo_census_begin(struct rk_demo_census *c, struct rk_demo_fleet *f);

/* Looks for duplicates. */
void rk_demo_census_take(struct rk_demo_census *c, struct rk_demo_fleet *f);

/* At the end, when nobody is killed any more; n_kills: of processes that were, or may have become, workers. */
void rk_demo_census_end(struct rk_demo_census *c, struct rk_demo_fleet *f, uint64_t n_kills);

/* Whether this process is the fleet's supervisor, as far as its parent and its program say. */
bool rk_demo_census_is_supervisor(const struct rk_demo_fleet *f, pid_t pid);

/* ---- pure ---- */

/* What a process's stat file says. False if it is none. */
struct rk_demo_stat {
	pid_t parent;
	bool is_living; /* neither dead nor on its way out */
};
bool rk_demo_stat_parse(const char *text, struct rk_demo_stat *ret);

/* The slot that a worker was started for, from its environment's bytes. */
uint32_t rk_demo_slot_parse(const char *environment, size_t len);

uint64_t rk_demo_duplicates_of(const struct rk_demo_head *heads, uint32_t n);
uint64_t rk_demo_orphans_of(const struct rk_demo_head *heads, uint32_t n);

#endif
