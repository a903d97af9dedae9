/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/orphan.h"

#include <linux/futex.h>

#include "base/clock.h"
#include "shm/bell.h"

static uint64_t end_ns(const struct rk_orphan *o, const struct rk_shm *m)
{
	/* Relaxed: a setting. */
	return o->since_ns + atomic_load_explicit(&m->board->orphan_ms, memory_order_relaxed) * RK_NS_PER_MS;
}

/* By a word that was read once. */
static bool look(struct rk_orphan *o, _Atomic uint32_t *word, uint32_t seen)
{
	if (rk_likely(!(seen & FUTEX_OWNER_DIED))) {
		o->since_ns = 0;
		return false;
	}
	if (o->since_ns)
		return true;
	o->since_ns = rk_clock_ns();
	rk_bell_wake(word); /* the kernel has woken one of those who share it */
	return true;
}

bool rk_orphan_look(struct rk_orphan *o, const struct rk_shm *m, uint32_t worker)
{
	_Atomic uint32_t *word = rk_beat_keeper(m, worker);

	/* Relaxed: the word is all there is of it. */
	return word && look(o, word, atomic_load_explicit(word, memory_order_relaxed));
}

bool rk_orphan_is_over(struct rk_orphan *o, const struct rk_shm *m, uint32_t worker)
{
	return rk_unlikely(rk_orphan_look(o, m, worker)) && rk_clock_ns() >= end_ns(o, m);
}

struct rk_orphan_sleep rk_orphan_sleep(struct rk_orphan *o, const struct rk_shm *m, uint32_t worker,
				       uint64_t deadline_ns)
{
	_Atomic uint32_t *word = rk_beat_keeper(m, worker);
	struct rk_orphan_sleep s = { .word = word, .deadline_ns = deadline_ns };

	if (!word)
		return s;
	s.seen = atomic_load_explicit(word, memory_order_relaxed);
	if (look(o, word, s.seen))
		s.deadline_ns = deadline_ns ? rk_min_u64(deadline_ns, end_ns(o, m)) : end_ns(o, m);
	return s;
}
