/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Of a fleet's jobs exactly those are charged that kill their workers: by a crash, a
 *         hang or their appetite, alone or inside a batch. No innocent is, whoever else kills
 *         workers meanwhile; and no word of a worker charges a job it cannot have run.
 * Method  Single decisions in a table; hostile words from a seed; then a fleet in virtual time
 *         that runs poison and innocents side by side under storms, upgrades and our own
 *         kills, and is asked afterwards who was charged. Seeds are named by each failure.
 */
#include "supervisor/blame.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/rand.h"
#include "shm/owner.h"
#include "shm/words.h"
#include "tests/unit/unit.h"

#define S RK_NS_PER_S
#define MS RK_NS_PER_MS
#define T0 (1000 * S)

static const struct rk_blame_case crash = {
	.words = { .incarnation = 7, .state = RK_BEAT_RUNNING, .partition = 3, .job = 100 },
	.incarnation = 7,
	.n_partitions = 8,
	.is_owner = true,
	.cursor = 100,
	.code = CLD_DUMPED,
	.status = SIGSEGV,
};

START_TEST(each_kind_of_death_is_judged_as_the_table_says)
{
	static const struct {
		int code, status;
		enum rk_blame_ours ours;
		enum rk_blame_memory memory;
		uint32_t n_others;
		uint64_t n_since;
		enum rk_blame_reason reason;
	} cases[] = {
		{ CLD_DUMPED, SIGSEGV, 0, 0, 0, 0, RK_BLAME_CRASHED },
		{ CLD_KILLED, SIGABRT, 0, RK_BLAME_SHORT, 0, 0, RK_BLAME_CRASHED },
		{ CLD_EXITED, 0, 0, 0, 0, 0, RK_BLAME_CRASHED },
		{ CLD_EXITED, 3, 0, 0, 5, 0, RK_BLAME_STORM },
		{ CLD_EXITED, 3, 0, 0, 5, 1, RK_BLAME_CRASHED },
		{ CLD_KILLED, SIGKILL, 0, 0, 0, 0, RK_BLAME_OUTSIDE },
		{ CLD_KILLED, SIGKILL, 0, RK_BLAME_OOM, 0, 0, RK_BLAME_KILLED },
		{ CLD_KILLED, SIGKILL, 0, RK_BLAME_OOM, 1, 0, RK_BLAME_STORM },
		{ CLD_KILLED, SIGABRT, 0, RK_BLAME_OOM, 0, 0, RK_BLAME_CRASHED },
		{ CLD_KILLED, SIGKILL, 0, 0, 1, 1000, RK_BLAME_STORM },
		{ CLD_KILLED, SIGKILL, 0, RK_BLAME_SHORT, 0, 0, RK_BLAME_MACHINE },
		{ CLD_KILLED, SIGKILL, 0, RK_BLAME_LIMIT, 9, 0, RK_BLAME_OVER_LIMIT },
		{ -1, 0, 0, RK_BLAME_LIMIT, 0, 0, RK_BLAME_OVER_LIMIT },
		{ -1, 0, 0, 0, 0, 0, RK_BLAME_CAUSE },
		{ CLD_KILLED, SIGTERM, 0, 0, 0, 0, RK_BLAME_SENT },
		{ CLD_DUMPED, SIGQUIT, 0, 0, 0, 0, RK_BLAME_SENT },
		{ CLD_EXITED, SIGTERM, 0, 0, 0, 0, RK_BLAME_CRASHED },
		{ CLD_KILLED, SIGPIPE, 0, 0, 0, 0, RK_BLAME_CRASHED },
		{ CLD_KILLED, SIGKILL, RK_BLAME_VERDICT, 0, 9, 0, RK_BLAME_JUDGED },
		{ -1, 0, RK_BLAME_VERDICT, RK_BLAME_SHORT, 0, 0, RK_BLAME_JUDGED },
		{ CLD_DUMPED, SIGSEGV, RK_BLAME_PLANNED, 0, 0, 0, RK_BLAME_WE_DID },
		{ CLD_KILLED, SIGKILL, RK_BLAME_START, 0, 0, 0, RK_BLAME_WE_DID },
		{ CLD_KILLED, SIGKILL, RK_BLAME_FAULT, 0, 0, 0, RK_BLAME_WE_DID },
		{ CLD_KILLED, SIGKILL, RK_BLAME_PRESSURE, RK_BLAME_LIMIT, 0, 0, RK_BLAME_WE_DID },
		{ CLD_KILLED, SIGKILL, RK_BLAME_OURS, 0, 0, 0, RK_BLAME_WE_DID },
	};
	static const enum rk_blame_reason charged[] = { RK_BLAME_CRASHED, RK_BLAME_KILLED,
							RK_BLAME_OVER_LIMIT, RK_BLAME_JUDGED };

	for (size_t i = 0; i < rk_countof(cases); i++) {
		struct rk_blame_case c = crash;
		struct rk_blame b;
		bool is_charged = false;

		c.code = cases[i].code;
		c.status = cases[i].status;
		c.ours = cases[i].ours;
		c.memory = cases[i].memory;
		b = rk_blame_decide(&c, cases[i].n_others, cases[i].n_since);
		for (size_t k = 0; k < rk_countof(charged); k++)
			is_charged |= b.reason == charged[k];
		ck_assert_msg(b.reason == cases[i].reason, "case %zu: %s", i,
			      rk_blame_reason_text(b.reason));
		ck_assert_int_eq(b.verdict, b.reason == RK_BLAME_CAUSE ? RK_BLAME_LATER
					    : is_charged               ? RK_BLAME_CHARGED
								       : RK_BLAME_SPARED);
		ck_assert(b.partition == 3 && b.job == 100);
	}
	ck_assert_str_eq(rk_blame_reason_text(RK_BLAME_REASONS), "?");
}
END_TEST

