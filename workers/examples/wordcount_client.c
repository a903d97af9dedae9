/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wordcount_client: counts the words of standard input in a running wordcount
 * fleet, and prints how often it has now seen the last one.
 *
 *     build/workers/examples/wordcount_client < /usr/share/common-licenses/GPL-3
 */
#include <stdio.h>
#include <string.h>

#include <rekindle.h>

int main(void)
{
	struct rk_client *client;
	struct rk_reply reply = { 0 };
	unsigned long n = 0;
	char word[56];

	if (rk_client_open(&client, NULL, NULL) < 0) {
		fprintf(stderr, "wordcount_client: %s\n", rk_client_error());
		return 1;
	}
	while (scanf("%55s", word) == 1) {
		int r = rk_call_retry(client, &(struct rk_request){ .key = word, .timeout_ms = 5000 }, &reply);

		if (r != RK_DONE) {
			fprintf(stderr, "wordcount_client: %s: %s\n", word, rk_outcome_text(r));
			return 1;
		}
		n++;
	}
	if (n)
		printf("%lu words; '%s' was seen %.*s times\n", n, word, (int)reply.len, (const char *)reply.body);
	rk_client_close(client);
	return 0;
}
