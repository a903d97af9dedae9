/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Each job is applied all or not at all and once, alone or in a batch, whoever of a
 *         row of owners ran it; duplicates, stale and malformed requests have no effect and
 *         are counted; an aborted job answers with its error; damaged memory never leads the
 *         owner outside its segments.
 * Method  One client and one owner (then its successors) step by step. A successor is another
 *         rk_owner opened on the same bank; where its predecessor was "killed" it simply
 *         does not go on.
 */
#include "shm/owner.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "shm/beat.h"
#include "shm/copy.h"
#include "shm/dead.h"
#include "shm/part.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define P48 ((1ull << 48) - 1)

static const uint64_t firsts[] = { 0, 5, P48 - 70, P48 - 1, P48 };

struct scene {
	struct fixture *f;
	struct fixture_owner w;
	struct rk_caller c;
};

static struct scene open_scene(const struct rk_geometry *g, uint64_t first)
{
	struct scene s = { .f = fixture_new(g, first) };

	fixture_own(s.f, &s.w, 0, 1);
	s.c = fixture_caller(s.f, 1, 77);
	return s;
}

static void close_scene(struct scene *s)
{
	fixture_disown(&s->w);
	fixture_free(s->f);
}

static int step(struct scene *s)
{
	return rk_owner_step(&s->w.o, fixture_add, NULL);
}

/* The worker is gone; another one takes over. */
static void succeed(struct scene *s, uint32_t worker)
{
	fixture_disown(&s->w);
	fixture_own(s->f, &s->w, 0, worker);
}

/* An owner past its careful first steps, with these many jobs per commit. */
static void allow_batches(struct scene *s, uint32_t n)
{
	s->w.o.singles = 0;
	s->w.o.batch_max = n;
}

static void start(struct scene *s, uint32_t slot, uint8_t body, struct rk_call *ret)
{
	ck_assert_int_eq(fixture_start(&s->c, slot, 0, body, ret), RK_CALL_STARTED);
}

/* ---- one job after the other ---- */

START_TEST(jobs_are_applied_once_and_in_order_across_the_wrap_and_successors)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	uint64_t sum = 0;

	for (uint32_t n = 1; n <= 300; n++) {
		sum += n % 200;
		ck_assert_uint_eq(fixture_call(&s.c, &s.w, (uint8_t)(n % 200)), sum);
		if (n % 37 == 0)
			succeed(&s, n % 4);
	}
	ck_assert_uint_eq(fixture_sum(s.f, 0), sum);
	ck_assert_int_eq(step(&s), 0);
	close_scene(&s);
}
END_TEST

/* Fails after it has changed much of the state. */
static int change_and_fail(struct rk_owner_job *job, void *arg)
{
	char *state = job->owner->bank.state;

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(rk_owner_touch(job, state + 8 * i, 40), 0);
		memset(state + 8 * i, 0xee, 40);
	}
	ck_assert_int_eq(rk_owner_reply(job, "gone", 4), 0);
	return *(int *)arg;
}

static const struct {
	int returned, read;
} handler_errors[] = { { -EDOM, -EDOM }, { -1, -1 }, { -4095, -4095 }, { -65536, -EIO }, { INT_MIN, -EIO },
		     { -ENOTRECOVERABLE, -EIO } };

START_TEST(a_handlers_error_undoes_its_changes_and_is_its_reply)
{
	struct scene s = open_scene(NULL, firsts[1]);
	int error = handler_errors[_i].returned;
	struct rk_call call;

	ck_assert_uint_eq(fixture_call(&s.c, &s.w, 3), 3);
	start(&s, 0, 1, &call);
	ck_assert_int_eq(rk_owner_step(&s.w.o, change_and_fail, &error), 1);
	ck_assert_uint_eq(s.w.o.n_errors, 1);
	fixture_expect(&s.c, &call, handler_errors[_i].read, 0);
	for (int i = 8; i < 60; i++)
		ck_assert_int_eq(s.w.o.bank.state[i], 0);
	ck_assert_uint_eq(fixture_call(&s.c, &s.w, 4), 7);
	close_scene(&s);
}
END_TEST

static int reply_nothing(struct rk_owner_job *job, void *arg)
{
	(void)arg;
	ck_assert_int_eq(rk_owner_reply(job, "something", 9), 0);
	return rk_owner_reply(job, NULL, 0);
}

static int reply_too_much(struct rk_owner_job *job, void *arg)
{
	static const char much[65];

	ck_assert_int_eq(rk_owner_reply(job, "kept", 4), 0);
	ck_assert_int_eq(rk_owner_reply(job, much, 65), -EMSGSIZE);
	ck_assert_int_eq(rk_owner_reply(job, much, SIZE_MAX), -EMSGSIZE);
	if (arg)
		ck_assert_int_eq(rk_owner_reply(job, much, 64), 0);
	return 0;
}

START_TEST(the_last_reply_that_fits_is_sent)
{
	static const struct {
		rk_owner_handler handler;
		bool arg;
		uint32_t len;
	} cases[] = { { reply_nothing, false, 0 }, { reply_too_much, false, 4 }, { reply_too_much, true, 64 } };
	struct scene s = open_scene(NULL, 0);
	struct rk_call_reply reply;
	struct rk_call call;

	start(&s, 0, 1, &call);
	ck_assert_int_eq(rk_owner_step(&s.w.o, cases[_i].handler, cases[_i].arg ? &s : NULL), 1);
	ck_assert_int_eq(rk_call_look(&s.c, &call), RK_CALL_DONE);
	rk_call_reply(&s.c, &call, &reply);
	ck_assert_uint_eq(reply.len, cases[_i].len);
	close_scene(&s);
}
END_TEST

/* ---- touch ---- */

struct touch {
	int64_t at; /* from the state's beginning */
	size_t len;
	int result;
};

