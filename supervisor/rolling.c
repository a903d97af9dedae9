/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/rolling.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/macro.h"

static void enter(struct rk_rolling_slot *s, enum rk_rolling_stage stage, uint64_t now_ns)
{
	s->stage = stage;
	s->since_ns = now_ns;
}

static bool is_under_way(const struct rk_rolling_slot *s)
{
	return s->stage == RK_ROLLING_ENDING || s->stage == RK_ROLLING_STARTING ||
	       s->stage == RK_ROLLING_SETTLING;
}

static uint32_t count_under_way(const struct rk_rolling *r)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->n_slots; i++)
		n += is_under_way(&r->slots[i]);
	return n;
}

static uint32_t count_away(const struct rk_rolling *r)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->n_slots; i++)
		n += r->slots[i].is_wanted && !r->slots[i].is_ready;
	return n;
}

/* The first planned slot that is, or is not, ready; n_slots if there is none. */
static uint32_t find_todo(const struct rk_rolling *r, bool is_ready)
{
	uint32_t i = 0;

	while (i < r->n_slots &&
	       (r->slots[i].stage != RK_ROLLING_TODO || r->slots[i].is_ready != is_ready))
		i++;
	return i;
}

static bool has_standby(const struct rk_rolling *r)
{
	return r->c.kind == RK_ROLLING_RESTART && r->c.n_standbys > 0;
}

/* Slots that may be away at once: a standby is as good as one more. A drain hands over first. */
static uint32_t room(const struct rk_rolling *r)
{
	if (has_standby(r) || r->c.kind == RK_ROLLING_DRAIN)
		return rk_max_u32(r->c.max_unavailable, 1);
	return r->c.max_unavailable;
}

static bool waits_for_standby(const struct rk_rolling *r)
{
	return r->state == RK_ROLLING_RUNNING && count_under_way(r) == 0 && room(r) == 0 &&
	       find_todo(r, true) < r->n_slots;
}

static bool is_held_for_standby(const struct rk_rolling *r)
{
	return r->state == RK_ROLLING_HOLDING &&
	       (r->reason == RK_ROLLING_NO_STANDBY || r->reason == RK_ROLLING_NO_STANDBYS_START);
}

/* Done when nothing is left to do, to wait for, or to be told about. */
static void check_end(struct rk_rolling *r)
{
	if (r->state != RK_ROLLING_RUNNING && r->state != RK_ROLLING_HOLDING)
		return;
	for (uint32_t i = 0; i < r->n_slots; i++)
		if (is_under_way(&r->slots[i]) || r->slots[i].stage == RK_ROLLING_TODO ||
		    r->slots[i].stage == RK_ROLLING_FAILED)
			return;
	r->state = RK_ROLLING_DONE;
}

void rk_rolling_begin(struct rk_rolling *r, const struct rk_rolling_conf *c,
		      struct rk_rolling_slot *slots, uint32_t n_slots)
{
	*r = (struct rk_rolling){
		.c = *c, .slots = slots, .n_slots = n_slots, .state = RK_ROLLING_RUNNING
	};
	for (uint32_t i = 0; i < n_slots; i++)
		slots[i].stage = slots[i].in_plan ? RK_ROLLING_TODO : RK_ROLLING_OUT;
	check_end(r);
}

/* ---- holding ---- */

static void hold(struct rk_rolling *r, uint32_t slot, enum rk_rolling_reason reason)
{
	if (r->state != RK_ROLLING_RUNNING)
		return; /* the first reason stands */
	r->state = RK_ROLLING_HOLDING;
	r->reason = reason;
	r->held_slot = slot;
}

static void release(struct rk_rolling *r)
{
	r->state = RK_ROLLING_RUNNING;
	r->reason = RK_ROLLING_NONE;
	r->waiting_ns = 0; /* its time begins anew */
}

/* ---- after the supervisor's death ---- */

