/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A look shows every thread of every process of the tree as it is; threads and processes
 *         may come and go; too many, too few descriptors or a dead worker are said and survived;
 *         nothing leaks and nothing is allocated.
 * Method  Children of this test that stop, spin, sleep, start threads and children, and die. What
 *         takes a moment is looked at until it shows.
 */
#include "supervisor/observe.h"

#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/unit.h"

#define PATIENCE_NS (20 * RK_NS_PER_S)

static struct rk_observatory shared; /* one test per process */
static struct rk_observe *o;
static pid_t child;
static int to_child[2];

static void *sleeper(void *arg)
{
	(void)arg;
	for (;;)
		(void)pause();
	return NULL;
}

static void sleeps(void)
{
	(void)sleeper(NULL);
}

static void spins(void)
{
	for (;;)
		__asm__ volatile("");
}

static void has_threads(int n)
{
	pthread_attr_t attributes;
	pthread_t t;

	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, 64 << 10);
	for (int i = 0; i < n; i++)
		if (pthread_create(&t, &attributes, sleeper, NULL))
			_exit(1);
	sleeps();
}

static void has_three_threads(void)
{
	has_threads(2);
}

static void has_too_many_threads(void)
{
	has_threads((int)RK_OBSERVE_THREADS + 20);
}

static void has_children(void)
{
	for (int i = 0; i < 2; i++)
		if (fork() == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			has_three_threads();
		}
	sleeps();
}

static void is_traced(void)
{
	(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	(void)raise(SIGSTOP);
	sleeps();
}

static void *thread_until_told(void *arg)
{
	char byte;

	(void)arg;
	(void)!read(to_child[0], &byte, 1);
	return NULL;
}

/* For each byte a thread ends and another begins. */
static void changes_threads(void)
{
	pthread_t t;

	for (;;)
		if (pthread_create(&t, NULL, thread_until_told, NULL) || pthread_join(t, NULL))
			_exit(1);
}

static void begin(void (*run)(void))
{
	ck_assert_int_eq(pipe(to_child), 0);
	child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		run();
		_exit(0);
	}
	ck_assert_int_eq(rk_observe_open(&shared, child, -1, &o), 0);
}

static void end(void)
{
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	rk_observe_close(o);
	o = NULL;
	ck_assert_uint_eq(shared.n_fds, 0);
}

static struct rk_look look(bool want_list)
{
	struct rk_look l;

	rk_observe_look(o, want_list, rk_clock_ns(), &l);
	return l;
}

static bool in_time(uint64_t start_ns)
{
	(void)usleep(1000); /* so as not to be the reason why it takes a moment */
	return rk_clock_ns() - start_ns < PATIENCE_NS;
}

