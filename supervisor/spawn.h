/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spawn: what a worker of a fleet, or a standby, is started with, and starting one by child.h's two steps.
 * Of a wrapped fleet that is rekindle-bridge, with the words of Exec= behind its own name.
 *
 * Who       the supervisor's loop.
 * Crash     as child.h says.
 * Blocking  opens what Output= says; of a native fleet, without EnvironmentFile= nothing is allocated or read.
 */
#ifndef RK_SUPERVISOR_SPAWN_H
#define RK_SUPERVISOR_SPAWN_H

#include <limits.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"
#include "supervisor/child.h"
#include "supervisor/environment.h"
#include "supervisor/keys.h"
#include "supervisor/mark.h"

#define RK_SPAWN_FDS 9u          /* board, beats, calls, queues, parts, state, dead, news, readers */
#define RK_SPAWN_ENVIRONMENT 160 /* bytes of "REKINDLE_WORKER=…" */

#define RK_SPAWN_LISTEN_MAX RK_LISTEN_MAX
#define RK_SPAWN_KEPT_MAX RK_DESCRIPTORS_MAX

_Static_assert(RK_SPAWN_FDS + RK_SPAWN_LISTEN_MAX + RK_SPAWN_KEPT_MAX + 2 <= RK_CHILD_FDS_MAX,
	       "a child has room for them, its line, and a standby for its socket");

/* A descriptor that an earlier process of the slot has sent. */
struct rk_spawn_kept {
	int fd;
	const char *name;
};

/* What a bridge gets beside them, of its slot's kit (kit.h): all borrowed, the descriptors RK_CHILD_FLOOR or above. */
struct rk_spawn_more {
	const int *listen; /* in the order of Listen= */
	uint32_t n_listen;
	const struct rk_spawn_kept *kept;
	uint32_t n_kept;
	int line; /* on which it asks for descriptors to be kept; -1 = none are */
};

/* Whose process it is to be. */
struct rk_spawn_slot {
	uint32_t number;
	uint64_t incarnation;
	int cgroup;                       /* its directory; -1 = none */
	const struct rk_spawn_more *more; /* NULL = nothing more */
};

/* Everything a worker of this fleet is started with. */
struct rk_spawn {
	const char *name;                 /* of the configuration; borrowed */
	const char *fleet;                /* borrowed */
	const struct rk_fleet_options *o; /* borrowed */
	char path[PATH_MAX];              /* of the program that Exec= names */
	char bridge[PATH_MAX];            /* what is executed instead; "" if that is the program itself */
	struct rk_environment environment;
	struct rk_setup setup;
	char worker[RK_SPAWN_ENVIRONMENT];
	struct rk_mark mark; /* of foreign programs' trees */
	char tree[RK_MARK_TEXT];
	int fds[RK_SPAWN_FDS]; /* owned duplicates, out of the way of the child's numbers */
	int null;              /* the workers' standard input */
	bool outlives_keeper;
	bool is_ready;         /* program, user, environment were found as they should be */
	bool has_warned;       /* that there is no journal */
};

/*
 * Looks for the program as a shell would: with a '/' as it stands, else along PATH. Returns 0
 * and its path; -ENOENT, -EACCES with a sentence that says what to do.
 */
RK_MUST_USE int rk_spawn_find(const char *command, char ret[static PATH_MAX], struct rk_err *err);

/* Looks for rekindle-bridge: in the build's tree, or where it is installed. 0; -ENOENT with a sentence. */
RK_MUST_USE int rk_spawn_find_bridge(char ret[static PATH_MAX], struct rk_err *err);

/*
 * Prepares for a fleet's command; options and names are borrowed. fds are duplicated. Returns 0 or
 * -errno; rk_spawn_close() afterwards in any case. After a failure that is not for want of
 * descriptors it is still good for rk_spawn_hold(), which looks again each time: so an adopted
 * fleet goes on whose program is not there just now.
 */
RK_MUST_USE int rk_spawn_init(struct rk_spawn *s, const char *name, const char *fleet,
			      const struct rk_fleet_options *o, const int fds[RK_SPAWN_FDS],
			      bool outlives_keeper, struct rk_err *err);

/* Behind that: the fleet's id, of which the marks are made. */
void rk_spawn_mark(struct rk_spawn *s, const uint64_t fleet[2]);

void rk_spawn_close(struct rk_spawn *s);

/*
 * What %d stands for, with specifiers, in this process's environment: EnvironmentFile= does not count. The
 * caller's; NULL without memory.
 */
RK_MUST_USE char *rk_spawn_state_directory(const struct rk_spawn *s);

/* Options and name have gone elsewhere; whatever holds from the next start on is the same there. */
void rk_spawn_borrow(struct rk_spawn *s, const char *fleet, const struct rk_fleet_options *o);

/*
 * Where a slot's output goes: rk_output_open(), but without a journal it is our own, and that is
 * logged once.
 */
RK_MUST_USE int rk_spawn_output(struct rk_spawn *s, uint32_t slot, int *ret_fd, struct rk_err *err);

/*
 * Makes the process and holds it at its gate (rk_child_go() lets it run). Returns 0 or -errno with a
 * sentence: nothing was made.
 */
RK_MUST_USE int rk_spawn_hold(struct rk_spawn *s, const struct rk_spawn_slot *of, struct rk_spawned *ret,
			      struct rk_err *err);

/* The same for a standby: on this socket, RK_CHILD_FLOOR or above, it is told whose worker it is. */
RK_MUST_USE int rk_spawn_hold_standby(struct rk_spawn *s, int order, int cgroup, struct rk_spawned *ret,
				      struct rk_err *err);

#endif
