/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/held.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define ROOM_FIRST 64u
#define ROOM_MAX 65536u /* descriptors; twice what the largest fleets need */

static void remove_at(struct rk_held *h, uint32_t i)
{
	struct rk_held_one *one = &h->at[i];

	h->n_unreported -= one->code && !one->is_reported;
	rk_close_p(&one->fd);
	/* In order: those that were handed over are the first ones. */
	h->n_handed -= i < h->n_handed;
	h->n--;
	memmove(one, one + 1, (h->n - i) * sizeof(*one));
}

/* Of what there is one at a time the place of this one; n: there is none. */
static uint32_t place_of(const struct rk_held *h, const struct rk_held_one *like)
{
	if (like->kind != RK_LINK_MEMORY && like->kind != RK_LINK_PEER)
		return h->n;
	for (uint32_t i = 0; i < h->n; i++)
		if (h->at[i].kind == like->kind && h->at[i].tag == like->tag &&
		    (like->kind == RK_LINK_PEER || strcmp(h->at[i].name, like->name) == 0))
			return i;
	return h->n;
}

static int room_make(struct rk_held *h)
{
	uint32_t n = h->n_room ? h->n_room * 2 : ROOM_FIRST;
	struct rk_held_one *at;

	if (h->n < h->n_room)
		return 0;
	if (n > ROOM_MAX)
		return -E2BIG;
	at = realloc(h->at, n * sizeof(*at));
	if (!at)
		return -ENOMEM;
	h->at = at;
	h->n_room = n;
	return 0;
}

int rk_held_keep(struct rk_held *h, const struct rk_link_msg *msg, int fd)
{
	struct rk_held_one one = { .fd = fd,
				   .kind = msg->kind,
				   .pid = msg->pid,
				   .tag = msg->tag,
				   .value = msg->value };
	uint32_t at;
	int r;

	memcpy(one.name, msg->name, sizeof(one.name));
	one.name[sizeof(one.name) - 1] = '\0';
	at = place_of(h, &one);
	if (at < h->n) {
		rk_close_p(&h->at[at].fd);
		h->at[at] = one;
		return 0;
	}
	r = room_make(h);
	if (r == 0) {
		/* What this supervisor has given it need not be given back to it. */
		h->n_handed += h->n_handed == h->n;
		h->at[h->n++] = one;
	}
	return r;
}

void rk_held_forget(struct rk_held *h, uint32_t kind, uint64_t tag)
{
	for (uint32_t i = 0; i < h->n; i++) {
		if (h->at[i].kind != kind || h->at[i].tag != tag)
			continue;
		remove_at(h, i);
		return;
	}
}

void rk_held_drop(struct rk_held *h, uint64_t tag, uint64_t fleet)
{
	for (uint32_t i = 0; tag != RK_LINK_TAG_COMMON && i < h->n;) {
		const struct rk_held_one *one = &h->at[i];

		if ((one->kind == RK_LINK_MEMORY && one->tag == tag) ||
		    ((one->kind == RK_LINK_PEER || one->kind == RK_LINK_DESCRIPTOR) &&
		     rk_link_tag_fleet(one->tag) == fleet))
			remove_at(h, i);
		else
			i++;
	}
}

/* One that has ended meanwhile is told of again: whoever heard of it by the old tag did not know yet. */
void rk_held_retag(struct rk_held *h, uint64_t from, uint64_t to)
{
	for (uint32_t i = 0; i < h->n; i++) {
		struct rk_held_one *one = &h->at[i];

		if (one->kind != RK_LINK_PROCESS || one->tag != from)
			continue;
		one->tag = to;
		h->n_unreported += one->is_reported;
		one->is_reported = false;
		return;
	}
}

