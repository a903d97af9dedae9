/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A job that kills its worker again and again, by a crash or by a hang, is quarantined
 * after DeadLetterAfter attempts, alone and inside a batch; its client is told, and told again;
 *         jobs whose workers others killed are not charged, and everybody else goes on.
 * Method  Real fleets of tests/system/hang_worker, whose jobs misbehave in every process; the dead
 *         letters as a reader of the fleet maps them, the event log as the command prints it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "cli/look.h"
#include "shm/dead.h"
#include "shm/words.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

#define WORKER "tests/system/hang_worker"
#define WORKERS 4
#define STORMS 5
#define LONE_KILLS 4

static struct fleet fleet;
static struct rk_look look;
static char told[65536]; /* what the command printed */

static void start(int n_workers, const char *const *options, const char *worker)
{
	struct rk_err err;

	fleet_start(&fleet, n_workers, options, worker ? worker : WORKER);
	ck_assert_msg(rk_look_open(&look, NULL, &err) == 0, "%s", err.text);
}

static void stop(void)
{
	rk_look_close_p(&look);
	fleet_stop(&fleet);
}

static struct rk_request job(const char *key, const char *body)
{
	return (struct rk_request){
		.key = key, .body = body, .len = strlen(body) + 1, .timeout_ms = RK_TIMEOUT_NONE
	};
}

static const char *events(const char *kinds)
{
	char command[4300], program[4096];
	FILE *out;

	fleet_path(program, "rekindle");
	snprintf(command, sizeof(command), "%.4000s events --kind %.100s", program, kinds);
	out = popen(command, "r");
	ck_assert_ptr_nonnull(out);
	told[fread(told, 1, sizeof(told) - 1, out)] = '\0';
	(void)pclose(out);
	return told;
}

static uint32_t count(const char *text)
{
	uint32_t n = 0;

	for (const char *at = told; (at = strstr(at, text)) != NULL; at++)
		n++;
	return n;
}

/* The letters that are there; *ret is the last one, its bytes in room. */
static uint32_t letters(struct rk_dead_letter *ret, char room[static 2048])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < look.m.g.n_dead; i++) {
		struct rk_dead_letter l = { .bytes = room };

		if (rk_dead_look(&look.m, i, &l)) {
			*ret = l;
			n++;
		}
	}
	return n;
}

static void assert_told(const char *text, uint32_t n)
{
	ck_assert_msg(count(text) == n, "%u times '%s' and not %u times in: %s", count(text), text,
		      n, told);
}

/* The same, or once more: where /proc was too slow to tell how a worker died (Linux before 6.15).
 */
static void assert_told_or_more(const char *text, uint32_t n)
{
	if (count(text) != n + 1)
		assert_told(text, n);
}

static void assert_added(struct rk_client *c, const char *key, const char *text)
{
	struct rk_request request = job(key, "add");
	struct rk_reply reply = { 0 };

	ck_assert_int_eq(rk_call(c, &request, &reply), RK_DONE);
	ck_assert_msg(reply.len == strlen(text) && memcmp(reply.body, text, reply.len) == 0, "%.*s",
		      (int)reply.len, (const char *)reply.body);
	rk_reply_release(c, &reply);
}

/* ---- poison ---- */

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
	{ { 0 }, "tests/system/test_worker", "exit 9", true, 3, RK_CAUSE_CRASHED, CLD_EXITED, 9 },
};

