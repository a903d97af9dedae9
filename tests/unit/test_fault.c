/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A kill point kills or stops at the time it was told, a break breaks only what it
 *         names, and the environment's text is understood or refused whole.
 * Method  Children arm themselves and walk over points.
 */
#include "shm/fault.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "tests/unit/unit.h"

START_TEST(names_are_unique_and_none_stands_outside_the_list)
{
	for (int i = 0; i < RK_KILL_POINT_COUNT; i++) {
		ck_assert_uint_gt(strlen(rk_kill_point_what((enum rk_kill_point)i)), 10);
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(rk_kill_point_name((enum rk_kill_point)i),
					 rk_kill_point_name((enum rk_kill_point)k));
	}
	ck_assert_str_eq(rk_kill_point_name(RK_KILL_POINT_COUNT), "?");
	ck_assert_str_eq(rk_kill_point_what(RK_KILL_POINT_COUNT), "?");
	ck_assert_str_eq(rk_break_name(RK_BREAK_NONE), "NONE");
	ck_assert_str_eq(rk_break_name(RK_BREAK_COUNT), "?");
	ck_assert_str_eq(rk_break_what(RK_BREAK_COUNT), "?");
}
END_TEST

#ifdef RK_FAULT_POINTS

/* How a child that does this ends. */
static int status_of(void (*what)(void))
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		what();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	if (WIFSTOPPED(status)) {
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	}
	return status;
}

static void third_time(void)
{
	rk_fault_arm(RK_KP_OWNER_RAN, 3, SIGKILL);
	for (int i = 0; i < 2; i++) {
		RK_KILL_POINT(OWNER_RAN);
		RK_KILL_POINT(OWNER_TAKEN);
	}
	if (rk_fault_count(RK_KP_OWNER_RAN) != 2 || rk_fault_count(RK_KP_OWNER_TAKEN) != 2)
		_exit(1);
	RK_KILL_POINT(OWNER_TAKEN);
	RK_KILL_POINT(OWNER_RAN);
	_exit(2);
}

static void stop_there(void)
{
	rk_fault_arm(RK_KP_OWNER_RAN, 1, SIGSTOP);
	RK_KILL_POINT(OWNER_RAN);
}

static void disarmed(void)
{
	rk_fault_arm(RK_KP_OWNER_RAN, 0, SIGKILL);
	rk_fault_arm_random(0, 1);
	for (int i = 0; i < 1000; i++)
		RK_KILL_POINT(OWNER_RAN);
}

static void at_random(void)
{
	rk_fault_arm_random(50, 7);
	for (int i = 0; i < 1000; i++)
		RK_KILL_POINT(OWNER_RAN);
}

START_TEST(an_armed_point_ends_or_stops_its_process_at_that_time)
{
	int status = status_of(third_time);

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", status);
	ck_assert(WIFSTOPPED(status_of(stop_there)));
	ck_assert_int_eq(status_of(disarmed), 0);
	status = status_of(at_random);
	ck_assert_msg(WIFSIGNALED(status) || WIFSTOPPED(status), "status %x", status);
}
END_TEST

START_TEST(a_break_breaks_what_it_names_alone)
{
	ck_assert(!rk_broken(DEDUP));
	rk_fault_break(RK_BREAK_DEDUP);
	ck_assert(rk_broken(DEDUP));
	ck_assert(!rk_broken(UNDO));
	rk_fault_break(RK_BREAK_NONE);
	ck_assert(!rk_broken(DEDUP));
}
END_TEST

static const struct {
	const char *break_text, *fault_text;
	int result;
} texts[] = {
	{ NULL, NULL, 0 },	      { "DEDUP", NULL, 0 },	  { "NONE", NULL, 0 },
	{ "dedup", NULL, -EINVAL },   { "", NULL, -EINVAL },	  { "DEDUPX", NULL, -EINVAL },
	{ NULL, "1000000:7", 0 },     { NULL, "1000000", 0 },	  { NULL, "0:1", 0 },
	{ NULL, "x", -EINVAL },	      { NULL, "5x", -EINVAL },	  { NULL, "5:x", -EINVAL },
	{ NULL, "5:1:2", -EINVAL },   { NULL, "1000000001", -EINVAL },
	{ NULL, "99999999999999999999:1", -EINVAL },
};

START_TEST(the_environment_is_understood_or_refused)
{
	if (texts[_i].break_text)
		ck_assert_int_eq(setenv("REKINDLE_BREAK", texts[_i].break_text, 1), 0);
	if (texts[_i].fault_text)
		ck_assert_int_eq(setenv("REKINDLE_FAULT", texts[_i].fault_text, 1), 0);
	ck_assert_int_eq(rk_fault_from_environment(), texts[_i].result);
	rk_fault_arm_random(0, 0);
}
END_TEST

#endif

int main(void)
{
	TCase *c = unit_case("fault");

	tcase_add_test(c, names_are_unique_and_none_stands_outside_the_list);
#ifdef RK_FAULT_POINTS
	tcase_add_test(c, an_armed_point_ends_or_stops_its_process_at_that_time);
	tcase_add_test(c, a_break_breaks_what_it_names_alone);
	tcase_add_loop_test(c, the_environment_is_understood_or_refused, 0, rk_countof(texts));
#endif
	return unit_run(c);
}
