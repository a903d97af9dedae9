/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Placement keeps what its header promises: quotas by largest
 *         remainder, minimal moves, less than one partition from the exact
 *         share, the same table whatever the order of the members, and bad
 *         input refused without a trace.
 * Method  Three references that share no code with it: every apportionment of
 *         every small case, a lower bound computed from the loads alone, and a
 *         plain model that reads like the specification. Random fleets come
 *         from a seed, which each failure names.
 */
#include "supervisor/place.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#define N_SEEDS 40
#define N_STEPS 12
#define P_MAX RK_PLACE_PARTITIONS_MAX
#define M_MAX RK_PLACE_MEMBERS_MAX

/* A fleet under test; too large for the stack of a test, so every test makes one. */
struct fleet {
	struct rk_place_member members[M_MAX + 1];
	uint16_t before[P_MAX];
	uint16_t table[P_MAX];
	uint16_t other[P_MAX];
	uint32_t n_partitions;
	uint32_t n_members;
	uint64_t seed;
	struct rk_rand random;
	void *scratch;
	size_t scratch_size;
};

static uint32_t draw(struct fleet *f, uint32_t below)
{
	return (uint32_t)rk_rand_below(&f->random, below);
}

static struct fleet *fleet_new(uint32_t n_partitions, uint64_t seed)
{
	struct fleet *f = calloc(1, sizeof(*f));

	ck_assert_ptr_nonnull(f);
	f->n_partitions = n_partitions;
	f->seed = seed;
	f->random = rk_rand_init(seed);
	memset(f->table, 0xff, sizeof(f->table));
	return f;
}

static void fleet_free(struct fleet *f)
{
	free(f->scratch);
	free(f);
}

static void add(struct fleet *f, uint16_t slot, uint32_t weight)
{
	f->members[f->n_members++] =
		(struct rk_place_member){ .id = 1000 + slot, .weight = weight, .slot = slot };
}

static void add_equal(struct fleet *f, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		add(f, (uint16_t)i, 1);
}

static struct rk_place_member take_out(struct fleet *f, uint32_t at)
{
	struct rk_place_member gone = f->members[at];

	f->members[at] = f->members[--f->n_members];
	return gone;
}

/* Of the exact size, so that ASan sees an overrun, and dirty, so that nothing relies on it. */
static void *scratch_of(struct fleet *f)
{
	size_t size = rk_place_scratch_size(f->n_partitions, f->n_members);

	if (size != f->scratch_size) {
		free(f->scratch);
		f->scratch = malloc(size);
		ck_assert_ptr_nonnull(f->scratch);
		f->scratch_size = size;
	}
	memset(f->scratch, (int)draw(f, 256), size);
	return f->scratch;
}

static int place(struct fleet *f, uint16_t *table, uint32_t *ret_n_moves)
{
	struct rk_place_view view = { f->members, f->n_members, f->seed };

	return rk_place_rebalance(table, f->n_partitions, &view, scratch_of(f), ret_n_moves);
}

static size_t table_size(const struct fleet *f)
{
	return f->n_partitions * sizeof(f->table[0]);
}

/* Places f->table, leaves the old one in f->before, and returns the moves. */
static uint32_t move(struct fleet *f)
{
	uint32_t n_moves = UINT32_MAX;

	memcpy(f->before, f->table, table_size(f));
	ck_assert_int_eq(place(f, f->table, &n_moves), 0);
	return n_moves;
}

static uint32_t held_by(const struct fleet *f, const uint16_t *table, uint16_t slot)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < f->n_partitions; p++)
		n += table[p] == slot;
	return n;
}

static uint64_t total_weight(const struct fleet *f)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < f->n_members; i++)
		total += f->members[i].weight;
	return total;
}

static uint32_t count_changed(const struct fleet *f)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < f->n_partitions; p++)
		n += f->table[p] != f->before[p];
	return n;
}

