/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/remains.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/out.h"
#include "cli/recall.h"

#define KEEPER_FIELD " keeper="

/* Who keeper was each supervisor's first record says. */
static int32_t keeper_in(const struct rk_recall_list *events)
{
	for (size_t i = events->n; i > 0; i--) {
		const struct rk_recalled *e = events->event[i - 1];
		const char *at = e->record.kind == RK_FLIGHT_START ? strstr(e->text, KEEPER_FIELD) : NULL;
		int pid;

		if (at && sscanf(at + strlen(KEEPER_FIELD), "%d", &pid) == 1 && pid > 0)
			return pid;
	}
	return 0;
}

void rk_remains_look(struct rk_remains *ret, const char *name)
{
	const struct rk_recall_filter all = { .worker = RK_FLIGHT_NOBODY };
	rk_cleanup(rk_recall_list_free_p) struct rk_recall_list events = { 0 };
	rk_cleanup(rk_recall_close_p) struct rk_recall c = { .reader.fd = -1 };

	*ret = (struct rk_remains){ 0 };
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name);
	if (rk_rundir_path(name, NULL, ret->directory, NULL) < 0)
		ret->directory[0] = '\0';
	if (rk_recall_open(&c, name, NULL) < 0 || rk_recall_load(&c, &all, false, &events) < 0 || events.n == 0)
		return;
	ret->keeper_pid = keeper_in(&events);
	ret->last_wall_ns = events.event[events.n - 1]->record.wall_ns;
}

void rk_remains_print(const struct rk_remains *r)
{
	char keeper[32] = "", when[RK_RECALL_TIME], ago[RK_OUT_TIME];
	uint64_t now_ns = rk_clock_wall_ns();

	if (r->keeper_pid)
		(void)snprintf(keeper, sizeof(keeper), " (pid %d)", r->keeper_pid);
	(void)printf("%s  does not run: its keeper%s is gone and the fleet with it", r->name, keeper);
	if (r->last_wall_ns)
		(void)printf(", last event %.19s (%s ago): 'rekindle events %s' tells what happened",
			     rk_recall_when(r->last_wall_ns, false, when),
			     rk_out_time(ago, now_ns - rk_min_u64(r->last_wall_ns, now_ns)), r->name);
	(void)printf("; the next start of its name replaces %s, 'rm -r' removes it\n", r->directory);
}

struct json_object *rk_remains_json(const struct rk_remains *r)
{
	struct json_object *o = json_object_new_object();
	char when[RK_RECALL_TIME];

	rk_out_json_text(o, "name", r->name);
	rk_out_json_int_or_null(o, "keeper_pid", r->keeper_pid > 0, r->keeper_pid);
	rk_out_json_text(o, "last_event", r->last_wall_ns ? rk_recall_when(r->last_wall_ns, true, when) : NULL);
	rk_out_json_text(o, "directory", r->directory);
	return o;
}
