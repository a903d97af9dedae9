/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Whoever waits, starves or is watched too late is never blamed; whoever hangs is, with
 *         the documented verdict within the documented time (doc/detection.md).
 * Method  A worker of up to three threads lives in virtual time, one millisecond a step, on a
 *         machine that gives CPU freely, to 64 hogs first, or by quota. It is ticked as the
 *         supervisor would, and policies that kill wherever they may are asked what they would do.
 */
#include "supervisor/detect.h"

#include <check.h>
#include <string.h>

#include "base/macro.h"
#include "tests/unit/sim.h"
#include "tests/unit/unit.h"

#define MS RK_NS_PER_MS

/* ---- what healthy workers do ---- */

static void job_done(struct sim *s)
{
	s->beat.job++;
	s->beat.n_jobs++;
	s->since_job_ms = 0;
	s->thread[0].books.cpu_ns++; /* nothing is exact */
}

static uint64_t wait_ms = 300; /* one test per process */

/* CPU for 4 ms, a wait, the next job. */
static void waits(struct sim *s, char state)
{
	struct sim_thread *t = &s->thread[0];

	if (t->books.cpu_ns % (8 * MS) < 4 * MS) {
		t->wants = 'R';
		s->since_job_ms = 0;
	} else if (s->since_job_ms < wait_ms) {
		t->wants = state;
	} else {
		t->books.cpu_ns += 4 * MS;
		job_done(s);
	}
}

static void reads(struct sim *s)
{
	waits(s, 'S');
}

static void syncs(struct sim *s)
{
	waits(s, 'D');
}

/* Every job takes 20 ms of CPU. */
static void computes(struct sim *s)
{
	s->thread[0].wants = 'R';
	if (s->thread[0].books.cpu_ns >= s->beat.job * 20 * MS)
		job_done(s);
}

/* The job thread waits for a mutex until its helper has got 20 ms of CPU. */
static void waits_for_helper(struct sim *s)
{
	s->thread[0].wants = 'S';
	s->thread[1].wants = 'R';
	if (s->thread[1].books.cpu_ns >= s->beat.job * 20 * MS)
		job_done(s);
}

/* Its children come and go, each for 7 ms; the job takes 70 of them. */
static void forks(struct sim *s)
{
	uint32_t child = 1 + (uint32_t)(s->ms / 7) % 2;

	s->thread[0].wants = 'S';
	s->thread[1].wants = s->thread[2].wants = 0;
	s->thread[child].wants = 'R';
	if (s->ms % 7 == 0) {
		s->thread[child].life++;
		s->thread[child].books = (struct rk_look_thread){ 0 };
		if (s->ms / 7 % 70 == 0)
			job_done(s);
	}
}

/* Page faults under memory pressure: 90 ms in D, a millisecond of CPU. */
static void faults(struct sim *s)
{
	s->thread[0].wants = s->ms % 91 == 0 ? 'R' : 'D';
	if (s->ms % 910 == 0)
		job_done(s);
}

static void idles(struct sim *s)
{
	s->beat.state = RK_BEAT_PARKED;
	s->thread[0].wants = 'S';
}

static void beats_on(struct sim *s)
{
	s->thread[0].wants = 'R';
	if (s->ms % 900 == 0)
		s->beat.beats++;
}

static const struct healthy {
	const char *what;
	void (*live)(struct sim *);
	enum machine machine;
	uint64_t wait_ms;
	bool is_nonblocking;
} healthy[] = {
	{ "idle", idles, FREE, 0, true },
	{ "computing", computes, FREE, 0, true },
	{ "computing under 64 hogs", computes, HOGS, 0, true },
	{ "computing under a quota", computes, QUOTA, 0, true },
	{ "0.3 s in read", reads, FREE, 300, false },
	{ "1 s in poll under 64 hogs", reads, HOGS, 1000, false },
	{ "5 s in read under 64 hogs", reads, HOGS, 5000, false },
	{ "5 s in read under a quota", reads, QUOTA, 5000, false },
	{ "9.9 s in read", reads, FREE, 9900, false },
	{ "0.3 s in fsync", syncs, FREE, 300, true },
	{ "5 s in fsync under 64 hogs", syncs, HOGS, 5000, true },
	{ "a mutex of a helper, 64 hogs", waits_for_helper, HOGS, 0, true },
	{ "a mutex of a helper, quota", waits_for_helper, QUOTA, 0, true },
	{ "a mutex of a helper", waits_for_helper, FREE, 0, true },
	{ "fork storm", forks, FREE, 0, true },
	{ "fork storm under 64 hogs", forks, HOGS, 0, true },
	{ "vm storm", faults, FREE, 0, true },
	{ "vm storm under 64 hogs", faults, HOGS, 0, true },
	{ "long jobs that beat", beats_on, FREE, 0, true },
};

static void healthy_init(struct sim *s, const struct healthy *h)
{
	wait_ms = h->wait_ms;
	sim_init(s, h->live, h->machine);
	s->bounds.is_nonblocking = h->is_nonblocking;
}

