/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the control socket share:
 *   control.c            the socket, who may connect, connections, a dead supervisor's connections
 *   control_messages.c   what is read from a connection, and answers, at once or later
 *   control_verbs.c      what can be asked there and needs the connection
 *
 * Who       the supervisor's loop.
 */
#ifndef RK_SUPERVISOR_CONTROL_PRIVATE_H
#define RK_SUPERVISOR_CONTROL_PRIVATE_H

#include <json-c/json.h>
#include <systemd/sd-event.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/access.h"
#include "supervisor/control.h"
#include "supervisor/verb.h"

struct rk_connection {
	struct rk_control *control;
	struct rk_connection *next, *previous;
	int fd; /* -1: keeper's death has cut it, and the process is there */
	struct rk_peer peer;
	struct rk_access_peer who; /* as it was when it connected */
	bool is_admin;
	sd_event_source *io, *death;
	struct rk_fleet *fleet; /* that page and reader are of */
	uint32_t page, reader;  /* RK_CLIENTS_NONE = none */
	uint32_t n_errors;
	bool is_held; /* keeper has it too: it outlives us */
	bool is_waiting; /* for the answer to a reload; until then nothing more is read */
	bool is_deaf; /* cut off: only its end is waited for */
	size_t len;
	char bytes[RK_CONTROL_MESSAGE_MAX];
};

struct rk_control {
	struct rk_control_conf c;
	int fd;
	sd_event_source *source;
	struct rk_connection *connections;
	uint32_t n, n_max;
};

/* A request being answered. */
struct rk_control_request {
	struct rk_connection *from;
	struct json_object *in;  /* borrowed */
	struct json_object *out; /* owned by whoever answers */
	struct rk_fds fds;       /* to send; borrowed descriptors */
	int own_fd;              /* one of them, which is not; -1 = none */
};

/* ---- control.c ---- */

/* For the flight recorder: what becomes of a client. */
RK_PRINTF(3, 4)
void rk_connection_note(const struct rk_connection *k, enum rk_log_level level, const char *fmt, ...);

/* Whether the other end is closed. */
bool rk_connection_has_hung_up(int fd);

/* Frees it; its page and reader line go back. */
void rk_connection_close(struct rk_connection *k);

/*
 * Returns false: the connection is no more to be read from, and maybe gone. Without a reason it is the
 * peer that went.
 */
bool rk_connection_cut_off(struct rk_connection *k, const char *why);

/* ---- control_messages.c ---- */

/* Answers with an error. Returns false when the connection is no more to be read from. */
bool rk_connection_refuse(struct rk_connection *k, const struct rk_err *err);

/* A message, a part of one, or the end. */
int rk_connection_on_io(sd_event_source *source, int fd, uint32_t events, void *arg);

/* ---- control_verbs.c ---- */

struct rk_control_verb {
	const char *name;
	enum rk_verb_role role; /* the least that it takes */
	int (*run)(struct rk_control_request *q, struct rk_err *err); /* 0, or an error to answer with */
};

/* One of the verbs that need a connection; NULL if it is none of them. */
const struct rk_control_verb *rk_control_verb_find(const char *name);

#endif
