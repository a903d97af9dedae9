/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker of the system tests: does what a job's body says, so that a test
 * can put a fleet into any situation. Every partition counts in `n`.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "shm/fault.h"
#include "workers/lib/rekindle.h"

#define TAIL 8 /* words of fill that version 1 does not have */
#define UPGRADED 100 /* words of fill that an upgrade changes, apart from each other */

/* A block of the arena. */
struct kept {
	struct kept *next;
	uint64_t value;
	char more[];
};

struct state {
	uint64_t n;
	struct kept *kept;
	uint64_t fill[8000];
};

/* What the hooks are handed. */
struct hooks {
	unsigned long n_retries; /* of this process */
	int upgrade_result;
};

/* The loop form, for jobs that look at it. */
static struct {
	struct rk_worker *worker;
	unsigned long n_ticks;
} loop;

static int answer_count(struct rk_job *job, const struct state *s)
{
	char reply[24];

	return rk_reply(job, reply, (size_t)sprintf(reply, "%llu", (unsigned long long)s->n));
}

static int add(struct rk_job *job, struct state *s)
{
	rk_touch(job, &s->n, sizeof(s->n));
	s->n++;
	return answer_count(job, s);
}

static int big_reply(struct rk_job *job, size_t len)
{
	char *bytes = calloc(1, len + 1);
	int r = rk_reply(job, bytes, len);

	free(bytes);
	return r;
}

/* Stops while it says that it waits for somebody else, and again when that has ended. */
static int call_somebody(struct rk_job *job)
{
	rk_calling(job, 60000);
	(void)kill(getpid(), SIGSTOP);
	rk_calling(job, 0);
	for (int i = 0; i < 3; i++)
		rk_beat(job);
	(void)kill(getpid(), SIGSTOP);
	return 0;
}

/* A child of ours that ignores SIGTERM, and a child of its; both hold all that we hold, but not standard output. */
static int fork_family(struct rk_job *job, int death_signal)
{
	pid_t worker = getpid(), pids[2];
	int tell[2];

	if (pipe2(tell, O_CLOEXEC) < 0)
		return -errno;
	pids[0] = fork();
	if (pids[0] == 0) {
		(void)signal(SIGTERM, SIG_IGN);
		(void)close(STDOUT_FILENO);
		if (death_signal && (prctl(PR_SET_PDEATHSIG, death_signal) < 0 || getppid() != worker))
			_exit(1);
		pids[1] = death_signal ? getpid() : fork();
		if (pids[1] > 0 && write(tell[1], &pids[1], sizeof(pids[1])) < 0)
			_exit(1);
		for (;;)
			(void)pause();
	}
	if (pids[0] < 0 || read(tell[0], &pids[1], sizeof(pids[1])) != (ssize_t)sizeof(pids[1]))
		return -EIO;
	(void)close(tell[0]);
	(void)close(tell[1]);
	return rk_reply(job, pids, sizeof(pids));
}

static int answer(struct rk_job *job, unsigned long n)
{
	char reply[24];

	return rk_reply(job, reply, (size_t)sprintf(reply, "%lu", n));
}

/* Adds a block of this length to the list. */
static int keep(struct rk_job *job, struct state *s, size_t len)
{
	struct kept *k = rk_alloc(job, sizeof(*k) + len);

	if (!k)
		return -ENOSPC;
	k->value = s->n;
	k->next = s->kept;
	memset(k->more, 'x', len);
	rk_touch(job, &s->kept, sizeof(s->kept));
	s->kept = k;
	return answer(job, len);
}

/* Takes the last one away. */
static int drop(struct rk_job *job, struct state *s, bool twice)
{
	struct kept *k = s->kept;

	rk_touch(job, &s->kept, sizeof(s->kept));
	s->kept = k->next;
	rk_free(job, k);
	if (twice)
		rk_free(job, k);
	return answer(job, 0);
}

static int answer_kept(struct rk_job *job, const struct state *s)
{
	unsigned long sum = 0;

	for (const struct kept *k = s->kept; k; k = k->next)
		sum += k->value;
	return answer(job, sum);
}

/* How many words of fill an upgrade has changed, each once, the last one too. */
static int answer_upgraded(struct rk_job *job, const struct state *s)
{
	unsigned long n = 0;

	for (int i = 0; i < UPGRADED; i++)
		n += s->fill[i * 70] == (uint64_t)i + 7;
	return answer(job, n + s->fill[7999]);
}

