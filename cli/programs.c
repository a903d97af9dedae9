/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/programs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAEMON "rekindled"

static bool is_there(int len, const char *path)
{
	return len > 0 && len < PATH_MAX && access(path, X_OK) == 0;
}

static bool is_beside(char path[static PATH_MAX], const char *beside)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *slash;

	if (n < 0)
		return false;
	self[n] = '\0';
	slash = strrchr(self, '/');
	return slash && is_there(snprintf(path, PATH_MAX, "%.*s/%s", (int)(slash - self), self, beside), path);
}

static bool is_along_path(char path[static PATH_MAX], const char *name)
{
	for (const char *at = getenv("PATH"); at && *at;) {
		size_t len = strcspn(at, ":");

		if (len && is_there(snprintf(path, PATH_MAX, "%.*s/%s", (int)len, at, name), path))
			return true;
		at += len + (at[len] == ':');
	}
	return false;
}

int rk_programs_find(char ret[static PATH_MAX], const char *beside, const char *installed, struct rk_err *err)
{
	const char *slash = strrchr(beside, '/'), *name = slash ? slash + 1 : beside;

	if (is_beside(ret, beside) || is_there(snprintf(ret, PATH_MAX, "%s", installed), ret) ||
	    is_along_path(ret, name))
		return 0;
	return rk_err_set(err, -ENOENT,
			  "cannot find %s: it is neither beside this program, nor at %s, nor along PATH: install rekindle "
			  "again",
			  name, installed);
}

int rk_programs_daemon(char ret[static PATH_MAX], struct rk_err *err)
{
	return rk_programs_find(ret, DAEMON, RK_SBINDIR "/" DAEMON, err);
}
