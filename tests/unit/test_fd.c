/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    descriptors arrive close-on-exec, none stays open by accident, and a message that
 *         does not fit is an error.
 * Method  socket pairs; open descriptors are counted before and after.
 */
#include "base/fd.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static void pair(int s[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
}

static struct rk_fds copies_of(int fd, unsigned int n)
{
	struct rk_fds fds = { .n = n };

	for (unsigned int i = 0; i < n; i++)
		fds.fd[i] = fd;
	return fds;
}

START_TEST(flags_are_set_and_cleared)
{
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(rk_fd_cloexec(p[0], 1), 0);
	ck_assert_int_eq(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(rk_fd_cloexec(p[0], 0), 0);
	ck_assert_int_eq(fcntl(p[0], F_GETFD), 0);
	ck_assert_int_eq(rk_fd_nonblock(p[0], 1), 0);
	ck_assert_int_ne(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(rk_fd_nonblock(p[0], 0), 0);
	ck_assert_int_eq(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(rk_fd_cloexec(-1, 1), -EBADF);
	ck_assert_int_eq(rk_fd_nonblock(-1, 1), -EBADF);
}
END_TEST

/* The loop index is the number of descriptors. */
START_TEST(bytes_and_descriptors_arrive_close_on_exec)
{
	struct rk_fds sent, got;
	int s[2], p[2];
	char buf[16];
	size_t len;

	pair(s);
	ck_assert_int_eq(pipe(p), 0);
	sent = copies_of(p[1], (unsigned int)_i);
	ck_assert_int_eq(rk_fd_send(s[0], "hello", 5, &sent), 0);
	ck_assert_int_eq(rk_fd_recv(s[1], buf, sizeof(buf), &len, &got), 0);
	ck_assert_uint_eq(len, 5);
	ck_assert_mem_eq(buf, "hello", 5);
	ck_assert_uint_eq(got.n, sent.n);
	for (unsigned int i = 0; i < got.n; i++) {
		ck_assert_int_eq(fcntl(got.fd[i], F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(write(got.fd[i], "x", 1), 1);
		ck_assert_int_eq(read(p[0], buf, 1), 1);
	}
}
END_TEST

START_TEST(descriptors_nobody_asked_for_are_closed)
{
	struct rk_fds sent = copies_of(STDIN_FILENO, 3);
	unsigned int before;
	char buf[16];
	size_t len;
	int s[2];

	pair(s);
	before = unit_n_fds();
	ck_assert_int_eq(rk_fd_send(s[0], "x", 1, &sent), 0);
	ck_assert_int_eq(rk_fd_recv(s[1], buf, sizeof(buf), &len, NULL), 0);
	ck_assert_uint_eq(unit_n_fds(), before);
}
END_TEST

START_TEST(a_message_too_long_for_the_buffer_is_an_error_and_leaks_nothing)
{
	struct rk_fds sent = copies_of(STDIN_FILENO, 2), got = { .n = 99 };
	unsigned int before;
	size_t len = 77;
	char buf[4];
	int s[2];

	pair(s);
	before = unit_n_fds();
	ck_assert_int_eq(rk_fd_send(s[0], "hello", 5, &sent), 0);
	ck_assert_int_eq(rk_fd_recv(s[1], buf, sizeof(buf), &len, &got), -EMSGSIZE);
	ck_assert_uint_eq(unit_n_fds(), before);
	ck_assert_uint_eq(len, 77);
	ck_assert_uint_eq(got.n, 99);
}
END_TEST

/* Sends what rk_fd_send() refuses to: as a hostile peer would. */
static void send_many(int sock, unsigned int n)
{
	char control[CMSG_SPACE(64 * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (char[]){ 'x' }, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *c;

	msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int)); /* all zero: stdin, n times */
	ck_assert_int_eq(sendmsg(sock, &msg, 0), 1);
}

/* With credentials on, the kernel itself cuts the list; without, some surplus ones arrive. */
static const struct {
	unsigned int n;
	int with_credentials;
} too_many[] = { { 17, 0 }, { 18, 0 }, { 23, 0 }, { 24, 0 }, { 64, 0 }, { 17, 1 }, { 64, 1 } };

START_TEST(too_many_descriptors_are_an_error_and_all_closed)
{
	struct rk_fds got;
	unsigned int before;
	char buf[4];
	size_t len;
	int s[2];

	pair(s);
	ck_assert_int_eq(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &too_many[_i].with_credentials,
				    sizeof(int)),
			 0);
	before = unit_n_fds();
	send_many(s[0], too_many[_i].n);
	ck_assert_int_eq(rk_fd_recv(s[1], buf, sizeof(buf), &len, &got), -EMSGSIZE);
	ck_assert_uint_eq(unit_n_fds(), before);
}
END_TEST

START_TEST(credentials_do_not_crowd_out_descriptors)
{
	struct rk_fds sent = copies_of(STDIN_FILENO, RK_FDS_MAX), got;
	char buf[4];
	size_t len;
	int s[2];

	pair(s);
	ck_assert_int_eq(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)), 0);
	ck_assert_int_eq(rk_fd_send(s[0], "x", 1, &sent), 0);
	ck_assert_int_eq(rk_fd_recv(s[1], buf, sizeof(buf), &len, &got), 0);
	ck_assert_uint_eq(got.n, RK_FDS_MAX);
}
END_TEST

START_TEST(impossible_requests_are_refused)
{
	struct rk_fds sent = { .n = RK_FDS_MAX + 1 };
	int s[2];

	pair(s);
	ck_assert_int_eq(rk_fd_send(s[0], "x", 1, &sent), -EINVAL);
	ck_assert_int_eq(rk_fd_send(s[0], "x", 0, NULL), -EINVAL);
}
END_TEST

START_TEST(a_gone_peer_is_an_error_not_a_signal)
{
	char buf[4];
	size_t len = 77;
	int s[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0); /* only these raise SIGPIPE */
	ck_assert_int_eq(close(s[1]), 0);
	ck_assert_int_eq(rk_fd_send(s[0], "x", 1, NULL), -EPIPE);
	ck_assert_int_eq(rk_fd_recv(s[0], buf, sizeof(buf), &len, NULL), 0);
	ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(nothing_there_yet_is_eagain)
{
	char buf[4];
	size_t len;
	int s[2];

	pair(s);
	ck_assert_int_eq(rk_fd_nonblock(s[0], 1), 0);
	ck_assert_int_eq(rk_fd_recv(s[0], buf, sizeof(buf), &len, NULL), -EAGAIN);
}
END_TEST

static void on_signal(int signal)
{
	(void)signal;
}

/*
 * Reads all and returns how much. The first bytes show that the writer sits in a write() that
 * cannot end before we read on, so the signal makes it a short one.
 */
static size_t read_and_interrupt(int fd)
{
	char in[4096];
	size_t n_read = 0;

	for (ssize_t n; (n = read(fd, in, sizeof(in))) > 0; n_read += (size_t)n)
		if (n_read == 0)
			ck_assert_int_eq(kill(getppid(), SIGUSR1), 0);
	return n_read;
}

START_TEST(a_long_write_is_completed_over_short_ones)
{
	enum { LEN = 1 << 20 };
	struct sigaction act = { .sa_handler = on_signal };
	char *buf = calloc(1, LEN);
	int p[2], status;
	pid_t pid;

	ck_assert_ptr_nonnull(buf);
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(sigaction(SIGUSR1, &act, NULL), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)close(p[1]);
		_exit(read_and_interrupt(p[0]) == LEN ? 0 : 1);
	}
	ck_assert_int_eq(rk_write_all(p[1], buf, LEN), 0);
	ck_assert_int_eq(close(p[1]), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(rk_write_all(-1, buf, 1), -EBADF);
	free(buf);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("fd");

	tcase_add_test(c, flags_are_set_and_cleared);
	tcase_add_loop_test(c, bytes_and_descriptors_arrive_close_on_exec, 0, RK_FDS_MAX + 1);
	tcase_add_test(c, descriptors_nobody_asked_for_are_closed);
	tcase_add_test(c, a_message_too_long_for_the_buffer_is_an_error_and_leaks_nothing);
	tcase_add_loop_test(c, too_many_descriptors_are_an_error_and_all_closed, 0,
			    rk_countof(too_many));
	tcase_add_test(c, credentials_do_not_crowd_out_descriptors);
	tcase_add_test(c, impossible_requests_are_refused);
	tcase_add_test(c, a_gone_peer_is_an_error_not_a_signal);
	tcase_add_test(c, nothing_there_yet_is_eagain);
	tcase_add_test(c, a_long_write_is_completed_over_short_ones);
	return unit_run(c);
}
