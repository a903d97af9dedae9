/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/fsm.h"

#include "base/macro.h"

/*
 *                             SUSPECT            VERDICT
 *                          +----------> SUSPECT -------+
 *         START      READY |  CLEAR        | PAUSE     v     TIMER
 *   EMPTY ----> STARTING --+--> READY <----+------> ABORTING ----> FENCING (LEASE leads here
 *     ^          ^ ^ |     |      ^ RESUME |           |              |      from anywhere
 *     |          | | |TIMER|      |        v           |              |      with a lease)
 *     |          | | +-----|----> |  PAUSED            |              |
 *     |          | |       |RECYCLE                    |              |
 *     |          | |       +--> RECYCLING ---+         |              |
 *     |          | |                         | EXITED  | EXITED       | EXITED
 *     |          | |                         v         v              v
 *     |          | +---------- START ------------- DOWN <-------------+
 *     |          | TIMER, START     DELAY |   QUARANTINE |   | GIVE_UP
 *     |          +------------------- WAITING  QUARANTINED   ENDED --START--> STARTING
 *     |
 *     | EXITED               RELEASED, TIMER
 *   STOPPING <--------------------------------- DRAINING <-- DRAIN from READY, SUSPECT, PAUSED
 *     ^                                            | START: back to READY
 *     +-- STOP from whatever has a process; START there: RECYCLING. STOP from the others: EMPTY
 *
 * EXITED leads to DOWN from every state that has a process and wants one, to EMPTY from STOPPING
 * and DRAINING. TIMER in STARTING and VERDICT anywhere lead to ABORTING, but in DRAINING to
 * STOPPING. FAILED (no process could be made) leads from STARTING to WAITING. DRAIN is STOP
 * where there are no jobs to finish. Whatever is not drawn changes nothing.
 */
/* clang-format off */
#define STEP(next, action) { RK_FSM_##next, RK_FSM_##action }
#define STAY(state) { RK_FSM_##state, RK_FSM_NOTHING }

