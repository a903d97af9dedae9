/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The death of a worker whose lease is followed is told once, with the incarnation it
 *         belongs to, by whichever thread has its slot; what is not followed is not told; the
 *         threads sleep when nothing happens.
 * Method  Children of this test take real leases in a real fleet's segments and are killed. The
 *         first and last slots of each thread are used; 130 slots need two threads.
 */
#include "supervisor/watch.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/beat.h"
#include "shm/region.h"
#include "supervisor/segments.h"
#include "tests/unit/unit.h"

#define N_SLOTS 130u
#define WAIT_MS 20000 /* far more than it takes */
#define QUIET_MS 100

static struct rk_segments segments; /* one test per process */
static struct rk_watch *watch;

static void setup(void)
{
	struct rk_geometry g;
	struct rk_err err;

	rk_geometry_default(&g);
	g.n_workers = N_SLOTS;
	g.n_partitions = 4;
	ck_assert_msg(rk_segments_create(&segments, &g, &err) == 0, "%s", err.text);
	rk_watch_enter();
	ck_assert_msg(rk_watch_open(&segments.m, N_SLOTS, &watch, &err) == 0, "%s", err.text);
}

static void teardown(void)
{
	rk_watch_close(watch);
	rk_watch_leave();
	rk_segments_close(&segments);
}

