/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crew, layout: which slots are wanted, and which partition is whose: member.h decides, handover.h
 * does, this tells the one what happens and the other what to do.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "shm/bell.h"
#include "shm/evict.h"
#include "shm/words.h"
#include "supervisor/crew_private.h"
#include "supervisor/handover.h"
#include "supervisor/journal.h"

#define DEFERRED_NS RK_NS_PER_S  /* until what could not be moved is tried again */
#define MOVE_GAP_NS RK_NS_PER_MS /* between the starts of two live hand-overs */

/* ---- moves ---- */

static void moved(struct rk_crew *f, const struct rk_member_move *move, int r)
{
	if (r < 0)
		rk_log(RK_LOG_ERROR, "partition could not be assigned partition=%u slot=%u",
		       move->partition, move->to);
	rk_member_moved(f->member, move->partition);
	f->n_moved++;
	f->change.n_moved++;
}

/* The old owner has let go. If there is no heir it gets the partition back. */
static void finish(struct rk_crew *f, const struct rk_member_move *move)
{
	if (rk_member_is_heir(f->member, move)) {
		rk_journal_own(f->c.m, move->partition, move->to);
		moved(f, move, rk_handover_give(f->c.m, move->partition, move->to));
		return;
	}
	rk_member_unmoved(f->member, move->partition);
	if (rk_handover_give(f->c.m, move->partition, move->from) < 0)
		rk_log(RK_LOG_ERROR, "partition could not be given back partition=%u slot=%u",
		       move->partition, move->from);
}

static void moves_finish(struct rk_crew *f)
{
	for (uint32_t i = 0; i < f->n_moves;) {
		struct rk_member_move move = f->moves[i];

		if (!rk_handover_is_released(f->c.m, &move)) {
			i++;
			continue;
		}
		f->moves[i] = f->moves[--f->n_moves];
		finish(f, &move);
	}
}

/* Its owner has died, or is stuck: it was asked in vain, and its partitions are its own still. */
static void moves_abandon(struct rk_crew *f, uint32_t from)
{
	for (uint32_t i = 0; i < f->n_moves;) {
		if (f->moves[i].from != from) {
			i++;
			continue;
		}
		rk_member_unmoved(f->member, f->moves[i].partition);
		f->moves[i] = f->moves[--f->n_moves];
	}
}

/*
 * Its words are damaged, its owner is not there yet, or no bank is free (of one that was taken by
 * copy before the first worker's process is gone): another time, and the others go on.
 */
static void move_defer(struct rk_crew *f, const struct rk_member_move *move, int r)
{
	uint32_t keeper = move->is_copy && r == -EBUSY ? rk_evict_keeper(f->c.m, move->partition)
						       : RK_WORKER_NONE;

	rk_member_unmoved(f->member, move->partition);
	f->n_deferred++;
	if (keeper != RK_WORKER_NONE) {
		f->waits[move->from].n++;
		f->waits[move->from].keeper = keeper;
	} else if (f->n_deferred == 1 && !f->was_deferred)
		rk_log(RK_LOG_WARNING,
		       "a partition cannot be %s yet, it is tried again partition=%u slot=%u: %s",
		       move->is_copy ? "taken" : "asked for", move->partition, move->from,
		       strerror(-r));
}

/*
 * Once for each worker that is stuck. A second worker had got them by copy before it hung itself:
 * either one's end lets them go on.
 */