static const struct touch touches[] = {
	{ 0, 0, 0 }, { 0, 8, 0 }, { 4088, 8, 0 }, { 4096, 0, 0 },
	{ 0, 4096, -ENOSPC }, /* more than the log data hold */
	{ -1, 1, -EFAULT }, { -64, 8, -EFAULT }, { -8, 16, -EFAULT }, { 4089, 8, -EFAULT }, { 4096, 1, -EFAULT },
	{ 0, 4097, -EFAULT }, { 8, SIZE_MAX, -EFAULT }, { 8, SIZE_MAX - 7, -EFAULT },
	{ INT64_MIN, 8, -EFAULT }, { INT64_MAX, 8, -EFAULT },
};

static int touch_and_go_on(struct rk_owner_job *job, void *arg)
{
	const struct touch *t = arg;
	char *state = job->owner->bank.state;

	ck_assert_int_eq(rk_owner_touch(job, state + 16, 1), 0);
	state[16] = 1;
	ck_assert_int_eq(rk_owner_touch(job, (const void *)((uintptr_t)state + (uintptr_t)t->at), t->len), t->result);
	return 0; /* says nothing of it */
}

START_TEST(a_touch_outside_the_state_or_beyond_the_log_aborts_the_job)
{
	struct scene s = open_scene(NULL, 0);
	struct touch t = touches[_i];
	struct rk_call call;

	start(&s, 0, 1, &call);
	ck_assert_int_eq(rk_owner_step(&s.w.o, touch_and_go_on, &t), 1);
	ck_assert_int_eq(s.w.o.bank.state[16], t.result == 0);
	if (t.result)
		fixture_expect(&s.c, &call, t.result, 0);
	ck_assert_uint_eq(s.w.o.n_errors, t.result != 0);
	close_scene(&s);
}
END_TEST

/* Touches as often as the body says; stops at the first failure, as a handler must. */
static int touch_often(struct rk_owner_job *job, void *arg)
{
	char *state = job->owner->bank.state;
	uint8_t n = *(const uint8_t *)job->body;

	++*(int *)arg;
	for (uint8_t i = 0; i < n; i++) {
		int r = rk_owner_touch(job, state + i, 1);

		if (r < 0)
			return r;
		state[i]++;
	}
	return 0;
}

static bool state_is(struct scene *s, uint32_t from, uint32_t to, char value)
{
	for (uint32_t i = from; i < to; i++)
		if (s->w.o.bank.state[i] != value)
			return false;
	return true;
}

START_TEST(a_log_that_overflows_alone_aborts_the_job_and_the_next_one_has_it_whole)
{
	struct scene s = open_scene(NULL, 0);
	struct rk_call call;
	int n_runs = 0;

	/* 32 entries, of which a job needs one for itself. */
	static const struct {
		uint8_t n;
		int error;
	} jobs[] = { { 32, -ENOSPC }, { 31, 0 }, { 32, -ENOSPC }, { 31, 0 } };

	for (size_t i = 0; i < rk_countof(jobs); i++) {
		start(&s, 0, jobs[i].n, &call);
		ck_assert_int_eq(rk_owner_step(&s.w.o, touch_often, &n_runs), 1);
		ck_assert_int_eq(rk_call_look(&s.c, &call), RK_CALL_DONE);
		struct rk_call_reply reply;
		rk_call_reply(&s.c, &call, &reply);
		ck_assert_int_eq(reply.error, jobs[i].error);
		rk_call_release(&s.c, &call);
	}
	ck_assert(state_is(&s, 0, 31, 2));
	ck_assert(state_is(&s, 31, 64, 0));
	ck_assert_int_eq(n_runs, 4);
	close_scene(&s);
}
END_TEST

START_TEST(a_log_that_overflows_in_a_batch_runs_that_job_again_alone)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct rk_call call[2];
	int n_runs = 0;

	allow_batches(&s, 8);
	start(&s, 0, 10, &call[0]);
	start(&s, 1, 25, &call[1]);
	ck_assert_int_eq(rk_owner_step(&s.w.o, touch_often, &n_runs), 1);
	ck_assert(state_is(&s, 0, 10, 1));
	ck_assert(state_is(&s, 10, 64, 0)); /* nothing of the second */
	ck_assert_int_eq(rk_call_look(&s.c, &call[0]), RK_CALL_DONE);
	ck_assert_int_eq(rk_call_look(&s.c, &call[1]), RK_CALL_TAKEN);
	ck_assert_int_eq(rk_owner_step(&s.w.o, touch_often, &n_runs), 1);
	ck_assert_int_eq(n_runs, 3);
	ck_assert(state_is(&s, 0, 10, 2));
	ck_assert(state_is(&s, 10, 25, 1));
	ck_assert_int_eq(rk_call_look(&s.c, &call[1]), RK_CALL_DONE);
	ck_assert_uint_eq(s.w.o.n_errors, 0);
	close_scene(&s);
}
END_TEST

START_TEST(a_dedup_entry_that_finds_no_room_in_a_batchs_log_waits_for_its_own)
{
	struct scene s = open_scene(NULL, 0);
	struct rk_call call[2];
	int n_runs = 0;

	allow_batches(&s, 8);
	start(&s, 0, (uint8_t)(27 + _i), &call[0]); /* and its own entry leaves 2, 1, 0 for the next */
	start(&s, 1, 5, &call[1]);
	ck_assert_int_eq(rk_owner_step(&s.w.o, touch_often, &n_runs), 1);
	ck_assert_int_eq(n_runs, 1);
	ck_assert_int_eq(rk_owner_step(&s.w.o, touch_often, &n_runs), 1);
	ck_assert_int_eq(n_runs, 2);
	ck_assert_int_eq(rk_call_look(&s.c, &call[1]), RK_CALL_DONE);
	ck_assert_uint_eq(s.w.o.n_refused, 0);
	close_scene(&s);
}
END_TEST

/* ---- batches ---- */

