/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/owner.h"

#include <errno.h>
#include <string.h>

#include "shm/bell.h"
#include "shm/copy.h"
#include "shm/dead.h"
#include "shm/deliver.h"
#include "shm/fault.h"
#include "shm/part.h"
#include "shm/queue.h"
#include "shm/words.h"

/* Only evicted owners compete for the gate: more rounds mean damaged memory. */
#define GATE_ROUNDS 1000

int rk_owner_look(const struct rk_shm *m, uint32_t partition, uint32_t worker)
{
	/* O2: acquire; pairs with A2. */
	uint64_t owner = atomic_load_explicit(&rk_shm_part(m, partition)->owner, memory_order_acquire);

	if (rk_owner_worker(owner) != worker || rk_owner_flag(owner) != RK_OWNER_RUN)
		return -ESTALE;
	if (rk_owner_bank(owner) >= m->g.n_banks)
		return -ESTALE;
	return (int)rk_owner_bank(owner);
}

/* The break FREED: what its predecessor committed is taken for delivered. */
static void recycle_undelivered(struct rk_owner *o)
{
	struct rk_part *part = rk_shm_part(o->m, o->partition);

	for (; rk_pos_before(o->freed, rk_commit_cursor(o->commit)); o->freed = rk_pos_add(o->freed, 1)) {
		uint64_t ref = rk_queue_peek(o->m, o->partition, o->freed), freed = o->freed;

		if (ref)
			rk_queue_recycle(o->m, o->partition, o->freed, ref);
		atomic_compare_exchange_strong_explicit(&part->freed, &freed, rk_pos_add(freed, 1),
							memory_order_acq_rel, memory_order_relaxed);
	}
}

int rk_owner_open(struct rk_owner *o, const struct rk_shm *m, uint32_t partition, uint32_t worker, uint32_t bank,
		  void *mapped, void *room)
{
	struct rk_part *part = rk_shm_part(m, partition);
	uint64_t owner = atomic_load_explicit(&part->owner, memory_order_acquire);

	*o = (struct rk_owner){ .m = m, .partition = partition, .worker = worker, .batch_max = 1,
				.singles = RK_BATCH_MAX, .request = room };
	if (rk_owner_look(m, partition, worker) != (int)bank)
		return -ESTALE;
	o->incarnation = rk_owner_incarnation(owner);
	/* Acquire; pairs with S3 and A1. */
	o->commit = atomic_load_explicit(&part->commit, memory_order_acquire);
	if (rk_commit_incarnation(o->commit) != o->incarnation)
		return -ESTALE;
	rk_bank_view(&o->bank, m, mapped);
	o->rolled_back = rk_bank_roll_back(&o->bank, rk_commit_cursor(o->commit));
	RK_KILL_POINT(OWNER_ROLLED);
	o->freed = atomic_load_explicit(&part->freed, memory_order_acquire) & RK_MASK48;
	rk_bell_open_space(rk_shm_ring(m, partition));
	if (rk_broken(FREED))
		recycle_undelivered(o);
	return 0;
}

int rk_owner_touch(struct rk_owner_job *job, const void *p, size_t len)
{
	const struct rk_bank *b = &job->owner->bank;
	uintptr_t at = (uintptr_t)p, state = (uintptr_t)b->state;
	int r = -EFAULT;

	if (len <= b->m->g.state_max && at >= state && at - state <= b->m->g.state_max - len)
		r = rk_bank_save(&job->owner->bank, p, len);
	if (rk_unlikely(r < 0) && !job->touch_error)
		job->touch_error = r;
	return r;
}

int rk_owner_reply(struct rk_owner_job *job, const void *bytes, size_t len)
{
	if (len > job->owner->m->g.reply_max)
		return -EMSGSIZE;
	/* Reply bytes need no undo: whoever could still ask for the entry's old reply has read it (doc/adr/0002). */
	if (len) /* bytes may be NULL then */
		memcpy(job->reply + 1, bytes, len);
	job->reply->len = (uint32_t)len;
	return 0;
}

