/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that answers over a socket as the test says, in the test's own loop.
 */
#ifndef RK_TESTS_UNIT_BRIDGE_SERVER_H
#define RK_TESTS_UNIT_BRIDGE_SERVER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum server_deed {
	SERVER_ANSWERS,	     /* and keeps the connection */
	SERVER_ENDS,	     /* answers, then closes */
	SERVER_IS_SILENT,
	SERVER_CLOSES,	     /* without an answer */
	SERVER_RESETS,
	SERVER_DRIPS /* a byte of the answer at a time */
};

struct server;

struct server_conn {
	LIST_ENTRY(server_conn) link;
	struct server *server;
	int fd;
	ev_io io;
	ev_timer timer;
	char *text; /* what came and was not answered yet */
	size_t len, n_dripped;
};

struct server {
	struct ev_loop *loop;
	int fd;
	ev_io io;
	uint16_t port;
	char path[64]; /* "" = TCP */

	/* what the test says; may change at any time */
	enum server_deed deed;
	const char *answer;
	size_t answer_len; /* 0 = strlen */
	bool is_http;	   /* a request ends with its body; else with what came */
	bool is_greeting;  /* answers before it is asked */

	unsigned int n_connections, n_open, n_most_open, n_requests;
	char *last; /* request, with a NUL behind it */
	size_t last_len;
	LIST_HEAD(conns, server_conn) conns;
};

enum server_where { SERVER_V4, SERVER_V6, SERVER_UNIX };

/* Listens; false: this machine has no such address. */
bool server_begin(struct server *s, struct ev_loop *loop, enum server_where where);

/* Sends the answer to everybody who waits. */
void server_answer_all(struct server *s);

void server_end(struct server *s);

/* Turns the loop until *n is want. */
void server_run(struct server *s, const unsigned int *n, unsigned int want);

#endif
