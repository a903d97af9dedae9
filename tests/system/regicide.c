/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills the supervisors of one keeper, or the keepers of one service, one after the other, for the shell tests.
 *
 *   regicide [-t supervisor|keeper|both] [-b BELL] KEEPER|GROUP SECONDS PER_S SEED
 *     SIGKILL so often per second: the pauses are drawn by the seed, from half the mean to one and a half.
 *     Who is not there at that moment is killed up to half a mean pause after he has come. One death in three waits for somebody to write
 *     to the fifo BELL, as he does right before he gives a command, and comes 0 to 20 ms behind that. One in six
 *     is the first of a row of up to four more, each 0 to 3 ms behind the moment when the next one exists, so in
 *     the middle of its adoption; these are beyond what was asked for. Ends earlier on SIGTERM.
 *     Three keepers of four may be what systemd has only just forked for it, the others run its program.
 *     Prints how many deaths there were, how many of those in a row and how many behind a command ("both" counts
 *     for one); ends with 1 if KEEPER ended meanwhile.
 *
 * KEEPER is a pid, which stays; GROUP the directory of a service's control group, whose keeper is that process
 * in the group itself which is a child of pid 1, and so is the next one that systemd starts.
 * A supervisor is that child of keeper's that leads a session (or has not left keeper's yet) and has the
 * link to keeper as its descriptor 3, or is not as far as having executed anything. A worker that is just
 * being made can be taken for it for some microseconds: then it is killed at its gate, as a worker may be.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/rand.h"

#define ROW_ONE_IN 6u
#define ROW_MAX 4u
#define ROW_GAP_NS (3 * RK_NS_PER_MS)
#define BELL_ONE_IN 3u
#define BELL_WAIT_MS 100
#define BELL_GAP_NS (20 * RK_NS_PER_MS)
#define SEEK_NS (5 * RK_NS_PER_S)
#define NOBODY ((struct prey){ { -1, -1 } })

enum target { SUPERVISOR, KEEPER, BOTH, TARGETS };
static const char *const target_names[TARGETS] = { "supervisor", "keeper", "both" };

/* Who is killed at once, by their pidfds; -1 where there is none. */
struct prey {
	int pidfd[2];
};

struct hunt {
	enum target target;
	pid_t keeper;      /* 0 = whoever it is in the group */
	const char *group; /* NULL = keeper is known */
	int bell;          /* -1 = none */
	bool takes_forked; /* the next one may be a keeper that is not executed yet */
	struct rk_rand random;
	uint64_t until_ns, n_killed, n_in_row, n_behind;
};

static volatile sig_atomic_t is_told;

static void on_term(int sig)
{
	(void)sig;
	is_told = 1;
}

/* Parent and session of a process; false if it is not there or has ended. */
static bool family_of(pid_t pid, pid_t *ret_parent, pid_t *ret_session)
{
	char path[48], text[512];
	const char *at;
	char state;
	FILE *f;
	size_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	at = strrchr(text, ')');
	return at && sscanf(at, ") %c %d %*d %d", &state, ret_parent, ret_session) == 3 && state != 'Z' && state != 'X';
}

static bool has_link(pid_t pid)
{
	char path[48], target[32];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/3", (int)pid);
	n = readlink(path, target, sizeof(target));
	return n > 7 && memcmp(target, "socket:", 7) == 0;
}

static bool is_supervisor(pid_t pid, pid_t keeper, pid_t keepers_session)
{
	pid_t parent, session;

	if (!family_of(pid, &parent, &session) || parent != keeper)
		return false;
	return session == keepers_session || (session == pid && has_link(pid));
}

/* The supervisor's pidfd, or -1. */
static int find(pid_t keeper)
{
	pid_t grandparent, session;
	char path[64];
	int pid, fd = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)keeper, (int)keeper);
	f = family_of(keeper, &grandparent, &session) ? fopen(path, "re") : NULL;
	while (f && fd < 0 && fscanf(f, "%d", &pid) == 1) {
		if (!is_supervisor(pid, keeper, session))
			continue;
		fd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (fd >= 0 && !is_supervisor(pid, keeper, session)) { /* of that process, not of a later one */
			(void)close(fd);
			fd = -1;
		}
	}
	if (f)
		(void)fclose(f);
	return fd;
}

/* Whether it runs keeper's program by now: what systemd has only forked is none yet, for some 50 ms. */
static bool is_keeper(pid_t pid)
{
	char path[48], name[16] = "";
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	(void)fgets(name, sizeof(name), f);
	(void)fclose(f);
	return strcmp(name, "rekindled\n") == 0;
}

/* The service's keeper, or 0; one that is only forked if those are taken as well. */
static pid_t keeper_of(const char *group, bool takes_forked)
{
	char path[256];
	pid_t parent, session, keeper = 0;
	int pid;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	f = fopen(path, "re");
	while (f && !keeper && fscanf(f, "%d", &pid) == 1)
		if (family_of(pid, &parent, &session) && parent == 1 && (takes_forked || is_keeper(pid)))
			keeper = pid;
	if (f)
		(void)fclose(f);
	return keeper;
}

/* Who is to die now; false if there is nobody. With "both", keeper alone while it has no supervisor. */
static bool find_prey(const struct hunt *h, struct prey *ret)
{
	pid_t keeper = h->keeper ? h->keeper : keeper_of(h->group, h->takes_forked);

	*ret = NOBODY;
	if (keeper && h->target != SUPERVISOR)
		ret->pidfd[0] = (int)syscall(SYS_pidfd_open, keeper, 0);
	if (keeper && h->target != KEEPER)
		ret->pidfd[1] = find(keeper);
	return ret->pidfd[0] >= 0 || ret->pidfd[1] >= 0;
}

