/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   A stopped worker is found within 100 ms in the 99th percentile: on an idle machine, and
 *         with the real-time watch thread also among 64 processes that burn CPU. None is killed.
 * Method  A real fleet of one worker that reports (OnPaused=report), and a client that calls on.
 *         The worker is stopped at a random moment; found is when the supervisor published the view
 *         that says so. It goes on, and is ready again before the next. Among hogs twice, the plain
 *         watch thread for comparison.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/fleet.h"

#define N_STOPS 100u
#define N_HOGS 64u
#define GIVE_UP_NS (30 * RK_NS_PER_S)
#define BETWEEN_NS (20 * RK_NS_PER_MS) /* and up to as much again */

struct scene {
	const char *name;
	const char *real_time;
	bool has_hogs;
	double aim_p99; /* ms; 0: for comparison */
};

static _Noreturn void call_for_ever(void)
{
	struct rk_client *c = bench_fleet_client();
	struct rk_reply reply = { 0 };

	rk_client_spin(c, 0);
	for (;;)
		(void)rk_call(c, &(struct rk_request){ .key = "key", .body = "x", .len = 1, .timeout_ms = RK_TIMEOUT_NONE },
			      &reply);
}

static void hogs_start(pid_t hog[static N_HOGS])
{
	for (uint32_t i = 0; i < N_HOGS; i++) {
		hog[i] = bench_fork();
		if (hog[i] == 0)
			for (;;)
				__asm__ volatile("");
	}
}

static void hogs_stop(pid_t hog[static N_HOGS])
{
	for (uint32_t i = 0; i < N_HOGS; i++)
		bench_kill(hog[i]);
}

/* When the view was published that shows the worker so. */
static uint64_t await_state(struct rk_look *l, enum rk_slot_state state)
{
	uint64_t until_ns = rk_clock_ns() + GIVE_UP_NS;

	for (;;) {
		rk_look_view(l);
		if (rk_look_slot(l, 0)->state == state)
			return l->view->published_ns;
		bench_need(rk_clock_ns() < until_ns, "a worker that is seen stopped, and going on");
		bench_nap(RK_NS_PER_MS / 2);
	}
}

static double stop_once(struct rk_look *l, uint64_t *random)
{
	uint64_t start_ns, found_ns;
	pid_t pid;

	(void)await_state(l, RK_SLOT_READY);
	bench_nap(BETWEEN_NS + bench_random(random) % BETWEEN_NS);
	pid = rk_look_slot(l, 0)->pid;
	start_ns = rk_clock_ns();
	bench_need(kill(pid, SIGSTOP) == 0, "a worker to stop");
	found_ns = await_state(l, RK_SLOT_PAUSED);
	(void)kill(pid, SIGCONT);
	return (double)(found_ns - start_ns) / 1e6;
}

static void measure(const struct scene *s)
{
	const char *const options[] = { "--workers=1", "--partitions=1", "--on-paused=report", "--set", s->real_time, NULL };
	static const char *const worker[] = { NULL };
	uint32_t n = bench_scale(N_STOPS);
	struct bench_case c = { .bench = "stopped", .name = s->name, .unit = "ms", .n_runs = n, .aim_p99 = s->aim_p99 };
	double *took = calloc(n, sizeof(*took)), n_killed;
	uint64_t random = 1;
	struct bench_fleet fleet;
	pid_t client, hog[N_HOGS];
	struct rk_look look;

	bench_fleet_start(&fleet, options, worker);
	client = bench_fork();
	if (client == 0)
		call_for_ever();
	bench_look_open(&look);
	if (s->has_hogs)
		hogs_start(hog);
	for (uint32_t i = 0; i < n; i++)
		took[i] = stop_once(&look, &random);
	if (s->has_hogs)
		hogs_stop(hog);
	n_killed = (double)rk_look_slot(&look, 0)->restarts;
	bench_print(&c, took, NULL);
	bench_print(&(struct bench_case){ .bench = "stopped", .name = "of them killed", .unit = "workers", .n_runs = 1, .aim_zero = true },
		    &n_killed, NULL);
	bench_kill(client);
	rk_look_close_p(&look);
	bench_fleet_stop(&fleet);
	free(took);
}

int main(void)
{
	static const struct scene scenes[] = {
		{ "SIGSTOP to found, idle machine", "RealTime=no", false, 100 },
		{ "the same among 64 hogs, real-time watch", "RealTime=yes", true, 100 },
		{ "the same among 64 hogs, plain watch", "RealTime=no", true, 0 },
	};

	for (uint32_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++)
		measure(&scenes[i]);
	return 0;
}
