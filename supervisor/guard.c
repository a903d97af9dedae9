/* SPDX-License-Identifier: Apache-2.0 */
#define RCU_MEMB
#include "supervisor/guard.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <urcu.h>

#include "base/clock.h"
#include "base/log.h"
#include "shm/bell.h"

#define STACK_SIZE (256u << 10)
/*
 * Whole ticks without anybody awake before it parks, about a second: where a call comes each
 * millisecond most ticks find nobody awake, and to park and be rung again costs more than to tick.
 */
#define QUIET_TICKS 25u
#define PRIORITY 1 /* of SCHED_FIFO: above everybody who is not */

struct rk_guard {
	struct rk_ward_watcher watcher;
	_Atomic uint32_t
		bell; /* parked while the thread sleeps until it is rung; else a sign to look */
	_Atomic(struct rk_ward *) ward[RK_GUARD_WARDS_MAX]; /* loop sets, guard clears */
	_Atomic(struct rk_ward *) leaving;                  /* the same */
	_Atomic uint32_t n_left;                            /* futex: wards that have left */
	_Atomic bool is_quitting;
	_Atomic uint64_t n_ticks;
	bool is_realtime;
	pthread_t thread;
	char *stack; /* NULL: not made */
};

/* ---- the thread ---- */

struct round {
	struct rk_ward *ward[RK_GUARD_WARDS_MAX];
	uint32_t n;
};

/* Lets go of the one that leaves, and lists the others. */
static void wards_gather(struct rk_guard *g, struct round *r)
{
	/* Acquire; pairs with the release in rk_guard_leave(). */
	struct rk_ward *leaving = atomic_load_explicit(&g->leaving, memory_order_acquire);

	r->n = 0;
	for (uint32_t i = 0; i < RK_GUARD_WARDS_MAX; i++) {
		/* Acquire; pairs with the release in rk_guard_join(). */
		struct rk_ward *w = atomic_load_explicit(&g->ward[i], memory_order_acquire);

		if (w && w == leaving) {
			rk_ward_rest(w);
			atomic_store_explicit(&g->ward[i], NULL, memory_order_relaxed);
		} else if (w) {
			r->ward[r->n++] = w;
		}
	}
	if (!leaving)
		return;
	atomic_store_explicit(&g->leaving, NULL, memory_order_relaxed);
	/* Release; pairs with the acquire in rk_guard_leave(): the ward is not touched any more. */
	atomic_fetch_add_explicit(&g->n_left, 1, memory_order_release);
	rk_bell_wake(&g->n_left);
}

static struct rk_ward_tick tick(struct rk_guard *g, const struct round *r, uint64_t due_ns,
				bool is_short)
{
	uint64_t now_ns = rk_clock_ns();
	struct rk_ward_tick t = { .lateness_ns = now_ns > due_ns ? now_ns - due_ns : 0,
				  .is_short = is_short };

	for (uint32_t i = 0; i < r->n; i++)
		rk_ward_tick(r->ward[i], &t);
	atomic_fetch_add_explicit(&g->n_ticks, 1, memory_order_relaxed); /* for tests */
	return t;
}

static bool is_needless(const struct rk_guard *g, const struct round *r)
{
	/* Behind the parking of our own bell: whoever joins, leaves or closes rings. */
	if (atomic_load_explicit(&g->leaving, memory_order_seq_cst) ||
	    atomic_load_explicit(&g->is_quitting, memory_order_seq_cst))
		return false;
	for (uint32_t i = 0; i < r->n; i++)
		if (!rk_ward_is_needless(r->ward[i]))
			return false;
	return true;
}

static struct futex_waitv wait_on(_Atomic uint32_t *word)
{
	return (struct futex_waitv){ .val = rk_bell_park(word), /* V1 */
				     .flags = FUTEX_32,
				     .uaddr = (uintptr_t)word };
}

/* Sleeps until somebody rings, if there is still nothing to watch; see vigil.h. */
static void park(struct rk_guard *g, const struct round *r)
{
	struct futex_waitv waits[RK_GUARD_WARDS_MAX + 1];

	for (uint32_t i = 0; i < r->n; i++)
		rk_ward_rest(r->ward[i]);
	for (uint32_t i = 0; i < r->n; i++)
		waits[i] = wait_on(rk_ward_vigil(r->ward[i]));
	waits[r->n] = wait_on(&g->bell);
	if (is_needless(g, r)) /* at once when any word is no longer what it was */
		(void)syscall(SYS_futex_waitv, waits, r->n + 1, 0, NULL, 0);
	rk_bell_unpark(&g->bell);
	for (uint32_t i = 0; i < r->n; i++)
		rk_bell_unpark(rk_ward_vigil(r->ward[i]));
}

/*
 * Ticks until it may park, parks, and so on. Short ticks come in between, while somebody is to be
 * seen again before the next whole one; whoever rings makes the next one whole.
 */
static void watch(struct rk_guard *g)
{
	uint64_t due_ns = rk_clock_ns(), whole_ns = due_ns;
	uint32_t n_quiet = 0;
	struct round r;

	/* Relaxed: wards_gather() and the wait below order. */
	while (!atomic_load_explicit(&g->is_quitting, memory_order_relaxed)) {
		/* Before the looks: what comes behind them ends the wait. */
		uint32_t bell = atomic_load_explicit(&g->bell, memory_order_acquire);
		struct rk_ward_tick t;
		uint64_t now_ns;

		wards_gather(g, &r);
		t = tick(g, &r, due_ns, due_ns < whole_ns);
		now_ns = rk_clock_ns();
		if (!t.is_short) {
			n_quiet = t.is_any_awake ? 0 : n_quiet + 1;
			if (n_quiet > QUIET_TICKS) {
				park(g, &r);
				due_ns = whole_ns = rk_clock_ns();
				n_quiet = 0;
				continue;
			}
			whole_ns = now_ns + rk_detect_next_tick_ns(false, false);
		}
		due_ns = rk_min_u64(whole_ns,
				    now_ns + rk_detect_next_tick_ns(t.is_any_suspect, false));
		(void)rk_bell_wait(&g->bell, bell, due_ns);
		if (rk_clock_ns() < due_ns)
			due_ns = whole_ns = rk_clock_ns();
	}
	wards_gather(g, &r);
}

