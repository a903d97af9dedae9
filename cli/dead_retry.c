/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle dead retry: sends the job of a dead letter once more, as a new job of a client of its
 * own, whose name only root and the owner may have. Who sent it first keeps its verdict.
 *
 *   LETTER --mark--> RETRYING --send--> its call is out --+-- done, or quarantined anew: dropped
 *     ^                                                   |
 *     +------------------- failed, not applied -----------+
 *
 * Killed anywhere: the mark stays, and so does the call with its reply, since the client has a
 * name; its tag is the letter's. The next retry gets it first and does what was left. A letter
 * that is marked and has no call out was never sent: a reply is released, and so forgotten, only
 * when its letter has been dropped or put back. The name lets one retry at a time into a fleet.
 *
 * A job that is quarantined anew becomes a letter of its own, and needs a place for that. Where
 * none is free its old one gives way: from then on the job in its partition's queue, which no
 * time-out can withdraw any more, is what there is of it.
 *
 * One after the other: jobs that kill their workers together would not be charged for it.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/dead.h"
#include "cli/out.h"
#include "shm/words.h"
#include "workers/lib/client.h"

#define CLIENT "rekindle.dead"
#define SLICE_MS 100u /* between two looks whether a job waits for room */
#define TIMEOUT_NS (60 * RK_NS_PER_S)
#define REPLY_SHOWN 200

/* What has become of a letter. */
enum end {
	END_DONE,
	END_QUARANTINED, /* again: its job is another letter now */
	END_FAILED,
	END_NOT_APPLIED,
	END_UNKNOWN,  /* a worker has it still */
	END_UNSETTLED, /* finished, but the supervisor did not do what was to follow */
	END_GONE, /* was not there, or not as it was read: not sent */
	ENDS
};

struct retry {
	struct rk_dead_command *c;
	struct rk_client *client;
	uint64_t wait_ns;
	struct json_object *all; /* NULL: text */
	uint32_t n_done, n_ill, n_unknown;
};

/* A letter as a call's tag; never 0. */
static uint64_t tag_of(uint32_t partition, uint64_t job)
{
	return UINT64_C(1) << 63 | (uint64_t)partition << 48 | job;
}

static uint32_t tag_partition(uint64_t tag)
{
	return (uint32_t)(tag >> 48) & 0x7fff;
}

static uint64_t tag_job(uint64_t tag)
{
	return tag & RK_MASK48;
}

/* ---- telling ---- */

/* One letter's outcome, as it is told. */
struct result {
	enum end end;
	const struct rk_letter *letter; /* NULL: dropped by an earlier retry */
	const struct rk_reply *reply;
	struct rk_err err;
};

static const char *end_word(enum end end)
{
	static const char *const words[] = { "done",    "quarantined", "failed", "not-applied",
					     "unknown", "unsettled",   "gone" };

	static_assert(rk_countof(words) == ENDS, "a word for every end");
	return words[end];
}

/* What is left of the letter. */
static const char *now_word(const struct result *r)
{
	if (r->end == END_FAILED || r->end == END_NOT_APPLIED)
		return "kept";
	if ((r->end == END_UNKNOWN || r->end == END_UNSETTLED) && r->letter)
		return "retrying";
	return "dropped";
}

static void tell_done(const struct rk_reply *reply, char *text, size_t size)
{
	char shown[REPLY_SHOWN];

	if (reply->len)
		(void)snprintf(text, size, "done: %s",
			       rk_out_clean(shown, sizeof(shown), reply->body, reply->len));
	else
		(void)snprintf(text, size, "done");
}

static void tell_failed(int error, char *text, size_t size)
{
	const char *name = strerrorname_np(-error);

	(void)snprintf(text, size, "kept: the worker refused it: %s (%s); nothing of it was applied",
		       name ? name : "an error without a name",
		       strerror(error < 0 && error > -4096 ? -error : EIO));
}

