/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A rolling restart or drain reaches every planned slot, never takes more than may be
 *         away, holds when a replacement fails, goes on when told, and uses standbys.
 * Method  Plans driven step by step; then random fleets in virtual time whose workers start
 *         slowly, die or never get ready, from a seed that each failure names.
 */
#include "supervisor/rolling.h"

#include <check.h>
#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#define S RK_NS_PER_S
#define MS RK_NS_PER_MS
#define T0 (1000 * S)

enum { N_MAX = 32 };

struct plan {
	struct rk_rolling r;
	struct rk_rolling_slot slots[N_MAX];
	struct rk_rolling_order o;
	uint64_t now_ns;
};

static void plan_begin(struct plan *p, const struct rk_rolling_conf *c, uint32_t n)
{
	memset(p, 0, sizeof(*p));
	p->now_ns = T0;
	for (uint32_t i = 0; i < n; i++)
		p->slots[i] = (struct rk_rolling_slot){ .in_plan = true, .is_wanted = true, .is_ready = true };
	rk_rolling_begin(&p->r, c, p->slots, n);
}

static bool next(struct plan *p)
{
	return rk_rolling_next(&p->r, p->now_ns, &p->o);
}

static void on(struct plan *p, enum rk_rolling_event e, uint32_t slot)
{
	rk_rolling_on(&p->r, e, slot, p->now_ns);
}

static void expect(struct plan *p, enum rk_rolling_action action, uint32_t slot)
{
	ck_assert(next(p));
	ck_assert_int_eq(p->o.action, action);
	ck_assert_uint_eq(p->o.slot, slot);
}

static const char *line(const struct plan *p)
{
	static char text[RK_ROLLING_LINE]; /* one test per process */
	struct rk_rolling_progress progress = rk_rolling_progress(&p->r);

	return rk_rolling_format(&progress, text);
}

static const struct rk_rolling_conf one_by_one = { .max_unavailable = 1,
						   .ready_timeout_ns = 10 * S };

START_TEST(slots_are_restarted_one_by_one_each_when_the_one_before_is_ready)
{
	struct plan p;

	plan_begin(&p, &one_by_one, 3);
	ck_assert_str_eq(line(&p), "restarted 0 of 3");
	for (uint32_t i = 0; i < 3; i++) {
		expect(&p, RK_ROLLING_RECYCLE, i);
		ck_assert(!next(&p));
		on(&p, RK_ROLLING_EV_READY, i); /* the old one: too late to count */
		ck_assert(!next(&p));
		on(&p, RK_ROLLING_EV_DOWN, i);
		ck_assert(!next(&p));
		ck_assert_uint_eq(rk_rolling_due_ns(&p.r), p.now_ns + 10 * S);
		p.now_ns += 14 * MS;
		on(&p, RK_ROLLING_EV_READY, i);
	}
	ck_assert(!next(&p));
	ck_assert_int_eq(p.r.state, RK_ROLLING_DONE);
	ck_assert_uint_eq(rk_rolling_due_ns(&p.r), 0);
	ck_assert_str_eq(line(&p), "restarted 3 of 3: worker 2 ready after 14 ms");
}
END_TEST

START_TEST(a_replacement_must_stay_ready_before_the_next_one_goes)
{
	struct rk_rolling_conf c = one_by_one;
	struct plan p;

	c.settle_ns = 2 * S;
	plan_begin(&p, &c, 2);
	expect(&p, RK_ROLLING_RECYCLE, 0);
	on(&p, RK_ROLLING_EV_DOWN, 0);
	on(&p, RK_ROLLING_EV_READY, 0);
	ck_assert(!next(&p));
	ck_assert_uint_eq(rk_rolling_due_ns(&p.r), p.now_ns + 2 * S);
	p.now_ns += 2 * S - 1;
	on(&p, RK_ROLLING_EV_TIMER, 0);
	ck_assert(!next(&p));
	p.now_ns += 1;
	on(&p, RK_ROLLING_EV_TIMER, 0);
	expect(&p, RK_ROLLING_RECYCLE, 1);
}
END_TEST

