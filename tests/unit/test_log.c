/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    one event is one printable line with its priority, and quiet levels stay quiet.
 * Method  stderr becomes a pipe (each test is a process of its own), whose content is compared.
 */
#include "base/log.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static int stderr_pipe(void)
{
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
	ck_assert_int_eq(close(p[1]), 0);
	return p[0];
}

/* Closes stderr and returns what was written to it. */
static const char *printed(int from, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	ck_assert_int_eq(close(STDERR_FILENO), 0);
	while ((n = read(from, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

static void journal_is(int fd, unsigned long long add)
{
	struct stat st;
	char stream[64];

	ck_assert_int_eq(fstat(fd, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino + add);
	ck_assert_int_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
}

static const struct rk_log_conf info = { .name = "rekindled", .most = RK_LOG_INFO };

START_TEST(a_line_is_the_name_and_the_event)
{
	char text[256];
	int from = stderr_pipe();

	rk_log_init(&info);
	rk_log(RK_LOG_WARNING, "worker died slot=%u", 2u);
	rk_log(RK_LOG_INFO, "worker ready slot=%u", 2u);
	ck_assert_str_eq(printed(from, text, sizeof(text)),
			 "rekindled: worker died slot=2\nrekindled: worker ready slot=2\n");
}
END_TEST

START_TEST(levels_beyond_the_most_talkative_print_nothing)
{
	char text[256];
	int from = stderr_pipe();

	rk_log_init(&info);
	rk_log(RK_LOG_DEBUG, "hidden");
	ck_assert_str_eq(printed(from, text, sizeof(text)), "");
}
END_TEST

START_TEST(under_the_journal_a_line_carries_its_priority)
{
	char text[256];
	int from = stderr_pipe();

	journal_is(STDERR_FILENO, 0);
	rk_log_init(&info);
	rk_log(RK_LOG_ERROR, "worker died slot=2");
	ck_assert_str_eq(printed(from, text, sizeof(text)), "<3>worker died slot=2\n");
}
END_TEST

START_TEST(a_redirected_stderr_is_not_the_journal)
{
	char text[256];
	int from = stderr_pipe();

	journal_is(STDERR_FILENO, 1);
	rk_log_init(&info);
	rk_log(RK_LOG_ERROR, "x");
	ck_assert_str_eq(printed(from, text, sizeof(text)), "rekindled: x\n");
}
END_TEST

START_TEST(quoted_input_cannot_start_a_line_of_its_own)
{
	char text[256];
	int from = stderr_pipe();

	rk_log_init(&info);
	rk_log(RK_LOG_ERROR, "name=%s", "a\n<0>forged\033[2J");
	ck_assert_str_eq(printed(from, text, sizeof(text)), "rekindled: name=a?<0>forged?[2J\n");
}
END_TEST

START_TEST(a_long_line_is_cut_visibly_and_errno_survives)
{
	char text[4096], input[3000];
	int from = stderr_pipe();
	size_t len;

	memset(input, 'x', sizeof(input) - 1);
	input[sizeof(input) - 1] = '\0';
	rk_log_init(&info);
	errno = ENOENT;
	rk_log(RK_LOG_ERROR, "%s", input);
	ck_assert_int_eq(errno, ENOENT);
	len = strlen(printed(from, text, sizeof(text)));
	ck_assert_uint_eq(len, 1001);
	ck_assert_str_eq(text + len - 5, "x...\n");
}
END_TEST

START_TEST(a_closed_stderr_is_survived_and_errno_too)
{
	ck_assert_int_eq(close(STDERR_FILENO), 0);
	rk_log_init(&info);
	errno = ENOENT;
	rk_log(RK_LOG_ERROR, "nobody reads this");
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("log");

	tcase_add_test(c, a_line_is_the_name_and_the_event);
	tcase_add_test(c, levels_beyond_the_most_talkative_print_nothing);
	tcase_add_test(c, under_the_journal_a_line_carries_its_priority);
	tcase_add_test(c, a_redirected_stderr_is_not_the_journal);
	tcase_add_test(c, quoted_input_cannot_start_a_line_of_its_own);
	tcase_add_test(c, a_long_line_is_cut_visibly_and_errno_survives);
	tcase_add_test(c, a_closed_stderr_is_survived_and_errno_too);
	return unit_run(c);
}
