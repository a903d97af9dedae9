/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Every deadline comes, however often supervisors die: a worker that hangs, is stopped, does not
 *         start, stop or die of its SIGABRT is replaced, a late job is told so, a restart waits no longer
 *         than it shall and a rolling one goes on, although no supervisor lives for as long as any of that
 *         takes. Nobody is judged early for it, and what was done once is not done again.
 * Method  Real fleets, whose supervisor is killed again and again, each LIFE_MS after it answers, until
 *         what is waited for is seen on the board or in a file.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "tests/system/deaths.h"
#include "tests/unit/unit.h"

#define LIFE_MS 150 /* less than any bound below */
#define SLACK_MS 5000 /* machines are noisy; without what is tested here nothing of this ever comes */
#define WORKER DEATHS_WORKER

static struct deaths d;
static struct rk_client *client;
static struct rk_reply reply;
static char said[128]; /* a file that somebody beside the worker writes */
static uint32_t n_died;

/* ---- supervisors ---- */

/*
 * Kills one supervisor after the other until it is so, which shall be bound_ms from now. A successor needs some
 * ten milliseconds before it looks for the first time, and one look is no interval yet: that is void.
 */
static void die_until(bool (*is_so)(void), uint64_t bound_ms, const char *what)
{
	uint64_t begun_ns = rk_clock_ns(), end_ns = begun_ns + (2 * bound_ms + SLACK_MS) * RK_NS_PER_MS;

	bool is_there = false;

	for (n_died = 0; !is_there; n_died++) {
		uint64_t dies_ns;

		ck_assert_msg(rk_clock_ns() < end_ns, "%u supervisors, and still not %s", n_died, what);
		(void)fleet_await_supervisor(fleet_kill_supervisor());
		dies_ns = rk_clock_ns() + LIFE_MS * RK_NS_PER_MS;
		while (!(is_there = is_so()) && rk_clock_ns() < dies_ns)
			(void)poll(NULL, 0, 5);
	}
	printf("# %s: %llu ms, bound %llu ms, %u supervisors\n", what,
	       (unsigned long long)((rk_clock_ns() - begun_ns) / RK_NS_PER_MS), (unsigned long long)bound_ms, n_died);
	ck_assert_msg(n_died > 1, "no supervisor died before it was %s", what);
}

/* ---- what is waited for ---- */

static struct rk_view_slot slot(void)
{
	rk_look_view(&d.look);
	return *rk_look_slot(&d.look, 0);
}

static bool is_replaced(void)
{
	struct rk_view_slot s = slot();

	return s.incarnation > 1 && s.state == RK_SLOT_READY;
}

static bool is_started_again(void)
{
	return slot().incarnation > 1;
}

static bool is_started_once_more(void)
{
	return slot().incarnation > 2;
}

static bool is_stopped(void)
{
	return slot().state == RK_SLOT_STOPPED;
}

static bool is_answered(void)
{
	int r = rk_next(client, 0, &reply);

	ck_assert_msg(r == RK_DONE || r == -EAGAIN, "%s", rk_outcome_text(r));
	return r == RK_DONE;
}

/* Who has written his pid is dead. */
static bool is_command_dead(void)
{
	FILE *f = fopen(said, "re");
	int pid = 0, n = f ? fscanf(f, "%d", &pid) : 0;

	if (f)
		(void)fclose(f);
	return n == 1 && !fleet_lives(pid);
}

/* ---- beginning and end ---- */

static void begin(const char *const *options)
{
	deaths_start(&d, 1, options, WORKER);
	client = fleet_client("tester");
}

static void end(void)
{
	rk_client_close(client);
	deaths_stop(&d);
}

static void call_begin(const char *body)
{
	struct rk_request request = deaths_job("k", body);

	ck_assert_int_eq(rk_call_async(client, &request), 0);
}

static void await_answer(const char *text)
{
	ck_assert_int_eq(rk_next(client, FLEET_WAIT_MS, &reply), RK_DONE);
	ck_assert_msg(reply.len == strlen(text) && memcmp(reply.body, text, reply.len) == 0, "'%.*s', not '%s'",
		      (int)reply.len, (const char *)reply.body, text);
	rk_reply_release(client, &reply);
}

static void await_in_job(void)
{
	(void)deaths_await_in_job(&d, client, "k", 0);
}

/* 'rekindle ARGUMENTS' */
static void command(const char *arguments, int status)
{
	char program[4096], all[4300];

	fleet_path(program, "rekindle");
	snprintf(all, sizeof(all), "'%s' %s >&2", program, arguments);
	ck_assert_int_eq(WEXITSTATUS(system(all)), status);
}

/* ---- hangs ---- */

static const struct {
	const char *body, *options[7], *verdict;
	uint64_t bound_ms;
} hangs[] = {
	{ "deadlock", { "--hang-after=1s" }, "verdict=asleep", 1000 },
	{ "loop", { "--hang-after=1s" }, "verdict=loop", 1000 },
	{ "breed", { "--hang-after=1s" }, "verdict=asleep", 1000 },
	{ "deadlock", { "--job-timeout=900ms" }, "verdict=asleep", 1000 },
	/* It does not die of its SIGABRT. */
	{ "deadlock", { "--hang-after=600ms", "--core-timeout=600ms" }, "verdict=asleep", 1200 },
};

