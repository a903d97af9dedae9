/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    what rekindle.h promises a client, against a real fleet.
 * Method  each test starts a fleet of tests/system/test_worker, whose jobs do what their
 *         body says; workers and clients are stopped and killed where the claim needs it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "shm/fault.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"
#include "workers/lib/client.h"
#include "workers/lib/connect.h"

static struct fleet fleet;

static struct rk_request job(const char *key, const char *body)
{
	return (struct rk_request){ .key = key, .body = body, .len = strlen(body), .timeout_ms = FLEET_WAIT_MS };
}

static struct rk_request brief(const char *key, const char *body, uint32_t timeout_ms)
{
	struct rk_request r = job(key, body);

	r.timeout_ms = timeout_ms;
	return r;
}

static unsigned long number_in(const struct rk_reply *reply)
{
	char text[32] = "";

	memcpy(text, reply->body, reply->len < 31 ? reply->len : 31);
	return strtoul(text, NULL, 10);
}

/* Calls with retries and asserts success; returns the number answered. */
static unsigned long ask(struct rk_client *c, const char *key, const char *body)
{
	struct rk_request request = job(key, body);
	struct rk_reply reply = { 0 };
	unsigned long n;
	int r = rk_call_retry(c, &request, &reply);

	ck_assert_msg(r == RK_DONE, "%s %s: %s", key, body, rk_outcome_text(r));
	n = number_in(&reply);
	rk_reply_release(c, &reply);
	return n;
}

static void await_end(pid_t pid, int wanted_signal)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (wanted_signal)
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == wanted_signal, "child ended with %#x",
			      (unsigned int)status);
	else
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child ended with %#x",
			      (unsigned int)status);
}

/* Certainly not applied; NO_WORKER once the supervisor has seen that the worker is stopped. */
static void assert_not_applied(int outcome)
{
	ck_assert_msg(outcome == RK_NOT_APPLIED || outcome == RK_NO_WORKER, "%s", rk_outcome_text(outcome));
}

