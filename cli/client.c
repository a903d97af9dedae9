/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/ask.h"
#include "shm/rundir.h"

uint64_t rk_cli_client_deadline(const struct rk_args *a)
{
	return rk_clock_ns() +
	       rk_args_number(a, "timeout", RK_TIMEOUT_DEFAULT_MS * RK_NS_PER_MS);
}

/* Whether the supervisor answers in time. The library gives it 5 s, whatever --timeout says. */
static int is_answering(const char *fleet, uint64_t deadline_ns, struct rk_err *err)
{
	rk_cleanup(rk_ask_close_p) struct rk_ask ask = { .sock = -1 };
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct json_object *answer;
	int r = rk_ask_open_until(&ask, fleet, deadline_ns, err);

	if (r == 0)
		r = rk_ask(&ask, "{\"verb\":\"ping\"}", &answer, &fds, err);
	if (r == 0)
		json_object_put(answer);
	return r;
}

int rk_cli_client_open(struct rk_client **ret, const struct rk_args *a, const char *name,
		       uint64_t deadline_ns, struct rk_err *err)
{
	char fleet[RK_NAME_MAX];
	int r = rk_rundir_choose(rk_args_text(a, "name"), fleet, err);

	if (r == 0 && rk_args_text(a, "timeout"))
		r = is_answering(fleet, deadline_ns, err);
	if (r < 0)
		return r;
	do /* killed with what it was asked, or slow: as long as there is time the next one is asked */
		r = rk_client_open(ret, rk_args_text(a, "name"), name);
	while ((r == -ETIMEDOUT || r == -ECONNRESET) && rk_args_text(a, "timeout") &&
	       rk_clock_ns() < deadline_ns);
	return r < 0 ? rk_err_set(err, r, "%s", rk_client_error()) : 0;
}

void rk_cli_client_close_p(struct rk_client **client)
{
	rk_client_close(*client);
	*client = NULL;
}

int rk_cli_key_check(const char *key, struct rk_err *err)
{
	return key[0] ? 0 : rk_err_set(err, -EINVAL, "the KEY is empty: a job needs one");
}
