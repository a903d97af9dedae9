/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slot, adopted: what the supervisor writes down of a slot at every step, and how a successor takes
 * it up. The journal's words come first: the process is found by keeper's pidfd, else by its pid and
 * what tells it from another one of that pid; then it is seen whether it lives.
 */
#include "supervisor/slot.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/journal.h"
#include "supervisor/proc.h"

/* ---- writing ---- */

static uint32_t flags_of(const struct rk_slot *s)
{
	const struct {
		bool is_set;
		uint32_t flag;
	} flags[] = {
		{ s->is_acting, RK_JOURNAL_ACTING },     { s->is_wanted, RK_JOURNAL_WANTED },
		{ s->is_held, RK_JOURNAL_HELD },         { s->was_started, RK_JOURNAL_STARTED },
		{ s->is_promoted, RK_JOURNAL_PROMOTED }, { s->judged.is_set, RK_JOURNAL_JUDGED },
		{ s->is_killed, RK_JOURNAL_KILLED },     { s->is_faulted, RK_JOURNAL_FAULTED },
		{ s->wants_core, RK_JOURNAL_CORE },      { s->has_failed, RK_JOURNAL_FAILED },
		{ s->has_untold, RK_JOURNAL_UNTOLD },    { s->awaits_cause, RK_JOURNAL_AWAITED },
		{ s->process.pid != 0, RK_JOURNAL_MANNED }, { s->late.is_set, RK_JOURNAL_LATE },
	};
	uint32_t word = 0;

	for (size_t i = 0; i < rk_countof(flags); i++)
		word |= flags[i].is_set ? flags[i].flag : 0;
	return word;
}

void rk_slot_journal(const struct rk_slot *s)
{
	const struct rk_restart *r = &s->restart;
	const struct rk_journal_note note = {
		.state = s->state,
		.from = s->came_from,
		.event = s->came_by,
		.flags = flags_of(s),
		.unwanted = s->unwanted,
		.verdict = s->verdict,
		.pid = s->process.pid,
		.judged_partition = s->judged.partition,
		.judged_job = s->judged.number,
		.judged_for_ns = s->judged_for_ns,
		.incarnation = s->incarnation,
		.restarts = s->n_restarts,
		.started_ns = s->started_ns,
		.entered_ns = s->entered_ns,
		.noticed_ns = s->noticed_ns,
		.died_ns = s->died_ns,
		.died_pid = s->mourning.last.obituary.pid,
		.roll_stage = s->roll_stage,
		.credit_ns = r->credit_ns,
		.ready_ns = r->ready_ns,
		.next_ns = r->next_ns,
		.waits = r->n_waits,
		.failed = r->n_failed,
		.reason = r->reason,
		.next_kind = s->next.kind,
		.next_reason = s->next.reason,
		.wait_ns = s->next.wait_ns,
		.oom_kills = s->n_oom_kills,
		.oom = s->n_oom,
		.group = s->group,
		.roll_since_ns = s->roll_since_ns,
		.reported_ns = s->reported_ns,
		.moved_ns = s->moved_ns,
		.late_job = s->late.number,
		.late_partition = s->late.partition,
		.late_attempts = s->late_attempts,
	};

	rk_journal_note(s->host->c->m, s->number, &note);
}

/* ---- taking up ---- */

static void flags_take(struct rk_slot *s, uint32_t flags)
{
	s->is_acting = (flags & RK_JOURNAL_ACTING) != 0;
	s->is_wanted = (flags & RK_JOURNAL_WANTED) != 0;
	s->is_held = (flags & RK_JOURNAL_HELD) != 0;
	s->was_started = (flags & RK_JOURNAL_STARTED) != 0;
	s->is_promoted = (flags & RK_JOURNAL_PROMOTED) != 0;
	s->judged.is_set = (flags & RK_JOURNAL_JUDGED) != 0;
	s->is_killed = (flags & RK_JOURNAL_KILLED) != 0;
	s->is_faulted = (flags & RK_JOURNAL_FAULTED) != 0;
	s->wants_core = (flags & RK_JOURNAL_CORE) != 0;
	s->has_failed = (flags & RK_JOURNAL_FAILED) != 0;
	s->has_untold = (flags & RK_JOURNAL_UNTOLD) != 0;
	s->awaits_cause = (flags & RK_JOURNAL_AWAITED) != 0;
	s->late.is_set = (flags & RK_JOURNAL_LATE) != 0;
}