START_TEST(a_call_is_done_and_its_reply_can_be_read)
{
	struct rk_request request = job("user:7", "hello");
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	fleet_start(&fleet, 2, NULL, NULL);
	c = fleet_client(NULL);
	request.tag = 99;
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_DONE);
	ck_assert_uint_eq(reply.len, 5);
	ck_assert_mem_eq(reply.body, "hello", 5);
	ck_assert_uint_eq(reply.tag, 99);
	rk_reply_release(c, &reply);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_handlers_error_undoes_its_changes_and_is_the_answer)
{
	struct rk_request request = job("k", "fail");
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	ck_assert_uint_eq(ask(c, "k", "add"), 1);
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_FAILED);
	ck_assert_int_eq(reply.error, -EDOM);
	ck_assert_uint_eq(ask(c, "k", "get"), 1);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(errors_of_touch_abort_the_job)
{
	static const char *const options[] = { "--undo", "64", NULL };
	static const struct {
		const char *body;
		int error;
	} rows[] = { { "outside", -EFAULT }, { "touches 500", -ENOSPC }, { "big 100000", -EMSGSIZE } };
	struct rk_client *c;

	fleet_start(&fleet, 1, options, NULL);
	c = fleet_client(NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rk_request request = job("k", rows[i].body);
		struct rk_reply reply = { 0 };

		ck_assert_int_eq(rk_call(c, &request, &reply), RK_FAILED);
		ck_assert_int_eq(reply.error, rows[i].error);
		rk_reply_release(c, &reply);
	}
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_taken_call_is_unknown_until_its_worker_goes_on)
{
	struct rk_request request = brief("k", "stop", 200);
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_UNKNOWN);
	fleet_await_state(fleet.worker[0], 'T');
	ck_assert_int_eq(rk_wait(c, &reply, 0), RK_UNKNOWN);
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	ck_assert_int_eq(rk_wait(c, &reply, FLEET_WAIT_MS), RK_DONE);
	ck_assert_uint_eq(number_in(&reply), 1);
	rk_reply_release(c, &reply);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_taken_call_whose_worker_is_killed_is_applied_once)
{
	struct rk_request request = brief("k", "stop", 200);
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	pid_t next;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_UNKNOWN);
	fleet_await_state(fleet.worker[0], 'T');
	ck_assert_int_eq(kill(fleet.worker[0], SIGKILL), 0);
	/* The successor runs it again, and stops in it as well. */
	for (;;) {
		uint32_t partition, worker;
		int pid;

		ck_assert_int_eq(rk_client_where(c, "k", 1, &partition, &worker, &pid), 0);
		if (pid > 0 && pid != fleet.worker[0]) {
			next = pid;
			break;
		}
		(void)poll(NULL, 0, 1);
	}
	fleet_await_state(next, 'T');
	ck_assert_int_eq(kill(next, SIGCONT), 0);
	ck_assert_int_eq(rk_wait(c, &reply, FLEET_WAIT_MS), RK_DONE);
	ck_assert_uint_eq(number_in(&reply), 1);
	rk_reply_release(c, &reply);
	ck_assert_uint_eq(ask(c, "k", "get"), 1);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_call_nobody_took_in_time_is_certainly_not_applied)
{
	struct rk_request request = brief("k", "add", 100);
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	ck_assert_uint_eq(ask(c, "k", "add"), 1);
	ck_assert_int_eq(kill(fleet.worker[0], SIGSTOP), 0);
	fleet_await_state(fleet.worker[0], 'T');
	assert_not_applied(rk_call(c, &request, &reply));
	ck_assert_uint_eq(reply.slot, 0);
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	ck_assert_uint_eq(ask(c, "k", "get"), 1);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

/* A key of another partition; where keys go is drawn anew with each fleet. */
static const char *other_key(struct rk_client *c, const char *than, char ret[static 16])
{
	uint32_t first, other, worker;
	int pid, i = 0;

	ck_assert_int_eq(rk_client_where(c, than, strlen(than), &first, &worker, &pid), 0);
	do {
		snprintf(ret, 16, "other%d", i++);
		ck_assert_int_eq(rk_client_where(c, ret, strlen(ret), &other, &worker, &pid), 0);
	} while (other == first);
	return ret;
}

START_TEST(a_call_whose_worker_stays_down_has_no_worker)
{
	static const char *const options[] = { "--restart", "no", NULL };
	struct rk_request request = brief("k", "add", 200);
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	uint32_t partition, worker;
	int pid;

	fleet_start(&fleet, 2, options, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_client_where(c, "k", 1, &partition, &worker, &pid), 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	fleet_await_line(&fleet, "SIGKILL");
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_NO_WORKER);
	ck_assert_int_eq(rk_call_retry(c, &request, &reply), RK_NO_WORKER); /* its deadline has passed as well */
	ck_assert_int_eq(rk_client_where(c, "k", 1, &partition, &worker, &pid), 0);
	ck_assert_int_eq(pid, -1);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(too_large_full_and_no_slot_are_told_apart)
{
	static const char *const options[] = { "--ring", "64", "--slots", "100", "--max-request", "128B", NULL };
	static const char large[200];
	struct rk_request request = { .key = "k", .body = large, .len = sizeof(large) };
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	int r = 0, n = 0;
	char key[16];

	fleet_start(&fleet, 1, options, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_TOO_LARGE);
	ck_assert_int_eq(kill(fleet.worker[0], SIGSTOP), 0);
	fleet_await_state(fleet.worker[0], 'T');
	request = job("k", "add");
	while (n < 100 && (r = rk_call_async(c, &request)) == 0)
		n++;
	ck_assert_int_eq(n, 64);
	ck_assert_int_eq(r, RK_FULL);
	request.key = other_key(c, "k", key);
	while (n < 200 && (r = rk_call_async(c, &request)) == 0)
		n++;
	ck_assert_int_eq(n, 100);
	ck_assert_int_eq(r, RK_NO_SLOT);
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	while ((r = rk_next(c, FLEET_WAIT_MS, &reply)) != RK_EMPTY) {
		ck_assert_int_eq(r, RK_DONE);
		n--;
	}
	ck_assert_int_eq(n, 0);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_handle_is_dead_in_a_forked_child)
{
	struct rk_request request = job("k", "add");
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	pid_t pid;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	pid = fleet_fork();
	if (pid == 0) {
		int ok = rk_call(c, &request, &reply) == RK_FORKED && rk_submit(c, &request) == RK_FORKED &&
			 rk_next(c, 0, &reply) == RK_FORKED;

		rk_client_close(c);
		_exit(!ok);
	}
	await_end(pid, 0);
	ck_assert_uint_eq(ask(c, "k", "add"), 1);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_client_whose_place_was_given_away_is_stale)
{
	static const char *const options[] = { "--max-clients", "1", NULL };
	struct rk_request request = job("k", "add");
	struct rk_reply reply = { 0 };
	struct rk_client *old, *new;
	int r;

	fleet_start(&fleet, 1, options, NULL);
	old = fleet_client(NULL);
	ck_assert_int_eq(rk_client_open(&new, NULL, NULL), -ENOSPC);
	ck_assert_int_eq(shutdown(old->sock, SHUT_RDWR), 0); /* the supervisor takes it for gone */
	while ((r = rk_client_open(&new, NULL, NULL)) == -ENOSPC)
		(void)poll(NULL, 0, 1);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(rk_call(old, &request, &reply), RK_STALE);
	ck_assert_uint_eq(ask(new, "k", "add"), 1);
	rk_client_close(old);
	rk_client_close(new);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_named_client_gets_its_unread_reply_after_sigkill)
{
	struct rk_request request = job("k", "add");
	struct rk_reply reply = { 0 };
	struct rk_client *c, *other;
	pid_t pid;
	int r;

	fleet_start(&fleet, 1, NULL, NULL);
	other = fleet_client(NULL);
	request.tag = 4711;
	pid = fleet_fork();
	if (pid == 0) {
		c = fleet_client("gateway-3");
		_exit(rk_call_async(c, &request) != 0 || raise(SIGKILL));
	}
	await_end(pid, SIGKILL);
	while ((r = rk_client_open(&c, NULL, "gateway-3")) == -EBUSY)
		(void)poll(NULL, 0, 1); /* until the supervisor has seen the death */
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(rk_next(c, FLEET_WAIT_MS, &reply), RK_DONE);
	ck_assert_uint_eq(reply.tag, 4711);
	ck_assert_uint_eq(reply.flags, RK_RESUMED);
	ck_assert_uint_eq(number_in(&reply), 1);
	ck_assert_int_eq(rk_next(c, 0, &reply), RK_EMPTY);
	ck_assert_uint_eq(ask(other, "k", "get"), 1);
	rk_client_close(c);
	rk_client_close(other);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_released_unfinished_call_is_no_submitted_one)
{
	struct rk_request request = brief("k", "stop", 200);
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_UNKNOWN);
	fleet_await_state(fleet.worker[0], 'T');
	rk_reply_release(c, &reply);
	ck_assert_int_eq(rk_flush(c, 1, NULL), 0);
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	for (int i = 0; i < 64; i++) /* its slot comes back: more calls than there are slots */
		(void)ask(c, "k", "get");
	ck_assert_uint_eq(ask(c, "k", "get"), 1);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

/* Asks for a place under this name and leaves the answer for later. */
static void ask_for_place(int sock, const char *name)
{
	char text[128];
	int len = snprintf(text, sizeof(text), "{\"verb\":\"open\",\"abi\":%u,\"name\":\"%s\"}", RK_ABI_VERSION, name);

	ck_assert_int_eq(send(sock, text, (size_t)len + 1, MSG_NOSIGNAL), len + 1);
}

START_TEST(a_name_taken_over_before_its_holders_death_was_told_stays_taken)
{
	char answer[RK_CONTROL_MESSAGE_MAX];
	struct rk_fds fds = { 0 };
	struct rk_client *c;
	struct rk_err err;
	pid_t supervisor, old;
	size_t len;
	int sock;

	fleet_start(&fleet, 1, NULL, NULL);
	sock = rk_connect("test", &err);
	ck_assert_msg(sock >= 0, "%s", err.text);
	supervisor = fleet_supervisor(); /* a later connection was answered: that one is accepted */
	old = fleet_fork();
	if (old == 0) {
		c = fleet_client("bob");
		for (;;)
			(void)raise(SIGSTOP);
	}
	fleet_await_state(old, 'T');
	/* The successor's open and the death are both there when the supervisor wakes. */
	ck_assert_int_eq(kill(supervisor, SIGSTOP), 0);
	fleet_await_state(supervisor, 'T');
	ask_for_place(sock, "bob");
	ck_assert_int_eq(kill(old, SIGKILL), 0);
	await_end(old, SIGKILL);
	ck_assert_int_eq(kill(supervisor, SIGCONT), 0);
	ck_assert_int_eq(rk_fd_recv(sock, answer, sizeof(answer), &len, &fds), 0);
	ck_assert_msg(strstr(answer, "\"ok\":true") != NULL, "%s", answer);
	/* By now the death has been told; asked twice, since the first asks for that. */
	(void)fleet_supervisor();
	ck_assert_int_eq(rk_client_open(&c, NULL, "bob"), -EBUSY);
	ck_assert_int_eq(rk_client_open(&c, NULL, "bob"), -EBUSY);
	rk_fds_close_p(&fds);
	(void)close(sock);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_worker_whose_job_thread_is_not_its_first_stops_when_told)
{
	static const char *const options[] = { "--stop-timeout", "15s", NULL };
	uint64_t start_ns;
	struct rk_client *c;

	ck_assert_int_eq(setenv("RK_TEST_THREAD", "1", 1), 0);
	fleet_start(&fleet, 2, options, NULL);
	c = fleet_client(NULL);
	ck_assert_uint_eq(ask(c, "k", "add"), 1);
	rk_client_close(c);
	start_ns = rk_clock_ns();
	fleet_stop(&fleet);
	ck_assert_uint_lt(rk_clock_ns() - start_ns, 10 * RK_NS_PER_S); /* not by the time-out's SIGKILL */
}
END_TEST

START_TEST(a_name_in_use_is_refused_with_a_sentence)
{
	struct rk_client *c, *second;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client("gateway-3");
	ck_assert_int_eq(rk_client_open(&second, NULL, "gateway-3"), -EBUSY);
	ck_assert_ptr_nonnull(strstr(rk_client_error(), "gateway-3"));
	ck_assert_int_eq(rk_client_open(&second, NULL, "no/slash"), -EINVAL);
	ck_assert_int_eq(rk_client_open(&second, "nobody", NULL), -ENOENT);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(asynchronous_calls_raise_the_descriptor)
{
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	uint64_t seen = 0;
	struct pollfd p;
	int r, n = 0;

	fleet_start(&fleet, 2, NULL, NULL);
	c = fleet_client(NULL);
	p = (struct pollfd){ .fd = rk_client_fd(c), .events = POLLIN };
	ck_assert_int_ge(p.fd, 0);
	for (uint64_t i = 0; i < 12; i++) {
		char key[16];
		struct rk_request request;

		snprintf(key, sizeof(key), "k%d", (int)i);
		request = job(key, "echo");
		request.tag = i;
		ck_assert_int_eq(rk_call_async(c, &request), 0);
	}
	while (n < 12) {
		ck_assert_int_eq(poll(&p, 1, (int)FLEET_WAIT_MS), 1);
		while ((r = rk_next(c, 0, &reply)) == RK_DONE) {
			seen |= 1ull << reply.tag;
			n++;
		}
		ck_assert_msg(r == -EAGAIN || r == RK_EMPTY, "%s", rk_outcome_text(r));
	}
	ck_assert_uint_eq(seen, 0xfff);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(an_asynchronous_call_ends_at_its_deadline)
{
	struct rk_request request = brief("k", "add", 50);
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	struct pollfd p;
	int r;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(kill(fleet.worker[0], SIGSTOP), 0);
	fleet_await_state(fleet.worker[0], 'T');
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	assert_not_applied(rk_next(c, FLEET_WAIT_MS, &reply));
	p = (struct pollfd){ .fd = rk_client_fd(c), .events = POLLIN };
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	do
		ck_assert_int_eq(poll(&p, 1, (int)FLEET_WAIT_MS), 1);
	while ((r = rk_next(c, 0, &reply)) == -EAGAIN);
	assert_not_applied(r);
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	ck_assert_uint_eq(ask(c, "k", "get"), 0);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(submitted_calls_are_all_applied_when_flush_returns)
{
	struct rk_request request = job("k", "add");
	struct rk_client *c;
	uint64_t n_failed;
	int n = 0;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	for (uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS; n < 500;) {
		int r = rk_submit(c, &request);

		ck_assert_msg(r == 0 || r == RK_NO_SLOT || r == RK_FULL, "%s", rk_outcome_text(r));
		ck_assert(rk_clock_ns() < end_ns);
		n += r == 0;
	}
	ck_assert_int_eq(rk_flush(c, FLEET_WAIT_MS, &n_failed), 0);
	ck_assert_uint_eq(n_failed, 0);
	ck_assert_uint_eq(ask(c, "k", "get"), 500);
	request = job("k", "fail");
	ck_assert_int_eq(rk_submit(c, &request), 0);
	ck_assert_int_eq(rk_flush(c, FLEET_WAIT_MS, &n_failed), RK_FAILED);
	ck_assert_uint_eq(n_failed, 1);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

static int pid_of(struct rk_client *c, const char *key)
{
	uint32_t partition, worker;
	int pid;

	ck_assert_int_eq(rk_client_where(c, key, strlen(key), &partition, &worker, &pid), 0);
	return pid;
}

START_TEST(retried_calls_survive_a_worker_killed_again_and_again)
{
	struct rk_client *c;
	int n_kills = 0, last = 0;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	for (unsigned long i = 1; i <= 2000; i++) {
		ck_assert_uint_eq(ask(c, "k", "add"), i);
		if (i % 100 == 0) {
			int pid = pid_of(c, "k");

			if (pid > 0 && pid != last) {
				n_kills += kill(pid, SIGKILL) == 0;
				last = pid;
			}
		}
	}
	ck_assert_int_ge(n_kills, 10);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

/* Every point on a worker's way through a job, and through its start. */
static const enum rk_kill_point worker_points[] = {
	RK_KP_OWNER_INIT,     RK_KP_OWNER_ROLLED,     RK_KP_OWNER_TAKEN,     RK_KP_STATE_SAVED,
	RK_KP_OWNER_RAN,      RK_KP_OWNER_COMMITTED,  RK_KP_OWNER_RELEASED,  RK_KP_DELIVER_DECLARED,
	RK_KP_DELIVER_WRITING, RK_KP_DELIVER_DONE,    RK_KP_DELIVER_HELPED,  RK_KP_DELIVER_RECYCLED,
};

START_TEST(a_worker_killed_anywhere_is_succeeded_by_one_that_goes_on)
{
	enum rk_kill_point point = worker_points[_i];
	struct rk_client *c;
	char armed[64];

	/* The first time for what happens once, the 7th job for the rest. */
	snprintf(armed, sizeof(armed), "%s:%d", rk_kill_point_name(point), _i < 2 ? 1 : 7);
	ck_assert_int_eq(setenv("RK_TEST_KILL_POINT", armed, 1), 0);
	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	for (unsigned long i = 1; i <= 20; i++)
		ck_assert_uint_eq(ask(c, "k", "add"), i);
	fleet_await_line(&fleet, "SIGKILL"); /* it did die */
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(rk_check_names_a_write_without_touch)
{
	struct rk_request request = brief("k", "untouched", 1000);
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	ck_assert_int_eq(setenv("RK_CHECK", "1", 1), 0);
	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	ck_assert_uint_eq(ask(c, "k", "add"), 1);
	ck_assert_int_ne(rk_call(c, &request, &reply), RK_DONE);
	fleet_await_line(&fleet, "without rk_touch()");
	rk_client_close(c);
	ck_assert_int_eq(kill(fleet.keeper, SIGTERM), 0);
	(void)fleet_reap(&fleet);
}
END_TEST

/* Every point on a client's way through a call. */
static const enum rk_kill_point client_points[] = {
	RK_KP_CALL_REQUEST_WRITTEN, RK_KP_CALL_WANTED, RK_KP_QUEUE_NOTED,  RK_KP_QUEUE_PUBLISHED,
	RK_KP_QUEUE_TAIL,           RK_KP_BELL_PENDING, RK_KP_CALL_READ,   RK_KP_CALL_RETIRED,
};

/* A named client's child that dies or stops at this point of a call. */
static pid_t faulty_client(enum rk_kill_point point, int signal)
{
	pid_t pid = fleet_fork();

	if (pid == 0) {
		struct rk_request request = job("k", "add");
		struct rk_reply reply = { 0 };
		struct rk_client *c = fleet_client("faulty");

		rk_fault_arm(point, 1, signal);
		(void)rk_call(c, &request, &reply);
		rk_reply_release(c, &reply);
		_exit(1); /* never reached the point */
	}
	return pid;
}

START_TEST(a_client_killed_anywhere_with_the_fleet_parked_leaves_nothing_undone)
{
	enum rk_kill_point point = client_points[_i];
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	uint64_t published = 0;
	int r;

	fleet_start(&fleet, 1, NULL, NULL);
	await_end(faulty_client(point, SIGKILL), SIGKILL);
	while ((r = rk_client_open(&c, NULL, "faulty")) == -EBUSY)
		(void)poll(NULL, 0, 1);
	ck_assert_int_eq(r, 0);
	/* Nobody rings but whoever confirmed the death: this client only looks. */
	while ((r = rk_next(c, FLEET_WAIT_MS, &reply)) != RK_EMPTY) {
		ck_assert_msg(r == RK_DONE || r == RK_FULL || r == RK_NOT_APPLIED || r == RK_NO_WORKER, "killed at %s: %s",
			      rk_kill_point_name(point), rk_outcome_text(r));
		published += r == RK_DONE;
	}
	if (point >= RK_KP_QUEUE_PUBLISHED && point <= RK_KP_BELL_PENDING)
		ck_assert_uint_eq(published, 1); /* a completed publish survives */
	ck_assert_uint_eq(ask(c, "k", "get"), point >= RK_KP_QUEUE_PUBLISHED);
	ck_assert_uint_eq(ask(c, "k", "add"), 1 + (point >= RK_KP_QUEUE_PUBLISHED));
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_client_stopped_anywhere_holds_up_nobody)
{
	enum rk_kill_point point = client_points[_i];
	struct rk_client *c;
	unsigned long n;
	pid_t pid;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	pid = faulty_client(point, SIGSTOP);
	fleet_await_state(pid, 'T');
	n = ask(c, "k", "add");
	for (unsigned long i = 1; i <= 1200; i++) /* more than twice around the ring */
		ck_assert_uint_eq(ask(c, "k", "add"), n + i);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	await_end(pid, SIGKILL);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(three_hundred_clients_each_get_their_answers)
{
	static const char *const options[] = { "--max-clients", "310", "--slots", "4", NULL };
	static pid_t pid[300];
	struct rk_client *c;

	fleet_start(&fleet, 4, options, NULL);
	for (int i = 0; i < 300; i++) {
		pid[i] = fleet_fork();
		if (pid[i] == 0) {
			struct rk_client *mine = fleet_client(NULL);

			for (int k = 0; k < 20; k++)
				(void)ask(mine, "k", "add");
			rk_client_close(mine);
			_exit(0);
		}
	}
	for (int i = 0; i < 300; i++)
		await_end(pid[i], 0);
	c = fleet_client(NULL);
	ck_assert_uint_eq(ask(c, "k", "get"), 6000);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_reader_stopped_inside_its_section_holds_up_only_views)
{
	struct rk_client *c;
	int last = 0;
	pid_t pid;

	fleet_start(&fleet, 2, NULL, NULL);
	c = fleet_client(NULL);
	pid = fleet_fork();
	if (pid == 0) {
		struct rk_client *reader = fleet_client(NULL);

		rk_fault_arm(RK_KP_EPOCH_ENTERED, 1, SIGSTOP);
		(void)pid_of(reader, "k");
		_exit(1);
	}
	fleet_await_state(pid, 'T');
	for (unsigned long i = 1; i <= 1000; i++) {
		ck_assert_uint_eq(ask(c, "k", "add"), i);
		if (i % 100 == 0) { /* every death publishes views, more than there are buffers */
			int victim = pid_of(c, "k");

			if (victim > 0 && victim != last && kill(victim, SIGKILL) == 0)
				last = victim;
		}
	}
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	await_end(pid, SIGKILL);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

#define N_SILENT 5
#define N_UNREAD 16

/* A client that makes as many calls as it may and stops before it reads an answer. */
static pid_t silent_client(int i)
{
	char name[16];
	pid_t pid = fleet_fork();

	if (pid)
		return pid;
	(void)snprintf(name, sizeof(name), "silent-%d", i);
	struct rk_client *c = fleet_client(name);
	struct rk_request request = job("k", "add");

	for (int n = 0; n < N_UNREAD; n++)
		ck_assert_int_eq(rk_call_async(c, &request), 0);
	for (;;)
		(void)raise(SIGSTOP);
}

START_TEST(clients_that_read_no_answers_hold_up_nobody)
{
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	pid_t pid[N_SILENT];
	int n = 0;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	for (int i = 0; i < N_SILENT; i++) {
		pid[i] = silent_client(i);
		fleet_await_state(pid[i], 'T');
		(void)ask(c, "k", "add");
	}
	for (int i = 0; i < N_SILENT; i++) {
		ck_assert_int_eq(kill(pid[i], SIGKILL), 0);
		await_end(pid[i], SIGKILL);
		(void)ask(c, "k", "add");
	}
	ck_assert_uint_eq(ask(c, "k", "get"), N_SILENT * N_UNREAD + 2 * N_SILENT);
	rk_client_close(c);
	c = fleet_client("silent-0"); /* and who comes back gets what was left for it */
	while (rk_next(c, FLEET_WAIT_MS, &reply) == RK_DONE)
		n++;
	ck_assert_int_eq(n, N_UNREAD);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_large_job_may_be_killed_again_and_again)
{
	static const char *const options[] = { "--undo-data", "128K", NULL };
	struct rk_request request = job("k", "bulk 60000");
	struct rk_reply reply = { 0 };
	struct rk_client *c;
	uint32_t partition, worker;
	int pid, last = 0;

	fleet_start(&fleet, 1, options, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	for (int death = 0; death < 7; death++) {
		do
			ck_assert_int_eq(rk_client_where(c, "k", 0, &partition, &worker, &pid), 0);
		while (pid <= 0 || pid == last);
		last = pid;
		fleet_await_state(pid, 'T');
		ck_assert_int_eq(kill(pid, death < 6 ? SIGKILL : SIGCONT), 0);
	}
	ck_assert_int_eq(rk_next(c, FLEET_WAIT_MS, &reply), RK_DONE);
	ck_assert_uint_eq(number_in(&reply), 1);
	rk_reply_release(c, &reply);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_job_that_sleeps_is_finished_before_a_stop)
{
	static const char *const options[] = { "--stop-timeout", "60s", NULL };
	struct rk_request request = job("k", "stop and sleep 200");
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	fleet_start(&fleet, 1, options, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	fleet_await_state(fleet.worker[0], 'T');
	ck_assert_int_eq(kill(fleet.keeper, SIGTERM), 0);
	fleet_await_line(&fleet, "stops: SIGTERM");
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	ck_assert_int_eq(rk_next(c, FLEET_WAIT_MS, &reply), RK_DONE);
	ck_assert_int_eq(reply.error, 0);
	rk_client_close(c);
	ck_assert_int_eq(fleet_reap(&fleet), 0);
}
END_TEST

START_TEST(a_spinning_client_sees_deadlines_all_the_same)
{
	struct rk_request request = brief("k", "add", 200);
	struct rk_reply reply = { 0 };
	struct rk_client *c;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	rk_client_spin(c, RK_SPIN_FOREVER);
	ck_assert_uint_eq(ask(c, "k", "add"), 1);
	ck_assert_int_eq(kill(fleet.worker[0], SIGSTOP), 0);
	fleet_await_state(fleet.worker[0], 'T');
	assert_not_applied(rk_call(c, &request, &reply));
	ck_assert_int_eq(rk_call_async(c, &request), 0);
	ck_assert_int_eq(rk_next(c, 50, &reply), -EAGAIN); /* its own time-out comes first */
	assert_not_applied(rk_next(c, FLEET_WAIT_MS, &reply));
	ck_assert_int_eq(kill(fleet.worker[0], SIGCONT), 0);
	ck_assert_uint_eq(ask(c, "k", "get"), 1);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_copy_of_a_finished_reply_object_waits_for_nobody_elses_call)
{
	struct rk_request request = job("k", "add");
	struct rk_reply reply = { 0 }, copy;
	struct rk_client *c;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL);
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_DONE);
	copy = reply;
	rk_reply_release(c, &reply);
	ck_assert_int_eq(rk_call(c, &request, &reply), RK_DONE); /* in the same slot */
	ck_assert_int_eq(rk_wait(c, &copy, 10), -EINVAL);
	rk_reply_release(c, &reply);
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("client");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_call_is_done_and_its_reply_can_be_read);
	tcase_add_test(c, a_handlers_error_undoes_its_changes_and_is_the_answer);
	tcase_add_test(c, errors_of_touch_abort_the_job);
	tcase_add_test(c, a_taken_call_is_unknown_until_its_worker_goes_on);
	tcase_add_test(c, a_taken_call_whose_worker_is_killed_is_applied_once);
	tcase_add_test(c, a_call_nobody_took_in_time_is_certainly_not_applied);
	tcase_add_test(c, a_call_whose_worker_stays_down_has_no_worker);
	tcase_add_test(c, too_large_full_and_no_slot_are_told_apart);
	tcase_add_test(c, a_handle_is_dead_in_a_forked_child);
	tcase_add_test(c, a_client_whose_place_was_given_away_is_stale);
	tcase_add_test(c, a_named_client_gets_its_unread_reply_after_sigkill);
	tcase_add_test(c, a_released_unfinished_call_is_no_submitted_one);
	tcase_add_test(c, a_name_taken_over_before_its_holders_death_was_told_stays_taken);
	tcase_add_test(c, a_worker_whose_job_thread_is_not_its_first_stops_when_told);
	tcase_add_test(c, a_name_in_use_is_refused_with_a_sentence);
	tcase_add_test(c, asynchronous_calls_raise_the_descriptor);
	tcase_add_test(c, an_asynchronous_call_ends_at_its_deadline);
	tcase_add_test(c, submitted_calls_are_all_applied_when_flush_returns);
	tcase_add_test(c, retried_calls_survive_a_worker_killed_again_and_again);
	tcase_add_loop_test(c, a_worker_killed_anywhere_is_succeeded_by_one_that_goes_on, 0,
			    (int)(sizeof(worker_points) / sizeof(worker_points[0])));
	tcase_add_test(c, rk_check_names_a_write_without_touch);
	tcase_add_loop_test(c, a_client_killed_anywhere_with_the_fleet_parked_leaves_nothing_undone, 0,
			    (int)(sizeof(client_points) / sizeof(client_points[0])));
	tcase_add_loop_test(c, a_client_stopped_anywhere_holds_up_nobody, 0,
			    (int)(sizeof(client_points) / sizeof(client_points[0])));
	tcase_add_test(c, clients_that_read_no_answers_hold_up_nobody);
	tcase_add_test(c, a_large_job_may_be_killed_again_and_again);
	tcase_add_test(c, a_job_that_sleeps_is_finished_before_a_stop);
	tcase_add_test(c, a_spinning_client_sees_deadlines_all_the_same);
	tcase_add_test(c, a_copy_of_a_finished_reply_object_waits_for_nobody_elses_call);
	tcase_add_test(c, three_hundred_clients_each_get_their_answers);
	tcase_add_test(c, a_reader_stopped_inside_its_section_holds_up_only_views);
	return unit_run(c);
}
