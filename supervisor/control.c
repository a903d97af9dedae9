/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/control.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/rundir.h"
#include "supervisor/access.h"
#include "supervisor/inject.h"
#include "supervisor/letters.h"
#include "supervisor/output.h"
#include "supervisor/verb.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; this libc's headers are older */
#endif

#define BACKLOG 128
#define CONNECTIONS_ROOM 64u  /* beside one per client page and reader line */
#define MESSAGES_PER_READ 16u /* one request at a time is the rule; more is a flood */
#define ERRORS_MAX 8u
#define JSON_DEPTH 4
#define CONTROL_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

struct connection {
	struct rk_control *control;
	struct connection *next, *previous;
	int fd;
	struct rk_peer peer;
	struct rk_access_peer who; /* as it was when it connected */
	bool is_admin;
	sd_event_source *io, *death;
	struct rk_fleet *fleet; /* that page and reader are of */
	uint32_t page, reader;  /* RK_CLIENTS_NONE = none */
	uint32_t n_errors;
	bool is_deaf; /* cut off: only its end is waited for */
	size_t len;
	char bytes[RK_CONTROL_MESSAGE_MAX];
};

struct rk_control {
	struct rk_control_conf c;
	int fd;
	sd_event_source *source;
	struct connection *connections;
	uint32_t n, n_max;
};

/* A request being answered. */
struct request {
	struct connection *from;
	struct json_object *in;  /* borrowed */
	struct json_object *out; /* owned by whoever answers */
	struct rk_fds fds;       /* to send; borrowed descriptors */
};

/* What becomes of a client. */
RK_PRINTF(3, 4)
static void note(const struct connection *k, enum rk_log_level level, const char *fmt, ...)
{
	const struct rk_control_conf *c = &k->control->c;
	struct rk_note about = { .kind = RK_FLIGHT_CLIENT,
				 .level = level,
				 .fleet = c->name,
				 .slot = RK_FLIGHT_NOBODY,
				 .pid = k->peer.pid };
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)rk_recorder_note(c->recorder, &about, "%s", text);
}

/* ---- the end of a connection ---- */

/* Its page and reader line go back. */
static void place_release(struct connection *k)
{
	/* Unless a successor of the same name has it by now. */
	if (k->page != RK_CLIENTS_NONE && rk_clients_holds(k->fleet->clients, k->page, &k->peer))
		rk_clients_release(k->fleet->clients, k->page);
	if (k->reader != RK_CLIENTS_NONE)
		rk_clients_release_reader(k->fleet->clients, k->reader);
	if (k->page != RK_CLIENTS_NONE)
		note(k, RK_LOG_DEBUG, "client gone page=%u", k->page);
	if (k->page != RK_CLIENTS_NONE || k->reader != RK_CLIENTS_NONE)
		rk_fleet_on_clients(k->fleet);
}

static void connection_free(struct connection *k)
{
	struct rk_control *c = k->control;

	(void)sd_event_source_disable_unref(k->io);
	(void)sd_event_source_disable_unref(k->death);
	rk_close_p(&k->fd);
	rk_close_p(&k->peer.pidfd);
	rk_access_peer_free_p(&k->who);
	if (k->next)
		k->next->previous = k->previous;
	*(k->previous ? &k->previous->next : &c->connections) = k->next;
	c->n--;
	free(k);
}

static void connection_close(struct connection *k)
{
	struct rk_control *c = k->control;

	place_release(k);
	connection_free(k);
	/* A full house may have switched it off. */
	(void)sd_event_source_set_enabled(c->source, SD_EVENT_ON);
}

/* Returns false: the connection is no more to be read from, and maybe gone. Without a reason it is the peer that went. */
static bool cut_off(struct connection *k, const char *why)
{
	if (k->page == RK_CLIENTS_NONE && k->reader == RK_CLIENTS_NONE) {
		connection_close(k);
		return false;
	}
	k->is_deaf = true;
	(void)sd_event_source_set_io_events(k->io, 0); /* EPOLLHUP still comes */
	if (why)
		note(k, RK_LOG_WARNING, "client cut off, %s page=%d", why, (int)k->page);
	return false;
}

/* ---- answers ---- */

