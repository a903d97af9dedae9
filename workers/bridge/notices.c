/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/notices.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/text.h"

#define UNNAMED "stored" /* what systemd calls a descriptor without a name */
#define BARRIER "BARRIER=1"

/* Room for the descriptors, for the credentials that SO_PASSCRED adds, and for a security label. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(RK_NOTICES_FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) +
		   CMSG_SPACE(256)];
};

struct rk_notices {
	struct ev_loop *loop;
	rk_notices_is_ours is_ours;
	rk_on_notice on_notice;
	void *arg;
	int fd;
	ev_io io;
	bool is_path;	/* there is a file to remove */
	bool is_telling; /* on_notice runs */
	bool is_closed; /* by it */
	char address[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
	struct rk_notices_counts counts;
};

/* One datagram. */
struct message {
	size_t len;
	pid_t pid;
	uid_t uid;
	bool is_cut;
	uint32_t n_fds;
	int fd[RK_NOTICES_FDS_MAX];
	char text[RK_NOTICES_TEXT_MAX + 1];
};

/* ---- what it says ---- */

/* A value, if the line says this field. */
static const char *value_of(const char *line, size_t len, const char *field, size_t *ret_len)
{
	size_t n = strlen(field);

	if (len <= n || memcmp(line, field, n) != 0 || line[n] != '=')
		return NULL;
	*ret_len = len - n - 1;
	return line + n + 1;
}

/* First line of this field; NULL: none, or it is empty. */
static const char *field_find(const char *text, size_t len, const char *field, size_t *ret_len)
{
	for (size_t at = 0; at < len;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at;
		const char *v = value_of(text + at, n, field, ret_len);

		if (v)
			return v;
		at += n + 1;
	}
	return NULL;
}

static bool field_is(const char *text, size_t len, const char *field, const char *value)
{
	size_t n;
	const char *v = field_find(text, len, field, &n);

	return v && n == strlen(value) && memcmp(v, value, n) == 0;
}

static bool field_number(const char *text, size_t len, const char *field, uint64_t max, uint64_t *ret)
{
	char digits[24];
	size_t n;
	const char *v = field_find(text, len, field, &n);

	if (!v || n >= sizeof(digits))
		return false;
	memcpy(digits, v, n);
	digits[n] = '\0';
	return rk_num_parse(digits, 0, max, ret, NULL) == 0;
}

static bool field_ns(const char *text, size_t len, const char *field, uint64_t *ret)
{
	if (!field_number(text, len, field, UINT64_MAX / RK_NS_PER_US, ret))
		return false;
	*ret *= RK_NS_PER_US;
	return true;
}

/* As systemd has it: printable ASCII without ':'. */
static bool name_is_valid(const char *name, size_t len)
{
	if (len == 0 || len >= RK_NOTICES_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] < ' ' || name[i] > '~' || name[i] == ':')
			return false;
	return true;
}

static void store_parse(struct rk_notice *n, const char *text, size_t len)
{
	size_t name_len = 0;
	const char *name = field_find(text, len, "FDNAME", &name_len);
	bool is_named = name && name_is_valid(name, name_len);

	n->is_store = field_is(text, len, "FDSTORE", "1");
	n->is_unstore = is_named && field_is(text, len, "FDSTOREREMOVE", "1");
	n->is_unpolled = field_is(text, len, "FDPOLL", "0");
	if (!n->is_store && !n->is_unstore)
		return;
	(void)snprintf(n->name, sizeof(n->name), "%.*s", is_named ? (int)name_len : (int)strlen(UNNAMED),
		       is_named ? name : UNNAMED);
}

