/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child: making a process of keeper's, in two steps, so that it runs nothing before it is
 * recorded.
 *
 *   hold: clone3 ---- child: descriptors, signals, PDEATHSIG, setup.h; waits at its gate
 *   (the caller gives the pidfd to keeper and records it)
 *   go:   one byte -- child: exec; or end of file: the supervisor died, the child ends
 *
 * The gate is one end of a close-on-exec socket pair. When a step before exec fails, or exec
 * itself, the child writes which one and its errno there and exits 127.
 *
 * Who       the supervisor's loop.
 * Crash     killed before go: the child reads end of file and ends. Keeper killed: PDEATHSIG
 *           ends the child, which is keeper's (CLONE_PARENT).
 * Blocking  never; no allocation. The supervisor has threads, so the child calls nothing but
 *           async-signal-safe functions between clone and exec.
 */
#ifndef RK_SUPERVISOR_CHILD_H
#define RK_SUPERVISOR_CHILD_H

#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"
#include "supervisor/setup.h"

#define RK_CHILD_FIRST 3 /* descriptor of the first */
#define RK_CHILD_FDS_MAX 92u
#define RK_CHILD_UNBEGUN 97 /* exit status of a child that was never let go: its supervisor has died */
#define RK_CHILD_FLOOR 96 /* the plan's descriptors lie here or above, out of the child's way */

/* What is to run, and how; all borrowed. */
struct rk_child_plan {
	const char *path; /* of the program */
	char *const *argv;
	char *const *envp;
	const int *fds; /* become 3, 4, … */
	uint32_t n_fds;
	int in;     /* standard input */
	int out;    /* standard output and error; -1: those of the supervisor */
	int cgroup; /* directory of the cgroup it is born into; -1: that of the supervisor */
	uint64_t mark; /* rk_mark_limit(); 0 = none */
	const struct rk_setup *setup;
};

/* A process between hold and its end; the caller owns the descriptors. */
struct rk_spawned {
	pid_t pid;
	int pidfd;
	int gate;
};

#define RK_NO_PROCESS ((struct rk_spawned){ .pidfd = -1, .gate = -1 })

/*
 * Once, in the supervisor, before the first child: what of this process's memory no child needs is
 * left out of their copies, which the kernel would otherwise make and drop for each (half of them
 * are the libraries'). What it cannot leave out is copied.
 */
void rk_child_prepare(void);

/* Makes the process and holds it at its gate. Returns 0 or -errno. */
RK_MUST_USE int rk_child_hold(const struct rk_child_plan *plan, struct rk_spawned *ret);

/* Lets it run. Returns 0; -EPIPE if it is dead already: its pidfd says so too. */
RK_MUST_USE int rk_child_go(const struct rk_spawned *p);

/* What failed in a process that has ended; its error is 0 if nothing did. Takes -1. */
struct rk_setup_failure rk_child_failure(int gate);

/* Sends a signal. 0 or -errno. */
int rk_child_signal(const struct rk_spawned *p, int sig);

/* The same to it and all that it has started in its session, SIGKILL. */
void rk_child_kill(const struct rk_spawned *p);

#endif
