/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The algorithms of shm/ order all their memory accesses: no data race, and books that
 *         balance, while workers, clients and readers die at kill points, partitions change
 *         hands by release, death and eviction, jobs are tried again and quarantined, calls time
 *         out, pages pass on and views are published.
 * Method  Processes become threads of one process, under ThreadSanitizer. What is private to a
 *         process is private to its thread; a "death" is a longjmp out of a kill point, and the
 *         supervisor's confirmation of it (the kernel's work) is one release/acquire flag.
 *         A hand-over by release synchronizes through the shared owner and commit words alone. The
 *         copy of an evicted owner's bank races with it by design and is hidden from the
 *         sanitizer (shm/evict.c); nothing else of an eviction is.
 *         Each job appends its token to its partition's state, so that the state is the ledger:
 *         at the end every acknowledged token stands there once, at the place its reply named,
 *         and none that was told "not applied" or "failed" does.
 *
 * usage: threads [SEED [SECONDS]]; REKINDLE_BREAK=NAME takes one safeguard out (shm/fault.h).
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/rand.h"
#include "shm/bell.h"
#include "shm/board.h"
#include "shm/call.h"
#include "shm/dead.h"
#include "shm/deliver.h"
#include "shm/epoch.h"
#include "shm/evict.h"
#include "shm/fault.h"
#include "shm/owner.h"
#include "shm/part.h"
#include "shm/queue.h"
#include "shm/words.h"

#define N_PARTITIONS 4u
#define N_WORKERS 3u
#define N_CLIENTS 3u
#define N_SLOTS 4u
#define N_READERS 2u
#define N_BANKS 4u
#define N_ACTORS (N_WORKERS + N_CLIENTS + N_READERS + 1u)
#define TOKENS (1u << 18)       /* per client */
#define LEDGER ((1u << 19) - 1) /* tokens in one partition's state */
#define DEFAULT_SECONDS 6u
#define RK_WAIT_NS (20 * RK_NS_PER_MS)

enum outcome { UNSENT, INTENT, ACKNOWLEDGED, NOT_APPLIED, FAILED };
enum rebirth { FRESH, RESUMED };

/* What a client knows of one token; its own thread's, read by main after the join. */
struct result {
	uint32_t outcome; /* enum outcome */
	uint32_t partition;
	uint64_t place; /* in the partition's ledger, when acknowledged */
};

struct ledger {
	uint64_t n;
	uint64_t token[LEDGER];
};

struct counts {
	uint64_t jobs, deaths, resumed, expired, aside, duplicates, views, parks, lost, copies, retries, letters;
};

/* A process played by a thread. */
struct actor {
	struct world *world;
	pthread_t thread;
	uint32_t index; /* worker, client page or reader line */
	struct rk_rand rand;
	uint32_t mean;      /* kill points per death */
	int64_t left;       /* until the next one; 0 = may not die */
	jmp_buf grave;
	_Atomic uint32_t dead;    /* set by the dying, cleared by the supervisor: its confirmation */
	_Atomic uint32_t is_done; /* a client has nothing outstanding */
	enum rebirth rebirth;     /* behind `dead` */
	struct counts counts;
	/* a worker's */
	struct rk_owner owner[N_PARTITIONS];
	bool is_open[N_PARTITIONS];
	void *room[N_PARTITIONS];
	/* a client's */
	struct rk_caller caller;
	struct rk_call call[N_SLOTS];
	bool is_busy[N_SLOTS];
	struct result *results;
	uint32_t n_tokens;
};

struct world {
	struct rk_shm m;
	char *banks;
	struct actor workers[N_WORKERS], clients[N_CLIENTS], readers[N_READERS], supervisor;
	struct rk_board_writer board;
	struct rk_view *view;
	uint64_t n_moves, n_freed, n_reborn, n_evictions, n_dropped;
	uint64_t next_id; /* supervisor's */
	_Atomic uint32_t draining, stop;
};

static _Thread_local struct actor *me; /* the process this thread plays */
static enum rk_break broken;           /* constant after main() has read it */

/* ---- kill points ---- */