START_TEST(only_a_job_inside_the_handler_is_charged)
{
	for (uint32_t state = 0; state < RK_BEAT_STATES + 3u; state++) {
		struct rk_blame_case c = crash;
		struct rk_blame b;

		c.words.state = state;
		b = rk_blame_decide(&c, 0, 0);
		ck_assert_msg((b.verdict == RK_BLAME_CHARGED) ==
				      (state == RK_BEAT_RUNNING || state == RK_BEAT_CALLING),
			      "state %u", state);
	}
}
END_TEST

START_TEST(a_job_is_believed_only_within_the_batch_from_the_cursor_on)
{
	static const uint64_t cursors[] = { 0, 1, 100, RK_MASK48 - 300, RK_MASK48 - 1, RK_MASK48 };
	static const uint32_t batches[] = { 0, 1, 16, RK_BATCH_MAX, RK_BATCH_MAX + 1, UINT32_MAX };

	for (size_t i = 0; i < rk_countof(cursors) * rk_countof(batches); i++) {
		struct rk_blame_case c = crash;
		uint32_t batch = batches[i % rk_countof(batches)];
		int64_t n = batch ? rk_min_u32(batch, RK_BATCH_MAX) : RK_BATCH_MAX;

		c.cursor = cursors[i / rk_countof(batches)];
		c.batch = batch;
		for (int64_t d = -300; d <= 600; d++) {
			c.words.job = (c.cursor + (uint64_t)d) & RK_MASK48;
			ck_assert_msg((rk_blame_decide(&c, 0, 0).verdict == RK_BLAME_CHARGED) ==
					      (d >= 0 && d < n),
				      "cursor %lu batch %u distance %ld", (unsigned long)c.cursor,
				      batch, (long)d);
		}
	}
}
END_TEST

