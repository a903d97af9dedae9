/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/standby.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/promotion.h"
#include "shm/words.h"
#include "supervisor/obituary.h"
#include "supervisor/output.h"
#include "supervisor/proc.h"
#include "supervisor/spare.h"

#define STANDBYS_MAX 64u                /* as the table of keys has it */
#define DELAY_NS (20 * RK_NS_PER_MS)    /* a successor's first jobs come before the next standby */
#define KILL_AGAIN_NS RK_NS_PER_S       /* of a process that SIGKILL did not end yet */
#define CLOCK_ACCURACY_US 1000u
#define FAILURES_TELL 3u /* so many starts in a row, and the next will hardly do */
#define NO_SLOT RK_WORKER_NONE

struct rk_standby_one {
	struct rk_standby *all;
	uint32_t place;
	enum rk_spare_state state;
	struct rk_spawned process; /* pid 0 = none; its gate is what says how its start failed */
	int order;                 /* our end of its socket */
	int out;                   /* chosen: the slot's output, or -1 */
	int stat_fd;
	struct stat program;       /* what it runs */
	uint64_t tag;
	uint64_t started_ns;
	uint32_t n_failed; /* starts in a row that did not get it parked */
	struct rk_cgroup_slot cgroup;
	struct rk_hook pre;
	struct rk_restart restart;
	struct rk_restart_step next; /* as decided at the last death */
	sd_event_source *order_source, *exit_source, *timer;
};

struct rk_standby {
	struct rk_standby_conf conf;
	uint32_t n_wanted;
	uint64_t n_made;
	struct rk_standby_one at[STANDBYS_MAX];
};

static void on_event(struct rk_standby_one *o, enum rk_spare_event event);

static const struct rk_crew_conf *crew_of(const struct rk_standby_one *o)
{
	return o->all->conf.c;
}

static struct rk_note note_of(const struct rk_standby_one *o, enum rk_log_level level)
{
	return (struct rk_note){ .kind = RK_FLIGHT_STANDBY,
				 .level = level,
				 .fleet = crew_of(o)->conf->name,
				 .slot = RK_FLIGHT_NOBODY,
				 .pid = o->process.pid };
}

/* ---- time ---- */

static int on_clock(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	on_event(arg, RK_SPARE_EV_TIMER);
	return 0;
}

static void clock_stop(struct rk_standby_one *o)
{
	if (o->timer)
		(void)sd_event_source_set_enabled(o->timer, SD_EVENT_OFF);
}

static void clock_start(struct rk_standby_one *o, uint64_t wait_ns)
{
	uint64_t wait_us = wait_ns / RK_NS_PER_US;
	int r;

	if (wait_ns == RK_INFINITE) {
		clock_stop(o);
		return;
	}
	r = o->timer ? sd_event_source_set_time_relative(o->timer, wait_us)
		     : sd_event_add_time_relative(crew_of(o)->event, &o->timer, CLOCK_MONOTONIC, wait_us,
						  CLOCK_ACCURACY_US, on_clock, o);
	if (r >= 0)
		r = sd_event_source_set_enabled(o->timer, SD_EVENT_ONESHOT);
	if (r < 0)
		rk_log(RK_LOG_ERROR, "no timer, a standby stays as it is state=%s: %s", rk_spare_state_name(o->state),
		       strerror(-r));
}

/* ---- a process ---- */