START_TEST(a_line_tells_one_worker_with_its_own_time_until_the_next_has_settled)
{
	struct rk_rolling_conf c = one_by_one;
	struct plan p;

	c.settle_ns = 2 * S;
	plan_begin(&p, &c, 2);
	for (uint32_t i = 0; i < 2; i++) {
		expect(&p, RK_ROLLING_RECYCLE, i);
		on(&p, RK_ROLLING_EV_DOWN, i);
		p.now_ns += (i + 1) * 7 * MS;
		on(&p, RK_ROLLING_EV_READY, i);
		ck_assert_str_eq(line(&p), i ? "restarted 1 of 2: worker 0 ready after 7 ms"
					     : "restarted 0 of 2");
		p.now_ns += c.settle_ns;
		on(&p, RK_ROLLING_EV_TIMER, 0);
	}
	ck_assert_str_eq(line(&p), "restarted 2 of 2: worker 1 ready after 14 ms");
}
END_TEST

START_TEST(a_replacement_that_dies_holds_the_plan_until_told)
{
	struct rk_rolling_conf c = one_by_one;
	struct plan p;

	c.settle_ns = 2 * S;
	plan_begin(&p, &c, 2);
	expect(&p, RK_ROLLING_RECYCLE, 0);
	on(&p, RK_ROLLING_EV_DOWN, 0);
	on(&p, RK_ROLLING_EV_READY, 0);
	on(&p, RK_ROLLING_EV_DOWN, 0);
	ck_assert_int_eq(p.r.state, RK_ROLLING_HOLDING);
	ck_assert_str_eq(line(&p), "holding at 0 of 2: worker 0 died before it was settled");
	on(&p, RK_ROLLING_EV_READY, 0); /* the restart policy's doing: no proof of anything */
	ck_assert(!next(&p));
	on(&p, RK_ROLLING_EV_DOWN, 0);
	on(&p, RK_ROLLING_EV_RESUME, 0);
	expect(&p, RK_ROLLING_START, 0);
	on(&p, RK_ROLLING_EV_READY, 0);
	ck_assert(!next(&p));
	p.now_ns += 2 * S;
	on(&p, RK_ROLLING_EV_TIMER, 0);
	expect(&p, RK_ROLLING_RECYCLE, 1);
}
END_TEST

/* Which stage it was in when somebody stopped it: recycled and ending, its successor starting, or yet to come. */
START_TEST(one_that_is_not_wanted_any_more_is_left_alone)
{
	struct plan p;

	plan_begin(&p, &one_by_one, 2);
	expect(&p, RK_ROLLING_RECYCLE, 0);
	if (_i > 0)
		on(&p, RK_ROLLING_EV_DOWN, 0);
	if (_i == 2) { /* and late */
		p.now_ns += one_by_one.ready_timeout_ns;
		on(&p, RK_ROLLING_EV_TIMER, 0);
		ck_assert_int_eq(p.r.state, RK_ROLLING_HOLDING);
	}
	on(&p, RK_ROLLING_EV_UNWANTED, 0);
	on(&p, RK_ROLLING_EV_DOWN, 0);
	expect(&p, RK_ROLLING_RECYCLE, 1);
	on(&p, RK_ROLLING_EV_DOWN, 1);
	on(&p, RK_ROLLING_EV_UNWANTED, 1);
	on(&p, RK_ROLLING_EV_UNWANTED, 77);
	ck_assert(!next(&p));
	ck_assert_int_eq(p.r.state, RK_ROLLING_DONE);
}
END_TEST

