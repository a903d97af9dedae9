/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/spare.h"

#include "base/macro.h"

/*
 *           WANT           TIMER             PREPARED            PARKED
 *   ABSENT -----> WAITING -------> PREPARING --------> STARTING --------> PARKED
 *     ^            ^ ^ ^ FAILED        |                 | |                | |
 *     |            | | +---------------+                 | | GONE, FAILED   | |
 *     |            | +-----------------------------------+ |                | | UNWANT
 *     |            +---------------------------------------|---- TAKEN, ----+ |
 *     |                                              TIMER,|     GONE         |
 *     |   GONE                                      UNWANT v                  |
 *     +--------- ENDING <------------------------------- (END, KILL) <--------+
 *
 * MISSPOKE kills it and leads to STARTING, from PARKED too: mostly it is a death that shows at the
 * socket before it does at the pidfd, and GONE answers it like one.
 *
 * UNWANT leads to ABSENT from WAITING and PREPARING, where there is no process. From ABSENT the
 * caller goes on to WANT at once when the place is still wanted: that renews it.
 */
/* clang-format off */
#define STEP(next, action) { RK_SPARE_##next, RK_SPARE_##action }
#define STAY(state) { RK_SPARE_##state, RK_SPARE_NOTHING }

static const struct rk_spare_step table[RK_SPARE_STATES][RK_SPARE_EVENTS] = {
	[RK_SPARE_ABSENT] = {
		[RK_SPARE_EV_WANT] = STEP(WAITING, DELAY),
		[RK_SPARE_EV_UNWANT] = STAY(ABSENT),
		[RK_SPARE_EV_TIMER] = STAY(ABSENT),
		[RK_SPARE_EV_PREPARED] = STAY(ABSENT),
		[RK_SPARE_EV_FAILED] = STAY(ABSENT),
		[RK_SPARE_EV_PARKED] = STAY(ABSENT),
		[RK_SPARE_EV_MISSPOKE] = STAY(ABSENT),
		[RK_SPARE_EV_TAKEN] = STAY(ABSENT),
		[RK_SPARE_EV_GONE] = STAY(ABSENT),
	},
	[RK_SPARE_WAITING] = {
		[RK_SPARE_EV_WANT] = STAY(WAITING),
		[RK_SPARE_EV_UNWANT] = STEP(ABSENT, CANCEL),
		[RK_SPARE_EV_TIMER] = STEP(PREPARING, PREPARE),
		[RK_SPARE_EV_PREPARED] = STAY(WAITING),
		[RK_SPARE_EV_FAILED] = STAY(WAITING),
		[RK_SPARE_EV_PARKED] = STAY(WAITING),
		[RK_SPARE_EV_MISSPOKE] = STAY(WAITING),
		[RK_SPARE_EV_TAKEN] = STAY(WAITING),
		[RK_SPARE_EV_GONE] = STAY(WAITING),
	},
	[RK_SPARE_PREPARING] = {
		[RK_SPARE_EV_WANT] = STAY(PREPARING),
		[RK_SPARE_EV_UNWANT] = STEP(ABSENT, CANCEL),
		[RK_SPARE_EV_TIMER] = STAY(PREPARING), /* a hook's time is its own */
		[RK_SPARE_EV_PREPARED] = STEP(STARTING, MAKE),
		[RK_SPARE_EV_FAILED] = STEP(WAITING, BACKOFF),
		[RK_SPARE_EV_PARKED] = STAY(PREPARING),
		[RK_SPARE_EV_MISSPOKE] = STAY(PREPARING),
		[RK_SPARE_EV_TAKEN] = STAY(PREPARING),
		[RK_SPARE_EV_GONE] = STAY(PREPARING),
	},
	[RK_SPARE_STARTING] = {
		[RK_SPARE_EV_WANT] = STAY(STARTING),
		[RK_SPARE_EV_UNWANT] = STEP(ENDING, END),
		[RK_SPARE_EV_TIMER] = STEP(ENDING, KILL),
		[RK_SPARE_EV_PREPARED] = STAY(STARTING),
		[RK_SPARE_EV_FAILED] = STEP(WAITING, BACKOFF),
		[RK_SPARE_EV_PARKED] = STEP(PARKED, REST),
		[RK_SPARE_EV_MISSPOKE] = STEP(STARTING, KILL), /* mostly its end, seen at its socket first */
		[RK_SPARE_EV_TAKEN] = STAY(STARTING),
		[RK_SPARE_EV_GONE] = STEP(WAITING, BACKOFF),
	},
	[RK_SPARE_PARKED] = {
		[RK_SPARE_EV_WANT] = STAY(PARKED),
		[RK_SPARE_EV_UNWANT] = STEP(ENDING, END),
		[RK_SPARE_EV_TIMER] = STAY(PARKED),
		[RK_SPARE_EV_PREPARED] = STAY(PARKED),
		[RK_SPARE_EV_FAILED] = STAY(PARKED),
		[RK_SPARE_EV_PARKED] = STEP(ENDING, KILL), /* said twice: it is no library of ours */
		[RK_SPARE_EV_MISSPOKE] = STEP(STARTING, KILL), /* parked no more; its end is a death, and counts as one */
		[RK_SPARE_EV_TAKEN] = STEP(WAITING, DELAY),
		[RK_SPARE_EV_GONE] = STEP(WAITING, BACKOFF),
	},
	[RK_SPARE_ENDING] = {
		[RK_SPARE_EV_WANT] = STAY(ENDING),
		[RK_SPARE_EV_UNWANT] = STAY(ENDING),
		[RK_SPARE_EV_TIMER] = STEP(ENDING, KILL),
		[RK_SPARE_EV_PREPARED] = STAY(ENDING),
		[RK_SPARE_EV_FAILED] = STAY(ENDING),
		[RK_SPARE_EV_PARKED] = STAY(ENDING),
		[RK_SPARE_EV_MISSPOKE] = STAY(ENDING),
		[RK_SPARE_EV_TAKEN] = STAY(ENDING),
		[RK_SPARE_EV_GONE] = STEP(ABSENT, BURY),
	},
};
/* clang-format on */

struct rk_spare_step rk_spare_step(enum rk_spare_state state, enum rk_spare_event event)
{
	if ((unsigned int)state >= RK_SPARE_STATES || (unsigned int)event >= RK_SPARE_EVENTS)
		return (struct rk_spare_step){ RK_SPARE_ABSENT, RK_SPARE_NOTHING };
	return table[state][event];
}

const char *rk_spare_state_name(enum rk_spare_state state)
{
	static const char *const names[] = { "absent", "waiting", "preparing", "starting", "parked", "ending" };

	_Static_assert(rk_countof(names) == RK_SPARE_STATES, "a name for every state");
	return (unsigned int)state < RK_SPARE_STATES ? names[state] : "?";
}
