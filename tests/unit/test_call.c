/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    From shared memory alone a client learns what became of its call, at every stage, in
 *         time and after its time-out, and never hears "not applied" of a call that was or will
 *         be; a cell that a ring names starts no other call; sequences never repeat and end
 *         with a clear result; a page passes on only when nothing refers to it.
 * Method  Client, owner and, where needed, a second worker that was stopped half-way, step by
 *         step in one thread.
 */
#include "shm/call.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "shm/copy.h"
#include "shm/deliver.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define P48 ((1ull << 48) - 1)

struct scene {
	struct fixture *f;
	struct fixture_owner w;
	struct rk_caller c;
};

static struct scene open_scene(void)
{
	struct scene s = { .f = fixture_new(NULL, P48 - 2) };

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

static struct rk_cell *cell_of(struct scene *s, const struct rk_call *call)
{
	return rk_shm_cell(&s->f->m, call->cell);
}

static void set_word(struct scene *s, const struct rk_call *call, uint32_t worker, enum rk_cell_state state)
{
	atomic_store_explicit(&cell_of(s, call)->word, rk_cellword(call->sequence, worker, state),
			      memory_order_release);
}

/* Ring places beyond this one are made to look used up; returns nothing can be published then. */
static void fill_ring(struct scene *s)
{
	struct rk_ring *ring = rk_shm_ring(&s->f->m, 0);
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	atomic_store_explicit(rk_ring_place(&s->f->m, ring, tail),
			      rk_ref(rk_pos_add(tail, -64ull), 64, 0, RK_REF_TOMB), memory_order_relaxed);
}

/* ---- the normal way ---- */

START_TEST(a_call_is_pending_then_done_and_its_reply_is_read)
{
	struct scene s = open_scene();
	struct rk_call_reply reply;
	struct rk_call call;

	for (uint64_t n = 1; n <= 200; n++) { /* several laps, across the wrap of positions */
		ck_assert_int_eq(fixture_start(&s.c, (uint32_t)n & 1, 0, 1, &call), RK_CALL_STARTED);
		ck_assert_uint_eq(call.sequence, n);
		ck_assert_int_eq(rk_call_look(&s.c, &call), RK_CALL_PENDING);
		ck_assert_int_eq(step(&s), 1);
		ck_assert_int_eq(rk_call_look(&s.c, &call), RK_CALL_DONE);
		rk_call_reply(&s.c, &call, &reply);
		ck_assert_uint_eq(reply.job, rk_pos_add(P48 - 2, n - 1));
		fixture_expect(&s.c, &call, 0, n);
	}
	close_scene(&s);
}
END_TEST

START_TEST(key_and_body_of_every_length_arrive_whole)
{
	struct scene s = open_scene();
	struct rk_cell *cell;
	char bytes[64], got[72];
	uint32_t key_len = (uint32_t)_i;

	for (int i = 0; i < 64; i++)
		bytes[i] = (char)(i + 1);
	for (uint32_t len = 0; len <= 64 - key_len; len++) {
		struct rk_call call;
		struct rk_call_request r = { .key = key_len ? bytes : NULL, .key_len = key_len,
					     .body = len ? bytes + key_len : NULL, .len = len, .tag = 1000 + len,
					     .deadline_ns = 5 };

		ck_assert_int_eq(rk_call_start(&s.c, 0, &r, &call), RK_CALL_STARTED);
		cell = cell_of(&s, &call);
		rk_copy_out(got, rk_cell_request(&s.f->m, cell), key_len + len);
		ck_assert(memcmp(got, bytes, key_len + len) == 0);
		ck_assert_uint_eq(rk_call_tag(&s.c, &call), 1000 + len);
		ck_assert_uint_eq(atomic_load_explicit(&cell->deadline_ns, memory_order_relaxed), 5);
		ck_assert_int_eq(rk_call_expire(&s.c, &call), RK_CALL_NOT_APPLIED);
		ck_assert_int_eq(step(&s), 1);
	}
	close_scene(&s);
}
END_TEST

/* ---- outcomes ---- */

enum ring { RING_READY, RING_TAKEN, RING_GONE };

/* Where ring and cell stand when the client looks, what it hears, and what after its time-out. */
static const struct {
	const char *what;
	enum ring ring;
	enum rk_cell_state cell;
	bool skip, full;
	enum rk_call_state look, expire;
} outcomes[] = {
	{ "published", RING_READY, RK_CELL_WANT, false, false, RK_CALL_PENDING, RK_CALL_NOT_APPLIED },
	{ "taken", RING_TAKEN, RK_CELL_WANT, false, false, RK_CALL_TAKEN, RK_CALL_TAKEN },
	{ "being written", RING_TAKEN, RK_CELL_WRITING, false, false, RK_CALL_WRITING, RK_CALL_PENDING },
	{ "being written, ring full", RING_TAKEN, RK_CELL_WRITING, false, true, RK_CALL_WRITING, RK_CALL_AGAIN },
	{ "done, not recycled", RING_TAKEN, RK_CELL_DONE, false, false, RK_CALL_DONE, RK_CALL_DONE },
	{ "done", RING_GONE, RK_CELL_DONE, false, false, RK_CALL_DONE, RK_CALL_DONE },
	{ "its writer stopped, recycled by another", RING_GONE, RK_CELL_WRITING, true, false, RK_CALL_PENDING,
	  RK_CALL_PENDING },
	{ "no effect", RING_GONE, RK_CELL_WANT, false, false, RK_CALL_NOT_APPLIED, RK_CALL_NOT_APPLIED },
	{ "applied, undeliverable, swept", RING_GONE, RK_CELL_WANT, true, false, RK_CALL_PENDING, RK_CALL_AGAIN },
	{ "the same with a full ring", RING_GONE, RK_CELL_WANT, true, true, RK_CALL_AGAIN, RK_CALL_AGAIN },
};

static void set_stage(struct scene *s, struct rk_call *call, int i)
{
	uint64_t position = rk_where_position(
		atomic_load_explicit(&cell_of(s, call)->ref[0], memory_order_relaxed));
	uint64_t ref = rk_queue_peek(&s->f->m, 0, position);

	if (outcomes[i].ring != RING_READY) {
		ck_assert(rk_queue_take(&s->f->m, 0, position, ref));
		if (outcomes[i].ring == RING_GONE)
			rk_queue_recycle(&s->f->m, 0, position, rk_ref_with(ref, RK_REF_TAKEN));
	}
	set_word(s, call, outcomes[i].cell == RK_CELL_WRITING ? 3 : 0, outcomes[i].cell);
	if (outcomes[i].skip)
		atomic_store_explicit(&cell_of(s, call)->skip, call->sequence, memory_order_relaxed);
	if (outcomes[i].full)
		fill_ring(s);
}

START_TEST(a_look_tells_the_stage)
{
	struct scene s = open_scene();
	struct rk_call call;

	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
	set_stage(&s, &call, _i);
	ck_assert_msg(rk_call_look(&s.c, &call) == outcomes[_i].look, "%s", outcomes[_i].what);
	close_scene(&s);
}
END_TEST

START_TEST(a_time_out_withdraws_what_nobody_took_and_leaves_what_somebody_writes)
{
	struct scene s = open_scene();
	struct rk_call call;
	enum rk_call_state state;
	uint32_t cell;

	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
	set_stage(&s, &call, _i);
	if (outcomes[_i].skip && outcomes[_i].cell == RK_CELL_WANT)
		fill_ring(&s); /* else it would be published again and withdrawn at once */
	cell = call.cell;
	state = rk_call_expire(&s.c, &call);
	ck_assert_msg(state == outcomes[_i].expire, "%s: %d", outcomes[_i].what, (int)state);
	ck_assert_int_eq(call.cell != cell, outcomes[_i].cell == RK_CELL_WRITING);
	if (state == RK_CALL_NOT_APPLIED && outcomes[_i].ring == RING_READY) {
		struct rk_call next;

		ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &next), RK_CALL_STARTED);
		ck_assert_uint_gt(next.sequence, call.sequence); /* a withdrawn one is never sent again */
		ck_assert_int_ge(step(&s), 1);
		(void)!step(&s);
		fixture_expect(&s.c, &next, 0, 1); /* and only the new one was applied */
	}
	close_scene(&s);
}
END_TEST

