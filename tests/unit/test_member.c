/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A restart moves nothing; who stays down loses its partitions after its grace and gets
 *         the same ones back; scaling and draining move what place.h says and no more; moves
 *         go only to who is ready, live ones few at a time.
 * Method  Fleets in virtual time, step by step; then random lives from a seed, which each
 *         failure names, with the books of every partition kept beside.
 */
#include "supervisor/member.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#define S RK_NS_PER_S
#define MS RK_NS_PER_MS
#define T0 (1000 * S)

enum { P = 64, N = 8 };

static const struct rk_member_conf usual = {
	.n_partitions = P,
	.n_slots = N,
	.n_wanted = 4,
	.seed = 42,
	.move_after_ns = 30 * S,
	.healthy_after_ns = 10 * S,
	.max_moving = 2,
};

struct fleet {
	struct rk_member *m;
	uint64_t now_ns;
	uint16_t first[P]; /* owners at the start */
};

static struct fleet fleet_make(const struct rk_member_conf *c)
{
	struct fleet f = { .now_ns = T0 };

	ck_assert_int_eq(rk_member_open(c, NULL, &f.m), 0);
	memcpy(f.first, rk_member_owners(f.m), sizeof(f.first));
	for (uint32_t i = 0; i < c->n_wanted; i++) {
		rk_member_on(f.m, RK_MEMBER_EV_START, i, f.now_ns);
		rk_member_on(f.m, RK_MEMBER_EV_READY, i, f.now_ns);
	}
	return f;
}

static void on(struct fleet *f, enum rk_member_event e, uint32_t slot)
{
	rk_member_on(f->m, e, slot, f->now_ns);
}

/* Lets time pass in steps of what is due. */
static void pass(struct fleet *f, uint64_t ns)
{
	uint64_t end_ns = f->now_ns + ns, due_ns;

	while ((due_ns = rk_member_due_ns(f->m)) != 0 && due_ns <= end_ns) {
		if (due_ns <= f->now_ns)
			break; /* only rk_member_next() can change that */
		f->now_ns = due_ns;
		rk_member_on_timer(f->m, f->now_ns);
	}
	f->now_ns = end_ns;
	rk_member_on_timer(f->m, f->now_ns);
}

/* Does all moves there are. Returns how many, and how many of them were live. */
static uint32_t move_all(struct fleet *f, uint32_t *ret_n_live)
{
	struct rk_member_move move;
	uint32_t n = 0;

	*ret_n_live = 0;
	for (; rk_member_next(f->m, f->now_ns, &move); n++) {
		*ret_n_live += move.is_live;
		rk_member_moved(f->m, move.partition);
	}
	return n;
}

static bool is_as_first(const struct fleet *f)
{
	return memcmp(f->first, rk_member_owners(f->m), sizeof(f->first)) == 0;
}

START_TEST(a_restart_within_the_grace_moves_nothing)
{
	struct fleet f = fleet_make(&usual);
	struct rk_member_move move;

	for (int i = 0; i < 1000; i++) { /* a storm: 29 ms down of each second */
		on(&f, RK_MEMBER_EV_DOWN, 1);
		pass(&f, 29 * MS);
		on(&f, RK_MEMBER_EV_START, 1);
		on(&f, RK_MEMBER_EV_READY, 1);
		ck_assert_int_eq(rk_member_state(f.m, 1), RK_MEMBER_MEMBER);
		pass(&f, S);
		ck_assert(!rk_member_next(f.m, f.now_ns, &move));
	}
	ck_assert(is_as_first(&f));
	ck_assert_uint_eq(rk_member_due_ns(f.m), 0); /* P11: no timer is left */
	rk_member_close(f.m);
}
END_TEST

START_TEST(who_stays_down_loses_its_partitions_and_gets_the_same_ones_back)
{
	struct fleet f = fleet_make(&usual);
	uint32_t n_live;

	on(&f, RK_MEMBER_EV_DOWN, 1);
	pass(&f, 30 * S - 1);
	ck_assert_int_eq(rk_member_state(f.m, 1), RK_MEMBER_AWAY);
	ck_assert_uint_eq(move_all(&f, &n_live), 0);
	pass(&f, 1);
	ck_assert_int_eq(rk_member_state(f.m, 1), RK_MEMBER_GONE);
	ck_assert_uint_eq(move_all(&f, &n_live), P / 4);
	ck_assert_uint_eq(n_live, 0); /* nobody served them: no need to be gentle */
	ck_assert_uint_eq(rk_member_n_owned(f.m, 1), 0);
	for (uint32_t p = 0; p < P; p++)
		ck_assert(f.first[p] == 1 || rk_member_owners(f.m)[p] == f.first[p]);

	on(&f, RK_MEMBER_EV_READY, 1);
	pass(&f, 10 * S - 1);
	ck_assert_int_eq(rk_member_state(f.m, 1), RK_MEMBER_RETURNING);
	ck_assert_uint_eq(move_all(&f, &n_live), 0);
	pass(&f, 1);
	ck_assert_uint_eq(move_all(&f, &n_live), P / 4);
	ck_assert_uint_eq(n_live, P / 4);
	ck_assert(is_as_first(&f));
	rk_member_close(f.m);
}
END_TEST

