/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A slot gets its next process at once when that is sensible, later when it is not,
 *         and never again only where the configuration says so; nothing that we did costs it
 *         anything; a crash loop is slow, visible and without end.
 * Method  Lives and deaths in virtual time. Random parts come from a seed, which each failure
 *         names.
 */
#include "supervisor/restart.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#define S RK_NS_PER_S
#define MS RK_NS_PER_MS

static const struct rk_restart_conf usual = {
	.burst = 5,
	.window_ns = 10 * S,
	.backoff_ns = 100 * MS,
	.backoff_max_ns = 30 * S,
	.healthy_after_ns = 10 * S,
};

static const struct rk_restart_death crash = { .code = CLD_KILLED, .status = SIGSEGV };
static const struct rk_restart_death planned = { .code = CLD_KILLED,
						 .status = SIGTERM,
						 .is_ours = true };

/* A slot with its clock. */
struct slot {
	struct rk_restart r;
	struct rk_restart_conf c;
	uint64_t now_ns;
	struct rk_rand random;
	struct rk_restart_step step;
};

static struct slot slot_make(const struct rk_restart_conf *c, uint64_t seed)
{
	struct slot s = { .c = *c, .now_ns = 1000 * S, .random = rk_rand_init(seed) };

	rk_restart_reset(&s.r, &s.c);
	return s;
}

/* One process: waits for its turn, starts, may become ready, lives, dies. */
static void live(struct slot *s, bool ready, uint64_t life_ns, const struct rk_restart_death *d)
{
	s->now_ns += s->step.wait_ns;
	rk_restart_on_start(&s->r, s->now_ns);
	if (ready)
		rk_restart_on_ready(&s->r, s->now_ns);
	s->now_ns += life_ns;
	s->step = rk_restart_on_death(&s->r, &s->c, d, s->now_ns, rk_rand_u64(&s->random));
}

START_TEST(a_healthy_process_is_replaced_at_once_however_often_it_happens)
{
	struct slot s = slot_make(&usual, 1);

	for (int i = 0; i < 1000; i++) {
		live(&s, true, usual.healthy_after_ns, &crash);
		ck_assert_int_eq(s.step.kind, RK_RESTART_NOW);
		ck_assert_int_eq(s.step.reason, RK_RESTART_FIRST);
		ck_assert_uint_eq(s.r.n_failed, 0);
	}
}
END_TEST

START_TEST(the_first_restart_is_immediate_even_without_a_burst)
{
	struct rk_restart_conf c = usual;
	struct slot s;

	c.burst = 0;
	s = slot_make(&c, 2);
	live(&s, false, 0, &crash);
	ck_assert_int_eq(s.step.kind, RK_RESTART_NOW);
	live(&s, false, 0, &crash);
	ck_assert_int_eq(s.step.kind, RK_RESTART_LATER);
}
END_TEST

START_TEST(a_burst_is_free_and_then_the_waits_double_up_to_the_cap)
{
	struct slot s = slot_make(&usual, (uint64_t)_i);
	uint64_t full_ns = usual.backoff_ns;

	for (uint32_t i = 0; i < 1 + usual.burst; i++) {
		live(&s, false, MS, &crash);
		ck_assert_int_eq(s.step.kind, RK_RESTART_NOW);
		ck_assert_uint_eq(s.step.wait_ns, 0);
	}
	for (int i = 0; i < 40; i++) {
		live(&s, false, MS, &crash);
		ck_assert_msg(s.step.wait_ns >= full_ns / 2 && s.step.wait_ns <= full_ns,
			      "seed %d: wait %d", _i, i);
		ck_assert_int_eq(s.step.kind, full_ns < usual.backoff_max_ns ? RK_RESTART_LATER
									     : RK_RESTART_SLOW);
		full_ns = rk_min_u64(2 * full_ns, usual.backoff_max_ns);
	}
	ck_assert_uint_eq(s.r.n_failed, 1 + usual.burst + 40);
	ck_assert_uint_eq(s.r.next_ns, s.now_ns + s.step.wait_ns);
	ck_assert_int_eq(s.r.reason, RK_RESTART_BACKOFF);
}
END_TEST

START_TEST(a_missing_binary_is_tried_for_ever_and_slowly)
{
	struct slot s = slot_make(&usual, (uint64_t)_i);
	const struct rk_restart_death missing = { .code = CLD_EXITED, .status = 127 };
	uint64_t begin_ns = s.now_ns, n = 0, n_news = 0;

	for (; s.now_ns < begin_ns + 24 * 3600 * S; n++) {
		live(&s, false, MS, &missing);
		ck_assert_int_ne(s.step.kind, RK_RESTART_NEVER);
		n_news += s.step.is_news;
	}
	/* Between one try in 30 s and one in 15 s: the waits bought no further bursts. */
	ck_assert_msg(n > 24 * 3600 / 30 && n < 24 * 3600 / 15, "seed %d: %lu", _i,
		      (unsigned long)n);
	ck_assert_msg(n_news < 20, "seed %d: %lu lines", _i, (unsigned long)n_news);
	ck_assert_int_eq(s.step.kind, RK_RESTART_SLOW);
}
END_TEST