START_TEST(a_hung_worker_is_replaced)
{
	uint64_t begun_ns;

	ck_assert_int_eq(setenv("RK_TEST_DEAF", "1", 1), 0);
	begin(hangs[_i].options);
	call_begin(hangs[_i].body);
	await_in_job();
	begun_ns = rk_clock_ns();
	die_until(is_replaced, hangs[_i].bound_ms, hangs[_i].body);
	/* The job was begun a moment before. */
	ck_assert_uint_ge(rk_clock_ns() - begun_ns, (hangs[_i].bound_ms - 100) * RK_NS_PER_MS);
	await_answer("1");
	deaths_events(&d, "verdict");
	deaths_assert_told(&d, hangs[_i].verdict, 1);
	end();
}
END_TEST

/* Longer than its bound, but in a row of jobs, or with signs of life between. */
START_TEST(who_gets_on_is_left_alone)
{
	static const char *const options[] = { "--hang-after=1s", NULL };
	struct rk_request request = deaths_job("k", "sleep 500");
	char path[160], body[200];
	int pid;

	begin(options);
	pid = slot().pid;
	for (int i = 0; i < 6; i++) {
		ck_assert_int_eq(rk_call_async(client, &request), 0);
		die_until(is_answered, 500, "answered");
		rk_reply_release(client, &reply);
	}
	snprintf(path, sizeof(path), "%s/now", d.fleet.directory);
	snprintf(body, sizeof(body), "await %s", path);
	call_begin(body);
	for (int i = 0; i < 10; i++) {
		(void)fleet_await_supervisor(fleet_kill_supervisor());
		(void)poll(NULL, 0, LIFE_MS);
	}
	ck_assert(!is_answered());
	{
		FILE *f = fopen(path, "we");

		ck_assert_ptr_nonnull(f);
		(void)fclose(f);
	}
	await_answer("7");
	(void)unlink(path);
	ck_assert_int_eq(slot().pid, pid);
	deaths_events(&d, "verdict");
	deaths_assert_told(&d, "verdict=", 0);
	end();
}
END_TEST

START_TEST(who_is_only_reported_is_reported_once)
{
	static const char *const options[] = { "--hang-after=600ms", "--on-hang=report", NULL };

	begin(options);
	call_begin("sleep 4000");
	await_in_job();
	die_until(is_answered, 4000, "answered");
	rk_reply_release(client, &reply);
	deaths_events(&d, "verdict");
	deaths_assert_told(&d, "verdict=asleep", 1);
	ck_assert_uint_eq(slot().incarnation, 1);
	end();
}
END_TEST

/* Worker 1 is there a second time, and does what worker 0 hangs in. */
START_TEST(who_lost_its_partitions_is_charged_once_and_gets_none_back)
{
	static const char *const options[] = { "--hang-after=600ms", "--on-hang=move", NULL };
	struct rk_request request;
	char keys[2][16];
	pid_t pid;

	deaths_start(&d, 2, options, WORKER);
	client = fleet_client("tester");
	deaths_keys(client, 2, keys);
	while (!fleet_kill_owner(client, keys[1]))
		;
	while (rk_look_view(&d.look), rk_look_slot(&d.look, 1)->incarnation == 1 ||
				      rk_look_slot(&d.look, 1)->state != RK_SLOT_READY)
		(void)poll(NULL, 0, 1);
	pid = slot().pid;
	request = deaths_job(keys[0], "deadlock");
	ck_assert_int_eq(rk_call_async(client, &request), 0);
	(void)deaths_await_in_job(&d, client, keys[0], 0);
	die_until(is_answered, 600, "done by another worker");
	rk_reply_release(client, &reply);
	for (int i = 0; i < 5; i++) { /* it hangs on, and each of them finds it so */
		(void)fleet_await_supervisor(fleet_kill_supervisor());
		(void)poll(NULL, 0, LIFE_MS);
		ck_assert_uint_eq(slot().n_partitions, 0);
	}
	ck_assert_int_eq(slot().pid, pid);
	deaths_events(&d, "verdict,response,quarantine");
	deaths_assert_told(&d, "verdict=asleep", 1);
	deaths_assert_told(&d, "job charged", 1);
	end();
}
END_TEST

START_TEST(a_late_job_is_told_so_once)
{
	static const char *const options[] = { "--job-timeout=800ms", "--hang-after=20s", NULL };

	begin(options);
	call_begin("until cancelled");
	await_in_job();
	die_until(is_answered, 800, "told");
	ck_assert_uint_eq(reply.len, strlen("cancelled"));
	rk_reply_release(client, &reply);
	ck_assert_uint_eq(slot().incarnation, 1);
	end();
}
END_TEST

