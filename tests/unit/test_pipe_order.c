/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    answers are put out in the order of their lines, each once, in whatever order they come
 *         and whoever has none; or as they come; what has to be sent again goes before the rest,
 *         the oldest first; neither places nor bytes are more than allowed.
 * Method  all orders of few lines; a long run by chance, against a list of what was sent.
 */
#include "cli/pipe_order.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define HELD (1024u * 1024)

struct said {
	char text[512];
};

static void say(void *arg, const char *bytes, size_t len)
{
	struct said *s = arg;

	(void)sprintf(strchr(s->text, '\0'), "%.*s,", (int)len, bytes);
}

static struct rk_pipe_entry *send_line(struct rk_pipe_order *o, uint64_t number)
{
	struct rk_pipe_job job = { .number = number, .key = "k", .key_len = 1, .body = "body", .len = 4 };
	struct rk_pipe_entry *e;

	ck_assert(rk_pipe_order_has_room(o));
	ck_assert_int_eq(rk_pipe_order_begin(o, &job, &e), 0);
	ck_assert_int_eq(memcmp(e->room, "kbody", 5), 0);
	ck_assert_ptr_eq(rk_pipe_order_next(o), e);
	rk_pipe_order_sent(o, e);
	ck_assert_ptr_eq(rk_pipe_order_find(o, rk_pipe_order_tag(o, e)), e);
	return e;
}

static void answer(struct rk_pipe_order *o, struct rk_pipe_entry *e)
{
	char text[24];

	(void)sprintf(text, "%llu", (unsigned long long)e->number);
	ck_assert_int_eq(rk_pipe_order_answer(o, e, text, strlen(text)), 0);
}

/* Order i of four lines. */
static void permute(int i, int ret[4])
{
	int left[4] = { 0, 1, 2, 3 };

	for (int n = 4; n > 0; n--) {
		int k = i % n;

		i /= n;
		ret[4 - n] = left[k];
		memmove(&left[k], &left[k + 1], (size_t)(3 - k) * sizeof(*left));
	}
}

START_TEST(answers_are_put_out_in_the_order_of_lines)
{
	struct rk_pipe_order o;
	struct rk_pipe_entry *e[4];
	struct said said = { "" };
	int order[4];

	permute(_i, order);
	for (int gone = 0; gone < 5; gone++) { /* 4: each has an answer */
		char want[32] = "";

		ck_assert_int_eq(rk_pipe_order_init(&o, 4, HELD, true), 0);
		o.put = say;
		o.arg = &said;
		said.text[0] = '\0';
		for (int k = 0; k < 4; k++)
			e[k] = send_line(&o, (uint64_t)k);
		ck_assert(!rk_pipe_order_has_room(&o));
		for (int k = 0; k < 4; k++) {
			if (order[k] == gone)
				rk_pipe_order_fail(&o, e[order[k]]);
			else
				answer(&o, e[order[k]]);
		}
		for (int k = 0; k < 4; k++)
			if (k != gone)
				(void)sprintf(strchr(want, '\0'), "%d,", k);
		ck_assert_str_eq(said.text, want);
		ck_assert_uint_eq(o.n_used, 0);
		rk_pipe_order_free_p(&o);
	}
}
END_TEST

START_TEST(without_an_order_they_are_put_out_as_they_come)
{
	struct rk_pipe_order o;
	struct rk_pipe_entry *e[4];
	struct said said = { "" };
	char want[32] = "";
	int order[4];

	permute(_i, order);
	ck_assert_int_eq(rk_pipe_order_init(&o, 4, HELD, false), 0);
	o.put = say;
	o.arg = &said;
	for (int k = 0; k < 4; k++)
		e[k] = send_line(&o, (uint64_t)k);
	ck_assert(!rk_pipe_order_has_room(&o));
	for (int k = 0; k < 4; k++) {
		answer(&o, e[order[k]]);
		ck_assert(rk_pipe_order_has_room(&o));
		(void)sprintf(strchr(want, '\0'), "%d,", order[k]);
	}
	ck_assert_str_eq(said.text, want);
	ck_assert_uint_eq(o.n_used, 0);
	rk_pipe_order_free_p(&o);
}
END_TEST

START_TEST(what_has_to_be_sent_again_goes_first_the_oldest_before_all)
{
	struct rk_pipe_order o;
	struct rk_pipe_entry *e[3];
	struct said said = { "" };

	ck_assert_int_eq(rk_pipe_order_init(&o, 4, HELD, _i), 0);
	o.put = say;
	o.arg = &said;
	for (uint64_t k = 0; k < 3; k++)
		e[k] = send_line(&o, k);
	ck_assert_ptr_null(rk_pipe_order_next(&o));
	rk_pipe_order_again(&o, e[2]);
	rk_pipe_order_again(&o, e[0]);
	ck_assert_ptr_null(rk_pipe_order_find(&o, rk_pipe_order_tag(&o, e[0])));
	ck_assert_ptr_eq(rk_pipe_order_next(&o), e[0]);
	ck_assert_int_eq(memcmp(e[0]->room, "kbody", 5), 0);
	rk_pipe_order_sent(&o, e[0]);
	ck_assert_ptr_eq(rk_pipe_order_next(&o), e[2]);
	rk_pipe_order_fail(&o, e[2]);
	ck_assert_ptr_null(rk_pipe_order_next(&o));
	answer(&o, e[0]);
	answer(&o, e[1]);
	ck_assert_str_eq(said.text, "0,1,");
	ck_assert_uint_eq(o.n_used, 0);
	rk_pipe_order_free_p(&o);
}
END_TEST

