/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Whatever Listen= allows is bound and listens; what cannot be bound is told with the address, and who has it
 *         where that can be seen. A path that nobody listens at any more is no obstacle, and one that is in use is left alone.
 * Method  Real sockets, on ports that the kernel chose a moment before.
 */
#include "supervisor/listen.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/unit.h"

static struct rk_err err;
static char directory[] = "/tmp/rk-listen.XXXXXX";

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void teardown(void)
{
	(void)rmdir(directory);
}

/* A port of this family on which nobody listens; 0: the family is not there. */
static uint16_t port_free(int family)
{
	struct sockaddr_in6 at = { .sin6_family = (sa_family_t)family };
	socklen_t len = sizeof(at);
	rk_cleanup(rk_close_p) int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(at)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return 0;
	return ntohs(at.sin6_port); /* at the same place in both */
}

static bool can_connect(const void *at, socklen_t len)
{
	rk_cleanup(rk_close_p) int fd = socket(((const struct sockaddr *)at)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, at, len) == 0;
}

static bool can_connect_v4(uint16_t port)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return can_connect(&at, sizeof(at));
}

static bool can_connect_unix(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	return can_connect(&at, sizeof(at));
}

START_TEST(specifiers_are_those_of_the_slot)
{
	static const struct rk_listen_slot of = { .fleet = "web", .number = 3, .port = 7000 }, none = { .fleet = "web" };
	char text[RK_LISTEN_ADDRESS];

	ck_assert_int_eq(rk_listen_expand("127.0.0.1:%p", &of, text, &err), 0);
	ck_assert_str_eq(text, "127.0.0.1:7003");
	ck_assert_int_eq(rk_listen_expand("/run/%f-%i%%.sock", &of, text, &err), 0);
	ck_assert_str_eq(text, "/run/web-3%.sock");
	ck_assert_int_eq(rk_listen_expand("/run/%d.sock", &of, text, &err), -EINVAL);
	ck_assert_int_eq(rk_listen_expand("127.0.0.1:%p", &none, text, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "Port="));
}
END_TEST

START_TEST(every_form_of_a_tcp_address_listens)
{
	static const char *const forms[] = { "127.0.0.1", "localhost", "*", "0.0.0.0" };
	char address[64];

	for (size_t i = 0; i < rk_countof(forms); i++) {
		rk_cleanup(rk_close_p) int fd = -1;
		uint16_t port = port_free(AF_INET);

		(void)snprintf(address, sizeof(address), "%s:%u", forms[i], port);
		ck_assert_msg(rk_listen_open(address, &fd, &err) == 0, "%s", err.text);
		ck_assert(can_connect_v4(port));
	}
}
END_TEST

START_TEST(a_v6_address_listens)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	uint16_t port = port_free(AF_INET6);
	rk_cleanup(rk_close_p) int fd = -1;
	char address[64];
	int r;

	if (!port)
		return; /* this machine has none */
	(void)snprintf(address, sizeof(address), "[::1]:%u", port);
	r = rk_listen_open(address, &fd, &err);
	if (r == -EADDRNOTAVAIL)
		return; /* nor an address of it */
	ck_assert_msg(r == 0, "%s", err.text);
	at.sin6_port = htons(port);
	ck_assert(can_connect(&at, sizeof(at)));
}
END_TEST