START_TEST(a_healthy_worker_is_never_blamed)
{
	struct sim s;

	healthy_init(&s, &healthy[_i]);
	sim_run(&s, 120000);
	ck_assert_msg(s.n_kills == 0, "%s: %s after %lu ms", healthy[_i].what,
		      rk_verdict_name(s.finding.verdict), (unsigned long)s.ms);
}
END_TEST

START_TEST(a_healthy_worker_is_not_blamed_by_a_watcher_that_is_late)
{
	struct sim s;

	healthy_init(&s, &healthy[_i]);
	for (int i = 0; i < 400; i++) {
		sim_run(&s, 20 + (uint64_t)(i * 37) % 60);
		s.tick_ms = s.ms + 25 + (uint64_t)(i * 101) % 310; /* the supervisor sleeps over */
		s.lateness_ns = (s.tick_ms - s.ms) * MS;
	}
	ck_assert_msg(s.n_kills == 0, "%s", healthy[_i].what);
}
END_TEST

START_TEST(a_healthy_worker_is_not_blamed_by_watchers_that_die)
{
	struct sim s;

	healthy_init(&s, &healthy[_i]);
	for (int i = 0; i < 600; i++) {
		sim_run(&s, 15 + (uint64_t)(i * 37) % 400);
		sim_replace(&s, (uint64_t)(i * 101) % 90);
	}
	ck_assert_msg(s.n_kills == 0, "%s: %s after %lu ms", healthy[_i].what,
		      rk_verdict_name(s.finding.verdict), (unsigned long)s.ms);
}
END_TEST

/* The clock goes on, nobody runs; whoever ran is charged for it. */
START_TEST(a_healthy_worker_is_not_blamed_for_a_pause_of_the_machine)
{
	struct sim s;

	healthy_init(&s, &healthy[_i]);
	s.bounds.hang_after_ns = 10 * RK_NS_PER_S;
	for (int i = 0; i < 60; i++) {
		sim_run(&s, 317);
		s.ms += 1000;
		for (uint32_t k = 0; k < SIM_THREADS; k++)
			s.thread[k].books.cpu_ns += s.thread[k].has_cpu && s.live != computes &&
								    s.live != waits_for_helper
							    ? 1000 * MS
							    : 0;
		s.tick_ms = s.ms;
		s.lateness_ns = 1000 * MS;
	}
	ck_assert_msg(s.n_kills == 0, "%s", healthy[_i].what);
}
END_TEST

/* CLOCK_MONOTONIC stands still meanwhile: only the boot clock tells. */
START_TEST(a_suspended_machine_voids_the_interval)
{
	struct sim s;

	wait_ms = 1u << 30;
	sim_init(&s, reads, FREE);
	s.bounds.hang_after_ns = 500 * MS;
	for (int i = 0; i < 400; i++) {
		sim_run(&s, 10);
		s.away_ns += 60 * RK_NS_PER_S;
	}
	ck_assert_uint_eq(s.n_kills, 0);
	ck_assert_uint_gt(s.finding.spent.void_ns, 3000 * MS);
	sim_run(&s, 600);
	ck_assert_uint_gt(s.n_kills, 0);
}
END_TEST

/* ---- what sick workers do ---- */

static void deadlocks(struct sim *s)
{
	s->thread[0].wants = s->thread[1].wants = 'S';
}

static void loops(struct sim *s)
{
	s->thread[0].wants = 'R';
}

/* Two threads: their time together must not count double. */
static void loops_twice(struct sim *s)
{
	s->thread[0].wants = s->thread[1].wants = 'R';
}

static void polls(struct sim *s)
{
	s->thread[0].wants = s->ms % 7 == 3 ? 'R' : 'S';
}

static void polls_slowly(struct sim *s)
{
	s->thread[0].wants = s->ms % 90 == 3 ? 'R' : 'S';
}

static void hangs_in_d(struct sim *s)
{
	s->thread[0].wants = 'D';
	s->thread[1].wants = 'S';
}

static void stops(struct sim *s)
{
	computes(s);
	if (s->ms >= 1000)
		s->thread[0].wants = 'T';
}

static void is_traced(struct sim *s)
{
	computes(s);
	if (s->ms >= 1000)
		s->thread[0].wants = 't';
}

static void freezes(struct sim *s)
{
	computes(s);
	s->is_frozen = s->ms >= 1000;
}

static void freezes_v1(struct sim *s)
{
	freezes(s);
	s->is_frozen_v1 = true;
}

/* Stopped 4 of every 5 ms, and gets nowhere. */
static void flickers(struct sim *s)
{
	s->thread[0].wants = s->ms % 5 == 3 ? 'R' : 'T'; /* every look sees it stopped */
}

static void never_ready(struct sim *s)
{
	s->beat.state = RK_BEAT_STARTING;
	s->thread[0].wants = 'S';
}

