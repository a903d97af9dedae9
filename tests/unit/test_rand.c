/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the same seed gives the published splitmix64 sequence; bounded values are in
 *         bounds and even.
 * Method  reference values of the algorithm's author; counts over many draws.
 */
#include "base/rand.h"

#include <check.h>

#include "base/macro.h"
#include "tests/unit/unit.h"

START_TEST(seed_1234567_gives_the_reference_sequence)
{
	static const uint64_t want[] = { UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
					 UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
					 UINT64_C(16408922859458223821) };
	struct rk_rand r = rk_rand_init(1234567);

	for (size_t i = 0; i < rk_countof(want); i++)
		ck_assert_uint_eq(rk_rand_u64(&r), want[i]);
}
END_TEST

START_TEST(bounded_values_stay_below_and_reach_every_value_evenly)
{
	struct rk_rand r = rk_rand_init(1);
	unsigned int seen[10] = { 0 };

	for (int i = 0; i < 100000; i++) {
		uint64_t x = rk_rand_below(&r, rk_countof(seen));

		ck_assert_uint_lt(x, rk_countof(seen));
		seen[x]++;
	}
	for (size_t i = 0; i < rk_countof(seen); i++) {
		ck_assert_uint_gt(seen[i], 9500); /* five standard deviations */
		ck_assert_uint_lt(seen[i], 10500);
	}
}
END_TEST

START_TEST(the_extreme_bounds_work)
{
	struct rk_rand r = rk_rand_init(0);

	for (int i = 0; i < 1000; i++) {
		ck_assert_uint_eq(rk_rand_below(&r, 1), 0);
		ck_assert_uint_lt(rk_rand_below(&r, UINT64_MAX), UINT64_MAX);
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("rand");

	tcase_add_test(c, seed_1234567_gives_the_reference_sequence);
	tcase_add_test(c, bounded_values_stay_below_and_reach_every_value_evenly);
	tcase_add_test(c, the_extreme_bounds_work);
	return unit_run(c);
}
