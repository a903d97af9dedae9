/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/ahead.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "shm/part.h"
#include "shm/words.h"
#include "workers/lib/handle.h"

#define TURN_MAX 16u     /* places of one partition, then another gets its turn */
#define QUIET_VISITS 64u /* in vain, until a partition's bit is cleared */

/* One look at what there is. */
struct round {
	struct worker *w;
	uint32_t n, max;
	rk_on_ahead on;
	void *arg;
	struct rk_err *err;
};

int rk_worker_open_ahead(struct rk_worker **ret, const struct rk_worker_def *def)
{
	return rk_handle_open(ret, def, true);
}

static uint64_t cursor_of(const struct partition *part)
{
	return rk_commit_cursor(part->owner.commit);
}

static bool is_under_way(const struct partition *part)
{
	return part->open && part->shown != cursor_of(part);
}

/* Returns 0, 1 if it is not ours, or -errno. */
static int take_up(struct worker *w, uint32_t p, struct rk_err *err)
{
	struct partition *part = &w->partitions[p];
	int r = rk_partition_open(w, p, err);

	if (r != 0)
		return r;
	part->shown = cursor_of(part);
	/* What a predecessor committed and did not deliver. */
	return rk_owner_settle(&part->owner) < 0 ? rk_err_set(err, -ESTALE, "partition %u was taken away", p) : 0;
}

/* Shows one place. Returns whether there was one. */
static bool show(struct round *d, uint32_t p)
{
	struct partition *part = &d->w->partitions[p];
	struct rk_owner_job job;
	enum rk_owner_ahead found;
	struct rk_ahead place = { .partition = p, .number = part->shown };

	if (rk_pos_add(cursor_of(part), d->w->m.g.n_ring) == part->shown)
		return false; /* the whole ring is under way */
	found = rk_owner_look_ahead(&part->owner, part->shown, &job);
	if (found == RK_OWNER_AHEAD_NONE)
		return false;
	place.is_void = found == RK_OWNER_AHEAD_VOID;
	if (!place.is_void) {
		place.key = job.key;
		place.key_len = job.key_len;
		place.body = job.body;
		place.len = job.len;
		place.deadline_ns = job.deadline_ns;
		place.attempts = rk_owner_attempts(&part->owner, place.number);
	}
	part->shown = rk_pos_add(part->shown, 1);
	d->n++;
	d->on(&place, d->arg);
	return true;
}

