/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Who wants to connect waits for a fleet that runs and for no other, until the deadline
 *         and not longer, and is told what goes on; signals do not change that.
 * Method  A directory whose lock the test holds or not, and a scripted supervisor that begins to
 *         listen, or not, while somebody waits; a thread that sends that one signals.
 */
#include "workers/lib/connect.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/unit/answerer.h"
#include "tests/unit/unit.h"

#define LONG_NS (20 * RK_NS_PER_S) /* no wait that works is this long */

static const enum answerer_deed answer[] = { ANSWER };
static struct answerer a;

static uint64_t until(uint64_t ns)
{
	return rk_clock_ns() + ns;
}

START_TEST(a_fleet_that_does_not_run_is_told_at_once)
{
	uint64_t began_ns = rk_clock_ns();
	struct rk_err err = { 0 };

	answerer_begin(&a);
	ck_assert_int_eq(rk_connect_until("nobody", until(LONG_NS), &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "no fleet named 'nobody' is running"));
	answerer_unlock(&a); /* its directory stays, as behind a fleet that was killed */
	ck_assert_int_eq(rk_connect_until("test", until(LONG_NS), &err), -ENOENT);
	ck_assert_uint_lt(rk_clock_ns() - began_ns, LONG_NS / 2);
	answerer_end(&a);
}
END_TEST

static void *listen_later(void *arg)
{
	(void)poll(NULL, 0, 30); /* somebody waits by then; if not, the test claims less */
	answerer_listen(arg, answer, 1);
	return NULL;
}

/* A socket on which nobody listens, as a dead supervisor leaves it. */
static void leave_socket(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	answerer_path(&a, at.sun_path);
	ck_assert_int_eq(bind(sock, (struct sockaddr *)&at, sizeof(at)), 0);
	(void)close(sock);
}

START_TEST(a_supervisor_that_is_on_its_way_is_waited_for)
{
	struct rk_err err = { 0 };
	pthread_t thread;
	int sock;

	answerer_begin(&a);
	if (_i == 1)
		leave_socket();
	ck_assert_int_eq(pthread_create(&thread, NULL, listen_later, &a), 0);
	sock = rk_connect_until("test", until(LONG_NS), &err);
	ck_assert_msg(sock >= 0, "%s", err.text);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	(void)close(sock);
	answerer_end(&a);
}
END_TEST

START_TEST(at_the_deadline_it_is_said_what_goes_on)
{
	uint64_t began_ns = rk_clock_ns();
	struct rk_err err = { 0 };

	answerer_begin(&a);
	ck_assert_int_eq(rk_connect_until("test", until(100 * RK_NS_PER_MS), &err), -ETIMEDOUT);
	ck_assert_uint_ge(rk_clock_ns() - began_ns, 100 * RK_NS_PER_MS);
	ck_assert_msg(strstr(err.text, "fleet 'test' runs, but for 0.1") && strstr(err.text, "rekindle events"), "%s",
		      err.text);
	answerer_end(&a);
}
END_TEST

static void *unlock_later(void *arg)
{
	(void)poll(NULL, 0, 30);
	answerer_unlock(arg);
	return NULL;
}

START_TEST(a_fleet_that_ends_is_not_waited_for)
{
	uint64_t began_ns = rk_clock_ns();
	struct rk_err err = { 0 };
	pthread_t thread;

	answerer_begin(&a);
	ck_assert_int_eq(pthread_create(&thread, NULL, unlock_later, &a), 0);
	ck_assert_int_eq(rk_connect_until("test", until(LONG_NS), &err), -ENOENT);
	ck_assert_uint_lt(rk_clock_ns() - began_ns, LONG_NS / 2);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	answerer_end(&a);
}
END_TEST

/* In a child: another user, who may come as far as the socket and cannot see the lock. */
static int as_another_user(uint64_t *ret_ns)
{
	uint64_t began_ns = rk_clock_ns();
	int r;

	if (setegid(65534) < 0 || seteuid(65534) < 0)
		return -EPERM;
	r = rk_connect_until("test", until(LONG_NS), NULL);
	*ret_ns = rk_clock_ns() - began_ns;
	return r;
}

