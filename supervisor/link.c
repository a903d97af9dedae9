/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/num.h"

int rk_link_take(void)
{
	const char *text = getenv(RK_LINK_ENVIRONMENT);
	uint64_t fd;

	if (!text)
		return -ENOENT;
	if (rk_num_parse(text, 3, 1 << 20, &fd, NULL) < 0)
		return -EBADF;
	(void)unsetenv(RK_LINK_ENVIRONMENT);
	if (rk_fd_cloexec((int)fd, 1) < 0 || rk_fd_nonblock((int)fd, 1) < 0)
		return -EBADF;
	return (int)fd;
}

int rk_link_send(int link, const struct rk_link_msg *msg, int fd)
{
	struct rk_fds fds = { .n = fd >= 0 ? 1 : 0, .fd = { fd } };
	struct pollfd room = { .fd = link, .events = POLLOUT };
	int r = rk_fd_send(link, msg, sizeof(*msg), &fds);

	if (r != -EAGAIN)
		return r;
	(void)poll(&room, 1, RK_LINK_WAIT_MS);
	return rk_fd_send(link, msg, sizeof(*msg), &fds);
}

int rk_link_recv(int link, struct rk_link_msg *ret, int *ret_fd)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct rk_link_msg msg;
	size_t len;
	int r = rk_fd_recv(link, &msg, sizeof(msg), &len, ret_fd ? &fds : NULL);

	if (r < 0)
		return r == -ECONNRESET ? -EPIPE : r;
	if (len == 0)
		return -EPIPE;
	if (len != sizeof(msg))
		return -EBADMSG;
	if (ret_fd)
		*ret_fd = fds.n ? rk_take_fd(&fds.fd[0]) : -1;
	*ret = msg;
	return 0;
}

int rk_link_recv_batch(int link, struct rk_link_msg ret[static RK_LINK_BATCH], struct rk_fds *ret_fds)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	size_t len;
	int r = rk_fd_recv(link, ret, RK_LINK_BATCH * sizeof(*ret), &len, &fds);

	if (r < 0)
		return r == -ECONNRESET ? -EPIPE : r;
	if (len == 0)
		return -EPIPE;
	if (len % sizeof(*ret) != 0 || len / sizeof(*ret) != fds.n)
		return -EBADMSG;
	*ret_fds = fds;
	fds.n = 0;
	return (int)ret_fds->n;
}
