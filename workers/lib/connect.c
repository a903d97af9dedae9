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
#include "workers/lib/standstill.h"

/* Between two tries: the next supervisor is there in a few ms, or something is wrong. */
#define PAUSE_MIN_NS RK_NS_PER_MS
#define PAUSE_MAX_NS (50 * RK_NS_PER_MS)
/* What a fleet of another user may have, of which nobody can see whether it runs. */
#define HIDDEN_NS RK_NS_PER_S

/* What goes on while the supervisor stands still. */
#define STANDSTILL "workers and connected clients go on, new ones cannot connect"

/* ---- connecting ---- */

static int address_of(const char *fleet, struct sockaddr_un *ret, struct rk_err *err)
{
	char path[RK_PATH_MAX];
	int r = rk_rundir_path(fleet, "control", path, err);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	_Static_assert(RK_PATH_MAX <= sizeof(ret->sun_path), "a path fits");
	if (r == 0)
		strcpy(ret->sun_path, path); /* length asserted */
	return r;
}

/*
 * One try; wait_ns: for a place among those who wait to be accepted, 0 = not at all. -EINTR: a signal
 * ended the wait, as one does with SO_SNDTIMEO, SA_RESTART or not; nothing is on its way then.
 */
static int try_once(const struct sockaddr_un *at, uint64_t wait_ns)
{
	const struct timeval patience = { .tv_sec = (time_t)(wait_ns / RK_NS_PER_S),
					  .tv_usec = (suseconds_t)(wait_ns % RK_NS_PER_S / RK_NS_PER_US) };
	rk_cleanup(rk_close_p) int sock =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (wait_ns ? 0 : SOCK_NONBLOCK), 0);

	if (sock < 0)
		return -errno;
	/* A supervisor that stands still accepts nobody: once its backlog is full connect() would wait for ever. */
	(void)setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(sock, (const struct sockaddr *)at, sizeof(*at)) < 0)
		return -errno;
	return rk_take_fd(&sock);
}

int rk_connect_at_once(const char *fleet)
{
	struct sockaddr_un at;
	int r = address_of(fleet, &at, NULL);

	return r < 0 ? r : try_once(&at, 0);
}

static int nobody_listens(const char *fleet, uint64_t waited_ns, struct rk_err *err)
{
	struct rk_standstill still = rk_standstill_look(fleet, -1);
	char text[RK_STANDSTILL_TEXT];

	if (still.keeper || still.gone)
		return rk_err_set(err, -ETIMEDOUT, "fleet '%.63s' runs, but for %.2f s no supervisor has listened: " STANDSTILL
				  "; %s", fleet, (double)waited_ns / RK_NS_PER_S, rk_standstill_text(text, &still));
	return rk_err_set(err, -ETIMEDOUT,
			  "fleet '%.63s' runs, but for %.2f s no supervisor has listened: it starts, ends, or fails again "
			  "and again; workers and connected clients go on; see 'rekindle events'",
			  fleet, (double)waited_ns / RK_NS_PER_S);
}

static int nobody_runs(const char *fleet, struct rk_err *err)
{
	if (rk_rundir_has_left(fleet))
		return rk_err_set(err, -ENOENT,
				  "no fleet named '%.63s' is running: it ended without a stop, 'rekindle events %.63s' tells what "
				  "happened; the next start replaces what it has left", fleet, fleet);
	return rk_err_set(err, -ENOENT, "no fleet named '%s' is running: see 'rekindle run' and --name", fleet);
}

/* Nobody listened. 0: it is worth another try; else what to return. */
static int may_come(const char *fleet, uint64_t waited_ns, bool is_late, struct rk_err *err)
{
	enum rk_rundir_life life = rk_rundir_look(fleet);

	if (life == RK_RUNDIR_NOBODY || (life == RK_RUNDIR_HIDDEN && (waited_ns >= HIDDEN_NS || is_late)))
		return nobody_runs(fleet, err);
	return is_late ? nobody_listens(fleet, waited_ns, err) : 0;
}

static int explain(int r, const char *fleet, const char *path, uint64_t waited_ns, struct rk_err *err)
{
	struct rk_standstill still;
	char text[RK_STANDSTILL_TEXT];

	if (r == -EAGAIN) {
		still = rk_standstill_look(fleet, -1);
		return rk_err_set(err, -ETIMEDOUT, "fleet '%.63s' accepts no connection within %.2f s: " STANDSTILL "; %s",
				  fleet, (double)waited_ns / RK_NS_PER_S,
				  still.keeper || still.gone ? rk_standstill_text(text, &still)
					       : "see whether its supervisor is stopped, and 'kill -CONT' it if so");
	}
	return rk_err_set(err, r, "cannot reach fleet '%s' at %s: %s", fleet, path, strerror(-r));
}

