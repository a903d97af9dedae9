/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inherit: what keeper held for a dead supervisor, in its successor: how that one ended, and each
 * descriptor. Whoever adopts something takes its descriptor; what nobody took is given up at the
 * end, by keeper too.
 *
 * Who       the supervisor, at its start.
 * Crash     keeper has it all, and gives it to the next one.
 * Blocking  rk_inherit_receive() waits for keeper, which never waits for us; the rest never.
 */
#ifndef RK_SUPERVISOR_INHERIT_H
#define RK_SUPERVISOR_INHERIT_H

#include <stdbool.h>

#include "base/err.h"
#include "shm/abi.h"
#include "supervisor/link.h"

/* One thing; fd is -1 once it was taken. */
struct rk_heirloom {
	struct rk_link_msg about; /* kind, pid, tag, value, code, status, name */
	int fd;
};

/* Zero is the empty value: there was no predecessor. */
struct rk_inherit {
	struct rk_link_msg predecessor; /* pid 0 = none; code, status, name: as RK_LINK_BEGIN */
	struct rk_heirloom *at;
	uint32_t n;
};

/* Receives all. 0 or -errno with a sentence; *ret is the caller's in any case. */
RK_MUST_USE int rk_inherit_receive(int link, struct rk_inherit *ret, struct rk_err *err);

/* Whether somebody supervised before, or left memory, under this keeper, or under one that died as well. */
bool rk_inherit_is_successor(const struct rk_inherit *in);

/*
 * Memory of fleets. It can be adopted if it is whole: all of it is there, and the journal says that it was made to
 * the end. Of the rest no worker has ever run on what was half made; what a dead keeper's store has lost, the workers
 * have still (collect.h).
 */
bool rk_inherit_has_memory(const struct rk_inherit *in);
bool rk_inherit_is_whole(const struct rk_inherit *in, uint64_t tag);
bool rk_inherit_is_partial(const struct rk_inherit *in); /* any fleet's is not whole */

/* Reads a fleet's journal as it is now. False: it is not there. */
bool rk_inherit_journal(const struct rk_inherit *in, uint64_t tag, struct rk_journal *ret);

/* Gives up the memory of fleets that is not whole, and makes keeper do so. Returns of how many fleets. */
uint32_t rk_inherit_drop_partial(struct rk_inherit *in, int link);

/* Frees all; what nobody took is closed, and stays keeper's. */
void rk_inherit_close(struct rk_inherit *in);

/* The memory of this tag and name; NULL if there is none. */
struct rk_heirloom *rk_inherit_memory(struct rk_inherit *in, uint64_t tag, const char *name);

/* A process by its tag; a client's connection by its; NULL if there is none. */
struct rk_heirloom *rk_inherit_find(struct rk_inherit *in, enum rk_link_kind kind, uint64_t tag);

/* Tells keeper to forget each process and connection that was not taken, and kills the processes. */
void rk_inherit_forget_rest(struct rk_inherit *in, int link);

#endif
