/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Options become the detector's rules; what changes about a worker is told once, in order,
 *         with evidence where it matters, of the process that it is about; what finds no room is
 *         told later; whoever has no need of looks costs no descriptors.
 * Method  The test ticks by itself; workers are children that pause, with beat pages that the test
 *         writes.
 */
#include "supervisor/ward.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/beat.h"
#include "shm/bell.h"
#include "supervisor/journal.h"
#include "supervisor/segments.h"
#include "supervisor/watch.h"
#include "tests/unit/unit.h"

#define N_SLOTS 3u

static struct rk_segments segments; /* one test per process */
static struct rk_ward_watcher watcher;
static struct rk_ward *ward;
static _Atomic uint32_t bell;
static pid_t child[N_SLOTS];

static const struct rk_ward_rules report = { .bounds = { .hang_after_ns = 10 * RK_NS_PER_S },
					     .policies = { RK_POLICY_REPORT, RK_POLICY_REPORT,
							   0 } };
static const struct rk_ward_rules end = { .bounds = { .hang_after_ns = 10 * RK_NS_PER_S },
					  .policies = { RK_POLICY_KILL, RK_POLICY_KILL, 0 } };

static void setup(void)
{
	struct rk_geometry g;
	struct rk_err err;

	rk_geometry_default(&g);
	g.n_workers = N_SLOTS;
	g.n_partitions = 4;
	ck_assert_msg(rk_segments_create(&segments, &g, &err) == 0, "%s", err.text);
	rk_watch_enter();
	rk_observatory_init(&watcher.observatory);
	rk_pressure_open(&watcher.pressure);
	watcher.bell = &bell;
	ck_assert_int_eq(rk_ward_new(&segments.m, N_SLOTS, &report, &ward), 0);
	rk_ward_enter(ward, &watcher);
}

static void teardown(void)
{
	rk_ward_rest(ward);
	rk_ward_free(ward);
	rk_pressure_close(&watcher.pressure);
	for (uint32_t i = 0; i < N_SLOTS; i++)
		if (child[i])
			(void)kill(child[i], SIGKILL);
	rk_watch_leave();
	rk_segments_close(&segments);
}

static void declare(uint32_t slot, uint64_t incarnation, enum rk_beat_state state, uint64_t job)
{
	struct rk_beat *beat = rk_shm_beat(&segments.m, slot);

	atomic_store_explicit(&beat->incarnation, incarnation, memory_order_relaxed);
	atomic_store_explicit(&beat->job, job, memory_order_relaxed);
	atomic_store_explicit(&beat->state, state, memory_order_release);
}

/* A child that pauses is the slot's process from now on. */
static pid_t begin(uint32_t slot, uint64_t incarnation, enum rk_beat_state state)
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
	declare(slot, incarnation, state, 1);
	who = (struct rk_ward_subject){ pid, pidfd, incarnation, RK_WARD_SOUND };
	ck_assert_int_eq(rk_ward_follow(ward, slot, &who), 0);
	(void)close(pidfd); /* the ward has its own */
	child[slot] = pid;
	return pid;
}

static struct rk_ward_tick tick(void)
{
	struct rk_ward_tick t = { 0 };

	rk_ward_tick(ward, &t);
	return t;
}

/* Ticks until there is a finding. */
static struct rk_ward_finding *await(void)
{
	struct rk_ward_finding *f;

	for (int i = 0; i < 2000; i++) {
		(void)tick();
		f = rk_ward_next(ward);
		if (f)
			return f;
		(void)poll(NULL, 0, 10);
	}
	ck_abort_msg("nothing was found");
	return NULL;
}

static void await_stopped(pid_t pid)
{
	siginfo_t info;

	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
}

/* ---- rules ---- */

#define S RK_NS_PER_S

