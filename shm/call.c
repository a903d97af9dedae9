/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/call.h"

#include "shm/bell.h"
#include "shm/copy.h"
#include "shm/fault.h"
#include "shm/words.h"

static uint32_t global_cell(const struct rk_caller *c, uint32_t i)
{
	return c->page * c->m->g.n_cells + i;
}

static _Atomic uint64_t *done_of(const struct rk_shm *m, uint32_t page, uint32_t slot)
{
	return &rk_page_done(rk_shm_page(m, page))[slot];
}

/* The slot of the call in a cell. Relaxed: only this page's client, or a dead predecessor, wrote it. */
static uint32_t slot_of(const struct rk_shm *m, const struct rk_cell *cell)
{
	struct rk_cell *k = (struct rk_cell *)(uintptr_t)cell;

	return rk_request_slot(atomic_load_explicit(&k->request, memory_order_relaxed)) % m->g.n_slots;
}

/* Whether the sequence of this cell word was read or given up. */
static bool is_closed(const struct rk_shm *m, uint32_t page, const struct rk_cell *cell, uint64_t word)
{
	return rk_cellword_sequence(word) <=
	       atomic_load_explicit(done_of(m, page, slot_of(m, cell)), memory_order_relaxed);
}

/* A cell that no ring names and no call needs, or -1. One set aside comes back here. */
static int64_t free_cell(struct rk_caller *c)
{
	uint32_t n = c->m->g.n_cells;

	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = c->hand + k < n ? c->hand + k : c->hand + k - n, g = global_cell(c, i);
		struct rk_cell *cell = rk_shm_cell(c->m, g);
		/* C7: acquire; pairs with D4: a worker is through with it. */
		uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
		enum rk_cell_state state = rk_cellword_state(word);

		if (state != RK_CELL_IDLE && (state == RK_CELL_WRITING || !is_closed(c->m, c->page, cell, word)))
			continue;
		if (!rk_broken(UNCONS) && rk_queue_names(c->m, g))
			continue;
		if (state != RK_CELL_IDLE &&
		    !atomic_compare_exchange_strong_explicit(
			    &cell->word, &word, rk_cellword(rk_cellword_sequence(word), 0, RK_CELL_IDLE),
			    memory_order_acq_rel, memory_order_relaxed))
			continue;
		c->hand = i + 1 < n ? i + 1 : 0;
		return g;
	}
	return -1;
}

/* Request bytes into an IDLE cell, then WANT. skip is 0, or the sequence when it is known to be applied. */
static void fill(struct rk_caller *c, uint32_t g, uint32_t slot, uint64_t sequence, uint64_t skip,
		 const struct rk_call_request *r)
{
	struct rk_cell *cell = rk_shm_cell(c->m, g);
	char *bytes = rk_cell_request(c->m, cell);

	/*
	 * Release, one and all: after the word that made the cell ours (C7), so
	 * that a worker still copying sees the word change (R2).
	 */
	atomic_store_explicit(&cell->client_id, c->id, memory_order_release);
	atomic_store_explicit(&cell->request, rk_request_word(slot, r->partition, r->key_len), memory_order_release);
	atomic_store_explicit(&cell->body_len, r->len, memory_order_release);
	atomic_store_explicit(&cell->deadline_ns, r->deadline_ns, memory_order_release);
	atomic_store_explicit(&cell->tag, r->tag, memory_order_release);
	if (skip)
		atomic_store_explicit(&cell->skip, skip, memory_order_release);
	if (r->key_len % 8 == 0) {
		rk_copy_in(bytes, r->key, r->key_len);
		rk_copy_in(bytes + r->key_len, r->body, r->len);
	} else {
		/* Key and body lie side by side: whole words only, so the last of the key and the first of the body go together. */
		uint32_t whole = r->key_len & ~7u, head = r->key_len - whole, part = rk_min_u32(8 - head, r->len);
		char word[8] = { 0 };

		memcpy(word, (const char *)r->key + whole, head);
		if (part)
			memcpy(word + head, r->body, part);
		rk_copy_in(bytes, r->key, whole);
		rk_copy_in(bytes + whole, word, 8);
		if (r->len > part)
			rk_copy_in(bytes + whole + 8, (const char *)r->body + part, r->len - part);
	}
	RK_KILL_POINT(CALL_REQUEST_WRITTEN);
	/* C2: release; pairs with R1: WANT shows the whole request. */
	atomic_store_explicit(&cell->word, rk_cellword(sequence, 0, RK_CELL_WANT), memory_order_release);
	RK_KILL_POINT(CALL_WANTED);
}

