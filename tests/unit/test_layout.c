/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The layout is the one written down here: every struct of abi.h, every offset in it,
 *         and every size and offset of the default fleet, which fits in 64 MiB. Geometries
 *         outside the bounds are refused, those at the bounds lay out without overflow.
 * Method  Golden tables of literals. A line that has to change breaks the ABI: raise
 *         RK_ABI_VERSION with it.
 */
#include "shm/layout.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

#define SIZE(type, literal) { #type, sizeof(struct type), literal }
#define AT(type, member, literal) { #type "." #member, offsetof(struct type, member), literal }

static const struct {
	const char *what;
	uint64_t is, golden;
} structs[] = {
	SIZE(rk_segment, 64),
	AT(rk_segment, magic, 0),
	AT(rk_segment, abi, 8),
	AT(rk_segment, kind, 12),
	AT(rk_segment, size, 16),
	AT(rk_segment, fleet, 24),
	AT(rk_segment, reserved, 40),
	SIZE(rk_geometry, 128),
	AT(rk_geometry, n_partitions, 0),
	AT(rk_geometry, n_ring, 4),
	AT(rk_geometry, n_workers, 8),
	AT(rk_geometry, n_clients, 12),
	AT(rk_geometry, n_slots, 16),
	AT(rk_geometry, n_cells, 20),
	AT(rk_geometry, n_dedup, 24),
	AT(rk_geometry, n_log, 28),
	AT(rk_geometry, log_data_len, 32),
	AT(rk_geometry, request_max, 36),
	AT(rk_geometry, reply_max, 40),
	AT(rk_geometry, state_max, 44),
	AT(rk_geometry, n_banks, 48),
	AT(rk_geometry, n_readers, 52),
	AT(rk_geometry, hash_seed, 56),
	AT(rk_geometry, n_dead, 64),
	AT(rk_geometry, reserved0, 68),
	AT(rk_geometry, reserved1, 72),
	SIZE(rk_queues, 128),
	AT(rk_queues, segment, 0),
	AT(rk_queues, vigil, 64),
	AT(rk_queues, reserved, 68),
	SIZE(rk_ring, 128),
	AT(rk_ring, tail, 0),
	AT(rk_ring, reserved0, 8),
	AT(rk_ring, space, 64),
	AT(rk_ring, reserved1, 68),
	SIZE(rk_worker_bell, 64),
	AT(rk_worker_bell, bell, 0),
	AT(rk_worker_bell, reserved, 4),
	SIZE(rk_part, 64),
	AT(rk_part, commit, 0),
	AT(rk_part, freed, 8),
	AT(rk_part, released, 16),
	AT(rk_part, owner, 24),
	AT(rk_part, attempts, 32),
	AT(rk_part, charged, 40),
	AT(rk_part, reserved, 48),
	SIZE(rk_page, 128),
	AT(rk_page, sequence, 0),
	AT(rk_page, reserved0, 8),
	AT(rk_page, bell, 64),
	AT(rk_page, reserved1, 68),
	SIZE(rk_cell, 128),
	AT(rk_cell, word, 0),
	AT(rk_cell, client_id, 8),
	AT(rk_cell, deadline_ns, 16),
	AT(rk_cell, skip, 24),
	AT(rk_cell, request, 32),
	AT(rk_cell, body_len, 40),
	AT(rk_cell, bell, 44),
	AT(rk_cell, reply_len, 48),
	AT(rk_cell, reply_error, 52),
	AT(rk_cell, reply_job, 56),
	AT(rk_cell, ref, 64),
	AT(rk_cell, tag, 80),
	AT(rk_cell, reserved, 88),
	SIZE(rk_beat, 4096),
	AT(rk_beat, lease, 0),
	AT(rk_beat, cell, 64),
	AT(rk_beat, state, 72),
	AT(rk_beat, partition, 76),
	AT(rk_beat, job, 80),
	AT(rk_beat, deadline_ns, 88),
	AT(rk_beat, calling_until_ns, 96),
	AT(rk_beat, beats, 104),
	AT(rk_beat, cancel_job, 112),
	AT(rk_beat, order, 120),
	AT(rk_beat, incarnation, 128),
	AT(rk_beat, ready_ns, 136),
	AT(rk_beat, first_commit_ns, 144),
	AT(rk_beat, first_commit_job, 152),
	AT(rk_beat, first_commit_partition, 160),
	AT(rk_beat, stop, 164),
	AT(rk_beat, n_jobs, 168),
	AT(rk_beat, n_errors, 176),
	AT(rk_beat, n_without_effect, 184),
	AT(rk_beat, n_rolled_back, 192),
	AT(rk_beat, n_refused, 200),
	AT(rk_beat, owner_incarnation, 208),
	AT(rk_beat, reserved2, 212),
	AT(rk_beat, news_at, 216),
	AT(rk_beat, keeper_next, 224),
	AT(rk_beat, keeper, 232),
	AT(rk_beat, reserved3, 236),
	AT(rk_beat, last_words, 256),
	AT(rk_beat, reserved4, 512),
	SIZE(rk_reader, 64),
	AT(rk_reader, active, 0),
	AT(rk_reader, pid, 8),
	AT(rk_reader, reserved0, 12),
	AT(rk_reader, reserved1, 16),
	SIZE(rk_log, 64),
	AT(rk_log, word, 0),
	AT(rk_log, reserved, 8),
	SIZE(rk_log_entry, 32),
	AT(rk_log_entry, offset, 0),
	AT(rk_log_entry, len, 4),
	AT(rk_log_entry, old, 8),
	SIZE(rk_bank_head, 64),
	AT(rk_bank_head, initialized, 0),
	AT(rk_bank_head, state_len, 8),
	AT(rk_bank_head, hand, 16),
	AT(rk_bank_head, state_version, 20),
	AT(rk_bank_head, arena_len, 24),
	AT(rk_bank_head, reserved1, 32),
	SIZE(rk_arena_head, 512),
	AT(rk_arena_head, magic, 0),
	AT(rk_arena_head, len, 8),
	AT(rk_arena_head, map, 16),
	AT(rk_arena_head, first, 32),
	AT(rk_arena_head, reserved, 464),
	SIZE(rk_arena_block, 24),
	AT(rk_arena_block, size, 0),
	AT(rk_arena_block, prev, 4),
	AT(rk_arena_block, next, 8),
	AT(rk_arena_block, back, 12),
	AT(rk_arena_block, stamp, 16),
	SIZE(rk_dedup, 64),
	AT(rk_dedup, sequence, 0),
	AT(rk_dedup, job, 8),
	AT(rk_dedup, client_id, 16),
	AT(rk_dedup, caller, 24),
	AT(rk_dedup, len, 28),
	AT(rk_dedup, error, 32),
	AT(rk_dedup, cell, 36),
	AT(rk_dedup, reserved, 40),
	SIZE(rk_view_slot, 56),
	AT(rk_view_slot, state, 0),
	AT(rk_view_slot, pid, 4),
	AT(rk_view_slot, incarnation, 8),
	AT(rk_view_slot, restarts, 16),
	AT(rk_view_slot, started_ns, 24),
	AT(rk_view_slot, died_ns, 32),
	AT(rk_view_slot, died_pid, 40),
	AT(rk_view_slot, exit_code, 44),
	AT(rk_view_slot, exit_status, 48),
	AT(rk_view_slot, n_partitions, 52),
	SIZE(rk_view_client, 80),
	AT(rk_view_client, id, 0),
	AT(rk_view_client, pid, 8),
	AT(rk_view_client, flags, 12),
	AT(rk_view_client, name, 16),
	SIZE(rk_view, 400),
	AT(rk_view, version, 0),
	AT(rk_view, published_ns, 8),
	AT(rk_view, keeper_pid, 16),
	AT(rk_view, supervisor_pid, 20),
	AT(rk_view, started_ns, 24),
	AT(rk_view, n_grace, 32),
	AT(rk_view, n_coalesced, 40),
	AT(rk_view, n_stalled, 48),
	AT(rk_view, stalled_pid, 52),
	AT(rk_view, name, 80),
	AT(rk_view, command, 144),
	SIZE(rk_board, 320),
	AT(rk_board, segment, 0),
	AT(rk_board, geometry, 64),
	AT(rk_board, boot_id, 192),
	AT(rk_board, epoch_mode, 208),
	AT(rk_board, reserved0, 212),
	AT(rk_board, reserved1, 216),
	AT(rk_board, epoch, 256),
	AT(rk_board, view, 264),
	AT(rk_board, dead_after, 268),
	AT(rk_board, incarnation, 272),
	AT(rk_board, allow_faults, 280),
	AT(rk_board, orphan_ms, 284),
	AT(rk_board, reserved2, 288),
	SIZE(rk_journal_note, 256),
	AT(rk_journal_note, state, 0),
	AT(rk_journal_note, from, 4),
	AT(rk_journal_note, event, 8),
	AT(rk_journal_note, flags, 12),
	AT(rk_journal_note, unwanted, 16),
	AT(rk_journal_note, verdict, 20),
	AT(rk_journal_note, pid, 24),
	AT(rk_journal_note, judged_partition, 28),
	AT(rk_journal_note, judged_job, 32),
	AT(rk_journal_note, judged_for_ns, 40),
	AT(rk_journal_note, incarnation, 48),
	AT(rk_journal_note, restarts, 56),
	AT(rk_journal_note, started_ns, 64),
	AT(rk_journal_note, entered_ns, 72),
	AT(rk_journal_note, noticed_ns, 80),
	AT(rk_journal_note, died_ns, 88),
	AT(rk_journal_note, died_pid, 96),
	AT(rk_journal_note, roll_stage, 100),
	AT(rk_journal_note, credit_ns, 104),
	AT(rk_journal_note, ready_ns, 112),
	AT(rk_journal_note, next_ns, 120),
	AT(rk_journal_note, waits, 128),
	AT(rk_journal_note, failed, 132),
	AT(rk_journal_note, reason, 136),
	AT(rk_journal_note, next_kind, 140),
	AT(rk_journal_note, next_reason, 144),
	AT(rk_journal_note, reserved0, 148),
	AT(rk_journal_note, wait_ns, 152),
	AT(rk_journal_note, oom_kills, 160),
	AT(rk_journal_note, oom, 168),
	AT(rk_journal_note, group, 176),
	AT(rk_journal_note, roll_since_ns, 184),
	AT(rk_journal_note, reported_ns, 192),
	AT(rk_journal_note, moved_ns, 200),
	AT(rk_journal_note, late_job, 208),
	AT(rk_journal_note, late_partition, 216),
	AT(rk_journal_note, late_attempts, 220),
	AT(rk_journal_note, reserved1, 224),
	SIZE(rk_journal_watch, 192),
	AT(rk_journal_watch, incarnation, 0),
	AT(rk_journal_watch, job, 8),
	AT(rk_journal_watch, beats, 16),
	AT(rk_journal_watch, jobs, 24),
	AT(rk_journal_watch, calling_until_ns, 32),
	AT(rk_journal_watch, partition, 40),
	AT(rk_journal_watch, state, 44),
	AT(rk_journal_watch, phase, 48),
	AT(rk_journal_watch, blame, 52),
	AT(rk_journal_watch, blamed_ns, 56),
	AT(rk_journal_watch, begun_ns, 64),
	AT(rk_journal_watch, pending_ns, 72),
	AT(rk_journal_watch, since_ns, 80),
	AT(rk_journal_watch, look_ns, 88),
	AT(rk_journal_watch, away_ns, 96),
	AT(rk_journal_watch, deadline_ns, 104),
	AT(rk_journal_watch, budget_ns, 112),
	AT(rk_journal_watch, burnt_ns, 120),
	AT(rk_journal_watch, asleep_ns, 128),
	AT(rk_journal_watch, disk_ns, 136),
	AT(rk_journal_watch, starved_ns, 144),
	AT(rk_journal_watch, paused_ns, 152),
	AT(rk_journal_watch, void_ns, 160),
	AT(rk_journal_watch, still_ns, 168),
	AT(rk_journal_watch, listed_asleep_ns, 176),
	AT(rk_journal_watch, listed_disk_ns, 184),
	SIZE(rk_journal_slot, 1024),
	AT(rk_journal_slot, state, 0),
	AT(rk_journal_slot, pid, 4),
	AT(rk_journal_slot, incarnation, 8),
	AT(rk_journal_slot, pidfd_inode, 16),
	AT(rk_journal_slot, exit_code, 24),
	AT(rk_journal_slot, exit_status, 28),
	AT(rk_journal_slot, n_exits, 32),
	AT(rk_journal_slot, begun, 40),
	AT(rk_journal_slot, note, 48),
	AT(rk_journal_slot, stopped, 52),
	AT(rk_journal_slot, cgroup, 56),
	AT(rk_journal_slot, notes, 64),
	AT(rk_journal_slot, watch, 576),
	AT(rk_journal_slot, reserved0, 580),
	AT(rk_journal_slot, reserved1, 584),
	AT(rk_journal_slot, watches, 640),
	SIZE(rk_journal_client, 128),
	AT(rk_journal_client, id, 0),
	AT(rk_journal_client, flags, 8),
	AT(rk_journal_client, pid, 12),
	AT(rk_journal_client, name, 16),
	AT(rk_journal_client, reserved, 80),
	SIZE(rk_journal_reader, 32),
	AT(rk_journal_reader, pid, 0),
	AT(rk_journal_reader, page, 4),
	AT(rk_journal_reader, pidfd_inode, 8),
	AT(rk_journal_reader, begun, 16),
	AT(rk_journal_reader, answered, 24),
	AT(rk_journal_reader, reserved0, 28),
	SIZE(rk_journal, 512),
	AT(rk_journal, segment, 0),
	AT(rk_journal, last_client_id, 64),
	AT(rk_journal, supervisor_pid, 72),
	AT(rk_journal, layout, 76),
	AT(rk_journal, supervisor_inode, 80),
	AT(rk_journal, supervisor_begun, 88),
	AT(rk_journal, flags, 96),
	AT(rk_journal, number, 100),
	AT(rk_journal, keeper_pid, 104),
	AT(rk_journal, complete, 108),
	AT(rk_journal, device, 112),
	AT(rk_journal, inode, 120),
	AT(rk_journal, changes, 200),
	AT(rk_journal, roll_group, 264),
	AT(rk_journal, roll_unavailable, 272),
	AT(rk_journal, roll_reason, 276),
	AT(rk_journal, roll_held, 278),
	AT(rk_journal, join_group, 280),
	AT(rk_journal, leave_group, 288),
	AT(rk_journal, fleet, 296),
	AT(rk_journal, last_cgroup, 360),
	AT(rk_journal, tied, 368),
	AT(rk_journal, tied_until_ns, 376),
	AT(rk_journal, reserved1, 384),
	SIZE(rk_flight_head, 4096),
	AT(rk_flight_head, magic, 0),
	AT(rk_flight_head, version, 8),
	AT(rk_flight_head, record_size, 12),
	AT(rk_flight_head, n_records, 16),
	AT(rk_flight_head, changes, 20),
	AT(rk_flight_head, state, 24),
	AT(rk_flight_head, reserved0, 28),
	AT(rk_flight_head, boot_id, 32),
	AT(rk_flight_head, created_wall_ns, 48),
	AT(rk_flight_head, name, 56),
	AT(rk_flight_head, reserved1, 120),
	SIZE(rk_flight_record, 1024),
	AT(rk_flight_record, check, 0),
	AT(rk_flight_record, sequence, 8),
	AT(rk_flight_record, group, 16),
	AT(rk_flight_record, now_ns, 24),
	AT(rk_flight_record, wall_ns, 32),
	AT(rk_flight_record, incarnation, 40),
	AT(rk_flight_record, kind, 48),
	AT(rk_flight_record, severity, 52),
	AT(rk_flight_record, slot, 56),
	AT(rk_flight_record, pid, 60),
	AT(rk_flight_record, part, 64),
	AT(rk_flight_record, n_parts, 66),
	AT(rk_flight_record, len, 68),
	AT(rk_flight_record, reserved, 72),
	AT(rk_flight_record, fleet, 80),
	AT(rk_flight_record, text, 144),
	SIZE(rk_dead, 128),
	AT(rk_dead, word, 0),
	AT(rk_dead, job, 8),
	AT(rk_dead, client_id, 16),
	AT(rk_dead, sequence, 24),
	AT(rk_dead, deadline_ns, 32),
	AT(rk_dead, realtime_ns, 40),
	AT(rk_dead, cause, 48),
	AT(rk_dead, attempts, 56),
	AT(rk_dead, key_len, 60),
	AT(rk_dead, body_len, 64),
	AT(rk_dead, reserved0, 68),
	AT(rk_dead, reserved1, 72),
};

