/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A dead letter is pushed once whoever pushes it, and read whole or not at all; a full
 *         table blocks that partition alone, visibly, until a letter goes; what a dead or an
 *         evicted owner was writing is never taken for a letter and its place comes back.
 * Method  The table's words after each step; deaths and evictions are played by writing what
 *         they leave.
 */
#include "shm/dead.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/rand.h"
#include "shm/part.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define P48 ((1ull << 48) - 1)

static uint64_t commit_of(const struct fixture *f, uint32_t partition)
{
	return atomic_load_explicit(&rk_shm_part(&f->m, partition)->commit, memory_order_acquire);
}

static uint64_t word_of(const struct fixture *f, uint32_t i)
{
	return atomic_load_explicit(&rk_shm_dead(&f->m, i)->word, memory_order_acquire);
}

static void set_word(struct fixture *f, uint32_t i, uint64_t word)
{
	atomic_store_explicit(&rk_shm_dead(&f->m, i)->word, word, memory_order_release);
}

static enum rk_dead_state state_of(const struct fixture *f, uint32_t i)
{
	return rk_deadword_state(word_of(f, i));
}

static struct rk_dead_letter letter(uint32_t partition, uint64_t job)
{
	static char bytes[] = "keybody";

	return (struct rk_dead_letter){ .partition = partition,
					.attempts = 3,
					.job = job,
					.client_id = 77,
					.sequence = 5,
					.deadline_ns = 6,
					.realtime_ns = 7,
					.key_len = 3,
					.len = 4,
					.bytes = bytes };
}

static int push(struct fixture *f, uint32_t partition, uint64_t job)
{
	const struct rk_dead_letter l = letter(partition, job);

	return rk_dead_push(&f->m, &l, 1, commit_of(f, partition));
}

/* Reads place i into memory that ends where its room does. */
static bool look(struct fixture *f, uint32_t i, struct rk_dead_letter *ret)
{
	static _Alignas(8) char room[72];

	*ret = (struct rk_dead_letter){ .bytes = room };
	return rk_dead_look(&f->m, i, ret);
}

static uint32_t n_letters(struct fixture *f)
{
	struct rk_dead_letter l;
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->m.g.n_dead; i++)
		n += look(f, i, &l);
	return n;
}

static void fill(struct fixture *f, uint32_t partition)
{
	for (uint32_t i = 0; i < f->m.g.n_dead; i++)
		ck_assert_int_eq(push(f, partition, i), 0);
}

static struct fixture *owned(uint64_t first)
{
	struct fixture *f = fixture_new(NULL, first);

	for (uint32_t p = 0; p < f->m.g.n_partitions; p++) {
		ck_assert_int_gt(rk_part_assign(&f->m, p, 1), 0);
		rk_part_route(&f->m, p, 1, RK_ROUTE_UP);
	}
	return f;
}

START_TEST(a_letter_says_what_was_pushed)
{
	const struct rk_dead_cause cause = { RK_CAUSE_CRASHED, 2, 11 };
	struct fixture *f = owned(0);
	struct rk_dead_letter l;

	ck_assert(!look(f, 0, &l));
	rk_dead_note(&f->m, 2, P48, &cause);
	ck_assert_int_eq(push(f, 2, P48), 0);
	ck_assert(look(f, 0, &l));
	ck_assert_uint_eq(l.partition, 2);
	ck_assert_uint_eq(l.job, P48);
	ck_assert_uint_eq(l.attempts, 3);
	ck_assert_uint_eq(l.client_id, 77);
	ck_assert_uint_eq(l.sequence, 5);
	ck_assert_uint_eq(l.deadline_ns, 6);
	ck_assert_uint_eq(l.realtime_ns, 7);
	ck_assert_uint_eq(l.key_len, 3);
	ck_assert_uint_eq(l.len, 4);
	ck_assert_mem_eq(l.bytes, "keybody", 7);
	ck_assert_int_eq(l.cause.verdict, RK_CAUSE_CRASHED);
	ck_assert_int_eq(l.cause.code, 2);
	ck_assert_int_eq(l.cause.status, 11);
	ck_assert(!l.is_retrying);
	fixture_free(f);
}
END_TEST