static void never_ends(struct sim *s)
{
	s->beat.state = RK_BEAT_STOPPING;
	s->thread[0].wants = 'S';
}

static void loops_late(struct sim *s)
{
	s->beat.deadline_ns = 1000 * RK_NS_PER_S + 2000 * MS;
	loops(s);
}

static void sleeps_late(struct sim *s)
{
	s->beat.deadline_ns = 1000 * RK_NS_PER_S + 2000 * MS;
	deadlocks(s);
}

/* clang-format off */
/* Where nothing else is said: HangAfter and deadline unset, so that the bound is 10 s. */
static const struct sick {
	const char *what;
	void (*live)(struct sim *);
	enum machine machine;
	struct rk_detect_bounds bounds;
	enum rk_verdict verdict;
	uint64_t earliest_ms, latest_ms;
} sick[] = {
	{ "futex deadlock", deadlocks, FREE, { 0 },
	  RK_VERDICT_ASLEEP, 10000, 10150 },
	{ "futex deadlock, 64 hogs", deadlocks, HOGS, { 0 },
	  RK_VERDICT_ASLEEP, 10000, 10150 },
	{ "futex deadlock, HangAfter=1s", deadlocks, FREE, { .hang_after_ns = 1000 * MS },
	  RK_VERDICT_ASLEEP, 1000, 1150 },
	{ "futex deadlock, Blocking=no", deadlocks, FREE, { .is_nonblocking = true },
	  RK_VERDICT_ASLEEP, 100, 200 },
	{ "futex deadlock, job's deadline 2 s", sleeps_late, FREE, { 0 },
	  RK_VERDICT_ASLEEP, 2100, 2250 },
	{ "futex deadlock, JobTimeout=2s", deadlocks, FREE, { .job_timeout_ns = 2000 * MS },
	  RK_VERDICT_ASLEEP, 2100, 2250 },
	{ "infinite loop", loops, FREE, { 0 },
	  RK_VERDICT_LOOP, 10000, 10150 },
	{ "infinite loop of two threads", loops_twice, FREE, { 0 },
	  RK_VERDICT_LOOP, 10000, 10150 },
	{ "infinite loop, HangAfter=1s", loops, FREE, { .hang_after_ns = 1000 * MS },
	  RK_VERDICT_LOOP, 1000, 1150 },
	{ "infinite loop, job's deadline 2 s", loops_late, FREE, { 0 },
	  RK_VERDICT_LOOP, 2100, 2250 },
	/* It must burn its own: 150 ms at 3 of 200. */
	{ "infinite loop, 64 hogs", loops, HOGS, { .hang_after_ns = 150 * MS },
	  RK_VERDICT_LOOP, 9500, 10100 },
	{ "polling livelock", polls, FREE, { 0 },
	  RK_VERDICT_LIVELOCK, 10000, 12000 },
	{ "slow polling livelock", polls_slowly, FREE, { 0 },
	  RK_VERDICT_LIVELOCK, 10000, 11000 },
	{ "polling livelock, Blocking=no", polls, FREE, { .is_nonblocking = true },
	  RK_VERDICT_LIVELOCK, 100, 300 },
	{ "uninterruptible", hangs_in_d, FREE, { 0 },
	  RK_VERDICT_DISK, 10000, 10150 },
	{ "uninterruptible, Blocking=no", hangs_in_d, FREE, { .is_nonblocking = true },
	  RK_VERDICT_DISK, 10000, 10150 },
	{ "uninterruptible, 64 hogs", hangs_in_d, HOGS, { 0 },
	  RK_VERDICT_DISK, 10000, 10150 },
	{ "stopped", stops, FREE, { 0 },
	  RK_VERDICT_STOPPED, 1000, 1100 },
	{ "stopped, 64 hogs", stops, HOGS, { 0 },
	  RK_VERDICT_STOPPED, 1000, 1100 },
	{ "traced", is_traced, FREE, { 0 },
	  RK_VERDICT_TRACED, 1000, 1100 },
	{ "frozen, v2", freezes, FREE, { 0 },
	  RK_VERDICT_FROZEN, 1000, 1100 },
	{ "frozen, v1", freezes_v1, FREE, { 0 },
	  RK_VERDICT_FROZEN, 1000, 1100 },
	{ "never ready", never_ready, FREE, { .start_timeout_ns = 3000 * MS },
	  RK_VERDICT_START_TIMEOUT, 3000, 3150 },
	{ "never ends", never_ends, FREE, { .stop_timeout_ns = 3000 * MS },
	  RK_VERDICT_STOP_TIMEOUT, 3000, 3150 },
};
/* clang-format on */