START_TEST(every_struct_and_field_is_where_it_was)
{
	ck_assert_uint_eq(RK_ABI_VERSION, 2); /* the version these literals belong to */
	for (size_t i = 0; i < rk_countof(structs); i++)
		ck_assert_msg(structs[i].is == structs[i].golden, "%s: %llu, was %llu", structs[i].what,
			      (unsigned long long)structs[i].is, (unsigned long long)structs[i].golden);
}
END_TEST

START_TEST(the_default_fleet_has_these_sizes_and_fits_in_64_mib)
{
	struct rk_geometry g;
	struct rk_layout l;

	rk_geometry_default(&g);
	rk_layout_init(&g, &l);
	const struct {
		const char *what;
		uint64_t is, golden;
	} golden[] = {
#define L(member, literal) { #member, l.member, literal }
		L(board_routes, 320),
		L(board_clients, 2368),
		L(board_views, 3392),
		L(view_stride, 14272),
		L(view_clients, 3984),
		L(board_len, 61440),
		L(beats_len, 266240),
		L(page_stride, 52480),
		L(page_cells, 256),
		L(cell_stride, 2176),
		L(cell_request, 128),
		L(cell_reply, 1152),
		L(cell_inverse, 178956971),
		L(calls_len, 6721536),
		L(ring_stride, 4224),
		L(queues_bells, 1081472),
		L(bell_stride, 128),
		L(queues_len, 1093632),
		L(parts_len, 20480),
		L(readers_len, 20480),
		L(bank_log, 0),
		L(bank_log_data, 16448),
		L(bank_guarded, 32832),
		L(guarded_applied, 64),
		L(guarded_index, 16448),
		L(guarded_dedup, 20544),
		L(dedup_stride, 1088),
		L(guarded_state, 94144),
		L(guarded_len, 159680),
		L(bank_stride, 192512),
		L(state_len, 49287168),
		L(journal_clients, 66048),
		L(journal_readers, 82432),
		L(journal_owners, 90624),
		L(journal_kept, 91136),
		L(journal_len, 94208),
		L(dead_entries, 2112),
		L(dead_stride, 1152),
		L(dead_len, 299008),
		L(total_len, 57864192),
#undef L
	};

	for (size_t i = 0; i < rk_countof(golden); i++)
		ck_assert_msg(golden[i].is == golden[i].golden, "%s: %llu, was %llu", golden[i].what,
			      (unsigned long long)golden[i].is, (unsigned long long)golden[i].golden);
	ck_assert_uint_eq(sizeof(l), 8 * rk_countof(golden)); /* none is missing in the table */
	ck_assert_uint_lt(l.total_len, 64ull << 20);
}
END_TEST

