/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's side of librekindle: attach to what the supervisor left open,
 * find the partitions with work, run their owners, park on the bell.
 *
 * Who       the worker's one job thread.
 * Crash     see shm/owner.h; what is private here dies with the process.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "shm/beat.h"
#include "shm/bell.h"
#include "shm/fault.h"
#include "shm/owner.h"
#include "shm/part.h"
#include "shm/queue.h"
#include "shm/region.h"
#include "shm/words.h"
#include "workers/lib/attach.h"
#include "workers/lib/check.h"
#include "workers/lib/rekindle.h"

/* States keep their address from one incarnation to the next; far from where the kernel and the sanitizers put things. */
#define STATE_BASE 0x200000000000ull

#define SPIN_DEFAULT_US 50u
#define STEPS_PER_VISIT 64 /* then another partition gets its turn */
#define QUIET_VISITS 64u   /* in vain, until a partition's bit is cleared: a microsecond or two */
#define EXIT_NOT_STARTED 64
#define EXIT_DOES_NOT_FIT 78
#define EXIT_LOST 3

enum worker_fd { FD_BOARD, FD_BEATS, FD_CALLS, FD_QUEUES, FD_PARTS, FD_STATE, FD_NEWS, FD_COUNT };

struct partition {
	struct rk_owner owner;
	struct rk_check *check; /* with RK_CHECK=1 */
	uint32_t n_quiet;       /* visits in vain since its last job */
	void *mapped;           /* its bank, while it is open */
	bool open;
};

struct worker {
	const struct rk_worker_def *def;
	struct rk_shm m;
	int fd[FD_COUNT];
	uint32_t number;
	uint64_t incarnation;
	struct rk_beat *beat;
	struct rk_worker_bell *bell;
	struct partition *partitions;
	char *room;
	jmp_buf leave_handler; /* where a failed rk_touch() goes */
	uint64_t spin_ns;
	uint32_t batch_max;
	uint64_t ready_ns; /* when it began to scan */
	bool told;         /* the supervisor knows that we serve */
	uint64_t told_at;  /* the last of its milestones that it was told of */
	bool opened_space; /* whoever waits for room in a ring of ours has been woken once */
	bool checking;
};

/* A signal handler has no other way to its worker: there is one per process. */
static _Atomic uint32_t *signal_bell;
static volatile sig_atomic_t stop_wanted;

static void on_stop_signal(int number)
{
	(void)number;
	stop_wanted = 1;
	/* Changes the word, so that a worker about to park does not fall asleep on the old one. */
	if (signal_bell) {
		int saved = errno;

		atomic_fetch_add_explicit(signal_bell, 2, memory_order_seq_cst);
		rk_bell_ring(signal_bell); /* the signal may have come to another thread than the one that sleeps */
		errno = saved;
	}
}

/* A signal, or a word from the supervisor, which disturbs no job. */
static bool is_stop_wanted(const struct worker *w)
{
	return stop_wanted || rk_beat_is_stop_wanted(w->beat);
}

/* The supervisor wants something that is not worth waiting for the end of a queue. */
static bool has_wish(const struct worker *w)
{
	return stop_wanted || rk_beat_is_stop_wanted(w->beat) || rk_beat_is_pause_wanted(w->beat);
}

static void tell_supervisor(const struct worker *w)
{
	uint64_t one = 1;
	ssize_t r = write(w->fd[FD_NEWS], &one, sizeof(one)); /* non-blocking: a full counter tells as much */

	(void)r;
}

/* Says one line to stderr and leaves it in the beat page for the supervisor's own message. */
static int give_up(struct worker *w, int status, const char *text)
{
	fprintf(stderr, "rekindle worker %u: %s\n", w->number, text);
	if (w->beat) {
		snprintf(w->beat->last_words, sizeof(w->beat->last_words), "%s", text);
		tell_supervisor(w);
	}
	return status;
}

