/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/board_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/rundir.h"

const enum rk_segment_kind rk_board_kinds[RK_BOARD_FDS] = {
	[RK_BOARD_FD_BOARD] = RK_SEGMENT_BOARD, [RK_BOARD_FD_BEATS] = RK_SEGMENT_BEATS,
	[RK_BOARD_FD_PARTS] = RK_SEGMENT_PARTS, [RK_BOARD_FD_QUEUES] = RK_SEGMENT_QUEUES,
	[RK_BOARD_FD_DEAD] = RK_SEGMENT_DEAD,
};

static_assert(RK_BOARD_FDS <= RK_FDS_MAX, "one message carries them all");

static int address_of(const char *name, struct sockaddr_un *ret, struct rk_err *err)
{
	char path[RK_PATH_MAX];
	int r = rk_rundir_path(name, RK_RUNDIR_BOARD, path, err);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	_Static_assert(RK_PATH_MAX <= sizeof(ret->sun_path), "a path fits");
	if (r == 0)
		strcpy(ret->sun_path, path); /* length asserted */
	return r;
}

/* ---- keeper ---- */

int rk_board_socket_open(const char *name, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un at;
	int r = address_of(name, &at, err);

	if (r < 0)
		return r;
	(void)unlink(at.sun_path); /* the directory is ours: what is there belongs to nobody any more */
	/* Nobody can connect before listen(), and then the mode says who may. */
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || chmod(at.sun_path, 0600) < 0 ||
	    listen(fd, RK_BOARD_GUESTS) < 0)
		return rk_err_set(err, -errno, "cannot show the board at %s: %s", at.sun_path, strerror(errno));
	return rk_take_fd(&fd);
}

/* To one who waits. What does not fit into his socket he does not get. */
static void show(int sock, const struct rk_board_message *about, const struct rk_board_shown *fleets, uint32_t n)
{
	struct rk_board_message msg = *about;

	msg.magic = RK_BOARD_MAGIC;
	msg.abi = RK_ABI_VERSION;
	msg.n_fleets = n;
	for (msg.number = 0; msg.number < rk_max_u32(n, 1); msg.number++) {
		struct rk_fds fds = { .n = n ? RK_BOARD_FDS : 0 };

		for (uint32_t i = 0; i < fds.n; i++)
			fds.fd[i] = fleets[msg.number].fd[i];
		if (rk_fd_send(sock, &msg, sizeof(msg), &fds) < 0)
			return;
	}
}

void rk_board_socket_show(int listening, const struct rk_board_message *about, const struct rk_board_shown *fleets,
			  uint32_t n)
{
	for (int guest = 0; guest < RK_BOARD_GUESTS; guest++) {
		rk_cleanup(rk_close_p) int sock = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (sock < 0)
			return;
		show(sock, about, fleets, n);
	}
}

/* ---- rekindle ---- */

int rk_board_socket_connect(const char *name)
{
	/* Non-blocking: where many wait already, keeper stands still. */
	rk_cleanup(rk_close_p) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un at;
	int r = address_of(name, &at, NULL);

	if (r < 0)
		return r;
	if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		return -errno;
	return rk_take_fd(&fd);
}

static int await(int sock, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	uint64_t now_ns;

	do {
		now_ns = rk_clock_ns();
		uint64_t left_ms = deadline_ns > now_ns ? (deadline_ns - now_ns) / RK_NS_PER_MS + 1 : 0;

		if (poll(&p, 1, (int)rk_min_u64(left_ms, INT32_MAX)) > 0)
			return 0;
	} while (now_ns < deadline_ns);
	return -ETIMEDOUT;
}

static bool is_sound(const struct rk_board_message *msg, size_t len, unsigned int n_fds)
{
	return len == sizeof(*msg) && msg->magic == RK_BOARD_MAGIC && msg->abi == RK_ABI_VERSION &&
	       n_fds == (msg->n_fleets ? (unsigned int)RK_BOARD_FDS : 0u) && msg->keeper_pid > 0 &&
	       msg->supervisor_pid >= 0 && memchr(msg->name, '\0', sizeof(msg->name));
}

int rk_board_socket_next(int sock, uint64_t deadline_ns, struct rk_board_message *ret, struct rk_fds *ret_fds)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct rk_board_message msg;
	size_t len;
	int r = await(sock, deadline_ns);

	if (r == 0)
		r = rk_fd_recv(sock, &msg, sizeof(msg), &len, &fds);
	if (r < 0)
		return r == -EMSGSIZE ? -EPROTO : r;
	if (len == 0)
		return 0;
	if (!is_sound(&msg, len, fds.n))
		return -EPROTO;
	*ret = msg;
	*ret_fds = fds;
	fds.n = 0;
	return 1;
}
