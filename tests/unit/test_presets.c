/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What a preset says is weaker than everything that is said about its fleet, whatever the order, and
 *         shown with its own place; its mistakes are told there; one that does not exist is told with those
 *         that do. What is in force needs no file: it comes back from its frozen text, and a reload goes on
 *         with it.
 * Method  Presets below a temporary root, configurations beside them.
 */
#include "supervisor/presets.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/conf_check.h"
#include "supervisor/conf_frozen.h"
#include "supervisor/conf_show.h"
#include "supervisor/conf_wrap.h"
#include "tests/unit/conf_fixture.h"
#include "tests/unit/unit.h"

static char root[] = "/tmp/rk-presets.XXXXXX", config[64];
static struct rk_err err;

static const char *const folders[] = { "/etc", "/etc/rekindle", "/etc/rekindle/presets" };
static const char *const files[] = { "/c.conf", "/etc/rekindle/presets/redis.conf", "/etc/rekindle/presets/jq.conf",
				     "/etc/rekindle/presets/.hidden.conf", "/etc/rekindle/presets/README" };

static const char *below(const char *path)
{
	static char whole[128];

	(void)snprintf(whole, sizeof(whole), "%s%s", root, path);
	return whole;
}

static void put(const char *path, const char *text)
{
	FILE *to = fopen(below(path), "w");

	ck_assert_ptr_nonnull(to);
	(void)fputs(text, to);
	ck_assert_int_eq(fclose(to), 0);
}

static void tree_make(void)
{
	ck_assert_ptr_nonnull(mkdtemp(root));
	for (size_t i = 0; i < rk_countof(folders); i++)
		ck_assert_int_eq(mkdir(below(folders[i]), 0700), 0);
	(void)snprintf(config, sizeof(config), "%s/c.conf", root);
}

static void tree_drop(void)
{
	for (size_t i = 0; i < rk_countof(files); i++)
		(void)unlink(below(files[i]));
	for (size_t i = rk_countof(folders); i > 0; i--)
		(void)rmdir(below(folders[i - 1]));
	(void)rmdir(root);
}

/* Loads the text as ROOT/c.conf. */
static void load(const char *text, const struct rk_conf *before, struct rk_conf *ret, struct rk_complaints *c)
{
	struct rk_conf_request q = { .config = config, .root = root, .before = before };

	put("/c.conf", text);
	ck_assert_msg(rk_conf_load(ret, &q, c, &err) == 0, "%s", err.text);
}

static void load_good(const char *text, const struct rk_conf *before, struct rk_conf *ret)
{
	struct rk_complaints c = { 0 };

	load(text, before, ret, &c);
	ck_assert_msg(c.n == 0, "%s", c.n ? c.at[0].text : "");
}

static char *cat(const struct rk_conf *conf)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	rk_conf_cat(conf, to);
	ck_assert_int_eq(fclose(to), 0);
	return text;
}

#define REDIS                                                                                                          \
	"# what redis wants\n[Fleet]\nKind=tcp\nPort=6379\nStopTimeout=30s\nEnvironment=A=1\nSend=PING\\r\\n\nExpect=+PONG\n"

/* ---- what it says, and what is stronger ---- */

START_TEST(what_a_preset_says_holds)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	const struct rk_fleet_options *o;

	put("/etc/rekindle/presets/redis.conf", REDIS);
	load_good("[Fleet a]\nPreset=redis\nExec=redis-server\n[Fleet b]\nExec=b\n", NULL, &conf);
	o = &conf.fleets[0].o;
	ck_assert_uint_eq(o->kind, RK_KIND_TCP);
	ck_assert_uint_eq(o->port, 6379);
	ck_assert_uint_eq(o->stop_timeout_ns, 30 * RK_NS_PER_S);
	ck_assert_str_eq(o->send, "PING\r\n");
	ck_assert_str_eq(o->preset, "redis");
	ck_assert_str_eq(conf.fleets[0].name, "a");
	ck_assert_uint_eq(conf.fleets[1].o.kind, RK_KIND_NATIVE);
}
END_TEST