START_TEST(a_withdrawn_call_with_another_reference_taken_is_not_called_not_applied)
{
	struct scene s = open_scene();
	struct rk_call call;
	uint64_t ref, position = P48 - 2;

	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
	ref = rk_queue_peek(&s.f->m, 0, position);
	ck_assert(rk_queue_take(&s.f->m, 0, position, ref));
	ck_assert_int_eq(rk_queue_publish(&s.f->m, 0, call.cell), RK_QUEUE_OK); /* a retry while it is taken */
	ck_assert_int_eq(rk_call_expire(&s.c, &call), RK_CALL_TAKEN);
	ck_assert_uint_eq(rk_ref_state(rk_queue_peek(&s.f->m, 0, rk_pos_add(position, 1))), RK_REF_TOMB);
	ck_assert_int_eq(step(&s), 1);
	fixture_expect(&s.c, &call, 0, 1);
	close_scene(&s);
}
END_TEST

START_TEST(a_second_reference_is_answered_from_memory_and_applied_once)
{
	struct scene s = open_scene();
	struct rk_call call;

	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
	ck_assert_int_eq(rk_queue_publish(&s.f->m, 0, call.cell), RK_QUEUE_OK);
	ck_assert_int_eq(step(&s), 1);
	ck_assert_int_eq(step(&s), 1);
	ck_assert_uint_eq(s.w.o.n_without_effect, 1);
	fixture_expect(&s.c, &call, 0, 1);
	ck_assert_uint_eq(fixture_sum(s.f, 0), 1);
	close_scene(&s);
}
END_TEST

