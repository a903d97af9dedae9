/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children: keeper's, by birth or, since it is the subreaper, by inheritance. What is to end is
 * found by the kernel's list of them, and killed until the list is empty.
 *
 * Who       keeper.
 * Blocking  never, but rk_children_pause().
 */
#ifndef RK_SUPERVISOR_CHILDREN_H
#define RK_SUPERVISOR_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

/* Kills each. Their children are ours afterwards: it takes several rounds. */
void rk_children_kill(void);

/*
 * What a dead worker has left: every worker leads a session of its own, so whoever is in a
 * session without a leader is nobody's any more, but for those who are known: a worker that was
 * just made may not have left its dead supervisor's. Their children come to us when they end.
 */
void rk_children_kill_orphans(pid_t session, bool (*is_known)(pid_t pid, const void *arg), const void *arg);

#endif
