/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <string.h>

#include "base/macro.h"
#include "cli/cli.h"

#define WIDTH 80u
#define TERM_MAX 27u /* longer terms have a line of their own */

static const struct rk_help_entry exits[] = {
	{ "0", "done" },
	{ "1", "failed: the command says why; a handler's error, or a job that was not applied" },
	{ "2", "partly: some of several jobs were refused, or lines of a pipeline have no answer; with status --check, some workers are "
	       "not ready; a rolling restart is held" },
	{ "3", "no such fleet is running" },
	{ "4", "the time was up; with call, the outcome may be unknown" },
	{ "64", "the command line is wrong, a value of it too, or several fleets run and none was "
		"named" },
	{ "69", "the fleet's supervisor, or systemd, cannot be reached or does not answer in time; what it was asked is not done "
		"then, unless the complaint says that nobody knows" },
	{ "77", "not permitted, or something that is needed is not installed" },
	{ "78", "no fleet can be as it was configured, or not on this machine" },
};

static const struct rk_help_entry environment[] = {
	{ "REKINDLE_NAME", "the fleet, where --name is not given" },
	{ "REKINDLE_RUNTIME_DIR", "where the fleets' directories are" },
	{ "XDG_RUNTIME_DIR", "where they are for users other than root, below rekindle/" },
	{ "NO_COLOR", "when it is set and not empty, nothing is colored" },
};

static const struct rk_help_entry files[] = {
	{ "/run/rekindle/NAME/control", "control socket of root's fleet NAME" },
	{ "$XDG_RUNTIME_DIR/rekindle/NAME/control",
	  "the same for other users; /tmp/rekindle-UID/NAME/control "
	  "where that variable is not set" },
};

static const struct rk_help_entry examples[] = {
	{ "rekindle run -n 4 -- build/workers/examples/wordcount",
	  "start four workers; kill any of them and watch" },
	{ "rekindle call hello", "count the word hello, print how often it was seen" },
	{ "tr -s ' ' '\\n' < README.md | rekindle put -", "count the words of a file" },
	{ "rekindle status --wait && rekindle put hello", "once all workers are ready" },
	{ "rekindle status -o json | jq '.workers[].pid'", "the pids of the workers" },
	{ "cat orders.jsonl | rekindle run --kind=lines --key=.user -- jq --unbuffered -c .",
	  "a filter four times, the lines of each user in their order" },
	{ "rekindle stop", "end the only fleet that runs" },
};

const struct rk_help_entry *rk_help_topic(enum rk_help_topic topic, size_t *ret_n,
					  const char **ret_heading)
{
	static const struct {
		const struct rk_help_entry *entries;
		size_t n;
		const char *heading;
	} topics[] = {
		[RK_HELP_EXIT] = { exits, rk_countof(exits), "EXIT STATUS" },
		[RK_HELP_ENVIRONMENT] = { environment, rk_countof(environment), "ENVIRONMENT" },
		[RK_HELP_FILES] = { files, rk_countof(files), "FILES" },
		[RK_HELP_EXAMPLES] = { examples, rk_countof(examples), "EXAMPLES" },
	};

	*ret_n = topics[topic].n;
	*ret_heading = topics[topic].heading;
	return topics[topic].entries;
}

const char *rk_help_about(void)
{
	return "rekindle keeps a fleet of stateful worker processes alive on one Linux machine. "
	       "It hands every job to the worker that owns the job's key, notices at once when "
	       "a worker dies, and puts a successor in its place that goes on from the last "
	       "committed job: nothing lost, nothing done twice in state.";
}

const char *rk_help_option(char *text, size_t size, const struct rk_option *o)
{
	int n = o->letter ? snprintf(text, size, "-%c, ", o->letter) : 0;

	if (o->kind == RK_OPTION_MAY_TIME)
		(void)snprintf(text + n, size - (size_t)n, "--%s[=%s]", o->name, o->value);
	else
		(void)snprintf(text + n, size - (size_t)n, "--%s%s%s", o->name,
			       o->value ? " " : "", o->value ? o->value : "");
	return text;
}

