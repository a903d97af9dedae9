/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Keeper holds each descriptor once and gives every supervisor all of them, with the end of
 *         each process told exactly once to each supervisor, whatever is added, taken away and
 *         renamed meanwhile; and it keeps its head when it is told nonsense.
 * Method  Pipes in the place of memory, processes and connections: whether one is still open shows at
 *         its other end.
 */
#include "supervisor/held.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/words.h"
#include "tests/unit/unit.h"

#define FLEET 3u

static struct rk_held held; /* one test per process */

/* A pipe; the end that keeper gets, and the one that tells whether that is open. */
struct thing {
	int given, own;
};

static struct thing thing_new(void)
{
	int pair[2];

	ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
	return (struct thing){ .given = pair[1], .own = pair[0] };
}

static bool is_open(const struct thing *t)
{
	struct pollfd p = { .fd = t->own };

	ck_assert_int_ge(poll(&p, 1, 0), 0);
	return !(p.revents & POLLHUP);
}

static struct thing keep(uint32_t kind, uint64_t tag, const char *name, int32_t pid)
{
	struct rk_link_msg msg = { .op = RK_LINK_KEEP, .kind = kind, .tag = tag, .pid = pid };
	struct thing t = thing_new();

	(void)strncpy(msg.name, name, sizeof(msg.name) - 1);
	ck_assert_int_eq(rk_held_keep(&held, &msg, t.given), 0);
	return t;
}

static struct thing keep_process(uint32_t slot, uint64_t incarnation, int32_t pid)
{
	return keep(RK_LINK_PROCESS, rk_link_tag(FLEET, slot, incarnation), "", pid);
}

/* All that is handed to a new supervisor; the messages of it. */
static uint32_t hand_over(struct rk_link_msg *all, uint32_t room)
{
	struct rk_link_msg begin = rk_held_begin(&held), msg;
	uint32_t n = 0;
	int fd;

	ck_assert_uint_eq(begin.op, RK_LINK_BEGIN);
	while (rk_held_next(&held, 0, &msg, &fd)) {
		ck_assert_uint_eq(msg.op, RK_LINK_HELD);
		ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
		ck_assert_uint_lt(n, room);
		all[n++] = msg;
		rk_held_handed(&held);
	}
	ck_assert_uint_eq(begin.value, n);
	return n;
}

/* The ends that are told now, as a supervisor would hear of them. */
static uint32_t ends(struct rk_link_msg *ret)
{
	struct rk_link_msg msg;
	uint32_t at, n = 0;

	while (rk_held_next_end(&held, &msg, &at)) {
		ck_assert_uint_eq(msg.op, RK_LINK_EXITED);
		rk_held_reported(&held, at);
		*ret = msg;
		n++;
	}
	return n;
}

START_TEST(everything_is_handed_over_as_it_came_and_stays)
{
	struct rk_link_msg all[8];
	struct thing memory = keep(RK_LINK_MEMORY, rk_link_memory_tag(FLEET), "board", 0);
	struct thing process = keep_process(2, 17, 4711);
	struct thing peer = keep(RK_LINK_PEER, rk_link_peer_tag(FLEET, 5), "", 4712);

	for (int supervisor = 0; supervisor < 3; supervisor++) {
		ck_assert_uint_eq(hand_over(all, 8), 3);
		ck_assert_uint_eq(all[0].kind, RK_LINK_MEMORY);
		ck_assert_str_eq(all[0].name, "board");
		ck_assert_uint_eq(all[1].kind, RK_LINK_PROCESS);
		ck_assert_int_eq(all[1].pid, 4711);
		ck_assert_uint_eq(all[1].tag, rk_link_tag(FLEET, 2, 17));
		ck_assert_int_eq(all[1].code, 0);
		ck_assert_uint_eq(all[2].kind, RK_LINK_PEER);
		ck_assert_uint_eq(all[2].tag, rk_link_peer_tag(FLEET, 5));
		ck_assert_int_eq(all[2].pid, 4712);
	}
	ck_assert(is_open(&memory) && is_open(&process) && is_open(&peer));
	rk_held_close(&held);
	ck_assert(!is_open(&memory) && !is_open(&process) && !is_open(&peer));
}
END_TEST

START_TEST(memory_of_one_tag_and_name_takes_the_place_of_the_one_before)
{
	struct rk_link_msg all[8];
	struct thing old = keep(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "configuration", 0);
	struct thing other = keep(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "control", 0);
	struct thing fleets = keep(RK_LINK_MEMORY, rk_link_memory_tag(0), "configuration", 0);
	struct thing new = keep(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "configuration", 0);

	ck_assert(!is_open(&old));
	ck_assert(is_open(&other) && is_open(&fleets) && is_open(&new));
	ck_assert_uint_eq(hand_over(all, 8), 3);
	ck_assert_str_eq(all[0].name, "configuration");
}
END_TEST

