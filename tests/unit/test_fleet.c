/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Of what keeper holds a supervisor knows which fleets there are, and which of them were made
 *         to the end: one that was not, or whose journal says something else, is nobody's.
 * Method  Journals of real fleets among other memory, changed by hand.
 */
#include "supervisor/fleet.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define FLEETS 3u

/* One test per process. */
static struct rk_segments made[FLEETS];
static struct rk_heirloom things[FLEETS * RK_SEGMENT_KINDS + 2];
static struct rk_inherit in = { .at = things };

static void inherit(uint64_t tag, const char *name, int fd)
{
	struct rk_heirloom *one = &things[in.n++];

	*one = (struct rk_heirloom){ .about = { .op = RK_LINK_HELD, .kind = RK_LINK_MEMORY, .tag = tag }, .fd = fd };
	(void)strncpy(one->about.name, name, sizeof(one->about.name) - 1);
}

static void setup(void)
{
	static const char *const names[FLEETS] = { "words", "carts", "bank" };
	struct rk_geometry g;
	struct rk_err err = { 0 };

	rk_geometry_default(&g);
	g.n_partitions = 4;
	g.n_clients = 3;
	inherit(RK_LINK_TAG_COMMON, "lock", -1);
	for (uint32_t i = 0; i < FLEETS; i++) {
		struct rk_journal *j;

		ck_assert_msg(rk_segments_create(&made[i], &g, &err) == 0, "%s", err.text);
		j = made[i].m.journal;
		j->number = i + 5;
		j->complete = 1;
		(void)strncpy(j->fleet, names[i], sizeof(j->fleet) - 1);
		for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
			inherit(rk_link_memory_tag(i + 5), rk_segment_name(k), made[i].fd[k]);
		inherit(rk_link_memory_tag(i + 5), RK_FLEET_NEWS, -1);
	}
}

static void teardown(void)
{
	for (uint32_t i = 0; i < FLEETS; i++)
		rk_segments_close(&made[i]);
}

static uint32_t find_all(struct rk_fleet_left *ret)
{
	uint32_t at = 0, n = 0;

	while (rk_fleet_next_left(&in, &at, &ret[n]))
		n++;
	return n;
}

START_TEST(each_fleet_is_found_once_with_its_name_and_number)
{
	struct rk_fleet_left left[FLEETS + 1];

	ck_assert_uint_eq(find_all(left), FLEETS);
	for (uint32_t i = 0; i < FLEETS; i++) {
		ck_assert_uint_eq(left[i].number, i + 5);
		ck_assert_str_eq(left[i].name, made[i].m.journal->fleet);
		ck_assert(rk_inherit_is_whole(&in, rk_link_memory_tag(i + 5)));
		ck_assert(!left[i].is_leaving);
	}
}
END_TEST

START_TEST(one_that_is_about_to_go_says_so)
{
	struct rk_fleet_left left[FLEETS + 1];

	atomic_store(&made[1].m.journal->flags, RK_JOURNAL_RUNS | RK_JOURNAL_LEAVING);
	ck_assert_uint_eq(find_all(left), FLEETS);
	ck_assert(!left[0].is_leaving && left[1].is_leaving && !left[2].is_leaving);
}
END_TEST

static void assert_whole(bool first, bool second, bool third)
{
	ck_assert_int_eq(rk_inherit_is_whole(&in, rk_link_memory_tag(5)), first);
	ck_assert_int_eq(rk_inherit_is_whole(&in, rk_link_memory_tag(6)), second);
	ck_assert_int_eq(rk_inherit_is_whole(&in, rk_link_memory_tag(7)), third);
	ck_assert_int_eq(rk_inherit_is_partial(&in), !first || !second || !third);
}

START_TEST(one_that_was_half_made_is_not_whole)
{
	assert_whole(true, true, true);
	made[0].m.journal->complete = 0;
	made[1].m.journal->number = 6 + 1; /* another one's journal in its place */
	assert_whole(false, false, true);
}
END_TEST

START_TEST(one_whose_journal_cannot_be_read_is_not_whole)
{
	struct rk_fleet_left left[FLEETS + 1];
	int small = memfd_create("small", MFD_CLOEXEC), pair[2];

	ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
	ck_assert_int_eq(ftruncate(small, sizeof(struct rk_journal) - 1), 0);
	for (uint32_t i = 0; i < in.n; i++) {
		if (strcmp(things[i].about.name, "journal") != 0)
			continue;
		if (things[i].about.tag == rk_link_memory_tag(5))
			things[i].fd = small;
		if (things[i].about.tag == rk_link_memory_tag(6))
			things[i].fd = pair[0];
	}
	assert_whole(false, false, true);
	ck_assert_uint_eq(find_all(left), 1);
	ck_assert_uint_eq(left[0].number, 7);
}
END_TEST

START_TEST(a_name_without_an_end_is_cut)
{
	struct rk_fleet_left left[FLEETS + 1];

	memset(made[0].m.journal->fleet, 'x', sizeof(made[0].m.journal->fleet));
	ck_assert_uint_eq(find_all(left), FLEETS);
	ck_assert_uint_eq(strlen(left[0].name), sizeof(left[0].name) - 1);
}
END_TEST

START_TEST(what_was_taken_is_not_found_again)
{
	struct rk_fleet_left left[FLEETS + 1];

	for (uint32_t i = 0; i < in.n; i++)
		if (things[i].about.tag == rk_link_memory_tag(6))
			things[i].fd = -1;
	ck_assert_uint_eq(find_all(left), FLEETS - 1);
	ck_assert_str_eq(left[1].name, "bank");
}
END_TEST

START_TEST(without_memory_there_is_none)
{
	struct rk_fleet_left left[1];

	in.n = 1; /* the lock */
	ck_assert_uint_eq(find_all(left), 0);
	in.n = 0;
	ck_assert_uint_eq(find_all(left), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("fleet");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, each_fleet_is_found_once_with_its_name_and_number);
	tcase_add_test(c, one_that_is_about_to_go_says_so);
	tcase_add_test(c, one_that_was_half_made_is_not_whole);
	tcase_add_test(c, one_whose_journal_cannot_be_read_is_not_whole);
	tcase_add_test(c, a_name_without_an_end_is_cut);
	tcase_add_test(c, what_was_taken_is_not_found_again);
	tcase_add_test(c, without_memory_there_is_none);
	return unit_run(c);
}
