/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A job that kills its worker again and again, by a crash, by a hang or by all the memory
 *         that there is for it, is quarantined after DeadLetterAfter attempts, alone and inside a
 *         batch; its client is told, and told again; and everybody else goes on. That nobody else
 *         is charged is test_innocents.c's.
 * Method  Real fleets of tests/system/hang_worker, whose jobs misbehave in every process; the dead
 *         letters as a reader of the fleet maps them, the event log as the command prints it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "tests/system/deaths.h"
#include "tests/unit/unit.h"

#define LIMITED "--limit-as=160M" /* a worker has 60 MiB: its program, segments and state */
#define WORKERS 3
#define NEIGHBORS 10 /* jobs of each worker that surround one that takes all memory */

static struct deaths d;

static const struct {
	const char *options[6];
	const char *worker, *body;
	bool has_thread; /* the job thread is not the process's first */
	uint32_t after;
	enum rk_dead_verdict verdict;
	int code, status;
} poisons[] = {
	{ { 0 }, NULL, "always crash", false, 3, RK_CAUSE_CRASHED, CLD_KILLED, SIGSEGV },
	{ { "--dead-letter-after=1" },
	  NULL,
	  "always crash",
	  false,
	  1,
	  RK_CAUSE_CRASHED,
	  CLD_KILLED,
	  SIGSEGV },
	{ { "--dead-letter-after=5", "--dead-letters=1" },
	  NULL,
	  "always exit",
	  false,
	  5,
	  RK_CAUSE_CRASHED,
	  CLD_EXITED,
	  9 },
	{ { "--hang-after=300ms" },
	  NULL,
	  "always loop",
	  false,
	  3,
	  RK_CAUSE_LOOPING,
	  CLD_KILLED,
	  SIGKILL },
	{ { "--hang-after=300ms" },
	  NULL,
	  "always deadlock",
	  false,
	  3,
	  RK_CAUSE_HUNG,
	  CLD_KILLED,
	  SIGKILL },
	{ { "--hang-after=300ms", "--core-timeout=20s" },
	  NULL,
	  "always deadlock",
	  false,
	  3,
	  RK_CAUSE_HUNG,
	  CLD_KILLED,
	  SIGABRT },
	{ { "--job-timeout=200ms" },
	  NULL,
	  "always deadlock",
	  false,
	  3,
	  RK_CAUSE_DEADLINE,
	  CLD_KILLED,
	  SIGKILL },
	{ { LIMITED }, NULL, "always exhaust", false, 3, RK_CAUSE_CRASHED, CLD_KILLED, SIGABRT },
	{ { LIMITED },
	  NULL,
	  "always exhaust unchecked",
	  false,
	  3,
	  RK_CAUSE_CRASHED,
	  CLD_KILLED,
	  SIGSEGV },
	{ { "--limit-stack=1M" },
	  NULL,
	  "always recurse",
	  false,
	  3,
	  RK_CAUSE_CRASHED,
	  CLD_KILLED,
	  SIGSEGV },
	{ { 0 }, "tests/system/test_worker", "exit 9", true, 3, RK_CAUSE_CRASHED, CLD_EXITED, 9 },
};

/* The only letter; its cause may come a moment behind the client's answer. */
static struct rk_dead_letter letter_await(char room[static DEATHS_LETTER_SIZE])
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	struct rk_dead_letter l;

	do {
		ck_assert_uint_eq(deaths_letters(&d, &l, room), 1);
		ck_assert(rk_clock_ns() < end_ns);
	} while (l.cause.code == 0);
	return l;
}

static void assert_letter(int i)
{
	char room[DEATHS_LETTER_SIZE];
	struct rk_dead_letter l = letter_await(room);

	ck_assert_uint_eq(l.attempts, poisons[i].after);
	ck_assert_uint_eq(l.job, 1);
	ck_assert_uint_eq(l.key_len, 1);
	ck_assert_str_eq((const char *)l.bytes + l.key_len, poisons[i].body);
	ck_assert_int_eq(l.cause.verdict, poisons[i].verdict);
	if (l.cause.code == CLD_DUMPED)
		l.cause.code = CLD_KILLED; /* as the machine's limits have it */
	ck_assert_int_eq(l.cause.code, poisons[i].code);
	ck_assert_int_eq(l.cause.status, poisons[i].status);
	ck_assert_uint_gt(l.realtime_ns, 0);
}

