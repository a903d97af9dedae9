/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker, inside: what its parts share - worker.c (attach, scan, park), standby.c (wait for a slot),
 * partition.c (take up, run, give back), loop.c (the public loop), job.c (what a
 * handler calls), obey.c (faults that are ordered).
 *
 * Who       the worker's one job thread.
 * Crash     see shm/owner.h; what is private here dies with the process.
 */
#ifndef RK_LIB_WORKER_H
#define RK_LIB_WORKER_H

#include <setjmp.h>
#include <signal.h>

#include "shm/arena.h"
#include "shm/owner.h"
#include "workers/lib/check.h"
#include "workers/lib/orphan.h"
#include "workers/lib/rekindle.h"

static_assert(RK_RETRY == RK_OWNER_RETRY && RK_QUARANTINED == RK_OWNER_QUARANTINED, "public and inner names agree");

/* Exit statuses of main(). */
#define RK_EXIT_LOST 3
#define RK_EXIT_ORPHANED 75
#define RK_EXIT_NOT_STARTED 64
#define RK_EXIT_DOES_NOT_FIT 78

enum worker_fd { FD_BOARD, FD_BEATS, FD_CALLS, FD_QUEUES, FD_PARTS, FD_STATE, FD_DEAD, FD_NEWS, FD_READERS, FD_COUNT };

struct partition {
	struct rk_owner owner;
	struct rk_arena arena;  /* its head is NULL without one */
	struct rk_check *check; /* with RK_CHECK=1 */
	void *mapped;           /* its bank, while it is open */
	uint32_t n_quiet;       /* visits in vain since its last job */
	uint64_t shown;         /* ahead.c: the first place that was not shown; meaningful while it is open */
	bool open;
};

struct worker {
	const struct rk_worker_def *def;
	struct rk_shm m;
	int fd[FD_COUNT];
	int order; /* of a standby that has no slot yet: where it is told (standby.h); else -1 */
	uint32_t number;
	uint64_t incarnation;
	struct rk_beat *beat;
	struct rk_worker_bell *bell;
	struct partition *partitions;
	char *room;
	struct sigaction old_term, old_int;
	bool caught_term, caught_int; /* by our handler */
	jmp_buf leave_handler;        /* where a failed rk_touch() goes */
	uint64_t spin_ns;
	uint32_t batch_max;
	uint32_t jobs_max, n_jobs; /* of the present round: when it ends, and where it is */
	uint32_t scan_from;        /* partition that the next round begins with */
	uint64_t ready_ns;         /* when it began to scan */
	bool is_ahead;             /* ahead.c: STARTING until it is announced, and not by its first look */
	bool told;                 /* the supervisor knows that we serve */
	uint64_t told_at;          /* the last of its milestones that it was told of */
	struct rk_orphan orphan;
	bool opened_space;         /* whoever waits for room in a ring of ours has been woken once */
	bool checking;
};

/* Attaches and begins to serve. w->def and w->jobs_max are set. Returns 0, or main()'s exit status,
 * having said why. */
int rk_worker_start(struct worker *w);

/* Frees what is private, and unmaps the states, which nobody is to write to any more; the rest ends
 * with the process. */
void rk_worker_tear_down(struct worker *w);

/* One round over what there is, at most about w->jobs_max jobs. Returns how many it handled, 1 if
 * it did something else; -errno: -ESTALE a partition was taken away, -EOWNERDEAD no keeper came. */
RK_MUST_USE int rk_worker_round(struct worker *w, struct rk_err *err);

/* Whether a partition is marked as having work; while paused, whether one is to be given back.
 * seq_cst: for a look after parking. */
bool rk_worker_has_pending(const struct worker *w);

/* Polls for a while after the last job, then parks, until deadline_ns at most (0 = for ever). */
void rk_worker_idle(struct worker *w, uint64_t deadline_ns);

/* Whether this process was asked to end, by a signal or by the supervisor's word. */
bool rk_worker_must_stop(const struct worker *w);

/* Whether it is to run no job until told, though it goes on giving partitions back. */
bool rk_worker_is_paused(const struct worker *w);

/* A partition that this worker is asked to give back; n_partitions if there is none. */
uint32_t rk_worker_find_asked(const struct worker *w);

/* The word that holds a partition's bit: bit p % 64 says that it may have work. */
_Atomic uint64_t *rk_worker_pending_word(const struct worker *w, uint32_t p);

/* Behind jobs: what the beat page says of the work done. `before` holds the four counts as they were. */
void rk_worker_note_progress(struct worker *w, const struct rk_owner *o, const struct rk_owner *before);
void rk_worker_stamp_first_commit(struct worker *w, const struct rk_owner *o);

/* Once: says that it serves. */
void rk_worker_tell_ready(struct worker *w);

/* Behind that, once: wakes those whom a predecessor cleared and did not wake, in partitions nobody calls. */
void rk_worker_open_space(struct worker *w);

/* Makes the supervisor look at this worker. Never blocks. */
void rk_worker_tell(const struct worker *w);

/* Says one line to stderr and leaves it in the beat page for the supervisor's own message. Returns
 * status. */
int rk_worker_give_up(struct worker *w, int status, const char *text);

/* At the start of a job, where an order stands: does what it says to this one. May never return. */
void rk_worker_obey(struct worker *w);

/* ---- partition ---- */

/*
 * Maps and takes up a partition, by copy if its owner was evicted. Returns 0; 1
 * if it is not ours; -errno with a sentence.
 */
RK_MUST_USE int rk_partition_open(struct worker *w, uint32_t p, struct rk_err *err);

/* From the protocol's job to the user's; arg is the worker. For rk_owner_step(). */
int rk_partition_run(struct rk_owner_job *inner, void *arg);

/* Gives a partition back that the supervisor asks for, open or not. Returns 1; -errno when it was
 * taken away. */
RK_MUST_USE int rk_partition_release(struct worker *w, uint32_t p, struct rk_err *err);

/* Frees what is private of it, and unmaps it. */
void rk_partition_drop(struct worker *w, uint32_t p);

#endif
