/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo: starts a fleet that counts words, sends it the words of real text, kills and stops
 * workers and clients meanwhile, and ends with the verdict of a checker that shares no code
 * with the fleet.
 *
 *   demo ─┬─ keeper ─ supervisor, workers   (the fleet; PDEATHSIG TERM)
 *         ├─ clients, each a process         (PDEATHSIG KILL), and their ledger
 *         ├─ readers of the board, if asked   (the same)
 *         ├─ poisoners, if asked               (the same)
 *         └─ hogs, if asked                    (the same)
 *
 * Whatever way demo ends, nothing of this is left.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/demo_client.h"
#include "cli/demo_filter.h"
#include "cli/demo_finals.h"
#include "cli/demo_hog.h"
#include "cli/demo_lines.h"
#include "cli/demo_poison.h"
#include "cli/demo_reader.h"
#include "cli/demo_show.h"
#include "cli/signals.h"
#include "cli/snapshot.h"
#include "shm/fault.h"
#include "workers/lib/rekindle.h"

#define CAUSE_NS RK_NS_PER_S /* how long a death without a cause is not told */
#define SECONDS_DEFAULT 10u
#define WORDS_PER_PARTITION 128u /* of the 512 for which wordcount has room */
#define PARTITIONS_MIN 16u
#define RECORDS_PER_S 4000000u /* more than any machine sends */
#define MEMORY_SHARE 8         /* of the machine's memory the ledger may fill at most one in so many */
#define POISON_TENTHS 8u                               /* of the run, in which poison is sent */
#define POISON_NS (RK_DEMO_POISON_MS * RK_NS_PER_MS) /* how much longer a run may be for it */
#define TICK_NS (5 * RK_NS_PER_MS)
#define END_MARGIN_MS 5000u

enum ending { GOES_ON, ENDS_EARLY, ABORTED };

struct demo {
	struct rk_demo_plan plan;
	struct rk_demo_programs programs;
	struct rk_demo_fleet fleet;
	struct rk_demo_ledger ledger;
	struct rk_demo_child clients[RK_DEMO_CLIENTS_MAX];
	bool finished[RK_DEMO_CLIENTS_MAX]; /* ended by itself, in order or not */
	uint32_t n_failed;
	struct rk_demo_child readers[RK_DEMO_READERS];
	uint32_t n_readers, n_readers_failed;
	struct rk_demo_poisoners poisoners;
	struct rk_demo_child hogs[RK_DEMO_HOGS_MAX];
	struct rk_demo_chaos chaos;
	struct rk_demo_show show;
	struct rk_demo_moment moment;
	uint32_t n_in_flight, timeout_ms;
	uint64_t began_ns, shown_ns;
	int signals;
	enum ending ending;
	uint64_t *finals;
};

/* ---- clients ---- */

static int start_client(struct demo *d, uint32_t k, struct rk_err *err)
{
	struct rk_demo_client_argv args;

	rk_demo_client_argv(&args, &(struct rk_demo_client_conf){
					   .fleet = d->fleet.name, .place = k, .named = rk_demo_client_is_named(k, d->chaos.conf.all_named),
					   .n_in_flight = d->n_in_flight, .timeout_ms = d->timeout_ms });
	return rk_demo_child_start(&d->clients[k], &(struct rk_demo_spawn){ .path = "/proc/self/exe", .argv = args.argv,
									    .death_signal = SIGKILL,
									    .fd = d->ledger.fd, .output = d->fleet.log },
				   err);
}

/* Starts killed clients again, notes those that ended by themselves. */
static int reap_clients(struct demo *d, struct rk_err *err)
{
	for (uint32_t k = 0; k < d->plan.n_clients; k++) {
		struct rk_demo_child *c = &d->clients[k];
		int r;

		if (!rk_demo_child_reap(c))
			continue;
		if (c->status == 128 + SIGKILL) {
			r = start_client(d, k, err);
			if (r < 0)
				return r;
			continue;
		}
		d->finished[k] = true;
		d->n_failed += c->status != 0;
	}
	return 0;
}

/* ---- readers ---- */

static int start_reader(struct demo *d, uint32_t k, struct rk_err *err)
{
	static char words[][16] = { "rekindle", "demo", RK_DEMO_READER_ARGUMENT };
	char *argv[] = { words[0], words[1], words[2], d->fleet.name, NULL };

	return rk_demo_child_start(&d->readers[k], &(struct rk_demo_spawn){ .path = "/proc/self/exe", .argv = argv,
									    .death_signal = SIGKILL, .fd = -1,
									    .output = d->fleet.log },
				   err);
}

