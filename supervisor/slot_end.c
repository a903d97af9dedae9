/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slot, how its process is made to end: what the guard found is told, recorded and followed; then
 * SIGABRT where a core is wanted, and SIGKILL to the whole tree.
 */
#include "supervisor/slot.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/beat.h"
#include "shm/words.h"
#include "supervisor/proc.h"

/* ---- what is told ---- */

static struct rk_note quiet_note(const struct rk_slot *s, enum rk_flight_kind kind)
{
	struct rk_note note = rk_slot_note(s, kind, RK_LOG_INFO);

	note.is_quiet = true;
	return note;
}

/* Each thread is a record: who asks why reads them in the verdict's group. */
static void evidence_note(const struct rk_slot *s, const struct rk_evidence *e)
{
	struct rk_note note = quiet_note(s, RK_FLIGHT_EVIDENCE);
	struct rk_recorder *recorder = s->host->c->recorder;

	if (e->finding.look.error)
		(void)rk_recorder_note(recorder, &note, "process cannot be seen error=%d",
				       e->finding.look.error);
	for (uint32_t i = 0; i < e->n_threads; i++) {
		const struct rk_evidence_thread *t = &e->thread[i];

		(void)rk_recorder_note(
			recorder, &note,
			"thread tid=%d of=%d name=\"%s\" state=%c wchan=\"%s\" syscall=\"%s\" stack=\"%s\"",
			t->tid, t->pid, t->name, t->state, t->wchan, t->syscall, t->stack);
	}
	if (e->n_more)
		(void)rk_recorder_note(recorder, &note, "threads that had no room n=%u", e->n_more);
}

static const char *where_of(const struct rk_finding *f, char *text, size_t size)
{
	text[0] = '\0';
	if (f->phase == RK_PHASE_WORKING && f->partition == RK_BEAT_SIGN)
		(void)snprintf(text, size, " sign=%llu", (unsigned long long)f->job);
	else if (f->phase == RK_PHASE_WORKING)
		(void)snprintf(text, size, " job=%llu partition=%u", (unsigned long long)f->job,
			       f->partition);
	return text;
}

/* "worker hung", "worker was stopped"; "job is past its deadline" */
static const char *what_of(enum rk_verdict verdict)
{
	return verdict == RK_VERDICT_LATE ? "" : rk_obituary_deed(verdict);
}

/* The verdict's record begins the group of all that follows from it. */
static void verdict_note(struct rk_slot *s, const struct rk_finding *f, enum rk_response response,
			 const struct rk_evidence *evidence)
{
	struct rk_note note = rk_slot_note(s, RK_FLIGHT_VERDICT, RK_LOG_WARNING);
	char found[RK_DETECT_LINE], where[64];

	note.group = 0;
	s->group = rk_recorder_note(
		s->host->c->recorder, &note,
		"%s%s verdict=%s%s for_ms=%llu bound_ms=%llu response=%s found=\"%s\"",
		f->verdict != RK_VERDICT_LATE	  ? "worker "
		: f->partition == RK_BEAT_SIGN ? "sign of life is late"
						  : "job is past its deadline",
		what_of(f->verdict), rk_verdict_name(f->verdict), where_of(f, where, sizeof(where)),
		(unsigned long long)(f->stalled_ns / RK_NS_PER_MS),
		(unsigned long long)(f->bound_ns / RK_NS_PER_MS), rk_response_name(response),
		rk_detect_format(f, found));
	if (evidence)
		evidence_note(s, evidence);
}

RK_PRINTF(2, 3) static void response_note(const struct rk_slot *s, const char *fmt, ...)
{
	struct rk_note note = rk_slot_note(s, RK_FLIGHT_RESPONSE, RK_LOG_WARNING);
	char text[160];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)rk_recorder_note(s->host->c->recorder, &note, "%s", text);
}

/* ---- what is found ---- */

/* From one stand to another, by the events that lead there. */
static void stand_follow(struct rk_slot *s, enum rk_ward_stand stand)
{
	enum rk_ward_stand was = s->stand;

	s->stand = stand;
	if (stand == was)
		return;
	if (stand == RK_WARD_SOUND || was == RK_WARD_PAUSED)
		s->moved_ns = 0; /* it gets its partitions back */
	if (was == RK_WARD_PAUSED)
		rk_slot_event(s, RK_FSM_EV_RESUME);
	if (was == RK_WARD_SUSPECT && stand == RK_WARD_SOUND)
		rk_slot_event(s, RK_FSM_EV_CLEAR);
	if (stand == RK_WARD_SUSPECT)
		rk_slot_event(s, RK_FSM_EV_SUSPECT);
	if (stand == RK_WARD_PAUSED)
		rk_slot_event(s, RK_FSM_EV_PAUSE);
}

static struct rk_slot_job job_of(const struct rk_finding *f)
{
	return (struct rk_slot_job){ .is_set = f->phase == RK_PHASE_WORKING,
				     .partition = f->partition,
				     .number = f->job };
}

/*
 * This hang was answered so by a supervisor before, whose guard has handed it on. A pause is seen by each
 * for itself.
 */
