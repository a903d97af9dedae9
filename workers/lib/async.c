/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that do not wait: rk_call_async() and rk_next(), rk_submit() and
 * rk_flush(), and the thread that raises rk_client_fd().
 *
 * Who       any thread of the client's process; those that wait sleep together
 *           on the page's bell.
 */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/bell.h"
#include "shm/words.h"
#include "workers/lib/client.h"

#define NOT_YET (-EAGAIN)
#define LOOK_AGAIN_NS (10 * RK_NS_PER_MS)
#define CLOSE_ROUNDS 1024u /* looks until one that reads the clock */
#define OLDEST_ROUNDS 8u /* looks at the oldest call alone between two at all of them */

/*
 * Several threads may sleep on the page's bell at once: the last one to leave
 * clears `parked`, under the lock, so that nobody clears it for another.
 */
static uint32_t park_together(struct rk_client *c)
{
	(void)pthread_mutex_lock(&c->lock);
	c->n_parked++;
	(void)pthread_mutex_unlock(&c->lock);
	return rk_bell_park(&rk_shm_page(&c->m, c->caller.page)->bell);
}

static void unpark_together(struct rk_client *c)
{
	(void)pthread_mutex_lock(&c->lock);
	if (--c->n_parked == 0)
		rk_bell_unpark(&rk_shm_page(&c->m, c->caller.page)->bell);
	(void)pthread_mutex_unlock(&c->lock);
}

static void unlink_async(struct rk_client *c, uint32_t previous, uint32_t slot)
{
	uint32_t next = c->slots[slot].next;

	if (previous)
		c->slots[previous - 1].next = next;
	else
		c->async_head = next;
	if (c->async_tail == slot + 1)
		c->async_tail = previous;
	c->n_async--;
}