/* Starts killed readers again; one that ended by itself has seen what must not be. */
static int reap_readers(struct demo *d, struct rk_err *err)
{
	int r = 0;

	for (uint32_t k = 0; k < d->n_readers && r == 0; k++) {
		if (!rk_demo_child_reap(&d->readers[k]))
			continue;
		if (d->readers[k].status == 128 + SIGKILL)
			r = start_reader(d, k, err);
		else
			d->n_readers_failed++;
	}
	return r;
}

static uint32_t n_running(const struct demo *d)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < d->plan.n_clients; k++)
		n += !d->finished[k];
	return n;
}

/* ---- the run ---- */

static void read_signals(struct demo *d)
{
	struct signalfd_siginfo info;

	while (read(d->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		/* The first Ctrl-C ends the run and asks for its verdict; the second asks for the end. */
		if (info.ssi_signo == SIGINT && d->ending == GOES_ON)
			d->ending = ENDS_EARLY;
		else
			d->ending = ABORTED;
	}
}

static void take_moment(struct demo *d, uint64_t now_ns)
{
	struct rk_demo_moment m = { .elapsed_ns = now_ns - d->began_ns, .per_s = d->moment.per_s };
	uint64_t interval_ns = now_ns - d->shown_ns;

	for (uint32_t k = 0; k < d->plan.n_clients; k++) {
		const struct rk_demo_place *p = &d->ledger.places[k];

		/* Relaxed: figures for people. */
		m.n_acked += atomic_load_explicit(&p->n_acked, memory_order_relaxed);
		m.n_again += atomic_load_explicit(&p->n_again, memory_order_relaxed);
		m.n_resumed += atomic_load_explicit(&p->n_resumed, memory_order_relaxed);
	}
	for (uint32_t k = 0; k < d->plan.n_poisons; k++)
		m.n_quarantined += atomic_load_explicit(&d->ledger.poisons[k].state, memory_order_relaxed) ==
				   RK_DEMO_QUARANTINED;
	m.is_short = interval_ns < rk_demo_show_every_ns(&d->show) / 2;
	if (!m.is_short)
		m.per_s = (uint64_t)((double)(m.n_acked - d->moment.n_acked) * RK_NS_PER_S /
				     (double)interval_ns);
	d->moment = m;
	d->shown_ns = now_ns;
	rk_demo_show_moment(&d->show, &m, &d->chaos);
}

/* Waits for a client's or keeper's end, a signal, or until then. */
static void wait_until(struct demo *d, uint64_t until_ns)
{
	struct pollfd p[RK_DEMO_CLIENTS_MAX + RK_DEMO_READERS + 2];
	nfds_t n = 0;
	uint64_t now_ns = rk_clock_ns();
	struct timespec left = { 0 };

	p[n++] = (struct pollfd){ .fd = d->signals, .events = POLLIN };
	p[n++] = (struct pollfd){ .fd = d->fleet.keeper.pidfd, .events = POLLIN };
	for (uint32_t k = 0; k < d->plan.n_clients; k++)
		p[n++] = (struct pollfd){ .fd = d->clients[k].pid > 0 ? d->clients[k].pidfd : -1, .events = POLLIN };
	for (uint32_t k = 0; k < d->n_readers; k++)
		p[n++] = (struct pollfd){ .fd = d->readers[k].pid > 0 ? d->readers[k].pidfd : -1, .events = POLLIN };
	if (until_ns > now_ns)
		left = (struct timespec){ (time_t)((until_ns - now_ns) / RK_NS_PER_S),
					  (long)((until_ns - now_ns) % RK_NS_PER_S) };
	(void)ppoll(p, n, &left, NULL);
}

/* One round. Returns 0 or -errno: something ended that must not. */
static int tick(struct demo *d, uint64_t next_ns, struct rk_err *err)
{
	uint64_t now_ns = rk_clock_ns();
	int r;

	wait_until(d, rk_min_u64(next_ns, now_ns + TICK_NS));
	read_signals(d);
	r = reap_clients(d, err);
	if (r == 0)
		r = reap_readers(d, err);
	if (r < 0)
		return r;
	if (rk_demo_child_reap(&d->fleet.keeper))
		return rk_err_set(err, -ECHILD, "the fleet ended in the middle of the run, with status %d",
				  d->fleet.keeper.status);
	now_ns = rk_clock_ns();
	(void)rk_demo_chaos_look(&d->chaos, now_ns);
	if (now_ns - d->shown_ns >= rk_demo_show_every_ns(&d->show))
		take_moment(d, now_ns);
	return 0;
}

/* Spread over the first part of the run; of a text that is sent once, one behind the other. */
static int start_poisoners(struct demo *d, struct rk_err *err)
{
	uint32_t ms = (uint32_t)(d->plan.seconds * 1000 / 10 * POISON_TENTHS);

	if (!d->plan.n_poisons)
		return 0;
	return rk_demo_poison_start(&d->poisoners, &(struct rk_demo_poison_conf){ .fleet = d->fleet.name,
										  .every_ms = ms / d->plan.n_poisons,
										  .ledger = d->ledger.fd,
										  .output = d->fleet.log },
				    err);
}

/* Until its time is over, or its text is sent; but poison that is still to be sent is. */
static bool goes_on(struct demo *d, uint64_t end_ns)
{
	uint64_t now_ns = rk_clock_ns();

	if (d->ending != GOES_ON || d->n_failed || d->n_readers_failed)
		return false;
	if (rk_demo_poison_is_busy(&d->poisoners) &&
	    now_ns < rk_min_u64(end_ns, UINT64_MAX - POISON_NS) + POISON_NS)
		return true;
	return now_ns < end_ns && n_running(d);
}

static int run(struct demo *d, struct rk_err *err)
{
	uint64_t end_ns, next_ns;
	int r = rk_demo_hog_start(d->hogs, d->plan.n_hogs, err);

	d->began_ns = d->shown_ns = rk_clock_ns();
	end_ns = d->plan.seconds ? d->began_ns + d->plan.seconds * RK_NS_PER_S : UINT64_MAX;
	for (uint32_t k = 0; k < d->plan.n_clients && r == 0; k++)
		r = start_client(d, k, err);
	for (uint32_t k = 0; k < d->n_readers && r == 0; k++)
		r = start_reader(d, k, err);
	if (r == 0)
		r = start_poisoners(d, err);
	if (r == 0)
		r = rk_demo_chaos_begin(&d->chaos, rk_clock_ns(), err);
	while (r == 0 && goes_on(d, end_ns)) {
		next_ns = rk_demo_chaos_step(&d->chaos, rk_clock_ns());
		r = tick(d, rk_min_u64(next_ns, rk_max_u64(end_ns, rk_clock_ns())), err);
	}
	return r;
}

/* Nothing new is sent; every client gets its answers and ends. */
static int settle(struct demo *d, struct rk_err *err)
{
	uint64_t deadline_ns = rk_clock_ns() + (RK_DEMO_DRAIN_MS + END_MARGIN_MS) * RK_NS_PER_MS;
	int r = 0;

	rk_demo_chaos_end(&d->chaos);
	rk_demo_hog_end(d->hogs, d->plan.n_hogs);
	take_moment(d, rk_clock_ns());
	atomic_store_explicit(&d->ledger.head->stop, 1, memory_order_release);
	while (r == 0 && d->ending != ABORTED && (n_running(d) || rk_demo_poison_is_busy(&d->poisoners)) &&
	       rk_clock_ns() < deadline_ns)
		r = tick(d, UINT64_MAX, err);
	d->n_failed += n_running(d);
	for (uint32_t k = 0; k < d->plan.n_clients; k++)
		rk_demo_child_end(&d->clients[k], 0);
	rk_demo_poison_end(&d->poisoners);
	if (r == 0 && d->ending != ABORTED)
		rk_demo_chaos_conclude(&d->chaos);
	return r;
}

/* ---- the verdict ---- */

static int judge(struct demo *d, struct rk_demo_result *ret, struct rk_err *err)
{
	struct rk_demo_check_in in = { .records = d->ledger.records, .n_records = rk_demo_ledger_n_noted(&d->ledger),
				       .n_words = d->ledger.head->n_words, .poisons = d->ledger.poisons,
				       .n_poisons = d->plan.n_poisons };
	struct rk_demo_letters letters;
	int r;

	d->finals = calloc(in.n_words, sizeof(*d->finals));
	if (!d->finals)
		return rk_err_set(err, -ENOMEM, "no memory for the final counts");
	r = rk_demo_finals_ask(d->fleet.name, &d->ledger, d->finals, err);
	if (r < 0)
		return r;
	in.finals = d->finals;
	r = rk_demo_fleet_letters(&d->fleet, rk_demo_poison_is, &letters);
	if (r < 0)
		return rk_err_set(err, r, "no memory for the dead letters");
	in.n_letters = letters.n_poison;
	in.n_innocent_letters = letters.n_others;
	r = rk_demo_check(&in, &ret->verdict);
	if (r < 0)
		return rk_err_set(err, r, "no memory for the checker");
	/* What was done between the last moment and now is not in jobs per second; the acknowledgements are the ledger's. */
	ret->moment = d->moment;
	ret->chaos = &d->chaos;
	ret->n_clients_failed = d->n_failed + d->poisoners.n_failed;
	ret->n_readers_failed = d->n_readers_failed;
	if (ret->verdict.has_worst)
		ret->worst_word = rk_demo_ledger_word(&d->ledger, ret->verdict.worst_word);
	return 0;
}

/* ---- keeping ---- */

/* This program as one would type it here. */
static const char *typed(const char *self, char *text, size_t size)
{
	char here[PATH_MAX];
	size_t len = getcwd(here, sizeof(here)) ? strlen(here) : 0;
	bool is_below = len > 1 && strncmp(self, here, len) == 0 && self[len] == '/';

	(void)snprintf(text, size, "%s", is_below ? self + len + 1 : self);
	return text;
}

/* Tells of every worker that has another process than before. */
static void tell_changes(struct demo *d, pid_t *pids)
{
	char death[96];

	rk_look_view(&d->fleet.look);
	for (uint32_t w = 0; w < d->plan.n_workers; w++) {
		const struct rk_view_slot *slot = rk_look_slot(&d->fleet.look, w);

		if (slot->state != RK_SLOT_READY || slot->pid == pids[w])
			continue;
		/* What ended it comes from keeper, a moment behind the successor. */
		if (pids[w] && slot->exit_code == -1 && d->fleet.look.now_ns - slot->died_ns < CAUSE_NS)
			continue;
		if (pids[w])
			(void)fprintf(stderr, "  slot %u: pid %d, after %s\n", w, slot->pid,
				      rk_snapshot_death(slot, NULL, d->fleet.look.now_ns, death,
							sizeof(death)));
		else
			(void)fprintf(stderr, "  slot %u: pid %d\n", w, slot->pid);
		pids[w] = slot->pid;
	}
}

/* Waits for what goes on by itself. */
static int keep_tick(struct demo *d)
{
	struct rk_err err;
	int r = tick(d, UINT64_MAX, &err);

	d->shown_ns = rk_clock_ns(); /* nothing more to show */
	return r;
}

static void keep(struct demo *d)
{
	pid_t pids[RK_DEMO_WORKERS_MAX] = { 0 };
	char self[PATH_MAX];
	int r = 0;

	d->ending = GOES_ON;
	while (r == 0 && d->ending == GOES_ON && !rk_demo_fleet_is_ready(&d->fleet))
		r = keep_tick(d); /* who was killed last may be on its way */
	(void)typed(d->programs.self, self, sizeof(self));
	(void)fprintf(stderr, "\nThe fleet goes on, until Ctrl-C. Kill a worker from another terminal, with "
		      "kill -9 and its pid:\n");
	tell_changes(d, pids);
	(void)fprintf(stderr, "and see what came of it here, or with: %s status --name %s\n", self,
		      d->fleet.name);
	while (r == 0 && d->ending == GOES_ON) {
		r = keep_tick(d);
		tell_changes(d, pids);
	}
	if (r < 0)
		(void)fprintf(stderr, "The fleet has ended.\n");
}

/* ---- beginning and end ---- */

static int read_text(struct rk_demo_text *t, const struct rk_args *a, struct rk_err *err)
{
	const char *path = rk_args_text(a, "text");
	int r = 0;

	if (!path && !a->n_rest)
		r = rk_demo_text_add_licences(t, err);
	if (path)
		r = rk_demo_text_add_file(t, path, err);
	for (int i = 0; i < a->n_rest && r == 0; i++)
		r = rk_demo_text_add_file(t, a->rest[i], err);
	if (r == 0 && !t->n_text)
		return rk_err_set(err, -EINVAL, "there is no word in the text: give demo another with --text PATH");
	return r;
}

static uint64_t n_records(const struct rk_demo_plan *plan, uint64_t n_text)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t most = memory / MEMORY_SHARE / sizeof(struct rk_demo_record);

	return plan->seconds ? rk_min_u64(most, plan->seconds * RECORDS_PER_S) : n_text;
}