static int on_order(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	int r = rk_promotion_hear(fd);

	(void)events;
	if (r == -EAGAIN)
		return 0;
	if (r < 0) /* its end is closed, or not worth listening to: its pidfd says the rest */
		(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	on_event(arg, r == 0 ? RK_SPARE_EV_PARKED : RK_SPARE_EV_MISSPOKE);
	return 0;
}

static int on_pidfd(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	on_event(arg, RK_SPARE_EV_GONE);
	return 0;
}

static void sources_drop(struct rk_standby_one *o)
{
	o->order_source = sd_event_source_disable_unref(o->order_source);
	o->exit_source = sd_event_source_disable_unref(o->exit_source);
}

static int sources_add(struct rk_standby_one *o)
{
	int r = sd_event_add_io(crew_of(o)->event, &o->exit_source, o->process.pidfd, EPOLLIN, on_pidfd, o);

	return r < 0 ? r : sd_event_add_io(crew_of(o)->event, &o->order_source, o->order, EPOLLIN, on_order, o);
}

static void process_forget(struct rk_standby_one *o)
{
	sources_drop(o);
	rk_close_p(&o->process.pidfd);
	rk_close_p(&o->process.gate);
	rk_close_p(&o->order);
	rk_close_p(&o->stat_fd);
	o->process = RK_NO_PROCESS;
}

/* The pair of the socket; the child's end lies out of the way of its numbers. */
static int order_open(struct rk_standby_one *o, int *ret_childs)
{
	int pair[2], childs;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	o->order = pair[0];
	childs = fcntl(pair[1], F_DUPFD_CLOEXEC, RK_CHILD_FLOOR);
	(void)close(pair[1]);
	if (childs < 0)
		return -errno;
	*ret_childs = childs;
	return rk_fd_nonblock(o->order, 1);
}

static int process_hold(struct rk_standby_one *o, struct rk_err *err)
{
	const struct rk_crew_conf *c = crew_of(o);
	rk_cleanup(rk_close_p) int childs = -1;
	int r = order_open(o, &childs);

	if (r < 0)
		return rk_err_set(err, r, "no socket to a standby: %s", strerror(-r));
	if (stat(c->spawn->path, &o->program) < 0)
		return rk_err_set(err, -errno, "%s: %s", c->spawn->path, strerror(errno));
	(void)rk_cgroup_slot_open(c->cgroup, &o->cgroup);
	return rk_spawn_hold_standby(c->spawn, childs, o->cgroup.dir, &o->process, err);
}

/* Keeper has it before it runs, as with a worker. */
static int process_run(struct rk_standby_one *o, struct rk_err *err)
{
	const struct rk_crew_conf *c = crew_of(o);
	struct rk_link_msg msg = { .op = RK_LINK_KEEP, .kind = RK_LINK_PROCESS, .pid = o->process.pid };
	int r;

	o->tag = msg.tag = rk_link_tag(c->fleet, NO_SLOT, ++o->all->n_made);
	r = rk_link_send(c->link, &msg, o->process.pidfd);
	if (r == 0)
		r = sources_add(o);
	if (r < 0) /* its gate closes: it ends there */
		return rk_err_set(err, r, "nobody would notice its end: %s", strerror(-r));
	o->stat_fd = rk_proc_open(o->process.pid);
	(void)!rk_child_go(&o->process); /* dead already: its pidfd says so */
	o->started_ns = rk_clock_ns();
	rk_restart_on_start(&o->restart, o->started_ns);
	return 0;
}

/* ---- actions ---- */

static struct rk_restart_conf restart_conf(const struct rk_standby_one *o)
{
	struct rk_restart_conf c = *o->all->conf.restart;

	c.when = RK_RESTART_ALWAYS; /* how a standby ends says nothing of a worker's work */
	memset(&c.prevent, 0, sizeof(c.prevent));
	return c;
}

static void unmade(struct rk_standby_one *o, const struct rk_err *err)
{
	struct rk_note note = note_of(o, RK_LOG_ERROR);
	struct rk_restart_conf c = restart_conf(o);

	process_forget(o);
	o->next = rk_restart_on_unmade(&o->restart, &c, rk_clock_ns(), (uint64_t)(uintptr_t)o ^ rk_clock_ns());
	note.is_quiet = !o->next.is_news;
	(void)rk_recorder_note(crew_of(o)->recorder, &note, "standby not started, trying again error=\"%s\"",
			       err->text);
	on_event(o, RK_SPARE_EV_FAILED);
}

static void make(struct rk_standby_one *o)
{
	struct rk_err err = { 0 };

	if (process_hold(o, &err) < 0 || process_run(o, &err) < 0)
		unmade(o, &err);
	else
		clock_start(o, crew_of(o)->conf->o.start_timeout_ns);
}

static void prepare(struct rk_standby_one *o)
{
	struct rk_err err = { 0 };
	int r = rk_hook_run(&o->pre, NULL, &err);

	if (r == RK_HOOK_THROUGH)
		on_event(o, RK_SPARE_EV_PREPARED);
	else if (r < 0)
		unmade(o, &err);
}

static void on_prepared(struct rk_hook *pre, const struct rk_err *err, void *arg)
{
	(void)pre;
	if (err)
		unmade(arg, err);
	else
		on_event(arg, RK_SPARE_EV_PREPARED);
}

static void rest(struct rk_standby_one *o)
{
	struct rk_note note = note_of(o, RK_LOG_DEBUG);
	uint64_t now_ns = rk_clock_ns();

	clock_stop(o);
	o->n_failed = 0;
	rk_close_p(&o->process.gate);
	rk_restart_on_ready(&o->restart, now_ns);
	(void)rk_recorder_note(crew_of(o)->recorder, &note, "standby parked after_us=%llu",
			       (unsigned long long)((now_ns - o->started_ns) / RK_NS_PER_US));
}

/* What failed in a process that did not get as far as its own program. */
static void failure_note(struct rk_standby_one *o)
{
	struct rk_note note = note_of(o, RK_LOG_WARNING);
	struct rk_setup_failure f = rk_child_failure(o->process.gate);
	char text[160];

	if (f.error)
		(void)rk_recorder_note(crew_of(o)->recorder, &note, "standby could not be started why=\"%s\"",
				       rk_setup_explain(&crew_of(o)->spawn->setup, &f, text, sizeof(text)));
}

/* Nothing is left of its process; with it goes what it had started. */
static void bury(struct rk_standby_one *o)
{
	clock_stop(o);
	failure_note(o);
	(void)rk_cgroup_slot_kill(crew_of(o)->cgroup, &o->cgroup);
	process_forget(o);
}

static void back_off(struct rk_standby_one *o)
{
	const struct rk_restart_death death = { .code = -1 };
	struct rk_restart_conf c = restart_conf(o);
	uint64_t now_ns = rk_clock_ns();

	if (o->process.pid) {
		o->next = rk_restart_on_death(&o->restart, &c, &death, now_ns, (uint64_t)(uintptr_t)o ^ now_ns);
		bury(o);
	}
	clock_start(o, o->next.wait_ns > DELAY_NS ? o->next.wait_ns : DELAY_NS);
}

/* One that has parked reads end of file; one that has not may be anywhere in its own start. */
static void ask_to_end(struct rk_standby_one *o)
{
	o->order_source = sd_event_source_disable_unref(o->order_source);
	rk_close_p(&o->order);
	if (o->process.gate >= 0)
		(void)rk_child_signal(&o->process, SIGTERM);
	clock_start(o, crew_of(o)->conf->o.stop_timeout_ns);
}

static void kill_it(struct rk_standby_one *o)
{
	rk_child_kill(&o->process);
	clock_start(o, KILL_AGAIN_NS);
}

static void act(struct rk_standby_one *o, enum rk_spare_action action)
{
	switch (action) {
	case RK_SPARE_DELAY:
		clock_start(o, DELAY_NS);
		return;
	case RK_SPARE_BACKOFF:
		back_off(o);
		return;
	case RK_SPARE_PREPARE:
		prepare(o);
		return;
	case RK_SPARE_CANCEL:
		clock_stop(o);
		rk_hook_cancel(&o->pre);
		return;
	case RK_SPARE_MAKE:
		make(o);
		return;
	case RK_SPARE_REST:
		rest(o);
		return;
	case RK_SPARE_END:
		ask_to_end(o);
		return;
	case RK_SPARE_KILL:
		kill_it(o);
		return;
	case RK_SPARE_BURY:
		bury(o);
		return;
	case RK_SPARE_NOTHING:
	case RK_SPARE_ACTIONS:
		return;
	}
}

static bool is_failed_start(enum rk_spare_state from, enum rk_spare_state to,
			    enum rk_spare_event event)
{
	if (from == to || (from != RK_SPARE_PREPARING && from != RK_SPARE_STARTING))
		return false;
	return event == RK_SPARE_EV_TIMER || event == RK_SPARE_EV_FAILED ||
	       event == RK_SPARE_EV_GONE;
}

/* The one caller of the table. */
static void on_event(struct rk_standby_one *o, enum rk_spare_event event)
{
	struct rk_spare_step step = rk_spare_step(o->state, event);
	bool is_news = o->state != step.next && (o->state == RK_SPARE_PARKED || step.next == RK_SPARE_PARKED ||
						 step.next == RK_SPARE_ABSENT);
	bool has_failed = is_failed_start(o->state, step.next, event);

	o->state = step.next;
	o->n_failed += has_failed;
	act(o, step.action);
	if (o->state == RK_SPARE_ABSENT && o->place < o->all->n_wanted)
		on_event(o, RK_SPARE_EV_WANT);
	if (is_news || has_failed)
		o->all->conf.on_change(o->all->conf.arg);
}

/* ---- all of them ---- */

int rk_standby_open(const struct rk_standby_conf *conf, struct rk_standby **ret)
{
	struct rk_standby *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->conf = *conf;
	b->n_made = conf->n_made;
	for (uint32_t i = 0; i < STANDBYS_MAX; i++) {
		struct rk_standby_one *o = &b->at[i];
		struct rk_restart_conf c;

		*o = (struct rk_standby_one){ .all = b,
					      .place = i,
					      .process = RK_NO_PROCESS,
					      .order = -1,
					      .out = -1,
					      .stat_fd = -1,
					      .cgroup = RK_CGROUP_SLOT_NONE };
		c = restart_conf(o);
		rk_restart_reset(&o->restart, &c);
		rk_hook_init(&o->pre, conf->hooks, RK_HOOK_PRE, NO_SLOT);
		o->pre.on_end = on_prepared;
		o->pre.arg = o;
	}
	*ret = b;
	return 0;
}

void rk_standby_close(struct rk_standby *b)
{
	if (!b)
		return;
	for (uint32_t i = 0; i < STANDBYS_MAX; i++) {
		struct rk_standby_one *o = &b->at[i];

		(void)sd_event_source_disable_unref(o->timer);
		rk_hook_cancel(&o->pre);
		process_forget(o);
		rk_cgroup_slot_close(b->conf.c->cgroup, &o->cgroup);
	}
	free(b);
}

static void want(struct rk_standby *b, uint32_t n)
{
	b->n_wanted = n;
	for (uint32_t i = 0; i < STANDBYS_MAX; i++)
		on_event(&b->at[i], i < n ? RK_SPARE_EV_WANT : RK_SPARE_EV_UNWANT);
}

void rk_standby_start(struct rk_standby *b)
{
	want(b, rk_min_u32(b->conf.c->conf->o.n_standby, STANDBYS_MAX));
}

void rk_standby_stop(struct rk_standby *b)
{
	want(b, 0);
}

/* An operator asks for it, maybe with another program: how the starts before went says nothing. */
static void forgive(struct rk_standby_one *o)
{
	struct rk_restart_conf c = restart_conf(o);

	o->n_failed = 0;
	rk_restart_reset(&o->restart, &c);
}

void rk_standby_renew(struct rk_standby *b)
{
	for (uint32_t i = 0; i < b->n_wanted; i++) {
		forgive(&b->at[i]);
		on_event(&b->at[i], RK_SPARE_EV_UNWANT);
	}
}

void rk_standby_retry(struct rk_standby *b)
{
	for (uint32_t i = 0; i < b->n_wanted; i++) {
		forgive(&b->at[i]);
		if (b->at[i].state == RK_SPARE_WAITING)
			on_event(&b->at[i], RK_SPARE_EV_UNWANT);
	}
}

bool rk_standby_is_failing(const struct rk_standby *b)
{
	for (uint32_t i = 0; i < b->n_wanted; i++)
		if (b->at[i].n_failed < FAILURES_TELL)
			return false;
	return b->n_wanted > 0;
}

uint32_t rk_standby_n_wanted(const struct rk_standby *b)
{
	return b->n_wanted;
}

bool rk_standby_is_empty(const struct rk_standby *b)
{
	for (uint32_t i = 0; i < STANDBYS_MAX; i++)
		if (b->at[i].process.pid)
			return false;
	return true;
}

static void death_note(struct rk_standby_one *o, const struct rk_link_msg *msg)
{
	const struct rk_obituary cause = { .is_cause_known = true, .code = msg->code, .status = msg->status };
	struct rk_note note = note_of(o, o->state == RK_SPARE_ENDING ? RK_LOG_DEBUG : RK_LOG_WARNING);
	char text[160];

	note.pid = msg->pid;
	rk_obituary_cause(&cause, text, sizeof(text));
	(void)rk_recorder_note(crew_of(o)->recorder, &note, "standby ended cause=\"%s\"", text);
}

void rk_standby_on_exited(struct rk_standby *b, const struct rk_link_msg *msg)
{
	for (uint32_t i = 0; i < STANDBYS_MAX; i++) {
		struct rk_standby_one *o = &b->at[i];

		if (rk_link_tag_is_hook(msg->tag) ? rk_hook_on_exited(&o->pre, msg) : false)
			return;
		if (rk_link_tag_is_hook(msg->tag) || o->tag != msg->tag)
			continue;
		death_note(o, msg);
		if (o->process.pid) /* keeper was faster than the pidfd */
			on_event(o, RK_SPARE_EV_GONE);
		return;
	}
}

/* ---- promotion ---- */

/* Another file at its path: a slot started now would run that one. */
static bool is_outdated(const struct rk_standby_one *o)
{
	const struct stat *was = &o->program;
	struct stat now;

	return stat(crew_of(o)->spawn->path, &now) < 0 || now.st_dev != was->st_dev || now.st_ino != was->st_ino ||
	       now.st_size != was->st_size || now.st_mtim.tv_sec != was->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != was->st_mtim.tv_nsec;
}

/* One that cannot is ended, and made anew. */
static bool is_able(struct rk_standby_one *o)
{
	const char *why = is_outdated(o) ? "program changed" : rk_proc_is_running(o->stat_fd) ? NULL : "stopped";
	struct rk_note note = note_of(o, RK_LOG_WARNING);

	if (!why)
		return true;
	(void)rk_recorder_note(crew_of(o)->recorder, &note, "standby not used, another one is made why=\"%s\"", why);
	on_event(o, *why == 's' ? RK_SPARE_EV_MISSPOKE : RK_SPARE_EV_UNWANT);
	return false;
}

uint32_t rk_standby_n_running(const struct rk_standby *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n_wanted; i++)
		n += b->at[i].state == RK_SPARE_PARKED && rk_proc_is_running(b->at[i].stat_fd);
	return n;
}

