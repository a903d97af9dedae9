/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/wordlist.h"
#include "workers/bridge/command.h"
#include "workers/bridge/timer.h"

#define CHUNK 4096u /* read per wake-up */
#define HEAD 256u   /* of the answer's beginning: what is quoted, and HTTP's first line */
#define QUOTE 72u   /* of it that people see */
#define ADDRESS 128u

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};

struct rk_probe {
	struct ev_loop *loop;
	rk_on_probe on_result;
	void *arg;
	enum rk_probe_form form;
	uint64_t timeout_ns;
	uint16_t port;
	char *socket, *send, *expect;
	size_t send_len, expect_len;
	struct rk_wordlist argv;
	struct rk_command *command; /* EXEC */

	/* the one that runs */
	bool is_running;
	bool is_connected;
	bool is_decided; /* result stands, and is told by the timer */
	unsigned int n_tried; /* addresses */
	int fd;
	ev_io io;
	ev_timer timer;
	uint64_t began_ns;
	size_t n_sent, n_read;
	char head[HEAD];
	char *window; /* expect may lie across two reads: the last expect_len - 1 bytes, and room for CHUNK */
	size_t window_len;
	struct rk_probe_result result;
};

/* ---- the end of one ---- */

static void stop(struct rk_probe *p)
{
	ev_io_stop(p->loop, &p->io);
	ev_timer_stop(p->loop, &p->timer);
	rk_close_p(&p->fd);
	p->is_running = false;
}

static void tell(struct rk_probe *p)
{
	struct rk_probe_result result = p->result;

	stop(p);
	result.took_ns = rk_clock_ns() - p->began_ns;
	p->on_result(&result, p->arg); /* p may be gone behind it */
}

RK_PRINTF(2, 3) static void fail(struct rk_probe *p, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(p->result.reason, sizeof(p->result.reason), fmt, args);
	va_end(args);
	p->result.is_ok = false;
	p->is_decided = true;
}

static void succeed(struct rk_probe *p)
{
	p->result = (struct rk_probe_result){ .is_ok = true };
	p->is_decided = true;
}

/* The first line of somebody's text, in quotes, as far as it is of use to people. */
static const char *quoted(char to[static QUOTE + 8], const char *text, size_t len)
{
	size_t n = 0;
	char clean[QUOTE];

	while (len > 0 && (*text == '\r' || *text == '\n')) {
		text++;
		len--;
	}
	while (n < len && text[n] != '\r' && text[n] != '\n')
		n++;
	(void)rk_text_clean(clean, sizeof(clean), text, n);
	(void)snprintf(to, QUOTE + 8, "'%s%s'", clean, n >= sizeof(clean) ? "…" : "");
	return to;
}

/* What came is not what was wanted; behind: when, or how much. */
static void fail_answered(struct rk_probe *p, const char *behind)
{
	char got[QUOTE + 8], wanted[QUOTE + 8];
	size_t len = p->n_read < sizeof(p->head) ? p->n_read : sizeof(p->head);

	if (p->form == RK_PROBE_HTTP)
		fail(p, "answered %s%s: that is no HTTP", quoted(got, p->head, len), behind);
	else
		fail(p, "answered %s instead of %s%s", quoted(got, p->head, len),
		     quoted(wanted, p->expect, p->expect_len), behind);
}

static void fail_late(struct rk_probe *p)
{
	char within[RK_TIMER_TEXT], behind[RK_TIMER_TEXT + 16];

	(void)rk_timer_text(within, p->timeout_ns);
	(void)snprintf(behind, sizeof(behind), " within %s", within);
	if (!p->is_connected)
		fail(p, "no connection within %s", within);
	else if (p->n_read == 0)
		fail(p, "no answer within %s", within);
	else
		fail_answered(p, behind);
}

static void fail_ended(struct rk_probe *p)
{
	if (p->n_read == 0)
		fail(p, "closed the connection without an answer");
	else
		fail_answered(p, "");
}

/* ---- what was answered ---- */

