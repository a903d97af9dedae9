/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arena: an allocator inside a partition's state, under its undo log, so that
 * what a job allocates and frees commits or is undone with the job (DESIGN §7).
 *
 * It is the segregated fit of TLSF with boundary tags: a free list per size
 * class, four classes per power of two, found with a bitmap; neighbors that are
 * free become one block at once. Every word of it is saved in the undo log
 * before it changes. What the user's bytes were is saved only when the memory
 * was freed in the same commit (then an undo brings the old block back with
 * its contents); older free memory holds nothing that anybody could want back.
 *
 * Who       the partition's owner alone, inside a job: between rk_bank_begin()
 *           and the commit.
 * Crash     killed anywhere: the successor's roll back restores arena and
 *           contents as of the last commit. After any error but -ENOMEM and
 *           -EFAULT the caller rolls the job back, which undoes the half.
 * Damage    a handler may scribble over all of this; whatever is read is checked
 *           against private bounds and its neighbors' words, and answered with
 *           -EUCLEAN. Nothing loops over shared words without a bound.
 * Blocking  never; no allocation, no system call. Constant time but for zeroing
 *           what is handed out and saving it, and rk_arena_check().
 * Undo      rk_arena_alloc() at most RK_ARENA_ALLOC_UNDO entries, mostly 4,
 *           rk_arena_free() at most RK_ARENA_FREE_UNDO, 3 when no neighbor is
 *           free; none longer than 24 bytes but the contents of memory that the
 *           same commit freed.
 * Units     bytes; blocks count units of 16.
 *
 * Source: M. Masmano, I. Ripoll, A. Crespo, J. Real, TLSF: a new dynamic memory
 * allocator for real-time systems, ECRTS 2004.
 */
#ifndef RK_SHM_ARENA_H
#define RK_SHM_ARENA_H

#include "shm/state.h"

/* Of an arena of no use: head, end mark, and one block. */
#define RK_ARENA_MIN ((uint32_t)sizeof(struct rk_arena_head) + 3 * RK_ARENA_UNIT)

#define RK_ARENA_ALLOC_UNDO 8u
#define RK_ARENA_FREE_UNDO 10u

/* The owner's private view. */
struct rk_arena {
	struct rk_bank *bank;
	struct rk_arena_head *head;
	uint32_t end; /* place of the end mark */
	int error;    /* of the present operation */
};

/* What rk_arena_check() counts. */
struct rk_arena_figures {
	uint32_t n_used, n_free; /* blocks */
	uint64_t used_len;       /* bytes in used blocks, their 16 bytes of head included */
	uint64_t free_len;       /* the same of free ones */
	uint64_t largest_len;    /* most bytes that one rk_arena_alloc() can get */
};

/*
 * Makes a view of the arena in the last len bytes of the bank's state: there,
 * the state before it can grow. Nothing is written. Returns 0; -EINVAL when len
 * is less than RK_ARENA_MIN, or more than there is behind state_len.
 */
RK_MUST_USE int rk_arena_view(struct rk_arena *a, struct rk_bank *bank, uint64_t state_len,
			      uint64_t len);

/* Most bytes of arena that fit behind a state of state_len; 0 = none. */
uint64_t rk_arena_room(const struct rk_shm *m, uint64_t state_len);

/* An empty arena in a fresh state. Not under the undo log: killed in it, it is done again. */
void rk_arena_init(struct rk_arena *a);

/*
 * Allocates len zeroed bytes, aligned to 16, which the present job may write
 * without saving them. Returns 0; -ENOMEM when there is no room, nothing has
 * changed; -ENOSPC when the undo log is full; -EUCLEAN when the arena is damaged.
 */
RK_MUST_USE int rk_arena_alloc(struct rk_arena *a, size_t len, void **ret);

/*
 * Frees what rk_arena_alloc() returned. Returns 0, also for NULL; -EFAULT when p
 * is nothing that could be freed (freed before, not the beginning of a block,
 * outside), nothing has changed; -ENOSPC and -EUCLEAN as above.
 */
RK_MUST_USE int rk_arena_free(struct rk_arena *a, void *p);

/* Bytes that the block at p may hold, p from rk_arena_alloc(). */
size_t rk_arena_len(const struct rk_arena *a, const void *p);

/* Walks all of it. Returns 0 and its figures; -EUCLEAN when anything does not fit together. */
RK_MUST_USE int rk_arena_check(struct rk_arena *a, struct rk_arena_figures *ret);

#endif
