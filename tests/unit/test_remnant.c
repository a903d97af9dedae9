/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Of a dead worker's tree nothing is left when its slot is said to be empty: not what has left its session, its
 *         parent or its environment, and not what forks while it is looked for. Another slot's, and whoever has
 *         no mark, are left alone.
 * Method  This process stands for keeper and supervisor: the subreaper of a worker that starts others and is killed. Each of
 *         them holds a pipe open, which ends when the last one is gone.
 */
#include "supervisor/remnant.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/mark.h"
#include "tests/unit/unit.h"

#define SLOTS 4u
#define SLOT 2u
#define WAIT_US UINT64_C(20000000) /* far more than it takes */
#define HOPS 40
#define TOLD_FD 60 /* of a tree */
#define HOLD_FD 3

static const uint64_t id[2] = { 77, 88 };
static struct rk_recorder recorder = { .flight.fd = -1 };
static sd_event *event;
static struct rk_remnants *remnants;
static uint32_t n_empty[SLOTS];

/* What a test's worker does to hide, and what it still has of its mark. */
struct way {
	bool has_variable, has_limit;
	bool leaves_session;
	int n_hops;   /* it forks, and its parent ends */
	bool is_deep; /* the one that has the mark is below one that has not */
};

static void on_empty(uint32_t slot, void *arg)
{
	(void)arg;
	n_empty[slot]++;
}

static void setup(void)
{
	const struct rk_remnants_conf conf = { .recorder = &recorder, .fleet = "f", .id = { id[0], id[1] },
					       .n_slots = SLOTS, .root = getpid(), .on_empty = on_empty };
	struct rk_remnants_conf c = conf;

	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	ck_assert_int_ge(sd_event_new(&event), 0);
	c.event = event;
	ck_assert_int_eq(rk_remnants_open(&c, &remnants), 0);
}

