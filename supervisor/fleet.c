/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/fleet.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/journal.h"

/* Deaths first: whoever waits for a dead worker waits for us. */
#define LEASE_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 30)

#define PREDECESSOR_MS 1000       /* its PDEATHSIG is on its way */
#define PREDECESSOR_KILL_MS 5000
#define PAGES_RETRY_US 5000u
#define PAGES_RETRY_DOUBLINGS 8u /* up to 1.28 s while a stopped worker holds a page up */

/* ---- what the modules ask of each other ---- */

static void view_fill(struct rk_view *view, void *arg)
{
	struct rk_fleet *f = arg;

	view->keeper_pid = getppid();
	view->supervisor_pid = getpid();
	view->started_ns = f->started_ns;
	rk_crew_fill(f->crew, view);
	rk_clients_fill(f->clients, view);
}

static bool reader_is_dead(uint32_t reader, void *arg)
{
	const struct rk_fleet *f = arg;

	return rk_clients_reader_is_dead(f->clients, reader);
}

static void pages_arm(struct rk_fleet *f)
{
	uint64_t wait_us = (uint64_t)PAGES_RETRY_US << rk_min_u32(f->n_pages_tries++, PAGES_RETRY_DOUBLINGS);

	(void)sd_event_source_set_time_relative(f->pages, wait_us);
	(void)sd_event_source_set_enabled(f->pages, SD_EVENT_ONESHOT);
}

static int on_pages(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_fleet *f = arg;

	(void)source;
	(void)usec;
	if (rk_clients_progress(f->clients) > 0)
		pages_arm(f);
	rk_publish_request(&f->publish);
	return 0;
}

void rk_fleet_on_clients(struct rk_fleet *f)
{
	rk_publish_request(&f->publish);
	if (rk_clients_progress(f->clients) > 0) {
		f->n_pages_tries = 0;
		pages_arm(f);
	}
}

static void on_slots_change(void *arg)
{
	struct rk_fleet *f = arg;

	rk_publish_request(&f->publish);
	f->env->on_step(f, f->env->arg);
}

static void on_crew_ready(void *arg)
{
	struct rk_fleet *f = arg;

	f->is_ready = true;
	f->env->on_ready(f, f->env->arg);
}

/* They look at the board. */
static void on_crew_over(void *arg)
{
	struct rk_fleet *f = arg;

	rk_publish_now(&f->publish);
}

static bool takes_over(uint32_t slot, uint64_t due_ns, void *arg)
{
	struct rk_fleet *f = arg;

	return f->env->takes_over(f, slot, due_ns, f->env->arg);
}

static void on_crew_end(void *arg)
{
	struct rk_fleet *f = arg;

	if (f->has_ended)
		return;
	rk_publish_now(&f->publish); /* who watches sees the last change too */
	f->has_ended = true;
	f->env->on_end(f, f->env->arg);
}

/* ---- events ---- */

static int on_leases(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct rk_fleet *f = arg;

	(void)source;
	(void)fd;
	(void)events;
	rk_crew_on_leases(f->crew);
	return 0;
}

static int on_findings(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct rk_fleet *f = arg;

	(void)source;
	(void)fd;
	(void)events;
	rk_crew_on_findings(f->crew);
	return 0;
}

static int on_news(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct rk_fleet *f = arg;
	char told[4096];

	(void)source;
	(void)events;
	while (read(fd, told, sizeof(told)) == (ssize_t)sizeof(told))
		; /* that there is something is all it says */
	rk_crew_on_news(f->crew);
	return 0;
}

/* ---- making ---- */

static int keeper_give(struct rk_fleet *f, const char *name, int fd, struct rk_err *err)
{
	struct rk_link_msg msg = { .op = RK_LINK_KEEP,
				   .kind = RK_LINK_MEMORY,
				   .tag = rk_link_memory_tag(f->number) };
	int r;

	memcpy(msg.name, name, strlen(name) + 1); /* our own short names */
	r = rk_link_send(f->env->link, &msg, fd);
	return r < 0 ? rk_err_set(err, r, "keeper does not take %s: %s", name, strerror(-r)) : 0;
}

static void journal_sign(const struct rk_fleet *f)
{
	rk_cleanup(rk_close_p) int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	const struct rk_journal_who who = rk_journal_who(getpid(), self);

	rk_journal_sign(&f->segments.m, &who);
}

