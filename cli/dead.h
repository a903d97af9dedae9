/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead: what the parts of `rekindle dead` share: dead.c (its words, and drop), dead_list.c (list
 * and show), dead_retry.c (retry).
 *
 * Who       rekindle, one thread.
 */
#ifndef RK_CLI_DEAD_H
#define RK_CLI_DEAD_H

#include <json-c/json.h>

#include "cli/cli.h"
#include "cli/letters.h"

struct rk_dead_command {
	struct rk_args a; /* its rest begins behind the word: LETTERs */
	struct rk_look look;
	const char *name; /* of the fleet as it was written, or NULL */
};

/* Each returns the exit status. */
int rk_cli_dead_list(struct rk_dead_command *c);
int rk_cli_dead_show(struct rk_dead_command *c);
int rk_cli_dead_retry(struct rk_dead_command *c);

/* Members that say what letter it is, for every word's JSON. */
struct json_object *rk_cli_dead_json(const struct rk_dead_letter *letter);

/* Prints {"name", "letters"}, the second of which is given away. */
void rk_cli_dead_print(const struct rk_dead_command *c, struct json_object *letters);

/*
 * What the arguments name: LETTERs, or with --all every one there is. Those that are not there are
 * complained of and counted. Returns how many of chosen[l->n] were filled, the oldest first with
 * --all, else in the order they were written; -EINVAL if an argument names no letter, or none does.
 */
RK_MUST_USE int rk_cli_dead_choose(const struct rk_dead_command *c, const struct rk_letters *l,
				   struct rk_letter **chosen, uint32_t *ret_n_missing,
				   struct rk_err *err);

/* The exit status of several: all of them went well, some, none. Pure. */
int rk_cli_dead_status(uint32_t n_well, uint32_t n_ill);

#endif
