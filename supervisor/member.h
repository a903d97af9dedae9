/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Member: which slots of a fleet share its partitions, and which partition has to go from whom
 * to whom because that changed. place.h says how many and which; this says when.
 *
 *             WANT           READY               DOWN             MoveAfter over
 *   OUT ----------> JOINING ------> MEMBER <------------> AWAY ------------------> GONE
 *    ^                  |             | ^       READY      |                       |  ^
 *    | owns none        |             | | HealthyAfter     |                 READY |  | DOWN
 *   LEAVING <-- LEAVE --+-------------+-|------------------+--------------+        v  |
 *    | WANT: MEMBER if it is ready, else AWAY           RETURNING <----------------+--+
 *
 *  - A slot that is down stays a member for MoveAfter: a restart moves nothing (P6). The grace
 *    is used up by time down alone, however many restarts, and renewed by HealthyAfter ready.
 *  - Then its partitions move. When it has been ready for HealthyAfter, the same ones come
 *    home: home is a table of its own, and only scaling changes it.
 *  - STUCK (it can neither release nor die) is as MoveAfter being over, at once, and READY once it
 *    goes on, or its next process is: GONE until then.
 *  - Nothing moves to a slot that is not ready. From a slot without a process a partition is
 *    simply assigned, at once, since nobody serves it; from one that is stuck it is taken by copy,
 *    at once too; from one that is ready it is handed over
 *    live, few at a time and not too fast; from one that is just starting it waits for either.
 *  - UNFIT (suspect, paused or about to end) is one that could serve and does not: nothing moves
 *    to it as long as there is one that is well. What is served where it is waits until it is READY
 *    again; what nobody serves, and what a leaving slot hands over, goes to those who are well,
 *    and is shared anew once it is READY. What it owns stays its own. The same holds for one that
 *    is AWAY, as far as nobody serves what was to go there.
 *  - With nobody well to go to, what nobody serves goes to one that is UNFIT; what a leaving slot
 *    that is well serves waits, however long, until one of them is READY.
 *  - With nobody left to move to everything stays where it is.
 *
 * Who       the fleet: tells what happens, does the moves it is given, tells when each is done.
 *           Deciding is pure.
 * Crash     private memory of the supervisor; its successor opens with the owners as it finds
 *           them, and they are home: it moves nothing but what keeps the balance. What was
 *           away from home then has the same number of partitions to come back to, not the same.
 * Blocking  never. open allocates; nothing else does.
 * Units     ns.
 */
#ifndef RK_SUPERVISOR_MEMBER_H
#define RK_SUPERVISOR_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"
#include "supervisor/place.h"

#define RK_MEMBER_NEVER UINT64_MAX

struct rk_member_conf {
	uint32_t n_partitions;     /* a power of two, see place.h */
	uint32_t n_slots;          /* slots there can be; those above n_wanted begin as OUT */
	uint32_t n_wanted;         /* 1..n_slots: the first ones, members from the start */
	uint64_t seed;             /* of the fleet, for place.h */
	uint64_t move_after_ns;    /* MoveAfter; RK_MEMBER_NEVER = a slot keeps its partitions */
	uint64_t healthy_after_ns; /* HealthyAfter */
	uint32_t max_moving;       /* live hand-overs at once, at least 1 */
	uint64_t move_gap_ns;      /* between the starts of two */
};

enum rk_member_state {
	RK_MEMBER_OUT,       /* not wanted, owns nothing */
	RK_MEMBER_JOINING,   /* wanted, gets partitions when it is ready */
	RK_MEMBER_MEMBER,    /* owns partitions; ready, or not started yet for the first time */
	RK_MEMBER_AWAY,      /* down within its grace: still a member */
	RK_MEMBER_GONE,      /* stayed down: none any more */
	RK_MEMBER_RETURNING, /* ready again, not for long enough yet */
	RK_MEMBER_LEAVING,   /* not wanted any more, hands over what it owns */
	RK_MEMBER_STATES
};

