/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/beside.h"
#include "base/cleanup.h"

#define DAEMON "rekindled"

int rk_programs_daemon(char ret[static PATH_MAX], struct rk_err *err)
{
	return rk_beside_find(ret, DAEMON, RK_SBINDIR "/" DAEMON, err);
}

/* ---- a child ---- */

extern char **environ;

static int actions_add(posix_spawn_file_actions_t *to, const struct rk_programs_child *child, int out)
{
	int r = 0;

	if (child->out)
		r = posix_spawn_file_actions_adddup2(to, out, STDOUT_FILENO);
	if (r == 0 && child->hides_errors)
		r = posix_spawn_file_actions_addopen(to, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	return r;
}

static int child_start(const struct rk_programs_child *child, int out, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	int r = posix_spawn_file_actions_init(&actions);

	if (r != 0)
		return -r;
	r = actions_add(&actions, child, out);
	if (r == 0)
		r = posix_spawnp(ret, child->argv[0], &actions, NULL, child->argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* All of it, since a pipe that is full or closed would stop or end the child. */
static void out_read(const struct rk_programs_child *child, int from)
{
	size_t len = 0;
	char rest[512];

	for (;;) {
		bool has_room = len + 1 < child->size;
		ssize_t n = read(from, has_room ? child->out + len : rest,
				 has_room ? child->size - 1 - len : sizeof(rest));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += has_room ? (size_t)n : 0;
	}
	child->out[len] = '\0';
}

static int child_end(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int rk_programs_run(const struct rk_programs_child *child)
{
	rk_cleanup(rk_close_p) int ours = -1;
	rk_cleanup(rk_close_p) int theirs = -1;
	pid_t pid;
	int p[2], r;

	if (child->out) {
		if (pipe2(p, O_CLOEXEC) < 0)
			return -errno;
		ours = p[0];
		theirs = p[1];
	}
	r = child_start(child, theirs, &pid);
	rk_close_p(&theirs);
	if (r < 0)
		return r;
	if (child->out)
		out_read(child, ours);
	return child_end(pid);
}
