/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/state.h"

#include <errno.h>
#include <string.h>

#include "shm/fault.h"
#include "shm/words.h"

void rk_bank_view(struct rk_bank *b, const struct rk_shm *m, void *mapped)
{
	char *bank = mapped;

	*b = (struct rk_bank){
		.m = m,
		.log = (struct rk_log *)(bank + m->l.bank_log),
		.entries = (struct rk_log_entry *)(bank + m->l.bank_log + sizeof(struct rk_log)),
		.log_data = bank + m->l.bank_log_data,
		.guarded = bank + m->l.bank_guarded,
		.head = (struct rk_bank_head *)(bank + m->l.bank_guarded),
		.applied = (uint64_t *)(void *)(bank + m->l.bank_guarded + m->l.guarded_applied),
		.index = (uint16_t *)(void *)(bank + m->l.bank_guarded + m->l.guarded_index),
		.state = bank + m->l.bank_guarded + m->l.guarded_state,
		.job = UINT64_MAX,
	};
	rk_bank_allow(b, true);
}

void rk_bank_allow(struct rk_bank *b, bool alone)
{
	const struct rk_geometry *g = &b->m->g;

	b->n_entries_max = alone ? g->n_log : g->n_log / 2;
	b->data_max = alone ? g->log_data_len : g->log_data_len / 2;
}

/* Old bytes of an entry, or NULL if it points outside. */
static const void *old_bytes(const struct rk_bank *b, const struct rk_log_entry *e, uint32_t *ret_offset,
			     uint32_t *ret_len)
{
	/* Relaxed: written by this process, or by an owner that is dead or evicted (its commit CAS will fail). */
	uint32_t offset = atomic_load_explicit(&e->offset, memory_order_relaxed);
	uint32_t len = atomic_load_explicit(&e->len, memory_order_relaxed);
	uint32_t data = e->old.data;

	if (len > b->m->l.guarded_len || offset > b->m->l.guarded_len - len)
		return NULL;
	*ret_offset = offset;
	*ret_len = len;
	if (len <= RK_LOG_INLINE)
		return e->old.bytes;
	if (len > b->m->g.log_data_len || data > b->m->g.log_data_len - len)
		return NULL;
	return b->log_data + data;
}

/* Puts back entries [from, to), newest first: the oldest bytes win. */
static void restore(struct rk_bank *b, uint32_t from, uint32_t to)
{
	for (uint32_t i = to; i-- > from;) {
		uint32_t offset, len;
		const void *old = old_bytes(b, &b->entries[i], &offset, &len);

		if (!old)
			continue;
		memcpy(b->guarded + offset, old, len);
		RK_KILL_POINT(STATE_ROLLING);
	}
}

static void begin(struct rk_bank *b, uint64_t cursor)
{
	b->job = cursor;
	b->n_entries = b->n_before = b->n_same = 0;
	b->data_used = 0;
}

bool rk_bank_roll_back(struct rk_bank *b, uint64_t cursor)
{
	/* S2: acquire; pairs with S1. After the owner's confirmed death everything it wrote is here. */
	uint64_t word = atomic_load_explicit(&b->log->word, memory_order_acquire);
	uint32_t n = rk_logword_entries(word);

	begin(b, cursor);
	if (rk_logword_job(word) != cursor)
		return false; /* it committed: the same store that moved the cursor emptied the log */
	if (n > b->m->g.n_log)
		n = b->m->g.n_log;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t offset, len;

		const char *old = old_bytes(b, &b->entries[i], &offset, &len);

		if (old && len > RK_LOG_INLINE)
			b->data_used = rk_max_u32(b->data_used, (uint32_t)(old - b->log_data) + RK_ALIGN_UP(len, 8u));
	}
	b->data_used = rk_min_u32(b->data_used, b->m->g.log_data_len); /* the last may have been rounded past the end */
	if (rk_broken(UNDO)) { /* as if there had been nothing */
		begin(b, cursor);
		return n != 0;
	}
	restore(b, 0, n);
	b->n_entries = b->n_before = n; /* not shortened: that would rob an eviction that is copying */
	if (rk_broken(LOGRESET)) {
		atomic_store_explicit(&b->log->word, rk_logword(cursor, 0), memory_order_release);
		begin(b, cursor);
	}
	return n != 0;
}

void rk_bank_restart(struct rk_bank *b)
{
	restore(b, 0, b->n_entries);
	b->n_before = b->n_entries;
	b->n_same = 0;
}

void rk_bank_begin(struct rk_bank *b, uint64_t cursor)
{
	if (b->job != cursor)
		begin(b, cursor);
}

void rk_bank_pin(struct rk_bank *b)
{
	b->n_before = b->n_same = 0;
}

/*
 * Whether a run before this one saved the same bytes at the same turn. Its entry
 * holds them as they were at the last commit, or lies behind one that does:
 * everything was undone in between, and the oldest entry of a byte wins.
 */
static bool is_saved_again(struct rk_bank *b, uint64_t offset, size_t len)
{
	struct rk_log_entry *e = &b->entries[b->n_same];

	/* Relaxed: written by this process or a dead owner. */
	if (atomic_load_explicit(&e->offset, memory_order_relaxed) == offset &&
	    atomic_load_explicit(&e->len, memory_order_relaxed) == len) {
		b->n_same++;
		return true;
	}
	b->n_same = b->n_before; /* another course than last time: from here on it appends */
	return false;
}

