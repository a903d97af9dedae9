/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A worker counts from when it sees its keeper dead, forgets that when the next one is
 *         there, sleeps with a deadline only while it counts, and does none of it where workers end
 *         with keeper.
 * Method  Words as keeper and the kernel leave them, in a fleet in private memory.
 */
#include "workers/lib/orphan.h"

#include <check.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>

#include "base/clock.h"
#include "shm/bell.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define WORKER 2u
#define TID 4711u
#define LONG_MS 3600000u
#define LONG_NS (20 * RK_NS_PER_S)

static struct fixture *f;
static struct rk_orphan o;

static void begin(uint32_t orphan_ms)
{
	f = fixture_new(NULL, 0);
	o = (struct rk_orphan){ 0 };
	atomic_store_explicit(&f->m.board->orphan_ms, orphan_ms, memory_order_relaxed);
}

static void set(uint32_t worker, uint32_t value)
{
	atomic_store_explicit(&rk_shm_beat(&f->m, worker)->keeper, value, memory_order_relaxed);
}

static struct rk_orphan_sleep sleep_until(uint64_t deadline_ns)
{
	return rk_orphan_sleep(&o, &f->m, WORKER, deadline_ns);
}

START_TEST(where_workers_end_with_keeper_nothing_is_looked_at)
{
	begin(_i == 0 ? 0 : LONG_MS);
	if (_i == 0)
		set(WORKER, FUTEX_OWNER_DIED);
	ck_assert(!rk_orphan_look(&o, &f->m, WORKER));
	ck_assert(!rk_orphan_is_over(&o, &f->m, WORKER));
	ck_assert_ptr_null((const void *)sleep_until(7).word);
	ck_assert_uint_eq(sleep_until(7).deadline_ns, 7);
	fixture_free(f);
}
END_TEST

START_TEST(while_keeper_lives_the_sleep_has_no_deadline)
{
	struct rk_orphan_sleep s;

	begin(LONG_MS);
	set(WORKER, TID | FUTEX_WAITERS);
	s = sleep_until(0);
	ck_assert_ptr_eq((const void *)s.word, (const void *)&rk_shm_beat(&f->m, WORKER)->keeper);
	ck_assert_uint_eq(s.seen, TID | FUTEX_WAITERS);
	ck_assert_uint_eq(s.deadline_ns, 0);
	ck_assert_uint_eq(sleep_until(7).deadline_ns, 7);
	ck_assert(!rk_orphan_look(&o, &f->m, WORKER));
	fixture_free(f);
}
END_TEST

START_TEST(behind_its_death_the_worker_counts_until_the_next_one)
{
	uint64_t before_ns = rk_clock_ns(), since_ns;
	struct rk_orphan_sleep s;

	begin(LONG_MS);
	set(WORKER, FUTEX_OWNER_DIED | FUTEX_WAITERS);
	s = sleep_until(0);
	since_ns = o.since_ns;
	ck_assert_uint_ge(since_ns, before_ns);
	ck_assert_uint_eq(s.deadline_ns, since_ns + LONG_MS * RK_NS_PER_MS);
	ck_assert_uint_eq(sleep_until(before_ns).deadline_ns, before_ns); /* the nearer one */
	ck_assert(rk_orphan_look(&o, &f->m, WORKER));
	ck_assert(!rk_orphan_is_over(&o, &f->m, WORKER));
	ck_assert_uint_eq(o.since_ns, since_ns); /* from the first look on */
	set(WORKER, (TID + 1) | FUTEX_WAITERS);
	ck_assert_uint_eq(sleep_until(0).deadline_ns, 0);
	ck_assert_uint_eq(o.since_ns, 0);
	fixture_free(f);
}
END_TEST

START_TEST(it_is_over_when_the_time_is)
{
	uint64_t end_ns = rk_clock_ns() + LONG_NS;

	begin(30);
	set(WORKER, FUTEX_OWNER_DIED);
	ck_assert(!rk_orphan_is_over(&o, &f->m, WORKER));
	while (!rk_orphan_is_over(&o, &f->m, WORKER) && rk_clock_ns() < end_ns)
		(void)poll(NULL, 0, 1);
	ck_assert_uint_ge(rk_clock_ns(), o.since_ns + 30 * RK_NS_PER_MS);
	ck_assert_uint_lt(rk_clock_ns(), end_ns);
	fixture_free(f);
}
END_TEST

static _Atomic int has_looked;

static void *sleep_on_the_shared_word(void *arg)
{
	struct rk_orphan mine = { 0 };
	struct rk_orphan_sleep s;
	_Atomic uint32_t bell = 0;
	uint32_t parked = rk_bell_park(&bell);
	int *result = arg;

	s = rk_orphan_sleep(&mine, &f->m, WORKER, 0);
	atomic_store_explicit(&has_looked, 1, memory_order_release);
	*result = rk_bell_wait_beside(&bell, parked, s.word, s.seen, rk_clock_ns() + LONG_NS);
	return NULL;
}

START_TEST(who_has_no_word_of_its_own_shares_that_of_the_first_page_and_is_told)
{
	pthread_t thread;
	int result = -1;

	begin(LONG_MS);
	set(0, TID | FUTEX_WAITERS);
	ck_assert_ptr_eq((const void *)sleep_until(0).word, (const void *)&rk_shm_beat(&f->m, 0)->keeper);
	ck_assert_int_eq(pthread_create(&thread, NULL, sleep_on_the_shared_word, &result), 0);
	while (!atomic_load_explicit(&has_looked, memory_order_acquire))
		(void)poll(NULL, 0, 1);
	/* The kernel wakes nobody here: the first who looks wakes the others. */
	set(0, FUTEX_OWNER_DIED | FUTEX_WAITERS);
	ck_assert(rk_orphan_look(&o, &f->m, 0));
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(result, 0);
	fixture_free(f);
}
END_TEST

START_TEST(the_bell_ends_the_same_sleep)
{
	_Atomic uint32_t bell = 0, other = 5;
	uint32_t parked = rk_bell_park(&bell);

	ck_assert_int_eq(rk_bell_wait_beside(&bell, parked, &other, 4, 0), 0); /* changed before */
	ck_assert_int_eq(rk_bell_wait_beside(&bell, parked, &other, 5, rk_clock_ns() + RK_NS_PER_MS), -ETIMEDOUT);
	rk_bell_ring(&bell);
	ck_assert_int_eq(rk_bell_wait_beside(&bell, parked, &other, 5, 0), 0);
	ck_assert_int_eq(rk_bell_wait_beside(&bell, parked, NULL, 0, 0), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("orphan");

	tcase_add_loop_test(c, where_workers_end_with_keeper_nothing_is_looked_at, 0, 2);
	tcase_add_test(c, while_keeper_lives_the_sleep_has_no_deadline);
	tcase_add_test(c, behind_its_death_the_worker_counts_until_the_next_one);
	tcase_add_test(c, it_is_over_when_the_time_is);
	tcase_add_test(c, who_has_no_word_of_its_own_shares_that_of_the_first_page_and_is_told);
	tcase_add_test(c, the_bell_ends_the_same_sleep);
	return unit_run(c);
}
