/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pressure: the brake of brake.h with the machine behind it: /proc/pressure/{cpu,memory,io}, kept
 * open and read only while restarts come in numbers, and then at most once a second.
 *
 * Who       the supervisor's loop; one for all fleets.
 * Blocking  never (procfs); a read costs some 10 µs, and none is made for a lone restart.
 * Units     ns.
 */
#ifndef RK_SUPERVISOR_PRESSURE_H
#define RK_SUPERVISOR_PRESSURE_H

#include "supervisor/brake.h"

struct rk_pressure {
	struct rk_brake brake;
	int fd[RK_BRAKE_KINDS]; /* -1 = the kernel has none */
	uint64_t read_ns;       /* 0 = never */
};

/* A kernel without PSI brakes by the number of restarts alone. */
void rk_pressure_open(struct rk_pressure *p);
void rk_pressure_close(struct rk_pressure *p);

/* Reads what is older than a second; for whoever wants to know now (blame.h). */
void rk_pressure_refresh(struct rk_pressure *p, uint64_t now_ns);

/* A restart is decided. Returns what it waits beyond its own reasons. */
uint64_t rk_pressure_on_restart(struct rk_pressure *p, uint64_t now_ns);

#endif
