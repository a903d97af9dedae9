/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setup: what a child makes of itself before it executes its command: umask, limits, nice level,
 * CPUs, groups, user, directory, as the fleet's options say.
 *
 *   rk_setup_init()   in the supervisor: looks up what needs looking up
 *   rk_setup_apply()  in the child, between clone3 and exec
 *
 * Who       init and explain: the supervisor's loop. apply: the child.
 * Blocking  init looks up the user's groups and allocates. apply makes only system calls, and
 *           plain ones: libc's setuid() would signal threads that the child does not have.
 */
#ifndef RK_SUPERVISOR_SETUP_H
#define RK_SUPERVISOR_SETUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"
#include "supervisor/options.h"

struct rk_setup {
	const struct rk_fleet_options *o; /* borrowed */
	struct rlimit nofile;             /* as we were given it, unless LimitNOFILE says other */
	pid_t keeper;                     /* whose death is the child's */
	bool outlives_keeper;             /* it is not: systemd keeps the fleet's memory (store.h) */
	bool has_ids;                     /* the child becomes uid, gid and groups */
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* owned */
	uint32_t n_groups;
};

/* In the order in which they are taken. */
enum rk_setup_step {
	RK_SETUP_DESCRIPTORS, /* child.h's */
	RK_SETUP_UMASK,
	RK_SETUP_LIMIT, /* detail: enum rk_limit_of */
	RK_SETUP_NICE,
	RK_SETUP_CPUS,
	RK_SETUP_GROUPS,
	RK_SETUP_GID,
	RK_SETUP_UID,
	RK_SETUP_PARENT, /* keeper is gone: nobody is left to be told */
	RK_SETUP_DIRECTORY,
	RK_SETUP_EXEC, /* child.h's */
	RK_SETUP_STEPS
};

/* Where a child failed; goes through its gate. */
struct rk_setup_failure {
	uint32_t step; /* enum rk_setup_step */
	uint32_t detail;
	int32_t error; /* errno; 0 = none failed */
};

/*
 * Once, at the supervisor's start, before it takes up anything: it may have all the descriptors that the hard limit
 * allows (a pidfd and more for each worker and client). Children have the limit that keeper was given all the same.
 */
void rk_setup_descriptors_allow(void);

/*
 * Makes room for n descriptors in the process's table, as far as the limit allows. Before it starts its first thread:
 * the kernel lets a process with several wait for a grace period of its own RCU, 5 to 15 ms, whenever the table of
 * its descriptors grows.
 */
void rk_setup_descriptors_reserve(uint32_t n);

/* Returns 0 or -errno with a sentence; rk_setup_free() afterwards in any case. */
RK_MUST_USE int rk_setup_init(struct rk_setup *s, const struct rk_fleet_options *o,
			      bool outlives_keeper, struct rk_err *err);
void rk_setup_free(struct rk_setup *s);

/* The child dies with keeper from here on, unless it is to outlive it. False: keeper is gone already. */
RK_MUST_USE bool rk_setup_parent(const struct rk_setup *s);

/* Takes all steps, or up to the first that fails: false, and *ret says which. */
RK_MUST_USE bool rk_setup_apply(const struct rk_setup *s, struct rk_setup_failure *ret);

/* "setuid to 'games': Operation not permitted". Returns text. f is input: anything may be in it. */
const char *rk_setup_explain(const struct rk_setup *s, const struct rk_setup_failure *f, char *text,
			     size_t size);

#endif