START_TEST(a_replacement_that_is_late_holds_the_plan_until_it_is_ready)
{
	struct plan p;

	plan_begin(&p, &one_by_one, 2);
	expect(&p, RK_ROLLING_RECYCLE, 0);
	on(&p, RK_ROLLING_EV_DOWN, 0);
	p.now_ns += 10 * S;
	on(&p, RK_ROLLING_EV_TIMER, 0);
	ck_assert_int_eq(p.r.state, RK_ROLLING_HOLDING);
	ck_assert_str_eq(line(&p), "holding at 0 of 2: worker 0 was not ready in time");
	ck_assert_uint_eq(rk_rolling_due_ns(&p.r), 0);
	ck_assert(!next(&p));
	p.now_ns += 100 * S;
	on(&p, RK_ROLLING_EV_READY, 0);
	expect(&p, RK_ROLLING_RECYCLE, 1);
	on(&p, RK_ROLLING_EV_DOWN, 1);
	p.now_ns += 10 * S;
	on(&p, RK_ROLLING_EV_TIMER, 0);
	on(&p, RK_ROLLING_EV_RESUME, 0); /* told: it gets its time once more */
	ck_assert_uint_eq(rk_rolling_due_ns(&p.r), p.now_ns + 10 * S);
	on(&p, RK_ROLLING_EV_DOWN, 1);
	ck_assert_int_eq(p.r.reason, RK_ROLLING_DIED);
	on(&p, RK_ROLLING_EV_CANCEL, 0);
	ck_assert_int_eq(p.r.state, RK_ROLLING_DONE);
}
END_TEST

START_TEST(a_late_one_that_comes_does_not_hide_one_that_died)
{
	struct rk_rolling_conf c = one_by_one;
	struct plan p;

	c.max_unavailable = 2;
	plan_begin(&p, &c, 3);
	expect(&p, RK_ROLLING_RECYCLE, 0);
	expect(&p, RK_ROLLING_RECYCLE, 1);
	on(&p, RK_ROLLING_EV_DOWN, 0);
	on(&p, RK_ROLLING_EV_DOWN, 1);
	p.now_ns += 10 * S;
	on(&p, RK_ROLLING_EV_TIMER, 0);
	on(&p, RK_ROLLING_EV_DOWN, 1);
	on(&p, RK_ROLLING_EV_READY, 0);
	ck_assert_str_eq(line(&p), "holding at 1 of 3: worker 1 died before it was settled");
	ck_assert(!next(&p));
}
END_TEST

START_TEST(deaths_that_are_none_of_the_plans_count_as_away)
{
	struct plan p;

	plan_begin(&p, &one_by_one, 4);
	p.slots[3].in_plan = false;
	rk_rolling_begin(&p.r, &one_by_one, p.slots, 4);
	on(&p, RK_ROLLING_EV_DOWN, 3);
	ck_assert(!next(&p)); /* one is away already, and it is not in the plan */
	on(&p, RK_ROLLING_EV_READY, 3);
	expect(&p, RK_ROLLING_RECYCLE, 0);
	on(&p, RK_ROLLING_EV_DOWN, 0);
	on(&p, RK_ROLLING_EV_DOWN, 2);
	on(&p, RK_ROLLING_EV_READY, 0);
	expect(&p, RK_ROLLING_START, 2); /* down anyway: it comes before 1 */
	ck_assert(!next(&p));
}
END_TEST

START_TEST(one_that_is_ending_is_away_though_its_old_process_says_ready)
{
	struct rk_rolling_conf c = { .max_unavailable = 2 };
	struct plan p;

	plan_begin(&p, &c, 4);
	p.slots[3].in_plan = false;
	rk_rolling_begin(&p.r, &c, p.slots, 4);
	expect(&p, RK_ROLLING_RECYCLE, 0);
	on(&p, RK_ROLLING_EV_READY, 0);
	on(&p, RK_ROLLING_EV_DOWN, 3);
	ck_assert(!next(&p));
	on(&p, RK_ROLLING_EV_READY, 3);
	expect(&p, RK_ROLLING_RECYCLE, 1);
}
END_TEST

