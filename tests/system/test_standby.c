/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A parked standby takes over from a dead worker, and another one is made; one that is dead,
 *         stopped, or of another program does not, and the slot has its process all the same; one
 *         that dies or stops between its order and the lease costs nothing. Whatever is killed, no
 *         job is lost or done twice; when the fleet ends, no standby is left.
 * Method  Real fleets of tests/system/test_worker, whose standbys can be armed to die or stop at the
 *         kill points of a take-over; the board as `rekindle status` prints it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/rand.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

#define KEYS 8
#define PARTITIONS 256 /* as many as there are unless a fleet says other */
#define STORM_KILLS 60

static struct fleet fleet;
static char scratch[64]; /* a directory of this test's own */

/* ---- what is there ---- */

/* The first standby that is parked, or 0. */
static pid_t parked(void)
{
	struct json_object *o = fleet_status(), *all = fleet_member(o, "standbys", NULL);
	pid_t pid = 0;

	if (json_object_array_length(all) > 0)
		pid = json_object_get_int(fleet_member(json_object_array_get_idx(all, 0), "pid", NULL));
	json_object_put(o);
	return pid;
}

/* One that is parked and is not this one. */
static pid_t await_parked(pid_t other)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	pid_t pid;

	while ((pid = parked()) == 0 || pid == other) {
		ck_assert_msg(rk_clock_ns() < end_ns, "there is no standby");
		(void)poll(NULL, 0, 5);
	}
	return pid;
}

static pid_t owner(struct rk_client *c, const char *key)
{
	uint32_t partition, worker;
	int pid;

	ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &pid), 0);
	return pid;
}

/* Adds one; returns the sum. */
static unsigned long long add(struct rk_client *c, const char *key)
{
	struct rk_request request = { .key = key, .body = "add", .len = 4, .timeout_ms = RK_TIMEOUT_NONE };
	struct rk_reply reply = { 0 };
	unsigned long long n = 0;
	char text[32] = "";
	int r = rk_call_retry(c, &request, &reply);

	ck_assert_msg(r == RK_DONE, "%s: %s", key, rk_outcome_text(r));
	memcpy(text, reply.body, reply.len < 31 ? reply.len : 31);
	rk_reply_release(c, &reply);
	ck_assert_int_eq(sscanf(text, "%llu", &n), 1);
	return n;
}

/* ---- fleets ---- */

static void scratch_make(void)
{
	strcpy(scratch, "/tmp/rk-standby-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scratch));
}

static const char *scratch_path(char text[static 128], const char *name)
{
	snprintf(text, 128, "%s/%s", scratch, name);
	return text;
}

static void scratch_remove(const char *name)
{
	char path[128];

	(void)unlink(scratch_path(path, name));
	(void)rmdir(scratch); /* with the last one */
}

static struct rk_client *start(int n_workers, const char *const *options)
{
	static const char *const one[] = { "--standby=1", NULL };

	fleet_start(&fleet, n_workers, options ? options : one, NULL);
	return fleet_client("standby");
}

static void stop(struct rk_client *c)
{
	rk_client_close(c);
	fleet_stop(&fleet);
}

/* The owner as soon as it is another process; the board is a moment behind. */
static pid_t await_owner(struct rk_client *c, const char *key, pid_t other)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	pid_t now;

	while ((now = owner(c, key)) == other || now <= 0) {
		ck_assert(rk_clock_ns() < end_ns);
		(void)poll(NULL, 0, 1);
	}
	return now;
}

/* The worker of this key dies; the next call is answered by its successor. */
static pid_t replace(struct rk_client *c, const char *key, unsigned long long n)
{
	pid_t before = owner(c, key);

	ck_assert_int_eq(kill(before, SIGKILL), 0);
	ck_assert_uint_eq(add(c, key), n);
	return await_owner(c, key, before);
}

/* ---- taking over ---- */

