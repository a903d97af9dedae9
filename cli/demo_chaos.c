/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_chaos.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/process.h"
#include "cli/demo_client.h"
#include "cli/demo_step.h"
#include "shm/beat.h"

#define AWAIT_NS (5 * RK_NS_PER_S) /* a successor that has not committed by then had nothing to do */
#define STOP_LOOKS 1000u
#define STEPS_INTO_JOB 400u           /* instructions; a handler of wordcount has about so many */
#define STOP_MIN_MS 10u
#define STOP_MAX_MS 100u
#define RESUME_NS (40 * RK_NS_PER_MS) /* for a killed client's successor to go on */
#define CENSUS_NS (50 * RK_NS_PER_MS) /* between two */
#define VICTIMS 8u                    /* draws until somebody fits */

enum aim { AIM_JOB, AIM_REPLY, AIM_REPLY_OF_NAMED };

/* One worker that is aimed at. */
struct victim {
	uint32_t worker;
	pid_t pid;
	int pidfd;
	uint64_t incarnation;
};

static uint64_t between(struct rk_demo_chaos *c, uint64_t min, uint64_t max)
{
	return min + rk_rand_below(&c->random, max - min + 1);
}

/*
 * 0 .. n-1: how a deed is done, 0 the quick way. A rate that leaves no time to aim is more
 * important than aim.
 */
static uint64_t draw_how(struct rk_demo_chaos *c, enum rk_demo_deed deed, uint64_t n, uint64_t now_ns)
{
	uint64_t how = rk_rand_below(&c->random, n);

	return now_ns > c->next_ns[deed] + RK_NS_PER_S / 2 ? 0 : how;
}

/* ---- choosing ---- */

/*
 * Whether this process holds the worker's lease now. The board may be behind, while a reader
 * stands in its section; the kernel marks the lease of a dead process at once.
 */
static bool has_lease(const struct rk_demo_chaos *c, uint32_t worker, pid_t pid)
{
	uint32_t word = atomic_load_explicit(rk_beat_lease_word(rk_shm_beat(&c->fleet->look.m, worker)),
					     memory_order_acquire);

	return !(word & FUTEX_OWNER_DIED) && (word & FUTEX_TID_MASK) == (uint32_t)pid;
}

/* A worker that is ready, stands in no other deed, and is held by its pidfd. */
static bool choose_worker(struct rk_demo_chaos *c, struct victim *ret)
{
	for (uint32_t i = 0; i < VICTIMS; i++) {
		uint32_t w = (uint32_t)rk_rand_below(&c->random, c->fleet->n_workers);
		struct rk_demo_worker seen = rk_demo_fleet_worker(c->fleet, w);
		int pidfd;

		if (!seen.ready || seen.pid <= 0 || c->workers_stopped[w].until_ns || c->losses[w].killed_ns)
			continue;
		pidfd = rk_demo_pidfd_open(seen.pid);
		if (pidfd < 0)
			continue;
		/* It lives after that: the pidfd is this worker's, not of somebody with its old pid. */
		if (has_lease(c, w, seen.pid)) {
			*ret = (struct victim){ w, seen.pid, pidfd, seen.incarnation };
			return true;
		}
		rk_close_p(&pidfd);
	}
	return false;
}

static bool choose(struct rk_demo_chaos *c, const struct rk_demo_troop *t, uint32_t *ret)
{
	for (uint32_t i = 0; t->n && i < VICTIMS; i++) {
		uint32_t k = (uint32_t)rk_rand_below(&c->random, t->n);

		if (t->child[k].pid > 0 && !t->stopped[k].until_ns) {
			*ret = k;
			return true;
		}
	}
	return false;
}

/* ---- aiming ---- */

/* Stops a process and waits until it stands. False: it is gone, or does not stop. */
static bool stand_still(pid_t pid, int pidfd)
{
	if (!rk_demo_pidfd_signal(pidfd, SIGSTOP))
		return false;
	for (uint32_t i = 0; i < STOP_LOOKS; i++) {
		char state = rk_process_state(pid); /* its pidfd holds it */

		if (state == 'T')
			return true;
		if (state == 'Z' || state == 'X')
			return false;
		(void)sched_yield();
	}
	(void)rk_demo_pidfd_signal(pidfd, SIGCONT);
	return false;
}

