/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/control_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/inject.h"
#include "supervisor/letters.h"
#include "supervisor/output.h"

static void put_number(struct rk_control_request *q, const char *key, uint64_t value)
{
	json_object_object_add(q->out, key, json_object_new_uint64(value));
}

static void put_fd(struct rk_control_request *q, int fd)
{
	q->fds.fd[q->fds.n++] = fd; /* at most five */
}

/* ---- members of a request ---- */

static int abi_check(const struct rk_control_request *q, struct rk_err *err)
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
static int text_get(const struct rk_control_request *q, const char *member, const char **ret, struct rk_err *err)
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

/* Those that a reload only proposes do not count. */
static uint32_t n_fleets(const struct rk_control_conf *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->fleets->n; i++)
		n += !c->fleets->at[i]->is_proposed;
	return n;
}

static int fleet_choose(const struct rk_control_conf *c, struct rk_err *err)
{
	char names[160] = "";

	for (uint32_t i = 0; i < c->fleets->n; i++)
		if (!c->fleets->at[i]->is_proposed)
			(void)snprintf(names + strlen(names), sizeof(names) - strlen(names), " %s/%s", c->name,
				       c->fleets->at[i]->conf->name);
	return rk_err_set(err, -E2BIG, "%u fleets run under this name: choose one of%s", n_fleets(c), names);
}

int rk_control_fleet(const struct rk_control_conf *c, const char *name, struct rk_fleet **ret, struct rk_err *err)
{
	for (uint32_t i = 0; i < c->fleets->n; i++) {
		struct rk_fleet *f = c->fleets->at[i];

		if (f->is_proposed || (name ? strcmp(f->conf->name, name) != 0 : n_fleets(c) > 1))
			continue;
		*ret = f;
		return 0;
	}
	return name ? rk_err_set(err, -ENOENT, "'%s' runs no fleet named '%.60s'", c->name, name) : fleet_choose(c, err);
}

/* By the options of now: a reload may have changed them. */
static int fleet_check(const struct rk_connection *k, const struct rk_fleet *f, struct rk_err *err)
{
	if (k->is_admin || rk_access_may_use(&f->conf->o, &k->who))
		return 0;
	return rk_err_set(err, -EPERM, "uid %u may not use fleet '%s': its ClientUser and ClientGroup do not say so",
			  (unsigned int)k->who.uid, f->conf->name);
}

/* The fleet that is asked for: the only one, or the one of the request's "fleet". */
static int fleet_get(const struct rk_control_request *q, struct rk_fleet **ret, struct rk_err *err)
{
	const char *name;
	int r = text_get(q, "fleet", &name, err);

	if (r == 0)
		r = rk_control_fleet(&q->from->control->c, name, ret, err);
	return r < 0 ? r : fleet_check(q->from, *ret, err);
}

/* A member that is a number from 0 on. */
static int number_get(const struct rk_control_request *q, const char *member, uint64_t *ret, struct rk_err *err)
{
	struct json_object *number;

	if (!json_object_object_get_ex(q->in, member, &number) || !json_object_is_type(number, json_type_int) ||
	    json_object_get_int64(number) < 0)
		return rk_err_set(err, -EINVAL, "\"%s\" must be a number from 0 on", member);
	*ret = json_object_get_uint64(number);
	return 0;
}

/* ---- verbs ---- */

static int once_check(const struct rk_connection *k, struct rk_err *err)
{
	if (k->page == RK_CLIENTS_NONE && k->reader == RK_CLIENTS_NONE)
		return 0;
	return rk_err_set(err, -EALREADY,
			  "this connection has been opened already: use another one");
}

static int name_check(const struct rk_connection *k, const char *name, struct rk_err *err)
{
	if (!name || k->is_admin || !rk_clients_is_reserved(name))
		return 0;
	return rk_err_set(err, -EPERM, "client names that begin with '" RK_CLIENTS_RESERVED
			  "' are for root and the owner: choose another one");
}

/*
 * The connection is its page's and line's for as long as it is open, whoever supervises. Killed
 * before the answer: a successor closes it, and the client asks again.
 */
static int hold(struct rk_connection *k, struct rk_err *err)
{
	const struct rk_link_msg keep = { .op = RK_LINK_KEEP,
					  .kind = RK_LINK_PEER,
					  .pid = k->peer.pid,
					  .tag = rk_link_peer_tag(k->fleet->number, k->reader) };
	int r = rk_link_send(k->control->c.link, &keep, k->fd);

	k->is_held = r == 0;
	return r < 0 ? rk_err_set(err, r, "keeper does not take the connection: %s", strerror(-r)) : 0;
}

