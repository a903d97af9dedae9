/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A committed reply reaches the cell that waits for it, once its own gate is open, and
 *         no other; a cell that another worker writes gets `skip` and is asked again; a sweep
 *         repairs exactly the cell that the dead worker declared.
 * Method  A committed job is built by hand (dedup entry, TAKEN reference, cursor), each test
 *         changes one thing about it and compares every word afterwards.
 */
#include "shm/deliver.h"

#include <check.h>
#include <limits.h>
#include <string.h>

#include "base/rand.h"
#include "shm/bell.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define P48 ((1ull << 48) - 1)
#define ME 1u

static const uint64_t firsts[] = { 0, P48 - 63, P48 };

/* A job at `position` of partition 0, committed and not delivered. */
struct job {
	struct fixture *f;
	struct rk_bank b;
	struct rk_call call;
	struct rk_cell *cell;
	struct rk_dedup *entry;
	uint64_t position;
};

static struct job committed_job(uint64_t first, int32_t error)
{
	struct job j = { .f = fixture_new(NULL, first), .position = first };
	struct rk_caller c = fixture_caller(j.f, 2, 55);
	struct rk_part *part = rk_shm_part(&j.f->m, 0);

	ck_assert_int_eq(fixture_start(&c, 1, 0, 9, &j.call), RK_CALL_STARTED);
	ck_assert(rk_queue_take(&j.f->m, 0, first, rk_queue_peek(&j.f->m, 0, first)));
	rk_bank_view(&j.b, &j.f->m, fixture_bank(j.f, 0));
	rk_bank_begin(&j.b, first);
	ck_assert_int_eq(rk_bank_dedup_claim(&j.b, 2 * j.f->m.g.n_slots + 1, j.call.sequence, &j.entry), 0);
	j.entry->client_id = 55;
	j.entry->job = first;
	j.entry->error = error;
	j.entry->len = 5;
	memcpy(j.entry + 1, "reply", 5);
	j.cell = rk_shm_cell(&j.f->m, j.call.cell);
	atomic_store_explicit(&part->commit, rk_commit(1, rk_pos_add(first, 1)), memory_order_relaxed);
	atomic_store_explicit(&part->released, rk_pos_add(first, 1), memory_order_relaxed);
	return j;
}

static uint64_t word_of(struct job *j)
{
	return atomic_load_explicit(&j->cell->word, memory_order_acquire);
}

static void set_word(struct job *j, uint32_t worker, enum rk_cell_state state)
{
	atomic_store_explicit(&j->cell->word, rk_cellword(j->call.sequence, worker, state), memory_order_relaxed);
}

static void assert_recycled(struct job *j)
{
	uint64_t next = rk_pos_add(j->position, j->f->m.g.n_ring);

	ck_assert_uint_eq(fixture_place(j->f, 0, j->position), rk_ref(next, j->f->m.g.n_ring, 0, RK_REF_FREE));
	ck_assert_uint_eq(atomic_load_explicit(&rk_shm_part(&j->f->m, 0)->freed, memory_order_relaxed),
			  rk_pos_add(j->position, 1));
	ck_assert_uint_eq(atomic_load_explicit(&rk_shm_beat(&j->f->m, ME)->cell, memory_order_relaxed), 0);
}

START_TEST(a_reply_is_delivered_whole_and_its_place_recycled)
{
	struct job j = committed_job(firsts[_i], 0);
	uint32_t parked = rk_bell_park(&j.cell->bell);

	rk_deliver(&j.b, 0, ME, j.position);
	ck_assert_uint_eq(word_of(&j), rk_cellword(j.call.sequence, 0, RK_CELL_DONE));
	ck_assert_uint_eq(atomic_load_explicit(&j.cell->reply_len, memory_order_relaxed), 5);
	ck_assert_uint_eq(atomic_load_explicit(&j.cell->reply_job, memory_order_relaxed), j.position);
	ck_assert(memcmp(rk_cell_reply(&j.f->m, j.cell), "reply", 5) == 0);
	ck_assert_uint_ne(atomic_load_explicit(&j.cell->bell, memory_order_relaxed), parked); /* rung */
	assert_recycled(&j);
	fixture_free(j.f);
}
END_TEST

