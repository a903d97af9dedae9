/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines: jobs go to the program's standard input, a line or netstring each, and each comes back as
 * one on its standard output: in the order of the jobs, or known by an id that both hold.
 *
 * Who       the bridge's one thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "workers/bridge/bridge.h"
#include "workers/bridge/frames.h"
#include "workers/lib/field.h"

#define READS_MAX 4u /* of one look */
#define SILENT_S 2.  /* that a program may take for its first answer without a remark */

struct lines {
	struct rk_field id; /* by which answers are known; unused where they come in order */
	bool has_strayed;   /* an answer without a job was told */
	struct rk_frames_out out;
	struct rk_frames_in in;
	ev_io writable, readable;
	ev_timer silent; /* from the first job until it is noticed that none has been answered */
	bool has_answered;
	ev_timer closed; /* from the end of its standard output until it has to be gone */
	uint64_t *begins;   /* of each place's frame, in bytes since the start */
	uint64_t n_written, n_read; /* of those: into the pipe; by the program, as far as is known */
};

/* ---- to the program ---- */

/* What is still in the pipe it has not read. (Of a terminal nobody can tell.) */
static void look_how_far(struct rk_bridge *b)
{
	struct lines *l = b->kind;
	int n = 0;

	if (b->program.in >= 0 && (b->o.terminal == RK_TERMINAL_BOTH || ioctl(b->program.in, FIONREAD, &n) == 0))
		l->n_read = l->n_written - (uint64_t)n;
}

/* Nobody reads it any more: the program is ending, or has closed its input; its end tells more. */
static void lose_input(struct rk_bridge *b)
{
	struct lines *l = b->kind;

	look_how_far(b);
	ev_io_stop(b->loop, &l->writable);
	rk_close_p(&b->program.in);
}

static void write_some(struct rk_bridge *b)
{
	struct lines *l = b->kind;

	while (l->out.len && b->program.in >= 0) {
		ssize_t n = write(b->program.in, l->out.at + l->out.from, l->out.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			ev_io_start(b->loop, &l->writable);
			return;
		}
		if (n < 0) {
			lose_input(b);
			return;
		}
		rk_frames_written(&l->out, (size_t)n);
		l->n_written += (uint64_t)n;
	}
	ev_io_stop(b->loop, &l->writable);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	write_some(w->data);
}

/* Gives it the id that its answer will have, where that is how answers are told apart. */
static int name(struct rk_bridge *b, uint32_t place, const char *text, size_t len)
{
	const struct lines *l = b->kind;
	struct rk_field_text id;

	if (b->in_order)
		return 0;
	if (!rk_field_of(&l->id, text, len, RK_FIELD_MAX, &id) || !id.len)
		return -EBADMSG;
	if (rk_window_find_id(&b->window, id.at, id.len) != RK_WINDOW_NONE)
		return -EEXIST; /* whose the answer is could not be told */
	return rk_window_name(&b->window, place, id.at, id.len);
}

static void put(struct rk_bridge *b, uint32_t place, const char *text, size_t len)
{
	struct lines *l = b->kind;
	int r = name(b, place, text, len);

	l->begins[place] = l->n_written + l->out.len;
	if (r == 0)
		r = rk_frames_put(&l->out, b->o.is_netstring, text, len);
	if (r < 0)
		rk_bridge_answer(b, place, r, NULL, 0);
}

static void lines_send(struct rk_bridge *b, uint32_t place, const struct rk_ahead *job)
{
	struct lines *l = b->kind;

	put(b, place, job->body, job->len);
	if (!l->has_answered && !ev_is_active(&l->silent))
		ev_timer_start(b->loop, &l->silent);
}