static void http_judge(struct rk_probe *p)
{
	size_t len = p->n_read < sizeof(p->head) ? p->n_read : sizeof(p->head);
	const char *end = memchr(p->head, '\n', len), *code = memchr(p->head, ' ', len);
	int status = 0;

	if (!end && len < sizeof(p->head) && strncmp(p->head, "HTTP/", rk_min_size(len, 5)) == 0)
		return; /* its first line is still to come */
	if (end && code && end - code > 3 && strncmp(p->head, "HTTP/", 5) == 0)
		for (int i = 1; i <= 3 && code[i] >= '0' && code[i] <= '9'; i++)
			status = status * 10 + code[i] - '0';
	if (status < 100)
		fail_answered(p, "");
	else if (status < 200 || status > 299)
		fail(p, "HTTP %d", status);
	else
		succeed(p);
}

static void text_judge(struct rk_probe *p, size_t n)
{
	size_t keep = p->expect_len - 1;

	p->window_len += n;
	if (memmem(p->window, p->window_len, p->expect, p->expect_len)) {
		succeed(p);
	} else if (p->window_len > keep) {
		memmove(p->window, p->window + p->window_len - keep, keep);
		p->window_len = keep;
	}
}

static void answer_take(struct rk_probe *p, size_t n)
{
	const char *at = p->window + p->window_len;
	char behind[48];

	if (p->n_read < sizeof(p->head))
		memcpy(p->head + p->n_read, at, rk_min_size(n, sizeof(p->head) - p->n_read));
	p->n_read += n;
	if (p->form == RK_PROBE_HTTP)
		http_judge(p);
	else
		text_judge(p, n);
	if (!p->is_decided && p->n_read >= RK_PROBE_ANSWER_MAX) {
		(void)snprintf(behind, sizeof(behind), " in its first %u bytes", RK_PROBE_ANSWER_MAX);
		fail_answered(p, behind);
	}
}

static void answer_read(struct rk_probe *p)
{
	size_t room = rk_min_size(CHUNK, RK_PROBE_ANSWER_MAX - p->n_read);
	ssize_t n = recv(p->fd, p->window + p->window_len, room, 0);

	if (n > 0)
		answer_take(p, (size_t)n);
	else if (n == 0)
		fail_ended(p);
	else if (errno != EAGAIN && errno != EINTR && p->n_read > 0)
		fail_ended(p);
	else if (errno != EAGAIN && errno != EINTR)
		fail(p, "broke the connection without an answer: %s", strerror(errno));
}

static void question_send(struct rk_probe *p)
{
	ssize_t n = send(p->fd, p->send + p->n_sent, p->send_len - p->n_sent, MSG_NOSIGNAL);

	if (n >= 0)
		p->n_sent += (size_t)n;
	else if (errno != EAGAIN && errno != EINTR)
		p->n_sent = p->send_len; /* it does not listen: what it says, or why, is there to be read */
}

/* ---- the connection ---- */

/* Where the n-th attempt goes. Returns the address's length. */
static socklen_t address_fill(const struct rk_probe *p, union address *to)
{
	size_t len;

	memset(to, 0, sizeof(*to));
	if (p->socket) {
		len = strlen(p->socket);
		to->un.sun_family = AF_UNIX;
		memcpy(to->un.sun_path, p->socket, len);
		if (p->socket[0] == '@')
			to->un.sun_path[0] = '\0';
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (p->socket[0] != '@'));
	}
	if (p->n_tried == 0) {
		to->v4.sin_family = AF_INET;
		to->v4.sin_port = htons(p->port);
		to->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(to->v4);
	}
	to->v6.sin6_family = AF_INET6;
	to->v6.sin6_port = htons(p->port);
	to->v6.sin6_addr = in6addr_loopback;
	return sizeof(to->v6);
}

