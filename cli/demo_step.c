/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_step.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "base/clock.h"

#define LOOK_US 5000 /* how often a wait looks at the clock */
#define WAIT_MS 30   /* for one instruction: longer ones are system calls that wait */
#define HALT_MS 500  /* for a process that shall stop; it may be waiting for a CPU */

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

/* Makes a process that runs stand; then nobody traces it any more. */
static int let_go(pid_t pid, bool stands, bool stay)
{
	if (!stands) {
		int r = ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 ?
				-errno : await_stop(pid, rk_clock_ns() + HALT_MS * RK_NS_PER_MS);

		if (r < 0)
			return r;
	}
	/* Pending, it stops the process before its next instruction of its own; a stop from before ends. */
	(void)kill(pid, stay ? SIGSTOP : SIGCONT);
	return ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0 ? -errno : 0;
}

static int step(pid_t pid, rk_demo_is_there is_there, void *arg, uint64_t deadline_ns, bool *ret_stands)
{
	uint64_t now_ns;
	int number = 0;

	for (;;) {
		if (is_there(arg))
			return 0;
		now_ns = rk_clock_ns();
		if (now_ns > deadline_ns)
			return RK_DEMO_STEP_MISSED;
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, (void *)(intptr_t)number) < 0)
			return -errno;
		*ret_stands = false;
		number = await_stop(pid, now_ns + WAIT_MS * RK_NS_PER_MS);
		if (number == -ETIMEDOUT)
			return RK_DEMO_STEP_MISSED;
		if (number < 0)
			return number;
		*ret_stands = true;
	}
}

int rk_demo_step_until(pid_t pid, rk_demo_is_there is_there, void *arg, uint32_t timeout_ms, bool stay)
{
	uint64_t deadline_ns = rk_clock_ns() + timeout_ms * RK_NS_PER_MS;
	bool stands = true;
	int r, gone;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return -errno;
	set_alarm(true);
	r = ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 ? -errno : await_stop(pid, deadline_ns);
	if (r >= 0)
		r = step(pid, is_there, arg, deadline_ns, &stands);
	else if (r == -ETIMEDOUT)
		stands = false;
	gone = r == -ESRCH ? r : let_go(pid, stands, r == 0 || stay);
	set_alarm(false);
	return gone < 0 ? gone : r == -ETIMEDOUT ? RK_DEMO_STEP_MISSED : r;
}
