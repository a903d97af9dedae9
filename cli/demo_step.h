/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step: bringing a process to the instruction where something is true, and leaving it there,
 * stopped, with nobody tracing it. ptrace(2): it runs until it writes a word that is watched by
 * a debug register, and goes on from there by single instructions; where there is no such
 * register, by single instructions from the beginning, which takes some 20 us each.
 *
 * Who       demo, one thread, towards descendants of its own (which Yama's default allows).
 * Crash     when the tracer dies the process goes on; with the watch still set, up to its next
 *           write there, which kills it. demo's death ends its fleet anyway.
 * Blocking  up to timeout_ms, and as long again as the process takes to let itself be stopped.
 */
#ifndef RK_CLI_DEMO_STEP_H
#define RK_CLI_DEMO_STEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"

enum rk_demo_where {
	RK_DEMO_FAR,  /* a write of the watched word comes first */
	RK_DEMO_NEAR, /* it may be there after any instruction */
	RK_DEMO_THERE
};

struct rk_demo_walk {
	enum rk_demo_where (*where)(void *arg); /* asked while the process stands */
	void *arg;
	uint64_t watch; /* address in the process, aligned; 0 = none */
	bool is_wide;   /* of 8 bytes, else of 4 */
	uint32_t timeout_ms;
	bool stay; /* also when it did not come there */
};

#define RK_DEMO_STEP_MISSED 1

/*
 * Walks the process. Returns 0: it is THERE, stopped as by SIGSTOP. RK_DEMO_STEP_MISSED: it did
 * not come there in time, and goes on, or stands if `stay`. -ESRCH: it ended. -EPERM and others:
 * tracing is not allowed here; nothing happened to it.
 */
RK_MUST_USE int rk_demo_step_until(pid_t pid, const struct rk_demo_walk *walk);

#endif
