/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/beat.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>

#include "shm/bell.h"
#include "shm/words.h"

/* glibc's robust mutex begins with its futex word on every machine we know. */
static_assert(sizeof(pthread_mutex_t) <= sizeof(((struct rk_beat *)0)->lease), "the lease has no room");
static_assert(offsetof(pthread_mutex_t, __data.__lock) == 0, "the lease's futex word is not first");

static void reset_words(struct rk_beat *beat, uint64_t incarnation)
{
	/* Relaxed: read by people, or after READY. `cell` stays: a sweep may not have seen it. */
	atomic_store_explicit(&beat->job, 0, memory_order_relaxed);
	atomic_store_explicit(&beat->deadline_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&beat->calling_until_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&beat->beats, 0, memory_order_relaxed);
	atomic_store_explicit(&beat->cancel_job, 0, memory_order_relaxed); /* meant a job of the predecessor's */
	atomic_store_explicit(&beat->order, 0, memory_order_relaxed); /* the same */
	atomic_store_explicit(&beat->ready_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&beat->first_commit_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&beat->first_commit_job, 0, memory_order_relaxed);
	atomic_store_explicit(&beat->n_jobs, 0, memory_order_relaxed);
	atomic_store_explicit(&beat->n_errors, 0, memory_order_relaxed);
	atomic_store_explicit(&beat->n_without_effect, 0, memory_order_relaxed);
	atomic_store_explicit(&beat->n_rolled_back, 0, memory_order_relaxed);
	atomic_store_explicit(&beat->n_refused, 0, memory_order_relaxed);
	memset(beat->last_words, 0, sizeof(beat->last_words));
	atomic_store_explicit(&beat->state, RK_BEAT_STARTING, memory_order_relaxed);
	atomic_store_explicit(&beat->incarnation, incarnation, memory_order_release);
}

int rk_beat_take(struct rk_beat *beat, uint64_t incarnation)
{
	pthread_mutex_t *lease = (pthread_mutex_t *)(void *)beat->lease;
	pthread_mutexattr_t attributes;
	int r;

	reset_words(beat, incarnation);
	r = pthread_mutexattr_init(&attributes);
	if (r)
		return -r;
	(void)pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	(void)pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	r = pthread_mutex_init(lease, &attributes);
	(void)pthread_mutexattr_destroy(&attributes);
	return r ? -r : -pthread_mutex_lock(lease);
}

enum rk_lease rk_beat_look(struct rk_beat *beat, uint32_t *ret_word)
{
	_Atomic uint32_t *word = rk_beat_lease_word(beat);
	uint32_t w = atomic_load_explicit(word, memory_order_acquire);

	if (w & FUTEX_OWNER_DIED)
		return RK_LEASE_DIED;
	if (!(w & FUTEX_TID_MASK))
		return RK_LEASE_NOBODY;
	/* Without the bit the kernel would mark the word and wake nobody. */
	*ret_word = atomic_fetch_or_explicit(word, FUTEX_WAITERS, memory_order_acq_rel) | FUTEX_WAITERS;
	if (*ret_word & FUTEX_OWNER_DIED)
		return RK_LEASE_DIED;
	return RK_LEASE_HELD;
}

void rk_beat_ask_stop(struct rk_beat *beat, bool wanted)
{
	/* B1: seq_cst, before the look at `parked` (P2). */
	atomic_store_explicit(&beat->stop, wanted ? RK_BEAT_STOP : RK_BEAT_GO, memory_order_seq_cst);
}

bool rk_beat_ask_pause(struct rk_beat *beat, bool wanted)
{
	uint32_t from = wanted ? RK_BEAT_GO : RK_BEAT_PAUSE;

	/* As it should be; and a page that is only read is mapped with its neighbors. */
	if (atomic_load_explicit(&beat->stop, memory_order_relaxed) != from)
		return false;
	/* As B1; the supervisor alone writes it, so that it fails only where there is nothing to do. */
	return atomic_compare_exchange_strong_explicit(&beat->stop, &from, wanted ? RK_BEAT_PAUSE : RK_BEAT_GO,
						       memory_order_seq_cst, memory_order_relaxed);
}

void rk_beat_reset_lease(struct rk_beat *beat)
{
	/* Relaxed: its holder is dead and its successor not yet started. */
	atomic_store_explicit(rk_beat_lease_word(beat), 0, memory_order_release);
}

void rk_beat_cancel(struct rk_beat *beat, uint32_t partition, uint64_t job)
{
	/* Relaxed: advice that orders nothing; partition and job are one word. */
	atomic_store_explicit(&beat->cancel_job, rk_where(partition, job), memory_order_relaxed);
}

bool rk_beat_is_cancelled(const struct rk_beat *beat, uint32_t partition, uint64_t job)
{
	const _Atomic uint64_t *word = &beat->cancel_job;

	return atomic_load_explicit(word, memory_order_relaxed) == rk_where(partition, job);
}

void rk_beat_order(struct rk_beat *beat, enum rk_order what, uint32_t n_jobs, uint32_t ms)
{
	/* Relaxed: the word is all there is of it. */
	atomic_store_explicit(&beat->order, rk_orderword(what, n_jobs, ms), memory_order_relaxed);
}

/* What is left of an order behind one job. */
static uint64_t order_rest(uint64_t word)
{
	uint32_t n = rk_orderword_jobs(word);

	return n > 1 ? rk_orderword(rk_orderword_what(word), n - 1, rk_orderword_ms(word)) : 0;
}

enum rk_order rk_beat_take_order(struct rk_beat *beat, uint32_t *ret_ms)
{
	uint64_t word = atomic_load_explicit(&beat->order, memory_order_relaxed);

	/* Relaxed: as above. Fails only against a newer order, which the next job takes. */
	if (!atomic_compare_exchange_strong_explicit(&beat->order, &word, order_rest(word), memory_order_relaxed,
						     memory_order_relaxed))
		return RK_ORDER_NONE;
	*ret_ms = rk_orderword_ms(word);
	return rk_orderword_what(word);
}

void rk_beat_keep(struct rk_beat *beat, uint32_t tid)
{
	/* With the waiters bit for good: without it the kernel would mark the word and wake nobody. */
	atomic_store_explicit(&beat->keeper, tid | FUTEX_WAITERS, memory_order_release);
	rk_bell_wake(&beat->keeper);
}

_Atomic uint32_t *rk_beat_keeper(const struct rk_shm *m, uint32_t worker)
{
	struct rk_beat *own = rk_shm_beat(m, worker), *shared = rk_shm_beat(m, 0);

	/* Relaxed: a setting; and a lease, once taken, is in its page for good. */
	if (!atomic_load_explicit(&m->board->orphan_ms, memory_order_relaxed))
		return NULL;
	if (rk_likely(atomic_load_explicit(&own->keeper, memory_order_relaxed)))
		return &own->keeper;
	return atomic_load_explicit(&shared->keeper, memory_order_relaxed) ? &shared->keeper : NULL;
}

const char *rk_beat_state_name(uint32_t state)
{
	static const char *const names[] = { "starting", "ready", "running", "calling", "parked", "stopping" };

	static_assert(rk_countof(names) == RK_BEAT_STATES, "a name for every state");
	return state < RK_BEAT_STATES ? names[state] : "?";
}
