/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/detect.h"

#include <stdio.h>
#include <string.h>

#include "base/macro.h"

/* ---- what is declared ---- */

void rk_detect_hear(const struct rk_beat *beat, uint64_t incarnation, struct rk_detect_beat *ret)
{
	/* Acquire, so that the words below are not older than the state: the worker stores it
	 * last, with release. All others relaxed: a mix of two jobs reads as progress, next time.
	 */
	ret->state = atomic_load_explicit(&beat->state, memory_order_acquire);
	ret->incarnation = atomic_load_explicit(&beat->incarnation, memory_order_relaxed);
	ret->partition = atomic_load_explicit(&beat->partition, memory_order_relaxed);
	ret->job = atomic_load_explicit(&beat->job, memory_order_relaxed);
	ret->deadline_ns = atomic_load_explicit(&beat->deadline_ns, memory_order_relaxed);
	ret->calling_until_ns = atomic_load_explicit(&beat->calling_until_ns, memory_order_relaxed);
	ret->beats = atomic_load_explicit(&beat->beats, memory_order_relaxed);
	ret->n_jobs = atomic_load_explicit(&beat->n_jobs, memory_order_relaxed);
	if (ret->incarnation !=
	    incarnation) /* its predecessor's words: it has not taken its page yet */
		*ret = (struct rk_detect_beat){ .incarnation = incarnation,
						.state = RK_BEAT_STARTING };
}

static enum rk_phase phase_of(const struct rk_detect_beat *beat, uint64_t pending_since_ns)
{
	switch (beat->state) {
	case RK_BEAT_STARTING:
		return RK_PHASE_STARTING;
	case RK_BEAT_READY:
	case RK_BEAT_PARKED:
		return pending_since_ns ? RK_PHASE_PENDING : RK_PHASE_IDLE;
	case RK_BEAT_STOPPING:
		return RK_PHASE_STOPPING;
	default: /* RUNNING, CALLING; a forged state buys nothing */
		return RK_PHASE_WORKING;
	}
}

bool rk_detect_is_idle(const struct rk_detect_beat *beat, uint64_t pending_since_ns)
{
	return phase_of(beat, pending_since_ns) == RK_PHASE_IDLE;
}

/* RUNNING and CALLING alternate within a job: that alone gets nobody on. */
static bool is_progress(const struct rk_detect *d, const struct rk_detect_input *in)
{
	const struct rk_detect_beat *was = &d->last, *is = &in->beat;

	return !d->is_begun || was->incarnation != is->incarnation ||
	       was->partition != is->partition || was->job != is->job || was->beats != is->beats ||
	       was->n_jobs != is->n_jobs || d->phase != phase_of(is, in->pending_since_ns);
}

static bool is_calling(const struct rk_detect_input *in)
{
	return in->beat.state == RK_BEAT_CALLING && in->now_ns < in->beat.calling_until_ns;
}

/* Some of the interval since the last look was declared as waiting for somebody else. */
static bool has_called(const struct rk_detect *d, const struct rk_detect_input *in)
{
	if (in->beat.calling_until_ns != d->last.calling_until_ns)
		return true;
	return (in->beat.state == RK_BEAT_CALLING || d->last.state == RK_BEAT_CALLING) &&
	       d->look_ns < in->beat.calling_until_ns;
}

/* ---- bounds ---- */

struct bound {
	uint64_t burnt_ns, asleep_ns, disk_ns;
	uint64_t total_ns; /* of the three together */
};

static bool is_working(const struct rk_detect *d)
{
	return d->phase == RK_PHASE_WORKING;
}

/* 0 means no bound. What a worker waits for unasked, state D, Blocking=no does not shorten. */
static struct bound bound_of(const struct rk_detect_bounds *b, const struct rk_detect *d,
			     const struct rk_look *look, bool is_pressed)
{
	uint64_t by_job = is_working(d) && d->budget_ns ? d->budget_ns + RK_DETECT_GRACE_NS : 0;
	uint64_t hang = b->hang_after_ns ? b->hang_after_ns : by_job ? by_job : RK_DETECT_HANG_NS;
	struct bound bound = { by_job ? by_job : hang, hang, hang, 0 };

	if (d->phase == RK_PHASE_STARTING)
		bound = (struct bound){ .total_ns = b->start_timeout_ns };
	else if (d->phase == RK_PHASE_STOPPING)
		bound = (struct bound){ .total_ns = b->stop_timeout_ns };
	else
		bound.total_ns = rk_max_u64(bound.burnt_ns, hang);
	if (is_working(d) && b->is_nonblocking && !is_pressed)
		bound.asleep_ns = rk_min_u64(hang, RK_DETECT_NONBLOCKING_NS);
	if (look && look->is_cut) { /* somebody may be starved whom we do not see */
		bound.asleep_ns *= 2;
		bound.disk_ns *= 2;
		bound.total_ns *= 2;
	}
	return bound;
}

