/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Whenever keeper is killed, systemd's store has of each memory one at least, and the next keeper
 *         takes the newest and cleans up; a store that nobody can make sense of is given up.
 * Method  A datagram socket in systemd's place and what systemd does with each message, one at a time; the
 *         next keeper is a child with the descriptors and the environment that systemd would give it.
 */
#include "supervisor/store.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/unit.h"

#define STORED_MAX 8

static char directory[64], path[80];
static int theirs = -1;
static struct rk_store store; /* one test per process */

/* ---- systemd ---- */

static struct {
	char name[64];
	int fd;
} stored[STORED_MAX];
static int n_stored;

static ino_t inode(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

static void stored_remove(const char *name)
{
	for (int i = n_stored - 1; i >= 0; i--) {
		if (strcmp(stored[i].name, name) != 0)
			continue;
		(void)close(stored[i].fd);
		stored[i] = stored[--n_stored];
	}
}

static void stored_add(const char *name, int fd)
{
	for (int i = 0; i < n_stored; i++)
		if (inode(stored[i].fd) == inode(fd))
			return; /* it has that file */
	ck_assert_int_lt(n_stored, STORED_MAX);
	stored[n_stored].fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	(void)snprintf(stored[n_stored++].name, sizeof(stored[0].name), "%s", name);
}

/* Works one message off; false: there is none. */
static bool work(void)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	char text[4096] = "", *name;
	size_t len;

	if (rk_fd_recv(theirs, text, sizeof(text) - 1, &len, &fds) < 0)
		return false;
	name = strstr(text, "FDNAME=");
	if (strncmp(text, "FDSTOREREMOVE=1", 15) == 0)
		stored_remove(name + 7);
	else if (strncmp(text, "FDSTORE=1", 9) == 0)
		stored_add(name + 7, fds.fd[0]);
	return true;
}

static void work_all(void)
{
	while (work())
		;
}

static void enter(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	strcpy(directory, "/tmp/rkunit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/notify", directory);
	theirs = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	memcpy(a.sun_path, path, strlen(path));
	ck_assert_int_eq(bind(theirs, (struct sockaddr *)&a, sizeof(a)), 0);
	(void)setenv("NOTIFY_SOCKET", path, 1);
	(void)setenv(RK_STORE_ENVIRONMENT, "1", 1);
}

static void leave(void)
{
	rk_store_close(&store);
	(void)unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
}

static void opened(void)
{
	struct rk_held held = { 0 };

	rk_store_open(&store, &held);
	ck_assert(store.is_on);
	ck_assert_uint_eq(held.n, 0);
}

/* ---- keeper ---- */

static struct rk_link_msg about(uint64_t tag, const char *name)
{
	struct rk_link_msg msg = { .kind = RK_LINK_MEMORY, .tag = tag };

	(void)snprintf(msg.name, sizeof(msg.name), "%s", name);
	return msg;
}

