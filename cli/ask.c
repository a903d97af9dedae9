/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macro.h"
#include "shm/rundir.h"

/* What one more question may take; at least a moment, in which a willing supervisor answers. */
static uint32_t left_ms(const struct rk_ask *a)
{
	uint64_t now_ns = rk_clock_ns();

	if (a->deadline_ns == 0)
		return RK_ASK_TIMEOUT_MS;
	if (a->deadline_ns <= now_ns)
		return 1;
	return (uint32_t)rk_min_u64((a->deadline_ns - now_ns) / RK_NS_PER_MS + 1, INT32_MAX);
}

int rk_ask_open(struct rk_ask *a, const char *name, struct rk_err *err)
{
	return rk_ask_open_until(a, name, 0, err);
}

int rk_ask_open_until(struct rk_ask *a, const char *name, uint64_t deadline_ns, struct rk_err *err)
{
	int r;

	*a = (struct rk_ask){ .sock = -1, .deadline_ns = deadline_ns };
	r = rk_rundir_choose(name, a->fleet, err);
	if (r < 0)
		return r;
	r = rk_connect_within(a->fleet, left_ms(a), err);
	if (r < 0)
		return r;
	a->sock = r;
	return 0;
}

void rk_ask_close_p(struct rk_ask *a)
{
	rk_close_p(&a->sock);
}

int rk_ask(struct rk_ask *a, const char *request, struct json_object **ret_answer,
	   struct rk_fds *ret_fds, struct rk_err *err)
{
	int r = rk_connect_ask(a->sock, request, left_ms(a), ret_answer, ret_fds, err);

	return r < 0 ? rk_err_prefix(err, r, a->fleet) : 0;
}
