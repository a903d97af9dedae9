/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/process.h"
#include "supervisor/mark.h"

#define FIRST_FD RK_CHILD_FIRST
#define GATE_FD (FIRST_FD + (int)RK_CHILD_FDS_MAX) /* the gate, in the child */

_Static_assert(GATE_FD < RK_CHILD_FLOOR, "the plan's descriptors are out of the way");

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1u << 2) /* Linux 6.9; the headers are older */
#endif

/* ---- in the child: async-signal-safe calls only ---- */

/* The output first: its number may be one of those that are taken next. */
static bool child_descriptors(const struct rk_child_plan *plan, int gate)
{
	if (plan->out >= 0 &&
	    (dup2(plan->out, STDOUT_FILENO) < 0 || dup2(plan->out, STDERR_FILENO) < 0))
		return false;
	if (dup2(plan->in, STDIN_FILENO) < 0 || dup3(gate, GATE_FD, O_CLOEXEC) < 0)
		return false;
	for (uint32_t i = 0; i < plan->n_fds; i++)
		if (dup2(plan->fds[i], FIRST_FD + (int)i) < 0)
			return false;
	if (plan->n_fds < RK_CHILD_FDS_MAX &&
	    close_range(FIRST_FD + plan->n_fds, GATE_FD - 1, 0) < 0)
		return false;
	return close_range(GATE_FD + 1, ~0u, 0) == 0;
}

static _Noreturn void child_fail(int gate, struct rk_setup_failure f)
{
	(void)!write(gate, &f, sizeof(f));
	_exit(127);
}

static _Noreturn void child_run(const struct rk_child_plan *plan, const int pair[2])
{
	struct rk_setup_failure f = { .step = RK_SETUP_DESCRIPTORS };
	char byte = 0;

	if (!rk_setup_parent(plan->setup))
		_exit(RK_CHILD_UNBEGUN);
	(void)close(pair[0]); /* else we would never read its end of file */
	(void)setsid();
	rk_process_reset_signals(); /* handlers are gone where clone3 is, but ignored signals would stay ignored */
	if (!child_descriptors(plan, pair[1])) {
		f.error = errno;
		child_fail(pair[1], f);
	}
	if (!rk_setup_apply(plan->setup, &f))
		child_fail(GATE_FD, f);
	if (plan->mark)
		rk_mark_give(plan->mark);
	if (read(GATE_FD, &byte, 1) != 1)
		_exit(RK_CHILD_UNBEGUN);
	(void)execve(plan->path, plan->argv, plan->envp);
	f = (struct rk_setup_failure){ .step = RK_SETUP_EXEC, .error = errno };
	child_fail(GATE_FD, f);
}

/* ---- in the supervisor ---- */

#if !defined(__SANITIZE_ADDRESS__) &&                                                              \
	!defined(__SANITIZE_THREAD__) /* their library is in every call */
static uintptr_t segment_begin(const struct dl_phdr_info *o, const ElfW(Phdr) * p)
{
	return (uintptr_t)o->dlpi_addr + p->p_vaddr;
}

static bool object_has(const struct dl_phdr_info *o, uintptr_t at)
{
	for (int i = 0; i < o->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &o->dlpi_phdr[i];
		uintptr_t begin = segment_begin(o, p);

		if (p->p_type == PT_LOAD && at >= begin && at < begin + p->p_memsz)
			return true;
	}
	return false;
}

/* The program, the C library, and the linker are the child's; no other object is. */
static int object_keep_from_child(struct dl_phdr_info *o, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)arg;
	if (object_has(o, (uintptr_t)&rk_child_hold) || object_has(o, (uintptr_t)&execve) ||
	    object_has(o, getauxval(AT_BASE)) || object_has(o, getauxval(AT_SYSINFO_EHDR)))
		return 0;
	for (int i = 0; i < o->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &o->dlpi_phdr[i];
		uintptr_t begin = segment_begin(o, p) & ~(page - 1),
			  end = segment_begin(o, p) + p->p_memsz;

		if (p->p_type == PT_LOAD) /* a failure costs time alone */
			(void)madvise((void *)begin, end - begin, MADV_DONTFORK);
	}
	return 0;
}

/* Whether every symbol of the program is bound, so that a child has none to look up. */
static bool is_bound(void)
{
	for (const ElfW(Dyn) *d = _DYNAMIC; d->d_tag != DT_NULL; d++)
		if ((d->d_tag == DT_FLAGS && d->d_un.d_val & DF_BIND_NOW) ||
		    (d->d_tag == DT_FLAGS_1 && d->d_un.d_val & DF_1_NOW))
			return true;
	return false;
}

void rk_child_prepare(void)
{
	if (is_bound())
		(void)dl_iterate_phdr(object_keep_from_child, NULL);
}
#else
void rk_child_prepare(void)
{
}
#endif

/*
 * The older call, for sandboxes that cannot look into clone3's arguments and so refuse all of it
 * (RestrictNamespaces= of systemd, containers). The child is held, so there is time to move it into
 * its group; that costs some ms (cgroup.h), and a failure is the group's absence, no worse.
 */
static pid_t child_clone_plain(int cgroup, int *ret_pidfd)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT, NULL, ret_pidfd, NULL, 0);
	rk_cleanup(rk_close_p) int procs = -1;
	char text[16];

	if (pid <= 0 || cgroup < 0)
		return pid;
	procs = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	if (procs >= 0)
		(void)!rk_write_all(procs, text, strlen(text));
	return pid;
}

static pid_t child_clone(int cgroup, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_PARENT | CLONE_CLEAR_SIGHAND |
			 (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uintptr_t)ret_pidfd,
		/* CLONE_PARENT takes the supervisor's own exit signal, SIGCHLD: keeper reaps. */
		.exit_signal = 0,
		.cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
	};

	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	return pid < 0 && errno == ENOSYS ? child_clone_plain(cgroup, ret_pidfd) : pid;
}

int rk_child_hold(const struct rk_child_plan *plan, struct rk_spawned *ret)
{
	rk_cleanup(rk_close_p) int gate = -1;
	rk_cleanup(rk_close_p) int childs = -1;
	int pair[2], pidfd = -1;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	gate = pair[0];
	childs = fcntl(pair[1], F_DUPFD_CLOEXEC, RK_CHILD_FLOOR); /* out of dup2's way */
	(void)close(pair[1]);
	if (childs < 0)
		return -errno;
	pair[1] = childs;
	pid = child_clone(plan->cgroup, &pidfd);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child_run(plan, pair);
	*ret = (struct rk_spawned){ .pid = pid, .pidfd = pidfd, .gate = rk_take_fd(&gate) };
	return 0;
}

int rk_child_go(const struct rk_spawned *p)
{
	ssize_t n = send(p->gate, "g", 1, MSG_NOSIGNAL);

	return n == 1 ? 0 : -errno;
}

struct rk_setup_failure rk_child_failure(int gate)
{
	struct rk_setup_failure f = { 0 };

	if (gate < 0 || recv(gate, &f, sizeof(f), MSG_DONTWAIT) != (ssize_t)sizeof(f) ||
	    f.error < 0)
		return (struct rk_setup_failure){ 0 };
	return f;
}

int rk_child_signal(const struct rk_spawned *p, int sig)
{
	return syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

void rk_child_kill(const struct rk_spawned *p)
{
	if (p->pidfd < 0)
		return;
	if (syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, PIDFD_SIGNAL_PROCESS_GROUP) < 0)
		(void)rk_child_signal(p, SIGKILL); /* an older kernel knows no groups here */
}
