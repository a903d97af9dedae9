/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fsm: the life of a worker slot as a total table: (state, event) -> {next, action}.
 *
 * A step says what happens next and the one thing to be done about it. How long a state may
 * last is not the table's: rk_fsm_clock() says which of the configured times runs in a state,
 * the caller arms it when the state is entered or its TIMER has just been handled, and disarms
 * it when it is left. What comes after DOWN is restart.h's to decide; the caller turns its
 * answer into START, DELAY, QUARANTINE or GIVE_UP within the event that led to DOWN.
 *
 * Who       the fleet, the one caller that acts; pure.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_FSM_H
#define RK_SUPERVISOR_FSM_H

enum rk_fsm_state {
	RK_FSM_EMPTY,     /* no process, none wanted */
	RK_FSM_STARTING,  /* a process that has not said it is ready */
	RK_FSM_READY,     /* scanning its queues */
	RK_FSM_SUSPECT,   /* late; gets no new work until it is cleared or judged */
	RK_FSM_PAUSED,    /* alive and not running: stopped, traced, frozen, or told to pause */
	RK_FSM_DRAINING,  /* leaves for good: hands its partitions over, then is stopped */
	RK_FSM_RECYCLING, /* asked to end between two jobs; started again at once */
	RK_FSM_ABORTING,  /* judged; SIGABRT was sent and its core is being written */
	RK_FSM_FENCING,   /* killed, or its lease died; its death is not yet confirmed */
	RK_FSM_STOPPING,  /* asked to end */
	RK_FSM_DOWN,      /* confirmed dead, a successor is due: passed through within one event */
	RK_FSM_WAITING,   /* no process until the backoff ends */
	RK_FSM_QUARANTINED, /* in a crash loop: no process until the next of the slow retries */
	RK_FSM_ENDED,       /* stays down until told: Restart=no, RestartPreventExitStatus */
	RK_FSM_STATES
};

enum rk_fsm_event {
	/* what the fleet wants; DELAY, QUARANTINE and GIVE_UP answer DOWN */
	RK_FSM_EV_START,      /* a process now */
	RK_FSM_EV_DELAY,      /* a process later */
	RK_FSM_EV_QUARANTINE, /* a process much later */
	RK_FSM_EV_GIVE_UP,    /* no process until somebody says START */
	/* what the process does */
	RK_FSM_EV_FAILED, /* none could be made */
	RK_FSM_EV_READY,  /* the worker says it scans */
	/* what the detector sees */
	RK_FSM_EV_SUSPECT, /* it is late */
	RK_FSM_EV_CLEAR,   /* it moved again */
	RK_FSM_EV_PAUSE,   /* it was stopped, traced or frozen, or is told to pause */
	RK_FSM_EV_RESUME,  /* it runs again, or may */
	RK_FSM_EV_VERDICT, /* hung, looping or past its job's deadline: it must end */
	RK_FSM_EV_LEASE,   /* its lease died */
	RK_FSM_EV_EXITED,  /* its death is confirmed, and its tree is empty */
	/* what is planned */
	RK_FSM_EV_DRAIN,    /* it shall leave without losing time: partitions first */
	RK_FSM_EV_RELEASED, /* it has handed over the last of its partitions */
	RK_FSM_EV_RECYCLE,  /* a new process in its place: MaxRSS, MaxJobs, rolling restart */
	RK_FSM_EV_STOP,     /* the fleet wants no process any more */
	RK_FSM_EV_TIMER,    /* the time of rk_fsm_clock() is over */
	RK_FSM_EVENTS
};

enum rk_fsm_action {
	RK_FSM_NOTHING,
	RK_FSM_SPAWN,    /* give the slot a process: a standby's, or a new one */
	RK_FSM_ANNOUNCE, /* watch its lease, tell people */
	RK_FSM_HOLD,     /* clients are told it is away; its partitions stay its own */
	RK_FSM_RESUME,   /* they are told it is back */
	RK_FSM_FENCE,    /* kill it, look whether that confirms the death */
	RK_FSM_RECOVER,  /* repair what it left and pass its partitions to its successor */
	RK_FSM_SETTLE,   /* repair what it left; there is no successor */
	RK_FSM_DRAIN,    /* ask it to hand over its partitions */
	RK_FSM_TERM,
	RK_FSM_ABORT,   /* keep the evidence; SIGABRT where a core is wanted, else SIGKILL */
	RK_FSM_KILL,    /* the whole tree, again if need be */
	RK_FSM_ARM,     /* start the backoff timer */
	RK_FSM_DISARM,  /* stop it */
	RK_FSM_GIVE_UP, /* say that the slot stays down, and why; OnFailure */
	RK_FSM_ACTIONS
};

/* Which time bounds a state; at its end comes TIMER. */
enum rk_fsm_clock {
	RK_FSM_UNBOUNDED,
	RK_FSM_CLOCK_START,   /* StartTimeout */
	RK_FSM_CLOCK_DRAIN,   /* DrainTimeout: what is left is then taken from it by its end */
	RK_FSM_CLOCK_STOP,    /* StopTimeout */
	RK_FSM_CLOCK_CORE,    /* CoreTimeout; 0 where no core is wanted */
	RK_FSM_CLOCK_KILL,    /* between two SIGKILLs to a tree that is not empty */
	RK_FSM_CLOCK_BACKOFF, /* what restart.h said */
	RK_FSM_CLOCKS
};

struct rk_fsm_step {
	enum rk_fsm_state next;
	enum rk_fsm_action action;
};

/* Arguments outside their enums give {EMPTY, NOTHING}. */
struct rk_fsm_step rk_fsm_step(enum rk_fsm_state state, enum rk_fsm_event event);

/* UNBOUNDED outside the enum. */
enum rk_fsm_clock rk_fsm_clock(enum rk_fsm_state state);

/* Names for the log; "?" outside. */
const char *rk_fsm_state_name(enum rk_fsm_state state);
const char *rk_fsm_event_name(enum rk_fsm_event event);
const char *rk_fsm_action_name(enum rk_fsm_action action);

#endif
