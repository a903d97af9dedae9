/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The life of a slot is a total table: every cell leads somewhere known, every state
 *         can be brought to an end, no process is made while there may be another, and a dead
 *         one is always recovered from or settled, exactly once.
 * Method  Every (state, event) pair is looked at; then random walks keep the books that the
 *         table must not contradict: is there a process, is one due.
 */
#include "supervisor/fsm.h"

#include <check.h>
#include <stdio.h>

#include "base/macro.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#define N_CELLS (RK_FSM_STATES * RK_FSM_EVENTS)

static const enum rk_fsm_state with_process[] = {
	RK_FSM_STARTING,  RK_FSM_READY,    RK_FSM_SUSPECT, RK_FSM_PAUSED,  RK_FSM_DRAINING,
	RK_FSM_RECYCLING, RK_FSM_ABORTING, RK_FSM_FENCING, RK_FSM_STOPPING
};

static int has_process(enum rk_fsm_state s)
{
	for (size_t i = 0; i < sizeof(with_process) / sizeof(with_process[0]); i++)
		if (with_process[i] == s)
			return 1;
	return 0;
}

/* Its end is the end of the slot's wish for a process. */
static int is_leaving(enum rk_fsm_state s)
{
	return s == RK_FSM_STOPPING || s == RK_FSM_DRAINING;
}

static const char *cell(enum rk_fsm_state s, enum rk_fsm_event e)
{
	static char text[64]; /* one test per process */

	(void)snprintf(text, sizeof(text), "%s on %s", rk_fsm_state_name(s), rk_fsm_event_name(e));
	return text;
}

START_TEST(every_cell_leads_to_a_known_state_and_action)
{
	enum rk_fsm_state s = (enum rk_fsm_state)(_i / RK_FSM_EVENTS);
	enum rk_fsm_event e = (enum rk_fsm_event)(_i % RK_FSM_EVENTS);
	struct rk_fsm_step step = rk_fsm_step(s, e);

	ck_assert_msg((unsigned int)step.next < RK_FSM_STATES, "%s", cell(s, e));
	ck_assert_msg((unsigned int)step.action < RK_FSM_ACTIONS, "%s", cell(s, e));
	/* An empty cell of the table would read {EMPTY, NOTHING}: a process forgotten. */
	if (has_process(s) && step.next == RK_FSM_EMPTY)
		ck_assert_msg(step.action == RK_FSM_SETTLE, "%s", cell(s, e));
	/* Whoever changes nothing stays; whoever leaves does something, or has it behind it: it
	 * is killed or asked to end already, or there is no process and no timer.
	 */
	if (step.action == RK_FSM_NOTHING && step.next != s)
		ck_assert_msg(s == RK_FSM_FENCING || s == RK_FSM_ABORTING ||
				      s == RK_FSM_RECYCLING || s == RK_FSM_STOPPING ||
				      s == RK_FSM_DOWN || s == RK_FSM_ENDED,
			      "%s", cell(s, e));
}
END_TEST

START_TEST(a_process_is_made_only_where_there_is_none)
{
	enum rk_fsm_state s = (enum rk_fsm_state)(_i / RK_FSM_EVENTS);
	enum rk_fsm_event e = (enum rk_fsm_event)(_i % RK_FSM_EVENTS);
	struct rk_fsm_step step = rk_fsm_step(s, e);

	ck_assert_msg((step.action == RK_FSM_SPAWN) ==
			      (!has_process(s) && step.next == RK_FSM_STARTING),
		      "%s", cell(s, e));
	/* A process is gone only by its confirmed death, or because it could not be made. */
	if (has_process(s) && !has_process(step.next))
		ck_assert_msg(e == RK_FSM_EV_EXITED ||
				      (s == RK_FSM_STARTING && e == RK_FSM_EV_FAILED),
			      "%s", cell(s, e));
}
END_TEST

START_TEST(a_confirmed_death_is_recovered_from_or_settled)
{
	for (size_t i = 0; i < sizeof(with_process) / sizeof(with_process[0]); i++) {
		struct rk_fsm_step step = rk_fsm_step(with_process[i], RK_FSM_EV_EXITED);

		ck_assert_msg(step.action == (is_leaving(with_process[i]) ? RK_FSM_SETTLE
									  : RK_FSM_RECOVER),
			      "%s", rk_fsm_state_name(with_process[i]));
	}
}
END_TEST

START_TEST(every_state_ends_when_stopped)
{
	enum rk_fsm_state s = rk_fsm_step((enum rk_fsm_state)_i, RK_FSM_EV_STOP).next;

	if (has_process(s))
		s = rk_fsm_step(s, RK_FSM_EV_EXITED).next;
	ck_assert_msg(s == RK_FSM_EMPTY, "%s ends in %s", rk_fsm_state_name((enum rk_fsm_state)_i),
		      rk_fsm_state_name(s));
}
END_TEST