static const char *const orders[] = {
	"[Fleet a]\nPreset=redis\nExec=a\nPort=7\nStopTimeout=2s\nEnvironment=B=2\n",
	"[Fleet a]\nPort=7\nExec=a\nStopTimeout=2s\nEnvironment=B=2\nPreset=redis\n",
	"[Fleet a]\nPort=7\nPreset=jq\nExec=a\nPreset=redis\nStopTimeout=2s\n[Fleet a]\nEnvironment=B=2\n",
};

START_TEST(everything_else_is_stronger_whatever_the_order)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };
	const struct rk_fleet_options *o;

	put("/etc/rekindle/presets/redis.conf", REDIS);
	load_good(orders[_i], NULL, &conf);
	o = &conf.fleets[0].o;
	ck_assert_uint_eq(o->port, 7);
	ck_assert_uint_eq(o->stop_timeout_ns, 2 * RK_NS_PER_S);
	ck_assert_uint_eq(o->kind, RK_KIND_TCP);
	ck_assert_uint_eq(o->environment.n, 2);
	ck_assert_str_eq(o->environment.at[0], "A=1");
	ck_assert_str_eq(o->environment.at[1], "B=2");
}
END_TEST

START_TEST(an_empty_value_takes_back_what_it_says)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 }, none = { 0 };

	put("/etc/rekindle/presets/redis.conf", REDIS);
	load_good("[Fleet a]\nExec=a\nSend=\nExpect=\nEnvironment=\nPreset=redis\n", NULL, &conf);
	ck_assert_ptr_null(conf.fleets[0].o.expect);
	ck_assert_uint_eq(conf.fleets[0].o.environment.n, 0);
	load_good("[Fleet a]\nExec=a\nPreset=redis\nPreset=\n", NULL, &none);
	ck_assert_uint_eq(none.fleets[0].o.kind, RK_KIND_NATIVE);
}
END_TEST

START_TEST(two_fleets_may_have_the_same_one_or_others)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };

	put("/etc/rekindle/presets/redis.conf", REDIS);
	put("/etc/rekindle/presets/jq.conf", "[Fleet]\nKind=lines\n");
	load_good("[Fleet c]\nExec=c\nPreset=jq\n[Fleet a]\nExec=a\nPreset=redis\n[Fleet b]\nExec=b\nPreset=redis\nPort=9000\n", NULL,
		  &conf);
	ck_assert_str_eq(conf.fleets[0].name, "c"); /* the order is that of the configuration */
	ck_assert_uint_eq(conf.fleets[0].o.kind, RK_KIND_LINES);
	ck_assert_uint_eq(conf.fleets[1].o.port, 6379);
	ck_assert_uint_eq(conf.fleets[2].o.port, 9000);
	ck_assert_str_eq(conf.fleets[2].o.expect, "+PONG");
}
END_TEST

START_TEST(cat_says_what_came_from_it)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 }, again = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;
	char line[160];

	put("/etc/rekindle/presets/redis.conf", REDIS);
	load_good("[Fleet a]\nExec=a\nStopTimeout=2s\nPreset=redis\n", NULL, &conf);
	text = cat(&conf);
	(void)snprintf(line, sizeof(line), "# origin: %s/etc/rekindle/presets/redis.conf:4\nPort=6379\n", root);
	ck_assert_msg(strstr(text, line) != NULL, "%s", text);
	(void)snprintf(line, sizeof(line), "# origin: %s:3\nStopTimeout=2s\n", config);
	ck_assert_msg(strstr(text, line) != NULL, "%s", text);
	ck_assert_ptr_null(strstr(text, "StopTimeout=30s"));
	load_good(text, NULL, &again); /* what cat prints is a configuration, with the preset and without */
	ck_assert_uint_eq(again.fleets[0].o.stop_timeout_ns, 2 * RK_NS_PER_S);
}
END_TEST

START_TEST(a_command_line_has_presets_too)
{
	char of_root[80];
	char *const argv[] = { (char[]){ "rekindled" }, (char[]){ "--name=a" }, of_root, (char[]){ "--preset=redis" },
			       (char[]){ "--port=7" },  (char[]){ "--" },       (char[]){ "redis-server" }, NULL };
	rk_cleanup(rk_conf_request_free_p) struct rk_conf_request q = { 0 };
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };

	put("/etc/rekindle/presets/redis.conf", REDIS);
	(void)snprintf(of_root, sizeof(of_root), "--root=%s", root);
	ck_assert_msg(rk_conf_request_read(&q, 7, argv, &err) == 0, "%s", err.text);
	ck_assert_msg(rk_conf_load(&conf, &q, &c, &err) == 0, "%s", err.text);
	ck_assert_msg(c.n == 0, "%s", c.n ? c.at[0].text : "");
	ck_assert_uint_eq(conf.fleets[0].o.port, 7);
	ck_assert_uint_eq(conf.fleets[0].o.kind, RK_KIND_TCP);
}
END_TEST