START_TEST(hostile_words_charge_nothing_and_index_nothing)
{
	struct rk_rand random = rk_rand_init((uint64_t)_i);

	for (int i = 0; i < 20000; i++) {
		struct rk_blame_case c = crash;
		struct rk_blame b;

		if (rk_rand_below(&random, 2))
			c.words.partition = (uint32_t)rk_rand_u64(&random);
		else
			c.words.partition = (uint32_t)rk_rand_below(&random, 12);
		if (rk_rand_below(&random, 2))
			c.words.job = rk_rand_u64(&random);
		if (rk_rand_below(&random, 4) == 0)
			c.words.job = c.cursor | ~RK_MASK48; /* right in its low bits alone */
		if (rk_rand_below(&random, 4) == 0)
			c.words.incarnation = rk_rand_u64(&random);
		c.words.state = (uint32_t)rk_rand_u64(&random) >> rk_rand_below(&random, 32);
		c.is_owner = c.words.partition == 3;
		b = rk_blame_decide(&c, 0, 0);
		if (b.verdict == RK_BLAME_SPARED && b.partition == RK_BLAME_NOBODY)
			continue;
		ck_assert_msg(c.words.partition == 3 && c.words.incarnation == 7 &&
				      c.words.job >= 100 && c.words.job < 100 + RK_BATCH_MAX,
			      "seed %d: %s", _i, rk_blame_reason_text(b.reason));
	}
	ck_assert(!rk_blame_is_partition(&(struct rk_blame_words){ .partition = 8 }, 8));
}
END_TEST

/* The case above as another slot's, job's and time's. */
static struct rk_blame_case killed_at(uint64_t ns, uint32_t slot, uint64_t job)
{
	struct rk_blame_case c = crash;

	c.code = CLD_KILLED;
	c.status = SIGKILL;
	c.memory = RK_BLAME_OOM; /* else somebody outside did it */
	c.ns = ns;
	c.slot = slot;
	c.cursor = job;
	c.words.job = job;
	return c;
}

START_TEST(deaths_by_one_job_are_no_cluster_and_others_are)
{
	struct rk_blame_recent r = { 0 };
	struct rk_blame_case c;

	for (uint32_t i = 0; i < 10; i++) { /* its successors, in other slots too */
		c = killed_at(T0 + i * MS, i, 100);
		ck_assert_int_eq(rk_blame_on_death(&r, &c).reason, RK_BLAME_KILLED);
	}
	c = killed_at(T0 + 10 * MS, 1, 5);
	ck_assert_int_eq(rk_blame_on_death(&r, &c).reason, RK_BLAME_STORM);
	c = killed_at(T0 + 11 * MS, 1, 100);
	ck_assert_int_eq(rk_blame_on_death(&r, &c).reason, RK_BLAME_STORM);
	c = killed_at(T0 + 12 * MS + RK_BLAME_WINDOW_NS, 2, 7);
	ck_assert_int_eq(rk_blame_on_death(&r, &c).reason, RK_BLAME_KILLED);
}
END_TEST

START_TEST(who_is_killed_first_in_a_storm_gets_its_charge_back_once)
{
	struct rk_blame_recent r = { 0 };
	struct rk_blame_case first = killed_at(T0, 1, 100), next = killed_at(T0, 2, 50);
	uint32_t partition;
	uint64_t job;

	ck_assert_int_eq(rk_blame_on_death(&r, &first).verdict, RK_BLAME_CHARGED);
	ck_assert(!rk_blame_take_back(&r, &first, &partition, &job));
	next.words.state = RK_BEAT_PARKED; /* that one ran nothing, and is a sign all the same */
	ck_assert_int_eq(rk_blame_on_death(&r, &next).reason, RK_BLAME_IDLE);
	ck_assert(rk_blame_take_back(&r, &next, &partition, &job));
	ck_assert(partition == 3 && job == 100);
	ck_assert(!rk_blame_take_back(&r, &next, &partition, &job));
	/* Our own kills are no sign of a storm. */
	first = killed_at(T0 + 9 * S, 1, 101);
	ck_assert_int_eq(rk_blame_on_death(&r, &first).verdict, RK_BLAME_CHARGED);
	next = killed_at(T0 + 9 * S, 2, 51);
	next.ours = RK_BLAME_FAULT;
	ck_assert_int_eq(rk_blame_on_death(&r, &next).reason, RK_BLAME_WE_DID);
	ck_assert(!rk_blame_take_back(&r, &next, &partition, &job));
}
END_TEST