/* A request copied out of its cell, or nothing worth running. */
static bool copy_request(struct rk_owner *o, uint32_t cell, struct rk_owner_job *job, uint32_t *ret_slot)
{
	const struct rk_shm *m = o->m;
	struct rk_cell *c = rk_shm_cell(m, cell);
	/* R1: acquire; pairs with the client's release C2 of WANT. */
	uint64_t word = atomic_load_explicit(&c->word, memory_order_acquire);
	uint64_t request, id;
	uint32_t len;

	if (rk_cellword_state(word) != RK_CELL_WANT)
		return false; /* answered already: a second reference */
	request = atomic_load_explicit(&c->request, memory_order_acquire);
	id = atomic_load_explicit(&c->client_id, memory_order_acquire);
	len = atomic_load_explicit(&c->body_len, memory_order_acquire);
	*ret_slot = rk_request_slot(request);
	job->key_len = rk_request_key_len(request);
	job->len = len;
	job->client_id = id;
	job->sequence = rk_cellword_sequence(word);
	job->deadline_ns = atomic_load_explicit(&c->deadline_ns, memory_order_acquire);
	if (job->key_len > m->g.request_max || len > m->g.request_max - job->key_len)
		return false;
	rk_copy_out(o->request, rk_cell_request(m, c), (size_t)job->key_len + len);
	/*
	 * R2: the same word again, or the copy may be of two requests: acquire
	 * loads keep this one behind them. A client that may start anew in this
	 * cell has seen its reference recycled, so the word differs.
	 */
	if (atomic_load_explicit(&c->word, memory_order_acquire) != word || *ret_slot >= m->g.n_slots)
		return false;
	if (rk_request_partition(request) != o->partition && !rk_broken(UNCONS))
		return false;
	/* The board's word, not the client's own, says who holds this page. */
	return id == atomic_load_explicit(&rk_shm_client_ids(m)[rk_shm_page_of(m, cell)], memory_order_acquire);
}

/* Key and body apart, a NUL behind each: the body moves up by one. */
static void split_request(struct rk_owner *o, struct rk_owner_job *job)
{
	char *body = o->request + job->key_len + 1;

	memmove(body, o->request + job->key_len, job->len);
	o->request[job->key_len] = '\0';
	body[job->len] = '\0';
	job->key = o->request;
	job->body = body;
}

/* Whether this sequence was applied here before, or is older than one that was. */
static bool is_old(const struct rk_owner *o, const struct rk_owner_job *job, uint32_t page, uint32_t slot)
{
	/* A client's sequences only rise, and a slot begins none before the last one is closed. */
	return job->sequence <= o->bank.applied[page * o->m->g.n_slots + slot] && !rk_broken(DEDUP);
}

/*
 * Finds the entry for this job's reply. Returns 0; -EALREADY for a duplicate or
 * stale sequence; -EBUSY when every entry holds a reply still on its way;
 * -ENOSPC when the undo log is full.
 */
static int admit(struct rk_owner *o, struct rk_owner_job *job, uint32_t page, uint32_t slot)
{
	uint32_t caller = page * o->m->g.n_slots + slot;
	struct rk_dedup *e;
	int r;

	if (is_old(o, job, page, slot))
		return -EALREADY;
	r = rk_bank_dedup_claim(&o->bank, caller, job->sequence, &e);
	if (r < 0)
		return r;
	e->client_id = job->client_id;
	e->job = job->number;
	e->len = 0;
	e->error = 0;
	job->reply = e;
	return 0;
}

/* Undoes what the handler did, and nothing else: the job's reply will be its error. */
static int abort_job(struct rk_owner *o, struct rk_owner_job *job, struct rk_savepoint start, uint32_t cell,
		     uint32_t slot)
{
	if (!rk_bank_is_rerun(&o->bank)) {
		rk_bank_roll_back_to(&o->bank, start);
		return 0;
	}
	/* It is alone in its commit, and its entries are among older ones: everything, and admit it again. */
	rk_bank_restart(&o->bank);
	return admit(o, job, rk_shm_page_of(o->m, cell), slot);
}

