/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/crew_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "shm/words.h"
#include "supervisor/journal.h"
#include "supervisor/standby.h"

#define HOPELESS_TRIES 5u /* failed starts of each slot before the command is suspected */
#define LOOK_US 250000u /* between two looks at workers that have not said they are ready */

struct rk_note rk_crew_note(const struct rk_crew *f, enum rk_flight_kind kind)
{
	return (struct rk_note){ .kind = kind,
				 .level = RK_LOG_INFO,
				 .is_quiet = true,
				 .fleet = f->c.conf->name,
				 .slot = RK_FLIGHT_NOBODY };
}

void rk_crew_end(struct rk_crew *f, struct rk_slot *s, enum rk_fsm_event event, const char *why)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_RESPONSE);

	note.slot = s->number;
	note.pid = s->process.pid;
	note.incarnation = s->incarnation;
	if (rk_slot_is_up(s)) /* else it is ending already */
		(void)rk_recorder_note(f->c.recorder, &note, "worker is to end why=\"%s\"", why);
	rk_slot_event(s, event);
}

int rk_crew_timer_new(struct rk_crew *f, sd_event_source **ret, sd_event_time_handler_t on_time)
{
	int r = sd_event_add_time(f->c.event, ret, CLOCK_MONOTONIC, 0, 1, on_time, f);

	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

void rk_crew_timer_set(sd_event_source *timer, uint64_t at_ns)
{
	/* Rounded up: one that comes early would find nothing due, and be set again at once. */
	(void)sd_event_source_set_time(timer, (at_ns + RK_NS_PER_US - 1) / RK_NS_PER_US);
	(void)sd_event_source_set_enabled(timer, at_ns ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

/* ---- what people are told of the whole ---- */

/*
 * The whole fleet fails to start: more likely the command's fault than the workers'. From then on
 * their deaths are no news; before, one line of the first is enough.
 */
static void warn_hopeless(struct rk_crew *f, const struct rk_slot *s)
{
	char cause[160];

	if (f->any_was_ready || f->has_warned)
		return;
	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].is_wanted && f->slots[i].restart.n_failed < HOPELESS_TRIES)
			return;
	f->has_warned = true;
	rk_obituary_cause(&s->mourning.last.obituary, cause, sizeof(cause));
	rk_log(RK_LOG_ERROR,
	       rk_kind_is_wrapped(f->c.conf->o.kind)
		       ? "no worker has ever become ready, each died at its start (the last %s): what does '%s' say when it runs by "
			 "itself, or to 'rekindle check --try'? Trying again for ever, at most every 5 s"
		       : "no worker has ever become ready, each died at its start (the last %s): is '%s' a "
			 "worker made with librekindle? If not, it needs another Kind=. Trying again for ever, at most every 5 s",
	       cause, f->c.conf->o.exec.at[0]);
}

static void hush(struct rk_crew *f, bool is_hushed)
{
	for (uint32_t i = 0; i < f->n_slots; i++)
		f->slots[i].mourning.is_hushed = is_hushed;
}

bool rk_crew_is_ready(const struct rk_crew *f)
{
	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].is_wanted && !rk_slot_is_up(&f->slots[i]))
			return false;
	return !f->is_halted && !f->is_stopping;
}

bool rk_crew_was_ready(const struct rk_crew *f)
{
	return f->was_ready;
}

void rk_crew_count(const struct rk_crew *f, uint32_t *ret_n_wanted, uint32_t *ret_n_ready)
{
	*ret_n_wanted = *ret_n_ready = 0;
	for (uint32_t i = 0; i < f->n_slots; i++) {
		*ret_n_wanted += f->slots[i].is_wanted;
		*ret_n_ready += f->slots[i].is_wanted && rk_slot_is_up(&f->slots[i]);
	}
}

bool rk_crew_has_failed(const struct rk_crew *f)
{
	uint32_t n_ended = 0;

	for (uint32_t i = 0; i < f->n_slots; i++) {
		if (f->slots[i].is_wanted && f->slots[i].state != RK_FSM_ENDED)
			return false;
		n_ended += f->slots[i].state == RK_FSM_ENDED;
	}
	return n_ended > 0;
}