START_TEST(a_standby_takes_over_and_another_one_is_made)
{
	struct rk_client *c = start(2, NULL);
	pid_t standby = await_parked(0);

	ck_assert_uint_eq(add(c, "k"), 1);
	for (unsigned long long i = 2; i < 6; i++) {
		ck_assert_int_eq(replace(c, "k", i), standby);
		standby = await_parked(standby);
	}
	stop(c);
}
END_TEST

START_TEST(without_one_that_is_parked_a_process_is_made)
{
	struct rk_client *c = start(1, NULL);
	pid_t first = await_parked(0), second;

	ck_assert_uint_eq(add(c, "k"), 1);
	ck_assert_int_eq(replace(c, "k", 2), first);
	ck_assert_int_ne(replace(c, "k", 3), first); /* at once, before the next one has parked */
	second = await_parked(first);
	ck_assert_int_ne(second, owner(c, "k"));
	stop(c);
}
END_TEST

START_TEST(one_that_dies_parked_is_made_again)
{
	struct rk_client *c = start(1, NULL);
	pid_t standby = await_parked(0);

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(kill(standby, SIGKILL), 0);
		standby = await_parked(standby);
	}
	ck_assert_uint_eq(add(c, "k"), 1);
	ck_assert_int_eq(replace(c, "k", 2), standby);
	stop(c);
}
END_TEST

START_TEST(one_that_is_stopped_is_not_used_and_is_replaced)
{
	struct rk_client *c = start(1, NULL);
	pid_t standby = await_parked(0);

	ck_assert_uint_eq(add(c, "k"), 1);
	ck_assert_int_eq(kill(standby, SIGSTOP), 0);
	fleet_await_state(standby, 'T');
	ck_assert_int_ne(replace(c, "k", 2), standby);
	fleet_await_state(standby, 'Z');
	(void)await_parked(standby);
	stop(c);
}
END_TEST

/* Where the first standby gets a signal, and whether it is its end at once. */
static const struct {
	const char *point;
	int sig;
} instants[] = {
	{ "STANDBY_ORDERED", SIGKILL },
	{ "WORKER_LEASED", SIGKILL },
	{ "STANDBY_ORDERED", SIGSTOP },
};

START_TEST(one_that_dies_or_stops_in_its_take_over_is_followed_by_another_process)
{
	char text[256], path[128];
	struct rk_client *c;
	pid_t standby;

	scratch_make();
	snprintf(text, sizeof(text), "%s:%d:%s", instants[_i].point, instants[_i].sig, scratch_path(path, "armed"));
	ck_assert_int_eq(setenv("RK_TEST_STANDBY", text, 1), 0);
	c = start(1, NULL);
	standby = await_parked(0);
	ck_assert_uint_eq(add(c, "k"), 1);
	(void)replace(c, "k", 2);
	fleet_await_state(standby, 'Z');
	(void)await_owner(c, "k", standby);
	standby = await_parked(standby);
	ck_assert_int_eq(replace(c, "k", 3), standby);
	stop(c);
	scratch_remove("armed");
}
END_TEST

/* ---- what it runs, and where its output goes ---- */

