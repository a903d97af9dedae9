/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A configuration comes back from its frozen text as it was in force: every key of every
 *         fleet, in the same order, with what a reload to it has yet to do, and apart from it the fleets
 *         that leave. What is not such a text, whole and sealed, is refused.
 * Method  Configurations through a temporary file, frozen, thawed, compared by what rekindle cat
 *         would print; texts that somebody else wrote.
 */
#include "supervisor/conf_frozen.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "supervisor/conf_show.h"
#include "tests/unit/conf_fixture.h"
#include "tests/unit/unit.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define HEAD "rekindle configuration 1\0words\0files\0\0"
#define EXEC "fleet\0words\0Exec\0/bin/true\0"

static struct rk_err err;
static struct rk_conf none; /* that leave */

/* What is in force, without its origins. */
static char *shown(const struct rk_conf *conf)
{
	char *text = NULL, *at, *to;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	rk_conf_cat(conf, f);
	ck_assert_int_eq(fclose(f), 0);
	for (at = to = text; *at;) { /* comments say where a value is from */
		size_t line = strcspn(at, "\n"), kept = strcspn(at, "#\n");

		memmove(to, at, kept);
		to += kept;
		*to++ = '\n';
		at += line + (at[line] == '\n');
	}
	*to = '\0';
	return text;
}

static void expect_same(const struct rk_conf *a, const struct rk_conf *b)
{
	char *text[2] = { shown(a), shown(b) };

	ck_assert_str_eq(text[0], text[1]);
	free(text[0]);
	free(text[1]);
	ck_assert_str_eq(a->name, b->name);
	ck_assert_int_eq(a->quiet, b->quiet);
	ck_assert_int_eq(a->has_files, b->has_files);
	ck_assert_uint_eq(a->n_fleets, b->n_fleets);
	for (uint32_t i = 0; i < a->n_fleets; i++) {
		ck_assert_str_eq(a->fleets[i].name, b->fleets[i].name);
		ck_assert_mem_eq(&a->fleets[i].geometry, &b->fleets[i].geometry, sizeof(a->fleets[i].geometry));
		ck_assert_uint_eq(a->fleets[i].reserved, b->fleets[i].reserved);
		ck_assert_int_eq(a->fleets[i].has_hang_after, b->fleets[i].has_hang_after);
	}
}

static const char *const texts[] = {
	"[Fleet words]\nExec=/bin/true\n",
	"[Supervisor]\nFlightRecords=4096\nStrategy=rest-for-one\n"
	"[Fleet b]\nExec=/bin/true 'an argument with blanks' \\\n  and another\nWorkers=3\nHangAfter=7s\n"
	"[Fleet a]\nExec=/bin/false\nRequires=b\nEnvironment=A=1 B=2\nEnvironment=C=\"three four\"\n"
	"OnFailure=/bin/echo failed\nExecStartPre=-/bin/mkdir x\nExecStartPre=/bin/ls\nMaxState=2M\n",
	/* An empty value takes back what stood before. */
	"[Fleet words]\nExec=/bin/true\nEnvironment=A=1\nEnvironment=\nEnvironment=B=2\n",
	/* Mentioned first, said last: which is started first is by the first mention. */
	"[Fleet late]\n[Fleet early]\nExec=/bin/true\n[Fleet late]\nExec=/bin/false\n",
};

START_TEST(a_configuration_comes_back_as_it_was)
{
	struct rk_conf was = { 0 }, is = { 0 };
	int fd, again;

	good_conf_of(texts[_i], &was);
	was.quiet = _i & 1;
	fd = rk_conf_freeze(&was, NULL, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS), SEALS);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_msg(rk_conf_thaw(fd, &is, &none, &err) == 0, "%s", err.text);
	expect_same(&was, &is);
	rk_conf_free_p(&is);
	/* A second time, from what was thawed: a reload may have frozen it so. */
	(void)close(fd);
	rk_conf_free_p(&was);
	good_conf_of(texts[_i], &was);
	was.quiet = _i & 1;
	fd = rk_conf_freeze(&was, NULL, 0);
	ck_assert_msg(rk_conf_thaw(fd, &is, &none, &err) == 0, "%s", err.text);
	again = rk_conf_freeze(&is, NULL, 0);
	ck_assert(rk_conf_frozen_is_same(fd, again)); /* so nobody has to give it to keeper again */
	(void)close(fd);
	is.quiet = !is.quiet;
	fd = rk_conf_freeze(&is, NULL, 0);
	ck_assert(!rk_conf_frozen_is_same(fd, again));
	(void)close(fd);
	fd = again;
	rk_conf_free_p(&is);
	ck_assert_msg(rk_conf_thaw(fd, &is, &none, &err) == 0, "%s", err.text);
	expect_same(&was, &is);
	rk_conf_free_p(&was);
	rk_conf_free_p(&is);
	(void)close(fd);
}
END_TEST