START_TEST(the_default_geometry_passes_its_own_check)
{
	struct rk_geometry g;

	rk_geometry_default(&g);
	ck_assert_int_eq(rk_geometry_check(&g, NULL), 0);
}
END_TEST

#define FIELD(name) offsetof(struct rk_geometry, name)

static const struct {
	size_t field;
	const char *name;
	uint32_t min, max, bad[3];
} bounds[] = {
	{ FIELD(n_partitions), "partitions", 1, 16384, { 0, 3, 32768 } },
	{ FIELD(n_ring), "ring places", 64, 1u << 20, { 32, 65, 1u << 21 } },
	{ FIELD(n_workers), "worker slots", 1, 4095, { 0, 4096, UINT32_MAX } },
	{ FIELD(n_clients), "clients", 1, 43690, { 0, 65537, UINT32_MAX } },
	{ FIELD(n_slots), "slots per client", 1, 23, { 0, 1025, UINT32_MAX } },
	{ FIELD(n_cells), "cells per client", 17, 4096, { 0, 16, 4097 } },
	{ FIELD(n_dedup), "dedup entries", 1, 65534, { 0, 65535, UINT32_MAX } },
	{ FIELD(n_log), "undo entries", 8, 65535, { 0, 7, 65536 } },
	{ FIELD(log_data_len), "undo data bytes", 0, 1u << 30, { (1u << 30) + 1, UINT32_MAX, UINT32_MAX } },
	{ FIELD(request_max), "request bytes", 8, 1u << 24, { 0, 7, (1u << 24) + 1 } },
	{ FIELD(reply_max), "reply bytes", 8, 1u << 24, { 0, 7, (1u << 24) + 1 } },
	{ FIELD(state_max), "state bytes", 8, 1u << 31, { 0, 7, (1u << 31) + 1 } },
	{ FIELD(n_banks), "banks", 1, 8, { 0, 9, UINT32_MAX } },
	{ FIELD(n_readers), "readers", 1, 4096, { 0, 4097, UINT32_MAX } },
	{ FIELD(n_dead), "dead letters", 0, 65536, { 65537, 1u << 20, UINT32_MAX } },
};

