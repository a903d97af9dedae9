/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Blocks never overlap, are zeroed, aligned and keep their bytes; what a job allocates,
 *         frees and writes is undone with it, also what it freed and got again; a long life
 *         does not fragment the arena to death; what is no live block is refused; a damaged
 *         arena gives an error and never leads outside the bank.
 * Method  A model in private memory that knows of each live block its place, length and
 *         contents, as of now and as of the last commit; random jobs that commit, are aborted,
 *         or die. Seeds are the loop's number; the bank lies between inaccessible pages.
 */
#include "shm/arena.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

/* Of the random rounds; with AddressSanitizer each takes many times as long. */
#ifdef __SANITIZE_ADDRESS__
#define SHARE 10
#else
#define SHARE 1
#endif

#define STATE_LEN 40u
#define LIVE_MAX 400

struct live {
	char *at;
	size_t len;
	uint64_t seed; /* of its contents */
};

struct set {
	struct live block[LIVE_MAX];
	int n;
};

struct arena_under_test {
	struct fixture *f;
	struct rk_bank b;
	struct rk_arena a;
	struct set now, committed;
	struct rk_rand r;
	uint64_t job;
	bool zeroed; /* the block allocated last was */
};

static struct rk_geometry geometry(uint32_t state_max)
{
	struct rk_geometry g = fixture_geometry();

	g.n_partitions = 1;
	g.state_max = state_max;
	g.n_log = 4096;
	g.log_data_len = 1u << 18;
	return g;
}

static void open_view(struct arena_under_test *t)
{
	rk_bank_view(&t->b, &t->f->m, fixture_bank(t->f, 0));
	ck_assert_int_eq(rk_arena_view(&t->a, &t->b, STATE_LEN, rk_arena_room(&t->f->m, STATE_LEN)),
			 0);
}

static struct arena_under_test *open_arena(const struct rk_geometry *g, uint64_t seed)
{
	struct arena_under_test *t = calloc(1, sizeof(*t));

	ck_assert_ptr_nonnull(t);
	t->f = fixture_new(g, 0);
	t->r = rk_rand_init(seed);
	open_view(t);
	memset(t->b.state, 0xa5,
	       t->f->m.g.state_max); /* what lies in free memory is nobody's business */
	rk_arena_init(&t->a);
	rk_bank_begin(&t->b, 0);
	return t;
}

static void close_arena(struct arena_under_test *t)
{
	fixture_free(t->f);
	free(t);
}

static struct rk_arena_figures figures(struct arena_under_test *t)
{
	struct rk_arena_figures f;

	ck_assert_int_eq(rk_arena_check(&t->a, &f), 0);
	return f;
}

/* ---- the model ---- */

static void fill(struct live *l)
{
	struct rk_rand r = rk_rand_init(l->seed);

	for (size_t i = 0; i < l->len; i++)
		l->at[i] = (char)rk_rand_u64(&r);
}

static bool is_filled(const struct live *l)
{
	struct rk_rand r = rk_rand_init(l->seed);

	for (size_t i = 0; i < l->len; i++)
		if (l->at[i] != (char)rk_rand_u64(&r))
			return false;
	return true;
}

/* Everything that is live lies where it was put, with its bytes, and the arena agrees on how much
 * that is. */
static void verify(struct arena_under_test *t, const char *when)
{
	struct rk_arena_figures f = figures(t);

	ck_assert_msg(f.n_used == (uint32_t)t->now.n, "%s: %u blocks, %d are live", when, f.n_used,
		      t->now.n);
	for (int i = 0; i < t->now.n; i++)
		ck_assert_msg(is_filled(&t->now.block[i]), "%s: block %d has other bytes", when, i);
}

