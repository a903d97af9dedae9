/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finals: what demo's fleet says of each word when all clients have ended.
 *
 * Who       demo, once. Blocking: until the fleet has answered for every word.
 */
#ifndef RK_CLI_DEMO_FINALS_H
#define RK_CLI_DEMO_FINALS_H

#include "cli/demo_ledger.h"

/* Asks for the count of each word of the dictionary. Returns 0 or -errno. */
RK_MUST_USE int rk_demo_finals_ask(const char *fleet, const struct rk_demo_ledger *l, uint64_t *finals,
				   struct rk_err *err);

/* Writes them to a file as `sort | uniq -c` would, but for the order. Returns 0 or -errno. */
RK_MUST_USE int rk_demo_finals_write(const struct rk_demo_ledger *l, const uint64_t *finals, const char *path,
				     struct rk_err *err);

/*
 * What a build with fault points makes of its environment is for clients and workers, not for demo
 * itself; whoever opens a client reads it again.
 */
void rk_demo_finals_disarm(void);

#endif
