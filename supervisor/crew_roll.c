/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crew, rolling: the plan of rolling.h, told what happens and done as it says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/journal.h"
#include "supervisor/crew_private.h"
#include "supervisor/standby.h"

#define SETTLE_NS (200 * RK_NS_PER_MS) /* a replacement that lives so long was no mistake */

static const char *state_word(enum rk_rolling_state state)
{
	return state == RK_ROLLING_DONE ? "done" : state == RK_ROLLING_HOLDING ? "held" : "running";
}

static bool is_on(const struct rk_crew *f)
{
	return f->roll.plan.state == RK_ROLLING_RUNNING || f->roll.plan.state == RK_ROLLING_HOLDING;
}

/* A line whenever it reads differently. */
static void tell(struct rk_crew *f)
{
	struct rk_rolling_progress p = rk_rolling_progress(&f->roll.plan);
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_ROLLING);
	char line[RK_ROLLING_LINE];

	(void)rk_rolling_format(&p, line);
	if (strcmp(line, f->roll.line) == 0 && p.state != RK_ROLLING_DONE)
		return;
	memcpy(f->roll.line, line, sizeof(line));
	if (p.state == RK_ROLLING_DONE)
		f->c.on_over(f->c.arg);
	note.group = f->roll.group;
	note.level = p.state == RK_ROLLING_HOLDING ? RK_LOG_WARNING : RK_LOG_INFO;
	note.is_quiet = p.state != RK_ROLLING_HOLDING;
	note.message = p.state == RK_ROLLING_HOLDING ? RK_MESSAGE_ROLLING_HELD : RK_MESSAGE_OF_KIND;
	(void)rk_recorder_note(f->c.recorder, &note, "%s state=%s", line, state_word(p.state));
}

static void obey(struct rk_crew *f, const struct rk_rolling_order *order)
{
	struct rk_slot *s = &f->slots[order->slot];

	switch (order->action) {
	case RK_ROLLING_RECYCLE:
	case RK_ROLLING_SWAP:
		rk_crew_end(f, s, RK_FSM_EV_RECYCLE, "a rolling restart");
		return;
	case RK_ROLLING_START:
		rk_slot_start(s);
		return;
	case RK_ROLLING_GO: /* drains are crew_layout.c's */
		return;
	}
}

static bool is_ending(enum rk_fsm_state state)
{
	return state == RK_FSM_RECYCLING || state == RK_FSM_ABORTING || state == RK_FSM_FENCING || state == RK_FSM_STOPPING;
}

static bool needs_standbys(const struct rk_crew *f)
{
	return f->roll.plan.c.kind == RK_ROLLING_RESTART && f->roll.plan.c.max_unavailable == 0;
}

/* Where each slot stands in the plan, which its notes tell a successor. */
static void stage_note(struct rk_crew *f, uint32_t slot, bool is_noted)
{
	struct rk_slot *s = &f->slots[slot];

	if (s->roll_stage == f->roll.slots[slot].stage && s->roll_since_ns == f->roll.slots[slot].since_ns)
		return;
	s->roll_stage = f->roll.slots[slot].stage;
	s->roll_since_ns = f->roll.slots[slot].since_ns;
	if (is_noted)
		rk_slot_journal(s);
}

/* For a successor of this process: which group, and whether it goes on at all. */
static void journal_write(struct rk_crew *f)
{
	struct rk_journal *j = f->c.m->journal;

	for (uint32_t i = 0; i < f->n_slots; i++)
		stage_note(f, i, true);
	j->roll_reason = (uint16_t)f->roll.plan.reason;
	j->roll_held = (uint16_t)f->roll.plan.held_slot;
	j->roll_group = f->roll.group;
	j->roll_unavailable = f->roll.plan.c.max_unavailable;
	rk_journal_mark(f->c.m, RK_JOURNAL_HOLDS, f->roll.plan.state == RK_ROLLING_HOLDING);
	rk_journal_mark(f->c.m, RK_JOURNAL_ROLLS, is_on(f));
}

