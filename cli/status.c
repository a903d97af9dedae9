/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekindle status: a fleet as text or as one JSON object.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/last_verdict.h"
#include "cli/out.h"
#include "cli/ready.h"
#include "cli/recall.h"
#include "cli/snapshot.h"

#define NAME_SHOWN 24
#define EVENTS_SHOWN 5
#define WAIT_DEFAULT_NS (30 * RK_NS_PER_S)

/* ---- text ---- */

/* Nothing while every partition has somebody at work. */
static void text_unserved(const struct rk_snapshot *s)
{
	char line[96];

	if (s->n_unserved == 0)
		return;
	(void)snprintf(line, sizeof(line), "%u partition%s not served: their jobs wait", s->n_unserved,
		       s->n_unserved == 1 ? " is" : "s are");
	rk_out_color(RK_OUT_RED, 0, line);
	(void)putchar('\n');
}

/* "supervisor 812", and what is the matter with it. */
static const char *text_supervisor(char text[static 48], const struct rk_look *l)
{
	const struct rk_absence *a = &l->absence;

	switch (a->kind) {
	case RK_ABSENCE_REPLACED:
		(void)snprintf(text, 48, "supervisor being replaced");
		break;
	case RK_ABSENCE_STOPPED:
		(void)snprintf(text, 48, "supervisor %d stopped", a->supervisor_pid);
		break;
	case RK_ABSENCE_SILENT:
		(void)snprintf(text, 48, "supervisor %d not answering", a->supervisor_pid);
		break;
	case RK_ABSENCE_NONE:
	case RK_ABSENCES:
		(void)snprintf(text, 48, "supervisor %d", l->view->supervisor_pid);
	}
	return text;
}

/* How many supervisors have been followed by another since the fleet began: each adds one to the board's count. */
static uint64_t n_replaced(const struct rk_look *l)
{
	uint64_t incarnation = atomic_load_explicit(&l->m.board->incarnation, memory_order_relaxed); /* alone */

	return incarnation ? incarnation - 1 : 0;
}

/* "supervisor up 3 min, replaced 2 times (1 death): see …"; keeper counts deaths from its own start on. */
static void text_reign(const struct rk_look *l)
{
	const struct rk_absence *a = &l->absence;
	char up[RK_OUT_TIME];
	uint64_t n = n_replaced(l);

	if (a->kind != RK_ABSENCE_NONE || a->since_ns == 0)
		return; /* what is the matter stands on standard error */
	(void)printf("supervisor up %s", rk_out_time(up, l->now_ns - rk_min_u64(a->since_ns, l->now_ns)));
	if (n == 0)
		(void)printf(", the first one\n");
	else
		(void)printf(", replaced %llu time%s (%u death%s): see 'rekindle events --kind death,upgrade'\n",
			     (unsigned long long)n, rk_num_plural(n), a->n_deaths, rk_num_plural(a->n_deaths));
}

static void text_head(const struct rk_snapshot *s)
{
	const struct rk_view *v = s->look->view;
	char up[RK_OUT_TIME], command[sizeof(v->command)], queued[RK_NUM_TEXT],
		finished[RK_NUM_TEXT], name[2 * RK_NAME_MAX], supervisor[48];

	(void)snprintf(name, sizeof(name), "%s%s%s", s->look->ask.fleet,
		       s->look->part[0] ? "/" : "", s->look->part);
	rk_out_color(RK_OUT_BOLD, 0, name);
	(void)printf("  %u of %u ready, up %s, keeper %d%s, %s\n", s->n_ready, s->n_wanted,
		     rk_out_time(up, s->look->now_ns > v->started_ns
					     ? s->look->now_ns - v->started_ns
					     : 0),
		     v->keeper_pid, s->look->absence.keeper_stopped ? " stopped" : "", text_supervisor(supervisor, s->look));
	(void)printf("%s\n",
		     rk_out_clean(command, sizeof(command), v->command, sizeof(v->command)));
	(void)printf("%u partition%s, %u client%s, %s job%s queued, %s finished\n",
		     s->look->m.g.n_partitions, rk_num_plural(s->look->m.g.n_partitions), s->n_clients,
		     rk_num_plural(s->n_clients), rk_num_format(queued, s->n_queued), rk_num_plural(s->n_queued),
		     rk_num_format(finished, s->n_finished));
	text_reign(s->look);
	text_unserved(s);
	(void)putchar('\n');
}