static const struct {
	const char *what;
	struct rk_fleet_options o;
	bool has_hang_after;
	struct rk_detect_bounds golden;
} options[] = {
	{ "the defaults leave a job its own deadline",
	  { .hang_after_ns = 10 * S,
	    .is_blocking = true,
	    .start_timeout_ns = 60 * S,
	    .job_timeout_ns = RK_INFINITE },
	  false,
	  { .start_timeout_ns = 60 * S } },
	{ "HangAfter that was written holds for every job",
	  { .hang_after_ns = 10 * S,
	    .is_blocking = true,
	    .job_timeout_ns = S,
	    .start_timeout_ns = RK_INFINITE },
	  true,
	  { .hang_after_ns = 10 * S, .job_timeout_ns = S } },
	{ "Blocking=no alone bounds no CPU",
	  { .hang_after_ns = RK_NS_PER_S / 10,
	    .start_timeout_ns = S,
	    .job_timeout_ns = RK_INFINITE },
	  false,
	  { .start_timeout_ns = S, .is_nonblocking = true } },
	{ "Blocking=no with HangAfter",
	  { .hang_after_ns = S, .start_timeout_ns = S, .job_timeout_ns = RK_INFINITE },
	  true,
	  { .hang_after_ns = S, .start_timeout_ns = S, .is_nonblocking = true } },
	{ "infinity is a long time, and sums of it do not wrap",
	  { .hang_after_ns = RK_INFINITE,
	    .is_blocking = true,
	    .start_timeout_ns = S,
	    .job_timeout_ns = RK_INFINITE },
	  true,
	  { .hang_after_ns = UINT64_MAX / 8, .start_timeout_ns = S } },
};

START_TEST(options_become_rules)
{
	struct rk_detect_bounds is =
		rk_ward_rules(&options[_i].o, options[_i].has_hang_after).bounds;
	const struct rk_detect_bounds *golden = &options[_i].golden;

	ck_assert_msg(is.hang_after_ns == golden->hang_after_ns, "%s", options[_i].what);
	ck_assert_msg(is.job_timeout_ns == golden->job_timeout_ns, "%s", options[_i].what);
	ck_assert_msg(is.start_timeout_ns == golden->start_timeout_ns, "%s", options[_i].what);
	ck_assert_msg(is.stop_timeout_ns == 0, "%s", options[_i].what);
	ck_assert_msg(is.is_nonblocking == golden->is_nonblocking, "%s", options[_i].what);
}
END_TEST

START_TEST(policies_are_the_options)
{
	const struct rk_fleet_options o = { .on_hang = RK_POLICY_MOVE,
					    .on_paused = RK_POLICY_KILL,
					    .core_timeout_ns = 7 };
	struct rk_policies p = rk_ward_rules(&o, false).policies;

	ck_assert_int_eq(p.on_hang, RK_POLICY_MOVE);
	ck_assert_int_eq(p.on_paused, RK_POLICY_KILL);
	ck_assert_uint_eq(p.core_timeout_ns, 7);
}
END_TEST

/* ---- findings ---- */

START_TEST(a_stop_and_its_end_are_told_once_each_and_in_order)
{
	pid_t pid = begin(1, 5, RK_BEAT_RUNNING);
	struct rk_ward_finding *f;

	await_stopped(pid);
	for (;;) { /* suspect comes first, if a tick saw it once */
		f = await();
		ck_assert_uint_eq(f->slot, 1);
		ck_assert_uint_eq(f->incarnation, 5);
		ck_assert_int_eq(f->pid, pid);
		if (f->stand == RK_WARD_SUSPECT)
			ck_assert(f->response == RK_RESPOND_NONE && !f->evidence);
		if (f->stand == RK_WARD_PAUSED)
			break;
		free(f);
	}
	ck_assert_int_eq(f->found.verdict, RK_VERDICT_STOPPED);
	ck_assert_int_eq(f->response, RK_RESPOND_REPORT);
	ck_assert_ptr_nonnull(f->evidence);
	ck_assert_uint_eq(f->evidence->n_threads, 1);
	ck_assert_int_eq(f->evidence->thread[0].state, 'T');
	free(f);
	for (int i = 0; i < 5; i++) {
		(void)tick();
		ck_assert_ptr_null(rk_ward_next(ward));
		(void)poll(NULL, 0, 10);
	}
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	declare(1, 5, RK_BEAT_RUNNING, 2);
	do {
		f = await();
		ck_assert_int_ne(f->stand, RK_WARD_PAUSED);
		pid = f->stand == RK_WARD_SOUND ? 0 : pid;
		if (!pid)
			ck_assert(f->response == RK_RESPOND_NONE && !f->evidence);
		free(f);
	} while (pid);
}
END_TEST

