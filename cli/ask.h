/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ask: a fleet's control socket, and what to tell people when nobody answers there.
 *
 * Who       rekindle. Blocking: until the answer, at most RK_CONNECT_TIMEOUT_MS a question, or
 *           until the deadline of rk_ask_open_until().
 * Units     CLOCK_MONOTONIC ns.
 */
#ifndef RK_CLI_ASK_H
#define RK_CLI_ASK_H

#include <sys/types.h>

#include "shm/abi.h"
#include "workers/lib/question.h"

struct rk_ask {
	char fleet[RK_NAME_MAX];
	int sock; /* -1 = none */
	uint64_t deadline_ns; /* for all questions together; 0 = RK_CONNECT_TIMEOUT_MS each */
};

/*
 * Chooses the fleet (rk_rundir_choose()) and connects. Returns 0; -errno as rk_rundir_choose()
 * and rk_connect(). rk_ask_close_p() is for it in any case.
 */
RK_MUST_USE int rk_ask_open(struct rk_ask *a, const char *name, struct rk_err *err);

/* The same; connecting and all questions have to be through by then. */
RK_MUST_USE int rk_ask_open_until(struct rk_ask *a, const char *name, uint64_t deadline_ns,
				  struct rk_err *err);
void rk_ask_close_p(struct rk_ask *a);

/*
 * Asks what may be asked twice (question.h): an answer that is lost with its supervisor is asked for
 * again. An error names the fleet. Not over a connection that holds a page or a reader's line, which
 * a second one would lose.
 */
RK_MUST_USE int rk_ask(struct rk_ask *a, const char *request, struct json_object **ret_answer,
		       struct rk_fds *ret_fds, struct rk_err *err);

/*
 * Asks what must not be done twice. -ECONNRESET: the supervisor was replaced before it answered, and
 * the text says where to see what `unsure` names: "whether the restart was begun".
 */
RK_MUST_USE int rk_ask_once(struct rk_ask *a, const char *request, const char *unsure,
			    struct json_object **ret_answer, struct rk_err *err);

/* One try over the connection that stands, whatever the request does. -ECONNRESET, -EPIPE: it was cut. */
RK_MUST_USE int rk_ask_here(struct rk_ask *a, const char *request, struct json_object **ret_answer,
			    struct rk_err *err);

#endif
