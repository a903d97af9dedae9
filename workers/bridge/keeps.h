/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps: what the program sends with FDSTORE=1 goes on to the supervisor, which keeps it for the slot's next process
 * (StoreFd=; supervisor/kit.h says what is spoken there). What is not answered within a second is asked again, since a
 * supervisor may have died in between; it is asked at once, so that it is there when the program ends right behind it.
 *
 * Who       the loop's thread.
 * Crash     what was sent is done, also behind our death.
 * Blocking  never. At most RK_KEEPS_MAX are under way; more are refused.
 */
#ifndef RK_BRIDGE_KEEPS_H
#define RK_BRIDGE_KEEPS_H

#include <ev.h>

#include "base/macro.h"
#include "workers/bridge/notices.h"

#define RK_KEEPS_MAX 128u

struct rk_keeps;

/* say: one sentence for people, of something that is not kept. fd stays the caller's, non-blocking. NULL: it cannot be had. */
RK_MUST_USE struct rk_keeps *rk_keeps_open(struct ev_loop *loop, int fd, void (*say)(const char *text, void *arg), void *arg);

/* FDSTORE=1 with its descriptors, which are taken, or FDSTOREREMOVE=1. */
void rk_keeps_take(struct rk_keeps *k, struct rk_notice *n);

/* How many have not been answered. */
uint32_t rk_keeps_n_waiting(const struct rk_keeps *k);

/* NULL is fine. */
void rk_keeps_close(struct rk_keeps *k);

#endif
