/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeper, inside: what its files share. keeper.c has the loop and the supervisor's life, keeper_watch.c
 * watches over its progress, keeper_upgrade.c is the change to another binary: the supervisor's, then its own.
 *
 * Who       those files.
 */
#ifndef RK_SUPERVISOR_KEEPER_PRIVATE_H
#define RK_SUPERVISOR_KEEPER_PRIVATE_H

#include <sys/resource.h>

#include "supervisor/keeper.h"
#include "supervisor/leases.h"
#include "supervisor/store.h"

enum rk_keeper_stage {
	RK_KEEPER_STEADY,
	RK_KEEPER_ASKED,  /* a binary is there; the supervisor ends to make way for it */
	RK_KEEPER_TRYING, /* it supervises, and is not ready yet */
	RK_KEEPER_FIT,    /* it is ready; keeper becomes it as soon as systemd has been told all that is late */
	RK_KEEPER_BACK,   /* it did not become ready: the old one comes back */
	RK_KEEPER_OVER    /* one way or the other: whoever supervises is told until it has noted that */
};

/* A change to another binary. */
struct rk_keeper_upgrade {
	enum rk_keeper_stage stage;
	int exe; /* of the new one; -1 = none */
	uint64_t group;    /* of the records that tell of it */
	uint64_t until_ns; /* TRYING: it is to be ready by then; FIT: systemd is to have read by then */
	char why[RK_NAME_MAX]; /* it did not come to be */
	enum rk_link_upgraded outcome; /* OVER */
	bool is_told;                  /* OVER: the present supervisor has been */
};

struct rk_keeper {
	struct rk_held held;
	struct rk_store store;
	struct rk_leases leases; /* where what is held is stored: workers outlive us */
	int exe; /* the program that this is, and supervisors are */
	struct rk_keeper_upgrade upgrade;
	char *const *argv;
	struct rlimit n_files; /* that we were given, and the supervisor gets */
	int link;              /* non-blocking: a stopped supervisor must not stop keeper */
	int signals;
	pid_t supervisor;       /* 0 = none */
	pid_t orphaned;         /* the dead one's session, whose unknown processes are still to be killed; 0 = none */
	struct rk_link_msg end; /* of the last one: BEGIN for the next */
	bool has_begun;         /* BEGIN was sent to this one */
	bool had_memory;        /* and there was something to be adopted */
	bool is_ready;          /* the present supervisor: it has adopted everything */
	bool ended_unready;     /* the last one never was */
	bool was_ready;         /* any supervisor, ever */
	uint32_t n_failed;      /* in a row that were never ready */
	uint32_t n_deaths;      /* that nobody had asked for */
	uint64_t since_ns;      /* the present supervisor's start, or the last one's death */
	int board;              /* the socket at which boards are shown; -1 = there is no directory yet */
	uint64_t retry_ns;      /* the next one, not before */
	uint64_t progress_ns;   /* the supervisor's last */
	uint64_t told_ns;       /* systemd, of that */
	bool sync_is_due;       /* what is held is safe, and it waits to hear of it */
	bool makes_way;         /* this process, to the next keeper: everything stays as it is */
	bool stopping;
	bool is_told;       /* this supervisor was asked to stop */
	uint32_t signal;    /* that asked for it; 0 = the supervisor itself */
	const char *killed; /* why keeper killed it, for good; NULL = keeper did not */
	bool hup_reloads;   /* SIGHUP is the supervisor's business: it has files to read again */
	uint64_t stop_timeout_ns;
	uint64_t kill_at_ns;    /* while stopping */
	char name[RK_NAME_MAX]; /* "" until the supervisor owns the fleet's directory */
};

/* To the supervisor: a message, with a descriptor unless fd is negative. 0 or -errno; -EPIPE: there is none. */
int rk_keeper_say(struct rk_keeper *k, const struct rk_link_msg *msg, int fd);

/* ---- keeper_watch.c: nothing without WatchdogSec= ---- */

/* A supervisor is started; it is ready; it makes progress. */
void rk_keeper_watch_begin(struct rk_keeper *k, uint64_t now_ns);
void rk_keeper_watch_ready(struct rk_keeper *k, uint64_t now_ns);
void rk_keeper_watch_progress(struct rk_keeper *k, uint64_t now_ns);

/* How often it is to tell of that; 0 = not at all. */
uint64_t rk_keeper_watch_period_ns(const struct rk_keeper *k);

/* When to look again; RK_INFINITE = never. A look tells systemd, or kills a supervisor that hangs. */
uint64_t rk_keeper_watch_due_ns(const struct rk_keeper *k);
void rk_keeper_watch_look(struct rk_keeper *k, uint64_t now_ns);

/* ---- keeper_upgrade.c ---- */

/* The supervisor was asked for an upgrade: msg and the new binary, which is taken. */
void rk_keeper_upgrade_ask(struct rk_keeper *k, const struct rk_link_msg *msg, int *exe);

/* A supervisor has ended. Whether that was a step of an upgrade, whose next one follows at once. */
bool rk_keeper_upgrade_on_end(struct rk_keeper *k, const char *how);

/* Whether the end of a supervisor is one like any other, and no step of it. */
bool rk_keeper_upgrade_is_idle(const struct rk_keeper *k);

/* Tells the supervisor how it has ended; false: the socket has no room. What it says to that. */
bool rk_keeper_upgrade_tell(struct rk_keeper *k);
void rk_keeper_upgrade_noted(struct rk_keeper *k, const struct rk_link_msg *msg);

/*
 * It is ready, and its binary takes up a keeper's table of this version. In an upgrade keeper becomes that binary
 * too, if it can, and does not return from here, or not from what follows:
 */
void rk_keeper_upgrade_on_ready(struct rk_keeper *k, uint64_t table);

/* Again and again, as long as it only waits for systemd's socket. */
void rk_keeper_upgrade_go_on(struct rk_keeper *k);

/* When an upgrade's time is over; RK_INFINITE = there is none. Then it is given up. */
uint64_t rk_keeper_upgrade_due_ns(const struct rk_keeper *k);
void rk_keeper_upgrade_expire(struct rk_keeper *k);

/* What the supervisor is executed from. */
int rk_keeper_upgrade_exe(const struct rk_keeper *k);

/* A process that became another binary in place: takes up where that one was. 0; -ENOENT: this is a fresh start; -errno. */
RK_MUST_USE int rk_keeper_upgrade_restore(struct rk_keeper *k);

#endif
