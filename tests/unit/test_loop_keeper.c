/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What keeper has to hear of, that the supervisor is ready and that the workers are, it hears,
 *         once each and in this order, also when it does not read for a while. What keeper confirms is
 *         all that it was asked to: an answer to an older question is none to a newer one.
 * Method  A loop without fleets, whose workers are all ready therefore, and the other end of its link.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "supervisor/keeper.h"
#include "supervisor/loop_private.h"
#include "tests/unit/unit.h"

#define LONG_NS (20 * RK_NS_PER_S)

static struct rk_loop loop;
static int other;

static void begin(void)
{
	struct rk_err err = { 0 };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	other = pair[1];
	loop = (struct rk_loop){ .link = pair[0], .keeper_is = RK_LINK_TELLS, .lock = -1, .frozen = -1 };
	ck_assert_int_ge(sd_event_new(&loop.event), 0);
	ck_assert_msg(rk_loop_keeper_open(&loop, &err) == 0, "%s", err.text);
}

static void end(void)
{
	rk_loop_keeper_close(&loop);
	sd_event_unref(loop.event);
	(void)close(loop.link);
	(void)close(other);
}

/* What keeper reads next, or an op of 0. */
static struct rk_link_msg heard(void)
{
	struct rk_link_msg msg = { 0 };

	return recv(other, &msg, sizeof(msg), 0) == (ssize_t)sizeof(msg) ? msg : (struct rk_link_msg){ 0 };
}

/* Keeper does not read. */
static void fill(void)
{
	const struct rk_link_msg filler = { .op = RK_LINK_PROGRESS };

	while (rk_link_send(loop.link, &filler, -1) == 0)
		;
}

static void drain(void)
{
	while (heard().op == RK_LINK_PROGRESS)
		;
}

/* Runs the loop until keeper hears something. */
static struct rk_link_msg await(void)
{
	uint64_t end_ns = rk_clock_ns() + LONG_NS;
	struct rk_link_msg msg;

	do {
		ck_assert_int_ge(sd_event_run(loop.event, 50000), 0);
		msg = heard();
	} while (msg.op == 0 && rk_clock_ns() < end_ns);
	return msg;
}

static void expect_ready(struct rk_link_msg msg)
{
	ck_assert_uint_eq(msg.op, RK_LINK_READY);
}

static void expect_up(struct rk_link_msg msg)
{
	ck_assert_uint_eq(msg.op, RK_LINK_UP);
	ck_assert_int_eq(msg.code, 1);
	ck_assert_str_eq(msg.name, "0 of 0 workers ready");
}

START_TEST(who_is_ready_is_told_at_once_and_once)
{
	begin();
	rk_loop_tell_ready(&loop);
	expect_ready(heard());
	expect_up(heard());
	rk_loop_tell_up(&loop);
	ck_assert_uint_eq(heard().op, 0);
	end();
}
END_TEST

START_TEST(what_finds_no_room_is_told_as_soon_as_there_is_some)
{
	begin();
	fill();
	rk_loop_tell_ready(&loop);
	drain();
	expect_ready(await());
	expect_up(await());
	rk_loop_tell_up(&loop);
	ck_assert_uint_eq(heard().op, 0);
	end();
}
END_TEST

START_TEST(that_the_workers_are_ready_too)
{
	begin();
	loop.keeper_is = 0;
	rk_loop_tell_ready(&loop);
	expect_ready(heard());
	loop.keeper_is = RK_LINK_TELLS;
	fill();
	rk_loop_tell_up(&loop);
	drain();
	if (_i == 0)
		expect_up(await());
	rk_loop_tell_up(&loop); /* for another reason, such as a step of a worker */
	if (_i == 1)
		expect_up(heard());
	ck_assert_uint_eq(heard().op, 0);
	end();
}
END_TEST

START_TEST(an_answer_to_an_older_question_confirms_nothing_newer)
{
	begin();
	loop.keeper_is = RK_LINK_OUTLIVED;
	loop.is_stored = true;
	rk_loop_sync(&loop);
	ck_assert(!loop.is_stored);
	ck_assert_uint_eq(heard().op, RK_LINK_SYNC);
	ck_assert_int_eq(rk_loop_sync_ask(&loop), 0); /* something was sent behind the question */
	rk_loop_sync(&loop);
	ck_assert_uint_eq(heard().op, 0); /* keeper might answer all of them at once, or one by one */
	rk_loop_synced(&loop);
	ck_assert(!loop.is_stored);
	ck_assert_uint_eq(heard().op, RK_LINK_SYNC);
	rk_loop_synced(&loop);
	ck_assert(loop.is_stored);
	ck_assert_uint_eq(heard().op, 0);
	end();
}
END_TEST

int main(void)
{
	TCase *c = unit_case("loop_keeper");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, who_is_ready_is_told_at_once_and_once);
	tcase_add_test(c, what_finds_no_room_is_told_as_soon_as_there_is_some);
	tcase_add_loop_test(c, that_the_workers_are_ready_too, 0, 2);
	tcase_add_test(c, an_answer_to_an_older_question_confirms_nothing_newer);
	return unit_run(c);
}
