/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* A child that goes through its act one instruction at a time. */
struct walk {
	pid_t child;
	bool ended;
	bool changed;               /* the last instruction changed the shared memory, or was the end */
	char *last;                 /* the shared memory as it was */
	unsigned long n_steps, n_states;
};

static void walk_begin(struct walk *k, struct stage *s, const struct scene *scene)
{
	*k = (struct walk){ .last = malloc(s->w.shm_len) };
	if (!k->last)
		abort();
	memcpy(k->last, s->w.base, s->w.shm_len);
	k->child = stage_child(s, scene->act);
	if (k->child < 0)
		stage_fail(s, "the child did not start");
	k->ended = k->child < 0;
}

/* One instruction. False after the end. */
static bool walk_on(struct walk *k, const struct stage *s)
{
	int status;

	if (k->ended)
		return false;
	k->ended = !stage_step(k->child, &status);
	k->n_steps++;
	k->changed = k->ended || memcmp(k->last, s->w.base, s->w.shm_len) != 0;
	if (k->changed) {
		memcpy(k->last, s->w.base, s->w.shm_len);
		k->n_states++;
	}
	return true;
}

/* On to the next state of the shared memory, the end included. False after the end. */
static bool walk_to_change(struct walk *k, const struct stage *s)
{
	bool more = walk_on(k, s);

	while (more && !k->changed)
		more = walk_on(k, s);
	return more;
}

static void walk_end(struct walk *k)
{
	if (!k->ended)
		stage_kill(k->child);
	free(k->last);
}

static void note(struct step_result *r, const struct stage *s, const char *how, const struct walk *a, const struct walk *b)
{
	if (!s->why[0] || r->why[0])
		return;
	(void)snprintf(r->why, sizeof(r->why), "%.40s at state %lu, %lu: %.110s", how, a ? a->n_states : 0,
		       b ? b->n_states : 0, s->why);
}

/* Lets the one that stood here run to its end, in a twin's person. */
static void continue_twin(struct stage *s, const struct walk *k, pid_t twin)
{
	if (!k->ended && (twin < 0 || !stage_continue(twin)))
		stage_fail(s, "the stopped one never ends");
}

static pid_t twin_of(const struct walk *k)
{
	return k->ended ? -1 : stage_twin(k->child);
}

static void begin(struct stage *s, struct step_result *r, const struct scene *scene, bool wrap, uint32_t n_spare,
		  void (*prepare)(struct stage *))
{
	*r = (struct step_result){ .began_ns = rk_clock_ns() };
	stage_open(s, scene, wrap, n_spare);
	stage_prepare(s, prepare);
	note(r, s, "preparing", NULL, NULL);
}

static void end(struct stage *s, struct step_result *r)
{
	note(r, s, "in general", NULL, NULL);
	r->n_checks = s->n_checks;
	r->n_bad = s->n_bad;
	r->took_ms = (rk_clock_ns() - r->began_ns) / RK_NS_PER_MS;
	stage_close(s);
}

static void killed(struct stage *s, const struct scene *scene, const struct walk *k, struct step_result *r)
{
	scene->bury(s);
	stage_check(s);
	note(r, s, "killed", k, NULL);
}

static void stopped(struct stage *s, const struct scene *scene, const struct walk *k, struct step_result *r)
{
	pid_t twin = twin_of(k);

	if (scene->go_on)
		scene->go_on(s);
	continue_twin(s, k, twin);
	scene->bury(s);
	stage_check(s);
	note(r, s, "stopped, then continued", k, NULL);
}

void step_scene(const struct scene *scene, bool wrap, struct step_result *ret)
{
	struct snapshot *here;
	struct stage s;
	struct walk k;

	begin(&s, ret, scene, wrap, WORLD_SPARE, scene->prepare);
	here = stage_room(&s);
	walk_begin(&k, &s, scene);
	while (!s.n_bad && walk_on(&k, &s)) {
		/*
		 * A kill leaves the memory and nothing else; one who is stopped also remembers what it
		 * read. What it reads is the same before a wrap, where the states are enough.
		 */
		if (!k.changed && (wrap || scene->is_long || atomic_load_explicit(&s.w.shared->elsewhere, memory_order_relaxed)))
			continue;
		stage_save(&s, here);
		if (k.changed) {
			killed(&s, scene, &k, ret);
			stage_restore(&s, here);
		}
		stopped(&s, scene, &k, ret);
		stage_restore(&s, here);
	}
	ret->n_steps = k.n_steps;
	ret->n_states = k.n_states;
	walk_end(&k);
	free(here);
	end(&s, ret);
}

