/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A key's partition never changes, lies in range, depends on the fleet's seed, and
 *         keys spread evenly; doubling the partitions splits each in two.
 * Method  Golden literals (a change would move every user's keys), then counted spreads.
 */
#include "shm/route.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static uint32_t partition_of(const char *key, uint32_t n_partitions, uint64_t seed)
{
	struct rk_geometry g = { .n_partitions = n_partitions, .hash_seed = seed };

	return rk_route_partition(&g, key, strlen(key));
}

static const struct {
	const char *key;
	uint64_t seed;
	uint32_t p256;
} golden[] = {
	{ "", 0x0ull, 45 },
	{ "", 0x1ull, 77 },
	{ "", 0x123456789abcdefull, 204 },
	{ "a", 0x0ull, 230 },
	{ "a", 0x1ull, 210 },
	{ "a", 0x123456789abcdefull, 252 },
	{ "user:7", 0x0ull, 0 },
	{ "user:7", 0x1ull, 179 },
	{ "user:7", 0x123456789abcdefull, 201 },
	{ "the", 0x0ull, 203 },
	{ "the", 0x1ull, 168 },
	{ "the", 0x123456789abcdefull, 100 },
	{ "a key of more than two hundred and forty bytes would take another path; this one has about a hundred", 0x0ull, 152 },
	{ "a key of more than two hundred and forty bytes would take another path; this one has about a hundred", 0x1ull, 188 },
	{ "a key of more than two hundred and forty bytes would take another path; this one has about a hundred", 0x123456789abcdefull, 226 },
};

START_TEST(known_keys_stay_where_they_are)
{
	ck_assert_uint_eq(partition_of(golden[_i].key, 256, golden[_i].seed), golden[_i].p256);
}
END_TEST

START_TEST(more_partitions_split_each_and_move_nothing_else)
{
	for (uint32_t k = 0; k < 1000; k++) {
		char key[32];

		snprintf(key, sizeof(key), "user:%u", k);
		ck_assert_uint_eq(partition_of(key, 1, 7), 0);
		for (uint32_t n = 1; n < RK_PARTITIONS_MAX; n *= 2) {
			uint32_t p = partition_of(key, 2 * n, 7);

			ck_assert_uint_lt(p, 2 * n);
			ck_assert_uint_eq(p / 2, partition_of(key, n, 7));
		}
	}
}
END_TEST

START_TEST(keys_spread_evenly_and_each_seed_differently)
{
	uint32_t count[64] = { 0 }, n_same = 0;

	for (uint32_t k = 0; k < 64000; k++) {
		char key[32];

		snprintf(key, sizeof(key), "user:%u", k);
		count[partition_of(key, 64, 1)]++;
		n_same += partition_of(key, 64, 1) == partition_of(key, 64, 2);
	}
	for (int i = 0; i < 64; i++) { /* 1000 expected, sigma 31 */
		ck_assert_uint_gt(count[i], 800);
		ck_assert_uint_lt(count[i], 1200);
	}
	ck_assert_uint_lt(n_same, 1200); /* 1000 expected by chance */
}
END_TEST

int main(void)
{
	TCase *c = unit_case("route");

	tcase_add_loop_test(c, known_keys_stay_where_they_are, 0, sizeof(golden) / sizeof(golden[0]));
	tcase_add_test(c, more_partitions_split_each_and_move_nothing_else);
	tcase_add_test(c, keys_spread_evenly_and_each_seed_differently);
	return unit_run(c);
}
