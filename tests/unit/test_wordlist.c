/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A line comes apart into the words that systemd's ExecStart= would give, and every
 *         list of words that is printed reads back as it was.
 * Method  A table of lines with their words, one of bad lines, and words made of every byte.
 */
#include "base/wordlist.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/unit/unit.h"

static const struct {
	const char *text;
	const char *words[5];
} good[] = {
	{ "", { NULL } },
	{ " \t ", { NULL } },
	{ "a", { "a" } },
	{ "  a\tb  ", { "a", "b" } },
	{ "'a b' c", { "a b", "c" } },
	{ "\"it's\" 'say \"x\"'", { "it's", "say \"x\"" } },
	{ "a'b c'd", { "ab cd" } },
	{ "'' \"\"", { "", "" } },
	{ "a\\ b \\\"c\\\" \\'d\\'", { "a b", "\"c\"", "'d'" } },
	{ "\\x41\\x7e '\\x20'", { "A~", " " } },
	{ "\\n\\t\\s\\\\", { "\n\t \\" } },
	{ "$HOME `id` *;|>", { "$HOME", "`id`", "*;|>" } },
};

START_TEST(a_line_comes_apart_into_its_words)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	struct rk_err err = { 0 };
	uint32_t n = 0;

	ck_assert_int_eq(rk_wordlist_split(&w, good[_i].text, 16, &err), 0);
	for (; good[_i].words[n]; n++)
		ck_assert_str_eq(n < w.n ? w.at[n] : "(none)", good[_i].words[n]);
	ck_assert_uint_eq(w.n, n);
	ck_assert(n == 0 || !w.at[n]);
}
END_TEST

static const struct {
	const char *text;
	const char *says;
} bad[] = {
	{ "a 'b", "no partner" },   { "\"a'", "no partner" },  { "a\\", "nothing follows" },
	{ "\\q", "is no escape" },  { "\\x4", "hexadecimal" }, { "\\x00", "not 00" },
	{ "\\xg1", "hexadecimal" }, { "1 2 3 4", "3 words" },
};

START_TEST(a_bad_line_adds_nothing_and_says_why)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	struct rk_err err = { 0 };

	ck_assert_int_lt(rk_wordlist_split(&w, bad[_i].text, 3, &err), 0);
	ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s", err.text);
	ck_assert_uint_eq(w.n, 0);
	ck_assert_int_eq(rk_wordlist_add(&w, "kept"), 0);
	ck_assert_int_lt(rk_wordlist_split(&w, bad[_i].text, 3, &err), 0);
	ck_assert_uint_eq(w.n, 1);
	ck_assert_str_eq(w.at[0], "kept");
	ck_assert_ptr_null(w.at[1]);
}
END_TEST

START_TEST(what_is_printed_reads_back_as_it_was)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 }, back = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;
	char all[256], three[4] = { 'a', 0, 'b', 0 };
	struct rk_err err = { 0 };
	size_t len;
	FILE *to = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(to);
	for (int c = 1; c < 256; c++) {
		all[c - 1] = (char)c;
		three[1] = (char)c;
		ck_assert_int_eq(rk_wordlist_add(&w, three), 0);
	}
	all[255] = '\0';
	ck_assert_int_eq(rk_wordlist_add(&w, all), 0);
	ck_assert_int_eq(rk_wordlist_add(&w, ""), 0);
	rk_wordlist_print(&w, to);
	ck_assert_int_eq(fclose(to), 0);
	ck_assert_msg(rk_wordlist_split(&back, text, 1000, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(back.n, w.n);
	for (uint32_t i = 0; i < w.n; i++)
		ck_assert_str_eq(back.at[i], w.at[i]);
	ck_assert(rk_wordlist_has(&w, "") && !rk_wordlist_has(&w, "zz"));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("wordlist");

	tcase_add_loop_test(c, a_line_comes_apart_into_its_words, 0,
			    (int)(sizeof(good) / sizeof(good[0])));
	tcase_add_loop_test(c, a_bad_line_adds_nothing_and_says_why, 0,
			    (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_test(c, what_is_printed_reads_back_as_it_was);
	return unit_run(c);
}
