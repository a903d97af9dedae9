/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs: where the other programs of this build are, be it installed or not.
 *
 * Who       rekindle, one thread.
 * Blocking  never; looks at the file system.
 */
#ifndef RK_CLI_PROGRAMS_H
#define RK_CLI_PROGRAMS_H

#include <limits.h>

#include "base/err.h"

/*
 * Finds a program: at `beside`, a path from this program's own directory (the build's, or the one
 * installed into the same folder), then at `installed`, then its last word along PATH. Returns 0
 * and its path; -ENOENT with a sentence on where it was looked for.
 */
RK_MUST_USE int rk_programs_find(char ret[static PATH_MAX], const char *beside, const char *installed,
				 struct rk_err *err);

/* The same for rekindled. */
RK_MUST_USE int rk_programs_daemon(char ret[static PATH_MAX], struct rk_err *err);

#endif