static void *thread_run(void *arg)
{
	struct rk_guard *g = arg;

	(void)prctl(PR_SET_NAME, "guard");
	rcu_register_thread();
	watch(g);
	rcu_unregister_thread();
	return NULL;
}

/* ---- privileges ---- */

/* What cannot be had is said once, and done without. */
static void realtime_take(struct rk_guard *g)
{
	struct sched_param priority = { .sched_priority = PRIORITY };
	int scheduler = pthread_setschedparam(g->thread, SCHED_FIFO, &priority);

	if (scheduler != 0 || !g->watcher.is_locked)
		rk_log(RK_LOG_WARNING,
		       "RealTime=yes is not permitted here, hangs are found late on a crowded machine "
		       "priority=%s memory=%s",
		       scheduler ? strerror(scheduler) : "real-time",
		       g->watcher.is_locked ? "locked" : "not locked");
}

/* The stack, with a page below it that nobody may touch, and what the wards share. */
static bool memory_lock(struct rk_guard *g)
{
	return mlock2(g->stack, STACK_SIZE, MLOCK_ONFAULT) == 0 &&
	       mlock2(g, sizeof(*g), MLOCK_ONFAULT) == 0;
}

/* ---- the loop's side ---- */

static void *pages_map(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static int thread_start(struct rk_guard *g)
{
	long page = sysconf(_SC_PAGESIZE);
	pthread_attr_t attributes;
	sigset_t all, before;
	int r;

	if (mprotect(g->stack, (size_t)page, PROT_NONE) < 0)
		return -errno;
	r = -pthread_attr_init(&attributes);
	if (r < 0)
		return r;
	r = -pthread_attr_setstack(&attributes, g->stack + page, STACK_SIZE - (size_t)page);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
	if (r == 0)
		r = -pthread_create(&g->thread, &attributes, thread_run, g);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	return r;
}

static void guard_free(struct rk_guard *g)
{
	if (g->stack)
		(void)munmap(g->stack, STACK_SIZE);
	rk_pressure_close(&g->watcher.pressure);
	(void)munmap(g, sizeof(*g));
}

int rk_guard_open(bool is_realtime, struct rk_guard **ret, struct rk_err *err)
{
	struct rk_guard *g = pages_map(sizeof(*g));
	int r = -ENOMEM;

	if (!g)
		return rk_err_set(err, -ENOMEM, "no memory for the guard");
	rk_observatory_init(&g->watcher.observatory);
	rk_pressure_open(&g->watcher.pressure);
	g->watcher.bell = &g->bell;
	g->stack = pages_map(STACK_SIZE);
	if (g->stack) {
		g->watcher.is_locked = is_realtime && memory_lock(g);
		g->watcher.observatory.is_locked = g->watcher.is_locked;
		r = thread_start(g);
	}
	if (r < 0) {
		guard_free(g);
		return rk_err_set(err, r, "cannot start the guard's thread: %s", strerror(-r));
	}
	if (is_realtime)
		realtime_take(g);
	*ret = g;
	return 0;
}

/* Ends any wait of the thread. */
static void rouse(struct rk_guard *g)
{
	/* seq_cst, behind what it is to see; pairs with the looks behind V1. */
	atomic_fetch_add_explicit(&g->bell, 2, memory_order_seq_cst);
	rk_bell_wake(&g->bell);
}

void rk_guard_close(struct rk_guard *g)
{
	if (!g)
		return;
	atomic_store_explicit(&g->is_quitting, true, memory_order_seq_cst);
	rouse(g);
	(void)pthread_join(g->thread, NULL);
	guard_free(g);
}

int rk_guard_join(struct rk_guard *g, struct rk_ward *w)
{
	for (uint32_t i = 0; i < RK_GUARD_WARDS_MAX; i++) {
		if (atomic_load_explicit(&g->ward[i], memory_order_relaxed))
			continue;
		rk_ward_enter(w, &g->watcher);
		/* Release; pairs with the acquire in wards_gather(). */
		atomic_store_explicit(&g->ward[i], w, memory_order_release);
		rouse(g);
		return 0;
	}
	return -ENOSPC;
}

void rk_guard_leave(struct rk_guard *g, struct rk_ward *w)
{
	uint32_t n_left =
		atomic_load_explicit(&g->n_left, memory_order_relaxed); /* ours to wait for */
	bool is_in = false;

	for (uint32_t i = 0; i < RK_GUARD_WARDS_MAX; i++)
		is_in |= atomic_load_explicit(&g->ward[i], memory_order_relaxed) == w;
	if (!is_in)
		return;
	atomic_store_explicit(&g->leaving, w, memory_order_seq_cst);
	rouse(g);
	/* Acquire; pairs with the release in wards_gather(). */
	while (atomic_load_explicit(&g->n_left, memory_order_acquire) == n_left)
		(void)rk_bell_wait(&g->n_left, n_left, 0);
}

uint64_t rk_guard_n_ticks(const struct rk_guard *g)
{
	return atomic_load_explicit(&g->n_ticks, memory_order_relaxed);
}

bool rk_guard_is_parked(const struct rk_guard *g)
{
	return atomic_load_explicit(&g->bell, memory_order_relaxed) & RK_BELL_PARKED;
}
