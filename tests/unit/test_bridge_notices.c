/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    what the program's tree says with sd_notify(3) is heard as systemd would hear it, from nobody else, and
 *         whatever is sent does no harm: every descriptor that nobody wants is closed.
 * Method  libsystemd and systemd-notify send; then messages of our own, down to random ones from a seed that is
 *         printed. Descriptors are counted before and after.
 */
#include "workers/bridge/notices.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

struct heard {
	unsigned int n;
	struct rk_notice last; /* its descriptors are gone */
	uint32_t n_fds;
	pid_t ours; /* 0 = everybody is */
	int take;   /* which descriptor is taken; -1 = none */
	int taken;
	struct rk_notices *to_close; /* in the callback */
};

static bool is_ours(pid_t pid, uid_t uid, void *arg)
{
	const struct heard *h = arg;

	ck_assert_int_gt(pid, 0);
	ck_assert_uint_eq(uid, getuid());
	return h->ours == 0 || h->ours == pid;
}

static void on_notice(struct rk_notice *notice, void *arg)
{
	struct heard *h = arg;

	h->n++;
	h->last = *notice;
	h->n_fds = notice->n_fds;
	for (uint32_t i = 0; i < notice->n_fds; i++)
		ck_assert_int_eq(fcntl(notice->fd[i], F_GETFD), FD_CLOEXEC);
	if (h->take >= 0 && (uint32_t)h->take < notice->n_fds)
		h->taken = rk_take_fd(&notice->fd[h->take]);
	rk_notices_close(h->to_close);
}

static struct rk_notices *notices_open(struct ev_loop *loop, struct heard *h)
{
	struct rk_notices *n;
	struct rk_err err = { 0 };

	ck_assert_msg(rk_notices_open(loop, NULL, is_ours, on_notice, h, &n, &err) == 0, "%s", err.text);
	ck_assert_int_eq(rk_notices_address(n)[0], '@');
	return n;
}

static struct ev_loop *loop_new(void)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_NOENV);

	ck_assert_ptr_nonnull(loop);
	return loop;
}

/* A socket that sends there. */
static int connect_to(const char *address)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(address);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	memcpy(at.sun_path, address, len);
	if (address[0] == '@')
		at.sun_path[0] = '\0';
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
	return fd;
}

