/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/control_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"

#define MESSAGES_PER_READ 16u /* one request at a time is the rule; more is a flood */
#define ERRORS_MAX 8u
#define JSON_DEPTH 4

/* ---- answers ---- */

static bool answer_send(struct rk_connection *k, struct json_object *out, const struct rk_fds *fds)
{
	size_t len;
	const char *text = json_object_to_json_string_length(out, JSON_C_TO_STRING_PLAIN, &len);

	int r = text ? rk_fd_send(k->fd, text, len + 1, fds) : -ENOMEM;

	if (r == -EPIPE || r == -ECONNRESET)
		return rk_connection_cut_off(k, NULL);
	return r < 0 ? rk_connection_cut_off(k, r == -EAGAIN ? "it does not read its answers" : strerror(-r)) : true;
}

bool rk_connection_refuse(struct rk_connection *k, const struct rk_err *err)
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
static bool answer_nonsense(struct rk_connection *k, const struct rk_err *err)
{
	if (!rk_connection_refuse(k, err))
		return false;
	return ++k->n_errors < ERRORS_MAX ? true : rk_connection_cut_off(k, "its messages make no sense");
}

/* ---- messages ---- */

static const char *verb_name(struct json_object *in, struct rk_err *err)
{
	struct json_object *name;

	if (json_object_object_get_ex(in, "verb", &name) && json_object_is_type(name, json_type_string))
		return json_object_get_string(name);
	(void)rk_err_set(err, -EINVAL, "the request names no \"verb\"");
	return NULL;
}

/* One of the operators' (verb.h), which only want an answer. */
static int verb_operate(struct rk_control_request *q, const struct rk_verb *verb, struct rk_err *err)
{
	struct rk_verb_request request = { .c = &q->from->control->c, .in = q->in, .out = q->out, .fd = -1 };
	int r = verb->run(&request, err);

	if (r == 0 && request.fd >= 0)
		q->fds.fd[q->fds.n++] = request.fd;
	q->own_fd = request.fd;
	return r;
}

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

static int role_check(const struct rk_connection *k, const char *name, enum rk_verb_role role, struct rk_err *err)
{
	if (role == RK_VERB_USE || k->is_admin)
		return 0;
	return rk_err_set(err, -EPERM, "uid %u is a client here: '%s' is for root and the owner, uid %u",
			  (unsigned int)k->who.uid, name, (unsigned int)geteuid());
}

/* Nothing more is read from it before it is answered; EPOLLHUP still comes. */
static bool wait_begin(struct rk_connection *k, struct json_object *out)
{
	json_object_put(out);
	k->is_waiting = true;
	(void)sd_event_source_set_io_events(k->io, 0);
	return true;
}

/* Returns false when the connection is no more to be read from. */
static bool request_answer(struct rk_connection *k, const char *name, struct json_object *in)
{
	const struct rk_control_verb *verb = rk_control_verb_find(name);
	const struct rk_verb *other = verb ? NULL : rk_verb_find(name);
	struct rk_control_request q = { .from = k, .in = in, .own_fd = -1 };
	struct rk_err err = { 0 };
	bool go_on;
	int r;

	if (!verb && !other) {
		(void)rk_err_set(&err, -EOPNOTSUPP, "verb '%.32s' is not known: doc/architecture.md lists them", name);
		return answer_nonsense(k, &err);
	}
	if (role_check(k, name, verb ? verb->role : other->role, &err) < 0)
		return answer_nonsense(k, &err);
	if (other && rk_connection_has_hung_up(k->fd)) {
		/* It has been told that nobody answers, and may have asked for something else since. */
		rk_connection_note(k, RK_LOG_NOTICE, "'%.32s' is not done, who asked for it has gone", name);
		return rk_connection_cut_off(k, NULL);
	}
	q.out = json_object_new_object();
	if (!q.out)
		return rk_connection_cut_off(k, "there is no memory for its answer");
	json_object_object_add(q.out, "ok", json_object_new_boolean(1));
	r = verb ? verb->run(&q, &err) : verb_operate(&q, other, &err);
	if (r == RK_VERB_LATER)
		return wait_begin(k, q.out);
	/* Before it is: one that has read its answer keeps its place, one that was not answered asks again. */
	if (r == 0 && k->reader != RK_CLIENTS_NONE)
		rk_clients_answered(k->fleet->clients, k->reader);
	go_on = r < 0 ? rk_connection_refuse(k, &err) : answer_send(k, q.out, &q.fds);
	json_object_put(q.out);
	rk_close_p(&q.own_fd);
	return go_on;
}

