/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "shm/board.h"
#include "shm/rundir.h"
#include "supervisor/child.h"
#include "supervisor/collect.h"
#include "supervisor/loop_private.h"

#define LOCK "lock" /* what keeper calls it */
#define STOP_ASKED "'rekindle stop'"
#define LINK_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 25) /* the cause before the next death */

struct rk_note rk_loop_note(const struct rk_loop *l, enum rk_flight_kind kind)
{
	return (struct rk_note){ .kind = kind,
				 .level = RK_LOG_INFO,
				 .is_quiet = true,
				 .fleet = l->name,
				 .slot = RK_FLIGHT_NOBODY };
}

/* ---- which fleet when ---- */

static uint64_t ready_mask(const struct rk_loop *l)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < l->fleets.n; i++)
		mask |= (uint64_t)l->fleets.at[i]->is_ready << i;
	return mask;
}

/* Starts each fleet that waits for nobody any more. */
static void start_due(struct rk_loop *l)
{
	for (uint32_t i = 0; i < l->order.n && !l->is_stopping && l->is_stored; i++) {
		struct rk_fleet *f = l->fleets.at[l->order.order[i]];

		if (f->has_started || f->is_leaving ||
		    rk_strategy_may_start(&l->order, f->index, ready_mask(l), l->failed) != RK_STRATEGY_START)
			continue;
		f->was_told = false;
		rk_fleet_start(f);
	}
}

/* Which fleets have failed for good, as it is now. */
static uint64_t failed_mask(const struct rk_loop *l)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < l->fleets.n; i++) {
		const struct rk_fleet *f = l->fleets.at[i];

		if (f->has_started && !f->is_leaving && rk_crew_has_failed(f->crew))
			mask |= UINT64_C(1) << i;
	}
	return mask;
}

static void failure_tell(struct rk_loop *l, struct rk_fleet *f)
{
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_STOP);

	note.fleet = f->conf->name;
	note.level = RK_LOG_ERROR;
	note.is_quiet = false;
	note.message = RK_MESSAGE_FLEET_FAILED;
	f->is_ready = false;
	(void)rk_recorder_note(&l->recorder, &note,
			       "fleet has failed, every worker stays down: 'rekindle start WORKER' starts one again");
}

static void unstarted_note(struct rk_loop *l, const struct rk_fleet *f, const char *why)
{
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_STOP);

	note.fleet = f->conf->name;
	rk_say(&l->say, "rekindle: fleet %s does not start: %s", f->conf->name, why);
	(void)rk_recorder_note(&l->recorder, &note, "fleet does not start why=\"%s\"", why);
}

/* A fleet must not run without another: it is stopped until that one is ready, and says so once. */
static void orphan_halt(struct rk_loop *l, struct rk_fleet *f, uint64_t gone)
{
	uint64_t missing = l->says[f->index].requires & gone;
	char why[32 + RK_NAME_MAX];

	(void)snprintf(why, sizeof(why), "it requires %s, which has failed",
		       missing ? l->says[__builtin_ctzll(missing)].name : "another one");
	if (f->has_started)
		rk_fleet_halt(f, why);
	else if (!f->was_told)
		unstarted_note(l, f, why);
	f->was_told = true;
}

static void failures_look(struct rk_loop *l)
{
	uint64_t failed = failed_mask(l), news = failed & ~l->failed, orphans;

	l->failed = failed;
	for (uint32_t i = 0; i < l->fleets.n; i++)
		if (news >> i & 1)
			failure_tell(l, l->fleets.at[i]);
	orphans = rk_strategy_orphans(&l->order, failed);
	for (uint32_t i = l->order.n; i-- > 0 && orphans;)
		if (orphans >> l->order.order[i] & 1)
			orphan_halt(l, l->fleets.at[l->order.order[i]], failed | orphans);
}

/* Behind the event in which something changed: nobody is in the middle of anything. */
static int on_due(sd_event_source *source, void *arg)
{
	struct rk_loop *l = arg;

	(void)source;
	if (l->is_stopping)
		return 0;
	if (!l->proposal.node) /* which counts the fleets as they are now */
		rk_loop_leavers_remove(l);
	failures_look(l);
	rk_loop_group_progress(l);
	start_due(l);
	rk_loop_tell_up(l);
	return 0;
}

