/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Packing a shared word and unpacking it gives back each field, whatever the others
 *         say, and nothing else; positions, laps and incarnations are right across their wraps.
 * Method  Every combination of each field's smallest, largest and some middle values; the bits
 *         of each field written down as literals.
 */
#include "shm/words.h"

#include <check.h>

#include "base/macro.h"
#include "tests/unit/unit.h"

#define P48 ((1ull << 48) - 1)

static const uint64_t positions[] = { 0, 1, 63, 64, 1ull << 20, 1ull << 47, P48 - 1, P48 };
static const uint32_t cells[] = { 0, 1, 0x55555, (1u << 20) - 1 };
static const uint32_t rings[] = { RK_RING_MIN, 512, RK_RING_MAX };
static const uint64_t sequences[] = { 0, 1, 1ull << 49, RK_SEQUENCE_MAX };
static const uint32_t sixteen[] = { 0, 1, 0x5555, 0xffff };

START_TEST(every_word_has_the_bits_that_abi_h_lists)
{
	ck_assert_uint_eq(rk_ref(~0ull, 64, 0, RK_REF_FREE), 0xffffffffffc00000ull);
	ck_assert_uint_eq(rk_ref(0, 64, 0xfffff, RK_REF_FREE), 0x3ffffcull);
	ck_assert_uint_eq(rk_ref(0, 64, 0, RK_REF_TOMB), 3);
	ck_assert_uint_eq(rk_where(0, 0), 1ull << 63);
	ck_assert_uint_eq(rk_where(0x7fff, P48), ~0ull);
	ck_assert_uint_eq(rk_where(RK_PARTITIONS_MAX - 1, 0), 0xbfffull << 48);
	ck_assert_uint_eq(rk_cellword(RK_SEQUENCE_MAX, 0, RK_CELL_IDLE), 0xffffffffffffc000ull);
	ck_assert_uint_eq(rk_cellword(0, 0xfff, RK_CELL_DONE), 0x3fffull);
	ck_assert_uint_eq(rk_commit(0xffff, 0), 0xffffull << 48);
	ck_assert_uint_eq(rk_commit(0, ~0ull), P48);
	ck_assert_uint_eq(rk_logword(P48, 0), 0xffffffffffff0000ull);
	ck_assert_uint_eq(rk_logword(0, 0xffff), 0xffffull);
	ck_assert_uint_eq(rk_owner(0xaaaa, 0xbbbb, 0xcccc, RK_OWNER_RELEASED), 0xaaaabbbbcccc0003ull);
	ck_assert_uint_eq(rk_route(0xaaaa, 0xcccc, RK_ROUTE_UP), 0xaaaa0000cccc0001ull);
	ck_assert_uint_eq(rk_request_word(0x3ff, 0x3fff, 0x12345678), 0x03ff3fff12345678ull);
}
END_TEST

START_TEST(a_reference_gives_back_its_fields)
{
	for (size_t p = 0; p < rk_countof(positions); p++)
		for (size_t c = 0; c < rk_countof(cells); c++)
			for (size_t n = 0; n < rk_countof(rings); n++)
				for (int s = RK_REF_FREE; s <= RK_REF_TOMB; s++) {
					uint64_t ref = rk_ref(positions[p], rings[n], cells[c], (enum rk_ref_state)s);

					ck_assert_uint_eq(rk_ref_lap(ref), positions[p] / rings[n]);
					ck_assert_uint_eq(rk_ref_cell(ref), cells[c]);
					ck_assert_uint_eq(rk_ref_state(ref), (unsigned int)s);
					ck_assert_uint_eq(rk_ref_with(ref, RK_REF_TAKEN), (ref & ~3ull) | 2);
				}
}
END_TEST

START_TEST(where_gives_back_its_fields_and_is_never_nowhere)
{
	static const uint32_t partitions[] = { 0, 1, RK_PARTITIONS_MAX - 1, 0x7fff };

	for (size_t p = 0; p < rk_countof(positions); p++)
		for (size_t i = 0; i < rk_countof(partitions); i++) {
			uint64_t where = rk_where(partitions[i], positions[p]);

			ck_assert_uint_ne(where, 0);
			ck_assert_uint_eq(rk_where_partition(where), partitions[i]);
			ck_assert_uint_eq(rk_where_position(where), positions[p]);
		}
}
END_TEST

START_TEST(a_cell_word_gives_back_its_fields)
{
	static const uint32_t workers[] = { 0, 1, RK_WORKERS_MAX - 1, RK_WORKER_NONE };

	for (size_t q = 0; q < rk_countof(sequences); q++)
		for (size_t w = 0; w < rk_countof(workers); w++)
			for (int s = RK_CELL_IDLE; s <= RK_CELL_DONE; s++) {
				uint64_t word = rk_cellword(sequences[q], workers[w], (enum rk_cell_state)s);

				ck_assert_uint_eq(rk_cellword_sequence(word), sequences[q]);
				ck_assert_uint_eq(rk_cellword_worker(word), workers[w]);
				ck_assert_uint_eq(rk_cellword_state(word), (unsigned int)s);
			}
}
END_TEST