START_TEST(a_reply_its_writer_never_finished_comes_through_a_spare_cell)
{
	struct scene s = open_scene();
	struct rk_call call;
	uint32_t old;

	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
	ck_assert_int_eq(step(&s), 1);
	set_word(&s, &call, 3, RK_CELL_WRITING); /* worker 3 stopped for ever while it delivered */
	old = call.cell;
	ck_assert_int_eq(rk_call_expire(&s.c, &call), RK_CALL_PENDING);
	ck_assert_uint_ne(call.cell, old);
	ck_assert_int_eq(step(&s), 1);
	fixture_expect(&s.c, &call, 0, 1);
	ck_assert_uint_eq(fixture_sum(s.f, 0), 1);
	/* The old cell stays out of use until its writer is confirmed dead. */
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
		ck_assert_uint_ne(call.cell, old);
		ck_assert_int_eq(step(&s), 1);
		rk_call_release(&s.c, &call);
	}
	close_scene(&s);
}
END_TEST

START_TEST(a_spare_whose_job_was_never_asked_again_is_never_called_not_applied)
{
	struct scene s = open_scene();
	struct rk_call call;

	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
	ck_assert_int_eq(step(&s), 1);
	set_word(&s, &call, 3, RK_CELL_WRITING);
	fill_ring(&s);
	ck_assert_int_eq(rk_call_expire(&s.c, &call), RK_CALL_AGAIN);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(rk_call_look(&s.c, &call), RK_CALL_AGAIN);
	close_scene(&s);
}
END_TEST