void rk_fault_reach(enum rk_kill_point point)
{
	(void)point;
	__asm__ volatile("" ::: "memory");
	if (!me || me->left == 0)
		return;
	if (rk_rand_below(&me->rand, 16) == 0)
		(void)sched_yield();
	if (--me->left == 0)
		longjmp(me->grave, 1);
}

int rk_fault_is_broken(enum rk_break which)
{
	return broken == which;
}

static void read_break(void)
{
#define NAME(name, what) #name,
	static const char *const names[] = { "NONE", RK_BREAKS(NAME) };
	const char *wanted = getenv("REKINDLE_BREAK");

	for (int i = 0; wanted && i < RK_BREAK_COUNT; i++)
		if (strcmp(names[i], wanted) == 0)
			broken = (enum rk_break)i;
}

static bool load_flag(_Atomic uint32_t *flag)
{
	return atomic_load_explicit(flag, memory_order_acquire) != 0;
}

static void store_flag(_Atomic uint32_t *flag, uint32_t value)
{
	atomic_store_explicit(flag, value, memory_order_release);
}

static void draw_lifetime(struct actor *a)
{
	bool immortal = a->mean == 0 || load_flag(&a->world->draining);

	a->left = immortal ? 0 : 1 + (int64_t)rk_rand_below(&a->rand, 2ull * a->mean);
}

/* Dead: waits until the supervisor has confirmed it and started the slot again. False: the end. */
static bool lie_in_grave(struct actor *a)
{
	a->left = 0;
	a->counts.deaths++;
	store_flag(&a->dead, 1);
	while (load_flag(&a->dead)) {
		if (load_flag(&a->world->stop))
			return false;
		(void)sched_yield();
	}
	return true;
}

static _Noreturn void fail(const char *what)
{
	printf("not ok 1 - %s\n1..1\n", what);
	(void)fflush(stdout);
	_Exit(1);
}

/* ---- worker ---- */

struct body {
	uint64_t token;
	uint64_t is_bad; /* the handler fails after it has written */
};

static int append(struct rk_owner_job *job, void *arg)
{
	struct ledger *l = (struct ledger *)(void *)job->owner->bank.state;
	struct actor *a = arg;
	struct body body;
	uint64_t place = l->n;
	int r;

	if (job->len != sizeof(body) || place >= LEDGER)
		return -EINVAL;
	memcpy(&body, job->body, sizeof(body));
	if ((r = rk_owner_touch(job, &l->n, 8)) < 0 || (r = rk_owner_touch(job, &l->token[place], 8)) < 0)
		return r;
	l->token[place] = body.token;
	if (rk_rand_below(&a->rand, 32) == 0)
		(void)sched_yield();
	l->n = place + 1;
	a->counts.jobs++;
	/* One that has asked will probably ask again, and some end as dead letters. */
	if (rk_rand_below(&a->rand, rk_part_attempts(&a->world->m, job->partition) ? 2 : 64) == 0) {
		a->counts.retries++;
		return RK_OWNER_RETRY;
	}
	r = rk_owner_reply(job, &place, sizeof(place));
	return body.is_bad ? -EDOM : r;
}

static char *bank_of(struct world *w, uint32_t partition, uint32_t bank)
{
	return w->banks + (partition * N_BANKS + bank) * w->m.l.bank_stride;
}

/* Gives up a partition the supervisor asks for: between two steps, by one CAS. */
static bool release_if_asked(struct actor *a, uint32_t p)
{
	bool was_open = a->is_open[p];

	if (!rk_part_is_asked(&a->world->m, p, a->index))
		return false;
	a->is_open[p] = false;
	/* Fails when an eviction comes first. */
	(void)!(was_open ? rk_owner_release(&a->owner[p]) : rk_part_release(&a->world->m, p, a->index));
	return true;
}

/* Whoever lost a partition ends, as a worker does: its banks are kept for it until then. */
static _Noreturn void exit_lost(struct actor *a)
{
	a->counts.lost++;
	longjmp(a->grave, 1);
}

