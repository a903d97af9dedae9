/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop, reload: from one configuration to the next. First everything that can fail: reading,
 * checking, what cannot change, memory for new fleets, keeper's word that it has the new one
 * (loop_propose.c). Until then nothing has changed. Then the differences, each with a line.
 *
 * Crash     the new configuration is in force when keeper has it, with what is to be done beside, and not
 *           before; nothing of it is done before keeper has said so, and systemd would give it back should
 *           keeper die as well. Killed earlier: a successor gives up the memory of new fleets, and all is as it was.
 *           Killed later: it stops the fleets that are to leave and scales and restarts what was to be, as far
 *           as that has not begun; what has begun goes on by the journal.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/conf_ask.h"
#include "supervisor/conf_check.h"
#include "supervisor/conf_diff.h"
#include "supervisor/journal.h"
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

/* Reads and checks; what is wrong is said. False: nothing could be read. */
static bool read_new(struct rk_loop *l, struct rk_conf *new, struct rk_reloaded *ret)
{
	rk_cleanup(rk_complaints_free_p) struct rk_complaints c = { 0 };
	const struct rk_conf_running running = { .conf = &l->conf->conf, .memory = held(l) };
	struct rk_err err = { 0 };

	if (rk_conf_read(l->argc, l->argv, &running, new, &c, &err) != RK_EXIT_OK && err.code)
		rk_reload_say(ret, "%s", err.text);
	complaints_say(&c, ret);
	return !err.code;
}

/* Whether what stands there is no value at all, or a preset would say it: what it would change to nobody knows. */
static bool is_unreadable(const struct rk_conf *new, const struct rk_change *c)
{
	const struct rk_conf_fleet *f = *c->fleet ? rk_conf_fleet(new, c->fleet) : NULL;

	return f && c->key && (rk_conf_is_bad(f, c->key) || rk_conf_is_bad(f, rk_key_find(RK_INI_FLEET, "Preset")));
}

