/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the example bank keeps its invariant: no branch ever has more or less money than it was
 *         opened with, and counts each transfer once, while its workers are killed at random.
 * Method  a real fleet of the example, its own client in one branch, this test in another one; the
 *         totals of both are asked for all the time and compared with what the clients counted.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "tests/system/fleet.h"
#include "tests/unit/unit.h"

#define TRANSFERS 10000u /* of the example's client, each time it runs */
#define MONEY 100000ll
#define KILLS 25       /* until then it is run again */
#define KILL_EVERY 20u /* rounds of ours; the dice say when */

static struct fleet fleet;

/* The example's client, whose figures come on the descriptor. */
static pid_t start_client(int *ret_out)
{
	char path[4096], number[16];
	int out[2];
	pid_t pid;

	fleet_path(path, "workers/examples/bank_client");
	snprintf(number, sizeof(number), "%u", TRANSFERS);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	pid = fleet_fork();
	if (pid == 0) {
		(void)dup2(out[1], 1);
		(void)execl(path, path, number, (char *)NULL);
		_exit(127);
	}
	(void)close(out[1]);
	*ret_out = out[0];
	return pid;
}

/* The figures of a branch; asserts that its money is all there. Returns its transfers. */
static unsigned long long audit(struct rk_client *c, const char *key)
{
	struct rk_request request = { .key = key, .body = "total", .len = 5, .timeout_ms = FLEET_WAIT_MS };
	struct rk_reply reply = { 0 };
	unsigned long long n_transfers = 0;
	char text[80] = "";
	long long sum = 0;
	int r = rk_call_retry(c, &request, &reply);

	ck_assert_msg(r == RK_DONE, "total of %s: %s", key, rk_outcome_text(r));
	memcpy(text, reply.body, reply.len < 79 ? reply.len : 79);
	rk_reply_release(c, &reply);
	ck_assert_msg(sscanf(text, "%lld after %llu transfers", &sum, &n_transfers) == 2, "%s", text);
	ck_assert_msg(sum == MONEY, "%s has %lld instead of %lld, after %llu transfers", key, sum, MONEY, n_transfers);
	return n_transfers;
}

/* Moves some money; returns whether there was enough. */
static int transfer(struct rk_client *c, struct rk_rand *random, const char *key)
{
	struct rk_request request = { .key = key, .timeout_ms = FLEET_WAIT_MS };
	struct rk_reply reply = { 0 };
	char body[64];
	int r;

	request.len = (size_t)snprintf(body, sizeof(body), "%u %u %u", (unsigned int)rk_rand_below(random, 1000),
				       (unsigned int)rk_rand_below(random, 1000),
				       (unsigned int)rk_rand_below(random, 60));
	request.body = body;
	r = rk_call_retry(c, &request, &reply);
	ck_assert_msg(r == RK_DONE || r == RK_FAILED, "transfer: %s", rk_outcome_text(r));
	rk_reply_release(c, &reply);
	return r == RK_DONE;
}

/* A branch in another partition than the first one. */
static void choose_branch(struct rk_client *c, char key[static 32])
{
	uint32_t first, other, worker;
	int pid, i = 2;

	ck_assert_int_eq(rk_client_where(c, "branch:1", 8, &first, &worker, &pid), 0);
	do {
		snprintf(key, 32, "branch:%d", i++);
		ck_assert_int_eq(rk_client_where(c, key, strlen(key), &other, &worker, &pid), 0);
	} while (other == first);
}

/* What the example's client printed fits what the branch says, and what it was told to do. */
static void check_figures(int out, unsigned long long n_before, unsigned long long n_after)
{
	unsigned long long n = 0, n_refused = 0;
	char text[256] = "";
	long long sum = 0;

	ck_assert_int_gt(read(out, text, sizeof(text) - 1), 0);
	ck_assert_msg(sscanf(text, "total %lld after %llu transfers, %llu refused", &sum, &n, &n_refused) == 3, "%s",
		      text);
	ck_assert_int_eq(sum, MONEY);
	ck_assert_uint_eq(n, n_after);
	ck_assert_uint_eq(n - n_before + n_refused, TRANSFERS);
}

START_TEST(no_money_comes_or_goes_while_workers_are_killed)
{
	uint64_t seed = rk_clock_ns(), end_ns = seed + 3 * FLEET_WAIT_MS * RK_NS_PER_MS;
	struct rk_rand random = rk_rand_init(seed);
	unsigned long long n_ours = 0, n_before;
	struct rk_client *c;
	char ours[32];
	int out, status;

	printf("# seed %llu\n", (unsigned long long)seed);
	fleet_start(&fleet, 2, NULL, "workers/examples/bank");
	c = fleet_client(NULL);
	choose_branch(c, ours);
	for (int n_kills = 0; n_kills < KILLS;) {
		pid_t pid;

		n_before = audit(c, "branch:1");
		pid = start_client(&out);
		while (waitpid(pid, &status, WNOHANG) == 0) {
			ck_assert_msg(rk_clock_ns() < end_ns, "the client has not ended in time");
			n_ours += (unsigned long long)transfer(c, &random, ours);
			(void)audit(c, "branch:1");
			ck_assert_uint_eq(audit(c, ours), n_ours);
			if (rk_rand_below(&random, KILL_EVERY) == 0)
				n_kills += fleet_kill_owner(c, rk_rand_below(&random, 2) ? ours : "branch:1");
		}
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the client ended with %#x",
			      (unsigned int)status);
		check_figures(out, n_before, audit(c, "branch:1"));
		(void)close(out);
	}
	rk_client_close(c);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	TCase *c = unit_case("bank");

	tcase_set_timeout(c, 120);
	tcase_add_test(c, no_money_comes_or_goes_while_workers_are_killed);
	return unit_run(c);
}
