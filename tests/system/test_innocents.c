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
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "tests/system/deaths.h"
#include "tests/unit/unit.h"

#define WORKERS 4
#define STORMS 5
#define LONE_DEATHS 4
#define ROUNDS 3

static struct deaths d;

static char scratch[32], gate[64];

static void scratch_make(void)
{
	strcpy(scratch, "/tmp/rk-scratch-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scratch));
	(void)snprintf(gate, sizeof(gate), "%s/gate", scratch);
}

/* A job that does not end before gate_open(). */
static void send_waiting(struct rk_client *c, const char *key)
{
	char body[96];
	struct rk_request request;

	(void)snprintf(body, sizeof(body), "always await %s", gate);
	request = deaths_job(key, body);
	ck_assert_int_eq(rk_call_async(c, &request), 0);
}

/* All of them are in processes that the last time they were not in. */
static void await_waiting(struct rk_client *c, char keys[][16], int first, int pid[static WORKERS])
{
	for (int i = first; i < WORKERS; i++)
		pid[i] = deaths_await_in_job(&d, c, keys[i], pid[i]);
}

/* Lets them end, each with the first count of its partition: it is applied once. */
static void gate_open(struct rk_client *c, int n)
{
	struct rk_reply reply = { 0 };
	FILE *f = fopen(gate, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fclose(f), 0);
	for (int i = 0; i < n; i++) {
		ck_assert_int_eq(rk_next(c, 3 * FLEET_WAIT_MS, &reply), RK_DONE);
		ck_assert_msg(reply.len == 1 && memcmp(reply.body, "1", 1) == 0, "%.*s",
			      (int)reply.len, (const char *)reply.body);
		rk_reply_release(c, &reply);
	}
}

static void stop(struct rk_client *c)
{
	rk_client_close(c);
	deaths_stop(&d);
	(void)unlink(gate);
	(void)rmdir(scratch);
}

/* A fleet, with a job under way on each worker from the first one on. */
static struct rk_client *start(const char *const *options, const char *program, char keys[][16],
			       int first)
{
	struct rk_client *c;

	deaths_start(&d, WORKERS, options, program);
	c = fleet_client(NULL);
	deaths_keys(c, WORKERS, keys);
	for (int i = first; i < WORKERS; i++)
		send_waiting(c, keys[i]);
	return c;
}

START_TEST(jobs_whose_workers_are_killed_in_a_storm_are_not_charged)
{
	char keys[WORKERS][16], room[DEATHS_LETTER_SIZE];
	struct rk_dead_letter l;
	int pid[WORKERS] = { 0 };
	struct rk_client *c;

	scratch_make();
	c = start(NULL, NULL, keys, 0);
	for (int storm = 0; storm < STORMS; storm++) {
		await_waiting(c, keys, 0, pid);
		for (int i = 0; i < WORKERS; i++)
			ck_assert_int_eq(kill(pid[i], SIGKILL), 0);
	}
	gate_open(c, WORKERS);
	ck_assert_uint_eq(deaths_letters(&d, &l, room), 0);
	deaths_assert_nobody_charged(&d);
	deaths_events(&d, "response,quarantine");
	deaths_assert_told(&d, "quarantined", 0);
	deaths_assert_told(&d, "job charged", 0);
	ck_assert_uint_eq(deaths_count(&d, "it was one of several deaths") +
				  deaths_count(&d, "somebody killed the worker"),
			  STORMS * WORKERS);
	stop(c);
}
END_TEST

/* One job, whose worker gets a signal each time that it is in it. */
static struct rk_client *afflict(const char *const *options, int signal)
{
	struct rk_client *c;
	int pid = 0;

	scratch_make();
	deaths_start(&d, 1, options, NULL);
	c = fleet_client(NULL);
	send_waiting(c, "k");
	for (int i = 0; i < LONE_DEATHS; i++) {
		pid = deaths_await_in_job(&d, c, "k", pid);
		ck_assert_int_eq(kill(pid, signal), 0);
	}
	(void)deaths_await_in_job(&d, c, "k", pid);
	gate_open(c, 1);
	deaths_events(&d, "response,quarantine");
	deaths_assert_told(&d, "job charged", 0);
	return c;
}

START_TEST(a_job_whose_worker_is_killed_alone_again_and_again_is_not_charged)
{
	struct rk_client *c = afflict(NULL, SIGKILL);

	deaths_assert_told(&d, "somebody killed the worker", LONE_DEATHS);
	stop(c);
}
END_TEST

START_TEST(a_job_that_people_stop_whose_worker_is_then_killed_by_us_is_not_charged)
{
	static const char *const options[] = { "--on-paused=kill", NULL };
	struct rk_client *c = afflict(options, SIGSTOP);

	deaths_assert_told(&d, "job not charged", LONE_DEATHS);
	stop(c);
}
END_TEST

/* ---- ended by us ---- */

START_TEST(jobs_that_we_kill_because_a_neighbor_hangs_are_not_charged)
{
	static const char *const options[] = { "--strategy=one-for-all", "--hang-after=300ms",
					       "--stop-timeout=50ms", "--dead-letter-after=1",
					       NULL };
	char keys[WORKERS][16], room[DEATHS_LETTER_SIZE];
	struct rk_reply reply = { 0 };
	struct rk_dead_letter l;
	int pid[WORKERS] = { 0 };
	struct rk_client *poisoner, *c;

	scratch_make();
	c = start(options, NULL, keys, 1);
	poisoner = fleet_client(NULL);
	for (int i = 0; i < ROUNDS; i++) {
		struct rk_request poison = deaths_job(keys[0], "always deadlock");

		await_waiting(c, keys, 1, pid);
		ck_assert_int_eq(rk_call(poisoner, &poison, &reply), RK_FAILED);
		ck_assert_int_eq(reply.error, RK_QUARANTINED);
		rk_reply_release(poisoner, &reply);
	}
	await_waiting(c, keys, 1, pid);
	gate_open(c, WORKERS - 1);
	ck_assert_uint_eq(deaths_letters(&d, &l, room), ROUNDS); /* the neighbor's */
	deaths_assert_nobody_charged(&d);
	deaths_events(&d, "response,quarantine");
	deaths_assert_told(&d, "job charged", ROUNDS);
	deaths_assert_told(&d, "we ended the worker, not for its job", ROUNDS * (WORKERS - 1));
	rk_client_close(poisoner);
	stop(c);
}
END_TEST

/* A program at this path that was not there before: another file, and another build of the worker.
 */
static ino_t program_make(const char *path, int build)
{
	char fresh[80], command[4400], worker[4096];
	struct stat st;

	fleet_path(worker, DEATHS_WORKER);
	(void)snprintf(fresh, sizeof(fresh), "%s.new", path);
	(void)snprintf(command, sizeof(command), "cp '%s' %s && echo %d >>%s", worker, fresh, build,
		       fresh);
	ck_assert_int_eq(system(command), 0); // NOLINT(concurrency-mt-unsafe)
	ck_assert_int_eq(rename(fresh, path), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_ino;
}

static void assert_runs(int pid, ino_t program)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_msg(st.st_ino == program, "process %d runs the old program", pid);
}

START_TEST(jobs_whose_workers_are_upgraded_under_them_are_not_charged)
{
	static const char *const options[] = { "--stop-timeout=50ms", "--dead-letter-after=1",
					       NULL };
	char keys[WORKERS][16], program[64], command[4200], rekindle[4096],
		room[DEATHS_LETTER_SIZE];
	struct rk_dead_letter l;
	int pid[WORKERS] = { 0 };
	struct rk_client *c;
	ino_t inode;

	scratch_make();
	(void)snprintf(program, sizeof(program), "%s/worker", scratch);
	(void)program_make(program, 0);
	fleet_path(rekindle, "rekindle");
	(void)snprintf(command, sizeof(command),
		       "'%s' restart --max-unavailable=2 --timeout 60s >&2", rekindle);
	c = start(options, program, keys, 0);
	await_waiting(c, keys, 0, pid);
	for (int i = 1; i <= ROUNDS; i++) {
		inode = program_make(program, i);
		ck_assert_int_eq(system(command), 0); // NOLINT(concurrency-mt-unsafe)
		await_waiting(c, keys, 0, pid);
		for (int k = 0; k < WORKERS; k++)
			assert_runs(pid[k], inode);
	}
	gate_open(c, WORKERS);
	ck_assert_uint_eq(deaths_letters(&d, &l, room), 0);
	deaths_assert_nobody_charged(&d);
	deaths_events(&d, "response,quarantine");
	deaths_assert_told(&d, "job charged", 0);
	deaths_assert_told(&d, "we ended the worker, not for its job", ROUNDS * WORKERS);
	(void)unlink(program);
	stop(c);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("innocents");

	tcase_set_timeout(c, 120);
	tcase_add_test(c, jobs_whose_workers_are_killed_in_a_storm_are_not_charged);
	tcase_add_test(c, a_job_whose_worker_is_killed_alone_again_and_again_is_not_charged);
	tcase_add_test(c, a_job_that_people_stop_whose_worker_is_then_killed_by_us_is_not_charged);
	tcase_add_test(c, jobs_that_we_kill_because_a_neighbor_hangs_are_not_charged);
	tcase_add_test(c, jobs_whose_workers_are_upgraded_under_them_are_not_charged);
	return unit_run(c);
}