/* The commonest mistake of all; the one who makes it waits for an answer. */
static void on_silent(struct ev_loop *loop, ev_timer *t, int events)
{
	struct rk_bridge *b = t->data;
	struct lines *l = b->kind;

	(void)loop;
	(void)events;
	look_how_far(b);
	if (l->has_answered || !b->window.n_waiting || !l->n_read || b->stage != RK_BRIDGE_SERVING)
		return;
	rk_bridge_say(b, "%s has read its first lines and answers none: it may keep what it prints until it is much. Tell it to write "
			 "each line at once (jq --unbuffered, sed -u, mawk -W interactive, python -u, others stdbuf -oL) or "
			 "say Terminal=output", b->argv[0]);
	rk_worker_last_words(b->worker, "no line was answered since its start: does it buffer its output?");
}

static void lines_flush(struct rk_bridge *b)
{
	const struct lines *l = b->kind;

	if (l->out.len && !ev_is_active(&l->writable))
		write_some(b);
}

/* CheckpointLine=: one line, and the program's answer to it, among the jobs. */
static int lines_save(struct rk_bridge *b)
{
	uint32_t place;

	if (b->window.first_of[rk_bridge_own_partition(b)] != RK_WINDOW_NONE)
		return -EBUSY; /* the last one has no answer yet: more of them would get it */
	if (b->window.n == b->window.n_max)
		return -EAGAIN;
	place = rk_window_add(&b->window, rk_bridge_own_partition(b), b->n_questions++, RK_WINDOW_WAITING, rk_clock_ns(), 0);
	put(b, place, b->o.checkpoint_line, strlen(b->o.checkpoint_line));
	lines_flush(b);
	rk_bridge_happened(b);
	return 0;
}

/* ---- from the program ---- */

/* The job that this answers; RK_WINDOW_NONE. */
static uint32_t answered(struct rk_bridge *b, const char *answer, size_t len)
{
	struct lines *l = b->kind;
	struct rk_field_text id;
	uint32_t place = RK_WINDOW_NONE;

	if (b->in_order)
		return b->window.oldest_waiting;
	if (rk_field_of(&l->id, answer, len, RK_FIELD_MAX, &id) && id.len)
		place = rk_window_find_id(&b->window, id.at, id.len);
	if (place == RK_WINDOW_NONE && !l->has_strayed) {
		l->has_strayed = true;
		rk_bridge_say(b, "%s printed a line whose id (AnswerId=%s) is no waiting job's: it is dropped, and so are others like it",
			      b->argv[0], b->o.answer_id);
	}
	return place;
}

static void take(struct rk_bridge *b, int error, const char *answer, size_t len)
{
	uint32_t place = answered(b, answer, len);

	if (place == RK_WINDOW_NONE && !b->in_order)
		return;
	if (place == RK_WINDOW_NONE) {
		if (b->stage != RK_BRIDGE_ENDING)
			rk_bridge_fail(b, RK_EXIT_PROTOCOL,
				       "%s printed a line that nobody asked for, so that answers cannot be told apart: one line "
				       "for each, and nothing else, or use AnswerId=",
				       b->argv[0]);
		return;
	}
	if (!((struct lines *)b->kind)->has_answered) {
		((struct lines *)b->kind)->has_answered = true;
		rk_worker_last_words(b->worker, "");
	}
	rk_bridge_ready(b);
	rk_bridge_answer(b, place, error, answer, len);
}

/* Whole frames that have been read. */
static void take_all(struct rk_bridge *b)
{
	struct lines *l = b->kind;
	const char *answer = NULL;
	size_t len = 0;
	int r;

	while (b->stage != RK_BRIDGE_OVER && (r = rk_frames_next(&l->in, &answer, &len)) != 0) {
		if (r == -EBADMSG) {
			rk_bridge_fail(b, RK_EXIT_PROTOCOL, "%s printed what is no netstring: LENGTH:BYTES,", b->argv[0]);
			return;
		}
		take(b, r < 0 ? r : 0, r < 0 ? "" : answer, r < 0 ? 0 : len);
	}
}

