/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slot, who is charged for its process's death: the case is put together here, blame.h decides, and
 * an attempt is counted against the job (shm/part.h), whose successor makes a dead letter of it
 * when it has had its fill (shm/owner.h).
 *
 * How a process ended /proc says before it is reaped, and its pidfd behind that (Linux 6.15), so
 * that the job is charged before its partition passes on. Where that is missed keeper's word comes
 * later, and so does the charge: the job may kill one worker more than DeadLetterAfter says.
 */
#include "supervisor/slot.h"

#include <errno.h>
#include <signal.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macro.h"
#include "shm/dead.h"
#include "shm/owner.h"
#include "shm/part.h"
#include "shm/words.h"
#include "supervisor/proc.h"

/* ---- the case ---- */

int rk_slot_stat(struct rk_slot *s)
{
	if (s->stat_fd >= 0 || s->process.pid <= 0 || s->process.pidfd < 0)
		return s->stat_fd;
	s->stat_fd = rk_proc_open(s->process.pid);
	/* Reaped by now: it may be that of another process. */
	if (s->stat_fd >= 0 && rk_child_signal(&s->process, 0) < 0)
		rk_close_p(&s->stat_fd);
	if (s->stat_fd < 0)
		s->stat_fd = -1;
	return s->stat_fd;
}

int rk_slot_charge_see(struct rk_slot *s)
{
	struct rk_proc_end end = { .n_threads = -EBADF };
	int r = rk_slot_stat(s) < 0 ? -EBADF : rk_proc_end(s->stat_fd, &end);

	if (s->exit_code)
		return end.n_threads;
	if (r == 0 || rk_proc_reaped(s->process.pidfd, &end.code, &end.status) == 0) {
		s->exit_code = end.code;
		s->exit_status = end.status;
	}
	return end.n_threads;
}

static bool is_of(const struct rk_slot_job *job, uint32_t partition, uint64_t number)
{
	return job->is_set && job->partition == partition && job->number == (number & RK_MASK48);
}

/* Who ended it. A verdict is held only against the job that it was given about. */
static enum rk_blame_ours ours_of(const struct rk_slot *s, const struct rk_blame_words *words)
{
	switch (s->verdict) {
	case RK_VERDICT_LOOP:
	case RK_VERDICT_ASLEEP:
	case RK_VERDICT_LIVELOCK:
	case RK_VERDICT_DISK:
		return is_of(&s->judged, words->partition, words->job) ? RK_BLAME_VERDICT
								       : RK_BLAME_ELSE;
	case RK_VERDICT_STOPPED:
	case RK_VERDICT_TRACED:
	case RK_VERDICT_FROZEN:
		return RK_BLAME_PAUSED;
	case RK_VERDICT_START_TIMEOUT:
		return RK_BLAME_START;
	case RK_VERDICT_STOP_TIMEOUT:
		return RK_BLAME_PLANNED;
	case RK_VERDICT_FINE:
	case RK_VERDICT_WAITING:
	case RK_VERDICT_STARVED:
	case RK_VERDICT_BLIND:
	case RK_VERDICT_GONE:
	case RK_VERDICT_SUSPECT:
	case RK_VERDICT_LATE:
	case RK_VERDICTS:
		break;
	}
	return s->is_faulted ? RK_BLAME_FAULT : RK_BLAME_NOT_OURS;
}

/* By the kernel's own words; where it counts nothing, there is room. */
static enum rk_blame_memory memory_of(const struct rk_slot *s, uint64_t now_ns)
{
	struct rk_storm *storm = s->host->storm;
	uint64_t n;

	rk_storm_refresh(storm, now_ns);
	if (rk_brake_is_memory_short(&storm->brake, now_ns))
		return RK_BLAME_SHORT;
	return rk_proc_oom_kills(&n) == 0 && n > s->n_oom_kills ? RK_BLAME_OOM : RK_BLAME_ROOM;
}

static uint64_t cursor_of(const struct rk_shm *m, uint32_t partition)
{
	return rk_commit_cursor(
		atomic_load_explicit(&rk_shm_part(m, partition)->commit, memory_order_acquire));
}

static uint64_t n_committed(const struct rk_shm *m)
{
	uint64_t sum = 0;

	for (uint32_t p = 0; p < m->g.n_partitions; p++)
		sum += cursor_of(m, p);
	return sum;
}

