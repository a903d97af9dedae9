/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/help.h"

int rk_cli_complain(int status, const char *fmt, ...)
{
	struct rk_err line = { 0 };
	char text[sizeof(line.text)];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)rk_err_set(&line, 0, "%s", text); /* which cleans it: it may quote input */
	(void)fprintf(stderr, "rekindle: %s\n", line.text);
	return status;
}

int rk_cli_exit_for(int code)
{
	switch (code) {
	case -ENOENT:
		return RK_CLI_NOT_RUNNING;
	case -EINVAL:
	case -E2BIG: /* several fleets run and none was named */
		return RK_CLI_USAGE;
	case -ETIMEDOUT: /* the supervisor's answer; a call's time-out never comes this way */
	case -ECONNRESET:
	case -EPIPE:
	case -EHOSTDOWN: /* keeper does not answer the supervisor */
		return RK_CLI_UNREACHABLE;
	case -EPERM:
	case -EACCES:
		return RK_CLI_NOT_ALLOWED;
	case -ENAMETOOLONG: /* the runtime directory's path */
		return RK_CLI_CONFIG;
	default:
		return RK_CLI_FAILED;
	}
}

int rk_cli_fail(const struct rk_err *err)
{
	return rk_cli_complain(rk_cli_exit_for(err->code), "%s",
			       err->text[0] ? err->text : strerror(-err->code));
}

bool rk_cli_begin(struct rk_args *ret, int argc, char **argv, int *ret_status)
{
	const struct rk_command *c = rk_command_find(argv[0]);
	struct rk_err err = { 0 };
	int r = rk_args_read(ret, c, argc, argv, &err);

	if (r == 0)
		return true;
	if (r == RK_ARGS_HELP) {
		rk_help_command(stdout, c);
		*ret_status = RK_CLI_OK;
	} else {
		*ret_status = rk_cli_complain(RK_CLI_USAGE, "%s", err.text);
	}
	return false;
}

static int fleet_of(const struct rk_args *a, const char *argument, const char **ret,
		    struct rk_err *err)
{
	const char *option = rk_args_text(a, "name");

	if (option && argument && strcmp(option, argument) != 0)
		return rk_err_set(err, -EINVAL, "two fleets are named, '%.63s' and '%.63s': name one",
				  option, argument);
	*ret = argument ? argument : option;
	return 0;
}

int rk_cli_fleet(const struct rk_args *a, const char **ret, struct rk_err *err)
{
	return fleet_of(a, a->n_rest ? a->rest[0] : NULL, ret, err);
}

int rk_cli_fleet_take(struct rk_args *a, const char **ret, struct rk_err *err)
{
	const char *argument = NULL;

	if (a->n_rest > 1 || (a->n_rest == 1 && !rk_cli_is_worker(a->rest[0]))) {
		argument = *a->rest++;
		a->n_rest--;
	}
	return fleet_of(a, argument, ret, err);
}

bool rk_cli_is_worker(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

int rk_cli_unknown(const char *command)
{
	const char *nearest = rk_command_nearest(command);

	if (nearest)
		return rk_cli_complain(
			RK_CLI_USAGE,
			"there is no command '%.60s', did you mean '%s'? See 'rekindle help'",
			command, nearest);
	return rk_cli_complain(RK_CLI_USAGE, "there is no command '%.60s': see 'rekindle help'",
			       command);
}

int rk_cli_end(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return rk_cli_complain(status ? status : RK_CLI_FAILED,
			       "cannot write to standard output: %s", strerror(errno));
}
