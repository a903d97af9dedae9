/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/deliver.h"

#include "shm/bell.h"
#include "shm/copy.h"
#include "shm/fault.h"
#include "shm/queue.h"
#include "shm/words.h"

/* Only evicted owners compete for it: more rounds mean damaged memory. */
#define SKIP_ROUNDS 1000

void rk_deliver_wake(const struct rk_shm *m, uint32_t cell)
{
	rk_bell_ring(&rk_shm_cell(m, cell)->bell);
	rk_bell_ring(&rk_shm_page(m, rk_shm_page_of(m, cell))->bell);
}

static void write_reply(const struct rk_shm *m, struct rk_cell *c, const struct rk_dedup *e)
{
	uint32_t len = rk_min_u32(e->len, m->g.reply_max);

	/* Release, like the bytes: after WRITING, before DONE. */
	atomic_store_explicit(&c->reply_len, len, memory_order_release);
	atomic_store_explicit(&c->reply_error, 0u - (uint32_t)e->error, memory_order_release);
	atomic_store_explicit(&c->reply_job, e->job, memory_order_release);
	rk_copy_in(rk_cell_reply(m, c), e + 1, len);
}

/* Raises the cell's skip to this sequence: it was applied, and could not be left here. */
static void raise_skip(struct rk_cell *c, uint64_t sequence)
{
	uint64_t skip = atomic_load_explicit(&c->skip, memory_order_relaxed);

	/* D6: release; the client reads skip (C4) after it found the ring empty of this cell (Q6). */
	for (int round = 0; round < SKIP_ROUNDS && skip < sequence; round++)
		if (atomic_compare_exchange_weak_explicit(&c->skip, &skip, sequence, memory_order_release,
							  memory_order_relaxed))
			break;
}

enum given {
	GIVEN_NOTHING,
	GIVEN_DONE,  /* the reply is there and its client woken: nothing is left to tell it */
	GIVEN_AGAIN, /* another worker is writing there: ask once more after recycling */
};

/* Leaves the stored reply in the cell if the cell waits for it. The cell is declared in the worker's beat. */
static enum given give(struct rk_bank *b, uint32_t partition, uint32_t worker, uint32_t cell)
{
	const struct rk_shm *m = b->m;
	struct rk_cell *c = rk_shm_cell(m, cell);
	uint32_t page = rk_shm_page_of(m, cell);
	/* Relaxed: a wrong slot finds another reply of the same client, which no cell word will match. */
	uint32_t slot = rk_request_slot(atomic_load_explicit(&c->request, memory_order_relaxed)) % m->g.n_slots;
	struct rk_dedup *e = rk_bank_dedup_find(b, page * m->g.n_slots + slot);
	uint64_t released, word, writing;

	if (!e)
		return GIVEN_NOTHING;
	/* G2: acquire; pairs with the gate's release G1. Its own gate: a duplicate may hit a later job's entry. */
	released = atomic_load_explicit(&rk_shm_part(m, partition)->released, memory_order_acquire);
	if (!rk_pos_before(e->job, released) && !rk_broken(GATE))
		return GIVEN_NOTHING;
	word = rk_cellword(e->sequence, 0, RK_CELL_WANT);
	writing = rk_cellword(e->sequence, worker, RK_CELL_WRITING);
	/*
	 * D2: acq_rel. From here on only this worker, or a sweep after its death,
	 * changes the word: a time-out (C5) sets the cell aside.
	 */
	if (atomic_compare_exchange_strong_explicit(&c->word, &word, writing, memory_order_acq_rel,
						    memory_order_acquire)) {
		write_reply(m, c, e);
		RK_KILL_POINT(DELIVER_WRITING);
		/* D4: release; pairs with the client's acquire C3: a DONE cell holds the whole reply. */
		atomic_compare_exchange_strong_explicit(&c->word, &writing, rk_cellword(e->sequence, 0, RK_CELL_DONE),
							memory_order_seq_cst, memory_order_relaxed);
		e->cell = cell + 1; /* behind DONE, which confirms it */
		RK_KILL_POINT(DELIVER_DONE);
		rk_deliver_wake(m, cell);
		return GIVEN_DONE;
	}
	if (rk_cellword_state(word) == RK_CELL_WRITING && rk_cellword_worker(word) != worker) {
		raise_skip(c, rk_cellword_sequence(word));
		return GIVEN_AGAIN;
	}
	return GIVEN_NOTHING;
}

