/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/process.h"
#include "cli/cli.h"
#include "shm/beat.h"
#include "shm/board.h"
#include "shm/epoch.h"
#include "shm/rundir.h"
#include "workers/lib/attach.h"
#include "workers/lib/standstill.h"

#define CLIENT_FDS 2u /* board and readers: all that a mere client may see */
#define READ_FDS 6u /* board, readers, beats, parts, queues, dead */
#define FLEET_NAMES 160 /* bytes of those that are named in a complaint */

/* ---- the supervisor's answer ---- */

static int attach(struct rk_look *l, const struct rk_fds *fds, int64_t reader, struct rk_err *err)
{
	const struct rk_attach_segment segments[] = {
		{ RK_SEGMENT_READERS, fds->fd[1], true, &l->m.readers }, /* behind the board: all that a client gets */
		{ RK_SEGMENT_BEATS, fds->fd[2], false, &l->m.beats },
		{ RK_SEGMENT_PARTS, fds->fd[3], false, &l->m.parts },
		{ RK_SEGMENT_QUEUES, fds->fd[4], false, &l->m.queues },
		{ RK_SEGMENT_DEAD, fds->fd[5], false, &l->m.dead },
	};
	int r;

	if (fds->n == CLIENT_FDS && !l->board_will_do)
		return rk_err_set(err, -EPERM,
				  "%s: you are a client of this fleet: what its workers do is for root and its owner to see",
				  l->ask.fleet);
	if (fds->n != READ_FDS && fds->n != CLIENT_FDS)
		return rk_err_set(err, -EPROTO,
				  "%s: the supervisor passed %u descriptors instead of %u",
				  l->ask.fleet, fds->n, READ_FDS);
	r = rk_attach(&l->m, fds->fd[0], segments, fds->n == CLIENT_FDS ? 1 : rk_countof(segments), err);
	if (r < 0)
		return rk_err_prefix(err, r, l->ask.fleet);
	if (reader < 0 || reader >= l->m.g.n_readers)
		return rk_err_set(err, -EPROTO,
				  "%s: the supervisor gave a place that does not exist",
				  l->ask.fleet);
	l->line = rk_shm_reader(&l->m, (uint32_t)reader);
	return 0;
}

static int register_reader(struct rk_look *l, struct rk_err *err)
{
	int r = l->m.board->epoch_mode == RK_EPOCH_PLAIN ? rk_epoch_register() : 0;

	return r < 0 ? rk_err_set(err, r, "membarrier: %s", strerror(-r)) : 0;
}

/* 0 also of one that is not there. */
static uint64_t count_in(struct json_object *answer, const char *member)
{
	int64_t v = rk_connect_int(answer, member);

	return v > 0 ? (uint64_t)v : 0;
}

/* Connects anew, and asks for a line. */
static int line_ask(struct rk_look *l, const char *name, uint64_t deadline_ns, struct rk_err *err)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct json_object *answer;
	char request[48 + RK_NAME_MAX];
	int64_t reader;
	int r;

	rk_ask_close_p(&l->ask);
	r = rk_ask_open_until(&l->ask, name, deadline_ns, err);
	if (r < 0)
		return r;
	(void)snprintf(request, sizeof(request), "{\"verb\":\"read\",\"abi\":%u%s%s%s}", RK_ABI_VERSION,
		       l->part[0] ? ",\"fleet\":\"" : "", l->part, l->part[0] ? "\"" : "");
	r = rk_ask(&l->ask, request, &answer, &fds, err);
	if (r < 0)
		return r;
	reader = rk_connect_int(answer, "reader");
	l->absence = rk_absence_of_keeper(l->ask.sock);
	l->absence.since_ns = count_in(answer, "supervisor_started_ns");
	l->absence.n_deaths = (uint32_t)rk_min_u64(count_in(answer, "supervisor_deaths"), UINT32_MAX);
	r = attach(l, &fds, reader, err);
	if (r == 0)
		r = rk_endpoints_read(&l->endpoints, answer, l->m.g.n_workers, err);
	json_object_put(answer);
	if (r < 0)
		return r;
	return register_reader(l, err);
}

/* ---- what keeper shows ---- */

static int board_attach(struct rk_look *l, const struct rk_fds *fds, struct rk_err *err)
{
	const struct rk_attach_segment segments[] = {
		{ RK_SEGMENT_BEATS, fds->fd[RK_BOARD_FD_BEATS], false, &l->m.beats },
		{ RK_SEGMENT_PARTS, fds->fd[RK_BOARD_FD_PARTS], false, &l->m.parts },
		{ RK_SEGMENT_QUEUES, fds->fd[RK_BOARD_FD_QUEUES], false, &l->m.queues },
		{ RK_SEGMENT_DEAD, fds->fd[RK_BOARD_FD_DEAD], false, &l->m.dead },
	};
	int r = rk_attach(&l->m, fds->fd[RK_BOARD_FD_BOARD], segments, rk_countof(segments), err);

	return r < 0 ? rk_err_prefix(err, r, l->ask.fleet) : 0;
}

