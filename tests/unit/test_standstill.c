/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Who is stopped is named with the way on, whoever of the two it is; nobody, where all is well.
 * Method  The sentences; and a listener that is a real child, before and behind SIGSTOP.
 */
#include "workers/lib/standstill.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shm/board_socket.h"
#include "shm/rundir.h"
#include "tests/unit/unit.h"

START_TEST(each_is_named_with_the_way_on)
{
	char text[RK_STANDSTILL_TEXT];

	ck_assert_str_eq(rk_standstill_text(text, &(struct rk_standstill){ 0 }), "");
	ck_assert_str_eq(rk_standstill_text(text, &(struct rk_standstill){ .keeper = 5 }),
			 "keeper (pid 5) is stopped: 'kill -CONT 5' lets it go on");
	ck_assert_str_eq(rk_standstill_text(text, &(struct rk_standstill){ .supervisor = 6 }),
			 "the supervisor (pid 6) is stopped: 'kill -CONT 6' lets it go on");
	ck_assert_str_eq(rk_standstill_text(text, &(struct rk_standstill){ .keeper = 5, .supervisor = 6 }),
			 "keeper (pid 5) and the supervisor (pid 6) are stopped: 'kill -CONT 5 6' lets them go on");
	(void)rk_standstill_text(text, &(struct rk_standstill){ .keeper = 4194304, .supervisor = 4194304 });
	ck_assert_ptr_nonnull(strstr(text, "lets them go on"));
}
END_TEST

/* Shows boards, as keeper does, and never accepts anybody. */
static pid_t keeper_start(void)
{
	int ready[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		byte = rk_board_socket_open("test", NULL) >= 0;
		(void)!write(ready[1], &byte, 1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 1);
	(void)close(ready[0]);
	(void)close(ready[1]);
	return pid;
}

START_TEST(a_keeper_that_is_stopped_is_found_by_its_socket)
{
	char base[] = "/tmp/rkunit-XXXXXX";
	int lock, status;
	pid_t keeper;

	ck_assert_ptr_nonnull(mkdtemp(base));
	ck_assert_int_eq(setenv("REKINDLE_RUNTIME_DIR", base, 1), 0);
	lock = rk_rundir_lock("test", NULL);
	ck_assert_int_ge(lock, 0);
	ck_assert_int_eq(rk_standstill_look("test", -1).keeper, 0);
	keeper = keeper_start();
	ck_assert_int_eq(rk_standstill_look("test", -1).keeper, 0);
	ck_assert_int_eq(kill(keeper, SIGSTOP), 0);
	ck_assert_int_eq(waitpid(keeper, &status, WUNTRACED), keeper);
	ck_assert_int_eq(rk_standstill_look("test", -1).keeper, keeper);
	ck_assert_int_eq(rk_standstill_look(NULL, -1).keeper, 0);
	ck_assert_int_eq(kill(keeper, SIGKILL), 0);
	ck_assert_int_eq(waitpid(keeper, &status, 0), keeper);
	ck_assert_int_eq(rk_standstill_look("test", -1).keeper, 0);
	rk_rundir_remove("test");
	rk_close_p(&lock);
	ck_assert_int_eq(rmdir(base), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("standstill");

	tcase_add_test(c, each_is_named_with_the_way_on);
	tcase_add_test(c, a_keeper_that_is_stopped_is_found_by_its_socket);
	return unit_run(c);
}
