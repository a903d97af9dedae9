/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a job is one POST over a connection that is kept; every way in which it can end is told as what it is, and
 *         nothing stays of one that is given up.
 * Method  a server that does as it is told, in the same loop. Descriptors are counted before and after.
 */
#include "workers/bridge/http.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/bridge_server.h"
#include "tests/unit/unit.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define WINDOW 4
#define MAX_REPLY 1000

struct told {
	unsigned int n;
	struct rk_http_answer last;
	char body[MAX_REPLY + 1], reason[256];
	uint64_t sum; /* of the ids */
	struct rk_http *http;
	unsigned int n_more; /* jobs to send from within */
	bool is_to_close;
};

static void send_one(struct rk_http *http, uint64_t id, const char *body)
{
	struct rk_http_job job = { .id = id, .key = "user:7", .key_len = 6, .body = body, .len = strlen(body), .attempt = 1 };

	ck_assert_int_eq(rk_http_send(http, &job), 0);
}

static void on_answer(const struct rk_http_answer *answer, void *arg)
{
	struct told *t = arg;

	t->n++;
	t->last = *answer;
	t->sum += answer->id;
	ck_assert_ptr_nonnull(answer->body);
	ck_assert_uint_le(answer->len, MAX_REPLY);
	memcpy(t->body, answer->body, answer->len);
	t->body[answer->len] = '\0';
	(void)snprintf(t->reason, sizeof(t->reason), "%s", answer->reason ? answer->reason : "");
	if (t->n_more > 0) {
		t->n_more--;
		send_one(t->http, answer->id, "again");
	}
	if (t->is_to_close)
		rk_http_close(t->http);
}

static struct ev_loop *loop_new(void)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_NOENV);

	ck_assert_ptr_nonnull(loop);
	return loop;
}

/* The module of this build. */
static const char *module_path(char path[static PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *at;

	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	at = strstr(path, "/tests/unit/");
	ck_assert_ptr_nonnull(at);
	(void)snprintf(at, PATH_MAX - (size_t)(at - path), "/workers/bridge/.libs/rekindle-bridge-http.so");
	return path;
}

static struct rk_http_conf conf_of(const struct server *s, char path[static PATH_MAX])
{
	return (struct rk_http_conf){
		.port = s->port,
		.socket = s->path,
		.path = "/jobs/in?x=1",
		.key_header = "X-Rekindle-Key",
		.window = WINDOW,
		.max_reply = MAX_REPLY,
		.module = module_path(path),
	};
}

static void http_open(struct ev_loop *loop, const struct rk_http_conf *conf, struct told *t)
{
	struct rk_err err = { 0 };

	ck_assert_msg(rk_http_open(conf, loop, on_answer, t, &t->http, &err) == 0, "%s", err.text);
}

/* A server, and one who asks it. */
static void pair(struct server *s, struct ev_loop *loop, enum server_where where, struct told *t)
{
	char path[PATH_MAX];
	struct rk_http_conf conf;

	ck_assert(server_begin(s, loop, where));
	s->is_http = true;
	s->answer = OK;
	conf = conf_of(s, path);
	http_open(loop, &conf, t);
}

static void has_line(const struct server *s, const char *line)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "\r\n%s\r\n", line);
	ck_assert_msg(strstr(s->last, text) != NULL, "no '%s' in:\n%s", line, s->last);
}

/* ---- what is sent ---- */