bool rk_held_ended(struct rk_held *h, int32_t pid, int32_t code, int32_t status)
{
	bool is_known = false;

	for (uint32_t i = 0; i < h->n; i++) {
		struct rk_held_one *one = &h->at[i];

		if (one->kind != RK_LINK_PROCESS || one->pid != pid || one->code)
			continue;
		one->code = code;
		one->status = status;
		h->n_unreported++;
		is_known = true;
	}
	return is_known;
}

bool rk_held_has_process(const struct rk_held *h, int32_t pid)
{
	for (uint32_t i = 0; i < h->n; i++)
		if (h->at[i].kind == RK_LINK_PROCESS && h->at[i].pid == pid && !h->at[i].code)
			return true;
	return false;
}

void rk_held_kill(const struct rk_held *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		if (h->at[i].kind == RK_LINK_PROCESS && !h->at[i].code)
			(void)syscall(SYS_pidfd_send_signal, h->at[i].fd, SIGKILL, NULL, 0);
}

void rk_held_await_ends(const struct rk_held *h, int timeout_ms)
{
	uint64_t until_ns = rk_clock_ns() + (uint64_t)timeout_ms * RK_NS_PER_MS;

	for (uint32_t i = 0; i < h->n; i++) {
		struct pollfd end = { .fd = h->at[i].fd, .events = POLLIN };
		uint64_t now_ns = rk_clock_ns();

		if (h->at[i].kind == RK_LINK_PROCESS && !h->at[i].code && now_ns < until_ns)
			(void)poll(&end, 1, (int)((until_ns - now_ns) / RK_NS_PER_MS) + 1);
	}
}

/* ---- to a supervisor ---- */

struct rk_link_msg rk_held_begin(struct rk_held *h)
{
	h->n_handed = 0;
	h->n_unreported = 0;
	for (uint32_t i = 0; i < h->n; i++) {
		h->at[i].is_reported = false;
		h->n_unreported += h->at[i].code != 0;
	}
	return (struct rk_link_msg){ .op = RK_LINK_BEGIN, .value = h->n };
}

bool rk_held_next(const struct rk_held *h, uint32_t ahead, struct rk_link_msg *ret, int *ret_fd)
{
	const struct rk_held_one *one = &h->at[h->n_handed + ahead];

	if (h->n_handed + ahead >= h->n)
		return false;
	*ret = (struct rk_link_msg){ .op = RK_LINK_HELD,
				     .kind = one->kind,
				     .pid = one->pid,
				     .code = one->code,
				     .status = one->status,
				     .tag = one->tag,
				     .value = one->value };
	memcpy(ret->name, one->name, sizeof(ret->name));
	*ret_fd = one->fd;
	return true;
}

void rk_held_handed(struct rk_held *h)
{
	struct rk_held_one *one = &h->at[h->n_handed++];

	if (one->code && !one->is_reported) {
		one->is_reported = true;
		h->n_unreported--;
	}
}

bool rk_held_next_end(struct rk_held *h, struct rk_link_msg *ret, uint32_t *ret_at)
{
	for (uint32_t i = 0; i < h->n && h->n_unreported > 0 && h->n_handed == h->n; i++) {
		const struct rk_held_one *one = &h->at[i];

		if (!one->code || one->is_reported)
			continue;
		*ret = (struct rk_link_msg){ .op = RK_LINK_EXITED,
					     .kind = one->kind,
					     .pid = one->pid,
					     .code = one->code,
					     .status = one->status,
					     .tag = one->tag };
		*ret_at = i;
		return true;
	}
	return false;
}

void rk_held_reported(struct rk_held *h, uint32_t at)
{
	h->at[at].is_reported = true;
	h->n_unreported--;
}

bool rk_held_has_memory(const struct rk_held *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		if (h->at[i].kind == RK_LINK_MEMORY && h->at[i].tag != RK_LINK_TAG_COMMON)
			return true;
	return false;
}

void rk_held_close(struct rk_held *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		rk_close_p(&h->at[i].fd);
	free(h->at);
	*h = (struct rk_held){ 0 };
}