static int allocate(struct arena_under_test *t, size_t len)
{
	struct live *l = &t->now.block[t->now.n];
	uint32_t before = t->b.n_entries;
	void *p = NULL;
	int r = rk_arena_alloc(&t->a, len, &p);

	ck_assert_uint_le(t->b.n_entries - before, RK_ARENA_ALLOC_UNDO);
	if (r < 0) {
		ck_assert(r != -ENOMEM || t->b.n_entries == before);
		return r;
	}
	*l = (struct live){ p, len, rk_rand_u64(&t->r) };
	ck_assert_uint_eq((uintptr_t)p % 16, 0);
	ck_assert_uint_ge(rk_arena_len(&t->a, p), len);
	t->zeroed = true;
	for (size_t i = 0; i < rk_arena_len(&t->a, p); i++)
		t->zeroed &= l->at[i] == 0;
	ck_assert(t->zeroed);
	ck_assert(l->at >= t->b.state + STATE_LEN &&
		  l->at + len <= t->b.state + t->f->m.g.state_max);
	for (int i = 0; i < t->now.n; i++)
		ck_assert(l->at + len <= t->now.block[i].at ||
			  t->now.block[i].at + t->now.block[i].len <= l->at);
	fill(l); /* without saving: it is this job's */
	t->now.n++;
	return 0;
}

static int release(struct arena_under_test *t, int i)
{
	uint32_t before = t->b.n_entries;
	int r = rk_arena_free(&t->a, t->now.block[i].at);

	ck_assert_uint_le(t->b.n_entries - before, RK_ARENA_FREE_UNDO);
	if (r == 0)
		t->now.block[i] = t->now.block[--t->now.n];
	return r;
}

static int overwrite(struct arena_under_test *t, int i)
{
	struct live *l = &t->now.block[i];
	int r = rk_bank_save(&t->b, l->at, l->len);

	if (r == 0) {
		l->seed = rk_rand_u64(&t->r);
		fill(l);
	}
	return r;
}

/* One random step of a job. */
static int step(struct arena_under_test *t, uint32_t size_max)
{
	uint64_t what = rk_rand_below(&t->r, 10);

	if (t->now.n == 0 || (what < 5 && t->now.n < LIVE_MAX)) {
		/* Mostly small ones, some of any size. */
		size_t len = rk_rand_below(&t->r, rk_rand_below(&t->r, 8) ? 200 : size_max);
		int r = allocate(t, len);

		return r == -ENOMEM ? 0 : r;
	}
	if (what < 8)
		return release(t, (int)rk_rand_below(&t->r, (uint64_t)t->now.n));
	return overwrite(t, (int)rk_rand_below(&t->r, (uint64_t)t->now.n));
}

static void commit(struct arena_under_test *t)
{
	t->committed = t->now;
	t->job = rk_pos_add(t->job, 1);
	rk_bank_begin(&t->b, t->job);
}

/* The owner is killed; a successor opens the bank. */
static void die(struct arena_under_test *t)
{
	open_view(t);
	(void)rk_bank_roll_back(&t->b, t->job);
	rk_bank_begin(&t->b, t->job);
	t->now = t->committed;
}

/* What the present job did is undone: a re-run is alone in its commit, and all of it goes. */
static void abort_job(struct arena_under_test *t, struct rk_savepoint start, const struct set *before)
{
	if (rk_bank_is_rerun(&t->b))
		rk_bank_restart(&t->b);
	else
		rk_bank_roll_back_to(&t->b, start);
	t->now = *before;
}

START_TEST(random_jobs_leave_what_they_committed_and_nothing_else)
{
	struct rk_geometry g = geometry(_i % 2 ? 8192 : 65536);
	struct arena_under_test *t = open_arena(&g, (uint64_t)_i);

	for (int round = 0; round < 300 / SHARE; round++) {
		/* A job of a batch, whose log has entries before it, and which alone is undone when
		 * it aborts. */
		struct rk_savepoint start = rk_bank_savepoint(&t->b);
		struct set before = t->now;
		int r = 0;

		for (uint64_t n = rk_rand_below(&t->r, 40); n > 0 && r == 0; n--)
			r = step(t, g.state_max / 4);
		ck_assert_msg(r == 0 || r == -ENOSPC, "seed %d: %d", _i, r);
		if (r < 0 || rk_rand_below(&t->r, 4) == 0) {
			abort_job(t, start, &before);
			verify(t, "aborted");
		}
		switch (rk_rand_below(&t->r, 4)) {
		case 0:
			die(t);
			verify(t, "killed");
			break;
		case 1: /* others join its commit, but for that of a re-run */
			if (rk_bank_is_rerun(&t->b))
				commit(t);
			break;
		default:
			commit(t);
			verify(t, "committed");
		}
		if (t->b.n_entries > g.n_log / 2 || t->b.data_used > g.log_data_len / 2)
			commit(t);
	}
	close_arena(t);
}
END_TEST

