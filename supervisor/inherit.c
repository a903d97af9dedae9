/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/inherit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "shm/layout.h"
#include "supervisor/child.h"
#include "supervisor/fleet.h"

#define WAIT_NS (10 * RK_NS_PER_S) /* keeper may be stopped for a while, as by Ctrl-Z */
#define THINGS_MAX 65536u

/* Until there is something to receive, or the deadline. */
static int message_wait(int link, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = link, .events = POLLIN };
	uint64_t now_ns = rk_clock_ns();

	if (now_ns >= deadline_ns)
		return -ETIMEDOUT;
	(void)poll(&p, 1, (int)((deadline_ns - now_ns) / RK_NS_PER_MS + 1));
	return 0;
}

static int receive_begin(int link, uint64_t deadline_ns, struct rk_link_msg *ret)
{
	int r, waited = 0;

	while ((r = rk_link_recv(link, ret, NULL)) == -EAGAIN && waited == 0)
		waited = message_wait(link, deadline_ns);
	if (r == 0 && (ret->op != RK_LINK_BEGIN || ret->value > THINGS_MAX))
		r = -EBADMSG;
	return waited < 0 ? waited : r;
}

static int receive_some(int link, uint64_t deadline_ns, struct rk_inherit *in, uint64_t n)
{
	struct rk_link_msg msg[RK_LINK_BATCH];
	struct rk_fds fds = { 0 };
	int r, waited = 0;

	while ((r = rk_link_recv_batch(link, msg, &fds)) == -EAGAIN && waited == 0)
		waited = message_wait(link, deadline_ns);
	for (int i = 0; i < r; i++) {
		struct rk_heirloom *one = &in->at[in->n];

		if (msg[i].op != RK_LINK_HELD || in->n == n) {
			r = -EBADMSG;
			break;
		}
		*one = (struct rk_heirloom){ .about = msg[i], .fd = rk_take_fd(&fds.fd[i]) };
		one->about.name[sizeof(one->about.name) - 1] = '\0';
		in->n++;
	}
	rk_fds_close_p(&fds); /* those that were not taken */
	return waited < 0 ? waited : r;
}

static int receive_all(int link, struct rk_inherit *in)
{
	uint64_t deadline_ns = rk_clock_ns() + WAIT_NS, n;
	int r = receive_begin(link, deadline_ns, &in->predecessor);

	if (r < 0)
		return r;
	n = in->predecessor.value;
	in->at = calloc(n ? n : 1, sizeof(*in->at));
	if (!in->at)
		return -ENOMEM;
	for (r = 0; r >= 0 && in->n < n;)
		r = receive_some(link, deadline_ns, in, n);
	return r < 0 ? r : 0;
}

int rk_inherit_receive(int link, struct rk_inherit *ret, struct rk_err *err)
{
	int r;

	*ret = (struct rk_inherit){ .n = 0 };
	r = receive_all(link, ret);
	return r < 0 ? rk_err_set(err, r, "keeper does not hand over what it holds: %s", strerror(-r)) : 0;
}

static bool has(const struct rk_inherit *in, uint64_t tag, const char *name)
{
	for (uint32_t i = 0; i < in->n; i++) {
		const struct rk_link_msg *about = &in->at[i].about;

		if (about->kind == RK_LINK_MEMORY && about->tag == tag &&
		    strncmp(about->name, name, sizeof(about->name)) == 0)
			return true;
	}
	return false;
}

/* The place of the next thing that is a fleet's memory, from `from` on; in->n: there is none. */
static uint32_t memory_next(const struct rk_inherit *in, uint32_t from)
{
	while (from < in->n && (in->at[from].about.kind != RK_LINK_MEMORY || in->at[from].about.tag == RK_LINK_TAG_COMMON))
		from++;
	return from;
}

bool rk_inherit_journal(const struct rk_inherit *in, uint64_t tag, struct rk_journal *ret)
{
	for (uint32_t i = 0; i < in->n; i++) {
		const struct rk_heirloom *one = &in->at[i];

		if (one->about.kind == RK_LINK_MEMORY && one->about.tag == tag && one->fd >= 0 &&
		    strcmp(one->about.name, rk_segment_name(RK_SEGMENT_JOURNAL)) == 0)
			return pread(one->fd, ret, sizeof(*ret), 0) == (ssize_t)sizeof(*ret);
	}
	return false;
}