static bool open_partition(struct actor *a, uint32_t p)
{
	const struct rk_shm *m = &a->world->m;
	uint32_t from;
	int bank = rk_evict_look(m, p, a->index, &from);

	if (bank >= 0) {
		const struct rk_evict_banks banks = { .from = bank_of(a->world, p, from),
						      .to = bank_of(a->world, p, (uint32_t)bank), .fd = -1 };

		if (rk_evict_copy(m, p, a->index, &banks) < 0)
			return false;
		a->counts.copies++;
	}
	bank = rk_owner_look(m, p, a->index);
	if (bank < 0 || rk_owner_open(&a->owner[p], m, p, a->index, (uint32_t)bank,
				      bank_of(a->world, p, (uint32_t)bank), a->room[p]) < 0)
		return false;
	if (rk_rand_below(&a->rand, 2))
		a->owner[p].singles = 0;
	a->owner[p].batch_max = 1 + (uint32_t)rk_rand_below(&a->rand, 6);
	return true;
}

static int work_on(struct actor *a, uint32_t p)
{
	struct rk_owner *o = &a->owner[p];
	int r;

	if (release_if_asked(a, p))
		return 1;
	if (!a->is_open[p] && !(a->is_open[p] = open_partition(a, p)))
		return 0;
	r = rk_owner_step(o, append, a);
	a->counts.letters += o->n_quarantined;
	o->n_quarantined = 0;
	if (r == -ESTALE)
		exit_lost(a);
	return r == -EAGAIN ? 1 : r;
}

static bool has_work(struct actor *a)
{
	const struct rk_shm *m = &a->world->m;

	for (uint32_t p = 0; p < N_PARTITIONS; p++) {
		uint64_t owner = atomic_load_explicit(&rk_shm_part(m, p)->owner, memory_order_seq_cst);

		if (rk_owner_worker(owner) != a->index)
			continue;
		if (rk_owner_flag(owner) == RK_OWNER_STOP || rk_owner_flag(owner) == RK_OWNER_COPY ||
		    (a->is_open[p] && rk_queue_has_work(m, p) && !rk_dead_is_blocked(m, p)) ||
		    (!a->is_open[p] && rk_owner_flag(owner) == RK_OWNER_RUN))
			return true;
	}
	return load_flag(&a->world->stop);
}

static void park(struct actor *a)
{
	_Atomic uint32_t *bell = &rk_shm_bell(&a->world->m, a->index)->bell;
	uint32_t word = rk_bell_park(bell);

	if (!has_work(a)) {
		(void)rk_bell_wait(bell, word, rk_clock_ns() + RK_WAIT_NS);
		a->counts.parks++;
	}
	rk_bell_unpark(bell);
}

static void serve(struct actor *a)
{
	while (!load_flag(&a->world->stop)) {
		int n = 0;

		(void)atomic_exchange_explicit(rk_bell_pending(rk_shm_bell(&a->world->m, a->index)), 0,
					       memory_order_seq_cst);
		for (uint32_t p = 0; p < N_PARTITIONS; p++)
			n += work_on(a, p) > 0;
		if (n == 0)
			park(a);
	}
}

static void *worker_main(void *arg)
{
	struct actor *a = me = arg;

	if (setjmp(a->grave) != 0 && !lie_in_grave(a))
		return NULL;
	memset(a->is_open, 0, sizeof(a->is_open));
	draw_lifetime(a);
	serve(a);
	return NULL;
}

/* ---- client ---- */

static struct result *result_of(struct actor *a, uint64_t token)
{
	if (token >> 32 != a->index || (uint32_t)token >= a->n_tokens)
		fail("a call carries a tag that its client never gave it");
	return &a->results[(uint32_t)token];
}

/* Notes the outcome first, then lets the cell go: killed in between, the note stands. */
static void finish(struct actor *a, uint32_t slot, enum rk_call_state state)
{
	struct result *result = result_of(a, rk_call_tag(&a->caller, &a->call[slot]));
	struct rk_call_reply reply;

	if (state == RK_CALL_NOT_APPLIED) {
		result->outcome = NOT_APPLIED;
		a->is_busy[slot] = false;
		return;
	}
	rk_call_reply(&a->caller, &a->call[slot], &reply);
	result->outcome = reply.error ? FAILED : ACKNOWLEDGED;
	result->partition = a->call[slot].partition;
	if (!reply.error) {
		if (reply.len != sizeof(result->place))
			fail("a reply has another length");
		memcpy(&result->place, reply.bytes, sizeof(result->place));
	}
	a->is_busy[slot] = false;
	rk_call_release(&a->caller, &a->call[slot]);
}

