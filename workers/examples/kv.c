/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kv: a store of keys and values of any length. The job's key is the key; its
 * body is one of
 *
 *     get            the value; ENOENT without one
 *     set VALUE      the rest of the body, any bytes
 *     incr [N]       adds N, or 1, to a decimal value (0 without one); the sum
 *     delete         ENOENT when there was none
 *
 * Keys and values lie in the partition's arena and are chained from a table of
 * buckets in its state, with ordinary pointers: a partition has the same address
 * in every process that ever owns it.
 *
 *     rekindle run -n 4 -- build/workers/examples/kv
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rekindle.h>

#define BUCKETS 256 /* per partition */

struct entry {
	struct entry *next;
	size_t key_len, len;
	char bytes[]; /* key, then value */
};

struct store {
	struct entry *bucket[BUCKETS];
};

/* The pointer that leads to a key's entry, or to where it would be. */
static struct entry **find(struct store *s, const struct rk_job *job)
{
	unsigned int at = 5381;
	struct entry **e;

	for (size_t i = 0; i < job->key_len; i++)
		at = at * 33 + (unsigned char)job->key[i];
	for (e = &s->bucket[at % BUCKETS]; *e; e = &(*e)->next)
		if ((*e)->key_len == job->key_len &&
		    memcmp((*e)->bytes, job->key, job->key_len) == 0)
			break;
	return e;
}

static int get(struct rk_job *job, struct entry *e)
{
	return e ? rk_reply(job, e->bytes + e->key_len, e->len) : -ENOENT;
}

/* The new entry takes the old one's place; both happen, or neither. */
static int set(struct rk_job *job, struct entry **at, const char *value, size_t len)
{
	struct entry *old = *at, *e;

	e = rk_alloc(job, sizeof(*e) + job->key_len + len);
	if (!e)
		return -ENOSPC;
	e->next = old ? old->next : NULL; /* new memory may be written as it is */
	e->key_len = job->key_len;
	e->len = len;
	memcpy(e->bytes, job->key, job->key_len);
	memcpy(e->bytes + job->key_len, value, len);
	rk_touch(job, at, sizeof(*at)); /* old memory only after this */
	*at = e;
	rk_free(job, old);
	return 0;
}

static int delete (struct rk_job *job, struct entry **at)
{
	struct entry *old = *at;

	if (!old)
		return -ENOENT;
	rk_touch(job, at, sizeof(*at));
	*at = old->next;
	rk_free(job, old);
	return 0;
}

static int incr(struct rk_job *job, struct entry **at, const char *by)
{
	char text[24] = "0", *end;
	const struct entry *e = *at;
	long long n, add;
	int len;

	if (e && (e->len == 0 || e->len >= sizeof(text)))
		return -EINVAL;
	if (e) {
		memcpy(text, e->bytes + e->key_len, e->len);
		text[e->len] = '\0';
	}
	n = strtoll(text, &end, 10);
	if (*end)
		return -EINVAL;
	add = *by ? strtoll(by, &end, 10) : 1;
	if (*end || __builtin_add_overflow(n, add, &n))
		return -ERANGE;
	len = sprintf(text, "%lld", n);
	rk_reply(job, text, (size_t)len);
	return set(job, at, text, (size_t)len);
}

static int on_job(struct rk_job *job, void *state, void *arg)
{
	const char *body = job->body;
	struct entry **at = find(state, job);

	(void)arg;
	if (strcmp(body, "get") == 0)
		return get(job, *at);
	if (strncmp(body, "set ", 4) == 0)
		return set(job, at, body + 4, job->len - 4);
	if (strcmp(body, "incr") == 0 || strncmp(body, "incr ", 5) == 0)
		return incr(job, at, body[4] ? body + 5 : "");
	if (strcmp(body, "delete") == 0)
		return delete (job, at);
	return -EINVAL;
}

int main(void)
{
	return rk_worker_main(&(struct rk_worker_def){
		.state_size = sizeof(struct store), .arena_size = 48 << 10, .on_job = on_job });
}
