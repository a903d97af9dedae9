/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/store.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/num.h"
#include "supervisor/message.h"

#define SETTLE_MS 2000u

bool rk_store_is_for(uint32_t kind)
{
	return kind == RK_LINK_MEMORY || kind == RK_LINK_DESCRIPTOR;
}

/* "0.configuration", "0.configuration.2", "d17592186044417.k.session" */
static const char *name_of(const struct rk_link_msg *about, uint32_t number, char text[static RK_NOTIFY_NAME_MAX])
{
	char nth[16] = "";

	if (number > 1)
		(void)snprintf(nth, sizeof(nth), ".%u", number);
	(void)snprintf(text, RK_NOTIFY_NAME_MAX, "%s%llu.%.*s%s", about->kind == RK_LINK_DESCRIPTOR ? "d" : "",
		       (unsigned long long)about->tag, (int)sizeof(about->name), about->name, nth);
	return text;
}

/* The same back. False: it is nobody's of ours. */
static bool name_read(const char *name, struct rk_link_msg *ret, uint32_t *ret_number)
{
	bool is_memory = *name != 'd';
	const char *dot = strchr(name += !is_memory, '.');
	uint64_t number = 1;
	char tag[24], *nth;

	*ret = (struct rk_link_msg){ .kind = is_memory ? RK_LINK_MEMORY : RK_LINK_DESCRIPTOR };
	if (!dot || dot == name || (size_t)(dot - name) >= sizeof(tag) || strlen(dot + 1) >= sizeof(ret->name))
		return false;
	memcpy(tag, name, (size_t)(dot - name));
	tag[dot - name] = '\0';
	memcpy(ret->name, dot + 1, strlen(dot + 1) + 1);
	nth = is_memory ? strrchr(ret->name, '.') : NULL; /* a slot's name may look like that */
	if (nth && rk_num_parse(nth + 1, 2, UINT32_MAX, &number, NULL) == 0)
		*nth = '\0';
	*ret_number = (uint32_t)number;
	return rk_num_parse(tag, 0, is_memory ? UINT32_MAX : INT64_MAX, &ret->tag, NULL) == 0;
}

/* Whether a name is that of this, under any number. */
static bool is_of(const char *name, const struct rk_link_msg *about, uint32_t *ret_number)
{
	struct rk_link_msg other;

	return name_read(name, &other, ret_number) && other.kind == about->kind && other.tag == about->tag &&
	       strncmp(other.name, about->name, sizeof(other.name)) == 0;
}

/* What of this is in the store or on its way there, the newest; NULL = nothing. */
static const struct rk_notify_entry *entry_of(const struct rk_store *s, const struct rk_link_msg *about,
					      uint32_t *ret_number)
{
	const struct rk_notify_entry *newest = NULL;

	*ret_number = 0;
	for (uint32_t i = 0; i < s->notify.n_entries; i++) {
		const struct rk_notify_entry *e = &s->notify.entries[i];
		uint32_t number;

		if (e->state == RK_NOTIFY_LEAVING || !is_of(e->name, about, &number) || number <= *ret_number)
			continue;
		newest = e;
		*ret_number = number;
	}
	return newest;
}

/* ---- back from systemd ---- */

/* Keeper died when its successor was stored and it was not removed yet. */
static bool is_outdated(const struct rk_notify_taken *taken, uint32_t at)
{
	struct rk_link_msg about;
	uint32_t own, number;

	if (!name_read(taken->at[at].name, &about, &own))
		return false;
	for (uint32_t i = 0; i < taken->n; i++)
		if (is_of(taken->at[i].name, &about, &number) && number > own)
			return true;
	return false;
}

static void take_one(struct rk_store *s, struct rk_held *held, struct rk_notify_fd *one)
{
	struct rk_link_msg about;
	uint32_t number;
	int r = name_read(one->name, &about, &number) ? rk_held_keep(held, &about, one->fd) : -EINVAL;

	if (r < 0) {
		rk_log(RK_LOG_WARNING, "systemd kept a descriptor that is of no use name=%s: %s", one->name, strerror(-r));
		(void)rk_notify_unstore(&s->notify, one->name);
		return;
	}
	if (rk_notify_stored(&s->notify, one->name, one->fd) < 0)
		rk_log(RK_LOG_WARNING, "the store is out of step name=%s", one->name);
	one->fd = -1;
}

/* Of a unit with a socket: it is as good as one that a supervisor has opened, but nobody stores it. */
static void control_take(struct rk_store *s, struct rk_held *held, struct rk_notify_taken *taken)
{
	const struct rk_link_msg about = { .kind = RK_LINK_MEMORY, .tag = RK_LINK_TAG_COMMON, .name = "control" };

	if (taken->control < 0)
		return;
	s->is_activated = rk_held_keep(held, &about, taken->control) == 0;
	if (s->is_activated)
		taken->control = -1;
}

static void take_all(struct rk_store *s, struct rk_held *held, struct rk_notify_taken *taken)
{
	for (uint32_t i = 0; i < taken->n; i++) {
		if (is_outdated(taken, i))
			(void)rk_notify_unstore(&s->notify, taken->at[i].name);
		else
			take_one(s, held, &taken->at[i]);
	}
}

/*
 * Nobody can say what is what of it. systemd must not hold it any longer: the lock among it would keep this
 * fleet from starting, and every next keeper's as well. What the memory held, the workers still have.
 */
static void store_clear(struct rk_store *s, char *names)
{
	struct rk_link_msg about;
	uint32_t number;
	char *rest = NULL;

	for (char *name = strtok_r(names, ":", &rest); name; name = strtok_r(NULL, ":", &rest))
		if (name_read(name, &about, &number))
			(void)rk_notify_unstore(&s->notify, name);
	if (rk_notify_barrier(&s->notify, SETTLE_MS) < 0)
		rk_log(RK_LOG_WARNING, "systemd does not confirm that it has given the fleet's descriptors up");
}

