/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   A killed worker is replaced at least as soon as by the supervisors people use instead,
 *         many workers start as soon, and it costs no more although hangs are watched for.
 * Method  The same tiny worker under each that is installed, in one run, taking turns. It says
 *         itself when its main() began. Restarts: one worker each, all supervisors up together;
 *         a worker lives for LIFE_NS before it is killed, which no supervisor's default takes
 *         for a crash loop. Starts: from the command until the last of 200 is in main().
 *         Cost: what the supervisor's processes wake up, burn and hold while 200 workers sleep;
 *         rekindle's also while clients call them. The floor is the worker without a supervisor.
 *
 *	bench_peers             about three minutes with all peers
 *	bench_peers --short     tells only that it works
 */
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/cost.h"
#include "bench/peers/box.h"
#include "bench/peers/peer.h"
#include "bench/peers/roll.h"
#include "workers/lib/rekindle.h"

#define SUBJECTS_MAX 16u
#define WORKERS_MAX 200u
#define LIFE_NS (2100 * RK_NS_PER_MS)
#define SETTLE_NS (2 * RK_NS_PER_S)
#define PAUSE_NS (20 * RK_NS_PER_MS)
#define GIVE_UP_NS (15 * RK_NS_PER_S)
#define N_CLIENTS 2u
#define KEYS 4096u

/* How much is measured. */
struct measure {
	uint32_t n_kills, n_starts, n_workers, watch_s;
};

/* One supervisor with its workers. */
struct subject {
	const struct peer *peer;
	struct peer_place place;
	pid_t pid;
	uint64_t start_ns;
	struct roll_entry worker[WORKERS_MAX];
	double *took;
	uint32_t n_took;
	const char *out; /* why it takes part no more */
};

struct match {
	const struct box *box;
	struct measure m;
	char roll_path[PATH_MAX / 4], build[PATH_MAX / 4];
	int roll;
	uint32_t n_subjects; /* made so far: they are numbered */
	struct subject subject[SUBJECTS_MAX];
	double *floor;
};

/* ---- subjects ---- */

/* In a new folder, configured; not started. */
static void subject_make(struct match *t, struct subject *s, uint32_t n_workers)
{
	struct peer_place *p = &s->place;

	p->subject = ++t->n_subjects;
	p->n_workers = n_workers;
	p->roll = t->roll_path;
	p->cgroup = t->box->cgroup;
	(void)snprintf(p->dir, sizeof(p->dir), "%s/p%u", t->box->dir, p->subject);
	(void)snprintf(p->build, sizeof(p->build), "%s", t->build);
	(void)snprintf(p->worker, sizeof(p->worker), "%s/bench/peer_worker", t->build);
	s->out = s->peer->missing(s->peer, p);
	if (s->out)
		return;
	bench_need(mkdir(p->dir, 0700) == 0, "a folder for each peer");
	s->peer->lay(s->peer, p);
}

/* Starts it; false if not all its workers came. */
static bool subject_start(struct match *t, struct subject *s)
{
	s->start_ns = rk_clock_ns();
	s->pid = peer_start(s->peer, &s->place);
	for (uint32_t i = 0; i < s->place.n_workers; i++) {
		if (!roll_next(t->roll, s->start_ns + GIVE_UP_NS, &s->worker[i]))
			return false;
		bench_need(s->worker[i].subject == s->place.subject, "workers of one peer at a time");
	}
	return true;
}

static void subject_say_log(const struct subject *s)
{
	char path[PATH_MAX], text[1024];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/log", s->place.dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
		(void)!write(STDERR_FILENO, text, (size_t)n);
	if (fd >= 0)
		(void)close(fd);
}

/* Ends all that run. */
static void subjects_end(struct match *t, struct subject *s, uint32_t n)
{
	peer_end_all();
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t w = 0; w < s[i].place.n_workers; w++) {
			if (s[i].worker[w].fd > 0)
				(void)close(s[i].worker[w].fd);
			s[i].worker[w].fd = 0;
		}
		box_empty(s[i].place.dir);
		(void)rmdir(s[i].place.dir);
	}
	box_empty_cgroup(t->box->cgroup);
}

static void subject_drop(struct subject *s, const char *why)
{
	subject_say_log(s);
	s->out = why;
}

/* From nothing to main() without a supervisor. */
static double floor_ms(struct match *t)
{
	struct subject s = { .peer = &peer_bare };
	double took;

	subject_make(t, &s, 1);
	bench_need(subject_start(t, &s), "a worker that runs by itself");
	took = (double)(s.worker[0].main_ns - s.start_ns) / 1e6;
	bench_kill(s.pid);
	(void)close(s.worker[0].fd);
	box_empty(s.place.dir);
	(void)rmdir(s.place.dir);
	return took;
}

/* ---- printing ---- */

static int by_median(const void *a, const void *b)
{
	const struct subject *const *x = a, *const *y = b;
	double mx = (*x)->n_took ? bench_median((*x)->took, (*x)->n_took) : 1e9;
	double my = (*y)->n_took ? bench_median((*y)->took, (*y)->n_took) : 1e9;

	return (mx > my) - (mx < my);
}

