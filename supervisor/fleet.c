/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/fleet.h"

#include <errno.h>
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
#include "shm/beat.h"
#include "shm/bell.h"
#include "shm/dead.h"
#include "shm/deliver.h"
#include "shm/evict.h"
#include "shm/part.h"
#include "shm/words.h"
#include "supervisor/fsm.h"
#include "supervisor/journal.h"
#include "supervisor/obituary.h"
#include "supervisor/place.h"
#include "supervisor/proc.h"

#define ASSIGN_TRIES 100 /* it fails only while somebody scribbles over the commit word */
#define SPAWN_RETRY_NS (100 * RK_NS_PER_MS)
#define PIDFD_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 20)

/* One place in the fleet, stable over restarts. */
struct slot {
	struct rk_fleet *fleet;
	uint32_t number;
	enum rk_fsm_state state;
	struct rk_spawned process; /* pid 0 = none */
	int stat_fd;
	uint64_t incarnation;
	uint64_t n_restarts;
	uint32_t n_failed; /* processes in a row that died before they were ready */
	uint32_t n_partitions;
	uint64_t started_ns;
	uint64_t noticed_ns; /* first sign of the present process's death; 0 = none */
	bool was_ready;      /* the present process */
	sd_event_source *exit_source;
	sd_event_source *timer;
	/* the last one that died */
	uint64_t died_ns;
	uint64_t died_tag;
	struct rk_obituary obituary;
	bool is_mourning; /* its line is not printed yet */
};

struct rk_fleet {
	struct rk_fleet_conf c;
	struct slot *slots;
	uint32_t n_slots;
	uint16_t *table; /* partition -> slot */
	bool is_stopping;
	bool was_ready;     /* all slots at once, ever */
	bool any_was_ready; /* any process, ever */
	bool has_warned;    /* that no worker ever gets ready */
	sd_event_source *stop_timer;
	uint64_t n_steps[RK_FSM_STATES][RK_FSM_EVENTS];
};

static const struct rk_spawned no_process = { .pidfd = -1, .gate = -1 };

static void slot_event(struct slot *s, enum rk_fsm_event event);

static int process_signal(const struct rk_spawned *p, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0);
}

/* ---- partitions ---- */

static void partitions_pass(struct slot *s, uint32_t route_flags)
{
	struct rk_fleet *f = s->fleet;
	const struct rk_shm *m = f->c.m;

	for (uint32_t p = 0; p < m->g.n_partitions; p++) {
		int r = -EBUSY;

		if (f->table[p] != s->number)
			continue;
		for (int i = 0; r == -EBUSY && i < ASSIGN_TRIES; i++)
			r = rk_part_assign(m, p, s->number);
		if (r < 0)
			rk_log(RK_LOG_ERROR, "partition could not be assigned partition=%u slot=%u",
			       p, s->number);
		rk_part_route(m, p, s->number, route_flags);
	}
}

/* The owner stands; only whether its process is alive has changed. */
static void partitions_route(struct slot *s, uint32_t route_flags)
{
	for (uint32_t p = 0; p < s->fleet->c.m->g.n_partitions; p++)
		if (s->fleet->table[p] == s->number)
			rk_part_route(s->fleet->c.m, p, s->number, route_flags);
}

/* ---- mourning: a line per death, once cause and outcome are known ---- */

/* The whole fleet fails to start: more likely the command's fault than the workers'. */
static void warn_hopeless(struct rk_fleet *f, const struct slot *s)
{
	char cause[128];

	if (f->any_was_ready || f->has_warned)
		return;
	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].n_failed < RK_FSM_FREE_TRIES)
			return;
	f->has_warned = true;
	rk_obituary_cause(&s->obituary, cause, sizeof(cause));
	rk_log(RK_LOG_ERROR,
	       "no worker has ever become ready, each died at its start (the last %s): is '%s' a "
	       "worker made with librekindle? Trying again for ever, at most every 5 s",
	       cause, f->c.conf->command[0]);
}

static void mourn_end(struct slot *s)
{
	char line[RK_OBITUARY_LINE];

	if (!s->is_mourning)
		return;
	s->is_mourning = false;
	rk_say(s->fleet->c.say, "%s", rk_obituary_format(&s->obituary, line));
	if (s->obituary.outcome == RK_OBITUARY_WAITING)
		warn_hopeless(s->fleet, s);
}

