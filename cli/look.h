/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look: a reader of a fleet's board, and a private copy of the view it saw there. Beats and
 * parts are mapped too, for counters that are live.
 *
 * Who       rekindle, one thread.
 * Crash     killed inside the section, the supervisor frees the reader's line.
 * Blocking  until the supervisor has answered; rk_look_view() never.
 */
#ifndef RK_CLI_LOOK_H
#define RK_CLI_LOOK_H

#include "cli/ask.h"
#include "shm/layout.h"

struct rk_look {
	struct rk_ask ask;
	char part[RK_NAME_MAX]; /* of several fleets, the one that was asked for; "" = there is one
				 */
	struct rk_shm m;        /* board, beats, parts, queues: read-only; readers */
	struct rk_reader *line;
	struct rk_view *view; /* a copy, owned: its slots and clients behind it */
	uint64_t now_ns;      /* when it was copied */
};

/* Attaches and copies the view. Returns 0 or -errno; rk_look_close_p() in any case. */
RK_MUST_USE int rk_look_open(struct rk_look *l, const char *name, struct rk_err *err);

/* The same; the supervisor has to answer by then (rk_ask_open_until()). */
RK_MUST_USE int rk_look_open_until(struct rk_look *l, const char *name, uint64_t deadline_ns,
				   struct rk_err *err);
void rk_look_close_p(struct rk_look *l);

/* Copies the view that is published now. */
void rk_look_view(struct rk_look *l);

/* Slot of the copied view; NULL beyond the fleet's slots. */
const struct rk_view_slot *rk_look_slot(const struct rk_look *l, uint32_t worker);

/* Name of a slot's state; "?" outside. */
const char *rk_look_state(uint32_t state);

/*
 * The same of a slot of the copied view. "suspended" for one whose process is stopped, traced or
 * frozen; "paused" is who was told to run no job, by an operator.
 */
const char *rk_look_slot_state(const struct rk_look *l, uint32_t worker);

#endif
