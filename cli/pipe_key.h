/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipe key: what of a line is its job's key.
 *
 *	whole      the line itself
 *	N          its N-th field, from 1; blanks and tabs separate
 *	.a[0].b    of a JSON document: its member's member; a member's name that is no plain word
 *	           stands in brackets and quotes, as in .["a b"]
 *	NAME       of a line that begins with '{' the JSON member NAME, of any other the word NAME=VALUE
 *
 * A string of JSON is taken without its quotes and escapes, anything else as it is written. Of
 * members of one name the last counts. null is no key.
 *
 * Who       rekindle, one thread. Pure. Lines are input: they may be anything.
 * Blocking  never; allocates only for a string of JSON with escapes.
 */
#ifndef RK_CLI_PIPE_KEY_H
#define RK_CLI_PIPE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define RK_PIPE_KEY_MAX 64u /* bytes; a longer key is its hash */
#define RK_PIPE_KEY_HASH 16u
#define RK_PIPE_STEPS_MAX 16u
#define RK_PIPE_SPEC_MAX 512u

enum rk_pipe_key_kind { RK_PIPE_KEY_WHOLE, RK_PIPE_KEY_FIELD, RK_PIPE_KEY_PATH, RK_PIPE_KEY_NAME };

/* One step into a JSON document. */
struct rk_pipe_step {
	const char *name; /* NULL: an element of an array */
	size_t len;
	uint32_t index;
};

struct rk_pipe_key {
	enum rk_pipe_key_kind kind;
	uint32_t field;
	uint32_t n_steps;
	struct rk_pipe_step steps[RK_PIPE_STEPS_MAX]; /* of PATH, and of NAME the one */
	char text[RK_PIPE_SPEC_MAX];                  /* what they point into */
};

/* A line's key. `at` points into the line or into room; it is never NULL. */
struct rk_pipe_key_text {
	const char *at;
	size_t len;
	char room[RK_PIPE_KEY_MAX];
};

/*
 * Reads what --key= says. The key must not be moved behind that: its steps point into it. Returns 0;
 * -EINVAL with a sentence.
 */
RK_MUST_USE int rk_pipe_key_parse(struct rk_pipe_key *k, const char *spec, struct rk_err *err);

/*
 * The key of a line of len bytes. Returns whether it has one; else the whole line is in ret. One that is
 * longer than max bytes, or RK_PIPE_KEY_MAX, is the 16 hexadecimal digits of its XXH3.
 */
bool rk_pipe_key_of(const struct rk_pipe_key *k, const char *line, size_t len, size_t max,
		    struct rk_pipe_key_text *ret);

#endif
