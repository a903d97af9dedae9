/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/strategy.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static uint64_t bit(uint32_t fleet)
{
	return UINT64_C(1) << fleet;
}

static uint64_t all(const struct rk_strategy_fleets *s)
{
	return s->n == RK_STRATEGY_FLEETS_MAX ? UINT64_MAX : bit(s->n) - 1;
}

/* Whom a fleet starts behind. */
static uint64_t before(const struct rk_strategy_fleets *s, uint32_t fleet)
{
	return s->fleets[fleet].after | s->fleets[fleet].requires;
}

/* ---- order ---- */

static int check(const struct rk_strategy_fleets *s, struct rk_err *err)
{
	if (s->n == 0 || s->n > RK_STRATEGY_FLEETS_MAX)
		return rk_err_set(err, -EINVAL, "there can be 1 to %u fleets",
				  RK_STRATEGY_FLEETS_MAX);
	for (uint32_t i = 0; i < s->n; i++)
		if (before(s, i) & ~all(s))
			return rk_err_set(err, -EINVAL, "fleet %s waits for a fleet that is none",
					  s->fleets[i].name);
	return 0;
}

/* Walks from a fleet that can never start to one it waits for, until one comes again. */
static uint32_t find_cycle(const struct rk_strategy_fleets *s, uint64_t left)
{
	uint32_t at = (uint32_t)__builtin_ctzll(left);
	uint64_t seen = 0;

	while (!(seen & bit(at))) {
		seen |= bit(at);
		at = (uint32_t)__builtin_ctzll(before(s, at) & left);
	}
	return at;
}

/* Adds what fits of text. */
static void append(char *line, size_t size, const char *text)
{
	size_t len = strlen(line), more = rk_min_size(strlen(text), size - 1 - len);

	memcpy(line + len, text, more);
	line[len + more] = '\0';
}

static int set_cycle(const struct rk_strategy_fleets *s, uint64_t left, struct rk_err *err)
{
	uint32_t first = find_cycle(s, left), at = first;
	char names[200] = "";

	append(names, sizeof(names), s->fleets[at].name);
	do {
		at = (uint32_t)__builtin_ctzll(before(s, at) & left);
		append(names, sizeof(names), " after ");
		append(names, sizeof(names), s->fleets[at].name);
	} while (at != first);
	return rk_err_set(err, -ELOOP, "fleets wait for each other: %s", names);
}

int rk_strategy_sort(struct rk_strategy_fleets *s, struct rk_err *err)
{
	uint8_t order[RK_STRATEGY_FLEETS_MAX] = { 0 };
	uint64_t left = 0;
	int r = check(s, err);

	if (r < 0)
		return r;
	left = all(s);
	for (uint32_t n = 0; n < s->n; n++) {
		uint32_t i = 0;

		while (i < s->n && (!(left & bit(i)) || (before(s, i) & left)))
			i++;
		if (i == s->n)
			return set_cycle(s, left, err);
		order[n] = (uint8_t)i;
		left &= ~bit(i);
	}
	memcpy(s->order, order, sizeof(order));
	return 0;
}

/* ---- who depends on whom ---- */

/* Grows a set by whoever names one of it, until nobody does. At most n rounds. */
static uint64_t grow(const struct rk_strategy_fleets *s, uint64_t set, bool by_requires_only)
{
	uint64_t grown = set & all(s), last;

	do {
		last = grown;
		for (uint32_t i = 0; i < s->n; i++)
			if ((by_requires_only ? s->fleets[i].requires : before(s, i)) & grown)
				grown |= bit(i);
	} while (grown != last);
	return grown & ~set;
}

uint64_t rk_strategy_orphans(const struct rk_strategy_fleets *s, uint64_t failed)
{
	return grow(s, failed, true);
}

uint64_t rk_strategy_dependents(const struct rk_strategy_fleets *s, uint64_t fleets)
{
	return grow(s, fleets, false);
}

enum rk_strategy_start rk_strategy_may_start(const struct rk_strategy_fleets *s, uint32_t fleet,
					     uint64_t ready, uint64_t failed)
{
	const struct rk_strategy_fleet *f = &s->fleets[fleet];

	if (rk_strategy_orphans(s, failed) & bit(fleet))
		return RK_STRATEGY_NEVER;
	if ((f->requires & ~ready) || (f->after & ~(ready | failed)))
		return RK_STRATEGY_WAIT;
	return RK_STRATEGY_START;
}

/* ---- a death ---- */

static uint32_t within_first(enum rk_strategy within, uint32_t slot)
{
	return within == RK_STRATEGY_ONE_FOR_ALL ? 0 : slot;
}

static uint32_t within_end(enum rk_strategy within, uint32_t slot, uint32_t n_slots)
{
	return within == RK_STRATEGY_ONE_FOR_ONE ? slot + 1 : n_slots;
}

static uint64_t affected_fleets(const struct rk_strategy_fleets *s, uint32_t fleet)
{
	switch (s->between) {
	case RK_STRATEGY_ONE_FOR_ALL:
		return all(s);
	case RK_STRATEGY_REST_FOR_ONE:
		return rk_strategy_dependents(s, bit(fleet));
	case RK_STRATEGY_ONE_FOR_ONE:
	case RK_STRATEGIES:
		break;
	}
	return 0;
}

void rk_strategy_on_death(const struct rk_strategy_fleets *s, uint32_t fleet, uint32_t slot,
			  struct rk_strategy_plan *ret)
{
	const struct rk_strategy_fleet *f = &s->fleets[fleet];
	uint64_t whole;

	assert(fleet < s->n && slot < f->n_slots);
	whole = affected_fleets(s, fleet);
	ret->n = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t at = s->order[i];

		if (whole & bit(at))
			ret->ranges[ret->n++] =
				(struct rk_strategy_range){ at, 0, s->fleets[at].n_slots };
		else if (at == fleet)
			ret->ranges[ret->n++] =
				(struct rk_strategy_range){ at, within_first(f->within, slot),
							    within_end(f->within, slot,
								       f->n_slots) };
	}
}

bool rk_strategy_affects(const struct rk_strategy_plan *plan, uint32_t fleet, uint32_t slot)
{
	for (uint32_t i = 0; i < plan->n; i++) {
		const struct rk_strategy_range *r = &plan->ranges[i];

		if (r->fleet == fleet && slot >= r->first && slot < r->end)
			return true;
	}
	return false;
}

const char *rk_strategy_name(enum rk_strategy strategy)
{
	static const char *const names[] = { "one-for-one", "one-for-all", "rest-for-one" };

	_Static_assert(rk_countof(names) == RK_STRATEGIES, "a name for every strategy");
	return (unsigned int)strategy < RK_STRATEGIES ? names[strategy] : "?";
}