static enum rk_rolling_stage stage_now(const struct rk_rolling_slot *s)
{
	switch (s->stage) {
	case RK_ROLLING_TODO:
		return s->is_ending ? RK_ROLLING_ENDING : RK_ROLLING_TODO;
	case RK_ROLLING_ENDING:
		if (s->is_ending)
			return RK_ROLLING_ENDING;
		return s->is_ready ? RK_ROLLING_TODO : RK_ROLLING_STARTING;
	case RK_ROLLING_STARTING:
		return s->is_ready ? RK_ROLLING_SETTLING : RK_ROLLING_STARTING;
	case RK_ROLLING_SETTLING:
		return s->is_ready ? RK_ROLLING_SETTLING : RK_ROLLING_FAILED;
	case RK_ROLLING_OUT:
	case RK_ROLLING_FINISHED:
	case RK_ROLLING_FAILED:
	case RK_ROLLING_STAGES:
		break;
	}
	return (unsigned int)s->stage < RK_ROLLING_STAGES ? s->stage : RK_ROLLING_OUT;
}

void rk_rolling_hold_on(struct rk_rolling *r, enum rk_rolling_reason reason, uint32_t slot)
{
	if (reason > RK_ROLLING_NONE && reason <= RK_ROLLING_NO_STANDBYS_START && slot < r->n_slots)
		hold(r, slot, reason);
}

void rk_rolling_go_on(struct rk_rolling *r, const struct rk_rolling_conf *c, struct rk_rolling_slot *slots,
		      uint32_t n_slots, uint64_t now_ns)
{
	*r = (struct rk_rolling){
		.c = *c, .slots = slots, .n_slots = n_slots, .state = RK_ROLLING_RUNNING
	};
	for (uint32_t i = 0; i < n_slots; i++) {
		enum rk_rolling_stage stage = stage_now(&slots[i]);

		if (stage != slots[i].stage || slots[i].since_ns > now_ns)
			enter(&slots[i], stage, now_ns);
		slots[i].took_ns = 0;
		if (slots[i].stage == RK_ROLLING_FAILED)
			hold(r, i, RK_ROLLING_DIED);
	}
	check_end(r);
}

/* ---- what happens ---- */

/* The late one is ready: goes on, unless another has died meanwhile. */
static void lift(struct rk_rolling *r)
{
	release(r);
	for (uint32_t i = 0; i < r->n_slots; i++)
		if (r->slots[i].stage == RK_ROLLING_FAILED)
			hold(r, i, RK_ROLLING_DIED);
}

static void finish(struct rk_rolling *r, uint32_t slot, uint64_t now_ns)
{
	enter(&r->slots[slot], RK_ROLLING_FINISHED, now_ns);
	r->last_slot = slot;
	r->last_took_ns = r->slots[slot].took_ns;
}

static void on_ready(struct rk_rolling *r, uint32_t slot, uint64_t now_ns)
{
	struct rk_rolling_slot *s = &r->slots[slot];

	if (s->stage == RK_ROLLING_ENDING)
		return; /* the old process, ready just before it ends */
	s->is_ready = true;
	if (s->stage != RK_ROLLING_STARTING)
		return;
	s->took_ns = now_ns - s->since_ns;
	if (r->state == RK_ROLLING_HOLDING && r->reason == RK_ROLLING_LATE && r->held_slot == slot)
		lift(r);
	enter(s, RK_ROLLING_SETTLING, now_ns);
	if (r->c.settle_ns == 0)
		finish(r, slot, now_ns);
}

static void on_down(struct rk_rolling *r, uint32_t slot, uint64_t now_ns)
{
	struct rk_rolling_slot *s = &r->slots[slot];

	s->is_ready = false;
	if (s->stage == RK_ROLLING_ENDING && r->c.kind == RK_ROLLING_DRAIN) {
		s->is_wanted = false;
		finish(r, slot, now_ns);
	} else if (s->stage == RK_ROLLING_ENDING) {
		enter(s, RK_ROLLING_STARTING, now_ns);
	} else if (s->stage == RK_ROLLING_STARTING || s->stage == RK_ROLLING_SETTLING) {
		enter(s, RK_ROLLING_FAILED, now_ns);
		if (r->state == RK_ROLLING_HOLDING && r->held_slot == slot)
			release(r); /* late, and now dead: a better reason */
		hold(r, slot, RK_ROLLING_DIED);
	}
}

static uint64_t slot_due_ns(const struct rk_rolling *r, const struct rk_rolling_slot *s)
{
	if (s->stage == RK_ROLLING_SETTLING)
		return s->since_ns + r->c.settle_ns;
	if (s->stage == RK_ROLLING_STARTING && r->c.ready_timeout_ns &&
	    r->state == RK_ROLLING_RUNNING)
		return s->since_ns + r->c.ready_timeout_ns;
	return 0;
}

