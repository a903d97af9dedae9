/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Man: rekindle(1) from the table of commands. doc/man/rekindle.1 is its output, committed;
 * tests/check/man holds the two against each other.
 */
#include <string.h>

#include "cli/help.h"

/* Prints text as roff: what roff would take for something else is escaped. */
static void escape(FILE *to, const char *text)
{
	bool at_start = true;

	for (; *text; text++) {
		switch (*text) {
		case '\\':
			(void)fputs("\\e", to);
			break;
		case '-':
			(void)fputs("\\-", to);
			break;
		case '\'':
			(void)fputs("\\(aq", to);
			break;
		case '`':
			(void)fputs("\\(ga", to);
			break;
		case '^':
			(void)fputs("\\(ha", to);
			break;
		case '~':
			(void)fputs("\\(ti", to);
			break;
		case '.':
			(void)fputs(at_start ? "\\&." : ".", to);
			break;
		default:
			(void)fputc(*text, to);
		}
		at_start = *text == '\n';
	}
}

static void bold(FILE *to, const char *text)
{
	(void)fputs("\\fB", to);
	escape(to, text);
	(void)fputs("\\fR", to);
}

/* A sentence per line, as roff likes it; an empty line becomes a paragraph. */
static void paragraphs(FILE *to, const char *text)
{
	while (*text) {
		char line[1024];
		const char *paragraph = strstr(text, "\n\n"), *stop = strstr(text, ". ");
		size_t len = strlen(text), skip = len;

		if (paragraph && (!stop || paragraph < stop)) {
			len = (size_t)(paragraph - text);
			skip = len + 2;
		} else if (stop) {
			len = (size_t)(stop - text) + 1;
			skip = len + 1;
			stop = NULL;
		}
		(void)snprintf(line, sizeof(line), "%.*s", (int)len, text);
		escape(to, line);
		(void)fputc('\n', to);
		if (skip == len + 2)
			(void)fputs(".PP\n", to);
		text += skip;
	}
}

static void tagged(FILE *to, const char *term, const char *meaning)
{
	(void)fputs(".TP\n", to);
	bold(to, term);
	(void)fputc('\n', to);
	escape(to, meaning);
	(void)fputc('\n', to);
}

static void command(FILE *to, const struct rk_command *c)
{
	char text[64];

	(void)fprintf(to, ".SS %s\n", c->name);
	(void)fprintf(to, "\\fBrekindle %s\\fR [\\fIOPTION\\fR...] ", c->name);
	escape(to, c->arguments);
	(void)fputs("\n.PP\n", to);
	(void)fprintf(to, "%c", c->summary[0] & ~0x20);
	escape(to, c->summary + 1);
	(void)fputs(".\n", to);
	paragraphs(to, c->text);
	for (size_t i = 0; i < c->n_options; i++)
		tagged(to, rk_help_option(text, sizeof(text), &c->options[i]), c->options[i].help);
	if (!c->members)
		return;
	(void)fputs(".PP\n\\fB\\-o json\\fR prints one object:\n", to);
	for (size_t i = 0; i < c->members->n; i++)
		tagged(to, c->members->at[i].path, c->members->at[i].meaning);
}

static void topic(FILE *to, enum rk_help_topic t)
{
	size_t n;
	const char *heading;
	const struct rk_help_entry *entries = rk_help_topic(t, &n, &heading);

	(void)fprintf(to, ".SH %s\n", heading);
	for (size_t i = 0; i < n; i++)
		tagged(to, entries[i].term, entries[i].meaning);
}

void rk_help_man(FILE *to)
{
	size_t n;
	const struct rk_command *c = rk_commands(&n);

	(void)fputs(".\\\" SPDX-License-Identifier: Apache-2.0\n"
		    ".\\\" Made by 'rekindle help --man' from cli/command.c: change that.\n",
		    to);
	(void)fprintf(to, ".TH REKINDLE 1 \"\" \"rekindle %s\" \"User Commands\"\n",
		      PACKAGE_VERSION);
	(void)fputs(
		".SH NAME\nrekindle \\- run and look after fleets of stateful workers\n"
		".SH SYNOPSIS\n\\fBrekindle\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n"
		".SH DESCRIPTION\n",
		to);
	paragraphs(to, rk_help_about());
	(void)fputs(
		".PP\nOptions may stand before or behind the arguments of a command; \\fB\\-\\-\\fR ends them.\n"
		"Every command explains itself with \\fB\\-\\-help\\fR.\n"
		".SH COMMANDS\n",
		to);
	for (size_t i = 0; i < n; i++)
		command(to, &c[i]);
	for (int t = 0; t < RK_HELP_TOPICS; t++)
		topic(to, (enum rk_help_topic)t);
	(void)fputs(".SH SEE ALSO\n\\fBrekindle.conf\\fR(5), \\fBrekindled\\fR(8)\n", to);
}
