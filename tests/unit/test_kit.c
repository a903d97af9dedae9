/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The sockets of a slot are the same ones for each of its processes and under each supervisor, until Listen= says
 *         otherwise; what a process asks to be kept is given to the next one, within its bounds; and keeper has all of it
 *         at any time, and nothing else.
 * Method  A kit whose keeper is the other end of its link, read here into what keeper has (held.h): a next kit gets that.
 */
#include "supervisor/kit.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/held.h"
#include "tests/unit/unit.h"

#define FLEET 5u
#define WAIT_US UINT64_C(10000000)

static char directory[] = "/tmp/rk-kit.XXXXXX", first[64], second[64];
static char *addresses[3] = { first, second, NULL };
static struct rk_fleet_options o;
static struct rk_held held;
static int link_pair[2];
static sd_event *event;
static struct rk_kit *kit;
static struct rk_err err;

static void kit_open(void)
{
	const struct rk_kit_conf conf = { .event = event, .o = &o, .name = "web", .fleet = FLEET, .link = link_pair[0] };

	ck_assert_int_eq(rk_kit_open(&conf, &kit), 0);
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(first, sizeof(first), "%s/a%%i", directory);
	(void)snprintf(second, sizeof(second), "%s/b%%i", directory);
	o.kind = RK_KIND_NOTIFY;
	o.listen = (struct rk_wordlist){ .n = 2, .at = addresses };
	o.n_descriptors_kept = 3;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, link_pair), 0);
	ck_assert_int_ge(sd_event_new(&event), 0);
	kit_open();
}

/* What the kit has told keeper. */
static void keeper_hear(void)
{
	struct rk_link_msg msg;
	int fd;

	while (rk_link_recv(link_pair[1], &msg, &fd) == 0) {
		ck_assert_uint_eq(msg.kind, RK_LINK_DESCRIPTOR);
		ck_assert_uint_eq(rk_link_tag_fleet(msg.tag), FLEET);
		if (msg.op == RK_LINK_KEEP)
			ck_assert_int_eq(rk_held_keep(&held, &msg, fd), 0);
		else
			rk_held_forget(&held, msg.kind, msg.tag);
	}
}

static void teardown(void)
{
	rk_kit_release(kit, UINT32_MAX);
	keeper_hear();
	ck_assert_uint_eq(held.n, 0);
	rk_kit_close(kit);
	event = sd_event_unref(event);
	rk_held_close(&held);
	ck_assert_int_eq(rmdir(directory), 0); /* no socket is left there */
}

/* A supervisor dies, and the next one gets what keeper has. */
static void supervisor_replace(void)
{
	rk_cleanup(rk_inherit_close) struct rk_inherit in = { 0 };
	int fd;

	keeper_hear();
	rk_kit_close(kit);
	kit_open();
	(void)rk_held_begin(&held);
	in.at = calloc(held.n, sizeof(*in.at));
	while (rk_held_next(&held, 0, &in.at[in.n].about, &fd)) {
		in.at[in.n++].fd = dup(fd);
		rk_held_handed(&held);
	}
	rk_kit_adopt(kit, &in);
	for (uint32_t i = 0; i < in.n; i++)
		ck_assert_int_lt(in.at[i].fd, 0);
}

static ino_t inode_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

static struct rk_kit_given given;

/* Makes a slot's next process; its end of the line. */
static int process_make(uint32_t slot)
{
	int line;

	ck_assert_msg(rk_kit_give(kit, slot, &given, &err) == 0, "%s", err.text);
	line = dup(given.more.line);
	rk_kit_given(kit);
	return line;
}

