/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    An assignment gives a partition to one worker with the next incarnation, keeps its
 *         cursor, ends what its predecessor could commit, and can be repeated after a death
 *         between its two stores; incarnations and cursors wrap as abi.md says.
 * Method  The words after each step; a supervisor's death is played by writing what it left.
 */
#include "shm/part.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/clock.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define RACE_NS (300 * RK_NS_PER_MS)
#define P48 ((1ull << 48) - 1)

static uint64_t load(_Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

START_TEST(a_new_partition_is_nobodys)
{
	struct fixture *f = fixture_new(NULL, P48);
	struct rk_part *part = rk_shm_part(&f->m, 2);

	ck_assert_uint_eq(load(&part->commit), rk_commit(1, P48));
	ck_assert_uint_eq(load(&part->freed), P48);
	ck_assert_uint_eq(load(&part->released), P48);
	for (uint32_t w = 0; w < f->m.g.n_workers; w++)
		ck_assert_int_eq(rk_owner_look(&f->m, 2, w), -ESTALE);
	fixture_free(f);
}
END_TEST

START_TEST(an_assignment_raises_the_incarnation_and_keeps_the_cursor)
{
	struct fixture *f = fixture_new(NULL, P48 - 1);
	struct rk_part *part = rk_shm_part(&f->m, 0);

	for (uint32_t worker = 0; worker < 4; worker++) {
		ck_assert_int_eq(rk_part_assign(&f->m, 0, worker), (int)worker + 2);
		ck_assert_uint_eq(load(&part->commit), rk_commit(worker + 2, P48 - 1));
		ck_assert_uint_eq(load(&part->owner), rk_owner(worker + 2, 0, worker, RK_OWNER_RUN));
		for (uint32_t w = 0; w < 4; w++)
			ck_assert_int_eq(rk_owner_look(&f->m, 0, w), w == worker ? 0 : -ESTALE);
	}
	fixture_free(f);
}
END_TEST

START_TEST(after_the_last_incarnation_comes_the_first_and_never_zero)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct rk_part *part = rk_shm_part(&f->m, 0);
	struct fixture_owner old = { 0 }, w = { 0 };

	atomic_store_explicit(&part->commit, rk_commit(0xfffe, 5), memory_order_relaxed);
	fixture_own(f, &old, 0, 1);
	ck_assert_uint_eq(old.o.incarnation, 0xffff);
	ck_assert_int_eq(rk_owner_step(&old.o, fixture_add, NULL), 0);
	fixture_own(f, &w, 0, 2);
	ck_assert_uint_eq(w.o.incarnation, 1);
	ck_assert_uint_eq(load(&part->commit), rk_commit(1, 5));
	ck_assert_int_eq(rk_owner_step(&old.o, fixture_add, NULL), -ESTALE);
	ck_assert_int_eq(rk_owner_step(&w.o, fixture_add, NULL), 0);
	fixture_disown(&old);
	fixture_disown(&w);
	fixture_free(f);
}
END_TEST

START_TEST(an_assignment_cut_short_is_repeated)
{
	struct fixture *f = fixture_new(NULL, 9);
	struct rk_part *part = rk_shm_part(&f->m, 0);
	struct fixture_owner w = { 0 };

	ck_assert_int_eq(rk_part_assign(&f->m, 0, 1), 2);
	/* Killed between the words: the commit word is ahead of the owner word. */
	atomic_store_explicit(&part->commit, rk_commit(3, 9), memory_order_relaxed);
	ck_assert_int_eq(rk_owner_open(&w.o, &f->m, 0, 1, 0, fixture_bank(f, 0), NULL), -ESTALE);
	fixture_own(f, &w, 0, 2);
	ck_assert_uint_eq(w.o.incarnation, 4);
	fixture_disown(&w);
	fixture_free(f);
}
END_TEST

