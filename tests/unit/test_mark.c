/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A process says by its environment or by a limit whose tree it is of: this fleet's slot, another one's, nobody's;
 *         whoever sets up a tree that has a bound already leaves that alone.
 * Method  Texts as /proc has them; then real processes.
 */
#include "supervisor/mark.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "tests/unit/unit.h"

static const uint64_t here[2] = { 0x1234, 0xfedcba9876543210u }, there[2] = { 0x1234, 0xfedcba9876543211u };

START_TEST(a_variable_says_fleet_and_slot)
{
	static const uint32_t slots[] = { 0, 1, 17, RK_MARK_SLOTS - 1 };
	const struct rk_mark ours = rk_mark_of(here), theirs = rk_mark_of(there);
	char text[RK_MARK_TEXT];
	uint32_t slot = 99;

	for (size_t i = 0; i < rk_countof(slots); i++) {
		size_t len = strlen(rk_mark_variable(&ours, slots[i], text)) + 1;

		ck_assert_int_eq(rk_mark_by_environment(&ours, text, len, &slot), RK_MARK_OURS);
		ck_assert_uint_eq(slot, slots[i]);
		ck_assert_int_eq(rk_mark_by_environment(&theirs, text, len, &slot), RK_MARK_OTHER);
		ck_assert_int_eq(rk_mark_by_environment(&ours, text, len - 1, &slot), RK_MARK_NOBODY); /* cut off */
	}
	ck_assert_uint_lt(strlen(text), RK_MARK_TEXT - 1); /* the longest was not cut */
	(void)rk_mark_variable(&ours, UINT32_MAX, text);
	ck_assert_int_eq(rk_mark_by_environment(&ours, text, strlen(text) + 1, &slot), RK_MARK_OTHER);
}
END_TEST

START_TEST(it_is_found_among_others_and_nothing_else_is_taken_for_it)
{
	const struct rk_mark ours = rk_mark_of(here);
	char text[512], variable[RK_MARK_TEXT];
	uint32_t slot = 99;
	int n = snprintf(text, sizeof(text), "A=b%cXREKINDLE_TREE=1.2%c%s%cZ=", 0, 0, rk_mark_variable(&ours, 3, variable), 0);

	ck_assert_int_eq(rk_mark_by_environment(&ours, text, (size_t)n + 1, &slot), RK_MARK_OURS);
	ck_assert_uint_eq(slot, 3);
	ck_assert_int_eq(rk_mark_by_environment(&ours, text, 24, &slot), RK_MARK_NOBODY);
	ck_assert_int_eq(rk_mark_by_environment(&ours, text, 0, &slot), RK_MARK_NOBODY);
	n = snprintf(text, sizeof(text), "%sx", variable);
	ck_assert_int_eq(rk_mark_by_environment(&ours, text, (size_t)n + 1, &slot), RK_MARK_OTHER);
}
END_TEST

START_TEST(a_limit_says_the_same_and_bounds_nothing)
{
	const struct rk_mark ours = rk_mark_of(here), theirs = rk_mark_of(there);
	uint32_t slot = 99;

	ck_assert_int_eq(rk_mark_by_limit(&ours, rk_mark_limit(&ours, 4094), &slot), RK_MARK_OURS);
	ck_assert_uint_eq(slot, 4094);
	ck_assert_int_eq(rk_mark_by_limit(&theirs, rk_mark_limit(&ours, 4094), &slot), RK_MARK_OTHER);
	ck_assert_int_eq(rk_mark_by_limit(&ours, rk_mark_limit(&ours, RK_MARK_SLOTS), &slot), RK_MARK_OTHER);
	ck_assert_int_eq(rk_mark_by_limit(&ours, RLIM_INFINITY, &slot), RK_MARK_NOBODY);
	ck_assert_int_eq(rk_mark_by_limit(&ours, 200000, &slot), RK_MARK_NOBODY);
	ck_assert_uint_gt(rk_mark_limit(&ours, 0), UINT64_C(1000000) * 86400 * 365 * 100000); /* µs */
}
END_TEST

/* A child that takes a limit on and waits. */
static pid_t child(uint64_t bound, uint64_t mark)
{
	int told[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(told), 0);
	pid = fork();
	if (pid == 0) {
		if (bound)
			(void)setrlimit(RLIMIT_RTTIME, &(struct rlimit){ bound, bound });
		rk_mark_give(mark);
		(void)!write(told[1], "x", 1);
		for (;;)
			(void)pause();
	}
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	(void)close(told[0]);
	(void)close(told[1]);
	return pid;
}

static void end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(a_process_is_known_by_its_limit_and_a_bound_is_left_alone)
{
	const struct rk_mark ours = rk_mark_of(here);
	pid_t marked = child(0, rk_mark_limit(&ours, 7)), bound = child(12345678, rk_mark_limit(&ours, 7));
	uint32_t slot = 99;
	char limits[4096];

	ck_assert_int_eq(rk_mark_look(&ours, marked, &slot), RK_MARK_OURS);
	ck_assert_uint_eq(slot, 7);
	ck_assert_int_eq(rk_mark_look(&ours, bound, &slot), RK_MARK_NOBODY);
	(void)rk_process_read(bound, "limits", limits, sizeof(limits));
	ck_assert_uint_eq(rk_mark_parse_limits(limits), 12345678);
	end(marked);
	end(bound);
	ck_assert_int_eq(rk_mark_look(&ours, marked, &slot), RK_MARK_NOBODY);
	ck_assert_uint_eq(rk_mark_parse_limits(""), RLIM_INFINITY);
	ck_assert_uint_eq(rk_mark_parse_limits("Max realtime timeout      unlimited            unlimited            us\n"),
			  RLIM_INFINITY);
}
END_TEST

/* The variable behind more than is read at once. */
START_TEST(a_large_environment_is_read_to_its_end)
{
	static char filler[3][9000], variable[RK_MARK_TEXT];
	const struct rk_mark ours = rk_mark_of(here);
	char *env[] = { filler[0], filler[1], filler[2], variable, NULL };
	uint32_t slot = 99;
	int told[2];
	char byte;
	pid_t pid;

	for (size_t i = 0; i < rk_countof(filler); i++) {
		memset(filler[i], 'a' + (int)i, sizeof(filler[i]) - 1);
		filler[i][1] = '=';
	}
	(void)rk_mark_variable(&ours, 5, variable);
	ck_assert_int_eq(pipe(told), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(told[1], STDOUT_FILENO);
		(void)execle("/bin/sh", "sh", "-c", "echo; kill -STOP $$", (char *)NULL, env);
		_exit(127);
	}
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	ck_assert_int_eq(rk_mark_look(&ours, pid, &slot), RK_MARK_OURS);
	ck_assert_uint_eq(slot, 5);
	end(pid);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("mark");

	tcase_add_test(c, a_variable_says_fleet_and_slot);
	tcase_add_test(c, it_is_found_among_others_and_nothing_else_is_taken_for_it);
	tcase_add_test(c, a_limit_says_the_same_and_bounds_nothing);
	tcase_add_test(c, a_process_is_known_by_its_limit_and_a_bound_is_left_alone);
	tcase_add_test(c, a_large_environment_is_read_to_its_end);
	return unit_run(c);
}
