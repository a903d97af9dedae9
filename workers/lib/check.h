/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: RK_CHECK=1 finds writes to the state without rk_touch(), by comparing
 * it after each job with a private copy.
 *
 * Who       the worker's job thread. Blocking never; allocates at rk_check_new().
 */
#ifndef RK_LIB_CHECK_H
#define RK_LIB_CHECK_H

#include "shm/state.h"

struct rk_check;

/* Makes a copy of a partition's state of len bytes, for rk_check_free(). 0; -ENOMEM. */
RK_MUST_USE int rk_check_new(struct rk_check **ret, const struct rk_bank *bank, size_t len, struct rk_err *err);

/*
 * After a job whose undo entries begin at `first`: takes over what it touched,
 * and compares the rest. Returns 0; -EINVAL with the first differing bytes.
 */
RK_MUST_USE int rk_check_job(struct rk_check *check, const struct rk_bank *bank, uint32_t first, struct rk_err *err);

/*
 * The present job was given len bytes at p, inside the state, to write without
 * touching them. They are taken over after it, or, if it is aborted, after the
 * next one: an undo does not bring back what lay in free memory. 0; -ENOMEM.
 */
RK_MUST_USE int rk_check_fresh(struct rk_check *check, const struct rk_bank *bank, const void *p, size_t len);

/* Accepts NULL. */
void rk_check_free(struct rk_check *check);

#endif
