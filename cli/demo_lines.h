/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo --kind=lines: somebody else's filter as workers, under load, while bridges, filters and what is between
 * them are killed; then a verdict on each line that was sent, by a ledger that shares nothing with the fleet.
 *
 *   demo ─┬─ clients: handles of librekindle, in this process
 *         └─ keeper ─ supervisor, bridges ─ filters that note what they are given (demo_filter.h) ─ COMMAND
 *
 * Whatever way it ends, nothing of this is left.
 *
 * Who       rekindle, one thread. Blocking: for as long as the run takes.
 */
#ifndef RK_CLI_DEMO_LINES_H
#define RK_CLI_DEMO_LINES_H

#include "cli/args.h"

/* Returns the exit status, as rk_cli_demo(). */
int rk_demo_lines(const struct rk_args *a);

#endif
