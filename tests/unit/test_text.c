/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A long text is cut between its characters, and never longer than asked for. What
 *         cleaning does is held by test_cli_out.
 * Method  A table of cuts, then every cut of a text of one- to four-byte characters.
 */
#include "base/text.h"

#include <check.h>
#include <string.h>

#include "tests/unit/unit.h"

static const struct {
	const char *text;
	size_t max, cut;
} cuts[] = {
	{ "", 0, 0 },
	{ "abc", 3, 3 },
	{ "abc", 2, 2 },
	{ "a\xc3\xa9z", 2, 1 },         /* inside a two-byte character */
	{ "a\xe2\x82\xacz", 3, 1 },     /* three bytes */
	{ "a\xf0\x9f\x98\x80z", 4, 1 }, /* four */
	{ "\xc3\xa9", 1, 1 },           /* nothing fits: the byte alone, which cleaning replaces */
	{ "\x80\x80\x80\x80\x80\x80", 5, 5 }, /* no character at all */
};

START_TEST(a_text_is_cut_between_its_characters)
{
	ck_assert_uint_eq(rk_text_cut(cuts[_i].text, strlen(cuts[_i].text), cuts[_i].max),
			  cuts[_i].cut);
}
END_TEST

START_TEST(both_halves_of_a_cut_are_utf8_and_none_is_too_long)
{
	static const char text[] =
		"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and the same again \xf0\x9f\x98\x80\xe2\x82\xac";
	size_t len = strlen(text);

	for (size_t max = 4; max < len + 4; max++) {
		size_t n = rk_text_cut(text, len, max);

		ck_assert_uint_le(n, max);
		ck_assert(rk_text_is_utf8(text, n));
		ck_assert(rk_text_is_utf8(text + n, len - n));
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("text");

	tcase_add_loop_test(c, a_text_is_cut_between_its_characters, 0,
			    (int)(sizeof(cuts) / sizeof(cuts[0])));
	tcase_add_test(c, both_halves_of_a_cut_are_utf8_and_none_is_too_long);
	return unit_run(c);
}
