/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a job's body, from the command line or from standard input.
 *
 * Who       rekindle. Blocking: as standard input does. Units: bytes.
 */
#ifndef RK_CLI_INPUT_H
#define RK_CLI_INPUT_H

#include <stddef.h>

#include "base/err.h"

struct rk_input {
	const char *bytes;
	size_t len;
	char *owned; /* NULL: bytes are the command line's */
};

/*
 * arg NULL: empty; "-": all of standard input; else the argument itself. Returns 0; -EMSGSIZE
 * when standard input is longer than any request may be; -errno. rk_input_free_p() afterwards.
 */
RK_MUST_USE int rk_input_read(struct rk_input *in, const char *arg, struct rk_err *err);
void rk_input_free_p(struct rk_input *in);

#endif
