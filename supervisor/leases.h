/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: how workers that outlive keeper learn of its death: a robust futex of keeper's in the beat
 * page of each (shm/beat.h). When keeper's thread ends, or executes another program, the kernel marks
 * those words and wakes who sleeps on them; no worker has to look by the clock.
 *
 * The list that the kernel goes through begins here and runs through the pages. Workers can write
 * there: one that damages it keeps others from hearing of keeper's death, and does nothing else, since
 * the kernel changes only words of this list that hold our thread's number.
 *
 * Who       keeper, its one thread: the list is a thread's. Nothing of glibc's robust mutexes may be
 *           used in it.
 * Crash     that is its purpose. A page is in the list before its word says so: killed in between, that
 *           worker has no lease yet, and the next keeper gives it one.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_LEASES_H
#define RK_SUPERVISOR_LEASES_H

#include <linux/futex.h>

#include "supervisor/held.h"

#define RK_LEASES_MAX 2000u       /* the kernel goes no further than 2048 */
#define RK_LEASES_OTHERS 128u     /* of them, kept for the first page of each further fleet */
#define RK_LEASES_FLEETS_MAX 64u

/* One fleet's beat pages. */
struct rk_leases_fleet {
	uint64_t tag;
	uint64_t inode;
	char *at;
	uint64_t len;
	uint32_t n; /* pages with a lease */
};

/* Zero is the empty value. Does not move in memory: the kernel has its address. */
struct rk_leases {
	struct robust_list_head head;
	bool is_open;
	uint32_t n_fleets, n;
	struct rk_leases_fleet fleet[RK_LEASES_FLEETS_MAX];
};

/*
 * Gives every fleet whose memory is held its leases, and forgets those that are not held any more.
 * Cheap when nothing has changed.
 */
void rk_leases_follow(struct rk_leases *l, const struct rk_held *held);

#endif
