/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs: where the other programs of this build are, be it installed or not, and how one that is
 * run as a child ended.
 *
 * Who       rekindle, one thread.
 * Blocking  finding never: looks at the file system. Running for as long as the child runs.
 */
#ifndef RK_CLI_PROGRAMS_H
#define RK_CLI_PROGRAMS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

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

/* A program to run: what it says goes where ours goes, unless it is kept or hidden. */
struct rk_programs_child {
	char *const *argv; /* argv[0] is a path, or looked for along PATH */
	char *out;         /* keeps the first `size` bytes of its standard output, a NUL among them;
			      NULL: goes where ours goes */
	size_t size;
	bool hides_errors;
};

/*
 * Runs it and waits for its end. Returns its exit status, 128 and the number of the signal that
 * ended it, or -errno: it could not be executed (-ENOENT: there is no such program).
 */
RK_MUST_USE int rk_programs_run(const struct rk_programs_child *child);

#endif