static const struct rk_fsm_step table[RK_FSM_STATES][RK_FSM_EVENTS] = {
	[RK_FSM_EMPTY] = {
		[RK_FSM_EV_START] = STEP(STARTING, SPAWN),
		[RK_FSM_EV_DELAY] = STAY(EMPTY),
		[RK_FSM_EV_QUARANTINE] = STAY(EMPTY),
		[RK_FSM_EV_GIVE_UP] = STAY(EMPTY),
		[RK_FSM_EV_FAILED] = STAY(EMPTY),
		[RK_FSM_EV_READY] = STAY(EMPTY),
		[RK_FSM_EV_SUSPECT] = STAY(EMPTY),
		[RK_FSM_EV_CLEAR] = STAY(EMPTY),
		[RK_FSM_EV_PAUSE] = STAY(EMPTY),
		[RK_FSM_EV_RESUME] = STAY(EMPTY),
		[RK_FSM_EV_VERDICT] = STAY(EMPTY),
		[RK_FSM_EV_LEASE] = STAY(EMPTY),
		[RK_FSM_EV_EXITED] = STAY(EMPTY),
		[RK_FSM_EV_DRAIN] = STAY(EMPTY),
		[RK_FSM_EV_RELEASED] = STAY(EMPTY),
		[RK_FSM_EV_RECYCLE] = STAY(EMPTY),
		[RK_FSM_EV_STOP] = STAY(EMPTY),
		[RK_FSM_EV_TIMER] = STAY(EMPTY),
	},
	[RK_FSM_STARTING] = {
		[RK_FSM_EV_START] = STAY(STARTING),
		[RK_FSM_EV_DELAY] = STAY(STARTING),
		[RK_FSM_EV_QUARANTINE] = STAY(STARTING),
		[RK_FSM_EV_GIVE_UP] = STAY(STARTING),
		[RK_FSM_EV_FAILED] = STEP(WAITING, ARM),
		[RK_FSM_EV_READY] = STEP(READY, ANNOUNCE),
		[RK_FSM_EV_SUSPECT] = STAY(STARTING),
		[RK_FSM_EV_CLEAR] = STAY(STARTING),
		[RK_FSM_EV_PAUSE] = STAY(STARTING), /* the start-up deadline stands */
		[RK_FSM_EV_RESUME] = STAY(STARTING),
		[RK_FSM_EV_VERDICT] = STEP(ABORTING, ABORT),
		[RK_FSM_EV_LEASE] = STEP(FENCING, FENCE),
		[RK_FSM_EV_EXITED] = STEP(DOWN, RECOVER),
		[RK_FSM_EV_DRAIN] = STEP(STOPPING, TERM),
		[RK_FSM_EV_RELEASED] = STAY(STARTING),
		[RK_FSM_EV_RECYCLE] = STEP(RECYCLING, TERM),
		[RK_FSM_EV_STOP] = STEP(STOPPING, TERM),
		[RK_FSM_EV_TIMER] = STEP(ABORTING, ABORT),
	},
	[RK_FSM_READY] = {
		[RK_FSM_EV_START] = STAY(READY),
		[RK_FSM_EV_DELAY] = STAY(READY),
		[RK_FSM_EV_QUARANTINE] = STAY(READY),
		[RK_FSM_EV_GIVE_UP] = STAY(READY),
		[RK_FSM_EV_FAILED] = STAY(READY),
		[RK_FSM_EV_READY] = STAY(READY),
		[RK_FSM_EV_SUSPECT] = STEP(SUSPECT, HOLD),
		[RK_FSM_EV_CLEAR] = STAY(READY),
		[RK_FSM_EV_PAUSE] = STEP(PAUSED, HOLD),
		[RK_FSM_EV_RESUME] = STAY(READY),
		[RK_FSM_EV_VERDICT] = STEP(ABORTING, ABORT),
		[RK_FSM_EV_LEASE] = STEP(FENCING, FENCE),
		[RK_FSM_EV_EXITED] = STEP(DOWN, RECOVER),
		[RK_FSM_EV_DRAIN] = STEP(DRAINING, DRAIN),
		[RK_FSM_EV_RELEASED] = STAY(READY),
		[RK_FSM_EV_RECYCLE] = STEP(RECYCLING, TERM),
		[RK_FSM_EV_STOP] = STEP(STOPPING, TERM),
		[RK_FSM_EV_TIMER] = STAY(READY),
	},
	[RK_FSM_SUSPECT] = {
		[RK_FSM_EV_START] = STAY(SUSPECT),
		[RK_FSM_EV_DELAY] = STAY(SUSPECT),
		[RK_FSM_EV_QUARANTINE] = STAY(SUSPECT),
		[RK_FSM_EV_GIVE_UP] = STAY(SUSPECT),
		[RK_FSM_EV_FAILED] = STAY(SUSPECT),
		[RK_FSM_EV_READY] = STAY(SUSPECT),
		[RK_FSM_EV_SUSPECT] = STAY(SUSPECT),
		[RK_FSM_EV_CLEAR] = STEP(READY, RESUME),
		[RK_FSM_EV_PAUSE] = STEP(PAUSED, HOLD),
		[RK_FSM_EV_RESUME] = STAY(SUSPECT),
		[RK_FSM_EV_VERDICT] = STEP(ABORTING, ABORT),
		[RK_FSM_EV_LEASE] = STEP(FENCING, FENCE),
		[RK_FSM_EV_EXITED] = STEP(DOWN, RECOVER),
		[RK_FSM_EV_DRAIN] = STEP(DRAINING, DRAIN),
		[RK_FSM_EV_RELEASED] = STAY(SUSPECT),
		[RK_FSM_EV_RECYCLE] = STEP(RECYCLING, TERM),
		[RK_FSM_EV_STOP] = STEP(STOPPING, TERM),
		[RK_FSM_EV_TIMER] = STAY(SUSPECT),
	},
	[RK_FSM_PAUSED] = {
		[RK_FSM_EV_START] = STAY(PAUSED),
		[RK_FSM_EV_DELAY] = STAY(PAUSED),
		[RK_FSM_EV_QUARANTINE] = STAY(PAUSED),
		[RK_FSM_EV_GIVE_UP] = STAY(PAUSED),
		[RK_FSM_EV_FAILED] = STAY(PAUSED),
		[RK_FSM_EV_READY] = STAY(PAUSED),
		[RK_FSM_EV_SUSPECT] = STAY(PAUSED),
		[RK_FSM_EV_CLEAR] = STAY(PAUSED),
		[RK_FSM_EV_PAUSE] = STAY(PAUSED),
		[RK_FSM_EV_RESUME] = STEP(READY, RESUME),
		[RK_FSM_EV_VERDICT] = STEP(ABORTING, ABORT),
		[RK_FSM_EV_LEASE] = STEP(FENCING, FENCE),
		[RK_FSM_EV_EXITED] = STEP(DOWN, RECOVER),
		[RK_FSM_EV_DRAIN] = STEP(DRAINING, DRAIN),
		[RK_FSM_EV_RELEASED] = STAY(PAUSED),
		[RK_FSM_EV_RECYCLE] = STEP(RECYCLING, TERM),
		[RK_FSM_EV_STOP] = STEP(STOPPING, TERM),
		[RK_FSM_EV_TIMER] = STAY(PAUSED),
	},
	[RK_FSM_DRAINING] = {
		[RK_FSM_EV_START] = STEP(READY, RESUME),
		[RK_FSM_EV_DELAY] = STAY(DRAINING),
		[RK_FSM_EV_QUARANTINE] = STAY(DRAINING),
		[RK_FSM_EV_GIVE_UP] = STAY(DRAINING),
		[RK_FSM_EV_FAILED] = STAY(DRAINING),
		[RK_FSM_EV_READY] = STAY(DRAINING),
		[RK_FSM_EV_SUSPECT] = STAY(DRAINING),
		[RK_FSM_EV_CLEAR] = STAY(DRAINING),
		[RK_FSM_EV_PAUSE] = STAY(DRAINING),
		[RK_FSM_EV_RESUME] = STAY(DRAINING),
		[RK_FSM_EV_VERDICT] = STEP(STOPPING, ABORT),
		[RK_FSM_EV_LEASE] = STEP(STOPPING, FENCE),
		[RK_FSM_EV_EXITED] = STEP(EMPTY, SETTLE),
		[RK_FSM_EV_DRAIN] = STAY(DRAINING),
		[RK_FSM_EV_RELEASED] = STEP(STOPPING, TERM),
		[RK_FSM_EV_RECYCLE] = STAY(DRAINING),
		[RK_FSM_EV_STOP] = STEP(STOPPING, TERM),
		[RK_FSM_EV_TIMER] = STEP(STOPPING, TERM),
	},
	[RK_FSM_RECYCLING] = {
		[RK_FSM_EV_START] = STAY(RECYCLING),
		[RK_FSM_EV_DELAY] = STAY(RECYCLING),
		[RK_FSM_EV_QUARANTINE] = STAY(RECYCLING),
		[RK_FSM_EV_GIVE_UP] = STAY(RECYCLING),
		[RK_FSM_EV_FAILED] = STAY(RECYCLING),
		[RK_FSM_EV_READY] = STAY(RECYCLING),
		[RK_FSM_EV_SUSPECT] = STAY(RECYCLING),
		[RK_FSM_EV_CLEAR] = STAY(RECYCLING),
		[RK_FSM_EV_PAUSE] = STAY(RECYCLING),
		[RK_FSM_EV_RESUME] = STAY(RECYCLING),
		[RK_FSM_EV_VERDICT] = STEP(ABORTING, ABORT),
		[RK_FSM_EV_LEASE] = STAY(RECYCLING), /* as in STOPPING */
		[RK_FSM_EV_EXITED] = STEP(DOWN, RECOVER),
		[RK_FSM_EV_DRAIN] = STEP(STOPPING, NOTHING),
		[RK_FSM_EV_RELEASED] = STAY(RECYCLING),
		[RK_FSM_EV_RECYCLE] = STAY(RECYCLING),
		[RK_FSM_EV_STOP] = STEP(STOPPING, NOTHING), /* it has its SIGTERM already */
		[RK_FSM_EV_TIMER] = STEP(RECYCLING, KILL),
	},
	[RK_FSM_ABORTING] = {
		[RK_FSM_EV_START] = STAY(ABORTING),
		[RK_FSM_EV_DELAY] = STAY(ABORTING),
		[RK_FSM_EV_QUARANTINE] = STAY(ABORTING),
		[RK_FSM_EV_GIVE_UP] = STAY(ABORTING),
		[RK_FSM_EV_FAILED] = STAY(ABORTING),
		[RK_FSM_EV_READY] = STAY(ABORTING),
		[RK_FSM_EV_SUSPECT] = STAY(ABORTING),
		[RK_FSM_EV_CLEAR] = STAY(ABORTING),
		[RK_FSM_EV_PAUSE] = STAY(ABORTING),
		[RK_FSM_EV_RESUME] = STAY(ABORTING),
		[RK_FSM_EV_VERDICT] = STAY(ABORTING),
		[RK_FSM_EV_LEASE] = STEP(FENCING, FENCE),
		[RK_FSM_EV_EXITED] = STEP(DOWN, RECOVER),
		[RK_FSM_EV_DRAIN] = STEP(STOPPING, NOTHING),
		[RK_FSM_EV_RELEASED] = STAY(ABORTING),
		[RK_FSM_EV_RECYCLE] = STAY(ABORTING),
		[RK_FSM_EV_STOP] = STEP(STOPPING, NOTHING), /* the stop timeout bounds the core */
		[RK_FSM_EV_TIMER] = STEP(FENCING, KILL),
	},
	[RK_FSM_FENCING] = {
		[RK_FSM_EV_START] = STAY(FENCING),
		[RK_FSM_EV_DELAY] = STAY(FENCING),
		[RK_FSM_EV_QUARANTINE] = STAY(FENCING),
		[RK_FSM_EV_GIVE_UP] = STAY(FENCING),
		[RK_FSM_EV_FAILED] = STAY(FENCING),
		[RK_FSM_EV_READY] = STAY(FENCING),
		[RK_FSM_EV_SUSPECT] = STAY(FENCING),
		[RK_FSM_EV_CLEAR] = STAY(FENCING),
		[RK_FSM_EV_PAUSE] = STAY(FENCING),
		[RK_FSM_EV_RESUME] = STAY(FENCING),
		[RK_FSM_EV_VERDICT] = STAY(FENCING),
		[RK_FSM_EV_LEASE] = STAY(FENCING),
		[RK_FSM_EV_EXITED] = STEP(DOWN, RECOVER),
		[RK_FSM_EV_DRAIN] = STEP(STOPPING, NOTHING),
		[RK_FSM_EV_RELEASED] = STAY(FENCING),
		[RK_FSM_EV_RECYCLE] = STAY(FENCING),
		[RK_FSM_EV_STOP] = STEP(STOPPING, NOTHING), /* it is killed already */
		[RK_FSM_EV_TIMER] = STEP(FENCING, KILL),
	},
	[RK_FSM_STOPPING] = {
		[RK_FSM_EV_START] = STEP(RECYCLING, NOTHING), /* started again once it has ended */
		[RK_FSM_EV_DELAY] = STAY(STOPPING),
		[RK_FSM_EV_QUARANTINE] = STAY(STOPPING),
		[RK_FSM_EV_GIVE_UP] = STAY(STOPPING),
		[RK_FSM_EV_FAILED] = STAY(STOPPING),
		[RK_FSM_EV_READY] = STAY(STOPPING),
		[RK_FSM_EV_SUSPECT] = STAY(STOPPING),
		[RK_FSM_EV_CLEAR] = STAY(STOPPING),
		[RK_FSM_EV_PAUSE] = STAY(STOPPING),
		[RK_FSM_EV_RESUME] = STAY(STOPPING),
		[RK_FSM_EV_VERDICT] = STAY(STOPPING),
		[RK_FSM_EV_LEASE] = STAY(STOPPING), /* there is time to wait for its pidfd */
		[RK_FSM_EV_EXITED] = STEP(EMPTY, SETTLE),
		[RK_FSM_EV_DRAIN] = STAY(STOPPING),
		[RK_FSM_EV_RELEASED] = STAY(STOPPING),
		[RK_FSM_EV_RECYCLE] = STAY(STOPPING),
		[RK_FSM_EV_STOP] = STAY(STOPPING),
		[RK_FSM_EV_TIMER] = STEP(STOPPING, KILL),
	},
	[RK_FSM_DOWN] = {
		[RK_FSM_EV_START] = STEP(STARTING, SPAWN),
		[RK_FSM_EV_DELAY] = STEP(WAITING, ARM),
		[RK_FSM_EV_QUARANTINE] = STEP(QUARANTINED, ARM),
		[RK_FSM_EV_GIVE_UP] = STEP(ENDED, GIVE_UP),
		[RK_FSM_EV_FAILED] = STEP(WAITING, ARM),
		[RK_FSM_EV_READY] = STAY(DOWN),
		[RK_FSM_EV_SUSPECT] = STAY(DOWN),
		[RK_FSM_EV_CLEAR] = STAY(DOWN),
		[RK_FSM_EV_PAUSE] = STAY(DOWN),
		[RK_FSM_EV_RESUME] = STAY(DOWN),
		[RK_FSM_EV_VERDICT] = STAY(DOWN),
		[RK_FSM_EV_LEASE] = STAY(DOWN),
		[RK_FSM_EV_EXITED] = STAY(DOWN),
		[RK_FSM_EV_DRAIN] = STEP(EMPTY, NOTHING),
		[RK_FSM_EV_RELEASED] = STAY(DOWN),
		[RK_FSM_EV_RECYCLE] = STAY(DOWN),
		[RK_FSM_EV_STOP] = STEP(EMPTY, NOTHING),
		[RK_FSM_EV_TIMER] = STAY(DOWN),
	},
	[RK_FSM_WAITING] = {
		[RK_FSM_EV_START] = STEP(STARTING, SPAWN),
		[RK_FSM_EV_DELAY] = STAY(WAITING),
		[RK_FSM_EV_QUARANTINE] = STAY(WAITING),
		[RK_FSM_EV_GIVE_UP] = STAY(WAITING),
		[RK_FSM_EV_FAILED] = STAY(WAITING),
		[RK_FSM_EV_READY] = STAY(WAITING),
		[RK_FSM_EV_SUSPECT] = STAY(WAITING),
		[RK_FSM_EV_CLEAR] = STAY(WAITING),
		[RK_FSM_EV_PAUSE] = STAY(WAITING),
		[RK_FSM_EV_RESUME] = STAY(WAITING),
		[RK_FSM_EV_VERDICT] = STAY(WAITING),
		[RK_FSM_EV_LEASE] = STAY(WAITING),
		[RK_FSM_EV_EXITED] = STAY(WAITING),
		[RK_FSM_EV_DRAIN] = STEP(EMPTY, DISARM),
		[RK_FSM_EV_RELEASED] = STAY(WAITING),
		[RK_FSM_EV_RECYCLE] = STAY(WAITING),
		[RK_FSM_EV_STOP] = STEP(EMPTY, DISARM),
		[RK_FSM_EV_TIMER] = STEP(STARTING, SPAWN),
	},
	[RK_FSM_QUARANTINED] = {
		[RK_FSM_EV_START] = STEP(STARTING, SPAWN),
		[RK_FSM_EV_DELAY] = STAY(QUARANTINED),
		[RK_FSM_EV_QUARANTINE] = STAY(QUARANTINED),
		[RK_FSM_EV_GIVE_UP] = STAY(QUARANTINED),
		[RK_FSM_EV_FAILED] = STAY(QUARANTINED),
		[RK_FSM_EV_READY] = STAY(QUARANTINED),
		[RK_FSM_EV_SUSPECT] = STAY(QUARANTINED),
		[RK_FSM_EV_CLEAR] = STAY(QUARANTINED),
		[RK_FSM_EV_PAUSE] = STAY(QUARANTINED),
		[RK_FSM_EV_RESUME] = STAY(QUARANTINED),
		[RK_FSM_EV_VERDICT] = STAY(QUARANTINED),
		[RK_FSM_EV_LEASE] = STAY(QUARANTINED),
		[RK_FSM_EV_EXITED] = STAY(QUARANTINED),
		[RK_FSM_EV_DRAIN] = STEP(EMPTY, DISARM),
		[RK_FSM_EV_RELEASED] = STAY(QUARANTINED),
		[RK_FSM_EV_RECYCLE] = STAY(QUARANTINED),
		[RK_FSM_EV_STOP] = STEP(EMPTY, DISARM),
		[RK_FSM_EV_TIMER] = STEP(STARTING, SPAWN),
	},
	[RK_FSM_ENDED] = {
		[RK_FSM_EV_START] = STEP(STARTING, SPAWN),
		[RK_FSM_EV_DELAY] = STAY(ENDED),
		[RK_FSM_EV_QUARANTINE] = STAY(ENDED),
		[RK_FSM_EV_GIVE_UP] = STAY(ENDED),
		[RK_FSM_EV_FAILED] = STAY(ENDED),
		[RK_FSM_EV_READY] = STAY(ENDED),
		[RK_FSM_EV_SUSPECT] = STAY(ENDED),
		[RK_FSM_EV_CLEAR] = STAY(ENDED),
		[RK_FSM_EV_PAUSE] = STAY(ENDED),
		[RK_FSM_EV_RESUME] = STAY(ENDED),
		[RK_FSM_EV_VERDICT] = STAY(ENDED),
		[RK_FSM_EV_LEASE] = STAY(ENDED),
		[RK_FSM_EV_EXITED] = STAY(ENDED),
		[RK_FSM_EV_DRAIN] = STEP(EMPTY, NOTHING),
		[RK_FSM_EV_RELEASED] = STAY(ENDED),
		[RK_FSM_EV_RECYCLE] = STAY(ENDED),
		[RK_FSM_EV_STOP] = STEP(EMPTY, NOTHING),
		[RK_FSM_EV_TIMER] = STAY(ENDED),
	},
};
/* clang-format on */

