/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/vigil.h"

#include "shm/beat.h"
#include "shm/bell.h"

void rk_vigil_rouse(const struct rk_shm *m, uint32_t worker)
{
	/*
	 * V3: seq_cst, before the look at the bell; pairs with V2. Killed or
	 * stopped before the ring: `parked` of our own bell still stands, so the
	 * next one with work for us rings the guard.
	 */
	atomic_store_explicit(&rk_shm_beat(m, worker)->state, RK_BEAT_READY, memory_order_seq_cst);
	rk_bell_ring(rk_shm_vigil(m));
}

static bool is_marked(const struct rk_shm *m, uint32_t worker)
{
	_Atomic uint64_t *pending = rk_bell_pending(rk_shm_bell(m, worker));

	for (uint32_t i = 0; i < (m->g.n_partitions + 63) / 64; i++)
		/* V2: seq_cst, behind V1; pairs with P1. */
		if (atomic_load_explicit(pending + i, memory_order_seq_cst))
			return true;
	return false;
}

bool rk_vigil_has_work(const struct rk_shm *m, uint32_t worker)
{
	/* Its work waits with it: seq_cst as V2; whoever takes the pause back (B1) rings (rk_bell_ring_stop()). */
	return !rk_beat_is_pause_wanted(rk_shm_beat(m, worker)) && is_marked(m, worker);
}

bool rk_vigil_seems_asleep(const struct rk_shm *m, uint32_t worker)
{
	/* Acquire: no later look at its page is older. */
	return atomic_load_explicit(&rk_shm_bell(m, worker)->bell, memory_order_acquire) & RK_BELL_PARKED &&
	       !is_marked(m, worker);
}

bool rk_vigil_is_needless(const struct rk_shm *m, uint32_t worker, uint64_t incarnation)
{
	struct rk_beat *beat = rk_shm_beat(m, worker);

	/* V2: seq_cst, behind V1; pairs with V3. Of a predecessor nothing is believed: relaxed. */
	return atomic_load_explicit(&beat->state, memory_order_seq_cst) == RK_BEAT_PARKED &&
	       atomic_load_explicit(&beat->incarnation, memory_order_relaxed) == incarnation &&
	       !rk_vigil_has_work(m, worker);
}
