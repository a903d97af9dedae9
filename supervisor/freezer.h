/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freezer: whether the cgroup of a process is frozen. cgroup v2 shows its frozen threads asleep,
 * v1 shows them in state D: the state letter tells neither.
 *
 * Who       the thread that observes.
 * Blocking  never; no allocation.
 */
#ifndef RK_SUPERVISOR_FREEZER_H
#define RK_SUPERVISOR_FREEZER_H

#include <stdbool.h>

/* -1 where this machine, or this process, has no such cgroup. */
struct rk_freezer {
	int events_fd; /* v2: cgroup.events */
	int state_fd;  /* v1: freezer.state */
};

#define RK_FREEZER_NONE ((struct rk_freezer){ -1, -1 })

/*
 * Follows the cgroups that the text of /proc/PID/cgroup names. What was open is closed first;
 * what cannot be opened counts as not frozen.
 */
void rk_freezer_follow(struct rk_freezer *f, const char *cgroups);

bool rk_freezer_is_frozen(const struct rk_freezer *f);

void rk_freezer_close(struct rk_freezer *f);

#endif
