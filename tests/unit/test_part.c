/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    An assignment gives a partition to one worker with the next incarnation, keeps its
 *         cursor, ends what its predecessor could commit, and can be repeated after a death
 *         between its two stores; incarnations and cursors wrap as abi.md says.
 * Method  The words after each step; a supervisor's death is played by writing what it left.
 */
#include "shm/part.h"

#include <check.h>
#include <errno.h>

#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define P48 ((1ull << 48) - 1)

static uint64_t load(_Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

START_TEST(a_new_partition_is_nobodys)
{
	struct fixture *f = fixture_new(NULL, P48);
	struct rk_part *part = rk_shm_part(&f->m, 2);

	ck_assert_uint_eq(load(&part->commit), rk_commit(1, P48));
	ck_assert_uint_eq(load(&part->freed), P48);
	ck_assert_uint_eq(load(&part->released), P48);
	for (uint32_t w = 0; w < f->m.g.n_workers; w++)
		ck_assert_int_eq(rk_owner_look(&f->m, 2, w), -ESTALE);
	fixture_free(f);
}
END_TEST

START_TEST(an_assignment_raises_the_incarnation_and_keeps_the_cursor)
{
	struct fixture *f = fixture_new(NULL, P48 - 1);
	struct rk_part *part = rk_shm_part(&f->m, 0);

	for (uint32_t worker = 0; worker < 4; worker++) {
		ck_assert_int_eq(rk_part_assign(&f->m, 0, worker), (int)worker + 2);
		ck_assert_uint_eq(load(&part->commit), rk_commit(worker + 2, P48 - 1));
		ck_assert_uint_eq(load(&part->owner), rk_owner(worker + 2, 0, worker, RK_OWNER_RUN));
		for (uint32_t w = 0; w < 4; w++)
			ck_assert_int_eq(rk_owner_look(&f->m, 0, w), w == worker ? 0 : -ESTALE);
	}
	fixture_free(f);
}
END_TEST

START_TEST(after_the_last_incarnation_comes_the_first_and_never_zero)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct rk_part *part = rk_shm_part(&f->m, 0);
	struct fixture_owner old = { 0 }, w = { 0 };

	atomic_store_explicit(&part->commit, rk_commit(0xfffe, 5), memory_order_relaxed);
	fixture_own(f, &old, 0, 1);
	ck_assert_uint_eq(old.o.incarnation, 0xffff);
	ck_assert_int_eq(rk_owner_step(&old.o, fixture_add, NULL), 0);
	fixture_own(f, &w, 0, 2);
	ck_assert_uint_eq(w.o.incarnation, 1);
	ck_assert_uint_eq(load(&part->commit), rk_commit(1, 5));
	ck_assert_int_eq(rk_owner_step(&old.o, fixture_add, NULL), -ESTALE);
	ck_assert_int_eq(rk_owner_step(&w.o, fixture_add, NULL), 0);
	fixture_disown(&old);
	fixture_disown(&w);
	fixture_free(f);
}
END_TEST

START_TEST(an_assignment_cut_short_is_repeated)
{
	struct fixture *f = fixture_new(NULL, 9);
	struct rk_part *part = rk_shm_part(&f->m, 0);
	struct fixture_owner w = { 0 };

	ck_assert_int_eq(rk_part_assign(&f->m, 0, 1), 2);
	/* Killed between the words: the commit word is ahead of the owner word. */
	atomic_store_explicit(&part->commit, rk_commit(3, 9), memory_order_relaxed);
	ck_assert_int_eq(rk_owner_open(&w.o, &f->m, 0, 1, 0, fixture_bank(f, 0), NULL), -ESTALE);
	fixture_own(f, &w, 0, 2);
	ck_assert_uint_eq(w.o.incarnation, 4);
	fixture_disown(&w);
	fixture_free(f);
}
END_TEST

START_TEST(the_route_says_worker_incarnation_and_flags)
{
	struct fixture *f = fixture_new(NULL, 0);

	ck_assert_int_eq(rk_part_assign(&f->m, 3, 1), 2);
	rk_part_route(&f->m, 3, 1, RK_ROUTE_UP);
	ck_assert_uint_eq(load(&rk_shm_routes(&f->m)[3]), rk_route(2, 1, RK_ROUTE_UP));
	rk_part_route(&f->m, 3, 1, 0);
	ck_assert_uint_eq(load(&rk_shm_routes(&f->m)[3]), rk_route(2, 1, 0));
	fixture_free(f);
}
END_TEST

static const uint64_t foreign_owners[] = {
	0, ~0ull, (2ull << 48) | (1ull << 16), /* no flag */
	(2ull << 48) | (1ull << 16) | RK_OWNER_STOP, (2ull << 48) | (1ull << 16) | RK_OWNER_RELEASED,
	(2ull << 48) | (1ull << 32) | (1ull << 16) | RK_OWNER_RUN, /* a bank that does not exist */
	(2ull << 48) | (0xffffull << 32) | (1ull << 16) | RK_OWNER_RUN, (3ull << 48) | (1ull << 16) | RK_OWNER_RUN,
	(2ull << 48) | (0x1001ull << 16) | RK_OWNER_RUN,
};

START_TEST(an_owner_word_that_says_anything_else_is_not_ours)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct rk_owner o;

	ck_assert_int_eq(rk_part_assign(&f->m, 0, 1), 2);
	atomic_store_explicit(&rk_shm_part(&f->m, 0)->owner, foreign_owners[_i], memory_order_relaxed);
	for (uint32_t bank = 0; bank < 3; bank++)
		ck_assert_int_eq(rk_owner_open(&o, &f->m, 0, 1, bank, fixture_bank(f, 0), NULL), -ESTALE);
	fixture_free(f);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("part");

	tcase_add_test(c, a_new_partition_is_nobodys);
	tcase_add_test(c, an_assignment_raises_the_incarnation_and_keeps_the_cursor);
	tcase_add_test(c, after_the_last_incarnation_comes_the_first_and_never_zero);
	tcase_add_test(c, an_assignment_cut_short_is_repeated);
	tcase_add_test(c, the_route_says_worker_incarnation_and_flags);
	tcase_add_loop_test(c, an_owner_word_that_says_anything_else_is_not_ours, 0, rk_countof(foreign_owners));
	return unit_run(c);
}
