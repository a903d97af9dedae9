/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/text.h"

/* ---- the socket ---- */

static int address_set(struct rk_notify *n, const char *path, struct rk_err *err)
{
	size_t len = strlen(path);

	if (path[0] != '/' && path[0] != '@')
		return rk_err_set(err, -EPROTONOSUPPORT,
				  "NOTIFY_SOCKET is neither a path nor an abstract name: '%s'",
				  path);
	if (len < 2 || len >= sizeof(n->address.sun_path))
		return rk_err_set(err, -EINVAL, "NOTIFY_SOCKET has %zu bytes, not 2..%zu", len,
				  sizeof(n->address.sun_path) - 1);
	n->address.sun_family = AF_UNIX;
	memcpy(n->address.sun_path, path, len);
	n->address_len = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (path[0] == '@')
		n->address.sun_path[0] = '\0';
	return 0;
}

static int socket_connect(struct rk_notify *n)
{
	if (n->is_connected)
		return 0;
	if (connect(n->fd, (const struct sockaddr *)&n->address, n->address_len) < 0)
		return -errno;
	n->is_connected = true;
	return 0;
}

static int socket_open(struct rk_notify *n, const char *path, struct rk_err *err)
{
	int r = address_set(n, path, err);

	if (r < 0)
		return r;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		return rk_err_set(err, -errno, "no socket for systemd: %m");
	r = socket_connect(n);
	if (r < 0)
		return rk_err_set(err, r, "systemd cannot be reached at %s: %s", path,
				  strerror(-r));
	return 0;
}

/* ---- the environment ---- */

static int watchdog_read(struct rk_notify *n, const char *usec, const char *pid, struct rk_err *err)
{
	uint64_t us, of = 0;
	int r;

	if (!usec)
		return 0;
	r = rk_num_parse(usec, 1, UINT64_MAX / RK_NS_PER_US, &us, err);
	if (r < 0)
		return rk_err_prefix(err, r, "WATCHDOG_USEC");
	r = pid ? rk_num_parse(pid, 1, INT32_MAX, &of, err) : 0;
	if (r < 0)
		return rk_err_prefix(err, r, "WATCHDOG_PID");
	if (pid && of != (uint64_t)getpid())
		return 0; /* another process is watched */
	n->watchdog_ns = us * RK_NS_PER_US;
	n->watchdog_pid = (uint32_t)of;
	return 0;
}

/* Newer systemd says how many descriptors it keeps; older ones drop what is too much. */
static int most_read(struct rk_notify *n, const char *most, struct rk_err *err)
{
	uint64_t v;
	int r = most ? rk_num_parse(most, 0, UINT32_MAX, &v, err) : 0;

	if (r < 0)
		return rk_err_prefix(err, r, "FDSTORE");
	if (most)
		n->n_most = (uint32_t)rk_min_u64(v, RK_NOTIFY_STORE_MAX);
	return 0;
}

int rk_notify_open(struct rk_notify *n, struct rk_err *err)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int first = 0, r;

	*n = (struct rk_notify){ .fd = -1, .n_most = RK_NOTIFY_STORE_MAX };
	if (path) {
		first = socket_open(n, path, err);
		r = watchdog_read(n, getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"),
				  first < 0 ? NULL : err);
		first = first < 0 ? first : r;
		r = most_read(n, getenv("FDSTORE"), first < 0 ? NULL : err);
		first = first < 0 ? first : r;
	}
	rk_notify_environ_clear();
	return first;
}

void rk_notify_environ_clear(void)
{
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	(void)unsetenv("FDSTORE");
}

void rk_notify_close_p(struct rk_notify *n)
{
	rk_close_p(&n->fd);
	rk_free_p(&n->entries);
	*n = (struct rk_notify){ .fd = -1 };
}

bool rk_notify_is_open(const struct rk_notify *n)
{
	return n->fd >= 0;
}

static int number_set(const char *name, uint64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	return setenv(name, text, 1) < 0 ? -errno : 0;
}

int rk_notify_environ(const struct rk_notify *n)
{
	char path[sizeof(n->address.sun_path) + 1];
	size_t len = n->address_len - offsetof(struct sockaddr_un, sun_path);
	int r = 0;

	if (n->fd < 0)
		return 0;
	memcpy(path, n->address.sun_path, len);
	path[len] = '\0';
	if (path[0] == '\0')
		path[0] = '@';
	if (setenv("NOTIFY_SOCKET", path, 1) < 0)
		return -errno;
	if (n->watchdog_ns)
		r = number_set("WATCHDOG_USEC", n->watchdog_ns / RK_NS_PER_US);
	if (r == 0 && n->watchdog_pid)
		r = number_set("WATCHDOG_PID", n->watchdog_pid);
	if (r == 0 && n->n_most < RK_NOTIFY_STORE_MAX)
		r = number_set("FDSTORE", n->n_most);
	return r;
}

