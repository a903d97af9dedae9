/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle list: the fleets that run. rekindle version.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "shm/rundir.h"

#define FLEETS_MAX 256

/* Its answer to ping, or NULL. */
static struct json_object *ping(const char *name)
{
	rk_cleanup(rk_ask_close_p) struct rk_ask ask = { .sock = -1 };
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct json_object *answer = NULL;

	if (rk_ask_open(&ask, name, NULL) < 0 ||
	    rk_ask(&ask, "{\"verb\":\"ping\"}", &answer, &fds, NULL) < 0)
		return NULL;
	return answer;
}

static void print_text(const char *name, struct json_object *answer)
{
	if (answer)
		(void)printf("%s  keeper %lld\n", name,
			     (long long)rk_connect_int(answer, "keeper_pid"));
	else
		(void)printf("%s  its supervisor does not answer\n", name);
}

static struct json_object *as_json(const char *name, struct json_object *answer)
{
	struct json_object *o = json_object_new_object();
	char release[64];
	const char *text = answer ? rk_connect_text(answer, "release") : "";

	rk_out_json_text(o, "name", name);
	rk_out_json_int_or_null(o, "keeper_pid", answer,
				answer ? rk_connect_int(answer, "keeper_pid") : 0);
	rk_out_json_int_or_null(o, "supervisor_pid", answer,
				answer ? rk_connect_int(answer, "supervisor_pid") : 0);
	rk_out_json_text(o, "release",
			 answer ? rk_out_clean(release, sizeof(release), text, strlen(text))
				: NULL);
	return o;
}

int rk_cli_list(int argc, char **argv)
{
	char names[FLEETS_MAX][RK_NAME_MAX];
	struct json_object *all, *fleets;
	struct rk_err err = { 0 };
	struct rk_args a;
	int status, n;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	n = rk_rundir_list(names, FLEETS_MAX, &err);
	if (n < 0)
		return rk_cli_fail(&err);
	n = n < FLEETS_MAX ? n : FLEETS_MAX;
	all = json_object_new_object();
	fleets = json_object_new_array();
	for (int i = 0; i < n; i++) {
		struct json_object *answer;

		if (rk_name_check(names[i], NULL) < 0)
			continue; /* somebody locked a directory that is no fleet's */
		answer = ping(names[i]);
		if (rk_args_json(&a))
			json_object_array_add(fleets, as_json(names[i], answer));
		else
			print_text(names[i], answer);
		json_object_put(answer);
	}
	json_object_object_add(all, "fleets", fleets);
	if (rk_args_json(&a))
		rk_out_json(all);
	else
		json_object_put(all);
	return RK_CLI_OK;
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