/* The default geometry with one field changed. */
static struct rk_geometry with(size_t field, uint32_t value)
{
	struct rk_geometry g;

	rk_geometry_default(&g);
	memcpy((char *)&g + field, &value, sizeof(value));
	if (field == FIELD(n_clients)) /* clients times cells has a bound of its own */
		g.n_cells = value <= 43690 ? 24 : 17;
	return g;
}

START_TEST(a_value_at_its_bound_is_taken_and_one_beyond_is_named)
{
	struct rk_err err = { 0 };
	struct rk_geometry g = with(bounds[_i].field, bounds[_i].min);

	ck_assert_msg(rk_geometry_check(&g, &err) == 0, "%s", err.text);
	g = with(bounds[_i].field, bounds[_i].max);
	ck_assert_msg(rk_geometry_check(&g, &err) == 0, "%s", err.text);
	for (size_t k = 0; k < rk_countof(bounds[_i].bad); k++) {
		g = with(bounds[_i].field, bounds[_i].bad[k]);
		memset(&err, 0, sizeof(err));
		ck_assert_int_eq(rk_geometry_check(&g, &err), -EINVAL);
		ck_assert_msg(strncmp(err.text, bounds[_i].name, strlen(bounds[_i].name)) == 0, "%s", err.text);
	}
}
END_TEST

