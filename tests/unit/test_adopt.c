/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Whatever a supervisor had half done about a partition when it died is finished or undone, as
 *         the table of adopt.h says: one owner, the journal's or who runs it and lives, the route to
 *         it, and nobody waits for a ring that did not come. Jobs go on in any case.
 * Method  A fleet in private memory; journal and words as a dead supervisor could leave them, and as
 *         nobody could. (By real deaths at every instruction: tests/fault/step_supervisor.c.)
 */
#include "supervisor/adopt.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/bell.h"
#include "shm/evict.h"
#include "shm/part.h"
#include "shm/words.h"
#include "supervisor/journal.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define P 1u /* the partition that is looked at */
#define NONE RK_WORKER_NONE
#define ANY_BANK 9u

static struct fixture *f; /* one test per process */
static bool lives[4];
static uint16_t owners[4];
static struct rk_adopted told;

static void setup(void)
{
	struct rk_geometry g = fixture_geometry();

	g.n_banks = 3;
	f = fixture_new(&g, 0);
	for (uint32_t p = 0; p < f->m.g.n_partitions; p++)
		rk_journal_own(&f->m, p, NONE);
	for (uint32_t i = 0; i < 4; i++)
		lives[i] = true;
}

static void teardown(void)
{
	fixture_free(f);
}

static uint64_t word(void)
{
	return atomic_load_explicit(&rk_shm_part(&f->m, P)->owner, memory_order_acquire);
}

static uint64_t commit_word(void)
{
	return atomic_load_explicit(&rk_shm_part(&f->m, P)->commit, memory_order_acquire);
}

static uint64_t route(void)
{
	return atomic_load_explicit(&rk_shm_routes(&f->m)[P], memory_order_acquire);
}

static bool is_rung(uint32_t worker)
{
	return atomic_load_explicit(rk_bell_pending(rk_shm_bell(&f->m, worker)), memory_order_acquire) >> P & 1;
}

static void adopt(void)
{
	rk_adopt_partitions(&f->m, lives, owners, &told);
}

/* ---- the table ---- */

