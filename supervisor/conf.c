/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/conf_check.h"
#include "supervisor/conf_wrap.h"
#include "supervisor/keys.h"
#include "supervisor/presets.h"
#include "supervisor/respond.h"
#include "supervisor/sources.h"
#include "supervisor/value.h"

#define WORKERS_ROOM 64u  /* slots a fleet gets at least, so that it can be scaled up later */
#define READERS_ROOM 128u /* reader lines beside those of the clients: status, top, key */
#define HANG_COMPUTING (100 * RK_NS_PER_MS) /* where workers never wait */

/* ---- reading ---- */

static int file_load(struct rk_conf *conf, const char *path, struct rk_complaints *c)
{
	rk_cleanup(rk_free_p) char *text = NULL;
	struct rk_err err = { 0 };
	size_t len;
	int r = rk_sources_read(path, RK_INI_FILE_MAX, &text, &len, &err);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		rk_complain(c, path, 0, "%s", err.text);
		return 0;
	}
	return rk_ini_read(&conf->ini, path, text, len, c);
}

static int files_load(struct rk_conf *conf, const struct rk_conf_request *q,
		      struct rk_complaints *c, struct rk_err *err)
{
	rk_cleanup(rk_sources_free_p) struct rk_sources s = { 0 };
	int r = rk_sources_find(q->root, q->config, &s, err);

	for (uint32_t i = 0; r == 0 && i < s.path.n; i++) {
		r = file_load(conf, s.path.at[i], c);
		if (r < 0)
			return rk_err_set(err, r, "no memory");
	}
	if (r == 0)
		memcpy(conf->name, q->name ? q->name : s.name,
		       strlen(q->name ? q->name : s.name) + 1); /* names are bounded */
	return r;
}

static int options_load(struct rk_conf *conf, const struct rk_conf_request *q, struct rk_err *err)
{
	if (!q->name)
		return rk_err_set(
			err, -EINVAL,
			"nothing to run: give --config NAME, or --name NAME and a command behind '--'");
	memcpy(conf->name, q->name, strlen(q->name) + 1);
	for (uint32_t i = 0; i < q->ini.n; i++) {
		const struct rk_setting *s = &q->ini.at[i];
		int r = rk_ini_add(&conf->ini, s->section,
				   s->section == RK_INI_FLEET ? q->name : "", s->key, s->value);

		if (r < 0)
			return rk_err_set(err, r, "no memory");
	}
	return 0;
}

/* ---- applying ---- */

static int fleets_make(struct rk_conf *conf, struct rk_complaints *c)
{
	uint32_t n = rk_min_u32(conf->ini.n_fleets, RK_FLEETS_MAX);

	conf->fleets = calloc(n ? n : 1, sizeof(*conf->fleets));
	if (!conf->fleets)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct rk_conf_fleet *f = &conf->fleets[i];

		memcpy(f->name, conf->ini.fleets[i].argument, sizeof(f->name));
		conf->n_fleets++;
		if (rk_options_init(RK_INI_FLEET, &f->o) < 0)
			return -ENOMEM;
	}
	for (uint32_t i = n; i < conf->ini.n_fleets; i++)
		rk_complain(c, conf->ini.fleets[i].file, conf->ini.fleets[i].line,
			    "this fleet is one too many: a configuration has at most %u",
			    RK_FLEETS_MAX);
	return 0;
}

static struct rk_conf_fleet *fleet_find(const struct rk_conf *conf, const char *name)
{
	for (uint32_t i = 0; i < conf->n_fleets; i++)
		if (strcmp(conf->fleets[i].name, name) == 0)
			return &conf->fleets[i];
	return NULL;
}

const char *rk_conf_doubt(const struct rk_conf_fleet *f, char *text, size_t size)
{
	uint32_t n = f->geometry.n_partitions, enough = n;

	if (f->o.n_workers <= n)
		return NULL;
	while (enough < f->o.n_workers)
		enough *= 2;
	(void)snprintf(text, size,
		       "%u workers share %u partition%s: %u of them can never own anything; give "
		       "--partitions %u or more, or fewer workers",
		       f->o.n_workers, n, n == 1 ? "" : "s", f->o.n_workers - n, enough);
	return text;
}

const struct rk_conf_fleet *rk_conf_fleet(const struct rk_conf *conf, const char *name)
{
	return fleet_find(conf, name);
}

static void key_spoil(struct rk_conf_fleet *f, const struct rk_key *k)
{
	size_t n, i = (size_t)(k - rk_keys(&n));

	if (f)
		f->bad[i / 64] |= UINT64_C(1) << i % 64;
}

bool rk_conf_is_bad(const struct rk_conf_fleet *f, const struct rk_key *k)
{
	size_t n, i = (size_t)(k - rk_keys(&n));

	return f->bad[i / 64] >> i % 64 & 1;
}

/* A key that exists in the other section is not misspelt. */
static bool stands_elsewhere(const struct rk_setting *s, struct rk_complaints *c)
{
	bool in_fleet = s->section == RK_INI_FLEET;

	if (!rk_key_find(in_fleet ? RK_INI_SUPERVISOR : RK_INI_FLEET, s->key))
		return false;
	rk_complain(c, s->file, s->line, "%s= belongs in %s", s->key,
		    in_fleet ? "[Supervisor]" : "a [Fleet NAME] section");
	return true;
}

static void key_unknown(const struct rk_setting *s, struct rk_conf_fleet *f,
			struct rk_complaints *c)
{
	const char *whose;
	const struct rk_key *near = rk_key_nearest(s->section, s->key, &whose);

