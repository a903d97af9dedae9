/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storm: workers, clients and readers of one world under random SIGKILL, SIGSTOP, hand-over and
 * eviction, then a calm in which everybody must get on, then the books.
 *
 * Who       one process; its children are workers, clients and readers, and end with it.
 */
#ifndef RK_TESTS_FAULT_STORM_H
#define RK_TESTS_FAULT_STORM_H

#include "shm/fault.h"
#include "tests/fault/world.h"

struct storm_conf {
	struct world_conf world;
	uint64_t storm_ns; /* the calm comes on top, at most 10 s */
	uint64_t seed;
	unsigned int mean; /* kill points between two of a child's own faults; 0 = none */
	enum rk_break broken;
};

/* What a storm uses unless told otherwise. */
void storm_conf_default(struct storm_conf *conf);

/* Runs one storm; figures are printed as # lines. Returns whether the books are right; else verdict says why. */
bool storm_run(const struct storm_conf *conf, char *ret_verdict, size_t len);

#endif
