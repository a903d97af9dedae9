/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define ARGS_MAX 32u
#define START_NS (10 * RK_NS_PER_S)

/* A program of this build, from where this one lies (build/bench). */
static void find_program(const char *name, char ret[static PATH_MAX])
{
	char self[PATH_MAX / 2];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	bench_need(n > 0, "its own path");
	self[n] = '\0';
	snprintf(ret, PATH_MAX, "%s/%s", dirname(self), name);
}

static void exec_fleet(const struct bench_fleet *f, const char *const *options, const char *const *worker_options)
{
	char daemon[PATH_MAX], worker[PATH_MAX];
	const char *argv[ARGS_MAX] = { daemon, "--name", BENCH_FLEET_NAME, "--quiet" };
	uint32_t n = 4;

	if (f->is_silent)
		(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
	find_program("../rekindled", daemon);
	find_program("echo_worker", worker);
	for (; *options && n < ARGS_MAX / 2; options++)
		argv[n++] = *options;
	argv[n++] = "--";
	if (f->command)
		worker_options = f->command;
	else
		argv[n++] = worker;
	for (; *worker_options && n < ARGS_MAX - 1; worker_options++)
		argv[n++] = *worker_options;
	(void)execv(daemon, (char *const *)(uintptr_t)argv); /* exec changes nothing of it */
	fprintf(stderr, "%s: %s\n", daemon, strerror(errno));
	_exit(1);
}

void bench_fleet_start(struct bench_fleet *f, const char *const *options, const char *const *worker_options)
{
	const char *tmp = getenv("TMPDIR");
	uint64_t until_ns = rk_clock_ns() + START_NS;
	struct rk_client *c = NULL;

	snprintf(f->dir, sizeof(f->dir), "%s/rekindle-bench-XXXXXX", tmp && strlen(tmp) < 30 ? tmp : "/tmp");
	bench_need(mkdtemp(f->dir) && setenv("REKINDLE_RUNTIME_DIR", f->dir, 1) == 0, "a runtime directory");
	f->keeper = bench_fork();
	if (f->keeper == 0)
		exec_fleet(f, options, worker_options);
	while (rk_client_open(&c, BENCH_FLEET_NAME, NULL) < 0) {
		if (rk_clock_ns() > until_ns || waitpid(f->keeper, NULL, WNOHANG) != 0)
			bench_need(false, rk_client_error());
		bench_nap(10 * RK_NS_PER_MS);
	}
	(void)bench_fleet_worker(c);
	rk_client_close(c);
}

void bench_fleet_stop(struct bench_fleet *f)
{
	(void)kill(f->keeper, SIGTERM);
	(void)waitpid(f->keeper, NULL, 0);
	(void)rmdir(f->dir);
}

struct rk_client *bench_fleet_client(void)
{
	struct rk_client *c;

	bench_need(rk_client_open(&c, BENCH_FLEET_NAME, NULL) == 0, "a client's place");
	return c;
}

void bench_look_open(struct rk_look *l)
{
	struct rk_err err = { 0 };

	if (rk_look_open(l, BENCH_FLEET_NAME, &err) < 0)
		(void)fprintf(stderr, "%s\n", err.text);
	bench_need(!err.code, "a look at the fleet");
}

pid_t bench_fleet_worker(struct rk_client *c)
{
	uint64_t until_ns = rk_clock_ns() + START_NS;
	uint32_t partition, worker;
	int pid = -1;

	while (rk_client_where(c, "key", 3, &partition, &worker, &pid) < 0 || pid <= 0) {
		bench_need(rk_clock_ns() < until_ns, "a worker");
		bench_nap(RK_NS_PER_MS);
	}
	return pid;
}
