/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/part.h"

#include <errno.h>

#include "shm/bell.h"
#include "shm/fault.h"
#include "shm/words.h"

/* A batch is at most RK_BATCH_MAX jobs (owner.h). */
#define BLAME_MAX 256u

void rk_part_init(const struct rk_shm *m, uint32_t partition, uint64_t first)
{
	struct rk_part *part = rk_shm_part(m, partition);

	/* Relaxed: nobody else has the segment yet. */
	atomic_store_explicit(&part->commit, rk_commit(1, first), memory_order_relaxed);
	atomic_store_explicit(&part->freed, first, memory_order_relaxed);
	atomic_store_explicit(&part->released, first, memory_order_relaxed);
	atomic_store_explicit(&part->owner, rk_owner(1, 0, RK_WORKER_NONE, RK_OWNER_NONE), memory_order_relaxed);
}

/* The same bank again, by copy if that was not finished. With one bank the word need not be believed. */
static uint64_t next_owner(const struct rk_shm *m, uint64_t owner, uint32_t incarnation, uint32_t worker)
{
	if (m->g.n_banks == 1)
		return rk_owner(incarnation, 0, worker, RK_OWNER_RUN);
	if (rk_owner_flag(owner) == RK_OWNER_COPY)
		return rk_owner_copy(incarnation, rk_owner_bank(owner), rk_owner_from(owner), worker);
	return rk_owner(incarnation, rk_owner_bank(owner), worker, RK_OWNER_RUN);
}

int rk_part_assign(const struct rk_shm *m, uint32_t partition, uint32_t worker)
{
	struct rk_part *part = rk_shm_part(m, partition);
	uint64_t commit = atomic_load_explicit(&part->commit, memory_order_acquire);
	uint64_t owner = atomic_load_explicit(&part->owner, memory_order_acquire);
	uint32_t incarnation = rk_incarnation_next(rk_commit_incarnation(commit));

	/* Any other bank would be an older state. */
	if (m->g.n_banks > 1 && (rk_owner_bank(owner) >= m->g.n_banks || rk_owner_from(owner) >= m->g.n_banks))
		return -EPROTO;
	/* A1: acquire and release: the new owner's first look (O2) sees all that the old one committed (S3). */
	if (!atomic_compare_exchange_strong_explicit(&part->commit, &commit,
						     rk_commit(incarnation, rk_commit_cursor(commit)),
						     memory_order_acq_rel, memory_order_relaxed))
		return -EBUSY;
	RK_KILL_POINT(PART_COMMIT);
	/* A2: release; pairs with the worker's acquire O2. */
	atomic_store_explicit(&part->owner, next_owner(m, owner, incarnation, worker),
			      memory_order_release);
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

	/* H1: seq_cst, before the ring; pairs with the owner's look. Fails only for damaged memory: ask again. */
	if (rk_owner_flag(owner) == RK_OWNER_RUN &&
	    atomic_compare_exchange_strong_explicit(word, &owner, rk_owner_with(owner, RK_OWNER_STOP),
						    memory_order_seq_cst, memory_order_acquire))
		owner = rk_owner_with(owner, RK_OWNER_STOP);
	RK_KILL_POINT(PART_ASKED);
	if (rk_owner_flag(owner) != RK_OWNER_STOP)
		return rk_owner_flag(owner) == RK_OWNER_RELEASED ? 0 : -ESTALE;
	rk_bell_ring_partition(m, rk_owner_worker(owner), partition);
	return 0;
}

bool rk_part_unask(const struct rk_shm *m, uint32_t partition)
{
	_Atomic uint64_t *word = &rk_shm_part(m, partition)->owner;
	uint64_t owner = atomic_load_explicit(word, memory_order_acquire);

	/* H3: against H2, the release: one of the two fails. */
	return rk_owner_flag(owner) == RK_OWNER_STOP &&
	       atomic_compare_exchange_strong_explicit(word, &owner, rk_owner_with(owner, RK_OWNER_RUN),
						       memory_order_seq_cst, memory_order_acquire);
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
	 * H2: release: whoever is assigned it (A2, O2) sees all we did. Fails only
	 * when an eviction (V2) comes first. Killed before: an ordinary death.
	 */
	if (!atomic_compare_exchange_strong_explicit(word, &owner, rk_owner_with(owner, RK_OWNER_RELEASED),
						     memory_order_acq_rel, memory_order_relaxed))
		return -ESTALE;
	RK_KILL_POINT(PART_RELEASED);
	return 0;
}

