/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/dead.h"

#include <errno.h>

#include "shm/bell.h"
#include "shm/copy.h"
#include "shm/fault.h"
#include "shm/words.h"

/* A letter that is dropped and written anew this often while it is read is damaged memory. */
#define LOOK_ROUNDS 8
/* Only evicted owners compete with the present one: more rounds mean damaged memory. */
#define REVOKE_ROUNDS 8

static uint64_t pack(uint64_t job, const struct rk_dead_cause *c)
{
	return job << 32 | (uint64_t)((uint32_t)c->verdict & 0xffff) << 16 |
	       (uint64_t)((uint32_t)c->code & 0xff) << 8 | ((uint32_t)c->status & 0xff);
}

static struct rk_dead_cause unpack(uint64_t word)
{
	return (struct rk_dead_cause){ (enum rk_dead_verdict)(word >> 16 & 0xffff),
				       (int)(word >> 8 & 0xff), (int)(word & 0xff) };
}

static bool is_letter(uint64_t word)
{
	return rk_deadword_state(word) == RK_DEAD_LETTER ||
	       rk_deadword_state(word) == RK_DEAD_RETRYING;
}

static bool is_claim(uint64_t word)
{
	return rk_deadword_state(word) == RK_DEAD_WRITING ||
	       rk_deadword_state(word) == RK_DEAD_REVOKED;
}

/* No worker of ours wrote this on purpose. */
static bool is_damaged(const struct rk_shm *m, uint64_t word)
{
	if (is_claim(word))
		return rk_deadword_worker(word) >= m->g.n_workers;
	if (is_letter(word))
		return rk_deadword_partition(word) >= m->g.n_partitions;
	return rk_deadword_state(word) != RK_DEAD_FREE;
}

static bool change(struct rk_dead *e, uint64_t word, uint64_t to)
{
	return atomic_compare_exchange_strong_explicit(&e->word, &word, to, memory_order_seq_cst,
						       memory_order_relaxed);
}

/* ---- push ---- */

/*
 * Whether the letter is in this place. A claim in this partition's name is an
 * evicted owner's and is revoked: this owner has none of its own while it looks.
 */
static bool holds(struct rk_dead *e, uint32_t partition, uint64_t job)
{
	for (int round = 0; round < REVOKE_ROUNDS; round++) {
		/* L1, L3: seq_cst, after the commit word that made us the owner. */
		uint64_t word = atomic_load_explicit(&e->word, memory_order_seq_cst);

		if (rk_deadword_partition(word) != partition)
			return false;
		if (is_letter(word))
			/* Relaxed: stored before L3. Dropped already, and used again by another
			 * partition: pushed anew. */
			return atomic_load_explicit(&e->job, memory_order_relaxed) == job;
		if (rk_deadword_state(word) != RK_DEAD_WRITING)
			return false;
		/* L4: from here on its writer's L3 fails; if that came first, look again. */
		if (change(e, word, rk_deadword_with(word, RK_DEAD_REVOKED)))
			return false;
	}
	return false;
}

static bool is_there(const struct rk_shm *m, uint32_t partition, uint64_t job)
{
	bool found = false;

	/* To the end: every claim must be revoked. */
	for (uint32_t i = 0; i < m->g.n_dead; i++)
		found |= holds(rk_shm_dead(m, i), partition, job);
	return found && !rk_broken(DEADTWICE);
}

/* L1: the place is ours. seq_cst, before L2. Returns it and its word, or NULL. */
static struct rk_dead *claim(const struct rk_shm *m, uint32_t partition, uint32_t incarnation,
			     uint32_t worker, uint64_t *ret_word)
{
	for (uint32_t i = 0; i < m->g.n_dead; i++) {
		struct rk_dead *e = rk_shm_dead(m, i);
		uint64_t word = atomic_load_explicit(&e->word, memory_order_seq_cst);

		if (rk_deadword_state(word) != RK_DEAD_FREE)
			continue;
		*ret_word = rk_deadword(rk_deadword_generation(word) + 1, partition, incarnation,
					worker, RK_DEAD_WRITING);
		if (change(e, word, *ret_word))
			return e;
	}
	return NULL;
}