int rk_bank_save(struct rk_bank *b, const void *at, size_t len)
{
	uint64_t offset = (uint64_t)((const char *)at - b->guarded);
	struct rk_log_entry *e = &b->entries[b->n_entries];

	if (rk_unlikely(len > b->m->l.guarded_len || offset > b->m->l.guarded_len - len))
		return -EFAULT;
	if (rk_unlikely(b->n_same < b->n_before) && is_saved_again(b, offset, len))
		return 0;
	if (rk_unlikely(b->n_entries >= b->n_entries_max))
		return -ENOSPC;
	if (len > RK_LOG_INLINE) {
		if (b->data_used > b->data_max || len > b->data_max - b->data_used)
			return -ENOSPC;
		memcpy(b->log_data + b->data_used, at, len);
		e->old.data = b->data_used;
		b->data_used = rk_min_u32(b->data_used + (uint32_t)RK_ALIGN_UP(len, 8u), b->m->g.log_data_len);
	} else {
		memcpy(e->old.bytes, at, len);
	}
	atomic_store_explicit(&e->offset, (uint32_t)offset, memory_order_relaxed);
	atomic_store_explicit(&e->len, (uint32_t)len, memory_order_relaxed);
	b->n_entries++;
	/*
	 * S1: the entry counts from here on; release, pairs with S2. The new
	 * bytes are stored after it (program order; the fence below binds the
	 * compiler), so a kill before it finds the old bytes in place, and one
	 * after it finds them in the log.
	 */
	atomic_store_explicit(&b->log->word, rk_logword(b->job, b->n_entries), memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	RK_KILL_POINT(STATE_SAVED);
	return 0;
}

void rk_bank_roll_back_to(struct rk_bank *b, struct rk_savepoint s)
{
	restore(b, s.n_entries, b->n_entries);
	if (s.n_entries == 0) { /* that was everything: what comes next is a re-run */
		b->n_before = b->n_entries;
		b->n_same = 0;
	}
}

/* The entry that the index names for this caller, whatever it holds; or NULL. */
static struct rk_dedup *entry_of(const struct rk_bank *b, uint32_t caller)
{
	uint32_t i = b->index[caller];
	struct rk_dedup *e;

	if (i == 0 || i > b->m->g.n_dedup)
		return NULL;
	e = rk_bank_dedup(b, i - 1);
	return e->caller == caller && e->sequence ? e : NULL;
}

struct rk_dedup *rk_bank_dedup_find(const struct rk_bank *b, uint32_t caller)
{
	struct rk_dedup *e = entry_of(b, caller);

	/* A job that was rolled back may have left another sequence; the next of this caller is on its way then. */
	return e && e->sequence == b->applied[caller] ? e : NULL;
}

/* Whether the reply lies in the cell it was delivered to: its client finds it there, whatever else it asks. */
static bool is_delivered(const struct rk_shm *m, const struct rk_dedup *e)
{
	uint32_t cell = e->cell - 1;

	if (!e->cell || cell >= rk_shm_n_cells(m))
		return false;
	/* Acquire: DONE stays until its client has read the reply, or lost its place. */
	return atomic_load_explicit(&rk_shm_cell(m, cell)->word, memory_order_acquire) ==
	       rk_cellword(e->sequence, 0, RK_CELL_DONE);
}

/* Whether nobody will ask for this entry's reply any more. */
static bool is_needless(const struct rk_bank *b, const struct rk_dedup *e)
{
	const struct rk_shm *m = b->m;
	uint32_t page = e->caller / m->g.n_slots;
	uint64_t id, done;

	if (!e->sequence || page >= m->g.n_clients || e->sequence != b->applied[e->caller])
		return true;
	/* Acquire: an id that changed says that no ring names a cell of the old client any more. */
	id = atomic_load_explicit(&rk_shm_client_ids(m)[page], memory_order_acquire);
	if (id != e->client_id)
		return true;
	/* Acquire; pairs with the client's release C6 when it has read the reply. */
	done = atomic_load_explicit(&rk_page_done(rk_shm_page(m, page))[e->caller % m->g.n_slots],
				    memory_order_acquire);
	return done >= e->sequence || is_delivered(m, e);
}

/* One for a caller that has none: nobody's now, and not given back if this job is undone. */
static struct rk_dedup *take_needless(struct rk_bank *b, uint32_t caller)
{
	uint32_t n = b->m->g.n_dedup;
	uint32_t hand = b->head->hand % n;

	for (uint32_t k = 0; k < n; k++, hand = hand + 1 < n ? hand + 1 : 0) {
		struct rk_dedup *e = rk_bank_dedup(b, hand);

		if (!is_needless(b, e))
			continue;
		e->sequence = 0;
		atomic_signal_fence(memory_order_seq_cst); /* never another caller's with this sequence */
		e->caller = caller;
		b->index[caller] = (uint16_t)(hand + 1);
		b->head->hand = hand + 1; /* a hint */
		return e;
	}
	return NULL;
}

int rk_bank_dedup_claim(struct rk_bank *b, uint32_t caller, uint64_t sequence, struct rk_dedup **ret)
{
	struct rk_dedup *e = entry_of(b, caller); /* a slot has one call at a time: the one before is closed */
	int r;

	if (!e)
		e = take_needless(b, caller);
	if (!e)
		return -EBUSY;
	r = rk_bank_save(b, &b->applied[caller], sizeof(b->applied[caller]));
	if (r < 0)
		return r;
	b->applied[caller] = sequence;
	e->sequence = sequence;
	*ret = e;
	return 0;
}
