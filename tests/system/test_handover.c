/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Real workers give partitions back when asked, take them over while they run, copy what
 *         an evicted one leaves, end when they find that they were evicted, and poison jobs
 *         become dead letters that hold up nobody.
 * Method  The test is the supervisor: it makes the segments, starts two test workers with the
 *         supervisor's own spawn, and calls what part.h, evict.h and dead.h offer it. Nothing is
 *         timed; what never comes ends the test by its limit.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shm/beat.h"
#include "shm/bell.h"
#include "shm/call.h"
#include "shm/dead.h"
#include "shm/deliver.h"
#include "shm/evict.h"
#include "shm/part.h"
#include "shm/words.h"
#include "supervisor/segments.h"
#include "supervisor/spawn.h"
#include "tests/unit/unit.h"

#define PARTITIONS 4u
#define WORKERS 2u
#define LIMIT_S 60

struct fleet {
	struct rk_segments s;
	const struct rk_shm *m;
	struct rk_spawn spawn;
	struct rk_spawned worker[WORKERS];
	uint64_t incarnation;
	int news;
	struct rk_caller client;
};

static const char *build_dir(void)
{
	const char *dir = getenv("RK_TEST_BUILD");

	return dir ? dir : "build";
}

static void start(struct fleet *f, uint32_t worker)
{
	struct rk_err err = { 0 };
	int r = rk_spawn_hold(&f->spawn, &(struct rk_spawn_slot){ worker, ++f->incarnation, -1, NULL },
			      &f->worker[worker], &err);

	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_int_eq(rk_child_go(&f->worker[worker]), 0);
}

static void tell(struct fleet *f, uint32_t worker, int sig)
{
	ck_assert_int_eq((int)syscall(SYS_pidfd_send_signal, f->worker[worker].pidfd, sig, NULL, 0),
			 0);
}

static void await_death(struct fleet *f, uint32_t worker)
{
	struct pollfd p = { .fd = f->worker[worker].pidfd, .events = POLLIN };

	ck_assert_int_eq(poll(&p, 1, LIMIT_S * 1000), 1);
}

