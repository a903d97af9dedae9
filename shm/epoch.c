/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/epoch.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shm/fault.h"

static int membarrier_call(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) < 0 ? -errno : 0;
}

int rk_epoch_register(void)
{
	return membarrier_call(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

enum rk_epoch_mode rk_epoch_probe(void)
{
	long have = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return have >= 0 && (have & MEMBARRIER_CMD_GLOBAL_EXPEDITED) ? RK_EPOCH_PLAIN : RK_EPOCH_EXCHANGE;
}

const struct rk_view *rk_epoch_enter(const struct rk_shm *m, struct rk_reader *line)
{
	/* E1: acquire; an old value is safe, it only blocks more. */
	uint64_t epoch = atomic_load_explicit(&m->board->epoch, memory_order_acquire);
	uint32_t i;

	if (m->board->epoch_mode == RK_EPOCH_PLAIN) {
		/* E2: plain store; the writer's membarrier (E5) falls before it or after it, never between E2 and E3. */
		atomic_store_explicit(&line->active, epoch | 1, memory_order_relaxed);
		atomic_signal_fence(memory_order_seq_cst);
	} else {
		(void)atomic_exchange_explicit(&line->active, epoch | 1, memory_order_seq_cst);
	}
	RK_KILL_POINT(EPOCH_ENTERED);
	/* E3: acquire; pairs with the publication B1. seq_cst in exchange mode, against E5. */
	i = atomic_load_explicit(&m->board->view, m->board->epoch_mode == RK_EPOCH_PLAIN ? memory_order_acquire :
											       memory_order_seq_cst);
	return rk_shm_view(m, i % RK_VIEWS);
}

void rk_epoch_leave(struct rk_reader *line)
{
	/* E4: release; all reads of the view come before it. */
	atomic_store_explicit(&line->active, 0, memory_order_release);
}

uint64_t rk_epoch_advance(const struct rk_shm *m)
{
	/* Relaxed load: the supervisor alone writes it. seq_cst store: after B1, before the looks that follow. */
	uint64_t epoch = atomic_load_explicit(&m->board->epoch, memory_order_relaxed) + 2;

	atomic_store_explicit(&m->board->epoch, epoch, memory_order_seq_cst);
	/* E5: every registered reader passes a full barrier; pairs with E2, E3. */
	if (m->board->epoch_mode == RK_EPOCH_PLAIN)
		(void)membarrier_call(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
	return epoch;
}

bool rk_epoch_holds(const struct rk_reader *line, uint64_t epoch)
{
	struct rk_reader *l = (struct rk_reader *)(uintptr_t)line;
	/* E6: seq_cst after E5; acquire is what a reader's leave (E4) needs. */
	uint64_t active = atomic_load_explicit(&l->active, memory_order_seq_cst);

	/* By distance: 64 bits of epoch do not wrap, but a hostile line may say anything. */
	return (active & 1) && (int64_t)((active & ~1ull) - epoch) < 0;
}
