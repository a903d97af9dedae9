/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adopt: the partitions of a fleet whose supervisor died in the middle of something. The journal
 * says whose each is, the owner word what had been done about it: either is finished, or undone.
 *
 *	journal T, word W        what had happened                         what is done
 *	W = T, RUN or COPY       nothing                                   -
 *	W = T, STOP              it was asked for, live                    the question is taken back
 *	W = T, RELEASED          the same, answered                        given to T again
 *	W released, dead, none   T was written down, and not given         given to T
 *	W alive, runs            it was to be taken from it by copy        it stays W's
 *	W = T, commit word ahead it was half given, or its owner fenced    given to T again
 *
 * Then every route word is what it should be, and whoever has work, or a partition that is new to it, is rung.
 *
 * Who       the supervisor, once, before it does anything else.
 * Crash     the next one does it again.
 * Blocking  never, but for waking.
 */
#ifndef RK_SUPERVISOR_ADOPT_H
#define RK_SUPERVISOR_ADOPT_H

#include <stdbool.h>

#include "shm/layout.h"

struct rk_adopted {
	uint32_t n_given, n_unasked, n_left; /* partitions that it had to be done for, as above */
	uint32_t n_failed; /* their words are damaged: they cannot be given to anybody */
};

/* lives[slot]: it has a process. owners[partition]: the slot it is of afterwards. */
void rk_adopt_partitions(const struct rk_shm *m, const bool *lives, uint16_t *owners, struct rk_adopted *ret);

#endif
