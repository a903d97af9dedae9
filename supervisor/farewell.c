/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/farewell.h"

#include <fcntl.h>
#include <string.h>

#include "shm/board.h"
#include "supervisor/segments.h"

static void memory_end(const struct rk_held *h, uint64_t tag)
{
	int fd[RK_SEGMENT_KINDS];
	struct rk_segments s;

	memset(fd, 0xff, sizeof(fd));
	for (uint32_t i = 0; i < h->n; i++)
		for (enum rk_segment_kind kind = 1; kind < RK_SEGMENT_KINDS; kind++)
			if (h->at[i].kind == RK_LINK_MEMORY && h->at[i].tag == tag && fd[kind] < 0 &&
			    strcmp(h->at[i].name, rk_segment_name(kind)) == 0)
				fd[kind] = fcntl(h->at[i].fd, F_DUPFD_CLOEXEC, 0);
	if (rk_segments_adopt(&s, fd, NULL) < 0)
		return;
	rk_board_end(&s.m);
	rk_segments_close(&s);
}

void rk_farewell(const struct rk_held *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		if (h->at[i].kind == RK_LINK_MEMORY && strcmp(h->at[i].name, rk_segment_name(RK_SEGMENT_BOARD)) == 0)
			memory_end(h, h->at[i].tag);
}