static int work_until_cancelled(struct rk_job *job, struct state *s)
{
	(void)add(job, s);
	while (!rk_cancelled(job))
		rk_beat(job);
	return -ETIMEDOUT;
}

static int on_job(struct rk_job *job, void *state, void *arg)
{
	struct state *s = state;
	const char *body = job->body;
	unsigned long number = 0;

	if (strcmp(body, "add") == 0)
		return add(job, s);
	if (strcmp(body, "get") == 0)
		return answer_count(job, s);
	if (strcmp(body, "fail") == 0) { /* changes first, then refuses */
		(void)add(job, s);
		return -EDOM;
	}
	if (sscanf(body, "retry %lu", &number) == 1) { /* changes first; so many attempts of this process's */
		(void)add(job, s);
		return ((struct hooks *)arg)->n_retries++ < number ? RK_RETRY : 0;
	}
	if (strcmp(body, "stop") == 0) { /* is taken, and stays so until somebody continues us */
		(void)add(job, s);
		(void)kill(getpid(), SIGSTOP);
		return answer_count(job, s);
	}
	if (sscanf(body, "stop and sleep %lu", &number) == 1) {
		(void)add(job, s);
		(void)kill(getpid(), SIGSTOP);
		if (usleep((useconds_t)number * 1000) < 0)
			return -errno; /* a signal */
		return answer_count(job, s);
	}
	if (sscanf(body, "bulk %lu", &number) == 1) { /* changes so many bytes and stops */
		rk_touch(job, s->fill, number);
		memset(s->fill, 0xee, number);
		(void)kill(getpid(), SIGSTOP);
		return add(job, s);
	}
	if (strcmp(body, "calling") == 0)
		return call_somebody(job);
	if (strcmp(body, "fork") == 0)
		return fork_family(job, 0);
	if (strcmp(body, "fork, PDEATHSIG") == 0)
		return fork_family(job, SIGKILL);
	if (strcmp(body, "outside") == 0)
		return rk_touch(job, (char *)state - 8, 8) == -EFAULT ? 0 : -EPROTO;
	if (strcmp(body, "untouched") == 0) {
		s->fill[7]++;
		return 0;
	}
	if (sscanf(body, "keep %lu", &number) == 1)
		return keep(job, s, number);
	if (strcmp(body, "drop") == 0 || strcmp(body, "drop twice") == 0)
		return drop(job, s, body[4] != 0);
	if (strcmp(body, "kept") == 0)
		return answer_kept(job, s);
	if (strcmp(body, "overrun") == 0) { /* past its block, into the head of the next */
		rk_touch(job, s->kept, 64);
		memset(s->kept, 0, 64);
		return 0;
	}
	if (strcmp(body, "upgraded") == 0)
		return answer_upgraded(job, s);
	if (strcmp(body, "cancel") == 0)
		return work_until_cancelled(job, s);
	if (strcmp(body, "ticks") == 0)
		return answer(job, loop.n_ticks);
	if (strcmp(body, "nested") == 0)
		return rk_worker_next(loop.worker, 0) == -EDEADLK ? 0 : -EPROTO;
	if (sscanf(body, "touches %lu", &number) == 1) {
		for (unsigned long i = 0; i < number; i++) {
			rk_touch(job, &s->fill[i % 8000], 8);
			s->fill[i % 8000]++;
		}
		return 0;
	}
	if (sscanf(body, "big %lu", &number) == 1)
		return big_reply(job, number);
	if (sscanf(body, "exit %lu", &number) == 1)
		exit((int)number);
	return rk_reply(job, job->body, job->len);
}

/* RK_TEST_KILL_POINT=NAME:NTH: the first incarnation dies there, or those of RK_TEST_KILL_WHO=FIRST-LAST. */
static void arm(void)
{
	const char *point = getenv("RK_TEST_KILL_POINT"), *worker = getenv("REKINDLE_WORKER");
	const char *colon = point ? strchr(point, ':') : NULL, *who = getenv("RK_TEST_KILL_WHO");
	unsigned long first = 1, last = 1, incarnation = 0;
	const char *at = worker ? strstr(worker, "incarnation=") : NULL;

	if (!colon || !at || sscanf(at, "incarnation=%lu", &incarnation) != 1)
		return;
	if (who && sscanf(who, "%lu-%lu", &first, &last) != 2)
		return;
	if (incarnation < first || incarnation > last)
		return;
	for (int i = 0; i < RK_KILL_POINT_COUNT; i++)
		if (strncmp(point, rk_kill_point_name((enum rk_kill_point)i), (size_t)(colon - point)) == 0 &&
		    strlen(rk_kill_point_name((enum rk_kill_point)i)) == (size_t)(colon - point))
			rk_fault_arm((enum rk_kill_point)i, (unsigned int)strtoul(colon + 1, NULL, 10), SIGKILL);
}

