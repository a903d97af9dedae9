/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conf_diff: what a reload has to do to get from one configuration to another.
 *
 * Who       the supervisor's reload: it applies nothing if n_refused is not 0. Pure.
 * Blocking  never; allocates.
 */
#ifndef RK_SUPERVISOR_CONF_DIFF_H
#define RK_SUPERVISOR_CONF_DIFF_H

#include "supervisor/conf.h"
#include "supervisor/keys.h"

enum rk_change_kind {
	RK_CHANGE_ADDED,   /* a fleet is to start */
	RK_CHANGE_REMOVED, /* a fleet is to stop */
	RK_CHANGE_KEY,     /* a key has another value */
	RK_CHANGES
};

struct rk_change {
	enum rk_change_kind kind;
	char fleet[RK_NAME_MAX];  /* "" for the supervisor */
	const struct rk_key *key; /* of RK_CHANGE_KEY */
	enum rk_reload reload;    /* the key's, but NEVER where this value cannot be reached */
	char *from, *to;          /* values as they would be written */
	char *refusal;            /* a sentence with the remedy; NULL if it can be done */
};

struct rk_diff {
	struct rk_change *at; /* the supervisor's, then by fleet of `to`, then those removed */
	uint32_t n;
	uint32_t n_refused;
	uint32_t n_rolling; /* changes that need a rolling restart */
};

/* Compares. Returns 0, and the caller frees *ret; -ENOMEM. */
RK_MUST_USE int rk_conf_diff(const struct rk_conf *from, const struct rk_conf *to,
			     struct rk_diff *ret);

/* One line about a change, such as "words: Workers=4 -> 8". */
void rk_change_print(const struct rk_change *change, FILE *to);

/* Frees all; also a cleanup. */
void rk_diff_free_p(struct rk_diff *diff);

#endif