struct rk_fsm_step rk_fsm_step(enum rk_fsm_state state, enum rk_fsm_event event)
{
	if ((unsigned int)state >= RK_FSM_STATES || (unsigned int)event >= RK_FSM_EVENTS)
		return (struct rk_fsm_step){ RK_FSM_EMPTY, RK_FSM_NOTHING };
	return table[state][event];
}

enum rk_fsm_clock rk_fsm_clock(enum rk_fsm_state state)
{
	static const enum rk_fsm_clock clocks[] = {
		[RK_FSM_STARTING] = RK_FSM_CLOCK_START,
		[RK_FSM_DRAINING] = RK_FSM_CLOCK_DRAIN,
		[RK_FSM_RECYCLING] = RK_FSM_CLOCK_STOP,
		[RK_FSM_ABORTING] = RK_FSM_CLOCK_CORE,
		[RK_FSM_FENCING] = RK_FSM_CLOCK_KILL,
		[RK_FSM_STOPPING] = RK_FSM_CLOCK_STOP,
		[RK_FSM_WAITING] = RK_FSM_CLOCK_BACKOFF,
		[RK_FSM_QUARANTINED] = RK_FSM_CLOCK_BACKOFF,
		[RK_FSM_ENDED] = RK_FSM_UNBOUNDED, /* the last one: gives the array its size */
	};