START_TEST(standbys_are_used_and_without_room_they_are_waited_for)
{
	struct rk_rolling_conf c = { .n_standbys = 1 };
	struct plan p;

	plan_begin(&p, &c, 2);
	expect(&p, RK_ROLLING_SWAP, 0);
	on(&p, RK_ROLLING_EV_DOWN, 0);
	on(&p, RK_ROLLING_EV_READY, 0);
	ck_assert(!next(&p));
	ck_assert_str_eq(line(&p), "restarted 1 of 2, waiting for a standby");
	rk_rolling_standbys(&p.r, 1);
	expect(&p, RK_ROLLING_SWAP, 1);
	c.max_unavailable = 2;
	plan_begin(&p, &c, 3);
	expect(&p, RK_ROLLING_SWAP, 0);
	expect(&p, RK_ROLLING_RECYCLE, 1);
	ck_assert(!next(&p));
}
END_TEST

START_TEST(a_standby_that_is_gone_again_is_waited_for_anew)
{
	struct rk_rolling_conf c = { .n_standbys = 0 };
	struct plan p;

	plan_begin(&p, &c, 2);
	ck_assert(!next(&p));
	ck_assert_str_eq(line(&p), "restarted 0 of 2, waiting for a standby");
	rk_rolling_standbys(&p.r, 2);
	rk_rolling_standbys(&p.r, 0);
	ck_assert(!next(&p));
	rk_rolling_standbys(&p.r, 2);
	expect(&p, RK_ROLLING_SWAP, 0);
	rk_rolling_standbys(&p.r, 1);
	ck_assert(!next(&p)); /* one behind the other, however many there are */
	on(&p, RK_ROLLING_EV_DOWN, 0);
	on(&p, RK_ROLLING_EV_DOWN, 1); /* by itself: it may go at once, it has nothing to lose */
	on(&p, RK_ROLLING_EV_READY, 0);
	expect(&p, RK_ROLLING_START, 1);
	ck_assert(!next(&p));
	on(&p, RK_ROLLING_EV_READY, 1);
	ck_assert_int_eq(p.r.state, RK_ROLLING_DONE);
}
END_TEST

START_TEST(a_standby_that_does_not_come_holds_the_plan_until_told_or_it_comes)
{
	struct rk_rolling_conf c = { .ready_timeout_ns = 10 * S };
	struct plan p;

	plan_begin(&p, &c, 2);
	ck_assert(!next(&p));
	p.now_ns += 4 * S;
	ck_assert(!next(&p)); /* looked at again: its time goes on */
	ck_assert_uint_eq(rk_rolling_due_ns(&p.r), T0 + 10 * S);
	p.now_ns += 6 * S;
	on(&p, RK_ROLLING_EV_TIMER, 0);
	ck_assert_str_eq(line(&p), "holding at 0 of 2: no standby was ready in time for worker 0");
	ck_assert_uint_eq(rk_rolling_due_ns(&p.r), 0);
	on(&p, RK_ROLLING_EV_RESUME, 0);
	ck_assert(!next(&p));
	ck_assert_uint_eq(rk_rolling_due_ns(&p.r), p.now_ns + 10 * S);
	on(&p, RK_ROLLING_EV_BARREN, 0);
	ck_assert_str_eq(line(&p), "holding at 0 of 2: the standby for worker 0 does not start");
	rk_rolling_standbys(&p.r, 0);
	ck_assert(!next(&p));
	rk_rolling_standbys(&p.r, 1); /* after all */
	expect(&p, RK_ROLLING_SWAP, 0);
	on(&p, RK_ROLLING_EV_BARREN, 0); /* one is under way: nobody waits */
	ck_assert_int_eq(p.r.state, RK_ROLLING_RUNNING);
	on(&p, RK_ROLLING_EV_DOWN, 0);
	on(&p, RK_ROLLING_EV_READY, 0);
	ck_assert(!next(&p));
	on(&p, RK_ROLLING_EV_BARREN, 0);
	ck_assert_int_eq(p.r.state, RK_ROLLING_HOLDING);
	on(&p, RK_ROLLING_EV_CANCEL, 0);
	ck_assert_int_eq(p.r.state, RK_ROLLING_DONE);
}
END_TEST

