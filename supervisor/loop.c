/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "shm/rundir.h"
#include "supervisor/control.h"
#include "supervisor/fleet.h"

#define LINK_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 25) /* the cause before the next death */

struct loop {
	const struct rk_conf *conf;
	int link;
	int lock; /* of the runtime directory; keeper holds it too */
	sd_event *event;
	struct rk_say say;
	struct rk_recorder recorder;
	struct rk_fleet_env env;
	struct rk_guard *guard;
	struct rk_fleet *fleets; /* those that are not disabled */
	uint32_t n_fleets;
	struct rk_strategy_fleet says[RK_FLEETS_MAX]; /* what the configuration says of each */
	struct rk_strategy_fleets order;
	uint64_t ready; /* mask of fleets */
	bool is_stopping;
	char why[32]; /* it stops */
	struct rk_control *control;
	sd_event_source *stop; /* runs the stop once the present event is through */
};

/* ---- which fleet when ---- */

/* Starts each fleet that waits for nobody any more. */
static void start_due(struct loop *l)
{
	for (uint32_t i = 0; i < l->n_fleets && !l->is_stopping; i++) {
		struct rk_fleet *f = &l->fleets[l->order.order[i]];

		if (!f->has_started &&
		    rk_strategy_may_start(&l->order, f->number, l->ready, 0) == RK_STRATEGY_START)
			rk_fleet_start(f);
	}
}

static void on_fleet_ready(struct rk_fleet *f, void *arg)
{
	struct loop *l = arg;

	l->ready |= UINT64_C(1) << f->number;
	start_due(l);
}

/* The next to stop, in the order of starting backwards; those that need it are gone by then. */
static void stop_next(struct loop *l)
{
	for (uint32_t i = l->n_fleets; i-- > 0;) {
		struct rk_fleet *f = &l->fleets[l->order.order[i]];

		if (f->has_started && !f->has_ended) {
			rk_fleet_stop(f, l->why);
			return;
		}
	}
	(void)sd_event_exit(l->event, 0);
}

static void on_fleet_end(struct rk_fleet *f, void *arg)
{
	struct loop *l = arg;

	(void)f;
	if (l->is_stopping)
		stop_next(l);
}

static void stop_all(struct loop *l, const char *why)
{
	struct rk_link_msg msg = { .op = RK_LINK_STOPPING };

	if (l->is_stopping)
		return;
	l->is_stopping = true;
	(void)snprintf(l->why, sizeof(l->why), "%s", why);
	if (rk_link_send(l->link, &msg, -1) < 0)
		rk_log(RK_LOG_WARNING, "keeper could not be told of the stop");
	stop_next(l);
}

static void on_stop(void *arg)
{
	struct loop *l = arg;

	(void)sd_event_source_set_enabled(l->stop, SD_EVENT_ONESHOT);
}

/* ---- events ---- */

static int on_stop_due(sd_event_source *source, void *arg)
{
	(void)source;
	stop_all(arg, "'rekindle stop'");
	return 0;
}

static void stop_on_signal(struct loop *l, uint32_t number)
{
	const char *name = sigabbrev_np((int)number);
	char why[32];

	(void)snprintf(why, sizeof(why), "SIG%s", name ? name : "?");
	stop_all(l, why);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	(void)source;
	stop_on_signal(arg, info->ssi_signo);
	return 0;
}

static void on_exited(struct loop *l, const struct rk_link_msg *msg)
{
	uint32_t fleet = rk_link_tag_fleet(msg->tag);

	if (fleet < l->n_fleets)
		rk_crew_on_exited(l->fleets[fleet].crew, msg);
}

