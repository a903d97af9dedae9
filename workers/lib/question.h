/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question: a request to a fleet's supervisor that gets its answer although the supervisor may be
 * killed at any instruction, since keeper starts another one at once.
 *
 *   nobody listens, the fleet runs     wait for the successor (rk_connect_until())
 *   cut before it was sent             ask again
 *   cut before the answer, or the connection stands and its answer never comes
 *                                      ask again, if asking twice does what asking once does;
 *                                      else say what nobody knows
 *
 * A connection that keeper holds stands while supervisors come and go; that an answer on it is
 * lost shows when a ping that was sent later is answered first.
 *
 * Who       library and CLI. Blocking: until the answer or the deadline.
 * Units     CLOCK_MONOTONIC ns.
 */
#ifndef RK_LIB_QUESTION_H
#define RK_LIB_QUESTION_H

#include "workers/lib/connect.h"

#define RK_QUESTION_TRIES 8u /* a request that kills its supervisor is not sent for ever */

struct rk_question {
	const char *fleet;   /* its name has been checked */
	const char *request; /* a JSON text */
	const char *unsure;  /* NULL: may be asked twice. Else what is unknown then: "whether the restart was begun" */
	uint64_t deadline_ns;
	uint32_t n_lost; /* out: answers that did not come, as their supervisor was replaced */
};

/*
 * Asks over *sock, or a new connection if that is -1 or cut; *sock is the one it was answered on,
 * or -1, and the caller's. Returns as rk_connect_until() and rk_connect_receive(); -ECONNRESET: what
 * was done is unknown, and the text says where to look.
 */
RK_MUST_USE int rk_question_ask(struct rk_question *q, int *sock, struct json_object **ret_answer,
				struct rk_fds *ret_fds, struct rk_err *err);

#endif