static uint32_t n_partitions(uint32_t n_words)
{
	uint32_t n = PARTITIONS_MIN;

	while (n < RK_PARTITIONS_MAX && (uint64_t)n * WORDS_PER_PARTITION < n_words)
		n *= 2;
	return n;
}

static int begin(struct demo *d, const struct rk_args *a, struct rk_demo_text *text, struct rk_err *err)
{
	struct rk_demo_fleet_conf conf = { .n_workers = d->plan.n_workers,
					   .n_standbys = (uint32_t)rk_args_number(a, "standby", 0),
					   .n_clients = d->plan.n_clients,
					   .n_poisons = d->plan.n_poisons,
					   .batch = (uint32_t)rk_args_number(a, "batch", 0) };
	struct rk_demo_ledger_size size = { .n_places = d->plan.n_clients, .n_poisons = d->plan.n_poisons };
	int r = rk_demo_fleet_programs(&d->programs, err);

	/* Every worker would refuse it, again and again. */
	if (rk_fault_from_environment() < 0)
		return rk_err_set(err, -ENOTSUP,
				  "REKINDLE_BREAK, _FAULT or _DELAY is set, which only a build with fault points obeys, "
				  "or not understood");
	rk_demo_finals_disarm();
	if (r == 0)
		r = read_text(text, a, err);
	size.n_records = n_records(&d->plan, text->n_text);
	if (r == 0)
		r = rk_demo_ledger_create(&d->ledger, text, &size, err);
	if (r == 0)
		r = d->signals = rk_signals_open(err);
	if (r < 0)
		return r;
	conf.rekindled = d->programs.rekindled;
	conf.worker = d->programs.worker;
	conf.n_partitions = n_partitions(text->n_words);
	conf.n_slots = d->n_in_flight; /* no more than needed: cells are used again soon */
	if (!d->plan.json)
		(void)printf("counting words with %u worker%s and %u client%s; seed %llu\n", d->plan.n_workers,
			     rk_num_plural(d->plan.n_workers), d->plan.n_clients, rk_num_plural(d->plan.n_clients),
			     (unsigned long long)d->plan.seed);
	(void)fflush(stdout);
	return rk_demo_fleet_start(&d->fleet, &conf, err);
}

