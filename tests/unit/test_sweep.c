/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The sweep behind a stop acts on units of ours alone, never on the root group, never on
 *         one that runs or returns; and of a group it kills everybody, also below it and stopped
 *         processes too, and nobody whose pid may have passed on.
 * Method  Tables for what is pure. For the killing real processes, and directories that look like
 *         control groups. Real ones are swept in tests/system/systemd.sh.
 */
#include "supervisor/sweep.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "tests/unit/unit.h"

#define WAIT_NS (20 * RK_NS_PER_S) /* far more than it takes */

/* ---- what is to be done ---- */

static const struct {
	const char *active, *job;
	uint32_t n_stored;
	enum rk_sweep_verdict verdict;
} cases[] = {
	{ "inactive", "", 0, RK_SWEEP_END },
	{ "failed", "", 0, RK_SWEEP_END },
	{ "failed", "", 9, RK_SWEEP_END },
	{ "inactive", "stop", 9, RK_SWEEP_END },
	{ "failed", "nop", 9, RK_SWEEP_END },
	{ "inactive", "verify-active", 9, RK_SWEEP_END },
	{ "inactive", "start", 9, RK_SWEEP_RETURNS }, /* a restart's second half */
	{ "inactive", "start", 0, RK_SWEEP_END },     /* behind a stop */
	{ "failed", "restart", 1, RK_SWEEP_RETURNS },
	{ "failed", "restart", 0, RK_SWEEP_END },
	{ "inactive", "try-restart", 9, RK_SWEEP_RETURNS },
	{ "inactive", "reload-or-start", 9, RK_SWEEP_RETURNS },
	{ "active", "restart", 9, RK_SWEEP_RUNS },
	{ "activating", "start", 0, RK_SWEEP_RUNS },
	{ "active", "", 9, RK_SWEEP_RUNS },
	{ "active", "stop", 0, RK_SWEEP_RUNS }, /* it ends its workers itself */
	{ "reloading", "", 0, RK_SWEEP_RUNS },
	{ "activating", "", 9, RK_SWEEP_RUNS }, /* waits for its automatic restart */
	{ "deactivating", "stop", 0, RK_SWEEP_RUNS },
	{ "maintenance", "", 0, RK_SWEEP_RUNS },
	{ "", "", 0, RK_SWEEP_RUNS },
};

START_TEST(a_dead_unit_that_does_not_return_is_swept_and_no_other)
{
	struct rk_sweep_unit u = { .n_stored = cases[_i].n_stored };

	strcpy(u.active, cases[_i].active);
	strcpy(u.job, cases[_i].job);
	ck_assert_msg(rk_sweep_judge(&u) == cases[_i].verdict, "%s, job %s: %d", u.active, u.job,
		      rk_sweep_judge(&u));
}
END_TEST

static const struct {
	const char *unit, *name; /* NULL: refused */
} units[] = {
	{ "rekindle@demo.service", "demo" },
	{ "rekindle@a-b@c.d.service", "a-b@c.d" },
	{ "/", NULL },
	{ "", NULL },
	{ "-.slice", NULL },
	{ "init.scope", NULL },
	{ "demo", NULL },
	{ "rekindle@.service", NULL },
	{ "rekindle@demo.socket", NULL },
	{ "rekindle@a/b.service", NULL },
	{ "rekindle@..service", NULL },
	{ "rekindle@../x.service", NULL },
	{ "rekindle-sweep@demo.service", NULL },
	{ "rekindle@a b.service", NULL },
	{ "rekindle@1234567890123456789012345678901234567890123456789012345678901234.service", NULL },
};

START_TEST(units_of_ours_alone_are_taken)
{
	char name[RK_NAME_MAX] = "?";
	struct rk_err err = { 0 };
	int r = rk_sweep_name(units[_i].unit, name, &err);

	if (units[_i].name) {
		ck_assert_int_eq(r, 0);
		ck_assert_str_eq(name, units[_i].name);
	} else {
		ck_assert_int_eq(r, -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "rekindle@NAME.service"));
	}
}
END_TEST

