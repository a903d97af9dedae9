/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reign: how long demo's fleet is without a supervisor: from the SIGKILL of one to the record in
 * which the next says that it has adopted everybody.
 *
 * Who       demo, one thread. Blocking never; allocates at the beginning.
 * Units     CLOCK_MONOTONIC ns.
 */
#ifndef RK_CLI_DEMO_REIGN_H
#define RK_CLI_DEMO_REIGN_H

#include "shm/flight_reader.h"

#define RK_DEMO_REIGNS_MAX 65536u

struct rk_demo_reign {
	struct rk_flight_reader reader; /* fd -1 = nobody is killed */
	uint64_t killed_ns;             /* of one whose successor has not said so yet; 0 = none */
	uint64_t *gaps_ns;
	uint32_t n_gaps;
	uint64_t last_ns;
	uint64_t n_unmeasured; /* whose successor died before it could say so */
};

#define RK_DEMO_REIGN_NONE { .reader.fd = -1 }

/* From now on. Returns 0 or -errno. */
RK_MUST_USE int rk_demo_reign_begin(struct rk_demo_reign *r, const char *fleet, struct rk_err *err);

/* A supervisor was killed; killed_ns was stamped before. */
void rk_demo_reign_killed(struct rk_demo_reign *r, uint64_t killed_ns);

/* Looks for what successors have said. */
void rk_demo_reign_look(struct rk_demo_reign *r);

void rk_demo_reign_free(struct rk_demo_reign *r);

#endif
