/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conf's command line: few options of its own, and one for every key, whose name follows from
 * the key's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/near.h"
#include "base/spelling.h"
#include "shm/rundir.h"
#include "supervisor/conf.h"
#include "supervisor/keys.h"

/* Fleet of the settings on a command line until its name is known. */
#define NOBODY ""

enum own { ASK, CONFIG, ROOT, NAME, SET, QUIET, DEBUG };

/* Options that are no keys. */
static const struct {
	const char *name;
	char letter;
	enum own own;
	enum rk_conf_ask ask;
} own[] = {
	{ "help", 0, ASK, RK_CONF_HELP },
	{ "version", 0, ASK, RK_CONF_VERSION },
	{ "check", 0, ASK, RK_CONF_CHECK },
	{ "cat", 0, ASK, RK_CONF_CAT },
	{ "cat-defaults", 0, ASK, RK_CONF_CAT_DEFAULTS },
	{ "man-conf", 0, ASK, RK_CONF_MAN },
	{ "adopts", 0, ASK, RK_CONF_ADOPTS },
	{ "config", 0, CONFIG, RK_CONF_RUN },
	{ "root", 0, ROOT, RK_CONF_RUN },
	{ "name", 0, NAME, RK_CONF_RUN },
	{ "set", 0, SET, RK_CONF_RUN },
	{ "quiet", 'q', QUIET, RK_CONF_RUN },
	{ "debug", 0, DEBUG, RK_CONF_RUN },
};

/* The fleet's key first: Strategy is in both sections. */
static const struct rk_key *key_of(const struct rk_spelling *a)
{
	const struct rk_key *found = NULL;
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	for (size_t i = 0; i < n; i++) {
		char option[RK_INI_KEY_MAX];

		rk_key_option(&k[i], option);
		if (rk_spelling_is(a, option, k[i].letter) &&
		    (!found || rk_key_section(&k[i]) == RK_INI_FLEET))
			found = &k[i];
	}
	return found;
}

static int unknown(const struct rk_spelling *a, struct rk_err *err)
{
	unsigned int best = RK_NEAR_NEVER;
	char written[RK_NEAR_LONGEST + 8], nearest[RK_INI_KEY_MAX] = "";
	size_t n;
	const struct rk_key *k = rk_keys(&n);

	(void)snprintf(written, sizeof(written), "%.*s", (int)rk_min_size(a->len, 100), a->arg);
	for (size_t i = 0; i < n && a->arg[1] == '-'; i++) {
		char option[RK_INI_KEY_MAX];
		unsigned int d;

		rk_key_option(&k[i], option);
		d = rk_near_judge(written + 2, option);
		if (d >= best)
			continue;
		best = d;
		memcpy(nearest, option, sizeof(nearest));
	}
	return rk_err_set(err, -EINVAL, "'%s' is not an option%s%s%s: see rekindled --help",
			  written, *nearest ? ", did you mean '--" : "", nearest,
			  *nearest ? "'" : "");
}

static int setting_add(struct rk_conf_request *q, const struct rk_key *k, const char *value,
		       struct rk_err *err)
{
	int r = rk_ini_add(&q->ini, rk_key_section(k), NOBODY, k->name, value);

	q->is_command_line = q->is_command_line || rk_key_section(k) == RK_INI_FLEET;
	return r < 0 ? rk_err_set(err, r, "too many options, or no memory") : 0;
}

/* --set Key=Value: the fleet's key, or the supervisor's. */
static int set_read(struct rk_conf_request *q, const char *text, struct rk_err *err)
{
	const char *equals = strchr(text, '='), *whose;
	char name[RK_INI_KEY_MAX];
	const struct rk_key *k;

	if (!equals || equals == text || (size_t)(equals - text) >= sizeof(name))
		return rk_err_set(err, -EINVAL, "--set: '%.60s' is no Key=Value", text);
	memcpy(name, text, (size_t)(equals - text));
	name[equals - text] = '\0';
	k = rk_key_find(RK_INI_FLEET, name);
	if (!k)
		k = rk_key_find(RK_INI_SUPERVISOR, name);
	if (k)
		return setting_add(q, k, equals + 1, err);
	k = rk_key_nearest(RK_INI_FLEET, name, &whose);
	return rk_err_set(err, -EINVAL, "--set: unknown key '%s'%s%s%s", name,
			  k ? ", did you mean '" : "", k ? k->name : "", k ? "'?" : "");
}

static int name_read(struct rk_conf_request *q, const char *value, struct rk_err *err)
{
	int r = rk_name_check(value, err);

	q->name = value;
	return r < 0 ? rk_err_prefix(err, -EINVAL, "--name") : 0;
}

static int own_set(struct rk_conf_request *q, enum own option, const char *value,
		   struct rk_err *err)
{
	switch (option) {
	case CONFIG:
		q->config = value;
		break;
	case ROOT:
		q->root = value;
		break;
	case NAME:
		return name_read(q, value, err);
	case SET:
		return set_read(q, value, err);
	case QUIET:
		q->quiet = true;
		break;
	case DEBUG:
		return setting_add(q, rk_key_find(RK_INI_SUPERVISOR, "LogLevel"), "debug", err);
	case ASK:
		break;
	}
	return 0;
}

