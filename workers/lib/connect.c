/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/connect.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/rundir.h"

#define CONNECT_TIMEOUT_MS 5000u

/* What goes on while the supervisor stands still. */
#define STANDSTILL "workers and connected clients go on without it, new clients cannot connect"

int rk_connect(const char *fleet, struct rk_err *err)
{
	return rk_connect_within(fleet, CONNECT_TIMEOUT_MS, err);
}

int rk_connect_within(const char *fleet, uint32_t timeout_ms, struct rk_err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
	char path[RK_PATH_MAX];
	int r = rk_rundir_path(fleet, "control", path, err);

	if (r < 0)
		return r;
	strcpy(address.sun_path, path); /* RK_PATH_MAX is less than its room */
	rk_cleanup(rk_close_p) int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return rk_err_set(err, -errno, "socket: %s", strerror(errno));
	/* A supervisor that stands still accepts nobody: once its backlog is full connect() would wait for ever. */
	(void)setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return rk_err_set(err, -ENOENT,
					  "no fleet named '%s' is running: see 'rekindle run' and --name", fleet);
		if (errno == EAGAIN)
			return rk_err_set(err, -ETIMEDOUT,
					  "fleet '%s' accepts no connection within %.2f s: " STANDSTILL
					  "; see whether its supervisor is stopped, and 'kill -CONT' it if so",
					  fleet, timeout_ms / 1000.0);
		return rk_err_set(err, -errno, "cannot reach fleet '%s' at %s: %s", fleet, path, strerror(errno));
	}
	return rk_take_fd(&sock);
}

pid_t rk_connect_peer(int sock)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	/* Of a socket that listened: whoever called listen(). */
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.pid <= 0)
		return -1;
	return who.pid;
}

static int no_answer(int sock, uint32_t timeout_ms, struct rk_err *err)
{
	int pid = (int)rk_connect_peer(sock);

	return rk_err_set(err, -ETIMEDOUT,
			  "the supervisor (pid %d) has not answered for %.2f s: " STANDSTILL
			  "; see whether it is stopped, and 'kill -CONT %d' if so",
			  pid, timeout_ms / 1000.0, pid);
}

/* Waits until the socket can be read. */
static int await(int sock, uint64_t deadline_ns, struct rk_err *err)
{
	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		uint64_t now_ns = rk_clock_ns();
		uint64_t left_ms = now_ns < deadline_ns ? (deadline_ns - now_ns) / RK_NS_PER_MS + 1 : 0;
		int r = poll(&p, 1, (int)rk_min_u64(left_ms, 1u << 30));

		if (r > 0)
			return 0;
		if (r == 0 && now_ns >= deadline_ns)
			return -ETIMEDOUT; /* rk_connect_ask() says it */
		if (r < 0 && errno != EINTR)
			return rk_err_set(err, -errno, "poll: %s", strerror(errno));
	}
}

/* Bytes up to the NUL; descriptors come with the first of them. */
static int receive(int sock, uint64_t deadline_ns, char *text, struct rk_fds *ret_fds, struct rk_err *err)
{
	size_t len = 0;

	while (len < RK_CONTROL_MESSAGE_MAX) {
		struct rk_fds more = { 0 };
		size_t n;
		int r = await(sock, deadline_ns, err);

		if (r < 0)
			return r;
		r = rk_fd_recv(sock, text + len, RK_CONTROL_MESSAGE_MAX - len, &n, &more);
		if (r < 0)
			return rk_err_set(err, r, "the supervisor's answer: %s", strerror(-r));
		if (ret_fds->n == 0)
			*ret_fds = more;
		else
			rk_fds_close_p(&more);
		if (n == 0)
			return rk_err_set(err, -ECONNRESET, "the supervisor closed the connection");
		len += n;
		if (memchr(text + len - n, '\0', n))
			return 0;
	}
	return rk_err_set(err, -EPROTO, "the supervisor's answer has no end");
}

static int code_of(const char *name)
{
	static const struct {
		const char *name;
		int code;
	} codes[] = {
		{ "EBUSY", EBUSY },   { "ENOSPC", ENOSPC }, { "EINVAL", EINVAL }, { "EPERM", EPERM },
		{ "EACCES", EACCES }, { "EPROTO", EPROTO }, { "ENOENT", ENOENT }, { "EAGAIN", EAGAIN },
		{ "E2BIG", E2BIG },   { "EMSGSIZE", EMSGSIZE },
	};

	for (size_t i = 0; i < rk_countof(codes); i++)
		if (strcmp(codes[i].name, name) == 0)
			return -codes[i].code;
	return -EREMOTEIO;
}

int rk_connect_ask(int sock, const char *request, uint32_t timeout_ms, struct json_object **ret_answer,
		   struct rk_fds *ret_fds, struct rk_err *err)
{
	uint64_t deadline_ns = rk_clock_ns() + timeout_ms * RK_NS_PER_MS;
	char text[RK_CONTROL_MESSAGE_MAX];
	struct rk_fds fds = { 0 };
	struct json_object *answer, *ok;
	int r = rk_fd_send(sock, request, strlen(request) + 1, NULL);

	if (r < 0)
		return rk_err_set(err, r, "cannot ask the supervisor: %s", strerror(-r));
	r = receive(sock, deadline_ns, text, &fds, err);
	if (r < 0) {
		rk_fds_close_p(&fds);
		return r == -ETIMEDOUT ? no_answer(sock, timeout_ms, err) : r;
	}
	answer = json_tokener_parse(text);
	if (!answer || !json_object_object_get_ex(answer, "ok", &ok)) {
		r = rk_err_set(err, -EPROTO, "the supervisor's answer is not understood: use one release of everything");
	} else if (!json_object_get_boolean(ok)) {
		r = rk_err_set(err, code_of(rk_connect_text(answer, "code")), "%s", rk_connect_text(answer, "error"));
	}
	if (r < 0) {
		rk_fds_close_p(&fds);
		json_object_put(answer);
		return r;
	}
	*ret_answer = answer;
	*ret_fds = fds;
	return 0;
}

int64_t rk_connect_int(struct json_object *answer, const char *member)
{
	struct json_object *v;

	return json_object_object_get_ex(answer, member, &v) && json_object_is_type(v, json_type_int) ?
		       json_object_get_int64(v) :
		       -1;
}

const char *rk_connect_text(struct json_object *answer, const char *member)
{
	struct json_object *v;

	return json_object_object_get_ex(answer, member, &v) && json_object_is_type(v, json_type_string) ?
		       json_object_get_string(v) :
		       "";
}