/* The quickest first, and rekindle's rank; aims are rekindle's. */
static void print_ranked(struct match *t, const char *what, double aim, double aim_p99, double *floor)
{
	struct subject *order[SUBJECTS_MAX];
	char name[128];
	double rank = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < n_peers; i++)
		order[i] = &t->subject[i];
	qsort((void *)order, n_peers, sizeof(*order), by_median);
	for (uint32_t i = 0; i < n_peers; i++) {
		struct subject *s = order[i];
		bool is_ours = s == &t->subject[0];

		(void)snprintf(name, sizeof(name), "%s: %s", what, s->peer->name);
		if (s->out) {
			bench_skip("peers", name, s->out);
			continue;
		}
		n++;
		if (is_ours)
			rank = n;
		bench_print(&(struct bench_case){ .bench = "peers", .name = name, .unit = "ms", .n_runs = s->n_took,
						  .floor_what = floor ? "fork, exec and main() without a supervisor" : NULL,
						  .aim = is_ours ? aim : 0, .aim_p99 = is_ours ? aim_p99 : 0 },
			    s->took, floor);
	}
	(void)snprintf(name, sizeof(name), "%s: rank of rekindle among %u", what, n);
	bench_print(&(struct bench_case){ .bench = "peers", .name = name, .unit = "rank", .n_runs = 1 }, &rank, NULL);
}

static void print_one(const char *what, const char *who, const char *unit, double value, double aim, bool aim_zero)
{
	char name[128];

	(void)snprintf(name, sizeof(name), "%s: %s", what, who);
	bench_print(&(struct bench_case){ .bench = "peers", .name = name, .unit = unit, .n_runs = 1, .aim = aim,
					  .aim_zero = aim_zero }, &value, NULL);
}

static void subjects_fresh(struct match *t, uint32_t n_runs)
{
	for (uint32_t i = 0; i < n_peers; i++) {
		free(t->subject[i].took);
		t->subject[i] = (struct subject){ .peer = &peers[i], .took = calloc(n_runs, sizeof(double)) };
		bench_need(t->subject[i].took != NULL, "memory");
	}
	free(t->floor);
	t->floor = calloc(n_runs, sizeof(double));
	bench_need(t->floor != NULL, "memory");
}

/* ---- restarts ---- */

static void kill_once(struct match *t, struct subject *s)
{
	uint64_t now_ns = rk_clock_ns(), due_ns = s->worker[0].main_ns + LIFE_NS, kill_ns;
	struct roll_entry next;

	bench_nap(PAUSE_NS + (due_ns > now_ns ? due_ns - now_ns : 0));
	kill_ns = rk_clock_ns();
	bench_need(kill(s->worker[0].pid, SIGKILL) == 0, "a worker to kill");
	if (!roll_next(t->roll, kill_ns + GIVE_UP_NS, &next)) {
		subject_drop(s, "no replacement within 15 s");
		return;
	}
	bench_need(next.subject == s->place.subject, "workers that live until they are killed");
	(void)close(s->worker[0].fd);
	s->worker[0] = next;
	s->took[s->n_took++] = ((double)next.main_ns - (double)kill_ns) / 1e6;
}

static void measure_restarts(struct match *t)
{
	subjects_fresh(t, t->m.n_kills);
	for (uint32_t i = 0; i < n_peers; i++) {
		subject_make(t, &t->subject[i], 1);
		if (!t->subject[i].out && !subject_start(t, &t->subject[i]))
			subject_drop(&t->subject[i], "its worker did not start within 15 s");
	}
	for (uint32_t round = 0; round < t->m.n_kills; round++) {
		t->floor[round] = floor_ms(t);
		for (uint32_t i = 0; i < n_peers; i++)
			if (!t->subject[(i + round) % n_peers].out)
				kill_once(t, &t->subject[(i + round) % n_peers]);
	}
	subjects_end(t, t->subject, n_peers);
	print_ranked(t, "SIGKILL to replacement in main", 3, 15, t->floor);
}

/* ---- starts and what they cost ---- */

/* Sums over a supervisor's processes; its workers do not count. */
struct cost {
	const struct subject *of;
	double cpu_ms, guard_ms, pss_mib; /* guard_ms: of rekindle's thread that looks for hangs */
	uint64_t n_switches;
};

static void cost_add(pid_t pid, void *arg)
{
	struct cost *c = arg;

	for (uint32_t i = 0; i < c->of->place.n_workers; i++)
		if (c->of->worker[i].pid == pid)
			return;
	c->cpu_ms += bench_cpu_ms(pid, NULL);
	c->guard_ms += bench_cpu_ms(pid, "guard");
	c->pss_mib += bench_pss_mib(pid);
	c->n_switches += bench_switches(pid, NULL);
}

static struct cost cost_now(const struct subject *s)
{
	struct cost c = { .of = s };

	peer_tree(s->pid, cost_add, &c);
	return c;
}

