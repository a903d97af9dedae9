/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benches' worker: its state is one counter (or as much as --state says),
 * its reply the body.
 *
 *     echo_worker [--cpu=N] [--spin-us=N|forever] [--batch=N] [--state=BYTES]
 */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "workers/lib/rekindle.h"

static int on_job(struct rk_job *job, void *state, void *arg)
{
	uint64_t *n = state;

	(void)arg;
	rk_touch(job, n, sizeof(*n));
	++*n;
	return rk_reply(job, job->body, job->len);
}

/* Touches all of a fresh state. */
static int init(void *state, uint32_t partition, void *arg)
{
	const struct rk_worker_def *def = arg;

	(void)partition;
	memset((char *)state + sizeof(uint64_t), 1, def->state_size - sizeof(uint64_t));
	return 0;
}

static unsigned long number(const char *text)
{
	return strcmp(text, "forever") == 0 ? RK_SPIN_FOREVER : strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	struct rk_worker_def def = { .state_size = sizeof(uint64_t), .on_job = on_job, .init = init, .arg = &def };

	for (int i = 1; i < argc; i++) {
		const char *value = strchr(argv[i], '=');

		bench_need(value != NULL, "'--option=value' for echo_worker");
		value++;
		if (strncmp(argv[i], "--cpu=", 6) == 0)
			bench_pin((int)number(value));
		else if (strncmp(argv[i], "--spin-us=", 10) == 0)
			def.spin_us = (uint32_t)number(value);
		else if (strncmp(argv[i], "--batch=", 8) == 0)
			def.batch_max = (uint32_t)number(value);
		else if (strncmp(argv[i], "--state=", 8) == 0)
			def.state_size = number(value);
	}
	return rk_worker_main(&def);
}
