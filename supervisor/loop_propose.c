/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop, propose: a reload between its reading and its doing: keeper is given the new configuration, and until it
 * has confirmed that it holds it, and systemd too where that keeps what keeper holds, the old one is in force and
 * nothing of the new is done. Else keeper's and our own death at once would leave the old one to a successor that
 * finds half of the new done, and somebody told of it.
 *
 *	proposed --SYNCED--> in force: rk_loop_reload_apply()
 *	    +------ time, stop --> taken back: keeper is given the old one again, behind the new one
 *
 * Crash     killed here, the new one is in force when keeper has read it, as in loop_reload.c; nobody was told of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/loop_private.h"

#define CONFIRM_US 3000000u /* 'rekindle reload' waits for 5 s; systemd may be busy with its own reload */

static int unanswered(struct rk_err *err)
{
	int keeper = (int)getppid();

	return rk_err_set(err, -EHOSTDOWN, "keeper (process %d) does not answer: nothing was reloaded, the old configuration "
			  "stays in force: if keeper is stopped, let it go on with 'kill -CONT %d', then reload again",
			  keeper, keeper);
}

/* Empties it. */
static void forget(struct rk_loop *l)
{
	struct rk_loop_proposal *p = &l->proposal;

	if (p->node)
		rk_conf_free_p(&p->node->conf);
	free(p->node);
	rk_diff_free_p(&p->diff);
	rk_reload_free_p(&p->ret);
	(void)sd_event_source_disable_unref(p->timer);
	*p = (struct rk_loop_proposal){ 0 };
	rk_loop_wake(l); /* what has waited for it */
}

/* None of it has happened. What keeper has of it by now the old one replaces, before the memory of its fleets goes. */
static void take_back(struct rk_loop *l, const struct rk_err *why)
{
	struct rk_note note = rk_loop_note(l, RK_FLIGHT_RELOAD);

	note.group = l->proposal.ret.group;
	(void)rk_recorder_note(&l->recorder, &note, "reload is given up why=\"%s\"", why->text);
	rk_loop_conf_keep(l);
	while (l->fleets.n > l->proposal.n_before)
		rk_loop_remove(l, l->fleets.n - 1);
}

/* It is over, one way or the other: nothing is left of it when somebody is told, who may ask for the next one. */
static void end(struct rk_loop *l)
{
	rk_cleanup(rk_reload_free_p) struct rk_reloaded ret = l->proposal.ret;
	bool is_asked = l->proposal.is_asked, is_due = l->proposal.is_due;

	l->proposal.ret = (struct rk_reloaded){ 0 };
	forget(l);
	if (is_asked)
		rk_control_reloaded(l->control, &ret);
	else
		rk_reload_log(&ret);
	if (is_due && !l->is_stopping)
		rk_loop_reload_on_signal(l);
}

void rk_loop_reload_give_up(struct rk_loop *l, const struct rk_err *why)
{
	if (!l->proposal.node)
		return;
	take_back(l, why);
	l->proposal.ret.err = *why;
	end(l);
}

void rk_loop_reload_confirmed(struct rk_loop *l)
{
	if (!l->proposal.node)
		return;
	rk_loop_reload_apply(l);
	end(l);
}

static int on_late(sd_event_source *source, uint64_t usec, void *arg)
{
	struct rk_err err = { 0 };

	(void)source;
	(void)usec;
	(void)unanswered(&err);
	rk_loop_reload_give_up(arg, &err);
	return 0;
}

int rk_loop_propose(struct rk_loop *l, struct rk_err *err)
{
	struct rk_loop_proposal *p = &l->proposal;
	int r = sd_event_add_time_relative(l->event, &p->timer, CLOCK_MONOTONIC, CONFIRM_US, 0, on_late, l);

	if (r >= 0)
		r = rk_loop_conf_give(l, &p->node->conf);
	if (r == 0)
		r = rk_loop_sync_ask(l);
	if (r == 0)
		return RK_RELOAD_LATER;
	if (r == -EAGAIN)
		(void)unanswered(err);
	else
		(void)rk_err_set(err, r, "nothing was reloaded, keeper does not take the configuration: %s", strerror(-r));
	take_back(l, err);
	forget(l);
	return err->code;
}
