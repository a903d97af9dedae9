/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "shm/rundir.h"
#include "supervisor/control.h"
#include "supervisor/fleet.h"
#include "supervisor/journal.h"
#include "supervisor/publish.h"

/* Deaths first: whoever waits for a dead worker waits for us. */
#define LEASE_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 30)
#define LINK_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 25) /* the cause before the next death */

#define PAGES_RETRY_US 5000u
#define PAGES_RETRY_DOUBLINGS 8u /* up to 1.28 s while a stopped worker holds a page up */

struct loop {
	const struct rk_conf *conf;
	int link;
	int lock; /* of the fleet's directory; keeper holds it too */
	int news;
	sd_event *event;
	struct rk_segments segments;
	struct rk_spawn spawn;
	struct rk_watch *watch;
	struct rk_say say;
	struct rk_clients *clients;
	struct rk_publish publish;
	struct rk_fleet *fleet;
	struct rk_control *control;
	sd_event_source *pages; /* runs only while dead clients' pages wait */
	uint32_t n_pages_tries;
	sd_event_source *stop; /* runs the stop once the present event is through */
	uint64_t started_ns;
};

/* ---- what the modules ask of each other ---- */

static void view_fill(struct rk_view *view, void *arg)
{
	struct loop *l = arg;

	view->keeper_pid = getppid();
	view->supervisor_pid = getpid();
	view->started_ns = l->started_ns;
	rk_fleet_fill(l->fleet, view);
	rk_clients_fill(l->clients, view);
}

static bool reader_is_dead(uint32_t reader, void *arg)
{
	const struct loop *l = arg;

	return rk_clients_reader_is_dead(l->clients, reader);
}

static void pages_arm(struct loop *l)
{
	uint64_t wait_us = (uint64_t)PAGES_RETRY_US
			   << rk_min_u32(l->n_pages_tries++, PAGES_RETRY_DOUBLINGS);

	(void)sd_event_source_set_time_relative(l->pages, wait_us);
	(void)sd_event_source_set_enabled(l->pages, SD_EVENT_ONESHOT);
}

static int on_pages(sd_event_source *source, uint64_t usec, void *arg)
{
	struct loop *l = arg;

	(void)source;
	(void)usec;
	if (rk_clients_progress(l->clients) > 0)
		pages_arm(l);
	rk_publish_request(&l->publish);
	return 0;
}

static void on_change(void *arg)
{
	struct loop *l = arg;

	rk_publish_request(&l->publish);
	if (rk_clients_progress(l->clients) > 0) {
		l->n_pages_tries = 0;
		pages_arm(l);
	}
}

static void on_slots_change(void *arg)
{
	struct loop *l = arg;

	rk_publish_request(&l->publish);
}

static void on_end(void *arg)
{
	struct loop *l = arg;

	(void)sd_event_exit(l->event, 0);
}

static void on_stop(void *arg)
{
	struct loop *l = arg;

	(void)sd_event_source_set_enabled(l->stop, SD_EVENT_ONESHOT);
}

/* ---- events ---- */

static int on_stop_due(sd_event_source *source, void *arg)
{
	struct loop *l = arg;

	(void)source;
	rk_fleet_stop(l->fleet);
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct loop *l = arg;

	(void)source;
	(void)info;
	rk_fleet_stop(l->fleet);
	return 0;
}

static int on_leases(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct loop *l = arg;

	(void)source;
	(void)fd;
	(void)events;
	rk_fleet_on_leases(l->fleet);
	return 0;
}

static int on_news(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct loop *l = arg;
	eventfd_t value;

	(void)source;
	(void)events;
	(void)eventfd_read(fd, &value);
	rk_fleet_on_news(l->fleet);
	return 0;
}