/* ---- one message ---- */

static void trouble_note(struct rk_notify *n, int r)
{
	if (r == 0)
		n->has_trouble = false;
	else if (r != -EAGAIN && !n->has_trouble) {
		n->has_trouble = true;
		n->trouble = r;
	}
}

static int message_try(struct rk_notify *n, const char *text, size_t len, int fd)
{
	struct rk_fds fds = { .n = fd >= 0, .fd = { fd } };
	int r = socket_connect(n);

	if (r == 0)
		r = rk_fd_send(n->fd, text, len, &fds);
	/* The kernel has cut us off from a systemd that closed its socket; its successor has
	 * another. */
	if (r == -ECONNREFUSED || r == -ECONNRESET || r == -ENOTCONN)
		n->is_connected = false;
	return r;
}

/* Every message goes through here. 0; -EAGAIN: no room; -errno. */
static int message_send(struct rk_notify *n, const char *text, int fd)
{
	bool was_connected = n->is_connected;
	size_t len = strlen(text);
	int r;

	if (len == 0)
		return -EINVAL;
	if (len > RK_NOTIFY_TEXT_MAX)
		return -EMSGSIZE;
	r = message_try(n, text, len, fd);
	if (was_connected && !n->is_connected)
		r = message_try(n, text, len, fd);
	n->is_full = r == -EAGAIN;
	trouble_note(n, r);
	return r;
}

int rk_notify_trouble(struct rk_notify *n)
{
	int r = n->trouble;

	n->trouble = 0;
	return r;
}

/* ---- the store ---- */

bool rk_notify_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (name[i] < ' ' || name[i] > '~' || name[i] == ':')
			return false;
	return len > 0 && len < RK_NOTIFY_NAME_MAX;
}

static struct rk_notify_entry *entry_find(struct rk_notify *n, const char *name)
{
	for (uint32_t i = 0; i < n->n_entries; i++)
		if (strcmp(n->entries[i].name, name) == 0)
			return &n->entries[i];
	return NULL;
}

static int room_make(struct rk_notify *n)
{
	uint32_t room = n->n_room ? 2 * n->n_room : 16;
	struct rk_notify_entry *entries;

	if (n->n_entries < n->n_room)
		return 0;
	if (n->n_entries == RK_NOTIFY_STORE_MAX)
		return -ENOSPC;
	entries = realloc(n->entries, room * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	n->entries = entries;
	n->n_room = room;
	return 0;
}

static int entry_add(struct rk_notify *n, const char *name, int fd,
		     enum rk_notify_entry_state state)
{
	struct rk_notify_entry *e;
	int r = room_make(n);

	if (r < 0)
		return r;
	e = &n->entries[n->n_entries++];
	*e = (struct rk_notify_entry){ .state = state, .fd = fd };
	memcpy(e->name, name, strlen(name));
	return 0;
}

static void entry_drop(struct rk_notify *n, struct rk_notify_entry *e)
{
	size_t behind = (size_t)(&n->entries[n->n_entries] - (e + 1));

	memmove(e, e + 1, behind * sizeof(*e));
	n->n_entries--;
}

uint32_t rk_notify_n_stored(const struct rk_notify *n)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n->n_entries; i++)
		count += n->entries[i].state != RK_NOTIFY_LEAVING;
	return count;
}

static int entry_begin(struct rk_notify *n, const char *name, int fd,
		       enum rk_notify_entry_state state)
{
	struct rk_notify_entry *e = entry_find(n, name);

	if (!rk_notify_name_is_valid(name))
		return -EINVAL;
	if (e && e->state != RK_NOTIFY_LEAVING && e->state != RK_NOTIFY_SUPERSEDED)
		return -EEXIST;
	if (rk_notify_n_stored(n) >= n->n_most)
		return -ENOSPC;
	if (!e)
		return entry_add(n, name, fd, state);
	e->state = RK_NOTIFY_REPLACED;
	e->fd = fd;
	return 0;
}

int rk_notify_store(struct rk_notify *n, const char *name, int fd)
{
	int r = n->fd < 0 ? 0 : entry_begin(n, name, fd, RK_NOTIFY_WAITING);

	if (r == 0)
		(void)rk_notify_flush(n);
	return r;
}

