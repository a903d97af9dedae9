/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Each way in which a worker can hang gets its verdict, in the event log with its evidence,
 *         and the response that the configuration asks for; the fleet goes on and the job that
 *         the dead worker had in hand is done. Who only waits is left alone.
 * Method  Real fleets of tests/system/hang_worker, which misbehaves as a job's body says; the event
 *         log and `rekindle why`, read by the real command. Nothing waits by the clock but the one
 *         that must not be killed.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

#define WORKER "tests/system/hang_worker"

static struct fleet fleet;
static struct rk_client *client;
static struct rk_reply reply;
static char told[65536]; /* what a command printed */

static void start(const char *const *options)
{
	fleet_start(&fleet, 1, options, WORKER);
	client = fleet_client(NULL);
}

static void stop(void)
{
	rk_client_close(client);
	fleet_stop(&fleet);
}

static int call(const char *body, uint32_t timeout_ms)
{
	const struct rk_request request = {
		.key = "k", .body = body, .len = strlen(body) + 1, .timeout_ms = timeout_ms
	};

	return rk_call(client, &request, &reply);
}

/* Begins a call that nobody waits for yet. */
static void begin(const char *body)
{
	const struct rk_request request = {
		.key = "k", .body = body, .len = strlen(body) + 1, .timeout_ms = RK_TIMEOUT_NONE
	};

	ck_assert_int_eq(rk_call_async(client, &request), 0);
}

/* And its end. */
static void await_reply(const char *text)
{
	ck_assert_int_eq(rk_next(client, FLEET_WAIT_MS, &reply), RK_DONE);
	ck_assert_uint_eq(reply.len, strlen(text));
	ck_assert_mem_eq(reply.body, text, reply.len);
	rk_reply_release(client, &reply);
}

/* What the command prints. */
static const char *ask(const char *arguments)
{
	char command[4200], program[4096];
	size_t n;
	FILE *out;

	fleet_path(program, "rekindle");
	snprintf(command, sizeof(command), "%.4000s %.100s", program, arguments);
	out = popen(command, "r");
	ck_assert_ptr_nonnull(out);
	n = fread(told, 1, sizeof(told) - 1, out);
	told[n] = '\0';
	(void)pclose(out);
	return told;
}

/* Asks until it prints this. */
static void await_told(const char *arguments, const char *text)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;

	while (!strstr(ask(arguments), text))
		ck_assert_msg(rk_clock_ns() < end_ns, "'%s' does not say '%s' but: %s", arguments,
			      text, told);
}

static void must_say(const char *text)
{
	ck_assert_msg(strstr(told, text) != NULL, "no '%s' in: %s", text, told);
}

static void must_not_say(const char *text)
{
	ck_assert_msg(strstr(told, text) == NULL, "'%s' in: %s", text, told);
}

#define VERDICTS "events --kind verdict"

/* ---- hangs ---- */

static const struct {
	const char *body, *verdict, *deed, *thread;
} hangs[] = {
	{ "loop", "verdict=loop", "looped in job 0 of partition", "state=R" },
	{ "deadlock", "verdict=asleep", "hung in job 0 of partition", "state=S" },
	{ "breed", "verdict=asleep", "hung in job 0 of partition", "state=S" },
};

START_TEST(a_hung_worker_is_killed_with_its_evidence_and_its_job_done)
{
	static const char *const options[] = { "--hang-after", "500ms", NULL };
	pid_t pid;

	start(options);
	pid = fleet.worker[0];
	begin(hangs[_i].body);
	await_reply("1");
	fleet_await_line(&fleet, hangs[_i].deed);
	ck_assert_ptr_nonnull(strstr(fleet.line, ", killed: "));
	ck_assert(!fleet_lives(pid));
	(void)ask("why 0");
	must_say(hangs[_i].verdict);
	must_say("bound_ms=500");
	must_say("response=kill");
	must_say(hangs[_i].thread);
	must_say("wchan=");
	must_say("worker killed");
	must_say("worker died");
	must_say(strcmp(hangs[_i].body, "breed") == 0 ? "below=3" : "below=0");
	(void)ask("status");
	must_say(strcmp(hangs[_i].body, "loop") == 0 ? "killed: looped, " : "killed: hung, ");
	(void)ask("status -o json");
	must_say(strcmp(hangs[_i].body, "loop") == 0 ? "\"verdict\":\"loop\""
						     : "\"verdict\":\"asleep\"");
	ck_assert_int_eq(call("add", FLEET_WAIT_MS), RK_DONE);
	stop();
}
END_TEST

