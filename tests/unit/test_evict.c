/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A partition taken from a living owner goes on elsewhere, from its last commit, and the
 *         old owner commits nothing more; banks are reserved until its death, and without one
 *         nothing happens; whoever it was about to wake is woken.
 * Method  Owner and successor step by step; the eviction happens inside a handler of the old
 *         owner, so that its job is half done. Banks beside the fixture's lie in a memfd.
 */
#include "shm/evict.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/bell.h"
#include "shm/part.h"
#include "shm/words.h"
#include "tests/unit/fixture.h"
#include "tests/unit/unit.h"

#define P48 ((1ull << 48) - 1)

static const uint64_t firsts[] = { 0, P48 - 1, P48 };

struct scene {
	struct fixture *f;
	struct rk_caller c;
	struct fixture_owner old, next;
	char *banks; /* of partition 0 */
	int fd;
};

static struct scene open_scene(uint32_t n_banks, uint64_t first)
{
	struct rk_geometry g = fixture_geometry();
	struct scene s = { 0 };
	uint64_t len;

	g.n_banks = n_banks;
	s.f = fixture_new(&g, first);
	len = n_banks * s.f->m.l.bank_stride;
	s.fd = memfd_create("banks", MFD_CLOEXEC);
	ck_assert_int_ge(s.fd, 0);
	ck_assert_int_eq(ftruncate(s.fd, (off_t)len), 0);
	s.banks = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
	ck_assert_ptr_ne(s.banks, MAP_FAILED);
	s.c = fixture_caller(s.f, 1, 77);
	s.old.room = malloc(rk_owner_room(&s.f->m));
	s.next.room = malloc(rk_owner_room(&s.f->m));
	ck_assert_int_gt(rk_part_assign(&s.f->m, 0, 1), 0);
	rk_part_route(&s.f->m, 0, 1, RK_ROUTE_UP);
	ck_assert_int_eq(rk_owner_open(&s.old.o, &s.f->m, 0, 1, 0, s.banks, s.old.room), 0);
	return s;
}

static void close_scene(struct scene *s)
{
	fixture_disown(&s->old);
	fixture_disown(&s->next);
	(void)munmap(s->banks, s->f->m.g.n_banks * s->f->m.l.bank_stride);
	(void)close(s->fd);
	fixture_free(s->f);
}

static char *bank(const struct scene *s, uint32_t i)
{
	return s->banks + i * s->f->m.l.bank_stride;
}

static uint64_t owner_word(const struct scene *s)
{
	return atomic_load_explicit(&rk_shm_part(&s->f->m, 0)->owner, memory_order_acquire);
}

static uint64_t sum_in(const struct scene *s, uint32_t i)
{
	struct rk_bank b;
	uint64_t sum;

	rk_bank_view(&b, &s->f->m, bank(s, i));
	memcpy(&sum, b.state, sizeof(sum));
	return sum;
}

static int copy(struct scene *s, uint32_t worker, bool with_fd)
{
	struct rk_evict_banks banks = { .fd = with_fd ? s->fd : -1 };
	uint32_t from = 99;
	int to = rk_evict_look(&s->f->m, 0, worker, &from);

	ck_assert_int_ge(to, 0);
	banks.from = bank(s, from);
	banks.to = bank(s, (uint32_t)to);
	banks.from_at = from * s->f->m.l.bank_stride;
	banks.to_at = (uint32_t)to * s->f->m.l.bank_stride;
	return rk_evict_copy(&s->f->m, 0, worker, &banks);
}

static void take_over(struct scene *s, uint32_t worker, bool with_fd)
{
	uint32_t to = rk_owner_bank(owner_word(s));

	ck_assert_int_eq(rk_owner_look(&s->f->m, 0, worker),
			 -ESTALE); /* not before it has copied */
	ck_assert_int_eq(copy(s, worker, with_fd), 0);
	ck_assert_int_eq(rk_owner_look(&s->f->m, 0, worker), (int)to);
	ck_assert_int_eq(rk_owner_open(&s->next.o, &s->f->m, 0, worker, to, bank(s, to),
				       s->next.room),
			 0);
}

/* Half done, the state written, and the partition is gone. */
static int lose(struct rk_owner_job *job, void *arg)
{
	struct scene *s = arg;
	int r = fixture_add(job, NULL);

	ck_assert_int_gt(rk_evict(&s->f->m, 0, 2), 0);
	return r;
}

