/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a program with an event loop of its own is as good a worker as one that calls
 *         rk_worker_main(): it serves, sleeps, stops when told, and is succeeded wherever it is
 *         killed. And what handlers have: the arena, and jobs that are given up.
 * Method  fleets of tests/system/test_worker, whose loop has a timer beside the worker's
 *         descriptor.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "shm/fault.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

static struct fleet fleet;

static int call(struct rk_client *c, const char *key, const char *body, unsigned long *ret_n,
		int *ret_error)
{
	struct rk_request request = {
		.key = key, .body = body, .len = strlen(body), .timeout_ms = FLEET_WAIT_MS
	};
	struct rk_reply reply = { 0 };
	char text[32] = "";
	int r = rk_call_retry(c, &request, &reply);

	if (r == RK_DONE)
		memcpy(text, reply.body, reply.len < 31 ? reply.len : 31);
	*ret_n = strtoul(text, NULL, 10);
	*ret_error = reply.error;
	rk_reply_release(c, &reply);
	return r;
}

static unsigned long ask(struct rk_client *c, const char *key, const char *body)
{
	unsigned long n;
	int error, r = call(c, key, body, &n, &error);

	ck_assert_msg(r == RK_DONE, "%s %s: %s, error %d", key, body, rk_outcome_text(r), error);
	return n;
}

static int error_of(struct rk_client *c, const char *body)
{
	unsigned long n;
	int error;

	ck_assert_int_eq(call(c, "k", body, &n, &error), RK_FAILED);
	return error;
}

static struct rk_client *start(int n_workers, bool loop)
{
	if (loop)
		ck_assert_int_eq(setenv("RK_TEST_LOOP", "1", 1), 0);
	fleet_start(&fleet, n_workers, NULL, NULL);
	return fleet_client(NULL);
}

static void stop(struct rk_client *c)
{
	rk_client_close(c);
	fleet_stop(&fleet);
}

/* The living process that owns a key, once the board names it. Never 0 or -1, which kill() takes
 * for many. */
static int pid_of(struct rk_client *c, const char *key)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	uint32_t partition, worker;
	int pid;

	do {
		ck_assert(rk_clock_ns() < end_ns);
		ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &pid),
				 0);
	} while (pid <= 0 || !fleet_lives(pid));
	return pid;
}

static uint32_t partition_of(struct rk_client *c, const char *key)
{
	uint32_t partition, worker;
	int pid;

	ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &pid), 0);
	ck_assert_uint_lt(partition, 256);
	return partition;
}

/* ---- the loop ---- */

START_TEST(a_program_with_its_own_loop_serves_and_does_its_other_work)
{
	struct rk_client *c = start(2, true);
	unsigned long n = 0, counts[256] = { 0 }; /* by partition: two keys may share one */

	for (int i = 0; i < 200; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i % 10);
		ck_assert_uint_eq(ask(c, key, "add"), ++counts[partition_of(c, key)]);
	}
	/* Its timer ticks, with or without jobs; each call finds the worker asleep in epoll. */
	while (n < 10) {
		(void)poll(NULL, 0, 7);
		n = ask(c, "k1", "ticks");
	}
	(void)ask(c, "k1", "nested"); /* its own handler may not call the loop */
	stop(c);
}
END_TEST