static void copy(const char *from, const char *to)
{
	char bytes[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	ssize_t n;

	ck_assert(in >= 0 && out >= 0);
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		ck_assert_int_eq(write(out, bytes, (size_t)n), n);
	(void)close(in);
	(void)close(out);
}

START_TEST(one_whose_program_was_replaced_is_not_used)
{
	static const char *const options[] = { "--standby=1", NULL };
	char program[4096], daemon[4096], rekindle[4096], path[128], next[128];
	struct rk_client *c;
	pid_t standby;

	scratch_make();
	fleet_path(program, "tests/system/test_worker");
	fleet_path(daemon, "rekindled");
	fleet_path(rekindle, "rekindle");
	copy(program, scratch_path(path, "worker"));
	ck_assert_int_eq(symlink(daemon, scratch_path(next, "rekindled")), 0);
	ck_assert_int_eq(symlink(rekindle, scratch_path(next, "rekindle")), 0);
	ck_assert_int_eq(setenv("RK_TEST_BUILD", scratch, 1), 0);
	fleet_start(&fleet, 1, options, "worker");
	c = fleet_client("standby");
	standby = await_parked(0);
	ck_assert_uint_eq(add(c, "k"), 1);
	copy(program, scratch_path(next, "worker.new"));
	ck_assert_int_eq(rename(next, path), 0);
	ck_assert_int_ne(replace(c, "k", 2), standby);
	standby = await_parked(standby);
	ck_assert_int_eq(replace(c, "k", 3), standby);
	stop(c);
	scratch_remove("worker");
	scratch_remove("rekindled");
	scratch_remove("rekindle");
}
END_TEST

START_TEST(a_rolling_restart_renews_them)
{
	struct rk_client *c = start(2, NULL);
	char program[4096], command[4300];
	pid_t standby = await_parked(0), before;

	ck_assert_uint_eq(add(c, "k"), 1);
	before = owner(c, "k");
	fleet_path(program, "rekindle");
	snprintf(command, sizeof(command), "'%s' restart >&2", program);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_ne(owner(c, "k"), before);
	ck_assert_int_ne(owner(c, "k"), standby);
	fleet_await_state(standby, 'Z');
	(void)await_parked(standby);
	ck_assert_uint_eq(add(c, "k"), 2);
	stop(c);
}
END_TEST

/* Whether a process's standard output is this file. */
static bool writes_to(pid_t pid, const char *name)
{
	char link[64], path[128], is[128];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/fd/1", (int)pid);
	n = readlink(link, is, sizeof(is) - 1);
	ck_assert_int_gt(n, 0);
	is[n] = '\0';
	return strcmp(is, scratch_path(path, name)) == 0;
}

START_TEST(its_output_is_the_slots_from_its_promotion_on)
{
	char output[192];
	const char *const options[] = { "--standby=1", output, NULL };
	struct rk_client *c;
	pid_t standby;

	scratch_make();
	snprintf(output, sizeof(output), "--output=file:%s/%%i.log", scratch);
	c = start(1, options);
	standby = await_parked(0);
	ck_assert(writes_to(standby, "standby.log"));
	ck_assert_uint_eq(add(c, "k"), 1);
	ck_assert_int_eq(replace(c, "k", 2), standby);
	ck_assert(writes_to(standby, "0.log"));
	stop(c);
	scratch_remove("standby.log");
	scratch_remove("0.log");
}
END_TEST

/* How often the hook ran for this slot. */
static int count(const char *slot)
{
	char path[128], line[64];
	FILE *file = fopen(scratch_path(path, "hooks"), "re");
	int n = 0;

	ck_assert_ptr_nonnull(file);
	while (fscanf(file, "%63s", line) == 1)
		n += strcmp(line, slot) == 0;
	(void)fclose(file);
	return n;
}

START_TEST(its_hook_runs_before_it_parks_and_not_again)
{
	char hook[192];
	const char *const options[] = { "--standby=1", "--exec-start-pre", hook, NULL };
	struct rk_client *c;
	pid_t standby;

	scratch_make();
	snprintf(hook, sizeof(hook), "sh -c 'echo $REKINDLE_WORKER_SLOT >>%s/hooks'", scratch);
	c = start(1, options);
	standby = await_parked(0);
	ck_assert_int_eq(count("0"), 1);
	ck_assert_int_eq(count("standby"), 1);
	ck_assert_uint_eq(add(c, "k"), 1);
	ck_assert_int_eq(replace(c, "k", 2), standby);
	(void)await_parked(standby);
	ck_assert_int_eq(count("0"), 1);
	ck_assert_int_eq(count("standby"), 2);
	stop(c);
	scratch_remove("hooks");
}
END_TEST

/* ---- the end ---- */

/* Whoever holds the fleet's standard output is waited for: the standbys do. */
START_TEST(none_is_left_when_keeper_is_killed)
{
	static const char *const options[] = { "--standby=3", NULL };
	pid_t standby;

	fleet_start(&fleet, 1, options, NULL);
	standby = await_parked(0);
	ck_assert_int_eq(kill(fleet.keeper, SIGKILL), 0);
	(void)fleet_reap(&fleet);
	ck_assert(!fleet_lives(standby));
}
END_TEST

START_TEST(one_ends_with_its_supervisor_and_the_next_supervisor_makes_another)
{
	static const char *const options[] = { "--standby=1", NULL };
	struct rk_client *c = start(1, options);
	pid_t standby = await_parked(0);

	ck_assert_int_eq(kill(fleet_supervisor(), SIGKILL), 0);
	fleet_await_state(standby, 'Z');
	ck_assert_int_ne(await_parked(standby), standby);
	stop(c);
}
END_TEST

START_TEST(one_that_is_stopped_does_not_hold_up_the_end_for_ever)
{
	static const char *const options[] = { "--standby=1", "--stop-timeout=300ms", NULL };
	struct rk_client *c = start(1, options);
	pid_t standby = await_parked(0);

	ck_assert_int_eq(kill(standby, SIGSTOP), 0);
	stop(c);
	ck_assert(!fleet_lives(standby));
}
END_TEST

/* ---- a storm ---- */

static int kill_standby(void)
{
	pid_t pid = parked();
	int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1, r;

	if (fd < 0)
		return 0;
	r = syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
	(void)close(fd);
	return r;
}

/* Keys may share a partition, which counts for both. */
static uint32_t partition_of(struct rk_client *c, int k, char key[static 16])
{
	uint32_t partition, worker;
	int pid;

	snprintf(key, 16, "key %d", k);
	ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &pid), 0);
	return partition;
}

