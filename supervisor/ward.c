/* SPDX-License-Identifier: Apache-2.0 */
#define RCU_MEMB
#include "supervisor/ward.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <urcu.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "shm/bell.h"
#include "shm/vigil.h"
#include "supervisor/ward_private.h"

#define RESTS_AFTER 25u                /* ticks without a look, about a second */
#define DEEP_EACH 32u                  /* ticks, of one that seems asleep */
#define FOREVER_NS (UINT64_MAX / 8)    /* "infinity": sums of bounds do not wrap */
#define UNSEEN_NS (250 * RK_NS_PER_MS) /* of a start: most are over by then, and a look is dear */

/* Whose process a slot has. Immutable once published. */
struct subject {
	struct rcu_head head;
	pid_t pid;
	int pidfd; /* its own */
	uint64_t incarnation;
	enum rk_ward_stand stand; /* when it was first followed */
};

struct rules {
	struct rcu_head head;
	struct rk_ward_rules r;
};

/* What the guard knows of a slot; private to it. */
struct charge {
	struct rk_ward_past past;   /* incarnation 0 = nobody */
	bool is_taken_up;           /* from another supervisor, and not looked at yet */
	struct rk_observe *observe; /* NULL: not looked at lately */
	int pidfd;                  /* with it; -1 */
	uint32_t n_unneeded;        /* ticks without a look */
	enum rk_ward_stand told_stand;
	enum rk_response told;
	enum rk_verdict told_verdict;
	uint64_t told_job;
};

/* What a glance at a slot needs, close together. */
struct rest {
	uint32_t n_follows; /* as of the last tick that went into it */
	bool is_idle;       /* it was idle then, nothing was wrong with it and nothing held up */
};

struct rk_ward {
	const struct rk_shm *m;
	uint32_t n_slots;
	_Atomic(struct rules *) rules;      /* by RCU */
	_Atomic(struct subject *) *subject; /* by RCU */
	_Atomic uint32_t *n_follows;        /* per slot; the loop counts, behind the subject */
	struct charge *charge;
	struct rest *rest;
	uint64_t *soon;                  /* a bit per slot: short ticks are for these */
	uint32_t n_whole;                /* ticks */
	struct rk_ward_watcher *watcher; /* the guard's; NULL before it joins */
	bool is_gathering;               /* the loop's: rk_ward_begin() */
	int fd;
	_Atomic(struct rk_ward_finding *) news; /* newest first */
	_Atomic uint32_t n_unread;
	struct rk_ward_finding *read; /* oldest first; the loop's */
};

/* ---- rules ---- */

static uint64_t bound_ns(uint64_t ns)
{
	return rk_min_u64(ns, FOREVER_NS);
}

/* Where 0 means none. */
static uint64_t limit_ns(uint64_t ns)
{
	return ns == RK_INFINITE ? 0 : bound_ns(ns);
}

/* 0: a job's own deadline, else the detector's default, which is the table's. */
static uint64_t hang_ns(const struct rk_fleet_options *o, bool has_hang_after)
{
	if (has_hang_after)
		return bound_ns(o->hang_after_ns);
	/* That Blocking=no finds sleepers at once is the detector's rule; who burns CPU is at work.
	 */
	return o->hang_after_ns == RK_DETECT_HANG_NS || !o->is_blocking
		       ? 0
		       : bound_ns(o->hang_after_ns);
}

struct rk_ward_rules rk_ward_rules(const struct rk_fleet_options *o, bool has_hang_after)
{
	return (struct rk_ward_rules){
		.bounds = { .hang_after_ns = hang_ns(o, has_hang_after),
			    .job_timeout_ns = limit_ns(o->job_timeout_ns),
			    .start_timeout_ns = limit_ns(o->start_timeout_ns),
			    .is_nonblocking = !o->is_blocking },
		.policies = { .on_hang = (enum rk_policy)o->on_hang,
			      .on_paused = (enum rk_policy)o->on_paused,
			      .core_timeout_ns = o->core_timeout_ns },
	};
}