int rk_connect_until(const char *fleet, uint64_t deadline_ns, struct rk_err *err)
{
	uint64_t began_ns = rk_clock_ns(), now_ns = began_ns, pause_ns = PAUSE_MIN_NS;
	struct sockaddr_un at;
	int r = address_of(fleet, &at, err);

	if (r < 0)
		return r;
	for (;; pause_ns = rk_min_u64(2 * pause_ns, PAUSE_MAX_NS)) {
		uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

		r = try_once(&at, rk_max_u64(left_ns, PAUSE_MIN_NS));
		now_ns = rk_clock_ns();
		if (r >= 0)
			return r;
		if (r == -EINTR && left_ns > 0)
			continue; /* whoever waits behind a full backlog has no place in it yet: again from the start */
		if (r != -ENOENT && r != -ECONNREFUSED)
			return explain(r == -EINTR ? -EAGAIN : r, fleet, at.sun_path, now_ns - began_ns, err);
		r = may_come(fleet, now_ns - began_ns, now_ns >= deadline_ns, err);
		if (r < 0)
			return r;
		(void)poll(NULL, 0, (int)(rk_min_u64(pause_ns, left_ns) / RK_NS_PER_MS) + 1);
		now_ns = rk_clock_ns();
	}
}

int rk_connect(const char *fleet, struct rk_err *err)
{
	return rk_connect_until(fleet, rk_clock_ns() + RK_CONNECT_TIMEOUT_MS * RK_NS_PER_MS, err);
}

bool rk_connect_is_cut(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* ---- asking ---- */

int rk_connect_silence(const char *fleet, int sock, uint64_t waited_ns, struct rk_err *err)
{
	struct rk_standstill still = rk_standstill_look(fleet, sock);
	char who[32] = "", text[RK_STANDSTILL_TEXT];

	if (still.supervisor && !still.keeper)
		(void)snprintf(who, sizeof(who), " (pid %d)", (int)still.supervisor);
	(void)rk_standstill_text(text, &still);
	return rk_err_set(err, -ETIMEDOUT, "the supervisor%s has not answered for %.2f s: " STANDSTILL "; %s", who,
			  (double)waited_ns / RK_NS_PER_S, text[0] ? text : "see 'rekindle events'");
}

int rk_connect_send(int sock, const char *request, struct rk_err *err)
{
	int r = rk_fd_send(sock, request, strlen(request) + 1, NULL);

	return r < 0 ? rk_err_set(err, r, "cannot ask the supervisor: %s", strerror(-r)) : 0;
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
			return -ETIMEDOUT; /* rk_connect_silence() says it */
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
		{ "E2BIG", E2BIG },   { "EMSGSIZE", EMSGSIZE }, { "ENOEXEC", ENOEXEC },
		{ "EHOSTDOWN", EHOSTDOWN },
	};

	for (size_t i = 0; i < rk_countof(codes); i++)
		if (strcmp(codes[i].name, name) == 0)
			return -codes[i].code;
	return -EREMOTEIO;
}

int rk_connect_receive(int sock, uint64_t deadline_ns, struct json_object **ret_answer, struct rk_fds *ret_fds,
		       struct rk_err *err)
{
	char text[RK_CONTROL_MESSAGE_MAX];
	struct rk_fds fds = { 0 };
	struct json_object *answer, *ok;
	int r = receive(sock, deadline_ns, text, &fds, err);

	if (r < 0) {
		rk_fds_close_p(&fds);
		return r;
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

int rk_connect_ask(int sock, const char *request, uint32_t timeout_ms, struct json_object **ret_answer,
		   struct rk_fds *ret_fds, struct rk_err *err)
{
	uint64_t timeout_ns = timeout_ms * RK_NS_PER_MS, deadline_ns = rk_clock_ns() + timeout_ns;
	int r = rk_connect_send(sock, request, err);

	if (r == 0)
		r = rk_connect_receive(sock, deadline_ns, ret_answer, ret_fds, err);
	return r == -ETIMEDOUT ? rk_connect_silence(NULL, sock, timeout_ns, err) : r;
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