/* The FORGET of the one before may have been lost while keeper was stopped. */
START_TEST(a_line_s_next_connection_takes_the_place_of_the_one_before)
{
	struct rk_link_msg all[8];
	struct thing old = keep(RK_LINK_PEER, rk_link_peer_tag(FLEET, 5), "", 1);
	struct thing other = keep(RK_LINK_PEER, rk_link_peer_tag(FLEET, 6), "", 2);
	struct thing new = keep(RK_LINK_PEER, rk_link_peer_tag(FLEET, 5), "", 3);

	ck_assert(!is_open(&old));
	ck_assert(is_open(&other) && is_open(&new));
	ck_assert_uint_eq(hand_over(all, 8), 2);
	ck_assert_int_eq(all[0].pid, 3);
	ck_assert_int_eq(all[1].pid, 2);
}
END_TEST

START_TEST(what_is_forgotten_is_closed_and_the_others_keep_their_order)
{
	struct rk_link_msg all[8];
	struct thing t[4];

	for (uint32_t i = 0; i < 4; i++)
		t[i] = keep_process(i, 1, (int32_t)i + 100);
	rk_held_forget(&held, RK_LINK_PROCESS, rk_link_tag(FLEET, 1, 1));
	rk_held_forget(&held, RK_LINK_PROCESS, rk_link_tag(FLEET, 1, 1)); /* gone already */
	rk_held_forget(&held, RK_LINK_PEER, rk_link_tag(FLEET, 2, 1));    /* another kind */
	ck_assert(is_open(&t[0]) && !is_open(&t[1]) && is_open(&t[2]) && is_open(&t[3]));
	ck_assert_uint_eq(hand_over(all, 8), 3);
	ck_assert_int_eq(all[0].pid, 100);
	ck_assert_int_eq(all[1].pid, 102);
	ck_assert_int_eq(all[2].pid, 103);
}
END_TEST

START_TEST(a_fleet_that_is_dropped_takes_its_peers_along_and_nobody_else_s)
{
	struct thing memory = keep(RK_LINK_MEMORY, rk_link_memory_tag(FLEET), "board", 0);
	struct thing journal = keep(RK_LINK_MEMORY, rk_link_memory_tag(FLEET), "journal", 0);
	struct thing others = keep(RK_LINK_MEMORY, rk_link_memory_tag(FLEET + 1), "board", 0);
	struct thing common = keep(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "lock", 0);
	struct thing peer = keep(RK_LINK_PEER, rk_link_peer_tag(FLEET, 0), "", 1);
	struct thing others_peer = keep(RK_LINK_PEER, rk_link_peer_tag(FLEET + 1, 0), "", 1);
	struct thing process = keep_process(0, 1, 100); /* keeper has to reap it all the same */

	rk_held_drop(&held, RK_LINK_TAG_COMMON, 0); /* nonsense: the lock is nobody's to drop */
	ck_assert(is_open(&common));
	ck_assert(rk_held_has_memory(&held));
	rk_held_drop(&held, rk_link_memory_tag(FLEET), FLEET);
	ck_assert(!is_open(&memory) && !is_open(&journal) && !is_open(&peer));
	ck_assert(is_open(&others) && is_open(&common) && is_open(&others_peer) && is_open(&process));
	ck_assert(rk_held_has_memory(&held));
	rk_held_drop(&held, rk_link_memory_tag(FLEET + 1), FLEET + 1);
	ck_assert(!is_open(&others) && !is_open(&others_peer) && is_open(&common));
	ck_assert(!rk_held_has_memory(&held)); /* the lock alone is nothing to be adopted */
}
END_TEST

START_TEST(an_end_is_told_once_and_to_each_next_supervisor_with_what_is_held)
{
	struct rk_link_msg all[8], msg;

	(void)keep_process(0, 1, 100);
	(void)keep_process(1, 1, 101);
	ck_assert_uint_eq(hand_over(all, 8), 2);
	ck_assert(rk_held_ended(&held, 101, CLD_KILLED, SIGSEGV));
	ck_assert(!rk_held_ended(&held, 999, CLD_KILLED, SIGSEGV));
	ck_assert_uint_eq(ends(&msg), 1);
	ck_assert_uint_eq(msg.tag, rk_link_tag(FLEET, 1, 1));
	ck_assert_int_eq(msg.pid, 101);
	ck_assert_int_eq(msg.code, CLD_KILLED);
	ck_assert_int_eq(msg.status, SIGSEGV);
	ck_assert_uint_eq(ends(&msg), 0);
	/* That supervisor died before it said FORGET: the next one hears of it as it gets the pidfd. */
	ck_assert_uint_eq(hand_over(all, 8), 2);
	ck_assert_int_eq(all[0].code, 0);
	ck_assert_int_eq(all[1].code, CLD_KILLED);
	ck_assert_int_eq(all[1].status, SIGSEGV);
	ck_assert_uint_eq(ends(&msg), 0);
	/* Its pid passes to another process, and that one's end is another matter. */
	ck_assert(!rk_held_ended(&held, 101, CLD_EXITED, 0));
	ck_assert_uint_eq(ends(&msg), 0);
}
END_TEST