int rk_notify_stored(struct rk_notify *n, const char *name, int fd)
{
	return n->fd < 0 ? 0 : entry_begin(n, name, fd, RK_NOTIFY_STORED);
}

int rk_notify_unstore(struct rk_notify *n, const char *name)
{
	struct rk_notify_entry *e = entry_find(n, name);
	int r = 0;

	if (n->fd < 0)
		return 0;
	if (!rk_notify_name_is_valid(name))
		return -EINVAL;
	if (!e)
		r = entry_add(n, name, -1, RK_NOTIFY_LEAVING);
	else if (e->state == RK_NOTIFY_WAITING)
		entry_drop(n, e); /* systemd has never heard of it */
	else
		e->state = RK_NOTIFY_LEAVING;
	(void)rk_notify_flush(n);
	return r;
}

void rk_notify_supersede(struct rk_notify *n, const char *name)
{
	struct rk_notify_entry *e = n->fd < 0 ? NULL : entry_find(n, name);

	if (e && e->state == RK_NOTIFY_WAITING)
		entry_drop(n, e); /* systemd has never heard of it */
	else if (e && e->state != RK_NOTIFY_LEAVING)
		e->state = RK_NOTIFY_SUPERSEDED;
}

/* ---- keeper's state ---- */

static void late_set(struct rk_notify *n, enum rk_notify_kind kind, const char *head,
		     const char *status)
{
	struct rk_notify_late *l = &n->late[kind];
	char clean[RK_NOTIFY_STATUS_MAX] = "";

	if (n->fd < 0)
		return;
	if (status)
		(void)rk_text_clean(clean, sizeof(clean), status, strlen(status));
	(void)snprintf(l->text, sizeof(l->text), "%s%s%s%s", head, *head && status ? "\n" : "",
		       status ? "STATUS=" : "", clean);
	l->order = ++n->n_orders;
	(void)rk_notify_flush(n);
}

void rk_notify_ready(struct rk_notify *n, const char *status)
{
	late_set(n, RK_NOTIFY_READY, "READY=1", status);
}

void rk_notify_status(struct rk_notify *n, const char *status)
{
	late_set(n, RK_NOTIFY_STATUS, "", status);
}

void rk_notify_reloading(struct rk_notify *n, uint64_t now_ns)
{
	char head[64];

	(void)snprintf(head, sizeof(head), "RELOADING=1\nMONOTONIC_USEC=%llu",
		       (unsigned long long)(now_ns / RK_NS_PER_US));
	late_set(n, RK_NOTIFY_RELOADING, head, NULL);
}

void rk_notify_stopping(struct rk_notify *n, const char *status)
{
	late_set(n, RK_NOTIFY_STOPPING, "STOPPING=1", status);
}

/* ---- what is late ---- */

static bool is_late(const struct rk_notify *n)
{
	for (uint32_t i = 0; i < n->n_entries; i++)
		if (n->entries[i].state != RK_NOTIFY_STORED)
			return true;
	for (uint32_t i = 0; i < RK_NOTIFY_KINDS; i++)
		if (n->late[i].order)
			return true;
	return false;
}

/* Whether the next message has better prospects than the one that came to r. */
static bool may_go_on(const struct rk_notify *n, int r)
{
	return r != -EAGAIN && n->is_connected;
}

static int removal_send(struct rk_notify *n, const struct rk_notify_entry *e)
{
	char text[32 + RK_NOTIFY_NAME_MAX];

	(void)snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", e->name);
	return message_send(n, text, -1);
}

/* Whether something is still to be stored. */
static bool is_storing(const struct rk_notify *n)
{
	for (uint32_t i = 0; i < n->n_entries; i++)
		if (n->entries[i].state == RK_NOTIFY_WAITING || n->entries[i].state == RK_NOTIFY_REPLACED)
			return true;
	return false;
}

static bool removals_send(struct rk_notify *n)
{
	bool is_all_stored = !is_storing(n);
	int r = 0;

	for (uint32_t i = 0; i < n->n_entries && may_go_on(n, r);) {
		struct rk_notify_entry *e = &n->entries[i];
		bool is_leaving = e->state == RK_NOTIFY_LEAVING || (e->state == RK_NOTIFY_SUPERSEDED && is_all_stored);

		r = 0;
		if (is_leaving || e->state == RK_NOTIFY_REPLACED) {
			r = removal_send(n, e);
			if (r == 0 && !is_leaving)
				e->state = RK_NOTIFY_WAITING;
		}
		if (r == 0 && is_leaving)
			entry_drop(n, e);
		else
			i++;
	}
	return may_go_on(n, r);
}

