/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop, groups: strategy.h says who is stopped with a worker that died; this stops them, waits
 * until all are down and the dead one's own wait is over, and starts them in order. A further
 * death meanwhile joins in.
 */
#include "base/clock.h"
#include "supervisor/journal.h"
#include "supervisor/loop_private.h"

static bool is_tied(const struct rk_fleet *f)
{
	return f->tied.first < f->tied.end;
}

static void tie(struct rk_fleet *f, const struct rk_strategy_range *more)
{
	if (!is_tied(f)) {
		f->tied = *more;
		return;
	}
	f->tied.first = rk_min_u32(f->tied.first, more->first);
	f->tied.end = rk_max_u32(f->tied.end, more->end);
}

/* For a successor of ours, before anybody is stopped or started for it. */
static void journal_write(const struct rk_loop *l, const struct rk_fleet *f)
{
	rk_journal_tie(&f->segments.m, &(struct rk_journal_tie){ .first = f->tied.first,
								 .end = f->tied.end,
								 .until_ns = l->group.until_ns,
								 .comes_up = l->group.is_starting });
}

static void journal_write_all(const struct rk_loop *l)
{
	for (uint32_t i = 0; i < l->fleets.n; i++)
		journal_write(l, l->fleets.at[i]);
}

static bool is_alone(const struct rk_strategy_plan *plan)
{
	return plan->n == 1 && plan->ranges[0].end - plan->ranges[0].first == 1;
}

bool rk_loop_group_take(struct rk_loop *l, const struct rk_fleet *f, uint32_t slot, uint64_t due_ns)
{
	struct rk_loop_group *g = &l->group;
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_NOTE);
	struct rk_strategy_plan plan;

	rk_strategy_on_death(&l->order, f->index, slot, &plan);
	if (l->is_stopping || is_alone(&plan))
		return false;
	note.fleet = f->conf->name;
	note.slot = slot;
	(void)rk_recorder_note(
		&l->recorder, &note,
		"others are stopped and started with it fleets=%u strategy=%s between=%s", plan.n,
		rk_strategy_name(l->says[f->index].within), rk_strategy_name(l->order.between));
	for (uint32_t i = 0; i < plan.n; i++)
		tie(l->fleets.at[plan.ranges[i].fleet], &plan.ranges[i]);
	g->until_ns = g->is_on ? rk_max_u64(g->until_ns, due_ns) : due_ns;
	g->is_on = true;
	g->is_starting = false;
	journal_write_all(l);
	rk_loop_wake(l);
	return true;
}

void rk_loop_group_adopt(struct rk_loop *l)
{
	struct rk_loop_group *g = &l->group;
	bool all_down = true;

	for (uint32_t i = 0; i < l->fleets.n; i++) {
		struct rk_fleet *f = l->fleets.at[i];
		struct rk_journal_tie tie = rk_journal_tied(&f->segments.m);

		f->tied = (struct rk_strategy_range){ .fleet = i, .first = tie.first, .end = tie.end };
		if (!is_tied(f))
			continue;
		g->is_on = true;
		g->until_ns = rk_max_u64(g->until_ns, tie.until_ns);
		all_down = all_down && tie.comes_up;
	}
	g->is_starting = g->is_on && all_down;
}

/* Those who run, last fleet and highest slot first. Returns whether all are down. */
static bool stop_all(struct rk_loop *l)
{
	bool all_down = true;

	for (uint32_t i = l->order.n; i-- > 0;) {
		struct rk_fleet *f = l->fleets.at[l->order.order[i]];

		if (!is_tied(f) || !f->has_started)
			continue;
		rk_crew_stop_range(f->crew, f->tied.first, f->tied.end);
		all_down = all_down && rk_crew_is_range_empty(f->crew, f->tied.first, f->tied.end);
	}
	return all_down;
}

/* Fleets whose workers are all ready again, or were not touched. */
static uint64_t ready_now(const struct rk_loop *l)
{
	uint64_t ready = 0;

	for (uint32_t i = 0; i < l->fleets.n; i++)
		if (l->fleets.at[i]->has_started && rk_crew_is_ready(l->fleets.at[i]->crew))
			ready |= UINT64_C(1) << i;
	return ready;
}

/* Each fleet whose turn it is. Returns whether some still wait for theirs. */
static bool start_due(struct rk_loop *l)
{
	bool some_wait = false;

	for (uint32_t i = 0; i < l->order.n; i++) {
		struct rk_fleet *f = l->fleets.at[l->order.order[i]];
		enum rk_strategy_start may;

		if (!is_tied(f))
			continue;
		may = f->has_started
			      ? rk_strategy_may_start(&l->order, f->index, ready_now(l), l->failed)
			      : RK_STRATEGY_NEVER;
		if (may == RK_STRATEGY_START)
			rk_crew_start_range(f->crew, f->tied.first, f->tied.end);
		if (may == RK_STRATEGY_WAIT) {
			some_wait = true;
			continue;
		}
		f->tied = (struct rk_strategy_range){ .first = 0 };
		journal_write(l, f);
	}
	return some_wait;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	rk_loop_wake(arg);
	return 0;
}

/* False until the dead one's own wait is over. */
static bool is_time(struct rk_loop *l)
{
	uint64_t until_us = l->group.until_ns / RK_NS_PER_US + 1;

	if (rk_clock_ns() >= l->group.until_ns)
		return true;
	if (!l->group.timer)
		return sd_event_add_time(l->event, &l->group.timer, CLOCK_MONOTONIC, until_us, 1,
					 on_timer, l) < 0;
	(void)sd_event_source_set_time(l->group.timer, until_us);
	return sd_event_source_set_enabled(l->group.timer, SD_EVENT_ONESHOT) < 0;
}

void rk_loop_group_progress(struct rk_loop *l)
{
	struct rk_loop_group *g = &l->group;

	if (!g->is_on || l->is_stopping)
		return;
	if (!g->is_starting && stop_all(l) && is_time(l)) {
		g->is_starting = true;
		journal_write_all(l);
	}
	if (g->is_starting)
		g->is_on = start_due(l);
}