static const char *sentence(const struct result *r, char *text, size_t size)
{
	char again[RK_LETTER_NAME];

	if (r->end == END_DONE)
		tell_done(r->reply, text, size);
	else if (r->end == END_FAILED)
		tell_failed(r->reply->error, text, size);
	else if (r->end == END_QUARANTINED)
		(void)snprintf(text, size, "quarantined again, as %s",
			       rk_letter_name(again, r->reply->partition, r->reply->job));
	else if (r->end == END_NOT_APPLIED)
		(void)snprintf(text, size, "kept: not applied: %s", r->err.text);
	else if (r->end == END_UNKNOWN)
		(void)snprintf(text, size, "not known yet: %s",
			       r->letter ? "its worker has it still, and it will not be sent twice; the "
					   "same command waits on"
					 : "it gave its place to another one and waits in its "
					   "partition's queue: drop a letter");
	else
		(void)snprintf(text, size, "%s", r->err.text);
	return text;
}

static struct json_object *as_json(uint64_t tag, const struct result *r, const char *message)
{
	char name[RK_LETTER_NAME];
	struct json_object *o = r->letter ? rk_cli_dead_json(&r->letter->is) : json_object_new_object();
	bool is_done = r->end == END_DONE, is_anew = r->end == END_QUARANTINED;

	if (!r->letter)
		rk_out_json_text(o, "letter", rk_letter_name(name, tag_partition(tag), tag_job(tag)));
	rk_out_json_text(o, "outcome", end_word(r->end));
	rk_out_json_bytes(o, "reply", is_done ? (r->reply->len ? r->reply->body : "") : NULL,
			  r->reply->len);
	rk_out_json_text(o, "now", now_word(r));
	rk_out_json_text(o, "became", is_anew ? rk_letter_name(name, r->reply->partition, r->reply->job)
					      : NULL);
	json_object_object_add(o, "resumed",
			       json_object_new_boolean(!!(r->reply->flags & RK_RESUMED)));
	rk_out_json_text(o, "message", message);
	return o;
}

static void tell(struct retry *t, uint64_t tag, const struct result *r)
{
	bool is_resumed = r->reply->flags & RK_RESUMED;
	char message[sizeof(r->err.text) + REPLY_SHOWN], name[RK_LETTER_NAME];

	t->n_done += r->end == END_DONE;
	t->n_unknown += r->end == END_UNKNOWN;
	t->n_ill += r->end != END_DONE && r->end != END_UNKNOWN;
	(void)sentence(r, message, sizeof(message));
	if (t->all)
		json_object_array_add(t->all, as_json(tag, r, message));
	else
		(void)printf("%s  %s%s\n", rk_letter_name(name, tag_partition(tag), tag_job(tag)),
			     message, is_resumed ? " (an earlier retry had sent it)" : "");
	(void)fflush(stdout);
}

/* ---- what follows from an outcome ---- */

static enum end end_of(int outcome, const struct rk_reply *reply)
{
	switch (outcome) {
	case RK_DONE:
		return END_DONE;
	case RK_FAILED:
		return reply->error == RK_QUARANTINED ? END_QUARANTINED : END_FAILED;
	case RK_NOT_APPLIED:
	case RK_TOO_LARGE:
	case RK_FULL:
	case RK_NO_WORKER:
	case RK_NO_SLOT:
	case RK_ENDED:
		return END_NOT_APPLIED;
	default:
		return END_UNKNOWN;
	}
}

/* Done already is as good: an earlier retry may have come so far. */
static int ask(struct retry *t, struct rk_letter *letter, const char *deed, struct rk_err *err)
{
	int r = rk_letter_ask(&t->c->look, t->c->name, letter, deed, err);

	return r == -EALREADY || r == -ENOENT ? 0 : r;
}

