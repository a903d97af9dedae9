/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle call: one job, its reply, and what became of it as exit status.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/out.h"
#include "cli/paused.h"
#include "workers/lib/client.h"

#define MESSAGE 320u /* room for a sentence of explain() */

/* One finished call, or one that the time was up for. */
struct result {
	int outcome;
	bool is_late;
	bool has_ended; /* the fleet */
	char paused[RK_PAUSED_TEXT]; /* why nobody took it, if an operator has paused its worker */
	struct rk_reply reply;
};

static const char *outcome_word(int outcome)
{
	static const char *const words[] = { "done",      "failed",  "not-applied", "unknown",
					     "too-large", "full",    "no-worker",   "stale",
					     "forked",    "no-slot", "empty",       "ended" };

	static_assert(rk_countof(words) == RK_ENDED + 1, "a word for every outcome");
	return outcome < 0 || outcome > RK_ENDED ? "error" : words[outcome];
}

static bool has_reply(int outcome)
{
	return outcome == RK_DONE || outcome == RK_FAILED;
}

/* The handler's errno; what came from a worker may be any number. */
static int errno_of(const struct result *r)
{
	return r->reply.error < 0 && r->reply.error > -4096 ? -r->reply.error : EIO;
}

static const char *errno_name(const struct result *r)
{
	const char *name = strerrorname_np(errno_of(r));

	return name ? name : "an error without a name";
}

/* What the handler said; two of them are a bridge's (workers/bridge). */
static void tell_refusal(const struct result *r, char *text, size_t size)
{
	if (errno_of(r) == EOPNOTSUPP)
		(void)snprintf(text, size,
			       "this fleet takes no jobs (EOPNOTSUPP): ask 'rekindle key' for the key's address, and connect");
	else if (errno_of(r) == EREMOTEIO)
		(void)snprintf(text, size,
			       "the program answered with an error (EREMOTEIO), its log may say more; what it did for the job is its own");
	else
		(void)snprintf(text, size, "the worker refused: %s (%s); nothing of the job was applied", errno_name(r),
			       strerror(errno_of(r)));
}

/* Its sentence; "" when all is well. */
static const char *explain(const struct result *r, char *text, size_t size)
{
	switch (r->outcome) {
	case RK_DONE:
		text[0] = '\0';
		break;
	case RK_FAILED:
		if (r->reply.error == RK_QUARANTINED) {
			(void)snprintf(
				text, size,
				"the job ended its workers too often and was put aside, nothing of it "
				"was applied: see 'rekindle dead list'");
			break;
		}
		tell_refusal(r, text, size);
		break;
	case RK_UNKNOWN:
		(void)snprintf(
			text, size,
			"%s while a worker had the job: whether it was applied is unknown",
			r->has_ended ? "the fleet ended" : "the time was up");
		break;
	case RK_TOO_LARGE:
		(void)snprintf(
			text, size,
			"not applied: key and body are longer than the fleet's --max-request");
		break;
	case RK_FULL:
		(void)snprintf(
			text, size,
			"not applied: the key's partition has no room; try again, or use --retry");
		break;
	case RK_NO_WORKER:
		(void)snprintf(text, size,
			       "not applied: the key's worker is down, stopped or late; %s",
			       r->paused[0] ? r->paused : "try again, or use --retry");
		break;
	case RK_NOT_APPLIED:
		(void)snprintf(text, size, "not applied: no worker took the job%s; %s",
			       r->is_late ? " before the time was up" : "",
			       r->paused[0] ? r->paused : "see 'rekindle status'");
		break;
	case RK_STALE:
		(void)snprintf(text, size,
			       "not applied: this client's place was given away; try again");
		break;
	case RK_ENDED:
		(void)snprintf(text, size, "not applied: the fleet has ended, or was removed from its configuration");
		break;
	case RK_NO_SLOT:
		(void)snprintf(text, size,
			       "not applied: this client name has no slot left for another call");
		break;
	default:
		(void)snprintf(text, size, "%s", rk_outcome_text(r->outcome));
	}
	return text;
}

static int exit_for(const struct result *r)
{
	if (r->outcome == RK_DONE)
		return RK_CLI_OK;
	if (r->outcome == RK_ENDED)
		return RK_CLI_NOT_RUNNING;
	if (r->outcome == RK_UNKNOWN)
		return r->has_ended ? RK_CLI_FAILED : RK_CLI_TIMEOUT;
	return r->is_late && r->outcome != RK_FAILED ? RK_CLI_TIMEOUT : RK_CLI_FAILED;
}

/* ---- JSON ---- */

static struct json_object *as_json(const struct result *r)
{
	struct json_object *o = json_object_new_object();
	const struct rk_reply *p = &r->reply;
	bool is_there = has_reply(r->outcome);
	char message[MESSAGE];

