/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    demo's checker finds what was lost, doubled, contradicted, left unanswered or quarantined
 *         though it was no poison, and nothing where all is right.
 * Method  a table of small ledgers with the final counts beside them.
 */
#include <string.h>

#include "cli/demo_check.h"
#include "tests/unit/unit.h"

enum { MOST = 8, WORDS = 2 };

#define A(word_, count_) { .state = RK_DEMO_ACKED, .word = (word_), .count = (count_) }
#define INTENT(word_) { .state = RK_DEMO_INTENT, .word = (word_) }
#define GONE(word_) { .state = RK_DEMO_ABANDONED, .word = (word_) }
#define NO(word_) { .state = RK_DEMO_REFUSED, .word = (word_) }
#define TWICE(word_, count_) { .state = RK_DEMO_CONTRADICTED, .word = (word_), .count = (count_) }

static const struct {
	const char *what;
	struct rk_demo_record records[MOST];
	uint64_t n;
	uint64_t finals[WORDS];
	uint64_t lost, doubled, unanswered, unresolved_applied, contradicted;
	bool good;
} rows[] = {
	{ "nothing was sent", { { 0 } }, 0, { 0, 0 }, 0, 0, 0, 0, 0, true },
	{ "all is right", { A(0, 1), A(0, 2), A(1, 1) }, 3, { 2, 1 }, 0, 0, 0, 0, 0, true },
	{ "answers in another order", { A(0, 3), A(0, 1), A(0, 2) }, 3, { 3, 0 }, 0, 0, 0, 0, 0, true },
	{ "an acknowledged job is not in the state", { A(0, 1), A(0, 2) }, 2, { 1, 0 }, 1, 0, 0, 0, 0, false },
	{ "two jobs were given the same number", { A(0, 1), A(0, 1) }, 2, { 1, 0 }, 1, 0, 0, 0, 0, false },
	{ "counted though nobody sent it", { A(0, 1) }, 1, { 2, 0 }, 0, 1, 0, 0, 0, false },
	{ "a word that was never sent is counted", { A(0, 1) }, 1, { 1, 1 }, 0, 1, 0, 0, 0, false },
	{ "a dead client's job was counted", { A(0, 1), GONE(0) }, 2, { 2, 0 }, 0, 0, 0, 1, 0, true },
	{ "a dead client's job was not counted", { A(0, 1), GONE(0) }, 2, { 1, 0 }, 0, 0, 0, 0, 0, true },
	{ "a dead client's job was counted twice", { A(0, 1), GONE(0) }, 2, { 3, 0 }, 0, 1, 0, 1, 0, false },
	{ "a dead client of another word is no excuse", { A(0, 1), GONE(1) }, 2, { 2, 0 }, 0, 1, 0, 0, 0, false },
	{ "a living client has no answer", { A(0, 1), INTENT(0) }, 2, { 1, 0 }, 0, 0, 1, 0, 0, false },
	{ "two words' answers were swapped", { A(0, 1), A(0, 2), A(0, 1), A(1, 3) }, 4, { 3, 1 }, 2, 2, 0, 0, 0, false },
	{ "an answer without a count", { A(0, 0), A(0, 1) }, 2, { 2, 0 }, 1, 1, 0, 0, 0, false },
	{ "lost, and a dead client of the same word", { A(0, 1), A(0, 1), GONE(0) }, 3, { 1, 0 }, 1, 0, 0, 0, 0, false },
	{ "a gap in the middle is a dead client's", { A(0, 1), A(0, 3), GONE(0) }, 3, { 3, 0 }, 0, 0, 0, 1, 0, true },
	{ "the handler refused", { NO(0) }, 1, { 0, 0 }, 0, 0, 0, 0, 0, true },
	{ "answered twice, differently", { TWICE(0, 1) }, 1, { 1, 0 }, 0, 0, 0, 0, 1, false },
};

START_TEST(the_verdict_fits_the_ledger)
{
	struct rk_demo_record records[MOST];
	struct rk_demo_verdict v;
	struct rk_demo_check_in in = { .records = records, .n_records = rows[_i].n, .finals = rows[_i].finals,
				       .n_words = WORDS };

	memcpy(records, rows[_i].records, sizeof(records));
	ck_assert_int_eq(rk_demo_check(&in, &v), 0);
	ck_assert_msg(rk_demo_verdict_is_good(&v) == rows[_i].good, "%s", rows[_i].what);
	if (!rows[_i].contradicted) {
		ck_assert_msg(v.lost == rows[_i].lost, "%s: lost %lu", rows[_i].what, (unsigned long)v.lost);
		ck_assert_msg(v.doubled == rows[_i].doubled, "%s: doubled %lu", rows[_i].what, (unsigned long)v.doubled);
		ck_assert_msg(v.unresolved_applied == rows[_i].unresolved_applied, "%s: %lu", rows[_i].what,
			      (unsigned long)v.unresolved_applied);
	}
	ck_assert_msg(v.unanswered == rows[_i].unanswered, "%s", rows[_i].what);
	ck_assert_msg(v.contradicted == rows[_i].contradicted, "%s", rows[_i].what);
	ck_assert_uint_eq(v.sent, rows[_i].n);
}
END_TEST

