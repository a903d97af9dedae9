/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control: the socket of one configuration, for all its fleets. A message is one JSON object and a NUL, at most 16 KiB; answers
 * are the same, with descriptors beside them. doc/architecture.md lists the verbs.
 *
 * What comes in is hostile input: a peer that sends garbage gets errors, one that goes on is
 * cut off, none is waited for. Received descriptors are closed. A peer that is cut off keeps
 * the page it holds until it closes its end or dies, since until then it may write to it.
 *
 * Who       the supervisor's loop. Peers: root and the owner's uid may say every verb, those whom
 *           access.h lets in may open, read, close and ping; each verb's role stands in the table.
 * Crash     a dead supervisor leaves the socket's name, which keeper removes.
 * Blocking  never: an answer that finds no room in the socket cuts its peer off.
 */
#ifndef RK_SUPERVISOR_CONTROL_H
#define RK_SUPERVISOR_CONTROL_H

#include <systemd/sd-event.h>

#include "supervisor/fleet.h"
#include "supervisor/recorder.h"
#include "supervisor/reload.h"

#define RK_CONTROL_MESSAGE_MAX 16384u

struct rk_control;

/* What the control socket works with; all borrowed. */
struct rk_control_conf {
	sd_event *event;
	const struct rk_fleets *fleets;
	struct rk_recorder *recorder;
	const char *name;
	pid_t keeper, supervisor;
	uint64_t started_ns; /* the supervisor */
	uint32_t n_deaths;   /* of supervisors before it that nobody had asked for, as keeper counts them */
	int link; /* to keeper */
	void (*on_stop)(void *arg); /* somebody asks for the end of the fleet */
	/*
	 * Somebody asks for an upgrade to this binary, which is taken: 0, and we end behind the answer, or
	 * -errno with a sentence. Without an answer: what is in force, the caller's descriptor or -errno.
	 */
	int (*on_upgrade)(int *exe, const char *path, uint64_t *ret_group, struct rk_err *err, void *arg);
	int (*configuration)(void *arg);
	/*
	 * Somebody asks for a reload. 0: why nothing was done, or what would be, is written into *ret; RK_RELOAD_LATER:
	 * rk_control_reloaded() will tell; -errno with a sentence: it could not be begun.
	 */
	int (*on_reload)(const struct rk_reload_request *q, struct rk_reloaded *ret, struct rk_err *err, void *arg);
	void *arg;
};

/*
 * Listens: at the socket that keeper held for a dead supervisor (in: NULL if there was none), or at
 * a new one in the place of a stale one. 0 or -errno.
 */
RK_MUST_USE int rk_control_open(const struct rk_control_conf *conf, struct rk_inherit *in,
				struct rk_control **ret, struct rk_err *err);

/* Serves a fleet's clients on, whose connections a dead supervisor had. Returns how many. */
uint32_t rk_control_adopt(struct rk_control *c, struct rk_fleet *f, struct rk_inherit *in);

/* One more fleet has been added: there may be more connections. */
void rk_control_admit(struct rk_control *c, const struct rk_fleet *f);

/* ClientUser, ClientGroup or SocketMode may have changed: who may connect from now on. 0 or -errno. */
RK_MUST_USE int rk_control_readmit(struct rk_control *c, struct rk_err *err);

/* Answers whoever asked for a reload: this is what came of it. */
void rk_control_reloaded(struct rk_control *c, const struct rk_reloaded *r);

/* The fleet of this name, or the only one when it is NULL. 0; -ENOENT; -E2BIG. */
RK_MUST_USE int rk_control_fleet(const struct rk_control_conf *c, const char *name, struct rk_fleet **ret,
				 struct rk_err *err);

/* The fleet is about to be closed: so is every connection that has to do with it. */
void rk_control_forget(struct rk_control *c, const struct rk_fleet *f);

/* Closes every connection. Accepts NULL. */
void rk_control_close(struct rk_control *c);

#endif
