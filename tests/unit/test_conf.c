/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What files say becomes the configuration: later wins, lists collect, defaults fill
 *         up; every mistake is told, each once, and follow-ups of a mistake are not.
 * Method  Small files; the four lines of the man page; a file of many mistakes.
 */
#include "supervisor/conf.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/conf_show.h"
#include "tests/unit/conf_fixture.h"
#include "tests/unit/unit.h"

START_TEST(two_lines_are_a_configuration)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	struct rk_geometry g;

	rk_geometry_default(&g);
	good_conf_of("[Fleet a]\nExec=cmd x 'y z'\n", &conf);
	ck_assert_uint_eq(conf.n_fleets, 1);
	ck_assert_str_eq(conf.fleets[0].name, "a");
	ck_assert_uint_eq(conf.fleets[0].o.n_workers, 4);
	ck_assert_str_eq(conf.fleets[0].o.exec.at[2], "y z");
	ck_assert_ptr_null(conf.fleets[0].o.exec.at[3]);
	ck_assert_uint_eq(conf.fleets[0].geometry.n_workers, 64);
	ck_assert_uint_eq(conf.fleets[0].geometry.n_partitions, g.n_partitions);
	ck_assert_uint_eq(conf.fleets[0].geometry.n_cells, g.n_slots + g.n_slots / 2);
	ck_assert_uint_gt(conf.fleets[0].reserved, 1 << 20);
	ck_assert_uint_eq(conf.supervisor.log_level, RK_LEVEL_INFO);
}
END_TEST

START_TEST(a_later_value_wins_and_lists_collect)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	const struct rk_conf_fleet *f;

	good_conf_of("[Fleet a]\nExec=one\nWorkers=2\nEnvironment=A=1\n"
		     "[Supervisor]\nLogLevel=debug\n"
		     "[Fleet b]\nExec=b\nWorkers=200\nStandby=8\nBlocking=no\n"
		     "[Fleet a]\nExec=two\nEnvironment=B=2\nWorkers=\nSlots=2\n",
		     &conf);
	ck_assert_uint_eq(conf.n_fleets, 2);
	f = rk_conf_fleet(&conf, "a");
	ck_assert_str_eq(f->o.exec.at[0], "two");
	ck_assert_uint_eq(f->o.n_workers, 4);
	ck_assert_uint_eq(f->o.environment.n, 2);
	ck_assert_uint_eq(f->geometry.n_cells, 6); /* slots + 4 at least */
	ck_assert_uint_eq(f->o.hang_after_ns, 10 * RK_NS_PER_S);
	f = rk_conf_fleet(&conf, "b");
	ck_assert_uint_eq(f->geometry.n_workers, 208);
	ck_assert_uint_eq(f->o.hang_after_ns, 100 * RK_NS_PER_MS);
	ck_assert_uint_eq(conf.supervisor.log_level, RK_LEVEL_DEBUG);
	ck_assert_ptr_null(rk_conf_fleet(&conf, "c"));
}
END_TEST

START_TEST(hang_after_is_believed_also_where_workers_never_wait)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };

	good_conf_of("[Fleet a]\nExec=a\nBlocking=no\nHangAfter=2s\n", &conf);
	ck_assert_uint_eq(conf.fleets[0].o.hang_after_ns, 2 * RK_NS_PER_S);
}
END_TEST

START_TEST(every_mistake_is_told_once_with_its_line)
{
	static const char *const says[] = {
		"unknown key 'LogLevl': did you mean 'LogLevel'?",
		"unknown key 'Exce': did you mean 'Exec'?",
		"StopTimeout=: '5' is not a duration",
		"unknown key 'ExecStart': what systemd calls so is Exec=",
		"LogLevel= belongs in [Supervisor]",
		"unknown key 'Foo': rekindle.conf(5)",
		"Workers=: '4 # four' is not a number "
		"(a comment needs a line of its own)",
		"Restart=: 'never' is none of"
	};
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };

	conf_of("[Supervisor]\nLogLevl=debug\n[Fleet a]\nExce=a\nStopTimeout=5\nExecStart=a\n"
		"LogLevel=info\nFoo=1\nWorkers=4 # four\nRestart=never\nRestart=no\n",
		&conf, &c);
	rk_complaints_sort(&c);
	for (uint32_t i = 0; i < rk_countof(says); i++) {
		ck_assert_uint_lt(i, c.n);
		ck_assert_msg(strstr(c.at[i].text, says[i]) == c.at[i].text, "%s", c.at[i].text);
		ck_assert_uint_eq(c.at[i].line, i + (i ? 3 : 2));
	}
	ck_assert_uint_eq(c.n, rk_countof(says));
}
END_TEST

