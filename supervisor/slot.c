/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/slot.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "shm/beat.h"
#include "shm/bell.h"
#include "shm/part.h"
#include "supervisor/journal.h"
#include "supervisor/proc.h"

#define ASSIGN_TRIES 100 /* it fails only while somebody scribbles over the commit word */
#define PIDFD_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 20)
#define BUSY_NS RK_NS_PER_S          /* a successor's first job that takes longer is worth a line */
#define ATTACH_NS (5 * RK_NS_PER_S)  /* a worker made with librekindle attaches in a millisecond */
#define PATIENCE 2u                   /* StartTimeouts until a start that was starved or paused is over */
#define KILL_AGAIN_NS RK_NS_PER_S     /* of a process that SIGKILL did not end yet: state D */
#define CLOCK_ACCURACY_US 1000u
#define CAUSE_NS RK_NS_PER_S /* keeper tells within a millisecond, if it has been told of the process */
#define TAKE_OVER_NS (50 * RK_NS_PER_MS) /* a promoted standby without the lease: it may be stopped */
#define PROOF_NS (1 * RK_NS_PER_S)   /* a program that does not work ends earlier than this */
#define AT_WORK_NS (100 * RK_NS_PER_MS) /* who dies later than this in its first job did start well */

static struct rk_beat *beat_of(const struct rk_slot *s)
{
	return rk_shm_beat(s->host->c->m, s->number);
}

struct rk_note rk_slot_note(const struct rk_slot *s, enum rk_flight_kind kind, enum rk_log_level level)
{
	return (struct rk_note){ .kind = kind,
				 .level = level,
				 .fleet = s->host->c->conf->name,
				 .slot = s->number,
				 .pid = s->process.pid,
				 .incarnation = s->incarnation,
				 .group = s->group };
}

uint64_t rk_slot_tag(const struct rk_slot *s)
{
	return rk_link_tag(s->host->c->fleet, s->number, s->incarnation);
}

/* ---- partitions ---- */

/* The owner stands; only whether its process is alive has changed. */
static void partitions_route(struct rk_slot *s, uint32_t route_flags)
{
	const struct rk_shm *m = s->host->c->m;

	for (uint32_t p = 0; p < m->g.n_partitions; p++)
		if (s->host->table[p] == s->number)
			rk_part_route(m, p, s->number, route_flags);
}

void rk_slot_take_partitions(struct rk_slot *s, uint32_t route_flags)
{
	const struct rk_shm *m = s->host->c->m;

	for (uint32_t p = 0; p < m->g.n_partitions; p++) {
		int r = -EBUSY;

		if (s->host->table[p] != s->number)
			continue;
		for (int i = 0; r == -EBUSY && i < ASSIGN_TRIES; i++)
			r = rk_part_assign(m, p, s->number);
		if (r < 0)
			rk_log(RK_LOG_ERROR, "partition could not be assigned partition=%u slot=%u",
			       p, s->number);
		rk_part_route(m, p, s->number, route_flags);
	}
}

/* ---- what the process says of itself ---- */

/* Whether the beat page is the present process's, and it got beyond its start. */
static bool is_attached(const struct rk_slot *s)
{
	struct rk_beat *beat = beat_of(s);

	/* Acquire: the words below belong to this incarnation. */
	return s->process.pid != 0 &&
	       atomic_load_explicit(&beat->incarnation, memory_order_acquire) == s->incarnation &&
	       atomic_load_explicit(&beat->state, memory_order_relaxed) != RK_BEAT_STARTING;
}

bool rk_slot_is_in_job(const struct rk_slot *s)
{
	uint32_t state = atomic_load_explicit(&beat_of(s)->state, memory_order_relaxed);

	return is_attached(s) && (state == RK_BEAT_RUNNING || state == RK_BEAT_CALLING);
}

/* A program of lines counts as ready when it is there for a while. An answer shows more, or a longer while. */
static bool program_has_worked(const struct rk_slot *s, uint64_t now_ns)
{
	return is_attached(s) && (atomic_load_explicit(&beat_of(s)->first_commit_ns, memory_order_relaxed) ||
				  now_ns - s->started_ns > PROOF_NS);
}

/*
 * Whether the process is good for anything: it committed a job, or found none, or it is in a
 * first one that takes long. Only such a one is replaced at once whenever it dies; attaching is
 * no proof, or a job that crashes every worker would make them crash without a pause.
 */
bool rk_slot_has_worked(const struct rk_slot *s, uint64_t now_ns)
{
	if (s->host->c->conf->o.kind == RK_KIND_LINES)
		return program_has_worked(s, now_ns);
	return (is_attached(s) && atomic_load_explicit(&beat_of(s)->ready_ns, memory_order_relaxed)) ||
	       (rk_slot_is_in_job(s) && now_ns - s->started_ns > AT_WORK_NS);
}

/* From the notice of the death. The stamp is the worker's word: believed only if it can be. */
static uint64_t took_since(const struct rk_slot *s, uint64_t stamp_ns)
{
	uint64_t now = rk_clock_ns(), noticed_ns = s->mourning.last.obituary.noticed_ns;

	if (stamp_ns < noticed_ns || stamp_ns > now)
		stamp_ns = now;
	return stamp_ns - noticed_ns;
}

