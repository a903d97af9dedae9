/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/journald.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

int rk_journald_open(struct rk_journald *j, const char *path, const char *identifier)
{
	size_t len = strlen(path);

	*j = (struct rk_journald){ .fd = -1, .address.sun_family = AF_UNIX };
	if (len >= sizeof(j->address.sun_path))
		return -EINVAL;
	memcpy(j->address.sun_path, path, len + 1);
	j->address_len = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	(void)snprintf(j->identifier, sizeof(j->identifier), "%s", identifier);
	j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return j->fd < 0 ? -errno : 0;
}

void rk_journald_close_p(struct rk_journald *j)
{
	rk_close_p(&j->fd);
}

/* ---- one entry ---- */

struct entry {
	size_t len;
	char at[RK_JOURNALD_ENTRY_MAX];
};

/*
 * "NAME=value\n". What is no printable UTF-8 becomes '?', a newline too: it would begin another
 * field, and the journal shows as binary what is not UTF-8. A field that does not fit is cut.
 */
static void field_add(struct entry *e, const char *name, const char *value, size_t len)
{
	size_t room = sizeof(e->at) - e->len, n;

	if (!value || strlen(name) + 2 > room)
		return;
	n = (size_t)snprintf(e->at + e->len, room, "%s=", name);
	(void)rk_text_clean(e->at + e->len + n, room - n, value, len);
	n += strlen(e->at + e->len + n);
	e->at[e->len + n] = '\n';
	e->len += n + 1;
}

static void text_add(struct entry *e, const char *name, const char *value)
{
	field_add(e, name, value, value ? strlen(value) : 0);
}

static int datagram_send(const struct rk_journald *j, const char *bytes, size_t len)
{
	ssize_t n;

	do
		n = sendto(j->fd, bytes, len, MSG_NOSIGNAL, (const struct sockaddr *)&j->address,
			   j->address_len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int rk_journald_take(void *arg, const struct rk_log_line *line)
{
	struct rk_journald *j = arg;
	char priority[4];
	struct entry e;
	int r;

	e.len = 0;
	(void)snprintf(priority, sizeof(priority), "%d", (int)line->level);
	field_add(&e, "MESSAGE", line->text, line->len);
	text_add(&e, "PRIORITY", priority);
	text_add(&e, "SYSLOG_IDENTIFIER", j->identifier);
	text_add(&e, "REKINDLE_NAME", line->whose[0] ? line->whose : NULL);
	for (size_t i = 0; i < line->n_fields; i++)
		text_add(&e, line->fields[i].name, line->fields[i].value);
	r = datagram_send(j, e.at, e.len);
	if (r == 0) /* Relaxed: asked at the end, when no other thread logs. */
		atomic_store_explicit(&j->has_sent, true, memory_order_relaxed);
	return r;
}

/* ---- the end ---- */

/* Bytes that nobody has received; 0 also when nobody can say. */
static int n_unread(const struct rk_journald *j)
{
	int n = 0;

	return ioctl(j->fd, SIOCOUTQ, &n) < 0 ? 0 : n;
}

/*
 * journald takes one datagram after the other, and one without bytes for nothing: once that is
 * gone, everything before it has been dealt with. The kernel tells nobody of it: it is looked for.
 */
bool rk_journald_settle(const struct rk_journald *j, uint32_t timeout_ms)
{
	uint64_t until_ns = rk_clock_ns() + timeout_ms * RK_NS_PER_MS;

	if (!atomic_load_explicit(&j->has_sent, memory_order_relaxed))
		return true;
	(void)datagram_send(j, "", 0); /* no room, nobody there: what is unread tells */
	while (n_unread(j) > 0) {
		if (rk_clock_ns() >= until_ns)
			return false;
		(void)poll(NULL, 0, 1);
	}
	return true;
}
