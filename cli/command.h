/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command: the one table of rekindle's subcommands. Option parsing, help, man page and
 * completion are all made from it; a new command is one entry here and its handler.
 *
 * Who       rekindle, one thread; constant.
 */
#ifndef RK_CLI_COMMAND_H
#define RK_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/members.h"

enum rk_option_kind {
	RK_OPTION_FLAG,   /* takes no value */
	RK_OPTION_TEXT,   /* anything */
	RK_OPTION_NAME,   /* of a client, or of a fleet to be: rk_name_check() */
	RK_OPTION_FLEET,  /* of a fleet that runs: rk_fleet_name_check() */
	RK_OPTION_COUNT,  /* a plain number */
	RK_OPTION_SIZE,   /* bytes: 4096, 64K */
	RK_OPTION_TIME,   /* 500ms, 2s */
	RK_OPTION_MAY_TIME, /* a time that may be left out; given, it stands behind a '=' */
	RK_OPTION_REPEATED, /* anything, any number of times; one option of a command at most */
	RK_OPTION_CHOICE, /* one of the words of `value`, which '|' separates */
	RK_OPTION_KINDS
};

struct rk_option {
	const char *name; /* without its dashes */
	char letter;      /* 0 = none */
	enum rk_option_kind kind;
	const char *value; /* what help calls the value; NULL for a flag */
	const char *help;  /* one line, with the default in parentheses */
	uint64_t min, max; /* in ns for a time; max 0: another program judges the value */
};

struct rk_command {
	const char *name;
	const char *summary;   /* one line, no full stop */
	const char *arguments; /* of the synopsis, behind the options; "" = none */
	const char *words;     /* that its first argument is one of, '|' between them; NULL = of none */
	const char *text;      /* paragraphs, an empty line between them */
	const struct rk_option *options;
	size_t n_options;
	const struct rk_members *members; /* of its JSON; NULL = it prints none */
	int n_min, n_max;    /* arguments that are not options; n_max -1: any number */
	bool stops_at_first; /* the first of them ends the options: the rest is another program's */
	const char *rest_help; /* what is missing when there are fewer than n_min */
	int (*run)(int argc,
		   char **argv); /* argv[0] is the command's name; returns the exit status */
};

/* The table. */
const struct rk_command *rk_commands(size_t *ret_n);

/* NULL if there is no such command. */
const struct rk_command *rk_command_find(const char *name);

/* The command that somebody who wrote `name` probably meant, or NULL. */
const char *rk_command_nearest(const char *name);

#endif