static void mourn_check(struct slot *s)
{
	if (s->obituary.outcome != RK_OBITUARY_OPEN &&
	    (s->obituary.is_cause_known || s->obituary.exec_error))
		mourn_end(s);
}

static void mourn_outcome(struct slot *s, enum rk_obituary_outcome outcome, uint64_t took_ns)
{
	if (!s->is_mourning)
		return;
	s->obituary.outcome = outcome;
	s->obituary.took_ns = took_ns;
	s->obituary.successor = s->process.pid;
	mourn_check(s);
}

/* Before the successor takes the beat page: what the dead one left there to be read. */
static void mourn_begin(struct slot *s)
{
	struct rk_beat *beat = rk_shm_beat(s->fleet->c.m, s->number);

	if (s->is_mourning && s->obituary.outcome == RK_OBITUARY_OPEN)
		mourn_outcome(s, RK_OBITUARY_LOST, 0);
	mourn_end(s); /* whatever is still unknown of the one before */
	s->is_mourning = true;
	s->died_ns = s->noticed_ns;
	s->died_tag = rk_link_tag(s->number, s->incarnation);
	s->obituary = (struct rk_obituary){ .worker = s->number,
					    .pid = s->process.pid,
					    .noticed_ns = s->noticed_ns,
					    .code = -1,
					    .n_failed = s->n_failed };
	if (atomic_load_explicit(&beat->incarnation, memory_order_acquire) == s->incarnation)
		rk_obituary_words(&s->obituary, beat->last_words, sizeof(beat->last_words));
}

/* What is left of a process whose successor is already on its way. */
static void process_bury(struct slot *s, struct rk_spawned *dead, int stat_fd,
			 sd_event_source *exit_source)
{
	if (s->is_mourning && !s->was_ready)
		s->obituary.exec_error = rk_spawn_exec_error(dead->gate);
	(void)sd_event_source_disable_unref(exit_source);
	rk_close_p(&stat_fd);
	rk_close_p(&dead->pidfd);
	rk_close_p(&dead->gate);
}

/* ---- actions ---- */

static int on_pidfd(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct slot *s = arg;

	(void)source;
	(void)fd;
	(void)events;
	slot_event(s, RK_FSM_EV_EXITED);
	return 0;
}

/* Behind the go byte: nobody waits for these. */
static void process_attend(struct slot *s)
{
	int r = sd_event_add_io(s->fleet->c.event, &s->exit_source, s->process.pidfd, EPOLLIN,
				on_pidfd, s);

	if (r < 0)
		rk_log(RK_LOG_ERROR, "cannot watch a worker's pidfd slot=%u pid=%d: %s", s->number,
		       s->process.pid, strerror(-r));
	else
		(void)sd_event_source_set_priority(s->exit_source, PIDFD_PRIORITY);
	s->stat_fd = rk_proc_open(s->process.pid);
}

static void spawn(struct slot *s)
{
	struct rk_fleet *f = s->fleet;
	struct rk_link_msg msg = { .op = RK_LINK_KEEP };
	int r;

	s->incarnation++;
	s->was_ready = false;
	s->noticed_ns = 0;
	rk_journal_intent(f->c.m, s->number, s->incarnation);
	r = rk_spawn_hold(f->c.spawn, s->number, s->incarnation, &s->process);
	if (r < 0) {
		s->process = no_process;
		rk_journal_down(f->c.m, s->number);
		rk_log(RK_LOG_ERROR, "cannot make a process, trying again slot=%u: %s", s->number,
		       strerror(-r));
		slot_event(s, RK_FSM_EV_FAILED);
		return;
	}
	msg.pid = s->process.pid;
	msg.tag = rk_link_tag(s->number, s->incarnation);
	r = rk_link_send(f->c.link, &msg, s->process.pidfd); /* before the record: DESIGN §8 */
	rk_journal_live(f->c.m, s->number, s->process.pid, s->process.pidfd_inode);
	if (rk_spawn_go(&s->process) < 0)
		rk_log(RK_LOG_DEBUG, "worker died at its gate slot=%u pid=%d", s->number,
		       s->process.pid);
	s->started_ns = rk_clock_ns();
	if (r < 0)
		rk_log(RK_LOG_WARNING, "keeper takes no descriptors pid=%d: %s", s->process.pid,
		       strerror(-r));
	process_attend(s);
	rk_log(RK_LOG_DEBUG, "worker started slot=%u pid=%d incarnation=%llu after_notice_us=%llu",
	       s->number, s->process.pid, (unsigned long long)s->incarnation,
	       (unsigned long long)(s->is_mourning ? s->started_ns - s->obituary.noticed_ns : 0) /
		       RK_NS_PER_US);
}