static bool answer_send(struct connection *k, struct json_object *out, const struct rk_fds *fds)
{
	size_t len;
	const char *text = json_object_to_json_string_length(out, JSON_C_TO_STRING_PLAIN, &len);

	int r = text ? rk_fd_send(k->fd, text, len + 1, fds) : -ENOMEM;

	if (r == -EPIPE || r == -ECONNRESET)
		return cut_off(k, NULL);
	return r < 0 ? cut_off(k, r == -EAGAIN ? "it does not read its answers" : strerror(-r)) : true;
}

static bool answer_error(struct connection *k, const struct rk_err *err)
{
	struct json_object *out = json_object_new_object();
	const char *code = strerrorname_np(-err->code);
	bool go_on = false;

	if (out) {
		json_object_object_add(out, "ok", json_object_new_boolean(0));
		json_object_object_add(out, "code", json_object_new_string(code ? code : "EIO"));
		json_object_object_add(out, "error", json_object_new_string(err->text));
		go_on = answer_send(k, out, NULL);
	}
	json_object_put(out);
	return go_on;
}

/* An error that the peer should not have provoked: a few are answered. */
static bool answer_nonsense(struct connection *k, const struct rk_err *err)
{
	if (!answer_error(k, err))
		return false;
	return ++k->n_errors < ERRORS_MAX ? true : cut_off(k, "its messages make no sense");
}

static void put_number(struct request *q, const char *key, uint64_t value)
{
	json_object_object_add(q->out, key, json_object_new_uint64(value));
}

static void put_fd(struct request *q, int fd)
{
	q->fds.fd[q->fds.n++] = fd; /* at most five */
}

/* ---- verbs: 0, or an error to answer with ---- */

static int abi_check(const struct request *q, struct rk_err *err)
{
	struct json_object *abi;

	if (!json_object_object_get_ex(q->in, "abi", &abi) ||
	    !json_object_is_type(abi, json_type_int))
		return rk_err_set(err, -EINVAL, "the request names no \"abi\"");
	if (json_object_get_int64(abi) != RK_ABI_VERSION)
		return rk_err_set(err, -EPROTO,
				  "the fleet speaks ABI %u, this program %lld: use programs and "
				  "library of one release",
				  RK_ABI_VERSION, (long long)json_object_get_int64(abi));
	return 0;
}

/* A member that is a text, or NULL when it is not there. */
static int text_get(const struct request *q, const char *member, const char **ret, struct rk_err *err)
{
	struct json_object *text;

	*ret = NULL;
	if (!json_object_object_get_ex(q->in, member, &text) || !text)
		return 0;
	if (!json_object_is_type(text, json_type_string) ||
	    strlen(json_object_get_string(text)) != (size_t)json_object_get_string_len(text))
		return rk_err_set(err, -EINVAL, "\"%s\" must be a string", member);
	*ret = json_object_get_string(text);
	return 0;
}

static int fleet_choose(const struct rk_control_conf *c, struct rk_err *err)
{
	char names[160] = "";

	for (uint32_t i = 0; i < c->fleets->n; i++)
		(void)snprintf(names + strlen(names), sizeof(names) - strlen(names), " %s/%s", c->name,
			       c->fleets->at[i]->conf->name);
	return rk_err_set(err, -E2BIG, "%u fleets run under this name: choose one of%s", c->fleets->n, names);
}

/* By the options of now: a reload may have changed them. */
static int fleet_check(const struct connection *k, const struct rk_fleet *f, struct rk_err *err)
{
	if (k->is_admin || rk_access_may_use(&f->conf->o, &k->who))
		return 0;
	return rk_err_set(err, -EPERM, "uid %u may not use fleet '%s': its ClientUser and ClientGroup do not say so",
			  (unsigned int)k->who.uid, f->conf->name);
}

/* The fleet that is asked for: the only one, or the one of the request's "fleet". */
static int fleet_get(const struct request *q, struct rk_fleet **ret, struct rk_err *err)
{
	const char *name;
	int r = text_get(q, "fleet", &name, err);

	if (r == 0)
		r = rk_control_fleet(&q->from->control->c, name, ret, err);
	return r < 0 ? r : fleet_check(q->from, *ret, err);
}

