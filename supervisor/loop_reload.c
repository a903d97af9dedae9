/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop, reload: from one configuration to the next. First everything that can fail: reading,
 * checking, what cannot change, memory for new fleets. Until then nothing has changed. Then the
 * differences, each with a line.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/conf_ask.h"
#include "supervisor/conf_diff.h"
#include "supervisor/loop_private.h"

/* ---- what may stop it ---- */

static void complaints_say(struct rk_complaints *c, struct rk_reloaded *ret)
{
	rk_complaints_sort(c);
	for (uint32_t i = 0; i < c->n; i++) {
		const struct rk_complaint *a = &c->at[i];

		if (a->file && a->line)
			rk_reload_say(ret, "%s:%u: %s", a->file, a->line, a->text);
		else
			rk_reload_say(ret, "%s%s%s", a->file ? a->file : "", a->file ? ": " : "",
				      a->text);
	}
	if (c->n_dropped)
		rk_reload_say(ret, "and %u more", c->n_dropped);
}

/* Bytes that our fleets hold, which the new configuration needs no more of. */
static uint64_t held(const struct rk_loop *l)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < l->fleets.n; i++)
		sum += l->fleets.at[i]->conf->reserved;
	return sum;
}

/* Reads and checks. False: what is wrong has been said. */
static bool read_new(struct rk_loop *l, struct rk_conf *new, struct rk_reloaded *ret)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	struct rk_err err = { 0 };
	enum rk_exit status = rk_conf_read(l->argc, l->argv, held(l), new, &c, &err);

	if (err.code)
		rk_reload_say(ret, "%s", err.text);
	complaints_say(&c, ret);
	return status == RK_EXIT_OK;
}

static bool is_to_run(const struct rk_conf *conf, const char *name)
{
	const struct rk_conf_fleet *f = rk_conf_fleet(conf, name);

	return f && !f->o.is_disabled;
}

/* What cannot change; of a fleet that does not run, anything can. */
static bool refusals_say(struct rk_loop *l, const struct rk_conf *new, const struct rk_diff *d,
			 struct rk_reloaded *ret)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->n; i++) {
		const struct rk_change *c = &d->at[i];

		if (!c->refusal ||
		    (*c->fleet && (!rk_loop_fleet(l, c->fleet) || !is_to_run(new, c->fleet))))
			continue;
		rk_reload_say(ret, "%s", c->refusal);
		n++;
	}
	return n > 0;
}

/* Fleets that begin to run. On failure none of them is left. */
static int fleets_add(struct rk_loop *l, const struct rk_conf *new, struct rk_reloaded *ret)
{
	uint32_t n_before = l->fleets.n;
	struct rk_err err = { 0 };
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < new->n_fleets; i++) {
		const struct rk_conf_fleet *c = &new->fleets[i];

		if (!c->o.is_disabled && !rk_loop_fleet(l, c->name))
			r = rk_loop_add(l, c, &err);
		if (r < 0)
			rk_reload_say(ret, "%s: %s", c->name, err.text);
	}
	while (r < 0 && l->fleets.n > n_before)
		rk_loop_remove(l, l->fleets.n - 1);
	return r;
}

static bool is_empty(const struct rk_conf *conf)
{
	for (uint32_t i = 0; i < conf->n_fleets; i++)
		if (!conf->fleets[i].o.is_disabled)
			return false;
	return true;
}

/* ---- doing it ---- */

static void line_note(struct rk_loop *l, struct rk_reloaded *ret, const char *text)
{
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_RELOAD);

	note.group = ret->group;
	(void)rk_recorder_note(&l->recorder, &note, "%s", text);
	rk_reload_say(ret, "%s", text);
}

static void supervisor_apply(struct rk_loop *l)
{
	const struct rk_supervisor_options *o = &l->conf->conf.supervisor;

	rk_log_init(&(struct rk_log_conf){
		.name = "rekindled", .most = (enum rk_log_level)(RK_LOG_ERROR + o->log_level) });
	if (rk_loop_tell_keeper(l) < 0)
		rk_log(RK_LOG_WARNING, "keeper could not be told of the new StopTimeout");
}

static bool has_new_command(const struct rk_diff *d, const char *fleet)
{
	for (uint32_t i = 0; i < d->n; i++)
		if (strcmp(d->at[i].fleet, fleet) == 0 && d->at[i].kind == RK_CHANGE_KEY &&
		    d->at[i].reload == RK_RELOAD_SPAWN)
			return true;
	return false;
}

static void scale(struct rk_loop *l, struct rk_fleet *f, struct rk_reloaded *ret)
{
	struct rk_err err = { 0 };
	char line[400];
	uint64_t group;
	int r;

	rk_crew_follow(f->crew, ret->group);
	r = rk_crew_scale(f->crew, f->conf->o.n_workers, &group, &err);
	if (r < 0)
		(void)snprintf(line, sizeof(line), "%s: not scaled: %s", f->conf->name, err.text);
	else
		(void)snprintf(line, sizeof(line), "%s: is scaled to %u workers", f->conf->name,
			       f->conf->o.n_workers);
	ret->n_pending += r == 0;
	line_note(l, ret, line);
}

static void roll(struct rk_loop *l, struct rk_fleet *f, struct rk_reloaded *ret)
{
	struct rk_crew_restart what = { .max_unavailable = 1, .group = ret->group };
	struct rk_err err = { 0 };
	char line[400];
	uint64_t group;
	int r = rk_crew_restart(f->crew, &what, &group, &err);

	if (r < 0)
		(void)snprintf(line, sizeof(line),
			       "%s: not restarted, new workers alone get the new values: %s",
			       f->conf->name, err.text);
	else
		(void)snprintf(line, sizeof(line), "%s: its workers are restarted one by one",
			       f->conf->name);
	ret->n_pending += r == 0;
	line_note(l, ret, line);
}

