/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orphan: a worker whose keeper is dead. Under systemd workers outlive keeper, and the next one is
 * there in some milliseconds. If none comes for OrphanTimeout there will be none: nobody would ever
 * start this worker again, upgrade it or stop it, so it ends by itself, between two jobs.
 *
 *   keeper lives --lease died--> counts --OrphanTimeout--> ends, status 75
 *        ^                         |
 *        +----- lease held again --+
 *
 * It notices by keeper's lease (shm/beat.h), on which it sleeps beside its bell; only while it counts
 * has it a deadline. Where workers end with keeper all of this does nothing.
 *
 * Who       the worker's job thread.
 * Units     CLOCK_MONOTONIC ns.
 */
#ifndef RK_LIB_ORPHAN_H
#define RK_LIB_ORPHAN_H

#include "shm/beat.h"

struct rk_orphan {
	uint64_t since_ns; /* keeper is known to be dead; 0 = it is not */
};

/* What to sleep on besides the bell, and until when: *deadline_ns may come nearer. NULL word: nothing. */
struct rk_orphan_sleep {
	const _Atomic uint32_t *word;
	uint32_t seen;
	uint64_t deadline_ns; /* 0 = none */
};

/* Whether keeper is dead, from now on or since a while. */
bool rk_orphan_look(struct rk_orphan *o, const struct rk_shm *m, uint32_t worker);

/* The same, and OrphanTimeout is over. */
bool rk_orphan_is_over(struct rk_orphan *o, const struct rk_shm *m, uint32_t worker);

/* Behind rk_bell_park(): how to sleep (rk_bell_wait_beside()) that would else end at deadline_ns. */
struct rk_orphan_sleep rk_orphan_sleep(struct rk_orphan *o, const struct rk_shm *m, uint32_t worker,
				       uint64_t deadline_ns);

#endif