static void start(struct actor *a, uint32_t slot)
{
	uint64_t token = (uint64_t)a->index << 32 | a->n_tokens;
	struct body body = { token, rk_rand_below(&a->rand, 10) == 0 };
	struct rk_call_request r = { .key = "key", .key_len = (uint32_t)rk_rand_below(&a->rand, 4), .body = &body,
				     .len = sizeof(body), .tag = token,
				     .partition = (uint32_t)rk_rand_below(&a->rand, N_PARTITIONS) };
	struct result *result = &a->results[a->n_tokens];

	if (a->n_tokens + 1 >= TOKENS || load_flag(&a->world->draining))
		return;
	a->n_tokens++;
	result->outcome = INTENT;
	switch (rk_call_start(&a->caller, slot, &r, &a->call[slot])) {
	case RK_CALL_STARTED:
		a->is_busy[slot] = true;
		return;
	case RK_CALL_FULL:
	case RK_CALL_NO_CELL:
		result->outcome = NOT_APPLIED;
		(void)sched_yield();
		return;
	case RK_CALL_WORN_OUT:
		fail("a page is worn out");
	}
}

static void wait_for(struct actor *a, struct rk_call *call)
{
	_Atomic uint32_t *bell = &rk_shm_cell(&a->world->m, call->cell)->bell;
	uint32_t word = rk_bell_park(bell);
	enum rk_call_state state = rk_call_look(&a->caller, call);

	if (state == RK_CALL_PENDING || state == RK_CALL_TAKEN)
		(void)rk_bell_wait(bell, word, rk_clock_ns() + RK_NS_PER_MS);
	rk_bell_unpark(bell);
}

static void attend(struct actor *a, uint32_t slot)
{
	struct rk_call *call = &a->call[slot];
	uint32_t cell = call->cell;
	enum rk_call_state state = rk_call_look(&a->caller, call);

	switch (rk_rand_below(&a->rand, 12)) {
	case 0:
		if (state != RK_CALL_DONE && state != RK_CALL_NOT_APPLIED) {
			state = rk_call_expire(&a->caller, call);
			a->counts.expired++;
			a->counts.aside += call->cell != cell;
		}
		break;
	case 1:
		if (state == RK_CALL_TAKEN && /* asking twice is allowed while the first is taken */
		    rk_queue_publish(&a->world->m, call->partition, call->cell) == RK_QUEUE_OK) {
			call->repeated = true;
			a->counts.duplicates++;
		}
		break;
	case 2:
		if (state == RK_CALL_PENDING || state == RK_CALL_TAKEN) {
			wait_for(a, call);
			return; /* what it saw is seen again the next time */
		}
		break;
	default:
		break;
	}
	if (state == RK_CALL_DONE || state == RK_CALL_NOT_APPLIED)
		finish(a, slot, state);
}

static void resume(struct actor *a)
{
	struct rk_call found[N_SLOTS];
	uint32_t n = rk_call_resume(&a->caller, found);

	for (uint32_t i = 0; i < n; i++) {
		a->call[found[i].slot] = found[i];
		a->is_busy[found[i].slot] = true;
	}
	a->counts.resumed += n;
}

static bool is_idle(const struct actor *a)
{
	for (uint32_t slot = 0; slot < N_SLOTS; slot++)
		if (a->is_busy[slot])
			return false;
	return true;
}

static void *client_main(void *arg)
{
	struct actor *a = me = arg;

	if (setjmp(a->grave) != 0 && !lie_in_grave(a))
		return NULL;
	a->caller = (struct rk_caller){ .m = &a->world->m, .page = a->index };
	a->caller.id = atomic_load_explicit(&rk_shm_client_ids(&a->world->m)[a->index], memory_order_acquire);
	memset(a->is_busy, 0, sizeof(a->is_busy));
	if (a->rebirth == RESUMED)
		resume(a);
	draw_lifetime(a);
	while (!load_flag(&a->world->draining) || !is_idle(a)) {
		uint32_t slot = (uint32_t)rk_rand_below(&a->rand, N_SLOTS);

		if (a->is_busy[slot])
			attend(a, slot);
		else
			start(a, slot);
	}
	a->left = 0;
	store_flag(&a->is_done, 1);
	return NULL;
}

