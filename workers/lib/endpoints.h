/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints: where the slots of a fleet are reached by clients that connect themselves: a text per
 * slot, made once of what the supervisor answers; and what such a client is told of a slot's state.
 *
 * The texts of a fleet stay as they are while it runs: Port=, Socket= and Address= cannot be changed.
 *
 * Who       library and CLI. Pure but for memory; what was answered is input.
 * Blocking  never; rk_endpoints_read() allocates.
 */
#ifndef RK_LIB_ENDPOINTS_H
#define RK_LIB_ENDPOINTS_H

#include <json-c/json.h>
#include <stdbool.h>

#include "base/err.h"
#include "workers/lib/rekindle.h"

struct rk_endpoints {
	uint32_t n; /* slots; 0 = the fleet has no addresses */
	char **at;  /* by slot; NULL = it has none */
};

/*
 * Makes the texts of n_workers slots from the answer's "address": text, port, socket, directory and
 * fleet. Returns 0, also without one; -EPROTO with a sentence; -ENOMEM. rk_endpoints_free_p() in any case.
 */
RK_MUST_USE int rk_endpoints_read(struct rk_endpoints *e, struct json_object *answer, uint32_t n_workers,
				  struct rk_err *err);
void rk_endpoints_free_p(struct rk_endpoints *e);

/* The slot's, or NULL. */
const char *rk_endpoints_of(const struct rk_endpoints *e, uint32_t slot);

/* Says what to do about a fleet, as people name it, that has none. Returns -EADDRNOTAVAIL. */
int rk_endpoints_missing(const char *fleet, struct rk_err *err);

/*
 * What a client is told of a slot, by its state in the published view. One that is not ready has to be
 * waited for, also one that an operator has stopped: its keys are its own until others get them.
 */
enum rk_address_state rk_endpoint_state(uint32_t slot_state);

/* "ready", "wait", "none". */
const char *rk_endpoint_state_name(enum rk_address_state state);

#endif
