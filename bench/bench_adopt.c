/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   From a supervisor's SIGKILL to the first answer of the next one, which
 *         has adopted all that was there, it is at most 5 ms in the median, also
 *         with 200 workers. With ten such deaths a second the 99th percentile of
 *         a client's calls is at most twice that without, and no call fails.
 *         When a client is killed with the supervisor, what waits for the dead
 *         client's half-written requests waits as long as adoption takes.
 * Method  bench/succession.h; and a fleet of one partition with two clients that
 *         call without a pause. One of them is killed, alone and together with
 *         the supervisor in turn: the longest call that the other one had within
 *         a moment is how long the partition waited.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/fleet.h"
#include "bench/succession.h"

#define N_DEATHS 100u
#define MOMENT_NS (40 * RK_NS_PER_MS)

static uint64_t supervisor_kill(const struct succession *s, pid_t old)
{
	uint64_t now_ns = rk_clock_ns();

	(void)s;
	bench_need(kill(old, SIGKILL) == 0, "a supervisor to kill");
	return now_ns;
}

/* ---- a partition that waits ---- */

static const struct rk_request request = { .key = "key", .key_len = 3, .body = "x", .len = 1, .timeout_ms = 5000 };

static _Noreturn void call_for_ever(_Atomic uint64_t *n_calls)
{
	struct rk_client *c = bench_fleet_client();

	for (;; atomic_fetch_add_explicit(n_calls, 1, memory_order_relaxed)) {
		struct rk_reply reply = { 0 };

		(void)rk_call(c, &request, &reply);
		rk_reply_release(c, &reply);
	}
}

/* The longest call of a moment, in ms. */
static double longest(struct rk_client *c, uint64_t until_ns)
{
	uint64_t now_ns = rk_clock_ns(), longest_ns = 0;

	while (now_ns < until_ns) {
		uint64_t start_ns = now_ns;
		struct rk_reply reply = { 0 };

		bench_need(rk_call(c, &request, &reply) == RK_DONE, "a call that is answered");
		rk_reply_release(c, &reply);
		now_ns = rk_clock_ns();
		longest_ns = rk_max_u64(longest_ns, now_ns - start_ns);
	}
	return (double)longest_ns / RK_NS_PER_MS;
}

/* One client dies, and the supervisor too if it is named. */
static double waited(struct rk_client *c, _Atomic uint64_t *n_calls, pid_t supervisor)
{
	uint64_t before = atomic_load_explicit(n_calls, memory_order_relaxed);
	pid_t victim = bench_fork();
	double took;

	if (victim == 0)
		call_for_ever(n_calls);
	while (atomic_load_explicit(n_calls, memory_order_relaxed) < before + 1000)
		(void)longest(c, rk_clock_ns() + RK_NS_PER_MS);
	(void)kill(victim, SIGKILL);
	if (supervisor)
		(void)kill(supervisor, SIGKILL);
	took = longest(c, rk_clock_ns() + MOMENT_NS);
	bench_kill(victim); /* it is reaped */
	return took;
}

static void client_and_supervisor(void)
{
	static const char *const options[] = { "--workers=1", "--partitions=1", NULL }, *const worker[] = { NULL };
	struct bench_fleet fleet = { .is_silent = true };
	_Atomic uint64_t *n_calls = bench_shared(sizeof(*n_calls));
	uint32_t n = bench_scale(N_DEATHS);
	double *both = calloc(n, sizeof(*both)), *alone = calloc(n, sizeof(*alone));
	struct rk_client *c;

	bench_need(both && alone, "memory");
	bench_fleet_start(&fleet, options, worker);
	c = bench_fleet_client();
	for (uint32_t i = 0; i < n; i++) {
		alone[i] = waited(c, n_calls, 0);
		both[i] = waited(c, n_calls, succession_supervisor());
		(void)succession_supervisor();
	}
	bench_print(&(struct bench_case){ .bench = "adopt", .name = "longest call when supervisor and client die together",
					  .unit = "ms", .n_runs = n, .floor_what = "when the client dies alone" }, both, alone);
	rk_client_close(c);
	bench_fleet_stop(&fleet);
	free(both);
	free(alone);
}

int main(void)
{
	struct succession s = { .bench = "adopt", .events = "supervisor deaths", .begin = supervisor_kill };

	succession_measure(&s, "4");
	succession_measure(&s, "200");
	client_and_supervisor();
	return 0;
}
