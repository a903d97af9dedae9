/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/demo_ledger.h"
#include "workers/lib/rekindle.h"

#define OPEN_TRIES 500 /* of 10 ms: until the supervisor has seen that a predecessor is dead */
#define PAUSE_MS 5
#define RESUME_WORDS 4u /* new ones per call in flight, while a predecessor's calls are awaited */

struct work {
	struct rk_demo_client_conf conf;
	struct rk_demo_ledger ledger;
	struct rk_demo_place *place;
	struct rk_client *client;
	uint64_t open[RK_DEMO_IN_FLIGHT_MAX]; /* records without an answer, the oldest first */
	uint32_t n_open;
	uint64_t again[RK_DEMO_IN_FLIGHT_MAX]; /* of those: certainly not applied, to be sent again */
	uint32_t n_again;
	struct rk_reply unknown[RK_DEMO_IN_FLIGHT_MAX]; /* calls past their time-out that a worker has */
	uint32_t n_unknown;
	bool failed; /* the library said what it must not say */
};

void rk_demo_client_argv(struct rk_demo_client_argv *ret, const struct rk_demo_client_conf *conf)
{
	static const char *const words[] = { "rekindle", "demo", RK_DEMO_CLIENT_ARGUMENT };
	const uint32_t numbers[] = { conf->place, conf->named, conf->n_in_flight, conf->timeout_ms };
	int n = 0;

	for (size_t i = 0; i < rk_countof(words); i++)
		ret->argv[n++] = (char *)(uintptr_t)words[i]; /* exec only reads them */
	ret->argv[n++] = (char *)(uintptr_t)conf->fleet;
	for (size_t i = 0; i < rk_countof(numbers); i++) {
		(void)snprintf(ret->number[i], sizeof(ret->number[i]), "%u", numbers[i]);
		ret->argv[n++] = ret->number[i];
	}
	ret->argv[n] = NULL;
}

static int read_conf(struct rk_demo_client_conf *c, int argc, char **argv, struct rk_err *err)
{
	uint64_t v[4];

	if (argc != 6)
		return rk_err_set(err, -EINVAL, "%s is for 'rekindle demo' itself", RK_DEMO_CLIENT_ARGUMENT);
	for (int i = 0; i < 4; i++) {
		int r = rk_num_parse(argv[2 + i], 0, UINT32_MAX, &v[i], err);

		if (r < 0)
			return r;
	}
	*c = (struct rk_demo_client_conf){ .fleet = argv[1], .place = (uint32_t)v[0], .named = v[1] != 0,
					   .n_in_flight = (uint32_t)rk_min_u64(v[2], RK_DEMO_IN_FLIGHT_MAX),
					   .timeout_ms = (uint32_t)v[3] };
	return 0;
}

/* ---- what stands open ---- */

static void open_add(struct work *w, uint64_t i)
{
	w->open[w->n_open++] = i;
}

/* A record has its answer. Relaxed: only a successor reads `low`, after this process's death. */
static void open_remove(struct work *w, uint64_t i)
{
	uint32_t k = 0;

	while (k < w->n_open && w->open[k] != i)
		k++;
	if (k == w->n_open)
		return; /* a resumed call whose answer was noted already */
	memmove(&w->open[k], &w->open[k + 1], (w->n_open - k - 1) * sizeof(w->open[0]));
	w->n_open--;
	atomic_store_explicit(&w->place->low,
			      w->n_open ? w->open[0] / w->ledger.head->n_places :
					  atomic_load_explicit(&w->place->next, memory_order_relaxed),
			      memory_order_relaxed);
}

static bool is_open(const struct work *w, uint64_t i)
{
	for (uint32_t k = 0; k < w->n_open; k++)
		if (w->open[k] == i)
			return true;
	return false;
}

static void bump(_Atomic uint64_t *n)
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* ---- answers ---- */

static uint64_t count_of(const struct rk_reply *reply)
{
	char text[24] = "";
	uint64_t v;

	if (reply->len >= sizeof(text))
		return 0;
	memcpy(text, reply->body, reply->len);
	return rk_num_parse(text, 0, UINT64_MAX, &v, NULL) == 0 ? v : 0;
}

