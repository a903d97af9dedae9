/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handler calls beside rk_touch(): its partition's arena, and whether
 * its job is still wanted.
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

int rk_cancelled(struct rk_job *job)
{
	struct rk_owner_job *inner = job->internal;

	return rk_beat_is_cancelled(rk_shm_beat(inner->owner->m, inner->owner->worker),
				    inner->partition, inner->number) ||
	       (inner->deadline_ns && rk_clock_ns() >= inner->deadline_ns);
}