START_TEST(a_sick_worker_gets_its_verdict_in_time)
{
	const struct sick *k = &sick[_i];
	struct sim s;

	sim_init(&s, k->live, k->machine);
	s.bounds = k->bounds;
	sim_run(&s, k->latest_ms + 1000);
	ck_assert_msg(sim_found_ms(&s, k->verdict) >= k->earliest_ms, "%s: already after %lu ms",
		      k->what, (unsigned long)sim_found_ms(&s, k->verdict));
	ck_assert_msg(sim_found_ms(&s, k->verdict) <= k->latest_ms, "%s: %s after %lu ms, not %s",
		      k->what, rk_verdict_name(s.finding.verdict),
		      (unsigned long)sim_found_ms(&s, k->verdict), rk_verdict_name(k->verdict));
	ck_assert_msg(s.n_suspect > 0, "%s: blamed without being suspect first", k->what);
	for (int v = RK_VERDICT_STOPPED; v < RK_VERDICTS; v++)
		ck_assert_msg(v == (int)k->verdict || !s.at_ms[v], "%s: also %s", k->what,
			      rk_verdict_name((enum rk_verdict)v));
}
END_TEST

/* ---- watchers that die ---- */

#define LIFE_MS 150u
#define GAP_MS 30u

/* None of them lives as long as any bound but those of a pause. */
START_TEST(a_sick_worker_gets_its_verdict_whoever_watches)
{
	const struct sick *k = &sick[_i];
	uint64_t latest_ms = k->latest_ms * 2 + 500;
	struct sim s;

	sim_init(&s, k->live, k->machine);
	s.bounds = k->bounds;
	while (s.ms < latest_ms) {
		sim_run(&s, LIFE_MS);
		sim_replace(&s, GAP_MS);
	}
	ck_assert_msg(sim_found_ms(&s, k->verdict) >= k->earliest_ms, "%s: already after %lu ms",
		      k->what, (unsigned long)sim_found_ms(&s, k->verdict));
	ck_assert_msg(sim_found_ms(&s, k->verdict) <= latest_ms, "%s: %s after %lu ms, not %s",
		      k->what, rk_verdict_name(s.finding.verdict),
		      (unsigned long)sim_found_ms(&s, k->verdict), rk_verdict_name(k->verdict));
	for (int v = RK_VERDICT_STOPPED; v < RK_VERDICTS; v++)
		ck_assert_msg(v == (int)k->verdict || !s.at_ms[v], "%s: also %s", k->what,
			      rk_verdict_name((enum rk_verdict)v));
}
END_TEST

/* What nobody saw is not counted, however long it was. */
START_TEST(time_without_a_watcher_is_void)
{
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	sim_run(&s, 1000);
	sim_replace(&s, 60000);
	sim_run(&s, 1);
	ck_assert_uint_ge(s.finding.spent.asleep_ns, 900 * MS);
	ck_assert_uint_le(s.finding.spent.asleep_ns, 1000 * MS);
	ck_assert_uint_ge(s.finding.spent.void_ns, 60000 * MS);
	ck_assert_uint_eq(s.n_kills, 0);
	sim_run(&s, 9200);
	ck_assert_uint_gt(s.n_kills, 0);
}
END_TEST

/* One look of each of two watchers proves nothing: it ran in between. */
START_TEST(a_pause_is_proved_by_one_watcher)
{
	struct sim s;

	sim_init(&s, stops, FREE);
	sim_run(&s, 1001);
	s.tick_ms = s.ms;
	sim_run(&s, 1);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_SUSPECT);
	sim_replace(&s, 500);
	sim_run(&s, 1);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_SUSPECT);
	sim_run(&s, 15);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_STOPPED);
}
END_TEST

/* Who is runnable at a first look may have starved while nobody looked, and before. */
START_TEST(who_may_have_starved_unseen_has_not_slept)
{
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	sim_run(&s, 5000);
	sim_replace(&s, 10);
	s.live = loops;
	sim_run(&s, 1);
	ck_assert_uint_eq(s.finding.spent.asleep_ns, 0);
}
END_TEST

START_TEST(a_verdict_stands_until_the_worker_gets_on)
{
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	sim_run(&s, 10200);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_ASLEEP);
	sim_replace(&s, 300);
	sim_run(&s, 1);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_ASLEEP);
	/* Its SIGABRT may never have come: the time until SIGKILL begins with this watcher, or is the slot's own. */
	ck_assert_uint_le(s.finding.blamed_for_ns, 100 * MS);
	sim_replace(&s, 30);
	s.beat.beats++;
	sim_run(&s, 1);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_FINE);
}
END_TEST

/* ---- single rules ---- */

static bool does_stop;

static void stops_when_told(struct sim *s)
{
	computes(s);
	if (does_stop)
		s->thread[0].wants = 'T';
}

START_TEST(a_stop_is_found_within_100_ms_whenever_it_comes)
{
	struct sim s;
	uint64_t at;

	sim_init(&s, stops_when_told, FREE);
	does_stop = false;
	sim_run(&s, 1000 + (uint64_t)_i);
	at = s.ms;
	does_stop = true;
	sim_run(&s, 200);
	ck_assert_uint_ge(sim_found_ms(&s, RK_VERDICT_STOPPED), at);
	ck_assert_uint_le(sim_found_ms(&s, RK_VERDICT_STOPPED), at + 100);
}
END_TEST