START_TEST(what_is_freed_and_got_again_in_one_job_comes_back_with_its_bytes)
{
	struct rk_geometry g = geometry(8192);
	struct arena_under_test *t = open_arena(&g, 1);
	char *old;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(allocate(t, 100), 0);
	commit(t);
	old = t->now.block[1].at;
	ck_assert_int_eq(release(t, 1), 0);
	ck_assert_int_eq(allocate(t, 100), 0);
	ck_assert_ptr_eq(t->now.block[2].at, old); /* else this test shows nothing */
	ck_assert_int_eq(release(t, 2), 0);
	ck_assert_int_eq(allocate(t, 10), 0);
	ck_assert_int_eq(allocate(t, 40), 0);
	die(t);
	verify(t, "killed");
	close_arena(t);
}
END_TEST

START_TEST(an_arena_is_used_up_and_after_freeing_all_is_one_block_again)
{
	static const size_t lens[] = { 0, 1, 16, 17, 100, 1000, 5000 };
	struct rk_geometry g = geometry(65536);
	struct arena_under_test *t = open_arena(&g, (uint64_t)_i);
	struct rk_arena_figures fresh = figures(t), f;
	size_t len = lens[_i];
	void *p;
	int n = 0;

	while (t->now.n < LIVE_MAX && allocate(t, len) == 0 && ++n)
		commit(t);
	if (t->now.n < LIVE_MAX) {
		ck_assert_uint_lt(figures(t).largest_len, len);
		ck_assert_int_eq(rk_arena_alloc(&t->a, len, &p), -ENOMEM);
	}
	verify(t, "full");
	ck_assert_uint_ge((uint64_t)n * (len + 32),
			  rk_min_u64(65536 - 7000, (uint64_t)LIVE_MAX * (len + 16)));
	while (t->now.n > 0) {
		ck_assert_int_eq(release(t, (int)rk_rand_below(&t->r, (uint64_t)t->now.n)), 0);
		commit(t);
	}
	f = figures(t);
	ck_assert_uint_eq(f.n_free, 1);
	ck_assert_uint_eq(f.largest_len, fresh.largest_len);
	ck_assert_int_eq(rk_arena_alloc(&t->a, f.largest_len, &p), 0);
	ck_assert_int_eq(rk_arena_alloc(&t->a, 1, &p), -ENOMEM);
	close_arena(t);
}
END_TEST