static void rules_free(struct rcu_head *head)
{
	free(caa_container_of(head, struct rules, head));
}

int rk_ward_rule(struct rk_ward *w, const struct rk_ward_rules *r)
{
	struct rules *new = calloc(1, sizeof(*new)), *old;

	if (!new)
		return -ENOMEM;
	new->r = *r;
	old = atomic_exchange_explicit(&w->rules, new, memory_order_acq_rel);
	if (old)
		call_rcu(&old->head, rules_free);
	return 0;
}

/* ---- findings ---- */

static struct rk_ward_finding *finding_new(bool has_evidence)
{
	struct rk_ward_finding *f =
		calloc(1, sizeof(*f) + (has_evidence ? sizeof(struct rk_evidence) : 0));

	if (f && has_evidence)
		f->evidence = (struct rk_evidence *)(void *)(f + 1);
	return f;
}

static void finding_push(struct rk_ward *w, struct rk_ward_finding *f)
{
	atomic_fetch_add_explicit(&w->n_unread, 1, memory_order_relaxed); /* a bound */
	/* Relaxed: the CAS decides. */
	f->next = atomic_load_explicit(&w->news, memory_order_relaxed);
	/* H3: release; pairs with H4. */
	while (!atomic_compare_exchange_weak_explicit(&w->news, &f->next, f, memory_order_release,
						      memory_order_relaxed))
		;
	(void)eventfd_write(w->fd, 1); /* fails only when 2^64 - 2 are unread */
}

int rk_ward_fd(const struct rk_ward *w)
{
	return w->fd;
}

void rk_ward_drain(struct rk_ward *w)
{
	eventfd_t value;

	(void)eventfd_read(w->fd, &value);
}

struct rk_ward_finding *rk_ward_next(struct rk_ward *w)
{
	struct rk_ward_finding *f;

	if (!w->read) {
		/* H4: acquire; pairs with H3. */
		f = atomic_exchange_explicit(&w->news, NULL, memory_order_acquire);
		while (f) { /* newest first: turned around */
			struct rk_ward_finding *next = f->next;

			f->next = w->read;
			w->read = f;
			f = next;
		}
	}
	f = w->read;
	if (f) {
		w->read = f->next;
		atomic_fetch_sub_explicit(&w->n_unread, 1, memory_order_relaxed);
	}
	return f;
}

/* ---- telling ---- */

static enum rk_ward_stand stand_of(const struct rk_finding *f)
{
	if (f->verdict >= RK_VERDICT_STOPPED && f->verdict <= RK_VERDICT_FROZEN)
		return RK_WARD_PAUSED;
	return f->is_suspect || f->verdict >= RK_VERDICT_LOOP ? RK_WARD_SUSPECT : RK_WARD_SOUND;
}

/* HOLD is what a stand of SUSPECT says already. */
static enum rk_response response_of(const struct rk_finding *f, const struct rk_policies *p)
{
	enum rk_response r = rk_respond(f->verdict, p, f->blamed_for_ns);

	return r == RK_RESPOND_HOLD ? RK_RESPOND_NONE : r;
}

/* Known as paused, and seen so again for the first time: it stays so until the second look. */
static bool is_half_seen(const struct charge *c, const struct rk_finding *f)
{
	return c->told_stand == RK_WARD_PAUSED && f->verdict < RK_VERDICT_STOPPED &&
	       (f->look.is_stopped || f->look.is_traced || f->look.is_frozen);
}

static bool is_news(const struct charge *c, const struct rk_finding *f, enum rk_ward_stand stand,
		    enum rk_response response)
{
	if (stand != c->told_stand || response != c->told)
		return true;
	return response != RK_RESPOND_NONE &&
	       (f->verdict != c->told_verdict || f->job != c->told_job);
}

/* Once per verdict: KILL behind ABORT has the evidence that ABORT had. */
static bool wants_evidence(const struct charge *c, const struct rk_finding *f,
			   enum rk_response response)
{
	return response >= RK_RESPOND_REPORT && response != RK_RESPOND_CANCEL &&
	       !(c->told >= RK_RESPOND_REPORT && c->told != RK_RESPOND_CANCEL &&
		 c->told_verdict == f->verdict && c->told_job == f->job);
}