START_TEST(many_calls_at_once_are_all_handled_a_round_at_a_time)
{
	static const char *const options[] = { "--slots", "600", "--max-clients", "4", "--dedup",
					       "600",     NULL };
	unsigned long counts[256] = { 0 };
	struct rk_client *c;
	uint64_t n_failed;

	ck_assert_int_eq(setenv("RK_TEST_LOOP", "1", 1), 0);
	fleet_start(&fleet, 1, options, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(kill(fleet.worker[0], SIGSTOP), 0);
	fleet_await_state(fleet.worker[0], 'T');
	for (unsigned long i = 0; i < 600;
	     i++) { /* more than rk_worker_next() takes at once, over several partitions */
		char key[16];

		snprintf(key, sizeof(key), "k%lu", i % 6);
		ck_assert_int_eq(rk_submit(c, &(struct rk_request){ .key = key,
								    .body = "add",
								    .len = 3 }),
				 0);
		counts[partition_of(c, key)]++;
	}
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	ck_assert_int_eq(rk_flush(c, FLEET_WAIT_MS, &n_failed), 0);
	for (int i = 0; i < 6; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		ck_assert_uint_eq(ask(c, key, "get"), counts[partition_of(c, key)]);
	}
	stop(c);
}
END_TEST

START_TEST(a_program_with_its_own_loop_stops_when_told)
{
	static const char *const options[] = { "--stop-timeout", "15s", NULL };
	struct rk_client *c;
	uint64_t start_ns;

	ck_assert_int_eq(setenv("RK_TEST_LOOP", "1", 1), 0);
	if (_i) /* the job thread is not the one that signals go to */
		ck_assert_int_eq(setenv("RK_TEST_THREAD", "1", 1), 0);
	fleet_start(&fleet, 2, options, NULL);
	c = fleet_client(NULL);
	ck_assert_uint_eq(ask(c, "k", "add"), 1);
	rk_client_close(c);
	start_ns = rk_clock_ns();
	fleet_stop(&fleet);
	ck_assert_uint_lt(rk_clock_ns() - start_ns,
			  10 * RK_NS_PER_S); /* not by the time-out's SIGKILL */
}
END_TEST

/* Every point on a worker's way through a job, and through its start. */
static const enum rk_kill_point points[] = {
	RK_KP_OWNER_INIT,      RK_KP_OWNER_ROLLED,    RK_KP_OWNER_TAKEN,    RK_KP_STATE_SAVED,
	RK_KP_OWNER_RAN,       RK_KP_OWNER_COMMITTED, RK_KP_OWNER_RELEASED, RK_KP_DELIVER_DECLARED,
	RK_KP_DELIVER_WRITING, RK_KP_DELIVER_DONE,    RK_KP_DELIVER_HELPED, RK_KP_DELIVER_RECYCLED,
};

START_TEST(a_loop_killed_anywhere_is_succeeded_by_one_that_goes_on)
{
	struct rk_client *c;
	char armed[64];

	snprintf(armed, sizeof(armed), "%s:%d", rk_kill_point_name(points[_i]), _i < 2 ? 1 : 7);
	ck_assert_int_eq(setenv("RK_TEST_KILL_POINT", armed, 1), 0);
	c = start(1, true);
	for (unsigned long i = 1; i <= 20; i++)
		ck_assert_uint_eq(ask(c, "k", "add"), i);
	fleet_await_line(&fleet, "SIGKILL"); /* it did die */
	stop(c);
}
END_TEST

START_TEST(calls_survive_a_loop_killed_again_and_again)
{
	struct rk_client *c = start(1, true);
	int n_kills = 0, last = 0;

	for (unsigned long i = 1; i <= 1000; i++) {
		ck_assert_uint_eq(ask(c, "k", "add"), i);
		if (i % 50 == 0) {
			int pid = pid_of(c, "k");

			if (pid != last) {
				n_kills += kill(pid, SIGKILL) == 0;
				last = pid;
			}
		}
	}
	ck_assert_int_ge(n_kills, 10);
	stop(c);
}
END_TEST

/* ---- what handlers have ---- */

START_TEST(blocks_of_the_arena_live_on_in_the_next_worker)
{
	struct rk_client *c;
	unsigned long n = 0;
	int pid;

	if (_i) /* and are no writes without touch */
		ck_assert_int_eq(setenv("RK_CHECK", "1", 1), 0);
	c = start(1, false);
	(void)ask(c, "k", "add");
	while (n < 5) {
		pid = pid_of(c, "k");
		(void)ask(c, "k", "keep 20");
		n++;
		ck_assert_uint_eq(ask(c, "k", "kept"), n);
		ck_assert_int_eq(pid_of(c, "k"), pid); /* one that RK_CHECK ends is succeeded by one
							  that finds nothing */
		if (n % 2) {
			ck_assert_int_eq(kill(pid, SIGKILL), 0);
			fleet_await_line(&fleet, "SIGKILL");
		}
		ck_assert_uint_eq(ask(c, "k", "kept"), n);
	}
	pid = pid_of(c, "k");
	ck_assert_int_eq(error_of(c, "keep 3000"), -ENOSPC);  /* the arena has no such room */
	ck_assert_int_eq(error_of(c, "drop twice"), -EFAULT); /* and is undone as a whole */
	ck_assert_uint_eq(ask(c, "k", "kept"), 5);
	for (; n > 0; n--) {
		(void)ask(c, "k", "drop");
		ck_assert_uint_eq(ask(c, "k", "kept"), n - 1);
	}
	(void)ask(c, "k", "keep 900"); /* it is one piece again */
	ck_assert_int_eq(pid_of(c, "k"), pid);
	stop(c);
}
END_TEST

static const struct {
	const char *body;
	const char *point; /* NULL: the worker lives, and asks for another attempt itself */
} reruns[] = {
	{ "add", "OWNER_RAN:1" },
	{ "keep 20", "OWNER_RAN:1" },
	{ "keep 20", "STATE_SAVED:3" },
	{ "retry 2", NULL },
};

/* What it saves was saved by the run before: the log does not grow, and yet it was touched. */
START_TEST(rk_check_blames_no_job_that_runs_again)
{
	struct rk_client *c;
	int pid;

	ck_assert_int_eq(setenv("RK_CHECK", "1", 1), 0);
	if (reruns[_i].point)
		ck_assert_int_eq(setenv("RK_TEST_KILL_POINT", reruns[_i].point, 1), 0);
	c = start(1, false);
	(void)ask(c, "k", reruns[_i].body);
	if (reruns[_i].point)
		fleet_await_line(&fleet, "SIGKILL");
	pid = pid_of(c, "k");
	(void)ask(c, "k", "add");
	ck_assert_int_eq(pid_of(c, "k"), pid);
	stop(c);
}
END_TEST

START_TEST(rk_check_names_a_write_past_a_block)
{
	struct rk_request request = { .key = "k", .body = "overrun", .len = 7, .timeout_ms = 1000 };
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	ck_assert_int_eq(setenv("RK_CHECK", "1", 1), 0);
	c = start(1, false);
	(void)ask(c, "k", "keep 16");
	ck_assert_int_ne(rk_call(c, &request, &reply), RK_DONE);
	fleet_await_line(&fleet, "wrote past a block");
	rk_client_close(c);
	ck_assert_int_eq(kill(fleet.keeper, SIGTERM), 0);
	(void)fleet_reap(&fleet);
}
END_TEST

START_TEST(a_damaged_arena_fails_its_jobs_and_no_others)
{
	struct rk_client *c = start(1, false);

	(void)ask(c, "k", "keep 16");
	(void)ask(c, "k", "overrun"); /* the block's own words and the next one's head */
	ck_assert_int_eq(error_of(c, "keep 16"), -EUCLEAN);
	ck_assert_int_eq(error_of(c, "keep 16"), -EUCLEAN);
	ck_assert_uint_eq(ask(c, "k", "add"), 1);
	ck_assert_int_eq(pid_of(c, "k"), fleet.worker[0]);
	stop(c);
}
END_TEST

START_TEST(a_job_past_its_deadline_knows_it_and_is_undone)
{
	struct rk_request request = { .key = "k", .body = "cancel", .len = 6, .timeout_ms = 100 };
	struct rk_reply reply = { 0 };
	struct rk_client *c = start(1, false);
	int r = rk_call(c, &request, &reply);

	if (r == RK_UNKNOWN)
		r = rk_wait(c, &reply, FLEET_WAIT_MS);
	ck_assert_msg(r == RK_FAILED, "%s", rk_outcome_text(r));
	ck_assert_int_eq(reply.error, -ETIMEDOUT);
	rk_reply_release(c, &reply);
	ck_assert_uint_eq(ask(c, "k", "get"), 0);
	stop(c);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("loop");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_program_with_its_own_loop_serves_and_does_its_other_work);
	tcase_add_test(c, many_calls_at_once_are_all_handled_a_round_at_a_time);
	tcase_add_loop_test(c, a_program_with_its_own_loop_stops_when_told, 0, 2);
	tcase_add_loop_test(c, a_loop_killed_anywhere_is_succeeded_by_one_that_goes_on, 0,
			    rk_countof(points));
	tcase_add_test(c, calls_survive_a_loop_killed_again_and_again);
	tcase_add_loop_test(c, blocks_of_the_arena_live_on_in_the_next_worker, 0, 2);
	tcase_add_loop_test(c, rk_check_blames_no_job_that_runs_again, 0, rk_countof(reruns));
	tcase_add_test(c, rk_check_names_a_write_past_a_block);
	tcase_add_test(c, a_damaged_arena_fails_its_jobs_and_no_others);
	tcase_add_test(c, a_job_past_its_deadline_knows_it_and_is_undone);
	return unit_run(c);
}
