/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/listen.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "base/percent.h"
#include "base/process.h"

#define HOLDER_TEXT 96u
#define TCP_LISTENS 0x0a /* state in /proc/net/tcp */

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
	} at;
	socklen_t len;
	uint16_t port; /* of TCP */
};

/* ---- what an address says ---- */

int rk_listen_expand(const char *address, const struct rk_listen_slot *of, char ret[static RK_LISTEN_ADDRESS],
		     struct rk_err *err)
{
	char number[12], port[12];
	const struct rk_percent with[] = { { 'f', of->fleet }, { 'i', number }, { 'p', port }, { 0, NULL } };

	if (rk_percent_has(address, 'p') && (of->port == 0 || of->port + of->number > UINT16_MAX))
		return rk_err_set(err, -EINVAL, "Listen=%.120s: worker %u has no port: set Port=", address, of->number);
	(void)snprintf(number, sizeof(number), "%u", of->number);
	(void)snprintf(port, sizeof(port), "%u", of->port + of->number);
	return rk_percent_expand(address, with, ret, RK_LISTEN_ADDRESS, err);
}

static int path_read(const char *text, struct address *ret, struct rk_err *err)
{
	if (strlen(text) >= sizeof(ret->at.un.sun_path))
		return rk_err_set(err, -ENAMETOOLONG, "Listen=%.120s: a unix socket's path has up to %zu bytes", text,
				  sizeof(ret->at.un.sun_path) - 1);
	ret->at.un.sun_family = AF_UNIX;
	memcpy(ret->at.un.sun_path, text, strlen(text) + 1);
	ret->len = sizeof(ret->at.un);
	return 0;
}

static bool host_read(const char *host, struct address *ret)
{
	static const struct {
		const char *name, *number;
	} names[] = { { "localhost", "127.0.0.1" }, { "*", "::" } };

	for (size_t i = 0; i < rk_countof(names); i++)
		if (strcmp(host, names[i].name) == 0)
			host = names[i].number;
	if (inet_pton(AF_INET, host, &ret->at.v4.sin_addr) == 1) {
		ret->at.v4.sin_family = AF_INET;
		ret->at.v4.sin_port = htons(ret->port);
		ret->len = sizeof(ret->at.v4);
		return true;
	}
	if (inet_pton(AF_INET6, host, &ret->at.v6.sin6_addr) != 1)
		return false;
	ret->at.v6.sin6_family = AF_INET6;
	ret->at.v6.sin6_port = htons(ret->port);
	ret->len = sizeof(ret->at.v6);
	return true;
}

static int address_read(const char *text, struct address *ret, struct rk_err *err)
{
	const char *colon = strrchr(text, ':');
	char host[64];
	uint64_t port;
	size_t len;

	*ret = (struct address){ .len = 0 };
	if (*text == '/')
		return path_read(text, ret, err);
	if (!colon || rk_num_parse(colon + 1, 1, UINT16_MAX, &port, NULL) < 0)
		return rk_err_set(err, -EINVAL, "Listen=%.120s: write HOST:PORT, [V6]:PORT or a path", text);
	ret->port = (uint16_t)port;
	len = (size_t)(colon - text);
	if (*text == '[' && len > 2 && colon[-1] == ']') {
		text++;
		len -= 2;
	}
	(void)snprintf(host, sizeof(host), "%.*s", (int)len, text);
	if (len >= sizeof(host) || !host_read(host, ret))
		return rk_err_set(err, -EINVAL, "Listen=%.120s: '%.60s' is no address: write it in numbers, or * for all", text,
				  host);
	return 0;
}

/* ---- who has it ---- */

/* Of a socket that listens on the port, or at the path; 0: none is found. */
static uint64_t inode_in(const char *file, const struct address *a)
{
	FILE *list = fopen(file, "re");
	char line[512], path[256];
	uint64_t found = 0, inode;
	unsigned int port, state;

	while (list && !found && fgets(line, sizeof(line), list)) {
		if (a->at.any.sa_family == AF_UNIX) {
			if (sscanf(line, "%*s %*s %*s %*s %*s %*s %" SCNu64 " %255s", &inode, path) == 2 &&
			    strcmp(path, a->at.un.sun_path) == 0)
				found = inode;
		} else if (sscanf(line, " %*[0-9]: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*s %*s %" SCNu64, &port, &state,
				  &inode) == 3 &&
			   state == TCP_LISTENS && port == a->port) {
			found = inode;
		}
	}
	if (list)
		(void)fclose(list);
	return found;
}