START_TEST(its_unfinished_job_is_undone_in_the_copy_and_runs_there)
{
	struct scene s = open_scene(2, firsts[_i / 2]);
	struct rk_call call;

	ck_assert_uint_eq(fixture_call(&s.c, &s.old, 10), 10);
	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 5, &call), RK_CALL_STARTED);
	ck_assert_int_eq(rk_owner_step(&s.old.o, lose, &s), -ESTALE);
	ck_assert_uint_eq(sum_in(&s, 0), 15);
	take_over(&s, 2, _i % 2);
	ck_assert(s.next.o.rolled_back);
	ck_assert_uint_eq(sum_in(&s, 1), 10);
	ck_assert_int_eq(rk_owner_step(&s.next.o, fixture_add, NULL), 1);
	fixture_expect(&s.c, &call, 0, 15);
	ck_assert_int_eq(rk_owner_step(&s.old.o, fixture_add, NULL), -ESTALE);
	ck_assert_int_eq(rk_owner_release(&s.old.o), -ESTALE);
	ck_assert_uint_eq(fixture_call(&s.c, &s.next, 1), 16);
	ck_assert_uint_eq(sum_in(&s, 0), 15); /* the old bank is left alone */
	close_scene(&s);
}
END_TEST

START_TEST(replies_it_had_committed_come_from_the_copy)
{
	struct scene s = open_scene(2, 0);
	struct rk_call call;

	s.old.o.gate_elsewhere = true;
	ck_assert_int_eq(fixture_start(&s.c, 0, 0, 5, &call), RK_CALL_STARTED);
	ck_assert_int_eq(rk_owner_step(&s.old.o, fixture_add, NULL), 1);
	ck_assert_int_eq(rk_call_look(&s.c, &call), RK_CALL_TAKEN);
	ck_assert_int_gt(rk_evict(&s.f->m, 0, 2), 0);
	take_over(&s, 2, false);
	ck_assert(!s.next.o.rolled_back);
	ck_assert_int_eq(rk_owner_step(&s.next.o, fixture_add, NULL), 0);
	fixture_expect(&s.c, &call, 0, 5);
	close_scene(&s);
}
END_TEST

START_TEST(without_a_free_bank_nothing_changes)
{
	struct scene s = open_scene((uint32_t)_i + 1, 0);
	struct rk_part *part = rk_shm_part(&s.f->m, 0);

	for (int n = 0; n < _i; n++) { /* each bank but the present one is kept for somebody */
		ck_assert_int_gt(rk_evict(&s.f->m, 0, n % 2 ? 1 : 2), 0);
		ck_assert_int_eq(copy(&s, n % 2 ? 1 : 2, false), 0);
	}
	uint64_t owner = owner_word(&s),
		 commit = atomic_load_explicit(&part->commit, memory_order_acquire);

	ck_assert_int_eq(rk_evict(&s.f->m, 0, 3), -EBUSY);
	ck_assert_uint_eq(owner_word(&s), owner);
	ck_assert_uint_eq(atomic_load_explicit(&part->commit, memory_order_acquire), commit);
	if (_i) {
		rk_evict_bury(&s.f->m, 0); /* somebody else's death frees none of them */
		ck_assert_int_eq(rk_evict(&s.f->m, 0, 3), -EBUSY);
		rk_evict_bury(&s.f->m, 1);
		rk_evict_bury(&s.f->m, 1);
		ck_assert_int_gt(rk_evict(&s.f->m, 0, 3), 0);
	}
	close_scene(&s);
}
END_TEST

START_TEST(whoever_is_evicted_in_the_middle_of_a_copy_leaves_the_first_bank_to_copy_from)
{
	struct scene s = open_scene(3, 0);

	ck_assert_uint_eq(fixture_call(&s.c, &s.old, 10), 10);
	ck_assert_int_gt(rk_evict(&s.f->m, 0, 2), 0);
	ck_assert_int_gt(rk_evict(&s.f->m, 0, 3), 0); /* worker 2 has not copied */
	ck_assert_uint_eq(rk_owner_from(owner_word(&s)), 0);
	ck_assert_uint_eq(rk_owner_bank(owner_word(&s)), 2);
	ck_assert_int_eq(rk_evict(&s.f->m, 0, 0), -EBUSY);
	rk_evict_bury(&s.f->m, 1); /* its bank is still the only whole one */
	ck_assert_int_eq(rk_evict(&s.f->m, 0, 0), -EBUSY);
	take_over(&s, 3, true);
	ck_assert_uint_eq(fixture_call(&s.c, &s.next, 1), 11);
	close_scene(&s);
}
END_TEST

START_TEST(the_successor_of_one_that_died_copying_copies_again)
{
	struct scene s = open_scene(3, 0);

	ck_assert_uint_eq(fixture_call(&s.c, &s.old, 10), 10);
	ck_assert_int_gt(rk_evict(&s.f->m, 0, 2), 0);
	memset(bank(&s, 1), 0xee, s.f->m.l.bank_stride); /* whatever it had come to */
	ck_assert_int_gt(rk_part_assign(&s.f->m, 0, 3), 0);
	ck_assert_int_eq(rk_part_ask(&s.f->m, 0), -ESTALE); /* first it copies */
	take_over(&s, 3, true);
	ck_assert_uint_eq(fixture_call(&s.c, &s.next, 1), 11);
	ck_assert_int_gt(rk_part_assign(&s.f->m, 0, 2), 0);
	ck_assert_int_eq(rk_owner_look(&s.f->m, 0, 2),
			 1); /* and the copy is the state from now on */
	close_scene(&s);
}
END_TEST

