/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The life of a standby's place is a total table: every cell leads somewhere known, only one
 *         that has parked can be taken, no process is made while there may be another, each that
 *         dies is buried, and whatever happens the place can be emptied.
 * Method  Every pair is looked at; random walks keep the books that the table must not contradict.
 */
#include "supervisor/spare.h"

#include <check.h>
#include <stdbool.h>

#include "base/rand.h"
#include "tests/unit/unit.h"

static bool has_process(enum rk_spare_state s)
{
	return s == RK_SPARE_STARTING || s == RK_SPARE_PARKED || s == RK_SPARE_ENDING;
}

static struct rk_spare_step step(int i)
{
	return rk_spare_step((enum rk_spare_state)(i / RK_SPARE_EVENTS), (enum rk_spare_event)(i % RK_SPARE_EVENTS));
}

START_TEST(every_cell_leads_to_a_known_state_and_action)
{
	enum rk_spare_state from = (enum rk_spare_state)(_i / RK_SPARE_EVENTS);
	enum rk_spare_event event = (enum rk_spare_event)(_i % RK_SPARE_EVENTS);

	ck_assert_uint_lt((unsigned int)step(_i).next, RK_SPARE_STATES);
	ck_assert_uint_lt((unsigned int)step(_i).action, RK_SPARE_ACTIONS);
	/* An empty cell would read {ABSENT, NOTHING}: a process, or a hook, forgotten. */
	if (from != RK_SPARE_ABSENT && step(_i).next == RK_SPARE_ABSENT)
		ck_assert(step(_i).action == RK_SPARE_BURY || step(_i).action == RK_SPARE_CANCEL);
	if (event == RK_SPARE_EV_TAKEN && from != RK_SPARE_PARKED)
		ck_assert(step(_i).next == from && step(_i).action == RK_SPARE_NOTHING);
}
END_TEST

START_TEST(whose_socket_ends_before_it_does_is_started_again_with_the_pauses_of_a_death)
{
	static const enum rk_spare_state states[] = { RK_SPARE_STARTING, RK_SPARE_PARKED };
	struct rk_spare_step s = rk_spare_step(states[_i], RK_SPARE_EV_MISSPOKE);

	ck_assert_int_eq(s.action, RK_SPARE_KILL);
	ck_assert_int_ne(s.next, RK_SPARE_PARKED);
	s = rk_spare_step(s.next, RK_SPARE_EV_GONE);
	ck_assert_int_eq(s.next, RK_SPARE_WAITING);
	ck_assert_int_eq(s.action, RK_SPARE_BACKOFF);
}
END_TEST

START_TEST(what_is_no_state_or_event_changes_nothing)
{
	ck_assert_int_eq(rk_spare_step(RK_SPARE_STATES, RK_SPARE_EV_WANT).action, RK_SPARE_NOTHING);
	ck_assert_int_eq(rk_spare_step(RK_SPARE_PARKED, RK_SPARE_EVENTS).action, RK_SPARE_NOTHING);
	ck_assert_str_eq(rk_spare_state_name(RK_SPARE_STATES), "?");
	ck_assert_str_eq(rk_spare_state_name(RK_SPARE_PARKED), "parked");
}
END_TEST

/* What can happen there: a process that is not there says nothing and does not die. */
static bool is_possible(enum rk_spare_state s, enum rk_spare_event e)
{
	switch (e) {
	case RK_SPARE_EV_PARKED:
	case RK_SPARE_EV_MISSPOKE:
	case RK_SPARE_EV_GONE:
		return has_process(s);
	case RK_SPARE_EV_PREPARED:
		return s == RK_SPARE_PREPARING;
	case RK_SPARE_EV_FAILED:
		return s == RK_SPARE_PREPARING || s == RK_SPARE_STARTING;
	case RK_SPARE_EV_TAKEN:
		return s == RK_SPARE_PARKED;
	case RK_SPARE_EV_WANT:
	case RK_SPARE_EV_UNWANT:
	case RK_SPARE_EV_TIMER:
	case RK_SPARE_EVENTS:
		break;
	}
	return true;
}

START_TEST(no_walk_makes_a_process_beside_another_or_forgets_one)
{
	struct rk_rand random = rk_rand_init((uint64_t)_i);
	enum rk_spare_state s = RK_SPARE_ABSENT;
	bool is_there = false;

	for (int n = 0; n < 20000; n++) {
		enum rk_spare_event e = (enum rk_spare_event)rk_rand_below(&random, RK_SPARE_EVENTS);
		struct rk_spare_step step;

		if (!is_possible(s, e))
			continue;
		step = rk_spare_step(s, e);
		if (e == RK_SPARE_EV_GONE)
			ck_assert(step.action == RK_SPARE_BURY || step.action == RK_SPARE_BACKOFF);
		if (e == RK_SPARE_EV_GONE || e == RK_SPARE_EV_TAKEN || e == RK_SPARE_EV_FAILED)
			is_there = false;
		if (step.action == RK_SPARE_MAKE) {
			ck_assert(!is_there);
			is_there = true;
		}
		s = step.next;
		ck_assert_int_eq(is_there, has_process(s));
	}
	/* UNWANT, a process that ends when it is asked to, and there is nothing. */
	s = rk_spare_step(s, RK_SPARE_EV_UNWANT).next;
	s = rk_spare_step(s, RK_SPARE_EV_GONE).next;
	ck_assert_int_eq(s, RK_SPARE_ABSENT);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("spare");

	tcase_add_loop_test(c, every_cell_leads_to_a_known_state_and_action, 0, RK_SPARE_STATES * RK_SPARE_EVENTS);
	tcase_add_loop_test(c, whose_socket_ends_before_it_does_is_started_again_with_the_pauses_of_a_death, 0, 2);
	tcase_add_test(c, what_is_no_state_or_event_changes_nothing);
	tcase_add_loop_test(c, no_walk_makes_a_process_beside_another_or_forgets_one, 0, 10);
	return unit_run(c);
}
