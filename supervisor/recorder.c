/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/recorder.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define NUMBER_TEXT 24

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

void rk_recorder_adopt(struct rk_recorder *r, const char *name, uint32_t n_records)
{
	struct rk_err err = { 0 };

	if (path_find(r, name, &err) < 0 || rk_flight_open(&r->flight, r->path, name, &err) < 0) {
		rk_log(RK_LOG_WARNING, "the flight recorder begins anew: %s", err.text);
		rk_recorder_open(r, name, n_records);
	}
}

/* "slot=2 pid=812 incarnation=7" of it, behind a blank. */
static void about_format(const struct rk_note *note, char *text, size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	if (note->slot != RK_FLIGHT_NOBODY)
		at += (size_t)snprintf(text + at, size - at, " slot=%u", note->slot);
	if (note->pid)
		at += (size_t)snprintf(text + at, size - at, " pid=%d", note->pid);
	if (note->incarnation)
		(void)snprintf(text + at, size - at, " incarnation=%llu",
			       (unsigned long long)note->incarnation);
}

/* A number as a field's value; NULL = the note has none. */
static const char *value_of(uint64_t v, bool is_there, char text[static NUMBER_TEXT])
{
	(void)snprintf(text, NUMBER_TEXT, "%llu", (unsigned long long)v);
	return is_there ? text : NULL;
}

/* For the journal; whoever has only the text loses nothing but the id. */
static void log_with_fields(const struct rk_note *note, uint64_t group, const char *text,
			    const char *about)
{
	char slot[NUMBER_TEXT], pid[NUMBER_TEXT], incarnation[NUMBER_TEXT], of[NUMBER_TEXT];
	enum rk_message message = note->message ? note->message : rk_message_of_kind(note->kind);
	const struct rk_log_field fields[] = {
		{ "MESSAGE_ID", rk_message_id(message) },
		{ "REKINDLE_EVENT", rk_flight_kind_name(note->kind) },
		{ "REKINDLE_FLEET", note->fleet },
		{ "REKINDLE_WORKER", value_of(note->slot, note->slot != RK_FLIGHT_NOBODY, slot) },
		{ "REKINDLE_PID", value_of((uint64_t)note->pid, note->pid != 0, pid) },
		{ "REKINDLE_INCARNATION",
		  value_of(note->incarnation, note->incarnation != 0, incarnation) },
		{ "REKINDLE_GROUP", value_of(group, group != 0, of) },
	};

	rk_log_with(note->level, fields, rk_countof(fields), "%s%s", text, about);
}

/* The sentence, then what it is about. */
static void log_note(const struct rk_note *note, uint64_t group, const char *text)
{
	enum rk_log_level level = note->is_quiet ? RK_LOG_DEBUG : note->level;
	char about[96];

	if (rk_log_keeps_fields())
		level = note->level; /* there nobody reads what else is told */
	if (!rk_log_is_wanted(level))
		return;
	about_format(note, about, sizeof(about));
	if (rk_log_keeps_fields())
		log_with_fields(note, group, text, about);
	else
		rk_log(level, "%s%s", text, about);
}

static void lost_warn(struct rk_recorder *r)
{
	if (r->flight.n_lost == 0 || r->has_warned)
		return;
	r->has_warned = true;
	rk_message_log(RK_MESSAGE_RECORDER_LOST, RK_LOG_WARNING,
		       "the flight recorder cannot be written, events are lost file=%s", r->path);
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
	log_note(note, note->group, l->text);
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
	log_note(note, note->group ? note->group : sequence, text);
	lost_warn(r);
	return sequence;
}

bool rk_recorder_has_started(const struct rk_recorder *r, int32_t pid)
{
	const struct rk_flight *f = &r->flight;
	uint64_t n = f->fd < 0 ? 0 : rk_min_u64(rk_min_u64(f->n, RK_RECORDER_LOOK_BACK), f->next);

	for (uint64_t i = 1; i <= n; i++) {
		struct rk_flight_record one;

		if (rk_flight_record_read(f->fd, f->n, (uint32_t)((f->next - i) % f->n), &one) && one.kind == RK_FLIGHT_START &&
		    one.pid == pid)
			return true;
	}
	return false;
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
