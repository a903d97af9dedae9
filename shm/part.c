/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/part.h"

#include <errno.h>

#include "shm/bell.h"
#include "shm/fault.h"
#include "shm/words.h"

void rk_part_init(const struct rk_shm *m, uint32_t partition, uint64_t first)
{
	struct rk_part *part = rk_shm_part(m, partition);

	/* Relaxed: nobody else has the segment yet. */
	atomic_store_explicit(&part->commit, rk_commit(1, first), memory_order_relaxed);
	atomic_store_explicit(&part->freed, first, memory_order_relaxed);
	atomic_store_explicit(&part->released, first, memory_order_relaxed);
	atomic_store_explicit(&part->owner, rk_owner(1, 0, RK_WORKER_NONE, RK_OWNER_NONE), memory_order_relaxed);
}

int rk_part_assign(const struct rk_shm *m, uint32_t partition, uint32_t worker, uint32_t bank)
{
	struct rk_part *part = rk_shm_part(m, partition);
	uint64_t commit = atomic_load_explicit(&part->commit, memory_order_acquire);
	uint32_t incarnation = rk_incarnation_next(rk_commit_incarnation(commit));

	/* A1: acquire and release: the new owner's first look (O2) sees all that the old one committed (S3). */
	if (!atomic_compare_exchange_strong_explicit(&part->commit, &commit,
						     rk_commit(incarnation, rk_commit_cursor(commit)),
						     memory_order_acq_rel, memory_order_relaxed))
		return -EBUSY;
	RK_KILL_POINT(PART_COMMIT);
	/* A2: release; pairs with the worker's acquire O2. */
	atomic_store_explicit(&part->owner, rk_owner(incarnation, bank, worker, RK_OWNER_RUN), memory_order_release);
	return (int)incarnation;
}

void rk_part_route(const struct rk_shm *m, uint32_t partition, uint32_t worker, uint32_t flags)
{
	uint64_t owner = atomic_load_explicit(&rk_shm_part(m, partition)->owner, memory_order_relaxed);

	/* seq_cst: against a client's publish and look (Q3, rk_bell_ring_owner); the new owner scans after this. */
	atomic_store_explicit(&rk_shm_routes(m)[partition], rk_route(rk_owner_incarnation(owner), worker, flags),
			      memory_order_seq_cst);
}

/* ---- hand-over ---- */

int rk_part_ask(const struct rk_shm *m, uint32_t partition)
{
	_Atomic uint64_t *word = &rk_shm_part(m, partition)->owner;
	uint64_t owner = atomic_load_explicit(word, memory_order_acquire);

	/* H1: release; pairs with H2. Fails only for damaged memory: ask again. */
	if (rk_owner_flag(owner) == RK_OWNER_RUN &&
	    atomic_compare_exchange_strong_explicit(word, &owner, rk_owner_with(owner, RK_OWNER_STOP),
						    memory_order_seq_cst, memory_order_acquire))
		owner = rk_owner_with(owner, RK_OWNER_STOP);
	if (rk_owner_flag(owner) != RK_OWNER_STOP)
		return rk_owner_flag(owner) == RK_OWNER_RELEASED ? 0 : -ESTALE;
	rk_bell_ring_partition(m, rk_owner_worker(owner), partition);
	return 0;
}

bool rk_part_is_released(const struct rk_shm *m, uint32_t partition)
{
	/* Acquire; pairs with H2. */
	return rk_owner_flag(atomic_load_explicit(&rk_shm_part(m, partition)->owner, memory_order_acquire)) ==
	       RK_OWNER_RELEASED;
}

bool rk_part_is_asked(const struct rk_shm *m, uint32_t partition, uint32_t worker)
{
	uint64_t owner = atomic_load_explicit(&rk_shm_part(m, partition)->owner, memory_order_acquire);

	return rk_owner_flag(owner) == RK_OWNER_STOP && rk_owner_worker(owner) == worker;
}

int rk_part_release(const struct rk_shm *m, uint32_t partition, uint32_t worker)
{
	_Atomic uint64_t *word = &rk_shm_part(m, partition)->owner;
	uint64_t owner = atomic_load_explicit(word, memory_order_acquire);

	if (rk_owner_flag(owner) != RK_OWNER_STOP || rk_owner_worker(owner) != worker)
		return -ESTALE;
	/*
	 * H2: release: whoever is assigned it (A2, O2) sees all we did. Killed
	 * before: an ordinary death.
	 */
	if (!atomic_compare_exchange_strong_explicit(word, &owner, rk_owner_with(owner, RK_OWNER_RELEASED),
						     memory_order_acq_rel, memory_order_relaxed))
		return -ESTALE;
	return 0;
}
