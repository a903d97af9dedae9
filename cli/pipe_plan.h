/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipe plan: whether a 'rekindle run' is a pipeline - lines of standard input are its jobs, their
 * answers its standard output - and of what fleet.
 *
 * Who       rekindle run. Asks rekindled, which alone knows configurations and presets.
 * Blocking  until rekindled has answered.
 */
#ifndef RK_CLI_PIPE_PLAN_H
#define RK_CLI_PIPE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/wordlist.h"
#include "cli/args.h"
#include "workers/lib/field.h"
#include "shm/abi.h"

struct rk_pipe_plan {
	char name[RK_NAME_MAX]; /* of the fleet */
	bool is_ordered;
	bool is_quiet;
	uint32_t n_workers;
	uint64_t stop_timeout_ns;
	struct rk_field key;
	struct rk_wordlist argv; /* of rekindled */
};

/*
 * Returns 1 with the plan; 0: it is none, or what rekindled says about its arguments is to be heard from
 * itself; -EINVAL with a sentence. rk_pipe_plan_free_p() in any case.
 */
RK_MUST_USE int rk_pipe_plan_make(struct rk_pipe_plan *plan, const struct rk_args *a, struct rk_err *err);
void rk_pipe_plan_free_p(struct rk_pipe_plan *plan);

/* Name of a fleet of its own for this command and process. Pure. */
void rk_pipe_plan_name(char ret[static RK_NAME_MAX], const char *command, int pid);

#endif