START_TEST(what_is_no_address_is_told)
{
	static const char *const bad[] = { "", "80", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
					   "example.org:80", "[::1:80", "127.0.0.1:80x", "[]:80" };
	rk_cleanup(rk_free_p) char *long_path = malloc(200);
	int fd = -1;

	for (size_t i = 0; i < rk_countof(bad); i++)
		ck_assert_msg(rk_listen_open(bad[i], &fd, &err) == -EINVAL, "%s", bad[i]);
	memset(long_path, '/', 199);
	long_path[199] = '\0';
	ck_assert_int_eq(rk_listen_open(long_path, &fd, &err), -ENAMETOOLONG);
	ck_assert_int_eq(rk_listen_open("/nowhere/at/all.sock", &fd, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/at/all.sock"));
	ck_assert_int_eq(fd, -1);
}
END_TEST

/* A process that listens there until it is killed. */
static pid_t holder_start(const char *address)
{
	int told[2];
	char byte = 'x';
	pid_t pid;

	ck_assert_int_eq(pipe(told), 0);
	pid = fork();
	if (pid == 0) {
		int fd;

		if (rk_listen_open(address, &fd, NULL) < 0)
			_exit(1);
		(void)!write(told[1], &byte, 1);
		for (;;)
			(void)pause();
	}
	(void)close(told[1]);
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	(void)close(told[0]);
	return pid;
}

static void holder_end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void assert_taken(const char *address, pid_t holder)
{
	char who[32];
	int fd = -1;

	ck_assert_int_eq(rk_listen_open(address, &fd, &err), -EADDRINUSE);
	(void)snprintf(who, sizeof(who), "pid %d (", (int)holder);
	ck_assert_msg(strstr(err.text, who) && strstr(err.text, address), "%s", err.text);
}

START_TEST(of_an_address_that_is_taken_the_holder_is_named)
{
	char address[64];
	pid_t pid;

	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port_free(AF_INET));
	pid = holder_start(address);
	assert_taken(address, pid);
	holder_end(pid);
	(void)snprintf(address, sizeof(address), "%s/s", directory);
	pid = holder_start(address);
	assert_taken(address, pid);
	ck_assert(can_connect_unix(address));
	holder_end(pid);
	(void)unlink(address);
}
END_TEST

START_TEST(of_our_own_it_says_how_workers_get_different_ones)
{
	rk_cleanup(rk_close_p) int fd = -1;
	char address[64];
	int other = -1;

	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port_free(AF_INET));
	ck_assert_int_eq(rk_listen_open(address, &fd, &err), 0);
	ck_assert_int_eq(rk_listen_open(address, &other, &err), -EADDRINUSE);
	ck_assert_msg(strstr(err.text, "%i or %p"), "%s", err.text);
}
END_TEST

START_TEST(a_path_that_is_left_over_is_taken_and_removed_at_the_end)
{
	rk_cleanup(rk_close_p) int fd = -1;
	char address[64];

	(void)snprintf(address, sizeof(address), "%s/s", directory);
	holder_end(holder_start(address)); /* leaves it */
	ck_assert_int_eq(access(address, F_OK), 0);
	ck_assert_msg(rk_listen_open(address, &fd, &err) == 0, "%s", err.text);
	ck_assert(can_connect_unix(address));
	rk_listen_unlink(fd);
	ck_assert_int_lt(access(address, F_OK), 0);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_left_alone)
{
	char address[64];
	int fd = -1;
	FILE *file;

	(void)snprintf(address, sizeof(address), "%s/s", directory);
	file = fopen(address, "we");
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(rk_listen_open(address, &fd, &err), -EADDRINUSE);
	ck_assert_int_eq(unlink(address), 0);
}
END_TEST

START_TEST(a_socket_that_a_program_has_shut_down_listens_again)
{
	rk_cleanup(rk_close_p) int fd = -1;
	uint16_t port = port_free(AF_INET);
	char address[64];

	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	ck_assert_int_eq(rk_listen_open(address, &fd, &err), 0);
	ck_assert_int_eq(shutdown(fd, SHUT_RDWR), 0);
	ck_assert(!can_connect_v4(port));
	ck_assert_int_eq(rk_listen_mend(fd), 0);
	ck_assert(can_connect_v4(port));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("listen");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, specifiers_are_those_of_the_slot);
	tcase_add_test(c, every_form_of_a_tcp_address_listens);
	tcase_add_test(c, a_v6_address_listens);
	tcase_add_test(c, what_is_no_address_is_told);
	tcase_add_test(c, of_an_address_that_is_taken_the_holder_is_named);
	tcase_add_test(c, of_our_own_it_says_how_workers_get_different_ones);
	tcase_add_test(c, a_path_that_is_left_over_is_taken_and_removed_at_the_end);
	tcase_add_test(c, a_file_that_is_no_socket_is_left_alone);
	tcase_add_test(c, a_socket_that_a_program_has_shut_down_listens_again);
	return unit_run(c);
}