START_TEST(the_cause_of_another_job_is_not_this_ones_and_a_late_one_corrects_it)
{
	const struct rk_dead_cause other = { RK_CAUSE_HUNG, 0, 0 },
				   late = { RK_CAUSE_MEMORY, 2, 9 };
	struct fixture *f = owned(0);
	struct rk_dead_letter l;

	rk_dead_note(&f->m, 0, 4, &other);
	ck_assert_int_eq(push(f, 0, 5), 0);
	ck_assert_int_eq(push(f, 1, 5), 0);
	ck_assert(look(f, 0, &l));
	ck_assert_int_eq(l.cause.verdict, RK_CAUSE_NONE);
	rk_dead_cause(&f->m, 0, 5, &late);
	ck_assert(look(f, 0, &l));
	ck_assert_int_eq(l.cause.verdict, RK_CAUSE_MEMORY);
	ck_assert_int_eq(l.cause.status, 9);
	ck_assert(look(f, 1, &l));
	ck_assert_int_eq(l.cause.verdict, RK_CAUSE_NONE);
	fixture_free(f);
}
END_TEST

START_TEST(the_same_job_is_pushed_once_whoever_owns_it)
{
	struct fixture *f = owned(0);

	for (uint32_t worker = 0; worker < 4; worker++) {
		ck_assert_int_gt(rk_part_assign(&f->m, 0, worker), 0);
		ck_assert_int_eq(push(f, 0, 9), 0);
		ck_assert_uint_eq(n_letters(f), 1);
	}
	ck_assert_int_eq(push(f, 0, 10), 0);
	ck_assert_int_eq(push(f, 1, 9), 0);
	ck_assert_uint_eq(n_letters(f), 3);
	fixture_free(f);
}
END_TEST

START_TEST(a_full_table_blocks_that_partition_until_a_letter_goes)
{
	struct fixture *f = owned(0);
	_Atomic uint64_t *pending = rk_bell_pending(rk_shm_bell(&f->m, 1));
	struct rk_dead_letter l;

	fill(f, 3);
	rk_part_charge(&f->m, 0, 0); /* the job at the cursor */
	ck_assert_int_eq(push(f, 0, 0), -ENOSPC);
	for (uint32_t p = 0; p < 4; p++)
		ck_assert_int_eq(rk_dead_is_blocked(&f->m, p), p == 0);
	ck_assert_uint_eq(rk_part_attempts(&f->m, 0), 1); /* what it has is kept */
	ck_assert(look(f, 2, &l));
	atomic_store_explicit(pending, 0, memory_order_relaxed);
	ck_assert_int_eq(rk_dead_free(&f->m, 2, l.word), 0);
	ck_assert_uint_eq(atomic_load_explicit(pending, memory_order_relaxed),
			  1); /* partition 0's owner is told */
	ck_assert_int_eq(push(f, 0, 0), 0);
	ck_assert_uint_eq(n_letters(f), 4);
	/* It waits no more once its job is committed. */
	atomic_store_explicit(&rk_shm_part(&f->m, 0)->commit, commit_of(f, 0) + 1,
			      memory_order_release);
	ck_assert(!rk_dead_is_blocked(&f->m, 0));
	fixture_free(f);
}
END_TEST

