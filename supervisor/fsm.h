/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fsm: the life of a worker slot as a total table: (state, event) -> {next, action}.
 *
 * Who       the fleet, the one caller that acts; pure.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_FSM_H
#define RK_SUPERVISOR_FSM_H

#include <stdint.h>

enum rk_fsm_state {
	RK_FSM_EMPTY,    /* no process, none wanted */
	RK_FSM_STARTING, /* a process that has not said it is ready */
	RK_FSM_READY,    /* scanning its queues */
	RK_FSM_FENCING,  /* its lease died and it was killed; its death is not yet confirmed */
	RK_FSM_STOPPING, /* asked to end */
	RK_FSM_DOWN,     /* confirmed dead, a successor is due: passed through within one event */
	RK_FSM_WAITING,  /* no process until the backoff ends */
	RK_FSM_STATES
};

enum rk_fsm_event {
	RK_FSM_EV_START,  /* the fleet wants a process now */
	RK_FSM_EV_DELAY,  /* the fleet wants a process later */
	RK_FSM_EV_FAILED, /* no process could be made */
	RK_FSM_EV_READY,  /* the worker says it scans */
	RK_FSM_EV_LEASE,  /* its lease died */
	RK_FSM_EV_EXITED, /* its death is confirmed */
	RK_FSM_EV_STOP,   /* the fleet wants no process any more */
	RK_FSM_EV_TIMER,  /* the backoff or the stop timeout is over */
	RK_FSM_EVENTS
};

enum rk_fsm_action {
	RK_FSM_NOTHING,
	RK_FSM_SPAWN,
	RK_FSM_ANNOUNCE, /* watch its lease, tell people */
	RK_FSM_FENCE,    /* kill it, look whether that confirms the death */
	RK_FSM_RECOVER,  /* repair what it left and pass its partitions to its successor */
	RK_FSM_SETTLE,   /* repair what it left; there is no successor */
	RK_FSM_TERM,
	RK_FSM_KILL,
	RK_FSM_ARM,    /* start the backoff timer */
	RK_FSM_DISARM, /* stop it */
	RK_FSM_ACTIONS
};

struct rk_fsm_step {
	enum rk_fsm_state next;
	enum rk_fsm_action action;
};

/* Arguments outside their enums give {EMPTY, NOTHING}. */
struct rk_fsm_step rk_fsm_step(enum rk_fsm_state state, enum rk_fsm_event event);

/* Names for the log; "?" outside. */
const char *rk_fsm_state_name(enum rk_fsm_state state);
const char *rk_fsm_event_name(enum rk_fsm_event event);
const char *rk_fsm_action_name(enum rk_fsm_action action);

#define RK_FSM_FREE_TRIES 5u /* failed starts in a row before the first wait */

/*
 * How long a slot waits after n_failed processes in a row died before they were ready: 0, from
 * the fifth on 100 ms, doubling up to 5 s.
 */
uint64_t rk_fsm_backoff_ns(uint32_t n_failed);

#endif
