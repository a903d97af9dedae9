/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chaos for lines: SIGKILL for a bridge, or for one of the two processes below it, which one is drawn.
 *
 * Who       demo --kind=lines. Blocking: never (procfs).
 * Units     rates per second; ns.
 */
#ifndef RK_CLI_DEMO_LINES_CHAOS_H
#define RK_CLI_DEMO_LINES_CHAOS_H

#include "base/rand.h"
#include "cli/look.h"

enum rk_demo_lines_role { RK_DEMO_BRIDGE, RK_DEMO_FILTER, RK_DEMO_COMMAND, RK_DEMO_ROLES };

struct rk_demo_lines_chaos {
	struct rk_look *look;
	struct rk_rand random;
	uint32_t per_s, n_workers;
	uint64_t next_ns;
	uint64_t n_killed[RK_DEMO_ROLES];
};

/* Kills who is due by now. */
void rk_demo_lines_chaos_step(struct rk_demo_lines_chaos *c, uint64_t now_ns);

#endif
