/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/layout.h"

#include <errno.h>

#define PAGE 4096ull

static uint64_t up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

void rk_geometry_default(struct rk_geometry *g)
{
	*g = (struct rk_geometry){
		.n_partitions = 256,
		.n_ring = 512,
		.n_workers = 64,
		.n_clients = 128,
		.n_slots = 16,
		.n_cells = 24,
		.n_dedup = 64,
		.n_log = 512,
		.log_data_len = 16384,
		.request_max = 1024,
		.reply_max = 1024,
		.state_max = 65536,
		.n_banks = 1,
		.n_readers = 256,
		.n_dead = 256,
		.hash_seed = 0,
	};
}

static bool power_of_two(uint32_t n)
{
	return n && (n & (n - 1)) == 0;
}

struct bound {
	const char *name;
	uint64_t value, min, max;
	bool power;
};

int rk_geometry_check(const struct rk_geometry *g, struct rk_err *err)
{
	const struct bound bounds[] = {
		{ "partitions", g->n_partitions, 1, RK_PARTITIONS_MAX, true },
		{ "ring places", g->n_ring, RK_RING_MIN, RK_RING_MAX, true },
		{ "worker slots", g->n_workers, 1, RK_WORKERS_MAX, false },
		{ "clients", g->n_clients, 1, RK_CLIENTS_MAX, false },
		{ "slots per client", g->n_slots, 1, RK_SLOTS_MAX, false },
		{ "cells per client", g->n_cells, (uint64_t)g->n_slots + 1, RK_SLOTS_MAX * 4, false },
		{ "dedup entries", g->n_dedup, 1, 65534, false },
		{ "undo entries", g->n_log, 8, RK_LOG_ENTRIES_MAX, false },
		{ "undo data bytes", g->log_data_len, 0, 1u << 30, false },
		{ "request bytes", g->request_max, 8, RK_BODY_MAX, false },
		{ "reply bytes", g->reply_max, 8, RK_BODY_MAX, false },
		{ "state bytes", g->state_max, 8, 1u << 31, false },
		{ "banks", g->n_banks, 1, RK_BANKS_MAX, false },
		{ "readers", g->n_readers, 1, RK_READERS_MAX, false },
		{ "dead letters", g->n_dead, 0, RK_DEAD_MAX, false },
	};
	struct rk_layout l;

	for (size_t i = 0; i < rk_countof(bounds); i++) {
		const struct bound *b = &bounds[i];

		if (b->value < b->min || b->value > b->max || (b->power && !power_of_two((uint32_t)b->value)))
			return rk_err_set(err, -EINVAL, "%s: %llu is not %s%llu to %llu", b->name,
					  (unsigned long long)b->value, b->power ? "a power of two from " : "in ",
					  (unsigned long long)b->min, (unsigned long long)b->max);
	}
	if ((uint64_t)g->n_clients * g->n_cells > RK_CELLS_MAX)
		return rk_err_set(err, -EINVAL, "clients times cells per client: %llu is more than %u",
				  (unsigned long long)g->n_clients * g->n_cells, RK_CELLS_MAX);
	rk_layout_init(g, &l);
	if (l.bank_stride > RK_BANK_MAX) /* an offset in the log has 32 bits */
		return rk_err_set(err, -EINVAL, "bank (state, dedup entries times reply bytes, undo log): %llu is more than %llu",
				  (unsigned long long)l.bank_stride, RK_BANK_MAX);
	return 0;
}

static void lay_board(const struct rk_geometry *g, struct rk_layout *l)
{
	l->board_routes = sizeof(struct rk_board);
	l->board_clients = up(l->board_routes + 8ull * g->n_partitions, RK_ABI_LINE);
	l->board_views = up(l->board_clients + 8ull * g->n_clients, RK_ABI_LINE);
	l->view_clients = up(sizeof(struct rk_view) + sizeof(struct rk_view_slot) * (uint64_t)g->n_workers, 8);
	l->view_stride = up(l->view_clients + sizeof(struct rk_view_client) * (uint64_t)g->n_clients, RK_ABI_LINE);
	l->board_len = up(l->board_views + RK_VIEWS * l->view_stride, PAGE);
	l->readers_len = up(sizeof(struct rk_segment) + sizeof(struct rk_reader) * (uint64_t)g->n_readers, PAGE);
	l->journal_clients = sizeof(struct rk_journal) + sizeof(struct rk_journal_slot) * (uint64_t)g->n_workers;
	l->journal_readers = l->journal_clients + sizeof(struct rk_journal_client) * (uint64_t)g->n_clients;
	l->journal_owners = l->journal_readers + sizeof(struct rk_journal_reader) * (uint64_t)g->n_readers;
	l->journal_kept = l->journal_owners + 2ull * g->n_partitions;
	l->journal_len = up(l->journal_kept + 2ull * g->n_partitions * g->n_banks, PAGE);
}

