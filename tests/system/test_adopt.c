/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The supervisor's death is a non-event, whatever happens at the moment and whatever happens
 *         before there is another one: workers and clients go on, each slot has one process, no job is
 *         lost or done twice, what operators wanted stays so, and nothing is left behind.
 * Method  Real fleets. The supervisor is killed, held by a pidfd; to hold the moment in which nobody
 *         supervises, keeper is stopped before. The fleet is looked at through a reader of its board that
 *         was there before; where somebody has to hear of an end it is the command that waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "shm/part.h"
#include "tests/system/deaths.h"
#include "tests/unit/unit.h"

#define KEYS 12
#define MORE_KEYS 4 /* that calls_count() does not count */
#define TEST_WORKER "tests/system/test_worker"

static struct deaths d;
static struct rk_client *client;
static char keys[KEYS + MORE_KEYS][16]; /* each of a partition of its own, which counts for itself */
static unsigned long long n_added[KEYS];

/* ---- what is there ---- */

static struct rk_view_slot slot(uint32_t worker)
{
	rk_look_view(&d.look);
	return *rk_look_slot(&d.look, worker);
}

static void await(bool (*is_so)(uint32_t worker, uint64_t than), uint32_t worker, uint64_t than, const char *what)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;

	while (!is_so(worker, than)) {
		ck_assert_msg(rk_clock_ns() < end_ns, "worker %u is not %s", worker, what);
		(void)poll(NULL, 0, 1);
	}
}

static bool is_ready_again(uint32_t worker, uint64_t incarnation)
{
	struct rk_view_slot s = slot(worker);

	return s.state == RK_SLOT_READY && s.incarnation > incarnation;
}

static bool is_in(uint32_t worker, uint64_t state)
{
	return slot(worker).state == state;
}

/* The kernel's list, without those that have ended and wait to be reaped. */
static uint32_t n_children(pid_t pid, bool *ret_zombies)
{
	uint32_t n = 0;
	char path[64];
	int child;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "re");
	*ret_zombies = false;
	while (f && fscanf(f, "%d", &child) == 1) {
		n += fleet_lives(child);
		*ret_zombies = *ret_zombies || !fleet_lives(child);
	}
	if (f)
		(void)fclose(f);
	return n;
}

static uint32_t n_processes(void)
{
	uint32_t n = 1; /* the supervisor */

	rk_look_view(&d.look);
	for (uint32_t i = 0; i < d.look.m.g.n_workers; i++)
		n += rk_look_slot(&d.look, i)->pid > 0; /* standbys too */
	return n;
}

/* Each process of keeper's is somebody's, and the other way round. */
static void await_no_orphan(void)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	bool zombies;

	while (n_children(d.fleet.keeper, &zombies) != n_processes() || zombies) {
		ck_assert_msg(rk_clock_ns() < end_ns, "keeper has %u children, there should be %u", n_children(d.fleet.keeper, &zombies),
			      n_processes());
		(void)poll(NULL, 0, 1);
	}
}

/* ---- calls ---- */

static void keys_choose(void)
{
	bool is_taken[RK_PARTITIONS_MAX] = { false };
	uint32_t partition, worker;
	int pid;

	for (int i = 0, n = 0; i < KEYS + MORE_KEYS; n++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", n);
		ck_assert_int_eq(rk_client_where(client, keys[i], 0, &partition, &worker, &pid), 0);
		i += !is_taken[partition];
		is_taken[partition] = true;
	}
}

/* Each key counts one up, exactly. */
static void calls_count(void)
{
	for (int i = 0; i < KEYS; i++) {
		char count[24];

		snprintf(count, sizeof(count), "%llu", ++n_added[i]);
		deaths_assert_added(client, keys[i], count);
	}
}

static void call_begin(struct rk_client *c, const char *key, const char *body)
{
	struct rk_request request = deaths_job(key, body);

	ck_assert_int_eq(rk_call_async(c, &request), 0);
}

static void call_end(struct rk_client *c, const char *text)
{
	struct rk_reply reply = { 0 };
	int r = rk_next(c, FLEET_WAIT_MS, &reply);

	ck_assert_msg(r == RK_DONE, "%s", rk_outcome_text(r));
	ck_assert_msg(reply.len == strlen(text) && memcmp(reply.body, text, reply.len) == 0, "%.*s and not %s",
		      (int)reply.len, (const char *)reply.body, text);
	rk_reply_release(c, &reply);
}

