/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/daemon.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/programs.h"

int rk_daemon_begin(struct rk_wordlist *argv)
{
	return rk_wordlist_add(argv, RK_DAEMON);
}

int rk_daemon_option(struct rk_wordlist *argv, const char *name, const char *value)
{
	rk_cleanup(rk_free_p) char *text = NULL;

	if (asprintf(&text, "--%s%s%s", name, value ? "=" : "", value ? value : "") < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return rk_wordlist_add(argv, text);
}

int rk_daemon_exec(char *const *argv)
{
	char path[PATH_MAX];
	struct rk_err err;

	if (rk_programs_daemon(path, &err) < 0)
		return rk_cli_complain(RK_CLI_NOT_ALLOWED, "%s", err.text);
	(void)execv(path, argv);
	return rk_cli_complain(RK_CLI_NOT_ALLOWED, "cannot execute %s: %s", path, strerror(errno));
}
