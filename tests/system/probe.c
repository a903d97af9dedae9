/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client for the shell tests.
 *
 *   probe ask SOCKET REQUEST...
 *     prints each answer and the number of its descriptors; with "-" as the last request it holds
 *     the connection until it is killed
 *   probe segments SOCKET REQUEST
 *     prints the answer, and of each segment that comes with it the name and what its descriptor
 *     allows, as it is or opened again
 *   probe outstanding
 *     calls without taking replies until the library refuses: prints how many it let through
 *   probe listen SOCKET COMMAND...
 *     runs it while a stream socket is there that takes connections and whatever is written to
 *     them; ends with its exit status
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "workers/lib/rekindle.h"

#define ANSWER_MAX 16384

/* Prints the answer, or "cut off". */
static void ask(int sock, const char *request)
{
	struct rk_fds fds = { 0 };
	char text[ANSWER_MAX] = "";
	size_t len = 0;
	int r = rk_fd_send(sock, request, strlen(request) + 1, NULL);

	(void)r; /* one that was cut off already may have been answered before */
	if (rk_fd_recv(sock, text, sizeof(text) - 1, &len, &fds) < 0 || len == 0)
		(void)puts("cut off");
	else
		(void)printf("%.*s %u\n", (int)len, text, fds.n);
	(void)fflush(stdout);
	rk_fds_close_p(&fds);
}

/* As it is, or opened anew through /proc, where modes decide. */
static bool is_writable(int fd)
{
	char path[32];
	int flags = fcntl(fd, F_GETFL), again;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0)
		(void)close(again);
	return again >= 0 || (flags & O_ACCMODE) != O_RDONLY;
}

static void tell(int fd)
{
	char path[32], to[128] = "", name[64] = "?";
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, to, sizeof(to) - 1);
	if (n > 0)
		(void)sscanf(to, "/memfd:rekindle-%63s", name);
	(void)printf("%s read-%s\n", name, is_writable(fd) ? "write" : "only");
}

static int dial(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (sock < 0 || connect(sock, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror("probe");
		return -1;
	}
	return sock;
}

static int segments(const char *path, const char *request)
{
	struct rk_fds fds = { 0 };
	char text[ANSWER_MAX] = "";
	size_t len = 0;
	int sock = dial(path);

	if (sock < 0 || rk_fd_send(sock, request, strlen(request) + 1, NULL) < 0 ||
	    rk_fd_recv(sock, text, sizeof(text) - 1, &len, &fds) < 0)
		return 1;
	(void)printf("%.*s\n", (int)len, text);
	for (uint32_t i = 0; i < fds.n; i++)
		tell(fds.fd[i]);
	rk_fds_close_p(&fds);
	return 0;
}

static int asks(const char *path, char *const *requests)
{
	int sock = dial(path);

	if (sock < 0)
		return 1;
	for (; *requests; requests++) {
		if (strcmp(*requests, "-") == 0)
			(void)pause();
		ask(sock, *requests);
	}
	return 0;
}

static int outstanding(void)
{
	const struct rk_request request = { .key = "apple" };
	struct rk_client *c;
	int n = 0, r = rk_client_open(&c, NULL, NULL);

	if (r < 0) {
		(void)fprintf(stderr, "probe: %s\n", rk_client_error());
		return 1;
	}
	while (n < 1000 && (r = rk_call_async(c, &request)) == 0)
		n++;
	(void)printf("%d %s\n", n, rk_outcome_text(r));
	rk_client_close(c);
	return 0;
}

/* Nobody accepts: the kernel does, as far as the backlog goes. */
static int listens(const char *path, char *const *command)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
	pid_t pid;

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (sock < 0 || bind(sock, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(sock, 64) < 0) {
		perror("probe");
		return 1;
	}
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)execv(command[0], command);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
									       : 1;
}

int main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "ask") == 0)
		return asks(argv[2], argv + 3);
	if (argc > 3 && strcmp(argv[1], "listen") == 0)
		return listens(argv[2], argv + 3);
	if (argc == 4 && strcmp(argv[1], "segments") == 0)
		return segments(argv[2], argv[3]);
	if (argc == 2 && strcmp(argv[1], "outstanding") == 0)
		return outstanding();
	return 64;
}
