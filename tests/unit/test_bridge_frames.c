/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    lines and netstrings arrive as they were sent, however they are cut into pieces; what is too
 *         long is skipped alone, and what is no netstring is found out.
 * Method  hand-made streams, and random ones cut at random; the seed is the loop's number.
 */
#include "workers/bridge/frames.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#define LONGEST 40u

static struct rk_frames_in in;
static struct rk_frames_out out;

static void teardown(void)
{
	rk_frames_in_free(&in);
	rk_frames_out_free(&out);
}

static void feed(const char *bytes, size_t n)
{
	while (n) {
		size_t room, k;
		char *to = rk_frames_space(&in, &room);

		k = rk_min_size(room, n);
		ck_assert_uint_gt(k, 0);
		memcpy(to, bytes, k);
		rk_frames_filled(&in, k);
		bytes += k;
		n -= k;
	}
}

static void must_have(const char *expected)
{
	const char *got;
	size_t len;

	ck_assert_int_eq(rk_frames_next(&in, &got, &len), 1);
	ck_assert_uint_eq(len, strlen(expected));
	ck_assert_mem_eq(got, expected, len);
}

static void must_be(int result)
{
	const char *got;
	size_t len;

	ck_assert_int_eq(rk_frames_next(&in, &got, &len), result);
}

START_TEST(lines_are_taken_one_by_one)
{
	ck_assert_int_eq(rk_frames_in_open(&in, false, LONGEST), 0);
	feed("one\n\ntw", 7);
	must_have("one");
	must_have("");
	must_be(0);
	feed("o\r\n", 3);
	must_have("two\r");
	must_be(0);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_skipped_alone)
{
	char text[200000];

	ck_assert_int_eq(rk_frames_in_open(&in, false, LONGEST), 0);
	memset(text, 'x', sizeof(text));
	for (size_t at = 0; at < sizeof(text); at += 1000) {
		feed(text + at, 1000);
		must_be(0);
	}
	feed("\nshort\n", 7);
	must_be(-EMSGSIZE);
	must_have("short");
}
END_TEST

START_TEST(the_longest_line_is_taken_and_one_more_byte_is_not)
{
	char text[LONGEST + 3];

	ck_assert_int_eq(rk_frames_in_open(&in, false, LONGEST), 0);
	memset(text, 'x', sizeof(text));
	text[LONGEST] = '\n';
	feed(text, LONGEST + 1);
	text[LONGEST] = '\0';
	must_have(text);
	text[LONGEST] = 'x';
	text[LONGEST + 1] = '\n';
	feed(text, LONGEST + 2);
	must_be(-EMSGSIZE);
}
END_TEST

START_TEST(netstrings_hold_any_byte)
{
	const char *got;
	size_t len;

	ck_assert_int_eq(rk_frames_in_open(&in, true, LONGEST), 0);
	feed("5:a\nb\0c,0:,2:o", 14);
	ck_assert_int_eq(rk_frames_next(&in, &got, &len), 1);
	ck_assert_uint_eq(len, 5);
	ck_assert_mem_eq(got, "a\nb\0c", 5);
	must_have("");
	must_be(0);
	feed("k,", 2);
	must_have("ok");
}
END_TEST

START_TEST(a_netstring_that_is_too_long_is_skipped_alone)
{
	ck_assert_int_eq(rk_frames_in_open(&in, true, LONGEST), 0);
	feed("41:", 3);
	must_be(0);
	for (unsigned int i = 0; i < 41; i++) {
		feed("x", 1);
		must_be(0);
	}
	feed(",2:ok,", 6);
	must_be(-EMSGSIZE);
	must_have("ok");
}
END_TEST

/* What no netstring begins with, or goes on with. */
static const char *const broken[] = { "x", ":", "1x", "03:abc,", "3:abcd", "99999999999999:", "-1:a,", " 1:a,", "1:ab" };

START_TEST(what_is_no_netstring_is_found_out)
{
	ck_assert_int_eq(rk_frames_in_open(&in, true, LONGEST), 0);
	feed(broken[_i], strlen(broken[_i]));
	must_be(-EBADMSG);
}
END_TEST

START_TEST(a_line_with_a_newline_in_it_is_refused_and_nothing_is_sent)
{
	ck_assert_int_eq(rk_frames_put(&out, false, "a\nb", 3), -EBADMSG);
	ck_assert_uint_eq(out.len, 0);
	ck_assert_int_eq(rk_frames_put(&out, true, "a\nb", 3), 0);
	ck_assert_uint_eq(out.len, 6);
	ck_assert_mem_eq(out.at + out.from, "3:a\nb,", 6);
}
END_TEST

/* Sent through one and read by the other, in pieces of any length. */
START_TEST(whatever_is_sent_arrives)
{
	struct rk_rand random = rk_rand_init((uint64_t)_i);
	bool is_netstring = _i % 2;
	char body[64][LONGEST];
	size_t len[64], n_sent = 0, n_got = 0;

	ck_assert_int_eq(rk_frames_in_open(&in, is_netstring, LONGEST), 0);
	while (n_got < 2000) {
		const char *got;
		size_t n;

		if (n_sent - n_got < 64 && rk_rand_below(&random, 2)) {
			char *b = body[n_sent % 64];

			len[n_sent % 64] = rk_rand_below(&random, LONGEST + 1);
			for (size_t i = 0; i < len[n_sent % 64]; i++)
				b[i] = (char)('a' + rk_rand_below(&random, 26));
			ck_assert_int_eq(rk_frames_put(&out, is_netstring, b, len[n_sent % 64]), 0);
			n_sent++;
		}
		n = rk_rand_below(&random, out.len + 1);
		feed(out.at + out.from, n);
		rk_frames_written(&out, n);
		while (rk_frames_next(&in, &got, &n) == 1) {
			ck_assert_uint_eq(n, len[n_got % 64]);
			ck_assert_mem_eq(got, body[n_got % 64], n);
			n_got++;
		}
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("bridge_frames");

	tcase_add_checked_fixture(c, NULL, teardown);
	tcase_add_test(c, lines_are_taken_one_by_one);
	tcase_add_test(c, a_line_that_is_too_long_is_skipped_alone);
	tcase_add_test(c, the_longest_line_is_taken_and_one_more_byte_is_not);
	tcase_add_test(c, netstrings_hold_any_byte);
	tcase_add_test(c, a_netstring_that_is_too_long_is_skipped_alone);
	tcase_add_loop_test(c, what_is_no_netstring_is_found_out, 0, (int)rk_countof(broken));
	tcase_add_test(c, a_line_with_a_newline_in_it_is_refused_and_nothing_is_sent);
	tcase_add_loop_test(c, whatever_is_sent_arrives, 0, 20);
	return unit_run(c);
}
