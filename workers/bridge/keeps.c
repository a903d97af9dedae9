/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/bridge/keeps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define AGAIN_S 1.
#define ANSWER_MAX 512u

/* One that is under way. */
struct ask {
	uint64_t number; /* of the message; 0 = there is none */
	int fd;          /* -1: it is to be given up */
	char name[RK_NOTICES_NAME_MAX];
};

struct rk_keeps {
	struct ev_loop *loop;
	int fd;
	void (*say)(const char *text, void *arg);
	void *arg;
	ev_io io;
	ev_timer again;
	uint64_t last; /* number */
	uint32_t n;
	struct ask asks[RK_KEEPS_MAX]; /* the first n, in their order */
};

static void ask_remove(struct rk_keeps *k, uint32_t i)
{
	rk_close_p(&k->asks[i].fd);
	k->n--;
	memmove(&k->asks[i], &k->asks[i + 1], (k->n - i) * sizeof(k->asks[0]));
	if (k->n == 0)
		ev_timer_stop(k->loop, &k->again);
}

/* One that finds no room is sent again by the timer. */
static void ask_send(struct rk_keeps *k, struct ask *a)
{
	const struct rk_fds fds = { .n = a->fd >= 0, .fd = { a->fd } };
	char text[RK_NOTICES_NAME_MAX + 40];
	int n;

	a->number = ++k->last;
	n = snprintf(text, sizeof(text), "%llu %s %s", (unsigned long long)a->number, a->fd < 0 ? "unkeep" : "keep", a->name);
	(void)!rk_fd_send(k->fd, text, (size_t)n, &fds);
}

static void ask_add(struct rk_keeps *k, const char *name, int *fd)
{
	struct ask *a = &k->asks[k->n];

	if (k->n == RK_KEEPS_MAX) {
		k->say("too many descriptors are on their way to be kept: one is not", k->arg);
		return;
	}
	*a = (struct ask){ .fd = fd ? rk_take_fd(fd) : -1 };
	(void)snprintf(a->name, sizeof(a->name), "%s", name);
	if (k->n++ == 0) {
		ev_timer_set(&k->again, AGAIN_S, AGAIN_S);
		ev_timer_start(k->loop, &k->again);
	}
	ask_send(k, a);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct rk_keeps *k = timer->data;

	(void)loop;
	(void)events;
	for (uint32_t i = 0; i < k->n; i++)
		ask_send(k, &k->asks[i]);
}

/* "12 ok", "13 ENOSPC a sentence" */
static void answer_take(struct rk_keeps *k, char *text)
{
	char *rest, told[ANSWER_MAX + RK_NOTICES_NAME_MAX + 40];
	uint64_t number = strtoull(text, &rest, 10);

	for (uint32_t i = 0; i < k->n; i++) {
		if (k->asks[i].number != number)
			continue;
		if (strcmp(rest, " ok") != 0 && (k->asks[i].fd >= 0 || strncmp(rest, " ENOENT ", 8) != 0)) {
			(void)snprintf(told, sizeof(told), "descriptor '%.60s' is not kept:%s", k->asks[i].name, rest);
			k->say(told, k->arg);
		}
		ask_remove(k, i);
		return;
	}
}

static void on_answer(struct ev_loop *loop, ev_io *io, int events)
{
	struct rk_keeps *k = io->data;
	char text[ANSWER_MAX + 1];
	ssize_t n = recv(k->fd, text, ANSWER_MAX, 0);

	(void)events;
	if (n > 0) {
		text[n] = '\0';
		answer_take(k, text);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		ev_io_stop(loop, io); /* nobody will be there any more */
	}
}

void rk_keeps_take(struct rk_keeps *k, struct rk_notice *n)
{
	if (n->is_unstore)
		ask_add(k, n->name, NULL);
	for (uint32_t i = 0; n->is_store && i < n->n_fds; i++)
		if (n->fd[i] >= 0)
			ask_add(k, n->name, &n->fd[i]);
}

uint32_t rk_keeps_n_waiting(const struct rk_keeps *k)
{
	return k->n;
}

struct rk_keeps *rk_keeps_open(struct ev_loop *loop, int fd, void (*say)(const char *text, void *arg), void *arg)
{
	struct rk_keeps *k = calloc(1, sizeof(*k));

	if (!k || rk_fd_nonblock(fd, 1) < 0) {
		free(k);
		return NULL;
	}
	k->loop = loop;
	k->fd = fd;
	k->say = say;
	k->arg = arg;
	ev_io_init(&k->io, on_answer, fd, EV_READ);
	ev_timer_init(&k->again, on_again, AGAIN_S, AGAIN_S);
	k->io.data = k->again.data = k;
	ev_io_start(loop, &k->io);
	return k;
}

void rk_keeps_close(struct rk_keeps *k)
{
	if (!k)
		return;
	while (k->n)
		ask_remove(k, k->n - 1);
	ev_io_stop(k->loop, &k->io);
	ev_timer_stop(k->loop, &k->again);
	free(k);
}