static bool is_hang_again(const struct rk_slot *s, const struct rk_finding *f, enum rk_response response)
{
	return f->verdict >= RK_VERDICT_LOOP &&
	       ((response == RK_RESPOND_REPORT && s->reported_ns == f->since_ns) ||
		(response == RK_RESPOND_MOVE && s->moved_ns == f->since_ns));
}

/* Whoever has its partitions next runs its job again: that is charged as if it had died of it. */
static void move(struct rk_slot *s, const struct rk_finding *f)
{
	bool is_again = is_hang_again(s, f, RK_RESPOND_MOVE), was_moved = s->moved_ns != 0;
	uint32_t n, n_waiting;

	s->judged = job_of(f);
	s->moved_ns = f->since_ns;
	rk_slot_journal(s); /* first: killed here the job is not charged, but none is charged twice */
	if (!is_again)
		rk_slot_charge_moved(s, f->verdict);
	n = s->host->move(s, &n_waiting, s->host->move_arg);
	if (was_moved && !n)
		return; /* said before, or by another supervisor */
	if (n_waiting)
		response_note(
			s,
			"partitions taken from the worker n=%u, %u wait for a bank to be copied into",
			n, n_waiting);
	else if (n)
		response_note(s, "partitions taken from the worker n=%u", n);
	else
		response_note(s, "worker reported only, its partitions cannot be taken from it");
}

static void judged(struct rk_slot *s, const struct rk_finding *f, enum rk_response response)
{
	s->verdict = f->verdict;
	s->judged_for_ns = s->stand == RK_WARD_PAUSED ? f->blamed_for_ns : f->stalled_ns;
	s->wants_core = response == RK_RESPOND_ABORT;
	s->judged = job_of(f);
	rk_slot_event(s, RK_FSM_EV_VERDICT);
}

/*
 * The optional signal of a job whose deadline has passed. Who has no handler would die of it, of
 * which nobody would know that it was meant: it is not sent. Should the pid be another's by now,
 * the pidfd is nobody's.
 */
static void signal_late(struct rk_slot *s)
{
	uint32_t sig = s->host->c->conf->o.job_timeout_signal;
	const char *name = sigabbrev_np((int)sig);
	int r;

	if (!sig)
		return;
	r = rk_proc_catches(s->process.pid, sig);
	if (r > 0 && syscall(SYS_pidfd_send_signal, s->process.pidfd, (int)sig, NULL, 0) < 0)
		r = -errno;
	if (r > 0)
		response_note(s, "worker signalled signal=SIG%s", name);
	else if (r == 0)
		response_note(s, "worker not signalled, it has no handler signal=SIG%s", name);
	else
		response_note(s, "worker not signalled signal=SIG%s: %s", name, strerror(-r));
}

/* How often a job has failed before: an attempt of its own is a job of its own, to who is asked. */
static uint32_t attempts_of(const struct rk_slot *s, const struct rk_finding *f)
{
	const struct rk_shm *m = s->host->c->m;

	if (f->partition >= m->g.n_partitions)
		return 0; /* the worker says it */
	/* Relaxed: an attempt that ends just now is told once more or less. */
	return rk_attempts_of(atomic_load_explicit(&rk_shm_part(m, f->partition)->attempts,
						   memory_order_relaxed),
			      f->job);
}

static void respond(struct rk_slot *s, const struct rk_ward_finding *f)
{
	switch (f->response) {
	case RK_RESPOND_CANCEL:
		if (f->found.partition == RK_BEAT_SIGN) { /* there is no job to give up */
			s->late = job_of(&f->found);
			return;
		}
		rk_beat_cancel(rk_shm_beat(s->host->c->m, s->number), f->found.partition,
			       f->found.job);
		s->late = job_of(&f->found);
		s->late_attempts = attempts_of(s, &f->found);
		response_note(s, "job asked to give up");
		signal_late(s); /* behind the word: who is woken by it finds rk_cancelled() true */
		rk_slot_journal(s);
		return;
	case RK_RESPOND_MOVE:
		move(s, &f->found);
		return;
	case RK_RESPOND_ABORT:
	case RK_RESPOND_KILL:
		judged(s, &f->found, f->response);
		return;
	case RK_RESPOND_REPORT:
		if (f->found.verdict < RK_VERDICT_LOOP)
			return; /* of a pause, which may turn into a hang of the same beginning */
		s->reported_ns = f->found.since_ns;
		rk_slot_journal(s);
		return;
	case RK_RESPOND_NONE:
	case RK_RESPOND_HOLD:
	case RK_RESPONSES:
		return;
	}
}

/* Found late before: it only became suspect, or less so. The attempt has been asked, and signalled.
 */
static bool is_late_again(const struct rk_slot *s, const struct rk_ward_finding *f)
{
	return f->response == RK_RESPOND_CANCEL && s->late.is_set &&
	       s->late.partition == f->found.partition && s->late.number == f->found.job &&
	       s->late_attempts == attempts_of(s, &f->found);
}

