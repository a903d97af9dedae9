/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One loop: collect what is answered, send what there is room for, and only when neither was
 * anything write out and wait. So nothing is waited for in a pipeline that is busy, and nothing is
 * held back in one that is not.
 *
 * Whatever the input is, memory is bounded: lines under way by slots and by the places of
 * pipe_order, answers that wait for an earlier one by bytes, and beyond that nothing is read.
 *
 * Of a partition no more lines are under way than it keeps unread replies (Dedup=), or has places (Ring=): so
 * none is refused for want of room, and lines of one key run in their order. Only beside other
 * clients of this fleet one may be refused; it is sent again, and nothing behind it before that.
 */
#include "cli/pipe.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/pipe_fleet.h"
#include "cli/pipe_input.h"
#include "cli/pipe_order.h"
#include "cli/pipe_out.h"
#include "cli/pipe_tell.h"
#include "shm/route.h"
#include "workers/lib/client.h"

#define PLACES_LEAST 4096u /* lines from the oldest without an answer on */
#define PLACES_PER_SLOT 4u
#define HELD_MAX (64u * 1024 * 1024)
#define NEXT_MS 1u     /* for a reply, before whatever else may happen is waited for too */
#define AGAIN_MS 10    /* for room that somebody else has to make */
#define CALM_ROUNDS 256u /* without such a wait, until its thread is ended */
#define HOPELESS 4u    /* quarantined lines while none is answered */

enum phase {
	GOES_ON,
	DRAINS, /* asked to end: nothing more is read */
	OVER    /* asked twice, or the time for that was up */
};

struct pipe {
	const struct rk_pipe_plan *plan;
	struct rk_pipe_fleet fleet;
	struct rk_client *client; /* the fleet's */
	struct rk_pipe_input in;
	struct rk_pipe_order order;
	struct rk_pipe_out out;

	bool has_line; /* one is taken from the input, and has yet to begin */
	struct rk_pipe_line line;
	struct rk_field_text key;
	uint32_t partition;
	bool is_starved; /* there is room for a line, and none is there */
	bool is_at_end;
	int input_error;

	uint32_t *flying; /* calls under way of each partition */
	uint32_t n_flying, n_most, n_most_each;
	struct rk_reply reply;
	int event; /* rk_client_fd(), while it is used */
	uint32_t n_calm;

	int signals;
	int signal; /* the first one that came */
	enum phase phase;
	uint64_t deadline_ns; /* of DRAINS */
	bool has_ended;       /* the fleet */
	uint64_t begun_ns;
	struct rk_pipe_tally tally;
	struct rk_err err; /* code != 0: it cannot go on */
};

/* ---- signals ---- */

