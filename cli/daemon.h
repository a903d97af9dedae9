/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Daemon: rekindle becomes rekindled, which alone knows configurations.
 *
 * Who       rekindle's commands run, check and cat.
 */
#ifndef RK_CLI_DAEMON_H
#define RK_CLI_DAEMON_H

#include "base/wordlist.h"

#define RK_DAEMON "rekindled"

/* Begins its argument vector. Returns 0 or -ENOMEM. */
RK_MUST_USE int rk_daemon_begin(struct rk_wordlist *argv);

/* Appends --NAME=VALUE, or --NAME without a value. Returns 0 or -ENOMEM. */
RK_MUST_USE int rk_daemon_option(struct rk_wordlist *argv, const char *name, const char *value);

/*
 * Executes the rekindled beside this program, else the installed one, else the one along PATH.
 * Returns only when there is none: then it has been complained, and this is the exit status.
 */
int rk_daemon_exec(char *const *argv);

#endif
