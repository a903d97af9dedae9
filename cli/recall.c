/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/recall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "cli/out.h"

int rk_recall_reopen(struct rk_recall *c, struct rk_err *err)
{
	int r;

	rk_recall_close_p(c);
	r = rk_flight_reader_open(&c->reader, c->path, err);
	if (r == -ENOENT)
		return rk_err_set(err, r,
				  "fleet '%s' has no flight recorder: it was stopped in order, or "
				  "never ran",
				  c->fleet);
	return r;
}

int rk_recall_open(struct rk_recall *c, const char *name, struct rk_err *err)
{
	const char *part = rk_fleet_part(name);
	int r;

	*c = (struct rk_recall){ .reader.fd = -1 };
	r = rk_rundir_choose_left(name, c->fleet, err);
	if (part) /* no longer than a name: just checked */
		(void)snprintf(c->part, sizeof(c->part), "%s", part);
	if (r == 0)
		r = rk_rundir_path(c->fleet, RK_RUNDIR_FLIGHT, c->path, err);
	return r < 0 ? r : rk_recall_reopen(c, err);
}

void rk_recall_close_p(struct rk_recall *c)
{
	rk_flight_reader_close_p(&c->reader);
}

int rk_recall_worker(const char *text, uint32_t *ret, struct rk_err *err)
{
	uint64_t v;
	int r = rk_num_parse(text, 0, RK_WORKERS_MAX - 1, &v, err);

	if (r < 0) {
		(void)rk_err_prefix(err, r, "WORKER is the number of a slot, as status shows it");
		return -EINVAL;
	}
	*ret = (uint32_t)v;
	return 0;
}

void rk_recall_time(const struct rk_args *a)
{
	if (!rk_args_flag(a, "utc"))
		return;
	(void)setenv("TZ", "UTC0", 1);
	tzset();
}

/* ---- choosing ---- */

bool rk_recall_fits(const struct rk_recall_filter *filter, const struct rk_flight_entry *e)
{
	const struct rk_flight_record *r = &e->record;

	return (filter->worker == RK_FLIGHT_NOBODY || r->slot == filter->worker) &&
	       (filter->group == 0 || r->group == filter->group) &&
	       !(filter->is_quiet && r->severity >= RK_LOG_DEBUG) &&
	       (filter->kinds == 0 ||
		(r->kind < RK_FLIGHT_KINDS && (filter->kinds >> r->kind & 1))) &&
	       r->wall_ns >= filter->since_wall_ns;
}

static int append(struct rk_recall_list *l, const struct rk_flight_entry *e)
{
	size_t len = strlen(e->text);
	struct rk_recalled *copy;

	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		void *bigger = realloc(l->event, room * sizeof(struct rk_recalled *));

		if (!bigger)
			return -ENOMEM;
		l->event = bigger;
		l->room = room;
	}
	copy = malloc(sizeof(*copy) + len + 1);
	if (!copy)
		return -ENOMEM;
	copy->record = e->record;
	copy->is_cut = e->is_cut;
	(void)rk_out_clean(copy->text, len + 1, e->text, len);
	(void)rk_out_clean(copy->record.fleet, sizeof(copy->record.fleet), e->record.fleet,
			   sizeof(e->record.fleet));
	l->event[l->n++] = copy;
	return 0;
}

/* Whether it is of another fleet of the configuration than the one that was asked for. */
static bool is_of_other(const struct rk_recall *c, const struct rk_flight_record *r)
{
	return c->part[0] && r->fleet[0] && strncmp(c->part, r->fleet, sizeof(r->fleet)) != 0;
}

static bool is_known(const struct rk_recall_fleets *f, const char *name)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (strcmp(f->name[i], name) == 0)
			return true;
	return false;
}

/* What is about a worker, or about workers that are ready, is of a fleet; the rest may be of all of them. */
static void fleet_learn(struct rk_recall_fleets *f, const struct rk_flight_record *r)
{
	char name[RK_NAME_MAX];

	if (!r->fleet[0] || (r->slot == RK_FLIGHT_NOBODY && r->kind != RK_FLIGHT_READY) || f->n == RK_RECALL_FLEETS)
		return;
	(void)rk_out_clean(name, sizeof(name), r->fleet, strnlen(r->fleet, sizeof(r->fleet)));
	if (is_known(f, name))
		return;
	memcpy(f->name[f->n++], name, sizeof(name));
	f->width = (int)rk_max_size((size_t)f->width, strlen(name));
}

int rk_recall_one_fleet(const struct rk_recall *c, const struct rk_recall_list *const lists[], size_t n, struct rk_err *err)
{
	struct rk_recall_fleets told = { 0 };
	char all[160] = "";

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < lists[i]->n; k++)
			fleet_learn(&told, &lists[i]->event[k]->record);
	if (told.n < 2)
		return 0;
	for (uint32_t i = 0; i < told.n; i++) {
		size_t len = strlen(all);

		(void)snprintf(all + len, sizeof(all) - len, " %s/%s", c->fleet, told.name[i]);
	}
	return rk_err_set(err, -E2BIG, "the flight recorder tells of such a worker in several fleets: choose one of%s", all);
}

int rk_recall_load(struct rk_recall *c, const struct rk_recall_filter *filter, bool is_following,
		   struct rk_recall_list *to)
{
	struct rk_flight_entry e;
	int r = 0;