static bool is_over(uint64_t spent_ns, uint64_t bound_ns)
{
	return bound_ns && spent_ns >= bound_ns;
}

/* The bound that will be over once margin more is spent in any one way; 0 if none. */
static uint64_t bound_reached(const struct bound *bound, const struct rk_detect_spent *s,
			      uint64_t margin_ns)
{
	if (is_over(s->burnt_ns + margin_ns, bound->burnt_ns))
		return bound->burnt_ns;
	if (is_over(s->asleep_ns + margin_ns, bound->asleep_ns))
		return bound->asleep_ns;
	if (is_over(s->disk_ns + margin_ns, bound->disk_ns))
		return bound->disk_ns;
	if (is_over(s->burnt_ns + s->asleep_ns + s->disk_ns + margin_ns, bound->total_ns))
		return bound->total_ns;
	return 0;
}

/* Suspect for the last 100 ms before a bound, of a short one for its last half. */
static bool is_close(const struct bound *bound, const struct rk_detect_spent *s)
{
	uint64_t least_ns = bound->asleep_ns ? bound->asleep_ns : bound->total_ns;

	return bound_reached(bound, s, rk_min_u64(100 * RK_NS_PER_MS, least_ns / 2)) != 0;
}

/* ---- how an interval was spent ---- */

enum interval {
	INTERVAL_NONE, /* nothing to compare with */
	INTERVAL_AWAY, /* the machine was suspended */
	INTERVAL_LATE,
	INTERVAL_GOOD
};

static enum interval interval_of(const struct rk_detect *d, const struct rk_detect_input *in)
{
	uint64_t planned_ns = d->is_suspect ? RK_DETECT_FAST_NS : RK_DETECT_TICK_NS;
	uint64_t away_ns = in->boot_ns - in->now_ns;

	if (!in->look || in->look->is_first || !d->look_ns)
		return INTERVAL_NONE;
	if (away_ns > d->away_ns + RK_NS_PER_MS)
		return INTERVAL_AWAY;
	if (in->lateness_ns > RK_DETECT_LATE_NS ||
	    in->now_ns - d->look_ns > planned_ns + RK_DETECT_LATE_NS)
		return INTERVAL_LATE;
	return INTERVAL_GOOD;
}

static bool is_blind(const struct rk_look *l)
{
	return l->error != 0 || l->n_unread > 0;
}

/* Starting and stopping end by the clock if there is nothing better. */
static bool is_clocked(const struct rk_detect *d)
{
	return d->phase == RK_PHASE_STARTING || d->phase == RK_PHASE_STOPPING;
}

static enum rk_verdict pause_of(const struct rk_look *l)
{
	if (l->is_frozen)
		return RK_VERDICT_FROZEN;
	if (l->is_stopped)
		return RK_VERDICT_STOPPED;
	return l->is_traced ? RK_VERDICT_TRACED : RK_VERDICT_FINE;
}

/*
 * Time asleep is what is left when the time on CPUs and the waiting for one are taken away: the
 * kernel has the latter up to date for threads that are asleep now, so that nobody R may be there.
 */
static void asleep_add(struct rk_detect_spent *s, const struct rk_look *l, uint64_t passed_ns)
{
	uint64_t busy_ns = rk_min_u64(passed_ns, l->ran_ns + l->delayed_ns);
	uint64_t *sum = l->n_disk ? &s->disk_ns : &s->asleep_ns;

	*sum += passed_ns - busy_ns;
	s->starved_ns += busy_ns - rk_min_u64(busy_ns, l->ran_ns);
	s->still_ns = l->ran_ns ? 0 : s->still_ns + passed_ns;
}

/* How long somebody who is new here has been starving nobody knows: sleep did not count. */
static void newcomers_doubt(struct rk_detect_spent *s, const struct rk_look *l)
{
	if (!l->n_new)
		return;
	s->asleep_ns = s->disk_ns = s->still_ns = 0;
}

/*
 * In the first look of one that was taken up all are new. Whoever is runnable may have come and starved
 * since the one before us listed last: sleep did not count from there on.
 */