/* ---- reader ---- */

static void *reader_main(void *arg)
{
	struct actor *a = me = arg;
	struct rk_reader *line = rk_shm_reader(&a->world->m, a->index);

	if (setjmp(a->grave) != 0 && !lie_in_grave(a))
		return NULL;
	draw_lifetime(a);
	while (!load_flag(&a->world->stop)) {
		const struct rk_view *v = rk_epoch_enter(&a->world->m, line);
		const struct rk_view_slot *slots = (const struct rk_view_slot *)(v + 1);
		uint64_t stamp = v->published_ns;

		for (uint32_t i = 0; i < N_WORKERS; i++) {
			if (slots[i].restarts != stamp)
				fail("a reader saw a view that is two");
			if (rk_rand_below(&a->rand, 8) == 0)
				(void)sched_yield();
		}
		a->counts.views++;
		rk_epoch_leave(line);
	}
	return NULL;
}

/* ---- supervisor ---- */

static bool reader_is_dead(uint32_t reader, void *arg)
{
	struct world *w = arg;

	return reader < N_READERS && load_flag(&w->readers[reader].dead);
}

static void give(struct world *w, uint32_t p)
{
	uint32_t worker = (uint32_t)rk_rand_below(&w->supervisor.rand, N_WORKERS);

	if (rk_part_assign(&w->m, p, worker) < 0)
		fail("a partition that was released or whose owner died was committed to");
	rk_part_route(&w->m, p, worker, RK_ROUTE_UP);
	rk_bell_ring_partition(&w->m, worker, p);
}

/* Sweep, ring, pass on, only then start again; killed anywhere, the next supervisor repeats it. */
static void bury_workers(struct world *w)
{
	uint32_t partition;
	uint64_t job;

	for (uint32_t i = 0; i < N_WORKERS; i++) {
		if (!load_flag(&w->workers[i].dead))
			continue;
		rk_deliver_sweep(&w->m, i);
		rk_dead_sweep(&w->m, i);
		rk_evict_bury(&w->m, i);
		rk_bell_ring_pending(&w->m);
		if (rk_part_blame(&w->m, i, &partition, &job))
			rk_part_charge(&w->m, partition, job);
		for (uint32_t p = 0; p < N_PARTITIONS; p++)
			if (rk_owner_worker(atomic_load_explicit(&rk_shm_part(&w->m, p)->owner,
								 memory_order_acquire)) == i)
				give(w, p);
		store_flag(&w->workers[i].dead, 0);
	}
}

static void bury_clients(struct world *w)
{
	for (uint32_t i = 0; i < N_CLIENTS; i++) {
		struct actor *a = &w->clients[i];

		if (!load_flag(&a->dead))
			continue;
		rk_bell_ring_pending(&w->m);
		a->rebirth = a->counts.deaths % 3 ? RESUMED : FRESH;
		if (a->rebirth == FRESH) {
			if (!rk_page_try_free(&w->m, i))
				continue; /* the workers have to get on first */
			atomic_store_explicit(&rk_shm_client_ids(&w->m)[i], w->next_id++, memory_order_release);
			w->n_freed++;
		}
		store_flag(&a->dead, 0);
	}
}

static void bury_readers(struct world *w)
{
	for (uint32_t i = 0; i < N_READERS; i++)
		if (load_flag(&w->readers[i].dead)) {
			atomic_store_explicit(&rk_shm_reader(&w->m, i)->active, 0, memory_order_relaxed);
			store_flag(&w->readers[i].dead, 0);
		}
}

/* Hand-over by release: ask now and then; give what was released to anybody. By copy: from anybody, at any time. */
static void move_partitions(struct world *w)
{
	struct rk_rand *r = &w->supervisor.rand;

	for (uint32_t p = 0; p < N_PARTITIONS; p++) {
		if (rk_part_is_released(&w->m, p)) {
			w->n_moves++;
			give(w, p);
		} else if (rk_rand_below(r, 200) == 0) {
			(void)rk_part_ask(&w->m, p);
		} else if (rk_rand_below(r, 400) == 0) {
			w->n_evictions += rk_evict(&w->m, p, (uint32_t)rk_rand_below(r, N_WORKERS)) > 0;
		}
	}
}