START_TEST(a_drain_ends_with_its_slots_and_starts_nothing)
{
	struct rk_rolling_conf c = { .kind = RK_ROLLING_DRAIN, .n_standbys = 3 };
	struct plan p;

	plan_begin(&p, &c, 4);
	p.slots[0].in_plan = p.slots[1].in_plan = false;
	rk_rolling_begin(&p.r, &c, p.slots, 4);
	expect(&p, RK_ROLLING_GO, 2);
	ck_assert(!next(&p));
	on(&p, RK_ROLLING_EV_DOWN, 2);
	expect(&p, RK_ROLLING_GO, 3);
	on(&p, RK_ROLLING_EV_DOWN, 3);
	ck_assert(!next(&p));
	ck_assert_int_eq(p.r.state, RK_ROLLING_DONE);
	ck_assert_str_eq(line(&p), "drained 2 of 2: worker 3 is gone");
}
END_TEST

START_TEST(an_empty_plan_is_done_and_strange_events_change_nothing)
{
	struct plan p;

	plan_begin(&p, &one_by_one, 0);
	ck_assert_int_eq(p.r.state, RK_ROLLING_DONE);
	plan_begin(&p, &one_by_one, 1);
	on(&p, RK_ROLLING_EV_READY, 7);
	on(&p, RK_ROLLING_EV_DOWN, UINT32_MAX);
	on(&p, RK_ROLLING_EVENTS, 0);
	on(&p, RK_ROLLING_EV_RESUME, 0);
	expect(&p, RK_ROLLING_RECYCLE, 0);
}
END_TEST

/* ---- after the supervisor's death ---- */

static const struct {
	enum rk_rolling_stage was;
	bool is_ready, is_ending;
	enum rk_rolling_stage is;
} takes_up[] = {
	{ RK_ROLLING_OUT, true, false, RK_ROLLING_OUT },
	{ RK_ROLLING_TODO, true, false, RK_ROLLING_TODO },
	{ RK_ROLLING_TODO, false, false, RK_ROLLING_TODO }, /* it died by itself */
	{ RK_ROLLING_TODO, false, true, RK_ROLLING_ENDING }, /* asked, and not written down */
	{ RK_ROLLING_ENDING, false, true, RK_ROLLING_ENDING },
	{ RK_ROLLING_ENDING, true, false, RK_ROLLING_TODO }, /* written down, and not asked */
	{ RK_ROLLING_ENDING, false, false, RK_ROLLING_STARTING },
	{ RK_ROLLING_STARTING, false, false, RK_ROLLING_STARTING },
	{ RK_ROLLING_STARTING, true, false, RK_ROLLING_SETTLING },
	{ RK_ROLLING_SETTLING, true, false, RK_ROLLING_SETTLING },
	{ RK_ROLLING_SETTLING, false, false, RK_ROLLING_FAILED },
	{ RK_ROLLING_FINISHED, true, false, RK_ROLLING_FINISHED },
	{ RK_ROLLING_FAILED, false, false, RK_ROLLING_FAILED },
	{ (enum rk_rolling_stage)77, true, false, RK_ROLLING_OUT },
};

START_TEST(another_supervisor_takes_each_slot_up_where_it_stands)
{
	struct rk_rolling_slot slots[2] = { { .is_wanted = true, .is_ready = takes_up[_i].is_ready,
					      .is_ending = takes_up[_i].is_ending, .stage = takes_up[_i].was,
					      .since_ns = T0 - 7 },
					    { .is_wanted = true, .is_ready = true, .stage = RK_ROLLING_TODO } };
	struct rk_rolling r;

	rk_rolling_go_on(&r, &one_by_one, slots, 2, T0);
	ck_assert_int_eq(slots[0].stage, takes_up[_i].is);
	ck_assert_uint_eq(slots[0].since_ns, takes_up[_i].is == takes_up[_i].was ? T0 - 7 : T0);
	ck_assert_int_eq(r.state, takes_up[_i].is == RK_ROLLING_FAILED ? RK_ROLLING_HOLDING : RK_ROLLING_RUNNING);
}
END_TEST

