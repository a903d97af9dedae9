/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Where workers outlive keeper, each of them hears of its death without ever waking for
 *         nothing, goes on serving, ends by itself when no other keeper has come within
 *         OrphanTimeout, and stays when one has. What the service manager keeps it keeps.
 * Method  Fleets whose keeper believes in a service manager, which here is a thread that confirms
 *         everything; the test inherits the workers. The next keeper is a child that takes the leases,
 *         as keeper does. Wake-ups are the kernel's count of voluntary context switches.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "shm/board_socket.h"
#include "supervisor/leases.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

#define N 3
#define ORPHANED 75
#define QUIET_MS 400 /* in which nobody wakes */

static struct fleet fleet;

/* ---- the service manager ---- */

static int manager_socket;
static pthread_t manager_thread;
static struct sockaddr_un manager_at = { .sun_family = AF_UNIX };
static _Atomic int n_configurations; /* messages about it; a count, nothing behind it */

/* Takes what it is told, and confirms by closing: of a barrier that is all that is asked for. */
static void *manage(void *arg)
{
	char text[4096];
	size_t len;

	(void)arg;
	memset(text, 0, sizeof(text));
	while (rk_fd_recv(manager_socket, text, sizeof(text) - 1, &len, NULL) >= 0 && strncmp(text, "END", 3) != 0) {
		if (strstr(text, "FDNAME=0.configuration"))
			atomic_fetch_add_explicit(&n_configurations, 1, memory_order_relaxed);
		memset(text, 0, sizeof(text));
	}
	return NULL;
}

static void manager_begin(void)
{
	(void)snprintf(manager_at.sun_path, sizeof(manager_at.sun_path), "/tmp/rk-outlive-%d", (int)getpid());
	(void)unlink(manager_at.sun_path);
	manager_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(manager_socket, (struct sockaddr *)&manager_at, sizeof(manager_at)), 0);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", manager_at.sun_path, 1), 0);
	ck_assert_int_eq(setenv("REKINDLE_FDSTORE", "1", 1), 0);
	ck_assert_int_eq(pthread_create(&manager_thread, NULL, manage, NULL), 0);
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* the workers come to us */
}

static void manager_end(void)
{
	ck_assert_int_eq(sendto(manager_socket, "END", 3, 0, (struct sockaddr *)&manager_at, sizeof(manager_at)), 3);
	ck_assert_int_eq(pthread_join(manager_thread, NULL), 0);
	(void)close(manager_socket);
	(void)unlink(manager_at.sun_path);
}

/* ---- the fleet ---- */

/* Its beat pages, to be written: as keeper has them. */
static int beats_open(void)
{
	struct rk_board_message msg;
	struct rk_fds fds = { 0 };
	char path[32];
	int sock = rk_board_socket_connect("test"), fd;

	ck_assert_int_ge(sock, 0);
	ck_assert_int_eq(rk_board_socket_next(sock, rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS, &msg, &fds), 1);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fds.fd[RK_BOARD_FD_BEATS]);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	rk_fds_close_p(&fds);
	(void)close(sock);
	return fd;
}

static void start(const char *orphan_timeout)
{
	static char option[64];
	const char *const options[] = { "--set", option, NULL };

	manager_begin();
	(void)snprintf(option, sizeof(option), "OrphanTimeout=%s", orphan_timeout);
	fleet_start(&fleet, N, options, NULL);
}

static uint64_t keeper_kill(void)
{
	uint64_t now_ns = rk_clock_ns();

	ck_assert_int_eq(kill(fleet.keeper, SIGKILL), 0);
	ck_assert_int_eq(waitpid(fleet.keeper, NULL, 0), fleet.keeper);
	return now_ns;
}

/* Each ends, and says that it was because nobody came. */
static void workers_await_end(void)
{
	for (int i = 0; i < N; i++) {
		int status;

		ck_assert_int_eq(waitpid(fleet.worker[i], &status, 0), fleet.worker[i]);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == ORPHANED, "worker %d ended with %#x", i,
			      (unsigned int)status);
	}
}

static void leave(void)
{
	char command[128];

	(void)close(fleet.out);
	manager_end();
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", fleet.directory);
	ck_assert_int_eq(system(command), 0); /* NOLINT: the name is our own */
}

/* How often a worker's threads have gone to sleep. */
static unsigned long n_sleeps(pid_t pid)
{
	char command[160], text[64] = "";
	FILE *f;

	(void)snprintf(command, sizeof(command),
		       "cat /proc/%d/task/*/status | awk '/^voluntary/ { n += $2 } END { print n }'", (int)pid);
	f = popen(command, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
	(void)pclose(f);
	return strtoul(text, NULL, 10);
}

static unsigned long all_sleeps(void)
{
	unsigned long n = 0;

	for (int i = 0; i < N; i++)
		n += n_sleeps(fleet.worker[i]);
	return n;
}

/* Until nobody has woken for a while. Returns the count then. */
static unsigned long await_quiet(void)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	unsigned long n = all_sleeps(), before;

	do {
		before = n;
		(void)poll(NULL, 0, QUIET_MS / 4);
		n = all_sleeps();
		ck_assert_uint_lt(rk_clock_ns(), end_ns);
	} while (n != before);
	return n;
}

