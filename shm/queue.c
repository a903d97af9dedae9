/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/queue.h"

#include "shm/fault.h"
#include "shm/words.h"

/* More rounds than this mean that the ring's memory is damaged; the caller hears "full". */
#define PUBLISH_ROUNDS 100000
/*
 * Pauses of a publisher that has lost a place to another, doubled each time (exponential back-off,
 * Anderson 1990): long enough for the winner to use the lines it has fetched, however far they come.
 */
#define LOST_PAUSES_FIRST 96
#define LOST_PAUSES_MOST 768

void rk_queue_init(const struct rk_shm *m, uint32_t partition, uint64_t first)
{
	struct rk_ring *ring = rk_shm_ring(m, partition);

	for (uint32_t i = 0; i < m->g.n_ring; i++) {
		uint64_t position = rk_pos_add(first, i);

		/* Relaxed: nobody else has the segment yet. */
		atomic_store_explicit(rk_ring_place(m, ring, position),
				      rk_ref(position, m->g.n_ring, 0, RK_REF_FREE), memory_order_relaxed);
	}
	atomic_store_explicit(&ring->tail, first, memory_order_relaxed);
}

/* Moves the tail from t to t+1 unless somebody has; load first, since a failed CAS costs as much as a good one. */
static void help_tail(struct rk_ring *ring, uint64_t t)
{
	/* Relaxed look: the CAS decides. */
	if (atomic_load_explicit(&ring->tail, memory_order_relaxed) == t) {
		uint64_t expected = t;

		/* Q4: release, so that whoever loads the new tail (Q1) sees the place filled. */
		atomic_compare_exchange_strong_explicit(&ring->tail, &expected, rk_pos_add(t, 1),
							memory_order_acq_rel, memory_order_relaxed);
	}
}

enum rk_ref_state rk_queue_outstanding(const struct rk_shm *m, uint32_t cell, uint64_t where)
{
	uint32_t partition = rk_where_partition(where);
	uint64_t position = rk_where_position(where), ref;
	enum rk_ref_state state;

	if (!where || partition >= m->g.n_partitions)
		return RK_REF_FREE;
	/* Q6: acquire; a place found recycled (Q5) shows all that its job did before. */
	ref = atomic_load_explicit(rk_ring_place(m, rk_shm_ring(m, partition), position), memory_order_acquire);
	state = rk_ref_state(ref);
	if (rk_ref_lap(ref) != rk_lap(position, m->g.n_ring) || rk_ref_cell(ref) != cell)
		return RK_REF_FREE;
	return state == RK_REF_READY || state == RK_REF_TAKEN ? state : RK_REF_FREE;
}

bool rk_queue_names(const struct rk_shm *m, uint32_t cell)
{
	struct rk_cell *c = rk_shm_cell(m, cell);

	for (int i = 0; i < 2; i++)
		/* Relaxed: written by this page's only client, or by one that is dead. */
		if (rk_queue_outstanding(m, cell, atomic_load_explicit(&c->ref[i], memory_order_relaxed)))
			return true;
	return false;
}

/* Two that meet in a ring without this take tail and place from each other at every step: 290 ns each instead of 45. */
static void back_off(uint32_t *n_pauses)
{
	for (uint32_t i = 0; i < *n_pauses; i++)
		rk_relax();
	*n_pauses = rk_min_u32(2 * *n_pauses, LOST_PAUSES_MOST);
}

enum rk_queue_result rk_queue_publish(const struct rk_shm *m, uint32_t partition, uint32_t cell)
{
	struct rk_ring *ring = rk_shm_ring(m, partition);
	struct rk_cell *c = rk_shm_cell(m, cell);
	uint32_t n_pauses = LOST_PAUSES_FIRST;
	int note = 0;

	while (note < 2 &&
	       rk_queue_outstanding(m, cell, atomic_load_explicit(&c->ref[note], memory_order_relaxed)))
		note++;
	if (note == 2)
		return RK_QUEUE_HELD;
	for (int round = 0; round < PUBLISH_ROUNDS; round++) {
		/* Q1: acquire; pairs with Q4. */
		uint64_t t = atomic_load_explicit(&ring->tail, memory_order_acquire) & RK_MASK48;
		_Atomic uint64_t *place = rk_ring_place(m, ring, t);
		/* Q2: acquire; pairs with Q5: a recycled place shows its cell free. */
		uint64_t ref = atomic_load_explicit(place, memory_order_acquire);

		if (rk_ref_lap(ref) != rk_lap(t, m->g.n_ring)) {
			if (atomic_load_explicit(&ring->tail, memory_order_acquire) == t)
				return RK_QUEUE_FULL;
			continue;
		}
		if (rk_ref_state(ref) != RK_REF_FREE) {
			help_tail(ring, t);
			continue;
		}
		/*
		 * Where it is about to be, before it is there: whoever follows a
		 * dead client finds every reference through these notes. Release:
		 * they are read after the client's confirmed death.
		 */
		atomic_store_explicit(&c->ref[note], rk_where(partition, t), memory_order_release);
		RK_KILL_POINT(QUEUE_NOTED);
		/*
		 * Q3: publication. Release, so that the owner's acquire T1 sees the
		 * request and WANT; seq_cst, so that the following look at the
		 * route and the bell comes after it. Killed before: nothing was
		 * published. After: it is, whether or not the tail moves.
		 */
		if (!atomic_compare_exchange_strong_explicit(place, &ref,
							     rk_ref(t, m->g.n_ring, cell, RK_REF_READY),
							     memory_order_seq_cst, memory_order_relaxed)) {
			back_off(&n_pauses);
			continue;
		}
		RK_KILL_POINT(QUEUE_PUBLISHED);
		help_tail(ring, t);
		RK_KILL_POINT(QUEUE_TAIL);
		return RK_QUEUE_OK;
	}
	return RK_QUEUE_FULL;
}

