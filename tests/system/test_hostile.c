/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    bytes from workers, clients and the control socket cannot make the supervisor err,
 *         crash or hang; whoever asks properly is still served.
 * Method  real fleets (in tests/tiers also from a build with ASan and UBSan): hostile workers
 *         scribble over all that workers may write; hostile clients say garbage to the socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/rand.h"
#include "shm/abi.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"
#include "workers/lib/client.h"
#include "workers/lib/connect.h"

#define SCRIBBLE_NS (8 * RK_NS_PER_S)

static struct fleet fleet;

/* Asks for a ping over a new connection; asserts that the answer comes. */
static void assert_answers(void)
{
	struct rk_fds fds = { 0 };
	struct json_object *answer;
	struct rk_err err;
	int sock = rk_connect("test", &err);

	ck_assert_msg(sock >= 0, "%s", err.text);
	ck_assert_msg(rk_connect_ask(sock, "{\"verb\":\"ping\"}", FLEET_WAIT_MS, &answer, &fds, &err) == 0, "%s",
		      err.text);
	json_object_put(answer);
	(void)close(sock);
}

START_TEST(the_supervisor_survives_workers_that_overwrite_everything_they_can)
{
	static const char *const options[] = { "--max-clients", "16", "--partitions", "64", "--stop-timeout", "1s", NULL };
	char sign[128];
	uint64_t end_ns;
	int n = 0;

	fleet_launch(&fleet, 4, options, "tests/system/scribbler");
	for (end_ns = rk_clock_ns() + SCRIBBLE_NS; rk_clock_ns() < end_ns; n++) {
		struct rk_client *c;

		assert_answers();
		/* Opening and closing makes the supervisor look at pages and rings as well. */
		if (rk_client_open(&c, NULL, n % 3 ? NULL : "somebody") == 0)
			rk_client_close(c);
		(void)poll(NULL, 0, 2);
	}
	snprintf(sign, sizeof(sign), "%s/scribbled", fleet.directory);
	ck_assert_msg(access(sign, F_OK) == 0, "no worker has overwritten anything: does scribbler.c know the ABI?");
	fleet_stop(&fleet);
}
END_TEST

static int raw_connection(void)
{
	struct rk_err err;
	int sock = rk_connect("test", &err);

	ck_assert_msg(sock >= 0, "%s", err.text);
	return sock;
}

#define WHOLE(text) text, sizeof(text) /* with its NUL */
#define HALF(text) text, sizeof(text) - 1

/* An open that is right but for its name. */
#define ABI_(v) #v
#define ABI(v) ABI_(v)
#define OPEN(name) WHOLE("{\"verb\":\"open\",\"abi\":2,\"name\":" name "}")

static const struct {
	const char *what;
	const char *code;
	const char *bytes;
	size_t len;
} messages[] = {
	{ "nothing but a NUL", "EBADMSG", WHOLE("") },
	{ "not JSON", "EBADMSG", WHOLE("hello") },
	{ "half an object", NULL, HALF("{\"verb\":") },
	{ "an array", "EBADMSG", WHOLE("[1,2,3]") },
	{ "no verb", "EINVAL", WHOLE("{}") },
	{ "a verb that is a number", "EINVAL", WHOLE("{\"verb\":7}") },
	{ "an unknown verb", "EOPNOTSUPP", WHOLE("{\"verb\":\"dance\"}") },
	{ "open without abi", "EINVAL", WHOLE("{\"verb\":\"open\"}") },
	{ "open with another abi", "EPROTO", WHOLE("{\"verb\":\"open\",\"abi\":99}") },
	{ "open with a number for a name", "EINVAL", OPEN("3") },
	{ "open with a bad name", "EINVAL", OPEN("\"../x\"") },
	{ "open with an empty name", "EINVAL", OPEN("\"\"") },
	{ "bytes that are not UTF-8", "EBADMSG", WHOLE("{\"verb\":\"\xff\xfe\x80\"}") },
	{ "deep nesting", "EBADMSG", WHOLE("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[") },
};

START_TEST(a_bad_message_gets_its_error_or_the_door)
{
	char answer[RK_CONTROL_MESSAGE_MAX], code[64];
	struct pollfd p;
	int sock;

	ck_assert_str_eq(ABI(RK_ABI_VERSION), "2u"); /* else OPEN is wrong */
	fleet_start(&fleet, 1, NULL, NULL);
	sock = raw_connection();
	ck_assert_int_eq(send(sock, messages[_i].bytes, messages[_i].len, MSG_NOSIGNAL), (ssize_t)messages[_i].len);
	if (messages[_i].bytes[messages[_i].len - 1] != '\0')
		(void)shutdown(sock, SHUT_WR);
	p = (struct pollfd){ .fd = sock, .events = POLLIN };
	ck_assert_msg(poll(&p, 1, (int)FLEET_WAIT_MS) == 1, "%s: no answer", messages[_i].what);
	ssize_t n = recv(sock, answer, sizeof(answer) - 1, 0);

	answer[n > 0 ? n : 0] = '\0';
	if (messages[_i].code) {
		snprintf(code, sizeof(code), "{\"ok\":false,\"code\":\"%s\",", messages[_i].code);
		ck_assert_msg(strncmp(answer, code, strlen(code)) == 0, "%s: %s", messages[_i].what, answer);
	} else {
		ck_assert_msg(n <= 0, "%s: %s", messages[_i].what, answer);
	}
	(void)close(sock);
	assert_answers();
	fleet_stop(&fleet);
}
END_TEST

