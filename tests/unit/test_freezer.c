/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What a cgroup file may say leads to no wrong answer: without a freezer nobody is frozen.
 *         (That a frozen worker is found, tests/system/test_detection shows where cgroups may be
 * made.) Method  Texts of /proc/PID/cgroup, our own among them.
 */
#include "supervisor/freezer.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "tests/unit/unit.h"

static const char *const texts[] = {
	"",
	"\n",
	"0::/no/such/cgroup\n",
	"6:freezer:/no/such\n0::/no/such\n",
	"6:cpu,freezer,memory:/no/such",
	"garbage\nwithout: colons\n:::\n0::relative\n",
	"0::/a\n0::/b\n0::/c",
};

START_TEST(without_a_freezer_nobody_is_frozen)
{
	struct rk_freezer f = RK_FREEZER_NONE;

	rk_freezer_follow(&f, texts[_i]);
	ck_assert(!rk_freezer_is_frozen(&f));
	rk_freezer_close(&f);
	rk_freezer_close(&f);
}
END_TEST

START_TEST(we_are_not_frozen_and_following_again_leaks_nothing)
{
	struct rk_freezer f = RK_FREEZER_NONE;
	int before = dup(0), after, fd = open("/proc/self/cgroup", O_RDONLY);
	char text[4096];
	ssize_t n = read(fd, text, sizeof(text) - 1);

	(void)close(fd);
	(void)close(before);
	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	for (int i = 0; i < 100; i++)
		rk_freezer_follow(&f, text);
	ck_assert(!rk_freezer_is_frozen(&f));
	rk_freezer_close(&f);
	after = dup(0);
	ck_assert_int_eq(after, before);
}
END_TEST

START_TEST(a_path_too_long_is_no_freezer)
{
	struct rk_freezer f = RK_FREEZER_NONE;
	char text[2048] = "0::/";

	memset(text + 4, 'a', sizeof(text) - 5);
	text[sizeof(text) - 1] = '\0';
	rk_freezer_follow(&f, text);
	ck_assert(!rk_freezer_is_frozen(&f));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("freezer");

	tcase_add_loop_test(c, without_a_freezer_nobody_is_frozen, 0, (int)rk_countof(texts));
	tcase_add_test(c, we_are_not_frozen_and_following_again_leaks_nothing);
	tcase_add_test(c, a_path_too_long_is_no_freezer);
	return unit_run(c);
}
