/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attach: from descriptors somebody handed us to a checked, mapped struct rk_shm.
 *
 * Who       worker and client, once, at their start. Blocking: system calls only.
 */
#ifndef RK_LIB_ATTACH_H
#define RK_LIB_ATTACH_H

#include "shm/region.h"

/* One segment to map: its descriptor stays the caller's. */
struct rk_attach_segment {
	enum rk_segment_kind kind;
	int fd;
	bool writable;
	char **ret; /* where the pointer goes; NULL: checked, not mapped */
};

/*
 * Checks and maps the board, takes a private copy of its geometry and lays it
 * out; then each of the other segments. On an error nothing stays mapped.
 * Returns 0; -EPROTO with a sentence.
 */
RK_MUST_USE int rk_attach(struct rk_shm *m, int board_fd, const struct rk_attach_segment *segments, size_t n,
			  struct rk_err *err);

/* Unmaps what rk_attach() mapped. Accepts a zeroed struct. */
void rk_detach(struct rk_shm *m);

#endif
