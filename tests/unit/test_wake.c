/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The descriptor is raised for every ring after the job thread has parked, whoever was
 *         how far; while nothing rings it stays quiet; the helper ends when it is told, wherever
 *         it sleeps.
 * Method  The job thread and a client as threads, with the bell and the work in private memory.
 *         A lost ring is a poll() that times out. Runs under TSan as well.
 */
#include "workers/lib/wake.h"

#include <check.h>
#include <poll.h>

#include "shm/bell.h"
#include "tests/unit/unit.h"

#define ROUNDS 20000u
#define SOON_MS 20000 /* nothing waits this long that works */

struct stage {
	struct rk_wake wake;
	_Atomic uint32_t bell;
	_Atomic uint32_t made; /* work published so far */
	_Atomic uint32_t done; /* of it handled */
};

static bool is_raised(const struct rk_wake *w, int timeout_ms)
{
	struct pollfd p = { .fd = w->event, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void open_stage(struct stage *s)
{
	*s = (struct stage){ 0 };
	ck_assert_int_eq(rk_wake_open(&s->wake, &s->bell), 0);
	ck_assert(is_raised(&s->wake, 0)); /* so that the program looks at all */
}

/* As the loop parks: false if there is work. */
static bool park(struct stage *s)
{
	uint32_t word;

	rk_wake_drain(&s->wake);
	word = rk_bell_park(&s->bell);
	if (atomic_load_explicit(&s->made, memory_order_seq_cst) !=
	    atomic_load_explicit(&s->done, memory_order_relaxed)) {
		rk_bell_unpark(&s->bell);
		return false;
	}
	rk_wake_arm(&s->wake, word, &(struct rk_orphan_sleep){ 0 });
	return true;
}

/* Publishes one piece of work at a time, once the one before is done. */
static void *client(void *arg)
{
	struct stage *s = arg;

	for (uint32_t i = 1; i <= ROUNDS; i++) {
		atomic_store_explicit(&s->made, i, memory_order_seq_cst);
		rk_bell_ring(&s->bell);
		while (atomic_load_explicit(&s->done, memory_order_acquire) != i)
			rk_relax();
	}
	return NULL;
}

START_TEST(no_ring_is_lost)
{
	struct stage s;
	pthread_t thread;
	uint32_t done = 0;

	open_stage(&s);
	ck_assert_int_eq(pthread_create(&thread, NULL, client, &s), 0);
	while (done < ROUNDS) {
		if (park(&s)) {
			ck_assert_msg(is_raised(&s.wake, SOON_MS), "after %u pieces of work", done);
			rk_bell_unpark(&s.bell);
		}
		if (atomic_load_explicit(&s.made, memory_order_acquire) != done)
			atomic_store_explicit(&s.done, ++done, memory_order_release);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	rk_wake_close(&s.wake);
}
END_TEST

START_TEST(nothing_is_raised_while_nobody_rings)
{
	struct stage s;

	open_stage(&s);
	ck_assert(park(&s));
	ck_assert(!is_raised(&s.wake, 20));
	rk_bell_ring(&s.bell);
	ck_assert(is_raised(&s.wake, SOON_MS));
	rk_bell_unpark(&s.bell);
	rk_wake_drain(&s.wake);
	rk_bell_ring(&s.bell); /* the job thread is awake: nobody needs to know */
	ck_assert(!is_raised(&s.wake, 20));
	rk_wake_close(&s.wake);
}
END_TEST

/* The bell changes between parking and arming: the helper must not fall asleep on the old word. */
START_TEST(a_ring_before_the_helper_sleeps_counts)
{
	struct stage s;
	uint32_t word;

	open_stage(&s);
	rk_wake_drain(&s.wake);
	word = rk_bell_park(&s.bell);
	rk_bell_ring(&s.bell);
	rk_wake_arm(&s.wake, word, &(struct rk_orphan_sleep){ 0 });
	ck_assert(is_raised(&s.wake, SOON_MS));
	rk_wake_close(&s.wake);
}
END_TEST

START_TEST(it_ends_wherever_the_helper_is)
{
	struct stage s;

	for (int i = 0; i < 300; i++) {
		open_stage(&s);
		if (i % 3)
			ck_assert(park(&s));
		if (i % 3 == 1)
			rk_bell_unpark(&s.bell); /* asleep, or about to, on a bell that nobody would
						    ring */
		rk_wake_close(&s.wake);
		ck_assert_int_eq(s.wake.event, -1);
		rk_wake_close(&s.wake);
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("wake");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, no_ring_is_lost);
	tcase_add_test(c, nothing_is_raised_while_nobody_rings);
	tcase_add_test(c, a_ring_before_the_helper_sleeps_counts);
	tcase_add_test(c, it_ends_wherever_the_helper_is);
	return unit_run(c);
}
