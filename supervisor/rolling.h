/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rolling: a plan over the slots of one fleet, a few at a time: restart them (a new binary, a
 * new environment) or drain them (scale down).
 *
 *                 next()            DOWN                READY              settle_ns
 *   restart: TODO ------> ENDING ----------> STARTING --------> SETTLING ----------> DONE
 *                 next(), slot down ----------^   | DOWN: FAILED    | DOWN: FAILED
 *   drain:   TODO ------> ENDING -- DOWN --> DONE
 *
 * Gates: no more than max_unavailable slots are under way, and a slot that serves is taken only
 * while fewer than that are not ready, for whatever reason. With a standby one may go even if
 * max_unavailable is 0, since its successor is there already; without one the plan then waits.
 * Slots that are down anyway come first: they have nothing to lose.
 *
 * The plan holds when a replacement dies before it has been ready for settle_ns, or is not
 * ready in time, or when the standby that it waits for does not come in that time or cannot be
 * started: no further slot is touched, what is under way goes on. It resumes when told, and by
 * itself when the one that was late becomes ready after all, standbys included.
 *
 * Who       the fleet: tells events, takes actions until there are none; pure.
 * Blocking  never; no allocation: the slots' room is the caller's. One timer, due_ns, and only
 *           while a slot is STARTING or SETTLING, or a standby is waited for.
 * Units     ns.
 */
#ifndef RK_SUPERVISOR_ROLLING_H
#define RK_SUPERVISOR_ROLLING_H

#include <stdbool.h>
#include <stdint.h>

enum rk_rolling_kind { RK_ROLLING_RESTART, RK_ROLLING_DRAIN };

enum rk_rolling_state {
	RK_ROLLING_IDLE, /* no plan yet */
	RK_ROLLING_RUNNING,
	RK_ROLLING_HOLDING,
	RK_ROLLING_DONE, /* all done, or cancelled and nothing under way any more */
	RK_ROLLING_STATES
};

enum rk_rolling_stage {
	RK_ROLLING_OUT, /* not in the plan */
	RK_ROLLING_TODO,
	RK_ROLLING_ENDING,
	RK_ROLLING_STARTING,
	RK_ROLLING_SETTLING,
	RK_ROLLING_FINISHED,
	RK_ROLLING_FAILED,
	RK_ROLLING_STAGES
};

enum rk_rolling_event {
	RK_ROLLING_EV_READY,  /* the slot's process is ready */
	RK_ROLLING_EV_DOWN,   /* its process's death is confirmed, whoever caused it */
	RK_ROLLING_EV_TIMER,  /* due_ns has come; the slot does not count */
	RK_ROLLING_EV_RESUME, /* go on; a failed slot is tried again */
	RK_ROLLING_EV_CANCEL, /* touch no further slot */
	RK_ROLLING_EV_UNWANTED, /* somebody stopped, drained or scaled the slot away: it is not touched any more */
	RK_ROLLING_EV_BARREN, /* standbys fail to start, again and again; the slot does not count */
	RK_ROLLING_EVENTS
};

enum rk_rolling_action {
	RK_ROLLING_RECYCLE, /* RK_FSM_EV_RECYCLE; the successor is a new process */
	RK_ROLLING_SWAP,    /* the same; the successor is a standby */
	RK_ROLLING_START,   /* RK_FSM_EV_START: it is down */
	RK_ROLLING_GO       /* RK_FSM_EV_DRAIN */
};

enum rk_rolling_reason {
	RK_ROLLING_NONE,
	RK_ROLLING_DIED,
	RK_ROLLING_LATE,
	RK_ROLLING_NO_STANDBY, /* none was there in time */
	RK_ROLLING_NO_STANDBYS_START
};

struct rk_rolling_conf {
	enum rk_rolling_kind kind;
	uint32_t max_unavailable;
	uint32_t n_standbys;       /* that can take over now */
	uint64_t ready_timeout_ns; /* 0 = none */
	uint64_t settle_ns;
};

/* Before begin the caller fills in_plan, is_wanted and is_ready of each. */
struct rk_rolling_slot {
	bool in_plan;
	bool is_wanted; /* a slot that has or shall have a process */
	bool is_ready;
	bool is_ending; /* for go_on alone: its process has been asked to end */
	enum rk_rolling_stage stage;
	uint64_t since_ns; /* of the stage; to be filled for go_on alone */
	uint64_t took_ns;  /* from its end to its READY */
};

struct rk_rolling {
	struct rk_rolling_conf c;
	struct rk_rolling_slot *slots; /* borrowed until the plan is done */
	uint32_t n_slots;
	enum rk_rolling_state state;
	enum rk_rolling_reason reason; /* of HOLDING */
	uint32_t held_slot;            /* of HOLDING; without a standby the one that is next */
	uint64_t waiting_ns;           /* since when for a standby; 0 = not */
	uint32_t last_slot;            /* the last that finished */
	uint64_t last_took_ns;         /* how long that one took */
};

struct rk_rolling_order {
	enum rk_rolling_action action;
	uint32_t slot;
};

struct rk_rolling_progress {
	enum rk_rolling_kind kind;
	enum rk_rolling_state state;
	enum rk_rolling_reason reason;
	uint32_t held_slot, last_slot;
	uint64_t last_took_ns;
	uint32_t n_planned, n_finished, n_under_way, n_failed;
	bool waits_for_standby;
};

#define RK_ROLLING_LINE 160u

void rk_rolling_begin(struct rk_rolling *r, const struct rk_rolling_conf *c,
		      struct rk_rolling_slot *slots, uint32_t n_slots);

/*
 * Goes on with one whose supervisor has died. Of each slot the caller fills is_wanted, is_ready and the
 * stage that it was in, which is corrected where what happened since can be seen: one that had yet to end
 * or to be replaced has met its end, or was not touched after all; one that was replaced has died. since_ns
 * goes on where the stage is still the same. A plan that held for this reason and slot holds on.
 */
void rk_rolling_go_on(struct rk_rolling *r, const struct rk_rolling_conf *c, struct rk_rolling_slot *slots,
		      uint32_t n_slots, uint64_t now_ns);
void rk_rolling_hold_on(struct rk_rolling *r, enum rk_rolling_reason reason, uint32_t slot);

/* Slots and events that do not exist change nothing. */
void rk_rolling_on(struct rk_rolling *r, enum rk_rolling_event event, uint32_t slot,
		   uint64_t now_ns);

/* How many standbys can take over now: told whenever that has changed, and before
 * rk_rolling_next(). */
void rk_rolling_standbys(struct rk_rolling *r, uint32_t n);

/* The next thing to do, behind begin and behind each event, until it returns false. */
bool rk_rolling_next(struct rk_rolling *r, uint64_t now_ns, struct rk_rolling_order *ret);

/* When TIMER is due; 0 = no timer. */
uint64_t rk_rolling_due_ns(const struct rk_rolling *r);

struct rk_rolling_progress rk_rolling_progress(const struct rk_rolling *r);

/*
 * One line of progress, such as "restarted 3 of 8: worker 2 ready after 14 ms" or "holding at 3
 * of 8: worker 3 died before it was settled". Worth printing when it has changed. Returns text.
 */
const char *rk_rolling_format(const struct rk_rolling_progress *p,
			      char text[static RK_ROLLING_LINE]);

#endif
