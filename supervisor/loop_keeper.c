/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop, to keeper: what it has to know to stop us, to replace us, and to tell systemd.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "supervisor/keeper.h"
#include "supervisor/loop_private.h"

#define AGAIN_US 1000000u /* after keeper had no room for RK_LINK_WAIT_MS: it is stopped, or busy */
#define UP_US 10000000u /* a start that takes longer is over, as far as whoever waits for it is concerned */

/* Fleets stop one behind the other. */
static uint64_t stop_timeout_ns(const struct rk_loop *l)
{
	const struct rk_conf *conf = &l->conf->conf;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < conf->n_fleets; i++)
		sum += rk_min_u64(conf->fleets[i].o.stop_timeout_ns, UINT64_MAX / 2 - sum);
	for (uint32_t i = 0; i < l->fleets.n; i++)
		if (l->fleets.at[i]->is_leaving)
			sum += rk_min_u64(l->fleets.at[i]->conf->o.stop_timeout_ns, UINT64_MAX / 2 - sum);
	return sum;
}

int rk_loop_tell_keeper(const struct rk_loop *l)
{
	struct rk_link_msg msg = { .op = RK_LINK_FLEET,
				   .value = stop_timeout_ns(l),
				   .code = l->conf->conf.has_files };

	memcpy(msg.name, l->name, sizeof(msg.name));
	return rk_link_send(l->link, &msg, -1);
}

/* ---- another binary ---- */

/* The same door as every other end of ours. */
static int on_way(sd_event_source *source, void *arg)
{
	(void)source;
	(void)arg;
	(void)kill(getpid(), SIGKILL);
	return 0;
}

int rk_loop_upgrade(int *exe, const char *path, uint64_t *ret_group, struct rk_err *err, void *arg)
{
	struct rk_loop *l = arg;
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_UPGRADE);
	struct rk_link_msg msg = { .op = RK_LINK_UPGRADE };
	int r;

	if (l->is_stopping)
		return rk_err_set(err, -EBUSY, "the fleet stops");
	if (l->way || l->keeper_is & RK_LINK_UPGRADES)
		return rk_err_set(err, -EBUSY, "an upgrade has begun already");
	note.is_quiet = false;
	*ret_group = msg.value = rk_recorder_note(&l->recorder, &note, "upgrade begins from=%s path=%s state=running",
						  PACKAGE_VERSION, path);
	r = sd_event_add_defer(l->event, &l->way, on_way, l);
	if (r >= 0)
		r = sd_event_source_set_priority(l->way, SD_EVENT_PRIORITY_IDLE);
	if (r >= 0)
		r = rk_link_send(l->link, &msg, *exe);
	if (r >= 0)
		return 0;
	l->way = sd_event_source_disable_unref(l->way);
	return rk_err_set(err, r, "keeper could not be asked: %s", strerror(-r));
}

void rk_loop_upgraded(struct rk_loop *l, const struct rk_link_msg *msg)
{
	const struct rk_link_msg noted = { .op = RK_LINK_NOTED, .value = msg->value };
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_UPGRADE);

	note.group = msg->value;
	note.is_quiet = false;
	note.level = msg->code == RK_LINK_UPGRADED_ALL ? RK_LOG_NOTICE : RK_LOG_ERROR;
	if (msg->code != RK_LINK_UPGRADED_ALL)
		note.message = RK_MESSAGE_UPGRADE_FAILED;
	if (msg->code == RK_LINK_UPGRADED_ALL)
		(void)rk_recorder_note(&l->recorder, &note, "release %s supervises and is keeper state=done",
				       PACKAGE_VERSION);
	else if (msg->code == RK_LINK_UPGRADED_SUPERVISOR)
		(void)rk_recorder_note(&l->recorder, &note, "release %s supervises, but %.63s state=partly",
				       PACKAGE_VERSION, msg->name);
	else
		(void)rk_recorder_note(&l->recorder, &note, "release %s supervises again, of the new one: %.63s state=failed",
				       PACKAGE_VERSION, msg->name);
	l->keeper_is &= ~(uint32_t)RK_LINK_UPGRADES;
	(void)!rk_link_send(l->link, &noted, -1); /* else our successor records it once more */
}

/* ---- how it is ---- */

/* Keeper may answer two of them once: no second one goes out before the first is answered. */
int rk_loop_sync_ask(struct rk_loop *l)
{
	const struct rk_link_msg msg = { .op = RK_LINK_SYNC };
	int r;

	if (l->is_sync_asked) {
		l->is_sync_due = true;
		return 0;
	}
	r = rk_link_send(l->link, &msg, -1);
	l->is_sync_asked = r == 0;
	return r;
}

void rk_loop_sync(struct rk_loop *l)
{
	if (!(l->keeper_is & RK_LINK_OUTLIVED))
		return;
	l->is_stored = rk_loop_sync_ask(l) < 0; /* else it would never be */
}

void rk_loop_synced(struct rk_loop *l)
{
	bool was_due = l->is_sync_due;

	l->is_sync_asked = l->is_sync_due = false;
	if (was_due && rk_loop_sync_ask(l) == 0)
		return;
	l->is_stored = true;
	if (!was_due) /* else nobody has confirmed it, and its time runs out */
		rk_loop_reload_confirmed(l);
	rk_loop_wake(l);
}

