/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Whom a process has started, and they in turn, die with it, stopped ones too; nobody else
 *         does.
 * Method  A chain of real processes, each the next one's parent, that only pause; a pipe that all
 *         hold open ends when the last of them is gone.
 */
#include "supervisor/killer.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/unit.h"

#define WAIT_MS 20000 /* far more than it takes */
#define DEPTH 4

static struct rk_killer *killer;

static void setup(void)
{
	killer = calloc(1, sizeof(*killer));
	ck_assert_ptr_nonnull(killer);
	rk_observatory_init(&killer->observatory);
}

static void teardown(void)
{
	free(killer);
}

/* Starts the next one below it, tells that it is there, and pauses; the last but one stops. */
static void live(int told)
{
	int depth = DEPTH;
	pid_t pid = 0;

	while (depth > 1 && pid == 0) {
		pid = fork();
		depth -= pid == 0;
	}
	(void)!write(told, "x", 1);
	if (depth == 2)
		(void)raise(SIGSTOP);
	for (;;)
		(void)pause();
}

/* Returns the root; *ret_alive is readable (end of file) once all of the tree are gone. */
static pid_t tree_start(int *ret_alive)
{
	int told[2], n = 0;
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(told), 0);
	pid = fork();
	if (pid == 0)
		live(told[1]);
	(void)close(told[1]);
	/* All of them: who is born while others are killed may be nobody's child by then. */
	while (n < DEPTH && read(told[0], &byte, 1) == 1)
		n++;
	*ret_alive = told[0];
	return pid;
}

static bool is_over(int alive, int timeout_ms)
{
	struct pollfd p = { .fd = alive, .events = POLLIN };
	char bytes[64];

	while (poll(&p, 1, timeout_ms) == 1)
		if (read(alive, bytes, sizeof(bytes)) == 0)
			return true;
	return false;
}

START_TEST(the_whole_tree_goes_and_nothing_else)
{
	int alive, others;
	pid_t pid = tree_start(&alive), other = tree_start(&others);
	rk_cleanup(rk_close_p) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	ck_assert_uint_ge(rk_killer_kill(killer, pid, pidfd), 2);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(is_over(alive, WAIT_MS));
	ck_assert(!is_over(others, 0));
	rk_close_p(&pidfd);
	pidfd = (int)syscall(SYS_pidfd_open, other, 0);
	(void)rk_killer_kill(killer, other, pidfd);
	ck_assert_int_eq(waitpid(other, NULL, 0), other);
	ck_assert(is_over(others, WAIT_MS));
	(void)close(alive);
	(void)close(others);
}
END_TEST

START_TEST(one_that_has_started_nobody_goes_alone)
{
	pid_t pid = fork();
	rk_cleanup(rk_close_p) int pidfd = -1;
	int status;

	if (pid == 0)
		for (;;)
			(void)pause();
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	ck_assert_uint_eq(rk_killer_kill(killer, pid, pidfd), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ck_assert_uint_eq(rk_killer_kill(killer, pid, pidfd), 0); /* gone: nothing happens */
}
END_TEST

int main(void)
{
	TCase *c = unit_case("killer");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, the_whole_tree_goes_and_nothing_else);
	tcase_add_test(c, one_that_has_started_nobody_goes_alone);
	return unit_run(c);
}