/* Place of the client that holds a page, or how many there are. */
static uint32_t client_of(const struct rk_demo_chaos *c, uint32_t page)
{
	pid_t pid = rk_demo_fleet_client(c->fleet, page);
	uint32_t k = 0;

	while (k < c->clients.n && (pid <= 0 || c->clients.child[k].pid != pid))
		k++;
	return k;
}

/* Where a worker is stepped to. */
struct target {
	struct rk_demo_chaos *c;
	uint32_t worker;
	enum aim aim;
	uint32_t client;  /* whose reply it writes: of AIM_REPLY_OF_NAMED */
	uint64_t n_steps; /* of AIM_JOB: instructions into the handler */
	bool entered;
};

static enum rk_demo_where where_in_job(struct target *t)
{
	bool running = rk_demo_fleet_is_running(t->c->fleet, t->worker);

	t->entered = t->entered || running;
	/* Some way into it, or just behind its end, where nothing is committed yet. */
	if (t->entered && (!running || t->n_steps-- == 0))
		return RK_DEMO_THERE;
	return running ? RK_DEMO_NEAR : RK_DEMO_FAR;
}

static enum rk_demo_where where_in_reply(struct target *t)
{
	uint32_t page;

	if (!rk_demo_fleet_is_writing(t->c->fleet, t->worker, &page))
		return rk_demo_fleet_is_replying(t->c->fleet, t->worker) ? RK_DEMO_NEAR : RK_DEMO_FAR;
	if (t->aim == AIM_REPLY)
		return RK_DEMO_THERE;
	t->client = client_of(t->c, page);
	return t->client < t->c->clients.n && rk_demo_client_is_named(t->client, t->c->conf.all_named) &&
			       !t->c->clients.stopped[t->client].until_ns ?
		       RK_DEMO_THERE : RK_DEMO_FAR;
}

static enum rk_demo_where where_is(void *arg)
{
	struct target *t = arg;

	return t->aim == AIM_JOB ? where_in_job(t) : where_in_reply(t);
}

static enum rk_demo_where behind_reply(void *arg)
{
	const struct target *t = arg;
	uint32_t page;

	return rk_demo_fleet_is_writing(t->c->fleet, t->worker, &page) ? RK_DEMO_NEAR : RK_DEMO_THERE;
}

/* True: the worker is where it hurts, and stands still. False: it goes on. */
static bool aim_at(struct rk_demo_chaos *c, const struct victim *v, enum aim aim, uint32_t *ret_client)
{
	struct target t = { .c = c, .worker = v->worker, .aim = aim, .n_steps = between(c, 0, STEPS_INTO_JOB) };
	uint64_t beat = rk_demo_fleet_find_beat(c->fleet, v->worker, v->pid);
	struct rk_demo_walk walk = { .where = where_is, .arg = &t, .timeout_ms = RK_DEMO_AIM_MS };

	if (beat) {
		walk.is_wide = aim != AIM_JOB;
		walk.watch = beat + (aim == AIM_JOB ? offsetof(struct rk_beat, state) : offsetof(struct rk_beat, cell));
	}
	if (rk_demo_step_until(v->pid, &walk) != 0)
		return false;
	*(aim == AIM_JOB ? &c->n_in_job : &c->n_in_reply) += 1;
	*ret_client = t.client;
	return true;
}

/* ---- deeds ---- */

static bool kill_worker(struct rk_demo_chaos *c, uint64_t now_ns)
{
	uint64_t how = draw_how(c, RK_DEMO_KILL_WORKER, 4, now_ns);
	struct rk_demo_loss loss;
	struct victim v;
	uint32_t unused;
	bool done;

	if (!choose_worker(c, &v))
		return false;
	if (how > 0)
		(void)aim_at(c, &v, how == 1 ? AIM_REPLY : AIM_JOB, &unused);
	loss = (struct rk_demo_loss){ .incarnation = v.incarnation,
				      .had_work = rk_demo_fleet_has_work(c->fleet, v.worker) };
	loss.killed_ns = rk_clock_ns();
	done = rk_demo_pidfd_signal(v.pidfd, SIGKILL);
	if (done)
		c->losses[v.worker] = loss;
	rk_close_p(&v.pidfd);
	return done;
}

