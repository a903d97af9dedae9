/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The files of a configuration are those that systemd's rule names, in its order; what is
 *         no file or too large is refused without harm.
 * Method  Trees below a temporary root.
 */
#include "supervisor/sources.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "tests/unit/unit.h"

#define ETC "etc/rekindle/"
#define RUN "run/rekindle/"
#define LIB "usr/lib/rekindle/"

static char root[64];

static void enter(void)
{
	static const char *const made[] = { "etc",          "etc/rekindle", ETC "n.conf.d",
					    "run",          "run/rekindle", RUN "n.conf.d",
					    "usr",          "usr/lib",      "usr/lib/rekindle",
					    LIB "n.conf.d", "alone.conf.d" };
	char path[256];

	strcpy(root, "/tmp/rk-sources.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	for (size_t i = 0; i < rk_countof(made); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", root, made[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
}

static void leave(void)
{
	char command[96];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
	ck_assert_int_eq(system(command), 0); // NOLINT: a path of our own making
}

static const char *at(const char *path)
{
	static char whole[256];

	(void)snprintf(whole, sizeof(whole), "%s/%s", root, path);
	return whole;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(at(path), "we");

	ck_assert_ptr_nonnull(f);
	(void)fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

static int find(const char *what, struct rk_sources *s, struct rk_err *err)
{
	*err = (struct rk_err){ 0 };
	return rk_sources_find(root, what, s, err);
}

/* What was found is exactly these, relative to the root. */
static void expect(const struct rk_sources *s, const char *const *paths)
{
	uint32_t n = 0;

	for (; paths[n]; n++)
		ck_assert_str_eq(n < s->path.n ? s->path.at[n] : "(none)", at(paths[n]));
	ck_assert_uint_eq(s->path.n, n);
}

#define EXPECT(s, ...) expect(s, (const char *const[]){ __VA_ARGS__, NULL })

START_TEST(the_main_file_of_highest_priority_is_read)
{
	struct rk_sources s;
	struct rk_err err;

	enter();
	put(LIB "n.conf", "x");
	ck_assert_int_eq(find("n", &s, &err), 0);
	EXPECT(&s, LIB "n.conf");
	ck_assert_str_eq(s.name, "n");
	rk_sources_free_p(&s);
	put(RUN "n.conf", "x");
	ck_assert_int_eq(find("n", &s, &err), 0);
	EXPECT(&s, RUN "n.conf");
	rk_sources_free_p(&s);
	put(ETC "n.conf", "x");
	ck_assert_int_eq(find("n", &s, &err), 0);
	EXPECT(&s, ETC "n.conf");
	rk_sources_free_p(&s);
	leave();
}
END_TEST

START_TEST(drop_ins_of_all_places_are_sorted_by_name_and_hide_each_other)
{
	struct rk_sources s;
	struct rk_err err;

	enter();
	put(ETC "n.conf", "x");
	put(LIB "n.conf.d/10.conf", "x");
	put(RUN "n.conf.d/20.conf", "x");
	put(LIB "n.conf.d/20.conf", "x");
	put(ETC "n.conf.d/30.conf", "x");
	put(RUN "n.conf.d/05.conf", "x");
	put(ETC "n.conf.d/README", "x");
	put(ETC "n.conf.d/.hidden.conf", "x");
	put(ETC "n.conf.d/.conf", "x");
	ck_assert_int_eq(find("n", &s, &err), 0);
	EXPECT(&s, ETC "n.conf", RUN "n.conf.d/05.conf", LIB "n.conf.d/10.conf",
	       RUN "n.conf.d/20.conf", ETC "n.conf.d/30.conf");
	rk_sources_free_p(&s);
	leave();
}
END_TEST

START_TEST(an_empty_file_or_a_link_to_dev_null_masks)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist names = { 0 };
	struct rk_sources s;
	struct rk_err err;

	enter();
	put(LIB "n.conf", "x");
	put(LIB "m.conf", "x");
	put(LIB "n.conf.d/10.conf", "x");
	put(LIB "n.conf.d/20.conf", "x");
	put(ETC "n.conf.d/10.conf", "");
	ck_assert_int_eq(symlink("/dev/null", at(ETC "n.conf.d/20.conf")), 0);
	ck_assert_int_eq(find("n", &s, &err), 0);
	EXPECT(&s, LIB "n.conf");
	rk_sources_free_p(&s);
	ck_assert_int_eq(symlink("/dev/null", at(ETC "n.conf")), 0);
	ck_assert_int_eq(find("n", &s, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "switched off"));
	ck_assert_int_eq(rk_sources_list(root, &names, &err), 0);
	ck_assert_uint_eq(names.n, 1);
	ck_assert_str_eq(names.at[0], "m");
	leave();
}
END_TEST

START_TEST(a_file_with_a_slash_is_read_alone_with_its_own_drop_ins)
{
	char path[256];
	struct rk_sources s;
	struct rk_err err;

	enter();
	put("alone.conf", "x");
	put("alone.conf.d/1.conf", "x");
	put(ETC "n.conf", "x");
	(void)snprintf(path, sizeof(path), "%s", at("alone.conf"));
	ck_assert_int_eq(find(path, &s, &err), 0);
	EXPECT(&s, "alone.conf", "alone.conf.d/1.conf");
	ck_assert_str_eq(s.name, "alone");
	rk_sources_free_p(&s);
	leave();
}
END_TEST

START_TEST(what_cannot_be_found_says_where_it_was_looked_for)
{
	char longest[300], path[256];
	struct rk_sources s;
	struct rk_err err;

	enter();
	ck_assert_int_eq(find("n", &s, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "no n.conf in /etc/rekindle"));
	ck_assert_int_eq(find("n.conf", &s, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "such as ./n.conf"));
	ck_assert_ptr_null(strstr(err.text, "./n.conf.conf"));
	ck_assert_int_eq(find("", &s, &err), -EINVAL);
	ck_assert_int_eq(find("..", &s, &err), -EINVAL);
	(void)snprintf(path, sizeof(path), "%s", at("missing.conf"));
	ck_assert_int_eq(find(path, &s, &err), -ENOENT);
	ck_assert_int_eq(find("/tmp/", &s, &err), -EINVAL);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(find(longest, &s, &err), -EINVAL);
	leave();
}
END_TEST

START_TEST(only_regular_files_within_the_bound_are_read)
{
	struct rk_err err = { 0 };
	char *text = NULL;
	size_t len;

	enter();
	put("f", "12345");
	ck_assert_int_eq(rk_sources_read(at("f"), 5, &text, &len, &err), 0);
	ck_assert_uint_eq(len, 5);
	ck_assert_str_eq(text, "12345");
	free(text);
	ck_assert_int_eq(rk_sources_read(at("f"), 4, &text, &len, &err), -EFBIG);
	ck_assert_int_eq(rk_sources_read(at("etc"), 5, &text, &len, &err), -EINVAL);
	ck_assert_int_eq(mkfifo(at("fifo"), 0600), 0);
	ck_assert_int_eq(rk_sources_read(at("fifo"), 5, &text, &len, &err), -EINVAL);
	ck_assert_int_eq(symlink("loop", at("loop")), 0);
	ck_assert_int_eq(rk_sources_read(at("loop"), 5, &text, &len, &err), -ELOOP);
	leave();
}
END_TEST

int main(void)
{
	TCase *c = unit_case("sources");

	tcase_add_test(c, the_main_file_of_highest_priority_is_read);
	tcase_add_test(c, drop_ins_of_all_places_are_sorted_by_name_and_hide_each_other);
	tcase_add_test(c, an_empty_file_or_a_link_to_dev_null_masks);
	tcase_add_test(c, a_file_with_a_slash_is_read_alone_with_its_own_drop_ins);
	tcase_add_test(c, what_cannot_be_found_says_where_it_was_looked_for);
	tcase_add_test(c, only_regular_files_within_the_bound_are_read);
	return unit_run(c);
}