START_TEST(who_runs_again_is_no_longer_paused_nor_suspect)
{
	struct sim s;

	sim_init(&s, stops_when_told, FREE);
	does_stop = true;
	sim_run(&s, 500);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_STOPPED);
	does_stop = false;
	sim_run(&s, 100);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_FINE);
	ck_assert(!s.finding.is_suspect);
}
END_TEST

static void stops_amid_a_wait(struct sim *s)
{
	s->thread[0].wants = does_stop ? 'T' : 'S';
}

START_TEST(time_stopped_is_not_time_asleep)
{
	struct sim s;

	sim_init(&s, stops_amid_a_wait, FREE);
	for (int i = 0; i < 9; i++) { /* 9 times a second of its own, and a minute stopped */
		does_stop = false;
		sim_run(&s, 1000);
		s.n_kills = 0;
		does_stop = true;
		sim_run(&s, 60000);
	}
	does_stop = false;
	sim_run(&s, 300);
	ck_assert_msg(s.finding.verdict < RK_VERDICT_SUSPECT, "%s",
		      rk_verdict_name(s.finding.verdict));
	ck_assert_uint_gt(s.finding.spent.paused_ns, 9 * 59000 * MS);
	sim_run(&s, 1500);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_ASLEEP);
}
END_TEST

START_TEST(nobody_is_blamed_unless_the_whole_tree_was_listed)
{
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	s.is_never_listed = true;
	sim_run(&s, 20000);
	ck_assert_uint_eq(s.n_kills, 0);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_SUSPECT);
	s.is_never_listed = false;
	sim_run(&s, 20);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_ASLEEP);
}
END_TEST

/* Throttled amid its work, and asleep again by the next look. */
static void sleeps_briefly(struct sim *s)
{
	struct sim_thread *t = &s->thread[0];

	if (t->has_cpu && t->books.cpu_ns % (3 * MS) == 0)
		s->since_job_ms = 0; /* asleep for 2 ms */
	t->wants = s->since_job_ms < 2 ? 'S' : 'R';
	if (t->books.cpu_ns >= s->beat.job * 30 * MS) {
		s->beat.job++;
		s->beat.n_jobs++;
	}
}

START_TEST(who_was_throttled_when_last_seen_has_not_slept_since)
{
	struct sim s;

	sim_init(&s, sleeps_briefly, QUOTA);
	s.bounds.is_nonblocking = true;
	s.tick_ms = (uint64_t)_i;
	sim_run(&s, 60000);
	ck_assert_uint_eq(s.n_kills, 0);
}
END_TEST

START_TEST(stop_and_continue_in_turn_is_no_pause_and_no_hang_until_it_has_had_its_time)
{
	struct sim s;

	sim_init(&s, flickers, FREE);
	s.bounds.hang_after_ns = 1000 * MS;
	sim_run(&s, 4900); /* it has had less than a second of its own */
	ck_assert_uint_eq(s.n_kills, 0);
	sim_run(&s, 3000);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_LOOP);
	ck_assert_uint_eq(s.at_ms[RK_VERDICT_STOPPED], 0);
}
END_TEST

START_TEST(a_parked_worker_may_be_stopped_until_work_has_waited_for_40_ms)
{
	struct sim s;
	uint64_t rung_ms;

	sim_init(&s, stops_when_told, FREE);
	does_stop = true;
	s.beat.state = RK_BEAT_PARKED;
	sim_run(&s, 5000 + (uint64_t)_i);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_FINE);
	ck_assert_uint_eq(s.n_looks, 0);
	rung_ms = s.ms;
	s.pending_since_ns = sim_now_ns(&s);
	sim_run(&s, 150);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_STOPPED);
	ck_assert_uint_ge(sim_found_ms(&s, RK_VERDICT_STOPPED), rung_ms + 40);
	ck_assert_uint_le(sim_found_ms(&s, RK_VERDICT_STOPPED), rung_ms + 100);
}
END_TEST

START_TEST(a_worker_that_leaves_work_lying_is_blamed_after_HangAfter)
{
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	s.beat.state = RK_BEAT_READY;
	s.bounds = (struct rk_detect_bounds){ .hang_after_ns = 1000 * MS, .is_nonblocking = true };
	sim_run(&s, 5000);
	ck_assert_uint_eq(s.n_kills, 0);
	s.pending_since_ns = sim_now_ns(&s);
	sim_run(&s, 990);
	ck_assert_uint_eq(s.n_kills, 0);
	sim_run(&s, 200);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_ASLEEP);
}
END_TEST

static void calls_long(struct sim *s)
{
	s->beat.state = RK_BEAT_CALLING;
	s->beat.calling_until_ns = 1000 * RK_NS_PER_S + 7000 * MS;
	s->thread[0].wants = 'S';
}