START_TEST(letters_are_counted_and_a_blocked_job_is_known_by_its_number)
{
	struct fixture *f = owned(0);
	uint64_t word;
	uint32_t n = 0;

	for (; n < f->m.g.n_dead; n++) {
		ck_assert_uint_eq(rk_dead_count(&f->m), n);
		ck_assert_int_eq(push(f, 1, n), 0);
	}
	ck_assert_int_eq(rk_dead_retry(&f->m, 0, word_of(f, 0), true, &word), 0);
	ck_assert_uint_eq(rk_dead_count(&f->m), n); /* it has its place still */
	atomic_store_explicit(&rk_shm_part(&f->m, 0)->attempts, rk_attempts(0, 3),
			      memory_order_relaxed);
	ck_assert(!rk_dead_is_waiting(&f->m, 0, 0));
	ck_assert_int_eq(push(f, 0, 0), -ENOSPC);
	ck_assert(rk_dead_is_waiting(&f->m, 0, 0));
	ck_assert(!rk_dead_is_waiting(&f->m, 0, 1));
	ck_assert(!rk_dead_is_waiting(&f->m, 1, 0));
	ck_assert_int_eq(rk_dead_free(&f->m, 0, word), 0);
	ck_assert_uint_eq(rk_dead_count(&f->m), n - 1);
	fixture_free(f);
}
END_TEST

START_TEST(a_letter_that_went_is_not_dropped_again_with_its_place)
{
	struct fixture *f = owned(0);
	struct rk_dead_letter l;

	set_word(f, 0, rk_deadword(0xffff, 0, 0, 0, RK_DEAD_FREE)); /* the generation wraps */
	ck_assert_int_eq(push(f, 0, 1), 0);
	ck_assert(look(f, 0, &l));
	ck_assert_uint_eq(rk_deadword_generation(l.word), 0);
	ck_assert_int_eq(rk_dead_free(&f->m, 0, l.word), 0);
	ck_assert_int_eq(rk_dead_free(&f->m, 0, l.word), -ENOENT);
	ck_assert_int_eq(push(f, 0, 1), 0); /* the same again, of the same owner */
	ck_assert_int_eq(rk_dead_free(&f->m, 0, l.word), -ENOENT);
	ck_assert_int_eq(rk_dead_free(&f->m, 4, l.word), -ENOENT);
	ck_assert_int_eq(rk_dead_free(&f->m, 1, word_of(f, 1)), -ENOENT); /* free already */
	ck_assert_uint_eq(n_letters(f), 1);
	fixture_free(f);
}
END_TEST

START_TEST(only_one_marks_a_letter_as_being_sent_again)
{
	struct fixture *f = owned(0);
	struct rk_dead_letter l;
	uint64_t word = 0;

	ck_assert_int_eq(push(f, 0, 1), 0);
	ck_assert(look(f, 0, &l));
	ck_assert_int_eq(rk_dead_retry(&f->m, 0, l.word, false, &word), -EALREADY);
	ck_assert_int_eq(rk_dead_retry(&f->m, 0, l.word, true, &word), 0);
	ck_assert_int_eq(rk_dead_retry(&f->m, 0, l.word, true, &word), -EALREADY);
	ck_assert(look(f, 0, &l));
	ck_assert(l.is_retrying);
	ck_assert_uint_eq(l.word, word);
	ck_assert_int_eq(push(f, 0, 1), 0); /* it is there */
	ck_assert_uint_eq(n_letters(f), 1);
	ck_assert_int_eq(rk_dead_retry(&f->m, 0, word, false, &word), 0);
	ck_assert_int_eq(rk_dead_free(&f->m, 0, word), 0);
	ck_assert_int_eq(rk_dead_retry(&f->m, 0, word, true, &word), -ENOENT);
	fixture_free(f);
}
END_TEST

START_TEST(what_a_dead_worker_was_writing_comes_back)
{
	static const enum rk_dead_state left[] = { RK_DEAD_WRITING, RK_DEAD_REVOKED };
	struct fixture *f = owned(0);
	struct rk_dead_letter l;

	fill(f, 3);
	for (size_t i = 0; i < rk_countof(left); i++) {
		set_word(f, (uint32_t)i, rk_deadword(1, 0, 1, 2, left[i]));
		ck_assert(!look(f, (uint32_t)i, &l));
	}
	rk_dead_sweep(&f->m, 1);
	ck_assert_int_eq(state_of(f, 0), RK_DEAD_WRITING); /* another worker's */
	rk_dead_sweep(&f->m, 2);
	rk_dead_sweep(&f->m, 2);
	ck_assert_int_eq(state_of(f, 0), RK_DEAD_FREE);
	ck_assert_int_eq(state_of(f, 1), RK_DEAD_FREE);
	ck_assert_int_eq(state_of(f, 2), RK_DEAD_LETTER);
	fixture_free(f);
}
END_TEST