static bool kill_one(struct rk_demo_chaos *c, const struct rk_demo_troop *t)
{
	uint32_t k;

	return choose(c, t, &k) && rk_demo_child_signal(&t->child[k], SIGKILL);
}

static bool kill_client(struct rk_demo_chaos *c, uint64_t now_ns)
{
	(void)now_ns;
	return kill_one(c, &c->clients);
}

static bool kill_reader(struct rk_demo_chaos *c, uint64_t now_ns)
{
	(void)now_ns;
	return kill_one(c, &c->readers);
}

/* Parked, as far as the board knows: it may just have become a worker, which makes no difference. */
static bool kill_standby(struct rk_demo_chaos *c, uint64_t now_ns)
{
	pid_t pid = rk_demo_fleet_standby(c->fleet);
	int pidfd = pid > 0 ? rk_demo_pidfd_open(pid) : -1;
	bool is_killed;

	(void)now_ns;
	/* Still there after that: the pidfd is this process's, not of somebody with its old pid. */
	is_killed = pidfd >= 0 && rk_demo_fleet_standby(c->fleet) == pid &&
		    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0;
	rk_close_p(&pidfd);
	return is_killed;
}

/* Whoever it is by now: a successor is taken as soon as the board names it. */
static bool kill_supervisor(struct rk_demo_chaos *c, uint64_t now_ns)
{
	pid_t pid = rk_demo_fleet_supervisor(c->fleet);
	int pidfd = pid > 0 ? rk_demo_pidfd_open(pid) : -1;
	bool is_killed = false;

	/* Looked at behind that: the pidfd is keeper's child that runs rekindled, which is nobody else. */
	if (pidfd >= 0 && rk_demo_census_is_supervisor(c->fleet, pid)) {
		now_ns = rk_clock_ns();
		is_killed = rk_demo_pidfd_signal(pidfd, SIGKILL);
	}
	if (is_killed)
		rk_demo_reign_killed(&c->reign, now_ns);
	rk_close_p(&pidfd);
	return is_killed;
}

static bool stop_worker(struct rk_demo_chaos *c, uint64_t now_ns)
{
	uint64_t how = draw_how(c, RK_DEMO_STOP_WORKER, 4, now_ns), ns = between(c, STOP_MIN_MS, STOP_MAX_MS) * RK_NS_PER_MS;
	struct rk_demo_stop stop = { 0 };
	struct victim v;

	if (!choose_worker(c, &v))
		return false;
	stop.pid = v.pid;
	stop.pidfd = v.pidfd;
	if (how > 0 && aim_at(c, &v, how == 1 ? AIM_REPLY : AIM_REPLY_OF_NAMED, &stop.client)) {
		stop.kill_client = how > 1 && c->conf.per_s[RK_DEMO_KILL_CLIENT];
		/* Longer than its client waits, so that it asks again in another cell. */
		ns = (c->conf.timeout_ms + between(c, 10, 20)) * RK_NS_PER_MS;
	} else if (!stand_still(v.pid, v.pidfd)) {
		rk_close_p(&v.pidfd);
		return false;
	}
	stop.until_ns = rk_clock_ns() + ns;
	c->workers_stopped[v.worker] = stop;
	return true;
}

static bool stop_one(struct rk_demo_chaos *c, struct rk_demo_troop *t, uint64_t now_ns)
{
	uint32_t k;

	if (!choose(c, t, &k) || !rk_demo_child_signal(&t->child[k], SIGSTOP))
		return false;
	t->stopped[k] = (struct rk_demo_stop){ .until_ns = now_ns + between(c, STOP_MIN_MS, STOP_MAX_MS) * RK_NS_PER_MS,
					       .pidfd = -1 };
	return true;
}

static bool stop_client(struct rk_demo_chaos *c, uint64_t now_ns)
{
	return stop_one(c, &c->clients, now_ns);
}

static bool stop_reader(struct rk_demo_chaos *c, uint64_t now_ns)
{
	return stop_one(c, &c->readers, now_ns);
}

/* ---- what follows a stop ---- */

