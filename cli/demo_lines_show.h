/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Show for lines: what `rekindle demo --kind=lines` prints.
 *
 * Who       demo --kind=lines, one thread.
 */
#ifndef RK_CLI_DEMO_LINES_SHOW_H
#define RK_CLI_DEMO_LINES_SHOW_H

#include "cli/demo_lines_chaos.h"
#include "cli/demo_lines_ledger.h"

struct rk_demo_lines_plan {
	uint32_t n_workers, n_clients, n_in_flight;
	uint64_t seconds, seed, elapsed_ns;
	char command[256]; /* for people */
	bool is_exact, json;
};

void rk_demo_lines_show_begin(const struct rk_demo_lines_plan *p);
void rk_demo_lines_show_moment(const struct rk_demo_lines_plan *p, uint64_t elapsed_ns, uint64_t n_answered, uint64_t per_s,
			       const struct rk_demo_lines_chaos *c);
void rk_demo_lines_show_result(const struct rk_demo_lines_plan *p, const struct rk_demo_lines_verdict *v,
			       const struct rk_demo_lines_chaos *c);

#endif