void rk_loop_wake(struct rk_loop *l)
{
	(void)sd_event_source_set_enabled(l->due, SD_EVENT_ONESHOT);
}

static void on_fleet_ready(struct rk_fleet *f, void *arg)
{
	struct rk_loop *l = arg;
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_RELOAD);

	rk_loop_wake(l);
	if (f->join_group == 0)
		return;
	note.group = f->join_group;
	f->join_group = 0;
	(void)rk_recorder_note(&l->recorder, &note, "%s: is ready state=done", f->conf->name);
}

static void on_fleet_step(struct rk_fleet *f, void *arg)
{
	(void)f;
	rk_loop_wake(arg);
}

static bool on_fleet_death(struct rk_fleet *f, uint32_t slot, uint64_t due_ns, void *arg)
{
	return rk_loop_group_take(arg, f, slot, due_ns);
}

/* The next to stop, in the order of starting backwards; those that need it are gone by then. */
static void stop_next(struct rk_loop *l)
{
	for (uint32_t i = l->order.n; i-- > 0;) {
		struct rk_fleet *f = l->fleets.at[l->order.order[i]];

		if (f->has_ended || (!f->has_started && !rk_fleet_has_workers(f)))
			continue;
		rk_fleet_stop(f, l->why);
		return;
	}
	(void)sd_event_exit(l->event, 0);
}

static void on_fleet_end(struct rk_fleet *f, void *arg)
{
	struct rk_loop *l = arg;

	(void)f;
	if (l->is_stopping)
		stop_next(l);
	else
		rk_loop_wake(l);
}

/* Keeper knows before anybody is answered: should we die now, our successor stops. */
static void stop_tell_keeper(const struct rk_loop *l)
{
	const struct rk_link_msg msg = { .op = RK_LINK_STOPPING };

	if (rk_link_send(l->link, &msg, -1) < 0)
		rk_log(RK_LOG_WARNING, "keeper could not be told of the stop");
}

static void stop_all(struct rk_loop *l, const char *why)
{
	if (l->is_stopping)
		return;
	l->is_stopping = true;
	rk_loop_reload_give_up(l, &(struct rk_err){ .code = -EBUSY, .text = "nothing was reloaded: the fleet stops" });
	(void)snprintf(l->why, sizeof(l->why), "%s", why);
	stop_tell_keeper(l);
	stop_next(l);
}

static void on_stop(void *arg)
{
	struct rk_loop *l = arg;

	stop_tell_keeper(l);
	(void)sd_event_source_set_enabled(l->stop, SD_EVENT_ONESHOT);
}

static int on_reload(const struct rk_reload_request *q, struct rk_reloaded *ret, struct rk_err *err, void *arg)
{
	return rk_loop_reload(arg, q, ret, err);
}

/* ---- events ---- */

static int on_stop_due(sd_event_source *source, void *arg)
{
	(void)source;
	stop_all(arg, STOP_ASKED);
	return 0;
}

static void stop_on_signal(struct rk_loop *l, uint32_t number)
{
	const char *name = sigabbrev_np((int)number);
	char why[32];

	(void)snprintf(why, sizeof(why), "SIG%s", name ? name : "?");
	stop_all(l, number ? why : STOP_ASKED); /* 0: a predecessor of ours was asked */
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	(void)source;
	stop_on_signal(arg, info->ssi_signo);
	return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct rk_loop *l = arg;

	(void)source;
	if (l->conf->conf.has_files)
		rk_loop_reload_on_signal(l);
	else
		stop_on_signal(l, info->ssi_signo);
	return 0;
}

static void on_exited(struct rk_loop *l, const struct rk_link_msg *msg)
{
	uint32_t number = rk_link_tag_fleet(msg->tag);

	for (uint32_t i = 0; i < l->fleets.n; i++)
		if (l->fleets.at[i]->number == number)
			rk_crew_on_exited(l->fleets.at[i]->crew, msg);
}

