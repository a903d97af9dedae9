/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the arithmetic helpers are right at their edges.
 * Method  a table of values; constants where the compiler must be able to fold them.
 */
#include "base/macro.h"

#include <assert.h>
#include <check.h>

#include "tests/unit/unit.h"

static const int three[3];

static_assert(rk_countof(three) == 3, "an array has its elements");
static_assert(RK_ALIGN_UP(65, RK_CACHELINE) == 128, "constant if its arguments are");

static const struct {
	uint64_t x, align, want;
} align_rows[] = {
	{ 0, 64, 0 },
	{ 1, 64, 64 },
	{ 64, 64, 64 },
	{ 65, 64, 128 },
	{ UINT64_C(1) << 40, 4096, UINT64_C(1) << 40 },
	{ (UINT64_C(1) << 40) + 1, 4096, (UINT64_C(1) << 40) + 4096 }, /* no 32-bit mask */
	{ 7, 1, 7 },
};

START_TEST(rounding_up_reaches_the_next_multiple_and_no_further)
{
	ck_assert_uint_eq(RK_ALIGN_UP(align_rows[_i].x, align_rows[_i].align), align_rows[_i].want);
}
END_TEST

START_TEST(the_smaller_and_the_larger_of_two)
{
	ck_assert_uint_eq(rk_min_u32(1, UINT32_MAX), 1);
	ck_assert_uint_eq(rk_max_u32(1, UINT32_MAX), UINT32_MAX);
	ck_assert_uint_eq(rk_min_u64(UINT64_MAX, 2), 2);
	ck_assert_uint_eq(rk_max_u64(UINT64_MAX, 2), UINT64_MAX);
	ck_assert_uint_eq(rk_min_size(3, 3), 3);
	ck_assert_uint_eq(rk_max_size(0, 3), 3);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("macro");

	tcase_add_loop_test(c, rounding_up_reaches_the_next_multiple_and_no_further, 0,
			    rk_countof(align_rows));
	tcase_add_test(c, the_smaller_and_the_larger_of_two);
	return unit_run(c);
}