START_TEST(a_full_ring_is_told_at_once_and_leaves_nothing)
{
	struct scene s = open_scene();
	struct rk_call call;

	fill_ring(&s);
	for (int i = 0; i < 20; i++) /* no cell is lost by it either */
		ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_FULL);
	ck_assert(!rk_page_has_calls(&s.f->m, 1));
	close_scene(&s);
}
END_TEST

/* ---- cells ---- */

START_TEST(no_call_starts_in_a_cell_that_a_ring_names)
{
	struct scene s = open_scene();
	struct rk_call call;

	/* Four cells: each is answered through a first reference while a second is TAKEN and stays. */
	for (uint32_t i = 0; i < s.f->m.g.n_cells; i++) {
		uint64_t position = rk_pos_add(P48 - 2, i), ref;

		ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
		ref = rk_queue_peek(&s.f->m, 0, position);
		ck_assert(rk_queue_take(&s.f->m, 0, position, ref));
		set_word(&s, &call, 0, RK_CELL_DONE);
		rk_call_release(&s.c, &call);
	}
	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_NO_CELL);
	ck_assert_int_eq(step(&s), 1); /* the owner gets on: without effect, but counted */
	ck_assert_uint_eq(s.w.o.n_without_effect, 1);
	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
	close_scene(&s);
}
END_TEST

START_TEST(a_released_call_leaves_no_reference_that_could_run)
{
	struct scene s = open_scene();
	struct rk_call call;

	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
	ck_assert_int_eq(rk_queue_publish(&s.f->m, 0, call.cell), RK_QUEUE_OK);
	call.repeated = true;
	ck_assert_int_eq(step(&s), 1);
	rk_call_release(&s.c, &call);
	ck_assert(!rk_queue_names(&s.f->m, call.cell));
	ck_assert_uint_eq(rk_ref_state(rk_queue_peek(&s.f->m, 0, rk_pos_add(P48 - 2, 1))), RK_REF_TOMB);
	close_scene(&s);
}
END_TEST

/* ---- sequences ---- */

START_TEST(a_page_that_has_used_all_its_sequences_says_so)
{
	struct scene s = open_scene();
	struct rk_call call;

	rk_page_init(&s.f->m, 1, RK_SEQUENCE_MAX - 3);
	for (uint64_t n = 1; n <= 3; n++) {
		ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
		ck_assert_uint_eq(call.sequence, RK_SEQUENCE_MAX - 3 + n);
		ck_assert_int_eq(step(&s), 1);
		fixture_expect(&s.c, &call, 0, n);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_WORN_OUT);
	ck_assert(rk_page_try_free(&s.f->m, 1)); /* nor has its next client any */
	s.c = fixture_caller(s.f, 1, 78);
	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_WORN_OUT);
	close_scene(&s);
}
END_TEST

static const uint64_t bad_sequences[] = { RK_SEQUENCE_MAX, RK_SEQUENCE_MAX + 1, 1ull << 63, ~0ull - 1, ~0ull };

START_TEST(a_damaged_sequence_is_worn_out_not_reused)
{
	struct scene s = open_scene();
	struct rk_call call;

	atomic_store_explicit(&rk_shm_page(&s.f->m, 1)->sequence, bad_sequences[_i], memory_order_relaxed);
	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_WORN_OUT);
	close_scene(&s);
}
END_TEST

/* ---- a client's death ---- */

START_TEST(a_successor_finds_each_open_call_once)
{
	struct scene s = open_scene();
	struct rk_call mine[2], found[2];
	struct rk_caller successor;

	ck_assert_uint_eq(rk_call_resume(&s.c, found), 0);
	for (uint32_t slot = 0; slot < 2; slot++)
		ck_assert_int_eq(fixture_start(&s.c, slot, 0, 1, &mine[slot]), RK_CALL_STARTED);
	ck_assert(rk_page_has_calls(&s.f->m, 1));
	successor = fixture_caller(s.f, 1, 77);
	ck_assert_uint_eq(rk_call_resume(&successor, found), 2);
	for (uint32_t slot = 0; slot < 2; slot++) {
		ck_assert_uint_eq(found[slot].slot, mine[slot].slot);
		ck_assert_uint_eq(found[slot].cell, mine[slot].cell);
		ck_assert_uint_eq(found[slot].sequence, mine[slot].sequence);
		ck_assert_int_eq(step(&s), 1);
		fixture_expect(&successor, &found[slot], 0, slot + 1);
	}
	ck_assert_uint_eq(rk_call_resume(&successor, found), 0);
	ck_assert(!rk_page_has_calls(&s.f->m, 1));
	close_scene(&s);
}
END_TEST

