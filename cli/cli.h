/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cli: what rekindle's commands share: exit statuses, complaints, and the handlers themselves.
 *
 * Who       rekindle, one thread.
 * Errors    a command prints one sentence on stderr that says what to do, and returns the status
 *           that fits.
 */
#ifndef RK_CLI_CLI_H
#define RK_CLI_CLI_H

#include "base/err.h"
#include "cli/args.h"

enum rk_cli_exit {
	RK_CLI_OK = 0,
	RK_CLI_FAILED = 1,
	RK_CLI_PARTLY = 2,
	RK_CLI_NOT_RUNNING = 3,
	RK_CLI_TIMEOUT = 4,
	RK_CLI_USAGE = 64,
	RK_CLI_UNREACHABLE = 69,
	RK_CLI_NOT_ALLOWED = 77, /* permission, or something that is not installed */
	RK_CLI_CONFIG = 78
};

/*
 * First call of a handler: reads its arguments by the table. Returns true to go on; else help
 * or a complaint has been printed and *ret_status is what the handler returns.
 */
RK_MUST_USE bool rk_cli_begin(struct rk_args *ret, int argc, char **argv, int *ret_status);

/*
 * The fleet that a command with [NAME] or --name means; NULL = whichever runs. Returns 0; -EINVAL
 * when both are given and differ.
 */
RK_MUST_USE int rk_cli_fleet(const struct rk_args *a, const char **ret, struct rk_err *err);

/*
 * The same for [NAME] [WORKER]: a first argument that is no WORKER, or is followed by another, is
 * the NAME and is taken from a->rest.
 */
RK_MUST_USE int rk_cli_fleet_take(struct rk_args *a, const char **ret, struct rk_err *err);

/* A WORKER, and not the NAME of a fleet: nothing but digits. */
bool rk_cli_is_worker(const char *text);

/* 'rekindle stop WORKER', of ops.c, with the arguments as 'rekindle stop' has read them. Returns the exit status. */
int rk_cli_stop_worker(const struct rk_args *a);

/* Prints "rekindle: …" on stderr, control characters as '?'. Returns status. */
RK_PRINTF(2, 3) int rk_cli_complain(int status, const char *fmt, ...);

/* The exit status for an error's code. Pure. */
int rk_cli_exit_for(int code);

/* Prints the error. Returns the status for its code. */
int rk_cli_fail(const struct rk_err *err);

/* Complains about a command that does not exist, naming the nearest. Returns the status. */
int rk_cli_unknown(const char *command);

/* Last thing in main(): a full disk or a closed pipe behind stdout is a failure too. */
int rk_cli_end(int status);

/* The commands. Each gets its own name in argv[0] and returns the exit status. */
int rk_cli_run(int argc, char **argv);
int rk_cli_check(int argc, char **argv);
int rk_cli_cat(int argc, char **argv);
int rk_cli_status(int argc, char **argv);
int rk_cli_key(int argc, char **argv);
int rk_cli_map(int argc, char **argv);
int rk_cli_call(int argc, char **argv);
int rk_cli_dead(int argc, char **argv);
int rk_cli_put(int argc, char **argv);
int rk_cli_stop(int argc, char **argv);
int rk_cli_restart(int argc, char **argv);
int rk_cli_scale(int argc, char **argv);
int rk_cli_drain(int argc, char **argv);
int rk_cli_undrain(int argc, char **argv);
int rk_cli_pause(int argc, char **argv);
int rk_cli_resume(int argc, char **argv);
int rk_cli_start(int argc, char **argv);
int rk_cli_reload(int argc, char **argv);
int rk_cli_upgrade(int argc, char **argv);
int rk_cli_list(int argc, char **argv);
int rk_cli_enable(int argc, char **argv);
int rk_cli_disable(int argc, char **argv);
int rk_cli_events(int argc, char **argv);
int rk_cli_logs(int argc, char **argv);
int rk_cli_why(int argc, char **argv);
int rk_cli_fault(int argc, char **argv);
int rk_cli_get(int argc, char **argv);
int rk_cli_demo(int argc, char **argv);
int rk_cli_help(int argc, char **argv);
int rk_cli_version(int argc, char **argv);

#endif
