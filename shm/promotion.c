/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/promotion.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define PARKED 'p' /* the whole of that message */

static_assert(sizeof(struct rk_promotion) == 16, "an order has no gaps");

int rk_promotion_parked(int sock)
{
	const char said = PARKED;

	return rk_fd_send(sock, &said, 1, NULL);
}

int rk_promotion_await(int sock, struct rk_promotion *ret, int *ret_out)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct rk_promotion order;
	size_t len;
	int r = rk_fd_recv(sock, &order, sizeof(order), &len, &fds);

	if (r == -ECONNRESET || (r == 0 && len == 0))
		return -EPIPE;
	if (r < 0)
		return r == -EMSGSIZE ? -EPROTO : r;
	if (len != sizeof(order) || order.reserved || fds.n > 1)
		return -EPROTO;
	*ret = order;
	*ret_out = fds.n ? rk_take_fd(&fds.fd[0]) : -1;
	return 0;
}

int rk_promotion_hear(int sock)
{
	char said;
	ssize_t n;

	do
		n = recv(sock, &said, 1, MSG_DONTWAIT | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE; /* or an empty message: as good as one */
	return n == 1 && said == PARKED ? 0 : -EPROTO;
}

int rk_promotion_give(int sock, const struct rk_promotion *order, int out)
{
	struct rk_fds fds = { .n = out >= 0 ? 1 : 0, .fd = { out } };

	return rk_fd_send(sock, order, sizeof(*order), &fds);
}