/* CPU time over so many seconds, told as of 20 s; wakeups where they are asked for. */
static void watch(struct match *t, const struct subject *s, const char *what, bool is_idle)
{
	bool is_ours = s->peer == &peers[0];
	struct cost before = cost_now(s), after;
	double scale = 20.0 / t->m.watch_s;

	bench_nap(t->m.watch_s * RK_NS_PER_S);
	after = cost_now(s);
	if (is_idle)
		print_one("idle, wakeups of the supervisor", s->peer->name, "per s",
			  (double)(after.n_switches - before.n_switches) / t->m.watch_s, 0, is_ours);
	print_one(what, s->peer->name, "ms", (after.cpu_ms - before.cpu_ms) * scale, is_ours ? 20 : 0, false);
	if (!is_idle)
		print_one("of it, the guard", what, "ms", (after.guard_ms - before.guard_ms) * scale, 0, false);
	if (is_idle)
		print_one("idle, PSS of the supervisor", s->peer->name, "MiB", after.pss_mib, is_ours ? 6 : 0, false);
}

/* Calls with keys of all partitions; a pause after each. */
static _Noreturn void call_for_ever(uint64_t pause_ns, uint64_t seed)
{
	struct rk_client *c;
	struct rk_reply reply = { 0 };

	bench_need(rk_client_open(&c, PEER_FLEET, NULL) == 0, "a client's place");
	for (;;) {
		uint64_t key = bench_random(&seed) % KEYS;

		bench_need(rk_call(c, &(struct rk_request){ .key = (const char *)&key, .key_len = sizeof(key),
							    .body = "x", .len = 1 }, &reply) == RK_DONE,
			   "calls that are answered");
		if (pause_ns)
			bench_nap(pause_ns);
	}
}

static void watch_busy(struct match *t, const struct subject *s, const char *what, uint32_t n_clients, uint64_t pause_ns)
{
	pid_t client[N_CLIENTS];

	bench_need(setenv("REKINDLE_RUNTIME_DIR", s->place.dir, 1) == 0, "memory");
	for (uint32_t i = 0; i < n_clients; i++) {
		client[i] = bench_fork();
		if (client[i] == 0)
			call_for_ever(pause_ns, i + 1);
	}
	bench_nap(SETTLE_NS);
	watch(t, s, what, false);
	for (uint32_t i = 0; i < n_clients; i++)
		bench_kill(client[i]);
}

static void watch_all(struct match *t, const struct subject *s)
{
	bench_nap(SETTLE_NS);
	watch(t, s, "idle, CPU of the supervisor per 20 s", true);
	if (s->peer != &peers[0])
		return;
	watch_busy(t, s, "a call each ms, CPU of the supervisor per 20 s", 1, RK_NS_PER_MS);
	watch_busy(t, s, "two clients calling on, CPU of the supervisor per 20 s", N_CLIENTS, 0);
}

/* The last round's are watched before they end. */
static void start_once(struct match *t, struct subject *s, bool is_last)
{
	double last_ns = 0;

	if (s->out)
		return;
	subject_make(t, s, t->m.n_workers);
	if (s->out)
		return;
	if (!subject_start(t, s)) {
		subject_drop(s, "its workers did not start within 15 s");
	} else {
		for (uint32_t i = 0; i < t->m.n_workers; i++)
			if ((double)s->worker[i].main_ns > last_ns)
				last_ns = (double)s->worker[i].main_ns;
		s->took[s->n_took++] = (last_ns - (double)s->start_ns) / 1e6;
		if (is_last && !s->peer->is_fastest)
			watch_all(t, s);
	}
	subjects_end(t, s, 1);
}

static void measure_starts(struct match *t)
{
	char what[64];

	subjects_fresh(t, t->m.n_starts);
	for (uint32_t round = 0; round < t->m.n_starts; round++) {
		for (uint32_t i = 0; i < n_peers; i++)
			start_once(t, &t->subject[(i + round) % n_peers], round + 1 == t->m.n_starts);
	}
	(void)snprintf(what, sizeof(what), "start of %u workers", t->m.n_workers);
	print_ranked(t, what, 150, 0, NULL);
}

static int play(const struct box *box, void *arg)
{
	struct match *t = calloc(1, sizeof(*t));
	char self[PATH_MAX / 4] = "";

	bench_need(t != NULL, "memory");
	bench_need(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0, "its own path");
	(void)snprintf(t->build, sizeof(t->build), "%s", dirname(dirname(self)));
	t->box = box;
	t->m = *(struct measure *)arg;
	(void)snprintf(t->roll_path, sizeof(t->roll_path), "%s/roll", box->dir);
	t->roll = roll_open(t->roll_path);
	measure_restarts(t);
	measure_starts(t);
	return 0;
}

int main(int argc, char **argv)
{
	struct measure m = { .n_kills = bench_scale(20), .n_starts = bench_scale(3), .n_workers = WORKERS_MAX,
			     .watch_s = 5 };
	bool is_short = argc == 2 && strcmp(argv[1], "--short") == 0;

	if (argc > 1 && !is_short) {
		(void)fprintf(stderr, "usage: bench_peers [--short]\n");
		return 64;
	}
	if (is_short)
		m = (struct measure){ .n_kills = 2, .n_starts = 1, .n_workers = 5, .watch_s = 1 };
	return box_run(play, &m);
}