void rk_deliver(struct rk_bank *b, uint32_t partition, uint32_t worker, uint64_t position)
{
	const struct rk_shm *m = b->m;
	struct rk_part *part = rk_shm_part(m, partition);
	struct rk_ring *ring = rk_shm_ring(m, partition);
	struct rk_beat *beat = rk_shm_beat(m, worker);
	uint64_t ref = atomic_load_explicit(rk_ring_place(m, ring, position), memory_order_acquire);
	bool live = rk_ref_lap(ref) == rk_lap(position, m->g.n_ring) && rk_ref_state(ref) != RK_REF_FREE;
	uint32_t cell = rk_ref_cell(ref);
	uint64_t freed = position;
	bool known = live && cell < rk_shm_n_cells(m);
	bool taken = known && rk_ref_state(ref) == RK_REF_TAKEN;
	enum given given = GIVEN_NOTHING;

	/*
	 * D1: declare the cell before anything is done to it: whoever confirms my
	 * death repairs this one cell and wakes its client. Release; D2 and the
	 * recycling come after it.
	 */
	if (known)
		atomic_store_explicit(&beat->cell, (uint64_t)cell + 1, memory_order_release);
	RK_KILL_POINT(DELIVER_DECLARED);
	if (taken && !rk_broken(RECYCLE))
		given = give(b, partition, worker, cell);
	if (live || rk_broken(LAP))
		rk_queue_recycle(m, partition, position, ref);
	/* D7: release; pairs with the acquire of a successor's [freed, cursor). CAS: an evicted owner must not set it back. */
	atomic_compare_exchange_strong_explicit(&part->freed, &freed, rk_pos_add(position, 1), memory_order_acq_rel,
						memory_order_relaxed);
	if (given == GIVEN_AGAIN || (taken && rk_broken(RECYCLE)))
		(void)give(b, partition, worker, cell); /* its writer may have died between my look and my raise */
	/*
	 * A job without effect leaves its cell WANT: its client decides once no
	 * ring names it, so tell it. One found DONE too: whoever wrote it may have
	 * died before it woke the client.
	 */
	if (known && given != GIVEN_DONE)
		rk_deliver_wake(m, cell);
	if (known)
		atomic_store_explicit(&beat->cell, 0, memory_order_release);
	rk_bell_ring_space(ring);
}

void rk_deliver_sweep(const struct rk_shm *m, uint32_t worker)
{
	struct rk_beat *beat = rk_shm_beat(m, worker);
	uint64_t cell = atomic_load_explicit(&beat->cell, memory_order_acquire);
	struct rk_cell *c;
	uint64_t word;

	if (!cell)
		return;
	if (cell <= rk_shm_n_cells(m)) {
		c = rk_shm_cell(m, (uint32_t)cell - 1);
		word = atomic_load_explicit(&c->word, memory_order_acquire);
		/* D5: nobody but the dead worker could have changed it from here. */
		if (rk_cellword_state(word) == RK_CELL_WRITING && rk_cellword_worker(word) == worker)
			atomic_compare_exchange_strong_explicit(
				&c->word, &word, rk_cellword(rk_cellword_sequence(word), 0, RK_CELL_WANT),
				memory_order_acq_rel, memory_order_relaxed);
		RK_KILL_POINT(SWEEP_WANT);
		rk_deliver_wake(m, (uint32_t)cell - 1);
	}
	atomic_store_explicit(&beat->cell, 0, memory_order_release);
}
