/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/demo_child.h"

#define ROOM 65536u

struct filter {
	int notes, to; /* COMMAND's standard input; -1 once it has been closed */
	pid_t pid;
	int pidfd;
	char text[ROOM];
	size_t len; /* of a line that is not whole yet */
};

static int start(struct filter *f, char **command)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	f->pid = fork();
	if (f->pid == 0) {
		(void)signal(SIGPIPE, SIG_DFL);
		if (dup2(pair[0], STDIN_FILENO) >= 0)
			(void)execvp(command[0], command);
		(void)fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
		_exit(127);
	}
	(void)close(pair[0]);
	f->to = pair[1];
	if (f->pid < 0)
		return -errno;
	f->pidfd = rk_demo_pidfd_open(f->pid);
	return f->pidfd < 0 ? -errno : 0;
}

/* Whoever looks from outside sees COMMAND's end. */
static int end_as_command(const struct filter *f)
{
	const struct rlimit no_core = { 0 };
	int status = 0;

	while (waitpid(f->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)signal(WTERMSIG(status), SIG_DFL);
	(void)kill(getpid(), WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

static bool write_all(int fd, const char *at, size_t len)
{
	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return false;
		at += n < 0 ? 0 : n;
		len -= n < 0 ? 0 : (size_t)n;
	}
	return true;
}

/* Notes and passes on the whole lines that there are. Returns whether COMMAND takes them. */
static bool pass_on(struct filter *f)
{
	const char *last = memrchr(f->text, '\n', f->len);
	size_t whole = last ? (size_t)(last + 1 - f->text) : f->len == ROOM ? ROOM : 0;

	if (!whole)
		return true;
	if (!write_all(f->notes, f->text, whole) || !write_all(f->to, f->text, whole))
		return false;
	f->len -= whole;
	memmove(f->text, f->text + whole, f->len);
	return true;
}

/* Returns false at the end. */
static bool read_on(struct filter *f)
{
	ssize_t n = read(STDIN_FILENO, f->text + f->len, ROOM - f->len);

	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	f->len += (size_t)n;
	return pass_on(f);
}

static int filter(struct filter *f)
{
	struct pollfd p[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = f->pidfd, .events = POLLIN } };

	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		if (p[1].revents)
			break;
		if (p[0].revents && !read_on(f))
			break;
	}
	(void)close(f->to);
	return end_as_command(f);
}

int rk_demo_filter_main(int argc, char **argv)
{
	static struct filter f;
	char path[PATH_MAX];

	if (argc < 3)
		return RK_CLI_USAGE;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(path, sizeof(path), "%s/%d-%llx", argv[1], (int)getpid(),
		       (unsigned long long)rk_clock_ns()); /* pids are used again */
	f.notes = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (f.notes < 0 || start(&f, argv + 2) < 0) {
		(void)fprintf(stderr, "rekindle demo's filter: %s\n", strerror(errno));
		return RK_CLI_FAILED;
	}
	return filter(&f);
}