static void waits_tell(struct rk_crew *f)
{
	for (uint32_t i = 0; i < f->n_slots; i++) {
		struct rk_crew_wait *w = &f->waits[i];
		struct rk_note note = rk_crew_note(f, RK_FLIGHT_MOVE);

		w->n = rk_min_u32(w->n, rk_member_n_owned(f->member,
							  i)); /* some may have been tried twice */
		if (w->n == 0 || w->is_told)
			continue;
		w->is_told = true;
		note.level = RK_LOG_WARNING;
		note.message = RK_MESSAGE_PARTITIONS_WAIT;
		note.is_quiet = false;
		note.slot = i;
		note.pid = f->slots[i].process.pid;
		note.incarnation = f->slots[i].incarnation;
		(void)rk_recorder_note(
			f->c.recorder, &note,
			"partitions wait, each second they are tried again: both banks are in use until the "
			"process of this worker or of worker %u (pid %d) is gone n=%u",
			w->keeper, w->keeper < f->n_slots ? f->slots[w->keeper].process.pid : 0,
			w->n);
	}
}

/* Each that is pending once: the search goes on behind the last one. */
static void moves_begin(struct rk_crew *f)
{
	uint32_t n_pending = rk_member_n_pending(f->member);
	struct rk_member_move move;

	f->was_deferred = f->n_deferred > 0;
	f->n_deferred = 0;
	for (uint32_t i = 0; i < f->n_slots; i++)
		f->waits[i].n = 0;
	for (uint32_t n = 0; n < n_pending && f->n_moves < RK_CREW_MOVES &&
			     rk_member_next(f->member, rk_clock_ns(), &move);
	     n++) {
		int r;

		if (!move.is_live)
			rk_journal_own(f->c.m, move.partition, move.to);
		r = rk_handover_begin(f->c.m, &move);
		if (r == RK_HANDOVER_ASKED) {
			f->moves[f->n_moves++] = move;
		} else if (r < 0 && (move.is_live || move.is_copy)) {
			rk_journal_own(f->c.m, move.partition, move.from);
			move_defer(f, &move, r);
		} else {
			moved(f, &move, r);
		}
	}
	waits_tell(f);
}

/* Who has handed over the last one may go. */
static void leavers_release(struct rk_crew *f)
{
	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].state == RK_FSM_DRAINING &&
		    rk_member_state(f->member, i) == RK_MEMBER_OUT)
			rk_slot_event(&f->slots[i], RK_FSM_EV_RELEASED);
}

static void moves_tell(struct rk_crew *f, uint32_t n_pending)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_MOVE);

	if (n_pending > 0 || f->n_moved == 0)
		return;
	(void)rk_recorder_note(f->c.recorder, &note, "partitions moved n=%u", f->n_moved);
	f->n_moved = 0;
	f->c.on_change(f->c.arg);
}

/* ---- a change that people follow ---- */

static bool has_arrived(const struct rk_slot *s)
{
	return s->is_wanted ? rk_slot_is_up(s) || s->state == RK_FSM_ENDED : rk_slot_is_empty(s);
}

/* How many of the slots are where they shall be, and where not. */
struct tally {
	uint32_t n_wanted, n_ready, n_leaving, n_arrived;
};

static struct tally tally_of(const struct rk_crew *f)
{
	struct tally t = { .n_wanted = 0 };

	for (uint32_t i = 0; i < f->n_slots; i++) {
		const struct rk_slot *s = &f->slots[i];

		t.n_arrived += has_arrived(s);
		t.n_wanted += s->is_wanted;
		t.n_ready += s->is_wanted && rk_slot_is_up(s);
		t.n_leaving += !s->is_wanted && !rk_slot_is_empty(s);
	}
	return t;
}

static void change_note(struct rk_crew *f, const struct tally *t, uint32_t n_pending, bool is_over)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_SCALE);
	uint32_t n_held = rk_member_n_held(f->member);
	char leaving[32] = "", held[80] = "";

	if (t->n_leaving)
		(void)snprintf(leaving, sizeof(leaving), ", %u leaving", t->n_leaving);
	if (n_held)
		(void)snprintf(held, sizeof(held),
			       ": %u wait%s until a worker that is well can have %s", n_held,
			       n_held == 1 ? "s" : "", n_held == 1 ? "it" : "them");
	for (uint32_t i = 0; i < f->change.n_groups; i++) {
		note.group = f->change.groups[i];
		(void)rk_recorder_note(
			f->c.recorder, &note,
			"%u of %u worker%s ready%s, %u partition%s moved, %u to move%s state=%s",
			t->n_ready, t->n_wanted, rk_num_plural(t->n_wanted), leaving,
			f->change.n_moved, rk_num_plural(f->change.n_moved), n_pending, held,
			is_over ? "done" : "running");
	}
}

