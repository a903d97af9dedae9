/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_finals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "shm/fault.h"
#include "workers/lib/rekindle.h"

#define ASK_TIMEOUT_MS 10000u

void rk_demo_finals_disarm(void)
{
	rk_fault_arm_random(0, 0);
	rk_fault_break(RK_BREAK_NONE);
}

/* The fleet's final count of each word. A ring keeps its order: what clients published before is in it. */
int rk_demo_finals_ask(const char *fleet, const struct rk_demo_ledger *l, uint64_t *finals, struct rk_err *err)
{
	struct rk_reply reply = { 0 };
	struct rk_client *client;
	int r = rk_client_open(&client, fleet, NULL);

	if (r < 0)
		return rk_err_set(err, r, "cannot ask for the final counts: %s", rk_client_error());
	rk_demo_finals_disarm(); /* opening read the environment again */
	for (uint32_t w = 0; w < l->head->n_words && r == 0; w++) {
		const char *word = rk_demo_ledger_word(l, w);
		char text[24] = "";

		r = rk_call_retry(client, &(struct rk_request){ .key = word, .body = "?", .len = 1,
								.timeout_ms = ASK_TIMEOUT_MS }, &reply);
		if (r == RK_FAILED) {
			r = 0; /* its table is full: it never counted this word */
			continue;
		}
		if (r != RK_DONE) {
			r = rk_err_set(err, r < 0 ? r : -ETIMEDOUT, "cannot ask how often '%s' was counted: %s", word,
				       rk_outcome_text(r));
			break;
		}
		memcpy(text, reply.body, rk_min_size(reply.len, sizeof(text) - 1));
		finals[w] = strtoull(text, NULL, 10);
	}
	rk_client_close(client);
	return r;
}

int rk_demo_finals_write(const struct rk_demo_ledger *l, const uint64_t *finals, const char *path,
			 struct rk_err *err)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return rk_err_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
	for (uint32_t w = 0; w < l->head->n_words; w++)
		if (finals[w])
			(void)fprintf(f, "%7llu %s\n", (unsigned long long)finals[w],
				      rk_demo_ledger_word(l, w));
	if (fclose(f) != 0)
		return rk_err_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
	return 0;
}
