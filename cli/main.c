/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle: the command people use. Finds the subcommand in the table and runs its handler.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"

static bool is_one_of(const char *arg, const char *a, const char *b)
{
	return strcmp(arg, a) == 0 || strcmp(arg, b) == 0;
}

static int run(int argc, char **argv)
{
	const struct rk_command *c;
	struct rk_err err = { 0 };

	if (argc < 2) {
		rk_help_all(stderr);
		return RK_CLI_USAGE;
	}
	if (is_one_of(argv[1], "--help", "-h")) {
		rk_help_all(stdout);
		return RK_CLI_OK;
	}
	if (is_one_of(argv[1], "--version", "-V")) {
		char name[] = "version", *version[] = { name, NULL };

		return rk_cli_version(1, version);
	}
	if (rk_args_command_first(argc, argv, &err) < 0)
		return rk_cli_complain(RK_CLI_USAGE, "%s", err.text);
	c = rk_command_find(argv[1]);
	return c ? c->run(argc - 1, argv + 1) : rk_cli_unknown(argv[1]);
}

int main(int argc, char **argv)
{
	return rk_cli_end(run(argc, argv));
}
