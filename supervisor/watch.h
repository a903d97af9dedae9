/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watch: threads that sleep on the workers' leases and tell the loop when one dies.
 *
 * A thread waits with one futex_waitv on up to 127 lease words and a control word of its own.
 * Which leases are watched is a set that the loop publishes by liburcu (memb): a new set
 * replaces the old one, which goes when no thread reads it any more. Nothing wakes up while
 * nothing happens.
 *
 *   loop  follow: new set W1 -> control word W2 ----> thread: reads control W3, set W4, sleeps
 *   worker dies: kernel marks the lease, wakes -----> thread: died bit W5 -> eventfd
 *   loop  eventfd readable: next W6
 *
 * Who       rk_watch_*: the supervisor's loop, one thread. The threads are this module's own.
 * Crash     they die with the supervisor; nothing shared is left but a waiters bit.
 * Blocking  rk_watch_close() waits for the threads; the rest never blocks. follow allocates.
 */
#ifndef RK_SUPERVISOR_WATCH_H
#define RK_SUPERVISOR_WATCH_H

#include "shm/layout.h"

struct rk_watch;

/* The thread that opens watches, before its first one and behind its last. */
void rk_watch_enter(void);
void rk_watch_leave(void);

/*
 * Starts the threads for the first n_slots worker slots. The caller has blocked the signals it
 * handles. Returns 0; -errno.
 */
RK_MUST_USE int rk_watch_open(const struct rk_shm *m, uint32_t n_slots, struct rk_watch **ret,
			      struct rk_err *err);

/* Accepts NULL. */
void rk_watch_close(struct rk_watch *w);

/* The eventfd that becomes readable when a lease died; it stays this module's. */
int rk_watch_fd(const struct rk_watch *w);

/* From now on the slot's lease is this incarnation's, which holds it. 0 or -ENOMEM. */
RK_MUST_USE int rk_watch_follow(struct rk_watch *w, uint32_t slot, uint64_t incarnation);

/*
 * Between these two the changes of rk_watch_follow() are put together, and the threads wake for them once.
 * Without memory for that (-ENOMEM) each one wakes them, as ever.
 */
int rk_watch_begin(struct rk_watch *w);
void rk_watch_end(struct rk_watch *w);

/* Empties the eventfd, before rk_watch_next(). */
void rk_watch_drain(struct rk_watch *w);

/*
 * The next slot whose lease died, and whose lease that was. Returns false when there is none.
 * Each death of a followed incarnation is told once.
 */
bool rk_watch_next(struct rk_watch *w, uint32_t *ret_slot, uint64_t *ret_incarnation);

/* Thread id that held the slot's lease when it was last looked at; 0 = never seen held. */
uint32_t rk_watch_holder(const struct rk_watch *w, uint32_t slot);

#endif