START_TEST(the_route_says_worker_incarnation_and_flags)
{
	struct fixture *f = fixture_new(NULL, 0);

	ck_assert_int_eq(rk_part_assign(&f->m, 3, 1), 2);
	rk_part_route(&f->m, 3, 1, RK_ROUTE_UP);
	ck_assert_uint_eq(load(&rk_shm_routes(&f->m)[3]), rk_route(2, 1, RK_ROUTE_UP));
	rk_part_route(&f->m, 3, 1, 0);
	ck_assert_uint_eq(load(&rk_shm_routes(&f->m)[3]), rk_route(2, 1, 0));
	fixture_free(f);
}
END_TEST

static const uint64_t foreign_owners[] = {
	0, ~0ull, (2ull << 48) | (1ull << 16), /* no flag */
	(2ull << 48) | (1ull << 16) | RK_OWNER_STOP, (2ull << 48) | (1ull << 16) | RK_OWNER_RELEASED,
	(2ull << 48) | (1ull << 32) | (1ull << 16) | RK_OWNER_RUN, /* a bank that does not exist */
	(2ull << 48) | (0xffffull << 32) | (1ull << 16) | RK_OWNER_RUN, (3ull << 48) | (1ull << 16) | RK_OWNER_RUN,
	(2ull << 48) | (0x1001ull << 16) | RK_OWNER_RUN,
};

START_TEST(an_owner_word_that_says_anything_else_is_not_ours)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct rk_owner o;

	ck_assert_int_eq(rk_part_assign(&f->m, 0, 1), 2);
	atomic_store_explicit(&rk_shm_part(&f->m, 0)->owner, foreign_owners[_i], memory_order_relaxed);
	for (uint32_t bank = 0; bank < 3; bank++)
		ck_assert_int_eq(rk_owner_open(&o, &f->m, 0, 1, bank, fixture_bank(f, 0), NULL), -ESTALE);
	fixture_free(f);
}
END_TEST

/* ---- hand-over ---- */

START_TEST(an_owner_that_is_asked_releases_once_and_another_goes_on)
{
	struct fixture *f = fixture_new(NULL, P48);
	struct fixture_owner w = { 0 }, next = { 0 };
	struct rk_caller c = fixture_caller(f, 0, 7);
	_Atomic uint64_t *pending = rk_bell_pending(rk_shm_bell(&f->m, 1));

	fixture_own(f, &w, 0, 1);
	ck_assert_uint_eq(fixture_call(&c, &w, 3), 3);
	ck_assert_int_eq(rk_part_release(&f->m, 0, 1), -ESTALE); /* not asked */
	ck_assert(!rk_part_is_asked(&f->m, 0, 1));
	ck_assert_int_eq(rk_part_ask(&f->m, 0), 0);
	ck_assert_int_eq(rk_part_ask(&f->m, 0), 0);
	ck_assert_uint_eq(load(pending), 1);
	ck_assert(rk_part_is_asked(&f->m, 0, 1));
	ck_assert(!rk_part_is_asked(&f->m, 0, 2));
	ck_assert(!rk_part_is_released(&f->m, 0));
	ck_assert_uint_eq(fixture_call(&c, &w, 4), 7); /* until it looks it goes on */
	ck_assert_int_eq(rk_part_release(&f->m, 0, 2), -ESTALE); /* somebody else */
	ck_assert_int_eq(rk_owner_release(&w.o), 0);
	ck_assert(rk_part_is_released(&f->m, 0));
	ck_assert_int_eq(rk_owner_release(&w.o), -ESTALE);
	ck_assert_int_eq(rk_part_ask(&f->m, 0), 0);
	fixture_own(f, &next, 0, 2);
	ck_assert(!rk_part_is_released(&f->m, 0));
	ck_assert_uint_eq(fixture_call(&c, &next, 1), 8);
	ck_assert_int_eq(rk_part_ask(&f->m, 3), -ESTALE); /* nobody's */
	fixture_disown(&w);
	fixture_disown(&next);
	fixture_free(f);
}
END_TEST

