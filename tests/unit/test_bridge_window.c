/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the bridge's window keeps jobs in order, commits no job before those of its partition that were shown
 *         before it, and takes answers by turn or by id.
 * Method  hand-made sequences, and a random one against a plain list of what is expected.
 */
#include "workers/bridge/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "tests/unit/unit.h"

#define PLACES 8u
#define PARTITIONS 4u

static struct rk_window window;

static void setup(void)
{
	ck_assert_int_eq(rk_window_open(&window, PLACES, PARTITIONS, 16), 0);
}

static void teardown(void)
{
	rk_window_close(&window);
}

static uint32_t add(uint32_t partition, uint64_t number)
{
	return rk_window_add(&window, partition, number, RK_WINDOW_WAITING, 1, 0);
}

START_TEST(a_job_waits_for_those_before_it_in_its_partition)
{
	uint32_t a = add(1, 10), b = add(1, 11), c = add(2, 5);
	uint64_t number;

	rk_window_answer(&window, b, 0, "b", 1);
	rk_window_answer(&window, c, 0, "c", 1);
	ck_assert(!rk_window_ready(&window, 1, &number));
	ck_assert(rk_window_ready(&window, 2, &number));
	ck_assert_uint_eq(number, 5);
	rk_window_answer(&window, a, 0, "a", 1);
	ck_assert(rk_window_ready(&window, 1, &number));
	ck_assert_uint_eq(number, 11);
}
END_TEST

START_TEST(a_void_place_waits_for_nobody_and_holds_up_nobody)
{
	uint64_t number;

	(void)rk_window_add(&window, 0, 7, RK_WINDOW_VOID, 1, 0);
	ck_assert_uint_eq(window.n_waiting, 0);
	ck_assert(rk_window_ready(&window, 0, &number));
	ck_assert_uint_eq(number, 7);
}
END_TEST

START_TEST(a_full_window_takes_no_more_until_one_is_dropped)
{
	for (uint64_t i = 0; i < PLACES; i++)
		ck_assert_uint_ne(add(3, i), RK_WINDOW_NONE);
	ck_assert_uint_eq(add(0, 0), RK_WINDOW_NONE);
	rk_window_drop(&window, 3, 1);
	ck_assert_uint_eq(window.n, PLACES - 2);
	ck_assert_uint_ne(add(0, 0), RK_WINDOW_NONE);
}
END_TEST

START_TEST(a_partition_that_does_not_exist_is_refused)
{
	ck_assert_uint_eq(add(PARTITIONS, 0), RK_WINDOW_NONE);
	ck_assert_uint_eq(rk_window_find(&window, PARTITIONS, 0), RK_WINDOW_NONE);
}
END_TEST

START_TEST(an_answer_that_is_too_long_becomes_an_error)
{
	uint32_t a = add(0, 0);

	rk_window_answer(&window, a, 0, "0123456789abcdefg", 17);
	ck_assert_int_eq(window.at[a].error, -EMSGSIZE);
	ck_assert_uint_eq(window.at[a].len, 0);
}
END_TEST

START_TEST(an_id_finds_the_oldest_that_waits_for_it)
{
	uint32_t a = add(0, 0), b = add(1, 0), c = add(2, 0);

	ck_assert_int_eq(rk_window_name(&window, a, "x", 1), 0);
	ck_assert_int_eq(rk_window_name(&window, b, "y", 1), 0);
	ck_assert_int_eq(rk_window_name(&window, c, "y", 1), 0);
	ck_assert_uint_eq(rk_window_find_id(&window, "y", 1), b);
	rk_window_answer(&window, b, 0, NULL, 0);
	ck_assert_uint_eq(rk_window_find_id(&window, "y", 1), c);
	ck_assert_uint_eq(rk_window_find_id(&window, "z", 1), RK_WINDOW_NONE);
	ck_assert_uint_eq(window.oldest_waiting, a);
}
END_TEST

START_TEST(a_place_keeps_no_id_of_the_job_before)
{
	uint32_t a = add(0, 0);

	ck_assert_int_eq(rk_window_name(&window, a, "x", 1), 0);
	rk_window_drop(&window, 0, 0);
	ck_assert_uint_eq(add(0, 1), a);
	ck_assert_uint_eq(rk_window_find_id(&window, "x", 1), RK_WINDOW_NONE);
}
END_TEST

START_TEST(numbers_wrap)
{
	const uint64_t last = (1ull << 48) - 1;
	uint32_t a = add(0, last), b = add(0, 0);
	uint64_t number;

	rk_window_answer(&window, a, 0, NULL, 0);
	rk_window_answer(&window, b, 0, NULL, 0);
	ck_assert(rk_window_ready(&window, 0, &number));
	ck_assert_uint_eq(number, 0);
	rk_window_drop(&window, 0, last);
	ck_assert_uint_eq(window.n, 1);
	rk_window_drop(&window, 0, 0);
	ck_assert_uint_eq(window.n, 0);
}
END_TEST

/* Shows, answers and commits at random: each job leaves once, in its partition's order. */
START_TEST(whatever_happens_each_job_leaves_once_and_in_order)
{
	uint64_t next[PARTITIONS] = { 0 }, done[PARTITIONS] = { 0 };
	struct rk_rand random = rk_rand_init((uint64_t)_i);

	for (int i = 0; i < 20000; i++) {
		uint32_t p = (uint32_t)rk_rand_below(&random, PARTITIONS), place = (uint32_t)rk_rand_below(&random, PLACES);
		uint64_t number;

		switch (rk_rand_below(&random, 3)) {
		case 0:
			if (window.n < PLACES)
				ck_assert_uint_ne(add(p, next[p]++), RK_WINDOW_NONE);
			break;
		case 1:
			if (window.at[place].state == RK_WINDOW_WAITING)
				rk_window_answer(&window, place, 0, "r", 1);
			break;
		default:
			if (!rk_window_ready(&window, p, &number))
				break;
			for (uint64_t k = done[p]; k <= number; k++)
				ck_assert_int_eq(window.at[rk_window_find(&window, p, k)].state, RK_WINDOW_ANSWERED);
			ck_assert_uint_ge(number, done[p]);
			rk_window_drop(&window, p, number);
			done[p] = number + 1;
			break;
		}
		uint32_t n = 0, n_waiting = 0, first_waiting = RK_WINDOW_NONE;

		for (uint32_t at = window.first; at != RK_WINDOW_NONE; at = window.at[at].next, n++) {
			bool waits = window.at[at].state == RK_WINDOW_WAITING;

			n_waiting += waits;
			if (waits && first_waiting == RK_WINDOW_NONE)
				first_waiting = at;
		}
		ck_assert_uint_eq(n, window.n);
		ck_assert_uint_eq(n_waiting, window.n_waiting);
		ck_assert_uint_eq(first_waiting, window.oldest_waiting);
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("bridge_window");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_job_waits_for_those_before_it_in_its_partition);
	tcase_add_test(c, a_void_place_waits_for_nobody_and_holds_up_nobody);
	tcase_add_test(c, a_full_window_takes_no_more_until_one_is_dropped);
	tcase_add_test(c, a_partition_that_does_not_exist_is_refused);
	tcase_add_test(c, an_answer_that_is_too_long_becomes_an_error);
	tcase_add_test(c, an_id_finds_the_oldest_that_waits_for_it);
	tcase_add_test(c, a_place_keeps_no_id_of_the_job_before);
	tcase_add_test(c, numbers_wrap);
	tcase_add_loop_test(c, whatever_happens_each_job_leaves_once_and_in_order, 0, 20); /* _i is the seed */
	return unit_run(c);
}
