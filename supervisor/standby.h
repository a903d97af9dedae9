/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standby: the spare processes of a fleet (Standby=), each started as a worker is, attached and
 * parked (workers/lib/standby.h) until a slot needs a process at once. spare.h is the life of one.
 *
 *   PARKED --choose--> the slot journals --promote, retag, leave--> the slot's process,
 *                                                      and a new standby is made, a while later
 *
 * Only this process promotes, and over a socket that nobody else has. A standby is not chosen when
 * it is stopped, or when the program at its path is another file than the one it runs: then it is
 * ended and made anew, and the slot gets the next one or an exec. Its ExecStartPre has run before it
 * was started, with REKINDLE_WORKER_SLOT=standby. Until it is promoted its output goes where that of
 * a slot called "standby" would. It brings along the control group that it was born into, and leaves
 * the slot's for the next standby.
 *
 * The first is made when a worker of the fleet has become ready: so the command is one that works,
 * and nobody's start is slower for it.
 *
 * Who       the fleet's crew and its slots, in the supervisor's loop.
 * Crash     its standbys read end of file and end; nothing of theirs is in the journal.
 * Blocking  never. Choosing opens the slot's output where that depends on the slot.
 */
#ifndef RK_SUPERVISOR_STANDBY_H
#define RK_SUPERVISOR_STANDBY_H

#include "supervisor/crew.h"
#include "supervisor/hook.h"
#include "supervisor/restart.h"

struct rk_standby;     /* those of one fleet */
struct rk_standby_one; /* one that was chosen */

/* All borrowed. */
struct rk_standby_conf {
	const struct rk_crew_conf *c;
	struct rk_hook_host *hooks;
	const struct rk_restart_conf *restart; /* as for a worker, but one is always wanted */
	uint64_t n_made; /* so many standbys have their tags already */
	void (*on_change)(void *arg);          /* others are parked now, or none is left */
	void *arg;
};

/* 0 or -ENOMEM. Nothing is started. */
RK_MUST_USE int rk_standby_open(const struct rk_standby_conf *conf, struct rk_standby **ret);

/* Accepts NULL. */
void rk_standby_close(struct rk_standby *b);

/* So many as the configuration says are wanted from now on. Also after it has changed. */
void rk_standby_start(struct rk_standby *b);

/* None is wanted from now on. */
void rk_standby_stop(struct rk_standby *b);

/* They run what was configured before, or may: each is ended and made anew, with all forgiven. */
void rk_standby_renew(struct rk_standby *b);

/* Who waits before another start makes it now; failures so far are forgotten. */
void rk_standby_retry(struct rk_standby *b);

/* Whether the starts of all wanted ones fail, again and again. on_change follows each failure. */
bool rk_standby_is_failing(const struct rk_standby *b);

/* How many are wanted. */
uint32_t rk_standby_n_wanted(const struct rk_standby *b);

/* Whether no process is left. */
bool rk_standby_is_empty(const struct rk_standby *b);

/* Keeper says how one of them, or an ExecStartPre of theirs, has ended. */
void rk_standby_on_exited(struct rk_standby *b, const struct rk_link_msg *msg);

/* How many have parked and run, outdated ones included. Changes nothing. */
uint32_t rk_standby_n_running(const struct rk_standby *b);

/* How many could take over now. Those that are parked and could not are ended and made anew. */
uint32_t rk_standby_n_able(struct rk_standby *b);

/* One that can become this slot's process now; NULL: there is none. */
struct rk_standby_one *rk_standby_choose(struct rk_standby *b, uint32_t slot);

/* It, until it is left. */
const struct rk_spawned *rk_standby_process(const struct rk_standby_one *one);

/* The number of its control group; 0 = none. */
uint64_t rk_standby_cgroup(const struct rk_standby_one *one);

/* Keeper calls it by this tag from now on. 0 or -errno. */
RK_MUST_USE int rk_standby_retag(const struct rk_standby_one *one, uint64_t tag);

/* Orders it to be that worker. 0; -errno: it has not heard of it, and will not. */
RK_MUST_USE int rk_standby_promote(struct rk_standby_one *one, uint32_t slot, uint64_t incarnation);

/*
 * What a slot takes over; its gate is the socket. The control group is exchanged for the slot's, in
 * which everything is ended that the slot's dead process had started.
 */
struct rk_standby_leaving {
	struct rk_spawned *process;
	struct rk_cgroup_slot *cgroup;
	int *stat_fd;
};
void rk_standby_leave(struct rk_standby_one *one, const struct rk_standby_leaving *to);

/* Those that are parked, in the last places of a view that no slot uses. */
void rk_standby_fill(const struct rk_standby *b, struct rk_view *view);

#endif
