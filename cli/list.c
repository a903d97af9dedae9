/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle list: the fleets that run, and what others have left. rekindle version.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/absence.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/recall.h"
#include "cli/remains.h"
#include "shm/rundir.h"
#include "workers/lib/standstill.h"

#define FLEETS_MAX 256

#define UPGRADING ", an upgrade is under way"
#define UPGRADE_NS (120 * RK_NS_PER_S) /* one that has no end after so long has none: keeper died over it */

/* What is known of one fleet: from its supervisor, else from keeper. */
struct listed {
	struct json_object *answer;   /* to ping, owned; NULL = none came */
	struct rk_absence absence;    /* without an answer; its keeper_pid 0 = keeper said nothing either */
	bool is_upgrading;            /* as its flight recorder has it */
	struct rk_standstill still;   /* who is stopped, of those that say nothing; and keeper in any case */
};

/* *ret_still: looked at over the same connection. */
static struct json_object *ping(const char *name, uint64_t deadline_ns, struct rk_standstill *ret_still)
{
	rk_cleanup(rk_ask_close_p) struct rk_ask ask = { .sock = -1 };
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct json_object *answer = NULL;
	int r = rk_ask_open_until(&ask, name, deadline_ns, NULL);

	if (r == 0)
		r = rk_ask(&ask, "{\"verb\":\"ping\"}", &answer, &fds, NULL);
	*ret_still = rk_standstill_look(r < 0 ? name : NULL, ask.sock);
	return r < 0 ? NULL : answer;
}

/* An upgrade that has begun, and whose end is not recorded. */
static bool is_upgrading(const char *name)
{
	const struct rk_recall_filter upgrades = { .worker = RK_FLIGHT_NOBODY,
						   .kinds = 1ull << RK_FLIGHT_UPGRADE,
						   .since_wall_ns = rk_clock_wall_ns() - UPGRADE_NS };
	rk_cleanup(rk_recall_list_free_p) struct rk_recall_list l = { 0 };
	rk_cleanup(rk_recall_close_p) struct rk_recall c = { .reader.fd = -1 };

	return rk_recall_open(&c, name, NULL) == 0 && rk_recall_load(&c, &upgrades, false, &l) == 0 && l.n > 0 &&
	       strstr(l.event[l.n - 1]->text, " state=running") != NULL;
}

static struct listed look(const char *name)
{
	bool can_ask = rk_absence_can_ask(name);
	struct listed l = { .is_upgrading = is_upgrading(name) };

	l.answer = ping(name, can_ask ? rk_clock_ns() + RK_ABSENCE_PATIENCE_NS : 0, &l.still);
	if (!l.answer && can_ask && rk_absence_ask(name, &l.absence) < 0 && !l.still.keeper && !l.still.gone)
		l.answer = ping(name, 0, &l.still); /* keeper has not shown anything: the supervisor has all its time */
	return l;
}

/* "keeper 5", and what is the matter with it. */
static void print_keeper(const char *name, long long pid, const struct listed *l)
{
	char text[RK_STANDSTILL_TEXT];

	(void)printf("%s  keeper %lld%s", name, pid, l->is_upgrading ? UPGRADING : "");
	if (l->still.keeper)
		(void)printf("; %s", rk_standstill_text(text, &l->still));
}

static void print_text(const char *name, const struct listed *l)
{
	char text[RK_ABSENCE_TEXT];

	static_assert(RK_STANDSTILL_TEXT <= RK_ABSENCE_TEXT, "room for either");
	if (l->answer) {
		print_keeper(name, (long long)rk_connect_int(l->answer, "keeper_pid"), l);
		(void)putchar('\n');
	} else if (l->still.gone) {
		(void)printf("%s  %s\n", name, rk_standstill_text(text, &l->still));
	} else if (l->still.keeper) {
		print_keeper(name, l->still.keeper, l);
		(void)printf(", no supervisor answers until then\n");
	} else if (l->absence.keeper_pid)
		(void)printf("%s  keeper %d%s; %s\n", name, l->absence.keeper_pid, l->is_upgrading ? UPGRADING : "",
			     rk_absence_text(text, &l->absence, rk_clock_ns()));
	else
		(void)printf("%s  its supervisor does not answer\n", name);
}

