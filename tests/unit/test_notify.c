/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    systemd reads exactly what the protocol says; neither a full socket nor a systemd that is
 *         away stops keeper, and nothing that still matters is lost by it.
 * Method  a datagram socket in systemd's place, by path and by abstract name; a child stands in
 *         where somebody has to answer meanwhile. (What comes back: test_notify_take.c.)
 */
#include "supervisor/notify.h"

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

#include "base/clock.h"
#include "base/fd.h"
#include "tests/unit/unit.h"

static char directory[64], path[80];
static int theirs = -1; /* systemd's end */
static struct rk_notify n;

/* ---- a systemd ---- */

static int bound(const char *at)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t len = strlen(at);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(a.sun_path, at, len);
	if (at[0] == '@')
		a.sun_path[0] = '\0';
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			 0);
	return fd;
}

static void enter(void)
{
	strcpy(directory, "/tmp/rkunit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/notify", directory);
	theirs = bound(path);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", path, 1), 0);
	ck_assert_int_eq(setenv("WATCHDOG_USEC", "200000", 1), 0);
	(void)unsetenv("WATCHDOG_PID");
	(void)unsetenv("FDSTORE");
}

static void leave(void)
{
	rk_notify_close_p(&n);
	(void)unlink(path);
	ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

static void opened(void)
{
	struct rk_err err = { 0 };

	ck_assert_msg(rk_notify_open(&n, &err) == 0, "%s", err.text);
	ck_assert(rk_notify_is_open(&n));
}

/* The next message, or "(none)"; descriptors of it in fds. */
static const char *heard_with(struct rk_fds *fds)
{
	static char text[RK_NOTIFY_TEXT_MAX + 1];
	size_t len = 0;
	int r = rk_fd_recv(theirs, text, sizeof(text) - 1, &len, fds);

	if (r == -EAGAIN)
		return "(none)";
	ck_assert_int_eq(r, 0);
	text[len] = '\0';
	return len ? text : "(an empty message)";
}

static const char *heard(void)
{
	struct rk_fds fds = { 0 };
	const char *text = heard_with(&fds);

	rk_fds_close_p(&fds);
	return text;
}

/* Sends until there is no more room; returns how many went. */
static unsigned int fill(void)
{
	unsigned int count = 0;

	while (rk_notify_send(&n, "X=1") == 0) {
		count++;
		ck_assert_uint_lt(count, 1000000);
	}
	ck_assert_int_eq(rk_notify_send(&n, "X=1"), -EAGAIN);
	return count;
}

/* Reads what fill() sent. */
static void drain(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		ck_assert_str_eq(heard(), "X=1");
}

static bool is_room(void)
{
	struct pollfd p = { .fd = n.fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static int file_new(void)
{
	int fd = memfd_create("rk-test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static ino_t inode(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

/* ---- messages ---- */

static void say_ready(void)
{
	rk_notify_ready(&n, NULL);
}

static void say_ready_with_status(void)
{
	rk_notify_ready(&n, "4 workers kept");
}

static void say_status(void)
{
	rk_notify_status(&n, "waiting");
}

static void say_status_empty(void)
{
	rk_notify_status(&n, "");
}

static void say_status_hostile(void)
{
	rk_notify_status(&n, "a\nREADY=1\n\033[2J\xff");
}

static void say_reloading(void)
{
	rk_notify_reloading(&n, 12345678901);
}

static void say_stopping(void)
{
	rk_notify_stopping(&n, NULL);
}

static void say_stopping_with_status(void)
{
	rk_notify_stopping(&n, "ending 3 workers");
}

static void say_watchdog(void)
{
	ck_assert_int_eq(rk_notify_watchdog(&n), 0);
}

static void say_any(void)
{
	ck_assert_int_eq(rk_notify_send(&n, "EXTEND_TIMEOUT_USEC=5"), 0);
}

static void say_unstore(void)
{
	ck_assert_int_eq(rk_notify_unstore(&n, "a name"), 0);
}

static const struct {
	void (*say)(void);
	const char *text;
} messages[] = {
	{ say_ready, "READY=1" },
	{ say_ready_with_status, "READY=1\nSTATUS=4 workers kept" },
	{ say_status, "STATUS=waiting" },
	{ say_status_empty, "STATUS=" },
	{ say_status_hostile, "STATUS=a?READY=1??[2J?" },
	{ say_reloading, "RELOADING=1\nMONOTONIC_USEC=12345678" },
	{ say_stopping, "STOPPING=1" },
	{ say_stopping_with_status, "STOPPING=1\nSTATUS=ending 3 workers" },
	{ say_watchdog, "WATCHDOG=1" },
	{ say_any, "EXTEND_TIMEOUT_USEC=5" },
	{ say_unstore, "FDSTOREREMOVE=1\nFDNAME=a name" },
};

START_TEST(a_message_is_what_the_protocol_says)
{
	opened();
	messages[_i].say();
	ck_assert_str_eq(heard(), messages[_i].text);
	ck_assert_str_eq(heard(), "(none)");
	ck_assert_int_eq(rk_notify_events(&n), 0);
}
END_TEST

START_TEST(a_store_carries_the_descriptor)
{
	struct rk_fds fds = { 0 };
	int fd = file_new();

	opened();
	ck_assert_int_eq(rk_notify_store(&n, "words/state", fd), 0);
	ck_assert_str_eq(heard_with(&fds), "FDSTORE=1\nFDPOLL=0\nFDNAME=words/state");
	ck_assert_uint_eq(fds.n, 1);
	ck_assert_uint_eq(inode(fds.fd[0]), inode(fd));
	ck_assert_str_eq(heard(), "(none)");
	ck_assert_uint_eq(rk_notify_n_stored(&n), 1);
	ck_assert_int_eq(rk_notify_unstore(&n, "words/state"), 0);
	ck_assert_str_eq(heard(), "FDSTOREREMOVE=1\nFDNAME=words/state");
	ck_assert_uint_eq(rk_notify_n_stored(&n), 0);
	rk_fds_close_p(&fds);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_long_status_is_cut)
{
	char status[1000], want[300];

	memset(status, 'x', sizeof(status) - 1);
	status[sizeof(status) - 1] = '\0';
	snprintf(want, sizeof(want), "READY=1\nSTATUS=%.*s", (int)RK_NOTIFY_STATUS_MAX - 1, status);
	opened();
	rk_notify_ready(&n, status);
	ck_assert_str_eq(heard(), want);
}
END_TEST

START_TEST(an_abstract_name_is_reached_too)
{
	char name[64];

	snprintf(name, sizeof(name), "@rkunit-%d", (int)getpid());
	ck_assert_int_eq(close(theirs), 0);
	theirs = bound(name);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
	opened();
	rk_notify_ready(&n, NULL);
	ck_assert_str_eq(heard(), "READY=1");
}
END_TEST

START_TEST(an_empty_or_endless_message_is_never_sent)
{
	char text[RK_NOTIFY_TEXT_MAX + 2];

	opened();
	ck_assert_int_eq(rk_notify_send(&n, ""), -EINVAL);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(rk_notify_send(&n, text), -EMSGSIZE);
	ck_assert_str_eq(heard(), "(none)");
	text[RK_NOTIFY_TEXT_MAX] = '\0';
	ck_assert_int_eq(rk_notify_send(&n, text), 0);
	ck_assert_str_eq(heard(), text);
}
END_TEST

/* ---- no systemd ---- */

static void everything_is_said(void)
{
	int fd = file_new(), barrier = 7;

	for (size_t i = 0; i < rk_countof(messages); i++)
		messages[i].say();
	ck_assert_int_eq(rk_notify_store(&n, "a", fd), 0);
	ck_assert_int_eq(rk_notify_stored(&n, "b", fd), 0);
	ck_assert_int_eq(rk_notify_unstore(&n, "a"), 0);
	ck_assert(rk_notify_flush(&n));
	ck_assert_int_eq(rk_notify_events(&n), 0);
	ck_assert_int_eq(rk_notify_barrier_begin(&n, &barrier), 0);
	ck_assert_int_eq(barrier, -1);
	ck_assert_int_eq(rk_notify_barrier(&n, 60000), 0);
	ck_assert_int_eq(rk_notify_environ(&n), 0);
	ck_assert_int_eq(rk_notify_trouble(&n), 0);
	ck_assert_uint_eq(rk_notify_n_stored(&n), 0);
	ck_assert_int_eq(close(fd), 0);
}

START_TEST(without_systemd_every_call_does_nothing)
{
	unsigned int before = unit_n_fds();
	struct rk_err err = { 0 };

	ck_assert_int_eq(unsetenv("NOTIFY_SOCKET"), 0);
	ck_assert_int_eq(rk_notify_open(&n, &err), 0);
	ck_assert(!rk_notify_is_open(&n));
	everything_is_said();
	ck_assert_uint_eq(unit_n_fds(), before);
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
	ck_assert_str_eq(heard(), "(none)");
}
END_TEST

static const struct {
	const char *name, *why;
	int code;
} bad_sockets[] = {
	{ "", "neither a path nor an abstract name", -EPROTONOSUPPORT },
	{ "relative", "neither a path nor an abstract name: 'relative'", -EPROTONOSUPPORT },
	{ "vsock:2:1234", "neither a path nor an abstract name", -EPROTONOSUPPORT },
	{ "@", "has 1 bytes", -EINVAL },
	{ "/", "has 1 bytes", -EINVAL },
	{ "/an/extremely/long/path/an/extremely/long/path/an/extremely/long/path/an/extremely/"
	  "long/path/of/more/than/107",
	  "not 2..107", -EINVAL },
};

START_TEST(a_socket_nobody_can_use_is_refused_and_survived)
{
	struct rk_err err = { 0 };

	ck_assert_int_eq(setenv("NOTIFY_SOCKET", bad_sockets[_i].name, 1), 0);
	ck_assert_int_eq(rk_notify_open(&n, &err), bad_sockets[_i].code);
	ck_assert_msg(strstr(err.text, bad_sockets[_i].why) != NULL, "%s", err.text);
	ck_assert(!rk_notify_is_open(&n));
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	everything_is_said();
}
END_TEST

START_TEST(a_systemd_that_is_away_is_told_when_it_comes)
{
	struct rk_err err = { 0 };
	struct rk_fds fds = { 0 };
	int fd = file_new();

	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rk_notify_open(&n, &err), -ENOENT);
	ck_assert_msg(strstr(err.text, "systemd cannot be reached at ") != NULL, "%s", err.text);
	rk_notify_ready(&n, NULL);
	ck_assert_int_eq(rk_notify_store(&n, "a", fd), 0);
	ck_assert(!rk_notify_flush(&n));
	ck_assert_int_eq(rk_notify_events(&n), 0); /* there is nothing to wait for */
	ck_assert_int_eq(rk_notify_barrier(&n, 60000), -EIO);
	ck_assert_int_eq(rk_notify_trouble(&n), -ENOENT);
	ck_assert(!rk_notify_flush(&n));
	ck_assert_int_eq(rk_notify_trouble(&n), 0); /* once is enough */
	ck_assert_int_eq(close(theirs), 0);
	theirs = bound(path);
	ck_assert(rk_notify_flush(&n));
	ck_assert_str_eq(heard_with(&fds), "FDSTORE=1\nFDPOLL=0\nFDNAME=a");
	ck_assert_uint_eq(inode(fds.fd[0]), inode(fd));
	ck_assert_str_eq(heard(), "READY=1");
	ck_assert_str_eq(heard(), "(none)");
	rk_fds_close_p(&fds);
}
END_TEST

START_TEST(a_systemd_with_a_new_socket_is_found_again)
{
	opened();
	ck_assert_int_eq(close(theirs), 0);
	ck_assert_int_eq(unlink(path), 0);
	rk_notify_status(&n, "one");
	rk_notify_status(&n, "two");
	ck_assert_int_eq(rk_notify_trouble(&n), -ENOENT);
	theirs = bound(path);
	ck_assert(rk_notify_flush(&n));
	ck_assert_str_eq(heard(), "STATUS=two");
	ck_assert_int_eq(close(theirs), 0);
	ck_assert_int_eq(unlink(path), 0);
	theirs = bound(path);
	rk_notify_ready(&n, NULL);
	ck_assert_str_eq(heard(), "READY=1");
	ck_assert_int_eq(rk_notify_trouble(&n), 0);
}
END_TEST

/* ---- a full socket ---- */

START_TEST(what_found_no_room_is_sent_once_there_is_some)
{
	int fd = file_new();
	unsigned int count;

	opened();
	count = fill();
	rk_notify_status(&n, "one");
	rk_notify_ready(&n, "up");
	rk_notify_status(&n, "two");
	ck_assert_int_eq(rk_notify_store(&n, "a", fd), 0);
	ck_assert_int_eq(rk_notify_store(&n, "b", fd), 0);
	ck_assert_int_eq(rk_notify_unstore(&n, "b"), 0); /* systemd need not hear of it */
	ck_assert_int_eq(rk_notify_unstore(&n, "old"), 0);
	ck_assert_uint_eq(rk_notify_n_stored(&n), 1);
	ck_assert_int_eq(rk_notify_watchdog(&n), -EAGAIN);
	ck_assert_int_eq(rk_notify_send(&n, "Y=1"), -EAGAIN);
	ck_assert(!rk_notify_flush(&n));
	ck_assert_int_eq(rk_notify_events(&n), POLLOUT);
	ck_assert(!is_room());
	drain(count);
	ck_assert_str_eq(heard(), "(none)");
	ck_assert(is_room());
	ck_assert(rk_notify_flush(&n));
	ck_assert_str_eq(heard(), "FDSTOREREMOVE=1\nFDNAME=old");
	ck_assert_str_eq(heard(), "FDSTORE=1\nFDPOLL=0\nFDNAME=a");
	ck_assert_str_eq(heard(), "READY=1\nSTATUS=up");
	ck_assert_str_eq(heard(), "STATUS=two");
	ck_assert_str_eq(heard(), "(none)");
	ck_assert_int_eq(rk_notify_events(&n), 0);
	ck_assert_int_eq(rk_notify_trouble(&n), 0); /* a full socket is none */
}
END_TEST

START_TEST(with_room_for_one_message_one_goes)
{
	int fd = file_new();
	unsigned int count;
	char name[16];

	opened();
	count = fill();
	for (unsigned int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		ck_assert_int_eq(rk_notify_store(&n, name, fd), 0);
	}
	rk_notify_ready(&n, NULL);
	for (unsigned int i = 0; i < count; i++) {
		ck_assert_str_eq(heard(), "X=1");
		(void)rk_notify_flush(&n);
	}
	ck_assert(rk_notify_flush(&n));
	for (unsigned int i = 0; i < 3; i++) {
		char want[64];

		snprintf(want, sizeof(want), "FDSTORE=1\nFDPOLL=0\nFDNAME=s%u", i);
		ck_assert_str_eq(heard(), want);
	}
	ck_assert_str_eq(heard(), "READY=1");
	ck_assert_str_eq(heard(), "(none)");
}
END_TEST

START_TEST(each_kind_is_late_once_and_in_the_order_of_the_latest)
{
	unsigned int count;

	opened();
	count = fill();
	rk_notify_ready(&n, "old");
	rk_notify_reloading(&n, 1000);
	rk_notify_status(&n, "waiting");
	rk_notify_reloading(&n, 2000);
	rk_notify_ready(&n, "new");
	rk_notify_stopping(&n, NULL);
	drain(count);
	ck_assert(rk_notify_flush(&n));
	ck_assert_str_eq(heard(), "STATUS=waiting");
	ck_assert_str_eq(heard(), "RELOADING=1\nMONOTONIC_USEC=2");
	ck_assert_str_eq(heard(), "READY=1\nSTATUS=new");
	ck_assert_str_eq(heard(), "STOPPING=1");
	ck_assert_str_eq(heard(), "(none)");
}
END_TEST

START_TEST(another_descriptor_under_a_name_replaces_the_first)
{
	int a = file_new(), b = file_new();
	struct rk_fds fds = { 0 };
	unsigned int count;

	opened();
	ck_assert_int_eq(rk_notify_store(&n, "a", a), 0);
	ck_assert_str_eq(heard(), "FDSTORE=1\nFDPOLL=0\nFDNAME=a");
	count = fill();
	ck_assert_int_eq(rk_notify_unstore(&n, "a"), 0);
	ck_assert_int_eq(rk_notify_store(&n, "a", b), 0);
	ck_assert_int_eq(rk_notify_store(&n, "a", b), -EEXIST);
	drain(count);
	ck_assert(rk_notify_flush(&n));
	ck_assert_str_eq(heard(), "FDSTOREREMOVE=1\nFDNAME=a");
	ck_assert_str_eq(heard_with(&fds), "FDSTORE=1\nFDPOLL=0\nFDNAME=a");
	ck_assert_uint_eq(inode(fds.fd[0]), inode(b));
	ck_assert_str_eq(heard(), "(none)");
	rk_fds_close_p(&fds);
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_sent_holds_up_no_other)
{
	int fd = file_new();

	opened();
	ck_assert_int_eq(rk_notify_store(&n, "bad", 1 << 20), 0);
	ck_assert_int_eq(rk_notify_store(&n, "good", fd), 0);
	rk_notify_ready(&n, NULL);
	ck_assert_str_eq(heard(), "FDSTORE=1\nFDPOLL=0\nFDNAME=good");
	ck_assert_str_eq(heard(), "READY=1");
	ck_assert_int_eq(rk_notify_events(&n), 0);
	ck_assert_int_eq(rk_notify_barrier(&n, 60000), -EIO);
	ck_assert_int_eq(rk_notify_trouble(&n), -EBADF);
}
END_TEST

/* ---- names ---- */

static const struct {
	const char *name;
	int r;
} names[] = {
	{ "a", 0 },          { "words/state.3 ~", 0 }, { "", -EINVAL },         { "a:b", -EINVAL },
	{ "a\nb", -EINVAL }, { "a\x7f", -EINVAL },     { "\xc3\xa4", -EINVAL },
};

START_TEST(systemd_is_given_no_name_that_it_would_not_take)
{
	int fd = file_new();

	opened();
	ck_assert_int_eq(rk_notify_store(&n, names[_i].name, fd), names[_i].r);
	if (names[_i].r == 0)
		return;
	ck_assert_int_eq(rk_notify_unstore(&n, names[_i].name), names[_i].r);
	ck_assert_int_eq(rk_notify_stored(&n, names[_i].name, fd), names[_i].r);
	ck_assert_str_eq(heard(), "(none)");
}
END_TEST

START_TEST(a_name_has_at_most_255_bytes)
{
	char name[RK_NOTIFY_NAME_MAX + 1], want[400];
	int fd = file_new();

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	opened();
	ck_assert_int_eq(rk_notify_store(&n, name, fd), -EINVAL);
	ck_assert_str_eq(heard(), "(none)");
	name[RK_NOTIFY_NAME_MAX - 1] = '\0';
	snprintf(want, sizeof(want), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	ck_assert_int_eq(rk_notify_store(&n, name, fd), 0);
	ck_assert_str_eq(heard(), want);
}
END_TEST

START_TEST(no_more_is_stored_than_systemd_keeps)
{
	int fd = file_new();

	ck_assert_int_eq(setenv("FDSTORE", "2", 1), 0);
	opened();
	ck_assert_ptr_null(getenv("FDSTORE"));
	ck_assert_int_eq(rk_notify_stored(&n, "a", fd), 0);
	ck_assert_str_eq(heard(), "(none)"); /* systemd has it */
	ck_assert_int_eq(rk_notify_store(&n, "a", fd), -EEXIST);
	ck_assert_int_eq(rk_notify_store(&n, "b", fd), 0);
	ck_assert_int_eq(rk_notify_store(&n, "c", fd), -ENOSPC);
	ck_assert_int_eq(rk_notify_unstore(&n, "a"), 0);
	ck_assert_int_eq(rk_notify_store(&n, "c", fd), 0);
	ck_assert_uint_eq(rk_notify_n_stored(&n), 2);
}
END_TEST

START_TEST(the_table_of_names_has_a_limit_of_its_own)
{
	int fd = file_new();
	char name[16];

	opened();
	for (unsigned int i = 0; i < RK_NOTIFY_STORE_MAX; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		ck_assert_int_eq(rk_notify_stored(&n, name, fd), 0);
	}
	ck_assert_int_eq(rk_notify_store(&n, "one more", fd), -ENOSPC);
}
END_TEST

/* ---- watchdog ---- */

static const struct {
	const char *usec, *pid; /* "self" = ours */
	int r;
	uint64_t ns;
} watchdogs[] = {
	{ "30000000", NULL, 0, 30000000000 },
	{ "30000000", "self", 0, 30000000000 },
	{ "30000000", "1", 0, 0 }, /* another process is meant */
	{ NULL, "self", 0, 0 },
	{ "0", NULL, -ERANGE, 0 },
	{ "", NULL, -EINVAL, 0 },
	{ "-1", NULL, -ERANGE, 0 },
	{ "3s", NULL, -EINVAL, 0 },
	{ "18446744073709551615", NULL, -ERANGE, 0 },
	{ "30000000", "x", -EINVAL, 0 },
	{ "30000000", "0", -ERANGE, 0 },
};

START_TEST(the_watchdog_is_whose_environment_says_so)
{
	struct rk_err err = { 0 };
	char self[16];

	snprintf(self, sizeof(self), "%d", (int)getpid());
	(void)unsetenv("WATCHDOG_USEC");
	if (watchdogs[_i].usec)
		ck_assert_int_eq(setenv("WATCHDOG_USEC", watchdogs[_i].usec, 1), 0);
	if (watchdogs[_i].pid)
		ck_assert_int_eq(setenv("WATCHDOG_PID",
					strcmp(watchdogs[_i].pid, "self") == 0 ? self
									       : watchdogs[_i].pid,
					1),
				 0);
	ck_assert_int_eq(rk_notify_open(&n, &err), watchdogs[_i].r);
	ck_assert_msg(watchdogs[_i].r == 0 || strstr(err.text, "WATCHDOG_") != NULL, "%s",
		      err.text);
	ck_assert(rk_notify_is_open(&n)); /* the rest works all the same */
	ck_assert_uint_eq(n.watchdog_ns, watchdogs[_i].ns);
	ck_assert_int_eq(rk_notify_watchdog(&n), 0);
	ck_assert_str_eq(heard(), watchdogs[_i].ns ? "WATCHDOG=1" : "(none)");
	ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
	ck_assert_ptr_null(getenv("WATCHDOG_PID"));
}
END_TEST

START_TEST(the_environment_can_be_passed_on)
{
	char self[16];

	snprintf(self, sizeof(self), "%d", (int)getpid());
	ck_assert_int_eq(setenv("WATCHDOG_PID", self, 1), 0);
	ck_assert_int_eq(setenv("FDSTORE", "64", 1), 0);
	opened();
	ck_assert_int_eq(rk_notify_environ(&n), 0);
	ck_assert_str_eq(getenv("NOTIFY_SOCKET"), path);
	ck_assert_str_eq(getenv("WATCHDOG_USEC"), "200000");
	ck_assert_str_eq(getenv("WATCHDOG_PID"), self);
	ck_assert_str_eq(getenv("FDSTORE"), "64");
	rk_notify_close_p(&n);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", "@abstract", 1), 0);
	ck_assert_int_eq(rk_notify_open(&n, NULL), -ECONNREFUSED);
	ck_assert_int_eq(rk_notify_environ(&n), 0);
	ck_assert_str_eq(getenv("NOTIFY_SOCKET"), "@abstract");
}
END_TEST

/* ---- the barrier ---- */

/* A child that reads as systemd does, closing what comes, until it has seen the barrier. */
static pid_t reader_start(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	while (pid == 0) {
		struct pollfd p = { .fd = theirs, .events = POLLIN };
		struct rk_fds fds = { 0 };
		char text[128] = "";
		size_t len;

		if (poll(&p, 1, 10000) != 1 ||
		    rk_fd_recv(theirs, text, sizeof(text) - 1, &len, &fds) < 0)
			_exit(1);
		if (strcmp(text, "BARRIER=1") == 0)
			_exit(fds.n == 1 ? 0 : 2); /* its end is closed with it */
		rk_fds_close_p(&fds);
	}
	return pid;
}

static void reader_end(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(a_barrier_ends_when_systemd_has_come_to_it)
{
	unsigned int before = unit_n_fds() + 1; /* our socket */
	pid_t pid = reader_start();

	opened();
	rk_notify_ready(&n, NULL);
	ck_assert_int_eq(rk_notify_barrier(&n, 10000), 0);
	reader_end(pid);
	ck_assert_uint_eq(unit_n_fds(), before);
}
END_TEST

START_TEST(a_barrier_waits_for_room_and_stays_behind_what_is_late)
{
	int fd = file_new();
	pid_t pid;

	opened();
	(void)fill();
	ck_assert_int_eq(rk_notify_store(&n, "a", fd), 0);
	pid = reader_start();
	ck_assert_int_eq(rk_notify_barrier(&n, 10000), 0);
	ck_assert_int_eq(rk_notify_events(&n), 0);
	reader_end(pid);
}
END_TEST

START_TEST(a_barrier_nobody_answers_ends_in_time)
{
	uint64_t start_ns = rk_clock_ns();
	struct rk_fds fds = { 0 };

	opened();
	ck_assert_int_eq(rk_notify_barrier(&n, 30), -ETIMEDOUT);
	ck_assert_uint_ge(rk_clock_ns() - start_ns, 30 * RK_NS_PER_MS);
	ck_assert_str_eq(heard_with(&fds), "BARRIER=1");
	ck_assert_uint_eq(fds.n, 1);
	rk_fds_close_p(&fds);
}
END_TEST

START_TEST(a_barrier_for_which_there_is_no_room_ends_in_time)
{
	uint64_t start_ns = rk_clock_ns();
	unsigned int count;

	opened();
	count = fill();
	ck_assert_int_eq(rk_notify_barrier(&n, 30), -ETIMEDOUT);
	ck_assert_uint_ge(rk_clock_ns() - start_ns, 30 * RK_NS_PER_MS);
	ck_assert_int_eq(rk_notify_events(&n), 0); /* nobody waits any more */
	drain(count);
	ck_assert_str_eq(heard(), "(none)");
}
END_TEST

START_TEST(a_barrier_can_be_waited_for_beside_other_things)
{
	struct pollfd p = { .events = 0 };
	struct rk_fds fds = { 0 };
	unsigned int count;

	opened();
	count = fill();
	ck_assert_int_eq(rk_notify_barrier_begin(&n, &p.fd), -EAGAIN);
	ck_assert_int_eq(rk_notify_events(&n), POLLOUT);
	drain(count);
	ck_assert_int_eq(rk_notify_barrier_begin(&n, &p.fd), 0);
	ck_assert_int_eq(rk_notify_events(&n), 0);
	ck_assert_int_ne(fcntl(p.fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ck_assert_str_eq(heard_with(&fds), "BARRIER=1");
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	rk_fds_close_p(&fds);
	ck_assert_int_eq(poll(&p, 1, 0), 1);
	ck_assert_int_ne(p.revents & POLLHUP, 0);
	ck_assert_int_eq(close(p.fd), 0);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("notify");

	tcase_add_checked_fixture(c, enter, leave);
	tcase_add_loop_test(c, a_message_is_what_the_protocol_says, 0, rk_countof(messages));
	tcase_add_test(c, a_store_carries_the_descriptor);
	tcase_add_test(c, a_long_status_is_cut);
	tcase_add_test(c, an_abstract_name_is_reached_too);
	tcase_add_test(c, an_empty_or_endless_message_is_never_sent);
	tcase_add_test(c, without_systemd_every_call_does_nothing);
	tcase_add_loop_test(c, a_socket_nobody_can_use_is_refused_and_survived, 0,
			    rk_countof(bad_sockets));
	tcase_add_test(c, a_systemd_that_is_away_is_told_when_it_comes);
	tcase_add_test(c, a_systemd_with_a_new_socket_is_found_again);
	tcase_add_test(c, what_found_no_room_is_sent_once_there_is_some);
	tcase_add_test(c, with_room_for_one_message_one_goes);
	tcase_add_test(c, each_kind_is_late_once_and_in_the_order_of_the_latest);
	tcase_add_test(c, another_descriptor_under_a_name_replaces_the_first);
	tcase_add_test(c, a_descriptor_that_cannot_be_sent_holds_up_no_other);
	tcase_add_loop_test(c, systemd_is_given_no_name_that_it_would_not_take, 0,
			    rk_countof(names));
	tcase_add_test(c, a_name_has_at_most_255_bytes);
	tcase_add_test(c, no_more_is_stored_than_systemd_keeps);
	tcase_add_test(c, the_table_of_names_has_a_limit_of_its_own);
	tcase_add_loop_test(c, the_watchdog_is_whose_environment_says_so, 0, rk_countof(watchdogs));
	tcase_add_test(c, the_environment_can_be_passed_on);
	tcase_add_test(c, a_barrier_ends_when_systemd_has_come_to_it);
	tcase_add_test(c, a_barrier_waits_for_room_and_stays_behind_what_is_late);
	tcase_add_test(c, a_barrier_nobody_answers_ends_in_time);
	tcase_add_test(c, a_barrier_for_which_there_is_no_room_ends_in_time);
	tcase_add_test(c, a_barrier_can_be_waited_for_beside_other_things);
	return unit_run(c);
}