START_TEST(a_slot_that_flaps_uses_up_its_grace_and_health_renews_it)
{
	struct fleet f = fleet_make(&usual);

	for (int i = 0; i < 6; i++) { /* 5 s down, 100 ms up */
		ck_assert_int_eq(rk_member_state(f.m, 2), RK_MEMBER_MEMBER);
		on(&f, RK_MEMBER_EV_DOWN, 2);
		pass(&f, 5 * S - 1);
		ck_assert_int_eq(rk_member_state(f.m, 2), RK_MEMBER_AWAY);
		on(&f, RK_MEMBER_EV_READY, 2);
		pass(&f, 100 * MS);
	}
	on(&f, RK_MEMBER_EV_DOWN, 2);
	pass(&f, 6);
	ck_assert_int_eq(rk_member_state(f.m, 2), RK_MEMBER_GONE);
	on(&f, RK_MEMBER_EV_READY, 2);
	pass(&f, 9 * S);
	on(&f, RK_MEMBER_EV_DOWN, 2); /* not long enough */
	ck_assert_int_eq(rk_member_state(f.m, 2), RK_MEMBER_GONE);
	on(&f, RK_MEMBER_EV_READY, 2);
	pass(&f, 10 * S);
	ck_assert_int_eq(rk_member_state(f.m, 2), RK_MEMBER_MEMBER);
	on(&f, RK_MEMBER_EV_DOWN, 2);
	pass(&f, 30 * S - 1);
	ck_assert_int_eq(rk_member_state(f.m, 2), RK_MEMBER_AWAY);
	rk_member_close(f.m);
}
END_TEST

START_TEST(a_slot_that_never_starts_loses_its_partitions_too)
{
	struct rk_member_conf c = usual;
	struct fleet f = { .now_ns = T0 };
	uint32_t n_live;

	ck_assert_int_eq(rk_member_open(&c, NULL, &f.m), 0);
	for (uint32_t i = 0; i < 3; i++)
		on(&f, RK_MEMBER_EV_READY, i);
	for (int i = 0; i < 40; i++) {
		on(&f, RK_MEMBER_EV_START, 3);
		on(&f, RK_MEMBER_EV_DOWN, 3);
		pass(&f, S);
	}
	ck_assert_int_eq(rk_member_state(f.m, 3), RK_MEMBER_GONE);
	on(&f, RK_MEMBER_EV_START, 3); /* a process that may open them: wait for what it does */
	ck_assert_uint_eq(move_all(&f, &n_live), 0);
	on(&f, RK_MEMBER_EV_DOWN, 3);
	ck_assert_uint_eq(move_all(&f, &n_live), P / 4);
	rk_member_close(f.m);
}
END_TEST

START_TEST(move_after_never_keeps_everything)
{
	struct rk_member_conf c = usual;
	struct fleet f;

	c.move_after_ns = RK_MEMBER_NEVER;
	f = fleet_make(&c);
	on(&f, RK_MEMBER_EV_DOWN, 0);
	ck_assert_uint_eq(rk_member_due_ns(f.m), 0);
	pass(&f, 1000000 * S);
	ck_assert_uint_eq(rk_member_n_pending(f.m), 0);
	rk_member_close(f.m);
}
END_TEST

START_TEST(other_times_hold_for_who_is_down_already)
{
	struct fleet f = fleet_make(&usual);

	on(&f, RK_MEMBER_EV_DOWN, 0);
	f.now_ns += S;
	ck_assert_uint_eq(rk_member_due_ns(f.m), T0 + usual.move_after_ns);
	rk_member_retime(f.m, 2 * S, 0);
	ck_assert_uint_eq(rk_member_due_ns(f.m), T0 + 2 * S);
	f.now_ns += S;
	rk_member_on_timer(f.m, f.now_ns);
	ck_assert_uint_gt(rk_member_n_pending(f.m), 0);
	rk_member_close(f.m);
}
END_TEST

START_TEST(a_fleet_that_is_down_as_a_whole_moves_nothing)
{
	struct fleet f = fleet_make(&usual);
	uint32_t n_live;

	for (uint32_t i = 0; i < 4; i++)
		on(&f, RK_MEMBER_EV_DOWN, i);
	pass(&f, 100 * S);
	ck_assert_uint_eq(rk_member_n_pending(f.m), 0);
	on(&f, RK_MEMBER_EV_READY, 2); /* the first to be back long enough takes all there is */
	pass(&f, 10 * S);
	ck_assert_uint_eq(move_all(&f, &n_live), P - P / 4);
	for (uint32_t i = 0; i < 4; i++)
		on(&f, RK_MEMBER_EV_READY, i);
	pass(&f, 10 * S);
	move_all(&f, &n_live);
	ck_assert(is_as_first(&f));
	rk_member_close(f.m);
}
END_TEST

