/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shm/abi.h"

#define CHILD_FD 3                             /* the first one a worker inherits */
#define GATE_FD (CHILD_FD + (int)RK_SPAWN_FDS) /* the gate, in the child */
#define FD_FLOOR 32                            /* ours lie above all that */
#define GATE_CLOSED 97 /* exit status of a child whose supervisor died, seen by nobody */

extern char **environ;

/* What is ours alone: a worker that found it would speak to systemd in our name. */
static const char *const ours[] = { "REKINDLE_WORKER=", "REKINDLE_KEEPER_FD=", "NOTIFY_SOCKET=",
				    "WATCHDOG_USEC=",   "WATCHDOG_PID=",       "LISTEN_PID=",
				    "LISTEN_FDS=",      "LISTEN_FDNAMES=" };

/* ---- finding the program ---- */

static int is_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return access(path, X_OK) < 0 ? -errno : 0;
}

static int along_path(const char *command, char ret[static PATH_MAX])
{
	const char *at = getenv("PATH");
	int r = -ENOENT;

	for (at = at ? at : "/usr/local/bin:/usr/bin:/bin"; r != 0 && at;) {
		size_t len = strcspn(at, ":");
		int n = snprintf(ret, PATH_MAX, "%.*s%s%s", (int)len, at, len ? "/" : "", command);
		int found = n < PATH_MAX ? is_program(ret) : -ENAMETOOLONG;

		if (found == 0 || found == -EACCES)
			r = found; /* one that may not be executed is worth telling */
		at = at[len] ? at + len + 1 : NULL;
	}
	return r;
}

int rk_spawn_find(const char *command, char ret[static PATH_MAX], struct rk_err *err)
{
	int r;

	if (strchr(command, '/')) {
		if (strlen(command) >= PATH_MAX)
			return rk_err_set(err, -ENAMETOOLONG, "the command's path is too long");
		memcpy(ret, command, strlen(command) + 1);
		r = is_program(ret);
	} else {
		r = along_path(command, ret);
	}
	if (r == -EACCES)
		return rk_err_set(err, r, "'%s' cannot be executed: make it an executable file",
				  command);
	if (r == -ENOENT && !strchr(command, '/'))
		return rk_err_set(err, r,
				  "'%s' is not found along PATH: install it or give its path",
				  command);
	if (r < 0)
		return rk_err_set(err, r, "cannot run '%s': %s", command, strerror(-r));
	return 0;
}

/* ---- preparing ---- */

static bool is_ours(const char *variable, bool has_batch)
{
	for (size_t i = 0; i < rk_countof(ours); i++)
		if (strncmp(variable, ours[i], strlen(ours[i])) == 0)
			return true;
	return has_batch && strncmp(variable, "REKINDLE_BATCH=", 15) == 0;
}

static int environment_init(struct rk_spawn *s, uint32_t batch)
{
	size_t n = 0, at = 0;

	while (environ[n])
		n++;
	s->envp = calloc(n + 3, sizeof(*s->envp));
	if (!s->envp)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!is_ours(environ[i], batch != 0))
			s->envp[at++] = environ[i];
	if (batch != 0) {
		(void)snprintf(s->batch, sizeof(s->batch), "REKINDLE_BATCH=%u", batch);
		s->envp[at++] = s->batch;
	}
	s->envp[at] = s->worker;
	return 0;
}

int rk_spawn_init(struct rk_spawn *s, char *const *argv, const int fds[RK_SPAWN_FDS],
		  uint32_t batch, struct rk_err *err)
{
	int r;

	*s = (struct rk_spawn){ .argv = argv, .null = -1, .keeper = getppid() };
	memset(s->fds, 0xff, sizeof(s->fds));
	r = rk_spawn_find(argv[0], s->path, err);
	if (r < 0)
		return r;
	r = environment_init(s, batch);
	if (r < 0)
		return rk_err_set(err, r, "no memory for the workers' environment");
	s->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (s->null < 0 || getrlimit(RLIMIT_NOFILE, &s->nofile) < 0)
		return rk_err_set(err, -errno, "cannot prepare for workers: %s", strerror(errno));
	for (uint32_t i = 0; i < RK_SPAWN_FDS; i++) {
		s->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FD_FLOOR);
		if (s->fds[i] < 0)
			return rk_err_set(err, -errno, "cannot duplicate a descriptor: %s",
					  strerror(errno));
	}
	return 0;
}