/* REKINDLE_WORKER=abi=1 worker=2 incarnation=17 fds=3:4:5:6:7:8:9 */
static int read_inheritance(struct worker *w, struct rk_err *err)
{
	const char *text = getenv("REKINDLE_WORKER");
	unsigned long long incarnation;
	unsigned int abi;
	int end = 0;

	if (!text)
		return rk_err_set(err, -ENOENT,
				  "this is a rekindle worker: start it with 'rekindle run -n 4 -- PROGRAM'");
	if (sscanf(text, "abi=%u worker=%u incarnation=%llu fds=%d:%d:%d:%d:%d:%d:%d%n", &abi, &w->number,
		   &incarnation, &w->fd[0], &w->fd[1], &w->fd[2], &w->fd[3], &w->fd[4], &w->fd[5], &w->fd[6],
		   &end) != 10 || text[end])
		return rk_err_set(err, -EINVAL, "REKINDLE_WORKER is set, but not by rekindled: unset it");
	if (abi != RK_ABI_VERSION)
		return rk_err_set(err, -EPROTO,
				  "rekindled speaks ABI %u and this program's library %u: use one release of both", abi,
				  RK_ABI_VERSION);
	w->incarnation = incarnation;
	for (int i = 0; i < FD_COUNT; i++)
		if (rk_fd_cloexec(w->fd[i], 1) < 0)
			return rk_err_set(err, -EBADF, "descriptor %d from rekindled is closed", w->fd[i]);
	return unsetenv("REKINDLE_WORKER") < 0 ? -errno : 0;
}

static int attach(struct worker *w, struct rk_err *err)
{
	struct rk_attach_segment segments[] = {
		{ RK_SEGMENT_BEATS, w->fd[FD_BEATS], true, &w->m.beats },
		{ RK_SEGMENT_CALLS, w->fd[FD_CALLS], true, &w->m.calls },
		{ RK_SEGMENT_QUEUES, w->fd[FD_QUEUES], true, &w->m.queues },
		{ RK_SEGMENT_PARTS, w->fd[FD_PARTS], true, &w->m.parts },
		{ RK_SEGMENT_STATE, w->fd[FD_STATE], true, NULL },
	};
	int r = rk_attach(&w->m, w->fd[FD_BOARD], segments, rk_countof(segments), err);

	if (r < 0)
		return r;
	if (w->number >= w->m.g.n_workers)
		return rk_err_set(err, -EPROTO, "worker number %u: the fleet has %u slots", w->number,
				  w->m.g.n_workers);
	w->beat = rk_shm_beat(&w->m, w->number);
	w->bell = rk_shm_bell(&w->m, w->number);
	return 0;
}

static int set_up(struct worker *w, struct rk_err *err)
{
	struct sigaction stop = { .sa_handler = on_stop_signal, .sa_flags = SA_RESTART };
	const char *check = getenv("RK_CHECK"), *batch = getenv("REKINDLE_BATCH");
	uint32_t spin_us = w->def->spin_us ? w->def->spin_us : SPIN_DEFAULT_US;
	int r;

	if (w->def->state_size > w->m.g.state_max)
		return rk_err_set(err, -EFBIG, "its state has %zu bytes and the fleet allows %u: start it with --max-state=%zu",
				  w->def->state_size, w->m.g.state_max, w->def->state_size);
	w->spin_ns = spin_us == RK_SPIN_FOREVER ? UINT64_MAX : spin_us * RK_NS_PER_US;
	w->batch_max = rk_max_u32(w->def->batch_max, batch ? (uint32_t)strtoul(batch, NULL, 10) : 0);
	w->batch_max = rk_max_u32(1, rk_min_u32(w->batch_max, RK_BATCH_MAX));
	w->checking = check && *check && strcmp(check, "0") != 0;
	w->partitions = calloc(w->m.g.n_partitions, sizeof(*w->partitions));
	w->room = malloc(rk_owner_room(&w->m));
	if (!w->partitions || !w->room)
		return rk_err_set(err, -ENOMEM, "no memory for %u partitions", w->m.g.n_partitions);
	/* A predecessor may have died parked; nobody parks here now. */
	rk_bell_unpark(&w->bell->bell);
	signal_bell = &w->bell->bell;
	if (sigaction(SIGTERM, &stop, NULL) < 0 || sigaction(SIGINT, &stop, NULL) < 0)
		return rk_err_set(err, -errno, "sigaction: %s", strerror(errno));
	r = rk_beat_take(w->beat, w->incarnation);
	return r < 0 ? rk_err_set(err, r, "cannot take the lease: %s", strerror(-r)) : 0;
}

