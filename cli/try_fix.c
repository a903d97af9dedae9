/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/try_fix.h"

#include <stdio.h>
#include <string.h>

/* Programs that people run. NULL: nothing special is known. */
static const struct known {
	const char *program;
	const char *flush;      /* makes it answer at once */
	const char *plain;      /* makes it leave colors out */
	const char *foreground; /* keeps it there */
} knowns[] = {
	{ "jq", "add --unbuffered: 'jq --unbuffered -c FILTER'", "add -M: 'jq -M --unbuffered -c FILTER'", NULL },
	{ "sed", "add -u: 'sed -u SCRIPT'", NULL, NULL },
	{ "grep", "add --line-buffered (and know that a line that does not match has no answer)",
	  "add --color=never", NULL },
	{ "egrep", "add --line-buffered", "add --color=never", NULL },
	{ "fgrep", "add --line-buffered", "add --color=never", NULL },
	{ "mawk", "add -W interactive: 'mawk -W interactive PROGRAM'", NULL, NULL },
	{ "awk", "use 'mawk -W interactive PROGRAM', or 'stdbuf -oL awk PROGRAM'", NULL, NULL },
	{ "gawk", "call fflush() behind each print, or use 'stdbuf -oL gawk PROGRAM'", NULL, NULL },
	{ "python", "add -u: 'python -u SCRIPT'", NULL, NULL },
	{ "perl", "begin the script with '$| = 1;'", NULL, NULL },
	{ "ruby", "begin the script with '$stdout.sync = true'", NULL, NULL },
	{ "redis-server", NULL, NULL, "add --daemonize no" },
	{ "nginx", NULL, NULL, "add -g 'daemon off;'" },
	{ "gunicorn", NULL, NULL, "leave -D (--daemon) out" },
	{ "haproxy", NULL, NULL, "leave -D out, and add -W or -db" },
	{ "memcached", NULL, NULL, "leave -d out" },
	{ "apache2", NULL, NULL, "add -DFOREGROUND" },
	{ "httpd", NULL, NULL, "add -DFOREGROUND" },
	{ "sshd", NULL, NULL, "add -D" },
	{ "postgres", NULL, NULL, "start postgres itself, not pg_ctl" },
};

/* "python3.11" is "python"; "sed" is none of "sedate". */
static const struct known *known_find(const char *program)
{
	for (size_t i = 0; i < rk_countof(knowns); i++) {
		size_t len = strlen(knowns[i].program);

		if (strncmp(program, knowns[i].program, len) == 0 && strspn(program + len, "0123456789.") == strlen(program + len))
			return &knowns[i];
	}
	return NULL;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *rk_try_program(char *const *argv, char *ret, size_t size)
{
	const char *name = last_part(argv[0]);
	size_t i = 0;

	/* What stands in front of a program. */
	while (argv[i + 1] && (strcmp(name, "env") == 0 || strcmp(name, "nice") == 0 || strcmp(name, "setsid") == 0 ||
			       strchr(argv[i], '=') || argv[i][0] == '-'))
		name = last_part(argv[++i]);
	if ((strcmp(name, "sh") == 0 || strcmp(name, "bash") == 0 || strcmp(name, "dash") == 0) && argv[i + 1] &&
	    strcmp(argv[i + 1], "-c") == 0 && argv[i + 2]) {
		const char *text = argv[i + 2];

		text += strncmp(text, "exec ", 5) == 0 ? 5 : 0;
		(void)snprintf(ret, size, "%.*s", (int)strcspn(text, " \t;|&"), text);
		if (known_find(last_part(ret))) {
			name = last_part(ret);
			memmove(ret, name, strlen(name) + 1);
			return ret;
		}
	}
	(void)snprintf(ret, size, "%s", name);
	return ret;
}

static const char *const fixes[RK_TRY_FAULTS] = {
	[RK_TRY_SILENT] = "it keeps its answers back when its output is no terminal: give it an option that flushes each line, else "
			  "start it with 'stdbuf -oL', or say Terminal=output (--set Terminal=output)",
	[RK_TRY_OPEN] = "end each answer with a newline, and flush it",
	[RK_TRY_DEAF] = "it has to read lines from its standard input: take file names and what makes it read elsewhere out of its "
			"command; a program that is a server needs another Kind=",
	[RK_TRY_COLORED] = "tell it to leave colors out (often --color=never, or Environment=NO_COLOR=1)",
	[RK_TRY_CHATTY] = "it has to print nothing but answers: switch off its banner or prompt, or send that to standard error",
	[RK_TRY_TWICE] = "it has to print one line for each line: join what belongs together, and send the rest to standard error",
	[RK_TRY_CLOSED] = "it has to keep its standard output open, and write its answers there",
	[RK_TRY_BACKGROUND] = "tell it to stay in the foreground",
	[RK_TRY_BUSY] = "end whoever has the port, or choose others with Port= (--set Port=NUMBER)",
	[RK_TRY_ENDS] = "it has to go on, in the foreground, until it is asked to end: see what it says above, and run it by hand",
	[RK_TRY_LONG] = "let answers be longer with MaxReply= (--set MaxReply=64K)",
	[RK_TRY_NO_PROBE] = "Send= and Expect=, HealthPath= or ProbeExec= have to fit what it answers, and its command has to use the "
			    "port (%p) or the socket (%s) of its slot",
	[RK_TRY_NO_READY] = "it has to say READY=1 to $NOTIFY_SOCKET (sd_notify(3)); if it does not know how to, use Kind=tcp, http or exec",
	[RK_TRY_STAYS] = "it has to end at the end of its input (lines), else at the signal of KillSignal=: choose that, or a longer "
			 "StopTimeout=",
};

const char *rk_try_fix(enum rk_try_fault fault, const char *program, char *ret, size_t size)
{
	const struct known *k = known_find(program);
	const char *special = NULL;

	if (k && fault == RK_TRY_SILENT)
		special = k->flush;
	else if (k && fault == RK_TRY_COLORED)
		special = k->plain;
	else if (k && (fault == RK_TRY_BACKGROUND || fault == RK_TRY_ENDS))
		special = k->foreground;
	if (special && fault == RK_TRY_ENDS) /* perhaps */
		(void)snprintf(ret, size, "%s; if it has gone into the background: %s", fixes[fault], special);
	else
		(void)snprintf(ret, size, "%s", special ? special : fixes[fault] ? fixes[fault] : "");
	return ret;
}

enum rk_try_fault rk_try_of_words(const char *words, bool has_answered)
{
	static const struct {
		const char *words;
		enum rk_try_fault fault;
	} meanings[] = {
		{ "nobody asked for", RK_TRY_CHATTY },
		{ "closed its standard output", RK_TRY_CLOSED },
		{ "into the background", RK_TRY_BACKGROUND },
		{ "is in use", RK_TRY_BUSY },
	};

	for (size_t i = 0; i < rk_countof(meanings); i++)
		if (strstr(words, meanings[i].words))
			return meanings[i].fault == RK_TRY_CHATTY && has_answered ? RK_TRY_TWICE : meanings[i].fault;
	return RK_TRY_ENDS;
}