/* The loop index is where it listens. */
START_TEST(a_job_is_one_post)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	struct rk_http_job job = { .id = 5, .key = "a\r\nX-Evil: 1%", .key_len = 13, .body = "x\0y", .len = 3, .attempt = 2 };
	struct told t = { 0 };
	struct server s;
	char host[64];

	pair(&s, loop, _i ? SERVER_UNIX : SERVER_V4, &t);
	job.deadline_ns = rk_clock_ns() + 60 * RK_NS_PER_S;
	ck_assert_int_eq(rk_http_send(t.http, &job), 0);
	ck_assert_uint_eq(t.n, 0);
	server_run(&s, &t.n, 1);
	ck_assert_int_eq(t.last.end, RK_HTTP_ANSWERED);
	ck_assert_int_eq(t.last.status, 200);
	ck_assert_uint_eq(t.last.id, 5);
	ck_assert_str_eq(t.body, "ok");
	ck_assert_msg(strncmp(s.last, "POST /jobs/in?x=1 HTTP/1.1\r\n", 28) == 0, "%s", s.last);
	(void)snprintf(host, sizeof(host), _i ? "Host: localhost" : "Host: 127.0.0.1:%u", s.port);
	has_line(&s, host);
	has_line(&s, "X-Rekindle-Key: a%0D%0AX-Evil: 1%25");
	has_line(&s, "X-Rekindle-Attempt: 2");
	has_line(&s, "Content-Length: 3");
	has_line(&s, "Content-Type: application/octet-stream");
	ck_assert_ptr_null(strstr(s.last, "\r\nExpect:"));
	ck_assert_ptr_nonnull(strstr(s.last, "\r\nX-Rekindle-Deadline-Ms: 59"));
	ck_assert_mem_eq(s.last + s.last_len - 3, "x\0y", 3);
	job.deadline_ns = 0;
	job.len = 0;
	job.key_len = 0;
	ck_assert_int_eq(rk_http_send(t.http, &job), 0);
	server_run(&s, &t.n, 2);
	ck_assert_ptr_null(strstr(s.last, "Deadline"));
	has_line(&s, "X-Rekindle-Key:");
	has_line(&s, "Content-Length: 0");
	rk_http_close(t.http);
	server_end(&s);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	(void)ev_run(loop, 0);
}
END_TEST

START_TEST(a_large_body_arrives_whole_and_waits_for_nothing)
{
	struct ev_loop *loop = loop_new();
	size_t len = 3 << 20;
	char *body = malloc(len);
	struct told t = { 0 };
	struct rk_http_job job = { .id = 1, .key = "k", .key_len = 1, .body = body, .len = len };
	struct server s;

	ck_assert_ptr_nonnull(body);
	for (size_t i = 0; i < len; i++)
		body[i] = (char)('a' + i % 23);
	pair(&s, loop, SERVER_V4, &t);
	ck_assert_int_eq(rk_http_send(t.http, &job), 0);
	server_run(&s, &t.n, 1);
	ck_assert_int_eq(t.last.status, 200);
	ck_assert_uint_gt(s.last_len, len);
	ck_assert(memcmp(s.last + s.last_len - len, body, len) == 0);
	ck_assert_ptr_null(strstr(s.last, "\r\nExpect:")); /* which libcurl puts ahead of so large a body */
	rk_http_close(t.http);
	server_end(&s);
	free(body);
}
END_TEST

START_TEST(connections_are_kept_and_no_more_than_the_window)
{
	struct ev_loop *loop = loop_new();
	struct rk_http_job job = { .id = 9, .key = "k", .key_len = 1, .body = "", .attempt = 1 };
	struct told t = { 0 };
	struct server s;

	pair(&s, loop, SERVER_UNIX, &t);
	for (unsigned int i = 0; i < 20; i++) {
		send_one(t.http, i, "x");
		server_run(&s, &t.n, i + 1);
	}
	ck_assert_uint_eq(s.n_connections, 1);
	s.deed = SERVER_IS_SILENT;
	for (unsigned int i = 0; i < WINDOW; i++)
		send_one(t.http, i, "x");
	ck_assert_int_eq(rk_http_send(t.http, &job), -EBUSY);
	server_run(&s, &s.n_requests, 20 + WINDOW);
	ck_assert_uint_eq(s.n_most_open, WINDOW);
	s.deed = SERVER_ANSWERS;
	t.n_more = 100; /* each answer's job is sent from within */
	server_answer_all(&s);
	server_run(&s, &t.n, 20 + WINDOW + 100);
	ck_assert_uint_eq(s.n_most_open, WINDOW);
	ck_assert_uint_le(s.n_connections, WINDOW);
	rk_http_close(t.http);
	server_end(&s);
	(void)ev_run(loop, 0);
}
END_TEST