START_TEST(more_cells_than_a_reference_can_number_are_refused)
{
	struct rk_geometry g;
	struct rk_err err = { 0 };

	rk_geometry_default(&g);
	g.n_clients = 65536;
	g.n_slots = 15;
	g.n_cells = 16;
	ck_assert_int_eq(rk_geometry_check(&g, &err), 0);
	g.n_cells = 17;
	ck_assert_int_eq(rk_geometry_check(&g, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "1114112"));
}
END_TEST

START_TEST(a_bank_larger_than_a_log_offset_can_say_is_refused)
{
	struct rk_geometry g;
	struct rk_err err = { 0 };
	struct rk_layout l;

	rk_geometry_default(&g);
	g.state_max = 1u << 31;
	g.n_dedup = 127;
	g.reply_max = RK_BODY_MAX;
	ck_assert_int_eq(rk_geometry_check(&g, &err), 0);
	rk_layout_init(&g, &l);
	ck_assert_uint_le(l.bank_stride, 1ull << 32);
	g.n_dedup = 129;
	ck_assert_int_eq(rk_geometry_check(&g, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "bank"));
}
END_TEST

/* Everything at its largest, as far as the bounds between values allow. */
static struct rk_geometry largest(void)
{
	return (struct rk_geometry){
		.n_partitions = RK_PARTITIONS_MAX, .n_ring = RK_RING_MAX, .n_workers = RK_WORKERS_MAX,
		.n_clients = RK_CLIENTS_MAX, .n_slots = 15, .n_cells = 16, .n_dedup = 64,
		.n_log = RK_LOG_ENTRIES_MAX, .log_data_len = 1u << 29, .request_max = RK_BODY_MAX,
		.reply_max = RK_BODY_MAX, .state_max = 1u << 31, .n_banks = RK_BANKS_MAX,
		.n_readers = RK_READERS_MAX,
	};
}

