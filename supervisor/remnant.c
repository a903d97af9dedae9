/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/remnant.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "supervisor/cgroup.h"
#include "supervisor/mark.h"
#include "supervisor/remnant_list.h"

#define AGAIN_NS RK_NS_PER_S         /* between two SIGKILLs to whoever has not ended */
#define RETRY_NS (20 * RK_NS_PER_MS) /* /proc could not be read, or a descriptor not be had */
#define HASTY_PASSES 16u
#define PIDS_TEXT 120u

/* One that was killed. */
struct victim {
	struct victim *next;
	struct rk_remnants *all;
	uint32_t slot;
	pid_t pid;
	uint64_t begun;
	bool is_worker; /* the dead process itself, on its way out: awaited, and no remnant */
	int pidfd;
	sd_event_source *source;
};

struct slot {
	bool is_on;
	bool is_told;     /* that something was found */
	bool is_stuck;    /* people were told that it does not end */
	bool was_missed;  /* in this pass: one had gone before it could be killed */
	pid_t session;
	int group;        /* cgroup.events of a group that is being ended; -1 = none */
	uint32_t n_killed;
	uint64_t since_ns;
	sd_event_source *group_source;
};

struct rk_remnants {
	struct rk_remnants_conf c;
	struct rk_mark mark;
	struct victim *victims;
	struct rk_remnant_list list;
	sd_event_source *pass; /* on while one is due */
	sd_event_source *timer;
	uint32_t n_on;
	uint32_t n_hasty; /* passes in a row that missed somebody */
	struct slot slots[];
};

static void pass_request(struct rk_remnants *r)
{
	(void)sd_event_source_set_enabled(r->pass, SD_EVENT_ONESHOT);
}

static void timer_set(struct rk_remnants *r, uint64_t wait_ns)
{
	(void)sd_event_source_set_time_relative(r->timer, wait_ns / RK_NS_PER_US);
	(void)sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
}

/* ---- what people are told ---- */

static struct rk_note note_of(const struct rk_remnants *r, uint32_t slot, enum rk_log_level level)
{
	return (struct rk_note){ .kind = RK_FLIGHT_RESPONSE, .level = level, .fleet = r->c.fleet, .slot = slot };
}

/* "812 813" */
static const char *pids_of(const struct rk_remnants *r, uint32_t slot, char text[static PIDS_TEXT])
{
	size_t at = 0;

	text[0] = '\0';
	for (const struct victim *v = r->victims; v && at + 16 < PIDS_TEXT; v = v->next)
		if (v->slot == slot && !v->is_worker)
			at += (size_t)snprintf(text + at, PIDS_TEXT - at, "%s%d", at ? " " : "", (int)v->pid);
	return text;
}

static void found_tell(struct rk_remnants *r, uint32_t slot)
{
	struct rk_note note = note_of(r, slot, RK_LOG_INFO);
	char pids[PIDS_TEXT];

	if (r->slots[slot].is_told || !r->slots[slot].n_killed)
		return;
	r->slots[slot].is_told = true;
	(void)rk_recorder_note(r->c.recorder, &note, "emptying: what the last process has left is killed n=%u pids=\"%s\"",
			       r->slots[slot].n_killed, pids_of(r, slot, pids));
}

static void stuck_tell(struct rk_remnants *r, uint32_t slot)
{
	struct slot *s = &r->slots[slot];
	struct rk_note note = note_of(r, slot, RK_LOG_WARNING);
	char pids[PIDS_TEXT];

	if (s->is_stuck)
		return;
	s->is_stuck = true;
	(void)rk_recorder_note(r->c.recorder, &note,
			       "emptying: what the last process has left does not end, no other is started before pids=\"%s\" "
			       "for_ms=%llu",
			       pids_of(r, slot, pids),
			       (unsigned long long)((rk_clock_ns() - s->since_ns) / RK_NS_PER_MS));
}

static void empty_tell(struct rk_remnants *r, uint32_t slot)
{
	const struct slot *s = &r->slots[slot];
	struct rk_note note = note_of(r, slot, RK_LOG_INFO);

	if (s->is_told || s->is_stuck)
		(void)rk_recorder_note(r->c.recorder, &note, "emptied: nothing of the last process is left killed=%u after_ms=%llu",
				       s->n_killed,
				       (unsigned long long)((rk_clock_ns() - s->since_ns) / RK_NS_PER_MS));
}

/* ---- those that were killed ---- */

static void victim_free(struct victim *v)
{
	struct victim **at = &v->all->victims;

	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	(void)sd_event_source_disable_unref(v->source);
	rk_close_p(&v->pidfd);
	free(v);
}