/* What cannot change; of a fleet that does not run, anything can. */
static void refusals_say(struct rk_loop *l, const struct rk_conf *new, const struct rk_diff *d,
			 struct rk_reloaded *ret)
{
	for (uint32_t i = 0; i < d->n; i++) {
		const struct rk_change *c = &d->at[i];

		if (!c->refusal || is_unreadable(new, c) ||
		    (*c->fleet && (!rk_loop_fleet(l, c->fleet) || !rk_loop_conf_runs(new, c->fleet))))
			continue;
		rk_reload_say(ret, "%s", c->refusal);
	}
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

/* In the new configuration, where a successor finds it. */
static void todo_note(const struct rk_loop *l, struct rk_conf *new, const struct rk_diff *d)
{
	for (uint32_t i = 0; i < new->n_fleets; i++) {
		struct rk_conf_fleet *c = &new->fleets[i];
		const struct rk_fleet *f = rk_loop_fleet(l, c->name);

		if (f && f->conf->o.n_workers != c->o.n_workers)
			c->todo |= RK_CONF_TO_SCALE;
		if (f && has_new_command(d, c->name))
			c->todo |= RK_CONF_TO_RESTART;
	}
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
	ret->n_undone += r < 0;
	line_note(l, ret, line);
}

static void roll(struct rk_loop *l, struct rk_fleet *f, struct rk_reloaded *ret)
{
	struct rk_crew_restart what = { .max_unavailable = 1, .group = ret->group };
	struct rk_err err = { 0 };
	char line[400];
	uint64_t group;
	int r;

	if (!f->has_started) { /* there is nobody to be restarted */
		(void)snprintf(line, sizeof(line), "%s: gets the new values when it starts", f->conf->name);
		line_note(l, ret, line);
		return;
	}
	r = rk_crew_restart(f->crew, &what, &group, &err);
	if (r < 0)
		(void)snprintf(line, sizeof(line),
			       "%s: not restarted, new workers alone get the new values: %s",
			       f->conf->name, err.text);
	else
		(void)snprintf(line, sizeof(line), "%s: its workers are restarted one by one",
			       f->conf->name);
	ret->n_pending += r == 0;
	ret->n_undone += r < 0;
	line_note(l, ret, line);
}

/* A kill may have come when it had begun, and before it was noted that nothing is to be done any more. */
static bool rolls_for(const struct rk_fleet *f, uint64_t group)
{
	return rk_journal_is_marked(&f->segments.m, RK_JOURNAL_ROLLS) && f->segments.m.journal->roll_group == group;
}

static void todo_do(struct rk_loop *l, struct rk_fleet *f, struct rk_reloaded *ret)
{
	uint32_t todo = rolls_for(f, ret->group) ? 0 : f->conf->todo; /* the restart comes last */

	if (todo & RK_CONF_TO_SCALE)
		scale(l, f, ret);
	if (todo & RK_CONF_TO_RESTART)
		roll(l, f, ret);
}

/* All has begun: what comes of it the journals know. */
static void todo_end(struct rk_loop *l)
{
	struct rk_conf *conf = &l->conf->conf;

	conf->reload = 0;
	for (uint32_t i = 0; i < conf->n_fleets; i++)
		conf->fleets[i].todo = 0;
	rk_loop_conf_keep(l); /* else a successor does some of it again */
}

/* One fleet that goes on. */
static void fleet_apply(struct rk_loop *l, struct rk_fleet *f, const struct rk_conf_fleet *c, struct rk_reloaded *ret)
{
	struct rk_err err = { 0 };
	char line[400];

	if (rk_fleet_configure(f, c, (c->todo & RK_CONF_TO_RESTART) != 0, &err) < 0) {
		(void)snprintf(line, sizeof(line), "%s: goes on as it was: %s", c->name, err.text);
		ret->n_undone++;
		line_note(l, ret, line);
		return;
	}
	todo_do(l, f, ret);
}

/* ---- fleets that leave ---- */

/* Those that the new configuration does not run, beside those that are leaving already. */
static void leavers_choose(const struct rk_loop *l, const struct rk_conf *new, uint32_t n_before, bool *ret_leaves)
{
	for (uint32_t i = 0; i < n_before; i++) {
		struct rk_fleet *f = l->fleets.at[i];

		ret_leaves[i] = !f->is_leaving && !rk_loop_conf_runs(new, f->conf->name);
		f->is_leaving = f->is_leaving || ret_leaves[i];
	}
}

static void leave_stop(struct rk_fleet *f)
{
	if (f->has_started || rk_fleet_has_workers(f))
		rk_fleet_stop(f, "its configuration is gone");
	else
		f->has_ended = true;
}

static void fleet_leave(struct rk_loop *l, struct rk_fleet *f, struct rk_reloaded *ret)
{
	char line[160];

	(void)snprintf(line, sizeof(line), "%s: is stopped", f->conf->name);
	line_note(l, ret, line);
	f->leave_group = f->segments.m.journal->leave_group = ret->group;
	rk_journal_mark(&f->segments.m, RK_JOURNAL_LEAVING, true);
	ret->n_pending++;
	leave_stop(f);
}

void rk_loop_leave_on(struct rk_loop *l, struct rk_fleet *f)
{
	rk_cleanup(rk_reload_free_p) struct rk_reloaded ret = { .group = l->conf->conf.reload };

	if (rk_journal_is_marked(&f->segments.m, RK_JOURNAL_LEAVING))
		leave_stop(f);
	else
		fleet_leave(l, f, &ret);
}

/* One that is not to leave after all: the configuration in force has it. */
static void missing_add(struct rk_loop *l)
{
	struct rk_err err = { 0 };

	if (rk_loop_add_missing(l, &err) < 0 || rk_loop_order(l, &err) < 0)
		rk_log(RK_LOG_ERROR, "a fleet of the configuration in force is not started: %s", err.text);
}

void rk_loop_leavers_remove(struct rk_loop *l)
{
	uint32_t n_before = l->fleets.n;

	for (uint32_t i = l->fleets.n; i-- > 0;) {
		struct rk_fleet *f = l->fleets.at[i];
		struct rk_note note = rk_loop_note(l, RK_FLIGHT_RELOAD);

		if (!f->is_leaving || !f->has_ended)
			continue;
		note.group = f->leave_group;
		(void)rk_recorder_note(&l->recorder, &note, "%s: is gone state=done", f->conf->name);
		rk_loop_remove(l, i);
	}
	if (l->fleets.n == n_before)
		return;
	missing_add(l);
	rk_loop_conf_keep(l); /* else it says more than anybody asks for */
}

/* ---- all of it ---- */

/* Without its newline: the caller's; NULL without memory. */
static char *change_text(const struct rk_change *c)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	rk_change_print(c, to);
	(void)fclose(to);
	if (text && size > 0 && text[size - 1] == '\n')
		text[size - 1] = '\0';
	return text;
}

