/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's side of librekindle: attach to what the supervisor left open,
 * find the partitions with work, run their owners, park on the bell.
 *
 * Who       the worker's one job thread.
 * Crash     see shm/owner.h; what is private here dies with the process.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "shm/beat.h"
#include "shm/bell.h"
#include "shm/fault.h"
#include "shm/part.h"
#include "shm/queue.h"
#include "shm/vigil.h"
#include "shm/words.h"
#include "workers/lib/attach.h"
#include "workers/lib/prepare.h"
#include "workers/lib/standby.h"
#include "workers/lib/worker.h"

#define SPIN_DEFAULT_US 50u
#define STEPS_PER_VISIT 64 /* then another partition gets its turn */
#define QUIET_VISITS 64u   /* in vain, until a partition's bit is cleared: a microsecond or two */

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
bool rk_worker_must_stop(const struct worker *w)
{
	return stop_wanted || rk_beat_is_stop_wanted(w->beat);
}

bool rk_worker_is_paused(const struct worker *w)
{
	return rk_unlikely(rk_beat_is_pause_wanted(w->beat));
}

/* The supervisor wants something that is not worth waiting for the end of a queue. */
static bool has_wish(const struct worker *w)
{
	return rk_worker_must_stop(w) || rk_worker_is_paused(w);
}

/* A program that has a handler of its own keeps it, and closes the worker when it wants it to end. */
static bool catch_signal(int number, struct sigaction *ret_old)
{
	struct sigaction stop = { .sa_handler = on_stop_signal, .sa_flags = SA_RESTART };

	return sigaction(number, NULL, ret_old) == 0 && !(ret_old->sa_flags & SA_SIGINFO) &&
	       (ret_old->sa_handler == SIG_DFL || ret_old->sa_handler == SIG_IGN) && sigaction(number, &stop, NULL) == 0;
}

/* From here on a stop is noticed wherever the worker is. */
static void catch_signals(struct worker *w)
{
	signal_bell = &w->bell->bell;
	w->caught_term = catch_signal(SIGTERM, &w->old_term);
	w->caught_int = catch_signal(SIGINT, &w->old_int);
}

static void give_signals_back(const struct worker *w)
{
	if (w->caught_term)
		(void)sigaction(SIGTERM, &w->old_term, NULL);
	if (w->caught_int)
		(void)sigaction(SIGINT, &w->old_int, NULL);
	signal_bell = NULL;
}

void rk_worker_tell(const struct worker *w)
{
	uint64_t one = 1;
	ssize_t r = write(w->fd[FD_NEWS], &one, sizeof(one)); /* non-blocking: a full pipe tells as much */

	(void)r;
}

int rk_worker_give_up(struct worker *w, int status, const char *text)
{
	if (w->order >= 0 && !w->beat)
		fprintf(stderr, "rekindle worker, standby: %s\n", text);
	else
		fprintf(stderr, "rekindle worker %u: %s\n", w->number, text);
	if (w->beat) {
		snprintf(w->beat->last_words, sizeof(w->beat->last_words), "%s", text);
		rk_worker_tell(w);
	}
	return status;
}

/* Who it is to be: "worker=2 incarnation=17 ", or "standby=12 " with the socket on which that is said. */
static bool read_role(struct worker *w, const char **text)
{
	unsigned long long incarnation;
	int end = 0;

	if (sscanf(*text, "worker=%u incarnation=%llu %n", &w->number, &incarnation, &end) == 2 && end)
		w->incarnation = incarnation;
	else if (sscanf(*text, "standby=%d %n", &w->order, &end) != 1 || w->order < 0)
		return false;
	*text += end;
	return end > 0;
}

/*
 * REKINDLE_WORKER=abi=2 worker=2 incarnation=17 fds=3:4:5:6:7:8:9:10:11. The last one, the readers', is
 * only held: for a supervisor that finds nobody else who has it (supervisor/collect.h).
 */