START_TEST(where_a_core_is_wanted_it_is_aborted_first)
{
	static const char *const options[] = { "--hang-after", "300ms", "--core-timeout", "20s",
					       NULL };

	start(options);
	begin("deadlock");
	await_reply("1");
	fleet_await_line(&fleet, "hung in job 0");
	ck_assert_ptr_nonnull(strstr(fleet.line, ", SIGABRT"));
	(void)ask("why 0");
	must_say("response=abort");
	must_say("worker aborted");
	must_not_say("worker killed");
	stop();
}
END_TEST

START_TEST(who_is_only_reported_is_left_to_finish)
{
	static const char *const options[] = { "--hang-after", "300ms", "--on-hang", "report",
					       NULL };

	start(options);
	begin("sleep 1500");
	await_told("status", "suspect");
	await_told(VERDICTS, "verdict=asleep");
	must_say("response=report");
	await_reply("1");
	await_told("status", "ready");
	ck_assert(fleet_lives(fleet.worker[0]));
	(void)ask("events --kind death");
	must_not_say("worker died");
	stop();
}
END_TEST

START_TEST(where_partitions_cannot_be_moved_it_is_reported_and_said)
{
	static const char *const options[] = { "--hang-after", "300ms", "--on-hang", "move", NULL };

	start(options);
	begin("sleep 1000");
	await_told("why 0", "cannot be taken from it"); /* the record behind that of the verdict */
	must_say("response=move");
	await_reply("1");
	ck_assert(fleet_lives(fleet.worker[0]));
	stop();
}
END_TEST

START_TEST(who_sleeps_within_its_bound_is_left_alone)
{
	static const char *const options[] = { "--hang-after", "10s", NULL };

	start(options);
	ck_assert_int_eq(call("sleep 3000", FLEET_WAIT_MS), RK_DONE);
	ck_assert(fleet_lives(fleet.worker[0]));
	(void)ask(VERDICTS);
	must_not_say("verdict=");
	(void)ask("events --kind transition");
	must_not_say("suspect");
	stop();
}
END_TEST

START_TEST(who_never_waits_is_found_asleep_at_once)
{
	static const char *const options[] = { "--blocking=no", NULL };

	start(options);
	begin("deadlock");
	await_reply("1");
	await_told("why 0", "verdict=asleep");
	must_say("bound_ms=100");
	stop();
}
END_TEST

/* ---- deadlines of jobs ---- */

START_TEST(a_job_past_its_deadline_that_goes_on_ends_with_its_worker)
{
	static const char *const options[] = { "--job-timeout", "300ms", NULL };

	start(options);
	begin("deadlock");
	await_reply("1");
	fleet_await_line(&fleet, "hung in job 0");
	(void)ask("events --kind verdict,response");
	must_say("verdict=late");
	must_say("response=cancel");
	must_say("job asked to give up");
	must_say("verdict=asleep");
	must_say("worker killed");
	stop();
}
END_TEST

START_TEST(one_that_honors_cancellation_answers_and_nobody_dies)
{
	static const char *const options[] = { "--job-timeout", "300ms", "--hang-after", "20s",
					       NULL };

	start(options);
	begin("until cancelled");
	await_reply("cancelled");
	await_told("events --kind verdict,response", "job asked to give up");
	must_say("verdict=late");
	(void)ask("events --kind death");
	must_not_say("worker died");
	ck_assert(fleet_lives(fleet.worker[0]));
	stop();
}
END_TEST

START_TEST(one_that_waits_in_read_is_interrupted_by_the_signal_and_nobody_dies)
{
	static const char *const options[] = { "--job-timeout",
					       "300ms",
					       "--hang-after",
					       "20s",
					       "--set",
					       "JobTimeoutSignal=SIGUSR2",
					       NULL };

	ck_assert_int_eq(setenv("RK_TEST_CATCH", "1", 1), 0);
	start(options);
	ck_assert_int_eq(unsetenv("RK_TEST_CATCH"), 0);
	begin("read");
	await_reply("interrupted");
	await_told("events --kind verdict,response", "worker signalled signal=SIGUSR2");
	must_say("verdict=late");
	must_say("job asked to give up");
	(void)ask("events --kind death");
	must_not_say("worker died");
	ck_assert(fleet_lives(fleet.worker[0]));
	stop();
}
END_TEST

