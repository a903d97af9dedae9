/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shm/abi.h"

#define ROOM_FIRST 65536u

static int read_all(struct rk_input *in, struct rk_err *err)
{
	size_t room = 0;

	for (;;) {
		ssize_t n;

		if (in->len == room) {
			char *more;

			room = room ? room * 2 : ROOM_FIRST;
			more = realloc(in->owned, room);
			if (!more)
				return rk_err_set(err, -ENOMEM, "no memory for standard input");
			in->owned = more;
		}
		n = read(STDIN_FILENO, in->owned + in->len, room - in->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return rk_err_set(err, -errno, "standard input: %s", strerror(errno));
		if (n == 0)
			break;
		in->len += (size_t)n;
		if (in->len > RK_BODY_MAX)
			return rk_err_set(err, -EMSGSIZE,
					  "standard input is longer than any job may be: %u bytes",
					  RK_BODY_MAX);
	}
	in->bytes = in->owned;
	return 0;
}

int rk_input_read(struct rk_input *in, const char *arg, struct rk_err *err)
{
	*in = (struct rk_input){ .bytes = "" };
	if (!arg)
		return 0;
	if (strcmp(arg, "-") == 0)
		return read_all(in, err);
	in->bytes = arg;
	in->len = strlen(arg);
	return 0;
}

void rk_input_free_p(struct rk_input *in)
{
	rk_free_p(&in->owned);
	*in = (struct rk_input){ 0 };
}
