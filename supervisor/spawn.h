/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spawn: making a worker process, in two steps, so that it runs nothing before it is recorded.
 *
 *   hold: clone3 ---- child: descriptors, signals, PDEATHSIG; waits at its gate
 *   (the caller gives the pidfd to keeper and records it)
 *   go:   one byte -- child: exec; or end of file: the supervisor died, the child ends
 *
 * The gate is one end of a close-on-exec socket pair. When exec fails, the child writes the
 * errno there and exits 127.
 *
 * Who       the supervisor's loop.
 * Crash     killed before go: the child reads end of file and ends. Keeper killed: PDEATHSIG
 *           ends the child, which is keeper's (CLONE_PARENT).
 * Blocking  never; no allocation. The supervisor has threads, so the child calls nothing but
 *           async-signal-safe functions between clone and exec.
 */
#ifndef RK_SUPERVISOR_SPAWN_H
#define RK_SUPERVISOR_SPAWN_H

#include <limits.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macro.h"

#define RK_SPAWN_FDS 8u          /* board, beats, calls, queues, parts, state, dead, news */
#define RK_SPAWN_ENVIRONMENT 160 /* bytes of "REKINDLE_WORKER=…" */

/* Everything a worker of this fleet is started with. */
struct rk_spawn {
	char path[PATH_MAX]; /* of the program */
	char *const *argv;   /* borrowed */
	char **envp;         /* owned; the last entry is `worker` */
	char worker[RK_SPAWN_ENVIRONMENT];
	char batch[32];
	int fds[RK_SPAWN_FDS]; /* owned duplicates, out of the way of the child's numbers */
	int null;              /* the workers' standard input */
	pid_t keeper;
	struct rlimit nofile; /* as we were given it */
};

/* A process between hold and its end; the caller owns the descriptors. */
struct rk_spawned {
	pid_t pid;
	int pidfd;
	int gate;
	uint64_t pidfd_inode;
};

/*
 * Looks for the program as a shell would: with a '/' as it stands, else along PATH. Returns 0
 * and its path; -ENOENT, -EACCES with a sentence that says what to do.
 */
RK_MUST_USE int rk_spawn_find(const char *command, char ret[static PATH_MAX], struct rk_err *err);

/*
 * Prepares for argv (borrowed). fds are duplicated. batch 0 leaves the choice to the worker.
 * Returns 0 or -errno; rk_spawn_close() afterwards in any case.
 */
RK_MUST_USE int rk_spawn_init(struct rk_spawn *s, char *const *argv, const int fds[RK_SPAWN_FDS],
			      uint32_t batch, struct rk_err *err);
void rk_spawn_close(struct rk_spawn *s);

/* Makes the process and holds it at its gate. Returns 0 or -errno. */
RK_MUST_USE int rk_spawn_hold(struct rk_spawn *s, uint32_t worker, uint64_t incarnation,
			      struct rk_spawned *ret);

/* Lets it run. Returns 0; -EPIPE if it is dead already: its pidfd says so too. */
RK_MUST_USE int rk_spawn_go(const struct rk_spawned *p);

/* Why exec failed in a process that has ended: its errno, or 0. */
int rk_spawn_exec_error(int gate);

#endif
