/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/segments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/boot.h"
#include "base/cleanup.h"
#include "shm/call.h"
#include "shm/epoch.h"
#include "shm/part.h"
#include "shm/queue.h"
#include "shm/region.h"
#include "shm/words.h"

#define MIB (UINT64_C(1) << 20)

/* Whom the read-only descriptors are for: workers get the board, and the readers to hold, readers the others. */
static const enum rk_segment_kind readable[] = { RK_SEGMENT_BOARD, RK_SEGMENT_BEATS,
						 RK_SEGMENT_PARTS, RK_SEGMENT_QUEUES,
						 RK_SEGMENT_DEAD,  RK_SEGMENT_READERS };

static uint64_t mib_up(uint64_t bytes)
{
	return (bytes + MIB - 1) / MIB;
}

void rk_segments_describe(const struct rk_layout *l, char *text, size_t size)
{
	bool told[RK_SEGMENT_KINDS] = { false };
	size_t at;

	(void)snprintf(text, size,
		       "%llu MiB of shared memory:", (unsigned long long)mib_up(l->total_len));
	for (int rank = 0; rank < 4; rank++) {
		enum rk_segment_kind largest = 0;

		for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
			if (!told[k] &&
			    rk_layout_segment_len(l, k) > rk_layout_segment_len(l, largest))
				largest = k;
		if (rk_layout_segment_len(l, largest) < MIB)
			break;
		told[largest] = true;
		at = strlen(text);
		(void)snprintf(text + at, size - at, "%s %llu %s", rank ? "," : "",
			       (unsigned long long)mib_up(rk_layout_segment_len(l, largest)),
			       rk_segment_name(largest));
	}
	at = strlen(text);
	if (text[at - 1] == ':')
		text[at - 1] = '\0'; /* nothing worth a number */
}

uint64_t rk_segments_available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib = UINT64_MAX / 1024;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (f)
		(void)fclose(f);
	return kib * 1024;
}

static int room_check(const struct rk_layout *l, struct rk_err *err)
{
	uint64_t available = rk_segments_available();
	char what[160];

	if (l->total_len <= available)
		return 0;
	rk_segments_describe(l, what, sizeof(what));
	return rk_err_set(err, -ENOMEM,
			  "the fleet would reserve %s; available are %llu MiB: lower "
			  "--max-state, --partitions, --max-clients or --max-reply",
			  what, (unsigned long long)(available / MIB));
}

/* Where struct rk_shm keeps the address of a segment; NULL for those the supervisor never maps. */
static void **place_of(struct rk_shm *m, enum rk_segment_kind kind)
{
	switch (kind) {
	case RK_SEGMENT_BOARD:
		return (void **)&m->board;
	case RK_SEGMENT_BEATS:
		return (void **)&m->beats;
	case RK_SEGMENT_CALLS:
		return (void **)&m->calls;
	case RK_SEGMENT_QUEUES:
		return (void **)&m->queues;
	case RK_SEGMENT_PARTS:
		return (void **)&m->parts;
	case RK_SEGMENT_READERS:
		return (void **)&m->readers;
	case RK_SEGMENT_JOURNAL:
		return (void **)&m->journal;
	case RK_SEGMENT_DEAD:
		return (void **)&m->dead;
	case RK_SEGMENT_STATE:
	case RK_SEGMENT_KINDS:
		break;
	}
	return NULL;
}

static int segment_make(struct rk_segments *s, enum rk_segment_kind kind, struct rk_err *err)
{
	uint64_t len = rk_layout_segment_len(&s->m.l, kind);
	void **place = place_of(&s->m, kind);
	int r = rk_region_create(kind, len, s->fleet, &s->fd[kind], err);

	if (r < 0 || !place)
		return r;
	return rk_region_map(s->fd[kind], 0, len, true, NULL, place, err);
}

static void contents_init(struct rk_segments *s)
{
	struct rk_shm *m = &s->m;

	m->board->geometry = m->g;
	rk_boot_id(m->board->boot_id);
	m->board->epoch_mode = rk_epoch_probe();
	/* Relaxed: nobody else has the segment yet. 0 would look like "free" to the writer. */
	atomic_store_explicit(&m->board->epoch, 2, memory_order_relaxed);
	atomic_store_explicit(&m->board->incarnation, 1, memory_order_relaxed);
	atomic_store_explicit(&m->board->dead_after, RK_DEAD_AFTER, memory_order_relaxed);
	for (uint32_t p = 0; p < m->g.n_partitions; p++) {
		rk_queue_init(m, p, 0);
		rk_part_init(m, p, 0);
	}
	for (uint32_t c = 0; c < m->g.n_clients; c++)
		rk_page_init(m, c, 0);
}

static int readable_open(struct rk_segments *s, struct rk_err *err)
{
	for (size_t i = 0; i < rk_countof(readable); i++) {
		int fd = rk_region_reopen_readonly(s->fd[readable[i]]);

		if (fd < 0)
			return rk_err_set(err, fd, "segment %s: cannot open it for reading: %s",
					  rk_segment_name(readable[i]), strerror(-fd));
		s->fd_read[readable[i]] = fd;
	}
	return 0;
}

static int random_fill(void *to, size_t len, struct rk_err *err)
{
	ssize_t n = getrandom(to, len, 0);

	return n == (ssize_t)len ? 0 : rk_err_set(err, -EIO, "getrandom: %s", strerror(errno));
}

