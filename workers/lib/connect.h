/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect: one question and its answer over a fleet's control socket
 * (doc/architecture.md).
 *
 * Who       library and CLI. Blocking: until the answer or the deadline.
 */
#ifndef RK_LIB_CONNECT_H
#define RK_LIB_CONNECT_H

#include <json-c/json.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/fd.h"

#define RK_CONTROL_MESSAGE_MAX 16384u /* bytes, with the NUL */

/*
 * Connects to the control socket of a fleet, whose name has been checked.
 * Returns a descriptor the caller owns; -ENOENT when no such fleet runs.
 */
RK_MUST_USE int rk_connect(const char *fleet, struct rk_err *err);

/*
 * The same, with its own limit instead of 5 s: a supervisor that stands still accepts nobody once
 * its backlog is full. -ETIMEDOUT then. timeout_ms is at least 1.
 */
RK_MUST_USE int rk_connect_within(const char *fleet, uint32_t timeout_ms, struct rk_err *err);

/* Who listens at the other end of a connection: the supervisor. -1 = unknown. */
pid_t rk_connect_peer(int sock);

/*
 * Sends one request (a JSON text) and receives its answer: an object that the
 * caller puts with json_object_put(), and descriptors it owns. Returns 0; the
 * answer's own error as -errno with its sentence; -ETIMEDOUT, naming the
 * process that does not answer; -EPROTO.
 */
RK_MUST_USE int rk_connect_ask(int sock, const char *request, uint32_t timeout_ms, struct json_object **ret_answer,
			       struct rk_fds *ret_fds, struct rk_err *err);

/* An integer member of an answer, or -1. */
int64_t rk_connect_int(struct json_object *answer, const char *member);

/* A string member, or "". Lives as long as the answer. */
const char *rk_connect_text(struct json_object *answer, const char *member);

#endif
