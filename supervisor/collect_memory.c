/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collect, memory: of one fleet, whose segments a worker had: its journal is made, keeper is given all of it, and only
 * then it says that it is complete.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shm/region.h"
#include "supervisor/collect.h"
#include "supervisor/fleet.h"

/* What a creator writes, beside what rk_collect_journal() does. */
static int journal_head(struct rk_journal *j, const int fd[RK_SEGMENT_KINDS], uint32_t number, const char *name)
{
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++) {
		struct stat st;

		if (fstat(fd[k], &st) < 0)
			return -errno;
		j->device = st.st_dev;
		j->inode[k] = st.st_ino;
	}
	j->layout = RK_JOURNAL_LAYOUT;
	j->number = number;
	j->keeper_pid = getppid();
	(void)snprintf(j->fleet, sizeof(j->fleet), "%s", name);
	return 0;
}

static int journal_make(struct rk_collected *c, struct rk_err *err)
{
	struct rk_segments s;
	struct rk_layout l;
	struct rk_board board;
	const struct rk_view *view;
	void *journal = NULL;
	int copy[RK_SEGMENT_KINDS], *fd = c->fd, r;
	uint32_t n_wanted = 0;

	if (pread(fd[RK_SEGMENT_BOARD], &board, sizeof(board), 0) != (ssize_t)sizeof(board))
		return rk_err_set(err, -EIO, "a worker's board cannot be read");
	r = rk_geometry_check(&board.geometry, err);
	if (r < 0)
		return r;
	rk_layout_init(&board.geometry, &l);
	r = rk_region_create(RK_SEGMENT_JOURNAL, l.journal_len, c->id, &fd[RK_SEGMENT_JOURNAL], err);
	if (r == 0)
		r = rk_region_map(fd[RK_SEGMENT_JOURNAL], 0, l.journal_len, true, NULL, &journal, err);
	if (r < 0)
		return r;
	r = journal_head(journal, fd, c->number, "?");
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		copy[k] = fcntl(fd[k], F_DUPFD_CLOEXEC, 3);
	if (r == 0)
		r = rk_segments_adopt(&s, copy, err);
	if (r < 0) {
		rk_region_unmap(journal, l.journal_len);
		return r;
	}
	view = rk_shm_view(&s.m, atomic_load_explicit(&s.m.board->view, memory_order_acquire) % RK_VIEWS);
	(void)snprintf(s.m.journal->fleet, RK_NAME_MAX, "%.*s", (int)sizeof(view->name) - 1, view->name);
	for (uint32_t i = 0; i < s.m.g.n_workers; i++) {
		uint32_t state = ((const struct rk_view_slot *)(view + 1))[i].state;

		if (state != RK_SLOT_EMPTY && state != RK_SLOT_STANDBY && state != RK_SLOT_DRAINED && state != RK_SLOT_STOPPED)
			n_wanted = i + 1;
	}
	rk_collect_journal(&s.m, n_wanted, c->whose, c->arg);
	rk_region_unmap(journal, l.journal_len);
	rk_segments_close(&s);
	return 0;
}

/* Keeper holds it from here on, and the store too; then it is as if keeper had handed it over. */
static int heirloom_add(struct rk_inherit *in, int link, uint32_t number, const char *name, int *fd)
{
	struct rk_link_msg about = { .op = RK_LINK_KEEP, .kind = RK_LINK_MEMORY, .tag = rk_link_memory_tag(number) };
	struct rk_heirloom *at = realloc(in->at, (in->n + 1) * sizeof(*at));
	int r;

	if (!at)
		return -ENOMEM;
	in->at = at;
	(void)snprintf(about.name, sizeof(about.name), "%s", name);
	r = rk_link_send(link, &about, *fd);
	if (r == 0)
		in->at[in->n++] = (struct rk_heirloom){ .about = about, .fd = rk_take_fd(fd) };
	return r;
}

/* Keeper has all of it: from here on it can be adopted. */
static int journal_complete(int fd)
{
	const uint32_t complete = 1;

	return pwrite(fd, &complete, sizeof(complete), offsetof(struct rk_journal, complete)) == (ssize_t)sizeof(complete) ? 0 : -errno;
}

/* Whether there is a fleet of the name that this journal has. */
static bool name_is_taken(const struct rk_inherit *in, int journal)
{
	struct rk_fleet_left other;
	struct rk_journal own;
	uint32_t at = 0;

	if (pread(journal, &own, sizeof(own), 0) != (ssize_t)sizeof(own))
		return false;
	while (rk_fleet_next_left(in, &at, &other))
		if (strncmp(own.fleet, other.name, sizeof(own.fleet)) == 0)
			return true;
	return false;
}

int rk_collect_memory(struct rk_collected *c, struct rk_inherit *in, int link, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int journal = -1;
	int r = journal_make(c, err);

	if (r < 0)
		return r;
	c->on_made(c->arg);
	if (name_is_taken(in, c->fd[RK_SEGMENT_JOURNAL]))
		return rk_err_set(err, -EEXIST, "the fleet has other memory");
	journal = fcntl(c->fd[RK_SEGMENT_JOURNAL], F_DUPFD_CLOEXEC, 3);
	for (enum rk_segment_kind k = 1; r == 0 && k < RK_SEGMENT_KINDS; k++)
		r = heirloom_add(in, link, c->number, rk_segment_name(k), &c->fd[k]);
	if (r == 0)
		r = heirloom_add(in, link, c->number, RK_FLEET_NEWS, &c->news);
	return r == 0 ? journal_complete(journal) : r;
}
