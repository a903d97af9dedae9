/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Try: one worker of a fleet is started in a place of its own, is given one job, or asked one probe, and stopped;
 * what is wrong with it is said with the one thing to do about it.
 *
 * Who       rekindle check --try. Blocking: some times as long as --timeout at most.
 * Crash     when it is killed its fleet ends, and a directory below /tmp is left.
 */
#ifndef RK_CLI_TRY_H
#define RK_CLI_TRY_H

#include "cli/args.h"

/* Returns the exit status. */
int rk_cli_try(const struct rk_args *a);

#endif