/* One fleet that goes on. */
static void fleet_apply(struct rk_loop *l, struct rk_fleet *f, const struct rk_conf_fleet *c,
			const struct rk_diff *d, struct rk_reloaded *ret)
{
	bool is_new = has_new_command(d, c->name),
	     is_scaled = f->conf->o.n_workers != c->o.n_workers;
	struct rk_err err = { 0 };
	char line[400];

	if (rk_fleet_configure(f, c, is_new, &err) < 0) {
		(void)snprintf(line, sizeof(line), "%s: goes on as it was: %s", c->name, err.text);
		line_note(l, ret, line);
		return;
	}
	if (is_scaled)
		scale(l, f, ret);
	if (is_new)
		roll(l, f, ret);
}

static void fleet_leave(struct rk_loop *l, struct rk_fleet *f, struct rk_reloaded *ret)
{
	char line[160];

	(void)snprintf(line, sizeof(line), "%s: is stopped", f->conf->name);
	line_note(l, ret, line);
	f->is_leaving = true;
	f->leave_group = ret->group;
	ret->n_pending++;
	if (f->has_started)
		rk_fleet_stop(f, "its configuration is gone");
	else
		f->has_ended = true;
}

static void changes_note(struct rk_loop *l, const struct rk_diff *d, struct rk_reloaded *ret)
{
	for (uint32_t i = 0; i < d->n; i++) {
		rk_cleanup(rk_free_p) char *text = NULL;
		size_t size;
		FILE *to = open_memstream(&text, &size);

		if (!to)
			continue;
		rk_change_print(&d->at[i], to);
		(void)fclose(to);
		if (text && size > 0 && text[size - 1] == '\n')
			text[size - 1] = '\0';
		if (text && !d->at[i].refusal)
			line_note(l, ret, text);
	}
}

/* Everything that follows has been checked: what still fails costs only itself. */
static void apply(struct rk_loop *l, const struct rk_diff *d, uint32_t n_before,
		  struct rk_reloaded *ret)
{
	const struct rk_conf *new = &l->conf->conf;
	struct rk_err err = { 0 };

	supervisor_apply(l);
	changes_note(l, d, ret);
	for (uint32_t i = 0; i < n_before; i++) {
		struct rk_fleet *f = l->fleets.at[i];

		if (f->is_leaving)
			continue;
		if (is_to_run(new, f->conf->name))
			fleet_apply(l, f, rk_conf_fleet(new, f->conf->name), d, ret);
		else
			fleet_leave(l, f, ret);
	}
	for (uint32_t i = n_before; i < l->fleets.n; i++) {
		l->fleets.at[i]->join_group = ret->group;
		ret->n_pending++;
	}
	if (rk_loop_order(l, &err) < 0)
		rk_log(RK_LOG_ERROR, "%s", err.text); /* conf_check has seen it succeed */
	if (rk_control_readmit(l->control, &err) < 0)
		line_note(l, ret, err.text);
	rk_loop_wake(l);
}

/* A fleet that goes on keeps the memory it was started with, whatever its keys would make of it now. */
static void geometries_keep(const struct rk_loop *l, struct rk_conf *new)
{
	for (uint32_t i = 0; i < new->n_fleets; i++) {
		const struct rk_fleet *f = rk_loop_fleet(l, new->fleets[i].name);

		if (!f)
			continue;
		new->fleets[i].geometry = f->conf->geometry;
		new->fleets[i].reserved = f->conf->reserved;
	}
}

/* Makes the new configuration the one in force, with all that follows from it. */
static void adopt(struct rk_loop *l, struct rk_loop_conf *node, const struct rk_diff *d,
		  struct rk_reloaded *ret)
{
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_RELOAD);
	uint32_t n_before = l->fleets.n;

	geometries_keep(l, &node->conf);
	if (fleets_add(l, &node->conf, ret) < 0) {
		rk_conf_free_p(&node->conf);
		free(node);
		return;
	}
	ret->is_applied = true;
	ret->group =
		rk_recorder_note(&l->recorder, &note, "configuration reloaded changes=%u", d->n);
	node->older = l->conf;
	l->conf = node;
	apply(l, d, n_before, ret);
	if (ret->lines.n == 0)
		rk_reload_say(ret, "nothing has changed");
}

void rk_loop_reload(struct rk_loop *l, struct rk_reloaded *ret)
{
	struct rk_loop_conf *node = calloc(1, sizeof(*node));
	rk_cleanup(rk_diff_free_p) struct rk_diff d = { 0 };
	bool is_good = false;

	if (!node)
		rk_reload_say(ret, "no memory");
	else if (l->is_stopping)
		rk_reload_say(ret, "the fleet stops");
	else if (!l->conf->conf.has_files)
		rk_reload_say(ret,
			      "there is nothing to reload: the fleet was started without --config");
	else if (read_new(l, &node->conf, ret) && rk_conf_diff(&l->conf->conf, &node->conf, &d) < 0)
		rk_reload_say(ret, "no memory");
	else if (ret->lines.n == 0 && is_empty(&node->conf))
		rk_reload_say(ret,
			      "every fleet is disabled or gone: 'rekindle stop' ends them all");
	else if (ret->lines.n == 0)
		is_good = !refusals_say(l, &node->conf, &d, ret);
	if (is_good) {
		adopt(l, node, &d, ret);
		return;
	}
	if (node)
		rk_conf_free_p(&node->conf);
	free(node);
}
