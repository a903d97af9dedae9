/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foster: how a process ended that is no child of our keeper's, since it was started under another
 * one. Nobody reports its end; its pidfd knows, once whoever inherited it has reaped it (Linux 6.15).
 * Where it does not, the cause stays unknown.
 *
 * Who       a crew, in the supervisor's loop.
 * Blocking  never; a timer runs while an end is looked for, 200 ms at most.
 */
#ifndef RK_SUPERVISOR_FOSTER_H
#define RK_SUPERVISOR_FOSTER_H

#include <systemd/sd-event.h>

#include "supervisor/link.h"

struct rk_foster_end; /* one that is looked for */

struct rk_foster {
	sd_event *event;
	void (*on_end)(const struct rk_link_msg *msg, void *arg); /* RK_LINK_EXITED, as keeper would say it; code -1: unknown */
	void *arg;
	struct rk_foster_end *ends;
};

/* It is dead; its pidfd is taken over. tag as keeper knows it. */
void rk_foster_ended(struct rk_foster *f, int pidfd, int32_t pid, uint64_t tag);

/* Nobody wants to know any more. */
void rk_foster_close(struct rk_foster *f);

#endif