/* Nothing while nothing was put aside. */
static void text_letters(const struct rk_snapshot *s)
{
	uint32_t room = s->look->m.g.n_dead;
	bool is_full = s->n_letters >= room || s->n_blocked;
	char line[160];

	if (s->n_letters == 0)
		return;
	if (s->n_blocked)
		(void)snprintf(line, sizeof(line),
			       "%u dead letters, no room: %u partition%s until one is dropped, see 'rekindle dead list'",
			       s->n_letters, s->n_blocked, s->n_blocked == 1 ? " stands still" : "s stand still");
	else
		(void)snprintf(line, sizeof(line), "%u dead letter%s%s, see 'rekindle dead list'", s->n_letters,
			       rk_num_plural(s->n_letters),
			       is_full ? ", no room: the next one's partition will stand still" : "");
	rk_out_color(is_full ? RK_OUT_RED : RK_OUT_YELLOW, 0, line);
	(void)fputs("\n\n", stdout);
}

static enum rk_out_color color_of(uint32_t state)
{
	switch (state) {
	case RK_SLOT_READY:
		return RK_OUT_GREEN;
	case RK_SLOT_DOWN:
		return RK_OUT_RED;
	case RK_SLOT_STARTING:
	case RK_SLOT_STOPPING:
	case RK_SLOT_SUSPECT:
	case RK_SLOT_PAUSED:
	case RK_SLOT_STOPPED:
		return RK_OUT_YELLOW;
	default:
		return RK_OUT_PLAIN;
	}
}

static void text_worker(const struct rk_snapshot *s, const struct rk_snapshot_worker *w,
			const struct rk_recall_list *verdicts)
{
	uint64_t now_ns = s->look->now_ns, up_ns = now_ns - rk_min_u64(w->view.started_ns, now_ns);
	char pid[16] = "-", up[RK_OUT_TIME] = "-", state[RK_SNAPSHOT_STATE], queued[RK_NUM_TEXT],
	     jobs[RK_NUM_TEXT], errors[RK_NUM_TEXT], death[96];

	if (w->view.pid > 0) {
		(void)snprintf(pid, sizeof(pid), "%d", w->view.pid);
		(void)rk_out_span(up, up_ns);
	}
	(void)printf("%4u ", w->slot);
	rk_out_color(w->is_suspended ? RK_OUT_RED : color_of(w->view.state), -13,
		     rk_snapshot_state(state, w));
	(void)printf(" %7s %6s %8llu %5u %6s %8s %6s %s\n", pid, up,
		     (unsigned long long)w->view.restarts, w->view.n_partitions,
		     rk_num_format(queued, w->n_queued), rk_num_format(jobs, w->n_jobs),
		     rk_num_format(errors, w->n_errors),
		     rk_snapshot_death(&w->view, rk_last_verdict_words(verdicts, s->look->part, w),
				       now_ns, death, sizeof(death)));
	if (w->n_refused)
		(void)printf("     refused %s job%s: more replies are unread than --dedup keeps\n",
			     rk_num_format(jobs, w->n_refused), rk_num_plural(w->n_refused));
	if (w->last_words[0])
		(void)printf("     last words: %s\n", w->last_words);
}

/* No slot, and nothing to count. */
static void text_standby(const struct rk_snapshot *s, const struct rk_view_slot *v)
{
	char up[RK_OUT_TIME];
	uint64_t now_ns = s->look->now_ns;

	(void)printf("   - ");
	rk_out_color(color_of(v->state), -13, rk_look_state(v->state));
	(void)printf(" %7d %6s\n", v->pid, rk_out_span(up, now_ns - rk_min_u64(v->started_ns, now_ns)));
}