/* "fleet NAME, 4 workers: 801 802 803 804" */
static void announce_fleet(struct rk_crew *f)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_READY);
	uint32_t n = 0;
	char pids[1024] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < f->n_slots; i++) {
		if (!f->slots[i].is_wanted)
			continue;
		n++;
		if (at < sizeof(pids) - 32)
			at += (size_t)snprintf(pids + at, sizeof(pids) - at, " %d", f->slots[i].process.pid);
	}
	rk_say(f->c.say, "rekindle: fleet %s, %u worker%s:%s", f->c.conf->name, n, n == 1 ? "" : "s", pids);
	(void)rk_recorder_note(f->c.recorder, &note, "fleet ready workers=%u pids=\"%s\"", n, pids + 1);
}

/* Whether all are ready has changed: people hear of the first time. */
static void ready_check(struct rk_crew *f)
{
	bool is_ready = rk_crew_is_ready(f), was_ready = f->is_ready;

	f->is_ready = is_ready;
	if (!is_ready || was_ready)
		return;
	if (!f->was_ready)
		announce_fleet(f);
	f->was_ready = true;
	rk_journal_mark(f->c.m, RK_JOURNAL_READY, true);
	f->c.on_ready(f->c.arg);
}

/* ---- steps of the slots ---- */

static void end_check(struct rk_crew *f)
{
	if (!f->is_stopping)
		return;
	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].state != RK_FSM_EMPTY)
			return;
	if (!rk_standby_is_empty(f->host.standby) || !rk_remnants_is_idle(f->host.remnants))
		return;
	if (f->host.kit)
		rk_kit_release(f->host.kit, UINT32_MAX);
	f->c.on_end(f->c.arg);
}

static void on_standby(void *arg)
{
	struct rk_crew *f = arg;

	f->c.on_change(f->c.arg);
	rk_crew_roll_progress(f); /* it may wait for one */
	end_check(f);
}

/* Who has something to tell rings; but one in a long first job, or no worker at all, does not. */
static void look_arm(struct rk_crew *f)
{
	for (uint32_t i = 0; i < f->n_slots; i++) {
		if (!rk_slot_is_expectant(&f->slots[i]))
			continue;
		(void)sd_event_source_set_time_relative(f->look_timer, LOOK_US);
		(void)sd_event_source_set_enabled(f->look_timer, SD_EVENT_ONESHOT);
		return;
	}
}

static int on_look(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_crew *f = arg;

	(void)source;
	(void)usec;
	rk_crew_on_news(f);
	look_arm(f);
	return 0;
}

static void on_down(struct rk_slot *s, void *arg)
{
	struct rk_crew *f = arg;

	rk_crew_layout_on(f, RK_MEMBER_EV_DOWN, s->number);
	rk_crew_roll_on(f, RK_ROLLING_EV_DOWN, s->number);
	rk_crew_recycle_on_down(f, s->number);
	rk_crew_layout_move(f); /* what shall not be its own any more goes now, while nobody has it */
}

static bool takes_over(struct rk_slot *s, void *arg)
{
	struct rk_crew *f = arg;

	return s->is_wanted && !f->is_stopping && !f->is_halted &&
	       f->c.takes_over(s->number, s->restart.next_ns, f->c.arg);
}

static uint32_t on_move(struct rk_slot *s, uint32_t *ret_n_waiting, void *arg)
{
	return rk_crew_layout_take(arg, s->number, ret_n_waiting);
}

static void on_announce(struct rk_crew *f, struct rk_slot *s)
{
	if (!f->any_was_ready)
		rk_standby_start(f->host.standby);
	f->any_was_ready = true;
	rk_journal_mark(f->c.m, RK_JOURNAL_PROVEN, true);
	hush(f, false);
	rk_crew_layout_on(f, RK_MEMBER_EV_READY, s->number);
	rk_crew_roll_on(f, RK_ROLLING_EV_READY, s->number);
	rk_crew_recycle_on_ready(f, s->number);
}

bool rk_crew_is_unfit(enum rk_fsm_state state)
{
	return state == RK_FSM_SUSPECT || state == RK_FSM_PAUSED || state == RK_FSM_RECYCLING ||
	       state == RK_FSM_ABORTING || state == RK_FSM_FENCING || state == RK_FSM_STOPPING;
}