static void fence(struct slot *s)
{
	uint32_t holder = rk_watch_holder(s->fleet->c.watch, s->number);
	int n;

	(void)process_signal(&s->process, SIGKILL); /* a lease dies on exec too */
	if (s->stat_fd < 0 || holder != (uint32_t)s->process.pid)
		return; /* its job thread was not the first: that one may live on */
	n = rk_proc_threads(s->stat_fd);
	if (n >= 0 && n <= 1)
		slot_event(s, RK_FSM_EV_EXITED);
}

/* Nobody else will act in the dead worker's name: repairs what it left half done. */
static void repair(struct slot *s)
{
	const struct rk_shm *m = s->fleet->c.m;

	rk_journal_down(m, s->number);
	rk_deliver_sweep(m, s->number);
	rk_dead_sweep(m, s->number);
	rk_evict_bury(m, s->number);
	rk_bell_ring_pending(m);
}

static void recover(struct slot *s)
{
	struct rk_spawned dead = s->process;
	int stat_fd = s->stat_fd;
	sd_event_source *exit_source = s->exit_source;
	bool waits;

	s->n_failed = s->was_ready ? 0 : s->n_failed + 1;
	s->n_restarts++;
	waits = rk_fsm_backoff_ns(s->n_failed) > 0;
	repair(s);
	partitions_pass(s, waits ? 0 : RK_ROUTE_UP);
	rk_beat_reset_lease(rk_shm_beat(s->fleet->c.m, s->number));
	mourn_begin(s);
	s->exit_source = NULL;
	s->stat_fd = -1;
	s->process = no_process;
	/* The timer's delay must be known to the obituary: bury first when there is one. */
	if (waits)
		process_bury(s, &dead, stat_fd, exit_source);
	slot_event(s, waits ? RK_FSM_EV_DELAY : RK_FSM_EV_START);
	if (!waits)
		process_bury(s, &dead, stat_fd, exit_source);
}

static void settle(struct slot *s)
{
	repair(s);
	partitions_route(s, 0);
	mourn_begin(s);
	mourn_outcome(s, RK_OBITUARY_STOPPED, 0);
	s->is_mourning = false; /* asked for: not worth a line */
	process_bury(s, &s->process, s->stat_fd, s->exit_source);
	s->exit_source = NULL;
	s->stat_fd = -1;
	s->process = no_process;
}

static int on_backoff(sd_event_source *source, uint64_t usec, void *arg)
{
	struct slot *s = arg;

	(void)source;
	(void)usec;
	partitions_route(s, RK_ROUTE_UP);
	slot_event(s, RK_FSM_EV_TIMER);
	return 0;
}

static void arm(struct slot *s)
{
	uint64_t wait_ns = rk_max_u64(rk_fsm_backoff_ns(s->n_failed), SPAWN_RETRY_NS);
	bool is_news = rk_fsm_backoff_ns(s->n_failed) != rk_fsm_backoff_ns(s->n_failed - 1);
	int r = sd_event_add_time_relative(s->fleet->c.event, &s->timer, CLOCK_MONOTONIC,
					   wait_ns / RK_NS_PER_US, 0, on_backoff, s);

	if (r < 0)
		rk_log(RK_LOG_ERROR, "no timer, the slot stays down slot=%u: %s", s->number,
		       strerror(-r));
	mourn_outcome(s, RK_OBITUARY_WAITING, wait_ns);
	if (!is_news)
		s->is_mourning = false; /* at the cap: said before */
}

