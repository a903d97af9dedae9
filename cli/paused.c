/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/paused.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/look.h"
#include "cli/snapshot.h"
#include "shm/beat.h"
#include "shm/queue.h"
#include "shm/route.h"
#include "shm/words.h"

#define PATIENCE_NS (RK_NS_PER_S / 2)

/* What an operator said stands in the worker's page; its state may be for another reason. */
static bool is_paused(const struct rk_look *l, uint32_t worker)
{
	return rk_look_slot(l, worker) && rk_beat_is_pause_wanted(rk_shm_beat(&l->m, worker));
}

static uint32_t owner_of(const struct rk_look *l, uint32_t partition)
{
	/* Acquire, as everybody who looks at a route. */
	return rk_route_worker(
		atomic_load_explicit(&rk_shm_routes(&l->m)[partition], memory_order_acquire));
}

static bool find(const struct rk_look *l, const char *key, uint32_t *ret_worker)
{
	uint32_t first = 0, n = l->m.g.n_partitions;

	if (key) {
		first = rk_route_partition(&l->m.g, key, strlen(key));
		n = 1;
	}
	for (uint32_t p = first; p < first + n; p++) {
		*ret_worker = owner_of(l, p);
		if (is_paused(l, *ret_worker) && (key || rk_queue_depth(&l->m, p)))
			return true;
	}
	return false;
}

bool rk_cli_paused(const char *fleet, const char *key, char text[static RK_PAUSED_TEXT])
{
	rk_cleanup(rk_look_close_p) struct rk_look l = RK_LOOK_NONE;
	struct rk_err err;
	uint32_t worker;

	text[0] = '\0';
	if (rk_look_open_until(&l, fleet, rk_clock_ns() + PATIENCE_NS, &err) < 0 ||
	    !find(&l, key, &worker))
		return false;
	(void)snprintf(text, RK_PAUSED_TEXT,
		       "worker %u is paused: 'rekindle resume %u' lets it go on", worker, worker);
	return true;
}
