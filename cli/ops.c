/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators do to a running fleet: restart, scale, drain, undrain, pause, resume, start and
 * stop a worker, reload. Each is a question to the supervisor, which answers at once; what takes
 * longer is followed in the flight recorder (follow.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/out.h"
#include "shm/rundir.h"

/* A question, and what its answer leads to. */
struct operation {
	struct rk_args a;
	struct rk_ask ask;
	struct json_object *request, *answer; /* owned */
	const char *what;                     /* "the scaling" */
	uint64_t deadline_ns;                 /* of --timeout, for the answer and what follows; 0 = none was given */
	bool has_changes;                     /* the answer tells them */
	struct rk_err err;
};

static void operation_free_p(struct operation *o)
{
	json_object_put(o->request);
	json_object_put(o->answer);
	rk_ask_close_p(&o->ask);
}

/* False: *ret_status is what to return. */
static bool request_begin(struct operation *o, const char *verb, int *ret_status)
{
	o->request = json_object_new_object();
	if (!o->request) {
		*ret_status = rk_cli_complain(RK_CLI_FAILED, "no memory");
		return false;
	}
	rk_out_json_text(o->request, "verb", verb);
	return true;
}

/* Reads the arguments, too. */
static bool begin(struct operation *o, const char *verb, int argc, char **argv, int *ret_status)
{
	return rk_cli_begin(&o->a, argc, argv, ret_status) && request_begin(o, verb, ret_status);
}

/* Asks it of the fleet of this name, NULL for the only one. 0 or -errno. */
static int ask(struct operation *o, const char *name)
{
	const char *part;
	char unsure[64];
	int r;

	if (!name)
		name = rk_args_text(&o->a, "name");
	part = rk_fleet_part(name);
	if (part)
		rk_out_json_text(o->request, "fleet", part);
	(void)snprintf(unsure, sizeof(unsure), "whether %s was begun", o->what);
	if (rk_args_text(&o->a, "timeout"))
		o->deadline_ns = rk_clock_ns() + rk_args_number(&o->a, "timeout", 0);
	r = rk_ask_open_until(&o->ask, name, o->deadline_ns, &o->err);
	if (r == 0)
		r = rk_ask_once(&o->ask, json_object_to_json_string(o->request), unsure,
				&o->answer, &o->err);
	return r;
}

/* Behind an answer with an operation: shows it until it is over. Returns the exit status. */
static int follow(struct operation *o, uint32_t n_ends)
{
	int64_t group = rk_connect_int(o->answer, "operation");
	uint64_t now_ns = rk_clock_ns();
	struct rk_follow f = { .fleet = o->ask.fleet,
			       .what = o->what,
			       .group = group > 0 ? (uint64_t)group : 0,
			       .n_ends = n_ends,
			       .timeout_ns = !o->deadline_ns ? 0 : o->deadline_ns > now_ns ? o->deadline_ns - now_ns : 1000,
			       .has_changes = o->has_changes,
			       .is_json = rk_args_json(&o->a) };

	if (rk_args_flag(&o->a, "no-wait"))
		return RK_CLI_OK;
	return rk_follow(&f);
}

/* How many there can be the supervisor knows. */
static int number_take(struct operation *o, const char *member, const char *text,
		       const char *called)
{
	uint64_t v;
	int r = rk_num_parse(text, 0, UINT64_MAX, &v, &o->err);

	if (r == -ERANGE || (r == 0 && v > UINT32_MAX)) /* more than any supervisor would know */
		return rk_err_set(&o->err, -EINVAL, "%s: no fleet has more than %u workers, and %.40s is more", called,
				  RK_WORKERS_MAX, text);
	if (r < 0) {
		(void)rk_err_prefix(&o->err, r, called);
		o->err.code = -EINVAL;
		return -EINVAL;
	}
	rk_out_json_int(o->request, member, (int64_t)v);
	return 0;
}

/* ---- of one worker ---- */

/* [NAME] WORKER: the last argument is the worker. */
static int worker_ask(struct operation *o)
{
	const char *name = o->a.n_rest > 1 ? o->a.rest[0] : NULL;
	int r = number_take(o, "worker", o->a.rest[o->a.n_rest - 1],
			    "WORKER is the number of a slot, as status shows it");

	return r < 0 ? r : ask(o, name);
}

/* Whether there was nothing to do, which is told. */
static bool is_already(const struct operation *o)
{
	struct json_object *already;
	char clean[128];
	const char *text;

	if (!json_object_object_get_ex(o->answer, "already", &already))
		return false;
	text = json_object_get_string(already);
	if (!text)
		return false;
	(void)rk_out_clean(clean, sizeof(clean), text, strlen(text));
	if (rk_args_json(&o->a)) {
		struct json_object *line = json_object_new_object();

		rk_out_json_text(line, "text", clean); /* as an event has it */
		rk_out_json_line(line);
	} else {
		(void)printf("%s\n", clean);
	}
	return true;
}

static int worker_ask_and_follow(struct operation *o, bool takes_time)
{
	if (worker_ask(o) < 0)
		return rk_cli_fail(&o->err);
	if (is_already(o))
		return RK_CLI_OK;
	return takes_time ? follow(o, 1) : RK_CLI_OK;
}

static int worker_command(const char *verb, const char *what, bool takes_time, int argc,
			  char **argv)
{
	rk_cleanup(operation_free_p) struct operation o = { .ask.sock = -1, .what = what };
	int status;

	return begin(&o, verb, argc, argv, &status) ? worker_ask_and_follow(&o, takes_time)
						    : status;
}

int rk_cli_drain(int argc, char **argv)
{
	return worker_command("drain", "the drain", true, argc, argv);
}

int rk_cli_undrain(int argc, char **argv)
{
	return worker_command("undrain", "the return", true, argc, argv);
}

int rk_cli_start(int argc, char **argv)
{
	return worker_command("worker-start", "the start", true, argc, argv);
}

int rk_cli_stop_worker(const struct rk_args *a)
{
	rk_cleanup(operation_free_p)
		struct operation o = { .a = *a, .ask.sock = -1, .what = "the stop" };
	int status;

	return request_begin(&o, "worker-stop", &status) ? worker_ask_and_follow(&o, true) : status;
}

int rk_cli_pause(int argc, char **argv)
{
	return worker_command("pause", "the pause", false, argc, argv);
}

int rk_cli_resume(int argc, char **argv)
{
	return worker_command("resume", "the resumption", false, argc, argv);
}

/* ---- of a fleet ---- */

int rk_cli_scale(int argc, char **argv)
{
	rk_cleanup(operation_free_p) struct operation o = { .ask.sock = -1, .what = "the scaling" };
	int status;

	if (!begin(&o, "scale", argc, argv, &status))
		return status;
	if (number_take(&o, "workers", o.a.rest[o.a.n_rest - 1],
			"N is how many workers there shall be") < 0 ||
	    ask(&o, o.a.n_rest > 1 ? o.a.rest[0] : NULL) < 0)
		return rk_cli_fail(&o.err);
	return follow(&o, 1);
}

/* [NAME] [WORKER…]; without a WORKER, all. *ret_name stays NULL without a NAME. */
static int restart_arguments(struct operation *o, const char **ret_name)
{
	struct json_object *workers = json_object_new_array();
	int first = 0;

	*ret_name = NULL;
	if (o->a.n_rest > 0 && !rk_cli_is_worker(o->a.rest[0]))
		*ret_name = o->a.rest[first++];
	for (int i = first; i < o->a.n_rest; i++) {
		uint32_t worker;

		if (rk_recall_worker(o->a.rest[i], &worker, &o->err) < 0) {
			json_object_put(workers);
			return -EINVAL;
		}
		json_object_array_add(workers, json_object_new_int64(worker));
	}
	if (o->a.n_rest > first && rk_args_flag(&o->a, "all")) {
		json_object_put(workers);
		return rk_err_set(&o->err, -EINVAL, "--all, or some WORKERs: not both");
	}
	json_object_object_add(o->request, "workers", workers);
	return 0;
}

int rk_cli_restart(int argc, char **argv)
{
	rk_cleanup(operation_free_p) struct operation o = { .ask.sock = -1,
							    .what = "the rolling restart" };
	const char *name;
	int status;

	if (!begin(&o, "restart", argc, argv, &status))
		return status;
	if (restart_arguments(&o, &name) < 0)
		return rk_cli_fail(&o.err);
	if (rk_args_text(&o.a, "max-unavailable"))
		rk_out_json_int(o.request, "max_unavailable",
				(int64_t)rk_args_number(&o.a, "max-unavailable", 1));
	if (rk_args_flag(&o.a, "resume"))
		json_object_object_add(o.request, "resume", json_object_new_boolean(1));
	if (rk_args_flag(&o.a, "cancel"))
		json_object_object_add(o.request, "cancel", json_object_new_boolean(1));
	return ask(&o, name) < 0 ? rk_cli_fail(&o.err) : follow(&o, 1);
}

/* The supervisor's lines: what it did, or everything that is wrong. */
static void lines_print(const struct operation *o, bool is_applied)
{
	struct json_object *lines;
	size_t n = 0;

	if (json_object_object_get_ex(o->answer, "lines", &lines) &&
	    json_object_is_type(lines, json_type_array))
		n = json_object_array_length(lines);
	for (size_t i = 0; i < n; i++) {
		const char *line = json_object_get_string(json_object_array_get_idx(lines, i));
		char clean[1024];

		if (line)
			(void)fprintf(is_applied ? stdout : stderr, "%s\n",
				      rk_out_clean(clean, sizeof(clean), line, strlen(line)));
	}
	(void)fflush(stdout);
}

/* "a,b" of --remove as a list; an empty name the supervisor refuses. 0; -EINVAL for another option in a name's place. */
static int remove_put(struct operation *o)
{
	const char *at = rk_args_text(&o->a, "remove");
	struct json_object *names;

	if (at && at[0] == '-')
		return rk_err_set(&o->err, -EINVAL, "--remove: '%.60s' is no fleet's name: --remove=FLEET", at);
	names = at ? json_object_new_array() : NULL;
	for (; names && at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		json_object_array_add(names, json_object_new_string_len(at, (int)strcspn(at, ",")));
	if (names)
		json_object_object_add(o->request, "remove", names);
	return 0;
}

int rk_cli_reload(int argc, char **argv)
{
	rk_cleanup(operation_free_p) struct operation o = { .ask.sock = -1,
							    .what = "the reload",
							    .has_changes = true };
	struct json_object *good;
	int64_t n_pending;
	bool is_good;
	int status;

	if (!begin(&o, "reload", argc, argv, &status))
		return status;
	if (rk_args_flag(&o.a, "check"))
		json_object_object_add(o.request, "check", json_object_new_boolean(1));
	if (remove_put(&o) < 0)
		return rk_cli_fail(&o.err);
	if (ask(&o, o.a.n_rest ? o.a.rest[0] : NULL) < 0)
		return rk_cli_fail(&o.err);
	is_good = json_object_object_get_ex(o.answer, "good", &good) && json_object_get_boolean(good);
	if (rk_args_json(&o.a))
		rk_out_json_line(json_object_get(o.answer));
	else
		lines_print(&o, is_good);
	if (!is_good)
		return rk_cli_complain(RK_CLI_CONFIG,
				       rk_args_flag(&o.a, "check")
					       ? "%s: nothing would be reloaded"
					       : "%s: nothing was reloaded, the configuration in force is the old one",
				       o.ask.fleet);
	n_pending = rk_connect_int(o.answer, "pending");
	status = n_pending > 0 && n_pending < UINT32_MAX ? follow(&o, (uint32_t)n_pending) : RK_CLI_OK;
	if (status != RK_CLI_OK || rk_connect_int(o.answer, "undone") <= 0)
		return status;
	return rk_cli_complain(RK_CLI_PARTLY,
			       "%s: not all of it could be done, see above: 'rekindle restart' gives all workers the new values "
			       "when nothing is in its way", o.ask.fleet);
}
