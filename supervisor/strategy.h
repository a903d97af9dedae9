/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategy: who starts before whom, and who else is stopped and started when one dies.
 *
 * Between fleets, After=x says "start when x is ready"; Requires=x says the same and "do not
 * run without x". Stopping is the reverse. Fleets that say nothing of each other keep the order
 * of the configuration.
 *
 * When a slot dies, besides itself (restart.h says when):
 *   within its fleet   one-for-one   nobody
 *                      one-for-all   every other slot
 *                      rest-for-one  the slots with higher numbers
 *   between fleets     one-for-one   no other fleet
 *                      one-for-all   all slots of all fleets
 *                      rest-for-one  all slots of the fleets that, directly or by others, are
 *                                    After or Require the fleet of the dead one
 * They are stopped last fleet and highest slot first, one behind the other's confirmed death
 * only if the caller wants that; they are started the other way round when all are down, each
 * fleet when rk_strategy_may_start() says so. These ends are ours: they cost no restarts and
 * charge no job.
 *
 * Who       the supervisor's loop; pure. A set of fleets is a mask: bit i is fleet i.
 * Blocking  never; no allocation, bounded by RK_STRATEGY_FLEETS_MAX.
 */
#ifndef RK_SUPERVISOR_STRATEGY_H
#define RK_SUPERVISOR_STRATEGY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"

#define RK_STRATEGY_FLEETS_MAX 64u

enum rk_strategy {
	RK_STRATEGY_ONE_FOR_ONE,
	RK_STRATEGY_ONE_FOR_ALL,
	RK_STRATEGY_REST_FOR_ONE,
	RK_STRATEGIES
};

/* What the configuration says of one fleet. */
struct rk_strategy_fleet {
	const char *name; /* borrowed; for errors */
	uint32_t n_slots;
	enum rk_strategy within;
	uint64_t after;    /* mask */
	uint64_t requires; /* mask */
};

struct rk_strategy_fleets {
	const struct rk_strategy_fleet *fleets; /* borrowed */
	uint32_t n;                             /* 1..RK_STRATEGY_FLEETS_MAX */
	enum rk_strategy between;               /* [Supervisor] Strategy */
	uint8_t order[RK_STRATEGY_FLEETS_MAX];  /* of starting */
};

/* Slots first..end-1 of one fleet. */
struct rk_strategy_range {
	uint32_t fleet;
	uint32_t first;
	uint32_t end;
};

/*
 * Who is affected, in the order of starting; the dead slot is part of it. Walk it backwards,
 * and each range too, for the order of stopping.
 */
struct rk_strategy_plan {
	struct rk_strategy_range ranges[RK_STRATEGY_FLEETS_MAX];
	uint32_t n;
};

enum rk_strategy_start {
	RK_STRATEGY_START, /* now */
	RK_STRATEGY_WAIT,  /* another fleet is not ready yet */
	RK_STRATEGY_NEVER  /* a fleet that it requires has failed for good */
};

/*
 * Fills order. Returns 0; -ELOOP if fleets wait for each other: err names them, as in "fleets
 * wait for each other: web after db after web"; -EINVAL for a mask beyond n or n out of range.
 */
RK_MUST_USE int rk_strategy_sort(struct rk_strategy_fleets *s, struct rk_err *err);

/* A slot died: who is to be stopped and started. The arguments name a slot that exists. */
void rk_strategy_on_death(const struct rk_strategy_fleets *s, uint32_t fleet, uint32_t slot,
			  struct rk_strategy_plan *ret);

/* Whether the slot is in the plan. */
bool rk_strategy_affects(const struct rk_strategy_plan *plan, uint32_t fleet, uint32_t slot);

/*
 * Whether a fleet may start, given which are ready and which failed for good (all their slots
 * ended, or the fleet could not be made). One that it is only After may have failed.
 */
enum rk_strategy_start rk_strategy_may_start(const struct rk_strategy_fleets *s, uint32_t fleet,
					     uint64_t ready, uint64_t failed);

/* The fleets that must not run because others failed for good: those that require them, and
 * so on. Without the failed ones themselves. */
uint64_t rk_strategy_orphans(const struct rk_strategy_fleets *s, uint64_t failed);

/* Fleets that are, directly or by others, after one of these. Without these themselves. */
uint64_t rk_strategy_dependents(const struct rk_strategy_fleets *s, uint64_t fleets);

/* "one-for-one", "one-for-all", "rest-for-one"; "?" outside. */
const char *rk_strategy_name(enum rk_strategy strategy);

#endif