/* When a standby that is waited for is late, as a replacement would be; 0 = never. */
static uint64_t standby_due_ns(const struct rk_rolling *r)
{
	if (r->state != RK_ROLLING_RUNNING || r->waiting_ns == 0 || r->c.ready_timeout_ns == 0)
		return 0;
	return r->waiting_ns + r->c.ready_timeout_ns;
}

static void on_timer(struct rk_rolling *r, uint64_t now_ns)
{
	uint64_t standby_ns = standby_due_ns(r);

	if (standby_ns && now_ns >= standby_ns)
		hold(r, find_todo(r, true), RK_ROLLING_NO_STANDBY);
	for (uint32_t i = 0; i < r->n_slots; i++) {
		struct rk_rolling_slot *s = &r->slots[i];
		uint64_t due_ns = slot_due_ns(r, s);

		if (due_ns == 0 || now_ns < due_ns)
			continue;
		if (s->stage == RK_ROLLING_SETTLING)
			finish(r, i, now_ns);
		else
			hold(r, i, RK_ROLLING_LATE);
	}
}

static void on_resume(struct rk_rolling *r, uint64_t now_ns)
{
	if (r->state != RK_ROLLING_HOLDING)
		return;
	release(r);
	for (uint32_t i = 0; i < r->n_slots; i++) {
		struct rk_rolling_slot *s = &r->slots[i];

		if (s->stage == RK_ROLLING_FAILED)
			enter(s, s->is_ready ? RK_ROLLING_SETTLING : RK_ROLLING_TODO, now_ns);
		else if (s->stage == RK_ROLLING_STARTING)
			s->since_ns = now_ns; /* its time begins anew */
	}
}

static void on_cancel(struct rk_rolling *r)
{
	for (uint32_t i = 0; i < r->n_slots; i++)
		if (r->slots[i].stage == RK_ROLLING_TODO || r->slots[i].stage == RK_ROLLING_FAILED)
			r->slots[i].stage = RK_ROLLING_OUT;
	if (r->state == RK_ROLLING_HOLDING)
		release(r);
	r->c.ready_timeout_ns = 0; /* there is nothing left to hold */
}

static void on_unwanted(struct rk_rolling *r, uint32_t slot)
{
	struct rk_rolling_slot *s = &r->slots[slot];
	bool is_held_for = r->state == RK_ROLLING_HOLDING && r->held_slot == slot && !is_held_for_standby(r);

	s->is_wanted = s->is_ready = false;
	if (s->stage != RK_ROLLING_FINISHED)
		s->stage = RK_ROLLING_OUT;
	if (is_held_for)
		lift(r);
}

void rk_rolling_on(struct rk_rolling *r, enum rk_rolling_event event, uint32_t slot,
		   uint64_t now_ns)
{
	if (r->state != RK_ROLLING_RUNNING && r->state != RK_ROLLING_HOLDING)
		return;
	switch (event) {
	case RK_ROLLING_EV_READY:
		if (slot < r->n_slots)
			on_ready(r, slot, now_ns);
		break;
	case RK_ROLLING_EV_DOWN:
		if (slot < r->n_slots)
			on_down(r, slot, now_ns);
		break;
	case RK_ROLLING_EV_TIMER:
		on_timer(r, now_ns);
		break;
	case RK_ROLLING_EV_RESUME:
		on_resume(r, now_ns);
		break;
	case RK_ROLLING_EV_CANCEL:
		on_cancel(r);
		break;
	case RK_ROLLING_EV_UNWANTED:
		if (slot < r->n_slots)
			on_unwanted(r, slot);
		break;
	case RK_ROLLING_EV_BARREN:
		if (waits_for_standby(r))
			hold(r, find_todo(r, true), RK_ROLLING_NO_STANDBYS_START);
		break;
	case RK_ROLLING_EVENTS:
		break;
	}
	check_end(r);
}

void rk_rolling_standbys(struct rk_rolling *r, uint32_t n)
{
	r->c.n_standbys = n;
	if (n > 0 && is_held_for_standby(r))
		release(r);
}

/* ---- what to do ---- */

static enum rk_rolling_action choose(struct rk_rolling *r, bool is_ready)
{
	if (r->c.kind == RK_ROLLING_DRAIN)
		return RK_ROLLING_GO;
	if (!is_ready)
		return RK_ROLLING_START;
	if (!has_standby(r))
		return RK_ROLLING_RECYCLE;
	r->c.n_standbys--;
	return RK_ROLLING_SWAP;
}

