/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    dead letters are read whole and in the order of time, and found by their names, which
 *         are read as they are written; how one ended is told in words, whatever the memory says.
 * Method  a table in private memory; tables of texts.
 */
#include "cli/letters.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

static void set_letter(const struct fixture *f, uint32_t place, uint64_t job, uint64_t realtime_ns)
{
	struct rk_dead *e = rk_shm_dead(&f->m, place);

	atomic_store_explicit(&e->job, job, memory_order_relaxed);
	atomic_store_explicit(&e->realtime_ns, realtime_ns, memory_order_relaxed);
	atomic_store_explicit(&e->key_len, 3, memory_order_relaxed);
	atomic_store_explicit(&e->body_len, 4, memory_order_relaxed);
	memcpy(e + 1, "keybody", 7);
	atomic_store_explicit(&e->word, rk_deadword(1, 1, 2, 0, RK_DEAD_LETTER),
			      memory_order_release);
}

START_TEST(letters_are_read_the_oldest_first_and_found_by_job)
{
	struct fixture *f = fixture_new(NULL, 0);
	struct rk_look l = { .m = f->m };
	struct rk_letters all;
	struct rk_err err;

	set_letter(f, 0, 7, 300);
	set_letter(f, 2, 9, 100);
	set_letter(f, 3, 8, 200);
	ck_assert_int_eq(rk_letters_read(&all, &l, &err), 0);
	ck_assert_uint_eq(all.n, 3);
	for (uint32_t i = 0; i < all.n; i++) {
		ck_assert_uint_eq(all.at[i].is.job, 9 - i);
		ck_assert_int_eq(memcmp(all.at[i].is.bytes, "keybody", 7), 0);
	}
	ck_assert_uint_eq(rk_letters_find(&all, 1, 9)->place, 2);
	ck_assert_ptr_null(rk_letters_find(&all, 0, 9));
	ck_assert_ptr_null(rk_letters_find(&all, 1, 6));
	rk_letters_free_p(&all);
	ck_assert_ptr_null(all.at);
	fixture_free(f);
}
END_TEST

static const struct {
	uint32_t partition;
	uint64_t job;
	const char *text;
} names[] = {
	{ 0, 0, "0.0" },
	{ 3, 17, "3.17" },
	{ RK_PARTITIONS_MAX - 1, RK_MASK48, "16383.281474976710655" },
};

START_TEST(a_name_is_read_as_it_is_written)
{
	char text[RK_LETTER_NAME];
	struct rk_err err;
	uint32_t partition;
	uint64_t job;

	ck_assert_str_eq(rk_letter_name(text, names[_i].partition, names[_i].job), names[_i].text);
	ck_assert_int_eq(rk_letter_parse(text, &partition, &job, &err), 0);
	ck_assert_uint_eq(partition, names[_i].partition);
	ck_assert_uint_eq(job, names[_i].job);
}
END_TEST

static const char *const bad_names[] = { "",	 ".",	 "3",	     "3.",		    ".17",
					 "3.17.1", "-3.1", "3.-1", "3.17x",	    "16384.1",
					 "all",	 "3,17", " 3.1", "3.281474976710656", "000000003.1" };

START_TEST(what_is_no_name_is_refused_with_how_one_looks)
{
	struct rk_err err = { 0 };
	uint32_t partition;
	uint64_t job;

	ck_assert_int_eq(rk_letter_parse(bad_names[_i], &partition, &job, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "PARTITION.JOB"));
}
END_TEST

static const struct {
	struct rk_dead_cause cause;
	const char *verdict, *end;
} ends[] = {
	{ { RK_CAUSE_NONE, 0, 0 }, "unknown", "-" },
	{ { RK_CAUSE_CRASHED, CLD_KILLED, SIGSEGV }, "crashed", "SIGSEGV" },
	{ { RK_CAUSE_CRASHED, CLD_EXITED, 9 }, "crashed", "exit 9" },
	{ { RK_CAUSE_HUNG, CLD_DUMPED, SIGABRT }, "hung", "SIGABRT" },
	{ { RK_CAUSE_LOOPING, CLD_KILLED, SIGKILL }, "looping", "SIGKILL" },
	{ { RK_CAUSE_DEADLINE, CLD_KILLED, SIGKILL }, "late", "SIGKILL" },
	{ { RK_CAUSE_MEMORY, CLD_KILLED, SIGKILL }, "memory", "SIGKILL" },
	{ { RK_CAUSE_RETRY, 0, 0 }, "retry", "-" },
	{ { (enum rk_dead_verdict)0xffff, 255, 255 }, "unknown", "-" },
	{ { RK_CAUSE_CRASHED, CLD_KILLED, 255 }, "crashed", "signal 255" },
};

START_TEST(how_it_ended_is_told_in_words)
{
	char text[RK_LETTER_END];

	ck_assert_str_eq(rk_letter_verdict(ends[_i].cause.verdict), ends[_i].verdict);
	ck_assert_str_eq(rk_letter_end(text, &ends[_i].cause), ends[_i].end);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("letters");

	tcase_add_test(c, letters_are_read_the_oldest_first_and_found_by_job);
	tcase_add_loop_test(c, a_name_is_read_as_it_is_written, 0, (int)rk_countof(names));
	tcase_add_loop_test(c, what_is_no_name_is_refused_with_how_one_looks, 0,
			    (int)rk_countof(bad_names));
	tcase_add_loop_test(c, how_it_ended_is_told_in_words, 0, (int)rk_countof(ends));
	return unit_run(c);
}
