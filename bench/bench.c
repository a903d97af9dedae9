/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/part.h"

#define RUNS_MIN 4u

/* ---- measuring and printing ---- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(const double *sorted, uint32_t n, uint32_t percent)
{
	return sorted[(uint64_t)(n - 1) * percent / 100];
}

double bench_median(double *took, uint32_t n)
{
	qsort(took, n, sizeof(*took), compare);
	return percentile(took, n, 50);
}

static void print_number(const char *name, double value, bool known)
{
	if (known)
		printf(",\"%s\":%.5g", name, value);
	else
		printf(",\"%s\":null", name);
}

void bench_print(const struct bench_case *c, double *took, double *floor)
{
	double p50, p99, base = 0;

	p50 = bench_median(took, c->n_runs);
	p99 = percentile(took, c->n_runs, c->more ? 1 : 99); /* the worse end */
	if (floor)
		base = bench_median(floor, c->n_runs);
	printf("{\"bench\":\"%s\",\"case\":\"%s\",\"unit\":\"%s\"", c->bench, c->name, c->unit);
	print_number("p50", p50, true);
	print_number("p99", p99, true);
	printf(",\"runs\":%u", c->n_runs);
	print_number("floor", base, floor != NULL);
	printf(",\"floor_what\":\"%s\"", c->floor_what ? c->floor_what : "");
	print_number("ratio", c->more ? base / p50 : p50 / base, base > 0);
	print_number("aim", c->aim, c->aim > 0 || c->aim_zero);
	print_number("aim_p99", c->aim_p99, c->aim_p99 > 0);
	print_number("aim_ratio", c->aim_ratio, c->aim_ratio > 0);
	printf("}\n");
	(void)fflush(stdout);
}

void bench_skip(const char *bench, const char *name, const char *why)
{
	printf("{\"bench\":\"%s\",\"case\":\"%s\",\"skipped\":\"%s\"}\n", bench, name, why);
	(void)fflush(stdout);
}

void bench_case(const struct bench_case *c)
{
	uint32_t n_warmup = c->n_runs / 16 + 1;
	double *took = calloc(c->n_runs, sizeof(*took)), *floor = calloc(c->n_runs, sizeof(*floor));

	bench_need(took && floor, "memory");
	for (uint32_t i = 0; i < n_warmup + c->n_runs; i++) {
		uint32_t at = i < n_warmup ? 0 : i - n_warmup; /* warm-ups are overwritten */

		took[at] = c->run(c->arg);
		if (c->floor)
			floor[at] = c->floor(c->arg);
	}
	bench_print(c, took, c->floor ? floor : NULL);
	free(took);
	free(floor);
}

void bench_need(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "%s: this bench cannot go on without %s\n", program_invocation_short_name, what);
	exit(1);
}

uint32_t bench_scale(uint32_t n)
{
	const char *text = getenv("BENCH_SCALE");
	bool is_part = text && strncmp(text, "1/", 2) == 0;
	unsigned long scale = text ? strtoul(text + (is_part ? 2 : 0), NULL, 10) : 1;

	if (scale < 1 || scale > 100)
		return n;
	return is_part ? rk_max_u32(n / (uint32_t)scale, RUNS_MIN) : n * (uint32_t)scale;
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
	bench_need(sched_setaffinity(0, sizeof(set), &set) == 0, "a processor of its own");
}

pid_t bench_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	bench_need(pid >= 0, "a child process");
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

void bench_kill(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

void bench_nap(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / RK_NS_PER_S), (long)(ns % RK_NS_PER_S) };

	(void)nanosleep(&t, NULL);
}

uint64_t bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void *bench_shared(uint64_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	bench_need(p != MAP_FAILED, "memory");
	return p;
}

/* ---- a fleet's shared memory without a fleet ---- */

void bench_world_geometry(struct rk_geometry *g)
{
	rk_geometry_default(g);
	g->n_partitions = 1;
	g->n_clients = 2;
	g->n_slots = 64;
	g->n_cells = 96;
	g->n_dedup = 256;
	g->n_workers = 2;
}

void bench_world_make(struct bench_world *w, const struct rk_geometry *g)
{
	struct rk_err err;
	int incarnation;

	bench_need(rk_geometry_check(g, &err) == 0, "a geometry that fits");
	*w = (struct bench_world){ .m.g = *g };
	rk_layout_init(g, &w->m.l);
	w->m.board = bench_shared(w->m.l.board_len);
	w->m.beats = bench_shared(w->m.l.beats_len);
	w->m.calls = bench_shared(w->m.l.calls_len);
	w->m.queues = bench_shared(w->m.l.queues_len);
	w->m.parts = bench_shared(w->m.l.parts_len);
	w->bank = bench_shared(w->m.l.bank_stride);
	w->room = malloc(rk_owner_room(&w->m));
	bench_need(w->room != NULL, "memory");
	for (uint32_t p = 0; p < g->n_partitions; p++) {
		rk_queue_init(&w->m, p, 0);
		rk_part_init(&w->m, p, 0);
	}
	for (uint32_t page = 0; page < g->n_clients; page++) {
		rk_page_init(&w->m, page, 0);
		atomic_store_explicit(&rk_shm_client_ids(&w->m)[page], page + 1, memory_order_relaxed);
	}
	w->caller = (struct rk_caller){ .m = &w->m, .page = 0, .id = 1 };
	incarnation = rk_part_assign(&w->m, 0, 0);
	bench_need(incarnation > 0, "a partition");
	rk_part_route(&w->m, 0, 0, RK_ROUTE_UP);
	bench_need(rk_owner_open(&w->owner, &w->m, 0, 0, 0, w->bank, w->room) == 0, "an owner");
	w->owner.singles = 0; /* nothing was taken over */
}
