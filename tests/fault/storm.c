/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/storm.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "shm/bell.h"
#include "shm/dead.h"
#include "shm/epoch.h"
#include "shm/evict.h"
#include "shm/part.h"
#include "shm/words.h"

enum { FIRST_CLIENT = WORLD_WORKERS, FIRST_READER = FIRST_CLIENT + WORLD_CLIENTS,
       CHILDREN = FIRST_READER + WORLD_READERS };

struct storm {
	const struct storm_conf *conf;
	struct world w;
	struct rk_rand rand;
	struct rk_board_writer board;
	uint64_t version;
	pid_t pid[CHILDREN];
	uint64_t wake_ns[CHILDREN]; /* when to continue a stopped child; 0 = it is not stopped */
	uint32_t n_active; /* workers that are to own partitions: the fleet is scaled up and down */
	uint64_t n_kills[3], n_stops[3], n_evictions, n_hand_overs, n_pages, n_views, n_scaled;
};

void storm_conf_default(struct storm_conf *conf)
{
	*conf = (struct storm_conf){
		.world = { .n_calls = 1u << 21, .n_dedup = WORLD_CLIENTS * WORLD_SLOTS, .n_banks = WORLD_BANKS,
			   .n_log = 2048, .batch_max = 8, .singles = 4, .n_spare = WORLD_SPARE, .outside_gate = true,
			   .n_dead = 3, .dead_after = 3, .poison = true },
		.storm_ns = 30 * RK_NS_PER_S,
		.mean = 1500,
	};
}

static bool is_calm(const struct world *w)
{
	return atomic_load_explicit(&w->shared->calm, memory_order_relaxed);
}

static bool may_quit(const struct world *w)
{
	return atomic_load_explicit(&w->shared->quit, memory_order_relaxed);
}

/* ---- children ---- */

static void run_worker(struct world *w, uint32_t number)
{
	struct rk_worker_bell *bell = rk_shm_bell(&w->m, number);
	struct worker k;
	int r;

	worker_init(&k, number);
	k.looks_ahead = number % 2;
	for (;;) {
		uint32_t word = 0;

		if (is_calm(w))
			rk_fault_arm_random(0, 0);
		r = worker_pass(w, &k);
		if (r == 0 && w->conf.parked) {
			word = rk_bell_park(&bell->bell);
			r = worker_pass(w, &k);
			if (r == 0)
				(void)rk_bell_wait(&bell->bell, word, 0);
			rk_bell_unpark(&bell->bell);
		}
		if (r < 0)
			break;
		if (r == 0)
			(void)sched_yield();
	}
	world_count(&w->shared->n_lost);
	_exit(3);
}

struct client_run {
	struct world *w;
	struct client c;
	struct rk_rand rand;
};

/* Looks at every outstanding call; returns whether one can be slept on: none moved, none must be asked again. */
static bool look_at_all(struct client_run *r, bool *ret_on)
{
	bool quiet = true;

	*ret_on = false;
	for (uint32_t s = 0; s < WORLD_SLOTS; s++) {
		struct my_call *k = &r->c.slot[s];
		bool late, retry = !r->w->conf.no_retry && rk_rand_below(&r->rand, 2);

		if (!k->on)
			continue;
		if (!k->deadline_ns)
			k->deadline_ns = rk_clock_ns() + 20000 + rk_rand_below(&r->rand, 300000);
		late = !r->c.patient && rk_clock_ns() >= k->deadline_ns;
		quiet &= client_poll(r->w, &r->c, s, late, retry) != RK_CALL_AGAIN && k->on && !late;
		if (late || !k->on)
			k->deadline_ns = 0;
		*ret_on |= k->on;
	}
	return quiet && *ret_on;
}

static void wait_for_reply(struct client_run *r)
{
	_Atomic uint32_t *bell = &rk_shm_page(&r->w->m, r->c.caller.page)->bell;
	uint32_t word = rk_bell_park(bell);
	uint64_t until = UINT64_MAX;
	bool on;

	if (look_at_all(r, &on)) {
		for (uint32_t s = 0; s < WORLD_SLOTS; s++)
			if (r->c.slot[s].on)
				until = rk_min_u64(until, r->c.slot[s].deadline_ns);
		(void)rk_bell_wait(bell, word, r->c.patient ? 0 : until);
	}
	rk_bell_unpark(bell);
}

