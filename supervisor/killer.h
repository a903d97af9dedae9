/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Killer: ends a worker together with everybody it has started. Those below it go first: the
 * children of a dead process belong to keeper and are in no worker's tree any more.
 *
 * Who       the supervisor's loop; not for deaths that somebody waits for.
 * Blocking  never (procfs); no allocation. A pass over /proc costs some µs per process.
 */
#ifndef RK_SUPERVISOR_KILLER_H
#define RK_SUPERVISOR_KILLER_H

#include <sys/types.h>

#include "supervisor/observe.h"

#define RK_KILLER_PASSES 4u /* over a tree that goes on forking */

struct rk_killer {
	struct rk_observatory observatory; /* the loop's own, for evidence too */
};

/*
 * SIGKILL to every process below this one and, last, to itself, which pidfd says it is. Returns
 * how many below it were sent one; 0 also where /proc shows nothing, and when it is reaped: whoever
 * has its pid by then, and what that has started, is left alone.
 */
uint32_t rk_killer_kill(struct rk_killer *k, pid_t pid, int pidfd);

#endif