/* ---- attempts ---- */

bool rk_part_blame(const struct rk_shm *m, uint32_t worker, uint32_t *ret_partition, uint64_t *ret_job)
{
	struct rk_beat *beat = rk_shm_beat(m, worker);
	/* Acquire; pairs with the release in the owner's call_handler(): the rest belongs to it. */
	uint32_t state = atomic_load_explicit(&beat->state, memory_order_acquire);
	uint32_t partition = atomic_load_explicit(&beat->partition, memory_order_relaxed);
	uint32_t incarnation = atomic_load_explicit(&beat->owner_incarnation, memory_order_relaxed);
	uint64_t job = atomic_load_explicit(&beat->job, memory_order_relaxed) & RK_MASK48, owner, commit;

	if ((state != RK_BEAT_RUNNING && state != RK_BEAT_CALLING) || partition >= m->g.n_partitions)
		return false;
	owner = atomic_load_explicit(&rk_shm_part(m, partition)->owner, memory_order_acquire);
	commit = atomic_load_explicit(&rk_shm_part(m, partition)->commit, memory_order_acquire);
	if (rk_owner_worker(owner) != worker || rk_owner_incarnation(owner) != incarnation ||
	    ((job - rk_commit_cursor(commit)) & RK_MASK48) >= BLAME_MAX)
		return false; /* passed on already, or a forged page */
	*ret_partition = partition;
	*ret_job = job;
	return true;
}

uint32_t rk_part_charge(const struct rk_shm *m, uint32_t partition, uint64_t job)
{
	uint64_t owner = atomic_load_explicit(&rk_shm_part(m, partition)->owner, memory_order_acquire);

	return rk_part_charge_late(m, partition, job, rk_owner_incarnation(owner));
}

uint32_t rk_part_charge_late(const struct rk_shm *m, uint32_t partition, uint64_t job, uint32_t incarnation)
{
	struct rk_part *part = rk_shm_part(m, partition);
	/* Relaxed: the supervisor's own. */
	uint64_t charged = atomic_load_explicit(&part->charged, memory_order_relaxed);
	uint32_t n = rk_attempts_of(atomic_load_explicit(&part->attempts, memory_order_acquire), job);

	/*
	 * K1: what the count will be, under the incarnation that died. Whoever
	 * repeats this charge finds it and counts no further; the incarnation
	 * changes when the partition passes on.
	 */
	if (charged == rk_charged(incarnation, job, rk_charged_n(charged)) && !rk_broken(CHARGETWICE)) {
		n = rk_charged_n(charged);
	} else {
		n = rk_min_u32(n + 1, RK_ATTEMPTS_MAX);
		atomic_store_explicit(&part->charged, rk_charged(incarnation, job, n), memory_order_release);
	}
	RK_KILL_POINT(PART_CHARGING);
	/* K2: release; the next owner reads it behind A2. */
	atomic_store_explicit(&part->attempts, rk_attempts(job, n), memory_order_release);
	RK_KILL_POINT(PART_CHARGED);
	return n;
}

void rk_part_forgive(const struct rk_shm *m, uint32_t partition, uint64_t job)
{
	_Atomic uint64_t *attempts = &rk_shm_part(m, partition)->attempts;
	uint64_t word = atomic_load_explicit(attempts, memory_order_acquire);
	uint32_t n = rk_attempts_of(word, job);

	/* Release, as K2. Fails only against an owner that counts or is blocked just now: then it stays as it is. */
	if (n == 0 || !atomic_compare_exchange_strong_explicit(attempts, &word, rk_attempts(job, n - 1),
							       memory_order_release, memory_order_relaxed))
		return;
	if (word & RK_ATTEMPTS_BLOCKED)
		rk_bell_ring_owner(m, partition); /* it need not wait for room among the dead letters */
}

uint32_t rk_part_attempts(const struct rk_shm *m, uint32_t partition)
{
	struct rk_part *part = rk_shm_part(m, partition);
	uint64_t cursor = rk_commit_cursor(atomic_load_explicit(&part->commit, memory_order_acquire));

	return rk_attempts_of(atomic_load_explicit(&part->attempts, memory_order_acquire), cursor);
}