START_TEST(a_job_that_kills_its_worker_is_quarantined_and_its_partition_goes_on)
{
	struct rk_request request = deaths_job("k", poisons[_i].body);
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	if (poisons[_i].has_thread)
		ck_assert_int_eq(setenv("RK_TEST_THREAD", "1", 1), 0);
	deaths_start(&d, 1, poisons[_i].options, poisons[_i].worker);
	ck_assert_int_eq(unsetenv("RK_TEST_THREAD"), 0);
	c = fleet_client(NULL);
	deaths_assert_added(c, "k", "1");
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_FAILED);
	ck_assert_int_eq(reply.error, RK_QUARANTINED);
	rk_reply_release(c, &reply);
	assert_letter(_i);
	deaths_assert_added(c, "k", "2"); /* of its own changes nothing is left */
	deaths_events(&d, "response,quarantine");
	deaths_assert_told_or_more(&d, "job charged", poisons[_i].after);
	deaths_assert_told(&d, "quarantined job=1 ", 1);
	deaths_events(&d, "transition"); /* of deaths in a rush not each is told */
	deaths_assert_told_or_more(&d, "action=recover", poisons[_i].after);
	rk_client_close(c);
	deaths_stop(&d);
}
END_TEST

START_TEST(its_client_is_told_again_also_in_its_next_process)
{
	struct rk_request request = deaths_job("k", "always crash");
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	deaths_start(&d, 1, NULL, NULL);
	c = fleet_client("teller");
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	for (int process = 0; process < 3; process++) {
		ck_assert_int_eq(rk_next(c, FLEET_WAIT_MS, &reply), RK_FAILED);
		ck_assert_int_eq(reply.error, RK_QUARANTINED);
		ck_assert_int_eq(rk_wait(c, &reply, 0), RK_FAILED);
		ck_assert_int_eq(reply.error, RK_QUARANTINED);
		rk_client_close(c); /* the reply is not released */
		c = fleet_client("teller");
		memset(&reply, 0, sizeof(reply));
	}
	ck_assert_int_eq(rk_next(c, FLEET_WAIT_MS, &reply), RK_FAILED);
	rk_reply_release(c, &reply);
	ck_assert_int_eq(rk_next(c, 0, &reply), RK_EMPTY);
	deaths_events(&d, "transition"); /* of deaths in a rush not each is told */
	deaths_assert_told_or_more(&d, "action=recover", 3); /* it never ran again */
	rk_client_close(c);
	deaths_stop(&d);
}
END_TEST

static const struct {
	const char *body, *option;
	enum rk_dead_verdict verdict;
} batch_poisons[] = {
	{ "always crash", "--hang-after=10s", RK_CAUSE_CRASHED },
	{ "always deadlock", "--hang-after=300ms", RK_CAUSE_HUNG },
	{ "always exhaust", LIMITED, RK_CAUSE_CRASHED },
};

START_TEST(inside_a_batch_it_alone_is_charged)
{
	const char *const options[] = { "--batch=64", batch_poisons[_i].option, NULL };
	struct rk_request add = deaths_job("k", "add"), slow = deaths_job("k", "sleep 200"),
			  poison = deaths_job("k", batch_poisons[_i].body);
	struct rk_reply reply = { 0 };
	char room[DEATHS_LETTER_SIZE];
	uint32_t n_done = 0, n_quarantined = 0;
	struct rk_client *c;
	int r;

	deaths_start(&d, 1, options, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call_async(c, &slow),
			 0); /* the others gather behind it, as one batch */
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(rk_call_async(c, i == 5 ? &poison : &add), 0);
	while ((r = rk_next(c, 3 * FLEET_WAIT_MS, &reply)) != RK_EMPTY) {
		n_done += r == RK_DONE;
		n_quarantined += r == RK_FAILED && reply.error == RK_QUARANTINED;
		rk_reply_release(c, &reply);
	}
	ck_assert_uint_eq(n_done, 10);
	ck_assert_uint_eq(n_quarantined, 1);
	ck_assert_int_eq(letter_await(room).cause.verdict, batch_poisons[_i].verdict);
	deaths_assert_added(c, "k", "11");
	deaths_events(&d, "response,quarantine");
	deaths_assert_told_or_more(&d, "job charged", 3);
	deaths_assert_told_or_more(&d, "job charged job=6 ", 2);
	rk_client_close(c);
	deaths_stop(&d);
}
END_TEST

