/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* What the records say of one word. */
struct tally {
	uint64_t n_acked;
	uint64_t n_abandoned;
	uint64_t n_open; /* without an answer, their client alive: a failure of its own */
	uint64_t first;  /* where its answers begin among all answers */
};

/* Counts one record. */
static void count(struct tally *tallies, uint32_t n_words, const struct rk_demo_record *r,
		  struct rk_demo_verdict *v)
{
	uint32_t state = atomic_load_explicit(&r->state, memory_order_relaxed); /* all writers have ended */
	struct tally *t;

	if (state == RK_DEMO_EMPTY)
		return;
	if (state >= RK_DEMO_STATES || r->word >= n_words) {
		v->invalid++;
		return;
	}
	t = &tallies[r->word];
	v->sent++;
	switch ((enum rk_demo_state)state) {
	case RK_DEMO_INTENT:
		v->unanswered++;
		t->n_open++;
		break;
	case RK_DEMO_ACKED:
		v->acknowledged++;
		t->n_acked++;
		break;
	case RK_DEMO_REFUSED:
		v->refused++;
		break;
	case RK_DEMO_QUARANTINED:
		v->innocents++;
		break;
	case RK_DEMO_ABANDONED:
		v->unresolved++;
		t->n_abandoned++;
		break;
	case RK_DEMO_CONTRADICTED:
		v->contradicted++;
		t->n_open++;
		break;
	case RK_DEMO_EMPTY:
	case RK_DEMO_STATES:
		break;
	}
}

/* The answers, word by word. */
static void gather(const struct rk_demo_check_in *in, struct tally *tallies, uint64_t *answers)
{
	uint64_t at = 0;

	for (uint32_t w = 0; w < in->n_words; w++) {
		tallies[w].first = at;
		at += tallies[w].n_acked;
		tallies[w].n_acked = 0;
	}
	for (uint64_t i = 0; i < in->n_records; i++) {
		const struct rk_demo_record *r = &in->records[i];

		if (atomic_load_explicit(&r->state, memory_order_relaxed) == RK_DEMO_ACKED &&
		    r->word < in->n_words) {
			struct tally *t = &tallies[r->word];

			answers[t->first + t->n_acked++] = r->count;
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

/* Holds one word's answers against its final count. */
static void judge(const struct tally *t, uint64_t *answers, uint64_t final, struct rk_demo_verdict *v)
{
	uint64_t n_good = 0, n_lost, n_gaps, n_doubled, slack = t->n_abandoned + t->n_open;

	qsort(answers, t->n_acked, sizeof(*answers), compare);
	for (uint64_t i = 0; i < t->n_acked; i++) {
		bool is_first = i == 0 || answers[i] != answers[i - 1];

		n_good += is_first && answers[i] >= 1 && answers[i] <= final;
	}
	n_lost = t->n_acked - n_good;
	n_gaps = final - n_good; /* good ones are different and in 1..final */
	n_doubled = n_gaps > slack ? n_gaps - slack : 0;
	v->lost += n_lost;
	v->doubled += n_doubled;
	v->unresolved_applied += n_gaps < slack ? n_gaps : slack;
	v->applied += final;
	if ((n_lost || n_doubled) && !v->has_worst) {
		v->has_worst = true;
		v->worst_final = final;
		v->worst_acknowledged = t->n_acked;
		v->worst_unresolved = slack;
	}
}

/* The poison jobs: what their sender was told. */
static void count_poison(const struct rk_demo_check_in *in, struct rk_demo_verdict *v)
{
	for (uint32_t k = 0; k < in->n_poisons; k++) {
		uint32_t state = atomic_load_explicit(&in->poisons[k].state, memory_order_relaxed); /* as above */

		v->poison += state != RK_DEMO_EMPTY;
		v->quarantined += state == RK_DEMO_QUARANTINED;
		v->invalid += state >= RK_DEMO_STATES;
	}
	v->dead_letters = in->n_letters;
	if (v->innocents < in->n_innocent_letters)
		v->innocents = in->n_innocent_letters;
}

int rk_demo_check(const struct rk_demo_check_in *in, struct rk_demo_verdict *ret)
{
	rk_cleanup(rk_free_p) struct tally *tallies = calloc(in->n_words + 1ull, sizeof(*tallies));
	rk_cleanup(rk_free_p) uint64_t *answers = NULL;
	struct rk_demo_verdict v = { 0 };

	if (!tallies)
		return -ENOMEM;
	for (uint64_t i = 0; i < in->n_records; i++)
		count(tallies, in->n_words, &in->records[i], &v);
	count_poison(in, &v);
	answers = malloc((v.acknowledged + 1) * sizeof(*answers));
	if (!answers)
		return -ENOMEM;
	gather(in, tallies, answers);
	for (uint32_t w = 0; w < in->n_words; w++) {
		const struct tally *t = &tallies[w];
		bool had_worst = v.has_worst;

		judge(t, answers + t->first, in->finals[w], &v);
		if (v.has_worst && !had_worst)
			v.worst_word = w;
		v.n_words += t->n_acked || t->n_abandoned || t->n_open;
		v.n_words_exact += t->n_acked && !t->n_abandoned && !t->n_open;
	}
	*ret = v;
	return 0;
}

bool rk_demo_verdict_is_good(const struct rk_demo_verdict *v)
{
	return !v->lost && !v->doubled && !v->contradicted && !v->invalid && !v->unanswered && !v->innocents &&
	       v->quarantined == v->poison && v->dead_letters == v->poison;
}
