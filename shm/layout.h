/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout: from a geometry to the sizes and offsets of every segment, and
 * struct rk_shm, a process's private view of the segments it has mapped.
 *
 * Who       every process; rk_layout_init() is pure.
 * Crash     nothing shared is written here.
 * Units     bytes; numbers of things are n_*.
 *
 * A process copies the geometry out of the board once, checks it against the
 * private bounds of abi.h (rk_geometry_check) and then uses only its copy:
 * whatever happens to the shared one later changes nothing (rule R3).
 */
#ifndef RK_SHM_LAYOUT_H
#define RK_SHM_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/macro.h"
#include "shm/abi.h"

/* Offsets and strides that follow from a geometry. */
struct rk_layout {
	uint64_t board_routes, board_clients, board_views, view_stride, view_clients, board_len;
	uint64_t beats_len;
	uint64_t page_stride, page_cells, cell_stride, cell_request, cell_reply, calls_len;
	uint64_t cell_inverse; /* 2^32 / n_cells, rounded up */
	uint64_t ring_stride, queues_bells, bell_stride, queues_len;
	uint64_t parts_len;
	uint64_t readers_len;
	uint64_t bank_log, bank_log_data, bank_guarded, guarded_applied, guarded_index, guarded_dedup, dedup_stride;
	uint64_t guarded_state, guarded_len, bank_stride, state_len;
	uint64_t journal_clients, journal_readers, journal_owners, journal_kept, journal_len;
	uint64_t dead_entries, dead_stride, dead_len;
	uint64_t total_len; /* all segments together */
};

/* What a fleet gets when nobody says otherwise: less than 64 MiB altogether. */
void rk_geometry_default(struct rk_geometry *g);

/*
 * Checks a geometry against the private bounds. Returns 0; -EINVAL with a
 * sentence that names the value and its bounds.
 */
RK_MUST_USE int rk_geometry_check(const struct rk_geometry *g, struct rk_err *err);

/* Pure; the geometry has passed rk_geometry_check(). */
void rk_layout_init(const struct rk_geometry *g, struct rk_layout *ret);

/* Size of one segment of this kind; 0 for an unknown kind. */
uint64_t rk_layout_segment_len(const struct rk_layout *l, enum rk_segment_kind kind);

/* Name of a segment: "board", "calls", … ; "?" outside. */
const char *rk_segment_name(enum rk_segment_kind kind);

/*
 * The segments as this process sees them. A pointer is NULL where the process
 * has not mapped the segment. Everything in it is private and constant after
 * attach; the memory behind the pointers is shared.
 */
struct rk_shm {
	struct rk_geometry g;
	struct rk_layout l;
	struct rk_board *board;
	char *beats, *calls, *queues, *parts, *readers, *dead;
	struct rk_journal *journal;
};

static inline _Atomic uint64_t *rk_shm_routes(const struct rk_shm *m)
{
	return (_Atomic uint64_t *)((char *)m->board + m->l.board_routes);
}

static inline _Atomic uint64_t *rk_shm_client_ids(const struct rk_shm *m)
{
	return (_Atomic uint64_t *)((char *)m->board + m->l.board_clients);
}

static inline struct rk_view *rk_shm_view(const struct rk_shm *m, uint32_t i)
{
	return (struct rk_view *)((char *)m->board + m->l.board_views + i * m->l.view_stride);
}

static inline struct rk_view_slot *rk_view_slots(struct rk_view *v)
{
	return (struct rk_view_slot *)(v + 1);
}

static inline struct rk_view_client *rk_view_clients(const struct rk_shm *m, struct rk_view *v)
{
	return (struct rk_view_client *)((char *)v + m->l.view_clients);
}

static inline struct rk_beat *rk_shm_beat(const struct rk_shm *m, uint32_t worker)
{
	return (struct rk_beat *)(m->beats + RK_BEAT_SIZE * (1ull + worker));
}

static inline struct rk_page *rk_shm_page(const struct rk_shm *m, uint32_t page)
{
	return (struct rk_page *)(m->calls + sizeof(struct rk_segment) + page * m->l.page_stride);
}

static inline _Atomic uint64_t *rk_page_done(struct rk_page *page)
{
	return (_Atomic uint64_t *)(page + 1);
}

/*
 * The page of a global cell number: cell / n_cells without the division. Exact,
 * since cell < 2^20 and n_cells <= 2^12: the inverse is too large by less than
 * 1, the product by less than 2^20, the quotient by less than 2^-12.
 */
