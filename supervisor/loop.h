/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop: the supervisor. Puts the modules together, runs the event loop, takes them apart.
 *
 * Who       the supervisor process, started by keeper.
 * Crash     part A: keeper ends the fleet.
 * Blocking  only in the event loop; without events it does not wake up.
 */
#ifndef RK_SUPERVISOR_LOOP_H
#define RK_SUPERVISOR_LOOP_H

#include "supervisor/conf.h"

/*
 * Runs the fleet until it is asked to stop. link is keeper's socket. Returns 0 after a stop;
 * -errno with a sentence when it could not be started: nothing runs then.
 */
RK_MUST_USE int rk_loop_run(const struct rk_conf *conf, int link, struct rk_err *err);

#endif