/* ---- how it ends ---- */

static const struct {
	const char *answer;
	enum server_deed deed;
	enum rk_http_end end;
	int status;
	const char *body; /* or what the reason holds */
} ends[] = {
	{ OK, SERVER_ANSWERS, RK_HTTP_ANSWERED, 200, "ok" },
	{ OK, SERVER_DRIPS, RK_HTTP_ANSWERED, 200, "ok" },
	{ "HTTP/1.1 204 None\r\n\r\n", SERVER_ANSWERS, RK_HTTP_ANSWERED, 204, "" },
	{ "HTTP/1.0 200 OK\r\n\r\nto the end", SERVER_ENDS, RK_HTTP_ANSWERED, 200, "to the end" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Late: 1\r\n\r\n",
	  SERVER_ANSWERS, RK_HTTP_ANSWERED, 200, "abcde" },
	{ "HTTP/1.1 100 Continue\r\n\r\n" OK, SERVER_ANSWERS, RK_HTTP_ANSWERED, 200, "ok" },
	{ "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", SERVER_ANSWERS, RK_HTTP_ANSWERED,
	  302, "" },
	{ "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nRetry-After: 2\r\n\r\nbusy", SERVER_ANSWERS, RK_HTTP_ANSWERED, 503,
	  "busy" },
	{ "", SERVER_CLOSES, RK_HTTP_NOT_REACHED, 0, "" },
	{ "", SERVER_RESETS, RK_HTTP_NOT_REACHED, 0, "" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok", SERVER_ENDS, RK_HTTP_BROKEN, 0, "" },
	{ "HTTP/1.1 200 OK\r\nContent-Le", SERVER_ENDS, RK_HTTP_BROKEN, 0, "" },
	{ "+PONG this is no HTTP\r\n", SERVER_ENDS, RK_HTTP_BROKEN, 0, "" },
};

/* The loop index is the answer. */
START_TEST(every_end_is_told_as_what_it_is)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	struct told t = { 0 };
	struct server s;

	pair(&s, loop, _i % 2 ? SERVER_V4 : SERVER_UNIX, &t);
	s.answer = ends[_i].answer;
	s.deed = ends[_i].deed;
	send_one(t.http, 1, "x");
	server_run(&s, &t.n, 1);
	ck_assert_int_eq(t.last.end, ends[_i].end);
	if (ends[_i].end == RK_HTTP_ANSWERED) {
		ck_assert_int_eq(t.last.status, ends[_i].status);
		ck_assert_str_eq(t.body, ends[_i].body);
	} else {
		ck_assert_str_ne(t.reason, "");
		ck_assert_uint_eq(t.last.len, 0);
	}
	ck_assert_uint_eq(t.last.retry_after_ns, ends[_i].status == 503 ? 2 * RK_NS_PER_S : 0);
	ck_assert_uint_eq(s.n_requests, 1);
	/* And the next one is answered. */
	s.answer = OK;
	s.deed = SERVER_ANSWERS;
	send_one(t.http, 2, "x");
	server_run(&s, &t.n, 2);
	ck_assert_int_eq(t.last.end, RK_HTTP_ANSWERED);
	ck_assert_str_eq(t.body, "ok");
	rk_http_close(t.http);
	server_end(&s);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	(void)ev_run(loop, 0);
}
END_TEST

START_TEST(where_nobody_listens_it_is_not_reached)
{
	struct ev_loop *loop = loop_new();
	struct told t = { 0 };
	struct server s;

	pair(&s, loop, SERVER_V4, &t);
	server_end(&s);
	send_one(t.http, 1, "x");
	server_run(&s, &t.n, 1);
	ck_assert_int_eq(t.last.end, RK_HTTP_NOT_REACHED);
	ck_assert_msg(strstr(t.reason, "onnect") != NULL, "%s", t.reason);
	rk_http_close(t.http);
	(void)ev_run(loop, 0);
}
END_TEST

