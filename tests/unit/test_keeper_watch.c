/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A supervisor that is ready and silent for half of WatchdogSec is killed, one that adopts has its time,
 *         and systemd hears from keeper as long as either is in order.
 * Method  Keeper's struct, with a child that waits as its supervisor and the test's socket as systemd, in
 *         virtual time.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "supervisor/keeper_private.h"
#include "supervisor/options.h"
#include "tests/unit/unit.h"

#define S RK_NS_PER_S
#define WATCHDOG (10 * S)
#define BEGAN (1000 * S)

static struct rk_keeper k;
static int systemd;

static void begin(uint64_t watchdog_ns)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(at);
	char name[32];
	struct rk_err err = { 0 };

	systemd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(systemd, (struct sockaddr *)&at, sizeof(sa_family_t)), 0); /* to any abstract name */
	ck_assert_int_eq(getsockname(systemd, (struct sockaddr *)&at, &len), 0);
	(void)snprintf(name, sizeof(name), "@%.*s", (int)(len - sizeof(sa_family_t) - 1), at.sun_path + 1);
	(void)setenv("NOTIFY_SOCKET", name, 1);
	ck_assert_msg(rk_notify_open(&k.store.notify, &err) == 0, "%s", err.text);
	k.store.notify.watchdog_ns = watchdog_ns;
	k.supervisor = fork();
	if (k.supervisor == 0)
		for (;;)
			(void)pause();
	rk_keeper_watch_begin(&k, BEGAN);
}

static bool lives(void)
{
	return waitpid(k.supervisor, NULL, WNOHANG) == 0;
}

static void end(void)
{
	if (k.supervisor) {
		(void)kill(k.supervisor, SIGKILL);
		(void)waitpid(k.supervisor, NULL, 0);
	}
	rk_notify_close_p(&k.store.notify);
	(void)close(systemd);
}

/* How often systemd was told since it was asked last. */
static int n_told(void)
{
	char text[64] = "";
	int n = 0;

	while (recv(systemd, text, sizeof(text) - 1, 0) > 0)
		n += strcmp(text, "WATCHDOG=1") == 0;
	return n;
}

/* Looks whenever it is due until then; systemd is told at least once in WATCHDOG. */
static void pass(uint64_t from_ns, uint64_t to_ns)
{
	uint64_t at_ns, told_ns = from_ns;

	for (at_ns = rk_max_u64(from_ns, rk_keeper_watch_due_ns(&k)); at_ns <= to_ns; at_ns = rk_keeper_watch_due_ns(&k)) {
		rk_keeper_watch_look(&k, at_ns);
		ck_assert_uint_gt(rk_keeper_watch_due_ns(&k), at_ns);
		told_ns = n_told() ? at_ns : told_ns;
		ck_assert_uint_lt(at_ns - told_ns, WATCHDOG);
	}
}

/* Looks then; the supervisor is killed, and not just before. */
static void is_killed_at(uint64_t at_ns)
{
	rk_keeper_watch_look(&k, at_ns - 1);
	ck_assert(lives());
	rk_keeper_watch_look(&k, at_ns);
	ck_assert_int_eq(waitpid(k.supervisor, NULL, 0), k.supervisor);
	k.supervisor = 0;
	ck_assert_ptr_nonnull(strstr(k.end.name, "no progress for "));
}

START_TEST(one_that_is_ready_and_silent_for_half_the_time_is_killed)
{
	begin(WATCHDOG);
	rk_keeper_watch_ready(&k, BEGAN + S);
	rk_keeper_watch_progress(&k, BEGAN + 3 * S);
	ck_assert_int_eq(n_told(), 2);
	ck_assert_uint_eq(rk_keeper_watch_due_ns(&k), BEGAN + 8 * S);
	is_killed_at(BEGAN + 8 * S);
	ck_assert_int_eq(n_told(), 0); /* nobody but it could have told that it is well */
	end();
}
END_TEST

START_TEST(a_keeper_that_was_late_itself_blames_nobody_and_looks_again)
{
	begin(WATCHDOG);
	rk_keeper_watch_ready(&k, BEGAN + S);
	(void)n_told();
	rk_keeper_watch_look(&k, BEGAN + 6 * S + WATCHDOG / 4 + 1); /* it was stopped, say */
	ck_assert(lives());
	ck_assert_int_eq(n_told(), 1); /* it goes on itself */
	is_killed_at(BEGAN + 11 * S + WATCHDOG / 4 + 1);
	end();
}
END_TEST

START_TEST(one_that_adopts_may_take_its_time_and_systemd_is_told)
{
	begin(WATCHDOG);
	pass(BEGAN, BEGAN + 29 * S);
	ck_assert(lives());
	rk_keeper_watch_progress(&k, BEGAN + 29 * S); /* a step is done: as long again */
	(void)n_told();
	pass(BEGAN + 29 * S, BEGAN + 58 * S);
	ck_assert(lives());
	rk_keeper_watch_ready(&k, BEGAN + 58 * S);
	ck_assert_uint_eq(rk_keeper_watch_due_ns(&k), BEGAN + 63 * S);
	is_killed_at(BEGAN + 63 * S);
	end();
}
END_TEST

START_TEST(but_not_for_ever)
{
	begin(WATCHDOG);
	is_killed_at(BEGAN + 30 * S);
	end();
}
END_TEST

START_TEST(a_watchdog_that_is_slower_gives_it_half_of_that)
{
	begin(100 * S);
	is_killed_at(BEGAN + 50 * S);
	end();
}
END_TEST

START_TEST(systemd_is_told_too_while_there_is_no_supervisor)
{
	begin(WATCHDOG);
	end();
	begin(WATCHDOG);
	(void)kill(k.supervisor, SIGKILL);
	(void)waitpid(k.supervisor, NULL, 0);
	k.supervisor = 0;
	pass(BEGAN, BEGAN + 100 * S);
	end();
}
END_TEST

START_TEST(without_a_watchdog_nobody_is_watched)
{
	begin(0);
	ck_assert_uint_eq(rk_keeper_watch_period_ns(&k), 0);
	ck_assert_uint_eq(rk_keeper_watch_due_ns(&k), RK_INFINITE);
	rk_keeper_watch_look(&k, BEGAN + 1000 * S);
	ck_assert(lives());
	ck_assert_int_eq(n_told(), 0);
	end();
}
END_TEST

int main(void)
{
	TCase *c = unit_case("keeper_watch");

	tcase_add_test(c, one_that_is_ready_and_silent_for_half_the_time_is_killed);
	tcase_add_test(c, a_keeper_that_was_late_itself_blames_nobody_and_looks_again);
	tcase_add_test(c, one_that_adopts_may_take_its_time_and_systemd_is_told);
	tcase_add_test(c, but_not_for_ever);
	tcase_add_test(c, a_watchdog_that_is_slower_gives_it_half_of_that);
	tcase_add_test(c, systemd_is_told_too_while_there_is_no_supervisor);
	tcase_add_test(c, without_a_watchdog_nobody_is_watched);
	return unit_run(c);
}
