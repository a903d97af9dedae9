/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that wait: rk_call(), rk_call_retry(), rk_wait().
 *
 * Who       any thread of the client's process; each waits on its own cell.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "shm/bell.h"
#include "shm/epoch.h"
#include "shm/route.h"
#include "shm/words.h"
#include "workers/lib/client.h"

#define TRY_FIRST_NS (20 * RK_NS_PER_MS)
#define TRY_LONGEST_NS RK_NS_PER_S
/* A call found applied whose ring was full must ask again; nobody rings for that. */
#define AGAIN_NS RK_NS_PER_MS
#define AGAIN_DOUBLINGS 10u
#define CLOSE_ROUNDS 4096u /* of polling, between two looks at more than the cell's word */

static void lock(struct rk_client *c)
{
	(void)pthread_mutex_lock(&c->lock);
}

static void unlock(struct rk_client *c)
{
	(void)pthread_mutex_unlock(&c->lock);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return !a ? b : !b ? a : rk_min_u64(a, b);
}

/* 0.5 to 1.5 times ns: those who failed together shall not come back together. */
static uint64_t jitter(struct rk_client *c, uint64_t ns)
{
	uint64_t random;

	lock(c);
	random = c->random = c->random * 6364136223846793005ull + 1442695040888963407ull; /* Knuth's MMIX */
	unlock(c);
	return ns / 2 + (random >> 33) % (ns + 1);
}

static bool is_final(enum rk_call_state s)
{
	return s == RK_CALL_DONE || s == RK_CALL_NOT_APPLIED;
}

static enum rk_call_state look(struct rk_client *c, uint32_t slot)
{
	enum rk_call_state s;

	lock(c);
	s = rk_call_look(&c->caller, &c->slots[slot].call);
	unlock(c);
	return s;
}

static bool is_done(const struct rk_client *c, const struct rk_call *call)
{
	/* Acquire: C3 without the lock; only this thread moves the call to another cell. */
	return atomic_load_explicit(&rk_shm_cell(&c->m, call->cell)->word, memory_order_acquire) ==
	       rk_cellword(call->sequence, 0, RK_CELL_DONE);
}

/*
 * Polls the cell until the reply is there, the spinning time or the deadline is over, or a closer
 * look finds that there is more to do than to wait: a call that no worker will answer changes no word.
 */
static enum rk_call_state spin(struct rk_client *c, uint32_t slot, uint64_t deadline_ns)
{
	const struct rk_call *call = &c->slots[slot].call;
	uint64_t until_ns = 0;

	for (uint32_t round = 1;; round++) {
		enum rk_call_state s = RK_CALL_PENDING;

		if (is_done(c, call))
			return RK_CALL_DONE;
		rk_relax();
		if (round % 64)
			continue;
		uint64_t now_ns = rk_clock_ns();

		if (!until_ns)
			until_ns = c->spin_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + c->spin_ns;
		if (round % CLOSE_ROUNDS == 0)
			s = look(c, slot);
		if (round % CLOSE_ROUNDS == 0 && rk_client_has_ended(c))
			return s;
		if (is_final(s) || s == RK_CALL_AGAIN || now_ns >= until_ns || (deadline_ns && now_ns >= deadline_ns))
			return s;
	}
}

/* Waits until the call is final, the deadline passes or the fleet has ended. */
static enum rk_call_state await(struct rk_client *c, uint32_t slot, uint64_t deadline_ns)
{
	struct rk_call *call = &c->slots[slot].call;
	enum rk_call_state s;

	if (c->spin_ns) {
		s = spin(c, slot, deadline_ns);
		if (is_final(s))
			return s;
	}
	for (;;) {
		_Atomic uint32_t *bell = &rk_shm_cell(&c->m, call->cell)->bell;
		uint32_t word = rk_bell_park(bell), cell = call->cell;

		s = look(c, slot);
		if (!is_final(s) && rk_client_has_ended(c)) {
			rk_bell_unpark(bell);
			return look(c, slot); /* a worker's last reply came before its end */
		}
		if (!is_final(s) && call->cell == cell) /* or this is another cell's bell */
			(void)rk_bell_wait(bell, word, s == RK_CALL_AGAIN ? earlier(deadline_ns, rk_clock_ns() + AGAIN_NS)
									  : deadline_ns);
		rk_bell_unpark(bell);
		if (is_final(s))
			return s;
		/* Whatever woke us: somebody may go on ringing for ever. */
		if (deadline_ns && rk_clock_ns() >= deadline_ns)
			return look(c, slot);
	}
}

