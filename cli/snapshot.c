/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/snapshot.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "cli/out.h"
#include "shm/beat.h"
#include "shm/dead.h"
#include "shm/queue.h"
#include "shm/words.h"

/* Relaxed everywhere below: a counter is shown, nothing is concluded from its order to others. */
static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* ---- workers ---- */

static void read_beat(const struct rk_look *l, struct rk_snapshot_worker *w)
{
	struct rk_beat *beat = l->m.beats ? rk_shm_beat(&l->m, w->slot) : NULL;
	char words[sizeof(beat->last_words)];

	if (!beat || load(&beat->incarnation) != w->view.incarnation)
		return; /* the page still speaks of a predecessor */
	w->n_jobs = load(&beat->n_jobs);
	w->n_errors = load(&beat->n_errors);
	w->n_refused = load(&beat->n_refused);
	/* What the kernel says, whatever the process itself said last. */
	w->is_suspended = w->view.pid > 0 && rk_process_is_stopped(w->view.pid);
	if (w->view.pid > 0)
		w->declared = rk_beat_state_name(
			atomic_load_explicit(&beat->state, memory_order_relaxed));
	memcpy(words, beat->last_words, sizeof(words)); /* once: it may change under our eyes */
	(void)rk_out_clean(w->last_words, sizeof(w->last_words), words, sizeof(words));
}

bool rk_snapshot_is_wanted(uint32_t state)
{
	return state != RK_SLOT_EMPTY && state != RK_SLOT_STANDBY && state != RK_SLOT_DRAINED &&
	       state != RK_SLOT_STOPPED;
}

/* One that the fleet was scaled away from is not, once it has nothing left. */
static bool is_used(const struct rk_view_slot *slot)
{
	return slot->state != RK_SLOT_STANDBY &&
	       (slot->state != RK_SLOT_EMPTY || slot->n_partitions);
}

struct rk_snapshot_worker rk_snapshot_worker(const struct rk_look *l, uint32_t slot)
{
	struct rk_snapshot_worker w = { .slot = slot,
					.view = *rk_look_slot(l, slot),
					.state = rk_look_slot_state(l, slot) };

	read_beat(l, &w);
	return w;
}

bool rk_snapshot_is_ready(const struct rk_snapshot_worker *w)
{
	return w->view.state == RK_SLOT_READY && !w->is_suspended;
}

const char *rk_snapshot_state(char text[static RK_SNAPSHOT_STATE],
			      const struct rk_snapshot_worker *w)
{
	bool is_news = w->declared && strcmp(w->declared, w->state) != 0;

	if (w->is_suspended)
		(void)snprintf(text, RK_SNAPSHOT_STATE, "suspended");
	else
		(void)snprintf(text, RK_SNAPSHOT_STATE, "%s%s%s", w->state, is_news ? "/" : "",
			       is_news ? w->declared : "");
	return text;
}

/* A suspect one may be at work. */
static bool is_serving(const struct rk_snapshot_worker *w)
{
	return rk_snapshot_is_ready(w) || (w->view.state == RK_SLOT_SUSPECT && !w->is_suspended);
}

uint32_t rk_snapshot_n_unserved(const struct rk_look *l)
{
	uint32_t n = l->m.g.n_partitions;

	for (uint32_t slot = 0; slot < l->m.g.n_workers; slot++) {
		struct rk_snapshot_worker w = { .view = *rk_look_slot(l, slot) };

		if (w.view.n_partitions == 0)
			continue;
		w = rk_snapshot_worker(l, slot);
		if (is_serving(&w))
			n -= rk_min_u32(n, w.view.n_partitions);
	}
	return n;
}

static void read_workers(struct rk_snapshot *s)
{
	const struct rk_look *l = s->look;

	for (uint32_t slot = 0; slot < l->m.g.n_workers; slot++) {
		struct rk_snapshot_worker *w = &s->workers[s->n_workers];

		if (rk_look_slot(l, slot)->state == RK_SLOT_STANDBY)
			s->standbys[s->n_standbys++] = *rk_look_slot(l, slot);
		if (!is_used(rk_look_slot(l, slot)))
			continue;
		*w = rk_snapshot_worker(l, slot);
		s->n_wanted += rk_snapshot_is_wanted(w->view.state);
		s->n_ready += rk_snapshot_is_ready(w);
		s->n_workers++;
	}
}

/* ---- partitions ---- */

static struct rk_snapshot_part read_part(const struct rk_shm *m, uint32_t partition)
{
	const struct rk_part *part = rk_shm_part(m, partition);
	uint64_t owner = load(&part->owner);
	struct rk_snapshot_part p = { .partition = partition };

