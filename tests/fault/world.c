/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "shm/bell.h"
#include "shm/deliver.h"
#include "shm/epoch.h"
#include "shm/fault.h"
#include "shm/part.h"
#include "shm/words.h"

uint64_t world_mix(uint64_t x)
{
	struct rk_rand r = rk_rand_init(x);

	return rk_rand_u64(&r);
}

/* ---- the mapping ---- */

static void geometry(const struct world_conf *conf, struct rk_geometry *g)
{
	*g = (struct rk_geometry){
		.n_partitions = 4, /* a power of two; the last one stays unused */
		.n_ring = RK_RING_MIN,
		.n_workers = WORLD_WORKERS,
		.n_clients = WORLD_CLIENTS,
		.n_slots = WORLD_SLOTS,
		.n_cells = WORLD_CELLS,
		.n_dedup = conf->n_dedup,
		.n_log = conf->n_log,
		.log_data_len = conf->n_log * 8,
		.request_max = 8 + 8 * WORLD_ARGS,
		.reply_max = 8 * WORLD_WORDS,
		.state_max = (uint32_t)sizeof(struct tally) + WORLD_CLIENTS * conf->n_calls,
		.n_banks = conf->n_banks,
		.n_readers = WORLD_READERS,
	};
}

static uint64_t line(uint64_t n)
{
	return RK_ALIGN_UP(n, 64ull);
}

