/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verb: what operators ask for over the control socket. One entry per verb in the table of
 * verbs_ops.c; its arguments are members of the request, its answer members beside "ok".
 *
 *   restart       fleet, workers [], max_unavailable; resume, cancel     -> operation
 *   scale         fleet, workers                                         -> operation
 *   drain, undrain, worker-start, worker-stop      fleet, worker         -> operation
 *   pause, resume                                  fleet, worker
 *   reload        check, remove []                 -> applied, good, lines [], operation, pending
 *   upgrade       do: ask, path                    -> release, path, abi, journal, keeper; one descriptor
 *                 do: go, path                     -> operation
 *
 * An operation goes on behind the answer: its number is the group of its records in the flight
 * recorder (crew.h), 0 if there is no file.
 *
 * Who       the supervisor's loop.
 * Blocking  never, but reload, which reads files, and whose answer comes later.
 */
#ifndef RK_SUPERVISOR_VERB_H
#define RK_SUPERVISOR_VERB_H

#include <json-c/json.h>

#include "supervisor/control.h"

struct rk_verb_request {
	const struct rk_control_conf *c;
	struct json_object *in;  /* borrowed */
	struct json_object *out; /* of the answer; borrowed */
	int fd;                  /* of the answer, the request's own; -1 = none */
};

/* Who may. */
enum rk_verb_role { RK_VERB_USE, RK_VERB_ADMIN };

#define RK_VERB_LATER 1 /* the answer comes when it is done */

struct rk_verb {
	const char *name;
	enum rk_verb_role role;
	/* 0; RK_VERB_LATER; -errno: an error to answer with */
	int (*run)(struct rk_verb_request *q, struct rk_err *err);
};

/* Puts what came of a reload into an answer. */
void rk_verb_reload_put(struct json_object *out, const struct rk_reloaded *r);

/* NULL if there is none of this name. */
const struct rk_verb *rk_verb_find(const char *name);

#endif