int rk_control_fleet(const struct rk_control_conf *c, const char *name, struct rk_fleet **ret, struct rk_err *err)
{
	for (uint32_t i = 0; i < c->fleets->n; i++) {
		struct rk_fleet *f = c->fleets->at[i];

		if (name ? strcmp(f->conf->name, name) != 0 : c->fleets->n > 1)
			continue;
		*ret = f;
		return 0;
	}
	return name ? rk_err_set(err, -ENOENT, "'%s' runs no fleet named '%.60s'", c->name, name) : fleet_choose(c, err);
}

static int once_check(const struct connection *k, struct rk_err *err)
{
	if (k->page == RK_CLIENTS_NONE && k->reader == RK_CLIENTS_NONE)
		return 0;
	return rk_err_set(err, -EALREADY,
			  "this connection has been opened already: use another one");
}

static int name_check(const struct connection *k, const char *name, struct rk_err *err)
{
	if (!name || k->is_admin || !rk_clients_is_reserved(name))
		return 0;
	return rk_err_set(err, -EPERM, "client names that begin with '" RK_CLIENTS_RESERVED
			  "' are for root and the owner: choose another one");
}

static int verb_open(struct request *q, struct rk_err *err)
{
	struct connection *k = q->from;
	const struct rk_segments *s;
	struct rk_fleet *f = NULL;
	struct rk_grant grant;
	const char *name = NULL;
	int r = abi_check(q, err);

	if (r == 0)
		r = once_check(k, err);
	if (r == 0)
		r = fleet_get(q, &f, err);
	if (r == 0)
		r = text_get(q, "name", &name, err);
	if (r == 0)
		r = name_check(k, name, err);
	if (r == 0)
		r = rk_clients_open(f->clients, name, &k->peer, &grant, err);
	if (r < 0)
		return r;
	s = &f->segments;
	k->fleet = f;
	k->page = grant.page;
	note(k, RK_LOG_DEBUG, "client opened page=%u id=%llu name=%s", grant.page,
	     (unsigned long long)grant.id, name ? name : "-");
	k->reader = grant.reader;
	put_number(q, "page", grant.page);
	put_number(q, "id", grant.id);
	put_number(q, "reader", grant.reader);
	put_number(q, "quota", f->conf->o.n_quota);
	json_object_object_add(q->out, "named", json_object_new_boolean(grant.is_named));
	put_fd(q, s->fd_read[RK_SEGMENT_BOARD]);
	put_fd(q, s->fd[RK_SEGMENT_CALLS]);
	put_fd(q, s->fd[RK_SEGMENT_QUEUES]);
	put_fd(q, s->fd[RK_SEGMENT_READERS]);
	rk_fleet_on_clients(f);
	return 0;
}

static int verb_read(struct request *q, struct rk_err *err)
{
	struct connection *k = q->from;
	const struct rk_segments *s;
	struct rk_fleet *f = NULL;
	uint32_t reader;
	int r = abi_check(q, err);

	if (r == 0)
		r = once_check(k, err);
	if (r == 0)
		r = fleet_get(q, &f, err);
	if (r == 0)
		r = rk_clients_read(f->clients, &k->peer, &reader, err);
	if (r < 0)
		return r;
	s = &f->segments;
	k->fleet = f;
	k->reader = reader;
	put_number(q, "reader", reader);
	put_fd(q, s->fd_read[RK_SEGMENT_BOARD]);
	put_fd(q, s->fd[RK_SEGMENT_READERS]);
	if (!k->is_admin)
		return 0; /* what the workers do, and other clients' requests, are none of its business */
	put_fd(q, s->fd_read[RK_SEGMENT_BEATS]);
	put_fd(q, s->fd_read[RK_SEGMENT_PARTS]);
	put_fd(q, s->fd_read[RK_SEGMENT_QUEUES]);
	put_fd(q, s->fd_read[RK_SEGMENT_DEAD]);
	return 0;
}

