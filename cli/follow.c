/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/absence.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/waker.h"
#include "shm/rundir.h"

#define STATE_KEY " state="
#define SUCCESSOR_MS 20 /* between two looks for another keeper, which systemd starts */

struct following {
	const struct rk_follow *f;
	struct rk_recall recall;
	struct rk_recall_filter filter;
	uint32_t n_ends;
	bool is_held, is_left, is_failed, is_partly;
	bool is_terminal, has_line; /* a line stands on the terminal, to be written anew */
	int signal; /* its other end is closed by one */
	int keeper; /* a pidfd: with it ends who writes records; -1 = it cannot be seen */
	pid_t keeper_pid;
	int either; /* an epoll of both */
};

/* A handler has no other way: its end of this pipe is closed by the signal, and poll() sees it. */
static int signal_end = -1;
static volatile sig_atomic_t signal_number;

static void on_signal(int number)
{
	int saved = errno;

	signal_number = number;
	if (signal_end >= 0)
		(void)close(signal_end);
	signal_end = -1;
	errno = saved;
}

static int signals_catch(uint64_t timeout_ns, int *ret_fd, struct rk_err *err)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct itimerval timer = { .it_value = { .tv_sec = (time_t)(timeout_ns / RK_NS_PER_S),
						 .tv_usec = (suseconds_t)(timeout_ns % RK_NS_PER_S /
									  RK_NS_PER_US) } };
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return rk_err_set(err, -errno, "pipe: %s", strerror(errno));
	*ret_fd = pair[0];
	signal_end = pair[1];
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGALRM, &action, NULL);
	if (timeout_ns)
		(void)setitimer(ITIMER_REAL, &timer, NULL);
	return 0;
}

/* ---- records ---- */

static void text_print(struct following *v, const char *text, size_t len)
{
	if (v->is_terminal)
		(void)printf("%s\033[K%.*s", v->has_line ? "\r" : "", (int)len, text);
	else
		(void)printf("%.*s\n", (int)len, text);
	v->has_line = v->is_terminal;
}

/* A record of the operation; "state" says whether that was the last one. */
static void event_take(struct following *v, const struct rk_recalled *e)
{
	const char *state = strstr(e->text, STATE_KEY);

	if (v->f->has_changes && e->record.kind == RK_FLIGHT_RELOAD && !state)
		return;
	if (v->f->is_json)
		rk_out_json_line(rk_recall_json(e));
	else
		text_print(v, e->text, state ? (size_t)(state - e->text) : strlen(e->text));
	if (!state)
		return;
	state += strlen(STATE_KEY);
	v->is_held = v->is_held || strcmp(state, "held") == 0;
	v->is_left = v->is_left || strcmp(state, "left") == 0;
	v->is_failed = v->is_failed || strcmp(state, "failed") == 0;
	v->is_partly = v->is_partly || strcmp(state, "partly") == 0;
	v->n_ends += strcmp(state, "done") == 0 || v->is_held || v->is_left || v->is_failed || v->is_partly;
}

static int news_take(struct following *v, bool is_following)
{
	rk_cleanup(rk_recall_list_free_p) struct rk_recall_list l = { 0 };
	int r = rk_recall_load(&v->recall, &v->filter, is_following, &l);

	for (size_t i = 0; i < l.n && v->n_ends < v->f->n_ends; i++)
		event_take(v, l.event[i]);
	(void)fflush(stdout);
	return r;
}

static bool look(void *arg, uint32_t *ret_word)
{
	const struct following *v = arg;

	return rk_flight_reader_look(&v->recall.reader, ret_word) >= 0;
}

/* ---- keeper's end ---- */

static bool can_be_read(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return fd >= 0 && poll(&p, 1, 0) > 0;
}

static void keeper_see(struct following *v)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct rk_absence a;

	rk_close_p(&v->keeper);
	if (rk_absence_ask(v->recall.fleet, &a) < 0 || a.keeper_pid <= 0)
		return;
	v->keeper_pid = a.keeper_pid;
	v->keeper = (int)syscall(SYS_pidfd_open, a.keeper_pid, 0);
	if (v->keeper >= 0 && epoll_ctl(v->either, EPOLL_CTL_ADD, v->keeper, &event) < 0)
		rk_close_p(&v->keeper);
}

static int either_open(struct following *v, struct rk_err *err)
{
	struct epoll_event event = { .events = EPOLLIN };

	v->either = epoll_create1(EPOLL_CLOEXEC);
	if (v->either < 0 || epoll_ctl(v->either, EPOLL_CTL_ADD, v->signal, &event) < 0)
		return rk_err_set(err, -errno, "epoll: %s", strerror(errno));
	keeper_see(v);
	return 0;
}