static void write_letter(const struct rk_shm *m, struct rk_dead *e, const struct rk_dead_letter *l)
{
	uint64_t cause = atomic_load_explicit(rk_shm_cause(m, l->partition), memory_order_acquire);

	/* Release, like the bytes: after the claim, before L3. */
	atomic_store_explicit(&e->job, l->job, memory_order_release);
	atomic_store_explicit(&e->client_id, l->client_id, memory_order_release);
	atomic_store_explicit(&e->sequence, l->sequence, memory_order_release);
	atomic_store_explicit(&e->deadline_ns, l->deadline_ns, memory_order_release);
	atomic_store_explicit(&e->realtime_ns, l->realtime_ns, memory_order_release);
	atomic_store_explicit(&e->cause, cause >> 32 == (l->job & 0xffffffff) ? cause : 0,
			      memory_order_release);
	atomic_store_explicit(&e->attempts, l->attempts, memory_order_release);
	atomic_store_explicit(&e->key_len, l->key_len, memory_order_release);
	atomic_store_explicit(&e->body_len, l->len, memory_order_release);
	rk_copy_in(e + 1, l->bytes, (size_t)l->key_len + l->len);
}

/* Says that this job waits for room; whoever frees a place sees it. */
static void block(const struct rk_shm *m, uint32_t partition, uint64_t job)
{
	_Atomic uint64_t *attempts = &rk_shm_part(m, partition)->attempts;
	uint64_t word = atomic_load_explicit(attempts, memory_order_relaxed);

	/* L6: seq_cst, before the last look for a place; pairs with L5. Fails only against a later
	 * charge. */
	if (rk_attempts_job(word) == job)
		atomic_compare_exchange_strong_explicit(attempts, &word, word | RK_ATTEMPTS_BLOCKED,
							memory_order_seq_cst, memory_order_relaxed);
}

int rk_dead_push(const struct rk_shm *m, const struct rk_dead_letter *l, uint32_t worker,
		 uint64_t commit)
{
	struct rk_part *part = rk_shm_part(m, l->partition);
	struct rk_dead *e;
	uint64_t word;

	if (is_there(m, l->partition, l->job))
		return 0;
	e = claim(m, l->partition, rk_commit_incarnation(commit), worker, &word);
	if (!e) {
		block(m, l->partition, l->job);
		e = claim(m, l->partition, rk_commit_incarnation(commit), worker, &word);
	}
	if (!e)
		return -ENOSPC;
	RK_KILL_POINT(DEAD_CLAIMED);
	/* L2: seq_cst, after L1 and against the eviction's V1: if that came first, our successor
	 * may not have seen the claim. */
	if (atomic_load_explicit(&part->commit, memory_order_seq_cst) != commit &&
	    !rk_broken(DEADLOOK)) {
		(void)change(e, word, rk_deadword_with(word, RK_DEAD_FREE));
		return -ESTALE;
	}
	write_letter(m, e, l);
	RK_KILL_POINT(DEAD_WRITTEN);
	/* L3: release; pairs with the acquire in rk_dead_look(). Fails if it was revoked. */
	if (!change(e, word, rk_deadword_with(word, RK_DEAD_LETTER)))
		return -ESTALE;
	RK_KILL_POINT(DEAD_PUSHED);
	return 0;
}

void rk_dead_note(const struct rk_shm *m, uint32_t partition, uint64_t job,
		  const struct rk_dead_cause *cause)
{
	atomic_store_explicit(rk_shm_cause(m, partition), pack(job, cause), memory_order_release);
}

/* ---- look ---- */

static void read_letter(const struct rk_shm *m, struct rk_dead *e, uint64_t word,
			struct rk_dead_letter *ret)
{
	uint64_t cause = atomic_load_explicit(&e->cause, memory_order_acquire);

	ret->word = word;
	ret->is_retrying = rk_deadword_state(word) == RK_DEAD_RETRYING;
	ret->partition = rk_deadword_partition(word);
	ret->job = atomic_load_explicit(&e->job, memory_order_acquire) & RK_MASK48;
	ret->client_id = atomic_load_explicit(&e->client_id, memory_order_acquire);
	ret->sequence = atomic_load_explicit(&e->sequence, memory_order_acquire);
	ret->deadline_ns = atomic_load_explicit(&e->deadline_ns, memory_order_acquire);
	ret->realtime_ns = atomic_load_explicit(&e->realtime_ns, memory_order_acquire);
	ret->cause = unpack(cause);
	ret->attempts = atomic_load_explicit(&e->attempts, memory_order_acquire);
	ret->key_len = rk_min_u32(atomic_load_explicit(&e->key_len, memory_order_acquire),
				  m->g.request_max);
	ret->len = rk_min_u32(atomic_load_explicit(&e->body_len, memory_order_acquire),
			      m->g.request_max - ret->key_len);
	rk_copy_out(ret->bytes, e + 1, (size_t)ret->key_len + ret->len);
}