START_TEST(a_batch_commits_together_and_each_job_gets_its_own_answer)
{
	struct rk_geometry g = fixture_geometry();
	struct rk_call call[12];
	struct scene s;

	g.n_slots = 12;
	g.n_cells = 16;
	g.n_dedup = 36;
	g.n_log = 64;
	s = open_scene(&g, firsts[_i]);
	allow_batches(&s, 8);
	for (uint32_t i = 0; i < 12; i++)
		start(&s, i, i % 5 == 4 ? 0xff : (uint8_t)(i + 1), &call[i]); /* two of them fail */
	ck_assert_int_eq(rk_call_expire(&s.c, &call[2]), RK_CALL_NOT_APPLIED); /* one is withdrawn */
	ck_assert_int_eq(step(&s), 8);
	ck_assert_int_eq(rk_call_look(&s.c, &call[8]), RK_CALL_PENDING);
	ck_assert_int_eq(step(&s), 4);
	for (uint32_t i = 0, sum = 0; i < 12; i++) {
		if (i == 2)
			continue;
		if (i % 5 != 4)
			sum += i + 1;
		fixture_expect(&s.c, &call[i], i % 5 == 4 ? -EDOM : 0, sum);
	}
	ck_assert_uint_eq(s.w.o.n_jobs, 12);
	ck_assert_uint_eq(s.w.o.n_without_effect, 1);
	ck_assert_uint_eq(s.w.o.n_errors, 2);
	close_scene(&s);
}
END_TEST

/* The third job of a batch is where its worker "dies": the partition passes on under it. */
struct thief {
	struct scene *s;
	int n_runs;
};

static int lose_the_partition(struct rk_owner_job *job, void *arg)
{
	struct thief *t = arg;

	if (++t->n_runs == 3)
		ck_assert_int_gt(rk_part_assign(&t->s->f->m, 0, 2), 0);
	return fixture_add(job, NULL);
}

START_TEST(a_batch_cut_short_is_undone_and_run_again_one_by_one)
{
	struct rk_geometry g = fixture_geometry();
	struct rk_call call[4];
	struct thief thief;
	struct scene s;

	g.n_slots = 4;
	g.n_cells = 8;
	s = open_scene(&g, firsts[_i]);
	thief = (struct thief){ .s = &s };
	ck_assert_uint_eq(fixture_call(&s.c, &s.w, 100), 100);
	allow_batches(&s, 8);
	for (uint32_t i = 0; i < 4; i++)
		start(&s, i, (uint8_t)(i + 1), &call[i]);
	ck_assert_int_eq(rk_owner_step(&s.w.o, lose_the_partition, &thief), -ESTALE);
	ck_assert_uint_eq(fixture_sum(s.f, 0), 110); /* in place, uncommitted */
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(rk_call_look(&s.c, &call[i]), RK_CALL_TAKEN);
	succeed(&s, 3);
	ck_assert(s.w.o.rolled_back);
	ck_assert_uint_eq(fixture_sum(s.f, 0), 100);
	s.w.o.batch_max = 8;
	for (uint32_t i = 0, sum = 100; i < 4; i++) {
		ck_assert_int_eq(step(&s), 1);
		fixture_expect(&s.c, &call[i], 0, sum += i + 1);
	}
	close_scene(&s);
}
END_TEST

START_TEST(an_owner_that_lost_its_partition_touches_nothing_more)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct fixture_owner old = s.w;
	struct rk_call call;

	s.w.room = NULL;
	succeed(&s, 2);
	start(&s, 0, 5, &call);
	ck_assert_int_eq(rk_owner_step(&old.o, fixture_add, NULL), -ESTALE);
	ck_assert_int_eq(rk_call_look(&s.c, &call), RK_CALL_PENDING);
	ck_assert_int_eq(step(&s), 1);
	ck_assert_int_eq(rk_owner_step(&old.o, fixture_add, NULL), -ESTALE);
	fixture_expect(&s.c, &call, 0, 5);
	fixture_disown(&old);
	close_scene(&s);
}
END_TEST

START_TEST(what_was_committed_and_not_delivered_the_successor_delivers_first)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct rk_part *part = rk_shm_part(&s.f->m, 0);
	struct rk_call call[2];
	uint64_t first = firsts[_i], ref;

	for (uint32_t i = 0; i < 2; i++)
		start(&s, i, 7, &call[i]);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(step(&s), 1);
	/* As if the worker had died right after its commit: cells, places, freed and gate as before. */
	for (uint32_t i = 0; i < 2; i++) {
		atomic_store_explicit(&rk_shm_cell(&s.f->m, call[i].cell)->word,
				      rk_cellword(call[i].sequence, 0, RK_CELL_WANT), memory_order_relaxed);
		ref = rk_ref(rk_pos_add(first, i), 64, call[i].cell, RK_REF_TAKEN);
		atomic_store_explicit(rk_ring_place(&s.f->m, rk_shm_ring(&s.f->m, 0), rk_pos_add(first, i)), ref,
				      memory_order_relaxed);
	}
	atomic_store_explicit(&part->freed, first, memory_order_relaxed);
	atomic_store_explicit(&part->released, first, memory_order_relaxed);
	succeed(&s, 2);
	ck_assert_int_eq(rk_call_look(&s.c, &call[0]), RK_CALL_TAKEN);
	ck_assert_int_eq(step(&s), 0); /* no work, but pending replies */
	fixture_expect(&s.c, &call[0], 0, 7);
	fixture_expect(&s.c, &call[1], 0, 14);
	ck_assert_uint_eq(fixture_sum(s.f, 0), 14);
	ck_assert_uint_eq(atomic_load_explicit(&part->freed, memory_order_relaxed), rk_pos_add(first, 2));
	close_scene(&s);
}
END_TEST

/* ---- requests that must have no effect ---- */

struct damage {
	const char *what;
	void (*apply)(struct scene *s, struct rk_cell *cell, const struct rk_call *call);
};

#define DAMAGE(name, statement)                                                                    \
	static void name(struct scene *s, struct rk_cell *cell, const struct rk_call *call)        \
	{                                                                                          \
		(void)s;                                                                           \
		(void)cell;                                                                        \
		(void)call;                                                                        \
		statement;                                                                         \
	}

