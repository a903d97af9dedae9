/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publish: keeps the board's view up to date. Changes only ask for a view; it is assembled and
 * published once, when the loop has nothing more urgent.
 *
 * Who       the supervisor's loop.
 * Blocking  never. A timer runs only while every buffer is held by a reader.
 */
#ifndef RK_SUPERVISOR_PUBLISH_H
#define RK_SUPERVISOR_PUBLISH_H

#include <systemd/sd-event.h>

#include "shm/board.h"

/* Writes what is true now into the view; called with what was published last. */
typedef void (*rk_publish_fill)(struct rk_view *view, void *arg);

struct rk_publish {
	struct rk_board_writer writer;
	struct rk_view *view; /* private copy, view_stride bytes */
	rk_publish_fill fill;
	void *arg;
	sd_event *event;       /* borrowed */
	sd_event_source *soon; /* runs once per request */
	sd_event_source *retry;
	uint32_t n_retries; /* in a row */
};

/* What the publisher needs of others; all borrowed. */
struct rk_publish_conf {
	sd_event *event;
	const struct rk_shm *m;
	rk_publish_fill fill;
	rk_board_is_dead is_dead;
	bool is_adopted; /* another writer was there before */
	void *arg; /* of both */
};

/* Returns 0 or -errno; rk_publish_close() afterwards in any case. */
RK_MUST_USE int rk_publish_open(struct rk_publish *p, const struct rk_publish_conf *conf);
void rk_publish_close(struct rk_publish *p);

/* Something has changed. */
void rk_publish_request(struct rk_publish *p);

/* Publishes at once, before anybody can read the board. */
void rk_publish_now(struct rk_publish *p);

#endif
