/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    An order comes across whole, with the output that goes with it or none; whoever waits
 *         ends when the other side does; anything else on the socket is refused by both sides.
 * Method  Both ends in one process.
 */
#include "shm/promotion.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/unit.h"

static int standby = -1, supervisor = -1;

static void open_pair(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	standby = pair[0];
	supervisor = pair[1];
}

START_TEST(a_standby_that_has_parked_says_so_once)
{
	open_pair();
	ck_assert_int_eq(rk_promotion_hear(supervisor), -EAGAIN);
	ck_assert_int_eq(rk_promotion_parked(standby), 0);
	ck_assert_int_eq(rk_promotion_hear(supervisor), 0);
	ck_assert_int_eq(rk_promotion_hear(supervisor), -EAGAIN);
	rk_close_p(&standby);
	ck_assert_int_eq(rk_promotion_hear(supervisor), -EPIPE);
}
END_TEST

START_TEST(an_order_comes_with_its_output_or_without)
{
	const struct rk_promotion order = { .worker = 7, .incarnation = 1ull << 40 };
	struct rk_promotion got;
	int out, null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	open_pair();
	ck_assert_int_eq(rk_promotion_give(supervisor, &order, -1), 0);
	ck_assert_int_eq(rk_promotion_await(standby, &got, &out), 0);
	ck_assert_uint_eq(got.worker, 7);
	ck_assert_uint_eq(got.incarnation, 1ull << 40);
	ck_assert_int_eq(out, -1);
	ck_assert_int_eq(rk_promotion_give(supervisor, &order, null), 0);
	ck_assert_int_eq(rk_promotion_await(standby, &got, &out), 0);
	ck_assert_int_eq(write(out, "x", 1), 1);
	ck_assert_int_ne(fcntl(out, F_GETFD) & FD_CLOEXEC, 0);
}
END_TEST

START_TEST(an_order_given_before_the_end_is_taken_and_then_there_is_none)
{
	const struct rk_promotion order = { .worker = 1, .incarnation = 2 };
	struct rk_promotion got;
	int out;

	open_pair();
	ck_assert_int_eq(rk_promotion_give(supervisor, &order, -1), 0);
	rk_close_p(&supervisor);
	ck_assert_int_eq(rk_promotion_await(standby, &got, &out), 0);
	ck_assert_int_eq(rk_promotion_await(standby, &got, &out), -EPIPE);
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
} senseless[] = {
	{ "q", 1 },
	{ "pp", 2 },
	{ "0123456789abcde", 15 },
	{ "0123456789abcdef", 16 }, /* reserved is not zero */
	{ "0123456789abcdefg", 17 },
};

START_TEST(what_is_no_message_is_refused_by_both_sides)
{
	struct rk_promotion got;
	int out;

	open_pair();
	ck_assert_int_eq(rk_fd_send(standby, senseless[_i].bytes, senseless[_i].len, NULL), 0);
	ck_assert_int_eq(rk_promotion_hear(supervisor), -EPROTO);
	ck_assert_int_eq(rk_fd_send(supervisor, senseless[_i].bytes, senseless[_i].len, NULL), 0);
	ck_assert_int_eq(rk_promotion_await(standby, &got, &out), -EPROTO);
}
END_TEST

START_TEST(two_descriptors_are_one_too_many)
{
	const struct rk_promotion order = { .worker = 1, .incarnation = 2 };
	struct rk_fds two = { .n = 2, .fd = { 0, 0 } };
	struct rk_promotion got;
	int out;

	open_pair();
	ck_assert_int_eq(rk_fd_send(supervisor, &order, sizeof(order), &two), 0);
	ck_assert_int_eq(rk_promotion_await(standby, &got, &out), -EPROTO);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("promotion");

	tcase_add_test(c, a_standby_that_has_parked_says_so_once);
	tcase_add_test(c, an_order_comes_with_its_output_or_without);
	tcase_add_test(c, an_order_given_before_the_end_is_taken_and_then_there_is_none);
	tcase_add_loop_test(c, what_is_no_message_is_refused_by_both_sides, 0,
			    (int)(sizeof(senseless) / sizeof(senseless[0])));
	tcase_add_test(c, two_descriptors_are_one_too_many);
	return unit_run(c);
}
