/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop, inside: what its files share. loop.c makes it and starts and stops fleets in their order,
 * loop_group.c stops and starts whoever a strategy ties together, loop_reload.c gets from one
 * configuration to the next.
 *
 * Who       those files.
 */
#ifndef RK_SUPERVISOR_LOOP_PRIVATE_H
#define RK_SUPERVISOR_LOOP_PRIVATE_H

#include "supervisor/control.h"
#include "supervisor/fleet.h"
#include "supervisor/reload.h"

/* A configuration; old ones live on until no fleet borrows from them. */
struct rk_loop_conf {
	struct rk_conf conf;
	struct rk_loop_conf *older;
};

/* Workers that are stopped because another one died (rk_fleet.tied), and started again when all are
 * down. */
struct rk_loop_group {
	bool is_on;
	bool is_starting;  /* all are down */
	uint64_t until_ns; /* not started before */
	sd_event_source *timer;
};

struct rk_loop {
	char name[RK_NAME_MAX];
	struct rk_loop_conf *conf;
	int argc;
	char *const *argv; /* as we were started, for a reload */
	int link;
	int lock; /* of the runtime directory; keeper holds it too */
	sd_event *event;
	struct rk_say say;
	struct rk_recorder recorder;
	struct rk_storm storm;
	struct rk_guard *guard; /* watches over the workers of all fleets */
	struct rk_fleet_env env;
	struct rk_fleets fleets;
	struct rk_strategy_fleet says[RK_FLEETS_MAX]; /* what the configuration says of each */
	struct rk_strategy_fleets order;
	uint64_t failed; /* mask, as last told */
	bool is_stopping;
	char why[32]; /* it stops */
	struct rk_control *control;
	sd_event_source *stop; /* runs the stop once the present event is through */
	sd_event_source *due;  /* the same for what follows on steps of workers */
	struct rk_loop_group group;
};

/* A record of the whole. */
struct rk_note rk_loop_note(const struct rk_loop *l, enum rk_flight_kind kind);

/* Something has changed that may let fleets start or has to stop them. */
void rk_loop_wake(struct rk_loop *l);

/* Lays out who starts before whom among the fleets that run now. 0 or -errno. */
RK_MUST_USE int rk_loop_order(struct rk_loop *l, struct rk_err *err);

/* Makes a fleet and adds it; it starts when it is its turn. 0 or -errno. */
RK_MUST_USE int rk_loop_add(struct rk_loop *l, const struct rk_conf_fleet *conf,
			    struct rk_err *err);

/* Takes one away that has no workers, and what nobody borrows from any more. */
void rk_loop_remove(struct rk_loop *l, uint32_t index);

/* The fleet of this name that is to go on; NULL if there is none. */
struct rk_fleet *rk_loop_fleet(const struct rk_loop *l, const char *name);

/* Tells keeper how long a stop may take, and what SIGHUP means. 0 or -errno. */
RK_MUST_USE int rk_loop_tell_keeper(const struct rk_loop *l);

/* ---- loop_group.c ---- */

/* As rk_crew_conf says. */
bool rk_loop_group_take(struct rk_loop *l, const struct rk_fleet *f, uint32_t slot,
			uint64_t due_ns);
void rk_loop_group_progress(struct rk_loop *l);

/* ---- loop_reload.c ---- */

void rk_loop_reload(struct rk_loop *l, struct rk_reloaded *ret);

#endif
