/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output: where a worker's standard output and error go, as Output= says.
 *
 * Who       the supervisor's loop, at each spawn: so a file that was moved away is made anew.
 * Blocking  opens a file or connects to the journal; never waits for a FIFO's reader.
 */
#ifndef RK_SUPERVISOR_OUTPUT_H
#define RK_SUPERVISOR_OUTPUT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"
#include "supervisor/options.h"

#define RK_OUTPUT_IDENTIFIER 96u /* bytes of "FLEET/SLOT" and a NUL */

/* "inherit", "journal", "null" or "file". */
const char *rk_output_name(enum rk_output_to to);

/*
 * The file of a slot: path with %i for the slot's number ("standby" for RK_WORKER_NONE), %f for the fleet's name and %% for a '%'.
 * Returns 0; -EINVAL for any other '%'; -ENAMETOOLONG.
 */
RK_MUST_USE int rk_output_path(const char *path, const char *fleet, uint32_t slot,
			       char ret[static PATH_MAX], struct rk_err *err);

/* Whether each slot has an output of its own. */
bool rk_output_is_slots(const struct rk_output *o);

/* What the journal calls a slot's lines: "FLEET/SLOT". Returns ret. */
const char *rk_output_identifier(const char *fleet, uint32_t slot,
				 char ret[static RK_OUTPUT_IDENTIFIER]);

/*
 * Opens where a slot's output goes. Returns a close-on-exec descriptor that the caller owns; -1 in
 * *ret_fd means our own standard output and error. 0 or -errno with a sentence.
 */
RK_MUST_USE int rk_output_open(const struct rk_output *o, const char *fleet, uint32_t slot,
			       int *ret_fd, struct rk_err *err);

#endif
