/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle stop: asks the supervisor to end the fleet and awaits keeper, which goes last.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/out.h"

#define TIMEOUT_DEFAULT_NS (30 * RK_NS_PER_S)

/* Asks a question whose answer names keeper. */
static int keeper_of(struct rk_ask *ask, const char *request, struct rk_err *err)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct json_object *answer;
	int64_t pid;
	int r = rk_ask(ask, request, &answer, &fds, err);

	if (r < 0)
		return r;
	pid = rk_connect_int(answer, "keeper_pid");
	json_object_put(answer);
	if (pid <= 0 || pid > INT32_MAX)
		return rk_err_set(err, -EPROTO, "%s: the supervisor does not say who its keeper is",
				  ask->fleet);
	return (int)pid;
}

/* Asks for the end. Returns keeper's pid, and in *ret_pidfd what its end can be awaited with. */
static int stop(struct rk_ask *ask, int *ret_pidfd, struct rk_err *err)
{
	int keeper = keeper_of(ask, "{\"verb\":\"ping\"}", err), r;

	if (keeper < 0)
		return keeper;
	/* Before the request: as long as the fleet runs the pid is keeper's, then maybe another's.
	 */
	rk_cleanup(rk_close_p) int pidfd = pidfd_open(keeper, 0);
	if (pidfd < 0)
		return rk_err_set(err, -errno, "%s: keeper (pid %d): %s", ask->fleet, keeper,
				  strerror(errno));
	r = keeper_of(ask, "{\"verb\":\"stop\"}", err);
	if (r < 0 && r != -ECONNRESET && r != -EPIPE) /* those: it was ending already */
		return r;
	*ret_pidfd = rk_take_fd(&pidfd);
	return keeper;
}

/* True when the process has ended. */
static bool await_end(int pidfd, uint64_t timeout_ns)
{
	uint64_t deadline_ns = rk_clock_ns() + timeout_ns;

	for (;;) {
		struct pollfd p = { .fd = pidfd, .events = POLLIN };
		uint64_t now_ns = rk_clock_ns();

		if (poll(&p, 1,
			 now_ns < deadline_ns ? (int)((deadline_ns - now_ns) / RK_NS_PER_MS) + 1
					      : 0) > 0)
			return true;
		if (rk_clock_ns() >= deadline_ns)
			return false;
	}
}

int rk_cli_stop(int argc, char **argv)
{
	rk_cleanup(rk_ask_close_p) struct rk_ask ask = { .sock = -1 };
	rk_cleanup(rk_close_p) int pidfd = -1;
	struct rk_err err = { 0 };
	struct rk_args a;
	int status, keeper = -1;
	bool has_ended;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	if (rk_ask_open(&ask, rk_args_text(&a, "name"), &err) == 0)
		keeper = stop(&ask, &pidfd, &err);
	if (keeper < 0)
		return rk_cli_fail(&err);
	has_ended = await_end(pidfd, rk_args_number(&a, "timeout", TIMEOUT_DEFAULT_NS));
	if (rk_args_json(&a)) {
		struct json_object *o = json_object_new_object();

		rk_out_json_text(o, "name", ask.fleet);
		rk_out_json_int(o, "keeper_pid", keeper);
		json_object_object_add(o, "stopped", json_object_new_boolean(has_ended));
		rk_out_json(o);
	} else if (has_ended) {
		(void)printf("stopped %s\n", ask.fleet);
	}
	if (has_ended)
		return RK_CLI_OK;
	return rk_cli_complain(RK_CLI_TIMEOUT,
			       "fleet '%s' was asked to end and has not yet: keeper is pid %d",
			       ask.fleet, keeper);
}