static void run_client(struct world *w, uint32_t page, uint64_t seed)
{
	struct client_run r = { .w = w, .rand = rk_rand_init(seed) };
	bool on;

	client_open(w, &r.c, page);
	client_resume(w, &r.c);
	for (;;) {
		if (is_calm(w))
			rk_fault_arm_random(0, 0);
		if (look_at_all(&r, &on) && w->conf.parked)
			wait_for_reply(&r);
		if (!on && may_quit(w))
			_exit(0);
		for (uint32_t s = 0; s < WORLD_SLOTS && !on; s++)
			(void)client_start(w, &r.c, s, (uint32_t)rk_rand_below(&r.rand, WORLD_PARTITIONS));
		(void)sched_yield();
	}
}

static void run_reader(struct world *w, uint32_t number)
{
	struct rk_reader *line = rk_shm_reader(&w->m, number);

	if (w->m.board->epoch_mode == RK_EPOCH_PLAIN && rk_epoch_register() < 0)
		_exit(4);
	while (!may_quit(w)) {
		const struct rk_view *view = rk_epoch_enter(&w->m, line);

		if (!world_view_is_whole(w, view))
			world_count(&w->shared->n_bad_view);
		rk_epoch_leave(line);
		world_count(&w->shared->n_views);
		if (is_calm(w))
			rk_fault_arm_random(0, 0);
		(void)sched_yield();
	}
	_exit(0);
}

static void spawn(struct storm *s, int i)
{
	uint64_t seed = rk_rand_u64(&s->rand);
	pid_t parent = getpid(), pid = fork();
	sigset_t none;

	if (pid < 0) {
		printf("Bail out! fork: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	s->pid[i] = pid;
	s->wake_ns[i] = 0;
	if (pid)
		return;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(5);
	rk_fault_arm_random(s->conf->mean, seed);
	if (i < FIRST_CLIENT)
		run_worker(&s->w, (uint32_t)i);
	else if (i < FIRST_READER)
		run_client(&s->w, (uint32_t)(i - FIRST_CLIENT), seed);
	else
		run_reader(&s->w, (uint32_t)(i - FIRST_READER));
}

/* ---- the supervisor's part ---- */

static uint64_t below(struct storm *s, uint64_t n)
{
	return rk_rand_below(&s->rand, n);
}

static int kind_of(int i)
{
	return i < FIRST_CLIENT ? 0 : i < FIRST_READER ? 1 : 2;
}

static bool is_anonymous(int i)
{
	return kind_of(i) == 1 && (i - FIRST_CLIENT) % 3 == 2;
}

static bool reader_is_dead(uint32_t reader, void *arg)
{
	struct storm *s = arg;

	return !s->pid[FIRST_READER + reader];
}

/* A worker that is to own partitions now. */
static uint32_t any_worker(struct storm *s)
{
	return (uint32_t)below(s, s->n_active);
}

static void bury(struct storm *s, int i, int status)
{
	s->n_kills[kind_of(i)] += WIFSIGNALED(status);
	s->pid[i] = 0;
	s->wake_ns[i] = 0;
	if (kind_of(i) == 0) {
		world_sweep(&s->w, (uint32_t)i);
		world_charge(&s->w, (uint32_t)i);
		for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
			if (rk_owner_worker(world_owner_word(&s->w, p)) == (uint32_t)i)
				world_assign(&s->w, p, any_worker(s));
	}
	rk_bell_ring_pending(&s->w.m);
	if (kind_of(i) == 2)
		atomic_store_explicit(&rk_shm_reader(&s->w.m, (uint32_t)(i - FIRST_READER))->active, 0,
				      memory_order_release);
	/* An anonymous client's page waits; a worker comes back whatever its end; others unless they are done. */
	if (kind_of(i) == 0 || (!WIFEXITED(status) && !is_anonymous(i)))
		spawn(s, i);
}

static void reap(struct storm *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		int i = 0;

		while (i < CHILDREN && s->pid[i] != pid)
			i++;
		if (i == CHILDREN)
			continue;
		if (WIFSTOPPED(status)) {
			s->n_stops[kind_of(i)]++;
			s->wake_ns[i] = rk_clock_ns() + below(s, below(s, 4) ? 2000000 : 20000000);
			if (kind_of(i) == 0)
				rk_evict_wake(&s->w.m, (uint32_t)i); /* it may have been evicted while it ran */
			continue;
		}
		bury(s, i, status);
	}
}

/* What a supervisor does all the time: pages, hand-overs, gates, and here also waking the stopped. */
static void tend(struct storm *s)
{
	for (int i = FIRST_CLIENT; i < FIRST_READER; i++)
		if (!s->pid[i] && is_anonymous(i) && !may_quit(&s->w) &&
		    world_reassign_page(&s->w, (uint32_t)(i - FIRST_CLIENT))) {
			s->n_pages++;
			spawn(s, i);
		}
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		if (rk_part_is_released(&s->w.m, p)) {
			s->n_hand_overs++;
			world_assign(&s->w, p, any_worker(s));
		}
		if (rk_dead_is_blocked(&s->w.m, p))
			world_count(&s->w.shared->n_blocked);
		if (s->w.conf.outside_gate && p && (is_calm(&s->w) || !below(s, 3)))
			world_open_gate(&s->w, p);
	}
	if (is_calm(&s->w) || !below(s, 40))
		world_drop_letters(&s->w, is_calm(&s->w));
	for (int i = 0; i < CHILDREN; i++)
		if (s->wake_ns[i] && rk_clock_ns() > s->wake_ns[i]) {
			s->wake_ns[i] = 0;
			(void)kill(s->pid[i], SIGCONT);
		}
}