static void strangers_doubt(struct rk_detect *d, const struct rk_look *l)
{
	if (!l->is_first || !l->n_starved)
		return;
	d->spent.asleep_ns = rk_min_u64(d->spent.asleep_ns, d->listed_asleep_ns);
	d->spent.disk_ns = rk_min_u64(d->spent.disk_ns, d->listed_disk_ns);
	d->spent.still_ns = 0;
}

/*
 * What of an interval may count. Of one that ended late no more than a prompt look would have
 * seen: the machine may have stood still, and the kernel charges that to whoever was running.
 */
static uint64_t counted_of(enum interval kind, uint64_t passed_ns)
{
	switch (kind) {
	case INTERVAL_GOOD:
		return passed_ns;
	case INTERVAL_LATE:
		return rk_min_u64(passed_ns, RK_DETECT_FAST_NS);
	case INTERVAL_NONE:
	case INTERVAL_AWAY:
		break;
	}
	return 0;
}

static void interval_add(struct rk_detect *d, const struct rk_detect_input *in, enum interval kind)
{
	struct rk_detect_spent *s = &d->spent;
	const struct rk_look *l = in->look;
	uint64_t passed_ns = in->now_ns - d->look_ns;
	uint64_t counted_ns = counted_of(kind, passed_ns);

	newcomers_doubt(s, l);
	if (has_called(d, in))
		return;
	s->burnt_ns += rk_min_u64(l->ran_ns, counted_ns);
	if (pause_of(l) != RK_VERDICT_FINE) {
		s->paused_ns += passed_ns;
		return;
	}
	s->void_ns += passed_ns - counted_ns;
	if (is_blind(l) && !is_clocked(d))
		s->void_ns += counted_ns;
	else if (l->n_starved || d->is_doubtful)
		s->starved_ns += counted_ns - rk_min_u64(counted_ns, l->ran_ns);
	else if (!l->n_running)
		asleep_add(s, l, counted_ns);
}

/* A pause is a fact of two looks between which nothing ran: how late they were does not matter. */
static void pause_follow(struct rk_detect *d, const struct rk_look *l)
{
	enum rk_verdict pause = pause_of(l);

	if (pause == RK_VERDICT_FINE || l->is_gone)
		d->pause_seen_ns = 0;
	else if (!d->pause_seen_ns || l->ran_ns || pause != d->pause)
		d->pause_seen_ns = l->at_ns;
	d->pause = pause;
}

/* ---- judging ---- */

/* What kind of hang it is, by how most of the time was spent. */
static enum rk_verdict hang_of(const struct rk_detect *d)
{
	const struct rk_detect_spent *s = &d->spent;
	uint64_t half_ns = (s->burnt_ns + s->asleep_ns + s->disk_ns) / 2;

	if (d->phase == RK_PHASE_STARTING)
		return RK_VERDICT_START_TIMEOUT;
	if (d->phase == RK_PHASE_STOPPING)
		return RK_VERDICT_STOP_TIMEOUT;
	if (s->burnt_ns >= half_ns)
		return RK_VERDICT_LOOP;
	if (s->disk_ns >= half_ns)
		return RK_VERDICT_DISK;
	return s->still_ns >= half_ns ? RK_VERDICT_ASLEEP : RK_VERDICT_LIVELOCK;
}

/*
 * Nobody is blamed for sleep while a thread starves, unless all were listed, nor by a late look.
 * CPU that was burnt is a fact, whoever starves meanwhile.
 */
static bool may_blame(const struct rk_detect *d, const struct rk_detect_input *in,
		      const struct bound *bound, enum interval kind)
{
	const struct rk_look *l = in->look;

	if (!l || kind < INTERVAL_LATE || is_calling(in) || l->is_gone)
		return false;
	/* One that ran since, and is paused now, is stopped and continued in turn. */
	if (pause_of(l) != RK_VERDICT_FINE && !l->ran_ns)
		return false;
	if (is_blind(l))
		return is_clocked(d);
	if (is_over(d->spent.burnt_ns, bound->burnt_ns))
		return true;
	return kind == INTERVAL_GOOD && l->n_starved == 0 && l->is_listed;
}

static bool is_pause_proved(const struct rk_detect *d, const struct rk_detect_input *in)
{
	if (!d->pause_seen_ns || in->now_ns - d->pause_seen_ns < RK_DETECT_PAUSE_NS)
		return false;
	return d->phase != RK_PHASE_PENDING ||
	       in->now_ns - in->pending_since_ns >= RK_DETECT_PENDING_NS;
}

