/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/conf_diff.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/respond.h"
#include "supervisor/value.h"

#define GROW_BY 16u

/* One side by side of a section. */
struct pair {
	const struct rk_conf *conf;            /* the old one, for its name */
	const struct rk_conf_fleet *old, *new; /* NULL for the supervisor */
	const void *from, *to;                 /* its options */
};

static struct rk_change *change_add(struct rk_diff *d, enum rk_change_kind kind, const char *fleet)
{
	struct rk_change *at = d->at;

	if (d->n % GROW_BY == 0) {
		at = realloc(at, (d->n + GROW_BY) * sizeof(*at));
		if (!at)
			return NULL;
		d->at = at;
	}
	at += d->n++;
	*at = (struct rk_change){ .kind = kind };
	memcpy(at->fleet, fleet, strlen(fleet) + 1);
	return at;
}

/* More slots than shared memory was laid out for, or no bank to copy into. */
static bool is_beyond(const struct pair *p, const struct rk_key *k)
{
	const struct rk_fleet_options *o = &p->new->o;

	if (strcmp(k->name, "OnHang") == 0)
		return o->on_hang == RK_POLICY_MOVE && p->old->geometry.n_banks < 2;
	if (strcmp(k->name, "OnPaused") == 0)
		return o->on_paused == RK_POLICY_MOVE && p->old->geometry.n_banks < 2;
	if (strcmp(k->name, "Workers") != 0 && strcmp(k->name, "Standby") != 0)
		return false;
	return (uint64_t)o->n_workers + o->n_standby > p->old->geometry.n_workers;
}

static int refuse(struct rk_diff *d, const struct pair *p, struct rk_change *c)
{
	const char *why = c->reload == RK_RELOAD_NEVER && c->key->reload != RK_RELOAD_NEVER
				  ? "is beyond what the memory of the fleet was laid out for"
				  : "cannot change while it runs";
	int n = asprintf(
		&c->refusal,
		"%s: %s=%s -> %s %s: take it back, or run 'rekindle stop --name %s' and start it again, which loses "
		"the states of its partitions",
		*c->fleet ? c->fleet : "supervisor", c->key->name, c->from, c->to, why,
		p->conf->name);

	if (n < 0)
		c->refusal = NULL;
	d->n_refused++;
	return n < 0 ? -ENOMEM : 0;
}

static int key_compare(struct rk_diff *d, const struct pair *p, const struct rk_key *k)
{
	rk_cleanup(rk_free_p) char *from = rk_value_text(k, p->from);
	rk_cleanup(rk_free_p) char *to = rk_value_text(k, p->to);
	struct rk_change *c;

	if (!from || !to)
		return -ENOMEM;
	if (strcmp(from, to) == 0)
		return 0;
	c = change_add(d, RK_CHANGE_KEY, p->new ? p->new->name : "");
	if (!c)
		return -ENOMEM;
	c->key = k;
	c->from = rk_take_ptr(&from);
	c->to = rk_take_ptr(&to);
	c->reload = p->new &&is_beyond(p, k) ? RK_RELOAD_NEVER : k->reload;
	d->n_rolling += c->reload == RK_RELOAD_SPAWN;
	return c->reload == RK_RELOAD_NEVER ? refuse(d, p, c) : 0;
}

static int section_compare(struct rk_diff *d, const struct pair *p, enum rk_ini_section section)
{
	size_t n;
	const struct rk_key *k = rk_keys(&n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (rk_key_section(&k[i]) == section)
			r = key_compare(d, p, &k[i]);
	return r;
}

static int fleet_compare(struct rk_diff *d, const struct rk_conf *from,
			 const struct rk_conf_fleet *new)
{
	const struct rk_conf_fleet *old = rk_conf_fleet(from, new->name);
	struct pair p = { .conf = from, .old = old, .new = new };

	if (!old)
		return change_add(d, RK_CHANGE_ADDED, new->name) ? 0 : -ENOMEM;
	p.from = &old->o;
	p.to = &new->o;
	return section_compare(d, &p, RK_INI_FLEET);
}

static int differences(struct rk_diff *d, const struct rk_conf *from, const struct rk_conf *to)
{
	struct pair p = { .conf = from, .from = &from->supervisor, .to = &to->supervisor };
	int r = section_compare(d, &p, RK_INI_SUPERVISOR);

	for (uint32_t i = 0; r == 0 && i < to->n_fleets; i++)
		r = fleet_compare(d, from, &to->fleets[i]);
	for (uint32_t i = 0; r == 0 && i < from->n_fleets; i++)
		if (!rk_conf_fleet(to, from->fleets[i].name) &&
		    !change_add(d, RK_CHANGE_REMOVED, from->fleets[i].name))
			r = -ENOMEM;
	return r;
}

int rk_conf_diff(const struct rk_conf *from, const struct rk_conf *to, struct rk_diff *ret)
{
	struct rk_diff d = { 0 };
	int r = differences(&d, from, to);

	if (r < 0)
		rk_diff_free_p(&d);
	else
		*ret = d;
	return r;
}

void rk_change_print(const struct rk_change *change, FILE *to)
{
	const char *fleet = *change->fleet ? change->fleet : "supervisor";

	if (change->refusal)
		(void)fprintf(to, "%s\n", change->refusal);
	else if (change->kind == RK_CHANGE_KEY)
		(void)fprintf(to, "%s: %s=%s -> %s (%s)\n", fleet, change->key->name, change->from,
			      change->to, rk_reload_name(change->reload));
	else
		(void)fprintf(to, "%s: %s\n", fleet,
			      change->kind == RK_CHANGE_ADDED ? "added" : "removed");
}

void rk_diff_free_p(struct rk_diff *diff)
{
	int saved = errno;

	for (uint32_t i = 0; i < diff->n; i++) {
		free(diff->at[i].from);
		free(diff->at[i].to);
		free(diff->at[i].refusal);
	}
	free(diff->at);
	*diff = (struct rk_diff){ 0 };
	errno = saved;
}