/* Asks, and reads the answer, without its number. */
static const char *ask(int line, const char *text, int fd)
{
	static char reply[512];
	static unsigned int number;
	struct rk_fds fds = { .n = fd >= 0, .fd = { fd } };
	struct pollfd p = { .fd = line, .events = POLLIN };
	char message[2100];
	int len = snprintf(message, sizeof(message), "%u %s", ++number, text), at = 0;
	unsigned int told = 0;
	ssize_t n;

	ck_assert_int_eq(rk_fd_send(line, message, (size_t)len, &fds), 0);
	while (poll(&p, 1, 0) == 0)
		ck_assert_int_gt(sd_event_run(event, WAIT_US), 0);
	n = recv(line, reply, sizeof(reply) - 1, 0);
	ck_assert_int_gt(n, 0);
	reply[n] = '\0';
	ck_assert_int_eq(sscanf(reply, "%u %n", &told, &at), 1);
	ck_assert(told == number || told == 0);
	return reply + at;
}

START_TEST(a_slot_has_the_same_sockets_for_each_process_and_supervisor)
{
	ino_t a, b;

	(void)close(process_make(1));
	ck_assert_uint_eq(given.more.n_listen, 2);
	a = inode_of(given.listen[0]);
	b = inode_of(given.listen[1]);
	ck_assert(a != b);
	for (int i = 0; i < 4; i++) {
		rk_kit_hang_up(kit, 1);
		if (i == 2)
			supervisor_replace();
		(void)close(process_make(1));
		ck_assert_uint_eq(inode_of(given.listen[0]), a);
		ck_assert_uint_eq(inode_of(given.listen[1]), b);
		ck_assert_int_ge(given.listen[0], RK_CHILD_FLOOR);
	}
	(void)close(process_make(2));
	ck_assert(inode_of(given.listen[0]) != a);
}
END_TEST

START_TEST(what_listen_says_no_more_is_closed_at_the_next_start)
{
	static char *fewer[2] = { second, NULL };
	ino_t b;
	char path[80];

	(void)close(process_make(0));
	b = inode_of(given.listen[1]);
	o.listen = (struct rk_wordlist){ .n = 1, .at = fewer };
	(void)close(process_make(0));
	ck_assert_uint_eq(given.more.n_listen, 1);
	ck_assert_uint_eq(inode_of(given.listen[0]), b);
	(void)snprintf(path, sizeof(path), "%s/a0", directory);
	ck_assert_int_lt(access(path, F_OK), 0);
	keeper_hear();
	ck_assert_uint_eq(held.n, 2); /* the other one, and the line */
}
END_TEST

