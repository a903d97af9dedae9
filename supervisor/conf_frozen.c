/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Its text: words with a NUL behind each: a head, then section, argument, key and value of each setting:
 * those of one fleet together, its preset's among them, whose file may be gone by then, fleets in the order of their first mention, which is the order they start in.
 * Then, in a section of their own each, what a reload has yet to do and the settings of fleets that leave.
 * Mostly there are none; a release that does not know them refuses the whole.
 */
#include "supervisor/conf_frozen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/num.h"
#include "shm/rundir.h"
#include "supervisor/conf_check.h"

#define HEAD "rekindle configuration 1"
#define FLEET "fleet"
#define PRESET "preset" /* a setting of a fleet that its preset made */
#define SUPERVISOR "supervisor"
#define LEAVING "leaving"
#define RELOAD "reload" /* of no fleet: its group; of a fleet: what is to be done */
#define GROUP "group"
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define LEN_MAX (16u * RK_INI_FILE_MAX)

static const struct {
	const char *word;
	uint32_t bit;
} todos[] = { { "scale", RK_CONF_TO_SCALE }, { "restart", RK_CONF_TO_RESTART } };

static void word_put(FILE *to, const char *word)
{
	(void)fwrite(word, 1, strlen(word) + 1, to);
}

static void words_put(FILE *to, const char *section, const char *argument, const char *key, const char *value)
{
	word_put(to, section);
	word_put(to, argument);
	word_put(to, key);
	word_put(to, value);
}

/* Of [Supervisor]: name is "". */
static void settings_put(FILE *to, const struct rk_ini *ini, enum rk_ini_section section, const char *name,
			 const char *as)
{
	for (uint32_t i = 0; i < ini->n; i++) {
		const struct rk_setting *s = &ini->at[i];

		if (s->section == section && strcmp(s->argument, name) == 0)
			words_put(to, s->is_preset && strcmp(as, FLEET) == 0 ? PRESET : as, s->argument, s->key, s->value);
	}
}

static void reload_put(FILE *to, const struct rk_conf *conf)
{
	char group[24];

	if (!conf->reload)
		return;
	(void)snprintf(group, sizeof(group), "%llu", (unsigned long long)conf->reload);
	words_put(to, RELOAD, "", GROUP, group);
	for (uint32_t i = 0; i < conf->n_fleets; i++)
		for (size_t k = 0; k < rk_countof(todos); k++)
			if (conf->fleets[i].todo & todos[k].bit)
				words_put(to, RELOAD, conf->fleets[i].name, todos[k].word, "");
}

static int text_make(const struct rk_conf *conf, const struct rk_conf_leaving *leaving, uint32_t n_leaving, char **ret,
		     size_t *ret_len)
{
	FILE *to = open_memstream(ret, ret_len);

	if (!to)
		return -ENOMEM;
	word_put(to, HEAD);
	word_put(to, conf->name);
	word_put(to, conf->has_files ? "files" : "");
	word_put(to, conf->quiet ? "quiet" : "");
	settings_put(to, &conf->ini, RK_INI_SUPERVISOR, "", SUPERVISOR);
	for (uint32_t i = 0; i < conf->ini.n_fleets; i++)
		settings_put(to, &conf->ini, RK_INI_FLEET, conf->ini.fleets[i].argument, FLEET);
	reload_put(to, conf);
	for (uint32_t i = 0; i < n_leaving; i++)
		settings_put(to, &leaving[i].conf->ini, RK_INI_FLEET, leaving[i].fleet, LEAVING);
	return fclose(to) == 0 ? 0 : -ENOMEM;
}

int rk_conf_freeze(const struct rk_conf *conf, const struct rk_conf_leaving *leaving, uint32_t n_leaving)
{
	rk_cleanup(rk_close_p) int fd = memfd_create("rekindle-" RK_CONF_FROZEN, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	rk_cleanup(rk_free_p) char *text = NULL;
	size_t len = 0;
	int r = fd < 0 ? -errno : text_make(conf, leaving, n_leaving, &text, &len);

	if (r == 0)
		r = rk_write_all(fd, text, len);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		r = -errno;
	return r < 0 ? r : rk_take_fd(&fd);
}

/* ---- back ---- */

struct words {
	const char *at, *end;
};

/* The next one; NULL behind the last. */
static const char *word_take(struct words *w)
{
	const char *word = w->at;

	if (w->at >= w->end)
		return NULL;
	w->at += strlen(word) + 1; /* the text ends in a NUL */
	return word;
}

static int text_read(int fd, char **ret, size_t *ret_len)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > LEN_MAX)
		return -EPROTO;
	*ret_len = (size_t)st.st_size;
	*ret = malloc(*ret_len);
	if (!*ret)
		return -ENOMEM;
	if (pread(fd, *ret, *ret_len, 0) != (ssize_t)*ret_len || (*ret)[*ret_len - 1] != '\0')
		return -EPROTO;
	return 0;
}

