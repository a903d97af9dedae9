/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Every worker that sleeps on keeper's lease in its page wakes when keeper ends, however it
 *         ends, and when the next keeper is there; memory that is not held any more has no lease; what
 *         a worker writes over the list harms nobody but who was to be told.
 * Method  Children are keeper, over beat pages of the test's own; threads sleep as workers do.
 */
#include "supervisor/leases.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/beat.h"
#include "shm/bell.h"
#include "tests/unit/unit.h"

#define N 24u
#define LONG_NS (20 * RK_NS_PER_S) /* nothing that works takes this long */

struct pages {
	struct rk_held_one one;
	char *at;
	uint32_t n;
};

static struct pages pages_new(uint64_t tag, uint32_t n)
{
	struct pages p = { .n = n };

	p.one = (struct rk_held_one){ .kind = RK_LINK_MEMORY, .tag = tag, .name = "beats" };
	p.one.fd = memfd_create("rk-beats", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(p.one.fd, (off_t)(RK_BEAT_SIZE * (1ull + n))), 0);
	p.at = mmap(NULL, RK_BEAT_SIZE * (1ull + n), PROT_READ | PROT_WRITE, MAP_SHARED, p.one.fd, 0);
	ck_assert_ptr_ne(p.at, MAP_FAILED);
	return p;
}

static struct rk_beat *beat(const struct pages *p, uint32_t i)
{
	return (struct rk_beat *)(void *)(p->at + RK_BEAT_SIZE * (1ull + i));
}

static uint32_t word(const struct pages *p, uint32_t i)
{
	return atomic_load_explicit(&beat(p, i)->keeper, memory_order_acquire);
}

enum end { BY_SIGKILL, BY_EXIT, BY_EXEC, ENDS };

/* A keeper that holds these, and then does nothing until it is told how to end. */
struct keeper {
	pid_t pid;
	int tell, hear;
};

static void keeper_be(int hear, int tell, struct rk_held *first, struct rk_held *then)
{
	static struct rk_leases l;
	char how = BY_EXIT;

	rk_leases_follow(&l, first);
	rk_leases_follow(&l, first); /* again: nothing has changed */
	if (then)
		rk_leases_follow(&l, then);
	(void)!write(tell, "x", 1);
	(void)!read(hear, &how, 1);
	if (how == BY_EXEC)
		(void)execlp("sleep", "sleep", "60", (char *)NULL);
	if (how == BY_SIGKILL)
		(void)raise(SIGKILL);
	_exit(0);
}

static struct keeper keeper_start(struct rk_held *first, struct rk_held *then)
{
	struct keeper k;
	int in[2], out[2];
	char byte;

	ck_assert_int_eq(pipe(in), 0);
	ck_assert_int_eq(pipe(out), 0);
	k.pid = fork();
	ck_assert_int_ge(k.pid, 0);
	if (k.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		keeper_be(in[0], out[1], first, then);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	k.tell = in[1];
	k.hear = out[0];
	ck_assert_int_eq(read(k.hear, &byte, 1), 1);
	return k;
}

static void keeper_end(struct keeper *k, enum end how)
{
	char byte = (char)how;

	ck_assert_int_eq(write(k->tell, &byte, 1), 1);
	if (how == BY_EXEC) /* its pipe closes with exec: no, it is inherited; the words tell */
		return;
	ck_assert_int_eq(waitpid(k->pid, NULL, 0), k->pid);
}

static void keeper_bury(struct keeper *k, enum end how)
{
	if (how == BY_EXEC) {
		(void)kill(k->pid, SIGKILL);
		ck_assert_int_eq(waitpid(k->pid, NULL, 0), k->pid);
	}
	(void)close(k->tell);
	(void)close(k->hear);
}

/* ---- sleepers ---- */

struct sleeper {
	const struct pages *p;
	uint32_t i;
	uint32_t seen;
	_Atomic uint32_t bell;
	int result;
	pthread_t thread;
};

static void *sleep_as_worker(void *arg)
{
	struct sleeper *s = arg;
	uint32_t parked = rk_bell_park(&s->bell);

	s->result = rk_bell_wait_beside(&s->bell, parked, &beat(s->p, s->i)->keeper, s->seen, rk_clock_ns() + LONG_NS);
	return NULL;
}

static void sleepers_start(struct sleeper *s, const struct pages *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		s[i] = (struct sleeper){ .p = p, .i = i, .seen = word(p, i) };
		ck_assert_int_eq(pthread_create(&s[i].thread, NULL, sleep_as_worker, &s[i]), 0);
	}
}

static void sleepers_await(struct sleeper *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_int_eq(pthread_join(s[i].thread, NULL), 0);
		ck_assert_int_eq(s[i].result, 0); /* no time-out */
		ck_assert_uint_ne(word(s[i].p, s[i].i), s[i].seen);
	}
}

START_TEST(every_sleeper_wakes_when_keeper_ends)
{
	struct pages p = pages_new(1, N);
	struct rk_held held = { .at = &p.one, .n = 1 };
	struct keeper k = keeper_start(&held, NULL);
	struct sleeper s[N];

	for (uint32_t i = 0; i < N; i++)
		ck_assert_uint_eq(word(&p, i), (uint32_t)k.pid | FUTEX_WAITERS);
	sleepers_start(s, &p, N);
	keeper_end(&k, (enum end)_i);
	sleepers_await(s, N);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_uint_eq(word(&p, i), FUTEX_OWNER_DIED | FUTEX_WAITERS);
	keeper_bury(&k, (enum end)_i);
}
END_TEST

