/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Room for the descriptors and for the credentials that SO_PASSCRED adds. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(RK_FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static int flag_set(int fd, int get, int set, int flag, int on)
{
	int old = fcntl(fd, get);

	if (old < 0)
		return -errno;
	if (fcntl(fd, set, on ? old | flag : old & ~flag) < 0)
		return -errno;
	return 0;
}

int rk_fd_cloexec(int fd, int on)
{
	return flag_set(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int rk_fd_nonblock(int fd, int on)
{
	return flag_set(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int rk_fd_pipe(void)
{
	char path[32];
	int end[2], fd;

	if (pipe2(end, O_CLOEXEC) < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", end[0]);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	fd = fd < 0 ? -errno : fd;
	(void)close(end[0]);
	(void)close(end[1]);
	return fd;
}

int rk_write_all(int fd, const void *buf, size_t len)
{
	const char *at = buf;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* would repeat for ever */
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static void control_fill(struct msghdr *msg, union control *control, const struct rk_fds *fds)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE(fds->n * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(fds->n * sizeof(int));
	memcpy(CMSG_DATA(c), fds->fd, fds->n * sizeof(int));
}

int rk_fd_send(int sock, const void *buf, size_t len, const struct rk_fds *fds)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	ssize_t n;

	if (len == 0 || (fds && fds->n > RK_FDS_MAX))
		return -EINVAL;
	if (fds && fds->n > 0)
		control_fill(&msg, &control, fds);
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EMSGSIZE;
}

/* Takes the descriptors out of one control message. Returns how many found no room. */
static unsigned int rights_take(const struct cmsghdr *c, struct rk_fds *fds)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	unsigned int surplus = 0;

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (fds->n < RK_FDS_MAX) {
			fds->fd[fds->n++] = fd;
		} else {
			rk_close_p(&fd);
			surplus++;
		}
	}
	return surplus;
}

static unsigned int control_take(struct msghdr *msg, struct rk_fds *fds)
{
	unsigned int surplus = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			surplus += rights_take(c, fds);
	return surplus;
}

int rk_fd_recv(int sock, void *buf, size_t size, size_t *ret_len, struct rk_fds *ret_fds)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	unsigned int surplus;
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	surplus = control_take(&msg, &fds);
	if (surplus > 0 || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return -EMSGSIZE;
	*ret_len = (size_t)n;
	if (ret_fds) {
		*ret_fds = fds;
		fds.n = 0;
	}
	return 0;
}

void rk_fds_close_p(struct rk_fds *fds)
{
	for (unsigned int i = 0; i < fds->n; i++)
		rk_close_p(&fds->fd[i]);
	fds->n = 0;
}
