/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NUMBER_MAX (1 << 22) /* the kernel's PID_MAX_LIMIT */

/* The number that text is, or -1. */
static int32_t number_of(const char *text)
{
	char *end;
	long n;

	if (text[0] < '1' || text[0] > '9')
		return -1;
	n = strtol(text, &end, 10);
	return *end || n > NUMBER_MAX ? -1 : (int32_t)n;
}

static bool numbers_in(const char *buf, long len, bool (*each)(void *, int32_t), void *arg)
{
	for (long at = 0; at < len;) {
		const struct dirent64 *entry = (const void *)(buf + at);
		int32_t number = number_of(entry->d_name);

		if (number > 0 && !each(arg, number))
			return false;
		at += entry->d_reclen;
	}
	return true;
}

int rk_tree_numbers(int dir_fd, bool (*each)(void *arg, int32_t number), void *arg)
{
	_Alignas(struct dirent64) char buf[4096]; /* not opendir(), which allocates */
	long len;

	if (lseek(dir_fd, 0, SEEK_SET) < 0)
		return -errno;
	while ((len = syscall(SYS_getdents64, dir_fd, buf, sizeof(buf))) > 0)
		if (!numbers_in(buf, len, each, arg))
			return 0;
	return len < 0 ? -errno : 0;
}

/* Parent of a process; -1 when it is gone or hidden. */
static int32_t parent_of(int proc_fd, int32_t pid)
{
	char text[512], path[24];
	const char *at;
	ssize_t n;
	rk_cleanup(rk_close_p) int fd = -1;

	(void)snprintf(path, sizeof(path), "%d/stat", (int)pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	at = strrchr(text, ')'); /* ") S PARENT" */
	return at && strlen(at) > 4 ? (int32_t)strtol(at + 4, NULL, 10) : -1;
}

struct pass {
	struct rk_tree *tree;
	int proc_fd;
};

static bool add(void *arg, int32_t pid)
{
	struct pass *pass = arg;
	struct rk_tree *t = pass->tree;
	int32_t parent = parent_of(pass->proc_fd, pid);

	if (parent <= 0)
		return true;
	t->is_cut = t->n == RK_TREE_MAX;
	if (t->is_cut)
		return false;
	t->pid[t->n] = pid;
	t->parent[t->n++] = parent;
	return true;
}

int rk_tree_refresh(struct rk_tree *t, uint64_t now_ns, uint64_t max_age_ns)
{
	rk_cleanup(rk_close_p) int fd = -1;

	if (t->at_ns && now_ns - t->at_ns <= max_age_ns)
		return 0;
	t->n = 0;
	t->at_ns = 0;
	t->is_cut = false;
	fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	t->at_ns = now_ns;
	return rk_tree_numbers(fd, add, &(struct pass){ t, fd });
}

static bool children_add(const struct rk_tree *t, int32_t parent, int32_t *pid, uint32_t *n,
			 uint32_t max)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (t->parent[i] != parent)
			continue;
		if (*n == max)
			return false;
		pid[(*n)++] = t->pid[i];
	}
	return true;
}

/* Each process is added once, as its parent's child, so that even a pass torn by pid reuse ends. */
uint32_t rk_tree_below(const struct rk_tree *t, int32_t root, int32_t *ret_pid, uint32_t max,
		       bool *ret_cut)
{
	uint32_t n = 0;
	bool fits = children_add(t, root, ret_pid, &n, max);

	for (uint32_t i = 0; fits && i < n; i++)
		if (ret_pid[i] != root)
			fits = children_add(t, ret_pid[i], ret_pid, &n, max);
	*ret_cut = !fits || t->is_cut;
	return n;
}
