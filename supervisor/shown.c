/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/shown.h"

#include <string.h>

#include "base/cleanup.h"
#include "shm/region.h"

#define FLEETS_MAX 64u /* of one configuration */

static int held_fd(const struct rk_held *held, uint64_t tag, const char *name)
{
	for (uint32_t i = 0; i < held->n; i++)
		if (held->at[i].kind == RK_LINK_MEMORY && held->at[i].tag == tag && strcmp(held->at[i].name, name) == 0)
			return held->at[i].fd;
	return -1;
}

static void close_all(struct rk_board_shown *s)
{
	for (uint32_t i = 0; i < RK_BOARD_FDS; i++)
		rk_close_p(&s->fd[i]);
}

/* False: not all of it is held, or can be opened again. */
static bool fleet_open(const struct rk_held *held, uint64_t tag, struct rk_board_shown *ret)
{
	bool has_all = true;

	for (uint32_t i = 0; i < RK_BOARD_FDS; i++) {
		int fd = held_fd(held, tag, rk_segment_name(rk_board_kinds[i]));

		ret->fd[i] = fd < 0 ? -1 : rk_region_reopen_readonly(fd);
		has_all = has_all && ret->fd[i] >= 0;
	}
	if (!has_all)
		close_all(ret);
	return has_all;
}

void rk_shown_serve(int listening, const struct rk_board_message *about, const struct rk_held *held)
{
	struct rk_board_shown fleets[FLEETS_MAX] = { 0 };
	uint32_t n = 0;

	for (uint32_t i = 0; i < held->n && n < FLEETS_MAX; i++) {
		const struct rk_held_one *one = &held->at[i];

		if (one->kind == RK_LINK_MEMORY && strcmp(one->name, rk_segment_name(RK_SEGMENT_BOARD)) == 0 &&
		    fleet_open(held, one->tag, &fleets[n]))
			n++;
	}
	rk_board_socket_show(listening, about, fleets, n);
	while (n > 0)
		close_all(&fleets[--n]);
}
