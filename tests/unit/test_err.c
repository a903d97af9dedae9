/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    an error carries its code and one printable sentence, outermost context first.
 * Method  set and prefix, with long and hostile text.
 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "tests/unit/unit.h"

START_TEST(setting_returns_the_code_and_keeps_the_text)
{
	struct rk_err err;

	ck_assert_int_eq(rk_err_set(&err, -EINVAL, "line %u", 7u), -EINVAL);
	ck_assert_int_eq(err.code, -EINVAL);
	ck_assert_str_eq(err.text, "line 7");
}
END_TEST

START_TEST(each_prefix_stands_in_front_of_the_one_before)
{
	struct rk_err err;
	int r = rk_err_set(&err, -EINVAL, "bad value");

	r = rk_err_prefix(&err, r, "line 3");
	r = rk_err_prefix(&err, r, "fleet.conf");
	ck_assert_int_eq(r, -EINVAL);
	ck_assert_str_eq(err.text, "fleet.conf: line 3: bad value");
}
END_TEST

START_TEST(a_text_that_is_too_long_is_cut_and_terminated)
{
	char text[1000];
	struct rk_err err;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(rk_err_set(&err, -E2BIG, "%s", text), -E2BIG);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
	ck_assert_int_eq(rk_err_prefix(&err, -E2BIG, "outer"), -E2BIG);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
	ck_assert_int_eq(strncmp(err.text, "outer: xxx", 10), 0);
}
END_TEST

START_TEST(control_characters_of_quoted_input_are_not_printed)
{
	struct rk_err err;

	(void)rk_err_set(&err, -EINVAL, "'%s'", "a\nb\033[2Jc\x7f");
	ck_assert_str_eq(err.text, "'a?b?[2Jc?'");
}
END_TEST

START_TEST(without_an_err_the_code_alone_passes)
{
	ck_assert_int_eq(rk_err_set(NULL, -EIO, "x"), -EIO);
	ck_assert_int_eq(rk_err_prefix(NULL, -EIO, "x"), -EIO);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("err");

	tcase_add_test(c, setting_returns_the_code_and_keeps_the_text);
	tcase_add_test(c, each_prefix_stands_in_front_of_the_one_before);
	tcase_add_test(c, a_text_that_is_too_long_is_cut_and_terminated);
	tcase_add_test(c, control_characters_of_quoted_input_are_not_printed);
	tcase_add_test(c, without_an_err_the_code_alone_passes);
	return unit_run(c);
}