bool rk_dead_look(const struct rk_shm *m, uint32_t i, struct rk_dead_letter *ret)
{
	struct rk_dead *e = rk_shm_dead(m, i);

	for (int round = 0; round < LOOK_ROUNDS; round++) {
		uint64_t word = atomic_load_explicit(&e->word, memory_order_acquire);

		if (!is_letter(word) || rk_deadword_partition(word) >= m->g.n_partitions)
			return false;
		read_letter(m, e, word, ret);
		/* The same letter still: a place that is used again has another generation. */
		if (atomic_load_explicit(&e->word, memory_order_acquire) == word)
			return true;
	}
	return false;
}

uint32_t rk_dead_count(const struct rk_shm *m)
{
	uint32_t n = 0;

	/* Relaxed: a figure for people. */
	for (uint32_t i = 0; i < m->g.n_dead; i++)
		n += is_letter(atomic_load_explicit(&rk_shm_dead(m, i)->word,
						    memory_order_relaxed));
	return n;
}

/* The word that says which job is blocked, if it is the one at the cursor; else 0. */
static uint64_t blocked_word(const struct rk_shm *m, uint32_t partition)
{
	struct rk_part *part = rk_shm_part(m, partition);
	uint64_t attempts = atomic_load_explicit(&part->attempts, memory_order_seq_cst);
	bool is_next =
		rk_attempts_job(attempts) ==
		rk_commit_cursor(atomic_load_explicit(&part->commit, memory_order_acquire));

	return is_next && attempts & RK_ATTEMPTS_BLOCKED ? attempts : 0;
}

bool rk_dead_is_blocked(const struct rk_shm *m, uint32_t partition)
{
	return blocked_word(m, partition) != 0;
}

bool rk_dead_is_waiting(const struct rk_shm *m, uint32_t partition, uint64_t job)
{
	uint64_t word = blocked_word(m, partition);

	return word && rk_attempts_job(word) == job;
}

/* ---- supervisor ---- */

void rk_dead_cause(const struct rk_shm *m, uint32_t partition, uint64_t job,
		   const struct rk_dead_cause *cause)
{
	rk_dead_note(m, partition, job, cause);
	for (uint32_t i = 0; i < m->g.n_dead; i++) {
		struct rk_dead *e = rk_shm_dead(m, i);
		uint64_t word = atomic_load_explicit(&e->word, memory_order_acquire);

		/* It stays: only the supervisor frees. */
		if (is_letter(word) && rk_deadword_partition(word) == partition &&
		    atomic_load_explicit(&e->job, memory_order_relaxed) == job)
			atomic_store_explicit(&e->cause, pack(job, cause), memory_order_release);
	}
}

static void ring_blocked(const struct rk_shm *m)
{
	for (uint32_t p = 0; p < m->g.n_partitions; p++)
		if (rk_dead_is_blocked(m, p))
			rk_bell_ring_owner(m, p);
}

void rk_dead_sweep(const struct rk_shm *m, uint32_t worker)
{
	bool any = false;

	for (uint32_t i = 0; i < m->g.n_dead; i++) {
		struct rk_dead *e = rk_shm_dead(m, i);
		uint64_t word = atomic_load_explicit(&e->word, memory_order_acquire);

		if (!is_damaged(m, word) &&
		    (!is_claim(word) || rk_deadword_worker(word) != worker))
			continue;
		/* A successor may be revoking it: once more then. */
		if (!change(e, word, rk_deadword_with(word, RK_DEAD_FREE)))
			(void)change(e, rk_deadword_with(word, RK_DEAD_REVOKED),
				     rk_deadword_with(word, RK_DEAD_FREE));
		RK_KILL_POINT(DEAD_SWEPT);
		any = true;
	}
	if (any)
		ring_blocked(m);
}

int rk_dead_free(const struct rk_shm *m, uint32_t i, uint64_t word)
{
	/* L5: seq_cst, before the look at who is blocked; pairs with L6. */
	if (i >= m->g.n_dead || !is_letter(word) ||
	    !change(rk_shm_dead(m, i), word, rk_deadword_with(word, RK_DEAD_FREE)))
		return -ENOENT;
	RK_KILL_POINT(DEAD_FREED);
	ring_blocked(m);
	return 0;
}

int rk_dead_retry(const struct rk_shm *m, uint32_t i, uint64_t word, bool begin, uint64_t *ret_word)
{
	uint64_t to = rk_deadword_with(word, begin ? RK_DEAD_RETRYING : RK_DEAD_LETTER);

	if (i >= m->g.n_dead || !is_letter(word))
		return -ENOENT;
	if (to == word)
		return -EALREADY;
	if (!change(rk_shm_dead(m, i), word, to))
		return atomic_load_explicit(&rk_shm_dead(m, i)->word, memory_order_relaxed) == to
			       ? -EALREADY
			       : -ENOENT;
	*ret_word = to;
	return 0;
}