/* Where workers outlive keeper. */
static uint32_t orphan_ms(const struct rk_fleet *f)
{
	uint64_t timeout_ns = f->conf->o.orphan_timeout_ns;

	return f->env->outlives_keeper && timeout_ns != RK_INFINITE ? (uint32_t)(timeout_ns / RK_NS_PER_MS) : 0;
}

/* What workers read of the options. Relaxed: settings; whichever a worker reads will do. */
static void board_set(const struct rk_fleet *f)
{
	struct rk_board *board = f->segments.m.board;

	atomic_store_explicit(&board->dead_after, f->conf->o.dead_letter_after, memory_order_relaxed);
	atomic_store_explicit(&board->allow_faults, f->conf->o.allow_faults, memory_order_relaxed);
	atomic_store_explicit(&board->orphan_ms, orphan_ms(f), memory_order_relaxed);
}

/* What keeper has of it is worth something once all of it is there. */
static void journal_begin(struct rk_fleet *f)
{
	struct rk_journal *j = f->segments.m.journal;

	j->number = f->number;
	j->keeper_pid = getppid();
	memcpy(j->fleet, f->conf->name, sizeof(j->fleet));
}

/*
 * A program may keep what belongs to its keys, or people may have addresses: with as many workers the same fleet
 * has each key where it was, also when it was stopped meanwhile. Of a native one nobody can know, and whoever would
 * choose keys for one partition does not know the seed.
 */
static uint64_t seed_of(const struct rk_fleet *f)
{
	char name[2 * RK_NAME_MAX];
	int n = snprintf(name, sizeof(name), "%s/%s", f->env->name, f->conf->name);

	return f->conf->o.kind == RK_KIND_NATIVE ? 0 : XXH3_64bits(name, (size_t)n) | 1;
}

static int memory_make(struct rk_fleet *f, struct rk_err *err)
{
	struct rk_geometry g = f->conf->geometry;
	int r;

	g.hash_seed = seed_of(f);
	r = rk_segments_create(&f->segments, &g, err);
	if (r < 0)
		return r;
	journal_begin(f);
	f->news = rk_fd_pipe();
	if (f->news < 0)
		return rk_err_set(err, f->news, "pipe: %s", strerror(-f->news));
	for (enum rk_segment_kind k = 1; r == 0 && k < RK_SEGMENT_KINDS; k++)
		r = keeper_give(f, rk_segment_name(k), f->segments.fd[k], err);
	return r < 0 ? r : keeper_give(f, RK_FLEET_NEWS, f->news, err);
}

/* ---- what a dead supervisor left ---- */

static int heirloom_take(struct rk_inherit *in, uint64_t tag, const char *name)
{
	struct rk_heirloom *one = rk_inherit_memory(in, tag, name);

	return one ? rk_take_fd(&one->fd) : -1;
}

/* It was killed, or it is: keeper knew its own; under another keeper it may be on its way out still. */
static int predecessor_confirm(const struct rk_fleet *f, struct rk_err *err)
{
	const struct rk_journal *j = f->segments.m.journal;
	const struct rk_journal_who who = { j->supervisor_pid, j->supervisor_inode, j->supervisor_begun };
	rk_cleanup(rk_close_p) int pidfd = who.pid == getpid() ? -ESRCH : rk_journal_find(&who);
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0 || poll(&end, 1, PREDECESSOR_MS) > 0)
		return 0;
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	if (poll(&end, 1, PREDECESSOR_KILL_MS) > 0)
		return 0;
	return rk_err_set(err, -EBUSY, "fleet %s: its last supervisor (pid %d) does not end", f->conf->name, who.pid);
}

static int memory_adopt(struct rk_fleet *f, struct rk_inherit *in, struct rk_err *err)
{
	uint64_t tag = rk_link_memory_tag(f->number);
	int fd[RK_SEGMENT_KINDS], r;

	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		fd[k] = heirloom_take(in, tag, rk_segment_name(k));
	f->news = heirloom_take(in, tag, RK_FLEET_NEWS);
	r = rk_segments_adopt(&f->segments, fd, err);
	if (r == 0 && f->news < 0)
		r = rk_err_set(err, -EPROTO, "the pipe of the workers' news is not held");
	return r < 0 ? r : predecessor_confirm(f, err);
}

