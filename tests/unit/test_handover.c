/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A partition goes from a live owner to the next only once that one has let go, between
 *         two jobs, with state, cursor and waiting jobs; from a dead one at once.
 * Method  A fleet in private memory; the supervisor's and both workers' parts are played in turn.
 */
#include "supervisor/handover.h"

#include <check.h>
#include <errno.h>

#include "shm/bell.h"
#include "shm/part.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define P 1u /* the partition that moves */

static const struct rk_member_move live = { .partition = P, .from = 0, .to = 2, .is_live = true };

static uint64_t route(struct fixture *f)
{
	return atomic_load_explicit(&rk_shm_routes(&f->m)[P], memory_order_acquire);
}

static bool is_rung(struct fixture *f, uint32_t worker)
{
	_Atomic uint64_t *bits = rk_bell_pending(rk_shm_bell(&f->m, worker));

	return atomic_load_explicit(bits, memory_order_acquire) >> P & 1;
}

START_TEST(a_live_owner_is_asked_and_keeps_the_partition_until_it_lets_go)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct fixture_owner old = { 0 };
	struct rk_caller c = fixture_caller(f, 0, 7);

	fixture_own(f, &old, P, 0);
	ck_assert_uint_eq(fixture_call(&c, &old, 5), 5);
	ck_assert_int_eq(rk_handover_begin(&f->m, &live), RK_HANDOVER_ASKED);
	ck_assert(is_rung(f, 0));
	ck_assert(rk_part_is_asked(&f->m, P, 0) && !rk_part_is_asked(&f->m, P, 2));
	ck_assert(!rk_handover_is_released(&f->m, &live));
	ck_assert_uint_eq(fixture_call(&c, &old, 5), 10); /* it may finish what it is at */
	ck_assert_uint_eq(rk_route_worker(route(f)), 0);
	ck_assert_int_eq(rk_owner_release(&old.o), 0);
	ck_assert(rk_handover_is_released(&f->m, &live));
	ck_assert_int_eq(rk_owner_look(&f->m, P, 0), -ESTALE);
	ck_assert_int_eq(rk_owner_look(&f->m, P, 2), -ESTALE);
	fixture_disown(&old);
	fixture_free(f);
}
END_TEST

START_TEST(its_heir_goes_on_with_state_and_waiting_jobs_and_is_rung)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct fixture_owner old = { 0 }, heir = { 0 };
	struct rk_caller c = fixture_caller(f, 0, 7);
	struct rk_call call;

	fixture_own(f, &old, P, 0);
	ck_assert_uint_eq(fixture_call(&c, &old, 5), 5);
	ck_assert_int_eq(rk_handover_begin(&f->m, &live), RK_HANDOVER_ASKED);
	ck_assert_int_eq(rk_owner_release(&old.o), 0);
	ck_assert_int_eq(fixture_start(&c, 0, P, 3, &call), RK_CALL_STARTED); /* nobody has it */
	ck_assert_int_eq(rk_handover_give(&f->m, P, 2), 0);
	ck_assert_uint_eq(rk_route_worker(route(f)), 2);
	ck_assert_uint_eq(rk_route_flags(route(f)), RK_ROUTE_UP);
	ck_assert(is_rung(f, 2));
	heir.room = calloc(1, rk_owner_room(&f->m));
	ck_assert_int_eq(rk_owner_open(&heir.o, &f->m, P, 2, 0, fixture_bank(f, P), heir.room), 0);
	ck_assert_int_eq(rk_owner_step(&heir.o, fixture_add, NULL), 1);
	fixture_expect(&c, &call, 0, 8);
	fixture_disown(&old);
	fixture_disown(&heir);
	fixture_free(f);
}
END_TEST