/* What is in the letter; the cause may come a moment behind the client's answer. */
static void assert_letter(int i)
{
	struct rk_dead_letter l;
	char room[2048];
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;

	do {
		ck_assert_uint_eq(letters(&l, room), 1);
		ck_assert(rk_clock_ns() < end_ns);
	} while (l.cause.code == 0);
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
	struct rk_request request = job("k", poisons[_i].body);
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	if (poisons[_i].has_thread)
		ck_assert_int_eq(setenv("RK_TEST_THREAD", "1", 1), 0);
	start(1, poisons[_i].options, poisons[_i].worker);
	ck_assert_int_eq(unsetenv("RK_TEST_THREAD"), 0);
	c = fleet_client(NULL);
	assert_added(c, "k", "1");
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_FAILED);
	ck_assert_int_eq(reply.error, RK_QUARANTINED);
	rk_reply_release(c, &reply);
	assert_letter(_i);
	assert_added(c, "k", "2"); /* of its own changes nothing is left */
	(void)events("response,quarantine");
	assert_told_or_more("job charged", poisons[_i].after);
	assert_told("quarantined job=1 ", 1);
	(void)events("transition"); /* of deaths in a rush not each is told */
	assert_told_or_more("action=recover", poisons[_i].after);
	rk_client_close(c);
	stop();
}
END_TEST

START_TEST(its_client_is_told_again_also_in_its_next_process)
{
	struct rk_request request = job("k", "always crash");
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	start(1, NULL, NULL);
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
	(void)events("transition");               /* of deaths in a rush not each is told */
	assert_told_or_more("action=recover", 3); /* it never ran again */
	rk_client_close(c);
	stop();
}
END_TEST

static const char *const batch_poisons[] = { "always crash", "always deadlock" };

START_TEST(inside_a_batch_it_alone_is_charged)
{
	static const char *const options[] = { "--batch=64", "--hang-after=300ms", NULL };
	struct rk_request add = job("k", "add"), slow = job("k", "sleep 200"),
			  poison = job("k", batch_poisons[_i]);
	struct rk_reply reply = { 0 };
	uint32_t n_done = 0, n_quarantined = 0;
	struct rk_client *c;
	int r;

	start(1, options, NULL);
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
	assert_added(c, "k", "11");
	(void)events("response,quarantine");
	assert_told_or_more("job charged", 3);
	assert_told_or_more("job charged job=6 ", 2);
	rk_client_close(c);
	stop();
}
END_TEST

START_TEST(a_full_table_holds_up_the_next_ones_partition_alone)
{
	static const char *const options[] = { "--dead-letters=1", "--dead-letter-after=1",
					       "--partitions=64", NULL };
	struct rk_request first = job("k", "always crash"), second = job("a", "always crash");
	struct rk_reply reply = { 0 };
	struct rk_dead_letter l;
	struct rk_client *c;
	char room[2048];

	start(1, options, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call(c, &first, &reply), RK_FAILED);
	ck_assert_int_eq(reply.error, RK_QUARANTINED);
	rk_reply_release(c, &reply);
	second.timeout_ms = 500;
	ck_assert_int_eq(rk_call(c, &second, &reply), RK_UNKNOWN);
	ck_assert(rk_dead_is_blocked(&look.m, reply.partition));
	ck_assert_uint_eq(letters(&l, room), 1);
	assert_added(c, "k", "1");
	rk_client_close(c);
	stop();
}
END_TEST

/* ---- innocents ---- */

/* Waits until a process of the key's slot that is not this one is in a job. Returns its pid. */
static int await_in_job(struct rk_client *c, const char *key, int not_pid)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	uint32_t partition, worker;
	struct rk_beat *beat;
	int pid;

	do {
		ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &pid),
				 0);
		rk_look_view(&look);
		beat = rk_shm_beat(&look.m, worker);
		if (pid > 0 && pid != not_pid && beat->state == RK_BEAT_RUNNING &&
		    beat->incarnation == rk_look_slot(&look, worker)->incarnation)
			return pid;
	} while (rk_clock_ns() < end_ns);
	ck_abort_msg("no worker is in a job of %s", key);
}

/* One key for each worker. */
static void keys_find(struct rk_client *c, char ret[static WORKERS][16])
{
	uint32_t partition, worker, n_found = 0;
	bool found[WORKERS] = { 0 };
	int pid;

	for (unsigned int i = 0; n_found < WORKERS; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key%u", i);
		ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &pid),
				 0);
		ck_assert_uint_lt(worker, WORKERS);
		if (found[worker])
			continue;
		found[worker] = true;
		memcpy(ret[worker], key, sizeof(key));
		n_found++;
	}
}