/* One blank between columns: with a death behind it a row has about 100 of them. */
static void text_columns(void)
{
	rk_out_color(
		RK_OUT_BOLD, 0,
		"SLOT STATE             PID UPTIME RESTARTS PARTS QUEUED     JOBS ERRORS LAST DEATH");
	(void)putchar('\n');
}

/* What a slot's last column and lines cannot hold. */
static void text_detail(const struct rk_snapshot *s, const struct rk_snapshot_worker *w,
			const struct rk_recall_list *verdicts, const struct rk_recall_list *events)
{
	char up[RK_OUT_TIME];
	uint32_t n_owned = 0, n_queued = 0;

	text_worker(s, w, verdicts);
	for (uint32_t i = 0; i < s->n_busy; i++)
		if (s->busy[i].is_owned && s->busy[i].worker == w->slot) {
			n_owned++;
			n_queued += s->busy[i].n_queued;
		}
	if (w->view.pid > 0)
		(void)printf(
			"\nslot %s, process %s for %s, %u of its partitions busy with %u job%s\n",
			w->state, w->declared ? w->declared : "not attached",
			rk_out_time(up, s->look->now_ns > w->view.started_ns
						? s->look->now_ns - w->view.started_ns
						: 0),
			n_owned, n_queued, rk_num_plural(n_queued));
	if (events->n)
		rk_out_color(RK_OUT_BOLD, 0, "\nlast events\n");
	for (size_t i = 0; i < events->n; i++)
		rk_recall_print(NULL, events->event[i]);
}

static const char *mode_name(const struct rk_snapshot *s)
{
	return s->look->m.board->epoch_mode == RK_EPOCH_PLAIN ? "plain" : "exchange";
}

static uint32_t n_stalled(const struct rk_view *v)
{
	return rk_min_u32(v->n_stalled, rk_countof(v->stalled_pid));
}

static void text_board(const struct rk_snapshot *s)
{
	const struct rk_view *v = s->look->view;

	(void)printf(
		"\nview %llu, grace periods %llu, coalesced views %llu, epoch mode %s, stalled readers %u",
		(unsigned long long)v->version, (unsigned long long)v->n_grace,
		(unsigned long long)v->n_coalesced, mode_name(s), v->n_stalled);
	for (uint32_t i = 0; i < n_stalled(v); i++)
		(void)printf("%s%d", i ? ", " : ": pid ", v->stalled_pid[i]);
	(void)printf("\nsegments");
	for (int k = RK_SEGMENT_BOARD; k < RK_SEGMENT_KINDS; k++)
		(void)printf("%s %s %llu KiB", k > RK_SEGMENT_BOARD ? "," : "",
			     rk_segment_name((enum rk_segment_kind)k),
			     (unsigned long long)rk_layout_segment_len(&s->look->m.l,
								       (enum rk_segment_kind)k) /
				     1024);
	(void)putchar('\n');
}

static const struct rk_view_client *client(const struct rk_snapshot *s, uint32_t i)
{
	return &rk_view_clients(&s->look->m, s->look->view)[i];
}

static bool is_named(const struct rk_view_client *c)
{
	return (c->flags & RK_CLIENT_USED) && (c->flags & RK_CLIENT_NAMED);
}

static void text_clients(const struct rk_snapshot *s)
{
	char name[RK_NAME_MAX];
	bool is_first = true;

	for (uint32_t i = 0; i < s->look->m.g.n_clients; i++) {
		const struct rk_view_client *c = client(s, i);

		if (!is_named(c))
			continue;
		if (is_first)
			rk_out_color(RK_OUT_BOLD, 0,
				     "\nCLIENT                        ID      PID\n");
		is_first = false;
		(void)printf("%-*s  %6llu", NAME_SHOWN,
			     rk_out_clean(name, sizeof(name), c->name, sizeof(c->name)),
			     (unsigned long long)c->id);
		if (c->flags & RK_CLIENT_ALIVE)
			(void)printf("  %7d\n", c->pid);
		else
			(void)printf("  %7s  gone%s\n", "-",
				     c->flags & RK_CLIENT_HAS_CALLS
					     ? "; replies wait for the next of its name"
					     : "");
	}
}

