/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ahead: a worker whose jobs are done by somebody else, and that has several of them under way:
 * jobs are shown as soon as they are there, and run (rk_worker_def.on_job, commit, delivery) when
 * their answers have come. For the programs of this tree: workers/bridge.
 *
 *     loop:
 *             rk_worker_ahead()          new jobs are shown, in each partition in order
 *             ... answers come from wherever the work is done ...
 *             rk_worker_run_to()         those at the head of their partition commit
 *             rk_worker_declare()        which one is the oldest that is still under way
 *             rk_worker_arm(), wait for rk_worker_fd() and the answers, rk_worker_disarm()
 *
 * A job that was shown is TAKEN in its ring: its client can no longer withdraw it, and a time-out
 * leaves it unknown. What is shown and not run when the process dies is shown to the successor: at
 * least once.
 *
 * Who       the worker's one job thread.
 * Crash     nothing of a shown job is stored before it runs; see shm/owner.h.
 * Blocking  never.
 */
#ifndef RK_LIB_AHEAD_H
#define RK_LIB_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"
#include "workers/lib/rekindle.h"

/* Exit status of a worker whose program does not keep to what was agreed, so that its answers mean nothing. */
#define RK_EXIT_PROTOCOL 76

/* One place of a partition's ring. key and body have a NUL behind them and are the library's until the hook returns. */
struct rk_ahead {
	uint32_t partition;
	uint64_t number;
	bool is_void; /* there is nothing to do: withdrawn, a duplicate, or to be quarantined; it still wants to be run */
	/* of a job that is not void */
	const char *key;
	size_t key_len;
	const void *body;
	size_t len;
	uint64_t deadline_ns; /* 0 = none */
	uint32_t attempts; /* that failed before this one */
};

typedef void (*rk_on_ahead)(const struct rk_ahead *job, void *arg);

/*
 * rk_worker_open(), for the functions below. The worker says STARTING until rk_worker_announce(), whatever it is
 * given to do before.
 */
RK_MUST_USE int rk_worker_open_ahead(struct rk_worker **ret, const struct rk_worker_def *def);

/*
 * Shows up to max places that were not shown before. Partitions that are to be handed over are
 * left alone, and given back once nothing of them is under way. Returns how many were shown; RK_STOP
 * when the worker is asked to end: what is under way may still be run; another negative errno as
 * rk_worker_next(). While the worker is paused nothing is shown.
 */
RK_MUST_USE int rk_worker_ahead(struct rk_worker *worker, uint32_t max, rk_on_ahead on, void *arg);

/* The next look begins with this partition, or one that stands for it where there are fewer. */
void rk_worker_look_from(struct rk_worker *worker, uint32_t partition);

/*
 * Runs the places of a partition up to `number`, which was shown. Returns 0 when all of them are
 * committed or went void; -EAGAIN when one asked for another attempt (RK_RETRY): it and those
 * behind it count as not shown; -EBUSY when one finds no room as a dead letter: it stays, call again
 * when rk_worker_fd() says so. -ESTALE and others as rk_worker_next().
 */
RK_MUST_USE int rk_worker_run_to(struct rk_worker *worker, uint32_t partition, uint64_t number);

/* A job under way. */
struct rk_under_way {
	uint32_t partition;
	uint64_t number;
	uint64_t deadline_ns;
};

/*
 * Says which job is under way, for whoever watches; NULL: none. Nothing is said before rk_worker_announce(). It counts as begun when it is first
 * named; is_charged: should the process die it is the one to blame.
 */
void rk_worker_declare(struct rk_worker *worker, const struct rk_under_way *job, bool is_charged);

/*
 * Says that an answer is awaited until deadline_ns that is no job's, as a probe's: past it the worker counts
 * as hung, as in a job with that deadline. number tells one from the next.
 */
void rk_worker_declare_probe(struct rk_worker *worker, uint64_t number, uint64_t deadline_ns);

/* Says that it gets on, though nothing else shows it: whoever watches begins to count anew. */
void rk_worker_beat(struct rk_worker *worker);

/* The worker counts as ready from here on. Once. */
void rk_worker_announce(struct rk_worker *worker);

/*
 * Makes rk_worker_fd() readable when there may be jobs (where they are asked for: who has no room for
 * more does not), or a wish of the supervisor's. False: there is something already, look again.
 * Nothing else of this header may be called before rk_worker_disarm().
 */
bool rk_worker_arm(struct rk_worker *worker, bool for_jobs);
void rk_worker_disarm(struct rk_worker *worker);

/* rk_worker_fd() was readable: takes that back. */
void rk_worker_heard(struct rk_worker *worker);

/* This worker's slot and incarnation; the fleet's partitions; bytes of its longest reply. */
uint32_t rk_worker_slot(const struct rk_worker *worker);
uint64_t rk_worker_incarnation(const struct rk_worker *worker);
uint32_t rk_worker_partitions(const struct rk_worker *worker);
uint32_t rk_worker_reply_max(const struct rk_worker *worker);

/* Leaves one line in the beat page, which the supervisor tells with the end of the process. Cut at 255 bytes. */
void rk_worker_last_words(struct rk_worker *worker, const char *text);

#endif