/* Whatever there is. Returns false at its end. */
static bool read_some(struct rk_bridge *b)
{
	struct lines *l = b->kind;

	for (uint32_t i = 0; i < READS_MAX; i++) {
		size_t room;
		char *to = rk_frames_space(&l->in, &room);
		ssize_t n = read(b->program.out, to, room);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0) /* a terminal ends with EIO */
			return false;
		rk_frames_filled(&l->in, (size_t)n);
		take_all(b);
		if ((size_t)n < room)
			return true;
	}
	return true;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	struct rk_bridge *b = w->data;
	struct lines *l = b->kind;

	(void)events;
	if (read_some(b))
		return;
	/* It will never answer again. Mostly it is about to end, and how says more than this. */
	ev_io_stop(loop, w);
	ev_timer_start(loop, &l->closed);
}

static void on_closed_due(struct ev_loop *loop, ev_timer *t, int events)
{
	struct rk_bridge *b = t->data;

	(void)loop;
	(void)events;
	if (b->stage == RK_BRIDGE_SERVING || b->stage == RK_BRIDGE_DRAINING)
		rk_bridge_fail(b, RK_EXIT_PROTOCOL, "%s closed its standard output and lives on: it is ended", b->argv[0]);
}

/* ---- its life ---- */

static int lines_start(struct rk_bridge *b, struct rk_err *err)
{
	struct lines *l = calloc(1, sizeof(*l));
	char **envp = rk_bridge_environment(NULL, 0);
	enum rk_bridge_terminal t = b->o.terminal;
	struct rk_program_plan plan = { .argv = b->argv,
					.envp = envp,
					.in = t == RK_TERMINAL_BOTH ? RK_STREAM_TERMINAL : RK_STREAM_PIPE,
					.out = t == RK_TERMINAL_NO ? RK_STREAM_PIPE : RK_STREAM_TERMINAL };
	int r;

	b->kind = l;
	b->in_order = !*b->o.answer_id;
	if (l && !b->in_order && rk_field_parse(&l->id, b->o.answer_id, err) < 0) {
		free(envp);
		return rk_err_prefix(err, -EINVAL, "AnswerId");
	}
	if (l)
		l->begins = calloc(b->window.n_max, sizeof(*l->begins));
	if (!l || !l->begins || !envp || rk_frames_in_open(&l->in, b->o.is_netstring, b->window.answer_max) < 0) {
		free(envp);
		return rk_err_set(err, -ENOMEM, "no memory for lines");
	}
	(void)signal(SIGPIPE, SIG_IGN);
	r = rk_program_start(&plan, &b->program, err);
	free(envp);
	if (r < 0)
		return r;
	ev_io_init(&l->writable, on_writable, b->program.in, EV_WRITE);
	ev_io_init(&l->readable, on_readable, b->program.out, EV_READ);
	ev_timer_init(&l->closed, on_closed_due, 1., 0.);
	ev_timer_init(&l->silent, on_silent, SILENT_S, 0.);
	l->writable.data = l->readable.data = l->closed.data = l->silent.data = b;
	ev_io_start(b->loop, &l->readable);
	return 0;
}

static bool lines_has_taken(struct rk_bridge *b, uint32_t place)
{
	const struct lines *l = b->kind;

	look_how_far(b);
	return l->begins[place] < l->n_read;
}

/* End of file; a terminal has none, so that KillSignal has to do. */
static void lines_stop(struct rk_bridge *b)
{
	lose_input(b);
	if (b->o.terminal == RK_TERMINAL_BOTH && b->program.pid)
		(void)kill(b->program.pid, b->o.kill_signal);
}

/* What it had printed before it ended. */
static void lines_ended(struct rk_bridge *b)
{
	struct lines *l = b->kind;

	if (ev_is_active(&l->readable))
		(void)read_some(b);
}

static void lines_close(struct rk_bridge *b)
{
	struct lines *l = b->kind;

	if (!l)
		return;
	rk_frames_out_free(&l->out);
	rk_frames_in_free(&l->in);
	free(l->begins);
	free(l);
}

const struct rk_bridge_kind_ops rk_bridge_lines = { .start = lines_start,
						    .send = lines_send,
						    .flush = lines_flush,
						    .has_taken = lines_has_taken,
						    .save = lines_save,
						    .stop = lines_stop,
						    .ended = lines_ended,
						    .close = lines_close };
