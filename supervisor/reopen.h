/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reopen: what `rekindled --reopen` does, behind each end of keeper under systemd, before the next one
 * is started. Where a fleet has limits (cgroup.h) the unit's control group passes controllers on, and
 * the kernel lets no process into such a group: systemd could not start keeper in it again (EBUSY),
 * and the workers would be left alone. So the controllers are taken back, from the bottom up; the
 * next supervisor passes them on again and sets the limits. What workers have of memory by then is
 * counted no more, only what they take from there on.
 *
 * Who       ExecStopPost= of rekindle@.service: systemd runs it in ".control" below the unit's group.
 * Crash     the next one goes on.
 * Blocking  file system calls (cgroupfs).
 */
#ifndef RK_SUPERVISOR_REOPEN_H
#define RK_SUPERVISOR_REOPEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/macro.h"

/*
 * The unit's group, given /proc/self/cgroup of its control process. False where that is in none, or
 * not in version 2. Pure.
 */
bool rk_reopen_unit(const char *cgroup_text, char *ret, size_t size);

/* Takes back the controllers of a group and of all below it. dir stays the caller's. 0; -errno. */
RK_MUST_USE int rk_reopen(int dir, struct rk_err *err);

/* All of it. Returns the exit status. */
int rk_reopen_run(void);

#endif
