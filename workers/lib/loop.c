/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's loop: rk_worker_open(), _fd(), _next(), _close(), and
 * rk_worker_main(), which is a loop over them.
 *
 * Who       the worker's one job thread.
 * Crash     see shm/owner.h; what is private here dies with the process.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "shm/bell.h"
#include "shm/vigil.h"
#include "workers/lib/handle.h"

#define JOBS_DEFAULT 256u /* of one rk_worker_next() */

static int prepare_handle(struct rk_worker *k)
{
	k->wake.event = -1;
	k->job_thread = pthread_self();
	k->alive = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (k->alive == MAP_FAILED || madvise(k->alive, 4096, MADV_WIPEONFORK) < 0)
		return rk_worker_give_up(&k->w, RK_EXIT_DOES_NOT_FIT, "no memory for a worker");
	*k->alive = 1;
	return 0;
}

/* Frees the handle. */
static void free_worker(struct rk_worker *k)
{
	if (k->alive == MAP_FAILED ||
	    *k->alive) { /* in a forked child there is no helper, and nothing mapped */
		rk_wake_close(&k->wake);
		rk_worker_tear_down(&k->w);
	}
	if (k->alive != MAP_FAILED)
		(void)munmap(k->alive, 4096);
	free(k);
}

int rk_handle_open(struct rk_worker **ret, const struct rk_worker_def *def, bool is_ahead)
{
	struct rk_worker *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return RK_EXIT_DOES_NOT_FIT;
	k->def = *def;
	k->w.def = &k->def;
	k->w.is_ahead = k->is_declared = is_ahead; /* STARTING */
	k->w.jobs_max = def->jobs_max ? def->jobs_max : JOBS_DEFAULT;
	r = prepare_handle(k);
	if (r == 0)
		r = rk_worker_start(&k->w);
	if (r == 0)
		*ret = k;
	else
		free_worker(k);
	return r;
}

int rk_worker_open(struct rk_worker **ret, const struct rk_worker_def *def)
{
	return rk_handle_open(ret, def, false);
}

void rk_handle_disarm(struct rk_worker *k)
{
	if (!k->armed)
		return;
	k->armed = false;
	if (!k->is_declared)
		rk_vigil_rouse(&k->w.m, k->w.number);
	rk_bell_unpark(&k->w.bell->bell);
}

bool rk_handle_arm(struct rk_worker *k, bool (*has_work)(const struct worker *))
{
	struct worker *w = &k->w;
	struct rk_orphan_sleep s;
	uint32_t word;

	rk_wake_drain(&k->wake); /* whatever comes from here on rings */
	word = rk_bell_park(&w->bell->bell);
	if ((has_work && has_work(w)) || rk_worker_must_stop(w)) {
		rk_bell_unpark(&w->bell->bell);
		return false;
	}
	k->armed = true;
	s = rk_orphan_sleep(&w->orphan, &w->m, w->number, 0);
	if (!k->is_declared)
		atomic_store_explicit(&w->beat->state, RK_BEAT_PARKED, memory_order_release);
	rk_wake_arm(&k->wake, word, &s);
	return true;
}

/* Why a round could not be: as main()'s exit status. */
static int status_of(int r)
{
	if (r == -ESTALE)
		return RK_EXIT_LOST;
	return r == -EOWNERDEAD ? RK_EXIT_ORPHANED : RK_EXIT_DOES_NOT_FIT;
}

void rk_handle_give_up(struct rk_worker *k, int r, const char *text)
{
	k->status = rk_worker_give_up(&k->w, status_of(r), text);
}

/* Rounds until one did something. */
static int next(struct rk_worker *k, uint32_t timeout_ms)
{
	bool ends = timeout_ms != RK_TIMEOUT_NONE;
	uint64_t deadline_ns = ends && timeout_ms ? rk_clock_ns() + timeout_ms * RK_NS_PER_MS : 0;
	struct rk_err err;

	while (!rk_worker_must_stop(&k->w)) {
		int n = rk_worker_round(&k->w, &err);

		if (n < 0)
			rk_handle_give_up(k, n, err.text);
		if (n != 0)
			return n;
		if (!ends || (deadline_ns && rk_clock_ns() < deadline_ns))
			rk_worker_idle(&k->w, deadline_ns);
		else if (k->wake.event < 0 || rk_handle_arm(k, rk_worker_has_pending))
			return 0;
	}
	atomic_store_explicit(&k->w.beat->state, RK_BEAT_STOPPING, memory_order_release);
	return RK_STOP;
}

int rk_worker_next(struct rk_worker *k, uint32_t timeout_ms)
{
	int r;

	if (rk_unlikely(!*k->alive))
		return -ECHILD;
	if (rk_unlikely(k->inside || !pthread_equal(k->job_thread, pthread_self())))
		return -EDEADLK;
	if (rk_unlikely(k->status))
		return -ESHUTDOWN;
	rk_handle_disarm(k);
	k->inside = true;
	r = next(k, timeout_ms);
	k->inside = false;
	/* There may be more, and whoever waits for the descriptor must come back for it. */
	if (k->wake.event >= 0 && r != 0)
		rk_wake_raise(&k->wake);
	return r;
}

int rk_worker_fd(struct rk_worker *k)
{
	int r = 0;

	if (!*k->alive)
		return -ECHILD;
	if (k->wake.event < 0)
		r = rk_wake_open(&k->wake, &k->w.bell->bell);
	return r < 0 ? r : k->wake.event;
}

int rk_worker_close(struct rk_worker *k)
{
	int status = k ? k->status : 0;

	if (k && *k->alive) {
		rk_handle_disarm(k);
		atomic_store_explicit(&k->w.beat->state, RK_BEAT_STOPPING, memory_order_release);
	}
	if (k)
		free_worker(k);
	return status;
}

int rk_worker_main(const struct rk_worker_def *def)
{
	struct rk_worker *k;
	int r = rk_worker_open(&k, def);

	if (r)
		return r;
	k->w.jobs_max = UINT32_MAX; /* nobody else waits for this thread */
	do
		r = rk_worker_next(k, RK_TIMEOUT_NONE);
	while (r >= 0);
	return rk_worker_close(k);
}
