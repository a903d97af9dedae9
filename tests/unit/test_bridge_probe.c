/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a probe is good only after a right answer in time, a bad one says what a person can act on, and of none
 *         anything stays: no descriptor, timer or process.
 * Method  servers that answer as they are told, in the same loop; short commands. At the end the loop must be empty:
 *         were a watcher left, its turn would not end.
 */
#include "workers/bridge/probe.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "tests/unit/bridge_server.h"
#include "tests/unit/unit.h"

#define LONG (3 * RK_NS_PER_S)
#define SHORT (50 * RK_NS_PER_MS)

struct asked {
	unsigned int n;
	struct rk_probe_result last;
	struct rk_probe *to_free; /* in the callback */
};

static struct ev_loop *loop_new(void)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_NOENV);

	ck_assert_ptr_nonnull(loop);
	return loop;
}

static void on_result(const struct rk_probe_result *result, void *arg)
{
	struct asked *a = arg;

	a->n++;
	a->last = *result;
	rk_probe_free(a->to_free);
}

static struct rk_probe *probe_new(struct ev_loop *loop, const struct rk_probe_conf *conf, struct asked *a)
{
	struct rk_probe *p;
	struct rk_err err = { 0 };

	ck_assert_msg(rk_probe_new(loop, conf, on_result, a, &p, &err) == 0, "%s", err.text);
	return p;
}

/* Asks once and waits for the end. */
static void ask(struct ev_loop *loop, const struct rk_probe_conf *conf, struct asked *a)
{
	struct rk_probe *p = probe_new(loop, conf, a);
	unsigned int want = a->n + 1;

	ck_assert_int_eq(rk_probe_start(p), 0);
	ck_assert_uint_eq(a->n, want - 1); /* never from within */
	ck_assert(rk_probe_is_running(p));
	ck_assert_int_eq(rk_probe_start(p), -EALREADY);
	while (a->n < want)
		(void)ev_run(loop, EVRUN_ONCE);
	ck_assert(!rk_probe_is_running(p));
	rk_probe_free(p);
}

static struct rk_probe_conf conf_of(const struct server *s)
{
	return (struct rk_probe_conf){
		.form = RK_PROBE_TEXT,
		.port = s->port,
		.socket = s->path,
		.send = "PING\r\n",
		.expect = "+PONG",
		.timeout_ns = LONG,
	};
}

static void expect_good(const struct asked *a)
{
	ck_assert_msg(a->last.is_ok, "%s", a->last.reason);
	ck_assert_str_eq(a->last.reason, "");
}

static void expect_bad(const struct asked *a, const char *reason)
{
	ck_assert(!a->last.is_ok);
	ck_assert_str_eq(a->last.reason, reason);
}

/* The loop index is where it listens. */
START_TEST(the_right_answer_is_good)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	struct asked a = { 0 };
	struct rk_probe_conf conf;
	struct server s;

	if (!server_begin(&s, loop, (enum server_where)_i))
		return; /* no IPv6 here */
	s.answer = "+PONG\r\n";
	conf = conf_of(&s);
	ask(loop, &conf, &a);
	expect_good(&a);
	ck_assert_str_eq(s.last, "PING\r\n");
	ck_assert_uint_lt(a.last.took_ns, LONG);
	ask(loop, &conf, &a);
	expect_good(&a);
	server_end(&s);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	(void)ev_run(loop, 0);
}
END_TEST

static const struct {
	const char *answer;
	enum server_deed deed;
	const char *reason; /* NULL = good */
} answers[] = {
	{ "-LOADING Redis is loading\r\n", SERVER_ENDS, "answered '-LOADING Redis is loading' instead of '+PONG'" },
	{ "\r\n\x1b[2Jno\xff\r\nmore", SERVER_ENDS, "answered '?[2Jno?' instead of '+PONG'" },
	{ "xx+PON", SERVER_ENDS, "answered 'xx+PON' instead of '+PONG'" },
	{ "xx+PO", SERVER_ANSWERS, "answered 'xx+PO' instead of '+PONG' within 50ms" },
	{ "", SERVER_IS_SILENT, "no answer within 50ms" },
	{ "", SERVER_CLOSES, "closed the connection without an answer" },
	{ "", SERVER_RESETS, "broke the connection without an answer: Connection reset by peer" },
	{ "some +PONG", SERVER_DRIPS, NULL },
	{ "++PO+PONG", SERVER_DRIPS, NULL },
	{ "+PONG", SERVER_ENDS, NULL },
};