/* As it is found, and what is made of it. In a take-over by copy the bank goes from 2 to 1. */
static const struct row {
	const char *name;
	uint32_t journal;
	uint32_t worker;
	enum rk_owner_flag flag;
	uint32_t dead; /* this worker has no process; NONE: all have one */
	uint32_t owner_then;
	enum rk_owner_flag flag_then;
	bool is_given; /* with a new incarnation */
	struct rk_adopted told;
} rows[] = {
	{ "nothing had happened", 2, 2, RK_OWNER_RUN, NONE, 2, RK_OWNER_RUN, false, { .n_given = 0 } },
	{ "its owner was about to copy", 2, 2, RK_OWNER_COPY, NONE, 2, RK_OWNER_COPY, false, { .n_given = 0 } },
	{ "its owner is dead, and its slot goes on", 2, 2, RK_OWNER_RUN, 2, 2, RK_OWNER_RUN, false, { .n_given = 0 } },
	{ "dead before it had copied", 2, 2, RK_OWNER_COPY, 2, 2, RK_OWNER_COPY, false, { .n_given = 0 } },
	{ "asked for", 2, 2, RK_OWNER_STOP, NONE, 2, RK_OWNER_RUN, false, { .n_unasked = 1 } },
	{ "asked for, and dead", 2, 2, RK_OWNER_STOP, 2, 2, RK_OWNER_RUN, false, { .n_unasked = 1 } },
	{ "asked for and released", 2, 2, RK_OWNER_RELEASED, NONE, 2, RK_OWNER_RUN, true, { .n_given = 1 } },
	{ "released, then dead", 2, 2, RK_OWNER_RELEASED, 2, 2, RK_OWNER_RUN, true, { .n_given = 1 } },
	{ "released, and the heir written down", 3, 2, RK_OWNER_RELEASED, NONE, 3, RK_OWNER_RUN, true, { .n_given = 1 } },
	{ "the same, and the heir is dead", 3, 2, RK_OWNER_RELEASED, 3, 3, RK_OWNER_RUN, true, { .n_given = 1 } },
	{ "of a dead one, the heir written down", 3, 2, RK_OWNER_RUN, 2, 3, RK_OWNER_RUN, true, { .n_given = 1 } },
	{ "the same, and it had been asked", 3, 2, RK_OWNER_STOP, 2, 3, RK_OWNER_RUN, true,
	  { .n_given = 1, .n_unasked = 1 } },
	{ "the same, and it had not copied: the heir does", 3, 2, RK_OWNER_COPY, 2, 3, RK_OWNER_COPY, true,
	  { .n_given = 1 } },
	{ "nobody's, the first owner written down", 3, NONE, RK_OWNER_NONE, NONE, 3, RK_OWNER_RUN, true, { .n_given = 1 } },
	{ "to be taken from a living one", 3, 2, RK_OWNER_RUN, NONE, 2, RK_OWNER_RUN, false, { .n_left = 1 } },
	{ "the same, and it had been asked", 3, 2, RK_OWNER_STOP, NONE, 2, RK_OWNER_RUN, false,
	  { .n_left = 1, .n_unasked = 1 } },
	{ "the same from one that has to copy", 3, 2, RK_OWNER_COPY, NONE, 2, RK_OWNER_COPY, false, { .n_left = 1 } },
	{ "nobody's at all", NONE, NONE, RK_OWNER_NONE, NONE, NONE, RK_OWNER_NONE, false, { .n_given = 0 } },
	{ "nobody's by the journal, and one runs it", NONE, 2, RK_OWNER_RUN, NONE, 2, RK_OWNER_RUN, false, { .n_left = 1 } },
	{ "the same, and it is dead", NONE, 2, RK_OWNER_RUN, 2, NONE, RK_OWNER_RUN, false, { .n_given = 0 } },
	/* A slot that no fleet of this size has. */
	{ "a damaged journal", 77, 2, RK_OWNER_RUN, NONE, 2, RK_OWNER_RUN, false, { .n_left = 1 } },
	{ "a damaged journal, and nobody runs it", 77, 2, RK_OWNER_RUN, 2, 77, RK_OWNER_RUN, false, { .n_given = 0 } },
	{ "a damaged word", 3, 1000, RK_OWNER_RUN, NONE, 3, RK_OWNER_RUN, true, { .n_given = 1 } },
	{ "a flag that is none", 3, 3, (enum rk_owner_flag)77, NONE, 3, RK_OWNER_RUN, true, { .n_given = 1 } },
};

static void leave_as(const struct row *r)
{
	struct rk_part *part = rk_shm_part(&f->m, P);

	rk_journal_own(&f->m, P, r->journal);
	atomic_store(&part->commit, rk_commit(8, 55));
	atomic_store(&part->owner, r->flag == RK_OWNER_COPY ? rk_owner_copy(8, 1, 2, r->worker) :
							       rk_owner(8, 1, r->worker, r->flag));
	rk_part_route(&f->m, P, r->worker, RK_ROUTE_UP);
	if (r->dead != NONE)
		lives[r->dead] = false;
}

