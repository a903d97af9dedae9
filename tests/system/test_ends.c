/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    nothing is left behind, however a fleet ends: no process, no name in /dev/shm, and in
 *         the runtime directory at most dead sockets and the flight recorder, which the next
 *         start replaces. The recorder stays unless the fleet ended in order.
 * Method  ends real fleets in every way and looks for every pid they had.
 */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"
#include "workers/lib/client.h"

static struct fleet fleet;
static int n_shm_names;
static unsigned long board_inode; /* of the fleet that is ended: the memory nothing else is */

static int count_shm_names(void)
{
	DIR *dir = opendir("/dev/shm");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		(void)closedir(dir);
	return n;
}

/* Inode of the board that begins at this address of ours, or the board of this inode among a process's mappings. */
static unsigned long find_board(const char *process, unsigned long address, unsigned long inode)
{
	char path[300], line[512];
	unsigned long found = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%.200s/maps", process);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps)) {
		unsigned long start, i;

		if (sscanf(line, "%lx-%*x %*s %*x %*s %lu", &start, &i) == 2 &&
		    strstr(line, "/memfd:rekindle-board") && (start == address || i == inode))
			found = i;
	}
	if (maps)
		(void)fclose(maps);
	return found;
}

/* Whether a process has the board open. */
static int has_board_open(const char *process)
{
	char path[600], target[64];
	DIR *dir;
	struct dirent *e;
	struct stat st;
	int found = 0;

	snprintf(path, sizeof(path), "/proc/%.200s/fd", process);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir)) != NULL) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%.200s/fd/%.200s", process, e->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		found = strstr(target, "/memfd:rekindle-board") && stat(path, &st) == 0 && st.st_ino == board_inode;
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

/* Processes of this machine that we may look into and that hold the board's memory. */
static int count_holders(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	int n = 0;

	while (dir && (e = readdir(dir)) != NULL)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			n += has_board_open(e->d_name) || find_board(e->d_name, 0, board_inode);
	if (dir)
		(void)closedir(dir);
	return n;
}

static void await_gone(pid_t pid)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;

	while (fleet_lives(pid)) {
		ck_assert_msg(rk_clock_ns() < end_ns, "process %d is still there", (int)pid);
		(void)poll(NULL, 0, 1);
	}
}

static void assert_nothing_left(pid_t supervisor)
{
	await_gone(supervisor);
	for (int i = 0; i < fleet.n_workers; i++)
		await_gone(fleet.worker[i]);
	ck_assert_int_eq(count_shm_names(), n_shm_names);
	ck_assert_msg(count_holders() == 0, "somebody still holds the fleet's memory");
}

/* A client with an answered and an unfinished call, so that there is something to leave behind. */
static struct rk_client *use_it(void)
{
	struct rk_client *c = fleet_client("somebody");
	struct rk_request request = { .key = "k", .body = "add", .len = 3, .timeout_ms = FLEET_WAIT_MS };
	struct rk_reply reply = { 0 };

	ck_assert_int_eq(rk_call(c, &request, &reply), RK_DONE);
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	return c;
}

static const struct {
	const char *what;
	int keeper_signal;     /* 0 = none */
	int supervisor_signal; /* 0 = none */
	int workers_signal;    /* 0 = none */
	int exit_status;       /* of keeper, unless it is killed */
	int directory_stays; /* and the flight recorder in it */
} ways[] = {
	{ "SIGTERM", SIGTERM, 0, 0, 0, 0 },
	{ "SIGINT", SIGINT, 0, 0, 0, 0 },
	{ "SIGTERM with stopped workers", SIGTERM, 0, SIGSTOP, 0, 0 },
	{ "SIGKILL of keeper", SIGKILL, 0, 0, 0, 1 },
	{ "SIGKILL of keeper with stopped workers", SIGKILL, 0, SIGSTOP, 0, 1 },
	{ "SIGKILL of everybody", SIGKILL, SIGKILL, SIGKILL, 0, 1 },
};

START_TEST(nothing_is_left_and_the_next_start_works)
{
	static const char *const options[] = { "--stop-timeout", "500ms", NULL };
	struct rk_client *c;
	char path[128];
	pid_t supervisor;
	int status;

	n_shm_names = count_shm_names();
	fleet_start(&fleet, 3, options, NULL);
	c = use_it();
	board_inode = find_board("self", (unsigned long)(uintptr_t)c->m.board, 0);
	ck_assert_uint_ne(board_inode, 0);
	supervisor = fleet_supervisor();
	ck_assert_int_ge(count_holders(), 6); /* keeper, supervisor, three workers, we */
	for (int i = 0; i < fleet.n_workers && ways[_i].workers_signal; i++)
		ck_assert_int_eq(kill(fleet.worker[i], ways[_i].workers_signal), 0);
	if (ways[_i].supervisor_signal)
		ck_assert_int_eq(kill(supervisor, ways[_i].supervisor_signal), 0);
	if (ways[_i].keeper_signal)
		ck_assert_int_eq(kill(fleet.keeper, ways[_i].keeper_signal), 0);
	status = fleet_await_end(&fleet);
	if (ways[_i].keeper_signal == SIGKILL)
		ck_assert_msg(WIFSIGNALED(status) || WIFEXITED(status), "%s", ways[_i].what);
	else
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == ways[_i].exit_status, "%s: status %#x",
			      ways[_i].what, (unsigned int)status);
	rk_client_close(c);
	assert_nothing_left(supervisor);
	snprintf(path, sizeof(path), "%s/test%s", fleet.directory, ways[_i].directory_stays ? "/flight" : "");
	ck_assert_msg((access(path, F_OK) == 0) == ways[_i].directory_stays, "%s: %s", ways[_i].what, path);
	fleet_start_again(&fleet);
	c = use_it();
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

