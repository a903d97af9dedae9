/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle get: a line per worker, and with --watch another one whenever the published view of
 * a worker changes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/look.h"
#include "cli/out.h"
#include "cli/recall.h"
#include "cli/waker.h"
#include "shm/board.h"

struct get {
	struct rk_look look;
	uint32_t worker; /* RK_FLIGHT_NOBODY = all */
	bool is_json;
	struct rk_view_slot *shown; /* by slot, as it was printed last */
};

static void print_json(const struct rk_look *l, uint32_t number, const struct rk_view_slot *s)
{
	struct json_object *o = json_object_new_object();

	rk_out_json_int(o, "worker", number);
	rk_out_json_text(o, "state", rk_look_slot_state(l, number));
	rk_out_json_int_or_null(o, "pid", s->pid > 0, s->pid);
	rk_out_json_int(o, "incarnation", (int64_t)s->incarnation);
	rk_out_json_int(o, "restarts", (int64_t)s->restarts);
	rk_out_json_int(o, "partitions", s->n_partitions);
	rk_out_json_line(o);
}

static void print_text(const struct rk_look *l, uint32_t number, const struct rk_view_slot *s)
{
	char pid[16] = "-";

	if (s->pid > 0)
		(void)snprintf(pid, sizeof(pid), "%d", s->pid);
	(void)printf("%6u  %-9s  %7s  %11llu  %8llu  %10u\n", number, rk_look_slot_state(l, number),
		     pid, (unsigned long long)s->incarnation, (unsigned long long)s->restarts,
		     s->n_partitions);
}

static bool is_same(const struct rk_view_slot *a, const struct rk_view_slot *b)
{
	return a->state == b->state && a->pid == b->pid && a->incarnation == b->incarnation &&
	       a->restarts == b->restarts && a->n_partitions == b->n_partitions;
}

/* Slots that are or were in use, and look otherwise than at the last time. */
static void print_changes(struct get *g)
{
	for (uint32_t i = 0; i < g->look.m.g.n_workers; i++) {
		const struct rk_view_slot *s = rk_look_slot(&g->look, i);

		if (s->state == RK_SLOT_STANDBY)
			continue;
		if ((g->worker != RK_FLIGHT_NOBODY && g->worker != i) || is_same(s, &g->shown[i]))
			continue;
		if (s->state == RK_SLOT_EMPTY && g->shown[i].state == RK_SLOT_EMPTY)
			continue; /* it is not missed, and was not */
		if (g->is_json)
			print_json(&g->look, i, s);
		else
			print_text(&g->look, i, s);
		g->shown[i] = *s;
	}
	(void)fflush(stdout);
}

static bool look_word(void *arg, uint32_t *ret_word)
{
	const struct get *g = arg;

	*ret_word = rk_board_mark(&g->look.m);
	return true;
}

/* Until the fleet ends: while its supervisor, or keeper, is replaced it is waited for. */
static int watch(struct get *g, struct rk_err *err)
{
	rk_cleanup(rk_waker_close_p) struct rk_waker waker = {
		.futex = rk_board_futex(&g->look.m), .look = look_word, .arg = g, .fd = -1
	};
	enum rk_wake why = RK_WAKE_CHANGED;
	int r = rk_waker_open(&waker, err);

	while (r == 0 && why != RK_WAKE_NOBODY) {
		why = rk_waker_wait(&waker, rk_look_end_fd(&g->look));
		if (why == RK_WAKE_NOBODY)
			break;
		rk_look_view(&g->look); /* the memory stays when everybody is gone */
		print_changes(g);
		if (why == RK_WAKE_ENDED)
			r = rk_look_go_on(&g->look, 0, err);
	}
	return r == -ENOENT ? 0 : r;
}

static int get(struct get *g, const struct rk_args *a, const char *name, struct rk_err *err)
{
	int r = rk_look_open(&g->look, name, err);

	if (r < 0)
		return r;
	if (g->worker != RK_FLIGHT_NOBODY && g->worker >= g->look.m.g.n_workers)
		return rk_err_set(err, -EINVAL, "there is no worker %u: the fleet has %u slots",
				  g->worker, g->look.m.g.n_workers);
	rk_look_warn(&g->look);
	g->shown = calloc(g->look.m.g.n_workers, sizeof(*g->shown));
	if (!g->shown)
		return rk_err_set(err, -ENOMEM, "no memory");
	if (!g->is_json) {
		rk_out_color(RK_OUT_BOLD, 0,
			     "WORKER  STATE          PID  INCARNATION  RESTARTS  PARTITIONS");
		(void)putchar('\n');
	}
	print_changes(g);
	return rk_args_flag(a, "watch") ? watch(g, err) : 0;
}

int rk_cli_get(int argc, char **argv)
{
	struct get g = { .look = RK_LOOK_NONE, .worker = RK_FLIGHT_NOBODY };
	struct rk_err err = { 0 };
	const char *name = NULL;
	struct rk_args a;
	int status, r;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	g.is_json = rk_args_json(&a);
	r = rk_cli_fleet_take(&a, &name, &err);
	if (r == 0 && a.n_rest)
		r = rk_recall_worker(a.rest[0], &g.worker, &err);
	if (r == 0)
		r = get(&g, &a, name, &err);
	rk_free_p(&g.shown);
	rk_look_close_p(&g.look);
	return r < 0 ? rk_cli_fail(&err) : RK_CLI_OK;
}