enum rk_call_start rk_call_start(struct rk_caller *c, uint32_t slot, const struct rk_call_request *request,
				 struct rk_call *ret)
{
	struct rk_page *page = rk_shm_page(c->m, c->page);
	/* Relaxed: this page's client alone writes it; a predecessor is confirmed dead. */
	uint64_t sequence = atomic_load_explicit(&page->sequence, memory_order_relaxed) + 1;
	uint64_t want;
	int64_t g;

	if (sequence == 0 || sequence > RK_SEQUENCE_MAX) /* 0: damaged memory */
		return RK_CALL_WORN_OUT;
	g = free_cell(c);
	if (g < 0)
		return RK_CALL_NO_CELL;
	/* C1: spent before it is used; never set back, so no kill makes one number name two calls. */
	atomic_store_explicit(&page->sequence, sequence, memory_order_release);
	fill(c, (uint32_t)g, slot, sequence, 0, request);
	*ret = (struct rk_call){ .slot = slot, .cell = (uint32_t)g, .partition = request->partition,
				 .sequence = sequence };
	if (rk_queue_publish(c->m, request->partition, (uint32_t)g) == RK_QUEUE_OK) {
		rk_bell_ring_owner(c->m, request->partition);
		return RK_CALL_STARTED;
	}
	want = rk_cellword(sequence, 0, RK_CELL_WANT);
	/* No ring ever named it, so nobody else writes the word; CAS only to be safe against damaged memory. */
	atomic_compare_exchange_strong_explicit(&rk_shm_cell(c->m, (uint32_t)g)->word, &want,
						rk_cellword(sequence, 0, RK_CELL_IDLE), memory_order_acq_rel,
						memory_order_relaxed);
	return RK_CALL_FULL;
}

static bool publish_again(struct rk_caller *c, struct rk_call *call)
{
	call->repeated = true;
	if (rk_queue_publish(c->m, call->partition, call->cell) != RK_QUEUE_OK)
		return false;
	rk_bell_ring_owner(c->m, call->partition);
	return true;
}

/* Closes a call that was not applied; false if a worker got there first after all. */
static bool close_not_applied(struct rk_caller *c, struct rk_call *call)
{
	struct rk_cell *cell = rk_shm_cell(c->m, call->cell);
	uint64_t want = rk_cellword(call->sequence, 0, RK_CELL_WANT);

	if (!atomic_compare_exchange_strong_explicit(&cell->word, &want,
						     rk_cellword(call->sequence, 0, RK_CELL_IDLE),
						     memory_order_acq_rel, memory_order_relaxed))
		return false;
	RK_KILL_POINT(CALL_WITHDRAWN);
	atomic_store_explicit(done_of(c->m, c->page, call->slot), call->sequence, memory_order_release);
	return true;
}

static enum rk_ref_state strongest_reference(const struct rk_caller *c, const struct rk_cell *cell, uint32_t g)
{
	struct rk_cell *k = (struct rk_cell *)(uintptr_t)cell;
	enum rk_ref_state best = RK_REF_FREE;

	for (int i = 0; i < 2; i++) {
		enum rk_ref_state s = rk_queue_outstanding(
			c->m, g, atomic_load_explicit(&k->ref[i], memory_order_relaxed));

		best = s > best ? s : best; /* FREE < READY < TAKEN */
	}
	return best;
}

/*
 * Whether the reply came to a cell of this call that was set aside: its writer
 * was only slow. The owner keeps it no longer then; no other cell will get it.
 */
static bool find_done(struct rk_caller *c, struct rk_call *call)
{
	uint64_t done = rk_cellword(call->sequence, 0, RK_CELL_DONE);

	for (uint32_t i = 0; i < c->m->g.n_cells; i++) {
		uint32_t g = global_cell(c, i);

		/* Acquire, as C3; behind the look at the ring (Q6): D4 came before the owner forgot the reply. */
		if (atomic_load_explicit(&rk_shm_cell(c->m, g)->word, memory_order_acquire) != done)
			continue;
		call->cell = g;
		return true;
	}
	return false;
}

/* The call's request once more, from its own cell. */
static void request_of(const struct rk_caller *c, uint32_t g, struct rk_call_request *ret)
{
	struct rk_cell *cell = rk_shm_cell(c->m, g);
	uint64_t request = atomic_load_explicit(&cell->request, memory_order_relaxed);
	const char *bytes = rk_cell_request(c->m, cell);

	*ret = (struct rk_call_request){
		.key = bytes,
		.key_len = rk_min_u32(rk_request_key_len(request), c->m->g.request_max),
		.partition = rk_request_partition(request),
		.deadline_ns = atomic_load_explicit(&cell->deadline_ns, memory_order_relaxed),
		.tag = atomic_load_explicit(&cell->tag, memory_order_relaxed),
	};
	ret->body = bytes + ret->key_len;
	ret->len = rk_min_u32(atomic_load_explicit(&cell->body_len, memory_order_relaxed),
			      c->m->g.request_max - ret->key_len);
}