START_TEST(there_must_be_an_owner_to_evict_and_another_to_follow)
{
	struct scene s = open_scene(2, 0);

	ck_assert_int_eq(rk_evict(&s.f->m, 0, 1), -ESTALE); /* to itself */
	ck_assert_int_eq(rk_evict(&s.f->m, 2, 1), -ESTALE); /* nobody's */
	ck_assert_int_eq(rk_part_ask(&s.f->m, 0), 0);
	ck_assert_int_eq(rk_owner_release(&s.old.o), 0);
	ck_assert_int_eq(rk_evict(&s.f->m, 0, 2), -ESTALE); /* released: it needs none */
	atomic_store_explicit(&rk_shm_part(&s.f->m, 0)->owner, rk_owner(2, 2, 1, RK_OWNER_RUN),
			      memory_order_relaxed);
	ck_assert_int_eq(rk_evict(&s.f->m, 0, 2), -EPROTO);
	atomic_store_explicit(&rk_shm_part(&s.f->m, 0)->owner, rk_owner_copy(2, 1, 2, 1),
			      memory_order_relaxed);
	ck_assert_int_eq(rk_evict(&s.f->m, 0, 2), -EPROTO);
	ck_assert_int_eq(rk_part_assign(&s.f->m, 0, 2), -EPROTO);
	close_scene(&s);
}
END_TEST

START_TEST(the_successor_the_old_owner_and_the_declared_cells_client_are_rung)
{
	struct scene s = open_scene(2, 0);
	_Atomic uint32_t *bell = &rk_shm_cell(&s.f->m, 5)->bell;
	uint32_t parked = rk_bell_park(bell);

	atomic_store_explicit(&rk_shm_beat(&s.f->m, 1)->cell, 6, memory_order_release);
	ck_assert_int_gt(rk_evict(&s.f->m, 0, 2), 0);
	ck_assert_uint_ne(atomic_load_explicit(bell, memory_order_acquire), parked);
	ck_assert_uint_eq(rk_route_worker(atomic_load_explicit(&rk_shm_routes(&s.f->m)[0],
							       memory_order_acquire)),
			  2);
	for (uint32_t w = 1; w <= 2; w++)
		ck_assert_uint_eq(atomic_load_explicit(rk_bell_pending(rk_shm_bell(&s.f->m, w)),
						       memory_order_acquire),
				  1);
	atomic_store_explicit(&rk_shm_beat(&s.f->m, 1)->cell, UINT64_MAX, memory_order_release);
	rk_evict_wake(&s.f->m, 1); /* a forged page names no cell */
	close_scene(&s);
}
END_TEST

START_TEST(holes_stay_holes_and_nothing_of_the_banks_former_life_shows)
{
	struct scene s = open_scene(2, 0);
	struct rk_bank b;
	struct stat before, after;

	rk_bank_view(&b, &s.f->m, bank(&s, 1));
	memset(bank(&s, 1), 0xee, s.f->m.l.bank_stride);
	ck_assert_uint_eq(fixture_call(&s.c, &s.old, 10), 10);
	ck_assert_int_eq(fstat(s.fd, &before), 0);
	ck_assert_int_gt(rk_evict(&s.f->m, 0, 2), 0);
	ck_assert_int_eq(copy(&s, 2, true), 0);
	ck_assert_int_eq(fstat(s.fd, &after), 0);
	ck_assert_int_le(after.st_blocks, before.st_blocks);
	ck_assert_uint_eq(sum_in(&s, 1), 10);
	for (uint32_t i = 8; i < s.f->m.g.state_max; i++)
		ck_assert_int_eq(b.state[i], 0);
	close_scene(&s);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("evict");

	tcase_add_loop_test(c, its_unfinished_job_is_undone_in_the_copy_and_runs_there, 0,
			    2 * rk_countof(firsts));
	tcase_add_test(c, replies_it_had_committed_come_from_the_copy);
	tcase_add_loop_test(c, without_a_free_bank_nothing_changes, 0, 3);
	tcase_add_test(
		c, whoever_is_evicted_in_the_middle_of_a_copy_leaves_the_first_bank_to_copy_from);
	tcase_add_test(c, the_successor_of_one_that_died_copying_copies_again);
	tcase_add_test(c, there_must_be_an_owner_to_evict_and_another_to_follow);
	tcase_add_test(c, the_successor_the_old_owner_and_the_declared_cells_client_are_rung);
	tcase_add_test(c, holes_stay_holes_and_nothing_of_the_banks_former_life_shows);
	return unit_run(c);
}
