/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/try_look.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process.h"

#define DEPTH_MAX 4
#define LISTENING 0x0A

static FILE *children_open(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	return fopen(path, "re");
}

pid_t rk_try_child(pid_t bridge)
{
	FILE *f = children_open(bridge);
	int child = 0;

	if (f && fscanf(f, "%d", &child) != 1)
		child = 0;
	if (f)
		(void)fclose(f);
	return child;
}

int rk_try_unread(pid_t pid)
{
	char path[64];
	int n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/0", (int)pid);
	rk_cleanup(rk_close_p) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	return fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 ? n : 0;
}

static uint64_t written_below(pid_t pid, int depth)
{
	char text[512];
	const char *at;
	unsigned long long n = 0;
	FILE *f = depth < DEPTH_MAX ? children_open(pid) : NULL;
	int child;

	(void)rk_process_read(pid, "io", text, sizeof(text));
	at = strstr(text, "wchar: ");
	if (at)
		n = strtoull(at + 7, NULL, 10);
	while (f && fscanf(f, "%d", &child) == 1)
		n += written_below(child, depth + 1);
	if (f)
		(void)fclose(f);
	return n;
}

uint64_t rk_try_written(pid_t pid)
{
	return written_below(pid, 0);
}

/* ---- whose a port is ---- */

/* The inode of a socket that listens at the port; 0 = none. */
static unsigned long listener_find(const char *path, uint16_t port)
{
	FILE *f = fopen(path, "re");
	unsigned long inode, found = 0;
	unsigned int local, state;
	char line[512];

	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*d %lu", &local, &state, &inode) == 3 &&
		    local == port && state == LISTENING)
			found = inode;
	if (f)
		(void)fclose(f);
	return found;
}

static bool has_socket(const char *pid, unsigned long inode)
{
	char path[300], is[64], wanted[64];
	DIR *fds;
	const struct dirent *e;
	bool found = false;

	(void)snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	(void)snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	fds = opendir(path);
	while (fds && !found && (e = readdir(fds)) != NULL) {
		ssize_t n = readlinkat(dirfd(fds), e->d_name, is, sizeof(is) - 1);

		is[n > 0 ? n : 0] = '\0';
		found = strcmp(is, wanted) == 0;
	}
	if (fds)
		(void)closedir(fds);
	return found;
}

const char *rk_try_holder(uint16_t port, char *text, size_t size)
{
	unsigned long inode = listener_find("/proc/net/tcp", port);
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	char name[64];

	text[0] = '\0';
	if (!inode)
		inode = listener_find("/proc/net/tcp6", port);
	while (inode && proc && !*text && (e = readdir(proc)) != NULL) {
		if (!isdigit((unsigned char)e->d_name[0]) || !has_socket(e->d_name, inode))
			continue;
		(void)rk_process_read((pid_t)strtol(e->d_name, NULL, 10), "comm", name, sizeof(name));
		(void)snprintf(text, size, "%.*s (pid %s)", (int)strcspn(name, "\n"), name, e->d_name);
	}
	if (proc)
		(void)closedir(proc);
	return text;
}
