/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Each strategy affects exactly whom its definition names; fleets start in an order
 *         that respects After and Requires and stop in its reverse; a cycle is named; who
 *         requires a fleet that failed for good does not run.
 * Method  The five fleets of a small shop, by hand; then random graphs from a seed, which each
 *         failure names, against the definitions word by word.
 */
#include "supervisor/strategy.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/rand.h"
#include "tests/unit/unit.h"

enum { DB, CACHE, WEB, MAIL, LOG, N };

#define B(i) (UINT64_C(1) << (i))

static const struct rk_strategy_fleet shop[N] = {
	[DB] = { .name = "db", .n_slots = 4, .within = RK_STRATEGY_ONE_FOR_ALL, .after = B(LOG) },
	[CACHE] = { .name = "cache", .n_slots = 2, .after = B(DB) },
	[WEB] = { .name = "web",
		  .n_slots = 8,
		  .within = RK_STRATEGY_REST_FOR_ONE,
		  .after = B(CACHE),
		  .requires = B(DB) },
	[MAIL] = { .name = "mail", .n_slots = 1, .requires = B(WEB) },
	[LOG] = { .name = "log", .n_slots = 3 },
};

static struct rk_strategy_fleets sorted(const struct rk_strategy_fleet *fleets, uint32_t n,
					enum rk_strategy between)
{
	struct rk_strategy_fleets s = { .fleets = fleets, .n = n, .between = between };
	struct rk_err err;

	ck_assert_int_eq(rk_strategy_sort(&s, &err), 0);
	return s;
}

static uint32_t n_affected(const struct rk_strategy_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->n; i++)
		n += plan->ranges[i].end - plan->ranges[i].first;
	return n;
}

START_TEST(fleets_start_behind_those_they_name_and_else_as_written)
{
	static const uint8_t want[N] = { LOG, DB, CACHE, WEB, MAIL };
	static const struct rk_strategy_fleet free_ones[3] = { { .name = "c", .n_slots = 1 },
							       { .name = "a", .n_slots = 1 },
							       { .name = "b", .n_slots = 1 } };
	struct rk_strategy_fleets s = sorted(shop, N, RK_STRATEGY_ONE_FOR_ONE);

	ck_assert_mem_eq(s.order, want, sizeof(want));
	s = sorted(free_ones, 3, RK_STRATEGY_ONE_FOR_ONE);
	for (uint8_t i = 0; i < 3; i++)
		ck_assert_uint_eq(s.order[i], i);
}
END_TEST

START_TEST(a_cycle_is_named_and_only_the_cycle)
{
	struct rk_strategy_fleet fleets[N];
	struct rk_strategy_fleets s = { .fleets = fleets, .n = N };
	struct rk_err err;

	memcpy(fleets, shop, sizeof(shop));
	fleets[LOG].requires = B(CACHE);
	ck_assert_int_eq(rk_strategy_sort(&s, &err), -ELOOP);
	ck_assert_str_eq(err.text, "fleets wait for each other: db after log after cache after db");
	fleets[LOG].requires = B(LOG);
	ck_assert_int_eq(rk_strategy_sort(&s, &err), -ELOOP);
	ck_assert_str_eq(err.text, "fleets wait for each other: log after log");
	fleets[LOG].requires = B(N);
	ck_assert_int_eq(rk_strategy_sort(&s, &err), -EINVAL);
	s.n = 0;
	ck_assert_int_eq(rk_strategy_sort(&s, &err), -EINVAL);
	s.n = RK_STRATEGY_FLEETS_MAX + 1;
	ck_assert_int_eq(rk_strategy_sort(&s, NULL), -EINVAL);
}
END_TEST

START_TEST(sixty_four_fleets_in_a_ring_are_refused_without_harm)
{
	struct rk_strategy_fleet fleets[RK_STRATEGY_FLEETS_MAX];
	struct rk_strategy_fleets s = { .fleets = fleets, .n = RK_STRATEGY_FLEETS_MAX };
	struct rk_err err;

	for (uint32_t i = 0; i < s.n; i++)
		fleets[i] = (struct rk_strategy_fleet){ .name = "a-fleet-with-a-long-name",
							.n_slots = 1,
							.after = B((i + 1) % s.n) };
	ck_assert_int_eq(rk_strategy_sort(&s, &err), -ELOOP);
	fleets[0].after = 0; /* cut: now a chain, the wrong way round */
	fleets[s.n - 1].after = B(0);
	for (uint32_t i = 1; i < s.n; i++)
		fleets[i].after = B(i - 1);
	ck_assert_int_eq(rk_strategy_sort(&s, &err), 0);
	ck_assert_uint_eq(s.order[63], 63);
	ck_assert(rk_strategy_dependents(&s, B(0)) == ~B(0));
}
END_TEST

