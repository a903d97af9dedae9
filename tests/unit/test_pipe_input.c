/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    input is cut into lines, the same ones wherever its blocks end; the last one needs no
 *         newline; a line that is too long is counted, passed over and does not disturb the next.
 * Method  a table of inputs, each given in blocks of every size; long ones generated.
 */
#include "cli/pipe_input.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define LINE_MAX_LEN 4u

/* Lines as text: each in brackets, a longer one as <its length>. */
static const struct {
	const char *input;
	size_t len;
	const char *lines;
} inputs[] = {
#define IN(text) text, sizeof(text) - 1
	{ IN(""), "" },
	{ IN("a"), "[a]" },
	{ IN("a\n"), "[a]" },
	{ IN("\n"), "[]" },
	{ IN("\n\n"), "[][]" },
	{ IN("a\n\nb"), "[a][][b]" },
	{ IN("a\r\nb\r\n"), "[a\r][b\r]" },
	{ IN("abcd\nab"), "[abcd][ab]" },
	{ IN("abcde\nab\n"), "<5>[ab]" },
	{ IN("ab\nabcdefghijklm\nab"), "[ab]<13>[ab]" },
	{ IN("abcdefghijklm"), "<13>" },
	{ IN("abcde"), "<5>" },
	{ IN("abcdefghijklm\n\n"), "<13>[]" },
};

static void take_all(struct rk_pipe_input *in, char *lines, uint64_t *n)
{
	struct rk_pipe_line line;

	for (;;) {
		enum rk_pipe_got got = rk_pipe_input_take(in, &line);

		if (got == RK_PIPE_MORE || got == RK_PIPE_END)
			return;
		ck_assert_uint_eq(line.number, ++*n);
		if (got == RK_PIPE_LONG)
			(void)sprintf(strchr(lines, '\0'), "<%llu>", (unsigned long long)line.len);
		else
			(void)sprintf(strchr(lines, '\0'), "[%.*s]", (int)line.len, line.at);
	}
}

START_TEST(lines_are_the_same_in_blocks_of_any_size)
{
	for (size_t block = 1; block <= inputs[_i].len + 1; block++) {
		struct rk_pipe_input in;
		char lines[100] = "";
		uint64_t n = 0;

		ck_assert_int_eq(rk_pipe_input_init(&in, LINE_MAX_LEN), 0);
		for (size_t at = 0; at < inputs[_i].len; at += block) {
			size_t len, part = rk_min_size(block, inputs[_i].len - at);
			char *room = rk_pipe_input_room(&in, &len);

			ck_assert_uint_ge(len, part);
			memcpy(room, inputs[_i].input + at, part);
			rk_pipe_input_filled(&in, part);
			take_all(&in, lines, &n);
		}
		rk_pipe_input_filled(&in, 0);
		take_all(&in, lines, &n);
		ck_assert_str_eq(lines, inputs[_i].lines);
		rk_pipe_input_free_p(&in);
	}
}
END_TEST

START_TEST(a_line_may_hold_anything_but_a_newline)
{
	struct rk_pipe_input in;
	struct rk_pipe_line line;
	size_t len;

	ck_assert_int_eq(rk_pipe_input_init(&in, LINE_MAX_LEN), 0);
	memcpy(rk_pipe_input_room(&in, &len), "a\0\xff\r\n", 5);
	rk_pipe_input_filled(&in, 5);
	ck_assert_int_eq(rk_pipe_input_take(&in, &line), RK_PIPE_LINE);
	ck_assert_uint_eq(line.len, 4);
	ck_assert_int_eq(memcmp(line.at, "a\0\xff\r", 4), 0);
	rk_pipe_input_free_p(&in);
}
END_TEST

/* Blocks as large as the room: whatever comes, there is always some, and little is moved. */
START_TEST(there_is_always_room)
{
	struct rk_pipe_input in;
	struct rk_pipe_line line;
	uint64_t n = 0, n_long = 0;

	ck_assert_int_eq(rk_pipe_input_init(&in, 1000), 0);
	for (uint32_t round = 0; round < 300; round++) {
		size_t len;
		char *room = rk_pipe_input_room(&in, &len);
		enum rk_pipe_got got;

		ck_assert_uint_gt(len, 0);
		for (size_t i = 0; i < len; i++)
			room[i] = i % (1 + (round * 7919 + i / 3) % 1500) == 1499 || (i + round) % 997 == 0 ? '\n' : 'x';
		rk_pipe_input_filled(&in, len);
		while ((got = rk_pipe_input_take(&in, &line)) == RK_PIPE_LINE || got == RK_PIPE_LONG) {
			ck_assert_uint_eq(line.number, ++n);
			ck_assert(got == RK_PIPE_LONG ? line.len > 1000 : line.len <= 1000);
			n_long += got == RK_PIPE_LONG;
		}
		ck_assert_int_eq(got, RK_PIPE_MORE);
	}
	ck_assert_uint_gt(n, 1000);
	rk_pipe_input_free_p(&in);
}
END_TEST

START_TEST(a_descriptor_is_read_to_its_end)
{
	struct rk_pipe_input in;
	struct rk_pipe_line line;
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(write(p[1], "a\nb", 3), 3);
	ck_assert_int_eq(close(p[1]), 0);
	ck_assert_int_eq(rk_pipe_input_init(&in, LINE_MAX_LEN), 0);
	ck_assert_int_eq(rk_pipe_input_take(&in, &line), RK_PIPE_MORE);
	ck_assert_int_eq(rk_pipe_input_read(&in, p[0]), 0);
	ck_assert_int_eq(rk_pipe_input_take(&in, &line), RK_PIPE_LINE);
	ck_assert_int_eq(rk_pipe_input_take(&in, &line), RK_PIPE_MORE);
	ck_assert_int_eq(rk_pipe_input_read(&in, p[0]), 0);
	ck_assert_int_eq(rk_pipe_input_take(&in, &line), RK_PIPE_LINE);
	ck_assert_int_eq(rk_pipe_input_take(&in, &line), RK_PIPE_END);
	ck_assert_int_eq(rk_pipe_input_take(&in, &line), RK_PIPE_END);
	ck_assert_int_eq(close(p[0]), 0);
	ck_assert_int_eq(rk_pipe_input_read(&in, p[0]), -EBADF);
	rk_pipe_input_free_p(&in);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("pipe_input");

	tcase_add_loop_test(c, lines_are_the_same_in_blocks_of_any_size, 0, (int)rk_countof(inputs));
	tcase_add_test(c, a_line_may_hold_anything_but_a_newline);
	tcase_add_test(c, there_is_always_room);
	tcase_add_test(c, a_descriptor_is_read_to_its_end);
	return unit_run(c);
}
