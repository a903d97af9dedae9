/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Each state letter is counted as what it is; runnable without CPU is starved, and what a
 *         thread has spent is the difference to the look before.
 * Method  One thread at a time, against every letter.
 */
#include "supervisor/look.h"

#include <check.h>
#include <stddef.h>

#include "base/macro.h"
#include "tests/unit/unit.h"

static const struct letter {
	char state;
	size_t counter;
} letters[] = {
	{ 'S', offsetof(struct rk_look, n_asleep) },  { 'I', offsetof(struct rk_look, n_asleep) },
	{ 'D', offsetof(struct rk_look, n_disk) },    { 'T', offsetof(struct rk_look, n_stopped) },
	{ 't', offsetof(struct rk_look, n_traced) },  { 'Z', offsetof(struct rk_look, n_dead) },
	{ 'X', offsetof(struct rk_look, n_dead) },    { 'x', offsetof(struct rk_look, n_dead) },
	{ 'R', offsetof(struct rk_look, n_starved) }, { 'W', offsetof(struct rk_look, n_asleep) },
};

START_TEST(each_letter_has_its_counter)
{
	struct rk_look_thread t = { .state = letters[_i].state, .cpu_ns = 5 };
	struct rk_look l = { 0 };

	rk_look_add(&l, &t, &t);
	ck_assert_uint_eq(*(uint32_t *)(void *)((char *)&l + letters[_i].counter), 1);
	ck_assert_uint_eq(l.n_threads, 1);
	ck_assert_uint_eq(l.ran_ns, 0);
}
END_TEST

START_TEST(who_runs_is_told_from_who_only_wants_to)
{
	struct rk_look_thread before = { 'S', 100, 10 }, now = { 'R', 130, 17 };
	struct rk_look l = { 0 };

	rk_look_add(&l, &before, &now);
	ck_assert_uint_eq(l.n_running, 1);
	ck_assert_uint_eq(l.n_starved, 0);
	ck_assert_uint_eq(l.ran_ns, 30);
	ck_assert_uint_eq(l.delayed_ns, 7);
	rk_look_add(&l, &now, &now);
	ck_assert_uint_eq(l.n_starved, 1);
}
END_TEST

START_TEST(a_newcomer_has_spent_nothing_and_starves_if_it_is_runnable)
{
	struct rk_look_thread now = { 'R', 130, 17 };
	struct rk_look l = { 0 }, first = { .is_first = true };

	rk_look_add(&l, NULL, &now);
	ck_assert_uint_eq(l.n_starved, 1);
	ck_assert_uint_eq(l.n_new, 1);
	ck_assert_uint_eq(l.ran_ns + l.delayed_ns, 0);
	rk_look_add(&first, NULL, &now);
	ck_assert_uint_eq(first.n_new, 0); /* there, everybody is */
}
END_TEST

START_TEST(time_that_went_back_counts_as_none)
{
	struct rk_look_thread before = { 'S', 100, 10 }, now = { 'S', 90, 9 };
	struct rk_look l = { 0 };

	rk_look_add(&l, &before, &now);
	ck_assert_uint_eq(l.ran_ns + l.delayed_ns, 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("look");

	tcase_add_loop_test(c, each_letter_has_its_counter, 0, (int)rk_countof(letters));
	tcase_add_test(c, who_runs_is_told_from_who_only_wants_to);
	tcase_add_test(c, a_newcomer_has_spent_nothing_and_starves_if_it_is_runnable);
	tcase_add_test(c, time_that_went_back_counts_as_none);
	return unit_run(c);
}