START_TEST(each_strategy_affects_whom_it_names)
{
	static const struct {
		enum rk_strategy between;
		uint32_t fleet, slot, n;
		struct rk_strategy_range ranges[N];
	} cases[] = {
		{ RK_STRATEGY_ONE_FOR_ONE, CACHE, 1, 1, { { CACHE, 1, 2 } } },
		{ RK_STRATEGY_ONE_FOR_ONE, DB, 2, 1, { { DB, 0, 4 } } },
		{ RK_STRATEGY_ONE_FOR_ONE, WEB, 5, 1, { { WEB, 5, 8 } } },
		{ RK_STRATEGY_ONE_FOR_ONE, WEB, 7, 1, { { WEB, 7, 8 } } },
		{ RK_STRATEGY_REST_FOR_ONE, MAIL, 0, 1, { { MAIL, 0, 1 } } },
		{ RK_STRATEGY_REST_FOR_ONE,
		  CACHE,
		  0,
		  3,
		  { { CACHE, 0, 1 }, { WEB, 0, 8 }, { MAIL, 0, 1 } } },
		{ RK_STRATEGY_REST_FOR_ONE, WEB, 6, 2, { { WEB, 6, 8 }, { MAIL, 0, 1 } } },
		{ RK_STRATEGY_ONE_FOR_ALL,
		  CACHE,
		  1,
		  5,
		  { { LOG, 0, 3 }, { DB, 0, 4 }, { CACHE, 0, 2 }, { WEB, 0, 8 }, { MAIL, 0, 1 } } },
	};

	for (size_t i = 0; i < rk_countof(cases); i++) {
		struct rk_strategy_fleets s = sorted(shop, N, cases[i].between);
		struct rk_strategy_plan plan;

		rk_strategy_on_death(&s, cases[i].fleet, cases[i].slot, &plan);
		ck_assert_msg(plan.n == cases[i].n, "case %zu: %u ranges", i, plan.n);
		ck_assert_mem_eq(plan.ranges, cases[i].ranges, plan.n * sizeof(plan.ranges[0]));
		ck_assert(rk_strategy_affects(&plan, cases[i].fleet, cases[i].slot));
	}
}
END_TEST

START_TEST(who_requires_what_failed_for_good_does_not_run)
{
	struct rk_strategy_fleets s = sorted(shop, N, RK_STRATEGY_ONE_FOR_ONE);

	ck_assert_uint_eq(rk_strategy_orphans(&s, B(DB)), B(WEB) | B(MAIL));
	ck_assert_uint_eq(rk_strategy_orphans(&s, B(CACHE)), 0);
	ck_assert_uint_eq(rk_strategy_orphans(&s, B(DB) | B(WEB)), B(MAIL));
	ck_assert_int_eq(rk_strategy_may_start(&s, MAIL, 0, B(DB)), RK_STRATEGY_NEVER);
	/* After alone: it goes on without. */
	ck_assert_int_eq(rk_strategy_may_start(&s, WEB, B(DB), B(CACHE)), RK_STRATEGY_START);
	ck_assert_int_eq(rk_strategy_may_start(&s, WEB, B(DB), 0), RK_STRATEGY_WAIT);
	ck_assert_int_eq(rk_strategy_may_start(&s, WEB, B(CACHE), 0), RK_STRATEGY_WAIT);
	ck_assert_int_eq(rk_strategy_may_start(&s, LOG, 0, 0), RK_STRATEGY_START);
}
END_TEST

static struct rk_strategy_fleets random_fleets(struct rk_rand *random,
					       struct rk_strategy_fleet *fleets)
{
	struct rk_strategy_fleets s = { .fleets = fleets,
					.n = 1 + (uint32_t)rk_rand_below(random, 64),
					.between = (enum rk_strategy)rk_rand_below(random, 3) };
	bool is_reversed = rk_rand_below(random, 2);

