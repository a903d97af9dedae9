/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What the program sends to be kept is asked for until it is answered, once for each descriptor, and a refusal is told.
 * Method  This process is the supervisor's end of the line.
 */
#include "workers/bridge/keeps.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/unit.h"

static struct ev_loop *loop;
static int line[2];
static struct rk_keeps *keeps;
static char said[512];

static void say(const char *text, void *arg)
{
	(void)arg;
	(void)snprintf(said, sizeof(said), "%s", text);
}

static void setup(void)
{
	loop = ev_loop_new(EVFLAG_AUTO);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line), 0);
	keeps = rk_keeps_open(loop, line[0], say, NULL);
	ck_assert_ptr_nonnull(keeps);
}

static void teardown(void)
{
	rk_keeps_close(keeps);
	(void)close(line[0]);
	(void)close(line[1]);
	ev_loop_destroy(loop);
}

static void store(const char *name, int *fds, uint32_t n)
{
	struct rk_notice notice = { .is_store = n > 0, .is_unstore = n == 0, .n_fds = n, .fd = fds };

	(void)snprintf(notice.name, sizeof(notice.name), "%s", name);
	rk_keeps_take(keeps, &notice);
}

/* The next request: its number; its verb and name, and whether a descriptor came, are as said. */
static unsigned int expect(const char *request, bool has_fd)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	char text[512] = "";
	unsigned int number = 0;
	int at = 0;
	size_t len;

	ck_assert_int_eq(rk_fd_recv(line[1], text, sizeof(text) - 1, &len, &fds), 0);
	ck_assert_int_eq(sscanf(text, "%u %n", &number, &at), 1);
	ck_assert_str_eq(text + at, request);
	ck_assert_uint_eq(fds.n, has_fd);
	return number;
}

static void answer(unsigned int number, const char *text)
{
	char message[256];
	int n = snprintf(message, sizeof(message), "%u %s", number, text);

	ck_assert_int_eq(send(line[1], message, (size_t)n, 0), n);
	(void)ev_run(loop, EVRUN_NOWAIT);
}

START_TEST(each_descriptor_is_asked_for_at_once_and_answers_may_come_in_any_order)
{
	int fds[2] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };
	unsigned int first, second, third;

	store("a", fds, 2);
	store("b", NULL, 0);
	first = expect("keep a", true);
	second = expect("keep a", true);
	third = expect("unkeep b", false);
	ck_assert_uint_eq(rk_keeps_n_waiting(keeps), 3);
	answer(third, "ENOENT nothing is kept by this name");
	answer(second, "ok");
	answer(first, "ok");
	ck_assert_uint_eq(rk_keeps_n_waiting(keeps), 0);
	ck_assert_str_eq(said, ""); /* of what is not there there is nothing to give up */
	ck_assert(fds[0] == -1 && fds[1] == -1);
}
END_TEST

START_TEST(what_nobody_answers_is_asked_again_under_another_number)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	unsigned int first, second;

	store("a", &fd, 1);
	first = expect("keep a", true);
	(void)ev_run(loop, EVRUN_ONCE); /* the timer */
	second = expect("keep a", true);
	ck_assert_uint_ne(first, second);
	answer(first, "ok"); /* late: it is the second that counts */
	ck_assert_uint_eq(rk_keeps_n_waiting(keeps), 1);
	answer(second, "ok");
	ck_assert_uint_eq(rk_keeps_n_waiting(keeps), 0);
}
END_TEST

START_TEST(a_refusal_is_told_and_not_asked_again)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	store("a", &fd, 1);
	answer(expect("keep a", true), "ENOSPC 2 descriptors are kept");
	ck_assert_ptr_nonnull(strstr(said, "ENOSPC 2 descriptors are kept"));
	ck_assert_uint_eq(rk_keeps_n_waiting(keeps), 0);
}
END_TEST

START_TEST(an_end_without_a_supervisor_and_too_many_do_no_harm)
{
	int fd = eventfd(0, EFD_CLOEXEC), copy;

	for (uint32_t i = 0; i <= RK_KEEPS_MAX; i++) {
		copy = dup(fd);
		store("a", &copy, 1);
		if (copy >= 0)
			(void)close(copy);
	}
	ck_assert_uint_eq(rk_keeps_n_waiting(keeps), RK_KEEPS_MAX);
	ck_assert_ptr_nonnull(strstr(said, "too many"));
	(void)shutdown(line[1], SHUT_RDWR);
	(void)ev_run(loop, EVRUN_NOWAIT);
	(void)close(fd);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("keeps");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, each_descriptor_is_asked_for_at_once_and_answers_may_come_in_any_order);
	tcase_add_test(c, what_nobody_answers_is_asked_again_under_another_number);
	tcase_add_test(c, a_refusal_is_told_and_not_asked_again);
	tcase_add_test(c, an_end_without_a_supervisor_and_too_many_do_no_harm);
	return unit_run(c);
}