static void note_take(struct rk_slot *s, const struct rk_journal_note *n)
{
	s->state = (enum rk_fsm_state)n->state;
	s->came_from = (enum rk_fsm_state)n->from;
	s->came_by = (enum rk_fsm_event)n->event;
	flags_take(s, n->flags);
	s->unwanted = (enum rk_slot_state)n->unwanted;
	s->verdict = (enum rk_verdict)n->verdict;
	s->judged.partition = n->judged_partition;
	s->judged.number = n->judged_job;
	s->judged_for_ns = n->judged_for_ns;
	s->incarnation = n->incarnation;
	s->n_restarts = n->restarts;
	s->started_ns = n->started_ns;
	s->entered_ns = n->entered_ns;
	s->noticed_ns = n->noticed_ns;
	s->died_ns = n->died_ns;
	s->roll_stage = n->roll_stage;
	s->restart = (struct rk_restart){ .credit_ns = n->credit_ns,
					  .started_ns = n->started_ns,
					  .ready_ns = n->ready_ns,
					  .n_waits = n->waits,
					  .n_failed = n->failed,
					  .next_ns = n->next_ns,
					  .reason = (enum rk_restart_reason)n->reason };
	s->next = (struct rk_restart_step){ .kind = (enum rk_restart_kind)n->next_kind,
					    .reason = (enum rk_restart_reason)n->next_reason,
					    .wait_ns = n->wait_ns };
	s->n_oom_kills = n->oom_kills;
	s->n_oom = n->oom;
	s->group = n->group;
	s->roll_since_ns = n->roll_since_ns;
	s->reported_ns = n->reported_ns;
	s->moved_ns = n->moved_ns;
	s->late.partition = n->late_partition;
	s->late.number = n->late_job;
	s->late_attempts = n->late_attempts;
}

/* What people are shown of the last death; whose cause may still come. */
static void death_take(struct rk_slot *s, const struct rk_journal_note *n, const struct rk_journal_slot *j)
{
	struct rk_death *last = &s->mourning.last;
	bool is_exec = j->exit_code == RK_EXIT_EXEC;

	last->obituary = (struct rk_obituary){ .worker = s->number,
					       .pid = n->died_pid,
					       .noticed_ns = n->died_ns,
					       .is_cause_known = j->exit_code > 0 && !is_exec,
					       .code = is_exec ? -1 : j->exit_code,
					       .status = is_exec ? 0 : j->exit_status,
					       .exec_error = is_exec ? j->exit_status : 0 };
	last->tag = rk_slot_tag(s);
	last->is_open = s->awaits_cause;
}

/* Started under a keeper that is dead: this one is to end it with the rest, if it comes to that. */
static void keeper_give(const struct rk_slot *s, int pidfd, const struct rk_journal_slot *j)
{
	const struct rk_link_msg keep = { .op = RK_LINK_KEEP,
					  .kind = RK_LINK_PROCESS,
					  .pid = j->pid,
					  .tag = rk_link_tag(s->host->c->fleet, s->number, j->incarnation),
					  .value = 1 };

	if (rk_link_send(s->host->c->link, &keep, pidfd) < 0)
		rk_log(RK_LOG_WARNING, "keeper does not hold a worker slot=%u pid=%d", s->number, j->pid);
}