START_TEST(an_address_that_cannot_be_bound_makes_no_process)
{
	(void)snprintf(second, sizeof(second), "/nowhere/%%i");
	ck_assert_int_eq(rk_kit_give(kit, 0, &given, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/0"));
	(void)snprintf(second, sizeof(second), "%s/b%%i", directory);
	(void)close(process_make(0));
}
END_TEST

START_TEST(what_a_process_sends_is_given_to_the_next_one_in_its_order)
{
	int line = process_make(0), a = eventfd(7, EFD_CLOEXEC), b = eventfd(8, EFD_CLOEXEC);
	eventfd_t value;

	ck_assert_str_eq(ask(line, "keep one", a), "ok");
	ck_assert_str_eq(ask(line, "keep two.2", b), "ok");
	ck_assert_str_eq(ask(line, "keep one", a), "ok"); /* once more, as when no answer came */
	(void)close(a);
	(void)close(b);
	(void)close(line);
	rk_kit_hang_up(kit, 0);
	supervisor_replace();
	line = process_make(0);
	ck_assert_uint_eq(given.more.n_kept, 2);
	ck_assert_str_eq(given.kept[0].name, "one");
	ck_assert_str_eq(given.kept[1].name, "two.2");
	ck_assert_int_eq(eventfd_read(given.kept[0].fd, &value), 0);
	ck_assert_uint_eq(value, 7);
	ck_assert_str_eq(ask(line, "unkeep one", -1), "ok");
	ck_assert_int_eq(strncmp(ask(line, "unkeep one", -1), "ENOENT ", 7), 0);
	(void)close(line);
	(void)close(process_make(0));
	ck_assert_uint_eq(given.more.n_kept, 1);
	(void)close(process_make(1));
	ck_assert_uint_eq(given.more.n_kept, 0); /* another slot's */
}
END_TEST

START_TEST(what_a_dying_process_asked_last_is_done)
{
	int line = process_make(0), a = eventfd(0, EFD_CLOEXEC);
	struct rk_fds fds = { .n = 1, .fd = { a } };

	ck_assert_int_eq(rk_fd_send(line, "1 keep last", 11, &fds), 0);
	(void)close(line);
	rk_kit_hang_up(kit, 0);
	(void)close(process_make(0));
	ck_assert_uint_eq(given.more.n_kept, 1);
	(void)close(a);
}
END_TEST

START_TEST(what_is_asked_while_nobody_supervises_waits)
{
	int line = process_make(0), a = eventfd(0, EFD_CLOEXEC);
	struct rk_fds fds = { .n = 1, .fd = { a } };

	keeper_hear();
	ck_assert_int_eq(rk_fd_send(line, "1 keep it", 9, &fds), 0);
	supervisor_replace();
	ck_assert_int_gt(sd_event_run(event, WAIT_US), 0);
	(void)close(line);
	(void)close(process_make(0));
	ck_assert_uint_eq(given.more.n_kept, 1);
	(void)close(a);
}
END_TEST

START_TEST(nonsense_is_refused_and_changes_nothing)
{
	static const struct {
		const char *text, *code;
		bool has_fd;
	} bad[] = { { "keep ", "EINVAL", true },    { "keep a/b", "EINVAL", true }, { "keep a", "EINVAL", false },
		    { "keep a:b", "EINVAL", true }, { "hold a", "EINVAL", true },   { "unkeep nobody", "ENOENT", false },
		    { "keep 0123456789012345678901234567890123456789012345678901234567890", "EINVAL", true } };
	int line = process_make(0), a = eventfd(0, EFD_CLOEXEC);
	char long_text[2000];
	uint32_t n_fds;

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	n_fds = unit_n_fds();
	for (size_t i = 0; i < rk_countof(bad); i++) {
		const char *reply = ask(line, bad[i].text, bad[i].has_fd ? a : -1);

		ck_assert_msg(strncmp(reply, bad[i].code, strlen(bad[i].code)) == 0, "%s: %s", bad[i].text, reply);
	}
	ck_assert_int_eq(strncmp(ask(line, long_text, a), "EMSGSIZE ", 9), 0);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	keeper_hear();
	ck_assert_uint_eq(held.n, 3);
	(void)close(line);
	(void)close(a);
}
END_TEST

START_TEST(more_than_the_bound_are_refused)
{
	int line = process_make(0), a = -1;
	char text[16];

	for (uint32_t i = 0; i < o.n_descriptors_kept + 1; i++) {
		a = eventfd(0, EFD_CLOEXEC);
		(void)snprintf(text, sizeof(text), "keep %u", i);
		ck_assert_int_eq(strncmp(ask(line, text, a), i < o.n_descriptors_kept ? "ok" : "ENOSPC", 2), 0);
		(void)close(a);
	}
	(void)close(line);
}
END_TEST

START_TEST(without_a_bound_there_is_no_line)
{
	o.n_descriptors_kept = 0;
	ck_assert_int_eq(rk_kit_give(kit, 0, &given, &err), 0);
	ck_assert_int_lt(given.more.line, 0);
	rk_kit_given(kit);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("kit");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_slot_has_the_same_sockets_for_each_process_and_supervisor);
	tcase_add_test(c, what_listen_says_no_more_is_closed_at_the_next_start);
	tcase_add_test(c, an_address_that_cannot_be_bound_makes_no_process);
	tcase_add_test(c, what_a_process_sends_is_given_to_the_next_one_in_its_order);
	tcase_add_test(c, what_a_dying_process_asked_last_is_done);
	tcase_add_test(c, what_is_asked_while_nobody_supervises_waits);
	tcase_add_test(c, nonsense_is_refused_and_changes_nothing);
	tcase_add_test(c, more_than_the_bound_are_refused);
	tcase_add_test(c, without_a_bound_there_is_no_line);
	return unit_run(c);
}
