/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A lease tells a living holder from a dead one and from none, its holder's death
 *         wakes whoever waits for it, and a new incarnation starts with clean words but keeps
 *         the cell that a sweep has not seen yet.
 * Method  Child processes hold the lease in shared memory and die.
 */
#include "shm/beat.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/bell.h"
#include "tests/unit/unit.h"

static struct rk_beat *shared_beat(void)
{
	struct rk_beat *beat = mmap(NULL, RK_BEAT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(beat, MAP_FAILED);
	return beat;
}

/* A child that takes the lease, tells, and stays until it is killed. */
static pid_t holder(struct rk_beat *beat, uint64_t incarnation)
{
	int told[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(told), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (rk_beat_take(beat, incarnation) < 0 || write(told[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	(void)close(told[0]);
	(void)close(told[1]);
	return pid;
}

static void end(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(a_lease_is_nobodys_then_held_then_its_holder_has_died)
{
	struct rk_beat *beat = shared_beat();
	uint32_t word = 0;
	pid_t pid;

	ck_assert_int_eq(rk_beat_look(beat, &word), RK_LEASE_NOBODY);
	for (uint64_t incarnation = 1; incarnation < 4; incarnation++) {
		pid = holder(beat, incarnation);
		ck_assert_int_eq(rk_beat_look(beat, &word), RK_LEASE_HELD);
		ck_assert_uint_eq(word & 0x3fffffff, (uint32_t)pid);
		ck_assert_uint_eq(atomic_load_explicit(&beat->incarnation, memory_order_acquire), incarnation);
		end(pid);
		ck_assert_int_eq(rk_beat_look(beat, &word), RK_LEASE_DIED);
		rk_beat_reset_lease(beat);
		ck_assert_int_eq(rk_beat_look(beat, &word), RK_LEASE_NOBODY);
	}
}
END_TEST

START_TEST(the_holders_death_wakes_whoever_waits)
{
	struct rk_beat *beat = shared_beat();
	pid_t pid = holder(beat, 1), killer;
	uint32_t word;
	int r;

	ck_assert_int_eq(rk_beat_look(beat, &word), RK_LEASE_HELD);
	killer = fork();
	ck_assert_int_ge(killer, 0);
	if (killer == 0)
		_exit(kill(pid, SIGKILL));
	/* A futex wait without deadline: it hangs, and the test with it, if nobody wakes it. */
	do
		r = rk_bell_wait(rk_beat_lease_word(beat), word, 0);
	while (rk_beat_look(beat, &word) == RK_LEASE_HELD);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(rk_beat_look(beat, &word), RK_LEASE_DIED);
	ck_assert_int_eq(waitpid(killer, NULL, 0), killer);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(a_new_incarnation_has_clean_words_and_keeps_the_declared_cell)
{
	struct rk_beat *beat = shared_beat();

	memset((char *)beat + 64, 0x77, RK_BEAT_SIZE - 64);
	end(holder(beat, 9));
	ck_assert_uint_eq(atomic_load_explicit(&beat->cell, memory_order_relaxed), 0x7777777777777777ull);
	ck_assert_uint_eq(atomic_load_explicit(&beat->state, memory_order_relaxed), RK_BEAT_STARTING);
	ck_assert_uint_eq(atomic_load_explicit(&beat->incarnation, memory_order_relaxed), 9);
	_Atomic uint64_t *const zero[] = { &beat->job, &beat->deadline_ns, &beat->calling_until_ns, &beat->beats, &beat->cancel_job,
					   &beat->order, &beat->ready_ns, &beat->first_commit_ns, &beat->first_commit_job,
					   &beat->n_jobs, &beat->n_errors, &beat->n_without_effect,
					   &beat->n_rolled_back, &beat->n_refused };
	for (size_t i = 0; i < rk_countof(zero); i++)
		ck_assert_msg(atomic_load_explicit(zero[i], memory_order_relaxed) == 0, "word %zu", i);
	for (size_t i = 0; i < sizeof(beat->last_words); i++)
		ck_assert_int_eq(beat->last_words[i], 0);
}
END_TEST

START_TEST(an_order_is_taken_by_as_many_jobs_as_it_says)
{
	static const uint32_t n_jobs[] = { 1, 3, RK_ORDER_JOBS_MAX };
	struct rk_beat *beat = shared_beat();
	uint32_t ms;

	ck_assert(!rk_beat_has_order(beat));
	for (size_t i = 0; i < rk_countof(n_jobs); i++) {
		rk_beat_order(beat, RK_ORDER_SLOW, n_jobs[i], UINT32_MAX);
		for (uint32_t n = 0; n < rk_min_u32(n_jobs[i], 5); n++) {
			ck_assert(rk_beat_has_order(beat));
			ck_assert_int_eq(rk_beat_take_order(beat, &ms), RK_ORDER_SLOW);
			ck_assert_uint_eq(ms, UINT32_MAX);
		}
		ck_assert(rk_beat_has_order(beat) == (n_jobs[i] > 5));
	}
	rk_beat_order(beat, RK_ORDER_HANG, 1, 0);
	ck_assert_int_eq(rk_beat_take_order(beat, &ms), RK_ORDER_HANG);
	ck_assert_int_eq(rk_beat_take_order(beat, &ms), RK_ORDER_NONE);
}
END_TEST

START_TEST(a_word_that_is_no_order_is_taken_and_means_nothing)
{
	static const uint64_t words[] = { UINT64_MAX, 1, (uint64_t)RK_ORDERS << 56, 0x8000000000000000ull };
	struct rk_beat *beat = shared_beat();
	uint32_t ms;

	for (size_t i = 0; i < rk_countof(words); i++) {
		atomic_store_explicit(&beat->order, words[i], memory_order_relaxed);
		ck_assert_int_eq(rk_beat_take_order(beat, &ms), RK_ORDER_NONE);
	}
}
END_TEST

START_TEST(only_the_job_that_was_named_is_cancelled)
{
	static const uint64_t jobs[] = { 0, 1, (1ull << 48) - 1 };
	struct rk_beat *beat = shared_beat();

	ck_assert(!rk_beat_is_cancelled(beat, 0, 0));
	for (size_t i = 0; i < rk_countof(jobs); i++) {
		rk_beat_cancel(beat, 7, jobs[i]);
		ck_assert(rk_beat_is_cancelled(beat, 7, jobs[i]));
		ck_assert(!rk_beat_is_cancelled(beat, 6, jobs[i]));
		ck_assert(!rk_beat_is_cancelled(beat, 7, jobs[i] ^ 2));
	}
}
END_TEST

START_TEST(a_state_outside_the_list_has_no_name)
{
	ck_assert_str_eq(rk_beat_state_name(RK_BEAT_STARTING), "starting");
	ck_assert_str_eq(rk_beat_state_name(RK_BEAT_STOPPING), "stopping");
	ck_assert_str_eq(rk_beat_state_name(RK_BEAT_STATES), "?");
	ck_assert_str_eq(rk_beat_state_name(UINT32_MAX), "?");
}
END_TEST

int main(void)
{
	TCase *c = unit_case("beat");

	tcase_add_test(c, a_lease_is_nobodys_then_held_then_its_holder_has_died);
	tcase_add_test(c, the_holders_death_wakes_whoever_waits);
	tcase_add_test(c, a_new_incarnation_has_clean_words_and_keeps_the_declared_cell);
	tcase_add_test(c, an_order_is_taken_by_as_many_jobs_as_it_says);
	tcase_add_test(c, a_word_that_is_no_order_is_taken_and_means_nothing);
	tcase_add_test(c, only_the_job_that_was_named_is_cancelled);
	tcase_add_test(c, a_state_outside_the_list_has_no_name);
	return unit_run(c);
}
