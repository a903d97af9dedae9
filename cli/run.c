/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle run: becomes rekindled. The only place that starts a fleet.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/programs.h"
#include "shm/abi.h"
#include "shm/rundir.h"

#define DAEMON "rekindled"
#define OPTION_MAX 128u /* bytes of one option that is passed on */

static int name_choose(const struct rk_args *a, const char **ret, struct rk_err *err)
{
	const char *name = rk_args_text(a, "name"), *slash = strrchr(a->rest[0], '/');
	struct rk_err why = { 0 };

	*ret = name;
	if (name)
		return 0; /* the table has checked it */
	name = getenv("REKINDLE_NAME");
	if (name && *name) {
		*ret = name;
		return rk_name_check(name, err) < 0 ? rk_err_prefix(err, -EINVAL, "REKINDLE_NAME")
						    : 0;
	}
	*ret = slash ? slash + 1 : a->rest[0];
	if (rk_name_check(*ret, &why) < 0)
		return rk_err_set(
			err, -EINVAL,
			"the command's name '%.60s' cannot be a fleet's: choose one with --name",
			*ret);
	return 0;
}

/* argv of rekindled: every option as --NAME=VALUE, then the command. The caller's, or NULL. */
static char **daemon_argv(const struct rk_args *a, const char *name, char texts[][OPTION_MAX])
{
	static char daemon[] = DAEMON, end[] = "--"; /* execv() takes no constants */
	char **argv = calloc(a->command->n_options + (size_t)a->n_rest + 4, sizeof(*argv));
	size_t n = 0;

	if (!argv)
		return NULL;
	argv[n++] = daemon;
	for (size_t i = 0; i < a->command->n_options; i++) {
		const struct rk_option *o = &a->command->options[i];
		const char *value = strcmp(o->name, "name") == 0 ? name : a->option[i].text;

		if (!value)
			continue;
		(void)snprintf(texts[i], OPTION_MAX, "--%s%s%s", o->name, o->value ? "=" : "",
			       o->value ? value : "");
		argv[n++] = texts[i];
	}
	argv[n++] = end;
	memcpy(argv + n, a->rest, (size_t)a->n_rest * sizeof(*argv));
	return argv;
}

int rk_cli_run(int argc, char **argv)
{
	char path[PATH_MAX], texts[RK_ARGS_OPTIONS_MAX][OPTION_MAX];
	struct rk_err err = { 0 };
	struct rk_args a;
	const char *name;
	int status;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	if (name_choose(&a, &name, &err) < 0)
		return rk_cli_fail(&err);
	rk_cleanup(rk_free_p) char **args = daemon_argv(&a, name, texts);
	if (!args)
		return rk_cli_complain(RK_CLI_FAILED, "no memory");
	if (rk_programs_daemon(path, &err) < 0)
		return rk_cli_complain(RK_CLI_NOT_ALLOWED, "%s", err.text);
	(void)execv(path, args);
	return rk_cli_complain(RK_CLI_NOT_ALLOWED, "cannot execute %s: %s", path, strerror(errno));
}
