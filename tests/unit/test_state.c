/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What is saved comes back by a roll-back, byte for byte, whole or down to a savepoint;
 *         what does not fit is refused and changes nothing; the dedup table gives an entry away
 *         only when its reply is read or its client gone; damaged logs and tables never lead
 *         outside the bank.
 * Method  A bank between inaccessible pages; a copy of the guarded area tells what changed.
 */
#include "shm/state.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define P48 ((1ull << 48) - 1)

static const uint64_t cursors[] = { 0, 1, P48 - 1, P48 };

struct bank_under_test {
	struct fixture *f;
	struct rk_bank b;
	char *before; /* copy of the guarded area */
};

static struct bank_under_test open_bank(const struct rk_geometry *g)
{
	struct bank_under_test t = { .f = fixture_new(g, 0) };

	rk_bank_view(&t.b, &t.f->m, fixture_bank(t.f, 0));
	t.before = malloc(t.f->m.l.guarded_len);
	ck_assert_ptr_nonnull(t.before);
	return t;
}

static void note(struct bank_under_test *t)
{
	memcpy(t->before, t->b.guarded, t->f->m.l.guarded_len);
}

static bool is_as_noted(const struct bank_under_test *t)
{
	return memcmp(t->before, t->b.guarded, t->f->m.l.guarded_len) == 0;
}

static void close_bank(struct bank_under_test *t)
{
	free(t->before);
	fixture_free(t->f);
}

/* Saves len bytes of the state and overwrites them. */
static void change(struct bank_under_test *t, size_t at, size_t len, char with)
{
	ck_assert_int_eq(rk_bank_save(&t->b, t->b.state + at, len), 0);
	memset(t->b.state + at, with, len);
}

START_TEST(a_roll_back_restores_every_byte_and_can_be_repeated)
{
	static const size_t lens[] = { 0, 1, 8, 23, 24, 25, 40, 64, 100 };
	struct bank_under_test t = open_bank(NULL);
	uint64_t cursor = cursors[_i];

	for (size_t i = 0; i < t.f->m.g.state_max; i++)
		t.b.state[i] = (char)(i * 7);
	note(&t);
	rk_bank_begin(&t.b, cursor);
	for (size_t i = 0; i < rk_countof(lens); i++)
		change(&t, 8 * i, lens[i], (char)i); /* they overlap: the oldest bytes must win */
	ck_assert(!is_as_noted(&t));
	for (int again = 0; again < 3; again++) {
		struct rk_bank successor;

		rk_bank_view(&successor, &t.f->m, fixture_bank(t.f, 0));
		ck_assert(rk_bank_roll_back(&successor, cursor));
		ck_assert(is_as_noted(&t));
		ck_assert_uint_eq(successor.n_entries, rk_countof(lens));
		ck_assert_uint_eq(successor.data_used, t.b.data_used);
	}
	close_bank(&t);
}
END_TEST

START_TEST(what_committed_is_not_rolled_back)
{
	struct bank_under_test t = open_bank(NULL);
	uint64_t cursor = cursors[_i];
	struct rk_bank successor;

	rk_bank_begin(&t.b, cursor);
	change(&t, 0, 8, 'x');
	note(&t); /* the commit word has moved on: that is all a commit does */
	rk_bank_view(&successor, &t.f->m, fixture_bank(t.f, 0));
	ck_assert(!rk_bank_roll_back(&successor, rk_pos_add(cursor, 1)));
	ck_assert(is_as_noted(&t));
	ck_assert_uint_eq(successor.n_entries, 0);
	close_bank(&t);
}
END_TEST

START_TEST(a_rerun_appends_and_is_rolled_back_with_what_came_before)
{
	struct bank_under_test t = open_bank(NULL);
	struct rk_bank successor;

	note(&t);
	rk_bank_begin(&t.b, 7);
	change(&t, 0, 8, 'a');
	change(&t, 100, 50, 'b');
	rk_bank_view(&successor, &t.f->m, fixture_bank(t.f, 0));
	ck_assert(rk_bank_roll_back(&successor, 7));
	rk_bank_begin(&successor, 7);
	t.b = successor;
	change(&t, 0, 16, 'c');
	change(&t, 100, 60, 'd');
	ck_assert_uint_eq(t.b.n_entries, 4); /* it went another way */
	ck_assert_uint_eq(t.b.data_used, 56 + 64);
	rk_bank_view(&successor, &t.f->m, fixture_bank(t.f, 0));
	ck_assert(rk_bank_roll_back(&successor, 7));
	ck_assert(is_as_noted(&t));
	rk_bank_begin(&successor, 8); /* the next job starts empty */
	ck_assert_uint_eq(successor.n_entries + successor.data_used, 0);
	close_bank(&t);
}
END_TEST

