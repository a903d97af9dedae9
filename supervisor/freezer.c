/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/freezer.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Opens file in the cgroup whose path begins at path and ends with its line. */
static int file_open(const char *mount, const char *path, const char *file)
{
	char name[512];
	int n = snprintf(name, sizeof(name), "%s%.*s/%s", mount, (int)strcspn(path, "\n"), path,
			 file);

	return n < (int)sizeof(name) ? open(name, O_RDONLY | O_CLOEXEC) : -1;
}

/* Whether one of the names in the comma-separated list is this one. */
static bool is_among(const char *list, size_t len, const char *name)
{
	for (size_t at = 0; at <= len; at += strcspn(list + at, ",:") + 1)
		if (strcspn(list + at, ",:") == strlen(name) &&
		    strncmp(list + at, name, strlen(name)) == 0)
			return true;
	return false;
}

/* Path of a line "N:CONTROLLERS:PATH", v2's with no controllers; NULL if it is another line. */
static const char *path_of(const char *line, const char *controller)
{
	const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

	if (!path || path[1] != '/' || !is_among(list + 1, (size_t)(path - list - 1), controller))
		return NULL;
	return path + 1;
}

/* v2 is mounted beside v1 in the hybrid layout. */
static int events_open(const char *path)
{
	int fd = file_open("/sys/fs/cgroup", path, "cgroup.events");

	return fd >= 0 ? fd : file_open("/sys/fs/cgroup/unified", path, "cgroup.events");
}

void rk_freezer_follow(struct rk_freezer *f, const char *cgroups)
{
	rk_freezer_close(f);
	for (const char *line = cgroups; line && *line; line = strchr(line + 1, '\n')) {
		const char *at = line + (*line == '\n');
		const char *v2 = path_of(at, ""), *v1 = path_of(at, "freezer");

		if (v2 && f->events_fd < 0)
			f->events_fd = events_open(v2);
		if (v1 && f->state_fd < 0)
			f->state_fd = file_open("/sys/fs/cgroup/freezer", v1, "freezer.state");
	}
}

static bool says(int fd, const char *what)
{
	char text[128];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return strstr(text, what) != NULL;
}

bool rk_freezer_is_frozen(const struct rk_freezer *f)
{
	return says(f->events_fd, "frozen 1") || says(f->state_fd, "FROZEN");
}

void rk_freezer_close(struct rk_freezer *f)
{
	rk_close_p(&f->events_fd);
	rk_close_p(&f->state_fd);
}
