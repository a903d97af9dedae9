/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker of the system tests: does what a job's body says, so that a test
 * can put a fleet into any situation. Every partition counts in `n`.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "shm/fault.h"
#include "workers/lib/rekindle.h"

struct state {
	uint64_t n;
	uint64_t fill[8000];
};

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
		return (*(unsigned long *)arg)++ < number ? RK_RETRY : 0;
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

/* RK_TEST_KILL_POINT=NAME:NTH: the first incarnation dies there. */
static void arm(void)
{
	const char *point = getenv("RK_TEST_KILL_POINT"), *worker = getenv("REKINDLE_WORKER");
	const char *colon = point ? strchr(point, ':') : NULL;

	if (!colon || !worker || !strstr(worker, "incarnation=1 "))
		return;
	for (int i = 0; i < RK_KILL_POINT_COUNT; i++)
		if (strncmp(point, rk_kill_point_name((enum rk_kill_point)i), (size_t)(colon - point)) == 0 &&
		    strlen(rk_kill_point_name((enum rk_kill_point)i)) == (size_t)(colon - point))
			rk_fault_arm((enum rk_kill_point)i, (unsigned int)strtoul(colon + 1, NULL, 10), SIGKILL);
}

static void *serve(void *ret_status)
{
	unsigned long n_retries = 0;

	*(int *)ret_status = rk_worker_main(&(struct rk_worker_def){ .state_size = sizeof(struct state),
								     .on_job = on_job, .arg = &n_retries });
	return NULL;
}

/* RK_TEST_THREAD=1: the job thread is not the one that signals go to. */
int main(void)
{
	pthread_t thread;
	int status = 1;

	arm();
	if (!getenv("RK_TEST_THREAD"))
		return serve(&status), status;
	if (pthread_create(&thread, NULL, serve, &status) == 0)
		(void)pthread_join(thread, NULL);
	return status;
}
