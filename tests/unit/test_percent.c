/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A pattern becomes what its letters stand for, or an error; never more than fits.
 * Method  A table; and one pattern into every size of room.
 */
#include "base/percent.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

static const struct rk_percent with[] = { { 'i', "12" }, { 'f', "words" }, { 0, NULL } };

static const struct {
	const char *pattern;
	int r;
	const char *is;
} cases[] = {
	{ "/log/%f-%i.log", 0, "/log/words-12.log" },
	{ "%i%i", 0, "1212" },
	{ "100%%i", 0, "100%i" },
	{ "plain", 0, "plain" },
	{ "", 0, "" },
	{ "%x", -EINVAL, NULL },
	{ "end%", -EINVAL, NULL },
};

START_TEST(each_letter_becomes_what_it_stands_for)
{
	char text[64];
	struct rk_err err = { 0 };

	ck_assert_int_eq(rk_percent_expand(cases[_i].pattern, with, text, sizeof(text), &err),
			 cases[_i].r);
	if (cases[_i].is)
		ck_assert_str_eq(text, cases[_i].is);
	else
		ck_assert_ptr_nonnull(strstr(err.text, cases[_i].pattern));
}
END_TEST

START_TEST(what_does_not_fit_is_refused_at_every_size)
{
	const char *whole = "/log/words-12.log";
	char room[32];

	for (size_t size = 1; size < sizeof(room); size++) {
		int r;

		memset(room, '#', sizeof(room));
		r = rk_percent_expand("/log/%f-%i.log", with, room, size, NULL);
		ck_assert_int_eq(r, size > strlen(whole) ? 0 : -ENAMETOOLONG);
		ck_assert_int_eq(room[size], '#');
	}
}
END_TEST

START_TEST(a_letter_is_found_but_not_behind_an_escaped_percent)
{
	ck_assert(rk_percent_has("/a/%f/%i", 'i'));
	ck_assert(!rk_percent_has("/a/%f", 'i'));
	ck_assert(!rk_percent_has("100%%i", 'i'));
	ck_assert(!rk_percent_has("end%", 'i'));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("percent");

	tcase_add_loop_test(c, each_letter_becomes_what_it_stands_for, 0, (int)rk_countof(cases));
	tcase_add_test(c, what_does_not_fit_is_refused_at_every_size);
	tcase_add_test(c, a_letter_is_found_but_not_behind_an_escaped_percent);
	return unit_run(c);
}
