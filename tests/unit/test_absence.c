/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What keeper and the kernel say of a supervisor is told as what it is, with what to do.
 * Method  Each letter of a process's state; and keeper's word over a real board socket.
 */
#include "cli/absence.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/rundir.h"
#include "tests/unit/unit.h"

static const struct {
	int32_t pid;
	char state;
	enum rk_absence_kind kind;
	const char *says;
} cases[] = {
	{ 0, 'X', RK_ABSENCE_REPLACED, "being replaced, for 2" },
	{ 7, 'X', RK_ABSENCE_REPLACED, "being replaced" },
	{ 7, 'Z', RK_ABSENCE_REPLACED, "being replaced" },
	{ 7, 'T', RK_ABSENCE_STOPPED, "(pid 7) is stopped: workers and connected clients go on" },
	{ 7, 't', RK_ABSENCE_STOPPED, "'kill -CONT 7'" },
	{ 7, 'S', RK_ABSENCE_SILENT, "(pid 7) does not answer" },
	{ 7, 'R', RK_ABSENCE_SILENT, "rekindle events" },
};

START_TEST(each_state_is_told_as_what_it_is)
{
	const struct rk_board_message msg = { .keeper_pid = 5, .supervisor_pid = cases[_i].pid, .n_deaths = 3,
					      .since_ns = RK_NS_PER_S };
	struct rk_absence a = rk_absence_judge(&msg, cases[_i].state);
	char text[RK_ABSENCE_TEXT];

	ck_assert_int_eq(a.kind, cases[_i].kind);
	ck_assert_int_eq(a.keeper_pid, 5);
	ck_assert_uint_eq(a.n_deaths, 3);
	ck_assert_ptr_nonnull(strstr(rk_absence_text(text, &a, 3 * RK_NS_PER_S), cases[_i].says));
	ck_assert_str_ne(rk_absence_name(a.kind), "answers");
}
END_TEST

START_TEST(of_one_that_answers_nothing_is_said)
{
	const struct rk_absence a = { .kind = RK_ABSENCE_NONE };
	char text[RK_ABSENCE_TEXT];

	ck_assert_str_eq(rk_absence_text(text, &a, 1), "");
	ck_assert_str_eq(rk_absence_name(a.kind), "answers");
}
END_TEST

START_TEST(a_keeper_that_is_stopped_is_told_though_the_supervisor_answers)
{
	const struct rk_absence a = { .kind = RK_ABSENCE_NONE, .keeper_stopped = 5 };
	char text[RK_ABSENCE_TEXT];

	ck_assert_ptr_nonnull(strstr(rk_absence_text(text, &a, 1), "keeper (pid 5) is stopped: "));
	ck_assert_ptr_nonnull(strstr(text, "'kill -CONT 5' lets it go on"));
	ck_assert_str_eq(rk_absence_name(a.kind), "answers");
}
END_TEST

START_TEST(the_longest_sentence_fits)
{
	struct rk_absence a = { .supervisor_pid = INT32_MAX, .keeper_stopped = INT32_MAX };
	char text[RK_ABSENCE_TEXT];

	for (int kind = RK_ABSENCE_NONE; kind < RK_ABSENCES; kind++) {
		a.kind = (enum rk_absence_kind)kind;
		ck_assert_uint_lt(strlen(rk_absence_text(text, &a, UINT64_MAX)), RK_ABSENCE_TEXT - 1);
	}
}
END_TEST

START_TEST(keeper_is_asked_where_there_is_one)
{
	const struct rk_board_message about = { .keeper_pid = 5, .supervisor_pid = 0, .name = "test" };
	char base[] = "/tmp/rkunit-XXXXXX";
	struct rk_absence a;
	int lock, listening, status = -1;
	pid_t guest;

	ck_assert_ptr_nonnull(mkdtemp(base));
	ck_assert_int_eq(setenv("REKINDLE_RUNTIME_DIR", base, 1), 0);
	lock = rk_rundir_lock("test", NULL);
	ck_assert_int_ge(lock, 0);
	ck_assert(!rk_absence_can_ask("test"));
	ck_assert_int_eq(rk_absence_ask("test", &a), -ENOENT);
	listening = rk_board_socket_open("test", NULL);
	ck_assert_int_ge(listening, 0);
	ck_assert(rk_absence_can_ask("test"));
	ck_assert_int_eq(rk_absence_ask("test", &a), -ETIMEDOUT); /* it stands still */
	guest = fork();
	if (guest == 0)
		_exit(rk_absence_ask("test", &a) == 0 && a.kind == RK_ABSENCE_REPLACED ? 0 : 1);
	while (waitpid(guest, &status, WNOHANG) == 0)
		rk_board_socket_show(listening, &about, NULL, 0);
	ck_assert_int_eq(status, 0);
	rk_close_p(&listening);
	rk_rundir_remove("test");
	rk_close_p(&lock);
	ck_assert_int_eq(rmdir(base), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("absence");

	tcase_add_loop_test(c, each_state_is_told_as_what_it_is, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(c, of_one_that_answers_nothing_is_said);
	tcase_add_test(c, a_keeper_that_is_stopped_is_told_though_the_supervisor_answers);
	tcase_add_test(c, the_longest_sentence_fits);
	tcase_add_test(c, keeper_is_asked_where_there_is_one);
	return unit_run(c);
}