static int on_link(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct loop *l = arg;
	struct rk_link_msg msg;
	int r;

	(void)events;
	while ((r = rk_link_recv(fd, &msg)) == 0) {
		if (msg.op == RK_LINK_EXITED)
			on_exited(l, &msg);
		else if (msg.op == RK_LINK_STOP)
			stop_on_signal(l, (uint32_t)msg.value);
	}
	if (r == -EAGAIN || r == -EMSGSIZE || r == -EBADMSG)
		return 0;
	/* Keeper is gone and PDEATHSIG is on its way. */
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

/* ---- making ---- */

static int sources_add(struct loop *l, struct rk_err *err)
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
		r = sd_event_add_defer(l->event, &l->stop, on_stop_due, l);
	if (r >= 0)
		r = sd_event_source_set_enabled(l->stop, SD_EVENT_OFF);
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

/* Two descriptors per worker and per client; the workers get the limit back that we were given. */
static void descriptors_allow(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Fleets stop one behind the other. */
static uint64_t stop_timeout_ns(const struct loop *l)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < l->conf->n_fleets; i++)
		sum += rk_min_u64(l->conf->fleets[i].o.stop_timeout_ns, UINT64_MAX / 2 - sum);
	return sum;
}

static int directory_own(struct loop *l, struct rk_err *err)
{
	struct rk_link_msg lock = { .op = RK_LINK_KEEP, .name = "lock" };
	struct rk_link_msg fleet = { .op = RK_LINK_FLEET, .value = stop_timeout_ns(l) };
	int r;

	l->lock = rk_rundir_lock(l->conf->name, err);
	if (l->lock < 0)
		return l->lock;
	memcpy(fleet.name, l->conf->name, sizeof(fleet.name));
	/* The lock first: keeper removes the directory only while nobody else can have it. */
	r = rk_link_send(l->link, &lock, l->lock);
	if (r == 0)
		r = rk_link_send(l->link, &fleet, -1);
	return r < 0 ? rk_err_set(err, r, "keeper does not listen: %s", strerror(-r)) : 0;
}

static void recorder_start(struct loop *l)
{
	const struct rk_note note = { .kind = RK_FLIGHT_START,
				      .level = RK_LOG_INFO,
				      .is_quiet = true,
				      .fleet = l->conf->name,
				      .slot = RK_FLIGHT_NOBODY,
				      .pid = getpid() };

	rk_recorder_open(&l->recorder, l->conf->name);
	(void)rk_recorder_note(&l->recorder, &note, "supervisor started release=%s keeper=%d",
			       PACKAGE_VERSION, (int)getppid());
}

/* The bit of the fleet of this name; 0 if it is disabled. */
static uint64_t bit_of(const struct loop *l, const char *name)
{
	for (uint32_t i = 0; i < l->n_fleets; i++)
		if (strcmp(l->says[i].name, name) == 0)
			return UINT64_C(1) << i;
	return 0;
}

static uint64_t mask_of(const struct loop *l, const struct rk_wordlist *names)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < names->n; i++)
		mask |= bit_of(l, names->at[i]);
	return mask;
}

/* The fleets to run, and their order. */
static int fleets_order(struct loop *l, struct rk_err *err)
{
	const struct rk_conf_fleet *run[RK_FLEETS_MAX];

	for (uint32_t i = 0; i < l->conf->n_fleets; i++) {
		const struct rk_conf_fleet *c = &l->conf->fleets[i];

		if (c->o.is_disabled)
			continue;
		run[l->n_fleets] = c;
		l->says[l->n_fleets++] = (struct rk_strategy_fleet){ .name = c->name,
								     .n_slots = c->o.n_workers,
								     .within = (enum rk_strategy)c->o.strategy };
	}
	if (l->n_fleets == 0)
		return rk_err_set(err, -EINVAL, "every fleet of '%s' is disabled: there is nothing to run",
				  l->conf->name);
	for (uint32_t i = 0; i < l->n_fleets; i++) {
		l->says[i].requires = mask_of(l, &run[i]->o.requires);
		l->says[i].after = mask_of(l, &run[i]->o.after) | l->says[i].requires;
	}
	l->order = (struct rk_strategy_fleets){ .fleets = l->says,
						.n = l->n_fleets,
						.between = (enum rk_strategy)l->conf->supervisor.strategy };
	return rk_strategy_sort(&l->order, err);
}

