/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/beat.h"
#include "shm/epoch.h"
#include "shm/rundir.h"
#include "workers/lib/attach.h"

#define CLIENT_FDS 2u /* board and readers: all that a mere client may see */
#define READ_FDS 6u /* board, readers, beats, parts, queues, dead */

static int attach(struct rk_look *l, const struct rk_fds *fds, int64_t reader, struct rk_err *err)
{
	const struct rk_attach_segment segments[] = {
		{ RK_SEGMENT_READERS, fds->fd[1], true, &l->m.readers },
		{ RK_SEGMENT_BEATS, fds->fd[2], false, &l->m.beats },
		{ RK_SEGMENT_PARTS, fds->fd[3], false, &l->m.parts },
		{ RK_SEGMENT_QUEUES, fds->fd[4], false, &l->m.queues },
		{ RK_SEGMENT_DEAD, fds->fd[5], false, &l->m.dead },
	};
	int r;

	if (fds->n == CLIENT_FDS)
		return rk_err_set(err, -EPERM,
				  "%s: you are a client of this fleet: what its workers do is for root and its owner to see",
				  l->ask.fleet);
	if (fds->n != READ_FDS)
		return rk_err_set(err, -EPROTO,
				  "%s: the supervisor passed %u descriptors instead of %u",
				  l->ask.fleet, fds->n, READ_FDS);
	r = rk_attach(&l->m, fds->fd[0], segments, rk_countof(segments), err);
	if (r < 0)
		return rk_err_prefix(err, r, l->ask.fleet);
	if (reader < 0 || reader >= l->m.g.n_readers)
		return rk_err_set(err, -EPROTO,
				  "%s: the supervisor gave a place that does not exist",
				  l->ask.fleet);
	l->line = rk_shm_reader(&l->m, (uint32_t)reader);
	return 0;
}

static int set_up(struct rk_look *l, struct rk_err *err)
{
	int r = l->m.board->epoch_mode == RK_EPOCH_PLAIN ? rk_epoch_register() : 0;

	if (r < 0)
		return rk_err_set(err, r, "membarrier: %s", strerror(-r));
	l->view = malloc(l->m.l.view_stride);
	return l->view ? 0 : rk_err_set(err, -ENOMEM, "no memory for a copy of the board");
}

int rk_look_open(struct rk_look *l, const char *name, struct rk_err *err)
{
	return rk_look_open_until(l, name, 0, err);
}

int rk_look_open_until(struct rk_look *l, const char *name, uint64_t deadline_ns,
		       struct rk_err *err)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct json_object *answer;
	const char *part = rk_fleet_part(name);
	char request[48 + RK_NAME_MAX];
	int64_t reader;
	int r;

	*l = (struct rk_look){ .ask.sock = -1 };
	if (part) /* no longer than a name: rk_ask_open_until() checks it */
		(void)snprintf(l->part, sizeof(l->part), "%s", part);
	r = rk_ask_open_until(&l->ask, name, deadline_ns, err);
	if (r < 0)
		return r;
	(void)snprintf(request, sizeof(request), "{\"verb\":\"read\",\"abi\":%u%s%s%s}", RK_ABI_VERSION,
		       part ? ",\"fleet\":\"" : "", part ? part : "", part ? "\"" : "");
	r = rk_ask(&l->ask, request, &answer, &fds, err);
	if (r < 0)
		return r;
	reader = rk_connect_int(answer, "reader");
	json_object_put(answer);
	r = attach(l, &fds, reader, err);
	if (r == 0)
		r = set_up(l, err);
	if (r == 0)
		rk_look_view(l);
	return r;
}

void rk_look_close_p(struct rk_look *l)
{
	rk_free_p(&l->view);
	l->view = NULL;
	rk_detach(&l->m);
	rk_ask_close_p(&l->ask); /* tells the supervisor that the line is free */
}

void rk_look_view(struct rk_look *l)
{
	memcpy(l->view, rk_epoch_enter(&l->m, l->line), l->m.l.view_stride);
	rk_epoch_leave(l->line);
	l->now_ns = rk_clock_ns();
}

const struct rk_view_slot *rk_look_slot(const struct rk_look *l, uint32_t worker)
{
	return worker < l->m.g.n_workers ? &rk_view_slots(l->view)[worker] : NULL;
}

const char *rk_look_state(uint32_t state)
{
	static const char *const names[] = { "empty",   "starting", "ready",  "stopping",
					     "down",    "suspect",  "paused", "standby",
					     "drained", "stopped" };

	static_assert(rk_countof(names) == RK_SLOT_STATES, "a name for every state");
	return state < RK_SLOT_STATES ? names[state] : "?";
}

const char *rk_look_slot_state(const struct rk_look *l, uint32_t worker)
{
	const struct rk_view_slot *slot = rk_look_slot(l, worker);
	uint32_t state = slot ? slot->state : RK_SLOT_EMPTY;

	if (state == RK_SLOT_PAUSED && !rk_beat_is_pause_wanted(rk_shm_beat(&l->m, worker)))
		return "suspended";
	return rk_look_state(state);
}