static struct json_object *as_json(const char *name, const struct listed *l)
{
	struct json_object *o = json_object_new_object(), *answer = l->answer;
	const struct rk_absence *a = &l->absence;
	char release[64];
	const char *text = answer ? rk_connect_text(answer, "release") : "";
	int64_t keeper = answer ? rk_connect_int(answer, "keeper_pid") : a->keeper_pid ? a->keeper_pid : l->still.keeper;
	int64_t supervisor = answer ? rk_connect_int(answer, "supervisor_pid") : a->supervisor_pid;

	rk_out_json_text(o, "name", name);
	rk_out_json_int_or_null(o, "keeper_pid", keeper > 0, keeper);
	rk_out_json_text(o, "keeper", l->still.gone ? "gone" : l->still.keeper ? "stopped" : answer || a->keeper_pid ? "runs" : "silent");
	rk_out_json_int_or_null(o, "supervisor_pid", supervisor > 0, supervisor);
	rk_out_json_text(o, "supervisor", rk_absence_name(answer ? RK_ABSENCE_NONE
							  : a->keeper_pid ? a->kind
									  : RK_ABSENCE_SILENT));
	json_object_object_add(o, "upgrading", json_object_new_boolean(l->is_upgrading));
	rk_out_json_text(o, "release",
			 answer ? rk_out_clean(release, sizeof(release), text, strlen(text))
				: NULL);
	return o;
}

/* Those that run. */
static int running(const struct rk_args *a, struct json_object *to, struct rk_err *err)
{
	char names[FLEETS_MAX][RK_NAME_MAX];
	int n = rk_rundir_list(names, FLEETS_MAX, err);

	for (int i = 0; i < n && i < FLEETS_MAX; i++) {
		struct listed l;

		if (rk_name_check(names[i], NULL) < 0)
			continue; /* somebody locked a directory that is no fleet's */
		l = look(names[i]);
		if (rk_args_json(a))
			json_object_array_add(to, as_json(names[i], &l));
		else
			print_text(names[i], &l);
		json_object_put(l.answer);
	}
	return n < 0 ? n : 0;
}

/* Those that did, and have left something. */
static int left(const struct rk_args *a, struct json_object *to, struct rk_err *err)
{
	char names[FLEETS_MAX][RK_NAME_MAX];
	int n = rk_rundir_list_left(names, FLEETS_MAX, err);

	for (int i = 0; i < n && i < FLEETS_MAX; i++) {
		struct rk_remains r;

		if (rk_name_check(names[i], NULL) < 0)
			continue;
		rk_remains_look(&r, names[i]);
		if (rk_args_json(a))
			json_object_array_add(to, rk_remains_json(&r));
		else
			rk_remains_print(&r);
	}
	return n < 0 ? n : 0;
}

int rk_cli_list(int argc, char **argv)
{
	struct json_object *all, *fleets, *gone;
	struct rk_err err = { 0 };
	struct rk_args a;
	int status, r;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	all = json_object_new_object();
	fleets = json_object_new_array();
	gone = json_object_new_array();
	json_object_object_add(all, "fleets", fleets);
	json_object_object_add(all, "left", gone);
	r = running(&a, fleets, &err);
	if (r == 0)
		r = left(&a, gone, &err);
	if (r == 0 && rk_args_json(&a))
		rk_out_json(all);
	else
		json_object_put(all);
	return r < 0 ? rk_cli_fail(&err) : RK_CLI_OK;
}

int rk_cli_version(int argc, char **argv)
{
	struct json_object *o;
	struct rk_args a;
	int status;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	if (!rk_args_json(&a)) {
		(void)printf("rekindle %s\n", PACKAGE_VERSION);
		return RK_CLI_OK;
	}
	o = json_object_new_object();
	rk_out_json_text(o, "release", PACKAGE_VERSION);
	rk_out_json_int(o, "abi", RK_ABI_VERSION);
	rk_out_json(o);
	return RK_CLI_OK;
}