/* The loop index is the answer. */
START_TEST(what_else_is_answered_is_said)
{
	struct ev_loop *loop = loop_new();
	struct asked a = { 0 };
	struct rk_probe_conf conf;
	struct server s;

	ck_assert(server_begin(&s, loop, SERVER_V4));
	s.answer = answers[_i].answer;
	s.deed = answers[_i].deed;
	conf = conf_of(&s);
	conf.timeout_ns = answers[_i].reason ? SHORT : LONG;
	ask(loop, &conf, &a);
	if (answers[_i].reason)
		expect_bad(&a, answers[_i].reason);
	else
		expect_good(&a);
	server_end(&s);
	(void)ev_run(loop, 0);
}
END_TEST

START_TEST(a_greeting_needs_no_question)
{
	struct ev_loop *loop = loop_new();
	struct asked a = { 0 };
	struct rk_probe_conf conf;
	struct server s;

	ck_assert(server_begin(&s, loop, SERVER_V4));
	s.is_greeting = true;
	s.answer = "220 ready\r\n";
	conf = conf_of(&s);
	conf.send = NULL;
	conf.expect = "220";
	ask(loop, &conf, &a);
	expect_good(&a);
	ck_assert_uint_eq(s.n_requests, 0);
	server_end(&s);
}
END_TEST

START_TEST(an_answer_is_looked_through_up_to_its_limit)
{
	struct ev_loop *loop = loop_new();
	size_t len = RK_PROBE_ANSWER_MAX + 5;
	char *answer = malloc(len);
	struct asked a = { 0 };
	struct rk_probe_conf conf;
	struct server s;

	ck_assert_ptr_nonnull(answer);
	memset(answer, 'a', len);
	ck_assert(server_begin(&s, loop, SERVER_UNIX));
	s.answer = answer;
	s.answer_len = len;
	conf = conf_of(&s);
	memcpy(answer + RK_PROBE_ANSWER_MAX - 5, "+PONG", 5);
	ask(loop, &conf, &a);
	expect_good(&a);
	memset(answer, 'a', len);
	memcpy(answer + RK_PROBE_ANSWER_MAX - 4, "+PONG", 5);
	ask(loop, &conf, &a);
	ck_assert(!a.last.is_ok);
	ck_assert_msg(strstr(a.last.reason, "in its first 65536 bytes") != NULL, "%s", a.last.reason);
	server_end(&s);
	free(answer);
}
END_TEST

START_TEST(a_connection_alone_is_never_good)
{
	struct ev_loop *loop = loop_new();
	struct asked a = { 0 };
	struct rk_probe_conf conf;
	struct rk_probe *p = NULL;
	struct rk_err err;
	struct server s;

	ck_assert(server_begin(&s, loop, SERVER_V4));
	ev_io_stop(loop, &s.io); /* as if it hung: the kernel accepts for it */
	conf = conf_of(&s);
	conf.timeout_ns = SHORT;
	ask(loop, &conf, &a);
	expect_bad(&a, "no answer within 50ms");
	conf.form = RK_PROBE_HTTP;
	conf.path = "/";
	ask(loop, &conf, &a);
	expect_bad(&a, "no answer within 50ms");
	conf.form = RK_PROBE_TEXT;
	conf.expect = "";
	ck_assert_int_eq(rk_probe_new(loop, &conf, on_result, &a, &p, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, "Expect=") != NULL, "%s", err.text);
	server_end(&s);
}
END_TEST