START_TEST(a_kept_connection_that_was_closed_costs_no_job)
{
	struct ev_loop *loop = loop_new();
	struct told t = { 0 };
	struct server s;

	pair(&s, loop, SERVER_V4, &t);
	s.deed = SERVER_ENDS; /* without having said so */
	for (unsigned int i = 0; i < 10; i++) {
		send_one(t.http, i, "x");
		server_run(&s, &t.n, i + 1);
		ck_assert_int_eq(t.last.end, RK_HTTP_ANSWERED);
	}
	ck_assert_uint_eq(s.n_connections, 10);
	rk_http_close(t.http);
	server_end(&s);
}
END_TEST

/* The loop index: 0 = the body alone, 1 = with its head. */
START_TEST(a_longer_answer_than_is_wanted_is_told_as_such)
{
	struct ev_loop *loop = loop_new();
	char path[PATH_MAX], answer[2 * MAX_REPLY];
	struct told t = { 0 };
	struct rk_http_conf conf;
	struct server s;
	int head;

	ck_assert(server_begin(&s, loop, SERVER_UNIX));
	s.is_http = true;
	conf = conf_of(&s, path);
	conf.is_full = _i == 1;
	http_open(loop, &conf, &t);
	for (int over = 0; over <= 1; over++) {
		int len = MAX_REPLY + over;

		head = snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %4d\r\n\r\n", len);
		if (conf.is_full) {
			len -= head;
			(void)snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %4d\r\n\r\n", len);
		}
		memset(answer + head, 'a', (size_t)len);
		s.answer = answer;
		s.answer_len = (size_t)(head + len);
		send_one(t.http, 1, "x");
		server_run(&s, &t.n, (unsigned int)over + 1);
		ck_assert_int_eq(t.last.end, over ? RK_HTTP_TOO_LONG : RK_HTTP_ANSWERED);
		ck_assert_uint_eq(t.last.len, over ? 0 : MAX_REPLY);
	}
	rk_http_close(t.http);
	server_end(&s);
}
END_TEST

START_TEST(a_full_answer_has_the_last_head_and_no_trailer)
{
	struct ev_loop *loop = loop_new();
	char path[PATH_MAX];
	struct told t = { 0 };
	struct rk_http_conf conf;
	struct server s;

	ck_assert(server_begin(&s, loop, SERVER_UNIX));
	s.is_http = true;
	s.answer = "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n"
		   "X-A: 1\r\n\r\n3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n";
	conf = conf_of(&s, path);
	conf.is_full = true;
	http_open(loop, &conf, &t);
	send_one(t.http, 1, "x");
	server_run(&s, &t.n, 1);
	ck_assert_int_eq(t.last.status, 404);
	ck_assert_str_eq(t.body, "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\nabc");
	rk_http_close(t.http);
	server_end(&s);
}
END_TEST

START_TEST(no_proxy_of_the_environment_is_asked)
{
	struct ev_loop *loop = loop_new();
	struct told t = { 0 };
	struct server s;

	ck_assert_int_eq(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
	ck_assert_int_eq(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
	pair(&s, loop, SERVER_V4, &t);
	send_one(t.http, 1, "x");
	server_run(&s, &t.n, 1);
	ck_assert_int_eq(t.last.status, 200);
	rk_http_close(t.http);
	server_end(&s);
}
END_TEST

/* ---- giving up ---- */

/* The loop index is how far they have come, in turns of the loop. */
START_TEST(nothing_stays_of_what_is_given_up)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	struct told t = { 0 };
	struct server s;

	pair(&s, loop, SERVER_V4, &t);
	s.deed = SERVER_IS_SILENT;
	for (unsigned int i = 0; i < WINDOW; i++)
		send_one(t.http, i, "x");
	for (int i = 0; i < _i; i++)
		(void)ev_run(loop, EVRUN_NOWAIT);
	ck_assert_int_eq(rk_http_cancel(t.http, 2), 0);
	ck_assert_int_eq(rk_http_cancel(t.http, 2), -ENOENT);
	ck_assert_int_eq(rk_http_cancel(t.http, 99), -ENOENT);
	send_one(t.http, 100, "x");
	rk_http_close(t.http);
	ck_assert_uint_eq(t.n, 0);
	server_end(&s);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	(void)ev_run(loop, 0);
	ck_assert_uint_eq(t.n, 0);
}
END_TEST

START_TEST(it_may_be_closed_by_who_is_told)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	struct told t = { .is_to_close = true };
	struct server s;

	pair(&s, loop, SERVER_UNIX, &t);
	for (unsigned int i = 0; i < WINDOW; i++)
		send_one(t.http, i, "x");
	server_run(&s, &t.n, 1);
	ck_assert_uint_eq(t.n, 1);
	server_end(&s);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	(void)ev_run(loop, 0);
}
END_TEST