bool rk_inherit_is_whole(const struct rk_inherit *in, uint64_t tag)
{
	struct rk_journal j;

	for (enum rk_segment_kind k = 1; k < RK_SEGMENT_KINDS; k++)
		if (!has(in, tag, rk_segment_name(k)))
			return false;
	return has(in, tag, RK_FLEET_NEWS) && rk_inherit_journal(in, tag, &j) && j.complete &&
	       rk_link_memory_tag(j.number) == tag;
}

bool rk_inherit_has_memory(const struct rk_inherit *in)
{
	return memory_next(in, 0) < in->n;
}

bool rk_inherit_is_partial(const struct rk_inherit *in)
{
	for (uint32_t i = memory_next(in, 0); i < in->n; i = memory_next(in, i + 1))
		if (!rk_inherit_is_whole(in, in->at[i].about.tag))
			return true;
	return false;
}

bool rk_inherit_is_successor(const struct rk_inherit *in)
{
	return in->predecessor.pid != 0 || rk_inherit_has_memory(in);
}

/* All that there is of one fleet; keeper's too. */
static void drop(struct rk_inherit *in, int link, uint64_t tag)
{
	const struct rk_link_msg msg = { .op = RK_LINK_DROP, .tag = tag, .value = tag - 1 };
	uint32_t n_left = 0;

	if (rk_link_send(link, &msg, -1) < 0)
		rk_log(RK_LOG_WARNING, "keeper holds memory that is of no use");
	for (uint32_t i = 0; i < in->n; i++) {
		struct rk_heirloom *one = &in->at[i];

		if (one->about.kind == RK_LINK_MEMORY && one->about.tag == tag)
			rk_close_p(&one->fd);
		else
			in->at[n_left++] = *one;
	}
	in->n = n_left;
}

uint32_t rk_inherit_drop_partial(struct rk_inherit *in, int link)
{
	uint32_t n = 0;

	for (uint32_t i = memory_next(in, 0); i < in->n; i = memory_next(in, i)) {
		if (rk_inherit_is_whole(in, in->at[i].about.tag)) {
			i++;
			continue;
		}
		drop(in, link, in->at[i].about.tag);
		i = 0; /* the rest has moved up */
		n++;
	}
	return n;
}

void rk_inherit_close(struct rk_inherit *in)
{
	for (uint32_t i = 0; i < in->n; i++)
		rk_close_p(&in->at[i].fd);
	free(in->at);
	in->at = NULL;
	in->n = 0;
}

struct rk_heirloom *rk_inherit_memory(struct rk_inherit *in, uint64_t tag, const char *name)
{
	for (uint32_t i = 0; i < in->n; i++) {
		const struct rk_link_msg *about = &in->at[i].about;

		if (about->kind == RK_LINK_MEMORY && about->tag == tag && in->at[i].fd >= 0 &&
		    strncmp(about->name, name, sizeof(about->name)) == 0)
			return &in->at[i];
	}
	return NULL;
}

struct rk_heirloom *rk_inherit_find(struct rk_inherit *in, enum rk_link_kind kind, uint64_t tag)
{
	for (uint32_t i = 0; i < in->n; i++)
		if (in->at[i].about.kind == kind && in->at[i].about.tag == tag && in->at[i].fd >= 0)
			return &in->at[i];
	return NULL;
}

void rk_inherit_forget_rest(struct rk_inherit *in, int link)
{
	for (uint32_t i = 0; i < in->n; i++) {
		struct rk_heirloom *one = &in->at[i];
		struct rk_link_msg forget = { .op = RK_LINK_FORGET,
					      .kind = one->about.kind,
					      .tag = one->about.tag };

		if (one->fd < 0 || one->about.kind == RK_LINK_MEMORY)
			continue;
		memcpy(forget.name, one->about.name, sizeof(forget.name));
		if (one->about.kind == RK_LINK_PROCESS && !one->about.code)
			rk_child_kill(&(struct rk_spawned){ .pid = one->about.pid, .pidfd = one->fd, .gate = -1 });
		if (rk_link_send(link, &forget, -1) < 0)
			rk_log(RK_LOG_DEBUG, "keeper holds what nobody needs pid=%d", one->about.pid);
		rk_close_p(&one->fd);
	}
}