/* Keeper is gone: 0 there is another one, or a signal; -ENOENT: nor will there be. */
static int successor_await(struct following *v)
{
	do {
		struct pollfd p = { .fd = v->signal, .events = POLLIN };

		if (rk_rundir_look(v->recall.fleet) == RK_RUNDIR_NOBODY)
			return -ENOENT;
		keeper_see(v);
		if (v->keeper < 0 && poll(&p, 1, SUCCESSOR_MS) > 0)
			return 0;
	} while (v->keeper < 0);
	return 0;
}

/* ---- all of it ---- */

static int ended(const struct following *v, struct rk_err *err)
{
	return v->n_ends >= v->f->n_ends
		       ? 0
		       : rk_err_set(err, -ENOENT, "the fleet ended before %s was over", v->f->what);
}

/* Its end may have been recorded before. */
static int orphaned(struct following *v, struct rk_err *err)
{
	int r = news_take(v, false);

	if (r < 0 || v->n_ends >= v->f->n_ends)
		return r;
	return rk_err_set(err, -ECONNRESET,
			  "keeper died before %s was over, and another one came: 'rekindle list -o json' tells its release",
			  v->f->what);
}

/* Until it is over, or we are told not to wait: 0; -ENOENT the fleet ended; -errno. */
static int follow(struct following *v, struct rk_err *err)
{
	rk_cleanup(rk_waker_close_p) struct rk_waker waker = {
		.futex = v->recall.reader.changes, .look = look, .arg = v, .fd = -1
	};
	const pid_t keeper_pid = v->keeper_pid;
	uint32_t word;
	int r = rk_waker_open(&waker, err);

	while (r == 0 && v->n_ends < v->f->n_ends) {
		int state;

		if (rk_waker_wait(&waker, v->either) != RK_WAKE_CHANGED && !can_be_read(v->keeper))
			return 0;
		if (can_be_read(v->keeper) && successor_await(v) < 0) {
			r = news_take(v, false);
			return r < 0 ? r : ended(v, err);
		}
		if (can_be_read(v->signal))
			return 0;
		if (v->keeper_pid != keeper_pid && v->f->is_keepers)
			return orphaned(v, err);
		state = rk_flight_reader_look(&v->recall.reader, &word);
		r = news_take(v, state == RK_FLIGHT_OPEN);
		if (r == 0 && state != RK_FLIGHT_OPEN)
			return ended(v, err);
	}
	return r;
}

static int conclude(const struct following *v)
{
	const char *goes_on = "goes on: 'rekindle events -f' shows it";

	if (v->is_held)
		return rk_cli_complain(
			RK_CLI_PARTLY,
			"%s is held, see above: 'rekindle restart --resume' goes on, "
			"'--cancel' gives it up",
			v->f->what);
	if (v->is_failed)
		return rk_cli_complain(RK_CLI_FAILED, "%s has failed, see above", v->f->what);
	if (v->is_partly)
		return rk_cli_complain(RK_CLI_PARTLY, "%s is done in part, see above", v->f->what);
	if (v->is_left)
		return rk_cli_complain(RK_CLI_PARTLY, "%s %s", v->f->what, goes_on);
	if (v->n_ends >= v->f->n_ends)
		return RK_CLI_OK;
	if (signal_number == SIGALRM)
		return rk_cli_complain(RK_CLI_TIMEOUT, "the time was up; %s %s", v->f->what,
				       goes_on);
	(void)rk_cli_complain(0, "%s %s", v->f->what, goes_on);
	return signal_number ? 128 + signal_number : RK_CLI_FAILED;
}

int rk_follow(const struct rk_follow *f)
{
	struct following v = { .f = f,
			       .recall.reader.fd = -1,
			       .signal = -1,
			       .keeper = -1,
			       .either = -1,
			       .filter = { .worker = RK_FLIGHT_NOBODY, .group = f->group },
			       .is_terminal = isatty(STDOUT_FILENO) && !f->is_json };
	struct rk_err err = { 0 };
	int r;

	if (f->group == 0)
		return rk_cli_complain(RK_CLI_OK,
				       "%s goes on; without a flight recorder nobody can follow it",
				       f->what);
	r = rk_recall_open(&v.recall, f->fleet, &err);
	if (r == 0)
		r = signals_catch(f->timeout_ns, &v.signal, &err);
	if (r == 0)
		r = either_open(&v, &err);
	if (r == 0)
		r = follow(&v, &err);
	rk_recall_close_p(&v.recall);
	rk_close_p(&v.keeper);
	rk_close_p(&v.either);
	rk_close_p(&v.signal);
	if (v.has_line)
		(void)putchar('\n');
	(void)fflush(stdout);
	if (r < 0 && !err.code)
		(void)rk_err_set(&err, r, "%s", strerror(-r));
	return r < 0 ? rk_cli_fail(&err) : conclude(&v);
}