static bool message_answer(struct rk_connection *k, const char *text, size_t len)
{
	struct rk_err err = { 0 };
	struct json_object *in = message_parse(text, len, &err);
	const char *verb = in ? verb_name(in, &err) : NULL;
	bool go_on = verb ? request_answer(k, verb, in) : answer_nonsense(k, &err);

	json_object_put(in);
	return go_on;
}

/* Answers what is complete and keeps the rest. Returns false as above. */
static bool messages_answer(struct rk_connection *k)
{
	size_t at = 0;
	char *end;

	for (uint32_t n = 0; !k->is_waiting && (end = memchr(k->bytes + at, '\0', k->len - at)) != NULL; n++) {
		size_t len = (size_t)(end - (k->bytes + at));

		if (n == MESSAGES_PER_READ)
			return rk_connection_cut_off(k, "it sends too many messages at once");
		if (!message_answer(k, k->bytes + at, len))
			return false;
		at += len + 1;
	}
	k->len -= at;
	memmove(k->bytes, k->bytes + at, k->len);
	return true;
}

static void too_large(struct rk_connection *k)
{
	struct rk_err err;

	(void)rk_err_set(&err, -EMSGSIZE, "a message has at most %u bytes and %u descriptors",
			 RK_CONTROL_MESSAGE_MAX, RK_FDS_MAX);
	if (rk_connection_refuse(k, &err))
		(void)rk_connection_cut_off(k, "its message is too large");
}

static void connection_read(struct rk_connection *k)
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
		rk_connection_close(k);
		return;
	}
	k->len += n;
	if (messages_answer(k) && !k->is_waiting && k->len == sizeof(k->bytes))
		too_large(k);
}

/* ---- later ---- */

static bool reload_answer(struct rk_connection *k, const struct rk_reloaded *r)
{
	struct json_object *out;
	bool go_on;

	if (r->err.code)
		return rk_connection_refuse(k, &r->err);
	out = json_object_new_object();
	if (!out)
		return rk_connection_cut_off(k, "there is no memory for its answer");
	json_object_object_add(out, "ok", json_object_new_boolean(1));
	rk_verb_reload_put(out, r);
	go_on = answer_send(k, out, NULL);
	json_object_put(out);
	return go_on;
}

/* What a connection has sent behind its request is seen to when the socket has room, which is at once. */
void rk_control_reloaded(struct rk_control *c, const struct rk_reloaded *r)
{
	for (struct rk_connection *k = c->connections, *next; k; k = next) {
		next = k->next;
		if (!k->is_waiting)
			continue;
		k->is_waiting = false;
		(void)sd_event_source_set_io_events(k->io, k->len ? EPOLLIN | EPOLLOUT : EPOLLIN);
		(void)reload_answer(k, r);
	}
}

static void connection_go_on(struct rk_connection *k)
{
	(void)sd_event_source_set_io_events(k->io, EPOLLIN);
	(void)messages_answer(k);
}

int rk_connection_on_io(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct rk_connection *k = arg;

	(void)source;
	(void)fd;
	if ((events & EPOLLOUT) && !k->is_deaf)
		connection_go_on(k);
	else if ((events & EPOLLIN) && !k->is_deaf)
		connection_read(k);
	else if (events & (EPOLLHUP | EPOLLERR))
		rk_connection_close(k);
	return 0;
}