/* One dead letter now and then, so that partitions are blocked meanwhile; at the end all. */
static void drop_letters(struct world *w)
{
	_Alignas(8) char room[128];
	struct rk_dead_letter l = { .bytes = room };

	if (!load_flag(&w->draining) && rk_rand_below(&w->supervisor.rand, 50))
		return;
	for (uint32_t i = 0; i < w->m.g.n_dead; i++)
		if (rk_dead_look(&w->m, i, &l) && rk_dead_free(&w->m, i, l.word) == 0)
			w->n_dropped++;
}

static void publish_view(struct world *w)
{
	struct rk_view_slot *slots = rk_view_slots(w->view);

	w->view->published_ns++;
	for (uint32_t i = 0; i < N_WORKERS; i++)
		slots[i].restarts = w->view->published_ns;
	(void)rk_board_publish(&w->board, w->view);
}

static void *supervisor_main(void *arg)
{
	struct world *w = arg;
	struct actor *a = me = &w->supervisor;

	if (setjmp(a->grave) != 0)
		w->n_reborn++; /* its successor finds everything in shared memory */
	draw_lifetime(a);
	while (!load_flag(&w->stop)) {
		int64_t left;

		bury_workers(w);
		bury_clients(w);
		move_partitions(w);
		drop_letters(w);
		left = a->left;
		a->left = 0; /* a view's writer is private: its death is not played here */
		bury_readers(w);
		publish_view(w);
		a->left = left;
		(void)sched_yield();
	}
	return NULL;
}

/* ---- the world ---- */

static void *map_zero(uint64_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		fail("no memory");
	return at;
}

static void make_segments(struct world *w)
{
	struct rk_shm *m = &w->m;

	m->g = (struct rk_geometry){
		.n_partitions = N_PARTITIONS, .n_ring = 64, .n_workers = N_WORKERS, .n_clients = N_CLIENTS,
		.n_slots = N_SLOTS, .n_cells = 2 * N_SLOTS, .n_dedup = N_CLIENTS * N_SLOTS, .n_log = 48,
		.log_data_len = 256, .request_max = 64, .reply_max = 64, .state_max = sizeof(struct ledger),
		.n_banks = N_BANKS, .n_readers = N_READERS, .n_dead = 2,
	};
	if (rk_geometry_check(&m->g, NULL) < 0)
		fail("the geometry is refused");
	rk_layout_init(&m->g, &m->l);
	m->board = map_zero(m->l.board_len);
	m->beats = map_zero(m->l.beats_len);
	m->calls = map_zero(m->l.calls_len);
	m->queues = map_zero(m->l.queues_len);
	m->parts = map_zero(m->l.parts_len);
	m->readers = map_zero(m->l.readers_len);
	m->journal = map_zero(m->l.journal_len);
	m->dead = map_zero(m->l.dead_len);
	w->banks = map_zero(N_PARTITIONS * N_BANKS * m->l.bank_stride);
	atomic_store_explicit(&m->board->dead_after, 3, memory_order_relaxed);
	m->board->epoch_mode = RK_EPOCH_EXCHANGE;
	w->view = map_zero(m->l.view_stride);
}

/* Positions start just before their wrap, so that the run crosses it. */
static void fill_segments(struct world *w)
{
	for (uint32_t p = 0; p < N_PARTITIONS; p++) {
		uint64_t first = p & 1 ? 0 : (1ull << 48) - 3000;

		rk_queue_init(&w->m, p, first);
		rk_part_init(&w->m, p, first);
		rk_part_route(&w->m, p, RK_WORKER_NONE, 0);
		give(w, p);
	}
	for (uint32_t i = 0; i < N_CLIENTS; i++)
		atomic_store_explicit(&rk_shm_client_ids(&w->m)[i], w->next_id++, memory_order_relaxed);
	rk_board_writer_init(&w->board, &w->m, reader_is_dead, w);
}

static void make_actor(struct world *w, struct actor *a, uint32_t index, uint32_t mean, uint64_t seed)
{
	a->world = w;
	a->index = index;
	a->mean = mean;
	a->rand = rk_rand_init(seed);
}

