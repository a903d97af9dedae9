/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/num.h"

#define WORDS_MAX 1024u /* of a command */
#define SIGNALS 64u
#define QUOTED 60 /* bytes of a line that a sentence quotes */

enum type {
	TEXT,       /* char * */
	FLAG,       /* bool: which of two words */
	WORD,       /* an enum: which of the words */
	COUNT,      /* uint32_t */
	PORT,       /* uint16_t */
	TIME,       /* uint64_t */
	SIGNAL,     /* int */
	NUMBER,     /* int */
	COMMAND,    /* struct rk_wordlist */
	LISTEN,     /* a word of listen, for each line */
	DESCRIPTOR, /* of listen_fd, for each line */
	KEPT,       /* NUMBER:NAME, for each line */
};

#define O(member) offsetof(struct rk_bridge_options, member)

/* Everything that there is to say; what is no list is said once. */
static const struct key {
	const char *name;
	enum type type;
	size_t at;
	uint64_t min, max;
	const char *words; /* between '|' */
} keys[] = {
	{ "Name", TEXT, O(name), 0, 0, NULL },
	{ "Fleet", TEXT, O(fleet), 0, 0, NULL },
	{ "Kind", WORD, O(kind), 0, 0, "lines|http|tcp|notify|exec" },
	{ "Framing", FLAG, O(is_netstring), 0, 0, "line|netstring" },
	{ "AnswerId", TEXT, O(answer_id), 0, 0, NULL },
	{ "Terminal", WORD, O(terminal), 0, 0, "no|output|both" },
	{ "Window", COUNT, O(window), 1, 1024, NULL },
	{ "Port", PORT, O(port), 0, UINT16_MAX, NULL },
	{ "Socket", TEXT, O(socket), 0, 0, NULL },
	{ "Address", TEXT, O(address), 0, 0, NULL },
	{ "StateDirectory", TEXT, O(state_directory), 0, 0, NULL },
	{ "Send", TEXT, O(send), 0, 0, NULL },
	{ "Expect", TEXT, O(expect), 0, 0, NULL },
	{ "HealthPath", TEXT, O(health_path), 0, 0, NULL },
	{ "ProbeExec", COMMAND, O(probe_exec), 0, 0, NULL },
	{ "ProbeInterval", TIME, O(probe_interval_ns), 1, UINT64_MAX, NULL },
	{ "ProbeTimeout", TIME, O(probe_timeout_ns), 1, UINT64_MAX, NULL },
	{ "ProbeFailures", COUNT, O(n_probe_failures), 1, UINT32_MAX, NULL },
	{ "HttpPath", TEXT, O(http_path), 0, 0, NULL },
	{ "KeyHeader", TEXT, O(key_header), 0, 0, NULL },
	{ "HttpAnswer", FLAG, O(http_full), 0, 0, "body|full" },
	{ "Listen", LISTEN, O(listen), 0, 0, NULL },
	{ "ListenAs", WORD, O(listen_as), 0, 0, "systemd|nginx|fd" },
	{ "ListenFd", DESCRIPTOR, O(listen_fd), 0, INT32_MAX, NULL },
	{ "FileDescriptorStoreMax", COUNT, O(n_kept_max), 0, RK_BRIDGE_KEPT_MAX, NULL },
	{ "KeptFd", KEPT, O(kept), 0, INT32_MAX, NULL },
	{ "StoreFd", NUMBER, O(store_fd), 0, INT32_MAX, NULL },
	{ "CheckpointExec", COMMAND, O(checkpoint_exec), 0, 0, NULL },
	{ "CheckpointLine", TEXT, O(checkpoint_line), 0, 0, NULL },
	{ "CheckpointPath", TEXT, O(checkpoint_path), 0, 0, NULL },
	{ "CheckpointInterval", TIME, O(checkpoint_interval_ns), 0, UINT64_MAX, NULL },
	{ "RestoreExec", COMMAND, O(restore_exec), 0, 0, NULL },
	{ "WorkingDirectory", TEXT, O(working_directory), 0, 0, NULL },
	{ "KillSignal", SIGNAL, O(kill_signal), 1, SIGNALS, NULL },
	{ "StartTimeout", TIME, O(start_timeout_ns), 0, UINT64_MAX, NULL },
	{ "StopTimeout", TIME, O(stop_timeout_ns), 0, UINT64_MAX, NULL },
	{ "HangAfter", TIME, O(hang_after_ns), 0, UINT64_MAX, NULL },
};