/* A fresh state: zero, then init(), then one store that says so. Killed before it: once more from zero. */
static int initialize(struct worker *w, struct rk_bank *bank, uint32_t partition, struct rk_err *err)
{
	uint64_t len;

	/* Acquire: with it stands what init() wrote. */
	if (atomic_load_explicit(&bank->head->initialized, memory_order_acquire)) {
		len = bank->head->state_len;
		if (len != w->def->state_size)
			return rk_err_set(err, -EPROTO,
					  "partition %u holds a state of %llu bytes and this program declares %zu: run the "
					  "program that made it, or start a new fleet",
					  partition, (unsigned long long)len, w->def->state_size);
		return 0;
	}
	if (w->def->init) {
		int r;

		memset(bank->state, 0, w->def->state_size);
		r = w->def->init(bank->state, partition, w->def->arg);
		if (r < 0)
			return rk_err_set(err, r, "init of partition %u failed: %s", partition, strerror(-r));
	}
	bank->head->state_len = w->def->state_size;
	RK_KILL_POINT(OWNER_INIT);
	atomic_store_explicit(&bank->head->initialized, 1, memory_order_release);
	return 0;
}

/* Maps and takes up a partition. Returns 0, 1 if it is not ours, or -errno. */
static int open_partition(struct worker *w, uint32_t p, struct rk_err *err)
{
	struct partition *part = &w->partitions[p];
	int bank = rk_owner_look(&w->m, p, w->number);
	uint64_t offset;
	void *mapped;
	int r;

	if (bank < 0)
		return 1;
	offset = rk_bank_offset(&w->m, p, (uint32_t)bank);
	r = rk_region_map(w->fd[FD_STATE], offset, w->m.l.bank_stride, true, (void *)(uintptr_t)(STATE_BASE + offset),
			  &mapped, err);
	if (r < 0)
		return r;
	r = rk_owner_open(&part->owner, &w->m, p, w->number, (uint32_t)bank, mapped, w->room);
	if (r < 0) {
		rk_region_unmap(mapped, w->m.l.bank_stride);
		return 1;
	}
	part->mapped = mapped;
	part->owner.batch_max = w->batch_max;
	if (part->owner.rolled_back)
		atomic_fetch_add_explicit(&w->beat->n_rolled_back, 1, memory_order_relaxed);
	r = initialize(w, &part->owner.bank, p, err);
	if (r == 0 && w->checking)
		r = rk_check_new(&part->check, &part->owner.bank, w->def->state_size, err);
	part->open = r == 0;
	return r;
}

/* Gives a partition back that the supervisor asks for, open or not. Returns 1, or -errno when it was taken away. */
static int release_partition(struct worker *w, uint32_t p, struct rk_err *err)
{
	struct partition *part = &w->partitions[p];
	int r = part->open ? rk_owner_release(&part->owner) : rk_part_release(&w->m, p, w->number);

	if (r < 0)
		return rk_err_set(err, r, "partition %u was taken away", p);
	if (part->open) {
		rk_check_free(part->check);
		rk_region_unmap(part->mapped, w->m.l.bank_stride);
	}
	*part = (struct partition){ 0 };
	tell_supervisor(w);
	return 1;
}

/* From the protocol's job to the user's. */
static int run_handler(struct rk_owner_job *inner, void *arg)
{
	struct worker *w = arg;
	struct partition *part = &w->partitions[inner->partition];
	struct rk_job job = {
		.key = inner->key, .key_len = inner->key_len, .body = inner->body, .len = inner->len,
		.deadline_ns = inner->deadline_ns, .partition = inner->partition, .number = inner->number,
		.sequence = inner->sequence, .internal = inner,
	};
	uint32_t first = inner->owner->bank.n_entries;
	int r;

	/* Back from a touch that failed: the handler goes no further, or it would write what nobody can undo. */
	if (_setjmp(w->leave_handler))
		return inner->touch_error;
	r = w->def->on_job(&job, inner->owner->bank.state, w->def->arg);

	/* An aborted job is undone by the owner; what it wrote without touch shows after the next one. */
	if (rk_unlikely(part->check != NULL) && r >= 0 && !inner->touch_error) {
		struct rk_err err;

		if (rk_check_job(part->check, &inner->owner->bank, first, &err) < 0)
			_exit(give_up(w, EXIT_DOES_NOT_FIT, err.text));
	}
	return r;
}

