/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conf_ask: answers the command lines that run nothing: --help, --check, --cat and their like.
 *
 * Who       rekindled, before it becomes keeper or supervisor.
 * Blocking  file system calls, and as the standard streams do.
 */
#ifndef RK_SUPERVISOR_CONF_ASK_H
#define RK_SUPERVISOR_CONF_ASK_H

#include "supervisor/conf.h"

/* sysexits.h where it has one. */
enum rk_exit {
	RK_EXIT_OK = 0,
	RK_EXIT_FAILED = 1,
	RK_EXIT_USAGE = 64,
	RK_EXIT_PERMISSION = 77,
	RK_EXIT_CONFIG = 78
};

/* Reads argv, which asks for something, and answers. Returns the exit status. */
enum rk_exit rk_conf_answer(int argc, char *const *argv);

/* What the caller runs already. */
struct rk_conf_running {
	const struct rk_conf *conf;
	uint64_t memory; /* bytes that its fleets hold */
};

/*
 * Reads what argv asks to run, which must outlive *ret's use, and checks it against this machine,
 * on which running (NULL: nothing) is the caller's own. *ret is the caller's. Returns RK_EXIT_OK; else a
 * status, *ret is what could be read, and what is wrong is in c or, if nothing could be, in err.
 */
enum rk_exit rk_conf_read(int argc, char *const *argv, const struct rk_conf_running *running, struct rk_conf *ret,
			  struct rk_complaints *c, struct rk_err *err);

/*
 * Loads what is to run and checks it against this machine. Returns RK_EXIT_OK, and *ret is the
 * caller's, or the exit status once everything that is wrong has been logged.
 */
enum rk_exit rk_conf_begin(int argc, char *const *argv, struct rk_conf *ret);

#endif
