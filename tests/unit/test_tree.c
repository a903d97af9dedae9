/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A tree is everything below a process and nothing else, whatever a torn pass over /proc
 *         holds; a pass young enough is not repeated.
 * Method  Hand-made tables; then this machine's own processes.
 */
#include "supervisor/tree.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/unit.h"

static struct rk_tree tree; /* one test per process */

static void grow(int32_t pid, int32_t parent)
{
	tree.pid[tree.n] = pid;
	tree.parent[tree.n++] = parent;
}

START_TEST(all_descendants_are_found_nearest_first)
{
	int32_t pid[8];
	bool cut;

	grow(30, 20);
	grow(20, 10);
	grow(21, 10);
	grow(10, 1);
	grow(99, 1);
	ck_assert_uint_eq(rk_tree_below(&tree, 10, pid, 8, &cut), 3);
	ck_assert(pid[0] == 20 && pid[1] == 21 && pid[2] == 30);
	ck_assert(!cut);
	ck_assert_uint_eq(rk_tree_below(&tree, 99, pid, 8, &cut), 0);
	ck_assert_uint_eq(rk_tree_below(&tree, 10, pid, 2, &cut), 2);
	ck_assert(cut);
}
END_TEST

START_TEST(a_circle_ends)
{
	int32_t pid[8];
	bool cut;

	grow(10, 20);
	grow(20, 10);
	ck_assert_uint_le(rk_tree_below(&tree, 10, pid, 8, &cut), 8);
	tree.n = 0;
	grow(10, 10);
	ck_assert_uint_le(rk_tree_below(&tree, 10, pid, 8, &cut), 8);
}
END_TEST

START_TEST(a_grandchild_is_found_on_this_machine)
{
	int32_t found[8];
	int ready[2];
	pid_t child, grandchild;
	bool cut;

	ck_assert_int_eq(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		pid_t below = fork();

		if (below == 0)
			for (;;)
				(void)pause();
		if (write(ready[1], &below, sizeof(below)) != sizeof(below))
			_exit(1);
		for (;;)
			(void)pause();
	}
	ck_assert_int_eq(read(ready[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
	ck_assert_int_eq(rk_tree_refresh(&tree, rk_clock_ns(), 0), 0);
	ck_assert_uint_eq(rk_tree_below(&tree, getpid(), found, 8, &cut), 2);
	ck_assert(found[0] == child && found[1] == grandchild);
	(void)kill(grandchild, SIGKILL);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}
END_TEST

START_TEST(a_young_pass_is_not_repeated)
{
	ck_assert_int_eq(rk_tree_refresh(&tree, 1000, 50), 0);
	tree.n = 0;
	ck_assert_int_eq(rk_tree_refresh(&tree, 1050, 50), 0);
	ck_assert_uint_eq(tree.n, 0);
	ck_assert_int_eq(rk_tree_refresh(&tree, 1051, 50), 0);
	ck_assert_uint_gt(tree.n, 0);
}
END_TEST

static bool count(void *arg, int32_t number)
{
	(void)number;
	return ++*(int *)arg < 3;
}

START_TEST(numbers_end_when_told_and_begin_anew)
{
	int fd = open("/proc", O_RDONLY | O_DIRECTORY), n = 0;

	for (int i = 0; i < 2; i++) {
		n = 0;
		ck_assert_int_eq(rk_tree_numbers(fd, count, &n), 0);
		ck_assert_int_ge(n, 2); /* /proc has 1 and us */
		ck_assert_int_le(n, 3);
	}
	(void)close(fd);
	ck_assert_int_lt(rk_tree_numbers(fd, count, &n), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("tree");

	tcase_add_test(c, all_descendants_are_found_nearest_first);
	tcase_add_test(c, a_circle_ends);
	tcase_add_test(c, a_grandchild_is_found_on_this_machine);
	tcase_add_test(c, a_young_pass_is_not_repeated);
	tcase_add_test(c, numbers_end_when_told_and_begin_anew);
	return unit_run(c);
}