static const struct {
	const char *manager, *slice, *unit, *group; /* NULL: refused */
} groups[] = {
	{ "", "system-rekindle.slice", "rekindle@d.service",
	  "/system.slice/system-rekindle.slice/rekindle@d.service" },
	{ "/", "system.slice", "u.service", "/system.slice/u.service" },
	{ "", "-.slice", "u.service", "/u.service" },
	{ "/machine.slice/x", "a-b-c.slice", "u.service",
	  "/machine.slice/x/a.slice/a-b.slice/a-b-c.slice/u.service" },
	{ "", "system-re\\x2dkindle.slice", "u.service",
	  "/system.slice/system-re\\x2dkindle.slice/u.service" },
	{ "", "-.slice", "", NULL },
	{ "", "-.slice", ".", NULL },
	{ "", "-.slice", "..", NULL },
	{ "", "-.slice", "/", NULL },
	{ "", "-.slice", "../u.service", NULL },
	{ "", "../x.slice", "u.service", NULL },
	{ "", ".slice", "u.service", NULL },
	{ "", "", "u.service", NULL },
	{ "", "system", "u.service", NULL },
};

START_TEST(a_units_group_is_below_its_slices_and_never_the_root)
{
	char group[PATH_MAX];
	struct rk_err err;
	int r = rk_sweep_group(groups[_i].manager, groups[_i].slice, groups[_i].unit, group, &err);

	if (groups[_i].group) {
		ck_assert_int_eq(r, 0);
		ck_assert_str_eq(group, groups[_i].group);
	} else {
		ck_assert_int_eq(r, -EINVAL);
	}
}
END_TEST

START_TEST(a_group_with_too_long_a_path_is_refused)
{
	static char manager[PATH_MAX + 10];
	char group[PATH_MAX];
	struct rk_err err;

	memset(manager, 'x', sizeof(manager) - 1);
	manager[0] = '/';
	ck_assert_int_eq(rk_sweep_group(manager, "s.slice", "u.service", group, &err),
			 -ENAMETOOLONG);
	manager[PATH_MAX - 12] = '\0';
	ck_assert_int_eq(rk_sweep_group(manager, "s.slice", "u.service", group, &err),
			 -ENAMETOOLONG);
	manager[PATH_MAX - 1 - strlen("/s.slice/u.service")] = '\0';
	ck_assert_int_eq(rk_sweep_group(manager, "s.slice", "u.service", group, &err), 0);
	ck_assert_uint_eq(strlen(group), PATH_MAX - 1);
}
END_TEST

START_TEST(who_is_inside_a_group_is_told_from_its_own_list)
{
	const char *v2 = "0::/a/u.service\n";
	const char *v1 = "9:name=systemd:/a/u.service/below\n8:pids:/\n0::/\n";

	ck_assert(rk_sweep_is_inside(v2, "/a/u.service"));
	ck_assert(rk_sweep_is_inside(v1, "/a/u.service"));
	ck_assert(rk_sweep_is_inside("0::/a/u.service", "/a/u.service"));
	ck_assert(!rk_sweep_is_inside(v2, "/a/u.servic"));
	ck_assert(!rk_sweep_is_inside(v2, "/a/u.service/below"));
	ck_assert(!rk_sweep_is_inside("0::/\n", "/a"));
	ck_assert(!rk_sweep_is_inside("", "/a"));
	ck_assert(!rk_sweep_is_inside("nonsense\n\n:\n", "/a"));
}
END_TEST

/* ---- killing ---- */

static char base[64];
static pid_t child[3];

/* Each only pauses; the second one is stopped. */
static void setup(void)
{
	strcpy(base, "/tmp/rkunit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	for (size_t i = 0; i < rk_countof(child); i++) {
		child[i] = fork();
		ck_assert_int_ge(child[i], 0);
		while (child[i] == 0)
			(void)pause();
	}
	ck_assert_int_eq(kill(child[1], SIGSTOP), 0);
}

static void teardown(void)
{
	for (size_t i = 0; i < rk_countof(child); i++)
		if (kill(child[i], SIGKILL) == 0)
			(void)waitpid(child[i], NULL, 0);
	ck_assert_int_eq(rmdir(base), 0);
}

static void path_of(const char *file, char path[static 128])
{
	(void)snprintf(path, 128, "%s/%s", base, file);
}