START_TEST(the_policy_in_force_says_what_is_called_for)
{
	pid_t pid = begin(0, 1, RK_BEAT_RUNNING);
	enum rk_response response;

	ck_assert_int_eq(rk_ward_rule(ward, &end), 0);
	await_stopped(pid);
	do {
		struct rk_ward_finding *f = await();

		response = f->response;
		free(f);
	} while (response == RK_RESPOND_NONE);
	ck_assert_int_eq(response, RK_RESPOND_KILL);
}
END_TEST

START_TEST(a_job_past_its_deadline_is_told_once_for_each_job)
{
	struct rk_beat *beat = rk_shm_beat(&segments.m, 2);

	begin(2, 3, RK_BEAT_RUNNING);
	for (uint64_t job = 1; job <= 3; job++) {
		struct rk_ward_finding *f;

		atomic_store_explicit(&beat->deadline_ns, rk_clock_ns() - 1, memory_order_relaxed);
		declare(2, 3, RK_BEAT_RUNNING, job);
		f = await();
		ck_assert_int_eq(f->response, RK_RESPOND_CANCEL);
		ck_assert_uint_eq(f->found.job, job);
		ck_assert_ptr_null(f->evidence);
		free(f);
		(void)tick();
		ck_assert_ptr_null(rk_ward_next(ward));
	}
}
END_TEST

START_TEST(a_successor_is_not_charged_with_what_its_predecessor_did)
{
	struct rk_ward_finding *f;
	pid_t pid = begin(1, 5, RK_BEAT_RUNNING);

	await_stopped(pid);
	do {
		f = await();
		pid = f->stand == RK_WARD_PAUSED ? 0 : pid;
		free(f);
	} while (pid);
	(void)kill(child[1], SIGKILL);
	pid = begin(1, 6, RK_BEAT_READY);
	for (int i = 0; i < 5; i++)
		(void)tick();
	ck_assert_ptr_null(rk_ward_next(ward)); /* a new process begins as sound: nothing to tell */
}
END_TEST

/* ---- the supervisor's death ---- */

/* Another one's ward, which has the same memory and follows the same process, known to stand so. */
static void ward_replace_as(uint32_t slot, uint64_t incarnation, const struct rk_ward_rules *rules,
			    enum rk_ward_stand stand)
{
	int pidfd = (int)syscall(SYS_pidfd_open, child[slot], 0);
	const struct rk_ward_subject who = { child[slot], pidfd, incarnation, stand };

	rk_ward_rest(ward);
	rk_ward_free(ward);
	ck_assert_int_eq(rk_ward_new(&segments.m, N_SLOTS, rules, &ward), 0);
	rk_ward_enter(ward, &watcher);
	ck_assert_int_eq(rk_ward_follow(ward, slot, &who), 0);
	(void)close(pidfd);
}

static void ward_replace(uint32_t slot, uint64_t incarnation, const struct rk_ward_rules *rules)
{
	ward_replace_as(slot, incarnation, rules, RK_WARD_SOUND);
}

static const struct rk_ward_rules end_soon = { .bounds = { .hang_after_ns = 300 * RK_NS_PER_MS },
					       .policies = { RK_POLICY_KILL, RK_POLICY_KILL, 0 } };