static bool has_socket(const char *pid, uint64_t inode)
{
	char path[300], wanted[48], target[64];
	DIR *fds;
	struct dirent *e;
	bool has = false;

	(void)snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	(void)snprintf(wanted, sizeof(wanted), "socket:[%" PRIu64 "]", inode);
	fds = opendir(path);
	while (fds && !has && (e = readdir(fds)) != NULL) {
		ssize_t n = readlinkat(dirfd(fds), e->d_name, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		has = strcmp(target, wanted) == 0;
	}
	if (fds)
		(void)closedir(fds);
	return has;
}

static pid_t process_of(uint64_t inode)
{
	DIR *all = inode ? opendir("/proc") : NULL;
	struct dirent *e;
	pid_t pid = 0;

	while (all && !pid && (e = readdir(all)) != NULL)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && has_socket(e->d_name, inode))
			pid = (pid_t)strtol(e->d_name, NULL, 10);
	if (all)
		(void)closedir(all);
	return pid;
}

/* ": pid 812 (nginx) has it", or what can be done without knowing. */
static const char *holder_of(const struct address *a, char text[static HOLDER_TEXT])
{
	uint64_t inode = a->at.any.sa_family == AF_UNIX ? inode_in("/proc/net/unix", a) : inode_in("/proc/net/tcp", a);
	char name[32];
	pid_t pid;

	if (!inode && a->at.any.sa_family != AF_UNIX)
		inode = inode_in("/proc/net/tcp6", a);
	pid = process_of(inode);
	(void)rk_process_read(pid, "comm", name, sizeof(name));
	name[strcspn(name, "\n")] = '\0';
	if (pid == getpid() || (pid && pid == getppid()))
		(void)snprintf(text, HOLDER_TEXT, ": another worker has it, put %%i or %%p into the address");
	else if (pid)
		(void)snprintf(text, HOLDER_TEXT, ": pid %d (%s) has it", (int)pid, name);
	else
		(void)snprintf(text, HOLDER_TEXT, inode ? ": another user's process has it" : "");
	return text;
}

/* ---- a socket ---- */

/* Whether the path is that of a socket on which nobody listens any more. */
static bool is_left_over(const struct address *a)
{
	rk_cleanup(rk_close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	return fd >= 0 && lstat(a->at.un.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	       connect(fd, &a->at.any, a->len) < 0 && errno == ECONNREFUSED;
}

static int bind_to(int fd, const struct address *a)
{
	const int yes = 1;

	if (a->at.any.sa_family != AF_UNIX)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, &a->at.any, a->len) == 0)
		return 0;
	if (errno != EADDRINUSE || a->at.any.sa_family != AF_UNIX || !is_left_over(a))
		return -errno;
	(void)unlink(a->at.un.sun_path);
	return bind(fd, &a->at.any, a->len) == 0 ? 0 : -errno;
}

/* "*" where there is no IPv6. */
static void fall_back(struct address *a)
{
	const uint16_t port = a->port;

	*a = (struct address){ .port = port };
	(void)host_read("0.0.0.0", a);
}

int rk_listen_open(const char *address, int *ret_fd, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int fd = -1;
	char holder[HOLDER_TEXT] = "";
	struct address a;
	int r = address_read(address, &a, err);

	if (r < 0)
		return r;
	fd = socket(a.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 && errno == EAFNOSUPPORT && *address == '*') {
		fall_back(&a);
		fd = socket(a.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	r = fd < 0 ? -errno : bind_to(fd, &a);
	if (r == 0 && listen(fd, SOMAXCONN) < 0)
		r = -errno;
	if (r == -EADDRINUSE)
		(void)holder_of(&a, holder);
	if (r < 0)
		return rk_err_set(err, r, "cannot listen on %.120s: %s%s", address, strerror(-r), holder);
	*ret_fd = rk_take_fd(&fd);
	return 0;
}

int rk_listen_mend(int fd)
{
	int listens = 0;
	socklen_t len = sizeof(listens);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0)
		return -errno;
	return listens || listen(fd, SOMAXCONN) == 0 ? 0 : -errno;
}

void rk_listen_unlink(int fd)
{
	struct sockaddr_un un = { .sun_family = AF_UNSPEC };
	socklen_t len = sizeof(un) - 1; /* the last byte stays NUL */

	if (getsockname(fd, (struct sockaddr *)&un, &len) == 0 && un.sun_family == AF_UNIX && un.sun_path[0] == '/')
		(void)unlink(un.sun_path);
}