#define SET(word, value) atomic_store_explicit(&(word), value, memory_order_relaxed)
#define WORD(sequence, state) SET(cell->word, rk_cellword(sequence, 0, state))

DAMAGE(key_too_long, SET(cell->request, rk_request_word(0, 0, 65)))
DAMAGE(key_enormous, SET(cell->request, rk_request_word(0, 0, UINT32_MAX)))
DAMAGE(body_too_long, SET(cell->body_len, 62))
DAMAGE(body_enormous, SET(cell->body_len, UINT32_MAX))
DAMAGE(lens_that_wrap, SET(cell->body_len, UINT32_MAX - 2))
DAMAGE(wrong_partition, SET(cell->request, rk_request_word(0, 1, 3)))
DAMAGE(partition_outside, SET(cell->request, rk_request_word(0, 0xffff, 3)))
DAMAGE(slot_outside, SET(cell->request, rk_request_word(2, 0, 3)))
DAMAGE(slot_far_outside, SET(cell->request, rk_request_word(0xffff, 0, 3)))
DAMAGE(foreign_id, SET(cell->client_id, 78))
DAMAGE(page_passed_on, (void)fixture_caller(s->f, 1, 79))
DAMAGE(idle, WORD(call->sequence, RK_CELL_IDLE))
DAMAGE(done, WORD(call->sequence, RK_CELL_DONE))
DAMAGE(writing, WORD(call->sequence, RK_CELL_WRITING))
DAMAGE(same_sequence_in_dedup, WORD(call->sequence - 1, RK_CELL_WANT))
DAMAGE(stale_sequence, WORD(call->sequence - 2, RK_CELL_WANT))
DAMAGE(sequence_zero, WORD(0, RK_CELL_WANT))
DAMAGE(cell_outside, SET(*rk_ring_place(&s->f->m, rk_shm_ring(&s->f->m, 0), 2),
			 rk_ref(2, 64, 12, RK_REF_READY)))
DAMAGE(cell_far_outside, SET(*rk_ring_place(&s->f->m, rk_shm_ring(&s->f->m, 0), 2),
			     rk_ref(2, 64, 0xfffff, RK_REF_TAKEN)))

static const struct damage damages[] = {
#define D(name) { #name, name }
	D(key_too_long), D(key_enormous), D(body_too_long), D(body_enormous), D(lens_that_wrap), D(wrong_partition),
	D(partition_outside), D(slot_outside), D(slot_far_outside), D(foreign_id), D(page_passed_on), D(idle), D(done),
	D(writing), D(same_sequence_in_dedup), D(stale_sequence), D(sequence_zero), D(cell_outside), D(cell_far_outside),
#undef D
};

static int never(struct rk_owner_job *job, void *arg)
{
	(void)job;
	ck_abort_msg("ran: %s", (const char *)arg);
	return 0;
}

START_TEST(a_request_that_is_not_what_its_reference_promised_has_no_effect)
{
	struct scene s = open_scene(NULL, 0);
	struct rk_call call;

	for (uint64_t i = 1; i <= 2; i++)
		ck_assert_uint_eq(fixture_call(&s.c, &s.w, 1), i);
	start(&s, 0, 1, &call);
	damages[_i].apply(&s, rk_shm_cell(&s.f->m, call.cell), &call);
	ck_assert_int_eq(rk_owner_step(&s.w.o, never, (void *)(uintptr_t)damages[_i].what), 1);
	ck_assert_uint_eq(s.w.o.n_without_effect, 1);
	ck_assert_uint_eq(fixture_sum(s.f, 0), 2);
	ck_assert_int_eq(step(&s), 0); /* and the partition goes on */
	s.c = fixture_caller(s.f, 2, 80);
	ck_assert_uint_eq(fixture_call(&s.c, &s.w, 1), 3);
	close_scene(&s);
}
END_TEST

static const uint64_t applied_up_to[] = { 1, 2, RK_SEQUENCE_MAX, ~0ull };

START_TEST(a_sequence_not_above_the_applied_one_is_stale_when_no_entry_knows_it)
{
	struct scene s = open_scene(NULL, 0);
	struct rk_call call;

	start(&s, 1, 1, &call);
	s.w.o.bank.applied[1 * s.f->m.g.n_slots + 1] = applied_up_to[_i];
	ck_assert_int_eq(rk_owner_step(&s.w.o, never, (void *)(uintptr_t) "applied"), 1);
	ck_assert_uint_eq(s.w.o.n_without_effect, 1);
	ck_assert_uint_eq(s.w.o.n_refused, 0);
	close_scene(&s);
}
END_TEST

START_TEST(replies_that_lie_unread_in_their_cells_hold_up_nobody)
{
	struct scene s = open_scene(NULL, 0); /* four entries, six callers, of whom none reads */
	struct rk_caller c[3];
	struct rk_call call[3][2];

	for (uint32_t page = 0; page < 3; page++) {
		c[page] = fixture_caller(s.f, page, 100 + page);
		for (uint32_t slot = 0; slot < 2; slot++) {
			ck_assert_int_eq(fixture_start(&c[page], slot, 0, 1, &call[page][slot]), RK_CALL_STARTED);
			ck_assert_int_eq(step(&s), 1);
			ck_assert_int_eq(rk_call_look(&c[page], &call[page][slot]), RK_CALL_DONE);
		}
	}
	ck_assert_uint_eq(s.w.o.n_refused, 0);
	for (uint32_t i = 0; i < 6; i++)
		fixture_expect(&c[i / 2], &call[i / 2][i % 2], 0, i + 1);
	close_scene(&s);
}
END_TEST

