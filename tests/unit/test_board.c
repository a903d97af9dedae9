/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A published view is complete and never changes under a reader; with every buffer
 *         held newer views wait, the readers in the way are named by pid, and publishing goes
 *         on once they leave or are confirmed dead.
 * Method  Readers enter and stop where they are; the buffers they hold are compared.
 */
#include "shm/board.h"

#include <check.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shm/bell.h"
#include "shm/epoch.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

struct board_under_test {
	struct fixture *f;
	struct rk_board_writer w;
	struct rk_view *view;
	bool dead[64];
	_Atomic bool is_over;
};

static bool is_dead(uint32_t reader, void *arg)
{
	return ((struct board_under_test *)arg)->dead[reader];
}

/* Its writer is dead: another one. */
static void board_adopt(struct board_under_test *t)
{
	rk_board_writer_init(&t->w, &t->f->m, is_dead, t);
	rk_board_writer_adopt(&t->w);
}

static void open_board_of(struct board_under_test *t, const struct rk_geometry *g)
{
	*t = (struct board_under_test){ .f = fixture_new(g, 0) };
	t->f->m.board->epoch_mode = RK_EPOCH_EXCHANGE;
	t->view = calloc(1, t->f->m.l.view_stride);
	ck_assert_ptr_nonnull(t->view);
	rk_board_writer_init(&t->w, &t->f->m, is_dead, t);
}

static void open_board(struct board_under_test *t)
{
	open_board_of(t, NULL);
}

static void close_board(struct board_under_test *t)
{
	free(t->view);
	fixture_free(t->f);
}

/* Every byte of the variable part says n. */
static bool publish(struct board_under_test *t, int n)
{
	memset(t->view + 1, n, t->f->m.l.view_stride - sizeof(*t->view));
	t->view->published_ns = (uint64_t)n;
	return rk_board_publish(&t->w, t->view);
}

static bool says(struct board_under_test *t, const struct rk_view *v, int n)
{
	const char *bytes = (const char *)(v + 1);

	for (uint64_t i = 0; i < t->f->m.l.view_stride - sizeof(*v); i++)
		if (bytes[i] != (char)n)
			return false;
	return v->published_ns == (uint64_t)n;
}

static const struct rk_view *enter(struct board_under_test *t, uint32_t reader)
{
	atomic_store_explicit(&rk_shm_reader(&t->f->m, reader)->pid, 100 + reader, memory_order_relaxed);
	return rk_epoch_enter(&t->f->m, rk_shm_reader(&t->f->m, reader));
}

START_TEST(a_reader_sees_the_newest_view_and_its_version)
{
	struct board_under_test t;

	open_board(&t);
	for (int n = 1; n < 50; n++) {
		const struct rk_view *v;

		ck_assert(publish(&t, n));
		v = enter(&t, 0);
		ck_assert(says(&t, v, n));
		ck_assert_uint_eq(v->version, (uint64_t)n);
		ck_assert_uint_eq(v->n_stalled, 0);
		rk_epoch_leave(rk_shm_reader(&t.f->m, 0));
	}
	ck_assert_uint_eq(t.w.n_coalesced, 0);
	ck_assert_uint_gt(t.w.n_grace, 40);
	close_board(&t);
}
END_TEST

