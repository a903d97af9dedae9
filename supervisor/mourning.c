/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/mourning.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/link.h"

static struct rk_note note_of(const struct rk_mourning *m, const struct rk_death *d, enum rk_flight_kind kind)
{
	return (struct rk_note){ .kind = kind,
				 .level = RK_LOG_WARNING,
				 .is_quiet = true, /* people read the obituary */
				 .fleet = m->fleet,
				 .slot = d->obituary.worker,
				 .pid = d->obituary.pid,
				 .incarnation = rk_link_tag_incarnation(d->tag),
				 .group = d->group };
}

/* The line, with whatever is known. */
static void tell(struct rk_mourning *m, struct rk_death *d)
{
	char line[RK_OBITUARY_LINE];
	struct rk_note note;
	uint64_t sequence;

	if (!d->is_open)
		return;
	d->is_open = false;
	(void)rk_obituary_format(&d->obituary, line);
	if (!m->is_hushed)
		rk_say(m->say, "%s", line);
	note = note_of(m, d, RK_FLIGHT_OBITUARY);
	sequence = rk_recorder_note(m->recorder, &note, "%s", line);
	d->group = d->group ? d->group : sequence;
}

static void tell_if_complete(struct rk_mourning *m, struct rk_death *d)
{
	if (d->obituary.outcome != RK_OBITUARY_OPEN && (d->obituary.is_cause_known || d->obituary.exec_error))
		tell(m, d);
}

void rk_mourning_begin(struct rk_mourning *m, const struct rk_obituary *o, uint64_t tag, uint64_t group)
{
	if (rk_mourning_is_open(m))
		rk_mourning_outcome(m, RK_OBITUARY_LOST, o->pid, 0, 0);
	if (m->last.is_open) { /* its cause is on the way */
		tell(m, &m->before);
		m->before = m->last;
	}
	m->last = (struct rk_death){ .obituary = *o, .tag = tag, .group = group, .is_open = true };
}

/* It was asked to end, and has as it should. */
static bool is_as_wanted(const struct rk_death *d)
{
	return !d->is_open && d->obituary.code == CLD_EXITED && d->obituary.status == 0;
}

/* The cause is known now; its successor may be at work already. */
static void note_death(struct rk_mourning *m, struct rk_death *d)
{
	struct rk_note note = note_of(m, d, RK_FLIGHT_DEATH);
	char cause[160], job[64];
	uint64_t sequence;

	if (is_as_wanted(d))
		note.level = RK_LOG_INFO;
	rk_obituary_cause(&d->obituary, cause, sizeof(cause));
	sequence = rk_recorder_note(m->recorder, &note, "worker died cause=\"%s\" words=\"%s\" was_ready=%s%s", cause,
				    d->obituary.last_words, d->obituary.was_ready ? "yes" : "no",
				    rk_obituary_job(&d->obituary, job, sizeof(job)));
	d->group = d->group ? d->group : sequence;
}

bool rk_mourning_cause(struct rk_mourning *m, uint64_t tag, int code, int status)
{
	struct rk_death *d = tag == m->last.tag ? &m->last : &m->before;

	if (!tag || d->tag != tag)
		return false;
	d->obituary.is_cause_known = true;
	d->obituary.code = code;
	d->obituary.status = status;
	note_death(m, d);
	tell_if_complete(m, d);
	return true;
}

void rk_mourning_exec_error(struct rk_mourning *m, int error)
{
	if (error && !m->last.obituary.was_ready)
		m->last.obituary.exec_error = error;
}

void rk_mourning_failed(struct rk_mourning *m, int error, const char *text)
{
	struct rk_obituary *o = &m->last.obituary;

	if (o->was_ready)
		return;
	o->exec_error = error;
	(void)snprintf(o->failed, sizeof(o->failed), "%s", text);
}

void rk_mourning_outcome(struct rk_mourning *m, enum rk_obituary_outcome outcome, int32_t successor, uint64_t job,
			 uint64_t took_ns)
{
	struct rk_obituary *o = &m->last.obituary;

	if (!rk_mourning_is_open(m))
		return;
	o->outcome = outcome;
	o->successor = successor;
	o->job = job;
	o->took_ns = took_ns;
	tell_if_complete(m, &m->last);
}

void rk_mourning_drop(struct rk_mourning *m)
{
	m->last.is_open = false;
}