static bool is_over(const struct hunt *h)
{
	return is_told || rk_clock_ns() >= h->until_ns || (h->keeper && kill(h->keeper, 0) < 0);
}

static void nap(uint64_t ns)
{
	const struct timespec t = { (time_t)(ns / RK_NS_PER_S), (long)(ns % RK_NS_PER_S) };

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* Kills them in an order that is drawn, and waits for their ends. */
static bool kill_them(struct hunt *h, struct prey *prey)
{
	size_t first = rk_rand_below(&h->random, 2);
	bool is_hit = false;

	for (size_t i = 0; i < 2; i++) {
		int fd = prey->pidfd[first ^ i];

		is_hit |= fd >= 0 && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
	}
	for (size_t i = 0; i < 2; i++) {
		struct pollfd p = { .fd = prey->pidfd[i], .events = POLLIN };

		if (p.fd < 0)
			continue;
		(void)poll(&p, 1, 1000);
		(void)close(p.fd);
	}
	return is_hit;
}

/* The next ones as soon as they exist; false when there will be none, or we shall end. */
static bool await(const struct hunt *h, struct prey *ret)
{
	uint64_t seek_ns = rk_clock_ns() + SEEK_NS;

	while (!find_prey(h, ret)) {
		if (is_over(h) || rk_clock_ns() > seek_ns)
			return false;
		nap(50 * RK_NS_PER_US);
	}
	return true;
}

/* So many, each in the middle of its adoption. */
static void kill_row(struct hunt *h, uint64_t n)
{
	struct prey prey;

	for (; n > 0 && await(h, &prey); n--) {
		bool is_hit;

		nap(rk_rand_below(&h->random, ROW_GAP_NS));
		is_hit = kill_them(h, &prey);
		h->n_killed += is_hit;
		h->n_in_row += is_hit;
	}
}

/* Whether somebody has rung since. */
static bool has_rung(int bell)
{
	char bytes[256];

	return bell >= 0 && read(bell, bytes, sizeof(bytes)) > 0;
}

/* Until that moment, or a signal. */
static void wait_until(uint64_t next_ns)
{
	uint64_t now_ns;

	while (!is_told && (now_ns = rk_clock_ns()) < next_ns)
		nap(next_ns - now_ns);
}

/* Until somebody has rung, or it takes too long, and somewhat longer. Returns whether it was rung. */
static bool wait_for_command(struct hunt *h)
{
	struct pollfd p = { .fd = h->bell, .events = POLLIN };

	while (has_rung(h->bell))
		; /* what is past is past */
	if (poll(&p, 1, BELL_WAIT_MS) != 1)
		return false;
	nap(rk_rand_below(&h->random, BELL_GAP_NS));
	return true;
}

/*
 * Who is there; or else the next one, some time after he has come: were he killed at once, keeper's pauses between
 * supervisors that are never ready would let none of them live.
 */
static bool find_now_or_later(struct hunt *h, struct prey *ret, uint64_t mean_ns)
{
	if (find_prey(h, ret))
		return true;
	if (!await(h, ret))
		return false;
	nap(rk_rand_below(&h->random, mean_ns / 2));
	return true;
}

static void hunt(struct hunt *h, uint64_t mean_ns)
{
	uint64_t next_ns = rk_clock_ns();

	while (!is_over(h)) {
		uint64_t n_row = rk_rand_below(&h->random, ROW_ONE_IN) ? 0 : 1 + rk_rand_below(&h->random, ROW_MAX);
		struct prey prey;
		bool is_behind = h->bell >= 0 && rk_rand_below(&h->random, BELL_ONE_IN) == 0, is_hit;

		h->takes_forked = rk_rand_below(&h->random, 4) > 0;
		next_ns = rk_max_u64(next_ns, rk_clock_ns() - mean_ns) + mean_ns / 2 + rk_rand_below(&h->random, mean_ns);
		wait_until(next_ns);
		is_behind = is_behind && wait_for_command(h);
		if (is_told || !find_now_or_later(h, &prey, mean_ns))
			continue;
		is_hit = kill_them(h, &prey);
		h->n_killed += is_hit;
		h->n_behind += is_hit && is_behind;
		kill_row(h, n_row);
	}
}

static bool read_options(struct hunt *h, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "t:b:")) != -1) {
		if (c == 'b') {
			h->bell = open(optarg, O_RDWR | O_NONBLOCK | O_CLOEXEC); /* writing too: it never ends */
			if (h->bell < 0)
				return false;
			continue;
		}
		for (h->target = 0; h->target < TARGETS; h->target++)
			if (c == 't' && strcmp(optarg, target_names[h->target]) == 0)
				break;
		if (h->target == TARGETS)
			return false;
	}
	return argc - optind == 4 && atof(argv[optind + 2]) > 0;
}

int main(int argc, char **argv)
{
	struct hunt h = { .bell = -1 };

	if (!read_options(&h, argc, argv))
		return 64;
	argv += optind;
	h.keeper = atoi(argv[0]);
	h.group = argv[0];
	h.until_ns = rk_clock_ns() + (uint64_t)(atof(argv[1]) * (double)RK_NS_PER_S);
	h.random = rk_rand_init(strtoull(argv[3], NULL, 10));
	(void)signal(SIGTERM, on_term);
	hunt(&h, (uint64_t)((double)RK_NS_PER_S / atof(argv[2])));
	(void)printf("%llu %llu %llu\n", (unsigned long long)h.n_killed, (unsigned long long)h.n_in_row,
		     (unsigned long long)h.n_behind);
	return h.keeper && kill(h.keeper, 0) < 0 ? 1 : 0;
}