START_TEST(a_stopped_reader_keeps_its_view_and_holds_up_only_what_needs_its_buffer)
{
	struct board_under_test t;
	const struct rk_view *held;

	open_board(&t);
	ck_assert(publish(&t, 1));
	held = enter(&t, 7);
	for (int n = 2; n <= 4; n++) {
		ck_assert(publish(&t, n)); /* into the other three buffers */
		ck_assert(says(&t, held, 1));
	}
	ck_assert(!publish(&t, 5));
	ck_assert(!publish(&t, 6));
	ck_assert(t.w.pending);
	ck_assert_uint_eq(t.w.n_coalesced, 1); /* one episode */
	ck_assert_uint_eq(t.w.n_stalled, 1);
	ck_assert_uint_eq(t.w.stalled[0], 7);
	ck_assert(says(&t, held, 1));
	ck_assert(says(&t, enter(&t, 0), 4)); /* others read the last one that was published */
	rk_epoch_leave(rk_shm_reader(&t.f->m, 0));
	if (_i == 0)
		rk_epoch_leave(rk_shm_reader(&t.f->m, 7));
	else
		t.dead[7] = true;
	ck_assert(publish(&t, 7));
	ck_assert(!t.w.pending);
	ck_assert(says(&t, enter(&t, 0), 7));
	close_board(&t);
}
END_TEST

START_TEST(a_view_names_the_readers_that_hold_older_ones)
{
	struct board_under_test t;
	const struct rk_view *v;

	open_board(&t);
	ck_assert(publish(&t, 1));
	for (uint32_t reader = 10; reader < 20; reader++)
		(void)enter(&t, reader);
	ck_assert(publish(&t, 2));
	ck_assert(publish(&t, 3));
	v = enter(&t, 0);
	ck_assert_uint_eq(v->n_stalled, 10); /* more than there is room to name */
	for (int i = 0; i < 7; i++)
		ck_assert_int_eq(v->stalled_pid[i], 110 + i);
	close_board(&t);
}
END_TEST

START_TEST(a_hostile_line_holds_buffers_until_its_owner_is_dead_and_does_no_more)
{
	struct board_under_test t;

	open_board(&t);
	atomic_store_explicit(&rk_shm_reader(&t.f->m, 62)->active, ~0ull, memory_order_relaxed);
	for (int n = 1; n <= 3; n++)
		ck_assert(publish(&t, n));
	ck_assert(!publish(&t, 4));
	ck_assert_uint_eq(t.w.stalled[0], 62);
	t.dead[62] = true;
	ck_assert(publish(&t, 5));
	close_board(&t);
}
END_TEST

START_TEST(an_adopted_writer_leaves_what_a_reader_holds_alone)
{
	struct board_under_test t;
	const struct rk_view *held;
	uint64_t n = 10;

	open_board(&t);
	ck_assert(publish(&t, 1));
	held = enter(&t, 7);
	for (int i = 2; i <= 2 + _i; i++) /* its writer may have gone on, by one or two views */
		ck_assert(publish(&t, i));
	board_adopt(&t);
	/* It knows nothing of who holds which: none is written as long as one reader is from before. */
	for (int i = 0; i < 5; i++)
		ck_assert(!publish(&t, (int)n++));
	ck_assert(says(&t, held, 1));
	ck_assert_uint_eq(t.w.n_stalled, 1);
	ck_assert_uint_eq(t.w.stalled[0], 7);
	ck_assert(says(&t, enter(&t, 0), 2 + _i)); /* what was published stands */
	ck_assert(!publish(&t, (int)n++));         /* that one is no hindrance, the first still is */
	ck_assert_uint_eq(t.w.n_stalled, 1);
	if (_i)
		rk_epoch_leave(rk_shm_reader(&t.f->m, 7));
	else
		t.dead[7] = true;
	ck_assert(publish(&t, 99));
	rk_epoch_leave(rk_shm_reader(&t.f->m, 0));
	ck_assert(says(&t, enter(&t, 0), 99));
	close_board(&t);
}
END_TEST

START_TEST(an_adopted_writer_s_views_have_the_next_versions)
{
	struct board_under_test t;
	const struct rk_view *v;

	open_board(&t);
	for (int i = 0; i < 7; i++)
		ck_assert(publish(&t, 1));
	for (uint64_t version = 8; version < 20; version++) {
		if (version % 3 == 0) {
			board_adopt(&t);
			board_adopt(&t); /* the first of them died at once */
		}
		ck_assert(publish(&t, (int)version));
		v = enter(&t, 0);
		ck_assert(says(&t, v, (int)version));
		ck_assert_uint_eq(v->version, version);
		rk_epoch_leave(rk_shm_reader(&t.f->m, 0));
	}
	close_board(&t);
}
END_TEST

