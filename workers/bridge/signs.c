/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/signs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "workers/bridge/bridge.h"
#include "workers/bridge/notices.h"
#include "workers/bridge/probe.h"

#define START_PROBE_S 0.02 /* between probes until it is ready: doubles up to ProbeInterval */
#define ANCESTORS_MAX 64
#define PATIENT_NS (2 * RK_NS_PER_S) /* a start is not commented on before */
#define SAID_MAX 3u /* failures in a row that are told */

struct rk_signs {
	struct rk_bridge *b;
	struct rk_probe *probe; /* NULL: none is configured */
	struct rk_notices *notices;
	struct rk_wordlist probe_argv;
	ev_timer next; /* probe */
	ev_timer extension; /* beats, while it has asked for more time to start */
	uint64_t extended_until_ns;
	double start_pause_s;
	uint64_t good_ns;  /* the last good answer, or WATCHDOG=1; 0 = none yet */
	uint64_t n_asked;
	uint32_t n_failed; /* since then */
	uint64_t began_ns; /* the program's start */
	char said[RK_PROBE_REASON]; /* of what keeps it from being ready */
	uint64_t watchdog_ns; /* from one WATCHDOG=1 to the next; 0 = it has sent none */
	char notify_variable[256], watchdog_variable[48];
};

static uint64_t patience_ns(const struct rk_bridge_options *o)
{
	return o->probe_interval_ns * o->n_probe_failures + o->probe_timeout_ns;
}

/* ---- probes ---- */

static void await(struct rk_signs *s, uint64_t deadline_ns)
{
	s->b->sign_number = ++s->n_asked;
	s->b->sign_deadline_ns = deadline_ns;
	rk_bridge_happened(s->b);
}

static void ask(struct rk_signs *s)
{
	int r = rk_probe_start(s->probe);

	if (r < 0 && r != -EALREADY)
		rk_bridge_say(s->b, "cannot probe, which says nothing of the program: %s", strerror(-r));
	else if (s->good_ns && !s->b->sign_deadline_ns && !s->watchdog_ns)
		await(s, s->good_ns + patience_ns(&s->b->o));
}

static void on_next(struct ev_loop *loop, ev_timer *t, int events)
{
	(void)loop;
	(void)events;
	ask(t->data);
}

static void ask_again(struct rk_signs *s)
{
	double interval_s = (double)s->b->o.probe_interval_ns / 1e9, pause_s = interval_s;

	if (s->b->stage == RK_BRIDGE_ENDING || s->b->stage == RK_BRIDGE_OVER)
		return;
	if (!s->b->is_ready) {
		pause_s = s->start_pause_s < interval_s ? s->start_pause_s : interval_s;
		s->start_pause_s *= 2;
	}
	ev_timer_stop(s->b->loop, &s->next);
	ev_timer_set(&s->next, pause_s, 0.);
	ev_timer_start(s->b->loop, &s->next);
}

static void succeeded(struct rk_signs *s)
{
	if (s->n_failed && s->b->is_ready)
		rk_bridge_say(s->b, "probe succeeds again, after %u that failed", s->n_failed);
	s->n_failed = 0;
	s->good_ns = rk_clock_ns();
	if (!s->watchdog_ns)
		s->b->sign_deadline_ns = 0;
	rk_worker_last_words(s->b->worker, "");
	rk_bridge_happened(s->b);
	if (s->b->o.kind != RK_BRIDGE_NOTIFY)
		rk_bridge_ready(s->b);
}

static void failed(struct rk_signs *s, const char *reason)
{
	s->n_failed++;
	rk_worker_last_words(s->b->worker, reason);
	if (s->b->is_ready && s->n_failed <= SAID_MAX)
		rk_bridge_say(s->b, "probe failed %u of %u: %s", s->n_failed, s->b->o.n_probe_failures, reason);
	if (!s->b->is_ready && rk_clock_ns() - s->began_ns > PATIENT_NS && strcmp(reason, s->said) != 0) {
		(void)snprintf(s->said, sizeof(s->said), "%s", reason);
		rk_bridge_say(s->b, "not ready yet, probed each %.3gs: %s", (double)s->b->o.probe_interval_ns / 1e9, reason);
	}
}

static void on_probe(const struct rk_probe_result *result, void *arg)
{
	struct rk_signs *s = arg;

	if (result->is_ok)
		succeeded(s);
	else
		failed(s, result->reason);
	ask_again(s);
}

static int probe_open(struct rk_signs *s, struct rk_err *err)
{
	const struct rk_bridge_options *o = &s->b->o;
	struct rk_probe_conf conf = { .port = s->b->port, .socket = *s->b->socket ? s->b->socket : NULL, .timeout_ns = o->probe_timeout_ns };
	int r;

	if (o->probe_exec.n) {
		conf.form = RK_PROBE_EXEC;
		r = rk_bridge_words(s->b, &o->probe_exec, &s->probe_argv, err);
		if (r < 0)
			return r;
		conf.argv = s->probe_argv.at;
	} else if (*o->health_path) {
		conf.form = RK_PROBE_HTTP;
		conf.path = o->health_path;
	} else if (*o->expect) {
		conf.form = RK_PROBE_TEXT;
		conf.send = o->send;
		conf.expect = o->expect;
	} else {
		return 0;
	}
	return rk_probe_new(s->b->loop, &conf, on_probe, s, &s->probe, err);
}

/* ---- what it tells ---- */

