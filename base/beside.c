/* SPDX-License-Identifier: Apache-2.0 */
#include "base/beside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_there(int len, const char *path, int mode)
{
	return len > 0 && len < PATH_MAX && access(path, mode) == 0;
}

static bool is_beside(char path[static PATH_MAX], const char *beside, int mode)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *slash;

	if (n < 0)
		return false;
	self[n] = '\0';
	slash = strrchr(self, '/');
	return slash && is_there(snprintf(path, PATH_MAX, "%.*s/%s", (int)(slash - self), self, beside), path, mode);
}

static bool is_along_path(char path[static PATH_MAX], const char *name)
{
	for (const char *at = getenv("PATH"); at && *at;) {
		size_t len = strcspn(at, ":");

		if (len && is_there(snprintf(path, PATH_MAX, "%.*s/%s", (int)len, at, name), path, X_OK))
			return true;
		at += len + (at[len] == ':');
	}
	return false;
}

bool rk_beside(char ret[static PATH_MAX], const char *beside)
{
	return *beside == '/' ? is_there(snprintf(ret, PATH_MAX, "%s", beside), ret, F_OK) : is_beside(ret, beside, F_OK);
}

int rk_beside_find(char ret[static PATH_MAX], const char *beside, const char *installed, struct rk_err *err)
{
	const char *slash = strrchr(beside, '/'), *name = slash ? slash + 1 : beside;

	if (is_beside(ret, beside, X_OK) || is_there(snprintf(ret, PATH_MAX, "%s", installed), ret, X_OK) ||
	    is_along_path(ret, name))
		return 0;
	return rk_err_set(err, -ENOENT,
			  "cannot find %s: it is neither beside this program, nor at %s, nor along PATH: install rekindle "
			  "again",
			  name, installed);
}
