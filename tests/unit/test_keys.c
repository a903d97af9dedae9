/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The table of keys is sound: every key can be found, asked for, reset and printed; its
 *         default is a good value; the sizes' defaults are those of shm/layout.
 * Method  Walks the whole table.
 */
#include "supervisor/keys.h"

#include <check.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "shm/layout.h"
#include "supervisor/value.h"
#include "tests/unit/unit.h"

static union {
	struct rk_fleet_options fleet;
	struct rk_supervisor_options supervisor;
} options;

START_TEST(every_key_is_found_and_has_all_that_people_read)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	ck_assert_uint_gt(n, 70);
	for (size_t i = 0; i < n; i++) {
		size_t help_len = strlen(k[i].help);

		ck_assert_ptr_eq(rk_key_find(rk_key_section(&k[i]), k[i].name), &k[i]);
		ck_assert_msg(help_len > 10 && k[i].help[help_len - 1] == '.', "%s", k[i].name);
		ck_assert_msg((k[i].type == RK_VALUE_ENUM) == (k[i].words != NULL), "%s",
			      k[i].name);
		ck_assert_uint_lt(strlen(k[i].name), RK_INI_KEY_MAX / 2);
		ck_assert(i == 0 || k[i].group >= k[i - 1].group);
	}
}
END_TEST

START_TEST(every_default_is_a_good_value_that_prints_as_it_is_written)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	for (enum rk_ini_section s = 0; s < RK_INI_SECTIONS; s++) {
		ck_assert_int_eq(rk_options_init(s, &options), 0);
		for (size_t i = 0; i < n; i++) {
			rk_cleanup(rk_free_p) char *text = NULL;

			if (rk_key_section(&k[i]) != s)
				continue;
			text = rk_value_text(&k[i], &options);
			ck_assert_str_eq(text, k[i].normal);
			ck_assert_msg(!rk_key_is_list(&k[i]) || !*k[i].normal, "%s", k[i].name);
		}
		rk_options_free(s, &options);
	}
}
END_TEST

START_TEST(no_two_keys_share_a_place_or_an_option)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++) {
			char a[RK_INI_KEY_MAX], b[RK_INI_KEY_MAX];

			if (rk_key_section(&k[i]) != rk_key_section(&k[j]))
				continue;
			rk_key_option(&k[i], a);
			rk_key_option(&k[j], b);
			ck_assert_str_ne(a, b);
			ck_assert_uint_ne(k[i].at, k[j].at);
		}
	}
}
END_TEST

START_TEST(the_sizes_defaults_are_those_of_the_layout)
{
	struct rk_geometry g;

	rk_geometry_default(&g);
	ck_assert_int_eq(rk_options_init(RK_INI_FLEET, &options), 0);
	ck_assert_uint_eq(options.fleet.n_partitions, g.n_partitions);
	ck_assert_uint_eq(options.fleet.n_ring, g.n_ring);
	ck_assert_uint_eq(options.fleet.n_clients, g.n_clients);
	ck_assert_uint_eq(options.fleet.n_slots, g.n_slots);
	ck_assert_uint_eq(options.fleet.n_dedup, g.n_dedup);
	ck_assert_uint_eq(options.fleet.n_undo, g.n_log);
	ck_assert_uint_eq(options.fleet.undo_data, g.log_data_len);
	ck_assert_uint_eq(options.fleet.max_request, g.request_max);
	ck_assert_uint_eq(options.fleet.max_reply, g.reply_max);
	ck_assert_uint_eq(options.fleet.max_state, g.state_max);
	rk_options_free(RK_INI_FLEET, &options);
}
END_TEST

static const struct {
	const char *key, *option;
} spelled[] = {
	{ "Exec", "exec" },
	{ "HangAfter", "hang-after" },
	{ "LimitNOFILE", "limit-nofile" },
	{ "MaxRSS", "max-rss" },
	{ "CPUAffinity", "cpu-affinity" },
	{ "CPUWeight", "cpu-weight" },
	{ "StopTimeout", "stop-timeout" },
	{ "MaxState", "max-state" },
	{ "UndoData", "undo-data" },
	{ "ExecStartPre", "exec-start-pre" },
	{ "LimitAS", "limit-as" },
};

START_TEST(a_keys_option_follows_the_rule)
{
	char option[RK_INI_KEY_MAX];

	rk_key_option(rk_key_find(RK_INI_FLEET, spelled[_i].key), option);
	ck_assert_str_eq(option, spelled[_i].option);
}
END_TEST

static const struct {
	const char *written, *meant, *whose;
} misspelt[] = {
	{ "Wrokers", "Workers", NULL },
	{ "workers", "Workers", NULL },
	{ "StopTimout", "StopTimeout", NULL },
	{ "TimeoutStopSec", "StopTimeout", "systemd" },
	{ "ExecStart", "Exec", "systemd" },
	{ "RestartMaxDelaySec", "RestartBackoffMax", "systemd" },
	{ "numprocs", "Workers", "supervisord" },
	{ "autostart", "Disabled", "supervisord" },
	{ "Frobnicate", NULL, NULL },
};

START_TEST(a_misspelt_or_foreign_key_is_recognized)
{
	const char *whose;
	const struct rk_key *k = rk_key_nearest(RK_INI_FLEET, misspelt[_i].written, &whose);

	ck_assert_str_eq(k ? k->name : "", misspelt[_i].meant ? misspelt[_i].meant : "");
	ck_assert_str_eq(whose ? whose : "", misspelt[_i].whose ? misspelt[_i].whose : "");
}
END_TEST

int main(void)
{
	TCase *c = unit_case("keys");

	tcase_add_test(c, every_key_is_found_and_has_all_that_people_read);
	tcase_add_test(c, every_default_is_a_good_value_that_prints_as_it_is_written);
	tcase_add_test(c, no_two_keys_share_a_place_or_an_option);
	tcase_add_test(c, the_sizes_defaults_are_those_of_the_layout);
	tcase_add_loop_test(c, a_keys_option_follows_the_rule, 0,
			    (int)(sizeof(spelled) / sizeof(spelled[0])));
	tcase_add_loop_test(c, a_misspelt_or_foreign_key_is_recognized, 0,
			    (int)(sizeof(misspelt) / sizeof(misspelt[0])));
	return unit_run(c);
}
