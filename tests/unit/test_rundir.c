/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A fleet's name and directory are what the header says: odd names refused, one lock
 *         per name, a stale directory taken over, the running fleets listed and chosen from,
 *         and a look at the list never in the way of a start.
 * Method  A temporary directory in $REKINDLE_RUNTIME_DIR; locks are held by this process, each
 *         through a descriptor of its own.
 */
#include "shm/rundir.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "tests/unit/unit.h"

static char base[64];

static void enter(void)
{
	strcpy(base, "/tmp/rkunit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	ck_assert_int_eq(setenv("REKINDLE_RUNTIME_DIR", base, 1), 0);
	ck_assert_int_eq(unsetenv("REKINDLE_NAME"), 0);
}

/* Every test removes what it made. */
static void leave(void)
{
	ck_assert_msg(rmdir(base) == 0 || errno == ENOENT, "%s: %s", base, strerror(errno));
}

static int lock(const char *name)
{
	struct rk_err err = { 0 };
	int fd = rk_rundir_lock(name, &err);

	ck_assert_msg(fd >= 0, "%s", err.text);
	return fd;
}

static void give_up(const char *name, int *fd)
{
	rk_rundir_remove(name);
	rk_close_p(fd);
}

/* ---- names ---- */

static const char *const good[] = {
	"a", "A9", "carts", "gateway-3", "x@host.example", "-dash", "_", "a.b..c",
	"123456789012345678901234567890123456789012345678901234567890123", /* 63 */
};
static const char *const bad[] = {
	"", ".", "..", ".hidden", "a/b", "/", "../x", "a b", "a\n", "a\x01", "a\x7f", "caf\xc3\xa9", "a*", "a:b",
	"1234567890123456789012345678901234567890123456789012345678901234", /* 64 */
};

START_TEST(a_good_name_is_taken)
{
	ck_assert_int_eq(rk_name_check(good[_i], NULL), 0);
}
END_TEST

START_TEST(a_bad_name_is_refused_with_the_rule)
{
	struct rk_err err = { 0 };

	ck_assert_int_eq(rk_name_check(bad[_i], &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "use 1 to 63 of") ? err.text : strstr(err.text, "letters"));
	for (const char *c = err.text; *c; c++)
		ck_assert_int_ge((unsigned char)*c, ' ');
}
END_TEST

/* ---- paths ---- */

START_TEST(paths_follow_the_environment)
{
	char path[RK_PATH_MAX];
	struct rk_err err;

	enter();
	ck_assert_int_eq(rk_rundir_path("carts", "control", path, &err), 0);
	ck_assert_int_eq(strncmp(path, base, strlen(base)), 0);
	ck_assert_str_eq(path + strlen(base), "/carts/control");
	ck_assert_int_eq(rk_rundir_path("carts", NULL, path, &err), 0);
	ck_assert_str_eq(path + strlen(base), "/carts");
	ck_assert_int_eq(setenv("REKINDLE_RUNTIME_DIR", "", 1), 0); /* empty is not set */
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/xdg", 1), 0);
	ck_assert_int_eq(rk_rundir_base(path, &err), 0);
	ck_assert_str_eq(path, geteuid() == 0 ? "/run/rekindle" : "/xdg/rekindle");
	leave();
}
END_TEST

START_TEST(a_path_too_long_for_a_socket_is_refused)
{
	char longest[RK_PATH_MAX + 20], path[RK_PATH_MAX];
	struct rk_err err = { 0 };

	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[RK_PATH_MAX - 1 - strlen("/n/control")] = '\0';
	ck_assert_int_eq(setenv("REKINDLE_RUNTIME_DIR", longest, 1), 0);
	ck_assert_int_eq(rk_rundir_path("n", "control", path, &err), 0);
	ck_assert_uint_eq(strlen(path), RK_PATH_MAX - 1);
	ck_assert_int_eq(rk_rundir_path("nn", "control", path, &err), -ENAMETOOLONG);
	ck_assert_ptr_nonnull(strstr(err.text, "REKINDLE_RUNTIME_DIR"));
	longest[strlen(longest)] = 'x';
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(setenv("REKINDLE_RUNTIME_DIR", longest, 1), 0);
	ck_assert_int_eq(rk_rundir_base(path, &err), -ENAMETOOLONG);
	ck_assert_int_eq(rk_rundir_lock("n", &err), -ENAMETOOLONG);
}
END_TEST

START_TEST(a_directory_that_others_may_write_is_refused)
{
	struct rk_err err = { 0 };
	char path[RK_PATH_MAX];

	enter();
	ck_assert_int_eq(rk_rundir_base(path, &err), 0);
	ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
	ck_assert_int_eq(chmod(path, 0777), 0);
	ck_assert_int_eq(rk_rundir_lock("carts", &err), -EPERM);
	ck_assert_ptr_nonnull(strstr(err.text, "chmod go-w"));
	ck_assert_int_eq(chmod(path, 0700), 0);
	leave();
}
END_TEST

/* ---- the lock ---- */

START_TEST(a_name_is_locked_once)
{
	struct rk_err err = { 0 };
	struct stat st;
	char path[RK_PATH_MAX];
	int fd, other;

	enter();
	fd = lock("carts");
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(rk_rundir_path("carts", NULL, path, &err), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(rk_rundir_lock("carts", &err), -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "'carts' is running already"));
	other = lock("gateway"); /* another name is free */
	give_up("gateway", &other);
	give_up("carts", &fd);
	fd = lock("carts"); /* and the same one again */
	give_up("carts", &fd);
	leave();
}
END_TEST

START_TEST(a_stale_directory_is_taken_over_and_removed_with_what_is_in_it)
{
	char path[RK_PATH_MAX];
	struct rk_err err;
	int fd;

	enter();
	fd = lock("carts");
	ck_assert_int_eq(rk_rundir_path("carts", "control", path, &err), 0);
	rk_close_p(&fd); /* died: nothing removed, its dead socket left */
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	rk_close_p(&fd);
	fd = lock("carts");
	give_up("carts", &fd);
	rk_rundir_remove("carts"); /* what is not there does not matter */
	leave();
}
END_TEST

START_TEST(something_else_in_the_directorys_place_is_refused)
{
	char path[RK_PATH_MAX];
	struct rk_err err = { 0 };
	int fd;

	enter();
	ck_assert_int_eq(rk_rundir_path("carts", NULL, path, &err), 0);
	if (_i == 0) {
		fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
		rk_close_p(&fd);
	} else {
		ck_assert_int_eq(symlink("/tmp", path), 0);
	}
	ck_assert_int_lt(rk_rundir_lock("carts", &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_int_eq(unlink(path), 0);
	leave();
}
END_TEST

START_TEST(a_directory_of_another_user_is_refused)
{
	struct rk_err err = { 0 };

	enter();
	if (geteuid() == 0) { /* else there is nobody to give it to */
		ck_assert_int_eq(chown(base, 65534, 65534), 0);
		ck_assert_int_eq(rk_rundir_lock("carts", &err), -EPERM);
		ck_assert_ptr_nonnull(strstr(err.text, "uid 65534"));
	}
	leave();
}
END_TEST

/* As a service of another user finds it: systemd has made both, the base for root. */
START_TEST(the_base_may_be_roots_but_not_the_directory_itself)
{
	struct rk_err err = { 0 };
	char path[RK_PATH_MAX];
	int fd;

	enter();
	if (geteuid() == 0) { /* else there is no other user to be */
		ck_assert_int_eq(chmod(base, 0755), 0);
		ck_assert_int_eq(rk_rundir_path("carts", NULL, path, &err), 0);
		ck_assert_int_eq(mkdir(path, 0700), 0);
		ck_assert_int_eq(chown(path, 65534, 65534), 0);
		ck_assert_int_eq(seteuid(65534), 0);
		fd = lock("carts");
		ck_assert_int_eq(rk_rundir_admit("carts", (gid_t)-1, true, &err), 0);
		rk_close_p(&fd);
		ck_assert_int_eq(rk_rundir_lock("others", &err), -EACCES);
		ck_assert_int_eq(seteuid(0), 0);
		ck_assert_int_eq(chown(path, 0, 0), 0);
		ck_assert_int_eq(chmod(path, 0755), 0);
		ck_assert_int_eq(seteuid(65534), 0);
		ck_assert_int_eq(rk_rundir_lock("carts", &err), -EPERM);
		ck_assert_ptr_nonnull(strstr(err.text, "uid 0"));
		ck_assert_int_eq(seteuid(0), 0);
		rk_rundir_remove("carts");
	}
	leave();
}
END_TEST

START_TEST(roots_base_lets_the_services_of_others_through)
{
	struct rk_err err = { 0 };
	struct stat st;
	char path[RK_PATH_MAX];
	int fd;

	enter();
	ck_assert_int_eq(rmdir(base), 0);
	fd = lock("carts");
	ck_assert_int_eq(stat(base, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, geteuid() == 0 ? 0711 : 0700);
	ck_assert_int_eq(rk_rundir_path("carts", NULL, path, &err), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	give_up("carts", &fd);
	leave();
}
END_TEST

/* A look, as `list` takes it: a shared lock for a moment. */
struct looker {
	_Atomic int stop, looks;
};

static void *look_on(void *arg)
{
	struct looker *l = arg;
	char names[4][RK_NAME_MAX];

	while (!atomic_load_explicit(&l->stop, memory_order_relaxed)) {
		(void)rk_rundir_list(names, 4, NULL);
		atomic_fetch_add_explicit(&l->looks, 1, memory_order_relaxed);
	}
	return NULL;
}

START_TEST(a_look_at_the_list_does_not_make_a_start_fail)
{
	struct looker l = { 0 };
	pthread_t thread;
	int fd;

	enter();
	fd = lock("carts"); /* so that there is a directory to look at */
	rk_close_p(&fd);
	ck_assert_int_eq(pthread_create(&thread, NULL, look_on, &l), 0);
	while (atomic_load_explicit(&l.looks, memory_order_relaxed) < 20000) {
		fd = lock("carts");
		rk_close_p(&fd);
	}
	atomic_store_explicit(&l.stop, 1, memory_order_relaxed);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	fd = lock("carts");
	give_up("carts", &fd);
	leave();
}
END_TEST

/* ---- list and choose ---- */

START_TEST(the_list_has_the_locked_ones_alone)
{
	char names[2][RK_NAME_MAX] = { "", "" };
	struct rk_err err;
	int a, b, c;

	enter();
	ck_assert_int_eq(rk_rundir_list(names, 2, &err), 0);
	a = lock("a");
	b = lock("b");
	rk_close_p(&b); /* stale */
	ck_assert_int_eq(rk_rundir_list(names, 2, &err), 1);
	ck_assert_str_eq(names[0], "a");
	b = lock("b");
	c = lock("c");
	ck_assert_int_eq(rk_rundir_list(names, 2, &err), 3); /* more than there was room for */
	ck_assert_int_eq(rk_rundir_list(names, 0, &err), 3);
	give_up("a", &a);
	give_up("b", &b);
	give_up("c", &c);
	leave();
	ck_assert_int_eq(rk_rundir_list(names, 2, &err), 0); /* not even the directory is there */
}
END_TEST

START_TEST(the_fleets_to_choose_from_are_in_order)
{
	static const char *const some[] = { "m", "z", "b", "y", "a", "n" };
	char name[RK_NAME_MAX];
	struct rk_err err = { 0 };
	int fds[rk_countof(some)];

	enter();
	for (size_t i = 0; i < rk_countof(some); i++)
		fds[i] = lock(some[i]);
	ck_assert_int_eq(rk_rundir_choose(NULL, name, &err), -E2BIG);
	ck_assert_msg(strstr(err.text, "--name: a b m n y z") != NULL, "%s", err.text);
	for (size_t i = 0; i < rk_countof(some); i++)
		give_up(some[i], &fds[i]);
	leave();
}
END_TEST

START_TEST(a_fleet_is_chosen_by_argument_then_environment_then_being_the_only_one)
{
	char name[RK_NAME_MAX];
	struct rk_err err = { 0 };
	int a, b;

	enter();
	ck_assert_int_eq(rk_rundir_choose(NULL, name, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "rekindle run"));
	a = lock("a");
	ck_assert_int_eq(rk_rundir_choose(NULL, name, &err), 0);
	ck_assert_str_eq(name, "a");
	b = lock("b");
	ck_assert_int_eq(rk_rundir_choose(NULL, name, &err), -E2BIG);
	ck_assert_ptr_nonnull(strstr(err.text, " a"));
	ck_assert_ptr_nonnull(strstr(err.text, " b"));
	ck_assert_ptr_nonnull(strstr(err.text, "--name"));
	ck_assert_int_eq(setenv("REKINDLE_NAME", "from-environment", 1), 0);
	ck_assert_int_eq(rk_rundir_choose(NULL, name, &err), 0);
	ck_assert_str_eq(name, "from-environment");
	ck_assert_int_eq(rk_rundir_choose("given", name, &err), 0);
	ck_assert_str_eq(name, "given");
	ck_assert_int_eq(rk_rundir_choose("../x", name, &err), -EINVAL);
	ck_assert_int_eq(setenv("REKINDLE_NAME", "a b", 1), 0);
	ck_assert_int_eq(rk_rundir_choose("", name, &err), -EINVAL);
	give_up("a", &a);
	give_up("b", &b);
	leave();
}
END_TEST

START_TEST(so_many_fleets_that_their_names_do_not_fit_are_still_counted)
{
	char name[RK_NAME_MAX], all[20][RK_NAME_MAX];
	struct rk_err err = { 0 };
	int fds[20];

	enter();
	for (int i = 0; i < 20; i++) {
		snprintf(all[i], sizeof(all[i]), "fleet-with-a-long-name-%d", i);
		fds[i] = lock(all[i]);
	}
	ck_assert_int_eq(rk_rundir_choose(NULL, name, &err), -E2BIG);
	ck_assert_ptr_nonnull(strstr(err.text, "20 fleets"));
	for (int i = 0; i < 20; i++)
		give_up(all[i], &fds[i]);
	leave();
}
END_TEST

START_TEST(a_fleet_that_left_its_flight_recorder_can_be_chosen_and_closing_keeps_it)
{
	char name[RK_NAME_MAX], path[RK_PATH_MAX];
	struct rk_err err = { 0 };
	int fd, file, other;

	enter();
	fd = lock("carts");
	ck_assert_int_eq(rk_rundir_path("carts", RK_RUNDIR_FLIGHT, path, &err), 0);
	file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(file, 0);
	rk_close_p(&file);
	rk_close_p(&fd);
	ck_assert_int_eq(rk_rundir_choose(NULL, name, &err), -ENOENT);
	ck_assert_int_eq(rk_rundir_choose_left(NULL, name, &err), 0);
	ck_assert_str_eq(name, "carts");
	rk_rundir_close("carts");
	ck_assert_int_eq(access(path, F_OK), 0);
	other = lock("running"); /* what runs goes before what has left something */
	ck_assert_int_eq(rk_rundir_choose_left(NULL, name, &err), 0);
	ck_assert_str_eq(name, "running");
	give_up("running", &other);
	rk_rundir_remove("carts");
	ck_assert_int_lt(access(path, F_OK), 0);
	ck_assert_int_eq(rk_rundir_choose_left(NULL, name, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "flight recorder"));
	leave();
}
END_TEST

int main(void)
{
	TCase *c = unit_case("rundir");

	tcase_add_loop_test(c, a_good_name_is_taken, 0, rk_countof(good));
	tcase_add_loop_test(c, a_bad_name_is_refused_with_the_rule, 0, rk_countof(bad));
	tcase_add_test(c, paths_follow_the_environment);
	tcase_add_test(c, a_path_too_long_for_a_socket_is_refused);
	tcase_add_test(c, a_directory_that_others_may_write_is_refused);
	tcase_add_test(c, a_name_is_locked_once);
	tcase_add_test(c, a_stale_directory_is_taken_over_and_removed_with_what_is_in_it);
	tcase_add_loop_test(c, something_else_in_the_directorys_place_is_refused, 0, 2);
	tcase_add_test(c, a_directory_of_another_user_is_refused);
	tcase_add_test(c, the_base_may_be_roots_but_not_the_directory_itself);
	tcase_add_test(c, roots_base_lets_the_services_of_others_through);
	tcase_add_test(c, a_look_at_the_list_does_not_make_a_start_fail);
	tcase_add_test(c, the_list_has_the_locked_ones_alone);
	tcase_add_test(c, the_fleets_to_choose_from_are_in_order);
	tcase_add_test(c, a_fleet_is_chosen_by_argument_then_environment_then_being_the_only_one);
	tcase_add_test(c, a_fleet_that_left_its_flight_recorder_can_be_chosen_and_closing_keeps_it);
	tcase_add_test(c, so_many_fleets_that_their_names_do_not_fit_are_still_counted);
	return unit_run(c);
}
