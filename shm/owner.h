/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owner: what the worker that owns a partition does with it: recover what its
 * predecessor left, take jobs, run them, commit, deliver (DESIGN §6 and §7).
 *
 * State, input cursor and reply of a job - or of a batch of jobs - commit in
 * one CAS on the part's commit word (S3). The gate word is raised right behind
 * it, by the owner itself unless somebody else holds the gate; replies pass the
 * gate before they are delivered.
 *
 * Who       the one job thread of the owning worker.
 * Crash     killed or stopped anywhere: the successor's rk_owner_open() rolls
 *           back, its first rk_owner_step() delivers [freed, cursor), and the
 *           jobs that had not committed run again, one per commit.
 * Blocking  never, but for waking clients and whatever the handler does.
 */
#ifndef RK_SHM_OWNER_H
#define RK_SHM_OWNER_H

#include <errno.h>

#include "shm/state.h"

#define RK_BATCH_MAX 256u

/* What the handler is given: a private copy of the request. */
struct rk_owner_job {
	const char *key; /* NUL behind it */
	uint32_t key_len;
	const void *body; /* NUL behind it */
	uint32_t len;
	uint32_t partition;
	uint64_t number;
	uint64_t deadline_ns; /* the client's; 0 = none */
	uint64_t client_id;
	uint64_t sequence;
	/* for rk_owner_reply() and rk_owner_touch() */
	struct rk_owner *owner;
	struct rk_dedup *reply;
	void *arg;       /* as given to rk_owner_step() */
	int touch_error; /* first failed touch: the job is aborted with it */
};

/* A handler's return value outside errno: undo the changes, count an attempt, run it again. rekindle.h: RK_RETRY. */
#define RK_OWNER_RETRY (-4096)
/* The reply to a job that has used up its attempts; handlers cannot return it. rekindle.h: RK_QUARANTINED. */
#define RK_OWNER_QUARANTINED (-ENOTRECOVERABLE)

/*
 * Returns 0 or a negative errno: then the job's changes are undone and the
 * error is its reply; or RK_OWNER_RETRY. The undo log must hold what all
 * attempts of a job save together: one that fills it is aborted with -ENOSPC.
 */
typedef int (*rk_owner_handler)(struct rk_owner_job *job, void *arg);

struct rk_owner {
	const struct rk_shm *m;
	struct rk_bank bank;
	uint32_t partition;
	uint32_t worker;
	uint32_t incarnation;
	uint32_t batch_max;   /* jobs per commit, 1 to RK_BATCH_MAX */
	uint64_t commit;      /* the commit word as this owner left it */
	uint64_t freed;       /* as this owner raised it */
	uint32_t singles;     /* jobs still to run one per commit after a take-over */
	char *request;        /* private room for one request */
	bool rolled_back;     /* open found and undid an unfinished job */
	bool gate_elsewhere;  /* the caller's, after open: somebody else raises `released`; cleared by open */
	uint64_t (*wall_ns)(void); /* the caller's, after open: CLOCK_REALTIME for dead letters; NULL = they say 0 */
	bool must_yield;      /* a job of the last batch wants another attempt */
	/* counts since open */
	uint64_t n_jobs, n_errors, n_without_effect, n_refused, n_retries, n_quarantined;
};

/* Bytes of private room for rk_owner.request. */
static inline size_t rk_owner_room(const struct rk_shm *m)
{
	return (size_t)m->g.request_max + 32;
}

/*
 * Takes up a partition that the owner word gives to this worker: rolls back,
 * opens the gate for what had committed. bank is the mapped bank, room is
 * rk_owner_room() bytes that stay the caller's.
 * Returns 0; -ESTALE if the owner word names somebody else or another bank.
 */
RK_MUST_USE int rk_owner_open(struct rk_owner *o, const struct rk_shm *m, uint32_t partition, uint32_t worker,
			      uint32_t bank, void *mapped, void *room);

/* The owner word's bank of a partition that belongs to this worker and is to run, or -ESTALE. */
RK_MUST_USE int rk_owner_look(const struct rk_shm *m, uint32_t partition, uint32_t worker);

/*
 * One round: delivers what is pending, runs at most batch_max jobs, commits
 * and delivers them. A job whose attempts have reached the board's dead_after
 * is not run: it becomes a dead letter, and its client is told so.
 * Returns how many places the cursor moved; 0 when there was no work, or the
 * partition is blocked (rk_dead_is_blocked()); -EAGAIN when a job wants another
 * attempt: give other partitions their turn, then come back; -ESTALE when the
 * partition was taken away: touch nothing of it any more.
 */
RK_MUST_USE int rk_owner_step(struct rk_owner *o, rk_owner_handler handler, void *arg);

/* What rk_owner_look_ahead() finds. */
enum rk_owner_ahead {
	RK_OWNER_AHEAD_NONE, /* nothing is published there */
	RK_OWNER_AHEAD_VOID, /* nothing to do but to count it: withdrawn, a duplicate, damaged, or to be quarantined */
	RK_OWNER_AHEAD_JOB,
};

/*
 * Between two steps: takes the reference at a place at or behind the cursor, and copies its request
 * into job (valid until the next call of any function of this owner). It is run later, by
 * rk_owner_step(), when the cursor is there; what it turns out to be then counts.
 */
RK_MUST_USE enum rk_owner_ahead rk_owner_look_ahead(struct rk_owner *o, uint64_t number, struct rk_owner_job *job);

/* How often this job has failed so far. */
uint32_t rk_owner_attempts(const struct rk_owner *o, uint64_t number);

/* Delivers what is committed and was not yet, without running a job. Returns 0; -ESTALE as rk_owner_step(). */
RK_MUST_USE int rk_owner_settle(struct rk_owner *o);

/*
 * Between two steps, when asked (rk_part_is_asked()): delivers what its gate
 * lets through and gives the partition back; o and the mapping are done with.
 * Returns 0; -ESTALE when it was not asked, or taken away.
 */
RK_MUST_USE int rk_owner_release(struct rk_owner *o);

/* Handler: saves len bytes at p, inside the state, before they change. 0; -EFAULT, -ENOSPC (the job will be aborted). */
int rk_owner_touch(struct rk_owner_job *job, const void *p, size_t len);

/* Handler: sets the job's reply, replacing an earlier one. 0; -EMSGSIZE if len > reply_max (no reply set). */
int rk_owner_reply(struct rk_owner_job *job, const void *bytes, size_t len);

#endif