/* So that whoever follows a change hears of its end from another supervisor too. */
static void changes_journal(struct rk_crew *f)
{
	for (uint32_t i = 0; i < RK_CREW_CHANGES; i++)
		f->c.m->journal->changes[i] = i < f->change.n_groups ? f->change.groups[i] : 0;
}

/* A line whenever one more worker is where it shall be, when moves begin to wait for somebody to be
 * well or do so no more, and the last one. */
static void change_tell(struct rk_crew *f, uint32_t n_pending)
{
	struct tally t;
	bool is_over, is_held;

	if (f->change.n_groups == 0)
		return;
	t = tally_of(f);
	is_held = rk_member_n_held(f->member) > 0;
	is_over = t.n_arrived == f->n_slots && rk_member_n_going(f->member) == 0;
	if (!is_over && t.n_arrived == f->change.n_arrived && is_held == f->change.is_held)
		return;
	f->change.n_arrived = t.n_arrived;
	f->change.is_held = is_held;
	if (is_over)
		f->c.on_over(f->c.arg);
	change_note(f, &t, n_pending, is_over);
	if (is_over) {
		f->change = (struct rk_crew_change){ .n_groups = 0 };
		changes_journal(f);
	}
}

static bool is_to_wait(const struct rk_crew *f)
{
	return f->is_stopping || f->is_halted || f->is_changing;
}

void rk_crew_layout_move(struct rk_crew *f)
{
	uint64_t now_ns, due_ns;

	if (is_to_wait(f))
		return;
	moves_finish(f);
	moves_begin(f);
	now_ns = rk_clock_ns();
	due_ns = rk_member_due_ns(f->member);
	if (f->n_deferred && (!due_ns || due_ns > now_ns + DEFERRED_NS))
		due_ns = now_ns + DEFERRED_NS;
	rk_crew_timer_set(f->move_timer, due_ns);
}

void rk_crew_layout_progress(struct rk_crew *f)
{
	uint32_t n_pending;

	if (is_to_wait(f))
		return;
	rk_crew_layout_move(f);
	leavers_release(f);
	n_pending = rk_member_n_pending(f->member);
	moves_tell(f, n_pending);
	change_tell(f, n_pending);
}

/* ---- what happens ---- */

void rk_crew_layout_on(struct rk_crew *f, enum rk_member_event event, uint32_t slot)
{
	if (event == RK_MEMBER_EV_DOWN || event == RK_MEMBER_EV_STUCK)
		moves_abandon(f, slot);
	if (event == RK_MEMBER_EV_DOWN || event == RK_MEMBER_EV_READY)
		f->waits[slot].is_told = false; /* it is not stuck any more */
	rk_member_on(f->member, event, slot, rk_clock_ns());
}

uint32_t rk_crew_layout_take(struct rk_crew *f, uint32_t slot, uint32_t *ret_n_waiting)
{
	uint32_t n = rk_member_n_owned(f->member, slot);

	*ret_n_waiting = 0;
	if (f->c.m->g.n_banks < 2)
		return 0; /* nothing to copy into */
	rk_crew_layout_on(f, RK_MEMBER_EV_STUCK, slot);
	rk_crew_layout_progress(f);
	*ret_n_waiting = f->waits[slot].n;
	return n - rk_member_n_owned(f->member, slot);
}

/* A slot has been down for MoveAfter, or ready for HealthyAfter; or it is time for the next move.
 */