static int call_handler(struct rk_owner *o, struct rk_owner_job *job, rk_owner_handler handler, void *arg)
{
	struct rk_beat *beat = rk_shm_beat(o->m, o->worker);
	int r;

	/* Of an earlier attempt, or another job. Relaxed: advice; mostly a load is enough. */
	if (rk_unlikely(atomic_load_explicit(&beat->cancel_job, memory_order_relaxed)))
		atomic_store_explicit(&beat->cancel_job, 0, memory_order_relaxed);
	/* Relaxed: evidence for the watcher, which needs no order. */
	atomic_store_explicit(&beat->job, job->number, memory_order_relaxed);
	atomic_store_explicit(&beat->deadline_ns, job->deadline_ns, memory_order_relaxed);
	atomic_store_explicit(&beat->partition, o->partition, memory_order_relaxed);
	atomic_store_explicit(&beat->owner_incarnation, o->incarnation, memory_order_relaxed);
	atomic_store_explicit(&beat->state, RK_BEAT_RUNNING, memory_order_release);
	r = handler(job, arg);
	atomic_store_explicit(&beat->state, RK_BEAT_READY, memory_order_release);
	return r < 0 ? r : job->touch_error;
}

enum run_result {
	RUN_DONE,
	RUN_ALONE,   /* nothing of it happened: it wants a commit of its own */
	RUN_RETRY,   /* nothing of it happened: it wants another attempt */
	RUN_BLOCKED, /* a dead letter without room */
	RUN_LOST     /* the partition was taken away */
};

/* How often this job has failed. Relaxed: behind O2, or this owner's own count. */
static uint32_t attempts_at(const struct rk_owner *o, uint64_t number)
{
	return rk_attempts_of(atomic_load_explicit(&rk_shm_part(o->m, o->partition)->attempts, memory_order_relaxed),
			      number);
}

static bool is_condemned(const struct rk_owner *o, uint64_t number)
{
	uint32_t n = attempts_at(o, number), limit;

	if (rk_likely(n == 0))
		return false;
	/* Relaxed: a setting. */
	limit = atomic_load_explicit(&o->m->board->dead_after, memory_order_relaxed);
	return limit && n >= limit;
}

/* The handler asked for it: one attempt more, by the owner itself. */
static void count_attempt(struct rk_owner *o, uint64_t number)
{
	const struct rk_dead_cause cause = { .verdict = RK_CAUSE_RETRY };
	_Atomic uint64_t *attempts = &rk_shm_part(o->m, o->partition)->attempts;
	uint64_t word = atomic_load_explicit(attempts, memory_order_relaxed);
	uint32_t n = rk_min_u32(rk_attempts_of(word, number) + 1, RK_ATTEMPTS_MAX);

	RK_KILL_POINT(OWNER_RETRY);
	rk_dead_note(o->m, o->partition, number, &cause);
	/* Fails only against a supervisor that charges before it evicts us. */
	atomic_compare_exchange_strong_explicit(attempts, &word, rk_attempts(number, n), memory_order_release,
						memory_order_relaxed);
	o->n_retries++;
}

/* It begins again under the same number: to who watches it would be a job that goes on. */
static void tell_rerun(const struct rk_owner *o)
{
	/* Relaxed: evidence for the watcher, as in call_handler(). */
	atomic_fetch_add_explicit(&rk_shm_beat(o->m, o->worker)->beats, 1, memory_order_relaxed);
}

/* Nothing of the job happened. A re-run is alone in its commit: then that means all there is. */
static void undo(struct rk_owner *o, struct rk_savepoint before)
{
	if (rk_bank_is_rerun(&o->bank))
		rk_bank_restart(&o->bank);
	else
		rk_bank_roll_back_to(&o->bank, before);
}

/*
 * A job that has used up its attempts, alone in its commit: a dead letter
 * first, then an ordinary job whose reply is an error. Nothing is saved before
 * the letter is there: a blocked one comes here again and again.
 */
static enum run_result quarantine(struct rk_owner *o, uint64_t number, uint32_t cell)
{
	struct rk_owner_job job = { .owner = o, .partition = o->partition, .number = number };
	struct rk_savepoint before = rk_bank_savepoint(&o->bank);
	uint32_t slot, page = rk_shm_page_of(o->m, cell);
	int r;

