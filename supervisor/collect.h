/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collect: the memory of a fleet of which neither keeper nor systemd's store has anything left, or
 * only a part, which is given up. Its workers have it still: each holds every segment but the journal.
 * Of those that live in this unit's control group the segments, and the pipe of their news, are opened
 * again through /proc, the board to be written too; they need not do anything.
 * Memory that most of a fleet's workers do not have is nobody's: those that have it are ended. The journal is made anew from the
 * shared words alone:
 *
 *   a slot whose lease is held by a thread of a living worker     its process
 *   a slot that was used, and is not held                         its process has died: repair, and start
 *   a partition                                                   whoever its owner word names
 *   a client, a reader                                            as the published view and the lines name them
 *
 * What was nowhere but in the journal is forgotten: who is drained, paused or stopped, restarts
 * counted so far, a rolling restart. Client ids go on far behind the largest that is seen. A worker
 * that holds no lease, since it was just starting, or parked as a standby, is killed; what workers
 * have started themselves is left alone.
 *
 * What was collected becomes what keeper holds, and is then adopted like anything else.
 *
 * Who       the supervisor, at its start, under a keeper whose fleets outlive it, until one of them has
 *           been ready.
 * Crash     the next one collects again: what was collected counts once keeper has been given all of it.
 * Blocking  reads /proc; waits for the processes that it kills, 2 s at most for all of them together.
 */
#ifndef RK_SUPERVISOR_COLLECT_H
#define RK_SUPERVISOR_COLLECT_H

#include "supervisor/inherit.h"
#include "supervisor/segments.h"

/*
 * Adds what is found to *in and gives it to keeper, in place of memory there that is not whole. Returns how many
 * fleets; -errno with a sentence.
 */
int rk_collect(struct rk_inherit *in, int link, struct rk_err *err);

/* Which process a thread is of: 0 = of none that is known. */
typedef pid_t (*rk_collect_whose)(uint32_t tid, void *arg);

/* One fleet's memory, without its journal, and who is asked about it. */
struct rk_collected {
	int fd[RK_SEGMENT_KINDS], news; /* -1 = it is not there, or was given away */
	uint64_t id[2];  /* of the fleet, as each segment has it */
	uint32_t number; /* what keeper is to call it */
	rk_collect_whose whose;
	void (*on_made)(void *arg); /* the journal is there: whoever whose() was not asked for is nobody */
	void *arg;
};

/*
 * Makes its journal, gives all to keeper, and adds it to *in. 0; -EEXIST: *in has a fleet of that name; -errno with a
 * sentence. What was not given away stays the caller's.
 */
RK_MUST_USE int rk_collect_memory(struct rk_collected *c, struct rk_inherit *in, int link, struct rk_err *err);

/*
 * Fills in the journal of a fleet whose other segments are mapped; m->journal is zero but for its head.
 * n_wanted: slots that shall have a process. whose: a worker's pid by the thread that holds a lease.
 */
void rk_collect_journal(const struct rk_shm *m, uint32_t n_wanted, rk_collect_whose whose, void *arg);

/* The unit that a process is in: the path of its control group, up to the unit; "" = in none. Pure. */
const char *rk_collect_unit(const char *cgroup_text, char *ret, size_t size);

#endif