START_TEST(where_nobody_listens_is_said)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	struct asked a = { 0 };
	struct rk_probe_conf conf;
	struct server s;
	char reason[128];

	ck_assert(server_begin(&s, loop, SERVER_V4));
	conf = conf_of(&s);
	server_end(&s);
	ask(loop, &conf, &a);
	(void)snprintf(reason, sizeof(reason), "connection refused at 127.0.0.1:%u", s.port);
	expect_bad(&a, reason);
	conf.socket = "/nowhere/at/all";
	ask(loop, &conf, &a);
	expect_bad(&a, "no connection to /nowhere/at/all: No such file or directory");
	conf.socket = "@rekindle-test-nobody";
	ask(loop, &conf, &a);
	expect_bad(&a, "connection refused at @rekindle-test-nobody");
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	(void)ev_run(loop, 0);
}
END_TEST

START_TEST(a_unix_socket_that_takes_no_more_is_said)
{
	struct ev_loop *loop = loop_new();
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct asked a = { 0 };
	struct rk_probe_conf conf;
	struct server s;
	int fd[64], n = 0;

	ck_assert(server_begin(&s, loop, SERVER_UNIX));
	ev_io_stop(loop, &s.io);
	ck_assert_int_eq(listen(s.fd, 1), 0);
	memcpy(at.sun_path, s.path, strlen(s.path));
	do {
		fd[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} while (connect(fd[n++], (struct sockaddr *)&at, sizeof(at)) == 0 && n < 64);
	conf = conf_of(&s);
	ask(loop, &conf, &a);
	ck_assert_msg(strstr(a.last.reason, "as many wait as may") != NULL, "%s", a.last.reason);
	while (n > 0)
		(void)close(fd[--n]);
	server_end(&s);
}
END_TEST

/* ---- HTTP ---- */

static const struct {
	const char *answer;
	enum server_deed deed;
	const char *reason;
} https[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", SERVER_ANSWERS, NULL },
	{ "HTTP/1.0 204\r\n\r\n", SERVER_ENDS, NULL },
	{ "HTTP/1.1 299 Fine\n\n", SERVER_DRIPS, NULL },
	{ "HTTP/1.1 503 Service Unavailable\r\n\r\n", SERVER_ENDS, "HTTP 503" },
	{ "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", SERVER_ANSWERS, "HTTP 302" },
	{ "HTTP/1.1 2", SERVER_ENDS, "answered 'HTTP/1.1 2': that is no HTTP" },
	{ "HTTP/1.1 2xx Fine\r\n", SERVER_ANSWERS, "answered 'HTTP/1.1 2xx Fine': that is no HTTP" },
	{ "-ERR unknown command 200\r\n", SERVER_ANSWERS, "answered '-ERR unknown command 200': that is no HTTP" },
	{ "HTTP/1.1 20", SERVER_ANSWERS, "answered 'HTTP/1.1 20' within 50ms: that is no HTTP" },
	{ "", SERVER_CLOSES, "closed the connection without an answer" },
};

/* The loop index is the answer. */
START_TEST(http_wants_a_status_of_2xx)
{
	struct ev_loop *loop = loop_new();
	struct asked a = { 0 };
	struct rk_probe_conf conf;
	struct server s;

	ck_assert(server_begin(&s, loop, _i % 2 ? SERVER_V4 : SERVER_UNIX));
	s.is_http = true;
	s.answer = https[_i].answer;
	s.deed = https[_i].deed;
	conf = conf_of(&s);
	conf.form = RK_PROBE_HTTP;
	conf.path = "/health?deep=1";
	conf.timeout_ns = https[_i].reason ? SHORT : LONG;
	ask(loop, &conf, &a);
	if (https[_i].reason)
		expect_bad(&a, https[_i].reason);
	else
		expect_good(&a);
	ck_assert_msg(strncmp(s.last, "GET /health?deep=1 HTTP/1.1\r\nHost: ", 35) == 0, "%s", s.last);
	ck_assert_ptr_nonnull(strstr(s.last, "\r\nConnection: close\r\n"));
	server_end(&s);
	(void)ev_run(loop, 0);
}
END_TEST

/* ---- commands ---- */

static const struct {
	const char *script, *reason;
} commands[] = {
	{ "exit 0", NULL },
	{ "echo fine; echo bad >&2", NULL },
	{ "exit 3", "exited with 3" },
	{ "echo; echo first >&2; echo second >&2; exit 1", "exited with 1: first" },
	{ "printf '\\n\\033[1mred' >&2; exit 1", "exited with 1: ?[1mred" },
	{ "echo gone >&2; kill -SEGV $$", "was killed by SIGSEGV: gone" },
	{ "echo slow >&2; exec sleep 1000", "did not end within 200ms: slow" },
	{ "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 0", NULL },
	{ "test -z \"$(cat)\" && test ! -e /proc/self/fd/9 && test \"$RK_TEST_HERE\" = yes", NULL },
};

/* The loop index is the command. */
START_TEST(a_command_has_to_exit_with_0_in_time)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, strdup(commands[_i].script), NULL };
	bool is_slow = strstr(commands[_i].script, "sleep") != NULL;
	struct rk_probe_conf conf = {
		.form = RK_PROBE_EXEC,
		.argv = argv,
		.timeout_ns = is_slow ? 200 * RK_NS_PER_MS : LONG,
	};
	struct asked a = { 0 };

	ck_assert_int_eq(setenv("RK_TEST_HERE", "yes", 1), 0);
	ck_assert_int_eq(dup2(STDERR_FILENO, 9), 9); /* of ours: not for it */
	ask(loop, &conf, &a);
	if (commands[_i].reason)
		expect_bad(&a, commands[_i].reason);
	else
		expect_good(&a);
	(void)close(9);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	free(argv[2]);
}
END_TEST