START_TEST(a_name_of_no_line_is_not_found)
{
	struct rk_pipe_order o;

	ck_assert_int_eq(rk_pipe_order_init(&o, 4, HELD, true), 0);
	ck_assert_ptr_null(rk_pipe_order_find(&o, 0));
	ck_assert_ptr_null(rk_pipe_order_find(&o, 4));
	ck_assert_ptr_null(rk_pipe_order_find(&o, UINT64_MAX));
	rk_pipe_order_free_p(&o);
}
END_TEST

static void drop(void *arg, const char *bytes, size_t len)
{
	(void)bytes;
	*(uint64_t *)arg += len;
}

START_TEST(bytes_are_bounded_and_given_back)
{
	static char text[100000];
	struct rk_pipe_job job = { .key = "", .body = text, .len = sizeof(text) };
	struct rk_pipe_order o;
	struct rk_pipe_entry *e[64];
	uint64_t n_put = 0;
	uint32_t n = 0;

	ck_assert_int_eq(rk_pipe_order_init(&o, 64, HELD, _i), 0);
	o.put = drop;
	o.arg = &n_put;
	while (rk_pipe_order_has_room(&o)) {
		ck_assert_int_eq(rk_pipe_order_begin(&o, &job, &e[n]), 0);
		rk_pipe_order_sent(&o, e[n++]);
	}
	ck_assert_uint_gt(n, 4);
	ck_assert_uint_lt(n, 20);
	for (uint32_t k = n; k-- > 0;)
		ck_assert_int_eq(rk_pipe_order_answer(&o, e[k], text, sizeof(text)), 0);
	ck_assert_uint_eq(n_put, n * sizeof(text));
	ck_assert_uint_eq(o.held, 0);
	ck_assert(rk_pipe_order_has_room(&o));
	rk_pipe_order_free_p(&o);
}
END_TEST

/* ---- by chance ---- */

#define LINES 20000u
#define PLACES 64u

struct seen {
	bool is_ordered;
	uint64_t next, n;
	bool was[LINES];
};

static void see(void *arg, const char *bytes, size_t len)
{
	struct seen *s = arg;
	uint64_t number;

	ck_assert_uint_ge(len, sizeof(number));
	memcpy(&number, bytes, sizeof(number));
	ck_assert_uint_lt(number, LINES);
	ck_assert(!s->was[number]);
	ck_assert(!s->is_ordered || number >= s->next);
	for (size_t i = sizeof(number); i < len; i++)
		if (bytes[i] != (char)number)
			ck_abort_msg("byte %zu of line %llu", i, (unsigned long long)number);
	s->was[number] = true;
	s->next = number + 1;
	s->n++;
}

START_TEST(in_a_long_run_each_answer_is_put_out_once)
{
	static struct seen seen;
	static char text[5000];
	struct rk_pipe_order o;
	uint64_t next = 0, n_gone = 0;
	unsigned int random = 7;

	seen.is_ordered = _i;
	ck_assert_int_eq(rk_pipe_order_init(&o, PLACES, HELD, _i), 0);
	o.put = see;
	o.arg = &seen;
	while (seen.n + n_gone < LINES) {
		struct rk_pipe_entry *e = rk_pipe_order_next(&o);
		unsigned int what = (unsigned int)rand_r(&random) % 16;

		if (e) {
			rk_pipe_order_sent(&o, e);
		} else if (what < 9 && next < LINES && rk_pipe_order_has_room(&o)) {
			struct rk_pipe_job job = { .number = next++, .key = "k", .key_len = 1, .body = text,
						   .len = (size_t)rand_r(&random) % 1000 };

			ck_assert_int_eq(rk_pipe_order_begin(&o, &job, &e), 0);
		} else if ((e = rk_pipe_order_find(&o, (uint64_t)rand_r(&random) % PLACES)) != NULL) {
			size_t len = sizeof(e->number) + (size_t)rand_r(&random) % (sizeof(text) - sizeof(e->number));

			if (what == 9) {
				rk_pipe_order_again(&o, e);
			} else if (what == 10) {
				n_gone++;
				rk_pipe_order_fail(&o, e);
			} else {
				memset(text, (char)e->number, len);
				memcpy(text, &e->number, sizeof(e->number));
				ck_assert_int_eq(rk_pipe_order_answer(&o, e, text, len), 0);
			}
		}
		if (o.n_used == 0 && next == LINES)
			break;
	}
	ck_assert_uint_eq(seen.n + n_gone, LINES);
	ck_assert_uint_eq(o.n_used, 0);
	rk_pipe_order_free_p(&o);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("pipe_order");

	tcase_add_loop_test(c, answers_are_put_out_in_the_order_of_lines, 0, 24);
	tcase_add_loop_test(c, without_an_order_they_are_put_out_as_they_come, 0, 24);
	tcase_add_loop_test(c, what_has_to_be_sent_again_goes_first_the_oldest_before_all, 0, 2);
	tcase_add_test(c, a_name_of_no_line_is_not_found);
	tcase_add_loop_test(c, bytes_are_bounded_and_given_back, 0, 2);
	tcase_add_loop_test(c, in_a_long_run_each_answer_is_put_out_once, 0, 2);
	return unit_run(c);
}
