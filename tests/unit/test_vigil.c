/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    While the guard is parked, whoever ends the quiet rings it: a worker that wakes, one
 *         who brings work to a parked worker or asks it to stop; nobody else touches its word. The
 *         guard may park only over workers that say PARKED as who they are and have no work.
 * Method  Words are compared step by step; the count starts just before its wrap. The races are
 *         doc/models/vigil.pml's.
 */
#include "shm/vigil.h"

#include <check.h>

#include "shm/bell.h"
#include "shm/part.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

static const uint32_t counts[] = { 0, 0xfffffffc, 0xfffffffe };

static struct fixture *f;
static uint32_t parked; /* the guard's word when it parked */

static uint32_t value(void)
{
	return atomic_load_explicit(rk_shm_vigil(&f->m), memory_order_relaxed);
}

static void begin(uint32_t count)
{
	f = fixture_new(NULL, 0);
	atomic_store_explicit(rk_shm_vigil(&f->m), count, memory_order_relaxed);
	parked = rk_bell_park(rk_shm_vigil(&f->m));
}

static bool is_rung(void)
{
	return value() != parked && value() & RK_BELL_PARKED;
}

START_TEST(who_brings_work_to_a_parked_worker_rings_the_guard)
{
	begin(counts[_i]);
	(void)rk_bell_park(&rk_shm_bell(&f->m, 2)->bell);
	rk_bell_ring_partition(&f->m, 2, 1);
	ck_assert(is_rung());
	fixture_free(f);
}
END_TEST

START_TEST(who_asks_a_parked_worker_to_stop_rings_the_guard)
{
	begin(counts[_i]);
	(void)rk_bell_park(&rk_shm_bell(&f->m, 2)->bell);
	rk_bell_ring_stop(&f->m, 2);
	ck_assert(is_rung());
	fixture_free(f);
}
END_TEST

START_TEST(who_brings_work_to_one_that_is_awake_leaves_the_guard_alone)
{
	begin(counts[_i]);
	rk_bell_ring_partition(&f->m, 2, 1);
	ck_assert_uint_eq(value(), parked);
	fixture_free(f);
}
END_TEST

START_TEST(a_worker_that_wakes_says_so_and_rings_the_guard)
{
	begin(counts[_i]);
	atomic_store_explicit(&rk_shm_beat(&f->m, 1)->state, RK_BEAT_PARKED, memory_order_relaxed);
	rk_vigil_rouse(&f->m, 1);
	ck_assert(is_rung());
	ck_assert_uint_eq(atomic_load_explicit(&rk_shm_beat(&f->m, 1)->state, memory_order_relaxed),
			  RK_BEAT_READY);
	fixture_free(f);
}
END_TEST

START_TEST(a_guard_that_is_awake_is_not_rung)
{
	begin(counts[_i]);
	rk_bell_unpark(rk_shm_vigil(&f->m));
	parked = value();
	(void)rk_bell_park(&rk_shm_bell(&f->m, 2)->bell);
	rk_bell_ring_partition(&f->m, 2, 1);
	rk_vigil_rouse(&f->m, 2);
	ck_assert_uint_eq(value(), parked);
	fixture_free(f);
}
END_TEST

START_TEST(only_one_that_is_parked_without_work_need_not_be_watched)
{
	struct rk_beat *beat;

	f = fixture_new(NULL, 0);
	beat = rk_shm_beat(&f->m, 3);
	atomic_store_explicit(&beat->incarnation, 9, memory_order_relaxed);
	for (uint32_t state = 0; state < RK_BEAT_STATES; state++) {
		atomic_store_explicit(&beat->state, state, memory_order_relaxed);
		ck_assert_int_eq(rk_vigil_is_needless(&f->m, 3, 9), state == RK_BEAT_PARKED);
		ck_assert(!rk_vigil_is_needless(&f->m, 3, 10)); /* its predecessor's words */
	}
	atomic_store_explicit(&beat->state, RK_BEAT_PARKED, memory_order_relaxed);
	for (uint32_t p = 0; p < f->m.g.n_partitions; p++) {
		rk_bell_ring_partition(&f->m, 3, p);
		ck_assert(rk_vigil_has_work(&f->m, 3));
		ck_assert(!rk_vigil_is_needless(&f->m, 3, 9));
		atomic_store_explicit(rk_bell_pending(rk_shm_bell(&f->m, 3)), 0,
				      memory_order_relaxed);
	}
	ck_assert(rk_vigil_is_needless(&f->m, 3, 9));
	fixture_free(f);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("vigil");

	tcase_add_loop_test(c, who_brings_work_to_a_parked_worker_rings_the_guard, 0,
			    (int)rk_countof(counts));
	tcase_add_loop_test(c, who_asks_a_parked_worker_to_stop_rings_the_guard, 0,
			    (int)rk_countof(counts));
	tcase_add_loop_test(c, who_brings_work_to_one_that_is_awake_leaves_the_guard_alone, 0,
			    (int)rk_countof(counts));
	tcase_add_loop_test(c, a_worker_that_wakes_says_so_and_rings_the_guard, 0,
			    (int)rk_countof(counts));
	tcase_add_loop_test(c, a_guard_that_is_awake_is_not_rung, 0, (int)rk_countof(counts));
	tcase_add_test(c, only_one_that_is_parked_without_work_need_not_be_watched);
	return unit_run(c);
}