static bool has_victims(const struct rk_remnants *r, uint32_t slot)
{
	for (const struct victim *v = r->victims; v; v = v->next)
		if (v->slot == slot)
			return true;
	return false;
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct victim *v = arg;
	struct rk_remnants *r = v->all;
	uint32_t slot = v->slot;

	(void)source;
	(void)fd;
	(void)events;
	victim_free(v);
	if (!has_victims(r, slot))
		pass_request(r);
	return 0;
}

static bool is_dead(int pidfd)
{
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	return poll(&end, 1, 0) > 0;
}

static struct victim *victim_of(const struct rk_remnants *r, const struct rk_remnant *p)
{
	struct victim *v = r->victims;

	while (v && (v->pid != p->pid || v->begun != p->begun))
		v = v->next;
	return v;
}

/*
 * The pid may be another's by now: the descriptor first, then whether it began when the listed one did. If it is gone
 * now and was not when it was listed, it may have had a child in between. 0 or -errno.
 */
static int end(struct rk_remnants *r, uint32_t slot, const struct rk_remnant *p)
{
	rk_cleanup(rk_close_p) int pidfd = -1;
	struct victim *v = victim_of(r, p);
	struct rk_remnant now;
	int res;

	if (v)
		return 0; /* it is dying */
	pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (pidfd < 0 && errno != ESRCH)
		return -errno;
	if (pidfd < 0 || !rk_remnant_read(p->pid, &now) || now.begun != p->begun || is_dead(pidfd)) {
		r->slots[slot].was_missed |= p->state != 'Z' && p->state != 'X';
		return 0;
	}
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	*v = (struct victim){ .next = r->victims, .all = r, .slot = slot, .pid = p->pid, .begun = p->begun,
			      .is_worker = p->pid == r->slots[slot].session };
	v->pidfd = rk_take_fd(&pidfd);
	r->victims = v;
	(void)syscall(SYS_pidfd_send_signal, v->pidfd, SIGKILL, NULL, 0); /* the timer tells of one that it does not end */
	res = sd_event_add_io(r->c.event, &v->source, v->pidfd, EPOLLIN, on_end, v);
	if (res < 0) {
		victim_free(v);
		return res;
	}
	r->slots[slot].n_killed += !v->is_worker;
	return 0;
}

/* ---- a pass ---- */

static uint32_t whose_mark(pid_t pid, void *arg)
{
	const struct rk_remnants *r = arg;
	uint32_t slot = 0;

	switch (rk_mark_look(&r->mark, pid, &slot)) {
	case RK_MARK_OURS: /* the others have their processes, which come and go */
		return slot < r->c.n_slots && r->slots[slot].is_on ? slot : RK_REMNANT_OTHER;
	case RK_MARK_OTHER:
		return RK_REMNANT_OTHER;
	case RK_MARK_NOBODY:
		break;
	}
	return RK_REMNANT_NOBODY;
}

static uint32_t whose_session(pid_t session, void *arg)
{
	const struct rk_remnants *r = arg;

	for (uint32_t i = 0; session > 0 && i < r->c.n_slots; i++)
		if (r->slots[i].is_on && r->slots[i].session == session)
			return i;
	return RK_REMNANT_NOBODY;
}

static void group_leave(struct slot *s)
{
	s->group_source = sd_event_source_disable_unref(s->group_source);
	rk_close_p(&s->group);
}

static void on_emptied(struct rk_remnants *r, uint32_t slot)
{
	struct slot *s = &r->slots[slot];

	empty_tell(r, slot);
	s->is_on = false;
	r->n_on--;
	r->c.on_empty(slot, r->c.arg);
}

/* Ends all that is found. Returns whether every one could be looked at. */
static bool found_end(struct rk_remnants *r)
{
	bool is_whole = true;

	for (uint32_t i = 0; i < r->c.n_slots; i++)
		r->slots[i].was_missed = r->list.is_torn;
	for (uint32_t i = 0; i < r->list.n; i++) {
		const struct rk_remnant *p = &r->list.at[i];

		if (p->slot < r->c.n_slots && r->slots[p->slot].is_on)
			is_whole = end(r, p->slot, p) >= 0 && is_whole;
	}
	return is_whole;
}

/* Whether a slot may not be empty yet: then something else follows. */
static bool is_awaited(struct rk_remnants *r, uint32_t slot, bool *ret_missed)
{
	struct slot *s = &r->slots[slot];

	*ret_missed = *ret_missed || s->was_missed;
	if (has_victims(r, slot))
		found_tell(r, slot);
	else if (!s->was_missed && s->group >= 0 && !rk_cgroup_is_populated(s->group))
		group_leave(s);
	return has_victims(r, slot) || s->was_missed || s->group >= 0;
}

