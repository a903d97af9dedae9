/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under systemd, for bench_keeper.sh:
 *
 *   keeper_kills serve SOCKET
 *     tells its pid to whoever connects: the least that a service can be
 *   keeper_kills measure FLEET SOCKET
 *     SIGKILLs FLEET's keeper, and in turn that least service: prints how long it is until the
 *     fleet's next supervisor answers a ping, beside how long until the next service tells its pid
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/succession.h"

#define N_KILLS 50u
#define PAUSE_NS (100 * RK_NS_PER_MS) /* what follows on a start is over */
#define LOOK_NS (100 * RK_NS_PER_US)

static int socket_at(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	bench_need(strlen(path) < sizeof(ret->sun_path), "a shorter path");
	strcpy(ret->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static _Noreturn void serve(const char *path)
{
	struct sockaddr_un at;
	int fd = socket_at(path, &at);
	pid_t pid = getpid();

	(void)unlink(path);
	bench_need(bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 8) == 0, path);
	for (;;) {
		int one = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (one >= 0 && write(one, &pid, sizeof(pid)) < 0)
			perror("write");
		(void)close(one);
	}
}

/* 0: nobody is there. */
static pid_t served_by(const char *path)
{
	struct sockaddr_un at;
	int fd = socket_at(path, &at);
	pid_t pid = 0;

	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || read(fd, &pid, sizeof(pid)) != sizeof(pid))
		pid = 0;
	(void)close(fd);
	return pid;
}

static double kill_service(const char *path)
{
	pid_t old = served_by(path), now;
	uint64_t start_ns = rk_clock_ns();

	bench_need(old > 0 && kill(old, SIGKILL) == 0, "a service to kill");
	while ((now = served_by(path)) == 0 || now == old)
		bench_nap(LOOK_NS);
	return (double)(rk_clock_ns() - start_ns) / RK_NS_PER_MS;
}

static double kill_keeper(const char *fleet)
{
	pid_t old = succession_pid(fleet, "keeper_pid");
	uint64_t start_ns = rk_clock_ns();

	bench_need(kill(old, SIGKILL) == 0, "a keeper to kill");
	while (succession_pid(fleet, "keeper_pid") == old)
		;
	return (double)(rk_clock_ns() - start_ns) / RK_NS_PER_MS;
}

static void measure(const char *fleet, const char *path)
{
	uint32_t n = bench_scale(N_KILLS);
	double *took = calloc(n, sizeof(*took)), *floor = calloc(n, sizeof(*floor));

	bench_need(took && floor, "memory");
	for (uint32_t i = 0; i < n; i++) {
		floor[i] = kill_service(path);
		bench_nap(PAUSE_NS);
		took[i] = kill_keeper(fleet);
		bench_nap(PAUSE_NS);
	}
	bench_print(&(struct bench_case){ .bench = "keeper", .name = "without a keeper, systemd restarts it", .unit = "ms",
					  .n_runs = n, .floor_what = "the least service in the same unit", .aim = 40 }, took, floor);
	free(took);
	free(floor);
}

int main(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve(argv[2]);
	bench_need(argc == 4 && strcmp(argv[1], "measure") == 0, "the arguments of its head");
	measure(argv[2], argv[3]);
	return 0;
}
