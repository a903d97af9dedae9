/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/fsm.h"

#include "base/clock.h"
#include "base/macro.h"

#define BACKOFF_FIRST (100 * RK_NS_PER_MS)
#define BACKOFF_MAX (5 * RK_NS_PER_S)

/*
 *            START                READY                LEASE
 *   EMPTY ----------> STARTING ----------> READY ----------------> FENCING
 *     ^                 | ^ ^                |                        |
 *     |          EXITED | | |                | EXITED                 | EXITED
 *     |                 v | +----------------|-----+                  |
 *     |               DOWN  <----------------+-----|------------------+
 *     |                 | DELAY     START          | TIMER, START
 *     |                 +----------> WAITING ------+
 *     | EXITED
 *   STOPPING <---- STOP from STARTING, READY, FENCING;  STOP from DOWN, WAITING goes to EMPTY
 *
 * A lease that dies in STARTING leads to FENCING too; START out of DOWN goes to STARTING at
 * once. FAILED (no process could be made) leads from STARTING to WAITING. Whatever is not
 * drawn changes nothing.
 */
/* clang-format off */
#define STEP(next, action) { RK_FSM_##next, RK_FSM_##action }

static const struct rk_fsm_step table[RK_FSM_STATES][RK_FSM_EVENTS] = {
	[RK_FSM_EMPTY] = {
		[RK_FSM_EV_START] = STEP(STARTING, SPAWN),
		[RK_FSM_EV_DELAY] = STEP(EMPTY, NOTHING),
		[RK_FSM_EV_FAILED] = STEP(EMPTY, NOTHING),
		[RK_FSM_EV_READY] = STEP(EMPTY, NOTHING),
		[RK_FSM_EV_LEASE] = STEP(EMPTY, NOTHING),
		[RK_FSM_EV_EXITED] = STEP(EMPTY, NOTHING),
		[RK_FSM_EV_STOP] = STEP(EMPTY, NOTHING),
		[RK_FSM_EV_TIMER] = STEP(EMPTY, NOTHING),
	},
	[RK_FSM_STARTING] = {
		[RK_FSM_EV_START] = STEP(STARTING, NOTHING),
		[RK_FSM_EV_DELAY] = STEP(STARTING, NOTHING),
		[RK_FSM_EV_FAILED] = STEP(WAITING, ARM),
		[RK_FSM_EV_READY] = STEP(READY, ANNOUNCE),
		[RK_FSM_EV_LEASE] = STEP(FENCING, FENCE),
		[RK_FSM_EV_EXITED] = STEP(DOWN, RECOVER),
		[RK_FSM_EV_STOP] = STEP(STOPPING, TERM),
		[RK_FSM_EV_TIMER] = STEP(STARTING, NOTHING),
	},
	[RK_FSM_READY] = {
		[RK_FSM_EV_START] = STEP(READY, NOTHING),
		[RK_FSM_EV_DELAY] = STEP(READY, NOTHING),
		[RK_FSM_EV_FAILED] = STEP(READY, NOTHING),
		[RK_FSM_EV_READY] = STEP(READY, NOTHING),
		[RK_FSM_EV_LEASE] = STEP(FENCING, FENCE),
		[RK_FSM_EV_EXITED] = STEP(DOWN, RECOVER),
		[RK_FSM_EV_STOP] = STEP(STOPPING, TERM),
		[RK_FSM_EV_TIMER] = STEP(READY, NOTHING),
	},
	[RK_FSM_FENCING] = {
		[RK_FSM_EV_START] = STEP(FENCING, NOTHING),
		[RK_FSM_EV_DELAY] = STEP(FENCING, NOTHING),
		[RK_FSM_EV_FAILED] = STEP(FENCING, NOTHING),
		[RK_FSM_EV_READY] = STEP(FENCING, NOTHING),
		[RK_FSM_EV_LEASE] = STEP(FENCING, NOTHING),
		[RK_FSM_EV_EXITED] = STEP(DOWN, RECOVER),
		[RK_FSM_EV_STOP] = STEP(STOPPING, NOTHING), /* it is killed already */
		[RK_FSM_EV_TIMER] = STEP(FENCING, NOTHING),
	},
	[RK_FSM_STOPPING] = {
		[RK_FSM_EV_START] = STEP(STOPPING, NOTHING),
		[RK_FSM_EV_DELAY] = STEP(STOPPING, NOTHING),
		[RK_FSM_EV_FAILED] = STEP(STOPPING, NOTHING),
		[RK_FSM_EV_READY] = STEP(STOPPING, NOTHING),
		[RK_FSM_EV_LEASE] = STEP(STOPPING, NOTHING), /* there is time to wait for its pidfd */
		[RK_FSM_EV_EXITED] = STEP(EMPTY, SETTLE),
		[RK_FSM_EV_STOP] = STEP(STOPPING, NOTHING),
		[RK_FSM_EV_TIMER] = STEP(STOPPING, KILL),
	},
	[RK_FSM_DOWN] = {
		[RK_FSM_EV_START] = STEP(STARTING, SPAWN),
		[RK_FSM_EV_DELAY] = STEP(WAITING, ARM),
		[RK_FSM_EV_FAILED] = STEP(WAITING, ARM),
		[RK_FSM_EV_READY] = STEP(DOWN, NOTHING),
		[RK_FSM_EV_LEASE] = STEP(DOWN, NOTHING),
		[RK_FSM_EV_EXITED] = STEP(DOWN, NOTHING),
		[RK_FSM_EV_STOP] = STEP(EMPTY, NOTHING),
		[RK_FSM_EV_TIMER] = STEP(DOWN, NOTHING),
	},
	[RK_FSM_WAITING] = {
		[RK_FSM_EV_START] = STEP(STARTING, SPAWN),
		[RK_FSM_EV_DELAY] = STEP(WAITING, NOTHING),
		[RK_FSM_EV_FAILED] = STEP(WAITING, NOTHING),
		[RK_FSM_EV_READY] = STEP(WAITING, NOTHING),
		[RK_FSM_EV_LEASE] = STEP(WAITING, NOTHING),
		[RK_FSM_EV_EXITED] = STEP(WAITING, NOTHING),
		[RK_FSM_EV_STOP] = STEP(EMPTY, DISARM),
		[RK_FSM_EV_TIMER] = STEP(STARTING, SPAWN),
	},
};
/* clang-format on */