/* Changed entries that left the slot from, or reached the slot to; RK_PLACE_NONE: any. */
static uint32_t count_moves(const struct fleet *f, uint16_t from, uint16_t to)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < f->n_partitions; p++)
		n += f->table[p] != f->before[p] &&
		     (from == RK_PLACE_NONE || f->before[p] == from) &&
		     (to == RK_PLACE_NONE || f->table[p] == to);
	return n;
}

/* Every partition has a present owner, and every owner less than one from its exact share. */
static void assert_balanced(const struct fleet *f)
{
	uint32_t *held = calloc(1u << 16, sizeof(*held));
	uint64_t total = total_weight(f);
	uint32_t n_owned = 0;

	ck_assert_ptr_nonnull(held);
	for (uint32_t p = 0; p < f->n_partitions; p++)
		held[f->table[p]]++;
	for (uint32_t i = 0; i < f->n_members; i++) {
		uint32_t n = held[f->members[i].slot];
		int64_t off = (int64_t)(n * total) -
			      (int64_t)((uint64_t)f->n_partitions * f->members[i].weight);

		n_owned += n;
		ck_assert_msg(llabs(off) < (int64_t)total, "seed %llu: slot %u holds %u of %u",
			      (unsigned long long)f->seed, f->members[i].slot, n, f->n_partitions);
	}
	ck_assert_msg(n_owned == f->n_partitions, "seed %llu: %u of %u owned",
		      (unsigned long long)f->seed, n_owned, f->n_partitions);
	free(held);
}

/*
 * The fewest moves to any apportionment by largest remainder: what is below
 * the whole parts stays anyway, and of the rest, larger remainders first, as
 * many seats as possible go to members that hold more than the whole part.
 */
static uint32_t fewest_moves(const struct fleet *f, const uint16_t *before)
{
	static const uint64_t TAKEN = UINT64_MAX;
	uint64_t total = total_weight(f);
	uint64_t remainder[64 + 16];
	uint32_t surplus[64 + 16];
	uint32_t kept = 0;
	uint32_t rest = f->n_partitions;

	ck_assert_uint_le(f->n_members, rk_countof(remainder));
	for (uint32_t i = 0; i < f->n_members; i++) {
		uint64_t product = (uint64_t)f->n_partitions * f->members[i].weight;
		uint32_t whole = (uint32_t)(product / total);
		uint32_t held = held_by(f, before, f->members[i].slot);

		remainder[i] = product % total;
		surplus[i] = held > whole;
		kept += held > whole ? whole : held;
		rest -= whole;
	}
	for (; rest > 0; rest--) {
		uint32_t best = 0;

		for (uint32_t i = 1; i < f->n_members; i++)
			if (remainder[best] == TAKEN ||
			    (remainder[i] != TAKEN &&
			     (remainder[i] > remainder[best] ||
			      (remainder[i] == remainder[best] && surplus[i] > surplus[best]))))
				best = i;
		kept += surplus[best];
		remainder[best] = TAKEN;
	}
	return f->n_partitions - kept;
}

/* --- the plain model: the three sentences of the design, without any care for speed --- */

static uint64_t model_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint64_t model_key(const struct fleet *f, uint32_t i)
{
	return model_mix(f->members[i].id ^ model_mix(~f->seed));
}

static uint64_t model_score(const struct fleet *f, uint32_t i, uint32_t p)
{
	return model_mix(model_key(f, i) ^ model_mix(p + 0x9e3779b97f4a7c15u));
}

/* Is the extra partition rather i's than k's? */
static int model_precedes(const struct fleet *f, const uint32_t *held, uint32_t i, uint32_t k)
{
	uint64_t total = total_weight(f);
	uint64_t share_i = (uint64_t)f->n_partitions * f->members[i].weight;
	uint64_t share_k = (uint64_t)f->n_partitions * f->members[k].weight;
	int64_t above_i = (int64_t)held[i] - (int64_t)(share_i / total);
	int64_t above_k = (int64_t)held[k] - (int64_t)(share_k / total);

	if (share_i % total != share_k % total)
		return share_i % total > share_k % total;
	if (above_i != above_k)
		return above_i > above_k;
	return model_key(f, i) < model_key(f, k);
}

