/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remnant, list: one pass over /proc, and whose each orphan is.
 *
 * An orphan is a child of the root, or of its reaper; what is below it goes where it goes. It is a slot's if it, or
 * the nearest below it that has a mark, has the slot's: a mark is only ever inherited, so whatever stands above one
 * and below the root is of that slot too. A living worker is a child of the root as well, and has its own mark.
 *
 * Who       remnant.c; the functions may be asked by tests.
 * Blocking  never (procfs); allocates.
 */
#ifndef RK_SUPERVISOR_REMNANT_LIST_H
#define RK_SUPERVISOR_REMNANT_LIST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"

#define RK_REMNANT_NOBODY UINT32_MAX      /* of no slot, as far as can be seen */
#define RK_REMNANT_OTHER (UINT32_MAX - 1) /* of another fleet, or of none of the slots */

struct rk_remnant {
	pid_t pid, parent, session;
	uint64_t begun; /* ticks since the machine did: with the pid it is one process */
	char state;     /* as ps(1) has it */
	uint32_t slot;  /* whose it is; or NOBODY, OTHER */
};

struct rk_remnant_list {
	bool is_torn; /* the root has a child that is not in it, or was another one's then: it does not show all */
	struct rk_remnant *at; /* by pid, the smallest first */
	uint32_t n, n_room;
	uint32_t *queue; /* places, of as much room */
};

struct rk_remnant_roots {
	pid_t root;
	pid_t reaper; /* its children in our unit of systemd as well; 0 = none */
	uint32_t (*whose_mark)(pid_t pid, void *arg);
	uint32_t (*whose_session)(pid_t session, void *arg); /* of a leader that is dead */
	void *arg;
};

/* All processes, and whose they are. 0 or -errno. */
RK_MUST_USE int rk_remnant_list_read(struct rk_remnant_list *l, const struct rk_remnant_roots *roots);

/* The second half: of a list that was made. Pure but for what roots ask. */
void rk_remnant_list_assign(struct rk_remnant_list *l, const struct rk_remnant_roots *roots);

void rk_remnant_list_free(struct rk_remnant_list *l);

/* One process as it is now, of no slot. False: it is gone. */
bool rk_remnant_read(pid_t pid, struct rk_remnant *ret);

#endif