/* What the process has made of its predecessor's death, once it has said so. */
static void outcome_look(struct rk_slot *s, uint64_t now_ns)
{
	struct rk_beat *beat = beat_of(s);
	uint64_t ready_ns, commit_ns, job;

	if (!rk_mourning_is_open(&s->mourning) || !s->process.pid)
		return;
	/* Acquire: with it stand the words below. */
	ready_ns = atomic_load_explicit(&beat->ready_ns, memory_order_acquire);
	commit_ns = atomic_load_explicit(&beat->first_commit_ns, memory_order_relaxed);
	job = atomic_load_explicit(&beat->first_commit_job, memory_order_relaxed);
	if (is_attached(s) && ready_ns)
		rk_mourning_outcome(&s->mourning, commit_ns ? RK_OBITUARY_COMMITTED : RK_OBITUARY_READY,
				    s->process.pid, job, took_since(s, commit_ns ? commit_ns : ready_ns));
	else if (now_ns - s->mourning.last.obituary.noticed_ns > BUSY_NS)
		rk_mourning_outcome(&s->mourning, RK_OBITUARY_BUSY, s->process.pid, 0, took_since(s, now_ns));
}

void rk_slot_look(struct rk_slot *s, uint64_t now_ns)
{
	struct rk_note note = rk_slot_note(s, RK_FLIGHT_NOTE, RK_LOG_WARNING);

	if (s->state == RK_FSM_STARTING && is_attached(s))
		rk_slot_event(s, RK_FSM_EV_READY);
	outcome_look(s, now_ns);
	if (s->state != RK_FSM_STARTING || !s->process.pid || s->has_hinted || now_ns - s->started_ns < ATTACH_NS)
		return;
	s->has_hinted = true;
	note.message = RK_MESSAGE_WORKER_NOT_ATTACHED;
	(void)rk_recorder_note(s->host->c->recorder, &note,
			       rk_kind_is_wrapped(s->host->c->conf->o.kind)
				       ? "'%s' is not ready 5 s after its start: no probe has succeeded yet, nor has it said READY=1"
				       : "worker has not attached for 5 s: is '%s' a worker made with librekindle? If not, it needs "
					 "another Kind=",
			       s->host->c->conf->o.exec.at[0]);
}

bool rk_slot_is_expectant(const struct rk_slot *s)
{
	return (s->state == RK_FSM_STARTING && s->process.pid && !s->has_hinted) ||
	       (s->process.pid && rk_mourning_is_open(&s->mourning));
}

/* ---- a death ---- */

static enum rk_fsm_event recover_event(enum rk_restart_kind kind)
{
	switch (kind) {
	case RK_RESTART_NOW:
		return RK_FSM_EV_START;
	case RK_RESTART_LATER:
		return RK_FSM_EV_DELAY;
	case RK_RESTART_SLOW:
		return RK_FSM_EV_QUARANTINE;
	case RK_RESTART_NEVER:
		break;
	}
	return RK_FSM_EV_GIVE_UP;
}

/* When the next process is due, the brake's part included. */
static void decide(struct rk_slot *s, const struct rk_restart_death *death, uint64_t now_ns)
{
	s->next = rk_restart_on_death(&s->restart, &s->host->restart, death, now_ns, rk_rand_u64(&s->host->random));
	if (death->is_ours || s->next.kind == RK_RESTART_NEVER)
		return;
	rk_restart_stretch(&s->restart, &s->next, rk_storm_on_restart(s->host->storm, now_ns), now_ns);
}

/* What follows on DOWN. */
static enum rk_fsm_event follow_up(struct rk_slot *s)
{
	if (s->next.reason != RK_RESTART_PLANNED && s->next.kind != RK_RESTART_NEVER &&
	    s->host->takes_over(s, s->host->arg))
		return RK_FSM_EV_STOP;
	return recover_event(s->next.kind);
}

/* Keeper's word is there, or it will not come. */
static void recover_with_cause(struct rk_slot *s)
{
	const struct rk_obituary *o = &s->mourning.last.obituary;
	struct rk_restart_death death = { .code = o->is_cause_known ? o->code : -1, .status = o->status };
	enum rk_fsm_event event;

	if (!s->awaits_cause)
		return;
	decide(s, &death, rk_clock_ns());
	event = follow_up(s);
	if (event == RK_FSM_EV_START)
		partitions_route(s, RK_ROUTE_UP);
	rk_slot_event(s, event);
}

/* How it ended decides whether it gets another process at all: keeper tells, or the clock of DOWN. */
static void recover_later(struct rk_slot *s)
{
	struct rk_slot_remains r = rk_slot_lay_down(s, 0, false);

	rk_slot_ring_for(s);
	rk_slot_tree_end(s);
	rk_slot_bury(s, &r);
	s->awaits_cause = true;
}

/* Its supervisor died before it let it go: it has not failed. */
static bool is_unbegun(const struct rk_slot *s)
{
	return s->is_ungated && s->exit_code == CLD_EXITED && s->exit_status == RK_CHILD_UNBEGUN;
}

