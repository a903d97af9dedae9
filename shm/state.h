/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State: a partition's bank - undo log, dedup table, user's state - and the
 * operations that make a job all or nothing (DESIGN §7).
 *
 * Old bytes go to the log before new ones go to the state. The log's word
 * carries the full number of the job it belongs to, so that moving the cursor
 * (the commit) and emptying the log are one and the same store. Within one job
 * number the log only grows: neither a roll-back nor an abort shortens it,
 * since an eviction may be copying it. A re-run finds the entries of the runs
 * before it; as long as it saves what they saved, in their order, it writes
 * none of its own, so a job may be killed for ever and never fills the log.
 *
 * Who       the partition's owner alone; a successor after its owner's
 *           confirmed death.
 * Crash     killed anywhere: rk_bank_roll_back() by the successor restores the
 *           state as of the last commit, and may itself be killed and repeated.
 * Blocking  never; no allocation, no system call.
 * Units     bytes; offsets count from the bank's guarded area.
 *
 * Source: undo logging with the transaction's number in the log's length word,
 * prototypes/killtest.c.
 */
#ifndef RK_SHM_STATE_H
#define RK_SHM_STATE_H

#include "shm/layout.h"

/* The owner's private view of one bank. */
struct rk_bank {
	const struct rk_shm *m;
	struct rk_log *log;
	struct rk_log_entry *entries;
	char *log_data;
	char *guarded; /* bank head, dedup index, dedup entries, state */
	struct rk_bank_head *head;
	uint16_t *index; /* by caller: dedup entry + 1, 0 = none; a hint that the entry confirms */
	char *state;
	uint64_t *applied;   /* by caller: the last sequence applied here */
	uint64_t job;        /* whose undo entries are being written */
	uint32_t n_entries;  /* as the log word says, while it carries `job` */
	uint32_t n_before;   /* of those, left by runs before this one, all undone; 0 when they are pinned */
	uint32_t n_same;     /* of those, saved again by this run, in the same order; n_before once it differed */
	uint32_t data_used;  /* bytes of log data behind those entries */
	uint32_t n_entries_max, data_max; /* how far the log may be filled: rk_bank_allow() */
};

/* A place in the log to roll back to within a job. */
struct rk_savepoint {
	uint32_t n_entries;
};

/* Makes a view of a mapped bank. Nothing is written. */
void rk_bank_view(struct rk_bank *b, const struct rk_shm *m, void *mapped);

/*
 * Restores what the unfinished job at `cursor` changed, if there was one, and
 * prepares the log for its re-run. Idempotent. Returns true if anything was
 * undone. Entries that do not lie inside the bank (damaged memory) are skipped.
 */
bool rk_bank_roll_back(struct rk_bank *b, uint64_t cursor);

/* Starts the log of the jobs from `cursor` on that will commit together; one that is begun goes on. */
void rk_bank_begin(struct rk_bank *b, uint64_t cursor);

/*
 * Makes what the log holds a part of the coming commit: no run of the job undoes
 * it, and what the job saves is appended and undone by savepoints; so it may fill
 * the log if it is killed again and again. For changes that were made between
 * rk_bank_roll_back() and the first job (an upgrade).
 */
void rk_bank_pin(struct rk_bank *b);

/*
 * How much of the log the coming job may fill: all of it when it is the first
 * of its commit, half when it shares one. Nothing shortens the log, so after a
 * death inside a batch the first job runs again behind what the batch had
 * saved, and must find room there.
 */
void rk_bank_allow(struct rk_bank *b, bool alone);

/*
 * Saves len bytes of the guarded area before they change. Returns 0; -EFAULT
 * if they do not lie inside it; -ENOSPC when the log is full, or as full as is
 * allowed (nothing saved).
 */
RK_MUST_USE int rk_bank_save(struct rk_bank *b, const void *at, size_t len);

/* Where the log stands now. */
static inline struct rk_savepoint rk_bank_savepoint(const struct rk_bank *b)
{
	return (struct rk_savepoint){ b->n_entries };
}

/*
 * Undoes what was saved since; the log keeps its entries. If that was everything,
 * what comes next is a re-run. Not in a re-run (rk_bank_is_rerun()).
 */
void rk_bank_roll_back_to(struct rk_bank *b, struct rk_savepoint s);

/* Whether runs before this one left entries: then only all of them can be undone. */
static inline bool rk_bank_is_rerun(const struct rk_bank *b)
{
	return b->n_before != 0;
}

/* Undoes everything since the last commit; what comes next is a re-run. */
void rk_bank_restart(struct rk_bank *b);

/* The dedup entry with this index. */
static inline struct rk_dedup *rk_bank_dedup(const struct rk_bank *b, uint32_t i)
{
	return (struct rk_dedup *)(b->guarded + b->m->l.guarded_dedup + i * b->m->l.dedup_stride);
}

/* The entry with the reply to a caller's last applied sequence, or NULL: it was delivered or read. */
struct rk_dedup *rk_bank_dedup_find(const struct rk_bank *b, uint32_t caller);

/*
 * Makes this the caller's applied sequence, and gives it an entry for its reply:
 * its own, or one that nobody needs any more, since its reply lies in its
 * client's cell or was read, or its client is gone, or its job was rolled back.
 * Returns 0; -EBUSY when every entry holds a reply still on its way; -ENOSPC
 * when the log is full. Nothing is to be undone after an error.
 */
RK_MUST_USE int rk_bank_dedup_claim(struct rk_bank *b, uint32_t caller, uint64_t sequence, struct rk_dedup **ret);

#endif
