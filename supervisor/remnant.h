/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remnants: what a dead worker has left running, of a fleet whose slots may not start again beside it: a foreign
 * program that goes on has the port, the files and the terminal of its successor.
 *
 *   begin ─> a pass over /proc ─ some are found: killed, awaited by their pidfds ─┐
 *               ^ ^               none are: on_empty                              │
 *               │ └────────────── all have ended ─────────────────────────────────┤
 *               └──────────────── 1 s: killed again, people are told ─────────────┘
 *
 * A dead worker's children are keeper's, the nearest subreaper: a process that keeper has as a child, with all that is
 * below it, is a slot's if it, or one below it, carries the slot's mark (mark.h), or if it is in the session of the
 * slot's dead process. Where workers outlive keeper it may be a child of keeper's own parent instead, in
 * the same unit of systemd. Whoever is in the slot's control group is ended there, which is awaited too. One pass is for all slots.
 *
 * What is not found: a process that has cleared its environment, its limits and its session, with all that it
 * has started; and what was started by somebody else in its place (systemd-run, at, docker).
 *
 * Who       a crew, in the supervisor's loop.
 * Crash     a successor begins again for each slot that has no process.
 * Blocking  never; a pass takes some µs for each process of the machine. Allocates.
 */
#ifndef RK_SUPERVISOR_REMNANT_H
#define RK_SUPERVISOR_REMNANT_H

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "supervisor/recorder.h"

struct rk_remnants;

struct rk_remnants_conf {
	sd_event *event;
	struct rk_recorder *recorder;
	const char *fleet; /* its name, borrowed */
	uint64_t id[2];    /* of its memory */
	uint32_t n_slots;
	pid_t root;   /* keeper, whose children orphans are */
	pid_t reaper; /* whose children the orphans of a dead keeper are; 0 = it has none */
	void (*on_empty)(uint32_t slot, void *arg); /* behind rk_remnants_begin() */
	void *arg;
};

/* 0 or -errno. */
RK_MUST_USE int rk_remnants_open(const struct rk_remnants_conf *conf, struct rk_remnants **ret);

/* Takes NULL. What was found and has not ended is left to keeper. */
void rk_remnants_close(struct rk_remnants *r);

/* The fleet is called so from now on. */
void rk_remnants_rename(struct rk_remnants *r, const char *fleet);

/*
 * A slot's process is dead, and no other one is there: finds and ends what it has left; on_empty follows, from the
 * loop. session: the dead one's pid, 0 = not known. group: of a control group that is being ended
 * (rk_cgroup_slot_watch()), taken; -1 = none. If it is on already only these two are new.
 */
void rk_remnants_begin(struct rk_remnants *r, uint32_t slot, pid_t session, int group);

/* Whether no slot is being emptied. Takes NULL. */
bool rk_remnants_is_idle(const struct rk_remnants *r);

#endif