/* What the beat page says, as far as it fits what the worker owns; else that it was in no job. */
static struct rk_blame_words words_of(const struct rk_slot *s)
{
	const struct rk_shm *m = s->host->c->m;
	struct rk_blame_words w = { .state = RK_BEAT_READY };

	/* Acquire: the words below belong to this incarnation. */
	w.incarnation =
		atomic_load_explicit(&rk_shm_beat(m, s->number)->incarnation, memory_order_acquire);
	if (rk_part_blame(m, s->number, &w.partition, &w.job))
		w.state = RK_BEAT_RUNNING;
	return w;
}

static void cause_set(const struct rk_slot *s, struct rk_blame_case *c, int code, int status)
{
	c->code = code ? code : -1;
	c->status = status;
	if (code == CLD_KILLED && status == SIGKILL && c->words.state == RK_BEAT_RUNNING &&
	    c->memory != RK_BLAME_LIMIT)
		c->memory = memory_of(s, rk_clock_ns());
}

static struct rk_blame_case case_of(struct rk_slot *s, uint64_t ns)
{
	const struct rk_shm *m = s->host->c->m;
	struct rk_blame_case c = { .ns = ns,
				   .n_committed = n_committed(m),
				   .words = words_of(s),
				   .incarnation = s->incarnation,
				   .slot = s->number,
				   .n_partitions = m->g.n_partitions };

	if (c.words.state == RK_BEAT_RUNNING) {
		c.is_owner = s->host->table[c.words.partition] == s->number;
		c.cursor = cursor_of(m, c.words.partition);
	}
	if (rk_cgroup_slot_oom_kills(s->host->c->cgroup, &s->cgroup) > s->n_oom)
		c.memory = RK_BLAME_LIMIT;
	c.ours = ours_of(s, &c.words);
	cause_set(s, &c, s->exit_code, s->exit_status);
	return c;
}

/* ---- what follows from it ---- */

/* Which of the guard's verdicts it was. */
static enum rk_dead_verdict judged_as(const struct rk_slot *s, uint32_t partition, uint64_t job)
{
	if (is_of(&s->late, partition, job))
		return RK_CAUSE_DEADLINE;
	return s->verdict == RK_VERDICT_LOOP ? RK_CAUSE_LOOPING : RK_CAUSE_HUNG;
}

static enum rk_dead_verdict verdict_of(const struct rk_slot *s, const struct rk_blame *b)
{
	if (b->reason == RK_BLAME_JUDGED)
		return judged_as(s, b->partition, b->job);
	return b->reason == RK_BLAME_OVER_LIMIT || b->reason == RK_BLAME_KILLED ? RK_CAUSE_MEMORY
										: RK_CAUSE_CRASHED;
}

static struct rk_note note_of(const struct rk_slot *s, const struct rk_blame_case *c, int32_t pid,
			      enum rk_flight_kind kind)
{
	struct rk_note note = rk_slot_note(s, kind, RK_LOG_INFO);

	note.is_quiet = true; /* people read the obituary */
	note.pid = pid;
	note.incarnation = c->incarnation;
	if (pid != s->process.pid)
		note.group = 0; /* of its successor */
	return note;
}

/* For people: why, and how far it is from being quarantined. */
static void charge_note(const struct rk_slot *s, const struct rk_blame *b,
			const struct rk_blame_case *c, int32_t pid, uint32_t n)
{
	/* Relaxed: a setting. */
	uint32_t limit =
		atomic_load_explicit(&s->host->c->m->board->dead_after, memory_order_relaxed);
	bool is_last = limit && n >= limit;
	struct rk_note note =
		note_of(s, c, pid, is_last ? RK_FLIGHT_QUARANTINE : RK_FLIGHT_RESPONSE);

	(void)rk_recorder_note(s->host->c->recorder, &note,
			       "job charged%s job=%llu partition=%u attempts=%u of=%u why=\"%s\"",
			       is_last ? " for the last time, it is quarantined" : "",
			       (unsigned long long)b->job, b->partition, n, limit,
			       rk_blame_reason_text(b->reason));
}

