/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A supervisor gets what keeper holds, each descriptor once; what it does not take is given up
 *         by keeper too, and processes among it are ended. A keeper that says something else is an
 *         error with a sentence, and leaves no descriptor open.
 * Method  This test is keeper: it writes to one end of the socket pair what a keeper, or something
 *         that takes itself for one, would.
 */
#include "supervisor/inherit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"
#include "shm/layout.h"
#include "shm/words.h"
#include "supervisor/fleet.h"
#include "tests/unit/unit.h"

#define FLEET 3u

/* One test per process. */
static int keeper, link_fd;
static struct rk_inherit in;
static struct rk_err err;

static void link_open(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	keeper = pair[0];
	link_fd = pair[1];
}

static void say(const struct rk_link_msg *msg, int fd)
{
	struct rk_fds fds = { .n = fd >= 0, .fd = { fd } };

	ck_assert_int_eq(rk_fd_send(keeper, msg, sizeof(*msg), &fds), 0);
}

static void say_begin(uint64_t n)
{
	say(&(struct rk_link_msg){ .op = RK_LINK_BEGIN, .pid = 77, .code = CLD_KILLED, .status = SIGSEGV, .value = n }, -1);
}

static struct rk_link_msg held(uint32_t kind, uint64_t tag, const char *name, int32_t pid)
{
	struct rk_link_msg msg = { .op = RK_LINK_HELD, .kind = kind, .tag = tag, .pid = pid };

	(void)strncpy(msg.name, name, sizeof(msg.name) - 1);
	return msg;
}

