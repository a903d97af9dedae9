/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Jobs that are in flight when their workers end for what others did, people, neighbors or
 *         we ourselves, are not charged, and each is applied once.
 * Method  Real fleets of tests/system/hang_worker with a job under way on each worker, whose end
 *         is only then caused; the attempts, letters and events as a reader of the fleet sees them.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "tests/system/deaths.h"
#include "tests/unit/unit.h"

#define WORKERS 4
#define STORMS 5
#define LONE_KILLS 4

static struct deaths d;

START_TEST(jobs_whose_workers_are_killed_in_a_storm_are_not_charged)
{
	char keys[WORKERS][16];
	struct rk_reply reply = { 0 };
	struct rk_dead_letter l;
	struct rk_client *c;
	char room[DEATHS_LETTER_SIZE];
	int pid[WORKERS] = { 0 };

	deaths_start(&d, WORKERS, NULL, NULL);
	c = fleet_client(NULL);
	deaths_keys(c, WORKERS, keys);
	for (int i = 0; i < WORKERS; i++) {
		struct rk_request request = deaths_job(keys[i], "always sleep 2500");

		ck_assert_int_eq(rk_call_async(c, &request), 0);
	}
	for (int storm = 0; storm < STORMS; storm++) {
		for (int i = 0; i < WORKERS; i++)
			pid[i] = deaths_await_in_job(&d, c, keys[i], pid[i]);
		for (int i = 0; i < WORKERS; i++)
			ck_assert_int_eq(kill(pid[i], SIGKILL), 0);
	}
	for (int i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(rk_next(c, 3 * FLEET_WAIT_MS, &reply), RK_DONE);
		rk_reply_release(c, &reply);
	}
	ck_assert_uint_eq(deaths_letters(&d, &l, room), 0);
	deaths_events(&d, "response,quarantine");
	deaths_assert_told(&d, "quarantined", 0);
	deaths_assert_told(&d, "job charged", 0);
	ck_assert_uint_eq(deaths_count(&d, "it was one of several deaths") +
				  deaths_count(&d, "somebody killed the worker"),
			  STORMS * WORKERS);
	deaths_assert_nobody_charged(&d);
	rk_client_close(c);
	deaths_stop(&d);
}
END_TEST

START_TEST(a_job_whose_worker_is_killed_alone_again_and_again_is_not_charged)
{
	struct rk_request request = deaths_job("k", "always sleep 1500");
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	int pid = 0;

	deaths_start(&d, 1, NULL, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	for (int death = 0; death < LONE_KILLS; death++) {
		pid = deaths_await_in_job(&d, c, "k", pid);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
	}
	ck_assert_int_eq(rk_next(c, 3 * FLEET_WAIT_MS, &reply), RK_DONE);
	rk_reply_release(c, &reply);
	deaths_events(&d, "response,quarantine");
	deaths_assert_told(&d, "job charged", 0);
	deaths_assert_told(&d, "somebody killed the worker", LONE_KILLS);
	rk_client_close(c);
	deaths_stop(&d);
}
END_TEST

START_TEST(a_job_that_people_stop_whose_worker_is_then_killed_by_us_is_not_charged)
{
	static const char *const options[] = { "--on-paused=kill", NULL };
	struct rk_request request = deaths_job("k", "always sleep 1500");
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	int pid = 0;

	deaths_start(&d, 1, options, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	for (int i = 0; i < 4; i++) {
		pid = deaths_await_in_job(&d, c, "k", pid);
		ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	}
	(void)deaths_await_in_job(&d, c, "k", pid);
	ck_assert_int_eq(rk_next(c, 3 * FLEET_WAIT_MS, &reply), RK_DONE);
	rk_reply_release(c, &reply);
	deaths_events(&d, "response,quarantine");
	deaths_assert_told(&d, "job charged", 0);
	deaths_assert_told(&d, "job not charged", 4);
	rk_client_close(c);
	deaths_stop(&d);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("innocents");

	tcase_set_timeout(c, 120);
	tcase_add_test(c, jobs_whose_workers_are_killed_in_a_storm_are_not_charged);
	tcase_add_test(c, a_job_whose_worker_is_killed_alone_again_and_again_is_not_charged);
	tcase_add_test(c, a_job_that_people_stop_whose_worker_is_then_killed_by_us_is_not_charged);
	return unit_run(c);
}