static void fail_connect(struct rk_probe *p, int error)
{
	char at[ADDRESS];

	if (p->socket)
		(void)rk_text_clean(at, sizeof(at), p->socket, strlen(p->socket));
	else
		(void)snprintf(at, sizeof(at), "127.0.0.1:%u", p->port);
	if (error == ECONNREFUSED)
		fail(p, "connection refused at %s", at);
	else if (error == EAGAIN)
		fail(p, "accepts no connection at %s: as many wait as may", at);
	else
		fail(p, "no connection to %s: %s", at, strerror(error));
}

/* Returns 0: on its way; > 0: errno of a connect(2) that failed; -errno: there is no descriptor for it. */
static int connect_begin(struct rk_probe *p)
{
	union address to;
	socklen_t len = address_fill(p, &to);
	int error;

	p->fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->fd < 0)
		return -errno;
	error = connect(p->fd, &to.any, len) < 0 ? errno : 0;
	if (error != 0 && error != EINPROGRESS) {
		rk_close_p(&p->fd);
		return error;
	}
	ev_io_set(&p->io, p->fd, EV_WRITE);
	ev_io_start(p->loop, &p->io);
	return 0;
}

/* Tries the other address where nobody listens at the first, whose error is what people are told. */
static void connect_again(struct rk_probe *p, int error)
{
	ev_io_stop(p->loop, &p->io);
	rk_close_p(&p->fd);
	if (error == ECONNREFUSED && !p->socket && p->n_tried == 0) {
		p->n_tried++;
		if (connect_begin(p) == 0)
			return;
	}
	fail_connect(p, p->n_tried > 0 ? ECONNREFUSED : error);
}

static void watch(struct rk_probe *p, int events)
{
	if (p->io.events == events)
		return;
	ev_io_stop(p->loop, &p->io);
	ev_io_set(&p->io, p->fd, events);
	ev_io_start(p->loop, &p->io);
}

static void connected(struct rk_probe *p, int events)
{
	if (events & EV_READ)
		answer_read(p);
	if (!p->is_decided && p->n_sent < p->send_len && (events & EV_WRITE))
		question_send(p);
	if (!p->is_decided)
		watch(p, p->n_sent < p->send_len ? EV_READ | EV_WRITE : EV_READ);
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
	struct rk_probe *p = w->data;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)loop;
	if (!p->is_connected && getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error != 0) {
		connect_again(p, error);
	} else {
		p->is_connected = true;
		connected(p, events);
	}
	if (p->is_decided)
		tell(p);
}

static void on_time(struct ev_loop *loop, ev_timer *w, int events)
{
	struct rk_probe *p = w->data;

	(void)loop;
	(void)events;
	if (!p->is_decided)
		fail_late(p);
	tell(p);
}

static void on_command(const struct rk_command_end *end, void *arg)
{
	struct rk_probe *p = arg;
	char text[RK_COMMAND_TEXT];

	if (rk_command_is_good(end))
		succeed(p);
	else
		fail(p, "%s", rk_command_text(text, end));
	tell(p);
}

/* ---- the public face ---- */

static int conf_check(const struct rk_probe_conf *c, struct rk_err *err)
{
	size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path);
	bool has_socket = c->socket && c->socket[0];

	if (c->form == RK_PROBE_EXEC)
		return c->argv && c->argv[0] ? 0 : rk_err_set(err, -EINVAL, "ProbeExec= names no command");
	if (!has_socket && c->port == 0)
		return rk_err_set(err, -EINVAL, "there is neither Port= nor Socket= to probe");
	if (has_socket && strlen(c->socket) >= room)
		return rk_err_set(err, -EINVAL, "Socket= has %zu bytes; a unix socket's path has at most %zu",
				  strlen(c->socket), room - 1);
	if (c->form == RK_PROBE_HTTP && (!c->path || c->path[0] != '/'))
		return rk_err_set(err, -EINVAL, "HealthPath= does not begin with '/'");
	for (const char *at = c->form == RK_PROBE_HTTP ? c->path : ""; *at; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7f)
			return rk_err_set(err, -EINVAL, "HealthPath= holds a blank: write it as %%20");
	if (c->form == RK_PROBE_TEXT && (!c->expect || !c->expect[0]))
		return rk_err_set(err, -EINVAL,
				  "Expect= is missing: a program that hangs still accepts connections, only an answer "
				  "shows that it lives");
	return 0;
}