START_TEST(an_oversized_message_gets_an_error_or_the_door)
{
	static char bytes[4 * RK_CONTROL_MESSAGE_MAX];
	char answer[RK_CONTROL_MESSAGE_MAX];
	struct pollfd p;
	int sock;

	fleet_start(&fleet, 1, NULL, NULL);
	memset(bytes, ' ', sizeof(bytes));
	sock = raw_connection();
	(void)send(sock, bytes, sizeof(bytes), MSG_NOSIGNAL); /* may be cut short: the other end hangs up */
	p = (struct pollfd){ .fd = sock, .events = POLLIN };
	ck_assert_int_eq(poll(&p, 1, (int)FLEET_WAIT_MS), 1);
	ssize_t n = recv(sock, answer, sizeof(answer) - 1, 0);

	answer[n > 0 ? n : 0] = '\0';
	ck_assert(n <= 0 || strstr(answer, "\"ok\":false"));
	(void)close(sock);
	assert_answers();
	fleet_stop(&fleet);
}
END_TEST

START_TEST(descriptors_nobody_asked_for_are_closed)
{
	struct rk_fds fds = { .n = RK_FDS_MAX };
	int pipes[2], sock;
	char byte;

	fleet_start(&fleet, 1, NULL, NULL);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	for (int i = 0; i < RK_FDS_MAX; i++)
		fds.fd[i] = pipes[1];
	sock = raw_connection();
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(rk_fd_send(sock, "{\"verb\":\"ping\"}", 16, &fds), 0);
	(void)shutdown(sock, SHUT_WR);
	while (recv(sock, &byte, 1, 0) > 0)
		;
	(void)close(sock);
	(void)close(pipes[1]);
	ck_assert_int_eq(read(pipes[0], &byte, 1), 0); /* nobody holds the other end any more */
	assert_answers();
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_flood_of_connections_and_messages_does_not_stop_the_others)
{
	enum { CONNECTIONS = 400, SIZE = 1000 };
	static int socks[CONNECTIONS];
	char bytes[SIZE];
	struct rk_client *c;
	int n = 0;

	fleet_start(&fleet, 1, NULL, NULL);
	c = fleet_client(NULL); /* opened before: works on whatever happens at the door */
	memset(bytes, 'x', sizeof(bytes));
	for (struct rk_err err; n < CONNECTIONS; n++) {
		socks[n] = rk_connect("test", &err);
		if (socks[n] < 0)
			break;
	}
	for (int round = 0; round < 50; round++)
		for (int i = 0; i < n; i++) {
			bytes[SIZE - 1] = (char)(round % 2);
			(void)!send(socks[i], bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT);
		}
	for (int i = 0; i < 1000; i++) {
		struct rk_request request = { .key = "k", .body = "add", .len = 3, .timeout_ms = FLEET_WAIT_MS };
		struct rk_reply reply = { 0 };

		ck_assert_int_eq(rk_call(c, &request, &reply), RK_DONE);
		rk_reply_release(c, &reply);
	}
	for (int i = 0; i < n; i++)
		(void)close(socks[i]);
	rk_client_close(c);
	for (uint64_t end_ns = rk_clock_ns() + FLEET_WAIT_MS * RK_NS_PER_MS;;) {
		int r = rk_client_open(&c, NULL, NULL);

		if (r == 0)
			break;
		ck_assert_msg(rk_clock_ns() < end_ns, "%s", rk_client_error());
		(void)poll(NULL, 0, 5);
	}
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(a_client_that_says_half_a_message_and_stays_holds_up_nobody)
{
	int sock;

	fleet_start(&fleet, 1, NULL, NULL);
	sock = raw_connection();
	ck_assert_int_eq(send(sock, "{\"verb\"", 7, MSG_NOSIGNAL), 7);
	for (int i = 0; i < 20; i++)
		assert_answers();
	(void)close(sock);
	fleet_stop(&fleet);
}
END_TEST

/* What a hostile client can write: its own page, everybody's, rings, bells, reader lines. */
START_TEST(a_client_that_overwrites_everything_it_can_leaves_the_supervisor_alone)
{
	struct rk_client *c;
	struct rk_rand r;
	uint64_t seed = rk_clock_ns();

	printf("# seed %llu\n", (unsigned long long)seed);
	r = rk_rand_init(seed);
	fleet_start(&fleet, 2, NULL, NULL);
	for (int round = 0; round < 10; round++) {
		if (rk_client_open(&c, NULL, round % 2 ? "hostile" : NULL) < 0)
			continue;
		for (int i = 0; i < 200000; i++) {
			const struct {
				char *at;
				uint64_t len;
			} targets[] = { { c->m.calls, c->m.l.calls_len }, { c->m.queues, c->m.l.queues_len },
					{ c->m.readers, c->m.l.readers_len } };
			uint64_t which = rk_rand_below(&r, 3);
			uint64_t at = 64 + 8 * rk_rand_below(&r, (targets[which].len - 64) / 8);
			uint64_t value = rk_rand_u64(&r) >> rk_rand_below(&r, 64);

			memcpy(targets[which].at + at, &value, 8);
		}
		rk_client_close(c);
		assert_answers();
	}
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("hostile");

	tcase_set_timeout(c, 90);
	tcase_add_test(c, the_supervisor_survives_workers_that_overwrite_everything_they_can);
	tcase_add_loop_test(c, a_bad_message_gets_its_error_or_the_door, 0,
			    (int)(sizeof(messages) / sizeof(messages[0])));
	tcase_add_test(c, an_oversized_message_gets_an_error_or_the_door);
	tcase_add_test(c, descriptors_nobody_asked_for_are_closed);
	tcase_add_test(c, a_flood_of_connections_and_messages_does_not_stop_the_others);
	tcase_add_test(c, a_client_that_says_half_a_message_and_stays_holds_up_nobody);
	tcase_add_test(c, a_client_that_overwrites_everything_it_can_leaves_the_supervisor_alone);
	return unit_run(c);
}
