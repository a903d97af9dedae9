/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridge, what is this slot's own: the program's command and environment, its port and places.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workers/bridge/bridge_private.h"

extern char **environ;

/* ---- its environment ---- */

void rk_bridge_clean_environment(void)
{
	static const char *const names[] = { "REKINDLE_BRIDGE", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID",
					     "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID" };

	for (size_t i = 0; i < rk_countof(names); i++)
		(void)unsetenv(names[i]);
}

char **rk_bridge_environment(char *const *more, uint32_t n_more)
{
	size_t n = 0;
	char **envp;

	while (environ[n])
		n++;
	envp = calloc(n + n_more + 1, sizeof(*envp));
	if (!envp)
		return NULL;
	memcpy(envp, environ, n * sizeof(*envp));
	for (uint32_t i = 0; i < n_more; i++)
		envp[n + i] = more[i];
	return envp;
}

/* ---- its words ---- */

static struct rk_specifiers specifiers(const struct rk_bridge *b)
{
	return (struct rk_specifiers){ .fleet = b->o.fleet, .slot = b->slot, .port = b->o.port, .socket = b->o.socket,
				       .directory = b->o.state_directory };
}

int rk_bridge_words(const struct rk_bridge *b, const struct rk_wordlist *words, struct rk_wordlist *ret,
		    struct rk_err *err)
{
	const struct rk_specifiers with = specifiers(b);

	return rk_specifier_words(words, &with, ret, err);
}

/* Whether %d stands in it. */
static bool names_directory(const char *text)
{
	for (; *text; text++) {
		if (text[0] != '%')
			continue;
		if (text[1] == 'd')
			return true;
		text += text[1] != '\0';
	}
	return false;
}

static bool needs_directory(const struct rk_bridge *b, char *const *argv)
{
	const struct rk_wordlist *lists[] = { &b->o.probe_exec, &b->o.checkpoint_exec, &b->o.restore_exec };

	for (size_t i = 0; argv[i]; i++)
		if (names_directory(argv[i]))
			return true;
	for (size_t k = 0; k < rk_countof(lists); k++)
		for (uint32_t i = 0; i < lists[k]->n; i++)
			if (names_directory(lists[k]->at[i]))
				return true;
	return names_directory(b->o.socket) || names_directory(b->o.working_directory);
}

/* With its parents; only the user of the program may look into it. */
static int directory_make(const char *path, struct rk_err *err)
{
	char at[RK_SPECIFIER_MAX];
	size_t len = strlen(path);

	memcpy(at, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		at[i] = '\0';
		if (mkdir(at, 0700) < 0 && errno != EEXIST)
			return rk_err_set(err, -errno, "cannot make the state directory '%s': %s; choose another with StateDirectory=",
					  at, strerror(errno));
		at[i] = path[i];
	}
	return 0;
}

/* Where the program runs, and what is run for it: as the slot's own directory. */
static int directory_enter(const struct rk_specifiers *with, const char *pattern, struct rk_err *err)
{
	char path[RK_SPECIFIER_MAX];
	int r;

	if (!strchr(pattern, '%'))
		return 0; /* the supervisor has been there */
	r = rk_specifier_expand(pattern, with, path, sizeof(path), err);
	if (r < 0)
		return r;
	if (chdir(path) < 0)
		return rk_err_set(err, -errno, "cannot run in '%s': %s; WorkingDirectory= names it", path, strerror(errno));
	return 0;
}

/* What is this slot's own: port, socket, the program's command. */
/* A filter that has no place of its own: its '%' are its own (rekindle.conf(5), Exec=). */
static bool is_verbatim(const struct rk_bridge *b)
{
	return b->o.kind == RK_BRIDGE_LINES && !b->o.port && !*b->o.socket && !*b->o.state_directory;
}

static int words_copy(char *const *argv, struct rk_wordlist *ret, struct rk_err *err)
{
	for (size_t i = 0; argv[i]; i++)
		if (rk_wordlist_add(ret, argv[i]) < 0)
			return rk_err_set(err, -ENOMEM, "no memory for the command");
	return 0;
}

int rk_bridge_expand(struct rk_bridge *b, char *const *argv, struct rk_err *err)
{
	const struct rk_specifiers with = specifiers(b);
	struct rk_wordlist words = { .at = (char **)(uintptr_t)argv };
	char slot[12];
	int r = 0;

	while (argv[words.n])
		words.n++;
	(void)snprintf(slot, sizeof(slot), "%u", b->slot);
	if (setenv("REKINDLE_FLEET", b->o.fleet, 1) < 0 || setenv("REKINDLE_WORKER_SLOT", slot, 1) < 0)
		return rk_err_set(err, -ENOMEM, "no memory for an environment");
	b->port = (uint16_t)rk_specifier_port(&with);
	if (*b->o.socket)
		r = rk_specifier_expand("%s", &with, b->socket, sizeof(b->socket), err);
	if (r == 0 && *b->o.state_directory)
		r = rk_specifier_expand("%d", &with, b->directory, sizeof(b->directory), err);
	if (r == 0 && *b->directory && needs_directory(b, argv))
		r = directory_make(b->directory, err);
	if (r == 0)
		r = directory_enter(&with, b->o.working_directory, err);
	if (r == 0 && is_verbatim(b))
		r = words_copy(argv, &b->words, err);
	else if (r == 0)
		r = rk_specifier_words(&words, &with, &b->words, err);
	b->argv = b->words.at;
	return r;
}
