/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_step.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "base/clock.h"

#define LOOK_US 5000 /* how often a wait looks at the clock */
#define WAIT_MS 30   /* for one instruction: longer ones are system calls that wait */
#define HALT_MS 500  /* for a process that shall stop; it may be waiting for a CPU */
#define PENDING_MAX 8

static void on_alarm(int number)
{
	(void)number; /* it has interrupted a wait, which is all it is for */
}

/* Waits that last are interrupted every LOOK_US, or no more. */
static void set_alarm(bool on)
{
	const struct itimerval every = { { 0, on ? LOOK_US : 0 }, { 0, on ? LOOK_US : 0 } };
	const struct sigaction action = { .sa_handler = on ? on_alarm : SIG_IGN }; /* no SA_RESTART */

	if (on)
		(void)sigaction(SIGALRM, &action, NULL);
	(void)setitimer(ITIMER_REAL, &every, NULL);
	if (!on)
		(void)sigaction(SIGALRM, &action, NULL);
}

/* ---- the watch ---- */

/* Watches writes of the word, or nothing (NULL). False: this machine or kernel has no such register. */
static bool set_watch(pid_t pid, const struct rk_demo_walk *walk)
{
#if defined(__x86_64__)
	/* DR7: enable register 0, for writes (1), of 8 bytes (2) or 4 (3). */
	uint64_t control = !walk ? 0 : 1u | 1u << 16 | (walk->is_wide ? 2u : 3u) << 18;

	if (walk && !walk->watch)
		return false;
	if (walk && ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[0]), walk->watch) < 0)
		return false;
	return ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), control) == 0;
#else
	(void)pid;
	(void)walk;
	return false;
#endif
}

/* ---- stops ---- */

/* Waits until the process stops. Returns the signal that it would get now, 0 for none; -ESRCH; -ETIMEDOUT. */
static int await_stop(pid_t pid, uint64_t deadline_ns)
{
	int status;

	while (waitpid(pid, &status, __WALL) < 0) {
		if (errno != EINTR)
			return -ESRCH;
		if (rk_clock_ns() > deadline_ns)
			return -ETIMEDOUT;
	}
	if (!WIFSTOPPED(status))
		return -ESRCH;
	/* A step, or a stop of our making, is no signal of the process's own; nor is a group-stop. */
	return WSTOPSIG(status) == SIGTRAP || status >> 16 == PTRACE_EVENT_STOP || WSTOPSIG(status) == SIGSTOP ?
		       0 : WSTOPSIG(status);
}

/* Whether the trap of a watch or step is on its way; it would kill the process when nobody traces it. */
static bool has_trap(pid_t pid)
{
	struct __ptrace_peeksiginfo_args from = { .nr = PENDING_MAX };
	siginfo_t pending[PENDING_MAX];
	long n = ptrace(PTRACE_PEEKSIGINFO, pid, &from, pending);

	for (long i = 0; i < n; i++)
		if (pending[i].si_signo == SIGTRAP)
			return true;
	return false;
}

static int halt(pid_t pid)
{
	return ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 ? -errno :
							       await_stop(pid, rk_clock_ns() + HALT_MS * RK_NS_PER_MS);
}

/* Makes a process that runs stand; then nobody traces it any more. */
static int let_go(pid_t pid, bool stands, bool stay)
{
	int r = stands ? 0 : halt(pid);

	if (r < 0)
		return r;
	(void)set_watch(pid, NULL);
	for (int i = 0; i < PENDING_MAX && has_trap(pid); i++)
		if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0 ||
		    await_stop(pid, rk_clock_ns() + HALT_MS * RK_NS_PER_MS) < 0)
			return -ESRCH;
	/* Pending, it stops the process before its next instruction of its own; a stop from before ends. */
	(void)kill(pid, stay ? SIGSTOP : SIGCONT);
	return ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0 ? -errno : 0;
}

/* ---- the walk ---- */

static int walk_on(pid_t pid, const struct rk_demo_walk *w, uint64_t deadline_ns, bool *ret_stands)
{
	bool watched = set_watch(pid, w);
	int number = 0;

	for (;;) {
		enum rk_demo_where where = w->where(w->arg);
		bool runs = watched && where == RK_DEMO_FAR;
		uint64_t now_ns = rk_clock_ns();

		if (where == RK_DEMO_THERE)
			return 0;
		if (now_ns > deadline_ns)
			return RK_DEMO_STEP_MISSED;
		if (ptrace(runs ? PTRACE_CONT : PTRACE_SINGLESTEP, pid, NULL, (void *)(intptr_t)number) < 0)
			return -errno;
		*ret_stands = false;
		number = await_stop(pid, runs ? deadline_ns : now_ns + WAIT_MS * RK_NS_PER_MS);
		if (number == -ETIMEDOUT)
			return RK_DEMO_STEP_MISSED;
		if (number < 0)
			return number;
		*ret_stands = true;
	}
}

int rk_demo_step_until(pid_t pid, const struct rk_demo_walk *walk)
{
	uint64_t deadline_ns = rk_clock_ns() + walk->timeout_ms * RK_NS_PER_MS;
	bool stands = true;
	int r, gone;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return -errno;
	set_alarm(true);
	r = halt(pid);
	if (r >= 0)
		r = walk_on(pid, walk, deadline_ns, &stands);
	else
		stands = false;
	gone = r == -ESRCH ? r : let_go(pid, stands, r == 0 || walk->stay);
	set_alarm(false);
	return gone < 0 ? gone : r == -ETIMEDOUT ? RK_DEMO_STEP_MISSED : r;
}