static void job_charge(struct rk_slot *s, const struct rk_blame *b, const struct rk_blame_case *c,
		       int32_t pid)
{
	const struct rk_shm *m = s->host->c->m;
	const struct rk_dead_cause cause = { .verdict = verdict_of(s, b),
					     .code = c->code > 0 ? c->code : 0,
					     .status = c->status };
	bool is_late = pid != s->process.pid;

	rk_dead_cause(m, b->partition, b->job, &cause);
	charge_note(s, b, c, pid,
		    is_late ? rk_part_charge_late(m, b->partition, b->job, s->doubt.owner)
			    : rk_part_charge(m, b->partition, b->job));
}

static void job_spare(const struct rk_slot *s, const struct rk_blame *b,
		      const struct rk_blame_case *c, int32_t pid)
{
	struct rk_note note = note_of(s, c, pid, RK_FLIGHT_RESPONSE);

	if (b->partition != RK_BLAME_NOBODY)
		(void)rk_recorder_note(s->host->c->recorder, &note,
				       "job not charged job=%llu partition=%u why=\"%s\"",
				       (unsigned long long)b->job, b->partition,
				       rk_blame_reason_text(b->reason));
}

/* Who was killed first in a storm looked alone. */
static void others_forgive(struct rk_slot *s, const struct rk_blame_case *c, int32_t pid)
{
	struct rk_note note = note_of(s, c, pid, RK_FLIGHT_RESPONSE);
	uint32_t partition;
	uint64_t job;

	while (rk_blame_take_back(&s->host->recent, c, &partition, &job)) {
		rk_part_forgive(s->host->c->m, partition, job);
		(void)rk_recorder_note(
			s->host->c->recorder, &note,
			"job of an earlier death not charged after all job=%llu partition=%u why=\"%s\"",
			(unsigned long long)job, partition, rk_blame_reason_text(RK_BLAME_STORM));
	}
}

static enum rk_blame_verdict decide(struct rk_slot *s, const struct rk_blame_case *c, int32_t pid)
{
	struct rk_blame b = rk_blame_on_death(&s->host->recent, c);

	switch (b.verdict) {
	case RK_BLAME_CHARGED:
		/* Known late: it may be committed by now. */
		if (((b.job - cursor_of(s->host->c->m, b.partition)) & RK_MASK48) < RK_BATCH_MAX)
			job_charge(s, &b, c, pid);
		break;
	case RK_BLAME_SPARED:
		job_spare(s, &b, c, pid);
		break;
	case RK_BLAME_LATER:
		return b.verdict;
	}
	others_forgive(s, c, pid);
	return b.verdict;
}

void rk_slot_charge(struct rk_slot *s)
{
	enum rk_blame_verdict verdict;
	struct rk_blame_case c;

	(void)rk_slot_charge_see(s);
	c = case_of(s, s->noticed_ns);
	verdict = decide(s, &c, s->process.pid);
	if (c.code >= 0 || verdict == RK_BLAME_SPARED)
		return;
	s->doubt.charged = verdict == RK_BLAME_CHARGED
				   ? judged_as(s, c.words.partition, c.words.job)
				   : RK_CAUSE_NONE;
	s->doubt.c = c;
	s->doubt.owner = rk_owner_incarnation(
		atomic_load_explicit(&rk_shm_part(s->host->c->m, c.words.partition)->owner,
				     memory_order_relaxed));
	s->doubt.pid = s->process.pid;
}

void rk_slot_charge_cause(struct rk_slot *s, const struct rk_link_msg *msg)
{
	struct rk_dead_cause cause;

	if (s->doubt.pid != msg->pid || s->doubt.c.incarnation != rk_link_tag_incarnation(msg->tag))
		return;
	s->doubt.pid = 0;
	if (s->doubt.charged == RK_CAUSE_NONE) {
		cause_set(s, &s->doubt.c, msg->code, msg->status);
		(void)decide(s, &s->doubt.c, msg->pid);
		return;
	}
	cause = (struct rk_dead_cause){ .verdict = s->doubt.charged,
					.code = msg->code,
					.status = msg->status };
	rk_dead_cause(s->host->c->m, s->doubt.c.words.partition, s->doubt.c.words.job, &cause);
}

void rk_slot_charge_moved(struct rk_slot *s, enum rk_verdict verdict)
{
	struct rk_blame_case c;

	s->verdict = verdict; /* it stands for as long as its job is looked at: the process need not
				 end */
	c = case_of(s, rk_clock_ns());
	(void)decide(s, &c, s->process.pid);
	s->verdict = RK_VERDICT_FINE;
}
