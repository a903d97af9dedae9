/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/control_private.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shm/rundir.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; this libc's headers are older */
#endif

#define KEPT_AS "control" /* what keeper calls it */
#define BACKLOG 128
#define CONNECTIONS_ROOM 64u /* beside one per client page and reader line */
#define CONTROL_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

void rk_connection_note(const struct rk_connection *k, enum rk_log_level level, const char *fmt, ...)
{
	const struct rk_control_conf *c = &k->control->c;
	struct rk_note about = { .kind = RK_FLIGHT_CLIENT,
				 .level = level,
				 .fleet = c->name,
				 .slot = RK_FLIGHT_NOBODY,
				 .pid = k->peer.pid };
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)rk_recorder_note(c->recorder, &about, "%s", text);
}

/* ---- the end of a connection ---- */

/* Its page and reader line go back. */
static void place_release(struct rk_connection *k)
{
	const struct rk_link_msg forget = { .op = RK_LINK_FORGET,
					    .kind = RK_LINK_PEER,
					    .tag = k->fleet ? rk_link_peer_tag(k->fleet->number, k->reader) : 0 };

	/* Unless a successor of the same name has it by now. */
	if (k->page != RK_CLIENTS_NONE && rk_clients_holds(k->fleet->clients, k->page, &k->peer))
		rk_clients_release(k->fleet->clients, k->page);
	if (k->reader != RK_CLIENTS_NONE)
		rk_clients_release_reader(k->fleet->clients, k->reader);
	if (k->page != RK_CLIENTS_NONE)
		rk_connection_note(k, RK_LOG_DEBUG, "client gone page=%u", k->page);
	if (k->page == RK_CLIENTS_NONE && k->reader == RK_CLIENTS_NONE)
		return;
	rk_fleet_on_clients(k->fleet);
	if (k->is_held && rk_link_send(k->control->c.link, &forget, -1) < 0)
		rk_log(RK_LOG_WARNING, "keeper holds the connection of a client that is gone pid=%d", (int)k->peer.pid);
}

static void connection_free(struct rk_connection *k)
{
	struct rk_control *c = k->control;

	(void)sd_event_source_disable_unref(k->io);
	(void)sd_event_source_disable_unref(k->death);
	rk_close_p(&k->fd);
	rk_close_p(&k->peer.pidfd);
	rk_access_peer_free_p(&k->who);
	if (k->next)
		k->next->previous = k->previous;
	*(k->previous ? &k->previous->next : &c->connections) = k->next;
	c->n--;
	free(k);
}

void rk_connection_close(struct rk_connection *k)
{
	struct rk_control *c = k->control;

	place_release(k);
	connection_free(k);
	/* A full house may have switched it off. */
	(void)sd_event_source_set_enabled(c->source, SD_EVENT_ON);
}

bool rk_connection_cut_off(struct rk_connection *k, const char *why)
{
	if (k->page == RK_CLIENTS_NONE && k->reader == RK_CLIENTS_NONE) {
		rk_connection_close(k);
		return false;
	}
	k->is_deaf = true;
	(void)sd_event_source_set_io_events(k->io, 0); /* EPOLLHUP still comes */
	if (why)
		rk_connection_note(k, RK_LOG_WARNING, "client cut off, %s page=%d", why, (int)k->page);
	return false;
}

/* ---- who connects ---- */

static int on_death(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	rk_connection_close(arg); /* even if a child of it still holds the socket */
	return 0;
}

bool rk_connection_has_hung_up(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

static int peer_pidfd(int fd, pid_t pid)
{
	socklen_t len = sizeof(int);
	int pidfd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0)
		return pidfd;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return -errno;
	/* The pid may have passed to another process before we opened it: not while it is there. */
	if (rk_connection_has_hung_up(fd)) {
		rk_close_p(&pidfd);
		return -ESRCH;
	}
	return pidfd;
}

/* Whether it may do anything at all. */
static int roles_check(struct rk_connection *k, struct rk_err *err)
{
	const struct rk_fleets *fleets = k->control->c.fleets;

	k->is_admin = k->who.uid == 0 || k->who.uid == geteuid();
	if (k->is_admin)
		return 0;
	for (uint32_t i = 0; i < fleets->n; i++)
		if (rk_access_may_use(&fleets->at[i]->conf->o, &k->who))
			return 0;
	return rk_err_set(err, -EPERM, "uid %u may not use this fleet: its owner's uid is %u",
			  (unsigned int)k->who.uid, (unsigned int)geteuid());
}

static int peer_check(struct rk_connection *k, struct rk_err *err)
{
	int r = rk_access_peer(k->fd, &k->who);

	if (r < 0)
		return rk_err_set(err, r, "cannot tell who connects");
	if (k->who.pid <= 0)
		return rk_err_set(err, -EPERM,
				  "this process is in a pid namespace that the fleet cannot see");
	r = roles_check(k, err);
	if (r < 0)
		return r;
	k->peer.pid = k->who.pid;
	k->peer.pidfd = peer_pidfd(k->fd, k->who.pid);
	return k->peer.pidfd < 0 ? rk_err_set(err, k->peer.pidfd, "cannot hold on to the peer") : 0;
}