/* It supervises from here on. */
static void memory_begin(struct rk_fleet *f)
{
	struct rk_board *board = f->segments.m.board;

	journal_sign(f);
	board_set(f);
	f->started_ns = f->env->started_ns;
	if (!f->is_adopted)
		return;
	f->started_ns = rk_shm_view(&f->segments.m, atomic_load_explicit(&board->view, memory_order_acquire))->started_ns;
	atomic_fetch_add_explicit(&board->incarnation, 1, memory_order_release);
}

bool rk_fleet_next_left(const struct rk_inherit *in, uint32_t *at, struct rk_fleet_left *ret)
{
	for (; *at < in->n; ++*at) {
		const struct rk_heirloom *one = &in->at[*at];
		struct rk_journal j;

		if (one->about.kind != RK_LINK_MEMORY || one->about.tag == RK_LINK_TAG_COMMON || one->fd < 0 ||
		    strcmp(one->about.name, rk_segment_name(RK_SEGMENT_JOURNAL)) != 0 ||
		    !rk_inherit_journal(in, one->about.tag, &j))
			continue;
		*ret = (struct rk_fleet_left){ .number = (uint32_t)(one->about.tag - 1),
					       .is_leaving = (j.flags & RK_JOURNAL_LEAVING) != 0 };
		memcpy(ret->id, j.segment.fleet, sizeof(ret->id));
		memcpy(ret->name, j.fleet, sizeof(ret->name));
		ret->name[sizeof(ret->name) - 1] = '\0';
		++*at;
		return true;
	}
	return false;
}

static int spawn_prepare(struct rk_fleet *f, struct rk_err *err)
{
	const struct rk_segments *s = &f->segments;
	const int fds[RK_SPAWN_FDS] = {
		s->fd_read[RK_SEGMENT_BOARD], s->fd[RK_SEGMENT_BEATS], s->fd[RK_SEGMENT_CALLS],
		s->fd[RK_SEGMENT_QUEUES],     s->fd[RK_SEGMENT_PARTS], s->fd[RK_SEGMENT_STATE],
		s->fd[RK_SEGMENT_DEAD],       f->news,                    s->fd_read[RK_SEGMENT_READERS],
	};

	int r = rk_spawn_init(&f->spawn, f->env->name, f->conf->name, &f->conf->o, fds, f->env->outlives_keeper, err);

	rk_spawn_mark(&f->spawn, s->m.journal->segment.fleet);
	return r;
}

static void limits_note(struct rk_fleet *f, const struct rk_err *why)
{
	const struct rk_note note = { .kind = RK_FLIGHT_NOTE,
				      .message = RK_MESSAGE_LIMITS_FAIL,
				      .level = RK_LOG_WARNING,
				      .fleet = f->conf->name,
				      .slot = RK_FLIGHT_NOBODY };

	(void)rk_recorder_note(f->env->recorder, &note, "limits of the fleet do not hold n=%u why=\"%s\"",
			       rk_cgroup_wanted(&f->conf->o), why->text);
}

/* What is not delegated, or not to be had there, is told and does without. */
static void cgroup_make(struct rk_fleet *f)
{
	/* The keeper that made the group, whoever is keeper now. */
	const struct rk_cgroup_name name = { f->env->name, f->segments.m.journal->keeper_pid, f->conf->name,
					     &f->segments.m.journal->last_cgroup };
	struct rk_err err = { 0 };

	if (rk_cgroup_open(&f->cgroup, &name, &f->conf->o, &err) != 0 && rk_cgroup_wanted(&f->conf->o) > 0)
		limits_note(f, &err);
}

static int crew_make(struct rk_fleet *f, struct rk_inherit *in, struct rk_err *err)
{
	struct rk_crew_conf conf = {
		.conf = f->conf,
		.fleet = f->number,
		.outlives_keeper = f->env->outlives_keeper,
		.m = &f->segments.m,
		.event = f->env->event,
		.spawn = &f->spawn,
		.cgroup = &f->cgroup,
		.watch = f->watch,
		.ward = f->ward,
		.say = f->env->say,
		.recorder = f->env->recorder,
		.storm = f->env->storm,
		.link = f->env->link,
		.inherit = in,
		.takes_over = takes_over,
		.on_change = on_slots_change,
		.on_ready = on_crew_ready,
		.on_over = on_crew_over,
		.on_end = on_crew_end,
		.arg = f,
	};

	return rk_crew_open(&conf, &f->crew, err);
}