	if (near)
		key_spoil(f, near); /* so that nobody says it is missing, too */
	if (near && whose)
		rk_complain(c, s->file, s->line, "unknown key '%s': what %s calls so is %s= here",
			    s->key, whose, near->name);
	else if (stands_elsewhere(s, c))
		return;
	else if (near)
		rk_complain(c, s->file, s->line, "unknown key '%s': did you mean '%s'?", s->key,
			    near->name);
	else
		rk_complain(c, s->file, s->line, "unknown key '%s': rekindle.conf(5) lists all",
			    s->key);
}

/* "Key=value: sentence", and what somebody overlooks who comes from elsewhere. */
static void value_refused(const struct rk_setting *s, const struct rk_key *k, const char *why,
			  struct rk_complaints *c)
{
	bool has_comment = strstr(s->value, " #") || strstr(s->value, " ;");
	char option[RK_INI_KEY_MAX];

	rk_key_option(k, option);
	rk_complain(c, s->file, s->line, "%s%s%s: %s%s", s->file ? "" : "--",
		    s->file ? k->name : option, s->file ? "=" : "", why,
		    has_comment ? " (a comment needs a line of its own)" : "");
}

static int setting_apply(struct rk_conf *conf, const struct rk_setting *s, struct rk_complaints *c)
{
	struct rk_conf_fleet *f = s->section == RK_INI_FLEET ? fleet_find(conf, s->argument) : NULL;
	const struct rk_key *k = rk_key_find(s->section, s->key);
	struct rk_err err = { 0 };
	int r;

	if (s->section == RK_INI_FLEET && !f)
		return 0; /* one fleet too many, and said so */
	if (!k) {
		key_unknown(s, f, c);
		return 0;
	}
	r = rk_value_parse(k, s->value, f ? (void *)&f->o : (void *)&conf->supervisor, &err);
	if (r == -ENOMEM)
		return r;
	if (s->is_refused)
		key_spoil(f, k);
	if (r < 0) {
		key_spoil(f, k);
		value_refused(s, k, err.text, c);
	}
	return 0;
}

/* ---- what follows ---- */

static void geometry_make(struct rk_conf_fleet *f)
{
	const struct rk_fleet_options *o = &f->o;
	struct rk_geometry *g = &f->geometry;

	rk_geometry_default(g);
	g->n_partitions = o->n_partitions;
	g->n_ring = o->n_ring;
	g->n_workers = rk_max_u32(o->n_workers + o->n_standby, WORKERS_ROOM);
	g->n_clients = o->n_clients;
	g->n_slots = o->n_slots;
	g->n_cells = o->n_slots + rk_max_u32(o->n_slots / 2, 4);
	g->n_dedup = o->n_dedup;
	g->n_log = o->n_undo;
	g->log_data_len = (uint32_t)o->undo_data; /* the table bounds these */
	g->request_max = (uint32_t)o->max_request;
	g->reply_max = (uint32_t)o->max_reply;
	g->state_max = (uint32_t)o->max_state;
	g->n_dead = o->n_dead_letters;
	g->n_banks = o->on_hang == RK_POLICY_MOVE || o->on_paused == RK_POLICY_MOVE ? 2 : 1;
	g->n_readers = (uint32_t)rk_min_u64((uint64_t)o->n_clients + READERS_ROOM, RK_READERS_MAX);
}

static int fleet_finish(struct rk_conf *conf, struct rk_conf_fleet *f)
{
	const struct rk_setting *hang = rk_ini_last(&conf->ini, RK_INI_FLEET, f->name, "HangAfter");

	f->has_hang_after = hang && *hang->value;
	if (!f->o.is_blocking && !f->has_hang_after)
		f->o.hang_after_ns = HANG_COMPUTING;
	geometry_make(f);
	return rk_conf_wrap_finish(conf, f);
}

int rk_conf_apply(struct rk_conf *conf, struct rk_complaints *c)
{
	int r = rk_options_init(RK_INI_SUPERVISOR, &conf->supervisor);

	if (r == 0)
		r = fleets_make(conf, c);
	for (uint32_t i = 0; r == 0 && i < conf->ini.n; i++)
		r = setting_apply(conf, &conf->ini.at[i], c);
	for (uint32_t i = 0; r == 0 && i < conf->n_fleets; i++)
		r = fleet_finish(conf, &conf->fleets[i]);
	return r;
}

int rk_conf_load(struct rk_conf *ret, const struct rk_conf_request *q, struct rk_complaints *c,
		 struct rk_err *err)
{
	rk_cleanup(rk_conf_free_p) struct rk_conf conf = { .quiet = q->quiet, .has_files = q->config != NULL };
	int r = q->config ? files_load(&conf, q, c, err) : options_load(&conf, q, err);

	if (r < 0)
		return r;
	if (rk_presets_take(&conf.ini, q->root, q->before ? &q->before->ini : NULL, c) < 0 || rk_conf_apply(&conf, c) < 0)
		return rk_err_set(err, -ENOMEM, "no memory");
	rk_conf_check_shape(&conf, c);
	*ret = conf;
	conf = (struct rk_conf){ 0 };
	return 0;
}

void rk_conf_free_p(struct rk_conf *conf)
{
	int saved = errno;

	for (uint32_t i = 0; i < conf->n_fleets; i++)
		rk_options_free(RK_INI_FLEET, &conf->fleets[i].o);
	free(conf->fleets);
	rk_options_free(RK_INI_SUPERVISOR, &conf->supervisor);
	rk_ini_free_p(&conf->ini);
	*conf = (struct rk_conf){ 0 };
	errno = saved;
}
