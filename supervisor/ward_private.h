/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ward, between ward.c and ward_adopt.c: what the guard knows of a slot's process and writes down
 * for the next supervisor's guard.
 *
 * Who       the guard.
 * Crash     killed in note: recall gives the one before, which is older by a tick.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_WARD_PRIVATE_H
#define RK_SUPERVISOR_WARD_PRIVATE_H

#include "supervisor/ward.h"

struct rk_ward_past {
	uint64_t incarnation;
	uint64_t begun_ns;         /* it was first seen */
	uint64_t pending_since_ns; /* its partitions have had work since; 0 = have none */
	struct rk_detect detect;
};

/* Behind each step, and before anything is told of it. */
void rk_ward_note(const struct rk_shm *m, uint32_t slot, const struct rk_ward_past *past);

/*
 * What was noted last of this incarnation, taken up (rk_detect_take_up()). Returns false if nothing was,
 * or nothing that can be true.
 */
bool rk_ward_recall(const struct rk_shm *m, uint32_t slot, uint64_t incarnation, uint64_t now_ns,
		    struct rk_ward_past *ret);

#endif