START_TEST(a_crash_among_others_is_charged_only_when_something_was_committed_since)
{
	static const struct {
		uint64_t other, own, now; /* committed at the deaths before, and now */
		enum rk_blame_reason reason;
	} cases[] = {
		{ 5, 5, 10, RK_BLAME_CRASHED },
		{ 10, 5, 10, RK_BLAME_STORM },
		{ 5, 10, 10, RK_BLAME_STORM },
		{ 9, 9, 10, RK_BLAME_CRASHED },
	};

	for (size_t i = 0; i < rk_countof(cases); i++) {
		struct rk_blame_recent r = { 0 };
		struct rk_blame_case other = killed_at(T0, 2, 50), c = killed_at(T0 + MS, 1, 100);

		c.status = SIGSEGV;
		other.n_committed = cases[i].other;
		c.n_committed = cases[i].own;
		(void)rk_blame_on_death(&r, &other);
		(void)rk_blame_on_death(&r, &c);
		c.ns += MS;
		c.n_committed = cases[i].now;
		ck_assert_msg(rk_blame_on_death(&r, &c).reason == cases[i].reason, "case %zu", i);
	}
}
END_TEST

START_TEST(a_death_whose_cause_comes_later_is_one_death)
{
	struct rk_blame_recent r = { 0 };
	struct rk_blame_case c = killed_at(T0, 1, 100);

	c.code = -1;
	ck_assert_int_eq(rk_blame_on_death(&r, &c).verdict, RK_BLAME_LATER);
	c.code = CLD_KILLED;
	ck_assert_int_eq(rk_blame_on_death(&r, &c).reason, RK_BLAME_KILLED);
	ck_assert_uint_eq(r.next, 1);
	for (uint32_t i = 0; i < 3 * RK_BLAME_RECENT; i++) {
		c = killed_at(T0 + i, i, i);
		(void)rk_blame_on_death(&r, &c);
	}
	ck_assert_uint_lt(r.next, RK_BLAME_RECENT);
}
END_TEST

/* ---- a fleet in virtual time ---- */

enum { N_SLOTS = 8, N_JOBS = 1500, LIMIT = 3, WAIT_MS = 50 };

enum taste { INNOCENT, CRASHES, HANGS, EATS, TASTES };

struct world {
	struct rk_rand random;
	struct rk_blame_recent recent;
	uint64_t now_ns;
	uint32_t batch; /* of all slots; a slot has the partition of its number */
	bool has_cgroups;
	uint64_t cursor[N_SLOTS];
	uint64_t at[N_SLOTS]; /* job now running */
	uint64_t singles[N_SLOTS];
	uint64_t up_ns[N_SLOTS];
	uint64_t n_committed;
	uint8_t taste[N_SLOTS][N_JOBS];
	uint8_t charges[N_SLOTS][N_JOBS];
	uint32_t n_innocents_quarantined;
	uint32_t n_quarantined;
};

static void die(struct world *w, uint32_t slot, int code, int status, enum rk_blame_ours ours,
		enum rk_blame_memory memory)
{
	struct rk_blame_case c = {
		.ns = w->now_ns,
		.n_committed = w->n_committed,
		.words = { 1, RK_BEAT_RUNNING, slot, w->at[slot] },
		.incarnation = 1,
		.slot = slot,
		.n_partitions = N_SLOTS,
		.is_owner = true,
		.cursor = w->cursor[slot],
		.batch = w->batch,
		.code = code,
		.status = status,
		.ours = ours,
		.memory = memory,
	};
	struct rk_blame b = rk_blame_on_death(&w->recent, &c);
	uint32_t partition;
	uint64_t job;

	if (b.verdict == RK_BLAME_CHARGED && ++w->charges[b.partition][b.job] == LIMIT) {
		w->n_quarantined++;
		w->n_innocents_quarantined += w->taste[b.partition][b.job] == INNOCENT;
	}
	while (rk_blame_take_back(&w->recent, &c, &partition, &job))
		w->charges[partition][job]--;
	w->singles[slot] = w->at[slot] + 1;
	w->at[slot] = w->cursor[slot];
	w->up_ns[slot] = w->now_ns + rk_rand_below(&w->random, WAIT_MS) * MS;
}

static uint32_t n_innocents_charged(const struct world *w)
{
	uint32_t n = 0;

	for (uint32_t s = 0; s < N_SLOTS; s++)
		for (uint32_t j = 0; j < N_JOBS; j++)
			n += w->taste[s][j] == INNOCENT && w->charges[s][j] != 0;
	return n;
}

