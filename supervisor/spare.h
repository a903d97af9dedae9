/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spare: the life of one standby's place as a total table: (state, event) -> {next, action}. Who
 * acts on it is standby.h.
 *
 * Who       standby.c, the one caller that acts; pure.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_SPARE_H
#define RK_SUPERVISOR_SPARE_H

enum rk_spare_state {
	RK_SPARE_ABSENT,    /* no process, none wanted */
	RK_SPARE_WAITING,   /* one is due when the timer ends */
	RK_SPARE_PREPARING, /* ExecStartPre runs */
	RK_SPARE_STARTING,  /* a process that has not parked yet */
	RK_SPARE_PARKED,    /* may be promoted */
	RK_SPARE_ENDING,    /* asked to end, or killed */
	RK_SPARE_STATES
};

enum rk_spare_event {
	RK_SPARE_EV_WANT,
	RK_SPARE_EV_UNWANT,   /* not this one: another may be wanted in its place */
	RK_SPARE_EV_TIMER,    /* the time of its state is over */
	RK_SPARE_EV_PREPARED, /* ExecStartPre is through */
	RK_SPARE_EV_FAILED,   /* no process could be made */
	RK_SPARE_EV_PARKED,   /* it says that it has parked */
	RK_SPARE_EV_MISSPOKE, /* it says what makes no sense, or closed its socket */
	RK_SPARE_EV_TAKEN,    /* it is a worker now */
	RK_SPARE_EV_GONE,     /* its death is confirmed */
	RK_SPARE_EVENTS
};

enum rk_spare_action {
	RK_SPARE_NOTHING,
	RK_SPARE_DELAY,   /* out of the way of what goes on now: a short while */
	RK_SPARE_BACKOFF, /* bury it, and wait as for a worker whose starts fail */
	RK_SPARE_PREPARE, /* run ExecStartPre */
	RK_SPARE_CANCEL,  /* end what runs of it; no timer */
	RK_SPARE_MAKE,    /* a process */
	RK_SPARE_REST,    /* it has parked: no timer */
	RK_SPARE_END,     /* ask it to end */
	RK_SPARE_KILL,    /* SIGKILL, again if need be */
	RK_SPARE_BURY,    /* nothing is left of it */
	RK_SPARE_ACTIONS
};

struct rk_spare_step {
	enum rk_spare_state next;
	enum rk_spare_action action;
};

/* Arguments outside their enums give {ABSENT, NOTHING}. */
struct rk_spare_step rk_spare_step(enum rk_spare_state state, enum rk_spare_event event);

/* For records; "?" outside. */
const char *rk_spare_state_name(enum rk_spare_state state);

#endif
