/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/publish.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define RETRY_FIRST_US 10000u
#define RETRY_DOUBLINGS 7u

static int on_retry(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	rk_publish_now(arg);
	return 0;
}

/* Stalled readers are on the board and in the log once, not at every try. */
static void retry_arm(struct rk_publish *p)
{
	uint64_t wait_us = (uint64_t)RETRY_FIRST_US << rk_min_u32(p->n_retries, RETRY_DOUBLINGS);

	if (p->n_retries++ == 0)
		rk_log(RK_LOG_DEBUG, "view waits for readers stalled=%u first_line=%u",
		       p->writer.n_stalled, p->writer.stalled[0]);
	(void)sd_event_source_set_time_relative(p->retry, wait_us);
	(void)sd_event_source_set_enabled(p->retry, SD_EVENT_ONESHOT);
}

void rk_publish_now(struct rk_publish *p)
{
	p->fill(p->view, p->arg);
	p->view->published_ns = rk_clock_ns();
	if (!rk_board_publish(&p->writer, p->view)) {
		retry_arm(p);
		return;
	}
	p->n_retries = 0;
	(void)sd_event_source_set_enabled(p->retry, SD_EVENT_OFF);
}

static int on_soon(sd_event_source *source, void *arg)
{
	(void)source;
	rk_publish_now(arg);
	return 0;
}

void rk_publish_request(struct rk_publish *p)
{
	(void)sd_event_source_set_enabled(p->soon, SD_EVENT_ONESHOT);
}

int rk_publish_open(struct rk_publish *p, const struct rk_publish_conf *conf)
{
	int r;

	*p = (struct rk_publish){ .event = conf->event, .fill = conf->fill, .arg = conf->arg };
	p->view = calloc(1, conf->m->l.view_stride);
	if (!p->view)
		return -ENOMEM;
	rk_board_writer_init(&p->writer, conf->m, conf->is_dead, conf->arg);
	if (conf->is_adopted)
		rk_board_writer_adopt(&p->writer);
	r = sd_event_add_defer(p->event, &p->soon, on_soon, p);
	if (r < 0)
		return r;
	(void)sd_event_source_set_priority(p->soon, SD_EVENT_PRIORITY_IDLE);
	(void)sd_event_source_set_enabled(p->soon, SD_EVENT_OFF);
	r = sd_event_add_time_relative(p->event, &p->retry, CLOCK_MONOTONIC, 0, 1000, on_retry, p);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(p->retry, SD_EVENT_OFF);
}

void rk_publish_close(struct rk_publish *p)
{
	p->soon = sd_event_source_unref(p->soon);
	p->retry = sd_event_source_unref(p->retry);
	rk_free_p(&p->view);
	p->view = NULL;
}
