/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle events: what happened to a fleet, from its flight recorder; with -f also what happens.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/recall.h"
#include "cli/waker.h"

#define FOLLOW_LINES 10 /* of the past, with -f and without -n */

struct events {
	struct rk_recall recall;
	struct rk_recall_filter filter;
	uint64_t n_last; /* of the past */
	bool is_json;
};

static void print(const struct events *v, const struct rk_recall_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (v->is_json)
			rk_out_json_line(rk_recall_json(l->event[i]));
		else
			rk_recall_print(&v->recall, l->event[i]);
	(void)fflush(stdout);
}

/* What has not been read yet, but of that at most n. 0; -ENOMEM. */
static int print_news(struct events *v, bool is_following, uint64_t n)
{
	rk_cleanup(rk_recall_list_free_p) struct rk_recall_list l = { 0 };
	int r = rk_recall_load(&v->recall, &v->filter, is_following, &l);

	rk_recall_list_tail(&l, n);
	print(v, &l);
	return r;
}

static bool look(void *arg, uint32_t *ret_word)
{
	const struct events *v = arg;

	return rk_flight_reader_look(&v->recall.reader, ret_word) >= 0;
}

/* Until the fleet ends or another one of its name begins: RK_FLIGHT_…; -errno. */
static int follow_one(struct events *v, struct rk_err *err)
{
	rk_cleanup(rk_waker_close_p) struct rk_waker waker = {
		.futex = v->recall.reader.changes, .look = look, .arg = v, .fd = -1
	};
	uint64_t n = v->n_last;
	uint32_t word;
	int r = rk_waker_open(&waker, err);

	while (r == 0 && rk_waker_wait(&waker, -1) == RK_WAKE_CHANGED) {
		int state = rk_flight_reader_look(&v->recall.reader, &word);

		if (state < 0)
			return rk_err_set(err, state,
					  "%s was cut while it was read: the next start of the "
					  "fleet makes a new one",
					  v->recall.path);
		r = print_news(v, state == RK_FLIGHT_OPEN, n);
		n = UINT64_MAX;
		if (r == 0 && state != RK_FLIGHT_OPEN)
			return state;
	}
	return r < 0 ? r : RK_FLIGHT_ENDED;
}

static int follow(struct events *v, struct rk_err *err)
{
	int r;

	while ((r = follow_one(v, err)) == RK_FLIGHT_REPLACED) {
		r = rk_recall_reopen(&v->recall, err);
		if (r < 0)
			break;
		v->n_last = UINT64_MAX;
	}
	return r < 0 ? r : 0;
}

/* "death" or "death,verdict". */
static int kinds_read(const char *text, uint64_t *ret, struct rk_err *err)
{
	for (; *text; text += strcspn(text, ","), text += *text == ',') {
		char name[32];
		enum rk_flight_kind kind;

		(void)rk_out_clean(name, sizeof(name), text, strcspn(text, ","));
		kind = rk_flight_kind_find(name);
		if (kind == RK_FLIGHT_KINDS)
			return rk_err_set(err, -EINVAL,
					  "--kind: '%s' is none: see 'rekindle events --help'",
					  name);
		*ret |= 1ull << kind;
	}
	return 0;
}

static int filter_read(const struct rk_args *a, struct rk_recall_filter *f, struct rk_err *err)
{
	const char *worker = rk_args_text(a, "worker"), *kind = rk_args_text(a, "kind");
	uint64_t since_ns = rk_args_number(a, "since", 0);
	int r = 0;

	*f = (struct rk_recall_filter){ .worker = RK_FLIGHT_NOBODY };
	if (worker)
		r = rk_recall_worker(worker, &f->worker, err);
	if (r == 0 && kind)
		r = kinds_read(kind, &f->kinds, err);
	f->is_quiet = !kind && !rk_args_flag(a, "all");
	if (since_ns)
		f->since_wall_ns = rk_clock_wall_ns() - since_ns;
	return r;
}

int rk_cli_events(int argc, char **argv)
{
	struct events v = { .recall.reader.fd = -1 };
	struct rk_err err = { 0 };
	const char *name = NULL;
	struct rk_args a;
	bool follows;
	int status, r;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	follows = rk_args_flag(&a, "follow");
	v.is_json = rk_args_json(&a);
	v.n_last = rk_args_number(&a, "lines", follows ? FOLLOW_LINES : UINT64_MAX);
	r = filter_read(&a, &v.filter, &err);
	rk_recall_time(&a);
	if (r == 0)
		r = rk_cli_fleet(&a, &name, &err);
	if (r == 0)
		r = rk_recall_open(&v.recall, name, &err);
	if (r == 0)
		r = follows ? follow(&v, &err) : print_news(&v, false, v.n_last);
	rk_recall_close_p(&v.recall);
	if (r < 0 && !err.code)
		(void)rk_err_set(&err, r, "%s", strerror(-r));
	return r < 0 ? rk_cli_fail(&err) : RK_CLI_OK;
}
