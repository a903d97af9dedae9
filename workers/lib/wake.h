/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wake: makes a worker's bell a descriptor, for programs with an event loop of
 * their own.
 *
 * The job thread parks on its bell as ever, but instead of sleeping there it
 * arms a helper thread, which sleeps in its place and raises an eventfd when the
 * bell rings. Only the job thread says and unsays `parked`; so while it works,
 * clients do not ring, and nothing wakes anybody.
 *
 * Who       the worker's job thread; the helper touches nothing but the bell's
 *           word and the eventfd.
 * Crash     private to the process.
 * Blocking  never, but rk_wake_close(), which waits for the helper's end.
 */
#ifndef RK_LIB_WAKE_H
#define RK_LIB_WAKE_H

#include <pthread.h>

#include "shm/layout.h"
#include "workers/lib/orphan.h"

struct rk_wake {
	_Atomic uint32_t *bell;
	int event; /* -1 = not open */
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	uint32_t word;          /* of the bell, to sleep on */
	struct rk_orphan_sleep beside; /* and what else ends that sleep */
	uint64_t armed, served; /* how often, and how many of them the helper has begun with */
	bool closing;
};

/* Starts the helper. Returns 0 and a descriptor that is readable at first; -errno. */
RK_MUST_USE int rk_wake_open(struct rk_wake *w, _Atomic uint32_t *bell);

/* Parked with this word (rk_bell_park()): the descriptor is raised once the bell rings, or by what is beside it. */
void rk_wake_arm(struct rk_wake *w, uint32_t word, const struct rk_orphan_sleep *beside);

/* Raises the descriptor now; drains it. */
void rk_wake_raise(const struct rk_wake *w);
void rk_wake_drain(const struct rk_wake *w);

/* Ends the helper and closes the descriptor. Accepts one that is not open. */
void rk_wake_close(struct rk_wake *w);

#endif