static void recover(struct rk_slot *s)
{
	const struct rk_restart_death death = { .code = -1, .is_ours = s->came_from == RK_FSM_RECYCLING || is_unbegun(s) };
	uint64_t now_ns = rk_clock_ns();
	enum rk_fsm_event event;
	struct rk_slot_remains r;

	if (rk_slot_has_worked(s, now_ns))
		rk_restart_on_ready(&s->restart, now_ns);
	if (!death.is_ours && rk_restart_needs_cause(&s->host->restart)) {
		recover_later(s);
		return;
	}
	decide(s, &death, now_ns);
	event = follow_up(s);
	r = rk_slot_lay_down(s, event == RK_FSM_EV_START ? RK_ROUTE_UP : 0, death.is_ours);
	/* The wait must know why the command could not be executed: bury first when there is one. */
	if (event != RK_FSM_EV_START) {
		rk_slot_tree_end(s); /* else prepare() does: a standby need not wait for it */
		rk_slot_bury(s, &r);
	}
	rk_slot_event(s, event);
	rk_slot_ring_for(s);
	if (event == RK_FSM_EV_START)
		rk_slot_bury(s, &r);
}

static void settle(struct rk_slot *s)
{
	static const struct rk_restart_death death = { .code = -1, .is_ours = true };
	uint64_t now_ns = rk_clock_ns();
	struct rk_slot_remains r;

	if (rk_slot_has_worked(s, now_ns))
		rk_restart_on_ready(&s->restart, now_ns);
	decide(s, &death, now_ns);
	rk_mourning_outcome(&s->mourning, RK_OBITUARY_STOPPED, 0, 0, 0); /* its predecessor's */
	r = rk_slot_lay_down(s, 0, true);
	rk_slot_ring_for(s);
	rk_slot_tree_end(s);
	rk_slot_bury(s, &r);
	rk_cgroup_slot_close(s->host->c->cgroup, &s->cgroup);
	if (s->host->kit && !s->is_wanted && s->unwanted == RK_SLOT_EMPTY)
		rk_kit_release(s->host->kit, s->number); /* it was scaled away: whoever connects is to hear of it */
}

static void fence(struct rk_slot *s)
{
	uint32_t holder = rk_watch_holder(s->host->c->watch, s->number);
	/* Before the signal: what it ended of is its own. No thread comes after the last one's end. */
	int n = rk_slot_charge_see(s);

	(void)rk_child_signal(&s->process, SIGKILL); /* a lease dies on exec too */
	if (rk_slot_stat(s) < 0 || holder != (uint32_t)s->process.pid)
		return; /* its job thread was not the first: that one may live on */
	if (n >= 0 && n <= 1)
		rk_slot_event(s, RK_FSM_EV_EXITED);
}

/* ---- OnFailure ---- */

/* Runs it as soon as the cause is known, which may come behind the decision. */
static void failure_tell(struct rk_slot *s)
{
	const struct rk_obituary *o = &s->mourning.last.obituary;
	struct rk_err err = { 0 };
	char cause[160];

	if (!s->has_untold || (!o->is_cause_known && !o->exec_error))
		return;
	s->has_untold = false;
	if (o->is_cause_known && o->code == CLD_EXITED && o->status == 0 && s->state == RK_FSM_ENDED)
		return; /* nobody wanted another one: no failure */
	rk_obituary_cause(o, cause, sizeof(cause));
	(void)rk_hook_run(&s->hooks[RK_HOOK_FAILURE], cause, &err); /* notes its own failure */
}

/* The slot waits, or stays down: whether that is to be told, once in a row of failures. */
static void failure_check(struct rk_slot *s)
{
	const struct rk_restart_step *next = &s->next;
	bool is_end = next->kind == RK_RESTART_NEVER;

	if (s->restart.n_waits <= 1 || is_end)
		s->has_failed = false;
	if (s->has_failed || (is_end ? next->reason == RK_RESTART_FINISHED :
				       next->kind != RK_RESTART_SLOW && next->reason != RK_RESTART_BACKOFF))
		return;
	s->has_failed = s->has_untold = true;
	failure_tell(s);
}

void rk_slot_on_exited(struct rk_slot *s, const struct rk_link_msg *msg)
{
	if (s->process.pid == msg->pid && rk_slot_tag(s) == msg->tag) {
		s->exit_code = msg->code;
		s->exit_status = msg->status;
		rk_slot_event(s, RK_FSM_EV_EXITED); /* keeper was faster than the pidfd */
	}
	rk_slot_charge_cause(s, msg);
	if (!rk_mourning_cause(&s->mourning, msg->tag, msg->code, msg->status))
		return;
	if (s->mourning.last.tag == msg->tag) {
		if (!s->mourning.last.obituary.exec_error)
			rk_journal_cause(s->host->c->m, s->number, msg->code, msg->status);
		recover_with_cause(s);
	}
	failure_tell(s);
}

void rk_slot_on_hook_exited(struct rk_slot *s, const struct rk_link_msg *msg)
{
	for (uint32_t i = 0; i < RK_HOOKS; i++)
		if (rk_hook_on_exited(&s->hooks[i], msg))
			return;
}

