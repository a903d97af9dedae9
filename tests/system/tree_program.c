/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A foreign program for tests: DIRECTORY SLOT. It leaves a daemon behind that has left its session, its parent and its
 * environment. Both hold a lock on DIRECTORY/SLOT, so whoever starts beside what is left of its predecessor knows,
 * and leaves DIRECTORY/together. Then it says that it is ready, and answers each connection to descriptor 3, if it was given one,
 * with its pid.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

static void ready_tell(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	socklen_t len;
	int fd;

	if (!path)
		return;
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	len = (socklen_t)(sizeof(at.sun_family) + strlen(path));
	if (*path == '@')
		at.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)!sendto(fd, "READY=1", 7, 0, (const struct sockaddr *)&at, len);
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
	if (fork() == 0)
		daemon_become();
	ready_tell();
	if (getenv("LISTEN_FDS"))
		serve(3);
	for (;;)
		(void)pause();
}
