/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: Kind=http: jobs are HTTP requests to the program (http.h), and clients need not know. Besides,
 * it is watched as a program with an address is (address.c).
 *
 * Who       the bridge's one thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "workers/bridge/bridge.h"
#include "workers/bridge/http.h"
#include "workers/bridge/saves.h"

/* What of a job has to stand until its answer: one for each place of the window. */
struct request {
	struct rk_bridge *b;
	uint32_t place;
	uint64_t id; /* 0 = none: the place is free, or its job is answered */
	char *bytes; /* key and body, in `room` allocated ones that stay for the next job */
	size_t room, key_len, len;
	uint32_t n_tries, n_before; /* of this process, and of those before it */
	ev_timer pause;    /* until it is sent again */
	ev_timer deadline; /* its client's */
};

struct requests {
	struct rk_http *http;
	struct rk_http *saving; /* CheckpointPath=; NULL until it is needed */
	struct request *at;
	uint64_t last_id;
};

static void settle(struct request *q, int error, const void *body, size_t len)
{
	struct rk_bridge *b = q->b;

	q->id = 0;
	ev_timer_stop(b->loop, &q->pause);
	ev_timer_stop(b->loop, &q->deadline);
	rk_bridge_answer(b, q->place, error, body, len);
}

static void post(struct request *q)
{
	struct requests *r = q->b->kind;
	int e = rk_http_send(r->http, &(struct rk_http_job){ .id = q->id,
							     .key = q->bytes,
							     .key_len = q->key_len,
							     .body = q->bytes + q->key_len,
							     .len = q->len,
							     .attempt = q->n_before + ++q->n_tries,
							     .deadline_ns = q->b->window.at[q->place].deadline_ns });

	if (e < 0)
		settle(q, e, NULL, 0);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *t, int events)
{
	(void)loop;
	(void)events;
	post(t->data);
}

/* Nobody waits for it any more. */
static void on_deadline(struct ev_loop *loop, ev_timer *t, int events)
{
	struct request *q = t->data;
	struct requests *r = q->b->kind;

	(void)loop;
	(void)events;
	(void)rk_http_cancel(r->http, q->id);
	settle(q, -ETIMEDOUT, NULL, 0);
}

static void wait_and_post(struct request *q, uint64_t pause_ns)
{
	ev_timer_stop(q->b->loop, &q->pause);
	ev_timer_set(&q->pause, (double)pause_ns / 1e9, 0.);
	ev_timer_start(q->b->loop, &q->pause);
}

/* ids of a place differ by the window. */
static struct request *request_of(struct requests *r, const struct rk_bridge *b, uint64_t id)
{
	struct request *q = &r->at[id % b->window.n_max];

	return q->id == id ? q : NULL;
}

static void on_answer(const struct rk_http_answer *a, void *arg)
{
	struct rk_bridge *b = arg;
	struct request *q = request_of(b->kind, b, a->id);
	struct rk_http_verdict v;

	if (!q)
		return;
	v = rk_http_judge(a, b->o.http_full, q->n_tries, rk_clock_ns(), b->window.at[q->place].deadline_ns);
	if (v.deed == RK_HTTP_AGAIN)
		wait_and_post(q, v.pause_ns);
	else if (v.deed == RK_HTTP_FAILED)
		settle(q, v.error, NULL, 0);
	else
		settle(q, 0, a->body, a->len);
}

/* ---- its life ---- */

static bool copy_job(struct request *q, const struct rk_ahead *job)
{
	size_t size = job->key_len + job->len;

	if (size > q->room) {
		char *larger = realloc(q->bytes, size);

		if (!larger)
			return false;
		q->bytes = larger;
		q->room = size;
	}
	if (job->key_len)
		memcpy(q->bytes, job->key, job->key_len);
	if (job->len)
		memcpy(q->bytes + job->key_len, job->body, job->len);
	q->key_len = job->key_len;
	q->len = job->len;
	return true;
}

