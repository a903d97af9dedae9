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

#include "base/clock.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#define N_CELLS (RK_FSM_STATES * RK_FSM_EVENTS)

static const enum rk_fsm_state with_process[] = { RK_FSM_STARTING, RK_FSM_READY, RK_FSM_FENCING,
						  RK_FSM_STOPPING };

static int has_process(enum rk_fsm_state s)
{
	for (size_t i = 0; i < sizeof(with_process) / sizeof(with_process[0]); i++)
		if (with_process[i] == s)
			return 1;
	return 0;
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
	/* Whoever changes nothing stays; whoever leaves does something, or its process is killed.
	 */
	if (step.action == RK_FSM_NOTHING && step.next != s)
		ck_assert_msg((s == RK_FSM_FENCING && e == RK_FSM_EV_STOP) ||
				      (s == RK_FSM_DOWN && e == RK_FSM_EV_STOP),
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

		ck_assert_msg(step.action == (with_process[i] == RK_FSM_STOPPING ? RK_FSM_SETTLE
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
			continue; /* the fleet's own wish, which a stopping fleet has not */
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

START_TEST(the_first_four_failures_cost_no_wait_and_the_wait_is_capped)
{
	uint64_t before = 0;

	for (uint32_t n = 0; n < RK_FSM_FREE_TRIES; n++)
		ck_assert_uint_eq(rk_fsm_backoff_ns(n), 0);
	ck_assert_uint_eq(rk_fsm_backoff_ns(RK_FSM_FREE_TRIES), 100 * RK_NS_PER_MS);
	ck_assert_uint_eq(rk_fsm_backoff_ns(RK_FSM_FREE_TRIES + 1), 200 * RK_NS_PER_MS);
	for (uint32_t n = 0; n < 100; n++) {
		ck_assert_uint_ge(rk_fsm_backoff_ns(n), before);
		before = rk_fsm_backoff_ns(n);
	}
	ck_assert_uint_eq(rk_fsm_backoff_ns(UINT32_MAX), 5 * RK_NS_PER_S);
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
	tcase_add_test(c, the_first_four_failures_cost_no_wait_and_the_wait_is_capped);
	return unit_run(c);
}