static int connection_attend(struct rk_connection *k)
{
	sd_event *event = k->control->c.event;
	int r = k->fd < 0 ? 0 : sd_event_add_io(event, &k->io, k->fd, EPOLLIN, rk_connection_on_io, k);

	if (r >= 0)
		r = sd_event_add_io(event, &k->death, k->peer.pidfd, EPOLLIN, on_death, k);
	if (r < 0)
		return r;
	if (k->io)
		(void)sd_event_source_set_priority(k->io, CONTROL_PRIORITY);
	(void)sd_event_source_set_priority(k->death, CONTROL_PRIORITY + 1);
	return 0;
}

static int connection_accept(struct rk_control *c, struct rk_connection *k, struct rk_err *err)
{
	int r;

	if (c->n > c->n_max)
		return rk_err_set(err, -EAGAIN,
				  "%u connections are open already: close some, or try again",
				  c->n_max);
	r = peer_check(k, err);
	if (r == 0)
		r = connection_attend(k);
	return r < 0 ? r : 0;
}

static struct rk_connection *connection_new(struct rk_control *c, int fd)
{
	struct rk_connection *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->control = c;
	k->fd = fd;
	k->peer.pidfd = -1;
	k->page = k->reader = RK_CLIENTS_NONE;
	k->next = c->connections;
	if (k->next)
		k->next->previous = k;
	c->connections = k;
	c->n++;
	return k;
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct rk_control *c = arg;
	struct rk_err err = { .code = -EIO, .text = "the connection cannot be served" };
	struct rk_connection *k;

	(void)events;
	fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
			return 0;
		/* It would stay readable and keep us busy: until the next close(). */
		rk_log(RK_LOG_WARNING, "no more connections for now: %m");
		(void)sd_event_source_set_enabled(source, c->n ? SD_EVENT_OFF : SD_EVENT_ON);
		return 0;
	}
	k = connection_new(c, fd);
	if (!k) {
		rk_close_p(&fd);
		return 0;
	}
	if (connection_accept(c, k, &err) < 0 && rk_connection_refuse(k, &err))
		rk_connection_close(k);
	return 0;
}

/* ---- the socket ---- */

/* Who may connect: those that the fleets name. */
static int admit(const struct rk_control_conf *c, const char *path, struct rk_err *err)
{
	struct rk_access_socket s = { (uid_t)-1, (gid_t)-1, 0 };
	bool is_for_all;

	for (uint32_t i = 0; i < c->fleets->n; i++)
		if (!c->fleets->at[i]->is_leaving)
			rk_access_admit(&s, &c->fleets->at[i]->conf->o);
	is_for_all = (s.uid != (uid_t)-1 && s.uid != geteuid()) || (s.mode & 0007);
	if (chown(path, s.uid == (uid_t)-1 ? geteuid() : s.uid, s.gid == (gid_t)-1 ? getegid() : s.gid) < 0)
		return rk_err_set(err, -errno, "cannot give %s to ClientUser and ClientGroup: %s", path,
				  strerror(errno));
	if (chmod(path, s.mode) < 0)
		return rk_err_set(err, -errno, "%s: %s", path, strerror(errno));
	return rk_rundir_admit(c->name, s.gid, is_for_all, err);
}

static int listen_at(const char *path, struct rk_err *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	rk_cleanup(rk_close_p) int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	_Static_assert(RK_PATH_MAX <= sizeof(at.sun_path), "a path fits");
	strcpy(at.sun_path, path); /* length asserted */
	/* We hold the directory's lock: what is there belongs to nobody any more. */
	if (fd >= 0)
		(void)unlink(path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    chmod(path, 0600) < 0 || listen(fd, BACKLOG) < 0)
		return rk_err_set(err, -errno, "cannot listen at %s: %s", path, strerror(errno));
	return rk_take_fd(&fd);
}

/* Keeper has it too, so that nobody is refused while there is no supervisor. */
static int socket_keep(const struct rk_control *c, struct rk_err *err)
{
	const struct rk_link_msg keep = { .op = RK_LINK_KEEP,
					  .kind = RK_LINK_MEMORY,
					  .tag = RK_LINK_TAG_COMMON,
					  .name = KEPT_AS };
	int r = rk_link_send(c->c.link, &keep, c->fd);

	return r < 0 ? rk_err_set(err, r, "keeper does not take the control socket: %s", strerror(-r)) : 0;
}