static void requests_send(struct rk_bridge *b, uint32_t place, const struct rk_ahead *job)
{
	struct requests *r = b->kind;
	struct request *q = &r->at[place];
	uint64_t now_ns = rk_clock_ns();

	r->last_id += b->window.n_max;
	q->id = r->last_id + place;
	q->n_tries = 0;
	q->n_before = job->attempts;
	if (!copy_job(q, job)) {
		settle(q, -ENOMEM, NULL, 0);
		return;
	}
	if (job->deadline_ns) {
		ev_timer_set(&q->deadline, job->deadline_ns > now_ns ? (double)(job->deadline_ns - now_ns) / 1e9 : 0., 0.);
		ev_timer_start(b->loop, &q->deadline);
	}
	post(q);
}

static struct rk_http_conf http_conf(const struct rk_bridge *b, const char *path)
{
	return (struct rk_http_conf){ .port = b->port,
				      .socket = b->socket,
				      .path = path,
				      .key_header = b->o.key_header,
				      .window = b->window.n_max,
				      .max_reply = b->window.answer_max,
				      .is_full = b->o.http_full };
}

static void on_saved(const struct rk_http_answer *a, void *arg)
{
	bool is_ok = a->end == RK_HTTP_ANSWERED && a->status / 100 == 2;
	char text[64];

	(void)snprintf(text, sizeof(text), "HTTP %d", a->status);
	rk_saves_answered(arg, is_ok, is_ok ? NULL : a->end == RK_HTTP_ANSWERED ? text : a->reason);
}

/* CheckpointPath=: a request of its own, with nothing in it. */
static int requests_save(struct rk_bridge *b)
{
	struct requests *r = b->kind;
	const struct rk_http_conf conf = http_conf(b, b->o.checkpoint_path);
	struct rk_err err;
	int e = r->saving ? 0 : rk_http_open(&conf, b->loop, on_saved, b, &r->saving, &err);

	if (e < 0) {
		rk_bridge_say(b, "%s", err.text);
		return e;
	}
	(void)rk_http_cancel(r->saving, b->n_questions); /* an answer that is late is none */
	return rk_http_send(r->saving, &(struct rk_http_job){ .id = ++b->n_questions, .key = "", .body = "", .attempt = 1 });
}

static int requests_start(struct rk_bridge *b, struct rk_err *err)
{
	struct requests *r = calloc(1, sizeof(*r));
	const struct rk_http_conf conf = http_conf(b, b->o.http_path);
	int e;

	b->kind = r;
	if (r)
		r->at = calloc(b->window.n_max, sizeof(*r->at));
	if (!r || !r->at)
		return rk_err_set(err, -ENOMEM, "no memory for requests");
	for (uint32_t i = 0; i < b->window.n_max; i++) {
		struct request *q = &r->at[i];

		q->b = b;
		q->place = i;
		ev_timer_init(&q->pause, on_pause_over, 0., 0.);
		ev_timer_init(&q->deadline, on_deadline, 0., 0.);
		q->pause.data = q->deadline.data = q;
	}
	e = rk_http_open(&conf, b->loop, on_answer, b, &r->http, err);
	return e < 0 ? e : rk_bridge_launch(b, err);
}

static void requests_close(struct rk_bridge *b)
{
	struct requests *r = b->kind;

	rk_bridge_land(b);
	if (!r)
		return;
	rk_http_close(r->http);
	rk_http_close(r->saving);
	for (uint32_t i = 0; r->at && i < b->window.n_max; i++) {
		ev_timer_stop(b->loop, &r->at[i].pause);
		ev_timer_stop(b->loop, &r->at[i].deadline);
		free(r->at[i].bytes);
	}
	free(r->at);
	free(r);
}

const struct rk_bridge_kind_ops rk_bridge_http = { .waits_until_ready = true,
						   .start = requests_start,
						   .send = requests_send,
						   .save = requests_save,
						   .stop = rk_bridge_ask_to_end,
						   .close = requests_close };
