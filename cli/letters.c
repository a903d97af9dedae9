/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/letters.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/num.h"
#include "cli/out.h"
#include "cli/snapshot.h"
#include "shm/rundir.h"

/* ---- reading ---- */

static int compare(const void *a, const void *b)
{
	const struct rk_dead_letter *x = &((const struct rk_letter *)a)->is,
				    *y = &((const struct rk_letter *)b)->is;

	if (x->realtime_ns != y->realtime_ns)
		return x->realtime_ns < y->realtime_ns ? -1 : 1;
	if (x->partition != y->partition)
		return x->partition < y->partition ? -1 : 1;
	return (x->job > y->job) - (x->job < y->job);
}

int rk_letters_read(struct rk_letters *ret, const struct rk_look *l, struct rk_err *err)
{
	size_t stride = (l->m.g.request_max + 15ull) & ~7ull; /* rk_dead_look() wants 7 more */

	*ret = (struct rk_letters){ 0 };
	ret->at = calloc(l->m.g.n_dead, sizeof(*ret->at));
	ret->room = calloc(l->m.g.n_dead, stride);
	if (!ret->at || !ret->room)
		return rk_err_set(err, -ENOMEM, "no memory for %u dead letters", l->m.g.n_dead);
	for (uint32_t i = 0; i < l->m.g.n_dead; i++) {
		struct rk_letter *to = &ret->at[ret->n];

		to->place = i;
		to->is.bytes = ret->room + ret->n * stride;
		ret->n += rk_dead_look(&l->m, i, &to->is);
	}
	qsort(ret->at, ret->n, sizeof(*ret->at), compare);
	return 0;
}

void rk_letters_free_p(struct rk_letters *l)
{
	rk_free_p(&l->at);
	rk_free_p(&l->room);
	*l = (struct rk_letters){ 0 };
}

struct rk_letter *rk_letters_find(const struct rk_letters *l, uint32_t partition, uint64_t job)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->at[i].is.partition == partition && l->at[i].is.job == job)
			return &l->at[i];
	return NULL;
}

/* ---- names ---- */

const char *rk_letter_name(char text[static RK_LETTER_NAME], uint32_t partition, uint64_t job)
{
	(void)snprintf(text, RK_LETTER_NAME, "%u.%llu", partition, (unsigned long long)job);
	return text;
}

int rk_letter_parse(const char *text, uint32_t *ret_partition, uint64_t *ret_job,
		    struct rk_err *err)
{
	const char *dot = strchr(text, '.');
	uint64_t partition, job;
	char head[8];

	if (dot && (size_t)(dot - text) < sizeof(head)) {
		(void)snprintf(head, sizeof(head), "%.*s", (int)(dot - text), text);
		if (rk_num_parse(head, 0, RK_PARTITIONS_MAX - 1, &partition, err) == 0 &&
		    rk_num_parse(dot + 1, 0, (UINT64_C(1) << 48) - 1, &job, err) == 0) {
			*ret_partition = (uint32_t)partition;
			*ret_job = job;
			return 0;
		}
	}
	return rk_err_set(err, -EINVAL,
			  "'%.60s' is no LETTER: write PARTITION.JOB such as 3.17, see 'rekindle dead list'",
			  text);
}

const char *rk_letter_verdict(enum rk_dead_verdict verdict)
{
	static const char *const names[] = { "unknown", "crashed", "hung", "looping",
					     "late",	"memory",  "retry" };

	static_assert(rk_countof(names) == RK_CAUSES, "a word for every verdict");
	return (unsigned int)verdict < RK_CAUSES ? names[verdict] : names[0];
}

const char *rk_letter_end(char text[static RK_LETTER_END], const struct rk_dead_cause *cause)
{
	switch (cause->code) {
	case CLD_EXITED:
		(void)snprintf(text, RK_LETTER_END, "exit %d", cause->status);
		break;
	case CLD_KILLED:
	case CLD_DUMPED:
		(void)rk_snapshot_signal(cause->status, text, RK_LETTER_END);
		break;
	default:
		(void)snprintf(text, RK_LETTER_END, "-");
	}
	return text;
}

/* ---- asking ---- */

/* Over a connection of its own: the look's holds its reader's line. */
static int ask(const struct rk_look *l, const char *request, uint64_t *ret_word, struct rk_err *err)
{
	rk_cleanup(rk_ask_close_p) struct rk_ask own = { .sock = -1 };
	struct json_object *answer, *word;
	int r = rk_ask_open(&own, l->ask.fleet, err);

	if (r == 0)
		r = rk_ask_once(&own, request, "whether it was done", &answer, err);
	if (r < 0)
		return r;
	if (json_object_object_get_ex(answer, "word", &word))
		*ret_word = json_object_get_uint64(word);
	json_object_put(answer);
	return 0;
}

int rk_letter_ask(const struct rk_look *l, const char *name, struct rk_letter *letter, const char *deed,
		  struct rk_err *err)
{
	const char *part = rk_fleet_part(name);
	char request[160 + RK_NAME_MAX];

	(void)snprintf(request, sizeof(request),
		       "{\"verb\":\"dead\",\"abi\":%u,\"do\":\"%s\",\"place\":%u,\"word\":%llu%s%s%s}",
		       RK_ABI_VERSION, deed, letter->place, (unsigned long long)letter->is.word,
		       part ? ",\"fleet\":\"" : "", part ? part : "", part ? "\"" : "");
	return ask(l, request, &letter->is.word, err);
}