int rk_call_async(struct rk_client *c, const struct rk_request *request)
{
	uint32_t slot;
	int r = rk_client_usable(c);

	if (r)
		return r;
	(void)pthread_mutex_lock(&c->lock);
	r = rk_client_begin(c, request, rk_client_deadline(request->timeout_ms), RK_USE_ASYNC, &slot);
	if (r == 0) {
		if (c->async_tail)
			c->slots[c->async_tail - 1].next = slot + 1;
		else
			c->async_head = slot + 1;
		c->async_tail = slot + 1;
		c->n_async++;
		/*
		 * The thread sleeps until a later deadline than this one, or has told of the fleet's end already: let
		 * it look again.
		 */
		if (c->has_thread && (rk_client_has_ended(c) ||
				      (c->slots[slot].deadline_ns &&
				       (!c->armed_ns || c->slots[slot].deadline_ns < c->armed_ns))))
			rk_bell_ring(&rk_shm_page(&c->m, c->caller.page)->bell);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return r;
}

/* The asynchronous call with this tag, or NULL. Lock held. */
static const struct rk_call *find_tag(const struct rk_client *c, uint64_t tag)
{
	for (uint32_t at = c->async_head, n = 0; at && n < c->m.g.n_slots; at = c->slots[at - 1].next, n++)
		if (rk_call_tag(&c->caller, &c->slots[at - 1].call) == tag)
			return &c->slots[at - 1].call;
	return NULL;
}

bool rk_client_awaits(struct rk_client *c, uint64_t tag)
{
	bool found;

	(void)pthread_mutex_lock(&c->lock);
	found = find_tag(c, tag) != NULL;
	(void)pthread_mutex_unlock(&c->lock);
	return found;
}

bool rk_client_is_taken(struct rk_client *c, uint64_t tag, uint32_t *ret_partition, uint64_t *ret_job)
{
	const struct rk_call *call;
	bool found = false;

	(void)pthread_mutex_lock(&c->lock);
	call = find_tag(c, tag);
	for (int i = 0; call && !found && i < 2; i++) {
		/* Relaxed: this client's own note. */
		uint64_t where = atomic_load_explicit(&rk_shm_cell(&c->m, call->cell)->ref[i], memory_order_relaxed);

		if (rk_queue_outstanding(&c->m, call->cell, where) != RK_REF_TAKEN)
			continue;
		*ret_partition = rk_where_partition(where);
		*ret_job = rk_where_position(where);
		found = true;
	}
	(void)pthread_mutex_unlock(&c->lock);
	return found;
}

/* The outcome of one asynchronous call, or NOT_YET. Lock held. */
static int judge(struct rk_client *c, uint32_t slot, uint64_t now_ns, struct rk_reply *reply)
{
	struct rk_client_slot *s = &c->slots[slot];
	enum rk_call_state state = rk_call_look(&c->caller, &s->call);
	bool late = (s->deadline_ns && now_ns >= s->deadline_ns) || rk_client_has_ended(c);
	int outcome;

	if (late && state != RK_CALL_DONE && state != RK_CALL_NOT_APPLIED)
		state = rk_call_expire(&c->caller, &s->call);
	c->look_again |= state == RK_CALL_AGAIN;
	if (state == RK_CALL_DONE)
		return rk_client_collect(c, slot, reply);
	if (state != RK_CALL_NOT_APPLIED && !late)
		return NOT_YET;
	rk_client_handle(c, slot, reply);
	outcome = state == RK_CALL_NOT_APPLIED ? rk_client_not_applied(c, &s->call) : RK_UNKNOWN;
	return outcome;
}

/* Whether this call's cell says DONE: the cheap look before the thorough one. */
static bool looks_done(const struct rk_client *c, uint32_t slot)
{
	const struct rk_call *call = &c->slots[slot].call;

	return atomic_load_explicit(&rk_shm_cell(&c->m, call->cell)->word, memory_order_acquire) ==
	       rk_cellword(call->sequence, 0, RK_CELL_DONE);
}

/* How closely to look for a finished call. */
enum look {
	LOOK_LIKELY, /* LOOK_OLDEST, unless the last one that finished was not the oldest */
	LOOK_OLDEST, /* the oldest call's cell: the likeliest, and no worker is disturbed in the others */
	LOOK_ALL,    /* every call's cell */
	LOOK_CLOSELY /* at the rings and the deadlines too */
};

static int outcome_of(struct rk_client *c, uint32_t slot, enum look look, uint64_t now_ns, struct rk_reply *reply)
{
	if (look == LOOK_CLOSELY)
		return judge(c, slot, now_ns, reply);
	return looks_done(c, slot) ? rk_client_collect(c, slot, reply) : NOT_YET;
}

/* Brings near what the next look at the oldest call will want. */
static void prefetch_oldest(const struct rk_client *c)
{
	struct rk_cell *cell;

	if (!c->async_head)
		return;
	cell = rk_shm_cell(&c->m, c->slots[c->async_head - 1].call.cell);
	__builtin_prefetch(cell);
	__builtin_prefetch(rk_cell_reply(&c->m, cell));
}

/* First finished asynchronous call, in the order they began. Lock held. */
static int find_finished(struct rk_client *c, enum look look, struct rk_reply *reply)
{
	uint64_t now_ns = look == LOOK_CLOSELY ? rk_clock_ns() : 0;

	if (look == LOOK_CLOSELY)
		c->look_again = false;
	uint32_t previous = 0, at = c->async_head, n_most = look == LOOK_OLDEST ? 1 : c->m.g.n_slots;

	for (uint32_t n = 0; at && n < n_most; n++) {
		uint32_t slot = at - 1;
		int outcome = outcome_of(c, slot, look, now_ns, reply);

		if (outcome != NOT_YET) {
			c->out_of_order = n != 0;
			unlink_async(c, previous, slot);
			prefetch_oldest(c);
			if (outcome == RK_DONE || outcome == RK_FAILED || outcome == RK_UNKNOWN) {
				c->slots[slot].use = RK_USE_SYNC; /* the reply object holds it now */
			} else {
				rk_client_free_slot(c, slot);
				reply->slot = 0;
			}
			return outcome;
		}
		previous = at;
		at = c->slots[slot].next;
	}
	return c->n_async ? NOT_YET : RK_EMPTY;
}

/*
 * Until when a sleeper may sleep: the first deadline of an asynchronous call
 * after this time, or deadline_ns if that is earlier (0 = none); or not long,
 * if a call that must be asked for again found its ring full, since nobody
 * rings for that. Lock held.
 */
static uint64_t sleep_deadline(const struct rk_client *c, uint64_t after_ns, uint64_t deadline_ns)
{
	uint64_t again_ns = c->look_again ? rk_clock_ns() + LOOK_AGAIN_NS : 0;

	for (uint32_t at = c->async_head, n = 0; at && n < c->m.g.n_slots; at = c->slots[at - 1].next, n++) {
		uint64_t d = c->slots[at - 1].deadline_ns;

		if (d > after_ns && (!deadline_ns || d < deadline_ns))
			deadline_ns = d;
	}
	return again_ns && (!deadline_ns || again_ns < deadline_ns) ? again_ns : deadline_ns;
}

static int find_locked(struct rk_client *c, enum look look, struct rk_reply *reply)
{
	int r;

	(void)pthread_mutex_lock(&c->lock);
	rk_client_release(c, reply);
	if (look == LOOK_LIKELY)
		look = c->out_of_order ? LOOK_ALL : LOOK_OLDEST;
	r = find_finished(c, look, reply);
	(void)pthread_mutex_unlock(&c->lock);
	return r;
}

int rk_client_peek(struct rk_client *c, struct rk_reply *reply)
{
	int r = rk_client_collectable(c);

	return r ? r : find_locked(c, LOOK_ALL, reply);
}

/* The descriptor is readable no more, until something happens from now on; then looks. */
static int find_drained(struct rk_client *c, struct rk_reply *reply)
{
	uint64_t sum;
	ssize_t n = 0;
	int r;

	(void)pthread_mutex_lock(&c->lock);
	rk_client_release(c, reply);
	if (c->has_thread)
		n = read(c->event, &sum, sizeof(sum)); /* non-blocking */
	(void)n;
	r = find_finished(c, LOOK_CLOSELY, reply);
	(void)pthread_mutex_unlock(&c->lock);
	return r;
}

/* Sleeps until something may have finished, or until then. */
static int sleep_until(struct rk_client *c, uint64_t deadline_ns, struct rk_reply *reply)
{
	uint32_t word = park_together(c);
	uint64_t until_ns;
	int r;

	(void)pthread_mutex_lock(&c->lock);
	r = find_finished(c, LOOK_CLOSELY, reply);
	until_ns = sleep_deadline(c, 0, deadline_ns);
	(void)pthread_mutex_unlock(&c->lock);
	if (r == NOT_YET)
		(void)rk_bell_wait(&rk_shm_page(&c->m, c->caller.page)->bell, word, until_ns);
	unpark_together(c);
	return r == NOT_YET ? find_locked(c, LOOK_CLOSELY, reply) : r;
}

/* While polling: mostly cheap looks, now and then one that sees deadlines and calls nobody will answer. */
static enum look look_of_round(uint32_t round)
{
	return round % OLDEST_ROUNDS ? LOOK_OLDEST : round % CLOSE_ROUNDS ? LOOK_ALL : LOOK_CLOSELY;
}

int rk_next(struct rk_client *c, uint32_t timeout_ms, struct rk_reply *reply)
{
	uint64_t deadline_ns, spin_until_ns;
	int r = rk_client_collectable(c);

	if (r)
		return r;
	r = find_locked(c, LOOK_LIKELY, reply);
	if (r != NOT_YET)
		return r;
	if (!timeout_ms)
		return find_drained(c, reply);
	deadline_ns = timeout_ms == RK_TIMEOUT_NONE ? UINT64_MAX / 2 : rk_client_deadline(timeout_ms);
	spin_until_ns = rk_min_u64(deadline_ns, rk_clock_ns() + rk_min_u64(c->spin_ns, UINT64_MAX / 2));
	for (uint32_t round = 0; r == NOT_YET; round++) {
		if (c->spin_ns && (round % 64 || rk_clock_ns() < spin_until_ns)) {
			for (int i = 0; i < 4; i++)
				rk_relax();
			r = find_locked(c, look_of_round(round + 1), reply);
			continue;
		}
		if (rk_clock_ns() >= deadline_ns)
			break;
		r = sleep_until(c, deadline_ns, reply);
	}
	return r;
}

static void raise_event(const struct rk_client *c)
{
	uint64_t one = 1;
	ssize_t r = write(c->event, &one, sizeof(one));

	(void)r; /* a full counter is readable all the same */
}

/* Rings on the page's bell become readiness of the descriptor. */
static void *event_thread(void *arg)
{
	struct rk_client *c = arg;
	_Atomic uint32_t *bell = &rk_shm_page(&c->m, c->caller.page)->bell;

	while (!__atomic_load_n(&c->closing, __ATOMIC_ACQUIRE)) {
		uint32_t word = park_together(c);

		raise_event(c); /* whatever finished before `parked` stood; a reader finds nothing, or that */
		(void)pthread_mutex_lock(&c->lock);
		c->armed_ns = sleep_deadline(c, rk_clock_ns(), 0); /* of those passed already the event tells */
		uint64_t until_ns = c->armed_ns;

		(void)pthread_mutex_unlock(&c->lock);
		if (!__atomic_load_n(&c->closing, __ATOMIC_ACQUIRE))
			(void)rk_bell_wait(bell, word, until_ns);
		unpark_together(c);
	}
	return NULL;
}

/* The descriptor's thread. Signals are the application's, for its own threads. Lock held. */
static int start_thread(struct rk_client *c)
{
	sigset_t all, before;
	int r;

	c->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->event < 0)
		return -errno;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&c->thread, NULL, event_thread, c);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	c->has_thread = r == 0;
	if (r < 0) {
		(void)close(c->event);
		c->event = -1;
	}
	return r;
}

