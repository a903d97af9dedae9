/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/listen.h"

#define EVERY_SLOT UINT32_MAX
#define MESSAGE_MAX 512u
#define MESSAGES_AT_ONCE 16u

/* What keeper calls them: one of these, a point, and what they are among their kind. */
enum kind {
	LISTENS = 'l', /* a hash of the address */
	KEPT = 'k',    /* the name that it was sent with */
	LINE = 's'     /* of the process that is there */
};

struct thing {
	struct thing *next; /* in the order in which they came */
	struct rk_kit *kit;
	enum kind kind;
	uint32_t slot;
	uint64_t number; /* for keeper */
	int fd;
	bool is_held; /* keeper has taken it */
	sd_event_source *source; /* of a line */
	char name[RK_KIT_NAME_MAX];
};

struct rk_kit {
	struct rk_kit_conf c;
	struct thing *things;
	uint32_t n;
	uint64_t last; /* number */
	int end;       /* of a line that is being given; -1 = none */
};

/* ---- keeper ---- */

static struct rk_link_msg about(const struct thing *t, enum rk_link_op op)
{
	struct rk_link_msg msg = { .op = op,
				   .kind = RK_LINK_DESCRIPTOR,
				   .tag = rk_link_tag(t->kit->c.fleet, t->slot, t->number) };

	(void)snprintf(msg.name, sizeof(msg.name), "%c.%s", t->kind, t->name);
	return msg;
}

static int hold(struct thing *t)
{
	const struct rk_link_msg keep = about(t, RK_LINK_KEEP);
	int r = t->is_held ? 0 : rk_link_send(t->kit->c.link, &keep, t->fd);

	t->is_held = r == 0;
	return r;
}

static void drop(struct thing *t)
{
	const struct rk_link_msg forget = about(t, RK_LINK_FORGET);
	struct thing **at = &t->kit->things;

	if (t->kind == LISTENS)
		rk_listen_unlink(t->fd);
	if (t->is_held && rk_link_send(t->kit->c.link, &forget, -1) < 0)
		rk_log(RK_LOG_WARNING, "keeper holds a descriptor that nobody needs slot=%u name=%s", t->slot, t->name);
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->kit->n--;
	(void)sd_event_source_disable_unref(t->source);
	rk_close_p(&t->fd);
	free(t);
}

/* Takes the descriptor, which is out of a child's way then. NULL: no memory, or no descriptors. */
static struct thing *add(struct rk_kit *k, enum kind kind, uint32_t slot, const char *name, int *fd)
{
	struct thing *t = k->n < RK_KIT_MAX ? calloc(1, sizeof(*t)) : NULL;
	int lifted = t ? fcntl(*fd, F_DUPFD_CLOEXEC, RK_CHILD_FLOOR) : -1;
	struct thing **at = &k->things;

	if (lifted < 0) {
		free(t);
		return NULL;
	}
	rk_close_p(fd);
	*t = (struct thing){ .kit = k, .kind = kind, .slot = slot, .number = ++k->last, .fd = lifted };
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	while (*at)
		at = &(*at)->next;
	*at = t;
	k->n++;
	return t;
}

static struct thing *find(const struct rk_kit *k, enum kind kind, uint32_t slot, const char *name)
{
	struct thing *t = k->things;

	while (t && (t->kind != kind || t->slot != slot || (name && strcmp(t->name, name) != 0)))
		t = t->next;
	return t;
}

/* ---- what a process asks for ---- */

bool rk_kit_is_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < RK_KIT_NAME_MAX &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static bool is_same_file(int a, int b)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b) == 0;
}

static int keep_check(const struct rk_kit *k, uint32_t slot, const char *name, const struct rk_fds *fds,
		      struct rk_err *err)
{
	uint32_t n = 0;