START_TEST(a_stopped_slot_makes_no_process_again)
{
	struct rk_rand random = rk_rand_init((uint64_t)_i);
	enum rk_fsm_state s = (enum rk_fsm_state)rk_rand_below(&random, RK_FSM_STATES);

	s = rk_fsm_step(s, RK_FSM_EV_STOP).next;
	for (int i = 0; i < 200; i++) {
		enum rk_fsm_event e = (enum rk_fsm_event)rk_rand_below(&random, RK_FSM_EVENTS);
		struct rk_fsm_step step = rk_fsm_step(s, e);

		if (e == RK_FSM_EV_START || e == RK_FSM_EV_DELAY)
			continue; /* the fleet's own wishes, which a stopping fleet has not */
		ck_assert_msg(step.action != RK_FSM_SPAWN && step.action != RK_FSM_RECOVER, "%s",
			      cell(s, e));
		s = step.next;
	}
}
END_TEST

START_TEST(what_is_outside_the_enums_does_nothing)
{
	struct rk_fsm_step step = rk_fsm_step(RK_FSM_STATES, RK_FSM_EV_START);

	ck_assert(step.next == RK_FSM_EMPTY && step.action == RK_FSM_NOTHING);
	step = rk_fsm_step(RK_FSM_READY, RK_FSM_EVENTS);
	ck_assert(step.next == RK_FSM_EMPTY && step.action == RK_FSM_NOTHING);
	ck_assert_str_eq(rk_fsm_state_name(RK_FSM_STATES), "?");
	ck_assert_str_eq(rk_fsm_event_name(RK_FSM_EVENTS), "?");
	ck_assert_str_eq(rk_fsm_action_name(RK_FSM_ACTIONS), "?");
}
END_TEST

START_TEST(a_timer_is_heard_exactly_where_a_clock_runs)
{
	enum rk_fsm_state s = (enum rk_fsm_state)_i;
	struct rk_fsm_step step = rk_fsm_step(s, RK_FSM_EV_TIMER);

	ck_assert_msg((step.action != RK_FSM_NOTHING) == (rk_fsm_clock(s) != RK_FSM_UNBOUNDED),
		      "%s", rk_fsm_state_name(s));
	ck_assert_int_eq(rk_fsm_clock(RK_FSM_STATES), RK_FSM_UNBOUNDED);
}
END_TEST

/* Every process that is asked to end, or judged, is killed by timers alone. */
START_TEST(a_process_that_ignores_everything_is_killed_in_finite_time)
{
	static const enum rk_fsm_event ends[] = { RK_FSM_EV_STOP, RK_FSM_EV_DRAIN,
						  RK_FSM_EV_RECYCLE, RK_FSM_EV_VERDICT };
	int n_killed = 0;

	for (size_t i = 0; i < rk_countof(with_process) * rk_countof(ends); i++) {
		struct rk_fsm_step step =
			rk_fsm_step(with_process[i / rk_countof(ends)], ends[i % rk_countof(ends)]);
		int n_timers = 0;

		while (step.action != RK_FSM_KILL && n_timers++ < 3)
			step = rk_fsm_step(step.next, RK_FSM_EV_TIMER);
		ck_assert_msg(step.action == RK_FSM_KILL, "%s",
			      cell(with_process[i / rk_countof(ends)], ends[i % rk_countof(ends)]));
		/* and again, until the tree is empty */
		step = rk_fsm_step(step.next, RK_FSM_EV_TIMER);
		ck_assert_int_eq(step.action, RK_FSM_KILL);
		n_killed++;
	}
	ck_assert_int_eq(n_killed, rk_countof(with_process) * rk_countof(ends));
}
END_TEST

START_TEST(a_process_that_never_gets_ready_is_ended)
{
	struct rk_fsm_step step = rk_fsm_step(RK_FSM_STARTING, RK_FSM_EV_TIMER);

	ck_assert_int_eq(step.action, RK_FSM_ABORT);
	step = rk_fsm_step(step.next, RK_FSM_EV_TIMER);
	ck_assert_int_eq(step.action, RK_FSM_KILL);
	step = rk_fsm_step(step.next, RK_FSM_EV_EXITED);
	ck_assert(step.next == RK_FSM_DOWN && step.action == RK_FSM_RECOVER);
}
END_TEST

/* The wishes that must not be lost: each, whatever the state, comes true by deaths and timers. */
START_TEST(no_wish_of_the_fleet_is_lost)
{
	for (int i = 0; i < RK_FSM_STATES; i++) {
		enum rk_fsm_state s = rk_fsm_step((enum rk_fsm_state)i, RK_FSM_EV_START).next;
		enum rk_fsm_state d = rk_fsm_step((enum rk_fsm_state)i, RK_FSM_EV_DRAIN).next;

		if (has_process(s)) {
			ck_assert_msg(!is_leaving(s), "%s",
				      cell((enum rk_fsm_state)i, RK_FSM_EV_START));
			ck_assert_int_eq(rk_fsm_step(s, RK_FSM_EV_EXITED).next, RK_FSM_DOWN);
		}
		if (has_process(d)) {
			ck_assert_msg(is_leaving(d), "%s",
				      cell((enum rk_fsm_state)i, RK_FSM_EV_DRAIN));
			d = rk_fsm_step(d, RK_FSM_EV_EXITED).next;
		}
		ck_assert_msg(d == RK_FSM_EMPTY, "%s", cell((enum rk_fsm_state)i, RK_FSM_EV_DRAIN));
	}
}
END_TEST

