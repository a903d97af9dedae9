/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bells: waking a process that sleeps on a futex in shared memory, without
 * ever losing a wake-up, whoever is killed in between.
 *
 * A bell is parked:1 | changes:31. The consumer alone sets and clears `parked`
 * (of those who wait for room in a ring there are several; their ringer clears).
 * A ringer that sees it set adds 2, which changes the word a sleeper waits
 * for, and wakes. Ordering: the consumer sets `parked` and then looks for work
 * once more (W1, W2); the producer makes work and then looks at the bell (P1,
 * P2); all four are sequentially consistent, so at least one sees the other.
 *
 * A producer killed after making work and before ringing leaves the sleeper
 * asleep: whoever confirms its death rings (rk_bell_ring_pending()). One
 * killed after adding and before waking is made good by any later ring, since
 * `parked` still stands.
 *
 * Who       any process for ringing, the bell's consumer for the rest.
 * Blocking  rk_bell_wait() sleeps; the others make at most one futex call.
 */
#ifndef RK_SHM_BELL_H
#define RK_SHM_BELL_H

#include "shm/layout.h"

#define RK_BELL_PARKED 1u
/* A word that changes this often under us is damaged or played with: whoever parks does not sleep then. */
#define RK_BELL_ROUNDS 100000

/* Wakes the consumer if it is parked. Call after the work is visible. */
void rk_bell_ring(_Atomic uint32_t *bell);

/*
 * Consumer: announces that it is about to sleep; returns the word to pass to
 * rk_bell_wait(). After this and before waiting it looks for work again.
 */
static inline uint32_t rk_bell_park(_Atomic uint32_t *bell)
{
	uint32_t word = atomic_load_explicit(bell, memory_order_relaxed), parked = 0;

	/*
	 * W1: seq_cst against P2 in rk_bell_ring(); see above. The word changes
	 * even if somebody is parked already: where several wait, a ringer that
	 * woke the others must not take `parked` away from this one.
	 */
	for (int round = 0; round < RK_BELL_ROUNDS; round++) {
		parked = (word | RK_BELL_PARKED) + 2;
		if (atomic_compare_exchange_weak_explicit(bell, &word, parked, memory_order_seq_cst,
							  memory_order_relaxed))
			break;
	}
	return parked;
}

/* Consumer: is awake again. */
static inline void rk_bell_unpark(_Atomic uint32_t *bell)
{
	/* Relaxed: a ringer that still sees `parked` makes one needless call. */
	atomic_fetch_and_explicit(bell, ~RK_BELL_PARKED, memory_order_relaxed);
}

/*
 * Consumer: sleeps until the bell is rung, a signal, or deadline_ns on
 * CLOCK_MONOTONIC (0 = for ever). Returns 0 when woken or the word has changed,
 * -ETIMEDOUT, -EINTR.
 */
int rk_bell_wait(_Atomic uint32_t *bell, uint32_t parked, uint64_t deadline_ns);

/* The same, but a change of another word from `seen` ends it too; other may be NULL. */
int rk_bell_wait_beside(_Atomic uint32_t *bell, uint32_t parked, const _Atomic uint32_t *other, uint32_t seen,
			uint64_t deadline_ns);

/* Wakes everybody who waits on a word, which has changed. */
void rk_bell_wake(_Atomic uint32_t *word);

/*
 * Marks a partition as having work for this worker and rings it if parked, and
 * then the supervisor's guard too, if that has parked (vigil.h).
 */
void rk_bell_ring_partition(const struct rk_shm *m, uint32_t worker, uint32_t partition);

/*
 * After publishing into a partition: rings its present owner. A new owner
 * scans everything after the route change, so a missed change costs nothing.
 */
void rk_bell_ring_owner(const struct rk_shm *m, uint32_t partition);

/* Wakes a parked worker that was asked to end. Supervisor. */
void rk_bell_ring_stop(const struct rk_shm *m, uint32_t worker);

/* Rings every parked worker that owns a partition with published references. Supervisor, after a death. */
void rk_bell_ring_pending(const struct rk_shm *m);

/*
 * Owner: rings those who wait for room in a partition's ring, if any. Many may
 * wait there, so it is the ringer that clears `parked`.
 */
void rk_bell_ring_space(struct rk_ring *ring);

/* A new owner: the same, also if nobody says `parked`; its predecessor may have died between clearing and waking. */
void rk_bell_open_space(struct rk_ring *ring);

#endif