static void make_actors(struct world *w, uint64_t seed)
{
	for (uint32_t i = 0; i < N_WORKERS; i++) {
		make_actor(w, &w->workers[i], i, 4000, seed ^ (1000ull + i) << 32);
		for (uint32_t p = 0; p < N_PARTITIONS; p++)
			w->workers[i].room[p] = calloc(1, rk_owner_room(&w->m));
	}
	for (uint32_t i = 0; i < N_CLIENTS; i++) {
		make_actor(w, &w->clients[i], i, 3000, seed ^ (2000ull + i) << 32);
		w->clients[i].results = calloc(TOKENS, sizeof(struct result));
	}
	for (uint32_t i = 0; i < N_READERS; i++)
		make_actor(w, &w->readers[i], i, 3000, seed ^ (3000ull + i) << 32);
	make_actor(w, &w->supervisor, 0, 300, seed ^ 4000ull << 32);
}

static void run(struct actor *a, void *(*main_of)(void *), void *arg)
{
	if (pthread_create(&a->thread, NULL, main_of, arg) != 0)
		fail("no thread");
}

static void run_all(struct world *w, uint64_t seconds)
{
	uint64_t until = rk_clock_ns() + seconds * RK_NS_PER_S;

	for (uint32_t i = 0; i < N_WORKERS; i++)
		run(&w->workers[i], worker_main, &w->workers[i]);
	for (uint32_t i = 0; i < N_CLIENTS; i++)
		run(&w->clients[i], client_main, &w->clients[i]);
	for (uint32_t i = 0; i < N_READERS; i++)
		run(&w->readers[i], reader_main, &w->readers[i]);
	run(&w->supervisor, supervisor_main, w);
	while (rk_clock_ns() < until)
		(void)sched_yield();
	store_flag(&w->draining, 1);
	for (uint32_t i = 0; i < N_CLIENTS; i++)
		for (; !load_flag(&w->clients[i].is_done); (void)sched_yield())
			if (rk_clock_ns() > until + 8 * RK_NS_PER_S)
				fail("a client waits for ever");
	store_flag(&w->stop, 1);
	for (uint32_t i = 0; i < N_WORKERS; i++)
		(void)pthread_join(w->workers[i].thread, NULL);
	for (uint32_t i = 0; i < N_CLIENTS; i++)
		(void)pthread_join(w->clients[i].thread, NULL);
	for (uint32_t i = 0; i < N_READERS; i++)
		(void)pthread_join(w->readers[i].thread, NULL);
	(void)pthread_join(w->supervisor.thread, NULL);
}

/* ---- the books ---- */

/* What the last owner of a partition left unfinished is not part of it. */
static const struct ledger *close_ledger(struct world *w, uint32_t p)
{
	uint64_t owner = atomic_load_explicit(&rk_shm_part(&w->m, p)->owner, memory_order_acquire);
	bool is_copied = rk_owner_flag(owner) != RK_OWNER_COPY;
	struct rk_bank b;

	rk_bank_view(&b, &w->m, bank_of(w, p, is_copied ? rk_owner_bank(owner) : rk_owner_from(owner)));
	(void)rk_bank_roll_back(&b, rk_commit_cursor(atomic_load_explicit(&rk_shm_part(&w->m, p)->commit,
									  memory_order_acquire)));
	return (const struct ledger *)(void *)b.state;
}

/* Complaints about one partition's ledger; seen counts each token's entries. */
static uint64_t audit_partition(struct world *w, uint32_t p, uint8_t *seen[N_CLIENTS])
{
	const struct ledger *l = close_ledger(w, p);
	uint64_t n_wrong = 0;

	for (uint64_t i = 0; i < l->n && i < LEDGER; i++) {
		uint32_t client = (uint32_t)(l->token[i] >> 32), n = (uint32_t)l->token[i];
		const struct result *r;

		if (client >= N_CLIENTS || n >= w->clients[client].n_tokens) {
			n_wrong++;
			continue;
		}
		r = &w->clients[client].results[n];
		n_wrong += seen[client][n]++ != 0;                       /* applied twice */
		n_wrong += r->outcome != INTENT && r->outcome != ACKNOWLEDGED; /* applied, and told otherwise */
		n_wrong += r->outcome == ACKNOWLEDGED && (r->partition != p || r->place != i);
	}
	return n_wrong;
}