/* ---- mistakes ---- */

static const struct {
	const char *preset;
	uint32_t line;
	const char *says;
} bad[] = {
	{ "[Fleet]\nPrt=7\n", 2, "unknown key 'Prt': did you mean 'Port'?" },
	{ "[Fleet]\nKind=tcp\nPort=70000\n", 3, "Port=: " },
	{ "[Fleet]\nExec=x\n", 2, "Exec= does not belong in a preset" },
	{ "[Fleet]\nPreset=jq\n", 2, "Preset= does not belong in a preset" },
	{ "[Fleet x]\nKind=tcp\n", 1, "a preset is for any fleet: write [Fleet] without a name" },
	{ "[Supervisor]\nLogLevel=info\n", 1, "[Supervisor] does not belong in a preset: write [Fleet]" },
	{ "Kind=tcp\n", 1, "stands before any section" },
	{ "[Service]\nKind=tcp\n", 1, "there is no section [Service]" },
	{ "[Fleet]\nKind=tcp", 2, "no newline" },
	{ "[Fleet]\nKind=lines\nPort=7\nSend=a\n", 4, "Send= is for Kind=http, tcp, notify or exec, and fleet 'a' is Kind=lines" },
};

START_TEST(its_mistakes_are_told_with_its_own_lines)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };

	put("/etc/rekindle/presets/redis.conf", bad[_i].preset);
	load("[Fleet a]\nPreset=redis\nExec=a\n", NULL, &conf, &c);
	expect_complaint(&c, bad[_i].line, bad[_i].says);
	ck_assert_str_eq(c.at[0].file, below("/etc/rekindle/presets/redis.conf"));
}
END_TEST

START_TEST(one_that_is_no_file_is_told)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { 0 };

	ck_assert_int_eq(mkfifo(below("/etc/rekindle/presets/redis.conf"), 0600), 0);
	load("[Fleet a]\nPreset=redis\nExec=a\n", NULL, &conf, &c);
	expect_complaint(&c, 0, "is no regular file");
}
END_TEST

START_TEST(one_that_does_not_exist_is_told_with_those_that_do)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints near = { 0 }, far = { 0 }, bad_name = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf a = { 0 }, b = { 0 }, d = { 0 };
	const struct rk_key *preset = rk_key_find(RK_INI_FLEET, "Preset");

	put("/etc/rekindle/presets/redis.conf", REDIS);
	put("/etc/rekindle/presets/jq.conf", "[Fleet]\nKind=lines\n");
	put("/etc/rekindle/presets/.hidden.conf", "");
	put("/etc/rekindle/presets/README", "");
	load("[Fleet a]\nExec=a\nPreset=rediss\nPort=7\n", NULL, &a, &near); /* of which kind, nobody knows */
	expect_complaint(&near, 3, "Preset=rediss: there is none, did you mean 'redis'? There are: ");
	ck_assert_ptr_nonnull(strstr(near.at[0].text, "jq, "));
	ck_assert_ptr_null(strstr(near.at[0].text, "hidden"));
	ck_assert_ptr_null(strstr(near.at[0].text, "README"));
	ck_assert(rk_conf_is_bad(&a.fleets[0], preset));
	load("[Fleet a]\nExec=a\nPreset=mongodb\n", NULL, &b, &far);
	expect_complaint(&far, 3, "Preset=mongodb: there is none; there are: ");
	load("[Fleet a]\nExec=a\nPreset=../jq\n", NULL, &d, &bad_name);
	expect_complaint(&bad_name, 3, "Preset=: name '../jq': use 1 to 63");
}
END_TEST

/* ---- when the file is gone ---- */

