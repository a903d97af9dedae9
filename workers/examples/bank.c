/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bank: every partition is a branch with 1,000 accounts of 100 each. A job
 * "FROM TO AMOUNT" moves money inside the branch; "total" answers the sum of
 * all its accounts, which never changes, whatever kills the worker.
 *
 *     rekindle run -n 2 -- build/workers/examples/bank
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rekindle.h>

#define ACCOUNTS 1000

struct branch {
	int64_t balance[ACCOUNTS];
	uint64_t n_transfers;
};

static int open_branch(void *state, uint32_t partition, void *arg)
{
	struct branch *b = state;

	(void)partition;
	(void)arg;
	for (int i = 0; i < ACCOUNTS; i++)
		b->balance[i] = 100;
	return 0;
}

static int total(struct rk_job *job, const struct branch *b)
{
	char reply[64];
	int64_t sum = 0;

	for (int i = 0; i < ACCOUNTS; i++)
		sum += b->balance[i];
	return rk_reply(job, reply, (size_t)sprintf(reply, "%lld after %llu transfers", (long long)sum,
						    (unsigned long long)b->n_transfers));
}

static int on_job(struct rk_job *job, void *state, void *arg)
{
	struct branch *b = state;
	unsigned int from, to;
	long long amount;

	(void)arg;
	if (strcmp(job->body, "total") == 0)
		return total(job, b);
	if (sscanf(job->body, "%u %u %lld", &from, &to, &amount) != 3 || from >= ACCOUNTS || to >= ACCOUNTS ||
	    amount < 0)
		return -EINVAL;
	rk_touch(job, &b->balance[from], sizeof(b->balance[from]));
	rk_touch(job, &b->balance[to], sizeof(b->balance[to]));
	rk_touch(job, &b->n_transfers, sizeof(b->n_transfers));
	b->balance[from] -= amount;
	b->balance[to] += amount;
	b->n_transfers++;
	if (b->balance[from] < 0)
		return -EDQUOT; /* not enough money: everything above is undone */
	return 0;
}

int main(void)
{
	return rk_worker_main(&(struct rk_worker_def){
		.state_size = sizeof(struct branch), .init = open_branch, .on_job = on_job });
}