/* FDPOLL=0: systemd would drop a descriptor that tells of an error, just when we need it. */
static int store_send(struct rk_notify *n, const struct rk_notify_entry *e)
{
	char text[32 + RK_NOTIFY_NAME_MAX];

	(void)snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", e->name);
	return message_send(n, text, e->fd);
}

static bool stores_send(struct rk_notify *n)
{
	int r = 0;

	for (uint32_t i = 0; i < n->n_entries && may_go_on(n, r); i++) {
		struct rk_notify_entry *e = &n->entries[i];

		r = 0;
		if (e->state == RK_NOTIFY_WAITING)
			r = store_send(n, e);
		if (r == 0 && e->state == RK_NOTIFY_WAITING)
			e->state = RK_NOTIFY_STORED;
	}
	return may_go_on(n, r);
}

/* The oldest that is younger than this order; NULL = none. */
static struct rk_notify_late *late_next(struct rk_notify *n, uint64_t order)
{
	struct rk_notify_late *next = NULL;

	for (uint32_t i = 0; i < RK_NOTIFY_KINDS; i++)
		if (n->late[i].order > order && (!next || n->late[i].order < next->order))
			next = &n->late[i];
	return next;
}

static void lates_send(struct rk_notify *n)
{
	struct rk_notify_late *l = late_next(n, 0);
	int r = 0;

	while (l && may_go_on(n, r)) {
		uint64_t order = l->order;

		r = message_send(n, l->text, -1);
		if (r == 0)
			l->order = 0;
		l = late_next(n, order);
	}
}

bool rk_notify_flush(struct rk_notify *n)
{
	int r;

	if (n->fd < 0 || !is_late(n))
		return true;
	r = socket_connect(n);
	if (r < 0)
		trouble_note(n, r);
	else if (removals_send(n) && stores_send(n) && removals_send(n))
		lates_send(n);
	return !is_late(n);
}

short rk_notify_events(const struct rk_notify *n)
{
	return n->is_full && (n->is_barrier_late || is_late(n)) ? POLLOUT : 0;
}

/* ---- events ---- */

int rk_notify_send(struct rk_notify *n, const char *text)
{
	if (n->fd < 0)
		return 0;
	(void)rk_notify_flush(n); /* what is older goes first, if it goes */
	return message_send(n, text, -1);
}

int rk_notify_watchdog(struct rk_notify *n)
{
	if (n->fd < 0 || n->watchdog_ns == 0)
		return 0;
	return message_send(n, "WATCHDOG=1", -1);
}

/* ---- the barrier ---- */

int rk_notify_barrier_begin(struct rk_notify *n, int *ret_fd)
{
	rk_cleanup(rk_close_p) int ours = -1;
	rk_cleanup(rk_close_p) int theirs =
		-1; /* closed behind the message: systemd's is the last */
	int p[2], r;

	if (n->fd < 0) {
		*ret_fd = -1;
		return 0;
	}
	n->is_barrier_late = false;
	if (!rk_notify_flush(n)) {
		n->is_barrier_late = n->is_full;
		return n->is_full ? -EAGAIN : -EIO;
	}
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	ours = p[0];
	theirs = p[1];
	r = message_send(n, "BARRIER=1", theirs);
	n->is_barrier_late = r == -EAGAIN;
	if (r == 0)
		*ret_fd = rk_take_fd(&ours);
	return r;
}

/* Waits for one of the events. 0; -ETIMEDOUT at until_ns. */
static int wait_until(int fd, short events, uint64_t until_ns)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t now;

	for (;;) {
		now = rk_clock_ns();
		if (now >= until_ns)
			return poll(&p, 1, 0) > 0 ? 0 : -ETIMEDOUT;
		if (poll(&p, 1, (int)((until_ns - now + RK_NS_PER_MS - 1) / RK_NS_PER_MS)) > 0)
			return 0;
	}
}

int rk_notify_barrier(struct rk_notify *n, uint32_t timeout_ms)
{
	uint64_t until_ns = rk_clock_ns() + timeout_ms * RK_NS_PER_MS;
	rk_cleanup(rk_close_p) int fd = -1;
	int r = rk_notify_barrier_begin(n, &fd);

	while (r == -EAGAIN && wait_until(n->fd, POLLOUT, until_ns) == 0)
		r = rk_notify_barrier_begin(n, &fd);
	n->is_barrier_late = false;
	if (r == -EAGAIN)
		return -ETIMEDOUT;
	return r < 0 || fd < 0 ? r : wait_until(fd, 0, until_ns);
}