START_TEST(scaling_up_moves_the_minimum_to_the_new_ones_when_they_are_ready)
{
	struct fleet f = fleet_make(&usual);
	uint32_t n_live;

	rk_member_want(f.m, 4, f.now_ns);
	ck_assert_int_eq(rk_member_state(f.m, 4), RK_MEMBER_JOINING);
	ck_assert_uint_eq(rk_member_n_pending(f.m), 0);
	on(&f, RK_MEMBER_EV_START, 4);
	ck_assert_uint_eq(move_all(&f, &n_live), 0);
	on(&f, RK_MEMBER_EV_READY, 4);
	ck_assert_uint_eq(move_all(&f, &n_live), P / 5);
	for (uint32_t p = 0; p < P; p++)
		ck_assert(rk_member_owners(f.m)[p] == 4 || rk_member_owners(f.m)[p] == f.first[p]);
	rk_member_close(f.m);
}
END_TEST

START_TEST(a_drain_ends_when_the_slot_owns_nothing_and_can_be_called_off)
{
	struct fleet f = fleet_make(&usual);
	struct rk_member_move move;
	uint32_t n_live;

	ck_assert_int_eq(rk_member_leave(f.m, 0), 0);
	for (uint32_t i = 0; i < P / 4; i++) {
		ck_assert_int_eq(rk_member_state(f.m, 0), RK_MEMBER_LEAVING);
		ck_assert(rk_member_next(f.m, f.now_ns, &move));
		ck_assert(move.from == 0 && move.is_live);
		if (i == 3) { /* it could not be done: comes again */
			rk_member_unmoved(f.m, move.partition);
			ck_assert(rk_member_next(f.m, f.now_ns, &move));
		}
		rk_member_moved(f.m, move.partition);
	}
	ck_assert_int_eq(rk_member_state(f.m, 0), RK_MEMBER_OUT);
	ck_assert(!rk_member_next(f.m, f.now_ns, &move));

	ck_assert_int_eq(rk_member_leave(f.m, 1), 0);
	ck_assert(rk_member_next(f.m, f.now_ns, &move));
	rk_member_want(f.m, 1, f.now_ns);
	rk_member_moved(f.m, move.partition);
	ck_assert_int_eq(rk_member_state(f.m, 1), RK_MEMBER_MEMBER);
	move_all(&f, &n_live);
	ck_assert_uint_eq(rk_member_n_pending(f.m), 0);
	ck_assert_uint_ge(rk_member_n_owned(f.m, 1), P / 3);
	rk_member_close(f.m);
}
END_TEST

START_TEST(who_leaves_while_a_partition_is_on_its_way_there_is_not_out_yet)
{
	struct fleet f = fleet_make(&usual);
	struct rk_member_move move;
	uint32_t n_live;

	rk_member_want(f.m, 4, f.now_ns);
	on(&f, RK_MEMBER_EV_READY, 4);
	ck_assert(rk_member_next(f.m, f.now_ns, &move));
	ck_assert_uint_eq(move.to, 4);
	ck_assert_int_eq(rk_member_leave(f.m, 4), 0);
	ck_assert_int_eq(rk_member_state(f.m, 4), RK_MEMBER_LEAVING);
	rk_member_moved(f.m, move.partition);
	ck_assert_int_eq(rk_member_state(f.m, 4), RK_MEMBER_LEAVING);
	ck_assert_uint_eq(move_all(&f, &n_live), 1);
	ck_assert_int_eq(rk_member_state(f.m, 4), RK_MEMBER_OUT);
	ck_assert(is_as_first(&f));
	rk_member_close(f.m);
}
END_TEST

START_TEST(the_last_one_that_is_wanted_cannot_leave)
{
	struct fleet f = fleet_make(&usual);

	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(rk_member_leave(f.m, i), 0);
	ck_assert_int_eq(rk_member_leave(f.m, 3), -EBUSY);
	ck_assert_int_eq(rk_member_leave(f.m, 7), 0); /* was out */
	ck_assert_int_eq(rk_member_leave(f.m, 4711), 0);
	ck_assert_int_eq(rk_member_state(f.m, 4711), RK_MEMBER_OUT);
	rk_member_close(f.m);
}
END_TEST