/* Leaves the cell to the worker that is writing it and goes on in another. */
static enum rk_call_state set_aside(struct rk_caller *c, struct rk_call *call)
{
	struct rk_call_request request;
	int64_t g = free_cell(c);

	if (g < 0)
		return RK_CALL_WRITING;
	request_of(c, call->cell, &request);
	RK_KILL_POINT(CALL_ASIDE);
	/* skip before WANT: this sequence was applied, so an empty ring means "ask again", not "not applied". */
	fill(c, (uint32_t)g, call->slot, call->sequence, call->sequence, &request);
	call->cell = (uint32_t)g;
	call->withdrawn = true;
	return publish_again(c, call) ? RK_CALL_PENDING : RK_CALL_AGAIN;
}

/*
 * Whether its writer has lost the partition: its successor found the cell
 * WRITING and raised skip. The writer may be stopped for ever.
 */
static bool is_abandoned(struct rk_cell *cell, const struct rk_call *call, uint64_t word)
{
	/* Acquire; pairs with D6. */
	return rk_cellword_state(word) == RK_CELL_WRITING && rk_cellword_sequence(word) == call->sequence &&
	       atomic_load_explicit(&cell->skip, memory_order_acquire) == call->sequence;
}

enum rk_call_state rk_call_look(struct rk_caller *c, struct rk_call *call)
{
	struct rk_cell *cell = rk_shm_cell(c->m, call->cell);
	/* C3: acquire; pairs with D4. */
	uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
	uint64_t want = rk_cellword(call->sequence, 0, RK_CELL_WANT);

	if (word == rk_cellword(call->sequence, 0, RK_CELL_DONE))
		return RK_CALL_DONE;
	if (word != want)
		return is_abandoned(cell, call, word) ? set_aside(c, call) : RK_CALL_WRITING;
	switch (strongest_reference(c, cell, call->cell)) {
	case RK_REF_TAKEN:
		return RK_CALL_TAKEN;
	case RK_REF_READY:
		return RK_CALL_PENDING;
	case RK_REF_FREE:
	case RK_REF_TOMB:
		break;
	}
	/*
	 * No ring names it (Q6). The word once more, after that: delivery goes
	 * before recycling, so a reply would be here by now.
	 */
	word = atomic_load_explicit(&cell->word, memory_order_acquire);
	if (word != want)
		return word == rk_cellword(call->sequence, 0, RK_CELL_DONE) ? RK_CALL_DONE : RK_CALL_WRITING;
	/* C4: acquire; pairs with D6: applied, but another worker was writing here. */
	if (atomic_load_explicit(&cell->skip, memory_order_acquire) == call->sequence) {
		if (find_done(c, call))
			return RK_CALL_DONE;
		return publish_again(c, call) ? RK_CALL_PENDING : RK_CALL_AGAIN;
	}
	return close_not_applied(c, call) ? RK_CALL_NOT_APPLIED : RK_CALL_WRITING;
}

enum rk_call_state rk_call_expire(struct rk_caller *c, struct rk_call *call)
{
	uint32_t cell = call->cell;
	enum rk_call_state state = rk_call_look(c, call);

	if (call->cell != cell)
		return state; /* set aside already, and published a moment ago */
	if (state == RK_CALL_WRITING) {
		if (!rk_broken(WRITING))
			return set_aside(c, call);
		atomic_store_explicit(&rk_shm_cell(c->m, call->cell)->word,
				      rk_cellword(call->sequence, 0, RK_CELL_WANT), memory_order_release);
		return publish_again(c, call) ? RK_CALL_PENDING : RK_CALL_AGAIN;
	}
	if (state != RK_CALL_PENDING && state != RK_CALL_TAKEN)
		return state;
	if (rk_queue_tomb(c->m, call->cell)) { /* C5 */
		call->withdrawn = true;
		RK_KILL_POINT(CALL_TOMBED);
		if (rk_broken(TOMB2))
			return close_not_applied(c, call) ? RK_CALL_NOT_APPLIED : RK_CALL_WRITING;
	}
	return rk_call_look(c, call);
}

bool rk_call_again(struct rk_caller *c, struct rk_call *call)
{
	return !call->repeated && rk_call_look(c, call) == RK_CALL_TAKEN && publish_again(c, call);
}

