/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/crew.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/inject.h"
#include "supervisor/place.h"
#include "supervisor/slot.h"

#define HOPELESS_TRIES 5u /* failed starts of each slot before the command is suspected */
#define LOOK_US 250000u /* between two looks at workers that have not said they are ready */

struct rk_crew {
	struct rk_crew_conf c;
	struct rk_slot_host host;
	struct rk_slot *slots;
	uint32_t n_slots;
	uint16_t *table; /* partition -> slot */
	bool is_stopping;
	bool was_ready;     /* all slots at once, ever */
	bool any_was_ready; /* any process, ever */
	bool has_warned;    /* that no worker ever gets ready */
	struct rk_killer *killer;
	struct rk_inject inject; /* faults that were asked for */
	sd_event_source *look_timer; /* runs only while a slot expects something */
};

static struct rk_note note_of(const struct rk_crew *f, enum rk_flight_kind kind)
{
	return (struct rk_note){ .kind = kind,
				 .level = RK_LOG_INFO,
				 .is_quiet = true,
				 .fleet = f->c.conf->name,
				 .slot = RK_FLIGHT_NOBODY };
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
		if (f->slots[i].restart.n_failed < HOPELESS_TRIES)
			return;
	f->has_warned = true;
	rk_obituary_cause(&s->mourning.last.obituary, cause, sizeof(cause));
	rk_log(RK_LOG_ERROR,
	       "no worker has ever become ready, each died at its start (the last %s): is '%s' a "
	       "worker made with librekindle? Trying again for ever, at most every 5 s",
	       cause, f->c.conf->o.exec.at[0]);
}

static void hush(struct rk_crew *f, bool is_hushed)
{
	for (uint32_t i = 0; i < f->n_slots; i++)
		f->slots[i].mourning.is_hushed = is_hushed;
}

/* "fleet NAME, 4 workers: 801 802 803 804", when all have been ready at once for the first time */
static void announce_fleet(struct rk_crew *f)
{
	struct rk_note note = note_of(f, RK_FLIGHT_READY);
	char pids[1024] = "";
	size_t at = 0;

	if (f->was_ready)
		return;
	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].state != RK_FSM_READY)
			return;
	f->was_ready = true;
	for (uint32_t i = 0; i < f->n_slots && at < sizeof(pids) - 32; i++)
		at += (size_t)snprintf(pids + at, sizeof(pids) - at, " %d", f->slots[i].process.pid);
	rk_say(f->c.say, "rekindle: fleet %s, %u worker%s:%s", f->c.conf->name, f->n_slots,
	       f->n_slots == 1 ? "" : "s", pids);
	(void)rk_recorder_note(f->c.recorder, &note, "fleet ready workers=%u pids=\"%s\"", f->n_slots, pids + 1);
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
	f->c.on_end(f->c.arg);
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

static void on_step(struct rk_slot *s, struct rk_fsm_step step, void *arg)
{
	struct rk_crew *f = arg;
	int is_armed = 0;

	if (step.action == RK_FSM_NOTHING)
		return;
	if (step.action == RK_FSM_ANNOUNCE) {
		f->any_was_ready = true;
		hush(f, false);
		announce_fleet(f);
	}
	if (step.action == RK_FSM_RECOVER && !f->any_was_ready && s->restart.n_failed > 1)
		hush(f, true);
	if (step.action == RK_FSM_ARM)
		warn_hopeless(f, s);
	f->c.on_change(f->c.arg);
	(void)sd_event_source_get_enabled(f->look_timer, &is_armed);
	if (!is_armed)
		look_arm(f);
	if (step.next == RK_FSM_EMPTY)
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
		if (rk_slot_is_expectant(&f->slots[i]))
			rk_slot_look(&f->slots[i], now_ns);
}

void rk_crew_on_exited(struct rk_crew *f, const struct rk_link_msg *msg)
{
	struct rk_link_msg forget = { .op = RK_LINK_FORGET, .tag = msg->tag };
	uint32_t number = rk_link_tag_slot(msg->tag);

	if (number >= f->n_slots)
		return;
	if (rk_link_tag_is_hook(msg->tag))
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

void rk_crew_start(struct rk_crew *f)
{
	for (uint32_t i = 0; i < f->n_slots; i++)
		rk_slot_take_partitions(&f->slots[i], RK_ROUTE_UP);
	for (uint32_t i = 0; i < f->n_slots; i++)
		rk_slot_event(&f->slots[i], RK_FSM_EV_START);
}

void rk_crew_stop(struct rk_crew *f, const char *why)
{
	struct rk_note note = note_of(f, RK_FLIGHT_STOP);

	if (f->is_stopping)
		return;
	f->is_stopping = true;
	rk_say(f->c.say, "rekindle: fleet %s stops: %s", f->c.conf->name, why);
	(void)rk_recorder_note(f->c.recorder, &note, "fleet stops why=\"%s\"", why);
	rk_inject_end(&f->inject); /* who stands still could not end */
	for (uint32_t i = 0; i < f->n_slots; i++)
		rk_slot_event(&f->slots[i], RK_FSM_EV_STOP);
	end_check(f);
}

static int place(struct rk_crew *f)
{
	const struct rk_geometry *g = &f->c.m->g;
	rk_cleanup(rk_free_p) struct rk_place_member *members = calloc(f->n_slots, sizeof(*members));
	rk_cleanup(rk_free_p) void *scratch = malloc(rk_place_scratch_size(g->n_partitions, f->n_slots));
	struct rk_place_view view = { .members = members, .n_members = f->n_slots, .seed = g->hash_seed };
	uint32_t n_moves;

	if (!members || !scratch)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->n_slots; i++)
		members[i] = (struct rk_place_member){ .id = i, .weight = 1, .slot = (uint16_t)i };
	return rk_place_rebalance(f->table, g->n_partitions, &view, scratch, &n_moves);
}