static int on_link(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct rk_loop *l = arg;
	struct rk_link_msg msg;
	int r;

	(void)events;
	while ((r = rk_link_recv(fd, &msg, NULL)) == 0) {
		if (msg.op == RK_LINK_EXITED)
			on_exited(l, &msg);
		else if (msg.op == RK_LINK_STOP)
			stop_on_signal(l, (uint32_t)msg.value);
		else if (msg.op == RK_LINK_RELOAD)
			rk_loop_reload_on_signal(l);
		else if (msg.op == RK_LINK_UPGRADED)
			rk_loop_upgraded(l, &msg);
		else if (msg.op == RK_LINK_SYNCED)
			rk_loop_synced(l);
	}
	if (r == -EAGAIN || r == -EMSGSIZE || r == -EBADMSG)
		return 0;
	/* Keeper is gone and PDEATHSIG is on its way. */
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

/* ---- fleets come and go ---- */

/* One of this name that is there, leaving or not. */
static struct rk_fleet *any_fleet(const struct rk_loop *l, const char *name)
{
	for (uint32_t i = 0; i < l->fleets.n; i++)
		if (strcmp(l->fleets.at[i]->conf->name, name) == 0)
			return l->fleets.at[i];
	return NULL;
}

struct rk_fleet *rk_loop_fleet(const struct rk_loop *l, const char *name)
{
	struct rk_fleet *f = any_fleet(l, name);

	return f && !f->is_leaving ? f : NULL;
}

/* The lowest number that no fleet has. */
static uint32_t number_choose(const struct rk_loop *l)
{
	uint64_t used = 0;

	for (uint32_t i = 0; i < l->fleets.n; i++)
		used |= UINT64_C(1) << l->fleets.at[i]->number;
	return (uint32_t)__builtin_ctzll(~used); /* there are fewer than 64 */
}

static int add_check(const struct rk_loop *l, const struct rk_conf_fleet *conf, struct rk_err *err)
{
	if (l->fleets.n == RK_FLEETS_MAX)
		return rk_err_set(err, -ENOSPC, "with those that are still stopping there are more than %u fleets: "
						"try again when they are gone", RK_FLEETS_MAX);
	if (any_fleet(l, conf->name))
		return rk_err_set(err, -EBUSY, "it is still stopping: try again when it is gone");
	return 0;
}

int rk_loop_open_fleet(struct rk_loop *l, const struct rk_conf_fleet *conf, uint32_t number, struct rk_inherit *in,
		       struct rk_err *err)
{
	struct rk_fleet *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return rk_err_set(err, -ENOMEM, "no memory for a fleet");
	r = rk_fleet_open(f, conf, number, &l->env, in, err);
	if (r < 0) {
		free(f);
		return r;
	}
	f->index = l->fleets.n;
	l->fleets.at[l->fleets.n++] = f;
	if (l->control)
		rk_control_admit(l->control, f);
	return 0;
}

int rk_loop_add(struct rk_loop *l, const struct rk_conf_fleet *conf, struct rk_err *err)
{
	int r = add_check(l, conf, err);

	if (r == 0)
		r = rk_loop_open_fleet(l, conf, number_choose(l), NULL, err);
	if (r == 0)
		rk_loop_sync(l);
	return r;
}

int rk_loop_add_missing(struct rk_loop *l, struct rk_err *err)
{
	const struct rk_conf *conf = &l->conf->conf;

	for (uint32_t i = 0; i < conf->n_fleets; i++) {
		const struct rk_conf_fleet *c = &conf->fleets[i];
		int r;

		if (c->o.is_disabled || any_fleet(l, c->name))
			continue;
		r = rk_loop_add(l, c, err);
		if (r < 0)
			return conf->n_fleets > 1 ? rk_err_prefix(err, r, c->name) : r;
	}
	return 0;
}

void rk_loop_remove(struct rk_loop *l, uint32_t index)
{
	struct rk_fleet *f = l->fleets.at[index];
	struct rk_link_msg msg = { .op = RK_LINK_DROP,
				   .tag = rk_link_memory_tag(f->number),
				   .value = f->number };
	struct rk_err err = { 0 };

	if (l->control)
		rk_control_forget(l->control, f);
	rk_board_end(&f->segments.m);
	rk_fleet_close(f);
	free(f);
	l->fleets.n--;
	for (uint32_t i = index; i < l->fleets.n; i++) {
		l->fleets.at[i] = l->fleets.at[i + 1];
		l->fleets.at[i]->index = i;
	}
	if (rk_link_send(l->link, &msg, -1) < 0)
		rk_log(RK_LOG_WARNING, "keeper holds the memory of a fleet that is gone");
	if (rk_loop_order(l, &err) < 0)
		rk_log(RK_LOG_ERROR, "%s", err.text);
	rk_loop_confs_sweep(l);
}

/* ---- making ---- */

static int sources_add(struct rk_loop *l, struct rk_err *err)
{
	sd_event_source *link = NULL;
	int r = sd_event_add_io(l->event, &link, l->link, EPOLLIN, on_link, l);

	if (r >= 0)
		r = sd_event_source_set_priority(link, LINK_PRIORITY);
	if (r >= 0)
		r = sd_event_source_set_floating(link, true);
	sd_event_source_unref(link);
	if (r >= 0)
		r = sd_event_add_signal(l->event, NULL, SIGTERM, on_signal, l);
	if (r >= 0)
		r = sd_event_add_signal(l->event, NULL, SIGINT, on_signal, l);
	if (r >= 0)
		r = sd_event_add_signal(l->event, NULL, SIGHUP, on_hangup, l);
	if (r >= 0)
		r = sd_event_add_defer(l->event, &l->stop, on_stop_due, l);
	if (r >= 0)
		r = sd_event_source_set_enabled(l->stop, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_defer(l->event, &l->due, on_due, l);
	return r < 0 ? rk_err_set(err, r, "cannot watch for events: %s", strerror(-r)) : 0;
}

/* Before any thread starts: the loop reads them, and a dead stdout is no reason to die. */
static void signals_block(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Whoever has the lock has the directory: our predecessor's is still held. */
static int directory_own(struct rk_loop *l, struct rk_err *err)
{
	struct rk_heirloom *old = rk_inherit_memory(l->inherit, RK_LINK_TAG_COMMON, LOCK);
	struct rk_link_msg lock = { .op = RK_LINK_KEEP, .kind = RK_LINK_MEMORY, .name = LOCK };
	int r = 0;

	l->lock = old ? rk_take_fd(&old->fd) : rk_rundir_lock(l->name, err);
	if (l->lock < 0)
		return l->lock;
	/* The lock first: keeper removes the directory only while nobody else can have it. */
	if (!old)
		r = rk_link_send(l->link, &lock, l->lock);
	if (r == 0)
		r = rk_loop_tell_keeper(l);
	return r < 0 ? rk_err_set(err, r, "keeper does not listen: %s", strerror(-r)) : 0;
}

static void recorder_start(struct rk_loop *l)
{
	const struct rk_note note = { .kind = RK_FLIGHT_START,
				      .level = RK_LOG_INFO,
				      .is_quiet = true,
				      .fleet = l->name,
				      .slot = RK_FLIGHT_NOBODY,
				      .pid = getpid() };

	if (rk_inherit_is_successor(l->inherit))
		rk_recorder_adopt(&l->recorder, l->name, l->conf->conf.supervisor.n_flight_records);
	else
		rk_recorder_open(&l->recorder, l->name, l->conf->conf.supervisor.n_flight_records);
	rk_loop_mourn(l);
	(void)rk_recorder_note(&l->recorder, &note, "supervisor started release=%s keeper=%d",
			       PACKAGE_VERSION, (int)getppid());
}

/* The bits of the fleets of these names; those that do not run have none. */
static uint64_t mask_of(const struct rk_loop *l, const struct rk_wordlist *names)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < names->n; i++) {
		const struct rk_fleet *f = rk_loop_fleet(l, names->at[i]);

		mask |= f ? UINT64_C(1) << f->index : 0;
	}
	return mask;
}

int rk_loop_order(struct rk_loop *l, struct rk_err *err)
{
	for (uint32_t i = 0; i < l->fleets.n; i++) {
		const struct rk_fleet *f = l->fleets.at[i];
		const struct rk_fleet_options *o = &f->conf->o;

		l->says[i] = (struct rk_strategy_fleet){ .name = f->conf->name,
							 .n_slots = f->segments.m.g.n_workers,
							 .within = (enum rk_strategy)o->strategy };
		if (f->is_leaving)
			continue;
		l->says[i].requires = mask_of(l, &o->requires);
		l->says[i].after = mask_of(l, &o->after) | l->says[i].requires;
	}
	l->order = (struct rk_strategy_fleets){ .fleets = l->says,
						.n = l->fleets.n,
						.between = (enum rk_strategy)l->conf->conf.supervisor.strategy };
	return rk_strategy_sort(&l->order, err);
}

static void env_make(struct rk_loop *l)
{
	l->env = (struct rk_fleet_env){ .event = l->event,
					.say = &l->say,
					.recorder = &l->recorder,
					.guard = l->guard,
					.storm = &l->storm,
					.link = l->link,
					.name = l->name,
					.started_ns = rk_clock_ns(),
					.outlives_keeper = (l->keeper_is & RK_LINK_OUTLIVED) != 0,
					.on_ready = on_fleet_ready,
					.on_step = on_fleet_step,
					.takes_over = on_fleet_death,
					.on_end = on_fleet_end,
					.arg = l };
}

static int fleets_make(struct rk_loop *l, struct rk_err *err)
{
	int r;

	env_make(l);
	r = rk_loop_adopt(l, err);
	if (r == 0)
		r = rk_loop_add_missing(l, err);
	if (r < 0)
		return r;
	if (l->fleets.n == 0)
		return rk_err_set(err, -EINVAL, "every fleet of '%s' is disabled: there is nothing to run", l->name);
	return rk_loop_order(l, err);
}

static int control_make(struct rk_loop *l, struct rk_err *err)
{
	struct rk_control_conf conf = {
		.event = l->event,
		.fleets = &l->fleets,
		.recorder = &l->recorder,
		.name = l->name,
		.keeper = getppid(),
		.supervisor = getpid(),
		.started_ns = l->env.started_ns,
		.n_deaths = l->inherit->predecessor.count,
		.link = l->link,
		.on_stop = on_stop,
		.on_reload = on_reload,
		.on_upgrade = rk_loop_upgrade,
		.configuration = rk_loop_configuration,
		.arg = l,
	};

	return rk_control_open(&conf, l->inherit, &l->control, err);
}

/* Until a supervisor of this keeper has been ready, what its store has lost may be found with the workers. */
static int memory_find(struct rk_loop *l, struct rk_err *err)
{
	bool is_lost = !rk_inherit_has_memory(l->inherit) || rk_inherit_is_partial(l->inherit);
	int r = 0;

	if (is_lost && (l->keeper_is & RK_LINK_OUTLIVED) && !(l->keeper_is & RK_LINK_SERVED))
		l->n_collected = r = rk_collect(l->inherit, l->link, err);
	else
		(void)rk_inherit_drop_partial(l->inherit, l->link); /* half made: nobody has ever run on it */
	return r < 0 ? r : 0;
}

static int loop_make(struct rk_loop *l, struct rk_err *err)
{
	int r = directory_own(l, err);

	if (r < 0)
		return r;
	rk_loop_conf_inherit(l);
	rk_loop_tell_step(l);
	r = memory_find(l, err);
	if (r < 0)
		return r;
	rk_loop_tell_step(l);
	recorder_start(l);
	r = sd_event_new(&l->event);
	if (r < 0)
		return rk_err_set(err, r, "cannot make the event loop: %s", strerror(-r));
	r = rk_guard_open(l->conf->conf.supervisor.real_time, &l->guard, err);
	if (r == 0)
		r = fleets_make(l, err);
	rk_loop_tell_step(l);
	if (r == 0)
		r = control_make(l, err);
	if (r == 0)
		rk_loop_conf_keep(l); /* a successor would do with what there is */
	if (r == 0)
		r = sources_add(l, err);
	return r < 0 ? r : rk_loop_keeper_open(l, err);
}

/* is_over: it was stopped, in order; else a successor goes on. */
static void loop_close(struct rk_loop *l, bool is_over)
{
	rk_control_close(l->control);
	for (uint32_t i = 0; i < l->fleets.n; i++) {
		if (is_over)
			rk_board_end(&l->fleets.at[i]->segments.m);
		rk_fleet_close(l->fleets.at[i]);
		free(l->fleets.at[i]);
	}
	rk_guard_close(l->guard);
	rk_loop_keeper_close(l);
	(void)sd_event_source_disable_unref(l->stop);
	(void)sd_event_source_disable_unref(l->due);
	(void)sd_event_source_disable_unref(l->group.timer);
	sd_event_unref(l->event);
	rk_storm_close(&l->storm);
	rk_close_p(&l->lock); /* keeper's copy still holds it */
	rk_close_p(&l->frozen);
}

static void reserved_say(struct rk_loop *l)
{
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_NOTE);
	char what[160];

	for (uint32_t i = 0; i < l->fleets.n; i++) {
		note.fleet = l->fleets.at[i]->conf->name;
		rk_fleet_describe(l->fleets.at[i], what, sizeof(what));
		rk_say(&l->say, "rekindle: reserved %s%s%s", what, l->fleets.n > 1 ? " for " : "",
		       l->fleets.n > 1 ? l->fleets.at[i]->conf->name : "");
		(void)rk_recorder_note(&l->recorder, &note, "memory reserved what=\"%s\"", what);
	}
}

