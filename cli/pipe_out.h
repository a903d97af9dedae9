/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipe out: answers to standard output, a line each, in big blocks. Nobody is stuck in a write to
 * somebody who does not read: before each the caller is asked to wait.
 *
 * Who       rekindle, one thread. SIGPIPE is ignored.
 * Blocking  only in the caller's wait.
 */
#ifndef RK_CLI_PIPE_OUT_H
#define RK_CLI_PIPE_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macro.h"

struct rk_pipe_out {
	int fd;
	bool is_file; /* takes any amount at once */
	char *room;
	size_t len;
	int error; /* 0, or -errno: what comes is dropped */
	/* Waits until the descriptor takes something. Returns 0; a negative errno to give up. */
	int (*wait)(void *arg, int fd);
	void *arg;
};

/* Returns 0 or -ENOMEM. */
RK_MUST_USE int rk_pipe_out_init(struct rk_pipe_out *out, int fd);
void rk_pipe_out_free_p(struct rk_pipe_out *out);

/* Appends a line. */
void rk_pipe_out_put(struct rk_pipe_out *out, const char *bytes, size_t len);

/* Writes what is there. */
void rk_pipe_out_flush(struct rk_pipe_out *out);

#endif