	rk_out_json_text(o, "outcome", outcome_word(r->outcome));
	rk_out_json_bytes(o, "reply", is_there ? (p->len ? p->body : "") : NULL, p->len);
	rk_out_json_int_or_null(o, "partition", p->sequence, p->partition);
	rk_out_json_int_or_null(o, "job", is_there, (int64_t)p->job);
	rk_out_json_int_or_null(o, "sequence", p->sequence, (int64_t)p->sequence);
	rk_out_json_text(o, "error", r->outcome == RK_FAILED ? errno_name(r) : NULL);
	rk_out_json_text(o, "message", explain(r, message, sizeof(message))[0] ? message : NULL);
	json_object_object_add(o, "timed_out", json_object_new_boolean(r->is_late));
	return o;
}

/* ---- what an earlier client of this name left ---- */

static void tell_resumed(const struct result *r)
{
	char shown[160], message[MESSAGE];
	const struct rk_reply *p = &r->reply;
	bool is_done = r->outcome == RK_DONE;

	(void)rk_cli_complain(0,
			      "an earlier client of this name left call %llu in partition %u%s: %s",
			      (unsigned long long)p->sequence, p->partition,
			      is_done ? "; its reply" : "",
			      is_done ? rk_out_clean(shown, sizeof(shown), p->body, p->len)
				      : explain(r, message, sizeof(message)));
}

/* Collects what is finished of it; the rest stays for the next client of this name. */
static void collect_resumed(struct rk_client *client, struct json_object *into)
{
	struct result r = { 0 };

	for (;;) {
		r.outcome = rk_next(client, 0, &r.reply);
		if (r.outcome == -EAGAIN || r.outcome == RK_EMPTY || r.outcome == RK_STALE)
			break;
		if (into)
			json_object_array_add(into, as_json(&r));
		else
			tell_resumed(&r);
	}
}

/* ---- the call ---- */

static struct result call(const struct rk_args *a, struct rk_client *client,
			  const struct rk_input *body, uint64_t deadline_ns)
{
	uint64_t now_ns = rk_clock_ns();
	uint64_t left_ms = deadline_ns > now_ns ? (deadline_ns - now_ns) / RK_NS_PER_MS : 0;
	struct rk_request request = { .key = a->rest[0],
				      .body = body->bytes,
				      .len = body->len,
				      .timeout_ms = (uint32_t)rk_max_u64(left_ms, 1) };
	struct result r = { 0 };

	r.outcome = rk_args_flag(a, "retry") ? rk_call_retry(client, &request, &r.reply)
					     : rk_call(client, &request, &r.reply);
	r.is_late = !has_reply(r.outcome) &&
		    rk_clock_ns() - now_ns >= request.timeout_ms * RK_NS_PER_MS;
	r.has_ended = rk_client_has_ended(client);
	if (r.outcome == RK_NO_WORKER || r.outcome == RK_NOT_APPLIED)
		(void)rk_cli_paused(rk_args_text(a, "name"), request.key, r.paused);
	return r;
}

static int print_text(const struct result *r)
{
	char message[MESSAGE];
	bool is_terminal = isatty(STDOUT_FILENO);

	if (has_reply(r->outcome) && r->reply.len) {
		const char *bytes = r->reply.body;

		(void)fwrite(bytes, 1, r->reply.len, stdout);
		if (is_terminal && bytes[r->reply.len - 1] != '\n')
			(void)putchar('\n');
	}
	if (r->outcome != RK_DONE)
		(void)rk_cli_complain(0, "%s", explain(r, message, sizeof(message)));
	return exit_for(r);
}

static int print_json(const struct result *r, struct json_object *resumed)
{
	struct json_object *o = as_json(r);
	char message[MESSAGE];

	if (resumed)
		json_object_object_add(o, "resumed", resumed);
	rk_out_json(o);
	if (r->outcome != RK_DONE)
		(void)rk_cli_complain(0, "%s", explain(r, message, sizeof(message)));
	return exit_for(r);
}

int rk_cli_call(int argc, char **argv)
{
	rk_cleanup(rk_cli_client_close_p) struct rk_client *client = NULL;
	rk_cleanup(rk_input_free_p) struct rk_input body = { 0 };
	struct json_object *resumed = NULL;
	struct rk_err err = { 0 };
	struct result r;
	struct rk_args a;
	uint64_t deadline_ns;
	int status;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	if (rk_cli_key_check(a.rest[0], &err) < 0 ||
	    rk_input_read(&body, a.n_rest > 1 ? a.rest[1] : NULL, &err) < 0)
		return rk_cli_fail(&err);
	deadline_ns = rk_cli_client_deadline(&a); /* not while somebody types the body */
	if (rk_cli_client_open(&client, &a, rk_args_text(&a, "named"), deadline_ns, &err) < 0)
		return rk_cli_fail(&err);
	if (rk_args_text(&a, "named")) {
		resumed = rk_args_json(&a) ? json_object_new_array() : NULL;
		collect_resumed(client, resumed);
	}
	r = call(&a, client, &body, deadline_ns);
	status = rk_args_json(&a) ? print_json(&r, resumed) : print_text(&r);
	rk_reply_release(client, &r.reply);
	return status;
}