/* One tick of a slot: the job it is at is done, or ends it. */
static void run(struct world *w, uint32_t slot)
{
	uint64_t job = w->at[slot];

	if (w->now_ns < w->up_ns[slot] || job >= N_JOBS)
		return;
	if (w->charges[slot][job] < LIMIT && w->taste[slot][job] == CRASHES)
		return die(w, slot, CLD_DUMPED, SIGSEGV, RK_BLAME_NOT_OURS, RK_BLAME_ROOM);
	if (w->charges[slot][job] < LIMIT && w->taste[slot][job] == HANGS)
		return die(w, slot, CLD_KILLED, SIGKILL, RK_BLAME_VERDICT, RK_BLAME_ROOM);
	if (w->charges[slot][job] < LIMIT && w->taste[slot][job] == EATS)
		return w->has_cgroups ? die(w, slot, CLD_KILLED, SIGKILL, RK_BLAME_NOT_OURS,
					    RK_BLAME_LIMIT)
				      : die(w, slot, CLD_KILLED, SIGABRT, RK_BLAME_NOT_OURS,
					    RK_BLAME_SHORT);
	w->at[slot]++;
	if (w->at[slot] - w->cursor[slot] < w->batch && job >= w->singles[slot])
		return;
	w->n_committed += w->at[slot] - w->cursor[slot];
	w->cursor[slot] = w->at[slot];
}

static struct world *world_new(uint64_t seed, uint32_t batch, uint32_t n_poison)
{
	struct world *w = calloc(1, sizeof(*w));

	w->random = rk_rand_init(seed);
	w->now_ns = T0;
	w->batch = batch;
	w->has_cgroups = seed % 2;
	for (uint32_t i = 0; i < n_poison; i++)
		w->taste[rk_rand_below(&w->random, N_SLOTS)][rk_rand_below(&w->random, N_JOBS)] =
			(uint8_t)(CRASHES + rk_rand_below(&w->random, TASTES - CRASHES));
	return w;
}

static uint32_t n_poison_left(const struct world *w)
{
	uint32_t n = 0;

	for (uint32_t s = 0; s < N_SLOTS; s++)
		for (uint32_t j = 0; j < N_JOBS; j++)
			n += w->taste[s][j] != INNOCENT && w->charges[s][j] < LIMIT;
	return n;
}

static bool is_done(const struct world *w)
{
	for (uint32_t s = 0; s < N_SLOTS; s++)
		if (w->cursor[s] + w->batch <= N_JOBS)
			return false;
	return true;
}

/* Kills that are nobody's fault, n slots at the same time. */
static void strike(struct world *w, uint32_t n, enum rk_blame_ours ours,
		   enum rk_blame_memory memory)
{
	uint32_t first = (uint32_t)rk_rand_below(&w->random, N_SLOTS);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = (first + i) % N_SLOTS;

		/* The words are stale for who is down, which the incarnation says: not modelled. */
		if (w->now_ns < w->up_ns[slot] || w->at[slot] >= N_JOBS)
			continue;
		die(w, slot, CLD_KILLED, SIGKILL, ours, memory);
	}
}

START_TEST(poison_is_charged_and_no_innocent_is_while_we_kill_and_upgrade)
{
	static const uint32_t batches[] = { 1, 16, 256 };
	struct world *w = world_new((uint64_t)_i, batches[_i % 3], 12);

	for (int i = 0; i < 400000 && !is_done(w); i++) {
		for (uint32_t s = 0; s < N_SLOTS; s++)
			run(w, s);
		if (rk_rand_below(&w->random, 400) == 0)
			strike(w, 1, RK_BLAME_FAULT, RK_BLAME_ROOM);
		if (rk_rand_below(&w->random, 1000) == 0)
			strike(w, N_SLOTS, RK_BLAME_PLANNED, RK_BLAME_ROOM);
		if (rk_rand_below(&w->random, 1000) == 0)
			strike(w, 2, RK_BLAME_PRESSURE, RK_BLAME_SHORT);
		if (rk_rand_below(&w->random, 1000) == 0)
			strike(w, 1, RK_BLAME_NOT_OURS, RK_BLAME_SHORT);
		w->now_ns += MS;
	}
	ck_assert_msg(is_done(w), "seed %d: not done", _i);
	ck_assert_msg(n_innocents_charged(w) == 0, "seed %d: %u innocents", _i,
		      n_innocents_charged(w));
	ck_assert_uint_eq(w->n_innocents_quarantined, 0);
	ck_assert_msg(n_poison_left(w) <= 12 && w->n_quarantined > 0, "seed %d", _i);
	for (uint32_t s = 0; s < N_SLOTS; s++)
		for (uint32_t j = 0; j < w->cursor[s]; j++)
			ck_assert_msg(w->taste[s][j] == INNOCENT || w->charges[s][j] == LIMIT,
				      "seed %d: poison %u.%u passed", _i, s, j);
	free(w);
}
END_TEST

