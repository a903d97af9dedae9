/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conf_wrap: what follows from Kind=: defaults of wrapped programs, and what of their keys fits together.
 *
 * Who       conf.c and conf_check.c.
 * Blocking  never; finish allocates.
 */
#ifndef RK_SUPERVISOR_CONF_WRAP_H
#define RK_SUPERVISOR_CONF_WRAP_H

#include "supervisor/conf.h"

/* Fills what nobody has said and what depends on the kind: Window, Port, Address. 0 or -ENOMEM. */
RK_MUST_USE int rk_conf_wrap_finish(const struct rk_conf *conf, struct rk_conf_fleet *f);

/* Complains of a fleet's keys, and of ports that two fleets have. */
void rk_conf_wrap_check(const struct rk_conf *conf, const struct rk_conf_fleet *f, struct rk_complaints *c);

/* What is allowed and hardly meant: that nobody would notice a hang. As rk_conf_doubt(). */
const char *rk_conf_wrap_doubt(const struct rk_conf_fleet *f, char *text, size_t size);

#endif
