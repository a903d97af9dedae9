/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tiny worker that all peers run, byte for byte the same: it says when its main() began and
 * waits. Started by rekindle it is a native worker besides, whose jobs are echoed; that part of
 * librekindle is linked in, so the peers' processes carry (but never run) it too.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/peers/roll.h"
#include "workers/lib/rekindle.h"

static int on_job(struct rk_job *job, void *state, void *arg)
{
	(void)state;
	(void)arg;
	return rk_reply(job, job->body, job->len);
}

/* s6 learns from it that the service is ready. */
static void say_ready(void)
{
	const char *fd = getenv(ROLL_READY);

	if (!fd)
		return;
	(void)!write(atoi(fd), "\n", 1);
	(void)close(atoi(fd));
}

int main(void)
{
	struct rk_worker_def def = { .state_size = sizeof(uint64_t), .on_job = on_job };
	uint64_t main_ns = rk_clock_ns();
	int roll = roll_say(main_ns);
	char byte;

	if (roll < 0)
		return 1;
	say_ready();
	if (getenv("REKINDLE_WORKER"))
		return rk_worker_main(&def);
	(void)!read(roll, &byte, 1); /* until the bench ends */
	return 0;
}
