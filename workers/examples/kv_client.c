/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kv_client: one command to a running kv fleet.
 *
 *     kv_client get KEY
 *     kv_client set KEY VALUE
 *     kv_client incr KEY [N]
 *     kv_client delete KEY
 */
#include <stdio.h>
#include <string.h>

#include <rekindle.h>

int main(int argc, char **argv)
{
	struct rk_client *client;
	struct rk_reply reply = { 0 };
	char body[1024];
	int len, r;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: kv_client get|set|incr|delete KEY [VALUE]\n");
		return 64;
	}
	len = snprintf(body, sizeof(body), "%s%s%s", argv[1], argc == 4 ? " " : "",
		       argc == 4 ? argv[3] : "");
	if (len >= (int)sizeof(body)) {
		fprintf(stderr, "kv_client: the value is too long\n");
		return 1;
	}
	if (rk_client_open(&client, NULL, NULL) < 0) {
		fprintf(stderr, "kv_client: %s\n", rk_client_error());
		return 69;
	}
	r = rk_call_retry(client,
			  &(struct rk_request){ .key = argv[2], .body = body, .len = (size_t)len },
			  &reply);
	if (r == RK_DONE && reply.len)
		printf("%.*s\n", (int)reply.len, (const char *)reply.body);
	if (r != RK_DONE)
		fprintf(stderr, "kv_client: %s\n",
			r == RK_FAILED ? strerror(-reply.error) : rk_outcome_text(r));
	rk_reply_release(client, &reply);
	rk_client_close(client);
	return r != RK_DONE;
}
