/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/peers/roll.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"

#define BACKLOG 1024 /* more than the workers: none of them waits for the bench */

struct message {
	uint64_t main_ns, subject;
};

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	return a;
}

int roll_open(const char *path)
{
	struct sockaddr_un a = address(path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	bench_need(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, BACKLOG) == 0,
		   "a socket for the roll call");
	return fd;
}

bool roll_next(int listener, uint64_t until_ns, struct roll_entry *ret)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	uint64_t now_ns = rk_clock_ns();
	struct message m;
	struct ucred who;
	socklen_t len = sizeof(who);

	if (poll(&p, 1, until_ns > now_ns ? (int)((until_ns - now_ns) / RK_NS_PER_MS) : 0) <= 0)
		return false;
	ret->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	bench_need(ret->fd >= 0 && getsockopt(ret->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
			   recv(ret->fd, &m, sizeof(m), 0) == sizeof(m),
		   "a worker that says when it began");
	ret->pid = who.pid;
	ret->subject = (uint32_t)m.subject;
	ret->main_ns = m.main_ns;
	return true;
}

int roll_say(uint64_t main_ns)
{
	const char *path = getenv(ROLL_PATH), *subject = getenv(ROLL_SUBJECT);
	struct message m = { main_ns, subject ? strtoull(subject, NULL, 10) : 0 };
	struct sockaddr_un a = address(path ? path : "");
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && send(fd, &m, sizeof(m), 0) == sizeof(m))
		return fd;
	if (fd >= 0)
		(void)close(fd);
	return -1;
}