static bool is_alive(const struct fleet *f, uint32_t worker)
{
	struct pollfd p = { .fd = f->worker[worker].pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

static void assign(struct fleet *f, uint32_t partition, uint32_t worker)
{
	ck_assert_int_gt(rk_part_assign(f->m, partition, worker), 0);
	rk_part_route(f->m, partition, worker, RK_ROUTE_UP);
	rk_bell_ring_partition(f->m, worker, partition);
}

/* What the supervisor does when a death is confirmed; its partitions go to `heir`. */
static void bury(struct fleet *f, uint32_t worker, uint32_t heir, bool charge)
{
	const struct rk_dead_cause cause = { .verdict = RK_CAUSE_CRASHED,
					     .code = CLD_EXITED,
					     .status = 9 };
	uint32_t partition;
	uint64_t job;

	rk_deliver_sweep(f->m, worker);
	rk_dead_sweep(f->m, worker);
	rk_evict_bury(f->m, worker);
	if (charge && rk_part_blame(f->m, worker, &partition, &job)) {
		rk_part_charge(f->m, partition, job);
		rk_dead_cause(f->m, partition, job, &cause);
	}
	for (uint32_t p = 0; p < PARTITIONS; p++)
		if (rk_owner_worker(atomic_load_explicit(&rk_shm_part(f->m, p)->owner,
							 memory_order_acquire)) == worker)
			assign(f, p, heir);
	rk_beat_reset_lease(rk_shm_beat(f->m, worker));
	rk_close_p(&f->worker[worker].pidfd);
	rk_close_p(&f->worker[worker].gate);
}

static struct fleet *open_fleet(void)
{
	static char path[256];
	static char *argv[] = { path, NULL };
	static const struct rk_fleet_options options = { .exec = { .at = argv, .n = 1 },
							 .nice = RK_NICE_KEEP };
	struct fleet *f = calloc(1, sizeof(*f));
	struct rk_geometry g;
	struct rk_err err = { 0 };

	rk_geometry_default(&g);
	g.n_partitions = PARTITIONS;
	g.n_workers = WORKERS;
	g.n_banks = 3;
	g.n_dead = 2;
	ck_assert_msg(rk_segments_create(&f->s, &g, &err) == 0, "%s", err.text);
	f->m = &f->s.m;
	atomic_store_explicit(&f->m->board->dead_after, 2, memory_order_relaxed);
	atomic_store_explicit(&rk_shm_client_ids(f->m)[0], 7, memory_order_release);
	f->client = (struct rk_caller){ .m = f->m, .page = 0, .id = 7 };
	f->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const int fds[RK_SPAWN_FDS] = { f->s.fd_read[RK_SEGMENT_BOARD], f->s.fd[RK_SEGMENT_BEATS],
					f->s.fd[RK_SEGMENT_CALLS],      f->s.fd[RK_SEGMENT_QUEUES],
					f->s.fd[RK_SEGMENT_PARTS],      f->s.fd[RK_SEGMENT_STATE],
					f->s.fd[RK_SEGMENT_DEAD],       f->news,
					f->s.fd[RK_SEGMENT_READERS] };

	(void)snprintf(path, sizeof(path), "%s/tests/system/test_worker", build_dir());
	ck_assert_msg(rk_spawn_init(&f->spawn, "handover", "handover", &options, fds, false, &err) == 0, "%s", err.text);
	for (uint32_t p = 0; p < PARTITIONS; p++)
		assign(f, p, 0);
	for (uint32_t w = 0; w < WORKERS; w++)
		start(f, w);
	return f;
}

static void close_fleet(struct fleet *f)
{
	for (uint32_t w = 0; w < WORKERS; w++)
		if (f->worker[w].pidfd >= 0 && is_alive(f, w)) {
			tell(f, w, SIGKILL);
			await_death(f, w);
		}
	rk_spawn_close(&f->spawn);
	rk_segments_close(&f->s);
	free(f);
}

static struct rk_call begin(struct fleet *f, uint32_t slot, uint32_t partition, const char *body)
{
	const struct rk_call_request request = { .key = "k",
						 .key_len = 1,
						 .body = body,
						 .len = (uint32_t)strlen(body),
						 .partition = partition };
	struct rk_call call;

	ck_assert_int_eq(rk_call_start(&f->client, slot, &request, &call), RK_CALL_STARTED);
	return call;
}

/* Waits for the answer as a client does, and for ever. */
static int await_answer(struct fleet *f, struct rk_call *call, char text[static 32])
{
	struct rk_call_reply reply;

	for (;;) {
		uint32_t cell = call->cell;
		_Atomic uint32_t *bell = &rk_shm_cell(f->m, cell)->bell;
		uint32_t word = rk_bell_park(bell);
		enum rk_call_state state = rk_call_look(&f->client, call);

		if (state == RK_CALL_DONE)
			break;
		ck_assert_int_ne(state, RK_CALL_NOT_APPLIED);
		if (call->cell == cell)
			(void)rk_bell_wait(bell, word, 0);
	}
	rk_call_reply(&f->client, call, &reply);
	(void)snprintf(text, 32, "%.*s", (int)rk_min_u32(reply.len, 31), (const char *)reply.bytes);
	rk_call_release(&f->client, call);
	return reply.error;
}

static void expect(struct fleet *f, uint32_t partition, const char *body, int error,
		   const char *text)
{
	struct rk_call call = begin(f, 0, partition, body);
	char answer[32];

	ck_assert_int_eq(await_answer(f, &call, answer), error);
	ck_assert_str_eq(answer, text);
}

/* Until the worker has told that it released the partition. */
static void await_release(struct fleet *f, uint32_t partition)
{
	struct pollfd p = { .fd = f->news, .events = POLLIN };
	uint64_t n;

	while (!rk_part_is_released(f->m, partition)) {
		ck_assert_int_eq(poll(&p, 1, LIMIT_S * 1000), 1);
		(void)!read(f->news, &n, sizeof(n));
	}
}

START_TEST(a_partition_goes_from_one_running_worker_to_another_and_back)
{
	struct fleet *f = open_fleet();
	char text[32];

	for (unsigned int n = 1; n <= 20; n++) {
		uint32_t to = n % 2;

		(void)snprintf(text, sizeof(text), "%u", n);
		expect(f, 1, "add", 0, text);
		ck_assert_int_eq(rk_part_ask(f->m, 1), 0);
		await_release(f, 1);
		assign(f, 1, to);
	}
	expect(f, 0, "add", 0, "1"); /* never moved */
	expect(f, 1, "get", 0, "20");
	ck_assert(is_alive(f, 0) && is_alive(f, 1));
	close_fleet(f);
}
END_TEST

START_TEST(one_that_never_opened_a_partition_gives_it_back_too)
{
	struct fleet *f = open_fleet();

	ck_assert_int_eq(rk_part_ask(f->m, 3), 0);
	await_release(f, 3);
	assign(f, 3, 1);
	expect(f, 3, "add", 0, "1");
	close_fleet(f);
}
END_TEST

START_TEST(a_stopped_workers_partition_goes_on_and_it_ends_when_it_wakes)
{
	struct fleet *f = open_fleet();
	struct rk_call call;
	char text[32];

	expect(f, 1, "add", 0, "1");
	expect(f, 0, "add", 0, "1");
	tell(f, 0, SIGSTOP);
	call = begin(f, 1, 1, "add");
	ck_assert_int_gt(rk_evict(f->m, 1, 1), 0);
	ck_assert_int_eq(await_answer(f, &call, text), 0);
	ck_assert_str_eq(text, "2");
	expect(f, 1, "add", 0, "3");
	tell(f, 0, SIGCONT);
	await_death(f, 0);
	bury(f, 0, 1, false);
	expect(f, 0, "add", 0, "2");
	/* And once more, back to where it was first: the bank it left is free again. */
	start(f, 0);
	expect(f, 1, "add", 0, "4");
	tell(f, 1, SIGSTOP);
	ck_assert_int_gt(rk_evict(f->m, 1, 0), 0);
	expect(f, 1, "add", 0, "5");
	close_fleet(f);
}
END_TEST

START_TEST(a_job_that_stops_its_worker_forever_is_undone_in_the_copy)
{
	struct fleet *f = open_fleet();
	struct rk_beat *beat = rk_shm_beat(f->m, 0);
	struct rk_call call;
	char text[32];

	expect(f, 2, "add", 0, "1");
	call = begin(f, 1, 2, "stop"); /* has added when it stops */
	while (atomic_load_explicit(&beat->state, memory_order_acquire) != RK_BEAT_RUNNING)
		(void)sched_yield();
	ck_assert_int_gt(rk_evict(f->m, 2, 1), 0);
	/* The successor runs it anew, and stops in it too; then it is allowed to go on. */
	while (atomic_load_explicit(&rk_shm_beat(f->m, 1)->state, memory_order_acquire) !=
	       RK_BEAT_RUNNING)
		(void)sched_yield();
	while (rk_call_look(&f->client, &call) != RK_CALL_DONE)
		tell(f, 1, SIGCONT);
	ck_assert_int_eq(await_answer(f, &call, text), 0);
	ck_assert_str_eq(text, "2");
	close_fleet(f);
}
END_TEST

START_TEST(a_poison_job_becomes_a_dead_letter_and_holds_up_nobody)
{
	struct fleet *f = open_fleet();
	_Alignas(8) char room[1032];
	struct rk_dead_letter l = { .bytes = room };
	struct rk_call poison, next;
	char text[32];

	expect(f, 1, "add", 0, "1");
	poison = begin(f, 1, 1, "exit 9");
	next = begin(f, 2, 1, "add");
	for (int death = 0; death < 2; death++) {
		await_death(f, 0);
		bury(f, 0, 0, true);
		start(f, 0);
	}
	ck_assert_int_eq(await_answer(f, &poison, text), -ENOTRECOVERABLE);
	ck_assert_int_eq(await_answer(f, &next, text), 0);
	ck_assert_str_eq(text, "2");
	ck_assert(is_alive(f, 0));
	ck_assert(rk_dead_look(f->m, 0, &l));
	ck_assert_uint_eq(l.attempts, 2);
	ck_assert_int_eq(l.cause.verdict, RK_CAUSE_CRASHED);
	ck_assert_int_eq(l.cause.status, 9);
	ck_assert_uint_gt(l.realtime_ns, 0);
	ck_assert_mem_eq(room, "kexit 9", 7);
	close_fleet(f);
}
END_TEST

START_TEST(a_full_table_blocks_its_partition_alone_until_a_letter_is_dropped)
{
	struct fleet *f = open_fleet();
	_Alignas(8) char room[1032];
	struct rk_dead_letter l = { .bytes = room };
	struct rk_call third;
	char text[32];

	expect(f, 1, "retry 100", -ENOTRECOVERABLE, "");
	expect(f, 2, "retry 100", -ENOTRECOVERABLE, "");
	third = begin(f, 1, 1, "retry 100");
	while (!rk_dead_is_blocked(f->m, 1))
		(void)sched_yield();
	expect(f, 2, "add", 0, "1");
	ck_assert(rk_dead_look(f->m, 0, &l));
	ck_assert_int_eq(rk_dead_free(f->m, 0, l.word), 0); /* rings it */
	ck_assert_int_eq(await_answer(f, &third, text), -ENOTRECOVERABLE);
	expect(f, 1, "add", 0, "1");
	close_fleet(f);
}
END_TEST

START_TEST(a_handler_that_asks_for_another_attempt_gets_it)
{
	struct fleet *f = open_fleet();

	expect(f, 1, "retry 1", 0, "1");
	expect(f, 1, "add", 0, "2");
	close_fleet(f);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("handover");

	tcase_set_timeout(c, LIMIT_S);
	tcase_add_test(c, a_partition_goes_from_one_running_worker_to_another_and_back);
	tcase_add_test(c, one_that_never_opened_a_partition_gives_it_back_too);
	tcase_add_test(c, a_stopped_workers_partition_goes_on_and_it_ends_when_it_wakes);
	tcase_add_test(c, a_job_that_stops_its_worker_forever_is_undone_in_the_copy);
	tcase_add_test(c, a_poison_job_becomes_a_dead_letter_and_holds_up_nobody);
	tcase_add_test(c, a_full_table_blocks_its_partition_alone_until_a_letter_is_dropped);
	tcase_add_test(c, a_handler_that_asks_for_another_attempt_gets_it);
	return unit_run(c);
}