/* What a step means for those who are not the slot. */
static void step_tell(struct rk_crew *f, struct rk_slot *s, struct rk_fsm_step step)
{
	if (step.action == RK_FSM_SPAWN && s->process.pid)
		rk_crew_layout_on(f, RK_MEMBER_EV_START, s->number);
	if (step.action == RK_FSM_ANNOUNCE)
		on_announce(f, s);
	if (rk_crew_is_unfit(step.next))
		rk_crew_layout_on(f, RK_MEMBER_EV_UNFIT, s->number);
	if (step.action == RK_FSM_RESUME) /* if it was stuck, it is not */
		rk_crew_layout_on(f, RK_MEMBER_EV_READY, s->number);
	if (step.action == RK_FSM_RECOVER && !f->any_was_ready && s->restart.n_failed > 1)
		hush(f, true);
	if (step.action == RK_FSM_ARM) {
		/* Said before if a process has died, but not if none could be made. */
		rk_crew_layout_on(f, RK_MEMBER_EV_DOWN, s->number);
		rk_crew_roll_on(f, RK_ROLLING_EV_DOWN, s->number);
		warn_hopeless(f, s);
	}
}

static void on_step(struct rk_slot *s, struct rk_fsm_step step, void *arg)
{
	struct rk_crew *f = arg;
	int is_armed = 0;

	if (step.action == RK_FSM_NOTHING && step.next == s->came_from)
		return;
	step_tell(f, s, step);
	(void)sd_event_source_get_enabled(f->look_timer, &is_armed);
	if (!is_armed)
		look_arm(f);
	rk_crew_roll_progress(f);
	rk_crew_layout_progress(f);
	ready_check(f);
	f->c.on_change(f->c.arg);
	if (step.next == RK_FSM_EMPTY)
		end_check(f);
}

/* Nothing of a slot's last process is left. */
static void on_empty(uint32_t slot, void *arg)
{
	struct rk_crew *f = arg;
	struct rk_slot *s = &f->slots[slot];

	rk_slot_on_empty(s);
	if (s->process.pid)
		rk_crew_layout_on(f, RK_MEMBER_EV_START, slot);
	look_arm(f);
	f->c.on_change(f->c.arg);
	end_check(f);
}

/* ---- what happens ---- */

void rk_crew_on_leases(struct rk_crew *f)
{
	uint64_t incarnation;
	uint32_t slot;

	rk_watch_drain(f->c.watch);
	while (rk_watch_next(f->c.watch, &slot, &incarnation))
		if (f->slots[slot].incarnation == incarnation)
			rk_slot_event(&f->slots[slot], RK_FSM_EV_LEASE);
}

void rk_crew_on_findings(struct rk_crew *f)
{
	struct rk_ward_finding *finding;

	rk_ward_drain(f->c.ward);
	while ((finding = rk_ward_next(f->c.ward)) != NULL) {
		if (finding->slot < f->n_slots)
			rk_slot_on_finding(&f->slots[finding->slot], finding);
		free(finding);
	}
}

void rk_crew_on_news(struct rk_crew *f)
{
	uint64_t now_ns = rk_clock_ns();

	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].state == RK_FSM_STARTING || rk_slot_is_expectant(&f->slots[i]))
			rk_slot_look(&f->slots[i], now_ns);
	rk_crew_layout_progress(f);
	rk_crew_recycle_look(f);
}

void rk_crew_on_exited(struct rk_crew *f, const struct rk_link_msg *msg)
{
	struct rk_link_msg forget = { .op = RK_LINK_FORGET, .kind = RK_LINK_PROCESS, .tag = msg->tag };
	uint32_t number = rk_link_tag_slot(msg->tag);

	if (number >= f->n_slots && number != RK_WORKER_NONE)
		return;
	if (number == RK_WORKER_NONE)
		rk_standby_on_exited(f->host.standby, msg);
	else if (rk_link_tag_is_hook(msg->tag))
		rk_slot_on_hook_exited(&f->slots[number], msg);
	else
		rk_slot_on_exited(&f->slots[number], msg);
	f->c.on_change(f->c.arg);
	if (rk_link_send(f->c.link, &forget, -1) < 0)
		rk_log(RK_LOG_DEBUG, "keeper keeps a dead worker's pidfd slot=%u", number);
}

int rk_crew_fault(struct rk_crew *f, const struct rk_inject_request *q, struct rk_inject_hit *ret, struct rk_err *err)
{
	struct rk_slot *s = NULL;
	int r;

	if (f->is_stopping)
		return rk_err_set(err, -ESHUTDOWN, "fleet '%s' stops: nothing was done", f->c.conf->name);
	r = rk_inject_choose(&f->inject, f->slots, f->n_slots, q, &s, err);
	return r < 0 ? r : rk_inject(&f->inject, s, q, ret, err);
}

/* ---- start, stop ---- */