void rk_call_reply(const struct rk_caller *c, const struct rk_call *call, struct rk_call_reply *ret)
{
	struct rk_cell *cell = rk_shm_cell(c->m, call->cell);

	/* Relaxed: behind C3. */
	ret->len = rk_min_u32(atomic_load_explicit(&cell->reply_len, memory_order_relaxed), c->m->g.reply_max);
	ret->error = -(int)(atomic_load_explicit(&cell->reply_error, memory_order_relaxed) & 0xffff);
	ret->job = atomic_load_explicit(&cell->reply_job, memory_order_relaxed);
	ret->bytes = rk_cell_reply(c->m, cell);
}

void rk_call_release(struct rk_caller *c, struct rk_call *call)
{
	struct rk_cell *cell = rk_shm_cell(c->m, call->cell);

	/* C6: release; pairs with the owners' look at `done`: from here on the stored reply may go. */
	atomic_store_explicit(done_of(c->m, c->page, call->slot), call->sequence, memory_order_release);
	RK_KILL_POINT(CALL_READ);
	atomic_store_explicit(&cell->word, rk_cellword(call->sequence, 0, RK_CELL_IDLE), memory_order_release);
	RK_KILL_POINT(CALL_RETIRED);
	if (call->repeated)
		(void)rk_queue_tomb(c->m, call->cell); /* the second reference may still be READY */
}

uint64_t rk_call_tag(const struct rk_caller *c, const struct rk_call *call)
{
	return atomic_load_explicit(&rk_shm_cell(c->m, call->cell)->tag, memory_order_relaxed);
}

uint32_t rk_call_resume(struct rk_caller *c, struct rk_call *ret)
{
	uint32_t n = 0;

	/*
	 * Cells being written last: their call may go on in a spare. The second
	 * pass takes whatever is not IDLE, since a writer goes on meanwhile.
	 */
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < c->m->g.n_cells; i++) {
			struct rk_cell *cell = rk_shm_cell(c->m, global_cell(c, i));
			uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
			enum rk_cell_state state = rk_cellword_state(word);
			uint32_t slot = slot_of(c->m, cell), k = 0;
			uint64_t request = atomic_load_explicit(&cell->request, memory_order_relaxed);

			if (state == RK_CELL_IDLE || (state == RK_CELL_WRITING && pass == 0) ||
			    is_closed(c->m, c->page, cell, word))
				continue;
			while (k < n && ret[k].slot != slot)
				k++;
			if (k < n || n == c->m->g.n_slots)
				continue;
			ret[n++] = (struct rk_call){
				.slot = slot, .cell = global_cell(c, i),
				.partition = rk_request_partition(request) % c->m->g.n_partitions,
				.sequence = rk_cellword_sequence(word), .withdrawn = true, .repeated = true,
			};
		}
	return n;
}

void rk_page_init(const struct rk_shm *m, uint32_t page, uint64_t first)
{
	atomic_store_explicit(&rk_shm_page(m, page)->sequence, first, memory_order_relaxed);
	for (uint32_t s = 0; s < m->g.n_slots; s++)
		atomic_store_explicit(done_of(m, page, s), first, memory_order_relaxed);
}

bool rk_page_try_free(const struct rk_shm *m, uint32_t page)
{
	for (uint32_t i = 0; i < m->g.n_cells; i++) {
		uint32_t g = page * m->g.n_cells + i;
		struct rk_cell *cell = rk_shm_cell(m, g);
		uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);

		if (rk_queue_names(m, g) || rk_cellword_state(word) == RK_CELL_WRITING)
			return false;
		if (!atomic_compare_exchange_strong_explicit(
			    &cell->word, &word, rk_cellword(rk_cellword_sequence(word), 0, RK_CELL_IDLE),
			    memory_order_acq_rel, memory_order_relaxed))
			return false;
		RK_KILL_POINT(PAGE_IDLE);
	}
	if (rk_broken(SEQ0)) {
		struct rk_page *p = rk_shm_page(m, page);
		uint64_t sequence = atomic_load_explicit(&p->sequence, memory_order_relaxed);

		rk_page_init(m, page, 0);
		atomic_store_explicit(&p->sequence, sequence > 3 ? sequence - 3 : 0, memory_order_relaxed);
	}
	return true;
}

bool rk_page_has_calls(const struct rk_shm *m, uint32_t page)
{
	for (uint32_t i = 0; i < m->g.n_cells; i++) {
		uint32_t g = page * m->g.n_cells + i;
		struct rk_cell *cell = rk_shm_cell(m, g);
		uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);

		if (rk_queue_names(m, g) ||
		    (rk_cellword_state(word) != RK_CELL_IDLE && !is_closed(m, page, cell, word)))
			return true;
	}
	return false;
}