/* Each lives for four looks, a third of the bound at most. */
START_TEST(who_hangs_is_found_by_supervisors_that_live_for_a_moment_each)
{
	enum rk_response response = RK_RESPOND_NONE;
	uint64_t since_ns = rk_clock_ns();
	uint32_t n = 0;

	begin(1, 5, RK_BEAT_RUNNING);
	for (; response == RK_RESPOND_NONE; n++) {
		ck_assert_uint_lt(n, 200);
		ward_replace(1, 5, &end_soon);
		for (int i = 0; i < 4; i++) {
			struct rk_ward_finding *f;

			(void)tick();
			while ((f = rk_ward_next(ward)) != NULL) {
				response = f->response ? f->response : response;
				ck_assert(!f->response || f->found.since_ns - since_ns < 100 * RK_NS_PER_MS);
				free(f);
			}
			(void)poll(NULL, 0, 20);
		}
	}
	ck_assert_int_eq(response, RK_RESPOND_KILL);
	ck_assert_uint_gt(n, 2);
}
END_TEST

/* Of another process in that slot, or none that can be true, nothing is taken up. */
START_TEST(what_another_supervisor_saw_is_that_processes_alone)
{
	const struct {
		uint64_t incarnation, since_ns;
		uint32_t phase, blame;
		bool is_taken_up;
	} seen[] = {
		{ 5, 1, RK_PHASE_WORKING, RK_VERDICT_ASLEEP, true },
		{ 4, 1, RK_PHASE_WORKING, RK_VERDICT_ASLEEP, false },
		{ 5, UINT64_MAX, RK_PHASE_WORKING, RK_VERDICT_ASLEEP, false },
		{ 5, 1, RK_PHASES, RK_VERDICT_ASLEEP, false },
		{ 5, 1, RK_PHASE_WORKING, RK_VERDICTS, false },
		{ 5, 1, RK_PHASE_IDLE, RK_VERDICT_ASLEEP, false }, /* it has got on since */
	};
	const struct rk_journal_watch watch = { .incarnation = seen[_i].incarnation,
						.job = 1,
						.state = RK_BEAT_RUNNING,
						.phase = seen[_i].phase,
						.blame = seen[_i].blame,
						.since_ns = seen[_i].since_ns,
						.blamed_ns = 1 };
	struct rk_ward_finding *f;

	begin(1, 5, RK_BEAT_RUNNING);
	rk_journal_watch(&segments.m, 1, &watch);
	ward_replace(1, 5, &end_soon);
	(void)tick();
	f = rk_ward_next(ward);
	ck_assert_int_eq(f != NULL, seen[_i].is_taken_up);
	ck_assert(!f || (f->response == RK_RESPOND_KILL && f->evidence));
	free(f);
}
END_TEST

START_TEST(one_that_was_taken_up_is_looked_at_again_soon)
{
	begin(1, 5, RK_BEAT_RUNNING);
	ck_assert(!tick().is_any_suspect);
	ck_assert(!tick().is_any_suspect); /* its first look */
	ward_replace(1, 5, &report);
	ck_assert(tick().is_any_suspect);
	ck_assert(!tick().is_any_suspect);
}
END_TEST

/* Who is still as he was known to be: nothing is told of that. */
START_TEST(one_that_is_known_as_paused_stays_so_until_it_runs)
{
	pid_t pid = begin(1, 5, RK_BEAT_RUNNING);
	struct rk_ward_finding *f = NULL;

	await_stopped(pid);
	while (!f || f->stand != RK_WARD_PAUSED) {
		free(f);
		f = await();
	}
	free(f);
	ward_replace_as(1, 5, &report, RK_WARD_PAUSED);
	f = await();
	ck_assert_int_eq(f->stand, RK_WARD_PAUSED);
	ck_assert_int_eq(f->response, RK_RESPOND_REPORT);
	free(f);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	declare(1, 5, RK_BEAT_PARKED, 2);
	ward_replace_as(1, 5, &report, RK_WARD_PAUSED);
	f = await();
	ck_assert_int_eq(f->stand, RK_WARD_SOUND);
	free(f);
}
END_TEST