	for (const struct thing *t = k->things; t; t = t->next)
		n += t->kind == KEPT && t->slot == slot;
	if (!rk_kit_is_name(name))
		return rk_err_set(err, -EINVAL, "a name is 1 to %u of letters, digits, '.', '_' and '-'", RK_KIT_NAME_MAX - 1);
	if (fds->n != 1)
		return rk_err_set(err, -EINVAL, "one descriptor is to come with it");
	if (n >= rk_min_u32(k->c.o->n_descriptors_kept, RK_SPAWN_KEPT_MAX))
		return rk_err_set(err, -ENOSPC, "%u descriptors are kept for this worker: FileDescriptorStoreMax", n);
	return 0;
}

static int keep(struct rk_kit *k, uint32_t slot, const char *name, struct rk_fds *fds, struct rk_err *err)
{
	struct thing *t;
	int r;

	for (t = k->things; t && fds->n == 1; t = t->next)
		if (t->kind == KEPT && t->slot == slot && strcmp(t->name, name) == 0 && is_same_file(t->fd, fds->fd[0]))
			return 0; /* asked for again */
	r = keep_check(k, slot, name, fds, err);
	if (r < 0)
		return r;
	t = add(k, KEPT, slot, name, &fds->fd[0]);
	if (!t)
		return rk_err_set(err, -ENFILE, "no room for another descriptor");
	r = hold(t);
	if (r < 0) {
		drop(t);
		return rk_err_set(err, r, "keeper does not take it: %s", strerror(-r));
	}
	return 0;
}

static int unkeep(struct rk_kit *k, uint32_t slot, const char *name, struct rk_err *err)
{
	struct thing *t = find(k, KEPT, slot, name);

	if (!t)
		return rk_err_set(err, -ENOENT, "nothing is kept by this name");
	for (; t; t = find(k, KEPT, slot, name))
		drop(t);
	return 0;
}

static int message_do(struct rk_kit *k, uint32_t slot, const char *text, struct rk_fds *fds, struct rk_err *err)
{
	if (strncmp(text, " keep ", 6) == 0)
		return keep(k, slot, text + 6, fds, err);
	if (strncmp(text, " unkeep ", 8) == 0)
		return unkeep(k, slot, text + 8, err);
	return rk_err_set(err, -EINVAL, "it is neither 'N keep NAME' nor 'N unkeep NAME'");
}

static void answer(const struct thing *line, uint64_t number, int r, const struct rk_err *err)
{
	const char *code = r < 0 ? strerrorname_np(-r) : "ok";
	char text[sizeof(err->text) + 64];
	int n = snprintf(text, sizeof(text), "%llu %s%s%s", (unsigned long long)number, code ? code : "EIO", r < 0 ? " " : "",
			 err->text);

	(void)!rk_fd_send(line->fd, text, (size_t)n, NULL); /* who does not read it asks again, or is dead */
}

/* 1: there may be more; 0: there is nothing for now; -errno: it is over. */
static int message_take(struct thing *line)
{
	rk_cleanup(rk_fds_close_p) struct rk_fds fds = { 0 };
	struct rk_err err = { 0 };
	char text[MESSAGE_MAX + 1], *rest = text;
	uint64_t number = 0;
	size_t len;
	int r = rk_fd_recv(line->fd, text, MESSAGE_MAX, &len, &fds);

	if (r == -EAGAIN)
		return 0;
	if (r == -EMSGSIZE) {
		(void)rk_err_set(&err, -EMSGSIZE, "it is too long");
		answer(line, 0, -EMSGSIZE, &err);
		return 1;
	}
	if (r < 0 || len == 0)
		return r < 0 ? r : -EPIPE;
	text[len] = '\0';
	number = strtoull(text, &rest, 10);
	r = message_do(line->kit, line->slot, rest, &fds, &err);
	if (r < 0)
		rk_log(RK_LOG_WARNING, "a worker's descriptor is not kept slot=%u: %s", line->slot, err.text);
	answer(line, number, r, &err);
	return 1;
}