START_TEST(live_moves_are_few_at_a_time_and_not_too_fast)
{
	struct rk_member_conf c = usual;
	struct rk_member_move moves[3];
	struct fleet f;

	c.move_gap_ns = 100 * MS;
	f = fleet_make(&c);
	ck_assert_int_eq(rk_member_leave(f.m, 0), 0);
	ck_assert(rk_member_next(f.m, f.now_ns, &moves[0]));
	ck_assert(!rk_member_next(f.m, f.now_ns, &moves[1]));
	ck_assert_uint_eq(rk_member_due_ns(f.m), f.now_ns + 100 * MS);
	/* Also when the pace has come to its end meanwhile: nobody has tried since, somebody must. */
	rk_member_on_timer(f.m, f.now_ns + 101 * MS);
	ck_assert_uint_eq(rk_member_due_ns(f.m), f.now_ns + 100 * MS);
	f.now_ns += 100 * MS;
	ck_assert(rk_member_next(f.m, f.now_ns, &moves[1]));
	f.now_ns += 100 * MS;
	ck_assert(!rk_member_next(f.m, f.now_ns, &moves[2])); /* two are under way */
	ck_assert_uint_eq(rk_member_due_ns(f.m), 0);
	rk_member_moved(f.m, moves[0].partition);
	ck_assert(rk_member_next(f.m, f.now_ns, &moves[2]));
	rk_member_close(f.m);
}
END_TEST

START_TEST(a_successor_goes_on_from_the_owners_it_finds)
{
	uint16_t owners[P];
	struct rk_member *m;

	for (uint32_t p = 0; p < P; p++)
		owners[p] = p % 3 ? 6 : p % 2 ? 0xffff : 4711;
	ck_assert_int_eq(rk_member_open(&usual, owners, &m), 0);
	ck_assert_int_eq(rk_member_state(m, 6), RK_MEMBER_LEAVING);
	ck_assert_uint_eq(rk_member_n_pending(m), P);
	for (uint32_t i = 0; i < 4; i++)
		rk_member_on(m, RK_MEMBER_EV_READY, i, T0);
	for (struct rk_member_move move; rk_member_next(m, T0, &move);)
		rk_member_moved(m, move.partition);
	ck_assert_int_eq(rk_member_state(m, 6), RK_MEMBER_OUT);
	ck_assert_uint_eq(rk_member_n_pending(m), 0);
	rk_member_close(m);
}
END_TEST

START_TEST(a_successor_moves_nothing_of_a_fleet_that_was_scaled_before)
{
	struct fleet f = fleet_make(&usual);
	struct rk_member_conf c = usual;
	struct rk_member *m;
	uint32_t n_live;

	for (uint32_t i = 4; i < N; i++) {
		rk_member_want(f.m, i, f.now_ns);
		on(&f, RK_MEMBER_EV_READY, i);
		move_all(&f, &n_live);
	}
	for (uint32_t i = N - 1; i > 4; i--) {
		ck_assert_int_eq(rk_member_leave(f.m, i), 0);
		move_all(&f, &n_live);
	}
	c.n_wanted = 5;
	ck_assert_int_eq(rk_member_open(&c, rk_member_owners(f.m), &m), 0);
	ck_assert_uint_eq(rk_member_n_pending(m), 0);
	rk_member_close(m);
	rk_member_close(f.m);
}
END_TEST

START_TEST(bad_sizes_are_refused)
{
	struct rk_member_conf c = usual;
	struct rk_member *m = NULL;

	c.n_wanted = 0;
	ck_assert_int_eq(rk_member_open(&c, NULL, &m), -EINVAL);
	c.n_wanted = N + 1;
	ck_assert_int_eq(rk_member_open(&c, NULL, &m), -EINVAL);
	c = usual;
	c.n_partitions = 63;
	ck_assert_int_eq(rk_member_open(&c, NULL, &m), -EINVAL);
	ck_assert_ptr_null(m);
	rk_member_close(NULL);
	ck_assert_str_eq(rk_member_state_name(RK_MEMBER_STATES), "?");
}
END_TEST

/* ---- random lives ---- */

struct books {
	struct rk_member_move moves[P]; /* under way, by partition */
	bool is_moving[P];
	bool has_process[N], is_ready[N], is_unfit[N];
	uint32_t n_live;
};

static void live_step(struct fleet *f, struct books *b, struct rk_rand *random)
{
	uint32_t slot = (uint32_t)rk_rand_below(random, N);

	switch (rk_rand_below(random, 16)) {
	case 0:
		rk_member_want(f->m, slot, f->now_ns);
		return;
	case 1:
		if (rk_member_leave(f->m, slot) < 0)
			rk_member_want(f->m, slot, f->now_ns); /* the last one stays */
		return;
	case 2:
	case 3:
	case 4:
		if (!b->has_process[slot])
			on(f, RK_MEMBER_EV_START, slot);
		b->has_process[slot] = true;
		return;
	case 5:
	case 6:
	case 7:
		if (!b->has_process[slot])
			return;
		on(f, RK_MEMBER_EV_READY, slot);
		b->is_ready[slot] = true;
		b->is_unfit[slot] = false;
		return;
	case 8:
		if (!b->has_process[slot])
			return;
		on(f, RK_MEMBER_EV_DOWN, slot);
		b->has_process[slot] = b->is_ready[slot] = b->is_unfit[slot] = false;
		return;
	case 9:
		if (!b->is_ready[slot])
			return;
		on(f, RK_MEMBER_EV_UNFIT, slot);
		b->is_unfit[slot] = true;
		return;
	default:
		pass(f, rk_rand_below(random, 5 * S));
	}
}