static struct rk_geometry smallest(void)
{
	return (struct rk_geometry){
		.n_partitions = 1, .n_ring = 64, .n_workers = 1, .n_clients = 1, .n_slots = 1, .n_cells = 2,
		.n_dedup = 1, .n_log = 8, .log_data_len = 0, .request_max = 8, .reply_max = 8, .state_max = 8,
		.n_banks = 1, .n_readers = 1,
	};
}

/* Odd lengths, so that every rounding has something to do. */
static struct rk_geometry odd(void)
{
	return (struct rk_geometry){
		.n_partitions = 64, .n_ring = 64, .n_workers = 3, .n_clients = 5, .n_slots = 3, .n_cells = 7,
		.n_dedup = 5, .n_log = 9, .log_data_len = 101, .request_max = 9, .reply_max = 65, .state_max = 4099,
		.n_banks = 3, .n_readers = 7,
	};
}

START_TEST(parts_of_a_segment_follow_each_other_without_overlap)
{
	const struct rk_geometry all[] = { smallest(), odd(), largest() };
	const struct rk_geometry *g = &all[_i];
	struct rk_layout l;
	struct rk_err err;
	uint64_t sum = 0;

	ck_assert_msg(rk_geometry_check(g, &err) == 0, "%s", err.text);
	rk_layout_init(g, &l);
	/* Each begins where its predecessor ends or later; the last ends inside its segment. */
	const uint64_t rising[][2] = {
		{ 256, l.board_routes },
		{ l.board_routes + 8ull * g->n_partitions, l.board_clients },
		{ l.board_clients + 8ull * g->n_clients, l.board_views },
		{ 400 + 56ull * g->n_workers, l.view_clients },
		{ l.view_clients + 80ull * g->n_clients, l.view_stride },
		{ l.board_views + 4 * l.view_stride, l.board_len },
		{ 4096ull * (1 + g->n_workers), l.beats_len },
		{ 64 + 8ull * g->n_slots, l.page_cells },
		{ 128, l.cell_request },
		{ l.cell_request + RK_ALIGN_UP((uint64_t)g->request_max, 8), l.cell_reply },
		{ l.cell_reply + RK_ALIGN_UP((uint64_t)g->reply_max, 8), l.cell_stride },
		{ l.page_cells + g->n_cells * l.cell_stride, l.page_stride },
		{ 64 + g->n_clients * l.page_stride, l.calls_len },
		{ 128 + 8ull * g->n_ring, l.ring_stride },
		{ 128 + g->n_partitions * l.ring_stride, l.queues_bells },
		{ 64 + ((uint64_t)g->n_partitions + 63) / 64 * 8, l.bell_stride },
		{ l.queues_bells + g->n_workers * l.bell_stride, l.queues_len },
		{ 64 + 64ull * g->n_partitions, l.parts_len },
		{ 64 + 64ull * g->n_readers, l.readers_len },
		{ l.bank_log + 64 + 32ull * g->n_log, l.bank_log_data },
		{ l.bank_log_data + g->log_data_len, l.bank_guarded },
		{ 64, l.guarded_applied },
		{ l.guarded_applied + 8ull * g->n_clients * g->n_slots, l.guarded_index },
		{ l.guarded_index + 2ull * g->n_clients * g->n_slots, l.guarded_dedup },
		{ 64 + (uint64_t)g->reply_max, l.dedup_stride },
		{ l.guarded_dedup + g->n_dedup * l.dedup_stride, l.guarded_state },
		{ l.guarded_state + g->state_max, l.guarded_len },
		{ l.bank_guarded + l.guarded_len, l.bank_stride },
		{ 4096 + (uint64_t)g->n_partitions * g->n_banks * l.bank_stride, l.state_len },
		{ 512 + 512ull * g->n_workers, l.journal_clients },
		{ l.journal_clients + 128ull * g->n_clients, l.journal_readers },
		{ l.journal_readers + 32ull * g->n_readers, l.journal_owners },
		{ l.journal_owners + 2ull * g->n_partitions, l.journal_kept },
		{ l.journal_kept + 2ull * g->n_partitions * g->n_banks, l.journal_len },
		{ 64 + 8ull * g->n_partitions, l.dead_entries },
		{ 128 + g->request_max, l.dead_stride },
		{ l.dead_entries + g->n_dead * l.dead_stride, l.dead_len },
	};
	for (size_t i = 0; i < rk_countof(rising); i++)
		ck_assert_msg(rising[i][0] <= rising[i][1], "pair %zu: %llu > %llu", i,
			      (unsigned long long)rising[i][0], (unsigned long long)rising[i][1]);
	ck_assert_uint_eq((l.bank_guarded + l.guarded_state) % 4096, 0);
	ck_assert_uint_eq(l.bank_stride % 4096, 0);
	ck_assert_uint_eq(l.cell_stride % 64 + l.page_stride % 64 + l.ring_stride % 64 + l.bell_stride % 64, 0);
	for (int kind = 1; kind < RK_SEGMENT_KINDS; kind++) {
		ck_assert_uint_eq(rk_layout_segment_len(&l, (enum rk_segment_kind)kind) % 4096, 0);
		sum += rk_layout_segment_len(&l, (enum rk_segment_kind)kind);
	}
	ck_assert_uint_eq(sum, l.total_len);
}
END_TEST

