/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile worker: overwrites everything a worker may write with random words
 * (some of them plausible), takes the lease and gives it up, reports news that
 * are none, and ends in all sorts of ways. Its supervisor must not care.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "shm/beat.h"

/* In the order of REKINDLE_WORKER; a worker may write all but the board and the readers. */
enum { BOARD, BEATS, CALLS, QUEUES, PARTS, STATE, DEAD, NEWS, READERS, N_FDS, N_TARGETS = DEAD - BEATS + 1 };

struct target {
	_Atomic uint64_t *words;
	uint64_t n;
};

static struct target map(int fd)
{
	off_t len = lseek(fd, 0, SEEK_END);
	void *p = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		_exit(1);
	return (struct target){ p, (uint64_t)len / 8 };
}

/* Random, or small, or all ones, or what is there with one bit changed. */
static uint64_t nasty(struct rk_rand *r, uint64_t old)
{
	switch (rk_rand_below(r, 5)) {
	case 0:
		return rk_rand_u64(r);
	case 1:
		return rk_rand_below(r, 300);
	case 2:
		return UINT64_MAX;
	case 3:
		return old ^ 1ull << rk_rand_below(r, 64);
	default:
		return rk_rand_u64(r) >> rk_rand_below(r, 64);
	}
}

static void scribble(struct rk_rand *r, const struct target *targets, int n_targets, long n)
{
	while (n-- > 0) {
		const struct target *t = &targets[rk_rand_below(r, (uint64_t)n_targets)];
		/* Not the segments' heads, which everybody read before; mostly near the beginning, where the words are. */
		uint64_t i = 8 + rk_rand_below(r, rk_rand_below(r, 2) ? t->n - 8 : rk_min_u64(t->n - 8, 4096));

		atomic_store_explicit(&t->words[i], nasty(r, t->words[i]), memory_order_relaxed);
	}
}

/* For the test: a program that cannot find its targets does nothing, which any supervisor survives. */
static void leave_a_sign(void)
{
	const char *directory = getenv("REKINDLE_RUNTIME_DIR");
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/scribbled", directory ? directory : ".");
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)close(fd);
}

int main(void)
{
	const char *text = getenv("REKINDLE_WORKER");
	struct rk_rand r = rk_rand_init(rk_clock_ns() ^ (uint64_t)getpid() << 32);
	struct target targets[N_TARGETS];
	unsigned int worker;
	uint64_t one = 1;
	int fd[N_FDS], end = 0;

	if (!text || sscanf(text, "abi=2 worker=%u incarnation=%*u fds=%d:%d:%d:%d:%d:%d:%d:%d:%d%n", &worker, &fd[0],
			    &fd[1], &fd[2], &fd[3], &fd[4], &fd[5], &fd[6], &fd[7], &fd[8], &end) != 1 + N_FDS || text[end])
		return 64;
	for (int i = 0; i < N_TARGETS; i++)
		targets[i] = map(fd[BEATS + i]);
	if (rk_rand_below(&r, 2)) /* half of them hold their lease, for a while */
		(void)!rk_beat_take((struct rk_beat *)(void *)((char *)targets[0].words + RK_BEAT_SIZE * (1 + worker)), 1);
	for (uint64_t rounds = 10 + rk_rand_below(&r, 200); rounds-- > 0;) {
		scribble(&r, targets, N_TARGETS, 20000);
		if (write(fd[NEWS], &one, sizeof(one)) < 0 && errno != EAGAIN)
			return 65;
	}
	leave_a_sign();
	switch (rk_rand_below(&r, 4)) {
	case 0:
		return (int)rk_rand_below(&r, 256);
	case 1:
		abort();
	case 2:
		(void)execl("/bin/sleep", "sleep", "0.2", (char *)NULL); /* the lease dies, the process does not */
		return 1;
	default:
		(void)kill(getpid(), SIGKILL);
		return 1;
	}
}