START_TEST(what_finds_no_room_is_told_when_there_is_some)
{
	struct rk_beat *beat = rk_shm_beat(&segments.m, 0);
	struct rk_ward_finding *f;
	uint64_t last = 0, n = 0;

	begin(0, 1, RK_BEAT_RUNNING);
	for (uint64_t job = 1; job <= RK_WARD_UNREAD_MAX + 50; job++) {
		atomic_store_explicit(&beat->deadline_ns, rk_clock_ns() - 1, memory_order_relaxed);
		declare(0, 1, RK_BEAT_RUNNING, job);
		(void)tick(); /* progress */
		(void)tick();
	}
	while ((f = rk_ward_next(ward)) != NULL) {
		if (f->response == RK_RESPOND_CANCEL) {
			ck_assert_uint_gt(f->found.job, last); /* oldest first */
			last = f->found.job;
		}
		n++;
		free(f);
	}
	ck_assert_uint_eq(n, RK_WARD_UNREAD_MAX);
	ck_assert_uint_lt(last, RK_WARD_UNREAD_MAX + 50);
	(void)tick();
	f = rk_ward_next(ward);
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(f->found.job, RK_WARD_UNREAD_MAX + 50);
	free(f);
}
END_TEST

START_TEST(who_gets_on_is_not_looked_at_and_who_rests_holds_no_descriptors)
{
	int before;

	begin(0, 1, RK_BEAT_RUNNING);
	before = unit_n_fds();
	for (uint64_t job = 2; job < 10; job++) {
		declare(0, 1, RK_BEAT_RUNNING, job);
		(void)tick();
	}
	ck_assert_int_eq(unit_n_fds(), before);
	(void)tick(); /* the same job again: looked at */
	ck_assert_int_gt(unit_n_fds(), before);
	declare(0, 1, RK_BEAT_PARKED, 9);
	for (int i = 0; i < 100; i++)
		(void)tick();
	ck_assert_int_eq(unit_n_fds(), before);
	rk_ward_rest(ward);
	ck_assert_int_eq(unit_n_fds(), before);
}
END_TEST

START_TEST(who_is_awake_or_has_work_is_said_to_be)
{
	ck_assert(!tick().is_any_awake); /* no process at all */
	ck_assert(rk_ward_is_needless(ward));
	begin(0, 1, RK_BEAT_PARKED);
	ck_assert(!tick().is_any_awake);
	ck_assert(rk_ward_is_needless(ward));
	rk_bell_ring_partition(&segments.m, 0, 2);
	ck_assert(tick().is_any_awake);
	ck_assert(!rk_ward_is_needless(ward));
	atomic_store_explicit(rk_bell_pending(rk_shm_bell(&segments.m, 0)), 0,
			      memory_order_relaxed);
	declare(0, 1, RK_BEAT_READY, 1);
	ck_assert(tick().is_any_awake);
	declare(0, 1, RK_BEAT_PARKED, 1);
	ck_assert(!tick().is_any_awake);
	begin(1, 8, RK_BEAT_PARKED);
	declare(1, 7, RK_BEAT_PARKED, 1); /* its predecessor's page: it is starting */
	ck_assert(tick().is_any_awake);
	ck_assert(!rk_ward_is_needless(ward));
	ck_assert_int_eq(rk_ward_follow(ward, 1, &(struct rk_ward_subject){ .pidfd = -1 }), 0);
	ck_assert(!tick().is_any_awake);
}
END_TEST

START_TEST(who_does_not_wake_for_its_work_is_looked_at_soon)
{
	begin(0, 1, RK_BEAT_PARKED);
	ck_assert(!tick().is_any_suspect);
	rk_bell_ring_partition(&segments.m, 0, 2);
	ck_assert(tick().is_any_suspect);  /* it may have been stopped */
	ck_assert(!tick().is_any_suspect); /* it has been looked at, and was not */
	declare(0, 1, RK_BEAT_RUNNING, 2);
	ck_assert(!tick().is_any_suspect); /* at work is no reason */
}
END_TEST

