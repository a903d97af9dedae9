/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storm: the brake of brake.h with the machine behind it: /proc/pressure/{cpu,memory,io}, kept
 * open and read only while restarts come in numbers, and then at most once a second.
 *
 * Who       the supervisor's loop; one for all fleets.
 * Blocking  never (procfs); a read costs some 10 µs, and none is made for a lone restart.
 * Units     ns.
 */
#ifndef RK_SUPERVISOR_STORM_H
#define RK_SUPERVISOR_STORM_H

#include "supervisor/brake.h"

struct rk_storm {
	struct rk_brake brake;
	int fd[RK_BRAKE_KINDS];            /* -1 = the kernel has none */
	uint64_t read_ns;                  /* 0 = never */
	uint64_t n_oom_kills, oom_read_ns; /* the latter: 0 = never */
};

/* A kernel without PSI brakes by the number of restarts alone. */
void rk_storm_open(struct rk_storm *p);
void rk_storm_close(struct rk_storm *p);

/* Reads what is older than a second; for whoever wants to know now (blame.h). */
void rk_storm_refresh(struct rk_storm *p, uint64_t now_ns);

/*
 * How many processes this kernel has killed for want of memory, as of 20 ms ago at most; UINT64_MAX
 * if it counts none. For processes that are begun in numbers: the file is long.
 */
uint64_t rk_storm_oom_kills(struct rk_storm *p, uint64_t now_ns);

/* A process has died, of that perhaps: what was read before must not be its successor's mark. */
void rk_storm_oom_forget(struct rk_storm *p);

/* A restart is decided. Returns what it waits beyond its own reasons. */
uint64_t rk_storm_on_restart(struct rk_storm *p, uint64_t now_ns);

#endif