int rk_client_fd(struct rk_client *c)
{
	int r = rk_client_usable(c);

	if (r)
		return r == RK_FORKED ? -ECHILD : -ESTALE;
	(void)pthread_mutex_lock(&c->lock);
	if (!c->has_thread)
		r = start_thread(c);
	(void)pthread_mutex_unlock(&c->lock);
	return r < 0 ? r : c->event;
}

void rk_client_stop_thread(struct rk_client *c)
{
	_Atomic uint32_t *bell;

	if (!c->has_thread)
		return;
	__atomic_store_n(&c->closing, true, __ATOMIC_RELEASE);
	bell = &rk_shm_page(&c->m, c->caller.page)->bell;
	/* Even when it is not parked yet: the word it is about to wait for has changed. */
	atomic_fetch_add_explicit(bell, 2, memory_order_seq_cst);
	rk_bell_ring(bell);
	(void)pthread_join(c->thread, NULL);
	c->has_thread = false;
	c->closing = false;
	(void)close(c->event);
	c->event = -1;
}

void rk_client_sweep_unattended(struct rk_client *c)
{
	for (uint32_t slot = 0; slot < c->m.g.n_slots; slot++) {
		struct rk_client_slot *s = &c->slots[slot];
		bool submitted = s->use == RK_USE_SUBMITTED;
		enum rk_call_state state;
		struct rk_call_reply reply = { .error = -ECANCELED };

		if (!submitted && s->use != RK_USE_ABANDONED)
			continue;
		state = rk_call_look(&c->caller, &s->call);
		if (state != RK_CALL_DONE && state != RK_CALL_NOT_APPLIED && rk_client_has_ended(c))
			state = rk_call_expire(&c->caller, &s->call);
		if (state != RK_CALL_DONE && state != RK_CALL_NOT_APPLIED)
			continue;
		if (state == RK_CALL_DONE) {
			rk_call_reply(&c->caller, &s->call, &reply);
			rk_call_release(&c->caller, &s->call);
		}
		c->n_submitted -= submitted;
		c->n_refused += submitted && reply.error;
		rk_client_free_slot(c, slot);
	}
}