unsigned int rk_queue_tomb(const struct rk_shm *m, uint32_t cell)
{
	struct rk_cell *c = rk_shm_cell(m, cell);
	unsigned int n = 0;

	for (int i = 0; i < 2; i++) {
		uint64_t where = atomic_load_explicit(&c->ref[i], memory_order_relaxed);
		uint64_t position = rk_where_position(where), ref;

		if (rk_queue_outstanding(m, cell, where) != RK_REF_READY)
			continue;
		ref = rk_ref(position, m->g.n_ring, cell, RK_REF_READY);
		/* Q7: against take (T2) exactly one of the two wins. */
		n += atomic_compare_exchange_strong_explicit(
			rk_ring_place(m, rk_shm_ring(m, rk_where_partition(where)), position), &ref,
			rk_ref_with(ref, RK_REF_TOMB), memory_order_seq_cst, memory_order_relaxed);
	}
	return n;
}

uint64_t rk_queue_peek(const struct rk_shm *m, uint32_t partition, uint64_t position)
{
	/* T1: acquire; pairs with Q3: the request is readable once READY is seen. */
	uint64_t ref = atomic_load_explicit(rk_ring_place(m, rk_shm_ring(m, partition), position),
					    memory_order_acquire);

	if (rk_ref_lap(ref) != rk_lap(position, m->g.n_ring) || rk_ref_state(ref) == RK_REF_FREE)
		return 0;
	return ref;
}

bool rk_queue_take(const struct rk_shm *m, uint32_t partition, uint64_t position, uint64_t ref)
{
	/* T2: from here on no time-out can withdraw it (Q7). Killed after: the successor runs it. */
	return atomic_compare_exchange_strong_explicit(rk_ring_place(m, rk_shm_ring(m, partition), position), &ref,
						       rk_ref_with(ref, RK_REF_TAKEN), memory_order_acq_rel,
						       memory_order_relaxed);
}

void rk_queue_recycle(const struct rk_shm *m, uint32_t partition, uint64_t position, uint64_t ref)
{
	struct rk_ring *ring = rk_shm_ring(m, partition);
	uint64_t next = rk_pos_add(position, m->g.n_ring);
	uint64_t free_ref = rk_ref(next, m->g.n_ring, 0, RK_REF_FREE);

	/*
	 * The publisher may have died before it moved the tail; recycled under a
	 * tail that still points here, the place would look full for ever. Not if
	 * the next place is published already: that was done at a tail beyond this
	 * one (acquire; pairs with Q3), and the tail's line stays with the clients.
	 */
	if (!rk_broken(HELP) && !rk_queue_peek(m, partition, rk_pos_add(position, 1)))
		help_tail(ring, position);
	RK_KILL_POINT(DELIVER_HELPED);
	/*
	 * Q5: release; whoever sees the next lap (Q2, Q6) sees the reply
	 * delivered. Conditional on the reference, which carries the lap: an
	 * evicted owner that wakes up later changes nothing.
	 */
	if (rk_broken(LAP))
		atomic_store_explicit(rk_ring_place(m, ring, position), free_ref, memory_order_release);
	else
		atomic_compare_exchange_strong_explicit(rk_ring_place(m, ring, position), &ref, free_ref,
							memory_order_acq_rel, memory_order_relaxed);
	RK_KILL_POINT(DELIVER_RECYCLED);
}

bool rk_queue_is_full(const struct rk_shm *m, uint32_t partition)
{
	struct rk_ring *ring = rk_shm_ring(m, partition);
	/* seq_cst: after whoever asks has said that it waits for room. */
	uint64_t t = atomic_load_explicit(&ring->tail, memory_order_seq_cst) & RK_MASK48;
	uint64_t ref = atomic_load_explicit(rk_ring_place(m, ring, t), memory_order_seq_cst);

	return rk_ref_lap(ref) != rk_lap(t, m->g.n_ring) &&
	       (atomic_load_explicit(&ring->tail, memory_order_seq_cst) & RK_MASK48) == t;
}

bool rk_queue_has_work(const struct rk_shm *m, uint32_t partition)
{
	uint64_t cursor = rk_commit_cursor(
		atomic_load_explicit(&rk_shm_part(m, partition)->commit, memory_order_acquire));

	return rk_queue_peek(m, partition, cursor) != 0;
}

uint32_t rk_queue_depth(const struct rk_shm *m, uint32_t partition)
{
	/* Acquire, both: a moment's view, of words that may make no sense together. */
	uint64_t cursor = rk_commit_cursor(
		atomic_load_explicit(&rk_shm_part(m, partition)->commit, memory_order_acquire));
	uint64_t tail = atomic_load_explicit(&rk_shm_ring(m, partition)->tail, memory_order_acquire) & RK_MASK48;
	uint64_t n = rk_pos_before(tail, cursor) ? 0 : (tail - cursor) & RK_MASK48;
	uint32_t depth = 0;

	/* One more: the tail may lag by the reference whose publisher has not moved it yet. */
	for (uint64_t i = 0; i <= n && i < m->g.n_ring; i++) {
		uint64_t ref = rk_queue_peek(m, partition, rk_pos_add(cursor, i));

		/* A withdrawn one stays in its place until a worker passes it. */
		depth += ref != 0 && rk_ref_state(ref) != RK_REF_TOMB;
	}
	return depth;
}
