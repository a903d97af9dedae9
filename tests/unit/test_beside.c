/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Other files of the build are found from the running program's own folder, before those that are
 *         installed and those along PATH; what is nowhere is told with all three places.
 * Method  This program looks for itself, for a shell, and for what is not there.
 */
#include "base/beside.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char self[PATH_MAX], found[PATH_MAX];
static struct rk_err err;

static const char *own_name(void)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(n, 0);
	self[n] = '\0';
	return strrchr(self, '/') + 1;
}

START_TEST(what_is_beside_this_program_comes_first)
{
	const char *name = own_name();

	ck_assert_int_eq(setenv("PATH", "/bin:/usr/bin", 1), 0);
	ck_assert(rk_beside(found, name));
	ck_assert_str_eq(found, self);
	ck_assert_int_eq(rk_beside_find(found, name, "/bin/sh", &err), 0);
	ck_assert_str_eq(found, self);
}
END_TEST

START_TEST(then_what_is_installed_and_then_what_is_along_path)
{
	(void)own_name();
	ck_assert_int_eq(setenv("PATH", "/nonexistent::/bin", 1), 0);
	ck_assert_int_eq(rk_beside_find(found, "none/sh", "/bin/sh", &err), 0);
	ck_assert_str_eq(found, "/bin/sh");
	ck_assert_int_eq(rk_beside_find(found, "none/sh", "/nonexistent/sh", &err), 0);
	ck_assert_str_eq(found, "/bin/sh");
}
END_TEST

START_TEST(what_is_nowhere_is_told)
{
	ck_assert(!rk_beside(found, "no-such-file"));
	ck_assert(!rk_beside(found, "/no-such-file"));
	ck_assert(rk_beside(found, "/"));
	ck_assert_int_eq(unsetenv("PATH"), 0);
	ck_assert_int_eq(rk_beside_find(found, "a/no-such-program", "/b/no-such-program", &err), -ENOENT);
	ck_assert_str_eq(err.text, "cannot find no-such-program: it is neither beside this program, nor at "
				   "/b/no-such-program, nor along PATH: install rekindle again");
	ck_assert_int_eq(rk_beside_find(found, "a", "/etc/passwd", &err), -ENOENT); /* no program */
}
END_TEST

int main(void)
{
	TCase *c = unit_case("beside");

	tcase_add_test(c, what_is_beside_this_program_comes_first);
	tcase_add_test(c, then_what_is_installed_and_then_what_is_along_path);
	tcase_add_test(c, what_is_nowhere_is_told);
	return unit_run(c);
}