static int read_inheritance(struct worker *w, struct rk_err *err)
{
	const char *text = getenv("REKINDLE_WORKER");
	unsigned int abi;
	int end = 0;

	if (!text)
		return rk_err_set(err, -ENOENT,
				  "this is a rekindle worker: start it with 'rekindle run -n 4 -- PROGRAM'");
	if (sscanf(text, "abi=%u %n", &abi, &end) != 1 || !end || (text += end, !read_role(w, &text)) ||
	    (end = 0, sscanf(text, "fds=%d:%d:%d:%d:%d:%d:%d:%d:%d%n", &w->fd[0], &w->fd[1], &w->fd[2], &w->fd[3],
			     &w->fd[4], &w->fd[5], &w->fd[6], &w->fd[7], &w->fd[8], &end) != 9) || text[end])
		return rk_err_set(err, -EINVAL, "REKINDLE_WORKER is set, but not by rekindled: unset it");
	if (abi != RK_ABI_VERSION)
		return rk_err_set(err, -EPROTO,
				  "rekindled speaks ABI %u and this program's library %u: use one release of both", abi,
				  RK_ABI_VERSION);
	for (int i = 0; i < FD_COUNT; i++)
		if (rk_fd_cloexec(w->fd[i], 1) < 0)
			return rk_err_set(err, -EBADF, "descriptor %d from rekindled is closed", w->fd[i]);
	if (w->order >= 0 && rk_fd_cloexec(w->order, 1) < 0)
		return rk_err_set(err, -EBADF, "descriptor %d from rekindled is closed", w->order);
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
		{ RK_SEGMENT_DEAD, w->fd[FD_DEAD], true, &w->m.dead },
	};
	int r = rk_attach(&w->m, w->fd[FD_BOARD], segments, rk_countof(segments), err);

	if (r < 0)
		return r;
	if (w->number >= w->m.g.n_workers)
		return rk_err_set(err, -EPROTO, "worker number %u: the fleet has %u slots", w->number,
				  w->m.g.n_workers);
	return 0;
}

static int set_up(struct worker *w, struct rk_err *err)
{
	const char *check = getenv("RK_CHECK"), *batch = getenv("REKINDLE_BATCH");
	uint32_t spin_us = w->def->spin_us ? w->def->spin_us : SPIN_DEFAULT_US;
	int r;

	r = rk_prepare_fits(w->def, &w->m, err);
	if (r < 0)
		return r;
	w->spin_ns = spin_us == RK_SPIN_FOREVER ? UINT64_MAX : spin_us * RK_NS_PER_US;
	w->batch_max = rk_max_u32(w->def->batch_max, batch ? (uint32_t)strtoul(batch, NULL, 10) : 0);
	w->batch_max = rk_max_u32(1, rk_min_u32(w->batch_max, RK_BATCH_MAX));
	w->checking = check && *check && strcmp(check, "0") != 0;
	w->partitions = calloc(w->m.g.n_partitions, sizeof(*w->partitions));
	w->room = malloc(rk_owner_room(&w->m));
	if (!w->partitions || !w->room)
		return rk_err_set(err, -ENOMEM, "no memory for %u partitions", w->m.g.n_partitions);
	return 0;
}

/* Becomes the slot's worker, for everybody to see. */
static int take_slot(struct worker *w, struct rk_err *err)
{
	int r;

	w->beat = rk_shm_beat(&w->m, w->number);
	w->bell = rk_shm_bell(&w->m, w->number);
	/* A predecessor may have died parked; nobody parks here now. */
	rk_bell_unpark(&w->bell->bell);
	catch_signals(w);
	r = rk_beat_take(w->beat, w->incarnation);
	return r < 0 ? rk_err_set(err, r, "cannot take the lease: %s", strerror(-r)) : 0;
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
	rk_worker_tell(w);
}

/* What the beat page says of the work done. */
void rk_worker_note_progress(struct worker *w, const struct rk_owner *o, const struct rk_owner *before)
{
	struct rk_beat *b = w->beat;

	add(&b->n_jobs, o->n_jobs - before->n_jobs);
	add(&b->n_errors, o->n_errors - before->n_errors);
	add(&b->n_without_effect, o->n_without_effect - before->n_without_effect);
	add(&b->n_refused, o->n_refused - before->n_refused);
	tell_milestone(w);
}

void rk_worker_stamp_first_commit(struct worker *w, const struct rk_owner *o)
{
	atomic_store_explicit(&w->beat->first_commit_job, rk_commit_cursor(o->commit), memory_order_relaxed);
	atomic_store_explicit(&w->beat->first_commit_partition, o->partition, memory_order_relaxed);
	atomic_store_explicit(&w->beat->first_commit_ns, rk_clock_ns(), memory_order_release);
}

/* Once: after the first commit, or the first scan that found no work. */
void rk_worker_tell_ready(struct worker *w)
{
	/* Release, and last: whoever sees it (any news makes the supervisor look) sees the first commit too. */
	atomic_store_explicit(&w->beat->ready_ns, w->ready_ns, memory_order_release);
	w->told = true;
	rk_worker_tell(w);
}

/* Whether a partition's turn goes on behind a job. */
static bool may_go_on(const struct worker *w, uint32_t p)
{
	return w->n_jobs < w->jobs_max && !has_wish(w) && !rk_part_is_asked(&w->m, p, w->number);
}

