/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroup: a control group (version 2) of its own for each worker, below that of rekindled, where
 * that one is delegated to us: then a worker's whole tree can be killed at once, whatever its
 * processes made of sessions and parents, and the limits of a fleet hold.
 *
 *   OURS/rekindle-NAME-KEEPER        KEEPER is its pid: names are used in several directories
 *     main                           keeper and supervisor, only where a limit is set: processes
 *                                    may not live where controllers are passed on
 *     FLEET                          MemoryHigh, MemoryMax, CPUWeight, TasksMax: of all workers
 *     FLEET/N                        one worker and whatever it starts
 *
 * N is the fleet's count of such groups, in its journal: on Linux 6.18 whatever is born into a group
 * that was ever killed (CLONE_INTO_CGROUP) is killed too, and moving a process into one takes
 * 10 ms. A group that is empty when its worker is dead, the usual case, is used again.
 *
 * Delegated is what systemd says is (Delegate=), what belongs to our user, and the root of a
 * container. Where nothing is, the struct is empty, and every call on it does nothing.
 *
 * Who       open, slot, limits, close: the supervisor's loop. remove: keeper, at its end.
 * Crash     a dead supervisor leaves directories; its successor takes over those of the workers and
 *           removes the others, keeper what is left at the end, and those of a dead keeper go when
 *           the next one of that name starts.
 * Blocking  file system calls (cgroupfs); a kill returns before its victims are gone.
 */
#ifndef RK_SUPERVISOR_CGROUP_H
#define RK_SUPERVISOR_CGROUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macro.h"
#include "supervisor/options.h"

struct rk_cgroup {
	int dir; /* of the fleet; -1 = none */
	_Atomic uint64_t *last; /* number */
};

struct rk_cgroup_name {
	const char *name; /* of the configuration */
	pid_t keeper;
	const char *fleet;
	_Atomic uint64_t *last; /* number given, in the journal: outlives us */
};

/* A slot's. */
struct rk_cgroup_slot {
	int dir;         /* -1 = none */
	int events;      /* its cgroup.events, which every death asks; -1 with dir */
	bool has_memory; /* there is a memory.events, decided with dir */
	uint64_t n;      /* its number; without dir: one that was adopted, and not opened yet; 0 = none */
	uint64_t killed; /* the one before, whose processes had to be killed; 0 = none */
};

#define RK_CGROUP_SLOT_NONE ((struct rk_cgroup_slot){ .dir = -1, .events = -1 })

#define RK_CGROUP_NONE 1 /* nothing is delegated */

/* Where version 2 is mounted; false: nowhere. */
bool rk_cgroup_mount(char *ret, size_t size);

/*
 * Makes the fleet's group and sets its limits. Returns 0; RK_CGROUP_NONE, and the struct is empty;
 * -errno when the group is there but a limit of the options does not hold. err says why, in both
 * cases.
 */
RK_MUST_USE int rk_cgroup_open(struct rk_cgroup *c, const struct rk_cgroup_name *name,
			       const struct rk_fleet_options *o, struct rk_err *err);

/* Sets the limits anew. 0; -errno with a sentence that names the first that does not hold. */
RK_MUST_USE int rk_cgroup_limit(const struct rk_cgroup *c, const struct rk_fleet_options *o,
				struct rk_err *err);

/* How many of the options ask for a limit. */
uint32_t rk_cgroup_wanted(const struct rk_fleet_options *o);

/* Removes the fleet's group, and what is left of the slots'. */
void rk_cgroup_close(struct rk_cgroup *c);

/* Makes a slot's group unless it has one. Returns its directory, which stays the slot's; or -1. */
int rk_cgroup_slot_open(const struct rk_cgroup *c, struct rk_cgroup_slot *s);

/* Takes over the one of this number, which a supervisor that died has made. It is opened when it is needed. */
void rk_cgroup_slot_adopt(const struct rk_cgroup *c, struct rk_cgroup_slot *s, uint64_t n);

/* Behind that: ends and removes the fleet's other groups. used: n numbers, which it sorts. */
void rk_cgroup_sweep(const struct rk_cgroup *c, uint64_t *used, uint32_t n);

/* Removes a slot's group; if something still lives in it, that goes with the fleet's. */
void rk_cgroup_slot_close(const struct rk_cgroup *c, struct rk_cgroup_slot *s);

/* Ends every process of a slot's group. Returns whether there was one. The next one needs a new
 * group. */
bool rk_cgroup_slot_kill(const struct rk_cgroup *c, struct rk_cgroup_slot *s);

/*
 * Before that: a descriptor by which it can be seen when the last of them is gone (EPOLLPRI, rk_cgroup_is_populated()),
 * the caller's; -1 when there is nobody, or no group.
 */
RK_MUST_USE int rk_cgroup_slot_watch(const struct rk_cgroup *c, struct rk_cgroup_slot *s);

/* False also when the group is removed. */
bool rk_cgroup_is_populated(int events);

/* How many of its processes the kernel has killed for want of memory; 0 when that is not known. */
uint64_t rk_cgroup_slot_oom_kills(const struct rk_cgroup *c, struct rk_cgroup_slot *s);

/* Keeper, when no process is left: removes what is there of its groups. */
void rk_cgroup_remove(const char *name, pid_t keeper);

#endif
