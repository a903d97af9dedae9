/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Value: a key's value as text and as the member of the options it belongs to.
 *
 * Options are the struct of the key's section, all zero before their first value. Whoever holds
 * them owns what is in them.
 *
 * Who       the supervisor's configuration. The text is hostile input.
 * Blocking  users and groups are looked up; allocates.
 */
#ifndef RK_SUPERVISOR_VALUE_H
#define RK_SUPERVISOR_VALUE_H

#include <stdio.h>

#include "base/err.h"
#include "supervisor/keys.h"

/*
 * Sets the key in the options, or appends where the key is a list. "" frees a list and sets
 * anything else to its default. Returns 0; -EINVAL, -ERANGE, -ENOMEM with a sentence that says
 * what would do, and the options are as they were.
 */
RK_MUST_USE int rk_value_parse(const struct rk_key *k, const char *text, void *options,
			       struct rk_err *err);

/* Prints it in the one way that stands for it, so that equal values are equal text. */
void rk_value_print(const struct rk_key *k, const void *options, FILE *to);

/* The same as a string, which the caller frees; NULL without memory. */
char *rk_value_text(const struct rk_key *k, const void *options);

/* Frees what the key owns in the options and zeroes it. */
void rk_value_free(const struct rk_key *k, void *options);

/* All defaults of a section. Returns 0 or -ENOMEM. */
RK_MUST_USE int rk_options_init(enum rk_ini_section section, void *options);

/* Frees everything that a section's options own. */
void rk_options_free(enum rk_ini_section section, void *options);

/* The RLIMIT_… of setrlimit(2). */
int rk_limit_resource(enum rk_limit_of limit);

#endif