/* What never changes in a view; the command as one line. */
static void view_begin(struct rk_fleet *f)
{
	struct rk_view *v = f->publish.view;
	size_t at = 0;

	memcpy(v->name, f->conf->name, sizeof(v->name));
	memset(v->command, 0, sizeof(v->command));
	for (char *const *arg = f->conf->o.exec.at; *arg && at < sizeof(v->command); arg++)
		at += (size_t)snprintf(v->command + at, sizeof(v->command) - at, "%s%s", at ? " " : "", *arg);
}

static int publish_make(struct rk_fleet *f, struct rk_err *err)
{
	struct rk_publish_conf conf = { .event = f->env->event,
					.m = &f->segments.m,
					.fill = view_fill,
					.is_dead = reader_is_dead,
					.is_adopted = f->is_adopted,
					.arg = f };
	int r = rk_publish_open(&f->publish, &conf);

	if (r < 0)
		return rk_err_set(err, r, "cannot prepare the board: %s", strerror(-r));
	view_begin(f);
	if (!f->is_adopted) /* else it is not known yet which readers live */
		rk_publish_now(&f->publish);
	return 0;
}

static int io_add(struct rk_fleet *f, sd_event_source **ret, int fd, sd_event_io_handler_t on_io, int64_t priority)
{
	int r = sd_event_add_io(f->env->event, ret, fd, EPOLLIN, on_io, f);

	return r < 0 ? r : sd_event_source_set_priority(*ret, priority);
}

