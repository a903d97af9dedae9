/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, inside: the handle of who only asks where a key lives. It maps the read-only board and
 * nothing else, and holds no connection, client page or reader's line: views are copied without one
 * (rk_board_copy()). So any number of processes may have one, and none is missed when it is killed.
 *
 *   find      the board's epoch is that of our states ─yes─> partition, route word, table
 *                                                     └no──> under the lock: copy the view, renew the states
 *
 * The table is made once: a text per slot (endpoints.h), and a state that is renewed.
 *
 * Who       rk_addresses_find() and _wait(): any thread. Two may renew the states at a time: one after the other.
 */
#ifndef RK_LIB_ADDRESSES_H
#define RK_LIB_ADDRESSES_H

#include <pthread.h>

#include "shm/layout.h"
#include "workers/lib/endpoints.h"

struct rk_addresses_slot {
	const char *text; /* of the endpoints */
	_Atomic uint32_t state; /* enum rk_address_state */
};

struct rk_addresses {
	struct rk_shm m; /* the board */
	const _Atomic uint64_t *epoch, *routes; /* of it */
	struct rk_addresses_slot *slots; /* and one behind them for what nobody has */
	_Atomic uint64_t seen; /* the board's epoch before the view was copied that the states are of; 1 = none */
	char *alive; /* a page that a fork wipes: 1 in the process that opened the handle */
	bool is_lent; /* the board is somebody else's */
	struct rk_endpoints endpoints;
	pthread_mutex_t lock;
	struct rk_view *view; /* under it: a copy */
};

/*
 * A handle on a board that is mapped already, and stays the caller's; the endpoints become the
 * handle's, on an error too. Returns 0 or -ENOMEM.
 */
RK_MUST_USE int rk_addresses_make(struct rk_addresses **ret, const struct rk_shm *m, struct rk_endpoints *endpoints);

#endif
