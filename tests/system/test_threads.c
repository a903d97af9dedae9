/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a client may be used by any thread: nobody's wake-up is taken by another, and there is
 *         no data race in workers/lib.
 * Method  threads of one client against a real fleet of tests/system/test_worker; in tests/tiers
 *         this program alone is built with ThreadSanitizer, the fleet without ($RK_TEST_BUILD).
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

#define PATIENCE_MS 15000u /* of who must be woken long before */
#define SOON_NS (8 * RK_NS_PER_S)

static struct fleet fleet;

static struct rk_request job(const char *body)
{
	return (struct rk_request){ .key = "k", .body = body, .len = strlen(body), .timeout_ms = FLEET_WAIT_MS };
}

struct waiter {
	struct rk_client *c;
	uint32_t timeout_ms;
	int outcome;
	uint64_t took_ns;
};

static void *wait_for_next(void *arg)
{
	struct rk_reply reply = { 0 };
	struct waiter *w = arg;
	uint64_t start_ns = rk_clock_ns();

	w->outcome = rk_next(w->c, w->timeout_ms, &reply);
	w->took_ns = rk_clock_ns() - start_ns;
	rk_reply_release(w->c, &reply);
	return NULL;
}

static void *wait_for_flush(void *arg)
{
	struct waiter *w = arg;

	w->outcome = rk_flush(w->c, w->timeout_ms, NULL);
	return NULL;
}

static void *use_descriptor(void *arg)
{
	struct waiter *w = arg;

	w->outcome = rk_client_fd(w->c);
	return NULL;
}

static const struct {
	const char *what;
	void *(*other)(void *);
} others[] = {
	{ "in rk_next() with less patience", wait_for_next },
	{ "in rk_flush()", wait_for_flush },
	{ "that asks for the descriptor", use_descriptor },
};

/* One waits for the answer of a stopped worker; another thread comes and goes meanwhile. */
START_TEST(a_thread_that_leaves_takes_nobodys_wake_up)
{
	struct rk_request request = job("stop");
	struct waiter patient = { .timeout_ms = PATIENCE_MS }, brief = { .timeout_ms = 100 };
	pthread_t thread, other;

	fleet_start(&fleet, 1, NULL, NULL);
	ck_assert_int_eq(rk_client_open(&patient.c, NULL, NULL), 0);
	brief.c = patient.c;
	ck_assert_int_eq(rk_call_async(patient.c, &request), 0);
	fleet_await_state(fleet.worker[0], 'T');
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_next, &patient), 0);
	ck_assert_int_eq(pthread_create(&other, NULL, others[_i].other, &brief), 0);
	ck_assert_int_eq(pthread_join(other, NULL), 0);
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_msg(patient.outcome == RK_DONE, "beside one %s: %s", others[_i].what,
		      rk_outcome_text(patient.outcome));
	ck_assert_msg(patient.took_ns < SOON_NS, "beside one %s it took %lu ms", others[_i].what,
		      (unsigned long)(patient.took_ns / RK_NS_PER_MS));
	rk_client_close(patient.c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(the_descriptor_is_raised_after_a_waiting_thread_has_left)
{
	struct rk_request request = job("stop");
	struct waiter brief = { .timeout_ms = 300 };
	struct rk_reply reply = { 0 };
	pthread_t thread;
	struct pollfd p;
	int r;

	fleet_start(&fleet, 1, NULL, NULL);
	ck_assert_int_eq(rk_client_open(&brief.c, NULL, NULL), 0);
	ck_assert_int_eq(rk_call_async(brief.c, &request), 0);
	fleet_await_state(fleet.worker[0], 'T');
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_next, &brief), 0);
	p = (struct pollfd){ .fd = rk_client_fd(brief.c), .events = POLLIN };
	ck_assert_int_ge(p.fd, 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(brief.outcome, -EAGAIN);
	while (poll(&p, 1, 0) == 1) /* of what was: nothing has finished yet */
		ck_assert_int_eq(rk_next(brief.c, 0, &reply), -EAGAIN);
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	do
		ck_assert_int_eq(poll(&p, 1, (int)PATIENCE_MS), 1);
	while ((r = rk_next(brief.c, 0, &reply)) == -EAGAIN);
	ck_assert_int_eq(r, RK_DONE);
	rk_reply_release(brief.c, &reply);
	rk_client_close(brief.c);
	fleet_stop(&fleet);
}
END_TEST

enum { THREADS = 6, ROUNDS = 150 };

struct crowd {
	struct rk_client *c;
	int part;
	unsigned long n_added;
};

static void count(struct crowd *w, int r)
{
	ck_assert_msg(r == RK_DONE, "thread %d: %s", w->part, rk_outcome_text(r));
	w->n_added++;
}

/* Two call and wait, two begin calls and take whatever finishes, two submit. */
static void *add(void *arg)
{
	struct rk_request request = job("add");
	struct rk_reply reply = { 0 };
	struct crowd *w = arg;

	for (int i = 0; i < ROUNDS; i++) {
		int r = RK_NO_SLOT;

		switch (w->part % 3) {
		case 0:
			while ((r = rk_call_retry(w->c, &request, &reply)) == RK_NO_SLOT)
				;
			count(w, r);
			rk_reply_release(w->c, &reply);
			break;
		case 1:
			while ((r = rk_call_async(w->c, &request)) == RK_NO_SLOT || r == RK_FULL)
				;
			ck_assert_int_eq(r, 0);
			while ((r = rk_next(w->c, 10, &reply)) == -EAGAIN)
				;
			if (r != RK_EMPTY) /* the other one took both */
				count(w, r);
			break;
		default:
			while ((r = rk_submit(w->c, &request)) == RK_NO_SLOT || r == RK_FULL)
				;
			count(w, r);
		}
	}
	rk_reply_release(w->c, &reply);
	return NULL;
}

START_TEST(threads_of_every_kind_share_one_client)
{
	struct crowd crowd[THREADS];
	struct rk_request request = job("get");
	struct rk_reply reply = { 0 };
	pthread_t thread[THREADS];
	unsigned long n_added = 0;
	struct rk_client *c;
	char text[24] = "";
	int r;

	fleet_start(&fleet, 1, NULL, NULL);
	ck_assert_int_eq(rk_client_open(&c, NULL, NULL), 0);
	if (_i)
		ck_assert_int_ge(rk_client_fd(c), 0);
	for (int i = 0; i < THREADS; i++) {
		crowd[i] = (struct crowd){ .c = c, .part = i };
		ck_assert_int_eq(pthread_create(&thread[i], NULL, add, &crowd[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
		n_added += crowd[i].n_added;
	}
	while ((r = rk_next(c, FLEET_WAIT_MS, &reply)) != RK_EMPTY) {
		ck_assert_int_eq(r, RK_DONE);
		n_added++;
	}
	ck_assert_int_eq(rk_flush(c, FLEET_WAIT_MS, NULL), 0);
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_DONE);
	memcpy(text, reply.body, reply.len < 23 ? reply.len : 23);
	ck_assert_uint_eq(strtoul(text, NULL, 10), n_added);
	ck_assert_uint_eq(n_added, THREADS * ROUNDS);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("threads");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, a_thread_that_leaves_takes_nobodys_wake_up, 0,
			    (int)(sizeof(others) / sizeof(others[0])));
	tcase_add_test(c, the_descriptor_is_raised_after_a_waiting_thread_has_left);
	tcase_add_loop_test(c, threads_of_every_kind_share_one_client, 0, 2);
	return unit_run(c);
}
