/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/reopen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/cgroup.h"
#include "supervisor/conf_ask.h"

#define CONTROL "/.control"
#define SERVICE ".service" /* never a whole slice */
#define DEPTH 16u
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

static bool ends_with(const char *text, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && strncmp(text + len - n, end, n) == 0;
}

bool rk_reopen_unit(const char *cgroup_text, char *ret, size_t size)
{
	for (const char *line = cgroup_text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t len = strcspn(line, "\n");

		if (strncmp(line, "0::/", 4) != 0 || !ends_with(line, len, CONTROL))
			continue;
		len -= strlen(CONTROL);
		return ends_with(line, len, SERVICE) &&
		       snprintf(ret, size, "%.*s", (int)(len - 3), line + 3) < (int)size;
	}
	return false;
}

/* Each one that is passed on, in a write of its own: one that cannot be is no reason to keep others. */
static int controllers_take_back(int dir)
{
	rk_cleanup(rk_close_p) int fd = openat(dir, "cgroup.subtree_control", O_RDWR | O_CLOEXEC);
	char text[256], minus[256 + 2], *rest = text, *word;
	ssize_t n = fd < 0 ? 0 : pread(fd, text, sizeof(text) - 1, 0);
	int r = 0;

	text[n > 0 ? n : 0] = '\0';
	while ((word = strsep(&rest, " \n")) != NULL) {
		int w;

		if (!*word)
			continue;
		(void)snprintf(minus, sizeof(minus), "-%s", word);
		w = rk_write_all(fd, minus, strlen(minus));
		r = r < 0 ? r : w;
	}
	return r;
}

static int take_back(int dir, unsigned int depth)
{
	rk_cleanup(rk_close_p) int list = openat(dir, ".", DIR_FLAGS);
	DIR *below = list < 0 || depth == 0 ? NULL : fdopendir(list);
	struct dirent *e;
	int r = 0, own;

	if (below)
		(void)rk_take_fd(&list);
	while (below && (e = readdir(below)) != NULL) {
		rk_cleanup(rk_close_p) int sub = -1;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = openat(dir, e->d_name, DIR_FLAGS);
		own = sub < 0 ? 0 : take_back(sub, depth - 1);
		r = r < 0 ? r : own;
	}
	if (below)
		(void)closedir(below);
	own = controllers_take_back(dir);
	return r < 0 ? r : own;
}

int rk_reopen(int dir, struct rk_err *err)
{
	int r = take_back(dir, DEPTH);

	return r < 0 ? rk_err_set(err, r, "controllers cannot be taken back: %s", strerror(-r)) : 0;
}

int rk_reopen_run(void)
{
	char text[8192], unit[PATH_MAX], mount[PATH_MAX], path[2 * PATH_MAX];
	FILE *f = fopen("/proc/self/cgroup", "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	rk_cleanup(rk_close_p) int dir = -1;
	struct rk_err err = { 0 };

	if (f)
		(void)fclose(f);
	text[n] = '\0';
	if (!rk_reopen_unit(text, unit, sizeof(unit)) || !rk_cgroup_mount(mount, sizeof(mount)))
		return RK_EXIT_OK;
	(void)snprintf(path, sizeof(path), "%s%s", mount, unit);
	dir = open(path, DIR_FLAGS);
	if (dir < 0 || rk_reopen(dir, &err) == 0)
		return RK_EXIT_OK;
	rk_log(RK_LOG_WARNING, "%s: %s", unit, err.text);
	return RK_EXIT_FAILED;
}
