/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bank_client: makes N transfers in a branch of a running bank fleet and then
 * asks for its total, which must be 100,000.
 *
 *     build/workers/examples/bank_client 10000
 */
#include <stdio.h>
#include <stdlib.h>

#include <rekindle.h>

int main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000, n_refused = 0;
	struct rk_client *client;
	struct rk_reply reply = { 0 };
	char body[64];
	int r;

	if (rk_client_open(&client, NULL, NULL) < 0) {
		fprintf(stderr, "bank_client: %s\n", rk_client_error());
		return 1;
	}
	for (unsigned long i = 0; i < n; i++) {
		int len = sprintf(body, "%lu %lu %lu", i * 7 % 1000, i * 13 % 1000, i % 50);

		r = rk_call_retry(client, &(struct rk_request){ .key = "branch:1", .body = body, .len = (size_t)len },
				  &reply);
		n_refused += r == RK_FAILED; /* not enough money */
		if (r != RK_DONE && r != RK_FAILED) {
			fprintf(stderr, "bank_client: transfer %lu: %s\n", i, rk_outcome_text(r));
			return 1;
		}
	}
	r = rk_call_retry(client, &(struct rk_request){ .key = "branch:1", .body = "total", .len = 5 }, &reply);
	if (r == RK_DONE)
		printf("total %.*s, %lu refused\n", (int)reply.len, (const char *)reply.body, n_refused);
	rk_client_close(client);
	return r != RK_DONE;
}
