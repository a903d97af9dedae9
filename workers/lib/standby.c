/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/standby.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "shm/beat.h"
#include "shm/fault.h"
#include "shm/promotion.h"
#include "shm/region.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14; the headers may be older */
#define MADV_POPULATE_WRITE 23
#endif

#define STACK_WARM (64u << 10)
#define WRITABLE_WARM (256u << 10) /* bytes of an object's data made private: not a program's gigabytes */

/* ---- pages ---- */

/* Whole pages around it. A kernel that cannot leaves them to the first touch. */
static void pages_warm(const void *at, size_t len, int advice)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)at & ~(page - 1);

	(void)madvise((void *)from, (uintptr_t)at + len - from, advice);
}

/* Code and data of the program and its libraries, as far as they are loaded. */
static int object_warm(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		const void *at = (const void *)(info->dlpi_addr + p->p_vaddr); /* NOLINT: the loader's own figure */

		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_flags & PF_W)
			pages_warm(at, rk_min_u64(p->p_memsz, WRITABLE_WARM), MADV_POPULATE_WRITE);
		else
			pages_warm(at, p->p_memsz, MADV_POPULATE_READ);
	}
	return 0;
}

static __attribute__((noinline)) void stack_warm(void)
{
	char room[STACK_WARM];

	memset(room, 0, sizeof(room));
	__asm__ volatile("" : : "r"(room) : "memory"); /* or it would be no stack at all */
}

/* What every worker of the fleet reads or writes at its start. */
static void control_warm(const struct worker *w)
{
	const struct rk_shm *m = &w->m;

	pages_warm(m->board, m->l.board_len, MADV_POPULATE_READ);
	pages_warm(m->beats, m->l.beats_len, MADV_POPULATE_READ);
	pages_warm(m->parts, m->l.parts_len, MADV_POPULATE_READ);
	pages_warm(rk_shm_bell(m, 0), (size_t)((const char *)rk_shm_bell(m, m->g.n_workers - 1) -
					       (const char *)rk_shm_bell(m, 0)),
		   MADV_POPULATE_READ);
}

static void private_warm(const struct worker *w)
{
	/* They are fresh: written over with what they hold. */
	memset(w->partitions, 0, w->m.g.n_partitions * sizeof(*w->partitions));
	memset(w->room, 0, rk_owner_room(&w->m));
}

/* ---- a rehearsal ---- */

/* The lease, in a page of its own: the symbols are bound, the kernel has its robust list. */
static void lease_rehearse(void)
{
	struct rk_beat *beat = calloc(1, sizeof(*beat));

	if (!beat)
		return;
	if (rk_beat_take(beat, 1) == 0) {
		(void)pthread_mutex_unlock((pthread_mutex_t *)(void *)beat->lease);
		(void)pthread_mutex_destroy((pthread_mutex_t *)(void *)beat->lease);
	}
	free(beat);
}

/* A bank, read only and untouched. */
static void bank_rehearse(const struct worker *w)
{
	struct rk_err err;
	void *mapped;

	if (rk_region_map(w->fd[FD_STATE], rk_bank_offset(&w->m, 0, 0), w->m.l.bank_stride, false, NULL, &mapped,
			  &err) == 0)
		rk_region_unmap(mapped, w->m.l.bank_stride);
}

static void warm(const struct worker *w)
{
	(void)dl_iterate_phdr(object_warm, NULL);
	control_warm(w);
	private_warm(w);
	lease_rehearse();
	bank_rehearse(w);
	(void)rk_clock_ns();
	(void)rk_clock_wall_ns();
	stack_warm();
}

/* ---- parked ---- */

static int output_take(int out, struct rk_err *err)
{
	int r = 0;

	if (out < 0)
		return 0;
	if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		r = rk_err_set(err, -errno, "cannot take over its output: %s", strerror(errno));
	(void)close(out);
	return r;
}

/* Copied, checked, then used. */
static int become(struct worker *w, const struct rk_promotion *order, struct rk_err *err)
{
	if (order->worker >= w->m.g.n_workers)
		return rk_err_set(err, -EPROTO, "ordered to be worker %u: the fleet has %u slots", order->worker,
				  w->m.g.n_workers);
	w->number = order->worker;
	w->incarnation = order->incarnation;
	return 0;
}

int rk_standby_wait(struct worker *w, struct rk_err *err)
{
	struct rk_promotion order;
	int out = -1, r;

	warm(w);
	r = rk_promotion_parked(w->order);
	if (r == 0)
		r = rk_promotion_await(w->order, &order, &out);
	if (r == -EPIPE)
		return RK_STANDBY_UNWANTED;
	if (r < 0)
		return rk_err_set(err, r, "the supervisor's order is not understood: %s", strerror(-r));
	RK_KILL_POINT(STANDBY_ORDERED);
	r = become(w, &order, err);
	return r == 0 ? output_take(out, err) : r;
}
