/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A note that is made for later stands in the flight recorder with its own time and in the
 *         order in which it was made, behind whatever somebody waited for, and none is lost.
 * Method  A recorder in a directory of its own, read back behind each step.
 */
#include "supervisor/recorder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/flight_reader.h"
#include "tests/unit/unit.h"

static char base[64], directory[80];
static struct rk_recorder recorder;

static const struct rk_note plain = {
	.kind = RK_FLIGHT_NOTE, .level = RK_LOG_DEBUG, .fleet = "carts", .slot = RK_FLIGHT_NOBODY
};

static void enter(void)
{
	strcpy(base, "/tmp/rkunit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	ck_assert_int_eq(setenv("REKINDLE_RUNTIME_DIR", base, 1), 0);
	snprintf(directory, sizeof(directory), "%s/carts", base);
	ck_assert_int_eq(mkdir(directory, 0700), 0);
	rk_recorder_open(&recorder, "carts", 64);
	ck_assert_int_ge(recorder.flight.fd, 0);
}

static void leave(void)
{
	rk_recorder_end(&recorder);
	ck_assert_msg(rmdir(directory) == 0 && rmdir(base) == 0, "something is left in %s", base);
}

/* The texts of the file, one blank between them; the times must not go back. */
static const char *told(void)
{
	static char text[1024];
	struct rk_flight_reader r;
	struct rk_flight_entry e;
	struct rk_err err;
	uint64_t last_ns = 0;
	size_t at = 0;

	text[0] = '\0';
	ck_assert_msg(rk_flight_reader_open(&r, recorder.path, &err) == 0, "%s", err.text);
	while (rk_flight_reader_next(&r, true, &e) == 0) {
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? " " : "", e.text);
		ck_assert_uint_ge(e.record.now_ns, last_ns);
		last_ns = e.record.now_ns;
	}
	rk_flight_reader_close_p(&r);
	return text;
}

START_TEST(a_note_for_later_is_written_at_the_last_release)
{
	rk_recorder_hold(&recorder);
	rk_recorder_note_later(&recorder, &plain, "one");
	rk_recorder_hold(&recorder);
	rk_recorder_note_later(&recorder, &plain, "two");
	rk_recorder_release(&recorder);
	ck_assert_str_eq(told(), "");
	rk_recorder_release(&recorder);
	ck_assert_str_eq(told(), "one two");
}
END_TEST

START_TEST(a_note_behind_it_does_not_overtake_it)
{
	rk_recorder_hold(&recorder);
	rk_recorder_note_later(&recorder, &plain, "one");
	ck_assert_uint_eq(rk_recorder_note(&recorder, &plain, "two"), 2);
	ck_assert_str_eq(told(), "one two");
	rk_recorder_note_later(&recorder, &plain, "three");
	rk_recorder_release(&recorder);
	ck_assert_str_eq(told(), "one two three");
}
END_TEST

START_TEST(outside_of_a_hold_it_is_written_at_once)
{
	rk_recorder_note_later(&recorder, &plain, "one");
	ck_assert_str_eq(told(), "one");
}
END_TEST

START_TEST(its_time_is_that_of_the_note)
{
	struct rk_flight_reader r;
	struct rk_flight_entry e;
	struct rk_err err;
	uint64_t noted_ns;

	rk_recorder_hold(&recorder);
	rk_recorder_note_later(&recorder, &plain, "one");
	noted_ns = rk_clock_ns();
	rk_recorder_release(&recorder);
	ck_assert_msg(rk_flight_reader_open(&r, recorder.path, &err) == 0, "%s", err.text);
	ck_assert_int_eq(rk_flight_reader_next(&r, true, &e), 0);
	ck_assert_uint_le(e.record.now_ns, noted_ns);
	rk_flight_reader_close_p(&r);
}
END_TEST

START_TEST(more_than_there_is_room_for_is_written_meanwhile)
{
	char all[512] = "";
	size_t at = 0;

	rk_recorder_hold(&recorder);
	for (unsigned int i = 0; i < 3 * RK_RECORDER_LATER; i++) {
		rk_recorder_note_later(&recorder, &plain, "n%u", i);
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%sn%u", at ? " " : "", i);
	}
	rk_recorder_release(&recorder);
	ck_assert_str_eq(told(), all);
}
END_TEST

START_TEST(whoever_closes_the_file_leaves_nothing_out)
{
	rk_recorder_hold(&recorder);
	rk_recorder_note_later(&recorder, &plain, "one");
	rk_recorder_close(&recorder);
	ck_assert_str_eq(told(), "one");
	(void)unlink(recorder.path);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("recorder");

	tcase_add_checked_fixture(c, enter, leave);
	tcase_add_test(c, a_note_for_later_is_written_at_the_last_release);
	tcase_add_test(c, a_note_behind_it_does_not_overtake_it);
	tcase_add_test(c, outside_of_a_hold_it_is_written_at_once);
	tcase_add_test(c, its_time_is_that_of_the_note);
	tcase_add_test(c, more_than_there_is_room_for_is_written_meanwhile);
	tcase_add_test(c, whoever_closes_the_file_leaves_nothing_out);
	return unit_run(c);
}
