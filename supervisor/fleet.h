/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fleet: the workers of one command: their slots (slot.h), where each partition belongs, and what
 * people are told of the whole.
 *
 * Who       the supervisor's loop.
 * Crash     part A: keeper ends everything. The journal already says what a successor of the
 *           supervisor needs.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_FLEET_H
#define RK_SUPERVISOR_FLEET_H

#include <systemd/sd-event.h>

#include "supervisor/conf.h"
#include "supervisor/link.h"
#include "supervisor/recorder.h"
#include "supervisor/say.h"
#include "supervisor/segments.h"
#include "supervisor/spawn.h"
#include "supervisor/watch.h"

struct rk_fleet;

/* What a fleet works with; all borrowed. */
struct rk_fleet_conf {
	const struct rk_conf_fleet *conf;
	const struct rk_shm *m;
	sd_event *event;
	struct rk_spawn *spawn;
	struct rk_watch *watch;
	struct rk_say *say;
	struct rk_recorder *recorder;
	int link;
	void (*on_change)(void *arg); /* slots look different now */
	void (*on_end)(void *arg);    /* after rk_fleet_stop(): no worker is left */
	void *arg;
};

/* Places the partitions on the slots. 0 or -errno; nothing has started. */
RK_MUST_USE int rk_fleet_open(const struct rk_fleet_conf *conf, struct rk_fleet **ret,
			      struct rk_err *err);
void rk_fleet_close(struct rk_fleet *f);

/* Starts every worker. A process that cannot be made is tried again later. */
void rk_fleet_start(struct rk_fleet *f);

/* Asks every worker to end, kills what is left after the stop timeout, then calls on_end. why: for people. */
void rk_fleet_stop(struct rk_fleet *f, const char *why);

/* Workers have something to tell (the news eventfd). */
void rk_fleet_on_news(struct rk_fleet *f);

/* Leases died (the watch's eventfd). */
void rk_fleet_on_leases(struct rk_fleet *f);

/* Keeper reaped a worker. */
void rk_fleet_on_exited(struct rk_fleet *f, const struct rk_link_msg *msg);

/* The slots' part of a view. */
void rk_fleet_fill(const struct rk_fleet *f, struct rk_view *view);

#endif
