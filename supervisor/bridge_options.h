/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridge_options: what rekindle-bridge is told of a wrapped fleet, as the environment variable that it
 * reads (workers/bridge/options.h): a `Key=value` a line, every key of keys.h's RK_GROUP_WRAP whether
 * it was said or not, so that the bridge has no defaults of its own, and a few more.
 *
 * Values: times ns and sizes bytes, in decimal, UINT64_MAX for infinity; a word of Kind= and others as it
 * is; a signal its number; commands as base/wordlist.h prints them; texts as they are. Then, in all of them, a
 * newline is \n and a backslash \\. A list has a line for each.
 *
 * Who       the supervisor's loop, at each spawn.
 * Blocking  never; allocates.
 */
#ifndef RK_SUPERVISOR_BRIDGE_OPTIONS_H
#define RK_SUPERVISOR_BRIDGE_OPTIONS_H

#include "base/macro.h"
#include "supervisor/options.h"

#define RK_BRIDGE_PROGRAM "rekindle-bridge"
#define RK_BRIDGE_VARIABLE "REKINDLE_BRIDGE"

/* A descriptor in the bridge's process. */
struct rk_bridge_plan_fd {
	int fd;
	const char *name;
};

/* All borrowed. */
struct rk_bridge_plan {
	const char *name;  /* of the configuration */
	const char *fleet; /* within it */
	const struct rk_fleet_options *o;
	const char *state_directory;        /* where StateDirectory= says nothing */
	const int *listen;                  /* n_listen of them, in the order of Listen= */
	uint32_t n_listen;
	const struct rk_bridge_plan_fd *kept; /* that were sent with FDSTORE=1 */
	uint32_t n_kept;
	int line; /* on which more are sent (kit.h); 0 = none are kept */
};

/* "REKINDLE_BRIDGE=…", the caller's; NULL without memory. */
RK_MUST_USE char *rk_bridge_options_text(const struct rk_bridge_plan *p);

/*
 * The state directory of a fleet that names none, with specifiers, for a user whose environment this is: in a service's
 * own (STATE_DIRECTORY), as root below /var/lib, else below XDG_STATE_HOME or HOME. The caller's; NULL without memory.
 */
RK_MUST_USE char *rk_bridge_state_directory(const char *name, bool is_root, char *const *environment);

#endif