/* One fleet of those that are shown: 0 it is the one that is meant, else its name is added to names. */
static int board_take(struct rk_look *l, const struct rk_board_message *msg, const struct rk_fds *fds,
		      char names[static FLEET_NAMES], struct rk_err *err)
{
	const struct rk_view *v;
	size_t len = strlen(names);
	int r = board_attach(l, fds, err);

	if (r < 0)
		return r;
	/* Once: its name never changes, whichever view it stands in. */
	v = rk_shm_view(&l->m, atomic_load_explicit(&l->m.board->view, memory_order_acquire) % RK_VIEWS);
	if (l->part[0] ? strncmp(l->part, v->name, sizeof(v->name)) == 0 : msg->n_fleets == 1)
		return 0;
	(void)snprintf(names + len, FLEET_NAMES - len, " %s/%.63s", l->ask.fleet, v->name);
	rk_detach(&l->m);
	return 1;
}

static int none_chosen(const struct rk_look *l, const char *names, struct rk_err *err)
{
	if (l->part[0])
		return rk_err_set(err, -ENOENT, "'%s' runs no fleet named '%s'", l->ask.fleet, l->part);
	return rk_err_set(err, -E2BIG, "several fleets run under this name: choose one of%s", names);
}

/* -EAGAIN: keeper is not to be asked, or has nothing to show yet. */
static int board_ask(struct rk_look *l, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int sock = rk_board_socket_connect(l->ask.fleet);
	uint64_t deadline_ns = rk_clock_ns() + RK_ABSENCE_PATIENCE_NS;
	char names[FLEET_NAMES] = "";

	for (int n = 0; sock >= 0; n++) {
		rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
		struct rk_board_message msg;
		int r = rk_board_socket_next(sock, deadline_ns, &msg, &fds);

		if (r == 0 && n > 0)
			return none_chosen(l, names, err);
		if (r <= 0 || msg.n_fleets == 0)
			return -EAGAIN;
		r = board_take(l, &msg, &fds, names, err);
		if (r == 1)
			continue;
		l->absence = rk_absence_see(&msg);
		if (r == 0)
			l->end = (int)syscall(SYS_pidfd_open, msg.keeper_pid, 0);
		return r;
	}
	return -EAGAIN;
}

/* ---- opening ---- */

static int view_make(struct rk_look *l, struct rk_err *err)
{
	l->view = calloc(1, l->m.l.view_stride);
	if (!l->view)
		return rk_err_set(err, -ENOMEM, "no memory for a copy of the board");
	rk_look_view(l);
	return 0;
}

static void begin(struct rk_look *l, const char *name)
{
	const char *part = rk_fleet_part(name);
	bool board_will_do = l->board_will_do;

	*l = (struct rk_look)RK_LOOK_NONE;
	l->board_will_do = board_will_do;
	if (part) /* no longer than a name: rk_ask_open_until() checks it */
		(void)snprintf(l->part, sizeof(l->part), "%s", part);
}

int rk_look_open_line(struct rk_look *l, const char *name, uint64_t deadline_ns, struct rk_err *err)
{
	int r;

	begin(l, name);
	r = line_ask(l, name, deadline_ns, err);
	return r < 0 ? r : view_make(l, err);
}

int rk_look_open(struct rk_look *l, const char *name, struct rk_err *err)
{
	return rk_look_open_until(l, name, 0, err);
}

/* Keeper shows nothing: where it is stopped, and nobody supervises, waiting on changes nothing. */
static int stand_still(const struct rk_look *l, struct rk_err *err)
{
	struct rk_standstill still = rk_standstill_look(l->ask.fleet, l->ask.sock);
	pid_t supervisor = rk_standstill_peer(l->ask.sock);
	char text[RK_STANDSTILL_TEXT], state = supervisor ? rk_process_state(supervisor) : 'X';

	if (!still.keeper || (!still.supervisor && state != 'Z' && state != 'X'))
		return -EAGAIN;
	return rk_err_set(err, -ETIMEDOUT, "%s: nobody supervises: workers and connected clients go on, new ones cannot connect; %s",
			  l->ask.fleet, rk_standstill_text(text, &still));
}