static const struct {
	int32_t stored;
	int read;
} errors[] = { { 0, 0 }, { -1, -1 }, { -33, -33 }, { -4095, -4095 }, { INT_MIN, 0 }, { INT_MAX, -1 } };

START_TEST(an_error_is_delivered_and_a_damaged_one_is_some_error_at_most)
{
	struct job j = committed_job(0, errors[_i].stored);
	struct rk_caller c = { .m = &j.f->m, .page = 2, .id = 55 };
	struct rk_call_reply reply;

	rk_deliver(&j.b, 0, ME, 0);
	rk_call_reply(&c, &j.call, &reply);
	ck_assert_int_eq(reply.error, errors[_i].read);
	fixture_free(j.f);
}
END_TEST

START_TEST(delivered_again_it_changes_nothing)
{
	struct job j = committed_job(firsts[_i], 0);
	uint64_t place;

	rk_deliver(&j.b, 0, ME, j.position);
	place = fixture_place(j.f, 0, j.position);
	for (int i = 0; i < 3; i++)
		rk_deliver(&j.b, 0, 2, j.position);
	ck_assert_uint_eq(word_of(&j), rk_cellword(j.call.sequence, 0, RK_CELL_DONE));
	ck_assert_uint_eq(fixture_place(j.f, 0, j.position), place);
	assert_recycled(&j);
	fixture_free(j.f);
}
END_TEST

/* Words of the cell that are not ours to write: they stay as they are. */
static const struct {
	const char *what;
	int64_t sequence; /* relative to the call's */
	uint32_t worker;
	enum rk_cell_state state;
	bool skip;
} foreign[] = {
	{ "a later call", 1, 0, RK_CELL_WANT, false },
	{ "an earlier call", -1, 0, RK_CELL_WANT, false },
	{ "done already", 0, 0, RK_CELL_DONE, false },
	{ "given up", 0, 0, RK_CELL_IDLE, false },
	{ "written by another", 0, 3, RK_CELL_WRITING, true },
	{ "a later call, written by another", 1, 3, RK_CELL_WRITING, true },
	{ "written by a worker of my number before", 0, ME, RK_CELL_WRITING, false },
};

START_TEST(a_cell_that_does_not_wait_for_this_reply_is_left_alone)
{
	struct job j = committed_job(0, 0);
	uint64_t sequence = j.call.sequence + (uint64_t)foreign[_i].sequence;
	uint64_t word = rk_cellword(sequence, foreign[_i].worker, foreign[_i].state);

	atomic_store_explicit(&j.cell->word, word, memory_order_relaxed);
	rk_deliver(&j.b, 0, ME, 0);
	ck_assert_msg(word_of(&j) == word, "%s", foreign[_i].what);
	ck_assert_msg(atomic_load_explicit(&j.cell->skip, memory_order_relaxed) == (foreign[_i].skip ? sequence : 0),
		      "%s", foreign[_i].what);
	ck_assert_uint_eq(atomic_load_explicit(&j.cell->reply_len, memory_order_relaxed), 0);
	assert_recycled(&j);
	fixture_free(j.f);
}
END_TEST

START_TEST(skip_is_raised_and_never_lowered)
{
	struct job j = committed_job(0, 0);

	atomic_store_explicit(&j.cell->skip, 1000, memory_order_relaxed);
	set_word(&j, 3, RK_CELL_WRITING);
	rk_deliver(&j.b, 0, ME, 0);
	ck_assert_uint_eq(atomic_load_explicit(&j.cell->skip, memory_order_relaxed), 1000);
	fixture_free(j.f);
}
END_TEST