START_TEST(a_savepoint_undoes_what_came_after_it_alone)
{
	struct bank_under_test t = open_bank(NULL);
	struct rk_savepoint s;
	uint32_t n;

	rk_bank_begin(&t.b, 0);
	change(&t, 0, 8, 'a');
	note(&t);
	s = rk_bank_savepoint(&t.b);
	change(&t, 4, 8, 'b');
	change(&t, 50, 70, 'b');
	n = t.b.n_entries;
	rk_bank_roll_back_to(&t.b, s);
	ck_assert(is_as_noted(&t));
	ck_assert_uint_eq(t.b.n_entries, n); /* within one job the log only grows */
	change(&t, 0, 16, 'c');
	ck_assert(rk_bank_roll_back(&t.b, 0));
	for (int i = 0; i < 120; i++)
		ck_assert_int_eq(t.b.state[i], 0);
	close_bank(&t);
}
END_TEST

START_TEST(a_full_log_refuses_and_saves_nothing)
{
	struct bank_under_test t = open_bank(NULL);
	uint64_t word;

	rk_bank_begin(&t.b, 0);
	for (uint32_t i = 0; i < t.f->m.g.n_log; i++)
		change(&t, i, 1, 'x');
	word = atomic_load_explicit(&t.b.log->word, memory_order_relaxed);
	ck_assert_int_eq(rk_bank_save(&t.b, t.b.state, 1), -ENOSPC);
	ck_assert_uint_eq(t.b.n_entries, t.f->m.g.n_log);
	ck_assert_uint_eq(atomic_load_explicit(&t.b.log->word, memory_order_relaxed), word);
	close_bank(&t);
}
END_TEST

/* The last two bytes of log data are less than a rounded-up length: lengths that leave a rest. */
static const uint32_t data_lens[] = { 0, 24, 25, 97, 100, 101, 127, 128, 256 };

START_TEST(full_log_data_refuses_what_does_not_fit_also_after_a_roll_back)
{
	struct rk_geometry g = fixture_geometry();
	struct bank_under_test t;
	uint32_t used = 0;

	g.log_data_len = data_lens[_i];
	t = open_bank(&g);
	note(&t);
	rk_bank_begin(&t.b, 0);
	while (used + 25 <= g.log_data_len) {
		size_t len = rk_min_u32(g.log_data_len - used, 97);

		change(&t, 0, len, 'x');
		used += (uint32_t)RK_ALIGN_UP(len, 8);
	}
	ck_assert_int_eq(rk_bank_save(&t.b, t.b.state, 97), -ENOSPC);
	ck_assert_int_eq(rk_bank_save(&t.b, t.b.state, 24), 0); /* inline ones need none */
	for (int again = 0; again < 2; again++) {
		(void)rk_bank_roll_back(&t.b, 0);
		ck_assert(is_as_noted(&t));
		ck_assert_uint_le(t.b.data_used, g.log_data_len);
		rk_bank_begin(&t.b, 0);
		ck_assert_int_eq(rk_bank_save(&t.b, t.b.state, 98), -ENOSPC); /* other bytes than last time */
	}
	close_bank(&t);
}
END_TEST