START_TEST(a_question_that_is_taken_back_was_never_asked)
{
	struct fixture *f = fixture_new(NULL, P48);
	struct fixture_owner w = { 0 };
	struct rk_caller c = fixture_caller(f, 0, 7);
	uint64_t word;

	fixture_own(f, &w, 0, 1);
	word = load(&rk_shm_part(&f->m, 0)->owner);
	ck_assert(!rk_part_unask(&f->m, 0)); /* it was not asked */
	ck_assert_int_eq(rk_part_ask(&f->m, 0), 0);
	ck_assert(rk_part_unask(&f->m, 0));
	ck_assert(!rk_part_unask(&f->m, 0));
	ck_assert_uint_eq(load(&rk_shm_part(&f->m, 0)->owner), word); /* bank, incarnation and all */
	ck_assert(!rk_part_is_asked(&f->m, 0, 1));
	ck_assert_int_eq(rk_owner_release(&w.o), -ESTALE); /* it looked before, and is too late */
	ck_assert_uint_eq(fixture_call(&c, &w, 3), 3);
	fixture_disown(&w);
	fixture_free(f);
}
END_TEST

START_TEST(what_was_released_is_not_taken_back)
{
	struct fixture *f = fixture_new(NULL, P48);
	struct fixture_owner w = { 0 };

	ck_assert(!rk_part_unask(&f->m, 0)); /* nobody's */
	fixture_own(f, &w, 0, 1);
	ck_assert_int_eq(rk_part_ask(&f->m, 0), 0);
	ck_assert_int_eq(rk_owner_release(&w.o), 0);
	ck_assert(!rk_part_unask(&f->m, 0));
	ck_assert(rk_part_is_released(&f->m, 0));
	fixture_disown(&w);
	fixture_free(f);
}
END_TEST

/* An owner that is asked all the time, and lets go whenever it sees that. */
struct releaser {
	struct fixture *f;
	_Atomic uint64_t n_released;
	_Atomic bool is_over;
};

static void *release_on(void *arg)
{
	struct releaser *r = arg;

	for (uint32_t n = 0; !atomic_load_explicit(&r->is_over, memory_order_acquire); n++)
		if (rk_part_release(&r->f->m, 0, 1) == 0)
			atomic_fetch_add_explicit(&r->n_released, 1, memory_order_release);
		else
			n % 1024 ? rk_relax() : (void)sched_yield(); /* there may be one CPU for both */
	return NULL;
}

START_TEST(of_a_release_and_a_question_taken_back_one_comes_first_and_both_know_which)
{
	struct releaser r = { .f = fixture_new(NULL, 0) };
	uint64_t n_released = 0, n_unasked = 0, until_ns = rk_clock_ns() + RACE_NS;
	pthread_t thread;

	ck_assert_int_gt(rk_part_assign(&r.f->m, 0, 1), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, release_on, &r), 0);
	for (uint32_t i = 0; rk_clock_ns() < until_ns; i++) {
		ck_assert_int_eq(rk_part_ask(&r.f->m, 0), 0);
		for (uint32_t spin = i % 64; spin > 0; spin--) /* either may be the faster one */
			rk_relax();
		if (rk_part_unask(&r.f->m, 0)) {
			ck_assert(!rk_part_is_released(&r.f->m, 0));
			n_unasked++;
			continue; /* which it may have seen or not */
		}
		ck_assert(rk_part_is_released(&r.f->m, 0));
		n_released++;
		ck_assert_int_gt(rk_part_assign(&r.f->m, 0, 1), 0);
	}
	atomic_store_explicit(&r.is_over, true, memory_order_release);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(atomic_load(&r.n_released), n_released);
	fixture_free(r.f);
}
END_TEST

/* ---- attempts ---- */

START_TEST(a_death_is_charged_once_and_the_next_one_again)
{
	struct fixture *f = fixture_new(NULL, P48 - 1);

	ck_assert_uint_eq(rk_part_attempts(&f->m, 0), 0);
	for (uint32_t n = 1; n <= 3; n++) {
		ck_assert_int_gt(rk_part_assign(&f->m, 0, n % 4), 0);
		for (int again = 0; again < 3; again++)
			rk_part_charge(&f->m, 0, P48 - 1);
		ck_assert_uint_eq(rk_part_attempts(&f->m, 0), n);
	}
	fixture_free(f);
}
END_TEST

