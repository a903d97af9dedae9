/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A bell wakes whoever announced that it sleeps, never loses a ring, not even when
 *         several wait for room and its count wraps, and a partition's ring marks its bit
 *         with the owner that the route names, if there is one.
 * Method  Words are compared step by step; futex calls end at once since the word differs, or
 *         at a deadline already past. The races of several waiters are doc/models/space_bell.pml's.
 */
#include "shm/bell.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "shm/part.h"
#include "shm/queue.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

/* Just before the count of rings wraps. */
static const uint32_t counts[] = { 0, 2, 0x7ffffffe, 0xfffffffc, 0xfffffffe };

static uint32_t value(_Atomic uint32_t *bell)
{
	return atomic_load_explicit(bell, memory_order_relaxed);
}

START_TEST(nobody_parked_is_not_rung)
{
	_Atomic uint32_t bell = counts[_i];

	rk_bell_ring(&bell);
	ck_assert_uint_eq(value(&bell), counts[_i]);
}
END_TEST

START_TEST(a_ring_after_parking_keeps_its_consumer_awake)
{
	_Atomic uint32_t bell = counts[_i];
	uint32_t parked = rk_bell_park(&bell);

	ck_assert_uint_eq(parked & RK_BELL_PARKED, RK_BELL_PARKED);
	ck_assert_uint_eq(value(&bell), parked);
	rk_bell_ring(&bell);
	ck_assert_uint_ne(value(&bell), parked);
	ck_assert_uint_eq(value(&bell) & RK_BELL_PARKED, RK_BELL_PARKED);
	ck_assert_int_eq(rk_bell_wait(&bell, parked, 0), 0); /* returns though it has no deadline */
	rk_bell_unpark(&bell);
	ck_assert_uint_eq(value(&bell) & RK_BELL_PARKED, 0);
	rk_bell_ring(&bell);
}
END_TEST

START_TEST(an_unrung_bell_waits_until_its_deadline)
{
	_Atomic uint32_t bell = counts[_i];
	uint64_t deadline = rk_clock_ns() + 2 * RK_NS_PER_MS;

	ck_assert_int_eq(rk_bell_wait(&bell, rk_bell_park(&bell), 1), -ETIMEDOUT);
	ck_assert_int_eq(rk_bell_wait(&bell, value(&bell), deadline), -ETIMEDOUT);
	ck_assert_uint_ge(rk_clock_ns(), deadline);
}
END_TEST

static void *ring_it(void *bell)
{
	/* Whether the sleeper is asleep by now or not must not matter. */
	rk_bell_ring(bell);
	return NULL;
}