static int memory_new(void)
{
	int fd = memfd_create("rk-test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void put(const char *name, int fd)
{
	const struct rk_link_msg msg = about(0, name);

	rk_store_put(&store, &msg, fd);
}

/* Until no message is left, and none is late; after each of them there is something of this name. */
static void work_with(const char *name)
{
	do {
		while (work()) {
			int n = 0;

			for (int i = 0; i < n_stored; i++)
				n += strncmp(stored[i].name, name, strlen(name)) == 0;
			ck_assert_int_ge(n, 1);
		}
	} while (!rk_notify_flush(&store.notify));
	while (work())
		;
}

static void only_has(const char *name, int fd)
{
	ck_assert_int_eq(n_stored, 1);
	ck_assert_str_eq(stored[0].name, name);
	ck_assert_uint_eq(inode(stored[0].fd), inode(fd));
}

START_TEST(what_takes_anothers_place_is_stored_before_that_one_is_removed)
{
	int a = memory_new(), b = memory_new(), c = memory_new();

	enter();
	opened();
	put("configuration", a);
	work_all();
	only_has("0.configuration", a);
	put("configuration", b);
	work_with("0.configuration");
	only_has("0.configuration.2", b);
	(void)close(a);
	put("configuration", c);
	work_with("0.configuration");
	only_has("0.configuration.3", c);
	leave();
}
END_TEST

static void fill(void)
{
	while (rk_notify_send(&store.notify, "X=1") == 0)
		;
}

START_TEST(also_when_systemd_has_not_read_for_a_while)
{
	int a = memory_new(), b = memory_new(), c = memory_new(), other = memory_new();

	enter();
	opened();
	put("configuration", a);
	work_all();
	fill();
	put("configuration", b);
	if (_i == 1)
		put("configuration", c); /* b was never sent, and never is */
	put("lock", other);
	work_with("0.configuration");
	ck_assert_int_eq(n_stored, 2);
	stored_remove("0.lock");
	only_has(_i == 1 ? "0.configuration.3" : "0.configuration.2", _i == 1 ? c : b);
	leave();
}
END_TEST

START_TEST(a_full_store_makes_room_first)
{
	int a = memory_new(), b = memory_new();

	enter();
	(void)setenv("FDSTORE", "1", 1);
	opened();
	put("configuration", a);
	put("configuration", b);
	work_all();
	only_has("0.configuration.2", b);
	leave();
}
END_TEST

START_TEST(the_same_file_once_more_stays_stored)
{
	int a = memory_new(), again;
	char self[32];

	enter();
	opened();
	put("configuration", a);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", a);
	again = open(self, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(again, 0);
	put("configuration", again);
	work_all();
	ck_assert_int_eq(n_stored, 1);
	ck_assert_uint_eq(inode(stored[0].fd), inode(a));
	leave();
}
END_TEST

START_TEST(what_is_taken_back_is_so_under_every_number)
{
	const struct rk_link_msg msg = about(0, "configuration");
	int a = memory_new(), b = memory_new();

	enter();
	opened();
	put("configuration", a);
	put("configuration", b);
	ck_assert_uint_eq(rk_store_number(&store, &msg), 2);
	rk_store_take_back(&store, &msg);
	work_all();
	ck_assert_int_eq(n_stored, 0);
	ck_assert_uint_eq(rk_store_number(&store, &msg), 0);
	leave();
}
END_TEST

START_TEST(what_a_dead_supervisor_asked_is_not_answered_to_its_successor)
{
	enter();
	opened();
	put("configuration", memory_new());
	ck_assert(!rk_store_ask(&store));
	if (_i == 1)
		rk_store_ask_no_more(&store);
	work_all();
	ck_assert_int_eq(rk_store_is_confirmed(&store), _i == 0);
	leave();
}
END_TEST

/* ---- the next keeper ---- */

/* In a child: whether it holds exactly this of what it is given. */
static int next_keeper(const char *names, const int *fds, int n, int n_held, int wanted, int refused)
{
	struct rk_held held = { 0 };
	char text[16];
	int high[STORED_MAX];

	for (int i = 0; i < n; i++)
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
	(void)close_range(3, 99, 0);
	for (int i = 0; i < n; i++)
		(void)dup2(high[i], 3 + i);
	(void)snprintf(text, sizeof(text), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", text, 1);
	(void)snprintf(text, sizeof(text), "%d", n);
	(void)setenv("LISTEN_FDS", text, 1);
	(void)setenv("LISTEN_FDNAMES", names, 1);
	rk_store_open(&store, &held);
	if (held.n != (uint32_t)n_held)
		return 1;
	for (int i = 0; i < n; i++) { /* by number: what is held stays where it came */
		bool is_open = fcntl(3 + i, F_GETFD) >= 0;

		if (n_held == 0 && is_open && inode(3 + i) == inode(high[i]))
			return 2;
		if (i == refused && is_open && inode(3 + i) == inode(high[i]))
			return 3;
	}
	for (uint32_t i = 0; i < held.n; i++)
		if (strcmp(held.at[i].name, "configuration") == 0)
			return inode(held.at[i].fd) == inode(high[wanted]) ? 0 : 4;
	return n_held ? 5 : 0;
}

static int run_next(const char *names, const int *fds, int n, int n_held, int wanted, int refused)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(next_keeper(names, fds, n, n_held, wanted, refused));
	for (;;) { /* it waits for what it asks systemd to confirm */
		pid_t ended = waitpid(pid, &status, WNOHANG);

		work_all();
		if (ended == pid)
			break;
		(void)poll(&(struct pollfd){ .fd = theirs, .events = POLLIN }, 1, 10);
	}
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const struct {
	const char *first, *second;
	int newer;
} both[] = {
	{ "0.configuration", "0.configuration.2", 1 },
	{ "0.configuration.2", "0.configuration", 0 },
	{ "0.configuration.9", "0.configuration.10", 1 },
	{ "0.configuration.10", "0.configuration.9", 0 },
};

/* Whose name may look like the number of a replacement. */
START_TEST(a_slot_s_descriptor_comes_back_as_it_was)
{
	const uint64_t tag = rk_link_tag(3, 4000, 77);
	struct rk_link_msg one = about(tag, "k.state.2"), other = about(tag + 1, "k.state.2");
	struct rk_held held = { 0 };
	int fd = memory_new(), two[2];
	char names[160];

	enter();
	one.kind = other.kind = RK_LINK_DESCRIPTOR;
	opened();
	rk_store_put(&store, &one, fd);
	rk_store_put(&store, &other, memory_new());
	work_all();
	ck_assert_int_eq(n_stored, 2);
	rk_store_take_back(&store, &other);
	work_all();
	ck_assert_int_eq(n_stored, 1);
	ck_assert_uint_eq(rk_store_number(&store, &one), 1);
	ck_assert_int_eq(rk_held_keep(&held, &one, fd), 0);
	ck_assert(inode(stored[0].fd) == inode(fd));
	two[0] = memory_new();
	two[1] = fd;
	(void)snprintf(names, sizeof(names), "0.configuration:%s", stored[0].name);
	ck_assert_int_eq(run_next(names, two, 2, 2, 0, -1), 0);
	rk_store_drop(&store, &held, rk_link_memory_tag(2), 2);
	work_all();
	ck_assert_int_eq(n_stored, 1); /* another fleet's end */
	rk_store_drop(&store, &held, rk_link_memory_tag(3), 3);
	work_all();
	ck_assert_int_eq(n_stored, 0);
	rk_held_close(&held);
	leave();
}
END_TEST

START_TEST(of_two_the_next_keeper_takes_the_newer_and_removes_the_other)
{
	int fds[] = { memory_new(), memory_new(), memory_new() };
	int newer = both[_i].newer;
	char names[128];

	enter();
	stored_add(both[_i].first, fds[0]);
	stored_add(both[_i].second, fds[1]);
	(void)snprintf(names, sizeof(names), "%s:%s:0.lock", both[_i].first, both[_i].second);
	ck_assert_int_eq(run_next(names, fds, 3, 2, newer, !newer), 0);
	only_has(newer ? both[_i].second : both[_i].first, fds[newer]);
	leave();
}
END_TEST

START_TEST(what_nobody_can_make_sense_of_is_closed_and_given_up)
{
	int fds[] = { memory_new(), memory_new(), memory_new() };

	enter();
	stored_add("0.lock", fds[0]);
	stored_add("0.lock", fds[1]);
	stored_add("1.board", fds[2]);
	ck_assert_int_eq(run_next("0.lock:0.lock:1.board", fds, 3, 0, 0, -1), 0);
	ck_assert_int_eq(n_stored, 0);
	leave();
}
END_TEST

int main(void)
{
	TCase *c = unit_case("store");

	tcase_add_test(c, a_slot_s_descriptor_comes_back_as_it_was);
	tcase_add_test(c, what_takes_anothers_place_is_stored_before_that_one_is_removed);
	tcase_add_loop_test(c, also_when_systemd_has_not_read_for_a_while, 0, 2);
	tcase_add_test(c, a_full_store_makes_room_first);
	tcase_add_test(c, the_same_file_once_more_stays_stored);
	tcase_add_test(c, what_is_taken_back_is_so_under_every_number);
	tcase_add_loop_test(c, what_a_dead_supervisor_asked_is_not_answered_to_its_successor, 0, 2);
	tcase_add_loop_test(c, of_two_the_next_keeper_takes_the_newer_and_removes_the_other, 0, rk_countof(both));
	tcase_add_test(c, what_nobody_can_make_sense_of_is_closed_and_given_up);
	return unit_run(c);
}
