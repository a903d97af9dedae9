/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/foster.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "supervisor/proc.h"

#define LOOK_US 5000u
#define LOOKS 40u

struct rk_foster_end {
	struct rk_foster *all;
	struct rk_foster_end *next;
	sd_event_source *timer;
	struct rk_link_msg msg;
	int pidfd;
	uint32_t n_looks;
};

static void end_free(struct rk_foster_end *e)
{
	struct rk_foster_end **at = &e->all->ends;

	while (*at && *at != e)
		at = &(*at)->next;
	if (*at)
		*at = e->next;
	(void)sd_event_source_disable_unref(e->timer);
	rk_close_p(&e->pidfd);
	free(e);
}

static void end_tell(struct rk_foster *f, const struct rk_link_msg *msg)
{
	f->on_end(msg, f->arg);
}

static int on_look(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_foster_end *e = arg;
	struct rk_foster *f = e->all;
	struct rk_link_msg msg;
	int r = rk_proc_reaped(e->pidfd, &e->msg.code, &e->msg.status);

	(void)usec;
	if (r < 0 && ++e->n_looks < LOOKS) {
		(void)sd_event_source_set_time_relative(source, LOOK_US);
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
		return 0;
	}
	msg = e->msg;
	if (r < 0)
		msg.code = -1;
	end_free(e);
	end_tell(f, &msg);
	return 0;
}

void rk_foster_ended(struct rk_foster *f, int pidfd, int32_t pid, uint64_t tag)
{
	struct rk_link_msg msg = { .op = RK_LINK_EXITED, .kind = RK_LINK_PROCESS, .pid = pid, .tag = tag, .code = -1 };
	struct rk_foster_end *e = calloc(1, sizeof(*e));

	if (!e) {
		rk_close_p(&pidfd);
		end_tell(f, &msg);
		return;
	}
	*e = (struct rk_foster_end){ .all = f, .next = f->ends, .msg = msg, .pidfd = pidfd };
	f->ends = e;
	if (sd_event_add_time_relative(f->event, &e->timer, CLOCK_MONOTONIC, 0, 0, on_look, e) < 0) {
		end_free(e);
		end_tell(f, &msg);
	}
}

void rk_foster_close(struct rk_foster *f)
{
	while (f->ends)
		end_free(f->ends);
}