/* ---- beginning and end ---- */

/* The board says so a moment after keeper does. */
static void await_all(int n_workers)
{
	for (int i = 0; i < n_workers; i++)
		await(is_in, (uint32_t)i, RK_SLOT_READY, "ready");
}

static void begin(int n_workers, const char *const *options, const char *worker)
{
	deaths_start(&d, n_workers, options, worker ? worker : TEST_WORKER);
	await_all(n_workers);
	client = fleet_client("tester");
	keys_choose();
}

static void end(void)
{
	calls_count();
	await_no_orphan();
	rk_client_close(client);
	deaths_stop(&d);
}

static pid_t replace_supervisor(void)
{
	return fleet_await_supervisor(fleet_kill_supervisor());
}

/* With the text of a configuration behind "[Fleet test]" and Exec=. */
static void begin_file(int n_workers, const char *worker, const char *text)
{
	char program[4096], all[8192];
	struct rk_err err;

	fleet_path(program, worker ? worker : TEST_WORKER);
	snprintf(all, sizeof(all), "[Fleet test]\nExec=%s\nWorkers=%d\n%s", program, n_workers, text);
	fleet_start_file(&d.fleet, n_workers, all);
	ck_assert_msg(rk_look_open(&d.look, NULL, &err) == 0, "%s", err.text);
	await_all(n_workers);
	client = fleet_client("tester");
	keys_choose();
}

/* ---- commands ---- */

/* Runs 'rekindle ARGUMENTS' beside us; what it prints is in the fleet's directory. */
RK_PRINTF(1, 2) static pid_t command_begin(const char *fmt, ...)
{
	char program[4096], arguments[256], shell[4600];
	va_list args;
	pid_t pid;

	fleet_path(program, "rekindle");
	va_start(args, fmt);
	vsnprintf(arguments, sizeof(arguments), fmt, args);
	va_end(args);
	snprintf(shell, sizeof(shell), "%s/said", d.fleet.directory);
	(void)unlink(shell); /* of the last command */
	snprintf(shell, sizeof(shell), "exec '%s' %s >'%s/said' 2>&1", program, arguments, d.fleet.directory);
	pid = fleet_fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", shell, (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* It has its answer, and says what goes on. */
static void command_await_word(void)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	char path[128];
	struct stat st = { .st_size = 0 };

	snprintf(path, sizeof(path), "%s/said", d.fleet.directory);
	while (stat(path, &st) < 0 || st.st_size == 0) {
		ck_assert_msg(rk_clock_ns() < end_ns, "the command says nothing");
		(void)poll(NULL, 0, 1);
	}
}

/* Returns its exit status; d.told is what it has printed. */
static int command_end(pid_t pid)
{
	char path[128];
	int status;
	FILE *said;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	snprintf(path, sizeof(path), "%s/said", d.fleet.directory);
	said = fopen(path, "re");
	ck_assert_ptr_nonnull(said);
	d.told[fread(d.told, 1, sizeof(d.told) - 1, said)] = '\0';
	(void)fclose(said);
	return WEXITSTATUS(status);
}

#define command(expected, ...)                                                                                         \
	do {                                                                                                           \
		int status_ = command_end(command_begin(__VA_ARGS__));                                                 \
		ck_assert_msg(status_ == (expected), "exit status %d: %s", status_, d.told);                           \
	} while (0)

/* ---- nobody notices ---- */

START_TEST(workers_and_clients_notice_nothing)
{
	struct rk_view_slot before[3];
	uint64_t n;

	begin(3, NULL, NULL);
	calls_count();
	n = atomic_load_explicit(&d.look.m.board->incarnation, memory_order_acquire);
	for (uint32_t i = 0; i < 3; i++)
		before[i] = slot(i);
	for (int i = 0; i < 10; i++) {
		(void)replace_supervisor();
		calls_count();
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct rk_view_slot now = slot(i);

		ck_assert_int_eq(now.pid, before[i].pid);
		ck_assert_uint_eq(now.incarnation, before[i].incarnation);
		ck_assert_uint_eq(now.restarts, before[i].restarts);
		ck_assert_uint_eq(now.started_ns, before[i].started_ns);
		ck_assert_uint_eq(now.n_partitions, before[i].n_partitions);
		ck_assert_int_eq(now.state, RK_SLOT_READY);
	}
	ck_assert_uint_eq(atomic_load_explicit(&d.look.m.board->incarnation, memory_order_acquire), n + 10);
	end();
}
END_TEST

