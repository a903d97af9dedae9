/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/adopt.h"

#include <errno.h>

#include "shm/bell.h"
#include "shm/part.h"
#include "shm/words.h"
#include "supervisor/journal.h"

#define ASSIGN_TRIES 100 /* it fails only while somebody scribbles over the commit word */

static bool give(const struct rk_shm *m, uint32_t partition, uint32_t slot)
{
	int r = -EBUSY;

	for (int i = 0; r == -EBUSY && i < ASSIGN_TRIES; i++)
		r = rk_part_assign(m, partition, slot);
	return r > 0;
}

/* Whoever runs it now, who is alive; RK_WORKER_NONE if there is nobody. */
static uint32_t runner_of(const struct rk_shm *m, uint32_t partition, const bool *lives)
{
	uint64_t owner = atomic_load_explicit(&rk_shm_part(m, partition)->owner, memory_order_acquire);
	uint32_t worker = rk_owner_worker(owner), flag = rk_owner_flag(owner);
	bool runs = flag == RK_OWNER_RUN || flag == RK_OWNER_STOP || flag == RK_OWNER_COPY;

	return runs && worker < m->g.n_workers && lives[worker] ? worker : RK_WORKER_NONE;
}

/*
 * Whether the owner word says so already: also of a slot without a process, whose next one runs it. Not if the
 * commit word is ahead: the assignment was cut short between the two, or its owner fenced. Nobody could open it.
 */
static bool is_given(const struct rk_shm *m, uint32_t partition, uint32_t slot)
{
	uint64_t owner = atomic_load_explicit(&rk_shm_part(m, partition)->owner, memory_order_acquire);
	uint64_t commit = atomic_load_explicit(&rk_shm_part(m, partition)->commit, memory_order_acquire);
	uint32_t flag = rk_owner_flag(owner);

	return rk_owner_worker(owner) == slot && (flag == RK_OWNER_RUN || flag == RK_OWNER_COPY) &&
	       rk_owner_incarnation(owner) == rk_commit_incarnation(commit);
}

static uint32_t adopt_one(const struct rk_shm *m, uint32_t partition, const bool *lives, struct rk_adopted *ret)
{
	uint32_t slot = atomic_load_explicit(rk_journal_owner(m, partition), memory_order_acquire), runner;

	ret->n_unasked += rk_part_unask(m, partition);
	runner = runner_of(m, partition, lives);
	if (runner != RK_WORKER_NONE && runner != slot) {
		rk_journal_own(m, partition, runner);
		ret->n_left++;
		slot = runner;
	}
	/* To its living owner as well: that is one thread, which opens it anew, or ends where it had it open. */
	if (slot >= m->g.n_workers || is_given(m, partition, slot))
		return slot;
	if (give(m, partition, slot))
		ret->n_given++;
	else
		ret->n_failed++;
	return slot;
}

void rk_adopt_partitions(const struct rk_shm *m, const bool *lives, uint16_t *owners, struct rk_adopted *ret)
{
	*ret = (struct rk_adopted){ 0 };
	for (uint32_t p = 0; p < m->g.n_partitions; p++) {
		uint32_t n_given = ret->n_given, slot = adopt_one(m, p, lives, ret);

		owners[p] = (uint16_t)slot;
		if (slot >= m->g.n_workers)
			continue;
		rk_part_route(m, p, slot, lives[slot] ? RK_ROUTE_UP : 0);
		if (ret->n_given > n_given) /* its predecessor may have left replies, and no job */
			rk_bell_ring_partition(m, slot, p);
	}
	/* Whoever published or hung on while nobody rang. */
	rk_bell_ring_pending(m);
}
