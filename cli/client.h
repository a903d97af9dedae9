/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client: how call and put open their place in a fleet.
 *
 * Who       rekindle. Blocking: as rk_client_open().
 */
#ifndef RK_CLI_CLIENT_H
#define RK_CLI_CLIENT_H

#include "cli/cli.h"
#include "workers/lib/rekindle.h"

/* When the time of --timeout, which begins now, is up: CLOCK_MONOTONIC ns. */
uint64_t rk_cli_client_deadline(const struct rk_args *a);

/*
 * Opens a place in the fleet of --name; name may be NULL. If there is a --timeout, supervisors that
 * do not answer, or die before they do, are asked until the deadline; else as rk_client_open() does.
 * Returns 0 or -errno with its sentence.
 */
RK_MUST_USE int rk_cli_client_open(struct rk_client **ret, const struct rk_args *a,
				   const char *name, uint64_t deadline_ns, struct rk_err *err);
void rk_cli_client_close_p(struct rk_client **client);

/* 0; -EINVAL for an empty key. */
RK_MUST_USE int rk_cli_key_check(const char *key, struct rk_err *err);

#endif