static inline uint32_t rk_shm_page_of(const struct rk_shm *m, uint32_t cell)
{
	return (uint32_t)(cell * m->l.cell_inverse >> 32);
}

/* Global cell number: page * n_cells + cell of the page. */
static inline struct rk_cell *rk_shm_cell(const struct rk_shm *m, uint32_t cell)
{
	uint32_t page = rk_shm_page_of(m, cell);

	return (struct rk_cell *)((char *)rk_shm_page(m, page) + m->l.page_cells +
				  (cell - page * m->g.n_cells) * m->l.cell_stride);
}

static inline uint32_t rk_shm_n_cells(const struct rk_shm *m)
{
	return m->g.n_clients * m->g.n_cells;
}

static inline void *rk_cell_request(const struct rk_shm *m, struct rk_cell *cell)
{
	return (char *)cell + m->l.cell_request;
}

static inline void *rk_cell_reply(const struct rk_shm *m, struct rk_cell *cell)
{
	return (char *)cell + m->l.cell_reply;
}

static inline struct rk_ring *rk_shm_ring(const struct rk_shm *m, uint32_t partition)
{
	return (struct rk_ring *)(m->queues + sizeof(struct rk_queues) + partition * m->l.ring_stride);
}

/* The bell of whoever watches over the workers (vigil.h). */
static inline _Atomic uint32_t *rk_shm_vigil(const struct rk_shm *m)
{
	return &((struct rk_queues *)(void *)m->queues)->vigil;
}

/* The place of this position. */
static inline _Atomic uint64_t *rk_ring_place(const struct rk_shm *m, struct rk_ring *ring, uint64_t position)
{
	return (_Atomic uint64_t *)(ring + 1) + (position & (m->g.n_ring - 1));
}

static inline struct rk_worker_bell *rk_shm_bell(const struct rk_shm *m, uint32_t worker)
{
	return (struct rk_worker_bell *)(m->queues + m->l.queues_bells + worker * m->l.bell_stride);
}

static inline _Atomic uint64_t *rk_bell_pending(struct rk_worker_bell *bell)
{
	return (_Atomic uint64_t *)(bell + 1);
}

static inline struct rk_part *rk_shm_part(const struct rk_shm *m, uint32_t partition)
{
	return (struct rk_part *)(m->parts + sizeof(struct rk_segment)) + partition;
}

static inline struct rk_reader *rk_shm_reader(const struct rk_shm *m, uint32_t reader)
{
	return (struct rk_reader *)(m->readers + sizeof(struct rk_segment)) + reader;
}

static inline struct rk_journal_slot *rk_journal_slots(struct rk_journal *j)
{
	return (struct rk_journal_slot *)(j + 1);
}

static inline struct rk_journal_client *rk_journal_clients(const struct rk_shm *m, struct rk_journal *j)
{
	return (struct rk_journal_client *)((char *)j + m->l.journal_clients);
}

static inline struct rk_journal_reader *rk_journal_readers(const struct rk_shm *m, struct rk_journal *j)
{
	return (struct rk_journal_reader *)((char *)j + m->l.journal_readers);
}

/* The slot that a partition belongs to. */
static inline _Atomic uint16_t *rk_journal_owner(const struct rk_shm *m, uint32_t partition)
{
	return (_Atomic uint16_t *)((char *)m->journal + m->l.journal_owners) + partition;
}

/* Who may still write to this bank: worker + 1, 0 = nobody. */
static inline _Atomic uint16_t *rk_journal_kept(const struct rk_shm *m, uint32_t partition, uint32_t bank)
{
	return (_Atomic uint16_t *)((char *)m->journal + m->l.journal_kept) + (uint64_t)partition * m->g.n_banks + bank;
}

static inline _Atomic uint64_t *rk_shm_cause(const struct rk_shm *m, uint32_t partition)
{
	return (_Atomic uint64_t *)(m->dead + sizeof(struct rk_segment)) + partition;
}

static inline struct rk_dead *rk_shm_dead(const struct rk_shm *m, uint32_t i)
{
	return (struct rk_dead *)(m->dead + m->l.dead_entries + i * m->l.dead_stride);
}

/* Offset of a partition's bank in the state segment. */
static inline uint64_t rk_bank_offset(const struct rk_shm *m, uint32_t partition, uint32_t bank)
{
	return 4096 + ((uint64_t)partition * m->g.n_banks + bank) * m->l.bank_stride;
}

#endif