static void text_parts(const struct rk_snapshot *s)
{
	if (s->n_busy)
		rk_out_color(
			RK_OUT_BOLD, 0,
			"\nPARTITION  WORKER        CURSOR         FREED      RELEASED  QUEUED\n");
	for (uint32_t i = 0; i < s->n_busy; i++) {
		const struct rk_snapshot_part *p = &s->busy[i];
		char worker[16] = "-";

		if (p->is_owned)
			(void)snprintf(worker, sizeof(worker), "%u", p->worker);
		(void)printf("%9u  %6s  %12llu  %12llu  %12llu  %6u\n", p->partition, worker,
			     (unsigned long long)p->cursor, (unsigned long long)p->freed,
			     (unsigned long long)p->released, p->n_queued);
	}
}

static void print_text(const struct rk_snapshot *s, const struct rk_recall_list *verdicts,
		       const struct rk_recall_list *events, bool with_internals)
{
	text_head(s);
	text_letters(s);
	text_columns();
	for (uint32_t i = 0; i < s->n_workers; i++)
		if (events)
			text_detail(s, &s->workers[i], verdicts, events);
		else
			text_worker(s, &s->workers[i], verdicts);
	for (uint32_t i = 0; i < s->n_standbys && !events; i++)
		text_standby(s, &s->standbys[i]);
	if (!with_internals)
		return;
	text_board(s);
	text_clients(s);
	text_parts(s);
}

/* ---- JSON ---- */

static struct json_object *json_death(const struct rk_view_slot *slot, const char *verdict,
				      uint64_t now_ns)
{
	bool is_signal = slot->exit_code == CLD_KILLED || slot->exit_code == CLD_DUMPED;
	struct json_object *o;
	char name[16];

	if (slot->died_ns == 0)
		return NULL;
	o = json_object_new_object();
	rk_out_json_int(o, "pid", slot->died_pid);
	rk_out_json_text(o, "cause", rk_snapshot_cause(slot->exit_code));
	rk_out_json_int_or_null(o, "status", is_signal || slot->exit_code == CLD_EXITED,
				slot->exit_status);
	rk_out_json_text(o, "signal",
			 is_signal ? rk_snapshot_signal(slot->exit_status, name, sizeof(name))
				   : NULL);
	rk_out_json_text(o, "verdict", verdict);
	rk_out_json_int(o, "ago_ms", rk_out_ms_since(slot->died_ns, now_ns));
	return o;
}

static struct json_object *json_worker(const struct rk_snapshot *s,
				       const struct rk_snapshot_worker *w,
				       const struct rk_recall_list *verdicts)
{
	char verdict[32];
	struct json_object *o = json_object_new_object();
	bool has_process = w->view.pid > 0;

	rk_out_json_int(o, "slot", w->slot);
	rk_out_json_text(o, "state", w->state);
	rk_out_json_text(o, "declared", w->declared);
	json_object_object_add(o, "suspended", json_object_new_boolean(w->is_suspended));
	rk_out_json_int_or_null(o, "pid", has_process, w->view.pid);
	rk_out_json_int(o, "incarnation", (int64_t)w->view.incarnation);
	rk_out_json_int_or_null(o, "uptime_ms", has_process,
				rk_out_ms_since(w->view.started_ns, s->look->now_ns));
	rk_out_json_int(o, "restarts", (int64_t)w->view.restarts);
	rk_out_json_int(o, "partitions", w->view.n_partitions);
	rk_out_json_int(o, "queued_jobs", (int64_t)w->n_queued);
	rk_out_json_int(o, "jobs", (int64_t)w->n_jobs);
	rk_out_json_int(o, "errors", (int64_t)w->n_errors);
	rk_out_json_int(o, "refused", (int64_t)w->n_refused);
	rk_out_json_text(o, "last_words", w->last_words[0] ? w->last_words : NULL);
	json_object_object_add(o, "last_death",
			       json_death(&w->view,
					  rk_last_verdict(verdicts, s->look->part, w, verdict,
							  sizeof(verdict)),
					  s->look->now_ns));
	return o;
}

