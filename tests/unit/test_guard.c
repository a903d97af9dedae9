/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The guard's thread finds a stopped worker of each of several fleets while it ticks; once
 *         all are parked it sleeps without a tick, and wakes for work that comes, for a worker
 *         that wakes, for a process that is followed, and to let go of a ward or end; who
 *         rings all the time does not make it tick all the time; real-time priority that is
 *         not permitted is done without.
 * Method  The thread with real children; nothing is asserted that a busy machine may exceed.
 */
#include "supervisor/guard.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/beat.h"
#include "shm/bell.h"
#include "shm/vigil.h"
#include "supervisor/segments.h"
#include "supervisor/watch.h"
#include "tests/unit/unit.h"

#define N_SLOTS 3u
#define N_WARDS 2u
#define WAIT_MS 20000 /* far more than it takes */
#define QUIET_MS 300
#define SETTLE_MS 100 /* more than two ticks */

static struct rk_segments segments[N_WARDS]; /* one test per process */
static struct rk_ward *ward[N_WARDS];
static struct rk_guard *guard;

static void setup(void)
{
	static const struct rk_ward_rules rules = { .policies = { RK_POLICY_KILL, RK_POLICY_KILL,
								  0 } };
	struct rk_geometry g;
	struct rk_err err;

	rk_geometry_default(&g);
	g.n_workers = N_SLOTS;
	g.n_partitions = 4;
	rk_watch_enter();
	ck_assert_msg(rk_guard_open(false, &guard, &err) == 0, "%s", err.text);
	for (uint32_t i = 0; i < N_WARDS; i++) {
		ck_assert_msg(rk_segments_create(&segments[i], &g, &err) == 0, "%s", err.text);
		ck_assert_int_eq(rk_ward_new(&segments[i].m, N_SLOTS, &rules, &ward[i]), 0);
		ck_assert_int_eq(rk_guard_join(guard, ward[i]), 0);
	}
}

static void teardown(void)
{
	for (uint32_t i = 0; i < N_WARDS; i++) {
		if (guard)
			rk_guard_leave(guard, ward[i]);
		rk_ward_free(ward[i]);
	}
	rk_guard_close(guard);
	rk_watch_leave();
	for (uint32_t i = 0; i < N_WARDS; i++)
		rk_segments_close(&segments[i]);
}

static void declare(uint32_t w, uint32_t slot, enum rk_beat_state state)
{
	struct rk_beat *beat = rk_shm_beat(&segments[w].m, slot);

	atomic_store_explicit(&beat->incarnation, 1, memory_order_relaxed);
	atomic_store_explicit(&beat->state, state, memory_order_seq_cst);
}

static pid_t begin(uint32_t w, uint32_t slot, enum rk_beat_state state)
{
	struct rk_ward_subject who;
	int pidfd;
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	declare(w, slot, state);
	who = (struct rk_ward_subject){ pid, pidfd, 1, RK_WARD_SOUND };
	ck_assert_int_eq(rk_ward_follow(ward[w], slot, &who), 0);
	(void)close(pidfd);
	return pid;
}

/* Waits for the finding that this slot's process is to be killed. */
static void await_kill(uint32_t w, uint32_t slot)
{
	struct pollfd p = { .fd = rk_ward_fd(ward[w]), .events = POLLIN };
	bool is_found = false;

	while (!is_found) {
		struct rk_ward_finding *f;

		ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
		rk_ward_drain(ward[w]);
		while ((f = rk_ward_next(ward[w])) != NULL) {
			ck_assert_uint_eq(f->slot, slot);
			is_found |= f->response == RK_RESPOND_KILL;
			free(f);
		}
	}
}

static void await_parked(void)
{
	for (int i = 0; !rk_guard_is_parked(guard); i++) {
		ck_assert_int_lt(i, WAIT_MS);
		(void)poll(NULL, 0, 1);
	}
}

/* Two more ticks: one could have been under way. */
static void await_ticks(void)
{
	uint64_t n = rk_guard_n_ticks(guard);

	for (int i = 0; rk_guard_n_ticks(guard) < n + 2; i++) {
		ck_assert_int_lt(i, WAIT_MS);
		(void)poll(NULL, 0, 1);
	}
}