static void worker_goes_on(struct rk_demo_stop *s)
{
	(void)rk_demo_pidfd_signal(s->pidfd, SIGCONT);
	rk_close_p(&s->pidfd);
	s->until_ns = 0;
}

/*
 * The client whose reply is half written asks again in another cell by now. It is killed; the
 * worker ends the reply, and stops before it comes to the second reference; the client's
 * successor finds the reply and goes on.
 */
static void kill_waiting_client(struct rk_demo_chaos *c, uint32_t worker, struct rk_demo_stop *s)
{
	struct target t = { .c = c, .worker = worker };
	struct rk_demo_walk walk = { .where = behind_reply, .arg = &t, .timeout_ms = RK_DEMO_AIM_MS, .stay = true };
	uint32_t page;

	s->kill_client = false;
	if (!rk_demo_fleet_is_writing(c->fleet, worker, &page) || client_of(c, page) != s->client)
		return; /* somebody else killed it meanwhile */
	c->n_done[RK_DEMO_KILL_CLIENT] += rk_demo_child_signal(&c->clients.child[s->client], SIGKILL);
	(void)!rk_demo_step_until(s->pid, &walk);
	s->until_ns = rk_clock_ns() + RESUME_NS;
}

/* Those whose time is up by now_ns. */
static void troop_goes_on(struct rk_demo_troop *t, uint64_t now_ns)
{
	for (uint32_t k = 0; k < t->n; k++) {
		struct rk_demo_stop *s = &t->stopped[k];

		if (!s->until_ns || now_ns < s->until_ns)
			continue;
		(void)rk_demo_child_signal(&t->child[k], SIGCONT);
		s->until_ns = 0;
	}
}

static void end_stops(struct rk_demo_chaos *c, uint64_t now_ns)
{
	for (uint32_t w = 0; w < c->fleet->n_workers; w++) {
		struct rk_demo_stop *s = &c->workers_stopped[w];

		if (!s->until_ns || now_ns < s->until_ns)
			continue;
		if (s->kill_client)
			kill_waiting_client(c, w, s);
		if (rk_clock_ns() >= s->until_ns)
			worker_goes_on(s);
	}
	troop_goes_on(&c->clients, now_ns);
	troop_goes_on(&c->readers, now_ns);
}

/* ---- recoveries ---- */

static void recovered(struct rk_demo_chaos *c, uint64_t ns)
{
	c->last_recovery_ns = ns;
	if (c->n_recoveries < RK_DEMO_RECOVERIES_MAX)
		c->recoveries_ns[c->n_recoveries++] = ns;
}

/* When a later incarnation of the worker stamped what is awaited, or 0. */
static uint64_t stamp_of(const struct rk_demo_chaos *c, uint32_t worker, const struct rk_demo_loss *loss)
{
	struct rk_beat *b = rk_shm_beat(&c->fleet->look.m, worker);
	/* Acquire, and once more after: the stamp is of the incarnation that stands beside it. */
	uint64_t incarnation = atomic_load_explicit(&b->incarnation, memory_order_acquire);
	uint64_t ns = atomic_load_explicit(loss->had_work ? &b->first_commit_ns : &b->ready_ns,
					   memory_order_acquire);

	if (incarnation <= loss->incarnation ||
	    atomic_load_explicit(&b->incarnation, memory_order_acquire) != incarnation)
		return 0;
	return ns > loss->killed_ns ? ns : 0;
}

bool rk_demo_chaos_has_census(const struct rk_demo_chaos *c)
{
	return c->conf.per_s[RK_DEMO_KILL_SUPERVISOR] > 0;
}

static void census_take(struct rk_demo_chaos *c, uint64_t now_ns)
{
	if (!rk_demo_chaos_has_census(c) || now_ns < c->census_ns)
		return;
	rk_demo_census_take(&c->census, c->fleet);
	c->census_ns = rk_clock_ns() + CENSUS_NS;
}

