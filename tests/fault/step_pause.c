/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    pause and resume survive death and stop at every instruction, of who asks and of who
 *         obeys: a paused worker's jobs wait and are lost to nobody, it releases what it is asked
 *         for, its successor is paused too, and a resume is never slept through.
 * Method  as step_calls.c: scenes and duets, one instruction at a time, in the world of the calls.
 *         The worker obeys the `stop` word as workers/lib/worker.c does (rk_worker_round()). The
 *         supervisor that was killed begins again: what is wanted, it asks for again and rings.
 *
 *	step_pause [PART-OF-A-CLAIM]
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/beat.h"
#include "shm/bell.h"
#include "shm/part.h"
#include "shm/vigil.h"
#include "shm/words.h"
#include "tests/fault/scene.h"
#include "tests/fault/step.h"
#include "tests/fault/tap.h"

#define ROUNDS 200 /* far more than there is to do */

/* ---- actors ---- */

static struct client *client_of(struct stage *s, uint32_t page)
{
	return &s->w.shared->client[page];
}

static uint64_t cursor_of(const struct stage *s, uint32_t partition)
{
	return rk_commit_cursor(atomic_load_explicit(&rk_shm_part(&s->w.m, partition)->commit,
						     memory_order_acquire));
}

/* rk_slot_hold() */
static void hold(struct stage *s, bool wanted)
{
	(void)rk_beat_ask_pause(rk_shm_beat(&s->w.m, 0), wanted);
	rk_bell_ring_stop(&s->w.m, 0);
}

/* Gives back what it is asked for, and nothing else. */
static bool paused_round(struct stage *s, struct worker *k)
{
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		if (rk_part_is_asked(&s->w.m, p, k->number)) {
			bool open = k->open[p];

			k->open[p] = false;
			return (open ? rk_owner_release(&k->owner[p])
				     : rk_part_release(&s->w.m, p, k->number)) >= 0;
		}
	return false;
}

/* Until there is nothing to do, or it is paused and nothing is asked for. Returns -ESTALE when it
 * lost a partition. */
static int obey(struct stage *s, struct worker *k)
{
	for (int n = 0; n < ROUNDS; n++) {
		bool is_paused = rk_beat_is_pause_wanted(rk_shm_beat(&s->w.m, k->number));
		int r = is_paused ? paused_round(s, k) : worker_pass(&s->w, k);

		if (r <= 0)
			return r;
	}
	stage_fail(s, "a worker never comes to rest");
	return 0;
}

static void act_obey(struct stage *s)
{
	struct worker k;

	worker_init(&k, 0);
	_exit(obey(s, &k) < 0 ? 3 : 0);
}

static void act_pause(struct stage *s)
{
	hold(s, true);
}

static void act_resume(struct stage *s)
{
	hold(s, false);
}

/* rk_slot_wish() for a slot that is held, before its next process is made. */
static void act_wish(struct stage *s)
{
	rk_beat_ask_stop(rk_shm_beat(&s->w.m, 0), false);
	(void)rk_beat_ask_pause(rk_shm_beat(&s->w.m, 0), true);
}

/* A new process of the slot: it takes its page, and looks what there is to do. */
static void act_start(struct stage *s)
{
	if (rk_beat_take(rk_shm_beat(&s->w.m, 0), 2) < 0)
		_exit(77);
	act_obey(s);
}

static void act_publish(struct stage *s)
{
	(void)client_start(&s->w, client_of(s, 1), 0, 1);
}

/* ---- before ---- */

/* All partitions are worker 0's, who knows of no work. */
static void idle(struct stage *s)
{
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		world_assign(&s->w, p, 0);
		rk_part_route(&s->w.m, p, 0, RK_ROUTE_UP);
	}
	atomic_store_explicit(rk_bell_pending(rk_shm_bell(&s->w.m, 0)), 0, memory_order_relaxed);
}

/* The worker sleeps, and the guard does. */
static void idle_paused_parked(struct stage *s)
{
	idle(s);
	hold(s, true);
	(void)rk_bell_park(&rk_shm_bell(&s->w.m, 0)->bell);
	(void)rk_bell_park(rk_shm_vigil(&s->w.m));
}