/* What it could not be told it has to hear all the same: systemd waits for it, or an upgrade, or a successor of ours. */
void rk_loop_again(struct rk_loop *l)
{
	(void)sd_event_source_set_time_relative(l->again_timer, AGAIN_US);
	(void)sd_event_source_set_enabled(l->again_timer, SD_EVENT_ONESHOT);
}

void rk_loop_tell_ready(struct rk_loop *l)
{
	const struct rk_link_msg msg = { .op = RK_LINK_READY, .value = RK_KEEPER_TABLE };
	bool was_late = l->is_ready_late;

	l->is_ready_late = rk_link_send(l->link, &msg, -1) < 0;
	if (!l->is_ready_late) {
		rk_loop_tell_up(l);
		return;
	}
	if (!was_late)
		rk_log(RK_LOG_WARNING, "keeper could not be told that we are ready, trying again");
	rk_loop_again(l);
}

/* Whether nobody is waited for any more. */
static bool is_up(const struct rk_loop *l)
{
	for (uint32_t i = 0; i < l->fleets.n; i++) {
		const struct rk_fleet *f = l->fleets.at[i];

		if (!f->is_leaving && !f->is_proposed && !rk_crew_was_ready(f->crew) && !rk_crew_has_failed(f->crew))
			return false;
	}
	return true;
}

/* "3 of 4 workers ready" */
static void status_write(const struct rk_loop *l, char text[static RK_NAME_MAX])
{
	uint32_t n_wanted = 0, n_ready = 0;

	for (uint32_t i = 0; i < l->fleets.n; i++) {
		uint32_t wanted, ready;

		if (l->fleets.at[i]->is_proposed)
			continue;
		rk_crew_count(l->fleets.at[i]->crew, &wanted, &ready);
		n_wanted += wanted;
		n_ready += ready;
	}
	(void)snprintf(text, RK_NAME_MAX, "%u of %u worker%s ready", n_ready, n_wanted, rk_num_plural(n_wanted));
}

void rk_loop_tell_up(struct rk_loop *l)
{
	struct rk_link_msg msg = { .op = RK_LINK_UP };
	bool is_now_up = l->is_up || l->is_start_over || is_up(l);

	if (!(l->keeper_is & RK_LINK_TELLS) || l->is_stopping || l->is_ready_late)
		return;
	status_write(l, msg.name);
	if (is_now_up == l->is_up && strcmp(msg.name, l->status) == 0)
		return;
	msg.code = is_now_up && !l->is_up;
	if (rk_link_send(l->link, &msg, -1) < 0) {
		rk_loop_again(l);
		return;
	}
	l->is_up = is_now_up;
	memcpy(l->status, msg.name, sizeof(l->status));
}

static int on_again(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_loop *l = arg;

	(void)source;
	(void)usec;
	if (l->is_conf_late && !l->proposal.node) /* whose end keeps the one that is in force then */
		rk_loop_conf_keep(l);
	if (l->is_ready_late)
		rk_loop_tell_ready(l);
	else
		rk_loop_tell_up(l);
	return 0;
}

/* Somebody waits for the start: it is as good as it gets. */
static int on_up_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_loop *l = arg;

	(void)source;
	(void)usec;
	l->is_start_over = true;
	rk_loop_tell_up(l);
	return 0;
}

void rk_loop_tell_step(const struct rk_loop *l)
{
	const struct rk_link_msg msg = { .op = RK_LINK_PROGRESS };

	if (l->progress_us)
		(void)!rk_link_send(l->link, &msg, -1); /* keeper is stopped, and judges nobody then */
}

static int on_progress(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_loop *l = arg;

	(void)usec;
	rk_loop_tell_step(l);
	(void)sd_event_source_set_time_relative(source, l->progress_us);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int rk_loop_keeper_open(struct rk_loop *l, struct rk_err *err)
{
	int r = sd_event_add_time_relative(l->event, &l->again_timer, CLOCK_MONOTONIC, AGAIN_US, 0, on_again, l);

	if (r >= 0)
		r = sd_event_source_set_enabled(l->again_timer, SD_EVENT_OFF);
	if (r >= 0 && (l->keeper_is & RK_LINK_TELLS))
		r = sd_event_add_time_relative(l->event, &l->up_timer, CLOCK_MONOTONIC, UP_US, 0, on_up_timer, l);
	if (r >= 0 && l->progress_us)
		r = sd_event_add_time_relative(l->event, &l->progress_timer, CLOCK_MONOTONIC, 0, 0, on_progress, l);
	return r < 0 ? rk_err_set(err, r, "no timers: %s", strerror(-r)) : 0;
}

void rk_loop_keeper_close(struct rk_loop *l)
{
	(void)sd_event_source_disable_unref(l->again_timer);
	(void)sd_event_source_disable_unref(l->up_timer);
	(void)sd_event_source_disable_unref(l->progress_timer);
	(void)sd_event_source_disable_unref(l->way);
	(void)sd_event_source_disable_unref(l->proposal.timer);
}