/* Published again, a call whose reply lies in a cell that was set aside, and whose entry is another's. */
START_TEST(a_call_asked_for_again_finds_its_reply_where_it_was_left)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct rk_call first, others[4];
	struct rk_caller c[2] = { fixture_caller(s.f, 0, 100), fixture_caller(s.f, 2, 102) };
	struct rk_cell *cell;

	start(&s, 0, 5, &first);
	ck_assert_int_eq(step(&s), 1);
	/* While it was being written its client set it aside, and it was finished after all. */
	cell = rk_shm_cell(&s.f->m, first.cell);
	SET(cell->word, rk_cellword(first.sequence, 1, RK_CELL_WRITING));
	ck_assert_int_eq(rk_call_expire(&s.c, &first), RK_CALL_PENDING);
	SET(cell->word, rk_cellword(first.sequence, 0, RK_CELL_DONE));
	/* Before the second reference's turn its entry goes to somebody. */
	for (uint32_t i = 0; i < 4; i++)
		s.w.o.bank.applied[i < 2 ? i : i + 2] = 0;
	for (uint32_t i = 0; i < s.f->m.g.n_dedup; i++)
		rk_bank_dedup(&s.w.o.bank, i)->sequence = 0;
	ck_assert_int_eq(rk_owner_step(&s.w.o, never, (void *)(uintptr_t) "a duplicate"), 1);
	fixture_expect(&s.c, &first, 0, 5);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(fixture_start(&c[i / 2], i % 2, 0, 1, &others[i]), RK_CALL_STARTED);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(step(&s), 1);
	ck_assert_uint_eq(fixture_sum(s.f, 0), 9);
	close_scene(&s);
}
END_TEST

START_TEST(a_table_full_of_replies_behind_the_gate_refuses_until_it_opens)
{
	struct scene s = open_scene(NULL, 0); /* four entries, six callers */
	struct rk_caller c[3];
	struct rk_call call[3][2];

	s.w.o.gate_elsewhere = true;
	for (uint32_t page = 0; page < 3; page++) {
		c[page] = fixture_caller(s.f, page, 100 + page);
		for (uint32_t slot = 0; slot < 2; slot++) {
			ck_assert_int_eq(fixture_start(&c[page], slot, 0, 1, &call[page][slot]), RK_CALL_STARTED);
			ck_assert_int_eq(step(&s), 1);
		}
	}
	ck_assert_uint_eq(s.w.o.n_refused, 2);
	ck_assert_uint_eq(fixture_sum(s.f, 0), 4);
	SET(rk_shm_part(&s.f->m, 0)->released, rk_commit_cursor(s.w.o.commit));
	ck_assert_int_eq(step(&s), 0);
	for (uint32_t i = 0; i < 4; i++)
		fixture_expect(&c[i / 2], &call[i / 2][i % 2], 0, i + 1);
	for (uint32_t slot = 0; slot < 2; slot++)
		ck_assert_int_eq(rk_call_look(&c[2], &call[2][slot]), RK_CALL_NOT_APPLIED);
	close_scene(&s);
}
END_TEST

START_TEST(a_batch_that_finds_the_table_full_ends_early)
{
	struct scene s = open_scene(NULL, 0); /* four entries, six callers */
	struct rk_caller c[3];
	struct rk_call call[3][2];

	for (uint32_t i = 0; i < 6; i++) {
		if (i % 2 == 0)
			c[i / 2] = fixture_caller(s.f, i / 2, 100 + i / 2);
		ck_assert_int_eq(fixture_start(&c[i / 2], i % 2, 0, 1, &call[i / 2][i % 2]), RK_CALL_STARTED);
	}
	allow_batches(&s, 6);
	ck_assert_int_eq(step(&s), 4);
	while (step(&s) > 0)
		;
	ck_assert_uint_eq(s.w.o.n_refused, 0);
	for (uint32_t i = 0; i < 6; i++)
		fixture_expect(&c[i / 2], &call[i / 2][i % 2], 0, i + 1);
	close_scene(&s);
}
END_TEST

START_TEST(a_failing_rerun_is_undone_and_answers_with_its_error)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct rk_call call;
	int error = -EDOM;

	ck_assert_uint_eq(fixture_call(&s.c, &s.w, 3), 3);
	start(&s, 0, 1, &call);
	/* Its first run was killed behind two changes, of which the second is not what it does now. */
	rk_bank_begin(&s.w.o.bank, rk_commit_cursor(s.w.o.commit));
	ck_assert_int_eq(rk_bank_save(&s.w.o.bank, &s.w.o.bank.applied[1 * s.f->m.g.n_slots], 8), 0);
	ck_assert_int_eq(rk_bank_save(&s.w.o.bank, s.w.o.bank.state, 9), 0);
	memset(s.w.o.bank.state, 0xdd, 9);
	succeed(&s, 2);
	ck_assert_uint_eq(fixture_sum(s.f, 0), 3);
	ck_assert_int_eq(rk_owner_step(&s.w.o, change_and_fail, &error), 1);
	ck_assert_uint_eq(fixture_sum(s.f, 0), 3);
	ck_assert(state_is(&s, 8, 64, 0));
	fixture_expect(&s.c, &call, -EDOM, 0);
	ck_assert_uint_eq(fixture_call(&s.c, &s.w, 4), 7);
	close_scene(&s);
}
END_TEST

/* It changes all that the log holds. */
START_TEST(a_large_job_may_be_killed_any_number_of_times)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct rk_call call;
	struct rk_call_reply reply;
	int n_runs = 0;

	start(&s, 0, 31, &call);
	for (int death = 0; death < 10; death++) {
		struct rk_owner_job job = { 0 };

		/* As far as it got: everything but the commit. */
		rk_bank_begin(&s.w.o.bank, rk_commit_cursor(s.w.o.commit));
		ck_assert_int_eq(rk_bank_save(&s.w.o.bank, &s.w.o.bank.applied[1 * s.f->m.g.n_slots], 8), 0);
		job.owner = &s.w.o;
		for (uint8_t i = 0; i < 31; i++)
			ck_assert_int_eq(rk_owner_touch(&job, s.w.o.bank.state + i, 1), 0);
		memset(s.w.o.bank.state, 0xdd, 31);
		succeed(&s, (uint32_t)death % 4);
		ck_assert(s.w.o.rolled_back);
	}
	ck_assert_int_eq(rk_owner_step(&s.w.o, touch_often, &n_runs), 1);
	ck_assert_int_eq(rk_call_look(&s.c, &call), RK_CALL_DONE);
	rk_call_reply(&s.c, &call, &reply);
	ck_assert_int_eq(reply.error, 0);
	close_scene(&s);
}
END_TEST

