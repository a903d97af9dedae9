/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tree: who is whose child, from one pass over /proc, so that a worker's descendants can be
 * found without a kernel that lists children. One pass serves every worker looked at soon after.
 *
 * A process whose parent died hangs under the nearest subreaper: it is in no worker's tree.
 *
 * Who       the thread that observes; it owns the struct.
 * Blocking  never (procfs); no allocation. A pass costs some µs per process of the machine.
 */
#ifndef RK_SUPERVISOR_TREE_H
#define RK_SUPERVISOR_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

#define RK_TREE_MAX 8192u /* processes of one pass */

struct rk_tree {
	uint64_t at_ns; /* of the last pass; 0 = never */
	uint32_t n;
	bool is_cut; /* the machine has more processes than that */
	int32_t pid[RK_TREE_MAX];
	int32_t parent[RK_TREE_MAX];
};

/* Looks anew unless the last pass is at most max_age_ns old. Returns 0 or -errno (then it is
 * empty). */
RK_MUST_USE int rk_tree_refresh(struct rk_tree *t, uint64_t now_ns, uint64_t max_age_ns);

/*
 * The processes below root, nearest first, without root. Returns how many were written, at most
 * max; *ret_cut says that there may be more.
 */
uint32_t rk_tree_below(const struct rk_tree *t, int32_t root, int32_t *ret_pid, uint32_t max,
		       bool *ret_cut);

/*
 * Calls each(arg, number) for every name of the directory that is a number; stops when it
 * returns false. Returns 0 or -errno. The descriptor's position is set to its start first.
 */
RK_MUST_USE int rk_tree_numbers(int dir_fd, bool (*each)(void *arg, int32_t number), void *arg);

#endif
