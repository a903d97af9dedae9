/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Whoever holds the pid of a process that is gone takes no other for it that has the
 *         number now: it is not signaled, nor are its children, and nothing is read of it.
 * Method  A pid namespace of the test's own, in which the kernel is told what number comes next.
 *         Each claim makes a process, lets the product get hold of it, ends and reaps it, and gives
 *         its number to an innocent that has a child; then the product is asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macro.h"
#include "supervisor/child.h"
#include "supervisor/killer.h"
#include "supervisor/proc.h"
#include "tests/fault/tap.h"

#define ANSWER_MS 2000 /* of one that is dead; the others take no time */
#define NUMBER 1000    /* that passes from one to the other; nothing else gets near it */

/* What goes wrong here is the test's, not the product's. */
static void need(bool is, const char *what)
{
	if (is)
		return;
	(void)printf("Bail out! %s: %m\n", what);
	exit(EXIT_FAILURE);
}

/* ---- processes ---- */

/* The next process has this number. */
static void number_next(pid_t number)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", (int)number - 1);
	rk_cleanup(rk_close_p) int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);

	need(fd >= 0 && write(fd, text, (size_t)len) == len, "ns_last_pid");
}

/* A process and its child; each answers what it is asked, which nobody does who has a fatal signal.
 */
struct family {
	int ask[2], answers;
};

static _Noreturn void answer(int ask, int told)
{
	char byte;

	while (read(ask, &byte, 1) == 1)
		(void)!write(told, &byte, 1);
	_exit(0);
}

/* Asks this one; a dead one lets us wait in vain. */
static bool lives(const struct family *f, int which)
{
	struct pollfd p = { .fd = f->answers, .events = POLLIN };
	char byte;

	return write(f->ask[which], "x", 1) == 1 && poll(&p, 1, ANSWER_MS) == 1 &&
	       read(f->answers, &byte, 1) == 1;
}

static _Noreturn void live(const int ask[2][2], const int told[2])
{
	(void)setpgid(0, 0); /* as workers do */
	(void)signal(SIGCHLD, SIG_IGN);
	(void)close(ask[0][1]);
	(void)close(ask[1][1]);
	if (fork() == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		answer(ask[1][0], told[1]);
	}
	answer(ask[0][0], told[1]);
}

/* Of this number, the child has the next; returns when both are there. */
static struct family born(pid_t number)
{
	int ask[2][2], told[2];
	struct family f;
	pid_t pid;

	need(pipe2(ask[0], O_CLOEXEC) == 0 && pipe2(ask[1], O_CLOEXEC) == 0 &&
		     pipe2(told, O_CLOEXEC) == 0,
	     "pipes");
	do { /* a number is free a moment after kill() says that nobody has it */
		number_next(number);
		pid = fork();
		if (pid == 0 && getpid() == number)
			live(ask, told);
		if (pid == 0)
			_exit(0);
		need(pid > 0, "fork");
	} while (pid != number && waitpid(pid, NULL, 0) == pid);
	(void)close(ask[0][0]);
	(void)close(ask[1][0]);
	(void)close(told[1]);
	f = (struct family){ { ask[0][1], ask[1][1] }, told[0] };
	need(lives(&f, 0) && lives(&f, 1), "both processes");
	return f;
}

/* Ends it and reaps it, and its child, which is ours by then if it lives. */
static void buried(pid_t number, struct family *f)
{
	(void)kill(number, SIGKILL);
	need(waitpid(number, NULL, 0) == number, "waitpid");
	while (waitpid(-1, NULL, 0) > 0)
		;
	rk_close_p(&f->ask[0]);
	rk_close_p(&f->ask[1]);
	rk_close_p(&f->answers);
}

/* What the product holds of the first one. */
struct held {
	int pidfd, stat_fd;
	struct rk_observatory *shared;
	struct rk_observe *observe;
	struct rk_killer *killer;
};

static struct held hold(pid_t number)
{
	struct held h = { .pidfd = (int)syscall(SYS_pidfd_open, number, 0),
			  .stat_fd = rk_proc_open(number),
			  .shared = calloc(1, sizeof(*h.shared)),
			  .killer = calloc(1, sizeof(*h.killer)) };

	need(h.pidfd >= 0 && h.stat_fd >= 0 && h.shared && h.killer, "a hold on the process");
	rk_observatory_init(h.shared);
	rk_observatory_init(&h.killer->observatory);
	need(rk_observe_open(h.shared, number, h.pidfd, &h.observe) == 0, "rk_observe_open");
	return h;
}