static void configure(struct demo *d, const struct rk_args *a)
{
	static const struct {
		const char *option;
		uint32_t otherwise;
	} rates[RK_DEMO_DEEDS] = {
		[RK_DEMO_KILL_WORKER] = { "kill-workers", 5 },
		[RK_DEMO_KILL_CLIENT] = { "kill-clients", 2 },
		[RK_DEMO_STOP_WORKER] = { "stop-workers", 2 },
		[RK_DEMO_STOP_CLIENT] = { "stop-clients", 1 },
		[RK_DEMO_KILL_READER] = { "kill-readers", 0 },
		[RK_DEMO_STOP_READER] = { "kill-readers", 0 },
		[RK_DEMO_KILL_STANDBY] = { "kill-standbys", 0 },
		[RK_DEMO_KILL_SUPERVISOR] = { "kill-supervisor", 0 },
	};
	bool own_text = rk_args_text(a, "text") || a->n_rest;

	d->plan = (struct rk_demo_plan){
		.n_workers = (uint32_t)rk_args_number(a, "workers", 4),
		.n_clients = (uint32_t)rk_args_number(a, "clients", 4),
		.seconds = rk_args_number(a, "seconds", own_text ? 0 : SECONDS_DEFAULT),
		.seed = rk_args_number(a, "seed", rk_clock_wall_ns() % 1000000000),
		.n_poisons = (uint32_t)rk_args_number(a, "poison", 0),
		.n_hogs = (uint32_t)rk_args_number(a, "hogs", 0),
		.json = rk_args_json(a),
	};
	d->n_in_flight = (uint32_t)rk_args_number(a, "in-flight", 8);
	d->timeout_ms = (uint32_t)(rk_args_number(a, "timeout", 50 * RK_NS_PER_MS) / RK_NS_PER_MS);
	d->n_readers = rk_args_number(a, "kill-readers", 0) ? RK_DEMO_READERS : 0;
	d->chaos = (struct rk_demo_chaos){ .fleet = &d->fleet, .reign = RK_DEMO_REIGN_NONE, .clients = { .child = d->clients, .n = d->plan.n_clients },
					   .readers = { .child = d->readers, .n = d->n_readers },
					   .conf = { .seed = d->plan.seed, .timeout_ms = d->timeout_ms,
						     .all_named = rk_args_flag(a, "named") } };
	for (int i = 0; i < RK_DEMO_DEEDS; i++)
		d->chaos.conf.per_s[i] = (uint32_t)rk_args_number(a, rates[i].option, rates[i].otherwise);
	rk_demo_show_init(&d->show, &d->plan);
}