static void lay_dead(const struct rk_geometry *g, struct rk_layout *l)
{
	l->dead_entries = up(sizeof(struct rk_segment) + 8ull * g->n_partitions, RK_ABI_LINE);
	l->dead_stride = up(sizeof(struct rk_dead) + g->request_max, RK_ABI_LINE);
	l->dead_len = up(l->dead_entries + g->n_dead * l->dead_stride, PAGE);
}

static void lay_calls(const struct rk_geometry *g, struct rk_layout *l)
{
	l->cell_request = sizeof(struct rk_cell);
	l->cell_reply = up(l->cell_request + g->request_max, RK_ABI_LINE);
	l->cell_stride = up(l->cell_reply + g->reply_max, RK_ABI_LINE);
	l->page_cells = up(sizeof(struct rk_page) + 8ull * g->n_slots, RK_ABI_LINE);
	l->page_stride = l->page_cells + g->n_cells * l->cell_stride;
	l->cell_inverse = ((1ull << 32) + g->n_cells - 1) / g->n_cells;
	l->calls_len = up(sizeof(struct rk_segment) + g->n_clients * l->page_stride, PAGE);
}

static void lay_queues(const struct rk_geometry *g, struct rk_layout *l)
{
	l->ring_stride = sizeof(struct rk_ring) + 8ull * g->n_ring;
	l->queues_bells = sizeof(struct rk_queues) + g->n_partitions * l->ring_stride;
	l->bell_stride = sizeof(struct rk_worker_bell) + up((g->n_partitions + 63) / 64 * 8ull, RK_ABI_LINE);
	l->queues_len = up(l->queues_bells + g->n_workers * l->bell_stride, PAGE);
	l->parts_len = up(sizeof(struct rk_segment) + sizeof(struct rk_part) * (uint64_t)g->n_partitions, PAGE);
	l->beats_len = RK_BEAT_SIZE * (1ull + g->n_workers);
}

static void lay_bank(const struct rk_geometry *g, struct rk_layout *l)
{
	l->bank_log = 0;
	l->bank_log_data = sizeof(struct rk_log) + sizeof(struct rk_log_entry) * (uint64_t)g->n_log;
	l->bank_guarded = up(l->bank_log_data + g->log_data_len, RK_ABI_LINE);
	l->guarded_applied = sizeof(struct rk_bank_head);
	l->guarded_index = up(l->guarded_applied + 8ull * g->n_clients * g->n_slots, RK_ABI_LINE);
	l->guarded_dedup = up(l->guarded_index + 2ull * g->n_clients * g->n_slots, RK_ABI_LINE);
	l->dedup_stride = up(sizeof(struct rk_dedup) + g->reply_max, RK_ABI_LINE);
	/* The state begins on a page of its own, so that its neighbours' bugs and ours differ. */
	l->guarded_state = up(l->bank_guarded + l->guarded_dedup + g->n_dedup * l->dedup_stride, PAGE) -
			   l->bank_guarded;
	l->guarded_len = l->guarded_state + up(g->state_max, 8);
	l->bank_stride = up(l->bank_guarded + l->guarded_len, PAGE);
	l->state_len = PAGE + (uint64_t)g->n_partitions * g->n_banks * l->bank_stride;
}

void rk_layout_init(const struct rk_geometry *g, struct rk_layout *ret)
{
	*ret = (struct rk_layout){ 0 };
	lay_board(g, ret);
	lay_calls(g, ret);
	lay_queues(g, ret);
	lay_bank(g, ret);
	lay_dead(g, ret);
	for (int kind = 1; kind < RK_SEGMENT_KINDS; kind++)
		ret->total_len += rk_layout_segment_len(ret, (enum rk_segment_kind)kind);
}

uint64_t rk_layout_segment_len(const struct rk_layout *l, enum rk_segment_kind kind)
{
	switch (kind) {
	case RK_SEGMENT_BOARD:
		return l->board_len;
	case RK_SEGMENT_BEATS:
		return l->beats_len;
	case RK_SEGMENT_CALLS:
		return l->calls_len;
	case RK_SEGMENT_QUEUES:
		return l->queues_len;
	case RK_SEGMENT_PARTS:
		return l->parts_len;
	case RK_SEGMENT_READERS:
		return l->readers_len;
	case RK_SEGMENT_STATE:
		return l->state_len;
	case RK_SEGMENT_JOURNAL:
		return l->journal_len;
	case RK_SEGMENT_DEAD:
		return l->dead_len;
	case RK_SEGMENT_KINDS:
		break;
	}
	return 0;
}

const char *rk_segment_name(enum rk_segment_kind kind)
{
	static const char *const names[] = { "?",     "board",   "beats", "calls",  "queues",
					     "parts", "readers", "state", "journal", "dead" };

	static_assert(rk_countof(names) == RK_SEGMENT_KINDS, "a name for every segment");
	return (unsigned int)kind < RK_SEGMENT_KINDS ? names[kind] : "?";
}
