/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restart: when a slot whose process died gets the next one.
 *
 *  1. The death of a healthy process is followed at once, whatever came before, and so is the
 *     first in a row of processes that never were.
 *  2. Further ones are followed at once as long as the bucket has tokens: RestartBurst of them,
 *     refilled in RestartWindow. Only the time that a process lived refills it: waiting does
 *     not, or each long wait would buy another burst of useless starts.
 *  3. Then they wait: RestartBackoff, doubled each time up to RestartBackoffMax, between half of
 *     it and all of it by a random number, so that slots that died together do not return
 *     together. At the most the retries are slow, but they never end.
 *  4. HealthyAfter behind READY all is forgotten.
 *  5. A death that was planned costs nothing and is followed at once.
 *
 * Who       the fleet: one rk_restart per slot, told of each start, READY and death; pure.
 * Blocking  never; no allocation. P11: no timer but the wait itself, health is looked up at
 *           the next death.
 * Units     ns; statuses as waitid() gives them (CLD_EXITED and so on).
 */
#ifndef RK_SUPERVISOR_RESTART_H
#define RK_SUPERVISOR_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"

enum rk_restart_when { RK_RESTART_ALWAYS, RK_RESTART_ON_FAILURE, RK_RESTART_NO };

/* Ways to end, as a configuration lists them: a bit per exit status and per signal. */
struct rk_restart_exits {
	uint64_t statuses[4];
	uint64_t signals;
};

struct rk_restart_conf {
	enum rk_restart_when when;       /* Restart */
	uint32_t burst;                  /* RestartBurst; 0 = each but the first waits */
	uint64_t window_ns;              /* RestartWindow; 0 = no limit */
	uint64_t backoff_ns;             /* RestartBackoff, at least 1 */
	uint64_t backoff_max_ns;         /* RestartBackoffMax, at least backoff_ns */
	uint64_t healthy_after_ns;       /* HealthyAfter, from READY; 0 = READY is enough */
	struct rk_restart_exits success; /* SuccessExitStatus, beside 0, HUP, INT, TERM and PIPE */
	struct rk_restart_exits prevent; /* RestartPreventExitStatus */
};

enum rk_restart_kind {
	RK_RESTART_NOW,   /* RK_FSM_EV_START */
	RK_RESTART_LATER, /* RK_FSM_EV_DELAY, for wait_ns */
	RK_RESTART_SLOW,  /* RK_FSM_EV_QUARANTINE, for wait_ns: the longest wait is reached */
	RK_RESTART_NEVER  /* RK_FSM_EV_GIVE_UP */
};

enum rk_restart_reason {
	RK_RESTART_NONE,      /* nothing has died yet */
	RK_RESTART_PLANNED,   /* we ended it */
	RK_RESTART_FIRST,     /* of a healthy process, or the first of one that never was */
	RK_RESTART_BURST,     /* within the burst */
	RK_RESTART_BACKOFF,   /* the burst is used up */
	RK_RESTART_BRAKE,     /* many restarts, or a short machine (brake.h) */
	RK_RESTART_UNMADE,    /* no process could be made */
	RK_RESTART_FORBIDDEN, /* Restart=no */
	RK_RESTART_PREVENTED, /* RestartPreventExitStatus */
	RK_RESTART_FINISHED,  /* ended as it should, Restart=on-failure */
	RK_RESTART_REASONS
};

/* A slot's account; zero before rk_restart_reset(). Readers take what is marked shown. */
struct rk_restart {
	uint64_t credit_ns;            /* the bucket; a token is window / burst */
	uint64_t started_ns;           /* of the present process; 0 = none */
	uint64_t ready_ns;             /* 0 = not yet */
	uint32_t n_waits;              /* in a row: doublings of the backoff */
	uint32_t n_failed;             /* shown: processes in a row that never were healthy */
	uint64_t next_ns;              /* shown: when the next process is due; 0 = none is */
	enum rk_restart_reason reason; /* shown: for the last decision */
};

struct rk_restart_death {
	int code;     /* CLD_EXITED, CLD_KILLED, CLD_DUMPED; -1 = not known: a failure */
	int status;   /* exit status or signal */
	bool is_ours; /* upgrade, recycle, rolling restart, scale, stop: not a verdict */
};

struct rk_restart_step {
	enum rk_restart_kind kind;
	enum rk_restart_reason reason;
	uint64_t wait_ns; /* 0 unless LATER or SLOW */
	bool is_braked;   /* the brake has a part in the wait */
	bool is_news;     /* worth a line: not the same long wait as last time */
};

/* Whether the decision needs the exit status, which may come behind the confirmed death. */
bool rk_restart_needs_cause(const struct rk_restart_conf *c);

/* A full bucket and no past: at the slot's making, and when somebody says start. */
void rk_restart_reset(struct rk_restart *r, const struct rk_restart_conf *c);

void rk_restart_on_start(struct rk_restart *r, uint64_t now_ns);
void rk_restart_on_ready(struct rk_restart *r, uint64_t now_ns);

/* A confirmed death: what comes next. random: any number, for the jitter. */
struct rk_restart_step rk_restart_on_death(struct rk_restart *r, const struct rk_restart_conf *c,
					   const struct rk_restart_death *death, uint64_t now_ns,
					   uint64_t random);

/* No process could be made: always LATER or SLOW, whatever Restart says. */
struct rk_restart_step rk_restart_on_unmade(struct rk_restart *r, const struct rk_restart_conf *c,
					    uint64_t now_ns, uint64_t random);

/* Adds what the brake asks for to a step that is NOW, LATER or SLOW. */
void rk_restart_stretch(struct rk_restart *r, struct rk_restart_step *step, uint64_t extra_ns,
			uint64_t now_ns);

/* n_failed as people should see it: 0 once the present process has been healthy long enough. */
uint32_t rk_restart_n_failed(const struct rk_restart *r, const struct rk_restart_conf *c,
			     uint64_t now_ns);

/* Exit statuses are 0..255, signals 1..63; others are not in any set and not added. */
void rk_restart_exits_add(struct rk_restart_exits *set, int code, int status);
bool rk_restart_exits_have(const struct rk_restart_exits *set, int code, int status);

/* A clause for the log, such as "the burst is used up"; "?" outside. */
const char *rk_restart_reason_text(enum rk_restart_reason reason);

#endif