/* "fleet NAME, 4 workers: 801 802 803 804", when all have been ready at once for the first time */
static void announce_fleet(struct rk_fleet *f)
{
	char pids[1024] = "";
	size_t at = 0;

	if (f->was_ready)
		return;
	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].state != RK_FSM_READY)
			return;
	f->was_ready = true;
	for (uint32_t i = 0; i < f->n_slots && at < sizeof(pids) - 32; i++)
		at += (size_t)snprintf(pids + at, sizeof(pids) - at, " %d",
				       f->slots[i].process.pid);
	rk_say(f->c.say, "rekindle: fleet %s, %u worker%s:%s", f->c.conf->name, f->n_slots,
	       f->n_slots == 1 ? "" : "s", pids);
}

/* From the notice of the death. The stamp is the worker's word: believed only if it can be. */
static uint64_t took_since(const struct slot *s, uint64_t stamp_ns)
{
	uint64_t now = rk_clock_ns();

	if (stamp_ns < s->obituary.noticed_ns || stamp_ns > now)
		stamp_ns = now;
	return stamp_ns - s->obituary.noticed_ns;
}

static void announce(struct slot *s)
{
	struct rk_fleet *f = s->fleet;
	struct rk_beat *beat = rk_shm_beat(f->c.m, s->number);
	/* Relaxed: behind the acquire that found ready_ns. */
	uint64_t commit_ns = atomic_load_explicit(&beat->first_commit_ns, memory_order_relaxed);
	uint64_t ready_ns = atomic_load_explicit(&beat->ready_ns, memory_order_relaxed);

	s->was_ready = true;
	s->n_failed = 0;
	f->any_was_ready = true;
	if (rk_watch_follow(f->c.watch, s->number, s->incarnation) < 0)
		rk_log(RK_LOG_WARNING, "lease not watched, its pidfd has to do slot=%u", s->number);
	rk_close_p(&s->process.gate);
	s->obituary.job = atomic_load_explicit(&beat->first_commit_job, memory_order_relaxed);
	if (commit_ns)
		mourn_outcome(s, RK_OBITUARY_COMMITTED, took_since(s, commit_ns));
	else
		mourn_outcome(s, RK_OBITUARY_READY, took_since(s, ready_ns));
	announce_fleet(f);
}

static void act(struct slot *s, enum rk_fsm_action action)
{
	switch (action) {
	case RK_FSM_SPAWN:
		s->timer = sd_event_source_disable_unref(s->timer);
		spawn(s);
		return;
	case RK_FSM_ANNOUNCE:
		announce(s);
		return;
	case RK_FSM_FENCE:
		fence(s);
		return;
	case RK_FSM_RECOVER:
		recover(s);
		return;
	case RK_FSM_SETTLE:
		settle(s);
		return;
	case RK_FSM_TERM:
		(void)process_signal(&s->process, SIGTERM);
		return;
	case RK_FSM_KILL:
		rk_log(RK_LOG_WARNING, "worker killed, it did not stop in time slot=%u pid=%d",
		       s->number, s->process.pid);
		(void)process_signal(&s->process, SIGKILL);
		return;
	case RK_FSM_ARM:
		arm(s);
		return;
	case RK_FSM_DISARM:
		s->timer = sd_event_source_disable_unref(s->timer);
		return;
	case RK_FSM_NOTHING:
	case RK_FSM_ACTIONS:
		return;
	}
}

static void end_check(struct rk_fleet *f)
{
	if (!f->is_stopping)
		return;
	for (uint32_t i = 0; i < f->n_slots; i++)
		if (f->slots[i].state != RK_FSM_EMPTY)
			return;
	f->c.on_end(f->c.arg);
}

/* The one caller of the table. Actions may lead to further events: at most three deep. */
static void slot_event(struct slot *s, enum rk_fsm_event event)
{
	struct rk_fleet *f = s->fleet;
	enum rk_fsm_state from = s->state;
	struct rk_fsm_step step = rk_fsm_step(from, event);

	if (s->noticed_ns == 0 && (event == RK_FSM_EV_LEASE || event == RK_FSM_EV_EXITED))
		s->noticed_ns = rk_clock_ns();
	f->n_steps[from][event]++;
	s->state = step.next;
	act(s, step.action);
	rk_log(RK_LOG_DEBUG, "slot changed slot=%u event=%s from=%s to=%s action=%s pid=%d n=%llu",
	       s->number, rk_fsm_event_name(event), rk_fsm_state_name(from),
	       rk_fsm_state_name(step.next), rk_fsm_action_name(step.action), s->process.pid,
	       (unsigned long long)f->n_steps[from][event]);
	if (step.action == RK_FSM_NOTHING)
		return;
	f->c.on_change(f->c.arg);
	if (step.next == RK_FSM_EMPTY)
		end_check(f);
}

