/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle why: what was last found of a worker, what was done about it and what came of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/recall.h"

#define HISTORY_LINES 10

#define KIND(kind) (1ull << RK_FLIGHT_##kind)
#define INCIDENT_KINDS                                                                             \
	(KIND(VERDICT) | KIND(RESPONSE) | KIND(EVIDENCE) | KIND(QUARANTINE) | KIND(DEATH) |        \
	 KIND(OBITUARY) | KIND(FAULT))
#define HISTORY_KINDS (KIND(TRANSITION) | KIND(SPAWN) | KIND(MOVE) | KIND(STANDBY))

/* The last incident: what belongs to the last record of all, by its group or its process. */
static bool belongs(const struct rk_recalled *e, const struct rk_recalled *last)
{
	return e->record.group == last->record.group ||
	       (e->record.incarnation != 0 && e->record.incarnation == last->record.incarnation);
}

/* Leaves of the list only the last incident. */
static void incident_keep(struct rk_recall_list *l)
{
	size_t n = 0;

	if (l->n == 0)
		return;
	for (size_t i = 0; i < l->n; i++) {
		struct rk_recalled *e = l->event[i];

		if (!belongs(e, l->event[l->n - 1])) {
			rk_free_p(&l->event[i]);
			continue;
		}
		l->event[i] = NULL;
		l->event[n++] = e;
	}
	l->n = n;
}

static void print_text(uint32_t worker, const struct rk_recall_list *incident,
		       const struct rk_recall_list *history)
{
	char title[64];

	(void)snprintf(title, sizeof(title), "worker %u, the last incident", worker);
	rk_out_color(RK_OUT_BOLD, 0, title);
	(void)puts(incident->n ? "" : ": none that the flight recorder still knows");
	for (size_t i = 0; i < incident->n; i++)
		rk_recall_print(NULL, incident->event[i]);
	rk_out_color(RK_OUT_BOLD, 0, "\nbefore and since");
	(void)putchar('\n');
	for (size_t i = 0; i < history->n; i++)
		rk_recall_print(NULL, history->event[i]);
}

static void print_json(const struct rk_recall *c, uint32_t worker, const struct rk_recall_list *incident,
		       const struct rk_recall_list *history)
{
	struct json_object *o = json_object_new_object();

	rk_out_json_text(o, "name", c->fleet);
	rk_out_json_text(o, "fleet", c->part[0] ? c->part : NULL);
	rk_out_json_int(o, "worker", worker);
	json_object_object_add(o, "incident", rk_recall_json_list(incident));
	json_object_object_add(o, "history", rk_recall_json_list(history));
	rk_out_json(o);
}

/* Twice through the file: a record that comes meanwhile may be in the second part alone. */
static int load(struct rk_recall *c, uint32_t worker, uint64_t kinds, struct rk_recall_list *to,
		struct rk_err *err)
{
	const struct rk_recall_filter filter = { .worker = worker, .kinds = kinds };
	int r = rk_recall_reopen(c, err);

	if (r == 0 && rk_recall_load(c, &filter, false, to) < 0)
		r = rk_err_set(err, -ENOMEM, "no memory");
	return r;
}

int rk_cli_why(int argc, char **argv)
{
	rk_cleanup(rk_recall_list_free_p) struct rk_recall_list incident = { 0 };
	rk_cleanup(rk_recall_list_free_p) struct rk_recall_list history = { 0 };
	rk_cleanup(rk_recall_close_p) struct rk_recall c = { .reader.fd = -1 };
	struct rk_err err = { 0 };
	struct rk_args a;
	const char *name = NULL;
	uint32_t worker;
	int status, r;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	rk_recall_time(&a);
	r = a.n_rest > 1 ? rk_cli_fleet_take(&a, &name, &err) : 0;
	if (r == 0)
		r = rk_recall_worker(a.rest[0], &worker, &err);
	if (r == 0)
		r = rk_recall_open(&c, name ? name : rk_args_text(&a, "name"), &err);
	if (r == 0)
		r = load(&c, worker, INCIDENT_KINDS, &incident, &err);
	if (r == 0)
		r = load(&c, worker, HISTORY_KINDS, &history, &err);
	if (r == 0)
		r = rk_recall_one_fleet(&c, (const struct rk_recall_list *const[]){ &incident, &history }, 2, &err);
	if (r < 0)
		return rk_cli_fail(&err);
	incident_keep(&incident);
	rk_recall_list_tail(&history, HISTORY_LINES);
	if (incident.n == 0 && history.n == 0)
		return rk_cli_complain(RK_CLI_FAILED,
				       "the flight recorder of fleet '%s' says nothing of a worker "
				       "%u: see 'rekindle events'",
				       c.fleet, worker);
	if (rk_args_json(&a))
		print_json(&c, worker, &incident, &history);
	else
		print_text(worker, &incident, &history);
	return RK_CLI_OK;
}