static void model_quotas(const struct fleet *f, const uint32_t *held, uint32_t *quota)
{
	uint64_t total = total_weight(f);
	uint32_t rest = f->n_partitions;

	for (uint32_t i = 0; i < f->n_members; i++) {
		quota[i] = (uint32_t)((uint64_t)f->n_partitions * f->members[i].weight / total);
		rest -= quota[i];
	}
	for (uint32_t i = 0; i < f->n_members; i++) {
		uint32_t rank = 0;

		for (uint32_t k = 0; k < f->n_members; k++)
			rank += k != i && model_precedes(f, held, k, i);
		quota[i] += rank < rest;
	}
}

static void model_shed_one(const struct fleet *f, uint16_t *table, uint32_t i)
{
	uint32_t worst = UINT32_MAX;

	for (uint32_t p = 0; p < f->n_partitions; p++)
		if (table[p] == f->members[i].slot &&
		    (worst == UINT32_MAX || model_score(f, i, p) < model_score(f, i, worst)))
			worst = p;
	table[worst] = RK_PLACE_NONE;
}

static void model_rebalance(const struct fleet *f, uint16_t *table)
{
	uint32_t held[64];
	uint32_t quota[64];
	uint32_t n_present = 0;

	ck_assert_uint_le(f->n_members, rk_countof(held));
	for (uint32_t i = 0; i < f->n_members; i++)
		n_present += held[i] = held_by(f, table, f->members[i].slot);
	for (uint32_t p = 0; p < f->n_partitions && n_present < f->n_partitions; p++) {
		uint32_t i = 0;

		while (i < f->n_members && f->members[i].slot != table[p])
			i++;
		if (i == f->n_members)
			table[p] = RK_PLACE_NONE;
	}
	model_quotas(f, held, quota);
	for (uint32_t i = 0; i < f->n_members; i++)
		for (; held[i] > quota[i]; held[i]--)
			model_shed_one(f, table, i);
	for (uint32_t p = 0; p < f->n_partitions; p++) {
		uint32_t best = UINT32_MAX;

		if (table[p] != RK_PLACE_NONE)
			continue;
		for (uint32_t i = 0; i < f->n_members; i++)
			if (held[i] < quota[i] &&
			    (best == UINT32_MAX || model_score(f, i, p) > model_score(f, best, p)))
				best = i;
		table[p] = f->members[best].slot;
		held[best]++;
	}
}

/* --- random fleets --- */

static uint32_t draw_weight(struct fleet *f, int kind)
{
	switch (kind) {
	case 0:
		return 7;
	case 1:
		return 1 + draw(f, 3); /* many ties between different whole parts */
	case 2:
		return 1u << draw(f, 32);
	default:
		return UINT32_MAX - draw(f, 3);
	}
}

static struct fleet *fleet_random(uint64_t seed)
{
	struct fleet *f = fleet_new(1, seed);
	uint32_t n = 1 + draw(f, 48);
	int kind = (int)draw(f, 4);

	f->n_partitions = 1u << draw(f, 10);
	for (uint32_t i = 0; i < n; i++)
		add(f, (uint16_t)(i * 1021 + draw(f, 1021)), draw_weight(f, kind));
	for (uint32_t p = 0; p < f->n_partitions; p++)
		f->table[p] =
			draw(f, 3) == 0 ? (uint16_t)draw(f, 1u << 16) : f->members[draw(f, n)].slot;
	return f;
}

/* One scale-up, scale-down or new weight. */
static void disturb(struct fleet *f)
{
	uint32_t at = draw(f, f->n_members);

	switch (draw(f, 3)) {
	case 0:
		if (f->n_members > 1)
			(void)take_out(f, at);
		break;
	case 1:
		if (f->n_members < 60) /* every other slot is below 49 * 1021 */
			add(f, (uint16_t)(51000 + draw(f, 1u << 13)), f->members[at].weight);
		break;
	default:
		f->members[at].weight = 1 + f->members[at].weight / 2;
	}
}

