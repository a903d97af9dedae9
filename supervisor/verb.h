/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verb: what operators ask for over the control socket. One entry per verb in the table of
 * verbs_ops.c; its arguments are members of the request, its answer members beside "ok".
 *
 *   restart       fleet, workers [], max_unavailable; resume, cancel     -> operation
 *   scale         fleet, workers                                         -> operation
 *   drain, undrain, worker-start, worker-stop      fleet, worker         -> operation
 *   pause, resume                                  fleet, worker
 *   reload                                         -> applied, lines [], operation, pending
 *
 * An operation goes on behind the answer: its number is the group of its records in the flight
 * recorder (crew.h), 0 if there is no file.
 *
 * Who       the supervisor's loop.
 * Blocking  never, but reload, which reads files.
 */
#ifndef RK_SUPERVISOR_VERB_H
#define RK_SUPERVISOR_VERB_H

#include <json-c/json.h>

#include "supervisor/control.h"

struct rk_verb_request {
	const struct rk_control_conf *c;
	struct json_object *in;  /* borrowed */
	struct json_object *out; /* of the answer; borrowed */
};

/* Who may. */
enum rk_verb_role { RK_VERB_USE, RK_VERB_ADMIN };

struct rk_verb {
	const char *name;
	enum rk_verb_role role;
	int (*run)(struct rk_verb_request *q,
		   struct rk_err *err); /* 0, or an error to answer with */
};

/* NULL if there is none of this name. */
const struct rk_verb *rk_verb_find(const char *name);

#endif