static void expect(const struct row *r)
{
	bool is_slot = r->owner_then < f->m.g.n_workers;
	uint32_t incarnation = r->is_given ? 9 : 8;

	ck_assert_msg(owners[P] == r->owner_then, "%s: is %u's", r->name, owners[P]);
	ck_assert_msg(rk_owner_flag(word()) == r->flag_then, "%s: flag %d", r->name, (int)rk_owner_flag(word()));
	ck_assert_msg(rk_owner_incarnation(word()) == incarnation, "%s", r->name);
	ck_assert_msg(commit_word() == rk_commit(incarnation, 55), "%s", r->name); /* no job is lost or done twice */
	if (!is_slot)
		return;
	ck_assert_msg(rk_owner_worker(word()) == r->owner_then, "%s: word of %u", r->name, rk_owner_worker(word()));
	ck_assert_msg(rk_owner_bank(word()) == 1, "%s: bank", r->name); /* where its state is, or is going */
	if (r->flag_then == RK_OWNER_COPY)
		ck_assert_msg(rk_owner_from(word()) == 2, "%s: from", r->name);
	ck_assert_msg(atomic_load(rk_journal_owner(&f->m, P)) == r->owner_then, "%s: journal", r->name);
	ck_assert_msg(route() == rk_route(incarnation, r->owner_then, lives[r->owner_then] ? RK_ROUTE_UP : 0),
		      "%s: route %lx", r->name, (unsigned long)route());
	ck_assert_msg(!r->is_given || is_rung(r->owner_then), "%s: not rung", r->name);
}

START_TEST(what_was_half_done_is_finished_or_undone)
{
	const struct row *r = &rows[_i];

	leave_as(r);
	adopt();
	expect(r);
	ck_assert_msg(memcmp(&told, &r->told, sizeof(told)) == 0, "%s: told otherwise", r->name);
	/* A second supervisor, since that one died in its turn, finds nothing left to do. */
	adopt();
	ck_assert_msg(told.n_given + told.n_unasked + told.n_failed == 0, "%s: done twice", r->name);
	expect(r);
}
END_TEST

START_TEST(only_what_was_half_done_is_touched)
{
	struct rk_part *others[3];
	uint64_t was[3];

	for (uint32_t p = 0, n = 0; p < 4; p++) {
		if (p == P)
			continue;
		ck_assert_int_gt(rk_part_assign(&f->m, p, p), 0);
		rk_journal_own(&f->m, p, p);
		rk_part_route(&f->m, p, p, RK_ROUTE_UP);
		others[n] = rk_shm_part(&f->m, p);
		was[n++] = atomic_load(&rk_shm_part(&f->m, p)->owner);
	}
	leave_as(&rows[_i]);
	lives[0] = lives[2] = lives[3] = true;
	adopt();
	for (uint32_t n = 0; n < 3; n++)
		ck_assert_uint_eq(atomic_load(&others[n]->owner), was[n]);
	ck_assert_uint_eq(owners[0], 0);
	ck_assert_uint_eq(owners[2], 2);
	ck_assert_uint_eq(owners[3], 3);
}
END_TEST

/* ---- killed between two words of one step ---- */

START_TEST(an_assignment_cut_short_is_done_again)
{
	struct fixture_owner w = { 0 };
	struct rk_caller c = fixture_caller(f, 0, 7);

	rk_journal_own(&f->m, P, 2);
	/* A1 and not A2, the first one of all or a later one. */
	if (_i) {
		ck_assert_int_gt(rk_part_assign(&f->m, P, 1), 0);
		lives[1] = false;
	}
	atomic_store(&rk_shm_part(&f->m, P)->commit, rk_commit(rk_commit_incarnation(commit_word()) + 1, 0));
	adopt();
	ck_assert_uint_eq(told.n_given, 1);
	w.room = malloc(rk_owner_room(&f->m));
	ck_assert_int_eq(rk_owner_open(&w.o, &f->m, P, 2, 0, fixture_bank(f, P), w.room), 0);
	ck_assert_uint_eq(fixture_call(&c, &w, 3), 3);
	fixture_disown(&w);
}
END_TEST

/* A1 and not A2 of an assignment to whom it belongs already: it is dead, and its next process would never commit. */
START_TEST(an_assignment_to_the_same_slot_cut_short_is_done_again)
{
	struct fixture_owner w = { 0 };
	struct rk_caller c = fixture_caller(f, 0, 7);

	rk_journal_own(&f->m, P, 2);
	ck_assert_int_gt(rk_part_assign(&f->m, P, 2), 0);
	atomic_store(&rk_shm_part(&f->m, P)->commit, rk_commit(rk_commit_incarnation(commit_word()) + 1, 0));
	lives[2] = false;
	adopt();
	w.room = malloc(rk_owner_room(&f->m));
	ck_assert_int_eq(rk_owner_open(&w.o, &f->m, P, 2, 0, fixture_bank(f, P), w.room), 0);
	ck_assert_uint_eq(fixture_call(&c, &w, 3), 3);
	fixture_disown(&w);
}
END_TEST

