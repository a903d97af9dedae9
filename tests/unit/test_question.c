/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A question gets its answer although supervisors die before they answer; what must not be
 *         done twice is sent once, and then said to be unknown; nothing waits longer than its
 *         deadline, and no request is sent to supervisors that it kills for ever.
 * Method  A scripted supervisor that answers, cuts, or says nothing, connection by connection,
 *         and remembers what it was asked.
 */
#include "workers/lib/question.h"

#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/unit/answerer.h"
#include "tests/unit/unit.h"

#define LONG_NS (20 * RK_NS_PER_S) /* no wait that works is this long */
#define REQUEST "{\"verb\":\"open\"}"

static struct answerer a;
static struct rk_err err;
static struct rk_question q;
static int sock, number; /* number: of the connection that was answered */

static void begin(const enum answerer_deed *script, int n)
{
	answerer_begin(&a);
	answerer_listen(&a, script, n);
	q = (struct rk_question){ .fleet = "test", .request = REQUEST, .deadline_ns = rk_clock_ns() + LONG_NS };
	sock = number = -1;
}

static int ask(void)
{
	struct json_object *o = NULL;
	struct rk_fds fds = { 0 };
	int r = rk_question_ask(&q, &sock, &o, &fds, &err);

	if (r == 0)
		number = (int)rk_connect_int(o, "n");
	json_object_put(o);
	rk_fds_close_p(&fds);
	return r;
}

static void end(void)
{
	rk_close_p(&sock);
	answerer_end(&a);
}

/* How often the request itself was read. */
static int n_asked(void)
{
	int n = atomic_load_explicit(&a.n, memory_order_acquire), asked = 0;

	for (int i = 0; i < n; i++)
		asked += strcmp(a.request[i], REQUEST) == 0;
	return asked;
}

START_TEST(an_answer_that_is_cut_is_asked_for_again)
{
	static const enum answerer_deed script[] = { CUT, CUT, ANSWER };

	begin(script, 3);
	ck_assert_msg(ask() == 0, "%s", err.text);
	ck_assert_int_eq(number, 2);
	ck_assert_uint_eq(q.n_lost, 2);
	ck_assert_int_ge(sock, 0);
	ck_assert(!rk_connect_is_cut(sock)); /* it is the one that was answered on */
	end();
}
END_TEST

START_TEST(what_must_not_be_done_twice_is_sent_once)
{
	static const enum answerer_deed script[] = { CUT, ANSWER };

	begin(script, 2);
	q.unsure = "whether the restart was begun";
	ck_assert_int_eq(ask(), -ECONNRESET);
	ck_assert_msg(strstr(err.text, "was replaced before it answered") &&
			      strstr(err.text, "'rekindle events' shows whether the restart was begun"),
		      "%s", err.text);
	ck_assert_int_eq(n_asked(), 1);
	ck_assert_int_eq(sock, -1);
	end();
}
END_TEST

/* Whose other end has gone before anything was sent. */
static int cut_connection(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	rk_close_p(&pair[1]);
	return pair[0];
}

START_TEST(what_was_never_sent_may_be_sent_again)
{
	static const enum answerer_deed script[] = { ANSWER };

	begin(script, 1);
	q.unsure = "whether the restart was begun";
	sock = cut_connection();
	ck_assert_msg(ask() == 0, "%s", err.text);
	ck_assert_int_eq(n_asked(), 1);
	ck_assert_uint_eq(q.n_lost, 0);
	end();
}
END_TEST

START_TEST(an_answer_lost_on_a_connection_that_stands_is_asked_for_again)
{
	static const enum answerer_deed script[] = { SILENCE, ANSWER, ANSWER };

	begin(script, 3);
	ck_assert_msg(ask() == 0, "%s", err.text);
	ck_assert_int_eq(number, 2); /* 1 was the ping's */
	ck_assert_uint_eq(q.n_lost, 1);
	ck_assert_int_eq(n_asked(), 2);
	ck_assert_ptr_nonnull(strstr(a.request[1], "ping"));
	end();
}
END_TEST

START_TEST(a_late_answer_is_no_lost_one)
{
	static const enum answerer_deed script[] = { SILENCE, ANSWER_BOTH };

	begin(script, 2);
	ck_assert_msg(ask() == 0, "%s", err.text);
	ck_assert_int_eq(number, 0);
	ck_assert_uint_eq(q.n_lost, 0);
	ck_assert_int_eq(n_asked(), 1);
	end();
}
END_TEST

START_TEST(a_supervisor_that_dies_with_the_ping_is_asked_again)
{
	static const enum answerer_deed script[] = { SILENCE, CUT, ANSWER, ANSWER };

	begin(script, 4);
	ck_assert_msg(ask() == 0, "%s", err.text);
	ck_assert_int_eq(number, 3);
	ck_assert_uint_eq(q.n_lost, 1);
	end();
}
END_TEST

START_TEST(nobody_waits_longer_than_the_deadline)
{
	static const enum answerer_deed script[] = { SILENCE };
	uint64_t began_ns = rk_clock_ns();

	begin(script, 1);
	q.deadline_ns = rk_clock_ns() + 300 * RK_NS_PER_MS;
	ck_assert_int_eq(ask(), -ETIMEDOUT);
	ck_assert_uint_lt(rk_clock_ns() - began_ns, LONG_NS / 2);
	ck_assert_msg(strstr(err.text, "has not answered for 0.30 s"), "%s", err.text);
	ck_assert_int_eq(n_asked(), 1);
	end();
}
END_TEST

START_TEST(what_kills_every_supervisor_is_not_sent_for_ever)
{
	static const enum answerer_deed script[] = { CUT };

	begin(script, 1);
	ck_assert_int_eq(ask(), -ECONNRESET);
	ck_assert_int_eq(n_asked(), (int)RK_QUESTION_TRIES);
	ck_assert_msg(strstr(err.text, "replaced 8 times before it answered"), "%s", err.text);
	end();
}
END_TEST

START_TEST(a_refusal_is_an_answer)
{
	static const enum answerer_deed script[] = { REFUSE };

	begin(script, 1);
	ck_assert_int_eq(ask(), -EBUSY);
	ck_assert_int_eq(n_asked(), 1);
	end();
}
END_TEST

START_TEST(a_fleet_that_ended_is_told_from_a_supervisor_that_was_replaced)
{
	static const enum answerer_deed script[] = { CUT };

	begin(script, 1);
	answerer_unlock(&a);
	q.unsure = "whether the restart was begun";
	ck_assert_int_eq(ask(), -ECONNRESET);
	ck_assert_msg(strstr(err.text, "the fleet ended before it answered"), "%s", err.text);
	end();
}
END_TEST

int main(void)
{
	TCase *c = unit_case("question");

	tcase_add_test(c, an_answer_that_is_cut_is_asked_for_again);
	tcase_add_test(c, what_must_not_be_done_twice_is_sent_once);
	tcase_add_test(c, what_was_never_sent_may_be_sent_again);
	tcase_add_test(c, an_answer_lost_on_a_connection_that_stands_is_asked_for_again);
	tcase_add_test(c, a_late_answer_is_no_lost_one);
	tcase_add_test(c, a_supervisor_that_dies_with_the_ping_is_asked_again);
	tcase_add_test(c, nobody_waits_longer_than_the_deadline);
	tcase_add_test(c, what_kills_every_supervisor_is_not_sent_for_ever);
	tcase_add_test(c, a_refusal_is_an_answer);
	tcase_add_test(c, a_fleet_that_ended_is_told_from_a_supervisor_that_was_replaced);
	return unit_run(c);
}