/* The worker's child and its child, or twice the child when it asked for a death signal. */
static void fork_family(const char *body, pid_t pids[2])
{
	struct rk_request request = { .key = "k", .body = body, .len = strlen(body), .timeout_ms = FLEET_WAIT_MS };
	struct rk_client *c = fleet_client(NULL);
	struct rk_reply reply = { 0 };

	ck_assert_int_eq(rk_call(c, &request, &reply), RK_DONE);
	ck_assert_uint_eq(reply.len, 2 * sizeof(pid_t));
	memcpy(pids, reply.body, reply.len);
	ck_assert(fleet_lives(pids[0]) && fleet_lives(pids[1]));
	rk_client_close(c);
}

static const struct {
	const char *what;
	const char *body;
	int keeper_signal, supervisor_signal, worker_signal; /* 0 = none */
} family_ends[] = {
	{ "SIGTERM", "fork", SIGTERM, 0, 0 },
	{ "SIGKILL of the worker", "fork", 0, 0, SIGKILL },
	{ "the worker's exit", "fork", 0, 0, SIGTERM },
	/* Nobody who knows of them is left then: they have to ask for it themselves. */
	{ "SIGKILL of keeper", "fork, PDEATHSIG", SIGKILL, 0, 0 },
	{ "SIGKILL of everybody", "fork, PDEATHSIG", SIGKILL, SIGKILL, SIGKILL },
};

START_TEST(what_a_worker_forked_ends_with_it)
{
	bool goes_on = !family_ends[_i].keeper_signal && !family_ends[_i].supervisor_signal;
	pid_t supervisor, pids[2];

	fleet_start(&fleet, 1, NULL, NULL);
	fork_family(family_ends[_i].body, pids);
	supervisor = fleet_supervisor();
	if (family_ends[_i].worker_signal)
		ck_assert_int_eq(kill(fleet.worker[0], family_ends[_i].worker_signal), 0);
	if (family_ends[_i].supervisor_signal)
		ck_assert_int_eq(kill(supervisor, family_ends[_i].supervisor_signal), 0);
	if (family_ends[_i].keeper_signal)
		ck_assert_int_eq(kill(fleet.keeper, family_ends[_i].keeper_signal), 0);
	await_gone(fleet.worker[0]);
	await_gone(pids[0]);
	await_gone(pids[1]);
	if (goes_on)
		fleet_stop(&fleet);
	else
		(void)fleet_reap(&fleet);
	await_gone(supervisor);
}
END_TEST

START_TEST(what_a_living_worker_let_go_is_left_alone)
{
	struct rk_client *c;
	pid_t pids[2];

	fleet_start(&fleet, 1, NULL, NULL);
	fork_family("fork", pids);
	ck_assert_int_eq(kill(pids[0], SIGKILL), 0); /* its child is keeper's now, its session the worker's */
	fleet_await_state(pids[0], 'Z');
	c = use_it();
	rk_client_close(c);
	ck_assert(fleet_lives(pids[1]));
	fleet_stop(&fleet);
	await_gone(pids[1]);
}
END_TEST

START_TEST(a_second_fleet_of_the_same_name_is_refused)
{
	char rekindled[4096], worker[4096];
	int status;
	pid_t pid;

	fleet_start(&fleet, 1, NULL, NULL);
	fleet_path(rekindled, "rekindled");
	fleet_path(worker, "tests/system/test_worker");
	pid = fork();
	if (pid == 0) {
		(void)!freopen("/dev/null", "w", stderr);
		execl(rekindled, rekindled, "--name", "test", "--", worker, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %#x", (unsigned int)status);
	(void)fleet_supervisor(); /* the first one still answers */
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("ends");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, nothing_is_left_and_the_next_start_works, 0, (int)(sizeof(ways) / sizeof(ways[0])));
	tcase_add_loop_test(c, what_a_worker_forked_ends_with_it, 0,
			    (int)(sizeof(family_ends) / sizeof(family_ends[0])));
	tcase_add_test(c, what_a_living_worker_let_go_is_left_alone);
	tcase_add_test(c, a_second_fleet_of_the_same_name_is_refused);
	return unit_run(c);
}