static void teardown(void)
{
	rk_remnants_close(remnants);
	event = sd_event_unref(event);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Executes a program that tells that it is there and stays, so that /proc shows this environment. */
static void stay(const struct way *w, int told)
{
	const struct rk_mark m = rk_mark_of(id);
	char variable[RK_MARK_TEXT];
	char *env[] = { w->has_variable ? (char *)rk_mark_variable(&m, SLOT, variable) : NULL, NULL };

	(void)dup2(told, STDOUT_FILENO);
	(void)execle("/bin/sh", "sh", "-c", "echo; read nothing <&3", (char *)NULL, env);
	_exit(127);
}

/* What is left. Its worker is its parent, and waits to be killed. */
static void grandchild(const struct way *w, int told)
{
	const struct rk_mark m = rk_mark_of(id);

	if (w->leaves_session)
		(void)setsid();
	if (w->is_deep && fork() != 0)
		for (;;)
			(void)pause(); /* without any mark */
	if (w->has_limit)
		rk_mark_give(rk_mark_limit(&m, SLOT));
	for (int i = 0; i < w->n_hops; i++)
		if (fork() != 0)
			_exit(0);
	stay(w, told);
}

struct tree {
	pid_t worker;
	int alive; /* ends when all have */
	int hold;  /* descriptor 3 of theirs reads from here */
};

static void descriptors_set(int told, int hold)
{
	(void)dup2(told, TOLD_FD);
	(void)dup2(hold, HOLD_FD);
	(void)close_range(HOLD_FD + 1, TOLD_FD - 1, 0);
}

static struct tree tree_start(const struct way *w)
{
	int told[2], hold[2];
	struct tree t;
	char byte;

	ck_assert_int_eq(pipe(told), 0);
	ck_assert_int_eq(pipe(hold), 0);
	t.worker = fork();
	if (t.worker == 0) {
		(void)setsid();
		descriptors_set(told[1], hold[0]);
		if (fork() == 0)
			grandchild(w, TOLD_FD);
		for (;;)
			(void)pause();
	}
	(void)close(told[1]);
	(void)close(hold[0]);
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	t.alive = told[0];
	t.hold = hold[1];
	return t;
}

static bool is_over(const struct tree *t, int timeout_ms)
{
	struct pollfd p = { .fd = t->alive, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void worker_kill(const struct tree *t)
{
	(void)kill(t->worker, SIGKILL);
	ck_assert_int_eq(waitpid(t->worker, NULL, 0), t->worker);
}

static void run_until_empty(uint32_t slot)
{
	uint32_t n = n_empty[slot];

	while (n_empty[slot] == n) {
		ck_assert_int_gt(sd_event_run(event, WAIT_US), 0);
		reap(); /* as keeper does */
	}
}

static void tree_close(struct tree *t)
{
	(void)close(t->hold); /* who is left reads its end */
	(void)close(t->alive);
}

static const struct way ways[] = {
	{ .has_variable = true, .leaves_session = true },
	{ .has_limit = true, .leaves_session = true },
	{ .has_variable = true, .has_limit = true },
	{ .leaves_session = false }, /* no mark at all: its session */
	{ .has_limit = true, .leaves_session = true, .n_hops = 2 },
	{ .has_variable = true, .leaves_session = true, .n_hops = 2 },
	{ .has_variable = true, .leaves_session = true, .is_deep = true },
	{ .has_limit = true, .leaves_session = true, .is_deep = true },
};

START_TEST(whatever_it_did_to_hide_it_is_gone_when_the_slot_is_empty)
{
	struct tree t = tree_start(&ways[_i]);

	worker_kill(&t);
	ck_assert(!is_over(&t, 0));
	rk_remnants_begin(remnants, SLOT, t.worker, -1);
	ck_assert(!rk_remnants_is_idle(remnants));
	run_until_empty(SLOT);
	ck_assert(is_over(&t, 0));
	ck_assert(rk_remnants_is_idle(remnants));
	tree_close(&t);
}
END_TEST

START_TEST(it_is_found_under_a_worker_that_is_still_dying)
{
	const struct way w = { .has_variable = true, .has_limit = true, .leaves_session = true };
	struct tree t = tree_start(&w);

	rk_remnants_begin(remnants, SLOT, 0, -1); /* the worker has no mark itself, and lives */
	run_until_empty(SLOT);
	ck_assert(is_over(&t, 0));
	tree_close(&t);
}
END_TEST

/* Whether it has ended for all; what they have told is read. */
static bool is_at_end(int alive)
{
	struct pollfd p = { .fd = alive, .events = POLLIN };
	char bytes[64];
	ssize_t n = 1;

	while (n > 0 && poll(&p, 1, 0) == 1)
		n = read(alive, bytes, sizeof(bytes));
	return n == 0;
}

START_TEST(who_forks_while_it_is_looked_for_is_found)
{
	const struct way w = { .leaves_session = true, .n_hops = HOPS };
	const struct rk_mark m = rk_mark_of(id);
	int told[2], hold[2];
	char byte;

	ck_assert_int_eq(pipe(told), 0);
	ck_assert_int_eq(pipe(hold), 0);
	if (fork() == 0) {
		rk_mark_give(rk_mark_limit(&m, SLOT));
		descriptors_set(told[1], hold[0]);
		(void)!write(TOLD_FD, "x", 1);
		grandchild(&w, TOLD_FD);
	}
	(void)close(told[1]);
	(void)close(hold[0]);
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	rk_remnants_begin(remnants, SLOT, 0, -1);
	run_until_empty(SLOT);
	ck_assert(is_at_end(told[0]));
	(void)close(told[0]);
	(void)close(hold[1]);
}
END_TEST

START_TEST(another_slot_s_and_nobody_s_are_left_alone)
{
	const struct way marked = { .has_variable = true, .has_limit = true, .leaves_session = true };
	const struct way plain = { .leaves_session = true };
	struct tree of_slot = tree_start(&marked), of_nobody = tree_start(&plain);

	worker_kill(&of_slot);
	worker_kill(&of_nobody);
	rk_remnants_begin(remnants, SLOT + 1, 0, -1);
	run_until_empty(SLOT + 1);
	ck_assert(!is_over(&of_slot, 0));
	rk_remnants_begin(remnants, SLOT, of_slot.worker, -1);
	run_until_empty(SLOT);
	ck_assert(is_over(&of_slot, 0));
	ck_assert(!is_over(&of_nobody, 0));
	tree_close(&of_slot);
	(void)close(of_nobody.hold);
	ck_assert(is_over(&of_nobody, (int)(WAIT_US / 1000)));
	(void)close(of_nobody.alive);
}
END_TEST

START_TEST(slots_that_are_emptied_together_are_each_told_once)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		rk_remnants_begin(remnants, i, 0, -1);
	rk_remnants_begin(remnants, 0, 0, -1);
	run_until_empty(SLOTS - 1);
	for (uint32_t i = 0; i < SLOTS; i++)
		ck_assert_uint_eq(n_empty[i], 1);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("remnant");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, whatever_it_did_to_hide_it_is_gone_when_the_slot_is_empty, 0, (int)rk_countof(ways));
	tcase_add_test(c, it_is_found_under_a_worker_that_is_still_dying);
	tcase_add_test(c, who_forks_while_it_is_looked_for_is_found);
	tcase_add_test(c, another_slot_s_and_nobody_s_are_left_alone);
	tcase_add_test(c, slots_that_are_emptied_together_are_each_told_once);
	return unit_run(c);
}
