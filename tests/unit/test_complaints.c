/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Complaints come out by file and line, none is lost without being counted, and none
 *         can forge a line of its own.
 * Method  Complaints in a wrong order, printed into memory.
 */
#include "supervisor/complaints.h"

#include <check.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/unit/unit.h"

static char *printed(struct rk_complaints *c)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(to);
	rk_complaints_print(c, "p: ", to);
	ck_assert_int_eq(fclose(to), 0);
	return text;
}

START_TEST(they_are_sorted_by_file_line_and_order)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;

	rk_complain(&c, "b", 2, "five");
	rk_complain(&c, "a", 10, "three");
	rk_complain(&c, "a", 9, "one");
	rk_complain(&c, "a", 9, "two");
	rk_complain(&c, "b", 0, "four");
	rk_complain(&c, NULL, 0, "zero");
	text = printed(&c);
	ck_assert_str_eq(text, "p: zero\np: a:9: one\np: a:9: two\np: a:10: three\n"
			       "p: b: four\np: b:2: five\n");
	ck_assert_uint_eq(rk_complaints_count(&c), 6);
}
END_TEST

START_TEST(control_characters_forge_no_line)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;

	rk_complain(&c, "a", 1, "x%sy", "\n\033[2J\x7f");
	text = printed(&c);
	ck_assert_str_eq(text, "p: a:1: x??[2J?y\n");
}
END_TEST

START_TEST(what_is_beyond_the_bound_is_counted)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;

	for (uint32_t i = 0; i < RK_COMPLAINTS_MAX + 7; i++)
		rk_complain(&c, "a", i + 1, "x");
	ck_assert_uint_eq(c.n, RK_COMPLAINTS_MAX);
	ck_assert_uint_eq(rk_complaints_count(&c), RK_COMPLAINTS_MAX + 7);
	text = printed(&c);
	ck_assert_ptr_nonnull(strstr(text, "p: and 7 more\n"));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("complaints");

	tcase_add_test(c, they_are_sorted_by_file_line_and_order);
	tcase_add_test(c, control_characters_forge_no_line);
	tcase_add_test(c, what_is_beyond_the_bound_is_counted);
	return unit_run(c);
}
