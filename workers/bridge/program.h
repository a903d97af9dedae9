/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Program: the foreign program as a process: its start, with pipes or a terminal, and its tree.
 *
 * The bridge is a subreaper (rk_program_prepare()): what the program starts and leaves behind becomes
 * the bridge's child, so that the end of the tree can be seen. The program itself has
 * PDEATHSIG=KILL; what else it has started the supervisor finds when the bridge is killed
 * (supervisor/remnant.h).
 *
 * Who       the bridge's one thread.
 * Crash     killed before exec: the child sees it and ends.
 * Blocking  rk_program_start() until the child has executed its program.
 */
#ifndef RK_BRIDGE_PROGRAM_H
#define RK_BRIDGE_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macro.h"

#define RK_PROGRAM_FDS_MAX 96u

enum rk_program_stream {
	RK_STREAM_INHERITED, /* as the bridge's own */
	RK_STREAM_PIPE,
	RK_STREAM_TERMINAL, /* raw: nothing is echoed or translated */
};

struct rk_program_plan {
	char *const *argv; /* argv[0] a path, or looked for along PATH */
	char *const *envp;
	enum rk_program_stream in, out;
	const int *fds; /* become 3, 4, … */
	uint32_t n_fds;
	char *pid_variable; /* of envp, "NAME=" with room behind it for the program's pid; or NULL */
};

struct rk_program {
	pid_t pid;   /* 0 = none */
	int in, out; /* our ends, non-blocking; -1 = none, and where both are one terminal two descriptors of it */
};

#define RK_PROGRAM_NONE ((struct rk_program){ .in = -1, .out = -1 })

/* Once: makes this process the one whose children orphans become. 0 or -errno. */
RK_MUST_USE int rk_program_prepare(void);

/* Returns 0; -errno with a sentence that names the program: it could not be executed, no pipe, … */
RK_MUST_USE int rk_program_start(const struct rk_program_plan *plan, struct rk_program *ret, struct rk_err *err);

/* Closes our ends. Accepts one that was not started. */
void rk_program_close(struct rk_program *p);

/* Whether a living process is below this one. */
bool rk_program_has_left_somebody(void);

/* Sends sig to every process below this one. Returns how many of them live; those made meanwhile are not among them. */
uint32_t rk_program_kill_tree(int sig);

#endif