static enum rk_demo_state state_of(int outcome, int error)
{
	if (outcome == RK_DONE)
		return RK_DEMO_ACKED;
	return error == RK_QUARANTINED ? RK_DEMO_QUARANTINED : RK_DEMO_REFUSED;
}

/* What came of one call. The reply stays held until the ledger has it. */
static void on_outcome(struct work *w, int outcome, struct rk_reply *reply)
{
	bool resumed = reply->flags & RK_RESUMED;
	uint64_t i = reply->tag;

	if (outcome < 0 || outcome == RK_STALE || outcome == RK_ENDED || outcome == RK_FORKED || i >= w->ledger.head->n_records) {
		w->failed = true;
		fprintf(stderr, "demo client %u: %s\n", w->conf.place, rk_outcome_text(outcome));
		return;
	}
	switch ((enum rk_outcome)outcome) {
	case RK_DONE:
	case RK_FAILED:
		rk_demo_ledger_answer(&w->ledger, i, state_of(outcome, reply->error),
				      outcome == RK_DONE ? count_of(reply) : 0);
		rk_reply_release(w->client, reply); /* only now: see demo_ledger.h */
		if (is_open(w, i)) {
			bump(&w->place->n_acked);
			if (resumed)
				bump(&w->place->n_resumed);
		}
		open_remove(w, i);
		break;
	case RK_UNKNOWN:
		w->unknown[w->n_unknown++] = *reply;
		break;
	case RK_NOT_APPLIED:
	case RK_TOO_LARGE:
	case RK_FULL:
	case RK_NO_WORKER:
	case RK_NO_SLOT:
		if (is_open(w, i))
			w->again[w->n_again++] = i;
		break;
	case RK_STALE:
	case RK_ENDED:
	case RK_FORKED:
	case RK_EMPTY:
		break;
	}
}

/* Calls past their time-out that a worker has: has it answered? */
static void look_at_unknown(struct work *w)
{
	for (uint32_t k = w->n_unknown; k-- > 0;) {
		struct rk_reply reply = w->unknown[k];
		int r = rk_wait(w->client, &reply, 0);

		if (r == RK_UNKNOWN)
			continue;
		w->unknown[k] = w->unknown[--w->n_unknown];
		on_outcome(w, r, &reply);
	}
}

/* Waits for answers, at most a little while. Returns whether calls are outstanding. */
static bool collect(struct work *w)
{
	struct rk_reply reply = { 0 };
	int r = rk_next(w->client, w->n_again || w->n_unknown ? PAUSE_MS : 50, &reply);

	/* All that have finished: each saves a look at the clock and a sleep. */
	while (r != -EAGAIN && r != RK_EMPTY && !w->failed) {
		on_outcome(w, r, &reply);
		reply = (struct rk_reply){ 0 };
		r = rk_next(w->client, 0, &reply);
	}
	if (r == RK_EMPTY && (w->n_again || w->n_unknown))
		(void)poll(NULL, 0, PAUSE_MS);
	look_at_unknown(w);
	return r != RK_EMPTY || w->n_unknown;
}

/* ---- sending ---- */

/* Returns false when there is no room now. */
static bool send_word(struct work *w, uint64_t i)
{
	const char *word = rk_demo_ledger_word(&w->ledger, w->ledger.records[i].word);
	int r = rk_call_async(w->client, &(struct rk_request){ .key = word, .tag = i,
							       .timeout_ms = w->conf.timeout_ms });

	if (r == 0)
		return true;
	on_outcome(w, r, &(struct rk_reply){ .tag = i });
	return false;
}

static bool is_stopping(const struct work *w)
{
	return atomic_load_explicit(&w->ledger.head->stop, memory_order_relaxed) != 0;
}

/* Keeps calls in flight; at most *budget of them words that were not sent before. */
static void fill(struct work *w, uint64_t *budget)
{
	while (w->n_open - w->n_again < w->conf.n_in_flight && !w->failed) {
		uint64_t i;

		if (w->n_again) {
			i = w->again[--w->n_again];
			bump(&w->place->n_again);
		} else if (*budget && !is_stopping(w) && rk_demo_ledger_has_more(&w->ledger, w->conf.place)) {
			i = rk_demo_ledger_note(&w->ledger, w->conf.place);
			open_add(w, i);
			--*budget;
		} else {
			return;
		}
		if (!send_word(w, i))
			return;
	}
}