static void let_go(struct held *h)
{
	rk_observe_close(h->observe);
	rk_close_p(&h->pidfd);
	rk_close_p(&h->stat_fd);
	free(h->shared);
	free(h->killer);
}

/* ---- claims ---- */

static bool live_both(const struct family *new)
{
	return lives(new, 0) && lives(new, 1);
}

static bool nothing_is_read_of_the_new_one(struct held *h, const struct family *new)
{
	struct rk_proc_end end;

	(void)new;
	return rk_proc_end(h->stat_fd, &end) == -ESRCH && end.n_threads == 0 &&
	       !rk_proc_is_running(h->stat_fd);
}

static bool an_observation_says_that_it_is_gone(struct held *h, const struct family *new)
{
	struct rk_look look;

	(void)new;
	rk_observe_look(h->observe, true, rk_clock_ns(), &look);
	return look.is_gone;
}

static bool none_is_begun_of_the_new_one(struct held *h, const struct family *new)
{
	struct rk_observe *o = NULL;
	int r = rk_observe_open(h->shared, NUMBER, h->pidfd, &o);

	(void)new;
	if (r == 0)
		rk_observe_close(o);
	return r == -ESRCH;
}

static bool the_killer_spares_the_new_one_and_its_children(struct held *h, const struct family *new)
{
	return rk_killer_kill(h->killer, NUMBER, h->pidfd) == 0 && live_both(new);
}

static bool a_child_s_signals_do_not_reach_the_new_one(struct held *h, const struct family *new)
{
	struct rk_spawned p = { .pid = NUMBER, .pidfd = h->pidfd, .gate = -1 };

	rk_child_kill(&p);
	return rk_child_signal(&p, SIGTERM) == -ESRCH && live_both(new);
}

static const struct {
	bool (*holds)(struct held *h, const struct family *new);
	const char *claim;
} claims[] = {
	{ nothing_is_read_of_the_new_one,
	  "what was opened of a process reads nothing of the one that has its pid now" },
	{ an_observation_says_that_it_is_gone, "an observation says that its process is gone" },
	{ none_is_begun_of_the_new_one, "none is begun of another that has the pid" },
	{ the_killer_spares_the_new_one_and_its_children, "the killer spares it and its children" },
	{ a_child_s_signals_do_not_reach_the_new_one,
	  "nor does any signal for a worker reach it or its group" },
};

static bool holds(size_t claim)
{
	struct family old = born(NUMBER), new;
	struct held h = hold(NUMBER);
	bool ok;

	buried(NUMBER, &old);
	new = born(NUMBER);
	ok = claims[claim].holds(&h, &new);
	let_go(&h);
	buried(NUMBER, &new);
	return ok;
}

/* Of a living one, but the child that was listed a moment ago is gone, and its number another's. */
static bool the_killer_spares_who_is_no_child(void)
{
	struct family old = born(NUMBER), new;
	struct held h = hold(NUMBER);
	bool ok;

	need(rk_tree_refresh(&h.killer->observatory.tree, rk_clock_ns(), 0) == 0, "a listing");
	need(kill(NUMBER + 1, SIGKILL) == 0, "kill");
	while (kill(NUMBER + 1, 0) == 0) /* its parent reaps it at once */
		(void)sched_yield();
	new = born(NUMBER + 1);
	h.killer->observatory.tree.at_ns =
		rk_clock_ns(); /* young still, whatever the machine did */
	ok = rk_killer_kill(h.killer, NUMBER, h.pidfd) == 0 && live_both(&new);
	let_go(&h);
	need(waitpid(NUMBER, NULL, 0) == NUMBER, "the root's end");
	buried(NUMBER + 1, &new);
	for (size_t i = 0; i < rk_countof(old.ask); i++)
		rk_close_p(&old.ask[i]);
	rk_close_p(&old.answers);
	return ok;
}

static int in_namespace(void)
{
	struct tap t = { 0 };

	need(mount("proc", "/proc", "proc", 0, NULL) == 0, "mount of /proc");
	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < rk_countof(claims); i++)
		(void)tap_result(&t, holds(i), claims[i].claim);
	(void)tap_result(&t, the_killer_spares_who_is_no_child(),
			 "the killer spares who has the pid of a child that is gone");
	return tap_end(&t);
}

/* Our children are born in a namespace of their own, the first as its init. */
int main(void)
{
	int flags = CLONE_NEWPID | CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0), status;
	pid_t pid;

	if (unshare(flags) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		(void)printf("1..0 # SKIP pidns: no pid namespace can be made: %m\n");
		return EXIT_SUCCESS;
	}
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		exit(in_namespace());
	}
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}