START_TEST(another_supervisor_holds_what_was_held_and_touches_nobody)
{
	struct rk_rolling_slot slots[2] = { { .is_wanted = true, .is_ready = false, .stage = RK_ROLLING_STARTING },
					    { .is_wanted = true, .is_ready = true, .stage = RK_ROLLING_TODO } };
	struct rk_rolling_order o;
	struct rk_rolling r;

	rk_rolling_go_on(&r, &one_by_one, slots, 2, T0);
	rk_rolling_hold_on(&r, RK_ROLLING_NONE, 0);
	rk_rolling_hold_on(&r, RK_ROLLING_LATE, 2);
	rk_rolling_hold_on(&r, (enum rk_rolling_reason)77, 0);
	ck_assert_int_eq(r.state, RK_ROLLING_RUNNING);
	rk_rolling_hold_on(&r, RK_ROLLING_LATE, 0);
	ck_assert_int_eq(r.state, RK_ROLLING_HOLDING);
	slots[0].is_ready = true;
	ck_assert(!rk_rolling_next(&r, T0, &o));
	rk_rolling_on(&r, RK_ROLLING_EV_READY, 0, T0); /* it was only late */
	ck_assert(rk_rolling_next(&r, T0, &o));
	ck_assert_uint_eq(o.slot, 1);
}
END_TEST

/* ---- random fleets ---- */

struct worker {
	uint64_t down_ns, ready_ns; /* what is going to happen; 0 = nothing */
	bool is_ready;
	bool is_asked; /* to end, by the plan */
	uint32_t n_ended; /* by the plan */
};

static void act(struct plan *p, struct worker *w, struct rk_rand *random)
{
	struct worker *x = &w[p->o.slot];

	if (p->o.action == RK_ROLLING_START) {
		x->ready_ns = p->now_ns + 1 + rk_rand_below(random, S);
		return;
	}
	x->n_ended++;
	x->is_asked = true;
	x->down_ns = p->now_ns + 1 + rk_rand_below(random, S / 10);
}

static void happen(struct plan *p, struct worker *w, uint32_t slot, struct rk_rand *random)
{
	if (w->down_ns && p->now_ns >= w->down_ns) {
		w->down_ns = 0;
		w->is_ready = w->is_asked = false;
		w->ready_ns = p->now_ns + 1 +
			      rk_rand_below(random, rk_rand_below(random, 20) ? S : 20 * S);
		on(p, RK_ROLLING_EV_DOWN, slot);
	} else if (w->ready_ns && p->now_ns >= w->ready_ns) {
		w->ready_ns = 0;
		w->is_ready = true;
		on(p, RK_ROLLING_EV_READY, slot);
		if (rk_rand_below(random, 10) == 0) /* short-lived */
			w->down_ns = p->now_ns + 1 + rk_rand_below(random, 3 * S);
	} else if (w->is_ready && !w->down_ns && rk_rand_below(random, 20000) == 0) {
		w->down_ns = p->now_ns; /* for reasons of its own */
	}
}

/* All that is left of the plan are the stages, and what it holds for. */
static void supervisor_dies(struct plan *p, const struct worker *w)
{
	struct rk_rolling was = p->r;

	for (uint32_t i = 0; i < was.n_slots; i++)
		p->slots[i] = (struct rk_rolling_slot){ .is_wanted = true,
							.is_ready = w[i].is_ready && !w[i].is_asked,
							.is_ending = w[i].is_asked,
							.stage = p->slots[i].stage };
	rk_rolling_go_on(&p->r, &was.c, p->slots, was.n_slots, p->now_ns);
	if (was.state == RK_ROLLING_HOLDING)
		rk_rolling_hold_on(&p->r, was.reason, was.held_slot);
}