/* V1 and not V2: its owner lives, and can commit nothing as it is. */
START_TEST(an_owner_that_was_fenced_and_not_evicted_opens_it_anew)
{
	struct fixture_owner w = { 0 }, again = { 0 };
	struct rk_caller c = fixture_caller(f, 0, 7);

	fixture_own(f, &w, P, 2);
	rk_journal_own(&f->m, P, _i ? 2 : 3); /* 2: a successor had begun to leave it there, and died too */
	atomic_store(&rk_shm_part(&f->m, P)->commit, rk_commit(rk_commit_incarnation(commit_word()) + 1, 0));
	adopt();
	ck_assert_uint_eq(owners[P], 2);
	ck_assert(is_rung(2));
	ck_assert_int_eq(rk_owner_step(&w.o, fixture_add, NULL), -ESTALE);
	again.room = malloc(rk_owner_room(&f->m));
	ck_assert_int_eq(rk_owner_open(&again.o, &f->m, P, 2, 0, fixture_bank(f, P), again.room), 0);
	ck_assert_uint_eq(fixture_call(&c, &again, 3), 3);
	fixture_disown(&w);
	fixture_disown(&again);
}
END_TEST

START_TEST(an_eviction_cut_short_leaves_a_bank_for_another)
{
	struct fixture_owner w = { 0 };

	fixture_own(f, &w, P, 2);
	rk_journal_own(&f->m, P, 3);
	/* Killed behind the note that the bank is kept. */
	atomic_store(rk_journal_kept(&f->m, P, rk_owner_bank(word())), 2 + 1);
	adopt();
	ck_assert_uint_eq(owners[P], 2);
	ck_assert_int_gt(rk_evict(&f->m, P, 3), 0); /* it is found stuck again */
	ck_assert_uint_eq(rk_owner_worker(word()), 3);
	fixture_disown(&w);
}
END_TEST

/* ---- who waits ---- */

static uint32_t parked[4]; /* their bells as they fell asleep */

static void park(uint32_t worker)
{
	parked[worker] = rk_bell_park(&rk_shm_bell(&f->m, worker)->bell);
}

static bool was_woken(uint32_t worker)
{
	return atomic_load(&rk_shm_bell(&f->m, worker)->bell) != parked[worker];
}

/* A client was killed, or the supervisor was, between the reference in the ring and the bell. */
START_TEST(who_has_work_and_was_not_rung_is)
{
	struct rk_caller c = fixture_caller(f, 0, 7);
	struct rk_call call;

	ck_assert_int_gt(rk_part_assign(&f->m, P, 2), 0);
	rk_journal_own(&f->m, P, 2);
	rk_part_route(&f->m, P, 2, RK_ROUTE_UP);
	ck_assert_int_eq(fixture_start(&c, 0, P, 1, &call), RK_CALL_STARTED);
	atomic_store(rk_bell_pending(rk_shm_bell(&f->m, 2)), 0);
	park(2);
	park(1);
	adopt();
	ck_assert(is_rung(2) && was_woken(2));
	ck_assert(!is_rung(1) && !was_woken(1));
}
END_TEST