static void changes_note(struct rk_loop *l, const struct rk_diff *d, struct rk_reloaded *ret)
{
	for (uint32_t i = 0; i < d->n; i++) {
		rk_cleanup(rk_free_p) char *text = change_text(&d->at[i]);

		if (text && !d->at[i].refusal)
			line_note(l, ret, text);
	}
}

/* Everything that follows has been checked: what still fails costs only itself. */
static void apply(struct rk_loop *l, const struct rk_diff *d, uint32_t n_before, const bool *leaves,
		  struct rk_reloaded *ret)
{
	const struct rk_conf *new = &l->conf->conf;
	struct rk_err err = { 0 };

	supervisor_apply(l);
	changes_note(l, d, ret);
	for (uint32_t i = 0; i < n_before; i++) {
		struct rk_fleet *f = l->fleets.at[i];

		if (leaves[i])
			fleet_leave(l, f, ret);
		else if (!f->is_leaving)
			fleet_apply(l, f, rk_conf_fleet(new, f->conf->name), ret);
	}
	ret->n_pending += l->fleets.n - n_before;
	if (rk_loop_order(l, &err) < 0)
		rk_log(RK_LOG_ERROR, "%s", err.text); /* conf_check has seen it succeed */
	if (rk_control_readmit(l->control, &err) < 0)
		line_note(l, ret, err.text);
	rk_loop_wake(l);
}

void rk_loop_reload_on(struct rk_loop *l)
{
	rk_cleanup(rk_reload_free_p) struct rk_reloaded ret = { .group = l->conf->conf.reload };

	if (ret.group == 0)
		return;
	for (uint32_t i = 0; i < l->fleets.n; i++)
		if (!l->fleets.at[i]->is_leaving)
			todo_do(l, l->fleets.at[i], &ret);
	line_note(l, &ret, "another supervisor has ended the reload");
	todo_end(l);
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

void rk_loop_reload_apply(struct rk_loop *l)
{
	struct rk_loop_proposal *p = &l->proposal;
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_RELOAD);
	bool leaves[RK_FLEETS_MAX];

	leavers_choose(l, &p->node->conf, p->n_before, leaves);
	for (uint32_t i = p->n_before; i < l->fleets.n; i++)
		l->fleets.at[i]->is_proposed = false;
	p->node->older = l->conf;
	l->conf = p->node;
	p->node = NULL;
	p->ret.is_applied = true;
	note.group = p->ret.group;
	(void)rk_recorder_note(&l->recorder, &note, "configuration reloaded changes=%u", p->diff.n);
	apply(l, &p->diff, p->n_before, leaves, &p->ret);
	todo_end(l);
	if (p->ret.lines.n == 0)
		rk_reload_say(&p->ret, "nothing has changed");
}

/*
 * What there is to be done by it and cannot be seen from both configurations. New fleets know their group before
 * keeper knows of it; who leaves is marked when it is in force, so that no fleet of the old one is ever marked.
 */
static void begin_note(struct rk_loop *l, struct rk_loop_proposal *p)
{
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_RELOAD);

	p->ret.group = rk_recorder_note(&l->recorder, &note, "reload begins changes=%u", p->diff.n);
	for (uint32_t i = p->n_before; i < l->fleets.n; i++) {
		struct rk_fleet *f = l->fleets.at[i];

		f->is_proposed = true;
		f->join_group = f->segments.m.journal->join_group = p->ret.group;
	}
	todo_note(l, &p->node->conf, &p->diff);
	p->node->conf.reload = p->ret.group;
}

