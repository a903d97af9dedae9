/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The command line is read whole or refused: what was given arrives where it belongs,
 *         every mistake gets a sentence that names the option.
 * Method  Two tables of command lines, good and bad, written as one string each; what the
 *         options become is looked at in the configuration they make.
 */
#include "supervisor/conf.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/unit/unit.h"

#define ARGS_MAX 64

/* Splits at blanks; "" in the text cannot be said and is not needed. */
struct line {
	char text[512];
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

/* Reads a line and makes its configuration. The first thing that is wrong is in err. */
static int parse(const char *text, struct rk_conf *ret, struct rk_err *err)
{
	rk_cleanup(rk_conf_request_free_p) struct rk_conf_request q = { 0 };
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	struct line l;
	int r;

	line_split(&l, text);
	r = rk_conf_request_read(&q, l.argc, l.argv, err);
	if (r == 0)
		r = rk_conf_load(ret, &q, &c, err);
	if (r == 0 && c.n > 0) {
		rk_conf_free_p(ret);
		return rk_err_set(err, -EINVAL, "%s", c.at[0].text);
	}
	return r;
}

START_TEST(what_is_not_said_has_its_default)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf c = { 0 };
	struct rk_err err = { 0 };

	ck_assert_msg(parse("--name a -- cmd x -n 3", &c, &err) == 0, "%s", err.text);
	ck_assert_str_eq(c.name, "a");
	ck_assert_uint_eq(c.n_fleets, 1);
	ck_assert_str_eq(c.fleets[0].name, "a");
	ck_assert_uint_eq(c.fleets[0].o.n_workers, 4);
	ck_assert_uint_eq(c.fleets[0].o.batch, 0);
	ck_assert_uint_eq(c.fleets[0].o.stop_timeout_ns, 5 * RK_NS_PER_S);
	ck_assert(!c.quiet && c.supervisor.log_level == RK_LEVEL_INFO);
	ck_assert_str_eq(c.fleets[0].o.exec.at[0], "cmd");
	ck_assert_str_eq(c.fleets[0].o.exec.at[2], "-n"); /* the command's own */
	ck_assert_str_eq(c.fleets[0].o.exec.at[3], "3");
	ck_assert_ptr_null(c.fleets[0].o.exec.at[4]);
}
END_TEST

START_TEST(everything_that_is_said_arrives)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf c = { 0 };
	const struct rk_fleet_options *o;
	struct rk_err err = { 0 };

	ck_assert_msg(
		parse("--name=f.1 -n200 --partitions 512 --ring=128 --max-clients 9 --slots 2 "
		      "--dedup 7 --max-request 2K --max-reply=4K --max-state 1M --undo 99 "
		      "--undo-data 8K --batch 16 --stop-timeout 250ms -q --debug --allow-faults "
		      "--blocking=no --set HangAfter=2s --set RealTime=yes --limit-nofile 64:128 "
		      "--environment A=1 --environment B=2 --strategy one-for-all cmd",
		      &c, &err) == 0,
		"%s", err.text);
	o = &c.fleets[0].o;
	ck_assert_str_eq(c.name, "f.1");
	ck_assert_uint_eq(o->n_workers, 200);
	ck_assert_uint_eq(c.fleets[0].geometry.n_workers, 200);
	ck_assert_uint_eq(c.fleets[0].geometry.n_partitions, 512);
	ck_assert_uint_eq(c.fleets[0].geometry.n_ring, 128);
	ck_assert_uint_eq(c.fleets[0].geometry.n_clients, 9);
	ck_assert_uint_eq(c.fleets[0].geometry.n_slots, 2);
	ck_assert_uint_eq(c.fleets[0].geometry.n_cells, 6); /* slots + 4 at least */
	ck_assert_uint_eq(c.fleets[0].geometry.n_dedup, 7);
	ck_assert_uint_eq(c.fleets[0].geometry.request_max, 2048);
	ck_assert_uint_eq(c.fleets[0].geometry.reply_max, 4096);
	ck_assert_uint_eq(c.fleets[0].geometry.state_max, 1 << 20);
	ck_assert_uint_eq(c.fleets[0].geometry.n_log, 99);
	ck_assert_uint_eq(c.fleets[0].geometry.log_data_len, 8192);
	ck_assert_uint_gt(c.fleets[0].geometry.n_readers, c.fleets[0].geometry.n_clients);
	ck_assert_uint_eq(o->batch, 16);
	ck_assert_uint_eq(o->stop_timeout_ns, 250 * RK_NS_PER_MS);
	ck_assert(c.quiet && c.supervisor.log_level == RK_LEVEL_DEBUG && c.supervisor.real_time);
	ck_assert(o->allow_faults && !o->is_blocking);
	ck_assert_uint_eq(o->hang_after_ns, 2 * RK_NS_PER_S);
	ck_assert_uint_eq(o->limit[RK_LIMIT_NOFILE].hard, 128);
	ck_assert_uint_eq(o->environment.n, 2);
	ck_assert_uint_eq(o->strategy, RK_STRATEGY_ONE_FOR_ALL); /* the fleet's, not the supervisor's */
	ck_assert_uint_eq(c.supervisor.strategy, RK_STRATEGY_ONE_FOR_ONE);
	ck_assert_str_eq(o->exec.at[0], "cmd"); /* without "--" */
}
END_TEST