/* The letter goes, or comes back; only then may its reply be forgotten. */
static void settle(struct retry *t, uint64_t tag, int outcome, struct rk_reply *reply)
{
	rk_cleanup(rk_letters_free_p) struct rk_letters l = { 0 };
	struct result r = { .end = end_of(outcome, reply), .reply = reply };
	struct rk_letter *letter;
	struct rk_err err = { 0 };
	int e = rk_letters_read(&l, &t->c->look, &err);

	letter = e == 0 ? rk_letters_find(&l, tag_partition(tag), tag_job(tag)) : NULL;
	r.letter = letter;
	if (letter && (r.end == END_DONE || r.end == END_QUARANTINED))
		e = ask(t, letter, "drop", &err);
	else if (letter && (r.end == END_FAILED || r.end == END_NOT_APPLIED))
		e = ask(t, letter, "back", &err);
	if (r.end == END_NOT_APPLIED)
		(void)rk_err_set(&r.err, 0, "%s", rk_outcome_text(outcome));
	if (e < 0) {
		(void)rk_err_set(&r.err, e,
				 "%s, but the letter is as it was (%s): the same command again brings "
				 "it to its end and sends nothing",
				 end_word(r.end), err.text);
		r.end = END_UNSETTLED;
	}
	tell(t, tag, &r);
	if (r.end != END_UNKNOWN && r.end != END_UNSETTLED)
		rk_reply_release(t->client, reply);
}

/* ---- sending ---- */

/* Whether the job of this call, and no other, waits for room among the dead letters. */
static bool waits_for_room(const struct retry *t, uint64_t tag)
{
	uint32_t partition;
	uint64_t job;

	return rk_client_is_taken(t->client, tag, &partition, &job) &&
	       rk_dead_is_waiting(&t->c->look.m, partition, job);
}

/* Waits for this letter's call; others that finish meanwhile are settled too. */
static void await(struct retry *t, struct rk_letter *letter)
{
	uint64_t tag = tag_of(letter->is.partition, letter->is.job);
	uint64_t end_ns = rk_clock_ns() + t->wait_ns + SLICE_MS * RK_NS_PER_MS; /* the call ends first */
	bool has_given_way = false;

	while (rk_client_awaits(t->client, tag)) {
		struct rk_reply reply = { 0 };
		struct rk_err err = { 0 };
		int outcome = rk_next(t->client, SLICE_MS, &reply);

		if (outcome != -EAGAIN) {
			settle(t, reply.tag ? reply.tag : tag, outcome, &reply);
			if (outcome < 0 || outcome == RK_EMPTY || outcome == RK_STALE)
				return;
		} else if (rk_clock_ns() >= end_ns) {
			tell(t, tag,
			     &(struct result){ END_UNKNOWN, has_given_way ? NULL : letter, &reply, err });
			return;
		} else if (!has_given_way && waits_for_room(t, tag)) {
			has_given_way = ask(t, letter, "drop", &err) == 0;
		}
	}
}

static void refuse(struct retry *t, const struct rk_letter *letter, enum end end, const struct rk_err *err)
{
	const struct rk_reply none = { 0 };

	tell(t, tag_of(letter->is.partition, letter->is.job),
	     &(struct result){ end, letter, &none, *err });
}

/* Marks and sends it. Returns whether its call is out. */
static bool send_again(struct retry *t, struct rk_letter *letter)
{
	const char *bytes = letter->is.bytes;
	const struct rk_request request = {
		.key = letter->is.key_len ? bytes : "", /* without a length it ends with its NUL */
		.key_len = letter->is.key_len,
		.body = bytes + letter->is.key_len,
		.len = letter->is.len,
		.timeout_ms = (uint32_t)(t->wait_ns / RK_NS_PER_MS),
		.tag = tag_of(letter->is.partition, letter->is.job),
	};
	struct rk_err err = { 0 };
	struct rk_reply none = { 0 };
	int outcome, r = 0;

	/* One that is marked and has no call out was never sent. */
	if (!letter->is.is_retrying)
		r = rk_letter_ask(&t->c->look, t->c->name, letter, "retry", &err);
	if (r < 0) {
		refuse(t, letter, r == -ENOENT ? END_GONE : END_NOT_APPLIED, &err);
		return false;
	}
	outcome = rk_call_async(t->client, &request);
	if (outcome == 0)
		return true;
	none.tag = request.tag;
	/* It has not begun: what is no outcome either is a letter that makes no request. */
	settle(t, request.tag, outcome < 0 || outcome == RK_STALE ? RK_NOT_APPLIED : outcome, &none);
	return false;
}

