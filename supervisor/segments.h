/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: the fleet's shared memory as its creator sees it.
 *
 * Who       the supervisor, once: before anybody else exists, or as a dead one's successor.
 * Crash     memory has no name: what a dead creator made is gone with keeper's copies.
 * Blocking  never; reads /proc/meminfo.
 * Units     bytes.
 *
 * All segments are mapped for writing but state, which only its owners map (rule R4).
 */
#ifndef RK_SUPERVISOR_SEGMENTS_H
#define RK_SUPERVISOR_SEGMENTS_H

#include "shm/layout.h"

struct rk_segments {
	struct rk_shm m;
	uint64_t fleet[2];             /* random id */
	int fd[RK_SEGMENT_KINDS];      /* read-write; [0] is unused */
	int fd_read[RK_SEGMENT_KINDS]; /* read-only for board, beats, parts, queues, dead, readers; else -1 */
};

/*
 * Creates, seals, maps and fills in every segment of a fleet with this (checked) geometry; its
 * hash seed, where the geometry has none (0), is chosen here. Returns 0; -ENOMEM when less memory is available than the fleet
 * reserves; -errno. On failure *ret is empty.
 */
RK_MUST_USE int rk_segments_create(struct rk_segments *ret, const struct rk_geometry *g,
				   struct rk_err *err);

/*
 * The memory of a fleet whose supervisor is dead: checks and maps what keeper held, fd[kind] of
 * each kind, which are taken over in any case. Every segment has to be the one that was made then:
 * its seals, its head, its size, and device and inode as the journal names them. Returns 0; -EPROTO with a
 * sentence; -errno. On failure *ret is empty.
 */
RK_MUST_USE int rk_segments_adopt(struct rk_segments *ret, int fd[RK_SEGMENT_KINDS], struct rk_err *err);

/* Bytes of memory available on this machine; UINT64_MAX when the kernel does not say. */
uint64_t rk_segments_available(void);

/* Unmaps and closes; accepts an empty or half-made one. */
void rk_segments_close(struct rk_segments *s);

/* Writes "51 MiB of shared memory: 36 state, 7 calls, …": what a fleet reserves, largest first. */
void rk_segments_describe(const struct rk_layout *l, char *text, size_t size);

#endif