START_TEST(jobs_whose_workers_are_killed_in_a_storm_are_not_charged)
{
	char keys[WORKERS][16];
	struct rk_reply reply = { 0 };
	struct rk_dead_letter l;
	struct rk_client *c;
	char room[2048];
	int pid[WORKERS] = { 0 };

	start(WORKERS, NULL, NULL);
	c = fleet_client(NULL);
	keys_find(c, keys);
	for (int i = 0; i < WORKERS; i++) {
		struct rk_request request = job(keys[i], "always sleep 2500");

		ck_assert_int_eq(rk_call_async(c, &request), 0);
	}
	for (int storm = 0; storm < STORMS; storm++) {
		for (int i = 0; i < WORKERS; i++)
			pid[i] = await_in_job(c, keys[i], pid[i]);
		for (int i = 0; i < WORKERS; i++)
			ck_assert_int_eq(kill(pid[i], SIGKILL), 0);
	}
	for (int i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(rk_next(c, 3 * FLEET_WAIT_MS, &reply), RK_DONE);
		rk_reply_release(c, &reply);
	}
	ck_assert_uint_eq(letters(&l, room), 0);
	(void)events("response,quarantine");
	assert_told("quarantined", 0);
	assert_told("job charged", 0);
	ck_assert_uint_eq(count("it was one of several deaths") +
				  count("somebody killed the worker"),
			  STORMS * WORKERS);
	for (uint32_t p = 0; p < look.m.g.n_partitions; p++)
		ck_assert_uint_eq(atomic_load_explicit(&rk_shm_part(&look.m, p)->attempts,
						       memory_order_relaxed) &
					  RK_ATTEMPTS_MAX,
				  0);
	rk_client_close(c);
	stop();
}
END_TEST

START_TEST(a_job_whose_worker_is_killed_alone_again_and_again_is_not_charged)
{
	struct rk_request request = job("k", "always sleep 1500");
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	int pid = 0;

	start(1, NULL, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	for (int death = 0; death < LONE_KILLS; death++) {
		pid = await_in_job(c, "k", pid);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
	}
	ck_assert_int_eq(rk_next(c, 3 * FLEET_WAIT_MS, &reply), RK_DONE);
	rk_reply_release(c, &reply);
	(void)events("response,quarantine");
	assert_told("job charged", 0);
	assert_told("somebody killed the worker", LONE_KILLS);
	rk_client_close(c);
	stop();
}
END_TEST

START_TEST(a_job_that_people_stop_whose_worker_is_then_killed_by_us_is_not_charged)
{
	static const char *const options[] = { "--on-paused=kill", NULL };
	struct rk_request request = job("k", "always sleep 1500");
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	int pid = 0;

	start(1, options, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	for (int i = 0; i < 4; i++) {
		pid = await_in_job(c, "k", pid);
		ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	}
	(void)await_in_job(c, "k", pid);
	ck_assert_int_eq(rk_next(c, 3 * FLEET_WAIT_MS, &reply), RK_DONE);
	rk_reply_release(c, &reply);
	(void)events("response,quarantine");
	assert_told("job charged", 0);
	assert_told("job not charged", 4);
	rk_client_close(c);
	stop();
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
	tcase_add_test(c, a_full_table_holds_up_the_next_ones_partition_alone);
	tcase_add_test(c, jobs_whose_workers_are_killed_in_a_storm_are_not_charged);
	tcase_add_test(c, a_job_whose_worker_is_killed_alone_again_and_again_is_not_charged);
	tcase_add_test(c, a_job_that_people_stop_whose_worker_is_then_killed_by_us_is_not_charged);
	return unit_run(c);
}