static bool is_late(const struct rk_detect *d, const struct rk_detect_input *in)
{
	return is_working(d) && d->deadline_ns && in->now_ns >= d->deadline_ns;
}

static enum rk_verdict judge(const struct rk_detect *d, const struct rk_detect_input *in)
{
	const struct rk_look *l = in->look;

	if (l && l->is_gone)
		return RK_VERDICT_GONE;
	if (d->blame != RK_VERDICT_FINE)
		return d->blame;
	if (is_pause_proved(d, in))
		return d->pause;
	if (is_late(d, in))
		return RK_VERDICT_LATE;
	if (!l || d->phase == RK_PHASE_IDLE)
		return RK_VERDICT_FINE;
	if (d->is_suspect)
		return RK_VERDICT_SUSPECT;
	if (is_blind(l))
		return RK_VERDICT_BLIND;
	return l->n_starved ? RK_VERDICT_STARVED : RK_VERDICT_WAITING;
}

/* ---- a step ---- */

static void stall_begin(const struct rk_detect_bounds *b, struct rk_detect *d,
			const struct rk_detect_input *in)
{
	const struct rk_detect_beat *beat = &in->beat;
	uint64_t away_ns = in->boot_ns - in->now_ns;
	uint64_t deadline_ns = beat->deadline_ns;

	if (deadline_ns == 0 && b->job_timeout_ns)
		deadline_ns = in->now_ns + b->job_timeout_ns;
	*d = (struct rk_detect){ .last = *beat,
				 .phase = phase_of(beat, in->pending_since_ns),
				 .is_begun = true,
				 .since_ns = in->now_ns,
				 .deadline_ns = deadline_ns,
				 .away_ns = away_ns };
	if (deadline_ns)
		d->budget_ns = rk_max_u64(deadline_ns > in->now_ns ? deadline_ns - in->now_ns : 0,
					  RK_DETECT_GRACE_NS);
}

enum rk_detect_need rk_detect_need(const struct rk_detect_bounds *b, const struct rk_detect *d,
				   const struct rk_detect_input *in)
{
	struct bound bound = bound_of(b, d, NULL, in->is_pressed);

	if (is_progress(d, in) || d->phase == RK_PHASE_IDLE)
		return RK_DETECT_NOTHING;
	if (d->blame != RK_VERDICT_FINE || d->pause_seen_ns)
		return RK_DETECT_LOOK;
	/* A first look lists by itself. One that may lead to blame must, with room for the tick. */
	return bound_reached(&bound, &d->spent, RK_DETECT_TICK_NS + RK_DETECT_LATE_NS)
		       ? RK_DETECT_LIST
		       : RK_DETECT_LOOK;
}

static void finding_fill(const struct rk_detect *d, const struct rk_detect_input *in,
			 uint64_t bound_ns, struct rk_finding *ret)
{
	*ret = (struct rk_finding){ .verdict = judge(d, in),
				    .is_suspect = d->is_suspect,
				    .phase = d->phase,
				    .since_ns = d->since_ns,
				    .stalled_ns = in->now_ns - d->since_ns,
				    .bound_ns = bound_ns,
				    .spent = d->spent,
				    .state = d->last.state,
				    .partition = d->last.partition,
				    .job = d->last.job };
	if (in->look)
		ret->look = *in->look;
	switch ((unsigned int)ret->verdict) {
	case RK_VERDICT_LATE:
		ret->blamed_for_ns = in->now_ns - d->deadline_ns;
		break;
	case RK_VERDICT_STOPPED:
	case RK_VERDICT_TRACED:
	case RK_VERDICT_FROZEN:
		ret->blamed_for_ns = in->now_ns - d->pause_seen_ns;
		break;
	default:
		ret->blamed_for_ns = d->blame == RK_VERDICT_FINE ? 0 : in->now_ns - d->blamed_ns;
	}
}

/* About to be judged, this way or the other; once it is, there is no hurry any more. */
static bool is_unsettled(const struct rk_detect *d, const struct rk_detect_input *in,
			 const struct bound *bound)
{
	if (d->blame != RK_VERDICT_FINE || d->phase == RK_PHASE_IDLE)
		return false;
	if (d->pause_seen_ns)
		return !is_pause_proved(d, in);
	return !is_calling(in) && is_close(bound, &d->spent);
}

