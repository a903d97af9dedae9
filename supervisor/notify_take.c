/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What systemd gives a process it starts, told apart: descriptors from its store and the socket
 * that it listens on for us.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/num.h"
#include "supervisor/notify.h"

#define FIRST_FD 3
#define TAKE_MAX (RK_NOTIFY_STORE_MAX + 16u) /* sockets come on top of what is stored */
#define CLOSE_MAX 65536u /* descriptors; nobody has more */
#define CONTROL "control"

static bool is_listening(int fd)
{
	socklen_t len = sizeof(int);
	int yes = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) == 0 && yes;
}

/* A unix stream socket: whatever else listens cannot be a control socket. */
static bool is_control(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/* How many are ours; 0 = none. Of an error *ret_n says as well how many there are, if that is known. */
static int count_read(const char *pid, const char *fds, uint32_t *ret_n, struct rk_err *err)
{
	uint64_t of, n;
	int r;

	*ret_n = 0;
	if (!pid && !fds)
		return 0;
	if (!pid || !fds)
		return rk_err_set(err, -EINVAL, "%s is set, but not %s",
				  pid ? "LISTEN_PID" : "LISTEN_FDS",
				  pid ? "LISTEN_FDS" : "LISTEN_PID");
	r = rk_num_parse(pid, 1, INT32_MAX, &of, err);
	if (r < 0)
		return rk_err_prefix(err, -EINVAL, "LISTEN_PID");
	if (of != (uint64_t)getpid())
		return 0;
	r = rk_num_parse(fds, 0, UINT32_MAX, &n, err);
	if (r < 0)
		return rk_err_prefix(err, -EINVAL, "LISTEN_FDS");
	*ret_n = (uint32_t)n;
	return n <= TAKE_MAX ? 0 : rk_err_set(err, -EINVAL, "LISTEN_FDS: %s is more than %u", fds, TAKE_MAX);
}

/* Cuts the names out of "a:b:c"; exactly n, each as systemd allows it. */
static int names_read(struct rk_notify_fd *at, uint32_t n, const char *names, struct rk_err *err)
{
	for (uint32_t i = 0; i < n; i++) {
		size_t len = names ? strcspn(names, ":") : 0;

		if (!names)
			return rk_err_set(err, -EINVAL,
					  "LISTEN_FDNAMES has %u name%s for LISTEN_FDS=%u", i,
					  rk_num_plural(i), n);
		if (len < sizeof(at[i].name))
			memcpy(at[i].name, names, len); /* the rest is zero */
		if (!rk_notify_name_is_valid(at[i].name))
			return rk_err_set(
				err, -EINVAL,
				"LISTEN_FDNAMES: name %u is empty, too long or not printable",
				i + 1);
		names = names[len] ? names + len + 1 : NULL;
	}
	if (names)
		return rk_err_set(err, -EINVAL, "LISTEN_FDNAMES has more names than LISTEN_FDS=%u",
				  n);
	return 0;
}

/* "0.control": TAG.NAME, as store.h calls them. */
static bool is_stored_name(const char *name)
{
	size_t n = strspn(name, "0123456789");

	return n > 0 && name[n] == '.';
}

static int socket_check(const struct rk_notify_fd *f, struct rk_err *err)
{
	bool is_called_so = strcmp(f->name, CONTROL) == 0;

	if (!is_listening(f->fd))
		return is_called_so ? rk_err_set(err, -EINVAL,
						 "descriptor %d is called " CONTROL
						 " and is no listening socket",
						 f->fd)
				    : 0;
	if (!is_called_so && is_stored_name(f->name))
		return 0; /* of our own, which we had stored */
	if (!is_called_so)
		return rk_err_set(
			err, -EINVAL,
			"a listening socket is called '%.64s': its socket unit has to say "
			"FileDescriptorName=" CONTROL,
			f->name);
	if (!is_control(f->fd))
		return rk_err_set(err, -EINVAL,
				  "the socket " CONTROL
				  " is no unix stream socket: its socket unit "
				  "has to say ListenStream=/a/path");
	return 0;
}

/* Through an exec comes only what has no FD_CLOEXEC, and what this process has opened since has it. */
static bool has_come(int fd)
{
	return fcntl(fd, F_GETFD) == 0;
}

static int fds_check(const struct rk_notify_fd *at, uint32_t n, struct rk_err *err)
{
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++) {
		if (!has_come(at[i].fd))
			return rk_err_set(err, -EINVAL,
					  "LISTEN_FDS=%u, but descriptor %d did not come with them", n,
					  at[i].fd);
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(at[i].name, at[k].name) == 0)
				return rk_err_set(err, -EINVAL,
						  "descriptors %d and %d are both called '%.64s'",
						  at[k].fd, at[i].fd, at[i].name);
		r = socket_check(&at[i], err);
	}
	return r;
}

/* The socket goes beside the others, which close the gap. */
static void control_split(struct rk_notify_taken *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (strcmp(t->at[i].name, CONTROL) != 0)
			continue;
		t->control = t->at[i].fd;
		memmove(&t->at[i], &t->at[i + 1], (t->n - i - 1) * sizeof(t->at[0]));
		t->n--;
		return;
	}
}

static int take(uint32_t n, const char *names, struct rk_notify_taken *ret, struct rk_err *err)
{
	rk_cleanup(rk_free_p) struct rk_notify_fd *at = calloc(n ? n : 1, sizeof(*at));
	int r;

	if (!at)
		return rk_err_set(err, -ENOMEM, "no memory for %u descriptors from systemd", n);
	for (uint32_t i = 0; i < n; i++)
		at[i].fd = FIRST_FD + (int)i;
	r = n ? names_read(at, n, names, err) : 0;
	if (r == 0)
		r = fds_check(at, n, err);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = rk_fd_cloexec(at[i].fd, 1);
	if (r < 0)
		return r;
	*ret = (struct rk_notify_taken){ .n = n, .at = rk_take_ptr(&at), .control = -1 };
	control_split(ret);
	return 0;
}

/* Closes what came. */
static void refuse(uint32_t n)
{
	for (uint32_t i = 0; i < rk_min_u32(n, CLOSE_MAX); i++) {
		int fd = FIRST_FD + (int)i;

		if (has_come(fd))
			rk_close_p(&fd);
	}
}

int rk_notify_take(struct rk_notify_taken *ret, struct rk_err *err)
{
	const char *names = getenv("LISTEN_FDNAMES");
	uint32_t n;
	int r = count_read(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), &n, err);

	if (r == 0)
		r = take(n, names, ret, err);
	if (r < 0)
		refuse(n);
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_PIDFDID"); /* newer systemd's second way to say LISTEN_PID */
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return r;
}

int rk_notify_taken_get(struct rk_notify_taken *t, const char *name)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (strcmp(t->at[i].name, name) == 0)
			return rk_take_fd(&t->at[i].fd);
	return -1;
}

void rk_notify_taken_free_p(struct rk_notify_taken *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		rk_close_p(&t->at[i].fd);
	rk_close_p(&t->control);
	rk_free_p(&t->at);
	*t = (struct rk_notify_taken){ .control = -1 };
}
