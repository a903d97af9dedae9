/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a state of another version is upgraded all or not at all, wherever the worker is
 *         killed, and counts as upgraded once; what cannot be upgraded is refused by name and
 *         kept.
 * Method  a fleet of tests/system/test_worker, which reads its version from a file at each
 *         start; its upgrade multiplies the partition's count by a thousand, changes a hundred
 *         words of the state, one behind its old end, and every block of the arena.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "shm/fault.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

static struct fleet fleet;
static char file[64];

/* What the next worker declares: its version, whether it has an upgrade, and what that returns. */
static void declare(const char *version)
{
	char fresh[80];
	FILE *f;

	snprintf(fresh, sizeof(fresh), "%s.new", file);
	f = fopen(fresh, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_gt(fputs(version, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(rename(fresh, file), 0);
}

static unsigned long ask(struct rk_client *c, const char *body)
{
	struct rk_request request = {
		.key = "k", .body = body, .len = strlen(body), .timeout_ms = FLEET_WAIT_MS
	};
	struct rk_reply reply = { 0 };
	char text[32] = "";
	int r = rk_call_retry(c, &request, &reply);

	ck_assert_msg(r == RK_DONE, "%s: %s, error %d", body, rk_outcome_text(r), reply.error);
	memcpy(text, reply.body, reply.len < 31 ? reply.len : 31);
	rk_reply_release(c, &reply);
	return strtoul(text, NULL, 10);
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

/* A fleet whose partition of "k" counts 5 and keeps two blocks, left by version 1. */
static struct rk_client *start(const char *const *options)
{
	struct rk_client *c;

	strcpy(file, "/tmp/rk-version-XXXXXX");
	ck_assert_int_eq(close(mkstemp(file)), 0);
	ck_assert_int_eq(setenv("RK_TEST_VERSION", file, 1), 0);
	declare("1 1 0");
	fleet_start(&fleet, 1, options, NULL);
	c = fleet_client(NULL);
	for (unsigned long i = 1; i <= 5; i++)
		ck_assert_uint_eq(ask(c, "add"), i);
	(void)ask(c, "keep 40");
	(void)ask(c, "keep 100");
	ck_assert_uint_eq(ask(c, "kept"), 10);
	return c;
}

static void stop(struct rk_client *c)
{
	rk_client_close(c);
	(void)unlink(file);
	fleet_stop(&fleet);
}

static void kill_worker(void)
{
	ck_assert_int_eq(kill(fleet.worker[0], SIGKILL), 0);
	fleet_await_line(&fleet, "SIGKILL");
}

static void expect_upgraded_once(struct rk_client *c)
{
	ck_assert_uint_eq(ask(c, "add"), 5001);
	ck_assert_uint_eq(ask(c, "kept"), 210);
	ck_assert_uint_eq(ask(c, "upgraded"), 101);
}

static const struct {
	enum rk_kill_point point;
	unsigned int nth;
} deaths[] = {
	{ RK_KP_UPGRADE_RAN, 1 },   { RK_KP_STATE_SAVED, 1 },     { RK_KP_STATE_SAVED, 60 },
	{ RK_KP_STATE_SAVED, 105 }, { RK_KP_UPGRADE_COPYING, 1 }, { RK_KP_UPGRADE_COPYING, 50 },
	{ RK_KP_UPGRADE_DONE, 1 },  { RK_KP_OWNER_TAKEN, 1 },     { RK_KP_STATE_SAVED, 107 },
	{ RK_KP_OWNER_RAN, 1 },     { RK_KP_OWNER_COMMITTED, 1 },
};

START_TEST(an_upgrade_killed_anywhere_happens_once_and_whole)
{
	struct rk_client *c;
	char armed[64];

	snprintf(armed, sizeof(armed), "%s:%u", rk_kill_point_name(deaths[_i].point),
		 deaths[_i].nth);
	ck_assert_int_eq(setenv("RK_TEST_KILL_POINT", armed, 1), 0);
	ck_assert_int_eq(setenv("RK_TEST_KILL_WHO", "2-2", 1), 0);
	c = start(NULL);
	declare("2 1 0");
	kill_worker();
	expect_upgraded_once(c);
	fleet_await_line(&fleet, "SIGKILL"); /* it did die there */
	stop(c);
}
END_TEST

START_TEST(an_upgrade_killed_before_its_commit_leaves_the_old_state_to_the_old_program)
{
	struct rk_client *c;
	char armed[64];

	snprintf(armed, sizeof(armed), "%s:1",
		 rk_kill_point_name(_i ? RK_KP_UPGRADE_DONE : RK_KP_UPGRADE_COPYING));
	ck_assert_int_eq(setenv("RK_TEST_KILL_POINT", armed, 1), 0);
	ck_assert_int_eq(setenv("RK_TEST_KILL_WHO", "2-99", 1), 0);
	c = start(NULL);
	declare("2 1 0");
	kill_worker();
	ck_assert_int_eq(rk_submit(c, &(struct rk_request){ .key = "k", .body = "add", .len = 3 }),
			 0);
	fleet_await_line(&fleet, "SIGKILL");
	declare("1 0 0");
	ck_assert_int_eq(rk_flush(c, FLEET_WAIT_MS, NULL), 0);
	ck_assert_uint_eq(ask(c, "get"), 6);
	ck_assert_uint_eq(ask(c, "kept"), 10);
	ck_assert_uint_eq(ask(c, "upgraded"), 0);
	stop(c);
}
END_TEST

/* More than a hundred undo entries each time: without a memory of what is saved the log of 512
 * would be full. */
START_TEST(an_upgrade_killed_again_and_again_does_not_fill_the_log)
{
	struct rk_client *c;
	char armed[64];

	snprintf(armed, sizeof(armed), "%s:1", rk_kill_point_name(RK_KP_UPGRADE_DONE));
	ck_assert_int_eq(setenv("RK_TEST_KILL_POINT", armed, 1), 0);
	ck_assert_int_eq(setenv("RK_TEST_KILL_WHO", "2-8", 1), 0);
	c = start(NULL);
	declare("2 1 0");
	kill_worker();
	expect_upgraded_once(c);
	for (int i = 0; i < 7; i++)
		fleet_await_line(&fleet, "SIGKILL");
	stop(c);
}
END_TEST

static const struct {
	const char *body; /* of the first job after it */
	int error;        /* its answer */
	unsigned long n;  /* what it leaves */
	const char *point;
} firsts[] = {
	{ "fail", -EDOM, 5000, NULL },
	{ "fail", -EDOM, 5000, "UPGRADE_DONE:1" },
	{ "fail", -EDOM, 5000, "OWNER_RAN:1" },
	{ "retry 2", 0, 5001, NULL },
	{ "retry 2", 0, 5001, "UPGRADE_DONE:1" },
	{ "outside", -EFAULT, 5000, NULL },
};

START_TEST(a_first_job_that_is_undone_leaves_the_upgrade)
{
	struct rk_request request = { .key = "k",
				      .body = firsts[_i].body,
				      .len = strlen(firsts[_i].body),
				      .timeout_ms = FLEET_WAIT_MS };
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	if (firsts[_i].point) {
		ck_assert_int_eq(setenv("RK_TEST_KILL_POINT", firsts[_i].point, 1), 0);
		ck_assert_int_eq(setenv("RK_TEST_KILL_WHO", "2-2", 1), 0);
	}
	c = start(NULL);
	declare("2 1 0");
	kill_worker();
	ck_assert_int_eq(rk_call_retry(c, &request, &reply), firsts[_i].error ? RK_FAILED : RK_DONE);
	ck_assert_int_eq(reply.error, firsts[_i].error);
	rk_reply_release(c, &reply);
	if (firsts[_i].point)
		fleet_await_line(&fleet, "SIGKILL"); /* it did die there */
	ck_assert_uint_eq(ask(c, "get"), firsts[_i].n);
	ck_assert_uint_eq(ask(c, "kept"), 210);
	ck_assert_uint_eq(ask(c, "upgraded"), 101);
	stop(c);
}
END_TEST

static const struct {
	const char *version;
	const char *undo; /* entries of the log */
	const char *words[2];
} refusals[] = {
	{ "2 0 0", "512", { "version 1", "version 2" } },
	{ "2 1 -95", "512", { "version 1 to 2", "not supported" } },
	{ "2 1 0", "128", { "version 1 to 2", "--undo=208" } },
};

START_TEST(what_cannot_be_upgraded_is_refused_by_name_and_kept)
{
	const char *const options[] = { "--undo", refusals[_i].undo, NULL };
	struct rk_client *c = start(options);

	declare(refusals[_i].version);
	ck_assert_int_eq(kill(fleet.worker[0], SIGKILL), 0);
	ck_assert_int_eq(rk_submit(c, &(struct rk_request){ .key = "k", .body = "add", .len = 3 }),
			 0);
	fleet_await_line(&fleet, "state is kept");
	for (int i = 0; i < 2; i++)
		ck_assert_msg(strstr(fleet.line, refusals[_i].words[i]) != NULL, "'%s' not in: %s",
			      refusals[_i].words[i], fleet.line);
	declare("1 0 0");
	ck_assert_int_eq(rk_flush(c, FLEET_WAIT_MS, NULL), 0);
	ck_assert_uint_eq(ask(c, "get"), 6);
	ck_assert_uint_eq(ask(c, "kept"), 10);
	ck_assert_uint_eq(ask(c, "upgraded"), 0);
	stop(c);
}
END_TEST

/* No job of it is there: it is refused at the start all the same. */
START_TEST(a_worker_of_another_version_without_upgrade_does_not_start)
{
	struct rk_client *c = start(NULL);

	declare("2 0 0");
	kill_worker();
	fleet_await_line(&fleet, "version 2");
	declare("2 1 0");
	expect_upgraded_once(c);
	stop(c);
}
END_TEST

START_TEST(a_state_goes_through_the_upgrade_once_however_often_workers_are_replaced)
{
	struct rk_client *c = start(NULL);

	declare("2 1 0");
	kill_worker();
	expect_upgraded_once(c);
	for (unsigned long i = 1; i <= 5; i++) {
		ck_assert_int_eq(kill(pid_of(c, "k"), SIGKILL), 0);
		fleet_await_line(&fleet, "SIGKILL");
		ck_assert_uint_eq(ask(c, "add"), 5001 + i);
	}
	ck_assert_uint_eq(ask(c, "kept"), 210);
	stop(c);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("upgrade");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, an_upgrade_killed_anywhere_happens_once_and_whole, 0,
			    rk_countof(deaths));
	tcase_add_loop_test(
		c, an_upgrade_killed_before_its_commit_leaves_the_old_state_to_the_old_program, 0,
		2);
	tcase_add_test(c, an_upgrade_killed_again_and_again_does_not_fill_the_log);
	tcase_add_loop_test(c, a_first_job_that_is_undone_leaves_the_upgrade, 0, rk_countof(firsts));
	tcase_add_loop_test(c, what_cannot_be_upgraded_is_refused_by_name_and_kept, 0,
			    rk_countof(refusals));
	tcase_add_test(c, a_worker_of_another_version_without_upgrade_does_not_start);
	tcase_add_test(c, a_state_goes_through_the_upgrade_once_however_often_workers_are_replaced);
	return unit_run(c);
}