START_TEST(a_sequence_applied_by_a_predecessor_is_answered_from_memory)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct rk_call call;

	start(&s, 0, 5, &call);
	ck_assert_int_eq(step(&s), 1);
	atomic_store_explicit(&rk_shm_cell(&s.f->m, call.cell)->word, rk_cellword(call.sequence, 0, RK_CELL_WANT),
			      memory_order_relaxed);
	ck_assert_int_eq(rk_queue_publish(&s.f->m, 0, call.cell), RK_QUEUE_OK);
	succeed(&s, 3);
	ck_assert_int_eq(rk_owner_step(&s.w.o, never, (void *)(uintptr_t) "a duplicate"), 1);
	fixture_expect(&s.c, &call, 0, 5);
	close_scene(&s);
}
END_TEST

static int look_at_job(struct rk_owner_job *job, void *arg)
{
	++*(int *)arg;
	ck_assert_uint_eq(job->key_len, 5);
	ck_assert_str_eq(job->key, "seven");
	ck_assert_uint_eq(job->len, 4);
	ck_assert_str_eq(job->body, "body");
	ck_assert_uint_eq(job->partition, 0);
	ck_assert_uint_eq(job->number, P48);
	ck_assert_uint_eq(job->deadline_ns, 123);
	ck_assert_uint_eq(job->client_id, 77);
	ck_assert_uint_eq(job->sequence, 1);
	return 0;
}

START_TEST(a_handler_sees_the_request_and_its_circumstances)
{
	struct scene s = open_scene(NULL, P48);
	struct rk_call_request r = { .key = "seven", .key_len = 5, .body = "body", .len = 4, .deadline_ns = 123 };
	struct rk_call call;
	int n = 0;

	ck_assert_int_eq(rk_call_start(&s.c, 0, &r, &call), RK_CALL_STARTED);
	ck_assert_int_eq(rk_owner_step(&s.w.o, look_at_job, &n), 1);
	ck_assert_int_eq(n, 1);
	ck_assert_uint_eq(atomic_load_explicit(&rk_shm_beat(&s.f->m, 1)->deadline_ns, memory_order_relaxed), 123);
	ck_assert_uint_eq(atomic_load_explicit(&rk_shm_beat(&s.f->m, 1)->job, memory_order_relaxed), P48);
	close_scene(&s);
}
END_TEST

/* ---- damaged memory ---- */

START_TEST(an_owner_survives_random_words_in_everything_shared)
{
	struct scene s = open_scene(NULL, 0);
	struct rk_rand r = rk_rand_init((uint64_t)_i);
	static const int kinds[] = { RK_SEGMENT_CALLS, RK_SEGMENT_QUEUES, RK_SEGMENT_PARTS, RK_SEGMENT_BEATS,
				     RK_SEGMENT_DEAD, RK_SEGMENT_KINDS };

	atomic_store_explicit(&s.f->m.board->dead_after, 2, memory_order_relaxed);
	for (int round = 0; round < 400; round++) {
		struct rk_call call;

		for (int k = 0; k < 40; k++) {
			struct fixture_map *map = &s.f->maps[kinds[rk_rand_below(&r, rk_countof(kinds))]];
			uint64_t *word = (uint64_t *)(void *)map->at + rk_rand_below(&r, map->len / 8);

			/* Whole garbage, small numbers, or one bit. */
			switch (rk_rand_below(&r, 3)) {
			case 0:
				*word = rk_rand_u64(&r);
				break;
			case 1:
				*word = rk_rand_below(&r, 256);
				break;
			default:
				*word ^= 1ull << rk_rand_below(&r, 64);
			}
		}
		(void)!fixture_start(&s.c, (uint32_t)round & 1, 0, 1, &call);
		s.w.o.batch_max = 1 + (uint32_t)rk_rand_below(&r, 8);
		if (rk_rand_below(&r, 2))
			s.w.o.singles = 0;
		if (rk_owner_step(&s.w.o, fixture_add, NULL) < 0 || rk_rand_below(&r, 8) == 0)
			succeed(&s, (uint32_t)rk_rand_below(&r, 4));
	}
	close_scene(&s);
}
END_TEST

/* ---- attempts ---- */

static void limit_attempts(struct scene *s, uint32_t n)
{
	atomic_store_explicit(&s->f->m.board->dead_after, n, memory_order_relaxed);
}

/* Asks for another attempt after it has changed the state, so often for a body of this byte. */
struct asking {
	uint8_t body;
	uint32_t n;
	uint32_t n_runs;
};

static int ask_again(struct rk_owner_job *job, void *arg)
{
	struct asking *a = arg;
	int r = fixture_add(job, NULL);

	if (*(const uint8_t *)job->body != a->body || a->n_runs++ >= a->n)
		return r;
	return RK_OWNER_RETRY;
}

START_TEST(a_job_that_wants_another_attempt_is_undone_counted_and_run_again_in_its_order)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct asking a = { .body = 5, .n = 2 };
	struct rk_call call[2];

	limit_attempts(&s, 3);
	ck_assert_uint_eq(fixture_call(&s.c, &s.w, 10), 10);
	start(&s, 0, 5, &call[0]);
	start(&s, 1, 7, &call[1]);
	for (uint32_t n = 1; n <= 2; n++) {
		ck_assert_int_eq(rk_owner_step(&s.w.o, ask_again, &a), -EAGAIN);
		ck_assert_uint_eq(fixture_sum(s.f, 0), 10);
		ck_assert_uint_eq(rk_part_attempts(&s.f->m, 0), n);
		ck_assert_int_eq(rk_call_look(&s.c, &call[0]), RK_CALL_TAKEN);
	}
	ck_assert_int_eq(rk_owner_step(&s.w.o, ask_again, &a), 1);
	fixture_expect(&s.c, &call[0], 0, 15);
	ck_assert_int_eq(rk_owner_step(&s.w.o, ask_again, &a), 1);
	fixture_expect(&s.c, &call[1], 0, 22);
	ck_assert_uint_eq(s.w.o.n_retries, 2);
	ck_assert_uint_eq(rk_part_attempts(&s.f->m, 0), 0);
	close_scene(&s);
}
END_TEST

