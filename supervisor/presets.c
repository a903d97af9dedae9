/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/presets.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/beside.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/near.h"
#include "shm/rundir.h"
#include "supervisor/bridge_options.h"
#include "supervisor/sources.h"

#define SUFFIX ".conf"
#define FOLDER "presets"
#define PLACES 3u
#define NAMES_MAX 256u /* that are told */

/* Where presets are, by priority; "" where there is no such place. */
struct places {
	char at[PLACES][PATH_MAX];
};

/* ---- finding ---- */

static void places_find(const char *root, struct places *ret)
{
	int root_len = (int)strlen(root);
	char bridge[PATH_MAX];

	while (root_len > 0 && root[root_len - 1] == '/')
		root_len--;
	if (snprintf(ret->at[0], PATH_MAX, "%.*s/etc/rekindle/" FOLDER, root_len, root) >= PATH_MAX)
		ret->at[0][0] = '\0';
	/* In a build's tree the source's own, whatever else is installed on this machine. */
	if (!rk_beside(bridge, "workers/bridge/" RK_BRIDGE_PROGRAM) || !rk_beside(ret->at[1], RK_SRCDIR "/" FOLDER))
		ret->at[1][0] = '\0';
	(void)snprintf(ret->at[2], PATH_MAX, "%s", RK_PKGDATADIR "/" FOLDER);
}

static bool file_find(const struct places *places, const char *name, char ret[static PATH_MAX])
{
	for (uint32_t i = 0; i < PLACES; i++) {
		int n = *places->at[i] ? snprintf(ret, PATH_MAX, "%s/%s" SUFFIX, places->at[i], name) : PATH_MAX;

		if (n < PATH_MAX && access(ret, F_OK) == 0)
			return true;
	}
	return false;
}

/* ---- telling which there are ---- */

static void dir_close_p(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

/* What cannot be told is left out: a sentence is all this is for. */
static void names_of(const char *place, struct rk_wordlist *names)
{
	rk_cleanup(dir_close_p) DIR *dir = *place ? opendir(place) : NULL;
	struct dirent *entry;

	while (dir && names->n < NAMES_MAX && (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);
		char name[RK_NAME_MAX];

		if (len <= strlen(SUFFIX) || len - strlen(SUFFIX) >= sizeof(name) ||
		    strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) != 0)
			continue;
		(void)snprintf(name, sizeof(name), "%.*s", (int)(len - strlen(SUFFIX)), entry->d_name);
		if (rk_name_check(name, NULL) == 0 && !rk_wordlist_has(names, name))
			(void)!rk_wordlist_add(names, name);
	}
}

static int by_name(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static const char *nearest(const struct rk_wordlist *names, const char *name)
{
	unsigned int best = RK_NEAR_NEVER;
	const char *found = NULL;

	for (uint32_t i = 0; i < names->n; i++) {
		unsigned int d = rk_near_judge(name, names->at[i]);

		if (d >= best)
			continue;
		best = d;
		found = names->at[i];
	}
	return found;
}

static void unknown_tell(const struct rk_setting *s, const struct places *places, struct rk_complaints *c)
{
	rk_cleanup(rk_wordlist_free_p) struct rk_wordlist names = { 0 };
	char list[600] = "";
	const char *near;
	size_t len = 0;

	for (uint32_t i = 0; i < PLACES; i++)
		names_of(places->at[i], &names);
	if (names.n)
		qsort(names.at, names.n, sizeof(*names.at), by_name);
	for (uint32_t i = 0; i < names.n && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "", names.at[i]);
	near = nearest(&names, s->value);
	if (near)
		rk_complain(c, s->file, s->line, "Preset=%s: there is none, did you mean '%s'? There are: %s", s->value, near, list);
	else if (names.n)
		rk_complain(c, s->file, s->line, "Preset=%s: there is none; there are: %s", s->value, list);
	else
		rk_complain(c, s->file, s->line, "Preset=%s: there are no presets in %s or %s: install rekindle again", s->value,
			    places->at[0], places->at[PLACES - 1]);
}

/* ---- taking ---- */

/* What would make no sense for any fleet, among the first n. */
static void foreign_tell(const struct rk_ini *ini, uint32_t n, struct rk_complaints *c)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct rk_setting *s = &ini->at[i];

		if (strcmp(s->key, "Exec") == 0 || strcmp(s->key, "Preset") == 0)
			rk_complain(c, s->file, s->line, "%s= does not belong in a preset: say it where the fleet is", s->key);
	}
}

/* Returns 0, also for mistakes; -ENOENT: nothing could be read, and that is told; -ENOMEM. */
static int file_take(struct rk_ini *ini, const char *path, const char *fleet, struct rk_complaints *c)
{
	rk_cleanup(rk_free_p) char *text = NULL;
	struct rk_err err = { 0 };
	uint32_t n_before = ini->n;
	size_t len;
	int r = rk_sources_read(path, RK_INI_FILE_MAX, &text, &len, &err);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		rk_complain(c, path, 0, "%s", err.text);
		return -ENOENT;
	}
	r = rk_ini_read_preset(ini, path, text, len, fleet, c);
	if (r == 0)
		foreign_tell(ini, ini->n - n_before, c);
	return r;
}

/* Whether what is in force has the same preset for this fleet. */
static bool is_in_force(const struct rk_ini *before, const struct rk_setting *s)
{
	const struct rk_setting *then = before ? rk_ini_last(before, RK_INI_FLEET, s->argument, "Preset") : NULL;

	return then && strcmp(then->value, s->value) == 0;
}

/* As file_take(). */
static int preset_take(struct rk_ini *ini, const struct rk_setting *s, const struct places *places,
		       const struct rk_ini *before, struct rk_complaints *c)
{
	char path[PATH_MAX];

	if (rk_name_check(s->value, NULL) < 0)
		return 0; /* which is told as that of any key */
	if (file_find(places, s->value, path))
		return file_take(ini, path, s->argument, c);
	if (!is_in_force(before, s)) {
		unknown_tell(s, places, c);
		return -ENOENT;
	}
	rk_log(RK_LOG_WARNING, "the preset's file is gone, what it said goes on to hold preset=%s fleet=%s", s->value, s->argument);
	return rk_ini_copy_preset(ini, before, s->argument);
}

int rk_presets_take(struct rk_ini *ini, const char *root, const struct rk_ini *before, struct rk_complaints *c)
{
	struct places places;
	int r = 0;

	places_find(root, &places);
	for (uint32_t i = 0; r == 0 && i < ini->n_fleets; i++) {
		const struct rk_setting *last = rk_ini_last(ini, RK_INI_FLEET, ini->fleets[i].argument, "Preset");
		struct rk_setting s; /* a copy, since the list moves while it grows; the value stays where it is */

		if (!last || !*last->value)
			continue;
		s = *last;
		r = preset_take(ini, &s, &places, before, c);
		if (r == -ENOENT) { /* nothing has moved */
			ini->at[last - ini->at].is_refused = true;
			r = 0;
		}
	}
	return r;
}