bool rk_crew_runs(const struct rk_crew *f)
{
	return rk_journal_is_marked(f->c.m, RK_JOURNAL_RUNS);
}

void rk_crew_start(struct rk_crew *f)
{
	f->is_halted = false;
	rk_journal_mark(f->c.m, RK_JOURNAL_HALTED, false);
	rk_journal_mark(f->c.m, RK_JOURNAL_RUNS, true);
	if (f->any_was_ready)
		rk_standby_start(f->host.standby);
	for (uint32_t i = 0; i < f->n_slots; i++)
		if (rk_slot_is_empty(&f->slots[i]))
			rk_slot_take_partitions(&f->slots[i], f->slots[i].is_wanted ? RK_ROUTE_UP : 0);
	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].is_wanted)
			rk_slot_event(&f->slots[i], RK_FSM_EV_START);
}

void rk_crew_stop_range(struct rk_crew *f, uint32_t first, uint32_t end)
{
	for (uint32_t i = rk_min_u32(end, f->n_slots); i-- > first;)
		if (f->slots[i].is_wanted && !rk_slot_is_empty(&f->slots[i]))
			rk_crew_end(f, &f->slots[i], RK_FSM_EV_STOP, "the strategy, after another one died");
}

void rk_crew_start_range(struct rk_crew *f, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < rk_min_u32(end, f->n_slots) && !f->is_stopping && !f->is_halted; i++)
		if (f->slots[i].is_wanted && f->slots[i].state != RK_FSM_ENDED)
			rk_slot_start(&f->slots[i]);
}

bool rk_crew_is_range_empty(const struct rk_crew *f, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < rk_min_u32(end, f->n_slots); i++)
		if (f->slots[i].is_wanted && !rk_slot_is_empty(&f->slots[i]))
			return false;
	return true;
}

void rk_crew_halt(struct rk_crew *f, const char *why)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_STOP);

	if (f->is_halted || f->is_stopping)
		return;
	f->is_halted = true;
	f->is_ready = false;
	rk_journal_mark(f->c.m, RK_JOURNAL_HALTED, true);
	rk_journal_mark(f->c.m, RK_JOURNAL_RUNS, false);
	rk_say(f->c.say, "rekindle: fleet %s is halted: %s", f->c.conf->name, why);
	(void)rk_recorder_note(f->c.recorder, &note, "fleet halted why=\"%s\"", why);
	rk_standby_stop(f->host.standby);
	for (uint32_t i = f->n_slots; i-- > 0;)
		rk_slot_event(&f->slots[i], RK_FSM_EV_STOP);
}

bool rk_crew_is_stopping(const struct rk_crew *f)
{
	return f->is_stopping;
}

void rk_crew_stop(struct rk_crew *f, const char *why)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_STOP);

	if (f->is_stopping)
		return;
	f->is_stopping = true;
	rk_say(f->c.say, "rekindle: fleet %s stops: %s", f->c.conf->name, why);
	(void)rk_recorder_note(f->c.recorder, &note, "fleet stops why=\"%s\"", why);
	rk_inject_end(&f->inject); /* who stands still could not end */
	rk_standby_stop(f->host.standby);
	for (uint32_t i = 0; i < f->n_slots; i++)
		rk_slot_event(&f->slots[i], RK_FSM_EV_STOP);
	end_check(f);
}

/* As if keeper had said it. */
static void on_foster_end(const struct rk_link_msg *msg, void *arg)
{
	rk_crew_on_exited(arg, msg);
}

static struct rk_restart_conf restart_conf(const struct rk_fleet_options *o)
{
	struct rk_restart_conf c = { .when = (enum rk_restart_when)o->restart,
				     .burst = o->restart_burst,
				     .window_ns = o->restart_window_ns,
				     .backoff_ns = o->restart_backoff_ns,
				     .backoff_max_ns = o->restart_backoff_max_ns,
				     .healthy_after_ns = o->healthy_after_ns,
				     .success = o->success,
				     .prevent = o->restart_prevent };

	rk_restart_exits_add(&c.success, CLD_KILLED, (int)o->kill_signal);
	return c;
}

static uint64_t generation(const struct rk_crew *f)
{
	/* Relaxed: we alone count it up, and have. */
	return atomic_load_explicit(&f->c.m->board->incarnation, memory_order_relaxed);
}