/* Killed between the index and the epoch: a reader of the epoch before may hold either view. */
START_TEST(a_publish_cut_short_before_its_epoch_is_finished_by_the_next_writer)
{
	struct board_under_test t;
	const struct rk_view *held[2];

	open_board(&t);
	ck_assert(publish(&t, 1));
	held[0] = enter(&t, 7);
	ck_assert(publish(&t, 2));
	atomic_fetch_sub_explicit(&t.f->m.board->epoch, 2, memory_order_seq_cst);
	held[1] = enter(&t, 8);
	ck_assert(says(&t, held[1], 2));
	board_adopt(&t);
	for (int i = 0; i < 5; i++)
		ck_assert(!publish(&t, 3));
	ck_assert(says(&t, held[0], 1) && says(&t, held[1], 2));
	rk_epoch_leave(rk_shm_reader(&t.f->m, 7));
	ck_assert(!publish(&t, 3)); /* the other one's may be any of them, too */
	rk_epoch_leave(rk_shm_reader(&t.f->m, 8));
	ck_assert(publish(&t, 3));
	close_board(&t);
}
END_TEST

/* A copy without a line looks at the epoch alone. */
static void *adopt_and_publish_without_end(void *arg)
{
	struct board_under_test *t = arg;

	for (int n = 2; !atomic_load_explicit(&t->is_over, memory_order_acquire); n = n % 100 + 1) {
		if (n % 2)
			board_adopt(t);
		ck_assert(publish(t, n));
	}
	return NULL;
}

START_TEST(whoever_took_the_word_before_a_view_does_not_sleep_through_it)
{
	struct board_under_test t;

	open_board(&t);
	/* More than there are buffers: an index would come back to where it was. */
	for (uint32_t n_views = 1; n_views <= 3 * RK_VIEWS; n_views++) {
		uint32_t word = rk_board_mark(&t.f->m);

		for (uint32_t i = 0; i < n_views; i++)
			ck_assert(publish(&t, 1));
		ck_assert_int_lt(syscall(SYS_futex, rk_board_futex(&t.f->m), FUTEX_WAIT, word, NULL, NULL, 0), 0);
		ck_assert_int_eq(errno, EAGAIN);
	}
	close_board(&t);
}
END_TEST

/* A publisher that waits until the reader sleeps: its state in /proc says so. */
static void *publish_to_sleeper(void *arg)
{
	struct board_under_test *t = arg;
	char path[64];
	char state = 'R';

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)getpid(), (int)getpid());
	while (state != 'S') {
		FILE *f = fopen(path, "re");

		ck_assert_ptr_nonnull(f);
		if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = 'R';
		(void)fclose(f);
	}
	ck_assert(publish(t, 2));
	return NULL;
}

START_TEST(whoever_waits_for_a_newer_view_wakes_when_it_is_published)
{
	struct board_under_test t;
	pthread_t thread;
	uint32_t mark;

	open_board(&t);
	ck_assert(publish(&t, 1));
	mark = rk_board_mark(&t.f->m);
	ck_assert_int_eq(pthread_create(&thread, NULL, publish_to_sleeper, &t), 0);
	rk_board_await(&t.f->m, mark, 0); /* for ever, if nobody woke it */
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert(says(&t, enter(&t, 0), 2));
	rk_board_await(&t.f->m, mark, 0); /* what came before the wait is not missed */
	close_board(&t);
}
END_TEST

/* Nobody holds a line, so that every buffer but the published one is written anew at once. */
static void *publish_without_end(void *arg)
{
	struct board_under_test *t = arg;

	for (int n = 2; !atomic_load_explicit(&t->is_over, memory_order_acquire); n = n % 100 + 1)
		ck_assert(publish(t, n));
	return NULL;
}

