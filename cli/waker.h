/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waker: a futex in shared memory as something poll() can wait for, together with other
 * descriptors. A thread sleeps on the futex; nothing looks by the clock.
 *
 * Who       rekindle, one thread beside the waker's own.
 * Blocking  rk_waker_wait() until something happens.
 */
#ifndef RK_CLI_WAKER_H
#define RK_CLI_WAKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct rk_waker {
	const void *futex; /* mapped read-only, shared */
	/* Reads the word, in the waker's thread; false: there is nothing to wait for any more. */
	bool (*look)(void *arg, uint32_t *ret_word);
	void *arg;
	bool is_silent; /* nothing is printed: who reads standard output does not matter */
	int fd; /* an eventfd; -1 = not open */
	_Atomic uint32_t quit;
	pthread_t thread;
};

enum rk_wake {
	RK_WAKE_CHANGED, /* the word has another value than before, or was never seen */
	RK_WAKE_ENDED,   /* the other descriptor can be read, or was closed at its other end */
	RK_WAKE_NOBODY   /* nobody reads our standard output any more */
};

/* Starts the thread; futex, look and arg are set. 0 or -errno; rk_waker_close_p() in any case. */
RK_MUST_USE int rk_waker_open(struct rk_waker *w, struct rk_err *err);
void rk_waker_close_p(struct rk_waker *w);

/* Waits for a change since the last one it told of, or for the end; fd -1 = no other descriptor. */
enum rk_wake rk_waker_wait(struct rk_waker *w, int fd);

#endif