void rk_slot_hook_adopt(struct rk_slot *s, const struct rk_link_msg *about, int *pidfd)
{
	enum rk_hook_kind kind = rk_hook_kind_of(about);
	char cause[160];

	if (kind == RK_HOOKS || (kind == RK_HOOK_PRE && (s->state != RK_FSM_STARTING || s->process.pid)))
		return; /* nobody waits for it any more */
	rk_obituary_cause(&s->mourning.last.obituary, cause, sizeof(cause));
	rk_hook_adopt(&s->hooks[kind], about, pidfd, cause);
}

/* ---- a birth ---- */

static int on_pidfd(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct rk_slot *s = arg;

	(void)source;
	(void)fd;
	(void)events;
	rk_slot_event(s, RK_FSM_EV_EXITED);
	return 0;
}

/* Behind the go byte: nobody waits for these. */
static void process_attend(struct rk_slot *s)
{
	const struct rk_ward_subject who = { s->process.pid, s->process.pidfd, s->incarnation, s->stand };
	int r = sd_event_add_io(s->host->c->event, &s->exit_source, s->process.pidfd, EPOLLIN, on_pidfd, s);

	if (r < 0)
		rk_log(RK_LOG_ERROR, "cannot watch a worker's pidfd slot=%u pid=%d: %s", s->number,
		       s->process.pid, strerror(-r));
	else
		(void)sd_event_source_set_priority(s->exit_source, PIDFD_PRIORITY);
	r = rk_ward_follow(s->host->c->ward, s->number, &who);
	if (r < 0)
		rk_log(RK_LOG_ERROR, "nobody sees whether a worker hangs slot=%u pid=%d: %s", s->number,
		       s->process.pid, strerror(-r));
}

/* The obituary of a start that led to no process; pid: of what failed instead, or 0. */
static void start_mourn(struct rk_slot *s, int32_t pid, const struct rk_err *err)
{
	const struct rk_obituary o = { .worker = s->number,
				       .pid = pid,
				       .noticed_ns = rk_clock_ns(),
				       .code = -1,
				       .n_failed = s->restart.n_failed };

	s->died_ns = o.noticed_ns;
	rk_mourning_begin(&s->mourning, &o, rk_slot_tag(s), 0);
	rk_mourning_failed(&s->mourning, -err->code, err->text);
	rk_journal_cause(s->host->c->m, s->number, RK_EXIT_EXEC, -err->code);
}

static void start_failed(struct rk_slot *s, int32_t pid, const struct rk_err *err)
{
	struct rk_note note = rk_slot_note(s, RK_FLIGHT_SPAWN, RK_LOG_ERROR);

	s->process = RK_NO_PROCESS;
	rk_journal_down(s->host->c->m, s->number);
	partitions_route(s, 0);
	s->next = rk_restart_on_unmade(&s->restart, &s->host->restart, rk_clock_ns(), rk_rand_u64(&s->host->random));
	note.is_quiet = !s->next.is_news;
	note.message = RK_MESSAGE_WORKER_NOT_STARTED;
	(void)rk_recorder_note(s->host->c->recorder, &note, "worker not started, trying again error=\"%s\"",
			       err->text);
	start_mourn(s, pid, err);
	rk_slot_event(s, RK_FSM_EV_FAILED);
}

void rk_slot_wish(struct rk_slot *s)
{
	s->noticed_ns = 0;
	rk_beat_ask_stop(beat_of(s), false);
	(void)rk_beat_ask_pause(beat_of(s), s->is_held);
}

void rk_slot_begin(struct rk_slot *s, int kept)
{
	const struct rk_mourning *m = &s->mourning;
	struct rk_note note;

	s->start_beats = 0;
	s->n_restarts += s->was_started;
	s->was_started = true;
	rk_restart_on_start(&s->restart, s->started_ns);
	if (kept < 0)
		rk_log(RK_LOG_WARNING, "keeper takes no descriptors pid=%d: %s", s->process.pid, strerror(-kept));
	if (s->stat_fd < 0)
		s->stat_fd = rk_proc_open(s->process.pid);
	process_attend(s);
	s->n_oom_kills = rk_storm_oom_kills(s->host->storm, s->started_ns);
	note = rk_slot_note(s, RK_FLIGHT_SPAWN, RK_LOG_DEBUG);
	rk_recorder_note_later(s->host->c->recorder, &note, "worker started%s after_notice_us=%llu",
			       s->is_promoted ? " from a standby" : "",
			       (unsigned long long)(rk_mourning_is_open(m) ?
							    s->started_ns - m->last.obituary.noticed_ns :
							    0) /
				       RK_NS_PER_US);
}

/* With what is held for the slot, if anything is. */
static int process_hold(struct rk_slot *s, struct rk_err *err)
{
	struct rk_spawn_slot of = { .number = s->number, .incarnation = s->incarnation, .cgroup = s->cgroup.dir };
	struct rk_kit_given given;
	int r = s->host->kit ? rk_kit_give(s->host->kit, s->number, &given, err) : 0;

	if (r < 0)
		return r;
	if (s->host->kit)
		of.more = &given.more;
	r = rk_spawn_hold(s->host->c->spawn, &of, &s->process, err);
	if (s->host->kit)
		rk_kit_given(s->host->kit);
	return r;
}

