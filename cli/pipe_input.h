/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipe input: standard input, in big blocks, as lines without their ends. The last one may lack its
 * newline. A line may hold anything, but not more than so many bytes: of a longer one nothing is
 * kept.
 *
 * Who       rekindle, one thread. All but rk_pipe_input_read() is pure.
 * Blocking  rk_pipe_input_read(), as the descriptor does.
 * Units     bytes; lines are counted from 1.
 */
#ifndef RK_CLI_PIPE_INPUT_H
#define RK_CLI_PIPE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

#define RK_PIPE_BLOCK (256u * 1024)

struct rk_pipe_input {
	char *room;
	size_t size, begin, end; /* what is read and not taken is between */
	size_t scanned;          /* up to here, from begin on, is no newline */
	size_t line_max;
	uint64_t n_lines;        /* that were taken, the longer ones among them */
	uint64_t skipped;        /* bytes of the line that is being passed over; 0 = none is */
	bool is_over;            /* nothing more will come */
};

enum rk_pipe_got {
	RK_PIPE_LINE,
	RK_PIPE_LONG, /* a line that is longer than line_max; it is passed */
	RK_PIPE_MORE, /* none is whole: read */
	RK_PIPE_END
};

/* One line: its bytes stay until the next call of any function here. */
struct rk_pipe_line {
	const char *at;  /* NULL of a longer one */
	uint64_t len;
	uint64_t number;
};

/* Returns 0 or -ENOMEM. */
RK_MUST_USE int rk_pipe_input_init(struct rk_pipe_input *in, size_t line_max);
void rk_pipe_input_free_p(struct rk_pipe_input *in);

/* Takes the next line. ret is filled for LINE and LONG. */
enum rk_pipe_got rk_pipe_input_take(struct rk_pipe_input *in, struct rk_pipe_line *ret);

/* Room for what is read next: never none, once take() has said MORE. */
char *rk_pipe_input_room(struct rk_pipe_input *in, size_t *ret_len);

/* So much of it was filled; 0 = that was the end. */
void rk_pipe_input_filled(struct rk_pipe_input *in, size_t len);

/* Reads once. Returns 0, also at the end; -EAGAIN when there is nothing now; -errno. */
RK_MUST_USE int rk_pipe_input_read(struct rk_pipe_input *in, int fd);

#endif
