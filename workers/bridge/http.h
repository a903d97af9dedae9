/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Http: jobs as HTTP requests to the program, several at a time, over connections that stay open.
 *
 *     POST PATH HTTP/1.1
 *     Host: 127.0.0.1:7000                     localhost over a unix socket
 *     X-Rekindle-Key: user:7                   KeyHeader=; see rk_http_key_encode()
 *     X-Rekindle-Attempt: 1                    from 1
 *     X-Rekindle-Deadline-Ms: 480              what is left of it when it is sent; only where there is one
 *     Content-Type: application/octet-stream
 *
 * No redirect is followed, no proxy of the environment is asked, nothing waits for 100 Continue. A request has no
 * time-out of its own once it is connected: whoever watches the job sees that its answer is late.
 *
 * It is done by libcurl, in a module (http_module.c) that is loaded by the first rk_http_open(): beside this
 * executable, in .libs beside it, or installed. It stays loaded.
 *
 * An answer that says neither its length nor comes in chunks ends with the connection (HTTP/1.0): nobody can tell it
 * from one that a killed program left unfinished.
 *
 * A connection that had been kept open and is found closed before any byte of an answer is replaced by libcurl
 * itself, once, and the request sent again: at least once, as everything here.
 *
 * Who owns  The body stays the caller's and has to stand until its answer was told, or rk_http_cancel() or
 *           rk_http_close(): it is sent from where it is. Key, configuration: copied. An answer is ours until
 *           on_answer returns.
 * Who       the loop's thread.
 * Blocking  never, but rk_http_open() loads a file. Allocates.
 * Units     bytes, ns.
 */
#ifndef RK_BRIDGE_HTTP_H
#define RK_BRIDGE_HTTP_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"

struct rk_http_conf {
	uint16_t port;	    /* of 127.0.0.1; 0 with a socket */
	const char *socket; /* path of a unix socket, which goes before the port; NULL or "" = none */
	const char *path;   /* begins with '/' */
	const char *key_header;
	const char *content_type; /* NULL = application/octet-stream */
	uint32_t window;	  /* requests at a time, and connections that are kept */
	size_t max_reply;	  /* of a longer answer nobody is told more than that it is one */
	bool is_full;		  /* the head is part of the answer's body: status line, headers, empty line */
	const char *module;	  /* path of the module; NULL = where it belongs */
};

struct rk_http_job {
	uint64_t id; /* the caller's; no two under way have the same */
	const char *key;
	size_t key_len;
	const void *body;
	size_t len;
	uint32_t attempt;     /* from 1 */
	uint64_t deadline_ns; /* 0 = none */
};

enum rk_http_end {
	RK_HTTP_ANSWERED,    /* completely */
	RK_HTTP_NOT_REACHED, /* refused, or closed before any byte of an answer: the program may have seen it all the same */
	RK_HTTP_BROKEN,	     /* the answer is cut short, or no HTTP */
	RK_HTTP_TOO_LONG,    /* longer than max_reply */
	RK_HTTP_ENDS
};

struct rk_http_answer {
	uint64_t id;
	enum rk_http_end end;
	/* of RK_HTTP_ANSWERED */
	int status;
	const void *body; /* not NULL */
	size_t len;
	uint64_t retry_after_ns; /* 0 = it does not say; at most an hour */
	const char *reason;	 /* of any other end, for people; else NULL */
};

/* It may send, cancel and close. */
typedef void (*rk_on_answer)(const struct rk_http_answer *answer, void *arg);

struct rk_http;

/*
 * Opens; nothing is connected yet. Returns 0; -EINVAL with a sentence that names the key; -ENOENT: the module is
 * missing; -ELIBBAD: it is another release's, or a library that it needs is missing; -ENOMEM.
 */
RK_MUST_USE int rk_http_open(const struct rk_http_conf *conf, struct ev_loop *loop, rk_on_answer on_answer, void *arg,
			     struct rk_http **ret, struct rk_err *err);

/*
 * Sends one. Returns 0: on_answer is called for it once, from the loop and not from here; -EBUSY: there are `window`
 * of them under way; -ENOMEM.
 */
RK_MUST_USE int rk_http_send(struct rk_http *http, const struct rk_http_job *job);

/* Gives one up and closes its connection; nothing is told of it. Returns 0; -ENOENT: there is none with this id. */
int rk_http_cancel(struct rk_http *http, uint64_t id);

/* Gives all up, closes and frees. NULL is fine. */
void rk_http_close(struct rk_http *http);

/* ---- decisions; pure ---- */

/*
 * Writes the key as a header can hold it: bytes below 0x21 but inner blanks, above 0x7e, and '%' itself become %XX.
 * Returns its length, also when it does not fit into size (then it is cut): never more than 3 * len.
 */
size_t rk_http_key_encode(char *to, size_t size, const char *key, size_t len);

enum rk_http_deed {
	RK_HTTP_DONE,  /* the body is the job's reply */
	RK_HTTP_AGAIN, /* after a pause */
	RK_HTTP_FAILED /* with an error */
};

struct rk_http_verdict {
	enum rk_http_deed deed;
	int error; /* of RK_HTTP_FAILED: -EREMOTEIO, -EMSGSIZE */
	uint64_t pause_ns;
};

/*
 * What becomes of a job:
 *
 *     2xx, and with is_full every status             done
 *     429, 503, not reached, broken                  again, after 10 ms, 20 ms, ... 5 s or what Retry-After says,
 *                                                    but at its deadline at the latest; behind that: failed, EREMOTEIO
 *     every other status                             failed, EREMOTEIO
 *     too long                                       failed, EMSGSIZE
 *
 * n_tries: how often it was sent, this answer's attempt among them.
 */
struct rk_http_verdict rk_http_judge(const struct rk_http_answer *answer, bool is_full, uint32_t n_tries,
				     uint64_t now_ns, uint64_t deadline_ns);

#endif