static int all(struct demo *d, const struct rk_args *a, struct rk_demo_text *text, bool *ret_good, struct rk_err *err)
{
	struct rk_demo_result result = { 0 };
	const char *counts = rk_args_text(a, "counts");
	int r = begin(d, a, text, err);

	if (r == 0)
		r = run(d, err);
	if (r == 0)
		r = settle(d, err);
	if (r == 0 && d->ending == ABORTED)
		return rk_err_set(err, -EINTR, "interrupted: no verdict");
	if (r == 0)
		r = judge(d, &result, err);
	if (r < 0)
		return r;
	result.n_left_out = text->n_left_out;
	rk_demo_show_result(&d->show, &result);
	*ret_good = rk_demo_result_is_good(&result);
	if (counts)
		r = rk_demo_finals_write(&d->ledger, d->finals, counts, err);
	if (r == 0 && rk_args_flag(a, "keep"))
		keep(d);
	return r;
}

static void end(struct demo *d)
{
	if (d->fleet.is_open)
		rk_demo_chaos_end(&d->chaos);
	for (uint32_t k = 0; k < RK_DEMO_CLIENTS_MAX; k++)
		rk_demo_child_end(&d->clients[k], 0);
	for (uint32_t k = 0; k < RK_DEMO_READERS; k++)
		rk_demo_child_end(&d->readers[k], 0);
	rk_demo_poison_end(&d->poisoners);
	rk_demo_hog_end(d->hogs, RK_DEMO_HOGS_MAX);
	rk_demo_fleet_end(&d->fleet);
	rk_demo_chaos_free(&d->chaos);
	rk_demo_ledger_close(&d->ledger);
	rk_close_p(&d->signals);
	free(d->finals);
}

