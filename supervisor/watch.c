/* SPDX-License-Identifier: Apache-2.0 */
#define RCU_MEMB
#include "supervisor/watch.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <urcu.h>

#include "base/cleanup.h"
#include "shm/beat.h"

#define LEASES_PER_THREAD 127u /* futex_waitv takes 128 words; one is the control word */
#define CONTROL_QUIT 1u
#define CONTROL_STEP 2u /* what each change of the set adds */

/* Whose lease each slot has; 0 = not watched. Immutable once published. */
struct set {
	struct rcu_head head;
	uint64_t incarnation[];
};

struct watcher {
	struct rk_watch *watch;
	pthread_t thread;
	uint32_t first, n; /* its slots */
	_Atomic uint32_t control;
	uint64_t told[LEASES_PER_THREAD]; /* incarnation whose death was reported; private */
};

/* Written by the slot's thread, read by the loop. */
struct report {
	_Atomic uint32_t holder;
	_Atomic uint64_t died; /* incarnation; 0 = nothing to tell */
};

struct rk_watch {
	const struct rk_shm *m;
	struct set *set; /* by RCU */
	struct set *next; /* being put together by rk_watch_begin(); NULL = each change is published at once */
	struct report *reports;
	struct watcher *watchers;
	uint32_t n_slots, n_watchers, n_running;
	uint32_t hand; /* where rk_watch_next() goes on */
	int fd;
};

/* ---- the threads ---- */

static void tell(struct rk_watch *w, uint32_t slot, uint64_t incarnation)
{
	/* W5: release; pairs with W6. The holder stored before is seen with it. */
	atomic_store_explicit(&w->reports[slot].died, incarnation, memory_order_release);
	(void)eventfd_write(w->fd, 1); /* fails only when 2^64 - 2 are unread */
}

/* One slot: adds its lease to what the thread waits for, or reports its death. */
static void slot_look(struct watcher *t, uint32_t i, uint64_t incarnation,
		      struct futex_waitv *waits, uint32_t *n)
{
	struct rk_watch *w = t->watch;
	struct rk_beat *beat = rk_shm_beat(w->m, t->first + i);
	uint32_t word;

	if (incarnation == 0 || incarnation == t->told[i])
		return;
	switch (rk_beat_look(beat, &word)) {
	case RK_LEASE_NOBODY:
		return; /* buried already; its successor will be followed anew */
	case RK_LEASE_DIED:
		t->told[i] = incarnation;
		tell(w, t->first + i, incarnation);
		return;
	case RK_LEASE_HELD:
		break;
	}
	/* Relaxed: read behind W5, or as a hint. */
	atomic_store_explicit(&w->reports[t->first + i].holder, word & FUTEX_TID_MASK,
			      memory_order_relaxed);
	waits[(*n)++] = (struct futex_waitv){ .val = word,
					      .flags = FUTEX_32,
					      .uaddr = (uintptr_t)rk_beat_lease_word(beat) };
}

static uint32_t leases_gather(struct watcher *t, struct futex_waitv *waits)
{
	uint32_t n = 0;
	const struct set *set;

	rcu_read_lock();
	set = rcu_dereference(t->watch->set); /* W4: consume; pairs with W1 */
	for (uint32_t i = 0; i < t->n; i++)
		slot_look(t, i, set->incarnation[t->first + i], waits, &n);
	rcu_read_unlock();
	return n;
}

static void *thread_run(void *arg)
{
	struct futex_waitv waits[LEASES_PER_THREAD + 1];
	struct watcher *t = arg;

	(void)prctl(PR_SET_NAME, "watch");
	rcu_register_thread();
	for (;;) {
		/* W3: acquire; pairs with W2: with the new word comes the new set. */
		uint32_t control = atomic_load_explicit(&t->control, memory_order_acquire);
		uint32_t n;

		if (control & CONTROL_QUIT)
			break;
		n = leases_gather(t, waits);
		waits[n] = (struct futex_waitv){ .val = control,
						 .flags = FUTEX_32,
						 .uaddr = (uintptr_t)&t->control };
		/* Returns at once when any word is no longer what we saw: then we look again. */
		(void)syscall(SYS_futex_waitv, waits, n + 1, 0, NULL, 0);
	}
	rcu_unregister_thread();
	return NULL;
}

/* ---- the loop's side ---- */

