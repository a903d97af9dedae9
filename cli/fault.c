/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle fault: asks the supervisor for faults in workers, one, or some per second. The series
 * is this command's own and ends with it; a stop that has begun is ended by the supervisor.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/recall.h"

#define SERIES_NS (10 * RK_NS_PER_S)
#define STOP_NS RK_NS_PER_S
#define EACH_NS (100 * RK_NS_PER_MS)
#define JOBS 10u

enum fault { KILL, STOP, HANG, LOOP, SLOW, FAULTS };

static const struct {
	const char *name, *done; /* "worker 2 (pid 812) killed" */
} faults[FAULTS] = {
	[KILL] = { "kill", "killed" },
	[STOP] = { "stop", "stopped" },
	[HANG] = { "hang", "hangs in its next job" },
	[LOOP] = { "loop", "loops in its next job" },
	[SLOW] = { "slow", "slowed down" },
};

/* What the command line says. */
struct wish {
	enum fault fault;
	bool is_any;
	uint32_t worker;
	uint64_t per_s; /* 0: one fault */
	uint64_t for_ns; /* of the series */
	uint64_t ms, n_jobs; /* of one fault */
};

/* What came of it. */
struct sum {
	uint64_t n_injected, n_missed;
	uint64_t n_unsure; /* asked for, and the supervisor was replaced before it answered */
	int64_t worker, pid, incarnation; /* of the last one */
};

/* ---- the command line ---- */

static int fault_find(const char *name, enum fault *ret, struct rk_err *err)
{
	for (int i = 0; i < FAULTS; i++) {
		if (strcmp(faults[i].name, name) != 0)
			continue;
		*ret = (enum fault)i;
		return 0;
	}
	return rk_err_set(err, -EINVAL, "there is no fault '%.40s': kill, stop, hang, loop and slow are", name);
}

/* Options that mean nothing here are a misunderstanding. */
static int options_check(const struct rk_args *a, const struct wish *w, struct rk_err *err)
{
	const char *name = faults[w->fault].name;

	if (rk_args_text(a, "for") && !w->per_s && w->fault != STOP)
		return rk_err_set(err, -EINVAL, "one %s has no length: --for is for stop, or belongs to --rate", name);
	if (rk_args_text(a, "each") && w->fault != SLOW && !(w->fault == STOP && w->per_s))
		return rk_err_set(err, -EINVAL, "--each is for slow, and for stop with --rate");
	if (rk_args_text(a, "jobs") && w->fault != SLOW)
		return rk_err_set(err, -EINVAL, "--jobs is for slow");
	return 0;
}

static int whom_read(const struct rk_args *a, struct wish *w, struct rk_err *err)
{
	w->is_any = rk_args_flag(a, "any");
	if (w->is_any == (a->n_rest > 1))
		return rk_err_set(err, -EINVAL,
				  w->is_any ? "--any, or a WORKER: not both" :
					      "fault needs a WORKER, the number of a slot, or --any");
	return w->is_any ? 0 : rk_recall_worker(a->rest[1], &w->worker, err);
}

static int wish_read(const struct rk_args *a, struct wish *w, struct rk_err *err)
{
	uint64_t each_ns = rk_args_number(a, "each", EACH_NS);
	int r = fault_find(a->rest[0], &w->fault, err);

	w->per_s = rk_args_number(a, "rate", 0);
	if (r == 0)
		r = options_check(a, w, err);
	if (r == 0)
		r = whom_read(a, w, err);
	w->for_ns = rk_args_number(a, "for", w->per_s ? SERIES_NS : STOP_NS);
	w->ms = (w->fault == STOP && !w->per_s ? w->for_ns : each_ns) / RK_NS_PER_MS;
	w->n_jobs = w->fault == SLOW ? rk_args_number(a, "jobs", JOBS) : 1;
	return r;
}

/* ---- one fault ---- */

static void request_write(char *text, size_t size, const char *fleet, const struct wish *w)
{
	char worker[32] = "", part[RK_NAME_MAX + 16] = "";

	if (!w->is_any)
		(void)snprintf(worker, sizeof(worker), ",\"worker\":%u", w->worker);
	if (fleet)
		(void)snprintf(part, sizeof(part), ",\"fleet\":\"%s\"", fleet); /* a name, checked */
	(void)snprintf(text, size, "{\"verb\":\"fault\",\"what\":\"%s\",\"ms\":%llu,\"jobs\":%llu%s%s}",
		       faults[w->fault].name, (unsigned long long)w->ms, (unsigned long long)w->n_jobs, worker, part);
}

static int inject(struct rk_ask *ask, const char *request, struct sum *sum, struct rk_err *err)
{
	struct json_object *answer;
	int r = rk_ask_once(ask, request, "whether the fault was injected", &answer, err);

	sum->n_missed += r == -EAGAIN;
	sum->n_unsure += r == -ECONNRESET;
	if (r < 0)
		return r;
	sum->n_injected++;
	sum->worker = rk_connect_int(answer, "worker");
	sum->pid = rk_connect_int(answer, "pid");
	sum->incarnation = rk_connect_int(answer, "incarnation");
	json_object_put(answer);
	return 0;
}

