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

#include "shm/epoch.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

struct board_under_test {
	struct fixture *f;
	struct rk_board_writer w;
	struct rk_view *view;
	bool dead[64];
};

static bool is_dead(uint32_t reader, void *arg)
{
	return ((struct board_under_test *)arg)->dead[reader];
}

static void open_board(struct board_under_test *t)
{
	*t = (struct board_under_test){ .f = fixture_new(NULL, 0) };
	t->f->m.board->epoch_mode = RK_EPOCH_EXCHANGE;
	t->view = calloc(1, t->f->m.l.view_stride);
	ck_assert_ptr_nonnull(t->view);
	rk_board_writer_init(&t->w, &t->f->m, is_dead, t);
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

int main(void)
{
	TCase *c = unit_case("board");

	tcase_add_test(c, a_reader_sees_the_newest_view_and_its_version);
	tcase_add_loop_test(c, a_stopped_reader_keeps_its_view_and_holds_up_only_what_needs_its_buffer, 0, 2);
	tcase_add_test(c, a_view_names_the_readers_that_hold_older_ones);
	tcase_add_test(c, a_hostile_line_holds_buffers_until_its_owner_is_dead_and_does_no_more);
	tcase_add_test(c, whoever_took_the_word_before_a_view_does_not_sleep_through_it);
	tcase_add_test(c, whoever_waits_for_a_newer_view_wakes_when_it_is_published);
	return unit_run(c);
}
