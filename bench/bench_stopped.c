/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   A stopped worker is found within 100 ms in the 99th percentile: on an idle machine, and
 *         with the real-time watch thread also among 64 processes that burn CPU. None is killed.
 * Method  A real fleet of one worker that reports (OnPaused=report). The worker is told to stop at
 *         a random moment and at once given a job (one that is parked without work is not looked
 *         for); found is when the supervisor published the view that says so. It goes on, does
 *         the job and is ready again before the next. Among hogs a worker does not stop before
 *         it gets a CPU, so the time from then on is told as well. Among hogs twice, the plain
 *         watch thread for comparison. The bench has real-time priority, where it may.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* When the process has stopped: letter T behind its name. */
static uint64_t await_stop(pid_t pid)
{
	char path[64], text[512];
	uint64_t until_ns = rk_clock_ns() + GIVE_UP_NS;
	const char *end;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	bench_need(fd >= 0, "the worker's /proc/PID/stat");
	do {
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

		text[n > 0 ? n : 0] = '\0';
		end = strrchr(text, ')');
		bench_need(end && rk_clock_ns() < until_ns, "a worker that stops when it is told to");
		bench_nap(RK_NS_PER_MS / 5);
	} while (end[2] != 'T');
	(void)close(fd);
	return rk_clock_ns();
}

struct times {
	double *told, *stopped; /* ms from then until it was found */
};

static void stop_once(struct rk_look *l, struct rk_client *client, uint64_t *random, const struct times *took, uint32_t i)
{
	static const struct rk_request job = { .key = "key", .body = "x", .len = 1 };
	uint64_t told_ns, stopped_ns, found_ns, n_failed;
	pid_t pid;

	(void)await_state(l, RK_SLOT_READY);
	bench_nap(BETWEEN_NS + bench_random(random) % BETWEEN_NS);
	pid = rk_look_slot(l, 0)->pid;
	told_ns = rk_clock_ns();
	bench_need(kill(pid, SIGSTOP) == 0 && rk_submit(client, &job) == 0, "a worker to stop, and a job for it");
	stopped_ns = await_stop(pid);
	found_ns = await_state(l, RK_SLOT_PAUSED);
	(void)kill(pid, SIGCONT);
	bench_need(rk_flush(client, GIVE_UP_NS / RK_NS_PER_MS, &n_failed) == 0, "a worker that goes on");
	took->told[i] = (double)(found_ns - told_ns) / 1e6;
	took->stopped[i] = found_ns > stopped_ns ? (double)(found_ns - stopped_ns) / 1e6 : 0;
}

/* For this process alone, not for its children. */
static void realtime_take(void)
{
	const struct sched_param priority = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority) < 0)
		(void)fputs("bench_stopped: no real-time priority: what the bench sees late counts as found late\n", stderr);
}

static void measure(const struct scene *s)
{
	const char *const options[] = { "--workers=1", "--partitions=1", "--on-paused=report", "--set", s->real_time, NULL };
	static const char *const worker[] = { NULL };
	uint32_t n = bench_scale(N_STOPS);
	struct bench_case c = { .bench = "stopped", .name = s->name, .unit = "ms", .n_runs = n, .aim_p99 = s->aim_p99 };
	struct times took = { .told = calloc(n, sizeof(double)), .stopped = calloc(n, sizeof(double)) };
	uint64_t random = 1;
	double n_killed;
	struct bench_fleet fleet = { 0 };
	struct rk_client *client;
	pid_t hog[N_HOGS];
	struct rk_look look;

	bench_fleet_start(&fleet, options, worker);
	client = bench_fleet_client();
	bench_look_open(&look);
	if (s->has_hogs)
		hogs_start(hog);
	for (uint32_t i = 0; i < n; i++)
		stop_once(&look, client, &random, &took, i);
	if (s->has_hogs)
		hogs_stop(hog);
	n_killed = (double)rk_look_slot(&look, 0)->restarts;
	bench_print(&c, took.told, NULL);
	c.name = "of it: since it had stopped";
	bench_print(&c, took.stopped, NULL);
	bench_print(&(struct bench_case){ .bench = "stopped", .name = "of them killed", .unit = "workers", .n_runs = 1, .aim_zero = true },
		    &n_killed, NULL);
	rk_client_close(client);
	rk_look_close_p(&look);
	bench_fleet_stop(&fleet);
	free(took.told);
	free(took.stopped);
}

int main(void)
{
	static const struct scene scenes[] = {
		{ "SIGSTOP to found, idle machine", "RealTime=no", false, 100 },
		{ "the same among 64 hogs, real-time watch", "RealTime=yes", true, 100 },
		{ "the same among 64 hogs, plain watch", "RealTime=no", true, 0 },
	};

	realtime_take();
	for (uint32_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++)
		measure(&scenes[i]);
	return 0;
}
