/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The command line is read whole or refused: what was given arrives where it belongs,
 *         every mistake gets its code and a sentence that names the option.
 * Method  Two tables of command lines, good and bad, written as one string each.
 */
#include "supervisor/conf.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/unit.h"

#define ARGS_MAX 32

/* Splits at blanks; "" in the text cannot be said and is not needed. */
struct line {
	char text[256];
	char *argv[ARGS_MAX + 1];
	int argc;
};

static void line_split(struct line *l, const char *text)
{
	char *rest = NULL;

	memset(l, 0, sizeof(*l));
	ck_assert_uint_lt(strlen(text), sizeof(l->text));
	memcpy(l->text, text, strlen(text) + 1);
	l->argv[l->argc++] = l->text + sizeof(l->text) - 1; /* "": the program's name */
	for (char *at = strtok_r(l->text, " ", &rest); at; at = strtok_r(NULL, " ", &rest))
		l->argv[l->argc++] = at;
}

static int parse(struct line *l, const char *text, struct rk_conf *ret, struct rk_err *err)
{
	line_split(l, text);
	return rk_conf_parse(ret, l->argc, l->argv, err);
}

START_TEST(what_is_not_said_has_its_default)
{
	struct rk_geometry g;
	struct rk_conf c;
	struct rk_err err;
	struct line l;

	rk_geometry_default(&g);
	ck_assert_int_eq(parse(&l, "--name a -- cmd x -n 3", &c, &err), 0);
	ck_assert_str_eq(c.name, "a");
	ck_assert_uint_eq(c.n_workers, 4);
	ck_assert_uint_eq(c.batch, 0);
	ck_assert_uint_eq(c.stop_timeout_ns, 5 * RK_NS_PER_S);
	ck_assert(!c.quiet && !c.debug);
	ck_assert_uint_eq(c.geometry.n_workers, 64);
	ck_assert_uint_eq(c.geometry.n_partitions, g.n_partitions);
	ck_assert_uint_eq(c.geometry.n_cells, g.n_slots + g.n_slots / 2);
	ck_assert_str_eq(c.command[0], "cmd");
	ck_assert_str_eq(c.command[2], "-n"); /* the command's own */
	ck_assert_str_eq(c.command[3], "3");
	ck_assert_ptr_null(c.command[4]);
}
END_TEST

START_TEST(everything_that_is_said_arrives)
{
	struct rk_conf c;
	struct rk_err err;
	struct line l;

	ck_assert_int_eq(
		parse(&l,
		      "--name=f.1 -n200 --partitions 512 --ring=128 --max-clients 9 "
		      "--slots 2 --dedup 7 --max-request 2K --max-reply=4K --max-state 1M "
		      "--undo 99 --undo-data 8K --batch 16 --stop-timeout 250ms -q --debug cmd",
		      &c, &err),
		0);
	ck_assert_str_eq(c.name, "f.1");
	ck_assert_uint_eq(c.n_workers, 200);
	ck_assert_uint_eq(c.geometry.n_workers, 200);
	ck_assert_uint_eq(c.geometry.n_partitions, 512);
	ck_assert_uint_eq(c.geometry.n_ring, 128);
	ck_assert_uint_eq(c.geometry.n_clients, 9);
	ck_assert_uint_eq(c.geometry.n_slots, 2);
	ck_assert_uint_eq(c.geometry.n_cells, 6); /* slots + 4 at least */
	ck_assert_uint_eq(c.geometry.n_dedup, 7);
	ck_assert_uint_eq(c.geometry.request_max, 2048);
	ck_assert_uint_eq(c.geometry.reply_max, 4096);
	ck_assert_uint_eq(c.geometry.state_max, 1 << 20);
	ck_assert_uint_eq(c.geometry.n_log, 99);
	ck_assert_uint_eq(c.geometry.log_data_len, 8192);
	ck_assert_uint_gt(c.geometry.n_readers, c.geometry.n_clients);
	ck_assert_uint_eq(c.batch, 16);
	ck_assert_uint_eq(c.stop_timeout_ns, 250 * RK_NS_PER_MS);
	ck_assert(c.quiet && c.debug);
	ck_assert_str_eq(c.command[0], "cmd"); /* without "--" */
}
END_TEST

