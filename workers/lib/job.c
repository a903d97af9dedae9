/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handler calls: rk_touch() and its partition's arena, its reply, and
 * what it says and asks of how the job is getting on.
 *
 * Who       the worker's job thread, in on_job.
 */
#include <errno.h>

#include "base/clock.h"
#include "shm/beat.h"
#include "workers/lib/worker.h"

/* The handler is left at once: its job is undone, and this is its answer. */
static _Noreturn void leave(struct rk_owner_job *inner, int error)
{
	struct worker *w = inner->arg;

	if (!inner->touch_error)
		inner->touch_error = error;
	longjmp(w->leave_handler, 1);
}

int rk_touch(struct rk_job *job, const void *p, size_t len)
{
	struct rk_owner_job *inner = job->internal;
	int r = rk_owner_touch(inner, p, len);

	if (rk_unlikely(r < 0))
		leave(inner, r);
	return 0;
}

static struct partition *partition_of(const struct rk_owner_job *inner)
{
	struct worker *w = inner->arg;

	return &w->partitions[inner->partition];
}

void *rk_alloc(struct rk_job *job, size_t len)
{
	struct rk_owner_job *inner = job->internal;
	struct partition *part = partition_of(inner);
	void *p;
	int r = part->arena.head ? rk_arena_alloc(&part->arena, len, &p) : -ENOMEM;

	if (rk_unlikely(r == -ENOMEM))
		return NULL;
	if (r == 0 && rk_unlikely(part->check != NULL))
		r = rk_check_fresh(part->check, &part->owner.bank, p,
				   rk_arena_len(&part->arena, p));
	if (rk_unlikely(r < 0))
		leave(inner, r);
	return p;
}

void rk_free(struct rk_job *job, void *p)
{
	struct rk_owner_job *inner = job->internal;
	struct partition *part = partition_of(inner);
	int r = part->arena.head ? rk_arena_free(&part->arena, p) : p ? -EFAULT : 0;

	if (rk_unlikely(r < 0))
		leave(inner, r);
}

int rk_reply(struct rk_job *job, const void *bytes, size_t len)
{
	return rk_owner_reply(job->internal, bytes, len);
}

static struct rk_beat *beat_of(struct rk_job *job)
{
	struct rk_owner_job *inner = job->internal;

	return rk_shm_beat(inner->owner->m, inner->owner->worker);
}

void rk_beat(struct rk_job *job)
{
	atomic_fetch_add_explicit(&beat_of(job)->beats, 1, memory_order_relaxed);
}

void rk_calling(struct rk_job *job, uint32_t ms)
{
	struct rk_beat *b = beat_of(job);

	atomic_store_explicit(&b->calling_until_ns, ms ? rk_clock_ns() + ms * RK_NS_PER_MS : 0, memory_order_relaxed);
	atomic_store_explicit(&b->state, ms ? RK_BEAT_CALLING : RK_BEAT_RUNNING, memory_order_release);
}

int rk_cancelled(struct rk_job *job)
{
	struct rk_owner_job *inner = job->internal;

	return rk_beat_is_cancelled(beat_of(job), inner->partition, inner->number) ||
	       (inner->deadline_ns && rk_clock_ns() >= inner->deadline_ns);
}
