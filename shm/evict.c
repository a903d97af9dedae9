/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/evict.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "shm/bell.h"
#include "shm/deliver.h"
#include "shm/fault.h"
#include "shm/part.h"
#include "shm/words.h"

/* An owner commits less often than we try: more rounds mean that somebody plays with the word. */
#define FENCE_ROUNDS 100000
/* The owner word changes twice at most behind V1: a copy ends, a release comes first. */
#define HAND_ROUNDS 4

/* ---- supervisor ---- */

static int free_bank(const struct rk_shm *m, uint32_t partition, uint64_t owner)
{
	bool copying = rk_owner_flag(owner) == RK_OWNER_COPY;

	for (uint32_t b = 0; b < m->g.n_banks; b++) {
		if (b == rk_owner_bank(owner) || (copying && b == rk_owner_from(owner)))
			continue;
		/* Relaxed: the supervisor's own. */
		if (!atomic_load_explicit(rk_journal_kept(m, partition, b), memory_order_relaxed))
			return (int)b;
	}
	return -EBUSY;
}

/* V1: from here on the old owner commits nothing. Returns the new incarnation or -EBUSY. */
static int fence(struct rk_part *part)
{
	uint64_t commit = atomic_load_explicit(&part->commit, memory_order_acquire), next;

	/* seq_cst: against L2. It may still be committing: its cursor is taken along. */
	for (int round = 0; round < FENCE_ROUNDS; round++) {
		next = rk_commit(rk_incarnation_next(rk_commit_incarnation(commit)),
				 rk_commit_cursor(commit));
		if (atomic_compare_exchange_weak_explicit(&part->commit, &commit, next,
							  memory_order_seq_cst,
							  memory_order_acquire))
			return (int)rk_commit_incarnation(next);
	}
	return -EBUSY;
}

/* What the owner word becomes: by copy, from where the last whole state is; or as it is, if it was
 * released. */
static uint64_t successor_word(uint64_t owner, uint32_t incarnation, uint32_t bank, uint32_t to)
{
	switch (rk_owner_flag(owner)) {
	case RK_OWNER_RELEASED:
		return rk_owner(incarnation, rk_owner_bank(owner), to, RK_OWNER_RUN);
	case RK_OWNER_COPY:
		return rk_owner_copy(incarnation, bank, rk_owner_from(owner), to);
	case RK_OWNER_NONE:
	case RK_OWNER_RUN:
	case RK_OWNER_STOP:
		break;
	}
	return rk_owner_copy(incarnation, bank, rk_owner_bank(owner), to);
}

static int hand_over(struct rk_part *part, uint64_t owner, uint32_t incarnation, uint32_t bank,
		     uint32_t to)
{
	for (int round = 0; round < HAND_ROUNDS; round++)
		/* V2: release; pairs with O2 and the look in rk_evict_copy(). A release (H2) or an
		 * end of a copy (V4) may come first. */
		if (atomic_compare_exchange_strong_explicit(&part->owner, &owner,
							    successor_word(owner, incarnation, bank,
									   to),
							    memory_order_acq_rel,
							    memory_order_acquire))
			return (int)incarnation;
	return -EBUSY;
}

int rk_evict(const struct rk_shm *m, uint32_t partition, uint32_t to)
{
	struct rk_part *part = rk_shm_part(m, partition);
	uint64_t owner = atomic_load_explicit(&part->owner, memory_order_acquire);
	uint32_t old = rk_owner_worker(owner), flag = rk_owner_flag(owner);
	int bank = free_bank(m, partition, owner), r;

	if (old >= m->g.n_workers || old == to || flag == RK_OWNER_NONE ||
	    flag == RK_OWNER_RELEASED)
		return -ESTALE;
	if (rk_owner_bank(owner) >= m->g.n_banks ||
	    (flag == RK_OWNER_COPY && rk_owner_from(owner) >= m->g.n_banks))
		return -EPROTO;
	if (bank < 0)
		return bank;
	/* First of all, so that no successor of this supervisor takes the bank for free. */
	atomic_store_explicit(rk_journal_kept(m, partition, rk_owner_bank(owner)),
			      (uint16_t)(old + 1), memory_order_release);
	RK_KILL_POINT(EVICT_KEPT);
	r = fence(part);
	if (r < 0)
		return r;
	RK_KILL_POINT(EVICT_FENCED);
	r = hand_over(part, owner, (uint32_t)r, (uint32_t)bank, to);
	if (r < 0)
		return r;
	RK_KILL_POINT(EVICT_HANDED);
	rk_part_route(m, partition, to, RK_ROUTE_UP);
	rk_bell_ring_partition(m, to, partition);
	rk_bell_ring_partition(m, old,
			       partition); /* should it ever wake, it has something to find out */
	rk_evict_wake(m, old);
	return r;
}

void rk_evict_wake(const struct rk_shm *m, uint32_t worker)
{
	uint64_t cell = atomic_load_explicit(&rk_shm_beat(m, worker)->cell, memory_order_acquire);

	if (cell && cell <= rk_shm_n_cells(m))
		rk_deliver_wake(m, (uint32_t)cell - 1);
}