	if (!copy_request(o, cell, &job, &slot) || is_old(o, &job, page, slot)) {
		o->n_without_effect++;
		return RUN_DONE;
	}
	const struct rk_dead_letter letter = {
		.partition = o->partition, .attempts = attempts_at(o, number), .job = number,
		.client_id = job.client_id, .sequence = job.sequence, .deadline_ns = job.deadline_ns,
		.realtime_ns = o->wall_ns ? o->wall_ns() : 0, .key_len = job.key_len, .len = job.len, .bytes = o->request,
	};

	r = rk_dead_push(o->m, &letter, o->worker, o->commit);
	if (r < 0)
		return r == -ENOSPC ? RUN_BLOCKED : RUN_LOST;
	rk_bank_allow(&o->bank, true);
	if (admit(o, &job, page, slot) < 0) {
		undo(o, before);
		o->n_refused++;
		o->n_without_effect++;
		return RUN_DONE;
	}
	job.reply->error = RK_OWNER_QUARANTINED;
	o->n_errors++;
	o->n_quarantined++;
	return RUN_DONE;
}

/* A handler's result as the client is to see it. */
static int reply_error(int r)
{
	/* Not an errno, so that it would not fit into the cell; or one that is ours alone. */
	return r < -4095 || r == RK_OWNER_QUARANTINED ? -EIO : r;
}

/*
 * One TAKEN reference: check, dedup, handler. Whatever it turns out to be, it
 * counts in the cursor, but for what enum run_result says: when the log is full
 * and others of its batch fill it too (not alone), it wants it for itself.
 */
static enum run_result run(struct rk_owner *o, uint64_t number, uint32_t cell, bool alone, rk_owner_handler handler,
			   void *arg)
{
	struct rk_owner_job job = { .owner = o, .partition = o->partition, .number = number, .arg = arg };
	struct rk_savepoint before = rk_bank_savepoint(&o->bank), start;
	uint32_t slot;
	int r;

	if (cell >= rk_shm_n_cells(o->m)) {
		o->n_without_effect++;
		return RUN_DONE;
	}
	if (rk_unlikely(is_condemned(o, number)))
		return alone ? quarantine(o, number, cell) : RUN_ALONE;
	if (!copy_request(o, cell, &job, &slot)) {
		o->n_without_effect++;
		return RUN_DONE;
	}
	rk_bank_allow(&o->bank, alone);
	r = admit(o, &job, rk_shm_page_of(o->m, cell), slot);
	if (r < 0) {
		undo(o, before);
		if (r != -EALREADY && !alone)
			return RUN_ALONE;
		/* Not applied; its client finds that out for itself once no ring names the cell. */
		o->n_refused += r != -EALREADY;
		o->n_without_effect++;
		return RUN_DONE;
	}
	split_request(o, &job);
	start = rk_bank_savepoint(&o->bank);
	r = call_handler(o, &job, handler, arg);
	if (r >= 0)
		return RUN_DONE;
	if (r == RK_OWNER_RETRY || (job.touch_error == -ENOSPC && !alone)) {
		undo(o, before);
		tell_rerun(o);
		return r == RK_OWNER_RETRY ? RUN_RETRY : RUN_ALONE;
	}
	/* Aborted: its changes are undone, its error is the reply. */
	if (abort_job(o, &job, start, cell, slot) < 0) { /* as it was admitted once, only damaged memory can */
		o->n_refused++;
		return RUN_DONE;
	}
	job.reply->len = 0;
	job.reply->error = reply_error(r);
	o->n_errors++;
	return RUN_DONE;
}

/* Everything committed below the gate and not freed yet. */
static bool deliver_pending(struct rk_owner *o)
{
	struct rk_part *part = rk_shm_part(o->m, o->partition);
	/* G2: acquire; pairs with G1. */
	uint64_t released = atomic_load_explicit(&part->released, memory_order_acquire) & RK_MASK48;
	uint64_t cursor = rk_commit_cursor(o->commit);
	bool any = false;

	/* Bounded: never past the ring, whatever shared memory says. */
	for (uint32_t n = 0; n < o->m->g.n_ring && rk_pos_before(o->freed, cursor); n++) {
		if (!rk_pos_before(o->freed, released) && !rk_broken(GATE))
			break;
		rk_deliver(&o->bank, o->partition, o->worker, o->freed);
		o->freed = rk_pos_add(o->freed, 1);
		any = true;
	}
	return any;
}

