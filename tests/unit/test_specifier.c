/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A pattern says the same of a slot wherever it is expanded; what it cannot say is an error
 *         that names why, and never more is written than fits.
 * Method  A table; one pattern into every size of room; a command; each letter where it may not stand.
 */
#include "base/specifier.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/unit/unit.h"

static const struct rk_specifiers all = { .fleet = "carts",
					  .slot = 3,
					  .port = 7000,
					  .socket = "%d/%f.sock",
					  .directory = "/var/lib/%f-%i" };
static const struct rk_specifiers bare = { .slot = 3 };
static const struct rk_specifiers high = { .slot = 36, .port = 65500 };
static const struct rk_specifiers last = { .slot = 35, .port = 65500 };
static const struct rk_specifiers circle = { .fleet = "a", .socket = "%s", .directory = "%d" };

static const struct {
	const char *pattern;
	const struct rk_specifiers *with;
	int r;
	const char *is; /* in the complaint, if r is an error */
} cases[] = {
	{ "", &bare, 0, "" },
	{ "plain", &bare, 0, "plain" },
	{ "127.0.0.1:%p", &all, 0, "127.0.0.1:7003" },
	{ "%i%i %f", &all, 0, "33 carts" },
	{ "unix:%s", &all, 0, "unix:/var/lib/carts-3/carts.sock" },
	{ "--dir=%d", &all, 0, "--dir=/var/lib/carts-3" },
	{ "100%%p", &bare, 0, "100%p" },
	{ "%p", &last, 0, "65535" },
	{ "%p", &high, -ERANGE, "slot 36 has no port" },
	{ "%p", &bare, -EINVAL, "without Port=" },
	{ "%s", &bare, -EINVAL, "without Socket=" },
	{ "%d", &bare, -EINVAL, "without StateDirectory=" },
	{ "%f", &bare, -EINVAL, "'%f'" },
	{ "%s", &circle, -EINVAL, "'%s' may not stand here" },
	{ "%d", &circle, -EINVAL, "'%d' may not stand here" },
	{ "port %x", &all, -EINVAL, "'port %x': '%x' stands for nothing" },
	{ "end%", &all, -EINVAL, "end%" },
};

START_TEST(each_specifier_becomes_what_it_stands_for)
{
	char text[64];
	struct rk_err err = { 0 };

	ck_assert_int_eq(rk_specifier_expand(cases[_i].pattern, cases[_i].with, text, sizeof(text), &err), cases[_i].r);
	if (cases[_i].r == 0)
		ck_assert_str_eq(text, cases[_i].is);
	else
		ck_assert_msg(strstr(err.text, cases[_i].is), "said: %s", err.text);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_at_every_size)
{
	const char *whole = "unix:/var/lib/carts-3/carts.sock";
	char room[64];

	for (size_t size = 1; size < sizeof(room); size++) {
		memset(room, '#', sizeof(room));
		ck_assert_int_eq(rk_specifier_expand("unix:%s", &all, room, size, NULL),
				 size > strlen(whole) ? 0 : -ENAMETOOLONG);
		ck_assert_int_eq(room[size], '#');
	}
}
END_TEST

START_TEST(a_command_is_expanded_word_by_word)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist words = { 0 }, ret = { 0 };

	ck_assert_int_eq(rk_wordlist_split(&words, "redis-server --port %p 'a b' --dir=%d", 8, NULL), 0);
	ck_assert_int_eq(rk_specifier_words(&words, &all, &ret, NULL), 0);
	ck_assert_uint_eq(ret.n, 5);
	ck_assert_str_eq(ret.at[2], "7003");
	ck_assert_str_eq(ret.at[3], "a b");
	ck_assert_str_eq(ret.at[4], "--dir=/var/lib/carts-3");
	ck_assert_int_eq(rk_specifier_words(&words, &bare, &ret, NULL), -EINVAL);
}
END_TEST

START_TEST(a_letter_that_may_not_stand_there_is_told_from_an_unknown_one)
{
	struct rk_err err = { 0 };

	ck_assert_int_eq(rk_specifier_check("%p%i%s%d%f%%", RK_SPECIFIERS_ALL, &err), 0);
	ck_assert_int_eq(rk_specifier_check("/run/%i/%s", RK_SPECIFIERS_SOCKET, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "'%s' may not stand here"));
	ck_assert_int_eq(rk_specifier_check("/run/%z", RK_SPECIFIERS_SOCKET, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "'%z' stands for nothing"));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("specifier");

	tcase_add_loop_test(c, each_specifier_becomes_what_it_stands_for, 0, (int)rk_countof(cases));
	tcase_add_test(c, what_does_not_fit_is_refused_at_every_size);
	tcase_add_test(c, a_command_is_expanded_word_by_word);
	tcase_add_test(c, a_letter_that_may_not_stand_there_is_told_from_an_unknown_one);
	return unit_run(c);
}