static int run(struct rk_loop *l, struct rk_err *err)
{
	bool has_started, is_first;
	int r;

	signals_block();
	rk_watch_enter();
	rk_child_prepare();
	rk_storm_open(&l->storm);
	r = loop_make(l, err);
	has_started = r == 0;
	is_first = !rk_inherit_is_successor(l->inherit);
	if (has_started) {
		if (is_first)
			reserved_say(l);
		else
			rk_loop_go_on(l);
		l->inherit = NULL;
		start_due(l);
		rk_loop_tell_ready(l);
		r = sd_event_loop(l->event);
		if (r < 0)
			(void)rk_err_set(err, r, "the event loop failed: %s", strerror(-r));
	}
	loop_close(l, has_started && r == 0);
	rk_watch_leave();
	/* After an error that nobody asked for the file tells more than we can, and a fleet that we could not adopt
	 * goes on with it. */
	if (r == 0 || (!has_started && is_first))
		rk_recorder_end(&l->recorder);
	else
		rk_recorder_close(&l->recorder);
	return r;
}

int rk_loop_run(const struct rk_loop_start *start, struct rk_err *err)
{
	struct rk_loop l = { .conf = calloc(1, sizeof(*l.conf)),
			     .argc = start->argc,
			     .argv = start->argv,
			     .link = start->link,
			     .inherit = start->inherit,
			     .keeper_is = start->inherit->predecessor.kind,
			     .is_stored = true,
			     .progress_us = start->inherit->predecessor.tag / RK_NS_PER_US,
			     .lock = -1,
			     .frozen = -1,
			     .recorder.flight.fd = -1 };
	int r;

	if (!l.conf)
		return rk_err_set(err, -ENOMEM, "no memory for the configuration");
	l.conf->conf = *start->conf;
	*start->conf = (struct rk_conf){ 0 };
	if (start->leaving->n_fleets > 0)
		l.conf->older = calloc(1, sizeof(*l.conf->older));
	if (l.conf->older) { /* without memory for it they are given up */
		l.conf->older->conf = *start->leaving;
		*start->leaving = (struct rk_conf){ 0 };
	}
	memcpy(l.name, l.conf->conf.name, sizeof(l.name));
	/* The journal has what is said here, with its fields. */
	l.say = (struct rk_say){ .quiet = l.conf->conf.quiet || (rk_log_keeps_fields() && rk_log_is_journal(STDOUT_FILENO)),
				 .stamp = isatty(STDOUT_FILENO) ? NULL : l.name };
	r = run(&l, err);
	rk_loop_confs_free(&l);
	return r;
}