/* One partition's turn. Returns whether it did anything, or -errno. */
static int visit(struct worker *w, uint32_t p, struct rk_err *err)
{
	struct partition *part = &w->partitions[p];
	struct rk_owner *o = &part->owner;
	struct rk_owner before;
	int steps = 0, r;

	if (rk_unlikely(rk_part_is_asked(&w->m, p, w->number)))
		return rk_partition_release(w, p, err);
	if (!part->open) {
		r = rk_partition_open(w, p, err);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	before.n_jobs = o->n_jobs;
	before.n_errors = o->n_errors;
	before.n_without_effect = o->n_without_effect;
	before.n_refused = o->n_refused;
	do {
		r = rk_owner_step(o, rk_partition_run, w);
		w->n_jobs += r > 0 ? (uint32_t)r : 0;
		if (rk_unlikely(r > 0 && !w->told)) {
			rk_worker_stamp_first_commit(w, o);
			rk_worker_tell_ready(w);
		}
	} while (r > 0 && ++steps < STEPS_PER_VISIT && may_go_on(w, p));
	if (steps > 0)
		rk_worker_note_progress(w, o, &before);
	if (r == -ESTALE)
		return rk_err_set(err, r, "partition %u was taken away", p);
	return steps > 0 || r == -EAGAIN;
}

_Atomic uint64_t *rk_worker_pending_word(const struct worker *w, uint32_t p)
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
	atomic_fetch_and_explicit(rk_worker_pending_word(w, p), ~(1ull << p % 64), memory_order_seq_cst);
	r = visit(w, p, err);
	if (r > 0) /* there was more: it goes on as before */
		atomic_fetch_or_explicit(rk_worker_pending_word(w, p), 1ull << p % 64, memory_order_relaxed);
	return r;
}

/* Every partition whose bit is set in this word, of those under the mask. Stops when the round has had its jobs. */
static int scan_word(struct worker *w, uint32_t i, uint64_t mask, struct rk_err *err)
{
	uint64_t bits = atomic_load_explicit(rk_bell_pending(w->bell) + i, memory_order_acquire) & mask;
	int did = 0;

	while (bits && w->n_jobs < w->jobs_max) {
		uint32_t p = i * 64 + (uint32_t)__builtin_ctzll(bits);
		int r;

		bits &= bits - 1;
		if (p >= w->m.g.n_partitions) { /* nobody's: damaged memory */
			atomic_fetch_and_explicit(rk_worker_pending_word(w, p), ~(1ull << p % 64), memory_order_relaxed);
			continue;
		}
		if (rk_unlikely(has_wish(w)))
			return 1; /* not all was seen */
		r = turn(w, p, err);
		if (r < 0)
			return r;
		did |= r;
		if (w->n_jobs >= w->jobs_max) /* the next round begins behind it */
			w->scan_from = p + 1 < w->m.g.n_partitions ? p + 1 : 0;
	}
	return did;
}

/* Every partition whose bit is set, in turn from where the last round ended. */
static int scan(struct worker *w, struct rk_err *err)
{
	uint32_t n_words = (w->m.g.n_partitions + 63) / 64, from = w->scan_from;
	uint64_t behind = ~0ull << from % 64;
	int did = 0;

	for (uint32_t k = 0; k <= n_words; k++) {
		int r = scan_word(w, (from / 64 + k) % n_words, k == 0 ? behind : k == n_words ? ~behind : ~0ull, err);

		if (r < 0)
			return r;
		did |= r;
	}
	return did;
}

/* A partition that we are asked to give back; n_partitions if there is none. */
uint32_t rk_worker_find_asked(const struct worker *w)
{
	uint32_t p = 0;

	while (p < w->m.g.n_partitions && !rk_part_is_asked(&w->m, p, w->number))
		p++;
	return p;
}