/* Our predecessor's, unless somebody has removed it; else a new one. */
static int socket_open(struct rk_control *c, struct rk_inherit *in, struct rk_err *err)
{
	struct rk_heirloom *old = in ? rk_inherit_memory(in, RK_LINK_TAG_COMMON, KEPT_AS) : NULL;
	char path[RK_PATH_MAX];
	int r = rk_rundir_path(c->c.name, "control", path, err);

	if (r < 0)
		return r;
	if (old && access(path, F_OK) == 0) {
		c->fd = rk_take_fd(&old->fd);
		(void)listen(c->fd, BACKLOG); /* once more: who connects is told by the kernel that it is us */
		return 0;
	}
	c->fd = listen_at(path, err);
	r = c->fd < 0 ? c->fd : admit(&c->c, path, err);
	return r < 0 ? r : socket_keep(c, err);
}

int rk_control_open(const struct rk_control_conf *conf, struct rk_inherit *in, struct rk_control **ret,
		    struct rk_err *err)
{
	struct rk_control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return rk_err_set(err, -ENOMEM, "no memory for the control socket");
	c->c = *conf;
	c->fd = -1;
	c->n_max = CONNECTIONS_ROOM;
	for (uint32_t i = 0; i < conf->fleets->n; i++)
		rk_control_admit(c, conf->fleets->at[i]);
	r = socket_open(c, in, err);
	if (r >= 0) {
		r = sd_event_add_io(conf->event, &c->source, c->fd, EPOLLIN, on_connect, c);
		if (r < 0)
			(void)rk_err_set(err, r, "cannot watch the control socket");
	}
	if (r < 0) {
		rk_control_close(c);
		return r;
	}
	(void)sd_event_source_set_priority(c->source, CONTROL_PRIORITY);
	*ret = c;
	return 0;
}

/* ---- a dead supervisor's connections ---- */

/* The peer of a connection, or of one that keeper's death has closed. 0; -errno: it is gone. */
static int peer_adopt(struct rk_connection *k, const struct rk_journal_who *who)
{
	int r = k->fd < 0 ? 0 : rk_access_peer(k->fd, &k->who);

	if (r < 0)
		return r;
	k->is_admin = k->fd >= 0 && (k->who.uid == 0 || k->who.uid == geteuid());
	k->peer.pid = who->pid;
	k->peer.pidfd = k->fd < 0 ? rk_journal_find(who) : peer_pidfd(k->fd, who->pid);
	return k->peer.pidfd < 0 ? k->peer.pidfd : 0;
}

static bool connection_adopt(struct rk_control *c, struct rk_fleet *f, uint32_t reader, struct rk_inherit *in)
{
	struct rk_heirloom *old = rk_inherit_find(in, RK_LINK_PEER, rk_link_peer_tag(f->number, reader));
	struct rk_journal_who who;
	struct rk_connection *k;
	uint32_t page;

	if (!rk_clients_was(f->clients, reader, &who, &page))
		return false;
	k = connection_new(c, old ? rk_take_fd(&old->fd) : -1);
	if (!k)
		return false;
	k->is_held = k->fd >= 0;
	if (peer_adopt(k, &who) < 0 || connection_attend(k) < 0) {
		connection_free(k);
		return false;
	}
	k->fleet = f;
	k->reader = reader;
	k->page = page;
	rk_clients_hold(f->clients, reader, page, &k->peer);
	return true;
}

uint32_t rk_control_adopt(struct rk_control *c, struct rk_fleet *f, struct rk_inherit *in)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->segments.m.g.n_readers; i++)
		n += connection_adopt(c, f, i, in);
	rk_clients_settle(f->clients);
	rk_fleet_on_clients(f);
	return n;
}

int rk_control_readmit(struct rk_control *c, struct rk_err *err)
{
	char path[RK_PATH_MAX];
	int r = rk_rundir_path(c->c.name, "control", path, err);

	return r < 0 ? r : admit(&c->c, path, err);
}

void rk_control_admit(struct rk_control *c, const struct rk_fleet *f)
{
	c->n_max += f->segments.m.g.n_clients + f->segments.m.g.n_readers;
}

/*
 * Its clients live, and may be about to read their last replies in their pages: nothing of those is touched. What keeper
 * holds of them goes with the fleet's memory (DROP).
 */
void rk_control_forget(struct rk_control *c, const struct rk_fleet *f)
{
	for (struct rk_connection *k = c->connections, *next; k; k = next) {
		next = k->next;
		if (k->fleet == f)
			connection_free(k);
	}
	(void)sd_event_source_set_enabled(c->source, SD_EVENT_ON); /* a full house may have switched it off */
	c->n_max -= f->segments.m.g.n_clients + f->segments.m.g.n_readers;
}

void rk_control_close(struct rk_control *c)
{
	if (!c)
		return;
	/* Its client lives, and may be about to read a last reply in its page: nothing of it is touched. */
	while (c->connections)
		connection_free(c->connections);
	(void)sd_event_source_disable_unref(c->source);
	rk_close_p(&c->fd);
	free(c);
}