START_TEST(another_attempt_has_its_time_anew_and_is_told_again)
{
	static const char *const options[] = { "--job-timeout",
					       "300ms",
					       "--hang-after",
					       "20s",
					       "--set",
					       "JobTimeoutSignal=SIGUSR2",
					       NULL };
	const char *first;

	ck_assert_int_eq(setenv("RK_TEST_CATCH", "1", 1), 0);
	start(options);
	ck_assert_int_eq(unsetenv("RK_TEST_CATCH"), 0);
	begin("read again");
	await_reply("interrupted");
	await_told("events --kind verdict,response", "worker signalled");
	first = strstr(told, "worker signalled");
	ck_assert_msg(strstr(first + 1, "job asked to give up") != NULL, "once: %s", told);
	ck_assert_msg(strstr(first + 1, "worker signalled") != NULL, "once: %s", told);
	ck_assert(fleet_lives(fleet.worker[0]));
	stop();
}
END_TEST

START_TEST(who_has_no_handler_is_not_killed_by_the_signal)
{
	static const char *const options[] = { "--job-timeout",
					       "300ms",
					       "--hang-after",
					       "1500ms",
					       "--set",
					       "JobTimeoutSignal=SIGUSR2",
					       NULL };

	start(options);
	begin("read");
	await_reply("1"); /* by the successor: the staged response went on */
	await_told("events --kind verdict,response,death", "worker died");
	must_say("worker not signalled, it has no handler signal=SIGUSR2");
	must_say("verdict=asleep");
	must_say("cause=\"SIGKILL\"");
	ck_assert_ptr_null(
		strstr(strstr(told, "not signalled") + 1, "not signalled")); /* once per job */
	stop();
}
END_TEST

/* ---- pauses ---- */

START_TEST(a_stopped_worker_is_reported_and_goes_on_when_it_is_continued)
{
	start(NULL);
	begin("sleep 200");
	ck_assert_int_eq(kill(fleet.worker[0], SIGSTOP), 0);
	await_told("status", "suspended"); /* as the process is; of the slot below */
	await_told("events --kind transition", "to=paused");
	await_told("status -o json", "\"state\":\"suspended\"");
	await_told(VERDICTS, "verdict=stopped");
	must_say("response=report");
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	await_reply("1");
	await_told("events --kind transition", "event=resume");
	await_told("status", "ready");
	ck_assert(fleet_lives(fleet.worker[0]));
	stop();
}
END_TEST

START_TEST(one_that_hangs_behind_a_pause_is_reported_for_that_too)
{
	static const char *const options[] = { "--hang-after", "300ms", "--on-hang", "report", NULL };

	start(options);
	begin("sleep 4000");
	await_told("status", "running");
	ck_assert_int_eq(kill(fleet.worker[0], SIGSTOP), 0);
	await_told(VERDICTS, "verdict=stopped");
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	await_told(VERDICTS, "verdict=asleep");
	await_reply("1");
	ck_assert(fleet_lives(fleet.worker[0]));
	stop();
}
END_TEST

START_TEST(a_stopped_worker_is_killed_where_that_is_wanted)
{
	static const char *const options[] = { "--on-paused", "kill", NULL };

	start(options);
	begin("sleep 60000");
	await_told("status", "running");
	ck_assert_int_eq(kill(fleet.worker[0], SIGSTOP), 0);
	await_reply("1");
	fleet_await_line(&fleet, "was stopped in job 0");
	await_told(VERDICTS, "verdict=stopped");
	must_say("response=kill");
	stop();
}
END_TEST

START_TEST(a_parked_worker_that_is_stopped_is_found_when_work_comes)
{
	static const char *const options[] = { "--on-paused", "kill", NULL };

	start(options);
	await_told("status", "parked");
	ck_assert_int_eq(kill(fleet.worker[0], SIGSTOP), 0);
	fleet_await_state(fleet.worker[0], 'T');
	(void)poll(NULL, 0, 300); /* the guard has parked: nobody notices yet */
	(void)ask(VERDICTS);
	must_not_say("verdict=");
	ck_assert_int_eq(call("add", FLEET_WAIT_MS), RK_DONE);
	await_told(VERDICTS, "verdict=stopped");
	must_say("(pending, "); /* work waited for it, it was in no job */
	stop();
}
END_TEST