static int on_line(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	int r = 1;

	(void)fd;
	(void)events;
	for (uint32_t i = 0; r > 0 && i < MESSAGES_AT_ONCE; i++)
		r = message_take(arg);
	if (r < 0) /* the process has closed it, or is dead: rk_kit_hang_up() comes */
		(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

static int line_attend(struct thing *line)
{
	int r = rk_fd_nonblock(line->fd, 1);

	return r < 0 ? r : sd_event_add_io(line->kit->c.event, &line->source, line->fd, EPOLLIN, on_line, line);
}

void rk_kit_hang_up(struct rk_kit *k, uint32_t slot)
{
	struct thing *line = find(k, LINE, slot, NULL);

	if (!line)
		return;
	for (uint32_t i = 0; i < RK_SPAWN_KEPT_MAX && message_take(line) > 0; i++)
		;
	drop(line);
}

/* ---- what a process gets ---- */

/* FNV-1a: which address a socket is of, over supervisors and reloads. */
static const char *name_of(const char *address, char name[static RK_KIT_NAME_MAX])
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *c = address; *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	(void)snprintf(name, RK_KIT_NAME_MAX, "%016llx", (unsigned long long)hash);
	return name;
}

static int address_of(const struct rk_kit *k, uint32_t slot, uint32_t i, char ret[static RK_LISTEN_ADDRESS],
		      struct rk_err *err)
{
	const struct rk_listen_slot of = { k->c.name, slot, k->c.o->port };

	return rk_listen_expand(k->c.o->listen.at[i], &of, ret, err);
}

/* Those that Listen= says no more. */
static int others_drop(struct rk_kit *k, uint32_t slot, struct rk_err *err)
{
	char address[RK_LISTEN_ADDRESS], name[RK_KIT_NAME_MAX];

	for (struct thing *t = k->things, *next; t; t = next) {
		bool is_said = t->kind != LISTENS || t->slot != slot;

		next = t->next;
		for (uint32_t i = 0; !is_said && i < k->c.o->listen.n; i++) {
			int r = address_of(k, slot, i, address, err);

			if (r < 0)
				return r;
			is_said = strcmp(t->name, name_of(address, name)) == 0;
		}
		if (!is_said)
			drop(t);
	}
	return 0;
}

/* Returns it, which stays ours, or -errno. */
static int socket_give(struct rk_kit *k, uint32_t slot, uint32_t i, struct rk_err *err)
{
	char address[RK_LISTEN_ADDRESS], name[RK_KIT_NAME_MAX];
	rk_cleanup(rk_close_p) int fd = -1;
	struct thing *t;
	int r = address_of(k, slot, i, address, err);

	if (r < 0)
		return r;
	t = find(k, LISTENS, slot, name_of(address, name));
	if (!t) {
		r = rk_listen_open(address, &fd, err);
		if (r < 0)
			return r;
		t = add(k, LISTENS, slot, name, &fd);
		if (!t)
			return rk_err_set(err, -ENFILE, "no room for the socket of %.120s", address);
	}
	if (hold(t) < 0)
		rk_log(RK_LOG_WARNING, "keeper does not hold a socket, it would not outlive this supervisor slot=%u address=%s",
		       slot, address);
	r = rk_listen_mend(t->fd);
	return r < 0 ? rk_err_set(err, r, "%.120s listens no more: %s", address, strerror(-r)) : t->fd;
}

static int line_give(struct rk_kit *k, uint32_t slot, struct rk_err *err)
{
	rk_cleanup(rk_close_p) int ours = -1;
	struct thing *line;
	int pair[2], r;

	rk_kit_hang_up(k, slot);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return rk_err_set(err, -errno, "socketpair: %s", strerror(errno));
	ours = pair[0];
	k->end = fcntl(pair[1], F_DUPFD_CLOEXEC, RK_CHILD_FLOOR);
	(void)close(pair[1]);
	line = k->end < 0 ? NULL : add(k, LINE, slot, "line", &ours);
	if (!line)
		return rk_err_set(err, -ENFILE, "no room for a worker's line");
	r = line_attend(line);
	if (r >= 0)
		r = hold(line);
	if (r >= 0)
		return 0;
	drop(line);
	return rk_err_set(err, r, "a worker's line cannot be made: %s", strerror(-r));
}

int rk_kit_give(struct rk_kit *k, uint32_t slot, struct rk_kit_given *ret, struct rk_err *err)
{
	int r = others_drop(k, slot, err);

	rk_kit_given(k);
	ret->more = (struct rk_spawn_more){ .listen = ret->listen, .kept = ret->kept, .line = -1 };
	for (uint32_t i = 0; r >= 0 && i < rk_min_u32(k->c.o->listen.n, RK_SPAWN_LISTEN_MAX); i++) {
		r = socket_give(k, slot, i, err);
		ret->listen[ret->more.n_listen++] = r;
	}
	if (r >= 0 && k->c.o->n_descriptors_kept)
		r = line_give(k, slot, err);
	if (r < 0) {
		rk_kit_given(k);
		return r;
	}
	ret->more.line = k->end;
	for (const struct thing *t = k->things; t && ret->more.n_kept < RK_SPAWN_KEPT_MAX; t = t->next)
		if (t->kind == KEPT && t->slot == slot)
			ret->kept[ret->more.n_kept++] = (struct rk_spawn_kept){ t->fd, t->name };
	return 0;
}

void rk_kit_given(struct rk_kit *k)
{
	rk_close_p(&k->end);
}

void rk_kit_release(struct rk_kit *k, uint32_t slot)
{
	for (struct thing *t = k->things, *next; t; t = next) {
		next = t->next;
		if (slot == EVERY_SLOT || t->slot == slot)
			drop(t);
	}
}

void rk_kit_farewell(const char *name, int fd)
{
	if (name[0] == LISTENS && name[1] == '.')
		rk_listen_unlink(fd);
}

/* ---- beginning and end ---- */

static bool adopt_one(struct rk_kit *k, struct rk_heirloom *one)
{
	enum kind kind = (enum kind)one->about.name[0];
	struct thing *t;

	if ((kind != LISTENS && kind != KEPT && kind != LINE) || one->about.name[1] != '.')
		return false; /* another release's */
	t = add(k, kind, rk_link_tag_slot(one->about.tag), one->about.name + 2, &one->fd);
	if (!t)
		return false;
	t->number = rk_link_tag_incarnation(one->about.tag);
	t->is_held = true;
	if (kind == LINE && line_attend(t) < 0)
		rk_log(RK_LOG_WARNING, "a worker cannot ask for descriptors to be kept slot=%u", t->slot);
	return true;
}

void rk_kit_adopt(struct rk_kit *k, struct rk_inherit *in)
{
	uint64_t last = k->last;

	for (uint32_t i = 0; i < in->n; i++) {
		struct rk_heirloom *one = &in->at[i];

		if (one->about.kind != RK_LINK_DESCRIPTOR || one->fd < 0 || rk_link_tag_fleet(one->about.tag) != k->c.fleet)
			continue;
		if (adopt_one(k, one))
			last = rk_max_u64(last, rk_link_tag_incarnation(one->about.tag));
	}
	k->last = last;
}

int rk_kit_open(const struct rk_kit_conf *conf, struct rk_kit **ret)
{
	struct rk_kit *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->c = *conf;
	k->end = -1;
	*ret = k;
	return 0;
}

void rk_kit_configure(struct rk_kit *k, const struct rk_fleet_options *o, const char *name)
{
	k->c.o = o;
	k->c.name = name;
}

void rk_kit_close(struct rk_kit *k)
{
	if (!k)
		return;
	rk_kit_given(k);
	while (k->things) {
		struct thing *t = k->things;

		k->things = t->next;
		(void)sd_event_source_disable_unref(t->source);
		rk_close_p(&t->fd);
		free(t);
	}
	free(k);
}
