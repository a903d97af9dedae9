/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/bridge_options.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/keys.h"
#include "supervisor/value.h"

/* What a bridge is told beside its own keys. */
static const char *const others[] = { "Kind", "KillSignal", "StartTimeout", "StopTimeout", "HangAfter",
				      "WorkingDirectory" };

/* ---- values ---- */

/* So that it stays one line. */
static void line_put(const char *value, FILE *to)
{
	for (const char *c = value; *c; c++) {
		if (*c == '\n')
			(void)fputs("\\n", to);
		else if (*c == '\\')
			(void)fputs("\\\\", to);
		else
			(void)fputc(*c, to);
	}
	(void)fputc('\n', to);
}

static void raw_put(const char *key, const char *value, FILE *to)
{
	(void)fprintf(to, "%s=", key);
	line_put(value ? value : "", to);
}

static int words_put(const struct rk_key *k, const void *o, FILE *to)
{
	rk_cleanup(rk_free_p) char *text = rk_value_text(k, o);

	if (!text)
		return -ENOMEM;
	raw_put(k->name, text, to);
	return 0;
}

static void list_put(const struct rk_key *k, const struct rk_wordlist *w, FILE *to)
{
	for (uint32_t i = 0; i < w->n; i++)
		raw_put(k->name, w->at[i], to);
}

/* Types that no key has which a bridge is told of are printed as people would read them: test_bridge_options. */
static int value_put(const struct rk_key *k, const struct rk_fleet_options *o, FILE *to)
{
	const void *at = (const char *)o + k->at;

	if (k->type == RK_VALUE_COUNT || k->type == RK_VALUE_SIGNAL)
		(void)fprintf(to, "%s=%" PRIu32 "\n", k->name, *(const uint32_t *)at);
	else if (k->type == RK_VALUE_TIME || k->type == RK_VALUE_SIZE)
		(void)fprintf(to, "%s=%" PRIu64 "\n", k->name, *(const uint64_t *)at);
	else if (k->type == RK_VALUE_BOOL)
		(void)fprintf(to, "%s=%d\n", k->name, *(const bool *)at);
	else if (k->type == RK_VALUE_ADDRESSES)
		list_put(k, at, to);
	else if (k->type == RK_VALUE_ESCAPED) /* not as it was written */
		raw_put(k->name, *(char *const *)at, to);
	else
		return words_put(k, o, to);
	return 0;
}

/* ---- all of it ---- */

static int keys_put(const struct rk_bridge_plan *p, FILE *to)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (k[i].group != RK_GROUP_WRAP)
			continue;
		if (strcmp(k[i].name, "StateDirectory") == 0 && !p->o->state_directory)
			raw_put(k[i].name, p->o->kind == RK_KIND_LINES ? "" : p->state_directory, to); /* as conf_wrap.c has it */
		else
			r = value_put(&k[i], p->o, to);
	}
	for (size_t i = 0; r == 0 && i < rk_countof(others); i++)
		r = value_put(rk_key_find(RK_INI_FLEET, others[i]), p->o, to);
	return r;
}

static void descriptors_put(const struct rk_bridge_plan *p, FILE *to)
{
	for (uint32_t i = 0; i < p->n_listen; i++)
		(void)fprintf(to, "ListenFd=%d\n", p->listen[i]);
	for (uint32_t i = 0; i < p->n_kept; i++) {
		(void)fprintf(to, "KeptFd=%d:", p->kept[i].fd);
		line_put(p->kept[i].name, to);
	}
	(void)fprintf(to, "StoreFd=%d\n", p->line);
}

char *rk_bridge_options_text(const struct rk_bridge_plan *p)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	int r;

	if (!to)
		return NULL;
	(void)fputs(RK_BRIDGE_VARIABLE "=", to);
	raw_put("Name", p->name, to);
	raw_put("Fleet", p->fleet, to);
	r = keys_put(p, to);
	descriptors_put(p, to);
	if (fclose(to) == 0 && r == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- where state is ---- */

/* NULL: it is not set, or empty. */
static const char *variable(char *const *environment, const char *name)
{
	size_t len = strlen(name);

	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return (*environment)[len + 1] ? *environment + len + 1 : NULL;
	return NULL;
}

/* A '%' in a path is no specifier. */
static void path_put(const char *path, FILE *to)
{
	for (; *path; path++) {
		if (*path == '%')
			(void)fputc('%', to);
		(void)fputc(*path, to);
	}
}

static void base_put(bool is_root, char *const *environment, FILE *to)
{
	const char *state = variable(environment, "XDG_STATE_HOME"), *home = variable(environment, "HOME");

	if (!is_root && state && *state == '/') {
		path_put(state, to);
	} else if (!is_root && home && *home == '/') {
		path_put(home, to);
		(void)fputs("/.local/state", to);
	} else {
		(void)fputs("/var/lib", to);
	}
}

/* StateDirectory= of the unit, the first one of several: the service's own already. */
static bool service_put(char *const *environment, FILE *to)
{
	const char *all = variable(environment, "STATE_DIRECTORY");
	char first[PATH_MAX];
	size_t len = all ? strcspn(all, ":") : 0;

	if (!len || *all != '/' || len >= sizeof(first))
		return false;
	memcpy(first, all, len);
	first[len] = '\0';
	path_put(first, to);
	return true;
}

char *rk_bridge_state_directory(const char *name, bool is_root, char *const *environment)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	if (!service_put(environment, to)) {
		base_put(is_root, environment, to);
		(void)fprintf(to, "/rekindle/%s", name);
	}
	(void)fputs("/%f-%i", to);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}