static void tell(struct rk_ward *w, uint32_t slot, const struct subject *s,
		 const struct rk_finding *f, const struct rk_policies *p)
{
	struct charge *c = &w->charge[slot];
	enum rk_ward_stand stand = stand_of(f);
	enum rk_response response = response_of(f, p);
	const struct rk_evidence_case about = { .worker = slot,
						.pid = s->pid,
						.incarnation = s->incarnation,
						.wall_ns = rk_clock_wall_ns(),
						.response = response };
	struct rk_ward_finding *news;

	if (is_half_seen(c, f) || !is_news(c, f, stand, response) ||
	    atomic_load_explicit(&w->n_unread, memory_order_relaxed) >= RK_WARD_UNREAD_MAX)
		return;
	news = finding_new(wants_evidence(c, f, response));
	if (!news)
		return; /* the next tick tries again */
	news->slot = slot;
	news->pid = s->pid;
	news->incarnation = s->incarnation;
	news->stand = stand;
	news->response = response;
	news->found = *f;
	if (news->evidence)
		rk_evidence_gather(&about, f, c->observe, (struct rk_evidence *)(void *)(news + 1));
	c->told_stand = stand;
	c->told = response;
	c->told_verdict = f->verdict;
	c->told_job = f->job;
	finding_push(w, news);
}

/* ---- looking ---- */

static void charge_rest(struct charge *c)
{
	rk_observe_close(c->observe);
	c->observe = NULL;
	rk_close_p(&c->pidfd);
	c->n_unneeded = 0;
}

/* Another process, or one that another supervisor has seen before. */
static void charge_begin(struct rk_ward *w, uint32_t slot, const struct subject *s)
{
	struct charge *c = &w->charge[slot];
	uint64_t now_ns = rk_clock_ns();

	charge_rest(c);
	*c = (struct charge){ .past.begun_ns = now_ns, .pidfd = -1 };
	if (!s)
		return;
	c->past.incarnation = s->incarnation;
	c->told_stand = s->stand;
	c->is_taken_up = rk_ward_recall(w->m, slot, s->incarnation, now_ns, &c->past);
}

/* It has just been started. What is not seen does not count: its time-out ends so much later. */
static bool is_fresh(const struct charge *c, const struct rk_detect_bounds *b,
		     const struct rk_detect_input *in)
{
	uint64_t unseen_ns =
		b->start_timeout_ns ? rk_min_u64(UNSEEN_NS, b->start_timeout_ns / 4) : UNSEEN_NS;

	return in->beat.state == RK_BEAT_STARTING && in->now_ns - c->past.begun_ns < unseen_ns;
}

/* Fills *ret as far as the process can be seen: what it cannot, ret->error says. */
static void charge_look(struct rk_ward *w, struct charge *c, const struct subject *s,
			bool want_list, uint64_t now_ns, struct rk_look *ret)
{
	int r = 0;

	c->n_unneeded = 0;
	if (!c->observe) {
		c->pidfd = fcntl(s->pidfd, F_DUPFD_CLOEXEC, 0);
		r = rk_observe_open(&w->watcher->observatory, s->pid, c->pidfd, &c->observe);
	}
	if (r < 0) {
		rk_close_p(&c->pidfd);
		*ret = (struct rk_look){ .at_ns = now_ns,
					 .is_first = true,
					 .is_gone = r == -ESRCH,
					 .error = r == -ESRCH ? 0 : r };
		return;
	}
	rk_observe_look(c->observe, want_list, now_ns, ret);
}

static void charge_unneeded(struct charge *c)
{
	if (c->observe && ++c->n_unneeded >= RESTS_AFTER)
		charge_rest(c);
}

