/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Absence: why no supervisor answers, as keeper tells it, and what to say of it.
 *
 * Who       rekindle, one thread.
 * Blocking  rk_absence_ask() until keeper has answered, 250 ms at most; the rest never.
 * Units     CLOCK_MONOTONIC ns.
 */
#ifndef RK_CLI_ABSENCE_H
#define RK_CLI_ABSENCE_H

#include <stdbool.h>

#include "base/macro.h"
#include "shm/board_socket.h"

/* A supervisor that has not answered for so long is asked after. */
#define RK_ABSENCE_PATIENCE_NS UINT64_C(250000000)

enum rk_absence_kind {
	RK_ABSENCE_NONE,     /* it answers */
	RK_ABSENCE_REPLACED, /* it died, and the next one is not ready yet */
	RK_ABSENCE_STOPPED,  /* by a signal, or a debugger */
	RK_ABSENCE_SILENT,   /* it is there, and has not answered */
	RK_ABSENCES
};

struct rk_absence {
	enum rk_absence_kind kind;
	int32_t keeper_pid;
	int32_t supervisor_pid; /* 0 = none */
	uint32_t n_deaths;      /* of supervisors so far, which nobody had asked for */
	uint64_t since_ns;      /* when this one was started, or the last one died; 0 = not known */
	int32_t keeper_stopped; /* pid of a keeper that a signal or a debugger has stopped; 0 = it is not */
};

/* From keeper's word, and the letter of the supervisor's state (rk_process_state()). Pure. */
struct rk_absence rk_absence_judge(const struct rk_board_message *msg, char state);

/* The same, with a look at the process. */
struct rk_absence rk_absence_see(const struct rk_board_message *msg);

/* Asks keeper. 0; -ENOENT there is none, or it does not show; -ETIMEDOUT; -errno. */
RK_MUST_USE int rk_absence_ask(const char *fleet, struct rk_absence *ret);

/* Whether there is a keeper that can be asked. */
bool rk_absence_can_ask(const char *fleet);

/* Where the supervisor answers over this connection: what its keeper, the parent, does. */
struct rk_absence rk_absence_of_keeper(int sock);

/* "answers", "replaced", "stopped", "silent", as JSON has it. */
const char *rk_absence_name(enum rk_absence_kind kind);

#define RK_ABSENCE_TEXT 240u

/* A clause that says what goes on and what to do; "" where both are well. Returns text. Pure. */
const char *rk_absence_text(char text[static RK_ABSENCE_TEXT], const struct rk_absence *a, uint64_t now_ns);

#endif
