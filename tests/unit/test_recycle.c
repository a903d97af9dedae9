/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Workers that are too large or have served long enough are replaced, the worst first,
 *         never more at once than may be away, and not in step; others are left alone.
 * Method  Single decisions, then a fleet that works and leaks in virtual time, from a seed that
 *         each failure names.
 */
#include "supervisor/recycle.h"

#include <check.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#define S RK_NS_PER_S
#define T0 (1000 * S)
#define MIB (UINT64_C(1) << 20)

static const struct rk_recycle_conf both = { .max_rss = 100 * MIB,
					     .max_jobs = 8000,
					     .max_unavailable = 1 };

static struct rk_recycle_slot ready(uint64_t rss, uint64_t n_jobs)
{
	return (struct rk_recycle_slot){
		.is_ready = true, .is_wanted = true, .rss = rss, .n_jobs = n_jobs, .incarnation = 1
	};
}

START_TEST(who_is_over_a_bound_is_recycled_and_nobody_else)
{
	static const struct {
		uint64_t rss, n_jobs;
		enum rk_recycle_reason reason;
	} cases[] = {
		{ 0, 0, RK_RECYCLE_NONE },           { 100 * MIB - 1, 6999, RK_RECYCLE_NONE },
		{ 100 * MIB, 0, RK_RECYCLE_RSS },    { 0, 8000, RK_RECYCLE_JOBS },
		{ 300 * MIB, 9000, RK_RECYCLE_RSS }, { 101 * MIB, 80000, RK_RECYCLE_JOBS },
		{ UINT64_MAX, 0, RK_RECYCLE_RSS },   { 0, UINT64_MAX, RK_RECYCLE_JOBS },
	};

	for (size_t i = 0; i < rk_countof(cases); i++) {
		struct rk_recycle_slot s = ready(cases[i].rss, cases[i].n_jobs);
		struct rk_recycle r = rk_recycle_decide(&both, &s, 1, 0, T0);

		ck_assert_msg(r.reason == cases[i].reason, "case %zu: %s", i,
			      rk_recycle_reason_name(r.reason));
		ck_assert_uint_eq(r.slot, r.reason ? 0 : RK_RECYCLE_NOBODY);
	}
	ck_assert_str_eq(rk_recycle_reason_name(RK_RECYCLE_REASONS), "?");
}
END_TEST

START_TEST(without_bounds_nobody_is)
{
	struct rk_recycle_slot s = ready(UINT64_MAX, UINT64_MAX);
	struct rk_recycle_conf none = { .max_unavailable = 1 };

	ck_assert_uint_eq(rk_recycle_decide(&none, &s, 1, 0, T0).slot, RK_RECYCLE_NOBODY);
}
END_TEST

START_TEST(the_worst_goes_first_and_only_while_enough_are_there)
{
	struct rk_recycle_slot slots[4] = { ready(110 * MIB, 0), ready(500 * MIB, 0),
					    ready(0, 16000), ready(10, 10) };
	struct rk_recycle_conf c = both;
	struct rk_recycle r = rk_recycle_decide(&c, slots, 4, 0, T0);

	ck_assert_uint_eq(r.slot, 1);
	ck_assert_uint_eq(r.n_due, 3);
	slots[3].is_ready = false; /* away for its own reasons */
	r = rk_recycle_decide(&c, slots, 4, 0, T0);
	ck_assert_uint_eq(r.slot, RK_RECYCLE_NOBODY);
	ck_assert_uint_eq(r.n_due, 3);
	slots[3].is_wanted = false; /* not wanted: not away */
	ck_assert_uint_eq(rk_recycle_decide(&c, slots, 4, 0, T0).slot, 1);
	slots[3].is_wanted = true;
	c.max_unavailable = 2;
	ck_assert_uint_eq(rk_recycle_decide(&c, slots, 4, 0, T0).slot, 1);
	c.gap_ns = S;
	ck_assert_uint_eq(rk_recycle_decide(&c, slots, 4, T0 - S + 1, T0).slot, RK_RECYCLE_NOBODY);
	ck_assert_uint_eq(rk_recycle_decide(&c, slots, 4, T0 - S, T0).slot, 1);
}
END_TEST

