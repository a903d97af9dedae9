/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Held: the descriptors that keeper holds for a fleet: its memory, its processes, its clients'
 * connections. The supervisor adds and takes away; a successor of it gets them all.
 *
 * Who       keeper. Its names and tags are the supervisor's, and mean nothing here.
 * Crash     with keeper everything in it is gone, but for what a service manager stores.
 * Blocking  never, but rk_held_await_ends(); grows by allocation.
 */
#ifndef RK_SUPERVISOR_HELD_H
#define RK_SUPERVISOR_HELD_H

#include <stdbool.h>

#include "supervisor/link.h"

/* One of them. */
struct rk_held_one {
	int fd;
	uint32_t kind; /* enum rk_link_kind */
	int32_t pid;   /* of a process */
	uint64_t tag;
	uint64_t value;
	int32_t code, status; /* how a process ended; code 0 = it has not */
	bool is_reported;     /* this supervisor was told */
	char name[RK_NAME_MAX];
};

/* Zero is the empty value. */
struct rk_held {
	struct rk_held_one *at;
	uint32_t n, n_room;
	uint32_t n_unreported; /* ends */
	uint32_t n_handed;     /* to the present supervisor, so far; the first ones */
};

/* Takes what came with KEEP. Returns 0, and owns fd; -E2BIG, -ENOMEM: fd is still the caller's. */
RK_MUST_USE int rk_held_keep(struct rk_held *h, const struct rk_link_msg *msg, int fd);

/* What the other messages ask for; what does not exist changes nothing. */
void rk_held_forget(struct rk_held *h, uint32_t kind, uint64_t tag);
void rk_held_drop(struct rk_held *h, uint64_t tag, uint64_t fleet);
void rk_held_retag(struct rk_held *h, uint64_t from, uint64_t to);

/* A process of this pid was reaped. Returns whether it is one of them. */
bool rk_held_ended(struct rk_held *h, int32_t pid, int32_t code, int32_t status);

/* Whether there is one of this pid that has not ended. */
bool rk_held_has_process(const struct rk_held *h, int32_t pid);

/* Kills each process that has not ended. */
void rk_held_kill(const struct rk_held *h);

/* Waits until each of those has ended, so long at most: also those that are not reported to us. */
void rk_held_await_ends(const struct rk_held *h, int timeout_ms);

/*
 * For a new supervisor: nothing is handed over yet, and what ended is news to it. The message to
 * begin with; then those of next(), until it returns false, of which `fd` is to go along. `ahead`: so many
 * behind the first that is not handed over yet; handed() tells that one has been.
 */
struct rk_link_msg rk_held_begin(struct rk_held *h);
bool rk_held_next(const struct rk_held *h, uint32_t ahead, struct rk_link_msg *ret, int *ret_fd);
void rk_held_handed(struct rk_held *h); /* what next() returned was sent */

/* An end that is not reported yet, once all is handed over. False: there is none. */
bool rk_held_next_end(struct rk_held *h, struct rk_link_msg *ret, uint32_t *ret_at);
void rk_held_reported(struct rk_held *h, uint32_t at);

/* Whether there is memory of a fleet: something to be adopted. */
bool rk_held_has_memory(const struct rk_held *h);

/* Closes all. */
void rk_held_close(struct rk_held *h);

#endif
