/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the verdict of `rekindle demo --kind=lines` is true: each way in which a line can come to harm is seen, and
 *         that a program was given one more than once is counted and no harm.
 * Method  a ledger of three lines of one key; each test does one thing otherwise than a good run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/demo_lines_ledger.h"
#include "tests/unit/unit.h"

#define LINES 3u

static struct rk_demo_lines_ledger ledger;
static struct rk_demo_lines_verdict verdict;
static char notes[] = "/tmp/rk-notes-XXXXXX";
static char line[LINES][RK_DEMO_LINE_MAX];
static size_t len[LINES];

static void set_up(void)
{
	(void)strcpy(notes, "/tmp/rk-notes-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(notes));
	ck_assert_int_eq(rk_demo_lines_open(&ledger, 2, 7, true), 0);
	for (uint64_t i = 0; i < LINES; i++) {
		ck_assert_uint_eq(rk_demo_lines_note(&ledger, 1), i);
		len[i] = rk_demo_lines_send(&ledger, i, 1000 + i, line[i]);
	}
}

static void tear_down(void)
{
	char path[64];

	for (char name = 'a'; name <= 'b'; name++) {
		(void)snprintf(path, sizeof(path), "%s/%c", notes, name);
		(void)unlink(path);
	}
	ck_assert_int_eq(rmdir(notes), 0);
	rk_demo_lines_close(&ledger);
}

static void answer(uint64_t i)
{
	rk_demo_lines_answer(&ledger, i, i, 2000, line[i], len[i]);
}

/* What a filter noted: digits are lines. */
static void give(char filter, const char *order)
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%c", notes, filter);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	for (; *order; order++)
		(void)fprintf(f, "%s\n", line[*order - '0']);
	ck_assert_int_eq(fclose(f), 0);
}

static bool is_good(void)
{
	struct rk_err err;

	ck_assert_int_eq(rk_demo_lines_judge(&ledger, notes, &verdict, &err), 0);
	return rk_demo_lines_is_good(&verdict);
}

static void answer_all(void)
{
	for (uint64_t i = 0; i < LINES; i++)
		answer(i);
}

START_TEST(what_is_given_again_is_counted_and_no_harm)
{
	give('a', "01");
	give('b', "12");
	answer_all();
	ck_assert(is_good());
	ck_assert_uint_eq(verdict.redelivered, 1);
	ck_assert_uint_eq(verdict.given, 4);
	ck_assert_uint_eq(verdict.most_given, 2);
	ck_assert_uint_eq(verdict.max_ns, 1000);
}
END_TEST

START_TEST(a_line_without_an_answer_is_lost)
{
	give('a', "012");
	answer(0);
	answer(2);
	ck_assert(!is_good());
	ck_assert_uint_eq(verdict.lost, 1);
}
END_TEST

START_TEST(a_second_answer_is_doubled)
{
	give('a', "012");
	answer_all();
	answer(1);
	ck_assert(!is_good());
	ck_assert_uint_eq(verdict.doubled, 1);
}
END_TEST

START_TEST(the_answer_of_another_line_is_wrong)
{
	give('a', "012");
	answer(0);
	answer(1);
	ledger.is_exact = _i;
	rk_demo_lines_answer(&ledger, 2, 2, 2000, line[1], len[1]);
	ck_assert(!is_good());
	ck_assert_uint_eq(verdict.wrong, 1);
}
END_TEST

START_TEST(an_answer_that_no_program_can_have_given_is_unread)
{
	give('a', "01");
	answer_all();
	ck_assert(!is_good());
	ck_assert_uint_eq(verdict.unread, 1);
}
END_TEST

START_TEST(a_program_that_is_given_lines_of_a_key_in_another_order_is_seen)
{
	give('a', "021");
	answer_all();
	ck_assert(!is_good());
	ck_assert_uint_eq(verdict.out_of_order, 1);
}
END_TEST

START_TEST(jobs_of_a_key_in_another_order_are_seen)
{
	give('a', "012");
	rk_demo_lines_answer(&ledger, 0, 1, 2000, line[0], len[0]);
	rk_demo_lines_answer(&ledger, 1, 0, 2000, line[1], len[1]);
	answer(2);
	ck_assert(!is_good());
	ck_assert_uint_eq(verdict.out_of_order, 1);
}
END_TEST

START_TEST(an_error_and_a_line_that_nobody_sent_are_seen)
{
	give('a', "012");
	answer(0);
	answer(1);
	rk_demo_lines_answer(&ledger, 2, 2, 2000, NULL, 0);
	(void)strcpy(line[0], "{\"id\":\"rk-0-00000000\"}");
	give('b', "0");
	ck_assert(!is_good());
	ck_assert_uint_eq(verdict.refused, 1);
	ck_assert_uint_eq(verdict.strange, 1);
}
END_TEST

int main(void)
{
	TCase *t = unit_case("demo_lines_ledger");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, what_is_given_again_is_counted_and_no_harm);
	tcase_add_test(t, a_line_without_an_answer_is_lost);
	tcase_add_test(t, a_second_answer_is_doubled);
	tcase_add_loop_test(t, the_answer_of_another_line_is_wrong, 0, 2);
	tcase_add_test(t, an_answer_that_no_program_can_have_given_is_unread);
	tcase_add_test(t, a_program_that_is_given_lines_of_a_key_in_another_order_is_seen);
	tcase_add_test(t, jobs_of_a_key_in_another_order_are_seen);
	tcase_add_test(t, an_error_and_a_line_that_nobody_sent_are_seen);
	return unit_run(t);
}