START_TEST(who_ends_during_the_hand_over_is_told_in_it_or_behind_it)
{
	struct rk_link_msg msg;
	uint32_t n_handed = 0, at;
	int fd;

	(void)keep_process(0, 1, 100);
	(void)keep_process(1, 1, 101);
	(void)rk_held_begin(&held);
	ck_assert(rk_held_next(&held, 0, &msg, &fd));
	rk_held_handed(&held);
	ck_assert(rk_held_ended(&held, 100, CLD_EXITED, 1)); /* was handed over alive */
	ck_assert(rk_held_ended(&held, 101, CLD_EXITED, 2)); /* is handed over dead */
	ck_assert(!rk_held_next_end(&held, &msg, &at));      /* what is held comes first */
	while (rk_held_next(&held, 0, &msg, &fd)) {
		ck_assert_int_eq(msg.code, CLD_EXITED);
		ck_assert_int_eq(msg.status, 2);
		rk_held_handed(&held);
		n_handed++;
	}
	ck_assert_uint_eq(n_handed, 1);
	ck_assert_uint_eq(ends(&msg), 1);
	ck_assert_int_eq(msg.status, 1);
}
END_TEST

START_TEST(what_a_supervisor_gives_is_not_given_back_to_it)
{
	struct rk_link_msg all[8], msg;
	int fd;

	(void)keep_process(0, 1, 100);
	ck_assert_uint_eq(hand_over(all, 8), 1);
	(void)keep_process(1, 1, 101);
	ck_assert(!rk_held_next(&held, 0, &msg, &fd));
	rk_held_forget(&held, RK_LINK_PROCESS, rk_link_tag(FLEET, 0, 1));
	ck_assert(!rk_held_next(&held, 0, &msg, &fd));
	ck_assert(rk_held_ended(&held, 101, CLD_EXITED, 3));
	ck_assert_uint_eq(ends(&msg), 1);
	ck_assert_int_eq(msg.pid, 101);
	ck_assert_uint_eq(hand_over(all, 8), 1);
}
END_TEST

START_TEST(an_end_that_is_forgotten_is_told_to_nobody)
{
	struct rk_link_msg all[8], msg;

	(void)keep_process(0, 1, 100);
	(void)keep_process(1, 1, 101);
	ck_assert_uint_eq(hand_over(all, 8), 2);
	ck_assert(rk_held_ended(&held, 100, CLD_EXITED, 1));
	rk_held_forget(&held, RK_LINK_PROCESS, rk_link_tag(FLEET, 0, 1));
	ck_assert_uint_eq(ends(&msg), 0);
	ck_assert(rk_held_ended(&held, 101, CLD_EXITED, 1));
	ck_assert_uint_eq(ends(&msg), 1);
	rk_held_forget(&held, RK_LINK_PROCESS, rk_link_tag(FLEET, 1, 1));
	ck_assert_uint_eq(held.n_unreported, 0);
	ck_assert_uint_eq(hand_over(all, 8), 0);
	ck_assert_uint_eq(ends(&msg), 0);
}
END_TEST

START_TEST(a_standby_that_has_become_a_worker_is_told_of_by_its_new_tag)
{
	uint64_t standby = rk_link_tag(FLEET, RK_WORKER_NONE, 1), worker = rk_link_tag(FLEET, 2, 9);
	struct rk_link_msg all[8], msg;

	(void)keep(RK_LINK_PROCESS, standby, "", 100);
	ck_assert_uint_eq(hand_over(all, 8), 1);
	if (_i == 1) { /* it died a moment before, and that was told by the old tag */
		ck_assert(rk_held_ended(&held, 100, CLD_KILLED, SIGKILL));
		ck_assert_uint_eq(ends(&msg), 1);
		ck_assert_uint_eq(msg.tag, standby);
	}
	if (_i == 2) /* it died a moment before, and that was not told yet */
		ck_assert(rk_held_ended(&held, 100, CLD_KILLED, SIGKILL));
	rk_held_retag(&held, standby, worker);
	rk_held_retag(&held, standby, rk_link_tag(FLEET, 3, 9)); /* nobody is called so any more */
	if (_i == 0)
		ck_assert(rk_held_ended(&held, 100, CLD_KILLED, SIGKILL));
	ck_assert_uint_eq(ends(&msg), 1);
	ck_assert_uint_eq(msg.tag, worker);
	ck_assert_uint_eq(ends(&msg), 0);
	rk_held_forget(&held, RK_LINK_PROCESS, worker);
	ck_assert_uint_eq(hand_over(all, 8), 0);
}
END_TEST