void rk_store_open(struct rk_store *s, struct rk_held *held)
{
	rk_cleanup(rk_notify_taken_free_p) struct rk_notify_taken taken = { .control = -1 };
	const char *wanted = getenv(RK_STORE_ENVIRONMENT), *given = getenv("LISTEN_FDNAMES");
	rk_cleanup(rk_free_p) char *names = strdup(given ? given : "");
	struct rk_err err = { 0 };

	*s = (struct rk_store){ .barrier = -1 };
	if (rk_notify_open(&s->notify, &err) < 0)
		rk_log(RK_LOG_WARNING, "%s", err.text);
	s->is_on = wanted && strcmp(wanted, "1") == 0 && rk_notify_is_open(&s->notify);
	(void)unsetenv(RK_STORE_ENVIRONMENT);
	if (rk_notify_take(&taken, &err) < 0) {
		rk_log(RK_LOG_ERROR, "nothing of what systemd kept is used: %s", err.text);
		if (names)
			store_clear(s, names);
	}
	control_take(s, held, &taken);
	take_all(s, held, &taken);
	if (taken.n)
		rk_message_log(RK_MESSAGE_KEEPER_BACK, RK_LOG_INFO, "descriptors back from systemd n=%u", held->n);
}

void rk_store_close(struct rk_store *s)
{
	rk_close_p(&s->barrier);
	rk_notify_close_p(&s->notify);
}

/* ---- to systemd ---- */

/* Of a file that it has already systemd drops another descriptor, without a word. */
static bool is_same_file(int a, int b)
{
	struct stat of_a, of_b;

	return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

void rk_store_put(struct rk_store *s, const struct rk_link_msg *about, int fd)
{
	uint32_t number;
	const struct rk_notify_entry *old = entry_of(s, about, &number);
	bool has_old = old != NULL;
	char name[RK_NOTIFY_NAME_MAX];
	int r;

	if (!s->is_on)
		return;
	/* The new one first: whoever comes behind us finds one of them at least, and the newer of two. */
	if (has_old && is_same_file(old->fd, fd))
		rk_store_take_back(s, about);
	else if (has_old)
		rk_notify_supersede(&s->notify, old->name);
	r = rk_notify_store(&s->notify, name_of(about, number + 1, name), fd);
	if (r == -ENOSPC && has_old) {
		rk_store_take_back(s, about);
		r = rk_notify_store(&s->notify, name, fd);
	}
	if (r < 0)
		rk_message_log(RK_MESSAGE_STORE_FAILS, RK_LOG_ERROR,
			       "systemd does not keep a descriptor, the fleet would not outlive keeper name=%s: %s", name,
			       strerror(-r));
}

uint32_t rk_store_number(const struct rk_store *s, const struct rk_link_msg *about)
{
	uint32_t number;

	(void)entry_of(s, about, &number);
	return number;
}

void rk_store_known(struct rk_store *s, const struct rk_link_msg *about, uint32_t number, int fd)
{
	char name[RK_NOTIFY_NAME_MAX];

	if (s->is_on && rk_notify_stored(&s->notify, name_of(about, number, name), fd) < 0)
		rk_log(RK_LOG_WARNING, "the store is out of step name=%s", name);
}

void rk_store_take_back(struct rk_store *s, const struct rk_link_msg *about)
{
	const struct rk_notify_entry *e;
	char name[RK_NOTIFY_NAME_MAX];
	uint32_t number;

	while (s->is_on && (e = entry_of(s, about, &number))) {
		memcpy(name, e->name, sizeof(name));
		(void)rk_notify_unstore(&s->notify, name); /* moves the entries */
	}
}

static bool goes_with(const struct rk_held_one *one, uint64_t tag, uint64_t fleet)
{
	return one->kind == RK_LINK_DESCRIPTOR ? rk_link_tag_fleet(one->tag) == fleet :
						 one->kind == RK_LINK_MEMORY && one->tag == tag;
}

void rk_store_drop(struct rk_store *s, const struct rk_held *held, uint64_t tag, uint64_t fleet)
{
	for (uint32_t i = 0; i < held->n; i++) {
		struct rk_link_msg about = { .kind = held->at[i].kind, .tag = held->at[i].tag };

		if (!goes_with(&held->at[i], tag, fleet))
			continue;
		memcpy(about.name, held->at[i].name, sizeof(about.name));
		rk_store_take_back(s, &about);
	}
}

void rk_store_ask_no_more(struct rk_store *s)
{
	rk_close_p(&s->barrier);
	s->is_awaited = false;
}

bool rk_store_ask(struct rk_store *s)
{
	rk_store_ask_no_more(s);
	if (!s->is_on)
		return true;
	s->is_awaited = true;
	return rk_store_is_confirmed(s);
}

bool rk_store_is_confirmed(struct rk_store *s)
{
	struct pollfd p = { .fd = s->barrier };

	if (!s->is_awaited)
		return false;
	if (s->barrier < 0 && rk_notify_barrier_begin(&s->notify, &s->barrier) == -EAGAIN)
		return false; /* it has no room: once it has, we are called again */
	p.fd = s->barrier;
	if (s->barrier >= 0 && poll(&p, 1, 0) == 0)
		return false;
	rk_close_p(&s->barrier);
	s->is_awaited = false;
	return true;
}

int rk_store_settle(struct rk_store *s)
{
	return s->is_on ? rk_notify_barrier(&s->notify, SETTLE_MS) : 0;
}

bool rk_store_is_told(struct rk_store *s)
{
	return rk_notify_flush(&s->notify) || (!s->is_on && !s->notify.is_connected);
}
