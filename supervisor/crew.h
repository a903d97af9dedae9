/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crew: the workers of a fleet: their slots (slot.h), where each partition belongs, and what people
 * are told of the whole.
 *
 * Who       the fleet, in the supervisor's loop.
 * Crash     as slot.h says.
 * Blocking  never.
 */
#ifndef RK_SUPERVISOR_CREW_H
#define RK_SUPERVISOR_CREW_H

#include <systemd/sd-event.h>

#include "supervisor/cgroup.h"
#include "supervisor/conf.h"
#include "supervisor/link.h"
#include "supervisor/recorder.h"
#include "supervisor/say.h"
#include "supervisor/segments.h"
#include "supervisor/spawn.h"
#include "supervisor/ward.h"
#include "supervisor/watch.h"

struct rk_crew;
struct rk_inject_request;
struct rk_inject_hit;

/* What a crew works with; all borrowed. */
struct rk_crew_conf {
	const struct rk_conf_fleet *conf;
	uint32_t fleet; /* its number, for keeper */
	const struct rk_shm *m;
	sd_event *event;
	struct rk_spawn *spawn;
	const struct rk_cgroup *cgroup;
	struct rk_watch *watch;
	struct rk_ward *ward; /* under the loop's guard */
	struct rk_say *say;
	struct rk_recorder *recorder;
	int link;
	void (*on_change)(void *arg); /* slots look different now */
	void (*on_ready)(void *arg);  /* all slots are ready at once, for the first time */
	void (*on_end)(void *arg);    /* after rk_crew_stop(): no worker is left */
	void *arg;
};

/* Places the partitions on the slots. 0 or -errno; nothing has started. */
RK_MUST_USE int rk_crew_open(const struct rk_crew_conf *conf, struct rk_crew **ret,
			      struct rk_err *err);
void rk_crew_close(struct rk_crew *f);

/* Starts every worker. A process that cannot be made is tried again later. */
void rk_crew_start(struct rk_crew *f);

/* Asks every worker to end, kills each that is left after the stop timeout, then calls on_end. why: for people. */
void rk_crew_stop(struct rk_crew *f, const char *why);

/* Workers have something to tell (the news eventfd). */
void rk_crew_on_news(struct rk_crew *f);

/* Leases died (the watch's eventfd). */
void rk_crew_on_leases(struct rk_crew *f);

/* The guard found something (the ward's eventfd). */
void rk_crew_on_findings(struct rk_crew *f);

/* Somebody asks for a fault (inject.h). *ret is whom it hit. 0; -errno as rk_inject_choose() and rk_inject(). */
RK_MUST_USE int rk_crew_fault(struct rk_crew *f, const struct rk_inject_request *q, struct rk_inject_hit *ret,
			      struct rk_err *err);

/* Keeper reaped a worker. */
void rk_crew_on_exited(struct rk_crew *f, const struct rk_link_msg *msg);

/* The slots' part of a view. */
void rk_crew_fill(const struct rk_crew *f, struct rk_view *view);

#endif
