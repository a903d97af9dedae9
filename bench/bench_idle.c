/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   200 parked workers, their supervisor and keeper do not wake up; none of the
 *         supervisor's threads does, the guard that watches the workers included.
 * Method  A real fleet; once every worker says PARKED, the context switches of
 *         all its threads are read from /proc, again 10 s later, and compared.
 *         The proportional set sizes of keeper and supervisor are information.
 */
#include "base/clock.h"
#include "bench/bench.h"
#include "bench/cost.h"
#include "bench/fleet.h"

#define N_WORKERS 200u
#define IDLE_S 10u
#define SETTLE_NS (2 * RK_NS_PER_S) /* what follows a start has to end first, and the guard to park */
#define GIVE_UP_NS (60 * RK_NS_PER_S)

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
	ret[KEEPER] = bench_switches(l->view->keeper_pid, NULL);
	ret[SUPERVISOR] = bench_switches(l->view->supervisor_pid, NULL);
	ret[GUARD] = bench_switches(l->view->supervisor_pid, "guard");
	ret[WORKERS] = 0;
	for (uint32_t worker = 0; worker < N_WORKERS; worker++)
		ret[WORKERS] += bench_switches(rk_look_slot(l, worker)->pid, NULL);
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
	struct bench_fleet fleet = { 0 };
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
		  bench_pss_mib(look.view->keeper_pid) + bench_pss_mib(look.view->supervisor_pid), false);
	rk_look_close_p(&look);
	bench_fleet_stop(&fleet);
	return 0;
}
