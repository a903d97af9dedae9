/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Succession: how long a fleet has no supervisor when one follows another, and what its clients notice.
 *
 * Without a supervisor it is from the beginning of its end until the next one answers a ping; the
 * floor is to execute that binary for a question of its own, until it has ended. Calls go on
 * without a pause, in blocks of a second with and without ten successions in turn; each block gives
 * its own 99th percentile.
 *
 * Who       bench_adopt and bench_upgrade; fleets of bench/fleet.h, but where one is named.
 */
#ifndef RK_BENCH_SUCCESSION_H
#define RK_BENCH_SUCCESSION_H

#include <json-c/json.h>
#include <limits.h>

#include "bench/bench.h"

#define SUCCESSION_GIVE_UP_MS 10000u

struct succession {
	const char *bench, *events; /* "upgrades" */
	char path[PATH_MAX];        /* of the fleet's rekindled */
	/* Makes supervisor `old` end. Returns when that began, of CLOCK_MONOTONIC in ns. */
	uint64_t (*begin)(const struct succession *s, pid_t old);
};

/* One question over a connection of its own; NULL: it was cut, or refused. json_object_put() it. */
struct json_object *succession_ask(const char *fleet, const char *request);

/* "supervisor_pid" or "keeper_pid" of who answers now; waits for somebody who does. */
pid_t succession_pid(const char *fleet, const char *whose);

/* The supervisor of a bench's fleet. */
pid_t succession_supervisor(void);

/* A fleet of so many workers, and its lines. */
void succession_measure(struct succession *s, const char *n_workers);

#endif