static int fleets_make(struct loop *l, struct rk_err *err)
{
	uint32_t n = 0;
	int r = fleets_order(l, err);

	if (r < 0)
		return r;
	l->fleets = calloc(l->n_fleets, sizeof(*l->fleets));
	if (!l->fleets)
		return rk_err_set(err, -ENOMEM, "no memory for %u fleets", l->n_fleets);
	l->env = (struct rk_fleet_env){ .event = l->event,
					.say = &l->say,
					.recorder = &l->recorder,
					.guard = l->guard,
					.link = l->link,
					.name = l->conf->name,
					.started_ns = rk_clock_ns(),
					.on_ready = on_fleet_ready,
					.on_end = on_fleet_end,
					.arg = l };
	for (uint32_t i = 0; i < l->conf->n_fleets; i++) {
		if (l->conf->fleets[i].o.is_disabled)
			continue;
		r = rk_fleet_open(&l->fleets[n], &l->conf->fleets[i], n, &l->env, err);
		if (r < 0) {
			l->n_fleets = n;
			return l->conf->n_fleets > 1 ? rk_err_prefix(err, r, l->conf->fleets[i].name) : r;
		}
		n++;
	}
	descriptors_allow();
	return 0;
}

static int control_make(struct loop *l, struct rk_err *err)
{
	struct rk_control_conf conf = {
		.event = l->event,
		.fleets = l->fleets,
		.n_fleets = l->n_fleets,
		.recorder = &l->recorder,
		.name = l->conf->name,
		.keeper = getppid(),
		.supervisor = getpid(),
		.on_stop = on_stop,
		.arg = l,
	};

	return rk_control_open(&conf, &l->control, err);
}

static int loop_make(struct loop *l, struct rk_err *err)
{
	int r = directory_own(l, err);

	if (r < 0)
		return r;
	recorder_start(l);
	r = sd_event_new(&l->event);
	if (r < 0)
		return rk_err_set(err, r, "cannot make the event loop: %s", strerror(-r));
	r = rk_guard_open(l->conf->supervisor.real_time, &l->guard, err);
	if (r == 0)
		r = fleets_make(l, err);
	if (r == 0)
		r = control_make(l, err);
	return r < 0 ? r : sources_add(l, err);
}

static void loop_close(struct loop *l)
{
	rk_control_close(l->control);
	for (uint32_t i = 0; l->fleets && i < l->n_fleets; i++)
		rk_fleet_close(&l->fleets[i]);
	free(l->fleets);
	rk_guard_close(l->guard);
	(void)sd_event_source_disable_unref(l->stop);
	sd_event_unref(l->event);
	rk_close_p(&l->lock); /* keeper's copy still holds it */
}

static void reserved_say(struct loop *l)
{
	char what[160];

	for (uint32_t i = 0; i < l->n_fleets; i++) {
		rk_fleet_describe(&l->fleets[i], what, sizeof(what));
		rk_say(&l->say, "rekindle: reserved %s%s%s", what, l->n_fleets > 1 ? " for " : "",
		       l->n_fleets > 1 ? l->fleets[i].conf->name : "");
	}
}

int rk_loop_run(const struct rk_conf *conf, int link, struct rk_err *err)
{
	struct loop l = { .conf = conf,
			  .link = link,
			  .lock = -1,
			  .recorder.flight.fd = -1,
			  .say = { .quiet = conf->quiet, .stamp = isatty(STDOUT_FILENO) ? NULL : conf->name } };
	bool has_started;
	int r;

	signals_block();
	rk_watch_enter();
	r = loop_make(&l, err);
	has_started = r == 0;
	if (has_started) {
		reserved_say(&l);
		start_due(&l);
		r = sd_event_loop(l.event);
		if (r < 0)
			(void)rk_err_set(err, r, "the event loop failed: %s", strerror(-r));
	}
	loop_close(&l);
	rk_watch_leave();
	/* After an error that nobody asked for, the file tells more than we can. */
	if (r == 0 || !has_started)
		rk_recorder_end(&l.recorder);
	else
		rk_recorder_close(&l.recorder);
	return r;
}
