/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/daemon.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"

/* The one beside this program: of the same build. */
static bool beside(char path[static PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	if (n < 0)
		return false;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash || (size_t)(slash + 1 - path) + sizeof(RK_DAEMON) > PATH_MAX)
		return false;
	strcpy(slash + 1, RK_DAEMON); /* fits: checked above */
	return access(path, X_OK) == 0;
}

static bool installed(char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", RK_SBINDIR, RK_DAEMON);

	return n < PATH_MAX && access(path, X_OK) == 0;
}

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

	if (beside(path) || installed(path))
		(void)execv(path, argv);
	else
		(void)execvp(RK_DAEMON, argv);
	return rk_cli_complain(RK_CLI_NOT_ALLOWED,
			       "cannot execute " RK_DAEMON
			       ": %s; it was looked for beside this program, in %s and along PATH",
			       strerror(errno), RK_SBINDIR);
}
