/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Value's types that are made of words: paths, outputs, lists and commands.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shm/rundir.h"
#include "supervisor/output.h"
#include "supervisor/value_types.h"

#define COMMANDS_MAX 32u /* commands of a key */

/* ---- paths and output ---- */

static int path_check(const char *path, struct rk_err *err)
{
	return *path == '/' ? 0
			    : rk_err_set(err, -EINVAL,
					 "'%.60s' is no absolute path: begin it with '/'", path);
}

int rk_value_path_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	int r = path_check(text, err);
	char *copy = r < 0 ? NULL : strdup(text);

	(void)k;
	if (r < 0)
		return r;
	if (!copy)
		return rk_err_set(err, -ENOMEM, "no memory");
	free(*(char **)at);
	*(char **)at = copy;
	return 0;
}

void rk_value_path_print(const struct rk_key *k, const void *at, FILE *to)
{
	const char *path = *(char *const *)at;

	(void)k;
	(void)fputs(path ? path : "", to);
}

void rk_value_path_free(void *at)
{
	free(*(char **)at);
}

static const char *const outputs[] = { "inherit", "journal", "null", "file:" };

int rk_value_output_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	struct rk_output o = { 0 };
	char path[PATH_MAX];
	uint32_t to = 0;
	int r = 0;

	while (to < RK_OUTPUT_FILE && strcmp(text, outputs[to]) != 0)
		to++;
	if (to == RK_OUTPUT_FILE && strncmp(text, "file:", 5) != 0)
		return rk_err_set(err, -EINVAL,
				  "'%.60s' is none of inherit, journal, null and file:PATH", text);
	o.to = (enum rk_output_to)to;
	if (to == RK_OUTPUT_FILE)
		r = rk_output_path(text + 5, "", 0, path, err);
	if (r == 0 && to == RK_OUTPUT_FILE)
		r = rk_value_path_parse(k, text + 5, &o.path, err);
	if (r < 0)
		return r;
	free(((struct rk_output *)at)->path);
	*(struct rk_output *)at = o;
	return 0;
}

void rk_value_output_print(const struct rk_key *k, const void *at, FILE *to)
{
	const struct rk_output *o = at;

	(void)k;
	(void)fprintf(to, "%s%s", outputs[o->to], o->path ? o->path : "");
}

void rk_value_output_free(void *at)
{
	free(((struct rk_output *)at)->path);
}

/* ---- words ---- */

/* Splits text, checks every word, and appends all or none. */
static int list_parse(const char *text, int (*check)(const char *word, struct rk_err *err),
		      struct rk_wordlist *to, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	int r = rk_wordlist_split(&w, text, RK_VALUE_WORDS_MAX, err);

	for (uint32_t i = 0; r == 0 && i < w.n; i++)
		r = check(w.at[i], err);
	if (r == 0 && to->n + w.n > RK_VALUE_WORDS_MAX)
		r = rk_err_set(err, -E2BIG, "has more than %u words", RK_VALUE_WORDS_MAX);
	return r < 0 ? r : rk_wordlist_split(to, text, RK_VALUE_WORDS_MAX, err);
}

static int variable_check(const char *word, struct rk_err *err)
{
	size_t len = strcspn(word, "=");

	if (word[len] == '=' && len && !isdigit((unsigned char)*word)) {
		size_t i = 0;

		while (i < len && (isalnum((unsigned char)word[i]) || word[i] == '_'))
			i++;
		if (i == len)
			return 0;
	}
	return rk_err_set(err, -EINVAL,
			  "'%.60s' is no NAME=VALUE: put a value that holds blanks in quotes",
			  word);
}

int rk_value_environment_parse(const struct rk_key *k, const char *text, void *at,
			       struct rk_err *err)
{
	(void)k;
	return list_parse(text, variable_check, at, err);
}

static int optional_path_check(const char *word, struct rk_err *err)
{
	return path_check(word + (*word == '-'), err);
}

int rk_value_paths_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	(void)k;
	return list_parse(text, optional_path_check, at, err);
}

int rk_value_fleets_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	(void)k;
	return list_parse(text, rk_name_check, at, err);
}

void rk_value_words_print(const struct rk_key *k, const void *at, FILE *to)
{
	(void)k;
	rk_wordlist_print(at, to);
}

void rk_value_words_free(void *at)
{
	rk_wordlist_free_p(at);
}

/* The words of one command. prefixes are what systemd would take apart and we do not. */
static int command_split(const char *text, const char *prefixes, struct rk_wordlist *ret,
			 struct rk_err *err)
{
	int r = rk_wordlist_split(ret, text, RK_VALUE_WORDS_MAX, err);

	if (r < 0)
		return r;
	if (ret->n == 0 || !*ret->at[0])
		return rk_err_set(err, -EINVAL, "the command is empty");
	if (strchr(prefixes, ret->at[0][0]))
		return rk_err_set(err, -EINVAL,
				  "'%.60s': a '%c' before a command has no meaning here",
				  ret->at[0], ret->at[0][0]);
	return 0;
}

int rk_value_command_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	int r = command_split(text, "-@:+!|", &w, err);

	(void)k;
	if (r < 0)
		return r;
	rk_wordlist_free_p(at);
	*(struct rk_wordlist *)at = w;
	w = (struct rk_wordlist){ 0 };
	return 0;
}

int rk_value_commands_parse(const struct rk_key *k, const char *text, void *at, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	struct rk_commands *c = at;
	int r = command_split(text, "@:+!|", &w, err);
	struct rk_wordlist *grown;

	(void)k;
	if (r < 0)
		return r;
	if (c->n == COMMANDS_MAX)
		return rk_err_set(err, -E2BIG, "there are more than %u commands", COMMANDS_MAX);
	grown = realloc(c->at, (c->n + 1) * sizeof(*grown));
	if (!grown)
		return rk_err_set(err, -ENOMEM, "no memory");
	c->at = grown;
	c->at[c->n++] = w;
	w = (struct rk_wordlist){ 0 };
	return 0;
}

void rk_value_commands_print(const struct rk_key *k, const void *at, FILE *to)
{
	const struct rk_commands *c = at;

	(void)k;
	for (uint32_t i = 0; i < c->n; i++) {
		if (i > 0)
			(void)fputs("; ", to); /* for people: in a file each has its own line */
		rk_wordlist_print(&c->at[i], to);
	}
}

void rk_value_commands_free(void *at)
{
	struct rk_commands *c = at;

	for (uint32_t i = 0; i < c->n; i++)
		rk_wordlist_free_p(&c->at[i]);
	free(c->at);
}
