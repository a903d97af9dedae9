/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker of the hang and poison tests: does once what a job's body says, in the slot's first
 * process; its successors, who find the same job, count it. "always" before it: in every process.
 * "while FILE" crashes as long as there is such a file; behind it "until FILE" waits for one, and
 * "refuse" answers with an error. "await FILE" waits for one too, and tells that it gets on.
 * "exhaust" takes memory until there is no more and then aborts, "exhaust unchecked" does not look
 * whether it got any, "recurse" does the same to the stack.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/beat.h"
#include "shm/owner.h"
#include "workers/lib/rekindle.h"

#define ALWAYS "always "
#define BLOCK (1u << 20)
#define BLOCKS_MAX 1024u /* for the machine's sake, if no limit holds */
#define FRAMES_MAX (64u << 10)

static bool is_first;
static uint32_t n_attempts; /* of the job that wants another one */

static _Noreturn void deadlock(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t never = PTHREAD_COND_INITIALIZER;

	(void)pthread_mutex_lock(&mutex);
	for (;;)
		(void)pthread_cond_wait(&never, &mutex);
}

static _Noreturn void loop(void)
{
	for (_Atomic uint64_t n = 0;; n++)
		;
}

static pid_t start_one(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			(void)pause();
	return pid;
}

/* Three below us: two children, one of them with a child of its own. */
static void breed(void)
{
	pid_t pid;

	(void)start_one();
	pid = fork();
	if (pid != 0)
		return;
	(void)start_one();
	for (;;)
		(void)pause();
}

static void sleep_ms(unsigned long ms)
{
	uint64_t end_ns = rk_clock_ns() + ms * RK_NS_PER_MS;

	while (rk_clock_ns() < end_ns)
		(void)usleep((useconds_t)((end_ns - rk_clock_ns()) / 1000));
}

static bool is_cancelled(struct rk_job *job)
{
	struct rk_owner_job *inner = job->internal;

	return rk_beat_is_cancelled(rk_shm_beat(inner->owner->m, inner->owner->worker),
				    inner->partition, inner->number);
}

/* A fault that somebody may repair, and what the job does then. */
static int while_broken(const char *body)
{
	char broken[200], awaited[200];

	if (sscanf(body, "while %199s", broken) == 1 && access(broken, F_OK) == 0)
		(void)raise(SIGSEGV);
	if (sscanf(body, "while %*s until %199s", awaited) == 1)
		while (access(awaited, F_OK) != 0)
			sleep_ms(5);
	return strstr(body, " refuse") ? -1 : 0;
}

static void on_signal(int sig)
{
	(void)sig;
}

/* Waits for a byte that nobody writes; whoever is interrupted looks whether it is to give up. */
static int read_nothing(struct rk_job *job)
{
	int ends[2];
	char byte;

	if (pipe(ends) < 0)
		return -1;
	while (read(ends[0], &byte, 1) < 0 && !is_cancelled(job))
		;
	(void)close(ends[0]);
	(void)close(ends[1]);
	return rk_reply(job, "interrupted", 11);
}

/* Wants another attempt once it is told to give up; the second one tells whether that was new. */
static int read_again(struct rk_job *job)
{
	if (is_cancelled(job))
		return rk_reply(job, "asked before", 12);
	if (read_nothing(job) < 0)
		return -1;
	return ++n_attempts < 2 ? RK_RETRY : 0;
}

/* Comes back only if nothing limits it. */
static void exhaust(bool is_checked)
{
	for (uint32_t i = 0; i < BLOCKS_MAX; i++) {
		char *block = malloc(BLOCK);

		if (!block && is_checked)
			abort();
		for (uint32_t at = 0; at < BLOCK; at += 4096)
			*(volatile char *)(block + at) = 1;
	}
}

static uint32_t recurse(uint32_t depth) // NOLINT(misc-no-recursion)
{
	volatile char frame[4096];

	frame[0] = (char)depth;
	return depth == FRAMES_MAX ? 0 : recurse(depth + 1) + (uint32_t)frame[0];
}

static int await(struct rk_job *job, const char *path)
{
	for (; access(path, F_OK) != 0; sleep_ms(5))
		rk_beat(job);
	return 0;
}

static int misbehave(struct rk_job *job, const char *body)
{
	unsigned long ms;

	if (strcmp(body, "crash") == 0) /* as by itself: nobody knows who sent it */
		(void)raise(SIGSEGV);
	if (strcmp(body, "exit") == 0)
		exit(9);

	if (strncmp(body, "while ", 6) == 0)
		return while_broken(body);
	if (strncmp(body, "await ", 6) == 0)
		return await(job, body + 6);
	if (strncmp(body, "exhaust", 7) == 0)
		exhaust(body[7] == '\0');
	if (strcmp(body, "recurse") == 0)
		(void)recurse(0);
	if (strcmp(body, "loop") == 0)
		loop();
	if (strcmp(body, "deadlock") == 0)
		deadlock();
	if (strcmp(body, "breed") == 0) {
		breed();
		deadlock();
	}
	if (sscanf(body, "sleep %lu", &ms) == 1)
		sleep_ms(ms);
	while (strcmp(body, "until cancelled") == 0)
		if (is_cancelled(job))
			return rk_reply(job, "cancelled", 9);
		else
			sleep_ms(5);
	return 0;
}

static int on_job(struct rk_job *job, void *state, void *arg)
{
	uint64_t *n = state;
	char reply[24];

	(void)arg;
	if (is_first && strcmp(job->body, "until cancelled") == 0)
		return misbehave(job, job->body);
	if (is_first && strcmp(job->body, "read") == 0)
		return read_nothing(job);
	if (is_first && strcmp(job->body, "read again") == 0)
		return read_again(job);
	if (is_first && misbehave(job, job->body) < 0)
		return -1;
	if (strncmp(job->body, ALWAYS, strlen(ALWAYS)) == 0 &&
	    misbehave(job, (const char *)job->body + strlen(ALWAYS)) < 0)
		return -1;
	rk_touch(job, n, sizeof(*n));
	(*n)++;
	return rk_reply(job, reply,
			(size_t)snprintf(reply, sizeof(reply), "%llu", (unsigned long long)*n));
}

/* RK_TEST_MUTE=1: never attaches, like a program that knows nothing of us. RK_TEST_CATCH=1: has a
 * handler for SIGUSR2. RK_TEST_DEAF=1: does not die of SIGABRT. */
int main(void)
{
	const char *worker = getenv("REKINDLE_WORKER");

	if (getenv("RK_TEST_MUTE"))
		for (;;)
			(void)pause();
	if (getenv("RK_TEST_CATCH"))
		(void)sigaction(SIGUSR2, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	if (getenv("RK_TEST_DEAF"))
		(void)signal(SIGABRT, SIG_IGN);
	is_first = worker && strstr(worker, "incarnation=1 ");
	return rk_worker_main(
		&(struct rk_worker_def){ .state_size = sizeof(uint64_t), .on_job = on_job });
}
