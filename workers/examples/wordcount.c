/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wordcount: one job is one word, which is the job's key. An empty body counts
 * it; "?" only asks. The reply is the word's count, in decimal.
 *
 *     rekindle run -n 4 -- build/workers/examples/wordcount
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rekindle.h>

#define WORDS 512 /* per partition */

struct word {
	uint64_t count;
	char text[56];
};

struct words {
	struct word word[WORDS];
};

/* The place of a word: where it stands, or the free place where it would. */
static struct word *find(struct words *words, const char *text, size_t len)
{
	unsigned int at = 5381;

	for (size_t i = 0; i < len; i++)
		at = at * 33 + (unsigned char)text[i];
	for (unsigned int i = 0; i < WORDS; i++) {
		struct word *w = &words->word[(at + i) % WORDS];

		if (!w->count || strcmp(w->text, text) == 0)
			return w;
	}
	return NULL;
}

static int on_job(struct rk_job *job, void *state, void *arg)
{
	struct word *w;
	char reply[24];

	(void)arg;
	if (job->key_len >= sizeof(w->text) || strlen(job->key) != job->key_len)
		return -ENAMETOOLONG;
	w = find(state, job->key, job->key_len);
	if (!w)
		return -ENOSPC;
	if (job->len == 0) {
		if (!w->count) {
			rk_touch(job, w, sizeof(*w));
			strcpy(w->text, job->key);
		} else {
			rk_touch(job, &w->count, sizeof(w->count));
		}
		w->count++;
	}
	return rk_reply(job, reply, (size_t)sprintf(reply, "%llu", (unsigned long long)w->count));
}

int main(void)
{
	return rk_worker_main(&(struct rk_worker_def){ .state_size = sizeof(struct words), .on_job = on_job });
}
