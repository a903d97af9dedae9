/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A foreign program for tests: DIRECTORY SLOT. It leaves a daemon behind that has left its session, its parent and its
 * environment. Both hold a lock on DIRECTORY/SLOT, which holds its pid, so whoever starts beside what is left of its predecessor knows,
 * and leaves DIRECTORY/together. Then it says that it is ready, and answers each connection to descriptor 3, if that is called
 * "listen", with its pid.
 *
 * With KEEP=1 in the environment it has its starts counted in memory that it sends to be kept, and that it gets back as
 * descriptor 3; how many it has counted is left in DIRECTORY/count.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LIFE_S 300u /* of a daemon that nobody ends */

static int file_open(const char *directory, const char *name)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	return open(path, O_RDWR | O_CREAT, 0600);
}

/* In a grandchild: keeps the lock, which goes along over exec. */
static void daemon_become(void)
{
	char *argv[] = { (char[]){ "tree_daemon" }, NULL }, *envp[] = { NULL };

	if (setsid() < 0 || fork() != 0)
		_exit(0);
	(void)execve("/proc/self/exe", argv, envp);
	_exit(1);
}

/* To NOTIFY_SOCKET; fd: a descriptor that goes along, or -1. */
static void notify(const char *text, int along)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .room = { 0 } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
	struct msghdr msg = { .msg_name = &at, .msg_iov = &part, .msg_iovlen = 1 };
	socklen_t len;
	int fd;

	if (!path)
		return;
	if (along >= 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &along, sizeof(along));
	}
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	len = (socklen_t)(sizeof(at.sun_family) + strlen(path));
	if (*path == '@')
		at.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	msg.msg_namelen = len;
	(void)!sendmsg(fd, &msg, 0);
	(void)close(fd);
}

static void start_count(const char *directory)
{
	const char *names = getenv("LISTEN_FDNAMES");
	int is_kept = names && strcmp(names, "count") == 0, fd = is_kept ? 3 : memfd_create("count", 0);
	uint64_t n = 0;
	char text[32];

	(void)!pread(fd, &n, sizeof(n), 0);
	n++;
	(void)!pwrite(fd, &n, sizeof(n), 0);
	if (!is_kept)
		notify("FDSTORE=1\nFDNAME=count", fd);
	fd = file_open(directory, "count");
	(void)!pwrite(fd, text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)n), 0);
	(void)close(fd);
}

static void serve(int listens)
{
	char text[32];
	int fd;

	while ((fd = accept(listens, NULL, NULL)) >= 0) {
		(void)!write(fd, text, (size_t)snprintf(text, sizeof(text), "%d\n", (int)getpid()));
		(void)close(fd);
	}
}

int main(int argc, char **argv)
{
	char text[32];
	int lock;

	if (argc < 3) {
		(void)alarm(LIFE_S);
		for (;;)
			(void)pause();
	}
	lock = file_open(argv[1], argv[2]);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) {
		(void)file_open(argv[1], "together");
		return 1;
	}
	(void)!pwrite(lock, text, (size_t)snprintf(text, sizeof(text), "%-10d\n", (int)getpid()), 0);
	if (fork() == 0)
		daemon_become();
	if (getenv("KEEP"))
		start_count(argv[1]);
	notify("READY=1", -1);
	if (getenv("LISTEN_FDNAMES") && strcmp(getenv("LISTEN_FDNAMES"), "listen") == 0)
		serve(3);
	for (;;)
		(void)pause();
}