START_TEST(calls_are_answered_while_nobody_supervises)
{
	pid_t dead;

	begin(2, NULL, NULL);
	calls_count();
	dead = fleet_orphan(&d.fleet);
	for (int i = 0; i < 10; i++)
		calls_count();
	ck_assert_int_eq(slot(0).state, RK_SLOT_READY); /* the reader reads on */
	(void)fleet_adopt(&d.fleet, dead);
	end();
}
END_TEST

/* A job that its stopped worker has yet to take: the caller sleeps. */
START_TEST(a_call_that_waits_is_answered_by_whoever_works)
{
	struct rk_reply reply = { 0 };
	struct rk_request request;
	uint32_t partition, worker;
	pid_t child;
	int pid, status;

	begin(2, NULL, NULL);
	request = deaths_job(keys[0], "add");
	ck_assert_int_eq(rk_client_where(client, keys[0], 0, &partition, &worker, &pid), 0);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	fleet_await_state(pid, 'T');
	call_begin(client, keys[0], "add");
	child = fleet_fork();
	if (child == 0) {
		struct rk_client *c = fleet_client("waiter");

		_exit(rk_call(c, &request, &reply) == RK_DONE ? 0 : 1);
	}
	while (rk_shm_client_ids(&d.look.m)[1] == 0) /* it is there */
		(void)poll(NULL, 0, 1);
	(void)replace_supervisor();
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	call_end(client, "1");
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	n_added[0] = 2;
	end();
}
END_TEST

START_TEST(a_new_client_waits_for_the_next_supervisor)
{
	pid_t dead, child;
	int status;

	begin(2, NULL, NULL);
	dead = fleet_orphan(&d.fleet);
	child = fleet_fork();
	if (child == 0) {
		struct rk_client *c = fleet_client(NULL);

		deaths_assert_added(c, keys[KEYS], "1");
		rk_client_close(c);
		_exit(0);
	}
	fleet_await_state(child, 'S');
	ck_assert_int_eq(waitpid(child, &status, WNOHANG), 0);
	(void)fleet_adopt(&d.fleet, dead);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	end();
}
END_TEST

/* ---- workers that die ---- */

/* The job that it was in is run once more, by one successor. */
static void die_in_a_job(int sig, const char *cause, uint32_t n_charged)
{
	pid_t dead, worker;
	uint64_t incarnation;

	begin(1, NULL, DEATHS_WORKER);
	call_begin(client, keys[KEYS], "deadlock");
	worker = deaths_await_in_job(&d, client, keys[KEYS], 0);
	incarnation = slot(0).incarnation;
	dead = fleet_orphan(&d.fleet);
	ck_assert_int_eq(kill(worker, sig), 0);
	fleet_await_state(worker, 'Z');
	ck_assert_int_eq(slot(0).pid, worker); /* nobody knows */
	(void)fleet_adopt(&d.fleet, dead);
	call_end(client, "1");
	await(is_ready_again, 0, incarnation, "ready again");
	ck_assert_uint_eq(slot(0).incarnation, incarnation + 1);
	ck_assert_uint_eq(slot(0).restarts, 1);
	deaths_events(&d, "death,response");
	deaths_assert_told(&d, cause, 1);
	deaths_assert_told(&d, "job charged", n_charged);
	end();
}

START_TEST(a_worker_that_dies_unsupervised_has_one_successor)
{
	die_in_a_job(SIGKILL, "worker died cause=\"SIGKILL\"", 0);
}
END_TEST

START_TEST(a_job_that_crashed_its_worker_unsupervised_is_charged)
{
	die_in_a_job(SIGSEGV, "worker died cause=\"SIGSEGV\"", 1);
}
END_TEST

START_TEST(a_worker_may_die_with_the_supervisor)
{
	static const char *const options[] = { "--restart-burst=100", NULL };

	begin(2, options, NULL);
	for (uint64_t i = 0; i < 12; i++) {
		struct rk_view_slot victim = slot(0);

		calls_count();
		if (i % 2 == 0)
			ck_assert_int_eq(kill(victim.pid, SIGKILL), 0);
		(void)fleet_kill_supervisor();
		if (i % 2 == 1)
			ck_assert_int_eq(kill(victim.pid, SIGKILL), 0);
		calls_count();
		await(is_ready_again, 0, victim.incarnation, "ready again");
		ck_assert_uint_eq(slot(0).restarts, i + 1);
	}
	/* A number is spent for nothing when the supervisor dies between the intent and the process. */
	ck_assert_uint_ge(slot(0).incarnation, 13);
	ck_assert_uint_le(slot(0).incarnation, 25);
	end();
}
END_TEST

