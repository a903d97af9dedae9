/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hook: the commands beside a worker's own: ExecStartPre, ExecStartPost, OnFailure. They run one
 * behind the other, each as a child of keeper as the workers are (child.h), with the fleet's
 * user, environment, limits and output, and with REKINDLE_FLEET, REKINDLE_WORKER_SLOT and, for
 * OnFailure, REKINDLE_CAUSE. Each has StartTimeout, then it is killed with all of its session.
 *
 *   run -> (command -> exited)... -> on_end
 *
 * Keeper reaps them and tells their end, RK_LINK_EXITED with a tag that says it is a hook's.
 *
 * Who       the slot, in the supervisor's loop; one struct for each kind.
 * Crash     keeper, which holds their pidfds, ends them with the fleet. A successor goes on with the
 *           command that runs, and with those behind it (rk_hook_adopt()). One that was not let go yet is
 *           started again. Keeper's death ends an ExecStartPre; the others go on, and nobody waits for them.
 * Blocking  never waits for a command; allocates.
 */
#ifndef RK_SUPERVISOR_HOOK_H
#define RK_SUPERVISOR_HOOK_H

#include <systemd/sd-event.h>

#include "supervisor/link.h"
#include "supervisor/recorder.h"
#include "supervisor/spawn.h"

enum rk_hook_kind { RK_HOOK_PRE, RK_HOOK_POST, RK_HOOK_FAILURE, RK_HOOKS };

/* What the hooks of a fleet share; borrowed but for the counters. */
struct rk_hook_host {
	const struct rk_fleet_options *o;
	const char *name; /* of the fleet */
	uint32_t fleet;   /* its number, for keeper */
	struct rk_spawn *spawn;
	sd_event *event;
	struct rk_recorder *recorder;
	int link;
	uint64_t n_started;
	uint64_t n_failed[RK_HOOKS];
};

struct rk_hook {
	struct rk_hook_host *host;
	enum rk_hook_kind kind;
	uint32_t slot;             /* RK_WORKER_NONE: of a standby */
	uint32_t at;               /* the command that runs */
	struct rk_spawned process; /* pid 0 = none */
	int32_t last_pid;          /* of the command that ran last */
	uint64_t tag;
	bool is_late;    /* it was killed */
	bool is_adopted; /* another supervisor started it, and died maybe before it let it go */
	sd_event_source *timer;
	char cause[160]; /* REKINDLE_CAUSE */
	/* All are through, or one failed: then err says which and how. */
	void (*on_end)(struct rk_hook *h, const struct rk_err *err, void *arg);
	void *arg;
};

#define RK_HOOK_THROUGH 1 /* there is nothing to run */

void rk_hook_init(struct rk_hook *h, struct rk_hook_host *host, enum rk_hook_kind kind,
		  uint32_t slot);

/*
 * Runs the commands; what still runs of an earlier time is killed. cause: for people, or NULL.
 * Returns 0, and on_end follows; RK_HOOK_THROUGH; -errno with a sentence when the first that may
 * not fail could not be started: on_end does not follow then.
 */
int rk_hook_run(struct rk_hook *h, const char *cause, struct rk_err *err);

/*
 * Goes on with the command that a dead supervisor started, as keeper tells of it: this hook's kind is
 * rk_hook_kind_of(about). *pidfd is taken. What comes behind it gets this cause; its time begins anew.
 */
void rk_hook_adopt(struct rk_hook *h, const struct rk_link_msg *about, int *pidfd, const char *cause);

/* RK_HOOKS: none that this release knows. */
enum rk_hook_kind rk_hook_kind_of(const struct rk_link_msg *about);

/* Whether a command runs. */
static inline bool rk_hook_is_running(const struct rk_hook *h)
{
	return h->process.pid != 0;
}

/* Keeper says how a hook's process ended. Returns whether it was this one's. */
bool rk_hook_on_exited(struct rk_hook *h, const struct rk_link_msg *msg);

/* The command that runs has had its time: kills it; on_end follows its death. */
void rk_hook_expire(struct rk_hook *h);

/* Kills what runs and forgets it: on_end does not follow. Also at the end. */
void rk_hook_cancel(struct rk_hook *h);

/* The key's name. */
const char *rk_hook_name(enum rk_hook_kind kind);

#endif