static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_crew *f = arg;
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_MOVE);
	uint32_t n_before = rk_member_n_pending(f->member), n;

	(void)source;
	(void)usec;
	rk_member_on_timer(f->member, rk_clock_ns());
	n = rk_member_n_pending(f->member);
	if (n > n_before)
		(void)rk_recorder_note(f->c.recorder, &note, "partitions have to move n=%u", n);
	rk_crew_layout_progress(f);
	return 0;
}

static struct rk_member_conf member_conf(const struct rk_crew *f)
{
	const struct rk_fleet_options *o = &f->c.conf->o;

	return (struct rk_member_conf){ .n_partitions = f->c.m->g.n_partitions,
					.n_slots = f->n_slots,
					.n_wanted = o->n_workers,
					.seed = f->c.m->g.hash_seed,
					.move_after_ns = o->move_after_ns,
					.healthy_after_ns = o->healthy_after_ns,
					.max_moving = RK_CREW_MOVES,
					.move_gap_ns = MOVE_GAP_NS };
}

/* Of an adopted fleet: who is wanted is the journal's to say, and stands in the slots. */
static uint32_t n_wanted(const struct rk_crew *f)
{
	uint32_t n = f->n_slots;

	while (n > 1 && !f->slots[n - 1].is_wanted)
		n--;
	return n;
}

int rk_crew_layout_open(struct rk_crew *f, const uint16_t *owners)
{
	struct rk_member_conf conf = member_conf(f);
	int r;

	if (owners)
		conf.n_wanted = n_wanted(f);
	r = rk_member_open(&conf, owners, &f->member);
	f->waits = calloc(f->n_slots, sizeof(*f->waits));
	if (!f->waits)
		return -ENOMEM;
	if (r < 0)
		return r;
	for (uint32_t p = 0; p < conf.n_partitions && !owners; p++)
		rk_journal_own(f->c.m, p, rk_member_owners(f->member)[p]);
	for (uint32_t i = 0; i < conf.n_wanted && owners; i++)
		if (!f->slots[i].is_wanted)
			(void)!rk_member_leave(f->member, i); /* the last one stays a member */
	return rk_crew_timer_new(f, &f->move_timer, on_timer);
}

void rk_crew_layout_resume(struct rk_crew *f)
{
	for (uint32_t i = 0; i < RK_CREW_CHANGES; i++)
		if (f->c.m->journal->changes[i])
			f->change.groups[f->change.n_groups++] = f->c.m->journal->changes[i];
	f->change.n_arrived = UINT32_MAX;
	rk_crew_layout_progress(f);
}

void rk_crew_layout_close(struct rk_crew *f)
{
	(void)sd_event_source_disable_unref(f->move_timer);
	rk_member_close(f->member);
	free(f->waits);
}

void rk_crew_layout_configure(struct rk_crew *f)
{
	rk_member_retime(f->member, f->c.conf->o.move_after_ns, f->c.conf->o.healthy_after_ns);
	rk_crew_layout_progress(f);
}

/* ---- operators ---- */

void rk_crew_follow(struct rk_crew *f, uint64_t group)
{
	f->follow = group;
}

/* One that does not get on, a worker that is stopped or never ready, must not keep others from
 * being begun. */
static void change_leave(struct rk_crew *f)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_SCALE);

	note.group = f->change.groups[0];
	(void)rk_recorder_note(f->c.recorder, &note, "%u changes came behind it state=left",
			       RK_CREW_CHANGES);
	f->change.n_groups--;
	memmove(f->change.groups, f->change.groups + 1,
		f->change.n_groups * sizeof(f->change.groups[0]));
}

/* Begins a change; several may be under way, and are over together. */
RK_PRINTF(4, 5)
static int change_begin(struct rk_crew *f, uint64_t *ret_group, struct rk_err *err, const char *fmt,
			...)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_SCALE);
	uint64_t sequence;
	char text[160];
	va_list args;

	if (f->is_stopping)
		return rk_err_set(err, -EBUSY, "fleet %s stops", f->c.conf->name);
	if (f->change.n_groups == RK_CREW_CHANGES)
		change_leave(f);
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	note.group = f->follow;
	sequence = rk_recorder_note(f->c.recorder, &note, "%s state=running", text);
	*ret_group = f->follow ? f->follow : sequence;
	f->follow = 0;
	f->change.groups[f->change.n_groups++] = *ret_group;
	f->change.n_arrived = UINT32_MAX;
	changes_journal(f);
	return 0;
}

