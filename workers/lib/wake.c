/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/wake.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shm/bell.h"

void rk_wake_raise(const struct rk_wake *w)
{
	uint64_t one = 1;
	ssize_t r = write(w->event, &one, sizeof(one));

	(void)r; /* a full counter is readable all the same */
}

void rk_wake_drain(const struct rk_wake *w)
{
	uint64_t sum;
	ssize_t r = read(w->event, &sum, sizeof(sum)); /* non-blocking */

	(void)r;
}

static void *help(void *arg)
{
	struct rk_wake *w = arg;

	(void)pthread_mutex_lock(&w->lock);
	while (!w->closing) {
		struct rk_orphan_sleep s = w->beside;
		uint32_t word = w->word;

		if (w->armed == w->served) {
			(void)pthread_cond_wait(&w->changed, &w->lock);
			continue;
		}
		w->served = w->armed;
		(void)pthread_mutex_unlock(&w->lock);
		/* Whatever ends it: look. A word that has changed since it was armed ends it at
		 * once. */
		(void)rk_bell_wait_beside(w->bell, word, s.word, s.seen, s.deadline_ns);
		rk_wake_raise(w);
		(void)pthread_mutex_lock(&w->lock);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

int rk_wake_open(struct rk_wake *w, _Atomic uint32_t *bell)
{
	sigset_t all, before;
	int r;

	*w = (struct rk_wake){ .bell = bell, .event = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK) };
	if (w->event < 0)
		return -errno;
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->changed, NULL);
	/* Signals are for the program's own threads. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&w->thread, NULL, help, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r) {
		(void)close(w->event);
		w->event = -1;
	}
	return -r;
}

void rk_wake_arm(struct rk_wake *w, uint32_t word, const struct rk_orphan_sleep *beside)
{
	(void)pthread_mutex_lock(&w->lock);
	w->word = word;
	w->beside = *beside;
	w->armed++;
	(void)pthread_cond_signal(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
}

void rk_wake_close(struct rk_wake *w)
{
	if (w->event < 0)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->closing = true;
	(void)pthread_cond_signal(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
	/* It may sleep on the bell, or be about to: parking makes the ring count. */
	(void)rk_bell_park(w->bell);
	rk_bell_ring(w->bell);
	rk_bell_unpark(w->bell);
	(void)pthread_join(w->thread, NULL);
	(void)pthread_cond_destroy(&w->changed);
	(void)pthread_mutex_destroy(&w->lock);
	(void)close(w->event);
	w->event = -1;
}
