/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "shm/rundir.h"

int rk_ask_open(struct rk_ask *a, const char *name, struct rk_err *err)
{
	int r;

	*a = (struct rk_ask){ .sock = -1 };
	r = rk_rundir_choose(name, a->fleet, err);
	if (r < 0)
		return r;
	r = rk_connect(a->fleet, err);
	if (r < 0)
		return r;
	a->sock = r;
	return 0;
}

void rk_ask_close_p(struct rk_ask *a)
{
	rk_close_p(&a->sock);
}

pid_t rk_ask_peer(const struct rk_ask *a)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	/* Of a socket that listened: whoever called listen(). */
	if (getsockopt(a->sock, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.pid <= 0)
		return -1;
	return who.pid;
}

int rk_ask(struct rk_ask *a, const char *request, struct json_object **ret_answer,
	   struct rk_fds *ret_fds, struct rk_err *err)
{
	int r = rk_connect_ask(a->sock, request, RK_ASK_TIMEOUT_MS, ret_answer, ret_fds, err);

	if (r == -ETIMEDOUT)
		return rk_err_set(
			err, r,
			"the supervisor of fleet '%s' (pid %d) has not answered for %u s; workers and clients "
			"go on without it: see whether it is stopped, and 'kill -CONT %d' if so",
			a->fleet, (int)rk_ask_peer(a), RK_ASK_TIMEOUT_MS / 1000,
			(int)rk_ask_peer(a));
	return r < 0 ? rk_err_prefix(err, r, a->fleet) : 0;
}