static void spawn(struct rk_slot *s)
{
	const struct rk_crew_conf *c = s->host->c;
	struct rk_link_msg msg = { .op = RK_LINK_KEEP, .kind = RK_LINK_PROCESS };
	struct rk_journal_who who;
	struct rk_err err = { 0 };
	int r;

	(void)rk_cgroup_slot_open(c->cgroup, &s->cgroup);
	s->n_oom = rk_cgroup_slot_oom_kills(s->host->c->cgroup, &s->cgroup);
	rk_journal_intent(c->m, s->number, s->incarnation, s->cgroup.n);
	rk_slot_wish(s);
	r = process_hold(s, &err);
	if (r < 0) {
		start_failed(s, 0, &err);
		return;
	}
	msg.pid = s->process.pid;
	msg.tag = rk_slot_tag(s);
	r = rk_link_send(c->link, &msg, s->process.pidfd); /* before the record: DESIGN §8 */
	who = rk_journal_who(s->process.pid, s->process.pidfd);
	rk_journal_live(c->m, s->number, &who);
	if (rk_child_go(&s->process) < 0)
		rk_log(RK_LOG_DEBUG, "worker died at its gate slot=%u pid=%d", s->number, s->process.pid);
	s->started_ns = rk_clock_ns();
	rk_slot_begin(s, r);
}

/* A new process behind ExecStartPre. */
static void launch(struct rk_slot *s)
{
	struct rk_hook *pre = &s->hooks[RK_HOOK_PRE];
	struct rk_err err = { 0 };
	int r;

	r = rk_hook_run(pre, NULL, &err);
	if (r == RK_HOOK_THROUGH)
		spawn(s);
	else if (r < 0)
		start_failed(s, pre->last_pid, &err);
}

/* A process: a standby's, or a new one; of a foreign program once nothing is left of the last one. */
static void prepare(struct rk_slot *s)
{
	bool is_first = s->incarnation++ == 0;

	if (!s->host->remnants && rk_slot_promote(s))
		return;
	s->is_emptying = s->host->remnants && !is_first;
	if (s->is_emptying || !s->host->remnants) /* the first one has nobody before it, and would be found itself */
		rk_slot_tree_end(s);
	if (!s->is_emptying)
		launch(s);
}

static void on_prepared(struct rk_hook *pre, const struct rk_err *err, void *arg)
{
	if (err)
		start_failed(arg, pre->last_pid, err);
	else
		spawn(arg);
}

/* There is no process, only what is left of the last one, or its ExecStartPre. Returns whether the event ends here. */
static bool prepare_event(struct rk_slot *s, enum rk_fsm_event event)
{
	struct rk_hook *pre = &s->hooks[RK_HOOK_PRE];

	if (!rk_hook_is_running(pre) && !s->is_emptying)
		return false;
	if (event == RK_FSM_EV_STOP || event == RK_FSM_EV_DRAIN) {
		s->is_emptying = false;
		rk_hook_cancel(pre); /* ask_to_end() finds nobody */
	} else if (event == RK_FSM_EV_TIMER && !s->is_emptying) {
		rk_hook_expire(pre);
	}
	return event == RK_FSM_EV_TIMER || event == RK_FSM_EV_RECYCLE || event == RK_FSM_EV_VERDICT;
}

static void announce(struct rk_slot *s)
{
	struct rk_err err = { 0 };

	if (rk_watch_follow(s->host->c->watch, s->number, s->incarnation) < 0)
		rk_log(RK_LOG_WARNING, "lease not watched, its pidfd has to do slot=%u", s->number);
	rk_close_p(&s->process.gate);
	(void)rk_hook_run(&s->hooks[RK_HOOK_POST], NULL, &err); /* notes its own failure */
	if (s->is_held)
		rk_slot_event(s, RK_FSM_EV_PAUSE);
}

/* ---- timers ---- */

/* 0: at once; INFINITE: never. */
static uint64_t clock_ns(const struct rk_slot *s)
{
	const struct rk_fleet_options *o = &s->host->c->conf->o;

	if (s->awaits_cause)
		return CAUSE_NS;
	if (s->is_promoted && s->state == RK_FSM_STARTING)
		return TAKE_OVER_NS;
	switch (rk_fsm_clock(s->state)) {
	case RK_FSM_CLOCK_START: /* the guard is more patient with who starves; this bounds its patience */
		return o->start_timeout_ns > RK_INFINITE / PATIENCE ? RK_INFINITE : PATIENCE * o->start_timeout_ns;
	case RK_FSM_CLOCK_DRAIN:
	case RK_FSM_CLOCK_STOP:
		return o->stop_timeout_ns;
	case RK_FSM_CLOCK_CORE:
		return o->core_timeout_ns;
	case RK_FSM_CLOCK_KILL:
		return KILL_AGAIN_NS;
	case RK_FSM_CLOCK_BACKOFF:
		return s->next.wait_ns;
	case RK_FSM_UNBOUNDED:
	case RK_FSM_CLOCKS:
		break;
	}
	return RK_INFINITE;
}

static void clock_follow(struct rk_slot *s);

