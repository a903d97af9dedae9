/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Beside: where the other files of this build are, be it installed or not: relative to the folder
 * that the running program's own file is in.
 *
 * Who       any process, any thread.
 * Blocking  looks at the file system.
 */
#ifndef RK_BASE_BESIDE_H
#define RK_BASE_BESIDE_H

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/macro.h"

/*
 * The path of what `beside` names from that folder; an absolute one is itself. False, and ret is of no use: it
 * is not there, or may not be looked at.
 */
RK_MUST_USE bool rk_beside(char ret[static PATH_MAX], const char *beside);

/*
 * Finds a program: at `beside`, a path from this program's own directory (the build's, or the one
 * installed into the same folder), then at `installed`, then its last word along PATH. Returns 0
 * and its path; -ENOENT with a sentence on where it was looked for.
 */
RK_MUST_USE int rk_beside_find(char ret[static PATH_MAX], const char *beside, const char *installed,
			       struct rk_err *err);

#endif
