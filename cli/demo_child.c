/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define PASSED_FD 3

int rk_demo_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

bool rk_demo_pidfd_signal(int pidfd, int number)
{
	return syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) == 0;
}

/* In the new process: never returns. */
static void become(const struct rk_demo_spawn *s, pid_t demo)
{
	sigset_t none;

	/* Set, then check: demo may have died in between. */
	if (prctl(PR_SET_PDEATHSIG, s->death_signal) < 0 || getppid() != demo)
		_exit(127);
	(void)setpgid(0, 0); /* the terminal's Ctrl-C is for demo alone */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (s->input > 0 && dup2(s->input, 0) < 0)
		_exit(127);
	if (s->output >= 0 && (dup2(s->output, 1) < 0 || dup2(s->output, 2) < 0))
		_exit(127);
	if (s->fd == PASSED_FD ? rk_fd_cloexec(s->fd, 0) < 0 : s->fd >= 0 && dup2(s->fd, PASSED_FD) < 0)
		_exit(127);
	(void)execv(s->path, s->argv);
	_exit(127);
}

int rk_demo_child_start(struct rk_demo_child *ret, const struct rk_demo_spawn *spawn,
			struct rk_err *err)
{
	pid_t demo = getpid(), pid = fork();
	int pidfd;

	if (pid == 0)
		become(spawn, demo);
	if (pid < 0)
		return rk_err_set(err, -errno, "cannot start %s: %s", spawn->path, strerror(errno));
	pidfd = rk_demo_pidfd_open(pid); /* not reaped yet, so the pid is its own */
	if (pidfd < 0) {
		int saved = errno;

		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return rk_err_set(err, -saved, "pidfd_open: %s", strerror(saved));
	}
	*ret = (struct rk_demo_child){ .pid = pid, .pidfd = pidfd };
	return 0;
}

bool rk_demo_child_signal(const struct rk_demo_child *c, int number)
{
	return c->pid > 0 && rk_demo_pidfd_signal(c->pidfd, number);
}

bool rk_demo_child_reap(struct rk_demo_child *c)
{
	siginfo_t si = { 0 };

	if (c->pid <= 0 || waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG) < 0 || si.si_pid == 0)
		return false;
	c->status = si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
	c->pid = 0;
	rk_close_p(&c->pidfd);
	return true;
}

void rk_demo_child_end(struct rk_demo_child *c, int timeout_ms)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };

	if (c->pid <= 0)
		return;
	(void)rk_demo_child_signal(c, SIGTERM);
	(void)rk_demo_child_signal(c, SIGCONT); /* a stopped one could not obey */
	if (poll(&p, 1, timeout_ms) <= 0)
		(void)rk_demo_child_signal(c, SIGKILL);
	while (!rk_demo_child_reap(c))
		(void)poll(&p, 1, 1000);
}