/* Where nobody else opens the gate the owner does, up to its cursor. */
static void open_gate(struct rk_owner *o)
{
	struct rk_part *part = rk_shm_part(o->m, o->partition);
	uint64_t cursor = rk_commit_cursor(o->commit);
	/* Relaxed: the CAS decides. */
	uint64_t released = atomic_load_explicit(&part->released, memory_order_relaxed);

	if (o->gate_elsewhere)
		return;
	/*
	 * G1: release, after the commit it stands for; pairs with G2. Upwards only:
	 * an owner evicted between its commit and this would set the gate back
	 * under a successor that has looked at it, and the reply it is about to
	 * deliver would be recycled instead.
	 */
	for (int round = 0; round < GATE_ROUNDS && rk_pos_before(released, cursor); round++)
		if (atomic_compare_exchange_weak_explicit(&part->released, &released, cursor, memory_order_release,
							  memory_order_relaxed))
			break;
	RK_KILL_POINT(OWNER_RELEASED);
}

static bool commit(struct rk_owner *o, uint32_t n)
{
	struct rk_part *part = rk_shm_part(o->m, o->partition);
	uint64_t expected = o->commit;
	uint64_t next = rk_commit(o->incarnation, rk_pos_add(rk_commit_cursor(o->commit), n));

	RK_KILL_POINT(OWNER_RAN);
	if (rk_broken(NOINC)) {
		expected = atomic_load_explicit(&part->commit, memory_order_acquire);
		if (rk_commit_cursor(expected) == rk_commit_cursor(o->commit))
			atomic_compare_exchange_strong_explicit(
				&part->commit, &expected,
				rk_commit(rk_commit_incarnation(expected), rk_commit_cursor(next)),
				memory_order_acq_rel, memory_order_relaxed);
		o->commit = next;
		return true;
	}
	/*
	 * S3: the commit. State, cursor, replies and an empty log, in one store.
	 * Release: whoever sees the cursor sees the state; pairs with A1, O2.
	 * Fails only if the partition was taken away. Part F's host lease is
	 * looked at here, before the CAS.
	 */
	if (!atomic_compare_exchange_strong_explicit(&part->commit, &expected, next, memory_order_acq_rel,
						     memory_order_relaxed))
		return false;
	o->commit = next;
	RK_KILL_POINT(OWNER_COMMITTED);
	return true;
}

/* Brings the lines of a READY reference's request near; it may be anything. */
static void prefetch(const struct rk_owner *o, uint64_t ref)
{
	uint32_t cell = rk_ref_cell(ref);
	struct rk_cell *c;

	if (rk_ref_state(ref) != RK_REF_READY || cell >= rk_shm_n_cells(o->m))
		return;
	c = rk_shm_cell(o->m, cell);
	__builtin_prefetch(c, 1);
	__builtin_prefetch(rk_cell_request(o->m, c), 0);
	__builtin_prefetch(rk_cell_reply(o->m, c), 1);
}

/* The same for the job after this one. Relaxed: a hint. */
static void prefetch_next(const struct rk_owner *o, uint64_t position)
{
	_Atomic uint64_t *place =
		rk_ring_place(o->m, rk_shm_ring(o->m, o->partition), rk_pos_add(position, 1));

	prefetch(o, atomic_load_explicit(place, memory_order_relaxed));
}

/* The reference at this position, TAKEN or TOMB; 0 when there is none. */
static uint64_t take(struct rk_owner *o, uint64_t position)
{
	for (int round = 0; round < 4; round++) { /* READY can turn into TOMB once */
		uint64_t ref = rk_queue_peek(o->m, o->partition, position);

		if (!ref || rk_ref_state(ref) != RK_REF_READY)
			return ref;
		prefetch(o, ref); /* on its way while the CAS fetches the place */
		if (rk_queue_take(o->m, o->partition, position, ref)) {
			RK_KILL_POINT(OWNER_TAKEN);
			return rk_ref_with(ref, RK_REF_TAKEN);
		}
	}
	return 0;
}