START_TEST(mistakes_are_named)
{
	struct ev_loop *loop = loop_new();
	char too_long[120] = "";
	const struct {
		struct rk_http_conf conf;
		int r;
		const char *says;
	} bad[] = {
		{ { .path = "/", .key_header = "K", .window = 1 }, -EINVAL, "neither Port= nor Socket=" },
		{ { .port = 1, .path = "jobs", .key_header = "K", .window = 1 }, -EINVAL, "HttpPath=" },
		{ { .port = 1, .path = "/a b", .key_header = "K", .window = 1 }, -EINVAL, "HttpPath=" },
		{ { .port = 1, .path = "/", .key_header = "K: x", .window = 1 }, -EINVAL, "KeyHeader=" },
		{ { .port = 1, .path = "/", .key_header = "K\r\n", .window = 1 }, -EINVAL, "KeyHeader=" },
		{ { .port = 1, .path = "/", .key_header = "", .window = 1 }, -EINVAL, "KeyHeader=" },
		{ { .port = 1, .path = "/", .key_header = "K" }, -EINVAL, "Window=" },
		{ { .socket = too_long, .path = "/", .key_header = "K", .window = 1 }, -EINVAL, "Socket=" },
		{ { .port = 1, .path = "/", .key_header = "K", .window = 1, .module = "/nowhere.so" }, -ENOENT,
		  "/nowhere.so" },
		{ { .port = 1, .path = "/", .key_header = "K", .window = 1, .module = "/dev/null" }, -ELIBBAD,
		  "Kind=http" },
	};

	memset(too_long, 'a', sizeof(too_long) - 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rk_http *http = NULL;
		struct rk_err err = { 0 };

		ck_assert_int_eq(rk_http_open(&bad[i].conf, loop, on_answer, NULL, &http, &err), bad[i].r);
		ck_assert_msg(strstr(err.text, bad[i].says) != NULL, "%s", err.text);
		ck_assert_ptr_null(http);
	}
}
END_TEST

/* ---- decisions ---- */

START_TEST(a_key_is_what_a_header_can_hold)
{
	static const struct {
		const char *key;
		size_t len;
		const char *header;
	} keys[] = {
		{ "user:7", 6, "user:7" },
		{ "New York", 8, "New York" },
		{ " a ", 3, "%20a%20" },
		{ "50%", 3, "50%25" },
		{ "\0\r\n\x7f\xc3\xa9", 6, "%00%0D%0A%7F%C3%A9" },
		{ "a\tb", 3, "a%09b" },
		{ "", 0, "" },
	};
	char text[64];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		ck_assert_uint_eq(rk_http_key_encode(text, sizeof(text), keys[i].key, keys[i].len),
				  strlen(keys[i].header));
		ck_assert_str_eq(text, keys[i].header);
	}
	ck_assert_uint_eq(rk_http_key_encode(text, 4, "abcdef", 6), 6);
	ck_assert_str_eq(text, "abc");
}
END_TEST

#define MS RK_NS_PER_MS
#define NOW (1000 * MS)