_Static_assert(rk_countof(keys) <= 64, "a bit for every key");
_Static_assert(sizeof(enum rk_bridge_kind) == sizeof(unsigned int) &&
		       sizeof(enum rk_bridge_terminal) == sizeof(unsigned int) &&
		       sizeof(enum rk_bridge_listen_as) == sizeof(unsigned int),
	       "a WORD is set as one");

static bool is_list(const struct key *k)
{
	return k->type == LISTEN || k->type == DESCRIPTOR || k->type == KEPT;
}

/* ---- values ---- */

static int no_memory(struct rk_err *err)
{
	return rk_err_set(err, -ENOMEM, "no memory");
}

static int word_read(const struct key *k, const char *value, unsigned int *ret, struct rk_err *err)
{
	size_t len = strlen(value);
	unsigned int i = 0;

	for (const char *w = k->words; w; i++) {
		size_t word_len = strcspn(w, "|");

		if (word_len == len && strncmp(w, value, len) == 0) {
			*ret = i;
			return 0;
		}
		w = w[word_len] ? w + word_len + 1 : NULL;
	}
	return rk_err_set(err, -EINVAL, "'%.40s' is none of %s", value, k->words);
}

static int listen_add(struct rk_bridge_options *o, const char *value, struct rk_err *err)
{
	if (o->listen.n == RK_BRIDGE_LISTEN_MAX)
		return rk_err_set(err, -EINVAL, "there are more than %u", RK_BRIDGE_LISTEN_MAX);
	return rk_wordlist_add(&o->listen, value) < 0 ? no_memory(err) : 0;
}

static int descriptor_add(struct rk_bridge_options *o, uint64_t fd, struct rk_err *err)
{
	if (o->n_listen == RK_BRIDGE_LISTEN_MAX)
		return rk_err_set(err, -EINVAL, "there are more than %u", RK_BRIDGE_LISTEN_MAX);
	o->listen_fd[o->n_listen++] = (int)fd;
	return 0;
}

/* NUMBER:NAME; cuts value at the ':'. */
static int kept_add(struct rk_bridge_options *o, char *value, struct rk_err *err)
{
	char *colon = strchr(value, ':'), *name;
	uint64_t fd;
	int r;

	if (!colon)
		return rk_err_set(err, -EINVAL, "'%.40s' is no NUMBER:NAME", value);
	*colon = '\0';
	r = rk_num_parse(value, 0, INT32_MAX, &fd, err);
	if (r < 0)
		return r;
	if (o->n_kept == RK_BRIDGE_KEPT_MAX)
		return rk_err_set(err, -EINVAL, "there are more than %u", RK_BRIDGE_KEPT_MAX);
	name = strdup(colon + 1);
	if (!name)
		return no_memory(err);
	o->kept[o->n_kept++] = (struct rk_bridge_kept){ .fd = (int)fd, .name = name };
	return 0;
}

static int text_set(char **at, const char *value, struct rk_err *err)
{
	*at = strdup(value);
	return *at ? 0 : no_memory(err);
}

static int number_set(struct rk_bridge_options *o, const struct key *k, const char *value, struct rk_err *err)
{
	char *at = (char *)o + k->at;
	uint64_t v;
	int r = rk_num_parse(value, k->min, k->max, &v, err);

	if (r < 0)
		return r;
	if (k->type == DESCRIPTOR)
		return descriptor_add(o, v, err);
	if (k->type == TIME)
		*(uint64_t *)(void *)at = v;
	else if (k->type == COUNT)
		*(uint32_t *)(void *)at = (uint32_t)v;
	else if (k->type == PORT)
		*(uint16_t *)(void *)at = (uint16_t)v;
	else
		*(int *)(void *)at = (int)v;
	return 0;
}

/* value may be changed. */
static int value_set(struct rk_bridge_options *o, const struct key *k, char *value, struct rk_err *err)
{
	void *at = (char *)o + k->at;
	unsigned int word = 0;
	int r;

	switch (k->type) {
	case TEXT:
		return text_set(at, value, err);
	case FLAG:
	case WORD:
		r = word_read(k, value, &word, err);
		if (r == 0 && k->type == FLAG)
			*(bool *)at = word == 1;
		else if (r == 0)
			*(unsigned int *)at = word;
		return r;
	case COMMAND:
		r = rk_wordlist_split(at, value, WORDS_MAX, err);
		return r == -E2BIG ? -EINVAL : r;
	case LISTEN:
		return listen_add(o, value, err);
	case KEPT:
		return kept_add(o, value, err);
	case COUNT:
	case PORT:
	case TIME:
	case SIGNAL:
	case NUMBER:
	case DESCRIPTOR:
		break;
	}
	return number_set(o, k, value, err);
}