/* Relaxed: figures for people, which this thread alone writes. */
static void add(_Atomic uint64_t *figure, uint64_t n)
{
	if (n)
		atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + n,
				      memory_order_relaxed);
}

/* Once each time the supervisor has set one. Relaxed: its wish is a figure, and whichever we see will do. */
static void tell_milestone(struct worker *w)
{
	uint64_t at = atomic_load_explicit(&w->beat->news_at, memory_order_relaxed);

	if (rk_likely(!at || at == w->told_at || atomic_load_explicit(&w->beat->n_jobs, memory_order_relaxed) < at))
		return;
	w->told_at = at;
	tell_supervisor(w);
}

/* What the beat page says of the work done. */
static void note_progress(struct worker *w, const struct rk_owner *o, const struct rk_owner *before)
{
	struct rk_beat *b = w->beat;

	add(&b->n_jobs, o->n_jobs - before->n_jobs);
	add(&b->n_errors, o->n_errors - before->n_errors);
	add(&b->n_without_effect, o->n_without_effect - before->n_without_effect);
	add(&b->n_refused, o->n_refused - before->n_refused);
	tell_milestone(w);
}

static void stamp_first_commit(struct worker *w, const struct rk_owner *o)
{
	atomic_store_explicit(&w->beat->first_commit_job, rk_commit_cursor(o->commit), memory_order_relaxed);
	atomic_store_explicit(&w->beat->first_commit_partition, o->partition, memory_order_relaxed);
	atomic_store_explicit(&w->beat->first_commit_ns, rk_clock_ns(), memory_order_release);
}

/* Once: after the first commit, or the first scan that found no work. */
static void announce(struct worker *w)
{
	/* Release, and last: whoever sees it (any news makes the supervisor look) sees the first commit too. */
	atomic_store_explicit(&w->beat->ready_ns, w->ready_ns, memory_order_release);
	w->told = true;
	tell_supervisor(w);
}