#define await(l, condition)                                                                        \
	for (uint64_t start_ns_ = rk_clock_ns(); l = look(true), !(condition);)                    \
	ck_assert_msg(in_time(start_ns_), "never: %s", #condition)

static void setup(void)
{
	rk_observatory_init(&shared);
}

START_TEST(every_thread_of_every_process_is_seen)
{
	struct rk_look l;

	begin(has_children);
	await(l, l.n_processes == 3 && l.n_threads == 7 && l.n_asleep == 7);
	ck_assert(l.is_listed && !l.is_cut && !l.is_gone && !l.is_stopped && !l.is_traced &&
		  !l.is_frozen);
	ck_assert_uint_eq(l.n_unread, 0);
	end();
}
END_TEST

START_TEST(who_spins_runs_and_its_time_grows)
{
	struct rk_look l;
	uint64_t ran_ns = 0;

	begin(spins);
	await(l, (ran_ns += l.ran_ns) > 20 * RK_NS_PER_MS);
	await(l, l.n_running == 1);
	ck_assert_uint_eq(l.n_asleep, 0);
	end();
}
END_TEST

START_TEST(a_stopped_process_is_stopped_only_when_all_its_threads_are)
{
	struct rk_look l;

	begin(has_three_threads);
	await(l, l.n_asleep == 3);
	ck_assert(!l.is_stopped);
	ck_assert_int_eq(kill(child, SIGSTOP), 0);
	await(l, l.is_stopped && l.n_stopped == 3);
	ck_assert_int_eq(kill(child, SIGCONT), 0);
	await(l, !l.is_stopped && l.n_asleep == 3);
	end();
}
END_TEST

START_TEST(a_traced_process_is_traced)
{
	struct rk_look l;

	begin(is_traced);
	ck_assert_int_eq(waitpid(child, NULL, WUNTRACED), child);
	await(l, l.is_traced && l.n_traced == 1);
	ck_assert(!l.is_stopped);
	end();
}
END_TEST

START_TEST(a_thread_in_anothers_place_is_noticed)
{
	struct rk_observe_thread t[4];
	struct rk_look l;
	pid_t before;

	begin(changes_threads);
	await(l, l.n_threads == 2 && l.n_asleep == 2);
	ck_assert_uint_eq(rk_observe_threads(o, t, 4), 2);
	before = t[1].tid;
	ck_assert_int_eq(write(to_child[1], "x", 1), 1);
	for (uint64_t start_ns = rk_clock_ns(); in_time(start_ns);) {
		l = look(false); /* without listing the tree */
		if (rk_observe_threads(o, t, 4) == 2 && t[1].tid != before && l.n_asleep == 2)
			break;
	}
	ck_assert_int_ne(t[1].tid, before);
	ck_assert_int_eq(t[1].pid, child);
	end();
}
END_TEST

START_TEST(too_many_threads_are_cut_and_that_is_said)
{
	struct rk_look l;

	begin(has_too_many_threads);
	await(l, l.is_cut && l.n_threads == RK_OBSERVE_THREADS);
	await(l, l.n_asleep == RK_OBSERVE_THREADS);
	end();
}
END_TEST

START_TEST(of_descriptors_not_more_are_used_than_are_ours)
{
	struct rk_look l;

	shared.max_fds = 8;
	begin(has_three_threads);
	await(l, l.n_threads == 2 && l.is_cut);
	ck_assert_uint_le(shared.n_fds, 8);
	shared.max_fds = 100;
	rk_observe_rest(o);
	await(l, l.n_threads == 3 && !l.is_cut);
	end();
}
END_TEST

START_TEST(want_of_descriptors_is_said_and_passes)
{
	struct rlimit before, none;
	struct rk_look l;

	begin(has_three_threads);
	await(l, l.n_asleep == 3);
	rk_observe_rest(o);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	l = look(true);
	ck_assert(l.n_threads == 0 && !l.is_listed && !l.is_gone);
	ck_assert_uint_gt(l.n_unread, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	await(l, l.n_asleep == 3 && l.is_listed && l.n_unread == 0);
	end();
}
END_TEST

START_TEST(the_dead_are_gone_and_stay_gone_whoever_has_their_number)
{
	struct rk_look l;

	begin(has_three_threads);
	await(l, l.n_threads == 3);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	await(l, l.is_gone) /* still a zombie */
		;
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	l = look(true);
	ck_assert(l.is_gone && l.error == 0);
	ck_assert_uint_eq(l.n_running + l.n_starved + l.n_asleep, 0);
	rk_observe_rest(o);
	ck_assert(look(true).is_gone);
	rk_observe_close(o);
	ck_assert_uint_eq(shared.n_fds, 0);
	ck_assert_int_eq(rk_observe_open(&shared, child, -1, &o), -ESRCH);
	o = NULL;
}
END_TEST

START_TEST(a_steady_look_allocates_nothing_and_opens_nothing)
{
	struct mallinfo2 before, after;
	uint32_t n_fds;
	struct rk_look l;

	begin(has_three_threads);
	await(l, l.n_asleep == 3);
	n_fds = shared.n_fds;
	before = mallinfo2();
	for (int i = 0; i < 200; i++)
		l = look(i % 2);
	after = mallinfo2();
	ck_assert_uint_eq(before.uordblks, after.uordblks);
	ck_assert_uint_eq(before.hblkhd, after.hblkhd);
	ck_assert_uint_eq(shared.n_fds, n_fds);
	end();
}
END_TEST

START_TEST(a_look_after_a_rest_is_a_first_one)
{
	struct rk_look l;

	begin(spins);
	ck_assert(look(false).is_first);
	ck_assert(!look(false).is_first);
	rk_observe_rest(o);
	l = look(false);
	ck_assert(l.is_first && l.is_listed && l.ran_ns == 0 && l.n_running == 0);
	end();
}
END_TEST

int main(void)
{
	TCase *c = unit_case("observe");

	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, every_thread_of_every_process_is_seen);
	tcase_add_test(c, who_spins_runs_and_its_time_grows);
	tcase_add_test(c, a_stopped_process_is_stopped_only_when_all_its_threads_are);
	tcase_add_test(c, a_traced_process_is_traced);
	tcase_add_test(c, a_thread_in_anothers_place_is_noticed);
	tcase_add_test(c, too_many_threads_are_cut_and_that_is_said);
	tcase_add_test(c, of_descriptors_not_more_are_used_than_are_ours);
	tcase_add_test(c, want_of_descriptors_is_said_and_passes);
	tcase_add_test(c, the_dead_are_gone_and_stay_gone_whoever_has_their_number);
	tcase_add_test(c, a_steady_look_allocates_nothing_and_opens_nothing);
	tcase_add_test(c, a_look_after_a_rest_is_a_first_one);
	return unit_run(c);
}
