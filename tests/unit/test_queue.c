/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A ring hands references over in order, is full exactly when the tail's place is still
 *         of the previous lap, lets exactly one of take and withdraw win, and goes on across
 *         the wrap of its positions, whatever a dead publisher or damaged memory left.
 * Method  One thread plays client and owner step by step; a publisher's death between two of
 *         its stores is played by writing what it would have left.
 */
#include "shm/queue.h"

#include <check.h>

#include "base/rand.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define P48 ((1ull << 48) - 1)

/* Just before the wrap of positions and laps, and where a lap begins. */
static const uint64_t firsts[] = { 0, 64, 1000, P48 - 200, P48 - 63, P48 - 10, P48 };

static uint64_t tail_of(struct fixture *f, uint32_t partition)
{
	return atomic_load_explicit(&rk_shm_ring(&f->m, partition)->tail, memory_order_relaxed);
}

/* Takes and recycles the next reference; returns its cell. */
static uint32_t consume(struct fixture *f, uint32_t partition, uint64_t position)
{
	uint64_t ref = rk_queue_peek(&f->m, partition, position);

	ck_assert_uint_ne(ref, 0);
	ck_assert(rk_queue_take(&f->m, partition, position, ref));
	rk_queue_recycle(&f->m, partition, position, rk_ref_with(ref, RK_REF_TAKEN));
	return rk_ref_cell(ref);
}

START_TEST(references_come_out_in_the_order_they_were_published_across_the_wrap)
{
	struct fixture *f = fixture_new(NULL, firsts[_i]);
	uint64_t position = firsts[_i];

	for (uint32_t i = 0; i < 5 * f->m.g.n_ring; i++) {
		uint32_t cell = i % rk_shm_n_cells(&f->m);

		ck_assert_uint_eq(rk_queue_peek(&f->m, 1, position), 0);
		ck_assert_int_eq(rk_queue_publish(&f->m, 1, cell), RK_QUEUE_OK);
		ck_assert(rk_queue_names(&f->m, cell));
		ck_assert_uint_eq(consume(f, 1, position), cell);
		ck_assert(!rk_queue_names(&f->m, cell));
		position = rk_pos_add(position, 1);
		ck_assert_uint_eq(tail_of(f, 1), position);
	}
	fixture_free(f);
}
END_TEST

START_TEST(a_ring_holds_as_many_as_it_has_places_and_then_says_full)
{
	struct rk_geometry g = fixture_geometry();
	uint64_t first = firsts[_i];
	struct fixture *f;

	g.n_clients = 20; /* cells enough for every place */
	f = fixture_new(&g, first);
	for (uint32_t i = 0; i < g.n_ring; i++)
		ck_assert_int_eq(rk_queue_publish(&f->m, 0, i), RK_QUEUE_OK);
	ck_assert_int_eq(rk_queue_publish(&f->m, 0, g.n_ring), RK_QUEUE_FULL);
	ck_assert(!rk_queue_names(&f->m, g.n_ring));
	ck_assert_uint_eq(tail_of(f, 0), rk_pos_add(first, g.n_ring));
	ck_assert_uint_eq(consume(f, 0, first), 0);
	ck_assert_int_eq(rk_queue_publish(&f->m, 0, g.n_ring), RK_QUEUE_OK);
	ck_assert_int_eq(rk_queue_publish(&f->m, 0, g.n_ring + 1), RK_QUEUE_FULL);
	for (uint32_t i = 1; i <= g.n_ring; i++)
		ck_assert_uint_eq(consume(f, 0, rk_pos_add(first, i)), i);
	ck_assert_uint_eq(rk_queue_peek(&f->m, 0, rk_pos_add(first, g.n_ring + 1)), 0);
	fixture_free(f);
}
END_TEST

START_TEST(a_cell_is_published_at_most_twice_at_once)
{
	struct fixture *f = fixture_new(NULL, 0);

	ck_assert_int_eq(rk_queue_publish(&f->m, 0, 5), RK_QUEUE_OK);
	ck_assert_int_eq(rk_queue_publish(&f->m, 3, 5), RK_QUEUE_OK);
	ck_assert_int_eq(rk_queue_publish(&f->m, 0, 5), RK_QUEUE_HELD);
	ck_assert_uint_eq(tail_of(f, 0), 1);
	ck_assert_uint_eq(consume(f, 0, 0), 5);
	ck_assert(rk_queue_names(&f->m, 5)); /* the other one */
	ck_assert_int_eq(rk_queue_publish(&f->m, 0, 5), RK_QUEUE_OK);
	fixture_free(f);
}
END_TEST

