/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Board socket: where keeper shows the boards of its fleets to who finds no supervisor to ask. It is
 * the file "board" of the runtime directory, a SOCK_SEQPACKET socket of mode 0600: for root and the
 * owner. Nothing is asked there.
 *
 *   connect; for each fleet, in the order they were begun, one message with RK_BOARD_FDS descriptors,
 *   all read-only, or a single message without any while there is no fleet; the end of the stream.
 *
 * Keeper's end is closed at once, and what was sent is read all the same: it remembers nobody, and a
 * reader that stands still holds up nobody. There is no reader's line among it, since only the
 * supervisor gives those: who comes this way copies views with rk_board_copy(), and may wait for the
 * next one on the board's futex. Which fleet a message is of its view says.
 *
 * Who       keeper: open, show. rekindle: connect, next.
 * Crash     a message is received whole or not at all; what is left of a dead keeper is replaced.
 * Blocking  keeper's side never. The reader's until the deadline.
 * Units     CLOCK_MONOTONIC ns.
 */
#ifndef RK_SHM_BOARD_SOCKET_H
#define RK_SHM_BOARD_SOCKET_H

#include "base/err.h"
#include "base/fd.h"
#include "shm/abi.h"

enum rk_board_fd {
	RK_BOARD_FD_BOARD,
	RK_BOARD_FD_BEATS,
	RK_BOARD_FD_PARTS,
	RK_BOARD_FD_QUEUES,
	RK_BOARD_FD_DEAD,
	RK_BOARD_FDS
};

#define RK_BOARD_MAGIC 0x6472616f626b72ull /* "rkboard", little endian */

struct rk_board_message {
	uint64_t magic;         /* RK_BOARD_MAGIC */
	uint32_t abi;           /* RK_ABI_VERSION, of whoever sends */
	uint32_t n_fleets;      /* messages on this connection; 0: this is the only one */
	uint32_t number;        /* of this one, from 0 */
	int32_t keeper_pid;
	int32_t supervisor_pid; /* 0 = there is none just now */
	uint32_t n_deaths;      /* of supervisors, so far, unless they were asked to end */
	uint64_t since_ns;      /* when this supervisor was started, or the last one died */
	char name[RK_NAME_MAX]; /* of the runtime directory */
};

/* Which segment each descriptor is of. */
extern const enum rk_segment_kind rk_board_kinds[RK_BOARD_FDS];

/* ---- keeper ---- */

/*
 * Makes the socket, in a directory that is ours and locked, in place of an older one, and listens.
 * Returns a non-blocking descriptor that the caller owns; -errno with a sentence.
 */
RK_MUST_USE int rk_board_socket_open(const char *name, struct rk_err *err);

/* One fleet's segments, opened again for reading alone (rk_region_reopen_readonly()). */
struct rk_board_shown {
	int fd[RK_BOARD_FDS];
};

/*
 * Shows n fleets to everybody who waits, at most RK_BOARD_GUESTS at a time, so that the caller's poll()
 * has its turn. Of `about` pids, deaths, since_ns and name are the caller's.
 */
#define RK_BOARD_GUESTS 16
void rk_board_socket_show(int listening, const struct rk_board_message *about, const struct rk_board_shown *fleets,
			  uint32_t n);

/* ---- rekindle ---- */

/* Connects. Returns a descriptor that the caller owns; -ENOENT, -ECONNREFUSED: there is no keeper that shows; -errno. */
RK_MUST_USE int rk_board_socket_connect(const char *name);

/*
 * Receives the next message. Returns 1, and what came in *ret and *ret_fds, which the caller owns: all
 * RK_BOARD_FDS descriptors, or none if there is no fleet; 0 behind the last one; -ETIMEDOUT; -EPROTO
 * what came is not of this release; -errno.
 */
RK_MUST_USE int rk_board_socket_next(int sock, uint64_t deadline_ns, struct rk_board_message *ret,
				     struct rk_fds *ret_fds);

#endif