/* The request; a unix socket has no name to put into Host. */
static char *http_request(const struct rk_probe_conf *c, const char *socket)
{
	char *text, host[32] = "localhost";

	if (!socket)
		(void)snprintf(host, sizeof(host), "127.0.0.1:%u", c->port);
	if (asprintf(&text,
		     "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: rekindle\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		     c->path, host) < 0)
		return NULL;
	return text;
}

/* Copies what is asked. Returns 0 or -ENOMEM. */
static int copy(struct rk_probe *p, const struct rk_probe_conf *c)
{
	const char *socket = c->socket && c->socket[0] ? c->socket : NULL;

	if (c->form == RK_PROBE_EXEC) {
		for (char *const *word = c->argv; *word; word++)
			if (rk_wordlist_add(&p->argv, *word) < 0)
				return -ENOMEM;
		p->command = rk_command_new(p->loop, on_command, p);
		return p->command ? 0 : -ENOMEM;
	}
	p->port = c->port;
	p->socket = socket ? strdup(socket) : NULL;
	p->send = c->form == RK_PROBE_HTTP ? http_request(c, socket) : strdup(c->send ? c->send : "");
	p->expect = strdup(c->form == RK_PROBE_HTTP ? "" : c->expect);
	if ((socket && !p->socket) || !p->send || !p->expect)
		return -ENOMEM;
	p->send_len = strlen(p->send);
	p->expect_len = strlen(p->expect);
	p->window = malloc(p->expect_len + CHUNK);
	return p->window ? 0 : -ENOMEM;
}

int rk_probe_new(struct ev_loop *loop, const struct rk_probe_conf *conf, rk_on_probe on_result, void *arg,
		 struct rk_probe **ret, struct rk_err *err)
{
	struct rk_probe *p;
	int r = conf_check(conf, err);

	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return rk_err_set(err, -ENOMEM, "no memory");
	p->loop = loop;
	p->on_result = on_result;
	p->arg = arg;
	p->form = conf->form;
	p->timeout_ns = conf->timeout_ns;
	p->fd = -1;
	ev_init(&p->io, on_io);
	ev_init(&p->timer, on_time);
	p->io.data = p->timer.data = p;
	r = copy(p, conf);
	if (r < 0) {
		rk_probe_free(p);
		return rk_err_set(err, r, "no memory");
	}
	*ret = p;
	return 0;
}

int rk_probe_start(struct rk_probe *p)
{
	int r;

	if (p->is_running)
		return -EALREADY;
	p->is_connected = p->is_decided = false;
	p->n_tried = 0;
	p->n_sent = p->n_read = p->window_len = 0;
	p->began_ns = rk_clock_ns();
	if (p->command) {
		r = rk_command_start(p->command, p->argv.at, p->timeout_ns);
		p->is_running = r == 0;
		return r;
	}
	r = connect_begin(p);
	if (r < 0)
		return r;
	if (r > 0)
		connect_again(p, r);
	p->is_running = true;
	/* What is decided already is told by the loop, as everything. */
	rk_timer_begin(p->loop, &p->timer, p->is_decided ? 0 : p->timeout_ns);
	return 0;
}

bool rk_probe_is_running(const struct rk_probe *p)
{
	return p->is_running;
}

void rk_probe_cancel(struct rk_probe *p)
{
	if (p->command)
		rk_command_cancel(p->command);
	stop(p);
}

void rk_probe_free(struct rk_probe *p)
{
	if (!p)
		return;
	rk_probe_cancel(p);
	rk_command_free(p->command);
	rk_wordlist_free_p(&p->argv);
	free(p->socket);
	free(p->send);
	free(p->expect);
	free(p->window);
	free(p);
}