static int signals_open(struct rk_err *err)
{
	static const int wanted[] = { SIGINT, SIGTERM };
	struct sigaction now;
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < rk_countof(wanted); i++)
		if (sigaction(wanted[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			(void)sigaddset(&set, wanted[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? rk_err_set(err, -errno, "signalfd: %s", strerror(errno)) : fd;
}

static void signals_take(struct pipe *p)
{
	struct signalfd_siginfo info;

	while (read(p->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		p->phase = p->phase == GOES_ON ? DRAINS : OVER;
		if (p->phase == DRAINS) {
			p->signal = (int)info.ssi_signo;
			p->deadline_ns = rk_clock_ns() + p->plan->stop_timeout_ns;
		}
	}
}

/* How long may be waited, in ms for poll(): most, or until the deadline. */
static int time_left(const struct pipe *p, int most_ms)
{
	uint64_t now_ns, left_ms;

	if (p->phase == GOES_ON)
		return most_ms;
	if (p->phase == OVER)
		return 0;
	now_ns = rk_clock_ns();
	left_ms = p->deadline_ns > now_ns ? (p->deadline_ns - now_ns) / RK_NS_PER_MS + 1 : 0;
	return most_ms < 0 ? (int)rk_min_u64(left_ms, INT32_MAX) : (int)rk_min_u64(left_ms, (uint64_t)most_ms);
}

static bool is_late(struct pipe *p)
{
	if (p->phase == DRAINS && rk_clock_ns() >= p->deadline_ns)
		p->phase = OVER;
	return p->phase == OVER;
}

/* Of out: somebody may not read for long. */
static int output_wait(void *arg, int fd)
{
	struct pipe *p = arg;

	for (;;) {
		struct pollfd on[] = { { .fd = fd, .events = POLLOUT }, { .fd = p->signals, .events = POLLIN } };

		(void)poll(on, rk_countof(on), time_left(p, -1));
		if (on[1].revents)
			signals_take(p);
		if (on[0].revents)
			return 0;
		if (is_late(p))
			return -EINTR;
	}
}

/* ---- sending ---- */

static void fail(struct pipe *p, int code, const char *what)
{
	if (!p->err.code)
		(void)rk_err_set(&p->err, code < 0 ? code : -EIO, "%s", what);
}

/* A call that could not be begun, or ended as none should. */
static void fail_outcome(struct pipe *p, int outcome)
{
	if (outcome == RK_ENDED)
		p->has_ended = true;
	else
		fail(p, outcome, rk_outcome_text(outcome));
}

/* Sends it. False: not now, and nothing behind it. */
static bool send_entry(struct pipe *p, struct rk_pipe_entry *e)
{
	struct rk_request request = { .key = e->key_len ? e->room : "", .key_len = e->key_len,
				      .body = e->len ? e->room + e->key_len : "", .len = e->len,
				      .timeout_ms = RK_TIMEOUT_NONE, .tag = rk_pipe_order_tag(&p->order, e) };
	int r = rk_call_async(p->client, &request);

	if (r == 0) {
		rk_pipe_order_sent(&p->order, e);
		p->flying[e->partition]++;
		p->n_flying++;
		return true;
	}
	if (r != RK_FULL && r != RK_NO_SLOT && r != RK_NO_WORKER && r != RK_NOT_APPLIED)
		fail_outcome(p, r);
	return false;
}

/* Whether something is there to be read now. */
static bool is_fed(struct pipe *p)
{
	struct pollfd on[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = p->signals, .events = POLLIN } };

	(void)poll(on, rk_countof(on), 0);
	if (on[1].revents)
		signals_take(p);
	return on[0].revents && p->phase == GOES_ON;
}

/* Reads a block. False: there is none now. */
static bool input_read(struct pipe *p)
{
	int r = is_fed(p) ? rk_pipe_input_read(&p->in, STDIN_FILENO) : -EAGAIN;

	if (r == 0)
		return true;
	p->is_starved = r == -EAGAIN;
	if (r != -EAGAIN) {
		p->input_error = r;
		p->is_at_end = true; /* of what was read all the same */
	}
	return false;
}

static void key_find(struct pipe *p)
{
	const struct rk_geometry *g = &p->client->m.g;

	if (!rk_field_of(&p->plan->key, p->line.at, p->line.len, g->request_max - p->line.len, &p->key) &&
	    p->tally.n_keyless++ == 0)
		p->tally.first_keyless = p->line.number;
	p->partition = rk_route_partition(g, p->key.at, p->key.len);
}

/* Takes the next line. False: there is none, now or any more. */
static bool line_take(struct pipe *p)
{
	while (!p->is_at_end) {
		switch (rk_pipe_input_take(&p->in, &p->line)) {
		case RK_PIPE_LINE:
			p->has_line = true;
			key_find(p);
			return true;
		case RK_PIPE_LONG:
			p->tally.n_lines++;
			rk_pipe_tell_failed(&p->tally, p->line.number, "it has %llu bytes, more than the %zu that fit: see --max-request",
					    (unsigned long long)p->line.len, p->in.line_max);
			break;
		case RK_PIPE_MORE:
			if (!input_read(p))
				return false;
			break;
		case RK_PIPE_END:
			p->is_at_end = true;
			return false;
		}
	}
	return false;
}

/* Begins the line that was taken. False: not now. */
static bool line_begin(struct pipe *p)
{
	struct rk_pipe_job job = { .number = p->line.number, .partition = p->partition, .key = p->key.at, .key_len = p->key.len,
				   .body = p->line.at, .len = p->line.len };
	struct rk_pipe_entry *e;

	if (p->flying[p->partition] >= p->n_most_each || !rk_pipe_order_has_room(&p->order))
		return false;
	if (rk_pipe_order_begin(&p->order, &job, &e) < 0) {
		fail(p, -ENOMEM, "no memory for a line");
		return false;
	}
	p->has_line = false;
	p->tally.n_lines++;
	return send_entry(p, e);
}

/* Sends one line, of those that have to be sent again before any other. */
static bool feed_one(struct pipe *p)
{
	struct rk_pipe_entry *e = rk_pipe_order_next(&p->order);

	if (e)
		return p->flying[e->partition] < p->n_most_each && send_entry(p, e);
	if (p->phase != GOES_ON || (!p->has_line && !line_take(p)))
		return false;
	return line_begin(p);
}

static bool feed(struct pipe *p)
{
	bool moved = false;

	p->is_starved = false;
	while (p->n_flying < p->n_most && !p->has_ended && !p->err.code && feed_one(p))
		moved = true;
	return moved;
}

/* ---- answers ---- */

static void refused(struct pipe *p, const struct rk_pipe_entry *e)
{
	int error = p->reply.error < 0 && p->reply.error > -4096 ? -p->reply.error : EIO;
	const char *name = strerrorname_np(error);
	char death[320];

	if (p->reply.error != RK_QUARANTINED) {
		rk_pipe_tell_failed(&p->tally, e->number, "the worker refused: %s (%s)", name ? name : "an error without a name",
				    strerror(error));
		return;
	}
	p->tally.n_quarantined++;
	rk_pipe_tell_failed(&p->tally, e->number, "it ended its workers too often and was put aside");
	if (p->tally.n_answers == 0 && p->tally.n_quarantined >= HOPELESS && !p->err.code)
		(void)rk_err_set(&p->err, -EIO, "no line is answered, since the workers end: %s",
				 rk_pipe_fleet_last_death(&p->fleet, death, sizeof(death)));
}

/* What became of a line that was sent; its reply is in p->reply. */
static void settle(struct pipe *p, int outcome, struct rk_pipe_entry *e)
{
	switch ((enum rk_outcome)outcome) {
	case RK_DONE:
		p->tally.n_answers++;
		if (rk_pipe_order_answer(&p->order, e, p->reply.body, p->reply.len) < 0)
			fail(p, -ENOMEM, "no memory for an answer");
		break;
	case RK_NOT_APPLIED:
	case RK_FULL:
	case RK_NO_WORKER:
		p->tally.n_again++;
		rk_pipe_order_again(&p->order, e);
		break;
	case RK_FAILED:
		refused(p, e);
		rk_pipe_order_fail(&p->order, e);
		break;
	case RK_UNKNOWN:
	case RK_TOO_LARGE:
	case RK_STALE:
	case RK_FORKED:
	case RK_NO_SLOT:
	case RK_EMPTY:
	case RK_ENDED:
		p->has_ended = true;
		rk_pipe_tell_failed(&p->tally, e->number, "the fleet has ended");
		rk_pipe_order_fail(&p->order, e);
		break;
	}
}

/* Whether this is what became of one call; anything else is about all of them. */
static bool is_result(int outcome)
{
	return outcome == RK_DONE || outcome == RK_FAILED || outcome == RK_NOT_APPLIED || outcome == RK_UNKNOWN ||
	       outcome == RK_FULL || outcome == RK_NO_WORKER || outcome == RK_ENDED;
}

/* Whether a look brought something. */
static bool take_outcome(struct pipe *p, int outcome)
{
	struct rk_pipe_entry *e;

	if (outcome == -EAGAIN)
		return false;
	e = is_result(outcome) ? rk_pipe_order_find(&p->order, p->reply.tag) : NULL;
	if (!e) {
		fail(p, outcome, rk_outcome_text(outcome));
		return false;
	}
	p->flying[e->partition]--;
	p->n_flying--;
	settle(p, outcome, e);
	return true;
}

static bool collect(struct pipe *p)
{
	bool moved = false;

	while (p->n_flying > 0 && !p->out.error && take_outcome(p, rk_client_peek(p->client, &p->reply)))
		moved = true;
	return moved;
}

/* ---- waiting ---- */

/* The thread that makes replies readable costs every reply a bell: it goes when there is no wait for it. */
static void event_close(struct pipe *p)
{
	if (p->event >= 0)
		rk_client_stop_thread(p->client);
	p->event = -1;
	p->n_calm = 0;
}

static int event_get(struct pipe *p)
{
	if (p->n_flying == 0)
		return -1; /* poll() leaves it out */
	if (p->event < 0)
		p->event = rk_client_fd(p->client);
	if (p->event < 0)
		fail(p, p->event, strerror(-p->event));
	p->n_calm = 0;
	return p->event;
}

/* Keeper is gone: what was answered by then comes yet. */
static void fleet_ended(struct pipe *p)
{
	p->has_ended = true;
	(void)collect(p);
}

/* For whatever happens next. */
static void await_anything(struct pipe *p)
{
	struct pollfd on[] = { { .fd = event_get(p), .events = POLLIN },
			       { .fd = p->signals, .events = POLLIN },
			       { .fd = p->fleet.keeper.pidfd, .events = POLLIN },
			       { .fd = p->is_starved ? STDIN_FILENO : -1, .events = POLLIN } };

	if (p->err.code)
		return;
	(void)poll(on, rk_countof(on), time_left(p, p->order.n_again ? AGAIN_MS : -1));
	if (on[1].revents)
		signals_take(p);
	if (on[2].revents)
		fleet_ended(p);
}

static void await(struct pipe *p)
{
	if (p->n_flying > 0 && take_outcome(p, rk_next(p->client, p->event < 0 ? NEXT_MS : 0, &p->reply)))
		return;
	if (!p->err.code)
		await_anything(p);
}

/* ---- all of it ---- */

static bool is_finished(struct pipe *p)
{
	if (p->err.code || p->out.error || p->has_ended || is_late(p))
		return true;
	return p->order.n_used == 0 && (p->phase != GOES_ON || (p->is_at_end && !p->has_line));
}

static void work(struct pipe *p)
{
	p->begun_ns = rk_clock_ns();
	while (!is_finished(p)) {
		bool moved = collect(p);

		moved = feed(p) || moved;
		if (moved && p->event >= 0 && ++p->n_calm > CALM_ROUNDS)
			event_close(p);
		if (moved || is_finished(p))
			continue;
		rk_pipe_out_flush(&p->out);
		await(p);
	}
	/* Until each has its outcome; when the fleet has ended all come at once, or never. */
	while (p->has_ended && p->n_flying > 0 && take_outcome(p, rk_next(p->client, 0, &p->reply)))
		;
	p->tally.ns = rk_clock_ns() - p->begun_ns;
}

/* Lines that are under way have no answer; those behind them that have one keep their place. */
static void give_up(struct pipe *p)
{
	for (uint32_t i = 0; i < p->order.n; i++) {
		struct rk_pipe_entry *e = &p->order.entries[i];

		if (e->state != RK_PIPE_SENT && e->state != RK_PIPE_AGAIN)
			continue;
		if (p->err.code) /* which tells why */
			p->tally.n_failed++;
		else
			rk_pipe_tell_failed(&p->tally, e->number, p->has_ended ? "the fleet has ended" : "it was still under way");
		rk_pipe_order_fail(&p->order, e);
	}
}

static int sizes_get(struct pipe *p, struct rk_err *err)
{
	const struct rk_geometry *g = &p->client->m.g;
	size_t line_max = g->request_max - rk_min_u32(g->request_max, RK_FIELD_HASH);

	p->n_most = p->client->n_usable;
	p->n_most_each = rk_min_u32(g->n_dedup, g->n_ring);
	p->flying = calloc(g->n_partitions, sizeof(*p->flying));
	if (!p->flying || rk_pipe_input_init(&p->in, line_max) < 0 || rk_pipe_out_init(&p->out, STDOUT_FILENO) < 0 ||
	    rk_pipe_order_init(&p->order, rk_max_u32(PLACES_LEAST, PLACES_PER_SLOT * g->n_slots), HELD_MAX,
			       p->plan->is_ordered) < 0)
		return rk_err_set(err, -ENOMEM, "no memory for a pipeline");
	p->out.wait = output_wait;
	p->out.arg = p;
	return 0;
}

static void put(void *arg, const char *bytes, size_t len)
{
	rk_pipe_out_put(arg, bytes, len);
}

static int begin(struct pipe *p, struct rk_err *err)
{
	int r = signals_open(err);

	if (r < 0)
		return r;
	p->signals = r;
	p->fleet.name = p->plan->name;
	p->fleet.stop_timeout_ns = p->plan->stop_timeout_ns;
	r = rk_pipe_fleet_start(&p->fleet, p->plan->argv.at, p->signals, err);
	if (r < 0)
		return r;
	(void)signal(SIGPIPE, SIG_IGN); /* the fleet has to end all the same */
	p->client = p->fleet.client;
	r = sizes_get(p, err);
	p->order.put = put;
	p->order.arg = &p->out;
	return r;
}

static void end(struct pipe *p)
{
	if (p->client)
		event_close(p);
	rk_pipe_fleet_end(&p->fleet, p->phase == OVER);
	rk_pipe_input_free_p(&p->in);
	rk_pipe_order_free_p(&p->order);
	rk_pipe_out_free_p(&p->out);
	free(p->flying);
	rk_close_p(&p->signals);
}

/* The fleet did not start. */
static int begin_failed(struct pipe *p, const struct rk_err *err)
{
	int status = p->fleet.keeper.status;

	signals_take(p);
	if (err->code == -EINTR)
		return 128 + p->signal;
	if (err->code != -ECHILD)
		return rk_cli_complain(RK_CLI_FAILED, "the fleet did not start: %s", err->text);
	/* It has said why. */
	return status == RK_CLI_USAGE || status == RK_CLI_NOT_ALLOWED || status == RK_CLI_CONFIG ? status : RK_CLI_FAILED;
}

/* As any filter whose reader has gone. */
static void die_of_pipe(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)raise(SIGPIPE);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* it was blocked when we came */
}

static int conclude(struct pipe *p)
{
	if (p->out.error == -EPIPE)
		die_of_pipe();
	if (p->out.error && p->out.error != -EINTR)
		(void)rk_cli_complain(0, "standard output: %s", strerror(-p->out.error));
	if (p->input_error)
		(void)rk_cli_complain(0, "standard input: %s", strerror(-p->input_error));
	if (p->err.code)
		(void)rk_cli_complain(0, "%s", p->err.text);
	if (p->has_ended)
		(void)rk_cli_complain(0, "the fleet ended before the input did");
	if (!p->plan->is_quiet)
		rk_pipe_tell_sum(&p->tally, p->plan->key.text);
	if (p->signal)
		return 128 + p->signal;
	if (p->fleet.was_confused)
		(void)rk_cli_complain(0, "answers cannot be trusted, some may be another line's: the filter does not print "
				      "exactly one line for each (jq needs -c, sed must not print twice)");
	if (p->err.code || p->input_error || p->out.error || p->has_ended || p->tally.n_failed || p->fleet.was_confused)
		return p->tally.n_answers ? RK_CLI_PARTLY : RK_CLI_FAILED;
	return RK_CLI_OK;
}

int rk_pipe_run(struct rk_pipe_plan *plan)
{
	struct pipe p = { .plan = plan, .fleet = RK_PIPE_FLEET_NONE, .signals = -1, .event = -1 };
	struct rk_err err = { 0 };
	int status;

	if (begin(&p, &err) < 0) {
		status = begin_failed(&p, &err);
		end(&p);
		return status;
	}
	work(&p);
	if (!p.out.error)
		give_up(&p);
	rk_pipe_out_flush(&p.out);
	p.tally.n_deaths = rk_pipe_fleet_deaths(&p.fleet);
	end(&p);
	return conclude(&p);
}