START_TEST(one_that_does_not_listen_is_not_told_again)
{
	static const char *const options[] = { "--job-timeout=400ms", "--hang-after=20s", NULL };

	begin(options);
	call_begin("sleep 2500");
	await_in_job();
	die_until(is_answered, 2500, "answered");
	rk_reply_release(client, &reply);
	deaths_events(&d, "verdict,response");
	deaths_assert_told(&d, "job asked to give up", 1);
	deaths_assert_told(&d, "verdict=late", 1);
	end();
}
END_TEST

START_TEST(a_stopped_worker_is_replaced)
{
	static const char *const options[] = { "--on-paused=kill", NULL };
	pid_t pid;

	begin(options);
	call_begin("sleep 60000");
	await_in_job();
	pid = slot().pid;
	(void)fleet_kill_supervisor();
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	await_answer("1");
	while (!is_replaced()) /* the board says so a moment later */
		(void)poll(NULL, 0, 1);
	end();
}
END_TEST

/* ---- starts and stops ---- */

/* The second time with a pause before. */
START_TEST(a_worker_that_never_attaches_is_ended_and_tried_again)
{
	static const char *const options[] = { "--start-timeout=600ms", "--restart-backoff=600ms", NULL };
	struct rk_err err;

	ck_assert_int_eq(setenv("RK_TEST_MUTE", "1", 1), 0);
	fleet_launch(&d.fleet, 1, options, WORKER);
	ck_assert_int_eq(unsetenv("RK_TEST_MUTE"), 0);
	(void)fleet_supervisor();
	ck_assert_msg(rk_look_open(&d.look, NULL, &err) == 0, "%s", err.text);
	die_until(is_started_again, 2000, "started again");
	die_until(is_started_once_more, 3000, "started once more");
	deaths_stop(&d);
}
END_TEST

START_TEST(a_worker_that_does_not_stop_is_ended)
{
	static const char *const options[] = { "--stop-timeout=1s", NULL };

	begin(options);
	call_begin("sleep 60000");
	await_in_job();
	command("stop 0 --timeout 1ms", 4); /* it has begun */
	die_until(is_stopped, 1000, "stopped");
	deaths_events(&d, "verdict");
	deaths_assert_told(&d, "verdict=stop-timeout", 1);
	end();
}
END_TEST

START_TEST(a_command_beside_a_worker_is_ended_when_it_takes_too_long)
{
	char program[4096], text[5000], script[128];
	struct rk_err err;
	FILE *f;

	fleet_path(program, WORKER);
	snprintf(said, sizeof(said), "/tmp/rk-deadlines-%d", (int)getpid());
	snprintf(script, sizeof(script), "%s.sh", said);
	f = fopen(script, "we");
	ck_assert_ptr_nonnull(f);
	(void)fprintf(f, "echo $$ >%s\nexec sleep 600\n", said);
	(void)fclose(f);
	snprintf(text, sizeof(text),
		 "[Fleet test]\nExec=%s\nWorkers=1\nStartTimeout=1s\nExecStartPost=/bin/sh %s\n", program, script);
	fleet_start_file(&d.fleet, 1, text);
	ck_assert_msg(rk_look_open(&d.look, NULL, &err) == 0, "%s", err.text);
	die_until(is_command_dead, 1000, "ended");
	ck_assert_uint_eq(slot().incarnation, 1);
	(void)unlink(script);
	(void)unlink(said);
	deaths_stop(&d);
}
END_TEST

/* ---- a plan ---- */

static bool is_rolled(void)
{
	bool is_so = true;

	rk_look_view(&d.look);
	for (uint32_t i = 0; i < 3; i++) {
		const struct rk_view_slot *s = rk_look_slot(&d.look, i);

		is_so = is_so && s->incarnation > 1 && s->state == RK_SLOT_READY;
	}
	return is_so;
}

/* Each replacement has to live for 200 ms before the next one is touched. */
START_TEST(a_rolling_restart_goes_on)
{
	deaths_start(&d, 3, NULL, WORKER);
	command("restart --max-unavailable=1 --no-wait", 0);
	die_until(is_rolled, 1000, "restarted");
	deaths_stop(&d);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("deadlines");

	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, a_hung_worker_is_replaced, 0, (int)rk_countof(hangs));
	tcase_add_test(c, who_gets_on_is_left_alone);
	tcase_add_test(c, who_is_only_reported_is_reported_once);
	tcase_add_test(c, who_lost_its_partitions_is_charged_once_and_gets_none_back);
	tcase_add_test(c, a_late_job_is_told_so_once);
	tcase_add_test(c, one_that_does_not_listen_is_not_told_again);
	tcase_add_test(c, a_stopped_worker_is_replaced);
	tcase_add_test(c, a_worker_that_never_attaches_is_ended_and_tried_again);
	tcase_add_test(c, a_worker_that_does_not_stop_is_ended);
	tcase_add_test(c, a_command_beside_a_worker_is_ended_when_it_takes_too_long);
	tcase_add_test(c, a_rolling_restart_goes_on);
	return unit_run(c);
}