/* One worker more or less: whoever is to own nothing is asked to release what it has. */
static void scale(struct storm *s)
{
	s->n_active = 1 + (uint32_t)below(s, WORLD_WORKERS);
	s->n_scaled++;
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		if (rk_owner_worker(world_owner_word(&s->w, p)) >= s->n_active)
			(void)rk_part_ask(&s->w.m, p);
}

static void strike(struct storm *s)
{
	int i = (int)below(s, CHILDREN), dice = (int)below(s, 100);

	if (dice < 12) {
		if (s->pid[i])
			(void)kill(s->pid[i], SIGKILL);
	} else if (dice < 30) {
		if (s->pid[i])
			(void)kill(s->pid[i], SIGSTOP);
	} else if (dice < 40) {
		(void)rk_part_ask(&s->w.m, (uint32_t)below(s, WORLD_PARTITIONS));
	} else if (dice < 42) {
		scale(s);
	} else if (dice < 60) {
		for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
			uint32_t owner = rk_owner_worker(world_owner_word(&s->w, p));

			if (owner < WORLD_WORKERS && s->wake_ns[owner])
				s->n_evictions += world_evict(&s->w, p, any_worker(s));
		}
	} else if (dice < 64) {
		s->n_evictions += world_evict(&s->w, (uint32_t)below(s, WORLD_PARTITIONS), any_worker(s));
	} else {
		s->n_views += world_publish_view(&s->w, &s->board, ++s->version);
	}
}

/* Until a child changes, or a moment has passed. */
static void await_child(void)
{
	sigset_t child;
	struct timespec moment = { .tv_nsec = 300000 };

	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	(void)sigtimedwait(&child, NULL, &moment);
}

static void blow(struct storm *s)
{
	uint64_t end = rk_clock_ns() + s->conf->storm_ns;

	while (rk_clock_ns() < end) {
		uint64_t next = rk_clock_ns() + below(s, 400000);

		while (rk_clock_ns() < next)
			if (!below(s, 50))
				(void)sched_yield();
		reap(s);
		tend(s);
		strike(s);
	}
}