START_TEST(of_take_and_withdraw_exactly_the_first_wins)
{
	struct fixture *f = fixture_new(NULL, firsts[_i]);
	uint64_t first = firsts[_i], ref;

	ck_assert_int_eq(rk_queue_publish(&f->m, 0, 1), RK_QUEUE_OK);
	ck_assert_int_eq(rk_queue_publish(&f->m, 0, 2), RK_QUEUE_OK);
	/* The owner has looked; then the client withdraws. */
	ref = rk_queue_peek(&f->m, 0, first);
	ck_assert_uint_eq(rk_queue_tomb(&f->m, 1), 1);
	ck_assert(!rk_queue_take(&f->m, 0, first, ref));
	ck_assert_uint_eq(rk_ref_state(rk_queue_peek(&f->m, 0, first)), RK_REF_TOMB);
	ck_assert_uint_eq(rk_queue_outstanding(&f->m, 1, rk_where(0, first)), RK_REF_FREE);
	ck_assert_uint_eq(rk_queue_tomb(&f->m, 1), 0);
	/* The other way round. */
	ref = rk_queue_peek(&f->m, 0, rk_pos_add(first, 1));
	ck_assert(rk_queue_take(&f->m, 0, rk_pos_add(first, 1), ref));
	ck_assert_uint_eq(rk_queue_tomb(&f->m, 2), 0);
	ck_assert_uint_eq(rk_queue_outstanding(&f->m, 2, rk_where(0, rk_pos_add(first, 1))), RK_REF_TAKEN);
	ck_assert(!rk_queue_take(&f->m, 0, rk_pos_add(first, 1), ref)); /* only once */
	fixture_free(f);
}
END_TEST

START_TEST(a_publisher_that_died_before_it_moved_the_tail_holds_up_nobody)
{
	struct fixture *f = fixture_new(NULL, firsts[_i]);
	uint64_t first = firsts[_i];

	/* What it leaves: the note, the reference, the old tail. */
	atomic_store_explicit(&rk_shm_cell(&f->m, 3)->ref[0], rk_where(0, first), memory_order_relaxed);
	atomic_store_explicit(rk_ring_place(&f->m, rk_shm_ring(&f->m, 0), first),
			      rk_ref(first, f->m.g.n_ring, 3, RK_REF_READY), memory_order_relaxed);
	ck_assert_uint_eq(tail_of(f, 0), first);
	ck_assert_int_eq(rk_queue_publish(&f->m, 0, 4), RK_QUEUE_OK);
	ck_assert_uint_eq(consume(f, 0, first), 3);
	ck_assert_uint_eq(consume(f, 0, rk_pos_add(first, 1)), 4);
	/* The owner helps too, when nobody else publishes. */
	atomic_store_explicit(rk_ring_place(&f->m, rk_shm_ring(&f->m, 0), rk_pos_add(first, 2)),
			      rk_ref(rk_pos_add(first, 2), f->m.g.n_ring, 3, RK_REF_READY), memory_order_relaxed);
	ck_assert_uint_eq(consume(f, 0, rk_pos_add(first, 2)), 3);
	ck_assert_uint_eq(tail_of(f, 0), rk_pos_add(first, 3));
	ck_assert_int_eq(rk_queue_publish(&f->m, 0, 5), RK_QUEUE_OK);
	ck_assert_uint_eq(consume(f, 0, rk_pos_add(first, 3)), 5);
	fixture_free(f);
}
END_TEST

START_TEST(a_note_without_publication_names_nothing)
{
	struct fixture *f = fixture_new(NULL, firsts[_i]);

	atomic_store_explicit(&rk_shm_cell(&f->m, 3)->ref[1], rk_where(2, firsts[_i]), memory_order_relaxed);
	ck_assert(!rk_queue_names(&f->m, 3));
	/* Nor when another cell got that place. */
	ck_assert_int_eq(rk_queue_publish(&f->m, 2, 7), RK_QUEUE_OK);
	ck_assert(!rk_queue_names(&f->m, 3));
	ck_assert_uint_eq(rk_queue_tomb(&f->m, 3), 0);
	fixture_free(f);
}
END_TEST