bool rk_conf_frozen_is_same(int a, int b)
{
	rk_cleanup(rk_free_p) char *text_a = NULL;
	rk_cleanup(rk_free_p) char *text_b = NULL;
	size_t len_a, len_b;

	return text_read(a, &text_a, &len_a) == 0 && text_read(b, &text_b, &len_b) == 0 && len_a == len_b &&
	       memcmp(text_a, text_b, len_a) == 0;
}

static int head_take(struct words *w, struct rk_conf *conf)
{
	const char *head = word_take(w), *name = word_take(w), *files = word_take(w), *quiet = word_take(w);

	if (!quiet || strcmp(head, HEAD) != 0 || rk_name_check(name, NULL) < 0)
		return -EPROTO;
	memcpy(conf->name, name, strlen(name) + 1);
	conf->has_files = *files != '\0';
	conf->quiet = *quiet != '\0';
	return 0;
}

/* A reload's, before the fleets that its words name are made. */
struct todo {
	char fleet[RK_NAME_MAX];
	uint32_t bits;
};

/* What is read, until all of it is. */
struct thawing {
	struct rk_conf conf, leaving;
	struct todo todo[RK_FLEETS_MAX];
	uint32_t n_todo;
};

static void thawing_free_p(struct thawing *t)
{
	rk_conf_free_p(&t->conf);
	rk_conf_free_p(&t->leaving);
}

static int reload_take(struct thawing *t, const char *argument, const char *key, const char *value)
{
	struct rk_err err;

	if (*argument == '\0' && strcmp(key, GROUP) == 0)
		return rk_num_parse(value, 1, UINT64_MAX, &t->conf.reload, &err);
	for (size_t k = 0; k < rk_countof(todos); k++) {
		if (strcmp(key, todos[k].word) != 0)
			continue;
		if (t->n_todo == rk_countof(t->todo) || rk_name_check(argument, NULL) < 0)
			return -EPROTO;
		t->todo[t->n_todo].bits = todos[k].bit;
		memcpy(t->todo[t->n_todo++].fleet, argument, strlen(argument) + 1);
		return 0;
	}
	return -EPROTO;
}

static int setting_take(struct words *w, struct thawing *t)
{
	const char *section = word_take(w), *argument = word_take(w), *key = word_take(w), *value = word_take(w);
	struct rk_ini *to;
	bool is_leaving, is_preset;
	int r;

	if (!value)
		return -EPROTO;
	if (strcmp(section, SUPERVISOR) == 0 && *argument == '\0')
		return rk_ini_add(&t->conf.ini, RK_INI_SUPERVISOR, "", key, value);
	if (strcmp(section, RELOAD) == 0)
		return reload_take(t, argument, key, value);
	is_leaving = strcmp(section, LEAVING) == 0;
	is_preset = strcmp(section, PRESET) == 0;
	if ((!is_leaving && !is_preset && strcmp(section, FLEET) != 0) || rk_name_check(argument, NULL) < 0)
		return -EPROTO;
	to = is_leaving ? &t->leaving.ini : &t->conf.ini;
	r = rk_ini_add(to, RK_INI_FLEET, argument, key, value);
	if (r == 0)
		to->at[to->n - 1].is_preset = is_preset;
	return r;
}

static int text_take(int fd, struct thawing *t)
{
	rk_cleanup(rk_free_p) char *text = NULL;
	size_t len = 0;
	int r = text_read(fd, &text, &len);
	struct words w = { text, text + len };

	if (r == 0)
		r = head_take(&w, &t->conf);
	while (r == 0 && w.at < w.end)
		r = setting_take(&w, t);
	return r;
}

static void todo_give(struct thawing *t)
{
	for (uint32_t k = 0; k < t->n_todo; k++)
		for (uint32_t i = 0; i < t->conf.n_fleets; i++)
			if (strcmp(t->conf.fleets[i].name, t->todo[k].fleet) == 0)
				t->conf.fleets[i].todo |= t->todo[k].bits;
}

int rk_conf_thaw(int fd, struct rk_conf *ret, struct rk_conf *ret_leaving, struct rk_err *err)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	rk_cleanup(thawing_free_p) struct thawing t = { .n_todo = 0 };
	int r = text_take(fd, &t);

	if (r == 0)
		r = rk_conf_apply(&t.conf, &c);
	if (r == 0)
		rk_conf_check_shape(&t.conf, &c);
	if (r == 0)
		r = rk_conf_apply(&t.leaving, &c); /* its fleets may name others that are gone */
	if (r < 0)
		return rk_err_set(err, r == -ENOMEM ? r : -EPROTO, "the configuration in force cannot be read: %s",
				  strerror(-r));
	if (c.n)
		return rk_err_set(err, -EPROTO, "the configuration in force is none for this release: %s", c.at[0].text);
	todo_give(&t);
	*ret = t.conf;
	*ret_leaving = t.leaving;
	t.conf = t.leaving = (struct rk_conf){ 0 };
	return 0;
}
