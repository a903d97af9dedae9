/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/waker.h"

#define STATE_KEY " state="

struct following {
	const struct rk_follow *f;
	struct rk_recall recall;
	struct rk_recall_filter filter;
	uint32_t n_ends;
	bool is_held, is_left;
	bool is_terminal, has_line; /* a line stands on the terminal, to be written anew */
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
	v->n_ends += strcmp(state, "done") == 0 || v->is_held || v->is_left;
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

/* Until it is over, or we are told not to wait: 0; -ENOENT the fleet ended; -errno. */
static int follow(struct following *v, int fd, struct rk_err *err)
{
	rk_cleanup(rk_waker_close_p) struct rk_waker waker = {
		.futex = v->recall.reader.changes, .look = look, .arg = v, .fd = -1
	};
	uint32_t word;
	int r = rk_waker_open(&waker, err);

	while (r == 0 && v->n_ends < v->f->n_ends) {
		int state;

		if (rk_waker_wait(&waker, fd) != RK_WAKE_CHANGED)
			return 0;
		state = rk_flight_reader_look(&v->recall.reader, &word);
		r = news_take(v, state == RK_FLIGHT_OPEN);
		if (r == 0 && state != RK_FLIGHT_OPEN && v->n_ends < v->f->n_ends)
			return rk_err_set(err, -ENOENT, "the fleet ended before %s was over",
					  v->f->what);
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
			       .filter = { .worker = RK_FLIGHT_NOBODY, .group = f->group },
			       .is_terminal = isatty(STDOUT_FILENO) && !f->is_json };
	rk_cleanup(rk_close_p) int fd = -1;
	struct rk_err err = { 0 };
	int r;

	if (f->group == 0)
		return rk_cli_complain(RK_CLI_OK,
				       "%s goes on; without a flight recorder nobody can follow it",
				       f->what);
	r = rk_recall_open(&v.recall, f->fleet, &err);
	if (r == 0)
		r = signals_catch(f->timeout_ns, &fd, &err);
	if (r == 0)
		r = follow(&v, fd, &err);
	rk_recall_close_p(&v.recall);
	if (v.has_line)
		(void)putchar('\n');
	(void)fflush(stdout);
	if (r < 0 && !err.code)
		(void)rk_err_set(&err, r, "%s", strerror(-r));
	return r < 0 ? rk_cli_fail(&err) : conclude(&v);
}
