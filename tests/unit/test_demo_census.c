/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What the kernel lists is read as what it is, two living processes of one slot are
 *         duplicates, one that the board does not name is an orphan, and any of them makes demo's
 *         verdict false.
 * Method  Texts of stat and environ as the kernel writes them, and odd ones; lists of heads; a
 *         verdict that is good but for one figure.
 */
#include "cli/demo_census.h"

#include <check.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "cli/demo_show.h"
#include "tests/unit/unit.h"

static const struct {
	const char *text;
	bool is_stat, is_living;
	pid_t parent;
} stats[] = {
	{ "812 (wordcount) S 700 812 812 0 -1 4194304 100 0 0 0", true, true, 700 },
	{ "812 (a) Z 1 (b) R 700 812 812 0 -1 4194304 100 0", true, true, 700 },
	{ "812 (wordcount) T 700 812 812 0 -1 4194304 100 0", true, true, 700 },
	{ "812 (wordcount) Z 700 812 812 0 -1 4194308 100 0", true, false, 700 },
	{ "812 (wordcount) R 700 812 812 0 -1 4194308 100 0", true, false, 700 }, /* PF_EXITING */
	{ "812 (wordcount) S 700 812", false, false, 0 },
	{ "", false, false, 0 },
};

START_TEST(a_stat_file_is_read_as_what_it_says)
{
	struct rk_demo_stat s;

	ck_assert_int_eq(rk_demo_stat_parse(stats[_i].text, &s), stats[_i].is_stat);
	if (!stats[_i].is_stat)
		return;
	ck_assert_int_eq(s.parent, stats[_i].parent);
	ck_assert_int_eq(s.is_living, stats[_i].is_living);
}
END_TEST

#define BYTES(text) text, sizeof(text) - 1

static const struct {
	const char *bytes;
	size_t len;
	uint32_t slot;
} environments[] = {
	{ BYTES("HOME=/\0REKINDLE_WORKER=abi=2 worker=7 incarnation=3 fds=3:4\0X=y\0"), 7 },
	{ BYTES("REKINDLE_WORKER=abi=2 worker=0 incarnation=3"), 0 },
	{ BYTES("REKINDLE_WORKER=abi=2 standby=11 fds=3:4\0"), RK_DEMO_NO_SLOT },
	{ BYTES("X=REKINDLE_WORKER=abi=2 worker=7\0"), RK_DEMO_NO_SLOT },
	{ BYTES("REKINDLE_WORKER="), RK_DEMO_NO_SLOT },
	{ BYTES(""), RK_DEMO_NO_SLOT },
};

START_TEST(an_environment_tells_the_slot)
{
	char room[128] = { 0 }; /* what is read ends with a NUL */

	memcpy(room, environments[_i].bytes, environments[_i].len);
	ck_assert_uint_eq(rk_demo_slot_parse(room, environments[_i].len), environments[_i].slot);
}
END_TEST

START_TEST(two_of_one_slot_are_duplicates_and_standbys_are_none)
{
	const struct rk_demo_head heads[] = {
		{ 10, 0, true }, { 11, 1, true }, { 12, RK_DEMO_NO_SLOT, true }, { 13, RK_DEMO_NO_SLOT, true },
		{ 14, 1, false }, { 15, 1, true }, { 16, 0, true },
	};

	ck_assert_uint_eq(rk_demo_duplicates_of(heads, 0), 0);
	ck_assert_uint_eq(rk_demo_duplicates_of(heads, 4), 0);
	ck_assert_uint_eq(rk_demo_duplicates_of(heads, 5), 1);
	ck_assert_uint_eq(rk_demo_duplicates_of(heads, 7), 3);
}
END_TEST

START_TEST(whom_the_board_does_not_name_is_an_orphan)
{
	const struct rk_demo_head heads[] = { { 10, 0, true }, { 11, 1, false }, { 12, RK_DEMO_NO_SLOT, false } };

	ck_assert_uint_eq(rk_demo_orphans_of(heads, 1), 0);
	ck_assert_uint_eq(rk_demo_orphans_of(heads, 3), 2);
}
END_TEST

START_TEST(one_of_them_makes_the_verdict_false)
{
	struct rk_demo_chaos chaos = { .reign = RK_DEMO_REIGN_NONE };
	struct rk_demo_result r = { .chaos = &chaos };
	uint64_t *figures[] = { &chaos.census.n_duplicates, &chaos.census.n_orphans, &chaos.census.n_changed };

	ck_assert(rk_demo_result_is_good(&r));
	*figures[_i] = 1;
	ck_assert(!rk_demo_result_is_good(&r));
	r.verdict.poison = r.verdict.quarantined = r.verdict.dead_letters = 1; /* it ends workers that nobody counts */
	ck_assert_int_eq(rk_demo_result_is_good(&r), _i == 2);
}
END_TEST

START_TEST(a_process_of_another_parent_is_no_supervisor)
{
	struct rk_demo_fleet f = RK_DEMO_FLEET_NONE;

	f.keeper.pid = getpid();
	ck_assert(!rk_demo_census_is_supervisor(&f, getpid())); /* the same program, and not its own child */
	ck_assert(!rk_demo_census_is_supervisor(&f, 0));
	f.keeper.pid = getppid();
	ck_assert(!rk_demo_census_is_supervisor(&f, -1));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("demo_census");

	tcase_add_loop_test(c, a_stat_file_is_read_as_what_it_says, 0, (int)rk_countof(stats));
	tcase_add_loop_test(c, an_environment_tells_the_slot, 0, (int)rk_countof(environments));
	tcase_add_test(c, two_of_one_slot_are_duplicates_and_standbys_are_none);
	tcase_add_test(c, whom_the_board_does_not_name_is_an_orphan);
	tcase_add_loop_test(c, one_of_them_makes_the_verdict_false, 0, 3);
	tcase_add_test(c, a_process_of_another_parent_is_no_supervisor);
	return unit_run(c);
}