START_TEST(the_backoff_is_reset_by_health_and_by_nothing_less)
{
	struct slot s = slot_make(&usual, 3);

	for (int i = 0; i < 20; i++)
		live(&s, false, MS, &crash);
	live(&s, true, usual.healthy_after_ns - 1, &crash);
	/* It lived a window: the bucket is full, but the waits go on where they were. */
	for (uint32_t i = 1; i < usual.burst; i++)
		live(&s, true, MS, &crash);
	live(&s, true, MS, &crash);
	ck_assert_int_eq(s.step.kind, RK_RESTART_SLOW);
	ck_assert_uint_eq(rk_restart_n_failed(&s.r, &s.c, s.now_ns), 26);

	s.now_ns += s.step.wait_ns;
	rk_restart_on_start(&s.r, s.now_ns);
	rk_restart_on_ready(&s.r, s.now_ns);
	ck_assert_uint_eq(rk_restart_n_failed(&s.r, &s.c, s.now_ns + s.c.healthy_after_ns), 0);
	s.step.wait_ns = 0;
	live(&s, true, usual.healthy_after_ns, &crash);
	ck_assert_int_eq(s.step.kind, RK_RESTART_NOW);
	for (uint32_t i = 0; i < 1 + usual.burst; i++) {
		live(&s, false, MS, &crash);
		ck_assert_int_eq(s.step.kind, RK_RESTART_NOW);
	}
	live(&s, false, MS, &crash);
	ck_assert_uint_le(s.step.wait_ns, usual.backoff_ns);
}
END_TEST

START_TEST(no_more_than_a_burst_per_window_goes_at_once)
{
	struct slot s = slot_make(&usual, (uint64_t)_i);
	uint64_t at_ns[4000];
	uint32_t n = 0;

	while (n < 4000) {
		uint64_t life_ns = rk_rand_below(&s.random, 4 * S);

		live(&s, true, life_ns, &crash);
		if (s.step.reason == RK_RESTART_BURST)
			at_ns[n++] = s.now_ns;
	}
	/* A full bucket at the window's begin and what the window refills: twice the burst. */
	for (uint32_t i = 2 * usual.burst; i < n; i++)
		ck_assert_msg(at_ns[i] - at_ns[i - 2 * usual.burst] > usual.window_ns - 4 * S,
			      "seed %d: restart %u", _i, i);
	ck_assert_msg(at_ns[n - 1] - at_ns[0] >= (n / usual.burst - 1) * usual.window_ns,
		      "seed %d: %u in %lu ms", _i, n,
		      (unsigned long)((at_ns[n - 1] - at_ns[0]) / MS));
}
END_TEST

START_TEST(two_hundred_workers_in_a_crash_loop_start_seldom_and_not_together)
{
	enum { N = 200, SECONDS = 600 };
	struct slot *slots = calloc(N, sizeof(*slots));
	uint32_t per_s[SECONDS] = { 0 }, worst = 0, sum = 0;

	for (uint32_t i = 0; i < N; i++) {
		struct slot *s = &slots[i];
		uint64_t begin_ns;

		*s = slot_make(&usual, (uint64_t)_i * N + i);
		begin_ns = s->now_ns;
		for (;;) {
			uint64_t second;

			live(s, false, 5 * MS, &crash);
			second = (s->now_ns + s->step.wait_ns - begin_ns) / S;
			if (second >= SECONDS)
				break;
			per_s[second]++;
		}
	}
	for (uint32_t i = 120; i < SECONDS; i++) {
		worst = rk_max_u32(worst, per_s[i]);
		sum += per_s[i];
	}
	/* 200 slots, one start in 15 to 30 s each: 9 a second on average. */
	ck_assert_msg(sum / (SECONDS - 120) <= 14, "seed %d: %u", _i, sum / (SECONDS - 120));
	ck_assert_msg(worst <= 40, "seed %d: %u in one second", _i, worst);
	free(slots);
}
END_TEST