static int worker_check(const struct rk_crew *f, uint32_t worker, struct rk_err *err)
{
	if (worker < f->n_slots)
		return 0;
	return rk_err_set(err, -EINVAL, "there is no worker %u: %s has room for %u", worker,
			  f->c.conf->name, f->n_slots);
}

static void want(struct rk_crew *f, uint32_t worker)
{
	struct rk_slot *s = &f->slots[worker];

	s->is_wanted = true;
	if (rk_slot_is_empty(s))
		s->is_held = false;
	rk_slot_journal(s);
	rk_member_want(f->member, worker, rk_clock_ns());
	if (rk_crew_runs(f))
		rk_slot_start(s);
}

static int leave(struct rk_crew *f, uint32_t worker, enum rk_slot_state as, struct rk_err *err)
{
	struct rk_slot *s = &f->slots[worker];
	int r = rk_member_leave(f->member, worker);

	if (r < 0)
		return rk_err_set(
			err, r,
			"worker %u is the last of %s that can own partitions: start another one first, or "
			"'rekindle stop' the fleet",
			worker, f->c.conf->name);
	s->is_wanted = false;
	s->unwanted = as;
	rk_crew_roll_on(f, RK_ROLLING_EV_UNWANTED, worker);
	rk_slot_journal(s);
	rk_crew_end(f, s, RK_FSM_EV_DRAIN,
		    as == RK_SLOT_DRAINED ? "it is drained" : "fewer workers are wanted");
	return 0;
}

int rk_crew_scale(struct rk_crew *f, uint32_t n, uint64_t *ret_group, struct rk_err *err)
{
	int r;

	if (n == 0)
		return rk_err_set(err, -EINVAL,
				  "a fleet has at least one worker: 'rekindle stop' ends it");
	if (n > RK_WORKERS_MAX)
		return rk_err_set(err, -EINVAL,
				  "%s has room for %u workers, and no fleet for more than %u",
				  f->c.conf->name, f->n_slots, RK_WORKERS_MAX);
	if (n > f->n_slots)
		return rk_err_set(
			err, -EINVAL,
			"%s has room for %u workers: for %u, 'rekindle stop' it and start it with Workers=%u, "
			"which loses the states of its partitions",
			f->c.conf->name, f->n_slots, n, n);
	r = change_begin(f, ret_group, err, "fleet is scaled workers=%u", n);
	if (r < 0)
		return r;
	f->is_changing = true;
	for (uint32_t i = 0; i < n; i++)
		if (!f->slots[i].is_wanted)
			want(f, i);
	for (uint32_t i = f->n_slots; r == 0 && i-- > n;)
		if (f->slots[i].is_wanted)
			r = leave(f, i, RK_SLOT_EMPTY, err);
		else
			f->slots[i].unwanted =
				RK_SLOT_EMPTY; /* drained or stopped, and now not missed */
	f->is_changing = false;
	rk_crew_layout_progress(f);
	rk_crew_roll_progress(f);
	f->c.on_change(f->c.arg);
	return r;
}

int rk_crew_drain(struct rk_crew *f, uint32_t worker, uint64_t *ret_group, struct rk_err *err)
{
	int r = worker_check(f, worker, err);

	if (r == 0 && !f->slots[worker].is_wanted &&
	    rk_member_state(f->member, worker) == RK_MEMBER_OUT)
		r = rk_err_set(err, -EALREADY, "worker %u of %s is not there", worker,
			       f->c.conf->name);
	if (r == 0)
		r = leave(f, worker, RK_SLOT_DRAINED, err);
	if (r == 0)
		r = change_begin(f, ret_group, err, "worker is drained worker=%u", worker);
	if (r < 0)
		return r;
	rk_crew_layout_progress(f);
	rk_crew_roll_progress(f);
	return 0;
}