static int has_twins(const struct fleet *f)
{
	for (uint32_t i = 0; i < f->n_members; i++)
		for (uint32_t k = 0; k < i; k++)
			if (f->members[i].slot == f->members[k].slot)
				return 1;
	return 0;
}

static void shuffle(struct fleet *f)
{
	for (uint32_t i = f->n_members; i > 1; i--) {
		uint32_t k = draw(f, i);
		struct rk_place_member m = f->members[k];

		f->members[k] = f->members[i - 1];
		f->members[i - 1] = m;
	}
}

/* --- the tests --- */

START_TEST(the_result_of_a_known_case_never_changes)
{
	/* A change here means that hosts of two versions disagree: see place.h. */
	static const uint16_t first[16] = { 1, 1, 1, 0, 1, 1, 1, 0, 0, 2, 2, 0, 2, 0, 2, 2 };
	static const uint16_t second[16] = { 1, 3, 3, 3, 3, 1, 1, 0, 3, 2, 3, 0, 2, 0, 2, 3 };
	struct fleet *f = fleet_new(16, 42);

	add_equal(f, 3);
	ck_assert_uint_eq(move(f), 16);
	ck_assert_mem_eq(f->table, first, sizeof(first));
	add(f, 3, 2);
	(void)move(f);
	ck_assert_mem_eq(f->table, second, sizeof(second));
	fleet_free(f);
}
END_TEST

START_TEST(one_member_gets_everything)
{
	struct fleet *f = fleet_new(1u << _i, 1);

	add(f, 0xfffe, UINT32_MAX);
	ck_assert_uint_eq(move(f), f->n_partitions);
	ck_assert_uint_eq(held_by(f, f->table, 0xfffe), f->n_partitions);
	ck_assert_uint_eq(move(f), 0);
	fleet_free(f);
}
END_TEST

START_TEST(shares_follow_the_weights)
{
	static const uint32_t expected[] = { 100, 200, 300, 424 };
	struct fleet *f = fleet_new(1024, 5);

	for (uint16_t i = 0; i < 4; i++)
		add(f, i, expected[i]);
	(void)move(f);
	for (uint16_t i = 0; i < 4; i++)
		ck_assert_uint_eq(held_by(f, f->table, i), expected[i]);
	fleet_free(f);
}
END_TEST

START_TEST(with_more_members_than_partitions_each_owns_at_most_one)
{
	struct fleet *f = fleet_new(8, 3);

	add_equal(f, 20);
	ck_assert_uint_eq(move(f), 8);
	assert_balanced(f);
	ck_assert_uint_eq(move(f), 0);
	fleet_free(f);
}
END_TEST

START_TEST(entries_that_name_no_member_are_free)
{
	static const uint16_t foreign[] = { RK_PLACE_NONE, 0xfffe, 4096, 4, 0x8000 };
	struct fleet *f = fleet_new(256, 9);

	add_equal(f, 4);
	(void)move(f);
	for (uint32_t i = 0; i < rk_countof(foreign); i++)
		f->table[i * 50] = foreign[i];
	ck_assert_uint_eq(move(f), rk_countof(foreign));
	ck_assert_uint_eq(count_changed(f), rk_countof(foreign));
	assert_balanced(f);
	fleet_free(f);
}
END_TEST

/* Shares of 0.5, 2.5 and 1: the tie is between whole parts of 0 and 2. */
START_TEST(an_unchanged_view_moves_nothing_even_when_different_weights_tie)
{
	static const uint32_t weights[] = { 1, 5, 2 };
	struct fleet *f = fleet_new(4, (uint64_t)_i);

	for (uint16_t i = 0; i < 3; i++)
		add(f, i, weights[i]);
	(void)move(f);
	ck_assert_msg(move(f) == 0, "seed %d", _i);
	fleet_free(f);
}
END_TEST

