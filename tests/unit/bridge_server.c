/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/bridge_server.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD_MAX 8192u

static void conn_end(struct server_conn *c)
{
	ev_io_stop(c->server->loop, &c->io);
	ev_timer_stop(c->server->loop, &c->timer);
	LIST_REMOVE(c, link);
	c->server->n_open--;
	(void)close(c->fd);
	free(c->text);
	free(c);
}

static void conn_reset(struct server_conn *c)
{
	struct linger now = { .l_onoff = 1 };

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	conn_end(c);
}

static size_t answer_len(const struct server *s)
{
	return s->answer_len ? s->answer_len : strlen(s->answer);
}

/* Answers are small, or the other side reads: a test may wait here for its own loop no longer than the socket's buffer. */
static bool conn_write(struct server_conn *c, size_t at, size_t n)
{
	return send(c->fd, c->server->answer + at, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static void conn_answer(struct server_conn *c)
{
	struct server *s = c->server;

	c->len = 0;
	switch (s->deed) {
	case SERVER_ANSWERS:
		if (!conn_write(c, 0, answer_len(s)))
			conn_end(c);
		break;
	case SERVER_ENDS:
		(void)conn_write(c, 0, answer_len(s));
		conn_end(c);
		break;
	case SERVER_CLOSES:
		conn_end(c);
		break;
	case SERVER_RESETS:
		conn_reset(c);
		break;
	case SERVER_DRIPS:
		c->n_dripped = 0;
		ev_timer_set(&c->timer, 0., 0.001);
		ev_timer_start(s->loop, &c->timer);
		break;
	case SERVER_IS_SILENT:
		break;
	}
}

static void on_drip(struct ev_loop *loop, ev_timer *w, int events)
{
	struct server_conn *c = w->data;

	(void)events;
	if (c->n_dripped == answer_len(c->server))
		ev_timer_stop(loop, w);
	else if (conn_write(c, c->n_dripped, 1))
		c->n_dripped++;
	else
		conn_end(c);
}

/* Whether a whole request is there. */
static bool is_complete(const struct server_conn *c)
{
	size_t n = c->len < HEAD_MAX ? c->len : HEAD_MAX;
	const char *end = memmem(c->text, n, "\r\n\r\n", 4), *length;

	if (!c->server->is_http || !end)
		return !c->server->is_http && c->len > 0;
	length = memmem(c->text, (size_t)(end - c->text), "\r\nContent-Length:", 17);
	return c->len >= (size_t)(end + 4 - c->text) + (length ? strtoul(length + 17, NULL, 10) : 0);
}

static void request_take(struct server_conn *c)
{
	struct server *s = c->server;

	s->n_requests++;
	s->last = realloc(s->last, c->len + 1);
	ck_assert_ptr_nonnull(s->last);
	memcpy(s->last, c->text, c->len + 1);
	s->last_len = c->len;
	conn_answer(c);
}

static void on_conn(struct ev_loop *loop, ev_io *w, int events)
{
	struct server_conn *c = w->data;
	char bytes[16384];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

	(void)loop;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_end(c);
		return;
	}
	c->text = realloc(c->text, c->len + (size_t)n + 1);
	ck_assert_ptr_nonnull(c->text);
	memcpy(c->text + c->len, bytes, (size_t)n);
	c->len += (size_t)n;
	c->text[c->len] = '\0';
	if (is_complete(c))
		request_take(c);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int events)
{
	struct server *s = w->data;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct server_conn *c;

	(void)events;
	if (fd < 0)
		return;
	c = calloc(1, sizeof(*c));
	ck_assert_ptr_nonnull(c);
	c->server = s;
	c->fd = fd;
	ev_io_init(&c->io, on_conn, fd, EV_READ);
	ev_init(&c->timer, on_drip);
	c->io.data = c->timer.data = c;
	ev_io_start(loop, &c->io);
	LIST_INSERT_HEAD(&s->conns, c, link);
	s->n_connections++;
	s->n_open++;
	if (s->n_open > s->n_most_open)
		s->n_most_open = s->n_open;
	if (s->is_greeting)
		conn_answer(c);
}

bool server_begin(struct server *s, struct ev_loop *loop, enum server_where where)
{
	static unsigned int n_paths;
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const struct sockaddr *at = where == SERVER_V4 ? (void *)&v4 : where == SERVER_V6 ? (void *)&v6 : (void *)&un;
	socklen_t len = where == SERVER_V4 ? sizeof(v4) : where == SERVER_V6 ? sizeof(v6) : sizeof(un);

	*s = (struct server){ .loop = loop, .answer = "" };
	if (where == SERVER_UNIX) {
		(void)snprintf(s->path, sizeof(s->path), "/tmp/rk-server.%d.%u", (int)getpid(), n_paths++);
		memcpy(un.sun_path, s->path, strlen(s->path));
	}
	s->fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0 || bind(s->fd, at, len) < 0) {
		ck_assert_int_eq(where, SERVER_V6);
		if (s->fd >= 0)
			(void)close(s->fd);
		return false;
	}
	ck_assert_int_eq(listen(s->fd, 128), 0);
	if (where != SERVER_UNIX) {
		len = sizeof(v6);
		ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&v6, &len), 0);
		s->port = ntohs(v6.sin6_port); /* at the same place in both */
	}
	LIST_INIT(&s->conns);
	ev_io_init(&s->io, on_accept, s->fd, EV_READ);
	s->io.data = s;
	ev_io_start(loop, &s->io);
	return true;
}

void server_answer_all(struct server *s)
{
	struct server_conn *c = LIST_FIRST(&s->conns);

	while (c) {
		struct server_conn *next = LIST_NEXT(c, link);

		conn_answer(c);
		c = next;
	}
}

void server_end(struct server *s)
{
	while (!LIST_EMPTY(&s->conns))
		conn_end(LIST_FIRST(&s->conns));
	ev_io_stop(s->loop, &s->io);
	(void)close(s->fd);
	if (s->path[0])
		(void)unlink(s->path);
	free(s->last);
}

void server_run(struct server *s, const unsigned int *n, unsigned int want)
{
	while (*n < want)
		(void)ev_run(s->loop, EVRUN_ONCE);
}
