/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listen: the sockets of Listen=: an address of a slot, and a socket that is bound to it and listens. The socket
 * outlives the slot's processes (kit.h): who connects while there is none waits in its backlog.
 *
 *   HOST:PORT      HOST is a number, "localhost" (127.0.0.1) or "*" (every address, IPv6 too where there is any)
 *   [V6]:PORT
 *   /path          of a unix socket; one that nobody listens on any more is replaced
 *
 * Who       the supervisor's loop; rk_listen_unlink() keeper as well.
 * Blocking  never. When an address is taken, /proc is searched for who has it.
 */
#ifndef RK_SUPERVISOR_LISTEN_H
#define RK_SUPERVISOR_LISTEN_H

#include <limits.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"

#define RK_LISTEN_ADDRESS (PATH_MAX + 1)

/* Whose address it is. */
struct rk_listen_slot {
	const char *fleet;
	uint32_t number;
	uint32_t port; /* of slot 0; 0 = there is none */
};

/*
 * Replaces %f, %i, %p (the slot's port) and %%. 0; -EINVAL with a sentence: another specifier, or %p without a port
 * or above 65535; -ENAMETOOLONG.
 */
RK_MUST_USE int rk_listen_expand(const char *address, const struct rk_listen_slot *of, char ret[static RK_LISTEN_ADDRESS],
				 struct rk_err *err);

/*
 * Binds and listens; *ret_fd is the caller's, close-on-exec and blocking. 0; -errno with a sentence that names the
 * address and, of one that is taken, who has it.
 */
RK_MUST_USE int rk_listen_open(const char *address, int *ret_fd, struct rk_err *err);

/* A program may have shut it down: makes it listen again. 0 or -errno. */
RK_MUST_USE int rk_listen_mend(int fd);

/* Removes the path of a unix socket that is ours to listen on; of others nothing. */
void rk_listen_unlink(int fd);

#endif
