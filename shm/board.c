/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/board.h"

#include <string.h>

#include "shm/bell.h"
#include "shm/copy.h"
#include "shm/epoch.h"
#include "shm/fault.h"

void rk_board_writer_init(struct rk_board_writer *w, const struct rk_shm *m, rk_board_is_dead is_dead, void *arg)
{
	*w = (struct rk_board_writer){ .m = m, .is_dead = is_dead, .arg = arg };
}

void rk_board_writer_adopt(struct rk_board_writer *w)
{
	uint32_t current = atomic_load_explicit(&w->m->board->view, memory_order_acquire);
	uint64_t epoch = rk_epoch_advance(w->m);

	for (uint32_t i = 0; i < RK_VIEWS; i++) {
		/* Versions go on; of a half-filled buffer this is any number, and harmless. */
		w->version = rk_max_u64(w->version, i == current ? rk_shm_view(w->m, i)->version : 0);
		w->retired[i] = i == current ? 0 : epoch;
	}
}

/* The low half of the epoch, which every publication changes; not the view's index, which comes back. */
_Atomic uint32_t *rk_board_futex(const struct rk_shm *m)
{
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half comes first");
	return (_Atomic uint32_t *)(void *)&m->board->epoch;
}

uint32_t rk_board_mark(const struct rk_shm *m)
{
	/* Acquire: whoever then looks for a view sees at least the one of this epoch. */
	return (uint32_t)atomic_load_explicit(&m->board->epoch, memory_order_acquire);
}

void rk_board_await(const struct rk_shm *m, uint32_t mark, uint64_t deadline_ns)
{
	(void)rk_bell_wait(rk_board_futex(m), mark, deadline_ns);
}

bool rk_board_copy(const struct rk_shm *m, struct rk_view *to)
{
	for (int round = 0; round < RK_BOARD_COPIES; round++) {
		/* E7: acquire, before the copy. What is published is not written again before the epoch has advanced (E5). */
		uint64_t epoch = atomic_load_explicit(&m->board->epoch, memory_order_acquire);
		/* E8: acquire; pairs with B1: whoever loads the index sees the view. */
		uint32_t i = atomic_load_explicit(&m->board->view, memory_order_acquire);

		rk_copy_out(to, rk_shm_view(m, i % RK_VIEWS), m->l.view_stride);
		/* E9: behind the copy, whose loads acquire. The epoch of E7 still: it was published all the while. */
		if (atomic_load_explicit(&m->board->epoch, memory_order_acquire) == epoch)
			return true;
	}
	return false;
}

static bool is_listed(const struct rk_board_writer *w, uint32_t reader)
{
	for (uint32_t k = 0; k < w->n_stalled && k < rk_countof(w->stalled); k++)
		if (w->stalled[k] == reader)
			return true;
	return false;
}

/* Whether a buffer replaced at `epoch` may be written again; names those who say no. */
static bool grace_passed(struct rk_board_writer *w, uint64_t epoch)
{
	bool passed = true;

	for (uint32_t r = 0; r < w->m->g.n_readers; r++) {
		if (!rk_epoch_holds(rk_shm_reader(w->m, r), epoch) || w->is_dead(r, w->arg))
			continue;
		passed = false;
		if (is_listed(w, r))
			continue; /* it holds another buffer too */
		if (w->n_stalled < rk_countof(w->stalled))
			w->stalled[w->n_stalled] = r;
		w->n_stalled++;
	}
	return passed;
}

static int free_buffer(struct rk_board_writer *w)
{
	uint32_t current = atomic_load_explicit(&w->m->board->view, memory_order_relaxed); /* ours alone */
	int found = -1;

	for (uint32_t i = 0; i < RK_VIEWS; i++) {
		if (i == current)
			continue;
		if (w->retired[i]) {
			if (!grace_passed(w, w->retired[i]))
				continue;
			w->retired[i] = 0;
			w->n_grace++;
		}
		if (found < 0)
			found = (int)i;
	}
	return found;
}

static void page_end(const struct rk_shm *m, uint32_t page)
{
	/*
	 * Z1: seq_cst, before the look at the bells; pairs with Z2 in rk_client_has_ended(), behind the client's park
	 * (W1): either it reads this and does not sleep, or we find it parked.
	 */
	atomic_store_explicit(&rk_shm_client_ids(m)[page], RK_CLIENT_ENDED, memory_order_seq_cst);
	rk_bell_ring(&rk_shm_page(m, page)->bell);
	for (uint32_t i = 0; i < m->g.n_cells; i++)
		rk_bell_ring(&rk_shm_cell(m, page * m->g.n_cells + i)->bell);
}

void rk_board_end(const struct rk_shm *m)
{
	for (uint32_t i = 0; i < m->g.n_clients; i++)
		page_end(m, i);
	for (uint32_t p = 0; p < m->g.n_partitions; p++)
		rk_bell_ring_space(rk_shm_ring(m, p));
	/* Who only looks at the board is told as of a view: the epoch changes behind the ids. */
	(void)rk_epoch_advance(m);
	rk_bell_wake(rk_board_futex(m));
}

bool rk_board_publish(struct rk_board_writer *w, const struct rk_view *view)
{
	uint32_t current = atomic_load_explicit(&w->m->board->view, memory_order_relaxed);
	struct rk_view *to;
	int i;

	w->n_stalled = 0;
	i = free_buffer(w);
	if (i < 0) {
		w->n_coalesced += !w->pending;
		w->pending = true;
		return false;
	}
	to = rk_shm_view(w->m, (uint32_t)i);
	memcpy(to, view, w->m->l.view_stride);
	to->version = ++w->version;
	to->n_grace = w->n_grace;
	to->n_coalesced = w->n_coalesced;
	to->n_stalled = w->n_stalled;
	for (uint32_t k = 0; k < rk_countof(to->stalled_pid); k++)
		to->stalled_pid[k] =
			k < w->n_stalled ? (int32_t)atomic_load_explicit(
						   &rk_shm_reader(w->m, w->stalled[k])->pid, memory_order_relaxed) :
					   0;
	RK_KILL_POINT(BOARD_FILLED);
	/* B1: publication; release, pairs with E3: whoever loads the index sees the view. seq_cst before E5. */
	atomic_store_explicit(&w->m->board->view, (uint32_t)i, memory_order_seq_cst);
	RK_KILL_POINT(BOARD_PUBLISHED);
	w->retired[current] = rk_epoch_advance(w->m);
	rk_bell_wake(rk_board_futex(w->m)); /* killed before: they look again by themselves */
	w->pending = false;
	return true;
}
