/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/recycle.h"

#include "base/macro.h"
#include "base/rand.h"

uint64_t rk_recycle_max_jobs(uint64_t max_jobs, uint32_t slot, uint64_t incarnation)
{
	struct rk_rand random = rk_rand_init((uint64_t)slot << 48 ^ incarnation);

	return max_jobs - rk_rand_below(&random, max_jobs / 8 + 1);
}

/* How far over its bound, in 1024ths of it: 0 = not over, 1024 = at it. */
static uint64_t excess(uint64_t have, uint64_t bound)
{
	if (bound == 0 || have < bound)
		return 0;
	if (have >= UINT64_MAX >> 10)
		return UINT64_MAX;
	return (have << 10) / bound;
}

static uint64_t jobs_excess(const struct rk_recycle_conf *c, const struct rk_recycle_slot *s,
			    uint32_t slot)
{
	if (c->max_jobs == 0)
		return 0;
	return excess(s->n_jobs, rk_recycle_max_jobs(c->max_jobs, slot, s->incarnation));
}

static bool may_go(const struct rk_recycle_conf *c, uint32_t n_away, uint64_t last_ns,
		   uint64_t now_ns)
{
	if (n_away >= rk_max_u32(c->max_unavailable, 1))
		return false;
	return last_ns == 0 || now_ns >= last_ns + c->gap_ns;
}

struct rk_recycle rk_recycle_decide(const struct rk_recycle_conf *c,
				    const struct rk_recycle_slot *slots, uint32_t n_slots,
				    uint64_t last_ns, uint64_t now_ns)
{
	struct rk_recycle worst = { .slot = RK_RECYCLE_NOBODY };
	uint64_t worst_excess = 0;
	uint32_t n_away = 0;

	for (uint32_t i = 0; i < n_slots; i++) {
		uint64_t rss = excess(slots[i].rss, c->max_rss);
		uint64_t jobs = jobs_excess(c, &slots[i], i);

		n_away += slots[i].is_wanted && !slots[i].is_ready;
		if (!slots[i].is_ready || (rss == 0 && jobs == 0))
			continue;
		worst.n_due++;
		if (rk_max_u64(rss, jobs) <= worst_excess)
			continue;
		worst_excess = rk_max_u64(rss, jobs);
		worst.slot = i;
		worst.reason = rss >= jobs ? RK_RECYCLE_RSS : RK_RECYCLE_JOBS;
	}
	if (!may_go(c, n_away, last_ns, now_ns))
		return (struct rk_recycle){ .slot = RK_RECYCLE_NOBODY, .n_due = worst.n_due };
	return worst;
}

const char *rk_recycle_reason_name(enum rk_recycle_reason reason)
{
	static const char *const names[] = { "none", "MaxRSS", "MaxJobs" };

	_Static_assert(rk_countof(names) == RK_RECYCLE_REASONS, "a name for every reason");
	return (unsigned int)reason < RK_RECYCLE_REASONS ? names[reason] : "?";
}