/* Adds for each worker, and among those of the first one job that is poison. */
static void send_around(struct rk_client *c, char keys[][16], const char *poison)
{
	for (int i = 0; i < NEIGHBORS; i++) {
		struct rk_request request;

		for (int w = 0; w < WORKERS; w++) {
			request = deaths_job(keys[w], "add");
			ck_assert_int_eq(rk_call_async(c, &request), 0);
		}
		request = deaths_job(keys[0], poison);
		if (i == NEIGHBORS / 2)
			ck_assert_int_eq(rk_call_async(c, &request), 0);
	}
}

static const char *const batches[] = { "--batch=1", "--batch=64" };

START_TEST(one_that_takes_all_memory_costs_its_neighbors_nothing)
{
	const char *const options[] = { batches[_i], LIMITED, "--slots=64", NULL };
	uint32_t n_done = 0, n_quarantined = 0;
	struct rk_reply reply = { 0 };
	char keys[WORKERS][16], room[DEATHS_LETTER_SIZE], sum[16];
	struct rk_client *c;
	int r;

	deaths_start(&d, WORKERS, options, NULL);
	c = fleet_client(NULL);
	deaths_keys(c, WORKERS, keys);
	send_around(c, keys, "always exhaust");
	while ((r = rk_next(c, 3 * FLEET_WAIT_MS, &reply)) != RK_EMPTY) {
		n_done += r == RK_DONE;
		n_quarantined += r == RK_FAILED && reply.error == RK_QUARANTINED;
		rk_reply_release(c, &reply);
	}
	ck_assert_uint_eq(n_done, NEIGHBORS * WORKERS);
	ck_assert_uint_eq(n_quarantined, 1);
	ck_assert_uint_eq(letter_await(room).attempts, 3);
	deaths_assert_nobody_charged(&d);
	(void)snprintf(sum, sizeof(sum), "%d", NEIGHBORS + 1);
	for (int w = 0; w < WORKERS; w++)
		deaths_assert_added(c, keys[w], sum);
	deaths_events(&d, "response,quarantine");
	deaths_assert_told_or_more(&d, "job charged", 3);
	rk_client_close(c);
	deaths_stop(&d);
}
END_TEST

START_TEST(a_full_table_holds_up_the_next_ones_partition_alone)
{
	static const char *const options[] = { "--dead-letters=1", "--dead-letter-after=1",
					       "--partitions=64", NULL };
	struct rk_request first = deaths_job("k", "always crash"),
			  second = deaths_job("a", "always crash");
	struct rk_reply reply = { 0 };
	struct rk_dead_letter l;
	struct rk_client *c;
	char room[DEATHS_LETTER_SIZE];

	deaths_start(&d, 1, options, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call(c, &first, &reply), RK_FAILED);
	ck_assert_int_eq(reply.error, RK_QUARANTINED);
	rk_reply_release(c, &reply);
	second.timeout_ms = 500;
	ck_assert_int_eq(rk_call(c, &second, &reply), RK_UNKNOWN);
	ck_assert(rk_dead_is_blocked(&d.look.m, reply.partition));
	ck_assert_uint_eq(deaths_letters(&d, &l, room), 1);
	deaths_assert_added(c, "k", "1");
	rk_client_close(c);
	deaths_stop(&d);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("poison");

	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, a_job_that_kills_its_worker_is_quarantined_and_its_partition_goes_on,
			    0, (int)rk_countof(poisons));
	tcase_add_test(c, its_client_is_told_again_also_in_its_next_process);
	tcase_add_loop_test(c, inside_a_batch_it_alone_is_charged, 0,
			    (int)rk_countof(batch_poisons));
	tcase_add_loop_test(c, one_that_takes_all_memory_costs_its_neighbors_nothing, 0,
			    (int)rk_countof(batches));
	tcase_add_test(c, a_full_table_holds_up_the_next_ones_partition_alone);
	return unit_run(c);
}