START_TEST(bytes_outside_the_guarded_area_are_refused)
{
	struct bank_under_test t = open_bank(NULL);
	uint64_t len = t.f->m.l.guarded_len;
	const struct {
		const char *at;
		size_t len;
		int result;
	} cases[] = {
		{ t.b.guarded, 8, 0 },
		{ t.b.guarded + len - 8, 8, 0 },
		{ t.b.guarded + len, 0, 0 },
		{ t.b.guarded + len - 8, 9, -EFAULT },
		{ t.b.guarded + len, 1, -EFAULT },
		{ t.b.guarded - 1, 1, -EFAULT },
		{ t.b.guarded - 8, 16, -EFAULT },
		{ t.b.guarded, len + 1, -EFAULT },
		{ t.b.guarded + 8, SIZE_MAX, -EFAULT },
		{ t.b.guarded + 8, SIZE_MAX - 7, -EFAULT },
		{ (const char *)&t, 8, -EFAULT },
	};

	rk_bank_begin(&t.b, 0);
	for (size_t i = 0; i < rk_countof(cases); i++)
		ck_assert_msg(rk_bank_save(&t.b, cases[i].at, cases[i].len) == cases[i].result, "case %zu", i);
	close_bank(&t);
}
END_TEST

/* ---- dedup table ---- */

static void set_done(struct bank_under_test *t, uint32_t caller, uint64_t sequence)
{
	uint32_t n_slots = t->f->m.g.n_slots;

	atomic_store_explicit(&rk_page_done(rk_shm_page(&t->f->m, caller / n_slots))[caller % n_slots], sequence,
			      memory_order_relaxed);
}

/* Claims and fills an entry as an owner does. */
static int claim(struct bank_under_test *t, uint32_t caller, uint64_t sequence, struct rk_dedup **ret)
{
	int r = rk_bank_dedup_claim(&t->b, caller, sequence, ret);

	if (r == 0)
		(*ret)->client_id = 1000 + caller / t->f->m.g.n_slots;
	return r;
}

static struct bank_under_test open_table(void)
{
	struct bank_under_test t = open_bank(NULL);

	for (uint32_t page = 0; page < t.f->m.g.n_clients; page++)
		(void)fixture_caller(t.f, page, 1000 + page);
	rk_bank_begin(&t.b, 0);
	return t;
}

START_TEST(a_claimed_entry_is_found_by_its_caller_and_no_other)
{
	struct bank_under_test t = open_table();
	struct rk_dedup *e[4];

	for (uint32_t caller = 0; caller < 6; caller++)
		ck_assert_ptr_null(rk_bank_dedup_find(&t.b, caller));
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(claim(&t, i, 10 + i, &e[i]), 0);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_ptr_eq(rk_bank_dedup_find(&t.b, i), e[i]);
	ck_assert_ptr_null(rk_bank_dedup_find(&t.b, 4));
	close_bank(&t);
}
END_TEST

START_TEST(a_full_table_refuses_until_a_reply_is_read_or_a_client_gone)
{
	struct bank_under_test t = open_table();
	struct rk_dedup *e, *victim;

	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(claim(&t, i, 10 + i, &e), 0);
	ck_assert_int_eq(claim(&t, 4, 1, &e), -EBUSY);
	set_done(&t, 2, 11); /* an older one was read */
	ck_assert_int_eq(claim(&t, 4, 1, &e), -EBUSY);
	victim = rk_bank_dedup_find(&t.b, 2);
	set_done(&t, 2, 12);
	ck_assert_int_eq(claim(&t, 4, 1, &e), 0);
	ck_assert_ptr_eq(e, victim);
	ck_assert_ptr_null(rk_bank_dedup_find(&t.b, 2));
	ck_assert_int_eq(claim(&t, 5, 1, &e), -EBUSY);
	victim = rk_bank_dedup_find(&t.b, 3);
	(void)fixture_caller(t.f, 1, 2000); /* page 1 has another client now: callers 2 and 3 */
	ck_assert_int_eq(claim(&t, 5, 1, &e), 0);
	ck_assert_ptr_eq(e, victim);
	close_bank(&t);
}
END_TEST

/* The reply of a caller's entry lies in a cell of its page, or no more. */
static void set_cell(struct bank_under_test *t, struct rk_dedup *e, enum rk_cell_state state)
{
	uint32_t cell = e->caller / t->f->m.g.n_slots * t->f->m.g.n_cells + 1;

	e->cell = cell + 1;
	atomic_store_explicit(&rk_shm_cell(&t->f->m, cell)->word, rk_cellword(e->sequence, 0, state),
			      memory_order_relaxed);
}