START_TEST(the_next_keeper_wakes_those_who_saw_the_last_one_dead)
{
	struct pages p = pages_new(1, N);
	struct rk_held held = { .at = &p.one, .n = 1 };
	struct keeper k = keeper_start(&held, NULL);
	struct sleeper s[N];

	keeper_end(&k, BY_SIGKILL);
	keeper_bury(&k, BY_SIGKILL);
	sleepers_start(s, &p, N);
	k = keeper_start(&held, NULL);
	sleepers_await(s, N);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_uint_eq(word(&p, i), (uint32_t)k.pid | FUTEX_WAITERS);
	keeper_end(&k, BY_SIGKILL);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_uint_ne(word(&p, i) & FUTEX_OWNER_DIED, 0);
	keeper_bury(&k, BY_SIGKILL);
}
END_TEST

/* Of three fleets the `_i`th is dropped. */
START_TEST(memory_that_is_not_held_any_more_has_no_lease)
{
	struct pages p[3] = { pages_new(1, N), pages_new(2, N), pages_new(3, N) };
	struct rk_held_one all[3] = { p[0].one, p[1].one, p[2].one }, rest[2];
	struct rk_held first = { .at = all, .n = 3 }, then = { .at = rest, .n = 2 };
	struct keeper k;

	for (int i = 0, n = 0; i < 3; i++)
		if (i != _i)
			rest[n++] = all[i];
	k = keeper_start(&first, &then);
	keeper_end(&k, BY_SIGKILL);
	for (int f = 0; f < 3; f++)
		for (uint32_t i = 0; i < N; i++)
			ck_assert_int_eq((word(&p[f], i) & FUTEX_OWNER_DIED) != 0, f != _i);
	keeper_bury(&k, BY_SIGKILL);
}
END_TEST

START_TEST(beyond_what_the_kernel_looks_after_every_fleet_has_its_first_page)
{
	struct pages p[3] = { pages_new(1, 3000), pages_new(2, 3000), pages_new(3, 1) };
	struct rk_held_one all[3] = { p[0].one, p[1].one, p[2].one };
	struct rk_held held = { .at = all, .n = 3 };
	struct keeper k = keeper_start(&held, NULL);
	uint32_t n = 0;

	keeper_end(&k, BY_SIGKILL);
	for (int f = 0; f < 3; f++) {
		ck_assert_uint_ne(word(&p[f], 0) & FUTEX_OWNER_DIED, 0);
		for (uint32_t i = 0; i < p[f].n; i++) {
			/* Whoever has one is told, to the last. */
			ck_assert(word(&p[f], i) == 0 || (word(&p[f], i) & FUTEX_OWNER_DIED));
			n += word(&p[f], i) != 0;
		}
	}
	ck_assert_uint_gt(n, RK_LEASES_MAX / 2);
	ck_assert_uint_le(n, RK_LEASES_MAX);
	keeper_bury(&k, BY_SIGKILL);
}
END_TEST

START_TEST(a_damaged_list_harms_nobody)
{
	static const uint64_t damage[] = { 0, 8, ~0ull, 0x00007fffdeadbeefull };
	struct pages p = pages_new(1, N);
	struct rk_held held = { .at = &p.one, .n = 1 };
	struct keeper k = keeper_start(&held, NULL);
	int status;
	char how = BY_EXIT;

	/* The last one that was linked comes first: it is marked, and there the kernel gives up. */
	beat(&p, N - 1)->keeper_next = damage[_i];
	ck_assert_int_eq(write(k.tell, &how, 1), 1);
	ck_assert_int_eq(waitpid(k.pid, &status, 0), k.pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_ne(word(&p, N - 1) & FUTEX_OWNER_DIED, 0);
	keeper_bury(&k, BY_EXIT);
}
END_TEST

START_TEST(other_memory_is_left_alone)
{
	struct pages p = pages_new(1, N), tiny = pages_new(2, 0);
	struct rk_held_one all[3] = { p.one, p.one, tiny.one };
	struct rk_held held = { .at = all, .n = 3 };
	struct keeper k;

	strcpy(all[0].name, "board");
	all[1].kind = RK_LINK_PROCESS;
	k = keeper_start(&held, NULL);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_uint_eq(word(&p, i), 0);
	keeper_end(&k, BY_EXIT);
	keeper_bury(&k, BY_EXIT);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("leases");

	tcase_add_loop_test(c, every_sleeper_wakes_when_keeper_ends, 0, ENDS);
	tcase_add_test(c, the_next_keeper_wakes_those_who_saw_the_last_one_dead);
	tcase_add_loop_test(c, memory_that_is_not_held_any_more_has_no_lease, 0, 3);
	tcase_add_test(c, beyond_what_the_kernel_looks_after_every_fleet_has_its_first_page);
	tcase_add_loop_test(c, a_damaged_list_harms_nobody, 0, 4);
	tcase_add_test(c, other_memory_is_left_alone);
	return unit_run(c);
}
