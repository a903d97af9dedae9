/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop, configurations: the one in force, the old ones that fleets borrow from, and what keeper
 * holds of them for a successor.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/conf_frozen.h"
#include "supervisor/loop_private.h"

static bool lends(const struct rk_loop_conf *c, const struct rk_fleet *f)
{
	return f->conf >= c->conf.fleets && f->conf < c->conf.fleets + c->conf.n_fleets;
}

static bool lends_any(const struct rk_loop *l, const struct rk_loop_conf *c)
{
	for (uint32_t i = 0; i < l->fleets.n; i++)
		if (lends(c, l->fleets.at[i]))
			return true;
	return false;
}

static void conf_free(struct rk_loop_conf *c)
{
	rk_conf_free_p(&c->conf);
	free(c);
}

void rk_loop_confs_sweep(struct rk_loop *l)
{
	for (struct rk_loop_conf **at = &l->conf->older; *at;) {
		struct rk_loop_conf *old = *at;

		if (lends_any(l, old)) {
			at = &old->older;
			continue;
		}
		*at = old->older;
		conf_free(old);
	}
}

void rk_loop_confs_free(struct rk_loop *l)
{
	while (l->conf) {
		struct rk_loop_conf *old = l->conf;

		l->conf = old->older;
		conf_free(old);
	}
}

/* ---- for a successor ---- */

/* The configuration that a fleet goes by. */
static const struct rk_conf *conf_of(const struct rk_loop *l, const struct rk_fleet *f)
{
	const struct rk_loop_conf *c = l->conf;

	while (c && !lends(c, f))
		c = c->older;
	return c ? &c->conf : NULL;
}

bool rk_loop_conf_runs(const struct rk_conf *conf, const char *name)
{
	const struct rk_conf_fleet *f = rk_conf_fleet(conf, name);

	return f && !f->o.is_disabled;
}

/* With the fleets that leave by it, or are leaving already. */
static int freeze(const struct rk_loop *l, const struct rk_conf *conf)
{
	struct rk_conf_leaving leaving[RK_FLEETS_MAX];
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->fleets.n; i++) {
		const struct rk_fleet *f = l->fleets.at[i];
		bool leaves = f->is_leaving || !rk_loop_conf_runs(conf, f->conf->name);
		const struct rk_conf *c = leaves ? conf_of(l, f) : NULL;

		if (c)
			leaving[n++] = (struct rk_conf_leaving){ .conf = c, .fleet = f->conf->name };
	}
	return rk_conf_freeze(conf, leaving, n);
}

int rk_loop_configuration(void *arg)
{
	const struct rk_loop *l = arg;

	return freeze(l, &l->conf->conf);
}

void rk_loop_conf_inherit(struct rk_loop *l)
{
	struct rk_heirloom *old = rk_inherit_memory(l->inherit, RK_LINK_TAG_COMMON, RK_CONF_FROZEN);

	if (old)
		l->frozen = rk_take_fd(&old->fd);
}

int rk_loop_conf_give(struct rk_loop *l, const struct rk_conf *conf)
{
	const struct rk_link_msg keep = { .op = RK_LINK_KEEP,
					  .kind = RK_LINK_MEMORY,
					  .tag = RK_LINK_TAG_COMMON,
					  .name = RK_CONF_FROZEN };
	rk_cleanup(rk_close_p) int fd = freeze(l, conf);
	int r = fd < 0 ? fd : 0;

	if (r == 0 && l->frozen >= 0 && rk_conf_frozen_is_same(l->frozen, fd))
		return 0; /* what is safe with keeper and systemd is not touched */
	if (r == 0)
		r = rk_link_send(l->link, &keep, fd);
	if (r < 0)
		return r;
	rk_close_p(&l->frozen);
	l->frozen = rk_take_fd(&fd);
	return 0;
}

void rk_loop_conf_keep(struct rk_loop *l)
{
	bool was_late = l->is_conf_late;
	int r = rk_loop_conf_give(l, &l->conf->conf);

	l->is_conf_late = r < 0;
	if (r == 0)
		return;
	if (!was_late)
		rk_log(RK_LOG_WARNING, "keeper has not got the configuration yet, another supervisor %s: %s",
		       l->frozen < 0 ? "would read its files" : "would go on with the one before", strerror(-r));
	rk_loop_again(l);
}
