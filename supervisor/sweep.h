/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sweep: what `rekindled --sweep UNIT` does, the stop command of the companion unit
 * rekindle-sweep@NAME.service. Keeper ends its workers when it is stopped; it cannot when it is
 * dead already (a stop between its death and the restart) or hangs until systemd kills it. The
 * unit's KillMode=process then leaves them, and this ends them: every process of the unit's
 * control group (version 1 or 2), and what the runtime directory still holds.
 *
 * A unit that runs keeps its processes, and so does one whose restart is queued while systemd holds
 * its memory: the next keeper adopts them. (A start that follows a stop waits for this sweep, and
 * finds no memory: then the processes are nobody's.)
 *
 * Who       rekindled, instead of becoming keeper; as root.
 * Crash     nothing is half-done: the next sweep, or the next start, goes on.
 * Blocking  asks systemd over its private socket (25 s at most); waits for the processes' ends.
 */
#ifndef RK_SUPERVISOR_SWEEP_H
#define RK_SUPERVISOR_SWEEP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"
#include "shm/abi.h"

/* What systemd says of the unit. */
struct rk_sweep_unit {
	char active[32];       /* ActiveState */
	char job[32];          /* type of the queued job; "" = none */
	uint32_t n_stored;     /* descriptors that systemd holds for it */
	bool is_listening;     /* its socket unit is active: the runtime directory is that one's */
	bool is_held;          /* systemd has not forgotten its control group, and removes it */
	char group[PATH_MAX];  /* that group, from the root that we see */
};

enum rk_sweep_verdict {
	RK_SWEEP_END,     /* end what is left */
	RK_SWEEP_RUNS,    /* the unit is no dead one */
	RK_SWEEP_RETURNS, /* its next start finds its memory */
};

/* Pure. */
enum rk_sweep_verdict rk_sweep_judge(const struct rk_sweep_unit *u);

/* NAME of "rekindle@NAME.service". 0; -EINVAL for anything else, "/" among it. */
RK_MUST_USE int rk_sweep_name(const char *unit, char ret[static RK_NAME_MAX], struct rk_err *err);

/*
 * Where systemd keeps the unit's processes, given its slice ("a-b.slice" lies in "a.slice") and the
 * manager's own group. Pure. 0; -EINVAL when that is no path below the root, -ENAMETOOLONG.
 */
RK_MUST_USE int rk_sweep_group(const char *manager, const char *slice, const char *unit,
			       char ret[static PATH_MAX], struct rk_err *err);

/* Whether a process whose /proc/PID/cgroup is this text belongs to the group. Pure. */
bool rk_sweep_is_inside(const char *text, const char *group);

/*
 * SIGKILL to every process of a control group and those below it, again and again until none is
 * left. dir stays the caller's. Returns 0, or -errno with a sentence: -ETIME when some survive
 * until the deadline. *n is raised by how many were killed.
 */
RK_MUST_USE int rk_sweep_kill(int dir, uint64_t deadline_ns, uint32_t *n, struct rk_err *err);

/* Asks systemd. 0, or -errno with a sentence. */
RK_MUST_USE int rk_sweep_ask(const char *unit, const char *name, struct rk_sweep_unit *ret,
			     struct rk_err *err);

/* All of it, with a line in the log. Returns the exit status: 0, 1, or 64 for a unit that is none. */
int rk_sweep_run(const char *unit);

#endif