/* Its group was killed with what the worker had left: whatever is born there is killed, too. */
START_TEST(a_process_is_never_made_in_a_control_group_that_was_killed)
{
	static const char *const options[] = { "--standby=1", "--restart-burst=100", NULL };
	uint64_t incarnation;
	struct rk_view_slot s;

	begin(1, options, NULL);
	call_begin(client, keys[KEYS], "fork");
	while (rk_next(client, FLEET_WAIT_MS, &(struct rk_reply){ 0 }) != RK_DONE)
		;
	for (int i = 0; i < 3; i++) {
		uint32_t last = d.look.m.g.n_workers - 1;

		await(is_in, last, RK_SLOT_STANDBY, "a standby");
		s = slot(0);
		ck_assert_int_eq(kill(s.pid, SIGKILL), 0);
		await(is_ready_again, 0, s.incarnation, "ready again");
		(void)replace_supervisor();
		await(is_in, last, RK_SLOT_STANDBY, "a standby"); /* of the next supervisor's */
		incarnation = slot(0).incarnation;
		ck_assert_int_eq(kill(slot(last).pid, SIGSTOP), 0); /* it is not promoted then */
		fleet_await_state(slot(last).pid, 'T');
		ck_assert_int_eq(kill(slot(0).pid, SIGKILL), 0);
		await(is_ready_again, 0, incarnation, "ready again, from a new process");
		ck_assert_uint_eq(slot(0).incarnation, incarnation + 1);
	}
	end();
}
END_TEST

START_TEST(more_may_be_adopted_than_the_soft_limit_of_descriptors)
{
	struct rlimit given, few;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &given), 0);
	few = given;
	few.rlim_cur = 64;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	begin(80, NULL, NULL);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &given), 0);
	calls_count();
	(void)replace_supervisor();
	ck_assert_int_eq(prlimit(slot(0).pid, RLIMIT_NOFILE, NULL, &few), 0);
	ck_assert_uint_eq(few.rlim_cur, 64);
	ck_assert_int_eq(kill(slot(0).pid, SIGKILL), 0);
	await(is_ready_again, 0, 1, "ready again");
	ck_assert_int_eq(prlimit(slot(0).pid, RLIMIT_NOFILE, NULL, &few), 0);
	ck_assert_uint_eq(few.rlim_cur, 64); /* nor has a worker of the successor more than keeper was given */
	end();
}
END_TEST

/* ---- clients that die ---- */

static const struct rk_view_client *page_of(uint32_t page)
{
	rk_look_view(&d.look);
	return &rk_view_clients(&d.look.m, d.look.view)[page];
}

static bool has_flags(uint32_t page, uint64_t flags)
{
	return page_of(page)->flags == flags;
}

static bool is_of_process(uint32_t page, uint64_t pid)
{
	return page_of(page)->pid == (int32_t)pid;
}

static uint32_t await_page(pid_t holder)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;

	for (uint32_t page = 0;; page = (page + 1) % d.look.m.g.n_clients) {
		ck_assert(rk_clock_ns() < end_ns);
		if (is_of_process(page, (uint64_t)holder))
			return page;
	}
}