static struct json_object *json_standbys(const struct rk_snapshot *s)
{
	struct json_object *all = json_object_new_array();

	for (uint32_t i = 0; i < s->n_standbys; i++) {
		struct json_object *o = json_object_new_object();

		rk_out_json_int(o, "pid", s->standbys[i].pid);
		rk_out_json_int(o, "uptime_ms", rk_out_ms_since(s->standbys[i].started_ns, s->look->now_ns));
		json_object_array_add(all, o);
	}
	return all;
}

static struct json_object *json_segments(const struct rk_snapshot *s)
{
	struct json_object *all = json_object_new_array();

	for (int k = RK_SEGMENT_BOARD; k < RK_SEGMENT_KINDS; k++) {
		struct json_object *o = json_object_new_object();

		rk_out_json_text(o, "name", rk_segment_name((enum rk_segment_kind)k));
		rk_out_json_int(o, "size_bytes",
				(int64_t)rk_layout_segment_len(&s->look->m.l,
							       (enum rk_segment_kind)k));
		json_object_array_add(all, o);
	}
	return all;
}

static struct json_object *json_clients(const struct rk_snapshot *s)
{
	struct json_object *all = json_object_new_array();
	char name[RK_NAME_MAX];

	for (uint32_t i = 0; i < s->look->m.g.n_clients; i++) {
		const struct rk_view_client *c = client(s, i);
		bool is_alive = c->flags & RK_CLIENT_ALIVE;
		struct json_object *o;

		if (!is_named(c))
			continue;
		o = json_object_new_object();
		rk_out_json_text(o, "name",
				 rk_out_clean(name, sizeof(name), c->name, sizeof(c->name)));
		rk_out_json_int(o, "id", (int64_t)c->id);
		rk_out_json_int_or_null(o, "pid", is_alive, c->pid);
		json_object_object_add(o, "alive", json_object_new_boolean(is_alive));
		json_object_object_add(
			o, "has_calls",
			is_alive ? NULL
				 : json_object_new_boolean(!!(c->flags & RK_CLIENT_HAS_CALLS)));
		json_object_array_add(all, o);
	}
	return all;
}

static struct json_object *json_parts(const struct rk_snapshot *s)
{
	struct json_object *all = json_object_new_array();

	for (uint32_t i = 0; i < s->n_busy; i++) {
		const struct rk_snapshot_part *p = &s->busy[i];
		struct json_object *o = json_object_new_object();

		rk_out_json_int(o, "partition", p->partition);
		rk_out_json_int_or_null(o, "worker", p->is_owned, p->worker);
		rk_out_json_int(o, "cursor", (int64_t)p->cursor);
		rk_out_json_int(o, "freed", (int64_t)p->freed);
		rk_out_json_int(o, "released", (int64_t)p->released);
		rk_out_json_int(o, "queued_jobs", p->n_queued);
		json_object_array_add(all, o);
	}
	return all;
}

static struct json_object *json_internals(const struct rk_snapshot *s)
{
	struct json_object *o = json_object_new_object(), *pids = json_object_new_array();
	const struct rk_view *v = s->look->view;

