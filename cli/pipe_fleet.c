/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pipe_fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/programs.h"
#include "cli/snapshot.h"
#include "shm/rundir.h"
#include "workers/lib/ahead.h"

#define START_NS (120 * RK_NS_PER_S) /* beyond StartTimeout=, whose end the supervisor tells itself */
#define LOOK_MS 5
#define STARTS_FAILED 3u /* of every worker, until nobody waits for one any longer */
#define END_MORE_MS 3000 /* behind StopTimeout= */
#define URGENT_MS 100 /* between two signals, which else might be one */

static int keeper_start(struct rk_pipe_fleet *f, char *const *argv, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char path[PATH_MAX];
	int r;

	if (nothing < 0)
		return rk_err_set(err, -errno, "/dev/null: %s", strerror(errno));
	r = rk_programs_daemon(path, err);
	return r < 0 ? r : rk_demo_child_start(&f->keeper,
					       &(struct rk_demo_spawn){ .path = path, .argv = argv, .death_signal = SIGTERM,
									.fd = -1, .input = nothing, .output = f->output ? f->output : STDERR_FILENO },
					       err);
}

static bool is_wanted(const struct rk_view_slot *s)
{
	return s && rk_snapshot_is_wanted(s->state);
}

static bool is_any_ready(struct rk_pipe_fleet *f)
{
	for (uint32_t w = 0; w < f->look.m.g.n_workers; w++)
		if (rk_look_slot(&f->look, w)->state == RK_SLOT_READY)
			return true;
	return false;
}

/* Whether every worker has ended so often that none of them will do better. */
static bool has_failed(const struct rk_pipe_fleet *f)
{
	uint32_t n = 0;

	for (uint32_t w = 0; w < f->look.m.g.n_workers; w++) {
		const struct rk_view_slot *s = rk_look_slot(&f->look, w);

		if (!is_wanted(s))
			continue;
		if (s->restarts < STARTS_FAILED)
			return false;
		n++;
	}
	return n > 0;
}

const char *rk_pipe_fleet_last_death(struct rk_pipe_fleet *f, char *text, size_t size)
{
	uint32_t last = UINT32_MAX;
	uint64_t last_ns = 0;

	text[0] = '\0';
	if (!f->is_open)
		return text;
	rk_look_view(&f->look);
	for (uint32_t w = 0; w < f->look.m.g.n_workers; w++) {
		const struct rk_view_slot *s = rk_look_slot(&f->look, w);

		if (s->died_ns <= last_ns || s->exit_code <= 0) /* how it ended is known a moment later */
			continue;
		last = w;
		last_ns = s->died_ns;
	}
	if (last == UINT32_MAX)
		return text;
	const struct rk_snapshot_worker w = rk_snapshot_worker(&f->look, last);
	char death[160];

	(void)snprintf(text, size, "%s%s%s", rk_snapshot_death(&w.view, NULL, f->look.now_ns, death, sizeof(death)),
		       w.last_words[0] ? ": " : "", w.last_words);
	return text;
}

/* Opens the board, if the fleet is that far. */
static int look_in(struct rk_pipe_fleet *f, struct rk_err *err)
{
	int r = f->is_open ? 0 : rk_look_open(&f->look, f->name, err);

	if (r == 0)
		rk_look_view(&f->look);
	/* Of another's, which runs by our name, our own keeper is about to tell. */
	f->is_open = r == 0 && f->look.view->keeper_pid == f->keeper.pid;
	if (!f->is_open)
		rk_look_close_p(&f->look);
	return r == -ENOENT || r == -ECONNRESET || r == -EPIPE ? 0 : r;
}

/* Whether it is ready: 1; 0 not yet; -errno. */
static int start_judge(struct rk_pipe_fleet *f, uint64_t deadline_ns, struct rk_err *err)
{
	char death[320];
	int r;

	if (rk_demo_child_reap(&f->keeper))
		return rk_err_set(err, -ECHILD, "the fleet ended while it was starting, with status %d", f->keeper.status);
	r = look_in(f, err);
	if (r < 0 || !f->is_open)
		return r;
	if (is_any_ready(f))
		return 1;
	if (has_failed(f))
		return rk_err_set(err, -EIO, "the workers end before they are ready: %s",
				  rk_pipe_fleet_last_death(f, death, sizeof(death)));
	return rk_clock_ns() < deadline_ns ? 0 : rk_err_set(err, -ETIMEDOUT, "no worker became ready");
}

static int await_ready(struct rk_pipe_fleet *f, int signals, struct rk_err *err)
{
	uint64_t deadline_ns = rk_clock_ns() + (f->start_ns ? f->start_ns : START_NS);

	for (;;) {
		struct pollfd p[] = { { .fd = signals, .events = POLLIN }, { .fd = f->keeper.pidfd, .events = POLLIN } };
		int r = start_judge(f, deadline_ns, err);

		if (r != 0)
			return r < 0 ? r : 0;
		/* Nobody rings before there is a board, and then each slot's step is a view of its own. */
		if (poll(p, 2, LOOK_MS) > 0 && p[0].revents)
			return rk_err_set(err, -EINTR, "interrupted");
	}
}

int rk_pipe_fleet_start(struct rk_pipe_fleet *f, char *const *argv, int signals, struct rk_err *err)
{
	int r = keeper_start(f, argv, err);

	if (r == 0)
		r = await_ready(f, signals, err);
	if (r < 0)
		return r;
	r = rk_client_open(&f->client, f->name, NULL);
	return r < 0 ? rk_err_set(err, r, "%s", rk_client_error()) : 0;
}

/* Takes note of programs that were ended since they did not keep to lines. */
static void note_confusion(struct rk_pipe_fleet *f)
{
	rk_look_view(&f->look);
	for (uint32_t w = 0; w < f->look.m.g.n_workers; w++) {
		const struct rk_view_slot *s = rk_look_slot(&f->look, w);

		f->was_confused |= s->exit_code == CLD_EXITED && s->exit_status == RK_EXIT_PROTOCOL;
	}
}

uint64_t rk_pipe_fleet_deaths(struct rk_pipe_fleet *f)
{
	uint64_t n = 0;

	if (!f->is_open)
		return 0;
	note_confusion(f);
	for (uint32_t w = 0; w < f->look.m.g.n_workers; w++)
		n += rk_look_slot(&f->look, w)->restarts;
	return n;
}

void rk_pipe_fleet_end(struct rk_pipe_fleet *f, bool is_urgent)
{
	uint64_t ms = rk_min_u64(f->stop_timeout_ns / RK_NS_PER_MS + END_MORE_MS, INT_MAX);
	bool was_ours = f->is_open;

	rk_client_close(f->client);
	f->client = NULL;
	f->is_open = false;
	if (is_urgent && rk_demo_child_signal(&f->keeper, SIGTERM))
		(void)poll(&(struct pollfd){ .fd = f->keeper.pidfd, .events = POLLIN }, 1, URGENT_MS);
	rk_demo_child_end(&f->keeper, is_urgent ? END_MORE_MS : (int)ms); /* asked twice it kills every process */
	if (was_ours)
		note_confusion(f); /* the last view stays readable */
	rk_look_close_p(&f->look);
	if (was_ours && (is_urgent || f->keeper.status == 128 + SIGKILL))
		rk_rundir_remove(f->name); /* which keeper does when it ends in order */
}