START_TEST(the_seed_decides_which_partitions_a_member_gets)
{
	struct fleet *f = fleet_new(1024, 1);
	struct fleet *g = fleet_new(1024, 2);

	add_equal(f, 4);
	add_equal(g, 4);
	(void)move(f);
	(void)move(g);
	memcpy(f->before, g->table, sizeof(g->table));
	ck_assert_uint_gt(count_changed(f), 1024 / 2); /* about 3 in 4 */
	fleet_free(f);
	fleet_free(g);
}
END_TEST

/* --- every small case: 4 partitions, 3 members, any table, any weights of 1..5 --- */

static int is_apportionment(const uint32_t *quota, const uint32_t *weight)
{
	uint32_t total = weight[0] + weight[1] + weight[2];

	for (int i = 0; i < 3; i++) {
		uint32_t whole = 4 * weight[i] / total;

		if (quota[i] != whole && quota[i] != whole + 1)
			return 0;
		for (int k = 0; k < 3; k++)
			if (quota[i] > whole && quota[k] == 4 * weight[k] / total &&
			    4 * weight[k] % total > 4 * weight[i] % total)
				return 0;
	}
	return 1;
}

static uint32_t fewest_of_all(const uint32_t *held, const uint32_t *weight)
{
	uint32_t fewest = UINT32_MAX;

	for (uint32_t code = 0; code < 5 * 5; code++) {
		uint32_t quota[3] = { code % 5, code / 5, 4 - code % 5 - code / 5 };
		uint32_t n_moves = 4;

		if (quota[0] + quota[1] > 4 || !is_apportionment(quota, weight))
			continue;
		for (int i = 0; i < 3; i++)
			n_moves -= held[i] < quota[i] ? held[i] : quota[i];
		if (n_moves < fewest)
			fewest = n_moves;
	}
	return fewest;
}

START_TEST(every_small_case_moves_the_fewest_of_all_apportionments)
{
	uint32_t weight[3] = { 1 + (uint32_t)_i % 5, 1 + (uint32_t)_i / 5 % 5,
			       1 + (uint32_t)_i / 25 };
	struct fleet *f = fleet_new(4, (uint64_t)_i);

	for (uint16_t i = 0; i < 3; i++)
		add(f, i, weight[i]);
	for (uint32_t code = 0; code < 4 * 4 * 4 * 4; code++) {
		uint32_t held[3];
		uint32_t n_moves;

		for (uint32_t p = 0; p < 4; p++)
			f->table[p] = (uint16_t)(code >> 2 * p & 3); /* 3 names nobody */
		for (uint16_t i = 0; i < 3; i++)
			held[i] = held_by(f, f->table, i);
		n_moves = move(f);
		assert_balanced(f);
		ck_assert_uint_eq(n_moves, count_changed(f));
		ck_assert_msg(n_moves == fewest_of_all(held, weight), "weights %d, table %u: %u",
			      _i, code, n_moves);
	}
	fleet_free(f);
}
END_TEST

START_TEST(random_fleets_stay_balanced_by_the_fewest_moves)
{
	struct fleet *f = fleet_random((uint64_t)_i);

	for (int step = 0; step < N_STEPS; step++, disturb(f)) {
		uint32_t n_moves;

		if (has_twins(f))
			break;
		n_moves = move(f);
		assert_balanced(f);
		ck_assert_msg(n_moves == count_changed(f), "seed %d step %d: says %u, changed %u",
			      _i, step, n_moves, count_changed(f));
		ck_assert_msg(n_moves == fewest_moves(f, f->before), "seed %d step %d: %u not %u",
			      _i, step, n_moves, fewest_moves(f, f->before));
		ck_assert_msg(move(f) == 0, "seed %d step %d: not at rest", _i, step);
	}
	fleet_free(f);
}
END_TEST