uint32_t rk_standby_n_able(struct rk_standby *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n_wanted; i++)
		n += b->at[i].state == RK_SPARE_PARKED && is_able(&b->at[i]);
	return n;
}

struct rk_standby_one *rk_standby_choose(struct rk_standby *b, uint32_t slot)
{
	for (uint32_t i = 0; i < b->n_wanted; i++) {
		struct rk_standby_one *o = &b->at[i];
		struct rk_err err = { 0 };

		if (o->state != RK_SPARE_PARKED || !is_able(o))
			continue;
		/* What cannot be opened is complained of at the exec that follows. */
		if (rk_output_is_slots(&b->conf.c->conf->o.output) &&
		    rk_spawn_output(b->conf.c->spawn, slot, &o->out, &err) < 0)
			return NULL;
		return o;
	}
	return NULL;
}

const struct rk_spawned *rk_standby_process(const struct rk_standby_one *one)
{
	return &one->process;
}

uint64_t rk_standby_cgroup(const struct rk_standby_one *one)
{
	return one->cgroup.n;
}

int rk_standby_retag(const struct rk_standby_one *one, uint64_t tag)
{
	const struct rk_link_msg msg = {
		.op = RK_LINK_RETAG, .kind = RK_LINK_PROCESS, .pid = one->process.pid, .tag = tag, .value = one->tag
	};

	return rk_link_send(crew_of(one)->link, &msg, -1);
}

