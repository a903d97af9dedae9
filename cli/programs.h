/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs: where rekindled is, and how a program that is run as a child ended.
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

/* Finds rekindled, as rk_beside_find() does. */
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