static const struct {
	struct rk_http_answer answer;
	bool is_full;
	uint32_t n_tries;
	uint64_t deadline_ns;
	struct rk_http_verdict want;
} verdicts[] = {
	{ { .status = 200 }, false, 1, 0, { .deed = RK_HTTP_DONE } },
	{ { .status = 299 }, false, 1, NOW, { .deed = RK_HTTP_DONE } },
	{ { .status = 302 }, false, 1, 0, { .deed = RK_HTTP_FAILED, .error = -EREMOTEIO } },
	{ { .status = 404 }, false, 1, 0, { .deed = RK_HTTP_FAILED, .error = -EREMOTEIO } },
	{ { .status = 500 }, false, 1, 0, { .deed = RK_HTTP_FAILED, .error = -EREMOTEIO } },
	{ { .status = 500 }, true, 1, 0, { .deed = RK_HTTP_DONE } },
	{ { .status = 503 }, true, 1, 0, { .deed = RK_HTTP_DONE } },
	{ { .status = 503 }, false, 1, 0, { .deed = RK_HTTP_AGAIN, .pause_ns = 10 * MS } },
	{ { .status = 429 }, false, 3, 0, { .deed = RK_HTTP_AGAIN, .pause_ns = 40 * MS } },
	{ { .status = 429 }, false, 4000000000u, 0, { .deed = RK_HTTP_AGAIN, .pause_ns = 5000 * MS } },
	{ { .status = 503, .retry_after_ns = 7000 * MS }, false, 1, 0, { .deed = RK_HTTP_AGAIN, .pause_ns = 7000 * MS } },
	{ { .status = 503, .retry_after_ns = 7000 * MS }, false, 1, NOW + 5 * MS,
	  { .deed = RK_HTTP_AGAIN, .pause_ns = 5 * MS } },
	{ { .status = 503 }, false, 1, NOW, { .deed = RK_HTTP_FAILED, .error = -EREMOTEIO } },
	{ { .end = RK_HTTP_NOT_REACHED }, true, 2, 0, { .deed = RK_HTTP_AGAIN, .pause_ns = 20 * MS } },
	{ { .end = RK_HTTP_BROKEN, .status = 200, .retry_after_ns = 9000 * MS }, true, 0, 0,
	  { .deed = RK_HTTP_AGAIN, .pause_ns = 10 * MS } },
	{ { .end = RK_HTTP_TOO_LONG, .status = 200 }, true, 1, 0, { .deed = RK_HTTP_FAILED, .error = -EMSGSIZE } },
};

/* The loop index is the row. */
START_TEST(what_becomes_of_a_job_is_a_table)
{
	struct rk_http_verdict v = rk_http_judge(&verdicts[_i].answer, verdicts[_i].is_full, verdicts[_i].n_tries, NOW,
						 verdicts[_i].deadline_ns);

	ck_assert_int_eq(v.deed, verdicts[_i].want.deed);
	ck_assert_int_eq(v.error, verdicts[_i].want.error);
	ck_assert_uint_eq(v.pause_ns, verdicts[_i].want.pause_ns);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("bridge_http");

	tcase_add_loop_test(c, a_job_is_one_post, 0, 2);
	tcase_add_test(c, a_large_body_arrives_whole_and_waits_for_nothing);
	tcase_add_test(c, connections_are_kept_and_no_more_than_the_window);
	tcase_add_loop_test(c, every_end_is_told_as_what_it_is, 0, (int)(sizeof(ends) / sizeof(ends[0])));
	tcase_add_test(c, where_nobody_listens_it_is_not_reached);
	tcase_add_test(c, a_kept_connection_that_was_closed_costs_no_job);
	tcase_add_loop_test(c, a_longer_answer_than_is_wanted_is_told_as_such, 0, 2);
	tcase_add_test(c, a_full_answer_has_the_last_head_and_no_trailer);
	tcase_add_test(c, no_proxy_of_the_environment_is_asked);
	tcase_add_loop_test(c, nothing_stays_of_what_is_given_up, 0, 6);
	tcase_add_test(c, it_may_be_closed_by_who_is_told);
	tcase_add_test(c, mistakes_are_named);
	tcase_add_test(c, a_key_is_what_a_header_can_hold);
	tcase_add_loop_test(c, what_becomes_of_a_job_is_a_table, 0, (int)(sizeof(verdicts) / sizeof(verdicts[0])));
	return unit_run(c);
}