START_TEST(another_user_is_told_soon)
{
	uint64_t took_ns = 0;
	char path[108];
	int status;
	pid_t pid;

	if (geteuid() != 0)
		return;
	answerer_begin(&a);
	(void)snprintf(path, sizeof(path), "%s/test", a.base);
	ck_assert_int_eq(chmod(a.base, 0711), 0);
	ck_assert_int_eq(chmod(path, 0711), 0);
	pid = fork();
	if (pid == 0)
		_exit(as_another_user(&took_ns) == -ENOENT && took_ns < LONG_NS / 2 ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	answerer_end(&a);
}
END_TEST

/* ---- under signals ---- */

#define SIGNALS_NS (2 * RK_NS_PER_MS) /* between two of them */

struct signaller {
	pthread_t whom, thread;
	int listens;         /* where a place is to become free after some of them; -1 = none ever */
	_Atomic int is_over;
};

static void on_signal(int number)
{
	(void)number;
}

static void *signal_often(void *arg)
{
	struct signaller *s = arg;

	for (int i = 0; !atomic_load_explicit(&s->is_over, memory_order_relaxed); i++) { /* a flag, nothing behind it */
		ck_assert_int_eq(pthread_kill(s->whom, SIGUSR1), 0);
		(void)poll(NULL, 0, SIGNALS_NS / RK_NS_PER_MS);
		if (i == 20 && s->listens >= 0)
			(void)close(accept4(s->listens, NULL, NULL, SOCK_CLOEXEC));
	}
	return NULL;
}

static void signaller_begin(struct signaller *s, int listens)
{
	const struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	*s = (struct signaller){ .whom = pthread_self(), .listens = listens };
	ck_assert_int_eq(sigaction(SIGUSR1, &act, NULL), 0);
	ck_assert_int_eq(pthread_create(&s->thread, NULL, signal_often, s), 0);
}

static void signaller_end(struct signaller *s)
{
	atomic_store_explicit(&s->is_over, 1, memory_order_relaxed);
	ck_assert_int_eq(pthread_join(s->thread, NULL), 0);
}

/* A supervisor that stands still: it listens, accepts nobody, and its backlog is full. */
static int standstill(int *ret_first)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	answerer_path(&a, at.sun_path);
	ck_assert_int_eq(bind(sock, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(sock, 0), 0);
	*ret_first = rk_connect_at_once("test");
	ck_assert_int_ge(*ret_first, 0);
	ck_assert_int_eq(rk_connect_at_once("test"), -EAGAIN);
	return sock;
}

START_TEST(signals_end_no_wait_for_a_place_in_the_backlog)
{
	struct signaller s;
	struct rk_err err = { 0 };
	int first, sock, listens;

	answerer_begin(&a);
	listens = standstill(&first);
	signaller_begin(&s, listens);
	sock = rk_connect_until("test", until(LONG_NS), &err);
	signaller_end(&s);
	ck_assert_msg(sock >= 0, "%s", err.text);
	(void)close(sock);
	(void)close(first);
	(void)close(listens);
	answerer_end(&a);
}
END_TEST

START_TEST(nor_do_they_put_off_its_deadline)
{
	uint64_t began_ns = rk_clock_ns();
	struct signaller s;
	struct rk_err err = { 0 };
	int first, listens;

	answerer_begin(&a);
	listens = standstill(&first);
	signaller_begin(&s, -1);
	ck_assert_int_eq(rk_connect_until("test", until(100 * RK_NS_PER_MS), &err), -ETIMEDOUT);
	signaller_end(&s);
	ck_assert_msg(strstr(err.text, "accepts no connection within 0.1"), "%s", err.text);
	ck_assert_uint_ge(rk_clock_ns() - began_ns, 100 * RK_NS_PER_MS);
	ck_assert_uint_lt(rk_clock_ns() - began_ns, LONG_NS / 2);
	(void)close(first);
	(void)close(listens);
	answerer_end(&a);
}
END_TEST

START_TEST(a_try_waits_for_nothing)
{
	int sock;

	answerer_begin(&a);
	ck_assert_int_eq(rk_connect_at_once("test"), -ENOENT);
	leave_socket();
	ck_assert_int_eq(rk_connect_at_once("test"), -ECONNREFUSED);
	answerer_listen(&a, answer, 1);
	sock = rk_connect_at_once("test");
	ck_assert_int_ge(sock, 0);
	ck_assert(!rk_connect_is_cut(sock));
	(void)close(sock);
	answerer_end(&a);
}
END_TEST

START_TEST(a_cut_connection_is_known)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert(!rk_connect_is_cut(pair[0]));
	ck_assert_int_eq(write(pair[1], "x", 1), 1);
	ck_assert(!rk_connect_is_cut(pair[0]));
	rk_close_p(&pair[1]);
	ck_assert(rk_connect_is_cut(pair[0]));
	(void)close(pair[0]);
}
END_TEST

START_TEST(an_answer_is_taken_or_its_error_said)
{
	static const enum answerer_deed script[] = { ANSWER, REFUSE, CUT, SILENCE };
	static const int want[] = { 0, -EBUSY, -ECONNRESET, -ETIMEDOUT };

	answerer_begin(&a);
	answerer_listen(&a, script, 4);
	for (int i = 0; i < 4; i++) {
		struct json_object *o = NULL;
		struct rk_fds fds = { 0 };
		struct rk_err err = { 0 };
		int sock = rk_connect("test", &err);

		ck_assert_msg(sock >= 0, "%s", err.text);
		ck_assert_int_eq(rk_connect_ask(sock, "{}", want[i] == -ETIMEDOUT ? 50 : 20000, &o, &fds, &err), want[i]);
		ck_assert(want[i] == 0 || err.text[0]);
		ck_assert_int_eq(o ? rk_connect_int(o, "n") : -1, want[i] == 0 ? 0 : -1);
		json_object_put(o);
		(void)close(sock);
	}
	answerer_end(&a);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("connect");

	tcase_add_test(c, a_fleet_that_does_not_run_is_told_at_once);
	tcase_add_loop_test(c, a_supervisor_that_is_on_its_way_is_waited_for, 0, 2);
	tcase_add_test(c, at_the_deadline_it_is_said_what_goes_on);
	tcase_add_test(c, a_fleet_that_ends_is_not_waited_for);
	tcase_add_test(c, another_user_is_told_soon);
	tcase_add_test(c, signals_end_no_wait_for_a_place_in_the_backlog);
	tcase_add_test(c, nor_do_they_put_off_its_deadline);
	tcase_add_test(c, a_try_waits_for_nothing);
	tcase_add_test(c, a_cut_connection_is_known);
	tcase_add_test(c, an_answer_is_taken_or_its_error_said);
	return unit_run(c);
}