static int verb_ping(struct request *q, struct rk_err *err)
{
	const struct rk_control_conf *c = &q->from->control->c;
	struct json_object *fleets;

	(void)err;
	json_object_object_add(q->out, "name", json_object_new_string(c->name));
	put_number(q, "keeper_pid", (uint64_t)c->keeper);
	put_number(q, "supervisor_pid", (uint64_t)c->supervisor);
	json_object_object_add(q->out, "release", json_object_new_string(PACKAGE_VERSION));
	fleets = json_object_new_array();
	for (uint32_t i = 0; i < c->fleets->n; i++)
		json_object_array_add(fleets, json_object_new_string(c->fleets->at[i]->conf->name));
	json_object_object_add(q->out, "fleets", fleets);
	return 0;
}

/* Of the operator's doings the flight recorder tells. */
static void note_letter(const struct request *q, const struct rk_fleet *f, const struct rk_letters_act *act)
{
	struct rk_note about = { .kind = RK_FLIGHT_QUARANTINE,
				 .level = RK_LOG_NOTICE,
				 .fleet = f->conf->name,
				 .slot = RK_FLIGHT_NOBODY,
				 .pid = q->from->peer.pid };

	(void)rk_recorder_note(q->from->control->c.recorder, &about,
			       "dead letter %s job=%llu partition=%u uid=%u", act->what,
			       (unsigned long long)act->job, act->partition, (unsigned int)q->from->who.uid);
}

static int verb_dead(struct request *q, struct rk_err *err)
{
	struct rk_letters_act act;
	struct rk_fleet *f = NULL;
	int r = abi_check(q, err);

	if (r == 0)
		r = fleet_get(q, &f, err);
	if (r == 0)
		r = rk_letters_act(&f->segments.m, q->in, &act, err);
	if (r < 0)
		return r;
	note_letter(q, f, &act);
	put_number(q, "word", act.word);
	return 0;
}

static int verb_stop(struct request *q, struct rk_err *err)
{
	const struct rk_control_conf *c = &q->from->control->c;

	(void)err;
	put_number(q, "keeper_pid", (uint64_t)c->keeper);
	c->on_stop(c->arg); /* only asks: the answer goes out before anything ends */
	return 0;
}

static int verb_output(struct request *q, struct rk_err *err)
{
	struct rk_fleet *f = NULL;
	int r = fleet_get(q, &f, err);
	const struct rk_output *o;

	if (r < 0)
		return r;
	o = &f->conf->o.output;
	json_object_object_add(q->out, "fleet", json_object_new_string(f->conf->name));
	json_object_object_add(q->out, "output", json_object_new_string(rk_output_name(o->to)));
	if (o->path)
		json_object_object_add(q->out, "path", json_object_new_string(o->path));
	put_number(q, "slots", rk_crew_n_used(f->crew));
	put_number(q, "keeper_pid", (uint64_t)q->from->control->c.keeper);
	return 0;
}

static int verb_fault(struct request *q, struct rk_err *err)
{
	struct rk_inject_request ask;
	struct rk_inject_hit hit;
	struct rk_fleet *f = NULL;
	int r = fleet_get(q, &f, err);

	if (r == 0)
		r = rk_inject_read(q->in, &ask, err);
	if (r < 0)
		return r;
	ask.pid = q->from->peer.pid;
	r = rk_crew_fault(f->crew, &ask, &hit, err);
	if (r < 0)
		return r;
	put_number(q, "worker", hit.worker);
	put_number(q, "pid", (uint64_t)hit.pid);
	put_number(q, "incarnation", hit.incarnation);
	return 0;
}

static const struct verb {
	const char *name;
	enum rk_verb_role role; /* the least that it takes */
	int (*run)(struct request *q, struct rk_err *err);
} verbs[] = {
	{ "open", RK_VERB_USE, verb_open },
	{ "read", RK_VERB_USE, verb_read },
	{ "ping", RK_VERB_USE, verb_ping },
	{ "stop", RK_VERB_ADMIN, verb_stop },
	{ "output", RK_VERB_ADMIN, verb_output },
	{ "fault", RK_VERB_ADMIN, verb_fault },
	{ "dead", RK_VERB_ADMIN, verb_dead },
};

static const char *verb_name(struct json_object *in, struct rk_err *err)
{
	struct json_object *name;

	if (json_object_object_get_ex(in, "verb", &name) && json_object_is_type(name, json_type_string))
		return json_object_get_string(name);
	(void)rk_err_set(err, -EINVAL, "the request names no \"verb\"");
	return NULL;
}