START_TEST(a_successor_prefers_the_spare_to_the_cell_that_was_set_aside)
{
	struct scene s = open_scene();
	struct rk_call call, found[2];

	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
	ck_assert_int_eq(step(&s), 1);
	set_word(&s, &call, 3, RK_CELL_WRITING);
	ck_assert_int_eq(rk_call_expire(&s.c, &call), RK_CALL_PENDING);
	ck_assert_uint_eq(rk_call_resume(&s.c, found), 1);
	ck_assert_uint_eq(found[0].cell, call.cell);
	close_scene(&s);
}
END_TEST

/* A worker that ends the reply in this cell and begins it again, without end. */
struct writer {
	_Atomic uint64_t *word;
	uint64_t writing, done;
	_Atomic bool quit;
};

static void *write_replies(void *arg)
{
	struct writer *w = arg;

	while (!atomic_load_explicit(&w->quit, memory_order_relaxed)) {
		atomic_store_explicit(w->word, w->writing, memory_order_release);
		atomic_store_explicit(w->word, w->done, memory_order_release);
	}
	return NULL;
}

/* The worker that writes it lives: the cell may be WRITING at the first look and DONE at the second. */
START_TEST(a_successor_finds_a_call_whose_reply_is_written_meanwhile)
{
	struct rk_geometry g = fixture_geometry();
	struct rk_call call, found[2];
	struct writer w = { 0 };
	struct rk_caller c;
	struct fixture *f;
	pthread_t thread;
	int n_missed = 0;

	g.n_cells = 1000; /* so that there is time between the two looks */
	f = fixture_new(&g, 0);
	c = fixture_caller(f, 1, 77);
	ck_assert_int_eq(fixture_start(&c, 0, 0, 1, &call), RK_CALL_STARTED);
	w.word = &rk_shm_cell(&f->m, call.cell)->word;
	w.writing = rk_cellword(call.sequence, 1, RK_CELL_WRITING);
	w.done = rk_cellword(call.sequence, 0, RK_CELL_DONE);
	atomic_store_explicit(w.word, w.writing, memory_order_release);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_replies, &w), 0);
	for (int i = 0; i < 20000; i++)
		n_missed += rk_call_resume(&c, found) != 1;
	atomic_store_explicit(&w.quit, true, memory_order_relaxed);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_msg(n_missed == 0, "missed in %d of 20000 looks: it would be sent again", n_missed);
	fixture_free(f);
}
END_TEST

START_TEST(a_page_passes_on_only_when_no_ring_names_its_cells_and_none_is_written)
{
	struct scene s = open_scene();
	struct rk_call call, next;

	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &call), RK_CALL_STARTED);
	ck_assert(!rk_page_try_free(&s.f->m, 1));
	ck_assert_int_eq(rk_owner_step(&s.w.o, fixture_add, NULL), 1);
	set_word(&s, &call, 3, RK_CELL_WRITING);
	ck_assert(!rk_page_try_free(&s.f->m, 1));
	set_word(&s, &call, 3, RK_CELL_DONE);
	ck_assert(rk_page_try_free(&s.f->m, 1));
	/* Another client there: its sequences go on, and its calls meet nothing of the old one's. */
	s.c = fixture_caller(s.f, 1, 78);
	ck_assert_uint_eq(rk_call_resume(&s.c, &next), 0);
	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 1, &next), RK_CALL_STARTED);
	ck_assert_uint_gt(next.sequence, call.sequence);
	ck_assert_int_eq(step(&s), 1);
	fixture_expect(&s.c, &next, 0, 2);
	close_scene(&s);
}
END_TEST