/* When it was judged last it was idle, and nothing was wrong with it. */
static bool was_idle(const struct charge *c)
{
	return c->past.detect.is_begun && c->past.detect.phase == RK_PHASE_IDLE &&
	       c->told_stand == RK_WARD_SOUND && c->told == RK_RESPOND_NONE;
}

/*
 * Work has come to one that is parked and it has not woken. It does so within microseconds where a
 * CPU is free, so a look is worth while before the next whole tick: it may have been stopped.
 */
static bool is_slow_to_wake(const struct charge *c, const struct rk_detect_input *in)
{
	return c->past.detect.phase == RK_PHASE_PENDING && !in->look && in->beat.state == RK_BEAT_PARKED;
}

/*
 * A first look is only one end of an interval. This supervisor may not live long either: the sooner the
 * second one, the more comes of it.
 */
static bool is_one_end(const struct charge *c, const struct rk_detect_input *in)
{
	return c->is_taken_up && in->look;
}

/* It was idle, and is: nothing to judge. */
static bool is_quiet(const struct charge *c, const struct rk_detect_input *in)
{
	return was_idle(c) && rk_detect_is_idle(&in->beat, in->pending_since_ns);
}

/*
 * At a glance: it was idle, has its process still, and by its bell it sleeps and nobody waits for
 * it. That is most workers at most ticks: neither a clock is read for them nor their page, each
 * of which lies far from the others and costs a microsecond or two. Now and then a tick goes
 * into its page all the same, since who may ring may also write to the bell.
 */
static bool is_asleep(const struct rk_ward *w, uint32_t slot)
{
	const struct rest *r = &w->rest[slot];

	return r->is_idle && (w->n_whole + slot) % DEEP_EACH != 0 &&
	       /* Acquire; pairs with the release in rk_ward_follow(). */
	       atomic_load_explicit(&w->n_follows[slot], memory_order_acquire) == r->n_follows &&
	       rk_vigil_seems_asleep(w->m, slot);
}

static void see_soon(struct rk_ward *w, uint32_t slot, bool is_soon, struct rk_ward_tick *tick)
{
	uint64_t bit = 1ull << slot % 64;

	if (is_soon)
		w->soon[slot / 64] |= bit;
	else
		w->soon[slot / 64] &= ~bit;
	tick->is_any_suspect |= is_soon;
}

static void charge_judge(struct rk_ward *w, uint32_t slot, const struct subject *s,
			 const struct rk_ward_rules *rules, struct rk_detect_input *in,
			 struct rk_ward_tick *tick)
{
	struct charge *c = &w->charge[slot];
	enum rk_detect_need need;
	struct rk_finding f;
	struct rk_look look;

	if (rules->bounds.is_nonblocking && in->beat.state == RK_BEAT_RUNNING)
		in->is_pressed = rk_pressure_is_high(&w->watcher->pressure, in->now_ns);
	need = is_fresh(c, &rules->bounds, in) ? RK_DETECT_NOTHING
					       : rk_detect_need(&rules->bounds, &c->past.detect, in);
	if (need == RK_DETECT_NOTHING) {
		charge_unneeded(c);
	} else {
		charge_look(w, c, s, need == RK_DETECT_LIST, in->now_ns, &look);
		in->look = &look;
	}
	rk_detect_step(&rules->bounds, &c->past.detect, in, &f);
	rk_ward_note(w->m, slot, &c->past); /* before it is told: who is killed behind it tells it again */
	see_soon(w, slot, f.is_suspect || is_slow_to_wake(c, in) || is_one_end(c, in), tick);
	c->is_taken_up = c->is_taken_up && !in->look;
	tell(w, slot, s, &f, &rules->policies);
	tick->is_any_awake |= c->told_stand != RK_WARD_SOUND || c->told != RK_RESPOND_NONE;
}

static void slot_look(struct rk_ward *w, uint32_t slot, const struct rk_ward_rules *rules,
		      struct rk_ward_tick *tick)
{
	/* H2: seq_cst; pairs with H1. */
	const struct subject *s = atomic_load_explicit(&w->subject[slot], memory_order_seq_cst);
	struct charge *c = &w->charge[slot];
	struct rk_detect_input in;