/* Prints words of text into lines of WIDTH, the first of which has `column` columns already. */
static void wrap(FILE *to, const char *text, unsigned int indent, unsigned int column)
{
	while (*text) {
		size_t len = strcspn(text, " \n");

		if (column > indent && column + 1 + len > WIDTH) {
			(void)fprintf(to, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent && len) {
			(void)fputc(' ', to);
			column++;
		}
		(void)fprintf(to, "%.*s", (int)len, text);
		column += (unsigned int)len;
		text += len;
		if (*text == '\n' && text[1] == '\n') {
			(void)fprintf(to, "\n\n%*s", (int)indent, "");
			column = indent;
		}
		text += strspn(text, " \n");
	}
	(void)fputc('\n', to);
}

static void entry(FILE *to, const char *term, unsigned int term_width, const char *meaning)
{
	unsigned int indent = 2 + term_width + 2;

	(void)fprintf(to, "  %-*s", (int)term_width, term);
	if (strlen(term) > term_width)
		(void)fprintf(to, "\n%*s", (int)indent, "");
	else
		(void)fprintf(to, "  ");
	wrap(to, meaning, indent, indent);
}

static unsigned int longer(unsigned int width, const char *term)
{
	size_t len = strlen(term);

	return len <= TERM_MAX ? rk_max_u32(width, (unsigned int)len) : width;
}

static void print_topic(FILE *to, enum rk_help_topic topic)
{
	size_t n;
	const char *heading;
	const struct rk_help_entry *entries = rk_help_topic(topic, &n, &heading);
	unsigned int width = 0;

	(void)fprintf(to, "\n%c", heading[0]);
	for (const char *h = heading + 1; *h; h++)
		(void)fputc(*h == ' ' ? ' ' : *h | 0x20, to); /* headings are capitals */
	(void)fputs(":\n", to);
	for (size_t i = 0; i < n; i++)
		width = longer(width, entries[i].term);
	for (size_t i = 0; i < n; i++)
		entry(to, entries[i].term, rk_max_u32(width, 4), entries[i].meaning);
}

void rk_help_all(FILE *to)
{
	size_t n;
	const struct rk_command *c = rk_commands(&n);

	(void)fputs("usage: rekindle COMMAND [OPTION...] [ARGUMENT...]\n\n", to);
	wrap(to, rk_help_about(), 0, 0);
	(void)fputs("\nCommands:\n", to);
	for (size_t i = 0; i < n; i++)
		entry(to, c[i].name, 8, c[i].summary);
	(void)fputs("\n'rekindle help COMMAND' tells more about each.\n", to);
	for (int t = 0; t < RK_HELP_TOPICS; t++)
		print_topic(to, (enum rk_help_topic)t);
}

static void print_options(FILE *to, const struct rk_command *c)
{
	unsigned int width = longer(0, "-h, --help");
	char text[64];

	for (size_t i = 0; i < c->n_options; i++)
		width = longer(width, rk_help_option(text, sizeof(text), &c->options[i]));
	(void)fputs("\nOptions:\n", to);
	for (size_t i = 0; i < c->n_options; i++)
		entry(to, rk_help_option(text, sizeof(text), &c->options[i]), width,
		      c->options[i].help);
	entry(to, "-h, --help", width, "explain this command");
}

void rk_help_command(FILE *to, const struct rk_command *c)
{
	(void)fprintf(to, "usage: rekindle %s [OPTION...]%s%s\n\n%c%s.\n", c->name,
		      c->arguments[0] ? " " : "", c->arguments, c->summary[0] & ~0x20,
		      c->summary + 1);
	if (c->text[0]) {
		(void)fputc('\n', to);
		wrap(to, c->text, 0, 0);
	}
	print_options(to, c);
	if (c->members)
		(void)fputs("\n-o json prints one object:\n", to);
	for (size_t i = 0; c->members && i < c->members->n; i++)
		entry(to, c->members->at[i].path, TERM_MAX, c->members->at[i].meaning);
}

int rk_cli_help(int argc, char **argv)
{
	struct rk_args a;
	int status;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	if (rk_args_flag(&a, "man") + rk_args_flag(&a, "completion") + a.n_rest > 1)
		return rk_cli_complain(RK_CLI_USAGE,
				       "help prints one thing: --man, --completion or a COMMAND");
	if (rk_args_flag(&a, "man")) {
		rk_help_man(stdout);
	} else if (rk_args_text(&a, "completion")) {
		rk_help_completion(stdout);
	} else if (a.n_rest == 0) {
		rk_help_all(stdout);
	} else {
		const struct rk_command *c = rk_command_find(a.rest[0]);

		if (!c)
			return rk_cli_unknown(a.rest[0]);
		rk_help_command(stdout, c);
	}
	return RK_CLI_OK;
}