void rk_spawn_close(struct rk_spawn *s)
{
	rk_free_p(&s->envp);
	s->envp = NULL;
	rk_close_p(&s->null);
	for (uint32_t i = 0; i < RK_SPAWN_FDS; i++)
		rk_close_p(&s->fds[i]);
}

/* ---- in the child: async-signal-safe calls only ---- */

static void child_signals(void)
{
	struct sigaction normal = { .sa_handler = SIG_DFL };
	sigset_t none;

	/* Handlers are gone by CLONE_CLEAR_SIGHAND, but ignored signals would stay ignored. */
	for (int sig = 1; sig < 32; sig++)
		(void)sigaction(sig, &normal, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int child_descriptors(const struct rk_spawn *s, int gate)
{
	if (dup2(s->null, STDIN_FILENO) < 0 || dup3(gate, GATE_FD, O_CLOEXEC) < 0)
		return -1;
	for (uint32_t i = 0; i < RK_SPAWN_FDS; i++)
		if (dup2(s->fds[i], CHILD_FD + (int)i) < 0)
			return -1;
	return close_range(GATE_FD + 1, ~0u, 0);
}

static _Noreturn void child_run(const struct rk_spawn *s, const int pair[2])
{
	char byte = 0;
	int reason;

	/* Set, then check: keeper may have died in between. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != s->keeper)
		_exit(GATE_CLOSED);
	(void)close(pair[0]); /* else we would never read its end of file */
	(void)setsid();
	child_signals();
	(void)setrlimit(RLIMIT_NOFILE, &s->nofile);
	if (child_descriptors(s, pair[1]) < 0)
		goto failed;
	if (read(GATE_FD, &byte, 1) != 1)
		_exit(GATE_CLOSED);
	(void)execve(s->path, s->argv, s->envp);
failed:
	reason = errno;
	(void)!write(GATE_FD, &reason, sizeof(reason));
	_exit(127);
}

/* ---- in the supervisor ---- */

static pid_t child_make(int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_PARENT | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)ret_pidfd,
		/* CLONE_PARENT takes the supervisor's own exit signal, SIGCHLD: keeper reaps. */
		.exit_signal = 0,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int rk_spawn_hold(struct rk_spawn *s, uint32_t worker, uint64_t incarnation, struct rk_spawned *ret)
{
	rk_cleanup(rk_close_p) int gate = -1;
	rk_cleanup(rk_close_p) int childs = -1;
	int pair[2], pidfd = -1;
	struct stat st;
	pid_t pid;

	(void)snprintf(s->worker, sizeof(s->worker),
		       "REKINDLE_WORKER=abi=%u worker=%u incarnation=%llu fds=3:4:5:6:7:8:9:10",
		       RK_ABI_VERSION, worker, (unsigned long long)incarnation);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	gate = pair[0];
	childs = fcntl(pair[1], F_DUPFD_CLOEXEC, FD_FLOOR); /* out of dup2's way */
	(void)close(pair[1]);
	if (childs < 0)
		return -errno;
	pair[1] = childs;
	pid = child_make(&pidfd);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child_run(s, pair);
	*ret = (struct rk_spawned){ .pid = pid, .pidfd = pidfd, .gate = rk_take_fd(&gate) };
	ret->pidfd_inode = fstat(pidfd, &st) == 0 ? st.st_ino : 0;
	return 0;
}

int rk_spawn_go(const struct rk_spawned *p)
{
	ssize_t n = send(p->gate, "g", 1, MSG_NOSIGNAL);

	return n == 1 ? 0 : -errno;
}

int rk_spawn_exec_error(int gate)
{
	int reason = 0;

	if (gate < 0 ||
	    recv(gate, &reason, sizeof(reason), MSG_DONTWAIT) != (ssize_t)sizeof(reason))
		return 0;
	return reason;
}
