/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop, losses: what a reload would drop with fleets that the new configuration does not have. A section that was
 * renamed, misspelt or left out looks the same as one that is to go, so whoever means it says so.
 */
#include "base/num.h"
#include "shm/queue.h"
#include "supervisor/loop_private.h"

#define MIB 1048576u

/* "2 workers, 12 queued jobs and 16 MiB of state in 256 partitions" */
static void loss_write(const struct rk_fleet *f, char *text, size_t size)
{
	const struct rk_shm *m = &f->segments.m;
	uint64_t n_queued = 0, state_len = (uint64_t)m->g.n_partitions * m->g.state_max;
	char queued[RK_NUM_TEXT], state[RK_NUM_TEXT], parts[RK_NUM_TEXT];
	bool is_large = state_len >= MIB;
	uint32_t n_wanted, n_ready;

	rk_crew_count(f->crew, &n_wanted, &n_ready);
	for (uint32_t p = 0; p < m->g.n_partitions; p++)
		n_queued += rk_queue_depth(m, p);
	(void)snprintf(text, size, "%u worker%s, %s queued job%s and the state in %s partition%s (up to %s %s)", n_wanted,
		       rk_num_plural(n_wanted), rk_num_format(queued, n_queued), rk_num_plural(n_queued),
		       rk_num_format(parts, m->g.n_partitions), rk_num_plural(m->g.n_partitions),
		       rk_num_format(state, is_large ? state_len / MIB : state_len), is_large ? "MiB" : "bytes");
}

void rk_loop_losses_say(const struct rk_loop *l, const struct rk_conf *new, const struct rk_wordlist *let_go,
			struct rk_reloaded *ret)
{
	for (uint32_t i = 0; i < l->fleets.n; i++) {
		const struct rk_fleet *f = l->fleets.at[i];
		const char *name = f->conf->name;
		char loss[160];

		/* Disabled= is a word of its own: that one is meant. */
		if (f->is_leaving || rk_conf_fleet(new, name) || rk_wordlist_has(let_go, name))
			continue;
		loss_write(f, loss, sizeof(loss));
		rk_reload_say(ret, "%s: runs, and the configuration has no [Fleet %s] any more: its %s would be lost: put it back, "
			      "or let it go with 'rekindle reload --name %s --remove=%s'", name, name, loss, l->name, name);
	}
}