static unsigned int without_progress(const struct storm *s)
{
	unsigned int n = 0;

	for (uint32_t k = 0; k < WORLD_CLIENTS; k++)
		for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
			n += !world_stat(&s->w.shared->progress[k][p]) && !client_is_worn_out(&s->w, k);
	return n;
}

static unsigned int clients_left(const struct storm *s)
{
	unsigned int n = 0;

	for (int i = FIRST_CLIENT; i < FIRST_READER; i++)
		n += s->pid[i] != 0;
	return n;
}

/* Nobody is hurt any more: every client gets an answer from every partition, then all of them finish. */
static bool calm_down(struct storm *s, char *ret_verdict, size_t len)
{
	uint64_t end = rk_clock_ns() + 6 * RK_NS_PER_S;

	atomic_store_explicit(&s->w.shared->calm, 1, memory_order_release);
	for (int i = 0; i < CHILDREN; i++)
		if (s->pid[i])
			(void)kill(s->pid[i], SIGCONT);
	for (; without_progress(s) && rk_clock_ns() < end; await_child()) {
		reap(s);
		tend(s);
	}
	atomic_store_explicit(&s->w.shared->quit, 1, memory_order_release);
	for (end = rk_clock_ns() + 3 * RK_NS_PER_S; clients_left(s) && rk_clock_ns() < end; await_child()) {
		reap(s);
		tend(s);
	}
	if (!without_progress(s) && !clients_left(s))
		return true;
	(void)snprintf(ret_verdict, len, "wedged: %u pairs of client and partition without progress, %u clients not finished",
		       without_progress(s), clients_left(s));
	return false;
}

static void end_all(struct storm *s)
{
	for (int i = 0; i < CHILDREN; i++)
		if (s->pid[i]) {
			(void)kill(s->pid[i], SIGKILL);
			(void)waitpid(s->pid[i], NULL, 0);
			s->pid[i] = 0;
		}
}

static void print_figures(const struct storm *s)
{
	const struct world_shared *h = s->w.shared;

	printf("# kills: workers %lu, clients %lu, readers %lu; stops: %lu, %lu, %lu\n", s->n_kills[0], s->n_kills[1],
	       s->n_kills[2], s->n_stops[0], s->n_stops[1], s->n_stops[2]);
	printf("# evictions %lu, hand-overs %lu, scaled %lu, roll-backs %lu, exits after eviction %lu, pages reassigned %lu\n",
	       s->n_evictions, s->n_hand_overs, s->n_scaled, h->n_rolled, h->n_lost, s->n_pages);
	printf("# attempts asked for %lu, quarantined %lu, looks at blocked partitions %lu\n", h->n_retries,
	       h->n_quarantined, h->n_blocked);
	printf("# unknown %lu, published again %lu, cells set aside %lu, without effect %lu, refused %lu, full %lu, no cell %lu\n",
	       h->n_unknown, h->n_again, h->n_aside, h->n_without_effect, h->n_refused, h->n_full, h->n_no_cell);
	printf("# views published %lu, read %lu\n", s->n_views, h->n_views);
}

bool storm_run(const struct storm_conf *conf, char *ret_verdict, size_t len)
{
	struct storm *s = calloc(1, sizeof(*s));
	sigset_t child, before;
	bool ok;

	if (!s)
		abort();
	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &child, &before);
	s->conf = conf;
	s->rand = rk_rand_init(conf->seed);
	s->n_active = WORLD_WORKERS;
	world_make(&s->w, &conf->world);
	world_reset(&s->w, -1);
	rk_fault_break(conf->broken);
	rk_board_writer_init(&s->board, &s->w.m, reader_is_dead, s);
	for (int i = 0; i < CHILDREN; i++)
		spawn(s, i);
	blow(s);
	ok = calm_down(s, ret_verdict, len);
	end_all(s);
	print_figures(s);
	world_settle(&s->w);
	if (ok)
		ok = world_verify(&s->w, true, ret_verdict, len);
	rk_fault_break(RK_BREAK_NONE);
	world_free(&s->w);
	free(s);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return ok;
}