/* The supervisor's answer, but before its whole time is up keeper's. */
static int ask(struct rk_look *l, const char *name, uint64_t deadline_ns, struct rk_err *err)
{
	uint64_t soon_ns = rk_clock_ns() + RK_ABSENCE_PATIENCE_NS;
	int r = rk_rundir_choose(name, l->ask.fleet, err);

	if (r < 0)
		return r;
	if (!rk_absence_can_ask(l->ask.fleet))
		return line_ask(l, name, deadline_ns, err);
	r = line_ask(l, name, deadline_ns ? rk_min_u64(deadline_ns, soon_ns) : soon_ns, err);
	if (r != -ETIMEDOUT && r != -ECONNRESET)
		return r;
	r = board_ask(l, err);
	if (r == -EAGAIN && !deadline_ns)
		r = stand_still(l, err);
	return r == -EAGAIN ? line_ask(l, name, deadline_ns, err) : r;
}

int rk_look_open_until(struct rk_look *l, const char *name, uint64_t deadline_ns,
		       struct rk_err *err)
{
	int r;

	begin(l, name);
	r = ask(l, name, deadline_ns, err);
	return r < 0 ? r : view_make(l, err);
}

void rk_look_close_p(struct rk_look *l)
{
	rk_free_p(&l->view);
	l->view = NULL;
	rk_endpoints_free_p(&l->endpoints);
	rk_detach(&l->m);
	rk_close_p(&l->end);
	rk_ask_close_p(&l->ask); /* tells the supervisor that the line is free */
}

/* ---- the end, and going on ---- */

int rk_look_end_fd(const struct rk_look *l)
{
	return l->line ? l->ask.sock : l->end;
}

/* The memory stays; what another look has besides becomes ours. */
static void take_over(struct rk_look *l, struct rk_look *from)
{
	char *readers = l->m.readers;

	rk_ask_close_p(&l->ask);
	rk_close_p(&l->end);
	l->ask = from->ask;
	from->ask.sock = -1;
	l->end = rk_take_fd(&from->end);
	l->m.readers = from->m.readers;
	from->m.readers = readers;
	l->line = from->line;
	l->absence = from->absence;
}

int rk_look_go_on(struct rk_look *l, uint64_t deadline_ns, struct rk_err *err)
{
	rk_cleanup(rk_look_close_p) struct rk_look again = RK_LOOK_NONE;
	char name[2 * RK_NAME_MAX];
	int r;

	again.board_will_do = l->board_will_do;
	(void)snprintf(name, sizeof(name), "%s%s%s", l->ask.fleet, l->part[0] ? "/" : "", l->part);
	r = rk_look_open_until(&again, name, deadline_ns, err);
	if (r < 0)
		return r;
	if (memcmp(again.m.board->segment.fleet, l->m.board->segment.fleet,
		   sizeof(l->m.board->segment.fleet)) != 0)
		return rk_err_set(err, -ENOENT, "fleet '%s' has ended, and another of its name begun", name);
	take_over(l, &again);
	return 0;
}

/* ---- looking ---- */

void rk_look_view(struct rk_look *l)
{
	if (l->line) {
		memcpy(l->view, rk_epoch_enter(&l->m, l->line), l->m.l.view_stride);
		rk_epoch_leave(l->line);
	} else {
		(void)rk_board_copy(&l->m, l->view); /* views that come so fast: the last one will do */
	}
	l->now_ns = rk_clock_ns();
}

void rk_look_warn(const struct rk_look *l)
{
	char text[RK_ABSENCE_TEXT];

	(void)rk_absence_text(text, &l->absence, l->now_ns);
	if (text[0])
		(void)rk_cli_complain(0, "%s: %s", l->ask.fleet, text);
}

const struct rk_view_slot *rk_look_slot(const struct rk_look *l, uint32_t worker)
{
	return worker < l->m.g.n_workers ? &rk_view_slots(l->view)[worker] : NULL;
}

const char *rk_look_state(uint32_t state)
{
	static const char *const names[] = { "empty",   "starting", "ready",  "stopping",
					     "down",    "suspect",  "paused", "standby",
					     "drained", "stopped" };

	static_assert(rk_countof(names) == RK_SLOT_STATES, "a name for every state");
	return state < RK_SLOT_STATES ? names[state] : "?";
}

const char *rk_look_slot_state(const struct rk_look *l, uint32_t worker)
{
	const struct rk_view_slot *slot = rk_look_slot(l, worker);
	uint32_t state = slot ? slot->state : RK_SLOT_EMPTY;

	if (state == RK_SLOT_PAUSED && l->m.beats && !rk_beat_is_pause_wanted(rk_shm_beat(&l->m, worker)))
		return "suspended";
	return rk_look_state(state);
}