static struct rk_hook_host hooks_of(const struct rk_crew *f)
{
	return (struct rk_hook_host){ .o = &f->c.conf->o,
				      .name = f->c.conf->name,
				      .fleet = f->c.fleet,
				      .spawn = f->c.spawn,
				      .event = f->c.event,
				      .recorder = f->c.recorder,
				      .link = f->c.link,
				      .n_started = rk_link_count_from(generation(f)) };
}

static int standby_open(struct rk_crew *f)
{
	const struct rk_standby_conf conf = {
		.c = &f->c, .hooks = &f->host.hooks, .restart = &f->host.restart, .n_made = rk_link_count_from(generation(f)),
		.on_change = on_standby, .arg = f
	};

	return rk_standby_open(&conf, &f->host.standby);
}

/* What foreign programs leave is looked for, before another one is started in their place. */
static int remnants_open(struct rk_crew *f)
{
	const uint64_t *id = f->c.m->journal->segment.fleet;
	const struct rk_remnants_conf conf = { .event = f->c.event,
					       .recorder = f->c.recorder,
					       .fleet = f->c.conf->name,
					       .id = { id[0], id[1] },
					       .n_slots = f->n_slots,
					       .root = getppid(),
					       .reaper = f->c.outlives_keeper ? rk_process_parent(getppid()) : 0,
					       .on_empty = on_empty,
					       .arg = f };

	return rk_kind_is_wrapped(f->c.conf->o.kind) ? rk_remnants_open(&conf, &f->host.remnants) : 0;
}

static int kit_open(struct rk_crew *f)
{
	const struct rk_kit_conf conf = { .event = f->c.event, .o = &f->c.conf->o, .name = f->c.conf->name,
					  .fleet = f->c.fleet, .link = f->c.link };
	int r = rk_kind_is_wrapped(f->c.conf->o.kind) ? rk_kit_open(&conf, &f->host.kit) : 0;

	if (r == 0 && f->host.kit && f->c.inherit)
		rk_kit_adopt(f->host.kit, f->c.inherit);
	return r;
}

static void slots_init(struct rk_crew *f)
{
	f->host = (struct rk_slot_host){ .c = &f->c,
					 .killer = f->killer,
					 .move = on_move,
					 .move_arg = f,
					 .restart = restart_conf(&f->c.conf->o),
					 .random = rk_rand_init(rk_clock_ns()),
					 .hooks = hooks_of(f),
					 .storm = f->c.storm,
					 .on_step = on_step,
					 .on_down = on_down,
					 .takes_over = takes_over,
					 .arg = f };
	f->host.foster = (struct rk_foster){ .event = f->c.event, .on_end = on_foster_end, .arg = f };
	f->inject = (struct rk_inject){ .event = f->c.event,
					.recorder = f->c.recorder,
					.fleet = f->c.conf->name,
					.random = rk_rand_init(rk_clock_ns()) };
	for (uint32_t i = 0; i < f->n_slots; i++) {
		rk_slot_init(&f->slots[i], &f->host, i);
		f->slots[i].is_wanted = i < f->c.conf->o.n_workers;
		if (!f->c.inherit)
			rk_slot_journal(&f->slots[i]);
	}
}

static int crew_init(struct rk_crew *f)
{
	int r;

	f->slots = calloc(f->n_slots, sizeof(*f->slots));
	f->killer = calloc(1, sizeof(*f->killer));
	if (!f->slots || !f->killer)
		return -ENOMEM;
	rk_observatory_init(&f->killer->observatory);
	slots_init(f);
	r = remnants_open(f);
	if (r >= 0)
		r = kit_open(f);
	if (r >= 0)
		r = f->c.inherit ? rk_crew_adopt(f) : rk_crew_layout_open(f, NULL);
	if (r < 0)
		return r;
	f->host.table = rk_member_owners(f->member);
	r = rk_crew_roll_open(f);
	if (r >= 0)
		r = rk_crew_recycle_open(f);
	if (r < 0)
		return r;
	r = standby_open(f);
	return r < 0 ? r : rk_crew_timer_new(f, &f->look_timer, on_look);
}

static void hooks_adopt(struct rk_crew *f, struct rk_inherit *in)
{
	for (uint32_t i = 0; i < in->n; i++) {
		struct rk_heirloom *one = &in->at[i];
		uint32_t number = rk_link_tag_slot(one->about.tag);

		if (one->about.kind == RK_LINK_PROCESS && one->fd >= 0 && rk_link_tag_is_hook(one->about.tag) &&
		    rk_link_tag_fleet(one->about.tag) == f->c.fleet && number < f->n_slots)
			rk_slot_hook_adopt(&f->slots[number], &one->about, &one->fd);
	}
}