START_TEST(what_we_did_ourselves_costs_nothing)
{
	struct slot s = slot_make(&usual, 4);
	struct rk_restart_conf never = usual;

	for (int i = 0; i < 100; i++) {
		live(&s, i % 2, MS, &planned);
		ck_assert_int_eq(s.step.kind, RK_RESTART_NOW);
		ck_assert_int_eq(s.step.reason, RK_RESTART_PLANNED);
	}
	ck_assert_uint_eq(s.r.n_failed, 0);
	for (uint32_t i = 0; i < 1 + usual.burst; i++) {
		live(&s, false, MS, &crash);
		ck_assert_int_eq(s.step.kind, RK_RESTART_NOW);
	}
	/* Restart=no is about what dies by itself. */
	never.when = RK_RESTART_NO;
	s = slot_make(&never, 5);
	live(&s, true, S, &planned);
	ck_assert_int_eq(s.step.kind, RK_RESTART_NOW);
	live(&s, true, S, &crash);
	ck_assert_int_eq(s.step.kind, RK_RESTART_NEVER);
	ck_assert_uint_eq(s.r.next_ns, 0);
}
END_TEST

START_TEST(restart_and_the_lists_of_statuses_decide_who_stays_down)
{
	static const struct {
		enum rk_restart_when when;
		int code, status;
		enum rk_restart_reason reason;
	} cases[] = {
		{ RK_RESTART_ALWAYS, CLD_EXITED, 0, RK_RESTART_FIRST },
		{ RK_RESTART_ALWAYS, CLD_EXITED, 78, RK_RESTART_PREVENTED },
		{ RK_RESTART_ALWAYS, CLD_DUMPED, SIGSYS, RK_RESTART_PREVENTED },
		{ RK_RESTART_ALWAYS, CLD_EXITED, SIGSYS, RK_RESTART_FIRST },
		{ RK_RESTART_ALWAYS, -1, 78, RK_RESTART_FIRST },
		{ RK_RESTART_ON_FAILURE, CLD_EXITED, 0, RK_RESTART_FINISHED },
		{ RK_RESTART_ON_FAILURE, CLD_EXITED, 200, RK_RESTART_FINISHED },
		{ RK_RESTART_ON_FAILURE, CLD_EXITED, 1, RK_RESTART_FIRST },
		{ RK_RESTART_ON_FAILURE, CLD_KILLED, SIGTERM, RK_RESTART_FINISHED },
		{ RK_RESTART_ON_FAILURE, CLD_KILLED, SIGKILL, RK_RESTART_FIRST },
		{ RK_RESTART_ON_FAILURE, CLD_KILLED, SIGUSR1, RK_RESTART_FINISHED },
		{ RK_RESTART_ON_FAILURE, CLD_EXITED, 78, RK_RESTART_PREVENTED },
		{ RK_RESTART_ON_FAILURE, -1, 0, RK_RESTART_FIRST },
		{ RK_RESTART_NO, CLD_EXITED, 0, RK_RESTART_FORBIDDEN },
		{ RK_RESTART_NO, CLD_KILLED, SIGKILL, RK_RESTART_FORBIDDEN },
	};

	for (size_t i = 0; i < rk_countof(cases); i++) {
		struct rk_restart_conf c = usual;
		struct rk_restart_death d = { cases[i].code, cases[i].status, false };
		struct slot s;

		c.when = cases[i].when;
		rk_restart_exits_add(&c.success, CLD_EXITED, 200);
		rk_restart_exits_add(&c.success, CLD_KILLED, SIGUSR1);
		rk_restart_exits_add(&c.prevent, CLD_EXITED, 78);
		rk_restart_exits_add(&c.prevent, CLD_KILLED, SIGSYS);
		s = slot_make(&c, 6);
		live(&s, true, S, &d);
		ck_assert_msg(s.step.reason == cases[i].reason, "case %zu: %s", i,
			      rk_restart_reason_text(s.step.reason));
		ck_assert_int_eq(s.step.kind == RK_RESTART_NEVER,
				 cases[i].reason != RK_RESTART_FIRST);
	}
}
END_TEST

START_TEST(the_status_is_waited_for_only_where_it_decides)
{
	struct rk_restart_conf c = usual;

	ck_assert(!rk_restart_needs_cause(&c));
	c.when = RK_RESTART_NO;
	ck_assert(!rk_restart_needs_cause(&c));
	c.when = RK_RESTART_ON_FAILURE;
	ck_assert(rk_restart_needs_cause(&c));
	c.when = RK_RESTART_ALWAYS;
	rk_restart_exits_add(&c.prevent, CLD_EXITED, 255);
	ck_assert(rk_restart_needs_cause(&c));
}
END_TEST

START_TEST(statuses_that_do_not_exist_are_in_no_set)
{
	struct rk_restart_exits set = { 0 }, all = { { ~0ull, ~0ull, ~0ull, ~0ull }, ~0ull };
	static const int bad[][2] = { { CLD_EXITED, -1 },  { CLD_EXITED, 256 }, { CLD_KILLED, 0 },
				      { CLD_KILLED, 64 },  { CLD_KILLED, -9 },  { -1, 1 },
				      { CLD_STOPPED, 19 }, { 12345, 1 } };

	for (size_t i = 0; i < rk_countof(bad); i++) {
		rk_restart_exits_add(&set, bad[i][0], bad[i][1]);
		ck_assert(!rk_restart_exits_have(&all, bad[i][0], bad[i][1]));
	}
	ck_assert_uint_eq(set.signals | set.statuses[0] | set.statuses[1] | set.statuses[2] |
				  set.statuses[3],
			  0);
}
END_TEST