/* Somebody who shares the partitions and is well. */
static bool has_healthy(const struct fleet *f, const struct books *b)
{
	for (uint32_t i = 0; i < N; i++)
		if (rk_member_state(f->m, i) == RK_MEMBER_MEMBER && b->is_ready[i] &&
		    !b->is_unfit[i])
			return true;
	return false;
}

static void move_step(struct fleet *f, struct books *b, struct rk_rand *random, int seed)
{
	uint32_t p = (uint32_t)rk_rand_below(random, P);
	struct rk_member_move move;

	if (b->is_moving[p]) {
		b->is_moving[p] = false;
		b->n_live -= b->moves[p].is_live;
		if (rk_rand_below(random, 5))
			rk_member_moved(f->m, p);
		else
			rk_member_unmoved(f->m, p);
	}
	if (!rk_member_next(f->m, f->now_ns, &move))
		return;
	ck_assert_msg(!b->is_moving[move.partition], "seed %d: moved twice at once", seed);
	ck_assert_msg(rk_member_owners(f->m)[move.partition] == move.from, "seed %d", seed);
	ck_assert_msg(move.from != move.to && b->is_ready[move.to], "seed %d", seed);
	ck_assert_msg(!b->is_unfit[move.to] || !has_healthy(f, b),
		      "seed %d: to one that is not well", seed);
	ck_assert_msg(!b->is_unfit[move.to] || !b->is_ready[move.from] || b->is_unfit[move.from],
		      "seed %d: from one that is well to one that is not", seed);
	ck_assert_msg(b->has_process[move.from] == move.is_live, "seed %d: not as it is", seed);
	b->is_moving[move.partition] = true;
	b->moves[move.partition] = move;
	b->n_live += move.is_live;
	ck_assert_msg(b->n_live <= usual.max_moving, "seed %d: %u live", seed, b->n_live);
}

START_TEST(random_lives_keep_the_books_and_end_in_balance)
{
	struct rk_rand random = rk_rand_init((uint64_t)_i);
	struct fleet f = fleet_make(&usual);
	struct books b = { 0 };
	uint32_t n_members = 0, n_live;

	for (uint32_t i = 0; i < usual.n_wanted; i++)
		b.has_process[i] = b.is_ready[i] = true;
	for (int i = 0; i < 5000; i++) {
		live_step(&f, &b, &random);
		move_step(&f, &b, &random, _i);
	}
	for (uint32_t p = 0; p < P; p++)
		if (b.is_moving[p])
			rk_member_moved(f.m, p);
	for (uint32_t i = 0; i < N; i++) { /* everything is well for once */
		on(&f, RK_MEMBER_EV_START, i);
		on(&f, RK_MEMBER_EV_READY, i);
	}
	pass(&f, 100 * S);
	move_all(&f, &n_live);
	ck_assert_msg(rk_member_n_pending(f.m) == 0, "seed %d", _i);
	for (uint32_t i = 0; i < N; i++)
		n_members += rk_member_state(f.m, i) == RK_MEMBER_MEMBER;
	for (uint32_t i = 0; i < N; i++) {
		bool is_member = rk_member_state(f.m, i) == RK_MEMBER_MEMBER;
		uint32_t n = rk_member_n_owned(f.m, i);

		ck_assert_msg(is_member || rk_member_state(f.m, i) == RK_MEMBER_OUT, "seed %d", _i);
		ck_assert_msg(is_member ? n == P / n_members || n == P / n_members + 1 : n == 0,
			      "seed %d: slot %u owns %u of %d, %u members", _i, i, n, P, n_members);
	}
	rk_member_close(f.m);
}
END_TEST

START_TEST(whoever_comes_and_goes_all_are_home_in_the_end)
{
	struct rk_rand random = rk_rand_init((uint64_t)_i);
	struct rk_member_conf c = usual;
	struct fleet f;
	uint32_t n_live;

	c.n_wanted = N;
	f = fleet_make(&c);
	for (int i = 0; i < 500; i++) {
		on(&f, rk_rand_below(&random, 2) ? RK_MEMBER_EV_DOWN : RK_MEMBER_EV_READY,
		   (uint32_t)rk_rand_below(&random, N));
		pass(&f, rk_rand_below(&random, 20 * S));
		move_all(&f, &n_live);
	}
	for (uint32_t i = 0; i < N; i++)
		on(&f, RK_MEMBER_EV_READY, i);
	pass(&f, 10 * S);
	move_all(&f, &n_live);
	ck_assert_msg(is_as_first(&f), "seed %d", _i);
	rk_member_close(f.m);
}
END_TEST