/* ... and client 0 has a call in partition 1. */
static void called(struct stage *s)
{
	idle(s);
	if (!client_start(&s->w, client_of(s, 0), 0, 1))
		stage_fail(s, "cannot prepare a call");
}

static void called_paused(struct stage *s)
{
	called(s);
	hold(s, true);
}

static void called_parked(struct stage *s)
{
	called_paused(s);
	(void)rk_bell_park(&rk_shm_bell(&s->w.m, 0)->bell);
	(void)rk_bell_park(rk_shm_vigil(&s->w.m));
}

static void called_paused_asked(struct stage *s)
{
	called_paused(s);
	if (rk_part_ask(&s->w.m, 1) < 0)
		stage_fail(s, "cannot ask for a partition");
}

/* It was asked to end, and is dead; an operator has paused its slot. */
static void called_stopped(struct stage *s)
{
	called(s);
	rk_beat_ask_stop(rk_shm_beat(&s->w.m, 0), true);
}

/* ---- after ---- */

/* All that worker 0's next process leaves as it is while it is paused; then everything goes on. */
static void next_is_paused(struct stage *s)
{
	uint64_t before[WORLD_PARTITIONS];
	struct worker k;

	world_sweep(&s->w, 0);
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		if (rk_owner_worker(world_owner_word(&s->w, p)) == 0)
			world_assign(&s->w, p, 0);
		before[p] = cursor_of(s, p);
	}
	worker_init(&k, 0);
	if (obey(s, &k) < 0)
		stage_fail(s, "a paused worker loses a partition");
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		if (cursor_of(s, p) != before[p])
			stage_fail(s, "a paused worker runs a job");
}

/* Of those scenes in which nobody resumes the worker: client 0's job is where it was. */
static void ran_nothing(struct stage *s)
{
	if (cursor_of(s, 1) != s->w.first_position)
		stage_fail(s, "a paused worker ran a job");
}

/* Resumed, it knows what there is, also of one who died before he could ring; worker 2 does it in
 * the end. */
static void resumed(struct stage *s)
{
	hold(s, false);
	if (rk_beat_is_pause_wanted(rk_shm_beat(&s->w.m, 0)))
		stage_fail(s, "a resume has no effect");
	if (rk_queue_has_work(&s->w.m, 1) && rk_owner_worker(world_owner_word(&s->w, 1)) == 0 &&
	    !rk_vigil_has_work(&s->w.m, 0))
		stage_fail(s, "a resumed worker does not know of its work");
	world_sweep(&s->w, 0);
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		if (rk_owner_worker(world_owner_word(&s->w, p)) == 0)
			world_assign(&s->w, p, 2);
	worker_init(&s->me, 2);
}

static void bury_pauser(struct stage *s)
{
	rk_bell_ring_pending(&s->w.m); /* as behind every death */
	hold(s, true);
	next_is_paused(s);
	resumed(s);
}

static void bury_wisher(struct stage *s)
{
	act_wish(s);
	next_is_paused(s);
	resumed(s);
}

/* Whether a sleeper who waited for the words of called_parked() is awake: they have changed. */
static void bury_resumer(struct stage *s)
{
	rk_bell_ring_pending(&s->w.m);
	hold(s, false);
	if (atomic_load_explicit(&rk_shm_bell(&s->w.m, 0)->bell, memory_order_acquire) <= 3)
		stage_fail(s, "a resumed worker sleeps on");
	if (atomic_load_explicit(rk_shm_vigil(&s->w.m), memory_order_acquire) <= 3)
		stage_fail(s, "the guard sleeps on though a worker has work again");
	resumed(s);
}

/* The worker is dead; its slot is still held. */
static void bury_paused(struct stage *s)
{
	rk_beat_reset_lease(rk_shm_beat(&s->w.m, 0));
	bury_wisher(s);
}

static void bury_held(struct stage *s)
{
	ran_nothing(s);
	bury_paused(s);
}