/* One of the verbs that need a connection; NULL if it is none of them. */
static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < rk_countof(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* One of the operators' (verb.h), which only want an answer. */
static int verb_operate(struct request *q, const struct rk_verb *verb, struct rk_err *err)
{
	struct rk_verb_request request = { .c = &q->from->control->c, .in = q->in, .out = q->out };

	return verb->run(&request, err);
}

/* ---- messages ---- */

static struct json_object *message_parse(const char *text, size_t len, struct rk_err *err)
{
	struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH);
	struct json_object *in = NULL;

	if (!tok) {
		(void)rk_err_set(err, -ENOMEM, "no memory for the request");
		return NULL;
	}
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	in = json_tokener_parse_ex(tok, text, (int)len + 1); /* the NUL ends a number, too */
	if (!in || json_tokener_get_error(tok) != json_tokener_success ||
	    !json_object_is_type(in, json_type_object)) {
		json_object_put(in);
		in = NULL;
		(void)rk_err_set(err, -EBADMSG,
				 "the message is not a JSON object followed by a NUL byte");
	}
	json_tokener_free(tok);
	return in;
}

static int role_check(const struct connection *k, const char *name, enum rk_verb_role role, struct rk_err *err)
{
	if (role == RK_VERB_USE || k->is_admin)
		return 0;
	return rk_err_set(err, -EPERM, "uid %u is a client here: '%s' is for root and the owner, uid %u",
			  (unsigned int)k->who.uid, name, (unsigned int)geteuid());
}

/* Returns false when the connection is no more to be read from. */
static bool request_answer(struct connection *k, const char *name, struct json_object *in)
{
	const struct verb *verb = verb_find(name);
	const struct rk_verb *other = verb ? NULL : rk_verb_find(name);
	struct request q = { .from = k, .in = in };
	struct rk_err err = { 0 };
	bool go_on;
	int r;

	if (!verb && !other) {
		(void)rk_err_set(&err, -EOPNOTSUPP, "verb '%.32s' is not known: doc/architecture.md lists them", name);
		return answer_nonsense(k, &err);
	}
	if (role_check(k, name, verb ? verb->role : other->role, &err) < 0)
		return answer_nonsense(k, &err);
	q.out = json_object_new_object();
	if (!q.out)
		return cut_off(k, "there is no memory for its answer");
	json_object_object_add(q.out, "ok", json_object_new_boolean(1));
	r = verb ? verb->run(&q, &err) : verb_operate(&q, other, &err);
	go_on = r < 0 ? answer_error(k, &err) : answer_send(k, q.out, &q.fds);
	json_object_put(q.out);
	return go_on;
}

static bool message_answer(struct connection *k, const char *text, size_t len)
{
	struct rk_err err = { 0 };
	struct json_object *in = message_parse(text, len, &err);
	const char *verb = in ? verb_name(in, &err) : NULL;
	bool go_on = verb ? request_answer(k, verb, in) : answer_nonsense(k, &err);

	json_object_put(in);
	return go_on;
}

/* Answers what is complete and keeps the rest. Returns false as above. */
static bool messages_answer(struct connection *k)
{
	size_t at = 0;
	char *end;

	for (uint32_t n = 0; (end = memchr(k->bytes + at, '\0', k->len - at)) != NULL; n++) {
		size_t len = (size_t)(end - (k->bytes + at));

		if (n == MESSAGES_PER_READ)
			return cut_off(k, "it sends too many messages at once");
		if (!message_answer(k, k->bytes + at, len))
			return false;
		at += len + 1;
	}
	k->len -= at;
	memmove(k->bytes, k->bytes + at, k->len);
	return true;
}

static void too_large(struct connection *k)
{
	struct rk_err err;

	(void)rk_err_set(&err, -EMSGSIZE, "a message has at most %u bytes and %u descriptors",
			 RK_CONTROL_MESSAGE_MAX, RK_FDS_MAX);
	if (answer_error(k, &err))
		(void)cut_off(k, "its message is too large");
}

