/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crew: the workers of a fleet: their slots (slot.h), where each partition belongs (member.h),
 * what operators do to them, and what people are told of the whole.
 *
 * What takes its time - scale, drain, start and stop of a worker, a rolling restart - answers at
 * once with the number of its first record in the flight recorder. All its further records carry
 * that number as their group and end in " state=running", or in " state=done" or " state=held",
 * with which it is over or needs somebody.
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
#include "supervisor/inherit.h"
#include "supervisor/link.h"
#include "supervisor/storm.h"
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
	bool outlives_keeper;
	const struct rk_shm *m;
	sd_event *event;
	struct rk_spawn *spawn;
	const struct rk_cgroup *cgroup;
	struct rk_watch *watch;
	struct rk_ward *ward; /* under the loop's guard */
	struct rk_say *say;
	struct rk_recorder *recorder;
	struct rk_storm *storm;
	int link;
	struct rk_inherit *inherit; /* what a dead supervisor left: it is adopted; NULL = all is new */
	void (*on_change)(void *arg); /* slots look different now */
	void (*on_ready)(void *arg);  /* all slots are ready at once, and were not before */
	void (*on_over)(void *arg);   /* an operation is over: whoever followed it looks next */
	void (*on_end)(void *arg);    /* after rk_crew_stop(): no worker is left */
	/* A worker died, whose next process is due at due_ns: whether others go first (slot.h). */
	bool (*takes_over)(uint32_t slot, uint64_t due_ns, void *arg);
	void *arg;
};

/*
 * Places the partitions on the slots, or takes up slots and partitions where a dead supervisor left
 * them. 0 or -errno; nothing has started, and nobody was told.
 */
RK_MUST_USE int rk_crew_open(const struct rk_crew_conf *conf, struct rk_crew **ret,
			     struct rk_err *err);
void rk_crew_close(struct rk_crew *f);

/*
 * Of one that was adopted: goes on, with what was half done first. Workers live, are started or
 * end as it was. *ret_n_kept: those that live.
 */
void rk_crew_go_on(struct rk_crew *f, struct rk_inherit *in, uint32_t *ret_n_kept);

/*
 * Behind that: what was wanted and written down before anything was done about it. Slots first..end-1
 * are stopped and started by the strategy.
 */
void rk_crew_finish_wishes(struct rk_crew *f, uint32_t first, uint32_t end);

/* Starts every worker that is wanted. A process that cannot be made is tried again later. */
void rk_crew_start(struct rk_crew *f);

/* Asks every worker to end, kills each that is left after the stop timeout, then calls on_end. why: for people. */
void rk_crew_stop(struct rk_crew *f, const char *why);

/* Ends every worker until rk_crew_start(). why: for people. */
void rk_crew_halt(struct rk_crew *f, const char *why);

/* The configuration has changed; it stands for the old one everywhere. */
void rk_crew_configure(struct rk_crew *f, const struct rk_conf_fleet *conf);

/* Workers have something to tell (the news pipe). */
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

/* Slots that are wanted or had a process; the last of them is the number less one. */
uint32_t rk_crew_n_used(const struct rk_crew *f);

/* The slots' part of a view. */
void rk_crew_fill(const struct rk_crew *f, struct rk_view *view);

/* ---- between fleets ---- */

/* Whether all workers that are wanted are ready. */
bool rk_crew_is_ready(const struct rk_crew *f);

/* Whether they were, all at once, ever. */
bool rk_crew_was_ready(const struct rk_crew *f);

/* Whether it ends, for good. */
bool rk_crew_is_stopping(const struct rk_crew *f);

/* Workers that are wanted, and those of them that are ready. */
void rk_crew_count(const struct rk_crew *f, uint32_t *ret_n_wanted, uint32_t *ret_n_ready);

/* Whether it has failed for good: every worker that is wanted stays down. */
bool rk_crew_has_failed(const struct rk_crew *f);

/* Of the slots first..end-1, those that are wanted: stops them, highest first; starts them again.
 */
void rk_crew_stop_range(struct rk_crew *f, uint32_t first, uint32_t end);
void rk_crew_start_range(struct rk_crew *f, uint32_t first, uint32_t end);
bool rk_crew_is_range_empty(const struct rk_crew *f, uint32_t first, uint32_t end);

/* ---- operators: 0, or -errno with a sentence ---- */

#define RK_CREW_ALREADY 1 /* of undrain, start, pause and resume: so it is already; nothing was done */

/* Workers 0..n-1 are wanted, and no others. */
RK_MUST_USE int rk_crew_scale(struct rk_crew *f, uint32_t n, uint64_t *ret_group,
			      struct rk_err *err);

/* Hands over what the worker owns, then ends it; and back. */
RK_MUST_USE int rk_crew_drain(struct rk_crew *f, uint32_t worker, uint64_t *ret_group,
			      struct rk_err *err);
RK_MUST_USE int rk_crew_undrain(struct rk_crew *f, uint32_t worker, uint64_t *ret_group,
				struct rk_err *err);

/* Ends one worker, whose partitions stay its own for MoveAfter; starts it, with an account like
 * new. */
RK_MUST_USE int rk_crew_stop_worker(struct rk_crew *f, uint32_t worker, uint64_t *ret_group,
				    struct rk_err *err);
RK_MUST_USE int rk_crew_start_worker(struct rk_crew *f, uint32_t worker, uint64_t *ret_group,
				     struct rk_err *err);

/* The worker runs no job until it is resumed. */
RK_MUST_USE int rk_crew_pause(struct rk_crew *f, uint32_t worker, struct rk_err *err);
RK_MUST_USE int rk_crew_resume(struct rk_crew *f, uint32_t worker, struct rk_err *err);

/* A rolling restart of some workers. */
struct rk_crew_restart {
	const uint32_t *workers; /* n of them; 0 = all */
	uint32_t n;
	uint32_t max_unavailable;
	uint64_t group; /* of records; 0 = one of its own */
};
RK_MUST_USE int rk_crew_restart(struct rk_crew *f, const struct rk_crew_restart *what,
				uint64_t *ret_group, struct rk_err *err);

/* One that is held goes on, or is given up. */
RK_MUST_USE int rk_crew_restart_resume(struct rk_crew *f, uint64_t *ret_group, struct rk_err *err);
RK_MUST_USE int rk_crew_restart_cancel(struct rk_crew *f, uint64_t *ret_group, struct rk_err *err);

/* The next change is told with this group; 0 = a group of its own. */
void rk_crew_follow(struct rk_crew *f, uint64_t group);

#endif