	for (uint32_t i = 0; i < n_stalled(v); i++)
		json_object_array_add(pids, json_object_new_int(v->stalled_pid[i]));
	rk_out_json_int(o, "view_version", (int64_t)v->version);
	rk_out_json_int(o, "view_age_ms", rk_out_ms_since(v->published_ns, s->look->now_ns));
	rk_out_json_int(o, "grace_periods", (int64_t)v->n_grace);
	rk_out_json_int(o, "coalesced_views", (int64_t)v->n_coalesced);
	rk_out_json_int(o, "stalled_readers", v->n_stalled);
	json_object_object_add(o, "stalled_pids", pids);
	rk_out_json_text(o, "epoch_mode", mode_name(s));
	json_object_object_add(o, "segments", json_segments(s));
	json_object_object_add(o, "clients", json_clients(s));
	json_object_object_add(o, "busy_partitions", json_parts(s));
	return o;
}

/* Of an absent one what keeper says of it; the view is what it published last. */
static void json_supervisor(struct json_object *o, const struct rk_look *l)
{
	const struct rk_absence *a = &l->absence;
	bool is_here = a->kind == RK_ABSENCE_NONE;
	int32_t pid = is_here ? l->view->supervisor_pid : a->supervisor_pid;

	rk_out_json_int(o, "keeper_pid", is_here ? l->view->keeper_pid : a->keeper_pid);
	rk_out_json_text(o, "keeper", a->keeper_stopped ? "stopped" : "runs");
	rk_out_json_int_or_null(o, "supervisor_pid", pid != 0, pid);
	rk_out_json_text(o, "supervisor", rk_absence_name(a->kind));
	rk_out_json_int_or_null(o, "supervisor_uptime_ms", pid != 0 && a->since_ns, rk_out_ms_since(a->since_ns, l->now_ns));
	rk_out_json_int(o, "supervisor_replaced", (int64_t)n_replaced(l));
	rk_out_json_int(o, "supervisor_deaths", a->n_deaths);
}

static void print_json(const struct rk_snapshot *s, const struct rk_recall_list *verdicts,
		       const struct rk_recall_list *events, bool with_internals)
{
	struct json_object *o = json_object_new_object(), *workers = json_object_new_array();
	const struct rk_view *v = s->look->view;
	char command[sizeof(v->command)];

	for (uint32_t i = 0; i < s->n_workers; i++)
		json_object_array_add(workers, json_worker(s, &s->workers[i], verdicts));
	rk_out_json_text(o, "name", s->look->ask.fleet);
	rk_out_json_text(o, "fleet", s->look->part[0] ? s->look->part : NULL);
	rk_out_json_text(o, "command",
			 rk_out_clean(command, sizeof(command), v->command, sizeof(v->command)));
	json_supervisor(o, s->look);
	rk_out_json_int(o, "uptime_ms", rk_out_ms_since(v->started_ns, s->look->now_ns));
	rk_out_json_int(o, "partitions", s->look->m.g.n_partitions);
	rk_out_json_int(o, "clients", s->n_clients);
	rk_out_json_int(o, "ready_workers", s->n_ready);
	rk_out_json_int(o, "queued_jobs", (int64_t)s->n_queued);
	rk_out_json_int(o, "finished_jobs", (int64_t)s->n_finished);
	rk_out_json_int(o, "dead_letters", s->n_letters);
	rk_out_json_int(o, "dead_letters_room", s->look->m.g.n_dead);
	rk_out_json_int(o, "blocked_partitions", s->n_blocked);
	rk_out_json_int(o, "unserved_partitions", s->n_unserved);
	json_object_object_add(o, "workers", workers);
	json_object_object_add(o, "standbys", json_standbys(s));
	if (events)
		json_object_object_add(o, "events", rk_recall_json_list(events));
	if (with_internals)
		json_object_object_add(o, "internals", json_internals(s));
	rk_out_json(o);
}

/* ---- one worker ---- */

/* Leaves of the snapshot only this slot. */
static int worker_keep(struct rk_snapshot *s, uint32_t slot, struct rk_err *err)
{
	for (uint32_t i = 0; i < s->n_workers; i++)
		if (s->workers[i].slot == slot) {
			s->workers[0] = s->workers[i];
			s->n_workers = 1;
			return 0;
		}
	return rk_err_set(err, -EINVAL, "there is no worker %u: see 'rekindle status'", slot);
}