static void control_change(struct watcher *t, uint32_t add)
{
	/* W2: release, behind W1. */
	(void)atomic_fetch_add_explicit(&t->control, add, memory_order_release);
	(void)syscall(SYS_futex, &t->control, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void set_free(struct rcu_head *head)
{
	free(caa_container_of(head, struct set, head));
}

static struct set *set_new(uint32_t n_slots)
{
	return calloc(1, sizeof(struct set) + n_slots * sizeof(uint64_t));
}

static struct set *set_copy(const struct rk_watch *w)
{
	struct set *new = set_new(w->n_slots);

	if (new)
		memcpy(new->incarnation, w->set->incarnation, w->n_slots * sizeof(uint64_t));
	return new;
}

static void set_publish(struct rk_watch *w, struct set *new)
{
	struct set *old = w->set;

	rcu_assign_pointer(w->set, new); /* W1: release; pairs with W4 */
	call_rcu(&old->head, set_free);
}

int rk_watch_begin(struct rk_watch *w)
{
	w->next = set_copy(w);
	return w->next ? 0 : -ENOMEM;
}

void rk_watch_end(struct rk_watch *w)
{
	if (!w->next)
		return;
	set_publish(w, w->next);
	w->next = NULL;
	for (uint32_t i = 0; i < w->n_running; i++)
		control_change(&w->watchers[i], CONTROL_STEP);
}

int rk_watch_follow(struct rk_watch *w, uint32_t slot, uint64_t incarnation)
{
	struct set *new = w->next ? w->next : set_copy(w);

	if (!new)
		return -ENOMEM;
	new->incarnation[slot] = incarnation;
	if (w->next)
		return 0;
	set_publish(w, new);
	control_change(&w->watchers[slot / LEASES_PER_THREAD], CONTROL_STEP);
	return 0;
}

int rk_watch_fd(const struct rk_watch *w)
{
	return w->fd;
}

void rk_watch_drain(struct rk_watch *w)
{
	eventfd_t value;

	(void)eventfd_read(w->fd, &value);
}

bool rk_watch_next(struct rk_watch *w, uint32_t *ret_slot, uint64_t *ret_incarnation)
{
	for (uint32_t k = 0; k < w->n_slots; k++) {
		uint32_t slot = w->hand;
		uint64_t died;

		w->hand = slot + 1 < w->n_slots ? slot + 1 : 0;
		/* Relaxed: only to skip the quiet ones. */
		if (!atomic_load_explicit(&w->reports[slot].died, memory_order_relaxed))
			continue;
		/* W6: acquire; pairs with W5. */
		died = atomic_exchange_explicit(&w->reports[slot].died, 0, memory_order_acquire);
		*ret_slot = slot;
		*ret_incarnation = died;
		return true;
	}
	return false;
}

uint32_t rk_watch_holder(const struct rk_watch *w, uint32_t slot)
{
	return atomic_load_explicit(&w->reports[slot].holder, memory_order_relaxed);
}

static int threads_start(struct rk_watch *w)
{
	sigset_t all, before;
	int r = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
	for (uint32_t i = 0; r == 0 && i < w->n_watchers; i++) {
		struct watcher *t = &w->watchers[i];

		t->watch = w;
		t->first = i * LEASES_PER_THREAD;
		t->n = rk_min_u32(LEASES_PER_THREAD, w->n_slots - t->first);
		r = -pthread_create(&t->thread, NULL, thread_run, t);
		w->n_running += r == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

void rk_watch_enter(void)
{
	rcu_register_thread(); /* for call_rcu() */
}

void rk_watch_leave(void)
{
	rcu_unregister_thread();
}

int rk_watch_open(const struct rk_shm *m, uint32_t n_slots, struct rk_watch **ret,
		  struct rk_err *err)
{
	struct rk_watch *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	if (!w)
		return rk_err_set(err, -ENOMEM, "no memory for the watch threads");
	w->m = m;
	w->n_slots = n_slots;
	w->n_watchers = (n_slots + LEASES_PER_THREAD - 1) / LEASES_PER_THREAD;
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->set = set_new(n_slots);
	w->reports = calloc(n_slots, sizeof(*w->reports));
	w->watchers = calloc(w->n_watchers, sizeof(*w->watchers));
	if (w->fd >= 0 && w->set && w->reports && w->watchers)
		r = threads_start(w);
	if (r < 0) {
		rk_watch_close(w);
		return rk_err_set(err, r, "cannot start the watch threads: %s", strerror(-r));
	}
	*ret = w;
	return 0;
}

void rk_watch_close(struct rk_watch *w)
{
	if (!w)
		return;
	for (uint32_t i = 0; i < w->n_running; i++)
		control_change(&w->watchers[i], CONTROL_QUIT);
	for (uint32_t i = 0; i < w->n_running; i++)
		(void)pthread_join(w->watchers[i].thread, NULL);
	rcu_barrier(); /* sets that still wait for their grace period */
	rk_close_p(&w->fd);
	free(w->set);
	free(w->next);
	free(w->reports);
	free(w->watchers);
	free(w);
}