START_TEST(the_order_of_the_members_does_not_matter)
{
	struct fleet *f = fleet_random((uint64_t)_i);
	uint32_t n_moves = move(f);

	for (int i = 0; i < 5; i++) {
		uint32_t n_other;

		memcpy(f->other, f->before, table_size(f));
		if (i > 0) /* 0: the same call again */
			shuffle(f);
		ck_assert_int_eq(place(f, f->other, &n_other), 0);
		ck_assert_msg(n_other == n_moves, "seed %d", _i);
		ck_assert_msg(memcmp(f->other, f->table, table_size(f)) == 0, "seed %d", _i);
	}
	fleet_free(f);
}
END_TEST

START_TEST(the_table_is_that_of_the_plain_model)
{
	struct fleet *f = fleet_random((uint64_t)_i);

	for (int step = 0; step < N_STEPS && !has_twins(f); step++, disturb(f)) {
		(void)move(f);
		memcpy(f->other, f->before, table_size(f));
		model_rebalance(f, f->other);
		ck_assert_msg(memcmp(f->other, f->table, table_size(f)) == 0, "seed %d step %d", _i,
			      step);
	}
	fleet_free(f);
}
END_TEST

/* --- one leaves, one joins --- */

static const struct {
	uint32_t n_partitions;
	uint32_t n_members;
} sizes[] = { { 2, 2 },         { 8, 3 },   { 256, 4 },     { 256, 7 },      { 1u << 14, 64 },
	      { 1u << 14, 63 }, { 16, 20 }, { P_MAX, 500 }, { P_MAX, M_MAX } };

START_TEST(losing_one_moves_only_what_it_held)
{
	struct fleet *f = fleet_new(sizes[_i].n_partitions, 11);
	uint32_t held;
	uint16_t gone;

	add_equal(f, sizes[_i].n_members);
	for (uint32_t p = 0; p < f->n_partitions; p++)
		f->table[p] = (uint16_t)(p % f->n_members);
	ck_assert_uint_eq(move(f), 0);
	gone = take_out(f, draw(f, f->n_members)).slot;
	held = held_by(f, f->table, gone);
	ck_assert_uint_eq(move(f), held);
	ck_assert_uint_eq(count_moves(f, gone, RK_PLACE_NONE), held);
	ck_assert_uint_eq(count_changed(f), held);
	assert_balanced(f);
	fleet_free(f);
}
END_TEST

START_TEST(one_that_joins_gets_its_quota_and_nobody_else_anything)
{
	struct fleet *f = fleet_new(sizes[_i].n_partitions, 12);
	uint16_t newcomer = (uint16_t)(sizes[_i].n_members - 1);
	uint32_t n_moves;

	add_equal(f, newcomer);
	for (uint32_t p = 0; p < f->n_partitions; p++)
		f->table[p] = (uint16_t)(p % f->n_members);
	ck_assert_uint_eq(move(f), 0);
	add(f, newcomer, 1);
	n_moves = move(f);
	ck_assert_uint_eq(n_moves, f->n_partitions / f->n_members); /* never the larger quota */
	ck_assert_uint_eq(count_moves(f, RK_PLACE_NONE, newcomer), n_moves);
	ck_assert_uint_eq(count_changed(f), n_moves);
	assert_balanced(f);
	fleet_free(f);
}
END_TEST

START_TEST(a_member_that_returns_changes_nothing_between_the_others)
{
	struct fleet *f = fleet_new(1u << 14, (uint64_t)_i);
	struct rk_place_member gone;
	uint32_t n_left;
	uint32_t n_back;

	add_equal(f, 64);
	(void)move(f);
	gone = take_out(f, draw(f, 64));
	n_left = move(f);
	ck_assert_uint_eq(n_left, (1u << 14) / 64);
	f->members[f->n_members++] = gone;
	n_back = move(f);
	ck_assert_msg(n_back == n_left, "seed %d: %u left, %u back", _i, n_left, n_back);
	ck_assert_uint_eq(count_moves(f, RK_PLACE_NONE, gone.slot), n_back);
	ck_assert_uint_eq(count_changed(f), n_back);
	assert_balanced(f);
	fleet_free(f);
}
END_TEST

/* --- bad input --- */