/* Begins three calls of which it reads no reply, and waits to be killed. */
static pid_t client_in_hand(const char *name, uint32_t *ret_page)
{
	int ready[2];
	pid_t child;

	ck_assert_int_eq(pipe(ready), 0);
	child = fleet_fork();
	if (child == 0) {
		struct rk_client *c = fleet_client(name);
		struct rk_reply reply = { 0 };

		for (int i = 0; i < 3; i++)
			call_begin(c, keys[KEYS + i], "add");
		(void)rk_next(c, FLEET_WAIT_MS, &reply); /* and does not release it */
		(void)!write(ready[1], "r", 1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	ck_assert_int_eq((int)read(ready[0], &(char){ 0 }, 1), 1);
	(void)close(ready[0]);
	*ret_page = await_page(child);
	return child;
}

static void kill_child(pid_t child)
{
	int status;

	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
}

START_TEST(a_client_that_dies_unsupervised_gives_its_page_back)
{
	uint32_t page;
	pid_t child, dead;

	begin(2, NULL, NULL);
	child = client_in_hand(NULL, &page);
	dead = fleet_orphan(&d.fleet);
	kill_child(child);
	(void)fleet_adopt(&d.fleet, dead);
	await(has_flags, page, 0, "without a client");
	end();
}
END_TEST

START_TEST(a_named_client_that_dies_unsupervised_is_succeeded)
{
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	uint32_t page;
	pid_t child, dead;

	begin(2, NULL, NULL);
	child = client_in_hand("clerk", &page);
	dead = fleet_orphan(&d.fleet);
	kill_child(child);
	(void)fleet_adopt(&d.fleet, dead);
	c = fleet_client("clerk");
	await(is_of_process, page, (uint64_t)getpid(), "ours");
	for (int i = 0; i < 3; i++) { /* its unread replies, in some order */
		ck_assert_int_eq(rk_next(c, FLEET_WAIT_MS, &reply), RK_DONE);
		ck_assert_uint_eq(reply.flags, RK_RESUMED);
		ck_assert_mem_eq(reply.body, "1", 1);
		rk_reply_release(c, &reply);
	}
	ck_assert_int_eq(rk_next(c, 0, &reply), RK_EMPTY);
	rk_client_close(c);
	end();
}
END_TEST

START_TEST(a_client_may_die_with_the_supervisor)
{
	begin(2, NULL, NULL);
	for (int i = 0; i < 6; i++) {
		uint32_t page;
		pid_t child = client_in_hand(i % 2 ? "clerk" : NULL, &page);

		if (i < 3)
			kill_child(child);
		(void)fleet_kill_supervisor();
		if (i >= 3)
			kill_child(child);
		if (i % 2)
			await(has_flags, page, RK_CLIENT_USED | RK_CLIENT_NAMED | RK_CLIENT_HAS_CALLS, "a dead clerk's");
		else
			await(has_flags, page, 0, "without a client");
	}
	end();
}
END_TEST

/* ---- what operators want ---- */

static const uint32_t as_wanted[] = { RK_SLOT_READY, RK_SLOT_PAUSED, RK_SLOT_STOPPED, RK_SLOT_DRAINED };

START_TEST(workers_stay_drained_stopped_paused_and_scaled)
{
	struct rk_view_slot before[5];

	begin(4, NULL, NULL);
	command(0, "scale 5");
	command(0, "drain 3");
	command(0, "pause 1");
	command(0, "stop 2");
	for (uint32_t i = 0; i < 5; i++)
		before[i] = slot(i);
	for (int n = 0; n < 3; n++) {
		(void)replace_supervisor();
		for (uint32_t i = 0; i < 5; i++) {
			ck_assert_uint_eq(slot(i).state, as_wanted[i % 4]);
			ck_assert_int_eq(slot(i).pid, before[i].pid);
		}
	}
	ck_assert_uint_eq(slot(5).state, RK_SLOT_EMPTY);
	command(0, "resume 1"); /* or what should come to it waits */
	command(0, "undrain 3");
	command(0, "start 2");
	command(0, "status --check --wait=20s");
	end();
}
END_TEST

/* One of them is in a job that keeps it from ending, until we say so. */
static pid_t keep_busy(uint32_t *ret_worker)
{
	uint32_t partition;
	pid_t pid;

	call_begin(client, keys[KEYS], "stop");
	pid = deaths_await_in_job(&d, client, keys[KEYS], 0);
	fleet_await_state(pid, 'T');
	ck_assert_int_eq(rk_client_where(client, keys[KEYS], 0, &partition, ret_worker, &(int){ 0 }), 0);
	return pid;
}

static void let_go(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	call_end(client, "1");
}

#define BUSY "--set=StopTimeout=60s", "--set=OnPaused=report"
#define BUSY_LINES "StopTimeout=60s\nOnPaused=report\n"

START_TEST(a_rolling_restart_goes_on_and_who_waits_hears_of_its_end)
{
	static const char *const options[] = { BUSY, NULL };
	struct rk_view_slot before[4];
	uint32_t worker;
	pid_t busy, restart;

	begin(4, options, NULL);
	for (uint32_t i = 0; i < 4; i++)
		before[i] = slot(i);
	busy = keep_busy(&worker);
	restart = command_begin("restart --max-unavailable=%d", _i);
	await(is_in, worker, RK_SLOT_STOPPING, "about to stop");
	for (int i = 0; i < 3; i++)
		(void)replace_supervisor();
	let_go(busy);
	ck_assert_msg(command_end(restart) == 0, "%s", d.told);
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_int_ne(slot(i).pid, before[i].pid);
		ck_assert_uint_eq(slot(i).incarnation, before[i].incarnation + 1);
	}
	end();
}
END_TEST

START_TEST(a_rolling_restart_by_standbys_goes_on)
{
	static const char *const options[] = { BUSY, "--standby=1", NULL };
	struct rk_view_slot before[3];
	uint32_t worker;
	pid_t busy, restart;

	begin(3, options, NULL);
	await(is_in, d.look.m.g.n_workers - 1, RK_SLOT_STANDBY, "a standby");
	for (uint32_t i = 0; i < 3; i++)
		before[i] = slot(i);
	busy = keep_busy(&worker);
	restart = command_begin("restart --max-unavailable=0");
	await(is_in, worker, RK_SLOT_STOPPING, "about to stop");
	(void)replace_supervisor();
	let_go(busy);
	ck_assert_msg(command_end(restart) == 0, "%s", d.told);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_uint_eq(slot(i).incarnation, before[i].incarnation + 1);
	end();
}
END_TEST

static const struct {
	const char *begin, *change; /* before, and the one under way */
	uint32_t worker;            /* that it waits for; its key is one of this worker's */
	uint32_t n_workers;         /* there are afterwards */
} changes[] = {
	{ "status", "scale 2", 3, 2 },
	{ "status", "drain 2", 2, 3 },
	{ "status", "stop 1", 1, 3 },
	{ "status", "scale 6", 0, 6 }, /* it has partitions to give away */
	{ "drain 3", "undrain 3", 0, 4 },
};

static bool is_used(uint32_t partition)
{
	uint32_t other, worker;
	int pid;

	for (int i = 0; i < KEYS + MORE_KEYS; i++) {
		ck_assert_int_eq(rk_client_where(client, keys[i], 0, &other, &worker, &pid), 0);
		if (other == partition)
			return true;
	}
	return false;
}

/* keep_busy()'s key becomes one of this worker's. */
static void busy_choose(uint32_t of)
{
	uint32_t partition, worker;
	char key[16];
	int pid, i = 1000;

	do {
		snprintf(key, sizeof(key), "k%d", i++);
		ck_assert_int_eq(rk_client_where(client, key, 0, &partition, &worker, &pid), 0);
	} while (worker != of || is_used(partition));
	memcpy(keys[KEYS], key, sizeof(key));
}

START_TEST(a_change_goes_on_and_who_waits_hears_of_its_end)
{
	static const char *const options[] = { BUSY, NULL };
	uint32_t n_ready = 0, worker;
	pid_t busy, change;

	begin(4, options, NULL);
	command(0, "%s", changes[_i].begin);
	busy_choose(changes[_i].worker);
	busy = keep_busy(&worker);
	ck_assert_uint_eq(worker, changes[_i].worker);
	change = command_begin("%s", changes[_i].change);
	command_await_word();
	for (int i = 0; i < 3; i++)
		(void)replace_supervisor();
	ck_assert_int_eq(waitpid(change, &(int){ 0 }, WNOHANG), 0);
	let_go(busy);
	ck_assert_msg(command_end(change) == 0, "%s: %s", changes[_i].change, d.told);
	for (uint32_t i = 0; i < 8; i++)
		n_ready += slot(i).state == RK_SLOT_READY;
	ck_assert_uint_eq(n_ready, changes[_i].n_workers);
	end();
}
END_TEST

START_TEST(a_reload_that_scales_and_restarts_goes_on)
{
	char text[8192], program[4096];
	struct rk_view_slot before[3];
	uint32_t worker;
	pid_t busy, reload;

	begin_file(2, NULL, BUSY_LINES);
	for (uint32_t i = 0; i < 2; i++)
		before[i] = slot(i);
	busy = keep_busy(&worker);
	fleet_path(program, TEST_WORKER);
	snprintf(text, sizeof(text), "[Fleet test]\nExec=%s\nWorkers=3\nEnvironment=A=1\n" BUSY_LINES, program);
	fleet_write_file(&d.fleet, text);
	reload = command_begin("reload");
	await(is_in, worker, RK_SLOT_STOPPING, "about to stop");
	(void)replace_supervisor();
	let_go(busy);
	ck_assert_msg(command_end(reload) == 0, "%s", d.told);
	for (uint32_t i = 0; i < 2; i++)
		ck_assert_uint_eq(slot(i).incarnation, before[i].incarnation + 1);
	ck_assert_uint_eq(slot(2).state, RK_SLOT_READY);
	end();
}
END_TEST

START_TEST(a_configuration_that_nobody_reloaded_does_not_count)
{
	begin_file(2, NULL, "");
	fleet_write_file(&d.fleet, "[Fleet test]\nExec=/nonsense\nWorkers=7\nBroken\n");
	(void)replace_supervisor();
	ck_assert_uint_eq(slot(2).state, RK_SLOT_EMPTY);
	ck_assert_int_eq(kill(slot(0).pid, SIGKILL), 0);
	await(is_ready_again, 0, 1, "ready again");
	command(78, "reload");
	calls_count();
	ck_assert_int_eq(unlink(strcat(strcpy((char[128]){ 0 }, d.fleet.directory), "/test.conf")), 0);
	(void)replace_supervisor();
	end();
}
END_TEST

/* ---- strategies ---- */

static const char *const strategies[] = { "one-for-all", "rest-for-one" };

START_TEST(workers_that_are_tied_together_come_up_together)
{
	char text[256];
	uint32_t worker;
	pid_t busy;

	snprintf(text, sizeof(text), "Strategy=%s\n" BUSY_LINES, strategies[_i]);
	begin_file(3, NULL, text);
	busy_choose(2);
	busy = keep_busy(&worker);
	ck_assert_int_eq(kill(slot(0).pid, SIGKILL), 0);
	await(is_in, 2, RK_SLOT_STOPPING, "about to stop");
	await(is_in, 1, RK_SLOT_DOWN, "down");
	(void)replace_supervisor();
	ck_assert_uint_eq(slot(0).state, RK_SLOT_DOWN);
	let_go(busy);
	for (uint32_t i = 0; i < 3; i++) {
		await(is_ready_again, i, 1, "ready again");
		ck_assert_uint_eq(slot(i).incarnation, 2);
	}
	end();
}
END_TEST

/* ---- commands beside a worker ---- */

/* A command that says when it begins and ends, and ends when there is a file "go" beside it. */
static const char hook_text[] = "#!/bin/sh\n"
				"d=$(dirname \"$0\")\n"
				"echo \"begin $1\" >>\"$d/log\"\n"
				"until [ -e \"$d/go\" ]; do sleep 0.01; done\n"
				"echo \"end $1\" >>\"$d/log\"\n";

static char hooks[64]; /* the directory */

static const char *hooks_path(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", hooks, name);
	return path;
}

static void hooks_file(const char *name, const char *text, mode_t mode)
{
	int fd = open(hooks_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	ck_assert_int_eq(close(fd), 0);
}

/* Lines of this text that the commands have said. */
static uint32_t n_said(const char *line)
{
	FILE *log = fopen(hooks_path("log"), "re");
	char text[64];
	uint32_t n = 0;

	while (log && fgets(text, sizeof(text), log))
		n += strncmp(text, line, strlen(line)) == 0 && text[strlen(line)] == '\n';
	if (log)
		(void)fclose(log);
	return n;
}

static void await_said(const char *line, uint32_t n)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;

	while (n_said(line) < n) {
		ck_assert_msg(rk_clock_ns() < end_ns, "'%s' is not said %u times", line, n);
		(void)poll(NULL, 0, 1);
	}
}

/* Two workers, and commands "one" and "two" for this key; "go" is there until all is up. */
static void begin_hooks(const char *key, const char *more)
{
	char text[1024];

	strcpy(hooks, "/tmp/rk-hooks-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(hooks));
	hooks_file("hook", hook_text, 0755);
	hooks_file("go", "", 0644);
	snprintf(text, sizeof(text), "%s=%s one\n%s=%s two\n%s", key, hooks_path("hook"), key, hooks_path("hook"), more);
	begin_file(2, NULL, text);
	ck_assert_int_eq(unlink(hooks_path("go")), 0);
}

static void end_hooks(void)
{
	static const char *const files[] = { "hook", "go", "log" };

	for (uint32_t i = 0; i < rk_countof(files); i++)
		ck_assert_int_eq(unlink(hooks_path(files[i])), 0);
	ck_assert_int_eq(rmdir(hooks), 0);
	end();
}

START_TEST(a_command_before_a_start_runs_once_whoever_supervises)
{
	pid_t dead;

	begin_hooks("ExecStartPre", "Restart=always\n");
	ck_assert_int_eq(kill(slot(0).pid, SIGKILL), 0);
	await_said("begin one", 3);
	dead = fleet_orphan(&d.fleet);
	if (_i == 0) { /* it ends while nobody supervises */
		hooks_file("go", "", 0644);
		await_said("end one", 3);
	}
	(void)fleet_adopt(&d.fleet, dead);
	if (_i == 1)
		(void)replace_supervisor();
	hooks_file("go", "", 0644);
	await(is_ready_again, 0, 1, "ready again");
	ck_assert_uint_eq(slot(0).incarnation, 2);
	ck_assert_uint_eq(n_said("begin one"), 3);
	ck_assert_uint_eq(n_said("end two"), 3);
	end_hooks();
}
END_TEST

START_TEST(commands_behind_a_failure_all_run_once)
{
	begin_hooks("OnFailure", "Restart=no\n");
	ck_assert_int_eq(kill(slot(0).pid, SIGKILL), 0);
	await_said("begin one", 1);
	(void)replace_supervisor();
	(void)replace_supervisor();
	hooks_file("go", "", 0644);
	await_said("end two", 1);
	ck_assert_uint_eq(n_said("begin one"), 1);
	ck_assert_uint_eq(n_said("end one"), 1);
	command(0, "start 0");
	end_hooks();
}
END_TEST

/* ---- the end ---- */

START_TEST(a_stop_that_was_asked_for_goes_on)
{
	static const char *const options[] = { "--stop-timeout=300ms", NULL };
	uint32_t worker;
	pid_t busy, stop, workers[3];
	int status;

	begin(3, options, NULL);
	for (uint32_t i = 0; i < 3; i++)
		workers[i] = slot(i).pid;
	busy = keep_busy(&worker);
	if (_i == 0)
		stop = command_begin("stop");
	else
		ck_assert_int_eq(kill(d.fleet.keeper, SIGTERM), 0);
	await(is_in, worker, RK_SLOT_STOPPING, "about to stop");
	(void)fleet_kill_supervisor();
	status = fleet_await_end(&d.fleet);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned int)status);
	if (_i == 0)
		ck_assert_msg(command_end(stop) == 0, "%s", d.told);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert(!fleet_lives(workers[i]));
	ck_assert(!fleet_lives(busy));
	rk_client_close(client);
	rk_look_close_p(&d.look);
	fleet_remove(&d.fleet);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("adopt");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, workers_and_clients_notice_nothing);
	tcase_add_test(c, calls_are_answered_while_nobody_supervises);
	tcase_add_test(c, a_call_that_waits_is_answered_by_whoever_works);
	tcase_add_test(c, a_new_client_waits_for_the_next_supervisor);
	tcase_add_test(c, a_worker_that_dies_unsupervised_has_one_successor);
	tcase_add_test(c, a_job_that_crashed_its_worker_unsupervised_is_charged);
	tcase_add_test(c, a_worker_may_die_with_the_supervisor);
	tcase_add_test(c, a_process_is_never_made_in_a_control_group_that_was_killed);
	tcase_add_test(c, more_may_be_adopted_than_the_soft_limit_of_descriptors);
	tcase_add_test(c, a_client_that_dies_unsupervised_gives_its_page_back);
	tcase_add_test(c, a_named_client_that_dies_unsupervised_is_succeeded);
	tcase_add_test(c, a_client_may_die_with_the_supervisor);
	tcase_add_test(c, workers_stay_drained_stopped_paused_and_scaled);
	tcase_add_loop_test(c, a_rolling_restart_goes_on_and_who_waits_hears_of_its_end, 1, 3);
	tcase_add_test(c, a_rolling_restart_by_standbys_goes_on);
	tcase_add_loop_test(c, a_change_goes_on_and_who_waits_hears_of_its_end, 0, (int)rk_countof(changes));
	tcase_add_test(c, a_reload_that_scales_and_restarts_goes_on);
	tcase_add_test(c, a_configuration_that_nobody_reloaded_does_not_count);
	tcase_add_loop_test(c, workers_that_are_tied_together_come_up_together, 0, (int)rk_countof(strategies));
	tcase_add_loop_test(c, a_command_before_a_start_runs_once_whoever_supervises, 0, 2);
	tcase_add_test(c, commands_behind_a_failure_all_run_once);
	tcase_add_loop_test(c, a_stop_that_was_asked_for_goes_on, 0, 2);
	return unit_run(c);
}