static int on_link(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct loop *l = arg;
	struct rk_link_msg msg;
	int r;

	(void)events;
	while ((r = rk_link_recv(fd, &msg)) == 0) {
		if (msg.op == RK_LINK_EXITED)
			rk_fleet_on_exited(l->fleet, &msg);
		else if (msg.op == RK_LINK_STOP)
			rk_fleet_stop(l->fleet);
	}
	if (r == -EAGAIN || r == -EMSGSIZE || r == -EBADMSG)
		return 0;
	/* Keeper is gone and PDEATHSIG is on its way. */
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

/* ---- putting together ---- */

static int io_add(struct loop *l, int fd, sd_event_io_handler_t handler, int64_t priority)
{
	sd_event_source *source;
	int r = sd_event_add_io(l->event, &source, fd, EPOLLIN, handler, l);

	if (r < 0)
		return r;
	(void)sd_event_source_set_priority(source, priority);
	r = sd_event_source_set_floating(source, 1); /* lives as long as the loop */
	sd_event_source_unref(source);
	return r < 0 ? r : 0;
}

static int sources_add(struct loop *l)
{
	int r = io_add(l, rk_watch_fd(l->watch), on_leases, LEASE_PRIORITY);

	if (r == 0)
		r = io_add(l, l->link, on_link, LINK_PRIORITY);
	if (r == 0)
		r = io_add(l, l->news, on_news, SD_EVENT_PRIORITY_NORMAL);
	if (r == 0)
		r = sd_event_add_signal(l->event, NULL, SIGTERM, on_signal, l);
	if (r >= 0)
		r = sd_event_add_signal(l->event, NULL, SIGINT, on_signal, l);
	if (r >= 0)
		r = sd_event_add_defer(l->event, &l->stop, on_stop_due, l);
	if (r >= 0)
		r = sd_event_source_set_enabled(l->stop, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(l->event, &l->pages, CLOCK_MONOTONIC, 0, 1000,
					       on_pages, l);
	if (r >= 0)
		r = sd_event_source_set_enabled(l->pages, SD_EVENT_OFF);
	return r < 0 ? r : 0;
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

static int keeper_give(struct loop *l, const char *name, int fd, struct rk_err *err)
{
	struct rk_link_msg msg = { .op = RK_LINK_KEEP };
	int r;

	memcpy(msg.name, name, strlen(name) + 1); /* our own short names */
	r = rk_link_send(l->link, &msg, fd);
	return r < 0 ? rk_err_set(err, r, "keeper does not take %s: %s", name, strerror(-r)) : 0;
}

static int directory_own(struct loop *l, struct rk_err *err)
{
	struct rk_link_msg msg = { .op = RK_LINK_FLEET, .value = l->conf->stop_timeout_ns };
	int r;

	l->lock = rk_rundir_lock(l->conf->name, err);
	if (l->lock < 0)
		return l->lock;
	memcpy(msg.name, l->conf->name, sizeof(msg.name));
	/* The lock first: keeper removes the directory only while nobody else can have it. */
	r = keeper_give(l, "lock", l->lock, err);
	if (r < 0)
		return r;
	r = rk_link_send(l->link, &msg, -1);
	return r < 0 ? rk_err_set(err, r, "keeper does not listen: %s", strerror(-r)) : 0;
}

static void journal_sign(const struct loop *l)
{
	rk_cleanup(rk_close_p) int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct stat st;

	rk_journal_sign(&l->segments.m, getpid(),
			self >= 0 && fstat(self, &st) == 0 ? st.st_ino : 0);
}

static int memory_make(struct loop *l, struct rk_err *err)
{
	int r = rk_segments_create(&l->segments, &l->conf->geometry, err);

	for (enum rk_segment_kind k = 1; r == 0 && k < RK_SEGMENT_KINDS; k++)
		r = keeper_give(l, rk_segment_name(k), l->segments.fd[k], err);
	if (r < 0)
		return r;
	journal_sign(l);
	l->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->news < 0)
		return rk_err_set(err, -errno, "eventfd: %s", strerror(errno));
	return 0;
}

static int spawn_prepare(struct loop *l, struct rk_err *err)
{
	const struct rk_segments *s = &l->segments;
	const int fds[RK_SPAWN_FDS] = {
		s->fd_read[RK_SEGMENT_BOARD],
		s->fd[RK_SEGMENT_BEATS],
		s->fd[RK_SEGMENT_CALLS],
		s->fd[RK_SEGMENT_QUEUES],
		s->fd[RK_SEGMENT_PARTS],
		s->fd[RK_SEGMENT_STATE],
		s->fd[RK_SEGMENT_DEAD],
		l->news,
	};
	int r = rk_spawn_init(&l->spawn, l->conf->command, fds, l->conf->batch, err);

	descriptors_allow();
	return r;
}

static int fleet_make(struct loop *l, struct rk_err *err)
{
	struct rk_fleet_conf conf = {
		.conf = l->conf,
		.m = &l->segments.m,
		.event = l->event,
		.spawn = &l->spawn,
		.watch = l->watch,
		.say = &l->say,
		.link = l->link,
		.on_change = on_slots_change,
		.on_end = on_end,
		.arg = l,
	};

	return rk_fleet_open(&conf, &l->fleet, err);
}

/* What never changes in a view; the command as one line. */
static void view_begin(struct loop *l)
{
	struct rk_view *v = l->publish.view;
	size_t at = 0;

	memcpy(v->name, l->conf->name, sizeof(v->name));
	for (char *const *arg = l->conf->command; *arg && at < sizeof(v->command); arg++)
		at += (size_t)snprintf(v->command + at, sizeof(v->command) - at, "%s%s",
				       at ? " " : "", *arg);
}

static int publish_make(struct loop *l, struct rk_err *err)
{
	struct rk_publish_conf conf = { .event = l->event,
					.m = &l->segments.m,
					.fill = view_fill,
					.is_dead = reader_is_dead,
					.arg = l };
	int r = rk_publish_open(&l->publish, &conf);

	if (r < 0)
		return rk_err_set(err, r, "cannot prepare the board: %s", strerror(-r));
	view_begin(l);
	rk_publish_now(&l->publish);
	return 0;
}

static int control_make(struct loop *l, struct rk_err *err)
{
	struct rk_control_conf conf = {
		.event = l->event,
		.segments = &l->segments,
		.clients = l->clients,
		.name = l->conf->name,
		.keeper = getppid(),
		.supervisor = getpid(),
		.on_change = on_change,
		.on_stop = on_stop,
		.arg = l,
	};

	return rk_control_open(&conf, &l->control, err);
}

static int event_make(struct loop *l, struct rk_err *err)
{
	int r = sd_event_new(&l->event);

	if (r >= 0)
		r = rk_clients_new(&l->segments.m, &l->clients);
	return r < 0 ? rk_err_set(err, r, "cannot make the event loop: %s", strerror(-r)) : 0;
}

static int loop_make(struct loop *l, struct rk_err *err)
{
	int r = directory_own(l, err);

	if (r == 0)
		r = memory_make(l, err);
	if (r == 0)
		r = spawn_prepare(l, err);
	if (r == 0)
		r = event_make(l, err);
	if (r == 0)
		r = rk_watch_open(&l->segments.m, l->conf->n_workers, &l->watch, err);
	if (r == 0)
		r = fleet_make(l, err);
	if (r == 0)
		r = publish_make(l, err);
	if (r == 0)
		r = control_make(l, err);
	if (r < 0)
		return r;
	r = sources_add(l);
	return r < 0 ? rk_err_set(err, r, "cannot watch for events: %s", strerror(-r)) : 0;
}

static void loop_close(struct loop *l)
{
	rk_control_close(l->control);
	rk_fleet_close(l->fleet);
	rk_publish_close(&l->publish);
	rk_watch_close(l->watch);
	rk_clients_free(l->clients);
	(void)sd_event_source_disable_unref(l->pages);
	(void)sd_event_source_disable_unref(l->stop);
	sd_event_unref(l->event);
	rk_spawn_close(&l->spawn);
	rk_segments_close(&l->segments);
	rk_close_p(&l->news);
	rk_close_p(&l->lock); /* keeper's copy still holds it */
}

static void reserved_say(struct loop *l)
{
	char what[160];

	rk_segments_describe(&l->segments.m.l, what, sizeof(what));
	rk_say(&l->say, "rekindle: reserved %s", what);
}

int rk_loop_run(const struct rk_conf *conf, int link, struct rk_err *err)
{
	struct loop l = { .conf = conf,
			  .link = link,
			  .lock = -1,
			  .news = -1,
			  .say.quiet = conf->quiet,
			  .started_ns = rk_clock_ns() };
	int r;

	memset(l.segments.fd, 0xff, sizeof(l.segments.fd));
	memset(l.segments.fd_read, 0xff, sizeof(l.segments.fd_read));
	memset(l.spawn.fds, 0xff, sizeof(l.spawn.fds));
	l.spawn.null = -1;
	signals_block();
	r = loop_make(&l, err);
	if (r == 0) {
		reserved_say(&l);
		rk_fleet_start(l.fleet);
		r = sd_event_loop(l.event);
		if (r < 0)
			(void)rk_err_set(err, r, "the event loop failed: %s", strerror(-r));
	}
	loop_close(&l);
	return r;
}