int rk_standby_promote(struct rk_standby_one *one, uint32_t slot, uint64_t incarnation)
{
	const struct rk_promotion order = { .worker = slot, .incarnation = incarnation };

	return rk_promotion_give(one->order, &order, one->out);
}

void rk_standby_leave(struct rk_standby_one *one, const struct rk_standby_leaving *to)
{
	struct rk_cgroup_slot cgroup = *to->cgroup;

	sources_drop(one);
	rk_close_p(&one->out);
	*to->process = one->process;
	to->process->gate = rk_take_fd(&one->order);
	*to->stat_fd = rk_take_fd(&one->stat_fd);
	*to->cgroup = one->cgroup;
	one->cgroup = cgroup;
	(void)rk_cgroup_slot_kill(crew_of(one)->cgroup, &one->cgroup); /* what the dead worker had started */
	one->process = RK_NO_PROCESS;
	one->tag = 0;
	on_event(one, RK_SPARE_EV_TAKEN);
}

/* ---- for people ---- */

void rk_standby_fill(const struct rk_standby *b, struct rk_view *view)
{
	uint32_t n_workers = b->conf.c->m->g.n_workers;

	for (uint32_t i = 0; i < rk_min_u32(STANDBYS_MAX, n_workers); i++) {
		const struct rk_standby_one *o = &b->at[i];
		struct rk_view_slot *v = &rk_view_slots(view)[n_workers - 1 - i];

		if (v->state == RK_SLOT_STANDBY)
			*v = (struct rk_view_slot){ 0 };
		if (o->state == RK_SPARE_PARKED && v->state == RK_SLOT_EMPTY && !v->died_ns && !v->restarts)
			*v = (struct rk_view_slot){ .state = RK_SLOT_STANDBY,
						    .pid = o->process.pid,
						    .started_ns = o->started_ns };
	}
}
