/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/lib/question.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "shm/rundir.h"

#define PING "{\"verb\":\"ping\"}"
#define PATIENCE_NS (200 * RK_NS_PER_MS) /* then a ping shows whether somebody answers at all */
#define PAUSE_MS 1                       /* behind the first lost answer; twice as long behind each further one */

#define LOST 1 /* nobody will answer any more */

/* ---- waiting for an answer, and for one to a later question ---- */

/* A connection with a ping on it, or -1. */
static int ping_send(const char *fleet)
{
	rk_cleanup(rk_close_p) int sock = rk_connect_at_once(fleet);

	if (sock >= 0 && rk_connect_send(sock, PING, NULL) < 0)
		rk_close_p(&sock);
	return rk_take_fd(&sock);
}

static bool has_bytes(int sock)
{
	char byte;

	return recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static bool can_be_read(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* 0: there is something to receive, or its end; LOST; -ETIMEDOUT. */
static int answer_await(int sock, const struct rk_question *q)
{
	rk_cleanup(rk_close_p) int other = -1;
	uint64_t now_ns = rk_clock_ns(), ping_ns = now_ns + PATIENCE_NS;

	for (;; now_ns = rk_clock_ns()) {
		struct pollfd p[2] = { { .fd = sock, .events = POLLIN }, { .fd = other, .events = POLLIN } };
		uint64_t until_ns = rk_min_u64(q->deadline_ns, ping_ns);
		uint64_t left_ms = until_ns > now_ns ? (until_ns - now_ns) / RK_NS_PER_MS + 1 : 0;

		(void)poll(p, 2, (int)rk_min_u64(left_ms, INT32_MAX));
		if (p[0].revents)
			return 0;
		/* Who answers a later question has answered ours before, or will never. */
		if (p[1].revents && has_bytes(other))
			return can_be_read(sock) ? 0 : LOST;
		if (p[1].revents)
			rk_close_p(&other); /* cut: another supervisor is coming */
		now_ns = rk_clock_ns();
		if (now_ns >= q->deadline_ns)
			return -ETIMEDOUT;
		if (now_ns < ping_ns)
			continue;
		ping_ns = now_ns + PATIENCE_NS;
		if (other < 0)
			other = ping_send(q->fleet);
	}
}

/* ---- one try, and the next ---- */

/* LOST: the answer did not come, and will not. */
static int answer_take(int sock, const struct rk_question *q, struct json_object **ret_answer, struct rk_fds *ret_fds,
		       struct rk_err *err)
{
	int r = q->unsure ? 0 : answer_await(sock, q); /* what may not be repeated is cut, or answered */

	if (r == 0)
		r = rk_connect_receive(sock, q->deadline_ns, ret_answer, ret_fds, err);
	return r == -ECONNRESET ? LOST : r;
}

static int unknown(const struct rk_question *q, struct rk_err *err)
{
	if (q->unsure && rk_rundir_look(q->fleet) == RK_RUNDIR_NOBODY)
		return rk_err_set(err, -ECONNRESET, "the fleet ended before it answered");
	if (q->unsure)
		return rk_err_set(err, -ECONNRESET,
				  "the supervisor was replaced before it answered: 'rekindle events' shows %s", q->unsure);
	return rk_err_set(err, -ECONNRESET,
			  "the supervisor was replaced %u times before it answered: see 'rekindle events'", q->n_lost);
}

/* One question over a connection that stands; 0, LOST, -EPIPE: it was never sent; -errno. */
static int ask(int sock, const struct rk_question *q, struct json_object **ret_answer, struct rk_fds *ret_fds,
	       struct rk_err *err)
{
	uint64_t began_ns = rk_clock_ns();
	int r = rk_connect_send(sock, q->request, err);

	if (r == 0)
		r = answer_take(sock, q, ret_answer, ret_fds, err);
	else if (r == -ECONNRESET)
		r = -EPIPE;
	if (r == -ETIMEDOUT)
		return rk_connect_silence(q->fleet, sock, rk_max_u64(q->deadline_ns, began_ns) - began_ns, err);
	return r;
}

int rk_question_ask(struct rk_question *q, int *sock, struct json_object **ret_answer, struct rk_fds *ret_fds,
		    struct rk_err *err)
{
	int r;

	for (uint32_t n_unsent = 0;;) {
		if (*sock < 0)
			*sock = rk_connect_until(q->fleet, q->deadline_ns, err);
		if (*sock < 0)
			return *sock;
		r = ask(*sock, q, ret_answer, ret_fds, err);
		if (r == 0)
			return 0;
		if (r != LOST && r != -EPIPE)
			return r;
		rk_close_p(sock);
		if (r == -EPIPE && ++n_unsent < RK_QUESTION_TRIES)
			continue;
		if (r == LOST && ++q->n_lost < RK_QUESTION_TRIES && !q->unsure) {
			(void)poll(NULL, 0, PAUSE_MS << (q->n_lost - 1));
			continue;
		}
		return unknown(q, err);
	}
}
