/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/waker.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

static void *thread_run(void *arg)
{
	struct rk_waker *w = arg;
	uint32_t word = 0, told = 0;
	bool has_told = false;

	/* Acquire: pairs with the release of rk_waker_close_p(); what it says is all there is. */
	while (!atomic_load_explicit(&w->quit, memory_order_acquire)) {
		bool goes_on = w->look(w->arg, &word);
		struct futex_waitv waits[2] = {
			{ .val = word, .flags = FUTEX_32, .uaddr = (uintptr_t)w->futex },
			{ .val = 0, .flags = FUTEX_32, .uaddr = (uintptr_t)&w->quit },
		};

		if (!goes_on || !has_told || word != told)
			(void)eventfd_write(w->fd, 1);
		has_told = true;
		told = word;
		/* Returns at once when a word is no longer what we saw: then we look again. */
		if (!goes_on || (syscall(SYS_futex_waitv, waits, 2, 0, NULL, 0) < 0 &&
				 errno != EAGAIN && errno != EINTR))
			break;
	}
	return NULL;
}

int rk_waker_open(struct rk_waker *w, struct rk_err *err)
{
	sigset_t all, before;
	int r;

	/* Relaxed: the thread does not exist yet. */
	atomic_store_explicit(&w->quit, 0, memory_order_relaxed);
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0)
		return rk_err_set(err, -errno, "eventfd: %s", strerror(errno));
	(void)sigfillset(&all); /* signals are the main thread's */
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&w->thread, NULL, thread_run, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		return 0;
	rk_close_p(&w->fd);
	return rk_err_set(err, -r, "cannot start a thread: %s", strerror(r));
}

void rk_waker_close_p(struct rk_waker *w)
{
	if (w->fd < 0)
		return;
	/* Release: pairs with the acquire in thread_run(). */
	atomic_store_explicit(&w->quit, 1, memory_order_release);
	(void)syscall(SYS_futex, &w->quit, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	(void)pthread_join(w->thread, NULL);
	rk_close_p(&w->fd);
}

enum rk_wake rk_waker_wait(struct rk_waker *w, int fd)
{
	struct pollfd p[] = { { .fd = w->fd, .events = POLLIN },
			      { .fd = fd, .events = POLLIN | POLLRDHUP },
			      { .fd = w->is_silent ? -1 : STDOUT_FILENO } };
	eventfd_t value;

	while (poll(p, 3, -1) < 0)
		if (errno != EINTR)
			return RK_WAKE_ENDED;
	if (p[2].revents)
		return RK_WAKE_NOBODY;
	if (p[0].revents) {
		(void)eventfd_read(w->fd, &value);
		return RK_WAKE_CHANGED;
	}
	return RK_WAKE_ENDED;
}