	p.freed = load(&part->freed) & RK_MASK48; /* before the cursor: it never overtakes it */
	p.cursor = rk_commit_cursor(load(&part->commit));
	p.released = load(&part->released) & RK_MASK48;
	p.is_owned = rk_owner_flag(owner) == RK_OWNER_RUN || rk_owner_flag(owner) == RK_OWNER_STOP;
	p.worker = rk_owner_worker(owner);
	p.n_queued = rk_queue_depth(m, partition);
	return p;
}

/* Counts them for whoever has the partition, or will have it when it is there again. */
static void queue_for(struct rk_snapshot *s, const struct rk_snapshot_part *p)
{
	uint64_t route = load(&rk_shm_routes(&s->look->m)[p->partition]);
	uint32_t slot = p->is_owned ? p->worker : rk_route_worker(route);

	for (uint32_t i = 0; p->n_queued && i < s->n_workers; i++)
		if (s->workers[i].slot == slot)
			s->workers[i].n_queued += p->n_queued;
}

static void read_parts(struct rk_snapshot *s)
{
	for (uint32_t i = 0; i < s->look->m.g.n_partitions; i++) {
		struct rk_snapshot_part p = read_part(&s->look->m, i);

		queue_for(s, &p);
		s->n_queued += p.n_queued;
		s->n_finished += p.cursor;
		s->n_blocked += rk_dead_is_blocked(&s->look->m, i);
		if (p.n_queued || p.freed != p.cursor || p.released != p.cursor)
			s->busy[s->n_busy++] = p;
	}
}

static void count_clients(struct rk_snapshot *s)
{
	const struct rk_look *l = s->look;

	for (uint32_t i = 0; i < l->m.g.n_clients; i++)
		s->n_clients += (rk_view_clients(&l->m, l->view)[i].flags & RK_CLIENT_ALIVE) != 0;
}

int rk_snapshot_take(struct rk_snapshot *s, const struct rk_look *look)
{
	*s = (struct rk_snapshot){ .look = look };
	s->workers = calloc(look->m.g.n_workers, sizeof(*s->workers));
	s->standbys = calloc(look->m.g.n_workers, sizeof(*s->standbys));
	s->busy = calloc(look->m.g.n_partitions, sizeof(*s->busy));
	if (!s->workers || !s->standbys || !s->busy)
		return -ENOMEM;
	read_workers(s);
	s->n_unserved = rk_snapshot_n_unserved(look);
	read_parts(s);
	count_clients(s);
	s->n_letters = rk_dead_count(&look->m);
	return 0;
}

void rk_snapshot_free_p(struct rk_snapshot *s)
{
	rk_free_p(&s->workers);
	rk_free_p(&s->standbys);
	rk_free_p(&s->busy);
	*s = (struct rk_snapshot){ 0 };
}

/* ---- deaths ---- */

const char *rk_snapshot_cause(int32_t exit_code)
{
	switch (exit_code) {
	case CLD_EXITED:
		return "exit";
	case CLD_KILLED:
		return "signal";
	case CLD_DUMPED:
		return "core";
	default:
		return "unknown";
	}
}

const char *rk_snapshot_signal(int32_t signal, char *text, size_t size)
{
	const char *name = sigabbrev_np(signal);

	if (name)
		(void)snprintf(text, size, "SIG%s", name);
	else
		(void)snprintf(text, size, "signal %d", signal);
	return text;
}

const char *rk_snapshot_death(const struct rk_view_slot *slot, const char *verdict, uint64_t now_ns,
			      char *text, size_t size)
{
	uint64_t ago_ns = slot->died_ns < now_ns ? now_ns - slot->died_ns : 0;
	char how[64], ago[RK_OUT_TIME];

	if (slot->died_ns == 0) {
		(void)snprintf(text, size, "-");
		return text;
	}
	switch (slot->exit_code) {
	case CLD_EXITED:
		(void)snprintf(how, sizeof(how), "exit %d", slot->exit_status);
		break;
	case CLD_KILLED:
	case CLD_DUMPED:
		(void)rk_snapshot_signal(slot->exit_status, how, sizeof(how));
		break;
	default:
		(void)snprintf(how, sizeof(how), "unknown cause");
	}
	if (verdict && (slot->exit_code == CLD_KILLED || slot->exit_code == CLD_DUMPED))
		(void)snprintf(how, sizeof(how), "killed: %s%s", verdict,
			       slot->exit_code == CLD_DUMPED ? "" : ",");
	(void)snprintf(text, size, "%s%s %s ago (pid %d)", how,
		       slot->exit_code == CLD_DUMPED ? ", core dumped," : "",
		       rk_out_span(ago, ago_ns), slot->died_pid);
	return text;
}
