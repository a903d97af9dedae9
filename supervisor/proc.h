/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proc: what /proc says of a process, through a descriptor opened while it lived, so that its
 * pid may be another's by the time we read.
 *
 * Who       the supervisor's loop. Blocking never (procfs).
 */
#ifndef RK_SUPERVISOR_PROC_H
#define RK_SUPERVISOR_PROC_H

#include <sys/types.h>

#include "base/macro.h"

/* Opens /proc/PID/stat. Returns a descriptor the caller owns, or -errno. */
RK_MUST_USE int rk_proc_open(pid_t pid);

/* Threads of the process: 0 when it is gone, -errno when that cannot be told. */
int rk_proc_threads(int stat_fd);

/* The same from the text of a stat file; pure. -EPROTO if it is none. */
int rk_proc_parse_threads(const char *text);

#endif