START_TEST(an_evicted_owner_that_recycles_late_changes_nothing)
{
	struct fixture *f = fixture_new(NULL, firsts[_i]);
	uint64_t first = firsts[_i], old, next;

	ck_assert_int_eq(rk_queue_publish(&f->m, 0, 1), RK_QUEUE_OK);
	old = rk_ref_with(rk_queue_peek(&f->m, 0, first), RK_REF_TAKEN);
	ck_assert_uint_eq(consume(f, 0, first), 1);
	for (uint32_t i = 1; i < f->m.g.n_ring; i++) {
		ck_assert_int_eq(rk_queue_publish(&f->m, 0, 2), RK_QUEUE_OK);
		ck_assert_uint_eq(consume(f, 0, rk_pos_add(first, i)), 2);
	}
	ck_assert_int_eq(rk_queue_publish(&f->m, 0, 1), RK_QUEUE_OK); /* the same cell in the same place */
	next = rk_pos_add(first, f->m.g.n_ring);
	rk_queue_recycle(&f->m, 0, first, old);
	ck_assert_uint_eq(rk_ref_state(rk_queue_peek(&f->m, 0, next)), RK_REF_READY);
	ck_assert_uint_eq(rk_queue_outstanding(&f->m, 1, rk_where(0, first)), RK_REF_FREE);
	fixture_free(f);
}
END_TEST

START_TEST(has_work_says_whether_the_cursor_points_at_something)
{
	struct fixture *f = fixture_new(NULL, firsts[_i]);

	ck_assert(!rk_queue_has_work(&f->m, 0));
	ck_assert_int_eq(rk_queue_publish(&f->m, 0, 1), RK_QUEUE_OK);
	ck_assert(rk_queue_has_work(&f->m, 0));
	ck_assert(!rk_queue_has_work(&f->m, 1));
	ck_assert_uint_eq(rk_queue_tomb(&f->m, 1), 1);
	ck_assert(rk_queue_has_work(&f->m, 0)); /* a tombstone wants to be counted */
	fixture_free(f);
}
END_TEST

static const uint64_t bad_tails[] = { 1ull << 48, ~0ull, 1ull << 63, 65, 1000000, P48 };

START_TEST(a_damaged_tail_makes_the_ring_full_at_worst)
{
	struct fixture *f = fixture_new(NULL, 0);

	atomic_store_explicit(&rk_shm_ring(&f->m, 0)->tail, bad_tails[_i], memory_order_relaxed);
	(void)!rk_queue_publish(&f->m, 0, 1); /* returns, and writes nowhere else */
	fixture_free(f);
}
END_TEST

START_TEST(random_notes_and_places_are_survived)
{
	struct fixture *f = fixture_new(NULL, 0);
	uint64_t seed = (uint64_t)_i + 1;
	struct rk_rand r = rk_rand_init(seed);

	for (int round = 0; round < 500; round++) {
		uint32_t cell = (uint32_t)rk_rand_below(&r, rk_shm_n_cells(&f->m));
		uint32_t p = (uint32_t)rk_rand_below(&r, f->m.g.n_partitions);
		uint64_t position = rk_rand_u64(&r) & P48, ref;

		atomic_store_explicit(&rk_shm_cell(&f->m, cell)->ref[round & 1], rk_rand_u64(&r),
				      memory_order_relaxed);
		atomic_store_explicit(rk_ring_place(&f->m, rk_shm_ring(&f->m, p), position), rk_rand_u64(&r),
				      memory_order_relaxed);
		(void)rk_queue_names(&f->m, cell);
		(void)rk_queue_tomb(&f->m, cell);
		(void)!rk_queue_publish(&f->m, p, cell);
		(void)rk_queue_has_work(&f->m, p);
		ref = rk_queue_peek(&f->m, p, position);
		if (ref && rk_queue_take(&f->m, p, position, ref))
			rk_queue_recycle(&f->m, p, position, rk_ref_with(ref, RK_REF_TAKEN));
	}
	fixture_free(f);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("queue");
	int n = (int)rk_countof(firsts);

	tcase_add_loop_test(c, references_come_out_in_the_order_they_were_published_across_the_wrap, 0, n);
	tcase_add_loop_test(c, a_ring_holds_as_many_as_it_has_places_and_then_says_full, 0, n);
	tcase_add_test(c, a_cell_is_published_at_most_twice_at_once);
	tcase_add_loop_test(c, of_take_and_withdraw_exactly_the_first_wins, 0, n);
	tcase_add_loop_test(c, a_publisher_that_died_before_it_moved_the_tail_holds_up_nobody, 0, n);
	tcase_add_loop_test(c, a_note_without_publication_names_nothing, 0, n);
	tcase_add_loop_test(c, an_evicted_owner_that_recycles_late_changes_nothing, 0, n);
	tcase_add_loop_test(c, has_work_says_whether_the_cursor_points_at_something, 0, n);
	tcase_add_loop_test(c, a_damaged_tail_makes_the_ring_full_at_worst, 0, (int)rk_countof(bad_tails));
	tcase_add_loop_test(c, random_notes_and_places_are_survived, 0, 20);
	return unit_run(c);
}