void rk_crew_go_on(struct rk_crew *f, struct rk_inherit *in, uint32_t *ret_n_kept)
{
	*ret_n_kept = 0;
	f->is_changing = true; /* nothing moves before everything is there */
	hooks_adopt(f, in);
	rk_ward_begin(f->c.ward);
	(void)rk_watch_begin(f->c.watch); /* without memory for it it only takes longer */
	for (uint32_t i = 0; i < f->n_slots; i++) {
		*ret_n_kept += f->slots[i].process.pidfd >= 0;
		rk_slot_go_on(&f->slots[i]);
	}
	rk_watch_end(f->c.watch);
	rk_ward_end(f->c.ward);
	for (uint32_t i = 0; i < in->n; i++)
		if (in->at[i].about.kind == RK_LINK_PROCESS && in->at[i].about.code &&
		    rk_link_tag_fleet(in->at[i].about.tag) == f->c.fleet)
			rk_crew_on_exited(f, &in->at[i].about); /* nobody had heard of it */
	f->is_changing = false;
	rk_crew_layout_resume(f);
	rk_crew_roll_resume(f);
	if (f->any_was_ready && !f->is_halted)
		rk_standby_start(f->host.standby);
	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].state == RK_FSM_READY)
			rk_crew_recycle_on_ready(f, i);
	look_arm(f);
	rk_crew_on_news(f);
	ready_check(f);
	f->c.on_change(f->c.arg);
}

void rk_crew_configure(struct rk_crew *f, const struct rk_conf_fleet *conf)
{
	f->c.conf = conf;
	f->host.restart = restart_conf(&conf->o);
	f->host.hooks.o = &conf->o;
	f->host.hooks.name = conf->name;
	f->inject.fleet = conf->name;
	if (f->host.remnants)
		rk_remnants_rename(f->host.remnants, conf->name);
	if (f->host.kit)
		rk_kit_configure(f->host.kit, &conf->o, conf->name);
	for (uint32_t i = 0; i < f->n_slots; i++) {
		f->slots[i].mourning.fleet = conf->name;
		if (f->slots[i].state == RK_FSM_READY)
			rk_crew_recycle_on_ready(f, i);
	}
	rk_crew_layout_configure(f);
	rk_crew_recycle_look(f);
	if (f->any_was_ready && !f->is_halted && !f->is_stopping) {
		rk_standby_start(f->host.standby);
		rk_standby_renew(f->host.standby);
	}
}

int rk_crew_open(const struct rk_crew_conf *conf, struct rk_crew **ret, struct rk_err *err)
{
	struct rk_crew *f = calloc(1, sizeof(*f));
	int r = -ENOMEM;

	if (f) {
		f->c = *conf;
		f->n_slots = conf->m->g.n_workers;
		r = crew_init(f);
	}
	if (r < 0) {
		rk_crew_close(f);
		return rk_err_set(err, r, "cannot lay out the fleet: %s", strerror(-r));
	}
	*ret = f;
	return 0;
}

uint32_t rk_crew_n_used(const struct rk_crew *f)
{
	uint32_t n = f->n_slots;

	while (n > 0 && !f->slots[n - 1].is_wanted && f->slots[n - 1].incarnation == 0)
		n--;
	return n;
}

void rk_crew_close(struct rk_crew *f)
{
	if (!f)
		return;
	rk_inject_end(&f->inject);
	rk_foster_close(&f->host.foster);
	for (uint32_t i = 0; f->slots && f->slots[0].host && i < f->n_slots; i++)
		rk_slot_close(&f->slots[i]);
	rk_standby_close(f->host.standby);
	rk_remnants_close(f->host.remnants);
	rk_kit_close(f->host.kit);
	(void)sd_event_source_disable_unref(f->look_timer);
	rk_crew_recycle_close(f);
	rk_crew_roll_close(f);
	rk_crew_layout_close(f);
	free(f->slots);
	free(f->killer);
	free(f);
}

void rk_crew_fill(const struct rk_crew *f, struct rk_view *view)
{
	for (uint32_t i = 0; i < f->n_slots; i++) {
		struct rk_view_slot *v = &rk_view_slots(view)[i];

		rk_slot_fill(&f->slots[i], v);
		v->n_partitions = rk_member_n_owned(f->member, i);
	}
	rk_standby_fill(f->host.standby, view);
}