START_TEST(who_is_stuck_loses_its_partitions_by_copy_and_gets_the_same_ones_back)
{
	struct fleet f = fleet_make(&usual);
	struct rk_member_move move;
	uint32_t n = 0, n_live;

	on(&f, RK_MEMBER_EV_STUCK, 1);
	ck_assert_int_eq(rk_member_state(f.m, 1), RK_MEMBER_GONE);
	while (rk_member_next(f.m, f.now_ns, &move)) {
		ck_assert(move.is_copy && !move.is_live);
		ck_assert_uint_eq(move.from, 1);
		rk_member_moved(f.m, move.partition);
		n++;
	}
	ck_assert_uint_eq(n, P / 4);
	on(&f, RK_MEMBER_EV_STUCK, 1); /* told twice: nothing more */
	ck_assert(!rk_member_next(f.m, f.now_ns, &move));

	if (_i) /* it dies of it, or goes on as if nothing were */
		on(&f, RK_MEMBER_EV_DOWN, 1);
	on(&f, RK_MEMBER_EV_READY, 1);
	pass(&f, 10 * S);
	ck_assert_uint_eq(move_all(&f, &n_live), P / 4);
	ck_assert_uint_eq(n_live, P / 4);
	ck_assert(is_as_first(&f));
	rk_member_close(f.m);
}
END_TEST

START_TEST(who_dies_while_it_is_stuck_leaves_what_is_left_to_be_assigned)
{
	struct fleet f = fleet_make(&usual);
	struct rk_member_move move;

	on(&f, RK_MEMBER_EV_STUCK, 1);
	ck_assert(rk_member_next(f.m, f.now_ns, &move) && move.is_copy);
	rk_member_unmoved(f.m, move.partition); /* no bank was free */
	on(&f, RK_MEMBER_EV_DOWN, 1);
	ck_assert(rk_member_next(f.m, f.now_ns, &move) && !move.is_copy && !move.is_live);
	rk_member_close(f.m);
}
END_TEST

START_TEST(with_nobody_to_copy_to_it_keeps_them)
{
	struct rk_member_conf alone = usual;
	struct rk_member_move move;
	struct fleet f;

	alone.n_wanted = 1;
	f = fleet_make(&alone);
	on(&f, RK_MEMBER_EV_STUCK, 0);
	ck_assert(!rk_member_next(f.m, f.now_ns, &move));
	ck_assert_uint_eq(rk_member_n_pending(f.m), 0);
	rk_member_close(f.m);
}
END_TEST

START_TEST(what_waits_for_somebody_who_is_down_is_not_going)
{
	struct fleet f = fleet_make(&usual);

	ck_assert_int_eq(rk_member_leave(f.m, 0), 0);
	ck_assert_uint_eq(rk_member_n_going(f.m), P / 4);
	for (uint32_t i = 1; i < usual.n_wanted; i++)
		on(&f, RK_MEMBER_EV_DOWN, i);
	ck_assert_uint_eq(rk_member_n_pending(f.m), P / 4);
	ck_assert_uint_eq(rk_member_n_going(f.m), 0);
	rk_member_close(f.m);
}
END_TEST

/* Ends all copies and assignments there are. Returns how many went to a slot. */
static uint32_t move_all_to(struct fleet *f, uint32_t slot)
{
	struct rk_member_move move;
	uint32_t n = 0;

	while (rk_member_next(f->m, f->now_ns, &move)) {
		n += move.to == slot;
		rk_member_moved(f->m, move.partition);
	}
	return n;
}

START_TEST(what_nobody_serves_goes_to_the_healthy_ones)
{
	struct fleet f = fleet_make(&usual);

	on(&f, RK_MEMBER_EV_UNFIT, 0);
	if (_i) { /* taken by copy, or assigned since it stays down */
		on(&f, RK_MEMBER_EV_STUCK, 1);
	} else {
		on(&f, RK_MEMBER_EV_DOWN, 1);
		pass(&f, usual.move_after_ns);
	}
	ck_assert_uint_eq(rk_member_n_pending(f.m), P / 4);
	ck_assert_uint_eq(move_all_to(&f, 0), 0);
	ck_assert_uint_eq(rk_member_n_pending(f.m), 0);
	ck_assert_uint_eq(rk_member_n_owned(f.m, 0), P / 4); /* it keeps what it has */
	ck_assert_uint_gt(rk_member_n_owned(f.m, 2), P / 4);
	ck_assert_uint_gt(rk_member_n_owned(f.m, 3), P / 4);

	on(&f, RK_MEMBER_EV_READY, 0); /* it was nothing: now it gets its share */
	ck_assert_uint_gt(move_all_to(&f, 0), 0);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert(i == 1 || rk_member_n_owned(f.m, i) >= P / 3);
	on(&f, RK_MEMBER_EV_DOWN, 1);
	on(&f, RK_MEMBER_EV_READY, 1);
	pass(&f, 10 * S);
	(void)move_all_to(&f, 0);
	ck_assert(is_as_first(&f));
	rk_member_close(f.m);
}
END_TEST

