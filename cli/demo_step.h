/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step: bringing a process to the instruction where something is true, and leaving it there,
 * stopped, with nobody tracing it: ptrace(2), one instruction at a time.
 *
 * Who       demo, one thread, towards descendants of its own (which Yama's default allows).
 * Crash     when the tracer dies the process goes on.
 * Blocking  up to timeout_ms, and as long again as the process takes to let itself be stopped.
 */
#ifndef RK_CLI_DEMO_STEP_H
#define RK_CLI_DEMO_STEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"

/* Whether it is where it shall be; asked between two instructions. */
typedef bool (*rk_demo_is_there)(void *arg);

#define RK_DEMO_STEP_MISSED 1

/*
 * Steps the process until is_there(). Returns 0: it stands there, stopped as by SIGSTOP.
 * RK_DEMO_STEP_MISSED: it did not come there in time, and goes on, or stands if `stay`.
 * -ESRCH: it ended. -EPERM and others: tracing is not allowed here; nothing happened to it.
 */
RK_MUST_USE int rk_demo_step_until(pid_t pid, rk_demo_is_there is_there, void *arg, uint32_t timeout_ms,
				   bool stay);

#endif