/* One partition's turn. Returns whether it did anything, or -errno. */
static int visit(struct worker *w, uint32_t p, struct rk_err *err)
{
	struct partition *part = &w->partitions[p];
	struct rk_owner *o = &part->owner;
	struct rk_owner before;
	int steps = 0, r;

	if (rk_unlikely(rk_part_is_asked(&w->m, p, w->number)))
		return release_partition(w, p, err);
	if (!part->open) {
		r = open_partition(w, p, err);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	before.n_jobs = o->n_jobs;
	before.n_errors = o->n_errors;
	before.n_without_effect = o->n_without_effect;
	before.n_refused = o->n_refused;
	do {
		r = rk_owner_step(o, run_handler, w);
		if (rk_unlikely(r > 0 && !w->told)) {
			stamp_first_commit(w, o);
			announce(w);
		}
	} while (r > 0 && ++steps < STEPS_PER_VISIT && !has_wish(w) && !rk_part_is_asked(&w->m, p, w->number));
	if (steps > 0)
		note_progress(w, o, &before);
	if (r == -ESTALE)
		return rk_err_set(err, r, "partition %u was taken away", p);
	return steps > 0;
}

static _Atomic uint64_t *pending_word(const struct worker *w, uint32_t p)
{
	return rk_bell_pending(w->bell) + p / 64;
}

/*
 * A partition whose bit is set. The bit stays while work keeps coming, so that
 * clients find it set and leave its line alone.
 */
static int turn(struct worker *w, uint32_t p, struct rk_err *err)
{
	struct partition *part = &w->partitions[p];
	int r = visit(w, p, err);

	if (r != 0 || ++part->n_quiet < QUIET_VISITS) {
		part->n_quiet = r > 0 ? 0 : part->n_quiet;
		return r;
	}
	part->n_quiet = 0;
	/* O1: cleared before the last look (seq_cst, pairs with P1): a bit set later is for work we may not see. */
	atomic_fetch_and_explicit(pending_word(w, p), ~(1ull << p % 64), memory_order_seq_cst);
	r = visit(w, p, err);
	if (r > 0) /* there was more: it goes on as before */
		atomic_fetch_or_explicit(pending_word(w, p), 1ull << p % 64, memory_order_relaxed);
	return r;
}

/* Every partition whose bit is set. */
static int scan(struct worker *w, struct rk_err *err)
{
	uint32_t n_words = (w->m.g.n_partitions + 63) / 64;
	int did = 0;

	for (uint32_t i = 0; i < n_words; i++) {
		uint64_t bits = atomic_load_explicit(rk_bell_pending(w->bell) + i, memory_order_acquire);

		while (bits) {
			uint32_t p = i * 64 + (uint32_t)__builtin_ctzll(bits);
			int r;

			bits &= bits - 1;
			if (p >= w->m.g.n_partitions) { /* nobody's: damaged memory */
				atomic_fetch_and_explicit(pending_word(w, p), ~(1ull << p % 64), memory_order_relaxed);
				continue;
			}
			if (rk_unlikely(has_wish(w)))
				return 1;
			r = turn(w, p, err);
			if (r < 0)
				return r;
			did |= r;
		}
	}
	return did;
}

static bool has_pending(const struct worker *w)
{
	for (uint32_t i = 0; i < (w->m.g.n_partitions + 63) / 64; i++)
		/* W2: seq_cst, after W1. */
		if (atomic_load_explicit(rk_bell_pending(w->bell) + i, memory_order_seq_cst))
			return true;
	return false;
}

/* Marks what a predecessor left: unfinished jobs, undelivered replies, references nobody rang for. */
static void mark_inherited(struct worker *w)
{
	for (uint32_t p = 0; p < w->m.g.n_partitions; p++) {
		struct rk_part *part = rk_shm_part(&w->m, p);
		uint64_t cursor, freed;

		if (rk_owner_look(&w->m, p, w->number) < 0)
			continue;
		cursor = rk_commit_cursor(atomic_load_explicit(&part->commit, memory_order_acquire));
		freed = atomic_load_explicit(&part->freed, memory_order_acquire) & RK_MASK48;
		if (cursor != freed || rk_queue_peek(&w->m, p, cursor))
			atomic_fetch_or_explicit(rk_bell_pending(w->bell) + p / 64, 1ull << p % 64,
						 memory_order_relaxed);
	}
}

static void park(struct worker *w)
{
	uint32_t word = rk_bell_park(&w->bell->bell);

	if (!has_pending(w) && !has_wish(w)) {
		atomic_store_explicit(&w->beat->state, RK_BEAT_PARKED, memory_order_release);
		(void)rk_bell_wait(&w->bell->bell, word, 0); /* whatever woke us: look */
		atomic_store_explicit(&w->beat->state, RK_BEAT_READY, memory_order_release);
	}
	rk_bell_unpark(&w->bell->bell);
}

/* Polls for a while after the last job, then parks. */
static void idle(struct worker *w)
{
	uint64_t until = 0;

	for (uint32_t round = 0; !has_wish(w); round++) {
		if (has_pending(w))
			return;
		rk_relax();
		if (round % 64 || w->spin_ns == UINT64_MAX)
			continue;
		if (!until)
			until = rk_clock_ns() + w->spin_ns;
		else if (rk_clock_ns() >= until)
			break;
	}
	if (!has_wish(w))
		park(w);
}

/* Behind the first commit: those whom a predecessor cleared and did not wake, in partitions nobody calls. */
static void open_space(struct worker *w)
{
	for (uint32_t p = 0; p < w->m.g.n_partitions; p++)
		if (!w->partitions[p].open && rk_owner_look(&w->m, p, w->number) >= 0)
			rk_bell_open_space(rk_shm_ring(&w->m, p));
	w->opened_space = true;
}

/* A partition that we are asked to release; n_partitions if there is none. */
static uint32_t find_asked(const struct worker *w)
{
	uint32_t p = 0;

	while (p < w->m.g.n_partitions && !rk_part_is_asked(&w->m, p, w->number))
		p++;
	return p;
}

/* Runs no job until told, but gives back what it is asked for. Bits stay set. Returns 0 or -errno. */
static int pause_jobs(struct worker *w, struct rk_err *err)
{
	while (rk_beat_is_pause_wanted(w->beat) && !is_stop_wanted(w)) {
		uint32_t word = rk_bell_park(&w->bell->bell), p = find_asked(w);

		if (p == w->m.g.n_partitions && rk_beat_is_pause_wanted(w->beat) && !is_stop_wanted(w)) {
			atomic_store_explicit(&w->beat->state, RK_BEAT_PARKED, memory_order_release);
			(void)rk_bell_wait(&w->bell->bell, word, 0);
			atomic_store_explicit(&w->beat->state, RK_BEAT_READY, memory_order_release);
		}
		rk_bell_unpark(&w->bell->bell);
		if (p < w->m.g.n_partitions && release_partition(w, p, err) < 0)
			return -ESTALE;
	}
	return 0;
}

static int serve(struct worker *w)
{
	struct rk_err err;

	mark_inherited(w);
	w->ready_ns = rk_clock_ns();
	atomic_store_explicit(&w->beat->state, RK_BEAT_READY, memory_order_release);
	while (!is_stop_wanted(w)) {
		int did = pause_jobs(w, &err);

		if (did == 0)
			did = scan(w, &err);
		if (did < 0)
			return give_up(w, did == -ESTALE ? EXIT_LOST : EXIT_DOES_NOT_FIT, err.text);
		if (!did && !w->told)
			announce(w);
		if (w->told && !w->opened_space)
			open_space(w);
		if (!did)
			idle(w);
	}
	atomic_store_explicit(&w->beat->state, RK_BEAT_STOPPING, memory_order_release);
	return 0;
}

/* What is private; the mappings end with the process. */
static void tear_down(struct worker *w)
{
	for (uint32_t p = 0; w->partitions && p < w->m.g.n_partitions; p++)
		rk_check_free(w->partitions[p].check);
	free(w->partitions);
	free(w->room);
}

int rk_worker_main(const struct rk_worker_def *def)
{
	struct worker w = { .def = def };
	struct rk_err err;
	int r;

	if (!def->on_job)
		return give_up(&w, EXIT_NOT_STARTED, "rk_worker_def.on_job is NULL: give it a handler");
	r = read_inheritance(&w, &err);
	if (r < 0)
		return give_up(&w, EXIT_NOT_STARTED, err.text);
	r = rk_fault_from_environment();
	if (r < 0)
		return give_up(&w, EXIT_DOES_NOT_FIT,
			       "REKINDLE_BREAK, _FAULT or _DELAY is set, which only a build with fault points obeys, or not understood");
	r = attach(&w, &err);
	if (r == 0)
		r = set_up(&w, &err);
	r = r < 0 ? give_up(&w, EXIT_DOES_NOT_FIT, err.text) : serve(&w);
	tear_down(&w);
	return r;
}

int rk_touch(struct rk_job *job, const void *p, size_t len)
{
	struct rk_owner_job *inner = job->internal;
	struct worker *w = inner->arg;

	if (rk_unlikely(rk_owner_touch(inner, p, len) < 0))
		longjmp(w->leave_handler, 1);
	return 0;
}

int rk_reply(struct rk_job *job, const void *bytes, size_t len)
{
	return rk_owner_reply(job->internal, bytes, len);
}

static struct rk_beat *beat_of(struct rk_job *job)
{
	struct rk_owner_job *inner = job->internal;

	return rk_shm_beat(inner->owner->m, inner->owner->worker);
}

void rk_beat(struct rk_job *job)
{
	atomic_fetch_add_explicit(&beat_of(job)->beats, 1, memory_order_relaxed);
}

void rk_calling(struct rk_job *job, uint32_t ms)
{
	struct rk_beat *b = beat_of(job);

	atomic_store_explicit(&b->calling_until_ns, ms ? rk_clock_ns() + ms * RK_NS_PER_MS : 0, memory_order_relaxed);
	atomic_store_explicit(&b->state, ms ? RK_BEAT_CALLING : RK_BEAT_RUNNING, memory_order_release);
}
