/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spelling: one option of a command line, taken apart: --name, --name=value, -n, -nvalue.
 */
#ifndef RK_BASE_SPELLING_H
#define RK_BASE_SPELLING_H

#include <stdbool.h>
#include <stddef.h>

struct rk_spelling {
	const char *arg;   /* as it was written; borrowed */
	const char *value; /* behind its '=' or letter; NULL = none */
	size_t len;        /* of the name with its dashes */
};

/* Of an argument that begins with '-' and is longer. Any thread. */
struct rk_spelling rk_spell(const char *arg);

/* Whether the option of this name (without dashes) or letter (0 = it has none) is meant. */
bool rk_spelling_is(const struct rk_spelling *s, const char *name, char letter);

#endif