/* Up to `limit` jobs from the cursor on. Returns how many count; what stopped it before them is *ret_last. */
static uint32_t run_batch(struct rk_owner *o, uint32_t limit, rk_owner_handler handler, void *arg,
			  enum run_result *ret_last)
{
	uint64_t cursor = rk_commit_cursor(o->commit), ref;
	uint32_t n = 0;

	*ret_last = RUN_DONE;
	while (n < limit && (ref = take(o, rk_pos_add(cursor, n))) != 0) {
		prefetch_next(o, rk_pos_add(cursor, n));
		if (rk_ref_state(ref) == RK_REF_TOMB) {
			if (rk_broken(TOMB)) {
				rk_queue_recycle(o->m, o->partition, rk_pos_add(cursor, n), ref);
				return 0; /* and nobody counts it */
			}
			o->n_without_effect++;
		} else {
			*ret_last = run(o, rk_pos_add(cursor, n), rk_ref_cell(ref), n == 0, handler, arg);
			if (*ret_last != RUN_DONE)
				break;
		}
		n++;
	}
	return n;
}

enum rk_owner_ahead rk_owner_look_ahead(struct rk_owner *o, uint64_t number, struct rk_owner_job *job)
{
	uint64_t ref = take(o, number);
	uint32_t cell = rk_ref_cell(ref), slot;

	if (!ref)
		return RK_OWNER_AHEAD_NONE;
	*job = (struct rk_owner_job){ .owner = o, .partition = o->partition, .number = number };
	if (rk_ref_state(ref) == RK_REF_TOMB || cell >= rk_shm_n_cells(o->m) || is_condemned(o, number))
		return RK_OWNER_AHEAD_VOID;
	if (!copy_request(o, cell, job, &slot) || is_old(o, job, rk_shm_page_of(o->m, cell), slot))
		return RK_OWNER_AHEAD_VOID;
	split_request(o, job);
	return RK_OWNER_AHEAD_JOB;
}

uint32_t rk_owner_attempts(const struct rk_owner *o, uint64_t number)
{
	return attempts_at(o, number);
}

int rk_owner_settle(struct rk_owner *o)
{
	/* Acquire: a look at the word this owner alone writes tells whether it still does. */
	if (atomic_load_explicit(&rk_shm_part(o->m, o->partition)->commit, memory_order_acquire) != o->commit &&
	    !rk_broken(NOINC))
		return -ESTALE;
	if (rk_pos_before(o->freed, rk_commit_cursor(o->commit))) {
		open_gate(o);
		(void)deliver_pending(o);
	}
	return 0;
}

int rk_owner_step(struct rk_owner *o, rk_owner_handler handler, void *arg)
{
	uint64_t cursor = rk_commit_cursor(o->commit);
	enum run_result last;
	uint32_t n;
	int r = rk_owner_settle(o);

	if (r < 0)
		return r;
	if (o->must_yield) {
		o->must_yield = false;
		return -EAGAIN;
	}
	rk_bank_begin(&o->bank, cursor);
	/* A re-run is alone: its entries lie among older ones, and cannot be undone apart from another job's. */
	n = run_batch(o, o->singles || rk_bank_is_rerun(&o->bank) ? 1 : o->batch_max, handler, arg, &last);
	if (last == RUN_LOST)
		return -ESTALE;
	if (last == RUN_ALONE)
		o->singles = n + 1; /* alone in its commit, with the whole log, next time */
	if (last == RUN_RETRY)
		count_attempt(o, rk_pos_add(cursor, n));
	if (n == 0)
		return last == RUN_RETRY ? -EAGAIN : 0;
	o->must_yield = last == RUN_RETRY;
	if (!commit(o, n))
		return -ESTALE;
	o->singles -= rk_min_u32(o->singles, n);
	o->n_jobs += n;
	open_gate(o);
	(void)deliver_pending(o);
	return (int)n;
}

int rk_owner_release(struct rk_owner *o)
{
	/* Acquire, as in rk_owner_step(): lost, it delivers nothing. */
	if (atomic_load_explicit(&rk_shm_part(o->m, o->partition)->commit, memory_order_acquire) != o->commit)
		return -ESTALE;
	(void)deliver_pending(o);
	return rk_part_release(o->m, o->partition, o->worker);
}
