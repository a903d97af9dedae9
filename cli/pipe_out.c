/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pipe_out.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM (64u * 1024)
#define PART PIPE_BUF /* a pipe that is writable takes so much without blocking */

int rk_pipe_out_init(struct rk_pipe_out *out, int fd)
{
	struct stat st;

	*out = (struct rk_pipe_out){ .fd = fd, .room = malloc(ROOM) };
	out->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	return out->room ? 0 : -ENOMEM;
}

void rk_pipe_out_free_p(struct rk_pipe_out *out)
{
	free(out->room);
	out->room = NULL;
	out->len = 0;
}

/* Writes a part of it. Returns how much, or -errno. */
static ssize_t write_part(struct rk_pipe_out *out, const char *at, size_t len)
{
	ssize_t n;
	int r = out->is_file ? 0 : out->wait(out->arg, out->fd);

	if (r < 0)
		return r;
	n = write(out->fd, at, out->is_file ? len : rk_min_size(len, PART));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	return n < 0 ? -errno : n;
}

void rk_pipe_out_flush(struct rk_pipe_out *out)
{
	for (size_t done = 0; !out->error && done < out->len;) {
		ssize_t n = write_part(out, out->room + done, out->len - done);

		if (n < 0)
			out->error = (int)n;
		else
			done += (size_t)n;
	}
	out->len = 0;
}

static void append(struct rk_pipe_out *out, const char *bytes, size_t len)
{
	while (len > 0) {
		size_t part = rk_min_size(len, ROOM - out->len);

		memcpy(out->room + out->len, bytes, part);
		out->len += part;
		bytes += part;
		len -= part;
		if (out->len == ROOM)
			rk_pipe_out_flush(out);
	}
}

void rk_pipe_out_put(struct rk_pipe_out *out, const char *bytes, size_t len)
{
	append(out, bytes, len);
	append(out, "\n", 1);
}