/*
 * RK_TEST_STANDBY=POINT:SIGNAL:FILE: a standby gets this signal there once it is ordered to be a
 * worker; the first one alone, which makes the file.
 */
static void arm_standby(void)
{
	const char *text = getenv("RK_TEST_STANDBY"), *worker = getenv("REKINDLE_WORKER");
	char point[32], path[256];
	int sig;

	if (!text || !worker || !strstr(worker, "standby=") ||
	    sscanf(text, "%31[A-Z_]:%d:%255s", point, &sig, path) != 3 ||
	    open(path, O_CREAT | O_EXCL | O_CLOEXEC, 0600) < 0)
		return;
	for (int i = 0; i < RK_KILL_POINT_COUNT; i++)
		if (strcmp(point, rk_kill_point_name((enum rk_kill_point)i)) == 0)
			rk_fault_arm((enum rk_kill_point)i, 1, sig);
}

/* Each upgrade multiplies n by a thousand, so that one too many shows; and reaches into the arena. */
static int upgrade(void *state, uint32_t from_version, uint32_t partition, void *arg)
{
	struct state *s = state;

	(void)partition;
	s->n *= 1000;
	for (int i = 0; i < UPGRADED; i++)
		s->fill[i * 70] += (uint64_t)i + 7;
	for (struct kept *k = s->kept; k; k = k->next)
		k->value += 100;
	for (int i = 1; i <= TAIL; i++) /* what version 1 did not have */
		if (s->fill[8000 - i])
			return -EUCLEAN;
	s->fill[7999] = 1;
	return from_version == 1 ? ((const struct hooks *)arg)->upgrade_result : -EPROTO;
}

/* RK_TEST_VERSION names a file: "VERSION HOOK RESULT"; HOOK 0 is none. */
static void read_version(struct rk_worker_def *def, int *ret_result)
{
	const char *path = getenv("RK_TEST_VERSION");
	FILE *file = path ? fopen(path, "re") : NULL;
	int hook = 0;

	if (!file)
		return;
	if (fscanf(file, "%u %d %d", &def->state_version, &hook, ret_result) == 3 && hook)
		def->upgrade = upgrade;
	if (def->state_version == 1)
		def->state_size -= TAIL * sizeof(uint64_t);
	(void)fclose(file);
}

/* A program with a loop of its own: a timer, and the worker. */
static int run_loop(const struct rk_worker_def *def)
{
	const struct itimerspec tick = { { 0, 5000000 }, { 0, 5000000 } };
	int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), r;
	struct epoll_event of_timer = { .events = EPOLLIN, .data.fd = timer }, of_worker = { .events = EPOLLIN }, e;

	r = rk_worker_open(&loop.worker, def);
	if (r)
		return r;
	of_worker.data.fd = rk_worker_fd(loop.worker);
	if (timerfd_settime(timer, 0, &tick, NULL) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &of_timer) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, of_worker.data.fd, &of_worker) < 0)
		return 1;
	while (r >= 0) {
		uint64_t n;

		if (epoll_wait(epoll, &e, 1, -1) != 1)
			continue;
		if (e.data.fd == timer)
			loop.n_ticks += read(timer, &n, sizeof(n)) == sizeof(n);
		else
			r = rk_worker_next(loop.worker, 0);
	}
	return rk_worker_close(loop.worker);
}

static void *serve(void *ret_status)
{
	struct hooks hooks = { 0 };
	struct rk_worker_def def = { .state_size = sizeof(struct state), .arena_size = 1500, .on_job = on_job, .arg = &hooks };

	read_version(&def, &hooks.upgrade_result);
	*(int *)ret_status = getenv("RK_TEST_LOOP") ? run_loop(&def) : rk_worker_main(&def);
	return NULL;
}

/*
 * RK_TEST_THREAD=1: the job thread is not the one that signals go to. RK_TEST_LOOP=1: it has a
 * loop of its own.
 */
int main(void)
{
	pthread_t thread;
	int status = 1;

	arm();
	arm_standby();
	if (!getenv("RK_TEST_THREAD"))
		return serve(&status), status;
	if (pthread_create(&thread, NULL, serve, &status) == 0)
		(void)pthread_join(thread, NULL);
	return status;
}
