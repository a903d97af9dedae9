/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a command is known by the program that it runs, each fault has something to do about it, and programs that
 *         people run have their own.
 * Method  tables.
 */
#include <string.h>

#include "cli/try_fix.h"
#include "tests/unit/unit.h"

static const struct {
	const char *argv[5];
	const char *program;
} commands[] = {
	{ { "jq", "-c", "." }, "jq" },
	{ { "/usr/bin/sed", "-u" }, "sed" },
	{ { "env", "LC_ALL=C", "/usr/bin/grep", "x" }, "grep" },
	{ { "env", "-i", "mawk", "{}" }, "mawk" },
	{ { "sh", "-c", "exec jq ." }, "jq" },
	{ { "sh", "-c", "/usr/bin/mawk '{}'; true" }, "mawk" },
	{ { "sh", "-c", "while read l; do :; done" }, "sh" },
	{ { "sh", "script" }, "sh" },
	{ { "env" }, "env" },
};

START_TEST(a_command_is_known_by_its_program)
{
	char program[64];

	ck_assert_str_eq(rk_try_program((char *const *)(uintptr_t)commands[_i].argv, program, sizeof(program)), commands[_i].program);
}
END_TEST

static const struct {
	enum rk_try_fault fault;
	const char *program, *words;
} fixes[] = {
	{ RK_TRY_SILENT, "jq", "--unbuffered" },
	{ RK_TRY_SILENT, "sed", "-u" },
	{ RK_TRY_SILENT, "sedate", "stdbuf -oL" },
	{ RK_TRY_SILENT, "grep", "--line-buffered" },
	{ RK_TRY_SILENT, "mawk", "-W interactive" },
	{ RK_TRY_SILENT, "awk", "mawk -W interactive" },
	{ RK_TRY_SILENT, "python3.11", "-u" },
	{ RK_TRY_SILENT, "filter", "Terminal=output" },
	{ RK_TRY_COLORED, "jq", "-M" },
	{ RK_TRY_COLORED, "grep", "--color=never" },
	{ RK_TRY_BACKGROUND, "redis-server", "--daemonize no" },
	{ RK_TRY_BACKGROUND, "nginx", "daemon off;" },
	{ RK_TRY_BACKGROUND, "gunicorn", "-D" },
	{ RK_TRY_BACKGROUND, "haproxy", "-W or -db" },
	{ RK_TRY_BACKGROUND, "memcached", "-d" },
	{ RK_TRY_BACKGROUND, "server", "foreground" },
	{ RK_TRY_ENDS, "nginx", "daemon off;" },
};

START_TEST(what_to_do_is_said_for_the_program)
{
	char text[512];

	ck_assert_msg(strstr(rk_try_fix(fixes[_i].fault, fixes[_i].program, text, sizeof(text)), fixes[_i].words) != NULL, "%s", text);
}
END_TEST

START_TEST(there_is_something_to_do_about_each_fault)
{
	char text[512];

	ck_assert_uint_gt(strlen(rk_try_fix((enum rk_try_fault)_i, "anything", text, sizeof(text))), 10);
}
END_TEST

START_TEST(a_line_that_nobody_asked_for_is_a_banner_or_a_second_answer)
{
	const char *words = "x printed a line that nobody asked for, so that";

	ck_assert_int_eq(rk_try_of_words(words, false), RK_TRY_CHATTY);
	ck_assert_int_eq(rk_try_of_words(words, true), RK_TRY_TWICE);
	ck_assert_int_eq(rk_try_of_words("x ended with exit status 3", true), RK_TRY_ENDS);
	ck_assert_int_eq(rk_try_of_words("port 7000 is in use by another program", false), RK_TRY_BUSY);
}
END_TEST

int main(void)
{
	TCase *t = unit_case("try_fix");

	tcase_add_loop_test(t, a_command_is_known_by_its_program, 0, (int)rk_countof(commands));
	tcase_add_loop_test(t, what_to_do_is_said_for_the_program, 0, (int)rk_countof(fixes));
	tcase_add_loop_test(t, there_is_something_to_do_about_each_fault, RK_TRY_FINE + 1, RK_TRY_FAULTS);
	tcase_add_test(t, a_line_that_nobody_asked_for_is_a_banner_or_a_second_answer);
	return unit_run(t);
}
