/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proc: what /proc, or its pidfd, says of a process, through a descriptor opened while it lived, so
 * that its pid may be another's by the time we read.
 *
 * Who       the supervisor's loop. Blocking never (procfs).
 */
#ifndef RK_SUPERVISOR_PROC_H
#define RK_SUPERVISOR_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"

/* Opens /proc/PID/stat. Returns a descriptor the caller owns, or -errno. */
RK_MUST_USE int rk_proc_open(pid_t pid);

/* Threads of the process, from the text of a stat file; pure. -EPROTO if it is none. */
int rk_proc_parse_threads(const char *text);

/* Whether it can run: not stopped, traced, dead or gone. Of what cannot be read, too. */
bool rk_proc_is_running(int stat_fd);

/* The same from the text of a stat file; pure. False if it is none. */
bool rk_proc_parse_running(const char *text);

/* When the process began, in ticks since the machine did. 0; -errno, -EPROTO. */
RK_MUST_USE int rk_proc_begun(int stat_fd, uint64_t *ret);

/* The same from the text of a stat file; pure. */
RK_MUST_USE int rk_proc_parse_begun(const char *text, uint64_t *ret);

struct rk_proc_end {
	int code, status; /* as its parent will be told: CLD_EXITED and so on */
	int n_threads;    /* 0 when it is gone; -errno when that cannot be told */
};

/*
 * How a process is ending, or has ended and is not reaped yet, in one read: it is on the way of a
 * dead worker's successor. Returns 0; -ENODATA where code and status are not known, as for an exit
 * status of 0, which a living process shows too; -ESRCH when it is reaped. Sets n_threads always.
 */
RK_MUST_USE int rk_proc_end(int stat_fd, struct rk_proc_end *ret);

/*
 * The same of one that may have been reaped, by its pidfd, with a status of 0 too. Linux 6.15;
 * -errno of older ones, and -ENODATA while it is not reaped.
 */
RK_MUST_USE int rk_proc_reaped(int pidfd, int *ret_code, int *ret_status);

/* The same from the text of a stat file; pure. -EPROTO if it is none. */
RK_MUST_USE int rk_proc_parse_exit(const char *text, int *ret_code, int *ret_status);

/*
 * How many processes the kernel of this machine has killed for want of memory, cgroups' limits
 * included. Returns 0; -errno, -EPROTO.
 */
RK_MUST_USE int rk_proc_oom_kills(uint64_t *ret);

/* The same from the text of /proc/vmstat; pure. */
RK_MUST_USE int rk_proc_parse_oom_kills(const char *text, uint64_t *ret);

/*
 * Whether a process has a handler for a signal, and does not only die of it. By its pid: ask only
 * about one that a pidfd says to live behind it. True or false; -errno, -EPROTO.
 */
RK_MUST_USE int rk_proc_catches(pid_t pid, uint32_t sig);

/* The same from the text of a status file; pure. */
RK_MUST_USE int rk_proc_parse_catches(const char *text, uint32_t sig);

#endif