/* Takes node and diff, whatever comes of it. */
static int propose(struct rk_loop *l, struct rk_loop_conf **node, struct rk_diff *diff, bool is_asked,
		   struct rk_reloaded *ret, struct rk_err *err)
{
	struct rk_loop_proposal *p = &l->proposal;
	uint32_t n_before = l->fleets.n;

	geometries_keep(l, &(*node)->conf);
	if (fleets_add(l, &(*node)->conf, ret) < 0)
		return 0;
	p->node = *node;
	p->diff = *diff;
	p->n_before = n_before;
	p->is_asked = is_asked;
	*node = NULL;
	*diff = (struct rk_diff){ 0 };
	begin_note(l, p);
	return rk_loop_propose(l, err);
}

/* Whether there is anything to be read, and nothing else going on. */
static int may_reload(struct rk_loop *l, struct rk_reloaded *ret, struct rk_err *err)
{
	if (l->proposal.node)
		return rk_err_set(err, -EBUSY, "another reload is under way: try again when it is done");
	if (l->is_stopping)
		rk_reload_say(ret, "the fleet stops");
	else if (!l->conf->conf.has_files)
		rk_reload_say(ret, "there is nothing to reload: the fleet was started without --config");
	return 0;
}

/* Reads the new one. Whether it can be proposed; else all that is wrong has been said. */
static bool read_and_compare(struct rk_loop *l, const struct rk_reload_request *q, struct rk_conf *new, struct rk_diff *d,
			     struct rk_reloaded *ret)
{
	if (!read_new(l, new, ret))
		return false;
	if (rk_conf_diff(&l->conf->conf, new, d) < 0) {
		rk_reload_say(ret, "no memory");
		return false;
	}
	refusals_say(l, new, d, ret);
	if (!is_empty(new))
		rk_loop_losses_say(l, new, &q->remove, ret);
	else if (ret->lines.n == 0)
		rk_reload_say(ret, "every fleet is disabled or gone: 'rekindle stop' ends them all");
	return ret->lines.n == 0;
}

/* What would be done. */
static void check_say(const struct rk_diff *d, struct rk_reloaded *ret)
{
	ret->is_checked = true;
	for (uint32_t i = 0; i < d->n; i++) {
		rk_cleanup(rk_free_p) char *text = change_text(&d->at[i]);

		if (text && !d->at[i].refusal)
			rk_reload_say(ret, "%s", text);
	}
	if (ret->lines.n == 0)
		rk_reload_say(ret, "nothing would change");
}

int rk_loop_reload(struct rk_loop *l, const struct rk_reload_request *q, struct rk_reloaded *ret, struct rk_err *err)
{
	struct rk_loop_conf *node = calloc(1, sizeof(*node));
	rk_cleanup(rk_diff_free_p) struct rk_diff d = { 0 };
	int r = node ? may_reload(l, ret, err) : rk_err_set(err, -ENOMEM, "no memory");
	bool is_good = r == 0 && ret->lines.n == 0 && read_and_compare(l, q, &node->conf, &d, ret);

	if (is_good && q->is_check)
		check_say(&d, ret);
	else if (is_good)
		r = propose(l, &node, &d, q->is_asked, ret, err);
	if (node)
		rk_conf_free_p(&node->conf);
	free(node);
	return r;
}

void rk_loop_reload_on_signal(struct rk_loop *l)
{
	const struct rk_reload_request q = { .is_asked = false };
	rk_cleanup(rk_reload_free_p) struct rk_reloaded ret = { 0 };
	struct rk_err err = { 0 };
	int r;

	if (l->proposal.node) { /* the files may have changed since it was read */
		l->proposal.is_due = true;
		return;
	}
	r = rk_loop_reload(l, &q, &ret, &err);
	if (r < 0)
		ret.err = err;
	if (r != RK_RELOAD_LATER)
		rk_reload_log(&ret);
}
