/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle put: jobs whose replies nobody awaits, one after the other; at the end it waits until
 * the workers have finished them.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/out.h"
#include "cli/paused.h"
#include "workers/lib/client.h"

#define BAD_SHOWN 20u
#define TELL_MS 1000u /* of waiting, until the reason is told if it is a paused worker */
#define NO_ROOM_MS 2  /* a ring full of other clients' jobs: nobody rings us for that */

struct put {
	struct rk_client *client;
	uint64_t timeout_ms;
	uint64_t n_submitted, n_refused;
	const char *fleet; /* NULL = the only one */
	bool is_told;      /* that it waits for a paused worker */
	uint64_t n_bad;    /* lines that could not be jobs: named on stderr, the first BAD_SHOWN of
			      them */
	bool is_late;
};

/* Whoever sits there can do something about it. */
static void tell_paused(struct put *p)
{
	char paused[RK_PAUSED_TEXT];

	p->is_told = true;
	if (rk_cli_paused(p->fleet, NULL, paused))
		(void)rk_cli_complain(0, "waiting; %s", paused);
}

/* rk_flush(); not without a word if it takes long and a paused worker is why. */
static int flush_part(struct put *p, uint64_t timeout_ms)
{
	uint64_t n_failed = 0;
	int r = rk_flush(p->client, (uint32_t)timeout_ms, &n_failed);

	p->n_refused += n_failed;
	return r;
}

/* Waits for what is under way. Returns 0 or a negative errno; sets is_late. */
static int flush(struct put *p, struct rk_err *err)
{
	uint64_t first_ms = p->is_told ? p->timeout_ms : rk_min_u64(p->timeout_ms, TELL_MS);
	int r = flush_part(p, first_ms);

	if (r == RK_UNKNOWN && first_ms < p->timeout_ms && !rk_client_has_ended(p->client)) {
		tell_paused(p);
		r = flush_part(p, p->timeout_ms - first_ms);
	}
	p->is_late = r == RK_UNKNOWN;
	if (r == 0 || r == RK_UNKNOWN || r == RK_FAILED)
		return 0;
	return rk_err_set(err, r < 0 ? r : -EIO, "%s", rk_outcome_text(r));
}

/*
 * Queues one job, waiting for room up to the time-out. Returns 0 or -errno; sets is_late. -EINVAL
 * and -EMSGSIZE are this job's fault alone.
 */
static int submit(struct put *p, const struct rk_request *request, struct rk_err *err)
{
	uint64_t start_ns = rk_clock_ns();

	while (!p->is_late) {
		int r = rk_submit(p->client, request);

		if (r == 0) {
			p->n_submitted++;
			return 0;
		}
		if (r == RK_TOO_LARGE)
			return rk_err_set(
				err, -EMSGSIZE,
				"key '%.40s': key and body are longer than the fleet's --max-request",
				request->key);
		if (r == RK_ENDED)
			return rk_err_set(err, -ENOENT, "%s", rk_outcome_text(r));
		if (r != RK_NO_SLOT && r != RK_FULL)
			return rk_err_set(err, r < 0 ? r : -EIO, "key '%.40s': %s", request->key,
					  rk_outcome_text(r));
		r = flush(p, err);
		if (r < 0)
			return r;
		if (rk_clock_ns() - start_ns >= p->timeout_ms * RK_NS_PER_MS)
			p->is_late = true;
		else
			(void)poll(NULL, 0, NO_ROOM_MS);
	}
	return 0;
}

static int put_arguments(struct put *p, const struct rk_args *a, struct rk_err *err)
{
	int r = rk_cli_key_check(a->rest[0], err), i = 1;

	while (r == 0 && !p->is_late && (i < a->n_rest || i == 1)) {
		rk_cleanup(rk_input_free_p) struct rk_input body = { 0 };

		r = rk_input_read(&body, a->rest[i], err); /* NULL behind the last: no body */
		if (r == 0)
			r = submit(p,
				   &(struct rk_request){
					   .key = a->rest[0], .body = body.bytes, .len = body.len },
				   err);
		i++;
	}
	return r;
}

/* One line without its end: KEY, or KEY, a tab and BODY. */
static int put_line(struct put *p, char *line, size_t len, struct rk_err *err)
{
	char *tab = memchr(line, '\t', len);
	size_t key_len = tab ? (size_t)(tab - line) : len;

	if (len == 0)
		return 0;
	if (key_len == 0)
		return rk_err_set(err, -EINVAL, "the KEY is empty: a line is KEY, a tab and BODY");
	return submit(p,
		      &(struct rk_request){ .key = line,
					    .key_len = key_len,
					    .body = tab ? tab + 1 : "",
					    .len = tab ? len - key_len - 1 : 0 },
		      err);
}

