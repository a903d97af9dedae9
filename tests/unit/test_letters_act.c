/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    what an admin asks about a dead letter is done to the letter that was read and to no
 *         other, once; what makes no sense changes nothing.
 * Method  a table in private memory, requests as they come over the control socket.
 */
#include "supervisor/letters.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "shm/dead.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define PARTITION 1u
#define JOB 41u

static uint64_t word_of(const struct fixture *f)
{
	return atomic_load_explicit(&rk_shm_dead(&f->m, 0)->word, memory_order_acquire);
}

static void set_letter(const struct fixture *f, uint32_t generation)
{
	atomic_store_explicit(&rk_shm_part(&f->m, PARTITION)->commit, rk_commit(1, JOB + 1),
			      memory_order_release);
	atomic_store_explicit(&rk_shm_dead(&f->m, 0)->job, JOB, memory_order_relaxed);
	atomic_store_explicit(&rk_shm_dead(&f->m, 0)->word,
			      rk_deadword(generation, PARTITION, 2, 0, RK_DEAD_LETTER),
			      memory_order_release);
}

static int act(const struct fixture *f, const char *text, struct rk_letters_act *ret)
{
	struct json_object *in = json_tokener_parse(text);
	struct rk_err err = { 0 };
	int r;

	ck_assert_ptr_nonnull(in);
	r = rk_letters_act(&f->m, in, ret, &err);
	ck_assert(r == 0 || err.text[0]);
	json_object_put(in);
	return r;
}

static int ask(const struct fixture *f, const char *deed, uint64_t word, struct rk_letters_act *ret)
{
	char text[128];

	snprintf(text, sizeof(text), "{\"do\":\"%s\",\"place\":0,\"word\":%llu}", deed,
		 (unsigned long long)word);
	return act(f, text, ret);
}

/* The highest generation makes a number beyond what is signed. */
static const uint32_t generations[] = { 1, 0x7fff, 0xffff };

START_TEST(a_letter_is_marked_put_back_and_dropped)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct rk_letters_act done;
	uint64_t word;

	set_letter(f, generations[_i]);
	ck_assert_int_eq(ask(f, "retry", word_of(f), &done), 0);
	ck_assert_uint_eq(done.word, word_of(f));
	ck_assert_uint_eq(done.partition, PARTITION);
	ck_assert_uint_eq(done.job, JOB);
	ck_assert_int_eq(rk_deadword_state(word_of(f)), RK_DEAD_RETRYING);
	ck_assert_int_eq(ask(f, "retry", done.word, &done), -EALREADY);
	ck_assert_int_eq(ask(f, "back", done.word, &done), 0);
	ck_assert_int_eq(rk_deadword_state(word_of(f)), RK_DEAD_LETTER);
	word = word_of(f);
	ck_assert_int_eq(ask(f, "drop", word, &done), 0);
	ck_assert_int_eq(rk_deadword_state(word_of(f)), RK_DEAD_FREE);
	ck_assert_int_eq(ask(f, "drop", word, &done), -ENOENT);
	fixture_free(f);
}
END_TEST

START_TEST(the_next_letter_in_a_place_is_another_one)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct rk_letters_act done;
	uint64_t seen, now;

	set_letter(f, 7);
	seen = word_of(f);
	set_letter(f, 8);
	now = word_of(f);
	ck_assert_int_eq(ask(f, "drop", seen, &done), -ENOENT);
	ck_assert_int_eq(ask(f, "retry", seen, &done), -ENOENT);
	ck_assert_uint_eq(word_of(f), now);
	fixture_free(f);
}
END_TEST

START_TEST(one_that_is_being_sent_is_not_dropped_by_who_saw_it_before)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct rk_letters_act done;
	uint64_t seen;

	set_letter(f, 7);
	seen = word_of(f);
	ck_assert_int_eq(ask(f, "retry", seen, &done), 0);
	ck_assert_int_eq(ask(f, "drop", seen, &done), -ENOENT);
	ck_assert_int_eq(rk_deadword_state(word_of(f)), RK_DEAD_RETRYING);
	fixture_free(f);
}
END_TEST

START_TEST(what_is_not_committed_yet_is_not_sent_again)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct rk_letters_act done;

	set_letter(f, 7);
	atomic_store_explicit(&rk_shm_part(&f->m, PARTITION)->commit, rk_commit(1, JOB),
			      memory_order_release);
	ck_assert_int_eq(ask(f, "retry", word_of(f), &done), -EAGAIN);
	ck_assert_int_eq(rk_deadword_state(word_of(f)), RK_DEAD_LETTER);
	ck_assert_int_eq(ask(f, "drop", word_of(f), &done), 0); /* it is pushed again */
	fixture_free(f);
}
END_TEST

static const char *const nonsense[] = {
	"{}",
	"{\"do\":\"burn\",\"place\":0,\"word\":1}",
	"{\"do\":7,\"place\":0,\"word\":1}",
	"{\"do\":\"drop\",\"word\":1}",
	"{\"do\":\"drop\",\"place\":0}",
	"{\"do\":\"drop\",\"place\":4,\"word\":1}",
	"{\"do\":\"drop\",\"place\":-1,\"word\":0}",
	"{\"do\":\"drop\",\"place\":\"0\",\"word\":1}",
	"{\"do\":\"drop\",\"place\":0,\"word\":1.5}",
	"{\"do\":\"drop\",\"place\":0,\"word\":0}",
	"{\"do\":\"back\",\"place\":3,\"word\":18446744073709551615}",
};

START_TEST(what_makes_no_sense_changes_nothing)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct rk_letters_act done;
	uint64_t word;

	set_letter(f, 7);
	word = word_of(f);
	ck_assert_int_lt(act(f, nonsense[_i], &done), 0);
	ck_assert_uint_eq(word_of(f), word);
	fixture_free(f);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("letters_act");

	tcase_add_loop_test(c, a_letter_is_marked_put_back_and_dropped, 0,
			    (int)rk_countof(generations));
	tcase_add_test(c, the_next_letter_in_a_place_is_another_one);
	tcase_add_test(c, one_that_is_being_sent_is_not_dropped_by_who_saw_it_before);
	tcase_add_test(c, what_is_not_committed_yet_is_not_sent_again);
	tcase_add_loop_test(c, what_makes_no_sense_changes_nothing, 0, (int)rk_countof(nonsense));
	return unit_run(c);
}