bool rk_worker_has_pending(const struct worker *w)
{
	if (rk_worker_is_paused(w))
		return rk_worker_find_asked(w) < w->m.g.n_partitions;
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

static void park(struct worker *w, uint64_t deadline_ns)
{
	uint32_t word = rk_bell_park(&w->bell->bell);

	if (!rk_worker_has_pending(w) && !rk_worker_must_stop(w)) {
		struct rk_orphan_sleep s = rk_orphan_sleep(&w->orphan, &w->m, w->number, deadline_ns);

		atomic_store_explicit(&w->beat->state, RK_BEAT_PARKED, memory_order_release);
		/* Whatever woke us: look. */
		(void)rk_bell_wait_beside(&w->bell->bell, word, s.word, s.seen, s.deadline_ns);
		rk_vigil_rouse(&w->m, w->number);
	}
	rk_bell_unpark(&w->bell->bell);
}

void rk_worker_idle(struct worker *w, uint64_t deadline_ns)
{
	uint64_t until = 0, now_ns;

	for (uint32_t round = 0; !rk_worker_must_stop(w); round++) {
		if (rk_worker_has_pending(w))
			return;
		rk_relax();
		if (round % 64)
			continue;
		if (w->spin_ns == UINT64_MAX && rk_unlikely(rk_orphan_look(&w->orphan, &w->m, w->number)))
			return; /* whoever never parks has to look */
		if (w->spin_ns == UINT64_MAX && !deadline_ns)
			continue;
		now_ns = rk_clock_ns();
		if (deadline_ns && now_ns >= deadline_ns)
			return;
		if (!until)
			until = w->spin_ns == UINT64_MAX ? UINT64_MAX : now_ns + w->spin_ns;
		else if (now_ns >= until)
			break;
	}
	if (!rk_worker_must_stop(w))
		park(w, deadline_ns);
}

/* Behind the first commit: those whom a predecessor cleared and did not wake, in partitions nobody calls. */
void rk_worker_open_space(struct worker *w)
{
	for (uint32_t p = 0; p < w->m.g.n_partitions; p++)
		if (!w->partitions[p].open && rk_owner_look(&w->m, p, w->number) >= 0)
			rk_bell_open_space(rk_shm_ring(&w->m, p));
	w->opened_space = true;
}

/* Runs no job, but gives back what it is asked for. Bits stay set. Returns whether there was something, or -errno. */
static int paused_round(struct worker *w, struct rk_err *err)
{
	uint32_t p = rk_worker_find_asked(w);

	return p < w->m.g.n_partitions ? rk_partition_release(w, p, err) : 0;
}

int rk_worker_round(struct worker *w, struct rk_err *err)
{
	int did;

	w->n_jobs = 0;
	if (rk_unlikely(rk_orphan_is_over(&w->orphan, &w->m, w->number)))
		return rk_err_set(err, -EOWNERDEAD, "keeper is dead, and no other has come within OrphanTimeout: this worker ends");
	if (rk_worker_is_paused(w))
		return paused_round(w, err);
	did = scan(w, err);
	if (did < 0)
		return did;
	if (!did && !w->told)
		rk_worker_tell_ready(w);
	if (w->told && !w->opened_space)
		rk_worker_open_space(w);
	return w->n_jobs ? (int)rk_min_u32(w->n_jobs, INT32_MAX) : did != 0;
}

/* Without a hook that could mend it, a state of another version is not taken up: said before any job is. */
static int look_at_states(const struct worker *w, struct rk_err *err)
{
	int r = 0;

	for (uint32_t p = 0; p < w->m.g.n_partitions && r == 0 && !w->def->upgrade; p++) {
		int bank = rk_owner_look(&w->m, p, w->number);

		if (bank >= 0)
			r = rk_prepare_look(
				&(struct rk_prepare){ w->def, &w->m, p, (uint32_t)bank, w->fd[FD_STATE] }, err);
	}
	return r;
}

static void begin(struct worker *w)
{
	mark_inherited(w);
	w->ready_ns = rk_clock_ns();
	if (!w->is_ahead)
		atomic_store_explicit(&w->beat->state, RK_BEAT_READY, memory_order_release);
}

/* As far as a process gets that does not know whose worker it is. */
static int start_privately(struct worker *w, struct rk_err *err)
{
	int r = attach(w, err);

	if (r == 0)
		r = set_up(w, err);
	return r == 0 && w->order >= 0 ? rk_standby_wait(w, err) : r;
}

/* Out of the way of the first job. */
static void close_order(struct worker *w)
{
	if (w->order >= 0)
		(void)close(w->order);
	w->order = -1;
}

/* Returns 0 or main()'s exit status; what is wrong is said. */
int rk_worker_start(struct worker *w)
{
	struct rk_err err;
	int r;

	w->order = -1;
	if (!w->def->on_job)
		return rk_worker_give_up(w, RK_EXIT_NOT_STARTED, "rk_worker_def.on_job is NULL: give it a handler");
	r = read_inheritance(w, &err);
	if (r < 0)
		return rk_worker_give_up(w, RK_EXIT_NOT_STARTED, err.text);
	r = rk_fault_from_environment();
	if (r < 0)
		return rk_worker_give_up(w, RK_EXIT_DOES_NOT_FIT,
					 "REKINDLE_BREAK, _FAULT or _DELAY is set, which only a build with fault points obeys, or not understood");
	r = start_privately(w, &err);
	if (r == RK_STANDBY_UNWANTED)
		return RK_EXIT_LOST; /* nobody asks why */
	if (r == 0)
		r = take_slot(w, &err);
	RK_KILL_POINT(WORKER_LEASED);
	if (r == 0)
		r = look_at_states(w, &err);
	if (r < 0)
		return rk_worker_give_up(w, RK_EXIT_DOES_NOT_FIT, err.text);
	begin(w);
	close_order(w);
	return 0;
}

void rk_worker_tear_down(struct worker *w)
{
	give_signals_back(w);
	for (uint32_t p = 0; w->partitions && p < w->m.g.n_partitions; p++)
		rk_partition_drop(w, p);
	free(w->partitions);
	free(w->room);
}