/* The value that an option needs; NULL with a sentence when there is none. */
static const char *value_take(const struct rk_spelling *a, int argc, char *const *argv, int *i,
			      struct rk_err *err)
{
	if (a->value)
		return a->value;
	if (*i + 1 < argc)
		return argv[++*i];
	(void)rk_err_set(err, -EINVAL, "%.*s needs a value", (int)a->len, a->arg);
	return NULL;
}

static int key_read(struct rk_conf_request *q, const struct rk_key *k, const struct rk_spelling *a,
		    int argc, char *const *argv, int *i, struct rk_err *err)
{
	const char *value = a->value;

	if (k->type == RK_VALUE_BOOL && !value)
		value = "yes"; /* --allow-faults */
	if (!value)
		value = value_take(a, argc, argv, i, err);
	return value ? setting_add(q, k, value, err) : -EINVAL;
}

/* Reads the option at argv[*i] and leaves *i at the last argument it took. */
static int option_read(struct rk_conf_request *q, int argc, char *const *argv, int *i,
		       struct rk_err *err)
{
	struct rk_spelling a = rk_spell(argv[*i]);
	const struct rk_key *k;

	for (size_t o = 0; o < rk_countof(own); o++) {
		bool takes_value = own[o].own != ASK && own[o].own != QUIET && own[o].own != DEBUG;
		const char *value = NULL;

		if (!rk_spelling_is(&a, own[o].name, own[o].letter))
			continue;
		if (!takes_value && a.value)
			return rk_err_set(err, -EINVAL, "--%s takes no value", own[o].name);
		if (own[o].own == ASK)
			q->ask = own[o].ask;
		if (takes_value && !(value = value_take(&a, argc, argv, i, err)))
			return -EINVAL;
		return own_set(q, own[o].own, value, err);
	}
	k = key_of(&a);
	return k ? key_read(q, k, &a, argc, argv, i, err) : unknown(&a, err);
}

/* The command behind the options becomes Exec, quoted so that it is read back as it is. */
static int command_add(struct rk_conf_request *q, char *const *argv, struct rk_err *err)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist w = { 0 };
	rk_cleanup(rk_free_p) char *text = NULL;
	size_t len = 0;
	FILE *to;
	int r = 0;

	for (; r == 0 && *argv; argv++)
		r = rk_wordlist_add(&w, *argv);
	to = r == 0 ? open_memstream(&text, &len) : NULL;
	if (!to)
		return rk_err_set(err, -ENOMEM, "no memory");
	rk_wordlist_print(&w, to);
	if (fclose(to) != 0)
		return rk_err_set(err, -ENOMEM, "no memory");
	return setting_add(q, rk_key_find(RK_INI_FLEET, "Exec"), text, err);
}

static int request_check(const struct rk_conf_request *q, struct rk_err *err)
{
	if (q->ask == RK_CONF_HELP || q->ask == RK_CONF_VERSION || q->ask == RK_CONF_MAN ||
	    q->ask == RK_CONF_CAT_DEFAULTS || q->ask == RK_CONF_ADOPTS)
		return 0;
	if (q->config && q->is_command_line)
		return rk_err_set(
			err, -EINVAL,
			"with --config, what a fleet is stands in the file: take the command and its options out");
	if (!q->config && !q->name && q->ask == RK_CONF_RUN)
		return rk_err_set(
			err, -EINVAL,
			"the fleet has no name: give it one with --name, or name a configuration with --config");
	if (!q->config && q->name && !rk_ini_last(&q->ini, RK_INI_FLEET, NOBODY, "Exec"))
		return rk_err_set(err, -EINVAL,
				  "no command: what the workers run goes behind '--'");
	return 0;
}

int rk_conf_request_read(struct rk_conf_request *ret, int argc, char *const *argv,
			 struct rk_err *err)
{
	struct rk_conf_request q = { .root = "/" };
	int i = 1, r = 0;

	while (r == 0 && i < argc && argv[i][0] == '-' && argv[i][1] &&
	       strcmp(argv[i], "--") != 0) {
		r = option_read(&q, argc, argv, &i, err);
		i++;
		if (q.ask == RK_CONF_HELP || q.ask == RK_CONF_VERSION)
			argc = i; /* nothing behind it is looked at */
	}
	if (r == 0 && i < argc && strcmp(argv[i], "--") == 0)
		i++; /* it may be left out */
	if (r == 0 && i < argc)
		r = command_add(&q, argv + i, err);
	if (r == 0)
		r = request_check(&q, err);
	*ret = q;
	return r == -ENOMEM || r == 0 ? r : -EINVAL;
}

bool rk_conf_request_is_ask(int argc, char *const *argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		for (size_t o = 0; o < rk_countof(own); o++)
			if (own[o].own == ASK && strncmp(argv[i], "--", 2) == 0 &&
			    strcmp(argv[i] + 2, own[o].name) == 0)
				return true;
	return false;
}

void rk_conf_request_free_p(struct rk_conf_request *q)
{
	rk_ini_free_p(&q->ini);
}