/* From the state a call has come to, to its outcome; the slot is freed, or the reply holds it. */
static int conclude(struct rk_client *c, uint32_t slot, enum rk_call_state s, struct rk_reply *reply)
{
	int outcome;

	lock(c);
	if (s == RK_CALL_DONE) {
		outcome = rk_client_collect(c, slot, reply);
	} else if (s == RK_CALL_NOT_APPLIED) {
		rk_client_handle(c, slot, reply);
		reply->slot = 0;
		outcome = rk_client_not_applied(c, &c->slots[slot].call);
		rk_client_free_slot(c, slot);
	} else {
		rk_client_handle(c, slot, reply);
		outcome = RK_UNKNOWN;
	}
	unlock(c);
	return outcome;
}

/* Time is up: withdraw what can be withdrawn. */
static enum rk_call_state expire(struct rk_client *c, uint32_t slot)
{
	enum rk_call_state s;

	lock(c);
	s = rk_call_expire(&c->caller, &c->slots[slot].call);
	unlock(c);
	return s;
}

static int begin(struct rk_client *c, const struct rk_request *request, uint64_t deadline_ns, struct rk_reply *reply,
		 uint32_t *ret_slot)
{
	int r = rk_client_usable(c);

	if (r)
		return r;
	lock(c);
	rk_client_release(c, reply);
	r = rk_client_begin(c, request, deadline_ns, RK_USE_SYNC, ret_slot);
	unlock(c);
	return r;
}

int rk_call(struct rk_client *c, const struct rk_request *request, struct rk_reply *reply)
{
	uint64_t deadline_ns = rk_client_deadline(request->timeout_ms);
	enum rk_call_state s;
	uint32_t slot;
	int r = begin(c, request, deadline_ns, reply, &slot);

	if (r)
		return r;
	s = await(c, slot, deadline_ns);
	if (!is_final(s))
		s = expire(c, slot);
	return conclude(c, slot, s, reply);
}

int rk_wait(struct rk_client *c, struct rk_reply *reply, uint32_t timeout_ms)
{
	enum rk_call_state s;
	uint32_t slot = reply->slot - 1;
	int r = rk_client_collectable(c);
	bool is_its;

	if (r)
		return r;
	if (!reply->slot || slot >= c->m.g.n_slots)
		return -EINVAL;
	lock(c);
	is_its = c->slots[slot].use == RK_USE_SYNC && c->slots[slot].call.sequence == reply->sequence;
	if (is_its)
		(void)rk_call_again(&c->caller, &c->slots[slot].call);
	unlock(c);
	if (!is_its)
		return -EINVAL; /* a copy of an object whose call has ended */
	s = timeout_ms ? await(c, slot, rk_client_deadline(timeout_ms)) : look(c, slot);
	/* Whoever writes the reply may be stopped for ever: go on in another cell. And what nobody has taken nobody will. */
	if ((timeout_ms && s == RK_CALL_WRITING) || (!is_final(s) && rk_client_has_ended(c)))
		s = expire(c, slot);
	return conclude(c, slot, s, reply);
}

/* Whether the owner of a call's partition has a living process; looks at the board. */
static bool owner_lives(struct rk_client *c, uint32_t partition)
{
	uint32_t worker =
		rk_route_worker(atomic_load_explicit(&rk_shm_routes(&c->m)[partition], memory_order_acquire));
	bool lives = false;

	if (worker >= c->m.g.n_workers)
		return false;
	lock(c);
	const struct rk_view *v = rk_epoch_enter(&c->m, c->reader);

	lives = ((const struct rk_view_slot *)(v + 1))[worker].pid != 0;
	rk_epoch_leave(c->reader);
	unlock(c);
	return lives;
}

/*
 * After a call that was certainly not applied: waits until the next try. If
 * the ring was full, until a worker has made room in it.
 */
