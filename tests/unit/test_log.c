/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    one event is one printable line with its priority, and quiet levels stay quiet; a journal
 *         that stands still stops nobody, and what was lost by it is counted.
 * Method  stderr becomes a pipe (each test is a process of its own), whose content is compared.
 */
#include "base/log.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
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

START_TEST(once_it_is_known_whose_a_line_is_it_has_its_time_and_process_too)
{
	char text[256], want[64];
	int from = stderr_pipe();

	rk_log_init(&info);
	rk_log_whose("carts");
	rk_log(RK_LOG_WARNING, "worker died slot=%u", 2u);
	(void)printed(from, text, sizeof(text));
	(void)snprintf(want, sizeof(want), " carts rekindled[%d]: worker died slot=2\n", (int)getpid());
	ck_assert_uint_eq(strspn(text, "0123456789-: ."), strlen("2026-11-24 16:20:11.123 "));
	ck_assert_str_eq(text + strlen("2026-11-24 16:20:11.123"), want);
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

/* ---- diverted ---- */

struct taken {
	int r; /* what take() says */
	unsigned int n;
	char text[256];
};

static int take(void *arg, const struct rk_log_line *line)
{
	struct taken *t = arg;
	size_t at = 0;

	if (t->r)
		return t->r;
	t->n++;
	at = (size_t)snprintf(t->text, sizeof(t->text), "%d|%s|%.*s", (int)line->level, line->whose,
			      (int)line->len, line->text);
	for (size_t i = 0; i < line->n_fields; i++)
		at += (size_t)snprintf(t->text + at, sizeof(t->text) - at, "|%s=%s",
				       line->fields[i].name, line->fields[i].value);
	return 0;
}

static const struct rk_log_field fields[] = { { "A", "1" }, { "B", "two" } };

START_TEST(a_diverted_line_has_its_fields_and_stderr_none_of_it)
{
	int from = stderr_pipe();
	struct taken t = { 0 };
	char text[256];

	journal_is(STDERR_FILENO, 0);
	rk_log_divert(take, &t);
	rk_log_init(&info);
	rk_log_whose("carts");
	ck_assert(rk_log_keeps_fields());
	ck_assert(rk_log_is_journal(STDERR_FILENO));
	ck_assert(!rk_log_is_journal(from + 100));
	rk_log_with(RK_LOG_WARNING, fields, 2, "died slot=%u\n", 2u);
	ck_assert_str_eq(t.text, "4|carts|died slot=2?|A=1|B=two");
	rk_log(RK_LOG_ERROR, "plain");
	ck_assert_str_eq(t.text, "3|carts|plain");
	rk_log(RK_LOG_DEBUG, "hidden");
	ck_assert_uint_eq(t.n, 2);
	ck_assert_str_eq(printed(from, text, sizeof(text)), "");
}
END_TEST

START_TEST(what_is_refused_goes_to_stderr_as_before)
{
	struct taken t = { .r = -EAGAIN };
	int from = stderr_pipe();
	char text[256];

	journal_is(STDERR_FILENO, 0);
	rk_log_divert(take, &t);
	rk_log_init(&info);
	rk_log_with(RK_LOG_WARNING, fields, 2, "died slot=%u", 2u);
	ck_assert_str_eq(printed(from, text, sizeof(text)), "<4>died slot=2\n");
}
END_TEST

START_TEST(nothing_is_diverted_from_a_stderr_that_is_not_the_journal)
{
	int from = stderr_pipe();
	struct taken t = { 0 };
	char text[256];

	journal_is(STDERR_FILENO, 1);
	rk_log_divert(take, &t);
	rk_log_init(&info);
	ck_assert(!rk_log_keeps_fields());
	rk_log_with(RK_LOG_WARNING, fields, 2, "died");
	ck_assert_str_eq(printed(from, text, sizeof(text)), "rekindled: died\n");
	ck_assert_uint_eq(t.n, 0);
}
END_TEST

/* Reads what is there, without waiting; returns how many lines are complete and keeps the last. */
static unsigned int lines_read(int fd, char *last, size_t size)
{
	static char rest[2048];
	static size_t len;
	unsigned int n = 0;
	char *end;

	for (;;) {
		ssize_t got = recv(fd, rest + len, sizeof(rest) - 1 - len, MSG_DONTWAIT);

		if (got <= 0)
			return n;
		len += (size_t)got;
		rest[len] = '\0';
		while ((end = strchr(rest, '\n')) != NULL) {
			*end = '\0';
			snprintf(last, size, "%s", rest);
			ck_assert_msg(strncmp(last, "<4>line ", 8) == 0 ||
					      strncmp(last, "<4>lines of", 11) == 0,
				      "half a line: %s", last);
			n++;
			len -= (size_t)(end + 1 - rest);
			memmove(rest, end + 1, len + 1);
		}
	}
}

START_TEST(a_journal_that_stands_still_stops_nobody_and_what_is_lost_is_counted)
{
	enum { MANY = 20000 };
	char last[1100] = "", padding[900], want[64];
	unsigned int n_read;
	int s[2];

	memset(padding, 'x', sizeof(padding) - 1);
	padding[sizeof(padding) - 1] = '\0';
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	ck_assert_int_eq(dup2(s[1], STDERR_FILENO), STDERR_FILENO);
	ck_assert_int_eq(close(s[1]), 0);
	journal_is(STDERR_FILENO, 0);
	rk_log_init(&info);
	for (unsigned int i = 0; i < MANY; i++)
		rk_log(RK_LOG_WARNING, "line %u %s", i, padding); /* would block for ever */
	n_read = lines_read(s[0], last, sizeof(last));
	ck_assert_uint_gt(n_read, 0);
	ck_assert_uint_lt(n_read, MANY);
	rk_log(RK_LOG_WARNING, "line again");
	ck_assert_uint_eq(lines_read(s[0], last, sizeof(last)), 2);
	snprintf(want, sizeof(want), "<4>lines of the log found no room and are lost n=%u",
		 MANY - n_read);
	ck_assert_str_eq(last, want);
	rk_log(RK_LOG_WARNING, "line and no more of it");
	ck_assert_uint_eq(lines_read(s[0], last, sizeof(last)), 1);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("log");

	tcase_add_test(c, a_line_is_the_name_and_the_event);
	tcase_add_test(c, once_it_is_known_whose_a_line_is_it_has_its_time_and_process_too);
	tcase_add_test(c, levels_beyond_the_most_talkative_print_nothing);
	tcase_add_test(c, under_the_journal_a_line_carries_its_priority);
	tcase_add_test(c, a_redirected_stderr_is_not_the_journal);
	tcase_add_test(c, quoted_input_cannot_start_a_line_of_its_own);
	tcase_add_test(c, a_long_line_is_cut_visibly_and_errno_survives);
	tcase_add_test(c, a_closed_stderr_is_survived_and_errno_too);
	tcase_add_test(c, a_diverted_line_has_its_fields_and_stderr_none_of_it);
	tcase_add_test(c, what_is_refused_goes_to_stderr_as_before);
	tcase_add_test(c, nothing_is_diverted_from_a_stderr_that_is_not_the_journal);
	tcase_add_test(c, a_journal_that_stands_still_stops_nobody_and_what_is_lost_is_counted);
	return unit_run(c);
}
