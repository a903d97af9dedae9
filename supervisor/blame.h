/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blame: whether a death is charged to the job that was running, as one more of its attempts.
 *
 * At most one job can be charged: the one that the dead worker's beat page names current. Those
 * words are the worker's: a job is believed to have run only if the worker owned its partition
 * and the partition could be at that job. So a worker that lies harms its own partitions alone.
 *
 *   words do not fit                         not charged
 *   no job was running                       not charged
 *   verdict on this job: hang, loop          charged
 *   we ended it otherwise                    not charged
 *   out of its own memory limit              charged
 *   a signal that people send, KILL apart    not charged
 *   SIGKILL while memory is short            not charged
 *   SIGKILL among other deaths               not charged, nor those others
 *   it ended by its own doing (crash, exit)  charged; but in a cluster of deaths only if the
 *                                            fleet went on committing: else it is the world
 *   SIGKILL, alone, and the kernel has
 *     killed somebody for want of memory     charged
 *   SIGKILL, alone                           not charged: a person, a script
 *
 * "Other deaths" are those within RK_BLAME_WINDOW_NS before that do not name the same job: a
 * job that kills its worker again and again is no cluster, however fast it does. "Went on" means
 * that something was committed since the last such death, and since the last that names the
 * same job. Who is killed first in a storm looks alone: its charge is taken back when the next
 * death shows the storm. A crash whose cause lies outside can cost a job that is among the
 * first to meet it one attempt or two; DeadLetterAfter should be 3 or more.
 *
 * Who       the supervisor's loop: one rk_blame_recent per fleet; pure.
 * Blocking  never; no allocation.
 * Units     ns; statuses as waitid() gives them.
 */
#ifndef RK_SUPERVISOR_BLAME_H
#define RK_SUPERVISOR_BLAME_H

#include <stdbool.h>
#include <stdint.h>

#define RK_BLAME_WINDOW_NS 1000000000ull
#define RK_BLAME_RECENT 64u
#define RK_BLAME_NOBODY UINT32_MAX /* partition of a death that names no job */

/* What the beat page of the dead one says, each word read once. Hostile. */
struct rk_blame_words {
	uint64_t incarnation; /* whose they are */
	uint32_t state;       /* enum rk_beat_state */
	uint32_t partition;
	uint64_t job;
};

/* Who ended it. */
enum rk_blame_ours {
	RK_BLAME_NOT_OURS,
	RK_BLAME_VERDICT,  /* hang, loop, deadline of its job */
	RK_BLAME_PLANNED,  /* upgrade, recycle, rolling restart, scale, stop, strategy */
	RK_BLAME_START,    /* it did not become ready in time */
	RK_BLAME_FAULT,    /* rekindle fault */
	RK_BLAME_PRESSURE, /* to make room on the machine */
	RK_BLAME_PAUSED,   /* somebody had stopped, traced or frozen it */
	RK_BLAME_ELSE,     /* a hang, but not in the job it was in at last */
	RK_BLAME_OURS
};

enum rk_blame_memory {
	RK_BLAME_ROOM,  /* nothing is known to be short */
	RK_BLAME_SHORT, /* the machine is (rk_brake_is_memory_short()) */
	RK_BLAME_OOM,   /* the kernel has killed somebody for want of it since the worker started */
	RK_BLAME_LIMIT  /* the worker reached its own limit: oom_kill of its cgroup went up */
};

/* What the supervisor itself knows of the death. */
struct rk_blame_case {
	uint64_t ns;          /* when the death was noticed; with the slot it names the death */
	uint64_t n_committed; /* by the whole fleet so far */
	struct rk_blame_words words;
	uint64_t incarnation; /* of the dead one */
	uint32_t slot;
	uint32_t n_partitions;
	bool is_owner;   /* the table says the slot owned words.partition when it died */
	uint64_t cursor; /* of words.partition: its next job not committed */
	uint32_t batch;  /* jobs per commit; 0 or too large = RK_BATCH_MAX */
	int code;        /* CLD_EXITED and so on; -1 = not known yet */
	int status;
	enum rk_blame_ours ours;
	enum rk_blame_memory memory;
};

enum rk_blame_verdict {
	RK_BLAME_SPARED,
	RK_BLAME_CHARGED,
	RK_BLAME_LATER /* ask again when the cause is known; its attempts stay as they are */
};

enum rk_blame_reason {
	RK_BLAME_WORDS_FOREIGN,   /* not its own incarnation's: it died before it had a page */
	RK_BLAME_WORDS_PARTITION, /* no such partition */
	RK_BLAME_WORDS_OWNER,     /* another worker's partition */
	RK_BLAME_WORDS_JOB,       /* a job that the partition cannot be at */
	RK_BLAME_IDLE,            /* no job was running */
	RK_BLAME_JUDGED,          /* it hung, looped or passed its deadline */
	RK_BLAME_WE_DID,          /* planned, a fault, pressure or a start that took too long */
	RK_BLAME_OVER_LIMIT,      /* it used up the worker's memory */
	RK_BLAME_SENT,            /* ended by a signal that people send */
	RK_BLAME_MACHINE,         /* the machine was short of memory */
	RK_BLAME_STORM,           /* one of several deaths */
	RK_BLAME_CRASHED,         /* it crashed or exited inside the job */
	RK_BLAME_KILLED,          /* killed alone, by the kernel as it seems */
	RK_BLAME_OUTSIDE,         /* killed alone, by somebody outside */
	RK_BLAME_CAUSE,           /* the cause is not known yet */
	RK_BLAME_REASONS
};

struct rk_blame {
	enum rk_blame_verdict verdict;
	enum rk_blame_reason reason;
	uint32_t partition; /* RK_BLAME_NOBODY if the words do not fit */
	uint64_t job;
};

/*
 * Decides on the death by itself and what was around it: n_others, and n_since jobs committed
 * since the last death that matters. The result's partition and job are checked: they may be
 * used as an index.
 */
struct rk_blame rk_blame_decide(const struct rk_blame_case *c, uint32_t n_others, uint64_t n_since);

/* Whether words.partition can be used to look up its owner and cursor. */
bool rk_blame_is_partition(const struct rk_blame_words *words, uint32_t n_partitions);

/* "it crashed or exited inside the job" and so on; "?" outside. */
const char *rk_blame_reason_text(enum rk_blame_reason reason);

/* ---- the last deaths of a fleet ---- */

struct rk_blame_death {
	uint64_t ns; /* 0 = none */
	uint64_t n_committed;
	uint64_t job;
	uint32_t partition; /* checked, else RK_BLAME_NOBODY */
	uint32_t slot;
	bool may_be_taken_back;
};

/* Starts as zeros. */
struct rk_blame_recent {
	struct rk_blame_death deaths[RK_BLAME_RECENT];
	uint32_t next;
};

/*
 * Decides on a confirmed death in the light of the last ones, and notes it if it was not ours.
 * After RK_BLAME_LATER call it again with the same death and its cause.
 */
struct rk_blame rk_blame_on_death(struct rk_blame_recent *r, const struct rk_blame_case *c);

/*
 * Behind rk_blame_on_death(), until it returns false: a job that was charged and whose death
 * now is one of several. The caller takes one attempt from it, if it is not committed or
 * quarantined already.
 */
bool rk_blame_take_back(struct rk_blame_recent *r, const struct rk_blame_case *c,
			uint32_t *ret_partition, uint64_t *ret_job);

#endif
