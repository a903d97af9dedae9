/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot: what `rekindle status` shows of a fleet: a copied view, and the counters that workers
 * and clients keep beside it, read once. They are live, so the figures of one snapshot may be a
 * few jobs apart.
 *
 * Who       rekindle, one thread. What workers wrote may be anything: it is bounded and cleaned.
 * Blocking  never; allocates.
 */
#ifndef RK_CLI_SNAPSHOT_H
#define RK_CLI_SNAPSHOT_H

#include <stdbool.h>

#include "cli/look.h"

struct rk_snapshot_worker {
	uint32_t slot;
	struct rk_view_slot view;
	const char *declared; /* what it says of itself, or NULL: not attached yet, or no process */
	bool is_suspended; /* by a signal, or a debugger: what it says of itself may be long past */
	const char *state; /* rk_look_slot_state() */
	uint64_t n_jobs, n_errors;
	uint64_t n_refused; /* jobs it had no room to keep a reply of */
	char last_words[256]; /* "" = none */
	uint64_t n_queued;    /* jobs in its partitions; 0 unless a whole snapshot is taken */
};

struct rk_snapshot_part {
	uint32_t partition;
	bool is_owned;
	uint32_t worker;
	uint64_t cursor, freed, released;
	uint32_t n_queued;
};

struct rk_snapshot {
	const struct rk_look *look;
	uint32_t n_workers; /* slots in use, drained or stopped */
	uint32_t n_wanted;  /* of them, that shall have a process */
	uint32_t n_ready;   /* of those; a suspended one is not ready */
	struct rk_snapshot_worker *workers;
	uint32_t n_standbys; /* parked */
	struct rk_view_slot *standbys;
	uint32_t n_busy; /* partitions with something unfinished */
	struct rk_snapshot_part *busy;
	uint32_t n_letters; /* dead ones */
	uint32_t n_blocked; /* partitions that wait for room among them */
	uint32_t n_unserved; /* partitions of workers that do not work: stopped, paused, down */
	uint32_t n_clients; /* that live */
	uint64_t n_queued, n_finished;
};

/* Reads it; the look stays the caller's and must outlive it. Returns 0; -ENOMEM. */
RK_MUST_USE int rk_snapshot_take(struct rk_snapshot *s, const struct rk_look *look);
void rk_snapshot_free_p(struct rk_snapshot *s);

/* One slot alone; it is below the fleet's slots. */
struct rk_snapshot_worker rk_snapshot_worker(const struct rk_look *look, uint32_t slot);

/* Partitions whose jobs wait until their worker works again, or they are moved. */
uint32_t rk_snapshot_n_unserved(const struct rk_look *look);

/* Whether a slot in this state has, or shall have, a process. */
bool rk_snapshot_is_wanted(uint32_t state);

/* Ready to work, as far as anybody else can tell. */
bool rk_snapshot_is_ready(const struct rk_snapshot_worker *w);

#define RK_SNAPSHOT_STATE 32u

/*
 * A worker's state as all commands write it: the slot's, "/" and what the process says of itself
 * if that is another word; "suspended" if a signal or a debugger holds it. Returns text.
 */
const char *rk_snapshot_state(char text[static RK_SNAPSHOT_STATE],
			      const struct rk_snapshot_worker *w);

/*
 * "SIGKILL 12s ago (pid 815)"; "-" when nothing died in this slot. verdict: the words of the one by
 * which it was killed, "hung" for "killed: hung, 12s ago (pid 815)"; else NULL.
 */
const char *rk_snapshot_death(const struct rk_view_slot *slot, const char *verdict, uint64_t now_ns,
			      char *text, size_t size);

/* What ended a process: exit, signal, core or unknown. */
const char *rk_snapshot_cause(int32_t exit_code);

/* "SIGKILL", or "signal 34" where it has no name. */
const char *rk_snapshot_signal(int32_t signal, char *text, size_t size);

#endif
