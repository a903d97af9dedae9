/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle check and cat: become rekindled, which alone reads configurations; with --try see try.h.
 */
#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/try.h"

/* rekindled --ASK [--config=…] [--root=…] */
static int ask(const struct rk_args *a, const char *what, const char *config)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist argv = { 0 };
	const char *root = rk_args_text(a, "root");
	int r = rk_daemon_begin(&argv);

	if (r == 0)
		r = rk_daemon_option(&argv, what, NULL);
	if (r == 0 && config)
		r = rk_daemon_option(&argv, "config", config);
	if (r == 0 && root)
		r = rk_daemon_option(&argv, "root", root);
	if (r < 0)
		return rk_cli_complain(RK_CLI_FAILED, "no memory");
	return rk_daemon_exec(argv.at);
}

int rk_cli_check(int argc, char **argv)
{
	struct rk_args a;
	int status;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	if (rk_args_flag(&a, "try"))
		return rk_cli_try(&a);
	if (a.n_rest > 1)
		return rk_cli_complain(RK_CLI_USAGE, "check takes one NAME or FILE; a COMMAND only with --try: see 'rekindle check --help'");
	return ask(&a, "check", a.n_rest ? a.rest[0] : NULL);
}

int rk_cli_cat(int argc, char **argv)
{
	struct rk_args a;
	int status;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	if (rk_args_flag(&a, "defaults"))
		return ask(&a, "cat-defaults", NULL);
	return ask(&a, "cat", a.n_rest ? a.rest[0] : NULL);
}