START_TEST(a_charge_cut_short_counts_when_it_is_repeated)
{
	struct fixture *f = fixture_new(NULL, 5);
	struct rk_part *part = rk_shm_part(&f->m, 0);

	ck_assert_int_eq(rk_part_assign(&f->m, 0, 1), 2);
	/* Killed between the words. */
	atomic_store_explicit(&part->charged, rk_charged(2, 5, 1), memory_order_relaxed);
	ck_assert_uint_eq(rk_part_attempts(&f->m, 0), 0);
	rk_part_charge(&f->m, 0, 5);
	ck_assert_uint_eq(rk_part_attempts(&f->m, 0), 1);
	fixture_free(f);
}
END_TEST

START_TEST(another_jobs_charge_replaces_it_and_a_count_never_wraps)
{
	struct fixture *f = fixture_new(NULL, 5);
	struct rk_part *part = rk_shm_part(&f->m, 0);

	ck_assert_int_gt(rk_part_assign(&f->m, 0, 1), 0);
	rk_part_charge(&f->m, 0, 7);
	ck_assert_uint_eq(rk_part_attempts(&f->m, 0), 0); /* not the job at the cursor */
	ck_assert_int_gt(rk_part_assign(&f->m, 0, 1), 0);
	rk_part_charge(&f->m, 0, 5);
	ck_assert_uint_eq(rk_part_attempts(&f->m, 0), 1);
	atomic_store_explicit(&part->attempts, rk_attempts(5, RK_ATTEMPTS_MAX), memory_order_relaxed);
	ck_assert_int_gt(rk_part_assign(&f->m, 0, 1), 0);
	rk_part_charge(&f->m, 0, 5);
	ck_assert_uint_eq(rk_part_attempts(&f->m, 0), RK_ATTEMPTS_MAX);
	ck_assert_uint_eq(rk_attempts_job(load(&part->attempts)), 5);
	fixture_free(f);
}
END_TEST

START_TEST(a_charge_that_comes_late_counts_beside_its_successors)
{
	struct fixture *f = fixture_new(NULL, 5);

	ck_assert_int_eq(rk_part_assign(&f->m, 0, 1), 2);
	ck_assert_int_eq(rk_part_assign(&f->m, 0, 1), 3);
	ck_assert_uint_eq(rk_part_charge_late(&f->m, 0, 5, 2), 1);
	ck_assert_uint_eq(rk_part_charge(&f->m, 0, 5), 2);
	ck_assert_uint_eq(rk_part_charge(&f->m, 0, 5), 2);
	fixture_free(f);
}
END_TEST

START_TEST(a_charge_that_is_taken_back_is_one_less_and_only_of_that_job)
{
	struct fixture *f = fixture_new(NULL, 5);

	for (uint32_t n = 1; n <= 2; n++) {
		ck_assert_int_gt(rk_part_assign(&f->m, 0, 1), 0);
		ck_assert_uint_eq(rk_part_charge(&f->m, 0, 5), n);
	}
	rk_part_forgive(&f->m, 0, 6);
	ck_assert_uint_eq(rk_part_attempts(&f->m, 0), 2);
	for (uint32_t left = 2; left-- > 0;) {
		rk_part_forgive(&f->m, 0, 5);
		ck_assert_uint_eq(rk_part_attempts(&f->m, 0), left);
	}
	rk_part_forgive(&f->m, 0, 5);
	ck_assert_uint_eq(rk_part_attempts(&f->m, 0), 0);
	ck_assert_int_gt(rk_part_assign(&f->m, 0, 1), 0);
	ck_assert_uint_eq(rk_part_charge(&f->m, 0, 5), 1); /* the next one counts as ever */
	fixture_free(f);
}
END_TEST

START_TEST(who_waits_for_room_and_is_let_off_runs_again)
{
	struct fixture *f = fixture_new(NULL, 5);
	struct rk_part *part = rk_shm_part(&f->m, 0);

	ck_assert_int_gt(rk_part_assign(&f->m, 0, 1), 0);
	atomic_store_explicit(&part->attempts, rk_attempts(5, 3) | RK_ATTEMPTS_BLOCKED, memory_order_relaxed);
	rk_part_forgive(&f->m, 0, 5);
	ck_assert_uint_eq(load(&part->attempts), rk_attempts(5, 2));
	fixture_free(f);
}
END_TEST

