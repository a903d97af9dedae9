/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pipe_input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_LEAST (64u * 1024) /* what a pipe holds */

int rk_pipe_input_init(struct rk_pipe_input *in, size_t line_max)
{
	/* A line that is not whole is at most line_max long, or it is passed over: there is always room behind it. */
	*in = (struct rk_pipe_input){ .line_max = line_max, .size = line_max + RK_PIPE_BLOCK };
	in->room = malloc(in->size);
	return in->room ? 0 : -ENOMEM;
}

void rk_pipe_input_free_p(struct rk_pipe_input *in)
{
	free(in->room);
	*in = (struct rk_pipe_input){ 0 };
}

/* A line of len bytes ends, behind those that were passed over already; its end takes `more` bytes. */
static enum rk_pipe_got line_end(struct rk_pipe_input *in, size_t len, size_t more, struct rk_pipe_line *ret)
{
	bool is_long = in->skipped > 0 || len > in->line_max;

	*ret = (struct rk_pipe_line){ .at = is_long ? NULL : in->room + in->begin, .len = in->skipped + len,
				      .number = ++in->n_lines };
	in->begin += len + more;
	in->scanned = 0;
	in->skipped = 0;
	return is_long ? RK_PIPE_LONG : RK_PIPE_LINE;
}

enum rk_pipe_got rk_pipe_input_take(struct rk_pipe_input *in, struct rk_pipe_line *ret)
{
	size_t len = in->end - in->begin;
	const char *start = in->room + in->begin, *newline = NULL;

	if (len > in->scanned)
		newline = memchr(start + in->scanned, '\n', len - in->scanned);
	if (newline)
		return line_end(in, (size_t)(newline - start), 1, ret);
	if (in->is_over)
		return len || in->skipped ? line_end(in, len, 0, ret) : RK_PIPE_END;
	if (in->skipped || len > in->line_max) {
		in->skipped += len;
		in->begin = in->end = len = 0;
	}
	in->scanned = len;
	return RK_PIPE_MORE;
}

char *rk_pipe_input_room(struct rk_pipe_input *in, size_t *ret_len)
{
	size_t len = in->end - in->begin;

	if (in->begin && (len == 0 || in->size - in->end < READ_LEAST)) {
		memmove(in->room, in->room + in->begin, len);
		in->begin = 0;
		in->end = len;
	}
	*ret_len = in->size - in->end;
	return in->room + in->end;
}

void rk_pipe_input_filled(struct rk_pipe_input *in, size_t len)
{
	in->end += len;
	in->is_over = len == 0;
}

int rk_pipe_input_read(struct rk_pipe_input *in, int fd)
{
	size_t len;
	char *room = rk_pipe_input_room(in, &len);
	ssize_t n;

	do
		n = read(fd, room, rk_min_size(len, RK_PIPE_BLOCK));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	rk_pipe_input_filled(in, (size_t)n);
	return 0;
}
