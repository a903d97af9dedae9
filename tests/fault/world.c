/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "shm/bell.h"
#include "shm/dead.h"
#include "shm/deliver.h"
#include "shm/epoch.h"
#include "shm/evict.h"
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
		.n_dead = conf->n_dead,
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
		w->shm_len += RK_ALIGN_UP(rk_layout_segment_len(&w->m.l, (enum rk_segment_kind)kind), 4096ull);
	}
	shared_at = w->shm_len;
	ledger_at = shared_at + line(sizeof(struct world_shared));
	w->len = ledger_at + sizeof(struct ledger) * WORLD_CLIENTS * conf->n_calls;
	w->fd = memfd_create("world", MFD_CLOEXEC);
	w->base = MAP_FAILED;
	if (w->fd >= 0 && ftruncate(w->fd, (off_t)w->len) == 0)
		w->base = mmap(NULL, w->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, w->fd, 0);
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
	w->m.journal = (struct rk_journal *)(w->base + at[RK_SEGMENT_JOURNAL]);
	w->m.dead = w->base + at[RK_SEGMENT_DEAD];
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
	(void)close(w->fd);
	*w = (struct world){ 0 };
}

void world_reset(struct world *w, int owner)
{
	if (fallocate(w->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)w->len) < 0)
		abort();
	w->m.board->epoch_mode = rk_epoch_probe();
	atomic_store_explicit(&w->m.board->dead_after, w->conf.dead_after, memory_order_relaxed);
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

/* Kills its worker whenever it runs. */
static bool job_kills(const struct world *w, uint64_t sequence)
{
	return w->conf.poison && world_mix(sequence ^ 78) % 1024 == 0;
}

/* How many attempts a job asks for: none, one, or all it can get. */
static uint32_t job_retries(const struct world *w, uint64_t sequence)
{
	uint64_t dice = world_mix(sequence ^ 79) % 256;

	if (!w->conf.poison)
		return w->conf.retries;
	return dice == 0 ? UINT32_MAX : dice < 4;
}