/* A process that holds the worker until it is killed. */
static pid_t trace(pid_t worker)
{
	int held[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(held), 0);
	pid = fork();
	if (pid == 0) {
		if (ptrace(PTRACE_SEIZE, worker, 0, 0) < 0 ||
		    ptrace(PTRACE_INTERRUPT, worker, 0, 0) < 0 ||
		    waitpid(worker, NULL, __WALL) != worker || write(held[1], "h", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(held[1]);
	if (read(held[0], &byte, 1) != 1)
		pid = 0;
	(void)close(held[0]);
	return pid;
}

START_TEST(a_traced_worker_is_found)
{
	static const char *const options[] = { "--on-paused", "kill", NULL };
	pid_t tracer;

	start(options);
	begin("sleep 60000");
	await_told("status", "running");
	tracer = trace(fleet.worker[0]);
	if (tracer) { /* some machines forbid it */
		await_reply("1");
		(void)kill(tracer,
			   SIGKILL); /* a traced process stays with its tracer when it is dead */
		await_told(VERDICTS, "verdict=traced");
		fleet_await_line(&fleet, "was traced in job 0");
		(void)waitpid(tracer, NULL, 0);
	}
	rk_client_close(client);
	(void)kill(fleet.keeper, SIGTERM);
	(void)fleet_reap(&fleet);
}
END_TEST

/* ---- starts and stops ---- */

START_TEST(a_worker_that_never_attaches_is_ended_and_tried_again)
{
	static const char *const options[] = { "--start-timeout", "500ms", NULL };

	ck_assert_int_eq(setenv("RK_TEST_MUTE", "1", 1), 0);
	fleet_launch(&fleet, 1, options, WORKER);
	ck_assert_int_eq(unsetenv("RK_TEST_MUTE"), 0);
	fleet_await_line(&fleet, "did not start");
	await_told("why 0", "worker killed"); /* the record behind that of the verdict */
	must_say("verdict=start-timeout");
	must_say("state=S");
	await_told("events --kind spawn", "started");
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_worker_that_does_not_stop_is_ended_with_its_verdict)
{
	static const char *const options[] = { "--stop-timeout", "500ms", NULL };
	char program[4096], command[4200];
	FILE *events;

	start(options);
	begin("sleep 60000");
	await_told("status", "running");
	fleet_path(program, "rekindle");
	snprintf(command, sizeof(command),
		 "%.4000s events -f -n 0 --kind verdict,evidence,response", program);
	events = popen(command, "r");
	ck_assert_ptr_nonnull(events);
	rk_client_close(client);
	(void)poll(NULL, 0, 500); /* until it follows; later it would find the file removed */
	fleet_stop(&fleet);
	told[fread(told, 1, sizeof(told) - 1, events)] = '\0';
	(void)pclose(events);
	must_say("verdict=stop-timeout");
	must_say("state=S");
	must_say("it did not stop in time");
}
END_TEST

int main(void)
{
	TCase *c = unit_case("hang");

	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, a_hung_worker_is_killed_with_its_evidence_and_its_job_done, 0,
			    (int)rk_countof(hangs));
	tcase_add_test(c, where_a_core_is_wanted_it_is_aborted_first);
	tcase_add_test(c, who_is_only_reported_is_left_to_finish);
	tcase_add_test(c, where_partitions_cannot_be_moved_it_is_reported_and_said);
	tcase_add_test(c, who_sleeps_within_its_bound_is_left_alone);
	tcase_add_test(c, who_never_waits_is_found_asleep_at_once);
	tcase_add_test(c, a_job_past_its_deadline_that_goes_on_ends_with_its_worker);
	tcase_add_test(c, one_that_honors_cancellation_answers_and_nobody_dies);
	tcase_add_test(c, one_that_waits_in_read_is_interrupted_by_the_signal_and_nobody_dies);
	tcase_add_test(c, another_attempt_has_its_time_anew_and_is_told_again);
	tcase_add_test(c, who_has_no_handler_is_not_killed_by_the_signal);
	tcase_add_test(c, a_stopped_worker_is_reported_and_goes_on_when_it_is_continued);
	tcase_add_test(c, one_that_hangs_behind_a_pause_is_reported_for_that_too);
	tcase_add_test(c, a_stopped_worker_is_killed_where_that_is_wanted);
	tcase_add_test(c, a_parked_worker_that_is_stopped_is_found_when_work_comes);
	tcase_add_test(c, a_traced_worker_is_found);
	tcase_add_test(c, a_worker_that_never_attaches_is_ended_and_tried_again);
	tcase_add_test(c, a_worker_that_does_not_stop_is_ended_with_its_verdict);
	return unit_run(c);
}