START_TEST(every_cell_lies_in_the_page_that_a_division_would_find)
{
	static const uint32_t per_page[] = { 2, 3, 7, 16, 24, 31, 100, 1000, 1023, 2047, 4093, 4095, 4096 };
	struct rk_shm m = { .g = smallest() };

	for (size_t i = 0; i < rk_countof(per_page); i++) {
		m.g.n_cells = per_page[i];
		rk_layout_init(&m.g, &m.l);
		for (uint32_t cell = 0; cell < RK_CELLS_MAX; cell++)
			if (rk_shm_page_of(&m, cell) != cell / per_page[i])
				ck_abort_msg("cell %u of %u per page", cell, per_page[i]);
	}
}
END_TEST

START_TEST(a_kind_outside_the_list_has_no_length_and_no_name)
{
	struct rk_geometry g;
	struct rk_layout l;

	rk_geometry_default(&g);
	rk_layout_init(&g, &l);
	ck_assert_str_eq(rk_segment_name(RK_SEGMENT_BOARD), "board");
	ck_assert_str_eq(rk_segment_name(RK_SEGMENT_JOURNAL), "journal");
	ck_assert_str_eq(rk_segment_name(RK_SEGMENT_DEAD), "dead");
	for (int kind = RK_SEGMENT_KINDS; kind < RK_SEGMENT_KINDS + 3; kind++) {
		ck_assert_str_eq(rk_segment_name((enum rk_segment_kind)kind), "?");
		ck_assert_uint_eq(rk_layout_segment_len(&l, (enum rk_segment_kind)kind), 0);
	}
	ck_assert_uint_eq(rk_layout_segment_len(&l, (enum rk_segment_kind)0), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("layout");

	tcase_add_test(c, every_struct_and_field_is_where_it_was);
	tcase_add_test(c, the_default_fleet_has_these_sizes_and_fits_in_64_mib);
	tcase_add_test(c, the_default_geometry_passes_its_own_check);
	tcase_add_loop_test(c, a_value_at_its_bound_is_taken_and_one_beyond_is_named, 0, rk_countof(bounds));
	tcase_add_test(c, more_cells_than_a_reference_can_number_are_refused);
	tcase_add_test(c, a_bank_larger_than_a_log_offset_can_say_is_refused);
	tcase_add_loop_test(c, parts_of_a_segment_follow_each_other_without_overlap, 0, 3);
	tcase_add_test(c, every_cell_lies_in_the_page_that_a_division_would_find);
	tcase_add_test(c, a_kind_outside_the_list_has_no_length_and_no_name);
	return unit_run(c);
}