int rk_cli_demo(int argc, char **argv)
{
	rk_cleanup(rk_demo_text_free_p) struct rk_demo_text text = { 0 };
	struct demo d = { .fleet = RK_DEMO_FLEET_NONE, .ledger.fd = -1, .signals = -1, .chaos.reign = RK_DEMO_REIGN_NONE };
	struct rk_err err = { 0 };
	struct rk_args args;
	bool good = false;
	int r, status;

	if (argc > 1 && strcmp(argv[1], RK_DEMO_CLIENT_ARGUMENT) == 0)
		return rk_demo_client_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], RK_DEMO_READER_ARGUMENT) == 0)
		return rk_demo_reader_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], RK_DEMO_POISON_ARGUMENT) == 0)
		return rk_demo_poison_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], RK_DEMO_HOG_ARGUMENT) == 0)
		rk_demo_hog_main();
	if (argc > 1 && strcmp(argv[1], RK_DEMO_FILTER_ARGUMENT) == 0)
		return rk_demo_filter_main(argc - 1, argv + 1);
	if (!rk_cli_begin(&args, argc, argv, &status))
		return status;
	if (rk_args_text(&args, "kind") && strcmp(rk_args_text(&args, "kind"), "lines") == 0)
		return rk_demo_lines(&args);
	configure(&d, &args);
	r = all(&d, &args, &text, &good, &err);
	status = r == 0 ? good ? RK_CLI_OK : RK_CLI_FAILED : rk_cli_complain(RK_CLI_FAILED, "%s", err.text);
	if (status != RK_CLI_OK && d.ending != ABORTED)
		rk_demo_fleet_print_log(&d.fleet);
	end(&d);
	return status;
}
