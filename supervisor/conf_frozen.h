/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conf, frozen: the configuration in force as sealed memory, which keeper holds, so that a
 * successor of the supervisor goes on with it whatever stands in the files by then. With it goes what a
 * reload to it has not begun yet, and what the fleets that it ends were run by.
 *
 * Who       the supervisor, at its start, at each reload and when that is through, and when a fleet has left.
 * Crash     one is whole or is none: it is sealed before it is given away, and replaces the one before by
 *           one message. A reload is in force from then on.
 * Blocking  never; allocates.
 */
#ifndef RK_SUPERVISOR_CONF_FROZEN_H
#define RK_SUPERVISOR_CONF_FROZEN_H

#include "supervisor/conf.h"

#define RK_CONF_FROZEN "configuration" /* what keeper calls it */

/* A fleet that is not to run any more and still stops, and the configuration that it was started by; borrowed. */
struct rk_conf_leaving {
	const struct rk_conf *conf;
	const char *fleet;
};

/* Returns a descriptor, the caller's; -errno. */
RK_MUST_USE int rk_conf_freeze(const struct rk_conf *conf, const struct rk_conf_leaving *leaving, uint32_t n_leaving);

/* Whether two of them say the same. */
bool rk_conf_frozen_is_same(int a, int b);

/*
 * Reads it back: what was said, without the places where; ret_leaving has the fleets that leave, and nothing else.
 * Returns 0, and both are the caller's; -EPROTO with a sentence if it is none, or says what this release does not
 * know.
 */
RK_MUST_USE int rk_conf_thaw(int fd, struct rk_conf *ret, struct rk_conf *ret_leaving, struct rk_err *err);

#endif