#define P(state_) { .state = RK_DEMO_##state_ }

static const struct {
	const char *what;
	struct rk_demo_record poisons[2];
	uint32_t n;
	uint64_t n_letters, n_innocent_letters;
	struct rk_demo_record word; /* beside them */
	uint64_t poison, quarantined, innocents;
	bool good;
} poisoned[] = {
	{ "none", { { 0 } }, 0, 0, 0, A(0, 1), 0, 0, 0, true },
	{ "one of two was sent", { P(QUARANTINED), P(EMPTY) }, 2, 1, 0, A(0, 1), 1, 1, 0, true },
	{ "both are quarantined", { P(QUARANTINED), P(QUARANTINED) }, 2, 2, 0, A(0, 1), 2, 2, 0, true },
	{ "one got an ordinary answer", { P(QUARANTINED), P(ACKED) }, 2, 1, 0, A(0, 1), 2, 1, 0, false },
	{ "one was refused", { P(QUARANTINED), P(REFUSED) }, 2, 1, 0, A(0, 1), 2, 1, 0, false },
	{ "one has no answer", { P(QUARANTINED), P(INTENT) }, 2, 2, 0, A(0, 1), 2, 1, 0, false },
	{ "one is no dead letter", { P(QUARANTINED), P(QUARANTINED) }, 2, 1, 0, A(0, 1), 2, 2, 0, false },
	{ "one is two dead letters", { P(QUARANTINED) }, 1, 2, 0, A(0, 1), 1, 1, 0, false },
	{ "a word was quarantined", { P(QUARANTINED) }, 1, 1, 0, P(QUARANTINED), 1, 1, 1, false },
	{ "a word is a dead letter", { P(QUARANTINED) }, 1, 1, 1, A(0, 1), 1, 1, 1, false },
	{ "a word is, and was answered so", { { 0 } }, 0, 0, 1, P(QUARANTINED), 0, 0, 1, false },
	{ "a state that is none", { P(STATES) }, 1, 0, 0, A(0, 1), 1, 0, 0, false },
};

START_TEST(poison_is_quarantined_and_nothing_else_is)
{
	const uint64_t finals[] = { poisoned[_i].word.state == RK_DEMO_ACKED };
	struct rk_demo_verdict v;
	struct rk_demo_check_in in = { .records = &poisoned[_i].word, .n_records = 1, .finals = finals, .n_words = 1,
				       .poisons = poisoned[_i].poisons, .n_poisons = poisoned[_i].n,
				       .n_letters = poisoned[_i].n_letters,
				       .n_innocent_letters = poisoned[_i].n_innocent_letters };

	ck_assert_int_eq(rk_demo_check(&in, &v), 0);
	ck_assert_msg(rk_demo_verdict_is_good(&v) == poisoned[_i].good, "%s", poisoned[_i].what);
	ck_assert_msg(v.poison == poisoned[_i].poison, "%s", poisoned[_i].what);
	ck_assert_msg(v.quarantined == poisoned[_i].quarantined, "%s", poisoned[_i].what);
	ck_assert_msg(v.innocents == poisoned[_i].innocents, "%s", poisoned[_i].what);
	ck_assert_msg(v.lost == 0 && v.doubled == 0, "%s", poisoned[_i].what);
}
END_TEST

START_TEST(a_record_no_client_can_have_written_is_invalid)
{
	struct rk_demo_record record = { .state = RK_DEMO_ACKED, .word = 77, .count = 1 };
	uint64_t finals[WORDS] = { 0 };
	struct rk_demo_check_in in = { .records = &record, .n_records = 1, .finals = finals, .n_words = WORDS };
	struct rk_demo_verdict v;

	ck_assert_int_eq(rk_demo_check(&in, &v), 0);
	ck_assert_uint_eq(v.invalid, 1);
	ck_assert(!rk_demo_verdict_is_good(&v));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("demo_check");

	tcase_add_loop_test(c, the_verdict_fits_the_ledger, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_loop_test(c, poison_is_quarantined_and_nothing_else_is, 0, rk_countof(poisoned));
	tcase_add_test(c, a_record_no_client_can_have_written_is_invalid);
	return unit_run(c);
}
