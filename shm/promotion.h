/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promotion: what the supervisor and a standby say to each other, over a socket pair (SEQPACKET) that
 * nobody else holds an end of. A standby is a worker's process that has attached to the fleet and
 * parks: it takes no part in anything until it is ordered to become one slot's worker.
 *
 *   standby                           supervisor
 *   attached, warm: rk_promotion_parked() ---> may be promoted
 *   rk_promotion_await() sleeps           <--- rk_promotion_give(): slot, incarnation, its output
 *   takes the slot's lease, serves
 *
 * A socket, and not a word of shared memory: every worker may write to the beat pages, so one that
 * scribbles there could promote a standby (doc/adr/0008-standby-socket.md).
 *
 * Who       parked, await: the standby's job thread. hear, give: the supervisor's loop.
 * Crash     a message is received whole or not at all; the end of one side ends the other's wait.
 * Blocking  await sleeps until there is an order, or none can come any more; the others never do.
 */
#ifndef RK_SHM_PROMOTION_H
#define RK_SHM_PROMOTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"

/* As it goes over the socket, within one ABI version. */
struct rk_promotion {
	uint32_t worker;      /* slot that it becomes the worker of */
	uint32_t reserved;    /* zero */
	uint64_t incarnation; /* of that slot */
};

/* Standby: says that it may be promoted. 0 or -errno. */
RK_MUST_USE int rk_promotion_parked(int sock);

/*
 * Standby: sleeps until it is promoted. *ret_out is a descriptor for its output, which the caller
 * owns, or -1: it stays as it is. Returns 0; -EPIPE when the supervisor wants it no more, or is
 * gone; -EPROTO for what is no order.
 */
RK_MUST_USE int rk_promotion_await(int sock, struct rk_promotion *ret, int *ret_out);

/*
 * Supervisor: reads what a standby says. Returns 0: it has parked; -EAGAIN: nothing; -EPIPE: it is
 * gone, or has closed its end; -EPROTO for anything else.
 */
RK_MUST_USE int rk_promotion_hear(int sock);

/* Supervisor: promotes it. out: its output, borrowed; -1 as it is. 0; -errno: it knows nothing of it. */
RK_MUST_USE int rk_promotion_give(int sock, const struct rk_promotion *order, int out);

#endif
