/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions: creating, checking and mapping the memfd behind a segment.
 *
 * Memory has no name in any file system (rule R1). A segment is sealed against
 * shrinking and growing the moment it exists, so that nobody can make our
 * loads fault; whoever is handed one checks the seals, the size and the head
 * before it maps a byte.
 *
 * Who       the creator is the supervisor; everybody else attaches.
 * Crash     a creator killed anywhere leaves a memfd that dies with it.
 * Blocking  never. Units bytes.
 */
#ifndef RK_SHM_REGION_H
#define RK_SHM_REGION_H

#include <stdbool.h>

#include "shm/layout.h"

/*
 * Creates a segment: memfd, size, head, seals. fleet is the fleet's random id.
 * Returns 0 and a descriptor the caller owns (close-on-exec); -errno.
 */
RK_MUST_USE int rk_region_create(enum rk_segment_kind kind, uint64_t len, const uint64_t fleet[2], int *ret_fd,
				 struct rk_err *err);

/*
 * Checks a descriptor from somebody else: a sealed memfd of this kind, ABI and,
 * unless fleet is NULL, fleet, at least min_len bytes long and as long as its
 * head says. Returns 0 and the head; -EPROTO with a sentence for a person.
 */
RK_MUST_USE int rk_region_check(int fd, enum rk_segment_kind kind, const uint64_t fleet[2], uint64_t min_len,
				struct rk_segment *ret_head, struct rk_err *err);

/*
 * Maps len bytes of a checked descriptor from offset on, shared; not inherited
 * by a forked child and not dumped in a core. fixed is NULL, or the address the
 * mapping must have (an error, never a replacement, if something is there).
 * Returns 0 and the address, which rk_region_unmap() gives back; -errno.
 */
RK_MUST_USE int rk_region_map(int fd, uint64_t offset, uint64_t len, bool writable, void *fixed, void **ret,
			      struct rk_err *err);

/* Accepts NULL. */
void rk_region_unmap(void *address, uint64_t len);

/*
 * Opens the same memory again for reading alone. Returns a descriptor the
 * caller owns, or -errno. Keeps an honest reader from writing by mistake; root
 * and the same uid could open it for writing again.
 */
RK_MUST_USE int rk_region_reopen_readonly(int fd);

#endif
