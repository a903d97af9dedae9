/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/absence.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/process.h"
#include "cli/out.h"
#include "shm/rundir.h"
#include "workers/lib/standstill.h"

/* What goes on without it. */
#define MEANWHILE "workers and connected clients go on, nobody is started again until then"

struct rk_absence rk_absence_judge(const struct rk_board_message *msg, char state)
{
	struct rk_absence a = { .kind = RK_ABSENCE_SILENT,
				.keeper_pid = msg->keeper_pid,
				.supervisor_pid = msg->supervisor_pid,
				.n_deaths = msg->n_deaths,
				.since_ns = msg->since_ns };

	if (msg->supervisor_pid == 0 || state == 'Z' || state == 'X' || state == 'x')
		a.kind = RK_ABSENCE_REPLACED;
	else if (state == 'T' || state == 't')
		a.kind = RK_ABSENCE_STOPPED;
	return a;
}

struct rk_absence rk_absence_see(const struct rk_board_message *msg)
{
	return rk_absence_judge(msg, msg->supervisor_pid ? rk_process_state(msg->supervisor_pid) : 'X');
}

int rk_absence_ask(const char *fleet, struct rk_absence *ret)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	rk_cleanup(rk_close_p) int sock = rk_board_socket_connect(fleet);
	struct rk_board_message msg;
	int r;

	if (sock < 0)
		return sock;
	r = rk_board_socket_next(sock, rk_clock_ns() + RK_ABSENCE_PATIENCE_NS, &msg, &fds);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = rk_absence_see(&msg);
	return 0;
}

struct rk_absence rk_absence_of_keeper(int sock)
{
	return (struct rk_absence){ .kind = RK_ABSENCE_NONE, .keeper_stopped = rk_standstill_look(NULL, sock).keeper };
}

bool rk_absence_can_ask(const char *fleet)
{
	char path[RK_PATH_MAX];

	return rk_rundir_path(fleet, RK_RUNDIR_BOARD, path, NULL) == 0 && access(path, W_OK) == 0;
}

const char *rk_absence_name(enum rk_absence_kind kind)
{
	static const char *const names[] = { "answers", "replaced", "stopped", "silent" };

	static_assert(rk_countof(names) == RK_ABSENCES, "a name for each");
	return names[kind];
}

const char *rk_absence_text(char text[static RK_ABSENCE_TEXT], const struct rk_absence *a, uint64_t now_ns)
{
	char time[RK_OUT_TIME];
	uint64_t for_ns = now_ns > a->since_ns ? now_ns - a->since_ns : 0;

	text[0] = '\0';
	switch (a->kind) {
	case RK_ABSENCE_NONE:
	case RK_ABSENCES:
		if (a->keeper_stopped)
			(void)snprintf(text, RK_ABSENCE_TEXT,
				       "keeper (pid %d) is stopped: the supervisor, workers and clients go on, but nobody replaces "
				       "the supervisor, ends the fleet or reaps who dies until then; 'kill -CONT %d' lets it go on",
				       a->keeper_stopped, a->keeper_stopped);
		break;
	case RK_ABSENCE_REPLACED:
		(void)snprintf(text, RK_ABSENCE_TEXT, "the supervisor is being replaced, for %s now: " MEANWHILE
			       "; see 'rekindle events'", rk_out_time(time, for_ns));
		break;
	case RK_ABSENCE_STOPPED:
		(void)snprintf(text, RK_ABSENCE_TEXT, "the supervisor (pid %d) is stopped: " MEANWHILE
			       "; 'kill -CONT %d' lets it go on", a->supervisor_pid, a->supervisor_pid);
		break;
	case RK_ABSENCE_SILENT:
		(void)snprintf(text, RK_ABSENCE_TEXT, "the supervisor (pid %d) does not answer: " MEANWHILE
			       "; see 'rekindle events'", a->supervisor_pid);
		break;
	}
	return text;
}