void rk_notices_parse(struct rk_notice *n, const char *text, size_t len)
{
	uint64_t v;
	size_t status_len;
	const char *status = field_find(text, len, "STATUS", &status_len);

	*n = (struct rk_notice){ .is_ready = field_is(text, len, "READY", "1") };
	n->is_reloading = field_is(text, len, "RELOADING", "1");
	n->is_stopping = field_is(text, len, "STOPPING", "1");
	n->is_alive = field_is(text, len, "WATCHDOG", "1");
	n->is_trouble = field_is(text, len, "WATCHDOG", "trigger");
	if (status) {
		n->has_status = true;
		(void)rk_text_clean(n->status, sizeof(n->status), status, status_len);
	}
	if (field_number(text, len, "ERRNO", INT32_MAX, &v)) {
		n->has_error = true;
		n->error = (int)v;
	}
	if (field_number(text, len, "MAINPID", INT32_MAX, &v) && v > 1)
		n->main_pid = (pid_t)v;
	n->has_watchdog = field_ns(text, len, "WATCHDOG_USEC", &n->watchdog_ns);
	if (!field_ns(text, len, "EXTEND_TIMEOUT_USEC", &n->extend_ns))
		n->extend_ns = 0;
	if (!field_ns(text, len, "MONOTONIC_USEC", &n->since_ns))
		n->since_ns = 0;
	store_parse(n, text, len);
}

/* Whether one of its lines is the barrier. */
static bool has_barrier(const struct message *m)
{
	return field_is(m->text, m->len, "BARRIER", "1");
}

static bool is_barrier_alone(const struct message *m)
{
	size_t len = m->len - (m->len > 0 && m->text[m->len - 1] == '\n');

	return m->n_fds == 1 && len == strlen(BARRIER);
}

/* ---- one datagram ---- */

static void rights_take(struct message *m, const struct cmsghdr *c)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (m->n_fds < RK_NOTICES_FDS_MAX) {
			m->fd[m->n_fds++] = fd;
		} else {
			rk_close_p(&fd);
			m->is_cut = true;
		}
	}
}

static void control_take(struct message *m, struct msghdr *h)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		struct ucred who;

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS)
			rights_take(m, c);
		if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len >= CMSG_LEN(sizeof(who))) {
			memcpy(&who, CMSG_DATA(c), sizeof(who));
			m->pid = who.pid;
			m->uid = who.uid;
		}
	}
}

/* Returns 0; -EAGAIN: there is none; another -errno. */
static int message_receive(int fd, struct message *m)
{
	struct iovec iov = { .iov_base = m->text, .iov_len = RK_NOTICES_TEXT_MAX };
	union control control;
	struct msghdr h = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	m->pid = 0;
	m->uid = (uid_t)-1;
	m->n_fds = 0;
	do
		n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	m->len = (size_t)n;
	m->is_cut = (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	control_take(m, &h);
	return 0;
}

/* One NUL at the end is what C programs send by mistake; any other is no text. */
static bool is_text(struct message *m)
{
	if (m->len > 0 && m->text[m->len - 1] == '\0')
		m->len--;
	return m->len > 0 && !m->is_cut && !memchr(m->text, '\0', m->len);
}

/* Closes what is left, and returns how many that were. */
static uint32_t fds_close(struct message *m)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n_fds; i++) {
		n += m->fd[i] >= 0;
		rk_close_p(&m->fd[i]);
	}
	m->n_fds = 0;
	return n;
}

static void message_tell(struct rk_notices *n, struct message *m)
{
	struct rk_notice notice;

	rk_notices_parse(&notice, m->text, m->len);
	notice.pid = m->pid;
	notice.n_fds = notice.is_store ? m->n_fds : 0;
	notice.fd = m->fd;
	n->counts.n_heard++;
	n->on_notice(&notice, n->arg);
}

