/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/slot.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "shm/beat.h"
#include "shm/bell.h"
#include "shm/dead.h"
#include "shm/deliver.h"
#include "shm/evict.h"
#include "supervisor/journal.h"

/* Before the successor takes the beat page: what the dead one left there to be read. */
static struct rk_obituary obituary_of(struct rk_slot *s)
{
	struct rk_beat *beat = rk_shm_beat(s->host->c->m, s->number);
	struct rk_obituary o = { .worker = s->number,
				 .pid = s->process.pid,
				 .noticed_ns = s->noticed_ns,
				 .was_ready = rk_slot_has_worked(s, s->noticed_ns),
				 .verdict = s->verdict,
				 .judged_for_ns = s->judged_for_ns,
				 .code = -1,
				 .is_oom = rk_cgroup_slot_oom_kills(s->host->c->cgroup, &s->cgroup) > s->n_oom,
				 .is_injected = s->is_faulted && s->verdict == RK_VERDICT_FINE,
				 .n_failed = s->restart.n_failed };

	if (atomic_load_explicit(&beat->incarnation, memory_order_acquire) != s->incarnation)
		return o;
	rk_obituary_words(&o, beat->last_words, sizeof(beat->last_words));
	if (rk_slot_is_in_job(s)) {
		o.was_in_job = true;
		o.partition = atomic_load_explicit(&beat->partition, memory_order_relaxed);
		o.in_job = atomic_load_explicit(&beat->job, memory_order_relaxed);
	}
	return o;
}

static void mourn(struct rk_slot *s)
{
	struct rk_obituary o = obituary_of(s);

	s->died_ns = s->noticed_ns;
	rk_mourning_begin(&s->mourning, &o, rk_slot_tag(s), s->group);
}

static struct rk_slot_remains process_leave(struct rk_slot *s)
{
	struct rk_slot_remains r = { .process = s->process,
				     .is_foster = s->is_foster,
				     .tag = rk_slot_tag(s),
				     .stat_fd = s->stat_fd,
				     .exit_source = s->exit_source };

	s->process = RK_NO_PROCESS;
	s->stat_fd = -1;
	s->exit_source = NULL;
	s->has_hinted = false;
	s->stand = RK_WARD_SOUND;
	s->verdict = RK_VERDICT_FINE;
	s->judged = s->late = (struct rk_slot_job){ 0 };
	s->exit_code = s->exit_status = 0;
	s->is_promoted = s->is_foster = s->is_ungated = false;
	s->group = s->reported_ns = s->moved_ns = 0;
	s->is_killed = s->is_faulted = false;
	return r;
}

void rk_slot_bury(struct rk_slot *s, struct rk_slot_remains *r)
{
	static const struct rk_ward_subject nobody = { .pidfd = -1 };
	struct rk_setup_failure f = rk_child_failure(r->process.gate);
	char text[RK_OBITUARY_FAILED];

	if (f.error && f.step == RK_SETUP_EXEC)
		rk_mourning_exec_error(&s->mourning, f.error);
	else if (f.error)
		rk_mourning_failed(&s->mourning, f.error,
				   rk_setup_explain(&s->host->c->spawn->setup, &f, text, sizeof(text)));
	if (f.error)
		rk_journal_cause(s->host->c->m, s->number, RK_EXIT_EXEC, f.error);
	if (!s->process.pid && rk_ward_follow(s->host->c->ward, s->number, &nobody) < 0)
		rk_log(RK_LOG_DEBUG, "a dead worker is still watched slot=%u", s->number);
	(void)sd_event_source_disable_unref(r->exit_source);
	rk_close_p(&r->stat_fd);
	if (r->is_foster)
		rk_foster_ended(&s->host->foster, rk_take_fd(&r->process.pidfd), r->process.pid, r->tag);
	rk_close_p(&r->process.pidfd);
	rk_close_p(&r->process.gate);
}

/* Nobody else will act in the dead worker's name: repairs what it left half done. */
static void repair(struct rk_slot *s)
{
	const struct rk_shm *m = s->host->c->m;

	rk_journal_down(m, s->number);
	rk_deliver_sweep(m, s->number);
	rk_dead_sweep(m, s->number);
	rk_evict_bury(m, s->number);
}

void rk_slot_ring_for(const struct rk_slot *s)
{
	rk_bell_ring_pending(s->host->c->m);
}

void rk_slot_tree_end(struct rk_slot *s)
{
	int group = s->host->remnants ? rk_cgroup_slot_watch(s->host->c->cgroup, &s->cgroup) : -1;

	(void)rk_cgroup_slot_kill(s->host->c->cgroup, &s->cgroup);
	if (s->host->remnants)
		rk_remnants_begin(s->host->remnants, s->number, s->mourning.last.obituary.pid, group);
}

struct rk_slot_remains rk_slot_lay_down(struct rk_slot *s, uint32_t route_flags, bool is_ours)
{
	rk_storm_oom_forget(s->host->storm);
	if (s->process.pid)
		mourn(s);
	if (is_ours)
		rk_mourning_drop(&s->mourning); /* asked for: not worth a line */
	repair(s);
	rk_slot_charge(s);
	if (s->host->kit)
		rk_kit_hang_up(s->host->kit, s->number);
	s->host->on_down(s, s->host->arg);
	rk_slot_take_partitions(s, route_flags);
	rk_beat_reset_lease(rk_shm_beat(s->host->c->m, s->number));
	return process_leave(s);
}
