/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Respond: from a verdict and the fleet's policy to what is done about it, as a total table, and
 * how far that has come by now.
 *
 * Who       pure; the caller acts once for each new answer.
 * Blocking  never.
 * Units     ns.
 */
#ifndef RK_SUPERVISOR_RESPOND_H
#define RK_SUPERVISOR_RESPOND_H

#include <stdint.h>

#include "supervisor/detect.h"

/* OnHang, OnPaused. */
enum rk_policy {
	RK_POLICY_REPORT, /* say it, touch nothing */
	RK_POLICY_MOVE,   /* its partitions go to a successor; it may live on without them */
	RK_POLICY_KILL,
	RK_POLICIES
};

enum rk_response {
	RK_RESPOND_NONE,
	RK_RESPOND_HOLD,   /* give it no new work; reversible */
	RK_RESPOND_REPORT, /* one line and a record */
	RK_RESPOND_CANCEL, /* the same, and set the job's cancel flag */
	RK_RESPOND_MOVE,   /* gather evidence, report, evict by copy */
	RK_RESPOND_ABORT,  /* gather evidence, report, SIGABRT: it has CoreTimeout to dump core */
	RK_RESPOND_KILL, /* SIGKILL the tree; gather evidence and report first, unless ABORT did */
	RK_RESPONSES
};

struct rk_policies {
	enum rk_policy on_hang, on_paused;
	uint64_t core_timeout_ns; /* CoreTimeout; 0 = no cores wanted: killed at once */
};

/*
 * What is called for now. The answer grows with time, ABORT to KILL, and goes back only with the
 * verdict. A verdict or policy outside its enum gives NONE.
 */
enum rk_response rk_respond(enum rk_verdict verdict, const struct rk_policies *p,
			    uint64_t blamed_for_ns);

/* "report", "move", "kill". Returns 0, or -1 if it is none of them. */
int rk_policy_parse(const char *text, enum rk_policy *ret);
const char *rk_policy_name(enum rk_policy policy);
const char *rk_response_name(enum rk_response response);

#endif