static bool order(struct rk_rolling *r, uint64_t now_ns, struct rk_rolling_order *ret)
{
	uint32_t slot;

	if (r->state != RK_ROLLING_RUNNING ||
	    count_under_way(r) >= rk_max_u32(r->c.max_unavailable, 1))
		return false;
	slot = find_todo(r, false);
	if (slot == r->n_slots && count_away(r) < room(r))
		slot = find_todo(r, true);
	if (slot == r->n_slots)
		return false;
	ret->slot = slot;
	ret->action = choose(r, r->slots[slot].is_ready);
	enter(&r->slots[slot],
	      ret->action == RK_ROLLING_START ? RK_ROLLING_STARTING : RK_ROLLING_ENDING, now_ns);
	if (r->c.kind == RK_ROLLING_RESTART)
		r->slots[slot].is_ready = false;
	return true;
}

bool rk_rolling_next(struct rk_rolling *r, uint64_t now_ns, struct rk_rolling_order *ret)
{
	if (order(r, now_ns, ret))
		return true;
	if (!waits_for_standby(r))
		r->waiting_ns = 0;
	else if (r->waiting_ns == 0)
		r->waiting_ns = now_ns;
	return false;
}

uint64_t rk_rolling_due_ns(const struct rk_rolling *r)
{
	uint64_t due_ns = standby_due_ns(r);

	for (uint32_t i = 0; i < r->n_slots; i++) {
		uint64_t ns = slot_due_ns(r, &r->slots[i]);

		if (ns != 0 && (due_ns == 0 || ns < due_ns))
			due_ns = ns;
	}
	return due_ns;
}

/* ---- what people see ---- */

struct rk_rolling_progress rk_rolling_progress(const struct rk_rolling *r)
{
	struct rk_rolling_progress p = { .kind = r->c.kind,
					 .state = r->state,
					 .reason = r->reason,
					 .held_slot = r->held_slot,
					 .last_slot = r->last_slot,
					 .last_took_ns = r->last_took_ns,
					 .n_under_way = count_under_way(r) };

	for (uint32_t i = 0; i < r->n_slots; i++) {
		p.n_planned += r->slots[i].stage != RK_ROLLING_OUT;
		p.n_finished += r->slots[i].stage == RK_ROLLING_FINISHED;
		p.n_failed += r->slots[i].stage == RK_ROLLING_FAILED;
	}
	p.waits_for_standby = waits_for_standby(r);
	return p;
}

static void reason_text(const struct rk_rolling_progress *p, char *text, size_t size)
{
	const char *before = "", *behind = "";

	switch (p->reason) {
	case RK_ROLLING_NONE:
		break;
	case RK_ROLLING_DIED:
		behind = " died before it was settled";
		break;
	case RK_ROLLING_LATE:
		behind = " was not ready in time";
		break;
	case RK_ROLLING_NO_STANDBY:
		before = "no standby was ready in time for ";
		break;
	case RK_ROLLING_NO_STANDBYS_START:
		before = "the standby for ";
		behind = " does not start";
		break;
	}
	(void)snprintf(text, size, "%sworker %u%s", before, p->held_slot, behind);
}

const char *rk_rolling_format(const struct rk_rolling_progress *p,
			      char text[static RK_ROLLING_LINE])
{
	const char *what = p->kind == RK_ROLLING_DRAIN ? "drained" : "restarted";
	char tail[80] = "";

	if (p->state == RK_ROLLING_HOLDING) {
		reason_text(p, tail, sizeof(tail));
		(void)snprintf(text, RK_ROLLING_LINE, "holding at %u of %u: %s", p->n_finished,
			       p->n_planned, tail);
		return text;
	}
	if (p->waits_for_standby)
		(void)snprintf(tail, sizeof(tail), ", waiting for a standby");
	else if (p->n_finished > 0 && p->kind == RK_ROLLING_RESTART)
		(void)snprintf(tail, sizeof(tail), ": worker %u ready after %llu ms", p->last_slot,
			       (unsigned long long)(p->last_took_ns / RK_NS_PER_MS));
	else if (p->n_finished > 0)
		(void)snprintf(tail, sizeof(tail), ": worker %u is gone", p->last_slot);
	(void)snprintf(text, RK_ROLLING_LINE, "%s %u of %u%s", what, p->n_finished, p->n_planned,
		       tail);
	return text;
}
