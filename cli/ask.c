/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macro.h"
#include "shm/rundir.h"

/* When one more question has to be through; there is at least a moment, in which a willing supervisor answers. */
static uint64_t deadline_of(const struct rk_ask *a)
{
	uint64_t now_ns = rk_clock_ns();

	return a->deadline_ns ? rk_max_u64(a->deadline_ns, now_ns + RK_NS_PER_MS)
			      : now_ns + RK_CONNECT_TIMEOUT_MS * RK_NS_PER_MS;
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
	if (r == 0)
		r = a->sock = rk_connect_until(a->fleet, deadline_of(a), err);
	return r < 0 ? r : 0;
}

void rk_ask_close_p(struct rk_ask *a)
{
	rk_close_p(&a->sock);
}

static int ask(struct rk_ask *a, struct rk_question *q, struct json_object **ret_answer,
	       struct rk_fds *ret_fds, struct rk_err *err)
{
	int r;

	q->fleet = a->fleet;
	q->deadline_ns = deadline_of(a);
	r = rk_question_ask(q, &a->sock, ret_answer, ret_fds, err);
	return r < 0 ? rk_err_prefix(err, r, a->fleet) : 0;
}

int rk_ask(struct rk_ask *a, const char *request, struct json_object **ret_answer,
	   struct rk_fds *ret_fds, struct rk_err *err)
{
	struct rk_question q = { .request = request };

	return ask(a, &q, ret_answer, ret_fds, err);
}

int rk_ask_once(struct rk_ask *a, const char *request, const char *unsure,
		struct json_object **ret_answer, struct rk_err *err)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct rk_question q = { .request = request, .unsure = unsure };

	return ask(a, &q, ret_answer, &fds, err);
}

int rk_ask_here(struct rk_ask *a, const char *request, struct json_object **ret_answer,
		struct rk_err *err)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	uint64_t now_ns = rk_clock_ns(), left_ns = deadline_of(a) - now_ns;
	uint32_t ms = (uint32_t)rk_min_u64(left_ns / RK_NS_PER_MS + 1, INT32_MAX);
	int r = rk_connect_ask(a->sock, request, ms, ret_answer, &fds, err);

	return r < 0 ? rk_err_prefix(err, r, a->fleet) : 0;
}