/* A process that is there, or was a moment ago. */
static void process_find(struct rk_slot *s, const struct rk_journal_slot *j, struct rk_inherit *in)
{
	const struct rk_journal_who who = { j->pid, j->pidfd_inode, j->begun };
	struct rk_heirloom *one = rk_inherit_find(in, RK_LINK_PROCESS,
						  rk_link_tag(s->host->c->fleet, s->number, j->incarnation));
	int pidfd = one && one->about.pid == j->pid ? rk_take_fd(&one->fd) : rk_journal_find(&who);

	s->is_foster = one ? one->about.value != 0 : true;
	if (!one && pidfd >= 0)
		keeper_give(s, pidfd, j);
	s->process = (struct rk_spawned){ .pid = j->pid, .pidfd = pidfd < 0 ? -1 : pidfd, .gate = -1 };
}

/* It was started, and its supervisor died before it could say so. */
static void process_begin(struct rk_slot *s, uint64_t incarnation, uint64_t now_ns)
{
	s->incarnation = incarnation;
	s->state = RK_FSM_STARTING;
	s->started_ns = s->entered_ns = now_ns;
	s->noticed_ns = 0;
	s->n_restarts += s->was_started;
	s->was_started = true;
	rk_restart_on_start(&s->restart, now_ns);
	s->n_oom = rk_cgroup_slot_oom_kills(s->host->c->cgroup, &s->cgroup);
	s->n_oom_kills = rk_storm_oom_kills(s->host->storm, now_ns);
}

/*
 * As it stood, until the guard says otherwise: what was taken from a worker that hangs is not given back
 * to it. One that an operator has paused as well is paused for that (rk_slot_go_on()).
 */
static void stand_take(struct rk_slot *s)
{
	if (s->state == RK_FSM_SUSPECT) {
		s->stand = RK_WARD_SUSPECT;
	} else if (s->state == RK_FSM_PAUSED && !s->is_held) {
		s->stand = RK_WARD_PAUSED;
	} else if (s->state == RK_FSM_PAUSED) {
		s->state = RK_FSM_READY;
		s->is_acting = false;
	}
}

/* A fault that was asked for had stopped it, and nobody is left who would end that. */
static void stop_undo(struct rk_slot *s, struct rk_journal_slot *j)
{
	if (!atomic_load_explicit(&j->stopped, memory_order_relaxed))
		return;
	if (s->process.pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, s->process.pidfd, SIGCONT, NULL, 0);
	rk_journal_stopped(s->host->c->m, s->number, false);
}

void rk_slot_adopt(struct rk_slot *s, struct rk_inherit *in)
{
	const struct rk_shm *m = s->host->c->m;
	struct rk_journal_slot *j = &rk_journal_slots(m->journal)[s->number];
	const struct rk_journal_note *n = rk_journal_noted(m, s->number);
	/* Acquire: J1. */
	uint32_t state = atomic_load_explicit(&j->state, memory_order_acquire);
	uint64_t now_ns = rk_clock_ns();

	if (n->incarnation == 0 && n->state == RK_FSM_EMPTY && n->flags == 0)
		return; /* nothing was ever written */
	note_take(s, n);
	death_take(s, n, j);
	if (state == RK_JOURNAL_LIVE) {
		process_find(s, j, in);
		rk_cgroup_slot_adopt(s->host->c->cgroup, &s->cgroup, j->cgroup);
		if (j->incarnation != n->incarnation)
			process_begin(s, j->incarnation, now_ns);
		s->is_ungated = s->state == RK_FSM_STARTING;
		if (s->state == RK_FSM_STARTING)
			s->is_acting = false;
	} else if (n->flags & RK_JOURNAL_MANNED) {
		/* It is dead, and what it left is not laid down to the end. */
		s->process = (struct rk_spawned){ .pid = n->pid, .pidfd = -1, .gate = -1 };
	}
	if (state == RK_JOURNAL_INTENT) {
		/* Its child, if there was one, read end of file at its gate. */
		s->incarnation = j->incarnation;
		rk_journal_down(m, s->number);
	}
	stop_undo(s, j);
	stand_take(s);
	s->clock_used_ns = now_ns - rk_min_u64(now_ns, s->entered_ns);
	s->clocked = RK_FSM_STATES;
}