static int verb_open(struct rk_control_request *q, struct rk_err *err)
{
	struct rk_connection *k = q->from;
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
	rk_connection_note(k, RK_LOG_DEBUG, "client opened page=%u id=%llu name=%s", grant.page,
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
	return hold(k, err);
}

/* For who looks at the fleet: how this supervisor came to be. */
static void put_reign(struct rk_control_request *q)
{
	const struct rk_control_conf *c = &q->from->control->c;

	put_number(q, "supervisor_started_ns", c->started_ns);
	put_number(q, "supervisor_deaths", c->n_deaths);
}

/* What clients are told that connect to workers themselves, with specifiers; NULL: nothing. */
static const char *address_of(const struct rk_fleet_options *o)
{
	if (o->address && *o->address)
		return o->address;
	if (o->kind == RK_KIND_LINES)
		return NULL; /* that speaks through its bridge */
	if (o->port)
		return "127.0.0.1:%p";
	return o->socket && *o->socket ? "unix:%s" : NULL;
}

/* All that their texts are made of (workers/lib/endpoints.h); not there if the fleet has no addresses. */
static void put_address(struct rk_control_request *q, const struct rk_fleet *f)
{
	const struct rk_fleet_options *o = &f->conf->o;
	const char *text = address_of(o);
	struct json_object *address = text ? json_object_new_object() : NULL;
	rk_cleanup(rk_free_p) char *directory = text ? rk_spawn_state_directory(&f->spawn) : NULL;

	if (!address)
		return;
	json_object_object_add(address, "text", json_object_new_string(text));
	json_object_object_add(address, "fleet", json_object_new_string(f->conf->name));
	json_object_object_add(address, "port", json_object_new_uint64(o->port));
	if (o->socket)
		json_object_object_add(address, "socket", json_object_new_string(o->socket));
	if (directory)
		json_object_object_add(address, "directory", json_object_new_string(directory));
	json_object_object_add(q->out, "address", address);
}

/* Of who only looks keys up nothing is kept. */
static int verb_address(struct rk_control_request *q, struct rk_err *err)
{
	struct rk_fleet *f = NULL;
	int r = abi_check(q, err);

	if (r == 0)
		r = fleet_get(q, &f, err);
	if (r < 0)
		return r;
	put_address(q, f);
	put_fd(q, f->segments.fd_read[RK_SEGMENT_BOARD]);
	return 0;
}

static int verb_read(struct rk_control_request *q, struct rk_err *err)
{
	struct rk_connection *k = q->from;
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
	put_reign(q);
	put_address(q, f);
	put_fd(q, s->fd_read[RK_SEGMENT_BOARD]);
	put_fd(q, s->fd[RK_SEGMENT_READERS]);
	if (!k->is_admin)
		return hold(k, err); /* what the workers do, and other clients' requests, are none of its business */
	put_fd(q, s->fd_read[RK_SEGMENT_BEATS]);
	put_fd(q, s->fd_read[RK_SEGMENT_PARTS]);
	put_fd(q, s->fd_read[RK_SEGMENT_QUEUES]);
	put_fd(q, s->fd_read[RK_SEGMENT_DEAD]);
	return hold(k, err);
}

/* A connection that keeper's death has cut, whose process is still there and asks: now over another one. */
static struct rk_connection *cut_find(const struct rk_connection *k, const struct rk_fleet *f, uint64_t page,
				      uint64_t reader)
{
	struct rk_connection *other = k->control->connections;

	while (other && (other->fd >= 0 || other->fleet != f || other->page != page || other->reader != reader ||
			 other->peer.pid != k->peer.pid))
		other = other->next;
	return other;
}

/* Its pages and lines go back when a connection ends; this is for one that has ended already. */
static int verb_close(struct rk_control_request *q, struct rk_err *err)
{
	struct rk_connection *other;
	struct rk_fleet *f = NULL;
	uint64_t page, id, reader;
	int r = abi_check(q, err);

	if (r == 0)
		r = fleet_get(q, &f, err);
	if (r == 0)
		r = number_get(q, "page", &page, err);
	if (r == 0)
		r = number_get(q, "id", &id, err);
	if (r == 0)
		r = number_get(q, "reader", &reader, err);
	if (r < 0)
		return r;
	other = cut_find(q->from, f, page, reader);
	/* A page, so not a reader alone. Relaxed: only the supervisor writes it. */
	if (!other || page >= f->segments.m.g.n_clients ||
	    atomic_load_explicit(&rk_shm_client_ids(&f->segments.m)[page], memory_order_relaxed) != id)
		return rk_err_set(err, -ENOENT, "process %d has no such place whose connection was cut: whoever closes "
				  "the connection gives its place back", (int)q->from->peer.pid);
	rk_connection_close(other);
	return 0;
}

static int verb_ping(struct rk_control_request *q, struct rk_err *err)
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
static void note_letter(const struct rk_control_request *q, const struct rk_fleet *f, const struct rk_letters_act *act)
{
	struct rk_note about = { .kind = RK_FLIGHT_QUARANTINE,
				 .message = RK_MESSAGE_LETTER_HANDLED,
				 .level = RK_LOG_NOTICE,
				 .fleet = f->conf->name,
				 .slot = RK_FLIGHT_NOBODY,
				 .pid = q->from->peer.pid };

	(void)rk_recorder_note(q->from->control->c.recorder, &about,
			       "dead letter %s job=%llu partition=%u uid=%u", act->what,
			       (unsigned long long)act->job, act->partition, (unsigned int)q->from->who.uid);
}

static int verb_dead(struct rk_control_request *q, struct rk_err *err)
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

static int verb_stop(struct rk_control_request *q, struct rk_err *err)
{
	const struct rk_control_conf *c = &q->from->control->c;

	(void)err;
	put_number(q, "keeper_pid", (uint64_t)c->keeper);
	c->on_stop(c->arg); /* only asks: the answer goes out before anything ends */
	return 0;
}

static int verb_output(struct rk_control_request *q, struct rk_err *err)
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

static int verb_fault(struct rk_control_request *q, struct rk_err *err)
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

static const struct rk_control_verb verbs[] = {
	{ "open", RK_VERB_USE, verb_open },
	{ "read", RK_VERB_USE, verb_read },
	{ "address", RK_VERB_USE, verb_address },
	{ "close", RK_VERB_USE, verb_close },
	{ "ping", RK_VERB_USE, verb_ping },
	{ "stop", RK_VERB_ADMIN, verb_stop },
	{ "output", RK_VERB_ADMIN, verb_output },
	{ "fault", RK_VERB_ADMIN, verb_fault },
	{ "dead", RK_VERB_ADMIN, verb_dead },
};

const struct rk_control_verb *rk_control_verb_find(const char *name)
{
	for (size_t i = 0; i < rk_countof(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}