START_TEST(one_fleet_too_many_is_refused)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	char text[RK_FLEETS_MAX * 32];
	size_t len = 0;

	for (uint32_t i = 0; i <= RK_FLEETS_MAX; i++)
		len += (size_t)sprintf(text + len, "[Fleet f%u]\nExec=a\n", i);
	conf_of(text, &conf, &c);
	ck_assert_uint_eq(conf.n_fleets, RK_FLEETS_MAX);
	expect_complaint(&c, RK_FLEETS_MAX * 2 + 1, "one too many");
}
END_TEST

START_TEST(what_cat_prints_is_the_same_configuration)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 }, again = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL, *second = NULL;
	char *at;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	good_conf_of("[Fleet a]\nExec='a b' c\nEnvironment=A=1\nEnvironment=\nEnvironment=B=2\n"
		     "Environment=C=3\nWorkers=2\nWorkers=3\n[Fleet b]\nExec=b\nUndo=\n"
		     "[Supervisor]\nLogLevel=debug\n",
		     &conf);
	rk_conf_cat(&conf, to);
	ck_assert_int_eq(fclose(to), 0);
	ck_assert_ptr_nonnull(strstr(text, "[Supervisor]\n# origin: /tmp/rk-conf."));
	ck_assert_ptr_nonnull(strstr(text, ":8\nWorkers=3\n"));
	ck_assert_ptr_null(strstr(text, "A=1"));
	ck_assert_ptr_null(strstr(text, "Workers=2"));
	ck_assert_ptr_null(strstr(text, "Undo"));
	at = strstr(text, "Environment=B=2\n");
	ck_assert(at && strstr(at, "Environment=C=3\n"));
	good_conf_of(text, &again);
	ck_assert_uint_eq(again.fleets[0].o.environment.n, 2);
	ck_assert_uint_eq(again.fleets[0].o.n_workers, 3);
	ck_assert_str_eq(again.fleets[0].o.exec.at[0], "a b");
	to = open_memstream(&second, &len);
	rk_conf_sum(&again, to);
	ck_assert_int_eq(fclose(to), 0);
	ck_assert_ptr_nonnull(strstr(second, ": 2 fleets, 7 workers, "));
	ck_assert_ptr_nonnull(strstr(second, " MiB of shared memory\n"));
}
END_TEST

START_TEST(the_defaults_that_are_printed_are_a_configuration)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	rk_conf_cat_defaults(to);
	(void)fputs("Exec=a\n", to);
	ck_assert_int_eq(fclose(to), 0);
	good_conf_of(text, &conf);
	ck_assert_uint_eq(conf.fleets[0].o.n_workers, 4);
}
END_TEST

START_TEST(what_is_not_there_is_an_error_of_its_own)
{
	struct rk_conf_request q = { .config = "/nonexistent/x.conf", .root = "/" };
	struct rk_complaints c = { 0 };
	struct rk_err err = { 0 };
	struct rk_conf conf;

	ck_assert_int_eq(rk_conf_load(&conf, &q, &c, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/x.conf"));
	ck_assert_uint_eq(c.n, 0);
}
END_TEST

static const struct {
	uint32_t n_workers, n_partitions;
	const char *says; /* NULL: nothing */
} doubtful[] = {
	{ 4, 256, NULL },
	{ 2, 2, NULL },
	{ 4, 2, "4 workers share 2 partitions: 2 of them can never own anything; give --partitions 4" },
	{ 5, 1, "5 workers share 1 partition: 4 of them can never own anything; give --partitions 8" },
};

START_TEST(more_workers_than_partitions_are_doubted)
{
	struct rk_conf_fleet f = { .o.n_workers = doubtful[_i].n_workers,
				   .geometry.n_partitions = doubtful[_i].n_partitions };
	char text[160];
	const char *doubt = rk_conf_doubt(&f, text, sizeof(text));

	ck_assert_int_eq(doubt != NULL, doubtful[_i].says != NULL);
	if (doubt)
		ck_assert_msg(strstr(doubt, doubtful[_i].says) != NULL, "%s", doubt);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("conf");

	tcase_add_test(c, two_lines_are_a_configuration);
	tcase_add_test(c, a_later_value_wins_and_lists_collect);
	tcase_add_test(c, hang_after_is_believed_also_where_workers_never_wait);
	tcase_add_test(c, every_mistake_is_told_once_with_its_line);
	tcase_add_loop_test(c, more_workers_than_partitions_are_doubted, 0, rk_countof(doubtful));
	tcase_add_test(c, one_fleet_too_many_is_refused);
	tcase_add_test(c, what_cat_prints_is_the_same_configuration);
	tcase_add_test(c, the_defaults_that_are_printed_are_a_configuration);
	tcase_add_test(c, what_is_not_there_is_an_error_of_its_own);
	return unit_run(c);
}
