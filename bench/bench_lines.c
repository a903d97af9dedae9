/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim   a filter that runs as Kind=lines answers a line in at most twice the time that it takes over bare
 *         pipes, and with 64 lines in flight has at least half of its throughput; the bridge takes at most 4 MiB
 *         beside the memory of the fleet, which it has touched most of by then.
 * Method  the same filter, once as a child behind two pipes and once as the only worker of a real fleet, in turn:
 *         one line at a time, and 64 in flight, of which the time per line is told.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/cost.h"
#include "bench/fleet.h"

#define WINDOW 64u
#define LINES 4000u /* of one run in flight */

static const char line[] = "{\"user\":7,\"item\":\"apple\",\"count\":3}\n";
#define LINE_LEN (sizeof(line) - 1)

struct filter {
	const char *name;
	const char *const *command;
	/* over bare pipes */
	pid_t pid;
	int in, out;
	/* in a fleet */
	struct rk_client *client;
};

/* ---- over bare pipes ---- */

static void bare_start(struct filter *f)
{
	int in[2], out[2];

	bench_need(pipe(in) == 0 && pipe(out) == 0, "pipes");
	f->pid = bench_fork();
	if (f->pid == 0) {
		(void)dup2(in[0], STDIN_FILENO);
		(void)dup2(out[1], STDOUT_FILENO);
		(void)close_range(3, ~0u, 0);
		(void)execvp(f->command[0], (char *const *)(uintptr_t)f->command); /* exec changes nothing of it */
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	f->in = in[1];
	f->out = out[0];
}

static void bare_stop(struct filter *f)
{
	(void)close(f->in);
	(void)close(f->out);
	bench_kill(f->pid);
}

/* Newlines among what is to be read now. */
static uint32_t bare_read(const struct filter *f)
{
	char text[65536];
	ssize_t n = read(f->out, text, sizeof(text));
	uint32_t n_lines = 0;

	bench_need(n > 0, "a filter that answers");
	for (ssize_t i = 0; i < n; i++)
		n_lines += text[i] == '\n';
	return n_lines;
}

static void bare_write(const struct filter *f, uint32_t n)
{
	char text[WINDOW * LINE_LEN];

	for (uint32_t i = 0; i < n; i++)
		memcpy(text + i * LINE_LEN, line, LINE_LEN);
	bench_need(write(f->in, text, n * LINE_LEN) == (ssize_t)(n * LINE_LEN), "a filter that reads");
}

static double bare_trip(void *arg)
{
	struct filter *f = arg;
	uint64_t start_ns = rk_clock_ns();

	bare_write(f, 1);
	for (uint32_t n = 0; n == 0;)
		n = bare_read(f);
	return (double)(rk_clock_ns() - start_ns) / 1e3;
}

static double bare_flow(void *arg)
{
	struct filter *f = arg;
	uint64_t start_ns = rk_clock_ns();
	uint32_t n_sent = WINDOW, n_done = 0;

	bare_write(f, WINDOW);
	while (n_done < LINES) {
		uint32_t n = bare_read(f), more;

		n_done += n;
		more = n_sent + n > LINES ? LINES - n_sent : n;
		if (more)
			bare_write(f, more);
		n_sent += more;
	}
	return (double)(rk_clock_ns() - start_ns) / 1e3 / LINES;
}

/* ---- as a worker ---- */

static double fleet_trip(void *arg)
{
	struct filter *f = arg;
	struct rk_reply reply = { 0 };
	const struct rk_request request = { .key = "k", .body = line, .len = LINE_LEN - 1 };
	uint64_t start_ns = rk_clock_ns();

	bench_need(rk_call(f->client, &request, &reply) == RK_DONE && reply.len > 0, "a call that is answered");
	rk_reply_release(f->client, &reply);
	return (double)(rk_clock_ns() - start_ns) / 1e3;
}

static void send_one(struct filter *f, uint32_t i)
{
	char key[16];

	(void)snprintf(key, sizeof(key), "key%u", i % 512);
	bench_need(rk_call_async(f->client, &(struct rk_request){ .key = key, .body = line, .len = LINE_LEN - 1,
								  .timeout_ms = 60000 }) == 0, "a call that is sent");
}

static double fleet_flow(void *arg)
{
	struct filter *f = arg;
	struct rk_reply reply = { 0 };
	uint64_t start_ns = rk_clock_ns();
	uint32_t n_sent = 0;

	while (n_sent < WINDOW)
		send_one(f, n_sent++);
	for (uint32_t n_done = 0; n_done < LINES; n_done++) {
		bench_need(rk_next(f->client, 60000, &reply) == RK_DONE, "a call that is answered");
		rk_reply_release(f->client, &reply);
		if (n_sent < LINES)
			send_one(f, n_sent++);
	}
	return (double)(rk_clock_ns() - start_ns) / 1e3 / LINES;
}

/* ---- both ---- */

static void measure(struct filter *f)
{
	static const char *const options[] = { "--kind=lines", "--workers=1", "--slots=64", "--window=64", NULL };
	static const char *const none[] = { NULL };
	struct bench_fleet fleet = { .is_silent = true, .command = f->command };
	char name[64];
	double mib;

	bare_start(f);
	bench_fleet_start(&fleet, options, none);
	f->client = bench_fleet_client();
	(void)snprintf(name, sizeof(name), "%s, round trip", f->name);
	bench_case(&(struct bench_case){ .bench = "lines", .name = name, .unit = "us", .run = fleet_trip, .floor = bare_trip,
					 .floor_what = "bare pipes", .arg = f, .n_runs = bench_scale(4000), .aim_ratio = 2 });
	(void)snprintf(name, sizeof(name), "%s, 64 in flight, per line", f->name);
	bench_case(&(struct bench_case){ .bench = "lines", .name = name, .unit = "us", .run = fleet_flow, .floor = bare_flow,
					 .floor_what = "bare pipes", .arg = f, .n_runs = bench_scale(40), .aim_ratio = 2 });
	(void)snprintf(name, sizeof(name), "%s, PSS of the bridge, the fleet's memory aside", f->name);
	mib = bench_own_pss_mib(bench_fleet_worker(f->client));
	bench_print(&(struct bench_case){ .bench = "lines", .name = name, .unit = "MiB", .n_runs = 1, .aim = 4 }, &mib, NULL);
	rk_client_close(f->client);
	bench_fleet_stop(&fleet);
	bare_stop(f);
}

/* Whether there is such a program. */
static bool is_there(const char *program)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	return system(command) == 0;
}

int main(void)
{
	static const char *const jq[] = { "jq", "--unbuffered", "-c", ".", NULL };
	static const char *const mawk[] = { "mawk", "-W", "interactive", "{print}", NULL };
	struct filter filters[] = { { .name = "jq", .command = jq }, { .name = "mawk", .command = mawk } };

	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		if (is_there(filters[i].name))
			measure(&filters[i]);
		else
			bench_skip("lines", filters[i].name, "not installed");
	}
	return 0;
}