/* Voluntary context switches of the guard's thread. */
static unsigned long switches(void)
{
	unsigned long n = 0, sum = 0;
	char line[256];
	bool is_guard = false;
	FILE *list = popen("cat /proc/$PPID/task/*/status", "r");

	ck_assert_ptr_nonnull(list);
	while (fgets(line, sizeof(line), list)) {
		if (strncmp(line, "Name:", 5) == 0)
			is_guard = strcmp(line, "Name:\tguard\n") == 0;
		if (is_guard && sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1)
			sum += n;
	}
	(void)pclose(list);
	return sum;
}

/*
 * Parked and asleep. The bit alone may be that of the sleep before: who is followed wakes the
 * thread, and on a busy machine it is a while before it runs and takes the bit away.
 */
static void await_asleep(void)
{
	unsigned long before;
	uint64_t n_ticks;
	int i = 0;

	do {
		ck_assert_int_lt(i++, WAIT_MS / SETTLE_MS);
		await_parked();
		before = switches();
		n_ticks = rk_guard_n_ticks(guard);
		(void)poll(NULL, 0, SETTLE_MS);
	} while (!rk_guard_is_parked(guard) || switches() != before ||
		 rk_guard_n_ticks(guard) != n_ticks);
}

START_TEST(a_stopped_worker_of_each_fleet_is_found)
{
	for (uint32_t w = 0; w < N_WARDS; w++)
		(void)kill(begin(w, w + 1, RK_BEAT_RUNNING), SIGSTOP);
	for (uint32_t w = 0; w < N_WARDS; w++)
		await_kill(w, w + 1);
}
END_TEST

START_TEST(nothing_wakes_up_while_all_are_parked)
{
	unsigned long before;
	uint64_t n_ticks;

	for (uint32_t w = 0; w < N_WARDS; w++)
		for (uint32_t slot = 0; slot < N_SLOTS; slot++)
			(void)begin(w, slot, RK_BEAT_PARKED);
	await_asleep();
	before = switches();
	n_ticks = rk_guard_n_ticks(guard);
	(void)poll(NULL, 0, QUIET_MS);
	ck_assert_uint_eq(rk_guard_n_ticks(guard), n_ticks);
	ck_assert_uint_eq(switches(), before);
}
END_TEST

START_TEST(work_for_a_stopped_parked_worker_wakes_it_and_it_is_found)
{
	pid_t pid = begin(1, 2, RK_BEAT_PARKED);
	struct rk_shm *m = &segments[1].m;

	(void)begin(0, 0, RK_BEAT_PARKED);
	(void)rk_bell_park(&rk_shm_bell(m, 2)->bell);
	await_asleep();
	(void)kill(pid, SIGSTOP); /* without work nobody notices */
	(void)poll(NULL, 0, QUIET_MS);
	ck_assert(rk_guard_is_parked(guard));
	rk_bell_ring_partition(m, 2, 3);
	await_kill(1, 2);
}
END_TEST

START_TEST(a_worker_that_wakes_wakes_it)
{
	pid_t pid = begin(0, 1, RK_BEAT_PARKED);

	await_parked();
	rk_vigil_rouse(&segments[0].m, 1);
	declare(0, 1, RK_BEAT_RUNNING);
	(void)kill(pid, SIGSTOP);
	await_kill(0, 1);
}
END_TEST

START_TEST(a_process_that_is_followed_wakes_it)
{
	pid_t pid;

	await_parked(); /* nobody is there */
	pid = begin(0, 1, RK_BEAT_RUNNING);
	(void)kill(pid, SIGSTOP);
	await_kill(0, 1);
}
END_TEST