START_TEST(a_reply_whose_own_gate_is_closed_is_not_delivered)
{
	struct job j = committed_job(firsts[_i], 0);

	j.entry->job = rk_pos_add(j.position, 1); /* a duplicate at `position` hits the entry of a later job */
	rk_deliver(&j.b, 0, ME, j.position);
	ck_assert_uint_eq(word_of(&j), rk_cellword(j.call.sequence, 0, RK_CELL_WANT));
	fixture_free(j.f);
}
END_TEST

START_TEST(a_tombstone_is_recycled_and_its_client_told)
{
	struct job j = committed_job(0, 0);
	uint32_t parked = rk_bell_park(&j.cell->bell);

	atomic_store_explicit(rk_ring_place(&j.f->m, rk_shm_ring(&j.f->m, 0), 0),
			      rk_ref(0, 64, j.call.cell, RK_REF_TOMB), memory_order_relaxed);
	rk_deliver(&j.b, 0, ME, 0);
	ck_assert_uint_eq(word_of(&j), rk_cellword(j.call.sequence, 0, RK_CELL_WANT));
	ck_assert_uint_ne(atomic_load_explicit(&j.cell->bell, memory_order_relaxed), parked);
	assert_recycled(&j);
	fixture_free(j.f);
}
END_TEST

START_TEST(a_late_owner_does_not_set_freed_back)
{
	struct job j = committed_job(0, 0);

	atomic_store_explicit(&rk_shm_part(&j.f->m, 0)->freed, 40, memory_order_relaxed);
	rk_deliver(&j.b, 0, ME, 0);
	ck_assert_uint_eq(atomic_load_explicit(&rk_shm_part(&j.f->m, 0)->freed, memory_order_relaxed), 40);
	fixture_free(j.f);
}
END_TEST

/* ---- sweep ---- */

static const struct {
	const char *what;
	int64_t declared; /* relative to the cell + 1; INT64_MIN: nothing */
	uint32_t writer;
	enum rk_cell_state state;
	bool repaired;
} sweeps[] = {
	{ "nothing declared", INT64_MIN, ME, RK_CELL_WRITING, false },
	{ "declared and writing", 0, ME, RK_CELL_WRITING, true },
	{ "declared, still WANT", 0, 0, RK_CELL_WANT, false },
	{ "declared, done", 0, 0, RK_CELL_DONE, false },
	{ "declared, written by another", 0, 3, RK_CELL_WRITING, false },
	{ "a neighbour declared", 1, ME, RK_CELL_WRITING, false },
	{ "the first beyond the last", 2, ME, RK_CELL_WRITING, false },
	{ "far outside", 1ll << 40, ME, RK_CELL_WRITING, false },
	{ "2^32 above", 1ll << 32, ME, RK_CELL_WRITING, false },
	{ "all ones", -12, ME, RK_CELL_WRITING, false },
};

START_TEST(a_sweep_repairs_what_the_dead_worker_declared_and_wrote_and_nothing_else)
{
	struct job j = committed_job(0, 0);
	_Atomic uint64_t *declared = &rk_shm_beat(&j.f->m, ME)->cell;
	uint64_t before;

	j.call.cell = rk_shm_n_cells(&j.f->m) - 2; /* so that the one after the next is outside */
	j.cell = rk_shm_cell(&j.f->m, j.call.cell);
	set_word(&j, sweeps[_i].writer, sweeps[_i].state);
	before = word_of(&j);
	if (sweeps[_i].declared != INT64_MIN)
		atomic_store_explicit(declared, (uint64_t)(j.call.cell + 1 + sweeps[_i].declared), memory_order_relaxed);
	for (int again = 0; again < 2; again++) {
		rk_deliver_sweep(&j.f->m, ME);
		ck_assert_msg(word_of(&j) == (sweeps[_i].repaired ?
						      rk_cellword(j.call.sequence, 0, RK_CELL_WANT) :
						      before),
			      "%s", sweeps[_i].what);
		ck_assert_uint_eq(atomic_load_explicit(declared, memory_order_relaxed), 0);
	}
	fixture_free(j.f);
}
END_TEST