void rk_crew_roll_progress(struct rk_crew *f)
{
	struct rk_rolling_order order;

	if (!f->roll.is_open || f->roll.is_obeying || f->is_stopping)
		return;
	f->roll.is_obeying = true; /* orders lead to steps, which lead here */
	if (needs_standbys(f))
		rk_rolling_standbys(&f->roll.plan, rk_standby_n_able(f->host.standby));
	while (rk_rolling_next(&f->roll.plan, rk_clock_ns(), &order))
		obey(f, &order);
	if (needs_standbys(f) && rk_standby_is_failing(f->host.standby))
		rk_crew_roll_on(f, RK_ROLLING_EV_BARREN, 0);
	f->roll.is_obeying = false;
	rk_crew_timer_set(f->roll.timer, rk_rolling_due_ns(&f->roll.plan));
	tell(f);
	f->roll.is_open = is_on(f);
	journal_write(f);
}

void rk_crew_roll_on(struct rk_crew *f, enum rk_rolling_event event, uint32_t slot)
{
	if (!is_on(f))
		return;
	rk_rolling_on(&f->roll.plan, event, slot, rk_clock_ns());
	if (slot < f->n_slots)
		stage_note(f, slot, false); /* the slot's own step notes it */
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_crew *f = arg;

	(void)source;
	(void)usec;
	rk_crew_roll_on(f, RK_ROLLING_EV_TIMER, 0);
	rk_crew_roll_progress(f);
	return 0;
}

int rk_crew_roll_open(struct rk_crew *f)
{
	f->roll.slots = calloc(f->n_slots, sizeof(*f->roll.slots));
	if (!f->roll.slots)
		return -ENOMEM;
	return rk_crew_timer_new(f, &f->roll.timer, on_timer);
}

void rk_crew_roll_close(struct rk_crew *f)
{
	(void)sd_event_source_disable_unref(f->roll.timer);
	free(f->roll.slots);
}

/* ---- operators ---- */

static int busy(const struct rk_crew *f, struct rk_err *err)
{
	return rk_err_set(err, -EBUSY, "a rolling restart of %s is under way (%s)%s",
			  f->c.conf->name, f->roll.line,
			  f->roll.plan.state == RK_ROLLING_HOLDING
				  ? ": 'rekindle restart --resume' goes on, '--cancel' gives it up"
				  : "");
}

static bool is_chosen(const struct rk_crew_restart *what, uint32_t slot)
{
	for (uint32_t i = 0; i < what->n; i++)
		if (what->workers[i] == slot)
			return true;
	return what->n == 0;
}

static int choose(struct rk_crew *f, const struct rk_crew_restart *what, struct rk_err *err)
{
	for (uint32_t i = 0; i < what->n; i++)
		if (what->workers[i] >= f->n_slots || !f->slots[what->workers[i]].is_wanted)
			return rk_err_set(err, -EINVAL, "there is no worker %u to restart in %s",
					  what->workers[i], f->c.conf->name);
	for (uint32_t i = 0; i < f->n_slots; i++) {
		struct rk_slot *s = &f->slots[i];

		f->roll.slots[i] =
			(struct rk_rolling_slot){ .in_plan = s->is_wanted && is_chosen(what, i),
						  .is_wanted = s->is_wanted,
						  .is_ready = rk_slot_is_up(s) };
	}
	return 0;
}

/*
 * With no worker away there has to be a standby: so much is known before anything is done. One of
 * a program that was replaced meanwhile shows as well as any that standbys do start here.
 */
static int standby_check(struct rk_crew *f, struct rk_err *err)
{
	if (rk_standby_n_wanted(f->host.standby) == 0)
		return rk_err_set(
			err, -EINVAL,
			"with no worker unavailable there has to be a standby, and %s has none: set Standby=1 and "
			"reload, or give --max-unavailable=1 or more",
			f->c.conf->name);
	if (rk_standby_n_running(f->host.standby) == 0)
		return rk_err_set(
			err, -EAGAIN,
			"with no worker unavailable there has to be a standby, and none of %s is ready: try again "
			"when 'rekindle status' shows one that is not stopped, or give --max-unavailable=1 or more",
			f->c.conf->name);
	return 0;
}

static struct rk_rolling_conf plan_conf(const struct rk_crew *f, uint32_t max_unavailable)
{
	const struct rk_fleet_options *o = &f->c.conf->o;

	return (struct rk_rolling_conf){ .kind = RK_ROLLING_RESTART,
					 .max_unavailable = max_unavailable,
					 .ready_timeout_ns = o->start_timeout_ns == RK_INFINITE ? 0 : o->start_timeout_ns,
					 .settle_ns = SETTLE_NS };
}

