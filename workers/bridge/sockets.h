/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets: the descriptors that are held for the program, and the variables that tell it of them.
 *
 * They become 3, 4, … in the program: those of Listen= in its order, then those that an earlier process
 * of the slot had stored (FDSTORE=1).
 *
 *   ListenAs=systemd   LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES ("listen" for those of Listen=)
 *   ListenAs=nginx     NGINX="3;4;", of Listen='s alone
 *   ListenAs=fd        nothing: the command names them itself
 *
 * Who       the bridge's one thread.
 * Blocking  never; allocates.
 */
#ifndef RK_BRIDGE_SOCKETS_H
#define RK_BRIDGE_SOCKETS_H

#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"
#include "workers/bridge/options.h"

#define RK_SOCKETS_MAX (RK_BRIDGE_LISTEN_MAX + RK_BRIDGE_KEPT_MAX)
#define RK_SOCKETS_VARIABLES_MAX 3u

struct rk_sockets_told {
	int fds[RK_SOCKETS_MAX]; /* borrowed from the options */
	uint32_t n_fds;
	char *variables[RK_SOCKETS_VARIABLES_MAX]; /* NAME=VALUE, owned */
	uint32_t n_variables;
	char *pid_variable; /* one of them, "LISTEN_PID=" with room behind it for the program's pid; or NULL */
};

/* Returns 0, and rk_sockets_told_free() is the caller's; -ENOMEM. */
RK_MUST_USE int rk_sockets_tell(const struct rk_bridge_options *o, struct rk_sockets_told *ret, struct rk_err *err);
void rk_sockets_told_free(struct rk_sockets_told *t);

/*
 * Whether somebody else listens at this port of 127.0.0.1 already, which a program would find out less clearly.
 * Returns 0; -EADDRINUSE with a sentence; another error of the system's is none of ours.
 */
RK_MUST_USE int rk_sockets_port_is_free(uint16_t port, struct rk_err *err);

#endif
