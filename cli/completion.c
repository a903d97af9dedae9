/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion: the script for bash, from the table of commands.
 */
#include <string.h>

#include "cli/help.h"

static void options(FILE *to, const struct rk_command *c)
{
	(void)fprintf(to, "\t%s) words=\"", c->name);
	for (size_t i = 0; i < c->n_options; i++)
		(void)fprintf(to, "--%s ", c->options[i].name);
	(void)fputs("--help\" ;;\n", to);
}

/* What may follow an option: the words of a choice, names of fleets, or nothing we know. */
static void values(FILE *to, const struct rk_command *c)
{
	for (size_t i = 0; i < c->n_options; i++) {
		const struct rk_option *o = &c->options[i];

		if (o->kind == RK_OPTION_FLAG || o->kind == RK_OPTION_MAY_TIME ||
		    o->kind == RK_OPTION_FLEET)
			continue;
		(void)fprintf(to, "\t%s:--%s", c->name, o->name);
		if (o->letter)
			(void)fprintf(to, " | %s:-%c", c->name, o->letter);
		(void)fputs(") words=\"", to);
		for (const char *w = o->kind == RK_OPTION_CHOICE ? o->value : ""; *w; w++)
			(void)fputc(*w == '|' ? ' ' : *w, to);
		(void)fputs("\"; is_value=1 ;;\n", to);
	}
}

/* What a command's first argument may be. */
static void first_words(FILE *to, const struct rk_command *c)
{
	(void)fprintf(to, "\t%s:%s) words=\"", c->name, c->name);
	for (const char *w = c->words; *w; w++)
		(void)fputc(*w == '|' ? ' ' : *w, to);
	(void)fputs("\" ;;\n", to);
}

void rk_help_completion(FILE *to)
{
	size_t n;
	const struct rk_command *c = rk_commands(&n);

	(void)fputs(
		"# SPDX-License-Identifier: Apache-2.0\n"
		"# Made by 'rekindle help --completion bash'. Use: source <(rekindle help --completion bash)\n"
		"_rekindle() {\n"
		"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words= is_value= "
		"commands=\"",
		to);
	for (size_t i = 0; i < n; i++)
		(void)fprintf(to, "%s%s", i ? " " : "", c[i].name);
	(void)fputs(
		"\"\n"
		"\tCOMPREPLY=()\n"
		"\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
		"\t\tmapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$cur\")\n"
		"\t\treturn\n"
		"\tfi\n"
		"\tcase ${COMP_WORDS[1]}:$prev in\n"
		"\trun:--name) is_value=1 ;;\n"
		"\t*:--name) words=$(rekindle list 2>/dev/null | cut -d' ' -f1); is_value=1 ;;\n",
		to);
	for (size_t i = 0; i < n; i++)
		values(to, &c[i]);
	for (size_t i = 0; i < n; i++)
		if (c[i].words)
			first_words(to, &c[i]);
	(void)fputs("\thelp:help) words=$commands; is_value=1 ;;\n"
		    "\tesac\n"
		    "\t[ -n \"$is_value\" ] || [[ $cur != -* ]] || case ${COMP_WORDS[1]} in\n",
		    to);
	for (size_t i = 0; i < n; i++)
		options(to, &c[i]);
	(void)fputs("\tesac\n"
		    "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
		    "}\n"
		    "complete -o default -F _rekindle rekindle\n",
		    to);
}