	_Static_assert(rk_countof(clocks) == RK_FSM_STATES, "a clock for every state");
	return (unsigned int)state < RK_FSM_STATES ? clocks[state] : RK_FSM_UNBOUNDED;
}

const char *rk_fsm_state_name(enum rk_fsm_state state)
{
	static const char *const names[] = { "empty",       "starting", "ready",     "suspect",
					     "paused",      "draining", "recycling", "aborting",
					     "fencing",     "stopping", "down",      "waiting",
					     "quarantined", "ended" };

	_Static_assert(rk_countof(names) == RK_FSM_STATES, "a name for every state");
	return (unsigned int)state < RK_FSM_STATES ? names[state] : "?";
}

const char *rk_fsm_event_name(enum rk_fsm_event event)
{
	static const char *const names[] = { "start",  "delay",  "quarantine", "give-up",
					     "failed", "ready",  "suspect",    "clear",
					     "pause",  "resume", "verdict",    "lease",
					     "exited", "drain",  "released",   "recycle",
					     "stop",   "timer" };

	_Static_assert(rk_countof(names) == RK_FSM_EVENTS, "a name for every event");
	return (unsigned int)event < RK_FSM_EVENTS ? names[event] : "?";
}

const char *rk_fsm_action_name(enum rk_fsm_action action)
{
	static const char *const names[] = {
		"nothing", "spawn", "announce", "hold", "resume", "fence",  "recover", "settle",
		"drain",   "term",  "abort",    "kill", "arm",    "disarm", "give-up"
	};

	_Static_assert(rk_countof(names) == RK_FSM_ACTIONS, "a name for every action");
	return (unsigned int)action < RK_FSM_ACTIONS ? names[action] : "?";
}
