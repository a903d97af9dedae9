/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A file's settings arrive with their places; every mistake is named with its line and
 *         costs nothing else; no text, however hostile, does harm.
 * Method  A table of bad texts with the one complaint each must give, texts at the bounds, and
 *         100,000 random texts made of what matters to the reader, cut anywhere.
 */
#include "supervisor/ini.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/unit/unit.h"

static void must_read(struct rk_ini *ini, const char *text, size_t len, struct rk_complaints *c)
{
	/* Its own block, so that a sanitizer sees one byte too many. */
	rk_cleanup(rk_free_p) char *copy = malloc(len ? len : 1);

	memcpy(copy, text, len);
	ck_assert_int_eq(rk_ini_read(ini, "f", copy, len, c), 0);
}

#define READ(ini, text, c) must_read(ini, text, sizeof(text) - 1, c)

START_TEST(settings_arrive_with_their_places)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_ini_free_p) struct rk_ini ini = { 0 };
	const struct rk_setting *s;

	READ(&ini,
	     "\xef\xbb\xbf# comment\n"
	     "; another\n"
	     "\n"
	     "[Supervisor]\n"
	     "  LogLevel  =  debug  \n"
	     "[Fleet a]\n"
	     "Exec=x = y # no comment\n"
	     "Empty=\n"
	     "[Fleet\t b.1 ]\n"
	     "Exec=one \\\n"
	     "# in between\n"
	     "   two\\\n"
	     "\tthree\n"
	     "Exec=four\n",
	     &c);
	ck_assert_msg(c.n == 0, "%s", c.n ? c.at[0].text : "");
	ck_assert_uint_eq(ini.n, 5);
	s = ini.at;
	ck_assert(s[0].section == RK_INI_SUPERVISOR && s[0].line == 5);
	ck_assert_str_eq(s[0].key, "LogLevel");
	ck_assert_str_eq(s[0].value, "debug");
	ck_assert(s[1].section == RK_INI_FLEET);
	ck_assert_str_eq(s[1].argument, "a");
	ck_assert_str_eq(s[1].value, "x = y # no comment");
	ck_assert_str_eq(s[2].value, "");
	ck_assert_str_eq(s[3].argument, "b.1");
	ck_assert_str_eq(s[3].value, "one  two three");
	ck_assert_uint_eq(s[3].line, 10);
	ck_assert_uint_eq(s[4].line, 14);
	ck_assert_str_eq(s[4].file, "f");
	ck_assert_ptr_eq(rk_ini_last(&ini, RK_INI_FLEET, "b.1", "Exec"), &s[4]);
	ck_assert_ptr_null(rk_ini_last(&ini, RK_INI_FLEET, "b.1", "Empty"));
	ck_assert_uint_eq(ini.n_fleets, 2);
	ck_assert_uint_eq(ini.fleets[1].line, 9);
}
END_TEST

#define BAD(text, line, says)                                                                      \
	{                                                                                          \
		text, sizeof(text) - 1, line, says                                                 \
	}
static const struct {
	const char *text;
	size_t len;
	uint32_t line;
	const char *says;
} bad[] = {
	BAD("A=1\n[Fleet a]\nB=1\n", 1, "before any section"),
	BAD("[Fleet a]\nB=1", 2, "no newline"),
	BAD("[Fleet a]\nB=1\\\n", 2, "ends in a backslash"),
	BAD("[Fleet a]\nB\n", 2, "no Key=Value"),
	BAD("[Fleet a]\n=1\n", 2, "no Key=Value"),
	BAD("[Fleet a]\nB=\0 1\n", 2, "NUL byte"),
	BAD("[Fleet a]\nB=\x1b[2J\n", 2, "control character 0x1b"),
	BAD("[Fleet a]\r\nB=1\n", 1, "Unix line ends"),
	BAD("[Fleet a\nB=1\n", 1, "ends in ']'"),
	BAD("[Fleet]\nB=1\n", 1, "no name"),
	BAD("[Fleet ]\nB=1\n", 1, "no name"),
	BAD("[Fleet a b]\n", 1, "use 1 to 63"),
	BAD("[Fleet ../a]\n", 1, "use 1 to 63"),
	BAD("[Supervisor x]\n", 1, "takes no name"),
	BAD("[Service]\nB=1\nC=1\n", 1,
	    "there are [Supervisor] and [Fleet NAME]; what stands in it was not looked at"),
	BAD("[fleet a]\nB=1\n", 1, "no section [fleet a]: did you mean [Fleet a]?"),
	BAD("[Flet]\nB=1\n", 1, "did you mean [Fleet NAME]?; what stands in it was not looked at"),
	BAD("[Supervisr 7]\nB=1\n", 1, "no section [Supervisr 7]: did you mean [Supervisor]?"),
	BAD("[Fleet a] # one\nB=1\n", 1, "'# one' stands behind the section's head"),
	BAD("[Superviser]\nB=1\n", 1, "did you mean [Supervisor]"),
	BAD("[]\n", 1, "no section []"),
	BAD("[Fleet a]\n"
	    "K123456789012345678901234567890123456789012345678901234567890123456789=1\n",
	    2, "too long for a key"),
};

START_TEST(a_mistake_gives_one_complaint_with_its_line)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_ini_free_p) struct rk_ini ini = { 0 };

	must_read(&ini, bad[_i].text, bad[_i].len, &c);
	ck_assert_msg(c.n == 1, "%u complaints for %s", c.n, bad[_i].text);
	ck_assert_msg(strstr(c.at[0].text, bad[_i].says) != NULL, "%s", c.at[0].text);
	ck_assert_uint_eq(c.at[0].line, bad[_i].line);
	ck_assert_str_eq(c.at[0].file, "f");
}
END_TEST

