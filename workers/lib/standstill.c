/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/standstill.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "shm/board_socket.h"
#include "shm/rundir.h"

pid_t rk_standstill_peer(int sock)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	/* Of a socket that listened: whoever called listen() last. */
	if (sock < 0 || getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.pid <= 0)
		return 0;
	return who.pid;
}

/* It listens there itself, so that a connection has its pid although it accepts nobody. */
static pid_t keeper_of(const char *fleet, bool *ret_gone)
{
	rk_cleanup(rk_close_p) int sock = rk_board_socket_connect(fleet);

	/* A socket that nobody listens at, in a directory that is locked: only systemd's copies are left of keeper's. */
	*ret_gone = sock == -ECONNREFUSED && rk_rundir_look(fleet) == RK_RUNDIR_HELD;
	return rk_standstill_peer(sock);
}

struct rk_standstill rk_standstill_look(const char *fleet, int sock)
{
	pid_t supervisor = rk_standstill_peer(sock);
	pid_t keeper = supervisor ? rk_process_parent(supervisor) : 0;
	struct rk_standstill s = { 0 };
	bool is_gone = false;

	if (supervisor && rk_process_is_stopped(supervisor))
		s.supervisor = supervisor;
	if (!keeper && fleet)
		keeper = keeper_of(fleet, &is_gone);
	if (is_gone)
		s.gone = fleet;
	if (keeper && rk_process_is_stopped(keeper))
		s.keeper = keeper;
	return s;
}

const char *rk_standstill_text(char text[static RK_STANDSTILL_TEXT], const struct rk_standstill *s)
{
	text[0] = '\0';
	if (s->gone)
		(void)snprintf(text, RK_STANDSTILL_TEXT,
			       "keeper is gone, and systemd is to start the next one: see 'systemctl status rekindle@%.63s'", s->gone);
	else if (s->keeper && s->supervisor)
		(void)snprintf(text, RK_STANDSTILL_TEXT,
			       "keeper (pid %d) and the supervisor (pid %d) are stopped: 'kill -CONT %d %d' lets them go on",
			       (int)s->keeper, (int)s->supervisor, (int)s->keeper, (int)s->supervisor);
	else if (s->keeper)
		(void)snprintf(text, RK_STANDSTILL_TEXT, "keeper (pid %d) is stopped: 'kill -CONT %d' lets it go on",
			       (int)s->keeper, (int)s->keeper);
	else if (s->supervisor)
		(void)snprintf(text, RK_STANDSTILL_TEXT,
			       "the supervisor (pid %d) is stopped: 'kill -CONT %d' lets it go on", (int)s->supervisor,
			       (int)s->supervisor);
	return text;
}