struct rk_fsm_step rk_fsm_step(enum rk_fsm_state state, enum rk_fsm_event event)
{
	if ((unsigned int)state >= RK_FSM_STATES || (unsigned int)event >= RK_FSM_EVENTS)
		return (struct rk_fsm_step){ RK_FSM_EMPTY, RK_FSM_NOTHING };
	return table[state][event];
}

const char *rk_fsm_state_name(enum rk_fsm_state state)
{
	static const char *const names[] = { "empty",    "starting", "ready",  "fencing",
					     "stopping", "down",     "waiting" };

	_Static_assert(rk_countof(names) == RK_FSM_STATES, "a name for every state");
	return (unsigned int)state < RK_FSM_STATES ? names[state] : "?";
}

const char *rk_fsm_event_name(enum rk_fsm_event event)
{
	static const char *const names[] = { "start", "delay",  "failed", "ready",
					     "lease", "exited", "stop",   "timer" };

	_Static_assert(rk_countof(names) == RK_FSM_EVENTS, "a name for every event");
	return (unsigned int)event < RK_FSM_EVENTS ? names[event] : "?";
}

const char *rk_fsm_action_name(enum rk_fsm_action action)
{
	static const char *const names[] = { "nothing", "spawn", "announce", "fence", "recover",
					     "settle",  "term",  "kill",     "arm",   "disarm" };

	_Static_assert(rk_countof(names) == RK_FSM_ACTIONS, "a name for every action");
	return (unsigned int)action < RK_FSM_ACTIONS ? names[action] : "?";
}

uint64_t rk_fsm_backoff_ns(uint32_t n_failed)
{
	uint32_t doublings;

	if (n_failed < RK_FSM_FREE_TRIES)
		return 0;
	doublings = rk_min_u32(n_failed - RK_FSM_FREE_TRIES, 10); /* enough to reach the cap */
	return rk_min_u64(BACKOFF_FIRST << doublings, BACKOFF_MAX);
}