/* A group's list as a file. */
static void list_write(const char *file, const char *text)
{
	char path[128];
	FILE *f;

	path_of(file, path);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	(void)fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

static void file_remove(const char *file)
{
	char path[128];

	path_of(file, path);
	ck_assert_int_eq(remove(path), 0);
}

static int sweep(uint64_t deadline_ns, uint32_t *n, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(dir, 0);
	return rk_sweep_kill(dir, deadline_ns, n, err);
}

/* Waits for its end: SIGKILL. */
static void expect_killed(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

START_TEST(everybody_in_the_tree_is_killed_and_waited_for)
{
	char text[64], path[128];
	struct rk_err err = { 0 };
	uint32_t n = 0;

	path_of("below", path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	path_of("below/deeper", path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	(void)snprintf(text, sizeof(text), "%d\n0\n%d\n", child[0], 0x3fffff); /* nobody has that */
	list_write("cgroup.procs", text);
	list_write("below/cgroup.procs", "");
	(void)snprintf(text, sizeof(text), "%d\n", child[1]);
	list_write("below/deeper/cgroup.procs", text);

	ck_assert_msg(sweep(rk_clock_ns() + WAIT_NS, &n, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(n, 2);
	expect_killed(child[0]); /* unreaped so far: in a real group they would be listed no more */
	expect_killed(child[1]);
	ck_assert_int_eq(kill(child[2], 0), 0);
	ck_assert_int_eq(waitpid(child[2], NULL, WNOHANG), 0);

	file_remove("below/deeper/cgroup.procs");
	file_remove("below/deeper");
	file_remove("below/cgroup.procs");
	file_remove("below");
	file_remove("cgroup.procs");
}
END_TEST

/* Puts another list in the place of the one that is being read, then lets the reading end. */
static pid_t list_replace(const char *path, const char *text)
{
	pid_t pid = fork();

	if (pid == 0) {
		rk_cleanup(rk_close_p) int fd = open(path, O_WRONLY | O_CLOEXEC);
		char next[128];

		list_write("next", "");
		path_of("next", next);
		if (fd < 0 || rename(next, path) < 0)
			_exit(1);
		_exit(rk_write_all(fd, text, strlen(text)) == 0 ? 0 : 1);
	}
	return pid;
}

START_TEST(whose_pid_may_be_another_processs_by_now_is_spared)
{
	char text[64], path[128];
	struct rk_err err = { 0 };
	int status = -1;
	uint32_t n = 0;
	pid_t writer;

	path_of("cgroup.procs", path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	(void)snprintf(text, sizeof(text), "%d\n", child[0]);
	writer = list_replace(path, text);
	ck_assert_int_eq(sweep(rk_clock_ns() + WAIT_NS, &n, &err), 0);
	ck_assert_int_eq(waitpid(writer, &status, 0), writer);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(waitpid(child[0], NULL, WNOHANG), 0);
	file_remove("cgroup.procs");
}
END_TEST

START_TEST(who_does_not_die_in_time_is_told)
{
	struct rk_err err = { 0 };
	uint32_t n = 0;
	char text[64];

	(void)snprintf(text, sizeof(text), "%d\n", child[0]);
	list_write("cgroup.procs", text);
	ck_assert_int_eq(sweep(rk_clock_ns(), &n, &err), -ETIME);
	ck_assert_ptr_nonnull(strstr(err.text, "do not die"));
	expect_killed(child[0]);
	file_remove("cgroup.procs");
}
END_TEST

START_TEST(an_empty_group_and_none_are_nothing_to_do)
{
	struct rk_err err = { 0 };
	uint32_t n = 0;

	ck_assert_int_eq(sweep(rk_clock_ns(), &n, &err), 0);
	list_write("cgroup.procs", "");
	ck_assert_int_eq(sweep(rk_clock_ns(), &n, &err), 0);
	ck_assert_uint_eq(n, 0);
	file_remove("cgroup.procs");
}
END_TEST

int main(void)
{
	TCase *c = unit_case("sweep");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, a_dead_unit_that_does_not_return_is_swept_and_no_other, 0,
			    rk_countof(cases));
	tcase_add_loop_test(c, units_of_ours_alone_are_taken, 0, rk_countof(units));
	tcase_add_loop_test(c, a_units_group_is_below_its_slices_and_never_the_root, 0,
			    rk_countof(groups));
	tcase_add_test(c, a_group_with_too_long_a_path_is_refused);
	tcase_add_test(c, who_is_inside_a_group_is_told_from_its_own_list);
	tcase_add_test(c, everybody_in_the_tree_is_killed_and_waited_for);
	tcase_add_test(c, whose_pid_may_be_another_processs_by_now_is_spared);
	tcase_add_test(c, who_does_not_die_in_time_is_told);
	tcase_add_test(c, an_empty_group_and_none_are_nothing_to_do);
	return unit_run(c);
}