/* Its old owner died behind a commit: there is no job, but a reply that nobody has delivered. */
START_TEST(an_heir_looks_though_no_job_waits)
{
	struct fixture_owner w = { 0 }, heir = { 0 };
	struct rk_caller c = fixture_caller(f, 0, 7);
	struct rk_call call;

	fixture_own(f, &w, P, 2);
	w.o.gate_elsewhere = true;
	ck_assert_int_eq(fixture_start(&c, 0, P, 5, &call), RK_CALL_STARTED);
	ck_assert_int_ge(rk_owner_step(&w.o, fixture_add, NULL), 0); /* commits, delivers nothing */
	atomic_store(&rk_shm_part(&f->m, P)->released, 1);
	ck_assert_int_ne(rk_call_look(&c, &call), RK_CALL_DONE);
	rk_journal_own(&f->m, P, 3);
	lives[2] = false;
	park(3);
	adopt();
	ck_assert(is_rung(3) && was_woken(3));
	heir.room = malloc(rk_owner_room(&f->m));
	ck_assert_int_eq(rk_owner_open(&heir.o, &f->m, P, 3, rk_owner_bank(word()), fixture_bank(f, P), heir.room), 0);
	ck_assert_int_ge(rk_owner_step(&heir.o, fixture_add, NULL), 0);
	fixture_expect(&c, &call, 0, 5);
	fixture_disown(&w);
	fixture_disown(&heir);
}
END_TEST

/* ---- words that nobody could have left ---- */

START_TEST(a_bank_that_does_not_exist_is_given_to_nobody_and_the_others_go_on)
{
	ck_assert_int_gt(rk_part_assign(&f->m, 3, 1), 0);
	for (uint32_t p = 0; p < 4; p++)
		rk_journal_own(&f->m, p, p == P ? 2 : 1);
	lives[2] = false;
	atomic_store(&rk_shm_part(&f->m, P)->owner, rk_owner(8, ANY_BANK, 3, RK_OWNER_RELEASED));
	adopt();
	ck_assert_uint_eq(told.n_failed, 1);
	ck_assert_uint_eq(told.n_given, 2);
	ck_assert_uint_eq(owners[P], 2);
	for (uint32_t p = 0; p < 4; p++)
		if (p != P)
			ck_assert_int_eq(rk_owner_look(&f->m, p, 1), 0);
}
END_TEST

START_TEST(words_of_chance_are_survived)
{
	for (uint64_t n = 0; n < 20000; n++) {
		uint64_t seed = n * 0x9e3779b97f4a7c15ull;

		for (uint32_t p = 0; p < 4; p++) {
			uint64_t x = (seed ^ seed >> 29) * (0xbf58476d1ce4e5b9ull + 2 * p);

			atomic_store(&rk_shm_part(&f->m, p)->owner, p & 1 ? x : x & ~0xfff8ull);
			atomic_store(&rk_shm_part(&f->m, p)->commit, x * 5);
			atomic_store(rk_journal_owner(&f->m, p), (uint16_t)(x >> 40));
			lives[p] = x >> 17 & 1;
		}
		adopt();
		for (uint32_t p = 0; p < 4; p++)
			if (owners[p] < 4)
				ck_assert_uint_eq(atomic_load(rk_journal_owner(&f->m, p)), owners[p]);
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("adopt");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, what_was_half_done_is_finished_or_undone, 0, rk_countof(rows));
	tcase_add_loop_test(c, only_what_was_half_done_is_touched, 0, rk_countof(rows));
	tcase_add_loop_test(c, an_assignment_cut_short_is_done_again, 0, 2);
	tcase_add_test(c, an_assignment_to_the_same_slot_cut_short_is_done_again);
	tcase_add_loop_test(c, an_owner_that_was_fenced_and_not_evicted_opens_it_anew, 0, 2);
	tcase_add_test(c, an_eviction_cut_short_leaves_a_bank_for_another);
	tcase_add_test(c, who_has_work_and_was_not_rung_is);
	tcase_add_test(c, an_heir_looks_though_no_job_waits);
	tcase_add_test(c, a_bank_that_does_not_exist_is_given_to_nobody_and_the_others_go_on);
	tcase_add_test(c, words_of_chance_are_survived);
	return unit_run(c);
}
