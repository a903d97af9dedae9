/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_poison.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/demo_client.h"
#include "cli/demo_ledger.h"
#include "workers/lib/rekindle.h"

#define TIMEOUT_MS 200u /* of one call: a hang is found by its deadline */
#define PAUSE_MS 5u
#define END_MS 100

/* What wordcount, started with --poison, understands. */
static const char *const bodies[] = { "crash", "hang" };

bool rk_demo_poison_is(const char *body, uint32_t len)
{
	for (size_t i = 0; i < rk_countof(bodies); i++)
		if (strlen(bodies[i]) == len && memcmp(body, bodies[i], len) == 0)
			return true;
	return false;
}

/* ---- demo's side ---- */

int rk_demo_poison_start(struct rk_demo_poisoners *p, const struct rk_demo_poison_conf *conf, struct rk_err *err)
{
	int r = 0;

	for (uint32_t i = 0; i < RK_DEMO_POISONERS && r == 0; i++) {
		char number[16], every_ms[16];
		const char *words[] = { "rekindle", "demo", RK_DEMO_POISON_ARGUMENT, conf->fleet, number, every_ms, NULL };
		char *argv[rk_countof(words)];

		(void)snprintf(number, sizeof(number), "%u", i);
		(void)snprintf(every_ms, sizeof(every_ms), "%u", conf->every_ms);
		for (size_t k = 0; k < rk_countof(words); k++)
			argv[k] = (char *)(uintptr_t)words[k]; /* exec only reads them */
		r = rk_demo_child_start(&p->child[i], &(struct rk_demo_spawn){ .path = "/proc/self/exe", .argv = argv,
									       .death_signal = SIGKILL,
									       .fd = conf->ledger, .output = conf->output },
					err);
	}
	return r;
}

bool rk_demo_poison_is_busy(struct rk_demo_poisoners *p)
{
	bool is_busy = false;

	for (uint32_t i = 0; i < RK_DEMO_POISONERS; i++) {
		if (rk_demo_child_reap(&p->child[i]))
			p->n_failed += p->child[i].status != 0;
		is_busy = is_busy || p->child[i].pid > 0;
	}
	return is_busy;
}

void rk_demo_poison_end(struct rk_demo_poisoners *p)
{
	for (uint32_t i = 0; i < RK_DEMO_POISONERS; i++)
		rk_demo_child_end(&p->child[i], END_MS);
}

/* ---- a poisoner ---- */

struct work {
	struct rk_demo_ledger ledger;
	struct rk_client *client;
	uint64_t begin_ns;
	uint64_t number, every_ms;
};

static enum rk_demo_state state_of(int outcome, int error)
{
	if (outcome == RK_DONE)
		return RK_DEMO_ACKED;
	return error == RK_QUARANTINED ? RK_DEMO_QUARANTINED : RK_DEMO_REFUSED;
}

/* Sends it until it is answered, or certainly will not be. Returns whether it was answered. */
static bool send_one(struct work *w, uint32_t k)
{
	const struct rk_demo_record *record = &w->ledger.poisons[k];
	const char *body = bodies[k / RK_DEMO_POISONERS % rk_countof(bodies)];
	uint64_t deadline_ns = rk_clock_ns() + RK_DEMO_POISON_MS * RK_NS_PER_MS;
	struct rk_reply reply = { 0 };
	int r = RK_NOT_APPLIED;

	rk_demo_ledger_note_poison(&w->ledger, k);
	while (rk_clock_ns() < deadline_ns) {
		if (r == RK_UNKNOWN)
			r = rk_wait(w->client, &reply, TIMEOUT_MS);
		else
			r = rk_call(w->client, &(struct rk_request){ .key = rk_demo_ledger_word(&w->ledger, record->word),
								     .body = body, .len = strlen(body),
								     .timeout_ms = TIMEOUT_MS }, &reply);
		if (r == RK_DONE || r == RK_FAILED) {
			rk_demo_ledger_answer_poison(&w->ledger, k, state_of(r, reply.error));
			rk_reply_release(w->client, &reply);
			return true;
		}
		if (r < 0 || r == RK_STALE || r == RK_ENDED || r == RK_FORKED || rk_client_has_ended(w->client))
			break;
		if (r != RK_UNKNOWN)
			(void)poll(NULL, 0, PAUSE_MS);
	}
	fprintf(stderr, "demo poisoner %llu: job %u: %s\n", (unsigned long long)w->number, k, rk_outcome_text(r));
	return false;
}

static bool is_stopping(const struct work *w)
{
	return atomic_load_explicit(&w->ledger.head->stop, memory_order_relaxed) != 0;
}

/* Until the kth job is due. False: demo says stop. */
static bool await(const struct work *w, uint32_t k)
{
	while (rk_clock_ns() < w->begin_ns + k * w->every_ms * RK_NS_PER_MS && !is_stopping(w))
		(void)poll(NULL, 0, PAUSE_MS);
	return !is_stopping(w);
}

int rk_demo_poison_main(int argc, char **argv)
{
	struct work w = { .ledger.fd = -1, .begin_ns = rk_clock_ns() };
	struct rk_err err;
	bool good = true;

	if (argc != 4 || rk_num_parse(argv[2], 0, RK_DEMO_POISONERS - 1, &w.number, &err) < 0 ||
	    rk_num_parse(argv[3], 0, UINT32_MAX, &w.every_ms, &err) < 0)
		return rk_cli_complain(RK_CLI_USAGE, "%s is for 'rekindle demo' itself", RK_DEMO_POISON_ARGUMENT);
	if (rk_demo_ledger_attach(&w.ledger, RK_DEMO_LEDGER_FD, &err) < 0)
		return rk_cli_complain(RK_CLI_USAGE, "%s", err.text);
	if (rk_client_open(&w.client, argv[1], NULL) < 0)
		return rk_cli_complain(RK_CLI_UNREACHABLE, "%s", rk_client_error());
	for (uint32_t k = (uint32_t)w.number; good && k < w.ledger.head->n_poisons && await(&w, k);
	     k += RK_DEMO_POISONERS)
		good = send_one(&w, k);
	rk_client_close(w.client);
	rk_demo_ledger_close(&w.ledger);
	return good ? RK_CLI_OK : RK_CLI_FAILED;
}
