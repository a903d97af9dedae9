/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access: who may do what through the control socket. `admin` (root and the owner's uid) may do
 * everything; `use` (ClientUser, and members of ClientGroup) may be a client of its fleets, read
 * their boards and ping; others may do nothing.
 *
 * Who       control.h; all but rk_access_peer() is pure.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_ACCESS_H
#define RK_SUPERVISOR_ACCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"
#include "supervisor/options.h"

/* Who sits at the other end of a socket, as it was when it connected. */
struct rk_access_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* owned */
	uint32_t n_groups;
};

/* 0 or -errno; rk_access_peer_free_p() in any case. */
RK_MUST_USE int rk_access_peer(int sock, struct rk_access_peer *ret);
void rk_access_peer_free_p(struct rk_access_peer *p);

/* Whether a peer may use a fleet with these options. */
bool rk_access_may_use(const struct rk_fleet_options *o, const struct rk_access_peer *p);

/* The control socket of some fleets: whose it is and who may connect. */
struct rk_access_socket {
	uid_t uid; /* (uid_t)-1: ours */
	gid_t gid; /* (gid_t)-1: ours */
	mode_t mode;
};

/* Lets those in that the options name; begin with {-1, -1, 0}. They agree: conf_check.h. */
void rk_access_admit(struct rk_access_socket *s, const struct rk_fleet_options *o);

#endif
