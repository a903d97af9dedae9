/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    An option is taken apart as getopt_long() would: --name, --name=value, -n, -nvalue; and
 *         it is found by its whole name or its letter only.
 * Method  A table of spellings.
 */
#include "base/spelling.h"

#include <check.h>
#include <string.h>

#include "base/macro.h"
#include "tests/unit/unit.h"

static const struct {
	const char *arg;
	const char *value; /* NULL: none */
	size_t len;
	bool is_name, is_letter; /* meant: "name" without a letter; 'n' with another name */
} spellings[] = {
	{ "--name", NULL, 6, true, false },
	{ "--name=", "", 6, true, false },
	{ "--name=a=b", "a=b", 6, true, false },
	{ "--nam", NULL, 5, false, false },
	{ "--names", NULL, 7, false, false },
	{ "--=x", "x", 2, false, false },
	{ "-n", NULL, 2, false, true },
	{ "-n4", "4", 2, false, true },
	{ "-n=4", "=4", 2, false, true },
	{ "-x", NULL, 2, false, false },
};

START_TEST(an_option_is_taken_apart)
{
	struct rk_spelling s = rk_spell(spellings[_i].arg);

	ck_assert_str_eq(s.arg, spellings[_i].arg);
	ck_assert_uint_eq(s.len, spellings[_i].len);
	if (spellings[_i].value)
		ck_assert_pstr_eq(s.value, spellings[_i].value);
	else
		ck_assert_ptr_null(s.value);
	ck_assert_int_eq(rk_spelling_is(&s, "name", 0), spellings[_i].is_name);
	ck_assert_int_eq(rk_spelling_is(&s, "other", 'n'), spellings[_i].is_letter);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("spelling");

	tcase_add_loop_test(c, an_option_is_taken_apart, 0, rk_countof(spellings));
	return unit_run(c);
}