int rk_submit(struct rk_client *c, const struct rk_request *request)
{
	uint32_t slot;
	int r = rk_client_usable(c);

	if (r)
		return r;
	(void)pthread_mutex_lock(&c->lock);
	/* No deadline: nobody waits, and it is applied whenever a worker gets to it. */
	r = rk_client_begin(c, request, 0, RK_USE_SUBMITTED, &slot);
	(void)pthread_mutex_unlock(&c->lock);
	return r;
}

int rk_flush(struct rk_client *c, uint32_t timeout_ms, uint64_t *ret_failed)
{
	uint64_t deadline_ns = timeout_ms ? rk_client_deadline(timeout_ms) : rk_clock_ns(), n_failed;
	_Atomic uint32_t *bell = &rk_shm_page(&c->m, c->caller.page)->bell;
	int r = rk_client_collectable(c);

	if (r)
		return r;
	for (;;) {
		uint32_t word = park_together(c), n_left;
		bool is_over = rk_client_has_ended(c);
		uint64_t now_ns = rk_clock_ns();

		(void)pthread_mutex_lock(&c->lock);
		rk_client_sweep_unattended(c);
		n_left = c->n_submitted;
		n_failed = c->n_refused;
		if (!n_left)
			c->n_refused = 0;
		(void)pthread_mutex_unlock(&c->lock);
		/* Bounded: a call that must be asked for again and found its ring full is rung for by nobody. */
		is_over = is_over || (deadline_ns && now_ns >= deadline_ns);
		if (n_left && !is_over)
			(void)rk_bell_wait(bell, word, now_ns + LOOK_AGAIN_NS);
		unpark_together(c);
		if (!n_left || is_over) {
			if (ret_failed)
				*ret_failed = n_failed;
			return n_left ? RK_UNKNOWN : n_failed ? RK_FAILED : 0;
		}
	}
}