/* Which of the two goes on to its end, and in which order; the other one dies here. */
enum fate { BOTH_DIE, A_GOES_ON, B_GOES_ON, A_THEN_B, B_THEN_A, FATES };

static void decide(struct stage *s, const struct duet *d, const struct walk *a, const struct walk *b, enum fate fate)
{
	pid_t twin_a = fate == A_GOES_ON || fate == A_THEN_B || fate == B_THEN_A ? twin_of(a) : -1;
	pid_t twin_b = fate == B_GOES_ON || fate == A_THEN_B || fate == B_THEN_A ? twin_of(b) : -1;

	switch (fate) {
	case A_GOES_ON:
	case A_THEN_B:
		continue_twin(s, a, twin_a);
		if (fate == A_THEN_B)
			continue_twin(s, b, twin_b);
		break;
	case B_GOES_ON:
	case B_THEN_A:
		continue_twin(s, b, twin_b);
		if (fate == B_THEN_A)
			continue_twin(s, a, twin_a);
		break;
	case BOTH_DIE:
	case FATES:
		break;
	}
	d->a->bury(s);
	d->b->bury(s);
	stage_check(s);
}

/* A stands; B walks. */
static void against(struct stage *s, const struct duet *d, const struct walk *a, struct snapshot *here,
		    struct step_result *r)
{
	static const char *const names[] = { "both killed", "first goes on", "second goes on", "first, then second",
					     "second, then first" };
	struct walk b;

	static_assert(rk_countof(names) == FATES, "a name for every fate");
	walk_begin(&b, s, d->b);
	while (!s->n_bad && walk_to_change(&b, s)) {
		stage_save(s, here);
		for (int fate = BOTH_DIE; fate < FATES; fate++) {
			decide(s, d, a, &b, (enum fate)fate);
			note(r, s, names[fate], a, &b);
			stage_restore(s, here);
		}
	}
	r->n_steps += b.n_steps;
	r->n_states += b.n_states;
	walk_end(&b);
}

/* The steps after which one stands: before and after each change, that is with all it has read. */
struct stands {
	unsigned long *at, n;
};

static void find_stands(struct stage *s, const struct scene *scene, struct stands *ret)
{
	unsigned long room = 64;
	struct walk k;

	*ret = (struct stands){ .at = malloc(room * sizeof(*ret->at)) };
	walk_begin(&k, s, scene);
	while (ret->at && walk_to_change(&k, s)) {
		if (ret->n + 2 > room)
			ret->at = realloc(ret->at, (room *= 2) * sizeof(*ret->at));
		if (!ret->at)
			break;
		if (!ret->n || ret->at[ret->n - 1] < k.n_steps - 1)
			ret->at[ret->n++] = k.n_steps - 1;
		ret->at[ret->n++] = k.n_steps;
	}
	walk_end(&k);
	stage_restart(s);
	if (!ret->at)
		abort();
}

void step_duet(const struct duet *d, bool wrap, struct step_result *ret)
{
	struct snapshot *before, *here;
	struct stands stands;
	struct stage s;
	struct walk a;

	begin(&s, ret, d->a, wrap, 2, d->prepare);
	before = stage_room(&s);
	here = stage_room(&s);
	find_stands(&s, d->a, &stands);
	walk_begin(&a, &s, d->a);
	for (unsigned long i = 0; i < stands.n && !s.n_bad; i++) {
		while (a.n_steps < stands.at[i] && walk_on(&a, &s))
			;
		stage_save(&s, before);
		against(&s, d, &a, here, ret);
		stage_restore(&s, before);
	}
	walk_end(&a);
	free(stands.at);
	free(before);
	free(here);
	end(&s, ret);
}
