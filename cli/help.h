/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help: the table of commands as people and programs read it: help texts, the man page, the
 * completion script. What concerns all commands (exit statuses, environment, files, examples)
 * stands in tables here.
 *
 * Who       rekindle, one thread. Blocking: as the stream does.
 */
#ifndef RK_CLI_HELP_H
#define RK_CLI_HELP_H

#include <stdio.h>

#include "cli/command.h"

/* A term and what it means. */
struct rk_help_entry {
	const char *term;
	const char *meaning;
};

enum rk_help_topic {
	RK_HELP_EXIT,
	RK_HELP_ENVIRONMENT,
	RK_HELP_FILES,
	RK_HELP_EXAMPLES,
	RK_HELP_TOPICS
};

/* The entries of a topic, and its heading in capitals. */
const struct rk_help_entry *rk_help_topic(enum rk_help_topic topic, size_t *ret_n,
					  const char **ret_heading);

/* What rekindle is, in one paragraph. */
const char *rk_help_about(void);

/* "-o, --output text|json", "--wait[=TIME]": how an option is written. Returns text. */
const char *rk_help_option(char *text, size_t size, const struct rk_option *o);

/* The overview that `rekindle help` prints. */
void rk_help_all(FILE *to);

/* One command. */
void rk_help_command(FILE *to, const struct rk_command *c);

/* rekindle(1) in roff (man.c). */
void rk_help_man(FILE *to);

/* The completion script for bash (completion.c). */
void rk_help_completion(FILE *to);

#endif