/* Sends len bytes and n_fds times this descriptor. Returns 0 or errno. */
static int say(int sock, const void *text, size_t len, int fd, uint32_t n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(RK_NOTICES_FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds > 0) {
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (uint32_t i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
	}
	return sendmsg(sock, &h, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

static void say_text(int sock, const char *text)
{
	ck_assert_int_eq(say(sock, text, strlen(text), -1, 0), 0);
}

static uint64_t n_taken_note_of(const struct rk_notices *n)
{
	const struct rk_notices_counts *c = rk_notices_counts(n);

	return c->n_heard + c->n_barriers + c->n_foreign + c->n_bad;
}

static void hear(struct ev_loop *loop, const struct rk_notices *n, uint64_t want)
{
	while (n_taken_note_of(n) < want)
		(void)ev_run(loop, EVRUN_ONCE);
}

/* ---- who really sends ---- */

START_TEST(libsystemd_is_heard_and_its_barrier_answered)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	struct heard h = { .take = 0, .taken = -1 };
	struct rk_notices *n = notices_open(loop, &h);
	int status, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid;

	ck_assert_int_eq(setenv("NOTIFY_SOCKET", rk_notices_address(n), 1), 0);
	pid = fork();
	if (pid == 0) {
		bool is_good = sd_notify(0, "READY=1\nSTATUS=all is well") > 0 &&
			       sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=db", &null, 1) > 0 &&
			       sd_notify_barrier(0, 5000000) > 0;
		_exit(is_good ? 0 : 1);
	}
	h.ours = pid;
	hear(loop, n, 3);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(h.n, 2);
	ck_assert_uint_eq(rk_notices_counts(n)->n_barriers, 1);
	ck_assert_str_eq(h.last.name, "db");
	ck_assert_int_ge(h.taken, 0);
	(void)close(h.taken);
	(void)close(null);
	rk_notices_close(n);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	(void)ev_run(loop, 0);
}
END_TEST

START_TEST(systemd_notify_succeeds_at_once)
{
	struct ev_loop *loop = loop_new();
	struct heard h = { .take = -1 };
	struct rk_notices *n = notices_open(loop, &h);
	uint64_t began = rk_clock_ns();
	int status;
	pid_t pid;

	if (access("/usr/bin/systemd-notify", X_OK) == 0) {
		ck_assert_int_eq(setenv("NOTIFY_SOCKET", rk_notices_address(n), 1), 0);
		pid = fork();
		if (pid == 0) {
			(void)execl("/usr/bin/systemd-notify", "systemd-notify", "--ready", "--status=up", NULL);
			_exit(127);
		}
		hear(loop, n, 2);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
		ck_assert(h.last.is_ready);
		ck_assert_str_eq(h.last.status, "up");
		ck_assert_uint_lt(rk_clock_ns() - began, 4 * RK_NS_PER_S); /* unanswered it waits for 5 */
	}
	rk_notices_close(n);
}
END_TEST

/* ---- what is said ---- */

START_TEST(every_field_is_understood)
{
	struct rk_notice n;
	const char *text = "READY=1\nRELOADING=1\nSTOPPING=1\nSTATUS=50 % of \x1b[1mit\nERRNO=2\nMAINPID=77\n"
			   "WATCHDOG=1\nWATCHDOG_USEC=20000000\nEXTEND_TIMEOUT_USEC=3000000\nMONOTONIC_USEC=5\n"
			   "FDSTORE=1\nFDSTOREREMOVE=1\nFDNAME=a b\nFDPOLL=0\nNOTIFYACCESS=all\nX_OTHER=1\n";

	rk_notices_parse(&n, text, strlen(text));
	ck_assert(n.is_ready && n.is_reloading && n.is_stopping && n.is_alive && !n.is_trouble);
	ck_assert(n.has_status && n.has_error && n.has_watchdog);
	ck_assert_str_eq(n.status, "50 % of ?[1mit");
	ck_assert_int_eq(n.error, 2);
	ck_assert_int_eq(n.main_pid, 77);
	ck_assert_uint_eq(n.watchdog_ns, 20 * RK_NS_PER_S);
	ck_assert_uint_eq(n.extend_ns, 3 * RK_NS_PER_S);
	ck_assert_uint_eq(n.since_ns, 5 * RK_NS_PER_US);
	ck_assert(n.is_store && n.is_unstore && n.is_unpolled);
	ck_assert_str_eq(n.name, "a b");
}
END_TEST

static const struct {
	const char *text;
	size_t at; /* the byte in struct rk_notice that alone is set; 0 = none */
} parses[] = {
	{ "READY=1", offsetof(struct rk_notice, is_ready) },
	{ "READY=1\n", offsetof(struct rk_notice, is_ready) },
	{ "\n\nX=\nREADY=1", offsetof(struct rk_notice, is_ready) },
	{ "WATCHDOG=trigger", offsetof(struct rk_notice, is_trouble) },
	{ "READY=0", 0 },
	{ "READY=11", 0 },
	{ "READY", 0 },
	{ "READY=", 0 },
	{ "READY=0\nREADY=1", 0 }, /* the first counts */
	{ "XREADY=1", 0 },
	{ " READY=1", 0 },
	{ "WATCHDOG=2", 0 },
	{ "ERRNO=-1", 0 },
	{ "ERRNO=99999999999", 0 },
	{ "MAINPID=0", 0 },
	{ "MAINPID=1", 0 },
	{ "MAINPID=12x", 0 },
	{ "WATCHDOG_USEC=99999999999999999999", 0 },
	{ "EXTEND_TIMEOUT_USEC=18446744073709551615", 0 },
	{ "FDSTOREREMOVE=1", 0 }, /* without a name */
	{ "FDSTOREREMOVE=1\nFDNAME=a:b", 0 },
	{ "FDNAME=a", 0 },
	{ "=", 0 },
	{ "\n", 0 },
};

START_TEST(what_is_no_value_says_nothing)
{
	struct rk_notice n, want;

	memset(&n, 0, sizeof(n));
	memset(&want, 0, sizeof(want));
	rk_notices_parse(&n, parses[_i].text, strlen(parses[_i].text));
	ck_assert_int_eq(n.is_ready, parses[_i].at && parses[_i].at == offsetof(struct rk_notice, is_ready));
	ck_assert_int_eq(n.is_trouble, parses[_i].at && parses[_i].at == offsetof(struct rk_notice, is_trouble));
	ck_assert(!n.is_reloading && !n.is_stopping && !n.is_alive && !n.has_status && !n.has_error &&
		  !n.has_watchdog && !n.is_store && !n.is_unstore);
	ck_assert(n.main_pid == 0 && n.extend_ns == 0 && n.since_ns == 0 && n.watchdog_ns == 0);
	ck_assert_str_eq(n.name, "");
}
END_TEST

START_TEST(a_name_is_as_systemd_has_it)
{
	char text[400] = "FDSTORE=1\nFDNAME=";
	struct rk_notice n;

	rk_notices_parse(&n, "FDSTORE=1", 9);
	ck_assert_str_eq(n.name, "stored");
	rk_notices_parse(&n, "FDSTORE=1\nFDNAME=a:b", 20);
	ck_assert_str_eq(n.name, "stored");
	memset(text + 17, 'x', 255);
	rk_notices_parse(&n, text, 17 + 255);
	ck_assert_uint_eq(strlen(n.name), 255);
	text[17 + 255] = 'x';
	rk_notices_parse(&n, text, 17 + 256);
	ck_assert_str_eq(n.name, "stored");
}
END_TEST

/* ---- who is heard ---- */

START_TEST(only_the_tree_is_heard)
{
	struct ev_loop *loop = loop_new();
	struct heard h = { .take = -1, .ours = 1 };
	struct rk_notices *n = notices_open(loop, &h);
	uint32_t n_fds = unit_n_fds();
	int sock = connect_to(rk_notices_address(n));

	ck_assert_int_eq(say(sock, "READY=1", 7, STDERR_FILENO, 3), 0);
	ck_assert_int_eq(say(sock, "BARRIER=1", 9, STDERR_FILENO, 1), 0);
	hear(loop, n, 2);
	ck_assert_uint_eq(rk_notices_counts(n)->n_foreign, 2);
	ck_assert_uint_eq(rk_notices_counts(n)->n_closed, 4);
	h.ours = getpid();
	say_text(sock, "READY=1");
	hear(loop, n, 3);
	ck_assert_uint_eq(h.n, 1);
	ck_assert_int_eq(h.last.pid, getpid());
	(void)close(sock);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	rk_notices_close(n);
}
END_TEST

/* In a pid namespace of its own: whoever is outside of it has no number here. */
static void listen_inside(int to)
{
	struct ev_loop *loop = loop_new();
	struct heard h = { .take = -1 };
	struct rk_notices *n = notices_open(loop, &h);
	const char *address = rk_notices_address(n);

	(void)!write(to, address, strlen(address));
	(void)close(to);
	hear(loop, n, 1);
	_exit(h.n == 0 && rk_notices_counts(n)->n_foreign == 1 ? 0 : 1);
}

START_TEST(who_has_no_number_here_is_not_heard)
{
	char address[128];
	int end[2], status, sock;
	ssize_t len;
	pid_t pid, inner;

	ck_assert_int_eq(pipe(end), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(end[0]);
		if (unshare(CLONE_NEWPID) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
			_exit(0); /* not allowed here */
		inner = fork();
		if (inner == 0)
			listen_inside(end[1]);
		(void)close(end[1]);
		_exit(waitpid(inner, &status, 0) == inner && status == 0 ? 0 : 1);
	}
	(void)close(end[1]);
	len = read(end[0], address, sizeof(address) - 1);
	if (len > 0) {
		address[len] = '\0';
		sock = connect_to(address);
		say_text(sock, "READY=1");
		(void)close(sock);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	(void)close(end[0]);
}
END_TEST

/* ---- what does no harm ---- */

START_TEST(what_is_malformed_is_dropped_whole)
{
	struct ev_loop *loop = loop_new();
	struct heard h = { .take = -1 };
	struct rk_notices *n = notices_open(loop, &h);
	uint32_t n_fds = unit_n_fds();
	int sock = connect_to(rk_notices_address(n));
	char large[RK_NOTICES_TEXT_MAX + 1];

	memset(large, 'x', sizeof(large));
	memcpy(large, "READY=1\n", 8);
	ck_assert_int_eq(say(sock, "", 0, -1, 0), 0);
	ck_assert_int_eq(say(sock, "", 0, STDERR_FILENO, 2), 0);
	ck_assert_int_eq(say(sock, large, sizeof(large), STDERR_FILENO, 1), 0);
	ck_assert_int_eq(say(sock, "READY=1\0X=1", 11, STDERR_FILENO, 1), 0);
	hear(loop, n, 4);
	ck_assert_uint_eq(rk_notices_counts(n)->n_bad, 4);
	ck_assert_uint_eq(rk_notices_counts(n)->n_closed, 4);
	ck_assert_uint_eq(h.n, 0);
	ck_assert_int_eq(say(sock, large, sizeof(large) - 1, -1, 0), 0); /* just fits */
	ck_assert_int_eq(say(sock, "READY=1", 8, -1, 0), 0);		 /* with its NUL */
	hear(loop, n, 6);
	ck_assert_uint_eq(h.n, 2);
	ck_assert(h.last.is_ready);
	(void)close(sock);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	rk_notices_close(n);
}
END_TEST

static const struct {
	const char *text;
	uint32_t n_fds;
	bool is_good;
} barriers[] = {
	{ "BARRIER=1", 1, true },    { "BARRIER=1\n", 1, true },	      { "BARRIER=1\nREADY=1", 1, false },
	{ "READY=1\nBARRIER=1", 1, false }, { "BARRIER=1", 2, false }, { "BARRIER=1", 0, false },
};

/* The loop index is the message. Whatever comes of it, the sender waits for nothing. */
START_TEST(a_barrier_is_alone_with_one_descriptor)
{
	struct ev_loop *loop = loop_new();
	struct heard h = { .take = -1 };
	struct rk_notices *n = notices_open(loop, &h);
	int sock = connect_to(rk_notices_address(n)), end[2];
	struct pollfd p;

	ck_assert_int_eq(pipe2(end, O_CLOEXEC), 0);
	ck_assert_int_eq(say(sock, barriers[_i].text, strlen(barriers[_i].text), end[1], barriers[_i].n_fds), 0);
	(void)close(end[1]);
	hear(loop, n, 1);
	ck_assert_uint_eq(rk_notices_counts(n)->n_barriers, barriers[_i].is_good);
	ck_assert_uint_eq(rk_notices_counts(n)->n_bad, !barriers[_i].is_good);
	ck_assert_uint_eq(rk_notices_counts(n)->n_closed, barriers[_i].is_good ? 0 : barriers[_i].n_fds);
	ck_assert_uint_eq(h.n, 0);
	p = (struct pollfd){ .fd = end[0], .events = POLLIN };
	ck_assert_int_eq(poll(&p, 1, 0), 1);
	ck_assert_int_ne(p.revents & POLLHUP, 0);
	(void)close(end[0]);
	(void)close(sock);
	rk_notices_close(n);
}
END_TEST

START_TEST(descriptors_come_with_a_store_alone_and_what_is_not_taken_is_closed)
{
	struct ev_loop *loop = loop_new();
	struct heard h = { .take = 100, .taken = -1 };
	struct rk_notices *n = notices_open(loop, &h);
	uint32_t n_fds = unit_n_fds();
	int sock = connect_to(rk_notices_address(n));

	ck_assert_int_eq(say(sock, "READY=1", 7, STDERR_FILENO, 5), 0);
	hear(loop, n, 1);
	ck_assert_uint_eq(h.n_fds, 0);
	ck_assert_uint_eq(rk_notices_counts(n)->n_closed, 5);
	ck_assert_int_eq(say(sock, "FDSTORE=1", 9, STDERR_FILENO, RK_NOTICES_FDS_MAX), 0);
	hear(loop, n, 2);
	ck_assert_uint_eq(h.n_fds, RK_NOTICES_FDS_MAX);
	ck_assert_uint_eq(rk_notices_counts(n)->n_closed, 5 + RK_NOTICES_FDS_MAX - 1);
	ck_assert_int_ge(h.taken, 0);
	ck_assert_int_eq(fcntl(h.taken, F_GETFD), FD_CLOEXEC);
	(void)close(h.taken);
	(void)close(sock);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	rk_notices_close(n);
}
END_TEST

START_TEST(want_of_descriptors_here_drops_the_message_and_no_more)
{
	struct ev_loop *loop = loop_new();
	struct heard h = { .take = -1 };
	struct rk_notices *n = notices_open(loop, &h);
	uint32_t n_fds = unit_n_fds();
	int sock = connect_to(rk_notices_address(n)), last = dup(STDERR_FILENO);
	struct rlimit all, few;

	(void)close(last);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = (struct rlimit){ .rlim_cur = (rlim_t)last + 2, .rlim_max = all.rlim_max };
	ck_assert_int_eq(say(sock, "FDSTORE=1", 9, STDERR_FILENO, 5), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	hear(loop, n, 1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	ck_assert_uint_eq(rk_notices_counts(n)->n_bad, 1);
	say_text(sock, "READY=1");
	hear(loop, n, 2);
	ck_assert_uint_eq(h.n, 1);
	(void)close(sock);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	rk_notices_close(n);
}
END_TEST

START_TEST(a_flood_leaves_turns_to_others)
{
	struct ev_loop *loop = loop_new();
	struct heard h = { .take = -1 };
	struct rk_notices *n = notices_open(loop, &h);
	int sock = connect_to(rk_notices_address(n));
	uint64_t sent = 0;

	while (sent < 3 * RK_NOTICES_PER_TURN && say(sock, "WATCHDOG=1", 10, -1, 0) == 0)
		sent++;
	ck_assert_uint_gt(sent, RK_NOTICES_PER_TURN);
	(void)ev_run(loop, EVRUN_ONCE);
	ck_assert_uint_eq(h.n, RK_NOTICES_PER_TURN);
	hear(loop, n, sent);
	ck_assert_uint_eq(h.n, sent);
	(void)close(sock);
	rk_notices_close(n);
}
END_TEST

/* A message out of pieces of real ones, cut and spoiled anywhere. */
static size_t spoiled(struct rk_rand *r, char *to, size_t size)
{
	static const char *const pieces[] = {
		"READY=1", "STATUS=", "FDSTORE=1", "FDNAME=x", "FDSTOREREMOVE=1", "BARRIER=1", "WATCHDOG=1",
		"WATCHDOG_USEC=", "99999999999999999999", "ERRNO=", "MAINPID=", "=", "\n", "\xff\xfe", "-1", "\x1b[",
	};
	size_t len = 0, n = rk_rand_below(r, 12);

	for (size_t i = 0; i < n; i++) {
		const char *piece = pieces[rk_rand_below(r, sizeof(pieces) / sizeof(pieces[0]))];

		len += (size_t)snprintf(to + len, size - len, "%s%s", piece, rk_rand_below(r, 2) ? "\n" : "");
	}
	if (rk_rand_below(r, 8) == 0)
		len = rk_rand_below(r, size); /* and whatever stood there before */
	if (len > 0 && rk_rand_below(r, 3) == 0)
		to[rk_rand_below(r, len)] = (char)rk_rand_u64(r);
	return len;
}

START_TEST(nothing_that_is_sent_does_harm)
{
	struct ev_loop *loop = loop_new();
	struct heard h = { .take = -1 };
	struct rk_notices *n = notices_open(loop, &h);
	uint32_t n_fds = unit_n_fds();
	int sock = connect_to(rk_notices_address(n));
	const char *told = getenv("RK_TEST_SEED");
	uint64_t seed = told ? strtoull(told, NULL, 10) : rk_clock_ns();
	struct rk_rand r = rk_rand_init(seed);
	char text[5000] = "";

	printf("# RK_TEST_SEED=%llu\n", (unsigned long long)seed);
	(void)fflush(stdout);
	for (uint64_t i = 1; i <= 20000; i++) {
		size_t len = spoiled(&r, text, sizeof(text));
		uint32_t n_sent = rk_rand_below(&r, 4) ? 0 : (uint32_t)rk_rand_below(&r, 6);

		h.ours = rk_rand_below(&r, 8) ? 0 : 1;
		h.taken = -1;
		h.take = (int)rk_rand_below(&r, 3) - 1;
		ck_assert_int_eq(say(sock, text, len, STDERR_FILENO, n_sent), 0);
		hear(loop, n, i);
		rk_close_p(&h.taken);
	}
	(void)close(sock);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	ck_assert_uint_gt(h.n, 0);
	rk_notices_close(n);
}
END_TEST

/* ---- its address ---- */

START_TEST(a_path_is_replaced_and_removed)
{
	struct ev_loop *loop = loop_new();
	char folder[] = "/tmp/rk-notices.XXXXXX", path[64], too_long[200];
	struct heard h = { .take = -1 };
	struct rk_notices *n, *second;
	struct rk_err err = { 0 };
	struct stat st;
	int sock;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/notify", folder);
	ck_assert_int_eq(rk_notices_open(loop, path, is_ours, on_notice, &h, &n, &err), 0);
	ck_assert_str_eq(rk_notices_address(n), path);
	/* Its predecessor was killed, and left this behind. */
	ck_assert_int_eq(rk_notices_open(loop, path, is_ours, on_notice, &h, &second, &err), 0);
	sock = connect_to(path);
	say_text(sock, "READY=1");
	hear(loop, second, 1);
	(void)close(sock);
	rk_notices_close(second);
	ck_assert_int_eq(lstat(path, &st), -1);
	rk_notices_close(n);
	/* What is no socket stays. */
	ck_assert_int_eq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	ck_assert_int_eq(rk_notices_open(loop, path, is_ours, on_notice, &h, &n, &err), -EADDRINUSE);
	ck_assert_int_eq(lstat(path, &st), 0);
	memset(too_long, 'a', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	ck_assert_int_eq(rk_notices_open(loop, too_long, is_ours, on_notice, &h, &n, &err), -ENAMETOOLONG);
	(void)unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
	(void)ev_run(loop, 0);
}
END_TEST

START_TEST(it_may_be_closed_by_who_is_told)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	struct heard h = { .take = -1 };
	int sock;

	h.to_close = notices_open(loop, &h);
	sock = connect_to(rk_notices_address(h.to_close));
	ck_assert_int_eq(say(sock, "FDSTORE=1", 9, STDERR_FILENO, 2), 0);
	say_text(sock, "READY=1");
	while (h.n == 0)
		(void)ev_run(loop, EVRUN_ONCE);
	(void)close(sock);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	(void)ev_run(loop, 0);
	ck_assert_uint_eq(h.n, 1);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("bridge_notices");

	tcase_add_test(c, libsystemd_is_heard_and_its_barrier_answered);
	tcase_add_test(c, systemd_notify_succeeds_at_once);
	tcase_add_test(c, every_field_is_understood);
	tcase_add_loop_test(c, what_is_no_value_says_nothing, 0, (int)(sizeof(parses) / sizeof(parses[0])));
	tcase_add_test(c, a_name_is_as_systemd_has_it);
	tcase_add_test(c, only_the_tree_is_heard);
	tcase_add_test(c, who_has_no_number_here_is_not_heard);
	tcase_add_test(c, what_is_malformed_is_dropped_whole);
	tcase_add_loop_test(c, a_barrier_is_alone_with_one_descriptor, 0, (int)(sizeof(barriers) / sizeof(barriers[0])));
	tcase_add_test(c, descriptors_come_with_a_store_alone_and_what_is_not_taken_is_closed);
	tcase_add_test(c, want_of_descriptors_here_drops_the_message_and_no_more);
	tcase_add_test(c, a_flood_leaves_turns_to_others);
	tcase_add_test(c, nothing_that_is_sent_does_harm);
	tcase_add_test(c, a_path_is_replaced_and_removed);
	tcase_add_test(c, it_may_be_closed_by_who_is_told);
	return unit_run(c);
}