START_TEST(a_bad_line_costs_only_itself)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_ini_free_p) struct rk_ini ini = { 0 };

	READ(&ini, "[Fleet a]\nA=1\nrubbish\nB=2\n[Nonsense]\nC=3\n[Fleet b]\nD=4\n", &c);
	ck_assert_uint_eq(c.n, 2);
	ck_assert_uint_eq(ini.n, 3);
	ck_assert_str_eq(ini.at[1].key, "B");
	ck_assert_str_eq(ini.at[2].key, "D");
}
END_TEST

static const struct {
	const char *text;
	enum rk_ini_section section;
	const char *argument;
} meant[] = {
	{ "[Flet a]\nB=1\n", RK_INI_FLEET, "a" },
	{ "[fleet  a ]\nB=1\n", RK_INI_FLEET, "a" },
	{ "[Fleet a\nB=1\n", RK_INI_FLEET, "a" },
	{ "[Fleet a] ; one\nB=1\n", RK_INI_FLEET, "a" },
	{ "[Supervisr]\nB=1\n", RK_INI_SUPERVISOR, "" },
	{ "[Supervisor x]\nB=1\n", RK_INI_SUPERVISOR, "" },
};

START_TEST(what_stands_below_a_misspelt_head_is_read_as_what_was_meant)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_ini_free_p) struct rk_ini ini = { 0 };

	must_read(&ini, meant[_i].text, strlen(meant[_i].text), &c);
	ck_assert_msg(c.n == 1, "%u complaints for %s", c.n, meant[_i].text);
	ck_assert_uint_eq(ini.n, 1);
	ck_assert_int_eq(ini.at[0].section, meant[_i].section);
	ck_assert_str_eq(ini.at[0].argument, meant[_i].argument);
	ck_assert_str_eq(ini.at[0].key, "B");
}
END_TEST

START_TEST(a_line_at_the_bound_is_read_and_one_beyond_is_refused)
{
	for (size_t over = 0; over < 2; over++) {
		rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
		rk_cleanup(rk_ini_free_p) struct rk_ini ini = { 0 };
		static char text[RK_INI_LINE_MAX + 64];
		size_t len = RK_INI_LINE_MAX + over;
		int head = sprintf(text, "[Fleet a]\n");

		memset(text + head, 'x', len);
		memcpy(text + head, "K=", 2);
		memcpy(text + head + len, "\nL=1\n", 5);
		must_read(&ini, text, (size_t)head + len + 5, &c);
		ck_assert_uint_eq(c.n, over);
		ck_assert_uint_eq(ini.n, 2 - over);
		if (over)
			ck_assert_ptr_nonnull(strstr(c.at[0].text, "longer than 8192"));
		else
			ck_assert_uint_eq(strlen(ini.at[0].value), RK_INI_LINE_MAX - 2);
	}
}
END_TEST

START_TEST(files_and_settings_beyond_the_bounds_are_refused)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_ini_free_p) struct rk_ini ini = { 0 };
	rk_cleanup(rk_free_p) char *text = calloc(1, RK_INI_FILE_MAX + 1);
	size_t len = (size_t)sprintf(text, "[Fleet a]\n");

	ck_assert_int_eq(rk_ini_read(&ini, "f", text, RK_INI_FILE_MAX + 1, &c), 0);
	ck_assert_uint_eq(c.n, 1);
	ck_assert_ptr_nonnull(strstr(c.at[0].text, "larger than 1024 KiB"));
	for (uint32_t i = 0; i < RK_INI_SETTINGS_MAX + 10; i++, len += 4)
		memcpy(text + len, "K=1\n", 4);
	must_read(&ini, text, len, &c);
	ck_assert_uint_eq(ini.n, RK_INI_SETTINGS_MAX);
	ck_assert_uint_eq(c.n, 2);
	ck_assert_ptr_nonnull(strstr(c.at[1].text, "more than 16384 settings"));
}
END_TEST

START_TEST(no_random_text_does_harm)
{
	static const char *const parts[] = { "[",  "]",  "Fleet", "Supervisor", " ",   "\\\n",
					     "\n", "=",  "K",     "#",          ";",   "\0",
					     "\r", "\t", "\\",    "a",          "\xff" };
	unsigned int seed = 42;

	for (int round = 0; round < 100000; round++) {
		struct rk_complaints c = { 0 };
		struct rk_ini ini = { 0 };
		char text[128];
		size_t len = 0;

		for (int n = rand_r(&seed) % 24; n > 0; n--) {
			const char *part = parts[(size_t)rand_r(&seed) % rk_countof(parts)];
			size_t part_len = *part ? strlen(part) : 1;

			if (len + part_len > sizeof(text))
				break;
			memcpy(text + len, part, part_len);
			len += part_len;
		}
		must_read(&ini, text, len, &c);
		for (uint32_t i = 0; i < ini.n; i++)
			ck_assert(*ini.at[i].key && ini.at[i].line);
		rk_ini_free_p(&ini);
		rk_complaints_free_p(&c);
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("ini");

	tcase_set_timeout(c, 30);
	tcase_add_test(c, settings_arrive_with_their_places);
	tcase_add_loop_test(c, a_mistake_gives_one_complaint_with_its_line, 0,
			    (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_test(c, a_bad_line_costs_only_itself);
	tcase_add_loop_test(c, what_stands_below_a_misspelt_head_is_read_as_what_was_meant, 0,
			    rk_countof(meant));
	tcase_add_test(c, a_line_at_the_bound_is_read_and_one_beyond_is_refused);
	tcase_add_test(c, files_and_settings_beyond_the_bounds_are_refused);
	tcase_add_test(c, no_random_text_does_harm);
	return unit_run(c);
}
