/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handover: one partition from one slot to another, as member.h says which (DESIGN §8):
 *
 *   no process at the old slot   assign - route - ring                          at once
 *   a live one (is_live)         ask - it releases between two jobs (news) - assign - route - ring
 *   a stuck one (is_copy)        evict (shm/evict.h): the new owner copies         at once
 *
 * Nobody waits: clients go on publishing, jobs stay in the ring, and the new owner scans it all
 * once it is rung behind the new route.
 *
 * Who       the crew.
 * Crash     the owner word tells a successor how far it got: RUN or STOP, the old slot has it;
 *           RELEASED, nobody, and it may be assigned; COPY, the new one.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_HANDOVER_H
#define RK_SUPERVISOR_HANDOVER_H

#include "shm/layout.h"
#include "supervisor/member.h"

enum rk_handover {
	RK_HANDOVER_DONE = 0,
	RK_HANDOVER_ASKED, /* rk_handover_finish() when there is news */
};

/* Begins a move. Returns enum rk_handover; -ESTALE: nobody runs the partition; -EBUSY: its words do
 * not stand still, or there is no bank to copy into. */
RK_MUST_USE int rk_handover_begin(const struct rk_shm *m, const struct rk_member_move *move);

/* Whether the old owner of a move that was begun has let go. */
bool rk_handover_is_released(const struct rk_shm *m, const struct rk_member_move *move);

/* Gives a partition that nobody runs to a slot, and its clients the way there. 0 or -EBUSY. */
RK_MUST_USE int rk_handover_give(const struct rk_shm *m, uint32_t partition, uint32_t slot);

#endif
