/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/handover.h"

#include <errno.h>

#include "shm/bell.h"
#include "shm/evict.h"
#include "shm/part.h"

#define ASSIGN_TRIES 100 /* it fails only while somebody scribbles over the commit word */

int rk_handover_give(const struct rk_shm *m, uint32_t partition, uint32_t slot)
{
	int r = -EBUSY;

	for (int i = 0; r == -EBUSY && i < ASSIGN_TRIES; i++)
		r = rk_part_assign(m, partition, slot);
	if (r < 0)
		return r;
	rk_part_route(m, partition, slot, RK_ROUTE_UP);
	/* Whatever was published before the route changed: rung for or not, the new owner looks. */
	rk_bell_ring_partition(m, slot, partition);
	return 0;
}

static int ask(const struct rk_shm *m, const struct rk_member_move *move)
{
	int r = rk_part_ask(m, move->partition);

	return r < 0 ? r : RK_HANDOVER_ASKED;
}

int rk_handover_begin(const struct rk_shm *m, const struct rk_member_move *move)
{
	int r;

	if (move->is_live)
		return ask(m, move);
	r = move->is_copy ? rk_evict(m, move->partition, move->to)
			  : rk_handover_give(m, move->partition, move->to);
	return r < 0 ? r : RK_HANDOVER_DONE;
}

bool rk_handover_is_released(const struct rk_shm *m, const struct rk_member_move *move)
{
	return rk_part_is_released(m, move->partition);
}
