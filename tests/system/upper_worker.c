/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker for tests/system/pipe.sh: answers a job with its body in capitals, or does what the body
 * says. Each job is a line "KEY BODY" of the file $UPPER_LOG, before it is done; each takes
 * $UPPER_US microseconds.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "workers/lib/rekindle.h"

#define TEXT_MAX (1u << 20)

struct upper {
	int log;
	long us;
	char *text;
};

static int answer_long(struct rk_job *job, struct upper *u, const char *number)
{
	size_t len = strtoul(number, NULL, 10);

	memset(u->text, 'X', len < TEXT_MAX ? len : TEXT_MAX);
	return rk_reply(job, u->text, len);
}

/* Until the file is there. */
static int wait_for(struct rk_job *job, const char *path)
{
	while (access(path, F_OK) < 0 && !rk_cancelled(job)) {
		rk_beat(job);
		(void)poll(NULL, 0, 1);
	}
	return rk_reply(job, "WAITED", 6);
}

static int on_job(struct rk_job *job, void *state, void *arg)
{
	struct upper *u = arg;
	const char *body = job->body;

	(void)state;
	if (u->log >= 0)
		(void)dprintf(u->log, "%.*s %.*s\n", (int)job->key_len, job->key, (int)job->len, body);
	if (u->us)
		(void)nanosleep(&(struct timespec){ .tv_nsec = u->us * 1000 }, NULL);
	if (strncmp(body, "refuse", 6) == 0)
		return -EINVAL;
	if (strncmp(body, "die", 3) == 0)
		abort();
	if (strncmp(body, "long ", 5) == 0)
		return answer_long(job, u, body + 5);
	if (strncmp(body, "wait ", 5) == 0)
		return wait_for(job, body + 5);
	for (size_t i = 0; i < job->len; i++)
		u->text[i] = (char)toupper((unsigned char)body[i]);
	return rk_reply(job, u->text, job->len);
}

int main(void)
{
	const char *log = getenv("UPPER_LOG"), *us = getenv("UPPER_US");
	struct upper u = { .log = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1,
			   .us = us ? strtol(us, NULL, 10) : 0,
			   .text = malloc(TEXT_MAX) };

	if (!u.text || getenv("UPPER_FAILS"))
		return 42;
	return rk_worker_main(&(struct rk_worker_def){ .state_size = 8, .on_job = on_job, .arg = &u, .batch_max = 16 });
}