START_TEST(a_verdict_ends_whoever_runs_and_spares_who_is_past_it)
{
	for (size_t i = 0; i < rk_countof(with_process); i++) {
		enum rk_fsm_state s = with_process[i];
		struct rk_fsm_step step = rk_fsm_step(s, RK_FSM_EV_VERDICT);
		int is_past = s == RK_FSM_ABORTING || s == RK_FSM_FENCING || s == RK_FSM_STOPPING;

		ck_assert_msg((step.action == RK_FSM_ABORT) == !is_past, "%s",
			      cell(s, RK_FSM_EV_VERDICT));
	}
}
END_TEST

START_TEST(suspicion_and_pause_are_taken_back)
{
	ck_assert_int_eq(rk_fsm_step(RK_FSM_READY, RK_FSM_EV_SUSPECT).next, RK_FSM_SUSPECT);
	ck_assert_int_eq(rk_fsm_step(RK_FSM_SUSPECT, RK_FSM_EV_CLEAR).action, RK_FSM_RESUME);
	ck_assert_int_eq(rk_fsm_step(RK_FSM_SUSPECT, RK_FSM_EV_PAUSE).next, RK_FSM_PAUSED);
	ck_assert_int_eq(rk_fsm_step(RK_FSM_PAUSED, RK_FSM_EV_RESUME).action, RK_FSM_RESUME);
	ck_assert_int_eq(rk_fsm_step(RK_FSM_PAUSED, RK_FSM_EV_RESUME).next, RK_FSM_READY);
	ck_assert_int_eq(rk_fsm_step(RK_FSM_PAUSED, RK_FSM_EV_SUSPECT).next, RK_FSM_PAUSED);
}
END_TEST

START_TEST(who_stays_down_comes_back_only_when_told)
{
	for (int e = 0; e < RK_FSM_EVENTS; e++) {
		struct rk_fsm_step step = rk_fsm_step(RK_FSM_ENDED, (enum rk_fsm_event)e);

		ck_assert_int_eq(step.action == RK_FSM_SPAWN, e == RK_FSM_EV_START);
	}
}
END_TEST

/* Random walks keep the books: one process at most, a death for each before the next. */
START_TEST(random_lives_keep_the_books)
{
	struct rk_rand random = rk_rand_init((uint64_t)_i);
	enum rk_fsm_state s = RK_FSM_EMPTY;
	int n_processes = 0;

	for (int i = 0; i < 5000; i++) {
		enum rk_fsm_event e = (enum rk_fsm_event)rk_rand_below(&random, RK_FSM_EVENTS);
		struct rk_fsm_step step;

		if ((e == RK_FSM_EV_EXITED || e == RK_FSM_EV_LEASE) && n_processes == 0)
			continue; /* nobody is there to die */
		if (e == RK_FSM_EV_FAILED && s != RK_FSM_STARTING)
			continue;
		step = rk_fsm_step(s, e);
		n_processes += step.action == RK_FSM_SPAWN;
		n_processes -= step.action == RK_FSM_RECOVER || step.action == RK_FSM_SETTLE ||
			       e == RK_FSM_EV_FAILED;
		ck_assert_msg(n_processes == has_process(step.next), "seed %d, step %d: %s", _i, i,
			      cell(s, e));
		s = step.next;
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("fsm");

	tcase_add_loop_test(c, every_cell_leads_to_a_known_state_and_action, 0, N_CELLS);
	tcase_add_loop_test(c, a_process_is_made_only_where_there_is_none, 0, N_CELLS);
	tcase_add_test(c, a_confirmed_death_is_recovered_from_or_settled);
	tcase_add_loop_test(c, every_state_ends_when_stopped, 0, RK_FSM_STATES);
	tcase_add_loop_test(c, a_stopped_slot_makes_no_process_again, 0, 50);
	tcase_add_test(c, what_is_outside_the_enums_does_nothing);
	tcase_add_loop_test(c, a_timer_is_heard_exactly_where_a_clock_runs, 0, RK_FSM_STATES);
	tcase_add_test(c, a_process_that_ignores_everything_is_killed_in_finite_time);
	tcase_add_test(c, a_process_that_never_gets_ready_is_ended);
	tcase_add_test(c, no_wish_of_the_fleet_is_lost);
	tcase_add_test(c, a_verdict_ends_whoever_runs_and_spares_who_is_past_it);
	tcase_add_test(c, suspicion_and_pause_are_taken_back);
	tcase_add_test(c, who_stays_down_comes_back_only_when_told);
	tcase_add_loop_test(c, random_lives_keep_the_books, 0, 50);
	return unit_run(c);
}
