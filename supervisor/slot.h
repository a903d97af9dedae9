/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slot: one place in a fleet, stable over restarts, and the process in it. fsm.h says what
 * follows on what, restart.h when the next process is due; this acts.
 *
 * A death is noticed by the lease (0.1 ms, whatever the worker's size) or the pidfd. It is
 * confirmed by the pidfd, by keeper having reaped it, or by the lease when the job thread was
 * the process's only one: a lease also dies on exec, so the process is killed first. Then, in
 * this order: sweep the cell it declared, ring parked workers that have work, charge the job it
 * was in (blame.h), give its partitions a new incarnation of the same slot, reset the lease, spawn. Nothing on that path
 * allocates, logs or writes to the flight recorder: the records of its steps are held and written
 * when the outermost event of the slot is over (rk_recorder_note_later()).
 *
 * A process that is due at once is a standby's where one is parked (standby.h), else a new one.
 *
 * Of a foreign program nothing may be left before the next one starts (remnant.h). Then ExecStartPre runs before each
 * process. Both in STARTING with none; what is meant for a process waits or does without (prepare_event()). ExecStartPost and OnFailure run beside.
 *
 * Who       the fleet, in the supervisor's loop.
 * Crash     the journal says what a successor of the supervisor needs.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_SLOT_H
#define RK_SUPERVISOR_SLOT_H

#include "base/rand.h"
#include "shm/dead.h"
#include "supervisor/blame.h"
#include "supervisor/crew.h"
#include "supervisor/foster.h"
#include "supervisor/fsm.h"
#include "supervisor/hook.h"
#include "supervisor/inherit.h"
#include "supervisor/killer.h"
#include "supervisor/kit.h"
#include "supervisor/mourning.h"
#include "supervisor/remnant.h"
#include "supervisor/restart.h"
#include "supervisor/storm.h"

struct rk_slot;

/*
 * Takes the partitions of a slot whose process can neither release them nor die: eviction by
 * copy. Returns how many it took; the slot keeps the others, but *ret_n_waiting of them are tried
 * again until they can be taken.
 */
typedef uint32_t (*rk_slot_move)(struct rk_slot *s, uint32_t *ret_n_waiting, void *arg);

/* What the slots of a fleet share; the fleet's. */
struct rk_slot_host {
	const struct rk_crew_conf *c;
	const uint16_t *table; /* partition -> slot */
	struct rk_killer *killer;
	rk_slot_move move; /* OnHang=move, OnPaused=move */
	void *move_arg;
	struct rk_restart_conf restart;
	struct rk_blame_recent recent; /* deaths, for who is charged */
	struct rk_rand random;
	struct rk_hook_host hooks;
	struct rk_storm *storm; /* borrowed; the brake of all fleets */
	struct rk_standby *standby; /* spare processes */
	struct rk_foster foster;    /* ends that nobody reports */
	struct rk_kit *kit;           /* of foreign programs: their sockets; NULL = there is none */
	struct rk_remnants *remnants; /* of foreign programs; NULL: what a worker leaves elsewhere is its own affair */
	uint64_t n_steps[RK_FSM_STATES][RK_FSM_EVENTS];
	/* A step was acted on. */
	void (*on_step)(struct rk_slot *s, struct rk_fsm_step step, void *arg);
	/* Its process is dead and what it left is repaired; what it owned is still its own. */
	void (*on_down)(struct rk_slot *s, void *arg);
	/*
	 * next says when it may have another process: whether others are to be stopped before that.
	 * Then it stays empty until rk_slot_start().
	 */
	bool (*takes_over)(struct rk_slot *s, void *arg);
	void *arg;
};

/* A job of the present process that something was found about. */
struct rk_slot_job {
	bool is_set;
	uint32_t partition;
	uint64_t number;
};

/* The last death whose cause was not known at once. */
struct rk_slot_doubt {
	int32_t pid; /* 0 = there is none */
	uint32_t owner; /* incarnation of its job's partition then */
	enum rk_dead_verdict charged; /* its job is, for this; NONE: that is still to be decided */
	struct rk_blame_case c;
};

struct rk_slot {
	struct rk_slot_host *host;
	uint32_t number;
	enum rk_fsm_state state;
	struct rk_spawned process; /* pid 0 = none */
	struct rk_cgroup_slot cgroup;
	uint64_t n_oom;            /* kills for want of memory there, before the present process */
	struct rk_hook hooks[RK_HOOKS];
	bool has_failed; /* OnFailure is due, or has run, for this row of failures */
	bool has_untold; /* it waits for the cause */
	int stat_fd;    /* rk_slot_stat() gives it; -1 = not opened */
	bool is_foster; /* the process is no child of keeper's (foster.h) */
	bool is_ungated;  /* adopted while it started: its supervisor may have died before it let it go */
	bool is_promoted; /* it was a standby, and has yet to take the slot's lease */
	uint64_t incarnation;
	uint64_t n_restarts;
	bool is_wanted;    /* somebody wants a process here: the configuration, or an operator */
	enum rk_slot_state unwanted; /* what it is shown as then: EMPTY, DRAINED, STOPPED */
	bool is_held;      /* an operator has paused it: whatever process it has runs no job */
	bool was_started;  /* it had a process before */
	bool is_emptying;  /* STARTING without a process: what the last one left is to be gone first (remnant.h) */
	bool awaits_cause; /* DOWN until keeper says how its process ended */
	enum rk_fsm_state came_from; /* the state before the present one */
	enum rk_fsm_event came_by;   /* the event that led here */
	bool is_acting;              /* what follows on that is being done */
	uint32_t roll_stage;         /* enum rk_rolling_stage, in the rolling restart that is on */
	uint64_t roll_since_ns;      /* of that stage */
	uint64_t clock_used_ns;      /* of its state's time, before this supervisor came */
	uint64_t start_beats;   /* of the beat page, when the time of its start was over last */
	struct rk_restart restart;
	struct rk_restart_step next; /* as decided at the last death */
	uint64_t started_ns;
	uint64_t noticed_ns; /* first sign of the present process's death; 0 = none */
	bool has_hinted;     /* that it does not attach */
	sd_event_source *exit_source;
	sd_event_source *timer;      /* rk_fsm_clock() of clocked */
	enum rk_fsm_state clocked;   /* STATES: it has to be set anew */
	uint64_t entered_ns;         /* the present state */
	enum rk_ward_stand stand;    /* as the guard sees the process */
	enum rk_verdict verdict;     /* for which the process must end; FINE: it need not */
	uint64_t judged_for_ns;
	struct rk_slot_job judged;   /* which the verdict is about */
	struct rk_slot_job late;     /* past its deadline */
	uint32_t late_attempts;      /* which it had behind it then */
	uint64_t reported_ns;        /* the hang that was reported began then */
	uint64_t moved_ns;           /* the same of one for which its partitions were to be moved */
	int exit_code, exit_status;  /* how the process ended, CLD_…; 0 = not known yet */
	struct rk_slot_doubt doubt;
	uint64_t n_oom_kills;        /* of the machine when the process was started */
	uint64_t group;              /* of the verdict's records; 0 = none */
	bool wants_core;             /* it gets a SIGABRT first */
	bool is_killed;              /* its tree was, once at least */
	bool is_faulted;             /* `rekindle fault kill` did (inject.h) */
	struct rk_mourning mourning;
	uint64_t died_ns; /* the last one */
};

void rk_slot_init(struct rk_slot *s, struct rk_slot_host *host, uint32_t number);
void rk_slot_close(struct rk_slot *s);

/* The one caller of the table. Actions may lead to further events: at most three deep. */
void rk_slot_event(struct rk_slot *s, enum rk_fsm_event event);

/* Gives it a process now, if it has none or is about to lose it. */
void rk_slot_start(struct rk_slot *s);

/* Nothing of its past counts any more. */
void rk_slot_forgive(struct rk_slot *s);

/* Its process, and each that follows, runs no job until that is taken back. */
void rk_slot_hold(struct rk_slot *s, bool wanted);

/* Whether it has a process that serves, or could if nobody held it. */
bool rk_slot_is_up(const struct rk_slot *s);

/* Whether it has no process, and none on its way. */
bool rk_slot_is_empty(const struct rk_slot *s);

/* Gives the slot's partitions to its coming incarnation. route_flags: 0 while it has no process. */
void rk_slot_take_partitions(struct rk_slot *s, uint32_t route_flags);

/* The process may have something to tell, or has been silent for long: looks at its beat page. */
void rk_slot_look(struct rk_slot *s, uint64_t now_ns);

/* Whether rk_slot_look() has something to wait for, so that somebody must call it now and then. */
bool rk_slot_is_expectant(const struct rk_slot *s);

/* The guard found something about a process of this slot. */
void rk_slot_on_finding(struct rk_slot *s, const struct rk_ward_finding *f);

/* Keeper says how a process of this slot ended. */
void rk_slot_on_exited(struct rk_slot *s, const struct rk_link_msg *msg);

/* Nothing is left of its last process, which rk_slot_tree_end() has asked for. */
void rk_slot_on_empty(struct rk_slot *s);

/* A command beside the worker that was there before this supervisor: *pidfd is taken, if it goes on. */
void rk_slot_hook_adopt(struct rk_slot *s, const struct rk_link_msg *about, int *pidfd);

/* Keeper says how a command beside its worker ended. */
void rk_slot_on_hook_exited(struct rk_slot *s, const struct rk_link_msg *msg);

/*
 * The process's /proc/PID/stat (proc.h), which stays the slot's; opened here for one that was adopted.
 * Negative: it cannot be had.
 */
int rk_slot_stat(struct rk_slot *s);

/* What is left of a process whose successor may already be on its way. */
struct rk_slot_remains {
	struct rk_spawned process;
	bool is_foster;
	uint64_t tag;
	int stat_fd;
	sd_event_source *exit_source;
};

/*
 * The parts that follow on a death, of slot_death.c, for slot.c alone. Lay down: nobody waits for
 * its end any more: its job is charged where that is to blame, what it owned goes where it shall,
 * partitions that are still its own get their next incarnation; the slot has no process then.
 * Tree: ends what it started and left behind; where it has no group, keeper inherits that, and only of a foreign
 * program it is found (rk_slot_on_empty() follows). Ring:
 * for those whom it had brought work and not rung; goes through every partition's queue,
 * milliseconds where their pages are cold, so a successor is not kept waiting for it. Bury: what is left
 * is read and closed.
 */
struct rk_slot_remains rk_slot_lay_down(struct rk_slot *s, uint32_t route_flags, bool is_ours);
void rk_slot_tree_end(struct rk_slot *s);
void rk_slot_ring_for(const struct rk_slot *s);
void rk_slot_bury(struct rk_slot *s, struct rk_slot_remains *r);

/* For it: whether the process was good for anything (committed a job, found none, or is in a first one that takes
 * long); whether it is in a job. */
bool rk_slot_has_worked(const struct rk_slot *s, uint64_t now_ns);
bool rk_slot_is_in_job(const struct rk_slot *s);

/*
 * The parts that end a process, of slot_end.c, for slot.c alone. Abort: the evidence is kept;
 * SIGABRT where a core is wanted, else TIMER at once. Kill: the whole tree, again if need be.
 */
void rk_slot_abort(struct rk_slot *s);
void rk_slot_kill(struct rk_slot *s);

/*
 * Who is charged for a death, of slot_charge.c, for slot.c alone. See: how the process ended, while
 * /proc has it still; returns how many threads it has, or -errno. Charge: behind the repair, before
 * its partitions pass on and the slot forgets the process. Cause: keeper tells how one ended whose
 * cause was not known then. Moved: as charge, for a process that is alive and about to lose its
 * partitions for this verdict.
 */
int rk_slot_charge_see(struct rk_slot *s);
void rk_slot_charge(struct rk_slot *s);
void rk_slot_charge_cause(struct rk_slot *s, const struct rk_link_msg *msg);
void rk_slot_charge_moved(struct rk_slot *s, enum rk_verdict verdict);

/*
 * A standby in the place of a new process, of slot_standby.c, for slot.c alone. Promote: false, there is
 * none that could. Look: it has not taken the lease within the bound; whether it is stopped, and so
 * must end: the verdict stands then.
 */
bool rk_slot_promote(struct rk_slot *s);
bool rk_slot_take_over_look(struct rk_slot *s);

/* For it: whether the coming process shall end or pause; keeper's name for the process; what is due when
 * the process runs, since started_ns (kept: whether keeper has been told, 0 or -errno). */
void rk_slot_wish(struct rk_slot *s);
uint64_t rk_slot_tag(const struct rk_slot *s);
void rk_slot_begin(struct rk_slot *s, int kept);

/* ---- slot_adopt.c ---- */

/* Notes for a successor of the supervisor what is only known here. */
void rk_slot_journal(const struct rk_slot *s);

/*
 * Takes up what the journal says of the slot, and its process from what keeper held. Nothing is
 * done yet. Then, when every slot and partition is there, rk_slot_go_on(): what was not done to
 * its end is done again, and clocks go on; a process that has ended meanwhile is found by its pidfd.
 */
void rk_slot_adopt(struct rk_slot *s, struct rk_inherit *in);
void rk_slot_go_on(struct rk_slot *s);

/* What a record says of a slot: its process as it is now, the group of its verdict. */
struct rk_note rk_slot_note(const struct rk_slot *s, enum rk_flight_kind kind, enum rk_log_level level);

/* The slot as people see it; the number of its partitions is the caller's to add. */
void rk_slot_fill(const struct rk_slot *s, struct rk_view_slot *ret);

#endif