/* One partition's turn. Returns whether it did anything, or -errno. */
static int visit(struct round *d, uint32_t p)
{
	struct partition *part = &d->w->partitions[p];
	uint32_t n = 0;
	int r;

	if (rk_unlikely(rk_part_is_asked(&d->w->m, p, d->w->number)))
		return is_under_way(part) ? 0 : rk_partition_release(d->w, p, d->err);
	if (!part->open) {
		r = take_up(d->w, p, d->err);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	while (n < TURN_MAX && d->n < d->max && show(d, p))
		n++;
	return n > 0;
}

/* A partition whose bit is set; the bit stays while work keeps coming (worker.c, turn()). */
static int turn(struct round *d, uint32_t p)
{
	struct partition *part = &d->w->partitions[p];
	int r = visit(d, p);

	if (r != 0 || d->n == d->max || ++part->n_quiet < QUIET_VISITS) {
		part->n_quiet = r > 0 ? 0 : part->n_quiet;
		return r;
	}
	part->n_quiet = 0;
	/* O1: as in worker.c: a bit set later is for work we may not see. */
	atomic_fetch_and_explicit(rk_worker_pending_word(d->w, p), ~(1ull << p % 64), memory_order_seq_cst);
	r = visit(d, p);
	if (r > 0)
		atomic_fetch_or_explicit(rk_worker_pending_word(d->w, p), 1ull << p % 64, memory_order_relaxed);
	return r;
}

/* Every partition whose bit is set, in turn from where the last round ended. */
static int scan(struct round *d)
{
	struct worker *w = d->w;
	uint32_t from = w->scan_from;

	for (uint32_t k = 0; k < w->m.g.n_partitions && d->n < d->max; k++) {
		uint32_t p = (from + k) % w->m.g.n_partitions;
		uint64_t bits = atomic_load_explicit(rk_worker_pending_word(w, p), memory_order_acquire) >> p % 64;
		int r;

		if (!bits) { /* none in the rest of this word, or of the partitions */
			k += rk_min_u32(63 - p % 64, w->m.g.n_partitions - 1 - p);
			continue;
		}
		if (!(bits & 1))
			continue;
		r = turn(d, p);
		if (r < 0)
			return r;
		w->scan_from = p + 1;
	}
	return (int)d->n;
}

/* What is to be handed over, also where no bit says so. */
static int give_back(struct worker *w, struct rk_err *err)
{
	uint32_t p = rk_worker_find_asked(w);

	for (; p < w->m.g.n_partitions; p++) {
		int r;

		if (!rk_part_is_asked(&w->m, p, w->number) || is_under_way(&w->partitions[p]))
			continue;
		r = rk_partition_release(w, p, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int look(struct rk_worker *k, uint32_t max, rk_on_ahead on, void *arg, struct rk_err *err)
{
	struct round d = { .w = &k->w, .max = max, .on = on, .arg = arg, .err = err };

	if (rk_unlikely(rk_orphan_is_over(&k->w.orphan, &k->w.m, k->w.number)))
		return rk_err_set(err, -EOWNERDEAD,
				  "keeper is dead, and no other has come within OrphanTimeout: this worker ends");
	if (rk_worker_must_stop(&k->w))
		return RK_STOP;
	if (rk_unlikely(rk_worker_is_paused(&k->w)))
		return give_back(&k->w, err);
	return max ? scan(&d) : 0;
}

int rk_worker_ahead(struct rk_worker *k, uint32_t max, rk_on_ahead on, void *arg)
{
	struct rk_err err;
	int r = look(k, max, on, arg, &err);

	if (r < 0 && r != RK_STOP)
		rk_handle_give_up(k, r, err.text);
	if (k->w.told && !k->w.opened_space)
		rk_worker_open_space(&k->w);
	return r;
}

void rk_worker_look_from(struct rk_worker *k, uint32_t partition)
{
	k->w.scan_from = partition % k->w.m.g.n_partitions;
}

/* What is to be looked at, or given back, now: what is under way in a partition that is to be given back is awaited. */
static bool has_work(const struct worker *w)
{
	if (!rk_worker_is_paused(w))
		return rk_worker_has_pending(w);
	for (uint32_t p = rk_worker_find_asked(w); p < w->m.g.n_partitions; p++)
		if (rk_part_is_asked(&w->m, p, w->number) && !is_under_way(&w->partitions[p]))
			return true;
	return false;
}

/* Commits up to `number`. Returns 0, -EAGAIN, -EBUSY or -ESTALE. */
static int run_to(struct worker *w, struct partition *part, uint64_t number)
{
	struct rk_owner *o = &part->owner;

	while (!rk_pos_before(number, cursor_of(part))) {
		uint64_t n = (number - cursor_of(part) + 1) & RK_MASK48;
		int r;

		o->batch_max = (uint32_t)rk_min_u64(n, w->batch_max);
		r = rk_owner_step(o, rk_partition_run, w);
		if (r == 0)
			return -EBUSY; /* a dead letter without room */
		if (r < 0)
			return r;
	}
	return 0;
}

int rk_worker_run_to(struct rk_worker *k, uint32_t p, uint64_t number)
{
	struct partition *part = p < k->w.m.g.n_partitions ? &k->w.partitions[p] : NULL;
	struct rk_owner before;
	struct rk_err err;
	int r;

	if (!part || !part->open || !rk_pos_before(number, part->shown))
		return -EINVAL;
	before.n_jobs = part->owner.n_jobs;
	before.n_errors = part->owner.n_errors;
	before.n_without_effect = part->owner.n_without_effect;
	before.n_refused = part->owner.n_refused;
	r = run_to(&k->w, part, number);
	if (part->owner.n_jobs != before.n_jobs) {
		/* Relaxed: this thread alone writes it. */
		if (rk_unlikely(!atomic_load_explicit(&k->w.beat->first_commit_ns, memory_order_relaxed)))
			rk_worker_stamp_first_commit(&k->w, &part->owner);
		rk_worker_note_progress(&k->w, &part->owner, &before);
	}
	if (r == -EAGAIN)
		part->shown = cursor_of(part);
	if (r == -ESTALE)
		(void)rk_err_set(&err, r, "partition %u was taken away", p);
	else if (rk_unlikely(rk_part_is_asked(&k->w.m, p, k->w.number)) && !is_under_way(part))
		r = rk_partition_release(&k->w, p, &err) < 0 ? -ESTALE : r; /* its bit may be gone: now or never */
	if (r == -ESTALE)
		rk_handle_give_up(k, r, err.text);
	return r;
}

void rk_worker_declare(struct rk_worker *k, const struct rk_under_way *job, bool is_charged)
{
	struct rk_beat *b = k->w.beat;

	if (!k->w.told)
		return;
	k->is_declared = job != NULL;
	if (!job) {
		atomic_store_explicit(&b->state, RK_BEAT_READY, memory_order_release);
		return;
	}
	/* Relaxed: evidence for the watcher, as in owner.c. Of another incarnation it is charged to nobody. */
	atomic_store_explicit(&b->job, job->number, memory_order_relaxed);
	atomic_store_explicit(&b->deadline_ns, job->deadline_ns, memory_order_relaxed);
	atomic_store_explicit(&b->partition, job->partition, memory_order_relaxed);
	atomic_store_explicit(&b->owner_incarnation, is_charged ? k->w.partitions[job->partition].owner.incarnation : 0,
			      memory_order_relaxed);
	atomic_store_explicit(&b->state, RK_BEAT_RUNNING, memory_order_release);
}

void rk_worker_declare_probe(struct rk_worker *k, uint64_t number, uint64_t deadline_ns)
{
	struct rk_beat *b = k->w.beat;

	if (!k->w.told)
		return;
	k->is_declared = true;
	/* Relaxed: as above; nobody's job. */
	atomic_store_explicit(&b->job, number, memory_order_relaxed);
	atomic_store_explicit(&b->deadline_ns, deadline_ns, memory_order_relaxed);
	atomic_store_explicit(&b->partition, RK_BEAT_SIGN, memory_order_relaxed);
	atomic_store_explicit(&b->owner_incarnation, 0, memory_order_relaxed);
	atomic_store_explicit(&b->state, RK_BEAT_RUNNING, memory_order_release);
}

void rk_worker_beat(struct rk_worker *k)
{
	/* Relaxed: a sign for the watcher, which needs no order. */
	atomic_fetch_add_explicit(&k->w.beat->beats, 1, memory_order_relaxed);
}

void rk_worker_announce(struct rk_worker *k)
{
	k->w.ready_ns = rk_clock_ns();
	k->is_declared = false;
	atomic_store_explicit(&k->w.beat->state, RK_BEAT_READY, memory_order_release);
	rk_worker_tell_ready(&k->w);
}

bool rk_worker_arm(struct rk_worker *k, bool for_jobs)
{
	return rk_handle_arm(k, for_jobs || rk_worker_is_paused(&k->w) ? has_work : NULL);
}

void rk_worker_disarm(struct rk_worker *k)
{
	rk_handle_disarm(k);
}

void rk_worker_heard(struct rk_worker *k)
{
	rk_wake_drain(&k->wake);
}

uint32_t rk_worker_slot(const struct rk_worker *k)
{
	return k->w.number;
}

uint64_t rk_worker_incarnation(const struct rk_worker *k)
{
	return k->w.incarnation;
}

uint32_t rk_worker_partitions(const struct rk_worker *k)
{
	return k->w.m.g.n_partitions;
}

uint32_t rk_worker_reply_max(const struct rk_worker *k)
{
	return k->w.m.g.reply_max;
}

void rk_worker_last_words(struct rk_worker *k, const char *text)
{
	(void)snprintf(k->w.beat->last_words, sizeof(k->w.beat->last_words), "%s", text);
}
