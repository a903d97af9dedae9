/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probe: a question to the program whose answer shows that it works, one at a time.
 *
 *     TEXT   connects, sends `send` (may be empty) and reads until `expect` is in the answer
 *     HTTP   GET path: the answer's status is 2xx; no redirect is followed
 *     EXEC   a command exits with 0
 *
 * A connection alone is never a good answer: the kernel accepts for a program that hangs. TEXT and HTTP go to a unix
 * socket, or to 127.0.0.1 and, where nobody listens there, to [::1]. An answer is looked through up to
 * RK_PROBE_ANSWER_MAX bytes.
 *
 * Who       the thread of the loop; with EXEC that of libev's default loop (command.h).
 * Blocking  never. Allocates at rk_probe_new() alone.
 * Units     ns.
 */
#ifndef RK_BRIDGE_PROBE_H
#define RK_BRIDGE_PROBE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"

#define RK_PROBE_ANSWER_MAX 65536u
#define RK_PROBE_REASON 252u

enum rk_probe_form { RK_PROBE_TEXT, RK_PROBE_HTTP, RK_PROBE_EXEC };

/* All of it is copied. Texts may be NULL where nothing is said. */
struct rk_probe_conf {
	enum rk_probe_form form;
	uint16_t port;	    /* 0 = none: TEXT and HTTP want one of the two */
	const char *socket; /* its path, or an abstract name behind '@'; it goes before the port */
	const char *send, *expect; /* TEXT; expect is required */
	const char *path;	   /* HTTP: begins with '/' */
	char *const *argv;	   /* EXEC: ends with NULL; specifiers are expanded */
	uint64_t timeout_ns;	   /* for all of it */
};

struct rk_probe_result {
	bool is_ok;
	uint64_t took_ns;
	/* Of a failure, what a person can act on: "connection refused at 127.0.0.1:7000", "HTTP 503",
	 * "answered 'LOADING' instead of '+PONG'", "no answer within 1s", "exited with 1: <its first line>". */
	char reason[RK_PROBE_REASON];
};

/* It may start the next probe, or free this one. */
typedef void (*rk_on_probe)(const struct rk_probe_result *result, void *arg);

struct rk_probe;

/*
 * Makes one that is the caller's. Returns 0; -EINVAL with a sentence that names the key: there is nowhere to ask,
 * nothing to expect, or the path is none; -ENOMEM.
 */
RK_MUST_USE int rk_probe_new(struct ev_loop *loop, const struct rk_probe_conf *conf, rk_on_probe on_result, void *arg,
			     struct rk_probe **ret, struct rk_err *err);

/*
 * Asks. Returns 0: on_result will be called from the loop, once, whatever happens; -EALREADY: there is no answer to
 * the last one yet; another -errno: nothing could be asked for want of descriptors or processes here, which says
 * nothing about the program.
 */
RK_MUST_USE int rk_probe_start(struct rk_probe *p);

bool rk_probe_is_running(const struct rk_probe *p);

/* Gives up; on_result is not called for it. No descriptor, timer or process stays. */
void rk_probe_cancel(struct rk_probe *p);

/* Cancels and frees. NULL is fine. */
void rk_probe_free(struct rk_probe *p);

#endif