START_TEST(lengths_that_no_arena_has_are_refused)
{
	static const size_t lens[] = { 8192,       1u << 28,      (1ull << 32) - 8,
				       1ull << 32, SIZE_MAX - 15, SIZE_MAX };
	struct rk_geometry g = geometry(8192);
	struct arena_under_test *t = open_arena(&g, 0);
	void *p;

	for (size_t i = 0; i < rk_countof(lens); i++)
		ck_assert_int_eq(rk_arena_alloc(&t->a, lens[i], &p), -ENOMEM);
	ck_assert_uint_eq(t->b.n_entries, 0);
	ck_assert_int_eq(rk_arena_view(&t->a, &t->b, STATE_LEN, RK_ARENA_MIN - 1), -EINVAL);
	ck_assert_int_eq(rk_arena_view(&t->a, &t->b, STATE_LEN, 8192 - 47), -EINVAL);
	ck_assert_int_eq(rk_arena_view(&t->a, &t->b, STATE_LEN, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(rk_arena_view(&t->a, &t->b, STATE_LEN, 8192 - 48), 0);
	ck_assert_int_eq(rk_arena_view(&t->a, &t->b, 8192 - RK_ARENA_MIN, RK_ARENA_MIN), 0);
	ck_assert_uint_eq(rk_arena_room(&t->f->m, UINT64_MAX), 0);
	ck_assert_uint_eq(rk_arena_room(&t->f->m, 8192), 0);
	rk_arena_init(&t->a);
	ck_assert_int_eq(rk_arena_alloc(&t->a, 32, &p), -ENOMEM);
	ck_assert_int_eq(rk_arena_alloc(&t->a, 16, &p), 0);
	close_arena(t);
}
END_TEST

START_TEST(a_hundred_thousand_turns_do_not_fragment_it_to_death)
{
	struct rk_geometry g = geometry(65536);
	struct arena_under_test *t = open_arena(&g, (uint64_t)_i);
	struct live *l = t->now.block;
	size_t used = 0;
	int n_full = 0;

	/* Half full, sizes from 1 to 512 bytes: there is always room. */
	for (int turn = 0; turn < 100000 / SHARE; turn++) {
		size_t len = 1 + rk_rand_below(&t->r, 1u << rk_rand_below(&t->r, 10));
		void *p;
		int r;

		while (used + len > 32768 || t->now.n == LIVE_MAX) {
			int i = (int)rk_rand_below(&t->r, (uint64_t)t->now.n);

			used -= l[i].len;
			ck_assert_int_eq(rk_arena_free(&t->a, l[i].at), 0);
			l[i] = l[--t->now.n];
			commit(t);
		}
		r = rk_arena_alloc(&t->a, len, &p);
		n_full += r == -ENOMEM;
		if (r == 0) {
			l[t->now.n++] = (struct live){ p, len, 0 };
			used += len;
		}
		commit(t);
	}
	(void)figures(t);
	ck_assert_int_eq(n_full, 0);
	close_arena(t);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(what_is_no_live_block_is_refused_and_changes_nothing)
{
	struct rk_geometry g = geometry(8192);
	struct arena_under_test *t = open_arena(&g, 3);
	char *a, *b, *c;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(allocate(t, 200), 0);
	a = t->now.block[0].at;
	b = t->now.block[1].at;
	c = t->now.block[2].at;
	commit(t);
	ck_assert_int_eq(rk_arena_free(&t->a, NULL), 0);
	ck_assert_int_eq(rk_arena_free(&t->a, b), 0);
	commit(t);
	const void *const bad[] = { b,
				    b + 16,
				    b - 16,
				    a + 1,
				    a + 16,
				    a + 64,
				    a - 16,
				    c + 8,
				    t->b.state,
				    t->b.state + 8184,
				    t->b.state + 8176,
				    t->a.head,
				    t->a.head + 1,
				    (char *)(t->a.head + 1) + 16 + 208,
				    t,
				    t->b.state - 4096,
				    (void *)16,
				    (void *)UINTPTR_MAX };
	for (size_t i = 0; i < rk_countof(bad); i++)
		if (bad[i] != a && bad[i] != c)
			ck_assert_msg(rk_arena_free(&t->a, (void *)(uintptr_t)bad[i]) == -EFAULT,
				      "case %zu", i);
	ck_assert_uint_eq(t->b.n_entries, 0);
	/* Merged into the block before it, it is no block either; nor when that is handed out
	 * again. */
	ck_assert_int_eq(rk_arena_free(&t->a, a), 0);
	ck_assert_int_eq(rk_arena_free(&t->a, b), -EFAULT);
	ck_assert_int_eq(rk_arena_free(&t->a, a), -EFAULT);
	ck_assert_int_eq(rk_arena_free(&t->a, c), 0);
	ck_assert_int_eq(rk_arena_free(&t->a, c), -EFAULT);
	ck_assert_uint_eq(figures(t).n_free, 1);
	close_arena(t);
}
END_TEST

START_TEST(a_full_log_refuses_and_the_roll_back_leaves_no_trace)
{
	struct rk_geometry g = geometry(8192);
	struct arena_under_test *t = open_arena(&g, 4);
	struct rk_savepoint start;
	void *p;

	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(allocate(t, 100), 0);
	for (int i = 6; i > 0; i -= 2)
		ck_assert_int_eq(release(t, i), 0);
	commit(t);
	for (uint32_t left = 0; left < RK_ARENA_FREE_UNDO; left++) {
		int r_alloc, r_free;

		rk_bank_begin(&t->b, t->job);
		while (t->b.n_entries + left < g.n_log)
			ck_assert_int_eq(rk_bank_save(&t->b, t->b.state, 1), 0);
		start = rk_bank_savepoint(&t->b);
		r_alloc = rk_arena_alloc(&t->a, 3000, &p);
		rk_bank_roll_back_to(&t->b, start);
		verify(t, "after an allocation that did not fit the log");
		r_free = rk_arena_free(&t->a, t->now.block[1].at);
		rk_bank_roll_back_to(&t->b, start);
		verify(t, "after a free that did not fit the log");
		ck_assert(left > 0 || (r_alloc == -ENOSPC && r_free == -ENOSPC));
		ck_assert((r_alloc == 0 || r_alloc == -ENOSPC) &&
			  (r_free == 0 || r_free == -ENOSPC));
		commit(t);
	}
	close_arena(t);
}
END_TEST

/* ---- damage ---- */

/* Writes over some words of the arena, often where its own lie, often with something plausible. */
static void scribble(struct arena_under_test *t)
{
	uint32_t *words = (uint32_t *)(void *)t->a.head;
	uint64_t n_words = (t->a.end + 1) * 4ull;

	for (uint64_t n = 1 + rk_rand_below(&t->r, 6); n > 0; n--) {
		uint64_t i = rk_rand_below(&t->r, rk_rand_below(&t->r, 2) ? n_words : 140);

		if (t->now.n && rk_rand_below(&t->r, 2)) /* just behind a block, or before it */
			i = (uint64_t)((uint32_t *)(void *)t->now
					       .block[rk_rand_below(&t->r, (uint64_t)t->now.n)]
					       .at -
				       words) -
			    rk_rand_below(&t->r, 5);
		switch (rk_rand_below(&t->r, 4)) {
		case 0:
			words[i] = (uint32_t)rk_rand_u64(&t->r);
			break;
		case 1:
			words[i] = (uint32_t)rk_rand_below(&t->r, t->a.end + 2);
			break;
		case 2:
			words[i] ^= 1u << rk_rand_below(&t->r, 32);
			break;
		default:
			words[i] = words[rk_rand_below(&t->r, n_words)];
		}
	}
}

START_TEST(a_damaged_arena_gives_errors_and_never_leads_outside)
{
	struct rk_geometry g = geometry(8192);
	int n_clean = 0, n_errors = 0;

	for (int round = 0; round < 300 / SHARE; round++) {
		struct arena_under_test *t = open_arena(&g, (uint64_t)(_i * 1000 + round));
		struct rk_arena_figures f;

		for (int i = 0; i < 60; i++)
			ck_assert_int_eq(step(t, 500), 0);
		commit(t);
		scribble(t);
		n_clean +=
			rk_arena_check(&t->a, &f) == 0; /* it may be user's bytes that were hit */
		for (int i = 0; i < 200; i++) {
			int n = t->now.n;
			void *p;
			int r;

			if (n == 0 || rk_rand_below(&t->r, 2)) {
				r = rk_arena_alloc(&t->a, rk_rand_below(&t->r, 300), &p);
				if (r == 0 && n < LIVE_MAX)
					t->now.block[t->now.n++].at = p;
			} else {
				r = rk_arena_free(&t->a, t->now.block[n - 1].at);
				t->now.n -= r == 0;
			}
			ck_assert_msg(r == 0 || r == -ENOMEM || r == -EUCLEAN || r == -EFAULT,
				      "seed %d: %d", _i, r);
			n_errors += r == -EUCLEAN;
			commit(t);
		}
		close_arena(t);
	}
	ck_assert_int_lt(n_clean, 300 / SHARE);
	ck_assert_int_gt(n_errors, 0);
}
END_TEST

START_TEST(a_list_that_does_not_lead_back_is_not_followed)
{
	struct rk_geometry g = geometry(8192);
	struct arena_under_test *t = open_arena(&g, 6);
	struct rk_arena_block *first, *second;
	void *p;

	for (int i = 0; i < 7; i++)
		ck_assert_int_eq(allocate(t, 40), 0);
	for (int i = 5; i > 0; i -= 2)
		ck_assert_int_eq(release(t, i), 0);
	commit(t);
	first = (struct rk_arena_block *)(void *)((char *)t->a.head +
						  t->a.head->first[4] * RK_ARENA_UNIT);
	second = (struct rk_arena_block *)(void *)((char *)t->a.head + first->next * RK_ARENA_UNIT);
	second->back ^= 1;
	ck_assert_int_eq(rk_arena_alloc(&t->a, 40, &p), -EUCLEAN);
	(void)rk_bank_roll_back(&t->b, t->job);
	second->back ^= 1;
	verify(t, "mended");
	close_arena(t);
}
END_TEST

START_TEST(each_damaged_word_is_found_by_the_check)
{
	struct rk_geometry g = geometry(8192);
	struct arena_under_test *t = open_arena(&g, 5);
	struct rk_arena_figures f;
	uint32_t *words;

	for (int i = 0; i < 9; i++)
		ck_assert_int_eq(allocate(t, 40), 0);
	for (int i = 7; i > 0; i -= 3)
		ck_assert_int_eq(release(t, i), 0);
	/* Every word of head, blocks' heads and end mark; all but contents, stamps and what is
	 * reserved. */
	words = (uint32_t *)(void *)t->a.head;
	for (uint32_t i = 0; i < 8 + RK_ARENA_CLASSES; i++) {
		words[i] ^= 2;
		ck_assert_msg(rk_arena_check(&t->a, &f) == -EUCLEAN, "word %u of the head", i);
		words[i] ^= 2;
	}
	for (int k = 0; k < t->now.n; k++) {
		words = (uint32_t *)(void *)t->now.block[k].at - 4;
		for (int i = 0; i < 4; i++) {
			words[i] ^= 2;
			ck_assert_msg(rk_arena_check(&t->a, &f) == -EUCLEAN, "word %d of block %d",
				      i, k);
			words[i] ^= 2;
		}
	}
	(void)figures(t);
	close_arena(t);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("arena");

	tcase_set_timeout(c, 30);
	tcase_add_loop_test(c, random_jobs_leave_what_they_committed_and_nothing_else, 0, 40);
	tcase_add_test(c, what_is_freed_and_got_again_in_one_job_comes_back_with_its_bytes);
	tcase_add_loop_test(c, an_arena_is_used_up_and_after_freeing_all_is_one_block_again, 0, 7);
	tcase_add_test(c, lengths_that_no_arena_has_are_refused);
	tcase_add_loop_test(c, a_hundred_thousand_turns_do_not_fragment_it_to_death, 0, 3);
	tcase_add_test(c, what_is_no_live_block_is_refused_and_changes_nothing);
	tcase_add_test(c, a_full_log_refuses_and_the_roll_back_leaves_no_trace);
	tcase_add_loop_test(c, a_damaged_arena_gives_errors_and_never_leads_outside, 0, 6);
	tcase_add_test(c, a_list_that_does_not_lead_back_is_not_followed);
	tcase_add_test(c, each_damaged_word_is_found_by_the_check);
	return unit_run(c);
}