/* What a worker is in while its handler runs, and what the supervisor makes of it then. */
struct blame {
	struct fixture *f;
	bool is_blamed;
	uint32_t partition;
	uint64_t job;
};

static int look_for_blame(struct rk_owner_job *job, void *arg)
{
	struct blame *b = arg;

	b->is_blamed = rk_part_blame(&b->f->m, 1, &b->partition, &b->job);
	return fixture_add(job, NULL);
}

START_TEST(only_the_job_in_its_handler_is_to_blame)
{
	struct blame b = { .f = fixture_new(NULL, 9) };
	struct fixture_owner w = { 0 };
	struct rk_caller c = fixture_caller(b.f, 0, 7);
	struct rk_beat *beat = rk_shm_beat(&b.f->m, 1);
	struct rk_call call;

	fixture_own(b.f, &w, 2, 1);
	ck_assert(!rk_part_blame(&b.f->m, 1, &b.partition, &b.job));
	ck_assert_int_eq(fixture_start(&c, 0, 2, 1, &call), RK_CALL_STARTED);
	ck_assert_int_eq(rk_owner_step(&w.o, look_for_blame, &b), 1);
	ck_assert(b.is_blamed);
	ck_assert_uint_eq(b.partition, 2);
	ck_assert_uint_eq(b.job, 9);
	ck_assert(!rk_part_blame(&b.f->m, 1, &b.partition, &b.job)); /* it is through */
	/* Its own page says so again, and the job is committed. */
	atomic_store_explicit(&beat->state, RK_BEAT_RUNNING, memory_order_relaxed);
	ck_assert(!rk_part_blame(&b.f->m, 1, &b.partition, &b.job));
	atomic_store_explicit(&beat->job, 10, memory_order_relaxed);
	ck_assert(rk_part_blame(&b.f->m, 1, &b.partition, &b.job));
	/* A partition that is not its own, or not any more. */
	atomic_store_explicit(&beat->partition, 1, memory_order_relaxed);
	ck_assert(!rk_part_blame(&b.f->m, 1, &b.partition, &b.job));
	atomic_store_explicit(&beat->partition, UINT32_MAX, memory_order_relaxed);
	ck_assert(!rk_part_blame(&b.f->m, 1, &b.partition, &b.job));
	atomic_store_explicit(&beat->partition, 2, memory_order_relaxed);
	ck_assert_int_gt(rk_part_assign(&b.f->m, 2, 1), 0);
	ck_assert(!rk_part_blame(&b.f->m, 1, &b.partition, &b.job));
	fixture_disown(&w);
	fixture_free(b.f);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("part");

	tcase_add_test(c, a_new_partition_is_nobodys);
	tcase_add_test(c, an_assignment_raises_the_incarnation_and_keeps_the_cursor);
	tcase_add_test(c, after_the_last_incarnation_comes_the_first_and_never_zero);
	tcase_add_test(c, an_assignment_cut_short_is_repeated);
	tcase_add_test(c, the_route_says_worker_incarnation_and_flags);
	tcase_add_loop_test(c, an_owner_word_that_says_anything_else_is_not_ours, 0, rk_countof(foreign_owners));
	tcase_add_test(c, an_owner_that_is_asked_releases_once_and_another_goes_on);
	tcase_add_test(c, a_question_that_is_taken_back_was_never_asked);
	tcase_add_test(c, what_was_released_is_not_taken_back);
	tcase_add_test(c, of_a_release_and_a_question_taken_back_one_comes_first_and_both_know_which);
	tcase_add_test(c, a_death_is_charged_once_and_the_next_one_again);
	tcase_add_test(c, a_charge_cut_short_counts_when_it_is_repeated);
	tcase_add_test(c, another_jobs_charge_replaces_it_and_a_count_never_wraps);
	tcase_add_test(c, a_charge_that_comes_late_counts_beside_its_successors);
	tcase_add_test(c, a_charge_that_is_taken_back_is_one_less_and_only_of_that_job);
	tcase_add_test(c, who_waits_for_room_and_is_let_off_runs_again);
	tcase_add_test(c, only_the_job_in_its_handler_is_to_blame);
	return unit_run(c);
}