static void connection_read(struct connection *k)
{
	size_t n;
	/* Descriptors that come with it are closed: no verb takes any. */
	int r = rk_fd_recv(k->fd, k->bytes + k->len, sizeof(k->bytes) - k->len, &n, NULL);

	if (r == -EAGAIN)
		return;
	if (r == -EMSGSIZE) {
		too_large(k);
		return;
	}
	if (r < 0 || n == 0) {
		connection_close(k);
		return;
	}
	k->len += n;
	if (messages_answer(k) && k->len == sizeof(k->bytes))
		too_large(k);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct connection *k = arg;

	(void)source;
	(void)fd;
	if ((events & EPOLLIN) && !k->is_deaf)
		connection_read(k);
	else if (events & (EPOLLHUP | EPOLLERR))
		connection_close(k);
	return 0;
}

static int on_death(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	connection_close(arg); /* even if a child of it still holds the socket */
	return 0;
}

/* ---- who connects ---- */

static bool has_hung_up(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

static int peer_pidfd(int fd, pid_t pid)
{
	socklen_t len = sizeof(int);
	int pidfd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0)
		return pidfd;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return -errno;
	/* The pid may have passed to another process before we opened it: not while it is there. */
	if (has_hung_up(fd)) {
		rk_close_p(&pidfd);
		return -ESRCH;
	}
	return pidfd;
}

/* Whether it may do anything at all. */
static int roles_check(struct connection *k, struct rk_err *err)
{
	const struct rk_fleets *fleets = k->control->c.fleets;

	k->is_admin = k->who.uid == 0 || k->who.uid == geteuid();
	if (k->is_admin)
		return 0;
	for (uint32_t i = 0; i < fleets->n; i++)
		if (rk_access_may_use(&fleets->at[i]->conf->o, &k->who))
			return 0;
	return rk_err_set(err, -EPERM, "uid %u may not use this fleet: its owner's uid is %u",
			  (unsigned int)k->who.uid, (unsigned int)geteuid());
}

static int peer_check(struct connection *k, struct rk_err *err)
{
	int r = rk_access_peer(k->fd, &k->who);

	if (r < 0)
		return rk_err_set(err, r, "cannot tell who connects");
	if (k->who.pid <= 0)
		return rk_err_set(err, -EPERM,
				  "this process is in a pid namespace that the fleet cannot see");
	r = roles_check(k, err);
	if (r < 0)
		return r;
	k->peer.pid = k->who.pid;
	k->peer.pidfd = peer_pidfd(k->fd, k->who.pid);
	return k->peer.pidfd < 0 ? rk_err_set(err, k->peer.pidfd, "cannot hold on to the peer") : 0;
}

static int connection_attend(struct connection *k)
{
	sd_event *event = k->control->c.event;
	int r = sd_event_add_io(event, &k->io, k->fd, EPOLLIN, on_io, k);

	if (r >= 0)
		r = sd_event_add_io(event, &k->death, k->peer.pidfd, EPOLLIN, on_death, k);
	if (r < 0)
		return r;
	(void)sd_event_source_set_priority(k->io, CONTROL_PRIORITY);
	(void)sd_event_source_set_priority(k->death, CONTROL_PRIORITY + 1);
	return 0;
}

static int connection_accept(struct rk_control *c, struct connection *k, struct rk_err *err)
{
	int r;

	if (c->n > c->n_max)
		return rk_err_set(err, -EAGAIN,
				  "%u connections are open already: close some, or try again",
				  c->n_max);
	r = peer_check(k, err);
	if (r == 0)
		r = connection_attend(k);
	return r < 0 ? r : 0;
}

static struct connection *connection_new(struct rk_control *c, int fd)
{
	struct connection *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->control = c;
	k->fd = fd;
	k->peer.pidfd = -1;
	k->page = k->reader = RK_CLIENTS_NONE;
	k->next = c->connections;
	if (k->next)
		k->next->previous = k;
	c->connections = k;
	c->n++;
	return k;
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct rk_control *c = arg;
	struct rk_err err = { .code = -EIO, .text = "the connection cannot be served" };
	struct connection *k;

