/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Percent: names with '%' and a letter in them that stand for something, as in "/log/%f-%i.log".
 *
 * Who       any process, any thread; pure.
 * Blocking  never; no allocation.
 */
#ifndef RK_BASE_PERCENT_H
#define RK_BASE_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/macro.h"

/* What a letter stands for; an array of them ends with letter 0. */
struct rk_percent {
	char letter;
	const char *text;
};

/*
 * Writes pattern with each %x replaced; %% is a '%'. Returns 0; -EINVAL for a letter that is not
 * among them; -ENAMETOOLONG if it does not fit into size: ret is then of no use.
 */
RK_MUST_USE int rk_percent_expand(const char *pattern, const struct rk_percent *with, char *ret,
				  size_t size, struct rk_err *err);

/* Whether pattern has %letter in it. */
bool rk_percent_has(const char *pattern, char letter);

#endif
