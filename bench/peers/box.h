/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A box around supervisors that are not ours, so that nothing of them stays behind, however the
 * bench ends. Where the kernel lets us, the box is a PID namespace whose first process is the
 * bench: with it all others end. Elsewhere a guard, to whom orphans are left, kills them.
 *
 * Who       the bench's main(), once, before it starts anything.
 * Crash     the bench killed: the guard ends the rest and removes its files. The guard killed:
 *           the bench is killed by the kernel, and in a namespace all else; its folder stays.
 */
#ifndef RK_BENCH_PEERS_BOX_H
#define RK_BENCH_PEERS_BOX_H

#include <limits.h>

struct box {
	char dir[64];             /* private; removed with all in it */
	char cgroup[PATH_MAX / 2]; /* an empty one of version 2; "" if there cannot be one */
};

/* Runs body in the box. Returns its exit status. */
int box_run(int (*body)(const struct box *box, void *arg), void *arg);

/* Removes what a peer made below a folder, or below a cgroup that holds no process any more. */
void box_empty(const char *dir);
void box_empty_cgroup(const char *cgroup);

#endif