START_TEST(processes_that_live_are_killed_and_no_others)
{
	struct rk_link_msg msg = { .op = RK_LINK_KEEP, .kind = RK_LINK_PROCESS };
	pid_t pid[2];
	siginfo_t si;

	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			for (;;)
				(void)pause();
		msg.pid = pid[i];
		msg.tag = rk_link_tag(FLEET, (uint32_t)i, 1);
		ck_assert_int_eq(rk_held_keep(&held, &msg, (int)syscall(SYS_pidfd_open, pid[i], 0)), 0);
	}
	/* Whatever else is held is not signalled: a pipe would say -EBADF, and so would nobody notice. */
	(void)keep(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "lock", 0);
	ck_assert(rk_held_ended(&held, pid[1], CLD_EXITED, 0)); /* as keeper believes */
	rk_held_kill(&held);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid[0], &si, WEXITED), 0);
	ck_assert_int_eq(si.si_status, SIGKILL);
	ck_assert_int_eq(waitpid(pid[1], NULL, WNOHANG), 0);
	(void)kill(pid[1], SIGKILL);
	ck_assert_int_eq(waitpid(pid[1], NULL, 0), pid[1]);
}
END_TEST

START_TEST(nonsense_harms_nothing_else)
{
	struct rk_link_msg all[8], msg = { .op = RK_LINK_KEEP, .kind = 77, .tag = ~0ull, .pid = -1 };
	struct thing good = keep(RK_LINK_MEMORY, RK_LINK_TAG_COMMON, "lock", 0), odd = thing_new();

	memset(msg.name, 'x', sizeof(msg.name)); /* no end */
	ck_assert_int_eq(rk_held_keep(&held, &msg, odd.given), 0);
	rk_held_forget(&held, 0, 0);
	rk_held_forget(&held, 78, ~0ull);
	rk_held_retag(&held, ~0ull, 0); /* no process */
	rk_held_drop(&held, ~0ull, ~0ull);
	rk_held_kill(&held);
	ck_assert_uint_eq(hand_over(all, 8), 2);
	ck_assert_uint_eq(strlen(all[1].name), sizeof(all[1].name) - 1);
	ck_assert(is_open(&good) && is_open(&odd));
	rk_held_forget(&held, 77, ~0ull);
	ck_assert(!is_open(&odd));
}
END_TEST

/* A supervisor out of its mind must not eat up keeper's memory and descriptors. */
START_TEST(there_is_an_end_to_what_is_held)
{
	struct rk_link_msg msg = { .op = RK_LINK_KEEP, .kind = RK_LINK_PROCESS };
	struct thing last = thing_new();
	uint32_t n = 0;

	/* No descriptors: what is held is not touched until it is closed. */
	while (rk_held_keep(&held, &msg, -1) == 0 && n < 1u << 20)
		msg.tag = ++n;
	ck_assert_uint_eq(n, 65536);
	ck_assert_int_eq(rk_held_keep(&held, &msg, last.given), -E2BIG);
	ck_assert(is_open(&last)); /* still the caller's */
	rk_held_forget(&held, RK_LINK_PROCESS, 0);
	ck_assert_int_eq(rk_held_keep(&held, &msg, last.given), 0);
	rk_held_close(&held);
	ck_assert(!is_open(&last));
}
END_TEST

int main(void)
{
	TCase *c = unit_case("held");

	tcase_add_test(c, everything_is_handed_over_as_it_came_and_stays);
	tcase_add_test(c, memory_of_one_tag_and_name_takes_the_place_of_the_one_before);
	tcase_add_test(c, a_line_s_next_connection_takes_the_place_of_the_one_before);
	tcase_add_test(c, what_is_forgotten_is_closed_and_the_others_keep_their_order);
	tcase_add_test(c, a_fleet_that_is_dropped_takes_its_peers_along_and_nobody_else_s);
	tcase_add_test(c, an_end_is_told_once_and_to_each_next_supervisor_with_what_is_held);
	tcase_add_test(c, who_ends_during_the_hand_over_is_told_in_it_or_behind_it);
	tcase_add_test(c, what_a_supervisor_gives_is_not_given_back_to_it);
	tcase_add_test(c, an_end_that_is_forgotten_is_told_to_nobody);
	tcase_add_loop_test(c, a_standby_that_has_become_a_worker_is_told_of_by_its_new_tag, 0, 3);
	tcase_add_test(c, processes_that_live_are_killed_and_no_others);
	tcase_add_test(c, nonsense_harms_nothing_else);
	tcase_add_test(c, there_is_an_end_to_what_is_held);
	return unit_run(c);
}