/* ---- what happens ---- */

void rk_fleet_on_leases(struct rk_fleet *f)
{
	uint64_t incarnation;
	uint32_t slot;

	rk_watch_drain(f->c.watch);
	while (rk_watch_next(f->c.watch, &slot, &incarnation))
		if (f->slots[slot].incarnation == incarnation)
			slot_event(&f->slots[slot], RK_FSM_EV_LEASE);
}

void rk_fleet_on_news(struct rk_fleet *f)
{
	for (uint32_t i = 0; i < f->n_slots; i++) {
		struct slot *s = &f->slots[i];
		struct rk_beat *beat = rk_shm_beat(f->c.m, i);

		if (s->state != RK_FSM_STARTING)
			continue;
		/* Acquire, both: the words below belong to this incarnation, and stand. */
		if (atomic_load_explicit(&beat->incarnation, memory_order_acquire) ==
			    s->incarnation &&
		    atomic_load_explicit(&beat->ready_ns, memory_order_acquire) != 0)
			slot_event(s, RK_FSM_EV_READY);
	}
}

void rk_fleet_on_exited(struct rk_fleet *f, const struct rk_link_msg *msg)
{
	struct rk_link_msg forget = { .op = RK_LINK_FORGET, .tag = msg->tag };
	uint32_t number = (uint32_t)(msg->tag >> 48);
	struct slot *s;

	if (number >= f->n_slots)
		return;
	s = &f->slots[number];
	if (s->process.pid == msg->pid && rk_link_tag(number, s->incarnation) == msg->tag)
		slot_event(s, RK_FSM_EV_EXITED); /* keeper was faster than the pidfd */
	if (s->died_tag == msg->tag) {
		s->obituary.is_cause_known = true;
		s->obituary.code = msg->code;
		s->obituary.status = msg->status;
		rk_journal_cause(f->c.m, number, msg->code, msg->status);
		if (s->is_mourning)
			mourn_check(s);
		f->c.on_change(f->c.arg);
	}
	if (rk_link_send(f->c.link, &forget, -1) < 0)
		rk_log(RK_LOG_DEBUG, "keeper keeps a dead worker's pidfd slot=%u", number);
}

/* ---- start, stop ---- */

void rk_fleet_start(struct rk_fleet *f)
{
	for (uint32_t i = 0; i < f->n_slots; i++)
		partitions_pass(&f->slots[i], RK_ROUTE_UP);
	for (uint32_t i = 0; i < f->n_slots; i++)
		slot_event(&f->slots[i], RK_FSM_EV_START);
}

static int on_stop_timeout(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_fleet *f = arg;

	(void)source;
	(void)usec;
	for (uint32_t i = 0; i < f->n_slots; i++)
		slot_event(&f->slots[i], RK_FSM_EV_TIMER);
	return 0;
}

void rk_fleet_stop(struct rk_fleet *f)
{
	struct rk_link_msg msg = { .op = RK_LINK_STOPPING };
	int r;

	if (f->is_stopping)
		return;
	f->is_stopping = true;
	if (rk_link_send(f->c.link, &msg, -1) < 0)
		rk_log(RK_LOG_WARNING, "keeper could not be told of the stop");
	r = sd_event_add_time_relative(f->c.event, &f->stop_timer, CLOCK_MONOTONIC,
				       f->c.conf->stop_timeout_ns / RK_NS_PER_US, 0,
				       on_stop_timeout, f);
	if (r < 0)
		rk_log(RK_LOG_ERROR, "no timer for the stop, keeper ends what is left: %s",
		       strerror(-r));
	for (uint32_t i = 0; i < f->n_slots; i++)
		slot_event(&f->slots[i], RK_FSM_EV_STOP);
	end_check(f);
}