static uint64_t audit(struct world *w, uint64_t n_of[FAILED + 1])
{
	uint8_t *seen[N_CLIENTS];
	uint64_t n_wrong = 0;

	for (uint32_t i = 0; i < N_CLIENTS; i++)
		seen[i] = calloc(TOKENS, 1);
	for (uint32_t p = 0; p < N_PARTITIONS; p++)
		n_wrong += audit_partition(w, p, seen);
	for (uint32_t i = 0; i < N_CLIENTS; i++) {
		for (uint32_t n = 0; n < w->clients[i].n_tokens; n++) {
			const struct result *r = &w->clients[i].results[n];

			n_of[r->outcome]++;
			n_wrong += r->outcome == ACKNOWLEDGED && seen[i][n] == 0; /* lost */
		}
		free(seen[i]);
	}
	return n_wrong;
}

static void add_counts(struct counts *to, const struct actor *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		to->jobs += from[i].counts.jobs;
		to->deaths += from[i].counts.deaths;
		to->resumed += from[i].counts.resumed;
		to->expired += from[i].counts.expired;
		to->aside += from[i].counts.aside;
		to->duplicates += from[i].counts.duplicates;
		to->views += from[i].counts.views;
		to->parks += from[i].counts.parks;
		to->lost += from[i].counts.lost;
		to->copies += from[i].counts.copies;
		to->retries += from[i].counts.retries;
		to->letters += from[i].counts.letters;
	}
}

/* Whether everything that was to be tried has been tried; says what was. */
static bool report(struct world *w, const uint64_t n_of[FAILED + 1])
{
	struct counts workers = { 0 }, clients = { 0 }, readers = { 0 };

	add_counts(&workers, w->workers, N_WORKERS);
	add_counts(&clients, w->clients, N_CLIENTS);
	add_counts(&readers, w->readers, N_READERS);
	const struct {
		const char *what;
		uint64_t n;
	} tried[] = {
		{ "jobs run", workers.jobs },
		{ "acknowledged", n_of[ACKNOWLEDGED] },
		{ "failed", n_of[FAILED] },
		{ "not applied", n_of[NOT_APPLIED] },
		{ "worker deaths", workers.deaths },
		{ "client deaths", clients.deaths },
		{ "reader deaths", readers.deaths },
		{ "supervisor deaths", w->n_reborn },
		{ "hand-overs by release", w->n_moves },
		{ "evictions", w->n_evictions },
		{ "take-overs by copy", workers.copies },
		{ "ends after an eviction", workers.lost },
		{ "attempts asked for", workers.retries },
		{ "jobs quarantined", workers.letters },
		{ "dead letters dropped", w->n_dropped },
		{ "calls resumed", clients.resumed },
		{ "pages passed on", w->n_freed },
		{ "time-outs", clients.expired },
		{ "cells set aside", clients.aside },
		{ "duplicates", clients.duplicates },
		{ "parks", workers.parks },
		{ "views read", readers.views },
		{ "grace periods", w->board.n_grace },
	};
	bool all = true;

	for (size_t i = 0; i < rk_countof(tried); i++) {
		printf("# %s: %llu\n", tried[i].what, (unsigned long long)tried[i].n);
		all = all && tried[i].n > 0;
	}
	printf("# outcome never learned: %llu\n", (unsigned long long)n_of[INTENT]); /* rare */
	return all;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : rk_clock_wall_ns();
	uint64_t seconds = argc > 2 ? strtoull(argv[2], NULL, 0) : DEFAULT_SECONDS;
	struct world *w = map_zero(sizeof(*w));
	uint64_t n_of[FAILED + 1] = { 0 }, n_wrong;
	bool all;

	read_break();
	printf("# seed %llu\n", (unsigned long long)seed);
	(void)fflush(stdout);
	w->next_id = 1;
	make_segments(w);
	make_actors(w, seed);
	fill_segments(w);
	run_all(w, seconds);
	n_wrong = audit(w, n_of);
	all = report(w, n_of);
	printf("%sok 1 - every token is in the books as its client was told\n", n_wrong ? "not " : "");
	printf("%sok 2 - everything that was to happen has happened\n1..2\n", all ? "" : "not ");
	return n_wrong || !all;
}
