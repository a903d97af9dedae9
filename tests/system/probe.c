/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client for the shell tests.
 *
 *   probe ask SOCKET REQUEST...
 *     prints each answer and the number of its descriptors; with "-" as the last request it holds
 *     the connection until it is killed
 *   probe together SOCKET REQUEST...
 *     the same over one connection, all requests before the first answer
 *   probe segments SOCKET REQUEST
 *     prints the answer, and of each segment that comes with it the name and what its descriptor
 *     allows, as it is or opened again
 *   probe outstanding
 *     calls without taking replies until the library refuses: prints how many it let through
 *   probe reopen FLEET NAME
 *     opens its place under this name, waits for a line, closes it and opens it again: prints
 *     "open", or what is in the way, for each time
 *   probe slay PROCS KEEPER N
 *     SIGKILLs the first N supervisors under another keeper than this, each as soon as it is seen:
 *     whose parent is listed in PROCS, a cgroup.procs, too, and runs the same program
 *   probe listen SOCKET COMMAND...
 *     runs it while a stream socket is there that takes connections and whatever is written to
 *     them; ends with its exit status
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"
#include "workers/lib/rekindle.h"

#define ANSWER_MAX 16384

/* Prints an answer, or "cut off". */
static void answer(int sock)
{
	struct rk_fds fds = { 0 };
	char text[ANSWER_MAX] = "";
	size_t len = 0;

	if (rk_fd_recv(sock, text, sizeof(text) - 1, &len, &fds) < 0 || len == 0)
		(void)puts("cut off");
	else
		(void)printf("%.*s %u\n", (int)len, text, fds.n);
	(void)fflush(stdout);
	rk_fds_close_p(&fds);
}

static void ask(int sock, const char *request)
{
	int r = rk_fd_send(sock, request, strlen(request) + 1, NULL);

	(void)r; /* one that was cut off already may have been answered before */
	answer(sock);
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

/* In one piece, so that the other side has them all before it has answered any. */
static int together(const char *path, char *const *requests)
{
	char text[ANSWER_MAX];
	size_t len = 0, n_answers = 0, n_wanted = 0;
	int sock = dial(path);

	for (; *requests && len < sizeof(text); requests++, n_wanted++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", *requests) + 1;
	if (sock < 0 || len > sizeof(text) || rk_fd_send(sock, text, len, NULL) < 0)
		return 1;
	while (n_answers < n_wanted) {
		if (rk_fd_recv(sock, text, sizeof(text), &len, NULL) < 0 || len == 0) {
			(void)puts("cut off");
			return 0;
		}
		for (size_t i = 0; i < len; i++) {
			n_answers += text[i] == '\0';
			(void)putchar(text[i] ? text[i] : '\n');
		}
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

/* Its place, or NULL and the reason. */
static struct rk_client *place(const char *fleet, const char *name)
{
	struct rk_client *client = NULL;

	(void)puts(rk_client_open(&client, fleet, name) < 0 ? rk_client_error() : "open");
	(void)fflush(stdout);
	return client;
}

static int reopen(const char *fleet, const char *name)
{
	struct rk_client *client = place(fleet, name);
	char line[16];

	if (!fgets(line, sizeof(line), stdin))
		return 1;
	rk_client_close(client);
	rk_client_close(place(fleet, name));
	return 0;
}

static bool has_program_of(pid_t a, pid_t b)
{
	char path[2][32], program[2][256];
	ssize_t n[2];
	const pid_t pids[] = { a, b };

	for (int i = 0; i < 2; i++) {
		(void)snprintf(path[i], sizeof(path[i]), "/proc/%d/exe", (int)pids[i]);
		n[i] = readlink(path[i], program[i], sizeof(program[i]));
	}
	return n[0] > 0 && n[0] == n[1] && memcmp(program[0], program[1], (size_t)n[0]) == 0;
}

/* A supervisor that is listed, other than the last one; 0: there is none. */
static pid_t rising(const char *procs, pid_t keeper, pid_t last)
{
	FILE *f = fopen(procs, "re");
	pid_t found = 0;
	int pid;

	while (f && !found && fscanf(f, "%d", &pid) == 1) {
		pid_t parent = rk_process_parent(pid);

		if (pid != last && parent > 1 && parent != keeper && has_program_of(pid, parent))
			found = pid;
	}
	if (f)
		(void)fclose(f);
	return found;
}

static int slay(const char *procs, pid_t keeper, int n)
{
	pid_t last = 0;

	while (n > 0) {
		pid_t pid = rising(procs, keeper, last);

		if (!pid || kill(pid, SIGKILL) < 0)
			continue;
		last = pid;
		n--;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "ask") == 0)
		return asks(argv[2], argv + 3);
	if (argc > 3 && strcmp(argv[1], "listen") == 0)
		return listens(argv[2], argv + 3);
	if (argc > 3 && strcmp(argv[1], "together") == 0)
		return together(argv[2], argv + 3);
	if (argc == 4 && strcmp(argv[1], "segments") == 0)
		return segments(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "reopen") == 0)
		return reopen(argv[2], argv[3]);
	if (argc == 5 && strcmp(argv[1], "slay") == 0)
		return slay(argv[2], atoi(argv[3]), atoi(argv[4]));
	if (argc == 2 && strcmp(argv[1], "outstanding") == 0)
		return outstanding();
	return 64;
}
