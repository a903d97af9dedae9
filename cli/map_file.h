/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Map file: a file that is replaced as a whole, and only by other contents.
 *
 * Who       rekindle, one thread; who reads the file sees the old or the new one, complete.
 * Crash     killed in between, the old file stands, and at most another one beside it, whose name ends
 *           in ".new". It is not forced to the disk: after a power failure the fleet is not there either.
 * Blocking  as the file system does.
 */
#ifndef RK_CLI_MAP_FILE_H
#define RK_CLI_MAP_FILE_H

#include <stddef.h>

#include "base/err.h"

#define RK_MAP_FILE_SAME 1

/* Returns 0; RK_MAP_FILE_SAME: it has this text already, and was not touched; -EIO with a sentence. */
RK_MUST_USE int rk_map_file_put(const char *path, const char *text, size_t len, struct rk_err *err);

#endif