START_TEST(a_command_that_is_not_there_is_said)
{
	struct ev_loop *loop = loop_new();
	char *argv[] = { (char[]){ "/nowhere/probe" }, NULL };
	struct rk_probe_conf conf = { .form = RK_PROBE_EXEC, .argv = argv, .timeout_ns = LONG };
	struct asked a = { 0 };

	ask(loop, &conf, &a);
	expect_bad(&a, "exited with 127: /nowhere/probe: No such file or directory");
}
END_TEST

START_TEST(what_a_command_says_last_is_not_lost)
{
	struct ev_loop *loop = loop_new();
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char[]){ "echo last words >&2; exit 1" }, NULL };
	struct rk_probe_conf conf = { .form = RK_PROBE_EXEC, .argv = argv, .timeout_ns = LONG };
	struct asked a = { 0 };
	struct rk_probe *p = probe_new(loop, &conf, &a);
	siginfo_t si;

	ck_assert_int_eq(rk_probe_start(p), 0);
	/* Its end and its line come in the same turn: the loop tells of the end first. */
	ck_assert_int_eq(waitid(P_ALL, 0, &si, WEXITED | WNOWAIT), 0);
	while (a.n == 0)
		(void)ev_run(loop, EVRUN_ONCE);
	expect_bad(&a, "exited with 1: last words");
	rk_probe_free(p);
}
END_TEST

/* A process that is no longer there, or only until somebody takes note. */
static bool is_dead(pid_t pid)
{
	char state = rk_process_state(pid);

	return state == 'X' || state == 'Z';
}

/* A process writes its number and its child's into a file; the loop turns until they are there. */
static void numbers_await(struct ev_loop *loop, const char *path, pid_t pid[2])
{
	FILE *f;
	int n = 0;

	while (n < 2) {
		f = fopen(path, "re");
		n = f ? fscanf(f, "%d %d\n", &pid[0], &pid[1]) : 0;
		if (f)
			(void)fclose(f);
		(void)ev_run(loop, EVRUN_NOWAIT);
	}
}