enum rk_member_event {
	RK_MEMBER_EV_START, /* it has a process */
	RK_MEMBER_EV_READY, /* it serves; again, after UNFIT or STUCK */
	RK_MEMBER_EV_DOWN,  /* its death is confirmed */
	RK_MEMBER_EV_UNFIT, /* alive, and does not serve for now, or not for long: until READY or
			       DOWN */
	RK_MEMBER_EV_STUCK, /* alive, and to lose its partitions though it cannot release them */
	RK_MEMBER_EVENTS
};

struct rk_member_move {
	uint32_t partition;
	uint16_t from; /* RK_PLACE_NONE: nobody owns it */
	uint16_t to;
	bool is_live; /* by the hand-over protocol */
	bool is_copy; /* by copy, its process is stuck; neither: assign, there is no process */
};

struct rk_member;

/*
 * owners: who owns which partition now, NULL = whoever place.h says. Returns 0; -ENOMEM; -EINVAL
 * for sizes that place.h refuses.
 */
RK_MUST_USE int rk_member_open(const struct rk_member_conf *c, const uint16_t *owners,
			       struct rk_member **ret);

/* Accepts NULL. */
void rk_member_close(struct rk_member *m);

/* What a slot's process does. Slots that do not exist change nothing. */
void rk_member_on(struct rk_member *m, enum rk_member_event event, uint32_t slot, uint64_t now_ns);

/* Wanted from now on: scale up, or the drain is called off. */
void rk_member_want(struct rk_member *m, uint32_t slot, uint64_t now_ns);

/* Not wanted any more: drain, scale down. Returns 0; -EBUSY for the last one that is wanted. */
RK_MUST_USE int rk_member_leave(struct rk_member *m, uint32_t slot);

/* Other times, from now on. */
void rk_member_retime(struct rk_member *m, uint64_t move_after_ns, uint64_t healthy_after_ns);

/* Grace and health times that are over; at due_ns, or whenever. */
void rk_member_on_timer(struct rk_member *m, uint64_t now_ns);

/*
 * When on_timer or next has something to do though nothing happens; 0 = never. It may be over by
 * now: then they have at once.
 */
uint64_t rk_member_due_ns(const struct rk_member *m);

/* The next move to begin, behind each of the calls above, until it returns false. */
bool rk_member_next(struct rk_member *m, uint64_t now_ns, struct rk_member_move *ret);

/*
 * A move that was begun is done, or could not be done and shall be tried again. When a LEAVING
 * slot has handed over its last one it is OUT: RK_FSM_EV_RELEASED.
 */
void rk_member_moved(struct rk_member *m, uint32_t partition);
void rk_member_unmoved(struct rk_member *m, uint32_t partition);

enum rk_member_state rk_member_state(const struct rk_member *m, uint32_t slot);

/*
 * Whether the new owner of a move that is under way still is to have what the old one has let go:
 * it may have died meanwhile, or fallen ill. By the same rule by which next() begins it: a move
 * that is taken back (unmoved) is not begun again as long as nothing happens.
 */
bool rk_member_is_heir(const struct rk_member *m, const struct rk_member_move *move);

/* Partition -> slot as it is, the fleet's table; lives as long as m. */
const uint16_t *rk_member_owners(const struct rk_member *m);

/*
 * Partitions that a slot owns; those of the fleet that still have to move; of these, how many go to
 * a slot that is ready, be it well or not; and how many of those wait until it is well.
 */
uint32_t rk_member_n_owned(const struct rk_member *m, uint32_t slot);
uint32_t rk_member_n_pending(const struct rk_member *m);
uint32_t rk_member_n_going(const struct rk_member *m);
uint32_t rk_member_n_held(const struct rk_member *m);

/* "member", "away" and so on; "?" outside. */
const char *rk_member_state_name(enum rk_member_state state);

#endif
