/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look: a reader of a fleet's board, and a private copy of the view it saw there. Beats and
 * parts are mapped too, for counters that are live.
 *
 * The supervisor gives a look its reader's line. While none answers, keeper shows the same memory
 * (shm/board_socket.h): then views are copied without a line, and the look says so.
 *
 * Who       rekindle, one thread.
 * Crash     killed inside the section, the supervisor frees the reader's line.
 * Blocking  until the supervisor has answered, or keeper for it; rk_look_view() never.
 */
#ifndef RK_CLI_LOOK_H
#define RK_CLI_LOOK_H

#include "cli/absence.h"
#include "cli/ask.h"
#include "shm/layout.h"
#include "workers/lib/endpoints.h"

struct rk_look {
	struct rk_ask ask;
	char part[RK_NAME_MAX]; /* of several fleets, the one that was asked for; "" = there is one
				 */
	struct rk_shm m;        /* board, beats, parts, queues: read-only; readers */
	struct rk_reader *line; /* NULL: keeper showed the board */
	bool board_will_do; /* to be set before: a mere client of the fleet may look, too. Then beats and so on are NULL */
	struct rk_endpoints endpoints; /* of the slots, as the supervisor has told; keeper does not */
	struct rk_absence absence; /* why it did; or that keeper is stopped */
	int end; /* pidfd of that keeper; -1 = none */
	struct rk_view *view; /* a copy, owned: its slots and clients behind it */
	uint64_t now_ns;      /* when it was copied */
};

#define RK_LOOK_NONE { .ask.sock = -1, .end = -1 }
#define RK_LOOK_BOARD { .ask.sock = -1, .end = -1, .board_will_do = true }

/* Attaches and copies the view. Returns 0 or -errno; rk_look_close_p() in any case. */
RK_MUST_USE int rk_look_open(struct rk_look *l, const char *name, struct rk_err *err);

/* The same; the supervisor, or keeper, has to answer by then (rk_ask_open_until()). */
RK_MUST_USE int rk_look_open_until(struct rk_look *l, const char *name, uint64_t deadline_ns,
				   struct rk_err *err);

/* The same with a reader's line, which only the supervisor gives. */
RK_MUST_USE int rk_look_open_line(struct rk_look *l, const char *name, uint64_t deadline_ns,
				  struct rk_err *err);
void rk_look_close_p(struct rk_look *l);

/* Copies the view that is published now. */
void rk_look_view(struct rk_look *l);

/* Where keeper showed the board, or is stopped: says on stderr why, and what goes on meanwhile. */
void rk_look_warn(const struct rk_look *l);

/* What poll() can wait for: it becomes readable, or is cut, when the fleet, or its keeper, ends. */
int rk_look_end_fd(const struct rk_look *l);

/*
 * When that has happened: whether the same fleet goes on, and the look with it, by deadline_ns.
 * Returns 0; -ENOENT the fleet has ended; -errno.
 */
RK_MUST_USE int rk_look_go_on(struct rk_look *l, uint64_t deadline_ns, struct rk_err *err);

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