static void stall_go_on(struct rk_detect *d, const struct rk_detect_input *in, enum interval kind)
{
	if (in->look)
		strangers_doubt(d, in->look);
	if (kind != INTERVAL_NONE)
		interval_add(d, in, kind);
	if (in->look && in->look->is_listed) {
		d->listed_asleep_ns = d->spent.asleep_ns;
		d->listed_disk_ns = d->spent.disk_ns;
	}
	if (in->look)
		pause_follow(d, in->look);
	else
		d->pause_seen_ns = 0;
	d->is_doubtful = in->look && (in->look->n_starved || d->pause_seen_ns);
	d->look_ns = in->look ? in->now_ns : 0;
	d->away_ns = in->boot_ns - in->now_ns;
	d->last.state = in->beat.state; /* RUNNING and CALLING alternate */
	d->last.calling_until_ns = in->beat.calling_until_ns;
}

void rk_detect_step(const struct rk_detect_bounds *b, struct rk_detect *d,
		    const struct rk_detect_input *in, struct rk_finding *ret)
{
	enum interval kind = interval_of(d, in);
	struct bound bound;
	uint64_t over_ns;

	if (is_progress(d, in)) {
		stall_begin(b, d, in);
		kind = INTERVAL_NONE;
	}
	stall_go_on(d, in, kind);
	bound = bound_of(b, d, in->look, in->is_pressed);
	over_ns = bound_reached(&bound, &d->spent, 0);
	if (over_ns && d->blame == RK_VERDICT_FINE && may_blame(d, in, &bound, kind)) {
		d->blame = hang_of(d);
		d->blamed_ns = in->now_ns;
	}
	d->is_suspect = is_unsettled(d, in, &bound);
	if (!over_ns)
		over_ns = bound.asleep_ns ? bound.asleep_ns : bound.total_ns;
	finding_fill(d, in, over_ns, ret);
}

void rk_detect_take_up(struct rk_detect *d, uint64_t now_ns)
{
	if (d->look_ns)
		d->spent.void_ns += now_ns - rk_min_u64(now_ns, d->look_ns);
	d->look_ns = d->pause_seen_ns = 0;
	d->pause = RK_VERDICT_FINE;
	d->is_doubtful = d->is_suspect = false;
	if (d->blame != RK_VERDICT_FINE)
		d->blamed_ns = now_ns; /* nobody may have answered it yet: SIGABRT comes before SIGKILL */
}

uint64_t rk_detect_next_tick_ns(bool is_any_suspect, bool is_all_idle)
{
	if (is_any_suspect)
		return RK_DETECT_FAST_NS;
	return is_all_idle ? 0 : RK_DETECT_TICK_NS;
}

/* ---- for people ---- */

const char *rk_verdict_name(enum rk_verdict verdict)
{
	static const char *const names[] = {
		"fine",     "waiting", "starved",       "blind",       "gone", "suspect",
		"late",     "stopped", "traced",        "frozen",      "loop", "asleep",
		"livelock", "disk",    "start-timeout", "stop-timeout"
	};

	static_assert(rk_countof(names) == RK_VERDICTS, "a name for every verdict");
	return (unsigned int)verdict < RK_VERDICTS ? names[verdict] : "?";
}

const char *rk_phase_name(enum rk_phase phase)
{
	static const char *const names[] = { "idle", "starting", "working", "pending", "stopping" };

	static_assert(rk_countof(names) == RK_PHASES, "a name for every phase");
	return (unsigned int)phase < RK_PHASES ? names[phase] : "?";
}

static unsigned long ms(uint64_t ns)
{
	return (unsigned long)(ns / RK_NS_PER_MS);
}

const char *rk_detect_format(const struct rk_finding *f, char text[static RK_DETECT_LINE])
{
	const struct rk_detect_spent *s = &f->spent;

	(void)snprintf(
		text, RK_DETECT_LINE,
		"%s for %lu ms (%s, bound %lu ms): burnt %lu, asleep %lu, disk %lu, starved %lu, "
		"paused %lu, void %lu ms; threads %u in %u processes, %u runnable, %u not read%s",
		rk_verdict_name(f->verdict), ms(f->stalled_ns), rk_phase_name(f->phase),
		ms(f->bound_ns), ms(s->burnt_ns), ms(s->asleep_ns), ms(s->disk_ns),
		ms(s->starved_ns), ms(s->paused_ns), ms(s->void_ns), f->look.n_threads,
		f->look.n_processes, f->look.n_running + f->look.n_starved, f->look.n_unread,
		f->look.is_cut ? ", not all looked at" : "");
	return text;
}