/* What was asked for, to the millisecond; rk_out_time() cuts, which suits what was measured. */
static const char *length_format(char text[static RK_OUT_TIME], uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (ms % 1000)
		(void)snprintf(text, RK_OUT_TIME, "%llu ms", (unsigned long long)ms);
	else if (s % 60 && s >= 3600)
		(void)snprintf(text, RK_OUT_TIME, "%llu s", (unsigned long long)s);
	else
		(void)rk_out_time(text, ms * RK_NS_PER_MS);
	return text;
}

static void print_one(const struct wish *w, const struct sum *sum)
{
	char time[RK_OUT_TIME];

	(void)printf("worker %lld (pid %lld) %s", (long long)sum->worker, (long long)sum->pid, faults[w->fault].done);
	if (w->fault == STOP)
		(void)printf(" for %s", length_format(time, w->ms));
	if (w->fault == SLOW)
		(void)printf(" by %s in its next %llu job%s", length_format(time, w->ms),
			     (unsigned long long)w->n_jobs, w->n_jobs == 1 ? "" : "s");
	(void)putchar('\n');
	(void)fflush(stdout);
}

/* ---- the series ---- */

static void sleep_until(uint64_t then_ns)
{
	uint64_t now_ns;

	while ((now_ns = rk_clock_ns()) < then_ns)
		(void)poll(NULL, 0, (int)rk_min_u64((then_ns - now_ns) / RK_NS_PER_MS + 1, INT32_MAX));
}

/* A worker that cannot be hit now is missed, and a supervisor may be replaced; any other error ends it. */
static int series(struct rk_ask *ask, const char *request, const struct wish *w, bool is_quiet, struct sum *sum,
		  struct rk_err *err)
{
	uint64_t now_ns = rk_clock_ns(), end_ns = now_ns + w->for_ns;

	for (uint64_t due_ns = now_ns; due_ns < end_ns; due_ns += RK_NS_PER_S / w->per_s) {
		int r;

		sleep_until(due_ns);
		r = inject(ask, request, sum, err);
		if (r < 0 && r != -EAGAIN && r != -ECONNRESET)
			return r;
		if (r == 0 && !is_quiet)
			print_one(w, sum);
	}
	return 0;
}

static void print_sum(const struct sum *sum)
{
	char n[RK_NUM_TEXT];

	(void)printf("%s fault%s injected", rk_num_format(n, sum->n_injected), sum->n_injected == 1 ? "" : "s");
	if (sum->n_missed)
		(void)printf(", %s not, since no worker was ready for it", rk_num_format(n, sum->n_missed));
	if (sum->n_unsure)
		(void)printf(", %s maybe, since the supervisor was replaced meanwhile: see 'rekindle events'",
			     rk_num_format(n, sum->n_unsure));
	(void)putchar('\n');
}

static void print_json(const char *fleet, const struct wish *w, const struct sum *sum)
{
	struct json_object *o = json_object_new_object();
	bool is_hit = sum->n_injected > 0;

	rk_out_json_text(o, "name", fleet);
	rk_out_json_text(o, "what", faults[w->fault].name);
	rk_out_json_int(o, "injected", (int64_t)sum->n_injected);
	rk_out_json_int(o, "missed", (int64_t)sum->n_missed);
	rk_out_json_int(o, "unsure", (int64_t)sum->n_unsure);
	rk_out_json_int_or_null(o, "worker", is_hit, sum->worker);
	rk_out_json_int_or_null(o, "pid", is_hit, sum->pid);
	rk_out_json_int_or_null(o, "incarnation", is_hit, sum->incarnation);
	rk_out_json(o);
}

int rk_cli_fault(int argc, char **argv)
{
	rk_cleanup(rk_ask_close_p) struct rk_ask ask = { .sock = -1 };
	struct rk_err err = { 0 };
	struct wish w = { 0 };
	struct sum sum = { 0 };
	char request[256];
	struct rk_args a;
	int status, r;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	r = wish_read(&a, &w, &err);
	if (r == 0)
		r = rk_ask_open(&ask, rk_args_text(&a, "name"), &err);
	if (r < 0)
		return rk_cli_fail(&err);
	request_write(request, sizeof(request), rk_fleet_part(rk_args_text(&a, "name")), &w);
	r = w.per_s ? series(&ask, request, &w, rk_args_json(&a), &sum, &err) : inject(&ask, request, &sum, &err);
	if (r < 0)
		return rk_cli_fail(&err);
	if (rk_args_json(&a))
		print_json(ask.fleet, &w, &sum);
	else if (w.per_s)
		print_sum(&sum);
	else
		print_one(&w, &sum);
	return sum.n_injected ? RK_CLI_OK : RK_CLI_FAILED;
}