/* ---- lines ---- */

/* Takes the backslashes out of a line, in place. False: there is one that means nothing. */
static bool unescape(char *line)
{
	char *to = line;

	for (const char *c = line; *c; c++) {
		if (*c != '\\') {
			*to++ = *c;
			continue;
		}
		c++;
		if (*c != 'n' && *c != '\\')
			return false;
		*to++ = *c == 'n' ? '\n' : '\\';
	}
	*to = '\0';
	return true;
}

static const struct key *key_find(const char *name, size_t len)
{
	for (size_t i = 0; i < rk_countof(keys); i++)
		if (strlen(keys[i].name) == len && strncmp(keys[i].name, name, len) == 0)
			return &keys[i];
	return NULL;
}

/* seen: bit i for key i. The line may be changed. */
static int line_read(struct rk_bridge_options *o, char *line, uint64_t *seen, struct rk_err *err)
{
	char *equals = strchr(line, '=');
	const struct key *k = equals ? key_find(line, (size_t)(equals - line)) : NULL;
	uint64_t bit;
	int r;

	if (!equals)
		return rk_err_set(err, -EINVAL, "'%.*s' is no Key=value", QUOTED, line);
	*equals = '\0';
	if (!k)
		return rk_err_set(err, -EINVAL, "there is no key '%.*s'", QUOTED, line);
	bit = UINT64_C(1) << (k - keys);
	if (*seen & bit && !is_list(k))
		return rk_err_set(err, -EINVAL, "%s= stands there twice", k->name);
	*seen |= bit;
	if (!unescape(equals + 1))
		return rk_err_set(err, -EINVAL, "%s= has a backslash with neither 'n' nor '\\' behind it", k->name);
	r = value_set(o, k, equals + 1, err);
	return r < 0 ? rk_err_prefix(err, r, k->name) : 0;
}

static int all_check(const struct rk_bridge_options *o, uint64_t seen, struct rk_err *err)
{
	for (size_t i = 0; i < rk_countof(keys); i++)
		if (!(seen >> i & 1) && !is_list(&keys[i]))
			return rk_err_set(err, -EINVAL, "%s= is missing", keys[i].name);
	if (o->n_listen > o->listen.n)
		return rk_err_set(err, -EINVAL, "there are more descriptors than addresses: ListenFd=, Listen=");
	return 0;
}

/* text is a copy. */
static int lines_read(struct rk_bridge_options *o, char *text, struct rk_err *err)
{
	uint64_t seen = 0;
	unsigned int n = 0;
	int r = 0;

	while (r == 0 && *text) {
		char *newline = strchr(text, '\n'), *next = newline ? newline + 1 : strchr(text, '\0');
		char place[40];

		if (newline)
			*newline = '\0';
		(void)snprintf(place, sizeof(place), "REKINDLE_BRIDGE, line %u", ++n);
		r = line_read(o, text, &seen, err);
		if (r < 0)
			return rk_err_prefix(err, r, place);
		text = next;
	}
	r = all_check(o, seen, err);
	return r < 0 ? rk_err_prefix(err, r, "REKINDLE_BRIDGE") : 0;
}

int rk_bridge_options_read(struct rk_bridge_options *o, const char *text, struct rk_err *err)
{
	rk_cleanup(rk_free_p) char *copy = strdup(text);
	int r;

	*o = (struct rk_bridge_options){ 0 };
	if (!copy)
		return no_memory(err);
	r = lines_read(o, copy, err);
	return r == 0 || r == -ENOMEM ? r : -EINVAL;
}

void rk_bridge_options_free(struct rk_bridge_options *o)
{
	for (size_t i = 0; i < rk_countof(keys); i++) {
		void *at = (char *)o + keys[i].at;

		if (keys[i].type == TEXT)
			rk_free_p(at);
		else if (keys[i].type == COMMAND || keys[i].type == LISTEN)
			rk_wordlist_free_p(at);
	}
	for (uint32_t i = 0; i < o->n_kept; i++)
		free(o->kept[i].name);
	*o = (struct rk_bridge_options){ 0 };
}