/* ---- after a predecessor ---- */

/* The intents that a killed predecessor left open; an anonymous one's are given up. */
static void take_over(struct work *w)
{
	uint64_t next, nth = atomic_load_explicit(&w->place->low, memory_order_relaxed);

	rk_demo_ledger_recover(&w->ledger, w->conf.place);
	next = atomic_load_explicit(&w->place->next, memory_order_relaxed);
	for (; nth < next; nth++) {
		uint64_t i = rk_demo_ledger_index(&w->ledger, w->conf.place, nth);

		if (rk_demo_ledger_state(&w->ledger, i) != RK_DEMO_INTENT)
			continue;
		if (!w->conf.named)
			atomic_store_explicit(&w->ledger.records[i].state, RK_DEMO_ABANDONED, memory_order_release);
		else if (w->n_open < RK_DEMO_IN_FLIGHT_MAX)
			open_add(w, i);
	}
	if (!w->n_open)
		atomic_store_explicit(&w->place->low, next, memory_order_relaxed);
}

/*
 * Brings in what the predecessor's calls came to. New words go out as soon as there is room for
 * them, but not without end: when nothing at all is outstanding, whatever has no answer yet was
 * certainly not applied.
 */
static void resume(struct work *w)
{
	uint64_t deadline_ns = rk_clock_ns() + RK_DEMO_DRAIN_MS * RK_NS_PER_MS;
	uint64_t budget = w->n_open ? RESUME_WORDS * (uint64_t)w->conf.n_in_flight : 0;

	do {
		fill(w, &budget);
		if (rk_clock_ns() > deadline_ns)
			w->failed = true;
	} while (collect(w) && !w->failed);
	w->n_again = w->n_open;
	memcpy(w->again, w->open, w->n_open * sizeof(w->open[0]));
}

static int open_client(struct work *w)
{
	char name[24];
	int r = -EBUSY;

	(void)snprintf(name, sizeof(name), RK_DEMO_CLIENT_NAME, w->conf.place);
	for (int i = 0; i < OPEN_TRIES && (r == -EBUSY || r == -ENOSPC); i++) {
		if (i)
			(void)poll(NULL, 0, 10);
		r = rk_client_open(&w->client, w->conf.fleet, w->conf.named ? name : NULL);
	}
	if (r < 0)
		fprintf(stderr, "demo client %u: %s\n", w->conf.place, rk_client_error());
	return r;
}

static bool serve(struct work *w)
{
	uint64_t deadline_ns = 0, budget = UINT64_MAX;

	while (!w->failed) {
		fill(w, &budget);
		if (!w->n_open)
			return true;
		(void)collect(w);
		if (!is_stopping(w))
			continue;
		if (!deadline_ns)
			deadline_ns = rk_clock_ns() + RK_DEMO_DRAIN_MS * RK_NS_PER_MS;
		else if (rk_clock_ns() > deadline_ns)
			break;
	}
	fprintf(stderr, "demo client %u: ends with %u words unanswered\n", w->conf.place, w->n_open);
	return false;
}

int rk_demo_client_main(int argc, char **argv)
{
	struct work w = { .ledger.fd = -1 };
	struct rk_err err;
	bool good;

	if (read_conf(&w.conf, argc, argv, &err) < 0 ||
	    rk_demo_ledger_attach(&w.ledger, RK_DEMO_LEDGER_FD, &err) < 0)
		return rk_cli_complain(RK_CLI_USAGE, "%s", err.text);
	if (w.conf.place >= w.ledger.head->n_places || !w.conf.n_in_flight)
		return rk_cli_complain(RK_CLI_USAGE, "there is no such place");
	w.place = &w.ledger.places[w.conf.place];
	if (open_client(&w) < 0)
		return RK_CLI_UNREACHABLE;
	take_over(&w);
	resume(&w);
	good = serve(&w);
	rk_client_close(w.client);
	rk_demo_ledger_close(&w.ledger);
	return good ? RK_CLI_OK : RK_CLI_FAILED;
}
