/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slot, promoted: a standby becomes the slot's process, and one that does not get on with it ends.
 */
#include "supervisor/slot.h"

#include "base/clock.h"
#include "shm/beat.h"
#include "supervisor/journal.h"
#include "supervisor/proc.h"
#include "supervisor/standby.h"

/*
 * As with a process that is made: the intent first, the record before it runs; keeper has its pidfd
 * already, and calls it by its new tag before it runs, or a successor of ours would end it as a standby
 * that nobody needs. Killed before the order: it reads end of file and ends. Returns what keeper said.
 */
static int hand_over(struct rk_slot *s, struct rk_standby_one *one)
{
	const struct rk_spawned *p = rk_standby_process(one);
	const struct rk_journal_who who = rk_journal_who(p->pid, p->pidfd);
	const struct rk_shm *m = s->host->c->m;
	int r;

	rk_journal_intent(m, s->number, s->incarnation, rk_standby_cgroup(one));
	rk_slot_wish(s);
	rk_journal_live(m, s->number, &who);
	r = rk_standby_retag(one, rk_slot_tag(s)); /* whatever keeper has told by the old one it tells again */
	if (rk_standby_promote(one, s->number, s->incarnation) < 0)
		rk_log(RK_LOG_DEBUG, "standby died before it was promoted slot=%u pid=%d", s->number, p->pid);
	s->started_ns = rk_clock_ns();
	return r;
}

bool rk_slot_promote(struct rk_slot *s)
{
	const struct rk_standby_leaving to = { &s->process, &s->cgroup, &s->stat_fd };
	struct rk_standby_one *one;
	int r;

	if (s->next.kind != RK_RESTART_NOW) /* nobody waits for it any more than for another start */
		return false;
	one = rk_standby_choose(s->host->standby, s->number);
	if (!one)
		return false;
	r = hand_over(s, one);
	rk_standby_leave(one, &to);
	s->n_oom = rk_cgroup_slot_oom_kills(s->host->c->cgroup, &s->cgroup);
	s->is_promoted = true;
	rk_slot_begin(s, r);
	return true;
}

bool rk_slot_take_over_look(struct rk_slot *s)
{
	s->is_promoted = false;
	if (rk_proc_is_running(s->stat_fd))
		return false;
	s->verdict = RK_VERDICT_STOPPED;
	s->judged_for_ns = rk_clock_ns() - s->started_ns;
	return true;
}