/* ---- with what is to be done yet ---- */

START_TEST(what_a_reload_has_yet_to_do_comes_back)
{
	struct rk_conf was = { 0 }, is = { 0 };
	int fd;

	good_conf_of(texts[1], &was);
	was.reload = UINT64_C(1) << 40;
	was.fleets[0].todo = RK_CONF_TO_RESTART;
	was.fleets[1].todo = RK_CONF_TO_SCALE | RK_CONF_TO_RESTART;
	fd = rk_conf_freeze(&was, NULL, 0);
	ck_assert_msg(rk_conf_thaw(fd, &is, &none, &err) == 0, "%s", err.text);
	expect_same(&was, &is);
	ck_assert_uint_eq(is.reload, was.reload);
	for (uint32_t i = 0; i < 2; i++)
		ck_assert_uint_eq(is.fleets[i].todo, was.fleets[i].todo);
	ck_assert_uint_eq(none.n_fleets, 0);
	(void)close(fd);
	rk_conf_free_p(&is);
	rk_conf_free_p(&none);
	/* Nothing is to be done: the text is that of every release. */
	was.reload = 0;
	fd = rk_conf_freeze(&was, NULL, 0);
	ck_assert_msg(rk_conf_thaw(fd, &is, &none, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(is.reload | is.fleets[0].todo | is.fleets[1].todo, 0);
	(void)close(fd);
	rk_conf_free_p(&was);
	rk_conf_free_p(&is);
	rk_conf_free_p(&none);
}
END_TEST

START_TEST(fleets_that_leave_come_back_apart_from_the_others)
{
	struct rk_conf was = { 0 }, old = { 0 }, is = { 0 }, leaving = { 0 };
	int fd;

	good_conf_of(texts[0], &was);
	good_conf_of(texts[1], &old); /* a requires b, which has gone already */
	fd = rk_conf_freeze(&was, &(struct rk_conf_leaving){ .conf = &old, .fleet = "a" }, 1);
	ck_assert_msg(rk_conf_thaw(fd, &is, &leaving, &err) == 0, "%s", err.text);
	expect_same(&was, &is);
	ck_assert_uint_eq(leaving.n_fleets, 1);
	ck_assert_str_eq(leaving.fleets[0].name, "a");
	ck_assert_mem_eq(&leaving.fleets[0].geometry, &rk_conf_fleet(&old, "a")->geometry, sizeof(struct rk_geometry));
	ck_assert_str_eq(leaving.fleets[0].o.exec.at[0], "/bin/false");
	(void)close(fd);
	/* And from there to the next supervisor. */
	fd = rk_conf_freeze(&was, &(struct rk_conf_leaving){ .conf = &leaving, .fleet = "a" }, 1);
	rk_conf_free_p(&is);
	ck_assert_msg(rk_conf_thaw(fd, &is, &none, &err) == 0, "%s", err.text);
	ck_assert_str_eq(rk_conf_fleet(&none, "a")->o.exec.at[0], "/bin/false");
	(void)close(fd);
	rk_conf_free_p(&was);
	rk_conf_free_p(&old);
	rk_conf_free_p(&is);
	rk_conf_free_p(&leaving);
	rk_conf_free_p(&none);
}
END_TEST

/* ---- what is none ---- */

static int memory_of(const char *text, size_t len, int seals)
{
	int fd = memfd_create("frozen", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void expect_refused(int fd, const char *says)
{
	struct rk_conf conf = { .n_fleets = 77 };

	err = (struct rk_err){ 0 };
	ck_assert_int_eq(rk_conf_thaw(fd, &conf, &none, &err), -EPROTO);
	ck_assert_msg(strstr(err.text, says) != NULL, "%s", err.text);
	ck_assert_uint_eq(conf.n_fleets, 77); /* untouched */
	(void)close(fd);
}

#define TEXT(literal) { literal, sizeof(literal) - 1 }

static const struct {
	const char *text;
	size_t len;
} broken[] = {
	TEXT(""),
	TEXT("\0"),
	TEXT("rekindle configuration 1"),                      /* no end */
	TEXT("rekindle configuration 1\0words\0files\0"),      /* no quiet */
	TEXT("rekindle configuration 2\0words\0files\0\0" EXEC), /* of another release */
	TEXT("rekindle configuration 1\0../x\0files\0\0" EXEC), /* a name that leads elsewhere */
	TEXT("rekindle configuration 1\0\0files\0\0" EXEC),
	TEXT(HEAD "fleet\0words\0Exec\0"),                      /* a setting without its value */
	TEXT(HEAD "fleet\0words\0Exec\0/bin/true"),             /* truncated */
	TEXT(HEAD "flet\0words\0Exec\0/bin/true\0"),            /* no section of that name */
	TEXT(HEAD "supervisor\0words\0LogLevel\0debug\0"),     /* of nobody */
	TEXT(HEAD "fleet\0a/b\0Exec\0/bin/true\0"),
	TEXT(HEAD EXEC "leaving\0../x\0Exec\0/bin/true\0"),
	TEXT(HEAD EXEC "leaving\0\0Exec\0/bin/true\0"),
	TEXT(HEAD EXEC "reload\0\0group\0many\0"),
	TEXT(HEAD EXEC "reload\0\0scale\0\0"),                 /* of no fleet */
	TEXT(HEAD EXEC "reload\0words\0teleport\0\0"),
	TEXT(HEAD "fleet\0a-name-of-more-than-sixty-three-bytes-which-no-fleet-can-have-0123456789\0Exec\0x\0"),
};

START_TEST(a_text_that_is_cut_or_another_one_is_refused)
{
	expect_refused(memory_of(broken[_i].text, broken[_i].len, SEALS), "the configuration in force cannot be read");
}
END_TEST

START_TEST(every_beginning_of_a_text_is_refused_or_a_configuration)
{
	static const char text[] = HEAD EXEC "fleet\0words\0Workers\0002\0";

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		struct rk_conf conf = { 0 };
		int fd = memory_of(text, len, SEALS);

		if (rk_conf_thaw(fd, &conf, &none, &err) == 0) {
			ck_assert_uint_eq(conf.n_fleets, 1);
			rk_conf_free_p(&conf);
		}
		(void)close(fd);
	}
}
END_TEST

START_TEST(what_this_release_does_not_know_is_refused_by_name)
{
	static const char nothing[] = HEAD;
	static const char key[] = HEAD EXEC "fleet\0words\0Teleport\0yes\0";
	static const char value[] = HEAD EXEC "fleet\0words\0Workers\0many\0";
	static const char section[] = HEAD EXEC "supervisor\0\0Workers\0002\0"; /* a fleet's key */

	expect_refused(memory_of(nothing, sizeof(nothing) - 1, SEALS), "there is no fleet");
	expect_refused(memory_of(key, sizeof(key) - 1, SEALS), "Teleport");
	expect_refused(memory_of(value, sizeof(value) - 1, SEALS), "'many'");
	expect_refused(memory_of(section, sizeof(section) - 1, SEALS), "Workers");
}
END_TEST

static const int fewer_seals[] = { 0, SEALS & ~F_SEAL_WRITE, SEALS & ~F_SEAL_SHRINK, SEALS & ~F_SEAL_GROW };

START_TEST(what_can_still_be_changed_is_refused)
{
	static const char text[] = HEAD EXEC;

	expect_refused(memory_of(text, sizeof(text) - 1, fewer_seals[_i]), "cannot be read");
}
END_TEST

START_TEST(what_is_no_memory_of_ours_is_refused)
{
	int pair[2];

	expect_refused(open("/proc/self/stat", O_RDONLY | O_CLOEXEC), "cannot be read");
	ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
	expect_refused(pair[0], "cannot be read");
	expect_refused(-1, "cannot be read");
}
END_TEST

START_TEST(one_that_is_too_long_is_not_read_into_memory)
{
	int fd = memfd_create("frozen", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(ftruncate(fd, (off_t)1 << 40), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, SEALS), 0);
	expect_refused(fd, "cannot be read");
}
END_TEST

int main(void)
{
	TCase *c = unit_case("conf_frozen");

	tcase_add_loop_test(c, a_configuration_comes_back_as_it_was, 0, rk_countof(texts));
	tcase_add_test(c, what_a_reload_has_yet_to_do_comes_back);
	tcase_add_test(c, fleets_that_leave_come_back_apart_from_the_others);
	tcase_add_loop_test(c, a_text_that_is_cut_or_another_one_is_refused, 0, rk_countof(broken));
	tcase_add_test(c, every_beginning_of_a_text_is_refused_or_a_configuration);
	tcase_add_test(c, what_this_release_does_not_know_is_refused_by_name);
	tcase_add_loop_test(c, what_can_still_be_changed_is_refused, 0, rk_countof(fewer_seals));
	tcase_add_test(c, what_is_no_memory_of_ours_is_refused);
	tcase_add_test(c, one_that_is_too_long_is_not_read_into_memory);
	return unit_run(c);
}