/* What may become of a job whose worker died in it: only that, in a storm where others are killed too. */
static bool job_is_poison(const struct world *w, uint64_t sequence)
{
	return job_kills(w, sequence) || job_retries(w, sequence) == UINT32_MAX;
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
	if (w->die_in_handler || job_kills(w, job->sequence))
		(void)kill(getpid(), SIGKILL);
	/* Relaxed: a number that only this worker raises now. */
	if (rk_attempts_of(atomic_load_explicit(&rk_shm_part(&w->m, job->partition)->attempts, memory_order_relaxed),
			   job->number) < job_retries(w, job->sequence))
		return RK_OWNER_RETRY;
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
	*l = (struct ledger){ .state = LEDGER_INTENT, .partition = (uint8_t)partition };
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
	/* Its attempts may fill the log before they are used up. */
	if (r->error == RK_OWNER_QUARANTINED || job_is_poison(w, call->sequence)) {
		if (r->len || (r->error != RK_OWNER_QUARANTINED && r->error != -ENOSPC))
			world_count(&w->shared->n_torn);
		return;
	}
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
	l->state = r.error == RK_OWNER_QUARANTINED ? LEDGER_QUARANTINED : r.error ? LEDGER_ERROR : LEDGER_DONE;
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

/* By copy, where the supervisor took it from a living owner. Returns 1: it is looked at again at once. */
static int copy_bank(struct world *w, uint32_t worker, uint32_t p, uint32_t from, uint32_t to)
{
	struct rk_evict_banks banks = {
		.from = w->state + rk_bank_offset(&w->m, p, from), .to = w->state + rk_bank_offset(&w->m, p, to),
		.fd = w->copy_all ? -1 : w->fd,
	};
	int r;

	banks.from_at = (uint64_t)((const char *)banks.from - w->base);
	banks.to_at = (uint64_t)((char *)banks.to - w->base);
	r = rk_evict_copy(&w->m, p, worker, &banks);
	if (r < 0 && r != -ESTALE)
		_exit(6);
	return 1;
}

/* Takes a partition up, gives it back, or finds that it is gone (-ESTALE). */
static int follow_owner_word(struct world *w, struct worker *k, uint32_t p)
{
	uint64_t word = world_owner_word(w, p);
	uint32_t bank = rk_owner_bank(word), from;
	struct rk_owner *o = &k->owner[p];
	bool mine = rk_owner_worker(word) == k->number && rk_owner_flag(word) != RK_OWNER_RELEASED;

	if (k->open[p] && (!mine || rk_owner_incarnation(word) != o->incarnation))
		return -ESTALE;
	if (!mine)
		return 0;
	if (rk_part_is_asked(&w->m, p, k->number)) {
		bool open = k->open[p];

		k->open[p] = false;
		/* Fails only when an eviction comes first. */
		return (open ? rk_owner_release(o) : rk_part_release(&w->m, p, k->number)) < 0 ? -ESTALE : 1;
	}
	if (rk_evict_look(&w->m, p, k->number, &from) >= 0)
		return copy_bank(w, k->number, p, from, bank);
	if (!k->open[p]) {
		if (rk_owner_open(o, &w->m, p, k->number, bank, w->state + rk_bank_offset(&w->m, p, bank), k->room) < 0)
			return 0; /* it changed under us, or is about to: rung then */
		o->batch_max = k->number % 2 ? w->conf.batch_max : 1;
		o->singles = rk_min_u32(o->singles, w->conf.singles);
		o->gate_elsewhere = w->conf.outside_gate && p != 0;
		k->open[p] = true;
		if (o->rolled_back)
			world_count(&w->shared->n_rolled);
	}
	return 0;
}

/* Who has seen a job may have begun with it. */
static void note_shown(const struct world *w, const struct rk_owner_job *job)
{
	for (uint32_t page = 0; page < WORLD_CLIENTS; page++)
		if (atomic_load_explicit(&rk_shm_client_ids(&w->m)[page], memory_order_acquire) == job->client_id)
			world_ledger(w, page, job->sequence)->shown = 1;
}

static void look_ahead(struct world *w, struct rk_owner *o)
{
	for (uint64_t i = 0; i < WORLD_AHEAD; i++) {
		struct rk_owner_job job;
		enum rk_owner_ahead found =
			rk_owner_look_ahead(o, rk_pos_add(rk_commit_cursor(o->commit), i), &job);

		world_elsewhere(w, true);
		if (found == RK_OWNER_AHEAD_JOB)
			note_shown(w, &job);
		world_elsewhere(w, false);
		if (found == RK_OWNER_AHEAD_NONE)
			break;
	}
}

int worker_pass(struct world *w, struct worker *k)
{
	int did = 0;

	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		struct rk_owner *o = &k->owner[p];
		uint64_t freed = o->freed, refused = o->n_refused, without = o->n_without_effect;
		uint64_t retries = o->n_retries, quarantined = o->n_quarantined;
		int r = follow_owner_word(w, k, p);

		if (r == 0 && k->open[p] && k->looks_ahead)
			look_ahead(w, o);
		if (r == 0 && k->open[p]) {
			r = rk_owner_step(o, job_run, w);
			did |= o->freed != freed || r == -EAGAIN;
			r = r == -EAGAIN ? 0 : r;
			atomic_fetch_add_explicit(&w->shared->n_retries, o->n_retries - retries, memory_order_relaxed);
			atomic_fetch_add_explicit(&w->shared->n_quarantined, o->n_quarantined - quarantined,
						  memory_order_relaxed);
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
	rk_dead_sweep(&w->m, worker);
	rk_evict_bury(&w->m, worker);
}

void world_charge(struct world *w, uint32_t worker)
{
	const struct rk_dead_cause cause = { .verdict = RK_CAUSE_CRASHED, .code = CLD_KILLED, .status = SIGKILL };
	uint32_t partition;
	uint64_t job;

	if (!rk_part_blame(&w->m, worker, &partition, &job))
		return;
	rk_part_charge(&w->m, partition, job);
	rk_dead_cause(&w->m, partition, job, &cause);
}

/* A letter tells what its client sent; there is one of each. */
static void judge_letter(struct world *w, const struct rk_dead_letter *l)
{
	uint32_t page = l->key_len ? *(const unsigned char *)l->bytes % WORLD_CLIENTS : 0;
	struct ledger *entry = world_ledger(w, page, l->sequence);
	bool ok = l->len == 8 * WORLD_ARGS && l->attempts >= w->conf.dead_after && entry->letters++ == 0 &&
		  entry->partition == l->partition;

	for (int i = 0; ok && i < WORLD_ARGS; i++) {
		uint64_t arg;

		memcpy(&arg, (const char *)l->bytes + l->key_len + 8 * i, 8);
		ok = arg == argument(page, l->sequence, i);
	}
	if (!ok)
		world_count(&w->shared->n_bad_letters);
}

void world_drop_letters(struct world *w, bool all)
{
	_Alignas(8) char room[8 + 8 * WORLD_ARGS + 8];
	struct rk_dead_letter l = { .bytes = room };

	for (uint32_t i = 0; i < w->m.g.n_dead; i++) {
		uint64_t cursor;

		if (!rk_dead_look(&w->m, i, &l) || l.partition >= WORLD_PARTITIONS)
			continue;
		cursor = rk_commit_cursor(atomic_load_explicit(&rk_shm_part(&w->m, l.partition)->commit,
							       memory_order_acquire));
		if (!rk_pos_before(l.job, cursor)) /* dropped now, it would be pushed again */
			continue;
		judge_letter(w, &l);
		if (rk_dead_free(&w->m, i, l.word) < 0)
			world_count(&w->shared->n_bad_letters);
		if (!all)
			return;
	}
}

void world_assign(struct world *w, uint32_t partition, uint32_t to)
{
	if (rk_part_assign(&w->m, partition, to) < 0) {
		printf("Bail out! a partition's owner was confirmed dead and still commits\n");
		exit(EXIT_FAILURE);
	}
	rk_part_route(&w->m, partition, to, RK_ROUTE_UP);
	rk_bell_ring_partition(&w->m, to, partition);
}

bool world_evict(struct world *w, uint32_t partition, uint32_t to)
{
	int r = rk_evict(&w->m, partition, to);

	if (r == -EPROTO) {
		printf("Bail out! an owner word names a bank that does not exist\n");
		exit(EXIT_FAILURE);
	}
	return r > 0;
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
		world_drop_letters(w, true);
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
		n_bad_requests, n_left, n_done, n_errors, n_not_applied, n_unknown, n_applied, n_quarantined, n_letters;
	uint64_t n_refused; /* for want of room: not applied, though somebody may have looked at it */
};

/* Letters of this call that lie in the table. */
static uint32_t letters_of(const struct world *w, uint32_t page, uint64_t sequence)
{
	_Alignas(8) char room[8 + 8 * WORLD_ARGS + 8];
	struct rk_dead_letter l = { .bytes = room };
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->m.g.n_dead; i++)
		n += rk_dead_look(&w->m, i, &l) && l.sequence == sequence && l.key_len &&
		     *(const unsigned char *)l.bytes == page;
	return n;
}

static void judge_call(const struct ledger *l, uint64_t applied, uint32_t n_letters, struct finding *f)
{
	f->n_twice += applied > 1;
	f->n_letters += l->letters + n_letters > (applied ? 0 : 1);
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
		/* Certain: not applied, and nobody may have begun with it; but that one was refused for want of room. */
		f->n_ghosts += applied || (l->shown && !f->n_refused);
		break;
	case LEDGER_QUARANTINED:
		f->n_quarantined++;
		f->n_failed_applied += applied;
		f->n_letters += l->letters + n_letters == 0;
		break;
	}
}