/* So that a successor knows them again. */
static int journal_begin(struct rk_segments *s, struct rk_err *err)
{
	struct rk_journal *j = s->m.journal;

	j->layout = RK_JOURNAL_LAYOUT;
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++) {
		struct stat st;

		if (fstat(s->fd[k], &st) < 0)
			return rk_err_set(err, -errno, "segment %s: %s", rk_segment_name(k), strerror(errno));
		j->device = st.st_dev;
		j->inode[k] = st.st_ino;
	}
	for (uint32_t p = 0; p < s->m.g.n_partitions; p++) /* Relaxed: nobody else has it. */
		atomic_store_explicit(rk_journal_owner(&s->m, p), RK_WORKER_NONE, memory_order_relaxed);
	return 0;
}

static int all_make(struct rk_segments *s, struct rk_err *err)
{
	int r = random_fill(s->fleet, sizeof(s->fleet), err);

	if (r == 0 && !s->m.g.hash_seed)
		r = random_fill(&s->m.g.hash_seed, sizeof(s->m.g.hash_seed), err);
	for (enum rk_segment_kind k = 1; r == 0 && k < RK_SEGMENT_KINDS; k++)
		r = segment_make(s, k, err);
	if (r == 0)
		r = journal_begin(s, err);
	if (r == 0)
		r = readable_open(s, err);
	return r;
}

int rk_segments_create(struct rk_segments *ret, const struct rk_geometry *g, struct rk_err *err)
{
	int r;

	*ret = (struct rk_segments){ .m.g = *g };
	memset(ret->fd, 0xff, sizeof(ret->fd));
	memset(ret->fd_read, 0xff, sizeof(ret->fd_read));
	rk_layout_init(g, &ret->m.l);
	r = room_check(&ret->m.l, err);
	if (r == 0)
		r = all_make(ret, err);
	if (r < 0) {
		rk_segments_close(ret);
		return r;
	}
	contents_init(ret);
	return 0;
}

/* ---- a dead supervisor's ---- */

/* The board's geometry is what all sizes follow from: read once, checked, then ours. */
static int geometry_adopt(struct rk_segments *s, struct rk_err *err)
{
	struct rk_segment head;
	struct rk_board board;
	int r = rk_region_check(s->fd[RK_SEGMENT_BOARD], RK_SEGMENT_BOARD, NULL, sizeof(board), &head, err);

	if (r < 0)
		return r;
	if (pread(s->fd[RK_SEGMENT_BOARD], &board, sizeof(board), 0) != (ssize_t)sizeof(board))
		return rk_err_set(err, -EPROTO, "segment board: cannot be read: %s", strerror(errno));
	r = rk_geometry_check(&board.geometry, err);
	if (r < 0)
		return -EPROTO;
	s->m.g = board.geometry;
	rk_layout_init(&s->m.g, &s->m.l);
	memcpy(s->fleet, head.fleet, sizeof(s->fleet));
	return 0;
}

static int segment_adopt(struct rk_segments *s, enum rk_segment_kind kind, struct rk_err *err)
{
	uint64_t len = rk_layout_segment_len(&s->m.l, kind);
	void **place = place_of(&s->m, kind);
	struct rk_segment head;
	int r = rk_region_check(s->fd[kind], kind, s->fleet, len, &head, err);

	if (r == 0 && head.size != len)
		r = rk_err_set(err, -EPROTO, "segment %s: its size does not fit the board's geometry: refused",
			       rk_segment_name(kind));
	if (r < 0 || !place)
		return r;
	return rk_region_map(s->fd[kind], 0, len, true, NULL, place, err);
}

/* Whether they are the very ones that the journal was made with. */
static int identity_check(const struct rk_segments *s, struct rk_err *err)
{
	const struct rk_journal *j = s->m.journal;

	if (j->layout != RK_JOURNAL_LAYOUT)
		return rk_err_set(err, -EPROTO, "its journal has layout %u and this program knows %u", j->layout,
				  RK_JOURNAL_LAYOUT);
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++) {
		struct stat st;

		if (fstat(s->fd[k], &st) < 0 || st.st_dev != j->device || st.st_ino != j->inode[k])
			return rk_err_set(err, -EPROTO, "segment %s is not the one that the journal names: refused",
					  rk_segment_name(k));
	}
	return 0;
}

int rk_segments_adopt(struct rk_segments *ret, int fd[RK_SEGMENT_KINDS], struct rk_err *err)
{
	uint8_t boot_id[16];
	int r;

	*ret = (struct rk_segments){ 0 };
	memset(ret->fd_read, 0xff, sizeof(ret->fd_read));
	ret->fd[0] = -1;
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		ret->fd[k] = rk_take_fd(&fd[k]);
	r = geometry_adopt(ret, err);
	for (enum rk_segment_kind k = 1; r == 0 && k < RK_SEGMENT_KINDS; k++)
		r = segment_adopt(ret, k, err);
	if (r == 0)
		r = identity_check(ret, err);
	rk_boot_id(boot_id);
	if (r == 0 && memcmp(ret->m.board->boot_id, boot_id, sizeof(boot_id)) != 0)
		r = rk_err_set(err, -EPROTO, "its memory is from before the last boot");
	if (r == 0)
		r = readable_open(ret, err);
	if (r < 0)
		rk_segments_close(ret);
	return r;
}

void rk_segments_close(struct rk_segments *s)
{
	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++) {
		void **place = place_of(&s->m, k);

		if (place) {
			rk_region_unmap(*place, rk_layout_segment_len(&s->m.l, k));
			*place = NULL;
		}
		rk_close_p(&s->fd[k]);
		rk_close_p(&s->fd_read[k]);
	}
}
