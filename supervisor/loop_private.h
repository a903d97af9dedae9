/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop, inside: what its files share. loop.c makes it and starts and stops fleets in their order,
 * loop_group.c stops and starts whoever a strategy ties together, loop_reload.c gets from one
 * configuration to the next, loop_propose.c waits until keeper has that one, loop_conf.c has them.
 *
 * Who       those files.
 */
#ifndef RK_SUPERVISOR_LOOP_PRIVATE_H
#define RK_SUPERVISOR_LOOP_PRIVATE_H

#include "supervisor/conf_diff.h"
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

/* A reload that is not in force before keeper has confirmed that it holds its configuration. */
struct rk_loop_proposal {
	struct rk_loop_conf *node; /* NULL = there is none; the fleets that it adds borrow from it */
	struct rk_diff diff;
	uint32_t n_before;         /* fleets; those behind it adds */
	struct rk_reloaded ret;
	bool is_asked;             /* at the control socket; else the log is told */
	bool is_due;               /* a signal asks for another one behind it */
	sd_event_source *timer;    /* keeper is to have answered by then */
};

struct rk_loop {
	char name[RK_NAME_MAX];
	struct rk_loop_conf *conf;
	int argc;
	char *const *argv; /* as we were started, for a reload */
	int link;
	uint32_t keeper_is;         /* enum rk_link_begin */
	int n_collected;            /* fleets whose memory the workers alone had */
	bool is_stored;             /* keeper's own death would lose no memory: workers may start */
	bool is_sync_asked;         /* SYNC is on its way, or its answer */
	bool is_sync_due;           /* something was sent behind it that is to be confirmed too */
	bool is_conf_late;          /* keeper could not be given the configuration in force yet */
	bool is_ready_late;         /* keeper could not be told yet that we are */
	bool is_start_over;         /* whoever waits for the workers has waited long enough */
	bool is_up;                 /* as keeper was told */
	char status[RK_NAME_MAX];   /* the same */
	sd_event_source *up_timer, *progress_timer;
	sd_event_source *again_timer; /* runs while keeper has not been told what it has to hear */
	sd_event_source *way;       /* runs when another binary is to be next, once the answer is out */
	uint64_t progress_us;       /* between two PROGRESS */
	struct rk_inherit *inherit; /* until all is adopted; NULL behind that */
	int lock; /* of the runtime directory; keeper holds it too */
	int frozen; /* the configuration as keeper holds it; -1 = it has none */
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
	struct rk_loop_proposal proposal;
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

/* Makes and adds the fleets that the configuration in force has and nobody runs or is ending yet. 0 or -errno. */
RK_MUST_USE int rk_loop_add_missing(struct rk_loop *l, struct rk_err *err);

/* The same of rk_loop_add(), of this number; in: the memory of that number is adopted. 0 or -errno. */
RK_MUST_USE int rk_loop_open_fleet(struct rk_loop *l, const struct rk_conf_fleet *conf, uint32_t number,
				   struct rk_inherit *in, struct rk_err *err);

/* ---- loop_adopt.c ---- */

/* The fleets that a dead supervisor left, as far as the configuration has them; others end. 0 or -errno. */
RK_MUST_USE int rk_loop_adopt(struct rk_loop *l, struct rk_err *err);

/* They go on, and their clients are served on; what nobody took is given up. */
void rk_loop_go_on(struct rk_loop *l);

/* The death of the predecessor, for people. */
void rk_loop_mourn(struct rk_loop *l);

/* Takes one away that has no workers, and what nobody borrows from any more. */
void rk_loop_remove(struct rk_loop *l, uint32_t index);

/* The fleet of this name that is to go on; NULL if there is none. */
struct rk_fleet *rk_loop_fleet(const struct rk_loop *l, const char *name);

/* ---- loop_keeper.c: what it tells keeper ---- */

/* The sources of it. 0 or -errno. */
RK_MUST_USE int rk_loop_keeper_open(struct rk_loop *l, struct rk_err *err);
void rk_loop_keeper_close(struct rk_loop *l);

/* How long a stop may take, and what SIGHUP means. 0 or -errno. */
RK_MUST_USE int rk_loop_tell_keeper(const struct rk_loop *l);

/* A step of an adoption is done: no loop goes round yet that could tell so. */
void rk_loop_tell_step(const struct rk_loop *l);

/* There is new memory: nobody starts on it before SYNCED. */
void rk_loop_sync(struct rk_loop *l);

/* Keeper is to confirm what was sent so far: rk_loop_reload_confirmed(), once that and all later asked is. 0 or -errno. */
RK_MUST_USE int rk_loop_sync_ask(struct rk_loop *l);

/* SYNCED has come. */
void rk_loop_synced(struct rk_loop *l);

/* Something could not be sent: tries again, all the time. */
void rk_loop_again(struct rk_loop *l);

/* All that was there is adopted, and whoever connects is served. */
void rk_loop_tell_ready(struct rk_loop *l);

/* How the workers are, if that is not as it was told. */
void rk_loop_tell_up(struct rk_loop *l);

/* As struct rk_control_conf says; arg is the loop. */
int rk_loop_upgrade(int *exe, const char *path, uint64_t *ret_group, struct rk_err *err, void *arg);

/* Keeper says how that has ended. */
void rk_loop_upgraded(struct rk_loop *l, const struct rk_link_msg *msg);

/* ---- loop_conf.c ---- */

/* Frees old ones that no fleet borrows from; all of them. */
void rk_loop_confs_sweep(struct rk_loop *l);
void rk_loop_confs_free(struct rk_loop *l);

/*
 * Gives keeper this configuration, which is in force or is to be, and those of the fleets that leave by it, for a
 * successor. 0 or -errno.
 */
RK_MUST_USE int rk_loop_conf_give(struct rk_loop *l, const struct rk_conf *conf);

/* The same of the one in force. What does not get through is logged, and tried again. */
void rk_loop_conf_keep(struct rk_loop *l);

/* Whether a configuration has a fleet of this name that is to run. */
bool rk_loop_conf_runs(const struct rk_conf *conf, const char *name);

/* At its start: what keeper has of our predecessor's, which is not given to it again while it is the same. */
void rk_loop_conf_inherit(struct rk_loop *l);

/* As struct rk_control_conf says; arg is the loop. */
int rk_loop_configuration(void *arg);

/* ---- loop_group.c ---- */

/* As rk_crew_conf says. */
bool rk_loop_group_take(struct rk_loop *l, const struct rk_fleet *f, uint32_t slot,
			uint64_t due_ns);
void rk_loop_group_progress(struct rk_loop *l);

/* What the journals of adopted fleets say of it. */
void rk_loop_group_adopt(struct rk_loop *l);

/* ---- loop_reload.c ---- */

/* As struct rk_control_conf says of on_reload. */
int rk_loop_reload(struct rk_loop *l, const struct rk_reload_request *q, struct rk_reloaded *ret, struct rk_err *err);

/* The same by a signal: the log is told what came of it. */
void rk_loop_reload_on_signal(struct rk_loop *l);

/* Keeper has what was proposed: it is in force from here on. Does it, and leaves no proposal. */
void rk_loop_reload_apply(struct rk_loop *l);

/* Of a predecessor's: a fleet that leaves goes on stopping; what had not begun begins. */
void rk_loop_leave_on(struct rk_loop *l, struct rk_fleet *f);
void rk_loop_reload_on(struct rk_loop *l);

/* Takes away those that leave whose last worker is gone. */
void rk_loop_leavers_remove(struct rk_loop *l);

/* ---- loop_losses.c ---- */

/* What would be lost with fleets that a configuration does not have, and that nobody has let go. */
void rk_loop_losses_say(const struct rk_loop *l, const struct rk_conf *new, const struct rk_wordlist *let_go,
			struct rk_reloaded *ret);

/* ---- loop_propose.c ---- */

/*
 * Gives the configuration of l->proposal, all of which is filled in, to keeper. RK_RELOAD_LATER; -errno with a
 * sentence: it was taken back.
 */
RK_MUST_USE int rk_loop_propose(struct rk_loop *l, struct rk_err *err);

/* Keeper has confirmed it, if there is one. */
void rk_loop_reload_confirmed(struct rk_loop *l);

/* It is taken back, if there is one, and whoever waits for it hears why. */
void rk_loop_reload_give_up(struct rk_loop *l, const struct rk_err *why);

#endif
