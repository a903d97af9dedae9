/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/bell.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shm/fault.h"
#include "shm/queue.h"
#include "shm/words.h"

void rk_bell_wake(_Atomic uint32_t *word)
{
	/* A wrong or unmapped word makes the call fail: there is nobody to wake then. */
	(void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Returns whether it was parked. */
static bool ring(_Atomic uint32_t *bell)
{
	/* P2: seq_cst load after the caller's work P1; pairs with W1. */
	if (!(atomic_load_explicit(bell, memory_order_seq_cst) & RK_BELL_PARKED))
		return false;
	/* Adding changes the word, so a consumer between W1 and its futex call does not fall asleep. */
	atomic_fetch_add_explicit(bell, 2, memory_order_seq_cst);
	rk_bell_wake(bell);
	return true;
}

void rk_bell_ring(_Atomic uint32_t *bell)
{
	(void)ring(bell);
}

/* One that is stopped does not wake: somebody has to notice (V3 in vigil.h, for who cannot say it himself). */
static void ring_worker(const struct rk_shm *m, uint32_t worker)
{
	if (ring(&rk_shm_bell(m, worker)->bell))
		(void)ring(rk_shm_vigil(m));
}

int rk_bell_wait(_Atomic uint32_t *bell, uint32_t parked, uint64_t deadline_ns)
{
	struct timespec at = { (time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u) };
	/* WAIT_BITSET takes an absolute CLOCK_MONOTONIC time. */
	long r = syscall(SYS_futex, bell, FUTEX_WAIT_BITSET, parked, deadline_ns ? &at : NULL, NULL,
			 FUTEX_BITSET_MATCH_ANY);

	if (r == 0 || errno == EAGAIN)
		return 0;
	return -errno;
}

int rk_bell_wait_beside(_Atomic uint32_t *bell, uint32_t parked, const _Atomic uint32_t *other, uint32_t seen,
			uint64_t deadline_ns)
{
	struct timespec at = { (time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u) };
	struct futex_waitv waits[2] = {
		{ .val = parked, .flags = FUTEX_32, .uaddr = (uintptr_t)bell },
		{ .val = seen, .flags = FUTEX_32, .uaddr = (uintptr_t)other },
	};

	if (!other)
		return rk_bell_wait(bell, parked, deadline_ns);
	/* Says which one woke us, or EAGAIN when one had changed before. */
	if (syscall(SYS_futex_waitv, waits, 2, 0, deadline_ns ? &at : NULL, CLOCK_MONOTONIC) >= 0 || errno == EAGAIN)
		return 0;
	return -errno;
}

void rk_bell_ring_partition(const struct rk_shm *m, uint32_t worker, uint32_t partition)
{
	_Atomic uint64_t *word;
	uint64_t bit = 1ull << partition % 64;

	if (worker >= m->g.n_workers)
		return;
	word = rk_bell_pending(rk_shm_bell(m, worker)) + partition / 64;
	/*
	 * P1: a bit found set will be cleared before the scan that finds our
	 * reference, since the consumer clears (O1, seq_cst) before its last scan.
	 */
	if (!(atomic_load_explicit(word, memory_order_seq_cst) & bit))
		atomic_fetch_or_explicit(word, bit, memory_order_seq_cst);
	RK_KILL_POINT(BELL_PENDING);
	ring_worker(m, worker);
}

void rk_bell_ring_owner(const struct rk_shm *m, uint32_t partition)
{
	/* seq_cst: after the reference is in the ring, so that a new owner that did not scan it is seen here. */
	uint64_t route = atomic_load_explicit(&rk_shm_routes(m)[partition], memory_order_seq_cst);

	rk_bell_ring_partition(m, rk_route_worker(route), partition);
}

void rk_bell_ring_stop(const struct rk_shm *m, uint32_t worker)
{
	ring_worker(m, worker);
}

void rk_bell_ring_pending(const struct rk_shm *m)
{
	for (uint32_t p = 0; p < m->g.n_partitions; p++)
		if (rk_queue_has_work(m, p))
			rk_bell_ring_owner(m, p);
}

/* Those who wait for room are told, and `parked` stands no more: who must wait longer says it again. */
static void clear_and_wake(_Atomic uint32_t *space, uint32_t word)
{
	/*
	 * One CAS changes the word and clears the bit, so that whoever parks
	 * after it (W1) sets it again, and whoever was about to sleep does not.
	 * Shown by doc/models/space_bell.pml.
	 */
	for (int round = 0; round < RK_BELL_ROUNDS; round++)
		if (atomic_compare_exchange_weak_explicit(space, &word, (word + 2) & ~RK_BELL_PARKED,
							  memory_order_seq_cst, memory_order_relaxed))
			break;
	rk_bell_wake(space);
}

void rk_bell_ring_space(struct rk_ring *ring)
{
	uint32_t word = atomic_load_explicit(&ring->space, memory_order_seq_cst);

	if (word & RK_BELL_PARKED)
		clear_and_wake(&ring->space, word);
}

void rk_bell_open_space(struct rk_ring *ring)
{
	clear_and_wake(&ring->space, atomic_load_explicit(&ring->space, memory_order_seq_cst));
}