START_TEST(who_rings_all_the_time_does_not_make_it_tick_all_the_time)
{
	uint64_t end_ns = rk_clock_ns() + QUIET_MS * RK_NS_PER_MS, n_ticks;

	(void)begin(0, 1, RK_BEAT_PARKED);
	await_asleep();
	n_ticks = rk_guard_n_ticks(guard);
	while (rk_clock_ns() < end_ns)
		rk_bell_ring(rk_shm_vigil(&segments[0].m));
	ck_assert_uint_le(rk_guard_n_ticks(guard) - n_ticks, 2 * QUIET_MS / 40 + 4);
}
END_TEST

START_TEST(a_ward_leaves_a_guard_that_is_parked_or_ticks)
{
	if (_i)
		(void)begin(0, 0, RK_BEAT_RUNNING);
	if (_i)
		await_ticks();
	else
		await_parked();
	rk_guard_leave(guard, ward[0]);
	rk_segments_close(&segments[0]); /* a touch would be a crash */
	(void)kill(begin(1, 1, RK_BEAT_RUNNING), SIGSTOP);
	await_kill(1, 1);
	rk_guard_leave(guard, ward[0]); /* once more: nothing */
}
END_TEST

START_TEST(more_wards_than_have_room_are_refused)
{
	static struct rk_ward *more[RK_GUARD_WARDS_MAX];
	static const struct rk_ward_rules rules;

	for (uint32_t i = 0; i < RK_GUARD_WARDS_MAX; i++) {
		ck_assert_int_eq(rk_ward_new(&segments[0].m, 1, &rules, &more[i]), 0);
		ck_assert_int_eq(rk_guard_join(guard, more[i]),
				 i < RK_GUARD_WARDS_MAX - N_WARDS ? 0 : -ENOSPC);
	}
	for (uint32_t i = 0; i < RK_GUARD_WARDS_MAX; i++) {
		rk_guard_leave(guard, more[i]);
		rk_ward_free(more[i]);
	}
}
END_TEST

START_TEST(real_time_is_taken_where_permitted_and_done_without_elsewhere)
{
	const struct rlimit none = { 0, 0 };
	struct rk_guard *g;
	struct rk_err err;
	pid_t pid;

	if (_i) { /* as nobody, who may not */
		ck_assert_int_eq(setrlimit(RLIMIT_RTPRIO, &none), 0);
		ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
		(void)!setuid(65534);
	}
	for (uint32_t i = 0; i < N_WARDS; i++)
		rk_guard_leave(guard, ward[i]);
	ck_assert_msg(rk_guard_open(true, &g, &err) == 0, "%s", err.text);
	for (uint32_t i = 0; i < N_WARDS; i++)
		ck_assert_int_eq(rk_guard_join(g, ward[i]), 0);
	pid = begin(0, 1, RK_BEAT_RUNNING);
	(void)kill(pid, SIGSTOP);
	await_kill(0, 1);
	for (uint32_t i = 0; i < N_WARDS; i++)
		rk_guard_leave(g, ward[i]);
	rk_guard_close(g);
}
END_TEST

int main(void)
{
#ifdef __SANITIZE_THREAD__
	/* liburcu is not instrumented: ThreadSanitizer does not see its grace periods. */
	(void)puts("1..0 # SKIP sanitizer: liburcu's order is invisible to ThreadSanitizer");
	return EXIT_SUCCESS;
#endif
	TCase *c = unit_case("guard");

	tcase_set_timeout(c, 40);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_stopped_worker_of_each_fleet_is_found);
	tcase_add_test(c, nothing_wakes_up_while_all_are_parked);
	tcase_add_test(c, work_for_a_stopped_parked_worker_wakes_it_and_it_is_found);
	tcase_add_test(c, a_worker_that_wakes_wakes_it);
	tcase_add_test(c, a_process_that_is_followed_wakes_it);
	tcase_add_test(c, who_rings_all_the_time_does_not_make_it_tick_all_the_time);
	tcase_add_loop_test(c, a_ward_leaves_a_guard_that_is_parked_or_ticks, 0, 2);
	tcase_add_test(c, more_wards_than_have_room_are_refused);
	tcase_add_loop_test(c, real_time_is_taken_where_permitted_and_done_without_elsewhere, 0, 2);
	return unit_run(c);
}