/* Of a plan that was just made. No group: a group of its own. */
static void begin(struct rk_crew *f, uint64_t group, const char *what)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_ROLLING);
	uint64_t sequence;

	note.group = group;
	sequence = rk_recorder_note(f->c.recorder, &note, "rolling restart %s workers=%u max_unavailable=%u state=running",
				    what, rk_rolling_progress(&f->roll.plan).n_planned, f->roll.plan.c.max_unavailable);
	f->roll.group = group ? group : sequence;
	f->roll.line[0] = '\0';
	f->roll.is_open = true;
	journal_write(f);
}

int rk_crew_restart(struct rk_crew *f, const struct rk_crew_restart *what, uint64_t *ret_group,
		    struct rk_err *err)
{
	struct rk_rolling_conf conf;
	int r;

	if (is_on(f))
		return busy(f, err);
	if (!rk_crew_runs(f))
		return rk_err_set(err, -EAGAIN, "%s does not run: it waits for its turn, or for what it requires, and starts as it "
				  "is configured by then", f->c.conf->name);
	r = what->max_unavailable == 0 ? standby_check(f, err) : 0;
	if (r == 0)
		r = choose(f, what, err);
	if (r < 0)
		return r;
	/* They run what there was when they were started. Before it begins: none of them is to take over. */
	rk_standby_renew(f->host.standby);
	conf = plan_conf(f, what->max_unavailable);
	rk_rolling_begin(&f->roll.plan, &conf, f->roll.slots, f->n_slots);
	begin(f, what->group, "begins");
	*ret_group = f->roll.group;
	rk_crew_roll_progress(f);
	return 0;
}

void rk_crew_roll_resume(struct rk_crew *f)
{
	const struct rk_journal *j = f->c.m->journal;
	struct rk_rolling_conf conf = plan_conf(f, j->roll_unavailable);

	if (!rk_journal_is_marked(f->c.m, RK_JOURNAL_ROLLS) || f->is_halted)
		return;
	for (uint32_t i = 0; i < f->n_slots; i++) {
		const struct rk_slot *s = &f->slots[i];

		f->roll.slots[i] = (struct rk_rolling_slot){ .is_wanted = s->is_wanted,
							     .is_ready = rk_slot_is_up(s),
							     .is_ending = s->process.pid && is_ending(s->state),
							     .stage = s->is_wanted ? (enum rk_rolling_stage)s->roll_stage
										   : RK_ROLLING_OUT,
							     .since_ns = s->roll_since_ns };
	}
	rk_rolling_go_on(&f->roll.plan, &conf, f->roll.slots, f->n_slots, rk_clock_ns());
	if (rk_journal_is_marked(f->c.m, RK_JOURNAL_HOLDS))
		rk_rolling_hold_on(&f->roll.plan, (enum rk_rolling_reason)j->roll_reason, j->roll_held);
	begin(f, j->roll_group, "is taken up by another supervisor");
	rk_crew_roll_progress(f);
}

/* Who followed it so far was told that it is held: what comes now has a group of its own. */
static int change_plan(struct rk_crew *f, enum rk_rolling_event event, uint64_t *ret_group,
		       struct rk_err *err)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_ROLLING);

	if (!is_on(f))
		return rk_err_set(err, -ENOENT, "no rolling restart of %s is under way",
				  f->c.conf->name);
	f->roll.group = rk_recorder_note(f->c.recorder, &note, "rolling restart %s state=running",
					 event == RK_ROLLING_EV_RESUME ? "goes on" : "is given up");
	*ret_group = f->roll.group;
	f->roll.line[0] = '\0';
	rk_crew_roll_on(f, event, 0);
	if (event == RK_ROLLING_EV_RESUME && needs_standbys(f))
		rk_standby_retry(f->host.standby);
	rk_crew_roll_progress(f);
	return 0;
}

int rk_crew_restart_resume(struct rk_crew *f, uint64_t *ret_group, struct rk_err *err)
{
	return change_plan(f, RK_ROLLING_EV_RESUME, ret_group, err);
}

int rk_crew_restart_cancel(struct rk_crew *f, uint64_t *ret_group, struct rk_err *err)
{
	return change_plan(f, RK_ROLLING_EV_CANCEL, ret_group, err);
}
