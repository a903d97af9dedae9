/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop: the supervisor. Puts the modules together, runs the event loop, takes them apart.
 *
 * Who       the supervisor process, started by keeper.
 * Crash     keeper starts another one, which adopts what is there.
 * Blocking  only in the event loop; without events it does not wake up.
 */
#ifndef RK_SUPERVISOR_LOOP_H
#define RK_SUPERVISOR_LOOP_H

#include "supervisor/conf.h"
#include "supervisor/inherit.h"

/* What it runs by. */
struct rk_loop_start {
	struct rk_conf *conf; /* taken over: it is empty afterwards */
	struct rk_conf *leaving; /* the same, of fleets that a predecessor was ending; none: empty */
	int argc;             /* the command line that conf comes from, for a reload; borrowed */
	char *const *argv;
	int link; /* keeper's socket */
	struct rk_inherit *inherit; /* what keeper held for a predecessor; empty if there was none */
};

/*
 * Runs the fleets until they are asked to stop. Returns 0 after a stop; -errno with a sentence
 * when they could not be started: nothing runs then.
 */
RK_MUST_USE int rk_loop_run(const struct rk_loop_start *start, struct rk_err *err);

#endif