static struct rk_restart_conf restart_conf(const struct rk_fleet_options *o)
{
	return (struct rk_restart_conf){ .when = (enum rk_restart_when)o->restart,
					 .burst = o->restart_burst,
					 .window_ns = o->restart_window_ns,
					 .backoff_ns = o->restart_backoff_ns,
					 .backoff_max_ns = o->restart_backoff_max_ns,
					 .healthy_after_ns = o->healthy_after_ns,
					 .success = o->success,
					 .prevent = o->restart_prevent };
}

static struct rk_hook_host hooks_of(const struct rk_crew *f)
{
	return (struct rk_hook_host){ .o = &f->c.conf->o,
				      .name = f->c.conf->name,
				      .fleet = f->c.fleet,
				      .spawn = f->c.spawn,
				      .event = f->c.event,
				      .recorder = f->c.recorder,
				      .link = f->c.link };
}

static int crew_init(struct rk_crew *f)
{
	uint32_t n_partitions = f->c.m->g.n_partitions;
	int r;

	f->slots = calloc(f->n_slots, sizeof(*f->slots));
	f->table = malloc(n_partitions * sizeof(*f->table));
	f->killer = calloc(1, sizeof(*f->killer));
	if (!f->slots || !f->table || !f->killer)
		return -ENOMEM;
	memset(f->table, 0xff, n_partitions * sizeof(*f->table)); /* RK_PLACE_NONE */
	rk_observatory_init(&f->killer->observatory);
	r = place(f);
	f->host = (struct rk_slot_host){ .c = &f->c,
					 .table = f->table,
					 .killer = f->killer,
					 .restart = restart_conf(&f->c.conf->o),
					 .random = rk_rand_init(rk_clock_ns()),
					 .hooks = hooks_of(f),
					 .on_step = on_step,
					 .arg = f };
	f->inject = (struct rk_inject){ .event = f->c.event,
					.recorder = f->c.recorder,
					.fleet = f->c.conf->name,
					.random = rk_rand_init(rk_clock_ns()) };
	for (uint32_t i = 0; i < f->n_slots; i++)
		rk_slot_init(&f->slots[i], &f->host, i);
	for (uint32_t p = 0; r == 0 && p < n_partitions; p++)
		f->slots[f->table[p]].n_partitions++;
	if (r == 0)
		r = sd_event_add_time_relative(f->c.event, &f->look_timer, CLOCK_MONOTONIC, 0, 0, on_look, f);
	if (r >= 0)
		r = sd_event_source_set_enabled(f->look_timer, SD_EVENT_OFF);
	return r;
}

int rk_crew_open(const struct rk_crew_conf *conf, struct rk_crew **ret, struct rk_err *err)
{
	struct rk_crew *f = calloc(1, sizeof(*f));
	int r = -ENOMEM;

	if (f) {
		f->c = *conf;
		f->n_slots = conf->conf->o.n_workers;
		r = crew_init(f);
	}
	if (r < 0) {
		rk_crew_close(f);
		return rk_err_set(err, r, "cannot lay out the fleet: %s", strerror(-r));
	}
	*ret = f;
	return 0;
}

void rk_crew_close(struct rk_crew *f)
{
	if (!f)
		return;
	rk_inject_end(&f->inject);
	for (uint32_t i = 0; f->slots && i < f->n_slots; i++)
		rk_slot_close(&f->slots[i]);
	(void)sd_event_source_disable_unref(f->look_timer);
	free(f->slots);
	free(f->table);
	free(f->killer);
	free(f);
}

void rk_crew_fill(const struct rk_crew *f, struct rk_view *view)
{
	for (uint32_t i = 0; i < f->n_slots; i++)
		rk_slot_fill(&f->slots[i], &rk_view_slots(view)[i]);
}
