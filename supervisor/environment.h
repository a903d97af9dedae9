/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Environment: what a child of the supervisor finds in environ: ours, without what is ours alone,
 * then HOME, USER and LOGNAME of User=, then Environment=, then EnvironmentFile=; the later wins.
 *
 * A file has one NAME=VALUE a line. Blank lines and those that begin with '#' or ';' say nothing;
 * a value in '…' or "…" is read as base/wordlist.h says, any other goes to the end of its line.
 *
 * Who       the supervisor's loop; whoever holds the struct owns it.
 * Blocking  file system calls, of regular files only; allocates.
 */
#ifndef RK_SUPERVISOR_ENVIRONMENT_H
#define RK_SUPERVISOR_ENVIRONMENT_H

#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"
#include "supervisor/options.h"

#define RK_ENVIRONMENT_SPARE 4u /* entries that the holder may put behind the others */

/* at[n] is NULL, and there is room for RK_ENVIRONMENT_SPARE borrowed ones before it. */
struct rk_environment {
	char **at;
	uint32_t n, room;
};

/* All but the files. 0 or -errno with a sentence. */
RK_MUST_USE int rk_environment_init(struct rk_environment *e, const struct rk_fleet_options *o,
				    struct rk_err *err);

/*
 * Makes a copy and adds what the files say now. Returns 0; -errno with a sentence that names file
 * and line: a file that is missing, unless '-' stands before it, unreadable, or holds a bad line.
 */
RK_MUST_USE int rk_environment_read(struct rk_environment *ret, const struct rk_environment *base,
				    const struct rk_fleet_options *o, struct rk_err *err);

/* Adds NAME=VALUE, in the place of one of the same name. 0; -EINVAL for a name that is ours. */
RK_MUST_USE int rk_environment_set(struct rk_environment *e, const char *variable,
				   struct rk_err *err);

/* Frees all; also a cleanup. */
void rk_environment_free_p(struct rk_environment *e);

#endif