/* Ten strikes a second at two slots or more: far from alone, even who is struck first. */
START_TEST(a_kill_storm_charges_no_innocent_and_hides_no_poison)
{
	struct world *w = world_new((uint64_t)_i, 1, 40);

	strike(w, N_SLOTS, RK_BLAME_NOT_OURS, RK_BLAME_ROOM); /* it begins with more than one */
	for (int i = 0; i < 400000 && !is_done(w); i++) {
		for (uint32_t s = 0; s < N_SLOTS; s++)
			run(w, s);
		w->now_ns += MS;
		if (i % 100 == 0)
			strike(w, 2 + (uint32_t)rk_rand_below(&w->random, N_SLOTS - 1),
			       RK_BLAME_NOT_OURS, RK_BLAME_ROOM);
	}
	ck_assert_msg(is_done(w), "seed %d: not done, %u poison left", _i, n_poison_left(w));
	ck_assert_msg(n_innocents_charged(w) == 0, "seed %d: %u innocents", _i,
		      n_innocents_charged(w));
	ck_assert_uint_eq(w->n_innocents_quarantined, 0);
	ck_assert_msg(w->n_quarantined >= 30, "seed %d: %u", _i, w->n_quarantined);
	free(w);
}
END_TEST

START_TEST(what_breaks_all_workers_at_once_quarantines_no_job)
{
	struct world *w = world_new((uint64_t)_i, 16, 0);

	for (int i = 0; i < 20000; i++) {
		bool is_broken = i > 5000 && i < 15000; /* a file that all of them need is gone */

		w->now_ns += MS;
		for (uint32_t s = 0; s < N_SLOTS; s++) {
			if (w->now_ns < w->up_ns[s] || w->at[s] >= N_JOBS)
				continue;
			/* The first to notice are alone, and others still commit. */
			if (is_broken)
				die(w, s, CLD_EXITED, 1, RK_BLAME_NOT_OURS, RK_BLAME_ROOM);
			else if (rk_rand_below(&w->random, 8) == 0)
				run(w, s);
		}
	}
	ck_assert_msg(w->n_quarantined == 0, "seed %d: %u quarantined", _i, w->n_quarantined);
	free(w);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("blame");

	tcase_add_test(c, each_kind_of_death_is_judged_as_the_table_says);
	tcase_add_test(c, only_a_job_inside_the_handler_is_charged);
	tcase_add_test(c, a_job_is_believed_only_within_the_batch_from_the_cursor_on);
	tcase_add_loop_test(c, hostile_words_charge_nothing_and_index_nothing, 0, 20);
	tcase_add_test(c, deaths_by_one_job_are_no_cluster_and_others_are);
	tcase_add_test(c, who_is_killed_first_in_a_storm_gets_its_charge_back_once);
	tcase_add_test(c, a_crash_among_others_is_charged_only_when_something_was_committed_since);
	tcase_add_test(c, a_death_whose_cause_comes_later_is_one_death);
	tcase_add_loop_test(c, poison_is_charged_and_no_innocent_is_while_we_kill_and_upgrade, 0,
			    30);
	tcase_add_loop_test(c, a_kill_storm_charges_no_innocent_and_hides_no_poison, 0, 30);
	tcase_add_loop_test(c, what_breaks_all_workers_at_once_quarantines_no_job, 0, 30);
	return unit_run(c);
}