/* Its last events; none without a flight recorder, which is no reason to show nothing. */
static void events_read(const char *fleet, uint32_t slot, struct rk_recall_list *ret)
{
	const struct rk_recall_filter filter = { .worker = slot, .is_quiet = true };
	rk_cleanup(rk_recall_close_p) struct rk_recall c = { .reader.fd = -1 };

	if (rk_recall_open(&c, fleet, NULL) == 0 && rk_recall_load(&c, &filter, false, ret) == 0)
		rk_recall_list_tail(ret, EVENTS_SHOWN);
}

/* Exit status of --check. */
static int check(const struct rk_snapshot *s)
{
	if (s->n_ready == 0)
		return RK_CLI_FAILED;
	return s->n_ready < s->n_wanted || s->n_unserved || s->look->absence.kind != RK_ABSENCE_NONE ||
			       s->look->absence.keeper_stopped ? RK_CLI_PARTLY
							       : RK_CLI_OK;
}

/* Opens the look, with --wait not before all are ready; sets *ret_late when the time was up. */
static int look(struct rk_look *l, const struct rk_args *a, const char *name, bool *ret_late,
		struct rk_err *err)
{
	uint64_t wait_ns = rk_args_number(a, "wait", 0);
	int r;

	if (!rk_args_flag(a, "wait"))
		return rk_look_open(l, name, err);
	r = rk_ready_wait(l, name, rk_clock_ns() + (wait_ns ? wait_ns : WAIT_DEFAULT_NS), err);
	*ret_late = r == RK_READY_LATE;
	return r < 0 ? r : 0;
}

int rk_cli_status(int argc, char **argv)
{
	rk_cleanup(rk_look_close_p) struct rk_look l = RK_LOOK_NONE;
	rk_cleanup(rk_snapshot_free_p) struct rk_snapshot s = { 0 };
	rk_cleanup(rk_recall_list_free_p) struct rk_recall_list events = { 0 };
	rk_cleanup(rk_recall_list_free_p) struct rk_recall_list verdicts = { 0 };
	struct rk_err err = { 0 };
	bool is_late = false, is_one;
	struct rk_args a;
	const char *name;
	uint32_t slot = 0;
	int status;

	if (!rk_cli_begin(&a, argc, argv, &status))
		return status;
	rk_recall_time(&a);
	if (rk_cli_fleet_take(&a, &name, &err) < 0)
		return rk_cli_fail(&err);
	is_one = a.n_rest > 0;
	if (is_one && rk_recall_worker(a.rest[0], &slot, &err) < 0)
		return rk_cli_fail(&err);
	if (look(&l, &a, name, &is_late, &err) < 0)
		return rk_cli_fail(&err);
	if (rk_snapshot_take(&s, &l) < 0)
		return rk_cli_complain(RK_CLI_FAILED, "no memory");
	if (is_one) {
		if (worker_keep(&s, slot, &err) < 0)
			return rk_cli_fail(&err);
		events_read(name ? name : l.ask.fleet, slot, &events);
	}
	rk_look_warn(&l);
	rk_last_verdicts_load(&s, name ? name : l.ask.fleet, &verdicts);
	if (rk_args_json(&a))
		print_json(&s, &verdicts, is_one ? &events : NULL, rk_args_flag(&a, "internals"));
	else
		print_text(&s, &verdicts, is_one ? &events : NULL, rk_args_flag(&a, "internals"));
	if (is_late)
		return rk_cli_complain(RK_CLI_TIMEOUT,
				       "the time was up: %u of %u worker%s ready, %u partition%s not served",
				       s.n_ready, s.n_wanted, s.n_wanted == 1 ? " is" : "s are", s.n_unserved,
				       s.n_unserved == 1 ? " is" : "s are");
	return rk_args_flag(&a, "check") ? check(&s) : RK_CLI_OK;
}
