/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Args: a command's arguments, read by its table of options. Options and other arguments may
 * stand in any order; "--" ends the options.
 *
 * Who       rekindle's commands; pure: reads and reorders argv, nothing else.
 * Blocking  never; no allocation. The result borrows from argv.
 */
#ifndef RK_CLI_ARGS_H
#define RK_CLI_ARGS_H

#include "base/err.h"
#include "cli/command.h"

#define RK_ARGS_OPTIONS_MAX 32
#define RK_ARGS_REPEATED_MAX 64

struct rk_arg {
	const char *text; /* NULL = not given; a flag has its own name */
	uint64_t number;  /* of a count, size or time that the table bounds; 0 = left out */
};

struct rk_args {
	const struct rk_command *command;
	struct rk_arg option[RK_ARGS_OPTIONS_MAX];  /* as in the command's table */
	const char *repeated[RK_ARGS_REPEATED_MAX]; /* values of the option that may be repeated */
	uint32_t n_repeated;
	char **rest; /* what is no option, in its order */
	int n_rest;
};

#define RK_ARGS_HELP 1

/*
 * Reads argv[1..argc) and moves what is no option to its front. Returns 0; RK_ARGS_HELP when
 * --help was met, and nothing behind it was looked at; -EINVAL with a sentence that names the
 * argument and, for a misspelt option, the one that is nearest.
 */
RK_MUST_USE int rk_args_read(struct rk_args *ret, const struct rk_command *command, int argc,
			     char **argv, struct rk_err *err);

/*
 * Moves options that stand in front of the command behind it, as in "rekindle --name a status":
 * those that many commands have, --name and --output. argv[1..argc) is reordered; argv[1] is the
 * command then, if there is one. Returns 0; -EINVAL for any other option in front of a command.
 */
RK_MUST_USE int rk_args_command_first(int argc, char **argv, struct rk_err *err);

/* Text of an option of the command's table, or NULL when it was not given. */
const char *rk_args_text(const struct rk_args *a, const char *option);

bool rk_args_flag(const struct rk_args *a, const char *option);

/* Number of a count, size or time, or `otherwise` when it was not given. */
uint64_t rk_args_number(const struct rk_args *a, const char *option, uint64_t otherwise);

/* Whether -o json was given. */
bool rk_args_json(const struct rk_args *a);

#endif