static const struct {
	const char *text;
	int code;
	const char *says; /* what the sentence must name */
} bad[] = {
	{ "", -EINVAL, "--name" },
	{ "-- cmd", -EINVAL, "--name" },
	{ "--name a", -EINVAL, "command" },
	{ "--name a --", -EINVAL, "command" },
	{ "--name", -EINVAL, "--name needs a value" },
	{ "--name ../a -- cmd", -EINVAL, "--name" },
	{ "--name .a -- cmd", -EINVAL, "--name" },
	{ "--name= -- cmd", -EINVAL, "--name" },
	{ "--name a -n 0 -- cmd", -EINVAL, "--workers" },
	{ "--name a -n 4096 -- cmd", -EINVAL, "--workers" },
	{ "--name a -n x -- cmd", -EINVAL, "--workers" },
	{ "--name a -n -- cmd", -EINVAL, "--workers" },
	{ "--name a -n 99999999999999999999 -- cmd", -EINVAL, "--workers" },
	{ "--name a --workers=-1 -- cmd", -EINVAL, "--workers: -1: must be 1..4095" },
	{ "--name a --batch 0 -- cmd", -EINVAL, "--batch" },
	{ "--name a --batch 257 -- cmd", -EINVAL, "--batch" },
	{ "--name a --max-state 1X -- cmd", -EINVAL, "--max-state" },
	{ "--name a --max-state 8G -- cmd", -EINVAL, "--max-state" },
	{ "--name a --stop-timeout 1.5s -- cmd", -EINVAL, "--stop-timeout" },
	{ "--name a --stop-timeout 99999999999s -- cmd", -EINVAL, "--stop-timeout" },
	{ "--name a --stop-timeout 5 -- cmd", -EINVAL, "give a unit: 5s or 5ms" },
	{ "--name a --quiet=yes -- cmd", -EINVAL, "--quiet" },
	{ "--name a --colour -- cmd", -EINVAL, "--colour" },
	{ "--name a --partition 4 -- cmd", -EINVAL, "--partition" },
	{ "--name a -x -- cmd", -EINVAL, "-x" },
	{ "--name a --partitions 100 -- cmd", -EINVAL, "--partitions: 100: must be a power of two, 1..16384" },
	{ "--name a --partitions 0 -- cmd", -EINVAL, "--partitions: 0: must be 1..16384" },
	{ "--name a --ring 32 -- cmd", -EINVAL, "--ring: 32: must be 64.." },
	{ "--name a --slots 0 -- cmd", -EINVAL, "--slots: 0: must be 1..1024" },
	{ "--name a --slots 1025 -- cmd", -EINVAL, "--slots: 1025: must be 1..1024" },
	{ "--name a --max-clients 65536 --slots 1024 -- cmd", -ERANGE, "clients" },
	{ "--name a --max-state 2G --dedup 65534 --max-reply 16M -- cmd", -ERANGE, "bank" },
	{ "--name a --undo 1 -- cmd", -EINVAL, "--undo: 1: must be 8..65535" },
	{ "--name a --max-reply 1 -- cmd", -EINVAL, "--max-reply: 1: must be 8..16M" },
};

START_TEST(a_mistake_is_refused_with_its_code_and_its_name)
{
	struct rk_conf c, untouched;
	struct rk_err err = { 0 };
	struct line l;

	memset(&c, 0x5a, sizeof(c));
	memset(&untouched, 0x5a, sizeof(untouched));
	ck_assert_msg(parse(&l, bad[_i].text, &c, &err) == bad[_i].code, "'%s': %s", bad[_i].text,
		      err.text);
	ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "'%s': %s", bad[_i].text, err.text);
	ck_assert_mem_eq(&c, &untouched, sizeof(c));
}
END_TEST

static const struct {
	const char *text;
	const char *says; /* NULL = nothing is doubtful */
} doubtful[] = {
	{ "--name a -- cmd", NULL },
	{ "--name a -n 4 --partitions 4 -- cmd", NULL },
	{ "--name a -n 4 --partitions 2 -- cmd",
	  "4 workers share 2 partitions: 2 of them can never own anything; give --partitions 4" },
	{ "--name a -n 5 --partitions 1 -- cmd",
	  "5 workers share 1 partition: 4 of them can never own anything; give --partitions 8" },
};

START_TEST(more_workers_than_partitions_are_doubted)
{
	struct rk_conf c;
	struct rk_err err;
	struct line l;
	char text[160];
	const char *doubt;

	ck_assert_int_eq(parse(&l, doubtful[_i].text, &c, &err), 0);
	doubt = rk_conf_doubt(&c, text, sizeof(text));
	ck_assert_int_eq(doubt != NULL, doubtful[_i].says != NULL);
	if (doubt)
		ck_assert_msg(strstr(doubt, doubtful[_i].says) != NULL, "%s", doubt);
}
END_TEST

START_TEST(help_and_version_come_before_mistakes_behind_them)
{
	struct rk_conf c;
	struct rk_err err;
	struct line l;

	ck_assert_int_eq(parse(&l, "--help --bogus", &c, &err), RK_CONF_HELP);
	ck_assert_int_eq(parse(&l, "--name a --version", &c, &err), RK_CONF_VERSION);
	ck_assert_int_eq(parse(&l, "--name a -- cmd --help", &c, &err), 0); /* the command's */
	ck_assert_ptr_nonnull(strstr(rk_conf_usage(), "--stop-timeout"));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("conf");

	tcase_add_test(c, what_is_not_said_has_its_default);
	tcase_add_test(c, everything_that_is_said_arrives);
	tcase_add_loop_test(c, a_mistake_is_refused_with_its_code_and_its_name, 0,
			    (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_loop_test(c, more_workers_than_partitions_are_doubted, 0,
			    (int)(sizeof(doubtful) / sizeof(doubtful[0])));
	tcase_add_test(c, help_and_version_come_before_mistakes_behind_them);
	return unit_run(c);
}