START_TEST(a_sleeper_is_woken_by_another_thread)
{
	_Atomic uint32_t bell = counts[_i];

	for (int round = 0; round < 300; round++) {
		uint32_t parked = rk_bell_park(&bell);
		pthread_t thread;

		ck_assert_int_eq(pthread_create(&thread, NULL, ring_it, &bell), 0);
		while (value(&bell) == parked) /* a wake-up may come for nothing */
			ck_assert_int_eq(rk_bell_wait(&bell, parked, 0), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		rk_bell_unpark(&bell);
	}
}
END_TEST

START_TEST(a_partition_marks_its_bit_with_the_worker_and_rings)
{
	struct rk_geometry g = fixture_geometry();
	struct fixture *f;
	struct rk_worker_bell *bell;
	uint32_t parked;

	g.n_partitions = 8;
	f = fixture_new(&g, 0);
	bell = rk_shm_bell(&f->m, 2);
	parked = rk_bell_park(&bell->bell);
	rk_bell_ring_partition(&f->m, 2, 5);
	ck_assert_uint_eq(atomic_load_explicit(rk_bell_pending(bell), memory_order_relaxed), 1u << 5);
	ck_assert_uint_ne(value(&bell->bell), parked);
	rk_bell_ring_partition(&f->m, 2, 0);
	ck_assert_uint_eq(atomic_load_explicit(rk_bell_pending(bell), memory_order_relaxed), 1u << 5 | 1);
	for (uint32_t other = 0; other < f->m.g.n_workers; other++)
		if (other != 2)
			ck_assert_uint_eq(
				atomic_load_explicit(rk_bell_pending(rk_shm_bell(&f->m, other)), memory_order_relaxed), 0);
	fixture_free(f);
}
END_TEST

static const uint32_t no_workers[] = { 4, 4095, 0xffff, UINT32_MAX };

START_TEST(a_worker_that_does_not_exist_is_not_rung)
{
	struct fixture *f = fixture_new(NULL, 0);

	rk_bell_ring_partition(&f->m, no_workers[_i], 3);
	rk_part_route(&f->m, 1, no_workers[_i] & 0xffff, 0);
	rk_bell_ring_owner(&f->m, 1);
	fixture_free(f);
}
END_TEST

START_TEST(only_parked_owners_of_partitions_with_work_are_rung_after_a_death)
{
	struct fixture *f = fixture_new(NULL, (1ull << 48) - 1);
	uint32_t parked[4];

	for (uint32_t p = 0; p < 4; p++) {
		rk_part_route(&f->m, p, p, RK_ROUTE_UP);
		parked[p] = p == 3 ? 0 : rk_bell_park(&rk_shm_bell(&f->m, p)->bell);
	}
	/* A client published into 1 and 3 and died before it rang. */
	ck_assert_int_eq(rk_queue_publish(&f->m, 1, 0), RK_QUEUE_OK);
	ck_assert_int_eq(rk_queue_publish(&f->m, 3, 0), RK_QUEUE_OK);
	rk_bell_ring_pending(&f->m);
	for (uint32_t p = 0; p < 4; p++) {
		struct rk_worker_bell *bell = rk_shm_bell(&f->m, p);

		ck_assert_int_eq(value(&bell->bell) != parked[p], p == 1);
		ck_assert_uint_eq(atomic_load_explicit(rk_bell_pending(bell), memory_order_relaxed),
				  p & 1 ? 1u << p : 0);
	}
	fixture_free(f);
}
END_TEST

START_TEST(each_of_several_waiters_is_kept_awake_and_one_that_waits_on_is_seen_again)
{
	struct rk_ring ring = { .space = counts[_i] };
	uint32_t waiters[3];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3; i++)
			waiters[i] = rk_bell_park(&ring.space);
		ck_assert_uint_ne(waiters[0], waiters[1]); /* the word changes though `parked` stands */
		ck_assert_uint_ne(waiters[1], waiters[2]);
		rk_bell_ring_space(&ring);
		for (int i = 0; i < 3; i++) { /* none of them falls asleep, though it has no deadline */
			ck_assert_uint_ne(value(&ring.space), waiters[i]);
			ck_assert_int_eq(rk_bell_wait(&ring.space, waiters[i], 0), 0);
		}
	}
}
END_TEST

START_TEST(room_is_announced_once_to_those_who_wait)
{
	struct rk_ring ring = { .space = counts[_i] };
	uint32_t parked;

	rk_bell_ring_space(&ring);
	ck_assert_uint_eq(value(&ring.space), counts[_i]);
	parked = rk_bell_park(&ring.space);
	rk_bell_ring_space(&ring);
	ck_assert_uint_ne(value(&ring.space), parked);
	ck_assert_uint_eq(value(&ring.space) & RK_BELL_PARKED, 0);
	ck_assert_int_eq(rk_bell_wait(&ring.space, parked, 0), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("bell");
	int n = (int)rk_countof(counts);

	tcase_add_loop_test(c, nobody_parked_is_not_rung, 0, n);
	tcase_add_loop_test(c, a_ring_after_parking_keeps_its_consumer_awake, 0, n);
	tcase_add_loop_test(c, an_unrung_bell_waits_until_its_deadline, 0, n);
	tcase_add_loop_test(c, a_sleeper_is_woken_by_another_thread, 0, n);
	tcase_add_test(c, a_partition_marks_its_bit_with_the_worker_and_rings);
	tcase_add_loop_test(c, a_worker_that_does_not_exist_is_not_rung, 0, (int)rk_countof(no_workers));
	tcase_add_test(c, only_parked_owners_of_partitions_with_work_are_rung_after_a_death);
	tcase_add_loop_test(c, each_of_several_waiters_is_kept_awake_and_one_that_waits_on_is_seen_again, 0, n);
	tcase_add_loop_test(c, room_is_announced_once_to_those_who_wait, 0, n);
	return unit_run(c);
}
