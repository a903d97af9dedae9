/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signs: what is seen of a program's life: probes, and what it tells with sd_notify(3).
 *
 *   start ──good probe, READY=1, or where neither is awaited 100 ms──> ready
 *   ready ──each ProbeInterval──> probe; from its start until a good answer the worker says that it waits for one,
 *           until ProbeFailures of them would have failed. Past that the supervisor judges, with evidence, as it
 *           does a job that hangs (OnHang=). Nothing is judged before a probe has once succeeded.
 *   WATCHDOG=1 once seen, the same from each to the next.
 *
 * Who       the bridge's one thread.
 * Blocking  never.
 */
#ifndef RK_BRIDGE_SIGNS_H
#define RK_BRIDGE_SIGNS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/macro.h"

struct rk_bridge;
struct rk_signs;

/* Before the program starts. b->signs is set. Returns 0 or -errno with a sentence. */
RK_MUST_USE int rk_signs_open(struct rk_bridge *b, struct rk_err *err);

/* "NOTIFY_SOCKET=…" and "WATCHDOG_USEC=…" for the program's environment, borrowed; NULL where there is none. */
const char *rk_signs_variable(const struct rk_bridge *b, unsigned int i);
#define RK_SIGNS_VARIABLES 2u

/* Whether these signs will tell that it is ready; else it is by living on for a while. */
bool rk_signs_tell_ready(const struct rk_bridge *b);

/* Whether the last signs that were looked for did not come: that is told then, and not what came of it. */
bool rk_signs_is_failing(const struct rk_bridge *b);

/* The program runs; it is asked to end; all is freed. */
void rk_signs_begin(struct rk_bridge *b);
void rk_signs_end(struct rk_bridge *b);
void rk_signs_close(struct rk_bridge *b);

#endif