/* ---- damaged memory ---- */

START_TEST(random_cells_never_lead_outside_the_segments)
{
	struct scene s = open_scene();
	struct rk_rand r = rk_rand_init((uint64_t)_i);
	struct rk_call found[2], call;
	struct rk_call_reply reply;

	for (int round = 0; round < 300; round++) {
		for (uint32_t i = 0; i < s.f->m.g.n_cells; i++) {
			uint64_t *words = (uint64_t *)(void *)rk_shm_cell(&s.f->m, s.f->m.g.n_cells + i);

			for (int k = 0; k < 16; k++)
				if (rk_rand_below(&r, 3) == 0)
					words[k] = rk_rand_u64(&r) >> rk_rand_below(&r, 64);
		}
		for (uint32_t n = rk_call_resume(&s.c, found); n-- > 0;) {
			ck_assert_uint_lt(found[n].partition, s.f->m.g.n_partitions);
			ck_assert_uint_lt(found[n].slot, s.f->m.g.n_slots);
			(void)rk_call_look(&s.c, &found[n]);
			(void)rk_call_expire(&s.c, &found[n]);
			rk_call_reply(&s.c, &found[n], &reply);
			ck_assert_uint_le(reply.len, s.f->m.g.reply_max);
			rk_call_release(&s.c, &found[n]);
		}
		if (fixture_start(&s.c, (uint32_t)round & 1, 0, 1, &call) == RK_CALL_STARTED)
			(void)rk_call_expire(&s.c, &call);
		(void)!rk_page_try_free(&s.f->m, 1);
		(void)rk_page_has_calls(&s.f->m, 1);
		(void)!rk_owner_step(&s.w.o, fixture_add, NULL);
	}
	close_scene(&s);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("call");

	tcase_add_test(c, a_call_is_pending_then_done_and_its_reply_is_read);
	tcase_add_loop_test(c, key_and_body_of_every_length_arrive_whole, 0, 65);
	tcase_add_loop_test(c, a_look_tells_the_stage, 0, rk_countof(outcomes));
	tcase_add_loop_test(c, a_time_out_withdraws_what_nobody_took_and_leaves_what_somebody_writes, 0,
			    rk_countof(outcomes));
	tcase_add_test(c, a_withdrawn_call_with_another_reference_taken_is_not_called_not_applied);
	tcase_add_test(c, a_second_reference_is_answered_from_memory_and_applied_once);
	tcase_add_test(c, a_reply_its_writer_never_finished_comes_through_a_spare_cell);
	tcase_add_test(c, a_spare_whose_job_was_never_asked_again_is_never_called_not_applied);
	tcase_add_test(c, a_full_ring_is_told_at_once_and_leaves_nothing);
	tcase_add_test(c, no_call_starts_in_a_cell_that_a_ring_names);
	tcase_add_test(c, a_released_call_leaves_no_reference_that_could_run);
	tcase_add_test(c, a_page_that_has_used_all_its_sequences_says_so);
	tcase_add_loop_test(c, a_damaged_sequence_is_worn_out_not_reused, 0, rk_countof(bad_sequences));
	tcase_add_test(c, a_successor_finds_each_open_call_once);
	tcase_add_test(c, a_successor_prefers_the_spare_to_the_cell_that_was_set_aside);
	tcase_add_test(c, a_successor_finds_a_call_whose_reply_is_written_meanwhile);
	tcase_add_test(c, a_page_passes_on_only_when_no_ring_names_its_cells_and_none_is_written);
	tcase_add_loop_test(c, random_cells_never_lead_outside_the_segments, 0, 20);
	return unit_run(c);
}
