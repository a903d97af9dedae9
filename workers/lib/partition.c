/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's partitions: map one and take it up, run its jobs' handler, give
 * it back.
 *
 * Who       the worker's one job thread.
 * Crash     see shm/owner.h; what is private here dies with the process.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/beat.h"
#include "shm/evict.h"
#include "shm/part.h"
#include "shm/region.h"
#include "workers/lib/prepare.h"
#include "workers/lib/worker.h"

/* States keep their address from one incarnation to the next; far from where the kernel and the sanitizers put things. */
#define STATE_BASE 0x200000000000ull

/* A partition's state has one address, whichever of its banks it lies in. */
static int map_bank(const struct worker *w, uint32_t p, uint32_t bank, void **ret, struct rk_err *err)
{
	return rk_region_map(w->fd[FD_STATE], rk_bank_offset(&w->m, p, bank), w->m.l.bank_stride, true,
			     (void *)(uintptr_t)(STATE_BASE + rk_bank_offset(&w->m, p, 0)), ret, err);
}

/* From an evicted owner's bank into the one mapped here. Returns 0, 1 if it is not ours any more, or -errno. */
static int copy_bank(const struct worker *w, uint32_t p, uint32_t bank, uint32_t from, void *mapped, struct rk_err *err)
{
	struct rk_evict_banks banks = { .to = mapped, .fd = w->fd[FD_STATE], .from_at = rk_bank_offset(&w->m, p, from),
					.to_at = rk_bank_offset(&w->m, p, bank) };
	void *source;
	int r = rk_region_map(w->fd[FD_STATE], banks.from_at, w->m.l.bank_stride, false, NULL, &source, err);

	if (r < 0)
		return r;
	banks.from = source;
	r = rk_evict_copy(&w->m, p, w->number, &banks);
	rk_region_unmap(source, w->m.l.bank_stride);
	if (r == -ESTALE)
		return 1;
	return r < 0 ? rk_err_set(err, r, "cannot copy the state of partition %u: %s", p, strerror(-r)) : 0;
}

int rk_partition_open(struct worker *w, uint32_t p, struct rk_err *err)
{
	struct partition *part = &w->partitions[p];
	uint32_t from = 0;
	int copy_to = rk_evict_look(&w->m, p, w->number, &from);
	int bank = copy_to < 0 ? rk_owner_look(&w->m, p, w->number) : copy_to;
	void *mapped;
	int r;

	if (bank < 0)
		return 1;
	r = map_bank(w, p, (uint32_t)bank, &mapped, err);
	if (r < 0)
		return r;
	if (copy_to >= 0)
		r = copy_bank(w, p, (uint32_t)bank, from, mapped, err);
	if (r == 0 && rk_owner_open(&part->owner, &w->m, p, w->number, (uint32_t)bank, mapped, w->room) < 0)
		r = 1;
	if (r != 0) {
		rk_region_unmap(mapped, w->m.l.bank_stride);
		return r;
	}
	part->mapped = mapped;
	part->owner.batch_max = w->batch_max;
	part->owner.wall_ns = rk_clock_wall_ns;
	if (part->owner.rolled_back)
		atomic_fetch_add_explicit(&w->beat->n_rolled_back, 1, memory_order_relaxed);
	r = rk_prepare(&(struct rk_prepare){ w->def, &w->m, p, (uint32_t)bank, w->fd[FD_STATE] }, &part->owner.bank, mapped,
		       &part->arena, err);
	if (r == 0 && w->checking)
		r = rk_check_new(&part->check, &part->owner.bank, part->arena.head ? w->m.g.state_max : w->def->state_size,
				 err);
	part->open = r == 0;
	return r;
}

void rk_partition_drop(struct worker *w, uint32_t p)
{
	struct partition *part = &w->partitions[p];

	rk_check_free(part->check);
	rk_region_unmap(part->mapped, w->m.l.bank_stride);
	*part = (struct partition){ 0 };
}

int rk_partition_release(struct worker *w, uint32_t p, struct rk_err *err)
{
	struct partition *part = &w->partitions[p];
	int r = part->open ? rk_owner_release(&part->owner) : rk_part_release(&w->m, p, w->number);

	if (r < 0)
		return rk_err_set(err, r, "partition %u was taken away", p);
	rk_partition_drop(w, p);
	rk_worker_tell(w);
	return 1;
}

/* RK_CHECK=1, after a job: did it write what it did not touch, or over the arena's words? */
static void check_job(struct worker *w, const struct partition *part, uint32_t first)
{
	const struct rk_bank *bank = &part->owner.bank;
	struct rk_arena arena = part->arena;
	struct rk_arena_figures figures;
	struct rk_err err;
	int r = rk_check_job(part->check, bank, first, &err);

	if (r == 0 && arena.head && rk_arena_check(&arena, &figures) < 0)
		r = rk_err_set(&err, -EUCLEAN, "RK_CHECK: the handler wrote past a block of the arena of partition %u",
			       part->owner.partition);
	if (r < 0)
		_exit(rk_worker_give_up(w, RK_EXIT_DOES_NOT_FIT, err.text));
}

int rk_partition_run(struct rk_owner_job *inner, void *arg)
{
	struct worker *w = arg;
	struct partition *part = &w->partitions[inner->partition];
	struct rk_job job = {
		.key = inner->key, .key_len = inner->key_len, .body = inner->body, .len = inner->len,
		.deadline_ns = inner->deadline_ns, .partition = inner->partition, .number = inner->number,
		.sequence = inner->sequence, .internal = inner,
	};
	const struct rk_bank *bank = &inner->owner->bank;
	/* A re-run, which is alone in its commit, finds entries of its own among those of the runs before. */
	uint32_t first = rk_bank_is_rerun(bank) ? 0 : bank->n_entries;
	int r;

	if (rk_unlikely(rk_beat_has_order(w->beat)))
		rk_worker_obey(w);
	/* Back from a touch that failed: the handler goes no further, or it would write what nobody can undo. */
	if (_setjmp(w->leave_handler))
		return inner->touch_error;
	r = w->def->on_job(&job, bank->state, w->def->arg);

	/* An aborted job is undone by the owner; what it wrote without touch shows after the next one. */
	if (rk_unlikely(part->check != NULL) && r >= 0 && !inner->touch_error)
		check_job(w, part, first);
	return r;
}