/*
 * One that is gone already cannot be asked. That it knew the address says nothing, since /proc/net/unix shows it to
 * everybody: it is heard if it was of our own user, or root.
 */
static bool is_ours(pid_t pid, uid_t uid, void *arg)
{
	struct rk_signs *s = arg;

	(void)s;
	for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
		if (pid == getpid())
			return true;
		pid = rk_process_parent(pid);
	}
	return pid <= 0 && (uid == geteuid() || uid == 0);
}

static void watched(struct rk_signs *s, const struct rk_notice *n)
{
	if (n->has_watchdog && n->watchdog_ns)
		s->watchdog_ns = n->watchdog_ns;
	if (n->is_trouble)
		rk_bridge_fail(s->b, RK_EXIT_PROTOCOL, "%s says that it is not well (WATCHDOG=trigger)", s->b->argv[0]);
	if (!n->is_alive)
		return;
	if (!s->watchdog_ns)
		s->watchdog_ns = patience_ns(&s->b->o);
	s->good_ns = rk_clock_ns();
	await(s, s->good_ns + s->watchdog_ns);
}

static void on_extension(struct ev_loop *loop, ev_timer *t, int events)
{
	struct rk_signs *s = t->data;

	(void)events;
	rk_worker_beat(s->b->worker);
	if (s->b->is_ready || rk_clock_ns() >= s->extended_until_ns)
		ev_timer_stop(loop, t);
}

/* StartTimeout begins anew as long as the extension lasts. A stop is not extended: everything has its turn then. */
static void extend(struct rk_signs *s, uint64_t ns)
{
	double pause_s = (double)s->b->o.start_timeout_ns / 3e9;

	if (s->b->is_ready)
		return;
	s->extended_until_ns = rk_clock_ns() + rk_min_u64(ns, UINT64_MAX / 4);
	rk_worker_beat(s->b->worker);
	ev_timer_stop(s->b->loop, &s->extension);
	ev_timer_set(&s->extension, pause_s, pause_s);
	ev_timer_start(s->b->loop, &s->extension);
}

static void on_notice(struct rk_notice *n, void *arg)
{
	struct rk_signs *s = arg;

	if (n->has_status && *n->status)
		rk_bridge_say(s->b, "status: %s", n->status);
	if (n->has_error)
		rk_bridge_say(s->b, "error told by the program: %s", strerror(n->error));
	if (n->is_reloading)
		rk_bridge_say(s->b, "the program reloads");
	if (n->is_stopping && s->b->stage == RK_BRIDGE_SERVING)
		rk_bridge_say(s->b, "the program is stopping by itself");
	if (n->main_pid > 0)
		rk_bridge_follow(s->b, n->main_pid);
	if (n->extend_ns)
		extend(s, n->extend_ns);
	if (n->is_ready)
		rk_bridge_ready(s->b);
	watched(s, n);
	if (n->is_store || n->is_unstore)
		rk_bridge_keep(s->b, n);
}

/* ---- its life ---- */

int rk_signs_open(struct rk_bridge *b, struct rk_err *err)
{
	struct rk_signs *s = calloc(1, sizeof(*s));
	int r;

	b->signs = s;
	if (!s)
		return rk_err_set(err, -ENOMEM, "no memory for probes");
	s->b = b;
	s->start_pause_s = START_PROBE_S;
	ev_timer_init(&s->next, on_next, 0., 0.);
	ev_timer_init(&s->extension, on_extension, 0., 0.);
	s->next.data = s->extension.data = s;
	r = probe_open(s, err);
	if (r == 0)
		r = rk_notices_open(b->loop, NULL, is_ours, on_notice, s, &s->notices, err);
	if (r < 0)
		return r;
	(void)snprintf(s->notify_variable, sizeof(s->notify_variable), "NOTIFY_SOCKET=%s", rk_notices_address(s->notices));
	(void)snprintf(s->watchdog_variable, sizeof(s->watchdog_variable), "WATCHDOG_USEC=%llu",
		       (unsigned long long)(patience_ns(&b->o) / RK_NS_PER_US));
	return 0;
}

const char *rk_signs_variable(const struct rk_bridge *b, unsigned int i)
{
	if (i == 0)
		return b->signs->notify_variable;
	return i == 1 && b->o.kind == RK_BRIDGE_NOTIFY ? b->signs->watchdog_variable : NULL;
}

bool rk_signs_tell_ready(const struct rk_bridge *b)
{
	return b->o.kind == RK_BRIDGE_NOTIFY || b->signs->probe;
}

bool rk_signs_is_failing(const struct rk_bridge *b)
{
	return b->signs && b->signs->n_failed > 0;
}

void rk_signs_begin(struct rk_bridge *b)
{
	b->signs->began_ns = rk_clock_ns();
	if (b->signs->probe)
		ask_again(b->signs);
}

void rk_signs_end(struct rk_bridge *b)
{
	b->sign_deadline_ns = 0;
	ev_timer_stop(b->loop, &b->signs->next);
	if (b->signs->probe)
		rk_probe_cancel(b->signs->probe);
}

void rk_signs_close(struct rk_bridge *b)
{
	struct rk_signs *s = b->signs;

	if (!s)
		return;
	ev_timer_stop(b->loop, &s->next);
	ev_timer_stop(b->loop, &s->extension);
	rk_probe_free(s->probe);
	rk_notices_close(s->notices);
	rk_wordlist_free_p(&s->probe_argv);
	free(s);
	b->signs = NULL;
}