static int sources_add(struct rk_fleet *f, struct rk_err *err)
{
	int r = io_add(f, &f->leases_source, rk_watch_fd(f->watch), on_leases, LEASE_PRIORITY);

	if (r >= 0)
		r = io_add(f, &f->news_source, f->news, on_news, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = io_add(f, &f->findings_source, rk_ward_fd(f->ward), on_findings, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = sd_event_add_time_relative(f->env->event, &f->pages, CLOCK_MONOTONIC, 0, 1000, on_pages, f);
	if (r >= 0)
		r = sd_event_source_set_enabled(f->pages, SD_EVENT_OFF);
	return r < 0 ? rk_err_set(err, r, "cannot watch for events: %s", strerror(-r)) : 0;
}

static int ward_make(struct rk_fleet *f, struct rk_err *err)
{
	const struct rk_ward_rules rules = rk_ward_rules(&f->conf->o, f->conf->has_hang_after);
	int r = rk_ward_new(&f->segments.m, f->segments.m.g.n_workers, &rules, &f->ward);

	if (r == 0)
		r = rk_guard_join(f->env->guard, f->ward);
	return r < 0 ? rk_err_set(err, r, "cannot watch over the workers: %s", strerror(-r)) : 0;
}

static int make(struct rk_fleet *f, struct rk_inherit *in, struct rk_err *err)
{
	int r = in ? memory_adopt(f, in, err) : memory_make(f, err);

	if (r < 0)
		return r;
	f->is_adopted = in != NULL;
	memory_begin(f);
	r = spawn_prepare(f, err);
	if (r < 0 && f->is_adopted && f->spawn.fds[RK_SPAWN_FDS - 1] >= 0) {
		rk_log(RK_LOG_ERROR, "no worker can be started for now, those that live go on fleet=%s: %s",
		       f->conf->name, err->text);
		r = 0;
	}
	if (r == 0)
		cgroup_make(f);
	if (r == 0 && rk_clients_new(&f->segments.m, &f->clients) < 0)
		r = rk_err_set(err, -ENOMEM, "no memory for the clients' books");
	if (r == 0 && in)
		rk_clients_adopt(f->clients);
	if (r == 0)
		r = rk_watch_open(&f->segments.m, f->segments.m.g.n_workers, &f->watch, err);
	if (r == 0)
		r = ward_make(f, err);
	if (r == 0)
		r = crew_make(f, in, err);
	if (r == 0)
		r = publish_make(f, err);
	if (r == 0)
		r = sources_add(f, err);
	if (r == 0)
		f->segments.m.journal->complete = 1;
	return r;
}

int rk_fleet_open(struct rk_fleet *f, const struct rk_conf_fleet *conf, uint32_t number,
		  const struct rk_fleet_env *env, struct rk_inherit *in, struct rk_err *err)
{
	int r;

	*f = (struct rk_fleet){ .conf = conf, .env = env, .number = number, .news = -1, .spawn.null = -1, .cgroup.dir = -1 };
	memset(f->segments.fd, 0xff, sizeof(f->segments.fd));
	memset(f->segments.fd_read, 0xff, sizeof(f->segments.fd_read));
	memset(f->spawn.fds, 0xff, sizeof(f->spawn.fds));
	r = make(f, in, err);
	if (r < 0)
		rk_fleet_close(f);
	return r;
}

void rk_fleet_close(struct rk_fleet *f)
{
	rk_crew_close(f->crew);
	rk_publish_close(&f->publish);
	(void)sd_event_source_disable_unref(f->leases_source);
	(void)sd_event_source_disable_unref(f->news_source);
	(void)sd_event_source_disable_unref(f->pages);
	(void)sd_event_source_disable_unref(f->findings_source);
	if (f->ward)
		rk_guard_leave(f->env->guard, f->ward);
	rk_ward_free(f->ward);
	rk_watch_close(f->watch);
	rk_clients_free(f->clients);
	rk_spawn_close(&f->spawn);
	rk_cgroup_close(&f->cgroup);
	rk_segments_close(&f->segments);
	rk_close_p(&f->news);
	f->crew = NULL;
	f->watch = NULL;
	f->ward = NULL;
	f->clients = NULL;
	f->findings_source = f->leases_source = f->news_source = f->pages = NULL;
}

uint32_t rk_fleet_go_on(struct rk_fleet *f, struct rk_inherit *in)
{
	const struct rk_shm *m = &f->segments.m;
	uint32_t n;

	f->has_started = rk_journal_is_marked(m, RK_JOURNAL_RUNS);
	f->join_group = m->journal->join_group;
	f->leave_group = m->journal->leave_group;
	rk_crew_go_on(f->crew, in, &n);
	if (!f->is_leaving) /* then nobody is started any more */
		rk_crew_finish_wishes(f->crew, f->tied.first, f->tied.end);
	rk_publish_now(&f->publish); /* it is known who reads */
	return n;
}

void rk_fleet_start(struct rk_fleet *f)
{
	f->has_started = true;
	rk_crew_start(f->crew);
}

bool rk_fleet_has_workers(const struct rk_fleet *f)
{
	return !rk_crew_is_range_empty(f->crew, 0, UINT32_MAX);
}

void rk_fleet_halt(struct rk_fleet *f, const char *why)
{
	f->has_started = false;
	f->is_ready = false;
	rk_crew_halt(f->crew, why);
}

/* Another command, environment and so on, from the next start on. What it was stays where that fails. */
static int spawn_renew(struct rk_fleet *f, struct rk_err *err)
{
	struct rk_spawn was = f->spawn;
	int r = spawn_prepare(f, err);

	if (r < 0) {
		rk_spawn_close(&f->spawn);
		f->spawn = was;
		return r;
	}
	rk_spawn_close(&was);
	view_begin(f);
	return 0;
}

/* What holds at once, beside the crew's. */
static void rules_renew(struct rk_fleet *f)
{
	const struct rk_ward_rules rules = rk_ward_rules(&f->conf->o, f->conf->has_hang_after);
	struct rk_err err = { 0 };

	if (rk_ward_rule(f->ward, &rules) < 0)
		rk_log(RK_LOG_ERROR, "no memory for new rules, the guard goes by the old ones fleet=%s", f->conf->name);
	if (f->cgroup.dir < 0 && rk_cgroup_wanted(&f->conf->o) > 0)
		(void)rk_err_set(&err, -ENOTSUP, "no control group is delegated");
	if (err.code || rk_cgroup_limit(&f->cgroup, &f->conf->o, &err) < 0)
		limits_note(f, &err);
	board_set(f);
}

int rk_fleet_configure(struct rk_fleet *f, const struct rk_conf_fleet *conf, bool has_new_command, struct rk_err *err)
{
	const struct rk_conf_fleet *old = f->conf;
	int r = 0;

	f->conf = conf;
	if (has_new_command)
		r = spawn_renew(f, err);
	else
		rk_spawn_borrow(&f->spawn, conf->name, &conf->o);
	if (r < 0) {
		f->conf = old;
		return r;
	}
	rules_renew(f);
	rk_crew_configure(f->crew, conf);
	rk_publish_request(&f->publish);
	return 0;
}

void rk_fleet_stop(struct rk_fleet *f, const char *why)
{
	rk_crew_stop(f->crew, why);
}

void rk_fleet_describe(const struct rk_fleet *f, char *text, size_t size)
{
	rk_segments_describe(&f->segments.m.l, text, size);
}