	if (c->past.incarnation != (s ? s->incarnation : 0))
		charge_begin(w, slot, s);
	if (!s) {
		see_soon(w, slot, false, tick);
		return;
	}
	in = (struct rk_detect_input){ .now_ns = rk_clock_ns(), .lateness_ns = tick->lateness_ns };
	in.boot_ns = rk_clock_boot_ns(); /* at once behind the other: their difference counts */
	rk_detect_hear(rk_shm_beat(w->m, slot), s->incarnation, &in.beat);
	if (!rk_vigil_has_work(w->m, slot))
		c->past.pending_since_ns = 0;
	else if (!c->past.pending_since_ns)
		c->past.pending_since_ns = in.now_ns;
	in.pending_since_ns = c->past.pending_since_ns;
	tick->is_any_awake |= in.beat.state != RK_BEAT_PARKED || in.pending_since_ns;
	if (!is_quiet(c, &in)) {
		charge_judge(w, slot, s, rules, &in, tick);
		return;
	}
	see_soon(w, slot, false, tick);
	charge_unneeded(c);
}

static void slot_tick(struct rk_ward *w, uint32_t slot, const struct rk_ward_rules *rules,
		      struct rk_ward_tick *tick)
{
	struct charge *c = &w->charge[slot];

	if (is_asleep(w, slot))
		return;
	/* Before the subject: one that comes later counts at the next tick. */
	w->rest[slot].n_follows = atomic_load_explicit(&w->n_follows[slot], memory_order_acquire);
	slot_look(w, slot, rules, tick);
	/* With an observation open its ticks have to be counted, until it rests. */
	w->rest[slot].is_idle = was_idle(c) && !c->past.pending_since_ns && !c->observe;
}

static void short_tick(struct rk_ward *w, const struct rk_ward_rules *rules,
		       struct rk_ward_tick *tick)
{
	for (uint32_t i = 0; i < (w->n_slots + 63) / 64; i++)
		for (uint64_t soon = w->soon[i]; soon; soon &= soon - 1)
			slot_tick(w, i * 64 + (uint32_t)__builtin_ctzll(soon), rules, tick);
}

void rk_ward_enter(struct rk_ward *w, struct rk_ward_watcher *watcher)
{
	const struct {
		const void *at;
		size_t size;
	} read_each_tick[] = {
		{ w->charge, w->n_slots * sizeof(*w->charge) },
		{ w->subject, w->n_slots * sizeof(*w->subject) },
		{ w->n_follows, w->n_slots * sizeof(*w->n_follows) },
		{ w->rest, w->n_slots * sizeof(*w->rest) },
		{ w->soon, (w->n_slots + 63) / 64 * sizeof(*w->soon) },
		{ w, sizeof(*w) },
	};

	w->watcher = watcher;
	for (size_t i = 0; watcher->is_locked && i < rk_countof(read_each_tick); i++)
		(void)mlock2(read_each_tick[i].at, read_each_tick[i].size, MLOCK_ONFAULT);
}

void rk_ward_tick(struct rk_ward *w, struct rk_ward_tick *tick)
{
	rcu_read_lock();
	{
		/* Acquire; pairs with the release in rk_ward_rule(). */
		const struct rules *rules = atomic_load_explicit(&w->rules, memory_order_acquire);

		w->n_whole += !tick->is_short;
		if (tick->is_short)
			short_tick(w, &rules->r, tick);
		else
			for (uint32_t i = 0; i < w->n_slots; i++)
				slot_tick(w, i, &rules->r, tick);
	}
	rcu_read_unlock();
}

bool rk_ward_is_needless(const struct rk_ward *w)
{
	bool is_needless = true;

	rcu_read_lock();
	for (uint32_t i = 0; is_needless && i < w->n_slots; i++) {
		/* H2, behind V1: a process that is followed later rings. */
		const struct subject *s =
			atomic_load_explicit(&w->subject[i], memory_order_seq_cst);

		is_needless = !s || rk_vigil_is_needless(w->m, i, s->incarnation);
	}
	rcu_read_unlock();
	return is_needless;
}