START_TEST(an_unread_reply_that_lies_in_its_cell_needs_no_entry)
{
	struct bank_under_test t = open_table();
	struct rk_dedup *e[4], *other;

	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(claim(&t, i, 10 + i, &e[i]), 0);
	for (enum rk_cell_state state = RK_CELL_IDLE; state < RK_CELL_DONE; state++) {
		set_cell(&t, e[1], state);
		ck_assert_int_eq(claim(&t, 4, 1, &other), -EBUSY);
	}
	e[1]->sequence = t.b.applied[1] = 9; /* DONE of another call of that cell */
	set_cell(&t, e[1], RK_CELL_DONE);
	e[1]->sequence = t.b.applied[1] = 11;
	ck_assert_int_eq(claim(&t, 4, 1, &other), -EBUSY);
	set_cell(&t, e[1], RK_CELL_DONE);
	ck_assert_int_eq(claim(&t, 4, 1, &other), 0);
	ck_assert_ptr_eq(other, e[1]);
	ck_assert_ptr_null(rk_bank_dedup_find(&t.b, 1));
	ck_assert_uint_eq(t.b.applied[1], 11); /* and it is a duplicate all the same */
	close_bank(&t);
}
END_TEST

START_TEST(a_claim_that_is_rolled_back_leaves_what_was_applied_and_no_reply)
{
	struct bank_under_test t = open_table();
	struct rk_dedup *e;
	struct rk_savepoint s;

	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(claim(&t, i, 10 + i, &e), 0);
	set_done(&t, 2, 12);
	s = rk_bank_savepoint(&t.b);
	ck_assert_int_eq(claim(&t, 4, 1, &e), 0);
	ck_assert_int_eq(claim(&t, 0, 20, &e), 0); /* its own entry, again */
	rk_bank_roll_back_to(&t.b, s);
	for (uint32_t i = 0; i < 6; i++)
		ck_assert_uint_eq(t.b.applied[i], i < 4 ? 10 + i : 0);
	ck_assert_ptr_null(rk_bank_dedup_find(&t.b, 0)); /* what lies there is no reply to 10 */
	ck_assert_ptr_nonnull(rk_bank_dedup_find(&t.b, 1));
	ck_assert_ptr_null(rk_bank_dedup_find(&t.b, 2));
	ck_assert_ptr_nonnull(rk_bank_dedup_find(&t.b, 3));
	ck_assert_ptr_null(rk_bank_dedup_find(&t.b, 4));
	ck_assert_int_eq(claim(&t, 5, 1, &e), 0); /* and both entries can be had */
	ck_assert_int_eq(claim(&t, 4, 1, &e), 0);
	ck_assert_int_eq(claim(&t, 0, 20, &e), -EBUSY);
	close_bank(&t);
}
END_TEST

START_TEST(a_claim_with_a_full_log_is_refused)
{
	struct bank_under_test t = open_table();
	struct rk_dedup *e;

	for (uint32_t i = 0; i < t.f->m.g.n_log; i++)
		ck_assert_int_eq(rk_bank_save(&t.b, t.b.state, 1), 0);
	ck_assert_int_eq(claim(&t, 0, 1, &e), -ENOSPC);
	ck_assert_uint_eq(t.b.applied[0], 0);
	close_bank(&t);
}
END_TEST

/* ---- re-runs ---- */

/* One run of a job: n changes, of which those from `other` on are not those of the runs before. */
static void run_of_job(struct bank_under_test *t, uint32_t n, uint32_t other, char fill)
{
	for (uint32_t i = 0; i < n; i++)
		change(t, i * 40, i % 2 ? 8 : i < other ? 33 : 34, fill);
}

START_TEST(a_job_that_is_killed_for_ever_never_fills_the_log)
{
	struct bank_under_test t = open_bank(NULL);
	struct rk_bank successor;

	note(&t);
	rk_bank_begin(&t.b, 7);
	for (int run = 0; run < 1000; run++) {
		run_of_job(&t, 1 + (uint32_t)run % 3, 3, (char)run);
		rk_bank_view(&successor, &t.f->m, fixture_bank(t.f, 0));
		ck_assert(rk_bank_roll_back(&successor, 7));
		t.b = successor;
		ck_assert(is_as_noted(&t));
		rk_bank_begin(&t.b, 7);
	}
	ck_assert_uint_le(t.b.n_entries, 3);
	close_bank(&t);
}
END_TEST