START_TEST(random_plans_reach_every_slot_and_take_no_more_than_may_be_away)
{
	struct rk_rand random = rk_rand_init((uint64_t)_i);
	struct rk_rolling_conf c = { .max_unavailable = 1 + (uint32_t)rk_rand_below(&random, 4),
				     .ready_timeout_ns = 5 * S,
				     .settle_ns = rk_rand_below(&random, 2) * S };
	uint32_t n = 1 + (uint32_t)rk_rand_below(&random, N_MAX);
	struct worker workers[N_MAX] = { 0 };
	struct plan p;

	plan_begin(&p, &c, n);
	for (uint32_t i = 0; i < n; i++)
		workers[i].is_ready = true;
	for (int t = 0; t < 2000000 && p.r.state != RK_ROLLING_DONE; t++, p.now_ns += 10 * MS) {
		uint64_t due_ns = rk_rolling_due_ns(&p.r);

		for (uint32_t i = 0; i < n; i++)
			happen(&p, &workers[i], i, &random);
		if (due_ns && p.now_ns >= due_ns)
			on(&p, RK_ROLLING_EV_TIMER, 0);
		if (p.r.state == RK_ROLLING_HOLDING && rk_rand_below(&random, 500) == 0)
			on(&p, RK_ROLLING_EV_RESUME, 0);
		if (_i % 2 && rk_rand_below(&random, 100) == 0)
			supervisor_dies(&p, workers);
		while (next(&p)) {
			uint32_t n_away = 0;

			for (uint32_t i = 0; i < n; i++)
				n_away += i != p.o.slot && !p.slots[i].is_ready;
			ck_assert_msg(p.o.action == RK_ROLLING_START || n_away < c.max_unavailable,
				      "seed %d: %u away", _i, n_away);
			act(&p, workers, &random);
		}
	}
	ck_assert_msg(p.r.state == RK_ROLLING_DONE, "seed %d: %s", _i, line(&p));
	for (uint32_t i = 0; i < n; i++)
		ck_assert_msg(p.slots[i].stage == RK_ROLLING_FINISHED, "seed %d: slot %u", _i, i);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("rolling");

	tcase_add_test(c, slots_are_restarted_one_by_one_each_when_the_one_before_is_ready);
	tcase_add_test(c, a_replacement_must_stay_ready_before_the_next_one_goes);
	tcase_add_test(c, a_line_tells_one_worker_with_its_own_time_until_the_next_has_settled);
	tcase_add_test(c, a_replacement_that_dies_holds_the_plan_until_told);
	tcase_add_loop_test(c, one_that_is_not_wanted_any_more_is_left_alone, 0, 3);
	tcase_add_test(c, a_replacement_that_is_late_holds_the_plan_until_it_is_ready);
	tcase_add_test(c, a_late_one_that_comes_does_not_hide_one_that_died);
	tcase_add_test(c, deaths_that_are_none_of_the_plans_count_as_away);
	tcase_add_test(c, one_that_is_ending_is_away_though_its_old_process_says_ready);
	tcase_add_test(c, standbys_are_used_and_without_room_they_are_waited_for);
	tcase_add_test(c, a_standby_that_is_gone_again_is_waited_for_anew);
	tcase_add_test(c, a_standby_that_does_not_come_holds_the_plan_until_told_or_it_comes);
	tcase_add_test(c, a_drain_ends_with_its_slots_and_starts_nothing);
	tcase_add_test(c, an_empty_plan_is_done_and_strange_events_change_nothing);
	tcase_add_loop_test(c, another_supervisor_takes_each_slot_up_where_it_stands, 0, (int)rk_countof(takes_up));
	tcase_add_test(c, another_supervisor_holds_what_was_held_and_touches_nobody);
	tcase_add_loop_test(c, random_plans_reach_every_slot_and_take_no_more_than_may_be_away, 0,
			    50);
	return unit_run(c);
}