	while (r == 0 && rk_flight_reader_next(&c->reader, is_following, &e) == 0) {
		fleet_learn(&c->known, &e.record);
		if (rk_recall_fits(filter, &e) && !is_of_other(c, &e.record))
			r = append(to, &e);
	}
	return r;
}

void rk_recall_list_tail(struct rk_recall_list *l, size_t n)
{
	size_t n_gone = l->n > n ? l->n - n : 0;

	for (size_t i = 0; i < n_gone; i++)
		free(l->event[i]);
	for (size_t i = n_gone; i < l->n; i++)
		l->event[i - n_gone] = l->event[i];
	l->n -= n_gone;
}

void rk_recall_list_free_p(struct rk_recall_list *l)
{
	rk_recall_list_tail(l, 0);
	rk_free_p(&l->event);
	*l = (struct rk_recall_list){ 0 };
}

/* ---- printing ---- */

const char *rk_recall_when(uint64_t wall_ns, bool is_utc, char text[static RK_RECALL_TIME])
{
	time_t s = (time_t)(wall_ns / RK_NS_PER_S);
	char day[RK_RECALL_TIME / 2 + 4];
	struct tm tm;

	if (!(is_utc ? gmtime_r(&s, &tm) : localtime_r(&s, &tm)) ||
	    !strftime(day, sizeof(day), is_utc ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm))
		(void)snprintf(day, sizeof(day), "?");
	(void)snprintf(text, RK_RECALL_TIME, "%.20s.%06u%s", day,
		       (unsigned int)(wall_ns % RK_NS_PER_S / RK_NS_PER_US), is_utc ? "Z" : "");
	return text;
}

static enum rk_out_color color_of(uint32_t severity)
{
	if (severity <= RK_LOG_ERROR)
		return RK_OUT_RED;
	return severity == RK_LOG_WARNING ? RK_OUT_YELLOW : RK_OUT_PLAIN;
}

/* A column of its own; what is of no fleet in particular has a dash there. */
static void fleet_print(const struct rk_recall *c, const struct rk_flight_record *r)
{
	if (c && !c->part[0] && c->known.n > 1)
		(void)printf("  %-*s", c->known.width, is_known(&c->known, r->fleet) ? r->fleet : "-");
}

void rk_recall_print(const struct rk_recall *c, const struct rk_recalled *e)
{
	const struct rk_flight_record *r = &e->record;
	char when[RK_RECALL_TIME], slot[16] = "-", pid[16] = "-";

	if (r->slot != RK_FLIGHT_NOBODY)
		(void)snprintf(slot, sizeof(slot), "%u", r->slot);
	if (r->pid)
		(void)snprintf(pid, sizeof(pid), "%d", r->pid);
	(void)printf("%s  ", rk_recall_when(r->wall_ns, false, when));
	rk_out_color(color_of(r->severity), -10, rk_flight_kind_name(r->kind));
	fleet_print(c, r);
	(void)printf("  %4s  %7s  %s%s\n", slot, pid, e->text, e->is_cut ? " …" : "");
}

/* The pairs key=value and key="a value" of a text, as members. */
static struct json_object *fields_of(const char *text)
{
	struct json_object *o = json_object_new_object();

	for (const char *eq = strchr(text, '='); eq; eq = strchr(eq, '=')) {
		const char *key = eq, *value = ++eq, *end;
		char name[64];

		while (key > text && (key[-1] == '_' || (key[-1] >= 'a' && key[-1] <= 'z') ||
				      (key[-1] >= '0' && key[-1] <= '9')))
			key--;
		if (*value == '"')
			end = strchrnul(++value, '"');
		else
			end = value + strcspn(value, " ");
		(void)rk_out_clean(name, sizeof(name), key, (size_t)(eq - 1 - key));
		if (name[0])
			json_object_object_add(o, name,
					       json_object_new_string_len(value,
									  (int)(end - value)));
		eq = end;
	}
	return o;
}

struct json_object *rk_recall_json(const struct rk_recalled *e)
{
	const struct rk_flight_record *r = &e->record;
	struct json_object *o = json_object_new_object();
	char when[RK_RECALL_TIME];

	rk_out_json_int(o, "sequence", (int64_t)r->sequence);
	rk_out_json_int(o, "group", (int64_t)r->group);
	rk_out_json_text(o, "time", rk_recall_when(r->wall_ns, true, when));
	rk_out_json_int(o, "monotonic_ns", (int64_t)r->now_ns);
	rk_out_json_text(o, "kind", rk_flight_kind_name(r->kind));
	rk_out_json_text(o, "severity", rk_flight_severity_name(r->severity));
	rk_out_json_text(o, "fleet", r->fleet[0] ? r->fleet : NULL);
	rk_out_json_int_or_null(o, "worker", r->slot != RK_FLIGHT_NOBODY, r->slot);
	rk_out_json_int_or_null(o, "pid", r->pid != 0, r->pid);
	rk_out_json_int_or_null(o, "incarnation", r->incarnation != 0, (int64_t)r->incarnation);
	rk_out_json_text(o, "text", e->text);
	json_object_object_add(o, "cut", json_object_new_boolean(e->is_cut));
	json_object_object_add(o, "fields", fields_of(e->text));
	return o;
}

struct json_object *rk_recall_json_list(const struct rk_recall_list *l)
{
	struct json_object *all = json_object_new_array();

	for (size_t i = 0; i < l->n; i++)
		json_object_array_add(all, rk_recall_json(l->event[i]));
	return all;
}
