/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A worker obeys an order where the board allows it, and nowhere else: there the order
 *         stays as it is, whoever wrote it.
 * Method  The fixture's board and beat page; hang and loop in a child, which must be there until
 *         it is killed, asleep or burning.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/beat.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"
#include "workers/lib/worker.h"

static struct fixture *fixture;
static struct worker w;

static void allow(bool is_allowed)
{
	atomic_store_explicit(&fixture->m.board->allow_faults, is_allowed, memory_order_relaxed);
}

static void setup(void)
{
	fixture = fixture_new(NULL, 0);
	w = (struct worker){ .m = fixture->m, .beat = rk_shm_beat(&fixture->m, 0) };
}

static void teardown(void)
{
	fixture_free(fixture);
}

START_TEST(an_order_means_nothing_where_faults_are_not_allowed)
{
	for (int order = RK_ORDER_HANG; order < RK_ORDERS; order++) {
		rk_beat_order(w.beat, (enum rk_order)order, 1, 60000);
		rk_worker_obey(&w); /* would not return, or late */
		ck_assert(rk_beat_has_order(w.beat));
	}
}
END_TEST

START_TEST(slow_takes_that_much_longer_as_often_as_it_says)
{
	uint64_t then_ns = rk_clock_ns();

	allow(true);
	rk_beat_order(w.beat, RK_ORDER_SLOW, 2, 20);
	rk_worker_obey(&w);
	ck_assert_uint_ge(rk_clock_ns() - then_ns, 20 * RK_NS_PER_MS);
	ck_assert(rk_beat_has_order(w.beat));
	rk_worker_obey(&w);
	ck_assert_uint_ge(rk_clock_ns() - then_ns, 40 * RK_NS_PER_MS);
	ck_assert(!rk_beat_has_order(w.beat));
}
END_TEST

/* Burns until a CPU limit ends it, or, asleep, until it is killed. */
static int end_of(enum rk_order order)
{
	int status;
	pid_t pid;

	allow(true);
	rk_beat_order(w.beat, order, 1, 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CPU, &(struct rlimit){ 1, 2 });
		(void)signal(SIGALRM, SIG_DFL); /* libcheck has a handler of its own */
		if (order == RK_ORDER_HANG)
			(void)alarm(1); /* nothing else ends it */
		rk_worker_obey(&w);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	return WTERMSIG(status);
}

START_TEST(hang_sleeps_for_ever)
{
	ck_assert_int_eq(end_of(RK_ORDER_HANG), SIGALRM);
}
END_TEST

START_TEST(loop_burns_for_ever)
{
	ck_assert_int_eq(end_of(RK_ORDER_LOOP), SIGXCPU);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("obey");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, an_order_means_nothing_where_faults_are_not_allowed);
	tcase_add_test(c, slow_takes_that_much_longer_as_often_as_it_says);
	tcase_add_test(c, hang_sleeps_for_ever);
	tcase_add_test(c, loop_burns_for_ever);
	tcase_set_timeout(c, 30);
	return unit_run(c);
}