START_TEST(a_bell_that_lies_hides_nobody_for_long)
{
	int n = 0;

	begin(0, 1, RK_BEAT_PARKED);
	(void)tick();
	(void)rk_bell_park(&rk_shm_bell(&segments.m, 0)->bell);
	ck_assert(!tick().is_any_awake);
	declare(0, 1, RK_BEAT_RUNNING, 2); /* and its bell says still that it sleeps */
	while (!tick().is_any_awake)
		ck_assert_int_lt(++n, 33);
}
END_TEST

START_TEST(a_successor_is_seen_through_its_predecessors_bell)
{
	begin(0, 1, RK_BEAT_PARKED);
	(void)rk_bell_park(&rk_shm_bell(&segments.m, 0)->bell);
	ck_assert(!tick().is_any_awake);
	begin(0, 2, RK_BEAT_STARTING);
	ck_assert(tick().is_any_awake);
}
END_TEST

START_TEST(a_short_tick_is_for_those_alone_that_are_to_be_seen_soon)
{
	struct rk_ward_tick t = { .is_short = true };

	begin(0, 1, RK_BEAT_PARKED);
	begin(1, 2, RK_BEAT_PARKED);
	(void)tick();
	rk_bell_ring_partition(&segments.m, 0, 2);
	ck_assert(tick().is_any_suspect);
	rk_bell_ring_partition(&segments.m, 1, 3);
	rk_ward_tick(ward, &t);
	ck_assert(!t.is_any_suspect); /* slot 0 was seen, slot 1 was not */
	ck_assert(tick().is_any_suspect);
	ck_assert_int_eq(rk_ward_follow(ward, 1, &(struct rk_ward_subject){ .pidfd = -1 }), 0);
	t = (struct rk_ward_tick){ .is_short = true };
	rk_ward_tick(ward, &t); /* nobody is there any more */
	ck_assert(!t.is_any_suspect);
}
END_TEST

START_TEST(a_process_that_is_followed_rings_a_parked_guard)
{
	uint32_t word = rk_bell_park(&bell);

	begin(0, 1, RK_BEAT_PARKED);
	ck_assert_uint_ne(atomic_load_explicit(&bell, memory_order_relaxed), word);
}
END_TEST

int main(void)
{
#ifdef __SANITIZE_THREAD__
	/* liburcu is not instrumented: ThreadSanitizer does not see its grace periods. */
	(void)puts("1..0 # SKIP sanitizer: liburcu's order is invisible to ThreadSanitizer");
	return EXIT_SUCCESS;
#endif
	TCase *c = unit_case("ward");

	tcase_set_timeout(c, 40);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, options_become_rules, 0, (int)rk_countof(options));
	tcase_add_test(c, policies_are_the_options);
	tcase_add_test(c, a_stop_and_its_end_are_told_once_each_and_in_order);
	tcase_add_test(c, the_policy_in_force_says_what_is_called_for);
	tcase_add_test(c, a_job_past_its_deadline_is_told_once_for_each_job);
	tcase_add_test(c, a_successor_is_not_charged_with_what_its_predecessor_did);
	tcase_add_test(c, who_hangs_is_found_by_supervisors_that_live_for_a_moment_each);
	tcase_add_loop_test(c, what_another_supervisor_saw_is_that_processes_alone, 0, 6);
	tcase_add_test(c, one_that_was_taken_up_is_looked_at_again_soon);
	tcase_add_test(c, one_that_is_known_as_paused_stays_so_until_it_runs);
	tcase_add_test(c, what_finds_no_room_is_told_when_there_is_some);
	tcase_add_test(c, who_gets_on_is_not_looked_at_and_who_rests_holds_no_descriptors);
	tcase_add_test(c, who_is_awake_or_has_work_is_said_to_be);
	tcase_add_test(c, who_does_not_wake_for_its_work_is_looked_at_soon);
	tcase_add_test(c, a_bell_that_lies_hides_nobody_for_long);
	tcase_add_test(c, a_successor_is_seen_through_its_predecessors_bell);
	tcase_add_test(c, a_short_tick_is_for_those_alone_that_are_to_be_seen_soon);
	tcase_add_test(c, a_process_that_is_followed_rings_a_parked_guard);
	return unit_run(c);
}
