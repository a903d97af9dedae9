/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Keeper's board socket gives each fleet's descriptors to root and the owner, to many and
 *         one after the other, never waits for who does not read, and what comes from another
 *         there is refused.
 * Method  Both sides in one process, in a runtime directory of the test's own; an impostor sends
 *         what must not be taken.
 */
#include "shm/board_socket.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/region.h"
#include "shm/rundir.h"
#include "tests/unit/unit.h"

#define LONG_NS (20 * RK_NS_PER_S)

static char base[64];
static int lock, listening;
static struct rk_board_shown fleets[2];
static struct rk_board_message about = { .keeper_pid = 11, .supervisor_pid = 12, .n_deaths = 3, .since_ns = 5,
					 .name = "test" };

/* A memfd that says which one it is, opened for reading alone. */
static int segment(int fleet, int kind)
{
	rk_cleanup(rk_close_p) int fd = memfd_create("rk-test", MFD_CLOEXEC);
	char text[2] = { (char)('0' + fleet), (char)('0' + kind) };
	int read_only;

	ck_assert_int_eq(write(fd, text, 2), 2);
	read_only = rk_region_reopen_readonly(fd);
	ck_assert_int_ge(read_only, 0);
	return read_only;
}

static void enter(void)
{
	struct rk_err err = { 0 };

	strcpy(base, "/tmp/rkunit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	ck_assert_int_eq(setenv("REKINDLE_RUNTIME_DIR", base, 1), 0);
	lock = rk_rundir_lock("test", &err);
	ck_assert_msg(lock >= 0, "%s", err.text);
	listening = rk_board_socket_open("test", &err);
	ck_assert_msg(listening >= 0, "%s", err.text);
	for (int f = 0; f < 2; f++)
		for (int i = 0; i < RK_BOARD_FDS; i++)
			fleets[f].fd[i] = segment(f, i);
}

static void leave(void)
{
	for (int f = 0; f < 2; f++)
		for (int i = 0; i < RK_BOARD_FDS; i++)
			rk_close_p(&fleets[f].fd[i]);
	rk_close_p(&listening);
	rk_rundir_remove("test");
	rk_close_p(&lock);
	ck_assert_msg(rmdir(base) == 0, "%s: %s", base, strerror(errno));
}

static int come(void)
{
	int sock = rk_board_socket_connect("test");

	ck_assert_int_ge(sock, 0);
	return sock;
}

static int next(int sock, struct rk_board_message *msg, struct rk_fds *fds)
{
	return rk_board_socket_next(sock, rk_clock_ns() + LONG_NS, msg, fds);
}

/* Takes the message of one fleet. */
static void take(int sock, uint32_t number)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct rk_board_message msg;

	ck_assert_int_eq(next(sock, &msg, &fds), 1);
	ck_assert_uint_eq(msg.number, number);
	ck_assert_uint_eq(msg.n_fleets, 2);
	ck_assert_int_eq(msg.keeper_pid, 11);
	ck_assert_int_eq(msg.supervisor_pid, 12);
	ck_assert_uint_eq(msg.n_deaths, 3);
	ck_assert_str_eq(msg.name, "test");
	ck_assert_uint_eq(fds.n, RK_BOARD_FDS);
	for (unsigned int i = 0; i < fds.n; i++) {
		char text[2];

		ck_assert_int_eq(pread(fds.fd[i], text, 2, 0), 2);
		ck_assert_int_eq(text[0], (char)('0' + number));
		ck_assert_int_eq(text[1], (char)('0' + i));
		ck_assert_int_eq(write(fds.fd[i], "x", 1), -1);
		ck_assert_int_eq(fcntl(fds.fd[i], F_GETFD), FD_CLOEXEC);
	}
}

START_TEST(each_guest_gets_every_fleet_and_the_end)
{
	struct rk_board_message msg;
	struct rk_fds fds = { 0 };
	int sock[3];

	enter();
	for (int i = 0; i < 3; i++)
		sock[i] = come();
	rk_board_socket_show(listening, &about, fleets, 2);
	rk_board_socket_show(listening, &about, fleets, 2); /* nobody waits any more */
	for (int i = 0; i < 3; i++) {
		take(sock[i], 0);
		take(sock[i], 1);
		ck_assert_int_eq(next(sock[i], &msg, &fds), 0);
		rk_close_p(&sock[i]);
	}
	leave();
}
END_TEST

START_TEST(without_a_fleet_keeper_still_says_who_it_is)
{
	struct rk_board_message msg;
	struct rk_fds fds = { 0 };
	int sock;

	enter();
	sock = come();
	about.supervisor_pid = 0;
	rk_board_socket_show(listening, &about, NULL, 0);
	ck_assert_int_eq(next(sock, &msg, &fds), 1);
	ck_assert_uint_eq(msg.n_fleets, 0);
	ck_assert_uint_eq(fds.n, 0);
	ck_assert_int_eq(msg.supervisor_pid, 0);
	ck_assert_int_eq(next(sock, &msg, &fds), 0);
	rk_close_p(&sock);
	leave();
}
END_TEST

