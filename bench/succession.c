/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/succession.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/fleet.h"
#include "workers/lib/connect.h"

#define N_RUNS 50u
#define N_BLOCKS 10u
#define BLOCK_NS RK_NS_PER_S
#define APART_NS (100 * RK_NS_PER_MS)
#define CALLS_MAX 4000000u /* in a block */

/* ---- one succession ---- */

struct json_object *succession_ask(const char *fleet, const char *request)
{
	struct json_object *answer = NULL;
	struct rk_fds fds = { 0 };
	int sock = rk_connect_at_once(fleet);

	if (sock < 0)
		return NULL;
	if (rk_connect_ask(sock, request, SUCCESSION_GIVE_UP_MS, &answer, &fds, NULL) < 0)
		answer = NULL;
	rk_fds_close_p(&fds);
	(void)close(sock);
	return answer;
}

pid_t succession_pid(const char *fleet, const char *whose)
{
	uint64_t until_ns = rk_clock_ns() + SUCCESSION_GIVE_UP_MS * RK_NS_PER_MS;
	struct json_object *answer;
	int64_t pid;

	while (!(answer = succession_ask(fleet, "{\"verb\":\"ping\"}")))
		bench_need(rk_clock_ns() < until_ns, "a supervisor");
	pid = rk_connect_int(answer, whose);
	json_object_put(answer);
	return (pid_t)pid;
}

pid_t succession_supervisor(void)
{
	return succession_pid(BENCH_FLEET_NAME, "supervisor_pid");
}

/* Returns how long nobody supervised, in ms. */
static double succeed(const struct succession *s)
{
	pid_t old = succession_supervisor();
	uint64_t start_ns = s->begin(s, old);

	while (succession_supervisor() == old)
		;
	return (double)(rk_clock_ns() - start_ns) / RK_NS_PER_MS;
}

/* ---- what it takes anyway ---- */

static double exec_ms(const char *path)
{
	uint64_t start_ns = rk_clock_ns();
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
		(void)execl(path, "rekindled", "--version", (char *)NULL);
		_exit(1);
	}
	bench_need(waitpid(pid, &status, 0) == pid && status == 0, "rekindled");
	return (double)(rk_clock_ns() - start_ns) / RK_NS_PER_MS;
}

static void without_supervisor(const struct succession *s, const char *n_workers)
{
	uint32_t n = bench_scale(N_RUNS);
	double *took = calloc(n, sizeof(*took)), *floor = calloc(n, sizeof(*floor));
	char name[96];

	bench_need(took && floor, "memory");
	for (uint32_t i = 0; i < n; i++) {
		floor[i] = exec_ms(s->path);
		took[i] = succeed(s);
	}
	(void)snprintf(name, sizeof(name), "without a supervisor, %s workers", n_workers);
	bench_print(&(struct bench_case){ .bench = s->bench, .name = name, .unit = "ms", .n_runs = n,
					  .floor_what = "exec of rekindled, until it ends", .aim = 5 }, took, floor);
	free(took);
	free(floor);
}

/* ---- calls beside it ---- */

struct calls {
	struct rk_client *client;
	double *took;
	uint64_t n_calls, n_failed;
};

/* Ten a second for as long as a block takes, in a process of its own. */
static pid_t successions_begin(const struct succession *s)
{
	pid_t pid = bench_fork();

	if (pid > 0)
		return pid;
	for (uint64_t i = 0; i < BLOCK_NS / APART_NS; i++) {
		uint64_t start_ns = rk_clock_ns(), took_ns;

		(void)succeed(s);
		took_ns = rk_clock_ns() - start_ns;
		if (took_ns < APART_NS)
			bench_nap(APART_NS - took_ns);
	}
	_exit(0);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The 99th percentile of a block's calls, in us. */
static double block(struct calls *c)
{
	static const struct rk_request request = { .key = "key", .key_len = 3, .body = "x", .len = 1, .timeout_ms = 5000 };
	uint64_t until_ns = rk_clock_ns() + BLOCK_NS, now_ns = rk_clock_ns();
	uint32_t n = 0;

	while (now_ns < until_ns && n < CALLS_MAX) {
		struct rk_reply reply = { 0 };
		uint64_t start_ns = now_ns;

		c->n_failed += rk_call(c->client, &request, &reply) != RK_DONE;
		rk_reply_release(c->client, &reply);
		now_ns = rk_clock_ns();
		c->took[n++] = (double)(now_ns - start_ns) / RK_NS_PER_US;
	}
	c->n_calls += n;
	qsort(c->took, n, sizeof(*c->took), compare);
	return c->took[(uint64_t)(n - 1) * 99 / 100];
}

static void calls_beside(const struct succession *s, const char *n_workers)
{
	struct calls c = { .client = bench_fleet_client(), .took = calloc(CALLS_MAX, sizeof(*c.took)) };
	uint32_t n = bench_scale(N_BLOCKS);
	double *with = calloc(n, sizeof(*with)), *without = calloc(n, sizeof(*without)), n_failed;
	char what[96], name[96];

	bench_need(c.took && with && without, "memory");
	(void)block(&c); /* warm */
	for (uint32_t i = 0; i < n; i++) {
		pid_t pid;
		int status;

		without[i] = block(&c);
		pid = successions_begin(s);
		with[i] = block(&c);
		bench_need(waitpid(pid, &status, 0) == pid && status == 0, s->events);
	}
	(void)snprintf(name, sizeof(name), "p99 of calls, ten %s a second, %s workers", s->events, n_workers);
	(void)snprintf(what, sizeof(what), "the same without, in turn; %llu calls", (unsigned long long)c.n_calls);
	bench_print(&(struct bench_case){ .bench = s->bench, .name = name, .unit = "us", .floor_what = what, .n_runs = n,
					  .aim_ratio = 2 }, with, without);
	n_failed = (double)c.n_failed;
	(void)snprintf(name, sizeof(name), "calls failed, ten %s a second, %s workers", s->events, n_workers);
	bench_print(&(struct bench_case){ .bench = s->bench, .name = name, .unit = "calls", .n_runs = 1, .aim_zero = true },
		    &n_failed, NULL);
	rk_client_close(c.client);
	free(c.took);
	free(with);
	free(without);
}

void succession_measure(struct succession *s, const char *n_workers)
{
	static const char *const worker[] = { NULL };
	char workers[32];
	const char *const options[] = { workers, NULL };
	struct bench_fleet fleet = { .is_silent = true };
	struct json_object *answer;

	(void)snprintf(workers, sizeof(workers), "--workers=%s", n_workers);
	bench_fleet_start(&fleet, options, worker);
	answer = succession_ask(BENCH_FLEET_NAME, "{\"verb\":\"upgrade\",\"do\":\"ask\"}");
	bench_need(answer, "the fleet's rekindled");
	(void)snprintf(s->path, sizeof(s->path), "%s", rk_connect_text(answer, "path"));
	json_object_put(answer);
	without_supervisor(s, n_workers);
	calls_beside(s, n_workers);
	bench_fleet_stop(&fleet);
}
