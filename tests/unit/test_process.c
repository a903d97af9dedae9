/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A process's state is the kernel's word, whatever its name, and of none it is 'X'.
 * Method  Children that sleep, stop and end.
 */
#include "base/process.h"

#include <check.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

START_TEST(a_stopped_process_is_known_whatever_its_name)
{
	siginfo_t si;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)prctl(PR_SET_NAME, "a) T (b");
		(void)raise(SIGSTOP);
		for (;;)
			(void)pause();
	}
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &si, WSTOPPED | WNOWAIT), 0);
	ck_assert_int_eq(rk_process_state(pid), 'T');
	ck_assert(rk_process_is_stopped(pid));
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &si, WCONTINUED), 0);
	ck_assert(!rk_process_is_stopped(pid));
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(rk_process_state(pid), 'Z');
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(a_process_that_is_not_there_is_gone)
{
	ck_assert_int_eq(rk_process_state(INT_MAX), 'X');
	ck_assert(!rk_process_is_stopped(INT_MAX));
	ck_assert_int_eq(rk_process_state(getpid()), 'R');
}
END_TEST

int main(void)
{
	TCase *c = unit_case("process");

	tcase_add_test(c, a_stopped_process_is_known_whatever_its_name);
	tcase_add_test(c, a_process_that_is_not_there_is_gone);
	return unit_run(c);
}