START_TEST(each_process_has_its_own_share_of_max_jobs)
{
	static const uint64_t bounds[] = { 1, 2, 7, 8, 9, 1000, 1000000, UINT64_MAX };
	uint64_t least = UINT64_MAX, most = 0;

	for (size_t i = 0; i < rk_countof(bounds); i++)
		for (uint32_t slot = 0; slot < 64; slot++)
			for (uint64_t k = 1; k < 20; k++) {
				uint64_t n = rk_recycle_max_jobs(bounds[i], slot, k);

				ck_assert(n > 0 && n <= bounds[i] &&
					  n >= bounds[i] - bounds[i] / 8);
			}
	for (uint32_t slot = 0; slot < 64; slot++) {
		least = rk_min_u64(least, rk_recycle_max_jobs(1000000, slot, 1));
		most = rk_max_u64(most, rk_recycle_max_jobs(1000000, slot, 1));
	}
	ck_assert_uint_gt(most - least, 100000);
}
END_TEST

/* Sixteen workers that start together, work alike and leak alike. */
START_TEST(a_fleet_that_ages_together_is_renewed_one_by_one)
{
	enum { N = 16 };
	struct rk_rand random = rk_rand_init((uint64_t)_i);
	struct rk_recycle_slot slots[N];
	uint64_t back_ns[N] = { 0 }, last_ns = 0;
	struct rk_recycle_conf c = both;
	uint32_t n_recycled[N] = { 0 };

	c.gap_ns = S / 10;
	for (uint32_t i = 0; i < N; i++)
		slots[i] = ready(0, 0);
	for (uint64_t now_ns = T0; now_ns < T0 + 600 * S; now_ns += S / 25) {
		struct rk_recycle r;
		uint32_t n_away = 0;

		for (uint32_t i = 0; i < N; i++) {
			uint64_t incarnation = slots[i].incarnation;

			if (!slots[i].is_ready && now_ns >= back_ns[i]) {
				slots[i] = ready(0, 0);
				slots[i].incarnation = incarnation + 1;
			}
			n_away += !slots[i].is_ready;
			slots[i].n_jobs += rk_rand_below(&random, 40);
			slots[i].rss += rk_rand_below(&random, MIB / 8);
			ck_assert_msg(slots[i].n_jobs < 12000, "seed %d: slot %u is forgotten", _i,
				      i);
		}
		ck_assert_msg(n_away <= 1, "seed %d: %u away", _i, n_away);
		r = rk_recycle_decide(&c, slots, N, last_ns, now_ns);
		if (r.slot == RK_RECYCLE_NOBODY)
			continue;
		ck_assert_msg(last_ns == 0 || now_ns - last_ns >= c.gap_ns, "seed %d", _i);
		last_ns = now_ns;
		n_recycled[r.slot]++;
		slots[r.slot].is_ready = false;
		back_ns[r.slot] = now_ns + S / 2;
	}
	for (uint32_t i = 0; i < N; i++)
		ck_assert_msg(n_recycled[i] >= 20, "seed %d: slot %u %u times", _i, i,
			      n_recycled[i]);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("recycle");

	tcase_add_test(c, who_is_over_a_bound_is_recycled_and_nobody_else);
	tcase_add_test(c, without_bounds_nobody_is);
	tcase_add_test(c, the_worst_goes_first_and_only_while_enough_are_there);
	tcase_add_test(c, each_process_has_its_own_share_of_max_jobs);
	tcase_add_loop_test(c, a_fleet_that_ages_together_is_renewed_one_by_one, 0, 20);
	return unit_run(c);
}