START_TEST(a_rerun_that_takes_another_course_is_undone_too)
{
	struct bank_under_test t = open_bank(NULL);
	struct rk_bank successor;

	note(&t);
	rk_bank_begin(&t.b, 7);
	for (uint32_t run = 0; run < 3; run++) {
		run_of_job(&t, 3, (uint32_t)_i == run ? 1 : 9, (char)('a' + run));
		rk_bank_view(&successor, &t.f->m, fixture_bank(t.f, 0));
		ck_assert(rk_bank_roll_back(&successor, 7));
		t.b = successor;
		ck_assert(is_as_noted(&t));
		rk_bank_begin(&t.b, 7);
	}
	/* Also without a death in between: restart, and go another way once more. */
	run_of_job(&t, 3, 2, 'x');
	rk_bank_restart(&t.b);
	ck_assert(is_as_noted(&t));
	ck_assert(rk_bank_is_rerun(&t.b));
	run_of_job(&t, 3, 0, 'y');
	rk_bank_restart(&t.b);
	ck_assert(is_as_noted(&t));
	close_bank(&t);
}
END_TEST

START_TEST(a_job_undone_from_its_beginning_runs_again_and_adds_nothing)
{
	struct bank_under_test t = open_bank(NULL);

	note(&t);
	rk_bank_begin(&t.b, 7);
	run_of_job(&t, 3, 9, 'a');
	rk_bank_roll_back_to(&t.b, (struct rk_savepoint){ 0 });
	ck_assert(is_as_noted(&t));
	rk_bank_begin(&t.b, 7);
	ck_assert(rk_bank_is_rerun(&t.b));
	run_of_job(&t, 3, 9, 'b');
	ck_assert_uint_eq(t.b.n_entries, 3);
	rk_bank_restart(&t.b);
	ck_assert(is_as_noted(&t));
	close_bank(&t);
}
END_TEST

/* An upgrade, and the first job behind it, with and without a run that died before both. */
START_TEST(what_is_pinned_outlives_the_undoing_of_a_job_and_goes_with_its_owner)
{
	struct rk_geometry g = fixture_geometry();
	struct bank_under_test t, upgraded;
	struct rk_savepoint before;

	g.n_log = 64;
	g.log_data_len = 1024;
	t = open_bank(&g);
	note(&t);
	rk_bank_begin(&t.b, 7);
	if (_i) {
		run_of_job(&t, 3, 9, 'd');
		ck_assert(rk_bank_roll_back(&t.b, 7));
	}
	rk_bank_pin(&t.b); /* so that what comes next is appended, as an upgrade does for itself */
	change(&t, 8, 100, 'u');
	rk_bank_pin(&t.b);
	upgraded = t;
	upgraded.before = malloc(t.f->m.l.guarded_len);
	ck_assert_ptr_nonnull(upgraded.before);
	note(&upgraded);
	for (int attempt = 0; attempt < 3; attempt++) {
		rk_bank_begin(&t.b, 7);
		ck_assert(!rk_bank_is_rerun(&t.b));
		before = rk_bank_savepoint(&t.b);
		run_of_job(&t, 3, 9, 'j');
		rk_bank_roll_back_to(&t.b, before);
		ck_assert(is_as_noted(&upgraded));
	}
	run_of_job(&t, 3, 9, 'k');
	ck_assert(rk_bank_roll_back(&t.b, 7)); /* the successor undoes both */
	ck_assert(is_as_noted(&t));
	free(upgraded.before);
	close_bank(&t);
}
END_TEST

/* ---- damaged memory ---- */

