/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridge, inside: what its parts share: bridge.c (its life and its loop), bridge_jobs.c (what is under way),
 * bridge_slot.c (command, environment, places).
 *
 * Who       the bridge's one thread.
 */
#ifndef RK_BRIDGE_BRIDGE_PRIVATE_H
#define RK_BRIDGE_BRIDGE_PRIVATE_H

#include "workers/bridge/bridge.h"

#define RK_BRIDGE_UNKNOWN UINT64_MAX /* rk_bridge.declared */

/* The loop ends, and the bridge with this status. */
void rk_bridge_end_loop(struct rk_bridge *b, int status);

/* rk_worker_def.on_job; arg is the bridge. */
int rk_bridge_on_job(struct rk_job *job, void *state, void *arg);

/* How many more jobs the program may have now. */
uint32_t rk_bridge_room(const struct rk_bridge *b);

/* Gives it as many, if there are. */
void rk_bridge_feed(struct rk_bridge *b);

/* Runs those that have their answers, and those before them in their partitions too. */
void rk_bridge_commit_all(struct rk_bridge *b);

/* Tells who looks from outside what is waited for. */
void rk_bridge_declare(struct rk_bridge *b);

/* Takes out of our environment what is for us alone, so that whatever is started has the rest. Once, at first. */
void rk_bridge_clean_environment(void);

/* Makes port, places and words of the options and the program's argv, which end with NULL; makes the state
 * directory where it is named. 0 or -errno with a sentence. */
RK_MUST_USE int rk_bridge_expand(struct rk_bridge *b, char *const *argv, struct rk_err *err);

#endif
