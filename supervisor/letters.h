/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters: what an admin does with a dead letter over the control socket (shm/dead.h): drops it,
 * marks it as being sent again, takes that mark back. The job itself is sent by whoever asks, as a
 * client; the supervisor sends none.
 *
 *	{"verb":"dead","abi":2,"do":"drop|retry|back","place":3,"word":1234}
 *
 * `word` is the letter as the asker has read it: place, generation and state. What has changed
 * meanwhile is refused, so that nobody drops another letter than the one he has seen.
 *
 * Who       the supervisor's loop. The request is input.
 * Crash     one store; done or not done.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_LETTERS_H
#define RK_SUPERVISOR_LETTERS_H

#include <json-c/json.h>

#include "base/err.h"
#include "shm/layout.h"

/* What was done, for the answer and for the flight recorder. */
struct rk_letters_act {
	const char *what; /* "dropped", … */
	uint32_t partition;
	uint64_t job;
	uint64_t word; /* of the letter from now on */
};

/*
 * Does what the request says. Returns 0; -EINVAL a member is missing or out of its bounds;
 * -ENOENT the letter is not there (any more) as it was read; -EALREADY it is so already; -EAGAIN
 * it cannot be sent again yet, since its first job is not committed.
 */
RK_MUST_USE int rk_letters_act(const struct rk_shm *m, struct json_object *in,
			       struct rk_letters_act *ret, struct rk_err *err);

#endif