static void bury_asked(struct stage *s)
{
	ran_nothing(s);
	bury_paused(s);
	if (!rk_part_is_released(&s->w.m, 1) && rk_owner_worker(world_owner_word(&s->w, 1)) == 0)
		stage_fail(s, "a paused worker keeps what it is asked for");
}

/* The supervisor rings for what a dead client left. */
static void bury_client(struct stage *s)
{
	rk_bell_ring_pending(&s->w.m);
	client_resume(&s->w, client_of(s, 1));
}

/* While somebody is stopped: worker 0 does what it may. */
static void go_on_obeying(struct stage *s)
{
	struct worker k;

	worker_init(&k, 0);
	if (obey(s, &k) < 0)
		stage_fail(s, "a worker loses a partition");
	worker_init(&s->me, 2);
}

static const struct scene own_scenes[] = {
	{ "supervisor: pauses a worker", called, act_pause, bury_pauser, go_on_obeying,
	  .n_log = 0 },
	{ "supervisor: resumes a worker that is parked", called_parked, act_resume, bury_resumer,
	  NULL, .n_log = 0 },
	{ "supervisor: starts a paused slot again", called_stopped, act_wish, bury_wisher, NULL,
	  .n_log = 0 },
	{ "worker: paused, has a job", called_paused, act_obey, bury_held, NULL, .n_log = 0 },
	{ "worker: paused, releases what it is asked for", called_paused_asked, act_obey,
	  bury_asked, NULL, .n_log = 0 },
	{ "worker: starts in a paused slot", called_paused, act_start, bury_held, NULL,
	  .is_long = true },
};

static const struct scene pause_0 = { "", called, act_pause, bury_pauser, NULL, .n_log = 0 };
static const struct scene resume_0 = { "", called, act_resume, bury_resumer, NULL, .n_log = 0 };
static const struct scene work_0 = { "", called, act_obey, bury_paused, NULL, .n_log = 0 };
static const struct scene start_0 = { "", called, act_start, bury_paused, NULL, .is_long = true };
static const struct scene publish_1 = { "", called, act_publish, bury_client, NULL, .n_log = 0 };

static const struct duet own_duets[] = {
	{ "pause against work", called, &pause_0, &work_0 },
	{ "work against pause", called, &work_0, &pause_0 },
	{ "publish against pause", idle, &publish_1, &pause_0 },
	{ "pause against publish", idle, &pause_0, &publish_1 },
	{ "publish against resume", idle_paused_parked, &publish_1, &resume_0 },
	{ "resume against publish", idle_paused_parked, &resume_0, &publish_1 },
	{ "pause against restart", called, &pause_0, &start_0 },
};

static void report(struct tap *tap, const char *name, bool wrap, const struct step_result *r)
{
	char claim[160];

	(void)snprintf(claim, sizeof(claim), "%s%s", name,
		       wrap ? ", counters before their wraps" : "");
	(void)tap_result(tap, !r->n_bad && r->n_checks, claim);
	printf("# %lu instructions, %lu states, %lu checks, %lu bad, %lu ms%s%s\n", r->n_steps,
	       r->n_states, r->n_checks, r->n_bad, r->took_ms, r->why[0] ? ": " : "", r->why);
}

int main(int argc, char **argv)
{
	struct tap tap = { 0 };
	const char *without = stage_without_ptrace(), *wanted = argc > 1 ? argv[1] : "";
	struct step_result r;

	if (without) {
		tap_skip(&tap, "pause survives death and stop at every instruction", without);
		return tap_end(&tap);
	}
	for (size_t i = 0; i < rk_countof(own_scenes); i++)
		for (int wrap = 0; wrap < 2 && strstr(own_scenes[i].name, wanted); wrap++) {
			step_scene(&own_scenes[i], wrap, &r);
			report(&tap, own_scenes[i].name, wrap, &r);
		}
	for (size_t i = 0; i < rk_countof(own_duets); i++) {
		if (!strstr(own_duets[i].name, wanted))
			continue;
		step_duet(&own_duets[i], false, &r);
		report(&tap, own_duets[i].name, false, &r);
	}
	return tap_end(&tap);
}
