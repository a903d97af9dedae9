/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/attach.h"

#include <errno.h>
#include <string.h>

static int attach_board(struct rk_shm *m, int fd, struct rk_segment *ret_head, struct rk_err *err)
{
	struct rk_geometry g;
	void *board;
	int r = rk_region_check(fd, RK_SEGMENT_BOARD, NULL, sizeof(struct rk_board), ret_head, err);

	if (r < 0)
		return r;
	r = rk_region_map(fd, 0, ret_head->size, false, NULL, &board, err);
	if (r < 0)
		return r;
	memcpy(&g, &((struct rk_board *)board)->geometry, sizeof(g));
	r = rk_geometry_check(&g, err);
	if (r == 0) {
		m->g = g;
		rk_layout_init(&g, &m->l);
		if (m->l.board_len != ret_head->size)
			r = rk_err_set(err, -EPROTO, "the board's size does not fit its geometry: refused");
	}
	if (r < 0) {
		rk_region_unmap(board, ret_head->size);
		return r < 0 ? -EPROTO : r;
	}
	m->board = board;
	return 0;
}

static int attach_one(struct rk_shm *m, const struct rk_attach_segment *s, const uint64_t fleet[2],
		      struct rk_err *err)
{
	uint64_t len = rk_layout_segment_len(&m->l, s->kind);
	struct rk_segment head;
	void *mapped;
	int r = rk_region_check(s->fd, s->kind, fleet, len, &head, err);

	if (r < 0 || !s->ret)
		return r;
	r = rk_region_map(s->fd, 0, len, s->writable, NULL, &mapped, err);
	if (r < 0)
		return r;
	*s->ret = mapped;
	return 0;
}

int rk_attach(struct rk_shm *m, int board_fd, const struct rk_attach_segment *segments, size_t n, struct rk_err *err)
{
	struct rk_segment head;
	int r;

	*m = (struct rk_shm){ 0 };
	r = attach_board(m, board_fd, &head, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = attach_one(m, &segments[i], head.fleet, err);
	if (r < 0)
		rk_detach(m);
	return r;
}

void rk_detach(struct rk_shm *m)
{
	rk_region_unmap(m->beats, m->l.beats_len);
	rk_region_unmap(m->calls, m->l.calls_len);
	rk_region_unmap(m->queues, m->l.queues_len);
	rk_region_unmap(m->parts, m->l.parts_len);
	rk_region_unmap(m->readers, m->l.readers_len);
	rk_region_unmap(m->dead, m->l.dead_len);
	rk_region_unmap(m->board, m->l.board_len);
	*m = (struct rk_shm){ 0 };
}