START_TEST(after_a_sweep_the_successor_delivers)
{
	struct job j = committed_job(firsts[_i], 0);

	set_word(&j, 3, RK_CELL_WRITING);
	atomic_store_explicit(&rk_shm_beat(&j.f->m, 3)->cell, j.call.cell + 1, memory_order_relaxed);
	rk_deliver_sweep(&j.f->m, 3);
	rk_deliver(&j.b, 0, ME, j.position);
	ck_assert_uint_eq(word_of(&j), rk_cellword(j.call.sequence, 0, RK_CELL_DONE));
	assert_recycled(&j);
	fixture_free(j.f);
}
END_TEST

START_TEST(random_entries_references_and_cells_never_lead_outside)
{
	struct job j = committed_job(0, 0);
	struct rk_rand r = rk_rand_init((uint64_t)_i);

	for (int round = 0; round < 500; round++) {
		uint64_t *entry = (uint64_t *)(void *)j.entry;
		uint64_t position = rk_rand_u64(&r) & P48;
		uint32_t state = (uint32_t)rk_rand_below(&r, 4);

		for (size_t k = 0; k < sizeof(*j.entry) / 8; k++)
			entry[k] = rk_rand_u64(&r) >> rk_rand_below(&r, 64);
		if (round & 1) { /* nearly right, so that it gets far */
			j.entry->caller = 5;
			j.entry->job = 0;
		}
		j.b.index[5] = 1;
		atomic_store_explicit(&j.cell->request, rk_rand_u64(&r) | 1ull << 48, memory_order_relaxed);
		atomic_store_explicit(&j.cell->word,
				      rk_cellword(j.entry->sequence, (uint32_t)rk_rand_below(&r, 4096), RK_CELL_WANT),
				      memory_order_relaxed);
		atomic_store_explicit(rk_ring_place(&j.f->m, rk_shm_ring(&j.f->m, 0), position),
				      rk_ref(position, 64, round & 1 ? j.call.cell : (uint32_t)rk_rand_u64(&r) & 0xfffff,
					     (enum rk_ref_state)state),
				      memory_order_relaxed);
		rk_deliver(&j.b, 0, ME, position);
		atomic_store_explicit(&rk_shm_beat(&j.f->m, ME)->cell, rk_rand_u64(&r) >> rk_rand_below(&r, 64),
				      memory_order_relaxed);
		rk_deliver_sweep(&j.f->m, ME);
	}
	fixture_free(j.f);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("deliver");
	int n = (int)rk_countof(firsts);

	tcase_add_loop_test(c, a_reply_is_delivered_whole_and_its_place_recycled, 0, n);
	tcase_add_loop_test(c, an_error_is_delivered_and_a_damaged_one_is_some_error_at_most, 0, (int)rk_countof(errors));
	tcase_add_loop_test(c, delivered_again_it_changes_nothing, 0, n);
	tcase_add_loop_test(c, a_cell_that_does_not_wait_for_this_reply_is_left_alone, 0, (int)rk_countof(foreign));
	tcase_add_test(c, skip_is_raised_and_never_lowered);
	tcase_add_loop_test(c, a_reply_whose_own_gate_is_closed_is_not_delivered, 0, n);
	tcase_add_test(c, a_tombstone_is_recycled_and_its_client_told);
	tcase_add_test(c, a_late_owner_does_not_set_freed_back);
	tcase_add_loop_test(c, a_sweep_repairs_what_the_dead_worker_declared_and_wrote_and_nothing_else, 0,
			    (int)rk_countof(sweeps));
	tcase_add_loop_test(c, after_a_sweep_the_successor_delivers, 0, n);
	tcase_add_loop_test(c, random_entries_references_and_cells_never_lead_outside, 0, 20);
	return unit_run(c);
}
