/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    what status and key show of queues and workers is so: only jobs that a worker will run
 *         count as queued, and a worker's state reads the same everywhere.
 * Method  a fleet in private memory, whose calls are published and withdrawn, also across the wrap
 *         of positions; a table of states.
 */
#include "cli/snapshot.h"

#include <check.h>

#include "shm/queue.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

/* The second begins two places before positions wrap. */
static const uint64_t firsts[] = { 0, RK_MASK48 - 1 };

START_TEST(a_withdrawn_job_is_not_queued)
{
	struct fixture *f = fixture_new(NULL, firsts[_i]);
	struct rk_caller c = fixture_caller(f, 0, 1), other = fixture_caller(f, 1, 2);
	struct rk_call call, withdrawn, late;

	ck_assert_uint_eq(rk_queue_depth(&f->m, 0), 0);
	ck_assert_int_eq(fixture_start(&c, 0, 0, 1, &call), RK_CALL_STARTED);
	ck_assert_int_eq(fixture_start(&other, 0, 0, 2, &withdrawn), RK_CALL_STARTED);
	ck_assert_int_eq(fixture_start(&c, 1, 0, 3, &late), RK_CALL_STARTED);
	ck_assert_uint_eq(rk_queue_depth(&f->m, 0), 3);
	ck_assert_uint_eq(rk_queue_depth(&f->m, 1), 0);
	(void)rk_call_expire(&other, &withdrawn);
	ck_assert_uint_eq(rk_queue_depth(&f->m, 0), 2);
	fixture_free(f);
}
END_TEST

START_TEST(a_job_whose_publisher_died_before_it_moved_the_tail_is_queued)
{
	struct fixture *f = fixture_new(NULL, firsts[_i]);
	struct rk_caller c = fixture_caller(f, 0, 1);
	struct rk_call call;

	ck_assert_int_eq(fixture_start(&c, 0, 0, 1, &call), RK_CALL_STARTED);
	atomic_store_explicit(&rk_shm_ring(&f->m, 0)->tail, firsts[_i], memory_order_relaxed);
	ck_assert_uint_eq(rk_queue_depth(&f->m, 0), 1);
	fixture_free(f);
}
END_TEST

START_TEST(a_tail_that_makes_no_sense_does_not_run_away)
{
	struct fixture *f = fixture_new(NULL, 0);

	atomic_store_explicit(&rk_shm_ring(&f->m, 0)->tail, RK_MASK48 / 2, memory_order_relaxed);
	ck_assert_uint_eq(rk_queue_depth(&f->m, 0), 0);
	fixture_free(f);
}
END_TEST

static const struct {
	uint32_t state;
	const char *declared;
	bool is_suspended, is_ready;
	const char *want;
} states[] = {
	{ RK_SLOT_READY, "parked", false, true, "ready/parked" },
	{ RK_SLOT_READY, "ready", false, true, "ready" },
	{ RK_SLOT_READY, "running", true, false, "suspended" },
	{ RK_SLOT_STARTING, NULL, false, false, "starting" },
	{ RK_SLOT_STARTING, "starting", false, false, "starting" },
	{ RK_SLOT_STOPPING, "running", false, false, "stopping/running" },
	{ RK_SLOT_DOWN, NULL, false, false, "down" },
	{ RK_SLOT_DRAINED, NULL, false, false, "drained" },
	{ RK_SLOT_STOPPED, NULL, false, false, "stopped" },
	{ 99, NULL, false, false, "?" },
};

START_TEST(a_state_is_the_slot_s_and_what_its_process_adds)
{
	struct rk_snapshot_worker w = { .view.state = states[_i].state,
					.declared = states[_i].declared,
					.state = rk_look_state(states[_i].state),
					.is_suspended = states[_i].is_suspended };
	char text[RK_SNAPSHOT_STATE];

	ck_assert_str_eq(rk_snapshot_state(text, &w), states[_i].want);
	ck_assert_int_eq(rk_snapshot_is_ready(&w), states[_i].is_ready);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("snapshot");

	tcase_add_loop_test(c, a_withdrawn_job_is_not_queued, 0, rk_countof(firsts));
	tcase_add_loop_test(c, a_job_whose_publisher_died_before_it_moved_the_tail_is_queued, 0,
			    rk_countof(firsts));
	tcase_add_test(c, a_tail_that_makes_no_sense_does_not_run_away);
	tcase_add_loop_test(c, a_state_is_the_slot_s_and_what_its_process_adds, 0,
			    rk_countof(states));
	return unit_run(c);
}