static bool has_any_letter(const struct world *w)
{
	_Alignas(8) char room[8 + 8 * WORLD_ARGS + 8];
	struct rk_dead_letter l = { .bytes = room };
	bool any = false;

	for (uint32_t i = 0; i < w->m.g.n_dead; i++)
		any |= rk_dead_look(&w->m, i, &l);
	return any;
}

static void judge_partition(const struct world *w, uint32_t p, struct finding *f)
{
	struct tally *t = world_tally(w, p);
	uint8_t *seen = calloc(t->n + 2, 1);
	bool has_letters = has_any_letter(w);
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
			judge_call(l, applied, has_letters ? letters_of(w, k, s) : 0, f);
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
	struct finding f = { .n_refused = atomic_load_explicit(&w->shared->n_refused, memory_order_relaxed) };
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
		{ "dead letters missing, twice or of applied calls", f.n_letters },
		{ "torn or foreign dead letter", world_stat(&s->n_bad_letters) },
	};
	if (figures)
		printf("# calls: acknowledged %lu, failed %lu, not applied %lu, quarantined %lu, left unknown %lu; applied %lu\n",
		       f.n_done, f.n_errors, f.n_not_applied, f.n_quarantined, f.n_unknown, f.n_applied);
	*ret_verdict = '\0';
	for (size_t i = 0; i < rk_countof(bad); i++)
		if (bad[i].n && used < len)
			used += (size_t)snprintf(ret_verdict + used, len - used, "%s%s %lu", used ? ", " : "",
						 bad[i].what, bad[i].n);
	return used == 0;
}