START_TEST(who_was_not_asked_cannot_release)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct fixture_owner old = { 0 };

	fixture_own(f, &old, P, 0);
	ck_assert_int_eq(rk_owner_release(&old.o), -ESTALE);
	ck_assert_int_eq(rk_handover_begin(&f->m, &live), RK_HANDOVER_ASKED);
	ck_assert_int_eq(rk_part_release(&f->m, P, 2), -ESTALE);
	ck_assert_int_eq(rk_owner_release(&old.o), 0);
	ck_assert_int_eq(rk_part_ask(&f->m, P), 0); /* asked again: it has done so */
	fixture_disown(&old);
	fixture_free(f);
}
END_TEST

START_TEST(nobodys_partition_cannot_be_asked_for)
{
	struct fixture *f = fixture_new(NULL, 0);

	ck_assert_int_eq(rk_handover_begin(&f->m, &live), -ESTALE);
	fixture_free(f);
}
END_TEST

START_TEST(from_a_dead_owner_it_goes_at_once_even_if_it_had_been_asked)
{
	const struct rk_member_move dead = { .partition = P, .from = 0, .to = 2 };
	struct fixture *f = fixture_new(NULL, 0);
	struct fixture_owner old = { 0 };

	fixture_own(f, &old, P, 0);
	ck_assert_int_eq(rk_handover_begin(&f->m, &live), RK_HANDOVER_ASKED);
	ck_assert_int_eq(rk_handover_begin(&f->m, &dead), RK_HANDOVER_DONE);
	ck_assert_int_eq(rk_owner_look(&f->m, P, 2), 0);
	ck_assert_int_eq(rk_owner_step(&old.o, fixture_add, NULL),
			 -ESTALE); /* were it still there */
	ck_assert_int_eq(rk_owner_release(&old.o), -ESTALE);
	fixture_disown(&old);
	fixture_free(f);
}
END_TEST

static const struct rk_member_move copy = { .partition = P, .from = 0, .to = 2, .is_copy = true };

START_TEST(from_one_that_is_stuck_it_is_taken_and_that_one_commits_no_more)
{
	struct rk_geometry g = fixture_geometry();
	struct fixture_owner old = { 0 };
	struct fixture *f;

	g.n_banks = 2;
	f = fixture_new(&g, 0);
	fixture_own(f, &old, P, 0);
	if (_i) /* it may have been asked before */
		ck_assert_int_eq(rk_handover_begin(&f->m, &live), RK_HANDOVER_ASKED);
	ck_assert_int_eq(rk_handover_begin(&f->m, &copy), RK_HANDOVER_DONE);
	ck_assert_uint_eq(rk_route_worker(route(f)), 2);
	ck_assert(is_rung(f, 2));
	ck_assert_int_eq(rk_owner_step(&old.o, fixture_add, NULL), -ESTALE);
	ck_assert_int_eq(rk_owner_release(&old.o), -ESTALE);
	fixture_disown(&old);
	fixture_free(f);
}
END_TEST

START_TEST(without_a_second_bank_nothing_is_taken)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct fixture_owner old = { 0 };
	struct rk_caller c = fixture_caller(f, 0, 7);

	fixture_own(f, &old, P, 0);
	ck_assert_int_eq(rk_handover_begin(&f->m, &copy), -EBUSY);
	ck_assert_uint_eq(fixture_call(&c, &old, 5), 5);
	fixture_disown(&old);
	fixture_free(f);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("handover");

	tcase_add_test(c, a_live_owner_is_asked_and_keeps_the_partition_until_it_lets_go);
	tcase_add_test(c, its_heir_goes_on_with_state_and_waiting_jobs_and_is_rung);
	tcase_add_test(c, who_was_not_asked_cannot_release);
	tcase_add_test(c, nobodys_partition_cannot_be_asked_for);
	tcase_add_test(c, from_a_dead_owner_it_goes_at_once_even_if_it_had_been_asked);
	tcase_add_loop_test(c, from_one_that_is_stuck_it_is_taken_and_that_one_commits_no_more, 0, 2);
	tcase_add_test(c, without_a_second_bank_nothing_is_taken);
	return unit_run(c);
}
