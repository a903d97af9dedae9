/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead letters: jobs that killed their workers too often, kept with their
 * evidence until an operator looks at them (DESIGN §7). A table without locks,
 * one for the fleet.
 *
 *            L1               L3                    retry
 *   FREE ---------> WRITING ------> LETTER <--------------------> RETRYING
 *    ^  <-- L2 ---     |               |                             |
 *    |                 | L4            +---------- L5 ---------------+
 *    |                 v                           |
 *    +--- sweep --- REVOKED                        |
 *    +---------------------------------------------+
 *
 * A letter is pushed once per (partition, job), however often its pusher is
 * killed: a successor looks for it first. An owner that was evicted may be
 * writing one still: it claims (L1) and then looks at the commit word (L2); its
 * successor, whose eviction changed that word, then looks at the table. So one
 * of the two sees the other, and a successor that finds a claim revokes it (L4):
 * its writer's L3 fails. A revoked place is free again after the confirmed
 * death of its writer, who may be storing bytes into it until then.
 *
 * Who       push, note: the partition's owner. look: anybody who maps it.
 *           cause, sweep, free, retry: the supervisor.
 * Crash     killed anywhere: at most one place is left WRITING, which names
 *           its worker and is freed by the sweep. A supervisor killed between
 *           freeing and ringing rings when it comes back (rk_bell_ring_pending).
 * Blocking  never, but for the futex call that wakes a blocked owner. Loops
 *           are over n_dead entries.
 * Units     bytes; realtime_ns on CLOCK_REALTIME, the rest on CLOCK_MONOTONIC.
 *
 * Against each other: all may run at once.
 */
#ifndef RK_SHM_DEAD_H
#define RK_SHM_DEAD_H

#include "shm/layout.h"

/* How the last attempt ended: the process by a wait status, the supervisor's judgment. */
struct rk_dead_cause {
	enum rk_dead_verdict verdict;
	int code;   /* CLD_EXITED, CLD_KILLED, …; 0 = not known (yet), or no death */
	int status; /* exit status or signal */
};

/* A letter as its pusher knows it, and as its reader is given it. */
struct rk_dead_letter {
	uint64_t word; /* names this letter and no later one in its place: for rk_dead_free() */
	uint32_t partition;
	uint32_t attempts;
	uint64_t job;
	uint64_t client_id;
	uint64_t sequence;
	uint64_t deadline_ns; /* the client's; 0 = none */
	uint64_t realtime_ns; /* when it was quarantined */
	struct rk_dead_cause cause;
	bool is_retrying;
	uint32_t key_len;
	uint32_t len; /* of the body, behind the key */
	void *bytes;  /* key and body */
};

/* ---- owner ---- */

/*
 * Makes sure that there is one letter for (partition, job). commit is the
 * commit word as this owner left it. word, is_retrying and cause are not read:
 * the cause is what was noted last for this job.
 * Returns 0: it is there; -ENOSPC: no place is free, nothing was pushed, and
 * the partition says that it is blocked (the caller tries again when it is
 * rung); -ESTALE: the partition was taken away, nothing was pushed.
 */
RK_MUST_USE int rk_dead_push(const struct rk_shm *m, const struct rk_dead_letter *letter,
			     uint32_t worker, uint64_t commit);

/* Notes how an attempt at this job ended, for the letter that may come of it. */
void rk_dead_note(const struct rk_shm *m, uint32_t partition, uint64_t job,
		  const struct rk_dead_cause *cause);

/* ---- anybody ---- */

/*
 * Reads place i: true if it holds a letter. ret->bytes is the caller's room
 * for request_max + 7 bytes; lengths are checked. The copy is of one letter,
 * whole, or the answer is false.
 */
bool rk_dead_look(const struct rk_shm *m, uint32_t i, struct rk_dead_letter *ret);

/* How many letters there are; those that are being sent again count too. */
uint32_t rk_dead_count(const struct rk_shm *m);

/* Whether the job at this partition's cursor waits for room among the dead letters. */
bool rk_dead_is_blocked(const struct rk_shm *m, uint32_t partition);

/* The same, and it is this very job. */
bool rk_dead_is_waiting(const struct rk_shm *m, uint32_t partition, uint64_t job);

/* ---- supervisor ---- */

/* As rk_dead_note(), and corrects a letter that is there already: causes become known late. */
void rk_dead_cause(const struct rk_shm *m, uint32_t partition, uint64_t job,
		   const struct rk_dead_cause *cause);

/*
 * After a worker's confirmed death and before its partitions pass on: frees
 * what it was writing, and whatever somebody has scribbled; rings those who
 * wait for room. Idempotent.
 */
void rk_dead_sweep(const struct rk_shm *m, uint32_t worker);

/*
 * Drops the letter in place i that was looked at as `word`, and rings the
 * owners of blocked partitions. Returns 0; -ENOENT if it is not there any more.
 */
RK_MUST_USE int rk_dead_free(const struct rk_shm *m, uint32_t i, uint64_t word);

/*
 * Marks the letter as being sent again, or takes the mark back (true, false),
 * so that two operators do not send it twice. Returns 0 and the new word;
 * -ENOENT; -EALREADY if it is so already.
 */
RK_MUST_USE int rk_dead_retry(const struct rk_shm *m, uint32_t i, uint64_t word, bool begin,
			      uint64_t *ret_word);

#endif