START_TEST(what_was_meant_for_one_that_falls_ill_or_dies_goes_elsewhere)
{
	struct fleet f = fleet_make(&usual);
	struct rk_member_move move;

	on(&f, RK_MEMBER_EV_STUCK, 1);
	while (rk_member_next(f.m, f.now_ns, &move) && move.to != 0)
		rk_member_moved(f.m, move.partition);
	ck_assert_uint_eq(move.to, 0);
	rk_member_unmoved(f.m, move.partition); /* no bank was free */
	on(&f, _i ? RK_MEMBER_EV_UNFIT : RK_MEMBER_EV_DOWN, 0);
	ck_assert_uint_gt(rk_member_n_pending(f.m), 0);
	ck_assert_uint_eq(move_all_to(&f, 0), 0);
	ck_assert_uint_eq(rk_member_n_owned(f.m, 1), 0);
	rk_member_close(f.m);
}
END_TEST

START_TEST(what_is_served_waits_until_its_new_owner_is_well)
{
	struct fleet f = fleet_make(&usual);
	struct rk_member_move move;
	uint32_t n_live;

	on(&f, RK_MEMBER_EV_DOWN, 1);
	pass(&f, usual.move_after_ns);
	(void)move_all(&f, &n_live);
	on(&f, RK_MEMBER_EV_READY, 1);
	pass(&f, usual.healthy_after_ns);
	on(&f, RK_MEMBER_EV_UNFIT, 1); /* before they come home */
	ck_assert(!rk_member_next(f.m, f.now_ns, &move));
	ck_assert_uint_eq(rk_member_n_pending(f.m), P / 4);
	on(&f, RK_MEMBER_EV_READY, 1);
	ck_assert_uint_eq(move_all(&f, &n_live), P / 4);
	ck_assert(is_as_first(&f));
	rk_member_close(f.m);
}
END_TEST

START_TEST(who_leaves_hands_over_to_the_healthy_ones)
{
	struct fleet f = fleet_make(&usual);

	on(&f, RK_MEMBER_EV_UNFIT, 0);
	ck_assert_int_eq(rk_member_leave(f.m, 1), 0);
	ck_assert_uint_eq(move_all_to(&f, 0), 0);
	ck_assert_int_eq(rk_member_state(f.m, 1), RK_MEMBER_OUT);
	rk_member_close(f.m);
}
END_TEST

START_TEST(who_leaves_serves_on_until_an_heir_is_well)
{
	struct rk_member_conf pair = usual;
	struct rk_member_move move;
	struct fleet f;
	uint32_t n_live;

	pair.n_wanted = 2;
	f = fleet_make(&pair);
	on(&f, RK_MEMBER_EV_UNFIT, 1);
	ck_assert_int_eq(rk_member_leave(f.m, 0), 0);
	ck_assert(!rk_member_next(f.m, f.now_ns, &move));
	ck_assert_uint_eq(rk_member_due_ns(f.m), 0); /* and nothing is tried meanwhile */
	ck_assert_uint_eq(rk_member_n_pending(f.m), P / 2);
	ck_assert_uint_eq(rk_member_n_held(f.m), P / 2);
	switch (_i) {
	case 0: /* the heir gets well */
		on(&f, RK_MEMBER_EV_READY, 1);
		break;
	case 1: /* nothing is left to be lost by it */
		on(&f, RK_MEMBER_EV_UNFIT, 0);
		break;
	default:
		on(&f, RK_MEMBER_EV_DOWN, 0);
	}
	ck_assert_uint_eq(rk_member_n_held(f.m), 0);
	ck_assert_uint_eq(move_all(&f, &n_live), P / 2);
	ck_assert_uint_eq(n_live, _i < 2 ? P / 2 : 0);
	ck_assert_int_eq(rk_member_state(f.m, 0), RK_MEMBER_OUT);
	rk_member_close(f.m);
}
END_TEST

START_TEST(who_leaves_in_vain_can_be_called_back)
{
	struct rk_member_conf pair = usual;
	struct fleet f;

	pair.n_wanted = 2;
	f = fleet_make(&pair);
	on(&f, RK_MEMBER_EV_UNFIT, 1);
	ck_assert_int_eq(rk_member_leave(f.m, 0), 0);
	rk_member_want(f.m, 0, f.now_ns);
	ck_assert_int_eq(rk_member_state(f.m, 0), RK_MEMBER_MEMBER);
	ck_assert_uint_eq(move_all_to(&f, 1), 0);
	ck_assert_uint_eq(rk_member_n_pending(f.m), rk_member_n_held(f.m));
	on(&f, RK_MEMBER_EV_READY, 1);
	(void)move_all_to(&f, 1);
	ck_assert_uint_eq(rk_member_n_owned(f.m, 0), P / 2);
	ck_assert_uint_eq(rk_member_n_owned(f.m, 1), P / 2);
	rk_member_close(f.m);
}
END_TEST

