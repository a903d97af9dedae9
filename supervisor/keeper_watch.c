/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeper, watch: over the supervisor's progress, where systemd watches over keeper's (WatchdogSec=).
 *
 * A supervisor that is ready goes round its loop and says so; one that is silent for half of that time hangs. One
 * that adopts is in no loop yet. It tells each step it has done, but a step may take long on a loaded machine, and
 * who is killed there only begins again: it has ADOPTING_NS for each, in which keeper tells systemd itself. A keeper
 * that was late itself judges nobody.
 */
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "supervisor/keeper_private.h"
#include "supervisor/message.h"
#include "supervisor/options.h"

#define ADOPTING_NS (30 * RK_NS_PER_S)

static uint64_t watchdog_ns(const struct rk_keeper *k)
{
	return k->store.notify.watchdog_ns;
}

/* The supervisor is to make some twice in the time in which keeper has to tell of it. */
uint64_t rk_keeper_watch_period_ns(const struct rk_keeper *k)
{
	return watchdog_ns(k) / 4;
}

void rk_keeper_watch_begin(struct rk_keeper *k, uint64_t now_ns)
{
	k->is_ready = false;
	k->progress_ns = now_ns;
}

void rk_keeper_watch_ready(struct rk_keeper *k, uint64_t now_ns)
{
	k->is_ready = true;
	rk_keeper_watch_progress(k, now_ns);
}

static void tell(struct rk_keeper *k, uint64_t now_ns)
{
	k->told_ns = now_ns;
	(void)rk_notify_watchdog(&k->store.notify);
}

void rk_keeper_watch_progress(struct rk_keeper *k, uint64_t now_ns)
{
	k->progress_ns = now_ns;
	tell(k, now_ns);
}

/* When the supervisor is taken for hung; RK_INFINITE = never. */
static uint64_t hung_at_ns(const struct rk_keeper *k)
{
	uint64_t patience_ns = watchdog_ns(k) / 2;

	if (!k->is_ready)
		patience_ns = rk_max_u64(patience_ns, ADOPTING_NS);
	return k->supervisor && watchdog_ns(k) && !k->killed ? k->progress_ns + patience_ns : RK_INFINITE;
}

/* When systemd is to hear from keeper alone: nobody supervises yet. */
static uint64_t tell_at_ns(const struct rk_keeper *k)
{
	return watchdog_ns(k) && !k->is_ready && !k->killed ? k->told_ns + rk_keeper_watch_period_ns(k) : RK_INFINITE;
}

uint64_t rk_keeper_watch_due_ns(const struct rk_keeper *k)
{
	return rk_min_u64(hung_at_ns(k), tell_at_ns(k));
}

/*
 * Whether we ourselves have slept past that: stopped, or without CPU. Of what it had to tell meanwhile the socket may
 * have had no room for the last, so it gets as long again.
 */
static bool was_late(const struct rk_keeper *k, uint64_t now_ns)
{
	return now_ns - hung_at_ns(k) > rk_keeper_watch_period_ns(k);
}

void rk_keeper_watch_look(struct rk_keeper *k, uint64_t now_ns)
{
	if (now_ns >= tell_at_ns(k))
		tell(k, now_ns);
	if (now_ns < hung_at_ns(k))
		return;
	if (was_late(k, now_ns)) {
		rk_keeper_watch_progress(k, now_ns);
		return;
	}
	rk_message_log(RK_MESSAGE_SUPERVISOR_HUNG, RK_LOG_ERROR,
		       "the supervisor makes no progress, it is killed and the next one started pid=%d", (int)k->supervisor);
	(void)snprintf(k->end.name, sizeof(k->end.name), "keeper: no progress for %llu ms",
		       (unsigned long long)((now_ns - k->progress_ns) / RK_NS_PER_MS));
	(void)kill(k->supervisor, SIGKILL);
	k->progress_ns = now_ns;
}
