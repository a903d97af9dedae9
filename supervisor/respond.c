/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/respond.h"

#include <string.h>

#include "base/macro.h"

/* clang-format off */
#define ROW(report, move, kill) { RK_RESPOND_##report, RK_RESPOND_##move, RK_RESPOND_##kill }

/*
 * A stopped, traced or frozen process, or one in state D, dumps no core: it is killed at once.
 * Deadlines of start and stop are nobody's policy: they always end.
 */
static const enum rk_response table[RK_VERDICTS][RK_POLICIES] = {
	/* policy                        REPORT  MOVE    KILL */
	[RK_VERDICT_FINE] =          ROW(NONE,   NONE,   NONE),
	[RK_VERDICT_WAITING] =       ROW(NONE,   NONE,   NONE),
	[RK_VERDICT_STARVED] =       ROW(NONE,   NONE,   NONE),
	[RK_VERDICT_BLIND] =         ROW(NONE,   NONE,   NONE),
	[RK_VERDICT_GONE] =          ROW(NONE,   NONE,   NONE),
	[RK_VERDICT_SUSPECT] =       ROW(HOLD,   HOLD,   HOLD),
	[RK_VERDICT_LATE] =          ROW(CANCEL, CANCEL, CANCEL),
	[RK_VERDICT_STOPPED] =       ROW(REPORT, MOVE,   KILL),
	[RK_VERDICT_TRACED] =        ROW(REPORT, MOVE,   KILL),
	[RK_VERDICT_FROZEN] =        ROW(REPORT, MOVE,   KILL),
	[RK_VERDICT_LOOP] =          ROW(REPORT, MOVE,   ABORT),
	[RK_VERDICT_ASLEEP] =        ROW(REPORT, MOVE,   ABORT),
	[RK_VERDICT_LIVELOCK] =      ROW(REPORT, MOVE,   ABORT),
	[RK_VERDICT_DISK] =          ROW(REPORT, MOVE,   KILL),
	[RK_VERDICT_START_TIMEOUT] = ROW(ABORT,  ABORT,  ABORT),
	[RK_VERDICT_STOP_TIMEOUT] =  ROW(KILL,   KILL,   KILL),
};
/* clang-format on */

static enum rk_policy policy_for(enum rk_verdict verdict, const struct rk_policies *p)
{
	return verdict >= RK_VERDICT_STOPPED && verdict <= RK_VERDICT_FROZEN ? p->on_paused
									     : p->on_hang;
}

enum rk_response rk_respond(enum rk_verdict verdict, const struct rk_policies *p,
			    uint64_t blamed_for_ns)
{
	enum rk_policy policy = policy_for(verdict, p);
	enum rk_response r;

	if ((unsigned int)verdict >= RK_VERDICTS || (unsigned int)policy >= RK_POLICIES)
		return RK_RESPOND_NONE;
	r = table[verdict][policy];
	return r == RK_RESPOND_ABORT && blamed_for_ns >= p->core_timeout_ns ? RK_RESPOND_KILL : r;
}

static const char *const policies[] = { "report", "move", "kill" };

int rk_policy_parse(const char *text, enum rk_policy *ret)
{
	static_assert(rk_countof(policies) == RK_POLICIES, "a name for every policy");
	for (unsigned int i = 0; i < RK_POLICIES; i++) {
		if (strcmp(text, policies[i]) != 0)
			continue;
		*ret = (enum rk_policy)i;
		return 0;
	}
	return -1;
}

const char *rk_policy_name(enum rk_policy policy)
{
	return (unsigned int)policy < RK_POLICIES ? policies[policy] : "?";
}

const char *rk_response_name(enum rk_response response)
{
	static const char *const names[] = { "none", "hold",  "report", "cancel",
					     "move", "abort", "kill" };

	static_assert(rk_countof(names) == RK_RESPONSES, "a name for every response");
	return (unsigned int)response < RK_RESPONSES ? names[response] : "?";
}