START_TEST(commit_log_owner_route_and_request_words_give_back_their_fields)
{
	for (size_t p = 0; p < rk_countof(positions); p++)
		for (size_t i = 0; i < rk_countof(sixteen); i++)
			for (size_t k = 0; k < rk_countof(sixteen); k++) {
				uint64_t commit = rk_commit(sixteen[i], positions[p]);
				uint64_t log = rk_logword(positions[p], sixteen[i]);
				uint64_t owner = rk_owner(sixteen[i], sixteen[k] & 0xff, sixteen[3 - k], RK_OWNER_STOP);
				uint64_t route = rk_route(sixteen[i], sixteen[k], RK_ROUTE_UP);
				uint64_t request = rk_request_word(sixteen[i], sixteen[k], (uint32_t)positions[p]);

				ck_assert_uint_eq(rk_commit_incarnation(commit), sixteen[i]);
				ck_assert_uint_eq(rk_commit_cursor(commit), positions[p]);
				ck_assert_uint_eq(rk_logword_job(log), positions[p]);
				ck_assert_uint_eq(rk_logword_entries(log), sixteen[i]);
				ck_assert_uint_eq(rk_owner_incarnation(owner), sixteen[i]);
				ck_assert_uint_eq(rk_owner_bank(owner), sixteen[k] & 0xff);
				ck_assert_uint_eq(rk_owner_worker(owner), sixteen[3 - k]);
				ck_assert_uint_eq(rk_owner_flag(owner), RK_OWNER_STOP);
				ck_assert_uint_eq(rk_route_worker(route), sixteen[k]);
				ck_assert_uint_eq(rk_route_flags(route), RK_ROUTE_UP);
				ck_assert_uint_eq(rk_request_slot(request), sixteen[i]);
				ck_assert_uint_eq(rk_request_partition(request), sixteen[k]);
				ck_assert_uint_eq(rk_request_key_len(request), (uint32_t)positions[p]);
			}
}
END_TEST

START_TEST(positions_wrap_at_48_bits_and_are_compared_by_distance)
{
	static const struct {
		uint64_t a, b;
		bool before;
	} cases[] = {
		{ 0, 0, false },	 { 0, 1, true },	  { 1, 0, false },
		{ P48, 0, true },	 { 0, P48, false },	  { P48 - 5, 5, true },
		{ 5, P48 - 5, false },	 { P48, P48, false },	  { 0, (1ull << 47) - 1, true },
		{ P48, 1ull << 20, true }, { 1ull << 20, P48, false },
	};

	ck_assert_uint_eq(rk_pos_add(P48, 1), 0);
	ck_assert_uint_eq(rk_pos_add(P48 - 1, 4), 2);
	for (size_t i = 0; i < rk_countof(cases); i++)
		ck_assert_msg(rk_pos_before(cases[i].a, cases[i].b) == cases[i].before, "case %zu", i);
}
END_TEST

START_TEST(the_lap_goes_from_its_largest_to_zero_with_the_position)
{
	for (size_t n = 0; n < rk_countof(rings); n++) {
		uint64_t last = rk_lap(P48, rings[n]);

		ck_assert_uint_eq(last, (1ull << 48) / rings[n] - 1);
		ck_assert_uint_le(last, RK_MASK42);
		ck_assert_uint_eq(rk_lap(rk_pos_add(P48, 1), rings[n]), 0);
		ck_assert_uint_eq(rk_ref_lap(rk_ref(P48, rings[n], 7, RK_REF_TAKEN)), last);
	}
}
END_TEST

START_TEST(the_incarnation_after_the_last_is_one)
{
	ck_assert_uint_eq(rk_incarnation_next(0), 1);
	ck_assert_uint_eq(rk_incarnation_next(1), 2);
	ck_assert_uint_eq(rk_incarnation_next(0xfffe), 0xffff);
	ck_assert_uint_eq(rk_incarnation_next(0xffff), 1);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("words");

	tcase_add_test(c, every_word_has_the_bits_that_abi_h_lists);
	tcase_add_test(c, a_reference_gives_back_its_fields);
	tcase_add_test(c, where_gives_back_its_fields_and_is_never_nowhere);
	tcase_add_test(c, a_cell_word_gives_back_its_fields);
	tcase_add_test(c, commit_log_owner_route_and_request_words_give_back_their_fields);
	tcase_add_test(c, positions_wrap_at_48_bits_and_are_compared_by_distance);
	tcase_add_test(c, the_lap_goes_from_its_largest_to_zero_with_the_position);
	tcase_add_test(c, the_incarnation_after_the_last_is_one);
	return unit_run(c);
}
