/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crew, inside: what its files share. crew.c has the slots and what happens to them, crew_layout.c
 * who is wanted and which partition is whose, crew_roll.c the rolling restart, crew_recycle.c
 * MaxRSS and MaxJobs.
 *
 * Who       those files.
 */
#ifndef RK_SUPERVISOR_CREW_PRIVATE_H
#define RK_SUPERVISOR_CREW_PRIVATE_H

#include "supervisor/crew.h"
#include "supervisor/inject.h"
#include "supervisor/member.h"
#include "supervisor/rolling.h"
#include "supervisor/slot.h"

#define RK_CREW_CHANGES RK_JOURNAL_CHANGES /* by operators, that are followed at once */
#define RK_CREW_MOVES 4u   /* live hand-overs at once */

/* What people follow: scales, drains, starts and stops of one worker. They are over together. */
struct rk_crew_change {
	uint64_t groups[RK_CREW_CHANGES]; /* of their records; n_groups 0: nothing changes */
	uint32_t n_groups;
	uint32_t n_moved;   /* partitions, since the first began */
	uint32_t n_arrived; /* slots that were as they shall be when last told */
	bool is_held;       /* then moves waited for somebody to be well */
};

struct rk_crew_roll {
	struct rk_rolling plan;
	struct rk_rolling_slot *slots;
	uint64_t group;
	char line[RK_ROLLING_LINE]; /* the last one told */
	bool is_open;               /* its last line has not been told */
	bool is_obeying;
	sd_event_source *timer;
};

/* How one slot's process is looked at for MaxRSS and MaxJobs. */
struct rk_crew_growth {
	int statm_fd;
	uint64_t rss;
	uint64_t looked_ns;
	uint64_t step; /* jobs between two looks */
};

/* Partitions of one slot's process that are to be taken from it and cannot be, for want of a bank. */
struct rk_crew_wait {
	uint32_t n;      /* in the last round */
	uint32_t keeper; /* of a bank: one whose death ends it */
	bool is_told;
};

struct rk_crew {
	struct rk_crew_conf c;
	struct rk_slot_host host;
	struct rk_killer *killer;
	struct rk_slot *slots;
	uint32_t n_slots; /* there is room for; those that are wanted come first, mostly */
	struct rk_member *member;
	struct rk_member_move moves[RK_CREW_MOVES]; /* under way, live */
	uint32_t n_moves;
	uint32_t n_moved; /* since nothing was to be moved */
	uint32_t n_deferred; /* of the last round: could not be moved */
	bool was_deferred;   /* nor in the one before: told already */
	struct rk_crew_wait *waits; /* by slot */
	struct rk_crew_change change;
	uint64_t follow; /* group of the next one; 0 = its own */
	struct rk_crew_roll roll;
	struct rk_crew_growth *growth;
	uint64_t recycled_ns; /* the last one */
	bool is_changing; /* in the middle of an operator's change: progress is told at its end */
	bool is_stopping;
	bool is_halted;
	bool is_ready;      /* all that are wanted, as last told */
	bool was_ready;     /* all slots at once, ever */
	bool any_was_ready; /* any process, ever */
	bool has_warned;    /* that no worker ever gets ready */
	struct rk_inject inject; /* faults that were asked for */
	sd_event_source *look_timer; /* runs only while a slot expects something */
	sd_event_source *move_timer, *recycle_timer;
};

/* A record of what the crew does; the group of it is 0 unless set. */
struct rk_note rk_crew_note(const struct rk_crew *f, enum rk_flight_kind kind);

/* In this state it has a process, and is no choice for a new owner where there is a better one. */
bool rk_crew_is_unfit(enum rk_fsm_state state);

/* Whether it was started and not halted since: until then nobody starts a worker of it, whoever asks for one. */
bool rk_crew_runs(const struct rk_crew *f);

/* Makes a slot's process end as planned; why is for people who ask later. */
void rk_crew_end(struct rk_crew *f, struct rk_slot *s, enum rk_fsm_event event, const char *why);

/* Makes or switches off a one-shot timer; at 0: off. */
int rk_crew_timer_new(struct rk_crew *f, sd_event_source **ret, sd_event_time_handler_t on_time);
void rk_crew_timer_set(sd_event_source *timer, uint64_t at_ns);

/* ---- crew_layout.c ---- */

/* owners: of an adopted fleet, whose slots are there; NULL = place.h says. */
RK_MUST_USE int rk_crew_layout_open(struct rk_crew *f, const uint16_t *owners);
void rk_crew_layout_close(struct rk_crew *f);
void rk_crew_layout_configure(struct rk_crew *f);
void rk_crew_layout_on(struct rk_crew *f, enum rk_member_event event, uint32_t slot);

/*
 * A slot's process can neither release its partitions nor die: takes them by copy. Returns how many;
 * *ret_n_waiting more are taken when there is a bank to copy them into.
 */
uint32_t rk_crew_layout_take(struct rk_crew *f, uint32_t slot, uint32_t *ret_n_waiting);

/* Does the moves that are due. */
void rk_crew_layout_move(struct rk_crew *f);

/* The same, and tells how far the change is. */
void rk_crew_layout_progress(struct rk_crew *f);

/* Of an adopted fleet: the groups of what people follow. */
void rk_crew_layout_resume(struct rk_crew *f);

/* ---- crew_adopt.c ---- */

/* Takes up slots and partitions. 0 or -errno. */
RK_MUST_USE int rk_crew_adopt(struct rk_crew *f);

/* ---- crew_roll.c ---- */

RK_MUST_USE int rk_crew_roll_open(struct rk_crew *f);
void rk_crew_roll_close(struct rk_crew *f);
void rk_crew_roll_on(struct rk_crew *f, enum rk_rolling_event event, uint32_t slot);
void rk_crew_roll_progress(struct rk_crew *f);

/* Of an adopted fleet: goes on with those that are not done. */
void rk_crew_roll_resume(struct rk_crew *f);

/* ---- crew_recycle.c ---- */

RK_MUST_USE int rk_crew_recycle_open(struct rk_crew *f);
void rk_crew_recycle_close(struct rk_crew *f);
void rk_crew_recycle_on_ready(struct rk_crew *f, uint32_t slot);
void rk_crew_recycle_on_down(struct rk_crew *f, uint32_t slot);

/* There is news, or the bounds have changed. */
void rk_crew_recycle_look(struct rk_crew *f);

#endif
