/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle run: becomes rekindled, or a pipeline whose child rekindled is. The only place that starts
 * a fleet.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/pipe.h"
#include "shm/abi.h"
#include "shm/rundir.h"

/* *ret is the name that was given, or NULL. */
static int name_choose(const struct rk_args *a, const char **ret, struct rk_err *err)
{
	const char *name = getenv("REKINDLE_NAME"), *slash;
	struct rk_err why = { 0 };

	if (a->n_rest == 0)
		return rk_err_set(err, -EINVAL,
				  "run needs the COMMAND that the workers run, behind '--', or "
				  "--config: see 'rekindle run --help'");
	if (*ret)
		return 0;
	if (name && *name) {
		*ret = name;
		return rk_name_check(name, err) < 0 ? rk_err_prefix(err, -EINVAL, "REKINDLE_NAME")
						    : 0;
	}
	slash = strrchr(a->rest[0], '/');
	*ret = slash ? slash + 1 : a->rest[0];
	if (rk_name_check(*ret, &why) < 0)
		return rk_err_set(
			err, -EINVAL,
			"the command's name '%.60s' cannot be a fleet's: choose one with --name",
			*ret);
	return 0;
}

/* Options of a pipeline alone; without one rekindled has something else to complain of. */
static bool is_of_pipeline(const char *option)
{
	return strcmp(option, "key") == 0 || strcmp(option, "unordered") == 0;
}

/* argv of rekindled: every option as --NAME=VALUE, then the command. */
static int daemon_argv(const struct rk_args *a, const char *name, struct rk_wordlist *to)
{
	int r = rk_daemon_begin(to);

	for (size_t i = 0; r == 0 && i < a->command->n_options; i++) {
		const struct rk_option *o = &a->command->options[i];
		const char *value = strcmp(o->name, "name") == 0 ? name : a->option[i].text;

		if (value && o->kind != RK_OPTION_REPEATED && !is_of_pipeline(o->name))
			r = rk_daemon_option(to, o->name, o->value ? value : NULL);
	}
	for (uint32_t i = 0; r == 0 && i < a->n_repeated; i++)
		r = rk_daemon_option(to, "set", a->repeated[i]);
	if (r == 0 && a->n_rest > 0)
		r = rk_wordlist_add(to, "--");
	for (int i = 0; r == 0 && i < a->n_rest; i++)
		r = rk_wordlist_add(to, a->rest[i]);
	return r;
}

int rk_cli_run(int argc, char **argv)
{
	rk_cleanup(rk_pipe_plan_free_p) struct rk_pipe_plan plan = { 0 };
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist args = { 0 };
	struct rk_err err = { 0 };
	struct rk_args a;
	const char *name;
	int status, r;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	r = rk_pipe_plan_make(&plan, &a, &err);
	if (r != 0)
		return r < 0 ? rk_cli_fail(&err) : rk_pipe_run(&plan);
	name = rk_args_text(&a, "name"); /* the table has checked it */
	if (!rk_args_text(&a, "config") && name_choose(&a, &name, &err) < 0)
		return rk_cli_fail(&err);
	if (daemon_argv(&a, name, &args) < 0)
		return rk_cli_complain(RK_CLI_FAILED, "no memory");
	return rk_daemon_exec(args.at);
}