/* A line that cannot be a job is named and left out; the others go on. */
static int line_judge(struct put *p, unsigned long long n, int r, struct rk_err *err)
{
	char where[32];

	if (r == 0)
		return 0;
	(void)snprintf(where, sizeof(where), "line %llu", n);
	(void)rk_err_prefix(err, r, where);
	if (r != -EINVAL && r != -EMSGSIZE)
		return r;
	if (p->n_bad++ < BAD_SHOWN)
		(void)rk_cli_complain(0, "%s", err->text);
	return 0;
}

static int put_lines(struct put *p, struct rk_err *err)
{
	rk_cleanup(rk_free_p) char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int r = 0;

	for (unsigned long long n = 1; r == 0 && !p->is_late; n++) {

		errno = 0;
		len = getline(&line, &room, stdin);
		if (len < 0)
			return errno ? rk_err_set(err, -errno, "standard input: %s",
						  strerror(errno))
				     : 0;
		if (len > 0 && line[len - 1] == '\n')
			len--;
		r = line_judge(p, n, put_line(p, line, (size_t)len, err), err);
	}
	return r;
}

static void print(const struct put *p, bool as_json)
{
	char submitted[RK_NUM_TEXT], refused[RK_NUM_TEXT];

	if (as_json) {
		struct json_object *o = json_object_new_object();

		rk_out_json_int(o, "submitted", (int64_t)p->n_submitted);
		rk_out_json_int_or_null(o, "applied", !p->is_late,
					(int64_t)(p->n_submitted - p->n_refused));
		rk_out_json_int(o, "refused", (int64_t)p->n_refused);
		rk_out_json_int(o, "bad_lines", (int64_t)p->n_bad);
		json_object_object_add(o, "finished", json_object_new_boolean(!p->is_late));
		rk_out_json(o);
		return;
	}
	(void)printf("put %s job%s", rk_num_format(submitted, p->n_submitted),
		     rk_num_plural(p->n_submitted));
	if (p->n_refused)
		(void)printf(", %s refused", rk_num_format(refused, p->n_refused));
	(void)printf("%s\n", p->is_late ? ", not all finished" : "");
}

/* Ends in the sum of what was not put, if anything. */
static int conclude_bad(const struct put *p)
{
	(void)rk_cli_complain(0, "%llu line%s left out%s: a line is KEY, or KEY, a tab and BODY",
			      (unsigned long long)p->n_bad, p->n_bad == 1 ? " was" : "s were",
			      p->n_bad > BAD_SHOWN ? ", the first of them named above" : "");
	return p->n_submitted > p->n_refused ? RK_CLI_PARTLY : RK_CLI_FAILED;
}

/* r: what became of the last one. */
static int conclude(const struct put *p, int r)
{
	if ((p->is_late || p->n_refused || r < 0) && rk_client_has_ended(p->client))
		return rk_cli_complain(RK_CLI_NOT_RUNNING, "%s meanwhile: jobs that were not finished are dropped",
				       rk_outcome_text(RK_ENDED));
	if (p->is_late) {
		char paused[RK_PAUSED_TEXT];

		return rk_cli_complain(
			RK_CLI_TIMEOUT,
			"not all jobs were finished in time: workers apply what is queued when they get to "
			"it; %s",
			rk_cli_paused(p->fleet, NULL, paused) ? paused : "see 'rekindle status'");
	}
	if (p->n_refused == 0)
		return p->n_bad ? conclude_bad(p) : RK_CLI_OK;
	if (p->n_bad)
		(void)conclude_bad(p);
	(void)rk_cli_complain(0, "%llu of %llu job%s refused: 'rekindle call' shows why",
			      (unsigned long long)p->n_refused, (unsigned long long)p->n_submitted,
			      p->n_submitted == 1 ? " was" : "s were");
	return p->n_refused < p->n_submitted ? RK_CLI_PARTLY : RK_CLI_FAILED;
}

int rk_cli_put(int argc, char **argv)
{
	rk_cleanup(rk_cli_client_close_p) struct rk_client *client = NULL;
	struct rk_err err = { 0 }, late = { 0 };
	struct put p = { 0 };
	struct rk_args a;
	int status, r;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	if (rk_cli_client_open(&client, &a, NULL, rk_cli_client_deadline(&a), &err) < 0)
		return rk_cli_fail(&err);
	p.client = client;
	p.fleet = rk_args_text(&a, "name");
	p.timeout_ms =
		rk_args_number(&a, "timeout", RK_TIMEOUT_DEFAULT_MS * RK_NS_PER_MS) / RK_NS_PER_MS;
	r = a.n_rest == 1 && strcmp(a.rest[0], "-") == 0 ? put_lines(&p, &err)
							 : put_arguments(&p, &a, &err);
	if (!p.is_late && flush(&p, &late) < 0 && r == 0) {
		r = late.code;
		err = late;
	}
	print(&p, rk_args_json(&a));
	status = conclude(&p, r);
	if (r < 0 && status == RK_CLI_NOT_RUNNING)
		return status; /* it has said why */
	if (r < 0) /* what was queued before counts all the same */
		return rk_cli_complain(p.n_submitted ? RK_CLI_PARTLY : rk_cli_exit_for(r), "%s",
				       err.text);
	return status;
}