/* A process that holds the slot's lease until it is killed. */
static pid_t holder_start(uint32_t slot, uint64_t incarnation)
{
	int said[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(said), 0);
	pid = fork();
	if (pid == 0) {
		struct rk_shm m = segments.m;
		void *beats;

		/* Our mapping is not inherited. */
		if (rk_region_map(segments.fd[RK_SEGMENT_BEATS], 0, m.l.beats_len, true, NULL,
				  &beats, NULL) < 0)
			_exit(1);
		m.beats = beats;
		if (rk_beat_take(rk_shm_beat(&m, slot), incarnation) < 0 ||
		    write(said[1], "h", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(said[1]);
	ck_assert_int_eq(read(said[0], &byte, 1), 1);
	(void)close(said[0]);
	return pid;
}

static void holder_kill(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static int is_told(int timeout_ms)
{
	struct pollfd p = { .fd = rk_watch_fd(watch), .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* Nobody else is told of. A wake may come behind what it was for, when that was found before it: then there is nothing. */
static bool is_quiet(void)
{
	uint64_t incarnation;
	uint32_t slot;

	if (!is_told(QUIET_MS))
		return true;
	rk_watch_drain(watch);
	return !rk_watch_next(watch, &slot, &incarnation) && !is_told(QUIET_MS);
}

static void must_be_told(uint32_t slot, uint64_t incarnation)
{
	uint64_t told_incarnation;
	uint32_t told_slot;

	ck_assert(is_told(WAIT_MS));
	rk_watch_drain(watch);
	ck_assert(rk_watch_next(watch, &told_slot, &told_incarnation));
	ck_assert_uint_eq(told_slot, slot);
	ck_assert_uint_eq(told_incarnation, incarnation);
	ck_assert(!rk_watch_next(watch, &told_slot, &told_incarnation));
}

static const uint32_t slots[] = { 0, 1, 126, 127, 128, 129 };

START_TEST(a_death_is_told_with_its_slot_and_incarnation)
{
	uint32_t slot = slots[_i];
	pid_t pid = holder_start(slot, 7);

	ck_assert_int_eq(rk_watch_follow(watch, slot, 7), 0);
	holder_kill(pid);
	must_be_told(slot, 7);
	ck_assert(is_quiet()); /* and once only */
}
END_TEST

/* Slots of both threads, one dead and one alive when all are told of. */
START_TEST(those_that_are_followed_together_are_told_like_any_other)
{
	pid_t pid = holder_start(128, 8);

	holder_kill(holder_start(3, 9));
	ck_assert_int_eq(rk_watch_begin(watch), 0);
	ck_assert_int_eq(rk_watch_follow(watch, 3, 9), 0);
	ck_assert_int_eq(rk_watch_follow(watch, 128, 8), 0);
	ck_assert(is_quiet()); /* nobody knows of them yet */
	rk_watch_end(watch);
	must_be_told(3, 9);
	holder_kill(pid);
	must_be_told(128, 8);
	rk_watch_end(watch); /* of nothing */
	ck_assert(is_quiet());
}
END_TEST

START_TEST(one_that_died_before_it_was_followed_is_told)
{
	holder_kill(holder_start(3, 9));
	ck_assert(is_quiet());
	ck_assert_int_eq(rk_watch_follow(watch, 3, 9), 0);
	must_be_told(3, 9);
}
END_TEST

START_TEST(a_successor_in_the_same_slot_is_told_as_itself)
{
	for (uint64_t incarnation = 1; incarnation <= 20; incarnation++) {
		pid_t pid = holder_start(5, incarnation);

		ck_assert_int_eq(rk_watch_follow(watch, 5, incarnation), 0);
		holder_kill(pid);
		must_be_told(5, incarnation);
		rk_beat_reset_lease(rk_shm_beat(&segments.m, 5));
	}
}
END_TEST

START_TEST(many_deaths_at_once_are_all_told)
{
	pid_t pid[sizeof(slots) / sizeof(slots[0])];
	uint32_t n = 0, slot;
	uint64_t incarnation;

	for (size_t i = 0; i < sizeof(pid) / sizeof(pid[0]); i++) {
		pid[i] = holder_start(slots[i], i + 1);
		ck_assert_int_eq(rk_watch_follow(watch, slots[i], i + 1), 0);
	}
	for (size_t i = 0; i < sizeof(pid) / sizeof(pid[0]); i++)
		(void)kill(pid[i], SIGKILL);
	while (n < sizeof(pid) / sizeof(pid[0])) {
		ck_assert(is_told(WAIT_MS));
		rk_watch_drain(watch);
		while (rk_watch_next(watch, &slot, &incarnation)) {
			ck_assert_uint_eq(slots[incarnation - 1], slot);
			n++;
		}
	}
	for (size_t i = 0; i < sizeof(pid) / sizeof(pid[0]); i++)
		ck_assert_int_eq(waitpid(pid[i], NULL, 0), pid[i]);
	ck_assert(is_quiet());
}
END_TEST

START_TEST(the_holder_is_the_thread_that_took_the_lease)
{
	pid_t pid = holder_start(2, 1);

	ck_assert_uint_eq(rk_watch_holder(watch, 2), 0);
	ck_assert_int_eq(rk_watch_follow(watch, 2, 1), 0);
	holder_kill(pid);
	must_be_told(2, 1);
	/* Seen held before it was seen dead, unless it died first: then nothing may be claimed. */
	ck_assert(rk_watch_holder(watch, 2) == (uint32_t)pid || rk_watch_holder(watch, 2) == 0);
}
END_TEST

/* Context switches of all threads of this process but the first. */
static unsigned long switches(void)
{
	unsigned long sum = 0, n;
	char line[256];
	FILE *list = popen("cat /proc/$PPID/task/*/status", "r");
	int thread = -1;

	ck_assert_ptr_nonnull(list);
	while (fgets(line, sizeof(line), list)) {
		thread += strncmp(line, "Name:", 5) == 0;
		if (thread > 0 && sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1)
			sum += n;
	}
	(void)pclose(list);
	return sum;
}

START_TEST(nothing_wakes_up_while_nothing_happens)
{
	pid_t a = holder_start(0, 1), b = holder_start(129, 1);
	unsigned long before;
	int windows = 0;

	ck_assert_int_eq(rk_watch_follow(watch, 0, 1), 0);
	ck_assert_int_eq(rk_watch_follow(watch, 129, 1), 0);
	holder_kill(a); /* told or not, its thread must sleep again */
	ck_assert(is_told(WAIT_MS));
	(void)is_told(QUIET_MS);
	/*
	 * call_rcu's thread rests 10 ms after its work, on a busy machine later:
	 * who wakes up by a clock does so in every window, this one in the first few.
	 */
	do {
		ck_assert_int_lt(windows++, WAIT_MS / (4 * QUIET_MS));
		before = switches();
		(void)poll(NULL, 0, 4 * QUIET_MS);
	} while (switches() != before);
	holder_kill(b);
}
END_TEST

int main(void)
{
#ifdef __SANITIZE_THREAD__
	/* liburcu is not instrumented: ThreadSanitizer does not see its grace periods. */
	(void)puts("1..0 # SKIP sanitizer: liburcu's order is invisible to ThreadSanitizer");
	return EXIT_SUCCESS;
#endif
	TCase *c = unit_case("watch");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, a_death_is_told_with_its_slot_and_incarnation, 0,
			    (int)(sizeof(slots) / sizeof(slots[0])));
	tcase_add_test(c, those_that_are_followed_together_are_told_like_any_other);
	tcase_add_test(c, one_that_died_before_it_was_followed_is_told);
	tcase_add_test(c, a_successor_in_the_same_slot_is_told_as_itself);
	tcase_add_test(c, many_deaths_at_once_are_all_told);
	tcase_add_test(c, the_holder_is_the_thread_that_took_the_lease);
	tcase_add_test(c, nothing_wakes_up_while_nothing_happens);
	return unit_run(c);
}