/* Whatever has been let go would come back to the old owner, and be asked for again at once. */
START_TEST(an_heir_is_the_same_before_it_is_asked_for_and_after)
{
	struct fleet f = fleet_make(&usual);
	struct rk_member_move move;

	ck_assert_int_eq(rk_member_leave(f.m, 0), 0);
	ck_assert(rk_member_next(f.m, f.now_ns, &move));
	ck_assert(rk_member_is_heir(f.m, &move));
	on(&f, RK_MEMBER_EV_UNFIT, move.to);
	ck_assert(!rk_member_is_heir(f.m, &move));
	for (uint32_t i = 1; i < usual.n_wanted; i++)
		on(&f, RK_MEMBER_EV_UNFIT, i);
	ck_assert(!rk_member_is_heir(f.m, &move));
	on(&f, RK_MEMBER_EV_UNFIT, 0);
	ck_assert(rk_member_is_heir(f.m, &move)); /* with nobody well any will do */
	on(&f, RK_MEMBER_EV_DOWN, move.to);
	ck_assert(!rk_member_is_heir(f.m, &move));
	rk_member_close(f.m);
}
END_TEST

START_TEST(with_nobody_healthy_left_any_will_do)
{
	struct fleet f = fleet_make(&usual);

	for (uint32_t i = 0; i < 4; i++)
		on(&f, RK_MEMBER_EV_UNFIT, i);
	on(&f, RK_MEMBER_EV_STUCK, 1);
	ck_assert_uint_gt(move_all_to(&f, 0), 0);
	ck_assert_uint_eq(rk_member_n_owned(f.m, 1), 0);
	rk_member_close(f.m);
}
END_TEST

START_TEST(who_falls_ill_and_gets_well_moves_nothing)
{
	struct fleet f = fleet_make(&usual);
	struct rk_member_move move;

	for (uint32_t i = 0; i < 4; i++) {
		on(&f, RK_MEMBER_EV_UNFIT, i);
		ck_assert(!rk_member_next(f.m, f.now_ns, &move));
		if (i % 2) /* some die of it */
			on(&f, RK_MEMBER_EV_DOWN, i);
		on(&f, RK_MEMBER_EV_READY, i);
		ck_assert(!rk_member_next(f.m, f.now_ns, &move));
	}
	ck_assert(is_as_first(&f));
	rk_member_close(f.m);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("member");

	tcase_add_test(c, a_restart_within_the_grace_moves_nothing);
	tcase_add_loop_test(c,
			    who_is_stuck_loses_its_partitions_by_copy_and_gets_the_same_ones_back,
			    0, 2);
	tcase_add_test(c, who_dies_while_it_is_stuck_leaves_what_is_left_to_be_assigned);
	tcase_add_test(c, with_nobody_to_copy_to_it_keeps_them);
	tcase_add_test(c, what_waits_for_somebody_who_is_down_is_not_going);
	tcase_add_loop_test(c, what_nobody_serves_goes_to_the_healthy_ones, 0, 2);
	tcase_add_loop_test(c, what_was_meant_for_one_that_falls_ill_or_dies_goes_elsewhere, 0, 2);
	tcase_add_test(c, what_is_served_waits_until_its_new_owner_is_well);
	tcase_add_test(c, who_leaves_hands_over_to_the_healthy_ones);
	tcase_add_loop_test(c, who_leaves_serves_on_until_an_heir_is_well, 0, 3);
	tcase_add_test(c, who_leaves_in_vain_can_be_called_back);
	tcase_add_test(c, an_heir_is_the_same_before_it_is_asked_for_and_after);
	tcase_add_test(c, with_nobody_healthy_left_any_will_do);
	tcase_add_test(c, who_falls_ill_and_gets_well_moves_nothing);
	tcase_add_test(c, who_stays_down_loses_its_partitions_and_gets_the_same_ones_back);
	tcase_add_test(c, a_slot_that_flaps_uses_up_its_grace_and_health_renews_it);
	tcase_add_test(c, a_slot_that_never_starts_loses_its_partitions_too);
	tcase_add_test(c, move_after_never_keeps_everything);
	tcase_add_test(c, other_times_hold_for_who_is_down_already);
	tcase_add_test(c, a_fleet_that_is_down_as_a_whole_moves_nothing);
	tcase_add_test(c, scaling_up_moves_the_minimum_to_the_new_ones_when_they_are_ready);
	tcase_add_test(c, a_drain_ends_when_the_slot_owns_nothing_and_can_be_called_off);
	tcase_add_test(c, who_leaves_while_a_partition_is_on_its_way_there_is_not_out_yet);
	tcase_add_test(c, the_last_one_that_is_wanted_cannot_leave);
	tcase_add_test(c, live_moves_are_few_at_a_time_and_not_too_fast);
	tcase_add_test(c, a_successor_goes_on_from_the_owners_it_finds);
	tcase_add_test(c, a_successor_moves_nothing_of_a_fleet_that_was_scaled_before);
	tcase_add_test(c, bad_sizes_are_refused);
	tcase_add_loop_test(c, random_lives_keep_the_books_and_end_in_balance, 0, 40);
	tcase_add_loop_test(c, whoever_comes_and_goes_all_are_home_in_the_end, 0, 20);
	return unit_run(c);
}