static void retry_one(struct retry *t, struct rk_letter *letter)
{
	if (rk_client_awaits(t->client, tag_of(letter->is.partition, letter->is.job)) ||
	    send_again(t, letter))
		await(t, letter);
}

/* ---- all of it ---- */

/* Who holds the name now, by the board; 0 = nobody any more. */
static int holder(struct rk_look *l)
{
	rk_look_view(l);
	for (uint32_t i = 0; i < l->m.g.n_clients; i++) {
		const struct rk_view_client *v = &rk_view_clients(&l->m, l->view)[i];

		if ((v->flags & RK_CLIENT_ALIVE) && strncmp(v->name, CLIENT, sizeof(v->name)) == 0)
			return v->pid;
	}
	return 0;
}

static int client_open(struct retry *t, struct rk_err *err)
{
	int r = rk_cli_client_open(&t->client, &t->c->a, CLIENT, 0, err);

	if (r == -EBUSY)
		return rk_err_set(err, r,
				  "another 'rekindle dead retry' (pid %d) is at work: wait for its end",
				  holder(&t->c->look));
	return r;
}

/* Brings to its end what an earlier retry has left and is finished by now. */
static void settle_left(struct retry *t)
{
	for (;;) {
		struct rk_reply reply = { 0 };
		int outcome = rk_next(t->client, 0, &reply);

		if (outcome < 0 || outcome == RK_EMPTY || outcome == RK_STALE)
			return;
		settle(t, reply.tag, outcome, &reply);
	}
}

/* Chosen before anything is settled, so that what an earlier retry has done is no mistake. */
static int retry(struct retry *t, const struct rk_letters *l, struct rk_err *err)
{
	struct rk_letter **chosen = calloc(l->n + 1, sizeof(struct rk_letter *));
	uint32_t n_missing = 0;
	int n = chosen ? rk_cli_dead_choose(t->c, l, chosen, &n_missing, err) :
			 rk_err_set(err, -ENOMEM, "no memory");
	int r = n < 0 ? n : client_open(t, err);

	if (r == 0)
		settle_left(t);
	for (int i = 0; r == 0 && i < n; i++) {
		rk_cleanup(rk_letters_free_p) struct rk_letters now = { 0 };
		struct rk_letter *letter;

		r = rk_letters_read(&now, &t->c->look, err);
		letter = r == 0 ? rk_letters_find(&now, chosen[i]->is.partition, chosen[i]->is.job) : NULL;
		/* Gone: settled just now, as it was told. */
		if (letter)
			retry_one(t, letter);
	}
	t->n_ill += n_missing;
	free(chosen);
	return r;
}

int rk_cli_dead_retry(struct rk_dead_command *c)
{
	rk_cleanup(rk_letters_free_p) struct rk_letters l = { 0 };
	struct retry t = { .c = c, .wait_ns = rk_args_number(&c->a, "timeout", TIMEOUT_NS) };
	struct rk_err err = { 0 };
	int r = rk_letters_read(&l, &c->look, &err);

	t.all = rk_args_json(&c->a) ? json_object_new_array() : NULL;
	if (r == 0)
		r = retry(&t, &l, &err);
	if (t.all)
		rk_cli_dead_print(c, t.all);
	else if (r == 0 && l.n == 0 && t.n_ill == 0)
		(void)puts("no dead letters");
	rk_cli_client_close_p(&t.client);
	if (r < 0)
		return rk_cli_fail(&err);
	if (t.n_unknown)
		return RK_CLI_TIMEOUT;
	return rk_cli_dead_status(t.n_done, t.n_ill);
}
