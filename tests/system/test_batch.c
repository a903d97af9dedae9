/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    batches change nothing but the number of commits: whatever is killed, each job is
 *         applied once; what was asked for, by --batch or REKINDLE_BATCH, is what is done; and
 *         what a death left unfinished is run again one job per commit.
 * Method  real fleets of tests/system/test_worker. A job that stops its worker in the middle of a
 *         batch shows what is committed by then: finished_jobs of 'rekindle status'.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "shm/owner.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

static struct fleet fleet;

static struct rk_request job(const char *body)
{
	return (struct rk_request){ .key = "k", .body = body, .len = strlen(body), .timeout_ms = RK_TIMEOUT_NONE };
}

static unsigned long add(struct rk_client *c)
{
	struct rk_request request = job("add");
	struct rk_reply reply = { 0 };
	char text[24] = "";

	ck_assert_int_eq(rk_call_retry(c, &request, &reply), RK_DONE);
	memcpy(text, reply.body, reply.len < 23 ? reply.len : 23);
	rk_reply_release(c, &reply);
	return strtoul(text, NULL, 10);
}

static int64_t n_finished(void)
{
	struct json_object *status = fleet_status();
	int64_t n = json_object_get_int64(fleet_member(status, "finished_jobs", NULL));

	json_object_put(status);
	return n;
}

/* The worker's pid when it is not this one. */
static pid_t successor(struct rk_client *c, pid_t of)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	uint32_t partition, worker;
	int pid;

	do {
		ck_assert(rk_clock_ns() < end_ns);
		ck_assert_int_eq(rk_client_where(c, "k", 1, &partition, &worker, &pid), 0);
	} while (pid <= 0 || pid == of);
	return pid;
}

/* Three jobs, one that stops the worker, two more: all queued before it looks. */
static void queue_six(struct rk_client *c)
{
	static const char *const bodies[] = { "add", "add", "add", "stop", "add", "add" };

	ck_assert_int_eq(kill(fleet.worker[0], SIGSTOP), 0);
	fleet_await_state(fleet.worker[0], 'T');
	for (size_t i = 0; i < 6; i++) {
		struct rk_request request = job(bodies[i]);

		ck_assert_int_eq(rk_call_async(c, &request), 0);
	}
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	fleet_await_state(fleet.worker[0], 'T');
}

static void collect_six(struct rk_client *c)
{
	struct rk_reply reply = { 0 };

	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(rk_next(c, FLEET_WAIT_MS, &reply), RK_DONE);
	ck_assert_int_eq(rk_next(c, 0, &reply), RK_EMPTY);
}

static const struct {
	const char *option, *environment;
	int64_t n_committed; /* of the three before the one that stops */
} rows[] = { { NULL, NULL, 3 }, { "8", NULL, 0 }, { NULL, "8", 0 }, { "1", "8", 3 }, { "2", NULL, 2 } };

START_TEST(what_was_asked_for_is_committed_at_once_and_after_a_death_one_by_one)
{
	const char *const options[] = { "--batch", rows[_i].option, NULL };
	struct rk_client *c;
	int64_t before;
	pid_t next;

	if (rows[_i].environment)
		ck_assert_int_eq(setenv("REKINDLE_BATCH", rows[_i].environment, 1), 0);
	fleet_start(&fleet, 1, rows[_i].option ? options : NULL, NULL);
	c = fleet_client(NULL);
	for (unsigned long i = 1; i <= RK_BATCH_MAX; i++) /* behind a start too they are run one by one */
		ck_assert_uint_eq(add(c), i);
	before = n_finished();
	queue_six(c);
	ck_assert_int_eq(n_finished() - before, rows[_i].n_committed);
	ck_assert_int_eq(kill(fleet.worker[0], SIGKILL), 0);
	next = successor(c, fleet.worker[0]);
	fleet_await_state(next, 'T');
	ck_assert_int_eq(n_finished() - before, 3);
	ck_assert_int_eq(kill(next, SIGCONT), 0);
	collect_six(c);
	ck_assert_uint_eq(add(c), RK_BATCH_MAX + 7);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

static const char *const sizes[] = { "1", "16", "256" };

/* Every answer is another number, and together they are 1 to the number of jobs. */
START_TEST(batched_jobs_are_applied_once_while_their_worker_is_killed)
{
	enum { JOBS = 20000, EVERY = 1000 };
	const char *const options[] = { "--batch", sizes[_i], "--slots", "64", NULL };
	struct rk_request request = job("add");
	struct rk_reply reply = { 0 };
	static bool seen[JOBS + 1];
	int n_sent = 0, n_kills = 0;
	struct rk_client *c;

	memset(seen, 0, sizeof(seen));
	fleet_start(&fleet, 1, options, NULL);
	c = fleet_client(NULL);
	for (int n = 0; n < JOBS; n++) {
		char text[24] = "";
		unsigned long number;

		while (n_sent < JOBS && rk_call_async(c, &request) == 0)
			n_sent++;
		if (n % EVERY == EVERY / 2)
			n_kills += fleet_kill_owner(c, "k");
		ck_assert_int_eq(rk_next(c, FLEET_WAIT_MS, &reply), RK_DONE);
		memcpy(text, reply.body, reply.len < 23 ? reply.len : 23);
		number = strtoul(text, NULL, 10);
		ck_assert(number >= 1 && number <= JOBS && !seen[number]);
		seen[number] = true;
	}
	ck_assert_uint_eq(add(c), JOBS + 1);
	ck_assert_int_ge(n_kills, JOBS / EVERY / 2);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("batch");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, what_was_asked_for_is_committed_at_once_and_after_a_death_one_by_one, 0,
			    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_loop_test(c, batched_jobs_are_applied_once_while_their_worker_is_killed, 0,
			    (int)(sizeof(sizes) / sizeof(sizes[0])));
	return unit_run(c);
}