START_TEST(the_command_arrives_as_it_is)
{
	const char *const argv[] = { "rekindled", "--name=a", "--", "a b", "",
				     "\"'\\",     "\n\x01",   "$x", "--",  NULL };
	rk_cleanup(rk_conf_request_free_p) struct rk_conf_request q = { 0 };
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	struct rk_err err = { 0 };

	ck_assert_int_eq(rk_conf_request_read(&q, 9, (char *const *)(uintptr_t)argv, &err), 0);
	ck_assert_int_eq(rk_conf_load(&conf, &q, &c, &err), 0);
	ck_assert_uint_eq(conf.fleets[0].o.exec.n, 6);
	for (uint32_t i = 0; i < 6; i++)
		ck_assert_str_eq(conf.fleets[0].o.exec.at[i], argv[3 + i]);
}
END_TEST

static const struct {
	const char *text;
	const char *says; /* what the sentence must name */
} bad[] = {
	{ "", "--name" },
	{ "-- cmd", "--name" },
	{ "--name a", "command" },
	{ "--name a --", "command" },
	{ "--name", "--name needs a value" },
	{ "--name ../a -- cmd", "--name" },
	{ "--name .a -- cmd", "--name" },
	{ "--name= -- cmd", "--name" },
	{ "--name a -n 0 -- cmd", "--workers" },
	{ "--name a -n 4096 -- cmd", "--workers" },
	{ "--name a -n x -- cmd", "--workers" },
	{ "--name a -n -- cmd", "--workers" },
	{ "--name a -n 99999999999999999999 -- cmd", "--workers" },
	{ "--name a --workers=-1 -- cmd", "--workers" },
	{ "--name a --batch 0 -- cmd", "--batch" },
	{ "--name a --batch 257 -- cmd", "--batch" },
	{ "--name a --max-state 1X -- cmd", "--max-state" },
	{ "--name a --max-state 8G -- cmd", "--max-state" },
	{ "--name a --stop-timeout 1.5s -- cmd", "--stop-timeout" },
	{ "--name a --stop-timeout 99999999999s -- cmd", "--stop-timeout" },
	{ "--name a --stop-timeout 5 -- cmd", "--stop-timeout" },
	{ "--name a --quiet=yes -- cmd", "--quiet" },
	{ "--name a --colour -- cmd", "--colour" },
	{ "--name a --partition 4 -- cmd", "did you mean '--partitions'" },
	{ "--name a -x -- cmd", "-x" },
	{ "--name a --partitions 100 -- cmd", "--partitions" },
	{ "--name a --partitions 0 -- cmd", "--partitions" },
	{ "--name a --ring 32 -- cmd", "--ring" },
	{ "--name a --slots 0 -- cmd", "--slots" },
	{ "--name a --slots 1025 -- cmd", "--slots" },
	{ "--name a --max-clients 65536 --slots 1024 -- cmd", "MaxClients" },
	{ "--name a --undo 1 -- cmd", "--undo" },
	{ "--name a --max-reply 1 -- cmd", "--max-reply" },
	{ "--name a --set Wrokers=1 -- cmd", "did you mean 'Workers'" },
	{ "--name a --set Workers -- cmd", "Key=Value" },
	{ "--name a --set =1 -- cmd", "Key=Value" },
	{ "--config a -n 3", "--config" },
	{ "--config a cmd", "--config" },
	{ "--config", "--config needs a value" },
	{ "--check --name a", "command" },
};

START_TEST(a_mistake_is_refused_with_its_name)
{
	struct rk_err err = { 0 };
	struct rk_conf c;

	ck_assert_msg(parse(bad[_i].text, &c, &err) < 0, "'%s'", bad[_i].text);
	ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "'%s': %s", bad[_i].text, err.text);
}
END_TEST

static const struct {
	const char *text;
	enum rk_conf_ask ask;
} asks[] = {
	{ "--help --bogus", RK_CONF_HELP },
	{ "--name a --version", RK_CONF_VERSION },
	{ "--name a -- cmd --help", RK_CONF_RUN }, /* the command's */
	{ "--check", RK_CONF_CHECK },
	{ "--check --config a", RK_CONF_CHECK },
	{ "--cat --config a --root /x", RK_CONF_CAT },
	{ "--cat --name a -- cmd", RK_CONF_CAT },
	{ "--cat-defaults", RK_CONF_CAT_DEFAULTS },
	{ "--man-conf", RK_CONF_MAN },
	{ "--config a", RK_CONF_RUN },
};

START_TEST(what_is_asked_for_is_known_before_anything_runs)
{
	rk_cleanup(rk_conf_request_free_p) struct rk_conf_request q = { 0 };
	struct rk_err err = { 0 };
	struct line l;

	line_split(&l, asks[_i].text);
	ck_assert_msg(rk_conf_request_read(&q, l.argc, l.argv, &err) == 0, "%s", err.text);
	ck_assert_int_eq(q.ask, asks[_i].ask);
	ck_assert_int_eq(rk_conf_request_is_ask(l.argc, l.argv), asks[_i].ask != RK_CONF_RUN);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("conf_args");

	tcase_add_test(c, what_is_not_said_has_its_default);
	tcase_add_test(c, everything_that_is_said_arrives);
	tcase_add_test(c, the_command_arrives_as_it_is);
	tcase_add_loop_test(c, a_mistake_is_refused_with_its_name, 0,
			    (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_loop_test(c, what_is_asked_for_is_known_before_anything_runs, 0,
			    (int)(sizeof(asks) / sizeof(asks[0])));
	return unit_run(c);
}
