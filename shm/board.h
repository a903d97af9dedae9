/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Board: publishing views of the fleet. A view is a whole, immutable snapshot;
 * readers find it under an epoch (epoch.h).
 *
 * The writer keeps RK_VIEWS buffers. It fills a free one, publishes its index
 * and advances the epoch. With no buffer free, newer views are merged in the
 * writer's private copy and the readers in the way are named; route words and
 * client ids, one u64 each, go on regardless.
 *
 * Who       the supervisor's loop.
 * Crash     killed anywhere: the old or the new view is published, complete.
 * Blocking  never.
 */
#ifndef RK_SHM_BOARD_H
#define RK_SHM_BOARD_H

#include "shm/layout.h"

/* Tells whether a reader's owner is confirmed dead. */
typedef bool (*rk_board_is_dead)(uint32_t reader, void *arg);

struct rk_board_writer {
	const struct rk_shm *m;
	rk_board_is_dead is_dead;
	void *arg;
	uint64_t retired[RK_VIEWS]; /* epoch that must have passed everywhere; 0 = free */
	uint64_t version;
	uint64_t n_grace, n_coalesced;
	bool pending; /* the last publish found no buffer */
	uint32_t n_stalled;
	uint32_t stalled[7]; /* reader lines */
};

void rk_board_writer_init(struct rk_board_writer *w, const struct rk_shm *m, rk_board_is_dead is_dead, void *arg);

/*
 * After init, as a dead writer's successor: what it published stands, and each other buffer may be
 * read by somebody until a grace period has passed.
 */
void rk_board_writer_adopt(struct rk_board_writer *w);

/*
 * Publishes a copy of `view` (view_stride bytes; version, grace and stall
 * figures are filled in here). Returns true, or false when every buffer is
 * still held: `pending` is set, the stalled readers are listed, and the caller
 * publishes again later.
 */
bool rk_board_publish(struct rk_board_writer *w, const struct rk_view *view);

/*
 * The fleet has ended: its workers are gone and none will come. Tells every client, and wakes those that wait for a
 * reply, for room or for another view. Killed in between, a successor says it again.
 */
void rk_board_end(const struct rk_shm *m);

/* ---- readers ---- */

/*
 * Copies the published view (view_stride bytes) without a reader's line, for who has none: nobody
 * waits for him, so that the buffer may be written anew under him, which he sees, and tries again.
 * Needs no more than the read-only board. False when views came too fast for RK_BOARD_COPIES tries.
 */
#define RK_BOARD_COPIES 1000
bool rk_board_copy(const struct rk_shm *m, struct rk_view *to);

/* The futex that every publication, and the fleet's end, changes and wakes; its word is the mark. */
_Atomic uint32_t *rk_board_futex(const struct rk_shm *m);

/* What rk_board_await() compares: taken before a view is looked at. */
uint32_t rk_board_mark(const struct rk_shm *m);

/*
 * Sleeps until a view is published after `mark` was taken, or until deadline_ns on CLOCK_MONOTONIC
 * (0 = for ever); may wake for nothing. Needs no more than the read-only board.
 */
void rk_board_await(const struct rk_shm *m, uint32_t mark, uint64_t deadline_ns);

#endif