/* Ours as long as is_telling; n is freed by rk_notices_close() alone. */
static void message_take(struct rk_notices *n, struct message *m)
{
	if (!is_text(m)) {
		n->counts.n_bad++;
	} else if (m->pid <= 0 || !n->is_ours(m->pid, m->uid, n->arg)) {
		n->counts.n_foreign++;
	} else if (!has_barrier(m)) {
		message_tell(n, m);
	} else if (is_barrier_alone(m)) {
		n->counts.n_barriers++;
		rk_close_p(&m->fd[0]); /* closing it is the confirmation */
	} else {
		n->counts.n_bad++;
	}
	n->counts.n_closed += fds_close(m);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	struct rk_notices *n = w->data;
	struct message m;

	(void)loop;
	(void)events;
	n->is_telling = true;
	for (uint32_t i = 0; i < RK_NOTICES_PER_TURN && !n->is_closed; i++) {
		if (message_receive(n->fd, &m) < 0)
			break; /* nothing is there, or no memory: the loop comes back while there is */
		message_take(n, &m);
	}
	n->is_telling = false;
	if (n->is_closed)
		rk_notices_close(n);
}

/* ---- the socket ---- */

/* An address that nobody can have taken before. */
static int abstract_name(char *to, size_t size, struct rk_err *err)
{
	uint64_t random[2];

	if (getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		return rk_err_set(err, errno ? -errno : -EIO, "no random bytes for the name of NOTIFY_SOCKET: %m");
	(void)snprintf(to, size, "@rekindle/notify/%016llx%016llx", (unsigned long long)random[0],
		       (unsigned long long)random[1]);
	return 0;
}

/* What is not a socket there stays, and bind() says so. */
static void old_remove(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(path);
}

static int listen_at(struct rk_notices *n, struct rk_err *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(n->address);
	int on = 1;

	memcpy(at.sun_path, n->address, len);
	if (n->address[0] == '@')
		at.sun_path[0] = '\0';
	else
		old_remove(n->address);
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		return rk_err_set(err, -errno, "no socket for what the program notifies: %m");
	/* Before anybody can send: a datagram without credentials has no sender. */
	if (setsockopt(n->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return rk_err_set(err, -errno, "the senders of NOTIFY_SOCKET cannot be known: %m");
	if (bind(n->fd, (const struct sockaddr *)&at,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (n->address[0] != '@'))) < 0)
		return rk_err_set(err, -errno, "NOTIFY_SOCKET cannot be at %s: %m", n->address);
	n->is_path = n->address[0] != '@';
	return 0;
}

static int open_at(struct rk_notices *n, const char *path, struct rk_err *err)
{
	int r = 0;

	if (path && strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return rk_err_set(err, -ENAMETOOLONG, "NOTIFY_SOCKET's path is too long: %s", path);
	if (path)
		(void)snprintf(n->address, sizeof(n->address), "%s", path);
	else
		r = abstract_name(n->address, sizeof(n->address), err);
	return r < 0 ? r : listen_at(n, err);
}

int rk_notices_open(struct ev_loop *loop, const char *path, rk_notices_is_ours is_ours, rk_on_notice on_notice,
		    void *arg, struct rk_notices **ret, struct rk_err *err)
{
	struct rk_notices *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return rk_err_set(err, -ENOMEM, "no memory");
	n->loop = loop;
	n->is_ours = is_ours;
	n->on_notice = on_notice;
	n->arg = arg;
	n->fd = -1;
	ev_init(&n->io, on_readable);
	n->io.data = n;
	r = open_at(n, path, err);
	if (r < 0) {
		rk_notices_close(n);
		return r;
	}
	ev_io_set(&n->io, n->fd, EV_READ);
	ev_io_start(loop, &n->io);
	*ret = n;
	return 0;
}

const char *rk_notices_address(const struct rk_notices *n)
{
	return n->address;
}

const struct rk_notices_counts *rk_notices_counts(const struct rk_notices *n)
{
	return &n->counts;
}

void rk_notices_close(struct rk_notices *n)
{
	if (!n)
		return;
	ev_io_stop(n->loop, &n->io);
	rk_close_p(&n->fd);
	if (n->is_path)
		(void)unlink(n->address);
	n->is_path = false;
	n->is_closed = true;
	if (!n->is_telling)
		free(n);
}
