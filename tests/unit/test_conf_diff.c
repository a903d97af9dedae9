/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A reload sees exactly what has changed, and refuses what cannot change while a fleet
 *         runs, naming key, values and remedy.
 * Method  Pairs of configurations; for every key of the table one with another value.
 */
#include "supervisor/conf_diff.h"

#include <check.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/unit/conf_fixture.h"
#include "tests/unit/unit.h"

static void diff(const char *from, const char *to, struct rk_diff *ret)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf old = { 0 }, new = { 0 };

	good_conf_of(from, &old);
	good_conf_of(to, &new);
	strcpy(old.name, "n");
	ck_assert_int_eq(rk_conf_diff(&old, &new, ret), 0);
}

#define A "[Fleet a]\nExec=x\n"
#define B "[Fleet b]\nExec=y\n"

START_TEST(the_same_said_otherwise_is_no_change)
{
	rk_cleanup(rk_diff_free_p) struct rk_diff d = { 0 };

	diff(A "StopTimeout=60s\nMaxState=64K\nEnvironment=A=1\nEnvironment=B=2\n" B,
	     "[Supervisor]\nLogLevel=info\n" B "[Fleet a]\nExec='x'\nStopTimeout=1min\n"
	     "Environment=\"A=1\" B=2\n",
	     &d);
	ck_assert_uint_eq(d.n, 0);
	ck_assert_uint_eq(d.n_refused, 0);
}
END_TEST

START_TEST(changes_carry_key_values_and_class)
{
	rk_cleanup(rk_diff_free_p) struct rk_diff d = { 0 };

	diff(A "Workers=4\nNice=1\n",
	     "[Supervisor]\nLogLevel=debug\n[Fleet a]\nExec=x -f\nWorkers=8\n", &d);
	ck_assert_uint_eq(d.n, 4);
	ck_assert_uint_eq(d.n_refused, 0);
	ck_assert_uint_eq(d.n_rolling, 2);
	ck_assert_str_eq(d.at[0].fleet, "");
	ck_assert_str_eq(d.at[0].key->name, "LogLevel");
	ck_assert_str_eq(d.at[1].key->name, "Exec");
	ck_assert_int_eq(d.at[1].reload, RK_RELOAD_SPAWN);
	ck_assert_str_eq(d.at[1].to, "x -f");
	ck_assert_str_eq(d.at[2].key->name, "Workers");
	ck_assert_int_eq(d.at[2].reload, RK_RELOAD_NOW);
	ck_assert_str_eq(d.at[2].from, "4");
	ck_assert_str_eq(d.at[3].from, "1");
	ck_assert_str_eq(d.at[3].to, "");
}
END_TEST

START_TEST(fleets_come_and_go)
{
	rk_cleanup(rk_diff_free_p) struct rk_diff d = { 0 };

	diff(A, B, &d);
	ck_assert_uint_eq(d.n, 2);
	ck_assert_int_eq(d.at[0].kind, RK_CHANGE_ADDED);
	ck_assert_str_eq(d.at[0].fleet, "b");
	ck_assert_int_eq(d.at[1].kind, RK_CHANGE_REMOVED);
	ck_assert_str_eq(d.at[1].fleet, "a");
}
END_TEST

START_TEST(what_cannot_change_is_refused_with_the_remedy)
{
	rk_cleanup(rk_diff_free_p) struct rk_diff d = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	diff(A, A "MaxState=1M\nPartitions=512\nHangAfter=1s\n", &d);
	ck_assert_uint_eq(d.n, 3);
	ck_assert_uint_eq(d.n_refused, 2);
	ck_assert_str_eq(
		d.at[0].refusal,
		"a: Partitions=256 -> 512 cannot change while it runs: take it back, or run "
		"'rekindle stop --name n' and start it again, which loses the states of its "
		"partitions");
	ck_assert_ptr_nonnull(strstr(d.at[1].refusal, "MaxState=64K -> 1M"));
	ck_assert_ptr_null(d.at[2].refusal);
	rk_change_print(&d.at[0], to);
	rk_change_print(&d.at[2], to);
	ck_assert_int_eq(fclose(to), 0);
	ck_assert_ptr_nonnull(strstr(text, "partitions\na: HangAfter=10s -> 1s (now)\n"));
}
END_TEST

START_TEST(workers_scale_up_to_the_slots_that_there_are)
{
	rk_cleanup(rk_diff_free_p) struct rk_diff fits = { 0 }, beyond = { 0 };

	diff(A, A "Workers=60\nStandby=4\n", &fits);
	ck_assert_uint_eq(fits.n, 2);
	ck_assert_uint_eq(fits.n_refused, 0);
	diff(A, A "Workers=65\n", &beyond);
	ck_assert_uint_eq(beyond.n_refused, 1);
	ck_assert_int_eq(beyond.at[0].reload, RK_RELOAD_NEVER);
	ck_assert_ptr_nonnull(strstr(beyond.at[0].refusal, "beyond what the memory"));
}
END_TEST