/* The loop index: 0 = its time is over, 1 = it is cancelled, 2 = freed, 3 = it ends and leaves one behind. */
START_TEST(a_command_is_ended_with_its_whole_group)
{
	struct ev_loop *loop = loop_new();
	char path[] = "/tmp/rk-probe.XXXXXX", script[160];
	int file = mkstemp(path);
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, script, NULL };
	struct rk_probe_conf conf = {
		.form = RK_PROBE_EXEC,
		.argv = argv,
		.timeout_ns = _i == 0 ? 300 * RK_NS_PER_MS : LONG,
	};
	struct asked a = { 0 };
	struct rk_probe *p;
	pid_t pid[2];
	siginfo_t si;

	ck_assert_int_ge(file, 0);
	(void)snprintf(script, sizeof(script), "trap '' TERM; sleep 1000 & echo $$ $! > %s; %s", path,
		       _i == 3 ? "exit 0" : "wait");
	p = probe_new(loop, &conf, &a);
	ck_assert_int_eq(rk_probe_start(p), 0);
	numbers_await(loop, path, pid);
	if (_i == 1)
		rk_probe_cancel(p);
	if (_i == 2) {
		rk_probe_free(p);
		p = NULL;
	}
	while ((_i == 0 || _i == 3) && a.n == 0)
		(void)ev_run(loop, EVRUN_ONCE);
	ck_assert_uint_eq(a.n, _i == 0 || _i == 3);
	while (!is_dead(pid[0]) || !is_dead(pid[1]))
		(void)ev_run(loop, EVRUN_NOWAIT);
	/* The loop reaps what it started. */
	while (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0)
		(void)ev_run(loop, EVRUN_NOWAIT);
	ck_assert_int_eq(errno, ECHILD);
	rk_probe_free(p);
	(void)close(file);
	(void)unlink(path);
	(void)ev_run(loop, 0);
}
END_TEST

/* ---- nothing stays ---- */

/* The loop index is how far it has come, in turns of the loop. */
START_TEST(nothing_stays_of_one_that_is_cancelled)
{
	struct ev_loop *loop = loop_new();
	uint32_t n_fds = unit_n_fds();
	struct asked a = { 0 };
	struct rk_probe_conf conf;
	struct rk_probe *p;
	struct server s;

	ck_assert(server_begin(&s, loop, SERVER_V4));
	s.deed = SERVER_IS_SILENT;
	conf = conf_of(&s);
	p = probe_new(loop, &conf, &a);
	rk_probe_cancel(p); /* before it began */
	ck_assert_int_eq(rk_probe_start(p), 0);
	for (int i = 0; i < _i; i++)
		(void)ev_run(loop, EVRUN_NOWAIT);
	rk_probe_cancel(p);
	ck_assert(!rk_probe_is_running(p));
	s.deed = SERVER_ANSWERS;
	s.answer = "+PONG";
	ck_assert_int_eq(rk_probe_start(p), 0); /* and it can ask again */
	while (a.n == 0)
		(void)ev_run(loop, EVRUN_ONCE);
	expect_good(&a);
	ck_assert_int_eq(rk_probe_start(p), 0);
	rk_probe_free(p);
	server_end(&s);
	ck_assert_uint_eq(unit_n_fds(), n_fds);
	(void)ev_run(loop, 0);
	ck_assert_uint_eq(a.n, 1);
}
END_TEST

/* The loop index is the form. */
START_TEST(it_may_be_freed_by_who_is_told)
{
	struct ev_loop *loop = loop_new();
	char *argv[] = { (char[]){ "true" }, NULL };
	struct asked a = { 0 };
	struct rk_probe_conf conf;
	struct server s;

	ck_assert(server_begin(&s, loop, SERVER_V4));
	s.answer = "HTTP/1.1 200 +PONG\r\n\r\n";
	conf = conf_of(&s);
	conf.form = (enum rk_probe_form)_i;
	conf.path = "/";
	conf.argv = argv;
	a.to_free = probe_new(loop, &conf, &a);
	ck_assert_int_eq(rk_probe_start(a.to_free), 0);
	while (a.n == 0)
		(void)ev_run(loop, EVRUN_ONCE);
	expect_good(&a);
	server_end(&s);
	(void)ev_run(loop, 0);
}
END_TEST