static bool may_call(struct rk_client *c)
{
	struct rk_request request = { .key = "k", .body = "add", .len = 3, .timeout_ms = FLEET_WAIT_MS };
	struct rk_reply reply = { 0 };
	int r = rk_call(c, &request, &reply);

	rk_reply_release(c, &reply);
	return r == RK_DONE;
}

/* ---- tests: in a loop of the library's, and in one of the program's own ---- */

START_TEST(a_worker_whose_keeper_is_gone_for_good_ends_by_itself)
{
	struct rk_client *c;
	uint64_t killed_ns;

	if (_i == 1)
		ck_assert_int_eq(setenv("RK_TEST_LOOP", "1", 1), 0);
	start("600ms");
	c = fleet_client(NULL);
	ck_assert(may_call(c));
	killed_ns = keeper_kill();
	ck_assert(may_call(c)); /* they go on, until then */
	workers_await_end();
	ck_assert_uint_ge(rk_clock_ns() - killed_ns, 600 * RK_NS_PER_MS);
	ck_assert_uint_lt(rk_clock_ns() - killed_ns, FLEET_WAIT_MS * RK_NS_PER_MS);
	rk_client_close(c);
	leave();
}
END_TEST

START_TEST(nobody_wakes_while_nothing_happens)
{
	unsigned long n;

	start("3s");
	n = await_quiet();
	(void)poll(NULL, 0, QUIET_MS);
	ck_assert_uint_eq(all_sleeps(), n);
	(void)keeper_kill();
	/* One wake-up each, and then none until the time is over. */
	ck_assert_uint_eq(await_quiet(), n + N);
	(void)poll(NULL, 0, QUIET_MS);
	ck_assert_uint_eq(all_sleeps(), n + N);
	workers_await_end();
	leave();
}
END_TEST

/* A child that holds the leases, as the next keeper. */
static pid_t keeper_begin(int beats)
{
	struct rk_held_one one = { .fd = beats, .kind = RK_LINK_MEMORY, .tag = 1, .name = "beats" };
	struct rk_held held = { .at = &one, .n = 1 };
	int pair[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(pair), 0);
	pid = fleet_fork();
	if (pid == 0) {
		static struct rk_leases leases;

		rk_leases_follow(&leases, &held);
		(void)!write(pair[1], "x", 1);
		for (;;)
			(void)pause();
	}
	ck_assert_int_eq(read(pair[0], &byte, 1), 1);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return pid;
}

START_TEST(when_the_next_keeper_is_there_they_stay)
{
	struct rk_client *c;
	unsigned long n;
	int beats;
	pid_t next;

	start("500ms");
	c = fleet_client(NULL);
	beats = beats_open();
	(void)keeper_kill();
	next = keeper_begin(beats);
	n = await_quiet();
	(void)poll(NULL, 0, 1500); /* three times OrphanTimeout, without a wake-up */
	ck_assert_uint_eq(all_sleeps(), n);
	ck_assert(may_call(c));
	ck_assert_int_eq(kill(next, SIGKILL), 0);
	ck_assert_int_eq(waitpid(next, NULL, 0), next);
	workers_await_end();
	rk_client_close(c);
	(void)close(beats);
	leave();
}
END_TEST

START_TEST(a_supervisor_s_death_does_not_touch_what_is_stored_of_the_configuration)
{
	start("600ms");
	for (int i = 0; i < 3; i++)
		(void)fleet_await_supervisor(fleet_kill_supervisor());
	(void)keeper_kill();
	workers_await_end();
	leave(); /* the manager has read all by then */
	ck_assert_int_eq(atomic_load_explicit(&n_configurations, memory_order_relaxed), 1);
}
END_TEST

START_TEST(without_a_service_manager_they_end_with_keeper)
{
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	fleet_start(&fleet, N, NULL, NULL);
	(void)keeper_kill();
	for (int i = 0; i < N; i++) {
		int status;

		ck_assert_int_eq(waitpid(fleet.worker[i], &status, 0), fleet.worker[i]);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	(void)close(fleet.out);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("outlive");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, a_worker_whose_keeper_is_gone_for_good_ends_by_itself, 0, 2);
	tcase_add_test(c, nobody_wakes_while_nothing_happens);
	tcase_add_test(c, when_the_next_keeper_is_there_they_stay);
	tcase_add_test(c, a_supervisor_s_death_does_not_touch_what_is_stored_of_the_configuration);
	tcase_add_test(c, without_a_service_manager_they_end_with_keeper);
	return unit_run(c);
}
