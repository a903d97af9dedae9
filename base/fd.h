/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors: their flags, whole writes, and passing them over unix sockets.
 *
 * What arrives on a socket is hostile input: received descriptors are close-on-exec, never
 * more than asked for stay open, and a message that did not fit is an error.
 *
 * Who       any process, any thread.
 * Blocking  as the descriptor says; never raises SIGPIPE on a socket.
 * Units     bytes.
 */
#ifndef RK_BASE_FD_H
#define RK_BASE_FD_H

#include <stddef.h>

#include "base/macro.h"

/* Most descriptors in one message. */
#define RK_FDS_MAX 16

/* Some descriptors; whoever holds the struct owns them. */
struct rk_fds {
	unsigned int n;
	int fd[RK_FDS_MAX];
};

/* Sets or clears the flag. Returns 0 or -errno. */
RK_MUST_USE int rk_fd_cloexec(int fd, int on);
RK_MUST_USE int rk_fd_nonblock(int fd, int on);

/* Writes all len bytes, over short writes and EINTR. Returns 0 or -errno (-EAGAIN: some may
 * have been written). */
RK_MUST_USE int rk_write_all(int fd, const void *buf, size_t len);

/*
 * A pipe whose two ends are one descriptor, non-blocking and close-on-exec: there is always somebody to read what
 * is written, and whoever may see it in /proc can open it again. Returns it, the caller's, or -errno.
 */
RK_MUST_USE int rk_fd_pipe(void);

/*
 * Sends one message of len ≥ 1 bytes with descriptors (fds may be NULL). The caller keeps
 * its descriptors. Returns 0 or -errno; -EMSGSIZE if a stream socket took only part of it.
 */
RK_MUST_USE int rk_fd_send(int sock, const void *buf, size_t len, const struct rk_fds *fds);

/*
 * Receives one message; the caller owns what comes in ret_fds. Without ret_fds, descriptors
 * are closed as they come. *ret_len is 0 at the end of the stream (or for an empty message).
 * Returns 0 or -errno; -EMSGSIZE if bytes or descriptors did not fit: the message is lost and
 * none of its descriptors stays open.
 */
RK_MUST_USE int rk_fd_recv(int sock, void *buf, size_t size, size_t *ret_len,
			   struct rk_fds *ret_fds);

/* Closes all and empties the struct; also a cleanup. */
void rk_fds_close_p(struct rk_fds *fds);

#endif