START_TEST(the_end_is_told_to_every_client_and_wakes_who_waits)
{
	struct board_under_test t;
	_Atomic uint32_t *page, *cell, *space;
	uint32_t page_word, cell_word, space_word, last;
	const struct rk_shm *m;

	open_board(&t);
	m = &t.f->m;
	last = m->g.n_clients - 1;
	atomic_store(&rk_shm_client_ids(m)[last], 7);
	page = &rk_shm_page(m, last)->bell;
	cell = &rk_shm_cell(m, last * m->g.n_cells + m->g.n_cells - 1)->bell;
	space = &rk_shm_ring(m, m->g.n_partitions - 1)->space;
	page_word = rk_bell_park(page);
	cell_word = rk_bell_park(cell);
	space_word = rk_bell_park(space);
	rk_board_end(m);
	for (uint32_t i = 0; i <= last; i++)
		ck_assert_uint_eq(atomic_load(&rk_shm_client_ids(m)[i]), RK_CLIENT_ENDED);
	/* Whoever was about to sleep on the word it had does not: it is another one. */
	ck_assert_int_eq(rk_bell_wait(page, page_word, 0), 0);
	ck_assert_int_eq(rk_bell_wait(cell, cell_word, 0), 0);
	ck_assert_int_eq(rk_bell_wait(space, space_word, 0), 0);
	close_board(&t);
}
END_TEST

START_TEST(a_copy_without_a_line_is_a_view_as_it_was_published)
{
	void *(*const writers[])(void *) = { publish_without_end, adopt_and_publish_without_end };
	struct rk_geometry g = fixture_geometry();
	struct board_under_test t;
	struct rk_view *copy;
	pthread_t thread;
	int n = 0;

	g.n_clients = 8192; /* so that a copy takes longer than a view lives */
	open_board_of(&t, &g);
	copy = malloc(t.f->m.l.view_stride);
	ck_assert_ptr_nonnull(copy);
	ck_assert(publish(&t, 1));
	ck_assert(rk_board_copy(&t.f->m, copy));
	ck_assert(says(&t, copy, 1));
	ck_assert_int_eq(pthread_create(&thread, NULL, writers[_i], &t), 0);
	for (int i = 0; i < 300 && n < 10; i++) {
		if (!rk_board_copy(&t.f->m, copy))
			continue;
		ck_assert(says(&t, copy, (int)copy->published_ns));
		n++;
	}
	atomic_store_explicit(&t.is_over, true, memory_order_release);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_gt(n, 0);
	free(copy);
	close_board(&t);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("board");

	tcase_add_test(c, a_reader_sees_the_newest_view_and_its_version);
	tcase_add_loop_test(c, a_stopped_reader_keeps_its_view_and_holds_up_only_what_needs_its_buffer, 0, 2);
	tcase_add_test(c, a_view_names_the_readers_that_hold_older_ones);
	tcase_add_test(c, a_hostile_line_holds_buffers_until_its_owner_is_dead_and_does_no_more);
	tcase_add_test(c, whoever_took_the_word_before_a_view_does_not_sleep_through_it);
	tcase_add_test(c, whoever_waits_for_a_newer_view_wakes_when_it_is_published);
	tcase_add_loop_test(c, an_adopted_writer_leaves_what_a_reader_holds_alone, 0, 2);
	tcase_add_test(c, an_adopted_writer_s_views_have_the_next_versions);
	tcase_add_test(c, a_publish_cut_short_before_its_epoch_is_finished_by_the_next_writer);
	tcase_add_test(c, the_end_is_told_to_every_client_and_wakes_who_waits);
	tcase_add_loop_test(c, a_copy_without_a_line_is_a_view_as_it_was_published, 0, 2);
	return unit_run(c);
}