/* Some other value that is good for the key beside "Exec=x" and a second fleet b. */
static const char *other_value(const struct rk_key *k)
{
	static const char *const values[RK_VALUE_TYPES] = {
		[RK_VALUE_COUNT] = "1",       [RK_VALUE_NICE] = "3",
		[RK_VALUE_SIZE] = "2M",       [RK_VALUE_TIME] = "3s",
		[RK_VALUE_PATH] = "/x",       [RK_VALUE_COMMAND] = "z",
		[RK_VALUE_COMMANDS] = "z",    [RK_VALUE_ENVIRONMENT] = "Z=1",
		[RK_VALUE_PATHS] = "/z",      [RK_VALUE_FLEETS] = "b",
		[RK_VALUE_SIGNAL] = "SIGINT", [RK_VALUE_CATCHABLE] = "SIGUSR2",
		[RK_VALUE_STATUSES] = "3",    [RK_VALUE_CPUS] = "0",
		[RK_VALUE_USER] = "0",        [RK_VALUE_GROUP] = "0",
		[RK_VALUE_MODE] = "0666",     [RK_VALUE_LIMIT] = "3",
		[RK_VALUE_LIMIT_SIZE] = "3K", [RK_VALUE_OUTPUT] = "null",
		[RK_VALUE_TEXT] = "z",        [RK_VALUE_ESCAPED] = "z",
		[RK_VALUE_PATTERN] = "/z",    [RK_VALUE_URL_PATH] = "/z",
		[RK_VALUE_HEADER] = "Z",      [RK_VALUE_FIELD] = "3",
		[RK_VALUE_ADDRESSES] = "/%i",
		[RK_VALUE_NAME] = NULL, /* of a preset, which would have to be there */
	};

	if (k->type == RK_VALUE_BOOL)
		return strcmp(k->normal, "yes") == 0 ? "no" : "yes";
	if (k->type == RK_VALUE_ENUM)
		return strrchr(k->words, '|') ? strrchr(k->words, '|') + 1 : NULL;
	if (k->type == RK_VALUE_COUNT && k->min > 1)
		return "128";
	if (strcmp(k->name, "MaxRequest") == 0)
		return "2K";
	return values[k->type];
}

/* What has to stand beside the key, in both. */
static const char *company(const struct rk_key *k)
{
	if (strcmp(k->name, "ClientGroup") == 0)
		return "SocketMode=0660\n";
	if (strcmp(k->name, "Send") == 0)
		return "Expect=a\nKind=tcp\n";
	if (strcmp(k->name, "CheckpointInterval") == 0)
		return "CheckpointExec=a\nKind=tcp\n";
	if (!k->kinds || k->kinds >> RK_KIND_NATIVE & 1)
		return "";
	return k->kinds >> RK_KIND_TCP & 1    ? "Kind=tcp\n"
	       : k->kinds >> RK_KIND_HTTP & 1 ? "Kind=http\n"
					      : "Kind=lines\n";
}

START_TEST(a_change_of_any_key_is_seen)
{
	size_t n;
	const struct rk_key *k = &rk_keys(&n)[_i];
	rk_cleanup(rk_diff_free_p) struct rk_diff d = { 0 };
	const char *value = other_value(k), *also = company(k);
	char text[256], before[256];

	if (!value || strcmp(value, k->normal) == 0)
		value = k->type == RK_VALUE_COUNT || k->type == RK_VALUE_ENUM ? NULL : value;
	if (!value)
		return; /* there is no other value */
	(void)snprintf(before, sizeof(before), A "%s" B, also);
	(void)snprintf(text, sizeof(text), "%s" B "%s%s%s=%s\n",
		       rk_key_section(k) == RK_INI_FLEET ? "" : A,
		       rk_key_section(k) == RK_INI_FLEET ? A : "[Supervisor]\n", also, k->name,
		       value);
	diff(before, text, &d);
	for (uint32_t i = 0; i < d.n; i++)
		if (d.at[i].kind == RK_CHANGE_KEY && d.at[i].key == k)
			return;
	ck_abort_msg("%s=%s was not seen", k->name, value);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("conf_diff");
	size_t n;

	(void)rk_keys(&n);
	tcase_add_test(c, the_same_said_otherwise_is_no_change);
	tcase_add_test(c, changes_carry_key_values_and_class);
	tcase_add_test(c, fleets_come_and_go);
	tcase_add_test(c, what_cannot_change_is_refused_with_the_remedy);
	tcase_add_test(c, workers_scale_up_to_the_slots_that_there_are);
	tcase_add_loop_test(c, a_change_of_any_key_is_seen, 0, (int)n);
	return unit_run(c);
}