static bool is_asked_to_give_up(const struct rk_owner_job *job)
{
	return rk_beat_is_cancelled(rk_shm_beat(job->owner->m, job->owner->worker), job->partition,
				    job->number);
}

/* As ask_again(); each attempt is asked to give up when it has begun, and wants another then. */
static int ask_when_cancelled(struct rk_owner_job *job, void *arg)
{
	ck_assert(!is_asked_to_give_up(job));
	rk_beat_cancel(rk_shm_beat(job->owner->m, job->owner->worker), job->partition, job->number);
	ck_assert(is_asked_to_give_up(job));
	return ask_again(job, arg);
}

START_TEST(each_attempt_begins_unasked_to_give_up_and_counts_as_getting_on)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	const struct rk_beat *beat = rk_shm_beat(&s.f->m, s.w.o.worker);
	struct asking a = { .body = 5, .n = 2 };
	struct rk_call call;

	limit_attempts(&s, 3);
	start(&s, 0, 5, &call);
	for (uint32_t n = 1; n <= 2; n++) {
		uint64_t beats = atomic_load(&beat->beats);

		ck_assert_int_eq(rk_owner_step(&s.w.o, ask_when_cancelled, &a), -EAGAIN);
		ck_assert_uint_ne(atomic_load(&beat->beats), beats);
	}
	ck_assert_int_eq(rk_owner_step(&s.w.o, ask_when_cancelled, &a), 1);
	fixture_expect(&s.c, &call, 0, 5);
	close_scene(&s);
}
END_TEST

START_TEST(a_job_that_runs_again_shares_its_commit_with_none_that_may_be_undone)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct asking a = { .body = 5, .n = 1 };
	struct rk_call call[2];

	limit_attempts(&s, 3);
	allow_batches(&s, 8);
	start(&s, 0, 5, &call[0]);
	start(&s, 1, 0xff, &call[1]); /* changes the state, and fails */
	ck_assert_int_eq(rk_owner_step(&s.w.o, ask_again, &a), -EAGAIN);
	while (rk_owner_step(&s.w.o, ask_again, &a) > 0)
		;
	fixture_expect(&s.c, &call[0], 0, 5);
	fixture_expect(&s.c, &call[1], -EDOM, 0);
	ck_assert_uint_eq(fixture_sum(s.f, 0), 5);
	close_scene(&s);
}
END_TEST

START_TEST(in_a_batch_those_before_it_commit_and_others_get_their_turn)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct asking a = { .body = 5, .n = 1 };
	struct rk_call call[2];

	limit_attempts(&s, 3);
	allow_batches(&s, 8);
	start(&s, 0, 7, &call[0]);
	start(&s, 1, 5, &call[1]);
	ck_assert_int_eq(rk_owner_step(&s.w.o, ask_again, &a), 1);
	fixture_expect(&s.c, &call[0], 0, 7);
	ck_assert_uint_eq(rk_part_attempts(&s.f->m, 0), 1);
	ck_assert_int_eq(rk_owner_step(&s.w.o, ask_again, &a), -EAGAIN);
	ck_assert_int_eq(rk_owner_step(&s.w.o, ask_again, &a), 1);
	fixture_expect(&s.c, &call[1], 0, 12);
	close_scene(&s);
}
END_TEST

START_TEST(a_job_that_has_used_up_its_attempts_is_not_run_and_its_client_told_so_again)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct asking a = { .body = 5, .n = UINT32_MAX };
	_Alignas(8) char room[72];
	struct rk_dead_letter l = { .bytes = room };
	struct rk_call call, again;

	limit_attempts(&s, 2);
	start(&s, 0, 5, &call);
	ck_assert_int_eq(rk_owner_step(&s.w.o, ask_again, &a), -EAGAIN);
	ck_assert_int_eq(rk_owner_step(&s.w.o, ask_again, &a), -EAGAIN);
	ck_assert(rk_call_again(&s.c, &call)); /* a second reference meets the stored answer */
	ck_assert_int_eq(rk_owner_step(&s.w.o, ask_again, &a), 1);
	ck_assert_uint_eq(a.n_runs, 2);
	ck_assert_uint_eq(s.w.o.n_quarantined, 1);
	fixture_expect(&s.c, &call, -ENOTRECOVERABLE, 0);
	ck_assert_int_eq(rk_owner_step(&s.w.o, ask_again, &a), 1); /* withdrawn with the call */
	ck_assert(rk_dead_look(&s.f->m, 0, &l));
	ck_assert_uint_eq(l.job, firsts[_i]);
	ck_assert_uint_eq(l.attempts, 2);
	ck_assert_uint_eq(l.client_id, 77);
	ck_assert_int_eq(l.cause.verdict, RK_CAUSE_RETRY);
	ck_assert_mem_eq(room, "key\5", 4);
	ck_assert(!rk_dead_look(&s.f->m, 1, &l));
	/* The partition goes on, and the same body may try anew. */
	ck_assert_uint_eq(fixture_call(&s.c, &s.w, 9), 9);
	start(&s, 0, 5, &again);
	ck_assert_int_eq(step(&s), 1);
	fixture_expect(&s.c, &again, 0, 14);
	close_scene(&s);
}
END_TEST

