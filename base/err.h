/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error a person will read: a code for the program, one sentence for the person.
 *
 * The function that fails sets it, each caller above may put its context in front, and
 * whoever decides logs or prints it once. All functions accept err == NULL, so that a caller
 * that needs only the code passes none.
 *
 * Who       any process, any thread; an rk_err belongs to its caller.
 * Blocking  never; no allocation, no system call.
 */
#ifndef RK_BASE_ERR_H
#define RK_BASE_ERR_H

#include "base/macro.h"

struct rk_err {
	int code;       /* -errno */
	char text[252]; /* one sentence, no newline; outermost context first */
};

/*
 * Sets code and text, cutting a text that is too long and turning control characters
 * into '?', since the text may quote input. Returns code. The arguments may include
 * err->text.
 */
RK_PRINTF(3, 4) int rk_err_set(struct rk_err *err, int code, const char *fmt, ...);

/* Puts "context: " in front of the text. Returns code, which also becomes err->code. */
int rk_err_prefix(struct rk_err *err, int code, const char *context);

#endif
