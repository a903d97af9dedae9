/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A foreign program's slot is empty before it starts again, whoever was killed: nothing of the old tree is left, a daemon
 *         without session, parent and environment neither; nor when the fleet ends. A socket that is held for it is the
 *         same one all the time, and nobody who connects is refused.
 * Method  Real fleets of tests/system/tree_program, which knows when it is started beside its predecessor's daemon. Bridges
 *         and supervisors are killed, while clients connect.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

#define KILLS 20
#define CLIENTS 4
#define HELD_FD 12 /* of the first socket, in a bridge: behind those of REKINDLE_WORKER */

static struct fleet fleet;
static char locks[] = "/tmp/rk-tree.XXXXXX";
static char program[4096];

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(locks));
	fleet_path(program, "tests/system/tree_program");
}

static void teardown(void)
{
	char path[64];

	for (int i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s/%d", locks, i);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/together", locks);
	ck_assert_int_lt(unlink(path), 0); /* nobody was started beside its predecessor */
	(void)rmdir(locks);
}

/* more: further lines of its section */
static void start(int n, const char *more)
{
	char text[8192];

	(void)snprintf(text, sizeof(text),
		       "[Fleet test]\nKind=notify\nExec=%s %s %%i\nWorkers=%d\nRestartBurst=1000\nRestartBackoff=1ms\n%s\n",
		       program, locks, n, more);
	fleet_start_file(&fleet, n, text);
}

/* Whether anybody holds a slot's lock. */
static bool is_locked(int slot)
{
	char path[64];
	int fd, r;

	(void)snprintf(path, sizeof(path), "%s/%d", locks, slot);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	r = flock(fd, LOCK_EX | LOCK_NB);
	(void)close(fd);
	return r < 0;
}

/* The bridge of the program that has a slot's lock; 0: there is none. */
static pid_t bridge_of(int slot)
{
	char path[64], text[16] = "";
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%d", locks, slot);
	file = fopen(path, "re");
	if (file && !fgets(text, sizeof(text), file))
		text[0] = '\0';
	if (file)
		(void)fclose(file);
	return atoi(text) > 0 ? rk_process_parent(atoi(text)) : 0;
}

/* The pid of a slot's bridge, once that is ready, its program runs, and it is another one than this. */
static pid_t await_bridge(int slot, pid_t other)
{
	uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;
	pid_t pid = other;

	while (pid == other || bridge_of(slot) != pid) {
		struct json_object *status = fleet_status(),
				   *w = json_object_array_get_idx(fleet_member(status, "workers", NULL), (size_t)slot);

		if (strcmp(json_object_get_string(fleet_member(w, "state", NULL)), "ready") == 0)
			pid = json_object_get_int(fleet_member(w, "pid", NULL));
		json_object_put(status);
		ck_assert_msg(rk_clock_ns() < end_ns, "slot %d is not started again", slot);
	}
	return pid;
}

static void stop(int n)
{
	fleet_stop(&fleet);
	for (int i = 0; i < n; i++)
		ck_assert_msg(!is_locked(i), "slot %d has left somebody", i);
}

START_TEST(a_killed_bridge_s_tree_is_gone_before_the_next_one_starts)
{
	pid_t pid;

	start(2, "");
	pid = await_bridge(0, 0);
	for (int i = 0; i < KILLS; i++) {
		ck_assert(is_locked(0));
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		pid = await_bridge(0, pid);
	}
	stop(2);
}
END_TEST

START_TEST(it_is_when_the_supervisor_dies_with_it)
{
	pid_t pid, supervisor;

	start(1, "");
	pid = await_bridge(0, 0);
	for (int i = 0; i < KILLS / 2; i++) {
		/* In turns: it may have begun to look, or never hear of the death. */
		if (i % 2)
			ck_assert_int_eq(kill(pid, SIGKILL), 0);
		supervisor = fleet_kill_supervisor();
		if (i % 2 == 0)
			(void)kill(pid, SIGKILL);
		(void)fleet_await_supervisor(supervisor);
		pid = await_bridge(0, pid);
	}
	stop(1);
}
END_TEST

/* ---- a held socket ---- */