START_TEST(random_logs_never_lead_outside_the_bank)
{
	struct rk_geometry g = fixture_geometry();
	struct rk_rand r = rk_rand_init((uint64_t)_i);
	struct bank_under_test t;

	g.log_data_len = data_lens[_i % (int)rk_countof(data_lens)];
	t = open_bank(&g);
	for (int round = 0; round < 200; round++) {
		uint64_t cursor = rk_rand_below(&r, 4);

		for (uint32_t i = 0; i < g.n_log; i++) {
			struct rk_log_entry *e = &t.b.entries[i];
			/* Half of them nearly right, so that some pass the checks. */
			bool wild = rk_rand_below(&r, 2);
			uint32_t len = wild ? (uint32_t)rk_rand_u64(&r) : (uint32_t)rk_rand_below(&r, 300);
			uint32_t end = (uint32_t)(t.f->m.l.guarded_len - len + rk_rand_below(&r, 2));

			atomic_store_explicit(&e->len, len, memory_order_relaxed);
			atomic_store_explicit(&e->offset, wild ? (uint32_t)rk_rand_u64(&r) : end,
					      memory_order_relaxed);
			e->old.data = wild ? (uint32_t)rk_rand_u64(&r) :
					     (uint32_t)(g.log_data_len - len + rk_rand_below(&r, 2));
		}
		atomic_store_explicit(&t.b.log->word, rk_logword(cursor, (uint32_t)rk_rand_below(&r, 0x10000)),
				      memory_order_relaxed);
		rk_bank_view(&t.b, &t.f->m, fixture_bank(t.f, 0));
		(void)rk_bank_roll_back(&t.b, cursor);
		ck_assert_msg(t.b.n_entries <= g.n_log, "seed %d", _i);
		ck_assert_msg(t.b.data_used <= g.log_data_len, "seed %d", _i);
		rk_bank_begin(&t.b, cursor);
		for (size_t len = 1; len < 300; len += 24)
			(void)!rk_bank_save(&t.b, t.b.state, len);
	}
	close_bank(&t);
}
END_TEST

START_TEST(random_dedup_tables_never_lead_outside_the_bank)
{
	struct bank_under_test t = open_bank(NULL);
	struct rk_rand r = rk_rand_init((uint64_t)_i);

	for (int round = 0; round < 200; round++) {
		struct rk_dedup *e;

		for (uint64_t i = 0; i < t.f->m.l.guarded_state; i++)
			t.b.guarded[i] = (char)rk_rand_u64(&r);
		rk_bank_view(&t.b, &t.f->m, fixture_bank(t.f, 0));
		rk_bank_begin(&t.b, 0);
		for (uint32_t caller = 0; caller < t.f->m.g.n_clients * t.f->m.g.n_slots; caller++) {
			t.b.index[caller] = (uint16_t)rk_rand_below(&r, 7);
			e = rk_bank_dedup_find(&t.b, caller);
			if (e)
				ck_assert_uint_eq(e->caller, caller);
			if (rk_bank_dedup_claim(&t.b, caller, 1, &e) == 0)
				memset(e + 1, 0, t.f->m.g.reply_max);
		}
	}
	close_bank(&t);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("state");

	tcase_add_loop_test(c, a_roll_back_restores_every_byte_and_can_be_repeated, 0, rk_countof(cursors));
	tcase_add_loop_test(c, what_committed_is_not_rolled_back, 0, rk_countof(cursors));
	tcase_add_test(c, a_rerun_appends_and_is_rolled_back_with_what_came_before);
	tcase_add_test(c, a_savepoint_undoes_what_came_after_it_alone);
	tcase_add_test(c, a_full_log_refuses_and_saves_nothing);
	tcase_add_loop_test(c, full_log_data_refuses_what_does_not_fit_also_after_a_roll_back, 0,
			    rk_countof(data_lens));
	tcase_add_test(c, bytes_outside_the_guarded_area_are_refused);
	tcase_add_test(c, a_claimed_entry_is_found_by_its_caller_and_no_other);
	tcase_add_test(c, a_full_table_refuses_until_a_reply_is_read_or_a_client_gone);
	tcase_add_test(c, an_unread_reply_that_lies_in_its_cell_needs_no_entry);
	tcase_add_test(c, a_claim_that_is_rolled_back_leaves_what_was_applied_and_no_reply);
	tcase_add_test(c, a_claim_with_a_full_log_is_refused);
	tcase_add_test(c, a_job_that_is_killed_for_ever_never_fills_the_log);
	tcase_add_loop_test(c, a_rerun_that_takes_another_course_is_undone_too, 0, 4);
	tcase_add_test(c, a_job_undone_from_its_beginning_runs_again_and_adds_nothing);
	tcase_add_loop_test(c, what_is_pinned_outlives_the_undoing_of_a_job_and_goes_with_its_owner, 0, 2);
	tcase_add_loop_test(c, random_logs_never_lead_outside_the_bank, 0, 18);
	tcase_add_loop_test(c, random_dedup_tables_never_lead_outside_the_bank, 0, 10);
	return unit_run(c);
}