/* One of these, behind which a pipe's end lies. */
static void say_held(const struct rk_link_msg *msg)
{
	int pair[2];

	ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
	say(msg, pair[1]);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* n messages in one, with so many descriptors. */
static void say_batch(const struct rk_link_msg *msg, uint32_t n, uint32_t n_fds)
{
	struct rk_fds fds = { .n = n_fds };

	for (uint32_t i = 0; i < n_fds; i++)
		ck_assert_int_ge(fds.fd[i] = open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	ck_assert_int_eq(rk_fd_send(keeper, msg, n * sizeof(*msg), &fds), 0);
	rk_fds_close_p(&fds);
}

static bool hears(struct rk_link_msg *ret)
{
	return rk_link_recv(keeper, ret, NULL) == 0;
}

START_TEST(the_first_supervisor_of_all_gets_nothing)
{
	link_open();
	say(&(struct rk_link_msg){ .op = RK_LINK_BEGIN }, -1);
	ck_assert_int_eq(rk_inherit_receive(link_fd, &in, &err), 0);
	ck_assert_int_eq(in.predecessor.pid, 0);
	ck_assert_uint_eq(in.n, 0);
	ck_assert_ptr_null(rk_inherit_memory(&in, RK_LINK_TAG_COMMON, "lock"));
	rk_inherit_forget_rest(&in, link_fd);
	rk_inherit_close(&in);
}
END_TEST

START_TEST(each_thing_is_found_by_what_it_is_and_taken_once)
{
	struct rk_link_msg all[] = {
		held(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "lock", 0),
		held(RK_LINK_MEMORY, rk_link_memory_tag(FLEET), "board", 0),
		held(RK_LINK_MEMORY, rk_link_memory_tag(FLEET + 1), "board", 0),
		held(RK_LINK_PROCESS, rk_link_tag(FLEET, 2, 17), "", 100),
		held(RK_LINK_PEER, rk_link_peer_tag(FLEET, 17), "", 101),
	};
	struct rk_heirloom *one;
	uint32_t n_before;

	link_open();
	n_before = unit_n_fds();
	say_begin(rk_countof(all));
	all[3].code = CLD_EXITED;
	all[3].status = 3;
	say_held(&all[0]);
	say_batch(&all[1], 3, 3);
	say_held(&all[4]);
	ck_assert_int_eq(rk_inherit_receive(link_fd, &in, &err), 0);
	ck_assert_int_eq(in.predecessor.pid, 77);
	ck_assert_int_eq(in.predecessor.code, CLD_KILLED);
	ck_assert_int_eq(in.predecessor.status, SIGSEGV);
	ck_assert_uint_eq(in.n, rk_countof(all));
	ck_assert_ptr_null(rk_inherit_memory(&in, rk_link_memory_tag(FLEET), "lock"));
	ck_assert_ptr_null(rk_inherit_memory(&in, rk_link_memory_tag(FLEET), "boar"));
	ck_assert_ptr_null(rk_inherit_memory(&in, rk_link_memory_tag(FLEET), "board2"));
	one = rk_inherit_memory(&in, rk_link_memory_tag(FLEET), "board");
	ck_assert_ptr_eq(one, &in.at[1]);
	ck_assert_int_eq(fcntl(one->fd, F_GETFD), FD_CLOEXEC);
	(void)close(one->fd);
	one->fd = -1; /* taken */
	ck_assert_ptr_null(rk_inherit_memory(&in, rk_link_memory_tag(FLEET), "board"));
	/* The same tag is of another thing in another kind. */
	ck_assert_ptr_null(rk_inherit_find(&in, RK_LINK_PROCESS, rk_link_peer_tag(FLEET, 17)));
	ck_assert_ptr_eq(rk_inherit_find(&in, RK_LINK_PEER, rk_link_peer_tag(FLEET, 17)), &in.at[4]);
	one = rk_inherit_find(&in, RK_LINK_PROCESS, rk_link_tag(FLEET, 2, 17));
	ck_assert_int_eq(one->about.pid, 100);
	ck_assert_int_eq(one->about.code, CLD_EXITED);
	ck_assert_int_eq(one->about.status, 3);
	(void)close(one->fd);
	one->fd = -1;
	ck_assert_ptr_null(rk_inherit_find(&in, RK_LINK_PROCESS, rk_link_tag(FLEET, 2, 17)));
	rk_inherit_close(&in);
	ck_assert_uint_eq(unit_n_fds(), n_before);
	rk_inherit_close(&in); /* an empty one */
}
END_TEST

START_TEST(what_nobody_took_is_given_up_and_processes_among_it_are_ended)
{
	struct rk_link_msg live = held(RK_LINK_PROCESS, rk_link_tag(FLEET, RK_WORKER_NONE, 1), "", 0);
	struct rk_link_msg peer = held(RK_LINK_PEER, rk_link_peer_tag(FLEET, 0), "", 101);
	struct rk_link_msg taken = held(RK_LINK_PEER, rk_link_peer_tag(FLEET, 1), "", 102);
	struct rk_link_msg memory = held(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "lock", 0), msg;
	int pidfd;
	siginfo_t si;

	link_open();
	live.pid = fork();
	if (live.pid == 0)
		for (;;)
			(void)pause();
	pidfd = (int)syscall(SYS_pidfd_open, live.pid, 0);
	say_begin(4);
	say(&live, pidfd);
	say_held(&peer);
	say_held(&taken);
	say_held(&memory);
	ck_assert_int_eq(rk_inherit_receive(link_fd, &in, &err), 0);
	(void)close(in.at[2].fd);
	in.at[2].fd = -1;
	rk_inherit_forget_rest(&in, link_fd);
	ck_assert_int_eq(waitid(P_PID, (id_t)live.pid, &si, WEXITED), 0);
	ck_assert_int_eq(si.si_status, SIGKILL);
	ck_assert(hears(&msg));
	ck_assert_uint_eq(msg.op, RK_LINK_FORGET);
	ck_assert_uint_eq(msg.kind, RK_LINK_PROCESS);
	ck_assert_uint_eq(msg.tag, live.tag);
	ck_assert(hears(&msg));
	ck_assert_uint_eq(msg.op, RK_LINK_FORGET);
	ck_assert_uint_eq(msg.kind, RK_LINK_PEER);
	ck_assert_uint_eq(msg.tag, peer.tag);
	ck_assert(!hears(&msg)); /* neither what was taken nor memory, which RK_LINK_DROP is for */
	ck_assert_int_ge(in.at[3].fd, 0);
	rk_inherit_close(&in);
	(void)close(pidfd);
}
END_TEST

/* ---- a keeper that says nonsense ---- */

enum nonsense { NO_BEGIN, TOO_MANY, NO_DESCRIPTOR, ANOTHER_OP, MORE_THAN_ANNOUNCED, BATCH_WITHOUT_ALL_DESCRIPTORS, SHORT, GONE_BEFORE, GONE_BETWEEN, TWO_BEGINS, NONSENSES };

static void say_nonsense(enum nonsense what)
{
	struct rk_link_msg one = held(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "lock", 0), three[] = { one, one, one };

	switch (what) {
	case NO_BEGIN:
		say_held(&one);
		break;
	case TOO_MANY:
		say_begin(65537);
		break;
	case NO_DESCRIPTOR:
		say_begin(2);
		say_held(&one);
		say(&one, -1);
		break;
	case ANOTHER_OP:
		say_begin(2);
		say_held(&one);
		one.op = RK_LINK_EXITED;
		say_held(&one);
		break;
	case MORE_THAN_ANNOUNCED:
		say_begin(2);
		say_batch(three, 3, 3);
		break;
	case BATCH_WITHOUT_ALL_DESCRIPTORS:
		say_begin(3);
		say_batch(three, 3, 2);
		break;
	case SHORT:
		say_begin(1);
		ck_assert_int_eq(rk_fd_send(keeper, &one, sizeof(one) - 1, NULL), 0);
		break;
	case GONE_BEFORE:
		(void)close(keeper);
		break;
	case GONE_BETWEEN:
		say_begin(2);
		say_held(&one);
		(void)close(keeper);
		break;
	case TWO_BEGINS:
		say_begin(1);
		say_begin(1);
		break;
	case NONSENSES:
		break;
	}
}

START_TEST(a_keeper_that_says_something_else_is_an_error_and_leaves_nothing_open)
{
	uint32_t n_before;

	link_open();
	n_before = unit_n_fds() - (_i == GONE_BEFORE || _i == GONE_BETWEEN);
	say_nonsense((enum nonsense)_i);
	ck_assert_int_eq(rk_inherit_receive(link_fd, &in, &err), _i == GONE_BEFORE || _i == GONE_BETWEEN ? -EPIPE : -EBADMSG);
	ck_assert_ptr_nonnull(strstr(err.text, "keeper does not hand over what it holds: "));
	rk_inherit_close(&in);
	ck_assert_uint_eq(unit_n_fds(), n_before);
}
END_TEST

/* A journal that says so much. */
static int journal_make(uint32_t number, uint32_t complete)
{
	const struct rk_journal j = { .number = number, .complete = complete };
	int fd = memfd_create("journal", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, &j, sizeof(j)), (ssize_t)sizeof(j));
	return fd;
}

/* Memory of one fleet, but for one piece of it: RK_SEGMENT_KINDS is the news pipe, above that nothing is missing. */
static uint32_t say_memory(uint32_t fleet, uint32_t missing, uint32_t complete)
{
	uint32_t n = 0;

	for (uint32_t k = 1; k <= RK_SEGMENT_KINDS; k++) {
		struct rk_link_msg one = held(RK_LINK_MEMORY, rk_link_memory_tag(fleet),
					      k < RK_SEGMENT_KINDS ? rk_segment_name(k) : RK_FLEET_NEWS, 0);
		int fd = k == RK_SEGMENT_JOURNAL ? journal_make(fleet, complete) : -1;

		n += k != missing;
		if (k == missing)
			;
		else if (fd >= 0)
			say(&one, fd);
		else
			say_held(&one);
		(void)close(fd);
	}
	return n;
}

START_TEST(memory_that_is_not_whole_is_given_up_and_all_other_is_not)
{
	uint32_t missing = (uint32_t)_i + 1, is_whole = missing == RK_SEGMENT_KINDS + 2, n_before, n;
	struct rk_link_msg lock = held(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "lock", 0), msg;

	link_open();
	n_before = unit_n_fds();
	n = 2 * RK_SEGMENT_KINDS + 1 - (missing <= RK_SEGMENT_KINDS);
	say(&(struct rk_link_msg){ .op = RK_LINK_BEGIN, .value = n }, -1);
	/* One behind the last that can be missing: its journal says that it was not made to the end. */
	n -= say_memory(FLEET, missing, missing != RK_SEGMENT_KINDS + 1);
	say_held(&lock);
	n -= say_memory(FLEET + 1, RK_SEGMENT_KINDS + 1, 1);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(rk_inherit_receive(link_fd, &in, &err), 0);
	ck_assert(rk_inherit_is_successor(&in));
	ck_assert(rk_inherit_has_memory(&in));
	ck_assert_int_eq(rk_inherit_is_partial(&in), !is_whole);
	ck_assert_int_eq(rk_inherit_is_whole(&in, rk_link_memory_tag(FLEET)), is_whole);
	ck_assert(rk_inherit_is_whole(&in, rk_link_memory_tag(FLEET + 1)));

	ck_assert_uint_eq(rk_inherit_drop_partial(&in, link_fd), !is_whole);
	ck_assert_uint_eq(in.n, (is_whole ? 2 : 1) * RK_SEGMENT_KINDS + 1);
	ck_assert(rk_inherit_is_whole(&in, rk_link_memory_tag(FLEET + 1)));
	ck_assert_ptr_nonnull(rk_inherit_memory(&in, RK_LINK_TAG_COMMON, "lock"));
	ck_assert_int_eq(hears(&msg), !is_whole);
	if (!is_whole) {
		ck_assert_uint_eq(msg.op, RK_LINK_DROP);
		ck_assert_uint_eq(msg.tag, rk_link_memory_tag(FLEET));
		ck_assert_uint_eq(msg.value, FLEET);
		ck_assert(!hears(&msg)); /* once */
	}
	rk_inherit_close(&in);
	ck_assert_uint_eq(unit_n_fds(), n_before);
}
END_TEST

START_TEST(who_got_nothing_of_a_fleet_s_has_no_memory)
{
	struct rk_link_msg lock = held(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "lock", 0);

	link_open();
	say(&(struct rk_link_msg){ .op = RK_LINK_BEGIN, .value = 1 }, -1);
	say_held(&lock);
	ck_assert_int_eq(rk_inherit_receive(link_fd, &in, &err), 0);
	ck_assert(!rk_inherit_has_memory(&in) && !rk_inherit_is_partial(&in) && !rk_inherit_is_successor(&in));
	in.predecessor.pid = 77;
	ck_assert(rk_inherit_is_successor(&in) && !rk_inherit_has_memory(&in));
	rk_inherit_close(&in);
}
END_TEST

/* Who looks for a name must not read on behind one that has no end. */
START_TEST(a_name_without_an_end_is_cut)
{
	struct rk_link_msg odd = held(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "", 0);

	link_open();
	memset(odd.name, 'x', sizeof(odd.name));
	say_begin(1);
	say_held(&odd);
	ck_assert_int_eq(rk_inherit_receive(link_fd, &in, &err), 0);
	ck_assert_uint_eq(strnlen(in.at[0].about.name, sizeof(odd.name)), sizeof(odd.name) - 1);
	rk_inherit_close(&in);
}
END_TEST

/* Until it sleeps in a system call, since it waits for us. */
static void await_sleeper(pid_t pid)
{
	while (rk_process_state(pid) != 'S')
		if (rk_process_state(pid) == 'X')
			_exit(1);
}

START_TEST(what_keeper_says_later_may_come_late)
{
	struct rk_link_msg one = held(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "lock", 0);
	pid_t child;

	link_open();
	child = fork();
	if (child == 0) { /* keeper, which was stopped for a moment */
		await_sleeper(getppid());
		say_begin(1);
		await_sleeper(getppid());
		say_held(&one);
		_exit(0);
	}
	ck_assert_int_eq(rk_inherit_receive(link_fd, &in, &err), 0);
	ck_assert_uint_eq(in.n, 1);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	rk_inherit_close(&in);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("inherit");

	tcase_add_test(c, the_first_supervisor_of_all_gets_nothing);
	tcase_add_test(c, each_thing_is_found_by_what_it_is_and_taken_once);
	tcase_add_test(c, what_nobody_took_is_given_up_and_processes_among_it_are_ended);
	tcase_add_loop_test(c, a_keeper_that_says_something_else_is_an_error_and_leaves_nothing_open, 0, NONSENSES);
	tcase_add_loop_test(c, memory_that_is_not_whole_is_given_up_and_all_other_is_not, 0, RK_SEGMENT_KINDS + 2);
	tcase_add_test(c, who_got_nothing_of_a_fleet_s_has_no_memory);
	tcase_add_test(c, a_name_without_an_end_is_cut);
	tcase_add_test(c, what_keeper_says_later_may_come_late);
	return unit_run(c);
}
