/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child: a process that demo, or a pipeline, starts and may kill, held by a pidfd.
 *
 * Who       they, one thread: PDEATHSIG fires when the thread that forked ends.
 * Crash     when its parent is killed the kernel sends each child its death signal.
 * Blocking  only rk_demo_child_end().
 */
#ifndef RK_CLI_DEMO_CHILD_H
#define RK_CLI_DEMO_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct rk_demo_child {
	pid_t pid; /* 0 = none */
	int pidfd;
	int status; /* of the last one that ended: exit status, or 128 + signal */
};

struct rk_demo_spawn {
	const char *path;
	char *const *argv;
	int death_signal; /* what it gets when demo dies */
	int input;        /* its standard input; 0 = ours */
	int fd;           /* passed as descriptor 3; -1 = none */
	int output;       /* its standard output and error; -1 = ours */
};

/* Starts a process. Returns 0 or -errno; a program that cannot be executed ends with 127. */
RK_MUST_USE int rk_demo_child_start(struct rk_demo_child *ret, const struct rk_demo_spawn *spawn,
				    struct rk_err *err);

/* Sends a signal, if it runs. Returns whether it was sent. */
bool rk_demo_child_signal(const struct rk_demo_child *c, int signal);

/* Reaps it if it has ended: true, and its status stands in c. */
bool rk_demo_child_reap(struct rk_demo_child *c);

/* SIGTERM, then SIGKILL after timeout_ms; reaps it. Accepts one that does not run. */
void rk_demo_child_end(struct rk_demo_child *c, int timeout_ms);

/* pidfd_open(2) and pidfd_send_signal(2). */
int rk_demo_pidfd_open(pid_t pid);
bool rk_demo_pidfd_signal(int pidfd, int signal);

#endif
