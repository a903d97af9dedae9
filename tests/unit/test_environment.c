/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Workers find what Environment= and EnvironmentFile= say and nothing that is ours alone;
 *         a bad file is refused with its line, and never waited for.
 * Method  A table of files; a FIFO.
 */
#include "supervisor/environment.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/unit.h"

static const char *value_of(const struct rk_environment *e, const char *name)
{
	size_t len = strlen(name);

	for (uint32_t i = 0; i < e->n; i++)
		if (strncmp(e->at[i], name, len) == 0 && e->at[i][len] == '=')
			return e->at[i] + len + 1;
	return NULL;
}

static void file_write(char path[static 32], const char *text, size_t len)
{
	strcpy(path, "/tmp/rk-env.XXXXXX");
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(rk_write_all(fd, text, len), 0);
	(void)close(fd);
}

/* What one file makes of an environment that has BASE=1. */
static int read_one(const char *path, struct rk_environment *ret, struct rk_err *err)
{
	struct rk_fleet_options o = { 0 };
	struct rk_environment base;
	int r;

	ck_assert_int_eq(rk_wordlist_add(&o.environment, "BASE=1"), 0);
	ck_assert_int_eq(rk_wordlist_add(&o.environment_files, path), 0);
	ck_assert_int_eq(rk_environment_init(&base, &o, err), 0);
	r = rk_environment_read(ret, &base, &o, err);
	rk_environment_free_p(&base);
	rk_wordlist_free_p(&o.environment);
	rk_wordlist_free_p(&o.environment_files);
	return r;
}

#define WHOLE(text) text, sizeof(text) - 1

static const struct {
	const char *text;
	size_t len;
	int r;
	const char *name, *value; /* or what the error says */
} files[] = {
	{ WHOLE("A=b\n"), 0, "A", "b" },
	{ WHOLE("A=b"), 0, "A", "b" },
	{ WHOLE(" # c\n;c\n\n \t\n  A=b c \t\r\n"), 0, "A", "b c" },
	{ WHOLE("A=\n"), 0, "A", "" },
	{ WHOLE("A=1\nA=2\n"), 0, "A", "2" },
	{ WHOLE("BASE=2\n"), 0, "BASE", "2" },
	{ WHOLE("A=b=c\n"), 0, "A", "b=c" },
	{ WHOLE("A=$HOME\n"), 0, "A", "$HOME" },
	{ WHOLE("A='b  \"c'\n"), 0, "A", "b  \"c" },
	{ WHOLE("A=\"b\\\"c\"\n"), 0, "A", "b\"c" },
	{ WHOLE(""), 0, "BASE", "1" },
	{ WHOLE("A=1\nno assignment\n"), -EINVAL, NULL, ":2: 'no assignment' is no NAME=VALUE" },
	{ WHOLE("1A=b\n"), -EINVAL, NULL, ":1: " },
	{ WHOLE("=b\n"), -EINVAL, NULL, ":1: " },
	{ WHOLE("A B=c\n"), -EINVAL, NULL, ":1: " },
	{ WHOLE("\n\nA='b\n"), -EINVAL, NULL, ":3: " },
	{ WHOLE("A='b' c\n"), -EINVAL, NULL, ":1: " },
	{ WHOLE("A=b\0c\n"), -EINVAL, NULL, "NUL" },
	{ WHOLE("NOTIFY_SOCKET=/x\n"), -EINVAL, NULL, "rekindle's own" },
};

START_TEST(a_file_says_what_its_lines_say_or_which_one_is_bad)
{
	struct rk_environment e = { 0 };
	struct rk_err err = { 0 };
	char path[32];

	file_write(path, files[_i].text, files[_i].len);
	ck_assert_int_eq(read_one(path, &e, &err), files[_i].r);
	if (files[_i].r == 0) {
		ck_assert_ptr_nonnull(value_of(&e, files[_i].name));
		ck_assert_str_eq(value_of(&e, files[_i].name), files[_i].value);
	} else {
		ck_assert_msg(strstr(err.text, files[_i].value) && strstr(err.text, path), "%s",
			      err.text);
	}
	rk_environment_free_p(&e);
	(void)unlink(path);
}
END_TEST

START_TEST(a_missing_file_is_refused_unless_a_dash_stands_before_it)
{
	struct rk_environment e = { 0 };
	struct rk_err err = { 0 };

	ck_assert_int_eq(read_one("/tmp/rk-none-such/x", &e, &err), -ENOENT);
	ck_assert_int_eq(read_one("-/tmp/rk-none-such/x", &e, &err), 0);
	rk_environment_free_p(&e);
	ck_assert_int_eq(read_one("-/proc/self", &e, &err), -EINVAL); /* there, but no file */
}
END_TEST

START_TEST(a_fifo_holds_nobody_up)
{
	struct rk_environment e = { 0 };
	struct rk_err err = { 0 };
	char directory[] = "/tmp/rk-env.XXXXXX", path[32];

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/fifo", directory);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(read_one(path, &e, &err), -EINVAL);
	(void)unlink(path);
	(void)rmdir(directory);
}
END_TEST

START_TEST(what_is_ours_alone_is_not_passed_on)
{
	const struct rk_fleet_options none = { 0 };
	struct rk_environment e;

	ck_assert_int_eq(setenv("NOTIFY_SOCKET", "/run/x", 1), 0);
	ck_assert_int_eq(setenv("REKINDLE_WORKER", "x", 1), 0);
	ck_assert_int_eq(setenv("REKINDLE_KEEPER_FD", "3", 1), 0);
	ck_assert_int_eq(setenv("REKINDLE_BRIDGE", "Kind=tcp", 1), 0);
	ck_assert_int_eq(setenv("PASSED", "on", 1), 0);
	ck_assert_int_eq(rk_environment_init(&e, &none, NULL), 0);
	ck_assert_ptr_null(value_of(&e, "NOTIFY_SOCKET"));
	ck_assert_ptr_null(value_of(&e, "REKINDLE_WORKER"));
	ck_assert_ptr_null(value_of(&e, "REKINDLE_KEEPER_FD"));
	ck_assert_ptr_null(value_of(&e, "REKINDLE_BRIDGE"));
	ck_assert_str_eq(value_of(&e, "PASSED"), "on");
	rk_environment_free_p(&e);
}
END_TEST

START_TEST(there_is_room_behind_the_last_however_many_there_are)
{
	const struct rk_fleet_options none = { 0 };
	struct rk_environment e;
	char variable[32];

	ck_assert_int_eq(rk_environment_init(&e, &none, NULL), 0);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(variable, sizeof(variable), "V%d=x", i);
		ck_assert_int_eq(rk_environment_set(&e, variable, NULL), 0);
		ck_assert_ptr_null(e.at[e.n]);
		ck_assert_uint_gt(e.room, e.n + RK_ENVIRONMENT_SPARE);
	}
	rk_environment_free_p(&e);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("environment");

	tcase_add_loop_test(c, a_file_says_what_its_lines_say_or_which_one_is_bad, 0,
			    (int)rk_countof(files));
	tcase_add_test(c, a_missing_file_is_refused_unless_a_dash_stands_before_it);
	tcase_add_test(c, a_fifo_holds_nobody_up);
	tcase_add_test(c, what_is_ours_alone_is_not_passed_on);
	tcase_add_test(c, there_is_room_behind_the_last_however_many_there_are);
	return unit_run(c);
}
