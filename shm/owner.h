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

/* Returns 0 or a negative errno: then the job's changes are undone and the error is its reply. */
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
	/* counts since open */
	uint64_t n_jobs, n_errors, n_without_effect, n_refused;
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
 * and delivers them. Returns how many places the cursor moved, 0 when there
 * was no work; -ESTALE when the partition was taken away: touch nothing of it
 * any more.
 */
RK_MUST_USE int rk_owner_step(struct rk_owner *o, rk_owner_handler handler, void *arg);

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
