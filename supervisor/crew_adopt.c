/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crew, adopted: the slots as the journal knows them, the partitions as adopt.h leaves them, and
 * what member.h has to hear of both.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/adopt.h"
#include "supervisor/crew_private.h"
#include "supervisor/journal.h"

static void partitions_note(struct rk_crew *f, const struct rk_adopted *a)
{
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_MOVE);

	if (a->n_given + a->n_unasked + a->n_left + a->n_failed == 0)
		return;
	note.level = a->n_failed ? RK_LOG_ERROR : RK_LOG_INFO;
	note.is_quiet = a->n_failed == 0;
	(void)rk_recorder_note(f->c.recorder, &note,
			       "partitions were half moved: finished=%u called_off=%u left=%u damaged=%u", a->n_given,
			       a->n_unasked, a->n_left, a->n_failed);
}

/* Of one slot. Times are those of then: a grace that has begun goes on. */
static void member_tell(struct rk_crew *f, const struct rk_slot *s)
{
	uint64_t now_ns = rk_clock_ns();

	if (s->process.pid)
		rk_member_on(f->member, RK_MEMBER_EV_START, s->number, now_ns);
	if (s->process.pid && s->state != RK_FSM_STARTING)
		rk_member_on(f->member, RK_MEMBER_EV_READY, s->number,
			     s->restart.ready_ns ? s->restart.ready_ns : now_ns);
	else if (!rk_slot_is_empty(s))
		rk_member_on(f->member, RK_MEMBER_EV_DOWN, s->number, s->died_ns ? s->died_ns : now_ns);
	if (rk_crew_is_unfit(s->state))
		rk_member_on(f->member, RK_MEMBER_EV_UNFIT, s->number, now_ns);
	if (s->moved_ns && f->c.m->g.n_banks > 1 && (s->state == RK_FSM_SUSPECT || s->state == RK_FSM_PAUSED || s->is_held))
		rk_member_on(f->member, RK_MEMBER_EV_STUCK, s->number, now_ns);
}

static int layout_adopt(struct rk_crew *f, uint16_t *owners, bool *lives)
{
	struct rk_adopted adopted;
	int r;

	for (uint32_t i = 0; i < f->n_slots; i++)
		lives[i] = f->slots[i].process.pidfd >= 0;
	rk_adopt_partitions(f->c.m, lives, owners, &adopted);
	partitions_note(f, &adopted);
	r = rk_crew_layout_open(f, owners);
	for (uint32_t i = 0; r == 0 && i < f->n_slots; i++)
		member_tell(f, &f->slots[i]);
	return r;
}

/* Whatever lives in another group was a dead worker's, or a standby that nobody can order about. */
static void cgroups_sweep(const struct rk_crew *f, uint64_t *used)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].cgroup.n)
			used[n++] = f->slots[i].cgroup.n;
	rk_cgroup_sweep(f->c.cgroup, used, n);
}

void rk_crew_finish_wishes(struct rk_crew *f, uint32_t first, uint32_t end)
{
	if (!f->is_halted && !rk_crew_runs(f))
		return; /* it is not its turn yet */
	for (uint32_t i = 0; i < f->n_slots; i++) {
		struct rk_slot *s = &f->slots[i];

		if (s->state == RK_FSM_EMPTY) {
			if (s->is_wanted && !f->is_halted && (i < first || i >= end))
				rk_slot_start(s);
		} else if (f->is_halted) {
			rk_slot_event(s, RK_FSM_EV_STOP);
		} else if (!s->is_wanted) {
			rk_slot_event(s, s->unwanted == RK_SLOT_STOPPED ? RK_FSM_EV_STOP : RK_FSM_EV_DRAIN);
		}
	}
}

int rk_crew_adopt(struct rk_crew *f)
{
	rk_cleanup(rk_free_p) uint64_t *used = calloc(f->n_slots, sizeof(*used));
	rk_cleanup(rk_free_p) uint16_t *owners = calloc(f->c.m->g.n_partitions, sizeof(*owners));
	rk_cleanup(rk_free_p) bool *lives = calloc(f->n_slots, sizeof(*lives));

	if (!used || !owners || !lives)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->n_slots; i++)
		rk_slot_adopt(&f->slots[i], f->c.inherit);
	cgroups_sweep(f, used);
	f->any_was_ready = rk_journal_is_marked(f->c.m, RK_JOURNAL_PROVEN);
	f->was_ready = rk_journal_is_marked(f->c.m, RK_JOURNAL_READY);
	f->is_halted = rk_journal_is_marked(f->c.m, RK_JOURNAL_HALTED);
	return layout_adopt(f, owners, lives);
}
