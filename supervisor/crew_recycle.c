/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crew, recycling: the figures that recycle.h judges. Nobody looks by the clock: the supervisor
 * writes into a worker's beat page how many jobs are worth telling (news_at), and the worker rings
 * when it has done them. For MaxJobs that is its bound; for MaxRSS a number of jobs that
 * takes about half a second, found by looking. A timer runs only while a worker is over a bound
 * and has to wait for another one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/crew_private.h"
#include "supervisor/recycle.h"

#define GAP_NS (500 * RK_NS_PER_MS)      /* between two of one fleet */
#define LOOK_MIN_NS (250 * RK_NS_PER_MS) /* looks closer to each other than that are too many */
#define LOOK_MAX_NS RK_NS_PER_S
#define STEP_MAX (1u << 24)

static struct rk_recycle_conf bounds(const struct rk_crew *f)
{
	const struct rk_fleet_options *o = &f->c.conf->o;

	return (struct rk_recycle_conf){ .max_rss = o->max_rss == RK_INFINITE ? 0 : o->max_rss,
					 .max_jobs = o->n_jobs_max,
					 .max_unavailable = 1,
					 .gap_ns = GAP_NS };
}

static struct rk_beat *beat_of(const struct rk_crew *f, uint32_t slot)
{
	return rk_shm_beat(f->c.m, slot);
}

static uint64_t jobs_of(const struct rk_crew *f, uint32_t slot)
{
	/* Relaxed: a figure. */
	return atomic_load_explicit(&beat_of(f, slot)->n_jobs, memory_order_relaxed);
}

/* The second field of statm, in bytes; 0 = not known. */
static uint64_t rss_read(int fd)
{
	char text[128];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	unsigned long long pages;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return sscanf(text, "%*u %llu", &pages) == 1
		       ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE)
		       : 0;
}

/* How many jobs the worker shall have done when it rings. */
static void ask_news(struct rk_crew *f, uint32_t slot, const struct rk_recycle_conf *c)
{
	struct rk_crew_growth *g = &f->growth[slot];
	uint64_t at = UINT64_MAX, jobs = jobs_of(f, slot);

	if (c->max_jobs)
		at = rk_recycle_max_jobs(c->max_jobs, slot, f->slots[slot].incarnation);
	if (c->max_rss)
		at = rk_min_u64(at, jobs + g->step);
	/* Relaxed: a wish for a figure. */
	atomic_store_explicit(&beat_of(f, slot)->news_at, at == UINT64_MAX || jobs >= at ? 0 : at,
			      memory_order_relaxed);
}

/* So that the next look comes in about half a second, if it goes on as it did. */
static void pace(struct rk_crew_growth *g, uint64_t now_ns)
{
	uint64_t since_ns = now_ns - g->looked_ns;

	if (since_ns < LOOK_MIN_NS && g->step < STEP_MAX)
		g->step *= 2;
	else if (since_ns > LOOK_MAX_NS && g->step > 1)
		g->step /= 2;
	g->looked_ns = now_ns;
}

void rk_crew_recycle_on_ready(struct rk_crew *f, uint32_t slot)
{
	struct rk_recycle_conf c = bounds(f);
	struct rk_crew_growth *g = &f->growth[slot];
	char path[32];

	rk_close_p(&g->statm_fd); /* after a reload */
	*g = (struct rk_crew_growth){ .statm_fd = -1, .step = 1, .looked_ns = rk_clock_ns() };
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", f->slots[slot].process.pid);
	if (c.max_rss)
		g->statm_fd = open(path, O_RDONLY | O_CLOEXEC);
	ask_news(f, slot, &c);
}

void rk_crew_recycle_on_down(struct rk_crew *f, uint32_t slot)
{
	rk_close_p(&f->growth[slot].statm_fd);
}

/* Returns the figures of one slot, fresh if its worker has come to where we wanted to know. */
static struct rk_recycle_slot figures(struct rk_crew *f, uint32_t slot,
				      const struct rk_recycle_conf *c, uint64_t now_ns)
{
	const struct rk_slot *s = &f->slots[slot];
	struct rk_crew_growth *g = &f->growth[slot];
	uint64_t at = atomic_load_explicit(&beat_of(f, slot)->news_at, memory_order_relaxed);
	struct rk_recycle_slot v = { .is_ready = s->state == RK_FSM_READY,
				     .is_wanted = s->is_wanted,
				     .incarnation = s->incarnation };

	if (!v.is_ready)
		return v;
	v.n_jobs = jobs_of(f, slot);
	if (at && v.n_jobs >= at) {
		pace(g, now_ns);
		g->rss = c->max_rss ? rss_read(g->statm_fd) : 0;
		ask_news(f, slot, c);
	}
	v.rss = g->rss;
	return v;
}

static void recycle(struct rk_crew *f, const struct rk_recycle *r, const struct rk_recycle_slot *v)
{
	struct rk_slot *s = &f->slots[r->slot];
	struct rk_note note = rk_crew_note(f, RK_FLIGHT_RESPONSE);

	note.slot = r->slot;
	note.pid = s->process.pid;
	note.incarnation = s->incarnation;
	(void)rk_recorder_note(f->c.recorder, &note,
			       "worker recycled reason=%s rss_mib=%llu jobs=%llu",
			       rk_recycle_reason_name(r->reason),
			       (unsigned long long)(v->rss >> 20), (unsigned long long)v->n_jobs);
	rk_slot_event(s, RK_FSM_EV_RECYCLE);
}

void rk_crew_recycle_look(struct rk_crew *f)
{
	struct rk_recycle_conf c = bounds(f);
	rk_cleanup(rk_free_p) struct rk_recycle_slot *v = NULL;
	uint64_t now_ns = rk_clock_ns();
	struct rk_recycle r;

	if ((!c.max_rss && !c.max_jobs) || f->is_stopping || f->is_halted)
		return;
	v = calloc(f->n_slots, sizeof(*v));
	for (uint32_t i = 0; v && i < f->n_slots; i++)
		v[i] = figures(f, i, &c, now_ns);
	if (!v)
		return; /* the next news will do */
	r = rk_recycle_decide(&c, v, f->n_slots, f->recycled_ns, now_ns);
	rk_crew_timer_set(f->recycle_timer,
			  r.n_due > (r.slot != RK_RECYCLE_NOBODY) ? now_ns + GAP_NS : 0);
	if (r.slot == RK_RECYCLE_NOBODY)
		return;
	f->recycled_ns = now_ns;
	recycle(f, &r, &v[r.slot]);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	rk_crew_recycle_look(arg);
	return 0;
}

int rk_crew_recycle_open(struct rk_crew *f)
{
	f->growth = calloc(f->n_slots, sizeof(*f->growth));
	if (!f->growth)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->n_slots; i++)
		f->growth[i].statm_fd = -1;
	return rk_crew_timer_new(f, &f->recycle_timer, on_timer);
}

void rk_crew_recycle_close(struct rk_crew *f)
{
	for (uint32_t i = 0; f->growth && i < f->n_slots; i++)
		rk_close_p(&f->growth[i].statm_fd);
	(void)sd_event_source_disable_unref(f->recycle_timer);
	free(f->growth);
}