START_TEST(a_process_that_cannot_be_made_waits_whatever_restart_says)
{
	struct rk_restart_conf c = usual;
	struct slot s;

	c.when = RK_RESTART_NO;
	s = slot_make(&c, 7);
	for (uint32_t i = 1; i <= 50; i++) {
		s.step = rk_restart_on_unmade(&s.r, &s.c, s.now_ns, rk_rand_u64(&s.random));
		ck_assert(s.step.kind == RK_RESTART_LATER || s.step.kind == RK_RESTART_SLOW);
		ck_assert_uint_ge(s.step.wait_ns, c.backoff_ns / 2);
		ck_assert_uint_eq(s.r.n_failed, i);
	}
}
END_TEST

START_TEST(the_brake_stretches_what_is_to_start_and_nothing_else)
{
	struct slot s = slot_make(&usual, 8);

	live(&s, true, S, &crash);
	rk_restart_stretch(&s.r, &s.step, 0, s.now_ns);
	ck_assert_int_eq(s.step.kind, RK_RESTART_NOW);
	rk_restart_stretch(&s.r, &s.step, 70 * MS, s.now_ns);
	ck_assert_int_eq(s.step.kind, RK_RESTART_LATER);
	ck_assert_uint_eq(s.step.wait_ns, 70 * MS);
	ck_assert_uint_eq(s.r.next_ns, s.now_ns + 70 * MS);
	ck_assert_int_eq(s.r.reason, RK_RESTART_BRAKE);
	s.step.kind = RK_RESTART_NEVER;
	s.step.wait_ns = 0;
	rk_restart_stretch(&s.r, &s.step, S, s.now_ns);
	ck_assert_int_eq(s.step.kind, RK_RESTART_NEVER);
	ck_assert_uint_eq(s.step.wait_ns, 0);
}
END_TEST

START_TEST(counters_at_their_end_and_a_clock_that_steps_back_do_no_harm)
{
	struct slot s = slot_make(&usual, 9);

	s.r.n_failed = UINT32_MAX;
	s.r.n_waits = UINT32_MAX;
	s.r.credit_ns = 0;
	rk_restart_on_start(&s.r, s.now_ns);
	rk_restart_on_ready(&s.r, s.now_ns);
	s.step = rk_restart_on_death(&s.r, &s.c, &crash, s.now_ns - S, UINT64_MAX);
	ck_assert_int_eq(s.step.kind, RK_RESTART_SLOW);
	ck_assert_uint_le(s.step.wait_ns, usual.backoff_max_ns);
	ck_assert_uint_ge(s.step.wait_ns, usual.backoff_max_ns / 2);
	ck_assert_uint_eq(s.r.n_failed, UINT32_MAX);
	ck_assert_str_eq(rk_restart_reason_text(RK_RESTART_REASONS), "?");
}
END_TEST

int main(void)
{
	TCase *c = unit_case("restart");

	tcase_add_test(c, a_healthy_process_is_replaced_at_once_however_often_it_happens);
	tcase_add_test(c, the_first_restart_is_immediate_even_without_a_burst);
	tcase_add_loop_test(c, a_burst_is_free_and_then_the_waits_double_up_to_the_cap, 0, 50);
	tcase_add_loop_test(c, a_missing_binary_is_tried_for_ever_and_slowly, 0, 20);
	tcase_add_test(c, the_backoff_is_reset_by_health_and_by_nothing_less);
	tcase_add_loop_test(c, no_more_than_a_burst_per_window_goes_at_once, 0, 20);
	tcase_add_loop_test(c, two_hundred_workers_in_a_crash_loop_start_seldom_and_not_together, 0,
			    5);
	tcase_add_test(c, what_we_did_ourselves_costs_nothing);
	tcase_add_test(c, restart_and_the_lists_of_statuses_decide_who_stays_down);
	tcase_add_test(c, the_status_is_waited_for_only_where_it_decides);
	tcase_add_test(c, statuses_that_do_not_exist_are_in_no_set);
	tcase_add_test(c, a_process_that_cannot_be_made_waits_whatever_restart_says);
	tcase_add_test(c, the_brake_stretches_what_is_to_start_and_nothing_else);
	tcase_add_test(c, counters_at_their_end_and_a_clock_that_steps_back_do_no_harm);
	return unit_run(c);
}
