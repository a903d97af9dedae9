/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   A job that touches one line is run, entered for deduplication,
 *         committed and delivered in at most 100 ns; saving the line and the
 *         commit alone take at most 60 ns. A job that changes 1 % of 64 MiB,
 *         scattered, saves and commits in at most 100 us.
 * Method  One process. The job: 64 calls are started, the owner steps through
 *         them (measured), their replies are read. The others save, change and
 *         commit as a handler's job does. Their floor copies the same bytes
 *         from the same places into a log-like buffer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "shm/words.h"

#define N_CALLS 64u
#define STATE_LEN (64u << 20)
#define LINE 64u
#define PAGE 4096u
#define N_PAGES 164u    /* 1 % of 64 MiB */
#define N_LINES 10486u  /* the same in lines */
#define N_SINGLE 1024u  /* lines of one run, each a commit of its own */

struct commit {
	struct bench_world w;
	struct rk_call call[N_CALLS];
	uint64_t seed, n_jobs;
	uint32_t len, n;          /* of the present case: bytes at a time, places */
	uint32_t spread;          /* places are chosen among so many bytes */
	char *place[N_LINES];
	char *copy;               /* the floor's target */
};

/* ---- one job, as a worker runs it ---- */

static int on_job(struct rk_owner_job *job, void *arg)
{
	uint64_t *n = (uint64_t *)job->owner->bank.state;

	(void)arg;
	(void)rk_owner_touch(job, n, LINE);
	n[0]++;
	return rk_owner_reply(job, job->body, job->len);
}

static double run_job(void *arg)
{
	static const char body[56]; /* with its key a line */
	struct commit *c = arg;
	struct rk_call_request request = { .key = "user:123", .key_len = 8, .body = body, .len = sizeof(body) };
	struct rk_call_reply reply;
	uint64_t start_ns, end_ns;

	for (uint32_t i = 0; i < N_CALLS; i++)
		bench_need(rk_call_start(&c->w.caller, i, &request, &c->call[i]) == RK_CALL_STARTED, "a call");
	start_ns = rk_clock_ns();
	while (rk_owner_step(&c->w.owner, on_job, NULL) > 0)
		;
	end_ns = rk_clock_ns();
	for (uint32_t i = 0; i < N_CALLS; i++) {
		bench_need(rk_call_look(&c->w.caller, &c->call[i]) == RK_CALL_DONE, "a reply");
		rk_call_reply(&c->w.caller, &c->call[i], &reply);
		rk_call_release(&c->w.caller, &c->call[i]);
	}
	return (double)(end_ns - start_ns) / N_CALLS;
}

/* What any such job must do: read request and old line, write line, log and reply, five CASes as take to recycle need. */
static double run_job_floor(void *arg)
{
	struct commit *c = arg;
	char *state = c->w.owner.bank.state, *at = c->copy;
	_Atomic uint64_t *word = (_Atomic uint64_t *)(void *)(c->copy + (1u << 20));
	uint64_t start_ns = rk_clock_ns();

	for (uint32_t i = 0; i < N_CALLS; i++, at += 4 * LINE) {
		memcpy(at, state, LINE);
		memcpy(at + LINE, state + LINE * (1 + i), LINE);
		memcpy(at + 2 * LINE, at + LINE, LINE);
		__asm__ volatile("" ::: "memory");
		for (int k = 0; k < 5; k++)
			atomic_fetch_add_explicit(word, 1, memory_order_seq_cst);
	}
	return (double)(rk_clock_ns() - start_ns) / N_CALLS;
}

/* ---- saving and committing alone ---- */

/* As the owner commits. */
static void commit_jobs(struct commit *c)
{
	struct rk_owner *o = &c->w.owner;
	struct rk_part *part = rk_shm_part(o->m, o->partition);
	uint64_t expected = o->commit, next = rk_commit(o->incarnation, rk_commit_cursor(o->commit) + 1);

	bench_need(atomic_compare_exchange_strong_explicit(&part->commit, &expected, next, memory_order_acq_rel,
							   memory_order_relaxed),
		   "its own partition");
	o->commit = next;
}

static void choose_places(struct commit *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		c->place[i] = c->w.owner.bank.state + bench_random(&c->seed) % (c->spread / c->len) * c->len;
}