static const struct {
	const char *what;
	uint32_t n_partitions;
	uint32_t n_members;
	struct rk_place_member last; /* stands in the last place */
} bad[] = {
	{ "no partitions", 0, 3, { 9, 1, 9 } },
	{ "not a power of two", 24, 3, { 9, 1, 9 } },
	{ "too many partitions", 2 * P_MAX, 3, { 9, 1, 9 } },
	{ "the most that is no power of two", UINT32_MAX, 3, { 9, 1, 9 } },
	{ "no members", 16, 0, { 9, 1, 9 } },
	{ "too many members", 16, M_MAX + 1, { 9, 1, 9000 } },
	{ "zero weight", 16, 3, { 9, 0, 9 } },
	{ "zero weight of the only one", 16, 1, { 9, 0, 9 } },
	{ "the slot that means nobody", 16, 3, { 9, 1, RK_PLACE_NONE } },
	{ "a slot twice", 16, 3, { 9, 1, 0 } },
	{ "an id twice", 16, 3, { 1000, 1, 9 } },
	{ "a member twice", 16, 3, { 1001, 1, 1 } },
	{ "a slot twice, among many", 16, M_MAX, { 9, 1, 2077 } },
	{ "an id twice, among many", 16, M_MAX, { 1000 + 2077, 1, 9000 } },
};

START_TEST(bad_input_is_refused_and_changes_nothing)
{
	struct fleet *f = fleet_new(16, 1);
	void *scratch = malloc(rk_place_scratch_size(2 * P_MAX, M_MAX + 1));
	uint32_t n_moves = 77;
	struct rk_place_view view = { f->members, bad[_i].n_members, 1 };

	ck_assert_ptr_nonnull(scratch);
	add_equal(f, bad[_i].n_members);
	if (bad[_i].n_members > 0)
		f->members[bad[_i].n_members - 1] = bad[_i].last;
	for (uint32_t p = 0; p < P_MAX; p++)
		f->table[p] = (uint16_t)draw(f, 1u << 16);
	memcpy(f->before, f->table, sizeof(f->table));
	ck_assert_msg(rk_place_rebalance(f->table, bad[_i].n_partitions, &view, scratch,
					 &n_moves) == -EINVAL,
		      "accepted: %s", bad[_i].what);
	ck_assert_uint_eq(n_moves, 77);
	ck_assert_mem_eq(f->table, f->before, sizeof(f->table));
	free(scratch);
	fleet_free(f);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("place");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, the_result_of_a_known_case_never_changes);
	tcase_add_loop_test(c, one_member_gets_everything, 0, 17);
	tcase_add_test(c, shares_follow_the_weights);
	tcase_add_test(c, with_more_members_than_partitions_each_owns_at_most_one);
	tcase_add_test(c, entries_that_name_no_member_are_free);
	tcase_add_loop_test(c, an_unchanged_view_moves_nothing_even_when_different_weights_tie, 0,
			    16);
	tcase_add_test(c, the_seed_decides_which_partitions_a_member_gets);
	tcase_add_loop_test(c, every_small_case_moves_the_fewest_of_all_apportionments, 0, 125);
	tcase_add_loop_test(c, random_fleets_stay_balanced_by_the_fewest_moves, 0, N_SEEDS);
	tcase_add_loop_test(c, the_order_of_the_members_does_not_matter, 0, N_SEEDS);
	tcase_add_loop_test(c, the_table_is_that_of_the_plain_model, 0, N_SEEDS);
	tcase_add_loop_test(c, losing_one_moves_only_what_it_held, 0, rk_countof(sizes));
	tcase_add_loop_test(c, one_that_joins_gets_its_quota_and_nobody_else_anything, 0,
			    rk_countof(sizes));
	tcase_add_loop_test(c, a_member_that_returns_changes_nothing_between_the_others, 0, 8);
	tcase_add_loop_test(c, bad_input_is_refused_and_changes_nothing, 0, rk_countof(bad));
	return unit_run(c);
}