START_TEST(charges_for_deaths_condemn_only_the_job_that_is_charged)
{
	struct scene s = open_scene(NULL, firsts[_i]);
	struct rk_call call[2];

	limit_attempts(&s, 2);
	allow_batches(&s, 8);
	start(&s, 0, 1, &call[0]);
	start(&s, 1, 2, &call[1]);
	/* Two deaths in the second of the two. */
	for (int n = 0; n < 2; n++) {
		rk_part_charge(&s.f->m, 0, rk_pos_add(firsts[_i], 1));
		succeed(&s, 2);
	}
	allow_batches(&s, 8);
	ck_assert_int_eq(step(&s), 1);
	fixture_expect(&s.c, &call[0], 0, 1);
	ck_assert_int_eq(step(&s), 1);
	fixture_expect(&s.c, &call[1], -ENOTRECOVERABLE, 0);
	close_scene(&s);
}
END_TEST

START_TEST(without_a_limit_no_job_is_condemned)
{
	struct scene s = open_scene(NULL, 0);
	struct rk_call call;

	start(&s, 0, 1, &call);
	for (int n = 0; n < 5; n++) {
		rk_part_charge(&s.f->m, 0, 0);
		succeed(&s, 2);
	}
	ck_assert_int_eq(step(&s), 1);
	fixture_expect(&s.c, &call, 0, 1);
	close_scene(&s);
}
END_TEST

START_TEST(a_blocked_job_waits_without_using_up_the_log)
{
	struct rk_geometry g = fixture_geometry();
	_Alignas(8) char room[72];
	struct rk_dead_letter l = { .bytes = room };
	struct rk_call call;
	struct scene s;

	g.n_dead = 1;
	s = open_scene(&g, 0);
	limit_attempts(&s, 1);
	l.partition = 3;
	ck_assert_int_eq(rk_dead_push(&s.f->m, &l, 0, rk_commit(1, 0)), 0);
	start(&s, 0, 1, &call);
	rk_part_charge(&s.f->m, 0, 0);
	for (int n = 0; n < 100; n++)
		ck_assert_int_eq(step(&s), 0);
	ck_assert(rk_dead_is_blocked(&s.f->m, 0));
	ck_assert_uint_eq(s.w.o.bank.n_entries, 0);
	ck_assert(rk_dead_look(&s.f->m, 0, &l));
	ck_assert_int_eq(rk_dead_free(&s.f->m, 0, l.word), 0);
	ck_assert_int_eq(step(&s), 1);
	fixture_expect(&s.c, &call, -ENOTRECOVERABLE, 0);
	close_scene(&s);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("owner");
	int n = (int)rk_countof(firsts);

	tcase_add_loop_test(c, jobs_are_applied_once_and_in_order_across_the_wrap_and_successors, 0, n);
	tcase_add_loop_test(c, a_handlers_error_undoes_its_changes_and_is_its_reply, 0, rk_countof(handler_errors));
	tcase_add_loop_test(c, the_last_reply_that_fits_is_sent, 0, 3);
	tcase_add_loop_test(c, a_touch_outside_the_state_or_beyond_the_log_aborts_the_job, 0, rk_countof(touches));
	tcase_add_test(c, a_log_that_overflows_alone_aborts_the_job_and_the_next_one_has_it_whole);
	tcase_add_loop_test(c, a_log_that_overflows_in_a_batch_runs_that_job_again_alone, 0, n);
	tcase_add_loop_test(c, a_dedup_entry_that_finds_no_room_in_a_batchs_log_waits_for_its_own, 0, 3);
	tcase_add_loop_test(c, a_batch_commits_together_and_each_job_gets_its_own_answer, 0, n);
	tcase_add_loop_test(c, a_batch_cut_short_is_undone_and_run_again_one_by_one, 0, n);
	tcase_add_loop_test(c, an_owner_that_lost_its_partition_touches_nothing_more, 0, n);
	tcase_add_loop_test(c, what_was_committed_and_not_delivered_the_successor_delivers_first, 0, n);
	tcase_add_loop_test(c, a_request_that_is_not_what_its_reference_promised_has_no_effect, 0, rk_countof(damages));
	tcase_add_loop_test(c, a_sequence_not_above_the_applied_one_is_stale_when_no_entry_knows_it, 0,
			    rk_countof(applied_up_to));
	tcase_add_test(c, replies_that_lie_unread_in_their_cells_hold_up_nobody);
	tcase_add_loop_test(c, a_call_asked_for_again_finds_its_reply_where_it_was_left, 0, n);
	tcase_add_test(c, a_table_full_of_replies_behind_the_gate_refuses_until_it_opens);
	tcase_add_test(c, a_batch_that_finds_the_table_full_ends_early);
	tcase_add_loop_test(c, a_large_job_may_be_killed_any_number_of_times, 0, n);
	tcase_add_loop_test(c, a_failing_rerun_is_undone_and_answers_with_its_error, 0, n);
	tcase_add_loop_test(c, a_sequence_applied_by_a_predecessor_is_answered_from_memory, 0, n);
	tcase_add_test(c, a_handler_sees_the_request_and_its_circumstances);
	tcase_add_loop_test(c, an_owner_survives_random_words_in_everything_shared, 0, 30);
	tcase_add_loop_test(c, a_job_that_wants_another_attempt_is_undone_counted_and_run_again_in_its_order, 0, n);
	tcase_add_loop_test(c, each_attempt_begins_unasked_to_give_up_and_counts_as_getting_on, 0,
			    n);
	tcase_add_loop_test(c, a_job_that_runs_again_shares_its_commit_with_none_that_may_be_undone, 0, n);
	tcase_add_loop_test(c, in_a_batch_those_before_it_commit_and_others_get_their_turn, 0, n);
	tcase_add_loop_test(c, a_job_that_has_used_up_its_attempts_is_not_run_and_its_client_told_so_again, 0, n);
	tcase_add_loop_test(c, charges_for_deaths_condemn_only_the_job_that_is_charged, 0, n);
	tcase_add_test(c, without_a_limit_no_job_is_condemned);
	tcase_add_test(c, a_blocked_job_waits_without_using_up_the_log);
	return unit_run(c);
}