	for (uint32_t i = 0; i < s.n; i++) {
		/* Only those on one side: no cycle. */
		uint64_t side = is_reversed ? ~(2 * B(i) - 1) & (2 * B(s.n - 1) - 1) : B(i) - 1;
		uint64_t pick =
			rk_rand_u64(random) & rk_rand_u64(random) & rk_rand_u64(random) & side;

		fleets[i] = (struct rk_strategy_fleet){
			.name = "x",
			.n_slots = 1 + (uint32_t)rk_rand_below(random, 20),
			.within = (enum rk_strategy)rk_rand_below(random, 3),
			.after = pick,
			.requires = pick & rk_rand_u64(random),
		};
	}
	return s;
}

/* Whether a comes, directly or by others, behind b: by recursion, unlike the module. */
static bool is_behind(const struct rk_strategy_fleets *s, uint32_t a, uint32_t b, uint64_t *seen)
{
	if (*seen & B(a))
		return false;
	*seen |= B(a);
	for (uint32_t i = 0; i < s->n; i++)
		if ((s->fleets[a].after | s->fleets[a].requires) & B(i))
			if (i == b || is_behind(s, i, b, seen))
				return true;
	return false;
}

static bool is_expected(const struct rk_strategy_fleets *s, uint32_t f, uint32_t x, uint32_t fleet,
			uint32_t slot)
{
	uint64_t seen = 0;

	if (s->between == RK_STRATEGY_ONE_FOR_ALL)
		return true;
	if (f == fleet && x == slot)
		return true;
	if (f == fleet && s->fleets[f].within == RK_STRATEGY_ONE_FOR_ALL)
		return true;
	if (f == fleet && s->fleets[f].within == RK_STRATEGY_REST_FOR_ONE)
		return x > slot;
	return f != fleet && s->between == RK_STRATEGY_REST_FOR_ONE &&
	       is_behind(s, f, fleet, &seen);
}

START_TEST(random_graphs_follow_the_definitions)
{
	struct rk_rand random = rk_rand_init((uint64_t)_i);
	struct rk_strategy_fleet fleets[RK_STRATEGY_FLEETS_MAX];
	struct rk_strategy_fleets s = random_fleets(&random, fleets);
	uint32_t fleet = (uint32_t)rk_rand_below(&random, s.n), n = 0;
	uint32_t slot = (uint32_t)rk_rand_below(&random, fleets[fleet].n_slots);
	struct rk_strategy_plan plan;
	uint64_t started = 0;

	ck_assert_int_eq(rk_strategy_sort(&s, NULL), 0);
	for (uint32_t i = 0; i < s.n; i++) {
		ck_assert_msg(rk_strategy_may_start(&s, s.order[i], started, 0) ==
				      RK_STRATEGY_START,
			      "seed %d: fleet %u comes too early", _i, s.order[i]);
		started |= B(s.order[i]);
	}
	rk_strategy_on_death(&s, fleet, slot, &plan);
	for (uint32_t f = 0; f < s.n; f++)
		for (uint32_t x = 0; x < fleets[f].n_slots; x++) {
			bool want = is_expected(&s, f, x, fleet, slot);

			n += want;
			ck_assert_msg(rk_strategy_affects(&plan, f, x) == want,
				      "seed %d: %u.%u when %u.%u dies", _i, f, x, fleet, slot);
		}
	ck_assert_uint_eq(n_affected(&plan), n);
}
END_TEST

START_TEST(strategies_have_the_names_of_the_configuration)
{
	ck_assert_str_eq(rk_strategy_name(RK_STRATEGY_ONE_FOR_ONE), "one-for-one");
	ck_assert_str_eq(rk_strategy_name(RK_STRATEGY_ONE_FOR_ALL), "one-for-all");
	ck_assert_str_eq(rk_strategy_name(RK_STRATEGY_REST_FOR_ONE), "rest-for-one");
	ck_assert_str_eq(rk_strategy_name(RK_STRATEGIES), "?");
}
END_TEST

int main(void)
{
	TCase *c = unit_case("strategy");

	tcase_add_test(c, fleets_start_behind_those_they_name_and_else_as_written);
	tcase_add_test(c, a_cycle_is_named_and_only_the_cycle);
	tcase_add_test(c, sixty_four_fleets_in_a_ring_are_refused_without_harm);
	tcase_add_loop_test(c, random_graphs_follow_the_definitions, 0, 200);
	tcase_add_test(c, each_strategy_affects_whom_it_names);
	tcase_add_test(c, who_requires_what_failed_for_good_does_not_run);
	tcase_add_test(c, strategies_have_the_names_of_the_configuration);
	return unit_run(c);
}