START_TEST(who_calls_is_not_blamed_before_its_time)
{
	struct sim s;

	sim_init(&s, calls_long, FREE);
	s.bounds = (struct rk_detect_bounds){ .hang_after_ns = 500 * MS, .is_nonblocking = true };
	sim_run(&s, 7000);
	ck_assert_uint_eq(s.n_kills, 0);
	ck_assert_uint_eq(s.n_suspect, 0);
	sim_run(&s, 95); /* only now its time begins */
	ck_assert_uint_eq(s.n_kills, 0);
	sim_run(&s, 155);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_ASLEEP);
}
END_TEST

/* Waits of 25 ms, each declared, 5 ms between them. */
static void calls_often(struct sim *s)
{
	bool calls = s->ms % 30 < 25;

	s->beat.state = calls ? RK_BEAT_CALLING : RK_BEAT_RUNNING;
	s->beat.calling_until_ns = calls ? sim_now_ns(s) - s->ms % 30 * MS + 50 * MS : 0;
	s->thread[0].wants = 'S';
}

START_TEST(who_calls_again_and_again_is_not_blamed)
{
	struct sim s;

	sim_init(&s, calls_often, FREE);
	s.bounds = (struct rk_detect_bounds){ .hang_after_ns = 500 * MS, .is_nonblocking = true };
	s.tick_ms = (uint64_t)_i;
	sim_run(&s, 20000);
	ck_assert_uint_eq(s.n_kills, 0);
}
END_TEST

START_TEST(rk_beat_sets_the_time_back)
{
	struct sim s;

	sim_init(&s, beats_on, FREE);
	s.bounds.hang_after_ns = 1000 * MS;
	sim_run(&s, 60000);
	ck_assert_uint_eq(s.n_kills, 0);
}
END_TEST

START_TEST(a_deadline_that_passes_cancels_before_anybody_is_killed)
{
	struct sim s;

	sim_init(&s, sleeps_late, FREE);
	sim_run(&s, 2050);
	ck_assert_uint_eq(s.n_kills, 0);
	ck_assert_uint_gt(s.n_cancels, 0);
	ck_assert_uint_ge(sim_found_ms(&s, RK_VERDICT_LATE), 2000);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_LATE);
}
END_TEST

/* A client's time-out of a few ms must not kill the worker that writes for its job. */
START_TEST(a_very_short_deadline_leaves_the_worker_200_ms)
{
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	s.beat.deadline_ns = sim_now_ns(&s) + 5 * MS;
	sim_run(&s, 200);
	ck_assert_uint_eq(s.n_kills, 0);
	ck_assert_uint_gt(s.n_cancels, 0);
	sim_run(&s, 150);
	ck_assert_uint_gt(s.n_kills, 0);
}
END_TEST

START_TEST(HangAfter_overrides_the_jobs_deadline_for_sleepers)
{
	struct sim s;

	sim_init(&s, sleeps_late, FREE);
	s.bounds.hang_after_ns = 5000 * MS;
	sim_run(&s, 4990);
	ck_assert_uint_eq(s.n_kills, 0);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_LATE);
	sim_run(&s, 200);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_ASLEEP);
}
END_TEST

START_TEST(whoever_cannot_be_seen_is_not_blamed_and_that_is_said)
{
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	s.is_blind = true;
	sim_run(&s, 60000);
	ck_assert_uint_eq(s.n_kills, 0);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_BLIND);
}
END_TEST

START_TEST(even_unseen_a_start_has_its_deadline)
{
	struct sim s;

	sim_init(&s, never_ready, FREE);
	s.is_blind = true;
	s.bounds.start_timeout_ns = 3000 * MS;
	sim_run(&s, 3200);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_START_TIMEOUT);
}
END_TEST

static void starts_starved(struct sim *s)
{
	s->beat.state = s->thread[0].books.cpu_ns < 40 * MS ? RK_BEAT_STARTING : RK_BEAT_PARKED;
	s->thread[0].wants = s->beat.state == RK_BEAT_STARTING ? 'R' : 'S';
}

START_TEST(a_start_that_starves_is_given_more_time)
{
	struct sim s;

	sim_init(&s, starts_starved, HOGS); /* takes 2.6 s */
	s.bounds.start_timeout_ns = 500 * MS;
	sim_run(&s, 10000);
	ck_assert_uint_eq(s.n_kills, 0);
	ck_assert_uint_gt(s.at_ms[RK_VERDICT_STARVED], 0);
}
END_TEST

/* Every look 80 ms late, for the want of a CPU. */
static void run_late(struct sim *s, int n_ticks)
{
	for (int i = 0; i < n_ticks; i++) {
		s->tick_ms = s->ms + 120;
		s->lateness_ns = 80 * MS;
		sim_run(s, 121);
	}
}

START_TEST(a_watcher_that_is_always_late_finds_a_loop_all_the_same)
{
	struct sim s;

	sim_init(&s, loops, FREE);
	s.bounds.hang_after_ns = 1000 * MS;
	run_late(&s, 90);
	ck_assert_uint_eq(s.n_kills, 0);
	run_late(&s, 20);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_LOOP);
}
END_TEST