	(void)events;
	fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
			return 0;
		/* It would stay readable and keep us busy: until the next close(). */
		rk_log(RK_LOG_WARNING, "no more connections for now: %m");
		(void)sd_event_source_set_enabled(source, c->n ? SD_EVENT_OFF : SD_EVENT_ON);
		return 0;
	}
	k = connection_new(c, fd);
	if (!k) {
		rk_close_p(&fd);
		return 0;
	}
	if (connection_accept(c, k, &err) < 0 && answer_error(k, &err))
		connection_close(k);
	return 0;
}

/* ---- the socket ---- */

/* Who may connect: those that the fleets name. */
static int admit(const struct rk_control_conf *c, const char *path, struct rk_err *err)
{
	struct rk_access_socket s = { (uid_t)-1, (gid_t)-1, 0 };
	bool is_for_all;

	for (uint32_t i = 0; i < c->fleets->n; i++)
		if (!c->fleets->at[i]->is_leaving)
			rk_access_admit(&s, &c->fleets->at[i]->conf->o);
	is_for_all = (s.uid != (uid_t)-1 && s.uid != geteuid()) || (s.mode & 0007);
	if (chown(path, s.uid == (uid_t)-1 ? geteuid() : s.uid, s.gid == (gid_t)-1 ? getegid() : s.gid) < 0)
		return rk_err_set(err, -errno, "cannot give %s to ClientUser and ClientGroup: %s", path,
				  strerror(errno));
	if (chmod(path, s.mode) < 0)
		return rk_err_set(err, -errno, "%s: %s", path, strerror(errno));
	return rk_rundir_admit(c->name, s.gid, is_for_all, err);
}

static int listen_at(const char *path, struct rk_err *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	rk_cleanup(rk_close_p) int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	_Static_assert(RK_PATH_MAX <= sizeof(at.sun_path), "a path fits");
	strcpy(at.sun_path, path); /* length asserted */
	/* We hold the directory's lock: what is there belongs to nobody any more. */
	if (fd >= 0)
		(void)unlink(path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    chmod(path, 0600) < 0 || listen(fd, BACKLOG) < 0)
		return rk_err_set(err, -errno, "cannot listen at %s: %s", path, strerror(errno));
	return rk_take_fd(&fd);
}

int rk_control_open(const struct rk_control_conf *conf, struct rk_control **ret, struct rk_err *err)
{
	char path[RK_PATH_MAX];
	struct rk_control *c;
	int r = rk_rundir_path(conf->name, "control", path, err);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return rk_err_set(err, -ENOMEM, "no memory for the control socket");
	c->c = *conf;
	c->n_max = CONNECTIONS_ROOM;
	for (uint32_t i = 0; i < conf->fleets->n; i++)
		rk_control_admit(c, conf->fleets->at[i]);
	c->fd = r = listen_at(path, err);
	if (r >= 0)
		r = admit(conf, path, err);
	if (r >= 0) {
		r = sd_event_add_io(conf->event, &c->source, c->fd, EPOLLIN, on_connect, c);
		if (r < 0)
			(void)rk_err_set(err, r, "cannot watch the control socket");
	}
	if (r < 0) {
		rk_control_close(c);
		return r;
	}
	(void)sd_event_source_set_priority(c->source, CONTROL_PRIORITY);
	*ret = c;
	return 0;
}

int rk_control_readmit(struct rk_control *c, struct rk_err *err)
{
	char path[RK_PATH_MAX];
	int r = rk_rundir_path(c->c.name, "control", path, err);

	return r < 0 ? r : admit(&c->c, path, err);
}

void rk_control_admit(struct rk_control *c, const struct rk_fleet *f)
{
	c->n_max += f->segments.m.g.n_clients + f->segments.m.g.n_readers;
}

void rk_control_forget(struct rk_control *c, const struct rk_fleet *f)
{
	for (struct connection *k = c->connections, *next; k; k = next) {
		next = k->next;
		if (k->fleet == f)
			connection_close(k);
	}
	c->n_max -= f->segments.m.g.n_clients + f->segments.m.g.n_readers;
}

void rk_control_close(struct rk_control *c)
{
	if (!c)
		return;
	/* Its client lives, and may be about to read a last reply in its page: nothing of it is touched. */
	while (c->connections)
		connection_free(c->connections);
	(void)sd_event_source_disable_unref(c->source);
	rk_close_p(&c->fd);
	free(c);
}