uint32_t rk_demo_chaos_look(struct rk_demo_chaos *c, uint64_t now_ns)
{
	uint32_t n = 0;

	rk_demo_reign_look(&c->reign);
	census_take(c, now_ns);
	for (uint32_t w = 0; w < c->fleet->n_workers; w++) {
		struct rk_demo_loss *loss = &c->losses[w];
		uint64_t ns = loss->killed_ns ? stamp_of(c, w, loss) : 0;

		if (!loss->killed_ns)
			continue;
		if (!ns && now_ns < loss->killed_ns + AWAIT_NS) {
			n++;
			continue;
		}
		if (ns)
			recovered(c, ns - loss->killed_ns);
		else
			c->n_unmeasured++;
		loss->killed_ns = 0;
	}
	return n;
}

/* ---- the calendar ---- */

static void draw_next(struct rk_demo_chaos *c, enum rk_demo_deed deed, uint64_t now_ns)
{
	uint64_t every_ns = c->conf.per_s[deed] ? RK_NS_PER_S / c->conf.per_s[deed] : 0;

	c->next_ns[deed] = every_ns ? now_ns + between(c, every_ns / 2, every_ns + every_ns / 2) : UINT64_MAX;
}

void rk_demo_chaos_conclude(struct rk_demo_chaos *c)
{
	if (!rk_demo_chaos_has_census(c))
		return;
	/* A standby that was killed may have been a worker by then. */
	rk_demo_census_end(&c->census, c->fleet, c->n_done[RK_DEMO_KILL_WORKER] + c->n_done[RK_DEMO_KILL_STANDBY]);
	rk_demo_reign_look(&c->reign);
}

int rk_demo_chaos_begin(struct rk_demo_chaos *c, uint64_t now_ns, struct rk_err *err)
{
	int r = 0;

	c->random = rk_rand_init(c->conf.seed);
	c->recoveries_ns = calloc(RK_DEMO_RECOVERIES_MAX, sizeof(*c->recoveries_ns));
	if (!c->recoveries_ns)
		return rk_err_set(err, -ENOMEM, "no memory for %u figures", RK_DEMO_RECOVERIES_MAX);
	if (rk_demo_chaos_has_census(c)) {
		rk_demo_census_begin(&c->census, c->fleet);
		r = rk_demo_reign_begin(&c->reign, c->fleet->name, err);
	}
	if (r < 0)
		return r;
	for (int d = 0; d < RK_DEMO_DEEDS; d++)
		draw_next(c, (enum rk_demo_deed)d, now_ns);
	return 0;
}

uint64_t rk_demo_chaos_step(struct rk_demo_chaos *c, uint64_t now_ns)
{
	static bool (*const deeds[RK_DEMO_DEEDS])(struct rk_demo_chaos *c, uint64_t now_ns) = {
		[RK_DEMO_KILL_WORKER] = kill_worker,
		[RK_DEMO_KILL_CLIENT] = kill_client,
		[RK_DEMO_STOP_WORKER] = stop_worker,
		[RK_DEMO_STOP_CLIENT] = stop_client,
		[RK_DEMO_KILL_READER] = kill_reader,
		[RK_DEMO_STOP_READER] = stop_reader,
		[RK_DEMO_KILL_STANDBY] = kill_standby,
		[RK_DEMO_KILL_SUPERVISOR] = kill_supervisor,
	};
	uint64_t next_ns = UINT64_MAX;

	end_stops(c, now_ns);
	for (int d = 0; d < RK_DEMO_DEEDS; d++) {
		if (now_ns >= c->next_ns[d]) {
			c->n_done[d] += deeds[d](c, rk_clock_ns());
			draw_next(c, (enum rk_demo_deed)d, c->next_ns[d]);
		}
		next_ns = rk_min_u64(next_ns, c->next_ns[d]);
	}
	return next_ns;
}

void rk_demo_chaos_end(struct rk_demo_chaos *c)
{
	for (uint32_t w = 0; w < c->fleet->n_workers; w++)
		if (c->workers_stopped[w].until_ns)
			worker_goes_on(&c->workers_stopped[w]);
	troop_goes_on(&c->clients, UINT64_MAX);
	troop_goes_on(&c->readers, UINT64_MAX);
	for (int d = 0; d < RK_DEMO_DEEDS; d++)
		c->next_ns[d] = UINT64_MAX;
}

void rk_demo_chaos_free(struct rk_demo_chaos *c)
{
	rk_demo_reign_free(&c->reign);
	free(c->recoveries_ns);
	c->recoveries_ns = NULL;
}