START_TEST(a_sleeper_is_blamed_by_a_prompt_look_only)
{
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	s.bounds.hang_after_ns = 1000 * MS;
	run_late(&s, 200);
	ck_assert_uint_eq(s.n_kills, 0);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_SUSPECT);
	s.tick_ms = s.ms + 9;
	sim_run(&s, 20);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_ASLEEP);
}
END_TEST

START_TEST(once_judged_it_is_no_longer_looked_at_in_a_hurry)
{
	struct sim s;
	uint32_t n_lists;

	sim_init(&s, _i ? deadlocks : stops, FREE);
	s.bounds.hang_after_ns = 1000 * MS;
	sim_run(&s, 3000);
	ck_assert_int_ge(s.finding.verdict, RK_VERDICT_STOPPED);
	n_lists = s.n_lists;
	s.n_ticks = 0;
	sim_run(&s, 1000);
	ck_assert_uint_le(s.n_ticks, 25);
	ck_assert_uint_eq(s.n_lists, n_lists);
}
END_TEST

START_TEST(who_has_more_threads_than_are_looked_at_gets_twice_the_time)
{
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	s.is_cut = true;
	s.bounds.hang_after_ns = 1000 * MS;
	sim_run(&s, 1990);
	ck_assert_uint_eq(s.n_kills, 0);
	sim_run(&s, 200);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_ASLEEP);
}
END_TEST

/* A child of which we have not known, starved: found when the tree is listed before the blame. */
static void waits_for_late_child(struct sim *s)
{
	s->thread[0].wants = 'S';
	s->thread[1].wants = s->d.spent.asleep_ns >= 900 * MS || s->thread[1].wants ? 'R' : 0;
}

START_TEST(a_starved_child_found_late_clears_the_sleeper)
{
	struct sim s;

	sim_init(&s, waits_for_late_child, HOGS);
	s.bounds.hang_after_ns = 1000 * MS;
	sim_run(&s, 30000);
	ck_assert_uint_eq(s.n_kills, 0);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_STARVED);
}
END_TEST

START_TEST(under_memory_pressure_nonblocking_is_not_insisted_on)
{
	struct sim s;

	wait_ms = 2000;
	sim_init(&s, reads, FREE);
	s.bounds.is_nonblocking = true;
	s.is_pressed = true;
	sim_run(&s, 20000);
	ck_assert_uint_eq(s.n_kills, 0);
	s.is_pressed = false;
	sim_run(&s, 3000);
	ck_assert_uint_gt(s.n_kills, 0);
}
END_TEST

START_TEST(who_gets_on_costs_no_look)
{
	struct sim s;

	sim_init(&s, computes, FREE);
	sim_run(&s, 20000);
	ck_assert_uint_eq(s.n_looks, 0);
	sim_init(&s, idles, FREE);
	sim_run(&s, 20000);
	ck_assert_uint_eq(s.n_looks, 0);
}
END_TEST

START_TEST(the_tree_is_listed_only_when_it_may_come_to_blame)
{
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	sim_run(&s, 9800);
	ck_assert_uint_eq(s.n_lists, 0);
	sim_run(&s, 300);
	ck_assert_uint_gt(s.n_lists, 0);
}
END_TEST

START_TEST(ticks_are_10_ms_with_a_suspect_40_without_and_none_when_all_are_idle)
{
	ck_assert_uint_eq(rk_detect_next_tick_ns(true, false), 10 * MS);
	ck_assert_uint_eq(rk_detect_next_tick_ns(true, true), 10 * MS);
	ck_assert_uint_eq(rk_detect_next_tick_ns(false, false), 40 * MS);
	ck_assert_uint_eq(rk_detect_next_tick_ns(false, true), 0);
}
END_TEST

START_TEST(words_of_a_predecessor_are_not_listened_to)
{
	static struct rk_beat page;
	struct rk_detect_beat beat;

	page.incarnation = 7;
	page.state = RK_BEAT_RUNNING;
	page.job = 3;
	rk_detect_hear(&page, 7, &beat);
	ck_assert_uint_eq(beat.state, RK_BEAT_RUNNING);
	ck_assert_uint_eq(beat.job, 3);
	rk_detect_hear(&page, 8, &beat);
	ck_assert_uint_eq(beat.state, RK_BEAT_STARTING);
	ck_assert_uint_eq(beat.incarnation, 8);
	ck_assert_uint_eq(beat.job, 0);
}
END_TEST

START_TEST(a_forged_state_is_held_to_the_bounds_of_a_handler)
{
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	s.beat.state = 0xffffffff;
	s.bounds.hang_after_ns = 1000 * MS;
	sim_run(&s, 1200);
	ck_assert_int_eq(s.finding.verdict, RK_VERDICT_ASLEEP);
}
END_TEST

