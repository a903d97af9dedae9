/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/sim.h"

#include <string.h>

#include "supervisor/respond.h"

uint64_t sim_now_ns(const struct sim *s)
{
	return 1000 * RK_NS_PER_S + s->ms * RK_NS_PER_MS;
}

static bool is_cpu_given(const struct sim *s)
{
	switch (s->machine) {
	case HOGS: /* 3 ms of every 200 */
		return s->ms % 200 < 3;
	case QUOTA: /* 5 ms of every 100 */
		return s->ms % 100 < 5;
	case FREE:
		break;
	}
	return true;
}

static void thread_step(const struct sim *s, struct sim_thread *t)
{
	bool runs = t->wants == 'R' && is_cpu_given(s) && !s->is_frozen;

	t->has_cpu = runs;
	if (runs || t->wants != 'R') { /* it arrives, or leaves the queue: its books are closed */
		t->books.delay_ns += s->machine == QUOTA ? 0 : t->delay_ns;
		t->delay_ns = 0;
	} else {
		t->delay_ns += RK_NS_PER_MS;
	}
	t->books.cpu_ns += runs ? RK_NS_PER_MS : 0;
	t->books.state = t->wants;
	if (s->is_frozen)
		t->books.state = s->is_frozen_v1 ? 'D' : 'S';
}

static void look_fill(struct sim *s, bool want_list, struct rk_look *l)
{
	uint32_t n_stopped = 0, n_traced = 0, n = 0;

	*l = (struct rk_look){ .at_ns = sim_now_ns(s),
			       .is_first = !s->has_seen,
			       .is_listed = (want_list || !s->has_seen) && !s->is_never_listed,
			       .n_processes = 1,
			       .is_frozen = s->is_frozen,
			       .is_cut = s->is_cut };
	s->has_seen = true;
	if (s->is_blind) {
		l->error = -13;
		return;
	}
	for (uint32_t i = 0; i < SIM_THREADS; i++) {
		struct sim_thread *t = &s->thread[i];

		if (!t->wants)
			continue;
		rk_look_add(l, t->seen.state && t->seen_life == t->life ? &t->seen : NULL,
			    &t->books);
		t->seen = t->books;
		t->seen_life = t->life;
		n++;
		n_stopped += t->books.state == 'T';
		n_traced += t->books.state == 't';
	}
	l->is_stopped = n_stopped == n;
	l->is_traced = n_traced > 0;
}

static void tick(struct sim *s)
{
	static const struct rk_policies kill_all = { RK_POLICY_KILL, RK_POLICY_KILL, 0 };
	struct rk_look look;
	struct rk_detect_input in = { .beat = s->beat,
				      .now_ns = sim_now_ns(s),
				      .lateness_ns = s->lateness_ns,
				      .boot_ns = sim_now_ns(s) + s->away_ns,
				      .pending_since_ns = s->pending_since_ns,
				      .is_pressed = s->is_pressed };
	enum rk_detect_need need = rk_detect_need(&s->bounds, &s->d, &in);
	enum rk_response r;

	if (need != RK_DETECT_NOTHING) {
		look_fill(s, need == RK_DETECT_LIST, &look);
		in.look = &look;
		s->n_looks++;
		s->n_lists += need == RK_DETECT_LIST;
	}
	rk_detect_step(&s->bounds, &s->d, &in, &s->finding);
	s->n_ticks++;
	s->n_suspect += s->finding.is_suspect;
	if (!s->at_ms[s->finding.verdict])
		s->at_ms[s->finding.verdict] = s->ms + 1;
	r = rk_respond(s->finding.verdict, &kill_all, s->finding.blamed_for_ns);
	s->n_kills += r == RK_RESPOND_KILL || r == RK_RESPOND_ABORT;
	s->n_cancels += r == RK_RESPOND_CANCEL;
	s->lateness_ns = 0;
	s->tick_ms = s->ms + rk_detect_next_tick_ns(s->finding.is_suspect, false) / RK_NS_PER_MS;
}

void sim_run(struct sim *s, uint64_t ms)
{
	for (uint64_t end = s->ms + ms; s->ms < end; s->ms++, s->since_job_ms++) {
		s->live(s);
		for (uint32_t i = 0; i < SIM_THREADS; i++)
			thread_step(s, &s->thread[i]);
		if (s->ms >= s->tick_ms)
			tick(s);
	}
}

void sim_replace(struct sim *s, uint64_t ms)
{
	s->tick_ms = UINT64_MAX;
	sim_run(s, ms);
	s->tick_ms = s->ms;
	s->has_seen = false;
	for (uint32_t i = 0; i < SIM_THREADS; i++)
		s->thread[i].seen.state = 0;
	rk_detect_take_up(&s->d, sim_now_ns(s));
}

void sim_init(struct sim *s, void (*live)(struct sim *), enum machine machine)
{
	memset(s, 0, sizeof(*s));
	s->live = live;
	s->machine = machine;
	s->beat = (struct rk_detect_beat){ .incarnation = 1, .state = RK_BEAT_RUNNING, .job = 1 };
	s->thread[0].wants = 'R';
}

uint64_t sim_found_ms(const struct sim *s, enum rk_verdict verdict)
{
	return s->at_ms[verdict] ? s->at_ms[verdict] - 1 : UINT64_MAX;
}