void rk_slot_on_finding(struct rk_slot *s, const struct rk_ward_finding *f)
{
	bool is_again;

	if (f->incarnation != s->incarnation || f->pid != s->process.pid)
		return; /* of a process that is gone */
	if (s->verdict != RK_VERDICT_FINE)
		return; /* it is ending already */
	is_again = is_hang_again(s, &f->found, f->response);
	if (is_late_again(s, f) || (is_again && f->response == RK_RESPOND_REPORT)) {
		stand_follow(s, f->stand);
		return;
	}
	if (!is_again && (f->evidence || f->response == RK_RESPOND_CANCEL))
		verdict_note(s, &f->found, f->response, f->evidence);
	stand_follow(s, f->stand);
	respond(s, f);
}

/* ---- ends that the slot's own clock brings ---- */

static uint64_t bound_ns(const struct rk_slot *s)
{
	const struct rk_fleet_options *o = &s->host->c->conf->o;

	return s->state == RK_FSM_ABORTING ? o->start_timeout_ns : o->stop_timeout_ns;
}

/* What the guard would have found: the process as it is now. */
static void found_now(struct rk_slot *s, enum rk_verdict verdict, struct rk_observe *o,
		      struct rk_finding *ret)
{
	uint64_t now_ns = rk_clock_ns();
	uint64_t late_ns =
		now_ns - (verdict == RK_VERDICT_START_TIMEOUT ? s->started_ns : s->entered_ns);
	struct rk_detect_beat beat;

	rk_detect_hear(rk_shm_beat(s->host->c->m, s->number), s->incarnation, &beat);
	*ret = (struct rk_finding){ .verdict = verdict,
				    .phase = beat.state == RK_BEAT_RUNNING ? RK_PHASE_WORKING
					     : verdict == RK_VERDICT_STOP_TIMEOUT
						     ? RK_PHASE_STOPPING
						     : RK_PHASE_STARTING,
				    .stalled_ns = late_ns,
				    .bound_ns = bound_ns(s),
				    .state = beat.state,
				    .partition = beat.partition,
				    .job = beat.job };
	if (o)
		rk_observe_look(o, true, now_ns, &ret->look);
}

/* Nobody judged it, and its time is over. */
static void judge_late(struct rk_slot *s, enum rk_verdict verdict, enum rk_response response)
{
	struct rk_evidence_case about = { .worker = s->number,
					  .pid = s->process.pid,
					  .incarnation = s->incarnation,
					  .wall_ns = rk_clock_wall_ns(),
					  .response = response };
	struct rk_observe *o = NULL;
	struct rk_evidence evidence;
	struct rk_finding f;

	if (rk_observe_open(&s->host->killer->observatory, s->process.pid, s->process.pidfd, &o) <
	    0)
		o = NULL;
	found_now(s, verdict, o, &f);
	rk_evidence_gather(&about, &f, o, &evidence);
	rk_observe_close(o);
	verdict_note(s, &f, response, &evidence);
	s->verdict = verdict;
	s->judged_for_ns = f.stalled_ns;
}

void rk_slot_abort(struct rk_slot *s)
{
	uint64_t core_timeout_ns = s->host->c->conf->o.core_timeout_ns;

	if (s->verdict == RK_VERDICT_FINE) {
		s->wants_core = core_timeout_ns > 0;
		judge_late(s, RK_VERDICT_START_TIMEOUT,
			   s->wants_core ? RK_RESPOND_ABORT : RK_RESPOND_KILL);
	}
	if (!s->wants_core) {
		rk_slot_event(s, RK_FSM_EV_TIMER); /* leads to rk_slot_kill() */
		return;
	}
	rk_slot_journal(s); /* as below */
	(void)syscall(SYS_pidfd_send_signal, s->process.pidfd, SIGABRT, NULL, 0);
	response_note(s, "worker aborted, it may dump core timeout_ms=%llu",
		      (unsigned long long)(core_timeout_ns / RK_NS_PER_MS));
}

void rk_slot_kill(struct rk_slot *s)
{
	bool is_first = !s->is_killed;
	uint32_t n;

	if (s->verdict == RK_VERDICT_FINE)
		judge_late(s, RK_VERDICT_STOP_TIMEOUT, RK_RESPOND_KILL);
	s->is_killed = true;
	rk_slot_journal(s); /* whose death it is, before it dies */
	/* A program may take the end of one of its processes for an outcome, and answer: nobody is to hear it. */
	if (rk_kind_is_wrapped(s->host->c->conf->o.kind))
		(void)syscall(SYS_pidfd_send_signal, s->process.pidfd, SIGSTOP, NULL, 0);
	n = rk_killer_kill(s->host->killer, s->process.pid, s->process.pidfd);
	(void)rk_cgroup_slot_kill(s->host->c->cgroup, &s->cgroup);
	if (is_first)
		response_note(s, "worker killed%s below=%u",
			      s->verdict == RK_VERDICT_STOP_TIMEOUT ? ", it did not stop in time"
								    : "",
			      n);
	else
		response_note(s, "worker killed again, it is not gone yet below=%u", n);
}