static void touch_place(struct commit *c, uint32_t i)
{
	bench_need(rk_bank_save(&c->w.owner.bank, c->place[i], c->len) == 0, "room in the log");
	++*(uint64_t *)(void *)c->place[i];
}

/* Each place is a job. */
static double run_single(void *arg)
{
	struct commit *c = arg;
	uint64_t start_ns;

	choose_places(c);
	start_ns = rk_clock_ns();
	for (uint32_t i = 0; i < c->n; i++) {
		rk_bank_begin(&c->w.owner.bank, rk_commit_cursor(c->w.owner.commit));
		touch_place(c, i);
		commit_jobs(c);
	}
	return (double)(rk_clock_ns() - start_ns) / c->n;
}

/* All places are one job. */
static double run_scattered(void *arg)
{
	struct commit *c = arg;
	uint64_t start_ns;

	choose_places(c);
	start_ns = rk_clock_ns();
	rk_bank_begin(&c->w.owner.bank, rk_commit_cursor(c->w.owner.commit));
	for (uint32_t i = 0; i < c->n; i++)
		touch_place(c, i);
	commit_jobs(c);
	return (double)(rk_clock_ns() - start_ns) / 1000;
}

static double copy_ns(struct commit *c)
{
	uint64_t start_ns;
	char *to = c->copy;

	choose_places(c);
	start_ns = rk_clock_ns();
	for (uint32_t i = 0; i < c->n; i++, to += c->len) {
		memcpy(to, c->place[i], c->len);
		++*(uint64_t *)(void *)c->place[i];
		__asm__ volatile("" ::: "memory");
	}
	return (double)(rk_clock_ns() - start_ns);
}

static double run_single_floor(void *arg)
{
	return copy_ns(arg) / ((struct commit *)arg)->n;
}

static double run_scattered_floor(void *arg)
{
	return copy_ns(arg) / 1000;
}

static void run_places(struct commit *c, const struct bench_case *what, uint32_t n, uint32_t len, uint32_t spread)
{
	struct bench_case full = *what;

	c->n = n;
	c->len = len;
	c->spread = spread;
	full.bench = "commit";
	full.arg = c;
	bench_case(&full);
}

int main(void)
{
	struct commit *c = calloc(1, sizeof(*c));
	struct rk_geometry g;
	const char *copied = "copy of the same bytes, and the change";

	bench_need(c != NULL, "memory");
	bench_world_geometry(&g);
	g.state_max = STATE_LEN;
	g.n_log = 16384;
	g.log_data_len = 2u << 20;
	bench_world_make(&c->w, &g);
	c->copy = bench_shared(2u << 20);
	c->seed = 1;
	bench_pin(0);
	bench_case(&(struct bench_case){ .bench = "commit", .name = "job of one line, entry and delivery", .unit = "ns",
					 .run = run_job, .floor = run_job_floor,
					 .floor_what = "three copies of a line, five locked additions", .arg = c,
					 .n_runs = bench_scale(4000), .aim = 100 });
	run_places(c, &(struct bench_case){ .name = "undo and commit of one line, hot", .unit = "ns", .run = run_single,
					    .floor = run_single_floor, .floor_what = copied,
					    .n_runs = bench_scale(2000), .aim = 60 },
		   N_SINGLE, LINE, LINE);
	run_places(c, &(struct bench_case){ .name = "undo and commit of one line in 64 MiB", .unit = "ns",
					    .run = run_single, .floor = run_single_floor, .floor_what = copied,
					    .n_runs = bench_scale(1000), .aim = 60 },
		   N_SINGLE, LINE, STATE_LEN);
	run_places(c, &(struct bench_case){ .name = "1 % of 64 MiB in 164 pages", .unit = "us", .run = run_scattered,
					    .floor = run_scattered_floor, .floor_what = copied,
					    .n_runs = bench_scale(500), .aim = 100 },
		   N_PAGES, PAGE, STATE_LEN);
	run_places(c, &(struct bench_case){ .name = "1 % of 64 MiB in 10,486 lines", .unit = "us", .run = run_scattered,
					    .floor = run_scattered_floor, .floor_what = copied,
					    .n_runs = bench_scale(500), .aim = 100 },
		   N_LINES, LINE, STATE_LEN);
	free(c);
	return 0;
}
