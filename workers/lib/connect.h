/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect: a connection to a fleet's control socket (doc/architecture.md), and one question and
 * its answer over it. Whoever wants an answer though the supervisor may die meanwhile asks by
 * question.h.
 *
 * Who       library and CLI. Blocking: until the answer or the deadline.
 * Units     CLOCK_MONOTONIC ns.
 */
#ifndef RK_LIB_CONNECT_H
#define RK_LIB_CONNECT_H

#include <json-c/json.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/fd.h"

#define RK_CONTROL_MESSAGE_MAX 16384u /* bytes, with the NUL */
#define RK_CONNECT_TIMEOUT_MS 5000u   /* where nobody says another */

/*
 * Connects to the control socket of a fleet, whose name has been checked. While nobody listens
 * there, but the fleet runs (rk_rundir_look()), it tries again until deadline_ns. Returns a
 * descriptor the caller owns; -ENOENT no such fleet runs; -ETIMEDOUT with what goes on and what
 * to do.
 */
RK_MUST_USE int rk_connect_until(const char *fleet, uint64_t deadline_ns, struct rk_err *err);

/* The same, for at most RK_CONNECT_TIMEOUT_MS. */
RK_MUST_USE int rk_connect(const char *fleet, struct rk_err *err);

/*
 * One try that waits for nothing. Returns a descriptor; -ENOENT, -ECONNREFUSED: nobody listens;
 * -EAGAIN: too many wait already to be accepted; -errno.
 */
RK_MUST_USE int rk_connect_at_once(const char *fleet);

/* Sends one request (a JSON text). 0; -EPIPE or -ECONNRESET: nobody will ever read it. */
RK_MUST_USE int rk_connect_send(int sock, const char *request, struct rk_err *err);

/*
 * Receives an answer: an object that the caller puts with json_object_put(), and descriptors it
 * owns. Returns 0; the answer's own error as -errno with its sentence; -ECONNRESET: the connection
 * was cut before it; -EPROTO; -ETIMEDOUT, without a sentence: rk_connect_silence() has one.
 */
RK_MUST_USE int rk_connect_receive(int sock, uint64_t deadline_ns, struct json_object **ret_answer,
				   struct rk_fds *ret_fds, struct rk_err *err);

/*
 * Says that nobody has answered for so long, who is stopped and what to do; fleet NULL: keeper is found only as
 * the supervisor's parent. Returns -ETIMEDOUT.
 */
int rk_connect_silence(const char *fleet, int sock, uint64_t waited_ns, struct rk_err *err);

/* Sends and receives, for at most timeout_ms. */
RK_MUST_USE int rk_connect_ask(int sock, const char *request, uint32_t timeout_ms, struct json_object **ret_answer,
			       struct rk_fds *ret_fds, struct rk_err *err);

/* Whether a connection was cut at its other end. */
bool rk_connect_is_cut(int sock);

/* An integer member of an answer, or -1. */
int64_t rk_connect_int(struct json_object *answer, const char *member);

/* A string member, or "". Lives as long as the answer. */
const char *rk_connect_text(struct json_object *answer, const char *member);

#endif