START_TEST(what_is_in_force_needs_no_file)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf was = { 0 }, is = { 0 }, leaving = { 0 }, new = { 0 };
	rk_cleanup(rk_close_p) int fd = -1;
	rk_cleanup(rk_close_p) int again = -1;

	put("/etc/rekindle/presets/redis.conf", REDIS);
	load_good("[Fleet a]\nExec=a\nStopTimeout=2s\nPreset=redis\n[Fleet b]\nExec=b\n", NULL, &was);
	ck_assert_int_eq(unlink(below("/etc/rekindle/presets/redis.conf")), 0);
	fd = rk_conf_freeze(&was, NULL, 0);
	ck_assert_msg(rk_conf_thaw(fd, &is, &leaving, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(is.fleets[0].o.port, 6379);
	ck_assert_uint_eq(is.fleets[0].o.stop_timeout_ns, 2 * RK_NS_PER_S);
	ck_assert_str_eq(is.fleets[0].o.preset, "redis");
	again = rk_conf_freeze(&is, NULL, 0);
	ck_assert(rk_conf_frozen_is_same(fd, again));
	/* And a reload, by a supervisor that has it from its predecessor. */
	load_good("[Fleet a]\nExec=a\nStopTimeout=3s\nPreset=redis\n[Fleet b]\nExec=b\n", &is, &new);
	ck_assert_uint_eq(new.fleets[0].o.port, 6379);
	ck_assert_uint_eq(new.fleets[0].o.stop_timeout_ns, 3 * RK_NS_PER_S);
	ck_assert_uint_eq(new.fleets[1].o.kind, RK_KIND_NATIVE);
}
END_TEST

static const char *const others[] = {
	"[Fleet a]\nExec=a\n[Fleet b]\nExec=b\nPreset=redis\n", /* a fleet that has not had it */
	"[Fleet a]\nExec=a\nPreset=jq\n",                       /* another one */
};

START_TEST(what_was_not_in_force_does_need_one)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(rk_conf_free_p) struct rk_conf was = { 0 }, new = { 0 };

	put("/etc/rekindle/presets/redis.conf", REDIS);
	load_good("[Fleet a]\nExec=a\nPreset=redis\n[Fleet b]\nExec=b\n", NULL, &was);
	ck_assert_int_eq(unlink(below("/etc/rekindle/presets/redis.conf")), 0);
	load(others[_i], &was, &new, &c);
	ck_assert_uint_eq(c.n, 1);
	ck_assert_ptr_nonnull(strstr(c.at[0].text, "Preset="));
}
END_TEST

START_TEST(a_file_that_changed_counts_at_a_reload)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf was = { 0 }, new = { 0 };

	put("/etc/rekindle/presets/redis.conf", REDIS);
	load_good("[Fleet a]\nExec=a\nPreset=redis\n", NULL, &was);
	put("/etc/rekindle/presets/redis.conf", "[Fleet]\nKind=tcp\nPort=99\n");
	load_good("[Fleet a]\nExec=a\nPreset=redis\n", &was, &new);
	ck_assert_uint_eq(new.fleets[0].o.port, 99);
	ck_assert_ptr_null(new.fleets[0].o.expect);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("presets");

	tcase_add_checked_fixture(c, tree_make, tree_drop);
	tcase_add_test(c, what_a_preset_says_holds);
	tcase_add_loop_test(c, everything_else_is_stronger_whatever_the_order, 0, (int)rk_countof(orders));
	tcase_add_test(c, an_empty_value_takes_back_what_it_says);
	tcase_add_test(c, two_fleets_may_have_the_same_one_or_others);
	tcase_add_test(c, cat_says_what_came_from_it);
	tcase_add_test(c, a_command_line_has_presets_too);
	tcase_add_loop_test(c, its_mistakes_are_told_with_its_own_lines, 0, (int)rk_countof(bad));
	tcase_add_test(c, one_that_is_no_file_is_told);
	tcase_add_test(c, one_that_does_not_exist_is_told_with_those_that_do);
	tcase_add_test(c, what_is_in_force_needs_no_file);
	tcase_add_loop_test(c, what_was_not_in_force_does_need_one, 0, (int)rk_countof(others));
	tcase_add_test(c, a_file_that_changed_counts_at_a_reload);
	return unit_run(c);
}
