/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wordcount: one job is one word, which is the job's key. An empty body counts
 * it; "?" only asks. The reply is the word's count, in decimal.
 *
 *     rekindle run -n 4 -- build/workers/examples/wordcount
 *
 * With the argument --poison, which `rekindle demo --poison=N` gives it, two more bodies have a
 * meaning: "crash" ends the process, "hang" sleeps for ever, whatever the word. They stand for
 * the job that kills every worker that takes it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void swallow(const struct rk_job *job)
{
	if (strcmp(job->body, "crash") == 0)
		abort();
	while (strcmp(job->body, "hang") == 0)
		(void)pause();
}

static int on_job(struct rk_job *job, void *state, void *arg)
{
	const bool *is_poisonable = arg;
	struct word *w;
	char reply[24];

	if (*is_poisonable)
		swallow(job);
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

int main(int argc, char **argv)
{
	bool is_poisonable = argc > 1 && strcmp(argv[1], "--poison") == 0;

	return rk_worker_main(&(struct rk_worker_def){ .state_size = sizeof(struct words), .on_job = on_job,
						       .arg = &is_poisonable });
}