static uint16_t port;
static _Atomic uint32_t n_refused, n_answered, n_cut;
static atomic_bool is_over;

static uint16_t port_free(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	(void)close(fd);
	return ntohs(at.sin_port);
}

/* A connection that a program had accepted ends with it; it is never refused one. */
static void *connect_on(void *arg)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct timeval patience = { .tv_sec = FLEET_WAIT_MS / 1000 };

	while (!atomic_load(&is_over)) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		char bytes[32];

		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
			atomic_fetch_add(&n_refused, 1);
		else if (read(fd, bytes, sizeof(bytes)) > 0)
			atomic_fetch_add(&n_answered, 1);
		else
			atomic_fetch_add(&n_cut, 1);
		(void)close(fd);
		(void)poll(NULL, 0, 1);
	}
	return arg;
}

static unsigned long socket_of(pid_t bridge)
{
	char path[64], target[64];
	unsigned long inode = 0;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)bridge, HELD_FD);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	ck_assert_msg(sscanf(target, "socket:[%lu]", &inode) == 1, "%s is %s", path, target);
	return inode;
}

START_TEST(nobody_who_connects_is_refused)
{
	pthread_t clients[CLIENTS];
	unsigned long inode;
	char listen[64];
	pid_t pid;

	port = port_free();
	(void)snprintf(listen, sizeof(listen), "Listen=127.0.0.1:%u", port);
	start(1, listen);
	pid = await_bridge(0, 0);
	inode = socket_of(pid);
	for (int i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(pthread_create(&clients[i], NULL, connect_on, NULL), 0);
	for (int i = 0; i < KILLS; i++) {
		uint32_t n = atomic_load(&n_answered);
		uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;

		while (atomic_load(&n_answered) < n + CLIENTS)
			ck_assert(rk_clock_ns() < end_ns && poll(NULL, 0, 1) == 0);
		if (i % 5 == 4)
			(void)fleet_await_supervisor(fleet_kill_supervisor());
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		pid = await_bridge(0, pid);
		ck_assert_uint_eq(socket_of(pid), inode);
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(pthread_join(clients[i], NULL), 0);
	ck_assert_uint_eq(atomic_load(&n_refused), 0);
	ck_assert_uint_le(atomic_load(&n_cut), KILLS * 2); /* one that a program had accepted, each time */
	stop(1);
}
END_TEST

START_TEST(a_unix_socket_goes_with_the_fleet)
{
	char path[64], listen[80];

	(void)snprintf(path, sizeof(path), "%s/s0", locks);
	(void)snprintf(listen, sizeof(listen), "Listen=%s/s%%i", locks);
	start(1, listen);
	(void)await_bridge(0, 0);
	ck_assert_int_eq(access(path, F_OK), 0);
	(void)fleet_await_supervisor(fleet_kill_supervisor());
	ck_assert_int_eq(access(path, F_OK), 0);
	stop(1);
	ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

START_TEST(what_a_program_sends_comes_back_to_each_that_follows)
{
	char path[64], text[32] = "";
	pid_t pid, supervisor;
	FILE *count;

	start(1, "FileDescriptorStoreMax=2\nEnvironment=KEEP=1");
	pid = await_bridge(0, 0);
	for (int i = 0; i < KILLS / 4; i++) {
		if (i == 2) {
			supervisor = fleet_kill_supervisor();
			(void)fleet_await_supervisor(supervisor);
		}
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		pid = await_bridge(0, pid);
	}
	(void)snprintf(path, sizeof(path), "%s/count", locks);
	count = fopen(path, "re");
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), count));
	(void)fclose(count);
	(void)unlink(path);
	ck_assert_int_eq(atoi(text), KILLS / 4 + 1);
	stop(1);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("tree");

	tcase_set_timeout(c, 110);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_killed_bridge_s_tree_is_gone_before_the_next_one_starts);
	tcase_add_test(c, it_is_when_the_supervisor_dies_with_it);
	tcase_add_test(c, nobody_who_connects_is_refused);
	tcase_add_test(c, a_unix_socket_goes_with_the_fleet);
	tcase_add_test(c, what_a_program_sends_comes_back_to_each_that_follows);
	return unit_run(c);
}