START_TEST(the_line_names_verdict_bound_and_how_the_time_was_spent)
{
	char text[RK_DETECT_LINE];
	struct sim s;

	sim_init(&s, deadlocks, FREE);
	s.bounds.hang_after_ns = 1000 * MS;
	sim_run(&s, 1200);
	(void)rk_detect_format(&s.finding, text);
	ck_assert_ptr_nonnull(strstr(text, "asleep for "));
	ck_assert_ptr_nonnull(strstr(text, "working, bound 1000 ms"));
	ck_assert_ptr_nonnull(strstr(text, "threads 2 in 1 processes"));
	memset(&s.finding, 0xff, sizeof(s.finding)); /* the longest numbers fit */
	s.finding.look.is_cut = true;
	ck_assert_uint_lt(strlen(rk_detect_format(&s.finding, text)), RK_DETECT_LINE - 1);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("detect");

	tcase_add_loop_test(c, a_healthy_worker_is_never_blamed, 0, (int)rk_countof(healthy));
	tcase_add_loop_test(c, a_healthy_worker_is_not_blamed_by_a_watcher_that_is_late, 0,
			    (int)rk_countof(healthy));
	tcase_add_loop_test(c, a_healthy_worker_is_not_blamed_by_watchers_that_die, 0,
			    (int)rk_countof(healthy));
	tcase_add_loop_test(c, a_healthy_worker_is_not_blamed_for_a_pause_of_the_machine, 0,
			    (int)rk_countof(healthy));
	tcase_add_test(c, a_suspended_machine_voids_the_interval);
	tcase_add_loop_test(c, a_sick_worker_gets_its_verdict_in_time, 0, (int)rk_countof(sick));
	tcase_add_loop_test(c, a_sick_worker_gets_its_verdict_whoever_watches, 0, (int)rk_countof(sick));
	tcase_add_test(c, time_without_a_watcher_is_void);
	tcase_add_test(c, a_pause_is_proved_by_one_watcher);
	tcase_add_test(c, who_may_have_starved_unseen_has_not_slept);
	tcase_add_test(c, a_verdict_stands_until_the_worker_gets_on);
	tcase_add_loop_test(c, a_stop_is_found_within_100_ms_whenever_it_comes, 0, 80);
	tcase_add_test(c, who_runs_again_is_no_longer_paused_nor_suspect);
	tcase_add_test(c, time_stopped_is_not_time_asleep);
	tcase_add_test(c, nobody_is_blamed_unless_the_whole_tree_was_listed);
	tcase_add_loop_test(c, who_was_throttled_when_last_seen_has_not_slept_since, 0, 40);
	tcase_add_test(c,
		       stop_and_continue_in_turn_is_no_pause_and_no_hang_until_it_has_had_its_time);
	tcase_add_loop_test(c, a_parked_worker_may_be_stopped_until_work_has_waited_for_40_ms, 0,
			    40);
	tcase_add_test(c, a_worker_that_leaves_work_lying_is_blamed_after_HangAfter);
	tcase_add_test(c, who_calls_is_not_blamed_before_its_time);
	tcase_add_loop_test(c, who_calls_again_and_again_is_not_blamed, 0, 40);
	tcase_add_test(c, rk_beat_sets_the_time_back);
	tcase_add_test(c, a_deadline_that_passes_cancels_before_anybody_is_killed);
	tcase_add_test(c, a_very_short_deadline_leaves_the_worker_200_ms);
	tcase_add_test(c, HangAfter_overrides_the_jobs_deadline_for_sleepers);
	tcase_add_test(c, whoever_cannot_be_seen_is_not_blamed_and_that_is_said);
	tcase_add_test(c, even_unseen_a_start_has_its_deadline);
	tcase_add_test(c, a_start_that_starves_is_given_more_time);
	tcase_add_test(c, a_watcher_that_is_always_late_finds_a_loop_all_the_same);
	tcase_add_test(c, a_sleeper_is_blamed_by_a_prompt_look_only);
	tcase_add_loop_test(c, once_judged_it_is_no_longer_looked_at_in_a_hurry, 0, 2);
	tcase_add_test(c, who_has_more_threads_than_are_looked_at_gets_twice_the_time);
	tcase_add_test(c, a_starved_child_found_late_clears_the_sleeper);
	tcase_add_test(c, under_memory_pressure_nonblocking_is_not_insisted_on);
	tcase_add_test(c, who_gets_on_costs_no_look);
	tcase_add_test(c, the_tree_is_listed_only_when_it_may_come_to_blame);
	tcase_add_test(c, ticks_are_10_ms_with_a_suspect_40_without_and_none_when_all_are_idle);
	tcase_add_test(c, words_of_a_predecessor_are_not_listened_to);
	tcase_add_test(c, a_forged_state_is_held_to_the_bounds_of_a_handler);
	tcase_add_test(c, the_line_names_verdict_bound_and_how_the_time_was_spent);
	return unit_run(c);
}