START_TEST(in_a_storm_every_job_is_done_once)
{
	uint64_t seed = rk_clock_ns();
	struct rk_rand random = rk_rand_init(seed);
	unsigned long long n[PARTITIONS] = { 0 };
	int n_workers = 0, n_standbys = 0;
	struct rk_client *c = start(2, NULL);
	pid_t promoted = 0;

	printf("# seed %llu\n", (unsigned long long)seed);
	while (n_workers + n_standbys < STORM_KILLS) {
		char key[16];
		uint32_t p = partition_of(c, (int)rk_rand_below(&random, KEYS), key);

		ck_assert_uint_eq(add(c, key), ++n[p]);
		if (rk_rand_below(&random, 100) == 0)
			n_workers += fleet_kill_owner(c, key);
		if (rk_rand_below(&random, 300) == 0)
			n_standbys += kill_standby();
		if (rk_rand_below(&random, 300) == 0)
			promoted = parked() ? parked() : promoted;
	}
	printf("# %d workers and %d standbys killed\n", n_workers, n_standbys);
	ck_assert_int_gt(n_standbys, 0);
	ck_assert_int_gt(n_workers, 0);
	ck_assert_int_gt(promoted, 0);
	for (int k = 0; k < KEYS; k++) {
		char key[16];
		uint32_t p = partition_of(c, k, key);

		ck_assert_uint_eq(add(c, key), ++n[p]);
	}
	stop(c);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("standby");

	tcase_set_timeout(c, 100);
	tcase_add_test(c, a_standby_takes_over_and_another_one_is_made);
	tcase_add_test(c, without_one_that_is_parked_a_process_is_made);
	tcase_add_test(c, one_that_dies_parked_is_made_again);
	tcase_add_test(c, one_that_is_stopped_is_not_used_and_is_replaced);
	tcase_add_loop_test(c, one_that_dies_or_stops_in_its_take_over_is_followed_by_another_process, 0,
			    (int)rk_countof(instants));
	tcase_add_test(c, one_whose_program_was_replaced_is_not_used);
	tcase_add_test(c, a_rolling_restart_renews_them);
	tcase_add_test(c, its_output_is_the_slots_from_its_promotion_on);
	tcase_add_test(c, its_hook_runs_before_it_parks_and_not_again);
	tcase_add_test(c, none_is_left_when_keeper_is_killed);
	tcase_add_test(c, one_ends_with_its_supervisor_and_the_next_supervisor_makes_another);
	tcase_add_test(c, one_that_is_stopped_does_not_hold_up_the_end_for_ever);
	tcase_add_test(c, in_a_storm_every_job_is_done_once);
	return unit_run(c);
}
