/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call: the client's half of the protocol (DESIGN §6, steps 1, 2, 6 and 7):
 * cells, sequences, and the outcome of a call from shared memory alone.
 *
 *            start                      worker
 *   IDLE ------------> WANT(s) --------------------> DONE(s)
 *    ^                  |  |                           |
 *    |   not applied    |  | time-out, WRITING:        | released after reading
 *    +------------------+  | set aside, go on in       |
 *    |                     v a spare cell              |
 *    +-------------------------------------------------+
 *
 * A slot has at most one outstanding call; (client id, slot, sequence) is what
 * the workers deduplicate by. A cell starts a new call only when no ring names
 * it. A withdrawn (tombed) sequence is never sent again.
 *
 * Who       one client for its own page; its threads serialize among
 *           themselves. rk_page_*: the supervisor, after the client's
 *           confirmed death.
 * Crash     killed anywhere: nobody is held up; a successor of the same name
 *           finds its calls with rk_call_resume(); see kill points CALL_*.
 * Blocking  never.
 * Units     lengths in bytes, times in CLOCK_MONOTONIC ns, sequences count
 *           from 1 and never repeat within a page.
 */
#ifndef RK_SHM_CALL_H
#define RK_SHM_CALL_H

#include "shm/queue.h"

/* A client's private view of its page. */
struct rk_caller {
	const struct rk_shm *m;
	uint32_t page;
	uint64_t id;
	uint32_t hand; /* where the search for a free cell goes on */
};

/* What to send; the caller keeps everything it points to. */
struct rk_call_request {
	const void *key;
	uint32_t key_len;
	const void *body;
	uint32_t len;
	uint32_t partition;
	uint64_t deadline_ns; /* 0 = none */
	uint64_t tag;
};

/* One outstanding call; private to the client. */
struct rk_call {
	uint32_t slot;
	uint32_t cell;
	uint32_t partition;
	uint64_t sequence;
	bool withdrawn; /* a reference of it was tombed, or its cell set aside */
	bool repeated;  /* a second reference to its cell may be in a ring */
};

enum rk_call_state {
	RK_CALL_PENDING,     /* wanted; a ring names it */
	RK_CALL_TAKEN,       /* a worker has it: its outcome will come */
	RK_CALL_WRITING,     /* its reply is being written */
	RK_CALL_AGAIN,       /* applied, its reply must be asked for again, and the ring was full: look again soon */
	RK_CALL_DONE,        /* the reply is in the cell */
	RK_CALL_NOT_APPLIED, /* certain: it was not and will not be applied */
};

enum rk_call_start {
	RK_CALL_STARTED,
	RK_CALL_FULL,     /* the ring was full: not applied */
	RK_CALL_NO_CELL,  /* every cell is still named by a ring or being written: not applied */
	RK_CALL_WORN_OUT, /* the page has used all its 2^50 sequences */
};

/* Starts a call in a slot that has none. The caller checked the lengths against the geometry. */
RK_MUST_USE enum rk_call_start rk_call_start(struct rk_caller *c, uint32_t slot, const struct rk_call_request *request,
					     struct rk_call *ret);

/*
 * Where a call stands. NOT_APPLIED is final: the cell is IDLE and the sequence
 * is closed. A call found applied but undeliverable is published again here,
 * in a spare cell (call->cell changes) while an evicted worker holds its own.
 */
enum rk_call_state rk_call_look(struct rk_caller *c, struct rk_call *call);

/*
 * The call's time is up: withdraws what no worker has taken; sets a cell aside
 * that a worker is writing (it may be stopped for ever) and goes on in a spare.
 * Returns the state after that; anything but DONE and NOT_APPLIED means that
 * the outcome is unknown for now.
 */
enum rk_call_state rk_call_expire(struct rk_caller *c, struct rk_call *call);

/*
 * Asks again for a call that a worker has TAKEN: a second reference with the
 * same sequence, once. Returns whether it was published.
 */
bool rk_call_again(struct rk_caller *c, struct rk_call *call);

/* A DONE call's reply; bytes stay in the shared cell until rk_call_release(). */
struct rk_call_reply {
	const void *bytes;
	uint32_t len;
	int error; /* 0 or the handler's errno, negative */
	uint64_t job;
};

/* Reads a DONE call. Lengths are checked; the bytes are the worker's and may be anything. */
void rk_call_reply(const struct rk_caller *c, const struct rk_call *call, struct rk_call_reply *ret);

/* The reply is read: closes the sequence and frees the cell. */
void rk_call_release(struct rk_caller *c, struct rk_call *call);

/* The tag the call was started with. */
uint64_t rk_call_tag(const struct rk_caller *c, const struct rk_call *call);

/*
 * Finds the calls a predecessor of this page left open: at most one per slot.
 * ret has room for n_slots. Returns how many.
 */
uint32_t rk_call_resume(struct rk_caller *c, struct rk_call *ret);

/* ---- supervisor ---- */

/* Creator: a page that nobody had yet; sequences begin after `first` (0 but in tests of the wrap). */
void rk_page_init(const struct rk_shm *m, uint32_t page, uint64_t first);

/*
 * Frees a dead client's page for another client: true when no ring holds a
 * reference recorded in its cells and no cell is being written; its cells are
 * IDLE then. False: try again after the workers have got on. The caller then
 * publishes the new client's id on the board.
 */
RK_MUST_USE bool rk_page_try_free(const struct rk_shm *m, uint32_t page);

/* Whether a dead client's page holds calls or replies that its successor would resume. */
bool rk_page_has_calls(const struct rk_shm *m, uint32_t page);

#endif
