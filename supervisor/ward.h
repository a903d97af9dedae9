/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ward: the workers of one fleet under the guard's eyes. At a tick it hears what each declares,
 * looks at those that get nowhere, judges (detect.h) and tells the loop what is called for
 * (respond.h).
 *
 * Whom a slot's process is the loop publishes by liburcu (memb), rules too; findings go to the
 * loop through a list and an eventfd, in order.
 *
 *   loop   follow: subject H1 -> bell (if parked) --> guard: reads it H2, ticks
 *   guard  finding: list H3 -> eventfd -------------> loop: next H4
 *
 * Who       new, free, follow, rule, fd, drain, next: the supervisor's loop. tick, is_needless,
 *           rest: the guard (guard.h).
 * Crash     private memory, gone with the supervisor. How each worker stood is in the journal, where the
 *           next one's ward takes it up.
 * Blocking  never. follow and rule allocate; a tick does when it begins to look at a worker and
 *           for each finding.
 */
#ifndef RK_SUPERVISOR_WARD_H
#define RK_SUPERVISOR_WARD_H

#include <sys/types.h>

#include "shm/layout.h"
#include "supervisor/detect.h"
#include "supervisor/evidence.h"
#include "supervisor/options.h"
#include "supervisor/pressure.h"
#include "supervisor/respond.h"

#define RK_WARD_UNREAD_MAX 1024u /* findings; more wait until the loop has read some */

struct rk_ward;

/* What a fleet wants of its workers. */
struct rk_ward_rules {
	struct rk_detect_bounds bounds;
	struct rk_policies policies;
};

/*
 * From a fleet's options. has_hang_after: HangAfter was written, so that it holds for jobs with a
 * deadline too; the default is meant for those without. A stop is the slot's to end. Pure.
 */
struct rk_ward_rules rk_ward_rules(const struct rk_fleet_options *o, bool has_hang_after);

/* How a worker stands, as far as new work is concerned. */
enum rk_ward_stand {
	RK_WARD_SOUND,
	RK_WARD_SUSPECT, /* about to be judged, or judged */
	RK_WARD_PAUSED,  /* stopped, traced or frozen */
	RK_WARD_STANDS
};

/* What has changed about a worker. Each is told once. */
struct rk_ward_finding {
	struct rk_ward_finding *next; /* the ward's */
	uint32_t slot;
	int32_t pid;
	uint64_t incarnation;
	enum rk_ward_stand stand;
	enum rk_response response; /* what is called for now; NONE: nothing any more */
	struct rk_finding found;
	const struct rk_evidence *evidence; /* with REPORT and more but CANCEL; else NULL */
};

/* The first n_slots worker slots of a fleet. m stays the caller's. 0 or -errno. */
RK_MUST_USE int rk_ward_new(const struct rk_shm *m, uint32_t n_slots,
			    const struct rk_ward_rules *rules, struct rk_ward **ret);

/* After it has left its guard. Accepts NULL. */
void rk_ward_free(struct rk_ward *w);

/* ---- the loop ---- */

/* Whom to follow; pidfd stays the caller's, who may close it at once. */
struct rk_ward_subject {
	pid_t pid; /* 0: nobody */
	int pidfd;
	uint64_t incarnation;
	enum rk_ward_stand stand; /* as the caller knows it already: only another one is told */
};

/* From now on this process is the slot's. Returns 0; -errno: nobody is watched in that slot. */
RK_MUST_USE int rk_ward_follow(struct rk_ward *w, uint32_t slot, const struct rk_ward_subject *who);

/* Between these two the guard is not woken for each slot that is followed, but once. */
void rk_ward_begin(struct rk_ward *w);
void rk_ward_end(struct rk_ward *w);

/* Other rules, from the next tick on. 0 or -ENOMEM: the old ones stand. */
RK_MUST_USE int rk_ward_rule(struct rk_ward *w, const struct rk_ward_rules *rules);

/* The eventfd that becomes readable when there are findings; it stays the ward's. */
int rk_ward_fd(const struct rk_ward *w);

/* Empties the eventfd, before rk_ward_next(). */
void rk_ward_drain(struct rk_ward *w);

/* The next finding, oldest first, the caller's to free(); NULL when there is none. */
struct rk_ward_finding *rk_ward_next(struct rk_ward *w);

/* ---- the guard ---- */

/* What the wards of a guard share. */
struct rk_ward_watcher {
	struct rk_observatory observatory;
	struct rk_pressure pressure;
	_Atomic uint32_t *bell; /* the guard's: rung by follow */
	bool is_locked;         /* memory is to be locked */
};

/* Before its first tick. */
void rk_ward_enter(struct rk_ward *w, struct rk_ward_watcher *watcher);

struct rk_ward_tick {
	uint64_t lateness_ns; /* in */
	bool is_short;        /* in: of those alone that the last tick would see again soon */
	bool is_any_suspect;  /* set where one is to be seen again soon, else left alone */
	bool is_any_awake;    /* the same; a short tick does not know */
};

void rk_ward_tick(struct rk_ward *w, struct rk_ward_tick *tick);

/* The guard, behind rk_bell_park(): whether nobody need be watched until somebody rings. */
bool rk_ward_is_needless(const struct rk_ward *w);

/* Nobody is looked at for a while: gives descriptors and memory back. */
void rk_ward_rest(struct rk_ward *w);

/* For the guard's waits. */
_Atomic uint32_t *rk_ward_vigil(const struct rk_ward *w);

#endif
