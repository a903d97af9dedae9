/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Obey: the faults that `rekindle fault hang|loop|slow` orders, done to the job that begins now.
 * Where the board does not say AllowFaults an order means nothing: the beat pages are memory
 * that every worker can write, the board is the supervisor's alone.
 *
 * Who       the worker's job thread, declared RUNNING, before the handler.
 * Crash     nothing of the job has happened yet; its successor, if it is killed here, runs it.
 * Blocking  that is its purpose.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shm/beat.h"
#include "workers/lib/worker.h"

/* A deadlock as the kernel sees it. A signal's handler runs, and changes nothing. */
static _Noreturn void hang(void)
{
	uint32_t never = 0;

	for (;;)
		(void)syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static _Noreturn void loop(void)
{
	for (;;)
		__asm__ volatile("" ::: "memory");
}

static void be_slow(uint32_t ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

void rk_worker_obey(struct worker *w)
{
	uint32_t ms = 0;

	/* Relaxed: a setting. */
	if (!atomic_load_explicit(&w->m.board->allow_faults, memory_order_relaxed))
		return;
	switch (rk_beat_take_order(w->beat, &ms)) {
	case RK_ORDER_HANG:
		hang();
	case RK_ORDER_LOOP:
		loop();
	case RK_ORDER_SLOW:
		be_slow(ms);
		return;
	case RK_ORDER_NONE:
	case RK_ORDERS:
		return;
	}
}