/* A start that says that it gets on (rk_worker_beat()) has its time anew, here as with the guard. */
static bool start_gets_on(struct rk_slot *s)
{
	uint64_t beats = atomic_load_explicit(&beat_of(s)->beats, memory_order_relaxed), was = s->start_beats;

	if (atomic_load_explicit(&beat_of(s)->incarnation, memory_order_acquire) != s->incarnation)
		return false;
	s->start_beats = beats;
	return beats != was;
}

static int on_clock(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_slot *s = arg;

	(void)source;
	(void)usec;
	if (rk_fsm_clock(s->state) == RK_FSM_CLOCK_BACKOFF)
		partitions_route(s, RK_ROUTE_UP);
	s->clocked = RK_FSM_STATES; /* its state may last as long again */
	s->clock_used_ns = 0;
	if (s->awaits_cause)
		recover_with_cause(s); /* keeper's word will not come */
	else if (s->is_promoted && s->state == RK_FSM_STARTING && !rk_slot_take_over_look(s))
		clock_follow(s); /* it gets no CPU, or it has much to do: StartTimeout */
	else if (rk_fsm_clock(s->state) == RK_FSM_CLOCK_START && start_gets_on(s))
		clock_follow(s);
	else
		rk_slot_event(s, RK_FSM_EV_TIMER);
	return 0;
}

static void clock_arm(struct rk_slot *s, uint64_t wait_ns)
{
	uint64_t wait_us = wait_ns / RK_NS_PER_US;
	int r = s->timer ? sd_event_source_set_time_relative(s->timer, wait_us) :
			   sd_event_add_time_relative(s->host->c->event, &s->timer, CLOCK_MONOTONIC, wait_us,
						      CLOCK_ACCURACY_US, on_clock, s);

	if (r >= 0)
		r = sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
	if (r < 0)
		rk_log(RK_LOG_ERROR, "no timer, the slot stays as it is slot=%u state=%s: %s", s->number,
		       rk_fsm_state_name(s->state), strerror(-r));
}

