/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hog: a process that burns CPU beside demo's fleet, as a busy machine would.
 *
 * Who       start, end: demo, one thread. main: a process of its own.
 * Crash     demo's death ends them.
 */
#ifndef RK_CLI_DEMO_HOG_H
#define RK_CLI_DEMO_HOG_H

#include "cli/demo_child.h"

#define RK_DEMO_HOGS_MAX 256u

/* The hidden first argument that makes `rekindle demo` a hog. */
#define RK_DEMO_HOG_ARGUMENT "--as-hog"

/* Starts n of them. Returns 0 or -errno; those that were started are to be ended. */
RK_MUST_USE int rk_demo_hog_start(struct rk_demo_child *hogs, uint32_t n, struct rk_err *err);

/* Ends them. Accepts those that were not started. */
void rk_demo_hog_end(struct rk_demo_child *hogs, uint32_t n);

/* main() of a hog: never returns. */
_Noreturn void rk_demo_hog_main(void);

#endif