static int place(struct rk_fleet *f)
{
	const struct rk_geometry *g = &f->c.m->g;
	rk_cleanup(rk_free_p) struct rk_place_member *members =
		calloc(f->n_slots, sizeof(*members));
	rk_cleanup(rk_free_p) void *scratch =
		malloc(rk_place_scratch_size(g->n_partitions, f->n_slots));
	struct rk_place_view view = { .members = members,
				      .n_members = f->n_slots,
				      .seed = g->hash_seed };
	uint32_t n_moves;

	if (!members || !scratch)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->n_slots; i++)
		members[i] = (struct rk_place_member){ .id = i, .weight = 1, .slot = (uint16_t)i };
	return rk_place_rebalance(f->table, g->n_partitions, &view, scratch, &n_moves);
}

static int fleet_init(struct rk_fleet *f)
{
	uint32_t n_partitions = f->c.m->g.n_partitions;
	int r;

	f->slots = calloc(f->n_slots, sizeof(*f->slots));
	f->table = malloc(n_partitions * sizeof(*f->table));
	if (!f->slots || !f->table)
		return -ENOMEM;
	memset(f->table, 0xff, n_partitions * sizeof(*f->table)); /* RK_PLACE_NONE */
	r = place(f);
	for (uint32_t i = 0; i < f->n_slots; i++) {
		f->slots[i].fleet = f;
		f->slots[i].number = i;
		f->slots[i].stat_fd = -1;
		f->slots[i].process = no_process;
	}
	for (uint32_t p = 0; r == 0 && p < n_partitions; p++)
		f->slots[f->table[p]].n_partitions++;
	return r;
}

int rk_fleet_open(const struct rk_fleet_conf *conf, struct rk_fleet **ret, struct rk_err *err)
{
	struct rk_fleet *f = calloc(1, sizeof(*f));
	int r = -ENOMEM;

	if (f) {
		f->c = *conf;
		f->n_slots = conf->conf->n_workers;
		r = fleet_init(f);
	}
	if (r < 0) {
		rk_fleet_close(f);
		return rk_err_set(err, r, "cannot lay out the fleet: %s", strerror(-r));
	}
	*ret = f;
	return 0;
}

void rk_fleet_close(struct rk_fleet *f)
{
	if (!f)
		return;
	for (uint32_t i = 0; f->slots && i < f->n_slots; i++) {
		struct slot *s = &f->slots[i];

		(void)sd_event_source_disable_unref(s->timer);
		(void)sd_event_source_disable_unref(s->exit_source);
		rk_close_p(&s->stat_fd);
		rk_close_p(&s->process.pidfd);
		rk_close_p(&s->process.gate);
	}
	(void)sd_event_source_disable_unref(f->stop_timer);
	free(f->slots);
	free(f->table);
	free(f);
}

/* ---- the view ---- */

static uint32_t view_state(const struct slot *s)
{
	switch (s->state) {
	case RK_FSM_STARTING:
		return RK_SLOT_STARTING;
	case RK_FSM_READY:
		return RK_SLOT_READY;
	case RK_FSM_STOPPING:
		return RK_SLOT_STOPPING;
	case RK_FSM_FENCING:
	case RK_FSM_DOWN:
	case RK_FSM_WAITING:
		return RK_SLOT_DOWN;
	case RK_FSM_EMPTY:
	case RK_FSM_STATES:
		break;
	}
	return RK_SLOT_EMPTY;
}

void rk_fleet_fill(const struct rk_fleet *f, struct rk_view *view)
{
	for (uint32_t i = 0; i < f->n_slots; i++) {
		const struct slot *s = &f->slots[i];
		bool has_died = s->died_ns != 0;

		rk_view_slots(view)[i] = (struct rk_view_slot){
			.state = view_state(s),
			.pid = s->process.pid,
			.incarnation = s->incarnation,
			.restarts = s->n_restarts,
			.started_ns = s->started_ns,
			.died_ns = s->died_ns,
			.died_pid = has_died ? s->obituary.pid : 0,
			.exit_code = has_died ? s->obituary.code : 0,
			.exit_status = s->obituary.status,
			.n_partitions = s->n_partitions,
		};
	}
}