/* The loop index is the form. */
START_TEST(want_of_descriptors_here_is_no_answer)
{
	struct ev_loop *loop = loop_new();
	char *argv[] = { (char[]){ "true" }, NULL };
	struct rk_probe_conf conf = {
		.form = (enum rk_probe_form)_i, .port = 1, .expect = "x", .path = "/", .argv = argv, .timeout_ns = LONG
	};
	struct asked a = { 0 };
	struct rk_probe *p = probe_new(loop, &conf, &a);
	int last = dup(STDERR_FILENO);
	struct rlimit all, few;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = (struct rlimit){ .rlim_cur = (rlim_t)last, .rlim_max = all.rlim_max };
	(void)close(last);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ck_assert_int_eq(rk_probe_start(p), -EMFILE);
	ck_assert(!rk_probe_is_running(p));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	(void)ev_run(loop, 0);
	ck_assert_uint_eq(a.n, 0);
	ck_assert_int_eq(rk_probe_start(p), 0);
	while (a.n == 0)
		(void)ev_run(loop, EVRUN_ONCE);
	rk_probe_free(p);
}
END_TEST

START_TEST(mistakes_are_named)
{
	struct ev_loop *loop = loop_new();
	char *none[] = { NULL };
	char too_long[120] = "";
	const struct {
		struct rk_probe_conf conf;
		const char *says;
	} bad[] = {
		{ { .form = RK_PROBE_TEXT, .expect = "x" }, "neither Port= nor Socket=" },
		{ { .form = RK_PROBE_HTTP, .port = 1, .path = "health" }, "HealthPath=" },
		{ { .form = RK_PROBE_HTTP, .port = 1, .path = "/a b" }, "HealthPath=" },
		{ { .form = RK_PROBE_HTTP, .port = 1, .path = "/a\r\nX: y" }, "HealthPath=" },
		{ { .form = RK_PROBE_HTTP, .port = 1 }, "HealthPath=" },
		{ { .form = RK_PROBE_EXEC, .argv = none }, "ProbeExec=" },
		{ { .form = RK_PROBE_EXEC }, "ProbeExec=" },
		{ { .form = RK_PROBE_TEXT, .expect = "x", .socket = too_long }, "Socket=" },
	};

	memset(too_long, 'a', sizeof(too_long) - 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rk_probe *p = NULL;
		struct rk_err err = { 0 };

		ck_assert_int_eq(rk_probe_new(loop, &bad[i].conf, on_result, NULL, &p, &err), -EINVAL);
		ck_assert_msg(strstr(err.text, bad[i].says) != NULL, "%s", err.text);
		ck_assert_ptr_null(p);
	}
}
END_TEST

int main(void)
{
	TCase *c = unit_case("bridge_probe");

	tcase_add_loop_test(c, the_right_answer_is_good, 0, 3);
	tcase_add_loop_test(c, what_else_is_answered_is_said, 0, (int)(sizeof(answers) / sizeof(answers[0])));
	tcase_add_test(c, a_greeting_needs_no_question);
	tcase_add_test(c, an_answer_is_looked_through_up_to_its_limit);
	tcase_add_test(c, a_connection_alone_is_never_good);
	tcase_add_test(c, where_nobody_listens_is_said);
	tcase_add_test(c, a_unix_socket_that_takes_no_more_is_said);
	tcase_add_loop_test(c, http_wants_a_status_of_2xx, 0, (int)(sizeof(https) / sizeof(https[0])));
	tcase_add_loop_test(c, a_command_has_to_exit_with_0_in_time, 0, (int)(sizeof(commands) / sizeof(commands[0])));
	tcase_add_test(c, a_command_that_is_not_there_is_said);
	tcase_add_test(c, what_a_command_says_last_is_not_lost);
	tcase_add_loop_test(c, a_command_is_ended_with_its_whole_group, 0, 4);
	tcase_add_loop_test(c, nothing_stays_of_one_that_is_cancelled, 0, 4);
	tcase_add_loop_test(c, it_may_be_freed_by_who_is_told, 0, 3);
	tcase_add_loop_test(c, want_of_descriptors_here_is_no_answer, 0, 3);
	tcase_add_test(c, mistakes_are_named);
	return unit_run(c);
}