/* Whatever state the last event led to: its time begins, if it has just been entered. */
static void clock_follow(struct rk_slot *s)
{
	uint64_t wait_ns;

	if (s->clocked == s->state)
		return;
	s->clocked = s->state;
	wait_ns = clock_ns(s);
	if (wait_ns != RK_INFINITE)
		clock_arm(s, wait_ns - rk_min_u64(wait_ns, s->clock_used_ns));
	else if (s->timer)
		(void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
}

void rk_slot_on_empty(struct rk_slot *s)
{
	if (!s->is_emptying)
		return; /* nobody waits to start here */
	s->is_emptying = false;
	s->clocked = RK_FSM_STATES; /* its time to start begins now */
	rk_recorder_hold(s->host->c->recorder);
	launch(s);
	clock_follow(s);
	rk_slot_journal(s);
	rk_recorder_release(s->host->c->recorder);
}

/* The backoff begins. */
static void wait_tell(struct rk_slot *s)
{
	struct rk_obituary *o = &s->mourning.last.obituary;

	if (s->next.is_braked)
		o->n_braked = rk_brake_n_restarts(&s->host->storm->brake, rk_clock_ns());
	if (s->next.reason == RK_RESTART_BRAKE)
		o->n_failed = 0; /* for the brake alone */
	rk_mourning_outcome(&s->mourning, RK_OBITUARY_WAITING, 0, 0, s->next.wait_ns);
	if (!s->next.is_news)
		rk_mourning_drop(&s->mourning); /* the longest wait: said before */
	failure_check(s);
}

/* ---- the table ---- */

/*
 * Asked through its beat page, so that no signal disturbs the job it is in; a process that has
 * not attached knows nothing of pages, and gets KillSignal.
 */
static void ask_to_end(struct rk_slot *s)
{
	if (!s->process.pid) { /* stopped before ExecStartPre was through */
		rk_slot_event(s, RK_FSM_EV_EXITED);
		return;
	}
	rk_beat_ask_stop(beat_of(s), true);
	rk_bell_ring_stop(s->host->c->m, s->number);
	if (!is_attached(s))
		(void)rk_child_signal(&s->process, (int)s->host->c->conf->o.kill_signal);
}

static void give_up(struct rk_slot *s)
{
	struct rk_note note = rk_slot_note(s, RK_FLIGHT_QUARANTINE, RK_LOG_ERROR);

	note.message = RK_MESSAGE_WORKER_STAYS_DOWN;
	(void)rk_recorder_note(s->host->c->recorder, &note, "worker stays down reason=\"%s\"",
			       rk_restart_reason_text(s->next.reason));
	rk_mourning_outcome(&s->mourning, RK_OBITUARY_ENDED, 0, 0, 0);
	failure_check(s);
}

static void act(struct rk_slot *s, enum rk_fsm_action action)
{
	switch (action) {
	case RK_FSM_SPAWN:
		prepare(s);
		return;
	case RK_FSM_ANNOUNCE:
		announce(s);
		return;
	case RK_FSM_FENCE:
		fence(s);
		return;
	case RK_FSM_RECOVER:
		recover(s);
		return;
	case RK_FSM_SETTLE:
		settle(s);
		return;
	case RK_FSM_TERM:
		ask_to_end(s);
		return;
	case RK_FSM_KILL:
		rk_slot_kill(s);
		return;
	case RK_FSM_ARM:
		wait_tell(s);
		return;
	case RK_FSM_HOLD:
		partitions_route(s, 0);
		return;
	case RK_FSM_RESUME:
		partitions_route(s, RK_ROUTE_UP);
		return;
	case RK_FSM_ABORT:
		rk_slot_abort(s);
		return;
	case RK_FSM_GIVE_UP:
		give_up(s);
		return;
	case RK_FSM_DISARM: /* clock_follow() does */
	case RK_FSM_DRAIN:  /* the crew hands its partitions over, and it serves them until then */
	case RK_FSM_NOTHING:
	case RK_FSM_ACTIONS:
		return;
	}
}

/* Before it is acted upon: an action may lead to the next event, and the order shall be true. */
static void note_step(const struct rk_slot *s, enum rk_fsm_event event, struct rk_fsm_step step)
{
	struct rk_note note = rk_slot_note(s, RK_FLIGHT_TRANSITION, RK_LOG_DEBUG);

	if (step.next == s->state && step.action == RK_FSM_NOTHING)
		return;
	rk_recorder_note_later(s->host->c->recorder, &note, "slot changed event=%s from=%s to=%s action=%s n=%llu",
			       rk_fsm_event_name(event), rk_fsm_state_name(s->state), rk_fsm_state_name(step.next),
			       rk_fsm_action_name(step.action),
			       (unsigned long long)s->host->n_steps[s->state][event]);
}

void rk_slot_event(struct rk_slot *s, enum rk_fsm_event event)
{
	struct rk_fsm_step step = rk_fsm_step(s->state, event);

	if (prepare_event(s, event))
		return;
	if (event == RK_FSM_EV_RESUME && s->is_held)
		return; /* that it runs again is not for the detector to say */
	if (s->noticed_ns == 0 && (event == RK_FSM_EV_LEASE || event == RK_FSM_EV_EXITED))
		s->noticed_ns = rk_clock_ns();
	rk_recorder_hold(s->host->c->recorder); /* a successor need not wait for what is told of it */
	s->host->n_steps[s->state][event]++;
	note_step(s, event, step);
	if (step.next != s->state)
		s->entered_ns = rk_clock_ns();
	s->clock_used_ns = 0;
	s->came_from = s->state;
	s->came_by = event;
	s->state = step.next;
	s->awaits_cause = s->awaits_cause && s->state == RK_FSM_DOWN;
	s->is_acting = true;
	rk_slot_journal(s); /* before it is acted upon: who adopts the slot does it again */
	act(s, step.action);
	s->is_acting = false;
	clock_follow(s);
	rk_slot_journal(s);
	s->host->on_step(s, step, s->host->arg);
	rk_recorder_release(s->host->c->recorder);
}

/* ---- after the supervisor's death ---- */

void rk_slot_go_on(struct rk_slot *s)
{
	enum rk_fsm_action action = s->is_acting ? rk_fsm_step(s->came_from, s->came_by).action : RK_FSM_NOTHING;
	bool is_there = s->process.pid && s->process.pidfd >= 0, is_prepared = rk_hook_is_running(&s->hooks[RK_HOOK_PRE]);

	if (is_there) {
		process_attend(s);
		/* It may have been written down alone, or not rung. Who goes on again is rung if it has work (adopt.h). */
		if (rk_beat_ask_pause(beat_of(s), s->is_held) || s->is_held)
			rk_bell_ring_stop(s->host->c->m, s->number);
	}
	if (is_there && s->state != RK_FSM_STARTING && is_attached(s) &&
	    rk_watch_follow(s->host->c->watch, s->number, s->incarnation) < 0)
		rk_log(RK_LOG_WARNING, "lease not watched, its pidfd has to do slot=%u", s->number);
	if (action == RK_FSM_SPAWN && is_prepared)
		s->incarnation++; /* as prepare() has, and could not write down */
	else if (action != RK_FSM_ANNOUNCE) /* ExecStartPost has begun, or does without */
		act(s, action);
	s->is_acting = false;
	if (s->process.pid && s->process.pidfd < 0)
		rk_slot_event(s, RK_FSM_EV_EXITED); /* it is gone, and nobody knows how */
	else if (s->state == RK_FSM_STARTING && !s->process.pid && action != RK_FSM_SPAWN && !is_prepared)
		prepare(s); /* it was in its ExecStartPre, of which nothing is left */
	else if (!s->process.pid && !is_prepared && s->incarnation && s->host->remnants)
		rk_slot_tree_end(s); /* its death may not have been seen to its end */
	clock_follow(s);
	if (s->process.pid && s->is_held && s->state == RK_FSM_READY)
		rk_slot_event(s, RK_FSM_EV_PAUSE);
	rk_slot_journal(s);
}

/* ---- what operators want ---- */

bool rk_slot_is_empty(const struct rk_slot *s)
{
	return s->state == RK_FSM_EMPTY || s->state == RK_FSM_ENDED;
}

bool rk_slot_is_up(const struct rk_slot *s)
{
	return s->state == RK_FSM_READY || s->state == RK_FSM_SUSPECT || s->state == RK_FSM_PAUSED;
}

/* A drain that is called off: what it was before was not told meanwhile, and is not told again. */
static void undrained(struct rk_slot *s)
{
	if (s->is_held || s->stand == RK_WARD_PAUSED)
		rk_slot_event(s, RK_FSM_EV_PAUSE);
	else if (s->stand == RK_WARD_SUSPECT)
		rk_slot_event(s, RK_FSM_EV_SUSPECT);
}

void rk_slot_start(struct rk_slot *s)
{
	bool was_draining = s->state == RK_FSM_DRAINING;

	if (rk_slot_is_empty(s) || s->state == RK_FSM_WAITING || s->state == RK_FSM_QUARANTINED)
		rk_slot_take_partitions(s, RK_ROUTE_UP);
	rk_slot_event(s, RK_FSM_EV_START);
	if (was_draining && s->state == RK_FSM_READY)
		undrained(s);
}

void rk_slot_forgive(struct rk_slot *s)
{
	rk_restart_reset(&s->restart, &s->host->restart);
	rk_slot_journal(s);
}

void rk_slot_hold(struct rk_slot *s, bool wanted)
{
	s->is_held = wanted;
	rk_slot_journal(s);
	if (s->process.pid) {
		(void)rk_beat_ask_pause(beat_of(s), wanted);
		rk_bell_ring_stop(s->host->c->m, s->number);
	}
	if (wanted)
		rk_slot_event(s, RK_FSM_EV_PAUSE);
	else if (s->stand != RK_WARD_PAUSED) /* else the guard says when it runs again */
		rk_slot_event(s, RK_FSM_EV_RESUME);
	if (!wanted && s->stand == RK_WARD_SUSPECT)
		rk_slot_event(s, RK_FSM_EV_SUSPECT);
}

/* ---- beginning and end ---- */

void rk_slot_init(struct rk_slot *s, struct rk_slot_host *host, uint32_t number)
{
	*s = (struct rk_slot){ .host = host,
			       .number = number,
			       .process = RK_NO_PROCESS,
			       .cgroup = RK_CGROUP_SLOT_NONE,
			       .stat_fd = -1,
			       .clocked = RK_FSM_EMPTY,
			       .mourning = { .fleet = host->c->conf->name,
					     .say = host->c->say,
					     .recorder = host->c->recorder } };
	for (uint32_t i = 0; i < RK_HOOKS; i++)
		rk_hook_init(&s->hooks[i], &host->hooks, (enum rk_hook_kind)i, number);
	s->hooks[RK_HOOK_PRE].on_end = on_prepared;
	s->hooks[RK_HOOK_PRE].arg = s;
	rk_restart_reset(&s->restart, &host->restart);
}

void rk_slot_close(struct rk_slot *s)
{
	(void)sd_event_source_disable_unref(s->timer);
	(void)sd_event_source_disable_unref(s->exit_source);
	rk_close_p(&s->stat_fd);
	rk_close_p(&s->process.pidfd);
	rk_close_p(&s->process.gate);
	for (uint32_t i = 0; i < RK_HOOKS; i++)
		rk_hook_cancel(&s->hooks[i]);
	rk_cgroup_slot_close(s->host->c->cgroup, &s->cgroup);
}

/* A slot that is wanted and has no process is down, whatever it is down for. */
static uint32_t view_state(const struct rk_slot *s)
{
	switch (s->state) {
	case RK_FSM_STARTING:
		return RK_SLOT_STARTING;
	case RK_FSM_READY:
	case RK_FSM_DRAINING:
		return s->is_held ? RK_SLOT_PAUSED : RK_SLOT_READY;
	case RK_FSM_SUSPECT:
		return RK_SLOT_SUSPECT;
	case RK_FSM_PAUSED:
		return RK_SLOT_PAUSED;
	case RK_FSM_RECYCLING:
	case RK_FSM_ABORTING:
	case RK_FSM_STOPPING:
		return RK_SLOT_STOPPING;
	case RK_FSM_FENCING:
	case RK_FSM_DOWN:
	case RK_FSM_WAITING:
	case RK_FSM_QUARANTINED:
	case RK_FSM_ENDED:
		return RK_SLOT_DOWN;
	case RK_FSM_EMPTY:
	case RK_FSM_STATES:
		break;
	}
	return s->is_wanted ? RK_SLOT_DOWN : s->unwanted;
}

void rk_slot_fill(const struct rk_slot *s, struct rk_view_slot *ret)
{
	const struct rk_obituary *o = &s->mourning.last.obituary;
	bool has_died = s->died_ns != 0;

	*ret = (struct rk_view_slot){
		.state = view_state(s),
		.pid = s->process.pid,
		.incarnation = s->incarnation,
		.restarts = s->n_restarts,
		.started_ns = s->started_ns,
		.died_ns = s->died_ns,
		.died_pid = has_died ? o->pid : 0,
		.exit_code = !has_died ? 0 : o->exec_error ? RK_EXIT_EXEC : o->code,
		.exit_status = o->exec_error ? o->exec_error : o->status,
	};
}
