/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prepare: brings a partition's state to what the program declares - fresh,
 * as it is, or upgraded - before the first job.
 *
 * An upgrade is all or nothing, wherever it is killed. The hook runs on a
 * private copy that lies at the state's own address; then the old bytes of what
 * it changed go to the undo log, the new ones to the state, with the new
 * version. All that belongs to the job at the cursor: it becomes true when the
 * first commit moves the cursor, and until then a successor rolls it back and
 * upgrades again.
 *
 * Who       the worker's job thread, after rk_owner_open().
 * Crash     as above; init() is begun again from zero.
 * Blocking  system calls, and as long as the hooks take.
 */
#ifndef RK_LIB_PREPARE_H
#define RK_LIB_PREPARE_H

#include "shm/arena.h"
#include "workers/lib/rekindle.h"

/* One partition of a program. */
struct rk_prepare {
	const struct rk_worker_def *def;
	const struct rk_shm *m;
	uint32_t partition;
	uint32_t bank;
	int state_fd;
};

/* Whether what the program declares fits the fleet. Returns 0; -EFBIG, -EINVAL with a sentence. */
RK_MUST_USE int rk_prepare_fits(const struct rk_worker_def *def, const struct rk_shm *m,
				struct rk_err *err);

/*
 * Before the partition is mapped: whether its state is one that this program
 * can take up. Returns 0, also when only a roll back could tell; -EPROTO with a
 * sentence.
 */
RK_MUST_USE int rk_prepare_look(const struct rk_prepare *p, struct rk_err *err);

/*
 * Makes the state ready; bank is the owner's view of `mapped`, rolled back.
 * Fills in the view of the arena; its head is NULL without one.
 * Returns 0; -EPROTO when it is of another version or size and there is no
 * upgrade, -ENOSPC when the undo log is too small for one, or the hook's error:
 * with a sentence, and the old state stays.
 */
RK_MUST_USE int rk_prepare(const struct rk_prepare *p, struct rk_bank *bank, void *mapped,
			   struct rk_arena *ret_arena, struct rk_err *err);

#endif
