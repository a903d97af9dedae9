/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/recorder.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static int path_find(struct rk_recorder *r, const char *name, struct rk_err *err)
{
	*r = (struct rk_recorder){ .flight.fd = -1 };
	return rk_rundir_path(name, RK_RUNDIR_FLIGHT, r->path, err);
}

static void begin(struct rk_recorder *r, const char *name, uint32_t n_records)
{
	struct rk_err err = { 0 };

	if (rk_flight_create(&r->flight, r->path, name, n_records, &err) < 0)
		rk_log(RK_LOG_WARNING, "no flight recorder, going on without: %s", err.text);
}

void rk_recorder_open(struct rk_recorder *r, const char *name, uint32_t n_records)
{
	struct rk_err err = { 0 };

	if (path_find(r, name, &err) < 0)
		rk_log(RK_LOG_WARNING, "no flight recorder, going on without: %s", err.text);
	else
		begin(r, name, n_records);
}

/* The sentence, then what it is about. */
static void log_note(const struct rk_note *note, const char *text)
{
	enum rk_log_level level = note->is_quiet ? RK_LOG_DEBUG : note->level;
	char about[96] = "";
	size_t at = 0;

	if (!rk_log_is_wanted(level))
		return;
	if (note->slot != RK_FLIGHT_NOBODY)
		at += (size_t)snprintf(about + at, sizeof(about) - at, " slot=%u", note->slot);
	if (note->pid)
		at += (size_t)snprintf(about + at, sizeof(about) - at, " pid=%d", note->pid);
	if (note->incarnation)
		(void)snprintf(about + at, sizeof(about) - at, " incarnation=%llu",
			       (unsigned long long)note->incarnation);
	rk_log(level, "%s%s", text, about);
}

static void lost_warn(struct rk_recorder *r)
{
	if (r->flight.n_lost == 0 || r->has_warned)
		return;
	r->has_warned = true;
	rk_log(RK_LOG_WARNING, "the flight recorder cannot be written, events are lost file=%s",
	       r->path);
}

static struct rk_flight_event event_of(const struct rk_note *note)
{
	return (struct rk_flight_event){ .kind = note->kind,
					 .severity = (uint32_t)note->level,
					 .fleet = note->fleet,
					 .slot = note->slot,
					 .pid = note->pid,
					 .incarnation = note->incarnation,
					 .group = note->group,
					 .now_ns = rk_clock_ns(),
					 .wall_ns = rk_clock_wall_ns() };
}

/* ---- for later ---- */

static void later_write(struct rk_recorder *r)
{
	if (r->n_later == 0)
		return;
	for (uint32_t i = 0; i < r->n_later; i++)
		rk_flight_put(&r->flight, &r->later[i].event, r->later[i].text);
	r->n_later = 0;
	rk_flight_announce(&r->flight);
	lost_warn(r);
}

void rk_recorder_hold(struct rk_recorder *r)
{
	r->n_holds++;
}

void rk_recorder_release(struct rk_recorder *r)
{
	if (--r->n_holds == 0)
		later_write(r);
}

void rk_recorder_note_later(struct rk_recorder *r, const struct rk_note *note, const char *fmt, ...)
{
	struct rk_recorder_later *l;
	va_list args;
	int n;

	if (r->n_later == RK_RECORDER_LATER)
		later_write(r);
	l = &r->later[r->n_later];
	l->event = event_of(note);
	va_start(args, fmt);
	n = vsnprintf(l->text, sizeof(l->text), fmt, args);
	va_end(args);
	assert(n >= 0 && (size_t)n < sizeof(l->text)); /* our own short sentences */
	r->n_later++;
	log_note(note, l->text);
	if (r->n_holds == 0)
		later_write(r);
}

/* ---- at once ---- */

uint64_t rk_recorder_note(struct rk_recorder *r, const struct rk_note *note, const char *fmt, ...)
{
	struct rk_flight_event event = event_of(note);
	char text[RK_FLIGHT_TEXT_MAX + 1];
	uint64_t sequence;
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	later_write(r);
	sequence = rk_flight_write(&r->flight, &event, text); /* before the log, which may block */
	log_note(note, text);
	lost_warn(r);
	return sequence;
}

void rk_recorder_end(struct rk_recorder *r)
{
	const struct rk_note note = { .kind = RK_FLIGHT_STOP,
				      .level = RK_LOG_INFO,
				      .slot = RK_FLIGHT_NOBODY };
	struct rk_flight_event event = event_of(&note);

	later_write(r);
	rk_flight_end(&r->flight, r->path, &event, "fleet ended");
}

void rk_recorder_close(struct rk_recorder *r)
{
	later_write(r);
	rk_flight_close_p(&r->flight);
}
