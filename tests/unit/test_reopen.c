/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Behind keeper's end the unit's control group and all below it pass no controller on, and
 *         no group but a unit's is ever touched.
 * Method  A table for what is pure; directories that look like control groups, whose files show the
 *         last that was written. The order is the kernel's to insist on (tests/system/systemd.sh).
 */
#include "supervisor/reopen.h"

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "tests/unit/unit.h"

static const struct {
	const char *text, *unit; /* NULL: none */
} texts[] = {
	{ "0::/system.slice/x.slice/rekindle@demo.service/.control\n",
	  "/system.slice/x.slice/rekindle@demo.service" },
	{ "9:name=systemd:/a\n0::/u.service/.control", "/u.service" },
	{ "0::/system.slice/rekindle@demo.service\n", NULL }, /* systemd would have got in */
	{ "0::/system.slice/.control\n", NULL },
	{ "0::/.control\n", NULL },
	{ "0::/\n", NULL },
	{ "9:name=systemd:/u.service/.control\n", NULL },
	{ "", NULL },
	{ "nonsense", NULL },
};

START_TEST(a_units_group_is_told_from_its_control_processs)
{
	char unit[PATH_MAX] = "?";
	bool found = rk_reopen_unit(texts[_i].text, unit, sizeof(unit));

	ck_assert_int_eq(found, texts[_i].unit != NULL);
	if (found)
		ck_assert_str_eq(unit, texts[_i].unit);
}
END_TEST

START_TEST(a_path_that_does_not_fit_is_none)
{
	char unit[sizeof("/u.service")];

	ck_assert(rk_reopen_unit("0::/u.service/.control", unit, sizeof(unit)));
	ck_assert_str_eq(unit, "/u.service");
	ck_assert(!rk_reopen_unit("0::/u.service/.control", unit, sizeof(unit) - 1));
}
END_TEST

static const struct {
	const char *group, *passed_on, *last;
} tree[] = {
	{ ".", "memory pids\n", "-pids" },
	{ "own", "memory pids\n", "-pids" },
	{ "own/main", "\n", NULL },
	{ "own/fleet", "memory\n", "-memory" },
	{ "own/fleet/1", "", NULL },
	{ ".control", "cpu\n", NULL }, /* that is where we live */
};

static void file_of(const char *base, size_t i, char path[static 128])
{
	(void)snprintf(path, 128, "%s/%s/cgroup.subtree_control", base, tree[i].group);
}

START_TEST(controllers_are_taken_back_from_all_below_and_then_from_itself)
{
	char base[] = "/tmp/rkunit-XXXXXX", path[128], text[64];
	struct rk_err err = { 0 };
	int dir;

	ck_assert_ptr_nonnull(mkdtemp(base));
	for (size_t i = 0; i < rk_countof(tree); i++) {
		FILE *f;

		(void)snprintf(path, sizeof(path), "%s/%s", base, tree[i].group);
		ck_assert(i == 0 || mkdir(path, 0700) == 0);
		file_of(base, i, path);
		f = fopen(path, "we");
		ck_assert_ptr_nonnull(f);
		(void)fputs(tree[i].passed_on, f);
		ck_assert_int_eq(fclose(f), 0);
	}
	dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_msg(rk_reopen(dir, &err) == 0, "%s", err.text);
	rk_close_p(&dir);
	for (size_t i = rk_countof(tree); i-- > 0;) {
		FILE *f;
		size_t n;

		file_of(base, i, path);
		f = fopen(path, "re");
		ck_assert_ptr_nonnull(f);
		n = fread(text, 1, sizeof(text) - 1, f);
		(void)fclose(f);
		text[n] = '\0';
		if (tree[i].last) /* each write goes on behind the one before: the file is an ordinary one */
			ck_assert_msg(strstr(text, tree[i].last) != NULL, "%s: %s", tree[i].group, text);
		else
			ck_assert_str_eq(text, tree[i].passed_on);
		ck_assert_int_eq(unlink(path), 0);
		(void)snprintf(path, sizeof(path), "%s/%s", base, tree[i].group);
		ck_assert(i == 0 || rmdir(path) == 0);
	}
	ck_assert_int_eq(rmdir(base), 0);
}
END_TEST

START_TEST(a_group_without_the_file_is_nothing_to_do)
{
	char base[] = "/tmp/rkunit-XXXXXX";
	struct rk_err err = { 0 };
	int dir;

	ck_assert_ptr_nonnull(mkdtemp(base));
	dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(rk_reopen(dir, &err), 0);
	rk_close_p(&dir);
	ck_assert_int_eq(rmdir(base), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("reopen");

	tcase_add_loop_test(c, a_units_group_is_told_from_its_control_processs, 0, rk_countof(texts));
	tcase_add_test(c, a_path_that_does_not_fit_is_none);
	tcase_add_test(c, controllers_are_taken_back_from_all_below_and_then_from_itself);
	tcase_add_test(c, a_group_without_the_file_is_nothing_to_do);
	return unit_run(c);
}
