/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Beat: a worker's lease and what it says of itself.
 *
 * The lease is a robust, process-shared mutex that the worker's job thread
 * holds for life. When its holder dies the kernel marks the futex word
 * (FUTEX_OWNER_DIED) and wakes the one who waits on it: about 0.1 ms, whatever
 * the dead process's size. It also fires when the holder executes another
 * program; both ways its memory is out of reach from then on, if the process
 * had one thread. The supervisor judges that.
 *
 * Who       take: the worker's job thread. look, await: the watch thread. cancel,
 *           order: the supervisor.
 * Crash     that is its purpose.
 */
#ifndef RK_SHM_BEAT_H
#define RK_SHM_BEAT_H

#include "shm/layout.h"

/* In a beat page's `partition`: it runs no job, but waits for a sign of life of a program that it watches, `job` says which. */
#define RK_BEAT_SIGN UINT32_MAX

/* Worker: resets its page for a new incarnation and takes the lease. 0 or -errno. */
RK_MUST_USE int rk_beat_take(struct rk_beat *beat, uint64_t incarnation);

/* The lease's futex word. */
static inline _Atomic uint32_t *rk_beat_lease_word(struct rk_beat *beat)
{
	return (_Atomic uint32_t *)(void *)beat->lease;
}

enum rk_lease { RK_LEASE_NOBODY, RK_LEASE_HELD, RK_LEASE_DIED };

/*
 * Watch thread: how the lease stands; for HELD, sets the waiters bit, so that
 * the kernel wakes whoever waits for *ret_word.
 */
enum rk_lease rk_beat_look(struct rk_beat *beat, uint32_t *ret_word);

/*
 * Supervisor: asks the slot's process to end after its present job, or takes that back, before a
 * successor starts. Whoever asks rings (rk_bell_ring_stop()).
 */
void rk_beat_ask_stop(struct rk_beat *beat, bool wanted);

/*
 * Supervisor: asks the slot's process to run no further job until this is taken back; it goes on
 * handing partitions over. Whoever asks rings, too. Returns false, and changes nothing, where it was
 * asked to end, or for the same before.
 */
bool rk_beat_ask_pause(struct rk_beat *beat, bool wanted);

/* Worker: whether it was asked to. */
static inline bool rk_beat_is_pause_wanted(struct rk_beat *beat)
{
	/* As B2. */
	return atomic_load_explicit(&beat->stop, memory_order_seq_cst) == RK_BEAT_PAUSE;
}

/* Worker: whether it was asked to. */
static inline bool rk_beat_is_stop_wanted(struct rk_beat *beat)
{
	/* B2: seq_cst, behind `parked` (W1); pairs with B1: one of the two sees the other. */
	return atomic_load_explicit(&beat->stop, memory_order_seq_cst) == RK_BEAT_STOP;
}

/* Supervisor, after a confirmed death and before the slot starts again: nobody holds it. */
void rk_beat_reset_lease(struct rk_beat *beat);

/*
 * Supervisor: asks the worker to give this job up (rk_cancelled()). Advice: a
 * handler may not look; a word about another job than the one it runs means
 * nothing, so whoever writes it need not know whether that job has ended.
 */
void rk_beat_cancel(struct rk_beat *beat, uint32_t partition, uint64_t job);

/* Worker: whether it was asked to give this job up. */
bool rk_beat_is_cancelled(const struct rk_beat *beat, uint32_t partition, uint64_t job);

/*
 * Supervisor: orders a fault for the worker's next n_jobs (1 to RK_ORDER_JOBS_MAX), replacing
 * an earlier order. The worker obeys only where the board's allow_faults is set. An order that
 * nobody has taken ends with its process.
 */
void rk_beat_order(struct rk_beat *beat, enum rk_order what, uint32_t n_jobs, uint32_t ms);

/* Worker, at the start of a job: whether there is an order. The line is its own, and near. */
static inline bool rk_beat_has_order(const struct rk_beat *beat)
{
	/* Relaxed: the word is all there is of the order. */
	return atomic_load_explicit(&beat->order, memory_order_relaxed) != 0;
}

/* Worker: takes one job's share of the order, so that no later job has it too. What to do; *ret_ms of SLOW. */
enum rk_order rk_beat_take_order(struct rk_beat *beat, uint32_t *ret_ms);

/*
 * ---- keeper's lease ----
 *
 * Where workers outlive keeper (under systemd) each of them has to learn of its death without looking
 * by the clock: keeper holds a robust futex in the beat pages, as a worker does its own lease, and a
 * parked worker waits on that and its bell at once. The kernel wakes one waiter of a word, hence a word
 * for each worker. Where keeper has more than the kernel looks after, the others share that of page 0,
 * and whoever wakes there wakes the next.
 */

/* Keeper: it holds this page's, as thread `tid`, and whoever saw it dead sees it alive. */
void rk_beat_keep(struct rk_beat *beat, uint32_t tid);

/* The word that a worker waits on; NULL: it ends with keeper, or nothing tells of keeper's death. */
_Atomic uint32_t *rk_beat_keeper(const struct rk_shm *m, uint32_t worker);

/* Name of a declared state; "?" outside (it is the worker's word). */
const char *rk_beat_state_name(uint32_t state);

#endif