uint32_t rk_evict_keeper(const struct rk_shm *m, uint32_t partition)
{
	for (uint32_t b = 0; b < m->g.n_banks; b++) {
		/* Relaxed: the supervisor's own. */
		uint32_t kept = atomic_load_explicit(rk_journal_kept(m, partition, b),
						     memory_order_relaxed);

		if (kept)
			return kept - 1;
	}
	return RK_WORKER_NONE;
}

void rk_evict_bury(const struct rk_shm *m, uint32_t worker)
{
	for (uint32_t p = 0; p < m->g.n_partitions; p++)
		for (uint32_t b = 0; b < m->g.n_banks; b++) {
			_Atomic uint16_t *kept = rk_journal_kept(m, p, b);

			/* Relaxed: the supervisor's own. */
			if (atomic_load_explicit(kept, memory_order_relaxed) == worker + 1)
				atomic_store_explicit(kept, 0, memory_order_relaxed);
		}
}

/* ---- successor ---- */

int rk_evict_look(const struct rk_shm *m, uint32_t partition, uint32_t worker, uint32_t *ret_from)
{
	/* O2: acquire; pairs with V2. */
	uint64_t owner =
		atomic_load_explicit(&rk_shm_part(m, partition)->owner, memory_order_acquire);

	if (rk_owner_worker(owner) != worker || rk_owner_flag(owner) != RK_OWNER_COPY)
		return -ESTALE;
	if (rk_owner_bank(owner) >= m->g.n_banks || rk_owner_from(owner) >= m->g.n_banks)
		return -ESTALE;
	*ret_from = rk_owner_from(owner);
	return (int)rk_owner_bank(owner);
}

/*
 * From a bank whose owner may be writing to it. Acquire loads, so that the log
 * word comes after the state. ThreadSanitizer is told nothing: the races are
 * with the plain stores of a handler, and what comes of them is rolled back.
 */
__attribute__((no_sanitize("thread"))) static void copy_words(void *to, const void *from,
							      uint64_t len)
{
	/* A const atomic cannot be loaded portably before C23: the cast only drops const. */
	_Atomic uint64_t *source = (_Atomic uint64_t *)(uintptr_t)from;
	uint64_t *target = to;

	for (uint64_t i = 0; i < len / 8; i++)
		target[i] = atomic_load_explicit(&source[i], memory_order_acquire);
}

/* The state, dedup table and all: what the file has of it. The target is empty before. */
static int copy_guarded(const struct rk_shm *m, const struct rk_evict_banks *b)
{
	const char *from = b->from;
	char *to = b->to;
	uint64_t at = m->l.bank_guarded, end = at + m->l.guarded_len;

	if (b->fd < 0) {
		copy_words(to + at, from + at, m->l.guarded_len);
		return 0;
	}
	if (fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)b->to_at,
		      (off_t)m->l.bank_stride) < 0)
		return -errno;
	while (at < end) { /* ends: each round goes on by at least a page */
		off_t data = lseek(b->fd, (off_t)(b->from_at + at), SEEK_DATA), hole;
		uint64_t stop;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno; /* nothing but holes from here on */
		at = rk_max_u64(at, (uint64_t)data - b->from_at);
		hole = lseek(b->fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		if (at >= end)
			break;
		stop = rk_min_u64(end, (uint64_t)hole - b->from_at);
		copy_words(to + at, from + at, stop - at);
		at = stop;
	}
	return 0;
}

static void copy_log(const struct rk_shm *m, const struct rk_evict_banks *b)
{
	const struct rk_log *from = (const struct rk_log *)((const char *)b->from + m->l.bank_log);
	struct rk_log *to = (struct rk_log *)((char *)b->to + m->l.bank_log);
	/* V3: acquire; pairs with S1. After the state: whatever of it was copied changed has its
	 * entry below this word. */
	uint64_t word = atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&from->word,
					     memory_order_acquire);

	copy_words(to + 1, from + 1, m->l.bank_guarded - m->l.bank_log - sizeof(*from));
	RK_KILL_POINT(EVICT_LOG);
	atomic_store_explicit(&to->word, rk_broken(EVICTROLL) ? 0 : word, memory_order_release);
}

int rk_evict_copy(const struct rk_shm *m, uint32_t partition, uint32_t worker,
		  const struct rk_evict_banks *banks)
{
	struct rk_part *part = rk_shm_part(m, partition);
	/* O2: acquire; pairs with V2. */
	uint64_t owner = atomic_load_explicit(&part->owner, memory_order_acquire);
	int r;

	if (rk_owner_worker(owner) != worker || rk_owner_flag(owner) != RK_OWNER_COPY)
		return -ESTALE;
	if (rk_broken(EVICTLOG))
		copy_log(m, banks);
	r = copy_guarded(m, banks);
	if (r < 0)
		return r;
	RK_KILL_POINT(EVICT_STATE);
	if (!rk_broken(EVICTLOG))
		copy_log(m, banks);
	RK_KILL_POINT(EVICT_COPIED);
	/* V4: the copy is whole. Release; pairs with the acquire of whoever evicts or follows this
	 * owner. */
	if (!atomic_compare_exchange_strong_explicit(&part->owner, &owner,
						     rk_owner_with(owner, RK_OWNER_RUN),
						     memory_order_acq_rel, memory_order_relaxed))
		return -ESTALE;
	return 0;
}