START_TEST(an_evicted_owners_claim_is_revoked_and_its_place_kept_for_it)
{
	struct fixture *f = owned(0);
	uint64_t claim = rk_deadword(1, 0, 7, 2, RK_DEAD_WRITING),
		 other = rk_deadword(1, 1, 7, 2, RK_DEAD_WRITING);

	set_word(f, 0, claim);
	set_word(f, 1, other); /* in another partition's name */
	ck_assert_int_eq(push(f, 0, 9), 0);
	ck_assert_uint_eq(word_of(f, 0), rk_deadword_with(claim, RK_DEAD_REVOKED));
	ck_assert_uint_eq(word_of(f, 1), other);
	ck_assert_int_eq(state_of(f, 2), RK_DEAD_LETTER);
	fixture_free(f);
}
END_TEST

START_TEST(whoever_lost_the_partition_pushes_nothing)
{
	struct fixture *f = owned(0);
	uint64_t before = commit_of(f, 0);
	const struct rk_dead_letter l = letter(0, 9);

	ck_assert_int_gt(rk_part_assign(&f->m, 0, 2), 0);
	ck_assert_int_eq(rk_dead_push(&f->m, &l, 1, before), -ESTALE);
	ck_assert_uint_eq(n_letters(f), 0);
	ck_assert_int_eq(state_of(f, 0), RK_DEAD_FREE);
	fixture_free(f);
}
END_TEST

START_TEST(random_words_are_read_within_bounds)
{
	struct fixture *f = owned(0);
	struct fixture_map *map = &f->maps[RK_SEGMENT_DEAD];
	struct rk_rand r = rk_rand_init((uint64_t)_i);

	for (uint64_t k = 0; k < map->len / 8; k++)
		((uint64_t *)(void *)map->at)[k] = rk_rand_u64(&r);
	for (uint32_t i = 0; i < f->m.g.n_dead; i++) {
		struct rk_dead_letter l;

		/* Some of it looks like letters. */
		set_word(f, i,
			 rk_deadword_with(word_of(f, i),
					  (enum rk_dead_state)(rk_rand_below(&r, 6))));
		if (!look(f, i, &l))
			continue;
		ck_assert_uint_lt(l.partition, f->m.g.n_partitions);
		ck_assert_uint_le((uint64_t)l.key_len + l.len, f->m.g.request_max);
	}
	for (uint32_t w = 0; w < f->m.g.n_workers; w++)
		rk_dead_sweep(&f->m, w);
	for (uint32_t i = 0; i < f->m.g.n_dead; i++) /* what is left can be seen, and dropped */
		ck_assert(state_of(f, i) == RK_DEAD_FREE ||
			  rk_dead_free(&f->m, i, word_of(f, i)) == 0);
	ck_assert_int_eq(push(f, 0, 0), 0);
	fixture_free(f);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("dead");

	tcase_add_test(c, a_letter_says_what_was_pushed);
	tcase_add_test(c, the_cause_of_another_job_is_not_this_ones_and_a_late_one_corrects_it);
	tcase_add_test(c, the_same_job_is_pushed_once_whoever_owns_it);
	tcase_add_test(c, a_full_table_blocks_that_partition_until_a_letter_goes);
	tcase_add_test(c, letters_are_counted_and_a_blocked_job_is_known_by_its_number);
	tcase_add_test(c, a_letter_that_went_is_not_dropped_again_with_its_place);
	tcase_add_test(c, only_one_marks_a_letter_as_being_sent_again);
	tcase_add_test(c, what_a_dead_worker_was_writing_comes_back);
	tcase_add_test(c, an_evicted_owners_claim_is_revoked_and_its_place_kept_for_it);
	tcase_add_test(c, whoever_lost_the_partition_pushes_nothing);
	tcase_add_loop_test(c, random_words_are_read_within_bounds, 0, 20);
	return unit_run(c);
}
