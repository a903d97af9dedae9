/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A reader in a section holds what was replaced after it entered and nothing else; the
 *         view it is given lies on the board whatever the index says; the epoch's own end and
 *         hostile lines do no more than hold a buffer.
 * Method  Both modes, a table of lines and epochs.
 */
#include "shm/epoch.h"

#include <check.h>

#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

static struct fixture *board(int mode)
{
	struct fixture *f = fixture_new(NULL, 0);

	f->m.board->epoch_mode = (uint32_t)mode;
	if (mode == RK_EPOCH_PLAIN)
		ck_assert_int_eq(rk_epoch_register(), 0);
	return f;
}

START_TEST(a_reader_holds_what_is_replaced_while_it_reads)
{
	struct fixture *f = board(_i);
	struct rk_reader *line = rk_shm_reader(&f->m, 5);
	uint64_t epoch;

	epoch = rk_epoch_advance(&f->m);
	ck_assert(!rk_epoch_holds(line, epoch)); /* outside */
	ck_assert_ptr_eq(rk_epoch_enter(&f->m, line), rk_shm_view(&f->m, 0));
	ck_assert(!rk_epoch_holds(line, epoch)); /* replaced before it entered */
	epoch = rk_epoch_advance(&f->m);
	ck_assert_uint_eq(epoch, 4);
	ck_assert(rk_epoch_holds(line, epoch));
	ck_assert(!rk_epoch_holds(rk_shm_reader(&f->m, 4), epoch));
	rk_epoch_leave(line);
	ck_assert(!rk_epoch_holds(line, epoch));
	fixture_free(f);
}
END_TEST

START_TEST(the_view_is_on_the_board_whatever_its_index_says)
{
	static const uint32_t views[] = { 0, 3, 4, 7, UINT32_MAX };
	struct fixture *f = board(_i);

	for (size_t i = 0; i < rk_countof(views); i++) {
		atomic_store_explicit(&f->m.board->view, views[i], memory_order_relaxed);
		ck_assert_ptr_eq(rk_epoch_enter(&f->m, rk_shm_reader(&f->m, 0)), rk_shm_view(&f->m, views[i] % 4));
		rk_epoch_leave(rk_shm_reader(&f->m, 0));
	}
	fixture_free(f);
}
END_TEST

static const struct {
	uint64_t active, epoch;
	bool holds;
} lines[] = {
	{ 0, 2, false },	       { 1, 2, true },	       { 3, 2, false },
	{ 3, 4, true },		       { ~0ull, 2, true },     /* "older" by wrap: a lie, and it only holds */
	{ ~0ull - 1, 2, false },       { ~0ull, 0, true },     /* the epoch has wrapped under a reader */
	{ 1, 0, false },	       { ~0ull - 2, ~1ull, true }, { ~0ull, ~1ull, false },
	{ 1ull << 63 | 1, 2, false }, { 1ull << 63 | 3, 0, true },
};

START_TEST(lines_are_compared_by_distance)
{
	struct rk_reader line = { .active = lines[_i].active };

	ck_assert_int_eq(rk_epoch_holds(&line, lines[_i].epoch), lines[_i].holds);
}
END_TEST

START_TEST(this_kernel_offers_a_mode_and_keeps_what_it_offers)
{
	if (rk_epoch_probe() == RK_EPOCH_PLAIN)
		ck_assert_int_eq(rk_epoch_register(), 0);
	else
		ck_assert_int_lt(rk_epoch_register(), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("epoch");
	/* Plain mode only where the kernel has it. */
	int modes = rk_epoch_probe() == RK_EPOCH_PLAIN ? 2 : 1;

	tcase_add_loop_test(c, a_reader_holds_what_is_replaced_while_it_reads, 0, modes);
	tcase_add_loop_test(c, the_view_is_on_the_board_whatever_its_index_says, 0, modes);
	tcase_add_loop_test(c, lines_are_compared_by_distance, 0, rk_countof(lines));
	tcase_add_test(c, this_kernel_offers_a_mode_and_keeps_what_it_offers);
	return unit_run(c);
}