void rk_ward_rest(struct rk_ward *w)
{
	for (uint32_t i = 0; i < w->n_slots; i++)
		charge_rest(&w->charge[i]);
}

_Atomic uint32_t *rk_ward_vigil(const struct rk_ward *w)
{
	return rk_shm_vigil(w->m);
}

/* ---- the loop's side ---- */

static void subject_free(struct rcu_head *head)
{
	struct subject *s = caa_container_of(head, struct subject, head);

	rk_close_p(&s->pidfd);
	free(s);
}

static int subject_new(const struct rk_ward_subject *who, struct subject **ret)
{
	rk_cleanup(rk_close_p) int own = fcntl(who->pidfd, F_DUPFD_CLOEXEC, 0);
	struct subject *s = own < 0 ? NULL : calloc(1, sizeof(*s));

	if (!s)
		return own < 0 ? -errno : -ENOMEM;
	*s = (struct subject){ .pid = who->pid, .incarnation = who->incarnation, .stand = who->stand };
	s->pidfd = own;
	own = -1;
	*ret = s;
	return 0;
}

int rk_ward_follow(struct rk_ward *w, uint32_t slot, const struct rk_ward_subject *who)
{
	struct subject *new = NULL, *old;
	int r = who->pid ? subject_new(who, &new) : 0;

	/* H1: seq_cst, before the look at the bell; pairs with H2. */
	old = atomic_exchange_explicit(&w->subject[slot], new, memory_order_seq_cst);
	/* Release; pairs with the acquires in is_asleep() and slot_tick(). */
	atomic_fetch_add_explicit(&w->n_follows[slot], 1, memory_order_release);
	if (old)
		call_rcu(&old->head, subject_free);
	if (w->watcher && !w->is_gathering)
		rk_bell_ring(w->watcher->bell);
	return r;
}

void rk_ward_begin(struct rk_ward *w)
{
	w->is_gathering = true;
}

void rk_ward_end(struct rk_ward *w)
{
	w->is_gathering = false;
	if (w->watcher)
		rk_bell_ring(w->watcher->bell);
}

static void *table_map(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

int rk_ward_new(const struct rk_shm *m, uint32_t n_slots, const struct rk_ward_rules *rules,
		struct rk_ward **ret)
{
	struct rk_ward *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	if (!w)
		return r;
	w->m = m;
	w->n_slots = n_slots;
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->subject = calloc(n_slots, sizeof(*w->subject));
	w->charge = table_map(n_slots * sizeof(*w->charge));
	w->n_follows = calloc(n_slots, sizeof(*w->n_follows));
	w->rest = calloc(n_slots, sizeof(*w->rest));
	w->soon = calloc((n_slots + 63) / 64, sizeof(*w->soon));
	if (w->fd >= 0 && w->subject && w->n_follows && w->charge && w->rest && w->soon)
		r = rk_ward_rule(w, rules);
	if (r < 0) {
		rk_ward_free(w);
		return r;
	}
	for (uint32_t i = 0; i < n_slots; i++)
		w->charge[i].pidfd = -1;
	*ret = w;
	return 0;
}

void rk_ward_free(struct rk_ward *w)
{
	struct rk_ward_finding *f;

	if (!w)
		return;
	for (uint32_t i = 0; w->subject && i < w->n_slots; i++) {
		struct subject *s = atomic_load_explicit(&w->subject[i], memory_order_relaxed);

		if (s)
			subject_free(&s->head);
	}
	while ((f = rk_ward_next(w)) != NULL)
		free(f);
	rk_close_p(&w->fd);
	free(atomic_load_explicit(&w->rules, memory_order_relaxed));
	free(w->subject);
	free(w->n_follows);
	free(w->rest);
	free(w->soon);
	if (w->charge)
		(void)munmap(w->charge, w->n_slots * sizeof(*w->charge));
	free(w);
}