START_TEST(a_guest_that_does_not_read_holds_up_nobody)
{
	static struct rk_board_shown many[2000]; /* more than any socket holds */
	int idle, sock;

	enter();
	for (int i = 0; i < 2000; i++)
		many[i] = fleets[0];
	idle = come();
	sock = come();
	rk_board_socket_show(listening, &about, many, 2000); /* would hang here */
	rk_close_p(&sock);
	sock = come();
	rk_board_socket_show(listening, &about, fleets, 2);
	take(sock, 0);
	rk_close_p(&sock);
	rk_close_p(&idle);
	leave();
}
END_TEST

START_TEST(nobody_shows_where_keeper_is_not)
{
	struct rk_board_message msg;
	struct rk_fds fds = { 0 };
	int sock;

	enter();
	sock = come();
	ck_assert_int_eq(rk_board_socket_next(sock, rk_clock_ns() + 20 * RK_NS_PER_MS, &msg, &fds), -ETIMEDOUT);
	rk_close_p(&sock);
	rk_close_p(&listening);
	ck_assert_int_eq(rk_board_socket_connect("test"), -ECONNREFUSED);
	ck_assert_int_eq(rk_board_socket_connect("nobody"), -ENOENT);
	listening = rk_board_socket_open("test", NULL); /* in place of what is left */
	ck_assert_int_ge(listening, 0);
	sock = come();
	rk_close_p(&sock);
	leave();
}
END_TEST

START_TEST(only_the_owner_and_root_may_come)
{
	char path[RK_PATH_MAX];
	struct stat st;

	enter();
	ck_assert_int_eq(rk_rundir_path("test", RK_RUNDIR_BOARD, path, NULL), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	leave();
}
END_TEST

/* What an impostor, or another release, sends. */
static const struct {
	size_t len;
	uint32_t n_fleets;
	unsigned int n_fds;
	uint64_t magic;
	uint32_t abi;
	int32_t keeper;
} foreign[] = {
	{ sizeof(struct rk_board_message) - 1, 1, RK_BOARD_FDS, RK_BOARD_MAGIC, RK_ABI_VERSION, 11 },
	{ sizeof(struct rk_board_message) + 1, 1, RK_BOARD_FDS, RK_BOARD_MAGIC, RK_ABI_VERSION, 11 },
	{ sizeof(struct rk_board_message), 1, RK_BOARD_FDS - 1, RK_BOARD_MAGIC, RK_ABI_VERSION, 11 },
	{ sizeof(struct rk_board_message), 1, RK_BOARD_FDS + 1, RK_BOARD_MAGIC, RK_ABI_VERSION, 11 },
	{ sizeof(struct rk_board_message), 0, RK_BOARD_FDS, RK_BOARD_MAGIC, RK_ABI_VERSION, 11 },
	{ sizeof(struct rk_board_message), 1, 0, RK_BOARD_MAGIC, RK_ABI_VERSION, 11 },
	{ sizeof(struct rk_board_message), 1, RK_BOARD_FDS, 1, RK_ABI_VERSION, 11 },
	{ sizeof(struct rk_board_message), 1, RK_BOARD_FDS, RK_BOARD_MAGIC, RK_ABI_VERSION + 1, 11 },
	{ sizeof(struct rk_board_message), 1, RK_BOARD_FDS, RK_BOARD_MAGIC, RK_ABI_VERSION, 0 },
};

static int n_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 200; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

START_TEST(what_is_not_keepers_is_refused_and_leaves_nothing_open)
{
	char bytes[sizeof(struct rk_board_message) + 1] = { 0 };
	struct rk_board_message msg = about;
	struct rk_fds fds = { .n = foreign[_i].n_fds }, got = { 0 };
	int pair[2], before;

	enter();
	msg.magic = foreign[_i].magic;
	msg.abi = foreign[_i].abi;
	msg.n_fleets = foreign[_i].n_fleets;
	msg.keeper_pid = foreign[_i].keeper;
	memcpy(bytes, &msg, sizeof(msg));
	for (unsigned int i = 0; i < fds.n; i++)
		fds.fd[i] = fleets[0].fd[0];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	before = n_open();
	ck_assert_int_eq(rk_fd_send(pair[0], bytes, foreign[_i].len, &fds), 0);
	ck_assert_int_eq(next(pair[1], &msg, &got), -EPROTO);
	ck_assert_uint_eq(got.n, 0);
	ck_assert_int_eq(n_open(), before);
	rk_close_p(&pair[0]);
	rk_close_p(&pair[1]);
	leave();
}
END_TEST

int main(void)
{
	TCase *c = unit_case("board_socket");

	tcase_add_test(c, each_guest_gets_every_fleet_and_the_end);
	tcase_add_test(c, without_a_fleet_keeper_still_says_who_it_is);
	tcase_add_test(c, a_guest_that_does_not_read_holds_up_nobody);
	tcase_add_test(c, nobody_shows_where_keeper_is_not);
	tcase_add_test(c, only_the_owner_and_root_may_come);
	tcase_add_loop_test(c, what_is_not_keepers_is_refused_and_leaves_nothing_open, 0,
			    (int)(sizeof(foreign) / sizeof(foreign[0])));
	return unit_run(c);
}