static void await_next_try(struct rk_client *c, int outcome, uint32_t partition, uint64_t until_ns, uint32_t n_tries)
{
	struct rk_ring *ring = rk_shm_ring(&c->m, partition);
	uint32_t word = rk_bell_park(&ring->space); /* of many clients: the worker clears `parked` */

	/* W2: there is room by now, or its owner had none for the reply, which may last. */
	if (outcome == RK_FULL && !rk_queue_is_full(&c->m, partition))
		until_ns = rk_min_u64(until_ns, rk_clock_ns() + (AGAIN_NS << rk_min_u32(n_tries, AGAIN_DOUBLINGS)));
	if (!rk_client_has_ended(c))
		(void)rk_bell_wait(&ring->space, word, until_ns);
}

/* One try with one sequence, for as long as it may still be applied. */
static int try_once(struct rk_client *c, uint32_t slot, uint64_t deadline_ns, uint64_t try_ns, struct rk_reply *reply)
{
	for (;; try_ns = rk_min_u64(try_ns * 2, TRY_LONGEST_NS)) {
		uint64_t until_ns = earlier(deadline_ns, rk_clock_ns() + jitter(c, try_ns));
		enum rk_call_state s = await(c, slot, until_ns);

		if (is_final(s))
			return conclude(c, slot, s, reply);
		if ((deadline_ns && rk_clock_ns() >= deadline_ns) || rk_client_has_ended(c))
			return conclude(c, slot, expire(c, slot), reply);
		/* Once more, in case whoever should have rung died; not a worker that is not there. */
		if (owner_lives(c, c->slots[slot].call.partition))
			rk_bell_ring_owner(&c->m, c->slots[slot].call.partition);
	}
}

/*
 * Before a try: waits while the owner's process is down, at most until then.
 * It is back within milliseconds as a rule, and rings nobody who has not called.
 */
static void await_owner(struct rk_client *c, uint32_t partition, uint64_t until_ns)
{
	for (uint64_t now_ns = rk_clock_ns(); !owner_lives(c, partition) && !rk_client_has_ended(c) && now_ns < until_ns;
	     now_ns = rk_clock_ns()) {
		uint64_t ns = rk_min_u64(until_ns - now_ns, AGAIN_NS);

		(void)nanosleep(&(struct timespec){ .tv_nsec = (long)ns }, NULL);
	}
}

int rk_call_retry(struct rk_client *c, const struct rk_request *request, struct rk_reply *reply)
{
	uint64_t deadline_ns = rk_client_deadline(request->timeout_ms), try_ns = TRY_FIRST_NS;
	uint32_t partition, slot = 0, n_tries = 0;
	int r = rk_client_usable(c);

	if (r || !request->key)
		return r ? r : -EINVAL;
	partition = rk_route_partition(&c->m.g, request->key,
				       request->key_len ? request->key_len : strlen(request->key));
	for (;; try_ns = rk_min_u64(try_ns * 2, TRY_LONGEST_NS)) {
		await_owner(c, partition, earlier(deadline_ns, rk_clock_ns() + jitter(c, try_ns)));
		r = begin(c, request, deadline_ns, reply, &slot);
		if (r == 0)
			r = try_once(c, slot, deadline_ns, try_ns, reply);
		if ((r != RK_FULL && r != RK_NO_WORKER && r != RK_NOT_APPLIED) ||
		    (deadline_ns && rk_clock_ns() >= deadline_ns))
			return r;
		/* Certainly not applied: a new sequence, after a while or when there is room. */
		await_next_try(c, r, partition, earlier(deadline_ns, rk_clock_ns() + jitter(c, try_ns)), n_tries++);
	}
}

void rk_client_release(struct rk_client *c, struct rk_reply *reply)
{
	uint32_t slot = reply->slot - 1;
	struct rk_client_slot *s;

	if (!reply->slot || slot >= c->m.g.n_slots)
		return;
	s = &c->slots[slot];
	if (s->use == RK_USE_SYNC && s->call.sequence == reply->sequence) {
		if (is_done(c, &s->call)) {
			rk_call_release(&c->caller, &s->call);
			rk_client_free_slot(c, slot);
		} else { /* unfinished: somebody has to look after it */
			s->use = RK_USE_ABANDONED;
		}
	}
	*reply = (struct rk_reply){ 0 };
}

void rk_reply_release(struct rk_client *c, struct rk_reply *reply)
{
	if (!reply->slot || rk_client_usable(c))
		return;
	lock(c);
	rk_client_release(c, reply);
	unlock(c);
}
