/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   200 parked workers, their supervisor and keeper do not wake up; none of the
 *         supervisor's threads does, the guard that watches the workers included.
 * Method  A real fleet; once every worker says PARKED, the context switches of
 *         all its threads are read from /proc, again 10 s later, and compared.
 *         The proportional set sizes of keeper and supervisor are information.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/fleet.h"

#define N_WORKERS 200u
#define IDLE_S 10u
#define SETTLE_NS RK_NS_PER_S /* what follows a start has to end first */
#define GIVE_UP_NS (60 * RK_NS_PER_S)

/* Sum of the numbers behind lines that begin with this word. */
static uint64_t sum_lines(const char *path, const char *word)
{
	char line[256], *at;
	uint64_t sum = 0;
	FILE *f = fopen(path, "re");

	bench_need(f != NULL, "/proc of the fleet's processes");
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, word, strlen(word)) == 0 && (at = strchr(line, ':')))
			sum += strtoull(at + 1, NULL, 10);
	(void)fclose(f);
	return sum;
}

/* Whether the thread has this name; NULL fits all. */
static bool is_named(int pid, const char *tid, const char *name)
{
	char path[300], is[32] = "";
	FILE *f;

	if (!name)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", pid, tid);
	f = fopen(path, "re");
	bench_need(f != NULL, "/proc of the fleet's processes");
	(void)!fgets(is, sizeof(is), f);
	(void)fclose(f);
	is[strcspn(is, "\n")] = '\0';
	return strcmp(is, name) == 0;
}

/* Of the threads of this name; NULL: of all. */
static uint64_t switches(int pid, const char *name)
{
	char path[300];
	struct dirent *entry;
	uint64_t sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	bench_need(dir != NULL, "/proc of the fleet's processes");
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || !is_named(pid, entry->d_name, name))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, entry->d_name);
		sum += sum_lines(path, "voluntary_ctxt_switches") + sum_lines(path, "nonvoluntary_ctxt_switches");
	}
	(void)closedir(dir);
	return sum;
}

static double pss_mib(int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	return (double)sum_lines(path, "Pss:") / 1024;
}

static void await_parked(struct rk_look *l)
{
	uint64_t until_ns = rk_clock_ns() + GIVE_UP_NS;

	for (uint32_t worker = 0; worker < N_WORKERS;) {
		struct rk_beat *beat = rk_shm_beat(&l->m, worker);

		if (atomic_load_explicit(&beat->state, memory_order_acquire) == RK_BEAT_PARKED) {
			worker++;
			continue;
		}
		bench_need(rk_clock_ns() < until_ns, "workers that park");
		bench_nap(10 * RK_NS_PER_MS);
	}
	bench_nap(SETTLE_NS);
}

enum who { WORKERS, KEEPER, SUPERVISOR, GUARD, N_WHO };

static void count(struct rk_look *l, uint64_t ret[static N_WHO])
{
	rk_look_view(l);
	ret[KEEPER] = switches(l->view->keeper_pid, NULL);
	ret[SUPERVISOR] = switches(l->view->supervisor_pid, NULL);
	ret[GUARD] = switches(l->view->supervisor_pid, "guard");
	ret[WORKERS] = 0;
	for (uint32_t worker = 0; worker < N_WORKERS; worker++)
		ret[WORKERS] += switches(rk_look_slot(l, worker)->pid, NULL);
}

static void print_one(const char *name, const char *unit, double value, bool has_aim)
{
	bench_print(&(struct bench_case){ .bench = "idle", .name = name, .unit = unit, .n_runs = 1, .aim_zero = has_aim },
		    &value, NULL);
}

int main(void)
{
	static const char *const options[] = { "--workers=200", NULL };
	static const char *const worker[] = { NULL };
	static const char *const names[] = { "200 parked workers", "keeper", "supervisor, all threads",
					     "supervisor, its guard" };
	uint64_t before[N_WHO], after[N_WHO], start_ns = rk_clock_ns();
	struct bench_fleet fleet;
	struct rk_look look;

	bench_fleet_start(&fleet, options, worker);
	bench_look_open(&look);
	await_parked(&look);
	print_one("200 workers started and parked", "ms", (double)(rk_clock_ns() - start_ns - SETTLE_NS) / 1e6, false);
	count(&look, before);
	bench_nap(IDLE_S * RK_NS_PER_S);
	count(&look, after);
	for (int who = 0; who < N_WHO; who++)
		print_one(names[who], "wakeups/s", (double)(after[who] - before[who]) / IDLE_S, true);
	print_one("keeper and supervisor, PSS", "MiB",
		  pss_mib(look.view->keeper_pid) + pss_mib(look.view->supervisor_pid), false);
	rk_look_close_p(&look);
	bench_fleet_stop(&fleet);
	return 0;
}