/* Whether it runs and owns its share: whoever would bring it back finds it there. */
static bool is_back(const struct rk_crew *f, uint32_t worker)
{
	return f->slots[worker].is_wanted && rk_slot_is_up(&f->slots[worker]) &&
	       rk_member_n_going(f->member) == 0;
}

int rk_crew_undrain(struct rk_crew *f, uint32_t worker, uint64_t *ret_group, struct rk_err *err)
{
	int r = worker_check(f, worker, err);

	if (r == 0 && is_back(f, worker))
		return RK_CREW_ALREADY;
	if (r == 0)
		r = change_begin(f, ret_group, err, "worker comes back worker=%u", worker);
	if (r < 0)
		return r;
	want(f, worker);
	rk_crew_layout_progress(f);
	return 0;
}

int rk_crew_start_worker(struct rk_crew *f, uint32_t worker, uint64_t *ret_group,
			 struct rk_err *err)
{
	int r = worker_check(f, worker, err);

	if (r == 0 && is_back(f, worker))
		return RK_CREW_ALREADY;
	if (r == 0)
		r = change_begin(f, ret_group, err, "worker is started worker=%u", worker);
	if (r < 0)
		return r;
	if (!f->slots[worker].process.pid)
		rk_slot_forgive(&f->slots[worker]);
	want(f, worker);
	rk_crew_layout_progress(f);
	return 0;
}

int rk_crew_stop_worker(struct rk_crew *f, uint32_t worker, uint64_t *ret_group, struct rk_err *err)
{
	int r = worker_check(f, worker, err);

	if (r == 0 && !f->slots[worker].is_wanted && f->slots[worker].unwanted == RK_SLOT_EMPTY &&
	    rk_slot_is_empty(&f->slots[worker]))
		r = rk_err_set(err, -EINVAL, "there is no worker %u in %s: 'rekindle status' shows those that there are", worker,
			       f->c.conf->name);
	if (r == 0)
		r = change_begin(f, ret_group, err, "worker is stopped worker=%u", worker);
	if (r < 0)
		return r;
	if (f->slots[worker].is_wanted)
		f->slots[worker].unwanted = RK_SLOT_STOPPED;
	f->slots[worker].is_wanted = false;
	rk_crew_roll_on(f, RK_ROLLING_EV_UNWANTED, worker);
	rk_slot_journal(&f->slots[worker]);
	rk_crew_end(f, &f->slots[worker], RK_FSM_EV_STOP, "an operator stops it");
	rk_crew_layout_progress(f);
	rk_crew_roll_progress(f);
	return 0;
}

static int hold(struct rk_crew *f, uint32_t worker, bool wanted, struct rk_err *err)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_NOTE);
	int r = worker_check(f, worker, err);

	if (r == 0 && !f->slots[worker].process.pid)
		r = rk_err_set(err, -ESRCH, "worker %u of %s has no process to %s", worker,
			       f->c.conf->name, wanted ? "pause" : "resume");
	if (r < 0)
		return r;
	if (f->slots[worker].is_held == wanted)
		return RK_CREW_ALREADY;
	note.slot = worker;
	note.pid = f->slots[worker].process.pid;
	(void)rk_recorder_note(f->c.recorder, &note, "worker %s by an operator",
			       wanted ? "paused" : "resumed");
	rk_slot_hold(&f->slots[worker], wanted);
	return 0;
}

int rk_crew_pause(struct rk_crew *f, uint32_t worker, struct rk_err *err)
{
	return hold(f, worker, true, err);
}

int rk_crew_resume(struct rk_crew *f, uint32_t worker, struct rk_err *err)
{
	return hold(f, worker, false, err);
}