/* Who forks and ends all the time is found by luck alone: others have to go on meanwhile. */
static void missed_follow(struct rk_remnants *r, bool was_missed)
{
	r->n_hasty = was_missed ? r->n_hasty + 1 : 0;
	if (was_missed && r->n_hasty < HASTY_PASSES)
		pass_request(r);
	else if (was_missed)
		timer_set(r, RETRY_NS);
}

static int on_pass(sd_event_source *source, void *arg)
{
	struct rk_remnants *r = arg;
	const struct rk_remnant_roots roots = { .root = r->c.root,
						.reaper = r->c.reaper,
						.whose_mark = whose_mark,
						.whose_session = whose_session,
						.arg = r };
	bool is_whole = rk_remnant_list_read(&r->list, &roots) == 0 && found_end(r), was_missed = false;

	(void)source;
	if (!is_whole) {
		timer_set(r, RETRY_NS);
		return 0;
	}
	timer_set(r, AGAIN_NS);
	for (uint32_t i = 0; i < r->c.n_slots; i++)
		if (r->slots[i].is_on && !is_awaited(r, i, &was_missed))
			on_emptied(r, i);
	missed_follow(r, was_missed);
	if (r->n_on == 0)
		(void)sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_remnants *r = arg;
	uint64_t now_ns = rk_clock_ns();

	(void)source;
	(void)usec;
	for (const struct victim *v = r->victims; v; v = v->next)
		(void)syscall(SYS_pidfd_send_signal, v->pidfd, SIGKILL, NULL, 0);
	for (uint32_t i = 0; i < r->c.n_slots; i++)
		if (r->slots[i].is_on && now_ns - r->slots[i].since_ns >= AGAIN_NS)
			stuck_tell(r, i);
	pass_request(r);
	return 0;
}

/* ---- what a slot asks for ---- */

static int on_group(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct rk_remnants *r = arg;

	(void)events;
	if (rk_cgroup_is_populated(fd))
		return 0;
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	pass_request(r);
	return 0;
}

static void group_follow(struct rk_remnants *r, struct slot *s, int group)
{
	if (group < 0)
		return;
	group_leave(s); /* there is a new one only once nobody was left in that, or it is being ended too */
	s->group = group;
	if (sd_event_add_io(r->c.event, &s->group_source, s->group, EPOLLPRI, on_group, r) < 0)
		s->group_source = NULL; /* the timer looks */
}

void rk_remnants_begin(struct rk_remnants *r, uint32_t slot, pid_t session, int group)
{
	struct slot *s = &r->slots[slot];

	if (!s->is_on) {
		*s = (struct slot){ .is_on = true, .group = -1, .since_ns = rk_clock_ns() };
		r->n_on++;
	}
	if (session > 0)
		s->session = session;
	group_follow(r, s, group);
	pass_request(r);
}

bool rk_remnants_is_idle(const struct rk_remnants *r)
{
	return !r || r->n_on == 0;
}

void rk_remnants_rename(struct rk_remnants *r, const char *fleet)
{
	r->c.fleet = fleet;
}

int rk_remnants_open(const struct rk_remnants_conf *conf, struct rk_remnants **ret)
{
	struct rk_remnants *r = calloc(1, sizeof(*r) + conf->n_slots * sizeof(r->slots[0]));
	int res;

	if (!r)
		return -ENOMEM;
	r->c = *conf;
	r->mark = rk_mark_of(conf->id);
	for (uint32_t i = 0; i < conf->n_slots; i++)
		r->slots[i].group = -1;
	res = sd_event_add_defer(conf->event, &r->pass, on_pass, r);
	if (res >= 0)
		res = sd_event_source_set_enabled(r->pass, SD_EVENT_OFF);
	if (res >= 0)
		res = sd_event_add_time_relative(conf->event, &r->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, r);
	if (res >= 0)
		res = sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);
	if (res < 0) {
		rk_remnants_close(r);
		return res;
	}
	*ret = r;
	return 0;
}

void rk_remnants_close(struct rk_remnants *r)
{
	if (!r)
		return;
	while (r->victims)
		victim_free(r->victims);
	for (uint32_t i = 0; i < r->c.n_slots; i++)
		group_leave(&r->slots[i]);
	(void)sd_event_source_disable_unref(r->pass);
	(void)sd_event_source_disable_unref(r->timer);
	rk_remnant_list_free(&r->list);
	free(r);
}