void world_make(struct world *w, const struct world_conf *conf)
{
	struct rk_err err = { 0 };
	uint64_t at[RK_SEGMENT_KINDS], shared_at, ledger_at;

	*w = (struct world){ .conf = *conf };
	geometry(conf, &w->m.g);
	if (rk_geometry_check(&w->m.g, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(EXIT_FAILURE);
	}
	rk_layout_init(&w->m.g, &w->m.l);
	for (int kind = 1; kind < RK_SEGMENT_KINDS; kind++) {
		at[kind] = w->shm_len;
		w->shm_len += kind == RK_SEGMENT_JOURNAL ?
				      0 : RK_ALIGN_UP(rk_layout_segment_len(&w->m.l, (enum rk_segment_kind)kind), 4096ull);
	}
	shared_at = w->shm_len;
	ledger_at = shared_at + line(sizeof(struct world_shared));
	w->len = ledger_at + sizeof(struct ledger) * WORLD_CLIENTS * conf->n_calls;
	w->base = mmap(NULL, w->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->base == MAP_FAILED) {
		printf("Bail out! no memory for a world: %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
	w->m.board = (struct rk_board *)(w->base + at[RK_SEGMENT_BOARD]);
	w->m.beats = w->base + at[RK_SEGMENT_BEATS];
	w->m.calls = w->base + at[RK_SEGMENT_CALLS];
	w->m.queues = w->base + at[RK_SEGMENT_QUEUES];
	w->m.parts = w->base + at[RK_SEGMENT_PARTS];
	w->m.readers = w->base + at[RK_SEGMENT_READERS];
	w->state = w->base + at[RK_SEGMENT_STATE];
	w->shared = (struct world_shared *)(w->base + shared_at);
	w->ledger = (struct ledger *)(w->base + ledger_at);
	if (conf->wrap) {
		w->first_position = RK_MASK48 - 2;
		w->first_sequence = RK_SEQUENCE_MAX - conf->n_calls;
	}
}

void world_free(struct world *w)
{
	(void)munmap(w->base, w->len);
	*w = (struct world){ 0 };
}

void world_reset(struct world *w, int owner)
{
	memset(w->base, 0, w->len);
	memset(w->kept, 0, sizeof(w->kept));
	w->m.board->epoch_mode = rk_epoch_probe();
	for (uint32_t k = 0; k < WORLD_CLIENTS; k++) {
		rk_page_init(&w->m, k, w->first_sequence);
		atomic_store_explicit(&rk_shm_client_ids(&w->m)[k], k + 1, memory_order_release);
	}
	w->last_id = WORLD_CLIENTS;
	for (uint32_t p = 0; p < w->m.g.n_partitions; p++) {
		rk_queue_init(&w->m, p, w->first_position);
		rk_part_init(&w->m, p, w->first_position);
		if (w->conf.wrap)
			atomic_store_explicit(&rk_shm_part(&w->m, p)->commit, rk_commit(0xfffd, w->first_position),
					      memory_order_release);
		world_assign(w, p, owner < 0 ? p % WORLD_WORKERS : (uint32_t)owner);
	}
}

struct tally *world_tally(const struct world *w, uint32_t partition)
{
	uint32_t bank = rk_owner_bank(world_owner_word(w, partition)) % w->m.g.n_banks;

	return (struct tally *)(w->state + rk_bank_offset(&w->m, partition, bank) + w->m.l.bank_guarded +
				w->m.l.guarded_state);
}

static uint64_t row(const struct world *w, uint64_t sequence)
{
	return (sequence - w->first_sequence) % w->conf.n_calls;
}

struct ledger *world_ledger(const struct world *w, uint32_t page, uint64_t sequence)
{
	return &w->ledger[(uint64_t)page * w->conf.n_calls + row(w, sequence)];
}

uint8_t *tally_applied(const struct world *w, struct tally *t, uint32_t client, uint64_t sequence)
{
	return &t->applied[(uint64_t)client * w->conf.n_calls + row(w, sequence)];
}

/* ---- the job ---- */

static uint64_t argument(uint32_t client, uint64_t sequence, int i)
{
	return world_mix((sequence * 8 + (uint64_t)i) ^ (uint64_t)client << 56);
}

static bool job_fails(uint64_t sequence)
{
	return world_mix(sequence ^ 77) % 16 == 0;
}

static int touch(struct world *w, struct rk_owner_job *job, const void *p, size_t len)
{
	int r;

	world_elsewhere(w, false);
	r = rk_owner_touch(job, p, len);
	world_elsewhere(w, true);
	return r;
}

static void set(struct world *w, struct rk_owner_job *job, uint64_t *word, uint64_t value)
{
	if (touch(w, job, word, sizeof(*word)) == 0)
		*word = value;
}

static bool is_whole(const struct rk_owner_job *job, uint32_t client, const uint64_t args[WORLD_ARGS])
{
	if (job->len != 8 * WORLD_ARGS || job->key_len != (client & 1 ? 8 : 3))
		return false;
	for (int i = 0; i < WORLD_ARGS; i++)
		if (args[i] != argument(client, job->sequence, i))
			return false;
	return true;
}

static int run_job(struct world *w, struct rk_owner_job *job)
{
	struct tally *t = (struct tally *)job->owner->bank.state;
	uint32_t client = (uint32_t)(unsigned char)job->key[0] % WORLD_CLIENTS;
	uint64_t args[WORLD_ARGS] = { 0 }, reply[WORLD_WORDS], sum = 0, *eight;

	memcpy(args, job->body, rk_min_size(job->len, sizeof(args)));
	if (!is_whole(job, client, args))
		set(w, job, &t->bad_requests, t->bad_requests + 1);
	set(w, job, &t->n, t->n + 1);
	set(w, job, &t->sum, t->sum + args[0]);
	if (job->sequence <= t->last[client])
		set(w, job, &t->out_of_order, t->out_of_order + 1);
	set(w, job, &t->last[client], job->sequence);
	for (int i = 0; i < (int)w->conf.n_spare; i++)
		set(w, job, &t->spare[i], world_mix(t->n * 31 + (uint64_t)i));
	if (touch(w, job, t->block, sizeof(t->block)) == 0)
		for (int i = 0; i < 8; i++)
			t->block[i] = world_mix(t->n * 17 + (uint64_t)i);
	eight = (uint64_t *)(void *)(t->applied + ((uint64_t)client * w->conf.n_calls + row(w, job->sequence)) / 8 * 8);
	set(w, job, eight, *eight + (1ull << 8 * (row(w, job->sequence) % 8)));
	if (w->die_in_handler)
		(void)kill(getpid(), SIGKILL);
	if (job_fails(job->sequence))
		return -EDOM;
	reply[0] = job->sequence;
	reply[1] = job->client_id;
	reply[2] = job->partition;
	reply[3] = t->n;
	reply[4] = job->number;
	for (int i = 5; i < WORLD_WORDS - 1; i++)
		reply[i] = world_mix(job->sequence * 31 + t->n + (uint64_t)i);
	for (int i = 0; i < WORLD_WORDS - 1; i++)
		sum = world_mix(sum ^ reply[i]);
	reply[WORLD_WORDS - 1] = sum;
	return rk_owner_reply(job, reply, sizeof(reply));
}

static int job_run(struct rk_owner_job *job, void *arg)
{
	struct world *w = arg;
	int r;

	world_elsewhere(w, true);
	r = run_job(w, job);
	world_elsewhere(w, false);
	return r;
}

/* ---- client ---- */

void client_open(struct world *w, struct client *c, uint32_t page)
{
	*c = (struct client){
		.caller = { .m = &w->m, .page = page,
			    .id = atomic_load_explicit(&rk_shm_client_ids(&w->m)[page], memory_order_acquire) },
		.patient = page % 3 == 0,
	};
}

void client_resume(struct world *w, struct client *c)
{
	struct rk_call calls[WORLD_SLOTS];
	uint32_t n;

	client_open(w, c, c->caller.page);
	n = rk_call_resume(&c->caller, calls);
	for (uint32_t i = 0; i < n; i++)
		c->slot[calls[i].slot] = (struct my_call){ .on = true, .call = calls[i] };
}

bool client_is_worn_out(const struct world *w, uint32_t page)
{
	uint64_t sequence = atomic_load_explicit(&rk_shm_page(&w->m, page)->sequence, memory_order_relaxed);

	return sequence - w->first_sequence + 2 >= w->conf.n_calls;
}

bool client_start(struct world *w, struct client *c, uint32_t slot, uint32_t partition)
{
	struct my_call *k = &c->slot[slot];
	uint32_t page = c->caller.page;
	uint64_t args[WORLD_ARGS];
	/* Relaxed: this client's own word. */
	uint64_t sequence = atomic_load_explicit(&rk_shm_page(&w->m, page)->sequence, memory_order_relaxed) + 1;
	struct ledger *l = world_ledger(w, page, sequence);
	char key[8] = { (char)page, 'k', 'e', 'y' };
	struct rk_call_request request = { .key = key, .key_len = page & 1 ? 8 : 3, .body = args,
					   .len = sizeof(args), .partition = partition, .tag = sequence };

	if (client_is_worn_out(w, page))
		return false;
	world_elsewhere(w, true);
	for (int i = 0; i < WORLD_ARGS; i++)
		args[i] = argument(page, sequence, i);
	world_elsewhere(w, false);
	*l = (struct ledger){ LEDGER_INTENT, (uint8_t)partition, 0 };
	atomic_signal_fence(memory_order_seq_cst); /* the intent first: a kill may come any time */
	switch (rk_call_start(&c->caller, slot, &request, &k->call)) {
	case RK_CALL_STARTED:
		k->told = false;
		k->on = true;
		return true;
	case RK_CALL_FULL:
		world_count(&w->shared->n_full);
		l->state = LEDGER_NOT_APPLIED;
		return false;
	case RK_CALL_NO_CELL:
		world_count(&w->shared->n_no_cell);
		return false;
	case RK_CALL_WORN_OUT:
		break;
	}
	return false;
}

/* A reply is whole, of this call, and behind its gate. */
static void judge_reply(struct world *w, const struct client *c, const struct rk_call *call,
			const struct rk_call_reply *r)
{
	uint64_t v[WORLD_WORDS] = { 0 }, sum = 0;
	/* Acquire: the gate was open before the reply came. */
	uint64_t released = atomic_load_explicit(&rk_shm_part(&w->m, call->partition)->released, memory_order_acquire);

	if (!rk_pos_before(r->job, released))
		world_count(&w->shared->n_before_gate);
	if (job_fails(call->sequence)) {
		if (r->error != -EDOM || r->len)
			world_count(&w->shared->n_torn);
		return;
	}
	memcpy(v, r->bytes, rk_min_size(r->len, sizeof(v)));
	for (int i = 0; i < WORLD_WORDS - 1; i++)
		sum = world_mix(sum ^ v[i]);
	if (r->error || r->len != sizeof(v) || sum != v[WORLD_WORDS - 1] || v[0] != call->sequence ||
	    v[1] != c->caller.id || v[2] != call->partition || v[4] != r->job)
		world_count(&w->shared->n_torn);
}

static void collect(struct world *w, struct client *c, struct my_call *k)
{
	struct ledger *l = world_ledger(w, c->caller.page, k->call.sequence);
	struct rk_call_reply r;
	uint64_t n = 0;

	rk_call_reply(&c->caller, &k->call, &r);
	world_elsewhere(w, true);
	judge_reply(w, c, &k->call, &r);
	world_elsewhere(w, false);
	if (r.len >= 32)
		memcpy(&n, (const char *)r.bytes + 24, 8);
	l->n = (uint32_t)n;
	atomic_signal_fence(memory_order_seq_cst); /* the figure before the state that says it counts */
	l->state = r.error ? LEDGER_ERROR : LEDGER_DONE;
	atomic_signal_fence(memory_order_seq_cst); /* acknowledged in the ledger before the reply may go */
	rk_call_release(&c->caller, &k->call);
	if (atomic_load_explicit(&w->shared->calm, memory_order_relaxed))
		world_count(&w->shared->progress[c->caller.page][k->call.partition]);
	k->on = false;
}

enum rk_call_state client_poll(struct world *w, struct client *c, uint32_t slot, bool late, bool retry)
{
	struct my_call *k = &c->slot[slot];
	uint32_t cell = k->call.cell;
	enum rk_call_state state = late ? rk_call_expire(&c->caller, &k->call) : rk_call_look(&c->caller, &k->call);

	if (cell != k->call.cell)
		world_count(&w->shared->n_aside);
	switch (state) {
	case RK_CALL_DONE:
		collect(w, c, k);
		break;
	case RK_CALL_NOT_APPLIED:
		/* Only what was withdrawn, or refused, can end so: delivery goes before recycling. */
		if (!k->call.withdrawn && w->conf.n_dedup >= WORLD_CLIENTS * WORLD_SLOTS)
			world_count(&w->shared->n_undelivered);
		world_ledger(w, c->caller.page, k->call.sequence)->state = LEDGER_NOT_APPLIED;
		k->on = false;
		break;
	case RK_CALL_TAKEN:
		if (late && !k->told)
			world_count(&w->shared->n_unknown);
		k->told |= late;
		/* Waiting on would do as well; a second reference is allowed while the first is TAKEN. */
		if (late && retry && rk_queue_publish(&w->m, k->call.partition, k->call.cell) == RK_QUEUE_OK) {
			k->call.repeated = true;
			rk_bell_ring_owner(&w->m, k->call.partition);
			world_count(&w->shared->n_again);
		}
		break;
	case RK_CALL_PENDING:
	case RK_CALL_WRITING:
	case RK_CALL_AGAIN:
		break;
	}
	return state;
}

/* ---- worker ---- */

void worker_init(struct worker *k, uint32_t number)
{
	*k = (struct worker){ .number = number };
}

/* Takes a partition up, gives it back, or finds that it is gone (-ESTALE). */
static int follow_owner_word(struct world *w, struct worker *k, uint32_t p)
{
	uint64_t word = world_owner_word(w, p);
	uint32_t bank = rk_owner_bank(word);
	struct rk_owner *o = &k->owner[p];
	bool mine = rk_owner_worker(word) == k->number && rk_owner_flag(word) != RK_OWNER_RELEASED;

	if (k->open[p] && (!mine || rk_owner_incarnation(word) != o->incarnation))
		return -ESTALE;
	if (!mine)
		return 0;
	if (rk_owner_flag(word) == RK_OWNER_STOP) {
		k->open[p] = false;
		/* Fails only when an eviction comes first. */
		atomic_compare_exchange_strong_explicit(
			&rk_shm_part(&w->m, p)->owner, &word,
			rk_owner(rk_owner_incarnation(word), bank, k->number, RK_OWNER_RELEASED),
			memory_order_acq_rel, memory_order_relaxed);
		return 1;
	}
	if (!k->open[p]) {
		if (rk_owner_open(o, &w->m, p, k->number, bank, w->state + rk_bank_offset(&w->m, p, bank), k->room) < 0)
			return 1; /* it changed under us: look again */
		o->batch_max = k->number % 2 ? w->conf.batch_max : 1;
		o->singles = rk_min_u32(o->singles, w->conf.singles);
		o->gate_elsewhere = w->conf.outside_gate && p != 0;
		k->open[p] = true;
		if (o->rolled_back)
			world_count(&w->shared->n_rolled);
	}
	return 0;
}

int worker_pass(struct world *w, struct worker *k)
{
	int did = 0;

	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		struct rk_owner *o = &k->owner[p];
		uint64_t freed = o->freed, refused = o->n_refused, without = o->n_without_effect;
		int r = follow_owner_word(w, k, p);

		if (r == 0 && k->open[p]) {
			r = rk_owner_step(o, job_run, w);
			did |= o->freed != freed;
			atomic_fetch_add_explicit(&w->shared->n_refused, o->n_refused - refused, memory_order_relaxed);
			atomic_fetch_add_explicit(&w->shared->n_without_effect, o->n_without_effect - without,
						  memory_order_relaxed);
		}
		if (r < 0)
			return r;
		did |= r;
	}
	return did;
}

/* ---- supervisor ---- */

void world_sweep(struct world *w, uint32_t worker)
{
	rk_deliver_sweep(&w->m, worker);
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		for (uint32_t b = 0; b < WORLD_BANKS; b++)
			if (w->kept[p][b] == worker + 1)
				w->kept[p][b] = 0;
}

void world_assign(struct world *w, uint32_t partition, uint32_t to)
{
	uint32_t bank = rk_owner_bank(world_owner_word(w, partition));

	if (rk_part_assign(&w->m, partition, to, bank) < 0) {
		printf("Bail out! a partition's owner was confirmed dead and still commits\n");
		exit(EXIT_FAILURE);
	}
	rk_part_route(&w->m, partition, to, RK_ROUTE_UP);
	rk_bell_ring_partition(&w->m, to, partition);
}

/* Fuzzy: the evicted owner may be running; log after state makes it whole (DESIGN §7). */
static void copy_bank(struct world *w, uint32_t p, uint32_t from, uint32_t to)
{
	char *source = w->state + rk_bank_offset(&w->m, p, from), *target = w->state + rk_bank_offset(&w->m, p, to);
	uint64_t fixed = w->m.l.bank_guarded + w->m.l.guarded_state + sizeof(struct tally), word;
	struct rk_log *log = (struct rk_log *)source;

	memcpy(target + w->m.l.bank_guarded, source + w->m.l.bank_guarded, fixed - w->m.l.bank_guarded);
	for (uint64_t k = 0; k < WORLD_CLIENTS; k++) {
		/* Only as far as sequences have come: the rest is zero in both. */
		uint64_t sequence = atomic_load_explicit(&rk_shm_page(&w->m, (uint32_t)k)->sequence,
							 memory_order_acquire);
		uint64_t n = rk_min_u64((sequence - w->first_sequence + 16) & ~7ull, w->conf.n_calls);

		memcpy(target + fixed + k * w->conf.n_calls, source + fixed + k * w->conf.n_calls, n);
	}
	if (w->while_copying)
		w->while_copying(w, p, from);
	atomic_thread_fence(memory_order_seq_cst); /* every byte of the state before the log's word */
	word = atomic_load_explicit(&log->word, memory_order_acquire);
	memcpy(target + sizeof(struct rk_log), source + sizeof(struct rk_log),
	       w->m.l.bank_guarded - sizeof(struct rk_log));
	atomic_store_explicit(&((struct rk_log *)target)->word, word, memory_order_release);
}

bool world_evict(struct world *w, uint32_t partition, uint32_t to)
{
	struct rk_part *part = rk_shm_part(&w->m, partition);
	uint64_t word = world_owner_word(w, partition), commit, next;
	uint32_t from = rk_owner_bank(word), owner = rk_owner_worker(word), bank = 0;
	uint64_t declared;

	while (bank < w->m.g.n_banks && (bank == from || w->kept[partition][bank]))
		bank++;
	if (bank >= w->m.g.n_banks || to == owner || owner >= WORLD_WORKERS)
		return false;
	commit = atomic_load_explicit(&part->commit, memory_order_acquire);
	do /* it may still be committing */
		next = rk_commit(rk_incarnation_next(rk_commit_incarnation(commit)), rk_commit_cursor(commit));
	while (!atomic_compare_exchange_weak_explicit(&part->commit, &commit, next, memory_order_seq_cst,
						      memory_order_acquire));
	copy_bank(w, partition, from, bank);
	w->kept[partition][from] = owner + 1;
	atomic_store_explicit(&part->owner, rk_owner(rk_commit_incarnation(next), bank, to, RK_OWNER_RUN),
			      memory_order_release);
	rk_part_route(&w->m, partition, to, RK_ROUTE_UP);
	rk_bell_ring_partition(&w->m, to, partition);
	/* What it was about to wake when it was stopped. */
	declared = atomic_load_explicit(&rk_shm_beat(&w->m, owner)->cell, memory_order_acquire);
	if (declared && declared <= rk_shm_n_cells(&w->m))
		rk_deliver_wake(&w->m, (uint32_t)declared - 1);
	return true;
}

bool world_reassign_page(struct world *w, uint32_t page)
{
	if (!rk_page_try_free(&w->m, page))
		return false;
	atomic_store_explicit(&rk_shm_client_ids(&w->m)[page], ++w->last_id, memory_order_release);
	return true;
}

void world_open_gate(struct world *w, uint32_t partition)
{
	struct rk_part *part = rk_shm_part(&w->m, partition);
	uint64_t cursor = rk_commit_cursor(atomic_load_explicit(&part->commit, memory_order_acquire));

	/* Relaxed load: written by this process alone. */
	if (atomic_load_explicit(&part->released, memory_order_relaxed) == cursor)
		return;
	atomic_store_explicit(&part->released, cursor, memory_order_release);
	rk_bell_ring_partition(&w->m, rk_owner_worker(world_owner_word(w, partition)), partition);
}

void world_settle(struct world *w)
{
	struct worker k;
	int rounds = 0, r = 1;

	worker_init(&k, 0);
	for (uint32_t i = 0; i < WORLD_WORKERS; i++)
		world_sweep(w, i);
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++)
		world_assign(w, p, 0);
	while (r > 0 && rounds++ < 10000) {
		r = worker_pass(w, &k);
		for (uint32_t p = 1; p < WORLD_PARTITIONS && w->conf.outside_gate; p++)
			world_open_gate(w, p);
	}
}

/* ---- board ---- */

static void fill_view(const struct world *w, struct rk_view *view, uint64_t version)
{
	view->started_ns = version;
	view->published_ns = world_mix(version);
	for (size_t i = 0; i < sizeof(view->command); i++)
		view->command[i] = (char)world_mix(version + i);
	for (uint32_t i = 0; i < WORLD_WORKERS; i++)
		rk_view_slots(view)[i].restarts = world_mix(version * 3 + i);
	for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
		rk_view_clients(&w->m, view)[i].id = world_mix(version * 5 + i);
}

bool world_view_is_whole(const struct world *w, const struct rk_view *view)
{
	struct rk_view *v = (struct rk_view *)(uintptr_t)view; /* the accessors take no const */
	uint64_t version = v->started_ns;

	if (!version) /* nothing published yet */
		return true;
	if (v->published_ns != world_mix(version))
		return false;
	for (size_t i = 0; i < sizeof(v->command); i++)
		if (v->command[i] != (char)world_mix(version + i))
			return false;
	for (uint32_t i = 0; i < WORLD_WORKERS; i++)
		if (rk_view_slots(v)[i].restarts != world_mix(version * 3 + i))
			return false;
	for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
		if (rk_view_clients(&w->m, v)[i].id != world_mix(version * 5 + i))
			return false;
	return v->started_ns == version;
}

bool world_publish_view(struct world *w, struct rk_board_writer *writer, uint64_t version)
{
	_Alignas(64) char room[4096] = { 0 };

	if (w->m.l.view_stride > sizeof(room))
		abort();
	fill_view(w, (struct rk_view *)(void *)room, version);
	return rk_board_publish(writer, (struct rk_view *)(void *)room);
}

/* ---- verdict ---- */

struct finding {
	uint64_t n_lost, n_twice, n_ghosts, n_failed_applied, n_wrong_partition, n_out_of_order, n_inconsistent,
		n_bad_requests, n_left, n_done, n_errors, n_not_applied, n_unknown, n_applied;
};

static void judge_call(const struct ledger *l, uint64_t applied, struct finding *f)
{
	f->n_twice += applied > 1;
	switch ((enum ledger_state)l->state) {
	case LEDGER_NONE:
	case LEDGER_INTENT:
		f->n_unknown++;
		break;
	case LEDGER_DONE:
		f->n_done++;
		f->n_lost += !applied;
		break;
	case LEDGER_ERROR:
		f->n_errors++;
		f->n_failed_applied += applied;
		break;
	case LEDGER_NOT_APPLIED:
		f->n_not_applied++;
		f->n_ghosts += applied;
		break;
	}
}

static void judge_partition(const struct world *w, uint32_t p, struct finding *f)
{
	struct tally *t = world_tally(w, p);
	uint8_t *seen = calloc(t->n + 2, 1);
	uint64_t total = 0, sum = 0;

	f->n_out_of_order += t->out_of_order;
	f->n_bad_requests += t->bad_requests;
	f->n_inconsistent += !seen;
	for (uint32_t k = 0; k < WORLD_CLIENTS && seen; k++) {
		uint64_t last = atomic_load_explicit(&rk_shm_page(&w->m, k)->sequence, memory_order_acquire);
		uint32_t last_n = 0;

		for (uint64_t s = w->first_sequence + 1; s <= last; s++) {
			const struct ledger *l = world_ledger(w, k, s);
			uint64_t applied = *tally_applied(w, t, k, s);

			total += applied;
			sum += applied * argument(k, s, 0);
			if (l->partition != p) {
				f->n_wrong_partition += applied;
				continue;
			}
			judge_call(l, applied, f);
			if (l->state != LEDGER_DONE)
				continue;
			f->n_out_of_order += l->n <= last_n;
			last_n = l->n;
			f->n_inconsistent += l->n > t->n || seen[l->n]++;
		}
	}
	free(seen);
	f->n_applied += t->n;
	f->n_inconsistent += (total != t->n) + (sum != t->sum);
	for (uint64_t i = 0; i < w->conf.n_spare && t->n; i++)
		f->n_inconsistent += t->spare[i] != world_mix(t->n * 31 + i);
	for (uint64_t i = 0; i < 8 && t->n; i++)
		f->n_inconsistent += t->block[i] != world_mix(t->n * 17 + i);
}

static uint64_t not_drained(const struct world *w, uint32_t p)
{
	struct rk_part *part = rk_shm_part(&w->m, p);
	uint64_t freed = atomic_load_explicit(&part->freed, memory_order_acquire);

	return freed != rk_commit_cursor(atomic_load_explicit(&part->commit, memory_order_acquire)) ||
	       freed != atomic_load_explicit(&rk_shm_ring(&w->m, p)->tail, memory_order_acquire);
}

bool world_verify(struct world *w, bool figures, char *ret_verdict, size_t len)
{
	struct world_shared *s = w->shared;
	struct finding f = { 0 };
	size_t used = 0;

	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		judge_partition(w, p, &f);
		f.n_left += not_drained(w, p);
	}
	const struct { const char *what; uint64_t n; } bad[] = {
		{ "acknowledged but lost", f.n_lost },
		{ "applied twice", f.n_twice },
		{ "'not applied' but applied", f.n_ghosts },
		{ "failed but applied", f.n_failed_applied },
		{ "in a wrong partition", f.n_wrong_partition },
		{ "out of order", f.n_out_of_order },
		{ "inconsistent state", f.n_inconsistent },
		{ "torn request", f.n_bad_requests },
		{ "ring not drained", f.n_left },
		{ "torn or foreign reply", world_stat(&s->n_torn) },
		{ "recycled undelivered", world_stat(&s->n_undelivered) },
		{ "delivered before its gate", world_stat(&s->n_before_gate) },
		{ "torn view", world_stat(&s->n_bad_view) },
	};
	if (figures)
		printf("# calls: acknowledged %lu, failed %lu, not applied %lu, left unknown %lu; applied %lu\n",
		       f.n_done, f.n_errors, f.n_not_applied, f.n_unknown, f.n_applied);
	*ret_verdict = '\0';
	for (size_t i = 0; i < rk_countof(bad); i++)
		if (bad[i].n && used < len)
			used += (size_t)snprintf(ret_verdict + used, len - used, "%s%s %lu", used ? ", " : "",
						 bad[i].what, bad[i].n);
	return used == 0;
}
